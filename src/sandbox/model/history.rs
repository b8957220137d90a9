//! Recorded midpoints, one each ten minutes, in two bytes each.

use crate::domain::Timestamp;

/// Milliseconds between recorded points.
pub(in crate::sandbox) const INTERVAL: i64 = 600_000;

/// Midpoints of a market's first outcome.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct History {
    first: Timestamp,
    /// In units of 0.0001: half a tick of the finest grid in use is five of them.
    points: Vec<u16>,
}

impl History {
    /// An empty history whose first point will be at `first`.
    pub(in crate::sandbox) fn new(first: Timestamp) -> Self {
        History {
            first,
            points: Vec::new(),
        }
    }

    /// Adds the next point.
    pub(in crate::sandbox) fn push(&mut self, mid: f64) {
        self.points
            .push((mid.clamp(0.0, 1.0) * 10_000.0).round() as u16);
    }

    /// The latest point.
    pub(in crate::sandbox) fn last(&self) -> Option<f64> {
        self.points.last().map(|point| f64::from(*point) / 10_000.0)
    }

    /// Points from `from` to `to`, both included, oldest first, in units of 0.0001.
    pub(in crate::sandbox) fn between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, u16)> + '_ {
        let skip = (from.since(self.first).max(0) as u64).div_ceil(INTERVAL as u64);
        self.points
            .iter()
            .enumerate()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            .map(|(index, point)| {
                let offset = (index as i64).saturating_mul(INTERVAL);
                (self.first.plus_millis(offset), *point)
            })
            .take_while(move |(time, _)| *time <= to)
    }

    /// The recorded mid at or before `time`; `None` before the first point.
    pub(in crate::sandbox) fn at(&self, time: Timestamp) -> Option<f64> {
        let index = usize::try_from(time.since(self.first).div_euclid(INTERVAL)).ok()?;
        self.points
            .get(index.min(self.points.len().checked_sub(1)?))
            .map(|point| f64::from(*point) / 10_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_found_by_time_with_both_ends_included() {
        let first = Timestamp::from_secs(600_000);
        let mut history = History::new(first);
        for mid in [0.1, 0.2, 0.3, 0.4005] {
            history.push(mid);
        }
        let found: Vec<_> = history
            .between(first.plus_millis(1), first.plus_millis(2 * INTERVAL))
            .collect();
        assert_eq!(
            found,
            [
                (first.plus_millis(INTERVAL), 2_000),
                (first.plus_millis(2 * INTERVAL), 3_000)
            ]
        );
        assert_eq!(history.at(first.plus_millis(-1)), None);
        assert_eq!(history.at(first.plus_millis(INTERVAL + 5)), Some(0.2));
        assert_eq!(history.at(first.plus_millis(99 * INTERVAL)), Some(0.4005));
    }
}

//! Past prices of a token.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// A price at a moment: a midpoint-like number for statistics, not a price to trade at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PricePoint {
    /// When.
    pub at: Timestamp,
    /// Price of the token, 0–1.
    pub price: f64,
}

/// The past of one token, oldest first, ending at or before the snapshot's moment.
///
/// A window into shared points, so that a replay neither copies the past at every step nor can
/// look past it.
#[derive(Debug, Clone)]
pub struct History {
    points: Arc<Vec<PricePoint>>,
    start: usize,
    end: usize,
}

impl History {
    /// All of `points`, which must be sorted by time.
    #[must_use]
    pub fn new(points: Vec<PricePoint>) -> Self {
        let end = points.len();
        History {
            points: Arc::new(points),
            start: 0,
            end,
        }
    }

    /// The first `end` of `points`, which must be sorted by time.
    #[must_use]
    pub fn window(points: Arc<Vec<PricePoint>>, end: usize) -> Self {
        Self::between(points, 0, end)
    }

    /// Those of `points`, which must be sorted by time, from index `start` to before `end`.
    #[must_use]
    pub fn between(points: Arc<Vec<PricePoint>>, start: usize, end: usize) -> Self {
        let end = end.min(points.len());
        let start = start.min(end);
        History { points, start, end }
    }

    /// The points, oldest first.
    #[must_use]
    pub fn points(&self) -> &[PricePoint] {
        self.points.get(self.start..self.end).unwrap_or_default()
    }

    /// The last price at or before `moment`; `None` when the history starts later.
    #[must_use]
    pub fn price_at(&self, moment: Timestamp) -> Option<f64> {
        self.last_until(moment).map(|point| point.price)
    }

    /// The last point at or before `moment`; `None` when the history starts later.
    #[must_use]
    pub fn last_until(&self, moment: Timestamp) -> Option<&PricePoint> {
        let since = self.since(moment.plus_millis(1)).len();
        let points = self.points();
        points.get(points.len().checked_sub(since + 1)?)
    }

    /// The points at or after `moment`, oldest first.
    #[must_use]
    pub fn since(&self, moment: Timestamp) -> &[PricePoint] {
        let points = self.points();
        // Mostly the end of it is asked for: steps that double from there touch little else.
        let (mut start, mut step) = (points.len(), 1);
        while let Some(earlier) = start.checked_sub(step)
            && points.get(earlier).is_some_and(|point| point.at >= moment)
        {
            start = earlier;
            step *= 2;
        }
        let from = start.saturating_sub(step);
        let near = points.get(from..start).unwrap_or_default();
        let start = from + near.partition_point(|point| point.at < moment);
        points.get(start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_found_from_the_end() {
        let point = |second| PricePoint {
            at: Timestamp::from_secs(second),
            price: second as f64,
        };
        // Two points at second 40.
        let points: Vec<PricePoint> = (1..=100).chain([40]).map(point).collect();
        let history = History::new({
            let mut sorted = points;
            sorted.sort_by_key(|point| point.at);
            sorted
        });
        for second in -1..=102_i64 {
            let expected = (101 - second).clamp(0, 100) + i64::from(second <= 40);
            let at = Timestamp::from_secs(second);
            assert_eq!(history.since(at).len() as i64, expected, "since {second}");
            let last = (second >= 1).then_some(second.min(100) as f64);
            assert_eq!(history.price_at(at), last, "until {second}");
        }
        let none = History::new(Vec::new());
        assert!(none.since(Timestamp::from_secs(0)).is_empty());
        assert_eq!(none.price_at(Timestamp::from_secs(9)), None);
    }

    #[test]
    fn a_history_shows_its_window_only() {
        let points: Vec<PricePoint> = [0.1, 0.2, 0.3, 0.4]
            .into_iter()
            .zip(1_i64..)
            .map(|(price, second)| PricePoint {
                at: Timestamp::from_secs(second),
                price,
            })
            .collect();
        let points = Arc::new(points);
        let shown = |start, end| -> Vec<f64> {
            let history = History::between(Arc::clone(&points), start, end);
            history.points().iter().map(|point| point.price).collect()
        };
        assert_eq!(shown(1, 3), [0.2, 0.3]);
        assert_eq!(shown(0, 9), [0.1, 0.2, 0.3, 0.4]);
        assert!(shown(3, 2).is_empty() && shown(9, 9).is_empty());
        let history = History::between(points, 1, 3);
        assert_eq!(history.price_at(Timestamp::from_secs(1)), None);
        assert_eq!(history.price_at(Timestamp::from_secs(2)), Some(0.2));
        assert_eq!(history.price_at(Timestamp::from_secs(9)), Some(0.3));
    }
}

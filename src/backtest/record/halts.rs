//! When trading was halted.

use crate::backtest::report::HaltRow;
use crate::domain::{HaltCause, LedgerEvent, StampedEvent, Timestamp};

/// Halts while they come and go.
#[derive(Debug, Default)]
pub(super) struct Halts(Vec<HaltRow>);

impl Halts {
    /// A halt stands from now on; one of another kind ends, because there is one at a time.
    pub(super) fn begin(&mut self, cause: HaltCause, at: Timestamp) {
        self.end(at);
        self.0.push(HaltRow {
            cause,
            from: at,
            to: None,
        });
    }

    /// Trading goes on.
    pub(super) fn end(&mut self, at: Timestamp) {
        if let Some(last) = self.0.last_mut() {
            last.to.get_or_insert(at);
        }
    }

    pub(super) fn rows(self) -> Vec<HaltRow> {
        self.0
    }
}

/// A remark of a step; that trading was halted gets its time.
pub(super) fn with_time(note: &str, events: &[StampedEvent]) -> String {
    events
        .iter()
        .find_map(|stamped| match &stamped.event {
            LedgerEvent::Halted { cause, reason, .. } => {
                let cause = cause.as_str();
                (note == format!("trading halted ({cause}): {reason}"))
                    .then(|| format!("trading halted ({cause}) at {}: {reason}", stamped.at))
            }
            _ => None,
        })
        .unwrap_or_else(|| note.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worse_halt_takes_the_place_of_one_and_the_last_stands_to_the_end() {
        let at = Timestamp::from_secs;
        let mut halts = Halts::default();
        halts.end(at(1));
        halts.begin(HaltCause::DailyLoss, at(10));
        halts.end(at(20));
        halts.end(at(25));
        halts.begin(HaltCause::DailyLoss, at(30));
        halts.begin(HaltCause::Drawdown, at(40));
        let row = |cause, from, to: Option<i64>| HaltRow {
            cause,
            from: at(from),
            to: to.map(at),
        };
        assert_eq!(
            halts.rows(),
            [
                row(HaltCause::DailyLoss, 10, Some(20)),
                row(HaltCause::DailyLoss, 30, Some(40)),
                row(HaltCause::Drawdown, 40, None),
            ]
        );
    }
}

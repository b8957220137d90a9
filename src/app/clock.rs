//! What is wrong with the clock, for whoever asks how the server does.

use crate::domain::{Clock, SourceKind, SystemClock, Timestamp};

use super::error::{CORRECT_CLOCK, skew_words};
use super::gather::{BACKWARDS_MS, GROSS_SKEW_MS};
use super::{App, AppError};

impl App {
    /// Gross faults of the machine's clock, each with a hint: while there is one no order and no tick
    /// passes. Asks nobody. Errors: the account cannot be read.
    pub fn clock_problems(&self) -> Result<Vec<String>, AppError> {
        let last = self.ledger()?.last_at();
        // Simulated and recorded time has nothing to do with the machine's.
        if self.source_kind() != SourceKind::Polymarket {
            return Ok(Vec::new());
        }
        Ok(problems(
            self.source().clock_ahead(),
            SystemClock.now(),
            last,
        ))
    }
}

/// `ahead`: how far the machine's clock is ahead of the source's, ms, where that is known.
fn problems(ahead: Option<i64>, now: Timestamp, last: Timestamp) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(ahead) = ahead.filter(|ahead| ahead.abs() > GROSS_SKEW_MS) {
        found.push(format!("{}; {CORRECT_CLOCK}", skew_words(ahead)));
    }
    if last.since(now) > BACKWARDS_MS {
        found.push(format!(
            "the account's last event is of {last}, but it is {now} by this machine's clock: no order \
             and no tick passes until then; correct the clock, or if the event was stamped by a clock \
             that was wrong go on with a backup or another account (--account)"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gross_skew_and_an_event_in_the_future_are_problems() {
        let now = Timestamp::from_secs(1_790_000_000);
        let found = |ahead: Option<i64>, last: i64| problems(ahead, now, now.plus_millis(last));
        for (ahead, last) in [(None, 0), (Some(60_000), 60_000), (Some(-60_000), -5)] {
            assert_eq!(found(ahead, last), Vec::<String>::new());
        }
        let ahead = found(Some(60_001), 0);
        assert!(ahead[0].contains("60 s ahead of"), "{ahead:?}");
        assert!(ahead[0].contains("Correct the machine's clock"));
        assert!(found(Some(-200 * 86_400_000), 0)[0].contains("17280000 s behind"));
        let future = found(None, 60_001);
        assert!(future[0].contains("last event"), "{future:?}");
        assert!(future[0].contains("correct the clock"), "{future:?}");
        assert_eq!(found(Some(61_000), 61_000).len(), 2);
    }
}

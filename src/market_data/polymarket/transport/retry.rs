//! Whether and when a read that failed is tried again.

use std::time::Duration;

use crate::market_data::DataError;
use crate::market_data::polymarket::backoff::Backoff;

/// Longest wait between two attempts that is not for a restart; for more the caller is told.
pub const MAX_WAIT: Duration = Duration::from_secs(10);
/// Between two attempts that fail for no reason told.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: MAX_WAIT,
};

/// What kind of failure it was; what follows from that is here and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The host does not like the question, or the answer is of no use: asking again changes nothing.
    Refused,
    /// Nobody is there: told at once, the next tick tries again anyway.
    Gone,
    /// No answer, a broken one, or the host's own failure.
    Down,
    /// Too many requests (429).
    Busy,
    /// The matching engine restarts (425), or takes no requests for a while (503).
    Restarting,
}

/// What came of one attempt that did not work.
pub struct Failure {
    /// For the caller.
    pub error: DataError,
    /// What to do about it.
    pub kind: Kind,
    /// The venue's wish, if it stated one.
    pub wish: Option<Duration>,
}

impl Failure {
    /// Without a wish of the venue's.
    pub fn new(kind: Kind, error: DataError) -> Self {
        Failure {
            error,
            kind,
            wish: None,
        }
    }
}

/// How patient a read is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often a failed read is tried again. Restarts do not count: they are waited out.
    pub retries: u32,
    /// The end of all attempts and waits together.
    pub deadline: Duration,
}

impl Patience {
    /// How long to wait before the next attempt; `None`: give up. `attempt` counts from 0, `spent`
    /// is the time since the first one began.
    pub fn wait(self, failure: &Failure, attempt: u32, spent: Duration) -> Option<Duration> {
        // A wish of 0 s is no leave to hammer.
        let wait = BACKOFF
            .wait(attempt, None)
            .max(failure.wish.unwrap_or_default());
        let patient = match failure.kind {
            Kind::Refused | Kind::Gone => false,
            Kind::Down | Kind::Busy => attempt < self.retries && wait <= MAX_WAIT,
            Kind::Restarting => true,
        };
        (patient && spent.saturating_add(wait) < self.deadline).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        retries: 2,
        deadline: Duration::from_secs(40),
    };

    fn failure(kind: Kind, wish: Option<u64>) -> Failure {
        Failure {
            wish: wish.map(Duration::from_secs),
            ..Failure::new(kind, DataError::Cancelled)
        }
    }

    fn waits(kind: Kind, wish: Option<u64>, attempt: u32, spent: u64) -> bool {
        PATIENCE
            .wait(&failure(kind, wish), attempt, Duration::from_secs(spent))
            .is_some()
    }

    #[test]
    fn restarts_are_waited_out_until_the_deadline_and_the_rest_a_few_times() {
        for kind in [Kind::Down, Kind::Busy] {
            assert!(waits(kind, None, 0, 0) && waits(kind, None, 1, 1));
            assert!(!waits(kind, None, 2, 1), "two retries");
            assert!(!waits(kind, Some(11), 0, 0), "told, not waited for");
            assert!(!waits(kind, Some(9), 0, 32), "the deadline");
        }
        assert!(waits(Kind::Restarting, None, 50, 20));
        assert!(waits(Kind::Restarting, Some(30), 0, 0));
        assert!(!waits(Kind::Restarting, Some(30), 0, 10));
        assert!(!waits(Kind::Restarting, None, 0, 40));
        assert!(!waits(Kind::Refused, None, 0, 0) && !waits(Kind::Gone, None, 0, 0));
        let wait = PATIENCE.wait(&failure(Kind::Busy, Some(3)), 0, Duration::ZERO);
        assert_eq!(wait, Some(Duration::from_secs(3)), "not before its time");
    }
}

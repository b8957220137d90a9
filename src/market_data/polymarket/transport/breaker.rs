//! A circuit breaker: a host that fails again and again is left alone for a while, then tried with a
//! single request. Everybody else is told at once instead of waiting for another timeout.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a probe that is under way is given before others ask again.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// The breaker of one host.
pub struct Breaker {
    /// Failures in a row that open it; 0: it never opens.
    threshold: u32,
    /// How long it stays open.
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Failures since the last success.
    failures: u32,
    /// Set while open: when a probe may go out.
    until: Option<Instant>,
    /// A probe is under way.
    probing: bool,
    /// The failure that opened it.
    cause: String,
}

/// Why a request was not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When to ask again.
    pub wait: Duration,
    /// Failures in a row.
    pub failures: u32,
    /// The last of them.
    pub cause: String,
}

/// Leave to send one request. What came of it is to be told; dropped without a word (the request
/// was cancelled) it changes nothing, and another may be the probe.
pub struct Ticket<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    /// Closed. `threshold` 0 never opens.
    pub fn new(threshold: u32, rest: Duration) -> Self {
        Breaker {
            threshold,
            rest,
            state: Mutex::default(),
        }
    }

    /// Leave to send, unless the host is to be left alone.
    pub fn admit(&self, now: Instant) -> Result<Ticket<'_>, Refusal> {
        let mut state = self.state();
        let Some(until) = state.until else {
            return Ok(Ticket {
                breaker: self,
                probe: false,
            });
        };
        if now < until || state.probing {
            return Err(state.refusal(now, until));
        }
        state.probing = true;
        Ok(Ticket {
            breaker: self,
            probe: true,
        })
    }

    /// What is to be said while it is open; `None` when closed.
    pub fn status(&self, now: Instant) -> Option<Refusal> {
        let state = self.state();
        Some(state.refusal(now, state.until?))
    }

    /// A failure outside of any ticket: the host asked for patience until that was at its end.
    pub fn failed(&self, now: Instant, cause: &str) {
        self.state()
            .fail(self.threshold, now + self.rest, cause, false);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters stay usable after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn refusal(&self, now: Instant, until: Instant) -> Refusal {
        Refusal {
            wait: until.saturating_duration_since(now).max(PROBE_WAIT),
            failures: self.failures,
            cause: self.cause.clone(),
        }
    }

    fn fail(&mut self, threshold: u32, until: Instant, cause: &str, probe: bool) {
        self.failures = self.failures.saturating_add(1);
        // What was under way when it opened does not keep it open longer.
        let opens = probe || (self.until.is_none() && self.failures >= threshold);
        if threshold > 0 && opens {
            self.until = Some(until);
            cause.clone_into(&mut self.cause);
        }
    }
}

impl Ticket<'_> {
    /// The host answered: it is well, whatever it said.
    pub fn succeeded(self) {
        let mut state = self.breaker.state();
        state.failures = 0;
        state.until = None;
    }

    /// The host did not answer, or not sensibly.
    pub fn failed(self, now: Instant, cause: &str) {
        let breaker = self.breaker;
        breaker
            .state()
            .fail(breaker.threshold, now + breaker.rest, cause, self.probe);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(30);

    fn open(breaker: &Breaker, now: Instant) {
        for _ in 0..3 {
            breaker.admit(now).ok().unwrap().failed(now, "silence");
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let breaker = Breaker::new(3, REST);
        let now = Instant::now();
        for _ in 0..5 {
            breaker.admit(now).ok().unwrap().failed(now, "silence");
            breaker.admit(now).ok().unwrap().failed(now, "silence");
            breaker.admit(now).ok().unwrap().succeeded();
        }
        assert_eq!(breaker.status(now), None);
        open(&breaker, now);
        let later = now + Duration::from_secs(10);
        assert_eq!(
            breaker.admit(later).err(),
            Some(Refusal {
                wait: Duration::from_secs(20),
                failures: 3,
                cause: "silence".to_owned(),
            })
        );
    }

    #[test]
    fn half_open_lets_one_probe_through() {
        let breaker = Breaker::new(3, REST);
        let now = Instant::now();
        open(&breaker, now);
        let later = now + REST;
        let probe = breaker.admit(later).ok().unwrap();
        assert!(breaker.admit(later).is_err(), "one at a time");
        // Cancelled: the next one is the probe.
        drop(probe);
        let probe = breaker.admit(later).ok().unwrap();
        probe.failed(later, "still silence");
        let refusal = breaker.admit(later).err().unwrap();
        assert_eq!((refusal.wait, refusal.failures), (REST, 4));
        let again = later + REST;
        breaker.admit(again).ok().unwrap().succeeded();
        assert_eq!(breaker.status(again), None);
        assert!(breaker.admit(again).is_ok() && breaker.admit(again).is_ok());
    }

    #[test]
    fn what_was_under_way_neither_prolongs_nor_prevents() {
        let breaker = Breaker::new(3, REST);
        let now = Instant::now();
        let slow = breaker.admit(now).ok().unwrap();
        let lucky = breaker.admit(now).ok().unwrap();
        open(&breaker, now);
        let later = now + Duration::from_secs(29);
        slow.failed(later, "late");
        assert_eq!(
            breaker.status(later).unwrap().wait,
            Duration::from_secs(1),
            "the end of the rest stays"
        );
        lucky.succeeded();
        assert_eq!(breaker.status(later), None, "it answers after all");
    }

    #[test]
    fn nought_never_opens() {
        let breaker = Breaker::new(0, REST);
        let now = Instant::now();
        for _ in 0..100 {
            breaker.admit(now).ok().unwrap().failed(now, "silence");
        }
        assert!(breaker.admit(now).is_ok());
    }
}

//! What is remembered of requests, for the health report.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::request::Host;
use crate::domain::{Clock, SystemClock, Timestamp};
use crate::market_data::DataHealth;
use crate::market_data::polymarket::row::Oddities;

/// Counters and the last of each kind.
#[derive(Default)]
pub struct Tally {
    requests: AtomicU64,
    failures: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    skipped: BTreeMap<String, u64>,
    /// By host whose last request failed: the failure's number and text.
    errors: HashMap<Host, (u64, String)>,
    last_success: Option<Timestamp>,
    notes: BTreeMap<&'static str, String>,
}

impl Tally {
    /// A request goes out.
    pub fn sent(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// The host answered; what it failed with before is over.
    pub fn succeeded(&self, host: Host) {
        let mut state = self.state();
        state.errors.remove(&host);
        state.last_success = Some(SystemClock.now());
    }

    /// A request failed in the end.
    pub fn failed(&self, host: Host, error: String) {
        let number = self.failures.fetch_add(1, Ordering::Relaxed);
        self.state().errors.insert(host, (number, error));
    }

    /// Counts skipped rows and dropped values by cause.
    pub fn count(&self, oddities: &Oddities) {
        if oddities.causes().is_empty() {
            return;
        }
        let mut state = self.state();
        for cause in oddities.causes() {
            *state.skipped.entry(cause.clone()).or_insert(0) += 1;
        }
    }

    /// Keeps a remark about `what`, or takes it back.
    pub fn note(&self, what: &'static str, text: Option<String>) {
        let mut state = self.state();
        match text {
            Some(text) => state.notes.insert(what, text),
            None => state.notes.remove(what),
        };
    }

    /// All of it.
    pub fn health(&self) -> DataHealth {
        let state = self.state();
        DataHealth {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            skipped_rows: state.skipped.clone(),
            last_error: state
                .errors
                .values()
                .max_by_key(|(number, _)| *number)
                .map(|(_, text)| text.clone()),
            last_success: state.last_success,
            stream: None,
            notes: state.notes.values().cloned().collect(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters stay usable after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_failure_is_over_when_it_answers_again() {
        let tally = Tally::default();
        tally.failed(Host::Gamma, "one".to_owned());
        tally.failed(Host::Clob, "two".to_owned());
        assert_eq!(tally.health().last_error.as_deref(), Some("two"));
        tally.succeeded(Host::Clob);
        assert_eq!(tally.health().last_error.as_deref(), Some("one"));
        tally.succeeded(Host::Gamma);
        assert_eq!(tally.health().last_error, None);
        assert_eq!(tally.health().failures, 2);
        assert!(tally.health().last_success.is_some());
    }
}

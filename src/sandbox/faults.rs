//! Faults on request: what a venue does on its bad days, in measured doses.
//!
//! A fault ([`FaultSpec`]) has a kind, a scope and a budget. Faults are armed by `--fault` and by
//! `POST /sandbox/faults`, strike requests in a layer around all routes, sockets in their session,
//! and matches through [`Faults::fail_next_match`]. With none armed the layer reads one atomic
//! number per request and nothing else.

mod armed;
mod http;
mod line;
mod routes;
mod spec;
mod spoil;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use armed::ListedFault;
pub(super) use armed::Place;
pub(super) use http::layer;
pub(super) use line::{Line, Lines};
pub(super) use routes::{guarded, routes};
pub use spec::{Budget, Cut, Delay, Fault, FaultError, FaultSpec, Host, Scope};
pub use spoil::Spoil;
pub(super) use spoil::{MALFORMED, half, one as spoil_row, skew};

use armed::List;

/// All faults of one sandbox.
#[derive(Debug, Clone)]
pub(super) struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    seed: u64,
    /// How many can still strike, as of the last look: 0 lets everything through unexamined.
    live: AtomicUsize,
    list: Mutex<List>,
    /// Raised whenever one is armed, so that open sockets look at once.
    changed: watch::Sender<u64>,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Faults(Arc::new(Inner {
            seed,
            live: AtomicUsize::new(0),
            list: Mutex::default(),
            changed: watch::Sender::new(0),
        }))
    }

    /// Whether nothing is armed.
    pub(super) fn idle(&self) -> bool {
        self.0.live.load(Ordering::Acquire) == 0
    }

    /// Arms a fault and returns its id. Errors: [`FaultError`].
    pub(super) fn arm(&self, spec: FaultSpec) -> Result<u64, FaultError> {
        let id = self.with(|list, now| list.arm(spec, self.0.seed, now))?;
        self.0.changed.send_modify(|version| *version += 1);
        Ok(id)
    }

    /// Takes back one fault, or all; returns how many of them could still have struck.
    pub(super) fn disarm(&self, id: Option<u64>) -> usize {
        self.with(|list, now| list.disarm(id, now))
    }

    /// Everything armed so far and what became of it.
    pub(super) fn listed(&self) -> Vec<ListedFault> {
        self.with(|list, now| list.listed(now))
    }

    /// Whether the match about this token, made just now, is to FAIL later. Called once for each
    /// match: a yes is counted against the fault's budget.
    pub(super) fn fail_next_match(&self, token: &str) -> bool {
        let place = Place {
            host: Some(Host::Clob),
            tokens: &[token],
            ..Place::default()
        };
        self.first(&place, |fault| matches!(fault, Fault::FailMatch {}))
            .is_some()
    }

    /// The first fault of the wanted kind that strikes here; its budget pays.
    pub(super) fn first(
        &self,
        place: &Place<'_>,
        wanted: impl Fn(&Fault) -> bool,
    ) -> Option<Fault> {
        if self.idle() {
            return None;
        }
        self.with(|list, now| list.first(place, &wanted, now))
    }

    /// Whether a fault of the wanted kind could strike here; costs no budget.
    pub(super) fn any(&self, place: &Place<'_>, wanted: impl Fn(&Fault) -> bool) -> bool {
        !self.idle() && self.with(|list, now| list.any(place, &wanted, now))
    }

    /// How long to hold back what happens here.
    pub(super) fn delay(&self, place: &Place<'_>) -> Duration {
        if self.idle() {
            return Duration::ZERO;
        }
        self.with(|list, now| list.delay(place, now))
    }

    /// Tells when something has been armed.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn with<T>(&self, act: impl FnOnce(&mut List, Instant) -> T) -> T {
        let now = Instant::now();
        let mut list = self.lock();
        let result = act(&mut list, now);
        self.0.live.store(list.live(now), Ordering::Release);
        result
    }

    /// A panic elsewhere leaves a usable list behind.
    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

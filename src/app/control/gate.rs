//! Who may come in over the control socket, and how many at once.
//!
//! A connection that has not said yet what it wants takes no call's place: of too many the one that
//! has kept silent longest is turned away, so that whoever comes with a request is read. Calls have a
//! bounded number of places, and beside these there are some that only urgent calls (the kill switch,
//! cancels) may take, so that neither idle nor busy callers keep anybody from halting.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Calls at once; one more is told so.
pub(super) const MAX_CALLS: u32 = 32;
/// Places beside these for urgent calls.
const URGENT: u32 = 8;
/// How long an urgent call waits for a place: those before it take moments.
const URGENT_WITHIN: Duration = Duration::from_secs(5);
/// Connections at once whose request has not come yet.
pub(super) const MAX_SILENT: usize = 64;

/// The places of a socket.
pub(super) struct Gate {
    calls: Arc<Semaphore>,
    urgent: Arc<Semaphore>,
    silent: Mutex<Silent>,
    /// How long an urgent call waits for a place.
    patience: Duration,
}

/// Connections that have not said yet what they want, oldest first.
#[derive(Default)]
struct Silent {
    next: u64,
    waiting: BTreeMap<u64, CancellationToken>,
}

/// A connection's leave to be silent, given back when it is dropped.
pub(super) struct Hearing {
    gate: Arc<Gate>,
    number: u64,
    too_many: CancellationToken,
}

impl Hearing {
    /// Waits until this connection has to go, for one that came later.
    pub async fn over(&self) {
        self.too_many.cancelled().await;
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.gate.silent().waiting.remove(&self.number);
    }
}

impl Gate {
    pub fn new() -> Arc<Self> {
        Self::with_patience(URGENT_WITHIN)
    }

    fn with_patience(patience: Duration) -> Arc<Self> {
        Arc::new(Gate {
            calls: Arc::new(Semaphore::new(MAX_CALLS as usize)),
            urgent: Arc::new(Semaphore::new(URGENT as usize)),
            silent: Mutex::default(),
            patience,
        })
    }

    fn silent(&self) -> MutexGuard<'_, Silent> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection in to be heard; where there are too many the oldest has to go.
    pub fn hear(self: &Arc<Self>) -> Hearing {
        let too_many = CancellationToken::new();
        let mut silent = self.silent();
        let number = silent.next;
        silent.next += 1;
        silent.waiting.insert(number, too_many.clone());
        if silent.waiting.len() > MAX_SILENT
            && let Some((_, oldest)) = silent.waiting.pop_first()
        {
            oldest.cancel();
        }
        Hearing {
            gate: self.clone(),
            number,
            too_many,
        }
    }

    /// A place for a call, to be held until its answer is out; `None` when all are taken.
    pub async fn place(&self, urgent: bool) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.calls.clone().try_acquire_owned() {
            return Some(place);
        }
        if !urgent {
            return None;
        }
        let reserved = self.urgent.clone().acquire_owned();
        tokio::time::timeout(self.patience, reserved)
            .await
            .ok()?
            .ok()
    }

    /// Waits until no call is under way.
    pub async fn all_ended(&self) {
        let _calls = self.calls.acquire_many(MAX_CALLS).await;
        let _urgent = self.urgent.acquire_many(URGENT).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urgent_calls_have_places_of_their_own() {
        let gate = Gate::with_patience(Duration::from_millis(500));
        let mut held = Vec::new();
        for _ in 0..MAX_CALLS {
            held.push(gate.place(false).await.unwrap());
        }
        assert!(gate.place(false).await.is_none());
        for _ in 0..URGENT {
            held.push(gate.place(true).await.unwrap());
        }
        assert!(gate.place(false).await.is_none());
        // One more waits for those before it, which take moments.
        let (waited, _) = tokio::join!(gate.place(true), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            held.pop();
        });
        held.push(waited.unwrap());
        assert!(gate.place(true).await.is_none());
        // What is free is anybody's, urgent or not.
        drop(held.remove(0));
        held.push(gate.place(true).await.unwrap());
        // The end waits for both kinds.
        while let Some(last) = held.pop() {
            let ended = tokio::time::timeout(Duration::from_millis(1), gate.all_ended());
            assert!(ended.await.is_err());
            drop(last);
        }
        gate.all_ended().await;
    }

    #[tokio::test]
    async fn of_too_many_silent_ones_the_oldest_goes() {
        let gate = Gate::new();
        let mut heard: Vec<Hearing> = (0..MAX_SILENT).map(|_| gate.hear()).collect();
        // One that was heard leaves room.
        drop(heard.remove(5));
        heard.push(gate.hear());
        let gone = |heard: &[Hearing]| -> Vec<usize> {
            let numbers = heard.iter().enumerate();
            numbers
                .filter(|(_, hearing)| hearing.too_many.is_cancelled())
                .map(|(index, _)| index)
                .collect()
        };
        assert_eq!(gone(&heard), Vec::<usize>::new());
        heard.extend((0..3).map(|_| gate.hear()));
        assert_eq!(gone(&heard), [0, 1, 2]);
        assert_eq!(gate.silent().waiting.len(), MAX_SILENT);
        heard.clear();
        assert!(gate.silent().waiting.is_empty());
    }
}

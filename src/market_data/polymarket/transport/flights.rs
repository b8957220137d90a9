//! Sharing: whoever asks what is being asked already waits for the same answer.
//!
//! The flight is kept alive by those who wait for it. One that goes away leaves the others their
//! answer; with the last one the request is dropped, which closes its connection.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

/// A request under way that several may wait for.
type Flight<T> = Shared<BoxFuture<'static, T>>;

/// Flights by key, each with its number. Only those who wait keep a flight alive.
type Board<T> = HashMap<String, (u64, WeakShared<BoxFuture<'static, T>>)>;

/// Requests under way by key.
pub struct Flights<T: Clone> {
    under_way: Mutex<Board<T>>,
    next: AtomicU64,
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Nothing under way.
    pub fn new() -> Arc<Self> {
        Arc::new(Flights {
            under_way: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// Joins the flight of this key, or begins it with `begin`.
    pub fn join<F>(self: &Arc<Self>, key: String, begin: impl FnOnce() -> F) -> Flight<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut under_way = self.under_way();
        let known = under_way.get(&key).and_then(|(_, weak)| weak.upgrade());
        if let Some(flight) = known {
            return flight;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let landing = Landing {
            flights: Arc::clone(self),
            key: key.clone(),
            number,
        };
        let work = begin();
        let flight = async move {
            let _landing = landing;
            work.await
        }
        .boxed()
        .shared();
        // A new flight has not ended, so it has a weak handle.
        if let Some(weak) = flight.downgrade() {
            under_way.insert(key, (number, weak));
        }
        flight
    }

    /// How many are under way.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.under_way().len()
    }

    fn under_way(&self) -> MutexGuard<'_, Board<T>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the flight off the board when it ends or is given up.
struct Landing<T: Clone + Send + Sync + 'static> {
    flights: Arc<Flights<T>>,
    key: String,
    number: u64,
}

impl<T: Clone + Send + Sync + 'static> Drop for Landing<T> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way();
        // Another flight with the same key may have begun since.
        if under_way.get(&self.key).map(|(number, _)| *number) == Some(self.number) {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn ten_wait_for_one_and_the_first_may_leave() {
        let flights = Flights::<u32>::new();
        let begun = Arc::new(AtomicUsize::new(0));
        let (answer, arrives) = oneshot::channel::<u32>();
        let mut arrives = Some(arrives);
        let mut waiting: Vec<_> = (0..10)
            .map(|_| {
                let begun = Arc::clone(&begun);
                let arrives = &mut arrives;
                flights.join("key".to_owned(), move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    let arrives = arrives.take().unwrap();
                    async move { arrives.await.unwrap() }
                })
            })
            .collect();
        // The one that drives it goes away.
        let first = tokio::spawn(waiting.remove(0));
        tokio::task::yield_now().await;
        first.abort();
        let _ = first.await;
        let others: Vec<_> = waiting.into_iter().map(tokio::spawn).collect();
        tokio::task::yield_now().await;
        answer.send(7).unwrap();
        for other in others {
            assert_eq!(other.await.unwrap(), 7);
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        assert_eq!(flights.len(), 0);
    }

    #[tokio::test]
    async fn with_the_last_one_the_request_ends() {
        let flights = Flights::<u32>::new();
        let (answer, arrives) = oneshot::channel::<u32>();
        let one = flights.join("key".to_owned(), || async move { arrives.await.unwrap() });
        let two = flights.join("key".to_owned(), || async { 0 });
        drop(one);
        assert!(!answer.is_closed() && flights.len() == 1);
        drop(two);
        assert!(answer.is_closed(), "nobody listens any more");
        assert_eq!(flights.len(), 0);
        assert_eq!(flights.join("key".to_owned(), || async { 3 }).await, 3);
    }
}

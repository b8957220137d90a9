//! Books kept current by the venue's market channel.
//!
//! * [`connection`]: one WebSocket, made, kept alive and made again, with raw frames for whoever
//!   records them;
//! * [`shards`]: the wanted tokens spread over connections;
//! * [`live_books`] and [`live_book`]: frames turned into books, without I/O;
//! * [`Stream`]: all of it together, for the client.
//!
//! A book counts only while its connection stands, after a whole book came over **that** connection,
//! and while it agrees with the best prices that the venue tells beside each change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::broadcast;

use crate::domain::{Book, Timestamp, TokenId};
use crate::market_data::{StreamEvent, StreamHealth};

pub mod connection;
pub mod ladder;
pub mod live_book;
pub mod live_books;
pub mod shards;

#[cfg(test)]
mod replays;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod through_the_client;

pub use connection::{Connection, ConnectionEvent, ConnectionSettings, Listener};
pub use shards::Shards;

use live_books::LiveBooks;

/// Events that a slow receiver may be behind before it misses some.
const EVENTS_KEPT: usize = 8_192;

/// The books of all followed tokens. Dropping it ends its connections.
pub struct Stream {
    events: broadcast::Sender<StreamEvent>,
    hub: Mutex<Hub>,
}

struct Hub {
    shards: Shards,
    books: HashMap<u64, Arc<Mutex<LiveBooks>>>,
    /// Figures of connections that have ended.
    ended: StreamHealth,
    /// True once anything was followed.
    used: bool,
}

impl Stream {
    /// Connects to nothing until something is followed.
    #[must_use]
    pub fn new(settings: ConnectionSettings) -> Self {
        Stream {
            events: broadcast::channel(EVENTS_KEPT).0,
            hub: Mutex::new(Hub {
                shards: Shards::new(settings),
                books: HashMap::new(),
                ended: StreamHealth::default(),
                used: false,
            }),
        }
    }

    /// Follows exactly these tokens from now on. Needs an async runtime around it; without one
    /// nothing is followed.
    pub fn follow(&self, tokens: &[TokenId]) {
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!("the market stream needs an async runtime; nothing is followed");
            return;
        };
        let mut hub = lock(&self.hub);
        let Hub {
            shards,
            books,
            ended,
            used,
        } = &mut *hub;
        *used = true;
        let over = shards.follow(&runtime, tokens, |number| {
            let state: Arc<Mutex<LiveBooks>> = Arc::default();
            books.insert(number, state.clone());
            Box::new(Keeper {
                books: state,
                events: self.events.clone(),
                told: Vec::new(),
            })
        });
        for number in over {
            if let Some(state) = books.remove(&number) {
                let health = lock(&state).health();
                add(
                    ended,
                    StreamHealth {
                        connections: 0,
                        followed: 0,
                        live: 0,
                        broken: 0,
                        ..health
                    },
                );
            }
        }
    }

    /// The token's book; `None` unless it is followed, live and unbroken.
    #[must_use]
    pub fn book(&self, token: &TokenId) -> Option<Arc<Book>> {
        self.books(std::slice::from_ref(token)).remove(token)
    }

    /// The books of these tokens that are live and unbroken.
    #[must_use]
    pub fn books(&self, tokens: &[TokenId]) -> HashMap<TokenId, Arc<Book>> {
        let mut by_shard: HashMap<u64, Vec<&TokenId>> = HashMap::new();
        let hub = lock(&self.hub);
        for token in tokens {
            if let Some(number) = hub.shards.of(token) {
                by_shard.entry(number).or_default().push(token);
            }
        }
        let mut found = HashMap::with_capacity(tokens.len());
        for (number, tokens) in by_shard {
            let Some(state) = hub.books.get(&number) else {
                continue;
            };
            let state = lock(state);
            for token in tokens {
                if let Some(book) = state.book(token) {
                    found.insert(token.clone(), Arc::new(book));
                }
            }
        }
        found
    }

    /// What happens from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<StreamEvent> {
        self.events.subscribe()
    }

    /// The figures of all connections; `None` until something is followed.
    #[must_use]
    pub fn health(&self) -> Option<StreamHealth> {
        let hub = lock(&self.hub);
        let mut sum = hub.ended.clone();
        for state in hub.books.values() {
            add(&mut sum, lock(state).health());
        }
        hub.used.then_some(sum)
    }
}

fn add(sum: &mut StreamHealth, other: StreamHealth) {
    sum.connections += other.connections;
    sum.followed += other.followed;
    sum.live += other.live;
    sum.broken += other.broken;
    sum.reconnects += other.reconnects;
    sum.resyncs += other.resyncs;
    sum.messages += other.messages;
    for (cause, count) in other.dropped {
        *sum.dropped.entry(cause).or_insert(0) += count;
    }
    sum.last_message = sum.last_message.max(other.last_message);
    sum.last_lost = other.last_lost.or_else(|| sum.last_lost.take());
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Books are replaced as a whole, so they stay usable after a panic elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the books of one connection and tells what changed.
struct Keeper {
    books: Arc<Mutex<LiveBooks>>,
    events: broadcast::Sender<StreamEvent>,
    told: Vec<StreamEvent>,
}

impl Keeper {
    fn tell(&mut self) {
        for event in self.told.drain(..) {
            // Nobody listening is nobody missing it.
            let _ = self.events.send(event);
        }
    }
}

impl Listener for Keeper {
    fn event(&mut self, event: ConnectionEvent<'_>) {
        let told = &mut self.told;
        {
            let mut books = lock(&self.books);
            match event {
                ConnectionEvent::Followed(tokens) => books.follow(tokens, now()),
                ConnectionEvent::Unfollowed(tokens) => books.unfollow(tokens),
                ConnectionEvent::Connected { at } => books.connected(at),
                ConnectionEvent::Frame { text, at } => books.frame(text, at, told),
                ConnectionEvent::Heard { at } => books.heard(at),
                ConnectionEvent::Odd { what, at } => books.odd(what, at),
                ConnectionEvent::Lost { reason, .. } => books.lost(reason, told),
                ConnectionEvent::Closed => books.end(told),
            }
        }
        self.tell();
    }

    fn resubscribe(&mut self, now: Timestamp) -> Vec<TokenId> {
        let anew = lock(&self.books).resync(now, &mut self.told);
        self.tell();
        anew
    }
}

fn now() -> Timestamp {
    use crate::domain::Clock;
    crate::domain::SystemClock.now()
}

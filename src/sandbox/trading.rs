//! The sandbox's trading side: keys, signed orders, wallets, the user channel.
//!
//! * `signing`: EIP-712 types, the three contracts, recovery.
//! * `keys`: API keys by L1 signature, HMAC on every call.
//! * `order`: a posted order's form, amounts, and the venue's wording of refusals.
//! * `desk`: wallets, order hashes, placing and cancelling on the exchange.
//! * `settlement`: trades from the match to the chain, or to their failure.
//! * `heartbeat`, `holdings`, `notices`, `events`, `rows`: what is watched, kept and said.
//! * `http`, `orders`, `reads`, `socket`, `admin`: the routes.
//!
//! Where both locks are taken, the world's comes first.

mod admin;
mod desk;
mod events;
mod heartbeat;
mod holdings;
mod http;
mod keys;
mod notices;
mod order;
mod orders;
mod reads;
mod rows;
mod settlement;
mod signing;
mod socket;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::RecvError;

pub(super) use admin::routes as admin_routes;
use desk::Desk;
use events::UserEvent;
pub(super) use http::routes;
use socket::Seats;
pub(super) use socket::routes as socket_routes;

use super::config::SandboxConfig;
use super::exchange::Change;
use super::faults::Faults;
use super::model::World;
use super::routes::Shared;

/// Real time between two looks at what is due.
const PULSE: Duration = Duration::from_millis(50);

/// The trading side of one sandbox.
pub(super) struct Trading {
    desk: Mutex<Desk>,
    seats: Seats,
}

impl fmt::Debug for Trading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trading").finish_non_exhaustive()
    }
}

impl Trading {
    pub(super) fn new(config: &SandboxConfig, faults: Faults) -> Self {
        Trading {
            desk: Mutex::new(Desk::new(config, faults)),
            seats: Seats::default(),
        }
    }

    /// The desk. A panic elsewhere leaves a usable one behind.
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user sockets.
    fn seats(&self) -> &Seats {
        &self.seats
    }

    fn tell(&self, event: &UserEvent) {
        self.seats.tell(event);
    }

    /// Passes changes of the exchange on to user sockets and notifications.
    fn pass_on(&self, world: &World, changes: &[Change]) {
        let mut desk = self.desk();
        for change in changes {
            for event in desk.events(world, change) {
                self.tell(&event);
            }
        }
    }

    /// Moves on what is due: trades, GTD orders, silent heartbeats.
    fn catch_up(&self, world: &mut World, now: Instant) {
        let mut desk = self.desk();
        desk.catch_up(world);
        desk.stop_silent(world, now);
    }

    /// True while there may be something to catch up with: spares the world's lock otherwise.
    fn busy(&self, world: &World) -> bool {
        let desk = self.desk();
        desk.beats.any()
            || !world.exchange.pending_trades().is_empty()
            || desk
                .all_wallets()
                .iter()
                .any(|(_, wallet)| !world.exchange.open_orders(wallet.account).is_empty())
    }
}

/// Keeps the trading side up with the clocks until the sandbox stops.
pub(super) async fn run(shared: Shared) {
    let mut changes = shared.changes();
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop().cancelled() => return,
            _ = pulse.tick() => {
                let busy = {
                    let world = shared.read();
                    shared.trading().busy(&world)
                };
                if busy {
                    let mut world = shared.write();
                    shared.trading().catch_up(&mut world, Instant::now());
                }
            }
            batch = changes.recv() => match batch {
                Ok(batch) => {
                    let world = shared.read();
                    shared.trading().pass_on(&world, &batch);
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "the user channel was too slow for the exchange");
                }
                Err(RecvError::Closed) => return,
            },
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

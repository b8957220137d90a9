//! The sandbox's trading side: keys, signed orders, wallets, the user channel.
//!
//! * `signing`: EIP-712 types, the three contracts, recovery.
//! * `keys`: API keys by L1 signature, HMAC on every call.
//! * `order`: a posted order's form, amounts, and the venue's wording of refusals.
//! * `desk`: wallets, order hashes, placing and cancelling on the exchange.
//! * `settlement`: trades from the match to the chain, or to their failure.
//! * `heartbeat`, `notices`, `events`, `rows`: what is watched, kept and said.
//! * `http`, `orders`, `reads`, `socket`, `admin`: the routes.
//!
//! Where both locks are taken, the world's comes first.

mod admin;
mod desk;
mod events;
mod heartbeat;
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

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

pub(super) use admin::routes as admin_routes;
use desk::Desk;
use events::UserEvent;
pub(super) use http::routes;
pub(super) use socket::routes as socket_routes;

use super::config::SandboxConfig;
use super::exchange::Change;
use super::model::World;
use super::routes::Shared;
#[cfg(test)]
pub(super) use settlement::{FINAL_AFTER, MINED_AFTER};

/// Real time between two looks at what is due.
const PULSE: Duration = Duration::from_millis(50);
/// Messages that a slow user socket may lag behind.
const EVENTS_KEPT: usize = 1_024;

/// The trading side of one sandbox.
pub(super) struct Trading {
    desk: Mutex<Desk>,
    events: broadcast::Sender<UserEvent>,
}

impl fmt::Debug for Trading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trading").finish_non_exhaustive()
    }
}

impl Trading {
    pub(super) fn new(config: &SandboxConfig) -> Self {
        Trading {
            desk: Mutex::new(Desk::new(
                config.seed,
                config.speed,
                config.starting_balance,
            )),
            events: broadcast::Sender::new(EVENTS_KEPT),
        }
    }

    /// The desk. A panic elsewhere leaves a usable one behind.
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next so many trades of agents fail: MATCHED, RETRYING, FAILED, undone.
    pub(super) fn fail_next_matches(&self, world: &World, count: u32) {
        self.desk().failing.next(&world.exchange, count);
    }

    /// Messages for user sockets, from now on.
    fn events(&self) -> broadcast::Receiver<UserEvent> {
        self.events.subscribe()
    }

    fn tell(&self, event: UserEvent) {
        // Fails only while nobody listens.
        drop(self.events.send(event));
    }

    /// Passes changes of the exchange on to user sockets and notifications.
    pub(super) fn pass_on(&self, world: &World, changes: &[Change]) {
        let mut desk = self.desk();
        for change in changes {
            for event in desk.events(world, change) {
                self.tell(event);
            }
        }
    }

    /// Moves on what is due: trades, GTD orders, silent heartbeats.
    pub(super) fn catch_up(&self, world: &mut World, now: Instant) {
        let mut desk = self.desk();
        desk.catch_up(world);
        desk.stop_silent(world, now);
    }

    /// True while there may be something to catch up with: spares the world's lock otherwise.
    fn busy(&self, world: &World) -> bool {
        let desk = self.desk();
        desk.beats.any()
            || desk
                .all_wallets()
                .iter()
                .any(|(_, wallet)| !world.exchange.open_orders(wallet.account).is_empty())
            || !world.exchange.pending_trades().is_empty()
    }
}

/// Keeps the trading side up with the clocks until the sandbox stops.
pub(super) async fn run(shared: Shared, stop: CancellationToken) {
    let mut pulse = tokio::time::interval(PULSE);
    pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = pulse.tick() => {}
        }
        if shared.trading().busy(&shared.read()) {
            shared
                .trading()
                .catch_up(&mut shared.write(), Instant::now());
        }
        let changes = shared.write().exchange.take_changes();
        shared.trading().pass_on(&shared.read(), &changes);
    }
}

#[cfg(test)]
mod tests;

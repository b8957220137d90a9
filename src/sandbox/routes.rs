//! Which request gives which row.

mod admin;
mod clob;
mod data;
mod gamma;
mod history;
mod params;

pub(super) use params::Params;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use super::config::SandboxConfig;
use super::exchange::Change;
use super::faults::{self, Faults};
use super::model::World;
use super::sockets::{self, Hub};
use super::trading::{self, Trading};

/// Batches of changes that a slow listener may lag behind.
const CHANGES_KEPT: usize = 4_096;

/// The world and what stands between it and its clients, shared by all requests, sockets and the
/// clock.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    world: RwLock<World>,
    faults: Faults,
    trading: Trading,
    hub: Hub,
    /// Rung when the world may have changed.
    moved: Notify,
    changes: broadcast::Sender<Arc<[Change]>>,
    stop: CancellationToken,
}

impl Shared {
    pub(super) fn new(world: World, config: &SandboxConfig) -> Self {
        let faults = Faults::new(world.seed);
        let hub = Hub::new(world.seed);
        Shared(Arc::new(Inner {
            world: RwLock::new(world),
            trading: Trading::new(config, faults.clone()),
            faults,
            hub,
            moved: Notify::new(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            stop: CancellationToken::new(),
        }))
    }

    /// Keys, wallets and orders of those who trade. Where both are locked, the world comes first.
    pub(super) fn trading(&self) -> &Trading {
        &self.0.trading
    }

    /// To look. A panic elsewhere while writing leaves a readable world behind.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, World> {
        self.0.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// To let time pass or an order in: what changes is passed on to the sockets afterwards.
    pub(super) fn write(&self) -> Writing<'_> {
        Writing {
            world: self.write_quietly(),
            moved: &self.0.moved,
        }
    }

    /// To take what has changed: nobody is told.
    pub(super) fn write_quietly(&self) -> RwLockWriteGuard<'_, World> {
        self.0.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong on purpose.
    pub(super) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// The market channel's subscriptions.
    pub(super) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// Every change of a watched market, account or lifecycle, in order, from now on. Who lags
    /// behind by more than 4,096 batches misses some and is told so.
    pub(super) fn changes(&self) -> broadcast::Receiver<Arc<[Change]>> {
        self.0.changes.subscribe()
    }

    /// Passes changes on to the listeners of [`Self::changes`].
    pub(super) fn publish(&self, changes: &[Change]) {
        if !changes.is_empty() && self.0.changes.receiver_count() > 0 {
            // Fails only if the last listener has just left.
            drop(self.0.changes.send(changes.into()));
        }
    }

    /// Waits until the world may have changed.
    pub(super) async fn moved(&self) {
        self.0.moved.notified().await;
    }

    /// Cancelled when the sandbox ends: open sockets must not outlive it.
    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }
}

/// The world, to be changed; dropping it wakes the sockets.
pub(super) struct Writing<'a> {
    world: RwLockWriteGuard<'a, World>,
    moved: &'a Notify,
}

impl Deref for Writing<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.moved.notify_one();
    }
}

/// All routes of the listener.
pub(super) fn router(shared: Shared) -> Router {
    let faults = shared.faults().clone();
    Router::new()
        .nest("/gamma", gamma::routes())
        .nest("/clob", clob::routes().merge(trading::routes()))
        .nest("/data", data::routes())
        .nest("/ws", sockets::routes().merge(trading::socket_routes()))
        .nest(
            "/sandbox",
            faults::guarded(
                admin::routes()
                    .merge(faults::routes(faults.clone()))
                    .merge(trading::admin_routes()),
            ),
        )
        .layer(from_fn_with_state(faults, faults::layer))
        .with_state(shared)
}

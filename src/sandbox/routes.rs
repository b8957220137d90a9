//! Which request gives which row.

mod admin;
mod clob;
mod data;
mod gamma;
mod history;
mod params;

pub(super) use params::Params;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::Router;

use super::config::SandboxConfig;
use super::model::World;
use super::trading::{self, Trading};

/// The world, shared by all requests and the clock.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    world: RwLock<World>,
    trading: Trading,
}

impl Shared {
    pub(super) fn new(world: World, config: &SandboxConfig) -> Self {
        Shared(Arc::new(Inner {
            world: RwLock::new(world),
            trading: Trading::new(config),
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

    /// To let time pass.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, World> {
        self.0.world.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All routes of the listener.
pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .nest("/gamma", gamma::routes())
        .nest("/clob", clob::routes().merge(trading::routes()))
        .nest("/data", data::routes())
        .nest("/sandbox", admin::routes().merge(trading::admin_routes()))
        .nest("/ws", trading::socket_routes())
        .with_state(shared)
}

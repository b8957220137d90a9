//! Which request gives which row.

mod admin;
mod clob;
mod data;
mod gamma;
mod history;
mod params;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::Router;

use super::model::World;

/// The world, shared by all requests and the clock.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<RwLock<World>>);

impl Shared {
    pub(super) fn new(world: World) -> Self {
        Shared(Arc::new(RwLock::new(world)))
    }

    /// To look. A panic elsewhere while writing leaves a readable world behind.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, World> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// To let time pass.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, World> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All routes of the listener.
pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .nest("/gamma", gamma::routes())
        .nest("/clob", clob::routes())
        .nest("/data", data::routes())
        .nest("/sandbox", admin::routes())
        .with_state(shared)
}

//! One connection or session, and what it is told of unasked.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::{Peer, RoleServer};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::server::changes::{Change, ChangeFeed};

/// What belongs to one connection (stdio) or session (HTTP, older era).
pub(super) struct Session {
    /// Resource addresses that an older-era client subscribed to.
    pub(super) subscribed: Arc<Mutex<HashSet<String>>>,
    /// Whether a task already forwards changes to the client.
    pub(super) forwarding: AtomicBool,
    /// Cancelled when the peer closed its end or the session is gone.
    pub(super) closing: CancellationToken,
    _close_on_drop: DropGuard,
}

impl Session {
    pub(super) fn new() -> Arc<Self> {
        let closing = CancellationToken::new();
        Arc::new(Session {
            subscribed: Arc::default(),
            forwarding: AtomicBool::new(false),
            _close_on_drop: closing.clone().drop_guard(),
            closing,
        })
    }
}

/// Passes changes to an older-era client until its session ends.
pub(super) async fn forward(
    changes: ChangeFeed,
    subscribed: Arc<Mutex<HashSet<String>>>,
    peer: Peer<RoleServer>,
    closing: CancellationToken,
) {
    let mut feed = changes.subscribe();
    loop {
        let change = tokio::select! {
            () = closing.cancelled() => return,
            change = feed.recv() => change,
        };
        let wanted = |uri: &str| lock(&subscribed).contains(uri);
        let (list, uris) = match change {
            Ok(Change::List) => (true, vec![]),
            Ok(Change::Resource(uri)) if wanted(&uri) => (false, vec![uri.to_string()]),
            Ok(Change::Resource(_)) => continue,
            // Too many to keep: all may have changed.
            Err(RecvError::Lagged(_)) => (true, lock(&subscribed).iter().cloned().collect()),
            Err(RecvError::Closed) => return,
        };
        let mut sent = Ok(());
        if list {
            sent = peer.notify_resource_list_changed().await;
        }
        for uri in uris {
            let notice = ResourceUpdatedNotificationParam::new(uri);
            sent = sent.and(peer.notify_resource_updated(notice).await);
        }
        if sent.is_err() && peer.is_transport_closed() {
            return;
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that holds the lock can leave the set half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Tells subscribed clients that a resource changed.

use std::sync::Arc;

use tokio::sync::broadcast;

/// Changes that may wait for a slow session; beyond that it is told that everything changed.
const BACKLOG: usize = 256;

/// Something a client may want to read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// What this resource holds.
    Resource(Arc<str>),
    /// Which resources there are.
    List,
}

/// Where the application announces changes; cloning gives another handle to the same feed.
#[derive(Debug, Clone)]
pub struct ChangeFeed(broadcast::Sender<Change>);

impl Default for ChangeFeed {
    fn default() -> Self {
        ChangeFeed(broadcast::Sender::new(BACKLOG))
    }
}

impl ChangeFeed {
    /// The resource at `uri` holds something else now. Never blocks.
    pub fn resource_updated(&self, uri: &str) {
        self.announce(Change::Resource(uri.into()));
    }

    /// A resource came or went. Never blocks.
    pub fn list_changed(&self) {
        self.announce(Change::List);
    }

    /// Whether a session would hear an announcement.
    pub(crate) fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    fn announce(&self, change: Change) {
        // An error means that nobody listens, which is the usual state.
        if self.has_listeners() && self.0.send(change).is_err() {
            tracing::trace!("the last listener left");
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }
}

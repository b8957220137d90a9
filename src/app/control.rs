//! The control socket: how other processes reach the one that owns a ledger.
//!
//! The owner listens on a Unix socket beside the database ([`App::listen`]). A second server, and
//! `call`, `tick`, `halt`, `resume`, `cancel` from a shell, hand on to it what they are asked
//! ([`App::relay`], [`ask_owner`]); nobody else writes. Only this user can connect, but what comes
//! is taken for hostile until it has been parsed: lines, connections and times have limits.
//!
//! One request per connection, one JSON object per line, each with the version of the protocol. The
//! answer is a line, after any number of lines with progress; a connection that the asker closes
//! cancels what it asked for. What a request does is up to the [`Handler`] given from above.

mod client;
#[cfg(unix)]
mod gate;
#[cfg(unix)]
mod listener;
mod note;
mod place;
mod protocol;
mod relay;

#[cfg(test)]
mod tests;

pub use client::{AskError, ask};
pub use note::OwnerNote;
pub use protocol::{
    Answer, Ask, Asker, Call, Failure, OwnerState, Progress, Reports, SourceLabel, VERSION,
};
pub use relay::{Relayed, ask_owner};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::App;

/// How long an asker looks for an owner that holds the lock but does not listen: it is just
/// starting, or just ending.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// Between two such looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What carries out the calls that come over the socket.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Carries out a call. `cancelled` is cancelled when the asker has gone or this process stops;
    /// the latest of `reports` is passed on. Errors: what the asker is told.
    async fn call(
        &self,
        call: Call,
        reports: Reports,
        cancelled: CancellationToken,
    ) -> Result<Answer, Failure>;

    /// Whether a call must get through however many others are under way.
    fn is_urgent(&self, call: &Call) -> bool;
}

/// The socket of a process: waiting for the ledger, or listening.
#[derive(Debug)]
pub struct Control {
    closing: CancellationToken,
    task: JoinHandle<()>,
}

impl Control {
    /// Takes no more calls, gives those under way `grace` to end and then cancels them; the socket
    /// is gone afterwards. Call it while the ledger is still owned.
    pub async fn stop(self, grace: Duration) {
        self.closing.cancel();
        // A little more than the calls get, for their last words.
        let most = grace + Duration::from_secs(1);
        if tokio::time::timeout(most, self.task).await.is_err() {
            tracing::warn!("calls over the control socket did not end in time");
        }
    }
}

impl App {
    /// Listens on the control socket from the moment at which this process owns the ledger until
    /// [`Control::stop`]. Without a socket (none can be made) the process works all the same, and
    /// says so in the log.
    pub fn listen(self: &Arc<Self>, handler: Arc<dyn Handler>) -> Control {
        let closing = CancellationToken::new();
        let task = tokio::spawn(run(self.clone(), handler, closing.clone()));
        Control { closing, task }
    }
}

#[cfg(unix)]
async fn run(app: Arc<App>, handler: Arc<dyn Handler>, closing: CancellationToken) {
    // Whoever owns the ledger takes a dead owner's socket away, however short its work is.
    tokio::select! {
        biased;
        () = app.desk().owned() => {}
        () = closing.cancelled() => return,
    }
    // The ledger is this process's own until it ends: nobody else binds or removes the socket.
    match place::bind(app.db()) {
        Ok(bound) => listener::listen(app, handler, bound, closing).await,
        Err(error) => tracing::warn!(
            %error,
            "no control socket: other processes cannot hand anything to this one"
        ),
    }
}

#[cfg(not(unix))]
async fn run(_: Arc<App>, _: Arc<dyn Handler>, closing: CancellationToken) {
    tracing::warn!("no control socket on this system: other processes cannot reach this one");
    closing.cancelled().await;
}

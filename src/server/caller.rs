//! Who calls a tool, and how to reach them while it runs.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Where a call comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// An MCP client; its name is what it says of itself, cleaned, and not to be trusted.
    Mcp {
        /// Client name, if it gave one.
        client: Option<String>,
    },
    /// The plain HTTP routes beside `/mcp`.
    Http,
    /// A scheduled job, by name.
    Schedule(String),
    /// The command line on this machine.
    Shell,
}

impl CallerKind {
    /// Whether this caller may also use entries that are not listed to clients, e.g. `tick`.
    #[must_use]
    pub fn may_use_unlisted(&self) -> bool {
        matches!(self, CallerKind::Schedule(_) | CallerKind::Shell)
    }
}

/// `mcp:claude-code`, `http`, `schedule:hourly`, `shell`: the form that goes into audit rows.
impl fmt::Display for CallerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallerKind::Mcp { client: Some(name) } => write!(f, "mcp:{name}"),
            CallerKind::Mcp { client: None } => f.write_str("mcp"),
            CallerKind::Http => f.write_str("http"),
            CallerKind::Schedule(job) => write!(f, "schedule:{job}"),
            CallerKind::Shell => f.write_str("shell"),
        }
    }
}

/// The caller of one call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Where the call comes from.
    pub kind: CallerKind,
    /// Cancelled when nobody waits for the answer any more: the client cancelled or went away,
    /// the time limit passed, the server stops. Work that a handler moved to another task or
    /// thread must watch it.
    pub cancelled: CancellationToken,
    /// Where to report progress; `None` when nobody asked for it.
    pub progress: Option<ProgressSink>,
}

impl Caller {
    /// A caller that cannot cancel and did not ask for progress.
    #[must_use]
    pub fn new(kind: CallerKind) -> Self {
        Caller {
            kind,
            cancelled: CancellationToken::new(),
            progress: None,
        }
    }

    /// The same caller with `cancelled` as its token.
    #[must_use]
    pub fn with_cancellation(mut self, cancelled: CancellationToken) -> Self {
        self.cancelled = cancelled;
        self
    }

    /// The same caller with progress wanted.
    #[must_use]
    pub fn with_progress(mut self, progress: ProgressSink) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Reports progress if it was asked for; see [`ProgressSink::report`].
    pub fn report(&self, done: f64, total: Option<f64>, message: &str) {
        if let Some(progress) = &self.progress {
            progress.report(done, total, message);
        }
    }
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Steps done so far; only grows.
    pub done: f64,
    /// Steps in all, where known.
    pub total: Option<f64>,
    /// What is being done.
    pub message: String,
}

/// Takes progress reports without ever blocking: only the latest counts, so a slow client misses
/// steps instead of slowing the work. Usable from blocking threads.
#[derive(Debug, Clone)]
pub struct ProgressSink(Arc<watch::Sender<Option<Progress>>>);

impl ProgressSink {
    /// A sink and the end at which the reports arrive; `None` until the first.
    #[must_use]
    pub fn channel() -> (Self, watch::Receiver<Option<Progress>>) {
        let (sender, receiver) = watch::channel(None);
        (ProgressSink(Arc::new(sender)), receiver)
    }

    /// States that `done` of `total` steps are done. A report that is not finite, or not beyond
    /// the one before, is ignored: the protocol wants progress to increase.
    pub fn report(&self, done: f64, total: Option<f64>, message: &str) {
        if !done.is_finite() {
            return;
        }
        self.0.send_if_modified(|latest| {
            if latest.as_ref().is_some_and(|before| before.done >= done) {
                return false;
            }
            *latest = Some(Progress {
                done,
                total: total.filter(|t| t.is_finite()),
                message: message.to_owned(),
            });
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_named_for_the_audit() {
        let named = CallerKind::Mcp {
            client: Some("claude-code".to_owned()),
        };
        assert_eq!(named.to_string(), "mcp:claude-code");
        assert_eq!(CallerKind::Mcp { client: None }.to_string(), "mcp");
        assert_eq!(
            CallerKind::Schedule("hourly".to_owned()).to_string(),
            "schedule:hourly"
        );
        assert!(!named.may_use_unlisted());
        assert!(!CallerKind::Http.may_use_unlisted());
        assert!(CallerKind::Shell.may_use_unlisted());
    }

    #[test]
    fn progress_only_grows() {
        let (sink, latest) = ProgressSink::channel();
        assert_eq!(*latest.borrow(), None);
        sink.report(2.0, Some(4.0), "two");
        sink.report(1.0, Some(4.0), "back");
        sink.report(f64::NAN, None, "nonsense");
        let seen = latest.borrow().clone().unwrap();
        assert_eq!((seen.done, seen.total), (2.0, Some(4.0)));
        assert_eq!(seen.message, "two");
    }
}

//! A socket's queue: bounded in bytes, so that one slow reader costs the others nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Most bytes that wait for one reader.
const MOST_WAITING: usize = 8 << 20;

/// One text frame, shared by all who get it.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Frame {
    pub text: Utf8Bytes,
    /// Tokens that it is about, for the faults' scopes.
    pub tokens: Arc<[String; 2]>,
    /// Whether it holds price changes.
    pub has_changes: bool,
}

/// The writing end of a socket's queue.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Outlet {
    queue: mpsc::UnboundedSender<Vec<Frame>>,
    waiting: Arc<AtomicUsize>,
    overrun: CancellationToken,
}

/// The reading end, owned by the socket's session.
#[derive(Debug)]
pub(super) struct Inlet {
    queue: mpsc::UnboundedReceiver<Vec<Frame>>,
    waiting: Arc<AtomicUsize>,
    pub overrun: CancellationToken,
}

fn size(frames: &[Frame]) -> usize {
    frames.iter().map(|frame| frame.text.len()).sum()
}

/// A new queue.
pub(super) fn queue() -> (Outlet, Inlet) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (waiting, overrun) = (Arc::default(), CancellationToken::new());
    let outlet = Outlet {
        queue: sender,
        waiting: Arc::clone(&waiting),
        overrun: overrun.clone(),
    };
    let inlet = Inlet {
        queue: receiver,
        waiting,
        overrun,
    };
    (outlet, inlet)
}

impl Outlet {
    /// Queues frames. `false`: the socket is gone, or 8 MiB wait for it already, which closes it.
    pub(in crate::sandbox) fn offer(&self, frames: Vec<Frame>) -> bool {
        let bytes = size(&frames);
        let waiting = self.waiting.fetch_add(bytes, Ordering::AcqRel);
        if waiting.saturating_add(bytes) > MOST_WAITING {
            self.overrun.cancel();
            return false;
        }
        self.queue.send(frames).is_ok()
    }
}

impl Inlet {
    /// The next frames; `None` when nobody can send any more.
    pub(super) async fn next(&mut self) -> Option<Vec<Frame>> {
        self.queue.recv().await
    }

    /// The next frames that are there already.
    pub(super) fn ready(&mut self) -> Option<Vec<Frame>> {
        self.queue.try_recv().ok()
    }

    /// Says that these frames are out.
    pub(super) fn sent(&self, frames: &[Frame]) {
        self.waiting.fetch_sub(size(frames), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_read_is_bounded() {
        let (outlet, mut inlet) = queue();
        let frame = Frame {
            text: "x".repeat(1 << 20).into(),
            tokens: Arc::default(),
            has_changes: false,
        };
        for _ in 0..8 {
            assert!(outlet.offer(vec![frame.clone()]));
        }
        // Reading one makes room for one.
        let frames = inlet.next().await.unwrap();
        inlet.sent(&frames);
        assert!(outlet.offer(vec![frame.clone()]));
        assert!(!inlet.overrun.is_cancelled());
        assert!(!outlet.offer(vec![frame]));
        assert!(inlet.overrun.is_cancelled());
    }
}

//! Recording the market channel: connections into a [`CaptureWriter`], until told to stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::domain::{Clock, Market, SystemClock, Timestamp, TokenId};

use super::polymarket::stream::{ConnectionEvent, ConnectionSettings, Listener, Shards};
use super::recorded::capture::{Body, CaptureError, CaptureWriter, Line, Manifest};
use super::recorded::market_entry;

/// A kill loses at most what came in so long.
pub const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// Text that may wait for the disk, bytes. A disk that is slower than the venue for longer costs a
/// gap, not the machine's memory.
const MOST_WAITING: u64 = 256 << 20;

/// When a recording ends by itself, and how its files are cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordLimits {
    /// After so long.
    pub duration: Option<Duration>,
    /// Once the compressed files of the folder have so many bytes; looked at every
    /// [`FLUSH_EVERY`].
    pub max_bytes: Option<u64>,
    /// Begin a new file this often.
    pub rotate_every: Option<Duration>,
}

/// Records all tokens of `markets` until `stop`, a limit or an error. `progress` is called every
/// [`FLUSH_EVERY`]. Needs a multi-threaded runtime: files are written on its threads.
///
/// Errors: the disk. What had been written stays readable, and the manifest says what happened.
pub async fn record(
    writer: CaptureWriter,
    markets: &[Arc<Market>],
    settings: ConnectionSettings,
    limits: RecordLimits,
    stop: &CancellationToken,
    progress: &mut (dyn FnMut(&CaptureWriter) + Send),
) -> Result<Manifest, CaptureError> {
    let mut writer = writer;
    match run(&mut writer, markets, settings, limits, stop, progress).await {
        Ok(reason) => blocking(|| writer.finish(SystemClock.now(), reason)),
        Err(error) => {
            // The first error is the one to tell.
            let _ = blocking(|| writer.abandon(&error.to_string()));
            Err(error)
        }
    }
}

async fn run(
    writer: &mut CaptureWriter,
    markets: &[Arc<Market>],
    settings: ConnectionSettings,
    limits: RecordLimits,
    stop: &CancellationToken,
    progress: &mut (dyn FnMut(&CaptureWriter) + Send),
) -> Result<&'static str, CaptureError> {
    for market in markets {
        let body = Body::Market(market_entry(market, None));
        let at = SystemClock.now();
        writer.write(&Line { at, body })?;
    }
    blocking(|| writer.flush())?;
    let tokens: Vec<TokenId> = markets
        .iter()
        .flat_map(|market| market.outcomes.iter().map(|outcome| outcome.token.clone()))
        .collect();
    let (lines, mut inbox) = mpsc::unbounded_channel();
    let waiting: Arc<AtomicU64> = Arc::default();
    let mut shards = Shards::new(settings);
    shards.follow(&Handle::current(), &tokens, |number| {
        Box::new(Tap::new(number, lines.clone(), waiting.clone()))
    });
    let begun = Instant::now();
    let end = limits.duration.and_then(|time| later(begun, time));
    let mut flush = every(begun, FLUSH_EVERY);
    let mut rotate = limits.rotate_every.and_then(|time| every(begun, time));
    let reason = loop {
        tokio::select! {
            () = stop.cancelled() => break "interrupted",
            () = until(end) => break "the duration was reached",
            () = next(&mut flush) => {
                blocking(|| writer.flush())?;
                progress(writer);
                if limits.max_bytes.is_some_and(|most| writer.bytes() >= most) {
                    break "the size was reached";
                }
            }
            () = next(&mut rotate) => blocking(|| writer.rotate(SystemClock.now()))?,
            Some(line) = inbox.recv() => take(writer, &line, &waiting)?,
        }
    };
    // Ends the connections; what has come until now is kept.
    drop(shards);
    while let Ok(line) = inbox.try_recv() {
        take(writer, &line, &waiting)?;
    }
    Ok(reason)
}

fn take(writer: &mut CaptureWriter, line: &Line, waiting: &AtomicU64) -> Result<(), CaptureError> {
    waiting.fetch_sub(weight(line), Ordering::Relaxed);
    writer.write(line)
}

/// Runs what waits for the disk without holding up the connections.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// `None` for what is so late that no clock gets there: never.
fn later(begun: Instant, time: Duration) -> Option<Instant> {
    // The timer adds to what it is given.
    let room = |end: &Instant| end.checked_add(FLUSH_EVERY).is_some();
    begun.checked_add(time).filter(room)
}

/// `None` for a time that never passes.
fn every(begun: Instant, time: Duration) -> Option<tokio::time::Interval> {
    let mut ticks = interval_at(later(begun, time)?, time);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(ticks)
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

async fn next(ticks: &mut Option<tokio::time::Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// Bytes that a waiting line counts for.
fn weight(line: &Line) -> u64 {
    match &line.body {
        Body::Frame { text, .. } => text.len() as u64,
        _ => 0,
    }
}

/// Turns what happens on one connection into lines.
struct Tap {
    connection: u32,
    lines: mpsc::UnboundedSender<Line>,
    /// Bytes of frames that wait, of all connections.
    waiting: Arc<AtomicU64>,
    most_waiting: u64,
    tokens: BTreeSet<TokenId>,
    /// When it was last heard; `None` while it does not stand.
    heard: Option<Timestamp>,
    /// True from the first frame that was thrown away until its tokens are asked for again.
    overflowed: bool,
}

impl Tap {
    fn new(number: u64, lines: mpsc::UnboundedSender<Line>, waiting: Arc<AtomicU64>) -> Self {
        Tap {
            connection: u32::try_from(number).unwrap_or(u32::MAX),
            lines,
            waiting,
            most_waiting: MOST_WAITING,
            tokens: BTreeSet::new(),
            heard: None,
            overflowed: false,
        }
    }

    fn send(&self, at: Timestamp, body: Body) {
        let line = Line { at, body };
        self.waiting.fetch_add(weight(&line), Ordering::Relaxed);
        // Nobody receives once the recording ends.
        let _ = self.lines.send(line);
    }

    fn stands(&mut self, at: Timestamp) {
        self.overflowed = false;
        self.heard = Some(at);
        let body = Body::Connected {
            connection: self.connection,
            tokens: self.tokens.iter().cloned().collect(),
        };
        self.send(at, body);
    }

    fn gap(&self, since: Timestamp, reason: &str, at: Timestamp) {
        let body = Body::Gap {
            since,
            reason: reason.to_owned(),
            tokens: self.tokens.iter().cloned().collect(),
        };
        self.send(at, body);
    }

    fn frame(&mut self, text: &str, at: Timestamp) {
        if self.overflowed {
            return;
        }
        let ahead = self.waiting.load(Ordering::Relaxed);
        if ahead.saturating_add(text.len() as u64) > self.most_waiting {
            self.overflowed = true;
            self.gap(self.heard.unwrap_or(at), "the disk was too slow", at);
            return;
        }
        self.heard = Some(at);
        let body = Body::Frame {
            connection: self.connection,
            text: text.to_owned(),
        };
        self.send(at, body);
    }
}

impl Listener for Tap {
    fn event(&mut self, event: ConnectionEvent<'_>) {
        match event {
            ConnectionEvent::Followed(tokens) => self.tokens.extend(tokens.iter().cloned()),
            ConnectionEvent::Unfollowed(tokens) => {
                for token in tokens {
                    self.tokens.remove(token);
                }
            }
            ConnectionEvent::Connected { at } => self.stands(at),
            ConnectionEvent::Frame { text, at } => self.frame(text, at),
            ConnectionEvent::Heard { at } => self.heard = self.heard.map(|heard| heard.max(at)),
            ConnectionEvent::Lost { reason, at, .. } => {
                // An attempt that failed loses nothing that had not been lost before.
                if let Some(since) = self.heard.take() {
                    self.gap(since, reason, at);
                }
            }
            ConnectionEvent::Odd { what, .. } => tracing::warn!("not recorded: {what}"),
            ConnectionEvent::Closed => {}
        }
    }

    /// After an overflow the books are asked for anew once there is room again.
    fn resubscribe(&mut self, now: Timestamp) -> Vec<TokenId> {
        let room = self.waiting.load(Ordering::Relaxed) <= self.most_waiting / 2;
        if !self.overflowed || !room || self.heard.is_none() {
            return Vec::new();
        }
        self.stands(now);
        self.tokens.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests;

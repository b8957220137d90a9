//! What each tool cost: calls, errors, latency. Atomics only, so that counting costs nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

/// One bucket per power of two of microseconds: the last one holds everything above 17 minutes.
const BUCKETS: usize = 31;

/// Running counts of one tool.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    errors: AtomicU64,
    running: AtomicU64,
    total_us: AtomicU64,
    max_us: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// A call being counted; however it ends, also by being dropped, it is counted once.
pub(crate) struct Running<'a> {
    counters: &'a Counters,
    started: Instant,
    failed: bool,
}

impl Counters {
    /// Begins to count a call, which is taken as failed until [`Running::succeeded`].
    pub(crate) fn start(&self) -> Running<'_> {
        self.running.fetch_add(1, Ordering::Relaxed);
        Running {
            counters: self,
            started: Instant::now(),
            failed: true,
        }
    }

    /// The counts so far.
    pub(crate) fn snapshot(&self, name: &str) -> ToolStats {
        let calls = self.calls.load(Ordering::Relaxed);
        let measured = calls > 0;
        let millis = |us: u64| us as f64 / 1_000.0;
        ToolStats {
            name: name.to_owned(),
            calls,
            errors: self.errors.load(Ordering::Relaxed),
            running: self.running.load(Ordering::Relaxed),
            mean_ms: measured.then(|| millis(self.total_us.load(Ordering::Relaxed)) / calls as f64),
            p50_ms: self.quantile_us(0.50).map(millis),
            p99_ms: self.quantile_us(0.99).map(millis),
            max_ms: measured.then(|| millis(self.max_us.load(Ordering::Relaxed))),
        }
    }

    /// Upper edge of the bucket in which the quantile lies.
    fn quantile_us(&self, quantile: f64) -> Option<u64> {
        let counts: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect();
        let total: u64 = counts.iter().sum();
        let wanted = (total as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= wanted {
                return Some(1 << bucket);
            }
        }
        None
    }
}

impl Running<'_> {
    /// Notes that the call succeeded; consumed by the drop that follows.
    pub(crate) fn succeeded(mut self) {
        self.failed = false;
    }

    /// Time since the call began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let counters = self.counters;
        counters.running.fetch_sub(1, Ordering::Relaxed);
        counters.calls.fetch_add(1, Ordering::Relaxed);
        counters.total_us.fetch_add(us, Ordering::Relaxed);
        counters.max_us.fetch_max(us, Ordering::Relaxed);
        // Bucket b holds durations up to 2^b microseconds.
        let bucket = (u64::BITS - us.saturating_sub(1).leading_zeros()) as usize;
        if let Some(slot) = counters.buckets.get(bucket.min(BUCKETS - 1)) {
            slot.fetch_add(1, Ordering::Relaxed);
        }
        if self.failed {
            counters.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What one tool cost since the start. Times in milliseconds; absent before the first call.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ToolStats {
    /// The tool.
    pub name: String,
    /// Calls that ended.
    pub calls: u64,
    /// Of those, how many ended in an error.
    pub errors: u64,
    /// Calls going on now.
    pub running: u64,
    /// Mean, ms.
    pub mean_ms: Option<f64>,
    /// Median, ms: an upper bound, at most twice too high.
    pub p50_ms: Option<f64>,
    /// 99 of 100 calls took no longer, ms: an upper bound, at most twice too high.
    pub p99_ms: Option<f64>,
    /// The longest, ms.
    pub max_ms: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_once_however_they_end() {
        let counters = Counters::default();
        assert_eq!(counters.snapshot("t").mean_ms, None);
        counters.start().succeeded();
        drop(counters.start());
        let going_on = counters.start();
        let stats = counters.snapshot("t");
        assert_eq!((stats.calls, stats.errors, stats.running), (2, 1, 1));
        assert!(stats.p99_ms.is_some() && stats.max_ms.is_some());
        drop(going_on);
        assert_eq!(counters.snapshot("t").running, 0);
    }

    #[test]
    fn quantiles_are_the_upper_edges_of_their_buckets() {
        let counters = Counters::default();
        // 98 calls of up to 4 us, 2 of up to 1024 us.
        counters.buckets[2].store(98, Ordering::Relaxed);
        counters.buckets[10].store(2, Ordering::Relaxed);
        assert_eq!(counters.quantile_us(0.50), Some(4));
        assert_eq!(counters.quantile_us(0.98), Some(4));
        assert_eq!(counters.quantile_us(0.99), Some(1024));
    }
}

//! One job: its runs, and what came of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::CancellationToken;

use super::JobConfig;
use crate::domain::text::clean;
use crate::domain::time::{Clock, SystemClock, Timestamp};
use crate::server::control::STANDBY;
use crate::server::{Caller, CallerKind, Registry};

/// How much of a result is logged, in characters.
const LOGGED: usize = 300;

/// How a job is doing. Moments are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// Its schedule as configured.
    pub cron: String,
    /// What it calls.
    pub tool: String,
    /// Whether it is scheduled.
    pub enabled: bool,
    /// Whether it runs now.
    pub running: bool,
    /// Runs that ended.
    pub runs: u64,
    /// Of those, how many ended in an error.
    pub failures: u64,
    /// Runs left out because the one before was still going, or because another process owns the
    /// ledger and runs jobs of its own.
    pub skipped: u64,
    /// When the last run began.
    pub last_run: Option<String>,
    /// How long the last finished run took, ms.
    pub last_duration_ms: Option<u64>,
    /// The latest error, also when later runs succeeded.
    pub last_error: Option<String>,
    /// When it is due next.
    pub next_run: Option<String>,
}

#[derive(Debug, Default)]
struct History {
    runs: u64,
    failures: u64,
    skipped: u64,
    last_run: Option<Timestamp>,
    last_duration_ms: Option<u64>,
    last_error: Option<String>,
}

/// A job and its history.
#[derive(Debug)]
pub(super) struct JobState {
    pub(super) config: JobConfig,
    /// Held while it runs.
    busy: AsyncMutex<()>,
    history: Mutex<History>,
}

impl JobState {
    pub(super) fn new(config: JobConfig) -> Self {
        JobState {
            config,
            busy: AsyncMutex::new(()),
            history: Mutex::default(),
        }
    }

    fn note<T>(&self, change: impl FnOnce(&mut History) -> T) -> T {
        // Every change is a few assignments: there is no half-changed state to fear.
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut history)
    }

    /// Runs once, unless it is running already.
    pub(super) async fn run<S: Send + Sync + 'static>(
        &self,
        registry: &Registry<S>,
        state: Arc<S>,
        abort: CancellationToken,
    ) {
        let JobConfig {
            name,
            tool,
            arguments,
            ..
        } = &self.config;
        let Ok(_busy) = self.busy.try_lock() else {
            let skipped = self.note(|history| {
                history.skipped += 1;
                history.skipped
            });
            tracing::warn!(
                job = name,
                skipped,
                "scheduled job skipped: the run before is still going"
            );
            return;
        };
        self.note(|history| history.last_run = Some(SystemClock.now()));
        let started = Instant::now();
        let caller =
            Caller::new(CallerKind::Schedule(name.clone())).with_cancellation(abort.child_token());
        let arguments = Value::Object(arguments.clone());
        let result = registry.call(state, tool, arguments, caller).await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if result.as_ref().is_err_and(|error| error.code == STANDBY) {
            let skipped = self.note(|history| {
                history.skipped += 1;
                history.skipped
            });
            tracing::debug!(
                job = name,
                skipped,
                "scheduled job left to the owner of the ledger"
            );
            return;
        }
        self.note(|history| {
            history.runs += 1;
            history.last_duration_ms = Some(duration_ms);
            if let Err(error) = &result {
                history.failures += 1;
                history.last_error = Some(format!("{}: {}", error.code, error.message));
            }
        });
        match result {
            Ok(output) => {
                let result = clean(&output.text, LOGGED);
                tracing::info!(job = name, tool, duration_ms, result, "scheduled job ran");
            }
            Err(error) => tracing::error!(
                job = name,
                tool,
                duration_ms,
                code = error.code,
                // Not `message`: that is the name of the line's own text, which it would replace.
                error = error.message,
                hint = error.hint,
                "scheduled job failed"
            ),
        }
    }

    /// Waits until it does not run.
    pub(super) async fn idle(&self) {
        drop(self.busy.lock().await);
    }

    pub(super) fn status(&self, next: Option<Timestamp>) -> JobStatus {
        let running = self.busy.try_lock().is_err();
        let text = |moment: Timestamp| moment.to_rfc3339();
        self.note(|history| JobStatus {
            name: self.config.name.clone(),
            cron: self.config.cron.clone(),
            tool: self.config.tool.clone(),
            enabled: self.config.enabled,
            running,
            runs: history.runs,
            failures: history.failures,
            skipped: history.skipped,
            last_run: history.last_run.map(text),
            last_duration_ms: history.last_duration_ms,
            last_error: history.last_error.clone(),
            next_run: next.map(text),
        })
    }
}

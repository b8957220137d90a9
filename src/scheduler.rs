//! Jobs that call registry entries by the clock, in UTC, also while no agent is connected.
//!
//! A job is a tool name with arguments: it goes through [`Registry::call`] like everyone else,
//! as caller `schedule:<name>`. A run that is still going when the next is due makes that one
//! be skipped, never overlap.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_cron_scheduler::job::JobId;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

mod config;
mod job;

pub use crate::app::config::JobConfig;
pub use job::JobStatus;

use crate::domain::time::Timestamp;
use crate::server::{CallerKind, Registry};
use job::JobState;

/// A schedule cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// A name that is empty, too long, or has odd characters.
    #[error("`{0}` is no job name: 1 to 64 of a-z, A-Z, 0-9, - and _")]
    Name(String),
    /// Two jobs have one name.
    #[error("two jobs are called `{0}`")]
    Duplicate(String),
    /// A schedule that cannot be read.
    #[error(
        "job `{job}`: `{cron}` is no schedule: give 5 fields (minute hour day month weekday) \
         or 6 (second first), e.g. `0 */5 * * * *` for every five minutes"
    )]
    Cron {
        /// The job.
        job: String,
        /// What was given.
        cron: String,
    },
    /// A schedule with no moment in it, e.g. 30 February.
    #[error("job `{job}`: `{cron}` never comes")]
    Never {
        /// The job.
        job: String,
        /// What was given.
        cron: String,
    },
    /// The tool does not exist, or would refuse the arguments.
    #[error("job `{job}`: {message}; {hint}")]
    Call {
        /// The job.
        job: String,
        /// What the registry said.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The clockwork itself failed.
    #[error("the scheduler cannot run: {0}")]
    Clockwork(#[from] JobSchedulerError),
}

/// A job with its place in the clockwork; disabled jobs have none.
struct Scheduled {
    state: Arc<JobState>,
    id: Option<JobId>,
}

/// Running jobs.
pub struct Scheduler {
    clockwork: JobScheduler,
    jobs: Vec<Scheduled>,
    stopped: CancellationToken,
    abort: CancellationToken,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.jobs.iter().map(|job| &job.state.config.name))
            .finish()
    }
}

impl Scheduler {
    /// Checks all jobs, disabled ones included, and starts the enabled ones. No run begins after
    /// `shutdown` is cancelled; one that is going on goes on, see [`Scheduler::stop`].
    /// Errors: [`SchedulerError`], naming the job, before anything runs.
    pub async fn start<S: Send + Sync + 'static>(
        jobs: &[JobConfig],
        registry: Arc<Registry<S>>,
        state: Arc<S>,
        shutdown: CancellationToken,
    ) -> Result<Self, SchedulerError> {
        let mut clockwork = JobScheduler::new().await?;
        let stopped = shutdown.child_token();
        let abort = CancellationToken::new();
        let mut scheduled: Vec<Scheduled> = Vec::with_capacity(jobs.len());
        for config in jobs {
            if scheduled.iter().any(|s| s.state.config.name == config.name) {
                return Err(SchedulerError::Duplicate(config.name.clone()));
            }
            let cron = config.checked_cron()?;
            let caller = CallerKind::Schedule(config.name.clone());
            let arguments = Value::Object(config.arguments.clone());
            registry
                .check(&config.tool, arguments, &caller)
                .map_err(|error| SchedulerError::Call {
                    job: config.name.clone(),
                    message: error.message,
                    hint: error.hint,
                })?;
            let job = Arc::new(JobState::new(config.clone()));
            let run = {
                let (job, registry, state) = (Arc::clone(&job), registry.clone(), state.clone());
                let (stopped, abort) = (stopped.clone(), abort.clone());
                move |_, _| {
                    let (job, registry, state) =
                        (Arc::clone(&job), registry.clone(), state.clone());
                    let (stopped, abort) = (stopped.clone(), abort.clone());
                    let run: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> =
                        Box::pin(async move {
                            if !stopped.is_cancelled() {
                                job.run(&registry, state, abort).await;
                            }
                        });
                    run
                }
            };
            let entry = Job::new_async(cron.as_str(), run).map_err(|_| SchedulerError::Cron {
                job: config.name.clone(),
                cron: config.cron.clone(),
            })?;
            // Added even when disabled: that is what finds out whether the schedule ever comes.
            let id = clockwork.add(entry).await?;
            if clockwork.next_tick_for_job(id).await?.is_none() {
                return Err(SchedulerError::Never {
                    job: config.name.clone(),
                    cron: config.cron.clone(),
                });
            }
            if !config.enabled {
                clockwork.remove(&id).await?;
            }
            scheduled.push(Scheduled {
                state: job,
                id: config.enabled.then_some(id),
            });
        }
        clockwork.start().await?;
        let mut watched = clockwork.clone();
        let ended = stopped.clone();
        tokio::spawn(async move {
            ended.cancelled().await;
            if let Err(error) = watched.shutdown().await {
                tracing::warn!(%error, "the scheduler's clock did not stop");
            }
        });
        Ok(Scheduler {
            clockwork,
            jobs: scheduled,
            stopped,
            abort,
        })
    }

    /// How each job is doing, in the configured order.
    pub async fn status(&self) -> Vec<JobStatus> {
        let mut clockwork = self.clockwork.clone();
        let mut all = Vec::with_capacity(self.jobs.len());
        for job in &self.jobs {
            let next = match job.id {
                Some(id) if !self.stopped.is_cancelled() => {
                    clockwork.next_tick_for_job(id).await.ok().flatten()
                }
                _ => None,
            };
            let next = next.map(|moment| Timestamp::from_millis(moment.timestamp_millis()));
            all.push(job.state.status(next));
        }
        all
    }

    /// Starts no more runs, gives those going on `grace` to finish, and then cancels them.
    pub async fn stop(&self, grace: Duration) {
        self.stopped.cancel();
        let idle = async {
            for job in &self.jobs {
                job.state.idle().await;
            }
        };
        if tokio::time::timeout(grace, idle).await.is_err() {
            tracing::warn!("scheduled jobs were still running after shutdown and are cancelled");
            self.abort.cancel();
            for job in &self.jobs {
                job.state.idle().await;
            }
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

#[cfg(test)]
mod tests;

//! Handing on to the owner what this process may not do itself.

use std::path::Path;
use std::time::Instant;

use super::client::{AskError, Told, ask};
use super::protocol::{Answer, Ask, Call, Failure, OwnerState, Progress, SourceLabel};
use super::{LOOK_AGAIN, PATIENCE};
use crate::app::{App, AppError};
use crate::store::OwnerLock;

/// Where something is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Relayed {
    /// Here: this process owns the ledger, perhaps since a moment ago.
    Here,
    /// The owner did it, or said why not.
    There(Result<Answer, Failure>),
}

impl App {
    /// Hands a call to the owner of the ledger, unless that is this process. Where the owner has
    /// gone this process takes over.
    ///
    /// Errors: [`AppError::ReadOnly`] when there is an owner that does not listen,
    /// [`AppError::OutcomeUnknown`] when it went away over the call, and what can keep this process
    /// from taking over.
    pub async fn relay(
        &self,
        call: Call,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Relayed, AppError> {
        let begun = Instant::now();
        let ask_for = Ask::Call(call);
        loop {
            if self.desk.is_owner() {
                return Ok(Relayed::Here);
            }
            match ask(&self.db, &ask_for, progress).await {
                Ok(told) => return result_of(told).map(Relayed::There),
                Err(AskError::Absent(_)) => match self.desk.own().await {
                    Ok(()) => return Ok(Relayed::Here),
                    Err(AppError::ReadOnly { .. }) if begun.elapsed() < PATIENCE => {
                        tokio::time::sleep(LOOK_AGAIN).await;
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(failed(&self.db, error)),
            }
        }
    }

    /// Asks the owner how it stands. `None` when this process is the owner or nobody answers.
    pub(super) async fn ask_state(&self) -> Option<OwnerState> {
        if self.desk.is_owner() {
            return None;
        }
        match ask(&self.db, &Ask::State, &|_| {}).await {
            Ok(Told::State(state)) => Some(*state),
            _ => None,
        }
    }

    /// How this process stands, as the owner. Errors: the ledger cannot be read.
    pub(super) fn owner_state(&self) -> Result<OwnerState, AppError> {
        Ok(OwnerState {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: self.source_label(),
            rules: self.config.rules_digest(),
            halted: self.desk.halted(),
            events: self.ledger()?.seq(),
        })
    }

    /// Whether a call that came over the socket may be carried out here, and what its asker should
    /// be told. Errors: another kind of source, or this process does not own the ledger.
    pub(super) fn accepts(&self, call: &Call) -> Result<Option<String>, AppError> {
        if !self.desk.is_owner() {
            // It listens only as the owner; a call must not go round in circles.
            return Err(AppError::ReadOnly {
                owner: "another process".to_owned(),
            });
        }
        let (Some(theirs), ours) = (&call.source, self.source_label()) else {
            return Ok(None);
        };
        if theirs.kind != ours.kind {
            return Err(AppError::WrongSource {
                db: self.db.display().to_string(),
                was: ours.kind.as_str(),
                now: theirs.kind.as_str(),
            });
        }
        let any = *theirs == SourceLabel::of_kind(ours.kind);
        Ok((*theirs != ours && !any).then(|| {
            format!(
                "the owner of the ledger (pid {}) works on another source than was named here, and \
                 its own counts: {ours}",
                std::process::id()
            )
        }))
    }

    /// Where this process takes prices from.
    #[must_use]
    pub fn source_label(&self) -> SourceLabel {
        let kind = self.source.kind();
        SourceLabel {
            kind,
            text: self
                .label
                .get()
                .cloned()
                .unwrap_or_else(|| kind.as_str().to_owned()),
        }
    }

    /// Says with which options the source was opened. The first time counts.
    pub fn describe_source(&self, text: String) {
        // Set once, by whoever opens the application.
        let _ = self.label.set(text);
    }
}

/// Asks the owner of the ledger at `db`, for a process that has not opened it; `None` when nobody
/// listens, so that it may open it itself. Errors: [`AppError::OutcomeUnknown`] when the owner went
/// away over the call.
pub async fn ask_owner(
    db: &Path,
    call: Call,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Option<Result<Answer, Failure>>, AppError> {
    match ask(db, &Ask::Call(call), progress).await {
        Ok(told) => result_of(told).map(Some),
        Err(AskError::Absent(_)) => Ok(None),
        Err(error) => Err(failed(db, error)),
    }
}

fn result_of(told: Told) -> Result<Result<Answer, Failure>, AppError> {
    match told {
        Told::Call(result) => Ok(result),
        Told::State(_) => Err(AppError::Other(
            "the owner of the ledger answered another question".to_owned(),
        )),
    }
}

fn failed(db: &Path, error: AskError) -> AppError {
    match error {
        AskError::TooLarge(_) => AppError::BadRequest {
            message: error.to_string(),
            hint: "Shorten the arguments.".to_owned(),
        },
        AskError::Absent(detail) | AskError::Lost(detail) => AppError::OutcomeUnknown {
            owner: owner_words(db),
            detail,
        },
    }
}

/// `pid 4711`, as far as the lock file tells.
fn owner_words(db: &Path) -> String {
    OwnerLock::named_owner(db).map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}"))
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        Failure::new(&error.code(), error.to_string(), error.hint())
    }
}

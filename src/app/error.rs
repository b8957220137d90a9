//! What can keep the application from doing as asked, with what to do about it.

use crate::market_data::DataError;
use crate::store::StoreError;
use crate::trading::desk::DeskError;
use crate::trading::risk::Refusal;

use super::journal::JournalError;

/// Failure of an operation. Nothing of it took effect unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The source did not deliver.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The database could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Events could not be stored: nothing of them counts, and the desk has stopped until a restart.
    #[error(transparent)]
    NotStored(StoreError),
    /// The journal could not be written or read. Nothing was carried out.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The step failed: a fault of ours.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// A limit or rule said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another process owns the ledger.
    #[error(
        "another polymarket-agent process ({owner}) owns this ledger; here it can only be read"
    )]
    ReadOnly {
        /// Who, as far as known.
        owner: String,
    },
    /// Another process owns the ledger, and this is not to be handed on to it.
    #[error("another polymarket-agent process ({owner}) owns this ledger")]
    Owned {
        /// Who, as far as known.
        owner: String,
    },
    /// The owner of the ledger went away over something it was asked for.
    #[error(
        "the process that owned the ledger ({owner}) went away while it worked on this: {detail}; \
         it may or may not have been carried out"
    )]
    OutcomeUnknown {
        /// Who, as far as known.
        owner: String,
        /// What was seen.
        detail: String,
    },
    /// The desk stopped after a failed write, so that memory and disk cannot disagree.
    #[error("trading is halted: {reason}")]
    Halted {
        /// What happened.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// The account in this database trades on another kind of source.
    #[error("the account in {db} was opened on the {was} source and cannot trade on {now}")]
    WrongSource {
        /// Database file.
        db: String,
        /// What it was opened on.
        was: &'static str,
        /// What was asked for.
        now: &'static str,
    },
    /// The source's clock stands before what the account has already seen.
    #[error("the source's clock says {now}, but the account's last event is of {last}")]
    BackInTime {
        /// The source's clock.
        now: crate::domain::Timestamp,
        /// The account's last event.
        last: crate::domain::Timestamp,
    },
    /// The machine's clock is grossly wrong.
    #[error("{}", skew_words(*ahead_ms))]
    ClockSkew {
        /// How far it is ahead of the source's, ms; negative when it is behind.
        ahead_ms: i64,
    },
    /// The configuration makes no sense.
    #[error("configuration: {0}")]
    Config(String),
    /// Something does not exist.
    #[error("{message}")]
    NotFound {
        /// What.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// The question makes no sense.
    #[error("{message}")]
    BadRequest {
        /// Why.
        message: String,
        /// What to do.
        hint: String,
    },
    /// It cannot be done while something else is being done.
    #[error("{message}")]
    Busy {
        /// What is being done.
        message: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// Any other failure, in words.
    #[error("{0}")]
    Other(String),
}

impl AppError {
    /// A step gave what does not belong to its input: a fault of ours.
    pub(super) fn unexpected_output() -> Self {
        AppError::Other("the desk answered another question: a fault of the server".to_owned())
    }

    /// Short name for programs.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            AppError::Data(error) => error.code().to_owned(),
            AppError::Store(error) | AppError::NotStored(error) => error.code().to_owned(),
            AppError::Journal(error) => error.code().to_owned(),
            AppError::Desk(_) => "internal".to_owned(),
            AppError::Refused(refusal) => refusal.code.clone(),
            AppError::ReadOnly { .. } => "read_only".to_owned(),
            AppError::Owned { .. } => "owned".to_owned(),
            AppError::OutcomeUnknown { .. } => "outcome_unknown".to_owned(),
            AppError::Halted { .. } => "halted".to_owned(),
            AppError::WrongSource { .. } => "wrong_source".to_owned(),
            AppError::BackInTime { .. } => "back_in_time".to_owned(),
            AppError::ClockSkew { .. } => "clock_skew".to_owned(),
            AppError::Config(_) => "config".to_owned(),
            AppError::NotFound { .. } => "not_found".to_owned(),
            AppError::BadRequest { .. } => "bad_arguments".to_owned(),
            AppError::Busy { .. } => "busy".to_owned(),
            AppError::Other(_) => "failed".to_owned(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            AppError::Data(error) => error.hint(),
            AppError::Store(error) => error.hint().to_owned(),
            AppError::NotStored(error) => not_stored(error),
            AppError::Journal(error) => error.hint().to_owned(),
            AppError::Desk(_) => {
                "This is a fault of the server, not of the call; nothing was changed.".to_owned()
            }
            AppError::Refused(refusal) => refusal.hint.clone(),
            AppError::ReadOnly { .. } => {
                "It does not answer on its control socket (it may be just starting or ending, or \
                 have none: its log says): try again, stop it, or name another --db."
                    .to_owned()
            }
            AppError::Owned { .. } => {
                "Stop that process and try again, or name another ledger with --db or --account."
                    .to_owned()
            }
            AppError::OutcomeUnknown { .. } => {
                "Look before you repeat it: get_portfolio and get_signal_log show what was done. An \
                 order with a client_order_id can be repeated, it is never placed twice."
                    .to_owned()
            }
            AppError::Halted { hint, .. } => hint.clone(),
            AppError::WrongSource { .. } => {
                "Use another --db for this source, so that simulated and real prices never meet in \
                 one account."
                    .to_owned()
            }
            AppError::BackInTime { .. } => {
                "An account only moves forward: use a later --at, correct the machine's clock, or \
                 use another --db."
                    .to_owned()
            }
            AppError::ClockSkew { .. } => CORRECT_CLOCK.to_owned(),
            AppError::Config(_) => "Correct config.yaml; the one that comes with the program has \
                                    every key, with comments."
                .to_owned(),
            AppError::NotFound { hint, .. } | AppError::Busy { hint, .. } => (*hint).to_owned(),
            AppError::BadRequest { hint, .. } => hint.clone(),
            AppError::Other(_) => "health_check shows the state of the server.".to_owned(),
        }
    }
}

/// What to do after events were not stored. The obstacle alone is not enough: the desk has stopped.
fn not_stored(error: &StoreError) -> String {
    let obstacle = match error {
        StoreError::Full { .. } => "Free space on that disk",
        StoreError::Locked { .. } => "Close the other program that writes to the file",
        // This process owns the ledger and wrote nothing but what it knows of.
        StoreError::Gap { .. } => {
            return "Somebody else has written into the database of this account: find that program \
                    and stop it, see what `polymarket-agent verify` says, then restart the server, \
                    which reads the ledger anew. What was to be stored was not, and nothing is traded \
                    until then."
                .to_owned();
        }
        // Their hints speak of the restart.
        other @ (StoreError::Vanished { .. } | StoreError::Refused { .. }) => {
            return other.hint().to_owned();
        }
        other => {
            return format!(
                "{} Then restart the server: nothing is traded until then.",
                other.hint()
            );
        }
    };
    format!(
        "{obstacle}, then restart the server: nothing was changed, and nothing is traded until then."
    )
}

/// What to do about a clock that is grossly wrong.
pub(super) const CORRECT_CLOCK: &str = "Correct the machine's clock (let it be set over the network); until \
                                        then no order and no tick passes.";

/// How far a clock is off, in words.
pub(super) fn skew_words(ahead_ms: i64) -> String {
    let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
    format!(
        "this machine's clock is {} s {way} the exchange's",
        ahead_ms.unsigned_abs() / 1000
    )
}

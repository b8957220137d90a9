//! The whole state of a ledger as bytes, so that a start need not replay every event.
//!
//! JSON, as the events are: exact for integers and, here, for floats. A state is only ever a short
//! cut. Whoever cannot read one replays the log instead.

use super::{Ledger, LedgerError};

/// Format of [`Ledger::to_checkpoint`]. Count up when the meaning of a field changes; a field that is
/// new or gone is noticed by itself, since every field must be there and no other may.
pub const CHECKPOINT_FORMAT: u32 = 1;

/// A state that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It is not what this version writes.
    #[error("its content is not what this version writes: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It is the state after another event.
    #[error("it is the state after event {found}, not after event {expected}")]
    OtherPlace {
        /// Where it is filed.
        expected: u64,
        /// What it says of itself.
        found: u64,
    },
    /// Its accounts do not balance.
    #[error(transparent)]
    Unsound(#[from] LedgerError),
}

impl Ledger {
    /// The state as bytes. Errors: a number that JSON cannot hold.
    pub fn to_checkpoint(&self) -> Result<Vec<u8>, CheckpointError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The state after event `seq` from [`Ledger::to_checkpoint`]. Errors: see [`CheckpointError`].
    pub fn from_checkpoint(seq: u64, bytes: &[u8]) -> Result<Ledger, CheckpointError> {
        let ledger: Ledger = serde_json::from_slice(bytes)?;
        if ledger.seq != seq {
            return Err(CheckpointError::OtherPlace {
                expected: seq,
                found: ledger.seq,
            });
        }
        ledger.check_balance()?;
        Ok(ledger)
    }
}

//! The ledger from the newest checkpoint that fits and the events after it.

use crate::store::{Store, StoreError};
use crate::trading::desk::DeskError;
use crate::trading::ledger::{CHECKPOINT_FORMAT, Ledger, LedgerError};

use super::AppError;

/// Why a ledger could not be rebuilt from where it was started.
enum Stop {
    Store(StoreError),
    Ledger(LedgerError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Store(error)
    }
}

/// Rebuilds a ledger. A checkpoint that is damaged, of another format or does not fit the log is
/// passed over with a warning; without any the whole log is replayed. Errors: a database that cannot
/// be read, or an event that does not fit.
pub(super) fn rebuild(store: &Store) -> Result<Ledger, AppError> {
    for stored in store.checkpoints()? {
        let seq = stored.seq;
        let restored = stored.state.and_then(|state| {
            if stored.format != CHECKPOINT_FORMAT {
                return Err(format!(
                    "it has format {}, this version reads format {CHECKPOINT_FORMAT}",
                    stored.format
                ));
            }
            Ledger::from_checkpoint(seq, &state).map_err(|error| error.to_string())
        });
        let replayed = match restored {
            Ok(ledger) => replay(store, ledger),
            Err(why) => {
                tracing::warn!(seq, why, "a checkpoint of the ledger was passed over");
                continue;
            }
        };
        match replayed {
            Ok(ledger) => return Ok(ledger),
            Err(Stop::Ledger(error)) => {
                let why = error.to_string();
                tracing::warn!(seq, why, "a checkpoint of the ledger was passed over");
            }
            Err(Stop::Store(error)) => return Err(error.into()),
        }
    }
    replay(store, Ledger::default()).map_err(|stop| match stop {
        Stop::Store(error) => error.into(),
        Stop::Ledger(error) => DeskError::Ledger(error).into(),
    })
}

/// Applies every event after the ledger's last.
fn replay(store: &Store, mut ledger: Ledger) -> Result<Ledger, Stop> {
    store.for_each_event(ledger.seq(), |event| {
        ledger.apply(&event).map_err(Stop::Ledger)
    })?;
    Ok(ledger)
}

/// Writes down the state of `ledger`, whose events are stored already. Errors: it cannot be
/// serialised, or the database does not take it.
pub(super) fn checkpoint(ledger: &Ledger, store: &Store) -> Result<(), AppError> {
    let state = ledger
        .to_checkpoint()
        .map_err(|error| AppError::Other(error.to_string()))?;
    store.save_checkpoint(ledger.seq(), CHECKPOINT_FORMAT, &state)?;
    Ok(())
}

#[cfg(test)]
mod tests;

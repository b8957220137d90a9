//! The whole state of a ledger as bytes, so that a start need not replay every event.
//!
//! JSON, as the events are: exact for integers and, here, for floats. A state is only ever a short
//! cut. Whoever cannot read one replays the log instead.

use super::claims::Claims;
use super::{Ledger, LedgerError};

/// Format of [`Ledger::to_checkpoint`]. Count up when the meaning of a field changes, or an optional
/// one is new; any other field that is new or gone is noticed by itself, since every such field must be
/// there and no other may.
pub const CHECKPOINT_FORMAT: u32 = 2;

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
        let mut ledger: Ledger = serde_json::from_slice(bytes)?;
        ledger.claims = Claims::of(ledger.open_orders());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{LedgerEvent, StampedEvent, Timestamp, Usdc};

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for seq in 1..=3 {
            ledger
                .apply(&StampedEvent {
                    seq,
                    at: Timestamp::from_millis(1_000),
                    event: LedgerEvent::Deposited {
                        amount: Usdc::whole(5),
                    },
                })
                .unwrap();
        }
        ledger
    }

    /// Whoever adds, removes or renames a field comes by here, and counts the format up when an older
    /// state could still be read and would mean something else (an optional field that is new).
    #[test]
    fn the_fields_are_those_of_format_2() {
        let state: serde_json::Value =
            serde_json::from_slice(&Ledger::default().to_checkpoint().unwrap()).unwrap();
        let mut fields: Vec<&str> = state
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "baskets",
                "cash",
                "client_orders",
                "closed_clients",
                "conditionals",
                "conditionals_created",
                "day",
                "day_deposits",
                "deposits",
                "estimates",
                "fees",
                "halt",
                "in_flight",
                "last_at",
                "last_snapshot_at",
                "legs",
                "lives",
                "orders",
                "peak",
                "positions",
                "realized",
                "recent_orders",
                "recent_trades",
                "resting",
                "scoring",
                "seq",
                "settings",
                "signal_strategy",
                "signals",
                "source",
                "stranded",
                "strategies",
                "ticks",
                "used",
            ]
        );
        assert_eq!(CHECKPOINT_FORMAT, 2);
    }

    #[test]
    fn what_is_not_a_state_is_refused() {
        let bytes = ledger().to_checkpoint().unwrap();
        assert_eq!(Ledger::from_checkpoint(3, &bytes).unwrap(), ledger());
        assert!(matches!(
            Ledger::from_checkpoint(4, &bytes),
            Err(CheckpointError::OtherPlace {
                expected: 4,
                found: 3
            })
        ));
        let text = String::from_utf8(bytes).unwrap();
        let more = text.replacen('{', "{\"unheard_of\":1,", 1);
        assert!(matches!(
            Ledger::from_checkpoint(3, more.as_bytes()),
            Err(CheckpointError::Unreadable(_))
        ));
        let less = text.replace("\"ticks\":0,", "");
        assert_ne!(less, text);
        assert!(matches!(
            Ledger::from_checkpoint(3, less.as_bytes()),
            Err(CheckpointError::Unreadable(_))
        ));
        // 15 pUSD paid in, 16 there.
        let richer = text.replacen("\"cash\":15000000", "\"cash\":16000000", 1);
        assert_ne!(richer, text);
        assert!(matches!(
            Ledger::from_checkpoint(3, richer.as_bytes()),
            Err(CheckpointError::Unsound(LedgerError::Unbalanced { .. }))
        ));
    }
}

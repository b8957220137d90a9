//! Stored states of the ledger, so that a start need not replay the whole log.
//!
//! The store does not know what is in them. It keeps the last two, and hands one out only when it is
//! whole and belongs to the log that it stands in: the hash covers the state, its place, its format
//! and the event that it stands at.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::Store;
use super::error::{Fault, StoreError};
use super::events::row_id;

/// How many are kept: should the newest turn out to be damaged, the one before is not far back.
const KEPT: i64 = 2;
/// zstd's fastest ordinary level: a state shrinks to about a tenth, in well under a millisecond for
/// an ordinary account.
const LEVEL: i32 = 1;

/// One stored state of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Number of the last event that it contains.
    pub seq: u64,
    /// Format of the state, as its writer numbered it.
    pub format: u32,
    /// The state; or, when it cannot be used, why.
    pub state: Result<Vec<u8>, String>,
}

impl Store {
    /// Stores the state that the ledger has after event `seq`, and forgets all but the newest two.
    /// Errors: [`StoreError::Refused`] when there is no such event, or what SQLite reports.
    pub fn save_checkpoint(&self, seq: u64, format: u32, state: &[u8]) -> Result<(), StoreError> {
        let packed = zstd::bulk::compress(state, LEVEL).map_err(|error| StoreError::Other {
            path: self.path.clone(),
            detail: format!("a checkpoint cannot be compressed: {error}"),
        })?;
        self.write(|tx| {
            let row = row_id(seq, seq)?;
            let hash = hash(tx, row, format, &packed)?
                .ok_or_else(|| super::events::refused(seq, "there is no such event yet"))?;
            tx.prepare_cached(
                "INSERT INTO checkpoints (seq, format, hash, size, payload) \
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (seq) DO UPDATE SET \
                 format = excluded.format, hash = excluded.hash, size = excluded.size, \
                 payload = excluded.payload",
            )?
            .execute(params![
                row,
                format,
                hash,
                row_id(seq, state.len() as u64)?,
                packed
            ])?;
            // Ones that claim to come after this one are of no log that we know.
            tx.prepare_cached(
                "DELETE FROM checkpoints WHERE seq > ?1 OR seq NOT IN \
                 (SELECT seq FROM checkpoints WHERE seq <= ?1 ORDER BY seq DESC LIMIT ?2)",
            )?
            .execute(params![row, KEPT])?;
            Ok(())
        })
    }

    /// The stored states, newest first, each with its state or with why it cannot be used.
    pub fn checkpoints(&self) -> Result<Vec<StoredCheckpoint>, StoreError> {
        self.read(|tx| all(tx))
    }

    /// Number of the event that the newest checkpoint stands at; 0 without one.
    pub fn last_checkpoint(&self) -> Result<u64, StoreError> {
        self.read(|tx| {
            let seq: i64 = tx
                .prepare_cached("SELECT coalesce(max(seq), 0) FROM checkpoints")?
                .query_row([], |row| row.get(0))?;
            Ok(u64::try_from(seq).unwrap_or(0))
        })
    }
}

/// See [`Store::checkpoints`].
pub(super) fn all(conn: &Connection) -> Result<Vec<StoredCheckpoint>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, format, hash, size, payload FROM checkpoints ORDER BY seq DESC",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let format: i64 = row.get(1)?;
        let stored: String = row.get(2)?;
        let size: i64 = row.get(3)?;
        let packed: Vec<u8> = row.get(4)?;
        let format = u32::try_from(format).unwrap_or(u32::MAX);
        let state = match hash(conn, seq, format, &packed)? {
            None => Err("it stands at an event that is not in the log".to_owned()),
            Some(hash) if hash != stored => {
                Err("its hash does not fit its content and its event".to_owned())
            }
            Some(_) => unpack(&packed, size),
        };
        found.push(StoredCheckpoint {
            seq: u64::try_from(seq).unwrap_or(0),
            format,
            state,
        });
    }
    Ok(found)
}

fn unpack(packed: &[u8], size: i64) -> Result<Vec<u8>, String> {
    let size = usize::try_from(size).map_err(|error| error.to_string())?;
    zstd::bulk::decompress(packed, size).map_err(|error| format!("it cannot be unpacked: {error}"))
}

/// SHA-256 in hex over the state, its place and the event there; `None` when there is no such event.
fn hash(conn: &Connection, seq: i64, format: u32, packed: &[u8]) -> Result<Option<String>, Fault> {
    let event: Option<(i64, String)> = conn
        .prepare_cached("SELECT at_ms, payload FROM events WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(event.map(|(at, payload)| {
        let mut sum = Sha256::new();
        sum.update(seq.to_be_bytes());
        sum.update(format.to_be_bytes());
        sum.update(at.to_be_bytes());
        sum.update(payload.len().to_be_bytes());
        sum.update(payload.as_bytes());
        sum.update(packed);
        sum.finalize().iter().fold(String::new(), |mut text, byte| {
            use std::fmt::Write as _;
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::*;

    fn ledger() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("ledger.db")).unwrap();
        store.append(&stamped(1, (1..=9).map(deposit))).unwrap();
        (dir, store)
    }

    fn tamper(store: &Store, sql: &str) {
        let conn = Connection::open(store.path()).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        conn.execute_batch(sql).unwrap();
    }

    #[test]
    fn the_last_two_are_kept_newest_first() {
        let (_dir, store) = ledger();
        assert_eq!(store.checkpoints().unwrap(), []);
        assert_eq!(store.last_checkpoint().unwrap(), 0);
        for seq in [3, 5, 9] {
            store
                .save_checkpoint(seq, 1, format!("state {seq}").as_bytes())
                .unwrap();
        }
        let state = |seq: u64| StoredCheckpoint {
            seq,
            format: 1,
            state: Ok(format!("state {seq}").into_bytes()),
        };
        assert_eq!(store.checkpoints().unwrap(), [state(9), state(5)]);
        assert_eq!(store.last_checkpoint().unwrap(), 9);

        // Written again after a restart that replayed from the one before.
        store.save_checkpoint(9, 1, b"state 9").unwrap();
        assert_eq!(store.checkpoints().unwrap(), [state(9), state(5)]);
    }

    #[test]
    fn one_of_an_event_to_come_is_refused() {
        let (_dir, store) = ledger();
        let error = store.save_checkpoint(10, 1, b"future").unwrap_err();
        assert_eq!(error.code(), "store_event_refused", "{error}");
        assert_eq!(store.checkpoints().unwrap(), []);
    }

    #[test]
    fn whatever_was_changed_the_state_is_not_handed_out() {
        let hash_fits_not = "its hash does not fit its content and its event";
        for (sql, why) in [
            ("UPDATE checkpoints SET payload = x'00'", hash_fits_not),
            ("UPDATE checkpoints SET format = 2", hash_fits_not),
            ("UPDATE checkpoints SET hash = 'abc'", hash_fits_not),
            ("UPDATE checkpoints SET seq = 8", hash_fits_not),
            (
                "UPDATE events SET at_ms = at_ms + 1 WHERE seq = 9",
                hash_fits_not,
            ),
            (
                "UPDATE checkpoints SET seq = 11",
                "it stands at an event that is not in the log",
            ),
            (
                "UPDATE checkpoints SET size = 3",
                "it cannot be unpacked: Destination buffer is too small: 19 bytes needed, 3 given",
            ),
        ] {
            let (_dir, store) = ledger();
            store.save_checkpoint(9, 1, b"the state of it all").unwrap();
            tamper(&store, sql);
            let found = store.checkpoints().unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].state, Err(why.to_owned()), "{sql}");
        }
    }

    #[test]
    fn one_from_the_future_goes_with_the_next_that_is_written() {
        let (_dir, store) = ledger();
        store.save_checkpoint(5, 1, b"five").unwrap();
        tamper(
            &store,
            "INSERT INTO checkpoints SELECT 4000, format, hash, size, payload FROM checkpoints",
        );
        assert_eq!(store.checkpoints().unwrap()[0].seq, 4000);
        store.save_checkpoint(9, 1, b"nine").unwrap();
        let kept: Vec<u64> = store.checkpoints().unwrap().iter().map(|c| c.seq).collect();
        assert_eq!(kept, [9, 5]);
    }
}

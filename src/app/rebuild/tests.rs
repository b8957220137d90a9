//! A checkpoint is a short cut and nothing else.

use rusqlite::Connection;

use super::*;
use crate::domain::{LedgerEvent, StampedEvent, Timestamp, Usdc};

struct Log {
    dir: tempfile::TempDir,
    store: Store,
    ledger: Ledger,
}

impl Log {
    /// Ten deposits, with checkpoints after the fourth and the eighth.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log {
            store: Store::open(dir.path().join("ledger.db")).unwrap(),
            ledger: Ledger::default(),
            dir,
        };
        for seq in 1..=10 {
            log.add(seq);
            if seq == 4 || seq == 8 {
                checkpoint(&log.ledger, &log.store).unwrap();
            }
        }
        log
    }

    fn add(&mut self, seq: u64) {
        let event = StampedEvent {
            seq,
            at: Timestamp::from_millis(1_000),
            event: LedgerEvent::Deposited {
                amount: Usdc::whole(1),
            },
        };
        self.ledger.apply(&event).unwrap();
        self.store.append(&[event]).unwrap();
    }

    fn sql(&self, sql: &str) {
        let conn = Connection::open(self.dir.path().join("ledger.db")).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        conn.execute_batch(sql).unwrap();
    }
}

#[test]
fn the_newest_checkpoint_is_used_and_only_later_events_are_read() {
    let log = Log::new();
    assert_eq!(rebuild(&log.store).unwrap(), log.ledger);
    // What lies before it is not looked at: the proof that it was a short cut.
    log.sql("UPDATE events SET payload = 'lost' WHERE seq <= 7");
    assert_eq!(rebuild(&log.store).unwrap(), log.ledger);
    log.sql("UPDATE checkpoints SET payload = x'00' WHERE seq = 8");
    let error = rebuild(&log.store).unwrap_err();
    assert_eq!(
        error.code(),
        "store_corrupt",
        "the one before needs events 5 to 7"
    );
    log.sql("UPDATE events SET payload = (SELECT payload FROM events WHERE seq = 9)");
    assert_eq!(rebuild(&log.store).unwrap().cash(), Usdc::whole(10));
}

#[test]
fn without_a_usable_checkpoint_the_log_is_replayed() {
    for sql in [
        "DELETE FROM checkpoints",
        "UPDATE checkpoints SET payload = x'0102'",
        "UPDATE checkpoints SET format = 99",
        "UPDATE checkpoints SET seq = seq + 1000",
        "UPDATE checkpoints SET hash = ''",
    ] {
        let log = Log::new();
        log.sql(sql);
        assert_eq!(rebuild(&log.store).unwrap(), log.ledger, "{sql}");
    }
}

#[test]
fn one_of_another_format_is_passed_over_though_it_is_whole() {
    let log = Log::new();
    log.store
        .save_checkpoint(10, CHECKPOINT_FORMAT + 1, b"{\"of\":\"tomorrow\"}")
        .unwrap();
    assert_eq!(rebuild(&log.store).unwrap(), log.ledger);
}

#[test]
fn one_that_later_events_do_not_fit_is_passed_over() {
    let log = Log::new();
    let mut richer = Ledger::default();
    for seq in 1..=8 {
        richer
            .apply(&StampedEvent {
                seq,
                at: Timestamp::from_millis(1_000),
                event: LedgerEvent::Deposited {
                    amount: Usdc::from_micros(i64::MAX / 8),
                },
            })
            .unwrap();
    }
    // Whole, balanced, at its place; but the next deposit does not fit into 64 bits any more.
    checkpoint(&richer, &log.store).unwrap();
    log.sql(
        "UPDATE events SET payload = '{\"kind\":\"deposited\",\"amount\":9000000000000000000}' \
         WHERE seq = 9",
    );
    let rebuilt = rebuild(&log.store).unwrap();
    assert_eq!(rebuilt.cash(), Usdc::from_micros(9_000_000_000_009_000_000));
}

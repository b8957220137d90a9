//! Each table is compared with what the log makes of it.

use super::*;
use crate::domain::{ConditionalKind, LedgerEvent, Side};
use crate::store::testing::*;

/// A judge that finds everything good, or not what it was told to mind.
#[derive(Default)]
struct Lenient {
    minds_event: Option<u64>,
    minds_states: bool,
}

impl Judge for Lenient {
    fn event(&mut self, event: &StampedEvent) -> Result<(), String> {
        if Some(event.seq) == self.minds_event {
            return Err("not to my taste".to_owned());
        }
        Ok(())
    }

    fn checkpoint(&mut self, _: u32, _: &[u8]) -> Result<(), String> {
        if self.minds_states {
            return Err("another state".to_owned());
        }
        Ok(())
    }
}

fn ledger() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("ledger.db")).unwrap();
    store
        .append(&stamped(
            1,
            [
                deposit(100),
                signal(1, "a"),
                fill("a", "71321", Side::Buy, "0.5", "10", "0.01"),
                LedgerEvent::SignalExecuted { signal_id: 1 },
                conditional(1, ConditionalKind::TrailingStop),
                LedgerEvent::Marked {
                    marks: vec![("71321".into(), price("0.51"))],
                },
                snapshot("94.99", "100.09"),
                fill("a", "71321", Side::Sell, "0.6", "4", "0"),
            ],
        ))
        .unwrap();
    store.save_checkpoint(6, 1, b"six").unwrap();
    (dir, store)
}

fn audit(store: &Store) -> Audit {
    store.audit(&mut Lenient::default()).unwrap()
}

fn tampered(sql: &str) -> Vec<(String, String)> {
    let (_dir, store) = ledger();
    let conn = Connection::open(store.path()).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(sql).unwrap();
    audit(&store)
        .findings
        .into_iter()
        .map(|finding| (finding.place, finding.detail))
        .collect()
}

#[test]
fn a_sound_database_is_found_sound_while_it_is_written_to() {
    let (_dir, store) = ledger();
    let beside = Store::open_read_only(store.path()).unwrap();
    let found = beside.audit(&mut Lenient::default()).unwrap();
    assert_eq!(found.findings, []);
    assert_eq!((found.events, found.checkpoints), (8, 1));
    assert_eq!(found.last_at, Some(at(8)));
    for (table, rows) in [
        ("trades", 2),
        ("signal_log", 1),
        ("portfolio_snapshots", 1),
        ("conditional_orders", 1),
        ("positions", 1),
        ("orders", 0),
        ("estimates", 0),
        ("refusals", 0),
    ] {
        assert_eq!(found.rows[table], rows, "{table}");
    }
}

#[test]
fn the_row_that_does_not_fit_is_named() {
    for (sql, place, detail) in [
        (
            "UPDATE trades SET price = 0.4 WHERE id = 2",
            "trades row 2",
            "price is 0.4, but the events say 0.6",
        ),
        (
            "DELETE FROM trades WHERE id = 1",
            "trades row 1",
            "it is missing",
        ),
        (
            "UPDATE trades SET id = 9 WHERE id = 2",
            "trades row 2",
            "it is missing",
        ),
        (
            "INSERT INTO signal_log SELECT 2, timestamp, strategy, market_id, token_id, side, \
             confidence, size, status, reason, fair_price, edge, price, outcome, rejection, \
             price_micros, size_micros, at_ms, event_seq FROM signal_log",
            "signal_log row 2",
            "no event made it",
        ),
        (
            "UPDATE signal_log SET status = 'rejected', rejection = 'no'",
            "signal_log row 1",
            "status is \"rejected\", but the events say \"executed\"",
        ),
        (
            "UPDATE portfolio_snapshots SET balance_micros = balance_micros + 1",
            "portfolio_snapshots row 1",
            "balance_micros is 94990001, but the events say 94990000",
        ),
        (
            "UPDATE conditional_orders SET high_watermark = NULL",
            "conditional_orders row 1",
            "high_watermark is empty, but the events say 0.5",
        ),
        (
            "UPDATE positions SET cost_micros = 1",
            "positions row \"71321\"",
            "cost_micros is 1, but the events say 3000000",
        ),
        (
            "INSERT INTO refusals (timestamp, strategy, market_id, token_id, code, message, at_ms, \
             event_seq) VALUES ('', 'a', 'b', 'c', 'd', 'e', 0, 1)",
            "refusals row 1",
            "no event made it",
        ),
    ] {
        assert_eq!(
            tampered(sql),
            [(place.to_owned(), detail.to_owned())],
            "{sql}"
        );
    }
}

#[test]
fn the_event_that_does_not_fit_is_named_and_ends_the_search() {
    for (sql, place, detail) in [
        (
            "DELETE FROM events WHERE seq = 4",
            "event 4",
            "it is not in the log; the next one is event 5",
        ),
        (
            "UPDATE events SET kind = 'deposited' WHERE seq = 6",
            "event 6",
            "it is filed under deposited, but is marked",
        ),
        (
            "UPDATE events SET payload = json_set(payload, '$.fill.shares', 99000000) WHERE seq = 8",
            "event 8",
            "event 8 was refused: 99 shares of token 71321 are given away, 10 are held",
        ),
    ] {
        assert_eq!(
            tampered(sql),
            [(place.to_owned(), detail.to_owned())],
            "{sql}"
        );
    }
    let unreadable = tampered("UPDATE events SET payload = '{\"kind\":\"no\"}' WHERE seq = 3");
    assert_eq!(unreadable.len(), 1);
    assert_eq!(unreadable[0].0, "event 3");
    assert!(
        unreadable[0].1.contains("unknown variant"),
        "{unreadable:?}"
    );

    let (_dir, store) = ledger();
    let mut judge = Lenient {
        minds_event: Some(5),
        ..Lenient::default()
    };
    let found = store.audit(&mut judge).unwrap();
    assert_eq!(found.events, 4);
    assert_eq!(found.findings[0].place, "event 5");
    assert_eq!(found.findings[0].detail, "not to my taste");
}

#[test]
fn a_checkpoint_that_does_not_fit_is_named() {
    assert_eq!(
        tampered("UPDATE checkpoints SET hash = 'x'"),
        [(
            "checkpoint 6".to_owned(),
            "its hash does not fit its content and its event".to_owned()
        )]
    );
    assert_eq!(
        tampered("UPDATE checkpoints SET seq = 77"),
        [(
            "checkpoint 77".to_owned(),
            "it stands at an event that is not in the log".to_owned()
        )]
    );
    let (_dir, store) = ledger();
    let mut judge = Lenient {
        minds_states: true,
        ..Lenient::default()
    };
    let found = store.audit(&mut judge).unwrap();
    assert_eq!(found.findings[0].place, "checkpoint 6");
    assert_eq!(found.findings[0].detail, "another state");
    assert_eq!(found.events, 8, "the search goes on");
}

#[test]
fn damaged_pages_are_named_first() {
    let (dir, store) = ledger();
    store
        .append(&stamped(9, (0..2000).map(|_| deposit(1))))
        .unwrap();
    let path = store.path().to_path_buf();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 4096].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let found = Store::open_read_only(&path)
        .unwrap()
        .audit(&mut Lenient::default());
    match found {
        Ok(audit) => {
            assert_eq!(audit.findings[0].place, "file");
            assert_eq!(audit.events, 0);
        }
        Err(error) => assert_eq!(error.code(), "store_corrupt", "{error}"),
    }
    drop(dir);
}

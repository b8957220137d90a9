//! A database of schema 1, as version 1.0 left it, becomes one of today.

use std::path::PathBuf;

use super::*;
use crate::store::{
    EstimateQuery, OrderQuery, OwnerLock, RefusalQuery, RowQuery, Store, StoreError,
};

/// Events in the words of version 1.0: no queue, no side of a refusal, no proceeds of a trigger.
const EVENTS: [(&str, &str); 12] = [
    (
        "account_opened",
        r#"{"kind":"account_opened","source":"sandbox"}"#,
    ),
    ("deposited", r#"{"kind":"deposited","amount":1000000000}"#),
    (
        "order_accepted",
        r#"{"kind":"order_accepted","order":{"id":1,"client_order_id":"a-1","signal_id":null,"strategy":"mcp_manual","market_id":"7","token_id":"71","outcome":"Yes","side":"buy","limit":500000,"shares":10000000,"order_type":"fak","basket":null,"reason":"asked","stop_loss":null,"take_profit":null,"trail_percent":null}}"#,
    ),
    (
        "filled",
        r#"{"kind":"filled","fill":{"order_id":1,"strategy":"mcp_manual","market_id":"7","token_id":"71","outcome":"Yes","side":"buy","price":400000,"shares":4000000,"notional":1600000,"fee":10000,"maker":false,"reason":"asked"}}"#,
    ),
    (
        "filled",
        r#"{"kind":"filled","fill":{"order_id":1,"strategy":"mcp_manual","market_id":"7","token_id":"71","outcome":"Yes","side":"buy","price":500000,"shares":4000000,"notional":2000000,"fee":20000,"maker":false,"reason":"asked"}}"#,
    ),
    (
        "order_closed",
        r#"{"kind":"order_closed","order_id":1,"outcome":"partially_filled","unfilled":2000000,"reason":"the book held no more"}"#,
    ),
    (
        "order_refused",
        r#"{"kind":"order_refused","strategy":"market_maker","market_id":"7","token_id":"71","code":"max_position_size","message":"40 pUSD, at most 25"}"#,
    ),
    (
        "order_accepted",
        r#"{"kind":"order_accepted","order":{"id":2,"client_order_id":null,"signal_id":3,"strategy":"market_maker","market_id":"7","token_id":"71","outcome":"Yes","side":"sell","limit":600000,"shares":5000000,"order_type":"post_only","basket":null,"reason":"quote","stop_loss":null,"take_profit":null,"trail_percent":null}}"#,
    ),
    (
        "order_rested",
        r#"{"kind":"order_rested","order_id":2,"remaining":5000000}"#,
    ),
    (
        "estimate_stored",
        r#"{"kind":"estimate_stored","estimate":{"market_id":"7","token_id":"71","outcome":"Yes","probability":0.62,"confidence":null,"author":"an agent","rationale":"it rains","ask_then":410000,"bid_then":null,"created_at":1772179209000,"expires_at":1772265609000}}"#,
    ),
    (
        "conditional_created",
        r#"{"kind":"conditional_created","conditional":{"id":1,"token_id":"71","market_id":"7","kind":"stop_loss","trigger_price":300000,"shares":8000000,"high_watermark":null,"trail_percent":null,"parent_strategy":"mcp_manual","reason":"guard","created_at":1772179210000}}"#,
    ),
    (
        "tick_completed",
        r#"{"kind":"tick_completed","tick":1,"markets":5,"signals":0,"fills":0}"#,
    ),
];
const AT: i64 = 1_772_179_200_000;

/// Writes the file as version 1.0 would have.
fn of_version_one() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(ONE).unwrap();
    conn.pragma_update(None, "application_id", APPLICATION_ID)
        .unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    for (seq, (kind, payload)) in (1_i64..).zip(EVENTS) {
        conn.execute(
            "INSERT INTO events (seq, at_ms, kind, payload) VALUES (?1, ?2, ?3, ?4)",
            rusqlite::params![seq, AT + seq * 1000, kind, payload],
        )
        .unwrap();
    }
    conn.execute_batch(
        "INSERT INTO trades (timestamp, strategy, market_id, token_id, side, price, size, reason, \
         shares, fee, outcome, order_id, maker, entry_strategy, price_micros, size_micros, \
         shares_micros, fee_micros, at_ms, event_seq) VALUES \
         ('2026-02-27T08:00:04.000Z', 'mcp_manual', '7', '71', 'buy', 0.4, 1.6, 'asked', 4, 0.01, \
         'Yes', 1, 0, 'mcp_manual', 400000, 1600000, 4000000, 10000, 1772179204000, 4), \
         ('2026-02-27T08:00:05.000Z', 'mcp_manual', '7', '71', 'buy', 0.5, 2.0, 'asked', 4, 0.02, \
         'Yes', 1, 0, 'mcp_manual', 500000, 2000000, 4000000, 20000, 1772179205000, 5);
         INSERT INTO positions (token_id, market_id, outcome, shares_micros, cost_micros, \
         entry_strategy, opened_at_ms) VALUES \
         ('71', '7', 'Yes', 8000000, 3600000, 'mcp_manual', 1772179204000);
         INSERT INTO conditional_orders (id, created_at, token_id, market_id, order_type, \
         trigger_price, size, parent_strategy, reason, trigger_price_micros, size_micros, \
         created_at_ms, event_seq) VALUES (1, '2026-02-27T08:00:10.000Z', '71', '7', 'stop_loss', \
         0.3, 8, 'mcp_manual', 'guard', 300000, 8000000, 1772179210000, 11);
         INSERT INTO market_names VALUES ('7', 'Will it rain?');",
    )
    .unwrap();
    (dir, path)
}

#[test]
fn a_database_of_version_1_keeps_its_data_and_gains_the_new_tables() {
    let (_dir, path) = of_version_one();
    let error = Store::open_read_only(&path).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::OlderSchema {
                found: 1,
                needed: 3,
                ..
            }
        ),
        "{error}"
    );

    let _lock = OwnerLock::acquire(&path).unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.last_seq().unwrap(), 12);
    assert_eq!(store.trades(&RowQuery::newest(9)).unwrap().len(), 2);
    assert_eq!(store.positions().unwrap()[0].cost.micros(), 3_600_000);
    assert_eq!(
        store.question_of("7").unwrap().as_deref(),
        Some("Will it rain?")
    );
    let conditional = &store.conditional_orders(true).unwrap()[0];
    assert_eq!((conditional.proceeds, conditional.group), (None, None));

    let orders = store
        .orders(&OrderQuery {
            limit: 9,
            ..OrderQuery::default()
        })
        .unwrap();
    assert_eq!(orders.len(), 2);
    let (quote, bought) = (&orders[0], &orders[1]);
    assert_eq!((quote.id, quote.status.as_str()), (2, "resting"));
    assert_eq!(quote.signal_id, Some(3));
    assert_eq!(quote.remaining.micros(), 5_000_000);
    assert_eq!(quote.queue_ahead.map(|queue| queue.micros()), Some(0));
    assert_eq!((bought.id, bought.status.as_str()), (1, "partially_filled"));
    assert_eq!(bought.client_order_id.as_deref(), Some("a-1"));
    // 4 × 0.40 + 4 × 0.50 = 3.60 for 8 shares: 0.45 a share; fees 0.01 + 0.02.
    assert_eq!(bought.filled.micros(), 8_000_000);
    assert_eq!(bought.remaining.micros(), 2_000_000);
    assert_eq!(bought.notional.micros(), 3_600_000);
    assert_eq!(bought.fees.micros(), 30_000);
    assert!((bought.avg_price.unwrap() - 0.45).abs() < 1e-12);
    assert_eq!(
        bought.close_reason.as_deref(),
        Some("the book held no more")
    );
    assert_eq!(bought.created_at.millis(), AT + 3_000);
    assert_eq!(bought.updated_at.millis(), AT + 6_000);

    let estimates = store
        .estimates(&EstimateQuery {
            limit: 9,
            ..EstimateQuery::default()
        })
        .unwrap();
    assert_eq!(estimates.len(), 1);
    assert_eq!(estimates[0].author, "an agent");
    assert_eq!(estimates[0].probability, 0.62);
    assert_eq!(estimates[0].ask_then.map(|ask| ask.micros()), Some(410_000));
    assert_eq!(estimates[0].brier, None);
    let refusals = store
        .refusals(&RefusalQuery {
            limit: 9,
            ..RefusalQuery::default()
        })
        .unwrap();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].code, "max_position_size");
    assert_eq!(refusals[0].side, None);

    drop(store);
    let again = Store::open(&path).unwrap();
    assert_eq!(again.last_seq().unwrap(), 12, "migrated once");
    assert!(Store::open_read_only(&path).is_ok());
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let (_dir, path) = of_version_one();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("UPDATE events SET payload = '{}' WHERE seq = 10")
        .unwrap();
    drop(conn);
    let error = Store::open(&path).unwrap_err();
    assert_eq!(error.code(), "store_corrupt", "{error}");
    let conn = Connection::open(&path).unwrap();
    let (version, tables): (i64, i64) = (
        conn.query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap(),
        conn.query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name IN ('orders', 'checkpoints')",
            [],
            |row| row.get(0),
        )
        .unwrap(),
    );
    assert_eq!((version, tables), (1, 0));
}

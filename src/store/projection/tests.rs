//! What events do to the tables, with numbers worked out by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::{
    ConditionalKind, ConditionalSale, LedgerEvent, Price, Shares, Side, StampedEvent, Usdc,
};
use crate::store::testing::*;
use crate::store::{RowQuery, Store, StoreError};

fn with(events: impl IntoIterator<Item = LedgerEvent>) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("ledger.db")).unwrap();
    store.append(&stamped(1, events)).unwrap();
    (dir, store)
}

#[test]
fn fills_and_settlements_become_trades_with_exact_profit() {
    let (_dir, store) = with([
        // 1 × 0.4 + 2 × 0.3 = 1.0 for 3 shares: thirds that do not come out even.
        fill("signal_trader", "71321", Side::Buy, "0.4", "1", "0.012"),
        fill("market_maker", "71321", Side::Buy, "0.3", "2", "0.01"),
        fill("conditional", "71321", Side::Sell, "0.5", "1", "0.0125"),
        fill("mcp_manual", "71321", Side::Sell, "0.5", "1", "0.0125"),
        LedgerEvent::Settled {
            market_id: "559652".into(),
            token_id: "71321".into(),
            payout: Price::ONE,
            shares: Shares::whole(1),
            proceeds: Usdc::whole(1),
            evidence: "the venue says Yes".to_owned(),
        },
    ]);
    let trades = store.trades(&RowQuery::newest(10)).unwrap();
    let seen: Vec<_> = trades
        .iter()
        .map(|row| {
            (
                row.id,
                row.strategy.as_str(),
                row.side.as_str(),
                row.size.to_string(),
                row.realised_pnl.map(|pnl| pnl.to_string()),
            )
        })
        .collect();
    let pnl = |text: &str| Some(text.to_owned());
    assert_eq!(
        seen,
        [
            // 1 − 0.333334, all that is left of the cost
            (
                5,
                "signal_trader",
                "settle",
                "1".to_owned(),
                pnl("0.666666")
            ),
            // 0.5 − floor(0.666667 / 2)
            (4, "mcp_manual", "sell", "0.5".to_owned(), pnl("0.166667")),
            // 0.5 − floor(1 / 3)
            (3, "conditional", "sell", "0.5".to_owned(), pnl("0.166667")),
            (2, "market_maker", "buy", "0.6".to_owned(), None),
            (1, "signal_trader", "buy", "0.4".to_owned(), None),
        ]
    );
    assert!(
        trades
            .iter()
            .all(|row| row.entry_strategy == "signal_trader")
    );
    assert_eq!(trades[0].reason, "the venue says Yes");
    assert_eq!(trades[0].outcome, "Yes");
    assert_eq!((trades[0].order_id, trades[1].order_id), (None, Some(7)));
    assert_eq!(trades[0].price, Price::ONE);
    assert!(store.positions().unwrap().is_empty());

    let stats = store.strategy_stats().unwrap();
    let trader = &stats["signal_trader"];
    // 0.666666 + 0.166667 + 0.166667; fees 0.012 + 0.01 + 0.0125 + 0.0125
    assert_eq!(trader.realised_pnl, usdc("1"));
    assert_eq!(trader.position_fees, usdc("0.047"));
    assert_eq!((trader.fills, trader.fees), (1, usdc("0.012")));
    assert_eq!(trader.trade_volume, usdc("0.4"));
    assert_eq!(trader.first_trade_at, Some(at(1)));
    assert_eq!(trader.last_trade_at, Some(at(1)));
    let maker = &stats["market_maker"];
    assert_eq!((maker.fills, maker.realised_pnl), (1, Usdc::ZERO));
    assert_eq!(stats["conditional"].trade_volume, usdc("0.5"));
}

#[test]
fn the_tables_keep_the_columns_of_the_original() {
    let (_dir, store) = with([
        fill(
            "signal_trader",
            "71321",
            Side::Buy,
            "0.155",
            "78.4635",
            "0.4",
        ),
        signal(1, "signal_trader"),
        snapshot("987.43816", "999.5"),
        conditional(1, ConditionalKind::StopLoss),
    ]);
    let conn = rusqlite::Connection::open(store.path()).unwrap();
    let row = |sql: &str, columns: usize| -> Vec<rusqlite::types::Value> {
        conn.query_row(sql, [], |row| {
            (0..columns).map(|index| row.get(index)).collect()
        })
        .unwrap()
    };
    use rusqlite::types::Value::{Integer, Null, Real, Text};
    let text = |text: &str| Text(text.to_owned());
    assert_eq!(
        row(
            "SELECT id, timestamp, strategy, market_id, token_id, side, price, size, reason, \
             size_micros, event_seq FROM trades",
            11
        ),
        [
            Integer(1),
            text("2026-02-27T08:00:01.000Z"),
            text("signal_trader"),
            text("559652"),
            text("71321"),
            text("buy"),
            Real(0.155),
            // 78.4635 × 0.155 = 12.1618425, floored
            Real(12.161842),
            text("because"),
            Integer(12_161_842),
            Integer(1),
        ]
    );
    assert_eq!(
        row(
            "SELECT id, timestamp, strategy, market_id, token_id, side, confidence, size, status, \
             reason, fair_price, edge, price, outcome FROM signal_log",
            14
        ),
        [
            Integer(1),
            text("2026-02-27T08:00:02.000Z"),
            text("signal_trader"),
            text("559652"),
            text("71321"),
            text("buy"),
            Real(0.62),
            Real(25.0),
            text("generated"),
            text("model says so"),
            Real(0.58),
            Real(0.021),
            Real(0.55),
            text("Yes"),
        ]
    );
    assert_eq!(
        row(
            "SELECT id, timestamp, balance, total_value, balance_micros FROM portfolio_snapshots",
            5
        ),
        [
            Integer(1),
            text("2026-02-27T08:00:03.000Z"),
            Real(987.43816),
            Real(999.5),
            Integer(987_438_160),
        ]
    );
    assert_eq!(
        row(
            "SELECT id, created_at, triggered_at, token_id, market_id, order_type, status, \
             trigger_price, size, high_watermark, trail_percent, parent_strategy, reason \
             FROM conditional_orders",
            13
        ),
        [
            Integer(1),
            text("2026-02-27T08:00:00.000Z"),
            Null,
            text("71321"),
            text("559652"),
            text("stop_loss"),
            text("active"),
            Real(0.4),
            Real(10.0),
            Null,
            Null,
            text("mcp_manual"),
            text("guard"),
        ]
    );
    let kinds: String = conn
        .query_row(
            "SELECT group_concat(kind) FROM events WHERE kind = json_extract(payload, '$.kind')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(
        kinds,
        "filled,signal_generated,snapshot_taken,conditional_created"
    );
}

#[test]
fn a_signal_is_one_line_whatever_becomes_of_it() {
    let rejected = |id, reason: &str| LedgerEvent::SignalRejected {
        signal_id: id,
        reason: reason.to_owned(),
    };
    let (_dir, store) = with([
        signal(1, "a"),
        signal(2, "a"),
        signal(3, "a"),
        signal(4, "b"),
        LedgerEvent::SignalExecuted { signal_id: 1 },
        rejected(1, "the rest was dropped"),
        rejected(2, "daily loss"),
        rejected(4, "no depth"),
        LedgerEvent::SignalExecuted { signal_id: 4 },
    ]);
    let log: Vec<_> = store
        .signals(&RowQuery::newest(10))
        .unwrap()
        .into_iter()
        .map(|row| (row.id, row.status, row.rejection))
        .collect();
    assert_eq!(
        log,
        [
            (4, "executed".to_owned(), None),
            (3, "generated".to_owned(), None),
            (2, "rejected".to_owned(), Some("daily loss".to_owned())),
            (1, "executed".to_owned(), None),
        ]
    );
    let stats = store.strategy_stats().unwrap();
    let counts = |name: &str| {
        let stats = &stats[name];
        (
            stats.signals_generated,
            stats.signals_executed,
            stats.signals_rejected,
        )
    };
    assert_eq!(counts("a"), (3, 1, 1));
    assert_eq!(counts("b"), (1, 1, 0));
    assert_eq!(store.count_signals_since(at(3)).unwrap(), 2);
}

#[test]
fn a_snapshot_shows_the_positions_of_its_moment() {
    let (_dir, store) = with([
        fill("a", "71321", Side::Buy, "0.5", "10", "0"),
        fill("b", "71321", Side::Buy, "0.62", "5", "0"),
        LedgerEvent::Marked {
            marks: vec![("71321".into(), price("0.55")), ("9".into(), price("0.1"))],
        },
        snapshot("991.9", "1000.15"),
        fill("b", "71321", Side::Sell, "0.7", "15", "0"),
        snapshot("1002.4", "1002.4"),
    ]);
    let snapshots = store.snapshots(10, None).unwrap();
    assert_eq!(snapshots.len(), 2);
    assert_eq!(snapshots[0].positions_json, "{}");
    assert_eq!(snapshots[1].total_value, usdc("1000.15"));
    // 5 + 3.1 = 8.1 for 15 shares: 0.54 on average
    assert_eq!(
        snapshots[1].positions_json,
        r#"{"71321":{"market_id":"559652","outcome":"Yes","shares":15.0,"avg_price":0.54,"current_price":0.55,"opened_at":"2026-02-27T08:00:01Z","entry_strategy":"a"}}"#
    );
    let parsed = snapshots[1].positions().unwrap();
    assert_eq!(parsed["71321"].current_price, Some(0.55));
    let older = store.snapshots(10, Some(snapshots[0].id)).unwrap();
    assert_eq!(older, snapshots[1..]);
}

#[test]
fn conditional_orders_follow_their_events() {
    let (_dir, store) = with([
        conditional(1, ConditionalKind::StopLoss),
        conditional(2, ConditionalKind::TrailingStop),
        conditional(3, ConditionalKind::TakeProfit),
        LedgerEvent::WatermarkRaised {
            id: 2,
            watermark: price("0.6"),
        },
        LedgerEvent::ConditionalReduced {
            id: 2,
            shares: Shares::whole(4),
            sale: None,
        },
        LedgerEvent::ConditionalTriggered {
            id: 1,
            bid: price("0.39"),
            sold: Shares::whole(10),
            proceeds: None,
            trigger: None,
        },
        LedgerEvent::ConditionalCancelled {
            id: 3,
            reason: "position is gone".to_owned(),
        },
    ]);
    let all = store.conditional_orders(false).unwrap();
    assert_eq!(all.iter().map(|row| row.id).collect::<Vec<_>>(), [3, 2, 1]);
    let active = store.conditional_orders(true).unwrap();
    assert_eq!(active, all[1..2]);
    assert_eq!(active[0].high_watermark, Some(price("0.6")));
    assert_eq!(active[0].trail_percent, Some(price("0.1")));
    assert_eq!(active[0].size, Shares::whole(4));
    let fired = &all[2];
    assert_eq!(fired.status, "triggered");
    assert_eq!(fired.triggered_at, Some(at(6)));
    assert_eq!(fired.triggered_bid, Some(price("0.39")));
    assert_eq!(fired.sold, Some(Shares::whole(10)));
    let gone = &all[0];
    assert_eq!(
        (gone.status.as_str(), gone.triggered_at),
        ("cancelled", None)
    );
    assert_eq!(gone.cancelled_at, Some(at(7)));
    assert_eq!(gone.cancel_reason.as_deref(), Some("position is gone"));

    let twice = stamped(
        8,
        [LedgerEvent::ConditionalTriggered {
            id: 1,
            bid: price("0.38"),
            sold: Shares::whole(10),
            proceeds: None,
            trigger: None,
        }],
    );
    assert_eq!(
        store.append(&twice).unwrap_err().to_string(),
        "event 8 was refused: there is no active conditional order 1"
    );
}

#[test]
fn pages_and_strategies_can_be_chosen() {
    let (_dir, store) = with((0..6).map(|n| {
        let strategy = if n % 2 == 0 { "even" } else { "odd" };
        fill(strategy, "71321", Side::Buy, "0.5", "1", "0")
    }));
    let ids = |query: &RowQuery| -> Vec<i64> {
        store
            .trades(query)
            .unwrap()
            .iter()
            .map(|row| row.id)
            .collect()
    };
    assert_eq!(ids(&RowQuery::newest(2)), [6, 5]);
    let mut query = RowQuery {
        limit: 2,
        before: Some(5),
        strategy: None,
    };
    assert_eq!(ids(&query), [4, 3]);
    query.strategy = Some("even".to_owned());
    assert_eq!(ids(&query), [3, 1]);
    query.strategy = Some("nobody' OR 1=1 --".to_owned());
    assert!(ids(&query).is_empty());
    assert!(ids(&RowQuery::newest(0)).is_empty());
}

#[test]
fn rows_are_plain_numbers_and_utc_text_in_json() {
    let (_dir, store) = with([fill("a", "71321", Side::Buy, "0.155", "78.46", "0.4")]);
    let row = &store.trades(&RowQuery::newest(1)).unwrap()[0];
    assert_eq!(
        serde_json::to_string(row).unwrap(),
        r#"{"id":1,"timestamp":"2026-02-27T08:00:01Z","strategy":"a","market_id":"559652","token_id":"71321","side":"buy","price":0.155,"size":12.1613,"reason":"because","shares":78.46,"fee":0.4,"outcome":"Yes","order_id":7,"maker":false,"entry_strategy":"a","realised_pnl":null}"#
    );
    let schema = serde_json::to_value(schemars::schema_for!(crate::store::TradeRow)).unwrap();
    assert_eq!(schema["properties"]["size"]["type"], "number");
    assert_eq!(schema["properties"]["timestamp"]["type"], "string");
    assert_eq!(schema["properties"]["side"]["enum"][2], "settle");
}

/// One step of a random session: which token, buy or sell, price, and shares (for a sale the part
/// of the holding, in thousandths).
fn steps() -> impl Strategy<Value = Vec<(usize, bool, u32, i64)>> {
    proptest::collection::vec(
        (
            0..3_usize,
            any::<bool>(),
            1..1_000_000_u32,
            1..5_000_000_000_i64,
        ),
        1..40,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn positions_are_what_a_naive_recomputation_gives(steps in steps()) {
        const TOKENS: [&str; 3] = ["1", "2", "3"];
        // token → (shares, cost), in micro-units, by plain integers
        let mut naive: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
        let (mut bought, mut sold, mut realised) = (0_i128, 0_i128, 0_i128);
        let mut events = Vec::new();
        for (token, buy, price, amount) in steps {
            let token = TOKENS[token];
            let (held, cost) = naive.get(token).copied().unwrap_or_default();
            let at = Price::from_micros(price).unwrap();
            if buy || held == 0 {
                let notional = i128::from(price) * i128::from(amount) / 1_000_000;
                naive.insert(token, (held + i128::from(amount), cost + notional));
                bought += notional;
                events.push(fill_of("a", token, Side::Buy, at, Shares::from_micros(amount).unwrap(), "0"));
            } else {
                let part = (held * i128::from(amount % 1000 + 1) / 1000).max(1);
                let notional = i128::from(price) * part / 1_000_000;
                let removed = if part == held { cost } else { cost * part / held };
                sold += notional;
                realised += notional - removed;
                if part == held {
                    naive.remove(token);
                } else {
                    naive.insert(token, (held - part, cost - removed));
                }
                let shares = Shares::from_micros(i64::try_from(part).unwrap()).unwrap();
                events.push(fill_of("b", token, Side::Sell, at, shares, "0"));
            }
        }
        let events = stamped(1, events);
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("ledger.db")).unwrap();
        // In two groups, so that the second starts from what the table holds.
        let (first, second) = events.split_at(events.len() / 2);
        store.append(first).unwrap();
        store.append(second).unwrap();
        let table: BTreeMap<String, (i128, i128)> = store
            .positions()
            .unwrap()
            .into_iter()
            .map(|row| (row.token_id, (i128::from(row.shares.micros()), i128::from(row.cost.micros()))))
            .collect();
        let expected: BTreeMap<String, (i128, i128)> =
            naive.into_iter().map(|(token, held)| (token.to_owned(), held)).collect();
        let left: i128 = expected.values().map(|(_, cost)| cost).sum();
        prop_assert_eq!(table, expected);
        let stats = store.strategy_stats().unwrap();
        prop_assert_eq!(i128::from(stats["a"].realised_pnl.micros()), realised);
        // Nothing is lost to rounding: what was paid is what came back, less profit, plus what is left.
        prop_assert_eq!(bought, sold - realised + left);
    }

    #[test]
    fn every_number_is_read_back_exactly(
        confidence in 0.0..1.0_f64,
        fair_price in 0.0..1.0_f64,
        edge in -1.0..1.0_f64,
    ) {
        let mut event = signal(1, "a");
        if let LedgerEvent::SignalGenerated { signal, .. } = &mut event {
            (signal.confidence, signal.fair_price, signal.edge) = (confidence, fair_price, edge);
        }
        let (_dir, store) = with([event.clone()]);
        let mut read: Vec<StampedEvent> = Vec::new();
        store.for_each_event::<StoreError>(0, |event| { read.push(event); Ok(()) }).unwrap();
        prop_assert_eq!(read, stamped(1, [event]));
    }
}

#[test]
fn a_sale_in_parts_is_summed() {
    let (_dir, store) = with([
        conditional(1, ConditionalKind::StopLoss),
        conditional(2, ConditionalKind::StopLoss),
        LedgerEvent::ConditionalReduced {
            id: 1,
            shares: Shares::whole(6),
            sale: Some(ConditionalSale {
                bid: price("0.39"),
                trigger: price("0.4"),
                sold: Shares::whole(4),
                // 4 × 0.38
                proceeds: usdc("1.52"),
            }),
        },
    ]);
    let row = |id: i64| {
        let all = store.conditional_orders(false).unwrap();
        all.into_iter().find(|row| row.id == id).unwrap()
    };
    let part = row(1);
    assert_eq!((part.status.as_str(), part.triggered_at), ("active", None));
    assert_eq!(part.size, Shares::whole(6));
    assert_eq!(part.sold, Some(Shares::whole(4)));
    assert_eq!(part.proceeds, Some(usdc("1.52")));
    assert_eq!(part.triggered_bid, Some(price("0.39")));
    assert_eq!(part.fired_trigger, Some(price("0.4")));

    let last = |id: u64, proceeds: Option<Usdc>| LedgerEvent::ConditionalTriggered {
        id,
        bid: price("0.35"),
        sold: Shares::whole(6),
        proceeds,
        trigger: proceeds.map(|_| price("0.41")),
    };
    // 6 × 0.35 = 2.1; the second is of 1.0 and does not tell.
    let more = stamped(4, [last(1, Some(usdc("2.1"))), last(2, None)]);
    store.append(&more).unwrap();
    let whole = row(1);
    assert_eq!(whole.status, "triggered");
    assert_eq!(whole.triggered_at, Some(at(4)));
    // 4 + 6 shares, 1.52 + 2.1 pUSD.
    assert_eq!(whole.sold, Some(Shares::whole(10)));
    assert_eq!(whole.proceeds, Some(usdc("3.62")));
    assert_eq!(whole.triggered_bid, Some(price("0.35")));
    assert_eq!(whole.fired_trigger, Some(price("0.41")));
    let old = row(2);
    assert_eq!(old.sold, Some(Shares::whole(6)));
    assert_eq!((old.proceeds, old.fired_trigger), (None, None));
}

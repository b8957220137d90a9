//! A ledger is tampered with in the ways that money can be: each is named, with its event.

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::domain::{
    Fill, HaltCause, OrderOutcome, OrderType, Rounding, Snapshot, SourceKind, notional,
};
use crate::trading::desk::Input;
use crate::trading::desk::tests::random::{Life, input};
use crate::trading::test_support::{
    Account as Desk, Levels, NOON, Scene, after, order, p, sh, usd,
};

mod conditionals;
mod execution;

/// 100 pUSD, under recorded settings: 5 shares make an executable bid, 0.05 is a believable spread.
fn desk() -> Desk {
    let mut desk = Desk::new("100");
    let settings = desk.config.settings();
    desk.put(&Input::Configure { settings, at: NOON }, &[]);
    desk
}

fn scene(second: i64, bids: Levels<'_>, asks: Levels<'_>) -> Snapshot {
    Scene::new(after(second)).yes(bids, asks).build()
}

fn fill(order_id: u64, side: Side, price: &str, shares: &str, fee: &str) -> LedgerEvent {
    LedgerEvent::Filled {
        fill: Fill {
            order_id,
            strategy: "test".into(),
            market_id: "m".into(),
            token_id: "m-yes".into(),
            outcome: "Yes".into(),
            side,
            price: p(price),
            shares: sh(shares),
            notional: notional(p(price), sh(shares), Rounding::Down).unwrap(),
            fee: usd(fee),
            maker: false,
            print: false,
            reason: "test".to_owned(),
        },
    }
}

fn closed(order_id: u64, outcome: OrderOutcome, unfilled: &str) -> LedgerEvent {
    LedgerEvent::OrderClosed {
        order_id,
        outcome,
        unfilled: sh(unfilled),
        reason: "test".to_owned(),
    }
}

/// 100 in; 10 bought at 0.40 and 10 at 0.50 (9.00 + 0.10 fees), 5 sold at 0.60 (3.00 − 0.03 fee,
/// cost 2.25, profit 0.75); the other 15 settle at 0.5: 7.50 for a cost of 6.75, profit 0.75.
/// Cash in the end: 100 − 9.10 + 2.97 + 7.50 = 101.37 = 100 + 1.50 − 0.13.
fn life() -> Vec<LedgerEvent> {
    let mut buy = order(1, Side::Buy, "0.5", "20", OrderType::Fak);
    buy.client_order_id = Some("mine".to_owned());
    vec![
        LedgerEvent::AccountOpened {
            source: SourceKind::Sandbox,
        },
        LedgerEvent::Deposited { amount: usd("100") },
        LedgerEvent::OrderAccepted { order: buy },
        fill(1, Side::Buy, "0.4", "10", "0.04"),
        fill(1, Side::Buy, "0.5", "10", "0.06"),
        closed(1, OrderOutcome::Filled, "0"),
        LedgerEvent::OrderAccepted {
            order: order(2, Side::Sell, "0.6", "8", OrderType::Fak),
        },
        fill(2, Side::Sell, "0.6", "5", "0.03"),
        closed(2, OrderOutcome::PartiallyFilled, "3"),
        LedgerEvent::SnapshotTaken {
            balance: usd("93.87"),
            total_value: usd("100.62"),
        },
        LedgerEvent::Settled {
            market_id: "m".into(),
            token_id: "m-yes".into(),
            payout: p("0.5"),
            shares: sh("15"),
            proceeds: usd("7.5"),
            evidence: "resolved".to_owned(),
        },
        LedgerEvent::TickCompleted {
            tick: 1,
            markets: 1,
            signals: 0,
            fills: 0,
        },
    ]
}

/// What an audit says of these events, tampered with by `sql` once they are stored.
fn audited(events: &[StampedEvent], sql: &str) -> Verified {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("ledger.db");
    let store = Store::open(&db).unwrap();
    store.append(events).unwrap();
    drop(store);
    let conn = Connection::open(&db).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(sql).unwrap();
    drop(conn);
    verify(&db).unwrap()
}

/// The number of the `nth` event of a kind, from 0.
fn seq_of(events: &[StampedEvent], kind: &str, nth: usize) -> u64 {
    let is_kind =
        |stamped: &&StampedEvent| serde_json::to_value(&stamped.event).unwrap()["kind"] == kind;
    events.iter().filter(is_kind).nth(nth).unwrap().seq
}

fn set(seq: u64, path: &str, value: &str) -> String {
    format!("UPDATE events SET payload = json_set(payload, '$.{path}', {value}) WHERE seq = {seq};")
}

/// A field of the `nth` event of a kind, what it is set to, and what is said of that very event.
type Tamper = (
    &'static str,
    usize,
    &'static str,
    &'static str,
    &'static str,
);

/// Each is named with its event, and untouched all of it is believed.
fn each_is_named(events: &[StampedEvent], tampers: &[Tamper]) {
    assert_eq!(audited(events, "").audit.findings, []);
    for (kind, nth, path, value, detail) in tampers {
        let seq = seq_of(events, kind, *nth);
        let audit = audited(events, &set(seq, path, value)).audit;
        let last = audit.findings.last();
        let last = last.unwrap_or_else(|| panic!("{kind} {nth} {path} {value}: believed"));
        assert_eq!(
            last.place,
            format!("event {seq}"),
            "{kind} {nth} {path}: {last:?}"
        );
        assert!(
            last.detail.contains(detail),
            "{kind} {nth} {path}: {last:?}"
        );
    }
}

struct Account {
    dir: tempfile::TempDir,
}

impl Account {
    fn new() -> Self {
        let account = Account {
            dir: tempfile::tempdir().unwrap(),
        };
        let store = Store::open(account.db()).unwrap();
        let mut ledger = Ledger::default();
        for (seq, event) in (1_u64..).zip(life()) {
            let stamped = StampedEvent {
                seq,
                at: after(i64::try_from(seq).unwrap()),
                event,
            };
            ledger.apply(&stamped).unwrap();
            store.append(std::slice::from_ref(&stamped)).unwrap();
            if seq == 8 || seq == 12 {
                super::super::rebuild::checkpoint(&ledger, &store).unwrap();
            }
        }
        assert_eq!(ledger.cash(), usd("101.37"));
        account
    }

    fn db(&self) -> std::path::PathBuf {
        self.dir.path().join("ledger.db")
    }

    fn sql(&self, sql: &str) {
        let conn = Connection::open(self.db()).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        conn.execute_batch(sql).unwrap();
    }

    /// The last finding: where, and what.
    fn misfit(&self) -> (String, String) {
        let audit = verify(&self.db()).unwrap().audit;
        let last = audit.findings.last().unwrap().clone();
        (last.place, last.detail)
    }
}

#[test]
fn an_honest_ledger_is_believed() {
    let account = Account::new();
    let verified = verify(&account.db()).unwrap();
    // These orders name no terms, as those of 1.0 did not.
    assert_eq!((verified.unchecked_fees, verified.unchecked_halts), (3, 0));
    let audit = verified.audit;
    assert_eq!(audit.findings, []);
    assert_eq!((audit.events, audit.checkpoints), (12, 2));
    assert_eq!(audit.last_at, Some(NOON.plus_millis(12_000)));
    assert_eq!((audit.rows["trades"], audit.rows["orders"]), (4, 2));
}

#[test]
fn money_that_does_not_add_up_is_named_with_its_event() {
    let set = |seq: u64, path: &str, value: &str| {
        format!(
            "UPDATE events SET payload = json_set(payload, '$.{path}', {value}) WHERE seq = {seq}"
        )
    };
    for (sql, place, detail) in [
        (
            set(4, "fill.notional", "3000000"),
            "event 4",
            "the notional is 3.000000, price × shares is 4.000000",
        ),
        (set(4, "fill.fee", "-1"), "event 4", "-0.000001"),
        (
            set(5, "fill.shares", "10000001"),
            "event 5",
            "10.000001 shares of m-yes needed, 10 held",
        ),
        (
            set(5, "fill.price", "510000"),
            "event 5",
            "a price worse than its limit",
        ),
        (
            set(5, "fill.order_id", "7"),
            "event 5",
            "no open order with number 7",
        ),
        (
            set(6, "unfilled", "1000000"),
            "event 6",
            "the unfilled rest is 1.000000, what is left of the order is 0.000000",
        ),
        (
            set(10, "balance", "93880000"),
            "event 10",
            "the recorded balance is 93.880000, cash is 93.870000",
        ),
        (
            set(11, "proceeds", "15000000"),
            "event 11",
            "proceeds are not the payout",
        ),
        (
            format!(
                "{}; {}",
                set(11, "shares", "14000000"),
                set(11, "proceeds", "7000000")
            ),
            "event 11",
            "shares paid is 14.000000, shares held is 15.000000",
        ),
        (
            set(2, "amount", "1000000"),
            "event 4",
            "4.04 pUSD needed, 1 pUSD there",
        ),
        (
            "UPDATE events SET at_ms = at_ms - 9000 WHERE seq = 7".to_owned(),
            "event 7",
            "the one before of",
        ),
        (
            "DELETE FROM events WHERE seq = 6".to_owned(),
            "event 6",
            "it is not in the log; the next one is event 7",
        ),
        (
            set(7, "order.client_order_id", "'mine'"),
            "event 7",
            "client order mine was there before",
        ),
        (
            set(7, "order.id", "1"),
            "event 7",
            "order 1 was there before",
        ),
    ] {
        let account = Account::new();
        account.sql(&sql);
        let (at, what) = account.misfit();
        assert_eq!(at, place, "{sql}: {what}");
        assert!(what.contains(detail), "{sql}: {what}");
    }
}

#[test]
fn a_position_is_paid_once() {
    let account = Account::new();
    let again = |seq: u64| {
        format!(
            "INSERT INTO events SELECT {seq}, at_ms + 5000, kind, payload FROM events WHERE seq = 11"
        )
    };
    account.sql(&again(13));
    let (at, what) = account.misfit();
    assert_eq!(at, "event 13");
    assert!(what.contains("15 shares of m-yes needed, 0 held"), "{what}");

    // Bought again, and paid again: the ledger's own rules would let it pass.
    let account = Account::new();
    for (seq, from) in [(13, 3), (14, 4)] {
        account.sql(&format!(
            "INSERT INTO events SELECT {seq}, at_ms + 20000, kind, payload FROM events WHERE seq = \
             {from}; UPDATE events SET payload = json_set(payload, '$.order.id', 3, \
             '$.order.client_order_id', NULL) WHERE seq = 13; UPDATE events SET payload = \
             json_set(payload, '$.fill.order_id', 3) WHERE seq = 14"
        ));
    }
    let (at, what) = account.misfit();
    assert_eq!(
        (at.as_str(), what.as_str()),
        ("event 14", "token m-yes was settled before")
    );
}

/// A day with a loss. Of 100 pUSD 20 shares are bought at 0.50 for 10.00 + 0.25 fee (20 × 0.05 × 0.5 ×
/// 0.5); at a bid of 0.20 they are worth 4.00: equity 93.75, 6.25 lost, 5 allowed. A tick, and the
/// next day begins. Then the kill switch comes and goes.
fn watched() -> Vec<(i64, LedgerEvent)> {
    const DAY: i64 = 86_400;
    let mut config = crate::trading::config::TradingConfig::default();
    config.risk.max_daily_loss = usd("5");
    let mut buy = order(1, Side::Buy, "0.5", "20", OrderType::Fak);
    buy.fee = Some(crate::domain::FeeSchedule::new("0.05", 1).unwrap());
    let today = after(0).day();
    let by = |who: &str| who.to_owned();
    vec![
        (
            0,
            LedgerEvent::AccountOpened {
                source: SourceKind::Sandbox,
            },
        ),
        (0, LedgerEvent::Deposited { amount: usd("100") }),
        (
            0,
            LedgerEvent::DayStarted {
                day: today,
                equity: usd("100"),
            },
        ),
        (
            0,
            LedgerEvent::ConfigChanged {
                settings: config.settings(),
                changes: vec![],
            },
        ),
        (1, LedgerEvent::PeakRaised { equity: usd("100") }),
        (1, LedgerEvent::OrderAccepted { order: buy }),
        (1, fill(1, Side::Buy, "0.5", "20", "0.25")),
        (1, closed(1, OrderOutcome::Filled, "0")),
        (
            1,
            LedgerEvent::Marked {
                marks: vec![("m-yes".into(), p("0.2"))],
            },
        ),
        (
            1,
            LedgerEvent::Halted {
                cause: HaltCause::DailyLoss,
                by: by("desk"),
                reason: REASON.to_owned(),
            },
        ),
        (
            1,
            LedgerEvent::SnapshotTaken {
                balance: usd("89.75"),
                total_value: usd("93.75"),
            },
        ),
        (
            1,
            LedgerEvent::TickCompleted {
                tick: 1,
                markets: 1,
                signals: 0,
                fills: 1,
            },
        ),
        (
            DAY,
            LedgerEvent::DayStarted {
                day: today + 1,
                equity: usd("93.75"),
            },
        ),
        (
            DAY,
            LedgerEvent::Resumed {
                by: by("desk"),
                reason: "a new UTC day began".to_owned(),
            },
        ),
    ]
}

/// What 6.25 pUSD lost is told as.
const REASON: &str = "max_daily_loss: 6.25 pUSD lost since midnight UTC, allowed is below 5 pUSD";

#[test]
fn what_is_said_of_the_account_is_recomputed() {
    let write = |tamper: &str| {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("ledger.db");
        let store = Store::open(&db).unwrap();
        for (seq, (seconds, event)) in (1_u64..).zip(watched()) {
            let at = after(seconds);
            let stamped = StampedEvent { seq, at, event };
            store.append(&[stamped]).unwrap();
        }
        let conn = Connection::open(&db).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        conn.execute_batch(tamper).unwrap();
        (dir, verify(&db).unwrap())
    };
    let (_dir, honest) = write("");
    assert_eq!(honest.audit.findings, []);
    assert_eq!((honest.unchecked_fees, honest.unchecked_halts), (0, 0));
    for (seq, path, value, detail) in [
        (
            3,
            "equity",
            "99999999",
            "the day's first equity is 99.999999 pUSD, equity is 100 pUSD",
        ),
        (3, "day", "20000", "is in day "),
        (
            5,
            "equity",
            "100000001",
            "the peak is 100.000001 pUSD, equity is 100 pUSD",
        ),
        (
            7,
            "fill.fee",
            "250010",
            "the fee is 0.250010, by the order's fee terms it is 0.250000",
        ),
        (
            7,
            "fill.maker",
            "json('true')",
            "a maker's fill of order 1, which is FAK",
        ),
        (10, "reason", "'bad luck'", "the reason is \"bad luck\""),
        (
            10,
            "cause",
            "'drawdown'",
            "a halt for daily_loss is due, not one for drawdown",
        ),
        (
            9,
            "marks[0][1]",
            "300000",
            // 89.75 + 20 × 0.30
            "no halt for daily_loss is due: 4.25 pUSD lost today, equity 95.75 pUSD (by the marks \
             up to event 9)",
        ),
        (
            11,
            "total_value",
            "93750001",
            "the recorded value is 93.750001 pUSD, equity is 93.75 pUSD",
        ),
        (12, "tick", "6", "it is tick 1, not 6"),
        (12, "signals", "1", "it counts 1 signals, the log has 0"),
        (12, "fills", "2", "it counts 2 fills, the log has 1"),
        (
            13,
            "equity",
            "93749999",
            "the day's first equity is 93.749999 pUSD, equity is 93.75 pUSD",
        ),
    ] {
        let (_dir, verified) = write(&format!(
            "UPDATE events SET payload = json_set(payload, '$.{path}', {value}) WHERE seq = {seq}"
        ));
        let last = verified.audit.findings.last().unwrap();
        assert!(last.detail.contains(detail), "{path}: {last:?}");
        let place = if seq == 9 { 10 } else { seq };
        assert_eq!(last.place, format!("event {place}"), "{path}: {last:?}");
    }
    // The same peak again is no rise.
    let (_dir, verified) = write(
        "UPDATE events SET kind = 'peak_raised', payload = \
         '{\"kind\":\"peak_raised\",\"equity\":100000000}' WHERE seq = 6",
    );
    let last = verified.audit.findings.last().unwrap();
    assert_eq!(last.place, "event 6");
    assert_eq!(last.detail, "the peak is raised to 100 pUSD from 100 pUSD");
    // Without limits a halt for losses cannot be judged, and that is said.
    let (_dir, verified) =
        write("UPDATE events SET payload = json_set(payload, '$.settings', 'gone') WHERE seq = 4");
    assert_eq!(verified.audit.findings, []);
    assert_eq!(verified.unchecked_halts, 1);
}

#[test]
fn tables_and_checkpoints_must_follow_from_the_events() {
    for (sql, place) in [
        (
            "UPDATE trades SET shares_micros = 1 WHERE id = 2",
            "trades row 2",
        ),
        (
            "UPDATE orders SET status = 'filled' WHERE id = 2",
            "orders row 2",
        ),
        ("DELETE FROM orders WHERE id = 1", "orders row 1"),
        (
            "INSERT INTO positions VALUES ('z', 'm', 'Yes', 1, 1, 'x', 0, NULL, NULL)",
            "positions row \"z\"",
        ),
    ] {
        let account = Account::new();
        account.sql(sql);
        assert_eq!(account.misfit().0, place, "{sql}");
    }

    // A whole and well-signed checkpoint that tells another story.
    let account = Account::new();
    let store = Store::open(account.db()).unwrap();
    let ledger = super::super::rebuild::rebuild(&store).unwrap();
    let honest = String::from_utf8(ledger.to_checkpoint().unwrap()).unwrap();
    let richer = honest
        .replacen("\"cash\":101370000", "\"cash\":102370000", 1)
        .replacen("\"realized\":1500000", "\"realized\":2500000", 1);
    store
        .save_checkpoint(12, CHECKPOINT_FORMAT, richer.as_bytes())
        .unwrap();
    drop(store);
    let (at, what) = account.misfit();
    assert_eq!(at, "checkpoint 12");
    assert_eq!(what, "cash is 102.37 pUSD, the events lead to 101.37");
}

#[test]
fn what_is_no_ledger_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = verify(&dir.path().join("none.db")).unwrap_err();
    assert_eq!(error.code(), "store_missing");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever comes to an account, in whatever order: what it leaves on disk is believed, and is
    /// the account that left it.
    #[test]
    fn every_life_is_believed(
        inputs in prop::collection::vec(input(), 1..60),
        kelly in any::<bool>(),
        latency_ms in prop_oneof![2 => Just(0_u32), 1 => 1_u32..15_000],
    ) {
        let mut life = Life::new(kelly).with_latency(latency_ms);
        let settings = life.account.config.settings();
        let rules = crate::trading::desk::Input::Configure { settings, at: NOON };
        life.account.put(&rules, &[]);
        for input in inputs {
            life.play(input);
        }
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("ledger.db");
        let store = Store::open(&db).unwrap();
        let (one, two) = life.account.events.split_at(life.account.events.len() / 2);
        for part in [one, two] {
            store.append(part).unwrap();
            if store.last_seq().unwrap() > 0 {
                let ledger = super::super::rebuild::rebuild(&store).unwrap();
                super::super::rebuild::checkpoint(&ledger, &store).unwrap();
            }
        }
        let verified = verify(&db).unwrap();
        prop_assert_eq!((verified.unchecked_fees, verified.unchecked_halts), (0, 0));
        let audit = verified.audit;
        prop_assert_eq!(audit.findings, []);
        prop_assert_eq!(audit.events, life.account.ledger.seq());
        let rebuilt = super::super::rebuild::rebuild(&store).unwrap();
        prop_assert_eq!(&rebuilt, &life.account.ledger);
    }
}

use serde_json::json;

use crate::domain::{LedgerEvent, Order, OrderOutcome, OrderType, Price, Side, StampedEvent, Usdc};

use super::*;

const START: i64 = 1_772_179_200_000;

/// Event `seq` comes `seq` seconds after the start.
fn at(seq: u64) -> Timestamp {
    Timestamp::from_millis(START).plus_millis(i64::try_from(seq).unwrap() * 1000)
}

fn order(id: u64) -> Order {
    Order {
        id,
        client_order_id: Some(format!("mine-{id}")),
        signal_id: None,
        supporters: Vec::new(),
        strategy: if id.is_multiple_of(2) { "even" } else { "odd" }.into(),
        market_id: "7".into(),
        event_id: None,
        token_id: "71".into(),
        outcome: "Yes".into(),
        side: Side::Buy,
        limit: Price::parse("0.5").unwrap(),
        shares: Shares::whole(10),
        order_type: OrderType::Gtc,
        expires_at: None,
        arrives_at: None,
        fired_by: None,
        fee: None,
        basket: None,
        reason: "asked".to_owned(),
        stop_loss: None,
        take_profit: None,
        trail_percent: None,
    }
}

/// 250 orders, of which those up to 245 were cancelled; 246 to 248 rest, 249 and 250 are in flight.
fn account() -> (tempfile::TempDir, Store, Ledger) {
    let mut events = vec![LedgerEvent::Deposited {
        amount: Usdc::whole(10_000),
    }];
    for id in 1..=250 {
        events.push(LedgerEvent::OrderAccepted { order: order(id) });
        if id <= 245 {
            events.push(LedgerEvent::OrderClosed {
                order_id: id,
                outcome: OrderOutcome::Cancelled,
                unfilled: Shares::whole(10),
                reason: "taken back".to_owned(),
            });
        } else if id <= 248 {
            events.push(LedgerEvent::OrderRested {
                order_id: id,
                remaining: Shares::whole(10),
                queue_ahead: Shares::whole(30),
                prints_to: None,
            });
        }
    }
    let events: Vec<StampedEvent> = (1..)
        .zip(events)
        .map(|(seq, event)| StampedEvent {
            seq,
            at: at(seq),
            event,
        })
        .collect();
    let mut ledger = Ledger::default();
    for event in &events {
        ledger.apply(event).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("ledger.db")).unwrap();
    store.append(&events).unwrap();
    (dir, store, ledger)
}

fn ask(store: &Store, ledger: &Ledger, args: serde_json::Value) -> OrdersOut {
    let args: OrdersArgs = serde_json::from_value(args).unwrap();
    let query = query_of(&args).unwrap();
    page(store, ledger, &query, args.limit, at(1000)).unwrap()
}

fn ids(out: &OrdersOut) -> Vec<u64> {
    out.orders.iter().map(|order| order.order_id).collect()
}

#[test]
fn closed_orders_are_paged_through_to_the_first() {
    let (_dir, store, ledger) = account();
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    let mut before = None;
    loop {
        let args = json!({"status": "closed", "limit": 100, "before": before});
        let out = ask(&store, &ledger, args);
        sizes.push(out.orders.len());
        seen.extend(ids(&out));
        before = out.next_before;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [100, 100, 45]);
    assert_eq!(seen, (1..=245).rev().collect::<Vec<_>>());

    // A page that the rest just fills is the last.
    let args = json!({"status": "closed", "limit": 45, "before": 46});
    let last = ask(&store, &ledger, args);
    assert_eq!((last.orders.len(), last.next_before), (45, None));
    // The first order: event 2, closed by event 3, a second later.
    let first = last.orders.last().unwrap();
    assert_eq!(first.status, "cancelled");
    assert_eq!(first.reason, "taken back");
    assert_eq!(first.placed_at, at(2).to_rfc3339());
    assert_eq!((first.age_seconds, first.remaining), (1.0, 0.0));
    assert_eq!((first.average_price, first.queue_ahead), (None, None));
}

#[test]
fn open_orders_say_whether_they_rest() {
    let (_dir, store, ledger) = account();
    let open = ask(&store, &ledger, json!({}));
    assert_eq!(ids(&open), [250, 249, 248, 247, 246]);
    assert_eq!(open.next_before, None);
    let (flying, resting) = (&open.orders[0], &open.orders[2]);
    assert_eq!(
        (flying.status.as_str(), flying.queue_ahead),
        ("in_flight", None)
    );
    assert_eq!(
        (resting.status.as_str(), resting.queue_ahead),
        ("resting", Some(30.0))
    );
    assert_eq!((resting.remaining, resting.fee), (10.0, 0.0));

    // A ledger from before the last orders: the rows stand for them.
    let older = ask(&store, &Ledger::default(), json!({}));
    assert_eq!(older.orders, open.orders);
}

#[test]
fn filters_hold_over_open_and_closed() {
    let (_dir, store, ledger) = account();
    let of = |args: serde_json::Value| ids(&ask(&store, &ledger, args));
    let args = json!({"status": "all", "strategy": "odd", "limit": 4});
    assert_eq!(of(args), [249, 247, 245, 243]);
    assert_eq!(of(json!({"order_id": 3})), [3]);
    assert_eq!(of(json!({"order_id": 247})), [247]);
    assert_eq!(of(json!({"order_id": u64::MAX})), [0; 0]);
    assert_eq!(of(json!({"client_order_id": "mine-4"})), [4]);
    assert_eq!(of(json!({"market_id": "8", "status": "all"})), [0; 0]);
    let args: OrdersArgs = serde_json::from_value(json!({"status": "done"})).unwrap();
    assert_eq!(query_of(&args).unwrap_err().code, "bad_arguments");
}

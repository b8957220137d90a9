//! Orders, estimates and refusals, as their events leave them.

use crate::domain::{
    Estimate, LedgerEvent, Order, OrderOutcome, OrderType, Price, Shares, Side, Timestamp,
};
use crate::store::testing::*;
use crate::store::{EstimateQuery, OrderQuery, OrderRow, RefusalQuery, Store};

fn accepted(id: u64, strategy: &str, market: &str, client: Option<&str>) -> LedgerEvent {
    LedgerEvent::OrderAccepted {
        order: Order {
            id,
            client_order_id: client.map(str::to_owned),
            signal_id: None,
            supporters: Vec::new(),
            strategy: strategy.into(),
            market_id: market.into(),
            event_id: Some("16084".into()),
            token_id: "71321".into(),
            outcome: "Yes".into(),
            side: Side::Buy,
            limit: price("0.5"),
            shares: Shares::whole(10),
            order_type: OrderType::Gtd,
            expires_at: Some(at(600)),
            arrives_at: None,
            fired_by: None,
            fee: None,
            basket: Some(3),
            reason: "because".to_owned(),
            stop_loss: None,
            take_profit: None,
            trail_percent: None,
        },
    }
}

fn closed(id: u64, outcome: OrderOutcome) -> LedgerEvent {
    LedgerEvent::OrderClosed {
        order_id: id,
        outcome,
        unfilled: Shares::ZERO,
        reason: "over".to_owned(),
    }
}

fn with(events: Vec<LedgerEvent>) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("ledger.db")).unwrap();
    store.append(&stamped(1, events)).unwrap();
    (dir, store)
}

fn orders(store: &Store, query: OrderQuery) -> Vec<OrderRow> {
    store.orders(&OrderQuery { limit: 50, ..query }).unwrap()
}

#[test]
fn an_order_is_followed_from_its_acceptance_to_its_end() {
    let (_dir, store) = with(vec![deposit(100), accepted(7, "a", "559652", Some("mine"))]);
    let one = |store: &Store| orders(store, OrderQuery::default()).remove(0);
    let order = one(&store);
    assert_eq!((order.id, order.status.as_str()), (7, "accepted"));
    assert_eq!(order.order_type, "GTD");
    assert_eq!(order.expires_at, Some(at(600)));
    assert_eq!(order.event_id.as_deref(), Some("16084"));
    assert_eq!((order.basket, order.queue_ahead), (Some(3), None));
    assert_eq!(
        (order.avg_price, order.remaining),
        (None, Shares::whole(10))
    );
    assert_eq!((order.created_at, order.updated_at), (at(2), at(2)));

    // 4 at 0.30 and 2 at 0.45: 1.20 + 0.90 = 2.10 for 6 shares, 0.35 each.
    store
        .append(&stamped(
            3,
            [
                fill("a", "71321", Side::Buy, "0.3", "4", "0.01"),
                LedgerEvent::OrderRested {
                    order_id: 7,
                    remaining: Shares::whole(6),
                    queue_ahead: Shares::whole(250),
                    prints_to: None,
                },
                LedgerEvent::QueueAdvanced {
                    order_id: 7,
                    queue_ahead: Shares::whole(40),
                    prints_to: at(5),
                },
                fill("a", "71321", Side::Buy, "0.45", "2", "0"),
            ],
        ))
        .unwrap();
    let order = one(&store);
    assert_eq!(order.status, "resting");
    assert_eq!(order.queue_ahead, Some(Shares::whole(40)));
    assert_eq!(
        (order.filled, order.remaining),
        (Shares::whole(6), Shares::whole(4))
    );
    assert!((order.avg_price.unwrap() - 0.35).abs() < 1e-12);
    assert_eq!((order.notional, order.fees), (usdc("2.1"), usdc("0.01")));
    assert_eq!((order.created_at, order.updated_at), (at(2), at(6)));
    assert_eq!(
        orders(
            &store,
            OrderQuery {
                open: Some(true),
                ..OrderQuery::default()
            }
        )
        .len(),
        1
    );

    store
        .append(&stamped(7, [closed(7, OrderOutcome::Expired)]))
        .unwrap();
    let order = one(&store);
    assert_eq!(order.status, "expired");
    assert_eq!(order.close_reason.as_deref(), Some("over"));
    assert_eq!(order.updated_at, at(7));
    assert_eq!(
        orders(
            &store,
            OrderQuery {
                open: Some(true),
                ..OrderQuery::default()
            }
        ),
        []
    );
}

#[test]
fn orders_are_found_by_what_they_are_newest_first_page_by_page() {
    let mut events = vec![];
    for id in 1..=6 {
        let (strategy, market) = (
            ["a", "b"][id as usize % 2],
            ["x", "y", "z"][id as usize % 3],
        );
        let client = format!("c-{id}");
        events.push(accepted(id, strategy, market, Some(&client)));
    }
    events.extend([
        closed(1, OrderOutcome::Filled),
        closed(2, OrderOutcome::Cancelled),
        closed(3, OrderOutcome::Filled),
    ]);
    let (_dir, store) = with(events);
    let text = |text: &str| Some(text.to_owned());
    let ids = |query: OrderQuery| -> Vec<i64> {
        orders(&store, query)
            .into_iter()
            .map(|row| row.id)
            .collect()
    };
    let any = OrderQuery::default;
    assert_eq!(ids(any()), [6, 5, 4, 3, 2, 1]);
    assert_eq!(
        ids(OrderQuery {
            open: Some(true),
            ..any()
        }),
        [6, 5, 4]
    );
    assert_eq!(
        ids(OrderQuery {
            status: text("filled"),
            ..any()
        }),
        [3, 1]
    );
    assert_eq!(
        ids(OrderQuery {
            market_id: text("x"),
            ..any()
        }),
        [6, 3]
    );
    assert_eq!(
        ids(OrderQuery {
            strategy: text("b"),
            ..any()
        }),
        [5, 3, 1]
    );
    assert_eq!(
        ids(OrderQuery {
            client_order_id: text("c-4"),
            ..any()
        }),
        [4]
    );
    assert_eq!(
        ids(OrderQuery {
            strategy: text("b"),
            status: text("filled"),
            before: Some(3),
            ..any()
        }),
        [1]
    );
    assert_eq!(
        ids(OrderQuery {
            market_id: text("' OR 1 --"),
            ..any()
        }),
        Vec::<i64>::new()
    );
    let page = store
        .orders(&OrderQuery {
            limit: 2,
            before: Some(5),
            ..any()
        })
        .unwrap();
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [4, 3]);
}

#[test]
fn a_client_order_id_is_never_there_twice() {
    let (_dir, store) = with(vec![accepted(1, "a", "x", Some("mine"))]);
    let error = store
        .append(&stamped(2, [accepted(2, "a", "x", Some("mine"))]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "event 2 was refused: UNIQUE constraint failed: orders.client_order_id"
    );
    assert_eq!(store.last_seq().unwrap(), 1);
}

#[test]
fn more_than_was_ordered_is_not_booked() {
    let (_dir, store) = with(vec![accepted(7, "a", "559652", None)]);
    let error = store
        .append(&stamped(
            2,
            [fill("a", "71321", Side::Buy, "0.3", "10.5", "0")],
        ))
        .unwrap_err();
    assert_eq!(error.code(), "store_event_refused", "{error}");
    assert_eq!(store.last_seq().unwrap(), 1);
}

fn estimate(author: &str, market: &str, probability: f64, created: Timestamp) -> Estimate {
    Estimate {
        market_id: market.into(),
        token_id: "71321".into(),
        outcome: "Yes".into(),
        probability,
        confidence: Some(0.5),
        author: author.to_owned(),
        rationale: "rain".to_owned(),
        ask_then: Some(price("0.41")),
        bid_then: Some(price("0.39")),
        created_at: created,
        expires_at: created.plus_millis(1000),
    }
}

#[test]
fn estimates_stay_and_each_is_scored_once() {
    let first = estimate("ann", "x", 0.8, at(1));
    let second = estimate("ann", "x", 0.6, at(2));
    let other = estimate("bob", "x", 0.1, at(2));
    let stored = |estimate: &Estimate| LedgerEvent::EstimateStored {
        estimate: estimate.clone(),
    };
    let scored = |estimate: &Estimate, brier: f64| LedgerEvent::EstimateScored {
        estimate: estimate.clone(),
        payout: Price::ONE,
        brier,
        log_score: 0.25,
        weight: 1.0,
        ended_at: None,
    };
    // (0.6 − 1)² = 0.16, (0.8 − 1)² = 0.04
    let (_dir, store) = with(vec![
        stored(&first),
        stored(&second),
        stored(&other),
        scored(&second, 0.16),
        scored(&first, 0.04),
    ]);
    let find = |author: Option<&str>, scored: Option<bool>| {
        store
            .estimates(&EstimateQuery {
                limit: 10,
                author: author.map(str::to_owned),
                scored,
                ..EstimateQuery::default()
            })
            .unwrap()
    };
    assert_eq!(find(None, None).len(), 3);
    let anns = find(Some("ann"), Some(true));
    assert_eq!(
        anns.iter()
            .map(|row| (row.probability, row.brier))
            .collect::<Vec<_>>(),
        [(0.6, Some(0.16)), (0.8, Some(0.04))]
    );
    assert_eq!(anns[0].payout, Some(Price::ONE));
    assert_eq!(anns[0].scored_at, Some(at(4)));
    assert_eq!(
        (anns[0].ask_then, anns[0].bid_then),
        (first.ask_then, first.bid_then)
    );
    let open = find(None, Some(false));
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].author.as_str(), open[0].payout), ("bob", None));

    let error = store
        .append(&stamped(6, [scored(&first, 0.04)]))
        .unwrap_err();
    assert!(error.to_string().contains("no estimate by ann"), "{error}");
}

#[test]
fn refusals_are_kept_with_what_was_wanted() {
    let refused = |strategy: &str, code: &str| LedgerEvent::OrderRefused {
        strategy: strategy.into(),
        market_id: "x".into(),
        token_id: "71321".into(),
        side: Some(Side::Sell),
        limit: Some(price("0.25")),
        shares: Some(Shares::whole(5)),
        signal_id: None,
        event_id: None,
        order_type: None,
        fee: None,
        earlier_legs: Vec::new(),
        code: code.to_owned(),
        message: "too much".to_owned(),
    };
    let (_dir, store) = with(vec![
        refused("a", "max_order_size"),
        refused("b", "max_order_size"),
        refused("a", "spread"),
    ]);
    let find = |strategy: Option<&str>, code: Option<&str>| {
        store
            .refusals(&RefusalQuery {
                limit: 10,
                before: None,
                strategy: strategy.map(str::to_owned),
                code: code.map(str::to_owned),
            })
            .unwrap()
    };
    assert_eq!(find(None, None).len(), 3);
    assert_eq!(find(Some("a"), None).len(), 2);
    let one = &find(Some("a"), Some("spread"))[0];
    assert_eq!((one.id, one.side.as_deref()), (3, Some("sell")));
    assert_eq!(
        (one.limit, one.shares),
        (Some(price("0.25")), Some(Shares::whole(5)))
    );
    assert_eq!(one.timestamp, at(3));
}

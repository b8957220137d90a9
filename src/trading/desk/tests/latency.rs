//! Orders that take time to arrive: they meet the book of then.

use crate::domain::{ConditionalKind, Intent, LedgerEvent, OrderOutcome, OrderType, Side, Usdc};
use crate::trading::desk::{AgentOrder, CancelScope, Input, Output};
use crate::trading::test_support::{
    Account, NOON, Scene, after, basket, book, conditional, market, says, sh, signal, usd, wanted,
};

fn slow() -> Account {
    Account::new("1000").configured(|config| config.execution.latency_ms = 2_000)
}

/// 100 shares bought at 0.50 with a stop at 0.45.
fn slow_with_a_stop() -> Account {
    let account = Account::new("1000").bought("50", "0.50", NOON);
    let mut account = account.configured(|config| config.execution.latency_ms = 2_000);
    account
        .conditional(&conditional(ConditionalKind::StopLoss, "0.45"), NOON)
        .unwrap();
    account
}

fn asks(at: i64, levels: &[(&str, &str)]) -> crate::domain::Snapshot {
    Scene::new(after(at))
        .yes(&[("0.40", "500")], levels)
        .build()
}

fn ends(account: &Account) -> Vec<(u64, OrderOutcome, String)> {
    account.since(0, |event| match event {
        LedgerEvent::OrderClosed {
            order_id,
            outcome,
            reason,
            ..
        } => Some((*order_id, *outcome, reason.clone())),
        _ => None,
    })
}

#[test]
fn it_fills_on_the_book_of_its_arrival_and_keeps_its_cash_until_then() {
    let mut account = slow();
    let sent = account.order(
        &wanted(Side::Buy, "50", "0.50"),
        &asks(0, &[("0.45", "999")]),
    );
    let sent = sent.unwrap();
    assert_eq!(
        (sent.status.as_str(), sent.filled_shares),
        ("in_flight", 0.0)
    );
    assert_eq!(sent.arrives_at.as_deref(), Some("2026-03-02T12:00:02Z"));
    assert_eq!(account.ledger.available_cash(), usd("950"));
    account.arrive(&asks(1, &[("0.45", "999")]));
    assert_eq!(account.ledger.in_flight().count(), 1, "too early");
    let report = account.arrive(&asks(2, &[("0.48", "30"), ("0.51", "999")]));
    // 30 of 100 shares at 0.48 = 14.4; the cheaper ones are gone.
    assert_eq!(
        (report.orders[0].status.as_str(), account.held("m-yes")),
        ("partially_filled", sh("30"))
    );
    assert_eq!(account.ledger.cash(), usd("985.6"));
    assert_eq!(account.ledger.available_cash(), usd("985.6"));
}

#[test]
fn any_step_at_or_after_its_moment_lets_it_arrive() {
    for step in ["tick", "books"] {
        let mut account = slow();
        account
            .order(&wanted(Side::Buy, "50", "0.50"), &asks(0, &[]))
            .unwrap();
        let then = asks(32, &[("0.50", "999")]);
        match step {
            "tick" => drop(account.look(&then)),
            _ => drop(account.books(&then)),
        }
        assert_eq!(account.held("m-yes"), sh("100"), "{step}");
    }
}

#[test]
fn the_venue_judges_it_again_when_it_arrives() {
    let post = AgentOrder {
        order_type: OrderType::PostOnly,
        ..wanted(Side::Buy, "24", "0.48")
    };
    let mut account = slow();
    account.order(&post, &asks(0, &[("0.50", "9")])).unwrap();
    account.arrive(&asks(2, &[("0.47", "9")]));
    let ended = ends(&account);
    assert_eq!(ended[0].1, OrderOutcome::Cancelled);
    assert!(
        ended[0]
            .2
            .contains("refused on arrival: a post-only order at 0.48 would take")
    );
    // A finer order than the market's step of then.
    let mut account = slow();
    account
        .order(&wanted(Side::Buy, "24", "0.48"), &asks(0, &[]))
        .unwrap();
    let coarse = crate::domain::Market {
        tick: crate::trading::test_support::p("0.1"),
        ..market("m")
    };
    let seen = book("m-yes", after(2), &[], &[("0.4", "99")]);
    account.arrive(&Scene::new(after(2)).with(coarse, vec![seen]).build());
    assert!(
        ends(&account)[0]
            .2
            .contains("not a multiple of the market's tick 0.1")
    );
    // A market that has ended.
    let mut account = slow();
    account
        .order(&wanted(Side::Buy, "24", "0.48"), &asks(0, &[]))
        .unwrap();
    account.look(
        &Scene::new(after(9))
            .yes(&[], &[("0.40", "99")])
            .resolved("m", "1")
            .build(),
    );
    assert_eq!(ends(&account)[0].2, "the market resolved");
    assert_eq!(account.ledger.available_cash(), usd("1000"));
}

#[test]
fn cash_for_a_fee_that_is_gone_by_then_refuses_it() {
    // 19 pUSD: 10 for the first and 9 for the second, whose fees were not kept.
    let mut account = Account::new("19.1").configured(|c| c.execution.latency_ms = 1_000);
    let fee = |at: i64| {
        let seen = book("m-yes", after(at), &[], &[("0.50", "999")]);
        let charged = crate::trading::test_support::charging(market("m"), "0.02");
        Scene::new(after(at)).with(charged, vec![seen]).build()
    };
    // Fee of 20 shares: 20 × 0.02 × 0.25 = 0.1; of 18: 0.09.
    account
        .order(&wanted(Side::Buy, "10", "0.50"), &fee(0))
        .unwrap();
    account
        .order(&wanted(Side::Buy, "9", "0.50"), &fee(0))
        .unwrap();
    account.arrive(&fee(1));
    assert_eq!(account.held("m-yes"), sh("20"));
    assert_eq!(account.ledger.cash(), usd("9"));
    assert!(
        ends(&account)[1]
            .2
            .contains("not enough balance: 9.09 pUSD with fee"),
        "{:?}",
        ends(&account)
    );
}

#[test]
fn it_can_be_cancelled_on_its_way_and_the_kill_switch_stops_it() {
    let mut account = slow();
    let order = wanted(Side::Buy, "50", "0.50");
    account.order(&order, &asks(0, &[("0.50", "999")])).unwrap();
    let cancel = Input::Cancel {
        scope: CancelScope::Order(1),
        by: "agent".to_owned(),
        at: after(1),
    };
    assert!(matches!(account.command(&cancel), Output::Cancelled(Ok(ids)) if ids == [1]));
    account.order(&order, &asks(1, &[("0.50", "999")])).unwrap();
    let halt = Input::Halt {
        by: "agent".to_owned(),
        reason: "enough".to_owned(),
        at: after(2),
    };
    assert!(matches!(account.command(&halt), Output::Cancelled(Ok(ids)) if ids == [2]));
    account.look(&asks(60, &[("0.50", "999")]));
    assert_eq!(account.held("m-yes"), sh("0"));
    assert_eq!(account.ledger.available_cash(), usd("1000"));
}

#[test]
fn a_resting_order_takes_its_place_in_the_queue_of_its_arrival() {
    let mut account = slow();
    let gtc = AgentOrder {
        order_type: OrderType::Gtc,
        ..wanted(Side::Buy, "24", "0.40")
    };
    account.order(&gtc, &asks(0, &[("0.55", "9")])).unwrap();
    let then = Scene::new(after(3))
        .yes(&[("0.40", "7")], &[("0.55", "9")])
        .build();
    account.arrive(&then);
    let resting = account.ledger.resting().values().next().unwrap();
    assert_eq!(
        (resting.queue_ahead, resting.placed_at),
        (sh("7"), after(3))
    );
}

#[test]
fn a_conditional_sale_is_sent_once_and_done_when_it_arrives() {
    let mut account = slow_with_a_stop();
    let bids = |at: i64, price: &str| {
        Scene::new(after(at))
            .yes(
                &[(price, "500")],
                &[(if price == "0.45" { "0.47" } else { "0.46" }, "9")],
            )
            .build()
    };
    account.look(&bids(1, "0.45"));
    account.look(&bids(2, "0.45"));
    assert_eq!(account.ledger.in_flight().count(), 1);
    assert_eq!(account.ledger.conditionals().len(), 1);
    let report = account.arrive(&bids(3, "0.44"));
    // 100 × 0.44, a cent below the bid that set it off.
    assert_eq!(account.ledger.cash(), usd("994"));
    assert!(
        report.triggered[0].contains("sold 100 shares for 44 pUSD, 0 left; slippage 1 pUSD"),
        "{:?}",
        report.triggered
    );
    assert!(account.ledger.conditionals().is_empty());
    let triggered = account.since(0, |event| match event {
        LedgerEvent::ConditionalTriggered { bid, proceeds, .. } => {
            Some((bid.to_string(), *proceeds))
        }
        _ => None,
    });
    assert_eq!(triggered, [("0.45".to_owned(), Some(usd("44")))]);
}

#[test]
fn legs_arrive_together_and_are_unwound_on_the_books_of_then() {
    let scene = |at: i64, no: &str| {
        let yes = book("m-yes", after(at), &[("0.43", "999")], &[("0.45", "100")]);
        let no = book("m-no", after(at), &[("0.48", "999")], &[("0.50", no)]);
        Scene::new(after(at))
            .with(market("m"), vec![yes, no])
            .build()
    };
    let pair = || {
        let legs = [("m-yes", "0.45", "100"), ("m-no", "0.50", "200")];
        says("arb", vec![Intent::Basket(basket("arb", &legs, "20"))])
    };
    let mut account = slow();
    account.tick(&scene(0, "100"), vec![pair()]);
    assert_eq!(account.ledger.in_flight().count(), 2);
    let report = account.arrive(&scene(2, "100"));
    assert_eq!(
        (account.held("m-yes"), account.held("m-no")),
        (sh("20"), sh("20"))
    );
    assert!(report.baskets[0].filled);

    let mut account = slow();
    account.tick(&scene(0, "100"), vec![pair()]);
    let report = account.arrive(&scene(2, "19"));
    // 20 bought at 0.45 and sold at 0.43.
    assert_eq!(account.ledger.cash(), usd("999.6"));
    let run = &report.baskets[0];
    assert_eq!(
        (run.filled, run.legs, run.lost, run.left),
        (false, 2, 0.4, 0.0)
    );

    let mut account = slow();
    account.tick(&scene(0, "100"), vec![pair()]);
    let cancel = Input::Cancel {
        scope: CancelScope::Order(1),
        by: "agent".to_owned(),
        at: after(1),
    };
    assert!(matches!(account.command(&cancel), Output::Cancelled(Ok(ids)) if ids == [1, 2]));
    account.arrive(&scene(2, "100"));
    assert_eq!(account.ledger.cash(), usd("1000"));
}

#[test]
fn a_signals_order_arrives_and_gets_its_exits() {
    let mut account = slow().configured(|config| config.conditional.enabled = true);
    let buy = || {
        says(
            "one",
            vec![Intent::Directional(signal(
                "one",
                "Yes",
                Side::Buy,
                "0.50",
                "50",
            ))],
        )
    };
    account.tick(&asks(0, &[("0.50", "999")]), vec![buy()]);
    assert!(account.verdicts(0).is_empty(), "nothing has filled yet");
    assert!(account.ledger.conditionals().is_empty());
    let then = Scene::new(after(2))
        .yes(&[("0.49", "9")], &[("0.50", "999")])
        .build();
    let report = account.arrive(&then);
    assert_eq!(account.ledger.conditionals().len(), 2);
    assert_eq!(account.verdicts(0), [(1, "executed".to_owned())]);
    // 0.49 × 0.9 = 0.441 → 0.44
    assert_eq!(
        report.orders[0].exits[0],
        "Auto stop-loss at 0.44 on 100 shares: conditional order 1"
    );
    assert_eq!(account.ledger.fees(), Usdc::ZERO);
}

/// Yes at `bid`, asked 0.55; No 0.40 to 0.44.
fn both(at: i64, bid: &str) -> crate::domain::Snapshot {
    let yes = book("m-yes", after(at), &[(bid, "9999")], &[("0.55", "9999")]);
    let no = book("m-no", after(at), &[("0.40", "999")], &[("0.44", "999")]);
    Scene::new(after(at))
        .with(market("m"), vec![yes, no])
        .build()
}

/// 200 shares at 0.50, of which 20 may be lost today, and orders on their way since second 1: a buy
/// (1 is the one that bought), a sale, and a basket.
fn travelling() -> Account {
    let mut account = Account::new("1000").bought("100", "0.50", NOON);
    account.config.execution.latency_ms = 2_000;
    account.config.risk.max_daily_loss = usd("20");
    let buy = wanted(Side::Buy, "5.5", "0.55");
    account.order(&buy, &both(1, "0.50")).unwrap();
    let sale = wanted(Side::Sell, "4", "0.40");
    account.order(&sale, &both(1, "0.50")).unwrap();
    let legs = [("m-yes", "0.55", "100"), ("m-no", "0.44", "100")];
    let pair = says("arb", vec![Intent::Basket(basket("arb", &legs, "20"))]);
    account.tick(&both(1, "0.50"), vec![pair]);
    assert_eq!(account.ledger.in_flight().count(), 4);
    account
}

/// Numbers of the orders that bought after trading was halted.
fn bought_while_halted(account: &Account) -> Vec<u64> {
    let mut halted = false;
    let mut found = Vec::new();
    for stamped in &account.events {
        match &stamped.event {
            LedgerEvent::Halted { .. } => halted = true,
            LedgerEvent::Resumed { .. } => halted = false,
            LedgerEvent::Filled { fill } if halted && fill.side == Side::Buy => {
                found.push(fill.order_id);
            }
            _ => {}
        }
    }
    found
}

#[test]
fn a_halt_withdraws_buys_on_their_way_with_their_whole_baskets() {
    let mut account = travelling();
    // 200 × 0.10 = 20 lost, a second before they arrive.
    account.books(&both(2, "0.40"));
    assert!(account.ledger.halt().is_some());
    let left: Vec<(u64, Side)> = account
        .ledger
        .in_flight()
        .map(|(order, _)| (order.id, order.side))
        .collect();
    assert_eq!(left, [(3, Side::Sell)], "only the sale goes on");
    for (_, outcome, reason) in &ends(&account)[1..] {
        assert_eq!(*outcome, OrderOutcome::Cancelled);
        assert!(
            reason.starts_with("withdrawn: trading was halted: max_daily_loss"),
            "{reason}"
        );
    }
    // Their signals ended with them; that of the sale waits.
    let ended: Vec<u64> = account.verdicts(0).iter().map(|(row, _)| *row).collect();
    assert_eq!(ended, [1, 2, 4, 5]);
    account.arrive(&both(3, "0.40"));
    assert_eq!(account.held("m-yes"), sh("190"));
    assert_eq!(bought_while_halted(&account), [0_u64; 0]);
    assert_eq!(account.ledger.in_flight().count(), 0);
}

#[test]
fn a_buy_does_not_arrive_on_books_that_call_for_a_halt() {
    for step in ["arrive", "tick", "books"] {
        let mut account = travelling();
        let then = both(4, "0.40");
        match step {
            "arrive" => drop(account.arrive(&then)),
            "tick" => drop(account.look(&then)),
            _ => drop(account.books(&then)),
        }
        // The sale of 10 at 0.40 went through; neither the buy nor a leg did.
        assert_eq!(account.held("m-yes"), sh("190"), "{step}");
        assert_eq!(account.held("m-no"), sh("0"), "{step}");
        assert!(account.ledger.halt().is_some(), "{step}");
        let refused: Vec<u64> = ends(&account)
            .iter()
            .filter(|(_, _, reason)| reason.contains("refused on arrival: trading is to be halted"))
            .map(|(id, ..)| *id)
            .collect();
        assert_eq!(refused, [2, 4, 5], "{step}");
    }
}

#[test]
fn a_signal_is_executed_when_its_order_fills_and_rejected_when_it_does_not() {
    let none: [(u64, String); 0] = [];
    let nobody = "nobody offers this token now".to_owned();
    // An agent's.
    let mut account = slow();
    account
        .order(&wanted(Side::Buy, "50", "0.50"), &asks(0, &[("0.50", "9")]))
        .unwrap();
    assert_eq!(account.verdicts(0), none);
    account.arrive(&asks(2, &[]));
    assert_eq!(account.verdicts(0), [(1, nobody.clone())]);
    // Two strategies that want the same: one order, and both end with it.
    let agree = || {
        ["one", "two"]
            .map(|name| {
                let wish = signal(name, "Yes", Side::Buy, "0.50", "50");
                says(name, vec![Intent::Directional(wish)])
            })
            .into_iter()
            .collect()
    };
    let mut account = slow();
    account.tick(&asks(0, &[("0.50", "999")]), agree());
    assert_eq!(account.verdicts(0), none);
    assert_eq!(account.ledger.in_flight().count(), 1);
    let report = account.arrive(&asks(2, &[]));
    assert_eq!(
        account.verdicts(0),
        [(1, nobody.clone()), (2, nobody.clone())]
    );
    assert_eq!(report.strategies[1].not_traded["unfilled"], 1);
    let mut account = slow();
    account.tick(&asks(0, &[("0.50", "999")]), agree());
    account.arrive(&asks(2, &[("0.50", "1")]));
    let executed = "executed".to_owned();
    assert_eq!(
        account.verdicts(0),
        [(1, executed.clone()), (2, executed.clone())]
    );
    let totals = |name: &str| {
        let name = crate::domain::StrategyName::new(name);
        account.ledger.strategies()[&name].signals_executed
    };
    assert_eq!((totals("one"), totals("two")), (1, 1));
    // One that comes to rest.
    let mut account = slow();
    let rests = AgentOrder {
        order_type: OrderType::Gtc,
        ..wanted(Side::Buy, "24", "0.40")
    };
    account.order(&rests, &asks(0, &[])).unwrap();
    account.arrive(&asks(2, &[]));
    assert_eq!(account.verdicts(0), [(1, executed)]);
    // One that is cancelled on its way.
    let mut account = slow();
    account.order(&rests, &asks(0, &[])).unwrap();
    let cancel = Input::Cancel {
        scope: CancelScope::All,
        by: "agent".to_owned(),
        at: after(1),
    };
    account.command(&cancel);
    assert_eq!(account.verdicts(0), [(1, "cancelled by agent".to_owned())]);
}

#[test]
fn the_signals_of_a_basket_end_when_its_legs_arrive() {
    let legs = [("m-yes", "0.55", "100"), ("m-no", "0.44", "100")];
    let pair = || says("arb", vec![Intent::Basket(basket("arb", &legs, "20"))]);
    let mut account = slow();
    account.tick(&both(0, "0.50"), vec![pair()]);
    assert!(account.verdicts(0).is_empty());
    account.arrive(&both(2, "0.50"));
    let executed = |row| (row, "executed".to_owned());
    assert_eq!(account.verdicts(0), [executed(1), executed(2)]);
    // No is gone: Yes is bought and sold again.
    let mut account = slow();
    account.tick(&both(0, "0.50"), vec![pair()]);
    let yes = book("m-yes", after(2), &[("0.50", "99")], &[("0.55", "99")]);
    account.arrive(
        &Scene::new(after(2))
            .with(market("m"), vec![yes, book("m-no", after(2), &[], &[])])
            .build(),
    );
    assert_eq!(
        account.verdicts(0),
        [executed(1), (2, "nobody offers this token now".to_owned())]
    );
}

#[test]
fn what_was_due_while_nobody_was_there_is_not_delivered() {
    let mut account = slow();
    let order = wanted(Side::Buy, "50", "0.50");
    account.order(&order, &asks(0, &[("0.50", "999")])).unwrap();
    account
        .order(&order, &asks(20, &[("0.50", "999")]))
        .unwrap();
    // The first was due at 2; the second, due at 22, has a second left.
    account.command(&Input::Returned { at: after(21) });
    let not_delivered = "not delivered: the server was away".to_owned();
    assert_eq!(
        ends(&account),
        [(1, OrderOutcome::Cancelled, not_delivered.clone())]
    );
    assert_eq!(account.verdicts(0), [(1, not_delivered)]);
    assert_eq!(account.ledger.available_cash(), usd("950"));
    account.look(&asks(52, &[("0.50", "999")]));
    assert_eq!(account.held("m-yes"), sh("100"), "the second came in time");
    // A sale that a stop set off is sent again at the next look.
    let mut account = slow_with_a_stop();
    let fallen = |at: i64| {
        Scene::new(after(at))
            .yes(&[("0.44", "500")], &[("0.46", "9")])
            .build()
    };
    account.look(&fallen(1));
    account.command(&Input::Returned { at: after(30) });
    assert_eq!(account.ledger.in_flight().count(), 0);
    account.look(&fallen(31));
    account.look(&fallen(33));
    assert_eq!(account.held("m-yes"), sh("0"));
}

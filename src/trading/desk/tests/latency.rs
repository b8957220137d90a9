//! Orders that take time to arrive: they meet the book of then.

use crate::domain::{ConditionalKind, Intent, LedgerEvent, OrderOutcome, OrderType, Side, Usdc};
use crate::trading::desk::{AgentOrder, CancelScope, Input, Output};
use crate::trading::test_support::{
    Account, NOON, Scene, after, basket, book, conditional, market, says, sh, signal, usd, wanted,
};

fn slow() -> Account {
    Account::new("1000").configured(|config| config.execution.latency_ms = 2_000)
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
        let then = asks(60, &[("0.50", "999")]);
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
    let mut account = slow();
    account.config.execution.latency_ms = 0;
    let mut account = account.bought("50", "0.50", NOON);
    account.config.execution.latency_ms = 2_000;
    account
        .conditional(&conditional(ConditionalKind::StopLoss, "0.45"), NOON)
        .unwrap();
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
    assert_eq!(account.verdicts(0), [(1, "executed".to_owned())]);
    assert!(account.ledger.conditionals().is_empty());
    let then = Scene::new(after(2))
        .yes(&[("0.49", "9")], &[("0.50", "999")])
        .build();
    account.arrive(&then);
    assert_eq!(account.ledger.conditionals().len(), 2);
    assert_eq!(account.ledger.fees(), Usdc::ZERO);
}

//! One cancels other; which buys get exits; between ticks; failing strategies.

use super::*;

fn ends(account: &Account) -> Vec<String> {
    account.since(0, |event| match event {
        LedgerEvent::ConditionalTriggered { id, sold, .. } => Some(format!("{id} sold {sold}")),
        LedgerEvent::ConditionalReduced { id, shares, .. } => Some(format!("{id} left {shares}")),
        LedgerEvent::ConditionalCancelled { id, reason } => Some(format!("{id} {reason}")),
        _ => None,
    })
}

/// 40 shares; a stop and a profit that cancel each other for 20 of them, a stop for 15 on its own.
fn grouped() -> Account {
    let mut account = Account::new("100").bought("20", "0.50", NOON);
    let some = |kind, trigger, shares, oco_with| NewConditional {
        shares: Some(sh(shares)),
        oco_with,
        ..conditional(kind, trigger)
    };
    for new in [
        some(StopLoss, "0.40", "20", None),
        some(TakeProfit, "0.60", "20", Some(1)),
        some(StopLoss, "0.30", "15", None),
    ] {
        account.conditional(&new, NOON).unwrap();
    }
    account
}

#[test]
fn when_one_of_a_group_has_sold_all_the_others_are_withdrawn() {
    let mut account = grouped();
    look(&mut account, 1, &[("0.60", "100")]);
    // 20 of the 40 are sold; the lone stop goes on.
    assert_eq!(account.held("m-yes"), sh("20"));
    assert_eq!(
        ends(&account),
        ["2 sold 20", "1 one cancels other: take_profit 2 sold"]
    );
    assert_eq!(kinds(&account), [(StopLoss, "0.3".into(), "15".into())]);
}

#[test]
fn when_one_of_a_group_has_sold_a_part_the_others_cover_what_is_left() {
    let mut account = grouped();
    look(&mut account, 1, &[("0.60", "12"), ("0.50", "100")]);
    assert_eq!(ends(&account), ["2 left 8", "1 left 8"]);
    // The stop finishes it: 40 − 12 − 8 = 20 stay.
    look(&mut account, 2, &[("0.40", "100")]);
    assert_eq!(
        ends(&account)[2..],
        ["1 sold 8", "2 one cancels other: stop_loss 1 sold"]
    );
    assert_eq!(account.held("m-yes"), sh("20"));
}

#[test]
fn a_group_is_of_one_position_and_of_the_same_shares() {
    let mut account = grouped();
    let joins = |shares: Option<&str>, with| NewConditional {
        shares: shares.map(sh),
        oco_with: Some(with),
        ..conditional(TakeProfit, "0.70")
    };
    let refused = account.conditional(&joins(None, 9), NOON).unwrap_err();
    assert_eq!(refused.code, "unknown_order");
    let refused = account
        .conditional(&joins(Some("10"), 1), NOON)
        .unwrap_err();
    assert_eq!(
        refused.message,
        "10 shares cannot be grouped with conditional order 1, which sells 20"
    );
    let elsewhere = NewConditional {
        token_id: "m-no".into(),
        ..joins(None, 1)
    };
    assert!(account.conditional(&elsewhere, NOON).is_err());
    // Without a size it takes the group's: 20, not the 40 that are held; through any member.
    let id = account.conditional(&joins(None, 2), NOON).unwrap();
    let order = &account.ledger.conditionals()[&id];
    assert_eq!((order.shares, order.group), (sh("20"), Some(1)));
}

#[test]
fn the_exits_of_one_buy_are_a_group() {
    let mut account = Account::new("1000").configured(enabled);
    let asks: Levels<'_> = &[("0.50", "100")];
    tick(&mut account, 1, &[("0.48", "100")], asks, buy("0.50", "10"));
    tick(&mut account, 2, &[("0.48", "100")], asks, buy("0.50", "5"));
    let groups: Vec<_> = account
        .ledger
        .conditionals()
        .values()
        .map(|order| (order.id, order.shares, order.group))
        .collect();
    assert_eq!(
        groups,
        [
            (1, sh("20"), Some(1)),
            (2, sh("20"), Some(1)),
            (3, sh("10"), Some(3)),
            (4, sh("10"), Some(3)),
        ]
    );
    // Both profits fire at 0.60; each withdraws its own stop.
    look(&mut account, 3, &[("0.60", "100")]);
    assert_eq!(account.held("m-yes"), sh("0"));
    assert_eq!(
        ends(&account),
        [
            "2 sold 20",
            "1 one cancels other: take_profit 2 sold",
            "4 sold 10",
            "3 one cancels other: take_profit 4 sold",
        ]
    );
}

#[test]
fn what_the_market_maker_buys_gets_no_exits() {
    let mut account = Account::new("1000").configured(enabled);
    let first = Scene::new(after(1))
        .yes(&[("0.48", "100")], &[("0.52", "100")])
        .build();
    let maker = || vec![quote("maker", "m", Some(("0.45", "10")), None)];
    account.tick(&first, vec![says("maker", maker())]);
    // The market trades through 0.45.
    let through = Scene::new(after(2))
        .yes(&[("0.42", "100")], &[("0.44", "100")])
        .build();
    account.tick(&through, vec![says("maker", maker())]);
    assert_eq!(account.held("m-yes"), sh("10"));
    assert!(account.ledger.conditionals().is_empty());
}

// ---- between ticks, baskets, resting orders, failing strategies ----

/// A step between ticks, audited.
fn books_changed(account: &mut Account, snapshot: &Snapshot) -> TickReport {
    let (report, events) =
        crate::trading::desk::books_changed(&mut account.ledger, snapshot, &account.config)
            .unwrap();
    account.events.extend(events);
    crate::trading::test_support::audit(&account.ledger, &account.events);
    report
}

#[test]
fn an_exit_fires_between_ticks_without_strategies() {
    let mut account = guarded(StopLoss, "0.40");
    let report = books_changed(&mut account, &scene(1, &[("0.39", "100")]));
    assert_eq!(report.triggered.len(), 1);
    // 90 + 20 × 0.39
    assert_eq!(account.ledger.cash(), usd("97.8"));
    assert_eq!(account.ledger.ticks(), 0, "no tick is counted");
}

#[test]
fn the_legs_of_a_basket_get_no_exits() {
    let mut account = Account::new("100").configured(enabled);
    let books = vec![
        book("m-yes", after(1), &[("0.43", "99")], &[("0.45", "99")]),
        book("m-no", after(1), &[("0.48", "99")], &[("0.50", "99")]),
    ];
    let scene = Scene::new(after(1)).with(market("m"), books).build();
    let legs = [("m-yes", "0.45", "99"), ("m-no", "0.50", "99")];
    let pair = Intent::Basket(basket("arb", &legs, "20"));
    account.tick(&scene, vec![says("arb", vec![pair])]);
    assert_eq!(
        (account.held("m-yes"), account.held("m-no")),
        (sh("20"), sh("20"))
    );
    assert!(account.ledger.conditionals().is_empty());
    // Nor are they sold at the next look though the price is that of the entry.
    look(&mut account, 2, &[("0.45", "99")]);
    assert_eq!(account.held("m-yes"), sh("20"));
}

#[test]
fn a_resting_buy_that_names_its_exits_gets_them_with_each_fill() {
    let mut account = Account::new("100");
    let order = Order {
        stop_loss: Some(p("0.30")),
        take_profit: Some(p("0.70")),
        ..order(1, Side::Buy, "0.45", "20", OrderType::PostOnly)
    };
    let mut recorder = Recorder::new(&mut account.ledger, NOON);
    for event in [
        LedgerEvent::OrderAccepted { order },
        LedgerEvent::OrderRested {
            order_id: 1,
            remaining: sh("20"),
            queue_ahead: sh("0"),
            prints_to: None,
        },
    ] {
        recorder.record(event).unwrap();
    }
    let events = recorder.into_events();
    account.events.extend(events);
    // 12 shares are offered below 0.45, then the rest. Between ticks: in one, an order that no
    // strategy quotes any more would be withdrawn.
    for (seconds, offered) in [(1, "12"), (2, "50")] {
        let scene = Scene::new(after(seconds)).yes(&[("0.40", "99")], &[("0.44", offered)]);
        books_changed(&mut account, &scene.build());
    }
    assert_eq!(account.held("m-yes"), sh("20"));
    let groups: Vec<_> = account
        .ledger
        .conditionals()
        .values()
        .map(|order| (order.kind, order.shares, order.group))
        .collect();
    assert_eq!(
        groups,
        [
            (StopLoss, sh("12"), Some(1)),
            (TakeProfit, sh("12"), Some(1)),
            (StopLoss, sh("8"), Some(3)),
            (TakeProfit, sh("8"), Some(3)),
        ]
    );
}

#[test]
fn no_failing_strategy_keeps_an_exit_from_selling_in_any_place_of_the_list() {
    let fine = || says("one", vec![Intent::Directional(buy("0.42", "4.2"))]);
    for first in [true, false] {
        let mut account = guarded(StopLoss, "0.40");
        let scene = scene(1, &[("0.40", "100")]);
        let mut strategies: Vec<Box<dyn Strategy>> = vec![Box::new(Panics), Box::new(Fails)];
        strategies.insert(if first { 0 } else { 2 }, fine());
        let report = account.tick(&scene, strategies);
        assert_eq!(report.triggered.len(), 1);
        let failed: Vec<_> = report
            .strategies
            .iter()
            .filter_map(|strategy| strategy.error.as_deref())
            .collect();
        assert_eq!(failed.len(), 2, "both are reported: {failed:?}");
        // The stop sold 20, then 4.2 / 0.42 = 10 were bought: 90 + 8 − 4.2
        assert_eq!(
            (account.held("m-yes"), account.ledger.cash()),
            (sh("10"), usd("93.8"))
        );
    }
}

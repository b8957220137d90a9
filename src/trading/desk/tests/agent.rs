//! Orders of an agent: previews, repeats, sales of everything, exits, refusals.

use crate::domain::{ConditionalKind, OrderType, Price, Shares, Side, Snapshot};
use crate::trading::desk::{AgentOrder, NewConditional, preview_order};
use crate::trading::test_support::{
    Account, Levels, NOON, Scene, after, book, charging, conditional, market, p, sh, usd, wanted,
};

use ConditionalKind::{StopLoss, TakeProfit, TrailingStop};

const BIDS: Levels<'_> = &[("0.48", "30"), ("0.47", "50")];
const ASKS: Levels<'_> = &[("0.50", "30"), ("0.51", "50"), ("0.60", "500")];

fn scene(at: i64) -> Snapshot {
    let fresh = book("m-yes", after(at), BIDS, ASKS);
    Scene::new(after(at))
        .with(charging(market("m"), "0.05"), vec![fresh])
        .build()
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(
    verdict: Result<T, crate::trading::risk::Refusal>,
    code: &str,
    message: &str,
    hint: &str,
) {
    let refusal = verdict.unwrap_err();
    assert_eq!(refusal.code, code, "{refusal:?}");
    assert!(
        refusal.message.contains(message),
        "{:?} lacks {message:?}",
        refusal.message
    );
    assert!(
        refusal.hint.contains(hint),
        "{:?} lacks {hint:?}",
        refusal.hint
    );
}

#[test]
fn a_purchase_walks_the_book_and_pays_the_fee_of_each_level() {
    let mut account = Account::new("1000");
    let report = account
        .order(&wanted(Side::Buy, "51", "0.51"), &scene(0))
        .unwrap();
    // 51 / 0.51 = 100 shares wanted; 30 at 0.50 and 50 at 0.51 are there: 15 + 25.5 = 40.5.
    // fees: 30 × 0.05 × 0.25 = 0.375; 50 × 0.05 × 0.51 × 0.49 = 0.62475
    assert_eq!(report.status, "partially_filled");
    assert_eq!(report.fills.len(), 2);
    assert_eq!(account.ledger.fees(), usd("0.99975"));
    assert_eq!(account.ledger.cash(), usd("958.50025"));
    assert_eq!(account.held("m-yes"), sh("80"));
    assert_eq!(account.verdicts(0), [(1, "executed".to_owned())]);
}

#[test]
fn a_preview_records_nothing_and_its_fills_are_those_of_the_order() {
    let mut account = Account::new("1000").bought("10", "0.50", NOON);
    for order in [
        wanted(Side::Buy, "51", "0.51"),
        wanted(Side::Sell, "7.2", "0.47"),
    ] {
        let before = account.ledger.clone();
        let preview = preview_order(&account.ledger, &order, &scene(1), &account.config)
            .unwrap()
            .unwrap();
        assert_eq!(account.ledger, before, "a preview changed the ledger");
        assert!(
            preview.checks.iter().all(|check| check.passed),
            "{:?}",
            preview.checks
        );
        let placed = account.order(&order, &scene(1)).unwrap();
        assert!(!placed.fills.is_empty());
        assert_eq!(preview.report.fills, placed.fills);
        assert_eq!(preview.report.status, placed.status);
        assert_eq!(preview.report.slippage, placed.slippage);
        assert_eq!(preview.cash, account.ledger.cash());
        assert_eq!(
            preview.market_exposure,
            account.ledger.market_exposure(&"m".into())
        );
    }
}

#[test]
fn a_preview_of_what_would_be_refused_says_which_check_fails() {
    let account = Account::new("1000");
    let failed = |order: &AgentOrder, scene: &Snapshot| -> Vec<String> {
        let preview = preview_order(&account.ledger, order, scene, &account.config)
            .unwrap()
            .unwrap();
        let checks = preview.checks.into_iter().filter(|check| !check.passed);
        checks.map(|check| check.limit).collect()
    };
    assert_eq!(
        failed(&wanted(Side::Buy, "101", "0.50"), &scene(0)),
        ["max_position_size"]
    );
    assert_eq!(
        failed(&wanted(Side::Sell, "10", "0.48"), &scene(0)),
        ["shares_held"]
    );
    let post = AgentOrder {
        order_type: OrderType::PostOnly,
        ..wanted(Side::Buy, "10", "0.99")
    };
    // 0.99 is also further from the mid than risk.max_price_distance allows.
    assert_eq!(
        failed(&post, &scene(0)),
        ["post_only_crosses", "max_price_distance"]
    );
    let over = Scene::new(NOON).yes(BIDS, ASKS).resolved("m", "1").build();
    assert_eq!(
        failed(&wanted(Side::Buy, "10", "0.50"), &over),
        ["market_not_tradable"]
    );
    let elsewhere = AgentOrder {
        market_id: "x".into(),
        ..wanted(Side::Buy, "10", "0.50")
    };
    let preview = preview_order(&account.ledger, &elsewhere, &scene(0), &account.config).unwrap();
    is_refused(
        preview,
        "unknown_market",
        "there is no market x",
        "search_markets",
    );
}

#[test]
fn the_same_client_order_id_gives_the_first_result_and_no_second_order() {
    let mut account = Account::new("1000");
    let named = |order: AgentOrder| AgentOrder {
        client_order_id: Some("k-1".to_owned()),
        stop_loss: (order.side == Side::Buy).then(|| p("0.30")),
        ..order
    };
    let order = named(wanted(Side::Buy, "51", "0.51"));
    let first = account.order(&order, &scene(0)).unwrap();
    let before = account.ledger.clone();
    let again = account.order(&order, &scene(5)).unwrap();
    assert_eq!(account.ledger, before, "a repetition changed the ledger");
    assert_eq!(
        (
            again.order_id,
            &again.fills,
            &again.status,
            again.notional,
            again.fee
        ),
        (
            first.order_id,
            &first.fills,
            &first.status,
            first.notional,
            first.fee
        )
    );
    for other in [
        AgentOrder {
            size: usd("50"),
            ..order.clone()
        },
        AgentOrder {
            limit: p("0.50"),
            ..order.clone()
        },
        AgentOrder {
            token_id: "m-no".into(),
            ..order.clone()
        },
        AgentOrder {
            order_type: OrderType::Fok,
            ..order.clone()
        },
        AgentOrder {
            stop_loss: None,
            ..order.clone()
        },
        AgentOrder {
            take_profit: Some(p("0.9")),
            ..order.clone()
        },
        named(wanted(Side::Sell, "10", "0.51")),
    ] {
        is_refused(
            account.order(&other, &scene(5)),
            "client_order_id_used",
            "buy 100 shares of Yes at 0.51",
            "Use a new client_order_id",
        );
    }
    assert_eq!(account.ledger, before);
}

#[test]
fn a_repeated_sale_is_compared_by_its_size_too() {
    let mut account = Account::new("1000").bought("10", "0.50", NOON);
    let sale = |size: &str| AgentOrder {
        client_order_id: Some("s".to_owned()),
        ..wanted(Side::Sell, size, "0.47")
    };
    // 20 shares × 0.47 = 9.4: all of them
    account.order(&sale("9.4"), &scene(1)).unwrap();
    assert_eq!(account.held("m-yes"), Shares::ZERO);
    assert_eq!(
        account.order(&sale("9.4"), &scene(2)).unwrap().status,
        "filled"
    );
    let other = account.order(&sale("4.7"), &scene(2));
    is_refused(
        other,
        "client_order_id_used",
        "sell 20 shares",
        "new client_order_id",
    );
}

#[test]
fn a_refused_order_does_not_use_up_its_client_order_id() {
    let mut account = Account::new("1000");
    let order = AgentOrder {
        client_order_id: Some("k".to_owned()),
        ..wanted(Side::Buy, "51", "0.51")
    };
    let stale = Scene::new(after(90)).with(market("m"), vec![book("m-yes", NOON, BIDS, ASKS)]);
    is_refused(
        account.order(&order, &stale.build()),
        "max_book_age",
        "90 s old",
        "fresh book",
    );
    assert_eq!(
        account.verdicts(0)[0].1,
        "the book is 90 s old, allowed is 30 s"
    );
    assert!(account.order(&order, &scene(91)).is_ok());
}

#[test]
fn selling_everything_by_its_notional_leaves_no_dust() {
    // Books need not come in lots: 12.723456 shares are held.
    for (held, limit) in [
        ("12.723456", "0.47"),
        ("7.1", "0.33"),
        ("3.339999", "0.07"),
        ("80", "0.48"),
    ] {
        let mut account = Account::new("1000");
        let odd = Scene::new(NOON).yes(&[], &[("0.50", held)]).build();
        account
            .order(&wanted(Side::Buy, "90", "0.50"), &odd)
            .unwrap();
        assert_eq!(account.held("m-yes"), sh(held));
        // what an agent works out from the portfolio, in micro-units
        let size = crate::domain::notional(p(limit), sh(held), crate::domain::Rounding::Down);
        let deep = Scene::new(after(1)).yes(&[("0.48", "1000")], &[]).build();
        let sale = AgentOrder {
            size: size.unwrap(),
            ..wanted(Side::Sell, "1", limit)
        };
        account.order(&sale, &deep).unwrap();
        assert_eq!(account.held("m-yes"), Shares::ZERO, "{held} at {limit}");
        assert!(account.ledger.positions().is_empty());
    }
}

#[test]
fn selling_what_is_not_held_is_refused_with_what_could_be() {
    let mut account = Account::new("1000");
    is_refused(
        account.order(&wanted(Side::Sell, "10", "0.48"), &scene(0)),
        "shares_held",
        "0 held and free",
        "To bet against an outcome, buy the other one.",
    );
    let mut account = account.bought("10", "0.50", NOON);
    is_refused(
        account.order(&wanted(Side::Sell, "10", "0.48"), &scene(1)),
        "shares_held",
        "20.83 shares wanted for sale, 20 held and free",
        "Sell at most 9.6 pUSD of notional at this price (20 shares).",
    );
    let all = account
        .order(&wanted(Side::Sell, "9.6", "0.48"), &scene(1))
        .unwrap();
    assert_eq!(all.status, "filled", "the size that the hint names passes");
}

#[test]
fn an_order_that_finds_nothing_is_recorded_as_such() {
    let mut account = Account::new("1000");
    let report = account
        .order(&wanted(Side::Buy, "10", "0.49"), &scene(0))
        .unwrap();
    assert_eq!(report.status, "unfilled");
    assert_eq!(report.reason, "the best price is 0.5, the limit 0.49");
    let fok = AgentOrder {
        order_type: OrderType::Fok,
        ..wanted(Side::Buy, "51", "0.51")
    };
    let report = account.order(&fok, &scene(0)).unwrap();
    assert_eq!(
        report.reason,
        "fill or kill: the book does not hold 100 shares at 0.51 or better"
    );
    assert_eq!(account.ledger.cash(), usd("1000"));
    assert_eq!(account.verdicts(0).len(), 2);
}

#[test]
fn exits_named_by_the_order_are_attached_to_what_it_bought() {
    let mut account = Account::new("1000").configured(|c| c.conditional.enabled = true);
    let order = AgentOrder {
        stop_loss: Some(p("0.40")),
        trail_percent: Some(p("0.1")),
        ..wanted(Side::Buy, "51", "0.51")
    };
    account.order(&order, &scene(0)).unwrap();
    let seen: Vec<(ConditionalKind, Price, Shares)> = account
        .ledger
        .conditionals()
        .values()
        .map(|c| (c.kind, c.trigger_price, c.shares))
        .collect();
    // The defaults are for strategies: no take-profit. The trailing stop starts from the bid.
    assert_eq!(
        seen,
        [
            (StopLoss, p("0.40"), sh("80")),
            (TrailingStop, p("0.48"), sh("80"))
        ]
    );
}

#[test]
fn terms_that_make_no_sense_are_refused_before_anything_is_bought() {
    let buy = || wanted(Side::Buy, "10", "0.50");
    let cases = [
        (
            AgentOrder {
                order_type: OrderType::PostOnly,
                ..buy()
            },
            "post_only_crosses",
            "further from the other side",
        ),
        (
            AgentOrder {
                stop_loss: Some(p("0.48")),
                ..buy()
            },
            "exit_price",
            "below 0.48",
        ),
        (
            AgentOrder {
                stop_loss: Some(p("0")),
                ..buy()
            },
            "exit_price",
            "above 0",
        ),
        (
            AgentOrder {
                take_profit: Some(p("0.48")),
                ..buy()
            },
            "exit_price",
            "above 0.48",
        ),
        (
            AgentOrder {
                take_profit: Some(p("1")),
                ..buy()
            },
            "exit_price",
            "below 1",
        ),
        (
            AgentOrder {
                trail_percent: Some(p("0")),
                ..buy()
            },
            "trail_percent",
            "0.05",
        ),
        (
            AgentOrder {
                trail_percent: Some(p("1")),
                ..buy()
            },
            "trail_percent",
            "0.05",
        ),
        (
            AgentOrder {
                stop_loss: Some(p("0.1")),
                ..wanted(Side::Sell, "1", "0.48")
            },
            "exit_price",
            "create_conditional_order",
        ),
    ];
    let mut account = Account::new("1000").bought("10", "0.50", NOON);
    for (order, code, hint) in cases {
        is_refused(account.order(&order, &scene(1)), code, "", hint);
    }
    assert_eq!(
        (account.ledger.cash(), account.held("m-yes")),
        (usd("990"), sh("20"))
    );
    let fine = AgentOrder {
        stop_loss: Some(p("0.47")),
        take_profit: Some(p("0.49")),
        ..buy()
    };
    account.order(&fine, &scene(1)).unwrap();
    assert_eq!(account.ledger.conditionals().len(), 2);
}

#[test]
fn an_unknown_market_is_refused_with_a_hint() {
    let mut account = Account::new("1000");
    let order = AgentOrder {
        market_id: "x".into(),
        ..wanted(Side::Buy, "10", "0.50")
    };
    is_refused(
        account.order(&order, &scene(0)),
        "unknown_market",
        "no market x",
        "search_markets",
    );
    assert_eq!(
        account.events.len(),
        2,
        "nothing is logged for a market that is not there"
    );
}

// ---- conditional orders on request ----

#[test]
fn a_conditional_order_covers_the_whole_position_unless_told_otherwise() {
    let mut account = Account::new("100").bought("10", "0.50", NOON);
    let whole = account
        .conditional(&conditional(StopLoss, "0.40"), NOON)
        .unwrap();
    let part = NewConditional {
        shares: Some(sh("20")),
        ..conditional(TakeProfit, "0.99")
    };
    let part = account.conditional(&part, NOON).unwrap();
    let shares = |id: u64| account.ledger.conditionals()[&id].shares;
    assert_eq!(
        (whole, part, shares(whole), shares(part)),
        (1, 2, sh("20"), sh("20"))
    );
    account.withdraw(whole, after(1)).unwrap();
    assert_eq!(account.ledger.conditionals().len(), 1);
    is_refused(
        account.withdraw(whole, after(2)),
        "unknown_order",
        "No active conditional order with id 1",
        "get_conditional_orders",
    );
}

#[test]
fn conditional_orders_that_make_no_sense_are_refused() {
    let mut account = Account::new("100");
    let bare = || conditional(StopLoss, "0.40");
    is_refused(
        account.conditional(&bare(), NOON),
        "not_held",
        "m-yes",
        "get_portfolio",
    );
    let mut account = account.bought("10", "0.50", NOON);
    let seen = |kind, trigger: &str| NewConditional {
        bid: Some(p("0.48")),
        ..conditional(kind, trigger)
    };
    let trailing = |trigger: &str, trail: &str| NewConditional {
        trail_percent: Some(p(trail)),
        ..seen(TrailingStop, trigger)
    };
    let refused = [
        (
            NewConditional {
                shares: Some(sh("20.000001")),
                ..bare()
            },
            "shares_held",
            "20 held",
        ),
        (
            NewConditional {
                shares: Some(Shares::ZERO),
                ..bare()
            },
            "size",
            "no shares",
        ),
        (
            conditional(StopLoss, "0"),
            "price_range",
            "can never be a bid",
        ),
        (
            conditional(TakeProfit, "1"),
            "price_range",
            "can never be a bid",
        ),
        (
            conditional(StopLoss, "0.009"),
            "price_range",
            "can never be a bid",
        ),
        (
            conditional(TakeProfit, "0.991"),
            "price_range",
            "can never be a bid",
        ),
        (
            seen(TrailingStop, "0.48"),
            "trail_percent",
            "above 0 and below 1",
        ),
        (
            trailing("0.48", "0"),
            "trail_percent",
            "above 0 and below 1",
        ),
        (
            trailing("0.48", "1"),
            "trail_percent",
            "above 0 and below 1",
        ),
        (seen(StopLoss, "0.48"), "fires_at_once", "the bid is 0.48"),
        (seen(TakeProfit, "0.48"), "fires_at_once", "the bid is 0.48"),
        // 0.60 × 0.8 = 0.48
        (trailing("0.60", "0.2"), "fires_at_once", "the bid is 0.48"),
    ];
    for (new, code, message) in refused {
        is_refused(account.conditional(&new, NOON), code, message, "");
    }
    assert!(account.ledger.conditionals().is_empty());
    let passing = [
        NewConditional {
            shares: Some(sh("20")),
            ..bare()
        },
        conditional(StopLoss, "0.01"),
        conditional(TakeProfit, "0.99"),
        seen(StopLoss, "0.479999"),
        seen(TakeProfit, "0.480001"),
        trailing("0.60", "0.21"),
    ];
    for new in passing {
        account.conditional(&new, NOON).unwrap();
    }
    assert_eq!(account.ledger.conditionals().len(), 6);
}

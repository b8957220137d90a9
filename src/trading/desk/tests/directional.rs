//! Signals: conflicts, agreement, confidence, Kelly, and what is not worth trading.

use crate::domain::{Intent, LedgerEvent, MarketStatus, Shares, Side, Signal, Snapshot};
use crate::strategy::Strategy;
use crate::trading::config::SizingMethod;
use crate::trading::report::TickReport;
use crate::trading::test_support::{
    Account, NOON, Scene, book, charging, market, p, says, sh, signal, usd,
};

/// `m` with a Yes and a No book, deep at 0.50.
fn scene() -> Snapshot {
    let books = ["m-yes", "m-no"]
        .map(|token| book(token, NOON, &[("0.48", "10000")], &[("0.50", "10000")]));
    Scene::new(NOON).with(market("m"), books.to_vec()).build()
}

fn give(name: &'static str, signals: Vec<Signal>) -> Box<dyn Strategy> {
    says(name, signals.into_iter().map(Intent::Directional).collect())
}

fn buy(name: &str, outcome: &str) -> Signal {
    signal(name, outcome, Side::Buy, "0.50", "10")
}

fn causes(report: &TickReport, strategy: &str) -> Vec<(String, u32)> {
    report
        .strategies
        .iter()
        .filter(|s| s.strategy == strategy)
        .flat_map(|s| s.not_traded.clone())
        .collect()
}

#[test]
fn one_signal_is_bought_at_what_the_book_asks_and_logged() {
    let mut account = Account::new("1000");
    let report = account.tick(&scene(), vec![give("one", vec![buy("one", "Yes")])]);
    assert_eq!(account.held("m-yes"), sh("20"));
    assert_eq!(account.verdicts(0), [(1, "executed".to_owned())]);
    assert_eq!(report.orders[0].reason, "test; fixed size 10 pUSD of one");
    assert_eq!(
        (report.signal_log.len(), report.strategies[0].signals),
        (1, 1)
    );
    let totals = &account.ledger.strategies()["one"];
    assert_eq!((totals.signals_generated, totals.signals_executed), (1, 1));
}

#[test]
fn yes_against_no_is_a_conflict_and_both_are_dropped() {
    let mut account = Account::new("1000");
    let strategies = vec![
        give("one", vec![buy("one", "Yes")]),
        give("two", vec![buy("two", "No")]),
    ];
    let report = account.tick(&scene(), strategies);
    assert!(report.orders.is_empty());
    assert_eq!(causes(&report, "one"), [("conflict".to_owned(), 1)]);
    assert_eq!(causes(&report, "two"), [("conflict".to_owned(), 1)]);
    assert!(
        account
            .verdicts(0)
            .iter()
            .all(|(_, why)| why.starts_with("conflict: "))
    );
}

#[test]
fn selling_yes_agrees_with_buying_no_and_contradicts_buying_yes() {
    let held = || Account::new("1000").bought("10", "0.50", NOON);
    let sale = || signal("one", "Yes", Side::Sell, "0.48", "9.6");
    let mut account = held();
    let strategies = vec![
        give("one", vec![sale()]),
        give("two", vec![buy("two", "No")]),
    ];
    account.tick(&scene(), strategies);
    assert_eq!(
        (account.held("m-yes"), account.held("m-no")),
        (Shares::ZERO, sh("20"))
    );

    let mut account = held();
    let strategies = vec![
        give("one", vec![sale()]),
        give("two", vec![buy("two", "Yes")]),
    ];
    let report = account.tick(&scene(), strategies);
    assert!(report.orders.is_empty());
}

#[test]
fn confidence_at_the_minimum_passes_and_below_it_does_not() {
    for (confidence, trades) in [(0.5, true), (0.499_999, false), (1.0, true)] {
        let mut account = Account::new("1000");
        let signal = Signal {
            confidence,
            ..buy("one", "Yes")
        };
        let strategies = vec![give("one", vec![signal])];
        let report = account.tick(&scene(), strategies);
        assert_eq!(
            report.orders.len(),
            usize::from(trades),
            "confidence {confidence}"
        );
        if !trades {
            assert_eq!(
                causes(&report, "one"),
                [("confidence too low".to_owned(), 1)]
            );
        }
    }
}

#[test]
fn enough_strategies_must_agree_and_then_all_their_signals_are_executed_by_one_order() {
    let account = || Account::new("1000").configured(|c| c.aggregation.min_strategies = 2);
    let mut alone = account();
    let twice = vec![buy("one", "Yes"), buy("one", "Yes")];
    let report = alone.tick(&scene(), vec![give("one", twice)]);
    assert!(
        report.orders.is_empty(),
        "the same strategy twice is one strategy"
    );
    assert_eq!(
        causes(&report, "one"),
        [("too few strategies agree".to_owned(), 2)]
    );

    let mut agreed = account();
    let strategies = vec![
        give(
            "one",
            vec![Signal {
                confidence: 0.6,
                ..buy("one", "Yes")
            }],
        ),
        give(
            "two",
            vec![Signal {
                confidence: 0.8,
                size: usd("20"),
                ..buy("two", "Yes")
            }],
        ),
    ];
    let report = agreed.tick(&scene(), strategies);
    // The more confident one's size: 20 / 0.50
    assert_eq!(report.orders.len(), 1);
    assert_eq!(agreed.held("m-yes"), sh("40"));
    assert_eq!(agreed.verdicts(0).len(), 2);
    assert!(
        agreed
            .verdicts(0)
            .iter()
            .all(|(_, verdict)| verdict == "executed")
    );
}

#[test]
fn the_blend_of_those_who_agree_decides_about_confidence() {
    let mut account = Account::new("1000").configured(|c| c.aggregation.min_confidence = 0.7);
    let strategies = |low| {
        vec![
            give(
                "one",
                vec![Signal {
                    confidence: 0.9,
                    ..buy("one", "Yes")
                }],
            ),
            give(
                "two",
                vec![Signal {
                    confidence: low,
                    ..buy("two", "Yes")
                }],
            ),
        ]
    };
    // (0.9 + 0.4) / 2 = 0.65
    assert!(account.tick(&scene(), strategies(0.4)).orders.is_empty());
    // (0.9 + 0.6) / 2 = 0.75
    assert_eq!(account.tick(&scene(), strategies(0.6)).orders.len(), 1);
}

#[test]
fn a_refusal_is_counted_under_the_strategy_whose_signal_it_was() {
    let mut account = Account::new("1000").configured(|c| c.risk.max_position_size = usd("5"));
    let strategies = vec![
        give("one", vec![buy("one", "Yes")]),
        give("two", vec![buy("two", "Yes")]),
    ];
    let report = account.tick(&scene(), strategies);
    for name in ["one", "two"] {
        assert_eq!(causes(&report, name), [("max_position_size".to_owned(), 1)]);
    }
}

#[test]
fn kelly_bets_on_the_fair_price_and_grows_above_the_strategys_own_size() {
    // fair 0.60 at 0.50: (0.60 − 0.50) / (1 − 0.50) = 0.2 of 1,000
    let bet = |method, max_bet_pct, deposit: &str| {
        let mut account = Account::new(deposit).configured(|config| {
            config.sizing.method = method;
            config.sizing.max_bet_pct = max_bet_pct;
        });
        let signal = Signal {
            fair_price: 0.60,
            edge: 0.10,
            ..buy("one", "Yes")
        };
        account.tick(&scene(), vec![give("one", vec![signal])]);
        account.held("m-yes").to_string()
    };
    // a quarter of it: 50 pUSD, five times the strategy's 10
    assert_eq!(bet(SizingMethod::FractionalKelly, 1.0, "1000"), "100");
    // all of it, capped at 8 %: 80 pUSD
    assert_eq!(bet(SizingMethod::Kelly, 0.08, "1000"), "160");
    // 200 pUSD is more than max_position_size leaves: cut to 100, not refused
    assert_eq!(bet(SizingMethod::Kelly, 1.0, "1000"), "200");
    // a small account shrinks the bet: 0.2 × 20 = 4 pUSD
    assert_eq!(bet(SizingMethod::Kelly, 1.0, "20"), "8");
    assert_eq!(bet(SizingMethod::Fixed, 1.0, "1000"), "20");
}

#[test]
fn a_negative_edge_is_never_traded_whatever_the_sizing() {
    let charged = {
        let fresh = book("m-yes", NOON, &[("0.48", "10000")], &[("0.50", "10000")]);
        Scene::new(NOON)
            .with(charging(market("m"), "0.05"), vec![fresh])
            .build()
    };
    for method in [
        SizingMethod::Fixed,
        SizingMethod::Kelly,
        SizingMethod::FractionalKelly,
    ] {
        // The fee is 0.05 × 0.25 = 0.0125 per share.
        for (fair_price, edge, trades) in [
            (0.55, 0.0375, true),
            (0.512, 0.01, false),
            (0.40, 0.05, false),
            (0.55, -0.01, false),
        ] {
            let mut account = Account::new("1000").configured(|c| c.sizing.method = method);
            let signal = Signal {
                fair_price,
                edge,
                ..buy("one", "Yes")
            };
            let report = account.tick(&charged, vec![give("one", vec![signal])]);
            assert_eq!(
                report.orders.len(),
                usize::from(trades),
                "{method:?} {fair_price} {edge}"
            );
            if !trades {
                assert_eq!(causes(&report, "one"), [("no edge".to_owned(), 1)]);
            }
        }
    }
}

#[test]
fn what_cannot_be_traded_says_why() {
    let mut account = Account::new("1000");
    let below = signal("one", "Yes", Side::Buy, "0.49", "10");
    let elsewhere = Signal {
        market_id: "gone".into(),
        token_id: "gone-yes".into(),
        ..buy("one", "Yes")
    };
    let report = account.tick(&scene(), vec![give("one", vec![below, elsewhere])]);
    assert_eq!(
        causes(&report, "one"),
        [
            ("market not gathered".to_owned(), 1),
            ("unfilled".to_owned(), 1)
        ]
    );
    let why: Vec<String> = account
        .verdicts(0)
        .into_iter()
        .map(|(_, why)| why)
        .collect();
    assert_eq!(
        why,
        [
            "the best price is 0.5, the limit 0.49",
            "the market is not among those gathered for this tick",
        ]
    );
    let mut paused = market("m");
    paused.status = MarketStatus::Paused;
    let paused = Scene::new(NOON).with(paused, vec![]).build();
    let report = account.tick(&paused, vec![give("one", vec![buy("one", "Yes")])]);
    assert_eq!(
        causes(&report, "one"),
        [("market_not_tradable".to_owned(), 1)]
    );
}

#[test]
fn a_partial_fill_is_executed_and_two_signals_do_not_buy_the_same_shares() {
    let thin = Scene::new(NOON)
        .yes(&[], &[("0.50", "30"), ("0.52", "10")])
        .build();
    let mut account = Account::new("1000");
    let first = signal("one", "Yes", Side::Buy, "0.50", "10");
    account.tick(&thin, vec![give("one", vec![first.clone()])]);
    assert_eq!(account.held("m-yes"), sh("20"));
    // The same book again: 10 of the 30 are left.
    let report = account.tick(&thin, vec![give("one", vec![first])]);
    assert_eq!(account.held("m-yes"), sh("30"));
    assert_eq!(report.orders[0].status, "partially_filled");
    let fills = account.since(0, |event| match event {
        LedgerEvent::Filled { fill } => Some((fill.price, fill.shares)),
        _ => None,
    });
    assert_eq!(fills, [(p("0.50"), sh("20")), (p("0.50"), sh("10"))]);
}

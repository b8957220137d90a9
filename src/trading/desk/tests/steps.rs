//! The order within a tick, strategies that fail, marks, account snapshots, monitor mode.

use crate::domain::{Basket, ConditionalKind, Intent, LedgerEvent, Side, Signal, Snapshot};
use crate::trading::config::Mode;
use crate::trading::test_support::{
    Account, Fails, NOON, Panics, Scene, after, basket, book, conditional, market, p, quote, says,
    sh, signal, usd, wanted,
};

/// The kind of each event that changes something, with whose it is.
fn kinds(account: &Account, since: u64) -> Vec<String> {
    account.since(since, |event| {
        Some(match event {
            LedgerEvent::DayStarted { .. } => "day".to_owned(),
            LedgerEvent::Marked { .. } => "marks".to_owned(),
            LedgerEvent::Settled { market_id, .. } => format!("settled {market_id}"),
            LedgerEvent::Filled { fill } if fill.maker => format!("maker {}", fill.market_id),
            LedgerEvent::Filled { fill } => format!("{} {}", fill.side.as_str(), fill.market_id),
            LedgerEvent::ConditionalTriggered { .. } => "triggered".to_owned(),
            LedgerEvent::SignalGenerated { .. } => "signal".to_owned(),
            LedgerEvent::SnapshotTaken { .. } => "snapshot".to_owned(),
            LedgerEvent::TickCompleted { .. } => "done".to_owned(),
            _ => return None,
        })
    })
}

#[test]
fn a_tick_goes_in_its_order() {
    let mut account = Account::new("1000").bought("10", "0.50", NOON);
    // A position in `r`, a resting bid in `q`, a stop on `m`.
    let r = Scene::new(NOON).with(
        market("r"),
        vec![book("r-yes", NOON, &[], &[("0.50", "100")])],
    );
    let in_r = super::super::AgentOrder {
        market_id: "r".into(),
        token_id: "r-yes".into(),
        ..wanted(Side::Buy, "10", "0.50")
    };
    account.order(&in_r, &r.build()).unwrap();
    let q = Scene::new(NOON).with(
        market("q"),
        vec![book("q-yes", NOON, &[], &[("0.50", "100")])],
    );
    let maker = says(
        "maker",
        vec![quote("maker", "q", Some(("0.40", "10")), None)],
    );
    account.tick(&q.build(), vec![maker]);
    account
        .conditional(&conditional(ConditionalKind::StopLoss, "0.40"), NOON)
        .unwrap();

    let since = account.ledger.seq();
    let tomorrow = after(86_400);
    let all = Scene::new(tomorrow)
        .with(market("r"), vec![])
        .resolved("r", "1")
        .with(
            market("q"),
            vec![book("q-yes", tomorrow, &[], &[("0.39", "100")])],
        )
        .with(
            market("m"),
            vec![book(
                "m-yes",
                tomorrow,
                &[("0.40", "100")],
                &[("0.42", "100")],
            )],
        )
        .with(
            market("n"),
            vec![book("n-yes", tomorrow, &[], &[("0.50", "100")])],
        );
    let buy_n = Signal {
        market_id: "n".into(),
        token_id: "n-yes".into(),
        ..signal("one", "Yes", Side::Buy, "0.50", "10")
    };
    let report = account.tick(
        &all.build(),
        vec![says("one", vec![Intent::Directional(buy_n)])],
    );
    assert_eq!(
        kinds(&account, since),
        [
            "day",
            "marks",
            "settled r",
            "maker q",
            "sell m",
            "triggered",
            "signal",
            "buy n",
            "snapshot",
            "done",
        ]
    );
    assert_eq!(
        (report.tick, report.markets, report.signals, report.fills),
        (2, 4, 1, 3)
    );
    // 1000 − 10 (m) − 10 (r) + 20 (r pays 1) − 4 (q: 10 × 0.40) + 8 (m: 20 × 0.40) − 10 (n)
    assert_eq!(account.ledger.cash(), usd("994"));
    assert!((report.cash - 994.0).abs() < 1e-9);
    // q at cost 4 and n at cost 10: nobody bids there.
    assert!((report.equity - 1008.0).abs() < 1e-9);
    assert!(!report.equity_complete);
}

#[test]
fn a_strategy_that_fails_or_panics_stops_nobody() {
    let mut account = Account::new("1000").bought("10", "0.50", NOON);
    account
        .conditional(&conditional(ConditionalKind::StopLoss, "0.40"), NOON)
        .unwrap();
    let scene = Scene::new(after(60))
        .yes(&[("0.40", "100")], &[("0.45", "100")])
        .build();
    let buy = Intent::Directional(signal("one", "Yes", Side::Buy, "0.45", "4.5"));
    let report = account.tick(
        &scene,
        vec![Box::new(Fails), Box::new(Panics), says("one", vec![buy])],
    );
    let errors: Vec<(&str, Option<&str>, u32)> = report
        .strategies
        .iter()
        .map(|s| (s.strategy.as_str(), s.error.as_deref(), s.looked_at))
        .collect();
    assert_eq!(
        errors,
        [
            (
                "fails",
                Some("fails could not analyse the snapshot: no data"),
                0
            ),
            ("panics", Some("the strategy panicked"), 0),
            ("one", None, 1),
        ]
    );
    assert_eq!(report.triggered.len(), 1);
    // the stop sold the 20 shares, the other strategy bought 4.5 / 0.45 = 10
    assert_eq!(account.held("m-yes"), sh("10"));
}

/// What is no number cannot be stored, and the desk would stop at it: exits included.
#[test]
fn a_strategy_that_yields_what_is_no_number_has_failed_and_stops_nobody() {
    type Spoil = fn(&mut Signal);
    let odd: [(Spoil, &str); 3] = [
        (
            |s| s.confidence = f64::NAN,
            "confidence for market m is NaN",
        ),
        (
            |s| s.fair_price = f64::INFINITY,
            "fair price for market m is inf",
        ),
        (|s| s.edge = f64::NEG_INFINITY, "edge for market m is -inf"),
    ];
    let told = |spoil: Spoil| {
        let mut bad = signal("bad", "Yes", Side::Buy, "0.45", "4.5");
        spoil(&mut bad);
        Intent::Directional(bad)
    };
    let mut intents: Vec<(Intent, &str)> = odd
        .iter()
        .map(|(spoil, words)| (told(*spoil), *words))
        .collect();
    let pair = || {
        basket(
            "bad",
            &[("m-yes", "0.45", "99"), ("m-no", "0.45", "99")],
            "10",
        )
    };
    intents.push((
        Intent::Basket(Basket {
            edge: f64::NAN,
            ..pair()
        }),
        "edge for market m is NaN",
    ));
    intents.push((
        Intent::Basket(Basket {
            payout: f64::NAN,
            ..pair()
        }),
        "payout for market m is NaN",
    ));
    let mut sides = quote("bad", "m", Some(("0.44", "10")), None);
    if let Intent::Quote(quote) = &mut sides {
        quote.fair_price = f64::NAN;
    }
    intents.push((sides, "fair price for market m is NaN"));
    for (intent, words) in intents {
        let mut account = Account::new("1000").bought("10", "0.50", NOON);
        account
            .conditional(&conditional(ConditionalKind::StopLoss, "0.40"), NOON)
            .unwrap();
        let scene = Scene::new(after(60))
            .yes(&[("0.40", "100")], &[("0.45", "100")])
            .build();
        let buy = || Intent::Directional(signal("one", "Yes", Side::Buy, "0.45", "4.5"));
        let good = || Intent::Directional(signal("bad", "Yes", Side::Buy, "0.45", "9"));
        let report = account.tick(
            &scene,
            vec![says("bad", vec![good(), intent]), says("one", vec![buy()])],
        );
        let bad = &report.strategies[0];
        assert!(bad.error.as_ref().unwrap().contains(words), "{bad:?}");
        assert_eq!(bad.signals, 0);
        assert_eq!(report.triggered.len(), 1);
        assert_eq!(account.held("m-yes"), sh("10"));
    }
}

#[test]
fn a_mark_is_the_best_bid_and_stays_when_there_is_none_or_the_book_is_crossed() {
    let mut account = Account::new("100").bought("10", "0.50", NOON);
    let equity = |account: &mut Account, scene: Snapshot| {
        account.look(&scene);
        account.ledger.equity()
    };
    // 90 + 20 × 0.45
    let seen = equity(
        &mut account,
        Scene::new(after(1)).yes(&[("0.45", "1")], &[]).build(),
    );
    assert_eq!((seen.total, seen.complete), (usd("99"), true));
    let seen = equity(
        &mut account,
        Scene::new(after(2)).yes(&[], &[("0.50", "1")]).build(),
    );
    assert_eq!(seen.total, usd("99"), "an empty side is no price of 0");
    let crossed = Scene::new(after(3))
        .yes(&[("0.90", "1")], &[("0.50", "1")])
        .build();
    assert_eq!(equity(&mut account, crossed).total, usd("99"));
    let seen = equity(&mut account, Scene::new(after(4)).build());
    assert_eq!(
        seen.total,
        usd("99"),
        "a market that was not gathered keeps its mark"
    );
    let seen = equity(
        &mut account,
        Scene::new(after(5)).yes(&[("0.46", "1")], &[]).build(),
    );
    assert_eq!(seen.total, usd("99.2"));
    let marks = account.since(0, |event| match event {
        LedgerEvent::Marked { marks } => Some(marks.clone()),
        _ => None,
    });
    let token = || "m-yes".into();
    assert_eq!(
        marks,
        [vec![(token(), p("0.45"))], vec![(token(), p("0.46"))]]
    );
}

fn snapshots(account: &Account, since: u64) -> Vec<(String, String)> {
    account.since(since, |event| match event {
        LedgerEvent::SnapshotTaken {
            balance,
            total_value,
        } => Some((balance.to_string(), total_value.to_string())),
        _ => None,
    })
}

#[test]
fn the_account_is_recorded_by_interval_and_after_each_trade() {
    let mut account = Account::new("100");
    let mut taken = |at: i64, intents: Vec<Intent>| {
        let since = account.ledger.seq();
        let scene = Scene::new(after(at))
            .yes(&[("0.48", "100")], &[("0.50", "100")])
            .build();
        account.tick(&scene, vec![says("one", intents)]);
        snapshots(&account, since)
    };
    let row = |balance: &str, total: &str| vec![(balance.to_owned(), total.to_owned())];
    assert_eq!(
        taken(0, vec![]),
        row("100", "100"),
        "the first tick always records"
    );
    assert_eq!(taken(299, vec![]), []);
    assert_eq!(taken(300, vec![]), row("100", "100"));
    let buy = Intent::Directional(signal("one", "Yes", Side::Buy, "0.50", "10"));
    // 90 in cash and 20 shares at the bid of 0.48
    assert_eq!(taken(310, vec![buy]), row("90", "99.6"));
    assert_eq!(taken(609, vec![]), []);
    assert_eq!(taken(610, vec![]), row("90", "99.6"));

    let since = account.ledger.seq();
    let scene = Scene::new(after(620))
        .yes(&[("0.48", "100")], &[("0.50", "100")])
        .build();
    account
        .order(&wanted(Side::Buy, "5", "0.50"), &scene)
        .unwrap();
    // 85 in cash and 30 shares at 0.48
    assert_eq!(snapshots(&account, since), row("85", "99.4"));
}

#[test]
fn monitor_mode_trades_nothing_but_logs_marks_and_settles() {
    let mut account = Account::new("1000").bought("10", "0.50", NOON);
    let n = Scene::new(NOON).with(
        market("n"),
        vec![book("n-yes", NOON, &[], &[("0.50", "100")])],
    );
    let in_n = super::super::AgentOrder {
        market_id: "n".into(),
        token_id: "n-yes".into(),
        ..wanted(Side::Buy, "10", "0.50")
    };
    account.order(&in_n, &n.build()).unwrap();
    account
        .conditional(&conditional(ConditionalKind::StopLoss, "0.40"), NOON)
        .unwrap();
    let mut account = account.configured(|config| config.mode = Mode::Monitor);
    let since = account.ledger.seq();
    let at = after(600);
    let scene = Scene::new(at)
        .with(
            market("m"),
            vec![
                book("m-yes", at, &[("0.30", "100")], &[("0.45", "100")]),
                book("m-no", at, &[], &[("0.50", "100")]),
            ],
        )
        .with(market("n"), vec![])
        .resolved("n", "1")
        .build();
    let report = account.tick(
        &scene,
        vec![says(
            "one",
            vec![
                Intent::Directional(signal("one", "Yes", Side::Buy, "0.45", "10")),
                Intent::Basket(basket(
                    "one",
                    &[("m-yes", "0.45", "100"), ("m-no", "0.50", "100")],
                    "10",
                )),
                quote("one", "m", Some(("0.35", "10")), Some(("0.55", "10"))),
            ],
        )],
    );
    assert_eq!(report.signals, 5, "one, two legs, two sides");
    assert_eq!(report.strategies[0].not_traded["monitor_mode"], 5);
    let reasons: Vec<String> = account
        .verdicts(since)
        .into_iter()
        .map(|(_, why)| why)
        .collect();
    assert_eq!(reasons.len(), 5);
    assert!(
        reasons.iter().all(|why| why.contains("monitor mode")),
        "{reasons:?}"
    );
    assert_eq!(
        kinds(&account, since).first().map(String::as_str),
        Some("marks")
    );
    assert_eq!(report.settlements.len(), 1);
    assert!(report.orders.is_empty() && report.triggered.is_empty());
    // 1000 − 10 − 10 + 20 from n; m stays, with its stop, at a mark of 0.30
    assert_eq!(account.ledger.cash(), usd("1000"));
    assert_eq!(account.ledger.equity().total, usd("1006"));
    assert_eq!(account.ledger.conditionals().len(), 1);
    assert!(account.ledger.resting().is_empty());
}

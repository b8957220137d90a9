//! Purchases of a strategy that may buy nothing: three are told why, the others are counted.

use crate::domain::{Intent, LedgerEvent, Price, Side, Signal, Snapshot};
use crate::trading::config::{RiskConfig, SizingMethod};
use crate::trading::test_support::{Account, NOON, Scene, book, market, says, signal, usd};

/// Markets of which each token is asked at 0.50.
const MARKETS: [&str; 14] = [
    "m", "n", "o", "q", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
];

fn scene() -> Snapshot {
    let mut scene = Scene::new(NOON);
    for id in MARKETS {
        let books = ["yes", "no"].map(|side| {
            let token = format!("{id}-{side}");
            book(&token, NOON, &[("0.48", "1000")], &[("0.50", "1000")])
        });
        scene = scene.with(market(id), books.into());
    }
    scene.build()
}

/// A purchase for 5 pUSD.
fn buy(strategy: &str, id: &str, outcome: &str) -> Intent {
    let wish = signal(strategy, outcome, Side::Buy, "0.50", "5");
    let token = wish.token_id.as_str().replacen('m', id, 1);
    Intent::Directional(Signal {
        market_id: id.into(),
        token_id: token.as_str().into(),
        ..wish
    })
}

fn account() -> Account {
    Account::new("1000").configured(|config| {
        config.sizing.method = SizingMethod::Fixed;
        config.conditional.enabled = false;
    })
}

/// Markets of the signals that were logged since.
fn logged(account: &Account, since: u64) -> Vec<String> {
    account.since(since, |event| match event {
        LedgerEvent::SignalGenerated { signal, .. } => Some(signal.market_id.to_string()),
        _ => None,
    })
}

fn buys(strategy: &str, ids: &[&str]) -> Vec<Intent> {
    ids.iter().map(|id| buy(strategy, id, "Yes")).collect()
}

#[test]
fn the_first_three_are_judged_and_the_others_are_counted() {
    // 10 pUSD for a strategy: two purchases fit, and nothing is left then.
    let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd("10"));
    let report = account.tick(&scene(), vec![says("one", buys("one", &MARKETS))]);
    // As the tick began there was room: each of the fourteen was judged.
    assert_eq!((report.signals, report.fills), (14, 2));
    assert_eq!(report.strategies[0].not_traded["max_strategy_exposure"], 12);
    let since = account.ledger.seq();
    let report = account.tick(&scene(), vec![says("one", buys("one", &MARKETS))]);
    assert_eq!(logged(&account, since), &MARKETS[..3]);
    assert_eq!((report.signals, report.fills), (3, 0));
    assert_eq!(report.strategies[0].not_traded["max_strategy_exposure"], 14);
    // Another strategy has its own room.
    let others = ["a", "b", "c", "d"];
    let report = account.tick(&scene(), vec![says("other", buys("other", &others))]);
    assert_eq!(report.fills, 2);
}

/// 1 pUSD is the least that the venue takes: with 1.000000 left a bet that is cut to what is left may still pass,
/// with 0.999999 none can.
#[test]
fn room_for_the_least_purchase_is_room() {
    for (limit, judged) in [("11", 14), ("10.999999", 3)] {
        let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd(limit));
        account.tick(&scene(), vec![says("one", buys("one", &["m", "n"]))]);
        account = account.configured(|c| c.sizing.method = SizingMethod::Kelly);
        let since = account.ledger.seq();
        account.tick(&scene(), vec![says("one", buys("one", &MARKETS))]);
        assert_eq!(logged(&account, since).len(), judged, "{limit}");
    }
}

/// Purchases of a fixed size, 5 pUSD or 10 shares, are not cut: they need room for all of it but a lot of 0.01
/// share at most, which rounding may take off. With 4.989999 left none can pass, with 4.99 one might for all
/// that is known without its price.
#[test]
fn a_purchase_of_a_fixed_size_needs_room_for_it() {
    for (limit, judged, bought) in [
        ("15", 14, 1),
        ("14.999999", 14, 0),
        ("14.99", 14, 0),
        ("14.989999", 3, 0),
    ] {
        let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd(limit));
        account.tick(&scene(), vec![says("one", buys("one", &["m", "n"]))]);
        let since = account.ledger.seq();
        let report = account.tick(&scene(), vec![says("one", buys("one", &MARKETS[2..]))]);
        let heard = judged.min(12);
        assert_eq!(logged(&account, since).len(), heard, "{limit}");
        assert_eq!(report.fills, bought, "{limit}");
        let refused = report.strategies[0].not_traded["max_strategy_exposure"];
        assert_eq!(refused, 12 - bought, "{limit}");
    }
}

/// What is smaller than what is left is judged, and where it is wanted all are.
#[test]
fn a_smaller_purchase_is_heard_beside_larger_ones() {
    // 2 pUSD are left to the strategy.
    let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd("12"));
    account.tick(&scene(), vec![says("one", buys("one", &["m", "n"]))]);
    let mut wishes = buys("one", &MARKETS[2..]);
    let small = |id: &str| match buy("one", id, "Yes") {
        Intent::Directional(signal) => Intent::Directional(Signal {
            size: usd("2"),
            ..signal
        }),
        other => other,
    };
    wishes.extend([small("m"), small("n")]);
    let since = account.ledger.seq();
    let report = account.tick(&scene(), vec![says("one", wishes)]);
    // Three of twelve are heard, and both small ones: the first of them takes what is left.
    let mut expected = MARKETS[2..5].to_vec();
    expected.extend(["m", "n"]);
    assert_eq!(logged(&account, since), expected);
    assert_eq!((report.signals, report.fills), (5, 1));
    assert_eq!(report.strategies[0].not_traded["max_strategy_exposure"], 13);
}

/// No order may be as large as these, whatever there is.
#[test]
fn purchases_above_the_largest_order_are_counted() {
    let mut account = account().configured(|c| c.risk.max_position_size = usd("4.989999"));
    let report = account.tick(&scene(), vec![says("one", buys("one", &MARKETS))]);
    assert_eq!((report.signals, report.fills), (3, 0));
    assert_eq!(report.strategies[0].not_traded["max_position_size"], 14);
}

#[test]
fn each_limit_of_the_account_shuts_the_door() {
    type Change = fn(&mut RiskConfig);
    let cases: [(&str, Change); 4] = [
        ("max_total_exposure", |r| r.max_total_exposure = usd("10")),
        ("max_orders_per_minute", |r| r.max_orders_per_minute = 2),
        // Twenty shares bought at 0.50, marked at 0.48: 0.40 of 1,000 pUSD are lost.
        ("halted", |r| r.max_daily_loss = usd("0.40")),
        ("halted", |r| {
            r.max_drawdown_pct = Price::from_micros(400).unwrap();
        }),
    ];
    for (code, change) in cases {
        let mut account = account().configured(|c| change(&mut c.risk));
        let report = account.tick(&scene(), vec![says("one", buys("one", &["m", "n"]))]);
        assert_eq!(report.fills, 2, "{code}");
        let since = account.ledger.seq();
        let report = account.tick(&scene(), vec![says("one", buys("one", &MARKETS))]);
        assert_eq!(logged(&account, since), &MARKETS[..3], "{code}");
        assert_eq!(report.strategies[0].not_traded[code], 14, "{code}");
    }
    // Cash: of 10.90 pUSD two purchases leave 0.90.
    let mut account = Account::new("10.90").configured(|config| {
        config.sizing.method = SizingMethod::Fixed;
        config.conditional.enabled = false;
        config.risk.max_drawdown_pct = Price::ZERO;
    });
    let report = account.tick(&scene(), vec![says("one", buys("one", &["m", "n"]))]);
    assert_eq!(report.fills, 2);
    let report = account.tick(&scene(), vec![says("one", buys("one", &MARKETS))]);
    assert_eq!(report.strategies[0].not_traded["cash"], 14);
    assert_eq!(report.signals, 3);
}

/// The one that may buy is contradicted as it would be by a strategy with room.
#[test]
fn a_shut_strategy_is_heard_where_another_may_buy() {
    let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd("10"));
    account.tick(&scene(), vec![says("full", buys("full", &["n", "o"]))]);
    let since = account.ledger.seq();
    // The last market is the one that another wants.
    let mut wanted = MARKETS;
    wanted.rotate_left(1);
    let free = vec![buy("free", "m", "No")];
    let report = account.tick(
        &scene(),
        vec![says("full", buys("full", &wanted)), says("free", free)],
    );
    // Three are heard, ten are counted, `m` is contradicted.
    let mut expected = wanted[..3].to_vec();
    expected.extend(["m", "m"]);
    assert_eq!(logged(&account, since), expected);
    assert_eq!(report.fills, 0);
    let of = |name: &str| {
        let mut rows = report.strategies.iter();
        rows.find(|row| row.strategy == name)
            .unwrap()
            .not_traded
            .clone()
    };
    assert_eq!(of("full")["conflict"], 1);
    assert_eq!(of("full")["max_strategy_exposure"], 13);
    assert_eq!(of("free")["conflict"], 1);
}

/// A sale makes room for what comes after it.
#[test]
fn all_are_heard_in_a_tick_with_a_sale() {
    let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd("10"));
    account.tick(&scene(), vec![says("one", buys("one", &["m", "n"]))]);
    let sale = signal("one", "Yes", Side::Sell, "0.48", "4.80");
    let mut wishes = vec![Intent::Directional(sale)];
    wishes.extend(buys("one", &MARKETS[2..]));
    let report = account.tick(&scene(), vec![says("one", wishes)]);
    // 10 shares are sold, which had cost 5; one of the twelve purchases fits.
    assert_eq!((report.signals, report.fills), (13, 2));
    assert_eq!(report.strategies[0].not_traded["max_strategy_exposure"], 11);
}

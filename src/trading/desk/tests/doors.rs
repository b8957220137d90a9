//! Purchases of a strategy that may buy nothing: one is told why, the others are counted.

use crate::domain::{Intent, LedgerEvent, Price, Side, Signal, Snapshot};
use crate::trading::config::{RiskConfig, SizingMethod};
use crate::trading::test_support::{Account, NOON, Scene, book, market, says, signal, usd};

/// Markets `m`, `n`, `o` and `q`, of which each token is asked at 0.50.
fn scene() -> Snapshot {
    let mut scene = Scene::new(NOON);
    for id in ["m", "n", "o", "q"] {
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

#[test]
fn the_first_is_judged_and_the_others_are_counted() {
    // 10 pUSD for a strategy: two purchases fit, and nothing is left then.
    let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd("10"));
    let wishes = || {
        ["m", "n", "o", "q"]
            .map(|id| buy("one", id, "Yes"))
            .to_vec()
    };
    let report = account.tick(&scene(), vec![says("one", wishes())]);
    // As the tick began there was room: each was judged.
    assert_eq!((report.signals, report.fills), (4, 2));
    assert_eq!(report.strategies[0].not_traded["max_strategy_exposure"], 2);
    let since = account.ledger.seq();
    let report = account.tick(&scene(), vec![says("one", wishes())]);
    assert_eq!(logged(&account, since), ["m"], "with its numbers");
    assert_eq!((report.signals, report.fills), (1, 0));
    assert_eq!(report.strategies[0].not_traded["max_strategy_exposure"], 4);
    // Another strategy has its own room.
    let report = account.tick(&scene(), vec![says("other", wishes())]);
    assert_eq!(report.fills, 2, "{:?}", report.strategies);
}

/// 1 pUSD is the least that the venue takes: with 1.000001 left an order may still pass, with 0.999999
/// none can.
#[test]
fn room_for_the_least_purchase_is_room() {
    for (limit, judged) in [("11", 3), ("10.999999", 1)] {
        let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd(limit));
        let wishes = |ids: &[&str]| ids.iter().map(|id| buy("one", id, "Yes")).collect();
        account.tick(&scene(), vec![says("one", wishes(&["m", "n"]))]);
        let since = account.ledger.seq();
        account.tick(&scene(), vec![says("one", wishes(&["m", "n", "o"]))]);
        assert_eq!(logged(&account, since).len(), judged, "{limit}");
    }
}

#[test]
fn each_limit_of_the_account_shuts_the_door() {
    type Change = fn(&mut RiskConfig);
    let cases: [(&str, Change); 4] = [
        ("max_total_exposure", |r| r.max_total_exposure = usd("10")),
        ("max_orders_per_minute", |r| r.max_orders_per_minute = 2),
        // Two purchases at 0.50, marked at 0.48: 0.40 pUSD are lost.
        ("halted", |r| r.max_daily_loss = usd("0.40")),
        ("halted", |r| {
            r.max_drawdown_pct = Price::from_micros(400).unwrap();
        }),
    ];
    for (code, change) in cases {
        let mut account = account().configured(|c| change(&mut c.risk));
        let two = ["m", "n"].map(|id| buy("one", id, "Yes")).to_vec();
        assert_eq!(
            account.tick(&scene(), vec![says("one", two)]).fills,
            2,
            "{code}"
        );
        let since = account.ledger.seq();
        let three = ["m", "o", "q"].map(|id| buy("one", id, "Yes")).to_vec();
        let report = account.tick(&scene(), vec![says("one", three)]);
        assert_eq!(logged(&account, since), ["m"], "{code}");
        assert_eq!(report.strategies[0].not_traded[code], 3, "{code}");
    }
    // Cash: 10.90 pUSD buy two for 5, and then the least order is too much.
    let mut account = Account::new("10.90").configured(|config| {
        config.sizing.method = SizingMethod::Fixed;
        config.conditional.enabled = false;
        config.risk.max_drawdown_pct = Price::ZERO;
    });
    let two = ["m", "n"].map(|id| buy("one", id, "Yes")).to_vec();
    assert_eq!(account.tick(&scene(), vec![says("one", two)]).fills, 2);
    let three = ["m", "o", "q"].map(|id| buy("one", id, "Yes")).to_vec();
    let report = account.tick(&scene(), vec![says("one", three)]);
    assert_eq!(report.strategies[0].not_traded["cash"], 3);
    assert_eq!(report.signals, 1);
}

/// The one that may buy is contradicted as it would be by a strategy with room.
#[test]
fn a_shut_strategy_is_heard_where_another_may_buy() {
    let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd("10"));
    let full = ["n", "o"].map(|id| buy("full", id, "Yes")).to_vec();
    account.tick(&scene(), vec![says("full", full)]);
    let since = account.ledger.seq();
    let full = ["n", "o", "m", "q"]
        .map(|id| buy("full", id, "Yes"))
        .to_vec();
    let free = vec![buy("free", "m", "No")];
    let report = account.tick(&scene(), vec![says("full", full), says("free", free)]);
    // The first is told why, `m` is contradicted, `o` and `q` are counted.
    assert_eq!(logged(&account, since), ["n", "m", "m"]);
    assert_eq!(report.fills, 0);
    let of = |name: &str| {
        let rows = report.strategies.iter();
        rows.clone()
            .find(|row| row.strategy == name)
            .unwrap()
            .not_traded
            .clone()
    };
    assert_eq!(of("full")["conflict"], 1);
    assert_eq!(of("full")["max_strategy_exposure"], 3);
    assert_eq!(of("free")["conflict"], 1);
}

/// A sale makes room for what comes after it.
#[test]
fn all_are_heard_in_a_tick_with_a_sale() {
    let mut account = account().configured(|c| c.risk.max_strategy_exposure = usd("10"));
    let two = ["m", "n"].map(|id| buy("one", id, "Yes")).to_vec();
    account.tick(&scene(), vec![says("one", two)]);
    let mut wishes = vec![Intent::Directional(signal(
        "one",
        "Yes",
        Side::Sell,
        "0.48",
        "4.80",
    ))];
    wishes.extend(["o", "q"].map(|id| buy("one", id, "Yes")));
    let report = account.tick(&scene(), vec![says("one", wishes)]);
    // 10 shares are sold, which had cost 5; one of the purchases fits.
    assert_eq!((report.signals, report.fills), (3, 2));
    assert_eq!(report.strategies[0].not_traded["max_strategy_exposure"], 1);
}

//! Every limit refuses, through the one way that all inputs take: an agent's order and a strategy's
//! signal alike, at one micro-unit less than what is allowed; at what is allowed the same order passes.

use crate::domain::{Book, EventId, Intent, LedgerEvent, OrderType, Side, Signal, Snapshot};
use crate::strategy::Strategy;
use crate::trading::config::{RiskConfig, TradingConfig};
use crate::trading::desk::{AgentOrder, Input, Output, preview_order};
use crate::trading::report::OrderReport;
use crate::trading::risk::Refusal;
use crate::trading::test_support::{
    Account, NOON, Scene, after, book, market, p, quote, says, signal, usd, wanted,
};

/// `m` and `n` of one event, `o` of none: 1,000 shares bid at 0.48 and as many asked at 0.50, `age`
/// seconds old.
fn scene(now: i64, age: i64) -> Snapshot {
    let mut scene = Scene::new(after(now));
    for (id, event) in [("m", Some("e")), ("n", Some("e")), ("o", None)] {
        let mut market = market(id);
        market.event_id = event.map(EventId::new);
        let books: Vec<Book> = ["yes", "no"]
            .iter()
            .map(|side| {
                let token = format!("{id}-{side}");
                let at = after(now - age);
                book(&token, at, &[("0.48", "1000")], &[("0.50", "1000")])
            })
            .collect();
        scene = scene.with(market, books);
    }
    scene.build()
}

fn buy(token: &str, size: &str, limit: &str) -> AgentOrder {
    AgentOrder {
        market_id: token.split('-').next().unwrap().into(),
        token_id: token.into(),
        ..wanted(Side::Buy, size, limit)
    }
}

fn place(
    account: &mut Account,
    order: AgentOrder,
    snapshot: Snapshot,
) -> Result<OrderReport, Refusal> {
    let output = account.put(
        &Input::Order {
            order,
            known: None,
            snapshot,
        },
        &[],
    );
    let Output::Ordered(verdict) = output else {
        panic!("{output:?}");
    };
    *verdict
}

/// What was bought before, one order each: token and size.
type Before = &'static [(&'static str, &'static str)];

struct Case {
    /// Key under `risk`.
    limit: &'static str,
    /// Code of the refusal, where it is not the limit's name.
    code: &'static str,
    before: Before,
    /// Size and limit price of a buy of `m-yes`.
    order: (&'static str, &'static str),
    /// Age of the book, s.
    age: i64,
    strict: fn(&mut RiskConfig),
    /// Exactly what is allowed.
    loose: fn(&mut RiskConfig),
    /// What the refusal says of value and allowed value.
    words: [&'static str; 2],
}

const CASES: [Case; 12] = [
    Case {
        limit: "max_position_size",
        code: "max_position_size",
        before: &[],
        order: ("10", "0.50"),
        age: 0,
        strict: |r| r.max_position_size = usd("9.999999"),
        loose: |r| r.max_position_size = usd("10"),
        words: ["10 pUSD", "at most 9.999999 pUSD"],
    },
    Case {
        limit: "max_market_exposure",
        code: "max_market_exposure",
        // The other side of the same market, and another market of the event that does not count.
        before: &[("m-no", "10"), ("n-yes", "7")],
        order: ("5", "0.50"),
        age: 0,
        strict: |r| r.max_market_exposure = usd("14.999999"),
        loose: |r| r.max_market_exposure = usd("15"),
        words: ["15 pUSD", "at most 14.999999 pUSD"],
    },
    Case {
        limit: "max_event_exposure",
        code: "max_event_exposure",
        before: &[("n-yes", "10"), ("o-yes", "7")],
        order: ("5", "0.50"),
        age: 0,
        strict: |r| r.max_event_exposure = usd("14.999999"),
        loose: |r| r.max_event_exposure = usd("15"),
        words: ["15 pUSD", "at most 14.999999 pUSD"],
    },
    Case {
        limit: "max_strategy_exposure",
        code: "max_strategy_exposure",
        before: &[("o-yes", "10")],
        order: ("5", "0.50"),
        age: 0,
        strict: |r| r.max_strategy_exposure = usd("14.999999"),
        loose: |r| r.max_strategy_exposure = usd("15"),
        words: ["15 pUSD", "at most 14.999999 pUSD"],
    },
    Case {
        limit: "max_total_exposure",
        code: "max_total_exposure",
        before: &[("o-yes", "10")],
        order: ("5", "0.50"),
        age: 0,
        strict: |r| r.max_total_exposure = usd("14.999999"),
        loose: |r| r.max_total_exposure = usd("15"),
        words: ["15 pUSD", "at most 14.999999 pUSD"],
    },
    Case {
        limit: "max_orders_per_minute",
        code: "max_orders_per_minute",
        before: &[("o-yes", "2"), ("n-yes", "2")],
        order: ("5", "0.50"),
        age: 0,
        strict: |r| r.max_orders_per_minute = 2,
        loose: |r| r.max_orders_per_minute = 3,
        words: ["3 orders within a minute", "at most 2"],
    },
    Case {
        limit: "max_price_distance",
        code: "max_price_distance",
        before: &[],
        // The mid is 0.49.
        order: ("5.3", "0.53"),
        age: 0,
        strict: |r| r.max_price_distance = p("0.039999"),
        loose: |r| r.max_price_distance = p("0.04"),
        words: ["0.04 above the mid of 0.49", "a limit of at most 0.529999"],
    },
    Case {
        limit: "max_spread",
        code: "max_spread",
        before: &[],
        order: ("5", "0.50"),
        age: 0,
        strict: |r| r.max_spread = p("0.019999"),
        loose: |r| r.max_spread = p("0.02"),
        words: ["a spread of 0.02 (0.48 to 0.5)", "at most 0.019999"],
    },
    Case {
        limit: "min_liquidity",
        code: "min_liquidity",
        before: &[],
        order: ("5", "0.50"),
        age: 0,
        // 1,000 × 0.48 + 1,000 × 0.50
        strict: |r| r.min_liquidity = usd("980.000001"),
        loose: |r| r.min_liquidity = usd("980"),
        words: [
            "980 pUSD in the book within 0.05",
            "at least 980.000001 pUSD",
        ],
    },
    Case {
        limit: "max_book_age_seconds",
        code: "max_book_age",
        before: &[],
        order: ("5", "0.50"),
        age: 31,
        strict: |r| r.max_book_age_seconds = 30,
        loose: |r| r.max_book_age_seconds = 31,
        words: ["31 s old", "30 s"],
    },
    Case {
        limit: "max_daily_loss",
        code: "halted",
        // 20 shares for 10, worth 9.6 at the bid.
        before: &[("o-yes", "10")],
        order: ("5", "0.50"),
        age: 0,
        strict: |r| r.max_daily_loss = usd("0.4"),
        loose: |r| r.max_daily_loss = usd("0.400001"),
        words: ["max_daily_loss: 0.4 pUSD lost", "below 0.4 pUSD"],
    },
    Case {
        limit: "max_drawdown_pct",
        code: "halted",
        // 200 shares for 100, worth 96: equity 996 of a peak of 1,000.
        before: &[("o-yes", "100")],
        order: ("5", "0.50"),
        age: 0,
        strict: |r| r.max_drawdown_pct = p("0.004"),
        loose: |r| r.max_drawdown_pct = p("0.004001"),
        words: [
            "max_drawdown_pct: equity of 996 pUSD is 0.40 % below its peak of 1000 pUSD",
            "below 0.4 %",
        ],
    },
];

/// An account with `before` bought under the default limits.
fn account(before: Before) -> Account {
    let mut account = Account::new("1000");
    for (token, size) in before {
        place(&mut account, buy(token, size, "0.50"), scene(0, 0)).unwrap();
    }
    account
}

/// Codes of the refused orders since event number `since`, each with all the facts of the order.
fn refused(account: &Account, since: u64) -> Vec<String> {
    account.since(since, |event| match event {
        LedgerEvent::OrderRefused {
            market_id,
            event_id,
            code,
            message,
            side: Some(_),
            limit: Some(_),
            shares: Some(_),
            signal_id: Some(_),
            order_type: Some(_),
            ..
        } => {
            assert!(!message.is_empty());
            // What an exposure to the event is recomputed by.
            let event = ["m", "n"].contains(&market_id.as_str()).then_some("e");
            assert_eq!(event_id.as_ref().map(EventId::as_str), event);
            Some(code.clone())
        }
        _ => None,
    })
}

#[test]
fn every_limit_refuses_an_agents_order_and_allows_exactly_what_it_says() {
    for case in CASES {
        let order = buy("m-yes", case.order.0, case.order.1);
        let now = scene(40, case.age);
        let mut strict = account(case.before).configured(|c| (case.strict)(&mut c.risk));
        let since = strict.ledger.seq();
        let held = strict.held("m-yes");
        let refusal = place(&mut strict, order.clone(), now.clone()).unwrap_err();
        assert_eq!(refusal.code, case.code, "{}: {refusal:?}", case.limit);
        for word in case.words {
            assert!(refusal.message.contains(word), "{word}: {refusal:?}");
        }
        // It says how to change it.
        assert!(
            refusal.hint.contains(&format!("risk.{}", case.limit)),
            "{refusal:?}"
        );
        assert_eq!(refused(&strict, since), [case.code], "{}", case.limit);
        assert_eq!(strict.held("m-yes"), held);

        let mut loose = account(case.before).configured(|c| (case.loose)(&mut c.risk));
        let passed = place(&mut loose, order, now).unwrap();
        assert_eq!(passed.status, "filled", "{}", case.limit);
    }
}

#[test]
fn every_limit_refuses_a_strategys_signal_in_a_tick() {
    for case in CASES {
        let signal = Signal {
            // The same strategy as those before, for the limit per strategy.
            fair_price: 0.60,
            ..signal("mcp_manual", "Yes", Side::Buy, case.order.1, case.order.0)
        };
        let strategies = || {
            vec![says(
                "mcp_manual",
                vec![Intent::Directional(signal.clone())],
            )]
        };
        let now = Input::Tick(scene(40, case.age));
        let tick = |account: &mut Account, strategies: Vec<Box<dyn Strategy>>| {
            let Output::Ticked(report) = account.put(&now, &strategies) else {
                panic!("no report");
            };
            report
        };
        let mut strict = account(case.before).configured(|c| (case.strict)(&mut c.risk));
        let since = strict.ledger.seq();
        let report = tick(&mut strict, strategies());
        assert_eq!(
            report.strategies[0].not_traded[case.code], 1,
            "{}",
            case.limit
        );
        assert!(report.orders.is_empty());
        assert_eq!(refused(&strict, since), [case.code], "{}", case.limit);
        let mut loose = account(case.before).configured(|c| (case.loose)(&mut c.risk));
        let report = tick(&mut loose, strategies());
        assert_eq!(report.orders.len(), 1, "{}", case.limit);
    }
}

#[test]
fn max_open_orders_counts_every_order_that_would_rest() {
    for kind in [OrderType::Gtc, OrderType::Gtd] {
        let resting = AgentOrder {
            order_type: kind,
            ..buy("m-yes", "4", "0.40")
        };
        let mut account = account(&[]).configured(|c| c.risk.max_open_orders = 0);
        let refusal = place(&mut account, resting, scene(0, 0)).unwrap_err();
        // A GTD order may be refused for its end before.
        if kind == OrderType::Gtc {
            assert_eq!(refusal.code, "max_open_orders");
            assert!(
                refusal
                    .message
                    .contains("1 resting orders, allowed is at most 0")
            );
        }
    }
    let quotes = || {
        let bid = Some(("0.40", "10"));
        let all = ["m", "n", "o"].map(|market| quote("maker", market, bid, None));
        vec![says("maker", all.to_vec())]
    };
    let mut account = account(&[]).configured(|c| c.risk.max_open_orders = 1);
    let since = account.ledger.seq();
    let report = account.tick(&scene(0, 0), quotes());
    assert_eq!(account.ledger.resting().len(), 1);
    // The second is refused, the third would be.
    assert_eq!(report.strategies[0].not_traded["max_open_orders"], 2);
    assert_eq!(refused(&account, since), ["max_open_orders"]);
}

/// A market maker looks at a thousand markets, tick after tick: what a limit on the account or on the
/// strategy refuses once, it does not refuse in as many words for each of them.
#[test]
fn quotes_that_a_limit_would_refuse_all_the_same_are_counted_and_not_logged() {
    let bid = |market: &str, price: &str, shares: &str| {
        quote("maker", market, Some((price, shares)), None)
    };
    // 5 pUSD may be in use: 3 are after the first. 2.40 do not fit, so neither 2.70 nor the 2.001 are asked
    // about; 2 are, and fit, and nothing is left then for 1.50.
    let mut account = account(&[]).configured(|c| c.risk.max_strategy_exposure = usd("5"));
    let since = account.ledger.seq();
    let report = account.tick(
        &scene(0, 0),
        vec![says(
            "maker",
            vec![
                bid("m", "0.30", "10"),
                bid("n", "0.40", "6"),
                bid("n", "0.30", "9"),
                bid("n", "0.30", "6.67"),
                bid("o", "0.40", "5"),
                bid("o", "0.30", "10"),
                bid("n", "0.30", "5"),
                bid("n", "0.29", "5"),
            ],
        )],
    );
    let resting: Vec<&str> = account
        .ledger
        .resting()
        .values()
        .map(|resting| resting.order.market_id.as_str())
        .collect();
    assert_eq!(resting, ["m", "o"]);
    assert_eq!(report.strategies[0].not_traded["max_strategy_exposure"], 6);
    // The 1.50 were judged, since 2 had been the room of before; the 1.45 were not.
    assert_eq!(refused(&account, since), ["max_strategy_exposure"; 2]);
    // Another strategy has its own room.
    let report = account.tick(
        &scene(1, 0),
        vec![
            says(
                "maker",
                vec![bid("m", "0.31", "20"), bid("n", "0.31", "30")],
            ),
            says(
                "other",
                vec![quote("other", "o", Some(("0.30", "10")), None)],
            ),
        ],
    );
    assert_eq!(report.strategies[0].not_traded["max_strategy_exposure"], 2);
    let who: Vec<&str> = account
        .ledger
        .resting()
        .values()
        .map(|resting| resting.order.strategy.as_str())
        .collect();
    assert_eq!(who, ["other"]);
}

/// 2 pUSD of room under each limit on money: once 2.40 was refused, 2.001 is counted under it, and 2 is bid.
#[test]
fn each_limit_on_money_counts_the_quotes_beyond_its_room() {
    type Change = fn(&mut RiskConfig);
    let cases: [(&str, Change); 4] = [
        ("max_position_size", |r| r.max_position_size = usd("2")),
        ("max_strategy_exposure", |r| {
            r.max_strategy_exposure = usd("2");
        }),
        ("max_total_exposure", |r| r.max_total_exposure = usd("2")),
        ("cash", |_| {}),
    ];
    for (code, change) in cases {
        let balance = if code == "cash" { "2" } else { "1000" };
        let mut account = Account::new(balance).configured(|c| change(&mut c.risk));
        let since = account.ledger.seq();
        let bids = [
            ("m", "0.40", "6"),
            ("n", "0.30", "6.67"),
            ("o", "0.40", "5"),
        ];
        let bids =
            bids.map(|(market, price, shares)| quote("maker", market, Some((price, shares)), None));
        let report = account.tick(&scene(0, 0), vec![says("maker", bids.to_vec())]);
        assert_eq!(refused(&account, since), [code], "2.40 is judged");
        assert_eq!(report.strategies[0].not_traded[code], 2, "{code}");
        let resting = account.ledger.resting().values();
        let markets: Vec<&str> = resting.map(|one| one.order.market_id.as_str()).collect();
        assert_eq!(markets, ["o"], "{code}");
    }
}

#[test]
fn a_resting_buy_far_below_the_mid_is_refused_and_one_that_takes_is_not() {
    let limits = |c: &mut TradingConfig| c.risk.max_price_distance = p("0.05");
    let resting = |limit: &str| {
        vec![says(
            "maker",
            vec![quote("maker", "m", Some((limit, "10")), None)],
        )]
    };
    let mut account = account(&[]).configured(limits);
    // The mid is 0.49: 0.44 is 0.05 below it, 0.43 is 0.06 below.
    account.tick(&scene(0, 0), resting("0.44"));
    assert_eq!(account.ledger.resting().len(), 1);
    let report = account.tick(&scene(1, 0), resting("0.43"));
    assert_eq!(report.strategies[0].not_traded["max_price_distance"], 1);
    // A buy that takes or drops at 0.30 only fails to fill.
    let low = place(&mut account, buy("m-yes", "3", "0.30"), scene(2, 0)).unwrap();
    assert_eq!(low.status, "unfilled");
}

#[test]
fn liquidity_that_the_venue_states_counts_before_the_book() {
    let mut scarce = market("m");
    scarce.liquidity = Some(usd("99.99"));
    let deep = book("m-yes", NOON, &[("0.48", "10000")], &[("0.50", "10000")]);
    let now = Scene::new(NOON).with(scarce, vec![deep]).build();
    let mut account = account(&[]).configured(|c| c.risk.min_liquidity = usd("100"));
    let refusal = place(&mut account, buy("m-yes", "5", "0.50"), now).unwrap_err();
    assert_eq!(
        refusal.message,
        "min_liquidity: 99.99 pUSD as the venue states it, allowed is at least 100 pUSD"
    );
    // Levels far from the best price are no liquidity: 100 × 0.50 + 100 × 0.45, not the rest.
    let asks = [("0.50", "100"), ("0.56", "9999")];
    let bids = [("0.45", "100"), ("0.39", "9999")];
    let thin = Scene::new(NOON).yes(&bids, &asks).build();
    let refusal = place(&mut account, buy("m-yes", "5", "0.50"), thin).unwrap_err();
    assert!(refusal.message.contains("95 pUSD in the book"), "{refusal}");
}

#[test]
fn a_missing_side_of_a_book_makes_the_spread_as_wide_as_it_can_be() {
    let mut account = account(&[]).configured(|c| c.risk.max_spread = p("0.20"));
    let alone = |ask| Scene::new(NOON).yes(&[], &[(ask, "1000")]).build();
    let refusal = place(&mut account, buy("m-yes", "5", "0.50"), alone("0.50")).unwrap_err();
    assert_eq!(
        refusal.message,
        "max_spread: a spread of 0.5 (nobody bids, 0.5 is asked), allowed is at most 0.2"
    );
    // A long shot at 0.20 or less cannot lose more to its spread than that.
    place(&mut account, buy("m-yes", "5", "0.20"), alone("0.20")).unwrap();
}

#[test]
fn sales_pass_every_limit_but_that_on_resting_orders() {
    let mut account = account(&[("m-yes", "100")]).configured(|c| {
        let least = usd("0.000001");
        c.risk = RiskConfig {
            max_position_size: least,
            max_market_exposure: least,
            max_event_exposure: least,
            max_strategy_exposure: least,
            max_total_exposure: least,
            max_daily_loss: least,
            max_drawdown_pct: p("0.000001"),
            max_orders_per_minute: 1,
            max_price_distance: p("0.000001"),
            max_spread: p("0.000001"),
            min_liquidity: usd("1000000"),
            ..RiskConfig::default()
        };
    });
    assert!(place(&mut account, buy("m-yes", "5", "0.50"), scene(1, 0)).is_err());
    for _ in 0..3 {
        let sale = AgentOrder {
            side: Side::Sell,
            ..buy("m-yes", "9.6", "0.48")
        };
        let sold = place(&mut account, sale, scene(2, 0)).unwrap();
        assert_eq!(sold.status, "filled");
    }
    // An ask that rests sells only what is held.
    let ask = quote("maker", "m", None, Some(("0.52", "20")));
    account.tick(&scene(3, 0), vec![says("maker", vec![ask.clone()])]);
    assert_eq!(account.ledger.resting().len(), 1);
    account.config.risk.max_open_orders = 1;
    let other = quote("maker", "m", None, Some(("0.53", "20")));
    let report = account.tick(&scene(4, 0), vec![says("maker", vec![ask, other])]);
    assert_eq!(report.strategies[0].not_traded["max_open_orders"], 1);
}

#[test]
fn a_preview_approves_nothing_the_limits_are_read_again_when_the_order_comes() {
    let order = buy("m-yes", "10", "0.50");
    let would_pass = |account: &Account| {
        let preview =
            preview_order(&account.ledger, &order, &scene(1, 0), &account.config).unwrap();
        preview.unwrap().checks.iter().all(|check| check.passed)
    };
    // The kill switch was pulled in between.
    let mut halted = account(&[]);
    assert!(would_pass(&halted));
    halted.put(
        &Input::Halt {
            by: "shell".to_owned(),
            reason: "enough".to_owned(),
            at: after(1),
        },
        &[],
    );
    let refusal = place(&mut halted, order.clone(), scene(1, 0)).unwrap_err();
    assert_eq!(refusal.code, "halted");
    assert!(!would_pass(&halted));
    // Another order used up what was left.
    let mut used = account(&[]).configured(|c| c.risk.max_market_exposure = usd("15"));
    assert!(would_pass(&used));
    place(&mut used, buy("m-no", "6", "0.50"), scene(1, 0)).unwrap();
    let refusal = place(&mut used, order.clone(), scene(1, 0)).unwrap_err();
    assert_eq!(refusal.code, "max_market_exposure");
    // The operator lowered a limit.
    let mut lowered = account(&[]);
    assert!(would_pass(&lowered));
    lowered.config.risk.max_position_size = usd("9");
    let refusal = place(&mut lowered, order.clone(), scene(1, 0)).unwrap_err();
    assert_eq!(refusal.code, "max_position_size");
    // The market moved.
    let mut moved = account(&[("o-yes", "100")]).configured(|c| c.risk.max_daily_loss = usd("10"));
    assert!(would_pass(&moved));
    let books = ["o-yes", "o-no"].map(|t| book(t, after(2), &[("0.40", "1000")], &[("0.50", "1")]));
    let fallen = Scene::new(after(2))
        .with(market("o"), books.to_vec())
        .build();
    moved.put(&Input::Books(fallen), &[]);
    let refusal = place(&mut moved, order.clone(), scene(3, 0)).unwrap_err();
    assert_eq!(refusal.code, "halted");
}

#[test]
fn a_basket_is_refused_once_for_the_leg_that_makes_it_too_much() {
    let mut account = account(&[]).configured(|c| c.risk.max_event_exposure = usd("14.999999"));
    let legs = [("m-yes", "0.50", "100"), ("n-yes", "0.50", "100")];
    let basket = crate::trading::test_support::basket("arb", &legs, "15");
    let since = account.ledger.seq();
    // 15 × 0.50 twice: 15 pUSD in the event.
    let report = account.tick(
        &scene(0, 0),
        vec![says("arb", vec![Intent::Basket(basket)])],
    );
    assert_eq!(report.strategies[0].not_traded["max_event_exposure"], 2);
    assert_eq!(refused(&account, since), ["max_event_exposure"]);
    assert!(account.held("m-yes").is_zero());
}

//! Faults of the system that this one grows out of, each as what must hold instead. The numbers are
//! those of its list of known faults.

use crate::domain::{EventId, Intent, Market, Side, Signal, Snapshot};
use crate::trading::config::SizingMethod;
use crate::trading::test_support::{
    Account, NOON, Scene, after, book, charging, market, quote, says, sh, signal, usd, wanted,
};

/// `m` and `n` of one event, both outcomes bid at 0.48 and asked at 0.50.
fn scene(now: i64) -> Snapshot {
    let mut scene = Scene::new(after(now));
    for id in ["m", "n"] {
        let market = Market {
            event_id: Some(EventId::new("e")),
            ..market(id)
        };
        let books = ["yes", "no"].map(|side| {
            let token = format!("{id}-{side}");
            book(
                &token,
                after(now),
                &[("0.48", "10000")],
                &[("0.50", "10000")],
            )
        });
        scene = scene.with(market, books.to_vec());
    }
    scene.build()
}

#[test]
fn fault_8_spending_is_no_loss_a_bad_sale_is_one_and_a_closing_sale_always_passes() {
    let mut account = Account::new("1000").configured(|c| c.risk.max_daily_loss = usd("50"));
    // Buying for 100 loses only the spread: 200 × 0.02.
    account
        .order(&wanted(Side::Buy, "100", "0.50"), &scene(0))
        .unwrap();
    assert_eq!(account.ledger.daily_loss(), usd("4"));
    let fallen = |now| {
        Scene::new(after(now))
            .yes(&[("0.20", "1000")], &[("0.22", "1000")])
            .build()
    };
    // A sale at a loss makes it larger, not smaller: 100 − 200 × 0.20 = 60, sold or not.
    account
        .order(&wanted(Side::Sell, "20", "0.20"), &fallen(1))
        .unwrap();
    assert_eq!(account.ledger.daily_loss(), usd("60"));
    // Beyond the limit of 50 nothing is bought, and the rest may be sold.
    let refusal = account
        .order(&wanted(Side::Buy, "5", "0.22"), &fallen(2))
        .unwrap_err();
    assert!(refusal.message.contains("60 pUSD lost"), "{refusal}");
    account
        .order(&wanted(Side::Sell, "20", "0.20"), &fallen(3))
        .unwrap();
    assert!(account.held("m-yes").is_zero());
}

#[test]
fn fault_9_repeated_buys_meet_limits_per_market_event_strategy_and_in_total() {
    // Orders of 10 pUSD of the same strategy until one is refused.
    let bought = |change: fn(&mut crate::trading::config::RiskConfig)| {
        let mut account = Account::new("1000").configured(|c| {
            c.risk.max_position_size = usd("10");
            change(&mut c.risk);
        });
        for round in 0..20 {
            for token in ["m-yes", "n-no"] {
                let order = crate::trading::desk::AgentOrder {
                    market_id: token.split('-').next().unwrap().into(),
                    token_id: token.into(),
                    ..wanted(Side::Buy, "10", "0.50")
                };
                if let Err(refusal) = account.order(&order, &scene(round)) {
                    return (refusal.code, account.ledger.cost_basis());
                }
            }
        }
        panic!("no limit");
    };
    let code = |name: &str| name.to_owned();
    // 30 in each of two markets: the seventh order of 10 is refused, and so on.
    assert_eq!(
        bought(|r| r.max_market_exposure = usd("30")),
        (code("max_market_exposure"), usd("60"))
    );
    assert_eq!(
        bought(|r| r.max_event_exposure = usd("50")),
        (code("max_event_exposure"), usd("50"))
    );
    assert_eq!(
        bought(|r| r.max_strategy_exposure = usd("40")),
        (code("max_strategy_exposure"), usd("40"))
    );
    assert_eq!(
        bought(|r| r.max_total_exposure = usd("70")),
        (code("max_total_exposure"), usd("70"))
    );
}

#[test]
fn fault_9_open_orders_are_counted_on_paper() {
    let mut account = Account::new("1000").configured(|c| c.risk.max_open_orders = 1);
    let bid = Some(("0.40", "10"));
    let quotes = ["m", "n"].map(|market| quote("maker", market, bid, None));
    let report = account.tick(&scene(0), vec![says("maker", quotes.to_vec())]);
    assert_eq!(account.ledger.resting().len(), 1);
    assert_eq!(report.strategies[0].not_traded["max_open_orders"], 1);
}

#[test]
fn fault_21_buying_yes_and_buying_no_of_one_market_is_a_conflict() {
    let buy = |name: &str, outcome: &str| {
        Intent::Directional(signal(name, outcome, Side::Buy, "0.50", "10"))
    };
    let strategies = || {
        vec![
            says("bull", vec![buy("bull", "Yes")]),
            says("bear", vec![buy("bear", "No")]),
        ]
    };
    let mut account = Account::new("1000");
    let report = account.tick(&scene(0), strategies());
    assert!(report.orders.is_empty());
    for strategy in &report.strategies {
        assert_eq!(strategy.not_traded["conflict"], 1, "{}", strategy.strategy);
    }
    // Whoever wants both has to say so.
    account.config.aggregation.conflict_resolution = false;
    let report = account.tick(&scene(1), strategies());
    assert_eq!(report.orders.len(), 2);
}

/// Yes of `m` wanted at 0.50 with this fair price, by a strategy whose own size is 10 pUSD.
fn wants(fair_price: f64) -> Intent {
    Intent::Directional(Signal {
        fair_price,
        edge: fair_price - 0.50,
        ..signal("one", "Yes", Side::Buy, "0.50", "10")
    })
}

const KELLY: [SizingMethod; 2] = [SizingMethod::Kelly, SizingMethod::FractionalKelly];

#[test]
fn fault_36_a_negative_edge_is_never_traded_at_any_size() {
    for method in KELLY.into_iter().chain([SizingMethod::Fixed]) {
        let mut account = Account::new("1000").configured(|c| c.sizing.method = method);
        let report = account.tick(&scene(0), vec![says("one", vec![wants(0.45)])]);
        assert!(report.orders.is_empty(), "{method:?}");
        assert_eq!(report.strategies[0].not_traded["no edge"], 1);
    }
    // No edge at all, fee included: 0.5125 paid for what is worth 0.5125.
    let fee = charging(market("m"), "0.05");
    let fresh = book("m-yes", NOON, &[("0.48", "1000")], &[("0.50", "1000")]);
    let charged = Scene::new(NOON).with(fee, vec![fresh]).build();
    let mut account = Account::new("1000").configured(|c| c.sizing.method = SizingMethod::Kelly);
    let report = account.tick(&charged, vec![says("one", vec![wants(0.5125)])]);
    assert!(report.orders.is_empty());
    assert_eq!(report.strategies[0].not_traded["nothing to bet"], 1);
}

#[test]
fn fault_37_kelly_lets_a_large_edge_have_a_large_bet_and_a_small_one_a_small_bet() {
    // 1,000 pUSD at most 10 % each: (0.52 − 0.50) / 0.50 = 4 % → 40; (0.90 − 0.50) / 0.50 = 80 %,
    // capped → 100; (0.501 − 0.50) / 0.50 = 0.2 % → 2. The strategy's own size is 10.
    for (fair, shares) in [(0.52, "80"), (0.90, "200"), (0.501, "4")] {
        let mut account =
            Account::new("1000").configured(|c| c.sizing.method = SizingMethod::Kelly);
        let report = account.tick(&scene(0), vec![says("one", vec![wants(fair)])]);
        assert_eq!(account.held("m-yes"), sh(shares), "{fair}");
        assert!(
            report.orders[0].reason.starts_with("test; Kelly: fair "),
            "{}",
            report.orders[0].reason
        );
    }
}

#[test]
fn fault_38_sales_are_not_sized_as_bets() {
    for method in KELLY {
        let mut account = Account::new("1000").bought("20", "0.50", NOON);
        account.config.sizing.method = method;
        // The strategy sells 9.6 pUSD at 0.48: 20 of 40 shares, whatever Kelly would say.
        let sale = Intent::Directional(signal("one", "Yes", Side::Sell, "0.48", "9.6"));
        account.tick(&scene(1), vec![says("one", vec![sale])]);
        assert_eq!(account.held("m-yes"), sh("20"), "{method:?}");
    }
}

#[test]
fn fault_38_correlated_outcomes_share_the_budget_of_their_event() {
    let mut account = Account::new("1000").configured(|c| c.sizing.method = SizingMethod::Kelly);
    // 10 % of 1,000 for the event: 60 of it for `m`, and 40 are left for `n`, whatever its edge.
    let Intent::Directional(first) = wants(0.53) else {
        panic!("a signal");
    };
    let second = Signal {
        market_id: "n".into(),
        token_id: "n-yes".into(),
        fair_price: 0.70,
        edge: 0.20,
        ..first.clone()
    };
    let both = vec![Intent::Directional(first), Intent::Directional(second)];
    account.tick(&scene(0), vec![says("one", both.clone())]);
    assert_eq!(
        (account.held("m-yes"), account.held("n-yes")),
        (sh("120"), sh("80"))
    );
    // The same signals again find nothing left to bet. (Equity is lower by the spread: a little less
    // than 10 % of 1,000 is 99.6.)
    let report = account.tick(&scene(1), vec![says("one", both)]);
    assert_eq!(report.strategies[0].not_traded["nothing to bet"], 2);
}

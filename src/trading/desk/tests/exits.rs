//! Conditional orders: when they fire, what they sell, what becomes of the others.

use crate::domain::{
    ConditionalKind, ConditionalOrder, Intent, LedgerEvent, Market, Order, OrderType, Price, Side,
    Signal, Snapshot,
};
use crate::strategy::Strategy;
use crate::trading::config::TradingConfig;
use crate::trading::desk::{AgentOrder, NewConditional};
use crate::trading::ledger::Recorder;
use crate::trading::report::TickReport;
use crate::trading::test_support::{
    Account, Fails, Levels, NOON, Panics, Scene, after, basket, book, conditional, market, order,
    p, quote, says, sh, signal, usd, wanted,
};

use ConditionalKind::{StopLoss, TakeProfit, TrailingStop};

mod group;
mod guard;

/// 20 shares of Yes for 10 pUSD of 100, and one conditional order on all of them.
fn guarded(kind: ConditionalKind, trigger: &str) -> Account {
    let mut account = Account::new("100").bought("10", "0.50", NOON);
    account
        .conditional(&conditional(kind, trigger), NOON)
        .unwrap();
    account
}

/// A tick on these bids, with an ask two cents above the best.
fn look(account: &mut Account, at: i64, bids: Levels<'_>) -> TickReport {
    account.look(&scene(at, bids))
}

fn scene(at: i64, bids: Levels<'_>) -> Snapshot {
    let Some((best, _)) = bids.first() else {
        return Scene::new(after(at)).yes(&[], &[]).build();
    };
    let ask = p(best).plus(p("0.02")).to_string();
    Scene::new(after(at)).yes(bids, &[(&ask, "100")]).build()
}

/// A tick on these bids and asks.
fn at(account: &mut Account, seconds: i64, bids: Levels<'_>, asks: Levels<'_>) -> TickReport {
    account.look(&Scene::new(after(seconds)).yes(bids, asks).build())
}

fn kinds(account: &Account) -> Vec<(ConditionalKind, String, String)> {
    let text = |order: &ConditionalOrder| {
        (
            order.kind,
            order.trigger_price.to_string(),
            order.shares.to_string(),
        )
    };
    account.ledger.conditionals().values().map(text).collect()
}

#[test]
fn a_stop_fires_at_its_trigger_or_below_and_sells_the_shares() {
    let mut account = guarded(StopLoss, "0.40");
    assert!(
        look(&mut account, 1, &[("0.41", "100")])
            .triggered
            .is_empty()
    );
    let report = look(&mut account, 2, &[("0.40", "100")]);
    // 20 shares, not 10 pUSD / 0.40 = 25 that are not held: 90 + 20 × 0.40
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("0"), usd("98"))
    );
    assert_eq!(
        report.triggered,
        [
            "stop_loss 1 at bid 0.4 (trigger 0.4): sold 20 shares for 8 pUSD, 0 left; slippage 0 pUSD \
          from the trigger, 0 from the bid"
        ]
    );
    assert_eq!(
        report.orders[0].reason,
        "Conditional stop_loss triggered at 0.4"
    );
    assert!(account.ledger.conditionals().is_empty());
    let mut gapped = guarded(StopLoss, "0.40");
    look(&mut gapped, 1, &[("0.02", "100")]);
    assert_eq!(gapped.ledger.cash(), usd("90.4"), "far below it fires too");
}

#[test]
fn a_take_profit_fires_at_its_trigger_or_above_and_leaves_no_remainder() {
    let mut account = guarded(TakeProfit, "0.60");
    assert!(
        look(&mut account, 1, &[("0.59", "100")])
            .triggered
            .is_empty()
    );
    look(&mut account, 2, &[("0.60", "100")]);
    // All 20, not 10 pUSD / 0.60 = 16.67 of them.
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("0"), usd("102"))
    );
}

#[test]
fn a_trailing_stop_fires_below_its_watermark_which_only_rises() {
    let mut account = Account::new("100").bought("10", "0.50", NOON);
    let trailing = NewConditional {
        trail_percent: Some(p("0.1")),
        bid: Some(p("0.48")),
        ..conditional(TrailingStop, "0.48")
    };
    account.conditional(&trailing, NOON).unwrap();
    let mark = |account: &Account| account.ledger.conditionals()[&1].high_watermark.unwrap();
    assert_eq!(mark(&account), p("0.48"));
    // 0.48 × 0.9 = 0.432
    look(&mut account, 1, &[("0.44", "100")]);
    assert_eq!(mark(&account), p("0.48"));
    look(&mut account, 2, &[("0.60", "100")]);
    assert_eq!(mark(&account), p("0.60"));
    // 0.60 × 0.9 = 0.54
    look(&mut account, 3, &[("0.55", "100")]);
    assert_eq!(
        (mark(&account), account.held("m-yes")),
        (p("0.60"), sh("20"))
    );
    look(&mut account, 4, &[("0.54", "100")]);
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("0"), usd("100.8"))
    );
    let raised = account.since(0, |event| match event {
        LedgerEvent::WatermarkRaised { watermark, .. } => Some(*watermark),
        _ => None,
    });
    assert_eq!(raised, [p("0.60")]);
}

#[test]
fn no_bid_is_no_price() {
    for kind in [StopLoss, TakeProfit] {
        let mut account = guarded(kind, "0.45");
        let report = look(&mut account, 1, &[]);
        assert!(report.triggered.is_empty() && report.orders.is_empty());
        assert_eq!(
            report.notes,
            ["conditional order 1: no usable bid, not evaluated"]
        );
        let crossed = Scene::new(after(2))
            .yes(&[("0.45", "9")], &[("0.40", "9")])
            .build();
        assert!(
            account.look(&crossed).triggered.is_empty(),
            "a crossed book is no price"
        );
        let report = account.look(&Scene::new(after(3)).build());
        assert!(
            report.triggered.is_empty(),
            "nor is a market that was not gathered"
        );
        assert_eq!(
            (account.held("m-yes"), account.ledger.conditionals().len()),
            (sh("20"), 1)
        );
        assert_eq!(
            account.ledger.equity().total,
            usd("100"),
            "nothing is written off"
        );
    }
}

#[test]
fn a_stale_book_sells_nothing_and_says_so() {
    let mut account = guarded(StopLoss, "0.40");
    let old = crate::trading::test_support::book("m-yes", after(0), &[("0.30", "100")], &[]);
    let scene = Scene::new(after(31)).with(crate::trading::test_support::market("m"), vec![old]);
    let report = account.look(&scene.build());
    assert!(report.orders.is_empty());
    assert!(
        report.notes[0].contains("the book is 31 s old"),
        "{:?}",
        report.notes
    );
    assert_eq!(
        (account.held("m-yes"), account.ledger.conditionals().len()),
        (sh("20"), 1)
    );
}

#[test]
fn a_stop_that_gaps_sells_within_its_slippage_and_the_rest_waits() {
    let mut account = guarded(StopLoss, "0.40");
    // 5 % below 0.30 is 0.285, on the tick 0.29.
    let gap: Levels<'_> = &[("0.30", "7"), ("0.29", "5"), ("0.28", "100")];
    let fresh = crate::trading::test_support::book("m-yes", after(1), gap, &[("0.32", "9")]);
    let first = Scene::new(after(1)).with(crate::trading::test_support::market("m"), vec![fresh]);
    let report = account.look(&first.build());
    // 7 × 0.30 + 5 × 0.29 = 3.55
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("8"), usd("93.55"))
    );
    assert_eq!(report.orders[0].status, "partially_filled");
    assert_eq!(kinds(&account), [(StopLoss, "0.4".into(), "8".into())]);

    // The same book again offers nothing more within the slippage of its own bid.
    let same = crate::trading::test_support::book("m-yes", after(1), gap, &[("0.32", "9")]);
    let scene = Scene::new(after(2)).with(crate::trading::test_support::market("m"), vec![same]);
    let report = account.look(&scene.build());
    assert!(report.triggered.is_empty());
    assert!(
        report.notes[0].contains("fired but sold nothing"),
        "{:?}",
        report.notes
    );
    assert_eq!(account.held("m-yes"), sh("8"));

    look(&mut account, 3, &[("0.28", "100")]);
    // 8 × 0.28 = 2.24
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("0"), usd("95.79"))
    );
    assert!(account.ledger.conditionals().is_empty());
}

#[test]
fn one_exit_does_not_set_off_the_next_by_emptying_the_bid() {
    let mut account = Account::new("100").bought("10", "0.50", NOON);
    for trigger in ["0.40", "0.35"] {
        let half = NewConditional {
            shares: Some(sh("10")),
            ..conditional(StopLoss, trigger)
        };
        account.conditional(&half, NOON).unwrap();
    }
    look(&mut account, 1, &[("0.40", "10"), ("0.30", "100")]);
    assert_eq!(account.held("m-yes"), sh("10"));
    assert_eq!(kinds(&account), [(StopLoss, "0.35".into(), "10".into())]);
}

#[test]
fn siblings_are_withdrawn_when_the_position_is_gone() {
    let mut account = guarded(StopLoss, "0.40");
    account
        .conditional(&conditional(TakeProfit, "0.60"), NOON)
        .unwrap();
    look(&mut account, 1, &[("0.60", "100")]);
    assert!(account.ledger.conditionals().is_empty());
    let ends = account.since(0, |event| match event {
        LedgerEvent::ConditionalTriggered { id, sold, .. } => Some(format!("{id} sold {sold}")),
        LedgerEvent::ConditionalCancelled { id, reason } => Some(format!("{id} {reason}")),
        _ => None,
    });
    assert_eq!(ends, ["1 the position is gone", "2 sold 20"]);
}

#[test]
fn siblings_shrink_with_the_position() {
    let mut account = guarded(StopLoss, "0.40");
    account
        .conditional(&conditional(TakeProfit, "0.60"), NOON)
        .unwrap();
    let few = NewConditional {
        shares: Some(sh("3")),
        ..conditional(StopLoss, "0.30")
    };
    account.conditional(&few, NOON).unwrap();
    let scene = Scene::new(after(1)).yes(&[("0.50", "100")], &[]).build();
    account
        .order(&wanted(Side::Sell, "6", "0.50"), &scene)
        .unwrap();
    // 12 of 20 sold
    assert_eq!(
        kinds(&account),
        [
            (StopLoss, "0.4".into(), "8".into()),
            (TakeProfit, "0.6".into(), "8".into()),
            (StopLoss, "0.3".into(), "3".into()),
        ]
    );
    let scene = Scene::new(after(2)).yes(&[("0.50", "100")], &[]).build();
    account
        .order(&wanted(Side::Sell, "4", "0.50"), &scene)
        .unwrap();
    assert!(account.ledger.conditionals().is_empty());
}

#[test]
fn an_exit_goes_before_a_quote_that_offers_the_same_shares() {
    let mut account = guarded(StopLoss, "0.40");
    let scene = Scene::new(after(1))
        .yes(&[("0.48", "9")], &[("0.52", "9")])
        .build();
    let maker = says(
        "maker",
        vec![quote("maker", "m", None, Some(("0.55", "20")))],
    );
    account.tick(&scene, vec![maker]);
    assert_eq!(account.ledger.sellable(&"m-yes".into()), sh("0"));
    look(&mut account, 2, &[("0.40", "100")]);
    assert_eq!(account.held("m-yes"), sh("0"));
    assert!(account.ledger.resting().is_empty());
}

// ---- attached to what is bought ----

fn enabled(config: &mut TradingConfig) {
    config.conditional.enabled = true;
}

fn buy(limit: &str, size: &str) -> Signal {
    signal("one", "Yes", Side::Buy, limit, size)
}

fn tick(account: &mut Account, at: i64, bids: Levels<'_>, asks: Levels<'_>, signal: Signal) {
    let scene = Scene::new(after(at)).yes(bids, asks).build();
    account.tick(&scene, vec![says("one", vec![Intent::Directional(signal)])]);
}

#[test]
fn defaults_hang_below_the_bid_and_above_the_price_paid() {
    let mut account = Account::new("1000").configured(|config| {
        enabled(config);
        config.conditional.trailing_stop_enabled = true;
    });
    tick(
        &mut account,
        1,
        &[("0.48", "100")],
        &[("0.50", "100")],
        buy("0.50", "10"),
    );
    // 0.48 × 0.9 = 0.432 → 0.43; 0.50 × 1.2 = 0.60; trailing from 0.48
    assert_eq!(
        kinds(&account),
        [
            (StopLoss, "0.43".into(), "20".into()),
            (TakeProfit, "0.6".into(), "20".into()),
            (TrailingStop, "0.48".into(), "20".into()),
        ]
    );
    let trailing = &account.ledger.conditionals()[&3];
    // 0.48 × 0.95
    assert_eq!(trailing.effective_trigger(), p("0.456"));
    assert_eq!(trailing.parent_strategy.as_str(), "one");
    // A spread of two cents sets nothing off.
    let report = look(&mut account, 2, &[("0.48", "100")]);
    assert!(report.triggered.is_empty());
}

#[test]
fn nothing_is_attached_unless_enabled() {
    let mut account = Account::new("1000");
    tick(
        &mut account,
        1,
        &[("0.48", "100")],
        &[("0.50", "100")],
        buy("0.50", "10"),
    );
    assert!(account.ledger.conditionals().is_empty());
}

#[test]
fn a_signal_overrides_the_defaults_or_works_without_them() {
    let own = |signal: Signal| Signal {
        stop_loss: Some(p("0.25")),
        take_profit: Some(p("0.80")),
        ..signal
    };
    for change in [enabled as fn(&mut TradingConfig), |_| ()] {
        let mut account = Account::new("1000").configured(change);
        tick(
            &mut account,
            1,
            &[("0.48", "100")],
            &[("0.50", "100")],
            own(buy("0.50", "10")),
        );
        assert_eq!(
            kinds(&account),
            [
                (StopLoss, "0.25".into(), "20".into()),
                (TakeProfit, "0.8".into(), "20".into()),
            ]
        );
    }
}

#[test]
fn exits_hang_on_what_this_order_paid_and_cover_what_it_bought() {
    let mut account = Account::new("1000")
        .bought("10", "0.20", NOON)
        .configured(enabled);
    // 50 old shares at 0.20. The new order finds 10 at 0.59 and 10 at 0.60: 11.9 / 20 = 0.595.
    let asks: Levels<'_> = &[("0.59", "10"), ("0.60", "10")];
    tick(&mut account, 1, &[("0.58", "100")], asks, buy("0.60", "60"));
    // 0.58 × 0.9 = 0.522 → 0.52; 0.595 × 1.2 = 0.714 → 0.72
    assert_eq!(
        kinds(&account),
        [
            (StopLoss, "0.52".into(), "20".into()),
            (TakeProfit, "0.72".into(), "20".into()),
        ]
    );
}

/// A default; and a strategy's own price that the bid has passed when it decides. One that was named
/// in time is another matter: see below.
#[test]
fn an_exit_that_would_fire_at_once_is_not_attached() {
    let mut account = Account::new("1000").configured(enabled);
    // 0.01 × 0.9 is no price below the bid of 0.01; 0.02 × 1.2 → 0.03
    tick(
        &mut account,
        1,
        &[("0.01", "100")],
        &[("0.02", "1000")],
        buy("0.02", "10"),
    );
    assert_eq!(kinds(&account), [(TakeProfit, "0.03".into(), "500".into())]);

    let mut account = Account::new("1000").configured(enabled);
    // Above 0.99 nothing can be sold.
    let sure = Signal {
        fair_price: 0.999,
        edge: 0.009,
        ..buy("0.99", "9.9")
    };
    tick(
        &mut account,
        1,
        &[("0.98", "100")],
        &[("0.99", "100")],
        sure,
    );
    // 0.98 × 0.9 = 0.882 → 0.88
    assert_eq!(kinds(&account), [(StopLoss, "0.88".into(), "10".into())]);

    let mut account = Account::new("1000");
    let hasty = Signal {
        stop_loss: Some(p("0.48")),
        ..buy("0.50", "10")
    };
    tick(
        &mut account,
        1,
        &[("0.48", "100")],
        &[("0.50", "100")],
        hasty,
    );
    assert!(account.ledger.conditionals().is_empty());
}

#[test]
fn without_a_bid_the_stop_hangs_below_the_price_paid() {
    let mut account = Account::new("1000").configured(enabled);
    tick(&mut account, 1, &[], &[("0.50", "100")], buy("0.50", "10"));
    let triggers: Vec<Price> = account
        .ledger
        .conditionals()
        .values()
        .map(|order| order.trigger_price)
        .collect();
    assert_eq!(triggers, [p("0.45"), p("0.60")]);
}

/// Who names a stop relies on it: also where the market falls through it before the order fills.
#[test]
fn a_named_stop_is_kept_though_the_market_fell_through_it_before_the_fill() {
    let stopped = |order_type| AgentOrder {
        order_type,
        stop_loss: Some(p("0.45")),
        ..wanted(Side::Buy, "4.8", "0.48")
    };
    let before = Scene::new(after(1))
        .yes(&[("0.48", "100")], &[("0.50", "100")])
        .build();
    // Rests at the bid; the market falls through both prices at once. 10 × 0.48 bought, and sold at
    // 0.42 in the same look, whose spread of 0.02 is believed: 100 − 4.8 + 4.2.
    let mut account = Account::new("100");
    account.order(&stopped(OrderType::Gtc), &before).unwrap();
    let fallen = |at: i64, bid: &str, ask: &str| {
        Scene::new(after(at))
            .yes(&[(bid, "100")], &[(ask, "100")])
            .build()
    };
    let report = account.books(&fallen(2, "0.42", "0.44"));
    assert_eq!(
        report.orders[0].exits,
        [
            "Ordered stop-loss at 0.45 on 10 shares: conditional order 1; the bid 0.42 has passed \
             its price already, so it fires at the next look that believes the book"
        ]
    );
    assert_eq!(account.held("m-yes"), sh("0"));
    assert_eq!(account.ledger.cash(), usd("99.4"));
    // On a book that is not believed it waits for its confirmation.
    let mut account = Account::new("100");
    account.order(&stopped(OrderType::Gtc), &before).unwrap();
    account.books(&fallen(2, "0.30", "0.47"));
    assert_eq!(kinds(&account), [(StopLoss, "0.45".into(), "10".into())]);
    account.books(&fallen(21, "0.30", "0.47"));
    assert_eq!(account.held("m-yes"), sh("10"), "19 s");
    account.books(&fallen(22, "0.30", "0.47"));
    assert_eq!(account.held("m-yes"), sh("0"), "20 s");
    // A FAK that took a while to arrive.
    let mut account = Account::new("100").configured(|c| c.execution.latency_ms = 2_000);
    account.order(&stopped(OrderType::Fak), &before).unwrap();
    let report = account.arrive(&fallen(3, "0.42", "0.44"));
    assert!(report.orders[0].exits[0].contains("has passed its price already"));
    assert_eq!(kinds(&account), [(StopLoss, "0.45".into(), "10".into())]);
    // One that lies below the bid is named without that remark.
    let mut account = Account::new("100");
    let now = AgentOrder {
        stop_loss: Some(p("0.45")),
        ..wanted(Side::Buy, "5", "0.50")
    };
    let placed = account.order(&now, &before).unwrap();
    assert_eq!(
        placed.exits,
        ["Ordered stop-loss at 0.45 on 10 shares: conditional order 1"]
    );
}

#[test]
fn an_exit_that_the_gate_refuses_leaves_the_resting_sale_where_it_is() {
    // 0.5 pUSD of cash left. A fee of 0.07 a share at any price: 20 shares sold at 0.02 would bring
    // 0.4 and cost 1.4.
    let mut account = Account::new("10.5").bought("10", "0.50", NOON);
    account
        .conditional(&conditional(StopLoss, "0.40"), NOON)
        .unwrap();
    let resting = AgentOrder {
        order_type: OrderType::Gtc,
        ..wanted(Side::Sell, "12", "0.60")
    };
    account
        .order(&resting, &scene(1, &[("0.50", "100")]))
        .unwrap();
    let dear = Market {
        fee: crate::domain::FeeSchedule::new("0.07", 0).unwrap(),
        ..market("m")
    };
    let fallen = book("m-yes", after(2), &[("0.02", "100")], &[("0.03", "100")]);
    let report = account.look(&Scene::new(after(2)).with(dear, vec![fallen]).build());
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("could not sell: cash")),
        "{:?}",
        report.notes
    );
    assert_eq!(account.held("m-yes"), sh("20"));
    assert_eq!(
        account.ledger.resting().len(),
        1,
        "the sale goes on resting"
    );
    assert_eq!(account.ledger.conditionals().len(), 1);
    // Without the fee it fires, and the shares come back for it.
    account.look(&scene(3, &[("0.40", "100")]));
    assert_eq!(account.held("m-yes"), sh("0"));
    assert!(account.ledger.resting().is_empty());
}

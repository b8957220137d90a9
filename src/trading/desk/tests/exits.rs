//! Conditional orders: when they fire, what they sell, what becomes of the others.

use crate::domain::{
    ConditionalKind, ConditionalOrder, Intent, LedgerEvent, Order, OrderType, Price, Side, Signal,
    Snapshot,
};
use crate::strategy::Strategy;
use crate::trading::config::TradingConfig;
use crate::trading::desk::NewConditional;
use crate::trading::ledger::Recorder;
use crate::trading::report::TickReport;
use crate::trading::test_support::{
    Account, Fails, Levels, NOON, Panics, Scene, after, basket, book, conditional, market, order,
    p, quote, says, sh, signal, usd, wanted,
};

use ConditionalKind::{StopLoss, TakeProfit, TrailingStop};

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

// ---- the guard: books that are too wide or too thin ----

/// A tick on these bids and asks.
fn at(account: &mut Account, seconds: i64, bids: Levels<'_>, asks: Levels<'_>) -> TickReport {
    account.look(&Scene::new(after(seconds)).yes(bids, asks).build())
}

fn doubts(account: &Account) -> Vec<Option<i64>> {
    account.since(0, |event| match event {
        LedgerEvent::ConditionalDoubted { since, .. } => {
            Some(since.map(|since| since.since(NOON) / 1000))
        }
        _ => None,
    })
}

#[test]
fn a_stop_does_not_fire_on_a_spread_that_opens_for_a_moment() {
    let mut account = guarded(StopLoss, "0.40");
    // The makers pull: 0.30 to 0.55 is a spread of 0.25, allowed is 0.05.
    let report = at(&mut account, 1, &[("0.30", "100")], &[("0.55", "100")]);
    assert!(report.triggered.is_empty() && report.orders.is_empty());
    assert_eq!(
        report.notes,
        [
            "conditional order 1: the bid 0.3 reaches its trigger, but the spread is too wide (the \
          ask 0.55); it fires if that lasts 20 s"
        ]
    );
    at(&mut account, 11, &[("0.31", "100")], &[("0.55", "100")]);
    assert_eq!(doubts(&account), [Some(1)], "said once");
    // They come back after 15 s.
    at(&mut account, 16, &[("0.48", "100")], &[("0.50", "100")]);
    assert_eq!(doubts(&account), [Some(1), None]);
    // The next time counts from its own beginning.
    at(&mut account, 17, &[("0.30", "100")], &[("0.55", "100")]);
    at(&mut account, 36, &[("0.30", "100")], &[("0.55", "100")]);
    assert_eq!(account.held("m-yes"), sh("20"));
    at(&mut account, 37, &[("0.30", "100")], &[("0.55", "100")]);
    // 20 s after 17: a real fall. 90 + 20 × 0.30
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("0"), usd("96"))
    );
}

#[test]
fn a_price_that_falls_with_both_its_sides_is_sold_at_once() {
    let mut account = guarded(StopLoss, "0.40");
    at(&mut account, 1, &[("0.30", "100")], &[("0.55", "100")]);
    // The asks come down after it: 0.05 is as wide as it may be.
    at(&mut account, 2, &[("0.30", "100")], &[("0.35", "100")]);
    assert_eq!(account.held("m-yes"), sh("0"));
    let mut wide = guarded(StopLoss, "0.40");
    at(&mut wide, 1, &[("0.30", "100")], &[("0.36", "100")]);
    assert_eq!(wide.held("m-yes"), sh("20"), "a cent more is too wide");
}

#[test]
fn an_empty_ask_side_counts_as_an_ask_of_one() {
    let mut account = guarded(StopLoss, "0.40");
    let report = at(&mut account, 1, &[("0.40", "100")], &[]);
    assert!(
        report.notes[0].contains("(nobody asks)"),
        "{:?}",
        report.notes
    );
    assert_eq!(account.held("m-yes"), sh("20"));
    // Near 1 that is no wide spread: a stop at 0.96 of a token that cost 0.50.
    let mut sure = guarded(StopLoss, "0.96");
    at(&mut sure, 1, &[("0.95", "100")], &[]);
    // 90 + 20 × 0.95
    assert_eq!(sure.ledger.cash(), usd("109"));
}

#[test]
fn a_missing_bid_neither_begins_a_doubt_nor_ends_one() {
    let mut account = guarded(StopLoss, "0.40");
    at(&mut account, 1, &[], &[("0.55", "100")]);
    assert!(doubts(&account).is_empty());
    at(&mut account, 2, &[("0.30", "100")], &[("0.55", "100")]);
    at(&mut account, 10, &[], &[("0.55", "100")]);
    at(&mut account, 40, &[], &[("0.55", "100")]);
    assert_eq!(account.held("m-yes"), sh("20"), "time alone sells nothing");
    assert_eq!(doubts(&account), [Some(2)]);
}

#[test]
fn a_few_shares_bid_low_sell_nothing_at_once_and_a_few_bid_high_hold_no_stop_up() {
    // Three bid in all, five are wanted.
    let mut thin = guarded(StopLoss, "0.40");
    let report = at(&mut thin, 1, &[("0.38", "3")], &[("0.41", "100")]);
    assert!(
        report.notes[0].contains("too few shares are bid"),
        "{:?}",
        report.notes
    );
    assert_eq!(thin.held("m-yes"), sh("20"));
    // It stays so: 3 × 0.38 = 1.14 is what there is.
    at(&mut thin, 21, &[("0.38", "3")], &[("0.41", "100")]);
    assert_eq!(
        (thin.held("m-yes"), thin.ledger.cash()),
        (sh("17"), usd("91.14"))
    );

    // One share at 0.45 above a market of 0.36: five could be sold at 0.36.
    let mut dust = guarded(StopLoss, "0.40");
    let report = at(
        &mut dust,
        1,
        &[("0.45", "1"), ("0.36", "100")],
        &[("0.46", "1"), ("0.48", "9")],
    );
    assert!(report.triggered.is_empty(), "0.46 − 0.36 is too wide");
    let report = at(
        &mut dust,
        2,
        &[("0.38", "1"), ("0.36", "100")],
        &[("0.40", "100")],
    );
    // 1 × 0.38 + 19 × 0.36 = 7.22; at the bid of 0.36 it would have been 7.20, at 0.40 8.00.
    assert_eq!(dust.ledger.cash(), usd("97.22"));
    assert_eq!(
        report.triggered,
        [
            "stop_loss 1 at bid 0.36 (trigger 0.4): sold 20 shares for 7.22 pUSD, 0 left; slippage \
          0.78 pUSD from the trigger, -0.02 from the bid"
        ]
    );
}

#[test]
fn the_guard_can_be_switched_off() {
    let mut account = guarded(StopLoss, "0.40").configured(|config| {
        config.conditional.max_trigger_spread = Price::ONE;
        config.conditional.min_trigger_depth = sh("0");
    });
    at(&mut account, 1, &[("0.40", "1"), ("0.39", "99")], &[]);
    // 1 × 0.40 + 19 × 0.39 = 7.81
    assert_eq!(account.ledger.cash(), usd("97.81"));
    let mut hasty = guarded(StopLoss, "0.40").configured(|config| {
        config.conditional.confirm_seconds = 0;
    });
    at(&mut hasty, 1, &[("0.40", "100")], &[("0.90", "9")]);
    assert_eq!(hasty.held("m-yes"), sh("0"));
}

#[test]
fn a_take_profit_wants_enough_at_its_price_and_sells_none_below_it() {
    let mut account = guarded(TakeProfit, "0.60");
    // Four at 0.65, five are wanted; the spread does not matter.
    at(
        &mut account,
        1,
        &[("0.65", "4"), ("0.55", "100")],
        &[("0.90", "9")],
    );
    assert_eq!(account.held("m-yes"), sh("20"));
    // 4 at 0.65 and 6 at 0.61 can be had at 0.60 or better. From a bid of 0.61 the slippage would
    // go down to 0.5795, the price of the order does not.
    let report = at(
        &mut account,
        2,
        &[("0.65", "4"), ("0.61", "6"), ("0.59", "100")],
        &[("0.90", "9")],
    );
    // 4 × 0.65 + 6 × 0.61 = 2.60 + 3.66 = 6.26
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("10"), usd("96.26"))
    );
    assert_eq!(kinds(&account), [(TakeProfit, "0.6".into(), "10".into())]);
    let [exit] = report.exits.as_slice() else {
        panic!("{:?}", report.exits);
    };
    // 10 × 0.60 − 6.26 and 10 × 0.61 − 6.26
    assert_eq!(
        (
            exit.slippage_from_trigger,
            exit.slippage_from_bid,
            exit.left
        ),
        (-0.26, -0.16, 10.0)
    );
}

#[test]
fn a_trailing_stop_over_a_path_of_bids() {
    let mut account = Account::new("100").bought("10", "0.50", NOON);
    let trailing = NewConditional {
        trail_percent: Some(p("0.05")),
        bid: Some(p("0.50")),
        ..conditional(TrailingStop, "0.50")
    };
    account.conditional(&trailing, NOON).unwrap();
    // watermark and the bid at which it fires: watermark × 0.95
    for (seconds, bid, watermark, fires) in [
        (1, "0.52", "0.52", "0.494"),
        (2, "0.60", "0.6", "0.57"),
        (3, "0.58", "0.6", "0.57"),
        (4, "0.64", "0.64", "0.608"),
        (5, "0.61", "0.64", "0.608"),
    ] {
        look(&mut account, seconds, &[(bid, "100")]);
        let order = &account.ledger.conditionals()[&1];
        assert_eq!(
            (order.high_watermark, order.effective_trigger()),
            (Some(p(watermark)), p(fires)),
            "at {bid}"
        );
    }
    // One share bid at 0.90 is no new high.
    look(&mut account, 6, &[("0.90", "1"), ("0.62", "100")]);
    assert_eq!(
        account.ledger.conditionals()[&1].high_watermark,
        Some(p("0.64"))
    );
    let report = look(&mut account, 7, &[("0.60", "100")]);
    // 90 + 20 × 0.60; 20 × 0.608 − 12 = 0.16 below the trigger
    assert_eq!(account.ledger.cash(), usd("102"));
    assert_eq!(
        report.triggered,
        [
            "trailing_stop 1 at bid 0.6 (trigger 0.608): sold 20 shares for 12 pUSD, 0 left; slippage \
          0.16 pUSD from the trigger, 0 from the bid"
        ]
    );
}

#[test]
fn every_sale_of_an_exit_leaves_its_bid_and_its_proceeds() {
    let mut account = guarded(StopLoss, "0.40");
    look(
        &mut account,
        1,
        &[("0.30", "7"), ("0.29", "5"), ("0.28", "100")],
    );
    let so_far = account.ledger.conditionals()[&1].sales.unwrap();
    // 7 × 0.30 + 5 × 0.29
    assert_eq!((so_far.sold, so_far.proceeds), (sh("12"), usd("3.55")));
    look(&mut account, 2, &[("0.25", "100")]);
    let sales = account.since(0, |event| match event {
        LedgerEvent::ConditionalReduced {
            sale: Some(sale), ..
        } => Some((sale.bid, sale.trigger, sale.sold, sale.proceeds)),
        LedgerEvent::ConditionalTriggered {
            bid,
            sold,
            proceeds,
            trigger,
            ..
        } => Some((*bid, trigger.unwrap(), *sold, proceeds.unwrap())),
        _ => None,
    });
    // 8 × 0.25 = 2
    assert_eq!(
        sales,
        [
            (p("0.30"), p("0.40"), sh("12"), usd("3.55")),
            (p("0.25"), p("0.40"), sh("8"), usd("2")),
        ]
    );
}

// ---- one cancels other ----

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

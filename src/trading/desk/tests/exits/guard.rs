//! Books that are too wide or too thin, and what sales leave behind.

use super::*;

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

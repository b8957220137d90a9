//! Resting quotes: kept, replaced, withdrawn, filled when the market trades through.

use crate::domain::{Book, BookFeed, Intent, LedgerEvent, OrderOutcome, Side, Usdc};
use crate::trading::test_support::{
    Account, Fails, Levels, NOON, Scene, after, book, charging, market, p, quote, says, sh, signal,
    usd,
};

const BIDS: Levels<'_> = &[("0.45", "1000")];
const ASKS: Levels<'_> = &[("0.55", "1000")];

type Side2 = Option<(&'static str, &'static str)>;

/// A tick in which `maker` quotes.
fn quotes(account: &mut Account, at: i64, bid: Side2, ask: Side2) {
    let scene = Scene::new(after(at)).yes(BIDS, ASKS).build();
    account.tick(
        &scene,
        vec![says("maker", vec![quote("maker", "m", bid, ask)])],
    );
}

/// Number, side, price and shares of what rests.
fn resting(account: &Account) -> Vec<(u64, Side, String, String)> {
    let orders = account.ledger.resting().values();
    orders
        .map(|r| {
            (
                r.order.id,
                r.order.side,
                r.order.limit.to_string(),
                r.remaining.to_string(),
            )
        })
        .collect()
}

fn row(id: u64, side: Side, price: &str, shares: &str) -> (u64, Side, String, String) {
    (id, side, price.to_owned(), shares.to_owned())
}

#[test]
fn a_quote_rests_on_both_sides_and_its_price_keeps_it() {
    let mut account = Account::new("1000").bought("20", "0.50", NOON);
    quotes(&mut account, 1, Some(("0.48", "10")), Some(("0.52", "30")));
    let both = [
        row(2, Side::Buy, "0.48", "10"),
        row(3, Side::Sell, "0.52", "30"),
    ];
    assert_eq!(resting(&account), both);
    let since = account.ledger.seq();
    quotes(&mut account, 2, Some(("0.48", "10")), Some(("0.52", "30")));
    assert_eq!(resting(&account), both, "the same orders");
    assert!(
        account.verdicts(since).is_empty(),
        "a quote that stands is no new signal"
    );
    assert_eq!(account.ledger.cash(), usd("980"));
    assert_eq!(account.ledger.available_cash(), usd("975.2"));
}

#[test]
fn another_price_or_a_smaller_size_replaces_and_no_quote_withdraws() {
    let mut account = Account::new("1000");
    quotes(&mut account, 1, Some(("0.48", "10")), None);
    quotes(&mut account, 2, Some(("0.47", "10")), None);
    assert_eq!(resting(&account), [row(2, Side::Buy, "0.47", "10")]);
    quotes(&mut account, 3, Some(("0.47", "6")), None);
    assert_eq!(resting(&account), [row(3, Side::Buy, "0.47", "6")]);
    quotes(&mut account, 4, Some(("0.47", "8")), None);
    assert_eq!(
        resting(&account),
        [row(3, Side::Buy, "0.47", "6")],
        "less than wanted stays"
    );
    quotes(&mut account, 5, None, None);
    assert!(resting(&account).is_empty());
    let ends = account.since(0, |event| match event {
        LedgerEvent::OrderClosed {
            order_id,
            outcome,
            unfilled,
            ..
        } => Some((*order_id, *outcome, unfilled.to_string())),
        _ => None,
    });
    let cancelled = |id, shares: &str| (id, OrderOutcome::Cancelled, shares.to_owned());
    assert_eq!(
        ends,
        [cancelled(1, "10"), cancelled(2, "10"), cancelled(3, "6")]
    );
    assert_eq!(account.ledger.cash(), usd("1000"));
}

#[test]
fn a_strategy_that_fails_leaves_no_quote_behind() {
    let mut account = Account::new("1000");
    quotes(&mut account, 1, Some(("0.48", "10")), None);
    let scene = Scene::new(after(2)).yes(BIDS, ASKS).build();
    account.tick(&scene, vec![Box::new(Fails)]);
    assert!(resting(&account).is_empty());
}

#[test]
fn a_refused_side_is_rejected_and_the_other_rests() {
    let mut account = Account::new("1000");
    // Nothing is held, so there is nothing to offer; and 0.55 would take.
    quotes(&mut account, 1, Some(("0.48", "10")), Some(("0.52", "10")));
    assert_eq!(resting(&account), [row(1, Side::Buy, "0.48", "10")]);
    let verdicts = account.verdicts(0);
    assert_eq!(verdicts[0], (1, "executed".to_owned()));
    assert!(verdicts[1].1.contains("0 held and free"), "{verdicts:?}");
    quotes(&mut account, 2, Some(("0.55", "10")), None);
    assert!(resting(&account).is_empty());
    assert!(
        account.verdicts(0)[2]
            .1
            .contains("would take from the book")
    );
}

#[test]
fn it_fills_as_a_maker_at_its_own_price_when_the_market_trades_through() {
    let mut account = Account::new("1000");
    let charged = |at, asks: Levels<'_>| {
        let fresh = book("m-yes", after(at), BIDS, asks);
        Scene::new(after(at))
            .with(charging(market("m"), "0.05"), vec![fresh])
            .build()
    };
    let again = || {
        says(
            "maker",
            vec![quote("maker", "m", Some(("0.48", "50")), None)],
        )
    };
    account.tick(&charged(1, ASKS), vec![again()]);
    account.tick(&charged(2, &[("0.48", "1000")]), vec![again()]);
    assert_eq!(
        account.held("m-yes"),
        sh("0"),
        "touched is not traded through"
    );
    let report = account.tick(
        &charged(3, &[("0.46", "10"), ("0.47", "20")]),
        vec![again()],
    );
    // 30 × 0.48, and no fee for a maker
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("30"), usd("985.6"))
    );
    assert_eq!(account.ledger.fees(), Usdc::ZERO);
    assert_eq!(report.orders[0].status, "partially_filled");
    assert_eq!(resting(&account), [row(1, Side::Buy, "0.48", "20")]);
    account.tick(&charged(4, &[("0.46", "1000")]), vec![]);
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("50"), usd("976"))
    );
    assert!(resting(&account).is_empty());
    let prices = account.since(0, |event| match event {
        LedgerEvent::Filled { fill } => Some((fill.price, fill.maker)),
        _ => None,
    });
    assert_eq!(prices, [(p("0.48"), true), (p("0.48"), true)]);
}

#[test]
fn depth_that_passed_a_quote_is_not_sold_again_to_another_nor_in_the_next_tick() {
    let mut account = Account::new("1000");
    let both = || {
        vec![
            says(
                "maker",
                vec![quote("maker", "m", Some(("0.48", "20")), None)],
            ),
            says(
                "other",
                vec![quote("other", "m", Some(("0.48", "20")), None)],
            ),
        ]
    };
    let before = Scene::new(after(1)).yes(BIDS, ASKS).build();
    account.tick(&before, both());
    assert_eq!(account.ledger.resting().len(), 2);
    // 25 shares pass two quotes of 20; a signal would like the 0.46 too.
    let passing = book("m-yes", after(2), &[], &[("0.46", "25"), ("0.60", "5")]);
    let scene = |at| {
        Scene::new(after(at))
            .with(market("m"), vec![passing.clone()])
            .build()
    };
    let buy = Intent::Directional(signal("one", "Yes", Side::Buy, "0.46", "4.6"));
    let mut strategies = both();
    strategies.push(says("one", vec![buy]));
    account.tick(&scene(2), strategies);
    assert_eq!(account.held("m-yes"), sh("25"));
    account.tick(&scene(3), both());
    assert_eq!(
        account.held("m-yes"),
        sh("25"),
        "the book has not been refreshed"
    );
}

#[test]
fn a_book_of_a_broken_stream_or_too_old_a_one_fills_nothing_that_rests() {
    let mut account = Account::new("1000");
    let bid = Some(("0.48", "20"));
    quotes(&mut account, 1, bid, None);
    let passing = |at: i64| book("m-yes", after(at), &[], &[("0.46", "25")]);
    let mut look = |at: i64, seen: Book| {
        let scene = Scene::new(after(at)).with(market("m"), vec![seen]).build();
        account.tick(
            &scene,
            vec![says("maker", vec![quote("maker", "m", bid, None)])],
        );
        account.held("m-yes")
    };
    assert_eq!(look(40, passing(40).with_feed(BookFeed::Broken)), sh("0"));
    // 31 s old; allowed are 30.
    assert_eq!(look(71, passing(40)), sh("0"));
    assert_eq!(
        look(72, passing(72)),
        sh("20"),
        "it was waiting all the time"
    );
}

#[test]
fn a_rest_below_the_minimum_is_replaced() {
    let mut account = Account::new("1000");
    quotes(&mut account, 1, Some(("0.48", "10")), None);
    let passing = Scene::new(after(2))
        .yes(&[("0.40", "9")], &[("0.47", "6")])
        .build();
    // 6 of 10 fill; the 4 left are fewer than the 5 that the venue rests.
    let again = says(
        "maker",
        vec![quote("maker", "m", Some(("0.48", "10")), None)],
    );
    let report = account.tick(&passing, vec![again]);
    assert_eq!(report.orders[0].status, "partially_filled");
    // The new one would take what is left of the ask at 0.47: nothing is, so it rests.
    assert_eq!(resting(&account), [row(2, Side::Buy, "0.48", "10")]);
}

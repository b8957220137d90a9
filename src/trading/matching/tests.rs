//! Matching, worked out by hand.

use crate::domain::{
    BookFeed, BookOrigin, FeeSchedule, LedgerEvent, OrderType, RestingOrder, Shares, Side,
    Timestamp, Usdc, UsedLevel,
};

use super::super::ledger::{Ledger, Recorder};
use super::super::test_support::{NOON, after, book, order, p, sh, usd};
use super::*;

fn resting(side: Side, limit: &str, shares: &str, placed_at: Timestamp) -> RestingOrder {
    RestingOrder {
        order: order(1, side, limit, shares, OrderType::PostOnly),
        remaining: sh(shares),
        placed_at,
        queue_ahead: Shares::ZERO,
        prints_to: placed_at,
    }
}

fn numbers(matched: &Matched) -> Vec<(String, String, String, String)> {
    let text = |fill: &LevelFill| {
        (
            fill.price.to_string(),
            fill.shares.to_string(),
            fill.notional.to_string(),
            fill.fee.to_string(),
        )
    };
    matched.fills.iter().map(text).collect()
}

fn row(price: &str, shares: &str, notional: &str, fee: &str) -> (String, String, String, String) {
    (price.into(), shares.into(), notional.into(), fee.into())
}

#[test]
fn a_partial_fill_walks_three_levels_and_floors_the_fee_at_each() {
    let asks = [("0.33", "7.77"), ("0.31", "10.5"), ("0.32", "3.33")];
    let book = book("m-yes", NOON, &[("0.29", "50")], &asks);
    let fee = FeeSchedule::new("0.05", 1).unwrap();
    let matched = take(
        &order(1, Side::Buy, "0.33", "100", OrderType::Fak),
        &book,
        fee,
    )
    .unwrap();
    // 10.50 × 0.31 = 3.255;  fee 10.50 × 0.05 × 0.31 × 0.69 = 0.1122975  → 0.11229
    //  3.33 × 0.32 = 1.0656; fee  3.33 × 0.05 × 0.32 × 0.68 = 0.03623040 → 0.03623
    //  7.77 × 0.33 = 2.5641; fee  7.77 × 0.05 × 0.33 × 0.67 = 0.08589735 → 0.08589
    assert_eq!(
        numbers(&matched),
        [
            row("0.31", "10.5", "3.255", "0.11229"),
            row("0.32", "3.33", "1.0656", "0.03623"),
            row("0.33", "7.77", "2.5641", "0.08589"),
        ]
    );
    assert_eq!(matched.filled(), sh("21.6"));
    assert_eq!(matched.unfilled, sh("78.4"));
    assert_eq!(matched.notional(), usd("6.8847"));
    assert_eq!(matched.fee(), usd("0.23441"));
    // 6.8847 / 21.6 = 0.3187361…; the mid was (0.29 + 0.31) / 2 = 0.30
    assert!((matched.average_price().unwrap() - 0.318_736_111).abs() < 1e-9);
    let slippage = slippage(&matched, &book, Side::Buy).unwrap();
    assert!((slippage - 0.062_453_703).abs() < 1e-9, "{slippage}");
}

#[test]
fn the_notional_of_a_level_is_floored() {
    let book = book("m-yes", NOON, &[("0.333", "0.3333")], &[]);
    let sale = order(1, Side::Sell, "0.01", "5", OrderType::Fak);
    let matched = take(&sale, &book, FeeSchedule::FREE).unwrap();
    // 0.333 × 0.3333 = 0.1109889
    assert_eq!(numbers(&matched), [row("0.333", "0.3333", "0.110988", "0")]);
}

#[test]
fn the_limit_is_respected_on_both_sides() {
    let book = book(
        "m-yes",
        NOON,
        &[("0.40", "10"), ("0.39", "10"), ("0.30", "10")],
        &[("0.42", "10"), ("0.43", "10"), ("0.44", "10")],
    );
    let free = FeeSchedule::FREE;
    let buy = take(
        &order(1, Side::Buy, "0.43", "100", OrderType::Fak),
        &book,
        free,
    )
    .unwrap();
    assert_eq!((buy.filled(), buy.notional()), (sh("20"), usd("8.5")));
    let sell = take(
        &order(1, Side::Sell, "0.39", "100", OrderType::Fak),
        &book,
        free,
    )
    .unwrap();
    assert_eq!((sell.filled(), sell.notional()), (sh("20"), usd("7.9")));
    let none = take(
        &order(1, Side::Buy, "0.41", "1", OrderType::Fak),
        &book,
        free,
    )
    .unwrap();
    assert_eq!((none.fills.len(), none.unfilled), (0, sh("1")));
    assert_eq!(none.average_price(), None);
    assert_eq!(slippage(&none, &book, Side::Buy), None);
}

#[test]
fn fill_or_kill_takes_all_or_nothing() {
    let book = book(
        "m-yes",
        NOON,
        &[],
        &[("0.50", "10"), ("0.51", "20"), ("0.60", "5")],
    );
    let free = FeeSchedule::FREE;
    let all = take(
        &order(1, Side::Buy, "0.51", "30", OrderType::Fok),
        &book,
        free,
    )
    .unwrap();
    // 10 × 0.50 + 20 × 0.51
    assert_eq!((all.filled(), all.notional()), (sh("30"), usd("15.2")));
    let more = order(1, Side::Buy, "0.51", "30.01", OrderType::Fok);
    let none = take(&more, &book, free).unwrap();
    assert_eq!((none.fills.len(), none.unfilled), (0, sh("30.01")));
}

#[test]
fn a_resting_buy_fills_only_strictly_below_it_at_its_own_price_and_free() {
    let waiting = resting(Side::Buy, "0.40", "50", NOON);
    let fresh = |asks| book("m-yes", after(60), &[], asks);
    let touched = trade_through(&waiting, &fresh(&[("0.40", "1000")])).unwrap();
    assert_eq!(
        touched, None,
        "a price touched proves nothing about the queue"
    );
    let passed = fresh(&[("0.38", "10"), ("0.39", "20"), ("0.40", "1000")]);
    let fill = trade_through(&waiting, &passed).unwrap().unwrap();
    // 10 + 20 shares passed it; 30 × 0.40 = 12
    assert_eq!(
        (fill.price, fill.shares, fill.notional, fill.fee),
        (p("0.40"), sh("30"), usd("12"), Usdc::ZERO)
    );
    let deep = fresh(&[("0.10", "1000")]);
    let all = trade_through(&waiting, &deep).unwrap().unwrap();
    assert_eq!((all.price, all.shares), (p("0.40"), sh("50")));
}

#[test]
fn a_resting_sale_fills_only_strictly_above_it() {
    let waiting = resting(Side::Sell, "0.60", "50", NOON);
    let fresh = |bids| book("m-yes", after(60), bids, &[]);
    assert_eq!(
        trade_through(&waiting, &fresh(&[("0.60", "1000")])).unwrap(),
        None
    );
    let passed = fresh(&[("0.61", "8"), ("0.60", "1000")]);
    let fill = trade_through(&waiting, &passed).unwrap().unwrap();
    assert_eq!(
        (fill.price, fill.shares, fill.notional),
        (p("0.60"), sh("8"), usd("4.8"))
    );
}

#[test]
fn a_resting_order_never_fills_on_the_book_it_was_placed_on_nor_on_a_crossed_one() {
    let waiting = resting(Side::Buy, "0.40", "50", after(60));
    let same = book("m-yes", after(60), &[], &[("0.30", "100")]);
    assert_eq!(trade_through(&waiting, &same).unwrap(), None);
    let older = book("m-yes", after(59), &[], &[("0.30", "100")]);
    assert_eq!(trade_through(&waiting, &older).unwrap(), None);
    let crossed = book("m-yes", after(61), &[("0.35", "1")], &[("0.30", "100")]);
    assert_eq!(trade_through(&waiting, &crossed).unwrap(), None);
    let newer = book("m-yes", after(61), &[], &[("0.30", "100")]);
    assert!(trade_through(&waiting, &newer).unwrap().is_some());
    let broken = newer.with_feed(BookFeed::Broken);
    assert_eq!(trade_through(&waiting, &broken).unwrap(), None);
}

#[test]
fn nothing_is_taken_from_a_crossed_book_nor_from_one_of_a_broken_stream() {
    let asks = [("0.50", "100")];
    let sound = book("m-yes", NOON, &[("0.49", "10")], &asks);
    let wanted = order(1, Side::Buy, "0.50", "20", OrderType::Fak);
    let filled = |book: &Book| {
        let matched = take(&wanted, book, FeeSchedule::FREE).unwrap();
        (matched.filled(), matched.unfilled)
    };
    assert_eq!(filled(&sound), (sh("20"), sh("0")));
    let crossed = book("m-yes", NOON, &[("0.50", "10")], &asks);
    assert_eq!(filled(&crossed), (sh("0"), sh("20")));
    let broken = sound.with_feed(BookFeed::Broken);
    assert_eq!(filled(&broken), (sh("0"), sh("20")));
}

/// A ledger with 1,000 pUSD in which `orders` were filled at `at`: (side, limit, price, shares, maker).
fn traded(at: Timestamp, orders: &[(Side, &str, &str, &str, bool)]) -> Ledger {
    let mut ledger = Ledger::default();
    let mut recorder = Recorder::new(&mut ledger, at);
    let amount = usd("1000");
    recorder.record(LedgerEvent::Deposited { amount }).unwrap();
    for (id, (side, limit, price, shares, maker)) in (1..).zip(orders) {
        let kind = if *maker {
            OrderType::PostOnly
        } else {
            OrderType::Fak
        };
        let order = order(id, *side, limit, shares, kind);
        let fill = crate::domain::Fill {
            order_id: id,
            strategy: order.strategy.clone(),
            market_id: order.market_id.clone(),
            token_id: order.token_id.clone(),
            outcome: order.outcome.clone(),
            side: *side,
            price: p(price),
            shares: sh(shares),
            notional: notional(p(price), sh(shares), Rounding::Down).unwrap(),
            fee: Usdc::ZERO,
            print: false,
            maker: *maker,
            reason: String::new(),
        };
        recorder
            .record(LedgerEvent::OrderAccepted { order })
            .unwrap();
        recorder.record(LedgerEvent::Filled { fill }).unwrap();
    }
    ledger
}

fn asks_left(book: &Book, ledger: &Ledger) -> Vec<(String, String)> {
    remaining_book(book, None, ledger)
        .asks()
        .iter()
        .map(|level| (level.price.to_string(), level.size.to_string()))
        .collect()
}

fn level(price: &str, size: &str) -> (String, String) {
    (price.to_owned(), size.to_owned())
}

#[test]
fn depth_that_was_taken_stays_taken_for_as_long_as_its_level_stands() {
    let ledger = traded(
        after(60),
        &[
            (Side::Buy, "0.51", "0.50", "10", false),
            (Side::Buy, "0.51", "0.51", "4", false),
        ],
    );
    let asks = [("0.50", "10"), ("0.51", "20")];
    let stale = book("m-yes", after(60), &[("0.49", "7")], &asks);
    assert_eq!(asks_left(&stale, &ledger), [level("0.51", "16")]);
    assert_eq!(
        remaining_book(&stale, None, &ledger).bids()[0].size,
        sh("7")
    );
    // A minute later the bids have changed. Nobody has told the exchange of our purchase.
    let later = book("m-yes", after(120), &[("0.48", "7")], &asks);
    assert_eq!(asks_left(&later, &ledger), [level("0.51", "16")]);
    assert_eq!(depth::freed(&later, &ledger), []);
    // 3 more came to 0.50. Of 0.51 all but 1 have gone: that one is taken to be of the 4.
    let moved = book("m-yes", after(120), &[], &[("0.50", "13"), ("0.51", "1")]);
    assert_eq!(asks_left(&moved, &ledger), [level("0.5", "3")]);
    let used = |price: &str, shares: &str| UsedLevel {
        side: Side::Buy,
        price: p(price),
        shares: sh(shares),
    };
    assert_eq!(depth::freed(&moved, &ledger), [used("0.51", "1")]);
    let emptied = book("m-yes", after(120), &[], &[("0.52", "9")]);
    assert_eq!(asks_left(&emptied, &ledger), [level("0.52", "9")]);
    assert_eq!(
        depth::freed(&emptied, &ledger),
        [used("0.5", "0"), used("0.51", "0")]
    );
    // A book from before the purchase says nothing of what happened since, nor does a crossed one.
    let older = book("m-yes", after(59), &[], &[("0.52", "9")]);
    assert_eq!(depth::freed(&older, &ledger), []);
    let crossed = book("m-yes", after(120), &[("0.53", "1")], &[("0.52", "9")]);
    assert_eq!(depth::freed(&crossed, &ledger), []);
    let other = book("m-no", after(60), &[], &asks);
    assert_eq!(
        asks_left(&other, &ledger).len(),
        2,
        "another token's book is untouched"
    );
}

/// The exchange's clock does not come into it: one that is ahead of ours gave the same shares twice.
#[test]
fn what_is_used_does_not_depend_on_the_exchanges_clock() {
    let ledger = traded(after(60), &[(Side::Buy, "0.50", "0.50", "10", false)]);
    for seconds in [0, 59, 65, 7_200] {
        let same = book("m-yes", after(61), &[], &[("0.50", "10")]).with_changed_at(after(seconds));
        assert_eq!(asks_left(&same, &ledger), [], "changed at {seconds}");
    }
}

#[test]
fn a_book_made_from_a_price_is_made_anew_with_each_row() {
    let ledger = traded(after(60), &[(Side::Buy, "0.50", "0.50", "10", false)]);
    let made = |at| {
        Book::new(
            "m-yes".into(),
            Vec::new(),
            vec![crate::domain::Level {
                price: p("0.50"),
                size: sh("30"),
            }],
            at,
            BookOrigin::Synthetic,
        )
    };
    assert_eq!(asks_left(&made(after(60)), &ledger), [level("0.5", "20")]);
    let next = made(after(61));
    assert_eq!(asks_left(&next, &ledger), [level("0.5", "30")]);
    assert_eq!(depth::freed(&next, &ledger)[0].shares, Shares::ZERO);
    // The same row seen a minute later is no new one.
    let mut again = made(after(60));
    again.at = after(120);
    assert_eq!(asks_left(&again, &ledger), [level("0.5", "20")]);
}

#[test]
fn a_resting_fill_uses_up_the_depth_that_passed_it() {
    // 15 shares were bought at 0.52 by a resting order, out of 10 at 0.50 and 20 at 0.51.
    let mut ledger = traded(after(60), &[(Side::Buy, "0.52", "0.52", "15", true)]);
    let asks = [("0.50", "10"), ("0.51", "20"), ("0.52", "30")];
    let stale = book("m-yes", after(60), &[], &asks);
    let levels = depth::passed(&stale, &ledger, Side::Buy, p("0.52"), sh("15"));
    let used: Vec<_> = levels.iter().map(|l| (l.price, l.shares)).collect();
    assert_eq!(used, [(p("0.50"), sh("10")), (p("0.51"), sh("5"))]);
    Recorder::new(&mut ledger, after(60))
        .record(LedgerEvent::DepthUsed {
            token_id: "m-yes".into(),
            levels,
        })
        .unwrap();
    assert_eq!(
        asks_left(&stale, &ledger),
        [level("0.51", "15"), level("0.52", "30")],
        "the level at its own price did not pass it"
    );
    let again = resting(Side::Buy, "0.51", "15", NOON);
    let left = remaining_book(&stale, None, &ledger);
    assert_eq!(
        trade_through(&again, &left).unwrap(),
        None,
        "nobody gets the same shares twice"
    );
    // 6 more at 0.51 pass what is left of a bid at 0.52: 5 of the 21 are used, and 6 are asked for.
    let later = book("m-yes", after(90), &[], &[("0.51", "26")]);
    let left = remaining_book(&later, None, &ledger);
    let levels = depth::passed(&left, &ledger, Side::Buy, p("0.52"), sh("6"));
    assert_eq!(levels.len(), 1);
    assert_eq!(levels[0].shares, sh("11"));
}

#[test]
fn more_takes_than_anybody_counts_are_all_remembered() {
    let orders: Vec<_> = (0..200)
        .map(|_| (Side::Buy, "0.50", "0.50", "1", false))
        .collect();
    let ledger = traded(after(60), &orders);
    let stale = book("m-yes", after(60), &[], &[("0.50", "250")]);
    assert_eq!(asks_left(&stale, &ledger), [level("0.5", "50")]);
}

#[test]
fn shares_are_conserved_for_an_order_larger_than_the_book() {
    let book = book("m-yes", NOON, &[], &[("0.01", "1"), ("0.99", "2")]);
    let matched = take(
        &order(1, Side::Buy, "0.99", "1000000", OrderType::Fak),
        &book,
        FeeSchedule::FREE,
    )
    .unwrap();
    assert_eq!(
        matched.filled().plus(matched.unfilled),
        Shares::whole(1_000_000)
    );
    assert_eq!(matched.filled(), sh("3"));
}

#[test]
fn what_was_taken_of_one_outcome_is_gone_from_the_book_of_the_other() {
    // 4 Yes bought at 0.51: the same order was a bid for No at 0.49.
    let ledger = traded(after(60), &[(Side::Buy, "0.51", "0.51", "4", false)]);
    let no = book(
        "m-no",
        after(60),
        &[("0.49", "10"), ("0.48", "7")],
        &[("0.52", "9")],
    );
    let yes: crate::domain::TokenId = "m-yes".into();
    let left = remaining_book(&no, Some(&yes), &ledger);
    let sizes: Vec<Shares> = left.bids().iter().map(|level| level.size).collect();
    assert_eq!(sizes, [sh("6"), sh("7")]);
    assert_eq!(left.asks(), no.asks());
    // A minute later one more stands there, and the bid at 0.48 is gone.
    let newer = book("m-no", after(61), &[("0.49", "11")], &[]);
    let left = remaining_book(&newer, Some(&yes), &ledger);
    assert_eq!(left.bids()[0].size, sh("7"));
    // 15 Yes bought by a resting bid at 0.52, which offers of Yes below it passed: bids for No above
    // 0.48, best first.
    let mut ledger = traded(after(60), &[(Side::Buy, "0.52", "0.52", "15", true)]);
    let asks = book("m-yes", after(60), &[], &[("0.50", "10"), ("0.51", "20")]);
    let levels = depth::passed(&asks, &ledger, Side::Buy, p("0.52"), sh("15"));
    Recorder::new(&mut ledger, after(60))
        .record(LedgerEvent::DepthUsed {
            token_id: yes.clone(),
            levels,
        })
        .unwrap();
    let no = book(
        "m-no",
        after(60),
        &[("0.50", "10"), ("0.49", "20"), ("0.48", "7")],
        &[],
    );
    let left = remaining_book(&no, Some(&yes), &ledger);
    let sizes: Vec<Shares> = left.bids().iter().map(|level| level.size).collect();
    assert_eq!(sizes, [sh("15"), sh("7")]);
}

//! Queues and trades, worked out by hand.

use crate::domain::OrderType;
use crate::trading::test_support::{NOON, after, order, p, sh};

use super::*;

const TICK: &str = "0.01";

fn rest(id: u64, side: Side, limit: &str, shares: &str, queue: &str) -> Waiting {
    Waiting::of(&RestingOrder {
        order: order(id, side, limit, shares, OrderType::Gtc),
        remaining: sh(shares),
        placed_at: NOON,
        queue_ahead: sh(queue),
        prints_to: NOON,
    })
}

fn print(taker: Option<Side>, price: &str, shares: &str, seconds: i64) -> Print {
    Print {
        token: "m-yes".into(),
        taker,
        price: p(price),
        shares: sh(shares),
        at: after(seconds),
    }
}

/// Number and shares of what filled.
fn fills(waiting: &mut [Waiting], print: &Print) -> Vec<(u64, String)> {
    meet(waiting, print, p(TICK))
        .into_iter()
        .map(|fill| (fill.order_id, fill.shares.to_string()))
        .collect()
}

#[test]
fn a_trade_passes_the_queue_before_it_fills_us() {
    let mut one = [rest(1, Side::Buy, "0.48", "50", "100")];
    // 60 of the 100 before us go; 40 are left.
    assert_eq!(
        fills(&mut one, &print(Some(Side::Sell), "0.48", "60", 1)),
        []
    );
    assert_eq!(one[0].queue_ahead, sh("40"));
    // 40 for them, 15 of 55 for us; then 35 of the next 80.
    let next = print(Some(Side::Sell), "0.48", "55", 2);
    assert_eq!(fills(&mut one, &next), [(1, "15".into())]);
    assert_eq!((one[0].queue_ahead, one[0].remaining), (sh("0"), sh("35")));
    let last = print(Some(Side::Sell), "0.48", "80", 3);
    assert_eq!(fills(&mut one, &last), [(1, "35".into())]);
    assert_eq!(one[0].accounted, after(3));
}

#[test]
fn only_takers_of_the_other_side_count_at_our_price_and_any_told_by_nobody_beyond_it() {
    let meets = |side, taker, price: &str| {
        let mut one = [rest(1, side, "0.48", "10", "0")];
        !fills(&mut one, &print(taker, price, "4", 1)).is_empty()
    };
    assert!(meets(Side::Buy, Some(Side::Sell), "0.48"));
    assert!(!meets(Side::Buy, Some(Side::Buy), "0.48"));
    assert!(
        !meets(Side::Buy, None, "0.48"),
        "an unknown side proves nothing"
    );
    assert!(meets(Side::Buy, None, "0.47"));
    assert!(!meets(Side::Buy, Some(Side::Sell), "0.49"), "above our bid");
    assert!(meets(Side::Sell, Some(Side::Buy), "0.48"));
    assert!(!meets(Side::Sell, Some(Side::Sell), "0.48"));
    assert!(meets(Side::Sell, None, "0.49"));
    assert!(!meets(Side::Sell, Some(Side::Buy), "0.47"));
}

#[test]
fn a_trade_through_our_price_shows_that_nobody_is_before_us() {
    let mut one = [rest(1, Side::Buy, "0.48", "50", "100")];
    let through = print(Some(Side::Sell), "0.47", "30", 1);
    assert_eq!(fills(&mut one, &through), [(1, "30".into())]);
    assert_eq!((one[0].queue_ahead, one[0].remaining), (sh("0"), sh("20")));
    // 0.476 is no price of the market: the mean of a walk, of which at least 100 must pass first.
    let mut one = [rest(1, Side::Buy, "0.48", "50", "100")];
    let mean = print(Some(Side::Sell), "0.476", "130", 1);
    assert_eq!(fills(&mut one, &mean), [(1, "30".into())]);
}

#[test]
fn the_volume_of_a_trade_is_given_out_once_in_order_of_price_and_time() {
    // B came later: 120 of others stood there then, and A's 10 beside them.
    let mut both = [
        rest(2, Side::Buy, "0.48", "20", "120"),
        rest(1, Side::Buy, "0.48", "10", "100"),
        rest(3, Side::Buy, "0.49", "5", "0"),
    ];
    prioritise(&mut both);
    assert_eq!(both.map(|order| order.id), [3, 1, 2]);
    // 150 sold down to 0.48: the 5 at 0.49; of 145 A gets 10 after 100; of 135 B gets 15 after 120.
    let sold = print(Some(Side::Sell), "0.48", "150", 1);
    let got = fills(&mut both, &sold);
    assert_eq!(got, [(3, "5".into()), (1, "10".into()), (2, "15".into())]);
    // The same trade again gives nothing to anybody who waited for it, not even to those left over.
    let mut again = both.map(|order| Waiting {
        since: order.accounted,
        ..order
    });
    assert_eq!(fills(&mut again, &sold), []);
}

#[test]
fn trades_before_it_came_or_after_its_end_are_not_its() {
    let mut early = [rest(1, Side::Buy, "0.48", "10", "0")];
    assert_eq!(
        fills(&mut early, &print(Some(Side::Sell), "0.48", "4", 0)),
        []
    );
    let mut ending = [Waiting {
        until: Some(after(5)),
        ..rest(1, Side::Buy, "0.48", "10", "0")
    }];
    let at_its_end = print(Some(Side::Sell), "0.48", "4", 5);
    assert_eq!(fills(&mut ending, &at_its_end), []);
    let just_before = print(Some(Side::Sell), "0.48", "4", 4);
    assert_eq!(fills(&mut ending, &just_before), [(1, "4".into())]);
}

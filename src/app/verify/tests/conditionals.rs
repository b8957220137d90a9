//! Conditional orders: what is said of them follows from orders, fills, marks and each other.

use super::*;
use crate::domain::ConditionalKind;
use crate::trading::desk::{AgentOrder, NewConditional};
use crate::trading::test_support::{conditional, wanted};

/// 20 shares for 10 pUSD, at a bid of 0.48.
fn buys(desk: &mut Desk, second: i64, order: &AgentOrder) {
    let bids: Levels<'_> = &[("0.48", "100")];
    desk.order(order, &scene(second, bids, &[("0.50", "20")]))
        .unwrap();
}

/// A stop at 0.45 on 20 shares. At a bid of 0.44 for 8 it sells 8 for 3.52 (order 2), at 0.43 the other
/// 12 for 5.16 (order 3).
fn stopped() -> Desk {
    let mut desk = desk();
    buys(&mut desk, 1, &wanted(Side::Buy, "10", "0.50"));
    desk.conditional(&conditional(ConditionalKind::StopLoss, "0.45"), after(2))
        .unwrap();
    desk.look(&scene(3, &[("0.44", "8")], &[("0.46", "50")]));
    desk.look(&scene(4, &[("0.43", "50")], &[("0.45", "50")]));
    // 100 − 10 + 3.52 + 5.16
    assert_eq!(desk.ledger.cash(), usd("98.68"));
    desk
}

#[test]
fn a_sale_is_what_its_orders_fills_come_to() {
    let events = stopped().events;
    each_is_named(
        &events,
        &[
            (
                "conditional_created",
                0,
                "conditional.shares",
                "21000000",
                "it covers 21 shares, 20 are held",
            ),
            (
                "order_accepted",
                1,
                "order.fired_by.bid",
                "460000",
                "a bid of 0.46 does not set off conditional order 1, a stop_loss at 0.45",
            ),
            (
                "order_accepted",
                2,
                "order.fired_by.bid",
                "440000",
                "a bid of 0.44, the best one was marked at 0.43",
            ),
            (
                "order_accepted",
                2,
                "order.shares",
                "11000000",
                "it is of 11 shares, conditional order 1 covers 12",
            ),
            (
                "order_accepted",
                2,
                "order.limit",
                "440000",
                "its limit 0.44 is above the bid of 0.43",
            ),
            (
                "order_accepted",
                2,
                "order.fired_by.conditional",
                "7",
                "conditional order 7 does not wait",
            ),
            (
                "conditional_reduced",
                0,
                "sale.sold",
                "9000000",
                "9 shares sold, order 2 has sold 8",
            ),
            (
                "conditional_reduced",
                0,
                "sale.proceeds",
                "3520001",
                "proceeds of 3.520001 pUSD, the fills of order 2 come to 3.52 pUSD",
            ),
            (
                "conditional_reduced",
                0,
                "sale.trigger",
                "440000",
                "a trigger of 0.44, conditional order 1 fires at 0.45",
            ),
            (
                "conditional_reduced",
                0,
                "sale.bid",
                "430000",
                "a bid of 0.43, order 2 was set off by 0.44",
            ),
            (
                "conditional_reduced",
                0,
                "shares",
                "13000000",
                "it goes on with 13 shares, 12 of order 2 are left",
            ),
            (
                "conditional_triggered",
                0,
                "sold",
                "24000000",
                "24 shares sold, order 3 has sold 12",
            ),
            (
                "conditional_triggered",
                0,
                "proceeds",
                "15480000",
                "proceeds of 15.48 pUSD, the fills of order 3 come to 5.16 pUSD",
            ),
            (
                "conditional_triggered",
                0,
                "proceeds",
                "NULL",
                "no proceeds, the fills of order 3 come to 5.16 pUSD",
            ),
            (
                "conditional_triggered",
                0,
                "bid",
                "900000",
                "a bid of 0.9 does not set off conditional order 1, a stop_loss at 0.45",
            ),
            (
                "conditional_triggered",
                0,
                "trigger",
                "460000",
                "a trigger of 0.46, conditional order 1 fires at 0.45",
            ),
        ],
    );
}

#[test]
fn rows_that_were_changed_with_the_event_hide_nothing() {
    let events = stopped().events;
    let seq = seq_of(&events, "conditional_triggered", 0);
    let sql = [
        set(seq, "sold", "24000000"),
        set(seq, "proceeds", "15480000"),
        set(seq, "bid", "900000"),
        // 8 + 24 shares, 3.52 + 15.48 pUSD.
        "UPDATE conditional_orders SET sold = 32, sold_micros = 32000000, proceeds = 19, \
         proceeds_micros = 19000000, triggered_bid = 0.9, triggered_bid_micros = 900000"
            .to_owned(),
    ];
    let audit = audited(&events, &sql.concat()).audit;
    let last = audit.findings.last().unwrap();
    assert_eq!(last.place, format!("event {seq}"));

    // Nor does another end: the shares were sold.
    let audit = audited(
        &events,
        &format!(
            "UPDATE events SET kind = 'conditional_cancelled', payload = \
             '{{\"kind\":\"conditional_cancelled\",\"id\":1,\"reason\":\"asked to\"}}' WHERE seq = {seq}"
        ),
    )
    .audit;
    let last = audit.findings.last().unwrap();
    assert_eq!(last.place, format!("event {seq}"));
    assert!(
        last.detail.contains("order 3 has sold 12 shares for it"),
        "{last:?}"
    );
    // Nor another kind of event: the next record of the account is the last that may come.
    let audit = audited(
        &events,
        &format!(
            "UPDATE events SET kind = 'bids_gone', payload = \
             '{{\"kind\":\"bids_gone\",\"tokens\":[]}}' WHERE seq = {seq}"
        ),
    )
    .audit;
    let last = audit.findings.last().unwrap();
    assert!(last.detail.contains("and nothing tells of it"), "{last:?}");
}

/// A stop 10 % below the highest bid, from 0.48: up with the bid to 0.52 and 0.55, so it fires at 0.495.
/// A doubt at 0.40 that ends at 0.50; at 0.49 it sells 20 for 9.80.
#[test]
fn a_watermark_rises_with_the_bid_and_the_trigger_with_it() {
    let mut desk = desk();
    buys(&mut desk, 1, &wanted(Side::Buy, "10", "0.50"));
    let trailing = NewConditional {
        trail_percent: Some(p("0.1")),
        bid: Some(p("0.48")),
        ..conditional(ConditionalKind::TrailingStop, "0.48")
    };
    desk.conditional(&trailing, after(2)).unwrap();
    for (second, bid, ask) in [
        (3, "0.52", "0.54"),
        (4, "0.55", "0.57"),
        (5, "0.40", "0.60"),
        (6, "0.50", "0.52"),
        (7, "0.49", "0.51"),
    ] {
        desk.look(&scene(second, &[(bid, "50")], &[(ask, "50")]));
    }
    // 100 − 10 + 9.80
    assert_eq!(desk.ledger.cash(), usd("99.8"));
    let events = desk.events;
    each_is_named(
        &events,
        &[
            (
                "conditional_created",
                0,
                "conditional.high_watermark",
                "470000",
                "the watermark of 0.47 is below its start of 0.48",
            ),
            (
                "watermark_raised",
                0,
                "watermark",
                "620000",
                "a bid of 0.62, the best one was marked at 0.52",
            ),
            (
                "watermark_raised",
                1,
                "watermark",
                "510000",
                "the watermark is raised to 0.51 from 0.52",
            ),
            (
                "watermark_raised",
                1,
                "watermark",
                "520000",
                "the watermark is raised to 0.52 from 0.52",
            ),
            (
                "conditional_doubted",
                0,
                "bid",
                "410000",
                "a bid of 0.41, the best one was marked at 0.4",
            ),
            (
                "conditional_doubted",
                0,
                "since",
                "1",
                "a doubt of 2026-03-02",
            ),
            ("conditional_doubted", 0, "bid", "NULL", "a doubt without"),
            ("conditional_doubted", 0, "ask", "390000", "is crossed"),
            (
                "conditional_doubted",
                1,
                "bid",
                "400000",
                "a bid of 0.4 still reaches the price of conditional order 1",
            ),
            (
                "conditional_triggered",
                0,
                "trigger",
                "500000",
                "a trigger of 0.5, conditional order 1 fires at 0.495",
            ),
        ],
    );
    // Lower than the bid was, but a rise: what it sets off tells. 0.53 × 0.9 = 0.477.
    let seq = seq_of(&events, "watermark_raised", 1);
    let audit = audited(&events, &set(seq, "watermark", "530000")).audit;
    let last = audit.findings.last().unwrap();
    let sale = seq_of(&events, "order_accepted", 1);
    assert_eq!(last.place, format!("event {sale}"));
    assert!(
        last.detail.contains("a bid of 0.49 does not set off"),
        "{last:?}"
    );
}

/// 5 shares are held; 20 more come with a stop and a profit, one cancels other. At a bid of 0.60 for 6
/// the profit sells 6: 14 are left to both, 19 are held.
#[test]
fn exits_cover_what_came_with_them_and_what_is_left() {
    let mut desk = desk();
    buys(&mut desk, 1, &wanted(Side::Buy, "2.5", "0.50"));
    let guarded = AgentOrder {
        stop_loss: Some(p("0.45")),
        take_profit: Some(p("0.60")),
        ..wanted(Side::Buy, "10", "0.50")
    };
    let fresh: Levels<'_> = &[("0.50", "30")];
    desk.order(&guarded, &scene(2, &[("0.48", "100")], fresh))
        .unwrap();
    desk.look(&scene(3, &[("0.60", "6")], &[("0.62", "50")]));
    let joined = NewConditional {
        oco_with: Some(1),
        ..conditional(ConditionalKind::StopLoss, "0.30")
    };
    desk.conditional(&joined, after(4)).unwrap();
    let covered: Vec<String> = desk
        .ledger
        .conditionals()
        .values()
        .map(|order| order.shares.to_string())
        .collect();
    assert_eq!(covered, ["14", "14", "14"]);
    assert_eq!(desk.held("m-yes"), sh("19"));
    each_is_named(
        &desk.events,
        &[
            (
                "conditional_created",
                0,
                "conditional.shares",
                "21000000",
                "it covers 21 shares, order 2 bought 20",
            ),
            (
                "conditional_created",
                0,
                "conditional.trigger_price",
                "440000",
                "order 2 names 0.45 for its stop_loss",
            ),
            (
                "conditional_created",
                1,
                "conditional.parent_strategy",
                "'another'",
                "nothing of its token was bought for another in its step",
            ),
            (
                "conditional_created",
                2,
                "conditional.shares",
                "15000000",
                "no order of group 1 covers 15 shares of its token",
            ),
            (
                "conditional_reduced",
                1,
                "shares",
                "13000000",
                "conditional order 1 is reduced to 13 shares, 19 are held",
            ),
            (
                "conditional_reduced",
                1,
                "shares",
                "20000000",
                "conditional order 1 is reduced to 20 shares from 20",
            ),
        ],
    );
}

#[test]
fn sales_whose_orders_name_nobody_are_counted_where_no_settings_are_recorded() {
    let events = stopped().events;
    let nameless = "UPDATE events SET payload = json_remove(payload, '$.order.fired_by') WHERE kind = \
         'order_accepted';";
    let audit = audited(&events, nameless).audit;
    let last = audit.findings.last().unwrap();
    let told = seq_of(&events, "conditional_reduced", 0);
    assert_eq!(last.place, format!("event {told}"));
    assert_eq!(
        last.detail,
        "no order has sold anything for conditional order 1"
    );
    // As 1.0 wrote: no settings, no such names.
    let old: Vec<StampedEvent> = events
        .into_iter()
        .filter(|stamped| !matches!(stamped.event, LedgerEvent::ConfigChanged { .. }))
        .zip(1_u64..)
        .map(|(stamped, seq)| StampedEvent { seq, ..stamped })
        .collect();
    let verified = audited(&old, nameless);
    assert_eq!(verified.audit.findings, []);
    assert_eq!(verified.unchecked_sales, 2);
    assert_eq!(audited(&old, "").unchecked_sales, 0);
}

//! Fills, used depth, marks, and baskets that were refused.

use super::*;
use crate::domain::Intent;
use crate::trading::desk::AgentOrder;
use crate::trading::test_support::{basket, book, market, says, wanted};

/// A bid for 20 at 0.40 rests; asks of 5 at 0.38 and 30 at 0.39 pass it: 5 and 15 of them are used. Then
/// 10 stand at 0.39 and none at 0.38. 2 pUSD buy 5 at 0.40 at last.
#[test]
fn makers_rest_and_the_levels_give_what_is_filled() {
    let mut desk = desk();
    let resting = AgentOrder {
        order_type: OrderType::Gtc,
        ..wanted(Side::Buy, "8", "0.40")
    };
    let bids: Levels<'_> = &[("0.37", "50")];
    desk.order(&resting, &scene(1, bids, &[("0.50", "50")]))
        .unwrap();
    desk.look(&scene(2, bids, &[("0.38", "5"), ("0.39", "30")]));
    desk.look(&scene(3, bids, &[("0.39", "10")]));
    desk.look(&scene(4, &[("0.36", "50")], &[("0.39", "10")]));
    let asks: Levels<'_> = &[("0.40", "10")];
    desk.order(&wanted(Side::Buy, "2", "0.40"), &scene(5, bids, asks))
        .unwrap();
    assert_eq!(desk.ledger.cash(), usd("90"));
    each_is_named(
        &desk.events,
        &[
            (
                "filled",
                0,
                "fill.maker",
                "json('false')",
                "a taker's fill of order 1, which rests",
            ),
            (
                "filled",
                0,
                "fill.price",
                "390000",
                "a maker's fill at 0.39 of order 1, which rests at 0.4",
            ),
            (
                "filled",
                1,
                "fill.maker",
                "json('true')",
                "a maker's fill of order 2, which is FAK",
            ),
            (
                "filled",
                1,
                "fill.print",
                "json('true')",
                "order 2 took it from the book, and a trade of others shows it",
            ),
            (
                "depth_used",
                0,
                "levels[1].shares",
                "16000000",
                "the levels gave 21 shares, the fill before it is of 20",
            ),
            (
                "depth_used",
                0,
                "levels[0].price",
                "400000",
                "the level 0.4 is not beyond the order's price of 0.4",
            ),
            (
                "depth_used",
                0,
                "levels[0].side",
                "'sell'",
                "the level 0.38 is not beyond",
            ),
            (
                "depth_used",
                1,
                "levels[1].shares",
                "15000000",
                "15 shares are used up of the level 0.39, 15 were before, and nothing filled",
            ),
            (
                "marked",
                0,
                "marks[0][0]",
                "'other'",
                "token other is marked and not held",
            ),
            (
                "marked",
                1,
                "marks[0][1]",
                "370000",
                "token m-yes was marked at 0.37 before",
            ),
        ],
    );
    // The price of a mark is the market's word: what is counted by it tells, and names the mark.
    let seq = seq_of(&desk.events, "marked", 0);
    let audit = audited(&desk.events, &set(seq, "marks[0][1]", "350000")).audit;
    let last = audit.findings.last().unwrap();
    assert_eq!(last.place, format!("event {}", seq + 1));
    assert!(
        last.detail
            .contains(&format!("(by the marks up to event {seq})")),
        "{last:?}"
    );
}

/// How much of a level was given back is the book's word: a state that was stored later tells, and
/// names the event.
#[test]
fn depth_that_was_given_back_is_held_against_the_stored_state() {
    let mut desk = desk();
    let resting = AgentOrder {
        order_type: OrderType::Gtc,
        ..wanted(Side::Buy, "8", "0.40")
    };
    let bids: Levels<'_> = &[("0.37", "50")];
    desk.order(&resting, &scene(1, bids, &[("0.50", "50")]))
        .unwrap();
    desk.look(&scene(2, bids, &[("0.38", "5"), ("0.39", "30")]));
    desk.look(&scene(3, bids, &[("0.39", "10")]));
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("ledger.db");
    let store = Store::open(&db).unwrap();
    store.append(&desk.events).unwrap();
    crate::app::rebuild::checkpoint(&desk.ledger, &store).unwrap();
    drop(store);
    assert_eq!(verify(&db).unwrap().audit.findings, []);
    let seq = seq_of(&desk.events, "depth_used", 1);
    let conn = Connection::open(&db).unwrap();
    conn.execute_batch(&set(seq, "levels[1].shares", "11000000"))
        .unwrap();
    let findings = verify(&db).unwrap().audit.findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(
        findings[0].detail,
        format!(
            "10 shares are used up of the level 0.39 of token m-yes, the events lead to 11 (its book \
             was told of last by event {seq})"
        )
    );
}

#[test]
fn a_taker_never_rests() {
    let mut desk = desk();
    let post_only = AgentOrder {
        order_type: OrderType::PostOnly,
        ..wanted(Side::Buy, "8", "0.40")
    };
    desk.order(&post_only, &scene(1, &[], &[("0.50", "50")]))
        .unwrap();
    desk.look(&scene(2, &[], &[("0.38", "50")]));
    each_is_named(
        &desk.events,
        &[(
            "filled",
            0,
            "fill.maker",
            "json('false')",
            "a taker's fill of order 1, which is POST_ONLY",
        )],
    );
}

/// Two legs of 20 at 0.45, of which the second makes 18 pUSD in all of the 17 that are allowed.
#[test]
fn a_refused_basket_is_one_refusal_and_every_signal_says_why() {
    let books = |id: &str| {
        vec![book(
            &format!("{id}-yes"),
            after(1),
            &[],
            &[("0.45", "100")],
        )]
    };
    let scene = Scene::new(after(1))
        .with(market("a"), books("a"))
        .with(market("b"), books("b"))
        .build();
    let legs = [("b-yes", "0.45", "100"), ("a-yes", "0.45", "50")];
    let mut desk = Desk::new("100").configured(|c| c.risk.max_total_exposure = usd("17"));
    let settings = desk.config.settings();
    desk.put(&Input::Configure { settings, at: NOON }, &[]);
    let intents = vec![Intent::Basket(basket("arb", &legs, "20"))];
    desk.tick(&scene, vec![says("arb", intents)]);

    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("ledger.db");
    let store = Store::open(&db).unwrap();
    store.append(&desk.events).unwrap();
    drop(store);
    let audit = verify(&db).unwrap().audit;
    assert_eq!(audit.findings, []);
    assert_eq!((audit.rows["refusals"], audit.rows["signal_log"]), (1, 2));
    let conn = Connection::open(&db).unwrap();
    let read = |sql: &str| -> Vec<(i64, String, String)> {
        let mut rows = conn.prepare(sql).unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let why = "max_total_exposure: 18 pUSD, allowed is at most 17 pUSD";
    let row = |id: i64, token: &str, why: &str| (id, token.to_owned(), why.to_owned());
    assert_eq!(
        read("SELECT signal_id, token_id, message FROM refusals"),
        [row(2, "b-yes", why)]
    );
    let other = format!("another leg of its basket was refused (yes of market b, signal 2): {why}");
    assert_eq!(
        read(
            "SELECT id, token_id, rejection FROM signal_log WHERE status = 'rejected' ORDER BY id"
        ),
        [row(1, "a-yes", &other), row(2, "b-yes", why)]
    );
}

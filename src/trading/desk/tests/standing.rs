//! What stands between ticks: resting orders under new limits, depth that stays taken, old marks.

use crate::domain::{ConditionalKind, Estimate, LedgerEvent, OrderOutcome, OrderType, Side};
use crate::trading::desk::{AgentOrder, store_estimate};
use crate::trading::test_support::{
    Account, Levels, NOON, Scene, after, book, conditional, market, p, quote, says, sh, usd, wanted,
};

const BIDS: Levels<'_> = &[("0.50", "1000")];
const ASKS: Levels<'_> = &[("0.55", "1000")];

/// How orders ended since event number `since`, with the reason.
fn endings(account: &Account, since: u64) -> Vec<(OrderOutcome, String)> {
    account.since(since, |event| match event {
        LedgerEvent::OrderClosed {
            outcome, reason, ..
        } => Some((*outcome, reason.clone())),
        _ => None,
    })
}

/// 40 shares bought at 0.50 and a bid for 10 more resting at 0.40, with at most 5 pUSD to lose.
fn with_a_resting_bid() -> Account {
    let mut account = Account::new("1000")
        .configured(|config| config.risk.max_daily_loss = usd("5"))
        .bought("20", "0.50", NOON);
    let calm = Scene::new(after(1)).yes(BIDS, ASKS).build();
    let bid = Some(("0.40", "10"));
    account.tick(
        &calm,
        vec![says("maker", vec![quote("maker", "m", bid, None)])],
    );
    assert_eq!(account.ledger.resting().len(), 1);
    account
}

#[test]
fn a_resting_buy_is_withdrawn_once_the_day_has_lost_too_much() {
    let mut account = with_a_resting_bid();
    let since = account.ledger.seq();
    // The bid falls to 0.42: 40 × (0.50 − 0.42) = 3.2 lost, the order stays with its quote.
    let falling = Scene::new(after(2)).yes(&[("0.42", "9")], ASKS).build();
    let bid = Some(("0.40", "10"));
    account.tick(
        &falling,
        vec![says("maker", vec![quote("maker", "m", bid, None)])],
    );
    assert!(endings(&account, since).is_empty());
    // To 0.37: 5.2 lost, which is above 5; nothing traded through 0.40 (asks from 0.41).
    let fallen = Scene::new(after(3))
        .yes(&[("0.37", "9")], &[("0.41", "9")])
        .build();
    account.look(&fallen);
    let ended = endings(&account, since);
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].0, OrderOutcome::Cancelled);
    assert!(
        ended[0]
            .1
            .contains("max_daily_loss: 5.2 pUSD lost since midnight UTC, allowed is below 5 pUSD"),
        "{ended:?}"
    );
    assert_eq!(account.held("m-yes"), sh("40"));
}

#[test]
fn what_traded_through_before_the_desk_looked_has_filled() {
    let mut account = with_a_resting_bid();
    let since = account.ledger.seq();
    // In one leap through 0.40 to asks at 0.38: an exchange would not have waited for us.
    let fallen = Scene::new(after(3))
        .yes(&[("0.35", "9")], &[("0.38", "99")])
        .build();
    account.look(&fallen);
    assert_eq!(
        endings(&account, since),
        [(OrderOutcome::Filled, "traded through".to_owned())]
    );
    assert_eq!(account.held("m-yes"), sh("50"));
}

#[test]
fn depth_stays_taken_for_as_long_as_its_level_stands() {
    let mut account = Account::new("1000");
    let served = |seen: i64, changed: i64, offered: &str| {
        let book = book("m-yes", after(seen), &[("0.30", "9")], &[("0.33", offered)]);
        Scene::new(after(seen))
            .with(market("m"), vec![book.with_changed_at(after(changed))])
            .build()
    };
    let buy = wanted(Side::Buy, "9.9", "0.33");
    // 30 wanted, 20 offered.
    assert_eq!(
        account
            .order(&buy, &served(10, 0, "20"))
            .unwrap()
            .filled_shares,
        20.0
    );
    // Fetched again, unchanged since before we took it: nothing is left of it.
    assert_eq!(
        account
            .order(&buy, &served(20, 0, "20"))
            .unwrap()
            .filled_shares,
        0.0
    );
    // Something else of the book has changed since: the same 20 stand there.
    assert_eq!(
        account
            .order(&buy, &served(30, 25, "20"))
            .unwrap()
            .filled_shares,
        0.0
    );
    // 7 of them have gone, and 4 came.
    account.look(&served(40, 35, "13"));
    assert_eq!(
        account
            .order(&buy, &served(50, 45, "17"))
            .unwrap()
            .filled_shares,
        4.0
    );
    // Gone altogether; whatever comes then is new.
    account.look(
        &Scene::new(after(60))
            .with(market("m"), vec![book("m-yes", after(60), &[], &[])])
            .build(),
    );
    assert_eq!(
        account
            .order(&buy, &served(70, 65, "20"))
            .unwrap()
            .filled_shares,
        20.0
    );
}

/// Fills of a resting order are not repeated by the shares that gave them, whatever else of the book
/// changes (found in review: they were given again with every refresh, without fee).
#[test]
fn a_resting_order_is_filled_once_by_each_share_that_passes_it() {
    let mut account = Account::new("1000");
    let scene = |at: i64, bid: &str, asks: &[(&str, &str)]| {
        Scene::new(after(at))
            .with(
                market("m"),
                vec![book("m-yes", after(at), &[(bid, "9")], asks)],
            )
            .build()
    };
    let held = |account: &Account| account.held("m-yes").to_string();
    // 30 bid at 0.33 when 0.35 is asked; 10 come to 0.31 and 5 to 0.32, in front of them.
    let bid = || {
        vec![says(
            "maker",
            vec![quote("maker", "m", Some(("0.33", "30")), None)],
        )]
    };
    account.tick(&scene(0, "0.30", &[("0.35", "50")]), bid());
    let through = [("0.31", "10"), ("0.32", "5"), ("0.35", "50")];
    account.tick(&scene(10, "0.30", &through), bid());
    assert_eq!(held(&account), "15");
    // They still stand there when a bid moves: twice nothing.
    account.tick(&scene(20, "0.29", &through), bid());
    account.tick(&scene(30, "0.28", &through), bid());
    assert_eq!(held(&account), "15");
    // 2 more join those at 0.32.
    account.tick(&scene(40, "0.28", &[("0.31", "10"), ("0.32", "7")]), bid());
    assert_eq!(held(&account), "17");
}

/// A buy that takes what it can and rests with what is left is not filled by the same shares again.
#[test]
fn what_an_order_took_on_its_way_does_not_pass_it() {
    let mut account = Account::new("1000");
    let served = |at: i64| {
        let asks = [("0.31", "10"), ("0.33", "5"), ("0.40", "50")];
        let book = book("m-yes", after(at), &[("0.30", "9")], &asks);
        Scene::new(after(at)).with(market("m"), vec![book]).build()
    };
    let order = AgentOrder {
        order_type: OrderType::Gtc,
        ..wanted(Side::Buy, "9.9", "0.33")
    };
    let report = account.order(&order, &served(0)).unwrap();
    assert_eq!(report.filled_shares, 15.0);
    assert_eq!(account.ledger.resting().len(), 1);
    account.look(&served(10));
    account.books(&served(20));
    assert_eq!(account.held("m-yes").to_string(), "15");
}

#[test]
fn a_bid_that_is_gone_leaves_the_mark_and_says_so() {
    let mut account = Account::new("1000").bought("20", "0.50", NOON);
    account.look(&Scene::new(after(1)).yes(&[("0.48", "9")], ASKS).build());
    let marked = account.ledger.equity();
    // 980 + 40 × 0.48
    assert_eq!((marked.total, marked.complete), (usd("999.2"), true));
    account.look(&Scene::new(after(2)).yes(&[], ASKS).build());
    let alone = account.ledger.equity();
    assert_eq!((alone.total, alone.complete), (usd("999.2"), false));
    account.look(&Scene::new(after(3)).yes(&[("0.48", "9")], ASKS).build());
    assert!(account.ledger.equity().complete, "the same bid is back");
}

#[test]
fn more_conditional_orders_than_anybody_needs_are_refused() {
    let mut account = Account::new("1000").bought("20", "0.50", NOON);
    let stop = conditional(ConditionalKind::StopLoss, "0.10");
    for _ in 0..20 {
        account.conditional(&stop, after(1)).unwrap();
    }
    let refusal = account.conditional(&stop, after(1)).unwrap_err();
    assert_eq!(refusal.code, "too_many_orders");
    assert!(refusal.hint.contains("cancel_conditional_order"));
    assert_eq!(account.ledger.conditionals().len(), 20);
}

#[test]
fn more_authors_than_a_market_needs_are_refused_until_their_estimates_expire() {
    let mut account = Account::new("1000");
    let estimate = |author: &str, now: i64| Estimate {
        market_id: "m".into(),
        token_id: "m-yes".into(),
        outcome: "Yes".into(),
        probability: 0.6,
        confidence: None,
        author: author.to_owned(),
        rationale: String::new(),
        ask_then: Some(p("0.55")),
        bid_then: None,
        created_at: after(now),
        expires_at: after(now + 100),
    };
    for number in 0..20 {
        let given = estimate(&format!("author {number}"), 0);
        store_estimate(&mut account.ledger, given, after(0))
            .unwrap()
            .0
            .unwrap();
    }
    let one_more = store_estimate(&mut account.ledger, estimate("another", 1), after(1)).unwrap();
    assert_eq!(one_more.0.unwrap_err().code, "too_many_estimates");
    // An author's own is replaced, and expired ones make room and are forgotten.
    let again = store_estimate(&mut account.ledger, estimate("author 3", 2), after(2)).unwrap();
    again.0.unwrap();
    let later = store_estimate(&mut account.ledger, estimate("another", 101), after(101)).unwrap();
    later.0.unwrap();
    let kept: Vec<&str> = account
        .ledger
        .estimates()
        .values()
        .flatten()
        .map(|e| &*e.author)
        .collect();
    assert_eq!(kept, ["author 3", "another"]);
}

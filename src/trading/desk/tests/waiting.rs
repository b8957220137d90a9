//! Orders of agents that rest: placed, queued, printed, expired, withdrawn.

use crate::domain::{BookFeed, LedgerEvent, OrderOutcome, OrderType, Side, Snapshot};
use crate::trading::desk::{AgentOrder, CancelScope, Input, Output, preview_order};
use crate::trading::test_support::{
    Account, Levels, NOON, Scene, after, book, charging, market, p, quote, says, sh, usd, wanted,
};

const BIDS: Levels<'_> = &[("0.48", "100"), ("0.45", "10")];
const ASKS: Levels<'_> = &[("0.55", "1000")];

fn calm(at: i64) -> Scene {
    Scene::new(after(at)).yes(BIDS, ASKS)
}

fn gtc(side: Side, size: &str, limit: &str) -> AgentOrder {
    AgentOrder {
        order_type: OrderType::Gtc,
        ..wanted(side, size, limit)
    }
}

/// 50 shares at 0.48 behind 100 of others.
fn queued() -> Account {
    let mut account = Account::new("1000");
    let report = account
        .order(&gtc(Side::Buy, "24", "0.48"), &calm(0).build())
        .unwrap();
    assert_eq!(report.status, "resting");
    assert_eq!(
        (report.resting_shares, report.queue_ahead),
        (50.0, Some(100.0))
    );
    account
}

fn place(account: &Account) -> (String, String) {
    let resting = account.ledger.resting().values().next().unwrap();
    (
        resting.queue_ahead.to_string(),
        resting.remaining.to_string(),
    )
}

fn is(queue: &str, remaining: &str) -> (String, String) {
    (queue.to_owned(), remaining.to_owned())
}

fn ends(account: &Account) -> Vec<(OrderOutcome, String)> {
    account.since(0, |event| match event {
        LedgerEvent::OrderClosed {
            outcome, reason, ..
        } => Some((*outcome, reason.clone())),
        _ => None,
    })
}

#[test]
fn a_gtc_order_takes_what_it_can_with_fee_and_rests_the_rest() {
    let mut account = Account::new("1000");
    let asks = [("0.50", "10"), ("0.51", "5")];
    let fresh = book("m-yes", NOON, BIDS, &asks);
    let scene = Scene::new(NOON)
        .with(charging(market("m"), "0.05"), vec![fresh])
        .build();
    let report = account
        .order(&gtc(Side::Buy, "15", "0.50"), &scene)
        .unwrap();
    // 15 / 0.50 = 30 shares: 10 at 0.50, fee 10 × 0.05 × 0.25 = 0.125; 20 rest, nobody before them.
    assert_eq!(
        (report.status.as_str(), report.filled_shares),
        ("resting", 10.0)
    );
    assert_eq!(
        (report.resting_shares, report.queue_ahead),
        (20.0, Some(0.0))
    );
    assert_eq!(account.ledger.cash(), usd("994.875"));
    assert_eq!(account.ledger.available_cash(), usd("984.875"));
    assert_eq!(account.verdicts(0), [(1, "executed".to_owned())]);
}

#[test]
fn trades_at_its_price_pass_the_queue_and_then_fill_it_as_a_maker() {
    let mut account = queued();
    let sold = |at: i64, shares: &str| {
        Scene::new(after(at))
            .yes(&[("0.48", "500")], ASKS)
            .print(Some(Side::Sell), "0.48", shares, after(at - 1))
            .build()
    };
    account.look(&sold(10, "60"));
    assert_eq!(place(&account), is("40", "50"));
    // The same trade told again counts nothing.
    let again = Scene::new(after(11))
        .yes(&[("0.48", "500")], ASKS)
        .print(Some(Side::Sell), "0.48", "60", after(9))
        .build();
    account.look(&again);
    assert_eq!(place(&account), is("40", "50"));
    let report = account.look(&sold(20, "55"));
    // 40 to those before, 15 to us: 15 × 0.48 = 7.2, no fee.
    assert_eq!(place(&account), is("0", "35"));
    assert_eq!(account.ledger.cash(), usd("992.8"));
    assert_eq!(report.orders[0].status, "partially_filled");
    account.books(&sold(30, "35"));
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("50"), usd("976"))
    );
    let printed = account.since(0, |event| match event {
        LedgerEvent::Filled { fill } => Some((fill.print, fill.maker, fill.fee.micros())),
        _ => None,
    });
    assert_eq!(printed, [(true, true, 0), (true, true, 0)]);
    assert_eq!(ends(&account)[0].0, OrderOutcome::Filled);
}

#[test]
fn a_fresh_book_shortens_the_queue_and_counts_for_the_trades_before_it() {
    let mut account = queued();
    // 30 left are all that can stand before us; which of the 70 traded and which left does not matter.
    account.look(&Scene::new(after(10)).yes(&[("0.48", "30")], ASKS).build());
    assert_eq!(place(&account), is("30", "50"));
    // A trade of before that book, told late, is not counted a second time.
    let late = Scene::new(after(20))
        .yes(&[("0.48", "30")], ASKS)
        .print(Some(Side::Sell), "0.48", "70", after(9))
        .build();
    account.look(&late);
    assert_eq!(place(&account), is("30", "50"));
    // A trade and a book that shows it, in one look: once.
    let both = Scene::new(after(30))
        .yes(&[("0.48", "10")], ASKS)
        .print(Some(Side::Sell), "0.48", "20", after(29))
        .build();
    account.look(&both);
    assert_eq!(place(&account), is("10", "50"));
    // More standing there has come after us.
    account.look(&Scene::new(after(40)).yes(&[("0.48", "900")], ASKS).build());
    assert_eq!(place(&account), is("10", "50"));
}

#[test]
fn nothing_moves_on_a_broken_crossed_or_stale_book() {
    type At = fn(i64) -> Snapshot;
    let odd: [(&str, At); 3] = [
        ("broken", |at| {
            let seen = book("m-yes", after(at), &[("0.40", "1")], &[("0.46", "99")]);
            Scene::new(after(at))
                .with(market("m"), vec![seen.with_feed(BookFeed::Broken)])
                .print(Some(Side::Sell), "0.47", "500", after(at - 1))
                .build()
        }),
        ("crossed", |at| {
            Scene::new(after(at))
                .yes(&[("0.47", "1")], &[("0.46", "99")])
                .print(Some(Side::Sell), "0.47", "500", after(at - 1))
                .build()
        }),
        ("stale", |at| {
            let seen = book("m-yes", after(at - 31), &[("0.40", "1")], &[("0.46", "99")]);
            Scene::new(after(at))
                .with(market("m"), vec![seen])
                .print(Some(Side::Sell), "0.47", "500", after(at - 1))
                .build()
        }),
    ];
    for (why, scene) in odd {
        let mut account = queued();
        account.look(&scene(100));
        account.books(&scene(101));
        assert_eq!(place(&account), is("100", "50"), "{why}");
    }
}

#[test]
fn a_gtd_order_expires_and_only_what_came_before_its_end_fills_it() {
    let gtd = |seconds| AgentOrder {
        order_type: OrderType::Gtd,
        expires_at: Some(after(seconds)),
        ..gtc(Side::Buy, "24", "0.48")
    };
    let mut account = Account::new("1000");
    let refused = account.order(&gtd(119), &calm(0).build()).unwrap_err();
    assert_eq!(refused.code, "expires_at");
    assert!(refused.hint.contains("2026-03-02T12:02:00Z"), "{refused:?}");
    let report = account.order(&gtd(120), &calm(0).build()).unwrap();
    assert_eq!(report.expires_at.as_deref(), Some("2026-03-02T12:02:00Z"));
    account.books(&calm(119).build());
    assert_eq!(account.ledger.resting().len(), 1);
    // Through its price 10 s before its end and 1 s after it; the book shows it passed later still.
    let scene = Scene::new(after(125))
        .yes(&[("0.40", "9")], &[("0.46", "500")])
        .print(Some(Side::Sell), "0.47", "20", after(110))
        .print(Some(Side::Sell), "0.47", "20", after(121))
        .build();
    account.books(&scene);
    assert_eq!(account.held("m-yes"), sh("20"));
    assert_eq!(
        ends(&account),
        [(
            OrderOutcome::Expired,
            "expired at 2026-03-02T12:02:00Z".to_owned()
        )]
    );
    assert_eq!(account.ledger.available_cash(), account.ledger.cash());
}

#[test]
fn it_ends_with_its_market_between_ticks_too() {
    let mut account = queued();
    account.books(&calm(5).resolved("m", "1").build());
    assert_eq!(ends(&account)[0].0, OrderOutcome::Cancelled);
    let mut account = queued();
    let mut paused = market("m");
    paused.status = crate::domain::MarketStatus::Paused;
    let seen = book("m-yes", after(5), BIDS, ASKS);
    account.books(&Scene::new(after(5)).with(paused, vec![seen]).build());
    assert_eq!(
        ends(&account),
        [(
            OrderOutcome::Cancelled,
            "the market no longer accepts orders".to_owned()
        )]
    );
}

#[test]
fn the_venues_rules_for_resting_orders_are_checked_and_name_what_is_legal() {
    let mut account = Account::new("1000");
    let mut code = |order: AgentOrder| {
        let refusal = account.order(&order, &calm(0).build()).unwrap_err();
        (refusal.code, refusal.hint)
    };
    // 2.35 / 0.48 = 4.89 shares; 5 cost 2.4.
    let (min, hint) = code(gtc(Side::Buy, "2.35", "0.48"));
    assert_eq!(min, "min_size");
    assert!(hint.contains("at least 5 shares (2.4 pUSD"), "{hint}");
    let post = AgentOrder {
        order_type: OrderType::PostOnly,
        ..wanted(Side::Buy, "24", "0.55")
    };
    let (crosses, hint) = code(post);
    assert_eq!(crosses, "post_only_crosses");
    assert!(hint.contains("0.54"), "{hint}");
    assert_eq!(code(gtc(Side::Buy, "24", "0.485")).0, "tick_size");
    assert_eq!(code(gtc(Side::Sell, "24", "0.60")).0, "shares_held");
    let gtd = AgentOrder {
        order_type: OrderType::Gtd,
        ..wanted(Side::Buy, "24", "0.48")
    };
    assert_eq!(code(gtd).0, "expires_at");
    let fak = AgentOrder {
        expires_at: Some(after(500)),
        ..wanted(Side::Buy, "24", "0.48")
    };
    assert_eq!(code(fak).0, "expires_at");
    // 5 shares at 0.10 are 0.5 pUSD: they may rest, but not take.
    let cheap = |asks| Scene::new(NOON).yes(&[("0.05", "9")], asks).build();
    let small = gtc(Side::Buy, "0.5", "0.10");
    let taking = account.order(&small, &cheap(&[("0.10", "9")])).unwrap_err();
    assert_eq!(taking.code, "min_notional");
    let rests = account.order(&small, &cheap(&[("0.11", "9")])).unwrap();
    assert_eq!(rests.status, "resting");
    let over = |account: &mut Account| {
        account.config.risk.max_open_orders = 1;
        account.order(&gtc(Side::Buy, "24", "0.48"), &calm(0).build())
    };
    assert_eq!(over(&mut account).unwrap_err().code, "max_open_orders");
}

#[test]
fn a_preview_says_what_would_fill_and_what_would_rest_behind_whom() {
    let account = Account::new("1000");
    let scene = Scene::new(NOON)
        .yes(&[("0.48", "100")], &[("0.50", "10")])
        .build();
    let look = |limit: &str, size: &str| {
        let order = gtc(Side::Buy, size, limit);
        preview_order(&account.ledger, &order, &scene, &account.config)
            .unwrap()
            .unwrap()
    };
    let both = look("0.50", "15");
    assert_eq!(
        (both.report.filled_shares, both.report.resting_shares),
        (10.0, 20.0)
    );
    assert_eq!(both.report.status, "resting");
    // 10 × 0.50 bought and 20 × 0.50 waiting.
    assert_eq!((both.market_exposure, both.cash), (usd("15"), usd("995")));
    let behind = look("0.48", "24");
    assert_eq!(
        (behind.report.resting_shares, behind.report.queue_ahead),
        (50.0, Some(100.0))
    );
}

#[test]
fn a_client_order_id_names_a_resting_order_once() {
    let mut account = Account::new("1000");
    let named = AgentOrder {
        client_order_id: Some("mine".to_owned()),
        ..gtc(Side::Buy, "24", "0.48")
    };
    let first = account.order(&named, &calm(0).build()).unwrap();
    let again = account.order(&named, &calm(1).build()).unwrap();
    assert_eq!(
        (again.order_id, again.status.as_str()),
        (first.order_id, "resting")
    );
    assert_eq!(account.ledger.resting().len(), 1);
    let cancel = Input::Cancel {
        scope: CancelScope::Client("mine".to_owned()),
        by: "agent".to_owned(),
        at: after(2),
    };
    assert!(matches!(account.command(&cancel), Output::Cancelled(Ok(ids)) if ids == [1]));
    let after_all = account.order(&named, &calm(3).build()).unwrap();
    assert_eq!(after_all.status, "cancelled");
    assert!(matches!(
        account.command(&cancel),
        Output::Cancelled(Err(_))
    ));
}

#[test]
fn quotes_of_strategies_come_and_go_beside_it() {
    let mut account = queued();
    let maker = says(
        "maker",
        vec![quote("maker", "m", Some(("0.47", "10")), None)],
    );
    account.tick(&calm(1).build(), vec![maker]);
    assert_eq!(account.ledger.resting().len(), 2);
    account.look(&calm(2).build());
    let left: Vec<u64> = account.ledger.resting().keys().copied().collect();
    assert_eq!(
        left,
        [1],
        "the quote is withdrawn, the agent's order is not"
    );
}

#[test]
fn its_own_exits_are_attached_when_it_fills() {
    let mut account = Account::new("1000");
    let guarded = AgentOrder {
        stop_loss: Some(p("0.40")),
        ..gtc(Side::Buy, "24", "0.48")
    };
    account.order(&guarded, &calm(0).build()).unwrap();
    assert!(account.ledger.conditionals().is_empty());
    let through = Scene::new(after(9))
        .yes(&[("0.45", "9")], &[("0.47", "500")])
        .build();
    account.look(&through);
    assert_eq!(account.held("m-yes"), sh("50"));
    let stop = account.ledger.conditionals().values().next().unwrap();
    assert_eq!((stop.trigger_price, stop.shares), (p("0.40"), sh("50")));
}

#[test]
fn fault_1_a_price_that_nobody_offers_buys_nothing() {
    let mut account = Account::new("1000");
    let order = wanted(Side::Buy, "5", "0.01");
    let scene = Scene::new(NOON)
        .yes(&[("0.49", "9")], &[("0.50", "1000")])
        .build();
    assert_eq!(account.order(&order, &scene).unwrap().status, "unfilled");
    // Nor does a size that is not there: 200 pUSD at 0.50, of which 20 shares are offered.
    account.config.risk.max_position_size = usd("1000");
    let thin = Scene::new(after(1)).yes(&[], &[("0.50", "20")]).build();
    let report = account
        .order(&wanted(Side::Buy, "200", "0.50"), &thin)
        .unwrap();
    assert_eq!((report.filled_shares, report.notional), (20.0, 10.0));
}

#[test]
fn fault_2_every_taking_fill_pays_the_markets_fee() {
    let mut account = Account::new("1000");
    let seen = book("m-yes", NOON, &[], &[("0.31", "10.5")]);
    let scene = Scene::new(NOON)
        .with(charging(market("m"), "0.05"), vec![seen])
        .build();
    account
        .order(&wanted(Side::Buy, "3.255", "0.31"), &scene)
        .unwrap();
    // 10.5 × 0.05 × 0.31 × 0.69 = 0.1122975, floored.
    assert_eq!(account.ledger.fees(), usd("0.11229"));
    assert_eq!(account.ledger.cash(), usd("996.63271"));
}

#[test]
fn fault_12_money_is_exact_and_ticks_lots_and_minimums_are_kept() {
    let mut account = Account::new("1000");
    let mut code = |size: &str, limit: &str| {
        account
            .order(&wanted(Side::Buy, size, limit), &calm(0).build())
            .unwrap_err()
            .code
    };
    assert_eq!(code("24", "0.4805"), "tick_size");
    assert_eq!(code("0.99", "0.48"), "min_notional");
    assert_eq!(code("0.004", "0.48"), "size");
    // 10 / 0.55 = 18.1818… shares: 18.18 whole lots, 9.999 pUSD.
    let report = account
        .order(&wanted(Side::Buy, "10", "0.55"), &calm(0).build())
        .unwrap();
    assert_eq!(report.filled_shares, 18.18);
    assert_eq!(account.ledger.cash(), usd("990.001"));
}

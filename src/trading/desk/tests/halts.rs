//! Halts: what sets them off, what they let through, what lifts them. Each step is audited, which
//! replays all events: a halt that a restart lost would fail there.

use crate::domain::{ConditionalKind, HaltCause, Intent, LedgerEvent, Shares, Side, Snapshot};
use crate::trading::desk::{Input, Output};
use crate::trading::ledger::Ledger;
use crate::trading::risk::Refusal;
use crate::trading::test_support::{
    Account, Levels, NOON, Scene, after, conditional, p, quote, says, sh, signal, usd, wanted,
};

const MIDNIGHT: i64 = 43_200;

fn scene(now: i64, bids: Levels<'_>, asks: Levels<'_>) -> Snapshot {
    Scene::new(after(now)).yes(bids, asks).build()
}

/// Bid `bid`, ask 0.55.
fn bid_at(now: i64, bid: &str) -> Snapshot {
    scene(now, &[(bid, "10000")], &[("0.55", "10000")])
}

fn halt(account: &mut Account, now: i64) -> Vec<u64> {
    let input = Input::Halt {
        by: "shell".to_owned(),
        reason: "enough".to_owned(),
        at: after(now),
    };
    match account.put(&input, &[]) {
        Output::Cancelled(withdrawn) => withdrawn.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn resume(account: &mut Account, now: i64) -> Result<(), Refusal> {
    let input = Input::Resume {
        by: "shell".to_owned(),
        reason: "seen to".to_owned(),
        at: after(now),
    };
    match account.put(&input, &[]) {
        Output::Accepted(verdict) => verdict,
        other => panic!("{other:?}"),
    }
}

fn cause(account: &Account) -> Option<HaltCause> {
    account.ledger.halt().map(|halt| halt.cause)
}

/// Halts and resumptions since event number `since`, in words.
fn story(account: &Account, since: u64) -> Vec<String> {
    account.since(since, |event| match event {
        LedgerEvent::Halted { cause, by, reason } => {
            Some(format!("{} by {by}: {reason}", cause.as_str()))
        }
        LedgerEvent::Resumed { by, reason } => Some(format!("resumed by {by}: {reason}")),
        _ => None,
    })
}

/// 200 shares bought at 0.50, a bid of the maker's for 10 more at 0.40 and an ask for 20 at 0.60.
fn with_quotes() -> Account {
    let mut account = Account::new("1000").bought("100", "0.50", NOON);
    let both = quote("maker", "m", Some(("0.40", "10")), Some(("0.60", "20")));
    account.tick(&bid_at(1, "0.50"), vec![says("maker", vec![both])]);
    assert_eq!(account.ledger.resting().len(), 2);
    account
}

#[test]
fn the_kill_switch_lets_only_cancels_and_reductions_through_until_a_person_resumes() {
    let mut account = with_quotes();
    assert_eq!(
        halt(&mut account, 2).len(),
        2,
        "all that rests is withdrawn"
    );
    let refusal = account
        .order(&wanted(Side::Buy, "5", "0.55"), &bid_at(3, "0.50"))
        .unwrap_err();
    assert_eq!(refusal.code, "halted");
    assert_eq!(
        refusal.message,
        "trading is halted since 2026-03-02T12:00:02Z by shell (kill_switch): enough"
    );
    assert!(refusal.hint.contains("polymarket-agent resume"));
    // Strategies: no purchase, no bid; an ask of what is held rests.
    let buy = Intent::Directional(signal("one", "Yes", Side::Buy, "0.55", "5"));
    let both = quote("maker", "m", Some(("0.40", "10")), Some(("0.60", "20")));
    let strategies = || {
        vec![
            says("one", vec![buy.clone()]),
            says("maker", vec![both.clone()]),
        ]
    };
    let report = account.tick(&bid_at(4, "0.50"), strategies());
    assert_eq!(report.strategies[0].not_traded["halted"], 1);
    assert_eq!(report.strategies[1].not_traded["halted"], 1);
    let sides: Vec<Side> = account
        .ledger
        .resting()
        .values()
        .map(|resting| resting.order.side)
        .collect();
    assert_eq!(sides, [Side::Sell]);
    // A sale by hand, and a stop that fires.
    account
        .order(&wanted(Side::Sell, "5", "0.50"), &bid_at(5, "0.50"))
        .unwrap();
    account
        .conditional(&conditional(ConditionalKind::StopLoss, "0.45"), after(6))
        .unwrap();
    account.look(&scene(7, &[("0.44", "10000")], &[("0.46", "10000")]));
    assert_eq!(account.held("m-yes"), Shares::ZERO);
    // A day later it still stands.
    account.look(&bid_at(MIDNIGHT + 1, "0.50"));
    assert_eq!(cause(&account), Some(HaltCause::KillSwitch));
    resume(&mut account, MIDNIGHT + 2).unwrap();
    account
        .order(
            &wanted(Side::Buy, "5", "0.55"),
            &bid_at(MIDNIGHT + 3, "0.50"),
        )
        .unwrap();
}

#[test]
fn the_kill_switch_is_pulled_once_and_lifted_once() {
    let mut account = Account::new("100");
    assert_eq!(resume(&mut account, 0).unwrap_err().code, "not_halted");
    halt(&mut account, 1);
    let again = account.put(
        &Input::Halt {
            by: "agent".to_owned(),
            reason: "again".to_owned(),
            at: after(2),
        },
        &[],
    );
    let Output::Cancelled(Err(refusal)) = again else {
        panic!("{again:?}");
    };
    assert_eq!(refusal.code, "halted");
    resume(&mut account, 3).unwrap();
    assert_eq!(resume(&mut account, 4).unwrap_err().code, "not_halted");
}

#[test]
fn the_days_loss_halts_withdraws_bids_and_ends_at_midnight() {
    let mut account = with_quotes();
    account.config.risk.max_daily_loss = usd("20");
    let since = account.ledger.seq();
    // 200 shares from 0.50 to 0.41: 18 lost; to 0.40: 20 lost. Nothing is offered below 0.55.
    account.put(&Input::Books(bid_at(10, "0.41")), &[]);
    assert_eq!(cause(&account), None);
    account.put(&Input::Books(bid_at(11, "0.40")), &[]);
    let said = "daily_loss by desk: max_daily_loss: 20 pUSD lost since midnight UTC, allowed is \
                below 20 pUSD";
    assert_eq!(story(&account, since), [said]);
    let sides: Vec<Side> = account
        .ledger
        .resting()
        .values()
        .map(|resting| resting.order.side)
        .collect();
    assert_eq!(sides, [Side::Sell], "the bid is withdrawn, the ask stays");
    // The market recovers; the halt stays, and is not recorded again.
    account.look(&bid_at(12, "0.50"));
    let refusal = account
        .order(&wanted(Side::Buy, "5", "0.55"), &bid_at(13, "0.50"))
        .unwrap_err();
    assert_eq!(refusal.code, "halted");
    assert!(
        refusal.message.contains("max_daily_loss: 20 pUSD lost"),
        "{refusal}"
    );
    assert!(refusal.hint.contains("midnight UTC"), "{refusal:?}");
    account.look(&bid_at(MIDNIGHT - 1, "0.50"));
    assert_eq!(story(&account, since), [said]);
    account.look(&bid_at(MIDNIGHT, "0.50"));
    assert_eq!(
        story(&account, since)[1..],
        ["resumed by desk: a new UTC day began"]
    );
    account
        .order(
            &wanted(Side::Buy, "5", "0.55"),
            &bid_at(MIDNIGHT + 1, "0.50"),
        )
        .unwrap();
}

#[test]
fn a_person_lifts_the_days_halt_only_when_it_would_not_come_again() {
    let mut account = Account::new("1000").bought("100", "0.50", NOON);
    account.config.risk.max_daily_loss = usd("20");
    account.look(&bid_at(1, "0.39"));
    assert_eq!(cause(&account), Some(HaltCause::DailyLoss));
    let refusal = resume(&mut account, 2).unwrap_err();
    assert_eq!(refusal.code, "halted");
    assert!(refusal.hint.contains("risk.max_daily_loss"), "{refusal:?}");
    // 22 lost; with a limit of 30 it goes on, and the next look does not halt again.
    account.config.risk.max_daily_loss = usd("30");
    resume(&mut account, 3).unwrap();
    account.look(&bid_at(4, "0.39"));
    assert_eq!(cause(&account), None);
}

#[test]
fn a_drawdown_halts_until_a_person_resumes_and_is_counted_anew_then() {
    let mut account = Account::new("1000").bought("100", "0.50", NOON);
    account.config.risk.max_drawdown_pct = p("0.10");
    account.config.risk.max_daily_loss = usd("1000");
    // 200 shares at 0.75: 900 + 150 = 1,050, the peak. 10 % below it is 945: 200 × 0.225.
    account.look(&bid_at(1, "0.54"));
    let dear = |now, bid| scene(now, &[(bid, "10000")], &[("0.76", "1000")]);
    account.look(&dear(2, "0.75"));
    assert_eq!(account.ledger.peak(), Some(usd("1050")));
    let since = account.ledger.seq();
    account.look(&dear(3, "0.23"));
    assert_eq!(cause(&account), None, "946 is above 945");
    account.look(&dear(4, "0.225"));
    assert_eq!(
        story(&account, since),
        [
            "drawdown by desk: max_drawdown_pct: equity of 945 pUSD is 10.00 % below its peak of \
          1050 pUSD, allowed is below 10 %"
        ]
    );
    // Midnight does not lift it.
    account.look(&dear(MIDNIGHT + 1, "0.225"));
    assert_eq!(cause(&account), Some(HaltCause::Drawdown));
    let refusal = account
        .order(
            &wanted(Side::Buy, "5", "0.76"),
            &dear(MIDNIGHT + 2, "0.225"),
        )
        .unwrap_err();
    assert_eq!(refusal.code, "halted");
    assert!(
        refusal.hint.contains("risk.max_drawdown_pct"),
        "{refusal:?}"
    );
    resume(&mut account, MIDNIGHT + 3).unwrap();
    assert_eq!(account.ledger.peak(), Some(usd("945")));
    account.look(&dear(MIDNIGHT + 4, "0.225"));
    assert_eq!(cause(&account), None);
}

#[test]
fn money_paid_in_moves_the_peak_and_is_neither_profit_nor_loss() {
    let mut account = Account::new("1000").bought("100", "0.50", NOON);
    account.look(&bid_at(1, "0.50"));
    assert_eq!(account.ledger.peak(), Some(usd("1000")));
    account.deposit("500", after(2));
    assert_eq!(account.ledger.peak(), Some(usd("1500")));
    // Counted from 1,500: 200 shares fall to 0.25, equity 1,450.
    account.config.risk.max_daily_loss = usd("1000");
    account.config.risk.max_drawdown_pct = p("0.033333");
    account.look(&bid_at(3, "0.25"));
    assert_eq!(cause(&account), Some(HaltCause::Drawdown));
}

#[test]
fn the_peak_rises_only_where_every_position_has_a_bid() {
    let mut account = Account::new("1000").bought("100", "0.50", NOON);
    account.look(&bid_at(1, "0.54"));
    assert_eq!(account.ledger.peak(), Some(usd("1008")));
    // Nobody bids any more: the last mark stands, and a deposit of cash does not make it a peak.
    account.look(&scene(2, &[], &[("0.55", "100")]));
    assert!(!account.ledger.equity().complete);
    account.deposit("5", after(3));
    assert_eq!(account.ledger.peak(), Some(usd("1013")));
    // A position that never had a bid counts at cost and is no peak either, but no loss.
    let mut unmarked = Account::new("1000").bought("100", "0.50", NOON);
    let peak = unmarked.ledger.peak();
    unmarked.look(&scene(1, &[], &[("0.55", "100")]));
    assert_eq!((unmarked.ledger.peak(), cause(&unmarked)), (peak, None));
}

#[test]
fn a_drawdown_outranks_the_days_loss_and_the_kill_switch_both() {
    let mut account = Account::new("1000").bought("100", "0.50", NOON);
    account.config.risk.max_daily_loss = usd("10");
    account.config.risk.max_drawdown_pct = p("0.03");
    account.look(&bid_at(1, "0.50"));
    account.look(&bid_at(2, "0.45"));
    assert_eq!(cause(&account), Some(HaltCause::DailyLoss));
    // 30 of 1,000: from here on midnight does not suffice.
    account.look(&bid_at(3, "0.35"));
    assert_eq!(cause(&account), Some(HaltCause::Drawdown));
    halt(&mut account, 4);
    account.look(&bid_at(5, "0.05"));
    account.look(&bid_at(MIDNIGHT + 5, "0.01"));
    assert_eq!(cause(&account), Some(HaltCause::KillSwitch));
    assert_eq!(account.held("m-yes"), sh("200"));
}

#[test]
fn losses_are_looked_at_before_an_agents_order() {
    let mut account = Account::new("1000").bought("100", "0.50", NOON);
    account.config.risk.max_daily_loss = usd("20");
    let since = account.ledger.seq();
    // Nothing looked at the market since: the order's own snapshot shows the fall.
    let refusal = account
        .order(&wanted(Side::Buy, "5", "0.55"), &bid_at(1, "0.40"))
        .unwrap_err();
    assert_eq!(refusal.code, "halted");
    assert_eq!(story(&account, since).len(), 1);
}

#[test]
fn halts_peak_and_day_survive_a_restart() {
    let mut account = Account::new("1000").bought("100", "0.50", NOON);
    account.config.risk.max_daily_loss = usd("20");
    account.look(&bid_at(1, "0.50"));
    account.look(&bid_at(2, "0.30"));
    let mut restarted = Ledger::default();
    for event in &account.events {
        restarted.apply(event).unwrap();
    }
    let halt = restarted.halt().unwrap();
    assert_eq!(
        (halt.cause, halt.by.as_str()),
        (HaltCause::DailyLoss, "desk")
    );
    assert_eq!(halt.at, after(2));
    assert!(halt.reason.contains("40 pUSD lost"), "{}", halt.reason);
    assert_eq!(restarted.peak(), Some(usd("1000")));
}

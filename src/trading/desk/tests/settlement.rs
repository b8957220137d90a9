//! Resolved markets pay once; closed ones wait.

use crate::domain::{
    ConditionalKind, Intent, LedgerEvent, MarketStatus, Resolution, Side, Snapshot,
};
use crate::trading::test_support::{
    Account, NOON, Scene, after, book, conditional, market, p, quote, says, sh, signal, usd, wanted,
};

/// 25 shares of Yes for 10 pUSD, a stop, and a resting ask.
fn holder() -> Account {
    let mut account = Account::new("100").bought("10", "0.40", NOON);
    account
        .conditional(&conditional(ConditionalKind::StopLoss, "0.10"), NOON)
        .unwrap();
    let scene = Scene::new(NOON)
        .yes(&[("0.39", "100")], &[("0.41", "100")])
        .build();
    account.tick(
        &scene,
        vec![says(
            "maker",
            vec![quote("maker", "m", None, Some(("0.60", "10")))],
        )],
    );
    assert_eq!(
        (
            account.ledger.resting().len(),
            account.ledger.conditionals().len()
        ),
        (1, 1)
    );
    account
}

fn over(at: i64, yes_pays: &str) -> Snapshot {
    Scene::new(after(at))
        .with(market("m"), vec![])
        .resolved("m", yes_pays)
        .build()
}

#[test]
fn a_position_is_paid_exactly_once_and_what_waited_is_withdrawn() {
    // 90 + 25 × payout
    for (pays, cash, pnl) in [
        ("1", "115", 15.0),
        ("0", "90", -10.0),
        ("0.5", "102.5", 2.5),
    ] {
        let mut account = holder();
        let report = account.look(&over(60, pays));
        assert_eq!(account.ledger.cash(), usd(cash), "payout {pays}");
        assert_eq!(account.held("m-yes"), sh("0"));
        let [paid] = report.settlements.as_slice() else {
            panic!("{} settlements", report.settlements.len());
        };
        assert!((paid.pnl - pnl).abs() < 1e-9 && (paid.shares - 25.0).abs() < 1e-9);
        assert_eq!(
            (paid.outcome.as_str(), paid.evidence.as_str()),
            ("Yes", "test")
        );
        assert!(account.ledger.resting().is_empty() && account.ledger.conditionals().is_empty());
        let why = account.since(0, |event| match event {
            LedgerEvent::ConditionalCancelled { reason, .. } => Some(reason.clone()),
            LedgerEvent::OrderClosed { reason, .. } if reason.contains("resolved") => {
                Some(reason.clone())
            }
            _ => None,
        });
        assert_eq!(why, ["the market resolved", "the market resolved"]);

        let report = account.look(&over(120, pays));
        assert!(report.settlements.is_empty(), "paid twice");
        assert_eq!(account.ledger.cash(), usd(cash));
    }
}

/// Bad data: the Yes of one market is the No of another, where its shares are offered. They are paid once.
#[test]
fn what_is_paid_is_not_sold_in_another_market_of_the_token() {
    let mut account = Account::new("100").bought("10", "0.40", NOON);
    let mut other = market("n");
    other.outcomes[1].token = "m-yes".into();
    let shared = |at| {
        let book = book("m-yes", at, &[("0.39", "100")], &[("0.41", "100")]);
        Scene::new(at).with(other.clone(), vec![book])
    };
    let Intent::Quote(mut ask) = quote("maker", "n", None, Some(("0.60", "25"))) else {
        panic!("no quote");
    };
    ask.token_id = "m-yes".into();
    // The strategy goes on offering them.
    let offers = || vec![says("maker", vec![Intent::Quote(ask.clone())])];
    account.tick(&shared(NOON).build(), offers());
    assert_eq!(account.ledger.resting().len(), 1);
    let over = shared(after(60)).resolved("m", "1").build();
    let report = account.tick(&over, offers());
    assert_eq!(report.settlements.len(), 1);
    assert!(account.ledger.resting().is_empty());
    // Somebody would buy them now: 90 + 25, and nothing more.
    let risen = book("m-yes", after(120), &[("0.70", "100")], &[("0.72", "100")]);
    let scene = Scene::new(after(120)).with(other, vec![risen]).build();
    account.tick(&scene, offers());
    assert_eq!(
        (account.ledger.cash(), account.held("m-yes")),
        (usd("115"), sh("0"))
    );
}

#[test]
fn both_outcomes_of_a_market_are_paid_each_its_own() {
    let mut account = Account::new("100").bought("10", "0.40", NOON);
    let no = book("m-no", NOON, &[], &[("0.50", "100")]);
    let scene = Scene::new(NOON).with(market("m"), vec![no]).build();
    let buy_no = super::super::AgentOrder {
        token_id: "m-no".into(),
        ..wanted(Side::Buy, "10", "0.50")
    };
    account.order(&buy_no, &scene).unwrap();
    let report = account.look(&over(60, "0"));
    // 80 + 25 × 0 + 20 × 1
    assert_eq!(account.ledger.cash(), usd("100"));
    assert_eq!(report.settlements.len(), 2);
}

#[test]
fn a_closed_market_that_has_not_resolved_keeps_its_position() {
    let mut account = holder();
    let mut closed = market("m");
    closed.status = MarketStatus::Closed;
    let report = account.look(&Scene::new(after(60)).with(closed, vec![]).build());
    assert!(report.settlements.is_empty());
    assert_eq!(
        (account.held("m-yes"), account.ledger.cash()),
        (sh("25"), usd("90"))
    );
    assert_eq!(account.ledger.conditionals().len(), 1);
    assert!(
        account.ledger.resting().is_empty(),
        "orders do not rest in a closed market"
    );
    // The last mark stands: 90 + 25 × 0.39
    assert_eq!(account.ledger.equity().total, usd("99.75"));
}

#[test]
fn a_resolution_that_does_not_name_the_token_is_reported_and_pays_nothing() {
    let mut account = holder();
    let resolutions = vec![Resolution {
        market_id: "m".into(),
        payouts: vec![("m-no".into(), p("1"))],
        resolved_at: None,
        evidence: "odd".to_owned(),
    }];
    let views = vec![];
    let source = crate::domain::SourceKind::Polymarket;
    let report = account.look(&Snapshot::new(after(60), source, views, resolutions));
    assert!(report.settlements.is_empty());
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("does not name token m-yes"))
    );
    assert_eq!(
        (account.held("m-yes"), account.ledger.conditionals().len()),
        (sh("25"), 1)
    );
}

#[test]
fn nobody_trades_on_the_last_book_of_a_market_that_has_resolved() {
    let mut account = Account::new("100");
    let scene = Scene::new(NOON)
        .yes(&[("0.48", "100")], &[("0.50", "100")])
        .resolved("m", "1")
        .build();
    let refusal = account
        .order(&wanted(Side::Buy, "10", "0.50"), &scene)
        .unwrap_err();
    assert_eq!(
        (refusal.code.as_str(), refusal.message.as_str()),
        ("market_not_tradable", "market m has resolved")
    );
    let intents = vec![
        Intent::Directional(signal("one", "Yes", Side::Buy, "0.50", "10")),
        quote("one", "m", Some(("0.40", "10")), None),
    ];
    let report = account.tick(&scene, vec![says("one", intents)]);
    assert_eq!(report.strategies[0].not_traded["market_not_tradable"], 2);
    assert_eq!(
        (account.ledger.cash(), account.ledger.resting().len()),
        (usd("100"), 0)
    );
}

#[test]
fn half_a_unit_of_an_odd_number_of_micro_shares_is_floored() {
    // 10 / 0.30 = 33.33 shares in lots of 0.01; sold 3.333333 of them elsewhere would be dust, so
    // the account is given an odd number of micro-shares directly.
    let mut account = Account::new("100").bought("10", "0.40", NOON);
    let odd = crate::domain::Shares::from_micros(24_999_999).unwrap();
    // 25 − 0.000001 shares left after a fill of one micro-share.
    let fill = |order_id| LedgerEvent::Filled {
        fill: crate::domain::Fill {
            order_id,
            strategy: "test".into(),
            market_id: "m".into(),
            token_id: "m-yes".into(),
            outcome: "Yes".into(),
            side: Side::Sell,
            price: p("0.40"),
            shares: crate::domain::Shares::from_micros(1).unwrap(),
            notional: usd("0"),
            fee: usd("0"),
            maker: false,
            print: false,
            reason: "test".to_owned(),
        },
    };
    let mut recorder = crate::trading::ledger::Recorder::new(&mut account.ledger, after(1));
    let id = recorder.ledger().next_order_id();
    let order = crate::trading::test_support::order(
        id,
        Side::Sell,
        "0.40",
        "0.000001",
        crate::domain::OrderType::Fak,
    );
    for event in [
        LedgerEvent::OrderAccepted { order },
        fill(id),
        LedgerEvent::OrderClosed {
            order_id: id,
            outcome: crate::domain::OrderOutcome::Filled,
            unfilled: sh("0"),
            reason: "test".to_owned(),
        },
    ] {
        recorder.record(event).unwrap();
    }
    let events = recorder.into_events();
    account.events.extend(events);
    assert_eq!(account.held("m-yes"), odd);
    account.look(&over(60, "0.5"));
    // 24.999999 × 0.5 = 12.4999995, floored to 12.499999; 90 + 12.499999
    assert_eq!(account.ledger.cash(), usd("102.499999"));
}

#[test]
fn another_resolution_of_the_same_market_changes_nothing() {
    let mut account = holder();
    account.look(&over(60, "1"));
    let (cash, realized) = (account.ledger.cash(), account.ledger.realized());
    let since = account.ledger.seq();
    account.look(&over(120, "0"));
    assert_eq!(
        (account.ledger.cash(), account.ledger.realized()),
        (cash, realized)
    );
    let settled = account.since(since, |event| {
        matches!(event, LedgerEvent::Settled { .. }).then_some(())
    });
    assert!(settled.is_empty());
}

#[test]
fn a_position_that_waits_for_its_end_says_why() {
    let mut account = holder();
    let mut closed = market("m");
    closed.status = MarketStatus::Closed;
    closed.end = Some(after(30));
    let pending = crate::domain::PendingResolution {
        market_id: "m".into(),
        state: "disputed".to_owned(),
        seen_at: after(50),
        evidence: "data /v2/resolutions".to_owned(),
    };
    let scene = Scene::new(after(60)).with(closed, vec![]).build();
    let report = account.look(&scene.with_pending(vec![pending]));
    let [waits] = report.unsettled.as_slice() else {
        panic!("{:?}", report.unsettled);
    };
    assert_eq!((waits.state.as_str(), waits.shares), ("closed", 25.0));
    assert_eq!(
        waits.why,
        format!(
            "the market is closed and awaits its resolution; disputed by data /v2/resolutions at \
             {}; its end was set for {}",
            after(50),
            after(30)
        )
    );
    // A market that the source does not know, and one whose resolution names others.
    let report = account.look(&Scene::new(after(90)).build());
    assert_eq!(report.unsettled[0].state, "unknown");
    assert!(
        report.unsettled[0]
            .why
            .contains("does not know this market")
    );
    let open = account.look(&Scene::new(after(120)).yes(&[("0.39", "9")], &[]).build());
    assert!(open.unsettled.is_empty());
    assert_eq!(account.held("m-yes"), sh("25"));
}

#[test]
fn a_resolution_is_settled_between_ticks_too() {
    let mut account = holder();
    let (report, events) =
        crate::trading::desk::books_changed(&mut account.ledger, &over(60, "1"), &account.config)
            .unwrap();
    account.events.extend(events);
    crate::trading::test_support::audit(&account.ledger, &account.events);
    assert_eq!(report.settlements.len(), 1);
    // 90 + 25
    assert_eq!(account.ledger.cash(), usd("115"));
    assert!(account.ledger.conditionals().is_empty() && account.ledger.resting().is_empty());
}

//! What a slow tick gathered meets an account that has gone on since.

use crate::domain::{
    BookFeed, ConditionalKind, LedgerEvent, OrderOutcome, Price, Side, Snapshot, SourceKind,
};
use crate::trading::test_support::{
    Account, NOON, Scene, after, book, conditional, market, p, sh, wanted,
};

/// Yes as it was `book_at`, in a snapshot of `at`, seconds after noon.
fn yes(at: i64, book_at: i64, bid: &str, ask: &str) -> Snapshot {
    let books = vec![book(
        "m-yes",
        after(book_at),
        &[(bid, "999")],
        &[(ask, "999")],
    )];
    Scene::new(after(at)).with(market("m"), books).build()
}

fn marks(account: &Account) -> Vec<Price> {
    account.since(0, |event| match event {
        LedgerEvent::Marked { marks } => Some(marks[0].1),
        _ => None,
    })
}

/// Bought 100 at 0.50 and bid at 0.49 ten seconds later, with a stop at 0.45.
fn holder() -> Account {
    let mut account = Account::new("1000").bought("50", "0.50", NOON);
    account
        .conditional(&conditional(ConditionalKind::StopLoss, "0.45"), NOON)
        .unwrap();
    account.books(&yes(10, 10, "0.49", "0.51"));
    account
}

#[test]
fn a_book_from_before_the_mark_neither_marks_nor_sets_off_a_stop() {
    let mut account = holder();
    let before = marks(&account);
    assert_eq!(before.last(), Some(&p("0.49")));
    // Gathered five seconds earlier, and as a slow answer in a later snapshot.
    for (at, book_at) in [(5, 5), (20, 5)] {
        let report = account.tick(&yes(at, book_at, "0.44", "0.46"), Vec::new());
        assert_eq!(marks(&account), before, "{at}");
        assert_eq!(account.held("m-yes"), sh("100"), "{at}");
        assert!(
            report.notes.iter().any(|note| note.contains("newer book")),
            "{:?}",
            report.notes
        );
    }
    account.tick(&yes(21, 21, "0.44", "0.46"), Vec::new());
    assert_eq!(account.held("m-yes"), sh("0"));
}

/// A stream that has told nothing since says that nothing has changed.
#[test]
fn a_streamed_book_is_as_new_as_its_snapshot() {
    let mut account = holder();
    let feed = BookFeed::Streamed {
        since_snapshot: NOON,
    };
    let quiet = book("m-yes", after(9), &[("0.44", "999")], &[("0.46", "999")]);
    let scene = Scene::new(after(12)).with(market("m"), vec![quiet.with_feed(feed)]);
    account.books(&scene.build());
    assert_eq!(account.held("m-yes"), sh("0"));
}

fn slow() -> Account {
    Account::new("1000").configured(|config| config.execution.latency_ms = 2_000)
}

#[test]
fn an_order_does_not_arrive_on_a_book_from_before_its_arrival() {
    let mut account = slow();
    let sent = account.order(&wanted(Side::Buy, "50", "0.50"), &yes(2, 2, "0.40", "0.45"));
    assert_eq!(sent.unwrap().status, "in_flight");
    // Due at second 4. The account has gone on, the tick was gathered before.
    account.deposit("1", after(5));
    account.tick(&yes(1, 1, "0.40", "0.42"), Vec::new());
    // Gathered later, with an answer from before.
    account.tick(&yes(6, 3, "0.40", "0.42"), Vec::new());
    assert_eq!(account.ledger.in_flight().count(), 1);
    account.tick(&yes(7, 4, "0.40", "0.50"), Vec::new());
    // 50 / 0.50 = 100 shares.
    assert_eq!(account.held("m-yes"), sh("100"));
}

#[test]
fn an_order_whose_book_cannot_be_had_for_half_a_minute_is_not_delivered() {
    let sent = || {
        let mut account = slow();
        account
            .order(&wanted(Side::Buy, "50", "0.50"), &yes(0, 0, "0.40", "0.45"))
            .unwrap();
        account
    };
    let mut account = sent();
    account.arrive(&yes(32, 32, "0.40", "0.45"));
    assert!(!account.held("m-yes").is_zero(), "thirty seconds");
    let mut account = sent();
    let late = Scene::new(after(32).plus_millis(1));
    let late = late.yes(&[("0.40", "999")], &[("0.45", "999")]).build();
    account.arrive(&late);
    let ends = account.since(0, |event| match event {
        LedgerEvent::OrderClosed {
            outcome, reason, ..
        } => Some((*outcome, reason.clone())),
        _ => None,
    });
    assert_eq!(
        ends,
        [(
            OrderOutcome::Cancelled,
            "not delivered: its book could not be had for 30 s after its arrival".to_owned()
        )]
    );
    assert_eq!(account.ledger.in_flight().count(), 0);
    assert_eq!(account.held("m-yes"), sh("0"));
    // Simulated time moves in steps: nobody was away.
    let mut account = sent();
    let mut stepped = yes(900, 900, "0.40", "0.45");
    stepped.source = SourceKind::Sandbox;
    account.arrive(&stepped);
    assert!(!account.held("m-yes").is_zero());
}

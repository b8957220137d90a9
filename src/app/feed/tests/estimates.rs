//! Markets that only estimates look at.

use super::*;

#[tokio::test]
async fn estimates_are_scored_though_nothing_is_held_and_they_have_expired() {
    let mut bench = Bench::stepped().await;
    let now = bench.venue.time();
    let estimate = crate::domain::Estimate {
        market_id: MarketId::new("5"),
        token_id: TokenId::new("5n"),
        outcome: "No".into(),
        probability: 0.2,
        confidence: None,
        author: "ann".to_owned(),
        rationale: String::new(),
        ask_then: Some(price("0.51")),
        bid_then: Some(price("0.49")),
        created_at: now,
        expires_at: now.plus_millis(1_000),
    };
    bench.app.store_estimate(estimate).await.unwrap();
    bench.settle().await;
    bench.venue.closed.lock().unwrap().push("5".to_owned());
    bench.venue.pass(60);
    // Closed, but not resolved: looked at, and nothing more. 99 markets are open.
    assert_eq!(
        bench.look().await,
        ["list 100", "markets 5", "resolutions 5"]
    );
    assert_eq!(bench.tick().await, ["books 198"]);
    assert!(bench.app.ledger().unwrap().scoring().waits_for(&"5".into()));
    bench.venue.resolved.store(true, Ordering::SeqCst);
    bench.venue.pass(60);
    bench.look().await;
    assert_eq!(bench.tick().await, ["books 198"]);
    let ledger = bench.app.ledger().unwrap();
    // No paid nothing: 0.2².
    let summary = ledger.scoring().authors()["ann"].summary();
    assert!((summary.brier.unwrap() - 0.04).abs() < 1e-12);
    assert_eq!(ledger.scoring().pending_count(), 0);
    bench.venue.pass(60);
    assert_eq!(bench.look().await, ["list 100"], "no longer needed");
}

#[test]
fn thousands_of_markets_to_score_are_looked_at_in_turn() {
    let mut ledger = Ledger::default();
    let now = Timestamp::from_millis(NOON);
    let estimates = (0..250).map(|number| crate::domain::Estimate {
        market_id: MarketId::new(format!("{number:03}")),
        token_id: TokenId::new("t"),
        outcome: "Yes".into(),
        probability: 0.2,
        confidence: None,
        author: "ann".to_owned(),
        rationale: String::new(),
        ask_then: None,
        bid_then: None,
        created_at: now,
        expires_at: now.plus_millis(1_000),
    });
    for estimate in estimates {
        crate::trading::desk::store_estimate(&mut ledger, estimate, now)
            .unwrap()
            .0
            .unwrap();
    }
    // Fresh ones are needed for trading, all of them.
    let fresh = Needs::of(&ledger, now);
    assert_eq!((fresh.markets.len(), fresh.to_score.len()), (250, 0));
    let later = now.plus_millis(2_000);
    let mut seen = BTreeSet::new();
    for tick in 1..=3 {
        let needs = Needs::of(&ledger, later);
        assert_eq!((needs.markets.len(), needs.to_score.len()), (100, 100));
        seen.extend(needs.to_score);
        let mut recorder = crate::trading::ledger::Recorder::new(&mut ledger, later);
        recorder
            .record(crate::domain::LedgerEvent::TickCompleted {
                tick,
                markets: 0,
                signals: 0,
                fills: 0,
            })
            .unwrap();
    }
    assert_eq!(seen.len(), 250);
}

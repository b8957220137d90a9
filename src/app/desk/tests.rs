//! What halts a desk, and what a journal of it explains.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::app::config::Config;
use crate::app::journal::{ReplayError, replay};
use crate::app::{Access, App, OpenOptions, Source};
use crate::domain::{Estimate, MarketId, Timestamp};
use crate::market_data::recorded::Recorded;
use crate::market_data::recorded::tests::{hour, load};
use crate::trading::desk::CancelScope;

const CSV: &str = "timestamp,market_id,question,yes_price,volume,token_id\n\
                   2026-01-01T00:00:00Z,a,A?,0.5,0,t1\n\
                   2026-01-01T02:00:00Z,a,A?,0.6,0,t1\n";

struct Account {
    app: Arc<App>,
    source: Arc<Recorded>,
}

async fn account(dir: &Path, journal: bool) -> Account {
    let dataset = load(&[("p.csv", CSV)]).unwrap();
    let source = Arc::new(Recorded::new(Arc::new(dataset), hour(0)));
    let options = OpenOptions {
        config: Config::default(),
        source: Source {
            data: source.clone(),
            advance: None,
        },
        db: dir.join("ledger.db"),
        access: Access::Own,
    };
    let journal = journal.then(|| dir.join("journal"));
    let app = App::open_journalled(options, journal).await.unwrap();
    Account { app, source }
}

fn estimate(at: Timestamp) -> Estimate {
    Estimate {
        market_id: MarketId::new("a"),
        token_id: "t1".into(),
        outcome: "Yes".to_owned(),
        probability: 0.9,
        confidence: Some(0.9),
        author: "me".to_owned(),
        rationale: "a test".to_owned(),
        ask_then: None,
        bid_then: None,
        created_at: at,
        expires_at: at.plus_millis(86_400_000),
    }
}

async fn trade(account: &Account) {
    account.app.store_estimate(estimate(hour(0))).await.unwrap();
    let report = account.app.tick().await.unwrap();
    assert!(report.fills > 0, "{report:?}");
    account.source.set_now(hour(2));
    account.app.tick().await.unwrap();
    account
        .app
        .halt("shell".to_owned(), "a test".to_owned())
        .await
        .unwrap();
    let refused = account
        .app
        .cancel_orders(CancelScope::Order(99), "shell".to_owned())
        .await;
    assert_eq!(refused.unwrap_err().code(), "not_resting");
}

/// Ends the desk, so that another can have its lock.
async fn closed(account: Account) {
    let db = account.app.db().clone();
    drop(account);
    for _ in 0..500 {
        if OwnerLock::acquire(&db).is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the desk never ended");
}

#[tokio::test]
async fn a_journal_replayed_gives_the_same_events() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let first = account(dir.path(), true).await;
    trade(&first).await;
    let store = first.app.store();
    let found = replay(&journal, &store).unwrap();
    assert_eq!(found.events, store.last_seq().unwrap());
    // Opening, rules, an estimate, two ticks, a halt and a cancel that was refused.
    assert_eq!(found.inputs, 7);
    assert_eq!((found.failed, found.dropped), (0, 0));
    assert_eq!(found.unexplained, []);

    // A process without a journal leaves what nothing explains, and that is said.
    closed(first).await;
    drop(store);
    let second = account(dir.path(), false).await;
    let last = second.app.ledger().unwrap().seq();
    second
        .app
        .resume("shell".to_owned(), String::new())
        .await
        .unwrap();
    closed(second).await;
    let third = account(dir.path(), true).await;
    third.source.set_now(hour(2));
    third.app.tick().await.unwrap();
    let store = third.app.store();
    let found = replay(&journal, &store).unwrap();
    assert_eq!(found.unexplained, [(last + 1, last + 1)]);
    assert_eq!(found.events + 1, store.last_seq().unwrap());

    // An event that was changed afterwards is found.
    let db = rusqlite::Connection::open(third.app.db()).unwrap();
    db.execute(
        "UPDATE events SET at_ms = at_ms + 1 WHERE seq = (SELECT min(seq) FROM events WHERE kind = \
         'filled')",
        [],
    )
    .unwrap();
    let error = replay(&journal, &store).unwrap_err();
    let ReplayError::Differs {
        recorded, replayed, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert!(recorded.contains("filled") && replayed.contains("filled"));
    assert_ne!(recorded, replayed);
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_halts_trading() {
    let dir = tempfile::tempdir().unwrap();
    let account = account(dir.path(), true).await;
    let before = account.app.ledger().unwrap().seq();
    account.app.desk().spoil_journal().await;
    let error = account
        .app
        .store_estimate(estimate(hour(0)))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "journal_write", "{error}");
    assert!(account.app.desk().halted().unwrap().contains("journal"));
    let error = account.app.tick().await.unwrap_err();
    assert_eq!(error.code(), "halted");
    assert!(error.to_string().contains("journal"), "{error}");
    assert_eq!(account.app.ledger().unwrap().seq(), before);
    assert_eq!(account.app.store().last_seq().unwrap(), before);
}

#[tokio::test]
async fn the_rules_are_recorded_when_they_change_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let first = account(dir.path(), false).await;
    let settings = first.app.ledger().unwrap().settings().unwrap().to_owned();
    assert!(settings.contains("\"max_daily_loss\":50"), "{settings}");
    assert!(settings.contains("\"position_sizing\""), "{settings}");
    let seq = first.app.ledger().unwrap().seq();
    closed(first).await;
    let second = account(dir.path(), false).await;
    assert_eq!(second.app.ledger().unwrap().seq(), seq);
    closed(second).await;
    let mut config = Config::default();
    config.risk.max_open_orders = 3;
    let dataset = load(&[("p.csv", CSV)]).unwrap();
    let app = App::open(OpenOptions {
        config,
        source: Source {
            data: Arc::new(Recorded::new(Arc::new(dataset), hour(0))),
            advance: None,
        },
        db: dir.path().join("ledger.db"),
        access: Access::Own,
    });
    let app = app.await.unwrap();
    assert_eq!(app.ledger().unwrap().seq(), seq + 1);
    let event = app.store().events(seq, 1).unwrap().remove(0);
    let text = serde_json::to_string(&event).unwrap();
    assert!(text.contains("risk.max_open_orders"), "{text}");
}

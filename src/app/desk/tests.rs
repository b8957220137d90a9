//! What halts a desk, and what a journal of it explains.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::app::config::Config;
use crate::app::journal::{ReplayError, replay};
use crate::app::{Access, App, OpenOptions, Source};
use crate::domain::{Estimate, MarketId, OrderType, Price, Side, Timestamp, Usdc};
use crate::market_data::recorded::Recorded;
use crate::market_data::recorded::tests::{hour, load};
use crate::trading::desk::{AgentOrder, CancelScope};
use crate::trading::ledger::CLIENT_ORDERS_KEPT;

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
        outcome: "Yes".into(),
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
async fn a_tear_whose_events_are_stored_is_damage_and_no_kill() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let first = account(dir.path(), true).await;
    trade(&first).await;
    let store = first.app.store();
    let last = store.last_seq().unwrap();
    let file = journal.join("journal-000001.jsonl.zst");
    let whole = std::fs::read(&file).unwrap();
    let replayed = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        replay(&journal, &store)
    };
    // The last input was a cancel that was refused: a kill may have torn it, nothing is missing.
    let found = replayed(&whole[..whole.len() - 3]).unwrap();
    assert_eq!((found.torn.len(), found.unexplained.len()), (1, 0));
    assert_eq!(found.events, last);
    // A byte in the middle, and half a file: events are there whose inputs are not.
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0xff;
    for bytes in [&flipped[..], &whole[..whole.len() / 2]] {
        let error = replayed(bytes).unwrap_err();
        let ReplayError::Lost {
            file,
            first,
            last: to,
            detail,
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(file, "journal-000001.jsonl.zst");
        assert!(*first > 1 && *first <= last, "{error}");
        assert_eq!(*to, last);
        assert!(detail.contains("after byte"), "{detail}");
    }
    // The same with another start behind it.
    closed(first).await;
    let second = account(dir.path(), true).await;
    second
        .app
        .resume("shell".to_owned(), String::new())
        .await
        .unwrap();
    let error = replayed(&flipped).unwrap_err();
    assert!(matches!(error, ReplayError::Lost { .. }), "{error}");
    assert_eq!(replayed(&whole).unwrap().events, last + 1);
}

#[tokio::test]
async fn a_journal_belongs_to_one_account() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = account(one.path(), true).await;
    trade(&first).await;
    let journal = one.path().join("journal");
    let open = async |dir: &Path, journal: &Path| {
        let dataset = load(&[("p.csv", CSV)]).unwrap();
        let options = OpenOptions {
            config: Config::default(),
            source: Source {
                data: Arc::new(Recorded::new(Arc::new(dataset), hour(2))),
                advance: None,
            },
            db: dir.join("ledger.db"),
            access: Access::Own,
        };
        App::open_journalled(options, Some(journal.to_owned())).await
    };
    let before = std::fs::read_dir(&journal).unwrap().count();
    closed(first).await;
    // A new account, and the same once it is there.
    let error = open(two.path(), &journal).await.err().unwrap();
    assert_eq!(error.code(), "journal_other_account", "{error}");
    assert!(error.hint().contains("another folder"), "{}", error.hint());
    let others = two.path().join("journal");
    for _ in 0..2 {
        let app = open(two.path(), &others).await.unwrap();
        closed(Account {
            app,
            source: Arc::new(Recorded::new(
                Arc::new(load(&[("p.csv", CSV)]).unwrap()),
                hour(2),
            )),
        })
        .await;
    }
    let error = open(two.path(), &journal).await.err().unwrap();
    assert_eq!(error.code(), "journal_other_account", "{error}");
    assert_eq!(std::fs::read_dir(&journal).unwrap().count(), before);

    // One that got in all the same spoils no verdict: it is named.
    let again = open(two.path(), &others).await.unwrap();
    again
        .halt("shell".to_owned(), "a test".to_owned())
        .await
        .unwrap();
    let store = Store::open_read_only(one.path().join("ledger.db")).unwrap();
    assert!(replay(&journal, &store).is_ok());
    for number in 2..=3 {
        let name = format!("journal-{number:06}.jsonl.zst");
        std::fs::copy(others.join(&name), journal.join(&name)).unwrap();
    }
    let error = replay(&journal, &store).unwrap_err();
    let ReplayError::Journal(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.code(), "journal_other_account", "{error}");
}

/// A FAK of 20 shares at 0.51, which is what is asked, or at a limit that nobody meets.
fn order(client: &str, limit: &str) -> AgentOrder {
    AgentOrder {
        strategy: "mcp_manual".into(),
        market_id: MarketId::new("a"),
        token_id: "t1".into(),
        side: Side::Buy,
        size: Usdc::parse("10.2").unwrap(),
        limit: Price::parse(limit).unwrap(),
        order_type: OrderType::Fak,
        expires_at: None,
        client_order_id: Some(client.to_owned()),
        stop_loss: None,
        take_profit: None,
        trail_percent: None,
        reason: "a test".to_owned(),
    }
}

async fn busy_account(dir: &Path) -> Account {
    let source = Arc::new(Recorded::new(
        Arc::new(load(&[("p.csv", CSV)]).unwrap()),
        hour(0),
    ));
    let mut config = Config::default();
    config.risk.max_orders_per_minute = 0;
    let options = OpenOptions {
        config,
        source: Source {
            data: source.clone(),
            advance: None,
        },
        db: dir.join("ledger.db"),
        access: Access::Own,
    };
    let journal = Some(dir.join("journal"));
    let app = App::open_journalled(options, journal).await.unwrap();
    Account { app, source }
}

#[tokio::test]
async fn a_clients_id_is_known_for_ever_and_kept_in_memory_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let account = busy_account(dir.path()).await;
    let app = &account.app;
    let first = app.place_order(order("mine", "0.51")).await.unwrap();
    assert_eq!((first.status.as_str(), first.fills.len()), ("filled", 1));
    // Others come and go: nobody sells at 0.30.
    let market = app.market("a").await.unwrap();
    let snapshot = app.gather_market(market).await.unwrap().snapshot;
    let others = (0..CLIENT_ORDERS_KEPT).map(|number| {
        let wanted = order(&format!("other-{number}"), "0.3");
        app.desk().commit(Input::order(wanted, snapshot.clone()))
    });
    for committed in futures::future::join_all(others).await {
        let Output::Ordered(verdict) = committed.unwrap().output else {
            panic!("another output");
        };
        assert_eq!(verdict.unwrap().status, "unfilled");
    }
    let ledger = app.ledger().unwrap();
    assert!(ledger.client_order("mine").is_none(), "kept no more");
    assert!(ledger.client_order("other-0").is_some());

    // Again it gives the first order's result, and a preview says so.
    let seq = ledger.seq();
    let again = app.place_order(order("mine", "0.51")).await.unwrap();
    assert_eq!(again.order_id, first.order_id);
    assert_eq!((&again.status, &again.fills), (&first.status, &first.fills));
    let preview = app.preview_order(&order("mine", "0.51")).await.unwrap();
    assert_eq!(preview.report, again);
    assert!(preview.checks[0].value.contains("order 1"), "{preview:?}");
    let other = app.place_order(order("mine", "0.52")).await.unwrap_err();
    assert_eq!(other.code(), "client_order_id_used");
    let other = app.preview_order(&order("mine", "0.52")).await.unwrap_err();
    assert_eq!(other.code(), "client_order_id_used");
    assert_eq!(app.ledger().unwrap().seq(), seq, "nothing happened");

    // What was looked up is in the journal.
    let found = replay(&dir.path().join("journal"), &app.store()).unwrap();
    assert_eq!((found.events, found.unexplained.len()), (seq, 0));
    let verified = crate::app::verify(app.db()).unwrap();
    assert_eq!(verified.audit.findings, []);
    assert_eq!(verified.unchecked_fees, 0);

    // And after a restart, from a checkpoint.
    closed(account).await;
    let account = busy_account(dir.path()).await;
    assert!(account.app.store().last_checkpoint().unwrap() > 0);
    let again = account
        .app
        .place_order(order("mine", "0.51"))
        .await
        .unwrap();
    assert_eq!(again.order_id, first.order_id);
    assert_eq!(again.fills, first.fills);
    assert_eq!(account.app.ledger().unwrap().seq(), seq);
}

#[tokio::test]
async fn a_preview_under_a_used_id_shows_the_first_orders_result() {
    let dir = tempfile::tempdir().unwrap();
    let account = busy_account(dir.path()).await;
    let fresh = account
        .app
        .preview_order(&order("x", "0.51"))
        .await
        .unwrap();
    assert!(fresh.checks.len() > 1, "every limit with its verdict");
    let placed = account.app.place_order(order("x", "0.51")).await.unwrap();
    account.source.set_now(hour(2));
    // The price is 0.60 now: nothing would fill at 0.51.
    let again = account
        .app
        .preview_order(&order("x", "0.51"))
        .await
        .unwrap();
    assert_eq!(again.report.order_id, placed.order_id);
    assert_eq!(again.report.status, "filled");
    assert_eq!(again.report.fills, placed.fills);
    assert_eq!(again.cash, account.app.ledger().unwrap().cash());
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

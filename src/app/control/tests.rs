//! The two ends of the socket against each other, and against nonsense.

#![cfg(unix)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::client::{AskError, Told, ask};
use super::protocol::{Answer, Ask, Asker, Call, Failure, Progress, Reports, SourceLabel};
use super::{Control, Handler, Relayed, ask_owner};
use crate::app::config::Config;
use crate::app::{Access, App, AppError, OpenOptions, Source};
use crate::domain::SourceKind;
use crate::market_data::recorded::Recorded;
use crate::market_data::recorded::tests::{hour, load};

const CSV: &str = "timestamp,market_id,question,yes_price,volume,token_id\n\
                   2026-01-01T00:00:00Z,a,A?,0.5,0,t1\n";

/// Echoes, waits for its cancellation, reports progress, fails, or dies, as it is asked.
#[derive(Default)]
struct Toy {
    cancelled: AtomicBool,
}

#[async_trait]
impl Handler for Toy {
    async fn call(
        &self,
        call: Call,
        reports: Reports,
        cancelled: CancellationToken,
    ) -> Result<Answer, Failure> {
        match call.tool.as_str() {
            "wait" => {
                cancelled.cancelled().await;
                self.cancelled.store(true, Ordering::SeqCst);
                Err(Failure::new("cancelled", "stopped waiting", "no hint"))
            }
            "progress" => {
                reports.send_replace(Some(Progress {
                    done: 1.0,
                    total: Some(2.0),
                    message: "half".to_owned(),
                }));
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok(answer(json!({})))
            }
            "fail" => Err(Failure::new("refused", "too much", "take less")),
            "die" => panic!("as asked"),
            _ => Ok(answer(call.arguments)),
        }
    }

    fn is_urgent(&self, call: &Call) -> bool {
        call.tool == "halt"
    }
}

fn answer(structured: Value) -> Answer {
    Answer {
        text: structured.to_string(),
        structured,
        note: None,
    }
}

struct Owner {
    app: Arc<App>,
    toy: Arc<Toy>,
    control: Control,
    dir: tempfile::TempDir,
}

async fn open(dir: &std::path::Path, access: Access) -> Result<Arc<App>, AppError> {
    open_at(&dir.join("ledger.db"), access).await
}

async fn open_at(db: &std::path::Path, access: Access) -> Result<Arc<App>, AppError> {
    let dataset = load(&[("p.csv", CSV)]).unwrap();
    App::open(OpenOptions {
        config: Config::default(),
        source: Source {
            data: Arc::new(Recorded::new(Arc::new(dataset), hour(0))),
            advance: None,
        },
        db: db.to_owned(),
        access,
    })
    .await
}

async fn owner() -> Owner {
    let dir = tempfile::tempdir().unwrap();
    let app = open(dir.path(), Access::Own).await.unwrap();
    app.describe_source("recorded here".to_owned());
    let toy = Arc::new(Toy::default());
    let control = app.listen(toy.clone());
    let owner = Owner {
        app,
        toy,
        control,
        dir,
    };
    for _ in 0..500 {
        if owner.asked("echo", json!({})).await.is_ok() {
            return owner;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never listened");
}

impl Owner {
    async fn asked(&self, tool: &str, arguments: Value) -> Result<Told, AskError> {
        ask(self.app.db(), &call(tool, arguments, None), &|_| {}).await
    }

    /// Sends bytes and reads what comes until the owner closes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let path = self.dir.path().join("ledger.db.sock");
        let mut stream = UnixStream::connect(path).await.unwrap();
        // It may close before it has read all.
        let _ = stream.write_all(bytes).await;
        let mut said = Vec::new();
        let read = stream.read_to_end(&mut said);
        let _ = tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .unwrap();
        String::from_utf8(said).unwrap()
    }
}

fn call(tool: &str, arguments: Value, source: Option<SourceLabel>) -> Ask {
    Ask::Call(Call {
        tool: tool.to_owned(),
        arguments,
        asker: Asker::Shell,
        progress: true,
        source,
    })
}

fn done(told: Result<Told, AskError>) -> Answer {
    match told {
        Ok(Told::Call(Ok(answer))) => answer,
        other => panic!("{other:?}"),
    }
}

fn failure(told: Result<Told, AskError>) -> Failure {
    match told {
        Ok(Told::Call(Err(failure))) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_failures_and_progress_come_as_they_were_given() {
    let owner = owner().await;
    // Numbers that binary text often spoils, and the order of the keys.
    let value = json!({"z": 0.1, "a": 19.6 * 0.49, "n": 9_007_199_254_740_993_u64, "t": "é\n"});
    let answer = done(owner.asked("echo", value.clone()).await);
    assert_eq!(answer.structured, value);
    assert_eq!(answer.text, value.to_string());
    assert_eq!(answer.note, None);
    let refused = failure(owner.asked("fail", json!({})).await);
    assert_eq!(refused, Failure::new("refused", "too much", "take less"));
    let seen = std::sync::Mutex::new(Vec::new());
    let wanted = call("progress", json!({}), None);
    let note = |step: Progress| seen.lock().unwrap().push(step.message);
    done(ask(owner.app.db(), &wanted, &note).await);
    assert_eq!(*seen.lock().unwrap(), ["half"]);
    let Ok(Told::State(state)) = ask(owner.app.db(), &Ask::State, &|_| {}).await else {
        panic!("no state");
    };
    assert_eq!(state.pid, std::process::id());
    assert_eq!(state.source.text, "recorded here");
    assert_eq!(state.rules, Config::default().rules_digest());
    assert_eq!(state.halted, None);
    // Opened, paid in, a day begun, and the rules.
    assert_eq!(state.events, 4);
}

#[tokio::test]
async fn the_owners_source_counts() {
    let owner = owner().await;
    let named = |kind, text: &str| {
        let text = text.to_owned();
        Some(SourceLabel { kind, text })
    };
    let same = call(
        "echo",
        json!({}),
        named(SourceKind::Recorded, "recorded here"),
    );
    assert_eq!(done(ask(owner.app.db(), &same, &|_| {}).await).note, None);
    let other = call("echo", json!({}), named(SourceKind::Recorded, "elsewhere"));
    let note = done(ask(owner.app.db(), &other, &|_| {}).await)
        .note
        .unwrap();
    assert!(note.contains("recorded here"), "{note}");
    let any = call("echo", json!({}), named(SourceKind::Recorded, "recorded"));
    assert_eq!(done(ask(owner.app.db(), &any, &|_| {}).await).note, None);
    let kind = call("echo", json!({}), named(SourceKind::Sandbox, "sandbox"));
    let refused = failure(ask(owner.app.db(), &kind, &|_| {}).await);
    assert_eq!(refused.code, "wrong_source");
}

#[tokio::test]
async fn an_asker_that_leaves_cancels_its_call() {
    let owner = owner().await;
    let waiting = owner.asked("wait", json!({}));
    let gave_up = tokio::time::timeout(Duration::from_millis(200), waiting).await;
    assert!(gave_up.is_err());
    for _ in 0..500 {
        if owner.toy.cancelled.load(Ordering::SeqCst) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the call was never cancelled");
}

#[tokio::test]
async fn nonsense_is_answered_and_hurts_nobody() {
    let owner = owner().await;
    let long = vec![b'x'; (1 << 20) + 10];
    for (bytes, words) in [
        (&b"\n"[..], "bad_request"),
        (b"GET / HTTP/1.1\r\n\r\n", "bad_request"),
        (b"\x00\x01\x02\xff\n", "bad_request"),
        (b"{\"v\":7,\"ask\":\"state\"}\n", "control_version"),
        (&long, "at most"),
    ] {
        let said = owner.raw(bytes).await;
        assert!(said.contains(words), "{said}");
        assert_eq!(said.matches('\n').count(), 1, "{said}");
    }
    // Silence, half a line, a second request behind the first.
    let path = owner.dir.path().join("ledger.db.sock");
    drop(UnixStream::connect(&path).await.unwrap());
    let mut half = UnixStream::connect(&path).await.unwrap();
    half.write_all(b"{\"v\":1,").await.unwrap();
    drop(half);
    let wait = r#"{"v":1,"ask":{"call":{"tool":"wait","arguments":{},"asker":"shell"}}}"#;
    owner.raw(format!("{wait}\n{wait}\n").as_bytes()).await;
    assert!(owner.toy.cancelled.load(Ordering::SeqCst));
    done(owner.asked("echo", json!({"still": "there"})).await);
}

/// Connections that say nothing, or half a line, keep nobody out; of too many the oldest goes.
#[tokio::test]
async fn silent_connections_take_no_place() {
    let owner = owner().await;
    let path = owner.dir.path().join("ledger.db.sock");
    let mut held = Vec::new();
    for number in 0..200 {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        if number % 2 == 0 {
            // One that was turned away meanwhile may not take it.
            let _ = stream.write_all(b"{").await;
        }
        held.push(stream);
        if number % 20 == 0 {
            done(owner.asked("echo", json!({})).await);
            done(owner.asked("halt", json!({})).await);
        }
    }
    done(owner.asked("echo", json!({})).await);
    let mut said = String::new();
    let first = held.first_mut().unwrap();
    first.read_to_string(&mut said).await.unwrap();
    assert!(
        said.contains("busy") && said.contains("64 connections"),
        "{said}"
    );
    // The newest is still heard.
    let mut last = held.pop().unwrap();
    last.write_all(b"{}\n").await.unwrap();
    said.clear();
    last.read_to_string(&mut said).await.unwrap();
    assert!(said.contains("bad_request"), "{said}");
}

/// However many calls are under way the kill switch gets through.
#[tokio::test]
async fn calls_are_bounded_and_urgent_ones_get_through() {
    let owner = owner().await;
    let db = owner.app.db().clone();
    let mut under_way = Vec::new();
    for _ in 0..32 {
        let db = db.clone();
        under_way.push(tokio::spawn(async move {
            ask(&db, &call("wait", json!({}), None), &|_| {}).await
        }));
    }
    let mut refused = None;
    for _ in 0..500 {
        match owner.asked("echo", json!({})).await {
            Ok(Told::Call(Err(failure))) => {
                refused = Some(failure);
                break;
            }
            // The last of the others was not accepted yet.
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.code, "busy");
    assert!(refused.message.contains("32 calls"), "{refused:?}");
    for _ in 0..20 {
        done(owner.asked("halt", json!({})).await);
    }
    // How the owner stands is told at once, too.
    let state = ask(&db, &Ask::State, &|_| {}).await;
    assert!(matches!(state, Ok(Told::State(_))), "{state:?}");
    assert_eq!(failure(owner.asked("echo", json!({})).await).code, "busy");
    for waiting in under_way {
        waiting.abort();
    }
    for _ in 0..500 {
        if let Ok(Told::Call(Ok(_))) = owner.asked("echo", json!({})).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the places were never free again");
}

/// Whoever names the database by a link reaches its owner, and does not become a second one.
#[tokio::test]
async fn a_link_to_the_database_reaches_its_owner() {
    let owner = owner().await;
    let link = owner.dir.path().join("link.db");
    std::os::unix::fs::symlink("ledger.db", &link).unwrap();
    let Ask::Call(wanted) = call("echo", json!({"n": 1}), None) else {
        unreachable!()
    };
    let told = ask_owner(&link, wanted, &|_| {}).await.unwrap();
    assert_eq!(told.unwrap().unwrap().structured, json!({"n": 1}));
    let second = open_at(&link, Access::OwnOrReadNow).await.unwrap();
    assert!(!second.desk().is_owner());
    assert_eq!(second.db(), owner.app.db());
    drop(second);

    // As many names as there are owners to be: none but the first gets in.
    let twin = owner.dir.path().join("twin.db");
    std::fs::hard_link(owner.app.db(), &twin).unwrap();
    let refused = open_at(&twin, Access::OwnOrReadNow).await.map(drop);
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "store_many_names", "{refused}");
    done(owner.asked("halt", json!({})).await);
}

/// Nobody asked the owner anything: that it does not answer must not be said.
#[tokio::test]
async fn what_is_not_handed_on_says_only_that_there_is_an_owner() {
    let owner = owner().await;
    let reset = crate::app::reset_account(
        owner.app.db(),
        SourceKind::Recorded,
        Config::default().starting_balance,
        hour(0),
    );
    let own = open(owner.dir.path(), Access::Own).await.map(drop);
    for refused in [reset.map(drop).unwrap_err(), own.unwrap_err()] {
        assert_eq!(refused.code(), "owned");
        let pid = format!("(pid {})", std::process::id());
        assert!(refused.to_string().contains(&pid), "{refused}");
        assert!(refused.hint().contains("Stop that process"));
        assert!(!refused.hint().contains("socket"), "{}", refused.hint());
    }
}

#[tokio::test]
async fn a_death_over_a_call_is_an_unknown_outcome() {
    let owner = owner().await;
    let died = owner.asked("die", json!({})).await.unwrap_err();
    assert!(matches!(died, AskError::Lost(_)), "{died:?}");
    let Ask::Call(wanted) = call("die", json!({}), None) else {
        unreachable!()
    };
    let error = ask_owner(owner.app.db(), wanted, &|_| {})
        .await
        .unwrap_err();
    assert_eq!(error.code(), "outcome_unknown");
    assert!(error.to_string().contains("may or may not"), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()));
    assert!(error.hint().contains("client_order_id"));
}

#[tokio::test]
async fn at_the_end_calls_under_way_may_finish_and_the_socket_goes() {
    let owner = owner().await;
    let db = owner.app.db().clone();
    let wanted = call("progress", json!({}), None);
    let under_way = tokio::spawn({
        let db = db.clone();
        async move { ask(&db, &wanted, &|_| {}).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    owner.control.stop(Duration::from_secs(5)).await;
    done(under_way.await.unwrap());
    assert!(!owner.dir.path().join("ledger.db.sock").exists());
    let nobody = ask(&db, &Ask::State, &|_| {}).await.unwrap_err();
    assert!(matches!(nobody, AskError::Absent(_)));
}

#[tokio::test]
async fn a_reader_hands_on_and_takes_over_when_nobody_is_left() {
    let first = owner().await;
    let second = open(first.dir.path(), Access::OwnOrReadNow).await.unwrap();
    assert!(!second.desk().is_owner());
    let Ask::Call(wanted) = call("echo", json!({"n": 1}), None) else {
        unreachable!()
    };
    let told = second.relay(wanted.clone(), &|_| {}).await.unwrap();
    let Relayed::There(Ok(answer)) = told else {
        panic!("{told:?}");
    };
    assert_eq!(answer.structured, json!({"n": 1}));
    second.look_at_owner(Duration::from_secs(1)).await;
    let (notes, problems) = second.owner_remarks();
    assert!(notes[0].contains("owns the ledger"), "{notes:?}");
    assert!(notes[1].contains("another source"), "{notes:?}");
    assert_eq!(problems, Vec::<String>::new());

    // An owner that holds the lock and does not listen is waited for, and then named.
    first.control.stop(Duration::ZERO).await;
    let error = second.relay(wanted.clone(), &|_| {}).await.unwrap_err();
    assert_eq!(error.code(), "read_only");
    assert!(error.to_string().contains("pid"), "{error}");

    let control = second.listen(Arc::new(Toy::default()));
    drop(first.app);
    let told = second.relay(wanted.clone(), &|_| {}).await.unwrap();
    assert_eq!(told, Relayed::Here);
    assert!(second.desk().is_owner());
    // Now it listens in the other's place.
    for _ in 0..500 {
        if let Ok(Some(_)) = ask_owner(second.db(), wanted.clone(), &|_| {}).await {
            control.stop(Duration::ZERO).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never listened");
}

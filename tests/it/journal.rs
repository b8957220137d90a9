//! A journal of a busy paper session, carried out again: the same events, to the last byte.

use std::collections::BTreeSet;

use polymarket_agent::app::journal::{ReplayError, replay};
use polymarket_agent::store::Store;
use serde_json::{Value, json};

use crate::support::{RawServer, Workspace};

const CONFIG: &str = "\
conditional_orders: {enabled: true}
gather: {max_markets: 24, refresh_seconds: 0}
risk: {max_daily_loss: 100000, max_total_exposure: 900, max_open_orders: 40}
strategies:
  signal_trader: {enabled: true, volume_threshold: 0}
  market_maker: {enabled: true, min_liquidity: 0}
  arbitrageur: {enabled: true}
  ai_analyst: {enabled: true}
";
/// Hours that pass with each tick.
const STEP_HOURS: u64 = 24;

fn ticks(workspace: &Workspace, count: usize) {
    for _ in 0..count {
        workspace.cli(&["call", "tick", "--source", "sandbox"]).ok();
    }
}

/// Estimates far from the price, an order with a stop, one that trails.
fn trade(server: &mut RawServer) {
    let found = server.call("search_markets", json!({"limit": 8}));
    let markets = found["markets"].as_array().unwrap().clone();
    assert!(markets.len() >= 4, "{found}");
    for (index, market) in markets.iter().enumerate() {
        let id = market["id"].as_str().unwrap();
        let detail = server.call("get_market_detail", json!({"market_id": id}));
        let token = detail["outcomes"][0]["token_id"].clone();
        let probability = if index % 2 == 0 { 0.97 } else { 0.03 };
        attempt(
            server,
            "analyze_market",
            json!({"market_id": id, "probability": probability, "author": "it"}),
        );
        let order = json!({
            "market_id": id, "token_id": token, "side": "buy", "size": 12, "price": 0.97,
            "client_order_id": format!("order-{index}-{id}"),
        });
        attempt(server, "place_trade", order);
        attempt(
            server,
            "create_conditional_order",
            json!({"market_id": id, "token_id": token, "order_type": "trailing_stop",
                   "trigger_price": 0.02, "trail_percent": 0.03}),
        );
    }
}

/// A call that the limits may refuse: the refusal is an input like any other.
fn attempt(server: &mut RawServer, tool: &str, arguments: Value) {
    let answer = server.request("tools/call", json!({"name": tool, "arguments": arguments}));
    assert!(answer["result"].is_object(), "{answer}");
}

#[test]
fn a_paper_session_is_explained_by_its_journal() {
    let workspace = Workspace::with_config(CONFIG);
    let journal = workspace.path("journal");
    let journal_text = journal.to_str().unwrap().to_owned();
    let server = workspace
        .server()
        .source_sandbox(7)
        .args(&["--markets", "24"])
        .inefficiency()
        .step(STEP_HOURS * 3600)
        .args(&["--journal", &journal_text]);
    let mut first = RawServer::spawn(&server);
    first.initialize();
    first.call("health_check", json!({}));
    ticks(&workspace, 4);
    trade(&mut first);
    ticks(&workspace, 8);
    workspace
        .cli(&["halt", "--reason", "a test", "--source", "sandbox"])
        .ok();
    ticks(&workspace, 1);
    workspace.cli(&["resume", "--source", "sandbox"]).ok();
    ticks(&workspace, 2);
    workspace
        .cli(&["cancel", "--all", "--source", "sandbox"])
        .ok();
    first.kill();

    // Another process goes on with the account and the journal.
    let mut second = RawServer::spawn(&server);
    second.initialize();
    second.call("health_check", json!({}));
    trade(&mut second);
    ticks(&workspace, 16);
    let store = Store::open_read_only(workspace.db()).unwrap();
    let found = replay(&journal, &store).unwrap();
    assert_eq!(found.events, store.last_seq().unwrap(), "{found:?}");
    assert_eq!(found.unexplained, [], "{found:?}");
    assert!(found.inputs > 40, "{found:?}");
    second.close();
    verified(&workspace, &journal_text);

    // It was a session worth the name.
    let mut kinds = BTreeSet::new();
    store
        .for_each_event(0, |event| {
            let event = serde_json::to_value(&event.event).unwrap();
            kinds.insert(event["kind"].as_str().unwrap().to_owned());
            Ok::<(), polymarket_agent::store::StoreError>(())
        })
        .unwrap();
    for kind in [
        "account_opened",
        "config_changed",
        "estimate_stored",
        "order_rested",
        "filled",
        "settled",
        "conditional_created",
        "conditional_triggered",
        "halted",
        "resumed",
    ] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }

    // One micro-dollar more in one fill, and the replay names the event.
    let copy = workspace.path("changed.db");
    std::fs::copy(workspace.db(), &copy).unwrap();
    // While `store` reads, the newest events stand in the write-ahead log alone.
    let log = workspace.path("ledger.db-wal");
    if log.exists() {
        std::fs::copy(log, workspace.path("changed.db-wal")).unwrap();
    }
    let db = rusqlite::Connection::open(&copy).unwrap();
    let (seq, payload): (i64, String) = db
        .query_row(
            "SELECT seq, payload FROM events WHERE kind = 'filled' ORDER BY seq LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let mut event: Value = serde_json::from_str(&payload).unwrap();
    let fee = &mut event["fill"]["fee"];
    *fee = json!(fee.as_i64().unwrap() + 1);
    db.execute(
        "UPDATE events SET payload = ?1 WHERE seq = ?2",
        rusqlite::params![event.to_string(), seq],
    )
    .unwrap();
    let store = Store::open_read_only(&copy).unwrap();
    let error = replay(&journal, &store).unwrap_err();
    assert!(
        matches!(error, ReplayError::Differs { seq: named, .. } if i64::try_from(named) == Ok(seq)),
        "{error}"
    );
    drop((store, db));
    // The shell names it too, and says so with its status.
    let changed = copy.to_str().unwrap();
    let args = ["verify", "--source", "sandbox", "--db", changed];
    let args = [&args[..], &["--journal", &journal_text]].concat();
    let text = workspace.cli_bare(&args).failed();
    let named = format!("event {seq} is another one");
    assert!(text.stdout.contains(&named), "{}", text.stdout);
    let verdict = workspace.cli_bare(&[&args[..], &["--json"]].concat());
    let verdict = verdict.failed().json();
    assert_eq!(verdict["ok"], false);
    assert_eq!(verdict["journal"]["ok"], false);
    assert_eq!(verdict["journal"]["event"], seq);
}

/// `verify --journal` of the whole session, in JSON and in words.
fn verified(workspace: &Workspace, journal: &str) {
    let args = ["verify", "--source", "sandbox", "--journal", journal];
    let verdict = workspace
        .cli(&[&args[..], &["--json"]].concat())
        .ok()
        .json();
    assert_eq!(verdict["ok"], true, "{verdict}");
    let explained = &verdict["journal"];
    assert_eq!(explained["events"], verdict["events"], "{verdict}");
    assert_eq!(explained["unexplained"], json!([]));
    assert!(explained["inputs"].as_u64().unwrap() > 40, "{verdict}");
    for count in ["failed", "dropped"] {
        assert!(explained[count].is_u64(), "{verdict}");
    }
    assert!(explained["torn"].is_array(), "{verdict}");
    let text = workspace.cli(&args).ok().stdout;
    let told = format!(
        "Journal: {} inputs lead to {} events",
        explained["inputs"], explained["events"]
    );
    assert!(text.contains(&told), "{text}");
}

#[test]
fn a_journal_goes_into_a_folder_of_its_own() {
    let workspace = Workspace::new();
    let folder = workspace.path("letters");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("to-my-aunt.txt"), "Dear aunt").unwrap();
    let args = [
        "run",
        "--source",
        "sandbox",
        "--ticks",
        "1",
        "--journal",
        "letters",
    ];
    let refused = workspace.cli(&args).failed();
    assert!(
        refused.stderr.contains("to-my-aunt.txt"),
        "{}",
        refused.stderr
    );
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    let args = [
        "run",
        "--source",
        "sandbox",
        "--ticks",
        "2",
        "--journal",
        "new",
        "--step",
        "60",
    ];
    let config = "poll_interval: 1\n";
    workspace.configure(config);
    workspace.cli(&args).ok();
    let store = Store::open_read_only(workspace.db()).unwrap();
    let found = replay(&workspace.path("new"), &store).unwrap();
    // The refused run had opened nothing.
    assert_eq!(found.inputs, 4, "opening, rules, two ticks: {found:?}");
    assert_eq!(found.events, store.last_seq().unwrap());
}

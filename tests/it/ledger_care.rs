//! `verify`, `backup` and named accounts, as a shell sees them.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Ledger, RawServer, Recording, Run, Workspace, at};

/// An account with an agent's order in it, and its estimate.
fn traded(workspace: &Workspace, recording: &Recording) {
    let moment = at(20);
    let source = recording.source(&moment);
    workspace
        .call(
            &source,
            "place_trade",
            &json!({
                "market_id": "1009",
                "token_id": recording.token("1009", 0),
                "side": "buy",
                "size": 20,
                "price": 0.51,
                "client_order_id": "mine",
            }),
        )
        .ok();
}

fn sql(workspace: &Workspace, sql: &str) {
    let conn = Connection::open(workspace.db()).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(sql).unwrap();
}

/// Exit status 1 with the verdict on standard output.
#[track_caller]
fn misfit(run: Run) -> Value {
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("error: "), "{}", run.stderr);
    assert!(run.stderr.contains("hint: "), "{}", run.stderr);
    run.json()
}

#[test]
fn verify_believes_an_honest_ledger_and_names_what_was_tampered_with() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    traded(&workspace, &recording);
    let run = workspace.cli(&["verify"]).ok();
    assert!(
        run.stdout.contains("OK: every event balances"),
        "{}",
        run.stdout
    );
    let verdict = workspace.cli(&["verify", "--json"]).ok().json();
    assert_eq!(verdict["ok"], true);
    assert_eq!(verdict["findings"], json!([]));
    assert_eq!(verdict["rows"]["orders"], 1);
    let events = verdict["events"].as_u64().unwrap();
    assert_eq!(events, Ledger::read(&workspace.db()).events.len() as u64);

    sql(&workspace, "UPDATE orders SET fees_micros = 0");
    let verdict = misfit(workspace.cli(&["verify", "--json"]));
    assert_eq!(verdict["findings"][0]["place"], "orders row 1");

    sql(
        &workspace,
        "UPDATE events SET payload = json_set(payload, '$.amount', 2) WHERE kind = 'deposited'",
    );
    let verdict = misfit(workspace.cli(&["verify", "--json"]));
    let first = &verdict["findings"][0];
    assert!(
        first["place"].as_str().unwrap().starts_with("event "),
        "{first}"
    );
    let text = workspace.cli(&["verify"]);
    assert!(text.stdout.contains("MISFIT: event "), "{}", text.stdout);
    assert!(
        text.stderr.contains("does not fit: event "),
        "{}",
        text.stderr
    );
}

#[test]
fn verify_and_backup_work_beside_a_running_owner() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    traded(&workspace, &recording);
    let moment = at(20);
    let server = workspace.server().args(&recording.source(&moment));
    let mut raw = RawServer::spawn(&server);
    raw.initialize();
    raw.call(
        "analyze_market",
        json!({"market_id": "1009", "probability": 0.6, "author": "beside"}),
    );
    let verdict = workspace.cli(&["verify", "--json"]).ok().json();
    assert_eq!(
        (&verdict["ok"], &verdict["rows"]["estimates"]),
        (&json!(true), &json!(1))
    );
    let copy = workspace.path("copy.db");
    let out = copy.to_str().unwrap();
    let made = workspace
        .cli(&["backup", "--out", out, "--json"])
        .ok()
        .json();
    assert_eq!(made["events"], verdict["events"]);
    let again = workspace.cli(&["backup", "--out", out]).failed();
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
    let run = workspace.cli_bare(&["verify", "--db", out]).ok();
    assert!(run.stdout.contains("OK"), "{}", run.stdout);
    assert_eq!(Ledger::read(&copy), Ledger::read(&workspace.db()));
    raw.close();
}

#[test]
fn damaged_and_truncated_files_are_named_and_left_alone() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    traded(&workspace, &recording);
    sql(
        &workspace,
        "CREATE TABLE filler AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
         WHERE i < 2000) SELECT i, hex(randomblob(40)) AS text FROM n; DROP TABLE filler; \
         PRAGMA wal_checkpoint(TRUNCATE)",
    );
    let sound = std::fs::read(workspace.db()).unwrap();
    let moment = at(20);
    let mut tick = vec!["tick"];
    tick.extend(recording.source(&moment));

    std::fs::write(workspace.db(), &sound[..8192]).unwrap();
    let run = workspace.cli(&tick).failed();
    assert!(run.stderr.contains("is damaged"), "{}", run.stderr);
    assert!(run.stderr.contains("restore a"), "{}", run.stderr);
    assert_eq!(workspace.cli(&["verify"]).code, Some(1));

    // The pages behind the first two, where the tables begin.
    let mut broken = sound.clone();
    broken[8192..16384].fill(0xA5);
    std::fs::write(workspace.db(), &broken).unwrap();
    let run = workspace.cli(&["verify"]);
    assert_eq!(run.code, Some(1), "{}{}", run.stdout, run.stderr);

    // The obstacle gone, everything is there.
    std::fs::write(workspace.db(), &sound).unwrap();
    workspace.cli(&tick).ok();
    workspace.cli(&["verify"]).ok();
}

#[test]
fn named_accounts_are_apart_and_can_be_started_over() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    let moment = at(20);
    let source = recording.source(&moment);
    let run = |args: &[&str]| {
        let mut all = args.to_vec();
        all.extend(&source);
        workspace.cli_bare(&all)
    };
    run(&["call", "get_portfolio"]).ok();
    let bold = json!({
        "market_id": "1009",
        "token_id": recording.token("1009", 0),
        "side": "buy",
        "size": 20,
        "price": 0.51,
    })
    .to_string();
    run(&["call", "place_trade", "--json", &bold, "--account", "bold"]).ok();
    assert!(workspace.path("polymarket_agent_recorded.db").exists());
    assert!(workspace.path("polymarket_agent_recorded.bold.db").exists());

    let listed = workspace
        .cli_bare(&["account", "list", "--json"])
        .ok()
        .json();
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|account| account["account"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["bold", "default"]);
    assert_eq!(listed[0]["positions"], 1);
    assert_eq!(listed[1]["positions"], 0);
    let status = |name: &str| {
        workspace
            .cli_bare(&[
                "status",
                "--source",
                "recorded",
                "--account",
                name,
                "--json",
            ])
            .ok()
            .json()
    };
    assert_eq!(status("bold")["account"], "bold");
    let before = std::fs::read(workspace.path("polymarket_agent_recorded.db")).unwrap();

    let reset = workspace
        .cli_bare(&[
            "account",
            "reset",
            "--account",
            "bold",
            "--source",
            "recorded",
            "--balance",
            "250.5",
            "--json",
        ])
        .ok()
        .json();
    let archived = reset["archived"].as_str().unwrap();
    assert!(
        archived.contains("polymarket_agent_recorded.bold.archived-"),
        "{archived}"
    );
    assert_eq!(status("bold")["balance"], 250.5);
    assert_eq!(status("bold")["positions"], json!([]));
    workspace.cli_bare(&["verify", "--db", archived]).ok();
    let old = workspace
        .cli_bare(&["status", "--db", archived, "--json"])
        .ok()
        .json();
    assert_eq!(
        old["positions"].as_array().unwrap().len(),
        1,
        "nothing is deleted"
    );
    assert_eq!(
        std::fs::read(workspace.path("polymarket_agent_recorded.db")).unwrap(),
        before,
        "the other account is left alone"
    );
    // It trades on, at the moment that the old one began.
    run(&["call", "place_trade", "--json", &bold, "--account", "bold"]).ok();
    let names = workspace.cli_bare(&["account", "list"]).ok().stdout;
    assert!(!names.contains("archived"), "{names}");
}

#[test]
fn what_names_no_account_is_refused() {
    let workspace = Workspace::new();
    for args in [
        &["status", "--account", "Bold"][..],
        &["status", "--account", "../x"],
        &["status", "--account", ""],
        &["--db", "x.db", "status", "--account", "bold"],
        &["status", "--db", "x.db", "--account", "bold"],
        &["account"],
        &["backup"],
    ] {
        let run = workspace.cli_bare(args);
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.stderr);
    }
    let none = workspace
        .cli_bare(&["account", "reset", "--account", "none"])
        .failed();
    assert!(
        none.stderr.contains("polymarket_agent.none.db"),
        "{}",
        none.stderr
    );
    let list = workspace.cli_bare(&["account", "list"]).ok();
    assert!(list.stdout.contains("no account"), "{}", list.stdout);
}

#[test]
fn an_account_in_use_is_not_started_over() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    traded(&workspace, &recording);
    let moment = at(20);
    let server = workspace.server().args(&recording.source(&moment));
    let mut raw = RawServer::spawn(&server);
    raw.initialize();
    raw.call("get_portfolio", json!({}));
    for args in [
        &["account", "reset"][..],
        &["account", "reset", "--balance", "0"],
        &["account", "reset", "--balance", "much"],
    ] {
        workspace.cli(args).failed();
    }
    let portfolio = raw.call("get_portfolio", json!({}));
    assert_eq!(
        portfolio["positions"].as_object().map(|held| held.len()),
        Some(1)
    );
    raw.close();
}

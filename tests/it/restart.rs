//! Killed with SIGKILL between and during ticks, restarted: nothing is lost, nothing is doubled.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{CALM, Ledger, RawServer, Recording, Workspace, at, close};

/// Exits are attached, so that there are conditional orders to lose.
const CONFIG: &str = "conditional_orders: {enabled: true}\npoll_interval: 1\n";
/// Nothing happens between one tick and the end of the test.
const ONE_TICK: &str = "conditional_orders: {enabled: true}\npoll_interval: 3600\n";
/// Hour of the recording at which the run begins: one market rises in each of the next six.
const FIRST: i64 = 30;
const TICKS: i64 = 6;

/// `run` from tick number `done` on.
fn run(workspace: &Workspace, recording: &Recording, done: i64) -> Child {
    let moment = at(FIRST + done);
    let left = (TICKS - done).to_string();
    let mut args = vec!["run", "--step", "3600", "--ticks", &left];
    args.extend(recording.source(&moment));
    workspace
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Ticks that the database knows of.
fn ticks_done(workspace: &Workspace) -> i64 {
    if !workspace.db().exists() {
        return 0;
    }
    let status = workspace.cli(&["status", "--json"]);
    if status.code == Some(0) {
        return status.json()["ticks"].as_i64().unwrap();
    }
    // Killed before the file became a database.
    assert_eq!(status.code, Some(1), "{}", status.stderr);
    0
}

/// The same six ticks without any interruption.
fn undisturbed(recording: &Recording) -> Ledger {
    let workspace = Workspace::with_config(CONFIG);
    let moment = at(FIRST);
    let ticks = TICKS.to_string();
    let mut args = vec!["run", "--step", "3600", "--ticks", &ticks];
    args.extend(recording.source(&moment));
    let run = workspace.cli(&args).ok();
    assert_eq!(run.stdout.lines().count(), 6, "{}", run.stdout);
    let status = workspace.cli(&["status", "--json"]).ok().json();
    // Six purchases of 44.64 at 0.56 (fee 0.54996), one stopped out at 0.39 (fee 0.53099), one
    // settled at 1; four held at 0.54.
    let cash = 1000.0 - 6.0 * (24.9984 + 0.54996) + 44.64 * 0.39 - 0.53099 + 44.64;
    close(status["balance"].as_f64().unwrap(), cash);
    close(
        status["total_value"].as_f64().unwrap(),
        cash + 4.0 * 44.64 * 0.54,
    );
    let ledger = Ledger::read(&workspace.db());
    assert_eq!(ledger.trades.len(), 8);
    assert_eq!(ledger.signals.len(), 6);
    ledger
}

/// What the account says of itself, asked from another process.
fn account(workspace: &Workspace, recording: &Recording) -> Value {
    let moment = at(FIRST);
    let ask = |tool: &str| {
        let source = recording.source(&moment);
        workspace.call(&source, tool, &json!({})).ok().json()
    };
    json!({
        "portfolio": ask("get_portfolio"),
        "conditional_orders": ask("get_conditional_orders"),
        "signals": ask("get_signal_log"),
        "snapshots": ask("get_portfolio_snapshots"),
        "performance": ask("get_strategy_performance"),
    })
}

#[test]
fn killed_between_any_two_ticks() {
    let recording = Recording::new();
    let workspace = Workspace::with_config(ONE_TICK);
    for done in 0..TICKS {
        let mut child = run(&workspace, &recording, done);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("[paper] markets="), "{line}");
        let before = account(&workspace, &recording);
        kill(child);
        assert_eq!(account(&workspace, &recording), before);
        assert_eq!(ticks_done(&workspace), done + 1);
    }
    assert_eq!(Ledger::read(&workspace.db()), undisturbed(&recording));
}

#[test]
fn killed_at_any_moment_of_a_tick() {
    let recording = Recording::new();
    let workspace = Workspace::with_config(CONFIG);
    let (mut kills, mut delay) = (0, 0);
    loop {
        let done = ticks_done(&workspace);
        if done == TICKS {
            break;
        }
        assert!(kills < 300, "{done} ticks after {kills} kills");
        let child = run(&workspace, &recording, done);
        std::thread::sleep(Duration::from_millis(delay));
        kill(child);
        kills += 1;
        // From before the program has begun to after its tick, then again from the middle.
        let now = ticks_done(&workspace);
        assert!(now == done || now == done + 1, "{done} → {now}");
        delay = if now > done { delay * 3 / 4 } else { delay + 5 };
    }
    assert!(kills > TICKS, "some kill must come before a tick is done");
    assert_eq!(Ledger::read(&workspace.db()), undisturbed(&recording));
}

/// The agent's own orders survive too, and its order ids keep it from trading twice.
#[test]
fn killed_after_an_agents_order() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let moment = at(20);
    let server = workspace.server().args(&recording.source(&moment));
    let mut raw = RawServer::spawn(&server);
    raw.initialize();
    let order = json!({
        "market_id": CALM, "token_id": recording.token(CALM, 0), "side": "buy",
        "size": 25, "price": 0.51, "client_order_id": "before-the-crash",
        "stop_loss": 0.4, "take_profit": 0.7,
    });
    let placed = raw.call("place_trade", order.clone());
    let trailing = raw.call(
        "create_conditional_order",
        json!({
            "market_id": CALM, "token_id": recording.token(CALM, 0),
            "order_type": "trailing_stop", "trigger_price": 0.49, "trail_percent": 0.1, "size": 5,
        }),
    );
    let estimate = raw.call(
        "analyze_market",
        json!({"market_id": CALM, "probability": 0.6, "author": "crash"}),
    );
    let listed = raw.call("get_conditional_orders", json!({}));
    let portfolio = raw.call("get_portfolio", json!({}));
    let log = raw.call("get_signal_log", json!({}));
    raw.kill();

    let mut raw = RawServer::spawn(&server);
    raw.initialize();
    assert_eq!(raw.call("get_signal_log", json!({})), log);
    assert_eq!(raw.call("get_conditional_orders", json!({})), listed);
    assert_eq!(listed["orders"].as_array().unwrap().len(), 3);
    assert_eq!(listed["orders"][2], trailing["order"]);
    let again = raw.call("place_trade", order);
    assert_eq!(again["order_id"], placed["order_id"]);
    assert_eq!(again["fills"], placed["fills"]);
    // The dossier again, so that the server has read the question as the first one had.
    let dossier = raw.call("analyze_market", json!({"market_id": CALM}));
    assert_eq!(estimate["estimates"][0]["author"], "crash");
    assert_eq!(dossier["estimates"], estimate["estimates"]);
    assert_eq!(raw.call("get_portfolio", json!({})), portfolio);
    raw.close();
}

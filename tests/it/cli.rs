//! The command line: what it prints, what it refuses, and what it says then.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Recording, Run, Workspace, at, close};
use crate::tools_good::TOOLS;

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn version_and_help_go_to_standard_output() {
    let workspace = Workspace::new();
    let expected = format!("polymarket-agent {}\n", env!("CARGO_PKG_VERSION"));
    for flag in ["--version", "-V"] {
        let run = workspace.cli_bare(&[flag]).ok();
        assert_eq!(run.stdout, expected);
        assert_eq!(run.stderr, "");
    }
    let help = workspace.cli_bare(&["--help"]).ok();
    for command in [
        "serve",
        "run",
        "tick",
        "status",
        "backtest",
        "sweep",
        "dashboard",
        "demo",
        "record",
        "download",
        "sandbox",
        "call",
        "tools",
        "verify",
        "backup",
        "account",
    ] {
        assert!(
            help.stdout.contains(&format!("\n  {command} ")),
            "{command}"
        );
        let own = workspace.cli_bare(&[command, "--help"]).ok();
        assert!(own.stdout.contains("Usage: polymarket-agent"), "{command}");
    }
}

#[test]
fn wrong_usage_is_exit_status_2() {
    let workspace = Workspace::new();
    for args in [
        &["frobnicate"][..],
        &[],
        &["tick", "--source", "recorded"],
        &["tick", "--source", "elsewhere"],
        &["run", "--ticks", "many"],
        &["record", "--out", "x"],
        &["record", "--out", "x", "--top", "3", "--markets", "rain"],
        &["record", "--out", "x", "--top", "0"],
        &[
            "download",
            "--out",
            "x",
            "--market",
            "rain",
            "--from",
            "2026-05-01",
        ],
        &["call"],
    ] {
        let run = workspace.cli_bare(args);
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(run.stderr.contains("--help"), "{args:?}: {}", run.stderr);
    }
}

/// Demands these words on standard error, a hint, exit status 1 and nothing on standard output.
#[track_caller]
fn refused(run: Run, words: &[&str]) {
    let run = run.failed();
    assert_eq!(run.stdout, "");
    for word in words {
        assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
    }
}

#[test]
fn live_trading_is_refused_with_a_hint() {
    let workspace = Workspace::new();
    for command in ["tick", "run"] {
        refused(workspace.cli(&[command, "--live"]), &["--live", "paper"]);
    }
    workspace.configure("mode: live\n");
    for command in ["tick", "run", "serve"] {
        refused(
            workspace.cli(&[command, "--source", "sandbox"]),
            &["live", "paper or monitor"],
        );
    }
    assert!(!workspace.db().exists());
}

#[test]
fn configuration_faults_name_the_file_and_the_key() {
    let workspace = Workspace::new();
    refused(
        workspace.cli_bare(&["tick", "--config", "no-such.yaml"]),
        &["no-such.yaml", "No such file"],
    );
    for (yaml, words) in [
        (
            "risk: {max_positon_size: 5}\n",
            ["risk.max_positon_size", "max_position_size"],
        ),
        (
            "risk: {max_position_size: lots}\n",
            ["risk.max_position_size", "lots"],
        ),
        ("strategies: {oracle: {}}\n", ["oracle", "signal_trader"]),
        ("poll_interval: 0\n", ["poll_interval", "at least 1"]),
        ("starting_balance: -1\n", ["starting_balance", "above 0"]),
        (
            "monitoring: {log_file: '${NOT_SET_ANYWHERE}'}\n",
            ["NOT_SET_ANYWHERE", "config.yaml"],
        ),
        ("mode: [paper\n", ["config.yaml", "hint"]),
    ] {
        workspace.configure(yaml);
        refused(workspace.cli(&["tick", "--source", "sandbox"]), &words);
    }
    assert!(!workspace.db().exists());
}

#[test]
fn a_config_yaml_in_the_folder_is_read_without_being_named() {
    let workspace = Workspace::with_config("starting_balance: 250\n");
    let recording = Recording::new();
    let moment = at(20);
    let mut args = vec!["call", "get_portfolio"];
    args.extend(recording.source(&moment));
    let account = workspace.cli_bare(&args).ok().json();
    assert_eq!(account["balance"], 250.0);
    // Each kind of source has an account of its own.
    assert!(workspace.path("polymarket_agent_recorded.db").exists());
}

#[test]
fn moments_and_directories_that_are_none_are_refused() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    refused(
        workspace.cli(
            &["tick"]
                .iter()
                .copied()
                .chain(recording.source("noon"))
                .collect::<Vec<_>>(),
        ),
        &["--at `noon`", "RFC 3339"],
    );
    let empty = workspace.path("empty");
    std::fs::create_dir(&empty).unwrap();
    refused(
        workspace.cli(&["backtest", text(&empty)]),
        &["no file with prices", "timestamp,market_id"],
    );
    let missing = workspace.path("missing");
    refused(
        workspace.cli(&["backtest", text(&missing)]),
        &["not a directory"],
    );
    let data = recording.path();
    refused(
        workspace.cli(&["backtest", text(&data), "--start", "2030-01-01"]),
        &["start and end inside the recording"],
    );
    refused(
        workspace.cli(&["backtest", text(&data), "--end", "soon"]),
        &["--end `soon`"],
    );
    refused(
        workspace.cli(&[
            "call",
            "get_portfolio",
            "--json",
            "nope",
            "--source",
            "sandbox",
        ]),
        &["--json is not JSON"],
    );
}

#[test]
fn call_names_the_tool_that_was_probably_meant() {
    let workspace = Workspace::new();
    let source = ["--source", "sandbox", "--step", "600"];
    let run = workspace.call(&source, "get_portfolo", &json!({})).failed();
    assert_eq!(run.json()["code"], "unknown_tool");
    assert!(
        run.stderr.contains("did you mean get_portfolio?"),
        "{}",
        run.stderr
    );
    // The shell may tick by name, which no client may.
    let run = workspace.call(&source, "tick", &json!({})).ok();
    assert_eq!(run.json()["tick"], 1);
}

/// A separate small script works the result out again from the trades.
fn recomputed(result: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/recompute_pnl.py");
    let run = Command::new("python3").arg(script).arg(result).output();
    let run = match run {
        Ok(run) => run,
        Err(error) if std::env::var_os("CI").is_none() => {
            println!("skipped: no python3 ({error})");
            return;
        }
        Err(error) => panic!("no python3: {error}"),
    };
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert!(run.status.success(), "{out}{err}");
    assert!(out.contains("all agree to the micro-dollar"), "{out}{err}");
}

#[test]
fn a_backtest_is_printed_and_written() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    let data = recording.path();
    let file = workspace.path("result.json");
    let run = workspace
        .cli(&[
            "backtest",
            text(&data),
            "--start",
            "2026-06-02",
            "--end",
            "2026-06-02T08:30:00Z",
            "--trades",
            "--output",
            text(&file),
        ])
        .ok();
    // Hours 24 to 32: three markets have risen by then.
    assert!(run.stdout.contains("9 moments"), "{}", run.stdout);
    assert!(
        run.stdout
            .contains("Closed trades: 0 (3 executions, 0 settled, 3 positions open)")
    );
    assert!(run.stderr.contains("written to"), "{}", run.stderr);
    let result: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(result["start"], "2026-06-02T00:00:00Z");
    assert_eq!(result["end"], "2026-06-02T08:00:00Z");
    assert_eq!(result["frames"], 9);
    assert_eq!(result["partial"], false);
    let trades = result["trades"].as_array().unwrap();
    assert_eq!(trades.len(), 3);
    for (trade, hour) in trades.iter().zip(30..) {
        assert_eq!(trade["timestamp"], at(hour));
        assert_eq!(trade["side"], "buy");
        assert_eq!(trade["price"], 0.56);
        assert_eq!(trade["shares"], 44.64);
        assert_eq!(trade["size"], 24.9984);
        assert_eq!(trade["fee"], 0.54996);
    }
    // Nothing is closed, and yet fees were paid.
    close(result["metrics"]["fees"].as_f64().unwrap(), 3.0 * 0.54996);
    close(
        result["final_cash"].as_f64().unwrap(),
        1000.0 - 3.0 * (24.9984 + 0.54996),
    );
    close(
        result["final_equity"].as_f64().unwrap(),
        1000.0 - 3.0 * (44.64 * 0.02 + 0.54996),
    );
    let printed = workspace
        .cli(&[
            "backtest",
            text(&data),
            "--start",
            "2026-06-02",
            "--end",
            "2026-06-02T08:30:00Z",
            "--trades",
            "--json",
        ])
        .ok()
        .json();
    assert_eq!(printed, result);
    let untold = workspace.cli(&["backtest", text(&data), "--json"]).ok();
    assert!(untold.json().get("trades").is_none());
    for (name, start) in [
        ("report.md", "> **books were synthesised"),
        ("report.html", "<!doctype html>"),
    ] {
        let file = workspace.path(name);
        workspace
            .cli(&["backtest", text(&data), "--output", text(&file)])
            .ok();
        let report = std::fs::read_to_string(&file).unwrap();
        assert!(
            report.to_lowercase().starts_with(start),
            "{name}: {report:.60}"
        );
    }
    // A folder gets all forms.
    let folder = workspace.path("all");
    workspace
        .cli(&["backtest", text(&data), "--output", text(&folder)])
        .ok();
    for name in ["report.md", "report.html", "chart.png", "result.json"] {
        let size = std::fs::metadata(folder.join(name)).unwrap().len();
        assert!((1_000..1_000_000).contains(&size), "{name}: {size}");
    }
    let chart = std::fs::read(folder.join("chart.png")).unwrap();
    assert_eq!(&chart[..8], b"\x89PNG\r\n\x1a\n");
    let whole: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("result.json")).unwrap())
            .unwrap();
    assert!(!whole["trades"].as_array().unwrap().is_empty());
    assert!(whole["metrics"]["reasons"].is_object());
    let odd = workspace.path("report.pdf");
    refused(
        workspace.cli(&["backtest", text(&data), "--output", text(&odd)]),
        &["no report has this form", "a folder for all"],
    );
    // Known before the work: not even root can make a file there.
    if cfg!(target_os = "linux") {
        refused(
            workspace.cli(&["backtest", text(&data), "--output", "/proc/reports"]),
            &["/proc: nothing can be written there"],
        );
    }
    let below = workspace.path("report.md").join("reports");
    refused(
        workspace.cli(&["backtest", text(&data), "--output", text(&below)]),
        &["report.md: nothing can be written there"],
    );
    // Known only afterwards: the result is printed all the same.
    let taken = workspace.path("taken");
    std::fs::create_dir_all(taken.join("report.md")).unwrap();
    let unwritten = workspace.cli(&["backtest", text(&data), "--json", "--output", text(&taken)]);
    assert_eq!(unwritten.code, Some(1));
    assert_eq!(unwritten.json(), untold.json());
    recomputed(&folder.join("result.json"));
    // A backtest has an account of its own.
    assert!(!workspace.db().exists());
}

#[test]
fn status_is_text_or_json() {
    let workspace = Workspace::new();
    refused(workspace.cli(&["status"]), &["no database"]);
    let recording = Recording::new();
    let moment = at(30);
    let mut args = vec!["tick"];
    args.extend(recording.source(&moment));
    let tick = workspace.cli(&args).ok();
    for words in [
        "Tick 1 at 2026-06-02T06:00:00Z",
        "Markets: 8, Signals: 1, Trades: 1",
        "44.64 @ 0.56 = $25.00, fee $0.54996",
        "signal_trader: looked at 8, 1 signals",
        "passed over: move 0.05 not reached",
    ] {
        assert!(tick.stdout.contains(words), "{words}: {}", tick.stdout);
    }
    let status = workspace.cli(&["status"]).ok();
    for words in [
        "Mode: paper (source recorded)",
        "Balance: $974.45",
        "Total Value: $998.56",
        "fees paid $0.55",
        "Positions: 1 (as of 2026-06-02T06:00:00Z, 1 ticks)",
        "1001           Yes               44.64   0.5600   0.5400      -0.89     -3.6",
    ] {
        assert!(status.stdout.contains(words), "{words}: {}", status.stdout);
    }
    let status = workspace.cli(&["status", "--json"]).ok().json();
    close(status["balance"].as_f64().unwrap(), 974.45164);
    // 974.45164 + 44.64 × 0.54
    close(status["total_value"].as_f64().unwrap(), 998.55724);
    assert_eq!(status["equity_complete"], true);
    assert_eq!(status["source"], "recorded");
    assert_eq!(status["ticks"], 1);
    assert_eq!(status["fees_paid"], 0.54996);
    let held = &status["positions"][0];
    assert_eq!(held["market_id"], "1001");
    assert_eq!(held["shares"], 44.64);
    close(held["pnl"].as_f64().unwrap(), -44.64 * 0.02);
    close(held["pnl_pct"].as_f64().unwrap(), -0.02 / 0.56 * 100.0);
}

#[test]
fn status_can_demand_that_the_account_is_alive() {
    let workspace = Workspace::new();
    refused(
        workspace.cli(&["status", "--max-age", "900"]),
        &["no database"],
    );
    std::fs::write(workspace.db(), "").unwrap();
    refused(
        workspace.cli(&["status", "--max-age", "900"]),
        &["is empty", "tick"],
    );
    // A recording of June 2026 is older than a minute, and younger than 136 years.
    let recording = Recording::new();
    let moment = at(30);
    let mut args = vec!["tick"];
    args.extend(recording.source(&moment));
    workspace.cli(&args).ok();
    refused(
        workspace.cli(&["status", "--max-age", "60"]),
        &["2026-06-02T06:00:00Z", "allowed are 60 s", "clock"],
    );
    let alive = workspace.cli(&["status", "--max-age", "4294967295"]).ok();
    assert_eq!(alive.stdout, workspace.cli(&["status"]).ok().stdout);
    let wrong = workspace.cli(&["status", "--max-age", "-1"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

/// The summary without what may differ from one run to the next.
fn lasting(mut summary: Value) -> Value {
    for field in ["seconds", "ledger"] {
        assert!(summary.as_object_mut().unwrap().remove(field).is_some());
    }
    summary
}

#[test]
fn the_demo_of_a_seed_is_always_the_same() {
    let demo = || {
        std::thread::spawn(|| {
            let workspace = Workspace::new();
            let run = workspace.cli(&["demo", "--json", "--ticks", "2", "--seed", "7"]);
            let run = run.ok();
            assert!(run.stderr.contains("tick 2/2"), "{}", run.stderr);
            // It writes to a new database only.
            let before = std::fs::read(workspace.db()).unwrap();
            let again = workspace.cli(&["demo", "--ticks", "1"]).failed();
            assert!(again.stderr.contains("new database"), "{}", again.stderr);
            assert_eq!(std::fs::read(workspace.db()).unwrap(), before);
            run.json()
        })
    };
    let (first, second) = (demo(), demo());
    let (first, second) = (first.join().unwrap(), second.join().unwrap());
    let number = |field: &str| first[field].as_f64().unwrap();
    assert_eq!(number("ticks"), 2.0);
    assert_eq!(first["simulated"], true);
    for field in [
        "markets", "signals", "orders", "fills", "fees", "cash", "equity",
    ] {
        assert!(number(field) > 0.0, "{field}");
    }
    let by_strategy = first["signals_by_strategy"].as_object().unwrap();
    let strategies: Vec<&String> = by_strategy.keys().collect();
    assert_eq!(
        strategies,
        ["ai_analyst", "arbitrageur", "market_maker", "signal_trader"]
    );
    let signals: u64 = by_strategy.values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(number("signals") as u64, signals);
    // Cash in, less what was bought and its fees, plus what was sold, is cash now.
    let orders = first["executed_orders"].as_array().unwrap();
    let (mut cash, mut fees) = (1000.0, 0.0);
    for order in orders {
        let notional = order["notional"].as_f64().unwrap();
        cash += if order["side"] == "buy" {
            -notional
        } else {
            notional
        };
        fees += order["fee"].as_f64().unwrap();
    }
    assert_eq!(first["settlements"], 0);
    assert_eq!(number("fills") as u64, fills_of(orders));
    close(number("fees"), fees);
    close(number("cash"), cash - fees);
    assert_eq!(lasting(first), lasting(second));
}

fn fills_of(orders: &[Value]) -> u64 {
    let fills = |order: &Value| order["fills"].as_array().unwrap().len() as u64;
    orders.iter().map(fills).sum()
}

#[test]
fn the_contracts_are_written_one_file_a_tool() {
    let workspace = Workspace::new();
    let out = workspace.path("contracts");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("gone_tool.json"), "{}").unwrap();
    std::fs::write(out.join("README.md"), "kept").unwrap();
    let run = workspace.cli_bare(&["tools", "--out", text(&out)]).ok();
    assert!(run.stdout.starts_with("24 tools in "), "{}", run.stdout);
    let mut names: Vec<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected: Vec<String> = TOOLS.iter().map(|tool| format!("{tool}.json")).collect();
    expected.push("README.md".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    for tool in TOOLS {
        let file = std::fs::read_to_string(out.join(format!("{tool}.json"))).unwrap();
        let contract: Value = serde_json::from_str(&file).unwrap();
        assert_eq!(contract["name"], tool);
        assert!(contract["inputSchema"].is_object() && contract["outputSchema"].is_object());
        // A change to what agents see must show in review.
        let checked_in = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
        let reviewed = std::fs::read_to_string(checked_in.join(format!("{tool}.json"))).unwrap();
        assert_eq!(file, reviewed, "run `polymarket-agent tools`");
    }
}

#[test]
fn time_only_moves_forward() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let tick = |hours: i64| {
        let moment = at(hours);
        let mut args = vec!["tick"];
        args.extend(recording.source(&moment));
        workspace.cli(&args)
    };
    tick(20).ok();
    let refused = tick(10).failed();
    assert!(
        refused.stderr.contains("An account only moves forward"),
        "{}",
        refused.stderr
    );
    tick(21).ok();
    let beyond = tick(24 * 400).failed();
    assert!(
        beyond
            .stderr
            .contains("more than a year after the recording's end"),
        "{}",
        beyond.stderr
    );
}

//! Word of each execution: console, webhooks, structured logs.

use serde_json::Value;

use crate::support::{Recording, Run, Sink, Workspace, at};

/// A tick that buys 44.64 shares of market 1001 at 0.56.
fn tick(workspace: &Workspace) -> Run {
    let recording = Recording::new();
    let moment = at(30);
    let mut args = vec!["tick", "--json"];
    args.extend(recording.source(&moment));
    workspace.cli(&args)
}

const TEXT: &str = "Trade executed: buy 25.00 USDC on 1001 (signal_trader) at 0.56, outcome Yes: \
                    Will number 1001 happen?";

#[test]
fn a_trade_is_told_to_every_webhook_whatever_the_others_do() {
    let good = Sink::answering("200 OK");
    let failing = Sink::answering("500 Internal Server Error");
    let closed = "http://127.0.0.1:9/secret-path";
    let workspace = Workspace::with_config(&format!(
        "monitoring: {{alert_webhooks: ['{closed}', '{}', '{}']}}\n",
        failing.url(),
        good.url()
    ));
    let run = tick(&workspace).ok();
    let report = run.json();
    assert_eq!(report["orders"][0]["status"], "filled");
    for sink in [&good, &failing] {
        let bodies = sink.bodies();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        let body: Value = serde_json::from_str(&bodies[0]).unwrap();
        assert_eq!(body["text"], TEXT);
        assert_eq!(body["content"], TEXT);
    }
    assert!(
        run.stderr.contains(&format!("[ALERT] {TEXT}")),
        "{}",
        run.stderr
    );
    let undelivered = run
        .stderr
        .lines()
        .filter(|line| line.contains("an alert could not be delivered"))
        .count();
    assert_eq!(undelivered, 2, "{}", run.stderr);
    assert!(run.stderr.contains("status 500"), "{}", run.stderr);
    // A webhook's address is a secret.
    assert!(!run.stderr.contains("secret-path"), "{}", run.stderr);
    assert!(!run.stderr.contains("/hook"), "{}", run.stderr);
}

#[test]
fn a_webhook_that_is_no_address_is_named_by_its_place() {
    let workspace = Workspace::with_config(
        "monitoring: {alert_webhooks: ['http://127.0.0.1:9/x', 'nonsense']}\n",
    );
    let run = tick(&workspace).failed();
    assert!(run.stderr.contains("webhook 2"), "{}", run.stderr);
    assert!(!run.stderr.contains("nonsense"), "{}", run.stderr);
}

#[test]
fn structured_logs_are_lines_of_json_with_six_keys() {
    let workspace = Workspace::new();
    let file = workspace.path("agent.log");
    workspace.configure(&format!(
        "monitoring: {{structured_logging: true, log_file: '{}'}}\n",
        file.display()
    ));
    let run = tick(&workspace).ok();
    let written = std::fs::read_to_string(&file).unwrap();
    for text in [&run.stderr, &written] {
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect();
        assert!(!lines.is_empty());
        for line in &lines {
            let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
            assert_eq!(
                keys,
                [
                    "timestamp",
                    "level",
                    "logger",
                    "message",
                    "exception",
                    "data"
                ]
            );
        }
        let alert = lines
            .iter()
            .find(|line| line["message"] == format!("[ALERT] {TEXT}"))
            .unwrap_or_else(|| panic!("{text}"));
        assert_eq!(alert["level"], "WARN");
        assert_eq!(alert["exception"], Value::Null);
        assert_eq!(alert["data"]["strategy"], "signal_trader");
        assert_eq!(alert["data"]["side"], "buy");
        assert_eq!(alert["data"]["size"], 24.9984);
        assert_eq!(alert["data"]["market_id"], "1001");
    }
    // The report itself stays alone on standard output.
    assert_eq!(run.json()["fills"], 1);
}

//! A venue that cannot be reached: the server lives, says so, and keeps what it holds available.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Workspace, close};

/// A configuration whose venue is a loopback port that nobody listens on: a low one, because the
/// system hands out high ones to the servers of other tests.
fn unreachable() -> Workspace {
    let url = "http://127.0.0.1:9";
    Workspace::with_config(&format!(
        "venue: {{gamma_url: '{url}', clob_url: '{url}', data_url: '{url}', retries: 0, \
         connect_timeout_seconds: 1, timeout_seconds: 2}}\n"
    ))
}

#[test]
fn the_very_first_health_check_knows_already() {
    let health = unreachable()
        .call(&[], "health_check", &json!({}))
        .ok()
        .json();
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["source"]["reachable"], false);
    let problem = health["problems"][0].as_str().unwrap();
    assert!(problem.contains("127.0.0.1"), "{problem}");
}

#[tokio::test]
async fn the_server_starts_and_says_what_is_wrong() {
    let workspace = unreachable();
    let session = workspace.server().spawn_stdio().await;
    assert_eq!(session.tools().await.len(), 24);
    // The probe at the start finds out; nobody has to ask first.
    let deadline = Instant::now() + Duration::from_secs(20);
    let health = loop {
        let health = session.call("health_check", json!({})).await;
        if health["status"] == "degraded" {
            break health;
        }
        assert!(Instant::now() < deadline, "{health}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(health["source"]["reachable"], false);
    assert_eq!(health["source"]["kind"], "polymarket");
    let problem = health["problems"][0].as_str().unwrap();
    assert!(problem.contains("127.0.0.1"), "{problem}");
    assert!(problem.contains("--source sandbox"), "{problem}");
    for (tool, arguments) in [
        ("search_markets", json!({"query": "win"})),
        ("get_market_detail", json!({"market_id": "1"})),
        ("get_price_history", json!({"token_id": "1"})),
        ("get_event", json!({"event_id": "1"})),
        ("get_price", json!({"token_id": "1"})),
        ("get_spread", json!({"token_id": "1"})),
        ("get_volume", json!({"event_id": "1"})),
        (
            "get_positions",
            json!({"address": format!("0x{}", "ab".repeat(20))}),
        ),
        ("get_leaderboard", json!({})),
        ("refresh_signals", json!({})),
        ("analyze_market", json!({"market_id": "1"})),
        (
            "place_trade",
            json!({"market_id": "1", "token_id": "1", "side": "buy", "size": 5, "price": 0.5}),
        ),
        (
            "create_conditional_order",
            json!({
                "market_id": "1", "token_id": "1", "order_type": "stop_loss",
                "trigger_price": 0.5,
            }),
        ),
    ] {
        let failure = session.fails(tool, arguments).await;
        assert_eq!(failure.code, "venue_unreachable", "{tool}: {failure:?}");
        assert!(failure.message.contains("127.0.0.1"), "{tool}: {failure:?}");
        assert!(failure.hint.contains("--source"), "{tool}: {failure:?}");
    }
    // What the server holds itself needs no network.
    let account = session.call("get_portfolio", json!({})).await;
    close(account["balance"].as_f64().unwrap(), 1000.0);
    for tool in [
        "get_signals",
        "get_signal_log",
        "get_conditional_orders",
        "get_portfolio_snapshots",
        "get_strategy_performance",
    ] {
        session.call(tool, json!({})).await;
    }
    session.close().await;
}

#[test]
fn commands_fail_with_a_hint_and_change_nothing() {
    let workspace = unreachable();
    let tick = workspace.cli(&["tick"]).failed();
    assert_eq!(tick.stdout, "");
    assert!(
        tick.stderr.contains("could not be reached"),
        "{}",
        tick.stderr
    );
    assert!(tick.stderr.contains("--source"), "{}", tick.stderr);
    let call = workspace
        .call(&[], "search_markets", &json!({"query": "win"}))
        .failed();
    assert_eq!(call.json()["code"], "venue_unreachable");
    let status = workspace.cli(&["status", "--json"]).ok().json();
    assert_eq!(status["ticks"], 0);
    assert_eq!(status["balance"], 1000.0);
    // A run goes on: the venue may come back.
    let run = workspace.cli(&["run", "--ticks", "1"]).ok();
    assert!(run.stderr.contains("tick failed"), "{}", run.stderr);
    assert!(run.stderr.contains("hint"), "{}", run.stderr);
}

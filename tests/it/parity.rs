//! The shell and MCP give the same answers, and two processes on one ledger keep out of each
//! other's way.

use serde_json::{Value, json};

use crate::support::{CALM, RISING, RawServer, Recording, Session, Workspace, at, close};

/// Every tool that changes nothing, with arguments, in an order that leaves each process with the
/// same knowledge: the account first, markets after it.
fn questions(recording: &Recording) -> Vec<(&'static str, Value)> {
    let token = recording.token(CALM, 1);
    vec![
        ("get_portfolio", json!({})),
        ("get_conditional_orders", json!({})),
        ("get_signals", json!({})),
        ("get_signal_log", json!({"limit": 3})),
        (
            "get_signal_log",
            json!({"strategy": "signal_trader", "before": 3}),
        ),
        ("get_portfolio_snapshots", json!({"limit": 2})),
        ("get_strategy_performance", json!({})),
        ("search_markets", json!({"query": "happen", "limit": 3})),
        ("get_market_detail", json!({"market_id": CALM})),
        ("get_market_detail", json!({"market_id": "number-1002"})),
        ("get_event", json!({"event_id": "event-1009"})),
        ("get_volume", json!({"event_id": "event-1009"})),
        ("get_price", json!({"token_id": token})),
        ("get_spread", json!({"token_id": token})),
        (
            "get_price_history",
            json!({"token_id": token, "interval": "all", "limit": 7}),
        ),
        ("analyze_market", json!({"market_id": CALM})),
        ("refresh_signals", json!({})),
        (
            "place_trade",
            json!({
                "market_id": CALM, "token_id": token, "side": "buy", "size": 500, "price": 0.6,
                "dry_run": true,
            }),
        ),
        // Failures are the same too.
        ("get_price", json!({"token_id": "1"})),
        ("get_leaderboard", json!({})),
        ("get_event", json!({"event_id": "event-1009", "limit": -1})),
        ("search_markets", json!({})),
    ]
}

/// The state of a server without its age.
fn ageless(mut health: Value) -> Value {
    let fields = health.as_object_mut().unwrap();
    assert!(fields.remove("uptime_seconds").unwrap().is_u64());
    health
}

#[tokio::test]
async fn the_shell_and_mcp_answer_alike() {
    let recording = Recording::new();
    let workspace = Workspace::with_config("conditional_orders: {enabled: true}\n");
    for hour in 30..35 {
        let moment = at(hour);
        let mut args = vec!["tick"];
        args.extend(recording.source(&moment));
        workspace.cli(&args).ok();
    }
    let moment = at(35);
    let source = recording.source(&moment);
    let write = json!({"market_id": CALM, "probability": 0.7, "author": "parity"});
    workspace.call(&source, "analyze_market", &write).ok();
    let shell = |tool: &str, arguments: &Value| workspace.call(&source, tool, arguments);
    let mut answers = Vec::new();
    for (tool, arguments) in questions(&recording) {
        answers.push(shell(tool, &arguments).json());
    }
    let health = ageless(shell("health_check", &json!({})).ok().json());
    for modern in [false, true] {
        let server = workspace.server().args(&source);
        let server = if modern { server.modern() } else { server };
        let session = server.spawn_stdio().await;
        let served = session.call("health_check", json!({})).await;
        assert_eq!(ageless(served), health);
        let questions = questions(&recording);
        for ((tool, arguments), told) in questions.iter().zip(&answers) {
            let result = session.raw(tool, arguments.clone()).await.unwrap();
            let mut said = result.structured_content.unwrap();
            if *tool == "place_trade" {
                // Who asks is the one thing that may differ, and must.
                assert_eq!(told["reason"], "Manual trade via shell");
                assert_eq!(said["reason"], "Manual trade via mcp:integration");
                said["reason"] = told["reason"].clone();
            }
            assert_eq!(&said, told, "{tool} {arguments}");
            assert_eq!(result.is_error, Some(told.get("code").is_some()), "{tool}");
        }
        session.close().await;
    }
    // There was something to say.
    assert!(!answers[0]["positions"].as_object().unwrap().is_empty());
    assert!(!answers[1]["orders"].as_array().unwrap().is_empty());
    assert_eq!(answers[3]["signals"].as_array().unwrap().len(), 3);
    let left = answers[15]["estimates"].as_array().unwrap();
    assert_eq!(left[0]["author"], "parity");
    assert_eq!(answers[16]["signals"][0]["strategy"], "signal_trader");
}

async fn open(workspace: &Workspace, recording: &Recording) -> Session {
    let moment = at(20);
    workspace
        .server()
        .args(&recording.source(&moment))
        .spawn_stdio()
        .await
}

#[tokio::test]
async fn a_second_process_reads_and_the_owner_trades_for_it() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let owner = open(&workspace, &recording).await;
    let reader = open(&workspace, &recording).await;
    let health = reader.call("health_check", json!({})).await;
    assert_eq!(health["owns_ledger"], false);
    assert_eq!(health["status"], "ok");
    let notes = health["source"]["notes"].to_string();
    assert!(notes.contains("owns the ledger"), "{notes}");
    let order = json!({
        "market_id": CALM, "token_id": recording.token(CALM, 0), "side": "buy",
        "size": 10, "price": 0.51,
    });
    let bought = owner.call("place_trade", order.clone()).await;
    let stop = json!({
        "market_id": CALM, "token_id": recording.token(CALM, 0), "order_type": "stop_loss",
        "trigger_price": 0.4,
    });
    owner.call("create_conditional_order", stop.clone()).await;
    // The reader sees at once what the owner did.
    for tool in [
        "get_conditional_orders",
        "get_signal_log",
        "get_strategy_performance",
    ] {
        let (theirs, ours) = (
            owner.call(tool, json!({})).await,
            reader.call(tool, json!({})).await,
        );
        assert_eq!(theirs, ours, "{tool}");
    }
    let seen = reader.call("get_portfolio", json!({})).await;
    assert_eq!(
        seen["positions"][recording.token(CALM, 0)]["shares"],
        bought["shares"]
    );
    // What changes something is done by the owner, whoever is asked.
    for (tool, arguments) in [
        ("place_trade", order.clone()),
        ("create_conditional_order", stop),
        ("cancel_conditional_order", json!({"order_id": 1})),
        (
            "analyze_market",
            json!({"market_id": CALM, "probability": 0.4}),
        ),
    ] {
        reader.call(tool, arguments).await;
    }
    let twice = owner.fails("cancel_conditional_order", json!({"order_id": 1}));
    let again = reader.fails("cancel_conditional_order", json!({"order_id": 1}));
    assert_eq!(twice.await, again.await);
    // The shell too.
    let moment = at(20);
    let source = recording.source(&moment);
    let told = workspace.call(&source, "get_portfolio", &json!({})).ok();
    let bought = 3.0 * bought["shares"].as_f64().unwrap();
    workspace.call(&source, "place_trade", &order).ok();
    let seen = reader.call("get_portfolio", json!({})).await;
    let shares = &seen["positions"][recording.token(CALM, 0)]["shares"];
    close(shares.as_f64().unwrap(), bought);
    assert_ne!(told.json()["balance"], seen["balance"]);
    let unchanged = owner.call("get_portfolio", json!({})).await;
    assert_eq!(unchanged["balance"], seen["balance"]);
    // The owner goes: the reader takes over at its next write, where the owner stopped.
    owner.close().await;
    let traded = reader.call("place_trade", order).await;
    assert_eq!(traded["status"], "filled");
    let health = reader.call("health_check", json!({})).await;
    assert_eq!(health["owns_ledger"], true);
    reader.close().await;
}

#[tokio::test]
async fn the_lock_of_a_dead_owner_is_taken_over() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let moment = at(20);
    let server = workspace.server().args(&recording.source(&moment));
    let mut raw = RawServer::spawn(&server);
    raw.initialize();
    let health = raw.call("health_check", json!({}));
    assert_eq!(health["owns_ledger"], true);
    raw.kill();
    assert!(workspace.path("ledger.db.lock").exists());
    let heir = open(&workspace, &recording).await;
    let health = heir.call("health_check", json!({})).await;
    assert_eq!(health["owns_ledger"], true);
    assert_eq!(health["status"], "ok");
    heir.call(
        "place_trade",
        json!({
            "market_id": CALM, "token_id": recording.token(CALM, 0), "side": "buy",
            "size": 10, "price": 0.51,
        }),
    )
    .await;
    heir.close().await;
}

/// Simulated and recorded prices never meet in one account.
#[test]
fn an_account_stays_with_its_kind_of_source() {
    let recording = Recording::new();
    let workspace = Workspace::new();
    let moment = at(30);
    let mut args = vec!["tick"];
    args.extend(recording.source(&moment));
    let first = workspace.cli(&args).ok();
    assert!(first.stdout.contains("Markets: 8"), "{}", first.stdout);
    assert!(
        first.stdout.contains("signal_trader buy Yes"),
        "{}",
        first.stdout
    );
    assert!(RISING.contains(&"1001"));
    let refused = workspace
        .cli(&["tick", "--source", "sandbox", "--step", "600"])
        .failed();
    assert!(refused.stderr.contains("recorded"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--db"), "{}", refused.stderr);
}

//! Every tool with input that makes no sense: each time an error that says what to do, never a
//! dead server.

use serde_json::{Value, json};

use crate::support::{RawServer, Recording, Session, Workspace, at};
use crate::tools_good::TOOLS;

/// A market of the sandbox with its first token and its tick.
async fn some_market(session: &Session) -> (String, String, f64) {
    let found = session
        .call("search_markets", json!({"query": "win", "limit": 1}))
        .await;
    let market = &found["markets"][0];
    let detail = session
        .call("get_market_detail", json!({"market_id": market["id"]}))
        .await;
    (
        market["id"].as_str().unwrap().to_owned(),
        market["clob_token_ids"][0].as_str().unwrap().to_owned(),
        detail["tick_size"].as_f64().unwrap(),
    )
}

/// Good arguments of each tool, to be spoiled one at a time.
fn good(tool: &str, market: &str, token: &str) -> Value {
    match tool {
        "search_markets" => json!({"query": "win", "limit": 5}),
        "get_market_detail" => json!({"market_id": market}),
        "get_price_history" => json!({"token_id": token, "interval": "1d", "limit": 5}),
        "get_event" => json!({"event_id": "80000", "limit": 5}),
        "get_volume" => json!({"event_id": "80000"}),
        "get_price" | "get_spread" => json!({"token_id": token}),
        "get_positions" => json!({"address": format!("0x{}", "ab".repeat(20)), "limit": 5}),
        "get_leaderboard" => json!({"period": "day", "limit": 5}),
        "place_trade" => json!({
            "market_id": market, "token_id": token, "side": "buy", "size": 5, "price": 0.5,
        }),
        "analyze_market" => json!({"market_id": market, "probability": 0.5}),
        "create_conditional_order" => json!({
            "market_id": market, "token_id": token, "order_type": "stop_loss",
            "trigger_price": 0.1,
        }),
        "cancel_conditional_order" | "cancel_order" => json!({"order_id": 1}),
        "get_orders" => json!({"status": "all", "limit": 5}),
        "run_backtest" => json!({"data_dir": "."}),
        "get_signal_log" => json!({"limit": 5}),
        "get_portfolio_snapshots" => json!({"limit": 5}),
        "get_portfolio"
        | "get_signals"
        | "refresh_signals"
        | "get_conditional_orders"
        | "get_strategy_performance"
        | "health_check" => json!({}),
        other => panic!("no good arguments for {other}"),
    }
}

fn with(mut arguments: Value, name: &str, value: Value) -> Value {
    arguments[name] = value;
    arguments
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!("deep"), |inner, _| json!([inner]))
}

async fn healthy(session: &Session, after: &str) {
    let health = session.call("health_check", json!({})).await;
    assert_eq!(health["status"], "ok", "after {after}: {health}");
}

async fn sandbox(workspace: &Workspace) -> Session {
    workspace
        .server()
        .source_sandbox(1)
        .step(600)
        .spawn_stdio()
        .await
}

/// What is wrong for every tool alike, and for every one of its parameters.
#[tokio::test]
async fn spoiled_arguments_are_refused_by_every_tool() {
    let workspace = Workspace::new();
    let session = sandbox(&workspace).await;
    let (market, token, _) = some_market(&session).await;
    let before = session.call("get_portfolio", json!({})).await;
    for tool in session.tools().await {
        let name = tool.name.as_ref();
        let arguments = good(name, &market, &token);
        let unknown = session
            .fails(name, with(arguments.clone(), "limt", json!(5)))
            .await;
        assert_eq!(unknown.code, "bad_arguments");
        assert!(unknown.message.contains("limt"), "{unknown:?}");
        let huge = session
            .fails(
                name,
                with(arguments.clone(), &"x".repeat(1_000_000), json!(1)),
            )
            .await;
        assert!(huge.message.len() < 500, "{name}: {}", huge.message.len());
        let schema = serde_json::to_value(&tool.input_schema).unwrap();
        let parameters = schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (parameter, of) in &parameters {
            // Where an object is right, one with a key that there is not.
            let (object, named) = match of["type"] == "object" {
                true => (json!({"limt": 5}), "limt"),
                false => (json!({}), parameter.as_str()),
            };
            for (what, value) in [
                ("an object", object),
                ("a list", json!(["a"])),
                ("deep nesting", nested(60)),
                ("1 MB of text", json!("9".repeat(1_000_000))),
            ] {
                let spoiled = with(arguments.clone(), parameter, value);
                let failure = session.fails(name, spoiled).await;
                assert_eq!(
                    failure.code, "bad_arguments",
                    "{name}.{parameter} as {what}: {failure:?}"
                );
                let names = |word: &str| failure.message.contains(word);
                assert!(
                    names(parameter) || (what == "an object" && names(named)),
                    "{name}.{parameter} as {what}: {failure:?}"
                );
                assert!(failure.message.len() < 1_000, "{name}.{parameter}");
            }
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            let required = required.as_str().unwrap();
            let mut missing = arguments.clone();
            missing.as_object_mut().unwrap().remove(required);
            let failure = session.fails(name, missing).await;
            assert_eq!(failure.code, "bad_arguments");
            assert!(failure.message.contains(required), "{failure:?}");
            // The hint shows what would be accepted.
            assert!(failure.hint.contains(required), "{failure:?}");
        }
        if schema["required"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
        {
            let empty = session.fails(name, json!({})).await;
            assert_eq!(empty.code, "bad_arguments", "{name} with nothing");
        }
        healthy(&session, name).await;
    }
    let after = session.call("get_portfolio", json!({})).await;
    assert_eq!(after, before, "nothing of all that was done");
    session.close().await;
}

/// What is wrong with one parameter of one tool: arguments, code, a word of the message.
#[tokio::test]
async fn values_that_make_no_sense_are_refused_with_the_reason() {
    let workspace = Workspace::new();
    let session = sandbox(&workspace).await;
    let (market, token, tick) = some_market(&session).await;
    let spoil =
        |tool: &str, name: &str, value: Value| with(good(tool, &market, &token), name, value);
    let half_tick = 0.5 + tick / 2.0;
    let mut cases: Vec<(&str, Value, &str, String)> = Vec::new();
    let mut add =
        |tool: &'static str, name: &str, value: Value, code: &'static str, words: &str| {
            cases.push((tool, spoil(tool, name, value), code, words.to_owned()));
        };
    const BAD: &str = "bad_arguments";
    for tool in [
        "search_markets",
        "get_price_history",
        "get_event",
        "get_positions",
        "get_leaderboard",
        "get_signal_log",
        "get_portfolio_snapshots",
    ] {
        for value in [json!(-1), json!(0), json!(1_000_000_000), json!("1e9")] {
            add(tool, "limit", value, BAD, "limit");
        }
        add(tool, "limit", json!(2.5), BAD, "whole number");
        add(tool, "limit", json!("NaN"), BAD, "limit");
    }
    for tool in ["place_trade", "create_conditional_order"] {
        for value in ["NaN", "Infinity", "-inf"] {
            add(tool, "size", json!(value), BAD, "not finite");
        }
        for value in [json!(-5), json!(0)] {
            add(tool, "size", value, BAD, "size");
        }
        add(tool, "size", json!("plenty"), BAD, "expected a number");
        add(tool, "token_id", json!("123"), "wrong_token", "token");
        add(tool, "market_id", json!("nowhere"), "not_found", "nowhere");
        add(
            tool,
            "market_id",
            json!("99999999"),
            "not_found",
            "99999999",
        );
    }
    for (tool, price) in [
        ("place_trade", "price"),
        ("create_conditional_order", "trigger_price"),
    ] {
        for value in [json!(0), json!(1), json!(1.5), json!(-0.2), json!(1e300)] {
            add(tool, price, value, BAD, price);
        }
        for value in ["NaN", "inf"] {
            add(tool, price, json!(value), BAD, "not finite");
        }
    }
    add("place_trade", "side", json!("hold"), BAD, "hold");
    add("place_trade", "side", json!(""), BAD, "side");
    add("place_trade", "order_type", json!("GTT"), BAD, "gtt");
    add(
        "place_trade",
        "client_order_id",
        json!(""),
        BAD,
        "client_order_id",
    );
    add("place_trade", "stop_loss", json!(1.5), BAD, "stop_loss");
    add("place_trade", "size", json!(1e15), BAD, "too large");
    add(
        "place_trade",
        "size",
        json!(1e7),
        "max_position_size",
        "at most 100 pusd",
    );
    add(
        "create_conditional_order",
        "order_type",
        json!("limit"),
        BAD,
        "limit",
    );
    add(
        "create_conditional_order",
        "trail_percent",
        json!(0.1),
        BAD,
        "trail_percent",
    );
    add(
        "create_conditional_order",
        "size",
        json!(1),
        "not_held",
        "held",
    );
    add(
        "cancel_conditional_order",
        "order_id",
        json!(99),
        "unknown_order",
        "99",
    );
    add("cancel_conditional_order", "order_id", json!(-1), BAD, "-1");
    add(
        "cancel_conditional_order",
        "order_id",
        json!("first"),
        BAD,
        "number",
    );
    for value in [json!(0), json!(1), json!(1.5), json!(-0.1), json!("NaN")] {
        add("analyze_market", "probability", value, BAD, "probability");
    }
    add("analyze_market", "confidence", json!(2), BAD, "confidence");
    add(
        "analyze_market",
        "expires_in_hours",
        json!(0),
        BAD,
        "expires_in_hours",
    );
    add(
        "analyze_market",
        "expires_in_hours",
        json!(1e6),
        BAD,
        "expires_in_hours",
    );
    add("analyze_market", "outcome", json!("Maybe"), BAD, "maybe");
    add(
        "analyze_market",
        "market_id",
        json!("nowhere"),
        "not_found",
        "nowhere",
    );
    add(
        "get_market_detail",
        "market_id",
        json!("nowhere"),
        "not_found",
        "nowhere",
    );
    for (tool, name) in [
        ("get_market_detail", "market_id"),
        ("get_event", "event_id"),
    ] {
        for value in ["", "../markets/900039", "900039?x#y"] {
            add(
                tool,
                name,
                json!(value),
                "bad_arguments",
                "neither the id nor the slug",
            );
        }
    }
    add("get_price", "token_id", json!("123"), "no_book", "123");
    add("get_spread", "token_id", json!("123"), "no_book", "123");
    add(
        "get_event",
        "event_id",
        json!("99999999"),
        "not_found",
        "99999999",
    );
    add(
        "get_volume",
        "event_id",
        json!("99999999"),
        "not_found",
        "99999999",
    );
    add("get_price_history", "interval", json!("2d"), BAD, "2d");
    add(
        "get_price_history",
        "start",
        json!("yesterday"),
        BAD,
        "yesterday",
    );
    add(
        "get_price_history",
        "end",
        json!("2026-01-01"),
        BAD,
        "start",
    );
    add("get_price_history", "fidelity", json!(0), BAD, "fidelity");
    add("get_positions", "address", json!("0x12"), BAD, "0x12");
    add("get_positions", "address", json!("me"), BAD, "me");
    add("get_leaderboard", "period", json!("decade"), BAD, "decade");
    add("get_signal_log", "before", json!("last"), BAD, "before");
    add(
        "run_backtest",
        "data_dir",
        json!("no-such-dir"),
        BAD,
        "no-such-dir",
    );
    add("run_backtest", "start", json!("soon"), BAD, "soon");
    for (tool, arguments, code, words) in &cases {
        let failure = session.fails(tool, arguments.clone()).await;
        let shown = format!("{tool} {arguments}: {failure:?}");
        assert_eq!(failure.code, *code, "{shown}");
        assert!(failure.message.to_lowercase().contains(words), "{shown}");
        healthy(&session, tool).await;
    }
    // Off the tick: the message names the legal prices on either side.
    let failure = session
        .fails(
            "place_trade",
            spoil("place_trade", "price", json!(half_tick)),
        )
        .await;
    assert_eq!(failure.code, "tick_size");
    let above = ((0.5 + tick) * 1e6).round() / 1e6;
    assert!(
        failure.message.contains("0.5 and ") && failure.message.contains(&above.to_string()),
        "{failure:?}"
    );
    assert!(failure.hint.contains("Use 0.5"), "{failure:?}");
    // A sale of what is not held, a purchase too small for the venue.
    let sale = spoil("place_trade", "side", json!("sell"));
    let failure = session.fails("place_trade", sale).await;
    assert_eq!(failure.code, "shares_held");
    let small = spoil("place_trade", "size", json!(0.5));
    let failure = session.fails("place_trade", small).await;
    assert_eq!(failure.code, "min_notional");
    healthy(&session, "all of it").await;
    let account = session.call("get_portfolio", json!({})).await;
    assert_eq!(account["balance"], 1000.0);
    session.close().await;
}

/// What a source does not have is said, with where to get it.
#[tokio::test]
async fn a_recording_says_what_it_does_not_hold() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    let moment = at(40);
    let session = workspace
        .server()
        .args(&recording.source(&moment))
        .spawn_stdio()
        .await;
    for (tool, arguments) in [
        ("get_leaderboard", json!({})),
        (
            "get_positions",
            json!({"address": format!("0x{}", "00".repeat(20))}),
        ),
    ] {
        let failure = session.fails(tool, arguments).await;
        assert_eq!(failure.code, "not_available");
        assert!(failure.hint.contains("--source polymarket"), "{failure:?}");
        healthy(&session, tool).await;
    }
    session.close().await;
}

/// Neither unknown tools nor the tick of jobs and shells can be called by a client.
#[tokio::test]
async fn what_is_not_listed_cannot_be_called() {
    let workspace = Workspace::new();
    let session = sandbox(&workspace).await;
    for tool in ["tick", "get_prices", "", "place_trade ", "../tick"] {
        assert!(!TOOLS.contains(&tool));
        let error = session.raw(tool, json!({})).await.unwrap_err().to_string();
        assert!(
            error.contains("-32602") && error.contains("not found"),
            "{tool}: {error}"
        );
        healthy(&session, tool).await;
    }
    let health = session.call("health_check", json!({})).await;
    assert_eq!(health["ticks"], 0);
    session.close().await;
}

/// Lines that no client library would send.
#[test]
fn broken_lines_do_not_end_the_server() {
    let workspace = Workspace::new();
    let server = workspace.server().source_sandbox(1).step(600);
    let mut raw = RawServer::spawn(&server);
    raw.initialize();
    for line in [
        "not json at all",
        "{\"jsonrpc\":\"2.0\",\"id\":",
        "[]",
        "null",
        "{}",
        "{\"jsonrpc\":\"2.0\",\"id\":7001,\"method\":\"no/such/method\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":7002,\"method\":\"tools/call\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":7003,\"method\":\"tools/call\",\"params\":{\"name\":5}}",
    ] {
        raw.send_line(line);
    }
    // Deeper than a careless parser's stack: refused or answered, never fatal.
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    raw.send_line(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":7004,\"method\":\"tools/call\",\
          \"params\":{{\"name\":\"health_check\",\"arguments\":{{\"a\":{deep}}}}}}}"
    ));
    let listed = raw.answer(7001);
    assert_eq!(listed["error"]["code"], -32601, "{listed}");
    let health = raw.call("health_check", json!({}));
    assert_eq!(health["status"], "ok");
    // Arguments that are no object.
    for arguments in [json!([1]), json!("x"), json!(5)] {
        let answer = raw.request(
            "tools/call",
            json!({"name": "get_portfolio", "arguments": arguments}),
        );
        let refused = answer["error"].is_object() || answer["result"]["isError"] == true;
        assert!(refused, "{answer}");
    }
    let health = raw.call("health_check", json!({}));
    assert_eq!(health["status"], "ok");
    raw.close();
}

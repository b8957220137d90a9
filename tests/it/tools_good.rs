//! All 22 tools with good input, through the built binary, in both eras of the protocol.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Contracts, RawServer, Recording, Session, Workspace, close};

/// What agents rely on: exactly these.
pub const TOOLS: [&str; 24] = [
    "analyze_market",
    "cancel_conditional_order",
    "cancel_order",
    "create_conditional_order",
    "get_conditional_orders",
    "get_event",
    "get_leaderboard",
    "get_market_detail",
    "get_orders",
    "get_portfolio",
    "get_portfolio_snapshots",
    "get_positions",
    "get_price",
    "get_price_history",
    "get_signal_log",
    "get_signals",
    "get_spread",
    "get_strategy_performance",
    "get_volume",
    "health_check",
    "place_trade",
    "refresh_signals",
    "run_backtest",
    "search_markets",
];

/// A session that checks every answer against the tool's contract and keeps count of the tools.
struct Story {
    session: Session,
    contracts: Contracts,
    called: RefCell<BTreeSet<String>>,
}

impl Story {
    async fn begin(workspace: &Workspace, modern: bool) -> Self {
        let server = workspace
            .server()
            .source_sandbox(1)
            .step(600)
            .inefficiency();
        let server = if modern { server.modern() } else { server };
        let session = server.spawn_stdio().await;
        let contracts = Contracts::of(&session.tools().await);
        Story {
            session,
            contracts,
            called: RefCell::default(),
        }
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.session.call(tool, arguments).await;
        self.contracts.check(tool, &answer);
        self.called.borrow_mut().insert(tool.to_owned());
        answer
    }
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[track_caller]
fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}

#[track_caller]
fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
}

fn micros(value: f64) -> u128 {
    (value * 1e6).round() as u128
}

/// The venue's fee in micro-units: shares × rate × (p·(1−p))^exponent, floored to five decimals.
fn fee_micros(shares: f64, price: f64, rate: f64, exponent: u32) -> u128 {
    const ONE: u128 = 1_000_000;
    let spread = micros(price) * (ONE - micros(price));
    let power = spread.pow(exponent);
    // shares and rate carry 1e6 each, the power 1e12 per exponent; one unit is 0.00001.
    let numerator = micros(shares) * micros(rate) * power * 100_000;
    let denominator = ONE * ONE * (ONE * ONE).pow(exponent);
    numerator / denominator * 10
}

#[test]
fn the_fee_formula_of_this_test_is_the_venues() {
    // Recorded on chain: BUY 1.219511 @ 0.82, rate 0.07 → 0.01259; 7.575758 @ 0.66, rate 0.05 →
    // 0.085; SELL 5 @ 0.31, rate 0.05 → 0.05347.
    assert_eq!(fee_micros(1.219511, 0.82, 0.07, 1), 12_590);
    assert_eq!(fee_micros(7.575758, 0.66, 0.05, 1), 85_000);
    assert_eq!(fee_micros(5.0, 0.31, 0.05, 1), 53_470);
}

#[tokio::test]
async fn the_list_has_22_tools_with_full_contracts() {
    let workspace = Workspace::new();
    let server = workspace.server().source_sandbox(1).step(600);
    let session = server.spawn_stdio().await;
    let said = session.server();
    assert_eq!(said["serverInfo"]["name"], "polymarket-agent");
    assert_eq!(said["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(text(&said["instructions"]).contains("place_trade"));
    let tools = session.tools().await;
    let names: BTreeSet<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(tools.len(), 24);
    assert_eq!(names, TOOLS.into_iter().collect());
    Contracts::of(&tools);
    let mut bytes = 0;
    for tool in &tools {
        let wire = serde_json::to_value(tool).unwrap();
        bytes += wire.to_string().len();
        assert!(!text(&wire["title"]).is_empty(), "{}", tool.name);
        assert!(text(&wire["description"]).len() > 40, "{}", tool.name);
        for hint in [
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        ] {
            assert!(wire["annotations"][hint].is_boolean(), "{}", tool.name);
        }
        assert_eq!(wire["inputSchema"]["type"], "object");
        assert_eq!(wire["inputSchema"]["additionalProperties"], false);
        let properties = wire["inputSchema"]["properties"].as_object();
        for (name, property) in properties.into_iter().flatten() {
            assert!(
                property["description"].is_string() || property["minimum"].is_number(),
                "{}.{name} says nothing of itself",
                tool.name
            );
        }
        let reads = wire["annotations"]["readOnlyHint"] == true;
        let writes = [
            "analyze_market",
            "cancel_conditional_order",
            "cancel_order",
            "create_conditional_order",
            "place_trade",
            "run_backtest",
        ];
        assert_eq!(reads, !writes.contains(&&*tool.name), "{}", tool.name);
    }
    // What a client that loads all tools at once pays before the first call.
    assert!(bytes <= 40_000, "tools/list has {bytes} bytes");
    session.close().await;
}

#[tokio::test]
async fn an_agents_day_in_the_older_era() {
    an_agents_day(false).await;
}

#[tokio::test]
async fn an_agents_day_in_the_newer_era() {
    an_agents_day(true).await;
}

async fn an_agents_day(modern: bool) {
    let workspace = Workspace::new();
    let story = Story::begin(&workspace, modern).await;
    let market = research(&story).await;
    estimate(&story, &market).await;
    let bought = trade(&story, &market).await;
    rest_and_cancel(&story, &market).await;
    guard(&story, &market, bought).await;
    other_people(&story).await;
    signals(&story).await;
    records(&story, &market).await;
    backtest(&story).await;
    let health = story.call("health_check", json!({})).await;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(health["mode"], "paper");
    assert_eq!(health["source"]["kind"], "sandbox");
    assert_eq!(health["source"]["reachable"], true);
    assert_eq!(health["owns_ledger"], true);
    assert_eq!(
        health["strategies"],
        json!(["signal_trader", "arbitrageur", "ai_analyst"])
    );
    assert_eq!(health["strategy_count"], 3);
    let called: Vec<String> = story.called.borrow().iter().cloned().collect();
    assert_eq!(called, TOOLS, "the story leaves no tool out");
    story.session.close().await;
}

/// A market that charges a fee, as get_market_detail shows it.
struct Market {
    id: String,
    token: String,
    detail: Value,
}

/// The market-data tools, each against the others.
async fn research(story: &Story) -> Market {
    let found = story
        .call("search_markets", json!({"query": "win", "limit": 40}))
        .await;
    let markets = list(&found["markets"]);
    assert_eq!(number(&found["count"]) as usize, markets.len());
    assert!(!markets.is_empty() && markets.len() <= 40);
    assert_eq!(found["source"], "sandbox");
    let few = story
        .call("search_markets", json!({"query": "win", "limit": "2"}))
        .await;
    assert_eq!(list(&few["markets"])[..], markets[..2]);
    // Nothing in particular: the most traded markets.
    let all = story
        .call("search_markets", json!({"query": "", "limit": 5}))
        .await;
    let volumes: Vec<f64> = list(&all["markets"])
        .iter()
        .map(|market| number(&market["volume_24h"]))
        .collect();
    assert_eq!(volumes.len(), 5);
    assert!(volumes.is_sorted_by(|a, b| a >= b), "{volumes:?}");
    // One with a fee and room on both sides of its book.
    let mut chosen = None;
    for market in markets {
        assert!(text(&market["question"]).to_lowercase().contains("win"));
        assert_eq!(market["label"], "simulated");
        let detail = story
            .call("get_market_detail", json!({"market_id": market["id"]}))
            .await;
        let ask = detail["orderbook"]["best_ask"].as_f64().unwrap_or(1.0);
        if number(&detail["fee_rate"]) > 0.0 && ask > 0.2 && ask < 0.8 {
            chosen = Some(detail);
            break;
        }
    }
    let detail = chosen.unwrap();
    let id = text(&detail["id"]);
    let token = text(&detail["clob_token_ids"][0]);
    let book = &detail["books"][0];
    assert_eq!(text(&book["token_id"]), token);
    assert_eq!(book["synthetic"], false);
    assert_eq!(book["best_ask"], book["asks"][0]["price"]);
    assert_eq!(book["best_bid"], book["bids"][0]["price"]);
    let (bid, ask) = (number(&book["best_bid"]), number(&book["best_ask"]));
    assert!(0.0 < bid && bid < ask && ask < 1.0);
    assert_eq!(detail["orderbook"]["best_ask"], book["best_ask"]);

    // The clock stands still, so another question has the same answer.
    let price = story.call("get_price", json!({"token_id": token})).await;
    assert_eq!(price["bid"], book["best_bid"]);
    assert_eq!(price["ask"], book["best_ask"]);
    close(number(&price["spread"]), ask - bid);
    close(number(&price["midpoint"]), (ask + bid) / 2.0);
    let spread = story.call("get_spread", json!({"token_id": token})).await;
    assert_eq!(spread["spread"], price["spread"]);
    assert_eq!(text(&spread["token_id"]), token);

    // The second outcome's book mirrors the first.
    let other = &detail["clob_token_ids"][1];
    let other = story.call("get_price", json!({"token_id": other})).await;
    close(number(&other["bid"]), 1.0 - ask);
    close(number(&other["ask"]), 1.0 - bid);

    let week = story
        .call(
            "get_price_history",
            json!({"token_id": token, "interval": "1w", "limit": 20}),
        )
        .await;
    let points = list(&week["points"]);
    assert!(points.len() == 20 && number(&week["available"]) >= 20.0);
    let times: Vec<String> = points.iter().map(|p| text(&p["timestamp"])).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(
        points
            .iter()
            .all(|p| (0.0..=1.0).contains(&number(&p["price"])))
    );
    let between = story
        .call(
            "get_price_history",
            json!({"token_id": token, "start": times[5], "end": times[15]}),
        )
        .await;
    for point in list(&between["points"]) {
        let time = text(&point["timestamp"]);
        assert!(times[5] <= time && time <= times[15], "{time}");
    }

    let event_id = text(&detail["event_id"]);
    let event = story.call("get_event", json!({"event_id": event_id})).await;
    assert_eq!(text(&event["id"]), event_id);
    assert_eq!(event["active"], true);
    let members = list(&event["markets"]);
    assert_eq!(number(&event["market_count"]) as usize, members.len());
    assert!(members.iter().any(|member| member["id"] == detail["id"]));
    let volume = story
        .call("get_volume", json!({"event_id": event_id}))
        .await;
    let by_market: f64 = list(&volume["markets"])
        .iter()
        .map(|row| number(&row["volume"]))
        .sum();
    assert_eq!(list(&volume["markets"]).len(), members.len());
    assert!((number(&volume["total"]) - by_market).abs() < 0.01);
    Market { id, token, detail }
}

/// An estimate is stored, shown, and judged against the executable price.
async fn estimate(story: &Story, market: &Market) {
    let dossier = story
        .call("analyze_market", json!({"market_id": market.id}))
        .await;
    assert_eq!(dossier["estimate_stored"], false);
    assert_eq!(dossier["estimates"], json!([]));
    assert_eq!(dossier["signal"], Value::Null);
    assert_eq!(dossier["result"], "no trade: no estimate");
    assert_eq!(dossier["books"], market.detail["books"]);
    assert_eq!(dossier["description"], market.detail["description"]);
    assert!(number(&dossier["history"]["points"]) > 20.0);
    let ask = number(&market.detail["orderbook"]["best_ask"]);
    let probability = ((ask + 0.19) * 100.0).round() / 100.0;
    let left = story
        .call(
            "analyze_market",
            json!({
                "market_id": market.id,
                "probability": probability,
                "confidence": 0.8,
                "rationale": "it says so in the paper",
                "author": "integration",
                "expires_in_hours": 48,
            }),
        )
        .await;
    assert_eq!(left["estimate_stored"], true);
    assert_eq!(list(&left["estimates"]).len(), 1);
    let stored = &left["estimates"][0];
    close(number(&stored["probability"]), probability);
    close(number(&stored["confidence"]), 0.8);
    assert_eq!(stored["author"], "integration");
    assert_eq!(stored["rationale"], "it says so in the paper");
    assert_eq!(stored["ask_then"], market.detail["orderbook"]["best_ask"]);
    assert_eq!(stored["fresh"], true);
    let at = |field: &str| {
        chrono::DateTime::parse_from_rfc3339(stored[field].as_str().unwrap()).unwrap()
    };
    assert_eq!((at("expires_at") - at("created_at")).num_hours(), 48);
    // Fair price − what it costs now − fee, and that is above the strategy's threshold.
    let signal = &left["signal"];
    assert_eq!(signal["strategy"], "ai_analyst");
    assert_eq!(signal["side"], "buy");
    assert_eq!(text(&signal["token_id"]), market.token);
    close(number(&signal["fair_price"]), probability);
    assert!(number(&signal["edge"]) > 0.0 && number(&signal["edge"]) < probability - ask + 1e-9);
    // Whoever asks next sees it among the earlier ones.
    let seen = story
        .call("analyze_market", json!({"market_id": market.id}))
        .await;
    assert_eq!(seen["estimate_stored"], false);
    assert_eq!(seen["estimates"], left["estimates"]);
}

/// A purchase: previewed, made, repeated under its own id. Gives the shares held.
async fn trade(story: &Story, market: &Market) -> f64 {
    let before = story.call("get_portfolio", json!({})).await;
    close(number(&before["balance"]), 1000.0);
    close(number(&before["total_value"]), 1000.0);
    assert_eq!(before["positions"], json!({}));
    let ask = number(&market.detail["orderbook"]["best_ask"]);
    let order = json!({
        "market_id": market.id, "token_id": market.token, "side": "buy",
        "size": 20, "price": ask, "client_order_id": "story-1",
    });
    let mut dry = order.clone();
    dry["dry_run"] = json!(true);
    let preview = story.call("place_trade", dry).await;
    assert_eq!(preview["dry_run"], true);
    assert_eq!(preview["would_pass"], true);
    assert_eq!(preview["order_id"], Value::Null);
    let limits: Vec<String> = list(&preview["limits"])
        .iter()
        .map(|check| text(&check["limit"]))
        .collect();
    assert_eq!(
        limits,
        [
            "max_orders_per_minute",
            "max_spread",
            "max_position_size",
            "max_market_exposure",
            "max_event_exposure",
            "max_strategy_exposure",
            "max_total_exposure",
            "max_daily_loss",
            "max_drawdown_pct",
            "cash"
        ]
    );
    let after_preview = story.call("get_portfolio", json!({})).await;
    assert_eq!(after_preview, before, "a preview changes nothing");

    let done = story.call("place_trade", order.clone()).await;
    assert_eq!(done["dry_run"], false);
    assert_eq!(done["fills"], preview["fills"], "as the preview said");
    assert_eq!(done["status"], preview["status"]);
    // Lots of 0.01 share, as many as 20 pUSD buy at the limit.
    close(
        number(&done["shares_ordered"]),
        (20.0 / ask * 100.0).floor() / 100.0,
    );
    let (rate, exponent) = (
        number(&market.detail["fee_rate"]),
        number(&market.detail["fee_exponent"]) as u32,
    );
    let (mut notional, mut shares, mut fee) = (0, 0.0, 0);
    for fill in list(&done["fills"]) {
        let (price, filled) = (number(&fill["price"]), number(&fill["shares"]));
        assert!(price <= ask + 1e-9);
        let value = micros(price) * micros(filled) / 1_000_000;
        assert_eq!(micros(number(&fill["notional"])), value, "{fill}");
        let charged = fee_micros(filled, price, rate, exponent);
        assert_eq!(micros(number(&fill["fee"])), charged, "{fill}");
        (notional, shares, fee) = (notional + value, shares + filled, fee + charged);
    }
    assert!(fee > 0, "the market was chosen for its fee");
    assert_eq!(micros(number(&done["size"])), notional);
    close(number(&done["shares"]), shares);
    assert_eq!(micros(number(&done["fee"])), fee);

    let after = story.call("get_portfolio", json!({})).await;
    assert_eq!(
        micros(number(&after["balance"])),
        1_000_000_000 - notional - fee
    );
    close(number(&preview["cash_after"]), number(&after["balance"]));
    let held = &after["positions"][&market.token];
    close(number(&held["shares"]), shares);
    assert_eq!(micros(number(&held["cost"])), notional);
    let bid = number(&market.detail["orderbook"]["best_bid"]);
    close(number(&held["current_price"]), bid);
    close(
        number(&held["unrealized_pnl"]),
        ((bid * shares - notional as f64 / 1e6) * 1e6).round() / 1e6,
    );
    assert_eq!(
        list(&after["recent_trades"]).len(),
        list(&done["fills"]).len()
    );
    let exposure = number(&preview["market_exposure_after"]);
    assert_eq!(micros(exposure), notional);

    // The same id again is the same order, not a second one.
    let again = story.call("place_trade", order).await;
    assert_eq!(again["order_id"], done["order_id"]);
    assert_eq!(again["fills"], done["fills"]);
    let unchanged = story.call("get_portfolio", json!({})).await;
    assert_eq!(unchanged["balance"], after["balance"]);
    shares
}

/// A bid far below the market: it rests, is listed, and is taken back.
async fn rest_and_cancel(story: &Story, market: &Market) {
    let order = json!({
        "market_id": market.id, "token_id": market.token, "side": "buy", "size": 1.0,
        "price": 0.01, "order_type": "GTD", "expires_in": 3600, "client_order_id": "rest-1",
    });
    let placed = story.call("place_trade", order.clone()).await;
    assert_eq!(placed["status"], "resting");
    assert_eq!(placed["resting_shares"], 100.0);
    let again = story.call("place_trade", order).await;
    assert_eq!(again["order_id"], placed["order_id"]);
    let open = story.call("get_orders", json!({})).await;
    assert_eq!(open["orders"][0]["order_id"], placed["order_id"]);
    assert_eq!(open["orders"][0]["remaining"], 100.0);
    let taken = story
        .call("cancel_order", json!({ "client_order_id": "rest-1" }))
        .await;
    assert_eq!(taken["cancelled"], json!([placed["order_id"]]));
    let closed = story
        .call("get_orders", json!({ "order_id": placed["order_id"] }))
        .await;
    assert_eq!(closed["orders"][0]["status"], "cancelled");
}

/// Stops on what was bought: created, listed, withdrawn.
async fn guard(story: &Story, market: &Market, held: f64) {
    let bid = number(&market.detail["orderbook"]["best_bid"]);
    let order = |kind: &str, trigger: f64| {
        json!({
            "token_id": market.token, "market_id": market.id,
            "order_type": kind, "trigger_price": trigger,
        })
    };
    let below = ((bid - 0.1) * 100.0).round() / 100.0;
    let above = ((bid + 0.1) * 100.0).round() / 100.0;
    let stop = story
        .call("create_conditional_order", order("stop_loss", below))
        .await;
    assert_eq!(stop["status"], "created");
    close(number(&stop["order"]["size"]), held);
    close(number(&stop["order"]["fires_at"]), below);
    let mut part = order("take_profit", above);
    part["size"] = json!(2);
    let profit = story.call("create_conditional_order", part).await;
    close(number(&profit["order"]["size"]), 2.0);
    let mut trailing = order("trailing_stop", below);
    trailing["trail_percent"] = json!(0.05);
    let trailing = story.call("create_conditional_order", trailing).await;
    // The watermark starts at the bid, which is above the given price.
    close(number(&trailing["order"]["high_watermark"]), bid);
    let listed = story.call("get_conditional_orders", json!({})).await;
    assert_eq!(
        listed["orders"],
        json!([stop["order"], profit["order"], trailing["order"]])
    );
    for made in [&stop, &trailing] {
        let gone = story
            .call(
                "cancel_conditional_order",
                json!({"order_id": made["order_id"]}),
            )
            .await;
        assert_eq!(gone["status"], "cancelled");
        assert_eq!(gone["order_id"], made["order_id"]);
    }
    let listed = story.call("get_conditional_orders", json!({})).await;
    assert_eq!(listed["orders"], json!([profit["order"]]));
}

async fn other_people(story: &Story) {
    let board = story
        .call("get_leaderboard", json!({"period": "week", "limit": 5}))
        .await;
    let traders = list(&board["traders"]);
    assert!(!traders.is_empty() && traders.len() <= 5);
    assert_eq!(board["period"], "week");
    let profits: Vec<f64> = traders.iter().map(|t| number(&t["pnl"])).collect();
    assert!(profits.is_sorted_by(|a, b| a >= b), "{profits:?}");
    let address = text(&traders[0]["address"]);
    let wallet = story
        .call("get_positions", json!({"address": address, "limit": 3}))
        .await;
    assert_eq!(text(&wallet["address"]), address);
    let positions = list(&wallet["positions"]);
    assert!(!positions.is_empty() && positions.len() <= 3);
    for held in positions {
        let gain = number(&held["current_price"]) - number(&held["avg_price"]);
        let pnl = gain * number(&held["shares"]);
        assert!((number(&held["pnl"]) - pnl).abs() < 0.02, "{held}");
    }
}

async fn signals(story: &Story) {
    let none = story.call("get_signals", json!({})).await;
    assert_eq!(none["signals"], json!([]));
    assert_eq!(none["last_updated"], Value::Null);
    assert_eq!(none["freshness_seconds"], Value::Null);
    let fresh = story.call("refresh_signals", json!({})).await;
    assert_eq!(fresh["source"], "refresh");
    let wanted = list(&fresh["signals"]);
    let strategies: BTreeSet<String> = wanted.iter().map(|s| text(&s["strategy"])).collect();
    // Planted for signal_trader and arbitrageur.
    assert!(strategies.contains("signal_trader"), "{strategies:?}");
    assert!(strategies.contains("arbitrageur"), "{strategies:?}");
    for signal in wanted {
        assert!(number(&signal["edge"]) > 0.0, "{signal}");
        assert!(!text(&signal["reason"]).is_empty());
    }
    let cached = story.call("get_signals", json!({})).await;
    assert_eq!(cached["source"], "cache");
    assert_eq!(cached["signals"], fresh["signals"]);
    assert_eq!(cached["last_updated"], fresh["last_updated"]);
    assert!(number(&cached["freshness_seconds"]) < 60.0);
}

async fn records(story: &Story, market: &Market) {
    let log = story.call("get_signal_log", json!({})).await;
    let rows = list(&log["signals"]);
    // The order that rested, and before it the purchase.
    assert_eq!(rows.len(), 2, "a refresh logs nothing: {log}");
    let rows = rows.get(1..).unwrap();
    assert_eq!(rows[0]["strategy"], "mcp_manual");
    assert_eq!(rows[0]["status"], "executed");
    assert_eq!(rows[0]["side"], "buy");
    assert_eq!(rows[0]["reason"], "Manual trade via mcp:integration");
    assert_eq!(text(&rows[0]["token_id"]), market.token);
    close(number(&rows[0]["size"]), 20.0);
    assert_eq!(log["next_before"], Value::Null);
    let other = story
        .call("get_signal_log", json!({"strategy": "market_maker"}))
        .await;
    assert_eq!(other["signals"], json!([]));

    let history = story.call("get_portfolio_snapshots", json!({})).await;
    let newest = &history["snapshots"][0];
    let account = story.call("get_portfolio", json!({})).await;
    close(number(&newest["balance"]), number(&account["balance"]));
    close(
        number(&newest["total_value"]),
        number(&account["total_value"]),
    );
    let positions: Value =
        serde_json::from_str(newest["positions_json"].as_str().unwrap()).unwrap();
    assert!(positions[&market.token].is_object(), "{positions}");

    let performance = story.call("get_strategy_performance", json!({})).await;
    let manual = &performance["strategies"]["mcp_manual"];
    // The purchase, and the order that rested until it was cancelled.
    assert_eq!(manual["signals_generated"], 2);
    assert_eq!(manual["signals_executed"], 2);
    let held = &account["positions"][&market.token];
    close(number(&manual["trade_volume"]), number(&held["cost"]));
    close(number(&manual["fees"]), number(&account["fees_paid"]));
    close(
        number(&manual["unrealized_pnl"]),
        number(&held["unrealized_pnl"]),
    );
    close(
        number(&manual["net_pnl"]),
        number(&held["unrealized_pnl"]) - number(&account["fees_paid"]),
    );
    assert_eq!(manual["open_positions"], 1);
    let idle = &performance["strategies"]["signal_trader"];
    assert_eq!(idle["signals_generated"], 0);
}

/// A replay of the recording, worked out by hand.
async fn backtest(story: &Story) {
    let recording = Recording::new();
    let done = story
        .call("run_backtest", json!({"data_dir": recording.path()}))
        .await;
    // Six rises are bought as Yes at 0.56, the fall as No at 0.81; one market resolves.
    assert_eq!(number(&done["executions"]), 8.0, "{done}");
    assert_eq!(number(&done["settlements"]), 1.0);
    assert_eq!(number(&done["open_positions"]), 6.0);
    // 25 / 0.56 = 44.64 shares: 24.9984 and 44.64 × 0.05 × 0.56 × 0.44 = 0.54996 of fee.
    // 25 / 0.81 = 30.86 shares: 24.9966 and 30.86 × 0.05 × 0.81 × 0.19 = 0.23746 of fee.
    // The winner pays 44.64 × 1.
    let cash = 1000.0 - 6.0 * (24.9984 + 0.54996) - (24.9966 + 0.23746) + 44.64;
    close(number(&done["final_cash"]), cash);
    // At the bids: four at 0.54, one at 0.39, No at 0.79.
    let equity = cash + 44.64 * (4.0 * 0.54 + 0.39) + 30.86 * 0.79;
    close(number(&done["final_equity"]), equity);
    close(
        number(&done["metrics"]["total_return"]),
        (number(&done["final_equity"]) - 1000.0) / 1000.0,
    );
    assert_eq!(
        text(&done["report_uri"]),
        format!("polymarket://backtests/{}", done["id"])
    );
    let snapshots = list(&done["snapshots"]);
    assert!(!snapshots.is_empty() && snapshots.len() <= 50);
    let short = story
        .call(
            "run_backtest",
            json!({
                "data_dir": recording.path(),
                "start": "2026-06-01", "end": "2026-06-01",
            }),
        )
        .await;
    assert_eq!(number(&short["executions"]), 0.0);
    assert_eq!(number(&short["frames"]), 24.0);
}

/// The newer era by hand, so that nothing but the lines themselves is relied on.
#[test]
fn the_newer_era_needs_no_handshake() {
    let workspace = Workspace::new();
    let server = workspace.server().source_sandbox(1).step(600);
    let mut raw = RawServer::spawn(&server);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "by-hand", "version": "1"},
    });
    let found = raw.request("server/discover", json!({"_meta": meta}));
    let versions = list(&found["result"]["supportedVersions"]);
    assert!(versions.contains(&json!("2026-07-28")), "{found}");
    assert!(found["result"]["capabilities"]["tools"].is_object());
    assert!(text(&found["result"]["instructions"]).contains("place_trade"));
    let listed = raw.request("tools/list", json!({"_meta": meta}));
    assert_eq!(list(&listed["result"]["tools"]).len(), 24);
    assert_eq!(listed["result"]["resultType"], "complete");
    assert!(number(&listed["result"]["ttlMs"]) > 0.0);
    let called = raw.request(
        "tools/call",
        json!({"_meta": meta, "name": "get_portfolio", "arguments": {}}),
    );
    let result = &called["result"];
    assert_eq!(result["resultType"], "complete", "{called}");
    assert_eq!(result["isError"], false);
    close(number(&result["structuredContent"]["balance"]), 1000.0);
    let as_text: Value =
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(as_text, result["structuredContent"]);
    raw.close();
}

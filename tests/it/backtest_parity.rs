//! A paper session against an exchange that has a bad day, kept in a journal and carried out again by the
//! backtester: the same orders, fills, fees, triggers and cash, event for event.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Exchange, RawServer, Workspace, close, wait_for};

const RULES: &str = "\
conditional_orders: {enabled: true, default_stop_loss_pct: 0.02, default_take_profit_pct: 0.03}
gather: {max_markets: 30, follow_markets: 30, refresh_seconds: 10}
execution: {latency_ms: 40}
risk: {max_daily_loss: 100000, max_drawdown_pct: 0, max_total_exposure: 900, max_open_orders: 60,
  max_price_distance: 0, max_spread: 0}
strategies:
  signal_trader: {enabled: true, volume_threshold: 0, price_move_threshold: 0.02, min_edge: 0.001,
    order_size: 10}
  market_maker: {enabled: true, min_liquidity: 0, spread: 0.02, order_size: 10, min_edge: 0.001}
  arbitrageur: {enabled: true}
  ai_analyst: {enabled: true, min_divergence: 0.05}
";

/// How often each kind of event stands in the database.
fn kinds(db: &Path) -> BTreeMap<String, u64> {
    let db = rusqlite::Connection::open(db).unwrap();
    let mut statement = db
        .prepare("SELECT kind, count(*) FROM events GROUP BY kind")
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// What the venue refuses or the limits do is an input like any other.
fn attempt(server: &mut RawServer, tool: &str, arguments: Value) -> Value {
    let answer = server.request("tools/call", json!({"name": tool, "arguments": arguments}));
    assert!(answer["result"].is_object(), "{answer}");
    answer["result"]["structuredContent"].clone()
}

fn tick(workspace: &Workspace) {
    // A venue with a fault may fail a tick; that leaves nothing.
    workspace.cli(&["call", "tick"]);
}

fn stream_note(server: &mut RawServer) -> String {
    let health = server.call("health_check", json!({}));
    let notes = health["source"]["notes"].as_array().unwrap().iter();
    let note = notes
        .filter_map(Value::as_str)
        .find(|note| note.starts_with("market stream: "));
    note.unwrap_or_default().to_owned()
}

/// Agent's orders in many markets: taking, resting, with stops, and estimates for the analyst.
fn trade(server: &mut RawServer, round: usize) {
    let found = server.call("search_markets", json!({"limit": 12}));
    for (index, market) in found["markets"].as_array().unwrap().iter().enumerate() {
        let id = market["id"].as_str().unwrap();
        let detail = server.call("get_market_detail", json!({"market_id": id}));
        let token = detail["outcomes"][0]["token_id"].clone();
        let probability = if index % 2 == 0 { 0.95 } else { 0.05 };
        let estimate = json!({"market_id": id, "probability": probability, "author": "it"});
        attempt(server, "analyze_market", estimate);
        let mut order = json!({"market_id": id, "token_id": token, "side": "buy", "size": 8,
            "price": 0.97, "client_order_id": format!("take-{round}-{index}")});
        if index % 3 == 0 {
            order["trail_percent"] = json!(0.01);
        }
        attempt(server, "place_trade", order);
        let price = attempt(server, "get_price", json!({"token_id": token}));
        if let Some(bid) = price["bid"].as_f64() {
            let rest = json!({"market_id": id, "token_id": token, "side": "buy", "size": 4,
                "price": bid, "order_type": "GTC", "client_order_id": format!("rest-{round}-{index}")});
            attempt(server, "place_trade", rest);
        }
    }
}

#[test]
fn the_backtester_repeats_a_session_event_for_event() {
    let exchange = Exchange::start(24);
    let workspace = Workspace::with_config(&format!("{}{RULES}", exchange.venue("retries: 1")));
    let journal = workspace.path("journal");
    let journal = journal.to_str().unwrap();
    let mut server = RawServer::spawn(&workspace.server().args(&["--journal", journal]));
    server.initialize();
    wait_for("books to be live", || {
        let note = stream_note(&mut server);
        (note.contains(" books live") && !note.contains(" 0 of ")).then_some(())
    });
    tick(&workspace);
    trade(&mut server, 0);
    for _ in 0..6 {
        exchange.step(1_800);
        tick(&workspace);
    }
    // The stream breaks in the middle of a book, and a request is answered with nonsense.
    let cut = exchange.arm(
        json!({"fault": {"kind": "socket_mid_book"}, "scope": {"host": "ws"},
        "budget": {"next": 1}}),
    );
    exchange.step_until_fired(cut);
    wait_for("the loss to be noticed", || {
        stream_note(&mut server)
            .contains("last lost: ")
            .then_some(())
    });
    let odd = json!({"kind": "rows", "spoil": ["null_row", "price_above_one"]});
    exchange.arm(
        json!({"fault": odd, "scope": {"host": "clob", "path": "/books"},
        "budget": {"next": 2}}),
    );
    exchange.step(600);
    tick(&workspace);
    exchange.clear();
    trade(&mut server, 1);
    workspace.cli(&["halt", "--reason", "a test"]).ok();
    tick(&workspace);
    workspace.cli(&["resume"]).ok();
    // On until something that is held has been paid.
    let mut steps = 0_usize;
    while !kinds(&workspace.db()).contains_key("settled") {
        steps += 1;
        assert!(steps < 60, "nothing settled: {:?}", kinds(&workspace.db()));
        exchange.step(12 * 3_600);
        // Resolutions are asked for in the background, by the wall's clock.
        std::thread::sleep(std::time::Duration::from_millis(400));
        // Stops sell what was bought long ago: there is always something new that may end.
        if steps.is_multiple_of(10) {
            trade(&mut server, 1 + steps / 10);
        }
        tick(&workspace);
    }
    workspace.cli(&["cancel", "--all"]).ok();
    let status = workspace.cli(&["status", "--json"]).ok().json();
    server.close();

    // It was a session worth the name.
    let kinds = kinds(&workspace.db());
    for kind in [
        "order_accepted",
        "filled",
        "order_rested",
        "order_closed",
        "conditional_created",
        "conditional_triggered",
        "estimate_stored",
        "settled",
        "halted",
        "resumed",
        "tick_completed",
    ] {
        assert!(kinds.contains_key(kind), "no {kind} among {kinds:?}");
    }

    let args = ["backtest", "--journal", journal, "--trades", "--json"];
    let replayed = workspace.cli(&args).ok().json();
    let parity = &replayed["parity"];
    assert_eq!(parity["equal"], true, "{parity}");
    assert_eq!(parity["events"], json!(kinds.values().sum::<u64>()));
    assert_eq!(parity["unexplained"], json!([]));
    assert_eq!(parity["dropped"], 0);
    assert_eq!(replayed["final_cash"], status["balance"]);
    assert_eq!(replayed["frames"], json!(kinds["tick_completed"]));
    assert_eq!(replayed["settlements"], json!(kinds["settled"]));
    assert!(
        replayed["notes"][0]
            .as_str()
            .unwrap()
            .starts_with("Parity: ")
    );
    same_trades(&workspace, replayed["trades"].as_array().unwrap());
    let text = workspace.cli(&args[..3]).ok().stdout;
    assert!(text.contains("equal to the session's own"), "{text}");

    spoilt(&workspace, journal);
}

/// Every fill and settlement of the report is the account's own: price, shares, fee, moment.
fn same_trades(workspace: &Workspace, replayed: &[Value]) {
    let db = rusqlite::Connection::open(workspace.db()).unwrap();
    let mut statement = db
        .prepare("SELECT side, price, size, shares, fee FROM trades ORDER BY id")
        .unwrap();
    let rows = statement.query_map([], |row| {
        let side: String = row.get(0)?;
        let number = |index| row.get::<_, f64>(index);
        Ok((side, [number(1)?, number(2)?, number(3)?, number(4)?]))
    });
    let rows: Vec<(String, [f64; 4])> = rows.unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), replayed.len());
    for ((side, numbers), told) in rows.iter().zip(replayed) {
        assert_eq!(told["side"], json!(side), "{told}");
        for (field, number) in ["price", "size", "shares", "fee"].iter().zip(numbers) {
            close(told[*field].as_f64().unwrap(), *number);
        }
    }
}

/// One micro-dollar more in one fill of a copy: the backtester names the event and fails.
fn spoilt(workspace: &Workspace, journal: &str) {
    let copy = workspace.path("changed.db");
    std::fs::copy(workspace.db(), &copy).unwrap();
    let db = rusqlite::Connection::open(&copy).unwrap();
    let changed = db
        .query_row(
            "SELECT seq, json_set(payload, '$.fill.fee', json_extract(payload, '$.fill.fee') + 1)
             FROM events WHERE kind = 'filled' ORDER BY seq LIMIT 1",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
        )
        .unwrap();
    db.execute(
        "UPDATE events SET payload = ?2 WHERE seq = ?1",
        (changed.0, &changed.1),
    )
    .unwrap();
    drop(db);
    let db = copy.to_str().unwrap();
    let refused = workspace.cli_bare(&["backtest", "--journal", journal, "--db", db]);
    let refused = refused.failed().stderr;
    let named = format!("event {} is another one", changed.0);
    assert!(refused.contains(&named), "{refused}");
}

//! `serve --http`: several clients on one desk, the page and the JSON behind it.

use serde_json::{Value, json};

use crate::support::{CALM, HttpServer, Recording, Session, Workspace, at, close};

fn order(recording: &Recording, size: f64) -> Value {
    json!({
        "market_id": CALM, "token_id": recording.token(CALM, 0), "side": "buy",
        "size": size, "price": 0.51,
    })
}

#[tokio::test]
async fn clients_of_both_eras_share_one_desk() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    let moment = at(20);
    let server = HttpServer::spawn(workspace.server().args(&recording.source(&moment)));
    let older = Session::http(server.mcp(), false).await;
    let newer = Session::http(server.mcp(), true).await;
    for session in [&older, &newer] {
        assert_eq!(session.tools().await.len(), 24);
    }
    // 19.60 shares each: 9.996 and 19.60 × 0.07 × 0.51 × 0.49 = 0.34286 of fee.
    older.call("place_trade", order(&recording, 10.0)).await;
    newer.call("place_trade", order(&recording, 10.0)).await;
    let mut seen = Vec::new();
    for session in [&older, &newer] {
        seen.push(session.call("get_portfolio", json!({})).await);
    }
    assert_eq!(seen[0], seen[1]);
    let balance = seen[0]["balance"].as_f64().unwrap();
    close(balance, 1000.0 - 2.0 * (9.996 + 0.34286));
    // Orders at the same time are made one after the other: each is paid for once.
    let orders = (0..8).map(|index| {
        let session = if index % 2 == 0 { &older } else { &newer };
        session.call("place_trade", order(&recording, 10.0))
    });
    let placed = futures::future::join_all(orders).await;
    let mut ids: Vec<u64> = placed
        .iter()
        .map(|done| done["order_id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    let account = newer.call("get_portfolio", json!({})).await;
    close(
        account["balance"].as_f64().unwrap(),
        1000.0 - 10.0 * (9.996 + 0.34286),
    );
    let failure = older.fails("place_trade", order(&recording, -1.0)).await;
    assert_eq!(failure.code, "bad_arguments");
    older.close().await;
    // One client's leaving is nothing to the other.
    let health = newer.call("health_check", json!({})).await;
    assert_eq!(health["status"], "ok");
    newer.close().await;
}

#[tokio::test]
async fn the_page_and_its_data_show_the_account() {
    let workspace = Workspace::with_config("conditional_orders: {enabled: true}\n");
    let recording = Recording::new();
    for hour in 30..34 {
        let moment = at(hour);
        let mut args = vec!["tick"];
        args.extend(recording.source(&moment));
        workspace.cli(&args).ok();
    }
    let moment = at(33);
    let server = HttpServer::spawn(workspace.server().args(&recording.source(&moment)));
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(
        page.head.contains("content-type: text/html"),
        "{}",
        page.head
    );
    assert!(
        page.head.contains("content-security-policy"),
        "{}",
        page.head
    );
    assert!(page.body.to_lowercase().starts_with("<!doctype html>"));
    assert!(!page.body.contains("https://cdn"));

    let session = Session::http(server.mcp(), false).await;
    let health = server.get("/api/health").json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["ticks"], 4);
    let portfolio = server.get("/api/portfolio").json();
    assert_eq!(portfolio, session.call("get_portfolio", json!({})).await);
    // Five trades: four rises bought, the first of them stopped out in the last hour.
    let trades = server.get("/api/trades").json();
    let rows = trades.as_array().unwrap();
    assert_eq!(rows.len(), 5);
    let sold: Vec<&Value> = rows.iter().filter(|row| row["side"] == "sell").collect();
    assert_eq!(sold.len(), 1);
    assert_eq!(sold[0]["market_id"], "1001");
    close(sold[0]["price"].as_f64().unwrap(), 0.39);
    // 44.64 × (0.39 − 0.56)
    close(sold[0]["realised_pnl"].as_f64().unwrap(), -7.5888);
    let newest = server.get("/api/trades?limit=2").json();
    assert_eq!(newest.as_array().unwrap()[..], rows[..2]);
    let signals = server.get("/api/signals").json();
    let log = session.call("get_signal_log", json!({})).await;
    assert_eq!(signals["signals"], log["signals"]);
    assert_eq!(signals["count_24h"], 4);
    let none = server
        .get("/api/signals?strategy=market_maker&limit=5")
        .json();
    assert_eq!(none["signals"], json!([]));
    let snapshots = server.get("/api/snapshots?limit=1").json();
    assert_eq!(snapshots.as_array().unwrap().len(), 1);
    // Positions are data here, not a text of JSON.
    assert!(snapshots[0]["positions"][recording.token("1002", 0)].is_object());
    let orders = server.get("/api/conditional-orders").json();
    let triggered = orders.as_array().unwrap().iter();
    assert_eq!(
        triggered.filter(|row| row["status"] == "triggered").count(),
        1
    );
    let performance = server.get("/api/strategy-performance").json();
    assert_eq!(
        performance,
        session.call("get_strategy_performance", json!({})).await
    );
    session.close().await;

    for (path, status, code) in [
        ("/api/trades?limit=0", 400, "bad_arguments"),
        ("/api/trades?limit=many", 400, "bad_arguments"),
        ("/api/signals?limt=5", 400, "bad_arguments"),
        ("/api/nothing", 404, "not_found"),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        let failure = answer.json();
        assert_eq!(failure["code"], code, "{path}");
        assert!(!failure["hint"].as_str().unwrap().is_empty(), "{path}");
    }
}

#[test]
fn other_hosts_pages_and_machines_are_kept_out() {
    let workspace = Workspace::new();
    let recording = Recording::new();
    let moment = at(20);
    let source = recording.source(&moment);
    let server = HttpServer::spawn(workspace.server().args(&source));
    for path in ["/", "/api/portfolio", "/mcp"] {
        let foreign = server.request(&format!(
            "GET {path} HTTP/1.1\r\nHost: rebind.example\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(foreign.status, 403, "{path}: {}", foreign.body);
        let page = server.request(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nOrigin: https://rebind.example\r\n\
             Connection: close\r\n\r\n",
            server.authority
        ));
        assert_eq!(page.status, 403, "{path}: {}", page.body);
    }
    let posted = server.request(&format!(
        "POST /api/portfolio HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        server.authority
    ));
    assert_eq!(posted.status, 405, "{}", posted.body);
    for address in ["0.0.0.0:0", "192.168.0.1:8080", "nowhere", "127.0.0.1"] {
        let mut args = vec!["serve", "--http", address];
        args.extend(&source);
        let other = Workspace::new();
        let refused = other.cli(&args).failed();
        assert!(refused.stderr.contains(address), "{}", refused.stderr);
    }
}

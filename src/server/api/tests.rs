use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::server::http::{HttpHandle, serve_routes};
use crate::server::test_app::{Account, HOSTILE, WEBHOOK_SECRET, account};

struct Served {
    account: Account,
    handle: HttpHandle,
    client: reqwest::Client,
    shutdown: CancellationToken,
}

async fn served() -> Served {
    let account = account().await;
    let shutdown = CancellationToken::new();
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let handle = serve_routes(routes(account.app.clone()), addr, shutdown.clone());
    Served {
        account,
        handle: handle.await.unwrap(),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        shutdown,
    }
}

impl Served {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.handle.local_addr())
    }

    async fn answer(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> (u16, Value) {
        let answer = self.answer(path).await;
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    async fn ok(&self, path: &str) -> Value {
        let (status, value) = self.json(path).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }
}

#[tokio::test]
async fn every_route_shows_what_the_ledger_holds() {
    let served = served().await;
    served.account.buy_and_tick().await;

    let portfolio = served.ok("/api/portfolio").await;
    assert_eq!(portfolio["balance"], 979.5);
    assert_eq!(portfolio["total_value"], 999.0);
    let position = &portfolio["positions"]["t1"];
    assert_eq!(position["shares"], 50.0);
    assert_eq!(position["current_price"], 0.39);
    assert_eq!(position["unrealized_pnl"], -1.0);
    assert_eq!(position["question"], HOSTILE);

    let trades = served.ok("/api/trades").await;
    assert_eq!(trades.as_array().unwrap().len(), 1);
    assert_eq!(trades[0]["side"], "buy");
    assert_eq!(trades[0]["price"], 0.41);
    assert_eq!(trades[0]["size"], 20.5);
    assert_eq!(trades[0]["fee"], 0.0);

    let snapshots = served.ok("/api/snapshots").await;
    assert_eq!(snapshots[0]["balance"], 979.5);
    assert_eq!(snapshots[0]["positions"]["t1"]["shares"], 50.0);
    assert_eq!(snapshots[0]["positions_json"], Value::Null);

    let conditional = served.ok("/api/conditional-orders").await;
    assert_eq!(conditional[0]["order_type"], "stop_loss");
    assert_eq!(conditional[0]["status"], "active");
    assert_eq!(conditional[0]["trigger_price"], 0.2);
    assert_eq!(conditional[0]["size"], 50.0);

    let performance = served.ok("/api/strategy-performance").await;
    let manual = &performance["strategies"]["mcp_manual"];
    assert_eq!(manual["trade_volume"], 20.5);
    assert_eq!(manual["unrealized_pnl"], -1.0);

    let health = served.ok("/api/health").await;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(health["source"]["kind"], "recorded");
    assert_eq!(health["ticks"], 1);
    assert_eq!(
        health["ledger_events"],
        served.account.app.ledger().unwrap().seq()
    );
}

#[tokio::test]
async fn signals_are_counted_filtered_and_limited() {
    let served = served().await;
    let none = json!({"signals": [], "count_24h": 0});
    assert_eq!(served.ok("/api/signals?strategy=&limit=100").await, none);
    served.account.estimate_and_tick("m2", "t2").await;
    let all = served.ok("/api/signals").await;
    assert_eq!(all["count_24h"], 1);
    assert_eq!(all["signals"][0]["strategy"], "ai_analyst");
    assert_eq!(all["signals"][0]["market_id"], "m2");
    assert_eq!(served.ok("/api/signals?strategy=ai_analyst").await, all);
    let other = served.ok("/api/signals?strategy=arbitrageur").await;
    assert_eq!(other, json!({"signals": [], "count_24h": 1}));

    served.account.estimate_and_tick("m1", "t1").await;
    let newest = served.ok("/api/signals?limit=1").await;
    assert_eq!(newest["signals"].as_array().unwrap().len(), 1);
    assert_eq!(newest["signals"][0]["id"], 2);
    assert_eq!(newest["count_24h"], 2);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_in_json() {
    let served = served().await;
    for (path, status, code, words) in [
        (
            "/api/trades?limit=0",
            400,
            "bad_arguments",
            "from 1 to 1000, not 0",
        ),
        ("/api/trades?limit=-1", 400, "bad_arguments", "not -1"),
        ("/api/signals?limit=1001", 400, "bad_arguments", "not 1001"),
        (
            "/api/snapshots?limit=ten",
            400,
            "bad_arguments",
            "expected a number",
        ),
        (
            "/api/snapshots?limit=",
            400,
            "bad_arguments",
            "expected a number",
        ),
        (
            "/api/conditional-orders?limit=1.5",
            400,
            "bad_arguments",
            "whole number",
        ),
        (
            "/api/trades?limt=5",
            400,
            "bad_arguments",
            "unknown field `limt`",
        ),
        ("/api/nothing", 404, "not_found", "/api/nothing"),
        ("/api/", 404, "not_found", "/api/"),
        ("/other", 404, "not_found", "/other"),
    ] {
        let (got, error) = served.json(path).await;
        assert_eq!((got, &error["code"]), (status, &json!(code)), "{path}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{path}: {message}");
        assert!(!error["hint"].as_str().unwrap().is_empty(), "{path}");
    }
    for limit in [1, 1000] {
        served.ok(&format!("/api/trades?limit={limit}")).await;
    }
    let post = served.client.post(served.url("/api/trades"));
    let answer = post.send().await.unwrap();
    assert_eq!(answer.status(), 405);
    let error: Value = answer.json().await.unwrap();
    assert_eq!(error["code"], "method_not_allowed");
}

#[tokio::test]
async fn the_page_allows_its_own_script_only_and_nobody_keeps_a_copy() {
    let served = served().await;
    let mut nonces = Vec::new();
    for _ in 0..2 {
        let answer = served.answer("/").await;
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        let policy = header("content-security-policy");
        let (_, rest) = policy.split_once("script-src 'nonce-").unwrap();
        let nonce = rest.split_once('\'').unwrap().0.to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(&format!("<script nonce=\"{nonce}\">")));
        nonces.push(nonce);
    }
    assert_ne!(nonces[0], nonces[1]);
    for path in ["/", "/api/portfolio", "/api/trades?limit=0", "/nowhere"] {
        let answer = served.answer(path).await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn strangers_are_refused_and_no_secret_is_shown() {
    let served = served().await;
    served.account.buy_and_tick().await;
    let foreign = served.client.get(served.url("/api/portfolio"));
    let foreign = foreign.header("Origin", "https://rebind.example");
    let answer = foreign.send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let error: Value = answer.json().await.unwrap();
    assert_eq!(error["code"], "forbidden");
    for path in [
        "/",
        "/api/health",
        "/api/portfolio",
        "/api/trades",
        "/api/signals",
    ] {
        let text = served.answer(path).await.text().await.unwrap();
        assert!(!text.contains(WEBHOOK_SECRET), "{path}");
    }
    let outside = SocketAddr::from(([0, 0, 0, 0], 0));
    let app = routes(served.account.app.clone());
    let refused = serve_routes(app, outside, CancellationToken::new()).await;
    assert!(refused.unwrap_err().to_string().contains("loopback"));
    served.shutdown.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(4), served.handle.wait());
    stopped.await.unwrap().unwrap();
}

//! Each fault over a real connection: what the client sees, and that the budget ends.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::sandbox::trading::tests::agent::{Contract, bench};
use crate::sandbox::{Sandbox, SandboxConfig, start};

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    // Each request opens its own connection: a cut one must not be tried again behind our back.
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

async fn sandbox() -> Sandbox {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = SandboxConfig {
        markets: 24,
        ..SandboxConfig::default()
    };
    start(config, listen).await.unwrap()
}

/// Arms by the admin route and returns the first id.
async fn arm(sandbox: &Sandbox, fault: Value) -> u64 {
    let answer = client()
        .post(format!("{}/sandbox/faults", sandbox.base_url()))
        .body(fault.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{fault}");
    let body: Value = answer.json().await.unwrap();
    body["ids"][0].as_u64().unwrap()
}

async fn get(sandbox: &Sandbox, path: &str) -> Result<reqwest::Response, reqwest::Error> {
    client()
        .get(format!("{}{path}", sandbox.base_url()))
        .send()
        .await
}

async fn status(sandbox: &Sandbox, path: &str) -> u16 {
    get(sandbox, path).await.unwrap().status().as_u16()
}

/// The bytes of an answer, to the end of the connection, and whether the end was an error.
async fn raw(sandbox: &Sandbox, request: &str) -> (String, bool) {
    let mut stream = TcpStream::connect(sandbox.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await;
    (String::from_utf8(bytes).unwrap(), end.is_err())
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn split(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap()
}

fn content_length(head: &str) -> usize {
    head.lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")
                .map(str::to_owned)
        })
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn too_many_requests_are_refused_twice_and_then_let_through() {
    let sandbox = sandbox().await;
    let fault = json!({"fault": {"kind": "status", "code": 429, "retry_after": 2},
        "scope": {"host": "clob", "path": "/time"}, "budget": {"next": 2}});
    arm(&sandbox, fault).await;
    for _ in 0..2 {
        let answer = get(&sandbox, "/clob/time").await.unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "2");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({"error": "Too Many Requests"}));
        // Out of scope.
        assert_eq!(status(&sandbox, "/clob/ok").await, 200);
    }
    assert_eq!(status(&sandbox, "/clob/time").await, 200);
    let listed: Value = get(&sandbox, "/sandbox/faults")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let listed = &listed["faults"][0];
    assert_eq!(
        (&listed["id"], &listed["fired"], &listed["armed"]),
        (&json!(1), &json!(2), &json!(false))
    );
    assert_eq!(listed["fault"]["kind"], "status");
}

#[tokio::test]
async fn server_errors_last_for_their_time_only() {
    let sandbox = sandbox().await;
    let fault = json!({"fault": {"kind": "status", "code": 502},
        "scope": {"host": "data"}, "budget": {"for_ms": 300}});
    let began = Instant::now();
    arm(&sandbox, fault).await;
    let path = "/data/v2/leaderboard";
    assert_eq!(status(&sandbox, path).await, 502);
    assert_eq!(status(&sandbox, "/gamma/markets/keyset").await, 200);
    while status(&sandbox, path).await == 502 {
        assert!(began.elapsed().as_secs() < 5, "it never ended");
    }
    assert!(began.elapsed().as_millis() >= 300);
}

#[tokio::test]
async fn answers_come_late_by_the_time_asked_for() {
    let sandbox = sandbox().await;
    arm(
        &sandbox,
        json!({"fault": {"kind": "latency", "ms": {"fixed": 120}}, "budget": {"next": 1}}),
    )
    .await;
    let began = Instant::now();
    assert_eq!(status(&sandbox, "/clob/time").await, 200);
    assert!(began.elapsed().as_millis() >= 120);
    assert_eq!(status(&sandbox, "/clob/time").await, 200);
    let listed = sandbox.faults();
    assert_eq!((listed[0].fired, listed[0].armed), (1, false));
}

#[tokio::test]
async fn the_engine_restarts_and_then_takes_resting_orders_and_cancels_only() {
    let sandbox = sandbox().await;
    let post = async |body: &str| {
        let answer = client()
            .post(format!("{}/clob/order", sandbox.base_url()))
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let taking = r#"{"order": {}, "orderType": "FAK", "postOnly": false}"#;
    let resting = r#"{"order": {}, "orderType": "GTC", "postOnly": true}"#;
    arm(
        &sandbox,
        json!({"fault": {"kind": "restarting"}, "budget": {"next": 1}}),
    )
    .await;
    assert_eq!(status(&sandbox, "/clob/time").await, 200);
    assert_eq!(post(taking).await.0, 425);
    let through = post(taking).await;
    assert!(![425, 503].contains(&through.0), "{through:?}");

    arm(
        &sandbox,
        json!({"fault": {"kind": "post_only"}, "budget": {"next": 1}}),
    )
    .await;
    assert_eq!(post(resting).await, post(resting).await);
    assert_ne!(post(resting).await.0, 503);
    let refused = post(taking).await;
    assert_eq!(refused, (503, r#"{"error":"post_only_mode"}"#.to_owned()));
    assert_ne!(post(taking).await.0, 503);

    arm(
        &sandbox,
        json!({"fault": {"kind": "cancel_only"}, "budget": {"next": 1}}),
    )
    .await;
    let answer = client()
        .delete(format!("{}/clob/cancel-all", sandbox.base_url()))
        .send()
        .await
        .unwrap();
    assert_ne!(answer.status().as_u16(), 503);
    let (code, text) = post(resting).await;
    assert_eq!(code, 503);
    assert!(text.contains("cancel-only"), "{text}");
}

#[tokio::test]
async fn a_body_cut_honestly_is_complete_and_not_json() {
    let sandbox = sandbox().await;
    let path = "/gamma/markets/keyset?limit=3";
    let (whole, _) = raw(&sandbox, &request(path)).await;
    let (_, whole) = split(&whole);
    arm(
        &sandbox,
        json!({"fault": {"kind": "truncated", "cut": "honest"}, "budget": {"next": 1}}),
    )
    .await;
    let (answer, failed) = raw(&sandbox, &request(path)).await;
    let (head, body) = split(&answer);
    assert!(!failed);
    assert_eq!(body.len(), whole.len() / 2);
    assert_eq!(content_length(head), body.len());
    assert!(whole.starts_with(body));
    let (again, _) = raw(&sandbox, &request(path)).await;
    assert_eq!(split(&again).1, whole);
}

#[tokio::test]
async fn a_connection_cut_in_the_body_promises_more_than_it_brings() {
    let sandbox = sandbox().await;
    let path = "/gamma/markets/keyset?limit=3";
    let (whole, _) = raw(&sandbox, &request(path)).await;
    let whole = split(&whole).1.len();
    arm(
        &sandbox,
        json!({"fault": {"kind": "truncated", "cut": "connection"}, "budget": {"next": 2}}),
    )
    .await;
    let (answer, _) = raw(&sandbox, &request(path)).await;
    let (head, body) = split(&answer);
    assert_eq!(content_length(head), whole);
    assert_eq!(body.len(), whole / 2);
    let answer = get(&sandbox, path).await.unwrap();
    assert!(answer.text().await.is_err());
    assert!(get(&sandbox, path).await.unwrap().text().await.is_ok());
}

#[tokio::test]
async fn malformed_answers_are_whole_and_not_json() {
    let sandbox = sandbox().await;
    let scope = json!({"host": "gamma"});
    arm(
        &sandbox,
        json!({"fault": {"kind": "malformed"}, "scope": scope, "budget": {"next": 1}}),
    )
    .await;
    let path = "/gamma/markets/keyset?limit=2";
    let text = get(&sandbox, path).await.unwrap().text().await.unwrap();
    assert!(text.starts_with(",,{\"markets\""), "{text:.40}");
    let text = get(&sandbox, path).await.unwrap().text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_ok());
}

#[tokio::test]
async fn seven_odd_rows_of_a_page_are_odd_in_seven_ways() {
    let sandbox = sandbox().await;
    let path = "/gamma/markets/keyset?limit=14&version=v1";
    let page = async || -> Vec<Value> {
        let body: Value = get(&sandbox, path).await.unwrap().json().await.unwrap();
        body["markets"].as_array().unwrap().clone()
    };
    let good = page().await;
    assert_eq!(good.len(), 14);
    let spoil = [
        "wrong_type",
        "price_above_one",
        "nan_text",
        "negative_size",
        "missing_id",
        "broken_inner_json",
        "unknown_version",
    ];
    let fault = json!({"fault": {"kind": "rows", "spoil": spoil},
        "scope": {"host": "gamma", "path": "/markets"}, "budget": {"next": 1}});
    arm(&sandbox, fault).await;
    // An answer without rows costs nothing of the budget.
    assert_eq!(status(&sandbox, "/gamma/markets/slug/nothing").await, 404);
    let odd = page().await;
    let changed: Vec<usize> = (0..14)
        .filter(|place| odd[*place] != good[*place])
        .collect();
    // Every second row.
    assert_eq!(changed, [0, 2, 4, 6, 8, 10, 12]);
    assert_eq!(odd[0]["id"], json!([1, 7]));
    assert_eq!(odd[2]["outcomePrices"], "[\"1.7\", \"0.5\"]");
    assert_eq!(odd[4]["outcomePrices"], "[\"NaN\", \"0.5\"]");
    assert_eq!(odd[6]["orderMinSize"], json!(-5.0));
    assert_eq!(odd[8].get("id").or(odd[8].get("conditionId")), None);
    let broken = odd[10]["outcomes"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(broken).is_err());
    assert_eq!(odd[12]["version"], "v9");
    assert_eq!(page().await, good);
}

#[tokio::test]
async fn the_clock_is_off_by_what_was_asked() {
    let sandbox = sandbox().await;
    let now: i64 = get(&sandbox, "/clob/time")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let page: Value = get(&sandbox, "/gamma/markets/keyset?limit=1")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let tokens: Vec<String> = match page["markets"][0]["clobTokenIds"].as_str() {
        Some(text) => serde_json::from_str(text).unwrap(),
        None => serde_json::from_value(page["markets"][0]["positionIds"].clone()).unwrap(),
    };
    let book = format!("/clob/book?token_id={}", tokens[0]);
    let at = async || -> i64 {
        let body: Value = get(&sandbox, &book).await.unwrap().json().await.unwrap();
        body["timestamp"].as_str().unwrap().parse().unwrap()
    };
    let before = at().await;
    let id = arm(
        &sandbox,
        json!({"fault": {"kind": "clock_skew", "ms": -45_000}}),
    )
    .await;
    let skewed: i64 = get(&sandbox, "/clob/time")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(skewed, now - 45);
    assert_eq!(at().await, before - 45_000);
    let taken = client()
        .delete(format!("{}/sandbox/faults/{id}", sandbox.base_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(
        taken.json::<Value>().await.unwrap(),
        json!({"taken_back": 1})
    );
    assert_eq!(at().await, before);
}

#[tokio::test]
async fn a_lost_answer_was_carried_out_and_a_dropped_request_was_not() {
    let bench = bench().await;
    let (mut agent, _) = bench.both().await;
    let place = bench.place(Contract::Standard);
    for (kind, orders) in [("dropped", 0), ("lost_answer", 1)] {
        let scope = json!({"host": "clob", "path": "/order", "method": "POST"});
        let fault = json!({"fault": {"kind": kind}, "scope": scope, "budget": {"next": 1}});
        let faults = bench.shared.faults();
        faults.arm(serde_json::from_value(fault).unwrap()).unwrap();
        let body = agent.signed(&place, "BUY", place.price, "10", "GTC");
        let answer = agent
            .attempt(0, "POST", "/order", "", &body.to_string())
            .await;
        assert!(answer.is_err(), "{kind}: {answer:?}");
        assert_eq!(faults.listed().last().unwrap().fired, 1, "{kind}");
        // What came of it can be looked up.
        let open = agent.get("/data/orders").await;
        assert_eq!(open["data"].as_array().unwrap().len(), orders, "{kind}");
    }
    let body = agent.signed(&place, "BUY", place.price, "10", "GTC");
    assert_eq!(agent.post(&body).await.1["status"], "live");
}

#[tokio::test]
async fn a_dropped_request_and_a_lost_answer_bring_not_a_byte() {
    let sandbox = sandbox().await;
    for kind in ["dropped", "lost_answer"] {
        let fault = json!({"fault": {"kind": kind}, "scope": {"host": "clob", "path": "/books"},
            "budget": {"next": 1}});
        arm(&sandbox, fault).await;
        let body = "POST /clob/books HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]";
        let (answer, _) = raw(&sandbox, body).await;
        assert_eq!(answer, "", "{kind}");
        assert_eq!(sandbox.faults().last().unwrap().fired, 1, "{kind}");
        assert_eq!(status(&sandbox, "/clob/time").await, 200);
    }
}

#[tokio::test]
async fn failing_matches_are_counted_one_by_one() {
    let sandbox = sandbox().await;
    let faults = sandbox.shared.faults().clone();
    assert!(!faults.fail_next_match("7"));
    let fault =
        json!({"fault": {"kind": "fail_match"}, "scope": {"token": "7"}, "budget": {"next": 1}});
    arm(&sandbox, fault).await;
    assert!(!faults.fail_next_match("8"));
    assert!(faults.fail_next_match("7"));
    assert!(!faults.fail_next_match("7"));
}

#[tokio::test]
async fn the_admin_route_refuses_what_is_no_fault_and_takes_everything_back() {
    let sandbox = sandbox().await;
    let url = format!("{}/sandbox/faults", sandbox.base_url());
    let post = async |body: &str| {
        let answer = client()
            .post(&url)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let (code, body) = post(r#"{"fault": {"kind": "malformed"}, "budgt": {}}"#).await;
    assert_eq!(code, 400);
    assert!(body["error"].as_str().unwrap().contains("budgt"), "{body}");
    // One bad fault of two: none is armed.
    let two = r#"[{"fault": {"kind": "malformed"}}, {"fault": {"kind": "status", "code": 1}}]"#;
    assert_eq!(post(two).await.0, 400);
    assert_eq!(sandbox.faults(), []);
    let two = r#"[{"fault": {"kind": "malformed"}}, {"fault": {"kind": "cancel_only"}}]"#;
    assert_eq!(post(two).await, (200, json!({"ids": [1, 2]})));
    let browser = client()
        .post(&url)
        .header("Origin", "http://example.test")
        .body(r#"{"fault": {"kind": "malformed"}}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(browser.status(), 403);
    let cleared = client().delete(&url).send().await.unwrap();
    assert_eq!(
        cleared.json::<Value>().await.unwrap(),
        json!({"taken_back": 2})
    );
    let none = client().delete(format!("{url}/99")).send().await.unwrap();
    assert_eq!(none.status(), 404);
    assert_eq!(status(&sandbox, "/clob/time").await, 200);
}

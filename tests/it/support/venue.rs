//! A small venue on loopback: two markets with histories, one without, and a market channel.
//!
//! * `rain` (id 501, tokens 5011 and 5012): hourly prices from 2026-05-01T00:00:00Z to
//!   2026-06-02T00:00:00Z, 0.40 until it jumps to 0.55 at 2026-06-01T06:00:00Z; resolved to Yes at
//!   2026-06-02T12:00:00Z; fee rate 0.02, tick 0.001.
//! * `formula` (id 502): 0.30 at the same times, open, with a question that is a formula.
//! * `quiet` (id 503): no price at all. `slow` (id 504): no answer while it [hangs](Venue::hang).
//!
//! The channel sends a book of each token and then a trade every 5 ms, whose sizes count up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// 2026-05-01T00:00:00Z.
const START: i64 = 1_777_593_600;
const HOUR: i64 = 3_600;
/// Hours from the start to the last price, and to the jump.
const HOURS: i64 = 32 * 24;
const JUMP: i64 = 31 * 24 + 6;
const FIFTEEN_DAYS: i64 = 15 * 86_400;

pub struct Venue {
    base: String,
    state: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    seen: Mutex<Vec<String>>,
    hangs: AtomicBool,
    connections: AtomicU64,
    trades: AtomicU64,
    cut: broadcast::Sender<()>,
}

impl Venue {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = Arc::new(Shared {
            seen: Mutex::default(),
            hangs: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            trades: AtomicU64::new(0),
            cut: broadcast::channel(4).0,
        });
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let base = listener.local_addr().unwrap().to_string();
        let router = Router::new()
            .route("/gamma/markets/slug/{slug}", get(market))
            .route("/gamma/markets/{id}", get(market))
            .route("/gamma/events/{id}", get(event))
            .route("/clob/prices-history", get(history))
            .route("/clob/markets/{condition}", get(clob_market))
            .route("/data/v2/resolutions", get(resolutions))
            .route("/ws/market", any(channel))
            .with_state(state.clone());
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Venue {
            base,
            state,
            _runtime: runtime,
        }
    }

    /// The configuration that asks it.
    pub fn config(&self) -> String {
        let base = &self.base;
        format!(
            "venue: {{gamma_url: 'http://{base}/gamma', clob_url: 'http://{base}/clob', \
             data_url: 'http://{base}/data', ws_url: 'ws://{base}/ws', rate_share: 1.0, \
             retries: 0}}\n"
        )
    }

    /// What was asked so far: histories as `history TOKEN FROM TO FIDELITY`.
    pub fn seen(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Whether the history of `slow` is held back.
    pub fn hang(&self, hangs: bool) {
        self.state.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Connections to the channel so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Ends the connections that stand, without a word.
    pub fn cut(&self) {
        self.state.cut.send(()).unwrap();
    }
}

fn condition(id: i64) -> String {
    format!("0x{id:064x}")
}

fn row(id: i64, slug: &str, question: &str, closed: bool) -> Value {
    json!({
        "id": id.to_string(), "question": question, "slug": slug, "conditionId": condition(id),
        "version": "v1", "outcomes": "[\"Yes\", \"No\"]", "outcomePrices": "[\"0.5\", \"0.5\"]",
        "clobTokenIds": format!("[\"{id}1\", \"{id}2\"]"), "active": true, "closed": closed,
        "enableOrderBook": true, "acceptingOrders": !closed, "orderPriceMinTickSize": 0.001,
        "orderMinSize": 5, "volumeNum": 1000, "feesEnabled": true,
        "feeSchedule": {"exponent": 1, "rate": 0.02, "takerOnly": true},
        "events": [{"id": "90", "title": "Weather", "slug": "weather"}],
    })
}

fn missing() -> Response {
    let body = json!({"type": "not found error", "error": "slug not found"});
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}

async fn market(State(state): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    state.seen.lock().unwrap().push(format!("market {name}"));
    let mut row = match name.as_str() {
        "rain" | "501" => row(501, "rain", "Will it rain?", true),
        "formula" | "502" => row(502, "formula", "=HYPERLINK(\"http://127.0.0.1\")", false),
        "quiet" | "503" => row(503, "quiet", "Quiet?", false),
        "slow" | "504" => row(504, "slow", "Slow?", false),
        _ => return missing(),
    };
    if row["slug"] == "slow" {
        row["startDate"] = json!("2026-05-20T00:00:00Z");
    }
    axum::Json(row).into_response()
}

async fn event(Path(id): Path<String>) -> Response {
    if id != "90" {
        return missing();
    }
    axum::Json(json!({"id": "90", "title": "Weather", "slug": "weather", "markets": []}))
        .into_response()
}

async fn history(
    State(state): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let token = query["market"].clone();
    let (Some(from), Some(to)) = (query.get("startTs"), query.get("endTs")) else {
        return (StatusCode::BAD_REQUEST, "no span").into_response();
    };
    let fidelity = &query["fidelity"];
    let asked = format!("history {token} {from} {to} {fidelity}");
    state.seen.lock().unwrap().push(asked);
    let (from, to): (i64, i64) = (from.parse().unwrap(), to.parse().unwrap());
    if to - from > FIFTEEN_DAYS {
        return (StatusCode::BAD_REQUEST, "interval is too long").into_response();
    }
    while token == "5041" && state.hangs.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let price = |hour: i64| match token.as_str() {
        "5011" if hour >= JUMP => Some(0.55),
        "5011" => Some(0.40),
        "5021" | "5041" => Some(0.30),
        _ => None,
    };
    let points: Vec<Value> = (0..=HOURS)
        .map(|hour| (START + hour * HOUR, price(hour)))
        .filter(|(at, _)| from <= *at && *at <= to)
        .filter_map(|(at, price)| Some(json!({"t": at, "p": price?})))
        .collect();
    axum::Json(json!({"history": points})).into_response()
}

async fn clob_market(Path(asked): Path<String>) -> Response {
    let Some(id) = (501..=504).find(|id| condition(*id) == asked) else {
        return missing();
    };
    axum::Json(json!({
        "condition_id": asked, "closed": false, "is_50_50_outcome": false,
        "tokens": [
            {"token_id": format!("{id}1"), "outcome": "Yes", "price": 0.5, "winner": false},
            {"token_id": format!("{id}2"), "outcome": "No", "price": 0.5, "winner": false},
        ],
    }))
    .into_response()
}

async fn resolutions(Query(query): Query<HashMap<String, String>>) -> Response {
    let wanted = &query["condition"];
    let rows: Vec<Value> = [(501, "resolved"), (502, "proposed")]
        .into_iter()
        .filter(|(id, _)| wanted.contains(&condition(*id)))
        .map(|(id, status)| match status {
            "resolved" => json!({
                "condition_id": condition(id), "status": status, "payouts": [1_000_000, 0],
                "resolved_at": "2026-06-02T12:00:00Z",
            }),
            _ => json!({"condition_id": condition(id), "status": status}),
        })
        .collect();
    axum::Json(json!({"data": rows, "pagination": {"has_more": false}})).into_response()
}

async fn channel(State(state): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| stream(state, socket))
}

async fn stream(state: Arc<Shared>, mut socket: WebSocket) {
    let mut cut = state.cut.subscribe();
    let Some(Ok(Message::Text(question))) = socket.recv().await else {
        return;
    };
    let question: Value = serde_json::from_str(question.as_str()).unwrap();
    assert_eq!(question["type"], "market");
    let tokens: Vec<String> = serde_json::from_value(question["assets_ids"].clone()).unwrap();
    state.connections.fetch_add(1, Ordering::SeqCst);
    let books: Vec<Value> = tokens
        .iter()
        .map(|token| {
            json!({
                "event_type": "book", "asset_id": token, "market": condition(501),
                "timestamp": "1780272000000", "hash": "0",
                "bids": [{"price": "0.39", "size": "100"}],
                "asks": [{"price": "0.41", "size": "100"}],
            })
        })
        .collect();
    if socket.send(text(&json!(books))).await.is_err() {
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            _ = cut.recv() => return,
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(ping))) if ping.as_str() == "PING" => {
                    if socket.send(Message::Text("PONG".into())).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                _ => return,
            },
            _ = ticks.tick() => {
                let number = state.trades.fetch_add(1, Ordering::SeqCst) + 1;
                // Hard to compress, as hashes are.
                let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let trade = json!({
                    "event_type": "last_trade_price", "asset_id": tokens[0],
                    "market": condition(501), "price": "0.41", "size": number.to_string(),
                    "side": "BUY", "fee_rate_bps": "0", "timestamp": "1780272000000",
                    "transaction_hash": format!("0x{hash:064x}"),
                });
                if socket.send(text(&trade)).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn text(value: &Value) -> Message {
    Message::Text(value.to_string().into())
}

//! The stream behind `MarketData`: what is live is not asked for, all else is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::stub::{Stub, until};
use crate::domain::{BookFeed, Clock, SourceKind, SystemClock, TokenId};
use crate::market_data::polymarket::{Polymarket, PolymarketConfig};
use crate::market_data::{MarketData, StreamEvent};

const MARKET: &str = "0x0005c0d312de0be897668695bae9f32b624b4a1ae8b140c49f08447fcc74f442";

/// A book whose one bid tells where it came from.
fn book(token: &str, bid: &str) -> Value {
    json!({"event_type": "book", "market": MARKET, "asset_id": token,
        "timestamp": "1790000000000", "asks": [], "bids": [{"price": bid, "size": "5"}]})
}

type Asked = Arc<Mutex<Vec<Vec<String>>>>;

/// `POST /books` and `GET /book` with a bid of 0.30 for each token, and what was asked for.
async fn rest() -> (String, Asked) {
    async fn books(State(asked): State<Asked>, Json(body): Json<Value>) -> Json<Value> {
        let ids: Vec<String> = body
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["token_id"].as_str().unwrap().to_owned())
            .collect();
        asked.lock().unwrap().push(ids.clone());
        Json(ids.iter().map(|id| book(id, "0.30")).collect())
    }
    async fn one(
        State(asked): State<Asked>,
        Query(query): Query<HashMap<String, String>>,
    ) -> Json<Value> {
        let id = query["token_id"].clone();
        asked.lock().unwrap().push(vec![id.clone()]);
        Json(book(&id, "0.30"))
    }
    let asked = Asked::default();
    let router = Router::new()
        .route("/books", post(books))
        .route("/book", get(one))
        .route("/time", get(|| async { "1790000000" }))
        .with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (base, asked)
}

fn config(base: &str, stub: &Stub) -> PolymarketConfig {
    PolymarketConfig {
        clob_url: base.to_owned(),
        gamma_url: base.to_owned(),
        data_url: base.to_owned(),
        ws_url: stub.url.trim_end_matches("/market").to_owned(),
        ..PolymarketConfig::default()
    }
}

fn tokens() -> Vec<TokenId> {
    ["1", "2"].map(TokenId::new).to_vec()
}

/// Best bid and feed of both tokens.
async fn bids(client: &Polymarket) -> Vec<(String, bool)> {
    let books = client.books(&tokens()).await.unwrap();
    tokens()
        .iter()
        .map(|token| {
            let book = &books[token];
            let streamed = matches!(book.feed, BookFeed::Streamed { .. });
            (book.best_bid().unwrap().to_string(), streamed)
        })
        .collect()
}

fn seen(bid: &str, streamed: bool) -> (String, bool) {
    (bid.to_owned(), streamed)
}

#[tokio::test]
async fn live_books_are_not_asked_for_and_all_others_are() {
    let (base, asked) = rest().await;
    let stub = Stub::start().await;
    let client = Polymarket::new(config(&base, &stub), SourceKind::Polymarket).unwrap();
    let mut events = client.changes().unwrap();
    assert_eq!(client.health().stream, None);
    assert_eq!(
        bids(&client).await,
        [seen("0.3", false), seen("0.3", false)]
    );
    client.follow(&tokens());
    let connection = stub.connection(0).await;
    connection.send(book("2", "0.40").to_string());
    let live = StreamEvent::Live {
        token: TokenId::new("2"),
    };
    assert_eq!(events.recv().await.unwrap(), live);
    assert_eq!(bids(&client).await, [seen("0.3", false), seen("0.4", true)]);
    let last = asked.lock().unwrap().last().cloned().unwrap();
    assert_eq!(last, ["1"]);
    let found = client.books(&tokens()[1..]).await.unwrap();
    let age = SystemClock.now().since(found["2"].at);
    assert!(
        (0..60_000).contains(&age),
        "as old as the connection's last word"
    );
    assert_eq!(found["2"].changed_at.millis(), 1_790_000_000_000);
    assert_eq!(asked.lock().unwrap().len(), 2, "nothing was asked for");
    let health = client.health();
    let stream = health.stream.unwrap();
    assert_eq!((stream.followed, stream.live, stream.broken), (2, 1, 1));
    let note = "market stream: 1 connections, 1 of 2 books live, 0 reconnects, 0 resyncs, \
                1 messages, 0 dropped";
    assert!(health.notes[0].starts_with(note), "{:?}", health.notes);
    connection.send("{");
    connection.cut();
    assert!(matches!(
        events.recv().await.unwrap(),
        StreamEvent::Broken { .. }
    ));
    assert_eq!(
        bids(&client).await,
        [seen("0.3", false), seen("0.3", false)]
    );
    assert_eq!(client.health().skipped_rows["ws frame: not JSON"], 1);
    drop(client);
    let closed = tokio::sync::broadcast::error::RecvError::Closed;
    until(|| match events.try_recv() {
        Err(tokio::sync::broadcast::error::TryRecvError::Closed) => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(events.recv().await, Err(closed), "it ended with the client");
}

#[tokio::test]
async fn a_sandbox_and_a_switched_off_stream_connect_to_nothing() {
    let (base, asked) = rest().await;
    let stub = Stub::start().await;
    let sandbox = Polymarket::new(config(&base, &stub), SourceKind::Sandbox).unwrap();
    let off = PolymarketConfig {
        stream: false,
        ..config(&base, &stub)
    };
    let off = Polymarket::new(off, SourceKind::Polymarket).unwrap();
    // Books on this machine, a stream of the real venue: never both.
    let mixed = PolymarketConfig {
        ws_url: PolymarketConfig::default().ws_url,
        ..config(&base, &stub)
    };
    let mixed = Polymarket::new(mixed, SourceKind::Polymarket).unwrap();
    for client in [&sandbox, &off, &mixed] {
        assert!(client.changes().is_none());
        client.follow(&tokens());
        assert_eq!(bids(client).await, [seen("0.3", false), seen("0.3", false)]);
        assert_eq!(client.health().stream, None);
    }
    assert_eq!(asked.lock().unwrap().len(), 3);
    assert!(stub.accepted().is_empty());
}

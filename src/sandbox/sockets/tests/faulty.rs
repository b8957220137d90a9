//! Sockets on their bad days: what the client sees, and that the budget ends.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Client, Floor, sandbox};
use crate::domain::Side;
use crate::sandbox::exchange::OutcomeSide;

fn arm(floor: &Floor, fault: Value) {
    floor
        .sandbox
        .arm(serde_json::from_value(fault).unwrap())
        .unwrap();
}

fn fired(floor: &Floor) -> u64 {
    floor.sandbox.faults().last().unwrap().fired
}

fn trade(floor: &Floor, size: u32) {
    floor.order(OutcomeSide::First, Side::Buy, "0.3", size);
}

async fn listening(floor: &Floor) -> Client {
    let mut client = floor.connect().await;
    client.subscribe(&floor.tokens, false).await;
    assert_eq!(client.next().await[0]["event_type"], "book");
    client
}

#[tokio::test]
async fn a_socket_is_closed_at_once_and_the_next_one_lives() {
    let floor = Floor::new(sandbox().await);
    let mut client = listening(&floor).await;
    arm(
        &floor,
        json!({"fault": {"kind": "socket_close", "code": 1012}, "budget": {"next": 1}}),
    );
    assert_eq!(client.close_code().await, 1012);
    assert!(matches!(client.read().await, Ok(None) | Err(_)));
    let mut client = listening(&floor).await;
    trade(&floor, 10);
    assert_eq!(client.changes().await, 1);
    assert_eq!(fired(&floor), 1);
}

#[tokio::test]
async fn only_sockets_in_the_scope_are_struck_and_only_after_their_frames() {
    let floor = Floor::new(sandbox().await);
    let mut other = floor.connect().await;
    other
        .subscribe(&super::support::busiest(&floor.sandbox, 2), false)
        .await;
    drop(other.next().await);
    let mut client = listening(&floor).await;
    arm(
        &floor,
        json!({"fault": {"kind": "socket_reset", "after_frames": 2},
        "scope": {"token": floor.tokens[1]}, "budget": {"next": 1}}),
    );
    for size in [10, 20] {
        trade(&floor, size);
        assert_eq!(client.changes().await, 1);
    }
    assert!(client.read().await.is_err(), "a reset is no proper end");
    other.say("PING").await;
    assert_eq!(other.text().await, "PONG");
}

#[tokio::test]
async fn a_stalled_socket_stays_open_and_says_nothing() {
    for pong in [false, true] {
        let floor = Floor::new(sandbox().await);
        let mut client = listening(&floor).await;
        arm(
            &floor,
            json!({"fault": {"kind": "socket_stall", "pong": pong}, "budget": {"next": 1}}),
        );
        while fired(&floor) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        trade(&floor, 10);
        client.say("PING").await;
        let heard = client.silence(Duration::from_millis(250)).await;
        assert_eq!(heard.as_deref(), pong.then_some("PONG"));
        let mut client = listening(&floor).await;
        trade(&floor, 20);
        assert_eq!(client.changes().await, 1);
    }
}

#[tokio::test]
async fn frames_are_repeated_as_often_as_asked() {
    let floor = Floor::new(sandbox().await);
    let mut client = listening(&floor).await;
    arm(
        &floor,
        json!({"fault": {"kind": "socket_repeat", "times": 2}, "budget": {"next": 1}}),
    );
    trade(&floor, 10);
    let first = client.next().await;
    assert_eq!(client.next().await, first);
    assert_eq!(client.next().await, first);
    trade(&floor, 20);
    let second = client.next().await;
    assert_ne!(second, first);
    assert_eq!(client.silence(Duration::from_millis(100)).await, None);
}

#[tokio::test]
async fn a_connection_breaks_in_the_middle_of_a_price_change() {
    let floor = Floor::new(sandbox().await);
    let mut client = listening(&floor).await;
    arm(
        &floor,
        json!({"fault": {"kind": "socket_mid_book"}, "budget": {"next": 1}}),
    );
    trade(&floor, 10);
    assert!(client.read().await.is_err(), "half a frame is none");
    let mut client = floor.connect().await;
    client.subscribe(&floor.tokens, false).await;
    // The level whose news was cut off is in the fresh book.
    let books = client.next().await;
    assert_eq!(books[0]["bids"], json!([{"price": "0.3", "size": "10"}]));
}

#[tokio::test]
async fn events_are_spoiled_delayed_cut_and_put_out_of_time() {
    let floor = Floor::new(sandbox().await);
    let mut client = listening(&floor).await;
    let next = json!({"next": 1});
    let ws = json!({"host": "ws"});
    arm(
        &floor,
        json!({"fault": {"kind": "rows", "spoil": ["price_above_one"]}, "scope": ws, "budget": next}),
    );
    trade(&floor, 10);
    let event = client.next().await;
    assert_eq!(event["price_changes"][0]["price"], "1.7");
    assert_eq!(event["price_changes"][1]["price"], "0.7");

    arm(
        &floor,
        json!({"fault": {"kind": "rows", "spoil": ["unknown_row"]}, "scope": ws, "budget": next}),
    );
    trade(&floor, 20);
    assert_eq!(client.next().await["event_type"], "liquidity_aurora");

    arm(
        &floor,
        json!({"fault": {"kind": "malformed"}, "scope": ws, "budget": next}),
    );
    trade(&floor, 20);
    let text = client.text().await;
    assert!(serde_json::from_str::<Value>(&text).is_err(), "{text:.30}");

    arm(
        &floor,
        json!({"fault": {"kind": "truncated", "cut": "honest"}, "scope": ws, "budget": next}),
    );
    trade(&floor, 20);
    let text = client.text().await;
    assert!(
        text.starts_with("{\"market\"") && !text.ends_with('}'),
        "{text}"
    );

    let now = floor.sandbox.now().millis();
    arm(
        &floor,
        json!({"fault": {"kind": "clock_skew", "ms": 7000}, "scope": ws, "budget": next}),
    );
    trade(&floor, 20);
    assert_eq!(
        client.next().await["timestamp"],
        (now + 7000).to_string().as_str()
    );

    arm(
        &floor,
        json!({"fault": {"kind": "latency", "ms": {"fixed": 150}}, "scope": ws, "budget": next}),
    );
    let began = std::time::Instant::now();
    trade(&floor, 20);
    assert_eq!(client.changes().await, 1);
    assert!(began.elapsed().as_millis() >= 150);
    let began = std::time::Instant::now();
    trade(&floor, 20);
    let event = client.next().await;
    assert_eq!(event["timestamp"], now.to_string().as_str());
    // 10 + 20 · 6: every order arrived, whatever became of its news.
    assert_eq!(event["price_changes"][0]["size"], "130");
    assert!(began.elapsed().as_millis() < 150);
}

#[tokio::test]
async fn a_refused_opening_is_an_ordinary_answer() {
    let floor = Floor::new(sandbox().await);
    arm(
        &floor,
        json!({"fault": {"kind": "status", "code": 503}, "scope": {"host": "ws"}, "budget": {"next": 1}}),
    );
    let url = format!("{}/market", floor.sandbox.ws_url());
    let refused = tokio_tungstenite::connect_async(url).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(answer.status(), 503);
    listening(&floor).await;
}

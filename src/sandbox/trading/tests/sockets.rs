//! The user channel.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::super::signing::Contract;
use super::agent::{Agent, Bench, bench};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn open(bench: &Bench) -> Socket {
    let (socket, _) = connect_async(format!("ws://{}/ws/user", bench.address))
        .await
        .unwrap();
    socket
}

async fn say(socket: &mut Socket, text: String) {
    socket.send(Message::text(text)).await.unwrap();
}

async fn hear(socket: &mut Socket) -> Message {
    tokio::time::timeout(Duration::from_secs(10), socket.next())
        .await
        .expect("a message within ten seconds")
        .unwrap()
        .unwrap()
}

async fn event(socket: &mut Socket) -> Value {
    serde_json::from_str(hear(socket).await.to_text().unwrap()).unwrap()
}

fn auth(agent: &Agent, markets: &[&str]) -> String {
    json!({
        "type": "user",
        "auth": {"apiKey": agent.id, "secret": agent.secret, "passphrase": agent.passphrase},
        "markets": markets,
    })
    .to_string()
}

/// Subscribes and waits until the sandbox has read it.
async fn subscribed(bench: &Bench, agent: &Agent, markets: &[&str]) -> Socket {
    let mut socket = open(bench).await;
    say(&mut socket, auth(agent, markets)).await;
    say(&mut socket, "PING".to_owned()).await;
    assert_eq!(hear(&mut socket).await, Message::text("PONG"));
    socket
}

#[tokio::test]
async fn each_side_hears_of_its_own_orders_and_trades() {
    let bench = bench().await;
    let (mut maker, mut taker) = bench.both().await;
    let place = bench.place(Contract::Standard);
    let mut makers = subscribed(&bench, &maker, &[]).await;
    let mut takers = subscribed(&bench, &taker, &[&place.condition]).await;
    let mut elsewhere = subscribed(&bench, &maker, &["0x00"]).await;

    let body = maker.signed(&place, "BUY", place.price, "10", "GTC");
    let id = maker.post(&body).await.1["orderID"].clone();
    let placed = event(&mut makers).await;
    assert_eq!(
        (&placed["event_type"], &placed["type"]),
        (&json!("order"), &json!("PLACEMENT"))
    );
    assert_eq!((&placed["id"], &placed["status"]), (&id, &json!("LIVE")));

    let token = place.other.clone();
    let body = taker.signed_on(&token, &place, "BUY", place.price.complement(), "10", "GTC");
    let trade = taker.post(&body).await.1["tradeIDs"][0].clone();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let seen = event(&mut makers).await;
        if seen["event_type"] == "trade" {
            assert_eq!(
                (&seen["id"], &seen["trader_side"]),
                (&trade, &json!("MAKER"))
            );
            assert_eq!(seen["maker_orders"][0]["order_id"], id);
            assert_eq!(
                (&seen["status"], &seen["trade_owner"]),
                (&json!("MATCHED"), &json!(maker.id))
            );
        } else {
            assert_eq!(
                (&seen["type"], &seen["status"]),
                (&json!("UPDATE"), &json!("MATCHED"))
            );
            assert_eq!(seen["size_matched"], "10");
        }
        kinds.push(seen["event_type"].as_str().unwrap().to_owned());
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["order", "trade"]);

    let mut trades = Vec::new();
    while trades.is_empty() {
        let seen = event(&mut takers).await;
        if seen["event_type"] == "trade" {
            assert_eq!(seen["trader_side"], "TAKER");
            trades.push(seen["status"].clone());
        }
    }
    bench.step(6_000);
    while trades.len() < 3 {
        let seen = event(&mut takers).await;
        if seen["event_type"] == "trade" {
            trades.push(seen["status"].clone());
        }
    }
    assert_eq!(trades, ["MATCHED", "MINED", "CONFIRMED"]);

    // A market that is not followed says nothing: the first thing heard is the answer to a PING.
    say(&mut elsewhere, "PING".to_owned()).await;
    assert_eq!(hear(&mut elsewhere).await, Message::text("PONG"));
}

#[tokio::test]
async fn cancelled_and_killed_orders_are_told_with_their_reason() {
    let bench = bench().await;
    let (mut agent, _) = bench.both().await;
    let place = bench.place(Contract::V3);
    let mut socket = subscribed(&bench, &agent, &[]).await;
    let body = agent.signed(&place, "BUY", place.tick, "5", "GTC");
    let id = agent.post(&body).await.1["orderID"].clone();
    assert_eq!(event(&mut socket).await["type"], "PLACEMENT");
    agent
        .call("DELETE", "/order", &json!({"orderID": id}))
        .await;
    let seen = event(&mut socket).await;
    assert_eq!(
        (&seen["type"], &seen["status"]),
        (&json!("CANCELLATION"), &json!("CANCELED"))
    );

    // A FAK buy at one tick finds nobody.
    let shares = 1_000_000_u64 * 1_000_000 / u64::from(place.tick.micros());
    let order = agent.order(&place.token, 0, 1_000_000, shares);
    let digest = super::super::signing::order_hash(&order, &place.contract.domain());
    let signature = super::super::signing::tests::sign(agent.key, &digest);
    let (status, answer) = agent.post(&agent.body(&order, &signature, "FAK")).await;
    assert_eq!(status, 400);
    let text = "no orders found to match with FAK order. FAK orders are partially filled or \
                killed if no match is found.";
    assert_eq!(answer["error"], text);
    let seen = event(&mut socket).await;
    assert_eq!(seen["status"], format!("CANCELED_{text}"));
    assert_eq!(
        (&seen["id"], &seen["original_size"]),
        (&answer["orderID"], &json!("1"))
    );

    let notices = agent.get("/notifications").await;
    assert_eq!(notices.as_array().unwrap().len(), 1);
    assert_eq!(
        (&notices[0]["type"], &notices[0]["payload"]["order_id"]),
        (&json!(1), &id)
    );
    let path = format!("/notifications?ids={}", notices[0]["id"]);
    assert_eq!(
        agent.call("DELETE", &path, &Value::Null).await,
        (200, json!("OK"))
    );
    assert_eq!(agent.get("/notifications").await, json!([]));
}

#[tokio::test]
async fn nobody_listens_without_all_three_credentials() {
    let bench = bench().await;
    let (agent, other) = bench.both().await;
    let good = auth(&agent, &[]);
    for text in [
        good.replace(&agent.secret, &other.secret),
        good.replace(&agent.passphrase, &other.passphrase),
        good.replace(&agent.id, &other.id),
        json!({"type": "user"}).to_string(),
        "[]".to_owned(),
    ] {
        let mut socket = open(&bench).await;
        say(&mut socket, text).await;
        let Message::Close(Some(frame)) = hear(&mut socket).await else {
            panic!("let in");
        };
        assert_eq!(u16::from(frame.code), 1008);
    }
}

//! What happens to trades and orders with time: settlement, failure, expiry, silence, redemption.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::signing::Contract;
use super::agent::{Agent, Bench, Place, bench};

/// Ten shares of Yes for the first, ten of No for the second; gives the trade's id.
async fn trade(place: &Place, (first, second): (&mut Agent, &mut Agent)) -> String {
    let body = first.signed(place, "BUY", place.price, "10", "GTC");
    assert_eq!(first.post(&body).await.1["status"], "live");
    let token = place.other.clone();
    let body = second.signed_on(&token, place, "BUY", place.price.complement(), "10", "GTC");
    let (_, answer) = second.post(&body).await;
    assert_eq!(answer["status"], "matched", "{answer}");
    answer["tradeIDs"][0].as_str().unwrap().to_owned()
}

async fn row(agent: &Agent, id: &str) -> Value {
    let page = agent.get(&format!("/data/trades?id={id}")).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    page["data"][0].clone()
}

#[tokio::test]
async fn a_trade_is_mined_and_confirmed_after_its_delays() {
    let bench = bench().await;
    let (mut first, mut second) = bench.both().await;
    let place = bench.place(Contract::Standard);
    let id = trade(&place, (&mut first, &mut second)).await;
    let seen = row(&first, &id).await;
    assert_eq!(
        (&seen["status"], &seen["trader_side"]),
        (&json!("MATCHED"), &json!("MAKER"))
    );
    assert_eq!(seen["transaction_hash"], "");
    assert_eq!(
        first.shares(&place.token).await,
        0,
        "not in the wallet before it is final"
    );
    bench.step(1_999);
    assert_eq!(row(&second, &id).await["status"], "MATCHED");
    bench.step(1);
    let seen = row(&second, &id).await;
    assert_eq!(
        (&seen["status"], &seen["trader_side"]),
        (&json!("MINED"), &json!("TAKER"))
    );
    assert_eq!(seen["transaction_hash"].as_str().unwrap().len(), 66);
    bench.step(4_000);
    assert_eq!(row(&first, &id).await["status"], "CONFIRMED");
    assert_eq!(first.shares(&place.token).await, 10_000_000);
}

#[tokio::test]
async fn a_match_that_fails_is_undone_to_the_last_micro_unit() {
    let bench = bench().await;
    let (mut first, mut second) = bench.both().await;
    let place = bench.place(Contract::NegRisk);
    let fault = json!({"fault": {"kind": "fail_match"}, "budget": {"next": 1}});
    let (status, answer) = bench.admin("/faults", fault).await;
    assert_eq!(status, 200, "{answer}");
    let failing = trade(&place, (&mut first, &mut second)).await;
    let lasting = trade(&place, (&mut first, &mut second)).await;
    bench.step(2_000);
    assert_eq!(row(&first, &failing).await["status"], "RETRYING");
    assert_eq!(row(&first, &lasting).await["status"], "MINED");
    bench.step(4_000);
    assert_eq!(row(&first, &failing).await["status"], "FAILED");
    assert_eq!(row(&first, &lasting).await["status"], "CONFIRMED");
    let price = i64::from(place.price.micros());
    assert_eq!(first.money().await, 1_000_000_000 - 10 * price);
    assert_eq!(first.shares(&place.token).await, 10_000_000);
    assert_eq!(second.shares(&place.other).await, 10_000_000);
}

#[tokio::test]
async fn a_dated_order_leaves_a_minute_before_its_expiration() {
    let bench = bench().await;
    let (mut agent, _) = bench.both().await;
    let place = bench.place(Contract::Standard);
    let expiration = bench.shared.read().now.secs() + 240;
    let mut body = agent.signed(&place, "BUY", place.tick, "5", "GTD");
    body["order"]["expiration"] = json!(expiration.to_string());
    let (_, answer) = agent.post(&body).await;
    assert_eq!(answer["status"], "live", "{answer}");
    bench.step(179_000);
    let row = agent.get("/data/orders").await["data"][0].clone();
    assert_eq!(row["expiration"], expiration.to_string());
    bench.step(1_000);
    assert_eq!(agent.get("/data/orders").await["data"], json!([]));
    let path = format!("/data/order/{}", answer["orderID"].as_str().unwrap());
    assert_eq!(agent.get(&path).await["status"], "CANCELED");
}

#[tokio::test]
async fn a_silent_heartbeat_cancels_the_orders_of_its_key_alone() {
    let bench = bench().await;
    let (mut agent, mut other) = bench.both().await;
    let place = bench.place(Contract::Standard);
    for one in [&mut agent, &mut other] {
        let body = one.signed(&place, "BUY", place.tick, "5", "GTC");
        assert_eq!(one.post(&body).await.0, 200);
    }
    let beat = |id: &str| json!({ "heartbeat_id": id });
    let (_, answer) = agent.call("POST", "/v1/heartbeats", &beat("")).await;
    let id = answer["heartbeat_id"].as_str().unwrap().to_owned();
    let (status, answer) = agent.call("POST", "/v1/heartbeats", &beat("other")).await;
    assert_eq!(status, 400);
    assert_eq!(
        answer,
        json!({"error_msg": "Invalid Heartbeat ID", "heartbeat_id": id})
    );

    let silence = |seconds: u64| {
        let mut world = bench.shared.write();
        let now = Instant::now() + Duration::from_secs(seconds);
        bench.shared.trading().catch_up(&mut world, now);
    };
    silence(9);
    assert_eq!(
        agent.get("/data/orders").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    silence(11);
    assert_eq!(agent.get("/data/orders").await["data"], json!([]));
    assert_eq!(
        other.get("/data/orders").await["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

async fn data(bench: &Bench, path: &str) -> Value {
    let url = format!("http://{}/data{path}", bench.address);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = http.get(url).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn winning_shares_become_redeemable_and_are_paid_once() {
    let bench = bench().await;
    let (mut first, mut second) = bench.both().await;
    let place = bench.place(Contract::Standard);
    trade(&place, (&mut first, &mut second)).await;
    bench.step(6_000);
    let user = first.address().to_string();
    let rows = data(&bench, &format!("/v2/positions?user={user}")).await;
    let price = place.price.to_f64();
    assert_eq!(rows["data"][0]["status"], "OPEN", "{rows}");
    assert_eq!(rows["data"][0]["current_size"], 10.0);
    assert!((rows["data"][0]["avg_price"].as_f64().unwrap() - price).abs() < 1e-9);

    let redeem = |agent: &Agent| json!({"address": agent.address().to_string(), "condition_id": place.condition});
    let (status, answer) = bench.admin("/redeem", redeem(&first)).await;
    assert_eq!(
        (status, &answer["error"]),
        (400, &json!("the market is not resolved"))
    );
    {
        let mut world = bench.shared.write();
        let (market, now) = (world.markets[place.index].idx(), world.now);
        world.exchange.settle(market, [1_000_000, 0], now).unwrap();
    }
    let before = first.money().await;
    let (_, answer) = bench.admin("/redeem", redeem(&first)).await;
    assert_eq!(answer["paid"], "10", "{answer}");
    assert_eq!(first.money().await, before + 10_000_000);
    let (_, answer) = bench.admin("/redeem", redeem(&first)).await;
    assert_eq!(answer["paid"], "0");
    let (_, answer) = bench.admin("/redeem", redeem(&second)).await;
    assert_eq!(answer["paid"], "0", "a lost share pays nothing");
}

//! Orders that are accepted, and what becomes of the money.

use serde_json::{Value, json};

use super::super::signing::Contract;
use super::agent::{bench, version_of};
use crate::domain::{FeeSchedule, Price, Shares};

fn fee(schedule: FeeSchedule, price: Price, shares: &str) -> i64 {
    schedule
        .fee(price, Shares::parse(shares).unwrap())
        .unwrap()
        .micros()
}

#[tokio::test]
async fn two_agents_trade_on_each_contract_and_every_micro_unit_is_accounted_for() {
    let bench = bench().await;
    let (mut buyer, mut seller) = bench.both().await;
    for contract in Contract::ALL {
        let place = bench.place(contract);
        let schedule = bench.shared.read().markets[place.index].fee.schedule;
        let price = i64::from(place.price.micros());
        let before = (buyer.money().await, seller.money().await);

        // 40 Yes bought at p rest; 25 No bought at 1 − p meet them: 25 pairs are made.
        let body = buyer.signed(&place, "BUY", place.price, "40", "GTC");
        let (status, first) = buyer.post(&body).await;
        assert_eq!((status, &first["status"]), (200, &json!("live")), "{first}");
        assert_eq!(first["takingAmount"], "");
        let id = first["orderID"].as_str().unwrap().to_owned();

        let other = place.other.clone();
        let complement = place.price.complement();
        let body = seller.signed_on(&other, &place, "BUY", complement, "25", "GTC");
        let (status, second) = seller.post(&body).await;
        assert_eq!(
            (status, &second["status"]),
            (200, &json!("matched")),
            "{second}"
        );
        assert_eq!(second["takingAmount"], "25");
        assert_eq!(second["tradeIDs"].as_array().unwrap().len(), 1);

        let row = buyer.get(&format!("/data/order/{id}")).await;
        assert_eq!(
            (&row["size_matched"], &row["status"]),
            (&json!("25"), &json!("LIVE"))
        );
        assert_eq!(row["associate_trades"], second["tradeIDs"]);

        bench.step(6_000);
        let cost = 25 * price;
        let rival = 25 * (1_000_000 - price) + fee(schedule, complement, "25");
        assert_eq!(buyer.money().await, before.0 - cost, "a maker pays no fee");
        assert_eq!(seller.money().await, before.1 - rival);
        assert_eq!(buyer.shares(&place.token).await, 25_000_000);
        assert_eq!(seller.shares(&place.other).await, 25_000_000);

        // The rest is cancelled; a second try says why not.
        let (_, answer) = buyer
            .call("DELETE", "/order", &json!({"orderID": id}))
            .await;
        assert_eq!(answer, json!({"canceled": [id], "not_canceled": {}}));
        let (status, answer) = buyer
            .call("DELETE", "/order", &json!({"orderID": id}))
            .await;
        assert_eq!(status, 200);
        assert_eq!(answer["canceled"], json!([]));
        let reason = answer["not_canceled"][&id].as_str().unwrap();
        assert_eq!(reason, "already canceled or matched");

        // Both tokens trade under the contract of their market's version.
        let world = bench.shared.read();
        let (_, event, _) = world.by_token(&place.token).unwrap();
        assert_eq!(event.version, version_of(contract));
    }
}

#[tokio::test]
async fn market_orders_spend_a_budget_and_sell_what_is_held() {
    let bench = bench().await;
    let (mut maker, mut taker) = bench.both().await;
    let place = bench.place(Contract::Standard);
    let price = place.price;
    // The maker holds 100 pairs and offers Yes.
    let split = json!({
        "address": maker.address().to_string(), "condition_id": place.condition, "shares": "100",
    });
    let (status, account) = bench.admin("/split", split).await;
    assert_eq!(
        (status, &account["cash"]),
        (200, &json!("900")),
        "{account}"
    );
    let offer = maker.signed(&place, "SELL", price, "100", "GTC");
    assert_eq!(maker.post(&offer).await.1["status"], "live");

    // $6 spent at the limit, less than the offer holds: whole lots of 0.01 share.
    let wanted = 6_000_000_u64 * 1_000_000 / u64::from(price.micros());
    let wanted = wanted / 100 * 100;
    let order = taker.order(&place.token.clone(), 0, 6_000_000, wanted);
    let signature = super::super::signing::tests::sign(
        taker.key,
        &super::super::signing::order_hash(&order, &place.contract.domain()),
    );
    let body = taker.body(&order, &signature, "FOK");
    let (status, answer) = taker.post(&body).await;
    assert_eq!(
        (status, &answer["status"]),
        (200, &json!("matched")),
        "{answer}"
    );
    let got = Shares::parse(answer["takingAmount"].as_str().unwrap()).unwrap();
    let paid = crate::domain::Usdc::parse(answer["makingAmount"].as_str().unwrap()).unwrap();
    assert!(
        paid.micros() <= 6_000_000 && paid.micros() > 5_980_000,
        "{paid}"
    );
    let due = i128::from(got.micros()) * i128::from(price.micros()) / 1_000_000;
    assert_eq!(i128::from(paid.micros()), due);

    bench.step(6_000);
    let schedule = bench.shared.read().markets[place.index].fee.schedule;
    let fee = schedule.fee(price, got).unwrap().micros();
    assert_eq!(taker.money().await, 1_000_000_000 - paid.micros() - fee);
    assert_eq!(maker.money().await, 900_000_000 + paid.micros());
    assert_eq!(taker.shares(&place.token).await, got.micros());

    // Everything the maker has left goes with one call.
    let (_, answer) = maker.call("DELETE", "/cancel-all", &Value::Null).await;
    assert_eq!(answer["canceled"].as_array().unwrap().len(), 1);
    assert_eq!(maker.get("/data/orders").await["data"], json!([]));
}

#[tokio::test]
async fn batches_answer_order_by_order_and_cancels_can_be_filtered() {
    let bench = bench().await;
    let (mut agent, _) = bench.both().await;
    let place = bench.place(Contract::Standard);
    let elsewhere = bench.place(Contract::NegRisk);
    let low = place.tick;
    let good = agent.signed(&place, "BUY", low, "10", "GTC");
    let poor = agent.signed(&place, "SELL", place.price, "10", "GTC");
    let here = agent.signed(&elsewhere, "BUY", elsewhere.tick, "10", "GTC");
    let (status, answers) = agent
        .call("POST", "/orders", &json!([good, poor, here, good]))
        .await;
    assert_eq!(status, 200);
    assert_eq!(answers[0]["success"], true);
    assert_eq!(answers[1]["success"], false);
    assert_eq!(answers[1]["errorMsg"], "not enough balance / allowance");
    assert_eq!(answers[2]["status"], "live");
    let id = answers[0]["orderID"].as_str().unwrap();
    let text = format!("order {id} is invalid. Duplicated.");
    assert_eq!(answers[3]["errorMsg"], text);

    let page = agent
        .get(&format!("/data/orders?market={}", place.condition))
        .await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["data"][0]["id"], id);
    assert_eq!(page["next_cursor"], "LTE=");

    let body = json!({"market": "", "asset_id": elsewhere.token});
    let (_, answer) = agent.call("DELETE", "/cancel-market-orders", &body).await;
    assert_eq!(answer["canceled"], json!([answers[2]["orderID"]]));
    let (_, answer) = agent.call("DELETE", "/orders", &json!([id, "0xbad"])).await;
    assert_eq!(answer, json!({"error": "Invalid orderID"}));
    let unknown = format!("0x{}", "7".repeat(64));
    let (_, answer) = agent.call("DELETE", "/orders", &json!([id, unknown])).await;
    assert_eq!(answer["canceled"], json!([id]));
    let reason = answer["not_canceled"][&unknown].as_str().unwrap();
    assert!(reason.contains("already canceled or matched"), "{reason}");

    let many: Vec<Value> = (0..16).map(|_| json!({})).collect();
    let (status, answer) = agent.call("POST", "/orders", &json!(many)).await;
    assert_eq!(status, 400);
    assert_eq!(
        answer["error"],
        "Too many orders in payload: 16, max allowed: 15"
    );
}

#[tokio::test]
async fn pages_of_a_hundred_end_with_the_venues_last_cursor() {
    let bench = bench().await;
    let (mut agent, _) = bench.both().await;
    let place = bench.place(Contract::Standard);
    for _ in 0..7 {
        let batch: Vec<Value> = (0..15)
            .map(|_| agent.signed(&place, "BUY", place.tick, "5", "GTC"))
            .collect();
        assert_eq!(agent.call("POST", "/orders", &json!(batch)).await.0, 200);
    }
    let first = agent.get("/data/orders?next_cursor=MA==").await;
    assert_eq!(first["data"].as_array().unwrap().len(), 100);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = agent
        .get(&format!("/data/orders?next_cursor={cursor}"))
        .await;
    assert_eq!(second["data"].as_array().unwrap().len(), 5);
    assert_eq!(second["next_cursor"], "LTE=");
    let (status, answer) = agent
        .call("GET", "/data/orders?next_cursor=%2A", &Value::Null)
        .await;
    assert_eq!(
        (status, &answer["error"]),
        (400, &json!("invalid order params payload"))
    );
}

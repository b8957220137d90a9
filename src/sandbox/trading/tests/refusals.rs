//! What is refused, and in which words.

use alloy_primitives::{U256, hex};
use serde_json::{Value, json};

use super::super::signing::tests::{OTHER_KEY, TEST_KEY, high_s, sign, wrap};
use super::super::signing::{Contract, order_hash};
use super::agent::bench;
use crate::domain::Price;

fn error(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"].as_str().unwrap())
}

#[tokio::test]
async fn signatures_must_be_the_signers_own_over_the_markets_contract() {
    let bench = bench().await;
    let (mut agent, other) = bench.both().await;
    let place = bench.place(Contract::Standard);
    let order = agent.order(&place.token, 0, 500_000, 50_000_000);
    let digest = order_hash(&order, &place.contract.domain());
    let good = sign(TEST_KEY, &digest);

    for (signature, text) in [
        (sign(OTHER_KEY, &digest), "invalid signature"),
        (high_s(&good), "invalid signature"),
        (good[..64].to_vec(), "invalid signature"),
        (
            sign(TEST_KEY, &order_hash(&order, &Contract::NegRisk.domain())),
            "invalid signature",
        ),
        (
            sign(TEST_KEY, &order_hash(&order, &Contract::V3.domain())),
            "order_version_mismatch",
        ),
    ] {
        let answer = agent.post(&agent.body(&order, &signature, "GTC")).await;
        assert_eq!(error(&answer), (400, text), "{}", hex::encode(signature));
    }

    // Another one's order, or another one's key.
    let answer = other.post(&agent.body(&order, &good, "GTC")).await;
    assert_eq!(
        error(&answer),
        (400, "the order owner has to be the owner of the API KEY")
    );
    let answer = other.post(&other.body(&order, &good, "GTC")).await;
    assert_eq!(
        error(&answer),
        (
            400,
            "the order signer address has to be the address of the API KEY"
        )
    );
    let mut changed = order.clone();
    changed.takerAmount += U256::from(1_000_000);
    let answer = agent.post(&agent.body(&changed, &good, "GTC")).await;
    assert_eq!(error(&answer), (400, "invalid signature"));
    assert_eq!(agent.get("/data/orders").await["data"], json!([]));
}

#[tokio::test]
async fn proxies_and_deposit_wallets_belong_to_their_first_signer() {
    let bench = bench().await;
    let (mut first, mut second) = bench.both().await;
    let place = bench.place(Contract::V3);
    let domain = place.contract.domain();
    let proxy = alloy_primitives::Address::repeat_byte(0x11);
    let wallet = alloy_primitives::Address::repeat_byte(0x22);
    let money = u64::from(place.tick.micros()) * 10;

    for (agent, accepted) in [(&mut first, true), (&mut second, false)] {
        let mut order = agent.order(&place.token, 0, money, 10_000_000);
        order.maker = proxy;
        order.signatureType = 1;
        let signature = sign(agent.key, &order_hash(&order, &domain));
        let answer = agent.post(&agent.body(&order, &signature, "GTC")).await;
        assert_eq!(answer.0 == 200, accepted, "{answer:?}");

        let mut order = agent.order(&place.token, 0, money, 10_000_000);
        (order.maker, order.signer, order.signatureType) = (wallet, wallet, 3);
        // Else the two orders would be the same.
        order.salt += U256::from(if accepted { 0 } else { 1_000 });
        let signature = wrap(agent.key, &order, &domain);
        let answer = agent.post(&agent.body(&order, &signature, "GTC")).await;
        assert_eq!(answer.0 == 200, accepted, "{answer:?}");
        if !accepted {
            assert_eq!(
                error(&answer).1,
                "the order owner has to be the owner of the API KEY"
            );
        }
    }
    assert_eq!(
        first.get("/data/orders").await["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let path = "/balance-allowance?asset_type=COLLATERAL&signature_type=3";
    assert_eq!(first.get(path).await["balance"], "1000000000");
    let (_, accounts) = bench.admin("/accounts", Value::Null).await;
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn calls_without_a_good_hmac_or_in_another_time_are_unauthorized() {
    let bench = bench().await;
    let (agent, mut stranger) = bench.both().await;
    for skew in [-31, 31, -86_400] {
        let answer = agent.call_at(skew, "GET", "/data/orders", "", "").await;
        assert_eq!(error(&answer), (401, "Unauthorized/Invalid api key"));
    }
    assert_eq!(
        agent
            .call_at(-29, "GET", "/data/orders", "?id=1", "")
            .await
            .0,
        200
    );
    stranger.secret.clone_from(&agent.secret);
    let answer = stranger.call("GET", "/data/trades", &Value::Null).await;
    assert_eq!(error(&answer), (401, "Unauthorized/Invalid api key"));
    let (status, answer) = agent.call("DELETE", "/auth/api-key", &Value::Null).await;
    assert_eq!((status, answer), (200, json!("OK")));
    let answer = agent.call("GET", "/data/orders", &Value::Null).await;
    assert_eq!(error(&answer).0, 401, "a deleted key is no key");
}

#[tokio::test]
async fn orders_out_of_the_rules_are_refused_in_the_venues_words() {
    let bench = bench().await;
    let (mut agent, mut other) = bench.both().await;
    let place = bench.place(Contract::Standard);
    let price = place.price;
    let mut refused = Vec::new();

    let half = Price::from_micros(price.micros() + place.tick.micros() / 2).unwrap();
    let body = agent.signed(&place, "BUY", half, "10", "GTC");
    refused.push((
        body,
        format!(
            "Price ({half}) breaks minimum tick size rule: {}",
            place.tick
        ),
    ));
    let body = agent.signed(&place, "BUY", price, "4.99", "GTC");
    refused.push((body, "Size (4.99) lower than the minimum: 5".to_owned()));
    let body = agent.signed(&place, "BUY", price, "9000", "GTC");
    refused.push((body, "not enough balance / allowance".to_owned()));
    let body = agent.signed(&place, "SELL", price, "5", "GTC");
    refused.push((body, "not enough balance / allowance".to_owned()));
    let mut body = agent.signed(&place, "BUY", price, "5", "GTD");
    body["order"]["expiration"] = json!("1795420900");
    refused.push((body, "invalid expiration".to_owned()));
    let body = agent.signed(&place, "BUY", price, "5", "GTD");
    refused.push((body, "invalid expiration".to_owned()));
    let body = agent.signed_on("77", &place, "BUY", price, "5", "GTC");
    refused.push((body, "market not found".to_owned()));
    let body = agent.signed(&place, "SELL", price, "5", "IOC");
    refused.push((body, "Invalid order payload".to_owned()));
    for (body, text) in refused {
        let answer = agent.post(&body).await;
        let expected = if text == "market not found" { 404 } else { 400 };
        assert_eq!(answer.0, expected, "{answer:?}");
        assert!(
            answer.1["error"].as_str().unwrap().ends_with(&text),
            "{answer:?}, not {text}"
        );
    }

    // A post-only order may not take; a FOK needs all of it; both leave the book as it was.
    let rest = agent.signed(&place, "BUY", price, "10", "GTC");
    assert_eq!(agent.post(&rest).await.0, 200);
    let complement = price.complement();
    let token = place.other.clone();
    let mut body = other.signed_on(&token, &place, "BUY", complement, "5", "GTC");
    body["postOnly"] = json!(true);
    let answer = other.post(&body).await;
    assert_eq!(
        error(&answer),
        (400, "invalid post-only order: order crosses book")
    );
    let split = json!({
        "address": other.address().to_string(), "condition_id": place.condition, "shares": "50",
    });
    assert_eq!(bench.admin("/split", split).await.0, 200);
    let body = other.signed(&place, "SELL", price, "50", "FOK");
    let answer = other.post(&body).await;
    let text = "order couldn't be fully filled. FOK orders are fully filled or killed.";
    assert_eq!(error(&answer), (400, text));
    assert!(answer.1["orderID"].as_str().unwrap().starts_with("0x"));
    assert_eq!(other.shares(&place.token).await, 50_000_000);

    // The same signed order twice.
    let answer = agent.post(&rest).await;
    assert!(
        error(&answer).1.ends_with("is invalid. Duplicated."),
        "{answer:?}"
    );

    // Without an allowance nothing is bought, though the money is there.
    let body = json!({"address": agent.address().to_string(), "collateral": false});
    assert_eq!(bench.admin("/allowance", body).await.0, 200);
    let body = agent.signed(&place, "BUY", place.tick, "5", "GTC");
    let answer = agent.post(&body).await;
    assert_eq!(error(&answer), (400, "not enough balance / allowance"));
    let path = "/balance-allowance?asset_type=COLLATERAL";
    let allowances = agent.get(path).await["allowances"].clone();
    assert!(
        allowances
            .as_object()
            .unwrap()
            .values()
            .all(|amount| amount == "0")
    );
}

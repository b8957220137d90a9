//! The recorded answers and the sandbox's own pass the same checks: names of fields, JSON types.

use serde_json::{Value, json};

use super::super::signing::Contract;
use super::agent::bench;
use crate::sandbox::wire::recorded::{recording, same_shape};

/// Several recordings as one, so that a field may have any of their types.
fn recordings(names: &[&str]) -> Option<Value> {
    let list: Option<Vec<Value>> = names.iter().map(|name| recording(name)).collect();
    list.map(Value::Array)
}

#[tokio::test]
async fn recorded_orders_trades_and_answers_have_the_same_fields_and_types() {
    let Some(orders) = recordings(&[
        "orders/open_orders_page.json",
        "orders/open_orders_harness.json",
        "orders/canceled_orders_harness.json",
        "orders/empty_page.json",
    ]) else {
        return;
    };
    let bench = bench().await;
    let (mut first, mut second) = bench.both().await;
    let place = bench.place(Contract::Standard);
    let body = first.signed(&place, "BUY", place.price, "20", "GTC");
    let live = first.post(&body).await.1;
    let token = place.other.clone();
    let body = second.signed_on(&token, &place, "BUY", place.price.complement(), "10", "GTC");
    let matched = second.post(&body).await.1;
    bench.step(6_000);

    // No recorded page has a GTD order of today's; GTC ones have no expiration, or `"0"` as the
    // recorded socket messages have it.
    let single =
        recordings(&["orders/open_order.json", "orders/open_order_sell_fok.json"]).unwrap();
    let page = first.get("/data/orders").await;
    let mut known = orders.clone();
    known[0]["data"][0]["expiration"] = json!("0");
    same_shape(&known, &json!([page.clone()]), &["associate_trades[]"], &[]);
    let id = live["orderID"].as_str().unwrap();
    let row = first.get(&format!("/data/order/{id}")).await;
    same_shape(&single, &json!([row]), &[], &[]);

    let page = first.get("/data/trades").await;
    let row = recording("orders/trade_report.json").unwrap();
    same_shape(&json!([row]), &page["data"], &[], &[]);
    let recorded = recording("orders/trades_page.json").unwrap();
    let names =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(names(&recorded), names(&page));

    let recorded = recording("orders/order_response_ok.json").unwrap();
    same_shape(&recorded, &live, &[], &[]);
    let recorded = recording("orders/order_response_async_exec.json").unwrap();
    let mut seen = matched.clone();
    // `null` there, `""` in the other recorded answers and for the official client.
    assert_eq!(seen["errorMsg"], "");
    seen["errorMsg"] = Value::Null;
    // Hashes come with the trades: the execution is asynchronous.
    same_shape(&recorded, &seen, &[], &[".transactionsHashes[]"]);
    let batch = json!([
        first.signed(&place, "BUY", place.tick, "5", "GTC"),
        first.signed(&place, "BUY", place.tick, "6", "GTC"),
    ]);
    let answers = first.call("POST", "/orders", &batch).await.1;
    same_shape(
        &recording("orders/batch_order_response.json").unwrap(),
        &answers,
        &[],
        &[],
    );

    let (_, answer) = first
        .call("DELETE", "/orders", &json!([answers[0]["orderID"]]))
        .await;
    let recorded = recording("orders/cancel_response_ok.json").unwrap();
    same_shape(&recorded, &answer, &[], &[]);
    let gone = answers[0]["orderID"].as_str().unwrap();
    let (_, answer) = first
        .call("DELETE", "/orders", &json!([answers[1]["orderID"], gone]))
        .await;
    let mut recorded = recording("orders/batch_cancel_response.json").unwrap();
    // The key is the order's id.
    let reason = recorded["not_canceled"]
        .as_object()
        .unwrap()
        .values()
        .next()
        .unwrap()
        .clone();
    recorded["not_canceled"] = json!({ gone: reason });
    same_shape(&recorded, &answer, &[], &[]);
    assert_eq!(
        recorded["not_canceled"], answer["not_canceled"],
        "the wording too"
    );

    for (name, path) in [
        (
            "orders/balance_allowance_collateral.json",
            "?asset_type=COLLATERAL".to_owned(),
        ),
        (
            "orders/balance_allowance_conditional.json",
            format!("?asset_type=CONDITIONAL&token_id={}", place.token),
        ),
    ] {
        let recorded = recording(name).unwrap();
        let seen = first.get(&format!("/balance-allowance{path}")).await;
        assert_eq!(names(&recorded), names(&seen));
        let amounts = |value: &Value| value["allowances"].as_object().unwrap().clone();
        assert_eq!(
            amounts(&recorded).values().next().unwrap(),
            amounts(&seen).values().next().unwrap(),
            "unlimited is the same number"
        );
        assert!(seen["balance"].is_string() && recorded["balance"].is_string());
    }
    let (_, refused) = first.call("POST", "/order", &json!({})).await;
    same_shape(
        &json!([recording("orders/order_response_error_500.json").unwrap(), {"error": ""}]),
        &json!([refused]),
        &[],
        &[],
    );
}

#[tokio::test]
async fn recorded_user_messages_have_the_same_fields_and_types() {
    let Some(orders) = recordings(&[
        "ws/user_order_placement.json",
        "ws/user_order_update.json",
        "ws/user_order_matched.json",
        "ws/user_order_cancellation.json",
        "ws/user_order_venue_cancel.json",
    ]) else {
        return;
    };
    let bench = bench().await;
    let (mut first, mut second) = bench.both().await;
    let place = bench.place(Contract::Standard);
    let body = first.signed(&place, "BUY", place.price, "20", "GTC");
    assert_eq!(first.post(&body).await.0, 200);
    let token = place.other.clone();
    let body = second.signed_on(&token, &place, "BUY", place.price.complement(), "10", "GTC");
    assert_eq!(second.post(&body).await.0, 200);

    let world = bench.shared.read();
    let mut desk = bench.shared.trading().desk();
    let wallet = desk.find(first.address()).unwrap().clone();
    let record = *world.exchange.orders(wallet.account)[0];
    let trade = *world.exchange.trades(wallet.account)[0];
    let mut said = |kind| -> Value {
        let change = crate::sandbox::exchange::Change {
            market: record.placed.market,
            at: world.now,
            kind,
        };
        let events = desk.events(&world, &change);
        serde_json::from_str(events[0].text.as_str()).unwrap()
    };
    use crate::sandbox::exchange::{ChangeKind, OrderEvent};
    let order = said(ChangeKind::Order(OrderEvent::Update, Box::new(record)));
    same_shape(&orders, &json!([order]), &[".event_type"], &[]);
    let recorded = recording("ws/user_trade_full.json").unwrap();
    let message = said(ChangeKind::AgentTrade(Box::new(trade)));
    // The REST row has a maker order's side, and the official client wants it here too.
    let extra = [".event_type", ".maker_orders[].side"];
    same_shape(&json!([recorded]), &json!([message]), &extra, &[]);
    let recorded = recording("ws/user_trade_msg.json").unwrap();
    assert_eq!(recorded["event_type"], message["event_type"]);

    let killed = recordings(&["ws/user_order_fok_killed.json", "ws/user_order_msg.json"]).unwrap();
    let ours = super::super::rows::killed_message(
        &super::super::rows::Killed {
            hash: alloy_primitives::B256::ZERO,
            key: &first.id,
            maker: first.address(),
            condition: &place.condition,
            token: &place.token,
            side: crate::domain::Side::Buy,
            size: "12".to_owned(),
            price: "0.6".to_owned(),
            order_type: "FOK",
            reason: "order couldn't be fully filled. FOK orders are fully filled or killed.",
        },
        world.now,
    );
    let ours = serde_json::to_value(ours).unwrap();
    same_shape(&killed, &json!([ours]), &[], &[]);
    for name in [
        "status",
        "created_at",
        "outcome",
        "size_matched",
        "expiration",
        "type",
    ] {
        assert_eq!(ours[name], killed[0][name], "{name}");
    }
}

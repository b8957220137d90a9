//! An order is judged by the exchange's own terms, not by metadata that may be minutes old.

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::support::{Workspace, close};

const CONDITION: &str = "0x00000000000000000000000000000000000000000000000000000000000000aa";

/// Gamma says: steps of 0.01, no fee. The CLOB says: steps of 0.001, a fee of 0.05, and whether it
/// takes orders.
async fn answer(uri: Uri) -> Response {
    let level = |price: &str| json!([{"price": price, "size": "100"}]);
    let book = |token: &str, bid: &str, ask: &str| {
        json!({"asset_id": token, "market": CONDITION, "timestamp": "1792173951815",
            "bids": level(bid), "asks": level(ask)})
    };
    let terms = |accepting: bool| {
        json!({"c": CONDITION, "mos": 5, "mts": 0.001, "ao": accepting, "v": "v1",
            "t": [{"t": "71", "o": "Yes"}, {"t": "72", "o": "No"}],
            "fd": {"r": 0.05, "e": 1, "to": true}})
    };
    let body: Value = match uri.path() {
        "/open/gamma/markets/7" | "/shut/gamma/markets/7" => json!({
            "id": "7", "question": "Will it?", "conditionId": CONDITION, "version": "v1",
            "outcomes": "[\"Yes\", \"No\"]", "clobTokenIds": "[\"71\", \"72\"]",
            "active": true, "closed": false, "enableOrderBook": true, "acceptingOrders": true,
            "orderPriceMinTickSize": 0.01, "orderMinSize": 5, "feesEnabled": false}),
        "/open/clob/books" | "/shut/clob/books" => {
            json!([book("71", "0.399", "0.401"), book("72", "0.599", "0.601")])
        }
        path if path == format!("/open/clob/clob-markets/{CONDITION}") => terms(true),
        path if path == format!("/shut/clob/clob-markets/{CONDITION}") => terms(false),
        _ => return (StatusCode::NOT_FOUND, "{}").into_response(),
    };
    axum::Json(body).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exchanges_fee_tick_and_status_count() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let order = json!({"market_id": "7", "token_id": "71", "side": "buy", "size": 4.01,
        "price": 0.401, "dry_run": true});
    let place = |state: &str| {
        let workspace = Workspace::with_config(&format!(
            "venue: {{gamma_url: '{base}/{state}/gamma', clob_url: '{base}/{state}/clob', \
             data_url: '{base}/{state}/data', retries: 0}}\n"
        ));
        workspace.call(&[], "place_trade", &order)
    };
    let preview = place("open").ok().json();
    // 10 shares at 0.401: 10 × 0.05 × 0.401 × 0.599 = 0.1200995, floored to 0.12009.
    close(preview["fee"].as_f64().unwrap(), 0.12009);
    assert_eq!(
        preview["would_pass"], true,
        "0.401 is a step of 0.001: {preview}"
    );
    let refused = place("shut").ok().json();
    assert_eq!(refused["would_pass"], false);
    assert_eq!(refused["limits"][0]["limit"], "market_not_tradable");
}

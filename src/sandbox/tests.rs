//! The whole sandbox over a real socket, with an ordinary HTTP client.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::wire::recorded::{recording, same_shape};
use super::{Sandbox, SandboxConfig, SandboxError, start};

/// reqwest is built without a TLS provider of its own; the sandbox speaks plain HTTP, but the
/// client is not made without one.
fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn sandbox(inefficiencies: bool) -> Sandbox {
    let config = SandboxConfig {
        inefficiencies,
        ..SandboxConfig::default()
    };
    start(config, loopback()).await.unwrap()
}

async fn get(url: String) -> (u16, Value) {
    let answer = client().get(url).send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap())
}

async fn post(url: String, body: Value) -> (u16, Value) {
    let text = body.to_string();
    let answer = client().post(url).body(text).send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
    )
}

fn first_token(row: &Value) -> String {
    if row["version"] == "v2" {
        return row["positionIds"][0].as_str().unwrap().to_owned();
    }
    let ids: Vec<String> = serde_json::from_str(row["clobTokenIds"].as_str().unwrap()).unwrap();
    ids[0].clone()
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = start(SandboxConfig::default(), everywhere).await;
    assert!(matches!(refused, Err(SandboxError::NotLoopback(_))));
}

#[tokio::test]
async fn two_sandboxes_of_one_seed_give_the_same_bytes() {
    let (one, two) = (sandbox(true).await, sandbox(true).await);
    for sandbox in [&one, &two] {
        assert_eq!(sandbox.step(5_400_000).to_string(), "2026-11-23T09:30:00Z");
    }
    let (_, page) = get(format!("{}/markets/keyset", one.gamma_url())).await;
    let token = first_token(&page["markets"][0]);
    for path in [
        "/gamma/markets/keyset?limit=100".to_owned(),
        "/gamma/events/keyset?limit=100".to_owned(),
        format!("/clob/book?token_id={token}"),
        format!("/clob/prices-history?market={token}&interval=max"),
        "/data/v2/leaderboard?time_period=week".to_owned(),
        "/sandbox/planted".to_owned(),
    ] {
        let mut answers = Vec::new();
        for sandbox in [&one, &two] {
            let url = format!("{}{path}", sandbox.base_url());
            let answer = client().get(url).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            answers.push(answer.bytes().await.unwrap());
        }
        assert!(answers[0].len() > 200, "{path}");
        assert_eq!(answers[0], answers[1], "{path}");
    }
    one.shutdown().await;
    two.shutdown().await;
}

#[tokio::test]
async fn keyset_pages_cover_every_open_market_once() {
    let sandbox = sandbox(false).await;
    let mut url = format!(
        "{}/markets/keyset?limit=25&order=volume24hr&ascending=false",
        sandbox.gamma_url()
    );
    let base = url.clone();
    let mut ids = Vec::new();
    let mut volumes: Vec<f64> = Vec::new();
    let mut pages = 0;
    loop {
        let (status, page) = get(url).await;
        assert_eq!(status, 200);
        for row in page["markets"].as_array().unwrap() {
            ids.push(row["id"].as_str().unwrap().to_owned());
            volumes.push(row["volume24hr"].as_f64().unwrap());
            assert_eq!(row["simulated"], true);
        }
        pages += 1;
        let Some(cursor) = page.get("next_cursor").and_then(Value::as_str) else {
            break;
        };
        url = format!("{base}&after_cursor={cursor}");
    }
    // 60 markets: 25, 25 and 10.
    assert_eq!(pages, 3);
    assert!(volumes.iter().rev().is_sorted());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 60);
    let wanted = format!(
        "{}/markets/keyset?id={}&id={}",
        sandbox.gamma_url(),
        ids[3],
        ids[7]
    );
    let (_, page) = get(wanted).await;
    assert_eq!(page["markets"].as_array().unwrap().len(), 2);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn errors_have_the_documented_bodies() {
    let sandbox = sandbox(false).await;
    let (gamma, clob, data) = (sandbox.gamma_url(), sandbox.clob_url(), sandbox.data_url());
    let (status, body) = get(format!("{gamma}/markets/1")).await;
    assert_eq!(
        (status, body),
        (
            404,
            json!({"type": "not found error", "error": "id not found"})
        )
    );
    let (status, body) = get(format!("{gamma}/markets/slug/none")).await;
    assert_eq!(
        (status, body["error"].as_str()),
        (404, Some("slug not found"))
    );
    let (status, body) = get(format!("{gamma}/markets/keyset?offset=20")).await;
    assert_eq!(
        (status, body["type"].as_str()),
        (422, Some("validation error"))
    );
    let (status, body) = get(format!("{clob}/book?token_id=12")).await;
    assert_eq!(
        (status, body),
        (
            404,
            json!({"error": "No orderbook exists for the requested token id"})
        )
    );
    let too_many: Vec<Value> = (0..501)
        .map(|id| json!({"token_id": id.to_string()}))
        .collect();
    let (status, body) = post(format!("{clob}/books"), json!(too_many)).await;
    assert_eq!(
        (status, body),
        (400, json!({"error": "Payload exceeds the limit"}))
    );
    let (status, _) = get(format!(
        "{clob}/prices-history?market=1&interval=1m&fidelity=5"
    ))
    .await;
    assert_eq!(status, 400);
    for query in ["", "?condition=0x12", "?event_id=1&condition=0x12"] {
        let (status, body) = get(format!("{data}/v2/resolutions{query}")).await;
        assert_eq!((status, body["retryable"].as_bool()), (400, Some(false)));
    }
    let (status, body) = post(
        format!("{}/sandbox/step", sandbox.base_url()),
        json!({"millis": -5}),
    )
    .await;
    assert_eq!((status, body["error"].is_string()), (400, true));
    sandbox.shutdown().await;
}

#[tokio::test]
async fn a_market_can_be_followed_from_its_listing_to_its_payout() {
    let sandbox = sandbox(false).await;
    let (gamma, clob, data) = (sandbox.gamma_url(), sandbox.clob_url(), sandbox.data_url());
    let (_, page) = get(format!("{gamma}/markets/keyset?order=endDate&limit=1")).await;
    let row = page["markets"][0].clone();
    let (token, condition) = (first_token(&row), row["conditionId"].as_str().unwrap());

    let (_, book) = get(format!("{clob}/book?token_id={token}")).await;
    assert_eq!(book["market"], condition);
    let best = |side: &str| -> f64 {
        let level = book[side].as_array().unwrap().last().unwrap();
        level["price"].as_str().unwrap().parse().unwrap()
    };
    let (_, mid) = get(format!("{clob}/midpoint?token_id={token}")).await;
    let mid: f64 = mid["mid"].as_str().unwrap().parse().unwrap();
    assert!((mid - (best("bids") + best("asks")) / 2.0).abs() < 1e-9);
    let (_, books) = post(
        format!("{clob}/books"),
        json!([{"token_id": token}, {"token_id": "12"}]),
    )
    .await;
    assert_eq!(books, json!([book]));
    let (_, tick) = get(format!("{clob}/tick-size?token_id={token}")).await;
    assert_eq!(
        tick["minimum_tick_size"].to_string(),
        book["tick_size"].as_str().unwrap()
    );
    let (_, history) = get(format!(
        "{clob}/prices-history?market={token}&interval=1d&fidelity=60"
    ))
    .await;
    // Midnight-aligned tens of minutes: 25 hourly points from 08:00 to 08:00.
    assert_eq!(history["history"].as_array().unwrap().len(), 25);
    let (_, last) = post(
        format!("{clob}/batch-prices-history"),
        json!({"markets": [token], "interval": "1h", "fidelity": 10}),
    )
    .await;
    assert_eq!(last["history"][&token].as_array().unwrap().len(), 7);

    let end = crate::domain::Timestamp::parse(row["endDate"].as_str().unwrap()).unwrap();
    let step = format!("{}/sandbox/step", sandbox.base_url());
    let (_, now) = post(step.clone(), json!({"millis": end.since(sandbox.now())})).await;
    assert_eq!(now["now_ms"], end.millis());
    let (_, seconds) = get(format!("{clob}/time")).await;
    assert_eq!(seconds, json!(end.secs()));
    let (status, _) = get(format!("{clob}/book?token_id={token}")).await;
    assert_eq!(status, 404);
    let resolutions = format!("{data}/v2/resolutions?condition={condition}");
    let (_, pending) = get(resolutions.clone()).await;
    assert_eq!(pending["data"][0]["status"], "proposed");
    assert_eq!(pending["data"][0].get("payouts"), None);

    sandbox.step(1_800_000);
    let (_, resolved) = get(resolutions).await;
    assert_eq!(resolved["data"][0]["status"], "resolved");
    let payouts: Vec<u64> = serde_json::from_value(resolved["data"][0]["payouts"].clone()).unwrap();
    assert_eq!(payouts.iter().sum::<u64>(), 1_000_000);
    let (_, row) = get(format!("{gamma}/markets/{}", row["id"].as_str().unwrap())).await;
    let prices: Vec<String> = serde_json::from_str(row["outcomePrices"].as_str().unwrap()).unwrap();
    let paid: Vec<f64> = prices.iter().map(|price| price.parse().unwrap()).collect();
    assert_eq!(paid, [payouts[0] as f64 / 1e6, payouts[1] as f64 / 1e6]);
    assert_eq!(
        (&row["closed"], &row["acceptingOrders"]),
        (&json!(true), &json!(false))
    );
    let (_, long) = get(format!("{clob}/markets/{condition}")).await;
    assert_eq!(long["tokens"][0]["winner"], payouts[0] == 1_000_000);
    let (_, tokens) = get(format!("{data}/v2/tokens?token_id={token}")).await;
    assert_eq!(tokens["data"][0]["final_price"].as_f64(), Some(paid[0]));
    let (_, open) = get(format!("{gamma}/markets/keyset?condition_ids={condition}")).await;
    assert_eq!(open["markets"], json!([]));
    let (_, closed) = get(format!(
        "{gamma}/markets/keyset?condition_ids={condition}&closed=true"
    ))
    .await;
    assert_eq!(closed["markets"][0]["conditionId"], condition);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn quotes_last_trades_and_prints_agree_with_the_book() {
    let sandbox = sandbox(false).await;
    let (gamma, clob, data) = (sandbox.gamma_url(), sandbox.clob_url(), sandbox.data_url());
    let listing = format!("{gamma}/markets/keyset?order=volume24hr&ascending=false&limit=1");
    let (_, page) = get(listing).await;
    let row = page["markets"][0].clone();
    let (token, condition) = (first_token(&row), row["conditionId"].as_str().unwrap());
    let (_, book) = get(format!("{clob}/book?token_id={token}")).await;
    let best = |side: &str| book[side].as_array().unwrap().last().unwrap()["price"].clone();
    let number = |text: &Value| -> f64 { text.as_str().unwrap().parse().unwrap() };
    let (bid, ask) = (best("bids"), best("asks"));
    assert_eq!(row["bestBid"].as_f64(), Some(number(&bid)));
    assert_eq!(row["bestAsk"].as_f64(), Some(number(&ask)));
    let sides = json!([{"token_id": token, "side": "BUY"}, {"token_id": token, "side": "SELL"}]);
    let (_, prices) = post(format!("{clob}/prices"), sides).await;
    assert_eq!(prices, json!({ token.clone(): {"BUY": bid, "SELL": ask} }));
    let ids = json!([{"token_id": token}, {"token_id": "12"}]);
    let (_, spreads) = post(format!("{clob}/spreads"), ids.clone()).await;
    assert_eq!(spreads.as_object().unwrap().len(), 1);
    let spread = number(&spreads[&token]);
    assert!((spread - (number(&ask) - number(&bid))).abs() < 1e-9);
    let (_, last) = get(format!("{clob}/last-trade-price?token_id={token}")).await;
    assert_eq!(last["price"], book["last_trade_price"]);
    let (_, lasts) = post(format!("{clob}/last-trades-prices"), ids).await;
    assert_eq!(
        lasts,
        json!([{"token_id": token, "price": last["price"], "side": last["side"]}])
    );
    // The newest print is the last trade; the book changed then or later.
    let (_, trades) = get(format!("{data}/v2/trades?condition={condition}")).await;
    let prints: Vec<&Value> = trades["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["name"].as_str().unwrap().starts_with("sim-crowd"))
        .collect();
    assert!(prints.len() >= 5, "{}", prints.len());
    assert_eq!(prints[0]["price"].as_f64(), Some(number(&last["price"])));
    assert_eq!(prints[0]["side"], last["side"]);
    assert!(prints.is_sorted_by_key(|row| -row["timestamp"].as_i64().unwrap()));
    let changed: i64 = book["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(changed / 1_000 >= prints[0]["timestamp"].as_i64().unwrap());
    assert!(changed <= sandbox.now().millis());
    sandbox.shutdown().await;
}

#[tokio::test]
async fn wallets_search_state_and_planted_answer() {
    let sandbox = sandbox(true).await;
    let data = sandbox.data_url();
    let (_, board) = get(format!("{data}/v2/leaderboard?time_period=month&limit=3")).await;
    assert_eq!(board["data"].as_array().unwrap().len(), 3);
    assert_eq!(board["pagination"]["has_more"], true);
    let cursor = board["pagination"]["next_cursor"].as_str().unwrap();
    let (_, next) = get(format!(
        "{data}/v2/leaderboard?time_period=month&cursor={cursor}"
    ))
    .await;
    assert_eq!(next["data"][0]["rank"], 4);
    let user = board["data"][0]["user_id"].as_str().unwrap();
    let (_, positions) = get(format!("{data}/v2/positions?user={user}&status=OPEN")).await;
    assert!(!positions["data"].as_array().unwrap().is_empty());
    let (_, trades) = get(format!("{data}/v2/trades?user={user}")).await;
    assert_eq!(
        trades["data"].as_array().unwrap().len(),
        positions["data"].as_array().unwrap().len()
    );
    let (_, one) = get(format!(
        "{data}/v2/leaderboard?time_period=month&user={user}"
    ))
    .await;
    assert_eq!(one["data"]["rank_pnl"], 1);

    let (_, found) = get(format!(
        "{}/public-search?q=party+seats",
        sandbox.gamma_url()
    ))
    .await;
    assert!(found["pagination"]["totalResults"].as_u64().unwrap() >= 1);
    assert_eq!(found["profiles"], Value::Null);
    let event = &found["events"][0];
    assert_eq!(event["negRisk"], true);
    let id = event["id"].as_str().unwrap();
    let (_, volume) = get(format!("{data}/v2/live-volume?event_id={id}")).await;
    assert_eq!(
        volume["data"]["conditions"].as_array().unwrap().len(),
        event["markets"].as_array().unwrap().len()
    );

    let (_, state) = get(format!("{}/sandbox/state", sandbox.base_url())).await;
    assert_eq!(
        (&state["markets"], &state["open"]),
        (&json!(60), &json!(60))
    );
    let (_, planted) = get(format!("{}/sandbox/planted", sandbox.base_url())).await;
    let planted = planted.as_array().unwrap();
    assert_eq!(planted.len(), sandbox.planted().len());
    for entry in planted {
        let is_estimate = entry["kind"] == "estimate";
        assert_eq!(entry["probability"].is_number(), is_estimate, "{entry}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn tags_are_listed_found_by_slug_and_filter_markets() {
    let sandbox = sandbox(false).await;
    let gamma = sandbox.gamma_url();
    let (_, tags) = get(format!("{gamma}/tags")).await;
    if let Some(recorded) = recording("gamma/tags.json") {
        same_shape(&recorded, &tags, &[], &[]);
    }
    let tags = tags.as_array().unwrap();
    let (_, page) = get(format!("{gamma}/tags?limit=2&offset=1")).await;
    assert_eq!(page, json!(tags[1..3]));
    for query in ["limit=0", "offset=-1"] {
        let (status, body) = get(format!("{gamma}/tags?{query}")).await;
        assert_eq!((status, &body["type"]), (422, &json!("validation error")));
    }
    let (status, unknown) = get(format!("{gamma}/tags/slug/nothing")).await;
    let body = json!({"type": "not found error", "error": "slug not found"});
    assert_eq!((status, unknown), (404, body));

    let mut listed = 0;
    for tag in tags {
        let slug = tag["slug"].as_str().unwrap();
        let (_, one) = get(format!("{gamma}/tags/slug/{slug}")).await;
        assert_eq!(one, *tag);
        let id = tag["id"].as_str().unwrap();
        let (_, page) = get(format!("{gamma}/markets/keyset?tag_id={id}&limit=100")).await;
        let (_, events) = get(format!("{gamma}/events/keyset?tag_id={id}&limit=100")).await;
        let mut within = 0;
        for event in events["events"].as_array().unwrap() {
            assert_eq!(event["tags"][0]["slug"], slug);
            within += event["markets"].as_array().unwrap().len();
        }
        let markets = page["markets"].as_array().unwrap().len();
        assert_eq!(markets, within, "{slug}");
        listed += markets;
    }
    // All open markets, each under one tag.
    assert_eq!(listed, 60);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn holders_of_a_market_are_those_with_positions_in_it() {
    let config = SandboxConfig {
        // So few that each token has several holders.
        markets: 3,
        ..SandboxConfig::default()
    };
    let sandbox = start(config, loopback()).await.unwrap();
    let (gamma, data) = (sandbox.gamma_url(), sandbox.data_url());
    let (_, page) = get(format!("{gamma}/markets/keyset?limit=1")).await;
    let condition = page["markets"][0]["conditionId"].as_str().unwrap();
    let url = format!("{data}/v2/holders?condition={condition}");
    let (_, whole) = get(url.clone()).await;
    let (_, positions) = get(format!("{data}/v2/positions?condition={condition}")).await;
    let mut held = Vec::new();
    for (index, token) in whole["data"].as_array().unwrap().iter().enumerate() {
        let rows = token["holders"].as_array().unwrap();
        assert!(rows.is_sorted_by_key(|row| -row["amount"].as_f64().unwrap()));
        for row in rows {
            assert_eq!(row["outcome_index"], index);
            assert_eq!(row["token_id"], token["token_id"]);
            let fields = ["proxy_wallet", "token_id", "amount"];
            held.push(fields.map(|field| row[field].to_string()));
        }
    }
    let mut expected: Vec<_> = positions["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ["proxy_wallet", "token_id", "current_size"].map(|f| row[f].to_string()))
        .collect();
    held.sort();
    expected.sort();
    assert!(held.len() > 2, "{}", held.len());
    assert_eq!(held, expected);

    // So many of each token, the rest behind the cursor.
    let (_, first) = get(format!("{url}&limit=1")).await;
    if let Some(recorded) = recording("data/v2/holders.json") {
        same_shape(&recorded, &first, &[], &[]);
    }
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    let (_, second) = get(format!("{url}&cursor={cursor}")).await;
    for (index, token) in whole["data"].as_array().unwrap().iter().enumerate() {
        let holders = |page: &Value, row: usize| page["data"][index]["holders"].get(row).cloned();
        assert_eq!(holders(&first, 0).as_ref(), token["holders"].get(0));
        assert_eq!(holders(&second, 0).as_ref(), token["holders"].get(1));
        assert_eq!(holders(&first, 1), None);
    }
    for query in [
        "".to_owned(),
        "?condition=0x12".to_owned(),
        format!("?condition={condition}&limit=101&include_pnl=true"),
        format!("?condition={condition}&cursor=sim-{0}-{0}", usize::MAX),
    ] {
        let (status, body) = get(format!("{data}/v2/holders{query}")).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_parameter")));
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn prices_of_the_data_route_are_those_of_the_clob() {
    let sandbox = sandbox(false).await;
    let (gamma, clob, data) = (sandbox.gamma_url(), sandbox.clob_url(), sandbox.data_url());
    let (_, page) = get(format!("{gamma}/markets/keyset?order=endDate&limit=1")).await;
    let row = page["markets"][0].clone();
    let token = first_token(&row);
    let url = format!("{data}/v2/prices-history?token_id={token}");
    let pairs = |rows: &Value, time: &str, price: &str| -> Vec<(Value, Value)> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| (row[time].clone(), row[price].clone()))
            .collect()
    };
    let now = sandbox.now().secs();
    for (theirs, ours) in [
        (
            "interval=1d&fidelity=60".to_owned(),
            "interval=1d&bucket_seconds=3600".to_owned(),
        ),
        (
            "interval=max&fidelity=10".to_owned(),
            "interval=max&bucket_seconds=600&limit=10000".to_owned(),
        ),
        (
            format!("startTs={}&endTs={now}&fidelity=30", now - 86_400),
            format!("start={}&end={now}&bucket_seconds=1800", now - 86_400),
        ),
    ] {
        let (_, old) = get(format!("{clob}/prices-history?market={token}&{theirs}")).await;
        let (_, new) = get(format!("{url}&{ours}")).await;
        let found = pairs(&new["data"], "timestamp", "price");
        assert!(found.len() >= 25, "{ours}");
        assert_eq!(found, pairs(&old["history"], "t", "p"), "{ours}");
    }
    let (_, first) = get(format!("{url}&interval=1h&bucket_seconds=60&limit=2")).await;
    if let Some(recorded) = recording("data/v2/prices_history.json") {
        same_shape(&recorded, &first, &[], &[]);
    }
    assert_eq!(first["data"][0]["resolution_seconds"], 600);
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    let (_, second) = get(format!(
        "{url}&interval=1h&bucket_seconds=60&cursor={cursor}"
    ))
    .await;
    let time = |page: &Value, row: usize| page["data"][row]["timestamp"].as_i64().unwrap();
    assert_eq!(time(&second, 0), time(&first, 1) + 600);

    let (_, unknown) = get(format!("{data}/v2/prices-history?token_id=12&interval=1d")).await;
    assert_eq!(unknown["data"], json!([]));
    for query in [
        "?interval=1d",
        "?token_id=12",
        "?token_id=12&interval=1d&limit=10001",
    ] {
        let (status, body) = get(format!("{data}/v2/prices-history{query}")).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_parameter")));
    }

    // Unlike the CLOB's route it keeps fine points of resolved markets.
    let end = crate::domain::Timestamp::parse(row["endDate"].as_str().unwrap()).unwrap();
    sandbox.step(u64::try_from(end.since(sandbox.now())).unwrap() + 6 * 86_400_000);
    let (_, old) = get(format!(
        "{clob}/prices-history?market={token}&interval=max&fidelity=10"
    ))
    .await;
    assert_eq!(old["history"], json!([]));
    let (_, new) = get(format!("{url}&interval=max&bucket_seconds=600")).await;
    assert_eq!(new["pagination"]["has_more"], true);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn time_flows_by_itself_when_a_speed_is_set() {
    let config = SandboxConfig {
        speed: Some(3_600.0),
        markets: 5,
        ..SandboxConfig::default()
    };
    let began = config.start;
    let sandbox = start(config, loopback()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    // At least two pulses of 200 ms have passed: 400 s at a quarter of the due pace.
    let passed = sandbox.now().since(began);
    assert!(passed > 400_000, "{passed}");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn the_end_closes_the_port() {
    let sandbox = sandbox(false).await;
    let url = format!("{}/ok", sandbox.clob_url());
    assert_eq!(get(url.clone()).await, (200, json!("OK")));
    sandbox.shutdown().await;
    assert!(client().get(url).send().await.is_err());
}

//! Tests of the client against a small server on loopback.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

mod faults;
mod routes;

use super::{Polymarket, PolymarketConfig};
use crate::domain::{
    Clock, EventId, MarketId, MarketStatus, SourceKind, SystemClock, Timestamp, TokenId,
};
use crate::market_data::{DataError, HistorySpan, MarketData, MarketQuery, Period};

/// One request as the server saw it: path with query, and body.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    query: Vec<(String, String)>,
    body: Value,
}

impl Seen {
    fn value(&self, key: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

type Answer = Arc<dyn Fn(&Seen, usize) -> Response + Send + Sync>;

/// A venue whose answers a test makes up.
#[derive(Clone)]
struct Venue {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Answer,
}

impl Venue {
    /// `answer` gets the request and how many came before it.
    async fn start(
        answer: impl Fn(&Seen, usize) -> Response + Send + Sync + 'static,
    ) -> (Venue, String) {
        let venue = Venue {
            seen: Arc::default(),
            answer: Arc::new(answer),
        };
        let router = Router::new().fallback(handle).with_state(venue.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (venue, format!("http://{address}"))
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn handle(State(venue): State<Venue>, uri: Uri, body: Bytes) -> Response {
    let url = reqwest::Url::parse(&format!("http://x{uri}")).unwrap();
    let seen = Seen {
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let before = {
        let mut all = venue.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    (venue.answer)(&seen, before)
}

fn ok(value: Value) -> Response {
    axum::Json(value).into_response()
}

fn missing() -> Response {
    let body = json!({"type": "not found error", "error": "id not found"});
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}

fn config(base: &str) -> PolymarketConfig {
    PolymarketConfig {
        gamma_url: format!("{base}/gamma"),
        clob_url: format!("{base}/clob/"),
        data_url: format!("{base}/data"),
        rate_share: 1.0,
        ..PolymarketConfig::default()
    }
}

fn client(base: &str) -> Polymarket {
    Polymarket::new(config(base), SourceKind::Polymarket).unwrap()
}

fn condition(number: usize) -> String {
    format!("0x{number:064x}")
}

/// An open market `number` with tokens `number`1 and `number`2.
fn row(number: usize) -> Value {
    json!({
        "id": number.to_string(), "question": format!("Question {number}?"),
        "slug": format!("question-{number}"), "conditionId": condition(number), "version": "v1",
        "outcomes": "[\"Yes\", \"No\"]", "outcomePrices": "[\"0.4\", \"0.6\"]",
        "clobTokenIds": format!("[\"{number}1\", \"{number}2\"]"),
        "active": true, "closed": false, "enableOrderBook": true, "acceptingOrders": true,
        "orderPriceMinTickSize": 0.01, "orderMinSize": 5, "volumeNum": number,
    })
}

fn changed(number: usize, field: &str, value: Value) -> Value {
    let mut row = row(number);
    row[field] = value;
    row
}

#[tokio::test]
async fn seven_odd_rows_of_a_hundred_are_skipped_and_counted() {
    let mut rows: Vec<Value> = (0..100).map(row).collect();
    rows[3] = changed(3, "version", json!("v9"));
    rows[17] = changed(17, "clobTokenIds", json!([171, 172]));
    rows[30] = changed(30, "outcomePrices", json!("[\"1.5\", \"-0.5\"]"));
    rows[41] = changed(41, "feeSchedule", json!({"rate": 0.05, "exponent": 1.5}));
    rows[42] = changed(42, "question", Value::Null);
    rows[77] = json!("not a row");
    rows[99] = changed(99, "orderPriceMinTickSize", Value::Null);
    let page = json!({"markets": rows});
    let (venue, base) = Venue::start(move |_, _| ok(page.clone())).await;
    let client = client(&base);
    let query = MarketQuery { limit: 500 };
    let markets = client.active_markets(&query).await.unwrap();
    assert_eq!(markets.len(), 93);
    assert!(markets.iter().all(|market| market.is_tradable()));
    let health = client.health();
    let unknown = "is unknown to this version, so the row is not tradable";
    let causes: Vec<&str> = health.skipped_rows.keys().map(String::as_str).collect();
    assert_eq!(
        causes,
        [
            "gamma market: clobTokenIds is of the wrong type",
            &format!("gamma market: feeSchedule.exponent {unknown}"),
            "gamma market: market is of the wrong type",
            "gamma market: orderPriceMinTickSize is missing",
            "gamma market: outcomePrices is out of range",
            "gamma market: question is missing",
            &format!("gamma market: version {unknown}"),
        ]
    );
    assert!(health.skipped_rows.values().all(|count| *count == 1));
    assert_eq!(health.failures, 0);
    assert!(health.last_success.is_some());

    let seen = venue.seen();
    assert_eq!(seen.len(), 1, "no cursor, no second page");
    assert_eq!(seen[0].path, "/gamma/markets/keyset");
    assert_eq!(seen[0].value("closed"), Some("false"));
    assert_eq!(seen[0].value("order"), Some("volume24hr"));
    assert_eq!(seen[0].value("ascending"), Some("false"));
    assert_eq!(seen[0].value("limit"), Some("100"));

    // The list and its markets are remembered.
    client.active_markets(&query).await.unwrap();
    assert!(client.market("question-5").await.unwrap().is_some());
    assert_eq!(venue.seen().len(), 1);
}

#[tokio::test]
async fn pages_follow_the_cursor_and_repeated_rows_count_once() {
    let (venue, base) = Venue::start(|seen, _| match seen.value("after_cursor") {
        None => ok(json!({"markets": (0..100).map(row).collect::<Vec<_>>(), "next_cursor": "b"})),
        Some("b") => {
            ok(json!({"markets": (95..195).map(row).collect::<Vec<_>>(), "next_cursor": "b"}))
        }
        Some(other) => panic!("unknown cursor {other}"),
    })
    .await;
    let client = client(&base);
    let all = client.active_markets(&MarketQuery { limit: 1000 }).await;
    assert_eq!(all.unwrap().len(), 195);
    assert_eq!(venue.seen().len(), 2, "a cursor that repeats ends the list");
    let few = client.active_markets(&MarketQuery { limit: 120 }).await;
    assert_eq!(few.unwrap().len(), 120);
}

#[tokio::test]
async fn a_503_is_tried_again() {
    let (venue, base) = Venue::start(|_, before| {
        if before < 2 {
            (StatusCode::SERVICE_UNAVAILABLE, "restarting").into_response()
        } else {
            ok(row(7))
        }
    })
    .await;
    let client = client(&base);
    let market = client.market("7").await.unwrap().unwrap();
    assert_eq!(market.id, MarketId::new("7"));
    assert_eq!(venue.seen().len(), 3);
    assert_eq!(client.health().requests, 3);
    assert_eq!(client.health().failures, 0);
}

#[tokio::test]
async fn retry_after_is_waited_out_when_short_and_told_when_long() {
    let (_, base) = Venue::start(|_, before| {
        if before == 0 {
            (
                StatusCode::TOO_MANY_REQUESTS,
                [("retry-after", "1")],
                "slow down",
            )
                .into_response()
        } else {
            ok(row(7))
        }
    })
    .await;
    let begun = Instant::now();
    assert!(client(&base).market("7").await.unwrap().is_some());
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let (venue, base) = Venue::start(|_, _| {
        let body = axum::Json(json!({"error": "rate limited"}));
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "90")], body).into_response()
    })
    .await;
    let client = client(&base);
    let error = client.market("7").await.unwrap_err();
    assert_eq!(
        error,
        DataError::Status {
            route: "GET 127.0.0.1/gamma/markets/7".to_owned(),
            status: 429,
            detail: "rate limited".to_owned(),
            retry_after: Some(Duration::from_secs(90)),
        }
    );
    assert_eq!(venue.seen().len(), 1, "not tried again before its time");
    assert_eq!(client.health().failures, 1);
    assert_eq!(client.health().last_error, Some(error.to_string()));
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let (venue, base) = Venue::start(|_, _| {
        let body = json!({"type": "validation error", "error": "bad order field"});
        (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(body)).into_response()
    })
    .await;
    let error = client(&base)
        .active_markets(&MarketQuery { limit: 5 })
        .await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("422") && text.contains("bad order field"),
        "{text}"
    );
    assert_eq!(venue.seen().len(), 1);
}

#[tokio::test]
async fn silence_ends_in_unreachable() {
    // Takes connections and never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    let config = PolymarketConfig {
        timeout_seconds: 1,
        retries: 1,
        ..config(&format!("http://{address}"))
    };
    let client = Polymarket::new(config, SourceKind::Polymarket).unwrap();
    let begun = Instant::now();
    let error = client.market("7").await.unwrap_err();
    assert_eq!(
        error,
        DataError::Unreachable {
            host: address.to_string(),
            detail: "no answer within 1 s".to_owned(),
        }
    );
    assert!(begun.elapsed() >= Duration::from_secs(2), "tried twice");
    assert_eq!(client.health().requests, 2);
}

#[tokio::test]
async fn nobody_there_is_told_at_once() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(&format!("http://{address}"));
    let begun = Instant::now();
    let error = client.books(&[TokenId::new("1")]).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(error.code(), "venue_unreachable");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn https_is_spoken_with_our_own_crypto_provider() {
    // A server that hangs up: the client gets as far as the handshake, which needs a provider and
    // the machine's certificates to be in place.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hello = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut first = [0_u8; 1];
        tokio::io::AsyncReadExt::read_exact(&mut socket, &mut first)
            .await
            .unwrap();
        first[0]
    });
    let client = client(&format!("https://{address}"));
    let error = client.market("7").await.unwrap_err();
    assert_eq!(error.code(), "venue_unreachable");
    assert_eq!(hello.await.unwrap(), 22, "a TLS handshake record");
    assert_eq!(client.health().failures, 1);
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_malformed() {
    let (_, base) = Venue::start(|_, _| "<html>".into_response()).await;
    let error = client(&base).event("7").await.unwrap_err();
    assert_eq!(error.code(), "venue_malformed");
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let (_, base) = Venue::start(|_, _| {
        let chunk = Bytes::from(vec![b' '; 1 << 20]);
        let chunks = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
        axum::body::Body::from_stream(chunks).into_response()
    })
    .await;
    let error = client(&base).event("7").await.unwrap_err();
    assert!(error.to_string().contains("longer than 32 MiB"), "{error}");
}

fn book(token: &str, bid: &str, millis: i64) -> Value {
    json!({"market": condition(1), "asset_id": token, "timestamp": millis.to_string(),
        "bids": [{"price": "0.01", "size": "9"}, {"price": bid, "size": "5"}],
        "asks": [{"price": "0.99", "size": "9"}, {"price": "0.9", "size": "5"}]})
}

#[tokio::test]
async fn books_are_matched_by_id_in_batches() {
    let (venue, base) = Venue::start(|seen, _| {
        if seen.path.ends_with("/time") {
            return ok(json!(1_792_180_000));
        }
        // Backwards, without every seventh, with one that nobody asked for.
        let mut books: Vec<Value> = seen
            .body
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["token_id"].as_str().unwrap().parse::<u64>().unwrap())
            .filter(|token| token % 7 != 0)
            .map(|token| {
                book(
                    &token.to_string(),
                    &format!("0.{:04}", token + 100),
                    1_792_173_951_815,
                )
            })
            .collect();
        books.reverse();
        books.push(book("999999", "0.5", 1_792_173_951_815));
        ok(json!(books))
    })
    .await;
    let tokens: Vec<TokenId> = (1..=1200_u64)
        .map(|t| TokenId::new(t.to_string()))
        .collect();
    let venue_client = client(&base);
    let books = venue_client.books(&tokens).await.unwrap();
    let mut sizes: Vec<usize> = venue
        .seen()
        .iter()
        .map(|s| s.body.as_array().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [200, 500, 500]);
    // 1200 / 7 = 171 are left out.
    assert_eq!(books.len(), 1200 - 171);
    assert!(!books.contains_key("7") && !books.contains_key("999999"));
    assert_eq!(books["8"].best_bid().unwrap().to_string(), "0.0108");
    assert_eq!(books["1200"].best_bid().unwrap().to_string(), "0.13");
    assert_eq!(books["8"].best_ask().unwrap().to_string(), "0.9");
    let age = SystemClock.now().since(books["8"].at);
    assert!((0..60_000).contains(&age), "counts from its receipt");

    let sandbox = Polymarket::new(config(&base), SourceKind::Sandbox).unwrap();
    let books = sandbox.books(&tokens[..2]).await.unwrap();
    // What the exchange's clock said, not the last change and not this machine's clock.
    assert_eq!(books["1"].at.millis(), 1_792_180_000_000);
    assert_eq!(books["1"].changed_at.millis(), 1_792_173_951_815);
    assert!(venue_client.books(&[]).await.unwrap().is_empty());
    assert!(
        venue_client
            .books(&[TokenId::new("synthetic:1:0")])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn two_venues_with_prefixes_do_not_mix() {
    let (first, one) = Venue::start(|_, _| ok(json!(1_792_173_951))).await;
    let (second, two) = Venue::start(|_, _| ok(row(7))).await;
    let config = PolymarketConfig {
        clob_url: format!("{one}/a/b"),
        gamma_url: format!("{two}/gamma/"),
        ..config(&two)
    };
    let client = Polymarket::new(config, SourceKind::Sandbox).unwrap();
    assert_eq!(
        client.now().await.unwrap(),
        Timestamp::from_secs(1_792_173_951)
    );
    assert!(client.market("question-7").await.unwrap().is_some());
    assert_eq!(first.seen()[0].path, "/a/b/time");
    assert_eq!(second.seen()[0].path, "/gamma/markets/slug/question-7");
}

#[tokio::test]
async fn forty_days_of_history_are_three_requests() {
    const DAY: i64 = 86_400;
    let (venue, base) = Venue::start(|seen, _| {
        let start: i64 = seen.value("startTs").unwrap().parse().unwrap();
        let end: i64 = seen.value("endTs").unwrap().parse().unwrap();
        assert!(end - start <= 15 * DAY);
        // Both ends are served, and one point too late.
        let points: Vec<Value> = [start, start + DAY, end, end + DAY]
            .iter()
            .map(|t| json!({"t": t, "p": 0.25}))
            .collect();
        ok(json!({"history": points}))
    })
    .await;
    let client = client(&base);
    let start = 1_780_000_000;
    let span = HistorySpan::Between(
        Timestamp::from_secs(start),
        Timestamp::from_secs(start + 40 * DAY),
    );
    let points = client
        .price_history(&TokenId::new("11"), span, 60)
        .await
        .unwrap();
    let days: Vec<i64> = points.iter().map(|p| (p.at.secs() - start) / DAY).collect();
    // Windows 0–15, 15–30, 30–40; each also serves the day after its start and its end.
    assert_eq!(days, [0, 1, 15, 16, 30, 31, 40]);
    let seen = venue.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|s| s.path == "/clob/prices-history"));
    assert!(seen.iter().all(|s| s.value("market") == Some("11")));
    assert!(seen.iter().all(|s| s.value("fidelity") == Some("60")));
}

#[tokio::test]
async fn histories_come_in_batches_of_twenty() {
    let (venue, base) = Venue::start(|seen, _| {
        let history: serde_json::Map<String, Value> = seen.body["markets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|token| token.as_str().unwrap())
            .filter(|token| *token != "5")
            .map(|token| (token.to_owned(), json!([{"t": 100, "p": 0.5}])))
            .collect();
        ok(json!({"history": history}))
    })
    .await;
    let tokens: Vec<TokenId> = (1..=45_u32).map(|t| TokenId::new(t.to_string())).collect();
    let client = client(&base);
    let found = client
        .price_histories(&tokens, HistorySpan::Month, 1)
        .await
        .unwrap();
    assert_eq!(found.len(), 44);
    assert!(!found.contains_key("5"));
    let seen = venue.seen();
    let mut sizes: Vec<usize> = seen
        .iter()
        .map(|s| s.body["markets"].as_array().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 20, 20]);
    assert!(
        seen.iter()
            .all(|s| s.body["interval"] == "1m" && s.body["fidelity"] == 10)
    );
}

#[tokio::test]
async fn a_resolved_market_needs_coarse_points_for_all_of_its_past() {
    let (venue, base) = Venue::start(|seen, _| match seen.value("fidelity") {
        Some("720") => ok(json!({"history": [{"t": 100, "p": 1}]})),
        _ => ok(json!({"history": []})),
    })
    .await;
    let token = TokenId::new("11");
    let points = client(&base)
        .price_history(&token, HistorySpan::All, 60)
        .await
        .unwrap();
    assert_eq!(points.len(), 1);
    assert_eq!(venue.seen().len(), 2);
}

#[tokio::test]
async fn a_market_is_found_by_condition_and_by_token_of_its_own_version() {
    let (_, base) = Venue::start(|seen, _| {
        if seen.value("closed") != Some("true") {
            return ok(json!({"markets": []}));
        }
        let mut closed = changed(7, "closed", json!(true));
        closed["positionIds"] = json!(["91", "92"]);
        // Filters that are not known are ignored: a row that nobody asked for comes first.
        ok(json!({"markets": [row(8), closed]}))
    })
    .await;
    let client = client(&base);
    let found = client
        .market(&condition(7).to_uppercase().replace("0X", "0x"))
        .await
        .unwrap();
    assert_eq!(found.unwrap().status, MarketStatus::Closed);
    let by_token = client.market_of_token(&TokenId::new("72")).await.unwrap();
    assert_eq!(by_token.unwrap().id, MarketId::new("7"));
    // A V1 market's position id is not one of its tokens.
    assert!(
        client
            .market_of_token(&TokenId::new("91"))
            .await
            .unwrap()
            .is_none()
    );
    let by_id = client
        .markets(&[MarketId::new("7"), MarketId::new("404")])
        .await
        .unwrap();
    assert_eq!(by_id.len(), 1);
}

#[tokio::test]
async fn what_does_not_exist_is_none_and_what_makes_no_sense_is_refused() {
    let (venue, base) = Venue::start(|_, _| missing()).await;
    let client = client(&base);
    assert!(client.market("7").await.unwrap().is_none());
    assert!(client.event("no-such-event").await.unwrap().is_none());
    assert!(
        client
            .event_volume("no-such-event")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        client
            .taker_volume(&EventId::new("7"))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(client.health().failures, 0);
    let asked = venue.seen().len();
    for bad in ["", "../secrets", "a?b=c", "x y"] {
        assert_eq!(
            client.market(bad).await.unwrap_err().code(),
            "bad_arguments"
        );
        assert_eq!(client.event(bad).await.unwrap_err().code(), "bad_arguments");
    }
    let huge = "x".repeat(1 << 20);
    let refused = client.search(&huge, 5, false).await.unwrap_err();
    assert!(refused.to_string().len() < 200);
    assert!(client.search(" ", 5, false).await.is_err());
    assert!(client.wallet_positions("0x12", 5).await.is_err());
    assert!(client.market_of_token(&TokenId::new("abc")).await.is_err());
    assert_eq!(venue.seen().len(), asked, "none of it was sent");
}

#[tokio::test]
async fn search_reads_markets_inside_events() {
    let (venue, base) = Venue::start(|seen, _| match seen.value("page") {
        Some("1") => ok(json!({
            "events": [
                {"id": "1", "title": "A", "markets": [row(1), changed(2, "closed", json!(true))]},
                null,
            ],
            "profiles": [null], "tags": null, "pagination": {"hasMore": true},
        })),
        _ => ok(json!({"events": null, "pagination": {"hasMore": true}})),
    })
    .await;
    let client = client(&base);
    let ids = |markets: Vec<Arc<crate::domain::Market>>| {
        markets.iter().map(|m| m.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        ids(client.search("rain & sun", 9, false).await.unwrap()),
        ["1"]
    );
    assert_eq!(
        ids(client.search("rain & sun", 9, true).await.unwrap()),
        ["1", "2"]
    );
    let seen = venue.seen();
    assert_eq!(seen[0].path, "/gamma/public-search");
    assert_eq!(seen[0].value("q"), Some("rain & sun"));
    assert_eq!(seen[0].value("keep_closed_markets"), Some("0"));
    assert_eq!(seen[0].value("events_status"), Some("active"));
    assert_eq!(seen[2].value("keep_closed_markets"), Some("1"));
    assert_eq!(seen[2].value("events_status"), None);
    assert_eq!(
        client.health().skipped_rows,
        [("gamma event: event is of the wrong type".to_owned(), 2)].into()
    );
}

#[tokio::test]
async fn the_strongest_evidence_of_a_resolution_counts() {
    // 1: paid out; 2: proposed; 3: the CLOB's winner; 4: half each; 5: Gamma's closed row;
    // 6: closed without a winner anywhere; 7: still open; 8: what its tokens paid, half each.
    let (venue, base) = Venue::start(|seen, _| {
        let clob = |number: usize, closed: bool, fifty: bool, winner: Option<usize>| {
            ok(json!({"condition_id": condition(number), "closed": closed,
                "is_50_50_outcome": fifty, "tokens": [
                    {"token_id": format!("{number}1"), "winner": winner == Some(1)},
                    {"token_id": format!("{number}2"), "winner": winner == Some(2)}]}))
        };
        let path = seen.path.as_str();
        if path == "/data/v2/resolutions" {
            let asked = seen.value("condition").unwrap().split(',').count();
            assert_eq!(asked, 8);
            return ok(json!({"data": [
                {"condition_id": condition(2), "status": "proposed", "proposed_price": "1"},
                {"condition_id": condition(1), "status": "resolved", "payouts": [0, 1_000_000],
                 "resolved_at": "2026-09-09T21:19:19Z"},
            ]}));
        }
        if path == "/data/v2/tokens" {
            let asked: Vec<&str> = seen.value("token_id").unwrap().split(',').collect();
            assert_eq!(asked.len(), 12, "of 3 to 8");
            let token = |id: &str, resolved: bool, price: Value| {
                json!({"token_id": id, "resolved": resolved, "final_price": price})
            };
            // 3: one token only, 4: both, but it does not add up, 7: not resolved.
            return ok(json!({"data": [
                token("31", true, json!(1.0)),
                token("41", true, json!(1.0)), token("42", true, json!(1.0)),
                token("71", false, json!(0.5)), token("72", false, json!(0.5)),
                token("81", true, json!(0.5)), token("82", true, json!(0.5)),
            ]}));
        }
        if let Some(asked) = path.strip_prefix("/clob/markets/") {
            return match (3..=7).find(|number| condition(*number) == asked).unwrap() {
                3 => clob(3, true, false, Some(1)),
                4 => clob(4, true, true, None),
                5 => missing(),
                6 => clob(6, true, false, None),
                _ => clob(7, false, false, None),
            };
        }
        let closed = |number: usize, prices: &str| {
            let mut row = changed(number, "closed", json!(true));
            row["outcomePrices"] = json!(prices);
            ok(row)
        };
        match path {
            "/gamma/markets/5" => closed(5, "[\"0.0005\", \"0.9995\"]"),
            "/gamma/markets/6" => closed(6, "[\"0.99\", \"0.01\"]"),
            other => panic!("{other} was not to be asked"),
        }
    })
    .await;
    let mut oddities = super::row::Oddities::default();
    let markets: Vec<_> = (1..=8)
        .map(|number| Arc::new(super::gamma_rows::market(&row(number), &mut oddities).unwrap()))
        .collect();
    let client = client(&base);
    let found = client.resolutions(&markets).await.unwrap();
    let paid: HashMap<&str, (String, String)> = found
        .iter()
        .map(|resolution| {
            let [first, second] = resolution.payouts.as_slice() else {
                panic!("two payouts");
            };
            let id = resolution.market_id.as_str();
            assert_eq!(first.0.as_str(), format!("{id}1"));
            (id, (first.1.to_string(), second.1.to_string()))
        })
        .collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        paid,
        HashMap::from([
            ("1", pair("0", "1")),
            ("3", pair("1", "0")),
            ("4", pair("0.5", "0.5")),
            ("5", pair("0", "1")),
            ("8", pair("0.5", "0.5")),
        ])
    );
    let first = found.iter().find(|r| r.market_id.as_str() == "1").unwrap();
    assert_eq!(first.resolved_at, Timestamp::parse("2026-09-09T21:19:19Z"));
    assert_eq!(first.evidence, "data /v2/resolutions");
    let evidence = |id: &str| {
        let found = found.iter().find(|r| r.market_id.as_str() == id);
        found.unwrap().evidence.clone()
    };
    assert_eq!(evidence("3"), "clob /markets/{condition}: winner");
    assert_eq!(evidence("5"), "gamma: closed at 1 and 0");
    assert_eq!(evidence("8"), "data /v2/tokens: final_price");
    assert_eq!(venue.seen().len(), 1 + 1 + 5 + 2);
    assert!(client.resolutions(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn no_evidence_because_of_failures_is_an_error() {
    let (_, base) = Venue::start(|_, _| StatusCode::BAD_REQUEST.into_response()).await;
    let mut oddities = super::row::Oddities::default();
    let market = Arc::new(super::gamma_rows::market(&row(1), &mut oddities).unwrap());
    let error = client(&base).resolutions(&[market]).await.unwrap_err();
    assert!(error.to_string().contains("/v2/resolutions"), "{error}");
}

#[test]
fn a_recording_is_not_asked_over_http() {
    let refused = Polymarket::new(PolymarketConfig::default(), SourceKind::Recorded);
    assert_eq!(refused.err().unwrap().code(), "bad_arguments");
}

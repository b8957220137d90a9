//! The stream against a stub of the venue on loopback.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;

use super::stub::{Accepted, Stub, until};
use super::*;
use crate::domain::{BookFeed, Price, Shares, Side};

const MARKET: &str = "0x0005c0d312de0be897668695bae9f32b624b4a1ae8b140c49f08447fcc74f442";

/// Where the tests' milliseconds count from.
const START: i64 = 1_790_000_000_000;

fn tokens(numbers: std::ops::Range<u32>) -> Vec<TokenId> {
    numbers
        .map(|n| TokenId::new((10_000 + n).to_string()))
        .collect()
}

fn one() -> TokenId {
    TokenId::new("10000")
}

/// A whole book: bid 0.40 and ask 0.60 of `size` each.
fn whole(token: &TokenId, millis: i64, size: u32) -> Value {
    let level = |price: &str| json!([{"price": price, "size": size.to_string()}]);
    json!({"event_type": "book", "market": MARKET, "asset_id": token.as_str(),
        "timestamp": (START + millis).to_string(), "bids": level("0.40"), "asks": level("0.60")})
}

/// One level changes; the best prices told beside it.
fn change(token: &TokenId, millis: i64, level: (&str, &str, u32), best: (&str, &str)) -> Value {
    let (side, price, size) = level;
    json!({"event_type": "price_change", "market": MARKET, "timestamp": (START + millis).to_string(),
        "price_changes": [{"asset_id": token.as_str(), "side": side, "price": price,
            "size": size.to_string(), "best_bid": best.0, "best_ask": best.1}]})
}

/// Follows one token over a stub and waits for its first book, of the moment 1000.
async fn live() -> (Stub, Stream, Accepted, Receiver<StreamEvent>) {
    let stub = Stub::start().await;
    let stream = Stream::new(stub.settings());
    let mut events = stream.changes();
    stream.follow(&[one()]);
    let connection = stub.connection(0).await;
    connection.send(whole(&one(), 1_000, 5).to_string());
    assert_eq!(next(&mut events).await, StreamEvent::Live { token: one() });
    (stub, stream, connection, events)
}

async fn next(events: &mut Receiver<StreamEvent>) -> StreamEvent {
    tokio::time::timeout(Duration::from_secs(10), events.recv())
        .await
        .unwrap()
        .unwrap()
}

fn asks(stream: &Stream) -> Option<Vec<(String, String)>> {
    let book = stream.book(&one())?;
    let words = |level: &crate::domain::Level| (level.price.to_string(), level.size.to_string());
    Some(book.asks().iter().map(words).collect())
}

fn row(price: &str, size: &str) -> (String, String) {
    (price.to_owned(), size.to_owned())
}

#[tokio::test]
async fn it_asks_as_the_venue_wants_and_follows_differences_only() {
    let stub = Stub::start().await;
    let stream = Stream::new(stub.settings());
    assert_eq!(stream.health(), None, "nothing was wanted yet");
    stream.follow(&tokens(0..2));
    let connection = stub.connection(0).await;
    let first = json!({"type": "market", "assets_ids": ["10000", "10001"],
        "custom_feature_enabled": true});
    assert_eq!(connection.messages(), std::slice::from_ref(&first));
    stream.follow(&tokens(0..2));
    let mut other = tokens(1..3);
    other.push(TokenId::new("made-up"));
    stream.follow(&other);
    let messages = until(|| Some(connection.messages()).filter(|m| m.len() >= 3)).await;
    let operation = |kind: &str, id: &str| json!({"operation": kind, "assets_ids": [id], "custom_feature_enabled": true});
    assert_eq!(
        messages,
        [
            first,
            operation("unsubscribe", "10000"),
            operation("subscribe", "10002")
        ]
    );
    assert_eq!(stub.accepted().len(), 1);
}

#[tokio::test]
async fn a_thousand_tokens_are_five_connections_and_all_become_live() {
    let stub = Stub::start().await;
    let stream = Stream::new(stub.settings());
    let all = tokens(0..1_000);
    stream.follow(&all);
    stub.connection(4).await;
    let mut seen = BTreeSet::new();
    for number in 0..5 {
        let connection = stub.connection(number).await;
        let asked = connection.asked_for();
        assert_eq!(asked.len(), 200);
        let books: Vec<Value> = asked
            .iter()
            .map(|id| whole(&TokenId::new(id), 1_000, 5))
            .collect();
        for part in books.chunks(50) {
            connection.send(Value::from(part).to_string());
        }
        seen.extend(asked);
    }
    assert_eq!(seen.len(), 1_000);
    let health = until(|| stream.health().filter(|health| health.live == 1_000)).await;
    assert_eq!(
        (health.connections, health.followed, health.broken),
        (5, 1_000, 0)
    );
    assert_eq!(stream.books(&all).len(), 1_000);
    // 150 leave; their places are taken before a connection is made.
    stream.follow(&tokens(150..1_100));
    let health = until(|| stream.health().filter(|health| health.followed == 950)).await;
    assert_eq!(health.live, 850);
    assert_eq!(stub.accepted().len(), 5);
    stream.follow(&[]);
    let health = until(|| stream.health().filter(|health| health.connections == 0)).await;
    assert_eq!((health.followed, health.live), (0, 0));
    assert_eq!(health.messages, 1_000, "what was counted stays counted");
}

#[tokio::test]
async fn pings_keep_their_pace_and_their_answers_alone_keep_no_book_fresh() {
    let stub = Stub::start().await;
    let every = Duration::from_millis(40);
    let settings = ConnectionSettings {
        ping_every: every,
        silence: Duration::from_millis(2_000),
        ..stub.settings()
    };
    assert_eq!(
        ConnectionSettings::new(&crate::market_data::polymarket::PolymarketConfig::default())
            .ping_every,
        Duration::from_secs(10)
    );
    let stream = Stream::new(settings);
    stream.follow(&[one()]);
    let connection = stub.connection(0).await;
    let start = connection.heard.lock().unwrap()[0].0;
    connection.send(whole(&one(), 1_000, 5).to_string());
    let first = until(|| stream.book(&one())).await;
    let count = |connection: &Accepted| {
        let texts = connection.texts();
        texts.iter().filter(|text| *text == "PING").count()
    };
    until(|| (count(&connection) >= 4).then_some(())).await;
    let heard = connection.heard.lock().unwrap().clone();
    let pings = heard.iter().filter(|(_, text)| text == "PING");
    for (number, (at, _)) in (1_u32..).zip(pings) {
        // Timers fire late at times, never early; half a step is the stub's own lateness.
        assert!(at.duration_since(start) + every / 2 >= every * number);
    }
    // The connection stands, but it has told nothing since: the book is as old as that.
    let later = stream.book(&one()).unwrap();
    assert_eq!((later.at, later.changed_at), (first.at, first.changed_at));
    connection.send(whole(&one(), 2_000, 5).to_string());
    until(|| stream.book(&one()).filter(|book| book.at > first.at)).await;
    assert_eq!(stub.accepted().len(), 1);
}

#[tokio::test]
async fn silence_ends_a_connection_and_another_one_is_made() {
    let stub = Stub::with(false, Vec::new()).await;
    let settings = ConnectionSettings {
        ping_every: Duration::from_millis(30),
        silence: Duration::from_millis(200),
        ..stub.settings()
    };
    let stream = Stream::new(settings);
    let mut events = stream.changes();
    stream.follow(&[one()]);
    let connection = stub.connection(0).await;
    let start = Instant::now();
    connection.send(whole(&one(), 1_000, 5).to_string());
    assert_eq!(next(&mut events).await, StreamEvent::Live { token: one() });
    let broken = StreamEvent::Broken {
        tokens: vec![one()],
    };
    assert_eq!(next(&mut events).await, broken);
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(stream.book(&one()), None);
    let second = stub.connection(1).await;
    assert_eq!(second.asked_for().len(), 1);
    let health = stream.health().unwrap();
    assert_eq!(health.reconnects, 1);
    assert_eq!(health.last_lost.unwrap(), "silent for 0.2 s");
}

#[tokio::test]
async fn a_cut_in_mid_book_takes_the_book_away_until_a_new_one_comes() {
    let (stub, stream, connection, mut events) = live().await;
    connection.send(change(&one(), 1_001, ("SELL", "0.55", 3), ("0.40", "0.55")).to_string());
    assert_eq!(next(&mut events).await, StreamEvent::BookChanged(one()));
    assert_eq!(asks(&stream), Some(vec![row("0.55", "3"), row("0.6", "5")]));
    connection.cut();
    let broken = StreamEvent::Broken {
        tokens: vec![one()],
    };
    assert_eq!(next(&mut events).await, broken);
    assert_eq!(stream.book(&one()), None, "gone at once");
    let second = stub.connection(1).await;
    assert_eq!(stream.book(&one()), None, "a connection alone is no book");
    second.send(change(&one(), 1_002, ("SELL", "0.58", 1), ("0.40", "0.58")).to_string());
    until(|| stream.health().filter(|health| health.messages == 3)).await;
    assert_eq!(stream.book(&one()), None, "nor is a change");
    second.send(whole(&one(), 1_001, 9).to_string());
    assert_eq!(next(&mut events).await, StreamEvent::Live { token: one() });
    // 0.55 went while nobody listened; 0.58 came before the book and is newer than it.
    assert_eq!(asks(&stream), Some(vec![row("0.58", "1"), row("0.6", "9")]));
    let since_snapshot = Timestamp::from_millis(START + 1_001);
    assert_eq!(
        stream.book(&one()).unwrap().feed,
        BookFeed::Streamed { since_snapshot }
    );
}

#[tokio::test]
async fn repeated_and_late_frames_change_nothing() {
    let (_stub, stream, connection, mut events) = live().await;
    let new = change(&one(), 1_005, ("SELL", "0.55", 3), ("0.40", "0.55")).to_string();
    connection.send(&new);
    connection.send(&new);
    connection.send(change(&one(), 1_004, ("SELL", "0.50", 3), ("0.40", "0.50")).to_string());
    connection.send(whole(&one(), 1_000, 7).to_string());
    for _ in 0..2 {
        assert_eq!(next(&mut events).await, StreamEvent::BookChanged(one()));
    }
    let health = until(|| stream.health().filter(|health| health.messages == 5)).await;
    assert_eq!(health.dropped[live_books::LATE], 2);
    assert_eq!(asks(&stream), Some(vec![row("0.55", "3"), row("0.6", "5")]));
}

#[tokio::test]
async fn a_book_that_the_venue_contradicts_is_taken_away_and_asked_for_anew() {
    let (_stub, stream, connection, mut events) = live().await;
    connection.send(change(&one(), 1_005, ("BUY", "0.41", 3), ("0.41", "0.59")).to_string());
    let broken = StreamEvent::Broken {
        tokens: vec![one()],
    };
    // Nothing else comes, so it takes the second that bursts are given.
    assert_eq!(next(&mut events).await, broken);
    assert_eq!(stream.book(&one()), None);
    let messages = until(|| Some(connection.messages()).filter(|m| m.len() >= 3)).await;
    let operation = |kind: &str| json!({"operation": kind, "assets_ids": ["10000"], "custom_feature_enabled": true});
    assert_eq!(
        messages[1..],
        [operation("unsubscribe"), operation("subscribe")]
    );
    connection.send(whole(&one(), 1_005, 8).to_string());
    assert_eq!(next(&mut events).await, StreamEvent::Live { token: one() });
    assert_eq!(asks(&stream), Some(vec![row("0.6", "8")]));
    assert_eq!(stream.health().unwrap().resyncs, 1);
}

#[tokio::test]
async fn frames_that_say_nothing_about_a_book_are_counted_and_leave_it_alone() {
    let (stub, stream, connection, mut events) = live().await;
    let before = stream.book(&one()).unwrap();
    for value in [
        json!("PONG"),
        json!({"event_type": "novelty"}),
        json!({"event_type": "last_trade_price", "asset_id": "10000", "price": "1.5",
            "size": "1", "timestamp": "1790000001000"}),
        json!({"event_type": "new_market", "id": "5", "market": MARKET, "question": "Q?",
            "assets_ids": ["1", "2"], "timestamp": "1790000001009"}),
        // A book and a change of tokens that nobody follows.
        whole(&TokenId::new("5"), 1_000, 1),
        change(&TokenId::new("5"), 1_000, ("BUY", "7", 1), ("0.40", "0.60")),
    ] {
        connection.send(value.to_string());
    }
    connection.send_binary();
    assert_eq!(
        dropped(&stream, 6).await,
        [
            ("ws frame: binary".to_owned(), 1),
            ("ws last_trade_price: price is out of range".to_owned(), 1),
            ("ws message of unknown kind ``".to_owned(), 1),
            ("ws message of unknown kind `novelty`".to_owned(), 1),
            ("ws new_market: not needed".to_owned(), 1),
            ("ws price_change: price is out of range".to_owned(), 1),
        ]
    );
    let after = stream.book(&one()).unwrap();
    assert_eq!((after.bids(), after.asks()), (before.bids(), before.asks()));
    assert!(events.try_recv().is_err());
    // More than may be read is no reason to trust what was read before.
    connection.send(format!("\"{}\"", "x".repeat(70_000)));
    assert!(matches!(
        next(&mut events).await,
        StreamEvent::Broken { .. }
    ));
    stub.connection(1).await;
}

/// The causes of dropped messages, once there are so many.
async fn dropped(stream: &Stream, count: u64) -> Vec<(String, u64)> {
    until(|| {
        let dropped = stream.health()?.dropped;
        (dropped.values().sum::<u64>() == count).then(|| dropped.into_iter().collect())
    })
    .await
}

#[tokio::test]
async fn a_change_that_cannot_be_read_enters_no_book_and_takes_its_book_away() {
    let cases = [
        (
            change(&one(), 1_005, ("BUY", "1.41", 3), ("0.40", "0.60")).to_string(),
            "ws price_change: price is out of range",
        ),
        (
            change(&one(), 1_006, ("HOLD", "0.41", 3), ("0.40", "0.60")).to_string(),
            "ws price_change: side is out of range",
        ),
        (
            whole(&one(), 1_007, 3)
                .to_string()
                .replace("\"0.60\"", "\"NaN\""),
            "ws book: price is not a number",
        ),
        ("{\"event_type\":".to_owned(), "ws frame: not JSON"),
    ];
    for (text, cause) in cases {
        let (_stub, stream, connection, mut events) = live().await;
        connection.send(text);
        assert_eq!(dropped(&stream, 1).await, [(cause.to_owned(), 1)]);
        let broken = StreamEvent::Broken {
            tokens: vec![one()],
        };
        assert_eq!(next(&mut events).await, broken, "{cause}");
        assert_eq!(stream.book(&one()), None);
        until(|| (connection.messages().len() == 3).then_some(())).await;
        connection.send(whole(&one(), 1_008, 8).to_string());
        assert_eq!(next(&mut events).await, StreamEvent::Live { token: one() });
        assert_eq!(asks(&stream), Some(vec![row("0.6", "8")]));
    }
}

#[tokio::test]
async fn trades_steps_and_ends_are_passed_on() {
    let (_stub, _stream, connection, mut events) = live().await;
    let trade = |token: &str| {
        json!({"event_type": "last_trade_price", "market": MARKET, "asset_id": token,
            "price": "0.60", "size": "2.5", "side": "BUY", "fee_rate_bps": "0",
            "timestamp": (START + 1_010).to_string(), "transaction_hash": "0xabc"})
    };
    connection.send(json!([trade("99"), trade("10000")]).to_string());
    connection.send(
        json!({"event_type": "tick_size_change", "market": MARKET, "asset_id": "10000",
            "old_tick_size": "0.01", "new_tick_size": "0.001", "timestamp": (START + 1_011).to_string()})
        .to_string(),
    );
    connection.send(
        json!({"event_type": "market_resolved", "market": MARKET, "id": "5",
            "assets_ids": ["10000", "10001"], "winning_asset_id": "10000",
            "winning_outcome": "Yes", "timestamp": (START + 1_012).to_string()})
        .to_string(),
    );
    let price = |text: &str| Price::parse(text).unwrap();
    let at = |millis: i64| Timestamp::from_millis(START + millis);
    assert_eq!(
        next(&mut events).await,
        StreamEvent::Trade {
            token: one(),
            side: Some(Side::Buy),
            level: crate::domain::Level {
                price: price("0.60"),
                size: Shares::parse("2.5").unwrap()
            },
            at: at(1_010),
            transaction: Some("0xabc".to_owned()),
        }
    );
    assert_eq!(
        next(&mut events).await,
        StreamEvent::TickSize {
            token: one(),
            old: price("0.01"),
            new: price("0.001"),
            at: at(1_011)
        }
    );
    assert_eq!(
        next(&mut events).await,
        StreamEvent::Resolved {
            condition_id: crate::domain::ConditionId::new(MARKET),
            winner: one(),
            outcome: Some("Yes".to_owned()),
            at: at(1_012)
        }
    );
}

#[tokio::test]
async fn a_refused_upgrade_is_named_and_its_wish_is_waited_for() {
    let refusal = |status: &str, more: &str| {
        format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n")
    };
    let refusals = vec![
        refusal("503 Service Unavailable", ""),
        refusal("429 Too Many Requests", "retry-after: 1\r\n"),
    ];
    let stub = Stub::with(true, refusals).await;
    let start = Instant::now();
    let stream = Stream::new(stub.settings());
    stream.follow(&[one()]);
    stub.connection(0).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    let health = stream.health().unwrap();
    assert_eq!(health.reconnects, 2);
    assert_eq!(
        health.last_lost.unwrap(),
        "the upgrade was answered with status 429 Too Many Requests"
    );
}

#[tokio::test]
async fn what_is_wanted_while_nobody_answers_is_asked_for_later() {
    let refused = "HTTP/1.1 502 Bad Gateway\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let stub = Stub::with(true, vec![refused.to_owned()]).await;
    let stream = Stream::new(stub.settings());
    stream.follow(&tokens(0..2));
    until(|| stream.health().filter(|health| health.reconnects == 1)).await;
    stream.follow(&tokens(1..4));
    let connection = stub.connection(0).await;
    let wanted: Vec<String> = connection.asked_for().into_iter().collect();
    assert_eq!(wanted, ["10001", "10002", "10003"]);
    assert_eq!(connection.messages().len(), 1, "in one go");
}

#[tokio::test]
async fn dropping_the_stream_ends_its_connections() {
    let (stub, stream, connection, mut events) = live().await;
    drop(stream);
    assert!(matches!(
        next(&mut events).await,
        StreamEvent::Broken { .. }
    ));
    // All senders are gone with the last connection.
    let ended = tokio::time::timeout(Duration::from_secs(10), events.recv()).await;
    assert_eq!(
        ended.unwrap(),
        Err(tokio::sync::broadcast::error::RecvError::Closed)
    );
    assert_eq!(stub.accepted().len(), 1);
    drop(connection);
}

#[tokio::test]
async fn whoever_records_gets_the_frames_as_they_came() {
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);
    impl Listener for Notes {
        fn event(&mut self, event: ConnectionEvent<'_>) {
            let note = match event {
                ConnectionEvent::Followed(tokens) => format!("followed {}", tokens.len()),
                ConnectionEvent::Unfollowed(tokens) => format!("unfollowed {}", tokens.len()),
                ConnectionEvent::Connected { .. } => "connected".to_owned(),
                ConnectionEvent::Frame { text, at } => {
                    assert!(at > Timestamp::default());
                    format!("frame {text}")
                }
                ConnectionEvent::Heard { .. } => "heard".to_owned(),
                ConnectionEvent::Odd { what, .. } => what.to_owned(),
                ConnectionEvent::Lost { reason, .. } => format!("lost: {reason}"),
                ConnectionEvent::Closed => "closed".to_owned(),
            };
            self.0.lock().unwrap().push(note);
        }
    }
    let stub = Stub::start().await;
    let notes = Notes::default();
    let connection = Connection::open(
        &Handle::current(),
        Arc::new(stub.settings()),
        tokens(0..3),
        Box::new(notes.clone()),
    );
    let accepted = stub.connection(0).await;
    accepted.send("PONG");
    accepted.send("{\"any\": 1}");
    let count = || notes.0.lock().unwrap().len();
    until(|| (count() == 4).then_some(())).await;
    accepted.cut();
    stub.connection(1).await;
    until(|| (count() == 6).then_some(())).await;
    drop(connection);
    until(|| (count() == 7).then_some(())).await;
    let said = notes.0.lock().unwrap().clone();
    assert_eq!(
        said[..4],
        ["followed 3", "connected", "heard", "frame {\"any\": 1}"]
    );
    assert!(said[4].starts_with("lost: "), "{said:?}");
    assert_eq!(said[5..], ["connected", "closed"]);
}

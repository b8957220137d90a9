//! The market channel over real sockets, with an ordinary WebSocket client.

mod faulty;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Hub;
use crate::domain::{Price, Side};
use crate::sandbox::exchange::OutcomeSide;
use crate::sandbox::wire::recorded::{recording, same_shape};
use support::{Client, Floor, books, sandbox};

#[tokio::test]
async fn a_subscription_brings_both_books_and_then_each_change_with_its_best_prices() {
    let floor = Floor::new(sandbox().await);
    floor.order(OutcomeSide::First, Side::Buy, "0.4", 10);
    floor.order(OutcomeSide::First, Side::Sell, "0.45", 20);
    let mut client = floor.connect().await;
    client.subscribe(&floor.tokens, false).await;
    let first = client.next().await;
    let [yes, no] = [&first[0], &first[1]];
    assert_eq!(yes["event_type"], "book");
    assert_eq!(yes["asset_id"], floor.tokens[0].as_str());
    assert_eq!(yes["bids"], json!([{"price": "0.4", "size": "10"}]));
    assert_eq!(yes["asks"], json!([{"price": "0.45", "size": "20"}]));
    assert_eq!(no["bids"], json!([{"price": "0.55", "size": "20"}]));
    assert_eq!(no["asks"], json!([{"price": "0.6", "size": "10"}]));

    // A bid for No at 0.57 is an offer of Yes at 0.43: the new best on both sides.
    floor.order(OutcomeSide::Second, Side::Buy, "0.57", 30);
    let change = client.next().await;
    assert_eq!(change["event_type"], "price_change");
    let entries: BTreeMap<&str, &Value> = change["price_changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["asset_id"].as_str().unwrap(), entry))
        .collect();
    let fields = |token: &str| {
        ["price", "size", "side", "best_bid", "best_ask"]
            .map(|name| entries[token][name].as_str().unwrap())
    };
    assert_eq!(
        fields(&floor.tokens[0]),
        ["0.43", "30", "SELL", "0.4", "0.43"]
    );
    assert_eq!(
        fields(&floor.tokens[1]),
        ["0.57", "30", "BUY", "0.57", "0.6"]
    );
    assert_eq!(
        entries[floor.tokens[0].as_str()]["hash"]
            .as_str()
            .unwrap()
            .len(),
        40
    );

    // Takes all of the 30 at 0.43 and 5 of the 20 at 0.45.
    floor.order(OutcomeSide::First, Side::Buy, "0.45", 35);
    let mut kinds = Vec::new();
    let mut last = Value::Null;
    while kinds.iter().filter(|kind| *kind == "book").count() < 2 {
        for event in client.events().await {
            kinds.push(event["event_type"].as_str().unwrap().to_owned());
            if event["event_type"] == "book" && event["asset_id"] == floor.tokens[0].as_str() {
                last = event;
            }
        }
    }
    let trades = kinds
        .iter()
        .filter(|kind| *kind == "last_trade_price")
        .count();
    assert_eq!(trades, 2, "{kinds:?}");
    assert!(!kinds.contains(&"best_bid_ask".to_owned()), "not asked for");
    assert_eq!(last["asks"], json!([{"price": "0.45", "size": "15"}]));
    assert_eq!(last["last_trade_price"], "0.450");
}

#[tokio::test]
async fn what_the_socket_says_adds_up_to_what_the_book_route_says() {
    let sandbox = sandbox().await;
    let tokens = support::busiest(&sandbox, 6);
    let mut client = Client::connect(&sandbox).await;
    client.subscribe(&tokens, true).await;
    let mut told = BTreeMap::new();
    for event in client.next().await.as_array().unwrap() {
        books::apply(&mut told, event);
    }
    assert_eq!(told.len(), 6);
    let mut changes = 0;
    for _ in 0..10 {
        sandbox.step(60_000);
        let began = Instant::now();
        loop {
            let served = books::served(&sandbox, &tokens).await;
            if served == told {
                break;
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "the books differ for good"
            );
            for event in client.events().await {
                changes += usize::from(event["event_type"] == "price_change");
                books::apply(&mut told, &event);
            }
        }
    }
    assert!(changes > 20, "only {changes} changes in ten minutes");
}

#[tokio::test]
async fn ping_is_answered_and_nonsense_refused_in_the_venues_words() {
    let floor = Floor::new(sandbox().await);
    let mut client = floor.connect().await;
    client.say("PING").await;
    assert_eq!(client.text().await, "PONG");
    client.say("hello").await;
    assert_eq!(client.text().await, "INVALID OPERATION");
    // Unknown tokens are passed over; no dump on request.
    let quiet =
        json!({"type": "market", "assets_ids": ["1", floor.tokens[0]], "initial_dump": false});
    client.say(&quiet.to_string()).await;
    client.say(&quiet.to_string()).await;
    assert_eq!(client.text().await, "INVALID OPERATION", "a second opening");
    let more = json!({"operation": "subscribe", "assets_ids": [floor.tokens[1]]});
    client.say(&more.to_string()).await;
    assert_eq!(client.next().await["asset_id"], floor.tokens[1].as_str());
    let less = json!({"operation": "unsubscribe", "assets_ids": floor.tokens});
    client.say(&less.to_string()).await;
    client.say("PING").await;
    assert_eq!(client.text().await, "PONG");
    floor.order(OutcomeSide::First, Side::Buy, "0.3", 10);
    assert_eq!(client.silence(Duration::from_millis(150)).await, None);
}

#[tokio::test]
async fn custom_features_come_to_those_who_asked() {
    let floor = Floor::new(sandbox().await);
    let mut plain = floor.connect().await;
    plain.subscribe(&floor.tokens, false).await;
    let mut custom = floor.connect().await;
    custom.subscribe(&floor.tokens, true).await;
    drop((plain.next().await, custom.next().await));
    floor.order(OutcomeSide::First, Side::Buy, "0.3", 10);
    let kinds = |events: &[Value]| -> Vec<String> {
        events
            .iter()
            .map(|event| event["event_type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds(&plain.events().await), ["price_change"]);
    let events = custom.events().await;
    assert_eq!(
        kinds(&events),
        ["price_change", "best_bid_ask", "best_bid_ask"]
    );
    let best = &events[1];
    assert_eq!(
        [&best["best_bid"], &best["best_ask"], &best["spread"]],
        ["0.3", "1", "0.7"]
    );
    // The tick becomes finer.
    floor.change(|world, market| {
        let tick = Price::parse("0.001").unwrap();
        let now = world.now;
        world.exchange.set_tick(market, tick, now);
    });
    for client in [&mut plain, &mut custom] {
        let events = client.events().await;
        assert_eq!(kinds(&events), ["tick_size_change", "tick_size_change"]);
        assert_eq!(events[0]["old_tick_size"], "0.01");
        assert_eq!(events[0]["new_tick_size"], "0.001");
    }
    // The market resolves.
    floor.change(|world, market| {
        let now = world.now;
        world.exchange.settle(market, [0, 1_000_000], now).unwrap();
    });
    let resolved = loop {
        let events = custom.events().await;
        if let Some(event) = events.iter().find(|e| e["event_type"] == "market_resolved") {
            break event.clone();
        }
    };
    assert_eq!(resolved["winning_asset_id"], floor.tokens[1].as_str());
    assert_eq!(resolved["assets_ids"], json!(floor.tokens));
    let rest = plain.silence(Duration::from_millis(150)).await;
    assert!(!rest.unwrap_or_default().contains("market_resolved"));
}

#[tokio::test]
async fn messages_have_the_fields_and_types_of_the_recorded_ones() {
    let floor = Floor::new(sandbox().await);
    let mut client = floor.connect().await;
    client.subscribe(&floor.tokens, true).await;
    drop(client.next().await);
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    floor.order(OutcomeSide::First, Side::Buy, "0.3", 10);
    floor.order(OutcomeSide::First, Side::Sell, "0.6", 10);
    floor.order(OutcomeSide::First, Side::Buy, "0.6", 5);
    let keep = |seen: &mut BTreeMap<String, Value>, events: Vec<Value>| {
        for event in events {
            let kind = event["event_type"].as_str().unwrap().to_owned();
            // The last book has lost its levels with the market's end.
            if kind != "book" || !event["bids"].as_array().unwrap().is_empty() {
                seen.insert(kind, event);
            }
        }
    };
    // A book is as it stands when it is sent: it must be out before the market ends.
    while !["book", "best_bid_ask", "last_trade_price", "price_change"]
        .iter()
        .all(|kind| seen.contains_key(*kind))
    {
        keep(&mut seen, client.events().await);
    }
    floor.change(|world, market| {
        let now = world.now;
        let tick = Price::parse("0.001").unwrap();
        world.exchange.set_tick(market, tick, now);
        world.exchange.settle(market, [1_000_000, 0], now).unwrap();
    });
    let fresh = {
        let world = floor.sandbox.shared.read();
        let market = &world.markets[floor.market.0 as usize];
        let event = world.event_of(market).unwrap();
        let tick = Price::parse("0.01").unwrap();
        super::messages::new_market(market, event, tick, world.now)
    };
    seen.insert(
        "new_market".to_owned(),
        serde_json::from_str(&fresh).unwrap(),
    );
    while !seen.contains_key("market_resolved") {
        keep(&mut seen, client.events().await);
    }
    // Sports fields are absent on other markets, as on the venue; a sanitised recording has no tag.
    let sports = [".line", ".game_start_time", ".sports_market_type"];
    let nothing: &[&str] = &[];
    for (file, kind, extra, absent) in [
        ("ws/book_snapshot_captured.json", "book", nothing, nothing),
        (
            "ws/market_best_bid_ask_msg.json",
            "best_bid_ask",
            nothing,
            nothing,
        ),
        (
            "ws/market_tick_size_msg.json",
            "tick_size_change",
            nothing,
            nothing,
        ),
        (
            "ws/market_last_trade_msg.json",
            "last_trade_price",
            &[".transaction_hash"],
            nothing,
        ),
        (
            "ws/market_resolved_msg.json",
            "market_resolved",
            nothing,
            nothing,
        ),
        (
            "ws/market_new_market_msg.json",
            "new_market",
            &[".tags[]"],
            &sports,
        ),
    ] {
        let Some(recorded) = recording(file) else {
            return;
        };
        same_shape(&recorded, &seen[kind], extra, absent);
    }
    // A real stream: one book, then changes of two entries each.
    let Some(burst) = recording("ws/market_price_change_crossing_burst.json") else {
        return;
    };
    let recorded = &burst.as_array().unwrap()[1];
    same_shape(recorded, &seen["price_change"], &[], &[]);
    let names =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(names(&seen["price_change"]), names(recorded));
    assert_eq!(
        names(&seen["price_change"]["price_changes"][0]),
        names(&recorded["price_changes"][0])
    );
    assert_eq!(
        names(&seen["book"]),
        names(&recording("ws/book_snapshot_captured.json").unwrap())
    );
}

#[tokio::test]
async fn who_does_not_read_is_dropped_and_the_others_lose_nothing() {
    let floor = Floor::new(sandbox().await);
    let mut slow = floor.connect().await;
    slow.subscribe(&floor.tokens, false).await;
    drop(slow.next().await);
    let mut quick = floor.connect().await;
    quick.subscribe(&floor.tokens, false).await;
    drop(quick.next().await);
    let hub: &Hub = floor.sandbox.shared.hub();
    assert_eq!(hub.sockets(), 2);
    let mut received = 0;
    let mut sent = 0;
    // At about 800 bytes a change, 8 MiB and what the kernel holds are full after some ten thousand.
    while hub.sockets() == 2 && sent < 200_000 {
        floor.churn(1_000);
        sent += 2_000;
        while received < sent {
            received += quick.changes().await;
        }
    }
    let began = Instant::now();
    while hub.sockets() == 2 {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the slow reader is still there"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(received, sent);
    floor.churn(1);
    assert_eq!(quick.changes().await, 2);
    // It was told so, behind what it had not read, or simply cut off.
    let mut end = slow.read().await;
    while let Ok(Some(_)) = &end {
        end = slow.read().await;
    }
    assert!(matches!(end, Ok(None) | Err(_)));
}

#[tokio::test]
async fn nothing_is_watched_once_everyone_has_left() {
    let floor = Floor::new(sandbox().await);
    let mut client = floor.connect().await;
    client.subscribe(&floor.tokens, true).await;
    drop(client.next().await);
    drop(client);
    let began = Instant::now();
    while floor.sandbox.shared.hub().sockets() > 0 {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let changes = {
        let mut world = floor.sandbox.shared.write_quietly();
        support::place(
            &mut world,
            floor.market,
            OutcomeSide::First,
            Side::Buy,
            "0.2",
            10,
        );
        world.take_changes()
    };
    assert_eq!(changes, []);
}

/// Not part of the suite: prints how many book changes a second go through, with the clients on the
/// same cores: `cargo nextest run --lib --run-ignored only flood --no-capture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; prints its result"]
async fn flood() {
    const SOCKETS: usize = 4;
    const CHANGES: usize = 200_000;
    /// How far the slowest reader may be behind.
    const LAG: usize = 6_000;
    let floor = Floor::new(sandbox().await);
    let counts: Vec<Arc<AtomicUsize>> = (0..SOCKETS).map(|_| Arc::default()).collect();
    let mut readers = Vec::new();
    for count in &counts {
        let mut client = floor.connect().await;
        client.subscribe(&floor.tokens, true).await;
        drop(client.next().await);
        let count = Arc::clone(count);
        readers.push(tokio::spawn(async move {
            while count.load(Ordering::Relaxed) < CHANGES {
                count.fetch_add(client.changes_unparsed().await, Ordering::Relaxed);
            }
        }));
    }
    let slowest = || {
        counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .min()
    };
    let began = Instant::now();
    let mut sent = 0;
    while sent < CHANGES {
        floor.churn(1_000);
        sent += 2_000;
        while slowest().unwrap() + LAG < sent {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for reader in readers {
        reader.await.unwrap();
    }
    let rate = CHANGES as f64 / began.elapsed().as_secs_f64();
    println!("{SOCKETS} sockets: {rate:.0} book changes/s, each to all of them");
    assert_eq!(slowest(), Some(CHANGES));
}

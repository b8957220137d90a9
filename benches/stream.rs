//! What a stream of books costs: frames read and applied per second, and books handed out.
//!
//! `cargo bench --bench stream`

#![expect(
    clippy::expect_used,
    reason = "a benchmark whose inputs are unsound has nothing to measure"
)]

use divan::Bencher;
use divan::counter::ItemsCount;

use polymarket_agent::domain::{Timestamp, TokenId};
use polymarket_agent::market_data::polymarket::stream::live_books::LiveBooks;
use polymarket_agent::market_data::polymarket::ws_messages;

/// Markets on one connection: 200 tokens.
const MARKETS: u64 = 100;
const FRAMES: u64 = 10_000;
const MARKET: &str = "0x0005c0d312de0be897668695bae9f32b624b4a1ae8b140c49f08447fcc74f442";
const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fn main() {
    divan::main();
}

/// Tokens as long as the venue's.
fn token(number: u64) -> TokenId {
    TokenId::new(format!("{}{number:05}", "7".repeat(72)))
}

fn levels(cents: std::ops::Range<u64>) -> String {
    let level = |c| format!("{{\"price\":\"0.{c:02}\",\"size\":\"{}\"}}", 100 + c);
    cents.map(level).collect::<Vec<_>>().join(",")
}

/// Books with 30 bids from 0.20 and 30 asks from 0.51, live.
fn live() -> LiveBooks {
    let mut books = LiveBooks::default();
    let tokens: Vec<TokenId> = (0..MARKETS * 2).map(token).collect();
    books.follow(&tokens, NOW);
    books.connected(NOW);
    let mut events = Vec::new();
    for token in &tokens {
        let frame = format!(
            "{{\"event_type\":\"book\",\"market\":\"{MARKET}\",\"asset_id\":\"{token}\",\
             \"timestamp\":\"1790000000000\",\"bids\":[{}],\"asks\":[{}]}}",
            levels(20..50),
            levels(51..81)
        );
        books.frame(&frame, NOW, &mut events);
    }
    assert_eq!(books.health().live, MARKETS * 2, "all books are live");
    books
}

/// Changes of levels behind the best, of both tokens of a market each, as the venue sends them.
fn frames() -> Vec<String> {
    (0..FRAMES)
        .map(|n| {
            let market = n * 37 % MARKETS;
            let (yes, no) = (token(market * 2), token(market * 2 + 1));
            let (bid, ask) = (20 + n % 29, 52 + n % 29);
            let (at, size) = (1_790_000_000_001 + n, n % 1_000);
            let change = |token: &TokenId, side: &str, cents: u64| {
                format!(
                    "{{\"asset_id\":\"{token}\",\"price\":\"0.{cents:02}\",\"size\":\"{size}.5\",\
                     \"side\":\"{side}\",\"hash\":\"752ffbb04e647f0e28c82237b654e0ac5ef35a95\",\
                     \"best_bid\":\"0.49\",\"best_ask\":\"0.51\"}}"
                )
            };
            format!(
                "{{\"market\":\"{MARKET}\",\"price_changes\":[{},{}],\"timestamp\":\"{at}\",\
                 \"event_type\":\"price_change\"}}",
                change(&yes, "BUY", bid),
                change(&no, "SELL", ask)
            )
        })
        .collect()
}

/// Reading alone. Items are frames.
#[divan::bench]
fn parse(bencher: Bencher) {
    let frames = frames();
    bencher.counter(ItemsCount::new(FRAMES)).bench(|| {
        let messages: usize = frames
            .iter()
            .map(|text| ws_messages::frame(text).len())
            .sum();
        assert_eq!(messages as u64, FRAMES);
    });
}

/// Reading and applying to live books. Items are frames, each with two changes.
#[divan::bench]
fn parse_and_apply(bencher: Bencher) {
    let frames = frames();
    bencher
        .counter(ItemsCount::new(FRAMES))
        .with_inputs(live)
        .bench_values(|mut books| {
            let mut events = Vec::new();
            for text in &frames {
                books.frame(text, NOW, &mut events);
            }
            assert_eq!(events.len() as u64, FRAMES * 2, "each change is shown");
            books
        });
}

/// Handing out the books of a tick. Items are books of 60 levels.
#[divan::bench]
fn hand_out(bencher: Bencher) {
    let books = live();
    let tokens: Vec<TokenId> = (0..MARKETS * 2).map(token).collect();
    bencher.counter(ItemsCount::new(MARKETS * 2)).bench(|| {
        let levels: usize = tokens
            .iter()
            .map(|token| books.book(token).expect("a live book").bids().len())
            .sum();
        assert_eq!(levels as u64, MARKETS * 2 * 30);
    });
}

//! Recorded messages through the book builder. What is expected was computed by a second
//! implementation of the same rules in Python, on decimals.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::live_books::{LATE, LiveBooks};
use crate::domain::{Level, Price, Shares, Timestamp, TokenId};
use crate::market_data::StreamEvent;
use crate::market_data::polymarket::ws_messages::{self, Best, MarketMessage};
use crate::market_data::recorded::tests::real_prices;

/// A made-up condition for recordings that left it out.
const MARKET: &str = "0x0005c0d312de0be897668695bae9f32b624b4a1ae8b140c49f08447fcc74f442";

/// What became of the messages, one count per message and token.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    /// Changed a book that was then shown.
    shown: u64,
    /// Left a book unsettled: crossed, or at odds with the told best prices.
    unsettled: u64,
    /// Older than the book.
    late: u64,
    /// Books taken away because they stayed at odds.
    broken: u64,
    /// Changes that came while a whole book was awaited.
    waiting: u64,
}

/// Bids and asks at the end: best price, number of levels, shares.
type End = [(Option<String>, usize, String); 2];

struct Replay {
    books: LiveBooks,
    counts: Counts,
}

impl Replay {
    fn following(tokens: &[&str]) -> Self {
        let tokens: Vec<TokenId> = tokens.iter().map(|id| TokenId::new(*id)).collect();
        let mut books = LiveBooks::default();
        books.follow(&tokens, Timestamp::default());
        books.connected(Timestamp::default());
        Replay {
            books,
            counts: Counts::default(),
        }
    }

    /// Plays one message in which every token occurs at most once. Gives the tokens that broke.
    fn play(&mut self, message: &Value) -> Vec<TokenId> {
        self.play_text(&message.to_string())
    }

    fn play_text(&mut self, text: &str) -> Vec<TokenId> {
        self.play_read(read(text))
    }

    fn play_read(&mut self, message: MarketMessage) -> Vec<TokenId> {
        let mut touched: Vec<TokenId> = match &message {
            MarketMessage::Book(served) => vec![served.token.clone()],
            MarketMessage::PriceChange { changes, .. } => {
                changes.iter().map(|change| change.token.clone()).collect()
            }
            _ => Vec::new(),
        };
        let late_before = self.books.dropped_for(LATE);
        let mut events = Vec::new();
        // The machine's clock stands still: nothing is given up for taking long.
        let now = Timestamp::default();
        self.books.heard(now);
        self.books.read(Ok(message), now, &mut events);
        let late = self.books.dropped_for(LATE) - late_before;
        self.counts.late += late;
        let mut broken = Vec::new();
        let mut shown = 0;
        for event in events {
            match event {
                StreamEvent::BookChanged(_) | StreamEvent::Live { .. } => shown += 1,
                StreamEvent::Broken { tokens } => broken.extend(tokens),
                StreamEvent::Trade { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        self.counts.shown += shown;
        self.counts.broken += broken.len() as u64;
        touched.dedup();
        touched.retain(|token| self.books.get(token).is_some() && !broken.contains(token));
        let unsettled = |token: &&TokenId| self.books.get(token).unwrap().is_unsettled();
        let unsettled = touched.iter().filter(unsettled).count() as u64;
        self.counts.unsettled += unsettled;
        self.counts.waiting += touched.len() as u64 - shown - unsettled - late;
        broken
    }

    /// The counts, after a look that nothing was dropped for another cause than its age.
    fn counts(&self) -> Counts {
        let dropped = self.books.health().dropped;
        assert_eq!(
            dropped.values().sum::<u64>(),
            self.counts.late,
            "{dropped:?}"
        );
        self.counts
    }

    fn end(&self, token: &TokenId) -> End {
        let book = self.books.book(token).unwrap();
        [book.bids(), book.asks()].map(|side: &[Level]| {
            let shares = side.iter().fold(Shares::ZERO, |sum, l| sum.plus(l.size));
            let best = side.first().map(|level| level.price.to_string());
            (best, side.len(), shares.to_string())
        })
    }
}

fn read(text: &str) -> MarketMessage {
    let mut messages = ws_messages::frame(text);
    assert_eq!(messages.len(), 1);
    messages.remove(0).unwrap()
}

fn end(bids: (&str, usize, &str), asks: (&str, usize, &str)) -> End {
    [bids, asks].map(|(best, levels, shares)| {
        let best = Some(best.to_owned()).filter(|best| !best.is_empty());
        (best, levels, shares.to_owned())
    })
}

/// A recording of the venue in `fixtures/ws`; `None`, said aloud, where there is none.
fn fixture(name: &str) -> Option<Value> {
    let folder = std::env::var_os("POLYMARKET_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"),
        PathBuf::from,
    );
    let path = folder.join("ws").join(name);
    if !path.is_file() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci.is_empty()),
            "CI is set and there is no {}: set POLYMARKET_FIXTURES",
            path.display()
        );
        println!("SKIPPED: no {}: set POLYMARKET_FIXTURES", path.display());
        return None;
    }
    Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

/// Plays the messages for one token.
fn played(messages: &[&Value], token: &str) -> (Counts, End) {
    let mut replay = Replay::following(&[token]);
    for message in messages {
        assert!(replay.play(message).is_empty());
    }
    (replay.counts(), replay.end(&TokenId::new(token)))
}

#[test]
fn a_burst_that_crosses_for_two_messages_ends_where_the_venue_says() {
    let Some(value) = fixture("market_price_change_crossing_burst.json") else {
        return;
    };
    let messages: Vec<&Value> = value.as_array().unwrap().iter().collect();
    let token = messages[0]["asset_id"].as_str().unwrap();
    let (counts, at_end) = played(&messages, token);
    let expected = Counts {
        shown: 49,
        unsettled: 2,
        ..Counts::default()
    };
    assert_eq!(counts, expected);
    let expected = end(("0.29", 23, "376896.98"), ("0.301", 23, "114767.38"));
    assert_eq!(at_end, expected);
}

#[test]
fn snapshots_that_lag_behind_the_changes_are_told_by_their_time() {
    let Some(value) = fixture("market_book_integrity.json") else {
        return;
    };
    let token_of = |part: &Value| part["asset_id"].as_str().unwrap().to_owned();
    // A whole book of before the last changes arrives after them.
    let part = &value["missing_removal"];
    let mut messages: Vec<&Value> = part["events"].as_array().unwrap().iter().collect();
    messages.push(&part["replacement"]);
    let (counts, at_end) = played(&messages, &token_of(&part["replacement"]));
    assert_eq!((counts.shown, counts.late), (10, 1));
    assert_eq!(at_end, end(("0.155", 12, "992.67"), ("0.21", 18, "711.04")));

    // A level is deleted; the whole book that still has it is older, whichever comes first.
    let part = &value["stale_snapshot"];
    let (snapshot, deleted) = (&part["snapshot"], &part["newer_delete"]);
    let token = token_of(snapshot);
    let expected = end(("0.105", 8, "151.67"), ("0.288", 22, "1015.55"));
    assert_eq!(played(&[snapshot, deleted, snapshot], &token).1, expected);
    let (counts, at_end) = played(&[deleted, snapshot], &token);
    assert_eq!(at_end, expected);
    assert_eq!((counts.waiting, counts.shown), (1, 1));

    let part = &value["lagging_dump"];
    let mut messages = vec![&part["newer_update"], &part["snapshot"]];
    messages.extend(part["following_updates"].as_array().unwrap());
    let (counts, at_end) = played(&messages, &token_of(&part["snapshot"]));
    assert_eq!((counts.waiting, counts.shown), (1, 3));
    let expected = end(("0.05", 5, "3020812.65"), ("0.06", 57, "3530169.22"));
    assert_eq!(at_end, expected);
}

/// The lines of a compressed recording, with the condition that it left out.
fn lines(path: &Path) -> impl Iterator<Item = String> {
    let file = std::fs::File::open(path).unwrap();
    let reader = BufReader::new(flate2::read::GzDecoder::new(file));
    let named = format!("\"market\":\"{MARKET}\"");
    reader
        .lines()
        .map(move |line| line.unwrap().replacen("\"market\":\"\"", &named, 1))
}

/// The folder of recorded streams.
fn recordings(test: &str) -> Option<PathBuf> {
    let prices = real_prices(test)?;
    Some(prices.parent()?.join("books/ws"))
}

/// Six markets of a hockey game. The recording has no whole books: each begins empty, and one that
/// breaks is answered with what is known of it, cut to the best prices that were told.
#[test]
fn a_hockey_game_of_a_hundred_thousand_messages() {
    let Some(folder) = recordings("a_hockey_game_of_a_hundred_thousand_messages") else {
        return;
    };
    let mut replay = Replay::following(&[]);
    let mut told: BTreeMap<TokenId, (Best, Best)> = BTreeMap::new();
    let mut messages = 0;
    for text in lines(&folder.join("nhl_car_vgk_20260607_0130.jsonl.gz")) {
        messages += 1;
        let message = read(&text);
        let changes = match &message {
            MarketMessage::PriceChange { changes, .. } => changes.clone(),
            _ => Vec::new(),
        };
        for token in changes.iter().map(|change| &change.token) {
            if !told.contains_key(token) {
                let unseen = Timestamp::default();
                replay.books.follow(std::slice::from_ref(token), unseen);
                replay.play(&whole(token, 1_000, &[], &[]));
                replay.counts.shown -= 1;
                told.insert(token.clone(), (Best::Nobody, Best::Nobody));
            }
        }
        for token in replay.play_read(message) {
            let book = replay.books.get(&token).unwrap();
            let (bids, asks) = book.ladders();
            let (bid, ask) = told[&token];
            let cut = |levels: &[Level], best: Best, better: fn(Price, Price) -> bool| {
                let mut kept = levels.to_vec();
                if let Some(best) = best.price() {
                    kept.retain(|level| !better(level.price, best));
                    if !kept.iter().any(|level| level.price == best) {
                        kept.push(Level {
                            price: best,
                            size: Shares::whole(1),
                        });
                    }
                } else {
                    kept.clear();
                }
                kept
            };
            let bids = cut(bids.levels(), bid, |price, best| price > best);
            let asks = cut(asks.levels(), ask, |price, best| price < best);
            let at = book.changed_at().unwrap().millis();
            replay.play(&whole(&token, at, &bids, &asks));
        }
        for change in changes {
            told.insert(change.token, (change.best_bid, change.best_ask));
        }
    }
    assert_eq!(messages, 103_666);
    let expected = Counts {
        shown: 205_945,
        unsettled: 420,
        broken: 20,
        late: 0,
        waiting: 0,
    };
    assert_eq!(replay.counts(), expected);
    let ends: BTreeMap<String, End> = told
        .keys()
        .map(|token| (token.as_str().chars().take(6).collect(), replay.end(token)))
        .collect();
    let expected = [
        ("211235", ("0.22", 11, "1379.24"), ("0.31", 19, "242773.67")),
        (
            "240699",
            ("0.36", 23, "123696.51"),
            ("0.37", 26, "297103.16"),
        ),
        ("459567", ("0.48", 10, "50558.11"), ("0.5", 8, "35754.95")),
        ("563769", ("0.5", 8, "35754.95"), ("0.52", 10, "50558.11")),
        ("579534", ("0.6", 21, "233390.57"), ("0.67", 14, "40052.01")),
        ("661118", ("0.02", 6, "1904.26"), ("0.159", 25, "362862.96")),
        ("664360", ("0.69", 19, "242773.67"), ("0.78", 11, "1379.24")),
        (
            "720341",
            ("0.84", 41, "657944.29"),
            ("0.85", 13, "54540.57"),
        ),
        (
            "728652",
            ("0.63", 26, "297103.16"),
            ("0.64", 23, "123696.51"),
        ),
        (
            "924145",
            ("0.15", 13, "54540.57"),
            ("0.16", 41, "658144.29"),
        ),
        ("940185", ("0.841", 25, "362862.96"), ("0.98", 6, "1904.26")),
        ("960686", ("0.33", 14, "40052.01"), ("0.4", 21, "233390.57")),
    ];
    assert_eq!(ends.len(), expected.len());
    for (token, bids, asks) in expected {
        assert_eq!(ends[token], end(bids, asks), "{token}");
    }
}

fn whole(token: &TokenId, millis: i64, bids: &[Level], asks: &[Level]) -> Value {
    let side = |levels: &[Level]| -> Vec<Value> {
        levels
            .iter()
            .map(|l| json!({"price": l.price.to_string(), "size": l.size.to_string()}))
            .collect()
    };
    // Below a hundred thousand million the venue's numbers are seconds.
    let timestamp = if millis > 100_000_000_000 {
        millis
    } else {
        millis / 1_000
    };
    json!({"event_type": "book", "market": MARKET, "asset_id": token.as_str(),
        "timestamp": timestamp.to_string(), "bids": side(bids), "asks": side(asks)})
}

/// Fourteen baseball games of June 2025, with whole books. The venue told no best prices then, so
/// that only crossed books are at odds.
#[test]
fn fourteen_baseball_games() {
    let Some(folder) = recordings("fourteen_baseball_games") else {
        return;
    };
    // Shown, unsettled, late, broken, waiting; then the first token's best bid and ask.
    type Row = (&'static str, [u64; 5], &'static str, [&'static str; 2]);
    let games: [Row; 14] = [
        (
            "bos-laa-2025-06-24",
            [9_825, 0, 0, 0, 0],
            "119098",
            ["0.7", "0.74"],
        ),
        (
            "chc-stl-2025-06-24",
            [278, 0, 0, 0, 0],
            "161583",
            ["0.999", ""],
        ),
        (
            "cle-sf-2025-06-17",
            [3_656, 0, 0, 0, 0],
            "107032",
            ["0.61", "0.62"],
        ),
        (
            "cle-sf-2025-06-19",
            [2_414, 0, 0, 0, 0],
            "285210",
            ["0.61", "0.65"],
        ),
        (
            "hou-bal-2025-06-19",
            [4_766, 2, 0, 0, 0],
            "589934",
            ["0.64", "0.65"],
        ),
        (
            "kc-tex-2025-06-19",
            [2_656, 0, 0, 0, 0],
            "419067",
            ["0.76", "0.78"],
        ),
        (
            "laa-nyy-2025-06-19",
            [3_786, 0, 0, 0, 0],
            "699147",
            ["0.999", ""],
        ),
        (
            "lad-col-2025-06-24",
            [446, 0, 0, 0, 0],
            "107730",
            ["0.02", "0.056"],
        ),
        (
            "min-cin-2025-06-19",
            [514, 0, 0, 0, 0],
            "101673",
            ["", "0.001"],
        ),
        (
            "pit-det-2025-06-19",
            [600, 0, 2, 0, 0],
            "151907",
            ["0.002", "0.005"],
        ),
        (
            "pit-mil-2025-06-24",
            [158, 0, 0, 0, 0],
            "452488",
            ["0.999", ""],
        ),
        (
            "tb-kc-2025-06-25",
            [6_534, 2, 0, 2, 52],
            "114207",
            ["0.81", "0.84"],
        ),
        (
            "tor-cle-2025-06-24",
            [992, 2, 0, 2, 4],
            "113762",
            ["0.999", ""],
        ),
        (
            "wsh-sd-2025-06-24",
            [6_850, 0, 0, 0, 0],
            "727451",
            ["0.36", "0.39"],
        ),
    ];
    for (game, counts, prefix, [bid, ask]) in games {
        let messages: Vec<(String, String)> =
            lines(&folder.join(format!("mlb/mlb-{game}.jsonl.gz")))
                .map(|line| {
                    let (_, rest) = line.split_once("\"asset_id\":\"").unwrap();
                    let token = rest.split_once('"').unwrap().0.to_owned();
                    if !line.contains("\"changes\":") {
                        return (token, line);
                    }
                    // The form of today: the token stands with each change.
                    let named = format!("{{\"asset_id\":\"{token}\",\"price\":");
                    let line = line.replace("\"changes\":", "\"price_changes\":");
                    (token, line.replace("{\"price\":", &named))
                })
                .collect();
        let ids: std::collections::BTreeSet<&str> =
            messages.iter().map(|(token, _)| token.as_str()).collect();
        let mut replay = Replay::following(&ids.iter().copied().collect::<Vec<_>>());
        for (_, text) in &messages {
            replay.play_text(text);
        }
        let [shown, unsettled, late, broken, waiting] = counts;
        let expected = Counts {
            shown,
            unsettled,
            late,
            broken,
            waiting,
        };
        assert_eq!(replay.counts(), expected, "{game}");
        let first = ids.iter().find(|id| id.starts_with(prefix)).unwrap();
        let [bids, asks] = replay.end(&TokenId::new(*first));
        let text = |best: Option<String>| best.unwrap_or_default();
        assert_eq!([text(bids.0), text(asks.0)], [bid, ask], "{game}");
    }
}

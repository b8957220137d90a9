//! Recordings read whole: hand-made ones, and the real ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::event::{
    ASK, BID, BookEvent, CONNECTED, HEARD, MESSAGE, PRINT, SHOWN, STEP, TOUCH, TURN, WHOLE,
};
use super::*;
use crate::market_data::recorded::capture::{Body, CaptureWriter, Line};
use crate::market_data::recorded::tests::real_prices;

/// 2026-01-01T00:00:00Z.
pub(crate) const START: i64 = 1_767_225_600_000;

pub(crate) fn read(lines: &str) -> BookRecording {
    BookRecording::from_lines(lines.as_bytes(), "t.jsonl", BookOptions::default()).unwrap()
}

pub(crate) fn book(token: &str, at: i64, bids: &str, asks: &str) -> String {
    let side = |text: &str| -> String {
        let levels = text.split_whitespace().map(|level| {
            let (price, size) = level.split_once('x').unwrap();
            format!(r#"{{"price":"{price}","size":"{size}"}}"#)
        });
        levels.collect::<Vec<_>>().join(",")
    };
    format!(
        "{{\"event_type\":\"book\",\"market\":\"\",\"asset_id\":\"{token}\",\"timestamp\":\"{}\",\
         \"bids\":[{}],\"asks\":[{}]}}\n",
        START + at,
        side(bids),
        side(asks)
    )
}

/// The market of tokens 7 and 8 has ended, and 7 has won.
pub(crate) fn resolved(at: i64) -> String {
    format!(
        "{{\"event_type\":\"market_resolved\",\"market\":\"\",\"timestamp\":\"{}\",\"assets_ids\":[\"7\",\"8\"],\
         \"winning_asset_id\":\"7\",\"winning_outcome\":\"Yes\"}}\n",
        START + at
    )
}

/// `side price size bid ask`, `-` for a best price that is not told.
pub(crate) fn change(token: &str, at: i64, text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let told = |name: &str, word: &str| match word {
        "-" => String::new(),
        price => format!(",\"{name}\":\"{price}\""),
    };
    format!(
        "{{\"event_type\":\"price_change\",\"market\":\"\",\"timestamp\":\"{}\",\"price_changes\":\
         [{{\"asset_id\":\"{token}\",\"side\":\"{}\",\"price\":\"{}\",\"size\":\"{}\"{}{}}}]}}\n",
        START + at,
        words[0],
        words[1],
        words[2],
        told("best_bid", words[3]),
        told("best_ask", words[4])
    )
}

/// `time kind token price size flags`, in words.
fn words(recording: &BookRecording) -> Vec<String> {
    let name = |event: &BookEvent| match event.kind() {
        BID => "bid",
        ASK => "ask",
        TOUCH => "touch",
        WHOLE => "whole",
        PRINT => "print",
        HEARD => "heard",
        TURN => "turn",
        CONNECTED => "connected",
        _ => "?",
    };
    recording
        .events()
        .iter()
        .map(|event| {
            let mut text = format!("{} {}", event.at - START, name(event));
            if event.kind() <= ASK {
                let token = &recording.tokens()[event.token()];
                let micros = event.slot * token.step;
                let micros = if event.kind() == ASK {
                    1_000_000 - micros
                } else {
                    micros
                };
                text += &format!(
                    " {}x{}",
                    Price::from_micros(micros).unwrap(),
                    Shares::from_micros(event.size).unwrap()
                );
            }
            for (flag, letter) in [(STEP, " |"), (SHOWN, "+"), (MESSAGE, ".")] {
                if event.meta & flag != 0 {
                    text += letter;
                }
            }
            text
        })
        .collect()
}

/// The books at the end, best first, of tokens that are shown.
fn ends(recording: &BookRecording) -> BTreeMap<String, [Vec<(u32, i64)>; 2]> {
    let mut books: BTreeMap<usize, ([BTreeMap<u32, i64>; 2], bool)> = BTreeMap::new();
    for event in recording.events() {
        let (sides, shown) = books.entry(event.token()).or_default();
        if event.kind() <= ASK {
            let step = recording.tokens()[event.token()].step;
            let side = &mut sides[event.kind() as usize];
            if event.size == 0 {
                side.remove(&(event.slot * step));
            } else {
                side.insert(event.slot * step, event.size);
            }
        }
        if event.meta & STEP != 0 {
            *shown = event.meta & SHOWN != 0;
        }
    }
    books
        .into_iter()
        .filter(|(_, (_, shown))| *shown)
        .map(|(number, (sides, _))| {
            let id = recording.tokens()[number].id.to_string();
            (id, sides.map(|side| side.into_iter().rev().collect()))
        })
        .collect()
}

#[test]
fn a_whole_book_and_its_changes_are_steps_and_a_second_one_is_the_difference() {
    let lines = [
        book("7", 0, "0.40x5", "0.60x7 0.50x6"),
        change("7", 10, "BUY 0.41 9 0.41 0.5"),
        book("7", 20, "0.41x9 0.40x5", "0.50x4"),
        book("7", 30, "0.41x9 0.40x5", "0.50x4"),
    ];
    let recording = read(&lines.concat());
    assert_eq!(
        words(&recording),
        [
            "0 connected",
            "0 whole",
            "0 bid 0.4x5",
            "0 ask 0.6x7",
            "0 ask 0.5x6 |+.",
            "10 bid 0.41x9 |+.",
            "20 whole",
            "20 ask 0.6x0",
            "20 ask 0.5x4 |+.",
            "30 whole |+.",
        ]
    );
    // Prices 0.4, 0.41, 0.5, 0.6: their greatest common divisor is 0.01.
    let token = &recording.tokens()[0];
    assert_eq!((token.step, token.rebuilt), (10_000, false));
    assert_eq!(recording.warning(), None);
    let market = &recording.markets()[0].market;
    assert_eq!(market.id.as_str(), "book-7");
    assert!(market.outcomes[1].synthetic && !market.outcomes[0].synthetic);
    assert!(
        recording
            .notes()
            .iter()
            .any(|note| note.contains("made up"))
    );
}

#[test]
fn what_cannot_be_believed_is_hidden() {
    let lines = [
        // No best prices are told yet: nothing is shown, and it is not known to have a book.
        change("7", 0, "BUY 0.4 5 - -"),
        book("7", 10, "0.40x5", "0.50x6"),
        // Crossed, as the first half of a burst.
        change("7", 20, "BUY 0.50 4 0.5 0.6"),
        change("7", 20, "SELL 0.50 0 0.5 0.6"),
        change("7", 20, "SELL 0.60 8 0.5 0.6"),
        // Told an ask that is not there, and goes on doing so: broken until a whole book.
        change("7", 30, "BUY 0.51 4 0.51 0.55"),
        change("7", 40, "BUY 0.49 4 0.51 0.55"),
        change("7", 50, "BUY 0.48 4 0.51 0.55"),
        // A line that nobody can read, and then a whole book.
        "garbage\n".to_owned(),
        book("7", 60, "0.51x4", "0.55x1"),
    ];
    let recording = read(&lines.concat());
    assert_eq!(
        words(&recording),
        [
            "0 connected",
            "0 bid 0.4x5 |.",
            "10 whole",
            "10 ask 0.5x6 |+.",
            "20 bid 0.5x4 |.",
            "20 ask 0.5x0 |.",
            "20 ask 0.6x8 |+.",
            "30 bid 0.51x4 |.",
            // It was hidden already, so that nothing has to be said; the connection was heard.
            "40 heard",
            "50 heard",
            "60 whole",
            "60 bid 0.4x0",
            "60 bid 0.5x0",
            "60 ask 0.6x0",
            "60 ask 0.55x1 |+.",
        ]
    );
    let skips = &recording.report().skips;
    assert_eq!(skips.get("not JSON").unwrap().first, "t.jsonl:9: garbage");
    assert_eq!(skips.total(), 3);
}

#[test]
fn a_recording_without_whole_books_says_that_its_books_are_rebuilt() {
    let lines = [
        change("7", 0, "BUY 0.31 198 0.35 0.39"),
        change("7", 1, "SELL 0.41 5 0.35 0.39"),
        change("7", 2, "BUY 0.355 7 0.355 0.39"),
    ];
    let recording = read(&lines.concat());
    assert_eq!(
        words(&recording),
        [
            "0 connected",
            "0 bid 0.31x198 |.",
            "1 bid 0.35x1000",
            "1 ask 0.39x1000",
            "1 ask 0.41x5 |+.",
            // 0.355 is no multiple of a cent: the step is 0.005 now.
            "2 bid 0.355x7 |+",
            "2 turn.",
        ]
    );
    assert!(recording.tokens()[0].rebuilt);
    assert!(recording.warning().unwrap().contains("1 of 1 tokens"));
    let turn = recording.turns()[0];
    assert_eq!(
        (turn.market, turn.tick.micros(), turn.told),
        (Some(0), 5_000, false)
    );
    // A whole book is a whole book.
    let more = [lines.concat(), book("7", 3, "0.3x1", "0.4x1")].concat();
    let last = words(&read(&more));
    assert_eq!(last[7], "3 whole");
    // Worst first: 0.41 goes, 0.4 comes, 0.39 goes.
    assert_eq!(last[last.len() - 2..], ["3 ask 0.4x1", "3 ask 0.39x0 |+."]);
}

#[test]
fn tokens_are_put_together_by_message_text_and_mirror() {
    let pair = r#"{"event_type":"price_change","market":"","timestamp":"1767225600000","price_changes":[
        {"asset_id":"1","side":"BUY","price":"0.4","size":"5","best_bid":"0.4","best_ask":"0.5"},
        {"asset_id":"2","side":"SELL","price":"0.6","size":"5","best_bid":"0.5","best_ask":"0.6"}]}"#
        .replace('\n', "");
    let tokens = |text: &str| {
        let recording = read(text);
        let markets = recording.markets().iter();
        markets
            .map(|one| {
                let outcomes = one.market.outcomes.iter();
                let tokens: Vec<String> = outcomes
                    .map(|o| format!("{}={}", o.name, o.token))
                    .collect();
                format!("{}: {}", one.market.id, tokens.join(" "))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(tokens(&pair), ["book-1: first=1 second=2"]);
    let text = [
        book("btc-1h-5:down", 0, "0.4x1", "0.5x1"),
        book("btc-1h-5:up", 0, "0.5x1", "0.6x1"),
        book("eth-1h-5:up", 0, "0.5x1", "0.6x1"),
    ];
    assert_eq!(
        tokens(&text.concat()),
        [
            "btc-1h-5: down=btc-1h-5:down up=btc-1h-5:up",
            "eth-1h-5: up=eth-1h-5:up second=synthetic:second:eth-1h-5:up",
        ]
    );
    // Three of four levels of the first stand in the second, turned round: two of two asks, one of two bids.
    let mirrored = [
        book("8", 0, "0.40x5 0.3x1", "0.60x7 0.50x6"),
        book("9", 0, "0.40x7 0.50x6", "0.60x5 0.8x1"),
    ];
    assert_eq!(tokens(&mirrored.concat()), ["book-8: first=8 second=9"]);
    let strangers = [
        book("8", 0, "0.40x5 0.3x1", "0.60x7 0.50x6"),
        book("9", 0, "0.40x8 0.50x6", "0.60x6 0.8x1"),
    ];
    assert_eq!(tokens(&strangers.concat()).len(), 2);
}

#[test]
fn files_beside_name_markets_and_say_how_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let lines = [
        book("11", 0, "0.4x5", "0.5x5"),
        book("12", 0, "0.5x5", "0.6x5"),
    ];
    put("a.jsonl", &lines.concat());
    put(
        "markets.json",
        r#"[{"id": 9, "question": "Rain?", "outcomes": ["No", "Yes"], "clob_token_ids": ["12", "11"],
             "tick_size": "0.001", "slug": "rain"}]"#,
    );
    put(
        "resolutions.csv",
        "market_id,resolved_at,outcome\nrain,2026-01-01T00:00:05Z,yes\n",
    );
    let load = |until| {
        let options = BookOptions {
            until,
            ..BookOptions::default()
        };
        BookRecording::load_unless(dir.path(), options, &|| false).unwrap()
    };
    let recording = load(None);
    let market = &recording.markets()[0].market;
    assert_eq!(
        (market.id.as_str(), market.question.as_str()),
        ("9", "Rain?")
    );
    assert_eq!(market.outcome_named("yes").unwrap().1.token.as_str(), "11");
    assert_eq!(market.tick.micros(), 1_000);
    let (at, index, resolution) = &recording.resolutions()[0];
    assert_eq!((at.millis(), *index), (START + 5_000, 0));
    assert_eq!(resolution.payout_of(&"11".into()), Some(Price::ONE));
    assert!(
        load(Some(Timestamp::from_millis(START + 4_999)))
            .resolutions()
            .is_empty()
    );
    let stopped = BookRecording::load_unless(dir.path(), BookOptions::default(), &|| true);
    assert_eq!(stopped.unwrap_err().code(), "cancelled");
    put("b.csv", "timestamp,market_id,yes_price\n");
    let mixed = BookRecording::load_unless(dir.path(), BookOptions::default(), &|| false);
    assert!(mixed.unwrap_err().to_string().contains("another kind"));
}

#[test]
fn without_a_message_about_a_book_there_is_an_error_that_says_what_was_found() {
    let none = BookRecording::from_lines(&b"{}\n\n{}\n"[..], "t.jsonl", BookOptions::default());
    let error = none.unwrap_err().to_string();
    assert!(
        error.contains("2 times neither a message") && error.contains("t.jsonl:1"),
        "{error}"
    );
}

#[test]
fn later_lines_change_nothing_before_them() {
    let first = [
        book("7", 0, "0.40x5", "0.60x7 0.50x6"),
        change("7", 10, "BUY 0.41 9 0.41 0.5"),
        change("7", 20, "BUY 0.42 9 0.42 0.5"),
    ]
    .concat();
    let later = [
        change("7", 30, "BUY 0.4321 9 0.4321 0.5"),
        book("7", 40, "", "0.001x4"),
        "nonsense\n".to_owned(),
    ]
    .concat();
    let text = |recording: &BookRecording| {
        words(recording)
            .into_iter()
            .take_while(|line| !line.starts_with('3'))
            .collect::<Vec<_>>()
    };
    let (short, long) = (read(&first), read(&[first.clone(), later.clone()].concat()));
    assert_eq!(text(&short), text(&long));
    // The same as being told to read no further.
    let until = Some(Timestamp::from_millis(START + 25));
    let options = BookOptions {
        until,
        ..BookOptions::default()
    };
    let whole = [first, later].concat();
    let cut = BookRecording::from_lines(whole.as_bytes(), "t.jsonl", options).unwrap();
    assert_eq!(words(&cut), words(&short));
}

fn capture(dir: &Path, lines: &[(i64, Body)]) {
    let (mut writer, _) = CaptureWriter::open(dir, "test", BTreeMap::new(), at(0)).unwrap();
    for (moment, body) in lines {
        let line = Line {
            at: at(*moment),
            body: body.clone(),
        };
        writer.write(&line).unwrap();
    }
    writer.finish(at(100_000), "the test is over").unwrap();
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

#[test]
fn a_gap_hides_its_tokens_from_the_last_moment_at_which_nothing_was_missing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("capture");
    let condition = "0x0005c0d312de0be897668695bae9f32b624b4a1ae8b140c49f08447fcc74f442";
    let frame = |connection, text: String| Body::Frame {
        connection,
        text: text
            .trim()
            .replacen("\"market\":\"\"", &format!("\"market\":\"{condition}\""), 1),
    };
    let tokens: Vec<TokenId> = vec!["7".into(), "8".into()];
    let connected = |connection| Body::Connected {
        connection,
        tokens: tokens.clone(),
    };
    let entry = serde_json::json!({"id": "501", "question": "Rain?", "outcomes": ["Yes", "No"],
        "clob_token_ids": ["7", "8"], "tick_size": "0.01", "condition_id": condition});
    capture(
        &folder,
        &[
            (0, Body::Market(entry)),
            (1, connected(0)),
            // Changes before the whole book are no book, and nothing is rebuilt.
            (5, frame(0, change("7", 4, "BUY 0.3 1 0.4 0.5"))),
            (10, frame(0, book("7", 8, "0.4x5", "0.5x5"))),
            (20, frame(0, change("7", 19, "BUY 0.41 1 0.41 0.5"))),
            (25, frame(0, book("8", 24, "0.5x5", "0.6x5"))),
            (
                500,
                Body::Gap {
                    since: at(22),
                    reason: "lost".into(),
                    tokens: tokens.clone(),
                },
            ),
            (510, connected(1)),
            (520, frame(1, change("7", 519, "BUY 0.42 1 0.42 0.5"))),
        ],
    );
    let load = |until: Option<i64>| {
        let until = until.map(at);
        let options = BookOptions {
            until,
            ..BookOptions::default()
        };
        BookRecording::load_unless(&folder, options, &|| false).unwrap()
    };
    let recording = load(None);
    assert_eq!(
        words(&recording),
        [
            "1 connected",
            "1 connected",
            "5 heard",
            "10 whole",
            "10 bid 0.4x5",
            "10 ask 0.5x5 |+.",
            "20 bid 0.41x1 |+.",
            // Noticed at 500 only, and known to be wrong from 22 on.
            "22 touch |.",
            "22 touch |.",
            "25 whole",
            "25 bid 0.5x5",
            "25 ask 0.6x5 |+.",
            "500 touch |.",
            "500 touch |.",
            "510 connected",
            "510 connected",
            "520 heard",
        ]
    );
    assert_eq!(recording.markets()[0].market.question, "Rain?");
    assert_eq!(recording.report().gaps, 1);
    assert_eq!(recording.warning(), None);
    // Cut off inside the gap: it is known all the same.
    let cut = words(&load(Some(30)));
    assert_eq!(cut, words(&recording)[..12]);
}

/// Folder of the recorded books.
pub(crate) fn real(test: &str) -> Option<PathBuf> {
    Some(real_prices(test)?.parent()?.join("books"))
}

fn best(side: &[(u32, i64)], ask: bool) -> String {
    side.first().map_or(String::new(), |(micros, _)| {
        let micros = if ask { 1_000_000 - micros } else { *micros };
        Price::from_micros(micros).unwrap().to_string()
    })
}

/// The ends of `stream::replays`, which were computed by a second implementation in Python.
#[test]
fn real_recordings_end_where_the_stream_ends() {
    let Some(folder) = real("real_recordings_end_where_the_stream_ends") else {
        return;
    };
    // There a level of unknown size had one share.
    let options = BookOptions {
        depth: Shares::whole(1),
        until: None,
    };
    let load =
        |name: &str| BookRecording::load_unless(&folder.join(name), options, &|| false).unwrap();
    let hockey = load("ws/nhl_car_vgk_20260607_0130.jsonl.gz");
    assert_eq!((hockey.markets().len(), hockey.tokens().len()), (6, 12));
    assert_eq!(hockey.report().rebuilt, 12);
    assert_eq!(hockey.report().messages, 103_666);
    let found = ends(&hockey);
    let sum = |side: &[(u32, i64)]| {
        Shares::from_micros(side.iter().map(|(_, size)| size).sum())
            .unwrap()
            .to_string()
    };
    for (prefix, bids, asks) in [
        ("211235", ("0.22", 11, "1379.24"), ("0.31", 19, "242773.67")),
        ("459567", ("0.48", 10, "50558.11"), ("0.5", 8, "35754.95")),
        ("661118", ("0.02", 6, "1904.26"), ("0.159", 25, "362862.96")),
        ("940185", ("0.841", 25, "362862.96"), ("0.98", 6, "1904.26")),
    ] {
        let (_, [b, a]) = found.iter().find(|(id, _)| id.starts_with(prefix)).unwrap();
        let bid = (best(b, false), b.len(), sum(b));
        let ask = (best(a, true), a.len(), sum(a));
        assert_eq!(
            bid,
            (bids.0.to_owned(), bids.1, bids.2.to_owned()),
            "{prefix}"
        );
        assert_eq!(
            ask,
            (asks.0.to_owned(), asks.1, asks.2.to_owned()),
            "{prefix}"
        );
    }
    for (game, prefix, bid, ask) in [
        ("bos-laa-2025-06-24", "119098", "0.7", "0.74"),
        ("chc-stl-2025-06-24", "161583", "0.999", ""),
        ("hou-bal-2025-06-19", "589934", "0.64", "0.65"),
        ("min-cin-2025-06-19", "101673", "", "0.001"),
        ("tb-kc-2025-06-25", "114207", "0.81", "0.84"),
        ("wsh-sd-2025-06-24", "727451", "0.36", "0.39"),
    ] {
        let recording = load(&format!("ws/mlb/mlb-{game}.jsonl.gz"));
        assert_eq!(recording.report().mirrored, 1, "{game}");
        assert_eq!(recording.warning(), None, "{game}");
        let found = ends(&recording);
        let (_, [b, a]) = found.iter().find(|(id, _)| id.starts_with(prefix)).unwrap();
        assert_eq!(
            (best(b, false), best(a, true)),
            (bid.to_owned(), ask.to_owned()),
            "{game}"
        );
    }
    let crypto = load("l2");
    assert_eq!((crypto.markets().len(), crypto.tokens().len()), (2, 4));
    let rest = load("rest");
    assert_eq!(rest.report().skips.total(), 0);
    assert_eq!(rest.report().never, 0);
    // No whole book and no best prices: nothing is made up.
    let old = load("ws/price_change_20250125.jsonl.gz");
    assert_eq!((old.report().never, old.report().rebuilt), (1, 0));
}

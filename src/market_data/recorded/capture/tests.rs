//! What is written is read again, whatever happens in between.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::repair::hash_of;
use super::*;
use crate::domain::{Timestamp, TokenId};
use crate::market_data::polymarket::ws_messages::MarketMessage;

const BOOK: &str = r#"[{"event_type":"book","asset_id":"71","market":"0x01","timestamp":"1000","bids":[{"price":"0.40","size":"10"}],"asks":[]}]"#;
const TRADE: &str = r#"{"event_type":"last_trade_price","asset_id":"71","price":"0.41","size":"5","side":"BUY","timestamp":"1500"}"#;

fn ms(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn open(dir: &Path, at: i64) -> (CaptureWriter, Vec<Repaired>) {
    let sources = BTreeMap::from([("ws_url".to_owned(), "ws://127.0.0.1:9".to_owned())]);
    CaptureWriter::open(dir, "test 1", sources, ms(at)).unwrap()
}

fn line(at: i64, body: Body) -> Line {
    Line { at: ms(at), body }
}

fn market() -> Body {
    Body::Market(json!({"id": "7", "slug": "rain", "condition_id": "0x01",
        "question": "Rain?", "outcomes": ["Yes", "No"], "clob_token_ids": ["71", "72"]}))
}

fn tokens(ids: &[&str]) -> Vec<TokenId> {
    ids.iter().map(|id| TokenId::new(*id)).collect()
}

fn connected(ids: &[&str]) -> Body {
    Body::Connected {
        connection: 0,
        tokens: tokens(ids),
    }
}

fn frame(text: &str) -> Body {
    Body::Frame {
        connection: 0,
        text: text.to_owned(),
    }
}

fn lost(since: i64, ids: &[&str]) -> Body {
    Body::Gap {
        since: ms(since),
        reason: "cut".to_owned(),
        tokens: tokens(ids),
    }
}

fn read(dir: &Path) -> Vec<Line> {
    let capture = Capture::open(dir).unwrap();
    capture.lines().map(Result::unwrap).collect()
}

#[test]
fn what_was_written_is_read_and_summed_up() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, repaired) = open(dir.path(), 1_000);
    assert_eq!(repaired, []);
    let first = [
        line(1_001, market()),
        line(1_010, connected(&["71", "72"])),
        line(1_020, frame(BOOK)),
        line(1_030, frame(TRADE)),
    ];
    let second = [
        line(5_000, lost(4_000, &["71", "72"])),
        line(6_000, connected(&["71"])),
        line(6_010, frame(BOOK)),
        line(6_020, frame("not JSON")),
        line(7_000, connected(&["72"])),
    ];
    for line in &first {
        writer.write(line).unwrap();
    }
    writer.rotate(ms(2_000)).unwrap();
    for line in &second {
        writer.write(line).unwrap();
        writer.flush().unwrap();
    }
    let manifest = writer.finish(ms(8_000), "stopped").unwrap();
    let head = |number, at| {
        let program = "test 1".to_owned();
        let session = 1;
        let format = 1;
        let file = Body::File {
            format,
            number,
            session,
            program,
        };
        line(at, file)
    };
    let end = line(
        8_000,
        Body::End {
            reason: "stopped".to_owned(),
        },
    );
    let expected: Vec<Line> = [head(1, 1_000)]
        .into_iter()
        .chain(first)
        .chain([head(2, 2_000)])
        .chain(second)
        .chain([end])
        .collect();
    let found = read(dir.path());
    assert_eq!(found, expected);
    let trades = found.iter().flat_map(|line| line.body.messages());
    let trades =
        trades.filter(|message| matches!(message, Ok(MarketMessage::LastTradePrice { .. })));
    assert_eq!(trades.count(), 1);

    let capture = Capture::open(dir.path()).unwrap();
    assert_eq!(*capture.manifest(), manifest);
    assert_eq!((manifest.start, manifest.end), (ms(1_000), ms(8_000)));
    assert!(manifest.clean);
    assert_eq!(manifest.ended_by.as_deref(), Some("stopped"));
    assert_eq!(manifest.frames, 4);
    let counts: Vec<(&str, u64)> = manifest
        .messages
        .iter()
        .map(|(kind, count)| (kind.as_str(), *count))
        .collect();
    assert_eq!(
        counts,
        [("book", 2), ("last_trade_price", 1), ("unreadable", 1)]
    );
    assert_eq!((manifest.connections, manifest.reconnects), (3, 2));
    let since: Vec<_> = manifest.markets[0]
        .tokens
        .iter()
        .map(|token| (token.outcome.as_str(), token.since))
        .collect();
    assert_eq!(since, [("Yes", Some(ms(1_010))), ("No", Some(ms(1_010)))]);
    let gap = |id: &str, end| Gap {
        start: ms(4_000),
        end: Some(ms(end)),
        reason: "cut".to_owned(),
        tokens: tokens(&[id]),
    };
    assert_eq!(manifest.gaps, [gap("71", 6_000), gap("72", 7_000)]);
    let lines: Vec<u64> = manifest.files.iter().map(|file| file.lines).collect();
    assert_eq!(lines, [5, 7]);
    assert_eq!(manifest.files[1].first, ms(2_000));
    assert_eq!(manifest.files[1].last, ms(8_000));
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    assert_eq!(capture.verify(), Ok(bytes));
}

#[test]
fn a_killed_recorder_leaves_what_was_flushed_and_the_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), 1_000);
    writer.write(&line(1_001, market())).unwrap();
    writer
        .write(&line(1_010, connected(&["71", "72"])))
        .unwrap();
    writer.write(&line(1_020, frame(BOOK))).unwrap();
    writer.flush().unwrap();
    writer.write(&line(1_030, frame(TRADE))).unwrap();
    // Dropped without an end, which is what a kill looks like from outside.
    drop(writer);
    let path = dir.path().join(name_of(1));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [whole.as_slice(), &whole[..20]].concat()).unwrap();

    let capture = Capture::open(dir.path()).unwrap();
    assert!(!capture.manifest().clean);
    let mut lines = capture.lines();
    assert_eq!(lines.by_ref().map(Result::unwrap).count(), 4);
    assert_eq!(
        lines.torn(),
        Some((name_of(1).as_str(), whole.len() as u64))
    );

    let (mut writer, repaired) = open(dir.path(), 9_000);
    let expected = Repaired {
        name: name_of(1),
        lines: 4,
        torn_bytes: 20,
    };
    assert_eq!(repaired, [expected]);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    writer.write(&line(9_500, connected(&["71"]))).unwrap();
    writer.write(&line(9_510, frame(BOOK))).unwrap();
    let manifest = writer.finish(ms(9_600), "stopped").unwrap();
    assert_eq!(manifest.sessions, 2);
    assert_eq!(manifest.messages, BTreeMap::from([("book".to_owned(), 2)]));
    let gap = |end, id: &str| Gap {
        start: ms(1_020),
        end,
        reason: "nothing was recording".to_owned(),
        tokens: tokens(&[id]),
    };
    assert_eq!(manifest.gaps, [gap(Some(ms(9_500)), "71"), gap(None, "72")]);
    assert_eq!(manifest.files[0].sha256, hash_of(&path).unwrap());
    Capture::open(dir.path()).unwrap().verify().unwrap();
    // The gap is in the stream of lines too, before anything of the second run.
    let bodies: Vec<Body> = read(dir.path()).into_iter().map(|line| line.body).collect();
    assert_eq!(
        bodies[5],
        Body::Gap {
            since: ms(1_020),
            reason: "nothing was recording".to_owned(),
            tokens: tokens(&["71", "72"]),
        }
    );
}

#[test]
fn a_kill_before_the_first_flush_and_two_kills_in_a_row_are_repaired() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 1_000));
    drop(open(dir.path(), 2_000));
    std::fs::write(dir.path().join(name_of(3)), b"").unwrap();
    let (writer, repaired) = open(dir.path(), 3_000);
    let lines: Vec<u64> = repaired.iter().map(|file| file.lines).collect();
    assert_eq!(
        lines,
        [1, 0],
        "the head of the second, nothing of the third"
    );
    let manifest = writer.finish(ms(4_000), "stopped").unwrap();
    assert_eq!(manifest.sessions, 3);
    let names: Vec<&str> = manifest
        .files
        .iter()
        .map(|file| file.name.as_str())
        .collect();
    assert_eq!(names, [name_of(1), name_of(2), name_of(3)]);
    assert_eq!(manifest.gaps, [], "no token was ever subscribed");
}

#[test]
fn a_full_disk_is_said_and_what_was_there_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), 1_000);
    writer.write(&line(1_010, frame(BOOK))).unwrap();
    writer.flush().unwrap();
    writer.fill_disk();
    writer.write(&line(1_020, frame(TRADE))).unwrap();
    let error = writer.flush().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("No space left"), "{text}");
    assert!(text.contains("stays readable"), "{text}");
    assert!(error.hint().contains("Make room"));
    let manifest = writer.abandon("disk full").unwrap();
    assert!(!manifest.clean);
    assert_eq!(manifest.ended_by.as_deref(), Some("disk full"));
    assert_eq!(manifest.messages, BTreeMap::from([("book".to_owned(), 1)]));
    assert_eq!(read(dir.path()).len(), 2);
    Capture::open(dir.path()).unwrap().verify().unwrap();
}

#[test]
fn damage_and_changes_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), 1_000);
    for number in 0..50 {
        writer.write(&line(1_000 + number, frame(BOOK))).unwrap();
        writer.flush().unwrap();
    }
    writer.finish(ms(2_000), "stopped").unwrap();
    let path = dir.path().join(name_of(1));
    let whole = std::fs::read(&path).unwrap();
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0x55;
    std::fs::write(&path, &changed).unwrap();
    let capture = Capture::open(dir.path()).unwrap();
    assert!(matches!(
        capture.verify(),
        Err(CaptureError::Mismatch { .. })
    ));
    let read: Vec<_> = capture.lines().collect();
    assert!(read.len() > 10);
    assert!(matches!(
        read.last(),
        Some(Err(CaptureError::Damaged { .. }))
    ));
    std::fs::write(&path, &whole[..middle]).unwrap();
    for failed in [
        Capture::open(dir.path()).map(|_| ()),
        CaptureWriter::open(dir.path(), "x", BTreeMap::new(), ms(1)).map(|_| ()),
    ] {
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("the manifest says"), "{text}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(Capture::open(dir.path()).is_err());
}

#[test]
fn a_line_that_makes_no_sense_is_named_and_the_next_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, _) = open(dir.path(), 1_000);
    drop(writer);
    let more =
        packed::pack(b"{\"at\":1,\"what\":2}\n\xff\n{\"at\":5,\"end\":{\"reason\":\"x\"}}\n");
    let path = dir.path().join(name_of(1));
    let bytes = [std::fs::read(&path).unwrap(), more.unwrap()].concat();
    std::fs::write(&path, bytes).unwrap();
    let read: Vec<_> = Capture::open(dir.path()).unwrap().lines().collect();
    let texts: Vec<String> = read
        .iter()
        .map(|line| match line {
            Ok(line) => line.at.millis().to_string(),
            Err(error) => error.to_string(),
        })
        .collect();
    assert_eq!(texts[0], "1000");
    assert_eq!(
        texts[1],
        "messages-000001.jsonl.zst:2: a line of an unknown kind"
    );
    assert!(texts[2].starts_with("messages-000001.jsonl.zst:3: "));
    assert_eq!(texts[3], "5");
}

#[test]
fn folders_of_others_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = || {
        let opened = CaptureWriter::open(dir.path(), "x", BTreeMap::new(), ms(1));
        opened.map(|_| ()).unwrap_err().to_string()
    };
    std::fs::write(dir.path().join("prices.csv"), "x").unwrap();
    assert!(refused().contains("it holds `prices.csv` but no manifest.json"));
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["prices.csv"], "nothing is left in it");
    std::fs::write(dir.path().join(MANIFEST), "{\"format\": 2}").unwrap();
    assert!(refused().contains("format 2"));
    std::fs::write(dir.path().join(MANIFEST), "{\"name\": \"another\"}").unwrap();
    assert!(refused().contains("not a capture"));
    std::fs::write(dir.path().join(MANIFEST), "[").unwrap();
    assert!(refused().contains("manifest.json"));

    let other = tempfile::tempdir().unwrap();
    let (_writer, _) = open(other.path(), 1);
    let second = CaptureWriter::open(other.path(), "x", BTreeMap::new(), ms(1));
    assert!(matches!(second, Err(CaptureError::Busy { .. })));
}

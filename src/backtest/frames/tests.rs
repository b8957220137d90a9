//! Frames of examples small enough to check by hand, and of the real recordings.

use super::*;
use crate::domain::MarketStatus;
use crate::market_data::recorded::DatasetOptions;
use crate::market_data::recorded::tests::{hour, load, real_prices};

const HEADER: &str = "timestamp,market_id,question,yes_price,volume,token_id\n";

/// Six rows: `a` and `b` at 0 h, `a` at 1 h, `b` at 2 h, both at 5 h.
fn six_rows(resolutions: &str) -> Dataset {
    let rows = "2026-01-01T00:00:00Z,a,A?,0.40,100,ta\n\
                2026-01-01T00:00:00Z,b,B?,0.60,0,tb\n\
                2026-01-01T01:00:00Z,a,A?,0.42,100,ta\n\
                2026-01-01T02:00:00Z,b,B?,0.62,0,tb\n\
                2026-01-01T05:00:00Z,a,A?,0.44,120,ta\n\
                2026-01-01T05:00:00Z,b,B?,0.64,0,tb\n";
    let resolutions = format!("market_id,resolved_at,outcome\n{resolutions}");
    load(&[
        ("p.csv", &format!("{HEADER}{rows}")),
        ("resolutions.csv", &resolutions),
        ("dataset.yaml", "volume_kind: cumulative"),
    ])
    .unwrap()
}

/// `2h: a* b | a=Yes`: moment, markets (candidates starred), resolutions.
fn shown(frame: &Snapshot) -> String {
    let views: Vec<String> = frame
        .markets()
        .iter()
        .map(|view| {
            format!(
                "{}{}",
                view.market.id,
                if view.candidate { "*" } else { "" }
            )
        })
        .collect();
    let ends: Vec<String> = frame
        .resolutions
        .iter()
        .map(|end| format!("{}={}", end.market_id, end.payouts[0].1))
        .collect();
    let hours = frame.at.since(hour(0)) as f64 / 3_600_000.0;
    format!("{hours}h: {} | {}", views.join(" "), ends.join(" "))
}

fn all(dataset: &Dataset, start: Option<Timestamp>, end: Option<Timestamp>) -> Vec<String> {
    let frames = Frames::new(dataset, start, end);
    let total = frames.total();
    let shown: Vec<String> = frames.map(|frame| shown(&frame)).collect();
    assert_eq!(shown.len(), total);
    shown
}

#[test]
fn six_rows_give_four_frames() {
    let dataset = six_rows("");
    let frames: Vec<Snapshot> = Frames::new(&dataset, None, None).collect();
    let told: Vec<String> = frames.iter().map(shown).collect();
    assert_eq!(
        told,
        ["0h: a* b* | ", "1h: a* | ", "2h: b* | ", "5h: a* b* | "]
    );
    let last = &frames[3];
    let view = last.market(&"a".into()).unwrap();
    let history: Vec<(Timestamp, f64)> = view
        .history
        .as_ref()
        .unwrap()
        .points()
        .iter()
        .map(|point| (point.at, point.price))
        .collect();
    assert_eq!(history, [(hour(0), 0.40), (hour(1), 0.42), (hour(5), 0.44)]);
    let book = last.book(&"ta".into()).unwrap();
    assert_eq!(book.at, hour(5));
    assert_eq!(book.best_bid().unwrap().to_string(), "0.43");
    assert_eq!(book.best_ask().unwrap().to_string(), "0.45");
    let other = last.book(&"synthetic:no:ta".into()).unwrap();
    assert_eq!(other.best_ask().unwrap().to_string(), "0.57");
    // In the second frame the window ends there, over the same points.
    let early = frames[1].market(&"a".into()).unwrap().history.as_ref();
    assert_eq!(early.unwrap().points().len(), 2);
}

/// 5,000 rows four minutes apart: two weeks, several to a step of the clock.
fn fortnight() -> Dataset {
    use std::fmt::Write;
    let mut rows = HEADER.to_owned();
    for row in 0..5_000_i64 {
        let seconds = 1_767_225_600 + row * 240;
        writeln!(rows, "{seconds},a,A?,0.{:03},0,ta", 100 + row * 7 % 800).unwrap();
    }
    load(&[("p.csv", &rows)]).unwrap()
}

#[test]
fn a_history_is_a_week_of_the_latest_prices_of_ten_minutes() {
    let dataset = fortnight();
    let frames: Vec<Snapshot> = Frames::new(&dataset, None, None).collect();
    let points = |frame: usize| {
        let view = frames[frame].market(&"a".into()).unwrap();
        view.history.as_ref().unwrap().points()
    };
    // Rows at 0, 4 and 8 minutes are one step; 12 and 16 the next.
    assert_eq!(points(2).len(), 1);
    assert_eq!(points(2)[0].at, hour(0).plus_millis(8 * 60_000));
    assert_eq!(points(4).len(), 2);
    // Row 2,520 is a week after row 0, which is the first of its step's three: the step is told by
    // the row at 8 minutes. 1,008 steps and the one that has just begun.
    assert_eq!(points(2_520).len(), 1_009);
    assert_eq!(points(2_520)[0].at, hour(0).plus_millis(8 * 60_000));
    // Three rows later that row has left the window, and the step at 10 minutes is the first.
    assert_eq!(points(2_523)[0].at, hour(0).plus_millis(16 * 60_000));
}

/// Every snapshot in words: all that a step can see.
fn told(snapshot: &Snapshot) -> String {
    let found = snapshot.markets().iter().map(|view| {
        let by_token = view.market.outcomes.iter();
        let by_token = by_token.map(|outcome| snapshot.book(&outcome.token));
        format!("{view:?} {:?}\n", by_token.collect::<Vec<_>>())
    });
    let found: String = found.collect();
    format!("{} {found} {:?}", snapshot.at, snapshot.resolutions)
}

#[test]
fn a_snapshot_made_of_an_earlier_one_is_what_it_would_be_anyway() {
    for dataset in [
        six_rows(""),
        six_rows("b,2026-01-01T04:30:00Z,No\n"),
        fortnight(),
    ] {
        let fresh = Frames::new(&dataset, None, None).map(|snapshot| told(&snapshot));
        let mut frames = Frames::new(&dataset, None, None);
        let mut count = 0;
        for expected in fresh.take(600) {
            let snapshot = frames.next().unwrap();
            assert_eq!(told(&snapshot), expected);
            frames.give_back(snapshot);
            count += 1;
        }
        assert!(count >= 4);
    }
}

#[test]
fn what_somebody_keeps_of_a_snapshot_that_was_given_back_stays_as_it_was() {
    let dataset = six_rows("");
    let mut frames = Frames::new(&dataset, None, None);
    let first = frames.next().unwrap();
    let kept = first.market(&"a".into()).unwrap().clone();
    let words = format!("{kept:?}");
    frames.give_back(first);
    while let Some(snapshot) = frames.next() {
        frames.give_back(snapshot);
    }
    assert_eq!(format!("{kept:?}"), words);
}

#[test]
fn a_market_that_did_not_change_is_the_same_object() {
    let dataset = six_rows("");
    let mut frames = Frames::new(&dataset, None, None);
    let mut seen = Vec::new();
    while let Some(snapshot) = frames.next() {
        let b = snapshot.market(&"b".into());
        seen.extend(b.map(|view| Arc::clone(&view.market)));
        frames.give_back(snapshot);
    }
    assert!(seen.len() > 1);
    assert!(seen.iter().all(|market| Arc::ptr_eq(market, &seen[0])));
}

#[test]
fn resolutions_come_once_and_remaining_ones_after_the_last_row() {
    let dataset = six_rows(
        "b,2026-01-01T04:30:00Z,No\n\
         a,2026-01-02T00:00:00Z,Yes\n",
    );
    assert_eq!(
        all(&dataset, None, None),
        [
            "0h: a* b* | ",
            "1h: a* | ",
            "2h: b* | ",
            // Resolved half an hour ago: settled, and its row no longer trades.
            "5h: a* | b=0",
            "24h:  | a=1",
        ]
    );
    assert_eq!(
        all(&dataset, None, Some(hour(23))).last().unwrap(),
        "5h: a* | b=0"
    );
    assert_eq!(
        all(&dataset, Some(hour(1)), Some(hour(2))),
        ["1h: a* | ", "2h: b* | "]
    );
    // What was resolved before the start is nobody's business any more.
    assert_eq!(
        all(&dataset, Some(hour(5)), None),
        ["5h: a* | ", "24h:  | a=1"]
    );
    assert_eq!(all(&dataset, Some(hour(6)), None), ["24h:  | a=1"]);
    assert!(all(&dataset, Some(hour(25)), None).is_empty());
}

#[test]
fn a_resolution_at_the_moment_of_a_row_wins() {
    let dataset = six_rows("a,2026-01-01T05:00:00Z,Yes\n");
    assert_eq!(all(&dataset, None, None)[3], "5h: b* | a=1");
}

#[test]
fn a_later_start_keeps_the_past_as_history_only() {
    let dataset = six_rows("");
    let mut frames = Frames::new(&dataset, Some(hour(2)), None);
    let first = frames.next().unwrap();
    assert_eq!(first.at, hour(2));
    let view = first.market(&"b".into()).unwrap();
    assert_eq!(view.history.as_ref().unwrap().points().len(), 2);
    assert_eq!((frames.total(), frames.len()), (2, 1));
}

#[test]
fn the_rest_of_a_neg_risk_event_is_there_with_its_age() {
    let rows = "2026-01-01T00:00:00Z,a,A?,0.40,0,ta\n\
                2026-01-01T00:00:00Z,b,B?,0.58,0,tb\n\
                2026-01-01T01:00:00Z,a,A?,0.42,0,ta\n\
                2026-01-01T02:00:00Z,b,B?,0.30,0,tb\n\
                2026-01-01T03:00:00Z,c,C?,0.30,0,tc\n";
    let metadata = r#"[{"id": "a", "event_key": "e", "neg_risk": true},
                       {"id": "b", "event_key": "e", "neg_risk": true},
                       {"id": "c", "event_key": "e", "neg_risk": true}]"#;
    let dataset = load(&[
        ("p.csv", &format!("{HEADER}{rows}")),
        ("markets.json", metadata),
        (
            "resolutions.csv",
            "market_id,resolved_at,outcome\nb,2026-01-01T02:30:00Z,No\n",
        ),
    ])
    .unwrap();
    let frames: Vec<Snapshot> = Frames::new(&dataset, None, None).collect();
    let told: Vec<String> = frames.iter().map(shown).collect();
    assert_eq!(
        told,
        [
            "0h: a* b* | ",
            "1h: a* b | ",
            "2h: b* a | ",
            "3h: c* a | b=0"
        ]
    );
    assert_eq!(frames[1].book(&"tb".into()).unwrap().at, hour(0));
    let sure = |frame: &Snapshot| frame.markets().iter().all(|view| view.market.neg_risk);
    assert!(frames.iter().all(sure));
}

#[test]
fn real_recordings_are_replayed_as_they_can_be_asked_for() {
    let Some(dir) = real_prices("real_recordings_are_replayed_as_they_can_be_asked_for") else {
        return;
    };
    let dataset = Dataset::load(&dir, DatasetOptions::default()).unwrap();
    let frames = Frames::new(&dataset, None, None);
    let total = frames.total();
    let (mut fresh, mut ended, mut count, mut before) = (0, 0, 0, None);
    for frame in frames {
        assert!(before < Some(frame.at));
        before = Some(frame.at);
        count += 1;
        ended += frame.resolutions.len();
        for view in frame.markets() {
            fresh += usize::from(view.candidate);
            assert_ne!(view.market.status, MarketStatus::Closed);
            let index = dataset.index_of(view.market.id.as_str()).unwrap();
            // Each in a few frames: the same market as the source would have served.
            if count % 40 == 0 {
                let asked = dataset.market(index, frame.at).unwrap();
                assert_eq!(*view.market, asked);
            }
            for book in view.books.iter().flatten() {
                assert!(book.at <= frame.at && !book.is_crossed());
                assert!(view.candidate == (book.at == frame.at));
            }
        }
    }
    assert_eq!(count, total);
    assert_eq!(ended, 530);
    // Counted independently with Python: rows before their market's resolution.
    assert_eq!(fresh, 73_311);
    // Counted likewise: distinct row times, and resolution times after the last row.
    assert_eq!(total, 4_588);
}

/// What becomes of everything that comes after a moment.
#[derive(Clone, Copy)]
enum After {
    Kept,
    Removed,
    /// Each field tells the answer.
    Planted,
}

/// Files of three days of hourly rows: two markets of a neg-risk event, one alone, one that begins
/// later, one with quotes in a file of its own. `a` wins after two and a half days.
fn planted(cut: Timestamp, after: After) -> Dataset {
    use std::fmt::Write;
    let mut prices = HEADER.to_owned();
    let mut quotes =
        "timestamp,market_id,question,yes_price,volume,token_id,no_token_id,best_bid,best_ask\n"
            .to_owned();
    for h in 0..72_i64 {
        let at = hour(h);
        let late = at > cut;
        let (planted, removed) = match after {
            After::Kept => (false, false),
            After::Removed => (false, late),
            After::Planted => (late, false),
        };
        if removed {
            continue;
        }
        for (number, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
            if id == "d" && h < 30 {
                continue;
            }
            let wave = 30 + (h * 7 + number as i64 * 11) % 40;
            let row = if planted {
                // The price is the outcome, on a finer grid; the volume falls; another question and
                // now and then another token.
                let price = if id == "a" { "0.9991" } else { "0.0009" };
                let token = if h % 5 == 0 { "other" } else { id };
                format!("{at},{id},Won by a!,{price},{},t{token}", 1 + h % 3)
            } else {
                format!("{at},{id},Who wins?,0.{wave},{},t{id}", 1_000 + h * 10)
            };
            writeln!(prices, "{row}").unwrap();
        }
        let row = match planted {
            true => format!("{at},q,Quoted!,0.995,1,tq,tq3,0.99,1"),
            false => format!(
                "{at},q,Quoted?,0.45,{},tq,tq2,0.44,0.4{}",
                9 - h % 5,
                6 + h % 4
            ),
        };
        writeln!(quotes, "{row}").unwrap();
    }
    if matches!(after, After::Planted) {
        // A market that nobody had heard of, and rows out of order.
        let new = cut.plus_millis(60_000);
        writeln!(prices, "{new},z,New?,0.5,5,tz").unwrap();
        writeln!(prices, "{new},a,In between,0.0001,5,ta").unwrap();
    }
    let end = |id: &str, at: &str, outcome: &str| {
        let moment = Timestamp::parse(at).unwrap();
        match after {
            _ if moment <= cut => format!("{id},{at},{outcome}\n"),
            After::Kept => format!("{id},{at},{outcome}\n"),
            After::Removed => String::new(),
            After::Planted => format!("{id},{},Yes\n", cut.plus_millis(1)),
        }
    };
    let resolutions = format!(
        "market_id,resolved_at,outcome\n{}{}",
        end("a", "2026-01-03T12:00:00Z", "Yes"),
        end("b", "2026-01-02T06:30:00Z", "No")
    );
    let first = |id: &str, end: &str| {
        format!(
            r#"{{"id": "{id}", "event_key": "e", "neg_risk": {}, "category": "sports",
                 "end_date": "2026-01-04"{end}}}"#,
            id < "c"
        )
    };
    let state = match after {
        After::Planted => {
            r#", "closed": true, "active": false, "volume_final_usd": 99999,
             "outcome_prices": ["1", "0"], "winner": "Yes", "closed_time": "2026-01-03""#
        }
        _ => "",
    };
    let mut entries: Vec<String> = ["a", "b", "c", "d"].map(|id| first(id, state)).to_vec();
    let later = |at: Timestamp, end: &str, category: &str| {
        format!(
            r#"{{"id": "a", "as_of": "{at}", "end_date": "{end}", "category": "{category}",
                 "tick_size": 0.001, "fee_rate": 0.03, "description": "{category}"}}"#
        )
    };
    match after {
        After::Planted => {
            entries.push(later(cut.plus_millis(1), "2026-01-03T12:00:00Z", "won"));
        }
        After::Kept if cut < hour(40) => entries.push(later(hour(40), "2026-01-09", "politics")),
        After::Kept | After::Removed => {}
    }
    if cut >= hour(40) {
        entries.push(later(hour(40), "2026-01-09", "politics"));
    }
    load(&[
        ("p.csv", &prices),
        ("q.csv", &quotes),
        ("resolutions.csv", &resolutions),
        ("markets.json", &format!("[{}]", entries.join(","))),
    ])
    .unwrap()
}

#[test]
fn nothing_planted_after_a_moment_changes_a_frame_up_to_it() {
    let told = |dataset: &Dataset, cut: Timestamp| -> Vec<String> {
        Frames::new(dataset, None, Some(cut))
            .map(|frame| format!("{} {:?} {:?}", frame.at, frame.markets(), frame.resolutions))
            .collect()
    };
    // Before, at and after the second market's end and the later edition; the last before the end.
    for h in [0, 1, 5, 29, 30, 31, 39, 40, 41, 55, 59, 70] {
        let cut = hour(h);
        let whole = told(&planted(cut, After::Kept), cut);
        assert_eq!(whole.len() as i64, h + 1);
        for after in [After::Removed, After::Planted] {
            let other = told(&planted(cut, after), cut);
            assert_eq!(whole.len(), other.len(), "at {cut}");
            for (whole, other) in whole.iter().zip(&other) {
                assert!(whole == other, "at {cut}:\n{whole}\n{other}");
            }
        }
    }
    // What was planted does show once its time has come: the test can fail.
    let (kept, removed) = (
        planted(hour(55), After::Kept),
        planted(hour(55), After::Removed),
    );
    let lie = planted(hour(55), After::Planted);
    assert_ne!(told(&kept, hour(57)), told(&removed, hour(57)));
    assert_ne!(told(&kept, hour(57)), told(&lie, hour(57)));
    let a = lie.market(0, hour(57)).unwrap();
    assert_eq!(a.status, MarketStatus::Closed);
    assert_eq!(a.category.as_deref(), Some("won"));
    assert_eq!(
        kept.market(0, hour(39)).unwrap().category.as_deref(),
        Some("sports")
    );
    assert_eq!(
        kept.market(0, hour(40)).unwrap().category.as_deref(),
        Some("politics")
    );
}

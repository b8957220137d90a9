//! Tests of loading and of what a moment shows; helpers for the other tests of this folder.

use std::path::Path;

use super::*;
use crate::domain::{FeeSchedule, MarketStatus, Outcome, Price, ProtocolVersion, Shares, Usdc};

mod formats;

/// `h` hours after 2026-01-01T00:00:00Z.
pub(crate) fn hour(h: i64) -> Timestamp {
    Timestamp::from_secs(1_767_225_600 + h * 3_600)
}

/// A bare market with tokens `<id>-yes` and `<id>-no`.
pub(crate) fn market(id: &str) -> Market {
    let outcome = |name: &str| Outcome {
        name: name.into(),
        token: TokenId::new(format!("{id}-{}", name.to_lowercase())),
        synthetic: false,
        indicative_price: None,
    };
    Market {
        id: id.into(),
        condition_id: None,
        slug: None,
        question: format!("Will {id} happen?"),
        description: None,
        event_id: None,
        category: None,
        outcomes: vec![outcome("Yes"), outcome("No")],
        tick: Price::parse("0.01").unwrap(),
        min_size: Shares::whole(5),
        fee: FeeSchedule::FREE,
        neg_risk: false,
        placeholder: false,
        volume: None,
        volume_24h: None,
        liquidity: None,
        start: None,
        end: None,
        status: MarketStatus::Open,
        version: ProtocolVersion::V1,
        label: None,
    }
}

/// Writes `files` into a fresh directory and loads it.
pub(crate) fn load(files: &[(&str, &str)]) -> Result<Dataset, DataError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    Dataset::load(dir.path(), DatasetOptions::default())
}

const HEADER: &str = "timestamp,market_id,question,yes_price,volume,token_id\n";

fn csv(rows: &[&str]) -> String {
    format!("{HEADER}{}\n", rows.join("\n"))
}

fn gz(path: &Path, text: &str) {
    use std::io::Write;
    let file = std::fs::File::create(path).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap();
}

#[test]
fn columns_go_by_name_and_times_by_any_known_form() {
    // 2026-01-01T00:00:00Z is 1767225600.
    let text = "\u{FEFF}token_id, Yes_Price ,extra,question,timestamp,volume,market_id\n\
                t1,0.4,x,\"Rain, or \"\"snow\"\"?\",1767225600,,a\n\
                t1,0.5,x,\"Rain, or \"\"snow\"\"?\",1767229200000,12.5,a\n\
                t1,0.6,x,\"Rain, or \"\"snow\"\"?\",2026-01-01T03:00:00+01:00,0,a\n\
                t2,.25,,Sun?,2026-01-01T02:00:00Z,1e3,b\n";
    let dataset = load(&[
        ("p.csv", text),
        ("dataset.yaml", "volume_kind: cumulative\n"),
    ])
    .unwrap();
    assert!(dataset.report().described);
    let a = &dataset.series()[0];
    assert_eq!(a.template().question, "Rain, or \"snow\"?");
    let points: Vec<_> = a.points().iter().map(|p| (p.at, p.price)).collect();
    assert_eq!(points, [(hour(0), 0.4), (hour(1), 0.5), (hour(2), 0.6)]);
    let volume = |h| dataset.market(0, hour(h)).unwrap().volume;
    assert_eq!(volume(0), None);
    assert_eq!(volume(1), Some(Usdc::parse("12.5").unwrap()));
    assert_eq!(volume(2), None, "0 is unknown, not what came before");
    assert_eq!(
        dataset.market(1, hour(2)).unwrap().volume,
        Some(Usdc::whole(1000))
    );
    assert_eq!(dataset.report().rows, 4);
    assert_eq!(dataset.report().skips.total(), 0);
}

#[test]
fn odd_rows_are_skipped_and_counted_by_cause() {
    let text = csv(&[
        "2026-01-01T00:00:00Z,a,A?,0.5,0,t1",
        "2026-01-01T01:00:00Z,a,A?,abc,0,t1",
        "2026-01-01T01:00:00Z,a,A?,NaN,0,t1",
        "2026-01-01T02:00:00Z,a,A?,1.5,0,t1",
        "2026-01-01T02:00:00Z,a,A?,-0.1,0,t1",
        "tomorrow,a,A?,0.5,0,t1",
        "2026-01-01T03:00:00Z,a,A?,0.5",
        "2026-01-01T03:00:00Z,,A?,0.5,0,t1",
        "2026-01-01T03:00:00Z,a,A?,0.5,many,t1",
        "2026-01-01T03:00:00Z,a,A?,0.5,-1,t1",
        "2026-01-01T03:00:00Z,a,A?,0.5,0,t9",
        "2026-01-01T04:00:00Z,a,A?,0.6,0,t1",
    ]);
    let dataset = load(&[("p.csv", &text), ("notes.csv", "a,b\n1,2\n")]).unwrap();
    let report = dataset.report();
    let counted: Vec<_> = report
        .skips
        .iter()
        .map(|(cause, skipped)| (cause, skipped.count, skipped.first.as_str()))
        .collect();
    assert_eq!(
        counted,
        [
            (
                "a required column is missing or empty",
                2,
                "p.csv:8: 2026-01-01T03:00:00Z,a,A?,0.5"
            ),
            (
                "the price is not a number",
                2,
                "p.csv:3: 2026-01-01T01:00:00Z,a,A?,abc,0,t1"
            ),
            (
                "the price is outside 0 to 1",
                2,
                "p.csv:5: 2026-01-01T02:00:00Z,a,A?,1.5,0,t1"
            ),
            (
                "the timestamp cannot be read",
                1,
                "p.csv:7: tomorrow,a,A?,0.5,0,t1"
            ),
            (
                "the token id differs from the market's first row",
                1,
                "p.csv:12: 2026-01-01T03:00:00Z,a,A?,0.5,0,t9"
            ),
            (
                "the volume is negative",
                1,
                "p.csv:11: 2026-01-01T03:00:00Z,a,A?,0.5,-1,t1"
            ),
            (
                "the volume is not a number",
                1,
                "p.csv:10: 2026-01-01T03:00:00Z,a,A?,0.5,many,t1"
            ),
        ]
    );
    assert_eq!(report.rows, 2);
    assert_eq!(report.ignored, ["notes.csv"]);
    let recorded = Recorded::new(Arc::new(dataset), hour(4));
    assert_eq!(
        recorded.health().skipped_rows["the price is outside 0 to 1"],
        2
    );
}

#[test]
fn rows_are_sorted_by_real_time_and_the_last_of_a_moment_counts() {
    let late = csv(&[
        "2026-01-01T03:00:00Z,a,A?,0.3,30,t1",
        "2026-01-01T01:00:00Z,a,A? (first),0.1,10,t1",
        // 02:00 UTC, though its text sorts last.
        "2026-01-01T09:00:00+07:00,a,A?,0.2,20,t1",
        "2026-01-01T01:00:00Z,a,A? (first),0.15,,t1",
    ]);
    let again = csv(&["2026-01-01T03:00:00Z,a,A?,0.35,35,t1"]);
    let dataset = load(&[
        ("1.csv", &late),
        ("2.csv", &again),
        ("dataset.yaml", "volume_kind: cumulative"),
    ])
    .unwrap();
    let one = &dataset.series()[0];
    let points: Vec<_> = one.points().iter().map(|p| (p.at, p.price)).collect();
    assert_eq!(points, [(hour(1), 0.15), (hour(2), 0.2), (hour(3), 0.35)]);
    assert_eq!(one.template().question, "A? (first)");
    assert_eq!(dataset.report().rows, 3);
    assert_eq!(dataset.report().replaced, 2);
    let volume = |h| dataset.market(0, hour(h)).unwrap().volume;
    assert_eq!(volume(1), None, "the replacing row had none");
    assert_eq!(volume(3), Some(Usdc::whole(35)));
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_the_file() {
    let fails = |files: &[(&str, &str)]| load(files).unwrap_err().to_string();
    assert!(fails(&[]).contains("no file with prices"));
    assert!(fails(&[("resolutions.csv", "market_id\n")]).contains("no file with prices"));
    assert!(fails(&[("e.csv", "")]).contains("e.csv: the file is empty"));
    assert!(fails(&[("h.csv", HEADER)]).contains("h.csv: no valid row: it has a header only"));
    let bad = csv(&["2026-01-01T01:00:00Z,a,A?,7,0,t1"]);
    assert!(fails(&[("b.csv", &bad)]).contains("b.csv: no valid row: the price is outside 0 to 1"),);
    let lacking = "token_id,yes_price\n1,0.5\n";
    assert!(fails(&[("l.csv", lacking)]).contains("lacks the column timestamp, market_id"));
    let nowhere = Dataset::load(Path::new("no/such/dir"), DatasetOptions::default());
    assert_eq!(nowhere.unwrap_err().code(), "file_error");
    let broken = load(&[("p.csv.gz", "this is not gzip")]).unwrap_err();
    assert!(broken.to_string().contains("p.csv.gz"));
}

#[test]
fn packed_files_and_metadata_from_the_folder_above_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let prices = dir.path().join("prices");
    std::fs::create_dir(&prices).unwrap();
    gz(
        &prices.join("p.csv.gz"),
        &csv(&["2026-01-01T00:00:00Z,a,A?,0.5,0,t1"]),
    );
    std::fs::write(
        dir.path().join("resolutions.csv"),
        "market_id,resolved_at,outcome,basis\na,2026-01-02T00:00:00Z,50-50,official\n\
         z,2026-01-02T00:00:00Z,Yes,official\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("markets.json"),
        r#"[{"id": "a", "clob_token_ids": ["t0", "t1"], "outcomes": ["Up", "Down"],
             "event_key": "ev:a", "event_slug": "a-event", "event_title": "A event",
             "category": "crypto", "tick_size": 0.001, "slug": "a-slug"}]"#,
    )
    .unwrap();
    let dataset = Dataset::load(&prices, DatasetOptions::default()).unwrap();
    let market = dataset.market(0, hour(0)).unwrap();
    let outcomes: Vec<_> = market
        .outcomes
        .iter()
        .map(|o| (o.name.as_str(), o.token.as_str(), o.synthetic))
        .collect();
    // The recorded token is the second of the two: its outcome comes first here.
    assert_eq!(outcomes, [("Down", "t1", false), ("Up", "t0", false)]);
    assert_eq!(market.tick.to_string(), "0.001");
    assert_eq!(market.label.as_deref(), Some("recorded"));
    assert_eq!(dataset.report().unmatched_resolutions, 1);
    assert_eq!(dataset.index_of("a-slug"), Some(0));
    let (at, how) = dataset.series()[0].resolution().unwrap();
    assert_eq!(at, hour(24));
    assert_eq!(how.payout_of(&"t0".into()).unwrap().to_string(), "0.5");
    assert_eq!(how.evidence, "resolutions.csv: official");
    let alone = Dataset::load(&prices.join("p.csv.gz"), DatasetOptions::default()).unwrap();
    assert_eq!(alone.report().rows, 1, "one file may be named directly");
}

#[test]
fn a_field_without_an_end_is_refused_before_it_fills_the_memory() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.csv.gz");
    let file = std::fs::File::create(&path).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    write!(packed, "{HEADER}2026-01-01T00:00:00Z,a,\"").unwrap();
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..50 {
        packed.write_all(&zeros).unwrap();
    }
    packed.write_all(b"\",0.5,0,t1\n").unwrap();
    packed.finish().unwrap();
    let error = Dataset::load(dir.path(), DatasetOptions::default()).unwrap_err();
    assert_eq!(error.code(), "file_error");
    let said = error.to_string();
    assert!(
        said.contains("p.csv.gz: a record is longer than the cap of 1 MiB"),
        "{said}"
    );
    // It stopped there: the rest of the file may be anything, even no gzip.
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 10]).unwrap();
    let cut = Dataset::load(dir.path(), DatasetOptions::default()).unwrap_err();
    assert_eq!(cut, error);
}

#[test]
fn loading_stops_when_it_is_cancelled() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let rows: Vec<String> = (0..20_000)
        .map(|second| format!("{},a,A?,0.5,0,t1", 1_767_225_600 + second))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.csv"), csv(&rows)).unwrap();
    let load = |after: u32| {
        let asked = AtomicU32::new(0);
        let cancelled = || asked.fetch_add(1, Ordering::Relaxed) >= after;
        let loaded = Dataset::load_unless(dir.path(), DatasetOptions::default(), None, &cancelled);
        let asked = asked.load(Ordering::Relaxed);
        (loaded.map(|dataset| dataset.report().rows), asked)
    };
    // Once more when the files have been given up.
    let cancelled = Err(DataError::Cancelled);
    assert_eq!(load(0), (cancelled.clone(), 2), "before the first row");
    assert_eq!(load(2), (cancelled, 4), "among the rows");
    // At rows 0, 4,096, 8,192, 12,288 and 16,384, when the files have been read, when they are put together, before
    // and after the rows are sorted, and before the markets are made.
    for after in 3..10 {
        assert_eq!(load(after).0, Err(DataError::Cancelled), "{after}");
    }
    assert_eq!(load(10), (Ok(20_000), 10));
}

/// Of many markets a row or two each: what takes long then is to put them together.
#[test]
fn loading_many_markets_stops_when_it_is_cancelled() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let dir = tempfile::tempdir().unwrap();
    for (file, second) in [("p.csv", 1_767_225_600), ("q.csv", 1_767_225_660)] {
        let rows: Vec<String> = (0..10_000)
            .map(|market| format!("{second},m{market},A?,0.5,0,t{market}"))
            .collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        std::fs::write(dir.path().join(file), csv(&rows)).unwrap();
    }
    let load = |after: u32| {
        let asked = AtomicU32::new(0);
        let cancelled = || asked.fetch_add(1, Ordering::Relaxed) >= after;
        let loaded = Dataset::load_unless(dir.path(), DatasetOptions::default(), None, &cancelled);
        let rows = loaded.map(|dataset| dataset.report().rows);
        (rows, asked.load(Ordering::Relaxed))
    };
    let (whole, asked) = load(u32::MAX);
    assert_eq!(whole, Ok(20_000));
    // Each file is read in three questions and put together in three, 625 groups are sorted, and the markets
    // are made in three.
    assert_eq!(asked, 6 + 1 + 6 + 625 + 1 + 3);
    for after in [6, 7, 9, 10, 12, 13, 300, 637, 638, 639, 641] {
        assert_eq!(load(after).0, Err(DataError::Cancelled), "{after}");
    }
}

#[test]
fn long_text_is_cut_and_a_row_with_a_long_id_is_skipped() {
    let question = "x".repeat(100_000);
    let (id, most) = ("9".repeat(201), "8".repeat(200));
    let text = csv(&[
        &format!("2026-01-01T00:00:00Z,a,{question},0.5,0,t1"),
        &format!("2026-01-01T00:00:00Z,{id},A?,0.5,0,t2"),
        &format!("2026-01-01T00:00:00Z,b,A?,0.5,0,{id}"),
        &format!("2026-01-01T00:00:00Z,{most},A?,0.5,0,t3"),
    ]);
    let resolutions = format!("market_id,resolved_at,outcome\n{id},2026-01-02T00:00:00Z,Yes\n");
    let dataset = load(&[("p.csv", &text), ("resolutions.csv", &resolutions)]).unwrap();
    let skips = &dataset.report().skips;
    let long = skips.get("an id is too long or has control characters");
    assert_eq!(long.unwrap().count, 3, "{skips:?}");
    assert_eq!(dataset.series().len(), 2);
    let a = dataset
        .market(dataset.index_of("a").unwrap(), hour(0))
        .unwrap();
    assert_eq!(a.question, format!("{}…", "x".repeat(500)));
}

#[test]
fn a_missing_second_token_is_made_up_and_says_so() {
    let text = csv(&["2026-01-01T00:00:00Z,a,A?,0.5,0,t1"]);
    let dataset = load(&[("p.csv", &text)]).unwrap();
    let market = dataset.market(0, hour(0)).unwrap();
    assert_eq!(market.outcomes[1].token.as_str(), "synthetic:no:t1");
    assert!(market.outcomes[1].synthetic);
    assert!(!market.outcomes[0].synthetic);
    assert_eq!(
        dataset.index_of_token(&"synthetic:no:t1".into()),
        Some(0),
        "it can be traded on paper"
    );
}

/// Three markets of one neg-risk event, one lone market; resolutions; a market that goes quiet.
fn story() -> (String, String, String) {
    let mut rows = Vec::new();
    for h in 0..200 {
        let time = hour(h).to_rfc3339();
        let volume = 1000 + h * 10;
        rows.push(format!(
            "{time},e1,Red wins the race?,0.{},{volume},r",
            30 + h % 20
        ));
        if h < 60 {
            rows.push(format!(
                "{time},e2,Blue wins the race?,0.{},0,b",
                41 + h % 9
            ));
        }
        if h >= 20 {
            rows.push(format!("{time},e3,Green wins the race?,0.2{},0,g", h % 10));
        }
        if h < 50 {
            rows.push(format!("{time},q,Quiet?,0.51{},0,q", h % 10));
        }
    }
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let resolutions = "market_id,token_id,resolved_at,outcome,basis\n\
                       e2,b,2026-01-03T12:30:00Z,No,official\n\
                       e1,r,2026-01-09T08:00:00Z,Yes,official\n"
        .to_owned();
    let metadata = r#"[
        {"id": "e1", "event_key": "race", "neg_risk": true, "category": "sports", "clob_token_ids": ["r", "r2"]},
        {"id": "e2", "event_key": "race", "neg_risk": true},
        {"id": "e3", "event_key": "race", "neg_risk": true, "end_date": "2026-01-09"}]"#
        .to_owned();
    (csv(&rows), resolutions, metadata)
}

fn story_at(cut: Option<Timestamp>, at: Timestamp) -> Recorded {
    let (prices, resolutions, metadata) = story();
    let keep = |text: &str, column: usize| -> String {
        let until = |line: &&str| {
            let time = line.split(',').nth(column).unwrap();
            match (cut, Timestamp::parse(time)) {
                (Some(cut), Some(moment)) => moment <= cut,
                _ => true,
            }
        };
        text.lines()
            .filter(until)
            .map(|line| format!("{line}\n"))
            .collect()
    };
    let dataset = load(&[
        ("p.csv", &keep(&prices, 0)),
        ("resolutions.csv", &keep(&resolutions, 2)),
        ("markets.json", &metadata),
    ])
    .unwrap();
    Recorded::new(Arc::new(dataset), at)
}

/// Everything that the source says, as text.
async fn all_answers(source: &Recorded) -> String {
    use std::fmt::Write;
    let mut said = String::new();
    let active = source.active_markets(&MarketQuery { limit: 100 }).await;
    let found = source.search("RACE wins", 100, true).await.unwrap();
    let ids: Vec<MarketId> = ["e1", "e2", "e3", "q", "none"].map(MarketId::from).to_vec();
    writeln!(said, "{active:#?}\n{found:#?}").unwrap();
    let mut known = Vec::new();
    for id in &ids {
        let market = source.market(id.as_str()).await.unwrap();
        writeln!(said, "{id} {market:#?}").unwrap();
        known.extend(market);
    }
    let markets = source.markets(&ids).await.unwrap();
    writeln!(said, "{}", markets.len()).unwrap();
    let tokens: Vec<TokenId> = ["r", "r2", "b", "synthetic:no:b", "g", "q", "zz"]
        .map(TokenId::from)
        .to_vec();
    let books = source.books(&tokens).await.unwrap();
    for token in &tokens {
        writeln!(said, "{token} {:?}", books.get(token)).unwrap();
        writeln!(said, "{:?}", source.market_of_token(token).await).unwrap();
        for span in [HistorySpan::Hour, HistorySpan::Week, HistorySpan::All] {
            let points = source.price_history(token, span, 90).await;
            writeln!(said, "{points:?}").unwrap();
        }
        let ahead = HistorySpan::Between(hour(10), hour(1000));
        writeln!(said, "{:?}", source.price_history(token, ahead, 1).await).unwrap();
    }
    writeln!(said, "{:#?}", source.resolutions(&known).await).unwrap();
    writeln!(said, "{:#?}", source.event("race").await).unwrap();
    writeln!(said, "{:#?}", source.event_volume("race").await).unwrap();
    writeln!(said, "{:#?}", source.health()).unwrap();
    said
}

#[tokio::test]
async fn nothing_after_the_moment_shows_in_any_answer() {
    for h in [
        0, 10, 19, 20, 23, 24, 49, 60, 61, 100, 121, 122, 150, 199, 200, 250,
    ] {
        let at = hour(h);
        let whole = all_answers(&story_at(None, at)).await;
        let cut = all_answers(&story_at(Some(at), at)).await;
        assert_eq!(whole.lines().count(), cut.lines().count(), "at {at}");
        for (whole, cut) in whole.lines().zip(cut.lines()) {
            assert_eq!(whole, cut, "at {at}");
        }
    }
}

#[tokio::test]
async fn moving_the_moment_is_the_same_as_starting_there() {
    let source = story_at(None, hour(199));
    source.set_now(hour(61));
    assert_eq!(source.now().await.unwrap(), hour(61));
    assert_eq!(
        all_answers(&source).await,
        all_answers(&story_at(None, hour(61))).await
    );
}

#[tokio::test]
async fn a_resolution_shows_from_its_moment_on() {
    let before = story_at(None, hour(60).plus_millis(30 * MINUTE - 1));
    let after = story_at(None, hour(60).plus_millis(30 * MINUTE));
    let blue = |source: &Recorded| {
        let market = source.dataset().market(1, source.now.now()).unwrap();
        assert_eq!(market.id.as_str(), "e2");
        Arc::new(market)
    };
    assert_eq!(blue(&before).status, MarketStatus::Open);
    assert!(
        before
            .resolutions(&[blue(&before)])
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(before.books(&["b".into()]).await.unwrap().len(), 1);

    assert_eq!(blue(&after).status, MarketStatus::Closed);
    let resolved = after.resolutions(&[blue(&after)]).await.unwrap();
    assert_eq!(resolved.len(), 1);
    assert_eq!(resolved[0].payout_of(&"b".into()), Some(Price::ZERO));
    assert_eq!(
        resolved[0].payout_of(&"synthetic:no:b".into()),
        Some(Price::ONE)
    );
    assert!(
        after.books(&["b".into()]).await.unwrap().is_empty(),
        "a resolved market has no book"
    );
    let open = after
        .active_markets(&MarketQuery { limit: 9 })
        .await
        .unwrap();
    assert!(open.iter().all(|market| market.id.as_str() != "e2"));
    let closed = after.search("blue", 9, true).await.unwrap();
    assert_eq!(closed.len(), 1);
    assert!(after.search("blue", 9, false).await.unwrap().is_empty());
    assert!(after.search("  ", 9, false).await.is_err());
}

#[tokio::test]
async fn a_quiet_market_is_paused_and_the_most_traded_comes_first() {
    // Last row at 49 h; three days later is 121 h.
    let source = story_at(None, hour(121));
    assert_eq!(
        source.market("q").await.unwrap().unwrap().status,
        MarketStatus::Open
    );
    // Rows came every hour; after three hours without one there is no book.
    source.set_now(hour(52));
    let book = &source.books(&["q".into()]).await.unwrap()[&TokenId::from("q")];
    assert_eq!(book.at, hour(49), "a book is as old as its row");
    source.set_now(hour(53));
    assert!(source.books(&["q".into()]).await.unwrap().is_empty());
    source.set_now(hour(121));
    let open = source
        .active_markets(&MarketQuery { limit: 9 })
        .await
        .unwrap();
    let ids: Vec<_> = open.iter().map(|market| market.id.as_str()).collect();
    assert_eq!(ids, ["e1", "e3", "q"]);
    // 10 pUSD per hour.
    assert_eq!(open[0].volume_24h, Some(Usdc::whole(240)));
    assert_eq!(open[0].volume, Some(Usdc::whole(1000 + 1210)));
    source.set_now(hour(122));
    let quiet = source.market("q").await.unwrap().unwrap();
    assert_eq!(quiet.status, MarketStatus::Paused);
}

#[tokio::test]
async fn an_event_shows_the_markets_that_are_there_and_never_claims_to_be_whole() {
    // The third market has its first row at 20 h.
    let source = story_at(None, hour(19));
    let event = source.event("race").await.unwrap().unwrap();
    assert_eq!(event.markets.len(), 2);
    assert_eq!(event.end, None);
    source.set_now(hour(29));
    let event = source.event("race").await.unwrap().unwrap();
    assert_eq!(event.markets.len(), 3);
    assert!(event.markets.iter().all(|market| market.neg_risk));
    assert!(event.neg_risk && event.augmented && !event.closed);
    assert_eq!(event.end, Timestamp::parse("2026-01-09"));
    assert_eq!(event.volume, Some(Usdc::whole(1290)));
    let volume = source.event_volume("race").await.unwrap().unwrap();
    assert_eq!(volume.total, Some(Usdc::whole(1290)));
    assert_eq!(volume.by_market, [("e1".to_owned(), Usdc::whole(1290))]);
    assert!(source.event("nothing").await.unwrap().is_none());
}

#[tokio::test]
async fn histories_are_windows_at_the_wanted_spacing() {
    let source = story_at(None, hour(30));
    let points = source
        .price_history(&"r2".into(), HistorySpan::SixHours, 120)
        .await
        .unwrap();
    let seen: Vec<_> = points.iter().map(|p| (p.at, p.price)).collect();
    // Two-hour steps of the clock, the latest row in each; the No token mirrors Yes.
    assert_eq!(
        seen,
        [
            (hour(25), 0.65),
            (hour(27), 0.63),
            (hour(29), 0.61),
            (hour(30), 0.60)
        ]
    );
    let many = source
        .price_histories(&["g".into(), "none".into()], HistorySpan::Hour, 1)
        .await
        .unwrap();
    assert_eq!(many.len(), 1);
    assert_eq!(many[&TokenId::from("g")].len(), 2);
}

#[tokio::test]
async fn what_a_recording_cannot_know_is_refused() {
    let source = story_at(None, hour(30));
    let wallet = source.wallet_positions("0x0", 5).await.unwrap_err();
    assert_eq!(
        wallet.to_string(),
        "the holdings of a wallet is not available from the recorded source"
    );
    assert!(source.leaderboard(Period::Day, 5).await.is_err());
    let text = csv(&["2026-01-01T00:00:00Z,a,A?,0.5,0,t1"]);
    let metadata = r#"[{"id": "a", "event_key": "k"}]"#;
    let dataset = load(&[("p.csv", &text), ("markets.json", metadata)]).unwrap();
    let source = Recorded::new(Arc::new(dataset), hour(1));
    let volume = source.event_volume("k").await.unwrap_err();
    assert_eq!(volume.code(), "not_available");
}

/// The folder of real prices: `POLYMARKET_DATA`, or beside the project. `None` where it is absent,
/// which is a failure under CI.
pub(crate) fn real_prices(test: &str) -> Option<std::path::PathBuf> {
    let dir = std::env::var_os("POLYMARKET_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/prices"),
        std::path::PathBuf::from,
    );
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{} is not there: set POLYMARKET_DATA",
        dir.display()
    );
    println!("{test} was skipped: set POLYMARKET_DATA to a folder of recorded prices");
    None
}

#[test]
fn recorded_prices_load() {
    let Some(dir) = real_prices("recorded_prices_load") else {
        return;
    };
    let dataset = Dataset::load(&dir, DatasetOptions::default()).unwrap();
    let report = dataset.report();
    // Counted independently with Python's csv module; CATALOG.md says the same.
    assert_eq!(report.rows, 73_462);
    assert_eq!(dataset.series().len(), 576);
    assert_eq!(report.files.len(), 8);
    assert_eq!(report.replaced, 0);
    assert_eq!(report.skips.total(), 0, "{:?}", report.skips);
    assert_eq!(report.unmatched_resolutions, 0);
    let resolved = dataset
        .series()
        .iter()
        .filter(|one| one.resolution().is_some())
        .count();
    assert_eq!(resolved, 530);
    let made_up = dataset
        .series()
        .iter()
        .filter(|one| one.template().outcomes[1].synthetic)
        .count();
    assert_eq!(made_up, 52, "the markets of Polymarket US");
    let daily = &report.files[2];
    assert_eq!(
        (daily.name.as_str(), daily.rows),
        ("daily_2024_2026.csv", 24_953)
    );
}

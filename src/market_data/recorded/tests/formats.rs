//! Which files and columns are taken, what volumes mean, and that threads do not show.

use super::*;

#[test]
fn packed_files_of_all_kinds_and_odd_line_ends_are_one_data_set() {
    let dir = tempfile::tempdir().unwrap();
    let row = |market: &str| format!("1767225600,{market},\"Rain,\nor sun?\",0.5,0,t{market}");
    let text = |market: &str| csv(&[&row(market)]);
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("a.csv"), text("a")).unwrap();
    gz(&at("b.csv.gz"), &text("b"));
    std::fs::write(
        at("c.csv.zst"),
        zstd::encode_all(text("c").as_bytes(), 1).unwrap(),
    )
    .unwrap();
    let dos = format!("\u{FEFF}{}", text("d").replace('\n', "\r\n"));
    std::fs::write(at("d.csv"), dos).unwrap();
    // Packed, though its name does not say so.
    gz(&at("e.csv"), &text("e"));
    std::fs::write(
        at("resolutions.csv.zst"),
        zstd::encode_all(&b"market_id,resolved_at,outcome\nc,1767229200,Yes\n"[..], 1).unwrap(),
    )
    .unwrap();
    let dataset = Dataset::load(dir.path(), DatasetOptions::default()).unwrap();
    let ids: Vec<_> = dataset
        .series()
        .iter()
        .map(|one| one.template().id.as_str())
        .collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
    assert_eq!(dataset.report().files.len(), 5);
    assert!(
        dataset
            .series()
            .iter()
            .all(|one| one.template().question == "Rain, or sun?")
    );
    assert_eq!(dataset.series()[2].resolution().unwrap().0, hour(1));
}

/// Yes and No of one token would be bought as a pair that pays twice.
#[test]
fn a_market_whose_outcomes_have_one_token_gets_a_made_up_second_one() {
    let text = "timestamp,market_id,yes_price,token_id,no_token_id\n\
                1767225600,a,0.5,x,x\n\
                1767225600,b,0.5,y,\n";
    let metadata = r#"[{"id": "b", "clob_token_ids": ["y", "y"]}]"#;
    let dataset = load(&[("p.csv", text), ("markets.json", metadata)]).unwrap();
    let tokens = dataset.series().iter().map(|one| {
        let outcomes = one.template().outcomes.iter();
        outcomes.map(|outcome| outcome.token.as_str()).collect()
    });
    let tokens: Vec<Vec<&str>> = tokens.collect();
    assert_eq!(tokens, [["x", "synthetic:no:x"], ["y", "synthetic:no:y"]]);
    let cause = "both outcomes have one token; the second one's is made up";
    assert_eq!(dataset.report().skips.get(cause).unwrap().count, 2);
}

/// In whichever row it comes: a file in one part and one in several say the same.
#[test]
fn the_second_token_is_that_of_the_first_row_that_tells_one() {
    let text = "timestamp,market_id,yes_price,token_id,no_token_id\n\
                1767225600,a,0.5,x,\n\
                1767229200,a,0.5,x,n\n\
                1767232800,a,0.5,x,other\n";
    let dataset = load(&[("p.csv", text)]).unwrap();
    let outcomes = &dataset.series()[0].template().outcomes;
    assert_eq!(
        (outcomes[1].token.as_str(), outcomes[1].synthetic),
        ("n", false)
    );
}

#[test]
fn best_prices_and_the_second_token_are_used_where_they_are_told() {
    let text = "timestamp,market_id,mid,best_bid,best_ask,no_token_id\n\
                2026-01-01T00:00:00Z,a,0.45,0.4,0.5,n\n\
                2026-01-01T01:00:00Z,a,0.45,0.4,,n\n\
                2026-01-01T02:00:00Z,a,0.45,,,n\n\
                2026-01-01T03:00:00Z,a,0.45,0.5,0.4,n\n\
                2026-01-01T04:00:00Z,a,0.0115,0,0.013,n\n\
                2026-01-01T05:00:00Z,a,0.45,half,0.5,n\n\
                2026-01-01T06:00:00Z,a,0.991,0.984,1,n\n";
    let dataset = load(&[("p.csv", text)]).unwrap();
    let market = dataset.market(0, hour(0)).unwrap();
    let tokens: Vec<_> = market
        .outcomes
        .iter()
        .map(|outcome| (outcome.token.as_str(), outcome.synthetic))
        .collect();
    assert_eq!(tokens, [("synthetic:yes:a", true), ("n", false)]);
    let book = |h| {
        let (row, visible) = dataset.visible(0, hour(h)).unwrap();
        let [first, second] = dataset.books(0, row, &visible).unwrap().map(Option::unwrap);
        let side = |price: Option<Price>| price.map_or("-".to_owned(), |p| p.to_string());
        assert_eq!(first.best_bid().map(Price::complement), second.best_ask());
        assert_eq!(first.best_ask().map(Price::complement), second.best_bid());
        format!("{} {}", side(first.best_bid()), side(first.best_ask()))
    };
    assert_eq!(book(0), "0.4 0.5");
    assert_eq!(book(1), "0.4 -", "nobody asks");
    // 0.45 and half the default spread of 0.02 each way.
    assert_eq!(book(2), "0.44 0.46", "the row tells neither");
    assert_eq!(book(3), "0.44 0.46", "its bid is above its ask");
    assert_eq!(book(4), "- 0.013", "nobody bids 0");
    assert_eq!(book(6), "0.984 -", "nobody asks 1");
    let report = dataset.report();
    assert_eq!((report.rows, report.odd_quotes), (6, 1));
    assert_eq!(
        report
            .skips
            .get("the best bid or ask is not a price")
            .unwrap()
            .count,
        1
    );
    assert_eq!(dataset.market(0, hour(3)).unwrap().tick.to_string(), "0.01");
    assert_eq!(
        dataset.market(0, hour(4)).unwrap().tick.to_string(),
        "0.001",
        "0.0115 and 0.013"
    );
    let notes = dataset.notes(hour(6)).join("\n");
    assert!(
        notes.contains("1 rows have a best bid that is not below"),
        "{notes}"
    );
}

#[test]
fn depth_follows_the_volume_of_a_day_where_it_is_known() {
    let text = csv(&[
        "2026-01-01T00:00:00Z,a,A?,0.5,123456,t1",
        "2026-01-01T01:00:00Z,a,A?,0.5,0,t1",
    ]);
    let depth = |kind: &str, h: i64| {
        let kind = format!("files: {{p.csv: {{volume_kind: {kind}}}}}");
        let dataset = load(&[("p.csv", &text), ("dataset.yaml", &kind)]).unwrap();
        let (row, visible) = dataset.visible(0, hour(h)).unwrap();
        let [first, _] = dataset.books(0, row, &visible).unwrap();
        first.unwrap().asks()[0].size
    };
    assert_eq!(
        depth("24h", 0),
        Shares::parse("1234.56").unwrap(),
        "one in a hundred"
    );
    assert_eq!(depth("24h", 1), Shares::whole(1000), "unknown in that row");
    assert_eq!(depth("cumulative", 0), Shares::whole(1000), "of how long?");
    assert_eq!(depth("unknown", 0), Shares::whole(1000));
}

#[test]
fn the_dataset_file_goes_before_the_configuration_and_that_before_a_guess() {
    let text = csv(&[
        "2026-01-01T00:00:00Z,a,A?,0.5,10,t1",
        "2026-01-02T00:00:00Z,a,A?,0.5,25,t1",
        "2026-01-03T00:00:00Z,a,A?,0.5,27,t1",
    ]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.csv"), &text).unwrap();
    let volumes = |configured: Option<VolumeKind>| {
        let options = DatasetOptions {
            volume_kind: configured,
            ..DatasetOptions::default()
        };
        let dataset = Dataset::load(dir.path(), options).unwrap();
        let market = dataset.market(0, hour(48)).unwrap();
        let note = dataset
            .notes(hour(48))
            .into_iter()
            .find(|note| note.contains("volume column"));
        (market.volume, market.volume_24h, note.unwrap())
    };
    let pusd = |amount| Some(Usdc::whole(amount));
    // By itself: it rose from 10 to 25 a day before.
    let (volume, day, note) = volumes(None);
    assert_eq!((volume, day), (pusd(27), pusd(2)));
    assert!(
        note.contains("never fell within any of 1 markets (a guess"),
        "{note}"
    );
    let (volume, day, note) = volumes(Some(VolumeKind::PerRow));
    assert_eq!((volume, day), (pusd(62), pusd(27)));
    assert!(note.contains("backtest.volume_kind says so"), "{note}");
    std::fs::write(dir.path().join("dataset.yaml"), "volume_kind: 24h\n").unwrap();
    let (volume, day, note) = volumes(Some(VolumeKind::PerRow));
    assert_eq!((volume, day), (None, pusd(27)));
    assert!(note.contains("dataset.yaml says so"), "{note}");
    std::fs::write(dir.path().join("dataset.yaml"), "volume_kind: daily\n").unwrap();
    let error = Dataset::load(dir.path(), DatasetOptions::default()).unwrap_err();
    assert!(error.to_string().contains("dataset.yaml"), "{error}");
}

#[test]
fn a_token_of_another_file_is_skipped_and_a_file_of_only_such_is_an_error() {
    let first = csv(&["2026-01-01T00:00:00Z,a,A?,0.5,0,t1"]);
    let mixed = csv(&[
        "2026-01-01T01:00:00Z,a,A?,0.5,0,t2",
        "2026-01-01T02:00:00Z,a,A?,0.5,0,t2",
        "2026-01-01T03:00:00Z,a,A?,0.6,0,t1",
    ]);
    let dataset = load(&[("1.csv", &first), ("2.csv", &mixed)]).unwrap();
    let other = "the token id differs from the market's first row";
    let skipped = dataset.report().skips.get(other).unwrap();
    assert_eq!(skipped.count, 2);
    assert_eq!(skipped.first, "2.csv:2: 2026-01-01T01:00:00Z,a,A?,0.5,0,t2");
    assert_eq!(dataset.series()[0].points().len(), 2);
    let only = csv(&["2026-01-01T01:00:00Z,a,A?,0.5,0,t2"]);
    let error = load(&[("1.csv", &first), ("2.csv", &only)])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("2.csv: no valid row: {other}, first 2.csv:2")),
        "{error}"
    );
    // More tokens than anybody means: none of them is kept but the first.
    let many: Vec<String> = (0..20)
        .map(|h| format!("{},a,A?,0.5,0,t{h}", 1_767_225_600 + h * 3_600))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let dataset = load(&[("1.csv", &csv(&many))]).unwrap();
    assert_eq!(
        (dataset.report().rows, dataset.report().skips.total()),
        (1, 19)
    );
}

#[test]
fn the_number_of_threads_does_not_show() {
    let dir = tempfile::tempdir().unwrap();
    for file in 0..7 {
        let mut text = HEADER.to_owned();
        for row in 0..2_000_i64 {
            // Some out of order, some twice, some nonsense; markets that lie in several files.
            let second = 1_767_225_600 + (row * 7_919 + file * 13) % 9_000 * 60;
            let market = (row + file) % 11;
            let price = if row % 97 == 0 {
                "much".to_owned()
            } else {
                format!("0.{}", 10 + row % 80)
            };
            text += &format!(
                "{second},m{market},Q{},{price},{},t{market}\n",
                row % 3,
                row % 50
            );
        }
        gz(&dir.path().join(format!("{file}.csv.gz")), &text);
    }
    let load = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let dataset = pool
            .install(|| Dataset::load(dir.path(), DatasetOptions::default()))
            .unwrap();
        format!("{:?} {:?}", dataset.series(), dataset.report())
    };
    let one = load(1);
    assert!(one.contains("the price is not a number"));
    for threads in [2, 5] {
        assert!(load(threads) == one, "{threads} threads");
    }
}

#[test]
fn the_first_error_by_name_is_told_however_many_there_are() {
    let good = csv(&["2026-01-01T00:00:00Z,a,A?,0.5,0,t1"]);
    for _ in 0..5 {
        let error = load(&[
            ("a.csv", &good),
            ("b.csv", HEADER),
            ("c.csv", ""),
            ("d.csv", HEADER),
        ])
        .unwrap_err();
        assert!(error.to_string().contains("b.csv: no valid row"), "{error}");
    }
    let empty = load(&[]).unwrap_err();
    assert!(
        empty.hint().contains("CSV or Parquet files"),
        "{}",
        empty.hint()
    );
    let other = load(&[("notes.csv", "a,b\n1,2\n")])
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("notes.csv has neither a column yes_price nor mid"),
        "{other}"
    );
}

#[test]
fn the_volumes_of_real_files_are_guessed_for_what_they_are() {
    let Some(dir) = real_prices("the_volumes_of_real_files_are_guessed_for_what_they_are") else {
        return;
    };
    let dataset = Dataset::load(&dir, DatasetOptions::default()).unwrap();
    let (_, end) = dataset.period().unwrap();
    let notes = dataset.notes(end.plus_millis(86_400_000));
    // Counted independently with Python; CATALOG.md says what they are.
    for (file, said) in [
        (
            "active_june_2026.csv",
            "(cumulative), and its growth over a day as the 24-hour volume: it never fell within any of 16 markets",
        ),
        (
            "daily_2024_2026.csv",
            "it never fell within any of 26 markets",
        ),
        (
            "worldcup_2026.csv",
            "it never fell within any of 70 markets",
        ),
        (
            "weather_hourly_2026.csv",
            "it fell in 1 of 92 markets, which may be corrections",
        ),
        (
            "btc_bands_15m_2025.csv",
            "unknown, and not used: 0, empty or always the same so far",
        ),
        (
            "pmus_2026.csv",
            "(24h): it fell in 13 of 34 markets, and 907 of 1298 changes within six hours were of at most a fifth",
        ),
    ] {
        let note = notes.iter().find(|note| note.contains(file)).unwrap();
        assert!(note.contains(said), "{note}");
    }
}

#[test]
fn real_files_of_best_prices_load() {
    let Some(dir) = real_prices("real_files_of_best_prices_load") else {
        return;
    };
    let path = dir.join("../books/l1/pmus_2026.csv.gz");
    let dataset = Dataset::load(&path, DatasetOptions::default()).unwrap();
    // Counted independently with Python.
    assert_eq!(dataset.report().rows, 13_529);
    assert_eq!(dataset.series().len(), 52);
    assert_eq!(dataset.report().odd_quotes, 0);
    let index = dataset.index_of("aec-lol-kits-3v-2026-07-12").unwrap();
    let at = Timestamp::parse("2026-07-10T20:30:00Z").unwrap();
    let (row, visible) = dataset.visible(index, at).unwrap();
    let [first, _] = dataset.books(index, row, &visible).unwrap();
    let first = first.unwrap();
    let sides = [first.best_bid(), first.best_ask()].map(|side| side.unwrap().to_string());
    assert_eq!(sides, ["0.77", "0.78"]);
}

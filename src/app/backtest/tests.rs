//! The same inputs are kept as the same bytes.

use serde_json::json;

use super::*;
use crate::backtest::test_support::{HEADER, hourly};

fn recording() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("prices");
    std::fs::create_dir(&data).unwrap();
    for file in 0..4 {
        let mut rows = HEADER.to_owned();
        for market in 0..6 {
            let prices: Vec<f64> = (0..60)
                .map(|h| 0.30 + 0.01 * f64::from((h * (market + 3) + file) % 40))
                .collect();
            rows += &hourly(&format!("f{file}m{market}"), 0, &prices);
        }
        std::fs::write(data.join(format!("{file}.csv")), rows).unwrap();
    }
    let ends = "market_id,resolved_at,outcome\nf0m1,2026-01-02T12:00:00Z,Yes\n";
    std::fs::write(data.join("resolutions.csv"), ends).unwrap();
    dir
}

fn request(dir: &tempfile::TempDir) -> BacktestRequest {
    let settings = json!({
        "strategies.market_maker.enabled": true,
        "strategies.signal_trader.volume_threshold": 0,
        "execution.latency_ms": 200,
    });
    BacktestRequest {
        data_dir: dir.path().join("prices"),
        settings: settings.as_object().unwrap().clone(),
        ..BacktestRequest::default()
    }
}

#[test]
fn what_is_kept_is_the_same_on_any_number_of_threads() {
    let dir = recording();
    let mut kept = Vec::new();
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let db = tempfile::tempdir().unwrap();
        let store = Store::open(db.path().join("ledger.db")).unwrap();
        let row = pool.install(|| {
            let config = Config::default();
            let prepared = Prepared::load(&config, &request(&dir), &|| false).unwrap();
            let backtest = prepared.run(&|_, _| {}, &|| false).unwrap();
            let id = backtest.keep(&store).unwrap();
            store.backtest(id).unwrap().unwrap()
        });
        assert!(
            row.result_json.contains("\"trades\":[{"),
            "something was traded"
        );
        kept.push((
            row.result_json,
            row.report_md,
            row.report_html,
            row.config_json,
            row.data_hash,
            row.version,
        ));
    }
    assert_eq!(kept[0], kept[1]);
    assert_eq!(kept[0], kept[2]);
}

#[test]
fn other_settings_or_data_have_other_names() {
    let dir = recording();
    let load =
        |request: &BacktestRequest| Prepared::load(&Config::default(), request, &|| false).unwrap();
    let told = |prepared: &Prepared| prepared.run(&|_, _| {}, &|| false).unwrap();
    let first = told(&load(&request(&dir)));
    let mut other = request(&dir);
    other
        .settings
        .insert("risk.max_open_orders".to_owned(), json!(3));
    let second = told(&load(&other));
    assert_eq!(first.data_hash, second.data_hash);
    assert_ne!(first.config, second.config);
    assert_eq!(second.config["risk"]["max_open_orders"], 3);
    std::fs::write(
        dir.path().join("prices/9.csv"),
        format!("{HEADER}{}", hourly("z", 0, &[0.5])),
    )
    .unwrap();
    assert_ne!(told(&load(&request(&dir))).data_hash, first.data_hash);
}

#[test]
fn the_period_of_the_configuration_counts_unless_the_call_has_its_own() {
    let dir = recording();
    let mut request = request(&dir);
    request
        .settings
        .insert("backtest.start".to_owned(), json!("2026-01-02"));
    request
        .settings
        .insert("backtest.end".to_owned(), json!("2026-01-02"));
    let prepared = Prepared::load(&Config::default(), &request, &|| false).unwrap();
    let done = prepared.run(&|_, _| {}, &|| false).unwrap();
    // 24 hours with a row each.
    assert_eq!(done.result.report.frames, 24);
    assert_eq!(done.config["backtest"]["start"], "2026-01-02T00:00:00Z");
    request.start = moment("start", Some("2026-01-02T22:00:00Z"), false).unwrap();
    let prepared = Prepared::load(&Config::default(), &request, &|| false).unwrap();
    let done = prepared.run(&|_, _| {}, &|| false).unwrap();
    assert_eq!(done.result.report.frames, 2);
    assert_eq!(done.config["backtest"]["end"], "2026-01-02T23:59:59.999Z");
}

#[test]
fn data_up_to_a_moment_hold_nothing_later() {
    let dir = recording();
    let prepared = Prepared::load(&Config::default(), &request(&dir), &|| false).unwrap();
    let cut = moment("at", Some("2026-01-02T11:00:00Z"), false)
        .unwrap()
        .unwrap();
    let known = prepared.until(cut, &|| false).unwrap();
    assert_eq!(known.prices().unwrap().period().unwrap().1, cut);
    assert!(
        known
            .prices()
            .unwrap()
            .series()
            .iter()
            .all(|one| one.resolution().is_none())
    );
    let later = prepared
        .until(cut.plus_millis(3_600_000), &|| false)
        .unwrap();
    let ended = later
        .prices()
        .unwrap()
        .series()
        .iter()
        .filter(|one| one.resolution().is_some());
    assert_eq!(ended.count(), 1);
    // Before the first row there is nothing at all.
    let none = prepared
        .until(cut.plus_millis(-999_999_999_999), &|| false)
        .unwrap();
    assert!(none.prices().unwrap().series().is_empty());
}

/// 2026-01-01T00:00:00Z plus `seconds`, ms, as text.
fn moment_ms(seconds: i64) -> String {
    (1_767_225_600_000 + seconds * 1_000).to_string()
}

#[test]
fn a_folder_of_messages_is_replayed_as_books() {
    let dir = tempfile::tempdir().unwrap();
    let book = |seconds, ask: &str| {
        format!(
            "{{\"event_type\":\"book\",\"market\":\"\",\"asset_id\":\"7\",\"timestamp\":\"{}\",\"bids\":\
             [{{\"price\":\"0.40\",\"size\":\"50\"}}],\"asks\":[{{\"price\":\"{ask}\",\"size\":\"50\"}}]}}\n",
            moment_ms(seconds)
        )
    };
    let lines = [book(1, "0.42"), book(100, "0.43"), book(700, "0.44")].concat();
    std::fs::write(dir.path().join("a.jsonl"), lines).unwrap();
    let request = BacktestRequest {
        data_dir: dir.path().to_owned(),
        ..BacktestRequest::default()
    };
    let load = || Prepared::load(&Config::default(), &request, &|| false).unwrap();
    let prepared = load();
    let recording = prepared.data.books().unwrap();
    assert_eq!(recording.report().messages, 3);
    let done = prepared.run(&|_, _| {}, &|| false).unwrap();
    // Ticks at 60, 120 and 720 s.
    assert_eq!(done.result.report.frames, 3);
    assert!(done.result.report.notes[0].contains("Recorded books"));
    assert_eq!(
        done.json().unwrap(),
        load().run(&|_, _| {}, &|| false).unwrap().json().unwrap()
    );
    assert_eq!(done.data_hash.len(), 64);
    let cut = crate::domain::Timestamp::parse("2026-01-01T00:01:40Z").unwrap();
    let known = prepared.until(cut, &|| false).unwrap();
    assert_eq!(known.books().unwrap().report().messages, 2);
    std::fs::write(dir.path().join("a.csv"), "timestamp,market_id,yes_price\n").unwrap();
    let mixed = Prepared::load(&Config::default(), &request, &|| false)
        .err()
        .unwrap();
    assert_eq!(mixed.code(), "file_error");
    assert!(mixed.to_string().contains("another kind"), "{mixed}");
}

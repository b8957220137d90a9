//! Folds, purging, order of rows, and the same bytes on any number of threads.

use std::sync::atomic::AtomicBool;

use serde_json::json;

use super::super::test_support::{hour, hourly, load, no_limits};
use super::*;
use crate::market_data::recorded::Dataset;
use crate::strategy::SignalTraderParams;

/// Markets of one day each, two to each of eight days, and one that lives on all days. On even days the
/// day's markets rise for good, on odd ones they fall back.
fn dataset() -> Dataset {
    let mut rows = hourly("long", 0, &[0.5; 192]);
    for day in 0..8 {
        for number in 0..2 {
            let prices: Vec<f64> = (0..24)
                .map(|h| match (h, day % 2) {
                    (0..8, _) => 0.40,
                    (8..12, _) => 0.50 + 0.005 * f64::from(number),
                    (_, 0) => 0.60,
                    _ => 0.42,
                })
                .collect();
            rows += &hourly(&format!("d{day}n{number}"), i64::from(day) * 24, &prices);
        }
    }
    load(&rows, &[])
}

fn trials() -> Vec<Trial> {
    let axes = vec![
        Axis::list("strategies.signal_trader.price_move_threshold=0.05,0.12,0.9").unwrap(),
        Axis::list("strategies.signal_trader.order_size=10,20").unwrap(),
    ];
    let settings = Space::new(axes).unwrap().grid().unwrap();
    settings
        .into_iter()
        .map(|parameters| {
            let value = |key: &str| parameters[&format!("strategies.signal_trader.{key}")].as_f64();
            let params = SignalTraderParams {
                enabled: true,
                volume_threshold: 0.0,
                lookback_minutes: 360,
                price_move_threshold: value("price_move_threshold").unwrap(),
                order_size: value("order_size").unwrap(),
                ..SignalTraderParams::default()
            };
            Trial {
                strategies: StrategiesConfig {
                    signal_trader: Some(params),
                    market_maker: None,
                    arbitrageur: None,
                    ai_analyst: None,
                },
                trading: no_limits(),
                balance: Usdc::whole(1000),
                parameters,
            }
        })
        .collect()
}

fn options<'a>() -> SweepOptions<'a> {
    SweepOptions {
        start: None,
        end: None,
        rules: ReplayRules::default(),
        folds: 3,
        purge: true,
        score: Score::Sharpe,
        progress: &|_, _| {},
        cancelled: &|| false,
    }
}

fn on_threads(threads: usize) -> SweepResult {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| sweep(&dataset(), &trials(), &options()).unwrap())
}

#[test]
fn the_test_lies_after_the_training_and_knows_none_of_its_markets() {
    let result = on_threads(2);
    // Rows from 0 h to 191 h; 191 / 4 = 47.75 hours to each of four stretches.
    let folds: Vec<&Fold> = result
        .walk_forward
        .iter()
        .map(|choice| &choice.fold)
        .collect();
    assert_eq!(folds.len(), 3);
    let minutes = |moment: Timestamp| moment.since(hour(0)) as f64 / 60_000.0;
    for (number, fold) in (1_i32..).zip(&folds) {
        let boundary = 2865.0 * f64::from(number);
        assert_eq!(minutes(fold.training.from), 0.0);
        assert_eq!(minutes(fold.test.from), boundary);
        assert!(minutes(fold.training.to) < boundary && fold.training.to < fold.test.from);
    }
    assert_eq!(minutes(folds[2].test.to), 191.0 * 60.0);
    // First training, to 47.75 h: days 0 and 1 and the long one. The test, to 95.5 h: days 2 and 3, while
    // the long one lives on and is left out. The row of 47 h is the last of day 1.
    assert_eq!(
        (folds[0].trained, folds[0].tested, folds[0].left_out),
        (5, 4, 1)
    );
    assert_eq!(
        (folds[1].trained, folds[1].tested, folds[1].left_out),
        (9, 4, 1)
    );
    assert!(result.notes[0].starts_with("Purged"));

    let unpurged = SweepOptions {
        purge: false,
        ..options()
    };
    let result = sweep(&dataset(), &trials(), &unpurged).unwrap();
    let fold = &result.walk_forward[0].fold;
    assert_eq!((fold.tested, fold.left_out), (5, 0));
    assert!(
        result.notes[0].starts_with("NOT PURGED"),
        "{:?}",
        result.notes
    );
}

#[test]
fn rows_have_both_results_and_are_sorted_by_the_one_that_counts() {
    let result = on_threads(2);
    assert_eq!((result.trials, result.runs, result.rows.len()), (6, 36, 6));
    let scores: Vec<Option<f64>> = result
        .rows
        .iter()
        .map(|row| row.out_of_sample.score)
        .collect();
    let (defined, undefined): (Vec<Option<f64>>, Vec<Option<f64>>) =
        scores.iter().partition(|score| score.is_some());
    // A threshold of 0.9 trades nothing: no variation, no score, and last.
    assert_eq!(undefined.len(), 2);
    assert!(scores[4..].iter().all(Option::is_none));
    assert!(defined.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert_eq!(
        result.rows.iter().filter(|row| row.best_in_sample).count(),
        1
    );
    let best = result.rows.iter().find(|row| row.best_in_sample).unwrap();
    let inside = |row: &Row| row.in_sample.score.unwrap_or(f64::NEG_INFINITY);
    assert!(result.rows.iter().all(|row| inside(row) <= inside(best)));
    for row in &result.rows {
        assert_eq!(
            row.out_of_sample.steps,
            48 + 48 + 48,
            "three tests of 47.75 hours"
        );
        assert_eq!(row.in_sample.steps, 144, "the last training: 143.25 hours");
        if let Some(deflated) = row.deflated_sharpe {
            assert!((0.0..=1.0).contains(&deflated), "{deflated}");
        }
    }
    // A bet twice as large in the same moments moves the account twice as far.
    let of = |size: i64| {
        let key = "strategies.signal_trader.order_size";
        let rows = result
            .rows
            .iter()
            .filter(|row| row.parameters[key] == json!(size));
        rows.map(|row| row.out_of_sample.total_return.abs())
            .fold(0.0, f64::max)
    };
    assert!((of(20) / of(10) - 2.0).abs() < 0.1, "{} {}", of(20), of(10));
}

#[test]
fn the_walk_is_the_best_of_each_training_and_its_test() {
    let result = on_threads(1);
    let mut product = 1.0;
    for choice in &result.walk_forward {
        assert!(choice.parameters.is_some() && choice.in_sample.is_some());
        product *= 1.0 + choice.out_of_sample.as_ref().unwrap().total_return;
    }
    assert!((product - 1.0 - result.chosen.total_return).abs() < 1e-12);
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let one = serde_json::to_string(&on_threads(1)).unwrap();
    assert_eq!(one, serde_json::to_string(&on_threads(2)).unwrap());
    assert_eq!(one, serde_json::to_string(&on_threads(5)).unwrap());
}

#[test]
fn nonsense_is_refused_and_a_cancelled_sweep_is_no_result() {
    let (dataset, trials) = (dataset(), trials());
    let bad = |trials: &[Trial], options: &SweepOptions<'_>| {
        sweep(&dataset, trials, options).unwrap_err().to_string()
    };
    assert!(bad(&[], &options()).contains("0 settings"));
    for folds in [0, MOST_FOLDS + 1] {
        assert!(bad(&trials, &SweepOptions { folds, ..options() }).contains("folds"));
    }
    let end = Some(hour(0).plus_millis(1));
    assert!(bad(&trials, &SweepOptions { end, ..options() }).contains("stretches"));
    let mut wrong = trials.clone();
    wrong[0].strategies.signal_trader.as_mut().unwrap().min_edge = -1.0;
    assert!(bad(&wrong, &options()).contains("min_edge"));
    let cancelled = SweepOptions {
        cancelled: &|| true,
        ..options()
    };
    assert!(bad(&trials, &cancelled).contains("cancelled"));
    // In the middle: those that are through are told, and that others are not.
    let stop = AtomicBool::new(false);
    let part = SweepOptions {
        progress: &|done, _| stop.store(done >= 12, Ordering::Release),
        cancelled: &|| stop.load(Ordering::Acquire),
        ..options()
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let part = pool.install(|| sweep(&dataset, &trials, &part)).unwrap();
    assert!(part.partial && part.trials < 6, "{}", part.trials);
    assert!(part.notes[0].contains("cancelled"));
}

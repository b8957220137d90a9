//! The run loop: what a run is told, how it is stopped, and when orders arrive.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use super::super::test_support::{Buyer, Slow, events, hour, hourly, load, no_limits, options};
use super::*;
use crate::domain::LedgerEvent;

fn buyer() -> Vec<Box<dyn Strategy>> {
    vec![Box::new(Buyer)]
}

/// Moment (ms after hour 0), price and shares of each fill.
fn fills(events: &[StampedEvent]) -> Vec<(i64, String, f64)> {
    events
        .iter()
        .filter_map(|event| match &event.event {
            LedgerEvent::Filled { fill } => Some((
                event.at.since(hour(0)),
                fill.price.to_string(),
                fill.shares.to_f64(),
            )),
            _ => None,
        })
        .collect()
}

#[test]
fn an_order_meets_the_book_of_its_arrival() {
    // Rows at 0 ms, 100 ms and an hour: asks 0.51, 0.61, 0.71 (the mid and half the spread of 0.02).
    let rows = [(0, 0.50), (100, 0.60), (3_600_000, 0.70)]
        .map(|(ms, price)| format!("{},a,A?,{price},0,ta\n", hour(0).plus_millis(ms).millis()));
    let dataset = load(&rows.concat(), &[]);
    for (latency, at, price) in [
        (0, 0, "0.51"),
        (50, 50, "0.51"),
        // The row of 100 ms is there when the order is.
        (100, 100, "0.61"),
        (250, 250, "0.61"),
    ] {
        let mut trading = no_limits();
        trading.execution.latency_ms = latency;
        let options = BacktestOptions {
            trading,
            ..options()
        };
        let (_, events) = events(&dataset, &buyer(), &options);
        let first = fills(&events).remove(0);
        assert_eq!(
            (first.0, first.1.as_str()),
            (at, price),
            "latency {latency}"
        );
    }
}

#[test]
fn ticks_keep_to_a_schedule_and_books_are_looked_at_between() {
    // Every 25 minutes from 00:00: 0, 25, 50, 75, 100, 125 minutes.
    let rows: Vec<String> = (0..6)
        .map(|row| {
            format!(
                "{},a,A?,0.5,0,ta\n",
                hour(0).plus_millis(row * 1_500_000).millis()
            )
        })
        .collect();
    let dataset = load(&rows.concat(), &[]);
    let ticks = |tick_ms| {
        let rules = ReplayRules {
            tick_ms,
            ..ReplayRules::default()
        };
        let (result, events) = events(&dataset, &buyer(), &BacktestOptions { rules, ..options() });
        assert_eq!(result.report.frames, 6);
        let ticks = events
            .iter()
            .filter(|e| matches!(e.event, LedgerEvent::TickCompleted { .. }));
        ticks
            .map(|event| event.at.since(hour(0)) / 60_000)
            .collect::<Vec<_>>()
    };
    assert_eq!(ticks(None), [0, 25, 50, 75, 100, 125]);
    // Each hour, as long as there was a row since the last: the rows of 125 minutes are seen at 180.
    assert_eq!(ticks(Some(3_600_000)), [0, 60, 120, 180]);
    // Each quarter of an hour, only after rows: 25 is seen at 30, 50 at 60, 100 at 105, 125 at 135.
    assert_eq!(ticks(Some(900_000)), [0, 30, 60, 75, 105, 135]);
}

#[test]
fn fees_follow_the_model_and_a_run_without_says_so() {
    // After 2026-03-30: 2026-06-01 is hour 3624. Own rate 0.02; the schedule has 0.07 for crypto.
    let rows = hourly("a", 3_624, &[0.5, 0.5]);
    let metadata = r#"[{"id":"a","category":"crypto","fee_rate":0.02,"fee_exponent":1}]"#;
    let dataset = load(&rows, &[("markets.json", metadata)]);
    for (fees, rate, noted) in [
        (FeeModel::Market, 0.02, false),
        (FeeModel::Schedule, 0.07, true),
        (FeeModel::None, 0.0, true),
    ] {
        let rules = ReplayRules {
            fees,
            ..ReplayRules::default()
        };
        let (result, events) = events(&dataset, &buyer(), &BacktestOptions { rules, ..options() });
        let (_, price, shares) = fills(&events).remove(0);
        assert_eq!(price, "0.51");
        // Floored to five decimals.
        let fee = shares * rate * 0.51 * 0.49;
        let paid = result.report.metrics.fees;
        assert!((paid - fee).abs() < 1e-5, "{fees:?}: {paid}, not {fee}");
        let first = &result.report.notes[0];
        assert_eq!(first.contains("ee model"), noted, "{first}");
        let own = |note: &&String| note.as_str() == FEE_NOTE;
        assert_eq!(result.report.notes.iter().any(|note| own(&note)), !noted);
    }
}

#[test]
fn a_market_that_is_left_out_is_not_there() {
    let rows = hourly("a", 0, &[0.5, 0.5]) + &hourly("b", 0, &[0.5, 0.5]);
    let dataset = load(
        &rows,
        &[("resolutions.csv", "market_id,resolved_at,outcome\n")],
    );
    let rules = ReplayRules {
        excluded: [true].into(),
        ..ReplayRules::default()
    };
    let (_, events) = events(&dataset, &buyer(), &BacktestOptions { rules, ..options() });
    let text = serde_json::to_string(&events).unwrap();
    assert!(text.contains("\"b\"") && !text.contains("\"a\""), "{text}");
}

#[test]
fn what_is_cancelled_is_the_beginning_of_the_whole() {
    let prices = [0.5, 0.52, 0.48, 0.55, 0.51, 0.53];
    let rows = hourly("a", 0, &prices) + &hourly("b", 2, &prices);
    let dataset = load(&rows, &[]);
    let done = AtomicUsize::new(0);
    let options = BacktestOptions {
        progress: &|frames, _| done.store(frames, Ordering::Relaxed),
        cancelled: &|| done.load(Ordering::Relaxed) == 4,
        ..options()
    };
    let (part, part_events) = events(&dataset, &buyer(), &options);
    assert!(part.partial);
    assert_eq!(part.report.frames, 4);
    assert!(part.report.notes[0].contains("cancelled"));
    let shorter = BacktestOptions {
        end: Some(hour(3)),
        ..super::super::test_support::options()
    };
    let (whole, whole_events) = events(&dataset, &buyer(), &shorter);
    assert_eq!(part_events, whole_events);
    assert_eq!(part.equity, whole.equity);
    assert_eq!(part.report.trades, whole.report.trades);
}

/// Sets the flag after a while and tells how long the run went on after it.
fn stopped_after(dataset: &Dataset, strategy: Slow, wait: Duration) -> (Duration, BacktestResult) {
    let flag = AtomicBool::new(false);
    let options = BacktestOptions {
        cancelled: &|| flag.load(Ordering::Acquire),
        ..options()
    };
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let result = run(dataset, &[Box::new(strategy), Box::new(Buyer)], &options);
            (Instant::now(), result.unwrap())
        });
        std::thread::sleep(wait);
        let told = Instant::now();
        flag.store(true, Ordering::Release);
        let (ended, result) = run.join().unwrap();
        (ended.saturating_duration_since(told), result)
    })
}

/// The shortest of three: other work of the machine is not what is measured.
fn stopped_within(
    dataset: &Dataset,
    pause: u64,
    wait: u64,
    check: impl Fn(&BacktestResult),
) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..3 {
        let slow = Slow(Duration::from_millis(pause));
        let (after, result) = stopped_after(dataset, slow, Duration::from_millis(wait));
        check(&result);
        shortest = shortest.min(after);
        if shortest < Duration::from_millis(100) {
            break;
        }
    }
    shortest
}

#[test]
fn a_long_frame_is_given_up_within_a_tenth_of_a_second() {
    // 400 markets at one moment, 20 ms each: eight seconds for the first frame.
    let rows: String = (0..400)
        .map(|n| hourly(&format!("m{n}"), 0, &[0.5, 0.6]))
        .collect();
    let dataset = load(&rows, &[]);
    let after = stopped_within(&dataset, 20, 300, |result| {
        assert!(result.partial);
        // The frame that was given up has left nothing: not even what another strategy wanted.
        assert_eq!(result.report.frames, 0);
        assert!(result.report.trades.is_empty());
    });
    assert!(after < Duration::from_millis(100), "{after:?}");
}

#[test]
fn few_slow_markets_are_given_up_as_well() {
    let rows: String = (0..5)
        .map(|n| hourly(&format!("m{n}"), 0, &[0.5; 50]))
        .collect();
    let dataset = load(&rows, &[]);
    let after = stopped_within(&dataset, 30, 500, |result| assert!(result.partial));
    assert!(after < Duration::from_millis(100), "{after:?}");
}

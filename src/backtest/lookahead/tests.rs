//! Cheats are caught, the honest pass.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::test_support::{Buyer, Oracle, hour, hourly, load, options};
use super::*;
use crate::domain::Usdc;
use crate::market_data::recorded::Dataset;
use crate::strategy::{Analysis, StrategiesConfig, StrategyContext, StrategyError, StrategySet};

/// Two markets over two days that go up and down and up.
fn rows(until: i64) -> String {
    let price =
        |h: i64, phase: i64| [0.40, 0.46, 0.52, 0.60, 0.50, 0.44][((h + phase) % 6) as usize];
    let of = |id: &str, phase: i64| {
        let prices: Vec<f64> = (0..=until).map(|h| price(h, phase)).collect();
        hourly(id, 0, &prices)
    };
    of("a", 0) + &of("b", 2)
}

type Make<'a> = &'a dyn Fn(&Dataset) -> Vec<Box<dyn Strategy>>;

fn looked_at(strategies: Make<'_>) -> Lookahead {
    let dataset = load(&rows(48), &[]);
    let until = |cut: Timestamp| {
        let hours = cut.since(hour(0)) / 3_600_000;
        Ok::<_, Infallible>(load(&rows(hours), &[]))
    };
    check(&dataset, &options(), 4, &until, strategies)
        .unwrap()
        .1
}

#[test]
fn whoever_reads_ahead_in_the_data_is_caught() {
    let found = looked_at(&|dataset| vec![Box::new(Oracle::of(dataset))]);
    let difference = found.difference.unwrap();
    // 48 hours, four cuts: 48 × 1/5 and 48 × 2/5 are hours 9 and 19. After 9 both prices fall, so nothing
    // is missed (a is at 0.60, b at 0.44); after 19 a rises from 0.46 to 0.52.
    assert_eq!(found.cuts, [hour(9), hour(19)].map(Timestamp::to_rfc3339));
    assert_eq!(difference.cut, found.cuts[1]);
    assert_eq!(difference.at, difference.cut);
    let words = difference.words();
    assert!(
        words.starts_with("LOOK-AHEAD: with the data cut off after"),
        "{words}"
    );
    assert!(
        words.contains("oracle") || words.contains("tick_completed"),
        "{words}"
    );
}

#[test]
fn whoever_remembers_another_run_is_caught() {
    let memory = Oracle::default();
    let found = looked_at(&|_| vec![Box::new(memory.clone())]);
    let difference = found.difference.unwrap();
    // The first run knew nothing, and the second what the first had seen.
    assert!(difference.truncated.contains("oracle"), "{difference:?}");
}

/// Wants nothing where the oracle would buy, and says why.
struct Counting(Oracle);

impl Strategy for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let mut analysis = self.0.analyze(context)?;
        let rises = u32::try_from(analysis.intents.len()).unwrap();
        analysis.intents.clear();
        analysis
            .passed_over
            .insert("it will rise".to_owned(), rises);
        Ok(analysis)
    }
}

/// No event tells of it.
#[test]
fn whoever_only_counts_what_comes_is_caught() {
    let found = looked_at(&|dataset| vec![Box::new(Counting(Oracle::of(dataset)))]);
    let difference = found.difference.unwrap();
    // As above: after hour 19 one market rises.
    assert_eq!(
        (difference.event, &difference.at),
        (None, &hour(19).to_rfc3339())
    );
    assert_eq!(difference.whole, "counting passed over: it will rise 1");
    assert_eq!(difference.truncated, "nothing");
    let words = difference.words();
    assert!(
        words.contains(
            "strategies counted otherwise at 2026-01-01T19:00:00Z. With all data: counting"
        ),
        "{words}"
    );
}

#[test]
fn the_honest_pass() {
    let honest: Make<'_> = &|_| {
        let all = StrategySet::from_config(&StrategiesConfig::default())
            .unwrap()
            .into_vec();
        let mut strategies: Vec<Box<dyn Strategy>> = vec![Box::new(Buyer)];
        strategies.extend(all);
        strategies
    };
    let found = looked_at(honest);
    assert_eq!(found.difference, None);
    assert_eq!(found.cuts.len(), 4);
    assert!(found.compared > 100, "{found:?}");
    // A tick an hour, to hours 9, 19, 28 and 38.
    assert_eq!(found.ticks, 10 + 20 + 29 + 39);
    assert!(found.words().starts_with("No look-ahead found"));
}

/// A reader that lets the future shine through is caught too: here the past of the cut data is another
/// one than that of the whole.
#[test]
fn data_whose_past_depends_on_later_rows_are_caught() {
    let dataset = load(&rows(48), &[]);
    let until = |cut: Timestamp| {
        let hours = cut.since(hour(0)) / 3_600_000;
        Ok::<_, Infallible>(load(&rows(hours).replace("0.46", "0.47"), &[]))
    };
    let honest: Make<'_> = &|_| vec![Box::new(Buyer)];
    let (_, found) = check(&dataset, &options(), 1, &until, honest).unwrap();
    assert!(found.difference.is_some());
}

#[test]
fn one_more_and_one_less_are_differences() {
    use crate::domain::LedgerEvent;
    let event = |seq: u64, amount: i32| StampedEvent {
        seq,
        at: hour(i64::try_from(seq).unwrap()),
        event: LedgerEvent::Deposited {
            amount: Usdc::whole(amount),
        },
    };
    let whole = [event(1, 5), event(2, 6), event(3, 7)];
    assert_eq!(compare(&whole, &whole[..2], hour(2)), (2, None));
    let (same, difference) = compare(&whole, &whole[..1], hour(2));
    let (at, difference) = difference.unwrap();
    assert_eq!((same, difference.event, at), (1, Some(2), hour(2)));
    assert_eq!(difference.truncated, "nothing");
    let (_, difference) = compare(&whole[..1], &whole, hour(2));
    assert_eq!(difference.unwrap().1.whole, "nothing");
}

/// What was found by the time that it was ended is kept, and says how far it went.
#[test]
fn an_interrupted_check_keeps_what_it_has() {
    let dataset = load(&rows(48), &[]);
    for looked_at in 0..4_usize {
        let loaded = AtomicUsize::new(0);
        let until = |cut: Timestamp| {
            // Reading the data for the next cut is given up.
            if loaded.fetch_add(1, Ordering::Relaxed) == looked_at {
                return Err("given up");
            }
            Ok(load(&rows(cut.since(hour(0)) / 3_600_000), &[]))
        };
        let cancelled = || loaded.load(Ordering::Relaxed) > looked_at;
        let options = BacktestOptions {
            cancelled: &cancelled,
            ..options()
        };
        let buyer: Make<'_> = &|_| vec![Box::new(Buyer)];
        let (result, found) = check(&dataset, &options, 4, &until, buyer).unwrap();
        assert!(!result.partial);
        assert!(found.interrupted);
        assert_eq!((found.cuts.len(), &found.difference), (looked_at, &None));
        assert_eq!(found.compared > 0, looked_at > 0);
        let words = found.words();
        assert!(words.contains("was interrupted"), "{words}");
        let told = format!("up to {looked_at} moments");
        assert_eq!(words.contains(&told), looked_at > 0, "{words}");
    }
}

#[test]
fn data_that_cannot_be_had_is_an_error_where_nobody_ended_it() {
    let dataset = load(&rows(48), &[]);
    let until = |_: Timestamp| Err("unreadable");
    let error = check(&dataset, &options(), 4, &until, &|_| vec![Box::new(Buyer)]).unwrap_err();
    assert_eq!(error.to_string(), "unreadable");
}

/// A run that was ended itself is told as far as it went.
#[test]
fn an_interrupted_run_is_partial_and_not_looked_at() {
    let dataset = load(&rows(48), &[]);
    let asked = AtomicUsize::new(0);
    let cancelled = || asked.fetch_add(1, Ordering::Relaxed) > 20;
    let options = BacktestOptions {
        cancelled: &cancelled,
        ..options()
    };
    let until = |_: Timestamp| Err("not to be asked");
    let (result, found) = check(&dataset, &options, 4, &until, &|_| vec![Box::new(Buyer)]).unwrap();
    assert!(result.partial);
    assert!(found.interrupted && found.cuts.is_empty());
}

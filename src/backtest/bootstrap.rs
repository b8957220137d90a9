//! How much of a result is luck: a block bootstrap over markets.
//!
//! What one market earned at one moment and at the next hangs together, and so do the outcomes of a
//! neg-risk event, of which one wins. So whole blocks are drawn, each with all that it earned through
//! time: a block is a neg-risk event, or a market that belongs to none. As many blocks as were traded
//! are drawn with replacement, their results added to the starting balance step by step, and return,
//! Sharpe ratio and drawdown measured; the middle 95 % of many draws is the interval. (Efron and
//! Tibshirani, "An Introduction to the Bootstrap", 1993; the percentile interval.)
//!
//! The same loss drawn several times can be more than there is. An account whose money is gone stays at
//! 0, whatever would have followed: no return is below −100 %, and no drawdown above 100 %.
//!
//! Each draw has its own stream of random numbers and adds exact integers: the result does not depend
//! on how many threads there are.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, Usdc};

use super::metrics::{self, DAILY_FROM};
use super::stats;

/// Draws of the bootstrap.
pub const DRAWS: u32 = 1_000;
/// Fewer blocks than this say nothing of their spread.
pub const LEAST_BLOCKS: usize = 5;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const YEAR_DAYS: f64 = 365.25;

/// What each block had earned at the end of each step, exactly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Paths {
    /// Length of a step, ms; 0 before the start.
    step: i64,
    start: Timestamp,
    /// Step under way.
    current: i64,
    /// By block: step and result so far, where it changed.
    blocks: BTreeMap<String, Vec<(i64, i64)>>,
}

impl Paths {
    /// Moves on to `at`. True when a step ended: then [`Paths::set`] what each block has earned,
    /// before anything of the new step is counted, and [`Paths::step_to`].
    #[must_use]
    pub fn ends_step(&mut self, at: Timestamp) -> bool {
        if self.step == 0 {
            self.step = HOUR;
            self.start = at;
            self.current = at.millis().div_euclid(HOUR);
        }
        at.millis().div_euclid(self.step) > self.current
    }

    /// States what a block had earned at the end of the step under way.
    pub fn set(&mut self, block: &str, earned: Usdc) {
        let micros = earned.micros();
        match self.blocks.get_mut(block) {
            Some(path) => match path.last_mut() {
                Some((step, last)) if *step == self.current => *last = micros,
                Some((_, last)) if *last == micros => {}
                _ => path.push((self.current, micros)),
            },
            None => {
                self.blocks
                    .insert(block.to_owned(), vec![(self.current, micros)]);
            }
        }
    }

    /// Begins the step that `at` lies in. Steps are hours until the run is longer than ten days, and
    /// days from then on.
    pub fn step_to(&mut self, at: Timestamp) {
        if self.step == HOUR && at.since(self.start) > DAILY_FROM {
            self.step = DAY;
            for path in self.blocks.values_mut() {
                let mut days: Vec<(i64, i64)> = Vec::new();
                for (hour, earned) in path.drain(..) {
                    let day = hour.div_euclid(DAY / HOUR);
                    match days.last_mut() {
                        Some((last, value)) if *last == day => *value = earned,
                        _ => days.push((day, earned)),
                    }
                }
                *path = days;
            }
        }
        self.current = at.millis().div_euclid(self.step.max(1));
    }

    /// Blocks that were traded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// True when nothing was traded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// What all blocks together had earned at the end, pUSD.
    #[must_use]
    pub fn total(&self) -> Usdc {
        self.blocks
            .values()
            .filter_map(|path| path.last())
            .map(|(_, micros)| Usdc::from_micros(*micros))
            .sum()
    }

    /// Steps from the first to the one under way.
    fn steps(&self) -> usize {
        let first = self.start.millis().div_euclid(self.step.max(1));
        usize::try_from(self.current - first + 1).unwrap_or(0)
    }

    /// By block: step counted from 0 and what was earned in it, where it was anything.
    fn changes(&self) -> Vec<Vec<(usize, i64)>> {
        let first = self.start.millis().div_euclid(self.step.max(1));
        self.blocks
            .values()
            .map(|path| {
                let mut before = 0;
                path.iter()
                    .filter_map(|(step, earned)| {
                        let change = *earned - before;
                        before = *earned;
                        Some((usize::try_from(step - first).ok()?, change))
                    })
                    .collect()
            })
            .collect()
    }
}

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// 2.5 % of the draws lie below.
    pub low: f64,
    /// 2.5 % of the draws lie above.
    pub high: f64,
}

/// 95 % intervals of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intervals {
    /// Draws that were made.
    pub draws: u32,
    /// Blocks (markets, or neg-risk events) that were drawn from.
    pub blocks: u64,
    /// Total return, as a fraction.
    pub total_return: Option<Interval>,
    /// Sharpe ratio, annualised; over the draws that have one.
    pub sharpe_ratio: Option<Interval>,
    /// Maximum drawdown at the ends of steps, as a fraction.
    pub max_drawdown: Option<Interval>,
    /// Why an interval is null, by its name.
    pub reasons: BTreeMap<String, String>,
}

/// Measures of one draw.
struct Draw {
    total_return: Option<f64>,
    sharpe: Option<f64>,
    drawdown: Option<f64>,
}

/// 95 % intervals by `draws` draws. The same seed gives the same intervals.
#[must_use]
pub fn intervals(paths: &Paths, balance: Usdc, seed: u64, draws: u32) -> Intervals {
    let mut result = Intervals {
        draws,
        blocks: paths.len() as u64,
        ..Intervals::default()
    };
    if paths.len() < LEAST_BLOCKS || balance <= Usdc::ZERO {
        let why = format!(
            "{} markets were traded, and {LEAST_BLOCKS} are needed at least",
            paths.len()
        );
        for name in ["total_return", "sharpe_ratio", "max_drawdown"] {
            result.reasons.insert(name.to_owned(), why.clone());
        }
        result.draws = 0;
        return result;
    }
    let changes = paths.changes();
    let steps = paths.steps();
    let drawn: Vec<Draw> = (0..draws)
        .into_par_iter()
        .map_init(
            || vec![0_i64; steps],
            |sums, number| {
                let mut random = ChaCha8Rng::seed_from_u64(seed);
                random.set_stream(u64::from(number));
                sums.fill(0);
                for _ in 0..changes.len() {
                    let chosen = below(&mut random, changes.len());
                    for (step, change) in changes.get(chosen).into_iter().flatten() {
                        if let Some(sum) = sums.get_mut(*step) {
                            *sum = sum.saturating_add(*change);
                        }
                    }
                }
                measure(sums, balance, paths.step)
            },
        )
        .collect();
    let mut interval = |name: &str, values: Vec<f64>, why: &str| {
        let found = stats::quantile(&values, 0.025).zip(stats::quantile(&values, 0.975));
        // Less than half of the draws would be a selection.
        let found = found.filter(|_| values.len() * 2 >= drawn.len());
        if found.is_none() {
            result.reasons.insert(name.to_owned(), why.to_owned());
        }
        found.map(|(low, high)| Interval { low, high })
    };
    let of = |pick: fn(&Draw) -> Option<f64>| drawn.iter().filter_map(pick).collect();
    let total = interval("total_return", of(|d| d.total_return), "no draw has one");
    let few = "most draws have none: too few steps, no variation, or all money was lost";
    let sharpe = interval("sharpe_ratio", of(|d| d.sharpe), few);
    let fall = interval("max_drawdown", of(|d| d.drawdown), "no draw has one");
    (
        result.total_return,
        result.sharpe_ratio,
        result.max_drawdown,
    ) = (total, sharpe, fall);
    result
}

/// A number from 0 to before `count`, each as likely as the others to within 2⁻⁶⁴ · count.
pub(super) fn below(random: &mut ChaCha8Rng, count: usize) -> usize {
    let wide = u128::from(random.next_u64()) * count as u128;
    usize::try_from(wide >> 64).unwrap_or(0)
}

fn measure(changes: &[i64], balance: Usdc, step: i64) -> Draw {
    let start = balance.to_f64();
    let mut values = Vec::with_capacity(changes.len() + 1);
    values.push(start);
    let mut equity = balance;
    for change in changes {
        if equity > Usdc::ZERO {
            equity = equity.plus(Usdc::from_micros(*change)).max(Usdc::ZERO);
        }
        values.push(equity.to_f64());
    }
    let (mut peak, mut fall) = (start, 0.0_f64);
    for value in &values {
        peak = peak.max(*value);
        fall = fall.max((peak - value) / peak);
    }
    let per_year = (YEAR_DAYS * DAY as f64 / step.max(1) as f64).sqrt();
    let sharpe = metrics::simple_returns(&values).and_then(|returns| {
        let deviation = stats::deviation(&returns).filter(|d| *d > stats::NO_VARIATION)?;
        stats::finite(stats::mean(&returns)? / deviation * per_year)
    });
    Draw {
        total_return: stats::finite(equity.to_f64() / start - 1.0),
        sharpe,
        drawdown: stats::finite(fall),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_secs(1_767_225_600 + hours * 3_600)
    }

    /// Blocks that each earn their number of pUSD at their hour.
    fn paths(earned: &[i32]) -> Paths {
        let mut paths = Paths::default();
        let _ = paths.ends_step(at(0));
        for (hour, earned) in (1..).zip(earned) {
            assert!(paths.ends_step(at(hour)));
            paths.step_to(at(hour));
            paths.set(&format!("m{hour}"), Usdc::whole(*earned));
        }
        paths
    }

    #[test]
    fn blocks_that_all_earn_the_same_leave_no_doubt_of_the_return() {
        let found = intervals(&paths(&[2; 10]), Usdc::whole(1000), 7, 200);
        assert_eq!(found.blocks, 10);
        // Ten draws of 2 pUSD each: 2 % whichever they are. None ever falls.
        let total = found.total_return.unwrap();
        assert!((total.low - 0.02).abs() < 1e-12 && (total.high - 0.02).abs() < 1e-12);
        let fall = found.max_drawdown.unwrap();
        assert_eq!((fall.low, fall.high), (0.0, 0.0));
    }

    #[test]
    fn the_interval_of_the_return_is_that_of_a_sum_of_draws() {
        // Half win 10, half lose 10: the sum of 100 draws has mean 0 and deviation 100 pUSD, which is
        // 10 % of 1,000; 95 % of it lie within ±19.6 %, and the draws make it uncertain by a tenth.
        let earned: Vec<i32> = (0..100)
            .map(|n| if n % 2 == 0 { 10 } else { -10 })
            .collect();
        let found = intervals(&paths(&earned), Usdc::whole(1000), 1, DRAWS);
        let total = found.total_return.unwrap();
        assert!((total.low + 0.196).abs() < 0.03, "{total:?}");
        assert!((total.high - 0.196).abs() < 0.03, "{total:?}");
        assert!(found.max_drawdown.unwrap().high > found.max_drawdown.unwrap().low);
        assert!(found.sharpe_ratio.unwrap().low < 0.0);
    }

    #[test]
    fn what_is_lost_is_lost_once() {
        // 100 pUSD: down to 60, then 80 more than there is left, and a gain that nobody is there for.
        // Without the floor: −20, then 180: a drawdown of 120 % and a return of 80 %.
        let changes = [-40_000_000, -80_000_000, 200_000_000];
        let draw = measure(&changes, Usdc::whole(100), HOUR);
        assert_eq!((draw.total_return, draw.drawdown), (Some(-1.0), Some(1.0)));
        assert_eq!(draw.sharpe, None, "there is no return from 0");
        // Each of five markets loses 60 of 100 pUSD: every draw loses 300, three times what there is.
        let found = intervals(&paths(&[-60; 5]), Usdc::whole(100), 1, 100);
        let (total, fall) = (found.total_return.unwrap(), found.max_drawdown.unwrap());
        assert_eq!((total.low, total.high), (-1.0, -1.0));
        assert_eq!((fall.low, fall.high), (1.0, 1.0));
        assert!(found.reasons["sharpe_ratio"].contains("all money was lost"));
    }

    #[test]
    fn threads_change_nothing_and_the_seed_does() {
        let earned: Vec<i32> = (0..40).map(|n| n * 7 % 23 - 11).collect();
        let paths = paths(&earned);
        let on = |threads: usize, seed: u64| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| intervals(&paths, Usdc::whole(500), seed, 300))
        };
        assert_eq!(on(1, 3), on(4, 3));
        assert_ne!(on(1, 3), on(1, 4));
    }

    #[test]
    fn too_few_markets_have_no_interval_and_say_so() {
        let found = intervals(&paths(&[5; 4]), Usdc::whole(100), 1, 100);
        assert_eq!(found.total_return, None);
        assert!(found.reasons["sharpe_ratio"].starts_with("4 markets"));
    }

    #[test]
    fn hours_become_days_once_the_run_is_long() {
        let mut paths = Paths::default();
        assert!(!paths.ends_step(at(0)));
        for hour in 1..=300 {
            if paths.ends_step(at(hour)) {
                paths.set("a", Usdc::whole(i32::try_from(hour - 1).unwrap()));
                paths.step_to(at(hour));
            }
        }
        paths.set("a", Usdc::whole(300));
        // 300 hours from midnight: days 0 to 12; at the end of day 0 the 23 of hour 23 were earned.
        assert_eq!(paths.steps(), 13);
        let changes = &paths.changes()[0];
        assert_eq!(changes[0], (0, 23_000_000));
        assert_eq!(changes[1], (1, 24_000_000));
        assert_eq!(paths.total(), Usdc::whole(300));
    }
}

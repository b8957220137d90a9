//! Many settings on the same recording, judged by what they do on data that chose nothing.
//!
//! The period is cut into `folds + 1` stretches of equal length. Fold i trains on stretches 0 to i − 1 and
//! is tested on stretch i (walk-forward: the test always lies after all that was trained on). Each
//! setting is run on a fresh account in every training and every test window. What a setting did in the
//! test windows, one after the other, is its out-of-sample result; its in-sample result is that of the
//! last training window, which holds all the others.
//!
//! **Purging.** A market that had a row in a training window and lives on across its end is not traded in
//! the test window: what it was going to do was already in its price, its news and its resolution, which
//! the training has in part seen. Since a market that ended before the boundary has nothing left to trade,
//! this means: only markets whose first row lies in the test window are traded there.
//!
//! The more settings are tried, the better the best of them looks by chance. [`score::deflated_sharpe`]
//! takes that into account.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::{Timestamp, Usdc};
use crate::market_data::recorded::FEE_NOTE;
use crate::strategy::{StrategiesConfig, StrategyConfigError, StrategySet};
use crate::trading::config::TradingConfig;

use super::data::Source;
use super::engine::{self, BacktestError, BacktestOptions, ReplayRules};

mod folds;
pub mod score;
mod space;
mod told;

pub use folds::{Fold, Window};
pub use score::{Score, deflated_sharpe, normal_cdf, normal_quantile};
pub use space::{Axis, Space};

/// Most settings of one sweep.
pub const MOST_TRIALS: usize = 100_000;
/// Most folds.
pub const MOST_FOLDS: usize = 50;

/// One setting.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What it differs in: keys of the configuration and their values.
    pub parameters: Map<String, Value>,
    /// Strategies with their parameters.
    pub strategies: StrategiesConfig,
    /// Limits, sizing, exits, latency.
    pub trading: TradingConfig,
    /// Cash at the start of each window, pUSD.
    pub balance: Usdc,
}

/// How the settings are judged.
pub struct SweepOptions<'a> {
    /// First moment; the recording's first row when `None`.
    pub start: Option<Timestamp>,
    /// Last moment; the recording's last row when `None`.
    pub end: Option<Timestamp>,
    /// Fees, tick schedule.
    pub rules: ReplayRules,
    /// Test windows, 1 to [`MOST_FOLDS`].
    pub folds: usize,
    /// Whether markets seen in training are left out of the test.
    pub purge: bool,
    /// What rows are sorted by.
    pub score: Score,
    /// Told of runs done and in all.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
    /// True ends the sweep: settings that were not run in every window are left out.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The question makes no sense.
    #[error("{0}")]
    Bad(String),
    /// A setting is out of range.
    #[error(transparent)]
    Strategy(#[from] StrategyConfigError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] BacktestError),
    /// It was cancelled before any setting was through.
    #[error("the sweep was cancelled before any setting was through")]
    Cancelled,
}

/// What a setting did in sample or out of sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// What rows are sorted by; null where it is not defined.
    pub score: Option<f64>,
    /// Mean return per step over its sample standard deviation, annualised; null without variation.
    pub sharpe_ratio: Option<f64>,
    /// Compounded over the windows, as a fraction.
    pub total_return: f64,
    /// Positions closed.
    pub trades: u64,
    /// Fills and settlements.
    pub executions: u64,
    /// Steps that returns were taken over.
    pub steps: usize,
}

/// One setting with both of its results: there is no way to show one without the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// From 1, by out-of-sample score.
    pub rank: usize,
    /// What it differs in.
    pub parameters: Map<String, Value>,
    /// On data that chose nothing.
    pub out_of_sample: Sample,
    /// On the last training window.
    pub in_sample: Sample,
    /// True for the one that looked best in sample.
    pub best_in_sample: bool,
    /// Probability that its out-of-sample Sharpe ratio is above what the best of so many settings
    /// without any skill would show; null where it is not defined.
    pub deflated_sharpe: Option<f64>,
}

/// What would have been chosen before a test window, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    /// Windows.
    pub fold: Fold,
    /// The setting with the best score in training; null when none had one.
    pub parameters: Option<Map<String, Value>>,
    /// Its result in training.
    pub in_sample: Option<Sample>,
    /// Its result in the test.
    pub out_of_sample: Option<Sample>,
}

/// What a sweep found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepResult {
    /// Settings tried: what the deflated Sharpe ratio counts.
    pub trials: usize,
    /// Runs made.
    pub runs: usize,
    /// What rows are sorted by.
    pub score: Score,
    /// Whether markets seen in training were left out of the test.
    pub purged: bool,
    /// Length of a step, seconds.
    pub step_seconds: i64,
    /// By out-of-sample score, best first; without one last.
    pub rows: Vec<Row>,
    /// Fold by fold: the best of the training, and its test.
    pub walk_forward: Vec<Choice>,
    /// The choices one after the other: what somebody who sweeps would have had.
    pub chosen: Sample,
    /// True when it was cancelled before its end.
    pub partial: bool,
    /// Remarks: read them before the numbers.
    pub notes: Vec<String>,
}

/// What one run came to.
#[derive(Debug, Clone)]
struct Outcome {
    returns: Vec<f64>,
    trades: u64,
    executions: u64,
}

/// Runs all settings in all windows, on as many threads as the pool has that this is called in. The
/// result does not depend on how many those are.
///
/// Errors: see [`SweepError`].
pub fn sweep<'d>(
    data: impl Into<Source<'d>>,
    trials: &[Trial],
    options: &SweepOptions<'_>,
) -> Result<SweepResult, SweepError> {
    let data = data.into();
    let folds = checked(data, trials, options)?;
    let step = folds.step_ms();
    let windows = folds.windows();
    let total = trials.len() * windows.len();
    let done = AtomicUsize::new(0);
    let jobs: Vec<(usize, usize)> = (0..trials.len())
        .flat_map(|trial| (0..windows.len()).map(move |window| (trial, window)))
        .collect();
    // Before the jobs, so that not each of them puts the rows in order.
    if let Source::Prices(dataset) = data {
        let _ordered = dataset.timeline(options.cancelled);
    }
    let outcomes: Vec<Result<Option<Outcome>, SweepError>> = jobs
        .par_iter()
        .map(|(trial, window)| {
            let (Some(trial), Some((window, excluded))) =
                (trials.get(*trial), windows.get(*window))
            else {
                return Ok(None);
            };
            let outcome = run(data, trial, window, excluded, step, options)?;
            let count = done.fetch_add(1, Ordering::Relaxed) + 1;
            (options.progress)(count, total);
            Ok(outcome)
        })
        .collect();
    let mut by_trial = Vec::with_capacity(trials.len());
    let mut outcomes = outcomes.into_iter();
    for trial in trials {
        let mut whole = Vec::with_capacity(windows.len());
        for outcome in outcomes.by_ref().take(windows.len()) {
            whole.extend(outcome?);
        }
        // One that was cut short tells nothing that could be compared.
        if whole.len() == windows.len() {
            by_trial.push((trial, whole));
        }
    }
    if by_trial.is_empty() {
        return Err(SweepError::Cancelled);
    }
    let partial = by_trial.len() < trials.len();
    let mut result = told::told(&folds, &by_trial, partial, options);
    let known = data.notes().into_iter();
    let stands = |note: &String| options.rules.fees.note().is_none() || note != FEE_NOTE;
    result.notes.extend(known.filter(stands));
    Ok(result)
}

fn checked(
    data: Source<'_>,
    trials: &[Trial],
    options: &SweepOptions<'_>,
) -> Result<folds::Folds, SweepError> {
    if trials.is_empty() || trials.len() > MOST_TRIALS {
        return Err(SweepError::Bad(format!(
            "{} settings; there must be between 1 and {MOST_TRIALS}",
            trials.len()
        )));
    }
    if !(1..=MOST_FOLDS).contains(&options.folds) {
        return Err(SweepError::Bad(format!(
            "{} folds; there must be between 1 and {MOST_FOLDS}",
            options.folds
        )));
    }
    for trial in trials {
        StrategySet::from_config(&trial.strategies)?;
        trial.trading.validate().map_err(SweepError::Bad)?;
    }
    folds::Folds::of(
        data,
        options.start,
        options.end,
        options.folds,
        options.purge,
    )
    .map_err(SweepError::Bad)
}

/// One setting in one window; `None` when it was cut short.
fn run(
    data: Source<'_>,
    trial: &Trial,
    window: &Window,
    excluded: &Arc<[bool]>,
    step: i64,
    options: &SweepOptions<'_>,
) -> Result<Option<Outcome>, SweepError> {
    if (options.cancelled)() {
        return Ok(None);
    }
    let strategies = StrategySet::from_config(&trial.strategies)?;
    let run = BacktestOptions {
        start: Some(window.from),
        end: Some(window.to),
        balance: trial.balance,
        trading: trial.trading.clone(),
        rules: ReplayRules {
            excluded: Arc::clone(excluded),
            ..options.rules.clone()
        },
        title: String::new(),
        progress: &|_, _| {},
        cancelled: options.cancelled,
    };
    match engine::run(data, strategies.as_slice(), &run) {
        Ok(result) if result.partial => Ok(None),
        Ok(result) => Ok(Some(Outcome {
            returns: score::returns(&result.report.equity, trial.balance, window, step),
            trades: result.report.metrics.total_trades,
            executions: result.report.trades.len() as u64,
        })),
        // No market to trade: the account lay still.
        Err(BacktestError::Empty { .. }) => Ok(Some(Outcome {
            returns: score::returns(&[], trial.balance, window, step),
            trades: 0,
            executions: 0,
        })),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;

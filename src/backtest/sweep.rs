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
use crate::market_data::recorded::Dataset;
use crate::strategy::{StrategiesConfig, StrategyConfigError, StrategySet};
use crate::trading::config::TradingConfig;

use super::engine::{self, BacktestError, BacktestOptions, ReplayRules};

mod folds;
pub mod score;
mod space;

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
pub fn sweep(
    dataset: &Dataset,
    trials: &[Trial],
    options: &SweepOptions<'_>,
) -> Result<SweepResult, SweepError> {
    let folds = checked(dataset, trials, options)?;
    let step = folds.step_ms();
    let windows = folds.windows();
    let total = trials.len() * windows.len();
    let done = AtomicUsize::new(0);
    let jobs: Vec<(usize, usize)> = (0..trials.len())
        .flat_map(|trial| (0..windows.len()).map(move |window| (trial, window)))
        .collect();
    let outcomes: Vec<Result<Option<Outcome>, SweepError>> = jobs
        .par_iter()
        .map(|(trial, window)| {
            let (Some(trial), Some((window, excluded))) =
                (trials.get(*trial), windows.get(*window))
            else {
                return Ok(None);
            };
            let outcome = run(dataset, trial, window, excluded, step, options)?;
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
    Ok(told(
        &folds,
        &by_trial,
        by_trial.len() < trials.len(),
        options,
    ))
}

fn checked(
    dataset: &Dataset,
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
        dataset,
        options.start,
        options.end,
        options.folds,
        options.purge,
    )
    .map_err(SweepError::Bad)
}

/// One setting in one window; `None` when it was cut short.
fn run(
    dataset: &Dataset,
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
    match engine::run(dataset, strategies.as_slice(), &run) {
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

/// Outcomes one after the other as one result.
fn sample<'a>(
    outcomes: impl Iterator<Item = &'a Outcome>,
    step: i64,
    score: Score,
) -> (Sample, Vec<f64>) {
    let mut returns = Vec::new();
    let (mut trades, mut executions) = (0, 0);
    for outcome in outcomes {
        returns.extend_from_slice(&outcome.returns);
        trades += outcome.trades;
        executions += outcome.executions;
    }
    let sharpe = score::sharpe(&returns);
    let total_return = returns.iter().fold(1.0, |product, r| product * (1.0 + r)) - 1.0;
    let sharpe_ratio = sharpe.map(|sharpe| sharpe * score::steps_per_year(step).sqrt());
    let sample = Sample {
        score: match score {
            Score::Sharpe => sharpe_ratio,
            // An account that lay still has not earned its place.
            Score::Return => (executions > 0).then_some(total_return),
        },
        sharpe_ratio,
        total_return,
        trades,
        executions,
        steps: returns.len(),
    };
    (sample, returns)
}

/// Index of the best score; the first of equal ones.
fn best<'a>(samples: impl Iterator<Item = &'a Sample>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, sample) in samples.enumerate() {
        if let Some(score) = sample.score
            && best.is_none_or(|(_, before)| score > before)
        {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

/// Outcomes of a trial: training and test of fold 0, of fold 1, and so on.
type Outcomes<'a> = [(&'a Trial, Vec<Outcome>)];

fn told(
    folds: &folds::Folds,
    by_trial: &Outcomes<'_>,
    partial: bool,
    options: &SweepOptions<'_>,
) -> SweepResult {
    let step = folds.step_ms();
    let of = |outcomes: &[Outcome], from: usize, by: usize| {
        sample(outcomes.iter().skip(from).step_by(by), step, options.score)
    };
    let last_training = folds.folds().len().saturating_sub(1) * 2;
    let judged: Vec<(Sample, Vec<f64>, Sample)> = by_trial
        .iter()
        .map(|(_, outcomes)| {
            let (out, returns) = of(outcomes, 1, 2);
            let (inside, _) = of(outcomes, last_training, outcomes.len());
            (out, returns, inside)
        })
        .collect();
    let sharpes: Vec<f64> = judged
        .iter()
        .filter_map(|(_, returns, _)| score::sharpe(returns))
        .collect();
    let best_in_sample = best(judged.iter().map(|(_, _, inside)| inside));
    let mut rows: Vec<Row> = by_trial
        .iter()
        .zip(&judged)
        .enumerate()
        .map(|(index, ((trial, _), (out, returns, inside)))| Row {
            rank: 0,
            parameters: trial.parameters.clone(),
            out_of_sample: out.clone(),
            in_sample: inside.clone(),
            best_in_sample: best_in_sample == Some(index),
            deflated_sharpe: deflated_sharpe(returns, &sharpes, by_trial.len()),
        })
        .collect();
    // Stable: equal ones stay in the order of the settings.
    rows.sort_by(|a, b| {
        let value = |row: &Row| row.out_of_sample.score.unwrap_or(f64::NEG_INFINITY);
        value(b).total_cmp(&value(a))
    });
    for (index, row) in rows.iter_mut().enumerate() {
        row.rank = index + 1;
    }
    let (walk_forward, chosen) = walk(folds, by_trial, step, options.score);
    SweepResult {
        trials: by_trial.len(),
        runs: by_trial.len() * folds.folds().len() * 2,
        score: options.score,
        purged: options.purge,
        step_seconds: step / 1000,
        notes: notes(folds, &rows, partial, options),
        rows,
        walk_forward,
        chosen,
        partial,
    }
}

/// Fold by fold the best of the training with its test, and all of those tests together.
fn walk(
    folds: &folds::Folds,
    by_trial: &Outcomes<'_>,
    step: i64,
    score: Score,
) -> (Vec<Choice>, Sample) {
    let mut choices = Vec::new();
    let mut chosen: Vec<&Outcome> = Vec::new();
    for (number, fold) in folds.folds().iter().enumerate() {
        let training: Vec<Sample> = by_trial
            .iter()
            .map(|(_, outcomes)| sample(outcomes.get(number * 2).into_iter(), step, score).0)
            .collect();
        let index = best(training.iter());
        let found = index.and_then(|index| Some((by_trial.get(index)?, training.get(index)?)));
        let test = found.and_then(|((_, outcomes), _)| outcomes.get(number * 2 + 1));
        chosen.extend(test);
        choices.push(Choice {
            fold: fold.clone(),
            parameters: found.map(|((trial, _), _)| trial.parameters.clone()),
            in_sample: found.map(|(_, training)| training.clone()),
            out_of_sample: test.map(|test| sample(std::iter::once(test), step, score).0),
        });
    }
    (choices, sample(chosen.into_iter(), step, score).0)
}

fn notes(
    folds: &folds::Folds,
    rows: &[Row],
    partial: bool,
    options: &SweepOptions<'_>,
) -> Vec<String> {
    let mut notes = Vec::new();
    if partial {
        notes.push(
            "The sweep was cancelled: settings that were not through every window are left out."
                .to_owned(),
        );
    }
    if options.purge {
        notes.push(
            "Purged: a market that had a row in the training window is not traded in the test window."
                .to_owned(),
        );
    } else {
        notes.push(
            "NOT PURGED: markets that live across a boundary are traded on both sides of it, so the \
             out-of-sample results have in part been seen."
                .to_owned(),
        );
    }
    for (number, fold) in folds.folds().iter().enumerate() {
        if fold.tested == 0 {
            notes.push(format!(
                "Fold {}: no market begins in the test window ({} to {}), so nothing could be traded \
                 there. Use fewer folds or a longer recording.",
                number + 1,
                fold.test.from,
                fold.test.to
            ));
        }
    }
    if rows.iter().all(|row| row.out_of_sample.executions == 0) {
        notes.push("No setting traded out of sample: there is nothing to choose by.".to_owned());
    }
    notes.extend(options.rules.fees.note().map(str::to_owned));
    notes
}

#[cfg(test)]
mod tests;

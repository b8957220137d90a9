//! From the outcomes of all runs to the rows and the walk that are told.

use super::folds::Folds;
use super::score::{self, Score, deflated_sharpe};
use super::{Choice, Outcome, Row, Sample, SweepOptions, SweepResult, Trial};

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

/// Outcomes by setting: training and test of fold 0, of fold 1, and so on.
type Outcomes<'a> = [(&'a Trial, Vec<Outcome>)];

pub(super) fn told(
    folds: &Folds,
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
fn walk(folds: &Folds, by_trial: &Outcomes<'_>, step: i64, score: Score) -> (Vec<Choice>, Sample) {
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

fn notes(folds: &Folds, rows: &[Row], partial: bool, options: &SweepOptions<'_>) -> Vec<String> {
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

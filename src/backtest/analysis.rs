//! What is made of a finished run: intervals, comparisons, diagnoses.
//!
//! Apart from the engine, because a sweep of many runs needs none of it. Costs about one more replay
//! (the favourites) and 1,200 draws.

use std::collections::BTreeMap;

use crate::domain::{Timestamp, Usdc};
use crate::market_data::recorded::Dataset;

use super::baselines::{self, Comparisons, Hold, RANDOM_DRAWS};
use super::books::hidden::{Holding, unseen};
use super::bootstrap::{self, DRAWS};
use super::data::Source;
use super::diagnoses::{self, Diagnosis, Gap};
use super::engine::{BacktestError, BacktestOptions, BacktestResult};
use super::report::ReportInput;

/// What a whole run says whose comparisons were not waited for.
const CUT_SHORT: &str = "Cancelled after the run, before the comparisons were through: the run itself is \
                         whole, and is compared with nothing.";

/// Adds intervals, comparisons and diagnoses to a result. The same seed gives the same on any number
/// of threads. A run that was cancelled, or made without a recording, is compared with nothing.
///
/// Errors: a step of the favourites failed, which is a fault of ours.
pub fn analyse<'d>(
    result: &mut BacktestResult,
    data: Option<impl Into<Source<'d>>>,
    options: &BacktestOptions<'_>,
    seed: u64,
) -> Result<(), BacktestError> {
    let gained = result.equity.minus(result.report.balance);
    let data = data.map(Into::into);
    let report = &result.report;
    let compared_with = data.zip(report.period).filter(|_| !result.partial);
    // One replay goes on by itself, draws are made on all threads.
    let intervals = || bootstrap::intervals(&report.paths, report.balance, seed, DRAWS);
    let (intervals, compared) = rayon::join(intervals, || {
        let (data, (_, end)) = compared_with?;
        Some(compare(report, data, options, (end, gained, seed)))
    });
    let report = &mut result.report;
    report.intervals = intervals;
    if let Some(compared) = compared {
        report.comparisons = compared?;
        if report.comparisons.is_none() {
            report.notes.push(CUT_SHORT.to_owned());
        }
    }
    report.diagnoses = diagnose(report, data, gained);
    Ok(())
}

/// The run, which ended at `end` and gained so much, beside what asks for no skill; `None` when that was
/// cancelled.
fn compare(
    report: &ReportInput,
    data: Source<'_>,
    options: &BacktestOptions<'_>,
    (end, gained, seed): (Timestamp, Usdc, u64),
) -> Result<Option<Comparisons>, BacktestError> {
    let holds = holds(report);
    let spent: Usdc = holds.iter().map(|hold| hold.cost).sum();
    let stake = i64::try_from(holds.len()).ok().filter(|count| *count > 0);
    let stake = stake.map(|count| Usdc::from_micros(spent.micros() / count));
    let draws = (seed, RANDOM_DRAWS);
    let (favourites, random) = rayon::join(
        || baselines::favourites(data, options, stake),
        || baselines::random_trades(data, options, &holds, end, gained, draws),
    );
    let is_whole = random.is_some() || !(options.cancelled)();
    let favourites = favourites?.filter(|_| is_whole);
    Ok(favourites.map(|favourites| Comparisons {
        nothing: 0.0,
        favourites,
        random,
    }))
}

/// All purchases that were held, closed ones and open ones.
fn holds(report: &ReportInput) -> Vec<Hold> {
    let closed = report.closed.iter().map(|one| Hold {
        opened_at: one.opened_at,
        sold_at: (!one.settled).then_some(one.closed_at),
        cost: one.cost,
    });
    let open = report.open_positions.iter().map(|one| Hold {
        opened_at: one.opened_at,
        sold_at: None,
        cost: one.cost,
    });
    closed
        .chain(open)
        .filter(|hold| hold.cost > Usdc::ZERO)
        .collect()
}

fn diagnose(report: &ReportInput, data: Option<Source<'_>>, gained: Usdc) -> Vec<Diagnosis> {
    let metrics = &report.metrics;
    let open: Usdc = report.open_positions.iter().map(|one| one.pnl()).sum();
    let enough = metrics.total_trades >= diagnoses::FEW_TRADES;
    [
        diagnoses::synthetic_book(report.synthetic_fills, report.synthetic_spread),
        diagnoses::rebuilt_book(report.synthetic_fills, report.rebuilt.is_some()),
        diagnoses::halted(&report.halts, report.period),
        diagnoses::too_few_trades(metrics.total_trades),
        diagnoses::within_noise(metrics.total_return, &report.intervals),
        diagnoses::one_market(&report.by_market),
        diagnoses::open_positions(gained, open, report.open_positions.len()),
        diagnoses::edge_below_spread(&report.forecasts, report.synthetic_spread),
        diagnoses::liquidity(report.liquidity),
        gaps(report, data),
        diagnoses::lookahead_suspected(
            &diagnoses::settled_trades(&report.closed),
            metrics.sharpe_ratio.filter(|_| enough),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What the recording does not tell.
fn gaps(report: &ReportInput, data: Option<Source<'_>>) -> Option<Diagnosis> {
    if let Some(Source::Books(recording)) = data {
        let period = report.period?;
        return diagnoses::book_gaps(&unseen(recording, period, &held(report, period.1)));
    }
    let moments: Vec<Timestamp> = report.equity.iter().skip(1).map(|(at, _)| *at).collect();
    diagnoses::data_gaps(
        diagnoses::longest_gap(&moments),
        data.and_then(Source::prices)
            .map_or((0, 0, None), |dataset| held_gaps(report, dataset)),
    )
}

/// All that was held, to the `end` of the run at most.
fn held(report: &ReportInput, end: Timestamp) -> Vec<Holding<'_>> {
    let closed = report.closed.iter().map(|one| Holding {
        market: &one.market_id,
        outcome: &one.outcome,
        from: one.opened_at,
        to: one.closed_at,
    });
    let open = report.open_positions.iter().map(|one| Holding {
        market: &one.market_id,
        outcome: &one.outcome,
        from: one.opened_at,
        to: end,
    });
    closed.chain(open).collect()
}

/// Markets with a gap while they were held, of all that were held, and the longest of these gaps.
fn held_gaps(report: &ReportInput, dataset: &Dataset) -> (usize, usize, Option<Gap>) {
    let end = report
        .period
        .map_or(Timestamp::from_secs(0), |(_, end)| end);
    let mut spans: BTreeMap<&str, (Timestamp, Timestamp)> = BTreeMap::new();
    for one in held(report, end) {
        let span = spans.entry(one.market).or_insert((one.from, one.to));
        *span = (span.0.min(one.from), span.1.max(one.to));
    }
    let mut silent = 0;
    let mut longest: Option<Gap> = None;
    for (market, (from, to)) in &spans {
        let Some(one) = dataset
            .index_of(market)
            .and_then(|index| dataset.series().get(index))
        else {
            continue;
        };
        // Its last rows before count for what is usual.
        let rows = one.points();
        let first = rows
            .partition_point(|row| row.at < *from)
            .saturating_sub(20);
        let last = rows.partition_point(|row| row.at <= *to);
        let all = rows.get(first..last).unwrap_or_default();
        let mut moments: Vec<Timestamp> = all.iter().map(|row| row.at).collect();
        // A row that never came again before the end of the position is a gap too.
        moments.push(*to);
        if let Some(gap) = diagnoses::longest_gap(&moments).filter(|gap| gap.to > *from) {
            silent += 1;
            let length = |gap: &Gap| gap.to.since(gap.from);
            if longest.is_none_or(|known| length(&known) < length(&gap)) {
                longest = Some(gap);
            }
        }
    }
    (silent, spans.len(), longest)
}

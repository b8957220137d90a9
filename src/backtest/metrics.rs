//! What an equity curve, the closed trades and the fair prices acted upon say, in the usual measures.
//!
//! A measure that is not defined (no losses, no variation, too little data) is `None`, `null` in
//! JSON, with the reason under its name in [`Metrics::reasons`]: never 0, never infinite. Definitions
//! and units are in `docs/backtesting.md` too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, Usdc};

mod curve;
mod scores;
mod tally;
mod trades;

pub(super) use curve::simple_returns;
pub use curve::{DAILY_FROM, step_of};
pub use scores::{Forecast, Scores};
pub use tally::{GroupRow, Tally};
pub use trades::{Activity, ClosedTrade, DecisionBook};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const YEAR_DAYS: f64 = 365.25;

/// Measures of a run. Ratios are plain numbers, fractions are of 1 (0.05 is 5 %), money is pUSD.
///
/// A *step* is a UTC day for runs of more than ten days, else an hour. The equity of a step is the
/// last in it, carried over steps without any; the first return is from the first equity of all to
/// the end of the first step in which there is another. "Annualised" means per 365.25 days.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// (last equity − first equity) / first equity, as a fraction. The first is the starting balance.
    pub total_return: Option<f64>,
    /// Mean / sample standard deviation of the returns per step, times the root of steps per year;
    /// no risk-free rate. Null with fewer than two steps or without variation.
    pub sharpe_ratio: Option<f64>,
    /// Largest fall from a peak of the equity, as a fraction of that peak, over every moment and not
    /// only the ends of steps; 0 when it never fell.
    pub max_drawdown: Option<f64>,
    /// Share of closed trades that made money after fees, as a fraction.
    pub win_rate: Option<f64>,
    /// Money made by winning trades / money lost by losing trades, after fees. Null without losses.
    pub profit_factor: Option<f64>,
    /// Number of closed trades: positions sold or settled, each sale counting once.
    pub total_trades: u64,

    /// Equity at the end: cash and positions at the best bid, pUSD.
    pub final_equity: Option<f64>,
    /// Compound annual growth rate: (last / first)^(365.25 days / period) − 1, as a fraction. Null for
    /// runs of less than 30 days.
    pub cagr: Option<f64>,
    /// Mean return per step / root of the mean squared negative return (over all steps), annualised
    /// like the Sharpe ratio. Null with fewer than two steps or without a negative one.
    pub sortino_ratio: Option<f64>,
    /// CAGR / maximum drawdown. Null when either is missing or there was no drawdown.
    pub calmar_ratio: Option<f64>,
    /// Sample standard deviation of the returns per step, annualised, as a fraction.
    pub volatility: Option<f64>,
    /// Mean over all drawdowns of the deepest point of each, as a fraction; 0 when there was none.
    pub average_drawdown: Option<f64>,
    /// Longest time from a peak until equity was back there or the run ended, in hours.
    pub max_drawdown_hours: Option<f64>,
    /// Mean time of all drawdowns, from the peak until equity was back or the run ended, in hours.
    pub average_drawdown_hours: Option<f64>,
    /// Adjusted Fisher–Pearson skewness of the returns per step.
    pub skew: Option<f64>,
    /// Adjusted excess kurtosis of the returns per step; 0 for a normal distribution.
    pub kurtosis: Option<f64>,
    /// Mean of the worst 5 % of the returns per step (of the lowest ⌊0.05·(n−1)⌋+1), as a fraction.
    pub expected_shortfall_5: Option<f64>,
    /// |95 % quantile / 5 % quantile| of the returns per step.
    pub tail_ratio: Option<f64>,
    /// Best return of a UTC day, as a fraction.
    pub best_day: Option<f64>,
    /// Worst return of a UTC day, as a fraction.
    pub worst_day: Option<f64>,
    /// Length of a step in seconds: 86,400 for periods of more than ten days, 3,600 for shorter.
    pub step_seconds: u64,
    /// Number of steps that returns were taken over.
    pub steps: u64,

    /// Closed trades that made money after fees.
    pub winning_trades: u64,
    /// Closed trades that lost money after fees.
    pub losing_trades: u64,
    /// Mean result of a closed trade after fees, pUSD.
    pub expectancy: Option<f64>,
    /// Mean result of the winning trades after fees, pUSD.
    pub average_win: Option<f64>,
    /// Mean result of the losing trades after fees, pUSD, below zero.
    pub average_loss: Option<f64>,
    /// Average win / −average loss.
    pub payoff_ratio: Option<f64>,
    /// Best closed trade after fees, pUSD.
    pub best: Option<f64>,
    /// Worst closed trade after fees, pUSD.
    pub worst: Option<f64>,
    /// Most losing trades in a row, in the order in which they were closed.
    pub max_consecutive_losses: u64,
    /// Mean result of a closed trade after fees as a fraction of its cost, weighted by cost.
    pub return_on_cost: Option<f64>,
    /// Mean time from purchase to sale or settlement, in hours.
    pub average_holding_hours: Option<f64>,

    /// Fees paid, those of positions still open included, pUSD.
    pub fees: f64,
    /// pUSD bought and sold, fees and settlements not counted.
    pub volume: f64,
    /// Volume / mean equity over time, for the whole run.
    pub turnover: Option<f64>,
    /// What taking fills cost against the middle of the book when the order was decided on:
    /// Σ (price − mid) × shares of purchases and (mid − price) × shares of sales, pUSD.
    pub slippage_paid: Option<f64>,
    /// The same against the best price that the order could have had: the cost of walking the book
    /// and of arriving late, without the half spread, pUSD.
    pub slippage_from_best: Option<f64>,
    /// Share of the volume that was filled while resting, as a fraction.
    pub maker_share: Option<f64>,
    /// Share of the time with at least one position, those open at the end included, as a fraction.
    pub exposure: Option<f64>,
    /// Mean over time of positions at their marks / equity, as a fraction.
    pub capital_utilisation: Option<f64>,

    /// Fair prices acted upon whose market has resolved: one for each order with a fill that came from
    /// a signal or quote. Legs of arbitrages state no fair price of their own and are left out.
    pub forecasts: u64,
    /// Mean of (fair price − payout)² over them: 0 is perfect, 0.25 is what 0.5 always gets.
    pub brier_score: Option<f64>,
    /// Mean over them of the Brier score of the middle of the book at that time less that of the fair
    /// price: above zero when the fair prices knew more than the market.
    pub brier_advantage: Option<f64>,
    /// Mean over them of −ln of the probability given to what happened, nats; 0.693 is what 0.5
    /// always gets.
    pub log_score: Option<f64>,
    /// Slope of a logistic regression of the payout on the log-odds of the fair price: 1 is
    /// calibrated, below 1 overconfident, 0 no information.
    pub calibration_slope: Option<f64>,

    /// Why a measure is null, by its name.
    pub reasons: BTreeMap<String, String>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured<'a> {
    /// Equity through time, oldest first, beginning with the starting balance.
    pub curve: &'a [(Timestamp, Usdc)],
    /// Closed trades in the order in which they were closed.
    pub trades: &'a [ClosedTrade],
    /// What trading cost, and how long money was at work; `None` where that is not known.
    pub activity: Option<&'a Activity>,
    /// Fair prices acted upon.
    pub forecasts: &'a [Forecast],
}

impl Metrics {
    /// Measures a run.
    #[must_use]
    pub fn of(measured: &Measured<'_>) -> Self {
        let mut metrics = Metrics::default();
        metrics.measure_curve(measured.curve);
        metrics.measure_trades(measured.trades);
        metrics.measure_activity(measured.activity.unwrap_or(&Activity::default()));
        metrics.measure_forecasts(measured.forecasts);
        metrics
    }

    /// `value`, if there is one; else why not is noted under `name`. A zero has no sign: the sum of
    /// nothing is −0, and −0 + 0 = 0.
    fn because(&mut self, name: &str, value: Option<f64>, why: &str) -> Option<f64> {
        let value = value
            .filter(|value| value.is_finite())
            .map(|value| value + 0.0);
        if value.is_none() {
            self.reasons.insert(name.to_owned(), why.to_owned());
        }
        value
    }
}

#[cfg(test)]
mod tests;

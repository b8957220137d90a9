//! What an equity curve and the closed trades say, in the usual measures.
//!
//! A measure that is not defined (no losses, no variation, too little data) is `None`, `null` in
//! JSON: never 0, never infinite.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, Usdc};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Longer periods are measured in days, shorter ones in hours.
const DAILY_FROM: i64 = 10 * DAY;
const YEAR_DAYS: f64 = 365.25;
/// Deviations below this are rounding errors of equal returns, not variation.
const NO_VARIATION: f64 = 1e-12;

/// A position, or a part of one, from its purchase to its sale or settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedTrade {
    /// Proceeds − cost, fees not counted.
    pub pnl_gross: Usdc,
    /// Fees of purchase and sale together.
    pub fees: Usdc,
    /// When it was bought.
    pub opened_at: Timestamp,
    /// When it was sold or settled.
    pub closed_at: Timestamp,
    /// What it cost, fees not counted.
    pub cost: Usdc,
}

impl ClosedTrade {
    /// What was made or lost after fees.
    #[must_use]
    pub fn pnl_net(&self) -> Usdc {
        self.pnl_gross.minus(self.fees)
    }
}

/// Measures of a run. Ratios are plain numbers, fractions are of 1 (0.05 is 5 %), money is pUSD.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// (last equity − first equity) / first equity, as a fraction.
    pub total_return: Option<f64>,
    /// Mean / sample standard deviation of the returns per step, times the root of steps per year;
    /// no risk-free rate. Null with fewer than two steps or without variation.
    pub sharpe_ratio: Option<f64>,
    /// Mean return per step / root of the mean squared negative return, annualised like the Sharpe
    /// ratio. Null with fewer than two steps or without a negative one.
    pub sortino_ratio: Option<f64>,
    /// Largest fall from a peak of the equity, as a fraction of that peak; 0 when it never fell.
    pub max_drawdown: Option<f64>,
    /// Longest time from a peak until equity was back there or the run ended, in hours.
    pub max_drawdown_hours: Option<f64>,
    /// Sample standard deviation of the returns per step, annualised, as a fraction.
    pub volatility: Option<f64>,
    /// Share of closed trades that made money after fees, as a fraction.
    pub win_rate: Option<f64>,
    /// Money made by winning trades / money lost by losing trades, after fees. Null without losses.
    pub profit_factor: Option<f64>,
    /// Number of closed trades: positions sold or settled, each sale counting once.
    pub total_trades: u64,
    /// Closed trades that made money after fees.
    pub winning_trades: u64,
    /// Closed trades that lost money after fees.
    pub losing_trades: u64,
    /// Mean result of a closed trade after fees, pUSD.
    pub expectancy: Option<f64>,
    /// Best closed trade after fees, pUSD.
    pub best: Option<f64>,
    /// Worst closed trade after fees, pUSD.
    pub worst: Option<f64>,
    /// Mean result of a closed trade after fees as a fraction of its cost, weighted by cost.
    pub return_on_cost: Option<f64>,
    /// Fees paid, those of positions still open included, pUSD.
    pub fees: f64,
    /// Mean time from purchase to sale or settlement, in hours.
    pub average_holding_hours: Option<f64>,
    /// Share of the period in which at least one of the closed trades was open, as a fraction.
    /// Positions still open at the end are not counted.
    pub exposure: Option<f64>,
    /// Length of a step in seconds: 86,400 for periods of more than ten days, 3,600 for shorter.
    pub step_seconds: u64,
    /// Number of steps that returns were taken over.
    pub steps: u64,
}

impl Metrics {
    /// Measures a run from its equity through time (oldest first) and its closed trades.
    ///
    /// Returns are simple ones between UTC days or hours: the last equity in each, carried over
    /// those without any, beginning with the first equity of all.
    #[must_use]
    pub fn of(curve: &[(Timestamp, Usdc)], trades: &[ClosedTrade]) -> Self {
        let mut metrics = Metrics::default();
        metrics.measure_curve(curve);
        metrics.measure_trades(trades);
        metrics.exposure = exposure(curve, trades);
        metrics
    }

    fn measure_curve(&mut self, curve: &[(Timestamp, Usdc)]) {
        let (Some((start, first)), Some((end, last))) = (curve.first(), curve.last()) else {
            return;
        };
        let step = if end.since(*start) > DAILY_FROM {
            DAY
        } else {
            HOUR
        };
        self.step_seconds = (step / 1000).unsigned_abs();
        if *first > Usdc::ZERO {
            self.total_return = finite(last.minus(*first).to_f64() / first.to_f64());
        }
        let (drawdown, hours) = drawdown(curve);
        self.max_drawdown = drawdown;
        self.max_drawdown_hours = hours;
        let Some(returns) = returns(curve, step) else {
            return;
        };
        self.steps = returns.len() as u64;
        if returns.len() < 2 {
            return;
        }
        let count = returns.len() as f64;
        let per_year = (YEAR_DAYS * DAY as f64 / step as f64).sqrt();
        let mean = returns.iter().sum::<f64>() / count;
        let squares: f64 = returns.iter().map(|r| (r - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0)).sqrt();
        let falls: f64 = returns.iter().map(|r| r.min(0.0).powi(2)).sum();
        let downside = (falls / count).sqrt();
        self.volatility = finite(deviation * per_year);
        if deviation > NO_VARIATION {
            self.sharpe_ratio = finite(mean / deviation * per_year);
        }
        if downside > NO_VARIATION {
            self.sortino_ratio = finite(mean / downside * per_year);
        }
    }

    fn measure_trades(&mut self, trades: &[ClosedTrade]) {
        let net: Vec<Usdc> = trades.iter().map(ClosedTrade::pnl_net).collect();
        let won: Usdc = net.iter().copied().filter(|pnl| *pnl > Usdc::ZERO).sum();
        let lost: Usdc = net.iter().copied().filter(|pnl| *pnl < Usdc::ZERO).sum();
        let total: Usdc = net.iter().copied().sum();
        let cost: Usdc = trades.iter().map(|trade| trade.cost).sum();
        let count_of = |wanted: fn(&&Usdc) -> bool| net.iter().filter(wanted).count() as u64;
        self.total_trades = net.len() as u64;
        self.winning_trades = count_of(|pnl| **pnl > Usdc::ZERO);
        self.losing_trades = count_of(|pnl| **pnl < Usdc::ZERO);
        self.fees = trades.iter().map(|trade| trade.fees).sum::<Usdc>().to_f64();
        self.best = net.iter().max().map(|pnl| pnl.to_f64());
        self.worst = net.iter().min().map(|pnl| pnl.to_f64());
        if cost > Usdc::ZERO {
            self.return_on_cost = finite(total.to_f64() / cost.to_f64());
        }
        if lost < Usdc::ZERO {
            self.profit_factor = finite(won.to_f64() / -lost.to_f64());
        }
        if net.is_empty() {
            return;
        }
        let count = net.len() as f64;
        self.win_rate = finite(self.winning_trades as f64 / count);
        self.expectancy = finite(total.to_f64() / count);
        let held: f64 = trades
            .iter()
            .map(|trade| trade.closed_at.since(trade.opened_at) as f64)
            .sum();
        self.average_holding_hours = finite(held / count / HOUR as f64);
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Simple returns per step; `None` when some equity is not above zero, where a return has no
/// meaning.
fn returns(curve: &[(Timestamp, Usdc)], step: i64) -> Option<Vec<f64>> {
    let (start, first) = curve.first()?;
    let bucket = |at: Timestamp| at.millis().div_euclid(step);
    let mut values = vec![first.to_f64()];
    let mut current = bucket(*start);
    // The first step counts only if something happened in it after the first equity.
    let mut pending = None;
    for (at, equity) in curve.iter().skip(1) {
        let here = bucket(*at);
        if here > current {
            // What was pending ends its step, and is carried over the steps without any equity.
            let gap = usize::try_from(here - current).ok()?;
            let carried = values.last().copied()?;
            match pending.take() {
                Some(value) => values.resize(values.len() + gap, value),
                None => values.resize(values.len() + gap - 1, carried),
            }
            current = here;
        }
        pending = Some(equity.to_f64());
    }
    values.extend(pending);
    if values.iter().any(|value| *value <= 0.0) {
        return None;
    }
    Some(
        values
            .iter()
            .zip(values.iter().skip(1))
            .map(|(before, after)| after / before - 1.0)
            .collect(),
    )
}

/// Largest fall as a fraction of the peak before it, and the longest time below a peak in hours.
fn drawdown(curve: &[(Timestamp, Usdc)]) -> (Option<f64>, Option<f64>) {
    let Some((start, first)) = curve.first() else {
        return (None, None);
    };
    let (mut peak, mut peak_at) = (*first, *start);
    let (mut worst, mut longest) = (0.0_f64, 0_i64);
    let mut under = false;
    for (at, equity) in curve {
        if *equity >= peak {
            if under {
                longest = longest.max(at.since(peak_at));
            }
            (peak, peak_at, under) = (*equity, *at, false);
        } else {
            under = true;
            longest = longest.max(at.since(peak_at));
            if peak > Usdc::ZERO {
                worst = worst.max(peak.minus(*equity).to_f64() / peak.to_f64());
            }
        }
    }
    let meaningful = peak > Usdc::ZERO;
    (
        meaningful.then_some(worst),
        finite(longest as f64 / HOUR as f64),
    )
}

/// Share of the curve's period that the union of the trades' holding times covers.
fn exposure(curve: &[(Timestamp, Usdc)], trades: &[ClosedTrade]) -> Option<f64> {
    let (start, end) = (curve.first()?.0, curve.last()?.0);
    let period = end.since(start);
    if period <= 0 {
        return None;
    }
    let mut held: Vec<(Timestamp, Timestamp)> = trades
        .iter()
        .map(|trade| (trade.opened_at.max(start), trade.closed_at.min(end)))
        .filter(|(from, to)| from < to)
        .collect();
    held.sort_unstable();
    let mut covered = 0;
    let mut until = start;
    for (from, to) in held {
        covered += to.since(from.max(until)).max(0);
        until = until.max(to);
    }
    finite(covered as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_secs(1_767_225_600 + hours * 3_600)
    }

    fn curve(points: &[(i64, i32)]) -> Vec<(Timestamp, Usdc)> {
        points
            .iter()
            .map(|(hours, equity)| (at(*hours), Usdc::whole(*equity)))
            .collect()
    }

    fn close(actual: Option<f64>, expected: f64) {
        let actual = actual.expect("a value");
        assert!(
            (actual - expected).abs() < 1e-9 * expected.abs().max(1.0),
            "{actual} is not {expected}"
        );
    }

    /// Expected numbers: Python's `statistics` module on the daily series
    /// 1000, 1010, 1005, 1005, 1030, 990, 1000, 1040, 1035, 1035, 1050, 1060, 1050.
    #[test]
    fn daily_measures_agree_with_an_independent_computation() {
        let equity = [
            1000, 1010, 1005, 1005, 1030, 990, 1000, 1040, 1035, 1035, 1050, 1060, 1050,
        ];
        let points: Vec<(i64, i32)> = (0..).map(|day| day * 24).zip(equity).collect();
        let metrics = Metrics::of(&curve(&points), &[]);
        assert_eq!((metrics.step_seconds, metrics.steps), (86_400, 12));
        close(metrics.total_return, 0.05);
        close(metrics.sharpe_ratio, 4.1790124863592);
        close(metrics.sortino_ratio, 6.9331831217747);
        close(metrics.volatility, 0.3712074307129);
        // From 1030 on day 4 to 990 on day 5.
        close(metrics.max_drawdown, 40.0 / 1030.0);
        // Below 1030 from day 4 to day 7.
        close(metrics.max_drawdown_hours, 72.0);
        assert_eq!(metrics.win_rate, None);
    }

    #[test]
    fn uneven_points_are_taken_at_the_end_of_each_step() {
        // Hours 0 (first equity and one later point), 1 none, 2 two points, 5 one.
        let mut points = curve(&[(0, 100), (2, 90), (5, 121)]);
        points.insert(1, (at(0).plus_millis(1_800_000), Usdc::whole(105)));
        points.insert(3, (at(2).plus_millis(60_000), Usdc::whole(110)));
        let steps = returns(&points, HOUR).unwrap();
        // 100 → 105 in hour 0, 105 in hour 1, 110 in hour 2, 110 in hours 3 and 4, 121 in hour 5.
        let expected = [0.05, 0.0, 5.0 / 105.0, 0.0, 0.0, 0.1];
        assert_eq!(steps.len(), expected.len());
        for (step, expected) in steps.iter().zip(expected) {
            assert!((step - expected).abs() < 1e-12, "{step} is not {expected}");
        }
        // With nothing but the first equity in hour 0, the first return is that of hour 1.
        let steps = returns(&curve(&[(0, 100), (1, 110), (3, 121)]), HOUR).unwrap();
        assert_eq!(steps.len(), 3);
        assert!((steps[0] - 0.1).abs() < 1e-12 && steps[1] == 0.0);
    }

    #[test]
    fn measures_that_are_not_defined_are_absent() {
        let nothing = Metrics::of(&[], &[]);
        assert_eq!(nothing, Metrics::default());
        let flat = Metrics::of(&curve(&[(0, 100), (5, 100), (9, 100)]), &[]);
        assert_eq!(flat.total_return, Some(0.0));
        assert_eq!(flat.max_drawdown, Some(0.0));
        assert_eq!(flat.volatility, Some(0.0));
        assert_eq!(flat.sharpe_ratio, None);
        assert_eq!(flat.sortino_ratio, None);
        let single = Metrics::of(&curve(&[(0, 100)]), &[]);
        assert_eq!((single.total_return, single.steps), (Some(0.0), 0));
        let ruined = Metrics::of(&curve(&[(0, 100), (1, -5), (2, -8)]), &[]);
        assert_eq!(ruined.sharpe_ratio, None);
        close(ruined.max_drawdown, 1.08);
        let json = serde_json::to_value(&nothing).unwrap();
        assert!(json["sharpe_ratio"].is_null());
        // A steady rise varies only by rounding errors: 1 % per hour.
        let steady: Vec<(Timestamp, Usdc)> = [100.0, 101.0, 102.01, 103.0301]
            .into_iter()
            .zip(0..)
            .map(|(equity, hour)| (at(hour), Usdc::from_f64(equity).unwrap()))
            .collect();
        assert_eq!(Metrics::of(&steady, &[]).sharpe_ratio, None);
    }

    fn trade(gross: &str, fees: &str, cost: i32, hours: (i64, i64)) -> ClosedTrade {
        ClosedTrade {
            pnl_gross: Usdc::parse(gross).unwrap(),
            fees: Usdc::parse(fees).unwrap(),
            opened_at: at(hours.0),
            closed_at: at(hours.1),
            cost: Usdc::whole(cost),
        }
    }

    #[test]
    fn trades_are_judged_after_fees() {
        let trades = [
            trade("10", "0.5", 100, (0, 10)),
            // Made money before fees only.
            trade("0.3", "0.5", 50, (5, 20)),
            trade("-4", "0.3", 40, (30, 40)),
            trade("2.5", "0", 10, (38, 42)),
        ];
        let metrics = Metrics::of(&curve(&[(0, 1000), (100, 1007)]), &trades);
        assert_eq!(
            (
                metrics.total_trades,
                metrics.winning_trades,
                metrics.losing_trades
            ),
            (4, 2, 2)
        );
        close(metrics.win_rate, 0.5);
        // (9.5 + 2.5) / (0.2 + 4.3)
        close(metrics.profit_factor, 12.0 / 4.5);
        close(metrics.expectancy, 7.5 / 4.0);
        close(metrics.best, 9.5);
        close(metrics.worst, -4.3);
        close(Some(metrics.fees), 1.3);
        close(metrics.return_on_cost, 7.5 / 200.0);
        // (10 + 15 + 10 + 4) / 4
        close(metrics.average_holding_hours, 9.75);
        // 0–20 and 30–42 of 100 hours.
        close(metrics.exposure, 0.32);
        let winners = Metrics::of(&[], &trades[..1]);
        assert_eq!(winners.profit_factor, None, "nothing was lost");
        assert_eq!(winners.exposure, None);
    }

    proptest! {
        #[test]
        fn steps_compound_to_the_total_return(
            steps in prop::collection::vec((1_i64..50_000_000, 1_000_000_i64..5_000_000_000), 2..60)
        ) {
            let mut moment = 1_767_225_600_123;
            let curve: Vec<(Timestamp, Usdc)> = steps
                .iter()
                .map(|(gap, equity)| {
                    moment += gap;
                    (Timestamp::from_millis(moment), Usdc::from_micros(*equity))
                })
                .collect();
            let metrics = Metrics::of(&curve, &[]);
            let compounded: f64 = returns(&curve, HOUR).unwrap().iter().map(|r| 1.0 + r).product();
            let total = metrics.total_return.unwrap() + 1.0;
            prop_assert!((compounded / total - 1.0).abs() < 1e-9);
            let drawdown = metrics.max_drawdown.unwrap();
            prop_assert!((0.0..1.0).contains(&drawdown));
            for value in [metrics.sharpe_ratio, metrics.sortino_ratio, metrics.volatility] {
                prop_assert!(value.is_none_or(f64::is_finite));
            }
        }
    }
}

//! Measures of the equity curve.

use crate::backtest::stats;
use crate::domain::{Timestamp, Usdc};

use super::{DAY, HOUR, Metrics, YEAR_DAYS};

/// Longer periods are measured in days, shorter ones in hours; ms.
pub const DAILY_FROM: i64 = 10 * DAY;
/// A yearly rate is not told of a shorter run; ms.
const LEAST_FOR_A_YEAR: i64 = 30 * DAY;
const TAIL: f64 = 0.05;

const NO_EQUITY: &str = "there is no equity curve";
const NOT_ABOVE_ZERO: &str = "the equity is not above zero throughout";
const FEW_STEPS: &str = "there are fewer than two steps";
const NO_VARIATION: &str = "the returns do not vary";

/// Length of a step for a run of `period` ms, ms.
#[must_use]
pub fn step_of(period: i64) -> i64 {
    if period > DAILY_FROM { DAY } else { HOUR }
}

impl Metrics {
    pub(super) fn measure_curve(&mut self, curve: &[(Timestamp, Usdc)]) {
        let (Some((start, first)), Some((end, last))) = (curve.first(), curve.last()) else {
            for name in [
                "total_return",
                "final_equity",
                "cagr",
                "calmar_ratio",
                "max_drawdown",
                "average_drawdown",
                "max_drawdown_hours",
                "average_drawdown_hours",
                "best_day",
                "worst_day",
            ] {
                self.because(name, None, NO_EQUITY);
            }
            return self.measure_returns(None);
        };
        let period = end.since(*start);
        let step = step_of(period);
        self.step_seconds = (step / 1000).unsigned_abs();
        self.final_equity = Some(last.to_f64());
        let growth = (*first > Usdc::ZERO).then(|| last.to_f64() / first.to_f64());
        let total = (*first > Usdc::ZERO).then(|| last.minus(*first).to_f64() / first.to_f64());
        self.total_return = self.because("total_return", total, "the first equity is not above 0");
        self.measure_drawdowns(curve);
        let yearly = growth
            .filter(|growth| *growth > 0.0 && period >= LEAST_FOR_A_YEAR)
            .map(|growth| growth.powf(YEAR_DAYS * DAY as f64 / period as f64) - 1.0);
        let why = if period < LEAST_FOR_A_YEAR {
            "the run is shorter than 30 days: a yearly rate would be guessed"
        } else {
            NOT_ABOVE_ZERO
        };
        self.cagr = self.because("cagr", yearly, why);
        let calmar = self
            .cagr
            .zip(self.max_drawdown.filter(|fall| *fall > 0.0))
            .map(|(yearly, fall)| yearly / fall);
        let why = if self.cagr.is_none() {
            "there is no CAGR"
        } else {
            "there was no drawdown"
        };
        self.calmar_ratio = self.because("calmar_ratio", calmar, why);
        self.measure_returns(returns(curve, step).as_deref());
        let days = returns(curve, DAY).unwrap_or_default();
        let why = "there is no day with a return, or the equity is not above zero";
        let best = days.iter().copied().reduce(f64::max);
        self.best_day = self.because("best_day", best, why);
        let worst = days.iter().copied().reduce(f64::min);
        self.worst_day = self.because("worst_day", worst, why);
    }

    fn measure_drawdowns(&mut self, curve: &[(Timestamp, Usdc)]) {
        let falls = drawdowns(curve);
        let deepest = falls.iter().map(|fall| fall.depth).fold(0.0, f64::max);
        let longest = falls.iter().map(|fall| fall.ms).max().unwrap_or(0);
        let count = falls.len().max(1) as f64;
        let meaningful = curve.iter().any(|(_, equity)| *equity > Usdc::ZERO);
        let hours = |ms: f64| Some(ms / HOUR as f64).filter(|_| meaningful);
        let share = |value: f64| Some(value).filter(|_| meaningful);
        let why = "the equity was never above zero";
        self.max_drawdown = self.because("max_drawdown", share(deepest), why);
        self.max_drawdown_hours = self.because("max_drawdown_hours", hours(longest as f64), why);
        let mean = falls.iter().map(|fall| fall.depth).sum::<f64>() / count;
        self.average_drawdown = self.because("average_drawdown", share(mean), why);
        let mean = falls.iter().map(|fall| fall.ms as f64).sum::<f64>() / count;
        self.average_drawdown_hours = self.because("average_drawdown_hours", hours(mean), why);
    }

    /// `None`: some equity is not above zero, or there is none.
    fn measure_returns(&mut self, returns: Option<&[f64]>) {
        let steps = returns.unwrap_or_default();
        self.steps = steps.len() as u64;
        let per_year = if self.step_seconds > 0 {
            (YEAR_DAYS * DAY as f64 / 1000.0 / self.step_seconds as f64).sqrt()
        } else {
            0.0
        };
        let enough = steps.len() >= 2;
        let too_few = match returns {
            None => NOT_ABOVE_ZERO,
            Some(_) => FEW_STEPS,
        };
        let why = |otherwise: &'static str| if enough { otherwise } else { too_few };
        let mean = stats::mean(steps).filter(|_| enough);
        let deviation = stats::deviation(steps);
        let downside = stats::downside(steps);
        let varied = deviation.filter(|d| *d > stats::NO_VARIATION);
        let volatility = deviation.map(|d| d * per_year);
        self.volatility = self.because("volatility", volatility, why(FEW_STEPS));
        let sharpe = mean.zip(varied).map(|(mean, d)| mean / d * per_year);
        self.sharpe_ratio = self.because("sharpe_ratio", sharpe, why(NO_VARIATION));
        let sortino = mean
            .zip(downside.filter(|d| *d > stats::NO_VARIATION))
            .map(|(mean, d)| mean / d * per_year);
        let why_not = why("no step lost money");
        self.sortino_ratio = self.because("sortino_ratio", sortino, why_not);
        let few = "there are fewer than three steps, or the returns do not vary";
        self.skew = self.because("skew", stats::skewness(steps), few);
        let few = "there are fewer than four steps, or the returns do not vary";
        self.kurtosis = self.because("kurtosis", stats::excess_kurtosis(steps), few);
        let shortfall = stats::expected_shortfall(steps, TAIL).filter(|_| enough);
        self.expected_shortfall_5 = self.because("expected_shortfall_5", shortfall, why(FEW_STEPS));
        let tails = stats::quantile(steps, 1.0 - TAIL)
            .zip(stats::quantile(steps, TAIL).filter(|low| low.abs() > stats::NO_VARIATION))
            .filter(|_| enough)
            .map(|(high, low)| (high / low).abs());
        self.tail_ratio = self.because("tail_ratio", tails, why("the 5 % quantile is 0"));
    }
}

/// Equity at the ends of the steps, beginning with the first of all.
pub(super) fn resampled(curve: &[(Timestamp, Usdc)], step: i64) -> Option<Vec<f64>> {
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
    Some(values)
}

/// Simple returns per step; `None` when some equity is not above zero, where a return has no
/// meaning.
pub(super) fn returns(curve: &[(Timestamp, Usdc)], step: i64) -> Option<Vec<f64>> {
    simple_returns(&resampled(curve, step)?)
}

/// Simple returns of a series of values; `None` when some value is not above zero.
pub(in crate::backtest) fn simple_returns(values: &[f64]) -> Option<Vec<f64>> {
    if values.iter().any(|value| *value <= 0.0) {
        return None;
    }
    let pairs = values.iter().zip(values.iter().skip(1));
    Some(pairs.map(|(before, after)| after / before - 1.0).collect())
}

/// One time below a peak.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Drawdown {
    /// Deepest fall as a fraction of the peak.
    depth: f64,
    /// From the peak until equity was back there, or the end, ms.
    ms: i64,
}

fn drawdowns(curve: &[(Timestamp, Usdc)]) -> Vec<Drawdown> {
    let Some((start, first)) = curve.first() else {
        return Vec::new();
    };
    let (mut peak, mut peak_at) = (*first, *start);
    let mut falls = Vec::new();
    let mut open: Option<Drawdown> = None;
    for (at, equity) in curve {
        if *equity >= peak {
            if let Some(mut fall) = open.take() {
                fall.ms = at.since(peak_at);
                falls.push(fall);
            }
            (peak, peak_at) = (*equity, *at);
        } else {
            let depth = if peak > Usdc::ZERO {
                peak.minus(*equity).to_f64() / peak.to_f64()
            } else {
                0.0
            };
            let ms = at.since(peak_at);
            let fall = open.get_or_insert(Drawdown { depth, ms });
            fall.depth = fall.depth.max(depth);
            fall.ms = ms;
        }
    }
    falls.extend(open);
    falls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_secs(1_767_225_600 + hours * 3_600)
    }

    fn curve(points: &[(i64, i32)]) -> Vec<(Timestamp, Usdc)> {
        let point = |(hours, equity): &(i64, i32)| (at(*hours), Usdc::whole(*equity));
        points.iter().map(point).collect()
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
    fn drawdowns_are_told_apart() {
        // 100 → 90 → 100 (3 h, 10 %), 120 → 60 → 90 until the end (4 h, 50 %).
        let falls = drawdowns(&curve(&[
            (0, 100),
            (1, 95),
            (2, 90),
            (3, 100),
            (5, 120),
            (6, 60),
            (9, 90),
        ]));
        let expected = [(0.1, 3), (0.5, 4)];
        assert_eq!(falls.len(), 2);
        for (fall, (depth, hours)) in falls.iter().zip(expected) {
            assert!((fall.depth - depth).abs() < 1e-12);
            assert_eq!(fall.ms, hours * HOUR);
        }
        assert!(drawdowns(&curve(&[(0, 100), (1, 100), (2, 101)])).is_empty());
    }
}

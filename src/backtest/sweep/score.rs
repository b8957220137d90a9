//! Returns at equal steps, their Sharpe ratio, and what is left of it after so many trials.

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, Usdc};

use super::Window;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const YEAR: f64 = 365.25 * DAY as f64;
/// Periods longer than this are measured in days, shorter ones in hours.
const DAILY_FROM: i64 = 10 * DAY;
/// Deviations below this are rounding errors of equal returns, not variation.
const NO_VARIATION: f64 = 1e-12;
/// Euler's constant γ.
const EULER: f64 = 0.577_215_664_901_532_9;

/// What settings are sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Score {
    /// The annualised Sharpe ratio.
    #[default]
    Sharpe,
    /// The total return.
    Return,
}

/// Length of a step for a period, ms: a day from ten days on, else an hour.
pub(super) fn step_for(period: i64) -> i64 {
    if period > DAILY_FROM { DAY } else { HOUR }
}

/// Steps in a year.
pub(super) fn steps_per_year(step: i64) -> f64 {
    YEAR / step as f64
}

/// Simple returns between equal steps from the beginning of the window to its end, a last shorter step
/// included: the last equity in each, `balance` before there was any, and carried over steps without any.
pub(super) fn returns(
    curve: &[(Timestamp, Usdc)],
    balance: Usdc,
    window: &Window,
    step: i64,
) -> Vec<f64> {
    let mut returns = Vec::new();
    let mut points = curve.iter().peekable();
    let mut before = balance.to_f64();
    let mut from = window.from;
    while from <= window.to {
        let to = from.plus_millis(step);
        let mut equity = before;
        while let Some((_, value)) = points.next_if(|(at, _)| *at < to) {
            equity = value.to_f64();
        }
        let change = if before > 0.0 {
            equity / before - 1.0
        } else {
            0.0
        };
        returns.push(change);
        before = equity;
        from = to;
    }
    returns
}

/// Mean over sample standard deviation, per step; `None` with fewer than two returns or without
/// variation.
#[must_use]
pub fn sharpe(returns: &[f64]) -> Option<f64> {
    let moments = Moments::of(returns)?;
    Some(moments.mean / moments.deviation)
}

/// Mean, sample standard deviation, skewness and (not excess) kurtosis.
struct Moments {
    mean: f64,
    deviation: f64,
    skewness: f64,
    kurtosis: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Option<Self> {
        if values.len() < 2 {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let central =
            |power: i32| values.iter().map(|v| (v - mean).powi(power)).sum::<f64>() / count;
        let variance = central(2);
        let deviation = (variance * count / (count - 1.0)).sqrt();
        (deviation > NO_VARIATION).then(|| Moments {
            mean,
            deviation,
            skewness: central(3) / variance.powf(1.5),
            kurtosis: central(4) / (variance * variance),
        })
    }
}

/// The deflated Sharpe ratio (Bailey and López de Prado 2014, *The Deflated Sharpe Ratio: Correcting for
/// Selection Bias, Backtest Overfitting and Non-Normality*): the probability, 0–1, that the true Sharpe
/// ratio behind `returns` is above what the best of `trials` settings without skill is expected to show.
///
/// With SR the Sharpe ratio per step of `returns`, T their number, γ₃ their skewness, γ₄ their kurtosis (3
/// for a normal distribution), V the sample variance of the Sharpe ratios per step of all trials
/// (`sharpes`), N the number of trials, γ Euler's constant and Φ the normal distribution:
///
/// SR₀ = √V · ((1 − γ) · Φ⁻¹(1 − 1/N) + γ · Φ⁻¹(1 − 1/(N·e)))
///
/// DSR = Φ((SR − SR₀) · √(T − 1) / √(1 − γ₃·SR + (γ₄ − 1)/4 · SR²))
///
/// One trial has SR₀ = 0: nothing was selected. `None` where a Sharpe ratio is not defined, with several
/// trials of which fewer than two have one, or where the root is not real.
#[must_use]
pub fn deflated_sharpe(returns: &[f64], sharpes: &[f64], trials: usize) -> Option<f64> {
    let moments = Moments::of(returns)?;
    let ratio = moments.mean / moments.deviation;
    let expected = match trials {
        0 => return None,
        1 => 0.0,
        trials => expected_maximum(trials) * deviation(sharpes)?,
    };
    probability(ratio, expected, &moments, returns.len())
}

/// The probability that the true ratio is above `expected`, where `ratio` was seen in so many steps.
fn probability(ratio: f64, expected: f64, moments: &Moments, steps: usize) -> Option<f64> {
    let spread = 1.0 - moments.skewness * ratio + (moments.kurtosis - 1.0) / 4.0 * ratio * ratio;
    let steps = steps as f64;
    (spread > 0.0).then(|| normal_cdf((ratio - expected) * (steps - 1.0).sqrt() / spread.sqrt()))
}

/// Expected largest of so many draws from a standard normal distribution, as that paper estimates it.
fn expected_maximum(trials: usize) -> f64 {
    let count = trials as f64;
    (1.0 - EULER) * normal_quantile(1.0 - 1.0 / count)
        + EULER * normal_quantile(1.0 - 1.0 / (count * std::f64::consts::E))
}

/// Sample standard deviation; 0 for values that are all equal. `None` of fewer than two.
fn deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    Some((squares / (count - 1.0)).sqrt())
}

/// The standard normal distribution function Φ, by the series of Marsaglia (2004, *Evaluating the Normal
/// Distribution*): to about 1e-15 in absolute terms.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() > 8.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let square = x * x;
    let (mut sum, mut before, mut term, mut odd) = (x, 0.0, x, 1.0);
    while sum != before {
        before = sum;
        odd += 2.0;
        term *= square / odd;
        sum += term;
    }
    // ln √(2π)
    0.5 + sum * (-0.5 * square - 0.918_938_533_204_672_8).exp()
}

/// Φ⁻¹ by halving −8 to 8: to about 1e-14 in the middle, where Φ itself is exact to 1e-15.
#[must_use]
pub fn normal_quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (-8.0_f64, 8.0_f64);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if normal_cdf(middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests;

//! Statistics of plain numbers: moments, quantiles, tails, and a logistic regression.
//!
//! Where a quantity has no value for the numbers given, the answer is `None` (or says why not): never
//! a NaN, never an infinity.

/// Deviations below this are rounding errors of equal numbers, not variation.
pub const NO_VARIATION: f64 = 1e-12;

/// Steps after which a regression that has not settled is given up.
const MAX_STEPS: usize = 200;
/// A step of the regression smaller than this ends it.
const SETTLED: f64 = 1e-12;

/// Arithmetic mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation, with `n − 1`; `None` of fewer than two.
#[must_use]
pub fn deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() as f64 - 1.0)).sqrt())
}

/// Root of the mean square of what lies below zero, over all values; `None` of nothing.
#[must_use]
pub fn downside(values: &[f64]) -> Option<f64> {
    let squares: f64 = values.iter().map(|v| v.min(0.0).powi(2)).sum();
    (!values.is_empty()).then(|| (squares / values.len() as f64).sqrt())
}

/// Sums of the second, third and fourth powers of the distances from the mean.
fn moments(values: &[f64]) -> Option<(f64, f64, f64)> {
    let centre = mean(values)?;
    let sum = |power: i32| values.iter().map(|v| (v - centre).powi(power)).sum::<f64>();
    Some((sum(2), sum(3), sum(4)))
}

/// Adjusted Fisher–Pearson skewness `G1 = √(n(n−1))/(n−2) · g1`, as pandas and Excel give it; `None`
/// of fewer than three values or without variation. (Joanes and Gill, "Comparing measures of sample
/// skewness and kurtosis", 1998.)
#[must_use]
pub fn skewness(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let (second, third, _) = moments(values)?;
    if n < 3.0 || (second / n).sqrt() < NO_VARIATION {
        return None;
    }
    let g1 = (third / n) / (second / n).powf(1.5);
    finite((n * (n - 1.0)).sqrt() / (n - 2.0) * g1)
}

/// Adjusted excess kurtosis `G2 = (n−1)/((n−2)(n−3)) · ((n+1)·g2 + 6)`, as pandas and Excel give it:
/// 0 for a normal distribution; `None` of fewer than four values or without variation. (Joanes and
/// Gill, 1998.)
#[must_use]
pub fn excess_kurtosis(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let (second, _, fourth) = moments(values)?;
    if n < 4.0 || (second / n).sqrt() < NO_VARIATION {
        return None;
    }
    let g2 = (fourth / n) / (second / n).powi(2) - 3.0;
    finite((n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * g2 + 6.0))
}

/// Quantile `share` (0 to 1) with linear interpolation between the two values around place
/// `share · (n − 1)`, as numpy's default; `None` of nothing.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share.clamp(0.0, 1.0) * (sorted.len().checked_sub(1)? as f64);
    let low = sorted.get(place.floor() as usize)?;
    let high = sorted.get(place.ceil() as usize)?;
    finite(low + (high - low) * place.fract())
}

/// Mean of the worst `share` of the values: of the lowest `⌊share · (n − 1)⌋ + 1`; `None` of nothing.
#[must_use]
pub fn expected_shortfall(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = (share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64).floor() as usize + 1;
    mean(sorted.get(..count)?)
}

/// `value`, unless it is NaN or infinite; a zero without a sign.
#[must_use]
pub fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value + 0.0)
}

/// Intercept and slope of a logistic regression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logistic {
    /// Log-odds at 0.
    pub intercept: f64,
    /// Change of the log-odds with each unit.
    pub slope: f64,
}

/// Most likely `P(y = 1) = 1 / (1 + e^−(a + b·x))` for points `(x, y)`, `y` from 0 to 1, by Newton's
/// method. Errors: why there is no most likely line, in words.
pub fn logistic(points: &[(f64, f64)]) -> Result<Logistic, &'static str> {
    const ONE_KIND: &str = "all outcomes are the same";
    if points.len() < 3 {
        return Err("fewer than three outcomes are known");
    }
    let xs: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
    if deviation(&xs).is_none_or(|d| d < NO_VARIATION) {
        return Err("all fair prices are the same");
    }
    // With a gap between the two kinds, the steeper the line the more likely it is, without end.
    let (mut yes, mut no) = (Span::default(), Span::default());
    for (x, y) in points {
        if *y > 0.0 {
            yes.add(*x);
        }
        if *y < 1.0 {
            no.add(*x);
        }
    }
    if yes.empty() || no.empty() {
        return Err(ONE_KIND);
    }
    if no.high <= yes.low || yes.high <= no.low {
        return Err("the fair prices separate the outcomes completely");
    }
    let mut line = Logistic {
        intercept: 0.0,
        slope: 0.0,
    };
    let mut likely = log_likelihood(points, line);
    for _ in 0..MAX_STEPS {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (x, y) in points {
            let p = sigmoid(line.intercept + line.slope * x);
            let weight = p * (1.0 - p);
            g0 += y - p;
            g1 += (y - p) * x;
            h00 += weight;
            h01 += weight * x;
            h11 += weight * x * x;
        }
        let determinant = h00 * h11 - h01 * h01;
        let step0 = (h11 * g0 - h01 * g1) / determinant;
        let step1 = (h00 * g1 - h01 * g0) / determinant;
        if !(step0.is_finite() && step1.is_finite()) {
            break;
        }
        // A step that goes too far is halved until it leads upwards.
        let mut part = 1.0;
        loop {
            let next = Logistic {
                intercept: line.intercept + part * step0,
                slope: line.slope + part * step1,
            };
            let value = log_likelihood(points, next);
            if value >= likely || part < 1e-6 {
                (line, likely) = (next, value);
                break;
            }
            part /= 2.0;
        }
        if step0.abs().max(step1.abs()) < SETTLED * line.slope.abs().max(1.0) {
            return Ok(line);
        }
    }
    Err("the regression does not settle")
}

/// Lowest and highest of some numbers.
#[derive(Debug, Clone, Copy)]
struct Span {
    low: f64,
    high: f64,
}

impl Default for Span {
    fn default() -> Self {
        Span {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        }
    }
}

impl Span {
    fn add(&mut self, value: f64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    fn empty(&self) -> bool {
        self.low > self.high
    }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

fn log_likelihood(points: &[(f64, f64)], line: Logistic) -> f64 {
    // ln p = −ln(1 + e^−z), ln(1 − p) = −z − ln(1 + e^−z); stable for large |z|.
    let softplus = |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p();
    points
        .iter()
        .map(|(x, y)| {
            let z = line.intercept + line.slope * x;
            -(y * softplus(-z) + (1.0 - y) * softplus(z))
        })
        .sum()
}

/// Log-odds of a probability, which is kept within 1e-6 of 0 and 1 first.
#[must_use]
pub fn logit(probability: f64) -> f64 {
    let p = probability.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: Option<f64>, expected: f64) {
        let actual = actual.unwrap();
        assert!(
            (actual - expected).abs() < 1e-12,
            "{actual} is not {expected}"
        );
    }

    #[test]
    fn moments_by_hand() {
        let values = [1.0, 2.0, 3.0, 10.0];
        close(mean(&values), 4.0);
        // Distances −3, −2, −1, 6: squares 9 + 4 + 1 + 36 = 50; / 3.
        close(deviation(&values), (50.0_f64 / 3.0).sqrt());
        // Cubes −27 − 8 − 1 + 216 = 180; g1 = 45 / 12.5^1.5; × √12 / 2.
        close(
            skewness(&values),
            45.0 / 12.5_f64.powf(1.5) * 12.0_f64.sqrt() / 2.0,
        );
        // Fourth powers 81 + 16 + 1 + 1296 = 1394; g2 = 348.5 / 156.25 − 3 = −0.7696;
        // 3 / (2 · 1) · (5 · −0.7696 + 6) = 3.228.
        close(excess_kurtosis(&values), 3.228);
        // −0.3² and −0.4² of four: √(0.25 / 4).
        close(downside(&[0.2, -0.3, -0.4, 0.0]), 0.25);
    }

    #[test]
    fn what_has_no_value_has_none() {
        assert_eq!(mean(&[]), None);
        assert_eq!(deviation(&[1.0]), None);
        assert_eq!(skewness(&[1.0, 2.0]), None);
        assert_eq!(skewness(&[2.0; 9]), None);
        assert_eq!(excess_kurtosis(&[1.0, 2.0, 3.0]), None);
        assert_eq!(excess_kurtosis(&[2.0; 9]), None);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(expected_shortfall(&[], 0.05), None);
        assert_eq!(finite(f64::NAN), None);
        assert!(finite(-0.0).unwrap().is_sign_positive());
    }

    #[test]
    fn quantiles_lie_between_values_and_tails_are_means() {
        let values = [4.0, 1.0, 3.0, 2.0];
        // Place 0.05 · 3 = 0.15: 1 + 0.15.
        close(quantile(&values, 0.05), 1.15);
        close(quantile(&values, 0.5), 2.5);
        close(quantile(&values, 1.0), 4.0);
        // ⌊0.05 · 3⌋ + 1 = 1 value; ⌊0.4 · 3⌋ + 1 = 2 values.
        close(expected_shortfall(&values, 0.05), 1.0);
        close(expected_shortfall(&values, 0.4), 1.5);
    }

    #[test]
    fn a_regression_on_two_places_goes_through_their_shares() {
        // At x = −1 one of four, at x = 1 three of four: ±ln 3 = a ± b, so a = 0 and b = ln 3.
        let mut points = vec![(-1.0, 0.0); 3];
        points.push((-1.0, 1.0));
        points.extend([(1.0, 1.0); 3]);
        points.push((1.0, 0.0));
        let line = logistic(&points).unwrap();
        close(Some(line.slope), 3.0_f64.ln());
        close(Some(line.intercept), 0.0);
        // Half an outcome counts half for each: the same as one of each at −1 and at 1.
        let halves = [(-1.0, 0.5), (1.0, 0.5), (0.0, 0.5)];
        close(Some(logistic(&halves).unwrap().slope), 0.0);
    }

    #[test]
    fn a_regression_that_has_no_answer_says_why() {
        let refused = |points: &[(f64, f64)]| logistic(points).unwrap_err();
        assert!(refused(&[(0.0, 1.0)]).contains("three"));
        assert!(
            refused(&[(0.5, 1.0), (0.5, 0.0), (0.5, 1.0)]).contains("fair prices are the same")
        );
        assert!(refused(&[(0.1, 1.0), (0.5, 1.0), (0.7, 1.0)]).contains("outcomes are the same"));
        assert!(refused(&[(0.1, 0.0), (0.5, 0.0), (0.7, 1.0)]).contains("separate"));
        assert!(refused(&[(0.1, 1.0), (0.5, 0.0), (0.7, 0.0)]).contains("separate"));
    }

    #[test]
    fn log_odds() {
        close(Some(logit(0.75)), 3.0_f64.ln());
        assert!(logit(0.0).is_finite() && logit(1.0).is_finite());
    }
}

//! Platt's calibration: a logistic curve over log-odds, fitted by Newton's method.
//!
//! J. Platt, "Probabilistic outputs for support vector machines" (1999), with the algorithm of H.-T. Lin,
//! C.-J. Lin, R. C. Weng, "A note on Platt's probabilistic outputs" (2007). The regularisation is
//! Platt's own: targets a little inside 0 and 1, as if one more market had ended each way.

use crate::domain::Calibration;
use crate::domain::calibration::logit;

use super::fit::Sample;

const ITERATIONS: usize = 100;
/// The last step is the one from which the loss would fall by no more than this, per market: far
/// above what rounding hides, and after it the error is the square of that.
const LAST_FALL: f64 = 1e-12;
/// What is added to the curvature, so that it can always be divided by.
const RIDGE: f64 = 1e-12;
const SMALLEST_STEP: f64 = 1e-10;

/// What each sample is drawn to: Platt's targets. `Σ weight` counts markets.
pub(super) fn targets(samples: &[Sample]) -> Vec<f64> {
    let yes: f64 = samples.iter().map(|s| s.weight * s.happened).sum();
    let no: f64 = samples.iter().map(|s| s.weight * (1.0 - s.happened)).sum();
    let high = (yes + 1.0) / (yes + 2.0);
    let low = 1.0 / (no + 2.0);
    samples
        .iter()
        .map(|s| s.happened * high + (1.0 - s.happened) * low)
        .collect()
}

/// The curve that fits best. `None` when the search does not end, or ends with a curve that does
/// not rise: what an author states then says nothing of this kind.
pub(super) fn fit(samples: &[Sample]) -> Option<Calibration> {
    let points: Vec<(f64, f64, f64)> = samples
        .iter()
        .zip(targets(samples))
        .map(|(sample, target)| (logit(sample.stated), target, sample.weight))
        .collect();
    let total: f64 = points.iter().map(|(_, _, weight)| weight).sum();
    if total <= 0.0 {
        return None;
    }
    let (mut slope, mut intercept) = (1.0, 0.0);
    let mut loss = loss_of(&points, slope, intercept);
    for _ in 0..ITERATIONS {
        let (mut g_slope, mut g_intercept) = (0.0, 0.0);
        let (mut h_ss, mut h_si, mut h_ii) = (RIDGE, 0.0, RIDGE);
        for (x, target, weight) in &points {
            let p = 1.0 / (1.0 + (-(slope * x + intercept)).exp());
            let (error, bend) = (weight * (p - target), weight * p * (1.0 - p));
            g_slope += error * x;
            g_intercept += error;
            h_ss += bend * x * x;
            h_si += bend * x;
            h_ii += bend;
        }
        let determinant = h_ss * h_ii - h_si * h_si;
        let d_slope = -(h_ii * g_slope - h_si * g_intercept) / determinant;
        let d_intercept = -(h_ss * g_intercept - h_si * g_slope) / determinant;
        let fall = g_slope * d_slope + g_intercept * d_intercept;
        if fall.abs() <= LAST_FALL * total {
            return rising(slope + d_slope, intercept + d_intercept);
        }
        let mut step = 1.0;
        loop {
            let (s, i) = (slope + step * d_slope, intercept + step * d_intercept);
            let next = loss_of(&points, s, i);
            if next <= loss + 1e-4 * step * fall {
                (slope, intercept, loss) = (s, i, next);
                break;
            }
            step /= 2.0;
            if step < SMALLEST_STEP {
                return None;
            }
        }
    }
    None
}

fn rising(slope: f64, intercept: f64) -> Option<Calibration> {
    let good = slope > 0.0 && slope.is_finite() && intercept.is_finite();
    good.then_some(Calibration::Platt { slope, intercept })
}

/// Σ weight × cross-entropy, in the form that does not overflow.
fn loss_of(points: &[(f64, f64, f64)], slope: f64, intercept: f64) -> f64 {
    points
        .iter()
        .map(|(x, target, weight)| {
            let z = slope * x + intercept;
            let loss = if z >= 0.0 {
                (1.0 - target) * z + (-z).exp().ln_1p()
            } else {
                -target * z + z.exp().ln_1p()
            };
            weight * loss
        })
        .sum()
}

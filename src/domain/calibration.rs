//! Calibration: a map from what an author states to what has come of such statements.
//!
//! The maps and how they are applied are here, for strategies; they are fitted in the trading core.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Distinct resolved markets that a calibration is fitted from at least.
pub const CALIBRATION_MARKETS: u64 = 30;
/// A probability is kept so far from 0 and 1 before and after a map: log-odds have no end.
pub const CALIBRATION_MARGIN: f64 = 0.001;

/// A map from stated to calibrated probability, never falling.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "method", deny_unknown_fields)]
pub enum Calibration {
    /// As stated.
    #[default]
    Identity,
    /// Platt's: `1 / (1 + e^−(slope × logit(p) + intercept))`.
    Platt {
        /// Above 0; below 1 for an author who is too sure.
        slope: f64,
        /// Above 0 for an author who states too little.
        intercept: f64,
    },
    /// Steps that never fall, joined by straight lines; level before the first and after the last.
    Isotonic {
        /// Stated and calibrated probability, by stated.
        knots: Vec<(f64, f64)>,
    },
}

impl Calibration {
    /// What has come of statements of `probability`: within 0.001 to 0.999 but for
    /// [`Calibration::Identity`], which changes nothing.
    #[must_use]
    pub fn apply(&self, probability: f64) -> f64 {
        let mapped = match self {
            Calibration::Identity => return probability,
            Calibration::Platt { slope, intercept } => {
                1.0 / (1.0 + (-(slope * logit(probability) + intercept)).exp())
            }
            Calibration::Isotonic { knots } => interpolate(knots, probability),
        };
        mapped.clamp(CALIBRATION_MARGIN, 1.0 - CALIBRATION_MARGIN)
    }

    /// `identity`, `platt` or `isotonic`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Calibration::Identity => "identity",
            Calibration::Platt { .. } => "platt",
            Calibration::Isotonic { .. } => "isotonic",
        }
    }
}

/// Log-odds of a probability, which is first kept within 0.001 to 0.999.
#[must_use]
pub fn logit(probability: f64) -> f64 {
    let p = probability.clamp(CALIBRATION_MARGIN, 1.0 - CALIBRATION_MARGIN);
    (p / (1.0 - p)).ln()
}

fn interpolate(knots: &[(f64, f64)], at: f64) -> f64 {
    let after = knots.partition_point(|(x, _)| *x <= at);
    let before = after.checked_sub(1).and_then(|index| knots.get(index));
    match (before, knots.get(after)) {
        (Some((_, y)), None) | (None, Some((_, y))) => *y,
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (at - x0) / (x1 - x0),
        (None, None) => at,
    }
}

/// An author's calibration with what speaks for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FittedCalibration {
    /// The map in use.
    pub map: Calibration,
    /// Distinct resolved markets of the author.
    pub resolved: u64,
    /// How much better the best map did than the stated probabilities on markets it was not fitted
    /// from; `None` when nothing was fitted.
    pub gain: Option<CalibrationGain>,
}

/// Log score saved per market, out of sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationGain {
    /// Mean over markets, nats; negative when the map did worse.
    pub mean: f64,
    /// Standard error of that mean, nats.
    pub standard_error: f64,
    /// Folds of the cross-validation.
    pub folds: u32,
}

impl fmt::Display for FittedCalibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resolved = self.resolved;
        match (&self.map, self.gain) {
            (Calibration::Identity, None) => {
                return write!(f, "identity: {resolved} of {CALIBRATION_MARKETS} resolved");
            }
            (Calibration::Identity, Some(_)) => {
                write!(f, "identity: no map is clearly better")?;
            }
            (Calibration::Platt { slope, intercept }, _) => {
                write!(f, "platt: slope {slope:.3}, intercept {intercept:.3}")?;
            }
            (Calibration::Isotonic { knots }, _) => {
                write!(f, "isotonic: {} knots", knots.len())?;
            }
        }
        write!(f, "; {resolved} resolved")?;
        if let Some(gain) = self.gain {
            write!(
                f,
                ", cross-validated gain {:.4} ± {:.4} nats",
                gain.mean, gain.standard_error
            )?;
        }
        Ok(())
    }
}

/// The calibrations of authors by name; who is not in it is taken as stated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calibrations(pub BTreeMap<String, FittedCalibration>);

impl Calibrations {
    /// Of an author, if anything is known.
    #[must_use]
    pub fn of(&self, author: &str) -> Option<&FittedCalibration> {
        self.0.get(author)
    }

    /// What has come of such statements of this author.
    #[must_use]
    pub fn apply(&self, author: &str, probability: f64) -> f64 {
        self.of(author)
            .map_or(probability, |known| known.map.apply(probability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platt_by_hand() {
        // Slope 0.5 halves the log-odds: odds 9 become 3.
        let map = Calibration::Platt {
            slope: 0.5,
            intercept: 0.0,
        };
        assert!((map.apply(0.9) - 0.75).abs() < 1e-12);
        // Intercept ln 2 doubles the odds: 1 becomes 2.
        let map = Calibration::Platt {
            slope: 1.0,
            intercept: 2.0_f64.ln(),
        };
        assert!((map.apply(0.5) - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn isotonic_is_level_outside_and_straight_between() {
        let map = Calibration::Isotonic {
            knots: vec![(0.2, 0.3), (0.4, 0.3), (0.6, 0.7)],
        };
        for (stated, calibrated) in [(0.01, 0.3), (0.2, 0.3), (0.3, 0.3), (0.5, 0.5), (0.99, 0.7)] {
            assert!((map.apply(stated) - calibrated).abs() < 1e-12, "{stated}");
        }
    }

    #[test]
    fn what_speaks_for_it_is_said() {
        let few = FittedCalibration {
            resolved: 12,
            ..Default::default()
        };
        assert_eq!(few.to_string(), "identity: 12 of 30 resolved");
        let gain = Some(CalibrationGain {
            mean: 0.031,
            standard_error: 0.01,
            folds: 10,
        });
        let fitted = FittedCalibration {
            map: Calibration::Platt {
                slope: 0.61,
                intercept: -0.05,
            },
            resolved: 84,
            gain,
        };
        assert_eq!(
            fitted.to_string(),
            "platt: slope 0.610, intercept -0.050; 84 resolved, cross-validated gain 0.0310 ± 0.0100 nats"
        );
    }
}

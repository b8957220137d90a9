//! Which calibration an author gets: the one that did clearly better than his own statements on
//! markets that it was not fitted from, else none.

use crate::domain::calibration::CALIBRATION_MARKETS;
use crate::domain::{Calibration, CalibrationGain, FittedCalibration};

use super::score::log_loss;
use super::{isotonic, platt};

/// Parts that the markets are split into; each is predicted from the others.
const FOLDS: usize = 10;

/// A scored estimate, as far as a fit looks at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Probability as stated.
    pub stated: f64,
    /// Payout of the estimated outcome, 0 to 1.
    pub happened: f64,
    /// How much it counts; the samples of one market add up to 1.
    pub weight: f64,
}

/// Fits an author's calibration from the samples of each resolved market, by market id.
///
/// Under 30 markets: identity. Else Platt's curve and isotonic steps are each fitted from nine tenths
/// of the markets and scored (log score, against the statements as they are) on the tenth left out,
/// ten times. A map counts as better only when its mean gain per market is above its standard
/// error; the one with the larger gain is fitted from all. Deterministic: neighbouring ids, which are
/// often of one event, share a fold, and sums run in the order given.
#[must_use]
pub fn fit(markets: &[Vec<Sample>]) -> FittedCalibration {
    let resolved = markets.len() as u64;
    if resolved < CALIBRATION_MARKETS {
        return FittedCalibration {
            resolved,
            ..Default::default()
        };
    }
    let all: Vec<Sample> = markets.iter().flatten().copied().collect();
    let mut best: Option<(CalibrationGain, Calibration)> = None;
    let mut tried: Option<CalibrationGain> = None;
    for method in [platt::fit, isotonic::fit] {
        let Some(gain) = cross_validated(markets, method) else {
            continue;
        };
        if tried.is_none_or(|before| gain.mean > before.mean) {
            tried = Some(gain);
        }
        let better = gain.mean > gain.standard_error && gain.mean > 0.0;
        if better
            && best
                .as_ref()
                .is_none_or(|(known, _)| gain.mean > known.mean)
            && let Some(map) = method(&all)
        {
            best = Some((gain, map));
        }
    }
    match best {
        Some((gain, map)) => FittedCalibration {
            map,
            resolved,
            gain: Some(gain),
        },
        None => FittedCalibration {
            map: Calibration::Identity,
            resolved,
            gain: tried,
        },
    }
}

/// Log score saved per market on the fold left out; `None` when the method fails on any fold.
fn cross_validated(
    markets: &[Vec<Sample>],
    method: fn(&[Sample]) -> Option<Calibration>,
) -> Option<CalibrationGain> {
    let fold_of = |index: usize| index * FOLDS / markets.len().max(1);
    let mut gains = Vec::with_capacity(markets.len());
    for fold in 0..FOLDS {
        let indexed = || markets.iter().enumerate();
        let train: Vec<Sample> = indexed()
            .filter(|(index, _)| fold_of(*index) != fold)
            .flat_map(|(_, samples)| samples.iter().copied())
            .collect();
        let map = method(&train)?;
        let left_out = indexed().filter(|(index, _)| fold_of(*index) == fold);
        gains.extend(left_out.map(|(_, samples)| {
            samples
                .iter()
                .map(|s| {
                    let stated = log_loss(s.stated, s.happened);
                    s.weight * (stated - log_loss(map.apply(s.stated), s.happened))
                })
                .sum::<f64>()
        }));
    }
    let count = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / count;
    let variance = gains.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some(CalibrationGain {
        mean,
        standard_error: (variance / count).sqrt(),
        folds: FOLDS as u32,
    })
}

#[cfg(test)]
mod tests;

//! Isotonic calibration: the steps that never fall and lie nearest to what happened, by pooling
//! adjacent violators (M. Ayer et al., "An empirical distribution function for sampling with
//! incomplete information", 1955). Drawn to Platt's targets, so that no step reaches 0 or 1.

use crate::domain::Calibration;

use super::fit::Sample;
use super::platt;

#[derive(Debug, Clone, Copy)]
struct Block {
    first: f64,
    last: f64,
    sum: f64,
    weight: f64,
}

impl Block {
    fn mean(self) -> f64 {
        self.sum / self.weight
    }

    fn with(self, next: Block) -> Block {
        Block {
            first: self.first,
            last: next.last,
            sum: self.sum + next.sum,
            weight: self.weight + next.weight,
        }
    }
}

/// The steps that fit best; `None` without samples.
pub(super) fn fit(samples: &[Sample]) -> Option<Calibration> {
    let mut points: Vec<Block> = samples
        .iter()
        .zip(platt::targets(samples))
        .filter(|(sample, _)| sample.weight > 0.0)
        .map(|(sample, target)| Block {
            first: sample.stated,
            last: sample.stated,
            sum: target * sample.weight,
            weight: sample.weight,
        })
        .collect();
    // Stable: equal statements stay in the samples' order, so that sums come out the same.
    points.sort_by(|a, b| a.first.total_cmp(&b.first));
    // Equal statements are one point before anything is compared.
    let tied = joined(points, |before, point| before.last == point.first);
    let blocks = joined(tied, |before, block| before.mean() >= block.mean());
    let mut knots = Vec::with_capacity(blocks.len() * 2);
    for block in blocks {
        knots.push((block.first, block.mean()));
        if block.last > block.first {
            knots.push((block.last, block.mean()));
        }
    }
    (!knots.is_empty()).then_some(Calibration::Isotonic { knots })
}

/// Joins each block to those before it while `belong` says so.
fn joined(blocks: Vec<Block>, belong: impl Fn(Block, Block) -> bool) -> Vec<Block> {
    let mut joined: Vec<Block> = Vec::with_capacity(blocks.len());
    for mut block in blocks {
        while let Some(before) = joined.pop() {
            if !belong(before, block) {
                joined.push(before);
                break;
            }
            block = before.with(block);
        }
        joined.push(block);
    }
    joined
}

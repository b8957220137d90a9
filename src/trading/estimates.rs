//! What becomes of estimates: they wait for their market to end, are scored once, and make up their
//! author's record, from which his calibration is fitted. Part of the ledger's state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{Calibrations, Estimate, FittedCalibration, MarketId, Price};

pub mod fit;
mod isotonic;
mod platt;
mod record;
pub mod score;

pub use record::{AgainstMarket, AuthorRecord, AuthorSummary, Bin, Point};

/// How far a recorded score may lie from the one worked out again: logarithms differ in their last
/// digits between machines.
const TOLERANCE: f64 = 1e-9;

/// Estimates that wait for their market to end, and the records of their authors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scoring {
    /// In the order in which they were stored, without rationales.
    pending: BTreeMap<MarketId, Arc<Vec<Estimate>>>,
    authors: BTreeMap<String, Arc<AuthorRecord>>,
}

/// A score as an event states it.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The estimate.
    pub estimate: &'a Estimate,
    /// What a share of its outcome paid.
    pub payout: Price,
    /// Brier score.
    pub brier: f64,
    /// Log score.
    pub log_score: f64,
    /// How much it counts, 0 to 1.
    pub weight: f64,
}

impl Scoring {
    /// Keeps an estimate until its market ends. The rationale stays where it was stored.
    pub(crate) fn store(&mut self, estimate: &Estimate) {
        let pending = self.pending.entry(estimate.market_id.clone()).or_default();
        Arc::make_mut(pending).push(Estimate {
            rationale: String::new(),
            ..estimate.clone()
        });
    }

    /// Takes a score into its author's record. Errors, with nothing changed: what does not fit, in
    /// words.
    pub(crate) fn score(&mut self, scored: &Scored<'_>) -> Result<(), &'static str> {
        let estimate = scored.estimate;
        let pending = self.pending.get_mut(&estimate.market_id);
        let pending = pending.ok_or("it was not stored, or scored before")?;
        let place = pending
            .iter()
            .position(|known| same(known, estimate))
            .ok_or("it was not stored, or scored before")?;
        let near = |stated: f64, worked_out: f64| (stated - worked_out).abs() <= TOLERANCE;
        if !near(
            scored.brier,
            score::brier(estimate.probability, scored.payout),
        ) || !near(
            scored.log_score,
            score::log_score(estimate.probability, scored.payout),
        ) {
            return Err("its score is not what payout and probability give");
        }
        if !(0.0..=1.0).contains(&scored.weight) {
            return Err("its weight is not between 0 and 1");
        }
        let left = Arc::make_mut(pending);
        left.remove(place);
        if left.is_empty() {
            self.pending.remove(&estimate.market_id);
        }
        let point = Point {
            stated: estimate.probability,
            payout: scored.payout,
            weight: scored.weight,
            market: score::market_then(estimate),
        };
        if point.weight > 0.0 {
            let record = self.authors.entry(estimate.author.clone()).or_default();
            Arc::make_mut(record).add(&estimate.market_id, point);
        }
        Ok(())
    }

    /// Estimates of a market that wait to be scored, in the order in which they were stored,
    /// without rationales.
    #[must_use]
    pub fn pending(&self, market: &MarketId) -> &[Estimate] {
        self.pending
            .get(market)
            .map_or(&[], |known| known.as_slice())
    }

    /// Markets with estimates that wait to be scored, by id.
    pub fn pending_markets(&self) -> impl Iterator<Item = &MarketId> {
        self.pending.keys()
    }

    /// True when estimates of this market wait to be scored.
    #[must_use]
    pub fn waits_for(&self, market: &MarketId) -> bool {
        self.pending.contains_key(market)
    }

    /// All estimates that wait to be scored.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.pending.values().map(|known| known.len()).sum()
    }

    /// Distinct markets that each author waits for.
    #[must_use]
    pub fn pending_by_author(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for estimates in self.pending.values() {
            let authors: BTreeSet<&str> = estimates.iter().map(|e| e.author.as_str()).collect();
            for author in authors {
                *counts.entry(author).or_default() += 1;
            }
        }
        counts
    }

    /// Records of all authors with at least one scored estimate, by name.
    #[must_use]
    pub fn authors(&self) -> &BTreeMap<String, Arc<AuthorRecord>> {
        &self.authors
    }

    /// An author's calibration: identity for one who has no record.
    #[must_use]
    pub fn calibration(&self, author: &str) -> FittedCalibration {
        let record = self.authors.get(author);
        record.map_or_else(FittedCalibration::default, |r| r.calibration().clone())
    }

    /// The calibrations of those who wrote these estimates.
    #[must_use]
    pub fn calibrations<'a>(&self, estimates: impl Iterator<Item = &'a Estimate>) -> Calibrations {
        let authors: BTreeSet<&str> = estimates.map(|e| e.author.as_str()).collect();
        Calibrations(
            authors
                .into_iter()
                .map(|author| (author.to_owned(), self.calibration(author)))
                .collect(),
        )
    }
}

/// The same estimate, whatever became of its rationale.
fn same(a: &Estimate, b: &Estimate) -> bool {
    a.created_at == b.created_at
        && a.author == b.author
        && a.token_id == b.token_id
        && a.probability == b.probability
        && (a.bid_then, a.ask_then) == (b.bid_then, b.ask_then)
}

#[cfg(test)]
mod tests;

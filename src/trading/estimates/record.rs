//! One author's record: what came of his estimates in the markets that resolved.

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::domain::{FittedCalibration, MarketId, Price};

use super::fit::{self, Sample};
use super::score::{brier, log_score};

/// Markets whose estimates are kept one by one, for the calibration; of those that resolved before
/// the sums are kept.
const RECENT_MARKETS: usize = 1_000;
/// Reliability bins, of equal width.
const BINS: usize = 10;

/// A scored estimate, as far as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Probability as stated.
    pub stated: f64,
    /// What a share of the estimated outcome paid.
    pub payout: Price,
    /// How much it counts within its market.
    pub weight: f64,
    /// What the market thought then; `None` when its book was not two-sided.
    pub market: Option<f64>,
}

/// One author's record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorRecord {
    recent: BTreeMap<MarketId, Vec<Point>>,
    /// The recent markets as they resolved, oldest first.
    order: VecDeque<MarketId>,
    older: Sums,
    #[serde(skip)]
    fitted: Fitted,
}

/// Follows from the record, so it is neither stored nor compared.
#[derive(Debug, Clone, Default)]
struct Fitted(OnceLock<FittedCalibration>);

impl PartialEq for Fitted {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    markets: u64,
    estimates: u64,
    weight: f64,
    brier: f64,
    log_score: f64,
    compared: Compared,
    bins: [BinSums; BINS],
}

/// Sums over the estimates that have the market's opinion beside them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compared {
    weight: f64,
    brier: f64,
    log_score: f64,
    market_brier: f64,
    market_log_score: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BinSums {
    estimates: u64,
    weight: f64,
    stated: f64,
    happened: f64,
}

impl Sums {
    fn add(&mut self, points: &[Point]) {
        self.markets += 1;
        for point in points {
            let (payout, weight) = (point.payout, point.weight);
            self.estimates += 1;
            self.weight += weight;
            let (own_brier, own_log) =
                (brier(point.stated, payout), log_score(point.stated, payout));
            self.brier += weight * own_brier;
            self.log_score += weight * own_log;
            if let Some(market) = point.market {
                self.compared.weight += weight;
                self.compared.brier += weight * own_brier;
                self.compared.log_score += weight * own_log;
                self.compared.market_brier += weight * brier(market, payout);
                self.compared.market_log_score += weight * log_score(market, payout);
            }
            // The last bin holds its upper edge too.
            let index = ((point.stated * BINS as f64) as usize).min(BINS - 1);
            if let Some(bin) = self.bins.get_mut(index) {
                bin.estimates += 1;
                bin.weight += weight;
                bin.stated += weight * point.stated;
                bin.happened += weight * payout.to_f64();
            }
        }
    }
}

/// What an author's record comes to. Means are over resolved markets, in each of which the author's
/// estimates count by the time that they stood.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuthorSummary {
    /// Distinct resolved markets.
    pub resolved: u64,
    /// Estimates scored in them.
    pub estimates: u64,
    /// Mean Brier score, 0 (perfect) to 1; 0.25 is what 0.5 always gets.
    pub brier: Option<f64>,
    /// Mean log score, nats, 0 (perfect) to 13.8; 0.693 is what 0.5 always gets.
    pub log_score: Option<f64>,
    /// The same beside the market's, where the market had an opinion; `None` where it never had.
    pub against_market: Option<AgainstMarket>,
    /// What came of what was stated, by tenths; empty tenths are left out.
    pub bins: Vec<Bin>,
}

/// An author beside the middle of bid and ask at the moments of his estimates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AgainstMarket {
    /// How much of the record could be compared, in markets.
    pub markets: f64,
    /// The author's mean Brier score there.
    pub brier: f64,
    /// The market's.
    pub market_brier: f64,
    /// Brier skill: 1 − author's / market's; above 0 is better than the market. `None` when the
    /// market made no error at all.
    pub skill: Option<f64>,
    /// The author's mean log score there, nats.
    pub log_score: f64,
    /// The market's, nats.
    pub market_log_score: f64,
}

/// One tenth of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Lowest stated probability.
    pub from: f64,
    /// Highest, which belongs to the next bin but for 1.
    pub to: f64,
    /// Estimates.
    pub n: u64,
    /// What they count, in markets.
    pub weight: f64,
    /// Mean stated probability.
    pub predicted: f64,
    /// How often it happened.
    pub observed: f64,
}

impl AuthorRecord {
    /// Adds a scored estimate. One that counts for nothing changes nothing.
    pub fn add(&mut self, market: &MarketId, point: Point) {
        if point.weight <= 0.0 {
            return;
        }
        self.fitted = Fitted::default();
        if let Some(points) = self.recent.get_mut(market) {
            points.push(point);
            return;
        }
        self.recent.insert(market.clone(), vec![point]);
        self.order.push_back(market.clone());
        while self.order.len() > RECENT_MARKETS {
            let oldest = self.order.pop_front();
            if let Some(points) = oldest.and_then(|id| self.recent.remove(&id)) {
                self.older.add(&points);
            }
        }
    }

    /// Distinct resolved markets.
    #[must_use]
    pub fn resolved(&self) -> u64 {
        self.older.markets + self.recent.len() as u64
    }

    /// The calibration fitted from the newest resolved markets, worked out when first asked for.
    #[must_use]
    pub fn calibration(&self) -> &FittedCalibration {
        self.fitted.0.get_or_init(|| {
            let markets: Vec<Vec<Sample>> = self
                .recent
                .values()
                .map(|points| points.iter().map(sample).collect())
                .collect();
            FittedCalibration {
                resolved: self.resolved(),
                ..fit::fit(&markets)
            }
        })
    }

    /// What the record comes to.
    #[must_use]
    pub fn summary(&self) -> AuthorSummary {
        let mut sums = self.older.clone();
        for points in self.recent.values() {
            sums.add(points);
        }
        let mean = |sum: f64, weight: f64| (weight > 0.0).then(|| sum / weight);
        let compared = sums.compared;
        let against_market = (compared.weight > 0.0).then(|| AgainstMarket {
            markets: compared.weight,
            brier: compared.brier / compared.weight,
            market_brier: compared.market_brier / compared.weight,
            skill: (compared.market_brier > 0.0)
                .then(|| 1.0 - compared.brier / compared.market_brier),
            log_score: compared.log_score / compared.weight,
            market_log_score: compared.market_log_score / compared.weight,
        });
        let bins = sums.bins.iter().enumerate();
        AuthorSummary {
            resolved: sums.markets,
            estimates: sums.estimates,
            brier: mean(sums.brier, sums.weight),
            log_score: mean(sums.log_score, sums.weight),
            against_market,
            bins: bins
                .filter(|(_, bin)| bin.weight > 0.0)
                .map(|(index, bin)| Bin {
                    from: index as f64 / BINS as f64,
                    to: (index + 1) as f64 / BINS as f64,
                    n: bin.estimates,
                    weight: bin.weight,
                    predicted: bin.stated / bin.weight,
                    observed: bin.happened / bin.weight,
                })
                .collect(),
        }
    }
}

fn sample(point: &Point) -> Sample {
    Sample {
        stated: point.stated,
        happened: point.payout.to_f64(),
        weight: point.weight,
    }
}

#[cfg(test)]
mod tests;

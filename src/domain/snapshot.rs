//! What a tick looks at: everything gathered beforehand, immutable.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::book::Book;
use super::ids::{MarketId, TokenId};
use super::market::{Market, Resolution};
use super::money::{Price, Shares};
use super::order::Side;
use super::time::Timestamp;

/// Where the data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The real venue.
    Polymarket,
    /// A simulated exchange on loopback.
    Sandbox,
    /// A directory of recordings.
    Recorded,
}

impl SourceKind {
    /// `polymarket`, `sandbox` or `recorded`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SourceKind::Polymarket => "polymarket",
            SourceKind::Sandbox => "sandbox",
            SourceKind::Recorded => "recorded",
        }
    }
}

/// A price at a moment: a midpoint-like number for statistics, not a price to trade at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PricePoint {
    /// When.
    pub at: Timestamp,
    /// Price of the token, 0–1.
    pub price: f64,
}

/// The past of one token, oldest first, ending at or before the snapshot's moment.
///
/// A window into shared points, so that a replay neither copies the past at every step nor can
/// look past it.
#[derive(Debug, Clone)]
pub struct History {
    points: Arc<Vec<PricePoint>>,
    start: usize,
    end: usize,
}

impl History {
    /// All of `points`, which must be sorted by time.
    #[must_use]
    pub fn new(points: Vec<PricePoint>) -> Self {
        let end = points.len();
        History {
            points: Arc::new(points),
            start: 0,
            end,
        }
    }

    /// The first `end` of `points`, which must be sorted by time.
    #[must_use]
    pub fn window(points: Arc<Vec<PricePoint>>, end: usize) -> Self {
        Self::between(points, 0, end)
    }

    /// Those of `points`, which must be sorted by time, from index `start` to before `end`.
    #[must_use]
    pub fn between(points: Arc<Vec<PricePoint>>, start: usize, end: usize) -> Self {
        let end = end.min(points.len());
        let start = start.min(end);
        History { points, start, end }
    }

    /// The points, oldest first.
    #[must_use]
    pub fn points(&self) -> &[PricePoint] {
        self.points.get(self.start..self.end).unwrap_or_default()
    }

    /// The last price at or before `moment`; `None` when the history starts later.
    #[must_use]
    pub fn price_at(&self, moment: Timestamp) -> Option<f64> {
        let points = self.points();
        let after = points.partition_point(|point| point.at <= moment);
        points.get(after.checked_sub(1)?).map(|point| point.price)
    }
}

/// One market in a snapshot.
#[derive(Debug, Clone)]
pub struct MarketView {
    /// Its metadata.
    pub market: Arc<Market>,
    /// Book of each outcome, in the market's order; `None` where the source has none.
    pub books: Vec<Option<Arc<Book>>>,
    /// Past prices of the first outcome, where they were gathered.
    pub history: Option<History>,
    /// True when strategies may look at it; false for markets that are here only because a
    /// position, a resting order or a conditional order needs their books.
    pub candidate: bool,
}

impl MarketView {
    /// The book of one of its tokens.
    #[must_use]
    pub fn book(&self, token: &TokenId) -> Option<&Arc<Book>> {
        let (index, _) = self.market.outcome_of(token)?;
        self.books.get(index)?.as_ref()
    }
}

/// Everything a tick knows, gathered before it decides.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The moment it speaks of: what the desk takes as now.
    pub at: Timestamp,
    /// Where it comes from.
    pub source: SourceKind,
    markets: Vec<MarketView>,
    by_market: HashMap<MarketId, usize>,
    by_token: HashMap<TokenId, usize>,
    /// Markets that have ended, as far as positions and estimates need to know.
    pub resolutions: Vec<Resolution>,
    /// Trades of others in tokens that we rest orders in, oldest first.
    pub prints: Vec<Print>,
}

/// A trade of others, as the exchange reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Print {
    /// Token traded.
    pub token: TokenId,
    /// What the taker did; `None` when not told.
    pub taker: Option<Side>,
    /// Price.
    pub price: Price,
    /// Shares.
    pub shares: Shares,
    /// When, by the exchange's clock.
    pub at: Timestamp,
}

impl Snapshot {
    /// Indexes the views; of two views of one market the first counts.
    #[must_use]
    pub fn new(
        at: Timestamp,
        source: SourceKind,
        markets: Vec<MarketView>,
        resolutions: Vec<Resolution>,
    ) -> Self {
        let mut by_market = HashMap::with_capacity(markets.len());
        let mut by_token = HashMap::with_capacity(markets.len() * 2);
        for (index, view) in markets.iter().enumerate() {
            by_market.entry(view.market.id.clone()).or_insert(index);
            for outcome in &view.market.outcomes {
                by_token.entry(outcome.token.clone()).or_insert(index);
            }
        }
        Snapshot {
            at,
            source,
            markets,
            by_market,
            by_token,
            resolutions,
            prints: Vec::new(),
        }
    }

    /// The same with trades of others, which are put in order of time.
    #[must_use]
    pub fn with_prints(mut self, mut prints: Vec<Print>) -> Self {
        prints.sort_by_key(|print| print.at);
        self.prints = prints;
        self
    }

    /// All markets.
    #[must_use]
    pub fn markets(&self) -> &[MarketView] {
        &self.markets
    }

    /// The markets that strategies may look at.
    pub fn candidates(&self) -> impl Iterator<Item = &MarketView> {
        self.markets.iter().filter(|view| view.candidate)
    }

    /// One market.
    #[must_use]
    pub fn market(&self, id: &MarketId) -> Option<&MarketView> {
        self.markets.get(*self.by_market.get(id)?)
    }

    /// The market that a token belongs to.
    #[must_use]
    pub fn market_of(&self, token: &TokenId) -> Option<&MarketView> {
        self.markets.get(*self.by_token.get(token)?)
    }

    /// The book of a token.
    #[must_use]
    pub fn book(&self, token: &TokenId) -> Option<&Arc<Book>> {
        self.market_of(token)?.book(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_shows_its_window_only() {
        let points: Vec<PricePoint> = [0.1, 0.2, 0.3, 0.4]
            .into_iter()
            .zip(1_i64..)
            .map(|(price, second)| PricePoint {
                at: Timestamp::from_secs(second),
                price,
            })
            .collect();
        let points = Arc::new(points);
        let shown = |start, end| -> Vec<f64> {
            let history = History::between(Arc::clone(&points), start, end);
            history.points().iter().map(|point| point.price).collect()
        };
        assert_eq!(shown(1, 3), [0.2, 0.3]);
        assert_eq!(shown(0, 9), [0.1, 0.2, 0.3, 0.4]);
        assert!(shown(3, 2).is_empty() && shown(9, 9).is_empty());
        let history = History::between(points, 1, 3);
        assert_eq!(history.price_at(Timestamp::from_secs(1)), None);
        assert_eq!(history.price_at(Timestamp::from_secs(2)), Some(0.2));
        assert_eq!(history.price_at(Timestamp::from_secs(9)), Some(0.3));
    }
}

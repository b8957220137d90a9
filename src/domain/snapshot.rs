//! What a tick looks at: everything gathered beforehand, immutable.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::book::Book;
use super::ids::{MarketId, TokenId};
use super::market::{Market, PendingResolution, Resolution};
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
        self.last_until(moment).map(|point| point.price)
    }

    /// The last point at or before `moment`; `None` when the history starts later.
    #[must_use]
    pub fn last_until(&self, moment: Timestamp) -> Option<&PricePoint> {
        let since = self.since(moment.plus_millis(1)).len();
        let points = self.points();
        points.get(points.len().checked_sub(since + 1)?)
    }

    /// The points at or after `moment`, oldest first.
    #[must_use]
    pub fn since(&self, moment: Timestamp) -> &[PricePoint] {
        let points = self.points();
        // Mostly the end of it is asked for: steps that double from there touch little else.
        let (mut start, mut step) = (points.len(), 1);
        while let Some(earlier) = start.checked_sub(step)
            && points.get(earlier).is_some_and(|point| point.at >= moment)
        {
            start = earlier;
            step *= 2;
        }
        let from = start.saturating_sub(step);
        let near = points.get(from..start).unwrap_or_default();
        let start = from + near.partition_point(|point| point.at < moment);
        points.get(start..).unwrap_or_default()
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
    /// How far the source is with held markets that have not resolved yet, where it says.
    pub pending: Vec<PendingResolution>,
    /// Trades of others in tokens that we rest orders in, oldest first.
    pub prints: Vec<Print>,
    /// Set by whoever does not want the outcome any more.
    interrupted: Option<Arc<AtomicBool>>,
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
            pending: Vec::new(),
            prints: Vec::new(),
            interrupted: None,
        }
    }

    /// The same with further markets that strategies do not look at; one that is there already is
    /// kept as it is.
    #[must_use]
    pub fn with_others(mut self, views: Vec<MarketView>) -> Self {
        for view in views {
            let index = self.markets.len();
            if self.by_market.contains_key(&view.market.id) {
                continue;
            }
            self.by_market.insert(view.market.id.clone(), index);
            for outcome in &view.market.outcomes {
                self.by_token.entry(outcome.token.clone()).or_insert(index);
            }
            self.markets.push(MarketView {
                candidate: false,
                ..view
            });
        }
        self
    }

    /// The same, with a switch by which a step on it can be hurried to its end: once `flag` is set,
    /// [`Snapshot::candidates`] gives no more. What such a step decides must be thrown away.
    #[must_use]
    pub fn interrupted_by(mut self, flag: Arc<AtomicBool>) -> Self {
        self.interrupted = Some(flag);
        self
    }

    /// The same with trades of others, which are put in order of time.
    #[must_use]
    pub fn with_prints(mut self, mut prints: Vec<Print>) -> Self {
        prints.sort_by_key(|print| print.at);
        self.prints = prints;
        self
    }

    /// The same with how far the source is with markets that have not resolved yet.
    #[must_use]
    pub fn with_pending(mut self, pending: Vec<PendingResolution>) -> Self {
        self.pending = pending;
        self
    }

    /// All markets.
    #[must_use]
    pub fn markets(&self) -> &[MarketView] {
        &self.markets
    }

    /// The markets that strategies may look at.
    pub fn candidates(&self) -> impl Iterator<Item = &MarketView> {
        self.candidates_in(0..self.markets.len())
    }

    /// Those of them that stand at these places among [all](Snapshot::markets).
    pub fn candidates_in(&self, places: Range<usize>) -> impl Iterator<Item = &MarketView> {
        let flag = self.interrupted.as_deref();
        let goes_on = move || flag.is_none_or(|flag| !flag.load(Ordering::Relaxed));
        let views = self.markets.get(places).unwrap_or_default().iter();
        let views = views.take_while(move |_| goes_on());
        views.filter(|view| view.candidate)
    }

    /// True when some market has two views.
    #[must_use]
    pub fn has_doubles(&self) -> bool {
        self.by_market.len() < self.markets.len()
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
    fn points_are_found_from_the_end() {
        let point = |second| PricePoint {
            at: Timestamp::from_secs(second),
            price: second as f64,
        };
        // Two points at second 40.
        let points: Vec<PricePoint> = (1..=100).chain([40]).map(point).collect();
        let history = History::new({
            let mut sorted = points;
            sorted.sort_by_key(|point| point.at);
            sorted
        });
        for second in -1..=102_i64 {
            let expected = (101 - second).clamp(0, 100) + i64::from(second <= 40);
            let at = Timestamp::from_secs(second);
            assert_eq!(history.since(at).len() as i64, expected, "since {second}");
            let last = (second >= 1).then_some(second.min(100) as f64);
            assert_eq!(history.price_at(at), last, "until {second}");
        }
        let none = History::new(Vec::new());
        assert!(none.since(Timestamp::from_secs(0)).is_empty());
        assert_eq!(none.price_at(Timestamp::from_secs(9)), None);
    }

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

//! What a tick looks at: everything gathered beforehand, immutable.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::book::Book;
use super::history::History;
use super::ids::{MarketId, TokenId};
use super::market::{Market, PendingResolution, Resolution};
use super::money::{Price, Shares};
use super::order::Side;
use super::time::Timestamp;
use super::universe::{Places, Universe};

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
    universe: Arc<Universe>,
    /// Where the markets of the universe stand among `markets`.
    places: Places,
    has_doubles: bool,
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
        let universe = Universe::new(markets.iter().map(|view| &*view.market));
        // Each of them is there.
        let numbers = markets.iter();
        let numbers = numbers.filter_map(|view| universe.number_of(&view.market.id));
        let numbers: Vec<u32> = numbers.collect();
        let universe = Arc::new(universe);
        Self::of_universe(at, source, universe, Places::default(), (&numbers, markets))
            .with_resolutions(resolutions)
    }

    /// Views of markets whose index is there already, as a replay has it: `numbers` are theirs in the
    /// universe, beside `views`, no two equal. `places` may be those of an earlier snapshot.
    #[must_use]
    pub fn of_universe(
        at: Timestamp,
        source: SourceKind,
        universe: Arc<Universe>,
        mut places: Places,
        (numbers, views): (&[u32], Vec<MarketView>),
    ) -> Self {
        places.clear();
        let mut has_doubles = false;
        for (place, number) in numbers.iter().enumerate() {
            has_doubles |= !places.put(*number, place);
        }
        Snapshot {
            at,
            source,
            markets: views,
            universe,
            places,
            has_doubles,
            resolutions: Vec::new(),
            pending: Vec::new(),
            prints: Vec::new(),
            interrupted: None,
        }
    }

    /// Its views and places, for [`Snapshot::of_universe`] to use again.
    #[must_use]
    pub fn into_parts(self) -> (Vec<MarketView>, Places) {
        (self.markets, self.places)
    }

    /// The same with markets that have ended.
    #[must_use]
    pub fn with_resolutions(mut self, resolutions: Vec<Resolution>) -> Self {
        self.resolutions = resolutions;
        self
    }

    /// The same with further markets that strategies do not look at; one that is there already is
    /// kept as it is.
    #[must_use]
    pub fn with_others(mut self, views: Vec<MarketView>) -> Self {
        for view in views {
            let number = Arc::make_mut(&mut self.universe).add(&view.market);
            if self.places.put(number, self.markets.len()) {
                self.markets.push(MarketView {
                    candidate: false,
                    ..view
                });
            }
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

    /// Whether a step on it is to be [hurried to its end](Self::interrupted_by).
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        let flag = self.interrupted.as_deref();
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
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
        let views = self.markets.get(places).unwrap_or_default().iter();
        let views = views.take_while(|_| !self.is_interrupted());
        views.filter(|view| view.candidate)
    }

    /// True when some market has two views.
    #[must_use]
    pub fn has_doubles(&self) -> bool {
        self.has_doubles
    }

    /// The markets that may turn up, by name and by token.
    #[must_use]
    pub fn universe(&self) -> &Universe {
        &self.universe
    }

    /// Adds the view of a market of the universe by its number, unless it is there.
    pub fn add(&mut self, number: u32, view: MarketView) {
        if self.places.put(number, self.markets.len()) {
            self.markets.push(view);
        }
    }

    /// One market.
    #[must_use]
    pub fn market(&self, id: &MarketId) -> Option<&MarketView> {
        let number = self.universe.number_of(id)?;
        self.markets.get(self.places.of(number)?)
    }

    /// The market that a token belongs to; of several that are here the first.
    #[must_use]
    pub fn market_of(&self, token: &TokenId) -> Option<&MarketView> {
        let numbers = self.universe.numbers_of_token(token);
        let place = numbers.filter_map(|number| self.places.of(number)).min();
        self.markets.get(place?)
    }

    /// The book of a token.
    #[must_use]
    pub fn book(&self, token: &TokenId) -> Option<&Arc<Book>> {
        self.market_of(token)?.book(token)
    }
}

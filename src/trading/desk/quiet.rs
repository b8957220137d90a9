//! Markets of a tick in which nothing is at stake, which a replay has looked at ahead.
//!
//! The step is the same with them: it counts what strategies found there, and asks for the whole view of a
//! market only when something is to be done in it.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::Arc;

use crate::domain::{Book, MarketId, MarketView, Snapshot, TokenId};
use crate::strategy::scout::Findings;

/// Whole views of quiet markets, made when they are asked for.
pub trait LateViews {
    /// The view of the market at this place among [`Quiet::numbers`], the same each time; `None` when
    /// there is none.
    fn view(&self, place: usize) -> Option<&MarketView>;
}

/// Candidate markets that are left out of a snapshot because nothing is at stake in them.
#[derive(Clone, Copy)]
pub struct Quiet<'a> {
    /// Their numbers in the universe of the snapshot, rising. No other market has their tokens.
    pub numbers: &'a [u32],
    /// Beside the numbers: where each is told of among the findings of a strategy.
    pub entries: &'a [u32],
    /// By strategy.
    pub findings: &'a [Findings<'a>],
    /// Their views.
    pub views: &'a dyn LateViews,
    /// Counts the markets with two bids for certain that were only counted, which took knowing what they are: whoever
    /// looks ahead may work them out beforehand, or not. What comes of the step does not depend on it.
    pub priced: &'a Cell<usize>,
}

impl<'a> Quiet<'a> {
    /// The view of the market of this number, if it is among them.
    fn of_number(&self, number: u32) -> Option<&'a MarketView> {
        let place = self.numbers.binary_search(&number).ok()?;
        self.views.view(place)
    }
}

/// All that a step looks at: a snapshot, and in a replay quiet markets beside it. A market or a book is
/// found wherever it is.
#[derive(Clone, Copy)]
pub struct Gathered<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) quiet: Option<Quiet<'a>>,
}

impl<'a> Gathered<'a> {
    /// A snapshot with quiet markets beside it.
    #[must_use]
    pub fn with_quiet(snapshot: &'a Snapshot, quiet: Quiet<'a>) -> Self {
        Gathered {
            snapshot,
            quiet: Some(quiet),
        }
    }

    /// How many markets strategies look at.
    pub(super) fn candidates(&self) -> usize {
        let quiet = self.quiet.map_or(0, |quiet| quiet.numbers.len());
        self.snapshot.candidates().count() + quiet
    }

    /// One market.
    pub(super) fn market(&self, id: &MarketId) -> Option<&'a MarketView> {
        self.snapshot.market(id).or_else(|| {
            let number = self.snapshot.universe().number_of(id);
            self.quiet?.of_number(number?)
        })
    }

    /// The market that a token belongs to.
    pub(super) fn market_of(&self, token: &TokenId) -> Option<&'a MarketView> {
        self.snapshot.market_of(token).or_else(|| {
            let quiet = self.quiet?;
            let mut numbers = self.snapshot.universe().numbers_of_token(token);
            numbers.find_map(|number| quiet.of_number(number))
        })
    }

    /// The book of a token.
    pub(super) fn book(&self, token: &TokenId) -> Option<&'a Arc<Book>> {
        self.market_of(token)?.book(token)
    }
}

impl<'a> From<&'a Snapshot> for Gathered<'a> {
    fn from(snapshot: &'a Snapshot) -> Self {
        Gathered {
            snapshot,
            quiet: None,
        }
    }
}

impl Deref for Gathered<'_> {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        self.snapshot
    }
}

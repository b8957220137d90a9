//! Looks at markets in which nothing is at stake, by their best prices alone.
//!
//! Nothing is at stake where nobody holds a share, no order waits and no estimate is stored. What a
//! strategy makes of such a market does not depend on the account, so that a replay can work it out ahead,
//! market by market, and makes books only where something comes of it.

use std::collections::BTreeMap;

use super::StrategyContext;
use super::sight::{Sight, TopBook};
use crate::domain::{
    Calibrations, Estimate, Intent, Market, MarketId, MarketView, Position, QuoteSide,
    RestingOrder, Snapshot, TokenId, Usdc,
};

mod findings;

pub use findings::{Bids, Findings, Tally};

/// The account that such markets are looked at with: it has no stake in anything.
#[derive(Debug, Default)]
pub struct NoStake {
    positions: BTreeMap<TokenId, Position>,
    resting: BTreeMap<u64, RestingOrder>,
    estimates: BTreeMap<MarketId, Vec<Estimate>>,
    calibrations: Calibrations,
}

impl NoStake {
    /// What a strategy may look at, with this account.
    #[must_use]
    pub fn context<'a>(&'a self, snapshot: &'a Snapshot) -> StrategyContext<'a> {
        StrategyContext {
            snapshot,
            positions: &self.positions,
            resting: &self.resting,
            estimates: &self.estimates,
            calibrations: &self.calibrations,
        }
    }
}

/// What a strategy makes of a market in which nothing is at stake.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finding<'s> {
    /// Nothing, for this cause.
    Nothing(&'s str),
    /// It would buy one of its outcomes.
    Buy,
    /// It would bid for its outcomes; a cause where it would not. One of them at least is a bid.
    Bids([Result<QuoteSide, &'s str>; 2]),
    /// Bids for both outcomes, whose prices were not worked out: each costs so much at least, pUSD.
    Unpriced(Usdc),
    /// Only a look at its whole view can tell.
    Other,
}

/// A strategy that can tell from best prices alone what it makes of a market. For a market that
/// [stands alone](Scout::stands_alone), its `analyze` of a snapshot must count and want exactly what
/// [`Scout::find`] says, whatever other markets are there; it gives what it wants in the order of markets, sets
/// of several outcomes last.
pub trait Scout: Sync {
    /// Whether it looks at this market without regard to any other. Asked once for each market.
    fn stands_alone(&self, market: &Market) -> bool;

    /// What it makes of a market in which nothing is at stake. `context` knows the moment and an account
    /// without positions, orders and estimates.
    fn find(&self, context: &StrategyContext<'_>, sight: &Sight<'_, TopBook<'_>>) -> Finding<'_>;

    /// Some cost, pUSD: [`Scout::find`] gives [bids](Finding::Bids) for both outcomes, and neither costs less. `None`
    /// where that is not certain without working them out. Where the account has no room for so much, nobody asks
    /// what they are. `context` as for [`Scout::find`].
    fn least_cost_of_both(
        &self,
        _: &StrategyContext<'_>,
        _: &Sight<'_, TopBook<'_>>,
    ) -> Option<Usdc> {
        None
    }

    /// Notional of each purchase that it finds, pUSD: what `analyze` states as its size. `None` where it finds none,
    /// or where they differ.
    fn purchase_size(&self) -> Option<Usdc>;

    /// Where it found a purchase or bids: what it wants, in full.
    fn look_at(&self, context: &StrategyContext<'_>, view: &MarketView) -> Vec<Intent>;
}

//! Terms and state of one market.

use crate::domain::{FeeSchedule, Price, Shares, Side, Timestamp, Usdc};

use super::order::OutcomeSide;

/// What a market's orders must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarketTerms {
    /// Price step, one of the venue's (0.1, 0.01, 0.005, 0.0025, 0.001, 0.0001).
    pub tick: Price,
    /// Smallest size of an order that may rest, in shares (5 on the venue).
    pub min_size: Shares,
    /// Taker fee.
    pub fee: FeeSchedule,
    /// One book for both outcomes, as on the venue: a bid for Yes at `p` is an offer of No at
    /// `1 − p`. Unlinked: two books that never meet, for mispricings made on purpose.
    pub linked: bool,
    /// Whether orders are taken.
    pub accepting: bool,
}

/// How far a market has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketState {
    /// Trading, if the terms say so.
    Open,
    /// Trading has ended for good.
    Closed,
    /// Payouts are final: micro-pUSD per share of each outcome.
    Settled([u32; 2]),
}

/// The most recent match in a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastTrade {
    /// The arriving order's outcome.
    pub outcome: OutcomeSide,
    /// The arriving order's direction.
    pub side: Side,
    /// Price of one share of `outcome`.
    pub price: Price,
    /// Shares.
    pub size: Shares,
    /// When.
    pub at: Timestamp,
}

/// What was traded in a market since it was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turnover {
    /// Matches.
    pub trades: u64,
    /// Shares, counted once per match.
    pub shares: Shares,
    /// pUSD at the taker's prices.
    pub notional: Usdc,
}

//! What a strategy wants, before anybody has said yes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::digits::Fixed;
use super::ids::{EventId, MarketId, OutcomeName, StrategyName, TokenId};
use super::money::{Price, Shares, Usdc};
use super::order::Side;
use super::reason::Reason;

/// Buy or sell one outcome because its price is off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Strategy.
    pub strategy: StrategyName,
    /// Market.
    pub market_id: MarketId,
    /// Token; a bearish view on Yes buys the No token at No's own book.
    pub token_id: TokenId,
    /// Name of the outcome.
    pub outcome: OutcomeName,
    /// Direction.
    pub side: Side,
    /// How sure the strategy is of its fair price, 0–1. Not a probability of winning.
    pub confidence: f64,
    /// What the strategy thinks the token is worth, 0–1.
    pub fair_price: f64,
    /// Limit price: the worst price at which the trade still has the edge that is claimed.
    pub target_price: Price,
    /// Fair price − executable price − fee, per share, in pUSD (mirrored for a sale).
    pub edge: f64,
    /// Notional wanted at the limit price, pUSD.
    pub size: Usdc,
    /// Why, with the model and the numbers that gave the fair price.
    pub reason: Reason,
    /// Stop price that overrides the configured default.
    pub stop_loss: Option<Price>,
    /// Profit price that overrides the configured default.
    pub take_profit: Option<Price>,
}

/// One side of a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteSide {
    /// Price of the resting order.
    pub price: Price,
    /// Shares offered.
    pub shares: Shares,
}

/// Resting prices around a fair price. Replaces the strategy's earlier quote on the token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// Strategy.
    pub strategy: StrategyName,
    /// Market.
    pub market_id: MarketId,
    /// Token.
    pub token_id: TokenId,
    /// Name of the outcome.
    pub outcome: OutcomeName,
    /// What the strategy thinks the token is worth, 0–1.
    pub fair_price: f64,
    /// How sure it is of that, 0–1.
    pub confidence: f64,
    /// Where it buys, if it wants to.
    pub bid: Option<QuoteSide>,
    /// Where it sells shares that it holds, if it wants to.
    pub ask: Option<QuoteSide>,
    /// Why.
    pub reason: QuoteReason,
}

/// Why a quote stands where it stands. Most quotes of a tick stay as they are, so words are made
/// only for those that are placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuoteReason {
    /// In words.
    Words(String),
    /// In the numbers that gave it.
    Terms(QuoteTerms),
}

/// What a quote was made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuoteTerms {
    /// Fair price of the outcome quoted, 0–1.
    pub fair: f64,
    /// Fair price of the market's first outcome, 0–1.
    pub fair_first: f64,
    /// Mid of the first outcome's book, 0–1.
    pub mid: f64,
    /// Half of the distance between bid and ask, in price units.
    pub half_spread: f64,
    /// What the half spread follows: a multiple of the deviation of recent changes.
    pub volatility: f64,
    /// Shares held of the first outcome less those of the second.
    pub net_inventory: f64,
}

impl fmt::Display for QuoteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuoteReason::Words(words) => f.write_str(words),
            QuoteReason::Terms(terms) => write!(
                f,
                "fair {} (first outcome {} from mid {} and its average); half spread {} (volatility \
                 {}); net inventory {:+}",
                Fixed(terms.fair, 4),
                Fixed(terms.fair_first, 4),
                Fixed(terms.mid, 4),
                Fixed(terms.half_spread, 4),
                Fixed(terms.volatility, 4),
                Fixed(terms.net_inventory, 2),
            ),
        }
    }
}

impl<T: Into<String>> From<T> for QuoteReason {
    fn from(words: T) -> Self {
        QuoteReason::Words(words.into())
    }
}

/// One leg of a basket; all legs are bought in equal numbers of shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasketLeg {
    /// Market.
    pub market_id: MarketId,
    /// Token bought.
    pub token_id: TokenId,
    /// Name of the outcome.
    pub outcome: OutcomeName,
    /// Worst price for this leg.
    pub limit: Price,
    /// Shares on offer at that price or better: thin legs go first.
    pub depth: Shares,
}

/// Outcomes that together pay a known amount, bought for less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Basket {
    /// Strategy.
    pub strategy: StrategyName,
    /// The event, when the legs span several markets.
    pub event_id: Option<EventId>,
    /// Legs, thinnest first.
    pub legs: Vec<BasketLeg>,
    /// Shares of each leg.
    pub shares: Shares,
    /// What one set pays at resolution, pUSD.
    pub payout: f64,
    /// Payout − cost of all legs − fees, per set, in pUSD.
    pub edge: f64,
    /// How sure the strategy is, 0–1.
    pub confidence: f64,
    /// Why.
    pub reason: String,
}

/// What a strategy wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Intent {
    /// One outcome.
    Directional(Signal),
    /// Resting prices on one token.
    Quote(Quote),
    /// Several outcomes at once.
    Basket(Basket),
}

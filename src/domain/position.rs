//! Holdings.

use serde::{Deserialize, Serialize};

use super::ids::{EventId, MarketId, OutcomeName, StrategyName, TokenId};
use super::money::{Price, Rounding, Shares, Usdc, notional};
use super::time::Timestamp;

/// What a share could be sold for when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Best bid then.
    pub price: Price,
    /// When.
    pub at: Timestamp,
    /// True when nobody bids any more: the price is the last one that somebody did.
    pub bid_gone: bool,
}

/// Shares of one token, with what they cost in total. Never an average price: averages round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Market.
    pub market_id: MarketId,
    /// The event that groups the market with others, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// Token.
    pub token_id: TokenId,
    /// Name of the outcome.
    pub outcome: OutcomeName,
    /// Shares held.
    pub shares: Shares,
    /// What these shares cost, fees not included.
    pub cost: Usdc,
    /// When the position was opened.
    pub opened_at: Timestamp,
    /// Who opened it.
    pub entry_strategy: StrategyName,
    /// Last known executable price; `None` when there has been none.
    pub mark: Option<Mark>,
}

impl Position {
    /// Average price paid, for output only.
    #[must_use]
    pub fn average_price(&self) -> Option<f64> {
        (!self.shares.is_zero()).then(|| self.cost.to_f64() / self.shares.to_f64())
    }

    /// Shares at the mark, floored; `None` without a mark.
    #[must_use]
    pub fn value(&self) -> Option<Usdc> {
        notional(self.mark?.price, self.shares, Rounding::Down).ok()
    }
}

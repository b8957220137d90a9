//! Trades that an agent took part in, from the match to the chain.

use crate::domain::{Price, Shares, Side, Timestamp, Usdc};

use super::ids::{AccountId, MarketIdx, OrderNo, TradeNo};
use super::order::{MatchKind, OutcomeSide};

/// State of a trade. Only `Confirmed` and `Failed` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TradeStatus {
    /// Matched, not on the chain yet.
    Matched,
    /// On the chain, not final.
    Mined,
    /// Final.
    Confirmed,
    /// The transaction failed and is sent again.
    Retrying,
    /// Final: the match has been undone.
    Failed,
}

impl TradeStatus {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TradeStatus::Matched => "MATCHED",
            TradeStatus::Mined => "MINED",
            TradeStatus::Confirmed => "CONFIRMED",
            TradeStatus::Retrying => "RETRYING",
            TradeStatus::Failed => "FAILED",
        }
    }

    /// True when nothing follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, TradeStatus::Confirmed | TradeStatus::Failed)
    }

    /// True when a trade may go from this state to `next`.
    #[must_use]
    pub fn may_become(self, next: TradeStatus) -> bool {
        match self {
            TradeStatus::Matched => next != TradeStatus::Matched,
            TradeStatus::Mined => !matches!(next, TradeStatus::Matched | TradeStatus::Mined),
            TradeStatus::Retrying => !matches!(next, TradeStatus::Matched | TradeStatus::Retrying),
            TradeStatus::Confirmed | TradeStatus::Failed => false,
        }
    }
}

/// One of the two orders of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    /// Whose order.
    pub account: AccountId,
    /// Which order.
    pub order: OrderNo,
    /// On which outcome.
    pub outcome: OutcomeSide,
    /// Direction.
    pub side: Side,
    /// Price of one share of `outcome`; in a mint or a merge the two prices make 1.
    pub price: Price,
    /// pUSD that changed hands for it, fee not counted.
    pub notional: Usdc,
    /// Fee in pUSD; zero for the maker.
    pub fee: Usdc,
}

/// One match with at least one agent in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeRecord {
    /// Its number.
    pub trade: TradeNo,
    /// In which market.
    pub market: MarketIdx,
    /// When the orders met.
    pub matched_at: Timestamp,
    /// When the state last changed.
    pub updated_at: Timestamp,
    /// How the orders met.
    pub kind: MatchKind,
    /// Shares.
    pub size: Shares,
    /// The arriving order.
    pub taker: Party,
    /// The resting order.
    pub maker: Party,
    /// State.
    pub status: TradeStatus,
}

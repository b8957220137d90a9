//! Orders and what becomes of them.

use serde::{Deserialize, Serialize};

use super::fee::FeeSchedule;
use super::ids::{EventId, MarketId, OutcomeName, StrategyName, TokenId};
use super::money::{Price, Shares, Usdc};
use super::time::Timestamp;

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Acquire shares for pUSD.
    Buy,
    /// Give shares for pUSD.
    Sell,
}

impl Side {
    /// `buy` or `sell`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Buy => "buy",
            Side::Sell => "sell",
        }
    }

    /// The side that it trades with.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// True when an order of this side with this limit may trade at `price`.
    #[must_use]
    pub fn accepts(self, limit: Price, price: Price) -> bool {
        match self {
            Side::Buy => price <= limit,
            Side::Sell => price >= limit,
        }
    }
}

/// What happens to the part that does not fill at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderType {
    /// Fill and kill: fill what is possible, drop the rest.
    Fak,
    /// Fill or kill: all of it or nothing.
    Fok,
    /// Good till cancelled: takes what it can at once, the rest rests.
    Gtc,
    /// Good till date: as GTC until [`Order::expires_at`].
    Gtd,
    /// Rest as a maker until cancelled, replaced or expired; refused when it would take.
    PostOnly,
}

impl OrderType {
    /// True when what does not fill at once goes on resting.
    #[must_use]
    pub fn rests(self) -> bool {
        matches!(self, OrderType::Gtc | OrderType::Gtd | OrderType::PostOnly)
    }

    /// True when the order may take from the book.
    #[must_use]
    pub fn takes(self) -> bool {
        self != OrderType::PostOnly
    }

    /// The name on the wire: `FAK`, `FOK`, `GTC`, `GTD`, `POST_ONLY`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OrderType::Fak => "FAK",
            OrderType::Fok => "FOK",
            OrderType::Gtc => "GTC",
            OrderType::Gtd => "GTD",
            OrderType::PostOnly => "POST_ONLY",
        }
    }
}

/// What set a conditional order's sale off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiredBy {
    /// Number of the conditional order.
    pub conditional: u64,
    /// The bid that set it off.
    pub bid: Price,
}

/// An order as it goes to the executor, in shares with a limit price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Number in this ledger, from 1.
    pub id: u64,
    /// Chosen by the agent; the same id twice is the same order.
    pub client_order_id: Option<String>,
    /// Row in the signal log that caused it, if one did.
    pub signal_id: Option<u64>,
    /// Rows of the other signals that wanted the same: they end as it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supporters: Vec<u64>,
    /// Who wants it.
    pub strategy: StrategyName,
    /// Market.
    pub market_id: MarketId,
    /// The event that groups the market with others, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// Token.
    pub token_id: TokenId,
    /// Name of the outcome that the token stands for.
    pub outcome: OutcomeName,
    /// Direction.
    pub side: Side,
    /// Limit price.
    pub limit: Price,
    /// Shares wanted.
    pub shares: Shares,
    /// What happens to the rest.
    pub order_type: OrderType,
    /// When a resting order is withdrawn (GTD, and post-only with an end), by the source's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it reaches the exchange, by the source's clock, where that takes time
    /// (`execution.latency_ms`): it meets the book of then. `None` when it arrived as it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrives_at: Option<Timestamp>,
    /// The conditional order whose sale it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fired_by: Option<FiredBy>,
    /// The market's fee terms when it was accepted, which hold for all that it takes. `None` before
    /// that, and in logs of 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<FeeSchedule>,
    /// Legs of one basket share this number.
    pub basket: Option<u64>,
    /// Why, in one line.
    pub reason: String,
    /// Stop-loss price for the position that it opens.
    pub stop_loss: Option<Price>,
    /// Take-profit price for the position that it opens.
    pub take_profit: Option<Price>,
    /// Trailing distance for the position that it opens, as a fraction of the watermark.
    pub trail_percent: Option<Price>,
}

impl Order {
    /// Rows in the signal log that it carries out.
    pub fn signals(&self) -> impl Iterator<Item = u64> {
        self.signal_id
            .into_iter()
            .chain(self.supporters.iter().copied())
    }
}

/// One execution at one price level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The order.
    pub order_id: u64,
    /// Who wanted it.
    pub strategy: StrategyName,
    /// Market.
    pub market_id: MarketId,
    /// Token.
    pub token_id: TokenId,
    /// Name of the outcome.
    pub outcome: OutcomeName,
    /// Direction.
    pub side: Side,
    /// Price of this level.
    pub price: Price,
    /// Shares filled at it.
    pub shares: Shares,
    /// `price × shares`, floored to micro-units.
    pub notional: Usdc,
    /// Taker fee, floored to five decimals; zero for a maker.
    pub fee: Usdc,
    /// True when the order was resting and the market came to it.
    pub maker: bool,
    /// True when a trade of others at this price shows the fill, rather than the book: then the
    /// book has already lost those shares.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub print: bool,
    /// Why the order was placed.
    pub reason: String,
}

/// How an order left the desk's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderOutcome {
    /// Filled in full.
    Filled,
    /// Filled in part, the rest dropped.
    PartiallyFilled,
    /// Nothing filled.
    Unfilled,
    /// Cancelled while resting.
    Cancelled,
    /// Its time ran out while it rested.
    Expired,
}

/// An order that rests on the paper book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestingOrder {
    /// The order as it was placed.
    pub order: Order,
    /// Shares not yet filled.
    pub remaining: Shares,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// Shares of others at its price that go first: what stood there when it came, less what has
    /// traded at that price or was withdrawn since.
    #[serde(default)]
    pub queue_ahead: Shares,
    /// Time of the newest trade of others that `queue_ahead` accounts for; none older counts again.
    #[serde(default)]
    pub prints_to: Timestamp,
}

//! Orders: what is asked for, what came of it, what is kept of an agent's order.

use crate::domain::{Price, Shares, Side, Timestamp, Usdc};

use super::ids::{AccountId, MarketIdx, OrderNo, TradeNo};

/// Index of Yes (or whatever the first outcome is called) and of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutcomeSide {
    /// The first token of the market.
    First,
    /// The second token of the market.
    Second,
}

impl OutcomeSide {
    /// Place in a pair.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            OutcomeSide::First => 0,
            OutcomeSide::Second => 1,
        }
    }

    /// The opposite outcome.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            OutcomeSide::First => OutcomeSide::Second,
            OutcomeSide::Second => OutcomeSide::First,
        }
    }

    /// The element of a pair that belongs to this side.
    #[must_use]
    pub fn of<T>(self, pair: &[T; 2]) -> &T {
        let [first, second] = pair;
        match self {
            OutcomeSide::First => first,
            OutcomeSide::Second => second,
        }
    }

    /// The element of a pair that belongs to this side, to change it.
    #[must_use]
    pub fn of_mut<T>(self, pair: &mut [T; 2]) -> &mut T {
        let [first, second] = pair;
        match self {
            OutcomeSide::First => first,
            OutcomeSide::Second => second,
        }
    }
}

/// How much an order asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// So many shares, at most two decimals.
    Shares(Shares),
    /// A market BUY (FOK or FAK): spend at most so many pUSD on shares. The fee comes on top, as in
    /// the recorded on-chain fills (1.219511 shares at 0.82 are 1.00 pUSD, the fee 0.01259 besides).
    Budget(Usdc),
}

/// What happens to the part of an order that does not match at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tif {
    /// Good till cancelled: it rests.
    Gtc,
    /// Good till this moment: it rests and is removed a minute earlier.
    Gtd(Timestamp),
    /// Fill or kill: all of it at once or nothing.
    Fok,
    /// Fill and kill: what is there, the rest is dropped.
    Fak,
}

impl Tif {
    /// True for the types that leave their rest in the book.
    #[must_use]
    pub fn rests(self) -> bool {
        matches!(self, Tif::Gtc | Tif::Gtd(_))
    }

    /// The name on the wire: `GTC`, `GTD`, `FOK`, `FAK`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Tif::Gtc => "GTC",
            Tif::Gtd(_) => "GTD",
            Tif::Fok => "FOK",
            Tif::Fak => "FAK",
        }
    }
}

/// An order as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder {
    /// Whose it is.
    pub account: AccountId,
    /// In which market.
    pub market: MarketIdx,
    /// On which outcome.
    pub outcome: OutcomeSide,
    /// Direction.
    pub side: Side,
    /// Worst price that is acceptable, of one share of `outcome`.
    pub price: Price,
    /// How much.
    pub quantity: Quantity,
    /// What happens to the rest.
    pub tif: Tif,
    /// Refuse rather than take (GTC and GTD only).
    pub post_only: bool,
    /// When it arrives. Later than anything that was handed in before.
    pub at: Timestamp,
}

/// Where an accepted order stands after its arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlacedStatus {
    /// Nothing matched, all of it rests. `live` on the wire.
    Resting,
    /// Some matched, the rest rests. `matched` on the wire.
    PartlyResting,
    /// All of it matched. `matched` on the wire.
    Matched,
    /// FAK: some matched, the rest was dropped. `matched` on the wire.
    PartlyKilled,
}

/// What came of an order at its arrival. The fills are in [`super::Exchange::fills`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The order's number.
    pub order: OrderNo,
    /// Where it stands.
    pub status: PlacedStatus,
    /// Shares that matched.
    pub filled: Shares,
    /// pUSD paid (BUY) or received (SELL) for them, fee not counted.
    pub notional: Usdc,
    /// Taker fees in pUSD, on top of a BUY and out of a SELL.
    pub fee: Usdc,
    /// Shares that rest now.
    pub resting: Shares,
}

/// How two orders met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchKind {
    /// A buyer and a seller of one outcome: shares change hands.
    Transfer,
    /// Buyers of both outcomes, paying 1 pUSD together: a pair of shares is made.
    Mint,
    /// Sellers of both outcomes, receiving 1 pUSD together: a pair of shares is destroyed.
    Merge,
}

/// One match of an arriving order with a resting one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// The arriving order.
    pub taker: OrderNo,
    /// The resting order.
    pub maker: OrderNo,
    /// Whose the resting order is.
    pub maker_account: AccountId,
    /// Price of one share of the taker's outcome: the resting order's price, so any improvement is
    /// the taker's.
    pub price: Price,
    /// Shares.
    pub size: Shares,
    /// pUSD that the taker paid or received, fee not counted.
    pub notional: Usdc,
    /// Taker fee in pUSD.
    pub fee: Usdc,
    /// How the two met.
    pub kind: MatchKind,
    /// The trade that is kept of it when an agent took part.
    pub trade: Option<TradeNo>,
}

/// Why an order is no longer in the book though it was not filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelCause {
    /// Somebody asked for it.
    Requested,
    /// A GTD order a minute before its expiration.
    Expired,
    /// Its price is no multiple of the market's new tick.
    TickChanged,
    /// Trading has ended.
    MarketClosed,
    /// The rest of a FAK order.
    Killed,
    /// A match of it failed and nothing of it rests.
    MatchFailed,
}

/// State of an agent's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// In the book.
    Live,
    /// Matched in full.
    Matched,
    /// Out of the book, with what was matched before.
    Canceled(CancelCause),
}

/// What is kept of an agent's order, also after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderRecord {
    /// Its number.
    pub order: OrderNo,
    /// As it arrived.
    pub placed: NewOrder,
    /// Shares asked for; of a budget order the shares it got.
    pub size: Shares,
    /// Shares matched, failed trades not counted any more.
    pub matched: Shares,
    /// Shares still in the book.
    pub resting: Shares,
    /// State.
    pub status: OrderStatus,
    /// When the state or an amount last changed.
    pub updated_at: Timestamp,
    /// pUSD that a resting BUY keeps from being spent otherwise (zero for a SELL).
    pub reserved: Usdc,
}

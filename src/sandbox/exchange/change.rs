//! What changed, for those who pass it on to sockets.

use crate::domain::{Price, Shares, Side, Timestamp, Usdc};

use super::ids::MarketIdx;
use super::order::{MatchKind, OrderRecord, OutcomeSide};
use super::trade::TradeRecord;

/// One change, in the order in which they happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub market: MarketIdx,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: ChangeKind,
}

/// What happened to an agent's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderEvent {
    /// It was accepted.
    Placement,
    /// Some or all of it matched, or a match of it failed.
    Update,
    /// It left the book without being filled.
    Cancellation,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// A price level has a new total (watched markets).
    ///
    /// A linked market reports its one book as seen from the first outcome; the second outcome's
    /// level is [`LevelChange::mirror`]. An unlinked market reports each outcome's own book.
    Level(LevelChange),
    /// Two orders met (watched markets). The levels that it changed come after it.
    Trade {
        /// The arriving order's outcome.
        outcome: OutcomeSide,
        /// The arriving order's direction.
        side: Side,
        /// Price of one share of `outcome`.
        price: Price,
        /// Shares.
        size: Shares,
        /// Taker fee in pUSD.
        fee: Usdc,
        /// How they met.
        kind: MatchKind,
    },
    /// The price step changed (watched markets).
    Tick {
        /// Before.
        old: Price,
        /// Now.
        new: Price,
    },
    /// A market was added (while lifecycles are watched).
    Opened,
    /// Trading has ended (watched markets, or while lifecycles are watched).
    Closed,
    /// Payouts are final (watched markets, or while lifecycles are watched).
    Resolved {
        /// Micro-pUSD per share of each outcome.
        payouts: [u32; 2],
    },
    /// An agent's order moved (watched accounts).
    Order(OrderEvent, Box<OrderRecord>),
    /// A trade of an agent was made or changed its state (once per trade, if either account is watched).
    AgentTrade(Box<TradeRecord>),
}

/// A new total at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelChange {
    /// Whose book.
    pub outcome: OutcomeSide,
    /// Bids are `Buy`, asks are `Sell`.
    pub side: Side,
    /// Price of one share of `outcome`.
    pub price: Price,
    /// Shares that rest there now; zero when the level is gone.
    pub total: Shares,
}

impl LevelChange {
    /// The same level as the other outcome's book shows it: a bid for Yes at `p` is an offer of No
    /// at `1 − p`. Only linked markets have mirrors.
    #[must_use]
    pub fn mirror(self) -> Self {
        LevelChange {
            outcome: self.outcome.other(),
            side: self.side.opposite(),
            price: self.price.complement(),
            total: self.total,
        }
    }
}

/// Collects what is watched.
#[derive(Debug, Default)]
pub(super) struct Feed {
    pub lifecycles: bool,
    changes: Vec<Change>,
}

impl Feed {
    pub(super) fn push(&mut self, market: MarketIdx, at: Timestamp, kind: ChangeKind) {
        self.changes.push(Change { market, at, kind });
    }

    pub(super) fn take(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }
}

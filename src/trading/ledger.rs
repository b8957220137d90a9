//! The account: an in-memory state machine fed by ledger events and by nothing else.
//!
//! After every event: cash + cost basis of positions = deposits + realised P&L (gross) − fees.
//! An event that would break that, or take cash or shares below zero, is refused whole.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Calibrations, ConditionalOrder, Estimate, Fill, HaltCause, LedgerEvent, MarketId, MoneyError,
    Order, OrderOutcome, Position, RestingOrder, Shares, SourceKind, StampedEvent, StrategyName,
    Timestamp, TokenId, Usdc,
};

use super::estimates::Scoring;
use claims::Claims;
use holdings::Holdings;

mod apply;
mod checkpoint;
mod claims;
mod depth;
mod exposure;
mod holdings;
mod stakes;

pub use checkpoint::{CHECKPOINT_FORMAT, CheckpointError};
pub use depth::Used;
pub use exposure::{Exposures, Scope};

/// How far back accepted orders are counted for `risk.max_orders_per_minute`.
const ORDER_RATE_WINDOW_MS: i64 = 60_000;
/// Trades that are kept at hand for the portfolio view.
const RECENT_TRADES: usize = 10;
/// How long it is remembered what was used of a level that never changes.
const REMEMBERED_USE_MS: i64 = 7 * 86_400_000;

/// Orders under a client's own id that are kept after they are over. Older ones are looked up in the
/// database; what a checkpoint holds, and a start reads, stays small.
pub const CLIENT_ORDERS_KEPT: usize = 1_000;

/// An event that does not fit the state it is applied to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The event's number is not the next one.
    #[error("event {got} follows event {last}; the log has a gap or a repetition")]
    OutOfOrder {
        /// Last applied.
        last: u64,
        /// The one that came.
        got: u64,
    },
    /// More cash would leave than there is.
    #[error("{needed} pUSD needed, {cash} pUSD there")]
    NotEnoughCash {
        /// Needed.
        needed: Usdc,
        /// There.
        cash: Usdc,
    },
    /// More shares would leave than are held.
    #[error("{needed} shares of {token} needed, {held} held")]
    NotEnoughShares {
        /// Token.
        token: TokenId,
        /// Needed.
        needed: Shares,
        /// Held.
        held: Shares,
    },
    /// The event speaks of something that is not there.
    #[error("no {what} with number {id}")]
    Unknown {
        /// Kind of thing.
        what: &'static str,
        /// Its number.
        id: u64,
    },
    /// A number is used a second time.
    #[error("{what} {id} was there before")]
    Repeated {
        /// Kind of thing.
        what: &'static str,
        /// Its number or name.
        id: String,
    },
    /// The event contradicts what it refers to.
    #[error("event does not fit {what} {id}: {why}")]
    Contradiction {
        /// Kind of thing.
        what: &'static str,
        /// Its number or name.
        id: String,
        /// In which way.
        why: &'static str,
    },
    /// A number that does not fit.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// Cash and cost no longer equal deposits, profit and fees.
    #[error("accounts do not balance after event {seq}: off by {off} pUSD")]
    Unbalanced {
        /// Event.
        seq: u64,
        /// Difference.
        off: Usdc,
    },
}

/// Running totals of one strategy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrategyTotals {
    /// Signals logged.
    pub signals_generated: u64,
    /// Signals that led to a fill or a resting order.
    pub signals_executed: u64,
    /// Fills.
    pub fills: u64,
    /// Notional traded, pUSD.
    pub volume: Usdc,
    /// Fees paid on its own orders, pUSD.
    pub fees: Usdc,
    /// Realised P&L before fees of positions that it opened, pUSD.
    pub realized: Usdc,
    /// Positions that it opened and that are closed: sold or settled to the last share.
    pub closed: u64,
    /// Of those, the ones that brought more than they cost, fees of all their fills counted.
    pub won: u64,
}

/// A trade for the portfolio view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecentTrade {
    /// When.
    pub at: Timestamp,
    /// The fill.
    pub fill: Fill,
}

/// An order that was placed under a client's own id, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientOrder {
    /// The order as accepted.
    pub order: Order,
    /// Its fills.
    pub fills: Vec<Fill>,
    /// How it ended, once it has.
    pub outcome: Option<OrderOutcome>,
}

/// The account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    seq: u64,
    last_at: Timestamp,
    source: Option<SourceKind>,
    cash: Usdc,
    deposits: Usdc,
    realized: Usdc,
    fees: Usdc,
    positions: Holdings,
    in_flight: BTreeMap<u64, (Order, Shares)>,
    resting: BTreeMap<u64, RestingOrder>,
    /// Of the two above. It follows from them, so no checkpoint holds it.
    #[serde(skip)]
    claims: Claims,
    conditionals: BTreeMap<u64, ConditionalOrder>,
    estimates: BTreeMap<MarketId, Vec<Estimate>>,
    scoring: Arc<Scoring>,
    /// Realised P&L less fees of each open position since it was opened.
    lives: BTreeMap<TokenId, Usdc>,
    strategies: BTreeMap<StrategyName, StrategyTotals>,
    signal_strategy: BTreeMap<u64, StrategyName>,
    /// Those that are open, and the newest [`CLIENT_ORDERS_KEPT`] of the others. Persistent, because
    /// each draft is a copy of the ledger.
    client_orders: RedBlackTreeMapSync<String, Arc<ClientOrder>>,
    used: BTreeMap<TokenId, Arc<Vec<Used>>>,
    /// Client ids of those that are over, by the order's number.
    closed_clients: RedBlackTreeMapSync<u64, String>,
    recent_trades: VecDeque<RecentTrade>,
    day: Option<(i64, Usdc)>,
    day_deposits: Usdc,
    last_snapshot_at: Option<Timestamp>,
    ticks: u64,
    orders: u64,
    signals: u64,
    conditionals_created: u64,
    baskets: u64,
    halt: Option<Halt>,
    peak: Option<Usdc>,
    settings: Option<String>,
    recent_orders: VecDeque<Timestamp>,
    /// Legs bought for the newest basket, by token.
    legs: Option<(u64, BTreeMap<TokenId, Shares>)>,
    stranded: BTreeMap<TokenId, Stranded>,
}

/// Shares of a basket's leg that stay although another leg did not fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stranded {
    /// The basket.
    pub basket: u64,
    /// Shares.
    pub shares: Shares,
}

/// Trading is halted: only cancels and sales that reduce a position pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halt {
    /// What kind of halt.
    pub cause: HaltCause,
    /// Who: `shell`, `agent`, `desk`.
    pub by: String,
    /// Why, in one line.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// Cash and positions at their marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equity {
    /// pUSD. A position without a mark counts at cost.
    pub total: Usdc,
    /// False when a position had no mark and was counted at cost, or when nobody bids for it any more
    /// and it was counted at its last mark.
    pub complete: bool,
}

impl Ledger {
    /// Number of the last event applied; 0 for an empty ledger.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Time of the last event applied.
    #[must_use]
    pub fn last_at(&self) -> Timestamp {
        self.last_at
    }

    /// The kind of source that this account trades on; `None` before it was opened.
    #[must_use]
    pub fn source(&self) -> Option<SourceKind> {
        self.source
    }

    /// Cash, pUSD.
    #[must_use]
    pub fn cash(&self) -> Usdc {
        self.cash
    }

    /// Cash that no waiting buy has a claim on, pUSD.
    #[must_use]
    pub fn available_cash(&self) -> Usdc {
        self.cash.minus(self.claims.cost())
    }

    /// Paid in, pUSD.
    #[must_use]
    pub fn deposits(&self) -> Usdc {
        self.deposits
    }

    /// Realised P&L before fees, pUSD.
    #[must_use]
    pub fn realized(&self) -> Usdc {
        self.realized
    }

    /// Fees paid, pUSD.
    #[must_use]
    pub fn fees(&self) -> Usdc {
        self.fees
    }

    /// Holdings by token.
    #[must_use]
    pub fn positions(&self) -> &BTreeMap<TokenId, Position> {
        self.positions.all()
    }

    /// Shares held of a token.
    #[must_use]
    pub fn held(&self, token: &TokenId) -> Shares {
        self.positions
            .get(token)
            .map_or(Shares::ZERO, |position| position.shares)
    }

    /// Shares held of a token that no sale, resting or on its way, has a claim on.
    #[must_use]
    pub fn sellable(&self, token: &TokenId) -> Shares {
        self.held(token).minus(self.claims.offered(token))
    }

    /// Resting orders by number.
    #[must_use]
    pub fn resting(&self) -> &BTreeMap<u64, RestingOrder> {
        &self.resting
    }

    /// Active conditional orders by number.
    #[must_use]
    pub fn conditionals(&self) -> &BTreeMap<u64, ConditionalOrder> {
        &self.conditionals
    }

    /// Latest estimate of each author, by market, expired ones included.
    #[must_use]
    pub fn estimates(&self) -> &BTreeMap<MarketId, Vec<Estimate>> {
        &self.estimates
    }

    /// Estimates that wait to be scored, and the records of their authors.
    #[must_use]
    pub fn scoring(&self) -> &Scoring {
        &self.scoring
    }

    /// The calibrations of the authors whose estimates may be acted on.
    #[must_use]
    pub fn calibrations(&self) -> Calibrations {
        self.scoring.calibrations(self.estimates.values().flatten())
    }

    /// Totals by strategy.
    #[must_use]
    pub fn strategies(&self) -> &BTreeMap<StrategyName, StrategyTotals> {
        &self.strategies
    }

    /// What came of an order placed under a client's own id: one that is open, or one of the newest
    /// [`CLIENT_ORDERS_KEPT`] that are over. Of older ones the database knows.
    #[must_use]
    pub fn client_order(&self, client_order_id: &str) -> Option<&ClientOrder> {
        self.client_orders.get(client_order_id).map(Arc::as_ref)
    }

    /// Who gave a signal that is neither executed nor rejected yet.
    #[must_use]
    pub fn open_signal(&self, signal_id: u64) -> Option<&StrategyName> {
        self.signal_strategy.get(&signal_id)
    }

    /// The newest trades, newest first.
    pub fn recent_trades(&self) -> impl Iterator<Item = &RecentTrade> {
        self.recent_trades.iter()
    }

    /// When the account was last recorded for charts.
    #[must_use]
    pub fn last_snapshot_at(&self) -> Option<Timestamp> {
        self.last_snapshot_at
    }

    /// Ticks completed.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Number for the next order.
    #[must_use]
    pub fn next_order_id(&self) -> u64 {
        self.orders + 1
    }

    /// Number for the next signal.
    #[must_use]
    pub fn next_signal_id(&self) -> u64 {
        self.signals + 1
    }

    /// Number for the next conditional order.
    #[must_use]
    pub fn next_conditional_id(&self) -> u64 {
        self.conditionals_created + 1
    }

    /// Number for the next basket.
    #[must_use]
    pub fn next_basket_id(&self) -> u64 {
        self.baskets + 1
    }

    /// The halt that is in force, if there is one.
    #[must_use]
    pub fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// Highest equity since the account was opened (or since trading was resumed after a drawdown),
    /// pUSD; `None` before the first.
    #[must_use]
    pub fn peak(&self) -> Option<Usdc> {
        self.peak
    }

    /// The settings that the desk goes by, as JSON, once they were recorded.
    #[must_use]
    pub fn settings(&self) -> Option<&str> {
        self.settings.as_deref()
    }

    /// Orders accepted in the minute before `now`.
    #[must_use]
    pub fn orders_in_last_minute(&self, now: Timestamp) -> u32 {
        let recent = self.recent_orders.iter();
        let count = recent
            .filter(|at| now.since(**at) < ORDER_RATE_WINDOW_MS)
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Accepted orders that are neither resting nor over: on their way to the exchange.
    pub fn in_flight(&self) -> impl Iterator<Item = (&Order, Shares)> {
        self.in_flight.values().map(|(order, left)| (order, *left))
    }

    /// Legs of baskets that did not fill and could not be sold again, by token.
    #[must_use]
    pub fn stranded(&self) -> &BTreeMap<TokenId, Stranded> {
        &self.stranded
    }

    /// Orders that are on their way or rest, with the shares that may still fill.
    pub fn open_orders(&self) -> impl Iterator<Item = (&Order, Shares)> {
        let resting = self.resting.values().map(|r| (&r.order, r.remaining));
        self.in_flight().chain(resting)
    }

    /// The UTC day that the daily loss is counted from, if one has begun.
    #[must_use]
    pub fn current_day(&self) -> Option<i64> {
        self.day.map(|(day, _)| day)
    }

    /// Cash and positions at their marks.
    #[must_use]
    pub fn equity(&self) -> Equity {
        Equity {
            total: self.cash.plus(self.positions.value()),
            complete: self.positions.all_marked(),
        }
    }

    /// Loss since midnight UTC, realised plus marked, fees included; negative for a gain. Money
    /// paid in today is not a gain.
    #[must_use]
    pub fn daily_loss(&self) -> Usdc {
        match self.day {
            Some((_, baseline)) => baseline.plus(self.day_deposits).minus(self.equity().total),
            None => Usdc::ZERO,
        }
    }

    /// Cost of positions and waiting buys in one market, pUSD.
    #[must_use]
    pub fn market_exposure(&self, market: &MarketId) -> Usdc {
        self.positions
            .market_cost(market)
            .plus(self.claims.market_cost(market))
    }

    /// Cost of all positions and waiting buys, pUSD.
    #[must_use]
    pub fn total_exposure(&self) -> Usdc {
        self.positions.cost().plus(self.claims.cost())
    }

    /// Cost basis of everything held, pUSD.
    #[must_use]
    pub fn cost_basis(&self) -> Usdc {
        self.positions.cost()
    }

    fn check_balance(&self) -> Result<(), LedgerError> {
        let left = self.cash.checked_add(self.cost_basis())?;
        let right = self
            .deposits
            .checked_add(self.realized)?
            .checked_sub(self.fees)?;
        if left == right {
            return Ok(());
        }
        Err(LedgerError::Unbalanced {
            seq: self.seq,
            off: left.minus(right),
        })
    }
}

/// Stamps, applies and collects events: the only way a step changes a ledger.
#[derive(Debug)]
pub struct Recorder<'a> {
    ledger: &'a mut Ledger,
    at: Timestamp,
    events: Vec<StampedEvent>,
}

impl<'a> Recorder<'a> {
    /// Records onto `ledger` at the moment `at` (never before the ledger's last event).
    pub fn new(ledger: &'a mut Ledger, at: Timestamp) -> Self {
        let at = at.max(ledger.last_at);
        Recorder {
            ledger,
            at,
            events: Vec::new(),
        }
    }

    /// The ledger as it stands, everything recorded so far included.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.ledger
    }

    /// The moment that events are stamped with.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Applies an event and keeps it. Errors: [`LedgerError`], with nothing changed.
    pub fn record(&mut self, event: LedgerEvent) -> Result<(), LedgerError> {
        // Written where it stays: an event is large.
        self.events.push(StampedEvent {
            seq: self.ledger.seq + 1,
            at: self.at,
            event,
        });
        let applied = match self.events.last() {
            Some(stamped) => self.ledger.apply(stamped),
            None => Ok(()),
        };
        if applied.is_err() {
            self.events.pop();
        }
        applied
    }

    /// What was recorded.
    #[must_use]
    pub fn into_events(self) -> Vec<StampedEvent> {
        self.events
    }

    /// What was recorded so far.
    #[must_use]
    pub fn events(&self) -> &[StampedEvent] {
        &self.events
    }
}

#[cfg(test)]
mod tests;

//! What happened, in the order it happened. The ledger is nothing but these, applied.

use serde::{Deserialize, Serialize};

use super::conditional::{ConditionalOrder, ConditionalSale};
use super::estimate::Estimate;
use super::fee::FeeSchedule;
use super::ids::{EventId, MarketId, StrategyName, TokenId};
use super::intent::Signal;
use super::money::{Price, Shares, Usdc};
use super::order::{Fill, Order, OrderOutcome, OrderType, Side};
use super::time::Timestamp;

/// One thing that happened to a ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum LedgerEvent {
    /// The account was opened, to trade on one kind of source only: simulated and real prices never
    /// meet in one account.
    AccountOpened {
        /// `polymarket`, `sandbox` or `recorded`.
        source: super::snapshot::SourceKind,
    },
    /// The rules that the desk goes by were set, or are others than before.
    ConfigChanged {
        /// The settings that verdicts depend on (`mode`, `risk`, `aggregation`, `position_sizing`,
        /// `conditional_orders`, `execution`, …) as JSON, whole: so that each verdict can be
        /// recomputed.
        settings: String,
        /// Keys that changed, with what they were and what they are; empty the first time.
        changes: Vec<ConfigChange>,
    },
    /// Money was put in.
    Deposited {
        /// How much, pUSD.
        amount: Usdc,
    },
    /// A strategy wanted something; logged before anything is decided about it.
    SignalGenerated {
        /// Number in the signal log, from 1.
        signal_id: u64,
        /// What it wanted. A basket or quote is logged leg by leg.
        signal: Signal,
    },
    /// A logged signal led to at least one fill, to a resting order, or to one on its way to the
    /// exchange (what becomes of that, its own events tell).
    SignalExecuted {
        /// Number in the signal log.
        signal_id: u64,
    },
    /// A logged signal was not traded.
    SignalRejected {
        /// Number in the signal log.
        signal_id: u64,
        /// Why.
        reason: String,
    },
    /// An order passed the risk gate and was handed to the executor.
    OrderAccepted {
        /// The order.
        order: Order,
    },
    /// An order was refused before it reached the executor.
    OrderRefused {
        /// Who wanted it.
        strategy: StrategyName,
        /// Market.
        market_id: MarketId,
        /// Token.
        token_id: TokenId,
        /// Direction; `None` in logs of 1.0.
        #[serde(default)]
        side: Option<Side>,
        /// Limit price.
        #[serde(default)]
        limit: Option<Price>,
        /// Shares wanted.
        #[serde(default)]
        shares: Option<Shares>,
        /// Row in the signal log, if there is one.
        #[serde(default)]
        signal_id: Option<u64>,
        /// The event that groups the market with others, where known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<EventId>,
        /// Type of the order; `None` in logs of 1.0.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_type: Option<OrderType>,
        /// The market's fee terms then, which the cash that it needs is worked out by; `None` where the
        /// market was not gathered, and in older logs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fee: Option<FeeSchedule>,
        /// Legs of the same basket that go before it, thinnest first: limits on the account count them
        /// as bought. None of the basket was sent. Empty for every other order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        earlier_legs: Vec<EarlierLeg>,
        /// Which limit or rule refused it.
        code: String,
        /// The limit, the value, and what is allowed.
        message: String,
    },
    /// An order began to rest.
    OrderRested {
        /// The order.
        order_id: u64,
        /// Shares that rest.
        remaining: Shares,
        /// Shares of others that stood at its price in the book it came to.
        #[serde(default)]
        queue_ahead: Shares,
        /// The exchange's time up to which trades of others are part of that book, where our clock is
        /// behind it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prints_to: Option<Timestamp>,
    },
    /// The queue before a resting order became shorter.
    QueueAdvanced {
        /// The order.
        order_id: u64,
        /// Shares of others that still go first.
        queue_ahead: Shares,
        /// Time of the newest trade of others that this accounts for.
        prints_to: Timestamp,
    },
    /// How much of these levels of a token's book paper fills have used up: after a fill of a resting
    /// order that the market passed, and when a level shows less than that.
    DepthUsed {
        /// The token.
        token_id: TokenId,
        /// The levels that changed.
        levels: Vec<UsedLevel>,
    },
    /// An execution.
    Filled {
        /// At what, how much.
        fill: Fill,
    },
    /// An order is over.
    OrderClosed {
        /// The order.
        order_id: u64,
        /// How it ended.
        outcome: OrderOutcome,
        /// Shares that did not fill.
        unfilled: Shares,
        /// Why, in one line.
        reason: String,
    },
    /// A conditional order began to wait.
    ConditionalCreated {
        /// The order.
        conditional: ConditionalOrder,
    },
    /// The highest bid that a trailing stop has seen rose.
    WatermarkRaised {
        /// The conditional order.
        id: u64,
        /// New watermark.
        watermark: Price,
    },
    /// The price of a stop was reached on a book too wide or too thin to believe, or is no longer.
    ConditionalDoubted {
        /// The conditional order.
        id: u64,
        /// Bid then; `None` when nobody bids.
        bid: Option<Price>,
        /// Ask then; `None` when nobody asks.
        ask: Option<Price>,
        /// Since when its price is reached; `None` when the bid has come back.
        since: Option<Timestamp>,
    },
    /// A conditional order fired and sold the last of its shares.
    ConditionalTriggered {
        /// The conditional order.
        id: u64,
        /// Executable bid that set it off.
        bid: Price,
        /// Shares sold now.
        sold: Shares,
        /// What they brought before the fee, pUSD: `trigger × sold − proceeds` is the slippage from
        /// the trigger, `bid × sold − proceeds` that from the bid. `None` in logs of 1.0.
        #[serde(default)]
        proceeds: Option<Usdc>,
        /// The price that the bid had to reach. `None` in logs of 1.0.
        #[serde(default)]
        trigger: Option<Price>,
    },
    /// A conditional order sold part of its shares and goes on waiting with the rest, or its
    /// position became smaller.
    ConditionalReduced {
        /// The conditional order.
        id: u64,
        /// Shares it now covers.
        shares: Shares,
        /// What it sold; `None` when its position or its group became smaller otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sale: Option<ConditionalSale>,
    },
    /// A conditional order was withdrawn.
    ConditionalCancelled {
        /// The conditional order.
        id: u64,
        /// Why.
        reason: String,
    },
    /// What held tokens could be sold for.
    Marked {
        /// Token and best bid.
        marks: Vec<(TokenId, Price)>,
    },
    /// Nobody bids for held tokens any more: their last marks stand, and count as old.
    BidsGone {
        /// The tokens.
        tokens: Vec<TokenId>,
    },
    /// A position was paid out because its market resolved.
    Settled {
        /// Market.
        market_id: MarketId,
        /// Token.
        token_id: TokenId,
        /// Payout per share: 0, 0.5 or 1.
        payout: Price,
        /// Shares paid.
        shares: Shares,
        /// pUSD received: `payout × shares`, floored.
        proceeds: Usdc,
        /// What told us.
        evidence: String,
    },
    /// An agent's estimate was stored; it replaces the author's earlier one for the market.
    EstimateStored {
        /// The estimate.
        estimate: Estimate,
    },
    /// A market that somebody had estimated resolved, and the estimate was scored. Each estimate
    /// that was ever stored for the market is scored once; one made at its end or later counts for
    /// nothing.
    EstimateScored {
        /// The estimate as it was stored, without its rationale.
        estimate: Estimate,
        /// What one share of the estimated outcome paid: 0, 0.5 or 1.
        payout: Price,
        /// `(probability − payout)²`.
        brier: f64,
        /// `−ln` of the probability given to what happened, which is first kept within 1e-6 of 0
        /// and 1; for a payout of 0.5 the mean of both.
        log_score: f64,
        /// How much it counts, 0 to 1: the share of the time from its author's first estimate of the
        /// market to the market's end during which it was his last word.
        #[serde(default = "whole")]
        weight: f64,
        /// When the market ended: as the venue says, else when it was first seen to have.
        #[serde(default)]
        ended_at: Option<Timestamp>,
    },
    /// No order but cancels and sales that reduce a position passes from now on.
    Halted {
        /// What kind of halt.
        cause: HaltCause,
        /// Who: `shell`, `agent`, `desk`.
        by: String,
        /// Why, in one line, with the numbers.
        reason: String,
    },
    /// Trading goes on.
    Resumed {
        /// Who: `shell`, `agent`, `desk`.
        by: String,
        /// Why, in one line.
        reason: String,
    },
    /// Equity is higher than ever: the drawdown is counted from here. Money paid in moves it too.
    PeakRaised {
        /// New peak, pUSD.
        equity: Usdc,
    },
    /// A UTC day began: the equity that the daily loss is counted from.
    DayStarted {
        /// Days since 1970-01-01.
        day: i64,
        /// Equity then, pUSD.
        equity: Usdc,
    },
    /// The state of the account, recorded for charts.
    SnapshotTaken {
        /// Cash, pUSD.
        balance: Usdc,
        /// Cash and positions at their marks, pUSD.
        total_value: Usdc,
    },
    /// A tick was completed.
    TickCompleted {
        /// Number of the tick in this ledger, from 1.
        tick: u64,
        /// Markets looked at.
        markets: u32,
        /// Signals generated.
        signals: u32,
        /// Fills.
        fills: u32,
    },
}

/// A leg of a basket that was refused for a later one: what the limits count it as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierLeg {
    /// Row in the signal log.
    pub signal_id: Option<u64>,
    /// Market.
    pub market_id: MarketId,
    /// The event that groups the market with others, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// Token.
    pub token_id: TokenId,
    /// Limit price.
    pub limit: Price,
    /// Shares wanted.
    pub shares: Shares,
    /// The market's fee terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<FeeSchedule>,
}

/// Weight of a score that states none.
fn whole() -> f64 {
    1.0
}

/// Shares of one level that paper fills have used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedLevel {
    /// Side of our order: a buy uses up asks.
    pub side: Side,
    /// Price of the level.
    pub price: Price,
    /// Shares in all; none when nothing is used any more.
    pub shares: Shares,
}

/// One key of the configuration that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// Dotted path, e.g. `risk.max_daily_loss`.
    pub key: String,
    /// Value before, as JSON; `None` when the key is new.
    pub old: Option<String>,
    /// Value now, as JSON; `None` when the key is gone.
    pub new: Option<String>,
}

/// Why nothing may be bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltCause {
    /// Somebody pulled the kill switch: until somebody resumes.
    KillSwitch,
    /// The day's loss reached its limit: until midnight UTC.
    DailyLoss,
    /// Equity fell too far below its peak: until somebody resumes, which sets the peak anew.
    Drawdown,
}

impl HaltCause {
    /// `kill_switch`, `daily_loss` or `drawdown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HaltCause::KillSwitch => "kill_switch",
            HaltCause::DailyLoss => "daily_loss",
            HaltCause::Drawdown => "drawdown",
        }
    }
}

/// An event with its place and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StampedEvent {
    /// Place in the ledger, from 1, without gaps.
    pub seq: u64,
    /// When, by the clock of the source the desk trades on.
    pub at: Timestamp,
    /// What.
    pub event: LedgerEvent,
}

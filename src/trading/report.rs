//! What a step did, in numbers for people and agents. Money leaves exact integers only here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    ConditionalOrder, ConditionalSale, Fill, Market, MoneyError, Order, OrderOutcome, Shares,
    Signal, Timestamp,
};

use super::matching::Matched;

/// One level of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FillReport {
    /// Price of the level, 0–1.
    pub price: f64,
    /// Shares filled at it.
    pub shares: f64,
    /// pUSD traded, fee not included.
    pub notional: f64,
    /// Fee, pUSD.
    pub fee: f64,
}

impl FillReport {
    /// Of a fill.
    #[must_use]
    pub fn of(fill: &Fill) -> Self {
        FillReport {
            price: fill.price.to_f64(),
            shares: fill.shares.to_f64(),
            notional: fill.notional.to_f64(),
            fee: fill.fee.to_f64(),
        }
    }
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderReport {
    /// Number of the order in this ledger.
    pub order_id: u64,
    /// Who wanted it.
    pub strategy: String,
    /// Market id.
    pub market_id: String,
    /// Question of the market. Untrusted text.
    pub question: String,
    /// Token id.
    pub token_id: String,
    /// Outcome name. Untrusted text.
    pub outcome: String,
    /// buy or sell.
    pub side: String,
    /// FAK, FOK, GTC, GTD or POST_ONLY.
    pub order_type: String,
    /// Limit price, 0–1.
    pub limit_price: f64,
    /// Shares ordered.
    pub shares: f64,
    /// filled, partially_filled, unfilled, resting, in_flight, cancelled or expired.
    pub status: String,
    /// Shares filled.
    pub filled_shares: f64,
    /// pUSD traded, fees not included.
    pub notional: f64,
    /// Fees, pUSD.
    pub fee: f64,
    /// Average fill price, 0–1; null when nothing filled.
    pub average_price: Option<f64>,
    /// Average fill price against the mid before the order, as a fraction of the mid, positive when
    /// worse; null when nothing filled or the book had one side.
    pub slippage: Option<f64>,
    /// Level by level.
    pub fills: Vec<FillReport>,
    /// Shares that go on resting.
    pub resting_shares: f64,
    /// Shares of others that go first at its price; null when nothing rests.
    pub queue_ahead: Option<f64>,
    /// When it leaves the book by itself, RFC 3339 UTC; null for never.
    pub expires_at: Option<String>,
    /// When it reaches the exchange, RFC 3339 UTC; null when it did at once.
    pub arrives_at: Option<String>,
    /// Conditional orders attached to what filled, in words; one whose price the bid has passed
    /// already says so.
    #[serde(default)]
    pub exits: Vec<String>,
    /// Why the order was placed, or why it did not fill.
    pub reason: String,
}

/// Status of an order that rests.
pub const RESTING: &str = "resting";
/// Status of an order that is on its way to the exchange.
pub const IN_FLIGHT: &str = "in_flight";

/// Status words for an order that took what it could.
#[must_use]
pub fn outcome_of(matched: &Matched) -> OrderOutcome {
    if matched.fills.is_empty() {
        OrderOutcome::Unfilled
    } else if matched.unfilled.is_zero() {
        OrderOutcome::Filled
    } else {
        OrderOutcome::PartiallyFilled
    }
}

/// The words for an outcome.
#[must_use]
pub fn outcome_words(outcome: OrderOutcome) -> &'static str {
    match outcome {
        OrderOutcome::Filled => "filled",
        OrderOutcome::PartiallyFilled => "partially_filled",
        OrderOutcome::Unfilled => "unfilled",
        OrderOutcome::Cancelled => "cancelled",
        OrderOutcome::Expired => "expired",
    }
}

impl OrderReport {
    /// Describes what a match made of an order.
    #[must_use]
    pub fn new(
        order: &Order,
        market: &Market,
        matched: &Matched,
        status: &str,
        slippage: Option<f64>,
    ) -> Self {
        OrderReport {
            order_id: order.id,
            strategy: order.strategy.to_string(),
            market_id: order.market_id.to_string(),
            question: market.question.clone(),
            token_id: order.token_id.to_string(),
            outcome: order.outcome.to_string(),
            side: order.side.as_str().to_owned(),
            order_type: order.order_type.as_str().to_owned(),
            limit_price: order.limit.to_f64(),
            shares: order.shares.to_f64(),
            status: status.to_owned(),
            filled_shares: matched.filled().to_f64(),
            notional: matched.notional().to_f64(),
            fee: matched.fee().to_f64(),
            average_price: matched.average_price(),
            slippage,
            fills: matched
                .fills
                .iter()
                .map(|fill| FillReport {
                    price: fill.price.to_f64(),
                    shares: fill.shares.to_f64(),
                    notional: fill.notional.to_f64(),
                    fee: fill.fee.to_f64(),
                })
                .collect(),
            resting_shares: 0.0,
            queue_ahead: None,
            expires_at: order.expires_at.map(|end| end.to_rfc3339()),
            arrives_at: order.arrives_at.map(|moment| moment.to_rfc3339()),
            exits: Vec::new(),
            reason: order.reason.clone(),
        }
    }

    /// Says that so many shares rest behind so many of others.
    pub(super) fn rests(&mut self, shares: Shares, queue_ahead: Shares) {
        self.resting_shares = shares.to_f64();
        self.queue_ahead = Some(queue_ahead.to_f64());
    }
}

/// What one strategy did in a tick.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct StrategyReport {
    /// Name.
    pub strategy: String,
    /// Markets, or groups of markets, looked at.
    pub looked_at: u32,
    /// Signals it gave (a basket or quote counts each leg or side).
    pub signals: u32,
    /// Markets passed over, by cause.
    pub passed_over: BTreeMap<String, u32>,
    /// Signals that were not traded, by cause.
    pub not_traded: BTreeMap<String, u32>,
    /// Why the strategy could not work at all, if so.
    pub error: Option<String>,
}

/// What became of a basket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BasketReport {
    /// Its number in this ledger.
    pub basket: u64,
    /// Who wanted it.
    pub strategy: String,
    /// Legs that it has.
    pub legs: u32,
    /// True when every leg filled.
    pub filled: bool,
    /// What legs cost that were bought and sold again, fees of both included, pUSD; 0 when it
    /// filled.
    pub lost: f64,
    /// Shares of legs that could not be sold again and stay.
    pub left: f64,
    /// Why it did not fill; null when it did.
    pub reason: Option<String>,
}

/// A settled position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettlementReport {
    /// Market id.
    pub market_id: String,
    /// Token id.
    pub token_id: String,
    /// Outcome name. Untrusted text.
    pub outcome: String,
    /// Payout per share, pUSD: 0, 0.5 or 1.
    pub payout: f64,
    /// Shares paid.
    pub shares: f64,
    /// pUSD received.
    pub proceeds: f64,
    /// Realised P&L before fees, pUSD.
    pub pnl: f64,
    /// What told us.
    pub evidence: String,
}

/// A sale that a conditional order set off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExitReport {
    /// Number of the conditional order.
    pub id: u64,
    /// stop_loss, take_profit or trailing_stop.
    pub kind: String,
    /// Token id.
    pub token_id: String,
    /// The price that the bid had to reach, 0–1.
    pub trigger: f64,
    /// The best price at which enough could be sold then, 0–1.
    pub bid: f64,
    /// Shares sold.
    pub sold: f64,
    /// Shares that go on waiting.
    pub left: f64,
    /// What they brought, pUSD, fees not included.
    pub proceeds: f64,
    /// Average price, 0–1.
    pub average: f64,
    /// `trigger × sold − proceeds`, pUSD; negative when they brought more.
    pub slippage_from_trigger: f64,
    /// `bid × sold − proceeds`, pUSD; negative when they brought more.
    pub slippage_from_bid: f64,
    /// The same in words, exact.
    pub words: String,
}

impl ExitReport {
    /// Of a sale. Errors: a product does not fit.
    pub fn new(
        order: &ConditionalOrder,
        sale: &ConditionalSale,
        left: Shares,
    ) -> Result<Self, MoneyError> {
        let from_trigger = sale.slippage_from(sale.trigger)?;
        let from_bid = sale.slippage_from(sale.bid)?;
        let kind = order.kind.as_str();
        Ok(ExitReport {
            id: order.id,
            kind: kind.to_owned(),
            token_id: order.token_id.to_string(),
            trigger: sale.trigger.to_f64(),
            bid: sale.bid.to_f64(),
            sold: sale.sold.to_f64(),
            left: left.to_f64(),
            proceeds: sale.proceeds.to_f64(),
            average: sale.proceeds.to_f64() / sale.sold.to_f64(),
            slippage_from_trigger: from_trigger.to_f64(),
            slippage_from_bid: from_bid.to_f64(),
            words: format!(
                "{kind} {} at bid {} (trigger {}): sold {} shares for {} pUSD, {left} left; \
                 slippage {from_trigger} pUSD from the trigger, {from_bid} from the bid",
                order.id, sale.bid, sale.trigger, sale.sold, sale.proceeds
            ),
        })
    }
}

/// A position whose market has ended, or is not known, and has not been paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnsettledReport {
    /// Market id.
    pub market_id: String,
    /// Token id.
    pub token_id: String,
    /// Outcome name. Untrusted text.
    pub outcome: String,
    /// Shares held.
    pub shares: f64,
    /// What they cost, pUSD.
    pub cost: f64,
    /// closed, paused or unknown.
    pub state: String,
    /// What is known so far, in words.
    pub why: String,
}

/// Where the time of a tick went, in ms of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TickTiming {
    /// Asking the source.
    pub gather_ms: f64,
    /// The step itself: strategies, limits, paper matching.
    pub decide_ms: f64,
    /// The rest of the commit: waiting for the writer, storing the events, publishing the ledger.
    pub act_ms: f64,
}

/// What a tick did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TickReport {
    /// Number of the tick in this ledger.
    pub tick: u64,
    /// The moment it speaks of, RFC 3339 UTC.
    #[serde(with = "rfc3339")]
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Markets that strategies could look at.
    pub markets: u32,
    /// Signals logged.
    pub signals: u32,
    /// Fills, resting orders included.
    pub fills: u32,
    /// Strategy by strategy.
    pub strategies: Vec<StrategyReport>,
    /// Orders, with their fills.
    pub orders: Vec<OrderReport>,
    /// Conditional orders that fired, in words.
    pub triggered: Vec<String>,
    /// The same in numbers.
    pub exits: Vec<ExitReport>,
    /// Baskets that were run, filled or not.
    pub baskets: Vec<BasketReport>,
    /// Positions paid out.
    pub settlements: Vec<SettlementReport>,
    /// Positions that wait for their market's end, with what is known of it.
    pub unsettled: Vec<UnsettledReport>,
    /// Cash, pUSD.
    pub cash: f64,
    /// Cash and positions at their marks, pUSD.
    pub equity: f64,
    /// False when a position has no mark and counts at cost.
    pub equity_complete: bool,
    /// Remarks: what was missing, what was skipped.
    pub notes: Vec<String>,
    /// Where its time went; null for a step that nobody timed, as in a backtest.
    pub timing: Option<TickTiming>,
    /// The signals logged in this tick.
    #[serde(skip)]
    #[schemars(skip)]
    pub signal_log: Vec<(u64, Signal)>,
}

impl TickReport {
    /// The report of a strategy, made when it is first spoken of.
    pub fn strategy(&mut self, name: &str) -> &mut StrategyReport {
        let index = match self
            .strategies
            .iter()
            .position(|report| report.strategy == name)
        {
            Some(index) => index,
            None => {
                self.strategies.push(StrategyReport {
                    strategy: name.to_owned(),
                    ..Default::default()
                });
                self.strategies.len() - 1
            }
        };
        // The index was just found or made.
        #[expect(clippy::indexing_slicing, reason = "the index was just found or made")]
        &mut self.strategies[index]
    }

    /// Counts a signal that was not traded.
    pub fn not_traded(&mut self, strategy: &str, cause: &str) {
        self.many_not_traded(strategy, cause, 1);
    }

    /// Counts so many signals of a strategy that were not traded.
    pub fn many_not_traded(&mut self, strategy: &str, cause: &str, times: u32) {
        let counts = &mut self.strategy(strategy).not_traded;
        if let Some(count) = counts.get_mut(cause) {
            *count += times;
        } else if times > 0 {
            counts.insert(cause.to_owned(), times);
        }
    }
}

/// A moment as text in JSON. It is made when the report is written: between two ticks of a session,
/// and in a replay, hardly any is.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::domain::Timestamp;

    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        Timestamp::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("{text} is no moment")))
    }
}

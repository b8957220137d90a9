//! The risk gate: the only place that can build [`Approved`], and the executor takes nothing else.
//!
//! ```compile_fail
//! # fn forge(order: polymarket_agent::domain::Order) {
//! let forged = polymarket_agent::trading::risk::Approved { inner: order };
//! # }
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    Book, Market, Order, Price, RestingOrder, Side, SourceKind, StrategyName, Timestamp, Usdc,
};

use super::config::{Mode, RiskConfig};
use super::ledger::{Exposures, Ledger};
use super::venue_rules;

pub mod halts;
mod limits;

/// Something that passed every limit. Its field is private: only this module makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved<T> {
    inner: T,
}

impl<T> Approved<T> {
    /// What was approved.
    #[must_use]
    pub fn get(&self) -> &T {
        &self.inner
    }

    /// Gives up the approval.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl Approved<Order> {
    /// The same order with another reason, which is nothing that was judged: most orders of a tick are
    /// refused, so words are made only for those that go out.
    #[must_use]
    pub fn because(self, reason: String) -> Self {
        Approved {
            inner: Order {
                reason,
                ..self.inner
            },
        }
    }
}

/// One limit, what the order would make of it, and what is allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LimitCheck {
    /// Name of the limit: a key under `risk` in config.yaml, or a rule of the venue.
    pub limit: String,
    /// What the order would make of it, with its unit.
    pub value: String,
    /// What is allowed, with its unit.
    pub allowed: String,
    /// True when the order passes.
    pub passed: bool,
}

/// Why an order may not go out: the first limit that it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Name of the limit or rule, for programs.
    pub code: String,
    /// Limit, value and allowed value in words.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Refusal {
    /// A refusal by a rule that is not a limit of the operator.
    pub fn new(
        code: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Refusal {
            code: code.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Why a basket may not go out: the first of its legs that breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegRefusal {
    /// Place of the leg among the orders that were judged, from 0. The limits count those before it
    /// as bought.
    pub leg: usize,
    /// The limit that it breaks.
    pub refusal: Refusal,
}

/// An order with what must be known to judge it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The order.
    pub order: &'a Order,
    /// Its market.
    pub market: &'a Market,
    /// The token's book, if there is one.
    pub book: Option<&'a Book>,
}

impl Candidate<'_> {
    /// The order, approved on its market's fee terms of now. Only the gate calls it.
    fn approved(&self) -> Approved<Order> {
        Approved {
            inner: Order {
                fee: Some(self.market.fee),
                ..self.order.clone()
            },
        }
    }
}

/// What the limits of account and strategy leave to a purchase of one strategy, in the order in which it would
/// be judged by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leeway(Vec<(&'static str, Usdc)>);

impl Leeway {
    /// The first limit that refuses a purchase which costs at least `least` pUSD, more than nothing, whatever
    /// else it is. `None` where one may pass.
    #[must_use]
    pub fn refuses(&self, least: Usdc) -> Option<&'static str> {
        let mut limits = self.0.iter();
        limits
            .find(|(_, room)| least > *room)
            .map(|(limit, _)| *limit)
    }
}

/// Judges orders against the limits and the state of the account at this moment.
#[derive(Debug, Clone, Copy)]
pub struct RiskGate<'a> {
    /// Limits.
    pub limits: &'a RiskConfig,
    /// What is allowed at all.
    pub mode: Mode,
    /// Where books come from.
    pub source: SourceKind,
    /// The account.
    pub ledger: &'a Ledger,
    /// Now, by the source's clock.
    pub now: Timestamp,
}

impl RiskGate<'_> {
    /// Approves one order. Errors: the [`Refusal`] of the first limit that it breaks.
    pub fn approve(
        &self,
        order: &Order,
        market: &Market,
        book: Option<&Book>,
    ) -> Result<Approved<Order>, Refusal> {
        let candidate = Candidate {
            order,
            market,
            book,
        };
        self.judge(&[candidate]).map_err(|broken| broken.refusal)?;
        Ok(candidate.approved())
    }

    /// Approves all the legs of a basket or none: limits count the legs together. Errors: the first
    /// leg that breaks a limit, and which.
    pub fn approve_all(
        &self,
        candidates: &[Candidate<'_>],
    ) -> Result<Vec<Approved<Order>>, LegRefusal> {
        self.judge(candidates)?;
        Ok(candidates.iter().map(Candidate::approved).collect())
    }

    fn judge(&self, candidates: &[Candidate<'_>]) -> Result<(), LegRefusal> {
        for (leg, candidate) in candidates.iter().enumerate() {
            let earlier = candidates.get(..leg).unwrap_or_default();
            self.judge_one(candidate, earlier)
                .map_err(|refusal| LegRefusal { leg, refusal })?;
        }
        Ok(())
    }

    fn judge_one(
        &self,
        candidate: &Candidate<'_>,
        earlier: &[Candidate<'_>],
    ) -> Result<(), Refusal> {
        halts::pass(candidate.order.side, self.ledger)?;
        venue_rules::check(candidate, self)?;
        for check in limits::of(self, candidate, earlier) {
            check.verdict()?;
        }
        Ok(())
    }

    /// Whether a buy that was approved a while ago may still reach the exchange. Errors: a halt is in
    /// force, or due on the marks of now.
    pub fn lets_buys_through(&self) -> Result<(), Refusal> {
        halts::pass(Side::Buy, self.ledger)?;
        match halts::due(self.ledger, self.limits) {
            None => Ok(()),
            Some((cause, reason)) => Err(Refusal::new(
                "halted",
                format!("trading is to be halted ({}): {reason}", cause.as_str()),
                halts::how_to_lift(cause),
            )),
        }
    }

    /// Whether a resting buy may go on resting under the limits as they are now: it was approved
    /// when they may have been others, and before today's losses. Errors: the first that it breaks.
    pub fn stands(&self, resting: &RestingOrder) -> Result<(), Refusal> {
        let order = &resting.order;
        if self.mode != Mode::Paper {
            let hint = "It is withdrawn; nothing is traded in this mode.";
            return Err(Refusal::new("mode", "the mode allows no trading", hint));
        }
        // What is offered for sale can only reduce what is held.
        if order.side == Side::Sell {
            return Ok(());
        }
        halts::pass(order.side, self.ledger)?;
        for check in limits::of_resting(self, order, resting.remaining) {
            check.verdict()?;
        }
        Ok(())
    }

    /// What the limits of account and strategy leave to a purchase of this strategy, whichever its market.
    #[must_use]
    pub fn leeway(&self, strategy: &StrategyName) -> Leeway {
        let mut limits = Vec::new();
        if halts::pass(Side::Buy, self.ledger).is_err() {
            limits.push(("halted", Usdc::ZERO));
        }
        let room = |limit| Some((limit, self.room(limit, strategy)?));
        let closed = |check: limits::Check| (!check.passed).then_some((check.limit, Usdc::ZERO));
        // In the order in which an order is judged.
        limits.extend(limits::orders_in_a_minute(self, 0).and_then(closed));
        let exposures = [
            "max_position_size",
            "max_strategy_exposure",
            "max_total_exposure",
        ];
        limits.extend(exposures.into_iter().filter_map(room));
        limits.extend(closed(halts::daily_loss(self.ledger, self.limits)));
        limits.extend(halts::drawdown(self.ledger, self.limits).and_then(closed));
        limits.extend(room("cash"));
        Leeway(limits)
    }

    /// What the limit of this name has room for, pUSD: the most that an order of this strategy may cost under
    /// it, fee not counted. `None` where it is no limit on money, or is one of a market or an event.
    #[must_use]
    pub fn room(&self, limit: &str, strategy: &StrategyName) -> Option<Usdc> {
        let in_use = || self.ledger.strategy_and_total(strategy);
        let limits = self.limits;
        match limit {
            "max_position_size" => Some(limits.max_position_size),
            "max_strategy_exposure" => Some(limits.max_strategy_exposure.minus(in_use().0)),
            "max_total_exposure" => Some(limits.max_total_exposure.minus(in_use().1)),
            "cash" => Some(self.ledger.available_cash()),
            _ => None,
        }
    }

    /// The most notional that a taking buy at `limit` may have under every limit and with the cash
    /// there is, pUSD; zero when nothing may be bought. `at_stake` is what it would add to.
    #[must_use]
    pub fn largest_buy(&self, market: &Market, at_stake: &Exposures, limit: Price) -> Usdc {
        let price = limit.to_f64();
        let fee = market.fee.per_share(price.min(0.5));
        let cash = self.ledger.available_cash().to_f64() * price / (price + fee).max(1e-6);
        // Ten micro-units below, for the roundings of notional and fee.
        let cash = Usdc::from_f64_rounded(cash)
            .unwrap_or(Usdc::ZERO)
            .minus(Usdc::from_micros(10));
        let limits = self.limits;
        [
            limits.max_position_size,
            limits.max_market_exposure.minus(at_stake.market),
            limits.max_event_exposure.minus(at_stake.event),
            limits.max_strategy_exposure.minus(at_stake.strategy),
            limits.max_total_exposure.minus(at_stake.total),
            cash,
        ]
        .into_iter()
        .fold(Usdc::from_micros(i64::MAX), Usdc::min)
        .max(Usdc::ZERO)
    }

    /// Every limit with its verdict, for a preview. A preview approves nothing.
    #[must_use]
    pub fn assess(&self, candidate: &Candidate<'_>) -> Vec<LimitCheck> {
        let broken = |refusal: Refusal| LimitCheck {
            limit: refusal.code,
            value: refusal.message,
            allowed: refusal.hint,
            passed: false,
        };
        let mut checks = Vec::new();
        if let Err(refusal) = halts::pass(candidate.order.side, self.ledger) {
            checks.push(broken(refusal));
        }
        // `shares_held` is among the limits below, with its numbers.
        if let Err(refusal) = venue_rules::check(candidate, self)
            && refusal.code != "shares_held"
        {
            checks.push(broken(refusal));
        }
        checks.extend(
            limits::of(self, candidate, &[])
                .iter()
                .map(|check| check.shown()),
        );
        checks
    }
}

#[cfg(test)]
mod tests;

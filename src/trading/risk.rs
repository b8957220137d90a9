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
    Book, Market, Order, OrderType, Price, RestingOrder, Rounding, Side, SourceKind, Timestamp,
    Usdc, notional,
};

use super::config::{Mode, RiskConfig};
use super::ledger::Ledger;
use super::venue_rules;

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

/// What orders judged earlier in the same breath would use up.
#[derive(Debug, Default, Clone, Copy)]
struct Claimed {
    cash: Usdc,
    exposure: Usdc,
    resting: u32,
}

impl RiskGate<'_> {
    /// Approves one order. Errors: the [`Refusal`] of the first limit that it breaks.
    pub fn approve(
        &self,
        order: Order,
        market: &Market,
        book: Option<&Book>,
    ) -> Result<Approved<Order>, Refusal> {
        let candidate = Candidate {
            order: &order,
            market,
            book,
        };
        self.judge(&[candidate])?;
        Ok(Approved { inner: order })
    }

    /// Approves all the legs of a basket or none: limits count the legs together.
    pub fn approve_all(
        &self,
        candidates: &[Candidate<'_>],
    ) -> Result<Vec<Approved<Order>>, Refusal> {
        self.judge(candidates)?;
        Ok(candidates
            .iter()
            .map(|c| Approved {
                inner: c.order.clone(),
            })
            .collect())
    }

    fn judge(&self, candidates: &[Candidate<'_>]) -> Result<(), Refusal> {
        let mut claimed = Claimed::default();
        for (index, candidate) in candidates.iter().enumerate() {
            venue_rules::check(candidate, self)?;
            let same_market: Usdc = candidates
                .iter()
                .take(index)
                .filter(|earlier| {
                    earlier.order.side == Side::Buy && earlier.market.id == candidate.market.id
                })
                .map(|earlier| worst_cost(earlier.order, earlier.market).0)
                .sum();
            let checks = self.limits_of(candidate, claimed, same_market);
            if let Some(broken) = checks.iter().find(|check| !check.passed) {
                return Err(refusal_of(broken));
            }
            let (cost, fee) = worst_cost(candidate.order, candidate.market);
            if candidate.order.side == Side::Buy {
                claimed.cash = claimed.cash.plus(cost).plus(fee);
                claimed.exposure = claimed.exposure.plus(cost);
            }
            claimed.resting += u32::from(candidate.order.order_type.rests());
        }
        Ok(())
    }

    /// Whether a resting buy may go on resting under the limits as they are now: it was approved
    /// when they may have been others, and before today's losses. Errors: the first that it breaks.
    pub fn stands(&self, resting: &RestingOrder) -> Result<(), Refusal> {
        let order = &resting.order;
        if self.mode != Mode::Paper {
            let hint = "It is withdrawn; nothing is traded in this mode.";
            return Err(Refusal::new("mode", "the mode allows no trading", hint));
        }
        if order.side == Side::Sell {
            return Ok(());
        }
        let limits = self.limits;
        let cost = notional(order.limit, resting.remaining, Rounding::Up)
            .unwrap_or(Usdc::from_micros(i64::MAX));
        // Exposures and claims on cash count this order already.
        let market = self.ledger.market_exposure(&order.market_id);
        let total = self.ledger.total_exposure();
        let loss = self.ledger.daily_loss();
        let claims = self.ledger.cash().minus(self.ledger.available_cash());
        let broken = [
            (
                "max_daily_loss",
                loss,
                limits.max_daily_loss,
                loss < limits.max_daily_loss,
            ),
            (
                "max_position_size",
                cost,
                limits.max_position_size,
                cost <= limits.max_position_size,
            ),
            (
                "max_market_exposure",
                market,
                limits.max_market_exposure,
                market <= limits.max_market_exposure,
            ),
            (
                "max_total_exposure",
                total,
                limits.max_total_exposure,
                total <= limits.max_total_exposure,
            ),
            (
                "cash",
                claims,
                self.ledger.cash(),
                claims <= self.ledger.cash(),
            ),
        ]
        .into_iter()
        .find(|(_, _, _, passed)| !passed);
        match broken {
            None => Ok(()),
            Some((limit, value, allowed, _)) => Err(Refusal::new(
                limit,
                format!("{limit}: {value} pUSD, allowed is {allowed} pUSD"),
                "The operator sets this limit under `risk` in config.yaml.",
            )),
        }
    }

    /// The most notional that a taking buy at `limit` may have under every limit and with the cash
    /// there is, pUSD; zero when nothing may be bought.
    #[must_use]
    pub fn largest_buy(&self, market: &Market, limit: Price) -> Usdc {
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
            limits
                .max_market_exposure
                .minus(self.ledger.market_exposure(&market.id)),
            limits
                .max_total_exposure
                .minus(self.ledger.total_exposure()),
            cash,
        ]
        .into_iter()
        .fold(Usdc::from_micros(i64::MAX), Usdc::min)
        .max(Usdc::ZERO)
    }

    /// Every limit with its verdict, for a preview. A preview approves nothing.
    #[must_use]
    pub fn assess(&self, candidate: &Candidate<'_>) -> Vec<LimitCheck> {
        let mut checks = Vec::new();
        // `shares_held` is among the limits below, with its numbers.
        if let Err(refusal) = venue_rules::check(candidate, self)
            && refusal.code != "shares_held"
        {
            checks.push(LimitCheck {
                limit: refusal.code,
                value: refusal.message,
                allowed: refusal.hint,
                passed: false,
            });
        }
        checks.extend(self.limits_of(candidate, Claimed::default(), Usdc::ZERO));
        checks
    }

    fn limits_of(
        &self,
        candidate: &Candidate<'_>,
        claimed: Claimed,
        claimed_in_market: Usdc,
    ) -> Vec<LimitCheck> {
        let order = candidate.order;
        let ledger = self.ledger;
        let (cost, fee) = worst_cost(order, candidate.market);
        let mut checks = Vec::with_capacity(6);
        let mut add = |limit: &str, value: String, allowed: String, passed: bool| {
            checks.push(LimitCheck {
                limit: limit.to_owned(),
                value,
                allowed,
                passed,
            });
        };
        // A sale only ever reduces what is held (venue_rules checks that it is held), so it frees
        // risk: no loss, exposure or size limit may stand in its way.
        if order.side == Side::Sell {
            let held = ledger.sellable(&order.token_id);
            add(
                "shares_held",
                format!("{} shares", order.shares),
                format!("{held} shares"),
                order.shares <= held,
            );
            // With exponent 0 a fee can exceed what a cheap sale brings in.
            let gained = notional(order.limit, order.shares, Rounding::Down).unwrap_or(Usdc::ZERO);
            let cash = ledger.available_cash();
            if fee > gained {
                let needed = fee.minus(gained);
                add(
                    "cash",
                    format!("{needed} pUSD of fee beyond the proceeds"),
                    format!("at most {cash} pUSD"),
                    needed <= cash,
                );
            }
        } else {
            let limits = self.limits;
            let pusd = |amount: Usdc| format!("{amount} pUSD");
            let at_most = |amount: Usdc| format!("at most {amount} pUSD");
            add(
                "max_position_size",
                pusd(cost),
                at_most(limits.max_position_size),
                cost <= limits.max_position_size,
            );
            let market = ledger
                .market_exposure(&order.market_id)
                .plus(claimed_in_market)
                .plus(cost);
            add(
                "max_market_exposure",
                pusd(market),
                at_most(limits.max_market_exposure),
                market <= limits.max_market_exposure,
            );
            let total = ledger.total_exposure().plus(claimed.exposure).plus(cost);
            add(
                "max_total_exposure",
                pusd(total),
                at_most(limits.max_total_exposure),
                total <= limits.max_total_exposure,
            );
            let loss = ledger.daily_loss();
            add(
                "max_daily_loss",
                format!("{} pUSD lost since midnight UTC", loss.max(Usdc::ZERO)),
                format!("below {} pUSD", limits.max_daily_loss),
                loss < limits.max_daily_loss,
            );
            let cash = ledger.available_cash().minus(claimed.cash);
            let needed = cost.plus(fee);
            add(
                "cash",
                format!("{needed} pUSD with fee"),
                at_most(cash),
                needed <= cash,
            );
        }
        if order.order_type.rests() {
            let on_the_way = ledger.in_flight().filter(|(o, _)| o.order_type.rests());
            let open = ledger.resting().len() + on_the_way.count();
            let open = u32::try_from(open).unwrap_or(u32::MAX);
            let would_be = open.saturating_add(claimed.resting).saturating_add(1);
            add(
                "max_open_orders",
                format!("{would_be} resting orders"),
                format!("at most {}", self.limits.max_open_orders),
                would_be <= self.limits.max_open_orders,
            );
        }
        checks
    }
}

/// The most that an order can cost and the most fee that it can pay, pUSD: the fee formula peaks at
/// a price of one half, so a limit above that is charged at one half.
fn worst_cost(order: &Order, market: &Market) -> (Usdc, Usdc) {
    let cost =
        notional(order.limit, order.shares, Rounding::Up).unwrap_or(Usdc::from_micros(i64::MAX));
    if order.order_type == OrderType::PostOnly {
        return (cost, Usdc::ZERO);
    }
    let half = Price::from_micros(500_000).unwrap_or(Price::ONE);
    let fee = market
        .fee
        .fee(order.limit.min(half), order.shares)
        .unwrap_or(Usdc::from_micros(i64::MAX));
    (cost, fee)
}

fn refusal_of(broken: &LimitCheck) -> Refusal {
    let hint = match broken.limit.as_str() {
        "cash" => "Lower the size, or sell something first; get_portfolio shows the cash.",
        "shares_held" => "Sell no more than get_portfolio shows as held and not already offered.",
        "max_daily_loss" => {
            "Only sales that reduce a position pass until midnight UTC; the operator sets \
             risk.max_daily_loss in config.yaml."
        }
        "max_open_orders" => {
            "Wait until a resting order fills or is replaced; the operator sets \
             risk.max_open_orders in config.yaml."
        }
        _ => "Lower the size; the operator sets this limit under `risk` in config.yaml.",
    };
    Refusal::new(
        broken.limit.clone(),
        format!(
            "{}: {}, allowed is {}",
            broken.limit, broken.value, broken.allowed
        ),
        hint,
    )
}

#[cfg(test)]
mod tests;

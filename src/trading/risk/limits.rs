//! The limits of the operator, each as a value, what is allowed, and a verdict.
//!
//! Figures become words only for a refusal or a preview: most orders pass, and a tick judges many.

use std::fmt;

use crate::domain::{
    Book, Market, Order, OrderType, Price, Rounding, Shares, Side, Usdc, notional,
};

use super::super::config::RiskConfig;
use super::super::ledger::Scope;
use super::{Candidate, LimitCheck, Refusal, RiskGate, halts};

/// How far from the best price of its side a level still counts as liquidity, where the venue does
/// not state any: 0.05, in micro-units.
const DEPTH_BAND: u32 = 50_000;

/// A value with its unit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Figure {
    Pusd(Usdc),
    WithFee(Usdc),
    FeeBeyond(Usdc),
    Lost(Usdc),
    AtMost(Usdc),
    AtLeast(Usdc),
    Below(Usdc),
    Shares(Shares),
    Resting(u32),
    InAMinute(u32),
    Count(u32),
    /// Twice the price in micro-units: a mid need not be a whole micro-unit.
    Distance {
        limit: Price,
        twice_reference: u32,
        is_mid: bool,
    },
    Around {
        distance: Price,
        twice_reference: u32,
        below_too: bool,
    },
    Spread {
        bid: Option<Price>,
        ask: Option<Price>,
    },
    PriceAtMost(Price),
    Stated(Usdc),
    Depth(Usdc),
    Fallen {
        equity: Usdc,
        peak: Usdc,
    },
    FallBelow(Price),
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = |twice: u32| f64::from(twice) / 2e6;
        match *self {
            Figure::Pusd(amount) => write!(f, "{amount} pUSD"),
            Figure::WithFee(amount) => write!(f, "{amount} pUSD with fee"),
            Figure::FeeBeyond(amount) => write!(f, "{amount} pUSD of fee beyond the proceeds"),
            Figure::Lost(amount) => write!(f, "{amount} pUSD lost since midnight UTC"),
            Figure::AtMost(amount) => write!(f, "at most {amount} pUSD"),
            Figure::AtLeast(amount) => write!(f, "at least {amount} pUSD"),
            Figure::Below(amount) => write!(f, "below {amount} pUSD"),
            Figure::Shares(shares) => write!(f, "{shares} shares"),
            Figure::Resting(orders) => write!(f, "{orders} resting orders"),
            Figure::InAMinute(orders) => write!(f, "{orders} orders within a minute"),
            Figure::Count(most) => write!(f, "at most {most}"),
            Figure::Distance {
                limit,
                twice_reference,
                is_mid,
            } => {
                let what = if is_mid { "mid" } else { "only side" };
                let twice = limit.micros() * 2;
                let side = if twice >= twice_reference {
                    "above"
                } else {
                    "below"
                };
                write!(
                    f,
                    "a limit of {limit}, {} {side} the {what} of {}",
                    half(twice.abs_diff(twice_reference)),
                    half(twice_reference)
                )
            }
            Figure::Around {
                distance,
                twice_reference,
                below_too,
            } => {
                let reach = distance.micros() * 2;
                let high = (twice_reference + reach).min(Price::ONE.micros() * 2);
                let low = twice_reference.saturating_sub(reach);
                if below_too {
                    write!(
                        f,
                        "{distance} away (limits from {} to {})",
                        half(low),
                        half(high)
                    )
                } else {
                    write!(f, "{distance} above it (a limit of at most {})", half(high))
                }
            }
            Figure::Spread { bid, ask } => {
                let width = spread(bid, ask);
                match (bid, ask) {
                    (Some(bid), Some(ask)) => write!(f, "a spread of {width} ({bid} to {ask})"),
                    (None, Some(ask)) => {
                        write!(f, "a spread of {width} (nobody bids, {ask} is asked)")
                    }
                    (Some(bid), None) => {
                        write!(f, "a spread of {width} ({bid} is bid, nobody asks)")
                    }
                    (None, None) => write!(f, "an empty book"),
                }
            }
            Figure::PriceAtMost(price) => write!(f, "at most {price}"),
            Figure::Stated(amount) => write!(f, "{amount} pUSD as the venue states it"),
            Figure::Depth(amount) => write!(
                f,
                "{amount} pUSD in the book within {} of its best prices (the venue states none)",
                f64::from(DEPTH_BAND) / 1e6
            ),
            Figure::Fallen { equity, peak } => {
                let fallen = 1.0 - equity.to_f64() / peak.to_f64();
                write!(
                    f,
                    "equity of {equity} pUSD is {:.2} % below its peak of {peak} pUSD",
                    fallen * 100.0
                )
            }
            Figure::FallBelow(share) => write!(f, "below {} %", tidy(share.to_f64() * 100.0)),
        }
    }
}

/// Without the noise of binary fractions.
fn tidy(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Best ask − best bid; a missing side is as far away as a price can be.
fn spread(bid: Option<Price>, ask: Option<Price>) -> Price {
    ask.unwrap_or(Price::ONE).minus(bid.unwrap_or(Price::ZERO))
}

/// One limit with its verdict.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    pub limit: &'static str,
    pub value: Figure,
    pub allowed: Figure,
    pub passed: bool,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, allowed is {}",
            self.limit, self.value, self.allowed
        )
    }
}

impl Check {
    fn at_most(limit: &'static str, value: Usdc, most: Usdc) -> Self {
        Check {
            limit,
            value: Figure::Pusd(value),
            allowed: Figure::AtMost(most),
            passed: value <= most,
        }
    }

    /// In words, for a preview.
    pub fn shown(&self) -> LimitCheck {
        LimitCheck {
            limit: self.limit.to_owned(),
            value: self.value.to_string(),
            allowed: self.allowed.to_string(),
            passed: self.passed,
        }
    }

    /// Errors: the refusal that a broken limit is.
    pub fn verdict(&self) -> Result<(), Refusal> {
        if self.passed {
            return Ok(());
        }
        let advice = match self.limit {
            "cash" => return Err(self.refusal(CASH_HINT)),
            "shares_held" => return Err(self.refusal(HELD_HINT)),
            "max_daily_loss" => "Only sales that reduce a position pass until midnight UTC",
            "max_drawdown_pct" => "Only sales that reduce a position pass",
            "max_open_orders" => "Wait until a resting order fills, or cancel one",
            "max_orders_per_minute" => "Wait a minute",
            "max_price_distance" => "Use a limit nearer to the book's prices",
            "max_spread" => "Wait until the spread is narrower",
            "min_liquidity" => "Choose a market with more liquidity",
            _ => "Lower the size",
        };
        let hint = format!(
            "{advice}; the operator sets risk.{} in config.yaml.",
            self.limit
        );
        Err(self.refusal(&hint))
    }

    fn refusal(&self, hint: &str) -> Refusal {
        Refusal::new(self.limit, self.to_string(), hint)
    }
}

const CASH_HINT: &str = "Lower the size, or sell something first; get_portfolio shows the cash.";
const HELD_HINT: &str = "Sell no more than get_portfolio shows as held and not already offered.";

/// Every limit that is about `candidate`, with what `earlier` orders of the same breath would use
/// up. Limits that are off are left out.
pub(super) fn of(
    gate: &RiskGate<'_>,
    candidate: &Candidate<'_>,
    earlier: &[Candidate<'_>],
) -> Vec<Check> {
    let order = candidate.order;
    let mut checks = Vec::with_capacity(14);
    match order.side {
        // A sale only ever reduces what is held (venue_rules checks that it is held), so it frees
        // risk: no loss, exposure, price or size limit may stand in its way.
        Side::Sell => sale(gate, candidate, &mut checks),
        Side::Buy => purchase(gate, candidate, earlier, &mut checks),
    }
    if order.order_type.rests() {
        let on_the_way = gate
            .ledger
            .in_flight()
            .filter(|(o, _)| o.order_type.rests());
        let open = gate.ledger.resting().len() + on_the_way.count();
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        let claimed = earlier
            .iter()
            .filter(|c| c.order.order_type.rests())
            .count();
        let would_be = open
            .saturating_add(u32::try_from(claimed).unwrap_or(u32::MAX))
            .saturating_add(1);
        checks.push(Check {
            limit: "max_open_orders",
            value: Figure::Resting(would_be),
            allowed: Figure::Count(gate.limits.max_open_orders),
            passed: would_be <= gate.limits.max_open_orders,
        });
    }
    checks
}

fn sale(gate: &RiskGate<'_>, candidate: &Candidate<'_>, checks: &mut Vec<Check>) {
    let (order, ledger) = (candidate.order, gate.ledger);
    let held = ledger.sellable(&order.token_id);
    checks.push(Check {
        limit: "shares_held",
        value: Figure::Shares(order.shares),
        allowed: Figure::Shares(held),
        passed: order.shares <= held,
    });
    // With exponent 0 a fee can exceed what a cheap sale brings in.
    let gained = notional(order.limit, order.shares, Rounding::Down).unwrap_or(Usdc::ZERO);
    let (_, fee) = worst_cost(order, candidate.market);
    let cash = ledger.available_cash();
    if fee > gained {
        let needed = fee.minus(gained);
        checks.push(Check {
            limit: "cash",
            value: Figure::FeeBeyond(needed),
            allowed: Figure::AtMost(cash),
            passed: needed <= cash,
        });
    }
}

fn purchase(
    gate: &RiskGate<'_>,
    candidate: &Candidate<'_>,
    earlier: &[Candidate<'_>],
    checks: &mut Vec<Check>,
) {
    let (order, ledger, limits) = (candidate.order, gate.ledger, gate.limits);
    checks.extend(orders_in_a_minute(gate, earlier.len()));
    if let Some(book) = candidate.book {
        checks.extend(price_distance(order, book, limits));
        checks.extend(max_spread(book, limits));
    }
    checks.extend(min_liquidity(candidate, limits));
    let (cost, fee) = worst_cost(order, candidate.market);
    let scope = Scope::of(order);
    let mut sums = ledger.exposures(&scope);
    let mut claimed = Usdc::ZERO;
    for other in earlier.iter().filter(|c| c.order.side == Side::Buy) {
        let (cost, fee) = worst_cost(other.order, other.market);
        sums.add(&scope, &Scope::of(other.order), cost);
        claimed = claimed.plus(cost).plus(fee);
    }
    for (limit, before, most) in [
        ("max_position_size", Usdc::ZERO, limits.max_position_size),
        (
            "max_market_exposure",
            sums.market,
            limits.max_market_exposure,
        ),
        ("max_event_exposure", sums.event, limits.max_event_exposure),
        (
            "max_strategy_exposure",
            sums.strategy,
            limits.max_strategy_exposure,
        ),
        ("max_total_exposure", sums.total, limits.max_total_exposure),
    ] {
        checks.push(Check::at_most(limit, before.plus(cost), most));
    }
    checks.push(halts::daily_loss(ledger, limits));
    checks.extend(halts::drawdown(ledger, limits));
    let cash = ledger.available_cash().minus(claimed);
    let needed = cost.plus(fee);
    checks.push(Check {
        limit: "cash",
        value: Figure::WithFee(needed),
        allowed: Figure::AtMost(cash),
        passed: needed <= cash,
    });
}

/// One more order after `earlier` ones of the same breath; `None` where that is off.
pub(super) fn orders_in_a_minute(gate: &RiskGate<'_>, earlier: usize) -> Option<Check> {
    let most = gate.limits.max_orders_per_minute;
    if most == 0 {
        return None;
    }
    let would_be = gate
        .ledger
        .orders_in_last_minute(gate.now)
        .saturating_add(u32::try_from(earlier).unwrap_or(u32::MAX))
        .saturating_add(1);
    Some(Check {
        limit: "max_orders_per_minute",
        value: Figure::InAMinute(would_be),
        allowed: Figure::Count(most),
        passed: would_be <= most,
    })
}

/// The limits that a resting buy must still keep; what it costs counts in the exposures already.
/// Price, spread, liquidity and the number of orders are about the moment at which it was placed.
pub(super) fn of_resting(
    gate: &RiskGate<'_>,
    order: &Order,
    remaining: Shares,
) -> impl Iterator<Item = Check> + use<> {
    let (ledger, limits) = (gate.ledger, gate.limits);
    let cost =
        notional(order.limit, remaining, Rounding::Up).unwrap_or(Usdc::from_micros(i64::MAX));
    let sums = ledger.exposures(&Scope::of(order));
    let claims = ledger.cash().minus(ledger.available_cash());
    let losses = [
        Some(halts::daily_loss(ledger, limits)),
        halts::drawdown(ledger, limits),
    ];
    let exposures = [
        ("max_position_size", cost, limits.max_position_size),
        (
            "max_market_exposure",
            sums.market,
            limits.max_market_exposure,
        ),
        ("max_event_exposure", sums.event, limits.max_event_exposure),
        (
            "max_strategy_exposure",
            sums.strategy,
            limits.max_strategy_exposure,
        ),
        ("max_total_exposure", sums.total, limits.max_total_exposure),
        ("cash", claims, ledger.cash()),
    ];
    let exposures = exposures
        .into_iter()
        .map(|(limit, value, most)| Check::at_most(limit, value, most));
    losses.into_iter().flatten().chain(exposures)
}

/// How far the limit is above the mid, and for an order that would rest below it too. A book with
/// one side has no mid: its best price stands for it. An empty one says nothing about prices.
fn price_distance(order: &Order, book: &Book, limits: &RiskConfig) -> Option<Check> {
    let distance = limits.max_price_distance;
    if distance == Price::ZERO {
        return None;
    }
    let (twice_reference, is_mid) = match (book.best_bid(), book.best_ask()) {
        (Some(bid), Some(ask)) => (bid.micros() + ask.micros(), true),
        (Some(only), None) | (None, Some(only)) => (only.micros() * 2, false),
        (None, None) => return None,
    };
    let below_too = order.order_type.rests();
    let (limit, reach) = (order.limit.micros() * 2, distance.micros() * 2);
    let passed = limit.saturating_sub(twice_reference) <= reach
        && !(below_too && twice_reference.saturating_sub(limit) > reach);
    Some(Check {
        limit: "max_price_distance",
        value: Figure::Distance {
            limit: order.limit,
            twice_reference,
            is_mid,
        },
        allowed: Figure::Around {
            distance,
            twice_reference,
            below_too,
        },
        passed,
    })
}

fn max_spread(book: &Book, limits: &RiskConfig) -> Option<Check> {
    if limits.max_spread == Price::ZERO {
        return None;
    }
    let (bid, ask) = (book.best_bid(), book.best_ask());
    Some(Check {
        limit: "max_spread",
        value: Figure::Spread { bid, ask },
        allowed: Figure::PriceAtMost(limits.max_spread),
        passed: spread(bid, ask) <= limits.max_spread,
    })
}

/// What the venue states, or where it states nothing the depth of the book near its prices: unknown
/// is neither zero nor enough.
fn min_liquidity(candidate: &Candidate<'_>, limits: &RiskConfig) -> Option<Check> {
    if limits.min_liquidity <= Usdc::ZERO {
        return None;
    }
    let (value, amount) = match candidate.market.liquidity {
        Some(stated) => (Figure::Stated(stated), stated),
        None => {
            let depth = candidate.book.map_or(Usdc::ZERO, depth_near);
            (Figure::Depth(depth), depth)
        }
    };
    Some(Check {
        limit: "min_liquidity",
        value,
        allowed: Figure::AtLeast(limits.min_liquidity),
        passed: amount >= limits.min_liquidity,
    })
}

/// Notional of both sides of a book within [`DEPTH_BAND`] of their best prices, each level floored.
fn depth_near(book: &Book) -> Usdc {
    [book.bids(), book.asks()]
        .into_iter()
        .flat_map(|levels| {
            let best = levels.first().map_or(0, |level| level.price.micros());
            levels
                .iter()
                .take_while(move |l| l.price.micros().abs_diff(best) <= DEPTH_BAND)
        })
        .map(|level| notional(level.price, level.size, Rounding::Down).unwrap_or(Usdc::ZERO))
        .sum()
}

/// The most that an order can cost and the most fee that it can pay, pUSD: the fee formula peaks at
/// a price of one half, so a limit above that is charged at one half.
pub(super) fn worst_cost(order: &Order, market: &Market) -> (Usdc, Usdc) {
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

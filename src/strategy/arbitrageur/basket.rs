//! One set of outcomes: what it costs now, with fees, how much of it there is, whether it pays.

use super::super::{StrategyContext, cause, pricing};
use crate::domain::{
    Basket, BasketLeg, EventId, MarketView, Outcome, Price, Shares, Side, StrategyName, Usdc,
};

pub(super) const THIN: &str = "too little offered for a set";

/// When a set is worth buying, and how much of it.
#[derive(Debug, Clone)]
pub(super) struct SetTerms {
    /// Payout − asks must exceed this before fees, pUSD per set.
    pub tolerance: f64,
    /// Payout − asks − fees must reach this, pUSD per set.
    pub min_edge: f64,
    /// Most that the set position costs, fees included.
    pub order_size: Usdc,
    /// Cause: the asks are not below the payout by more than the tolerance.
    pub within_tolerance: String,
    /// Cause: what fees leave is below the edge.
    pub small_deviation: String,
}

/// One outcome of the set with its price.
struct PricedLeg<'a> {
    view: &'a MarketView,
    outcome: &'a Outcome,
    limit: Price,
    depth: Shares,
}

/// Plans to buy one share of each outcome per set, at its own best ask, for a set that pays
/// `payout` whole pUSD. Errors with the cause that keeps it from being bought.
pub(super) fn plan_set<'terms>(
    context: &StrategyContext<'_>,
    terms: &'terms SetTerms,
    event: Option<&EventId>,
    outcomes: &[(&MarketView, &Outcome)],
    payout: u32,
) -> Result<Basket, &'terms str> {
    let mut legs = Vec::with_capacity(outcomes.len());
    for (view, outcome) in outcomes {
        legs.push(price_leg(context, view, outcome)?);
    }
    // Whole micro-units: the sum of prices is exact, each fee rounds up, against us.
    let asks: i64 = legs.iter().map(|leg| i64::from(leg.limit.micros())).sum();
    let fees: i64 = legs.iter().map(fee_micros).sum();
    let payout_micros = i64::from(payout) * crate::domain::money::MICRO;
    let gross = (payout_micros - asks) as f64 / 1e6;
    let edge = (payout_micros - asks - fees) as f64 / 1e6;
    if pricing::reaches(terms.tolerance, gross) {
        return Err(&terms.within_tolerance);
    }
    if !pricing::reaches(edge, terms.min_edge) {
        return Err(&terms.small_deviation);
    }
    let shares = matched_shares(context, terms, &legs, asks + fees)?;
    // Thin legs go first: if one fails, the least has been bought by then.
    legs.sort_by(|a, b| {
        a.depth
            .cmp(&b.depth)
            .then_with(|| a.outcome.token.cmp(&b.outcome.token))
    });
    Ok(Basket {
        strategy: StrategyName::new(super::NAME),
        event_id: event.cloned(),
        shares,
        payout: f64::from(payout),
        edge,
        confidence: pricing::threshold_confidence(edge, terms.min_edge),
        reason: format!(
            "{} outcomes cost {:.4} + fees {:.4} and pay {payout}; edge {edge:.4} a set",
            legs.len(),
            asks as f64 / 1e6,
            fees as f64 / 1e6,
        ),
        legs: legs
            .into_iter()
            .map(|leg| BasketLeg {
                market_id: leg.view.market.id.clone(),
                token_id: leg.outcome.token.clone(),
                outcome: leg.outcome.name.clone(),
                limit: leg.limit,
                depth: leg.depth,
            })
            .collect(),
    })
}

fn price_leg<'a>(
    context: &StrategyContext<'_>,
    view: &'a MarketView,
    outcome: &'a Outcome,
) -> Result<PricedLeg<'a>, &'static str> {
    let book = pricing::sane_book(view.book(&outcome.token), context.snapshot.at)?;
    let ask = book.best_ask().ok_or(cause::NOTHING_OFFERED)?;
    let limit = pricing::buyable_at(ask, view.market.tick).ok_or(cause::EXTREME_PRICE)?;
    Ok(PricedLeg {
        view,
        outcome,
        limit,
        depth: book.depth_to(Side::Buy, limit),
    })
}

/// Fee of one share in micro-units, rounded up.
fn fee_micros(leg: &PricedLeg<'_>) -> i64 {
    // At most 1 pUSD a share: far inside what the conversion holds.
    (leg.view.market.fee.per_share(leg.limit.to_f64()) * 1e6).ceil() as i64
}

/// Equal shares of every leg: what the thinnest offers and the budget pays, in whole lots.
fn matched_shares(
    context: &StrategyContext<'_>,
    terms: &SetTerms,
    legs: &[PricedLeg<'_>],
    set_cost: i64,
) -> Result<Shares, &'static str> {
    let spent: Usdc = legs
        .iter()
        .filter_map(|leg| context.positions.get(&leg.outcome.token))
        .map(|position| position.cost)
        .sum();
    let budget = terms.order_size.minus(spent);
    if budget <= Usdc::ZERO {
        return Err(cause::HELD);
    }
    let affordable = affordable_sets(budget, set_cost);
    let depth = legs
        .iter()
        .map(|leg| leg.depth)
        .min()
        .unwrap_or(Shares::ZERO);
    let smallest = legs
        .iter()
        .map(|leg| leg.view.market.min_size)
        .max()
        .unwrap_or(Shares::ZERO)
        .max(Shares::LOT);
    if depth.floor_to_lot() < smallest {
        return Err(THIN);
    }
    if affordable < smallest {
        return Err(if spent > Usdc::ZERO {
            cause::HELD
        } else {
            cause::TOO_SMALL
        });
    }
    Ok(affordable.min(depth).floor_to_lot())
}

/// The most whole lots of sets that `budget` buys at `set_cost` micro-units each; a set of several
/// No outcomes costs more than 1, so this is no [`Price`].
fn affordable_sets(budget: Usdc, set_cost: i64) -> Shares {
    if set_cost <= 0 {
        return Shares::ZERO;
    }
    let micros = i128::from(budget.micros()) * i128::from(crate::domain::money::MICRO)
        / i128::from(set_cost);
    i64::try_from(micros)
        .ok()
        .and_then(|micros| Shares::from_micros(micros).ok())
        .unwrap_or(Shares::ZERO)
        .floor_to_lot()
}

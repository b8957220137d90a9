//! One set of outcomes: what it costs now, level by level with fees, how much of it there is,
//! whether it pays.

use super::super::sight::Quoted;
use super::super::{StrategyContext, cause, pricing};
use crate::domain::money::MICRO;
use crate::domain::{
    Basket, BasketLeg, Book, EventId, Fixed, Level, Market, MarketView, Outcome, Price, Rounding,
    Shares, Side, StrategyName, Timestamp, Usdc, notional,
};

pub(super) const THIN: &str = "too little offered for a set";
pub(super) const SMALL_LEG: &str = "a leg would cost less than 1 pUSD";

/// The venue takes no marketable buy below this.
const MIN_MARKETABLE_BUY: Usdc = Usdc::from_micros(MICRO);

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

impl SetTerms {
    /// Whether the `asks` of a set, before fees, are far enough below its payout.
    pub(super) fn within(&self, payout: i64, asks: i64) -> Result<(), &str> {
        if pricing::reaches(self.tolerance, (payout - asks) as f64 / 1e6) {
            return Err(&self.within_tolerance);
        }
        Ok(())
    }

    /// Whether a set that pays `payout` is worth buying at these `asks` and, with fees, `units`;
    /// all in micro-units per set.
    fn check(&self, payout: i64, asks: i64, units: i64) -> Result<(), &str> {
        self.within(payout, asks)?;
        if !pricing::reaches((payout - units) as f64 / 1e6, self.min_edge) {
            return Err(&self.small_deviation);
        }
        Ok(())
    }
}

/// One outcome of the set with its book.
struct Leg<'a> {
    view: &'a MarketView,
    outcome: &'a Outcome,
    book: &'a Book,
}

/// Plans to buy one share of each outcome per set, for a set that pays `payout` whole pUSD, up the
/// asks as far as every set still pays. Errors with the cause that keeps it from being bought.
pub(super) fn plan_set<'terms>(
    context: &StrategyContext<'_>,
    terms: &'terms SetTerms,
    event: Option<&EventId>,
    outcomes: &[(&MarketView, &Outcome)],
    payout: u32,
) -> Result<Basket, &'terms str> {
    let payout_micros = i64::from(payout) * MICRO;
    // Most sets do not pay at their best prices: those cost no allocation.
    let books = outcomes.iter().map(|(view, outcome)| {
        let book = view.book(&outcome.token);
        (book.map(AsRef::as_ref), &*view.market)
    });
    let asks = cheapest::<Book>(books, context.snapshot.at)?;
    terms.within(payout_micros, asks)?;
    let mut legs = Vec::with_capacity(outcomes.len());
    for (view, outcome) in outcomes {
        legs.push(find_leg(context, view, outcome)?);
    }
    let mut walkers = Vec::with_capacity(legs.len());
    for leg in &legs {
        walkers.push(Walker::new(leg).ok_or(cause::EXTREME_PRICE)?);
    }
    terms.check(payout_micros, asks_of(&walkers), units_of(&walkers))?;
    let shares = matched_shares(context, terms, &legs, walkers, payout_micros)?;
    let mut filled = Vec::with_capacity(legs.len());
    for leg in legs {
        let fill = leg.fill(shares).ok_or(THIN)?;
        if notional(fill.limit, shares, Rounding::Down).is_ok_and(|paid| paid < MIN_MARKETABLE_BUY)
        {
            return Err(SMALL_LEG);
        }
        filled.push((leg, fill));
    }
    // Thin legs go first: if one fails, the least has been bought by then.
    filled.sort_by(|(a, at), (b, bt)| {
        at.depth
            .cmp(&bt.depth)
            .then_with(|| a.outcome.token.cmp(&b.outcome.token))
    });
    // pUSD per set, averaged over all of them.
    let each = |total: i128| total as f64 / shares.micros() as f64 / 1e6;
    let asks: f64 = each(filled.iter().map(|(_, fill)| fill.asks).sum());
    let cost: f64 = each(filled.iter().map(|(_, fill)| fill.cost).sum());
    let edge = f64::from(payout) - cost;
    Ok(Basket {
        strategy: StrategyName::new(super::NAME),
        event_id: event.cloned(),
        shares,
        payout: f64::from(payout),
        edge,
        confidence: pricing::threshold_confidence(edge, terms.min_edge),
        reason: format!(
            "{} outcomes cost {} + fees {} and pay {payout}; edge {} a set",
            filled.len(),
            Fixed(asks, 4),
            Fixed(cost - asks, 4),
            Fixed(edge, 4),
        ),
        legs: filled
            .into_iter()
            .map(|(leg, fill)| BasketLeg {
                market_id: leg.view.market.id.clone(),
                token_id: leg.outcome.token.clone(),
                outcome: leg.outcome.name.clone(),
                limit: fill.limit,
                depth: fill.depth,
            })
            .collect(),
    })
}

/// What one share of each outcome costs at the best asks of these books and the markets that they belong
/// to, in micro-units; or why it cannot be had.
pub(super) fn cheapest<'a, B: Quoted + 'a>(
    books: impl IntoIterator<Item = (Option<&'a B>, &'a Market)>,
    now: Timestamp,
) -> Result<i64, &'static str> {
    let mut asks = 0;
    let mut reachable = true;
    for (book, market) in books {
        let book = pricing::sane(book, now)?;
        let best = pricing::best_ask(book).ok_or(cause::NOTHING_OFFERED)?;
        match pricing::buyable_at(best, market.tick) {
            Some(price) => asks += i64::from(price.micros()),
            None => reachable = false,
        }
    }
    if reachable {
        Ok(asks)
    } else {
        Err(cause::EXTREME_PRICE)
    }
}

fn find_leg<'a>(
    context: &StrategyContext<'_>,
    view: &'a MarketView,
    outcome: &'a Outcome,
) -> Result<Leg<'a>, &'static str> {
    let book = pricing::sane_book(view.book(&outcome.token), context.snapshot.at)?;
    if book.best_ask().is_none() {
        return Err(cause::NOTHING_OFFERED);
    }
    Ok(Leg {
        view,
        outcome,
        book,
    })
}

/// What so many shares of one leg come to. Sums are in micro-units squared: exact.
struct Fill {
    /// Worst price reached.
    limit: Price,
    /// Shares on offer at that price or better.
    depth: Shares,
    /// Σ price × shares.
    asks: i128,
    /// Σ (price + fee) × shares.
    cost: i128,
}

impl Leg<'_> {
    /// Walks up the asks for `shares`; `None` when there are not so many, or for none at all.
    fn fill(&self, shares: Shares) -> Option<Fill> {
        let mut walker = Walker::new(self)?;
        let mut left = shares.micros();
        let (mut asks, mut cost) = (0_i128, 0_i128);
        loop {
            let taken = left.min(walker.left);
            asks += i128::from(taken) * i128::from(walker.price.micros());
            cost += i128::from(taken) * i128::from(walker.unit);
            left -= taken;
            if left == 0 {
                break;
            }
            if !walker.advance() {
                return None;
            }
        }
        Some(Fill {
            limit: walker.price,
            depth: self.book.depth_to(Side::Buy, walker.price),
            asks,
            cost,
        })
    }
}

/// A place in the asks of one leg.
struct Walker<'a> {
    market: &'a Market,
    levels: std::slice::Iter<'a, Level>,
    /// Price of this level, moved up to the tick.
    price: Price,
    /// Price and fee of one share here in micro-units; the fee is rounded up, against us.
    unit: i64,
    /// Shares that are left of this level, in micro-units.
    left: i64,
}

impl<'a> Walker<'a> {
    /// At the best ask; `None` when there is none that an order can reach.
    fn new(leg: &Leg<'a>) -> Option<Self> {
        let mut walker = Walker {
            market: &leg.view.market,
            levels: leg.book.asks().iter(),
            price: Price::ZERO,
            unit: 0,
            left: 0,
        };
        walker.advance().then_some(walker)
    }

    /// To the next level; false at the end, or where no price on the tick reaches it.
    fn advance(&mut self) -> bool {
        let Some(level) = self.levels.next() else {
            return false;
        };
        let Some(price) = pricing::buyable_at(level.price, self.market.tick) else {
            return false;
        };
        self.price = price;
        // At most 1 pUSD a share: far inside what the conversion holds.
        let fee = (self.market.fee.per_share(price.to_f64()) * 1e6).ceil() as i64;
        self.unit = i64::from(price.micros()) + fee;
        self.left = level.size.micros();
        true
    }
}

fn asks_of(walkers: &[Walker<'_>]) -> i64 {
    walkers.iter().map(|w| i64::from(w.price.micros())).sum()
}

fn units_of(walkers: &[Walker<'_>]) -> i64 {
    walkers.iter().map(|w| w.unit).sum()
}

/// Equal shares of every leg, in whole lots: as many sets as the thinnest leg offers at prices at
/// which the next set still pays, and as the budget pays.
fn matched_shares(
    context: &StrategyContext<'_>,
    terms: &SetTerms,
    legs: &[Leg<'_>],
    walkers: Vec<Walker<'_>>,
    payout: i64,
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
    let (shares, out_of_budget) = walk(terms, walkers, payout, budget);
    let shares = Shares::from_micros(shares)
        .unwrap_or(Shares::ZERO)
        .floor_to_lot();
    let smallest = legs
        .iter()
        .map(|leg| leg.view.market.min_size)
        .max()
        .unwrap_or(Shares::ZERO)
        .max(Shares::LOT);
    if shares >= smallest {
        return Ok(shares);
    }
    Err(match (out_of_budget, spent > Usdc::ZERO) {
        (false, _) => THIN,
        (true, true) => cause::HELD,
        (true, false) => cause::TOO_SMALL,
    })
}

/// Sets to buy in micro-units, and whether it was the budget that ended it. All legs go up their
/// asks together, from one end of a level to the next.
fn walk(terms: &SetTerms, mut walkers: Vec<Walker<'_>>, payout: i64, budget: Usdc) -> (i64, bool) {
    let mut money = i128::from(budget.micros()) * i128::from(MICRO);
    let mut shares = 0_i64;
    loop {
        let units = units_of(&walkers);
        if units <= 0 || terms.check(payout, asks_of(&walkers), units).is_err() {
            return (shares, false);
        }
        let offered = walkers.iter().map(|w| w.left).min().unwrap_or(0);
        let affordable = i64::try_from(money / i128::from(units)).unwrap_or(i64::MAX);
        let taken = offered.min(affordable);
        shares = shares.saturating_add(taken);
        money -= i128::from(taken) * i128::from(units);
        if affordable < offered {
            return (shares, true);
        }
        let mut ended = taken == 0;
        for walker in &mut walkers {
            walker.left -= taken;
            ended |= walker.left == 0 && !walker.advance();
        }
        if ended {
            return (shares, false);
        }
    }
}

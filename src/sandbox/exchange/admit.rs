//! Which orders are accepted: the venue's rules, checked before anything changes.

use crate::domain::{FeeSchedule, Price, Rounding, Shares, Side, Usdc, notional};

use super::Exchange;
use super::market::{Market, MarketState, Route};
use super::order::{NewOrder, Quantity, Tif};
use super::refusal::Refusal;

/// Largest order: ten million shares or pUSD, so that sums stay far inside 64 bits.
pub(super) const LARGEST: i64 = 10_000_000_000_000;
/// Smallest BUY that may take: 1 pUSD.
const SMALLEST_TAKE: Usdc = Usdc::from_micros(1_000_000);
/// Every legal step is a multiple of 0.0001.
const FINEST_TICK: u32 = 100;
/// A GTD order must be good for at least this long.
const GTD_AT_LEAST: i64 = 180_000;
/// A GTD order leaves the book so long before its expiration.
pub(super) const GTD_MARGIN: i64 = 60_000;

/// `price × size` in pUSD. Exact: prices are multiples of 0.0001 and sizes of 0.01.
pub(super) fn worth(price: Price, size: Shares) -> Usdc {
    // Cannot overflow: a price is at most 1, so the product is no larger than the size.
    notional(price, size, Rounding::Down).unwrap_or_default()
}

/// The taker fee of one match.
pub(super) fn fee_of(schedule: FeeSchedule, price: Price, size: Shares) -> Usdc {
    // Cannot overflow: rates are at most 1 and sizes at most `LARGEST`.
    schedule.fee(price, size).unwrap_or_default()
}

/// What is left of an order's wish while it walks the book.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want(pub Quantity);

impl Want {
    /// Shares to take from an order of `there` shares at `price`; zero ends the walk.
    pub(super) fn size(self, price: Price, there: Shares) -> Shares {
        match self.0 {
            Quantity::Shares(left) => left.min(there),
            Quantity::Budget(left) => Shares::affordable(left, price).min(there),
        }
    }

    /// After a match.
    pub(super) fn less(self, size: Shares, notional: Usdc) -> Self {
        Want(match self.0 {
            Quantity::Shares(left) => Quantity::Shares(left.minus(size)),
            Quantity::Budget(left) => Quantity::Budget(left.minus(notional)),
        })
    }

    /// True when nothing is missing, the latest match having been at `price`: of a budget less is
    /// left than a hundredth of a share costs.
    pub(super) fn is_met(self, price: Price) -> bool {
        self.size(price, Shares::LOT).is_zero()
    }
}

/// What an order would take if it were let in.
#[derive(Debug, Clone, Copy, Default)]
struct Preview {
    filled: Shares,
    notional: Usdc,
    fee: Usdc,
    complete: bool,
}

impl Exchange {
    /// Checks an order against all rules and says where it goes.
    pub(super) fn admit(&self, order: &NewOrder) -> Result<Route, Refusal> {
        let market = self.market(order.market).ok_or(Refusal::UnknownMarket)?;
        let terms = &market.terms;
        let tick = terms.tick.micros();
        if market.state != MarketState::Open
            || !terms.accepting
            || tick == 0
            || !tick.is_multiple_of(FINEST_TICK)
        {
            return Err(Refusal::NotAccepting);
        }
        check_form(order)?;
        check_price(order.price, terms.tick)?;
        check_size(order, terms.min_size)?;

        let route = market.route(order.outcome, order.side, order.price);
        let crosses = market
            .ladder(route.book, !route.bid)
            .best()
            .is_some_and(|level| route.crosses(level.price));
        let amount = match order.quantity {
            Quantity::Shares(size) => worth(order.price, size),
            Quantity::Budget(budget) => budget,
        };
        if order.side == Side::Buy
            && (crosses || !order.tif.rests())
            && !order.post_only
            && amount < SMALLEST_TAKE
        {
            return Err(Refusal::MinNotional(amount));
        }
        match order.tif {
            Tif::Gtc | Tif::Gtd(_) if order.post_only && crosses => {
                return Err(Refusal::PostOnlyCrosses);
            }
            Tif::Fok if !crosses => return Err(Refusal::FokUnfilled),
            Tif::Fak if !crosses => return Err(Refusal::FakNoMatch),
            _ => {}
        }
        let agent = !order.account.is_crowd();
        if crosses && (order.tif == Tif::Fok || agent && order.side == Side::Buy) {
            let preview = self.preview(market, route, order.quantity);
            if order.tif == Tif::Fok && !preview.complete {
                return Err(Refusal::FokUnfilled);
            }
            self.check_funds(order, market, preview)?;
        } else {
            self.check_funds(order, market, Preview::default())?;
        }
        Ok(route)
    }

    /// Walks the book as matching would.
    fn preview(&self, market: &Market, route: Route, quantity: Quantity) -> Preview {
        let mut want = Want(quantity);
        let mut preview = Preview::default();
        for level in market.ladder(route.book, !route.bid).best_first() {
            if !route.crosses(level.price) {
                break;
            }
            let price = route.own(level.price);
            for slot in self.slab.queue(level.queue) {
                let size = want.size(price, slot.remaining);
                if size.is_zero() {
                    break;
                }
                let paid = worth(price, size);
                want = want.less(size, paid);
                preview.filled = preview.filled.plus(size);
                preview.notional = preview.notional.plus(paid);
                preview.fee = preview.fee.plus(fee_of(market.terms.fee, price, size));
            }
            preview.complete = want.is_met(price);
            if preview.complete {
                break;
            }
        }
        preview
    }

    /// The venue's balance check: an open BUY with its fee must fit the free pUSD, a SELL the free
    /// shares.
    fn check_funds(
        &self,
        order: &NewOrder,
        market: &Market,
        preview: Preview,
    ) -> Result<(), Refusal> {
        if order.account.is_crowd() {
            return Ok(());
        }
        let account = self.account(order.account).ok_or(Refusal::UnknownAccount)?;
        let spent = preview.notional.plus(preview.fee);
        match (order.side, order.quantity) {
            (Side::Buy, quantity) => {
                let needed = match quantity {
                    Quantity::Shares(size) => {
                        let rest = reserve(order, market.terms.fee, size.minus(preview.filled));
                        // Fees are floored fill by fill, so neither sum bounds the other by itself.
                        reserve(order, market.terms.fee, size).max(spent.plus(rest))
                    }
                    Quantity::Budget(budget) => budget.plus(preview.fee),
                };
                let available = account.cash.available();
                if needed > available || !account.allowance.collateral {
                    return Err(Refusal::Balance { needed, available });
                }
            }
            (Side::Sell, Quantity::Shares(needed)) => {
                let available = account
                    .holdings
                    .get(&(order.market, order.outcome))
                    .map_or(Shares::ZERO, |holding| holding.available());
                if needed > available || !account.allowance.conditional {
                    return Err(Refusal::ShareBalance { needed, available });
                }
            }
            (Side::Sell, Quantity::Budget(_)) => return Err(Refusal::BudgetType),
        }
        Ok(())
    }
}

/// pUSD that a resting BUY of `size` shares keeps back: its price, and the fee it would pay if it
/// could still take. A post-only order cannot.
pub(super) fn reserve(order: &NewOrder, schedule: FeeSchedule, size: Shares) -> Usdc {
    let price = worth(order.price, size);
    if order.post_only {
        price
    } else {
        price.plus(fee_of(schedule, order.price, size))
    }
}

fn check_form(order: &NewOrder) -> Result<(), Refusal> {
    if order.post_only && !order.tif.rests() {
        return Err(Refusal::PostOnlyType);
    }
    if matches!(order.quantity, Quantity::Budget(_))
        && (order.tif.rests() || order.side == Side::Sell)
    {
        return Err(Refusal::BudgetType);
    }
    match order.tif {
        Tif::Gtd(expiration) if expiration < order.at.plus_millis(GTD_AT_LEAST) => {
            Err(Refusal::GtdTooSoon(expiration))
        }
        _ => Ok(()),
    }
}

fn check_price(price: Price, tick: Price) -> Result<(), Refusal> {
    let (min, max) = (tick, tick.complement());
    if price < min || price > max {
        return Err(Refusal::Price { price, min, max });
    }
    if !price.is_multiple_of(tick) {
        return Err(Refusal::Tick { price, tick });
    }
    Ok(())
}

fn check_size(order: &NewOrder, min: Shares) -> Result<(), Refusal> {
    match order.quantity {
        Quantity::Shares(size) => {
            if size.is_zero() || size.micros() > LARGEST || size != size.floor_to_lot() {
                return Err(Refusal::Size(size));
            }
            if order.tif.rests() && size < min {
                return Err(Refusal::MinSize { size, min });
            }
        }
        Quantity::Budget(budget) if budget.micros() > LARGEST => {
            return Err(Refusal::Amount(budget));
        }
        Quantity::Budget(_) => {}
    }
    Ok(())
}

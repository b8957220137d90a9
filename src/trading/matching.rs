//! Paper matching: fills only what a book shows, level by level, with the market's own fee.
//!
//! Used alike by the live desk on paper and by backtests, so both get the same fills.

use crate::domain::{
    Book, FeeSchedule, MoneyError, Order, OrderType, Price, RestingOrder, Rounding, Shares, Side,
    Usdc, notional,
};

pub mod depth;
pub mod queue;

pub use depth::{left_of, remaining_book};

/// Part of an order filled at one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelFill {
    /// Price of the level.
    pub price: Price,
    /// Shares filled at it.
    pub shares: Shares,
    /// `price × shares`, floored.
    pub notional: Usdc,
    /// Fee of this level, floored to five decimals.
    pub fee: Usdc,
}

/// What a book gives for an order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matched {
    /// Levels taken, best first.
    pub fills: Vec<LevelFill>,
    /// Shares that found nothing.
    pub unfilled: Shares,
}

impl Matched {
    /// Shares filled.
    #[must_use]
    pub fn filled(&self) -> Shares {
        self.fills
            .iter()
            .fold(Shares::ZERO, |sum, fill| sum.plus(fill.shares))
    }

    /// pUSD traded, fees not included.
    #[must_use]
    pub fn notional(&self) -> Usdc {
        self.fills.iter().map(|fill| fill.notional).sum()
    }

    /// Fees, pUSD.
    #[must_use]
    pub fn fee(&self) -> Usdc {
        self.fills.iter().map(|fill| fill.fee).sum()
    }

    /// Average price for output; `None` when nothing filled.
    #[must_use]
    pub fn average_price(&self) -> Option<f64> {
        let shares = self.filled();
        (!shares.is_zero()).then(|| self.notional().to_f64() / shares.to_f64())
    }
}

/// True when the market at `price` has gone through a resting order of this side at `limit`.
fn passes(side: Side, price: Price, limit: Price) -> bool {
    match side {
        Side::Buy => price < limit,
        Side::Sell => price > limit,
    }
}

/// Walks the book for a taking order (FAK or FOK). A FOK that does not fit fills nothing, and
/// nothing fills on a book that is not [sound](Book::is_sound).
///
/// Errors: [`MoneyError`] when a product does not fit.
pub fn take(order: &Order, book: &Book, fee: FeeSchedule) -> Result<Matched, MoneyError> {
    let too_thin =
        order.order_type == OrderType::Fok && book.depth_to(order.side, order.limit) < order.shares;
    if too_thin || !book.is_sound() {
        return Ok(Matched {
            fills: Vec::new(),
            unfilled: order.shares,
        });
    }
    let mut wanted = order.shares;
    let mut fills = Vec::new();
    for level in book.against(order.side) {
        if wanted.is_zero() || !order.side.accepts(order.limit, level.price) {
            break;
        }
        let shares = wanted.min(level.size);
        fills.push(LevelFill {
            price: level.price,
            shares,
            notional: notional(level.price, shares, Rounding::Down)?,
            fee: fee.fee(level.price, shares)?,
        });
        wanted = wanted.minus(shares);
    }
    Ok(Matched {
        fills,
        unfilled: wanted,
    })
}

/// True when a book shows a price beyond that of a resting order: only then can it [fill](trade_through).
#[must_use]
pub fn is_beyond(order: &Order, book: &Book) -> bool {
    let best = book.against(order.side).first();
    best.is_some_and(|level| passes(order.side, level.price, order.limit))
}

/// What a fresh book does to a resting order: it fills, as a maker at its own price, as many shares
/// as the market now offers at prices strictly better than it. `book` is what is
/// [left](depth::remaining_book) of it, so each of those shares came after the order, and would have met
/// it first. A price merely touched proves nothing about our place in the queue.
///
/// Errors: [`MoneyError`] when a product does not fit.
pub fn trade_through(resting: &RestingOrder, book: &Book) -> Result<Option<LevelFill>, MoneyError> {
    if book.at <= resting.placed_at || !book.is_sound() {
        return Ok(None);
    }
    let order = &resting.order;
    let through = book
        .against(order.side)
        .iter()
        .take_while(|level| passes(order.side, level.price, order.limit))
        .fold(Shares::ZERO, |sum, level| sum.plus(level.size));
    let shares = resting.remaining.min(through);
    if shares.is_zero() {
        return Ok(None);
    }
    Ok(Some(LevelFill {
        price: order.limit,
        shares,
        notional: notional(order.limit, shares, Rounding::Down)?,
        fee: Usdc::ZERO,
    }))
}

/// Slippage of a match against the mid before it, as a fraction of the mid, positive when worse;
/// `None` when nothing filled or the book had one side only.
#[must_use]
pub fn slippage(matched: &Matched, book: &Book, side: Side) -> Option<f64> {
    let (average, mid) = (matched.average_price()?, book.mid()?);
    let worse = match side {
        Side::Buy => average - mid,
        Side::Sell => mid - average,
    };
    Some(worse / mid)
}

#[cfg(test)]
mod tests;

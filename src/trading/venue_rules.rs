//! What the venue itself would refuse, checked before an order leaves: price ticks, minimum sizes,
//! and a book that is fit to trade on.

use crate::domain::{
    Book, BookFeed, BookOrigin, MarketStatus, Order, OrderType, Price, Rounding, Shares, Side,
    SourceKind, Usdc, notional,
};

use super::config::Mode;
use super::risk::{Candidate, Refusal, RiskGate};

/// Least notional of a marketable buy, pUSD ("invalid amount for a marketable BUY order, min size: $1").
pub const MIN_MARKETABLE_BUY: Usdc = Usdc::from_micros(1_000_000);

/// Oldest row that a recording's synthesised book may come from: its own spacing decides before
/// that whether the market is still open.
const RECORDED_BOOK_AGE_MS: i64 = 3 * 86_400_000;

/// Checks one order against the venue's rules. Errors: a [`Refusal`] that names the nearest legal
/// value where there is one.
pub fn check(candidate: &Candidate<'_>, gate: &RiskGate<'_>) -> Result<(), Refusal> {
    mode(gate)?;
    market(candidate)?;
    price(candidate)?;
    size(candidate, gate)?;
    book(candidate, gate)
}

fn mode(gate: &RiskGate<'_>) -> Result<(), Refusal> {
    match gate.mode {
        Mode::Paper => Ok(()),
        Mode::Monitor => Err(Refusal::new(
            "monitor_mode",
            "the server runs in monitor mode, in which nothing is traded",
            "The operator sets `mode: paper` in config.yaml to trade on paper.",
        )),
        Mode::Live => Err(Refusal::new(
            "live_mode",
            "live trading is not available in this version",
            "The operator sets `mode: paper` in config.yaml to trade on paper.",
        )),
    }
}

fn market(candidate: &Candidate<'_>) -> Result<(), Refusal> {
    let market = candidate.market;
    let refuse = |message: String| {
        Err(Refusal::new(
            "market_not_tradable",
            message,
            "search_markets lists open markets; get_market_detail shows the state of this one.",
        ))
    };
    match market.status {
        MarketStatus::Open if market.outcomes.len() != 2 => refuse(format!(
            "market {} has {} outcomes, not 2",
            market.id,
            market.outcomes.len()
        )),
        MarketStatus::Open => Ok(()),
        MarketStatus::Paused => refuse(format!("market {} accepts no orders now", market.id)),
        MarketStatus::Closed => refuse(format!("market {} is closed", market.id)),
    }?;
    if market.outcome_of(&candidate.order.token_id).is_none() {
        return Err(Refusal::new(
            "wrong_token",
            format!(
                "token {} does not belong to market {}",
                candidate.order.token_id, market.id
            ),
            "get_market_detail lists the market's outcomes with their token ids.",
        ));
    }
    Ok(())
}

fn price(candidate: &Candidate<'_>) -> Result<(), Refusal> {
    let Order { limit, side, .. } = *candidate.order;
    let tick = candidate.market.tick;
    let highest = Price::ONE.minus(tick);
    if limit < tick || limit > highest {
        return Err(Refusal::new(
            "price_range",
            format!("price {limit} is outside the tradable range {tick} to {highest}"),
            format!("Use a price between {tick} and {highest}."),
        ));
    }
    if !limit.is_multiple_of(tick) {
        let (below, above) = (limit.floor_to(tick), limit.ceil_to(tick));
        // The legal price that is no worse for the one who orders.
        let nearest = if side == Side::Buy { below } else { above };
        return Err(Refusal::new(
            "tick_size",
            format!(
                "price {limit} is not a multiple of the market's tick {tick}; the nearest legal \
                 prices are {below} and {above}"
            ),
            format!(
                "Use {nearest} (or {}).",
                if nearest == below { above } else { below }
            ),
        ));
    }
    Ok(())
}

fn size(candidate: &Candidate<'_>, gate: &RiskGate<'_>) -> Result<(), Refusal> {
    let order = candidate.order;
    let min_size = candidate.market.min_size;
    if order.shares.is_zero() {
        return Err(Refusal::new(
            "size",
            "the size comes to less than 0.01 share",
            "Use a larger size (pUSD of notional).",
        ));
    }
    if order.side == Side::Sell && order.shares > gate.ledger.sellable(&order.token_id) {
        let held = gate.ledger.sellable(&order.token_id);
        let worth = notional(order.limit, held, Rounding::Down).unwrap_or(Usdc::ZERO);
        return Err(Refusal::new(
            "shares_held",
            format!(
                "{} shares wanted for sale, {held} held and free",
                order.shares
            ),
            if held.is_zero() {
                "Nothing of this token is held. To bet against an outcome, buy the other one."
                    .to_owned()
            } else {
                format!("Sell at most {worth} pUSD of notional at this price ({held} shares).")
            },
        ));
    }
    // What takes at once must be worth a dollar, what rests must have the least number of shares.
    let takes_now = match order.order_type {
        OrderType::Fak | OrderType::Fok => true,
        OrderType::PostOnly => false,
        OrderType::Gtc | OrderType::Gtd => candidate
            .book
            .and_then(|book| book.against(order.side).first())
            .is_some_and(|level| order.side.accepts(order.limit, level.price)),
    };
    if order.order_type.rests() && order.shares < min_size {
        return Err(Refusal::new(
            "min_size",
            format!(
                "{} shares is below the market's minimum of {min_size}",
                order.shares
            ),
            format!("Use at least {min_size} shares."),
        ));
    }
    let value = notional(order.limit, order.shares, Rounding::Down).unwrap_or(Usdc::ZERO);
    if takes_now && order.side == Side::Buy && value < MIN_MARKETABLE_BUY {
        return Err(Refusal::new(
            "min_notional",
            format!(
                "a marketable buy of {value} pUSD ({} shares in whole lots) is below the venue's \
                 minimum of 1 pUSD",
                order.shares
            ),
            match least_buy(order.limit) {
                Some((shares, size)) => {
                    format!("Use a size of at least {size} pUSD ({shares} shares at this price).")
                }
                None => "Use a higher price.".to_owned(),
            },
        ));
    }
    Ok(())
}

/// The fewest whole lots whose notional at `limit` reaches the minimum, with that notional.
fn least_buy(limit: Price) -> Option<(Shares, Usdc)> {
    let price = i64::from(limit.micros());
    let lot = Shares::LOT.micros();
    let micros = MIN_MARKETABLE_BUY.micros().checked_mul(1_000_000)?;
    // Rounded up twice: to micro-units of shares, then to lots. `price` is not 0 here: the price
    // range was checked before.
    let shares = micros.checked_add(price - 1)?.checked_div(price)?;
    let lots = shares.checked_add(lot - 1)?.checked_div(lot)?;
    let shares = Shares::from_micros(lots.checked_mul(lot)?).ok()?;
    Some((shares, notional(limit, shares, Rounding::Up).ok()?))
}

fn book(candidate: &Candidate<'_>, gate: &RiskGate<'_>) -> Result<(), Refusal> {
    let order = candidate.order;
    let Some(book) = candidate.book else {
        return Err(Refusal::new(
            "no_book",
            format!("there is no order book for token {}", order.token_id),
            "The market may be closed or paused; get_market_detail shows its state.",
        ));
    };
    fit(book, gate)?;
    if order.order_type == OrderType::PostOnly
        && book
            .against(order.side)
            .first()
            .is_some_and(|l| order.side.accepts(order.limit, l.price))
    {
        return Err(Refusal::new(
            "post_only_crosses",
            format!(
                "a post-only order at {} would take from the book",
                order.limit
            ),
            "Use a price that does not reach the other side.",
        ));
    }
    Ok(())
}

/// Whether a book is fit to trade on: its stream unbroken, not crossed, and recent enough. Holds for
/// orders that rest already as for new ones. Errors: the [`Refusal`] of the first rule it breaks.
pub fn fit(book: &Book, gate: &RiskGate<'_>) -> Result<(), Refusal> {
    if book.feed == BookFeed::Broken {
        return Err(Refusal::new(
            "broken_stream",
            "the stream that kept this book was interrupted, so changes to it may be missing",
            "Call again in a few seconds: by then there is a fresh book.",
        ));
    }
    if book.is_crossed() {
        return Err(Refusal::new(
            "crossed_book",
            "the book is crossed (a bid at or above an ask), so its prices cannot be trusted",
            "Wait a few seconds and call again.",
        ));
    }
    let age = gate.now.since(book.at);
    let allowed = match (gate.source, &book.origin) {
        (SourceKind::Recorded, BookOrigin::Synthetic) => RECORDED_BOOK_AGE_MS,
        _ => i64::from(gate.limits.max_book_age_seconds) * 1000,
    };
    if age > allowed {
        return Err(Refusal::new(
            "max_book_age",
            format!(
                "the book is {} s old, allowed is {} s",
                age as f64 / 1000.0,
                allowed / 1000
            ),
            "Call again for a fresh book; the operator sets risk.max_book_age_seconds.",
        ));
    }
    Ok(())
}

/// The shares that a notional at a limit price comes to, in the venue's lots, and for a sale of
/// everything exactly what is held: 0.01 share of rounding never leaves dust nor blocks an exit.
#[must_use]
pub fn shares_for(side: Side, size: Usdc, limit: Price, held: Shares) -> Shares {
    let wanted = Shares::affordable(size, limit);
    match side {
        Side::Buy => wanted,
        Side::Sell => {
            let difference = wanted.micros().abs_diff(held.micros());
            if !held.is_zero() && difference <= Shares::LOT.micros().unsigned_abs() {
                held
            } else {
                wanted
            }
        }
    }
}

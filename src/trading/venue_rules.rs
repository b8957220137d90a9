//! What the venue itself would refuse, checked before an order leaves: price ticks, minimum sizes,
//! and a book that is fit to trade on.

use crate::domain::{
    Book, BookFeed, BookOrigin, MarketStatus, Order, OrderType, Price, Rounding, Shares, Side,
    SourceKind, Timestamp, Usdc, notional,
};

use super::config::Mode;
use super::risk::{Candidate, Refusal, RiskGate};

/// Least notional of a marketable buy, pUSD ("invalid amount for a marketable BUY order, min size: $1").
pub const MIN_MARKETABLE_BUY: Usdc = Usdc::from_micros(1_000_000);

/// Shortest time that an order with an end stands on the venue's book, ms.
pub const LEAST_GTD_MS: i64 = 120_000;

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
    expiry(candidate.order, gate.now)?;
    book(candidate, gate)
}

/// What the venue checks of an order that it was sent a while ago: everything but what was settled
/// when it left (whose shares are kept for it, how long it is good for). Errors: as [`check`].
pub fn on_arrival(candidate: &Candidate<'_>, gate: &RiskGate<'_>) -> Result<(), Refusal> {
    market(candidate)?;
    price(candidate)?;
    least_size(candidate)?;
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
    // The venue counts hundredths of a share. A sale that takes may be of whatever is held.
    let whole = order.shares == order.shares.floor_to_lot();
    let sells_all = order.side == Side::Sell && order.shares == gate.ledger.held(&order.token_id);
    if !whole && !sells_all && (order.side == Side::Buy || order.order_type.rests()) {
        let nearest = order.shares.floor_to_lot();
        return Err(Refusal::new(
            "lot_size",
            format!(
                "{} shares is not a multiple of the venue's lot of {}; the nearest legal size \
                 below is {nearest}",
                order.shares,
                Shares::LOT
            ),
            format!("Use {nearest} shares."),
        ));
    }
    least_size(candidate)
}

/// Least sizes: of an order that may rest in shares, of a buy that takes in pUSD.
///
/// What is left of an order may be less: on the venue a GTC order stands until it is filled or
/// cancelled, and the minimum is checked when it comes.
fn least_size(candidate: &Candidate<'_>) -> Result<(), Refusal> {
    let order = candidate.order;
    let min_size = candidate.market.min_size;
    if order.order_type.rests() && order.shares < min_size {
        let least = notional(order.limit, min_size, Rounding::Up).unwrap_or(Usdc::ZERO);
        return Err(Refusal::new(
            "min_size",
            format!(
                "{} shares is below the market's minimum of {min_size} for an order that may rest",
                order.shares
            ),
            format!("Use at least {min_size} shares ({least} pUSD at this price), or FAK."),
        ));
    }
    let crosses = candidate
        .book
        .and_then(|book| book.against(order.side).first())
        .is_some_and(|level| order.side.accepts(order.limit, level.price));
    let marketable = order.order_type.takes() && (crosses || !order.order_type.rests());
    let value = notional(order.limit, order.shares, Rounding::Down).unwrap_or(Usdc::ZERO);
    if marketable && order.side == Side::Buy && value < MIN_MARKETABLE_BUY {
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

/// How long an order with an end has to stand. The venue wants a GTD's `expiration` 180 s ahead at
/// least, and takes the order off the book 60 s before it.
fn expiry(order: &Order, now: Timestamp) -> Result<(), Refusal> {
    let least = now.plus_millis(LEAST_GTD_MS);
    let seconds = LEAST_GTD_MS / 1000;
    match (order.order_type, order.expires_at) {
        (OrderType::Gtd, None) => Err(Refusal::new(
            "expires_at",
            "a GTD order needs the moment at which it leaves the book",
            format!("Add expires_in (seconds, at least {seconds}) or expires_at, or use GTC."),
        )),
        (OrderType::Gtd | OrderType::PostOnly, Some(end)) if end < least => Err(Refusal::new(
            "expires_at",
            format!(
                "an order that ends at {end} would stand for {} s; the venue's least is {seconds} s",
                end.since(now) / 1000
            ),
            format!("Use {least} or later (expires_in {seconds} or more)."),
        )),
        (OrderType::Fak | OrderType::Fok | OrderType::Gtc, Some(_)) => Err(Refusal::new(
            "expires_at",
            format!(
                "a {} order has no end of its own",
                order.order_type.as_str()
            ),
            "Leave the expiry out, or use GTD or POST_ONLY.",
        )),
        (_, _) => Ok(()),
    }
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
            match nearest_maker(order, book, candidate.market.tick) {
                Some(nearest) => format!("Use {nearest} or further from the other side."),
                None => "No legal price rests on this side now.".to_owned(),
            },
        ));
    }
    Ok(())
}

/// The legal price closest to the other side at which an order only rests.
fn nearest_maker(order: &Order, book: &Book, tick: Price) -> Option<Price> {
    let other = book.against(order.side).first()?.price;
    let price = match order.side {
        Side::Buy => other.minus(tick).floor_to(tick),
        Side::Sell => other.plus(tick).ceil_to(tick),
    };
    (price >= tick && price <= Price::ONE.minus(tick)).then_some(price)
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

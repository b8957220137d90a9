//! What a trade would really cost: executable prices, limits on the tick, fees, room to buy.

use std::sync::Arc;

use super::params::{self, MAX_AMOUNT};
use super::sight::Quoted;
use super::{Analysis, StrategyContext, cause, parts};
use crate::domain::book::depth_to;
use crate::domain::{
    Book, Intent, Market, MarketView, Outcome, OutcomeName, Price, Shares, Side, Timestamp,
    TokenId, Usdc, text,
};

/// Comparisons with a parameter forgive this much: 0.35 − 0.30 is a hair below 0.05 in binary.
/// A thousandth of the smallest unit of money, so it decides nothing that can be paid.
const EPSILON: f64 = 1e-9;

/// A book that an exchange served longer ago than this is no basis for a price. Books made from a
/// recorded price are as old as their source and say so themselves.
const MAX_BOOK_AGE_MS: i64 = 15 * 60 * 1000;

/// Fair prices stay this far from 0 and 1: no model here can tell certainty from near-certainty.
pub(super) const FAIR_MARGIN: f64 = 0.01;

/// Longest outcome name in a reason.
const REASON_NAME: usize = 40;

/// `value ≥ threshold`, forgiving binary rounding.
pub(super) fn reaches(value: f64, threshold: f64) -> bool {
    value >= threshold - EPSILON
}

/// How sure a strategy is: 0.5 when `value` just meets its `threshold`, 1 at twice that and above,
/// linear in between, to four decimals. It is no probability of winning.
pub(super) fn threshold_confidence(value: f64, threshold: f64) -> f64 {
    let confidence = (0.5 * value / threshold).clamp(0.0, 1.0);
    (confidence * 1e4).round() / 1e4
}

/// A fair price kept within [`FAIR_MARGIN`] of the ends.
pub(super) fn clamp_fair(price: f64) -> f64 {
    price.clamp(FAIR_MARGIN, 1.0 - FAIR_MARGIN)
}

/// An outcome's name for a reason line.
pub(super) fn name_of(outcome: &Outcome) -> String {
    short_name(&outcome.name)
}

/// The same of a name alone.
pub(super) fn short_name(name: &OutcomeName) -> String {
    text::clean(name, REASON_NAME)
}

/// Looks at every candidate market; `look` says what it wants there, or why nothing.
pub(super) fn look_at_each<'cause>(
    context: &StrategyContext<'_>,
    look: impl Fn(&MarketView) -> Result<Intent, &'cause str> + Sync,
) -> Analysis {
    parts::look_at_candidates(context, |view, notes| {
        notes.looked_at += 1;
        match look(view) {
            Ok(intent) if is_first(context, view) => notes.want(intent),
            Ok(_) => notes.pass(cause::LISTED_TWICE),
            Err(cause) => notes.pass(cause),
        }
    })
}

/// False for the second view of one market: acting on it would double the order.
pub(super) fn is_first(context: &StrategyContext<'_>, view: &MarketView) -> bool {
    let snapshot = context.snapshot;
    !snapshot.has_doubles()
        || snapshot
            .market(&view.market.id)
            .is_some_and(|first| std::ptr::eq(first, view))
}

/// Both outcomes of a market that can be traded now.
pub(super) fn tradable_pair(market: &Market) -> Result<(&Outcome, &Outcome), &'static str> {
    let [first, second] = market.outcomes.as_slice() else {
        return Err(cause::NOT_BINARY);
    };
    if !market.is_tradable() {
        return Err(cause::NOT_OPEN);
    }
    if market.placeholder {
        return Err(cause::PLACEHOLDER);
    }
    // Above a half no price fits between 0 and 1.
    if market.tick == Price::ZERO || market.tick > Price::ONE.minus(market.tick) {
        return Err(cause::NO_TICK);
    }
    Ok((first, second))
}

/// A book that may be believed: there, recent, and not crossed. It may still be one-sided.
pub(super) fn sane_book(book: Option<&Arc<Book>>, now: Timestamp) -> Result<&Book, &'static str> {
    sane(book.map(AsRef::as_ref), now)
}

/// The same of whatever stands for a book.
pub(super) fn sane<B: Quoted>(book: Option<&B>, now: Timestamp) -> Result<&B, &'static str> {
    let book = book.ok_or(cause::NO_BOOK)?;
    if !book.is_synthetic() && now.since(book.at()) > MAX_BOOK_AGE_MS {
        return Err(cause::STALE);
    }
    if book.is_broken() {
        return Err(cause::BROKEN_STREAM);
    }
    if matches!((best_bid(book), best_ask(book)), (Some(bid), Some(ask)) if bid >= ask) {
        return Err(cause::CROSSED);
    }
    Ok(book)
}

/// Highest bid; `None` when nobody bids.
pub(super) fn best_bid(book: &impl Quoted) -> Option<Price> {
    book.bids().first().map(|level| level.price)
}

/// Lowest ask; `None` when nobody offers.
pub(super) fn best_ask(book: &impl Quoted) -> Option<Price> {
    book.asks().first().map(|level| level.price)
}

/// Best prices of a book that has both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TwoSided {
    /// Best bid.
    pub bid: Price,
    /// Best ask.
    pub ask: Price,
    /// Their mean.
    pub mid: f64,
    /// Ask − bid, in price units.
    pub spread: f64,
}

impl TwoSided {
    fn new(bid: Price, ask: Price) -> Self {
        TwoSided {
            bid,
            ask,
            mid: (bid.to_f64() + ask.to_f64()) / 2.0,
            spread: (i64::from(ask.micros()) - i64::from(bid.micros())) as f64 / 1e6,
        }
    }
}

/// Both best prices, or why there are not two.
pub(super) fn two_sided(book: &impl Quoted) -> Result<TwoSided, &'static str> {
    match (best_bid(book), best_ask(book)) {
        (Some(bid), Some(ask)) => Ok(TwoSided::new(bid, ask)),
        (None, None) => Err(cause::EMPTY_BOOK),
        _ => Err(cause::ONE_SIDED),
    }
}

/// The price at which the best offer can be taken: its own, moved up to the tick if the book is
/// older than the market's present tick. Needs a tick that [`tradable_pair`] has accepted.
pub(super) fn buyable_at(level: Price, tick: Price) -> Option<Price> {
    let limit = level.ceil_to(tick);
    (limit >= level).then_some(limit)
}

/// What may still be spent on `token`: `order_size` less what its position has cost.
pub(super) fn room(
    context: &StrategyContext<'_>,
    market: &Market,
    token: &TokenId,
    order_size: Usdc,
) -> Result<Usdc, &'static str> {
    let held = |token: &TokenId| {
        context
            .positions
            .get(token)
            .filter(|position| !position.shares.is_zero())
    };
    if market
        .opposite_of(token)
        .is_some_and(|other| held(&other.token).is_some())
    {
        return Err(cause::OPPOSITE_HELD);
    }
    match held(token) {
        Some(position) if position.cost >= order_size => Err(cause::HELD),
        Some(position) => Ok(order_size.minus(position.cost)),
        None => Ok(order_size),
    }
}

/// How much, and how far up the book, a strategy buys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BuyTerms {
    /// Notional of a whole position, pUSD.
    pub order_size: Usdc,
    /// Smallest edge per share, pUSD.
    pub min_edge: f64,
    /// How far above the best ask the limit may lie, in price units.
    pub max_slippage: Price,
}

impl BuyTerms {
    /// Checks the three parameters that every buying strategy has.
    pub(super) fn new(order_size: f64, min_edge: f64, max_slippage: f64) -> Result<Self, String> {
        params::in_range("min_edge", min_edge, 0.0..=0.5)?;
        params::in_range("max_slippage", max_slippage, 0.0..=0.2)?;
        Ok(BuyTerms {
            order_size: params::amount("order_size", order_size, 0.01..=MAX_AMOUNT)?,
            min_edge,
            max_slippage: Price::from_f64_rounded(max_slippage)
                .map_err(|error| format!("max_slippage is {max_slippage}: {error}"))?,
        })
    }
}

/// A purchase that keeps its edge down to the last share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BuyPlan {
    /// Worst price, on the tick.
    pub limit: Price,
    /// Fair price − limit − fee at the limit.
    pub edge: f64,
    /// Fee per share at the limit, pUSD.
    pub fee: f64,
    /// Notional at the limit, pUSD.
    pub size: Usdc,
}

/// Plans to buy `token`, worth `fair`, from its own book.
///
/// The limit is the best ask; where that does not offer the whole size, the next levels follow, as
/// long as they lie within `max_slippage` and leave `min_edge`. The edge stated is the one at the
/// limit, so no fill has less.
pub(super) fn plan_buy(
    context: &StrategyContext<'_>,
    market: &Market,
    book: &impl Quoted,
    fair: f64,
    terms: &BuyTerms,
) -> Result<BuyPlan, &'static str> {
    let budget = room(context, market, book.token(), terms.order_size)?;
    let priced = |price: Price| {
        let fee = market.fee.per_share(price.to_f64());
        (fee, fair - price.to_f64() - fee)
    };
    let best = best_ask(book).ok_or(cause::NOTHING_OFFERED)?;
    let mut limit = buyable_at(best, market.tick).ok_or(cause::EXTREME_PRICE)?;
    let (mut fee, mut edge) = priced(limit);
    if !reaches(edge, terms.min_edge) {
        return Err(cause::NO_EDGE);
    }
    let worst = limit.plus(terms.max_slippage);
    for level in book.asks().iter().skip(1) {
        if depth_to(book.asks(), Side::Buy, limit) >= Shares::affordable(budget, limit) {
            break;
        }
        let Some(next) = buyable_at(level.price, market.tick).filter(|next| *next <= worst) else {
            break;
        };
        let (next_fee, next_edge) = priced(next);
        if !reaches(next_edge, terms.min_edge) {
            break;
        }
        (limit, fee, edge) = (next, next_fee, next_edge);
    }
    let shares = Shares::affordable(budget, limit);
    if shares.is_zero() || shares < market.min_size {
        let topping_up = budget < terms.order_size;
        return Err(if topping_up {
            cause::HELD
        } else {
            cause::TOO_SMALL
        });
    }
    Ok(BuyPlan {
        limit,
        edge,
        fee,
        size: budget,
    })
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{market, price, usdc, world};
    use super::*;
    use crate::domain::{BookFeed, BookOrigin};

    fn terms(order_size: &str, slippage: &str) -> BuyTerms {
        BuyTerms {
            order_size: usdc(order_size),
            min_edge: 0.01,
            max_slippage: price(slippage),
        }
    }

    #[test]
    fn binary_rounding_does_not_decide() {
        // In binary 0.35 − 0.30 is 0.04999999999999999.
        assert!(reaches(0.35 - 0.30, 0.05));
        assert!(!reaches(0.049_999, 0.05));
    }

    #[test]
    fn confidence_is_half_at_the_threshold_and_full_at_twice_it() {
        assert_eq!(threshold_confidence(0.05, 0.05), 0.5);
        assert_eq!(threshold_confidence(0.075, 0.05), 0.75);
        assert_eq!(threshold_confidence(0.10, 0.05), 1.0);
        assert_eq!(threshold_confidence(0.50, 0.05), 1.0);
    }

    #[test]
    fn a_plan_goes_no_further_up_than_size_slippage_and_edge_allow() {
        // 25 pUSD buys 50 shares at 0.50; only 20 are there.
        let view = market("m")
            .yes(
                &[("0.48", 100)],
                &[("0.50", 20), ("0.51", 20), ("0.52", 500), ("0.60", 500)],
            )
            .view();
        let world = world(vec![view]);
        let view = &world.snapshot.markets()[0];
        let book = view.books[0].as_ref().unwrap();
        let plan = |fair: f64, slippage: &str| {
            plan_buy(
                &world.context(),
                &view.market,
                &**book,
                fair,
                &terms("25", slippage),
            )
        };
        assert_eq!(plan(0.60, "0").unwrap().limit, price("0.5"));
        assert_eq!(plan(0.60, "0.01").unwrap().limit, price("0.51"));
        // At 0.52 there is enough, so 0.60 is not reached for.
        let far = plan(0.90, "0.2").unwrap();
        assert_eq!(far.limit, price("0.52"));
        assert!((far.edge - 0.38).abs() < 1e-9);
        // At 0.52 only 0.005 would be left.
        let kept = plan(0.525, "0.2").unwrap();
        assert_eq!(kept.limit, price("0.51"));
        assert!((kept.edge - 0.015).abs() < 1e-9);
        assert_eq!(plan(0.505, "0.2"), Err(cause::NO_EDGE));
    }

    #[test]
    fn fees_count_against_the_edge() {
        // 0.07 · 0.5 · 0.5 = 0.0175
        let view = market("m")
            .fee("0.07")
            .yes(&[("0.48", 100)], &[("0.50", 100)])
            .view();
        let world = world(vec![view]);
        let view = &world.snapshot.markets()[0];
        let book = view.books[0].as_ref().unwrap();
        let plan = |fair: f64| {
            plan_buy(
                &world.context(),
                &view.market,
                &**book,
                fair,
                &terms("25", "0"),
            )
        };
        assert_eq!(plan(0.52), Err(cause::NO_EDGE));
        let kept = plan(0.53).unwrap();
        assert!((kept.fee - 0.0175).abs() < 1e-12);
        assert!((kept.edge - 0.0125).abs() < 1e-9);
    }

    #[test]
    fn a_book_off_the_tick_is_bought_at_the_next_tick_above() {
        assert_eq!(
            buyable_at(price("0.503"), price("0.01")),
            Some(price("0.51"))
        );
        assert_eq!(
            buyable_at(price("0.50"), price("0.01")),
            Some(price("0.50"))
        );
        // Above 0.99 no legal price reaches it.
        assert_eq!(buyable_at(price("0.995"), price("0.01")), None);
    }

    #[test]
    fn room_shrinks_with_what_the_position_has_cost() {
        let view = market("m").yes(&[("0.48", 9)], &[("0.50", 9)]).view();
        let mut world = world(vec![view]);
        let token = TokenId::new("m-yes");
        let check = |world: &super::super::test_support::World| {
            let market = &world.snapshot.markets()[0].market;
            room(&world.context(), market, &token, usdc("25"))
        };
        assert_eq!(check(&world), Ok(usdc("25")));
        world.hold("m", "m-yes", 20, "10", "signal_trader");
        assert_eq!(check(&world), Ok(usdc("15")));
        world.hold("m", "m-yes", 50, "25", "signal_trader");
        assert_eq!(check(&world), Err(cause::HELD));
    }

    /// Fault 21 of the original: Yes and No of one market were bought at once.
    #[test]
    fn fault_21_the_other_outcome_held_is_seen() {
        let view = market("m").yes(&[("0.48", 9)], &[("0.50", 9)]).view();
        let mut world = world(vec![view]);
        world.hold("m", "m-no", 1, "0.5", "ai_analyst");
        let market = &world.snapshot.markets()[0].market;
        assert_eq!(
            room(&world.context(), market, &TokenId::new("m-yes"), usdc("25")),
            Err(cause::OPPOSITE_HELD)
        );
    }

    #[test]
    fn only_a_recent_uncrossed_book_is_believed() {
        let now = super::super::test_support::now();
        let book = |at: Timestamp, origin: BookOrigin, bid: &str| {
            let level = |text: &str| crate::domain::Level {
                price: price(text),
                size: Shares::whole(1),
            };
            Arc::new(Book::new(
                TokenId::new("t"),
                vec![level(bid)],
                vec![level("0.5")],
                at,
                origin,
            ))
        };
        let late = now.plus_millis(-MAX_BOOK_AGE_MS);
        let too_late = late.plus_millis(-1);
        assert!(sane_book(Some(&book(late, BookOrigin::Venue, "0.4")), now).is_ok());
        assert_eq!(
            sane_book(Some(&book(too_late, BookOrigin::Venue, "0.4")), now),
            Err(cause::STALE)
        );
        assert!(sane_book(Some(&book(too_late, BookOrigin::Synthetic, "0.4")), now).is_ok());
        assert_eq!(
            sane_book(Some(&book(now, BookOrigin::Venue, "0.5")), now),
            Err(cause::CROSSED)
        );
        let broken = Book::clone(&book(now, BookOrigin::Venue, "0.4")).with_feed(BookFeed::Broken);
        assert_eq!(
            sane_book(Some(&Arc::new(broken)), now),
            Err(cause::BROKEN_STREAM)
        );
        assert_eq!(sane_book(None, now), Err(cause::NO_BOOK));
    }
}

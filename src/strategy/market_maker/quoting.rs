//! Prices and sizes of the quotes on the two outcomes of one market.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::super::{StrategyContext, cause, pricing};
use super::{MarketMaker, NAME};
use crate::domain::money::MICRO;
use crate::domain::{Market, Price, QuoteSide, Shares, Side, TokenId, Usdc};

const NO_QUOTE: &str = "no price leaves the edge";
const FULL: &str = "inventory full";
const COVERED: &str = "that side is quoted with shares of the other outcome";

/// The strategy's own resting prices by token, in order of their numbers; `None` where there are none at all, as
/// mostly: an id of 78 digits takes its time to be hashed.
#[derive(Default)]
pub(super) struct Standing<'a>(Option<Prices<'a>>);

type Prices<'a> = HashMap<&'a TokenId, Vec<(Side, Price)>, RandomState>;

impl<'a> Standing<'a> {
    /// Those of the context.
    pub(super) fn of(context: &StrategyContext<'a>) -> Self {
        let mut prices = Prices::default();
        for resting in context.resting.values() {
            let order = &resting.order;
            if order.strategy.as_str() == NAME && !resting.remaining.is_zero() {
                prices
                    .entry(&order.token_id)
                    .or_default()
                    .push((order.side, order.limit));
            }
        }
        Standing(Some(prices).filter(|prices| !prices.is_empty()))
    }

    /// The standing price nearest to `wanted` that is nearer than `threshold` and may stay.
    fn near(
        &self,
        token: &TokenId,
        side: Side,
        wanted: Price,
        threshold: f64,
        may_stay: impl Fn(Price) -> bool,
    ) -> Option<Price> {
        let distance = |price: &Price| price.micros().abs_diff(wanted.micros());
        // Strictly nearer: at a distance of the threshold it moves.
        let near = |price: &Price| !pricing::reaches(f64::from(distance(price)) / 1e6, threshold);
        self.0
            .as_ref()?
            .get(token)?
            .iter()
            .filter(|(of, _)| *of == side)
            .map(|(_, price)| *price)
            .filter(|price| near(price) && may_stay(*price))
            .min_by_key(distance)
    }
}

/// One outcome as something to quote; prices are its own.
pub(super) struct TokenTerms<'a> {
    pub token: &'a TokenId,
    pub fair: f64,
    /// What the quotes lie around: the fair price, moved by the inventory.
    pub centre: f64,
    pub best_bid: Option<Price>,
    pub best_ask: Option<Price>,
    pub held: Shares,
}

/// Both sides of the quote on one outcome; at least one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sides {
    pub bid: Option<QuoteSide>,
    pub ask: Option<QuoteSide>,
}

/// One outcome on the way to its quote.
struct Draft {
    bid_price: Option<Price>,
    ask: Option<QuoteSide>,
    /// Whether there is a price for either side.
    has_price: bool,
    /// What the whole side that its bid belongs to comes to, in shares.
    side_shares: Shares,
    bid_shares: Shares,
}

impl MarketMaker {
    /// The quotes on both outcomes. What one outcome's ask already offers is taken off the other
    /// outcome's bid: both are the same side of the market.
    pub(super) fn sides(
        &self,
        market: &Market,
        standing: &Standing<'_>,
        half_spread: f64,
        yes: TokenTerms<'_>,
        no: Result<TokenTerms<'_>, &'static str>,
    ) -> [Result<Sides, &'static str>; 2] {
        let both_held = yes
            .held
            .plus(no.as_ref().map_or(Shares::ZERO, |no| no.held));
        let draft = |terms: &TokenTerms<'_>| self.draft(market, standing, half_spread, terms);
        let mut first = draft(&yes);
        let mut second = no.as_ref().map(draft).map_err(|cause| *cause);
        if let Ok(second) = &mut second {
            first.take_off(second.ask);
            second.take_off(first.ask);
            // Both bids may fill: together they stay within what the market may hold.
            let room = self.max_market_inventory.minus(both_held);
            let (one, other) = shared(first.bid_shares, second.bid_shares, room);
            first.bid_shares = one;
            second.bid_shares = other;
        } else {
            let room = self.max_market_inventory.minus(both_held);
            first.bid_shares = first.bid_shares.min(room);
        }
        let covered_first = second.as_ref().is_ok_and(|second| second.ask.is_some());
        let covered_second = first.ask.is_some();
        [
            first.finish(market, covered_first),
            second.and_then(|second| second.finish(market, covered_second)),
        ]
    }

    /// The price that it would bid, were there no ticks: the higher `fair` and `centre` are, the higher.
    fn wanted_bid(
        &self,
        tick: Price,
        half_spread: f64,
        fair: f64,
        centre: f64,
        best_ask: Option<Price>,
    ) -> f64 {
        // Post-only: one tick away from the best price of the other side still rests.
        let rest_below = best_ask.map_or(1.0, |ask| ask.minus(tick).to_f64());
        (centre - half_spread)
            .min(fair - self.params.min_edge)
            .min(rest_below)
    }

    /// What a bid for an outcome of which nothing is held costs at least, if that is worth `fair` or more; `None`
    /// where there may be no price for one.
    pub(super) fn least_cost_from(
        &self,
        fair: f64,
        tick: Price,
        half_spread: f64,
        best_ask: Option<Price>,
    ) -> Option<Usdc> {
        let wanted = self.wanted_bid(tick, half_spread, fair, fair, best_ask);
        let price = i64::from(tick_below(wanted, tick)?.micros());
        // The higher the bid is the fewer shares it is for, unless it is cut to what may be held.
        let cut = price.saturating_mul(self.sure.may_hold.micros()) / MICRO;
        Some(Usdc::from_micros(cut).min(self.sure.notional))
    }

    fn draft(
        &self,
        market: &Market,
        standing: &Standing<'_>,
        half_spread: f64,
        terms: &TokenTerms<'_>,
    ) -> Draft {
        let tick = market.tick;
        let threshold = self.params.requote_threshold;
        let highest_bid = terms.fair - self.params.min_edge;
        let lowest_ask = terms.fair + self.params.min_edge;
        let wanted_bid =
            self.wanted_bid(tick, half_spread, terms.fair, terms.centre, terms.best_ask);
        let bid_price = tick_below(wanted_bid, tick).map(|wanted| {
            let may_stay = |price: Price| {
                price.is_multiple_of(tick)
                    && pricing::reaches(highest_bid, price.to_f64())
                    && terms.best_ask.is_none_or(|ask| price < ask)
            };
            standing
                .near(terms.token, Side::Buy, wanted, threshold, may_stay)
                .unwrap_or(wanted)
        });
        let ask_price = || {
            let rest_above = terms.best_bid.map_or(0.0, |bid| bid.plus(tick).to_f64());
            let wanted = tick_above(
                (terms.centre + half_spread).max(lowest_ask).max(rest_above),
                tick,
            )?;
            let may_stay = |price: Price| {
                price.is_multiple_of(tick)
                    && pricing::reaches(price.to_f64(), lowest_ask)
                    && terms.best_bid.is_none_or(|bid| price > bid)
            };
            let near = standing.near(terms.token, Side::Sell, wanted, threshold, may_stay);
            Some(near.unwrap_or(wanted))
        };
        // Where nothing is held nothing can be asked for, and a price for it tells only why nothing is quoted.
        let is_held = !terms.held.is_zero();
        let ask_price = (is_held || bid_price.is_none()).then(ask_price).flatten();
        let ask = ask_price
            .filter(|_| is_held)
            .map(|price| QuoteSide {
                price,
                shares: Shares::affordable(self.order_size, price)
                    .min(terms.held)
                    .floor_to_lot(),
            })
            .filter(|side| big_enough(side, market));
        let side_shares = bid_price.map_or(Shares::ZERO, |price| {
            Shares::affordable(self.order_size, price)
        });
        Draft {
            bid_price,
            ask,
            has_price: bid_price.is_some() || ask_price.is_some(),
            side_shares,
            bid_shares: side_shares.min(self.max_inventory.minus(terms.held)),
        }
    }
}

impl Draft {
    /// Leaves to the bid what the other outcome's ask does not offer of this side already.
    fn take_off(&mut self, other_ask: Option<QuoteSide>) {
        if let Some(ask) = other_ask {
            self.bid_shares = self.bid_shares.min(self.side_shares.minus(ask.shares));
        }
    }

    /// Both sides, or why there is neither. `covered` says that the other outcome's ask offers
    /// this bid's side of the market.
    fn finish(self, market: &Market, covered: bool) -> Result<Sides, &'static str> {
        let bid = self
            .bid_price
            .map(|price| QuoteSide {
                price,
                shares: self.bid_shares.floor_to_lot(),
            })
            .filter(|side| big_enough(side, market));
        if bid.is_some() || self.ask.is_some() {
            return Ok(Sides { bid, ask: self.ask });
        }
        Err(if !self.has_price {
            NO_QUOTE
        } else if covered {
            COVERED
        } else if self.bid_price.is_some() && self.bid_shares < self.side_shares {
            FULL
        } else {
            cause::TOO_SMALL
        })
    }
}

fn big_enough(side: &QuoteSide, market: &Market) -> bool {
    !side.shares.is_zero() && side.shares >= market.min_size
}

/// What is known of two bids for the outcomes of a market of which nothing is held, whatever their prices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sure {
    /// So many shares each at least.
    pub shares: Shares,
    /// So many may be held of each, whatever is bid for the other.
    may_hold: Shares,
    /// What each comes to at least if it is not cut to that.
    notional: Usdc,
}

impl Sure {
    pub(super) fn new(
        order_size: Usdc,
        max_inventory: Shares,
        max_market_inventory: Shares,
    ) -> Self {
        let half = Shares::from_micros(max_market_inventory.micros() / 2).unwrap_or(Shares::ZERO);
        let may_hold = max_inventory.min(half).floor_to_lot();
        // Whole lots are bid for: a part of one, of up to 1 pUSD a share, is left out.
        let lot = Usdc::from_micros(Shares::LOT.micros());
        Sure {
            shares: Shares::affordable(order_size, Price::ONE).min(may_hold),
            may_hold,
            notional: order_size.minus(lot),
        }
    }
}

/// Two wishes cut down to `room` together: nobody gets less than half of it unless they want less.
fn shared(one: Shares, other: Shares, room: Shares) -> (Shares, Shares) {
    if one.plus(other) <= room {
        return (one, other);
    }
    let half = Shares::from_micros(room.micros() / 2).unwrap_or(Shares::ZERO);
    let cut = |wish: Shares, rival: Shares| wish.min(half.max(room.minus(rival)));
    let one = cut(one, other);
    (one, other.min(room.minus(one)))
}

/// The highest tick at or below `price`; `None` below the first tick.
fn tick_below(price: f64, tick: Price) -> Option<Price> {
    let exact = Price::nearest(price)?;
    Some(exact.floor_to(tick)).filter(|on_tick| *on_tick <= exact)
}

/// The lowest tick at or above `price`; `None` above the last tick.
fn tick_above(price: f64, tick: Price) -> Option<Price> {
    let exact = Price::nearest(price)?;
    Some(exact.ceil_to(tick)).filter(|on_tick| *on_tick >= exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_evenly_and_none_is_left_unused() {
        let share = |one, other, room| {
            let (one, other) = shared(
                Shares::whole(one),
                Shares::whole(other),
                Shares::whole(room),
            );
            (one.to_f64(), other.to_f64())
        };
        assert_eq!(share(30, 40, 100), (30.0, 40.0));
        assert_eq!(share(80, 80, 100), (50.0, 50.0));
        assert_eq!(share(20, 90, 100), (20.0, 80.0));
        assert_eq!(share(90, 20, 100), (80.0, 20.0));
        assert_eq!(share(90, 90, 0), (0.0, 0.0));
    }
}

//! Those who watch the markets of one event together and take what would be a sure profit: a whole
//! set of exclusive outcomes for less than 1, or a later date for less than an earlier one.

use super::super::market::{OutcomeSide, Shape, SimEvent, SimMarket};
use super::super::plant::Plant;
use super::place;
use crate::domain::{Price, Shares, Side, Timestamp};
use crate::sandbox::exchange::{AccountId, Exchange, NewOrder, Quantity, Tif};

/// Each turn removes at least one level; more than this is not left standing at once.
const TURNS: usize = 64;

/// One leg: which of the event's markets, the best price to trade at, what rests there.
type Leg = (usize, Side, Price, Shares);

/// Takes every sure profit in the event's books at `at`. Planted events are left alone.
pub(in crate::sandbox::model) fn sweep(
    exchange: &mut Exchange,
    event: &SimEvent,
    markets: &mut [SimMarket],
    at: Timestamp,
) {
    if markets.iter().any(|market| market.plant != Plant::None) {
        return;
    }
    for _ in 0..TURNS {
        let legs = match event.shape {
            Shape::Lone => return,
            Shape::NegRisk => whole_set(exchange, markets),
            Shape::Ladder => inverted_dates(exchange, markets, at),
        };
        let Some(legs) = legs else { return };
        if !trade(exchange, markets, &legs, at) {
            return;
        }
    }
}

/// The best price that an order on that side meets.
fn touch(exchange: &Exchange, market: &SimMarket, side: Side) -> Option<Price> {
    let (bid, ask) = exchange.best(market.idx(), OutcomeSide::First);
    match side {
        Side::Buy => ask,
        Side::Sell => bid,
    }
}

/// Adds what rests at the best price.
fn leg(exchange: &Exchange, market: &SimMarket, place: usize, side: Side) -> Option<Leg> {
    let (bids, asks) = exchange.depth(market.idx(), OutcomeSide::First);
    let levels = match side {
        Side::Buy => asks,
        Side::Sell => bids,
    };
    levels
        .first()
        .map(|(price, size)| (place, side, *price, *size))
}

/// All Yes outcomes together ask less than 1, or bid more.
fn whole_set(exchange: &Exchange, markets: &[SimMarket]) -> Option<Vec<Leg>> {
    for side in [Side::Buy, Side::Sell] {
        let sum: Option<u64> = markets
            .iter()
            .map(|market| Some(u64::from(touch(exchange, market, side)?.micros())))
            .sum();
        let sure = sum.is_some_and(|sum| match side {
            Side::Buy => sum < 1_000_000,
            Side::Sell => sum > 1_000_000,
        });
        if sure {
            return markets
                .iter()
                .enumerate()
                .map(|(place, market)| leg(exchange, market, place, side))
                .collect();
        }
    }
    None
}

/// A later date asks less than an earlier one bids.
fn inverted_dates(exchange: &Exchange, markets: &[SimMarket], at: Timestamp) -> Option<Vec<Leg>> {
    let mut highest: Option<(usize, Price)> = None;
    for (place, market) in markets.iter().enumerate() {
        if !market.is_open(at) {
            continue;
        }
        if let (Some((earlier, bid)), Some(ask)) = (highest, touch(exchange, market, Side::Buy))
            && ask < bid
        {
            let sold = markets.get(earlier)?;
            return Some(vec![
                leg(exchange, market, place, Side::Buy)?,
                leg(exchange, sold, earlier, Side::Sell)?,
            ]);
        }
        if let Some(bid) = touch(exchange, market, Side::Sell)
            && highest.is_none_or(|(_, other)| bid > other)
        {
            highest = Some((place, bid));
        }
    }
    None
}

/// Trades as many shares of each leg as the thinnest one has; false when nothing could be traded.
fn trade(exchange: &mut Exchange, markets: &mut [SimMarket], legs: &[Leg], at: Timestamp) -> bool {
    let Some(thinnest) = legs.iter().map(|(_, _, _, size)| *size).min() else {
        return false;
    };
    let mut traded = false;
    for (number, side, price, _) in legs {
        let Some(market) = markets.get_mut(*number) else {
            continue;
        };
        // A BUY below 1 pUSD is refused, and so are hundredths of hundredths.
        let least = (105.0 / price.to_f64().max(1e-3)).ceil() as i64 * 10_000;
        let lots = (thinnest.micros().max(least) + 9_999) / 10_000 * 10_000;
        let Ok(shares) = Shares::from_micros(lots) else {
            continue;
        };
        let order = NewOrder {
            account: AccountId::CROWD,
            market: market.idx(),
            outcome: OutcomeSide::First,
            side: *side,
            price: *price,
            quantity: Quantity::Shares(shares),
            tif: Tif::Fak,
            post_only: false,
            at,
        };
        traded |= place(exchange, market, order).is_ok();
    }
    traded
}

//! Those who trade: noise, and the informed.

use super::super::market::OutcomeSide;
use super::super::plant::Plant;
use super::super::quote;
use super::Floor;
use crate::domain::{Side, Timestamp};
use crate::sandbox::exchange::Tif;

/// Spread of the sizes of noise trades, in logarithms: a heavy tail.
const SIGMA: f64 = 1.3;
/// How far noise takers follow the book, in price.
const PATIENCE: f64 = 0.02;
/// Most shares that noise takes from a planted market, whose quotes are to stay what they are.
const PLANTED_MOST: f64 = 60.0;
const MOST: f64 = 100_000.0;

impl Floor<'_> {
    fn outcome(&mut self) -> OutcomeSide {
        // Most people trade the first outcome.
        if self.market.crowd.random.unit() < 0.65 {
            OutcomeSide::First
        } else {
            OutcomeSide::Second
        }
    }

    fn side(&mut self) -> Side {
        if self.market.crowd.random.unit() < 0.5 {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    /// Shares for so many pUSD at a price; enough to be accepted.
    fn shares_for(&self, amount: f64, price: f64) -> f64 {
        let most = if self.market.plant == Plant::None {
            MOST
        } else {
            PLANTED_MOST
        };
        let price = price.max(1e-3);
        // A BUY below 1 pUSD is refused.
        (amount / price).clamp(5.0, most).max(1.05 / price)
    }

    /// Somebody without an opinion of value buys or sells at what is there.
    pub(super) fn noise_takes(&mut self) {
        let (outcome, side) = (self.outcome(), self.side());
        let typical = self.market.crowd.typical_trade(self.market.daily_volume);
        let luck = self.market.crowd.random.normal();
        let amount = typical * (SIGMA * luck - 0.5 * SIGMA * SIGMA).exp();
        let ticks = self.market.ticks();
        let far = if self.market.plant == Plant::None {
            (PATIENCE * f64::from(ticks)) as u32
        } else {
            0
        };
        let (bid, ask) = self.best(outcome);
        let (touch, limit) = match (side, bid, ask) {
            (Side::Buy, _, Some(ask)) => (ask, (ask + far).min(ticks - 1)),
            (Side::Sell, Some(bid), _) => (bid, bid.saturating_sub(far).max(1)),
            _ => return,
        };
        let shares = self.shares_for(amount, f64::from(touch) / f64::from(ticks));
        self.send((outcome, side), limit, shares, Tif::Fak, false);
    }

    /// Somebody leaves an order, at or behind the best price or a step inside the spread, never
    /// on the wrong side of the latent price: it is no present to anybody when it is placed.
    pub(super) fn noise_rests(&mut self) {
        let side = self.side();
        let ticks = self.market.ticks();
        let fair = quote::centre(self.market, self.event, self.at) * f64::from(ticks);
        let (bid, ask) = self.best(OutcomeSide::First);
        let reach = (ticks / 50).max(2) as usize;
        let behind = self.market.crowd.random.index(reach + 1) as u32;
        let step = match (side, bid, ask) {
            (Side::Buy, Some(bid), _) => (bid + 1)
                .saturating_sub(behind)
                .min(fair.floor().max(0.0) as u32),
            (Side::Sell, _, Some(ask)) => (ask - 1)
                .saturating_add(behind)
                .max(fair.ceil().max(0.0) as u32),
            _ => return,
        };
        if step < 1 || step >= ticks {
            return;
        }
        let typical = (self.market.liquidity / 400.0).clamp(10.0, 1_500.0);
        let luck = self.market.crowd.random.normal();
        let shares = (typical * luck.exp()).clamp(5.0, MOST);
        let stay = self.market.crowd.pace * self.market.crowd.random.between(10.0, 60.0);
        let until = self.at.plus_millis(stay as i64);
        let what = (OutcomeSide::First, side);
        if let Some(placed) = self.send(what, step, shares, Tif::Gtc, true) {
            self.keep(until, placed.order);
        }
    }

    /// Remembers an order that is to be taken back, in the order of its moment.
    fn keep(&mut self, until: Timestamp, order: crate::sandbox::exchange::OrderNo) {
        let loose = &mut self.market.crowd.loose;
        let place = loose.partition_point(|(other, _)| *other <= until);
        loose.insert(place, (until, order));
    }

    /// Somebody who knows the latent probability takes every quote that is worth more than its
    /// price and fee.
    pub(super) fn informed(&mut self) {
        let ticks = self.market.ticks();
        let scale = f64::from(ticks);
        let fair = quote::centre(self.market, self.event, self.at);
        let fee = self.market.fee.schedule.per_share(fair);
        let (bid, ask) = self.best(OutcomeSide::First);
        let (buy_up_to, sell_down_to) = (
            ((fair - fee) * scale).floor().max(0.0) as u32,
            ((fair + fee) * scale).ceil() as u32,
        );
        let typical = self.market.crowd.typical_trade(self.market.daily_volume);
        let (side, step) = if ask.is_some_and(|ask| ask < buy_up_to) {
            (Side::Buy, buy_up_to)
        } else if bid.is_some_and(|bid| bid > sell_down_to) {
            (Side::Sell, sell_down_to)
        } else {
            return;
        };
        if step < 1 || step >= ticks {
            return;
        }
        let shares = self.shares_for(3.0 * typical, f64::from(step) / scale);
        let what = (OutcomeSide::First, side);
        self.send(what, step, shares, Tif::Fak, false);
    }
}

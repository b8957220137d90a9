//! The crowd of one market: makers that quote, noise traders, informed traders. They come at random
//! moments and place and cancel real orders in the exchange.
//!
//! Nobody in the crowd counts profits. What keeps prices fair is that makers quote around what they
//! believe, that a maker with news takes what others have left standing, and that informed traders
//! trade towards the latent probability wherever a quote is worth more than its fee.

mod arbitrage;
mod makers;
mod takers;

use std::collections::VecDeque;

pub(super) use arbitrage::sweep;
use makers::Maker;

use super::market::{OutcomeSide, SimEvent, SimMarket};
use super::plant::Plant;
use super::quote;
use crate::domain::{Price, Shares, Side, Timestamp};
use crate::sandbox::exchange::{AccountId, Exchange, NewOrder, OrderNo, Placed, Quantity, Tif};
use crate::sandbox::noise::Stream;

/// Parts of all arrivals: makers, noise takers, noise orders that rest; the others are informed.
const MAKERS: f64 = 0.35;
const TAKERS: f64 = 0.4;
const RESTERS: f64 = 0.15;
/// Mean time between arrivals in a market that trades 10,000 pUSD a day, milliseconds.
const PACE: f64 = 120_000.0;
const FASTEST: f64 = 15_000.0;
const SLOWEST: f64 = 600_000.0;
const DAY: f64 = 86_400_000.0;
/// The venue changes to this step, in micro-units, once a price is beyond 0.96 or below 0.04.
const FINE_TICK: u32 = 1_000;
const EDGE: f64 = 0.04;

/// Who trades in one market, and when somebody comes next.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Crowd {
    random: Stream,
    /// Mean milliseconds between arrivals.
    pace: f64,
    next: Timestamp,
    makers: Vec<Maker>,
    /// Resting orders of noise traders, and when each is taken back.
    loose: VecDeque<(Timestamp, OrderNo)>,
}

impl Crowd {
    /// Mean milliseconds between arrivals: shorter where more is traded or less time is left.
    pub(super) fn pace(daily_volume: f64, lasts: i64, planted: bool) -> f64 {
        let busy = (10_000.0 / daily_volume.max(1.0)).sqrt();
        let urgent = if planted {
            1.0
        } else {
            (lasts as f64 / (5.0 * DAY)).sqrt().clamp(0.35, 1.0)
        };
        (PACE * busy * urgent).clamp(FASTEST, SLOWEST)
    }

    /// A crowd with that pace. A planted market has one maker, whose quotes are what was planted.
    pub(super) fn new(random: Stream, pace: f64, planted: bool) -> Self {
        let count = match (planted, pace < PACE / 2.0) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 2,
        };
        Crowd {
            random,
            pace,
            next: Timestamp::from_millis(i64::MAX),
            makers: (0..count).map(Maker::new).collect(),
            loose: VecDeque::new(),
        }
    }

    /// Mean pUSD of one noise trade, so that a day's trades make the day's volume.
    fn typical_trade(&self, daily_volume: f64) -> f64 {
        daily_volume / (DAY / self.pace * TAKERS)
    }

    /// When somebody comes next.
    pub(super) fn next(&self) -> Timestamp {
        self.next
    }

    /// The arrival after `at`.
    fn schedule(&mut self, at: Timestamp) {
        let wait = -(1.0 - self.random.unit()).ln() * self.pace;
        self.next = at.plus_millis((wait as i64).max(1));
    }
}

/// One market's floor at one moment.
pub(super) struct Floor<'a> {
    pub seed: u64,
    pub exchange: &'a mut Exchange,
    pub event: &'a SimEvent,
    pub market: &'a mut SimMarket,
    pub at: Timestamp,
}

impl Floor<'_> {
    /// Everybody comes at once and starts from an empty floor: at an opening, and after a stretch
    /// of time that was not simulated.
    pub(super) fn open(&mut self) {
        let idx = self.market.idx();
        drop(
            self.exchange
                .cancel_all(AccountId::CROWD, Some(idx), None, self.at),
        );
        self.market.crowd.loose.clear();
        for maker in &mut self.market.crowd.makers {
            maker.forget();
        }
        self.check_tick(quote::centre(self.market, self.event, self.at));
        self.everybody();
        self.market.crowd.schedule(self.at);
    }

    /// All makers quote anew.
    pub(super) fn everybody(&mut self) {
        for number in 0..self.market.crowd.makers.len() {
            self.quote(number);
        }
    }

    /// Somebody comes.
    pub(super) fn arrival(&mut self) {
        self.take_back();
        let who = self.market.crowd.random.unit();
        if who < MAKERS {
            let count = self.market.crowd.makers.len();
            let number = self.market.crowd.random.index(count);
            self.quote(number);
        } else if who < MAKERS + TAKERS {
            self.noise_takes();
            if self.market.plant != Plant::None {
                self.everybody();
            }
        } else if self.market.plant == Plant::None {
            // What was planted stays as planted: nobody rests inside it or trades it away.
            if who < MAKERS + TAKERS + RESTERS {
                self.noise_rests();
            } else {
                self.informed();
            }
        }
        if let Some(mid) = mid(self.exchange, self.market) {
            self.check_tick(mid);
        }
        self.market.crowd.schedule(self.at);
    }

    /// Takes back the noise orders whose time has come.
    fn take_back(&mut self) {
        while let Some((until, order)) = self.market.crowd.loose.front().copied() {
            if until > self.at {
                break;
            }
            self.market.crowd.loose.pop_front();
            // Gone already when it was filled.
            let _ = self.exchange.cancel(order, self.at);
        }
    }

    /// Changes to the finer step near the ends; there is no way back.
    fn check_tick(&mut self, mid: f64) {
        if self.market.tick <= FINE_TICK || (EDGE..=1.0 - EDGE).contains(&mid) {
            return;
        }
        if let Ok(tick) = Price::from_micros(FINE_TICK) {
            self.exchange.set_tick(self.market.idx(), tick, self.at);
            self.market.tick = FINE_TICK;
        }
    }

    /// Sends an order; `None` when the exchange refuses it, as it does a FAK that finds nothing.
    fn send(
        &mut self,
        (outcome, side): (OutcomeSide, Side),
        step: u32,
        shares: f64,
        tif: Tif,
        post_only: bool,
    ) -> Option<Placed> {
        let price = Price::from_micros(step.checked_mul(self.market.tick)?).ok()?;
        let shares = Shares::from_micros((shares * 100.0).round() as i64 * 10_000).ok()?;
        let order = NewOrder {
            account: AccountId::CROWD,
            market: self.market.idx(),
            outcome,
            side,
            price,
            quantity: Quantity::Shares(shares),
            tif,
            post_only,
            at: self.at,
        };
        place(self.exchange, self.market, order).ok()
    }

    /// Best bid and ask of an outcome in price steps.
    fn best(&self, outcome: OutcomeSide) -> (Option<u32>, Option<u32>) {
        let (bid, ask) = self.exchange.best(self.market.idx(), outcome);
        let tick = self.market.tick.max(1);
        let steps = |price: Option<Price>| price.map(|price| price.micros() / tick);
        (steps(bid), steps(ask))
    }
}

/// Places an order and keeps its matches on the market's tape.
pub(super) fn place(
    exchange: &mut Exchange,
    market: &mut SimMarket,
    order: NewOrder,
) -> Result<Placed, crate::sandbox::exchange::Refusal> {
    let placed = exchange.place(order)?;
    for fill in exchange.fills() {
        let what = (order.outcome, order.side);
        market.tape.print(order.at, what, fill.price, fill.size);
    }
    Ok(placed)
}

/// Midpoint of the first outcome's book; `None` when a side is empty.
pub(super) fn mid(exchange: &Exchange, market: &SimMarket) -> Option<f64> {
    let (bid, ask) = exchange.best(market.idx(), OutcomeSide::First);
    Some((bid?.to_f64() + ask?.to_f64()) / 2.0)
}

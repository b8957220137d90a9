//! The simulated world: what exists, where it stands, how it moves. No I/O and no clock of its own.

mod advance;
mod build;
mod crowd;
mod history;
mod lifecycle;
mod market;
mod naming;
mod plans;
mod plant;
mod process;
mod quote;
mod tape;
mod wallets;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

pub(super) use history::INTERVAL as HISTORY_INTERVAL;
pub(super) use lifecycle::Phase;
pub(super) use market::{Category, OutcomeSide, Shape, SimEvent, SimMarket, Version};
pub(super) use naming::{book_hash, wallet as wallet_address};
pub use plant::{Planted, PlantedKind};
pub(super) use tape::Print;
pub(super) use wallets::{Holding, Wallet};

use super::config::{SandboxConfig, SandboxError};
use super::exchange::{
    Change, Exchange, LastTrade, Levels, NewOrder, NotCanceled, OrderNo, Placed, Refusal,
};
use crate::domain::{Price, Timestamp};

/// Latent probabilities move once a simulated minute.
const GRID: i64 = 60_000;
/// Days of price history before the start.
const HISTORY_DAYS: i64 = 30;
/// A world ends up with at most so many times the markets it began with, ended ones counted, or so
/// many if that is more.
const GROWTH: usize = 8;
const ROOM: usize = 50_000;

/// Everything there is, at one simulated moment.
#[derive(Debug)]
pub(super) struct World {
    pub seed: u64,
    pub start: Timestamp,
    pub now: Timestamp,
    pub events: Vec<SimEvent>,
    pub markets: Vec<SimMarket>,
    pub wallets: Vec<Wallet>,
    /// Books, accounts, orders and trades. Agents' orders go through [`World::place`], which keeps
    /// the tape.
    pub exchange: Exchange,
    /// Closings, payouts and openings to come, by moment and event; some have been overtaken.
    agenda: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// When something happens next in each event.
    due: Vec<Timestamp>,
    factory: build::Factory,
    most_markets: usize,
    by_token: HashMap<String, (usize, OutcomeSide)>,
    by_condition: HashMap<String, usize>,
}

impl World {
    /// Makes a world with a month of history. Errors: values out of range.
    pub(super) fn new(config: &SandboxConfig) -> Result<Self, SandboxError> {
        Self::with_history(config, HISTORY_DAYS)
    }

    /// Makes a world with so many days of history.
    pub(super) fn with_history(config: &SandboxConfig, days: i64) -> Result<Self, SandboxError> {
        config.check()?;
        let mut factory = build::Factory::new(config, days);
        let made = factory.first(config)?;
        let mut world = World {
            seed: config.seed,
            start: config.start,
            now: config.start,
            events: Vec::with_capacity(made.len()),
            markets: Vec::with_capacity(config.markets),
            wallets: Vec::new(),
            exchange: Exchange::new(),
            agenda: BinaryHeap::new(),
            due: vec![config.start; made.len()],
            factory,
            most_markets: (config.markets * GROWTH).max(ROOM),
            by_token: HashMap::with_capacity(2 * config.markets),
            by_condition: HashMap::with_capacity(config.markets),
        };
        for (event, markets) in made {
            let opened = event.opened;
            world.add(event, markets, opened);
        }
        world.bring_to_start();
        world.wallets = wallets::build(config.seed, &world.markets, config.start);
        Ok(world)
    }

    /// Lets time pass.
    pub(super) fn step(&mut self, millis: u64) {
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        self.advance_to(self.now.plus_millis(millis));
    }

    /// An agent's order, at the present moment. Errors: why the exchange refuses it.
    pub(super) fn place(&mut self, order: NewOrder) -> Result<Placed, Refusal> {
        let index = order.market.0 as usize;
        let market = self.markets.get_mut(index).ok_or(Refusal::UnknownMarket)?;
        crowd::place(&mut self.exchange, market, order)
    }

    /// Takes an agent's order out of the book, at the present moment.
    pub(super) fn cancel(&mut self, order: OrderNo) -> Result<(), NotCanceled> {
        self.exchange.cancel(order, self.now)
    }

    /// Reports what happens in a market from now on, or one time less: as often as it was asked
    /// for, it must be given back.
    pub(super) fn watch(&mut self, index: usize, on: bool) {
        let Some(market) = self.markets.get_mut(index) else {
            return;
        };
        market.watchers = if on {
            market.watchers.saturating_add(1)
        } else {
            market.watchers.saturating_sub(1)
        };
        self.exchange.watch(market.idx(), market.watchers > 0);
    }

    /// What changed in watched markets and accounts since the last call, in the order of time.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = self.exchange.take_changes();
        // Events are advanced one after the other; within one, order is kept.
        changes.sort_by_key(|change| change.at);
        changes
    }

    /// The event that a market belongs to.
    pub(super) fn event_of(&self, market: &SimMarket) -> Option<&SimEvent> {
        self.events.get(market.event)
    }

    /// Every market with its event, in the order of their ids.
    pub(super) fn all(&self) -> impl Iterator<Item = (&SimMarket, &SimEvent)> {
        self.markets
            .iter()
            .filter_map(|market| Some((market, self.event_of(market)?)))
    }

    /// The markets of an event.
    pub(super) fn markets_of(&self, event: &SimEvent) -> &[SimMarket] {
        self.markets.get(event.markets.clone()).unwrap_or_default()
    }

    /// The market with this condition id, which must be padded to 64 hex digits.
    pub(super) fn by_condition(&self, condition: &str) -> Option<(&SimMarket, &SimEvent)> {
        let market = self.markets.get(*self.by_condition.get(condition)?)?;
        Some((market, self.event_of(market)?))
    }

    /// The market and outcome of a token id.
    pub(super) fn by_token(&self, token: &str) -> Option<(&SimMarket, &SimEvent, OutcomeSide)> {
        let (index, side) = *self.by_token.get(token)?;
        let market = self.markets.get(index)?;
        Some((market, self.event_of(market)?, side))
    }

    /// What a share of this token pays, or will pay on average.
    pub(super) fn worth(&self, token: &str) -> Option<f64> {
        let (market, event, side) = self.by_token(token)?;
        let [first, second] = match market.payouts {
            Some(payouts) => payouts.map(|micros| f64::from(micros) / 1e6),
            None => {
                let first = event.latent(market.member);
                [first, 1.0 - first]
            }
        };
        Some(match side {
            OutcomeSide::First => first,
            OutcomeSide::Second => second,
        })
    }

    /// Best bid and ask of one outcome; `None` once trading has ended.
    pub(super) fn best(
        &self,
        market: &SimMarket,
        side: OutcomeSide,
    ) -> Option<(Option<Price>, Option<Price>)> {
        market
            .is_open(self.now)
            .then(|| self.exchange.best(market.idx(), side))
    }

    /// Bids and asks of one outcome, best first; `None` once trading has ended.
    pub(super) fn book(&self, market: &SimMarket, side: OutcomeSide) -> Option<(Levels, Levels)> {
        market
            .is_open(self.now)
            .then(|| self.exchange.depth(market.idx(), side))
    }

    /// Midpoint of one outcome's book; `None` when a side is empty or trading has ended.
    pub(super) fn mid(&self, market: &SimMarket, side: OutcomeSide) -> Option<f64> {
        let (bid, ask) = self.best(market, side)?;
        Some((bid?.to_f64() + ask?.to_f64()) / 2.0)
    }

    /// Prices of both outcomes: payouts once resolved; before, the midpoint, or the last recorded
    /// one when there is none.
    pub(super) fn prices(&self, market: &SimMarket) -> [f64; 2] {
        if market.phase(self.now) == Phase::Resolved
            && let Some([first, second]) = market.payouts
        {
            return [f64::from(first) / 1e6, f64::from(second) / 1e6];
        }
        match self.mid(market, OutcomeSide::First) {
            Some(mid) => {
                let first = round4(mid);
                [first, round4(1.0 - first)]
            }
            None => market.last_prices(),
        }
    }

    /// The most recent trade.
    pub(super) fn last_trade(&self, market: &SimMarket) -> Option<LastTrade> {
        self.exchange.last_trade(market.idx())
    }

    /// When a market's book last changed.
    pub(super) fn changed_at(&self, market: &SimMarket) -> Timestamp {
        self.exchange.changed_at(market.idx()).unwrap_or(self.now)
    }

    /// pUSD traded until now.
    pub(super) fn volume(&self, market: &SimMarket) -> f64 {
        advance::volume(&self.exchange, market)
    }

    /// pUSD traded in the last 24 hours, to the hour; none once trading has ended.
    pub(super) fn volume_24h(&self, market: &SimMarket) -> f64 {
        if market.is_open(self.now) {
            market.tape.day(self.volume(market))
        } else {
            0.0
        }
    }

    /// What was planted, event by event.
    pub(super) fn planted(&self) -> Vec<Planted> {
        let mut list = Vec::new();
        for event in &self.events {
            let markets = self.markets_of(event);
            let Some(first) = markets.first() else {
                continue;
            };
            let (Some(kind), Some(note)) = (first.plant.kind(), first.plant.note()) else {
                continue;
            };
            list.push(Planted {
                kind,
                event_id: event.id.to_string(),
                market_ids: markets.iter().map(|market| market.id.to_string()).collect(),
                token_ids: markets.iter().flat_map(|m| m.tokens.clone()).collect(),
                note: note.to_owned(),
                probability: (kind == PlantedKind::Estimate)
                    .then(|| round4(event.latent(first.member))),
            });
        }
        list
    }
}

/// Rounds to four decimals, as fine as half a tick of 0.001 needs.
pub(super) fn round4(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests;

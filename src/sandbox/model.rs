//! The simulated world: what exists, where it stands, how it moves. No I/O and no clock of its own.

mod build;
mod history;
mod market;
mod naming;
mod plant;
mod process;
mod quote;
mod wallets;

use std::collections::HashMap;

pub(super) use history::INTERVAL as HISTORY_INTERVAL;
pub(super) use market::{OutcomeSide, Phase, SimEvent, SimMarket, Version};
pub(super) use naming::book_hash;
pub use plant::{Planted, PlantedKind};
pub(super) use quote::{Levels, Quotes, SideQuote};
pub(super) use wallets::{Holding, Wallet};

use super::config::{SandboxConfig, SandboxError};
use super::exchange::{Exchange, MarketTerms};
use crate::domain::{MoneyError, Price, Shares, Timestamp};

/// Latent probabilities move once a simulated minute.
const GRID: i64 = 60_000;
/// Days of price history before the start.
const HISTORY_DAYS: i64 = 30;

/// Everything there is, at one simulated moment.
#[derive(Debug)]
pub(super) struct World {
    pub seed: u64,
    pub start: Timestamp,
    pub now: Timestamp,
    pub events: Vec<SimEvent>,
    pub markets: Vec<SimMarket>,
    pub wallets: Vec<Wallet>,
    /// Books, accounts and orders, with the same indices as `markets`.
    pub exchange: Exchange,
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
        let mut builder = build::Builder::new(config, days);
        builder.build()?;
        let (events, markets) = (builder.events, builder.markets);
        let mut world = World {
            seed: config.seed,
            start: config.start,
            now: config.start,
            by_token: build::token_index(&markets),
            by_condition: markets
                .iter()
                .map(|market| (market.condition_id.clone(), market.index))
                .collect(),
            exchange: exchange_of(&markets, config.start)?,
            events,
            markets,
            wallets: Vec::new(),
        };
        world.advance_to(config.start);
        world.wallets = wallets::build(config.seed, &world.markets, config.start);
        Ok(world)
    }

    /// Lets time pass. The result depends on the moment reached, not on how many steps led there.
    pub(super) fn step(&mut self, millis: u64) {
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        self.advance_to(self.now.plus_millis(millis));
    }

    fn advance_to(&mut self, now: Timestamp) {
        self.now = now;
        for event in &mut self.events {
            let stop = now.min(event.end);
            loop {
                // Ten minutes a step through the past, one minute from the start on.
                let started = event.at >= self.start;
                let pace = if started { GRID } else { history::INTERVAL };
                let millis = (event.at.millis().div_euclid(pace) + 1) * pace;
                let mut next = Timestamp::from_millis(millis);
                if !started {
                    next = next.min(self.start);
                }
                if next > stop {
                    break;
                }
                event.process.advance(event.at, next, started);
                event.at = next;
                if next.millis() % history::INTERVAL == 0 {
                    for market in self
                        .markets
                        .get_mut(event.markets.clone())
                        .unwrap_or_default()
                    {
                        let mid = quote::recorded_mid(self.seed, market, event, next);
                        market.history.push(mid);
                    }
                }
            }
            if now >= event.end && event.drawn.is_none() {
                event.drawn = Some(event.process.draw());
            }
        }
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

    /// Best quotes of an open market; `None` once trading has ended.
    pub(super) fn quotes(&self, market: &SimMarket, event: &SimEvent) -> Option<Quotes> {
        (event.phase(self.now) == Phase::Open)
            .then(|| quote::quotes(self.seed, market, event, self.now))
    }

    /// Bids and asks of one outcome, best first; `None` once trading has ended.
    pub(super) fn book(
        &self,
        market: &SimMarket,
        event: &SimEvent,
        side: OutcomeSide,
    ) -> Option<(Levels, Levels)> {
        (event.phase(self.now) == Phase::Open)
            .then(|| quote::book(self.seed, market, event, side, self.now))
    }

    /// Prices of both outcomes: payouts once resolved, midpoints before.
    pub(super) fn prices(&self, market: &SimMarket, event: &SimEvent) -> [f64; 2] {
        if event.phase(self.now) == Phase::Resolved
            && let Some([first, second]) = event.payouts(market.member)
        {
            return [f64::from(first) / 1e6, f64::from(second) / 1e6];
        }
        let first = quote::recorded_mid(self.seed, market, event, self.now.min(event.end));
        let first = round4(first);
        [first, round4(1.0 - first)]
    }

    /// pUSD traded until now.
    pub(super) fn volume(&self, market: &SimMarket, event: &SimEvent) -> f64 {
        let days = self.now.min(event.end).since(self.start) as f64 / 86_400_000.0;
        market.volume_before + market.volume_24h * days.max(0.0)
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

/// An exchange with every market's terms and empty books.
fn exchange_of(markets: &[SimMarket], at: Timestamp) -> Result<Exchange, MoneyError> {
    let mut exchange = Exchange::new();
    for market in markets {
        exchange.add_market(
            MarketTerms {
                tick: Price::from_micros(market.tick)?,
                min_size: Shares::whole(5),
                fee: market.fee.schedule,
                linked: market.plant.kind().is_none(),
                accepting: true,
            },
            at,
        );
    }
    Ok(exchange)
}

/// Rounds to four decimals, as fine as half a tick of 0.001 needs.
pub(super) fn round4(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests;

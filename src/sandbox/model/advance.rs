//! How time passes: what is due happens in the order of time, event by event.
//!
//! Events do not touch each other, so each is advanced by itself; only openings, closings and
//! payouts are taken in the order of time across all of them. Whoever looks changes nothing: the
//! same seed, the same moments asked for and the same orders of agents give the same exchange.
//!
//! A single step over more than [`SKIPPED`] leaves out the crowd's orders of all but its last hour
//! in events that nobody watches and where no agent's order rests: the latent probabilities go their
//! way minute by minute, price histories and volumes go on at what is to be expected, and the books
//! are made anew before the last hour.

use std::cmp::Reverse;

use super::crowd::{self, Floor};
use super::history;
use super::market::{Shape, SimEvent, SimMarket};
use super::{GRID, World, quote};
use crate::domain::Timestamp;
use crate::sandbox::exchange::{Exchange, MarketState, MarketTerms};
use crate::sandbox::noise::{mix, normal_of};

const HOUR: i64 = 3_600_000;
const WEEK: i64 = 7 * 24 * HOUR;
/// Longest step that is simulated order by order everywhere.
const SKIPPED: i64 = 6 * HOUR;
/// What is simulated order by order before the present.
const RECENT: i64 = HOUR;
/// The same before the start: long enough for last trades and books with a past.
const WARM_UP: i64 = 20 * 60_000;
/// Spread of the volume of an hour that is not simulated, in logarithms.
const UNEVEN: f64 = 0.5;
/// The market that follows one that has ended opens after so many milliseconds, and up to as many more.
const GAP: i64 = 20 * 60_000;

impl World {
    /// Everything up to `now`, which must not be before the present.
    pub(in crate::sandbox) fn advance_to(&mut self, now: Timestamp) {
        let now = now.max(self.now);
        let whole = if now.since(self.now) > SKIPPED {
            now.plus_millis(-RECENT)
        } else {
            Timestamp::from_millis(i64::MIN)
        };
        while let Some(Reverse((time, event))) = self.agenda.peek().copied() {
            if time > now {
                break;
            }
            self.agenda.pop();
            self.run(event, time, whole);
            self.milestones(event, time);
        }
        for event in 0..self.events.len() {
            if self.due.get(event).is_some_and(|due| *due <= now) {
                self.run(event, now, whole);
            }
        }
        self.now = now;
    }

    /// Brings a new world from the beginning of its histories to its start.
    pub(super) fn bring_to_start(&mut self) {
        let whole = self.start.plus_millis(-WARM_UP);
        for event in 0..self.events.len() {
            self.run(event, self.start, whole);
        }
    }

    /// One event up to `to`; its crowd's orders before `whole` are left out, unless it is live.
    fn run(&mut self, number: usize, to: Timestamp, whole: Timestamp) {
        let (Some(event), Some(due)) = (self.events.get_mut(number), self.due.get_mut(number))
        else {
            return;
        };
        let Some(markets) = self.markets.get_mut(event.markets.clone()) else {
            return;
        };
        let mut group = Group {
            seed: self.seed,
            start: self.start,
            exchange: &mut self.exchange,
            event,
            markets,
        };
        if group.event.flow_at < whole && !group.is_live() {
            group.skip_to(whole.min(to));
            if to < whole {
                // The books stay as they are, out of date, until the rest has been passed over.
                *due = group.next();
                return;
            }
            group.open_floors(whole);
        }
        group.flow_to(to);
        *due = group.next();
    }

    /// Closings, payouts and successions of one event that are due at `time`.
    fn milestones(&mut self, number: usize, time: Timestamp) {
        self.close_due(number, time);
        let Some(event) = self.events.get_mut(number) else {
            return;
        };
        for market in self
            .markets
            .get_mut(event.markets.clone())
            .unwrap_or_default()
        {
            if market.schedule.resolves() == time
                && let Some(payouts) = market.payouts
                && self.exchange.state(market.idx()) == Some(MarketState::Closed)
                && let Err(error) = self.exchange.settle(market.idx(), payouts, time)
            {
                tracing::error!(%error, market = market.id, "a simulated market did not settle");
            }
        }
        if event.heir_at == Some(time) {
            // Once: other things may be due at the same moment.
            event.heir_at = Some(Timestamp::from_millis(i64::MAX));
            let (shape, size) = (event.shape, event.markets.len());
            self.succeed(shape, size, time);
        }
    }

    /// Ends trading where it is due, and draws what has become known.
    fn close_due(&mut self, number: usize, time: Timestamp) {
        let Some(event) = self.events.get_mut(number) else {
            return;
        };
        let Some(markets) = self.markets.get_mut(event.markets.clone()) else {
            return;
        };
        let ends = |market: &SimMarket| market.payouts.is_none() && market.schedule.closes <= time;
        let Some(first) = markets.iter().position(ends) else {
            return;
        };
        let pays: Vec<(usize, [u32; 2])> = match event.shape {
            Shape::Lone => {
                let pays = match event.process.draw() {
                    0 => [1_000_000, 0],
                    1 => [0, 1_000_000],
                    _ => [500_000, 500_000],
                };
                vec![(0, pays)]
            }
            Shape::NegRisk => {
                let winner = event.process.draw();
                let pays = |member| {
                    if member == winner {
                        [1_000_000, 0]
                    } else {
                        [0, 1_000_000]
                    }
                };
                (0..markets.len())
                    .map(|member| (member, pays(member)))
                    .collect()
            }
            // Once it has happened by one date, it has happened by all later ones.
            Shape::Ladder => {
                if event.process.reveal(first) {
                    let rest = first..markets.len();
                    rest.map(|member| (member, [1_000_000, 0])).collect()
                } else {
                    vec![(first, [0, 1_000_000])]
                }
            }
        };
        for (member, payouts) in pays {
            let Some(market) = markets.get_mut(member) else {
                continue;
            };
            market.last_mid = crowd::mid(&self.exchange, market).unwrap_or(market.last_mid);
            market.payouts = Some(payouts);
            market.schedule.close_early(time);
            self.exchange.close(market.idx(), time);
            self.agenda
                .push(Reverse((market.schedule.resolves(), number)));
        }
        let last = markets.iter().map(|market| market.schedule.closes).max();
        event.closes = last.unwrap_or(event.closes);
        if event.closes <= time && event.heir_at.is_none() {
            let extra = mix(&[self.seed, number as u64, 0x6A9]) % GAP.unsigned_abs();
            let opens = time.plus_millis(GAP + extra as i64 / 60_000 * 60_000);
            event.heir_at = Some(opens);
            self.agenda.push(Reverse((opens, number)));
        }
    }

    /// Opens an event in the place of one that has ended, unless the world is full.
    fn succeed(&mut self, shape: Shape, size: usize, time: Timestamp) {
        if self.markets.len() + size > self.most_markets {
            return;
        }
        match self.factory.heir(shape, size, time) {
            Ok((event, markets)) => {
                let number = self.events.len();
                self.add(event, markets, time);
                if let Some(event) = self.events.get_mut(number)
                    && let Some(markets) = self.markets.get_mut(event.markets.clone())
                {
                    let mut group = Group {
                        seed: self.seed,
                        start: self.start,
                        exchange: &mut self.exchange,
                        event,
                        markets,
                    };
                    group.open_floors(time);
                    let due = group.next();
                    self.due.push(due);
                }
            }
            Err(error) => tracing::error!(%error, "no market follows one that has ended"),
        }
    }

    /// Adds an event and its markets to the lists and to the exchange, but not to those that are due.
    pub(super) fn add(&mut self, event: SimEvent, markets: Vec<SimMarket>, at: Timestamp) {
        let number = self.events.len();
        for market in markets {
            let terms = MarketTerms {
                tick: crate::domain::Price::from_micros(market.tick)
                    .unwrap_or(crate::domain::Price::ONE),
                min_size: crate::domain::Shares::whole(5),
                fee: market.fee.schedule,
                linked: !matches!(market.plant, super::plant::Plant::CheapPair(_)),
                accepting: true,
            };
            let idx = self.exchange.add_market(terms, at);
            debug_assert_eq!(idx, market.idx(), "markets are numbered alike");
            self.by_token.extend(super::build::tokens_of(&market));
            self.by_condition
                .insert(market.condition_id.clone(), market.index);
            self.agenda.push(Reverse((market.schedule.closes, number)));
            self.markets.push(market);
        }
        self.events.push(event);
    }
}

/// One event with its markets, and the exchange they trade on.
struct Group<'a> {
    seed: u64,
    start: Timestamp,
    exchange: &'a mut Exchange,
    event: &'a mut SimEvent,
    markets: &'a mut [SimMarket],
}

impl Group<'_> {
    /// True when every moment counts, because somebody looks on or has an order in a book.
    fn is_live(&self) -> bool {
        self.markets
            .iter()
            .any(|market| market.watchers > 0 || self.exchange.has_agent_orders(market.idx()))
    }

    /// When the latent probabilities move next: every minute, through the week before the start
    /// every ten, every hour before that; `None` once nothing is open.
    fn next_move(&self) -> Option<Timestamp> {
        let started = self.event.at >= self.start;
        let pace = match self.start.since(self.event.at) {
            ..=0 => GRID,
            1..=WEEK => history::INTERVAL,
            _ => HOUR,
        };
        let millis = (self.event.at.millis().div_euclid(pace) + 1) * pace;
        let mut next = Timestamp::from_millis(millis);
        if !started {
            next = next.min(self.start);
        }
        (next <= self.event.closes).then_some(next)
    }

    /// When somebody of the crowd comes next, and to which market.
    fn next_arrival(&self) -> Option<(Timestamp, usize)> {
        let flow_at = self.event.flow_at;
        self.markets
            .iter()
            .enumerate()
            .filter(|(_, market)| market.is_open(flow_at))
            .map(|(place, market)| {
                let edge = market.plant.next_edge(flow_at);
                let next = market.crowd.next();
                (edge.map_or(next, |edge| next.min(edge)), place)
            })
            .min()
            .filter(|(time, _)| *time < self.event.closes)
    }

    /// When anything happens next.
    fn next(&self) -> Timestamp {
        let moves = self.next_move();
        let arrives = self.next_arrival().map(|(time, _)| time);
        moves
            .into_iter()
            .chain(arrives)
            .min()
            .unwrap_or(Timestamp::from_millis(i64::MAX))
    }

    /// Lets the latent probabilities move to `to`; true histories and hourly volumes are read there.
    fn move_to(&mut self, to: Timestamp) {
        let started = self.event.at >= self.start;
        self.event.process.advance(self.event.at, to, started);
        self.event.at = to;
    }

    /// Records midpoints and, at full hours, volumes. In a quiet stretch from `since` the points
    /// before the last one repeat what was recorded last.
    fn record(&mut self, since: Timestamp, at: Timestamp, quiet: bool) {
        if at.millis() % history::INTERVAL != 0 {
            return;
        }
        for market in &mut *self.markets {
            if at > market.schedule.closes {
                continue;
            }
            let traded = if quiet {
                None
            } else {
                crowd::mid(self.exchange, market)
            };
            let mid = traded.unwrap_or_else(|| quote::quiet_mid(self.seed, market, self.event, at));
            for _ in 1..at.since(since).div_euclid(history::INTERVAL) {
                let before = market.history.last().unwrap_or(mid);
                market.history.push(before);
            }
            market.last_mid = mid;
            market.history.push(mid);
            if at.millis() % HOUR == 0 {
                let total = volume(self.exchange, market);
                market.tape.hour(total);
            }
        }
    }

    /// Passes over the time until `to` without the crowd.
    fn skip_to(&mut self, to: Timestamp) {
        let mut from = self.event.flow_at;
        while let Some(next) = self.next_move().filter(|next| *next <= to) {
            self.move_to(next);
            if next.millis() % history::INTERVAL == 0 {
                self.add_volume(from, next);
                self.record(from, next, true);
                from = next;
            }
        }
        self.add_volume(from, to);
        self.event.flow_at = to;
    }

    /// Adds the volume that is to be expected from `from` to `to`, unevenly hour by hour.
    fn add_volume(&mut self, from: Timestamp, to: Timestamp) {
        let hour = from.millis().div_euclid(HOUR) as u64;
        for market in &mut *self.markets {
            let from = from.min(market.schedule.closes);
            let to = to.min(market.schedule.closes);
            let days = to.since(from) as f64 / 86_400_000.0;
            if days <= 0.0 {
                continue;
            }
            let key = [self.seed, market.index as u64, 0x0701, hour];
            let uneven = (UNEVEN * normal_of(&key) - 0.5 * UNEVEN * UNEVEN).exp();
            let amount = market.daily_volume * days * uneven;
            // Whole micro-pUSD, as amounts are.
            market.tape.add_unsimulated((amount * 1e6).round() / 1e6);
        }
    }

    /// Everybody of the crowd begins anew.
    fn open_floors(&mut self, at: Timestamp) {
        self.event.flow_at = at;
        for place in 0..self.markets.len() {
            self.on_floor(place, at, |floor| floor.open());
        }
    }

    /// Everything that happens until `to`, in the order of time.
    fn flow_to(&mut self, to: Timestamp) {
        loop {
            let moves = self.next_move().filter(|time| *time <= to);
            let arrives = self.next_arrival().filter(|(time, _)| *time <= to);
            match (moves, arrives) {
                (Some(time), next) if next.is_none_or(|(other, _)| time < other) => {
                    self.move_to(time);
                    self.event.flow_at = time;
                    self.record(time, time, false);
                }
                (_, Some((time, place))) => {
                    let edge = self
                        .markets
                        .get(place)
                        .and_then(|market| market.plant.next_edge(self.event.flow_at));
                    self.event.flow_at = time;
                    self.arrive(place, time, edge == Some(time));
                }
                _ => break,
            }
        }
        self.event.flow_at = self.event.flow_at.max(to);
    }

    fn arrive(&mut self, place: usize, at: Timestamp, edge: bool) {
        if edge {
            // Planted in all markets of the event alike.
            for place in 0..self.markets.len() {
                self.on_floor(place, at, |floor| floor.everybody());
            }
        } else {
            self.on_floor(place, at, |floor| floor.arrival());
        }
        crowd::sweep(self.exchange, self.event, self.markets, at);
    }

    fn on_floor(&mut self, place: usize, at: Timestamp, act: impl FnOnce(&mut Floor<'_>)) {
        let Some(market) = self.markets.get_mut(place) else {
            return;
        };
        if !market.is_open(at) {
            return;
        }
        act(&mut Floor {
            seed: self.seed,
            exchange: self.exchange,
            event: self.event,
            market,
            at,
        });
    }
}

/// pUSD traded in a market since its beginning.
pub(super) fn volume(exchange: &Exchange, market: &SimMarket) -> f64 {
    let simulated = exchange.turnover(market.idx()).notional.to_f64();
    market.volume_before + market.tape.unsimulated() + simulated
}

//! Who follows which market, and the writing down of changes, once for all who get the same.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;

use super::messages::{self, BookState, Listing, Traded};
use super::mirror::{Best, Mirror};
use super::outlet::{Frame, Outlet};
use crate::domain::{Price, Timestamp};
use crate::sandbox::exchange::{Change, ChangeKind, MarketIdx, OutcomeSide};
use crate::sandbox::model::World;
use crate::sandbox::routes::Shared;

/// Most messages in one frame.
const MOST_IN_FRAME: usize = 64;

const SIDES: [OutcomeSide; 2] = [OutcomeSide::First, OutcomeSide::Second];

/// Which outcomes of a market: bit 0 the first, bit 1 the second.
type Mask = u8;

fn bit(outcome: OutcomeSide) -> Mask {
    1 << outcome.index()
}

/// The market channel's subscriptions.
///
/// Locks are taken in one order: the hub's, then the world's. The world is only locked to take what
/// changed and to look up what is new; writing down happens outside of it.
#[derive(Debug)]
pub(in crate::sandbox) struct Hub {
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_socket: u64,
    last_trade: u64,
    /// Ordered, so that nothing depends on a hash's moods.
    sockets: BTreeMap<u64, Socket>,
    markets: HashMap<MarketIdx, Followed>,
}

#[derive(Debug)]
struct Socket {
    outlet: Outlet,
    /// Whether it asked for the custom features.
    custom: bool,
    markets: HashMap<MarketIdx, Mask>,
}

/// A market that somebody follows.
#[derive(Debug)]
struct Followed {
    listing: Listing,
    mirror: Mirror,
    tick: Price,
    last_trade: Option<Price>,
    changed_at: Timestamp,
    /// Best prices as last told.
    told: [Best; 2],
    readers: HashSet<u64>,
    /// Written down in the current batch.
    news: Vec<Message>,
    traded: bool,
}

#[derive(Debug)]
struct Message {
    text: Utf8Bytes,
    to: Mask,
    custom: bool,
    change: bool,
}

/// Frames of one market for those who get the same: by custom features and outcomes.
type Variants = HashMap<(bool, Mask), Vec<Frame>>;

impl Hub {
    pub(in crate::sandbox) fn new(seed: u64) -> Self {
        Hub {
            seed,
            state: Mutex::default(),
        }
    }

    /// Takes what has changed and passes it on.
    pub(in crate::sandbox) fn pump(&self, shared: &Shared) {
        self.drain(shared, &mut self.lock(), |_| ());
    }

    /// A new socket, which follows nothing yet.
    pub(super) fn join(&self, shared: &Shared, outlet: Outlet) -> u64 {
        let mut state = self.lock();
        state.last_socket += 1;
        let id = state.last_socket;
        let socket = Socket {
            outlet,
            custom: false,
            markets: HashMap::new(),
        };
        state.sockets.insert(id, socket);
        shared.write_quietly().exchange.watch_lifecycles(true);
        id
    }

    /// Follows these tokens; unknown ones are passed over in silence, as on the venue.
    pub(super) fn subscribe(
        &self,
        shared: &Shared,
        id: u64,
        tokens: &[String],
        custom: Option<bool>,
        dump: bool,
    ) {
        let mut state = self.lock();
        let known: HashSet<MarketIdx> = state.markets.keys().copied().collect();
        // What is pending belongs before the snapshots: it is taken first, and a market that nobody
        // followed has nothing pending.
        let (found, new) = self.drain(shared, &mut state, |world| {
            // A token named twice is one token: its book goes out once.
            let mut named = HashSet::new();
            let found: Vec<_> = tokens
                .iter()
                .filter(|token| named.insert(token.as_str()))
                .filter_map(|token| find(world, token))
                .collect();
            let mut new = HashMap::new();
            for (market, _) in &found {
                if !known.contains(market)
                    && let Entry::Vacant(place) = new.entry(*market)
                    && let Some(followed) = follow(world, *market)
                {
                    place.insert(followed);
                }
            }
            (found, new)
        });
        state.markets.extend(new);
        let State {
            sockets, markets, ..
        } = &mut *state;
        let Some(socket) = sockets.get_mut(&id) else {
            return;
        };
        socket.custom = custom.unwrap_or(socket.custom);
        let mut books = Vec::new();
        for (market, outcome) in found {
            let Some(followed) = markets.get_mut(&market) else {
                continue;
            };
            followed.readers.insert(id);
            *socket.markets.entry(market).or_default() |= bit(outcome);
            if dump {
                books.push(Message {
                    text: followed.book(self.seed, outcome).into(),
                    to: bit(outcome),
                    custom: false,
                    change: false,
                });
            }
        }
        let tokens = Arc::new([String::new(), String::new()]);
        let books: Vec<&Message> = books.iter().collect();
        if !books.is_empty() {
            socket.outlet.offer(frames(&books, &tokens));
        }
    }

    /// Follows these tokens no longer.
    pub(super) fn unsubscribe(&self, shared: &Shared, id: u64, tokens: &[String]) {
        let mut state = self.lock();
        let mut world = shared.write_quietly();
        for token in tokens {
            let Some((market, outcome)) = find(&world, token) else {
                continue;
            };
            let Some(socket) = state.sockets.get_mut(&id) else {
                return;
            };
            if let Some(mask) = socket.markets.get_mut(&market) {
                *mask &= !bit(outcome);
                if *mask == 0 {
                    socket.markets.remove(&market);
                    state.unfollow(&mut world, market, id);
                }
            }
        }
    }

    /// The socket is gone.
    pub(super) fn leave(&self, shared: &Shared, id: u64) {
        let mut state = self.lock();
        let Some(socket) = state.sockets.remove(&id) else {
            return;
        };
        let mut world = shared.write_quietly();
        for market in socket.markets.into_keys() {
            state.unfollow(&mut world, market, id);
        }
        if state.sockets.is_empty() {
            world.exchange.watch_lifecycles(false);
        }
    }

    /// How many sockets there are.
    #[cfg(test)]
    pub(super) fn sockets(&self) -> usize {
        self.lock().sockets.len()
    }

    /// Every token that a socket follows.
    pub(super) fn tokens_of(&self, id: u64) -> Vec<String> {
        let state = self.lock();
        let Some(socket) = state.sockets.get(&id) else {
            return Vec::new();
        };
        let mut tokens = Vec::new();
        for (market, mask) in &socket.markets {
            let Some(followed) = state.markets.get(market) else {
                continue;
            };
            for outcome in SIDES.into_iter().filter(|side| mask & bit(*side) != 0) {
                tokens.push(outcome.of(&followed.listing.tokens).clone());
            }
        }
        tokens
    }

    /// Takes what has changed, does something else under the same lock of the world, and passes the
    /// changes on.
    fn drain<T>(
        &self,
        shared: &Shared,
        state: &mut State,
        also: impl FnOnce(&mut World) -> T,
    ) -> T {
        let (changes, global, result) = {
            let mut world = shared.write_quietly();
            let changes = world.take_changes();
            let global = lifecycles(&world, &changes);
            (changes, global, also(&mut world))
        };
        shared.publish(&changes);
        state.pass_on(self.seed, &changes, global);
        result
    }

    /// A panic elsewhere leaves usable subscriptions behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The market and outcome of a token.
fn find(world: &World, token: &str) -> Option<(MarketIdx, OutcomeSide)> {
    let (market, _, outcome) = world.by_token(token)?;
    Some((MarketIdx(u32::try_from(market.index).ok()?), outcome))
}

/// Begins to watch a market.
fn follow(world: &mut World, market: MarketIdx) -> Option<Followed> {
    let index = usize::try_from(market.0).ok()?;
    let row = world.markets.get(index)?;
    let terms = *world.exchange.terms(market)?;
    let listing = Listing {
        index: market.0,
        condition: row.condition_id.clone(),
        tokens: Arc::new(row.tokens.clone()),
    };
    world.watch(index, true);
    let exchange = &world.exchange;
    let second = (!terms.linked).then(|| exchange.depth(market, OutcomeSide::Second));
    let mirror = Mirror::new(exchange.depth(market, OutcomeSide::First), second);
    Some(Followed {
        told: SIDES.map(|side| mirror.best(side)),
        mirror,
        listing,
        tick: terms.tick,
        last_trade: exchange.last_trade(market).map(|trade| trade.price),
        changed_at: exchange.changed_at(market).unwrap_or(world.now),
        readers: HashSet::new(),
        news: Vec::new(),
        traded: false,
    })
}

/// A message about a market's birth or end, and whether everyone gets it.
struct Lifecycle {
    market: MarketIdx,
    text: String,
    to_all: bool,
}

fn lifecycles(world: &World, changes: &[Change]) -> Vec<Lifecycle> {
    changes
        .iter()
        .filter_map(|change| {
            let row = world.markets.get(usize::try_from(change.market.0).ok()?)?;
            let event = world.event_of(row)?;
            let text = match &change.kind {
                ChangeKind::Opened => {
                    let tick = world.exchange.terms(change.market)?.tick;
                    messages::new_market(row, event, tick, change.at)
                }
                ChangeKind::Resolved { payouts } => {
                    messages::market_resolved(row, event, *payouts, change.at)
                }
                _ => return None,
            };
            Some(Lifecycle {
                market: change.market,
                text,
                to_all: matches!(change.kind, ChangeKind::Opened),
            })
        })
        .collect()
}

impl State {
    fn unfollow(&mut self, world: &mut World, market: MarketIdx, id: u64) {
        if let Entry::Occupied(mut place) = self.markets.entry(market) {
            place.get_mut().readers.remove(&id);
            if place.get().readers.is_empty() {
                place.remove();
                if let Ok(index) = usize::try_from(market.0) {
                    world.watch(index, false);
                }
            }
        }
    }

    /// Writes changes down and queues them for those who follow.
    fn pass_on(&mut self, seed: u64, changes: &[Change], global: Vec<Lifecycle>) {
        let mut touched = Vec::new();
        for change in changes {
            let Some(followed) = self.markets.get_mut(&change.market) else {
                continue;
            };
            if followed.news.is_empty() && !followed.traded {
                touched.push(change.market);
            }
            if matches!(change.kind, ChangeKind::Trade { .. }) {
                self.last_trade += 1;
            }
            followed.write_down(seed, change, self.last_trade);
        }
        for news in global {
            let message = Message {
                text: news.text.into(),
                to: 3,
                custom: true,
                change: false,
            };
            if news.to_all {
                let frame = frames(&[&message], &Arc::default());
                for socket in self.sockets.values().filter(|socket| socket.custom) {
                    socket.outlet.offer(frame.clone());
                }
            } else if let Some(followed) = self.markets.get_mut(&news.market) {
                if followed.news.is_empty() {
                    touched.push(news.market);
                }
                followed.news.push(message);
            }
        }
        // Per socket one hand-over, however many markets moved.
        let mut batches: BTreeMap<u64, Vec<Frame>> = BTreeMap::new();
        for market in touched {
            let Some(followed) = self.markets.get_mut(&market) else {
                continue;
            };
            followed.close_batch(seed);
            let mut variants = Variants::new();
            for id in &followed.readers {
                let Some(socket) = self.sockets.get(id) else {
                    continue;
                };
                let mask = socket.markets.get(&market).copied().unwrap_or(0);
                let frames = variants
                    .entry((socket.custom, mask))
                    .or_insert_with(|| followed.frames_for(socket.custom, mask));
                if !frames.is_empty() {
                    batches
                        .entry(*id)
                        .or_default()
                        .extend(frames.iter().cloned());
                }
            }
            followed.news.clear();
        }
        for (id, frames) in batches {
            if let Some(socket) = self.sockets.get(&id) {
                // A socket that is full or gone leaves by itself.
                socket.outlet.offer(frames);
            }
        }
    }
}

impl Followed {
    fn say(&mut self, text: String, to: Mask, custom: bool, change: bool) {
        self.news.push(Message {
            text: text.into(),
            to,
            custom,
            change,
        });
    }

    fn book(&self, seed: u64, outcome: OutcomeSide) -> String {
        let state = BookState {
            at: self.changed_at,
            tick: self.tick,
            last_trade: self.last_trade,
        };
        messages::book(&self.listing, seed, &self.mirror, outcome, state)
    }

    fn write_down(&mut self, seed: u64, change: &Change, trade_number: u64) {
        let at = change.at;
        match &change.kind {
            ChangeKind::Level(level) => {
                self.changed_at = at;
                self.mirror.apply(*level);
                let text = messages::price_change(&self.listing, seed, &self.mirror, *level, at);
                let to = if self.mirror.linked() {
                    3
                } else {
                    bit(level.outcome)
                };
                self.say(text, to, false, true);
            }
            ChangeKind::Trade {
                outcome,
                side,
                price,
                size,
                ..
            } => {
                self.changed_at = at;
                self.last_trade = Some(*price);
                self.traded = true;
                let trade = Traded {
                    outcome: *outcome,
                    side: *side,
                    price: *price,
                    size: *size,
                };
                let listing = &self.listing;
                let text = messages::last_trade_price(listing, seed, trade, at, trade_number);
                self.say(text, bit(*outcome), false, false);
            }
            ChangeKind::Tick { old, new } => {
                self.tick = *new;
                for outcome in SIDES {
                    let text = messages::tick_size_change(&self.listing, outcome, [*old, *new], at);
                    self.say(text, bit(outcome), false, false);
                }
            }
            // Births and ends are written down elsewhere; orders are the user channel's.
            ChangeKind::Opened
            | ChangeKind::Closed
            | ChangeKind::Resolved { .. }
            | ChangeKind::Order(..)
            | ChangeKind::AgentTrade(_) => {}
        }
    }

    /// What goes at the end of a batch: the best prices if they moved, the books after trades.
    fn close_batch(&mut self, seed: u64) {
        for outcome in SIDES {
            let best = self.mirror.best(outcome);
            let [first, second] = &mut self.told;
            let told = match outcome {
                OutcomeSide::First => first,
                OutcomeSide::Second => second,
            };
            if *told != best {
                *told = best;
                let text = messages::best_bid_ask(&self.listing, outcome, best, self.changed_at);
                self.say(text, bit(outcome), true, false);
            }
        }
        if std::mem::take(&mut self.traded) {
            for outcome in SIDES {
                let text = self.book(seed, outcome);
                self.say(text, bit(outcome), false, false);
            }
        }
    }

    fn frames_for(&self, custom: bool, mask: Mask) -> Vec<Frame> {
        let chosen: Vec<&Message> = self
            .news
            .iter()
            .filter(|message| message.to & mask != 0 && (custom || !message.custom))
            .collect();
        frames(&chosen, &self.listing.tokens)
    }
}

/// One message is a frame by itself, several are a frame with a list.
fn frames(messages: &[&Message], tokens: &Arc<[String; 2]>) -> Vec<Frame> {
    messages
        .chunks(MOST_IN_FRAME)
        .map(|chunk| {
            let text = match chunk {
                [one] => one.text.clone(),
                several => {
                    let size: usize = several.iter().map(|one| one.text.len() + 1).sum();
                    let mut list = String::with_capacity(size + 1);
                    for (place, one) in several.iter().enumerate() {
                        list.push(if place == 0 { '[' } else { ',' });
                        list.push_str(&one.text);
                    }
                    list.push(']');
                    list.into()
                }
            };
            Frame {
                text,
                tokens: Arc::clone(tokens),
                has_changes: chunk.iter().any(|one| one.change),
            }
        })
        .collect()
}

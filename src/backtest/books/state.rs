//! Books, markets and histories while a recording is replayed, and the loop over its events.

use std::collections::HashMap;
use std::sync::Arc;

use crate::backtest::engine::BacktestOptions;
use crate::domain::{
    Book, Level, Market, MarketView, Places, Price, PricePoint, Print, Timestamp, Universe,
};
use crate::market_data::recorded::books::BookRecording;
use crate::market_data::recorded::books::event::{
    ASK, BookEvent, CONNECTED, HEARD, KIND, MESSAGE, PRINT, SHOWN, STEP, TOKEN, TURN, WHOLE,
};
use crate::market_data::recorded::{
    FeeRule, TICK_HISTORY_FIDELITY_MINUTES, TICK_HISTORY_MS, push_thinned,
};

use super::ladder::Levels;
use super::watch_list::{Top, Watch};
use super::{MOST_PRINTS, TICK_MS};

mod views;
mod watching;

pub use views::Sight;
pub use watching::Numbers;

/// Events between two looks at whether the replay is still wanted: about a millisecond.
const CHUNK: usize = 1 << 15;
/// Points that have left the window are dropped when there are so many, and they are most.
const OLD_POINTS: usize = 1_024;

/// The book may be believed.
const IS_SHOWN: u32 = 1;
/// The desk waits for something at this token.
const IS_WATCHED: u32 = 2;
/// Its book changed since the last tick.
const IS_CHANGED: u32 = 4;
/// Its market is left out, or over.
const IS_OUT: u32 = 8;
/// It is held, and its bid has moved since marks were recorded.
const IS_UNMARKED: u32 = 16;
/// Something that the desk waits for may happen at it.
const IS_MET: u32 = 32;

/// Best places that no book has.
const UNKNOWN: [u32; 2] = [u32::MAX; 2];

/// Why the loop came to a halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// Something that the desk waits for may have happened in the message of this moment, ms.
    Message(i64),
    /// All events up to the limit are done.
    Reached,
    /// Nothing yet; enough for now.
    Chunk,
    /// There are no more events.
    Ended,
}

/// A token's book.
#[derive(Debug, Default)]
struct Token {
    /// Bids and asks.
    sides: [Levels; 2],
    flags: u32,
    connection: u32,
    changed_at: i64,
    since: i64,
    step: u32,
    market: usize,
    rebuilt: bool,
    /// The last whole book was somebody's question: nobody tells what came after it.
    asked_for: bool,
    /// Place in the list of what the desk waits for.
    watch: u32,
    /// Best places at which nothing is met, and the mark is known to have moved or not: what is waited for
    /// need not be looked at again while they stand. [`UNKNOWN`] where a look is needed.
    looked: [u32; 2],
    /// Its book as it was shown last: only sides that changed since are made anew.
    kept: Option<Arc<Book>>,
}

impl Token {
    fn price(&self, side: usize, place: u32) -> u32 {
        let micros = place * self.step;
        match side {
            0 => micros,
            _ => 1_000_000_u32.saturating_sub(micros),
        }
    }

    fn best(&self, side: usize) -> Option<u32> {
        let best = self.sides.get(side)?.best();
        (best != 0).then(|| self.price(side, best))
    }
}

impl Top for Token {
    fn bid(&self) -> Option<u32> {
        self.best(0)
    }

    fn ask(&self) -> Option<u32> {
        self.best(1)
    }

    fn executable(&self, depth: i64) -> Option<u32> {
        let [bids, _] = &self.sides;
        Some(self.price(0, bids.reaches(depth)?))
    }
}

/// A market.
#[derive(Debug, Default)]
struct MarketState {
    is_out: bool,
    fees: Option<FeeRule>,
    /// The price step that was told or seen, and whether it was told.
    tick: Option<(Price, bool)>,
    /// As it was last shown, good before this moment.
    shared: Option<(Arc<Market>, Option<Timestamp>)>,
    points: Arc<Vec<PricePoint>>,
    /// Its view as it was shown last, without books and history.
    kept: Option<MarketView>,
}

/// All of it.
pub struct Books<'a> {
    recording: &'a BookRecording,
    tokens: Vec<Token>,
    markets: Vec<MarketState>,
    /// Markets by neg-risk event.
    events: HashMap<&'a str, Vec<usize>>,
    /// When each connection last told anything, ms.
    heard: Vec<i64>,
    next: usize,
    now: i64,
    tick_ms: i64,
    tick_due: i64,
    /// Before this moment no marks are recorded for their own sake, ms.
    pub mark_due: i64,
    /// Bids of held tokens have moved, and marks may be recorded.
    marks_ready: bool,
    /// The loop is not to go beyond this moment, ms.
    sooner: i64,
    /// Tokens whose books changed since the last tick.
    changed: Vec<u32>,
    /// Tokens at which something may happen.
    attention: Vec<u32>,
    prints: Vec<Print>,
    /// Held tokens whose bids have moved since marks were recorded.
    unmarked: Vec<u32>,
    watched: Vec<(u32, Watch)>,
    universe: Arc<Universe>,
    /// Numbers of the markets in the universe.
    numbers: Vec<u32>,
    /// Views of the snapshot in the making, and memory for them while there is none.
    views: Vec<MarketView>,
    places: Places,
    /// The markets of the latest snapshot, beside its views.
    shown: Vec<usize>,
    shown_numbers: Vec<u32>,
    /// Memory for the levels that changed.
    top: Vec<Level>,
}

impl<'a> Books<'a> {
    /// Before the first event.
    pub fn new(recording: &'a BookRecording, options: &BacktestOptions<'_>) -> Self {
        let rules = &options.rules;
        let mut events: HashMap<&str, Vec<usize>> = HashMap::new();
        let markets = recording.markets().iter().enumerate().map(|(index, one)| {
            if let Some(event) = one.market.event_id.as_ref().filter(|_| one.market.neg_risk) {
                events.entry(event.as_str()).or_default().push(index);
            }
            MarketState {
                is_out: rules.excludes(index),
                fees: rules.fees.instead(&one.market),
                ..MarketState::default()
            }
        });
        let markets: Vec<MarketState> = markets.collect();
        let tokens = recording.tokens().iter().map(|token| {
            let last = 1_000_000 / token.step.max(1);
            let is_out = markets.get(token.market).is_none_or(|market| market.is_out);
            Token {
                sides: [Levels::new(last), Levels::new(last)],
                flags: if is_out { IS_OUT } else { 0 },
                step: token.step,
                market: token.market,
                rebuilt: token.rebuilt,
                looked: UNKNOWN,
                ..Token::default()
            }
        });
        let templates = recording.markets().iter().map(|one| &one.market);
        let universe = Universe::new(templates.clone());
        let numbers = templates.filter_map(|market| universe.number_of(&market.id));
        Books {
            tokens: tokens.collect(),
            numbers: numbers.collect(),
            universe: Arc::new(universe),
            views: Vec::new(),
            places: Places::default(),
            shown: Vec::new(),
            shown_numbers: Vec::new(),
            top: Vec::new(),
            markets,
            events,
            heard: vec![i64::MIN; recording.connections()],
            recording,
            next: 0,
            now: i64::MIN,
            tick_ms: rules.tick_ms.unwrap_or(TICK_MS).max(1),
            tick_due: i64::MAX,
            mark_due: i64::MIN,
            marks_ready: false,
            sooner: i64::MAX,
            changed: Vec::new(),
            attention: Vec::new(),
            prints: Vec::new(),
            unmarked: Vec::new(),
            watched: Vec::new(),
        }
    }

    /// Events that are done.
    pub fn done(&self) -> usize {
        self.next
    }

    /// The latest moment that was reached, ms.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// When the next event happens, ms.
    pub fn next_moment(&self) -> Option<i64> {
        self.recording.events().get(self.next).map(|event| event.at)
    }

    /// When strategies look next, ms; `None` while nothing has changed.
    pub fn tick_due(&self) -> Option<i64> {
        (self.tick_due != i64::MAX).then_some(self.tick_due)
    }

    /// Goes on to `start` with nobody trading: histories grow as they would. False when it is not wanted
    /// any more.
    pub fn warm_up(&mut self, start: i64, cancelled: &dyn Fn() -> bool) -> bool {
        let mut markets = Vec::new();
        loop {
            if cancelled() {
                return false;
            }
            let halt = self.advance(self.tick_due.min(start - 1));
            let due = self.tick_due;
            match halt {
                Halt::Chunk | Halt::Message(_) => {}
                Halt::Reached | Halt::Ended if due < start => {
                    markets.clear();
                    self.take_changed(Timestamp::from_millis(due), &mut markets);
                }
                Halt::Reached | Halt::Ended => return true,
            }
        }
    }

    /// Goes through events up to `limit` (ms, included), until something may concern the desk.
    pub fn advance(&mut self, limit: i64) -> Halt {
        let recording = self.recording;
        let events = recording.events();
        let end = self.next.saturating_add(CHUNK);
        let chunk = events
            .get(self.next..end.min(events.len()))
            .unwrap_or_default();
        if chunk.is_empty() {
            return Halt::Ended;
        }
        let mut limit = limit;
        self.sooner = i64::MAX;
        for (count, event) in chunk.iter().enumerate() {
            if event.at > limit {
                self.next += count;
                self.now = self.now.max(limit);
                return Halt::Reached;
            }
            let kind = event.meta >> KIND;
            if kind <= ASK {
                let Some(token) = self.tokens.get_mut((event.meta & TOKEN) as usize) else {
                    continue;
                };
                if let Some(side) = token.sides.get_mut(usize::from(kind == ASK)) {
                    side.set(event.slot, event.size);
                }
            } else {
                self.rare(kind, event);
            }
            if event.meta & STEP != 0 {
                self.end_step(event);
                limit = limit.min(self.sooner);
            }
            if event.meta & MESSAGE != 0
                && (self.marks_ready || !self.attention.is_empty() || !self.prints.is_empty())
            {
                self.next += count + 1;
                self.now = event.at;
                return Halt::Message(event.at);
            }
        }
        self.next += chunk.len();
        self.now = chunk.last().map_or(self.now, |event| event.at);
        Halt::Chunk
    }

    /// A step of a token's book is complete.
    #[inline]
    fn end_step(&mut self, event: &BookEvent) {
        let number = event.meta & TOKEN;
        let Some(token) = self.tokens.get_mut(number as usize) else {
            return;
        };
        if let Some(heard) = self.heard.get_mut(token.connection as usize) {
            *heard = event.at;
        }
        token.changed_at = event.at;
        let was = token.flags;
        if event.meta & SHOWN != 0 {
            token.flags |= IS_SHOWN;
        } else {
            token.flags &= !IS_SHOWN;
        }
        if was & (IS_CHANGED | IS_OUT) == 0 {
            token.flags |= IS_CHANGED;
            if self.changed.is_empty() {
                let (at, every) = (event.at, self.tick_ms);
                let before = at.div_euclid(every) * every;
                self.tick_due = if before < at {
                    before.saturating_add(every)
                } else {
                    before
                };
                self.sooner = self.sooner.min(self.tick_due);
            }
            self.changed.push(number);
        }
        if token.flags & (IS_WATCHED | IS_SHOWN) == IS_WATCHED | IS_SHOWN {
            // Nobody would have told a session of an answer to somebody else.
            if token.asked_for {
                return;
            }
            let [bids, asks] = &token.sides;
            let best = [bids.best(), asks.best()];
            if token.looked == best {
                if token.flags & IS_UNMARKED != 0 && event.at >= self.mark_due {
                    self.marks_ready = true;
                }
                return;
            }
            let Some((_, watch)) = self.watched.get(token.watch as usize) else {
                return;
            };
            token.looked = UNKNOWN;
            if token.flags & IS_MET == 0 && watch.met(token) {
                token.flags |= IS_MET;
                self.attention.push(number);
            }
            let moved = watch.moved(token.bid());
            if moved {
                if token.flags & IS_UNMARKED == 0 {
                    token.flags |= IS_UNMARKED;
                    self.unmarked.push(number);
                }
                if event.at >= self.mark_due {
                    self.marks_ready = true;
                } else {
                    self.sooner = self.sooner.min(self.mark_due);
                }
            }
            let is_noted = moved == (token.flags & IS_UNMARKED != 0);
            if watch.looks_at_bests() && token.flags & IS_MET == 0 && is_noted {
                token.looked = best;
            }
        }
    }

    /// Everything but a level.
    #[cold]
    fn rare(&mut self, kind: u32, event: &BookEvent) {
        let number = event.meta & TOKEN;
        let place = usize::try_from(event.size).unwrap_or(usize::MAX);
        if kind == HEARD {
            if let Some(heard) = self.heard.get_mut(number as usize) {
                *heard = event.at;
            }
            return;
        }
        if kind == TURN {
            self.turn(place);
            return;
        }
        let Some(token) = self.tokens.get_mut(number as usize) else {
            return;
        };
        match kind {
            WHOLE => {
                token.rebuilt = false;
                token.asked_for = event.size == 1;
                token.since = event.at;
            }
            CONNECTED => {
                token.connection = u32::try_from(event.size).unwrap_or(u32::MAX);
                token.since = event.at;
            }
            PRINT => {
                if let Some(heard) = self.heard.get_mut(token.connection as usize) {
                    *heard = event.at;
                }
                let watched = token.flags & IS_WATCHED != 0;
                let watch = self.watched.get(token.watch as usize).filter(|_| watched);
                let print = self.recording.prints().get(place);
                let token = self.recording.tokens().get(number as usize);
                if let (Some((_, watch)), Some(print), Some(token)) = (watch, print, token)
                    && watch.reached(print.price)
                    && self.prints.len() < MOST_PRINTS
                {
                    self.prints.push(Print {
                        token: token.id.clone(),
                        taker: print.taker,
                        price: print.price,
                        shares: print.shares,
                        at: print.at,
                    });
                }
            }
            _ => {}
        }
    }

    fn turn(&mut self, place: usize) {
        let turn = self.recording.turns().get(place);
        let Some((turn, market)) = turn.and_then(|turn| Some((turn, turn.market?))) else {
            return;
        };
        let Some(state) = self.markets.get_mut(market) else {
            return;
        };
        let own = || {
            self.recording
                .markets()
                .get(market)
                .map(|one| one.market.tick)
        };
        let tick = match (turn.told, state.tick) {
            (true, _) => (turn.tick, true),
            (false, Some((told, true))) => (told, true),
            (false, known) => {
                let known = known.map(|(tick, _)| tick).or_else(own);
                (known.map_or(turn.tick, |known| known.min(turn.tick)), false)
            }
        };
        state.tick = Some(tick);
        state.shared = None;
    }

    /// Trades that reach resting orders, since the last time.
    pub fn take_prints(&mut self) -> Vec<Print> {
        std::mem::take(&mut self.prints)
    }

    /// Adds the markets whose books changed since the last time to `found`, in order; their histories grow
    /// by what is seen now.
    pub fn take_changed(&mut self, at: Timestamp, found: &mut Vec<usize>) {
        self.tick_due = i64::MAX;
        for number in self.changed.drain(..) {
            if let Some(token) = self.tokens.get_mut(number as usize) {
                token.flags &= !IS_CHANGED;
                if token.flags & IS_OUT == 0 {
                    found.push(token.market);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        for market in found {
            self.remember(*market, at);
        }
    }

    /// The middle of the first outcome's book, else 1 less that of the second one's.
    fn remember(&mut self, market: usize, at: Timestamp) {
        let Some(known) = self.recording.markets().get(market) else {
            return;
        };
        let mid = |place: usize| {
            let number = *known.tokens.get(place)?;
            let token = self.tokens.get(number? as usize)?;
            let (bid, ask) = (token.bid()?, token.ask()?);
            let seen = token.flags & IS_SHOWN != 0 && bid < ask;
            seen.then(|| f64::from(bid + ask) / 2e6)
        };
        let price = mid(0).or_else(|| mid(1).map(|mid| 1.0 - mid));
        let Some((price, state)) = price.zip(self.markets.get_mut(market)) else {
            return;
        };
        let points = Arc::make_mut(&mut state.points);
        push_thinned(
            points,
            PricePoint { at, price },
            TICK_HISTORY_FIDELITY_MINUTES,
        );
        let old = points.partition_point(|point| point.at < at.plus_millis(-TICK_HISTORY_MS));
        if old > OLD_POINTS.max(points.len() / 2) {
            points.drain(..old);
        }
    }

    /// The markets of the neg-risk events of these that are not among them, in order.
    pub fn neg_risk_siblings(&self, markets: &[usize]) -> Vec<usize> {
        let mut found = Vec::new();
        if self.events.is_empty() {
            return found;
        }
        for market in markets {
            let market = self.recording.markets().get(*market).map(|one| &one.market);
            let event = market.and_then(|market| market.event_id.as_ref());
            let members = event.and_then(|event| self.events.get(event.as_str()));
            found.extend(members.into_iter().flatten());
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|market| markets.binary_search(market).is_err());
        found
    }

    /// Number of a token's market.
    pub fn market_of(&self, number: u32) -> Option<usize> {
        Some(self.tokens.get(number as usize)?.market)
    }

    /// The market is over: nothing is seen of it any more. False when it is left out or was over.
    pub fn resolve(&mut self, market: usize) -> bool {
        let Some(state) = self.markets.get_mut(market) else {
            return false;
        };
        if std::mem::replace(&mut state.is_out, true) {
            return false;
        }
        let tokens = self.recording.markets().get(market).map(|one| one.tokens);
        for number in tokens.into_iter().flatten().flatten() {
            if let Some(token) = self.tokens.get_mut(number as usize) {
                token.flags = token.flags & !(IS_WATCHED | IS_MET | IS_UNMARKED) | IS_OUT;
                token.kept = None;
            }
            self.attention.retain(|met| *met != number);
            self.unmarked.retain(|moved| *moved != number);
        }
        true
    }
}

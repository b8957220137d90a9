//! Books, markets and histories while a recording is replayed, and the loop over its events.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::backtest::engine::BacktestOptions;
use crate::domain::{
    Book, BookFeed, BookOrigin, History, Level, Market, MarketView, Price, PricePoint, Print,
    Shares, Timestamp,
};
use crate::market_data::recorded::books::BookRecording;
use crate::market_data::recorded::books::event::{
    ASK, BookEvent, CONNECTED, HEARD, KIND, MESSAGE, PRINT, SHOWN, STEP, TOKEN, TURN, WHOLE,
};
use crate::market_data::recorded::{
    FeeRule, TICK_HISTORY_FIDELITY_MINUTES, TICK_HISTORY_MS, push_thinned,
};

use super::ladder::Levels;
use super::watch_list::{Top, Watch, Watches};
use super::{MOST_PRINTS, TICK_MS};

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

    fn levels(&self, side: usize) -> Vec<Level> {
        let Some(levels) = self.sides.get(side) else {
            return Vec::new();
        };
        let mut found = Vec::with_capacity(levels.count());
        for (place, size) in levels.iter() {
            let price = Price::from_micros(self.price(side, place));
            if let (Ok(price), Ok(size)) = (price, Shares::from_micros(size)) {
                found.push(Level { price, size });
            }
        }
        found
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
    attention: BTreeSet<u32>,
    prints: Vec<Print>,
    /// Held tokens whose bids have moved since marks were recorded.
    pub unmarked: BTreeSet<u32>,
    watched: Vec<(u32, Watch)>,
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
                ..Token::default()
            }
        });
        Books {
            tokens: tokens.collect(),
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
            attention: BTreeSet::new(),
            prints: Vec::new(),
            unmarked: BTreeSet::new(),
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
        loop {
            if cancelled() {
                return false;
            }
            let halt = self.advance(self.tick_due.min(start - 1));
            let due = self.tick_due;
            match halt {
                Halt::Chunk | Halt::Message(_) => {}
                Halt::Reached | Halt::Ended if due < start => {
                    self.take_changed(Timestamp::from_millis(due));
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
                let [bids, asks] = &mut token.sides;
                let side = if kind == ASK { asks } else { bids };
                side.set(event.slot, event.size);
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
            let Some((_, watch)) = self.watched.get(token.watch as usize) else {
                return;
            };
            if watch.met(token) {
                self.attention.insert(number);
            }
            if watch.moved(token.bid()) {
                self.unmarked.insert(number);
                if event.at >= self.mark_due {
                    self.marks_ready = true;
                } else {
                    self.sooner = self.sooner.min(self.mark_due);
                }
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

    /// Replaces what the desk waits for.
    pub fn watch(&mut self, watches: &Watches) {
        for (number, _) in &self.watched {
            if let Some(token) = self.tokens.get_mut(*number as usize) {
                token.flags &= !IS_WATCHED;
            }
        }
        self.unmarked
            .retain(|number| watches.by_token.contains_key(number));
        self.watched = watches
            .by_token
            .iter()
            .map(|(n, watch)| (*n, watch.clone()))
            .collect();
        for (place, (number, watch)) in (0_u32..).zip(&self.watched) {
            let Some(token) = self.tokens.get_mut(*number as usize) else {
                continue;
            };
            if token.flags & IS_OUT != 0 {
                continue;
            }
            token.flags |= IS_WATCHED;
            token.watch = place;
            let seen = token.flags & IS_SHOWN != 0 && !token.asked_for;
            if seen && watch.moved(token.bid()) {
                self.unmarked.insert(*number);
            } else {
                self.unmarked.remove(number);
            }
        }
    }

    /// Trades that reach resting orders, since the last time.
    pub fn take_prints(&mut self) -> Vec<Print> {
        std::mem::take(&mut self.prints)
    }

    /// Tokens at which something may happen.
    pub fn take_attention(&mut self) -> BTreeSet<u32> {
        self.marks_ready = false;
        std::mem::take(&mut self.attention)
    }

    /// Markets whose books changed since the last time; their histories grow by what is seen now.
    pub fn take_changed(&mut self, at: Timestamp) -> BTreeSet<usize> {
        self.tick_due = i64::MAX;
        let mut found = BTreeSet::new();
        for number in self.changed.drain(..) {
            if let Some(token) = self.tokens.get_mut(number as usize) {
                token.flags &= !IS_CHANGED;
                if token.flags & IS_OUT == 0 {
                    found.insert(token.market);
                }
            }
        }
        for market in &found {
            self.remember(*market, at);
        }
        found
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

    /// The other markets of the neg-risk events of these.
    pub fn neg_risk_siblings(&self, markets: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        if self.events.is_empty() {
            return found;
        }
        for market in markets {
            let market = self.recording.markets().get(*market).map(|one| &one.market);
            let event = market.and_then(|market| market.event_id.as_ref());
            let members = event.and_then(|event| self.events.get(event.as_str()));
            found.extend(members.into_iter().flatten());
        }
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
                token.flags = token.flags & !IS_WATCHED | IS_OUT;
            }
            self.attention.remove(&number);
            self.unmarked.remove(&number);
        }
        true
    }

    /// What can be seen of a market; `None` when it is over or left out.
    pub fn view(&mut self, market: usize, at: Timestamp, candidate: bool) -> Option<MarketView> {
        let known = self.recording.markets().get(market)?;
        let state = self.markets.get_mut(market)?;
        if state.is_out {
            return None;
        }
        let shared = match &state.shared {
            Some((shared, until)) if until.is_none_or(|until| at < until) => Arc::clone(shared),
            _ => {
                let mut made = known.at(at, state.fees);
                if let Some((tick, _)) = state.tick {
                    made.tick = tick;
                }
                let made = Arc::new(made);
                state.shared = Some((Arc::clone(&made), known.changes_after(at)));
                made
            }
        };
        let since = at.plus_millis(-TICK_HISTORY_MS);
        let start = state.points.partition_point(|point| point.at < since);
        let length = state.points.len();
        let points = Arc::clone(&state.points);
        let history = (start < length).then(|| History::between(points, start, length));
        let books = known
            .tokens
            .iter()
            .map(|number| self.book((*number)?).map(Arc::new));
        Some(MarketView {
            market: shared,
            books: books.collect(),
            history,
            candidate,
        })
    }

    /// What a reaction of a live session would see of it: streamed, sound books, and no history.
    pub fn live_view(&mut self, market: usize, at: Timestamp) -> Option<MarketView> {
        let view = self.view(market, at, false)?;
        let live =
            |book: &Arc<Book>| book.is_sound() && matches!(book.feed, BookFeed::Streamed { .. });
        Some(MarketView {
            books: view
                .books
                .into_iter()
                .map(|book| book.filter(live))
                .collect(),
            history: None,
            ..view
        })
    }

    /// A token's book; `None` while it is hidden.
    fn book(&self, number: u32) -> Option<Book> {
        let token = self.tokens.get(number as usize)?;
        if token.flags & IS_SHOWN == 0 {
            return None;
        }
        let heard = self.heard.get(token.connection as usize).copied();
        let changed = Timestamp::from_millis(token.changed_at);
        let at = match token.asked_for {
            true => changed,
            false => Timestamp::from_millis(heard.unwrap_or(token.changed_at)),
        };
        let origin = match token.rebuilt {
            true => BookOrigin::Rebuilt,
            false => BookOrigin::Venue,
        };
        let id = self.recording.tokens().get(number as usize)?.id.clone();
        let book = Book::new(id, token.levels(0), token.levels(1), at, origin);
        let book = book.with_changed_at(changed);
        Some(match token.asked_for {
            true => book,
            false => book.with_feed(BookFeed::Streamed {
                since_snapshot: Timestamp::from_millis(token.since),
            }),
        })
    }
}

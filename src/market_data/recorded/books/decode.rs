//! Messages in, [events](super::event) out. Books are kept by the rules of the live stream
//! ([`LiveBook`]), so that a replay sees and does not see what a session would have.

use std::collections::HashMap;

use crate::domain::{ConditionId, Level, Price, Shares, Side, Timestamp, TokenId};
use crate::market_data::polymarket::clob_rows::ServedBook;
use crate::market_data::polymarket::stream::live_book::{Effect, LiveBook};
use crate::market_data::polymarket::ws_messages::LevelChange;
use crate::market_data::recorded::skips::Skips;

use super::event::{
    ASK, BID, BookEvent, CONNECTED, HEARD, MESSAGE, PRINT, RecordedPrint, SHOWN, STEP, TOUCH, TURN,
    WHOLE,
};
use super::message::{Fault, Message, Said};
use super::rebuilt::Rebuilt;

/// Most tokens of a recording.
pub const MOST_TOKENS: usize = 200_000;
/// Why a message is left out.
const TOO_MANY: &str = "a token beyond the cap of 200000";
const LATE: &str = "a message older than the book";
const WAITING: &str = "a change while a whole book was awaited";
const BROKEN: &str = "a book that contradicted its best prices, hidden until a whole one";

/// Price steps that markets have, coarsest first, micro-units.
const STEPS: [u32; 5] = [10_000, 5_000, 2_500, 1_000, 100];

/// A token while the recording is read.
#[derive(Debug)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    live: LiveBook,
    /// Until a whole book comes, where the recording may begin without one.
    rebuilt: Option<Rebuilt>,
    /// Whether it ever was built from best prices.
    pub was_rebuilt: bool,
    /// Whether it is shown at the moment.
    shown: bool,
    /// Whether it ever was.
    pub ever_shown: bool,
    /// Who tells of it.
    connection: Option<u32>,
    /// The market's condition, where told.
    pub condition: Option<ConditionId>,
    /// The other token, where one message told of both.
    pub partner: Option<u32>,
    /// File of its first message.
    pub file: u32,
    /// Its first whole book: bids and asks, to find a mirror.
    pub first: Option<[Vec<Level>; 2]>,
    /// Greatest common divisor of all prices, micro-units.
    pub step: u32,
    /// The coarsest step of markets that all prices so far fit, micro-units.
    tick: u32,
    told_tick: Option<Price>,
    last_at: i64,
}

/// The price step of a token's market changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawTurn {
    /// The token.
    pub token: u32,
    /// The step from now on.
    pub tick: Price,
    /// Whether the venue told it; else it was seen in the prices.
    pub told: bool,
}

/// An announcement that a market ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// When the replay sees it.
    pub at: Timestamp,
    /// The token that pays.
    pub winner: TokenId,
}

/// What has been read so far.
#[derive(Debug)]
pub struct Decoder {
    /// Shares at a told best price of unknown size; `None`: books are never rebuilt.
    assumed: Option<Shares>,
    /// All tokens, as they came.
    pub tokens: Vec<Token>,
    ids: HashMap<TokenId, u32>,
    /// What happened. Level events have the price in micro-units as their slot until the end.
    pub events: Vec<BookEvent>,
    /// Events that belong earlier than where they were read.
    pub hides: Vec<BookEvent>,
    /// Trades.
    pub prints: Vec<RecordedPrint>,
    /// Changes of terms.
    pub turns: Vec<RawTurn>,
    /// Ends.
    pub announced: Vec<Announced>,
    /// Messages that were read.
    pub messages: u64,
    /// What was left out, by cause.
    pub skips: Skips,
}

impl Decoder {
    /// Nothing read. `assumed`: see [`Rebuilt`].
    #[must_use]
    pub fn new(assumed: Option<Shares>) -> Self {
        Decoder {
            assumed,
            tokens: Vec::new(),
            ids: HashMap::new(),
            events: Vec::new(),
            hides: Vec::new(),
            prints: Vec::new(),
            turns: Vec::new(),
            announced: Vec::new(),
            messages: 0,
            skips: Skips::default(),
        }
    }

    /// Number of a token; `None` beyond the cap.
    pub fn token(&mut self, id: &TokenId, file: u32) -> Option<u32> {
        if let Some(known) = self.ids.get(id) {
            return Some(*known);
        }
        if self.tokens.len() >= MOST_TOKENS {
            return None;
        }
        let number = u32::try_from(self.tokens.len()).ok()?;
        self.ids.insert(id.clone(), number);
        self.tokens.push(Token {
            id: id.clone(),
            live: LiveBook::new(id.clone()),
            rebuilt: self.assumed.map(Rebuilt::new),
            was_rebuilt: false,
            shown: false,
            ever_shown: false,
            connection: None,
            condition: None,
            partner: None,
            file,
            first: None,
            step: 1_000_000,
            tick: STEPS[0],
            told_tick: None,
            last_at: i64::MIN,
        });
        Some(number)
    }

    /// Number of a token that is known.
    #[must_use]
    pub fn known(&self, id: &TokenId) -> Option<u32> {
        self.ids.get(id).copied()
    }

    /// A connection stands and carries these tokens: their books are unknown until a whole one comes.
    pub fn connected(&mut self, at: i64, connection: u32, tokens: &[TokenId]) {
        for id in tokens {
            let Some(number) = self.token(id, connection) else {
                self.skips.count(TOO_MANY, || id.to_string());
                continue;
            };
            self.attach(number, connection, at);
            if let Some(token) = self.tokens.get_mut(number as usize) {
                token.live.lost();
                token.live.connected(Timestamp::from_millis(at));
            }
            self.hide(number, at);
        }
    }

    /// From `since` on messages of these tokens may be missing.
    pub fn gap(&mut self, since: i64, at: i64, tokens: &[TokenId]) {
        for id in tokens {
            let Some(number) = self.known(id) else {
                continue;
            };
            let Some(token) = self.tokens.get_mut(number as usize) else {
                continue;
            };
            if token.shown && since < at {
                let mut hide = BookEvent::new(TOUCH, number, since, 0);
                hide.meta |= STEP | MESSAGE;
                self.hides.push(hide);
            }
            token.live.lost();
            self.hide(number, at);
        }
    }

    /// Something that could not be read: whose changes may be lost is not believed until a whole book.
    pub fn fault(
        &mut self,
        at: i64,
        connection: u32,
        fault: &Fault,
        first: impl FnOnce() -> String,
    ) {
        self.skips.count(fault.cause, first);
        let now = Timestamp::from_millis(at);
        let doubted: Vec<u32> = match &fault.tokens {
            Some(ids) => ids.iter().filter_map(|id| self.known(id)).collect(),
            None => (0_u32..)
                .zip(&self.tokens)
                .filter(|(_, token)| token.connection == Some(connection))
                .map(|(number, _)| number)
                .collect(),
        };
        for number in doubted {
            let Some(token) = self.tokens.get_mut(number as usize) else {
                continue;
            };
            // What is built from best prices mends itself with the next of them.
            if token.live.doubt(now) {
                self.hide(number, at);
            }
        }
    }

    /// Takes a message that connection `connection` told at `at`, which never goes back.
    pub fn message(
        &mut self,
        at: i64,
        connection: u32,
        message: &Message,
        first: impl FnOnce() -> String,
    ) {
        self.messages += 1;
        let begin = self.events.len();
        let mut dropped = None;
        match &message.said {
            Said::Whole {
                served,
                asked_for,
                tick,
            } => match self.of(&served.token, connection, at, message) {
                Some(number) => {
                    if let Some(tick) = tick {
                        self.tick(number, *tick, at);
                    }
                    dropped = self.whole(number, served, *asked_for, message.at, at);
                }
                None => dropped = Some(TOO_MANY),
            },
            Said::Changes(changes) => {
                let mut rest = changes.as_slice();
                let mut two = (None, None);
                while let Some(one) = rest.first() {
                    // All changes of a token at once: they are one step of its book.
                    let run = rest.iter().take_while(|c| c.token == one.token).count();
                    let (same, others) = rest.split_at(run);
                    rest = others;
                    let Some(number) = self.of(&one.token, connection, at, message) else {
                        dropped = Some(TOO_MANY);
                        continue;
                    };
                    two = match two {
                        (None, _) => (Some(number), None),
                        (Some(a), None) if a != number => (Some(a), Some(number)),
                        two => two,
                    };
                    dropped = self.changes(number, same, message.at, at).or(dropped);
                }
                if let (Some(a), Some(b)) = two {
                    self.pair(a, b);
                }
            }
            Said::Trade { token, side, level } => match self.of(token, connection, at, message) {
                Some(number) => {
                    let place = i64::try_from(self.prints.len()).unwrap_or(i64::MAX);
                    self.prints.push(RecordedPrint {
                        taker: *side,
                        price: level.price,
                        shares: level.size,
                        at: message.at,
                    });
                    self.events.push(BookEvent::new(PRINT, number, at, place));
                }
                None => dropped = Some(TOO_MANY),
            },
            Said::Tick { token, new } => match self.of(token, connection, at, message) {
                Some(number) => self.tick(number, *new, at),
                None => dropped = Some(TOO_MANY),
            },
            Said::Resolved { winner, .. } => self.announced.push(Announced {
                at: Timestamp::from_millis(at),
                winner: winner.clone(),
            }),
            Said::Other => {}
        }
        if let Some(cause) = dropped {
            self.skips.count(cause, first);
        }
        self.end_message(begin, connection, at);
    }

    /// Marks the end of a message, or that something was heard.
    fn end_message(&mut self, begin: usize, connection: u32, at: i64) {
        if self.events.len() > begin {
            if let Some(last) = self.events.last_mut() {
                last.meta |= MESSAGE;
            }
            return;
        }
        let heard = BookEvent::new(HEARD, connection, at, 0);
        if self.events.last() != Some(&heard) {
            self.events.push(heard);
        }
    }

    /// A turn of terms, now.
    fn turn(&mut self, turn: RawTurn, at: i64) {
        let place = i64::try_from(self.turns.len()).unwrap_or(i64::MAX);
        self.turns.push(turn);
        self.events.push(BookEvent::new(TURN, 0, at, place));
    }

    fn tick(&mut self, token: u32, tick: Price, at: i64) {
        let told = RawTurn {
            token,
            tick,
            told: true,
        };
        let Some(own) = self.tokens.get_mut(token as usize) else {
            return;
        };
        // A collector repeats it with each book.
        if own.told_tick.replace(tick) != Some(tick) {
            self.turn(told, at);
        }
    }

    /// The token's number, told of by this connection.
    fn of(&mut self, id: &TokenId, connection: u32, at: i64, message: &Message) -> Option<u32> {
        let number = self.token(id, connection)?;
        let token = self.tokens.get_mut(number as usize)?;
        if token.condition.is_none() {
            token.condition.clone_from(&message.condition);
        }
        if token.connection != Some(connection) {
            let moved = token.connection.is_some();
            if moved {
                token.live.lost();
            }
            self.attach(number, connection, at);
            if moved {
                self.hide(number, at);
            }
        }
        Some(number)
    }

    fn attach(&mut self, number: u32, connection: u32, at: i64) {
        let Some(token) = self.tokens.get_mut(number as usize) else {
            return;
        };
        if token.connection != Some(connection) {
            token.connection = Some(connection);
            let at = at.max(token.last_at);
            let event = BookEvent::new(CONNECTED, number, at, i64::from(connection));
            self.events.push(event);
        }
    }

    fn pair(&mut self, a: u32, b: u32) {
        for (one, other) in [(a, b), (b, a)] {
            if let Some(token) = self.tokens.get_mut(one as usize) {
                token.partner.get_or_insert(other);
            }
        }
    }

    /// Hides a token that is shown.
    fn hide(&mut self, number: u32, at: i64) {
        let Some(token) = self.tokens.get_mut(number as usize) else {
            return;
        };
        if std::mem::take(&mut token.shown) {
            let at = at.max(token.last_at);
            token.last_at = at;
            let mut event = BookEvent::new(TOUCH, number, at, 0);
            event.meta |= STEP | MESSAGE;
            self.events.push(event);
        }
    }

    fn whole(
        &mut self,
        number: u32,
        served: &ServedBook,
        asked_for: bool,
        made_at: Timestamp,
        at: i64,
    ) -> Option<&'static str> {
        let token = self.tokens.get_mut(number as usize)?;
        let now = Timestamp::from_millis(at);
        token.live.give_up(now);
        let before = match &token.rebuilt {
            Some(rebuilt) => sides(rebuilt.ladders()),
            None => sides(token.live.ladders()),
        };
        match token.live.replace(served, made_at, now) {
            Effect::Late => return Some(LATE),
            Effect::Broken => {
                self.hide(number, at);
                return Some(BROKEN);
            }
            Effect::Hidden | Effect::Changed | Effect::Live => {}
        }
        token.rebuilt = None;
        if token.first.is_none() {
            token.first = Some([served.bids.clone(), served.asks.clone()]);
        }
        let after = sides(token.live.ladders());
        let shown = token.live.is_live();
        let mut out = Out::new(token, number, at, &mut self.events);
        out.push(WHOLE, i64::from(asked_for));
        for (side, (before, after)) in [Side::Buy, Side::Sell]
            .into_iter()
            .zip(before.iter().zip(&after))
        {
            out.difference(side, before, after);
        }
        let finer = out.end(shown);
        self.finer(number, finer, at);
        None
    }

    fn changes(
        &mut self,
        number: u32,
        changes: &[LevelChange],
        made_at: Timestamp,
        at: i64,
    ) -> Option<&'static str> {
        let token = self.tokens.get_mut(number as usize)?;
        let now = Timestamp::from_millis(at);
        let mut out = Out::new(token, number, at, &mut self.events);
        if let Some(mut rebuilt) = out.token.rebuilt.take() {
            // Kept for a whole book that was made before them.
            out.token.live.change(made_at, changes.iter(), now);
            let shown = rebuilt.change(made_at, changes, &mut |side, price, size| {
                out.level(side, price, size);
            });
            out.token.rebuilt = Some(rebuilt);
            let shown = match shown {
                Some(shown) => shown,
                None => return Some(LATE),
            };
            out.token.was_rebuilt |= shown;
            let finer = out.end(shown);
            self.finer(number, finer, at);
            return None;
        }
        let gave_up = out.token.live.give_up(now);
        let waited = out.token.live.is_waiting();
        match out.token.live.change(made_at, changes.iter(), now) {
            Effect::Late => Some(LATE),
            Effect::Broken => {
                self.hide(number, at);
                Some(BROKEN)
            }
            Effect::Hidden if waited => {
                self.hide(number, at);
                Some(if gave_up { BROKEN } else { WAITING })
            }
            Effect::Hidden | Effect::Changed | Effect::Live => {
                for change in changes {
                    out.level(change.side, change.price, change.size);
                }
                let shown = out.token.live.is_live();
                let finer = out.end(shown);
                self.finer(number, finer, at);
                None
            }
        }
    }

    /// A price that the step known until now does not fit.
    fn finer(&mut self, token: u32, finer: Option<u32>, at: i64) {
        if let Some(tick) = finer.and_then(|tick| Price::from_micros(tick).ok()) {
            self.turn(
                RawTurn {
                    token,
                    tick,
                    told: false,
                },
                at,
            );
        }
    }
}

fn sides((bids, asks): (&super::Ladder, &super::Ladder)) -> [Vec<Level>; 2] {
    [bids.levels().to_vec(), asks.levels().to_vec()]
}

/// Writes one step of a token's book.
struct Out<'a> {
    token: &'a mut Token,
    number: u32,
    at: i64,
    begin: usize,
    events: &'a mut Vec<BookEvent>,
    finer: Option<u32>,
}

impl<'a> Out<'a> {
    fn new(token: &'a mut Token, number: u32, at: i64, events: &'a mut Vec<BookEvent>) -> Self {
        // Two files may tell of one token: its own time does not go back.
        let at = at.max(token.last_at);
        token.last_at = at;
        Out {
            token,
            number,
            at,
            begin: events.len(),
            events,
            finer: None,
        }
    }

    fn push(&mut self, kind: u32, size: i64) {
        let event = BookEvent::new(kind, self.number, self.at, size);
        self.events.push(event);
    }

    fn level(&mut self, side: Side, price: Price, size: Shares) {
        // As in a ladder: nothing can trade there.
        if price == Price::ZERO || price == Price::ONE {
            return;
        }
        let micros = price.micros();
        self.token.step = gcd(self.token.step, micros);
        if !micros.is_multiple_of(self.token.tick) {
            let step = self.token.step;
            let fits = STEPS.into_iter().find(|tick| step.is_multiple_of(*tick));
            self.token.tick = fits.unwrap_or(super::message::FINEST);
            self.finer = Some(self.token.tick);
        }
        let kind = match side {
            Side::Buy => BID,
            Side::Sell => ASK,
        };
        let mut event = BookEvent::new(kind, self.number, self.at, size.micros());
        event.slot = micros;
        self.events.push(event);
    }

    /// What turns the levels `before` into those `after`, both worst first.
    fn difference(&mut self, side: Side, before: &[Level], after: &[Level]) {
        let better = |a: Price, b: Price| match side {
            Side::Buy => a > b,
            Side::Sell => a < b,
        };
        let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
        loop {
            match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(gone), None) => {
                    self.level(side, gone.price, Shares::ZERO);
                    old.next();
                }
                (Some(gone), Some(here)) if better(here.price, gone.price) => {
                    self.level(side, gone.price, Shares::ZERO);
                    old.next();
                }
                (Some(known), Some(here)) if known.price == here.price => {
                    if known.size != here.size {
                        self.level(side, here.price, here.size);
                    }
                    old.next();
                    new.next();
                }
                (_, Some(here)) => {
                    self.level(side, here.price, here.size);
                    new.next();
                }
            }
        }
    }

    /// Marks the end of the step; gives a finer price step, where one turned up.
    fn end(mut self, shown: bool) -> Option<u32> {
        if self.events.len() == self.begin {
            self.push(TOUCH, 0);
        }
        if let Some(last) = self.events.last_mut() {
            last.meta |= STEP | if shown { SHOWN } else { 0 };
        }
        self.token.shown = shown;
        self.token.ever_shown |= shown;
        self.finer
    }
}

/// Greatest common divisor.
fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

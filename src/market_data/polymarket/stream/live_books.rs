//! The live books of one connection: messages go in, events come out. No I/O and no clock.

use std::collections::{BTreeMap, HashMap};

use super::live_book::{Effect, LiveBook};
use crate::domain::{Book, Timestamp, TokenId};
use crate::market_data::polymarket::ws_messages::{self, FrameError, LevelChange, MarketMessage};
use crate::market_data::{StreamEvent, StreamHealth};

/// Causes that are counted one by one; the rest is counted together. Some hold the venue's words.
const CAUSES: usize = 64;
/// The cause of a message that tells what is known already.
pub const LATE: &str = "ws message: older than the book";

/// The books of the tokens that one connection follows.
#[derive(Debug, Default)]
pub struct LiveBooks {
    books: HashMap<TokenId, LiveBook>,
    connected: bool,
    heard: Option<Timestamp>,
    /// When a message last came. An answer to a `PING` is none: an overloaded exchange has been seen to
    /// go on answering while it told no changes any more.
    told: Option<Timestamp>,
    last_lost: Option<String>,
    messages: u64,
    reconnects: u64,
    resyncs: u64,
    dropped: BTreeMap<String, u64>,
    /// No book wants anything before this.
    next_check: Option<Timestamp>,
}

impl LiveBooks {
    /// Follows these tokens too.
    pub fn follow(&mut self, tokens: &[TokenId], now: Timestamp) {
        for token in tokens {
            let mut book = LiveBook::new(token.clone());
            if self.connected {
                book.connected(now);
            }
            self.books.entry(token.clone()).or_insert(book);
        }
        self.check_by(now);
    }

    /// Follows these no more.
    pub fn unfollow(&mut self, tokens: &[TokenId]) {
        for token in tokens {
            self.books.remove(token);
        }
    }

    /// The connection is there; books come now.
    pub fn connected(&mut self, now: Timestamp) {
        self.connected = true;
        self.heard = Some(now);
        self.told = Some(now);
        for book in self.books.values_mut() {
            book.connected(now);
        }
        self.check_by(now);
    }

    /// Something came over the connection, so it stands.
    pub fn heard(&mut self, now: Timestamp) {
        self.heard = Some(now);
    }

    /// The connection is gone: no book is current any more.
    pub fn lost(&mut self, reason: &str, events: &mut Vec<StreamEvent>) {
        self.reconnects += 1;
        self.last_lost = Some(reason.to_owned());
        self.end(events);
    }

    /// The connection is not wanted any more.
    pub fn end(&mut self, events: &mut Vec<StreamEvent>) {
        self.connected = false;
        let mut tokens = Vec::new();
        for (token, book) in &mut self.books {
            book.lost();
            if book.take_back() {
                tokens.push(token.clone());
            }
        }
        if !tokens.is_empty() {
            tokens.sort();
            events.push(StreamEvent::Broken { tokens });
        }
    }

    /// Reads one text frame heard at `now`.
    pub fn frame(&mut self, text: &str, now: Timestamp, events: &mut Vec<StreamEvent>) {
        self.heard = Some(now);
        for message in ws_messages::frame(text) {
            self.read(message, now, events);
        }
    }

    /// Takes one message of a frame, as [`ws_messages::frame`] read it.
    pub fn read(
        &mut self,
        message: Result<MarketMessage, FrameError>,
        now: Timestamp,
        events: &mut Vec<StreamEvent>,
    ) {
        self.messages += 1;
        self.told = Some(now);
        match message {
            Ok(message) => self.message(message, now, events),
            Err(FrameError::NotJson(_)) => {
                self.drop_for("ws frame: not JSON");
                // Whose change it was cannot be known.
                let all: Vec<TokenId> = self.books.keys().cloned().collect();
                self.doubt(all, now, events);
            }
            Err(FrameError::Message {
                kind,
                fault,
                tokens,
            }) => {
                self.drop_for(&format!("ws {kind}: {fault}"));
                if matches!(kind.as_str(), "book" | "price_change") {
                    self.doubt(tokens, now, events);
                }
            }
        }
    }

    /// Books that miss a change, because it could not be read, are asked for anew.
    fn doubt(&mut self, tokens: Vec<TokenId>, now: Timestamp, events: &mut Vec<StreamEvent>) {
        let mut broken = Vec::new();
        for token in tokens {
            let Some(book) = self.books.get_mut(&token) else {
                continue;
            };
            book.doubt(now);
            if book.take_back() {
                broken.push(token);
            }
        }
        if !broken.is_empty() {
            broken.sort();
            events.push(StreamEvent::Broken { tokens: broken });
        }
        self.check_by(now);
    }

    /// Something that is no text: counted.
    pub fn odd(&mut self, what: &str, now: Timestamp) {
        self.heard = Some(now);
        self.drop_for(what);
    }

    fn message(&mut self, message: MarketMessage, now: Timestamp, events: &mut Vec<StreamEvent>) {
        match message {
            MarketMessage::Book(served) => {
                let Some(made_at) = served.timestamp else {
                    return self.drop_for("ws book: timestamp is missing");
                };
                // One that is no longer followed may still be on its way.
                if let Some(book) = self.books.get_mut(&served.token) {
                    let effect = book.replace(&served, made_at, now);
                    self.took(&served.token, effect, now, events);
                }
            }
            MarketMessage::PriceChange { changes, at, .. } => {
                let mut rest = changes.as_slice();
                while let Some(first) = rest.first() {
                    // All changes of a token at once: they are one step of its book.
                    let run = rest
                        .iter()
                        .take_while(|change| change.token == first.token)
                        .count();
                    let (same, others) = rest.split_at(run);
                    self.levels(&first.token, at, same, now, events);
                    rest = others;
                }
            }
            MarketMessage::LastTradePrice {
                token,
                side,
                level,
                at,
                transaction,
            } => {
                if self.books.contains_key(&token) {
                    events.push(StreamEvent::Trade {
                        token,
                        side,
                        level,
                        at,
                        transaction,
                    });
                }
            }
            MarketMessage::TickSizeChange {
                token,
                old,
                new,
                at,
            } => {
                if self.books.contains_key(&token) {
                    events.push(StreamEvent::TickSize {
                        token,
                        old,
                        new,
                        at,
                    });
                }
            }
            MarketMessage::MarketResolved {
                condition_id,
                winner,
                outcome,
                at,
            } => events.push(StreamEvent::Resolved {
                condition_id,
                winner,
                outcome,
                at,
            }),
            // Every price change carries the best prices of its own moment; those of this message
            // may be of another and would make sound books look wrong.
            MarketMessage::BestBidAsk { .. } => {}
            MarketMessage::NewMarket { .. } => self.drop_for("ws new_market: not needed"),
            MarketMessage::Unknown(kind) => {
                self.drop_for(&format!("ws message of unknown kind `{kind}`"));
            }
        }
    }

    fn levels(
        &mut self,
        token: &TokenId,
        at: Timestamp,
        changes: &[LevelChange],
        now: Timestamp,
        events: &mut Vec<StreamEvent>,
    ) {
        // A message covers both tokens of a market, of which one may not be followed.
        if let Some(book) = self.books.get_mut(token) {
            let effect = book.change(at, changes.iter(), now);
            self.took(token, effect, now, events);
        }
    }

    fn took(
        &mut self,
        token: &TokenId,
        effect: Effect,
        now: Timestamp,
        events: &mut Vec<StreamEvent>,
    ) {
        match effect {
            Effect::Late => self.drop_for(LATE),
            Effect::Hidden => self.check_by(now),
            Effect::Changed => events.push(StreamEvent::BookChanged(token.clone())),
            Effect::Live => events.push(StreamEvent::Live {
                token: token.clone(),
            }),
            Effect::Broken => {
                self.check_by(now);
                if self.books.get_mut(token).is_some_and(LiveBook::take_back) {
                    events.push(StreamEvent::Broken {
                        tokens: vec![token.clone()],
                    });
                }
            }
        }
    }

    /// The tokens whose whole book must be asked for again now, because the stream contradicted it
    /// or never sent it. Sets aside books that disagree with the stream for too long.
    pub fn resync(&mut self, now: Timestamp, events: &mut Vec<StreamEvent>) -> Vec<TokenId> {
        if !self.connected || self.next_check.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut due = Vec::new();
        let mut broken = Vec::new();
        let mut next: Option<Timestamp> = None;
        for (token, book) in &mut self.books {
            book.give_up(now);
            if book.take_back() {
                broken.push(token.clone());
            }
            if book.ask_at().is_some_and(|at| at <= now) {
                book.asked(now);
                due.push(token.clone());
            }
            // An unsettled book is looked at again each time until it settles or is given up.
            let wish = if book.is_unsettled() {
                Some(now.plus_millis(100))
            } else {
                book.ask_at()
            };
            next = match (next, wish) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        self.next_check = next;
        if !broken.is_empty() {
            broken.sort();
            events.push(StreamEvent::Broken { tokens: broken });
        }
        self.resyncs += due.len() as u64;
        due.sort();
        due
    }

    fn check_by(&mut self, moment: Timestamp) {
        self.next_check = Some(self.next_check.map_or(moment, |at| at.min(moment)));
    }

    /// The token's book; `None` unless it is live.
    #[must_use]
    pub fn book(&self, token: &TokenId) -> Option<Book> {
        self.books.get(token)?.book(self.told?)
    }

    /// The token's state, right or wrong.
    #[cfg(test)]
    pub fn get(&self, token: &TokenId) -> Option<&LiveBook> {
        self.books.get(token)
    }

    /// Messages dropped for this cause.
    #[cfg(test)]
    pub fn dropped_for(&self, cause: &str) -> u64 {
        self.dropped.get(cause).copied().unwrap_or(0)
    }

    /// The figures of this connection.
    #[must_use]
    pub fn health(&self) -> StreamHealth {
        let followed = self.books.len() as u64;
        let live = self.books.values().filter(|book| book.is_live()).count() as u64;
        StreamHealth {
            connections: u64::from(self.connected),
            followed,
            live,
            broken: followed - live,
            reconnects: self.reconnects,
            resyncs: self.resyncs,
            messages: self.messages,
            dropped: self.dropped.clone(),
            last_message: self.heard,
            last_lost: self.last_lost.clone(),
        }
    }

    fn drop_for(&mut self, cause: &str) {
        let known = self.dropped.len() < CAUSES || self.dropped.contains_key(cause);
        let cause = if known { cause } else { "ws: other causes" };
        if let Some(count) = self.dropped.get_mut(cause) {
            *count += 1;
        } else {
            self.dropped.insert(cause.to_owned(), 1);
        }
    }
}

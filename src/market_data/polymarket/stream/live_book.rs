//! The live book of one token: a whole book, then changes, checked against the best prices that the
//! venue tells with each.
//!
//! What happens at once at the exchange arrives as several messages of one millisecond, each telling
//! the best prices **after all of it**. So a book that disagrees in between is only unsettled: it is
//! not shown, and it is wrong when it still disagrees once a message of a later moment arrives.
//! Recordings agree with this: of 206,365 book changes in six hockey markets 420 were unsettled, and
//! only 20 outlived their moment, 14 of them because the recording began without whole books.

use super::ladder::Ladder;
use crate::domain::{Book, BookFeed, BookOrigin, Side, Timestamp, TokenId};
use crate::market_data::polymarket::clob_rows::ServedBook;
use crate::market_data::polymarket::ws_messages::{Best, LevelChange};

/// A book may disagree with the told best prices for so long when nothing more arrives, ms.
const SETTLE_MS: i64 = 1_000;
/// A message that is older than the book by so much is none that was overtaken: the exchange's clock
/// was set back, or the book is not what it seems, ms. In recordings no message is late by more than
/// a moment.
const CLOCK_SET_BACK_MS: i64 = 10_000;
/// Changes kept while a whole book is awaited.
const PENDING: usize = 2_048;
/// A whole book is asked for again after this, doubled each time, ms.
const ASK_AGAIN_MS: i64 = 15_000;
/// Longest wait before a whole book is asked for again, ms.
const ASK_AGAIN_MAX_MS: i64 = 300_000;
/// A book that stayed live for so long has a clean record again, ms.
const STEADY_MS: i64 = 60_000;

/// What a message did to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It was no change: older than what is known.
    Late,
    /// It waits for a whole book, or for the rest of its burst.
    Hidden,
    /// The live book changed.
    Changed,
    /// The book is live now and was not before.
    Live,
    /// The book turned out wrong; a whole one must be asked for.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No whole book since the connection, or since it turned out wrong.
    Waiting,
    /// Agrees with all that was told.
    Settled,
    /// Disagrees with what a message of `told_at` told, which others of that moment may mend.
    Unsettled {
        told_at: Timestamp,
        since: Timestamp,
    },
}

/// One token's book as a stream keeps it.
#[derive(Debug)]
pub struct LiveBook {
    token: TokenId,
    bids: Ladder,
    asks: Ladder,
    state: State,
    /// Whether those who listen were told that it is live.
    announced: bool,
    /// The exchange's time of the last change; `None` before the first whole book of a connection.
    changed_at: Option<Timestamp>,
    since_snapshot: Timestamp,
    best_bid: Best,
    best_ask: Best,
    pending: Vec<(Timestamp, LevelChange)>,
    /// Time of the latest change that `pending` had no room for.
    forgotten: Option<Timestamp>,
    /// Times that a whole book was asked for anew.
    asked: u32,
    /// When to ask for a whole book, by the machine's clock.
    ask_at: Option<Timestamp>,
    live_since: Timestamp,
}

impl LiveBook {
    /// Without a book yet.
    #[must_use]
    pub fn new(token: TokenId) -> Self {
        LiveBook {
            token,
            bids: Ladder::new(Side::Buy),
            asks: Ladder::new(Side::Sell),
            state: State::Waiting,
            announced: false,
            changed_at: None,
            since_snapshot: Timestamp::default(),
            best_bid: Best::NotTold,
            best_ask: Best::NotTold,
            pending: Vec::new(),
            forgotten: None,
            asked: 0,
            ask_at: None,
            live_since: Timestamp::default(),
        }
    }

    /// The book, known to be current when its connection last told anything, at `heard`; `None` unless it is live and agrees with all that
    /// was told.
    #[must_use]
    pub fn book(&self, heard: Timestamp) -> Option<Book> {
        let feed = BookFeed::Streamed {
            since_snapshot: self.since_snapshot,
        };
        (self.state == State::Settled).then(|| {
            Book::new(
                self.token.clone(),
                self.bids.levels().to_vec(),
                self.asks.levels().to_vec(),
                heard,
                BookOrigin::Venue,
            )
            .with_changed_at(self.changed_at.unwrap_or(heard))
            .with_feed(feed)
        })
    }

    /// True when [`LiveBook::book`] gives one.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == State::Settled
    }

    /// True when there is no whole book, or it turned out wrong: changes are only kept.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.state == State::Waiting
    }

    /// The sides as they stand, right or wrong: bids and asks, worst first.
    #[must_use]
    pub fn ladders(&self) -> (&Ladder, &Ladder) {
        (&self.bids, &self.asks)
    }

    /// The exchange's time of the last change.
    #[cfg(test)]
    pub fn changed_at(&self) -> Option<Timestamp> {
        self.changed_at
    }

    /// A whole book arrived at `now`. One that is older than what is known says nothing.
    pub fn replace(&mut self, served: &ServedBook, made_at: Timestamp, now: Timestamp) -> Effect {
        if self.changed_at.is_some_and(|known| made_at < known) {
            return self.late(made_at, now);
        }
        self.bids.replace(&served.bids);
        self.asks.replace(&served.asks);
        self.changed_at = Some(made_at);
        self.since_snapshot = made_at;
        (self.best_bid, self.best_ask) = (Best::NotTold, Best::NotTold);
        let pending = std::mem::take(&mut self.pending);
        let gap = self.forgotten.take().is_some_and(|at| at >= made_at);
        if self.state == State::Waiting {
            if gap {
                return Effect::Hidden;
            }
            // Totals, so that a change which the book holds already changes nothing.
            for (at, change) in pending.iter().filter(|(at, _)| *at >= made_at) {
                self.set(*at, change);
            }
        }
        self.settle(now)
    }

    /// Levels changed at `at`, by the exchange's clock; heard at `now`.
    pub fn change<'a>(
        &mut self,
        at: Timestamp,
        changes: impl Iterator<Item = &'a LevelChange>,
        now: Timestamp,
    ) -> Effect {
        if self.state == State::Waiting {
            self.keep(at, changes);
            return Effect::Hidden;
        }
        if self.changed_at.is_some_and(|known| at < known) {
            let effect = self.late(at, now);
            if effect == Effect::Broken {
                self.keep(at, changes);
            }
            return effect;
        }
        if matches!(self.state, State::Unsettled { told_at, .. } if at > told_at) {
            self.spoil(now);
            self.keep(at, changes);
            return Effect::Broken;
        }
        for change in changes {
            self.set(at, change);
        }
        self.settle(now)
    }

    /// A change of it could not be read, so it may be wrong. True when it was live until now.
    pub fn doubt(&mut self, now: Timestamp) -> bool {
        let held = self.state != State::Waiting;
        if held {
            self.spoil(now);
        }
        held
    }

    /// Gives up on a book that has been unsettled for too long. True when it was one.
    pub fn give_up(&mut self, now: Timestamp) -> bool {
        let overdue = matches!(self.state,
            State::Unsettled { since, .. } if now.since(since) >= SETTLE_MS);
        if overdue {
            self.spoil(now);
        }
        overdue
    }

    /// The connection is there; the venue sends a whole book unasked.
    pub fn connected(&mut self, now: Timestamp) {
        self.ask_at = Some(now.plus_millis(ASK_AGAIN_MS));
    }

    /// The connection is gone, and with it all that was known.
    pub fn lost(&mut self) {
        self.state = State::Waiting;
        self.changed_at = None;
        self.pending.clear();
        self.forgotten = None;
        self.asked = 0;
        self.ask_at = None;
    }

    /// True when listeners believe the book live and it is not any more, an unsettled one excepted:
    /// they are to be told, once.
    pub fn take_back(&mut self) -> bool {
        self.state == State::Waiting && std::mem::replace(&mut self.announced, false)
    }

    /// When to ask for a whole book.
    #[must_use]
    pub fn ask_at(&self) -> Option<Timestamp> {
        self.ask_at
    }

    /// True when an unsettled book has to be looked at again.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        matches!(self.state, State::Unsettled { .. })
    }

    /// A whole book is being asked for.
    pub fn asked(&mut self, now: Timestamp) {
        self.asked = self.asked.saturating_add(1);
        let doublings = self.asked.saturating_sub(1).min(10);
        let wait = (ASK_AGAIN_MS << doublings).min(ASK_AGAIN_MAX_MS);
        self.ask_at = Some(now.plus_millis(wait));
        if self.asked > 1 {
            // Whatever comes is better than a time that nothing reaches.
            self.changed_at = None;
        }
    }

    fn spoil(&mut self, now: Timestamp) {
        self.state = State::Waiting;
        self.pending.clear();
        self.forgotten = None;
        if now.since(self.live_since) >= STEADY_MS {
            self.asked = 0;
        }
        if self.asked == 0 {
            self.ask_at = Some(now);
        } else {
            let doublings = self.asked.saturating_sub(1).min(10);
            let wait = (ASK_AGAIN_MS << doublings).min(ASK_AGAIN_MAX_MS);
            self.ask_at = Some(now.plus_millis(wait));
        }
    }

    /// A message of a time before the book's. If all that follows were left out as late too, a book
    /// that nobody changes any more would go on to look live.
    fn late(&mut self, at: Timestamp, now: Timestamp) -> Effect {
        let far = self
            .changed_at
            .is_some_and(|known| known.since(at) >= CLOCK_SET_BACK_MS);
        if !far || self.state == State::Waiting {
            return Effect::Late;
        }
        self.spoil(now);
        Effect::Broken
    }

    fn keep<'a>(&mut self, at: Timestamp, changes: impl Iterator<Item = &'a LevelChange>) {
        if self.pending.len() >= PENDING {
            self.forgotten = self.pending.last().map(|(at, _)| *at);
            self.pending.clear();
        }
        self.pending
            .extend(changes.map(|change| (at, change.clone())));
    }

    fn set(&mut self, at: Timestamp, change: &LevelChange) {
        self.ladder(change.side).set(change.price, change.size);
        (self.best_bid, self.best_ask) = (change.best_bid, change.best_ask);
        self.changed_at = self.changed_at.max(Some(at));
    }

    fn ladder(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn settle(&mut self, now: Timestamp) -> Effect {
        let (bid, ask) = (self.bids.best(), self.asks.best());
        let crossed = matches!((bid, ask), (Some(bid), Some(ask)) if bid >= ask);
        let was = self.state;
        if crossed || !self.best_bid.agrees(bid) || !self.best_ask.agrees(ask) {
            let since = match was {
                State::Unsettled { since, .. } => since,
                _ => now,
            };
            let told_at = self.changed_at.unwrap_or(now);
            self.state = State::Unsettled { told_at, since };
            return Effect::Hidden;
        }
        self.state = State::Settled;
        self.ask_at = None;
        if was == State::Waiting {
            self.live_since = now;
        }
        if std::mem::replace(&mut self.announced, true) {
            Effect::Changed
        } else {
            Effect::Live
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Level, Price, Shares};

    fn p(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    fn ms(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn levels(side: &[(&str, u32)]) -> Vec<Level> {
        side.iter()
            .map(|(price, size)| Level {
                price: p(price),
                size: Shares::whole(*size),
            })
            .collect()
    }

    fn served(bids: &[(&str, u32)], asks: &[(&str, u32)]) -> ServedBook {
        ServedBook {
            token: TokenId::new("7"),
            condition_id: None,
            bids: levels(bids),
            asks: levels(asks),
            timestamp: None,
        }
    }

    fn told(price: &str) -> Best {
        if price.is_empty() {
            Best::Nobody
        } else {
            Best::At(p(price))
        }
    }

    /// A change that tells the best bid and the best ask; "" is nobody.
    fn change(side: Side, price: &str, size: u32, bid: &str, ask: &str) -> LevelChange {
        LevelChange {
            token: TokenId::new("7"),
            side,
            price: p(price),
            size: Shares::whole(size),
            best_bid: told(bid),
            best_ask: told(ask),
        }
    }

    fn shown(book: &LiveBook) -> Option<(String, String)> {
        let side = |levels: &[Level]| {
            let words = levels.iter().map(|l| format!("{}x{}", l.price, l.size));
            words.collect::<Vec<_>>().join(" ")
        };
        let book = book.book(ms(9_000))?;
        Some((side(book.bids()), side(book.asks())))
    }

    fn is(bids: &str, asks: &str) -> Option<(String, String)> {
        Some((bids.to_owned(), asks.to_owned()))
    }

    /// Live since 100 with bids 0.40x5 and asks 0.50x6, 0.60x7.
    fn live() -> LiveBook {
        let mut book = LiveBook::new(TokenId::new("7"));
        book.connected(ms(0));
        let first = served(&[("0.40", 5)], &[("0.60", 7), ("0.50", 6)]);
        assert_eq!(book.replace(&first, ms(100), ms(110)), Effect::Live);
        book
    }

    #[test]
    fn it_is_shown_from_its_first_whole_book_on_with_both_times() {
        let mut book = LiveBook::new(TokenId::new("7"));
        assert_eq!(shown(&book), None);
        let early = change(Side::Buy, "0.41", 1, "0.41", "0.50");
        assert_eq!(
            book.change(ms(90), [&early].into_iter(), ms(95)),
            Effect::Hidden
        );
        assert_eq!(shown(&book), None, "changes alone are no book");
        let book = live();
        assert_eq!(shown(&book), is("0.4x5", "0.5x6 0.6x7"));
        let seen = book.book(ms(9_000)).unwrap();
        assert_eq!((seen.at, seen.changed_at), (ms(9_000), ms(100)));
        assert_eq!(
            seen.feed,
            BookFeed::Streamed {
                since_snapshot: ms(100)
            }
        );
    }

    #[test]
    fn a_clock_that_was_set_back_freezes_no_book() {
        let at = |seconds: i64| ms(seconds * 1_000);
        let made = |seconds| {
            let mut book = LiveBook::new(TokenId::new("7"));
            book.connected(ms(0));
            let first = served(&[("0.40", 5)], &[("0.50", 6)]);
            assert_eq!(book.replace(&first, at(seconds), at(100)), Effect::Live);
            book
        };
        let more = change(Side::Buy, "0.41", 9, "0.41", "0.50");
        let whole = served(&[("0.41", 9)], &[("0.50", 6)]);
        // Overtaken by a moment: left out.
        let mut book = made(100);
        let overtaken = book.change(ms(90_001), [&more].into_iter(), at(101));
        assert_eq!(overtaken, Effect::Late);
        assert_eq!(book.replace(&whole, ms(90_001), at(101)), Effect::Late);
        assert_eq!(shown(&book), is("0.4x5", "0.5x6"));
        // Ten seconds or more: not shown until a whole book comes.
        for whole_first in [false, true] {
            let mut book = made(100);
            let effect = if whole_first {
                book.replace(&whole, at(90), at(101))
            } else {
                book.change(at(90), [&more].into_iter(), at(101))
            };
            assert_eq!(effect, Effect::Broken);
            assert_eq!(shown(&book), None);
            assert_eq!(book.ask_at(), Some(at(101)));
            // The first answer may be an old one that was kept somewhere; the second is believed.
            book.asked(at(101));
            assert_eq!(book.replace(&whole, at(91), at(102)), Effect::Late);
            assert_eq!(shown(&book), None);
            book.asked(at(116));
            assert_eq!(book.replace(&whole, at(105), at(117)), Effect::Changed);
            assert_eq!(shown(&book), is("0.41x9", "0.5x6"));
        }
    }

    #[test]
    fn changes_are_totals_so_that_repeating_one_changes_nothing() {
        let mut book = live();
        let more = change(Side::Buy, "0.41", 9, "0.41", "0.50");
        for _ in 0..3 {
            assert_eq!(
                book.change(ms(120), [&more].into_iter(), ms(130)),
                Effect::Changed
            );
            assert_eq!(shown(&book), is("0.41x9 0.4x5", "0.5x6 0.6x7"));
        }
        let gone = change(Side::Sell, "0.50", 0, "0.41", "0.60");
        assert_eq!(
            book.change(ms(121), [&gone].into_iter(), ms(131)),
            Effect::Changed
        );
        assert_eq!(shown(&book), is("0.41x9 0.4x5", "0.6x7"));
    }

    #[test]
    fn what_is_older_than_the_book_changes_nothing() {
        let mut book = live();
        let old = change(Side::Sell, "0.45", 1, "0.40", "0.45");
        assert_eq!(
            book.change(ms(99), [&old].into_iter(), ms(130)),
            Effect::Late
        );
        let other = served(&[], &[]);
        assert_eq!(book.replace(&other, ms(99), ms(131)), Effect::Late);
        assert_eq!(shown(&book), is("0.4x5", "0.5x6 0.6x7"));
    }

    #[test]
    fn a_burst_is_hidden_until_it_agrees_and_is_no_fault() {
        let mut book = live();
        // A buy at 0.50 takes all six and rests four more there: two messages of one moment.
        let rests = change(Side::Buy, "0.50", 4, "0.50", "0.60");
        assert_eq!(
            book.change(ms(200), [&rests].into_iter(), ms(210)),
            Effect::Hidden
        );
        assert_eq!(shown(&book), None, "crossed in between");
        assert!(!book.take_back(), "and nobody is alarmed");
        let taken = change(Side::Sell, "0.50", 0, "0.50", "0.60");
        assert_eq!(
            book.change(ms(200), [&taken].into_iter(), ms(211)),
            Effect::Changed
        );
        assert_eq!(shown(&book), is("0.5x4 0.4x5", "0.6x7"));
    }

    #[test]
    fn a_disagreement_that_outlives_its_moment_breaks_the_book_until_a_whole_one_comes() {
        let mut book = live();
        // The venue says that the best ask is 0.55: a level that we never heard of.
        let odd = change(Side::Buy, "0.40", 8, "0.40", "0.55");
        assert_eq!(
            book.change(ms(200), [&odd].into_iter(), ms(210)),
            Effect::Hidden
        );
        assert_eq!(book.ask_at(), None);
        let next = change(Side::Buy, "0.42", 1, "0.42", "0.55");
        assert_eq!(
            book.change(ms(201), [&next].into_iter(), ms(220)),
            Effect::Broken
        );
        assert!(book.take_back());
        assert!(!book.take_back(), "told once");
        assert_eq!(book.ask_at(), Some(ms(220)), "at once");
        book.asked(ms(220));
        assert_eq!(book.ask_at(), Some(ms(15_220)));
        // A whole book made before what is known does not mend it; one of 200 does, and the change
        // of 201, which came before it, is not lost.
        let stale = served(&[("0.40", 5)], &[("0.50", 6)]);
        assert_eq!(book.replace(&stale, ms(150), ms(230)), Effect::Late);
        let fresh = served(&[("0.40", 8)], &[("0.55", 2), ("0.60", 7)]);
        assert_eq!(book.replace(&fresh, ms(200), ms(240)), Effect::Live);
        assert_eq!(shown(&book), is("0.42x1 0.4x8", "0.55x2 0.6x7"));
        assert_eq!(book.ask_at(), None);
    }

    #[test]
    fn a_disagreement_that_nothing_follows_is_given_up_after_a_second() {
        let mut book = live();
        let odd = change(Side::Buy, "0.40", 8, "0.40", "0.55");
        book.change(ms(200), [&odd].into_iter(), ms(210));
        assert!(!book.give_up(ms(1_209)));
        assert!(book.give_up(ms(1_210)));
        assert!(book.take_back());
        assert_eq!(shown(&book), None);
    }

    #[test]
    fn an_empty_side_that_the_venue_does_not_tell_of_is_a_disagreement_too() {
        let mut book = live();
        let gone = change(Side::Buy, "0.40", 0, "", "0.50");
        assert_eq!(
            book.change(ms(200), [&gone].into_iter(), ms(210)),
            Effect::Changed
        );
        assert_eq!(shown(&book), is("", "0.5x6 0.6x7"));
        let odd = change(Side::Sell, "0.60", 9, "0.39", "0.50");
        assert_eq!(
            book.change(ms(201), [&odd].into_iter(), ms(211)),
            Effect::Hidden
        );
    }

    #[test]
    fn asking_again_and_again_gets_slower_and_less_choosy() {
        let mut book = live();
        let odd = change(Side::Buy, "0.40", 8, "0.40", "0.55");
        book.change(ms(200), [&odd].into_iter(), ms(210));
        assert!(book.give_up(ms(2_000)));
        assert!(book.take_back());
        let mut waits = Vec::new();
        for _ in 0..7 {
            let now = book.ask_at().unwrap();
            book.asked(now);
            waits.push(book.ask_at().unwrap().since(now) / 1_000);
        }
        assert_eq!(waits, [15, 30, 60, 120, 240, 300, 300]);
        // After the second time even a book of an earlier moment is better than none: the
        // exchange's clock may have been set back.
        let early = served(&[("0.30", 1)], &[]);
        assert_eq!(book.replace(&early, ms(50), ms(900_000)), Effect::Live);
        // It breaks again at once: no new count, so that it is not asked for each second.
        let odd = change(Side::Buy, "0.30", 2, "0.31", "");
        book.change(ms(60), [&odd].into_iter(), ms(900_100));
        assert!(book.give_up(ms(901_100)));
        assert_eq!(book.ask_at(), Some(ms(1_201_100)));
    }

    #[test]
    fn with_the_connection_all_is_gone() {
        let mut book = live();
        book.lost();
        assert!(book.take_back());
        assert_eq!(shown(&book), None);
        assert_eq!(book.ask_at(), None, "nobody can be asked");
        let more = change(Side::Buy, "0.41", 9, "0.41", "0.50");
        assert_eq!(
            book.change(ms(120), [&more].into_iter(), ms(130)),
            Effect::Hidden
        );
        // After the reconnection the venue's own time may be anything.
        let fresh = served(&[("0.30", 1)], &[]);
        assert_eq!(book.replace(&fresh, ms(115), ms(140)), Effect::Hidden);
        assert!(
            book.give_up(ms(1_140)),
            "the change of 120 told another ask"
        );
    }

    #[test]
    fn changes_beyond_the_room_for_them_spoil_older_whole_books_only() {
        let mut book = LiveBook::new(TokenId::new("7"));
        let filler = change(Side::Buy, "0.10", 1, "0.10", "");
        for at in 0..=PENDING as i64 {
            book.change(ms(at), [&filler].into_iter(), ms(at));
        }
        let whole = served(&[("0.10", 1)], &[]);
        let last_forgotten = PENDING as i64 - 1;
        assert_eq!(
            book.replace(&whole, ms(last_forgotten), ms(1)),
            Effect::Hidden
        );
        assert_eq!(shown(&book), None);
        assert_eq!(
            book.replace(&whole, ms(last_forgotten + 1), ms(2)),
            Effect::Live
        );
    }
}

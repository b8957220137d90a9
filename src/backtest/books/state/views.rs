//! What can be seen of the books: snapshots, each made in the memory of the one before.

use std::sync::Arc;

use crate::domain::{
    Book, BookFeed, BookOrigin, History, Level, Market, MarketView, Price, Shares, Side, Snapshot,
    SourceKind, Timestamp,
};
use crate::market_data::recorded::TICK_HISTORY_MS;
use crate::market_data::recorded::books::{BookMarket, BookRecording};

use super::super::ladder::Levels;
use super::{Books, IS_OUT, IS_SHOWN, MarketState, Token};

/// Who looks at a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Strategies may.
    Candidate,
    /// Only what is held or rests there does.
    Other,
    /// As a reaction of a live session: streamed, sound books, and no history.
    Live,
}

impl Sight {
    fn shows(self, book: &Book) -> bool {
        let streamed = matches!(book.feed, BookFeed::Streamed { .. });
        self != Sight::Live || streamed && book.is_sound()
    }
}

impl Books<'_> {
    /// Adds a market to those that the next snapshot shows, unless it is over or left out.
    pub fn show(&mut self, market: usize, at: Timestamp, sight: Sight) {
        let number = self.numbers.get(market).copied();
        if let Some(number) = number
            && let Some(view) = self.view(market, at, sight)
        {
            self.views.push(view);
            self.shown.push(market);
            self.shown_numbers.push(number);
        }
    }

    /// Best bid and ask of a token's book at `at`, where it may be traded on: none of one that is hidden or
    /// crossed, that tells of more than `max_age` ms ago, or whose market is left out.
    pub fn best_of(
        &self,
        number: u32,
        at: Timestamp,
        max_age: i64,
    ) -> (Option<Price>, Option<Price>) {
        let token = self.tokens.get(number as usize);
        let token = token.filter(|token| token.flags & (IS_SHOWN | IS_OUT) == IS_SHOWN);
        let Some(token) = token.filter(|token| at.since(token.told_at(&self.heard)) <= max_age)
        else {
            return (None, None);
        };
        let price = |micros: Option<u32>| micros.and_then(|micros| Price::from_micros(micros).ok());
        match (price(token.best(0)), price(token.best(1))) {
            (Some(bid), Some(ask)) if bid >= ask => (None, None),
            best => best,
        }
    }

    /// The markets that the next snapshot shows so far.
    pub fn views(&self) -> &[MarketView] {
        &self.views
    }

    /// The snapshot of what is [shown](Books::show). It is to be [given back](Books::give_back).
    pub fn snapshot(&mut self, at: Timestamp) -> Snapshot {
        let views = std::mem::take(&mut self.views);
        Snapshot::of_universe(
            at,
            SourceKind::Recorded,
            Arc::clone(&self.universe),
            std::mem::take(&mut self.places),
            (&self.shown_numbers, views),
        )
    }

    /// Takes the latest snapshot back, for the next one to be made of.
    pub fn give_back(&mut self, snapshot: Snapshot) {
        (self.views, self.places) = snapshot.into_parts();
        self.put_away();
    }

    /// Shows nothing.
    pub fn put_away(&mut self) {
        let recording = self.recording;
        let mut views = std::mem::take(&mut self.views);
        if views.len() == self.shown.len() {
            for (mut view, market) in views.drain(..).zip(&self.shown) {
                let Some(known) = recording.markets().get(*market) else {
                    continue;
                };
                for (number, book) in known.tokens.iter().zip(&mut view.books) {
                    keep(&mut self.tokens, *number, book.take());
                }
                // Its points are added to in place.
                view.history = None;
                if let Some(state) = self.markets.get_mut(*market) {
                    state.kept = Some(view);
                }
            }
        }
        views.clear();
        self.views = views;
        self.shown.clear();
        self.shown_numbers.clear();
    }

    /// What can be seen of a market; `None` when it is over or left out.
    fn view(&mut self, market: usize, at: Timestamp, sight: Sight) -> Option<MarketView> {
        let recording = self.recording;
        let known = recording.markets().get(market)?;
        let state = self.markets.get_mut(market)?;
        if state.is_out {
            return None;
        }
        let kept = state.kept.take();
        let shared = state.market(known, at);
        let mut view = match kept {
            Some(mut kept) => {
                if !Arc::ptr_eq(&kept.market, shared) {
                    kept.market = Arc::clone(shared);
                }
                kept
            }
            None => MarketView {
                market: Arc::clone(shared),
                books: vec![None; known.tokens.len()],
                history: None,
                candidate: false,
            },
        };
        view.candidate = sight == Sight::Candidate;
        view.history = match sight {
            Sight::Live => None,
            Sight::Candidate | Sight::Other => state.history(at),
        };
        for (number, shown) in known.tokens.iter().zip(&mut view.books) {
            let book = number.and_then(|number| {
                renewed(
                    &mut self.tokens,
                    number,
                    &self.heard,
                    recording,
                    &mut self.top,
                )
            });
            *shown = match book {
                Some(book) if !sight.shows(&book) => {
                    keep(&mut self.tokens, *number, Some(book));
                    None
                }
                book => book,
            };
        }
        Some(view)
    }
}

impl MarketState {
    /// Its terms at `at`.
    fn market(&mut self, known: &BookMarket, at: Timestamp) -> &Arc<Market> {
        let stale = |(_, until): &(_, Option<Timestamp>)| until.is_some_and(|until| at >= until);
        if self.shared.as_ref().is_some_and(stale) {
            self.shared = None;
        }
        let (fees, tick) = (self.fees, self.tick);
        let (market, _) = self.shared.get_or_insert_with(|| {
            let mut made = known.at(at, fees);
            if let Some((tick, _)) = tick {
                made.tick = tick;
            }
            (Arc::new(made), known.changes_after(at))
        });
        market
    }

    /// The last week's prices; `None` when none is known.
    fn history(&self, at: Timestamp) -> Option<History> {
        let since = at.plus_millis(-TICK_HISTORY_MS);
        let start = match self.points.first() {
            Some(first) if first.at >= since => 0,
            _ => self.points.partition_point(|point| point.at < since),
        };
        let end = self.points.len();
        (start < end).then(|| History::between(Arc::clone(&self.points), start, end))
    }
}

/// A token's book, in the memory of the one that was shown before; `None` while it is hidden.
fn renewed(
    tokens: &mut [Token],
    number: u32,
    heard: &[i64],
    recording: &BookRecording,
    top: &mut Vec<Level>,
) -> Option<Arc<Book>> {
    let token = tokens.get_mut(number as usize)?;
    if token.flags & IS_SHOWN == 0 {
        return None;
    }
    let changed = Timestamp::from_millis(token.changed_at);
    let at = token.told_at(heard);
    let origin = match token.rebuilt {
        true => BookOrigin::Rebuilt,
        false => BookOrigin::Venue,
    };
    let feed = match token.asked_for {
        true => BookFeed::Fetched,
        false => BookFeed::Streamed {
            since_snapshot: Timestamp::from_millis(token.since),
        },
    };
    let mut shared = match token.kept.take() {
        Some(kept) => kept,
        None => {
            token.sides.iter_mut().for_each(Levels::touch);
            let id = recording.tokens().get(number as usize)?.id.clone();
            Arc::new(Book::new(id, Vec::new(), Vec::new(), at, BookOrigin::Venue))
        }
    };
    // In place, unless somebody has kept an earlier snapshot.
    let book = Arc::make_mut(&mut shared);
    book.at = at;
    book.changed_at = changed;
    book.origin = origin;
    book.feed = feed;
    for (side, index) in [(Side::Buy, 0), (Side::Sell, 1)] {
        let levels = token.sides.get_mut(index);
        if let Some(lowest) = levels.and_then(Levels::take_touched) {
            top.clear();
            token.levels(index, lowest, top);
            let worst = Price::from_micros(token.price(index, lowest));
            let all = match side {
                Side::Buy => Price::ZERO,
                Side::Sell => Price::ONE,
            };
            book.renew_top(side, worst.unwrap_or(all), top);
        }
    }
    Some(shared)
}

/// Keeps a book that is not shown any more for the next time.
fn keep(tokens: &mut [Token], number: Option<u32>, book: Option<Arc<Book>>) {
    let token = number.and_then(|number| tokens.get_mut(number as usize));
    if let Some((token, book)) = token.zip(book) {
        token.kept = Some(book);
    }
}

impl Token {
    /// The moment that its book speaks of: when its connection was last heard, or when somebody asked.
    fn told_at(&self, heard: &[i64]) -> Timestamp {
        let heard = heard.get(self.connection as usize).copied();
        Timestamp::from_millis(match self.asked_for {
            true => self.changed_at,
            false => heard.unwrap_or(self.changed_at),
        })
    }

    /// Adds the levels of a side from the place `lowest` on, best first.
    fn levels(&self, side: usize, lowest: u32, into: &mut Vec<Level>) {
        let Some(levels) = self.sides.get(side) else {
            return;
        };
        levels.each_from(lowest, |place, size| {
            let price = Price::from_micros(self.price(side, place));
            if let (Ok(price), Ok(size)) = (price, Shares::from_micros(size)) {
                into.push(Level { price, size });
            }
        });
    }
}

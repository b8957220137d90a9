//! The rows of one market on their way to a series: a column for each thing told.

use crate::domain::{Price, PricePoint, Timestamp, Usdc, text};
use crate::market_data::recorded::cells;
use crate::market_data::recorded::place::Place;
use crate::market_data::recorded::repeated::Pattern;
use crate::market_data::recorded::rows::{BAD_ID, Row, Values, is_id};

/// Fewer rows of a later part are not worth to be kept apart.
const FEW_ROWS: usize = 64;
/// A question longer than this, in bytes, is not remembered as it was written.
const MAX_RAW: usize = 2_048;

/// Best bid and ask of one row, in half the room that two options take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::market_data::recorded) struct Quote {
    bid: u32,
    ask: u32,
}

/// Stands for a side that is not told.
const NOT_TOLD: u32 = u32::MAX;

impl Default for Quote {
    fn default() -> Self {
        Quote::new(None, None)
    }
}

impl Quote {
    pub(in crate::market_data::recorded) fn new(bid: Option<Price>, ask: Option<Price>) -> Self {
        Quote {
            bid: bid.map_or(NOT_TOLD, Price::micros),
            ask: ask.map_or(NOT_TOLD, Price::micros),
        }
    }

    pub(in crate::market_data::recorded) fn bid(self) -> Option<Price> {
        told(self.bid)
    }

    pub(in crate::market_data::recorded) fn ask(self) -> Option<Price> {
        told(self.ask)
    }
}

/// What stands for "not told" is no price. Looked for first: the error would be put in words for each row.
fn told(micros: u32) -> Option<Price> {
    if micros == NOT_TOLD {
        return None;
    }
    Price::from_micros(micros).ok()
}

/// The rows of one file with the same market and token.
#[derive(Debug)]
pub(in crate::market_data::recorded) struct GrowingMarket {
    pub(in crate::market_data::recorded) id: Box<str>,
    pub(in crate::market_data::recorded) token: Box<str>,
    /// Token of the second outcome, from the first row that tells it.
    pub(in crate::market_data::recorded) second_token: Option<Box<str>>,
    /// Cleaned.
    pub(in crate::market_data::recorded) question: String,
    pub(super) question_at: Timestamp,
    /// The text that the question was made from, when it is not long.
    raw_question: Vec<u8>,
    /// Where its first row is, and what it holds.
    pub(super) place: Place,
    /// Rows taken, with those that were replaced.
    pub(in crate::market_data::recorded) rows: u64,
    pub(in crate::market_data::recorded) replaced: u64,
    pub(in crate::market_data::recorded) points: Vec<PricePoint>,
    /// Beside `points`, 0 for unknown; empty while no volume has been known.
    pub(in crate::market_data::recorded) volumes: Vec<i64>,
    /// Beside `points`; empty while none has been known.
    pub(in crate::market_data::recorded) quotes: Vec<Quote>,
    sorted: bool,
    /// Rows of later parts and files, put behind these once all have been read.
    later: Vec<Rows>,
    /// The market of the row that followed last time: files in order of time list the markets in
    /// much the same order again and again.
    pub(super) follower: usize,
    /// Another token of the same market.
    pub(super) sibling: Option<usize>,
    /// What its rows look like.
    pub(super) pattern: Option<Box<Pattern>>,
    /// Rows read whole since one was repeated last.
    pub(super) misses: u8,
}

/// Rows of one market in the columns of a [`GrowingMarket`].
#[derive(Debug)]
struct Rows {
    points: Vec<PricePoint>,
    volumes: Vec<i64>,
    quotes: Vec<Quote>,
    sorted: bool,
    replaced: u64,
}

/// The second outcome's token; one that is no id is not told.
fn second_of(row: &Row<'_>) -> Option<Box<str>> {
    let told = std::str::from_utf8(row.no_token_id).ok()?;
    (!told.is_empty() && is_id(told)).then(|| told.into())
}

impl GrowingMarket {
    pub(super) fn of(row: &Row<'_>, place: &dyn Fn() -> Place) -> Result<Self, &'static str> {
        let checked = |bytes: &[u8]| -> Result<Box<str>, &'static str> {
            let text = std::str::from_utf8(bytes).map_err(|_| "an id is not UTF-8 text")?;
            is_id(text).then(|| text.into()).ok_or(BAD_ID)
        };
        Ok(GrowingMarket {
            id: checked(row.market_id)?,
            token: checked(row.token_id)?,
            second_token: second_of(row),
            question: question_of(row),
            question_at: row.values.at,
            raw_question: raw(row),
            place: place(),
            rows: 0,
            replaced: 0,
            points: Vec::new(),
            volumes: Vec::new(),
            quotes: Vec::new(),
            sorted: true,
            later: Vec::new(),
            follower: 0,
            sibling: None,
            pattern: None,
            misses: 0,
        })
    }

    #[inline]
    pub(super) fn is_of(&self, row: &Row<'_>) -> bool {
        self.id.as_bytes() == row.market_id && self.token.as_bytes() == row.token_id
    }

    #[inline]
    pub(super) fn push(&mut self, row: &Row<'_>, quote: Quote) {
        let at = row.values.at;
        if self.second_token.is_none() && !row.no_token_id.is_empty() {
            self.second_token = second_of(row);
        }
        if at < self.question_at {
            if self.raw_question.is_empty() || self.raw_question != row.question {
                self.question = question_of(row);
                self.raw_question = raw(row);
            }
            self.question_at = at;
        }
        self.take(&row.values, quote);
    }

    #[inline]
    pub(super) fn take(&mut self, values: &Values, quote: Quote) {
        self.rows += 1;
        let point = PricePoint {
            at: values.at,
            price: values.price.to_f64(),
        };
        let volume = values.volume.map_or(0, Usdc::micros);
        self.push_values(point, volume, quote);
    }

    fn push_values(&mut self, point: PricePoint, volume: i64, quote: Quote) {
        let same = self.points.last().is_some_and(|last| last.at == point.at);
        if let Some(last) = self.points.last_mut()
            && same
        {
            *last = point;
            self.replaced += 1;
        } else {
            self.sorted &= self.points.last().is_none_or(|last| last.at < point.at);
            self.points.push(point);
        }
        beside(&mut self.volumes, self.points.len(), same, volume, 0);
        beside(
            &mut self.quotes,
            self.points.len(),
            same,
            quote,
            Quote::default(),
        );
    }

    /// Adds the rows of a later part or file. They lie beside its own until they are [gathered](Self::gather).
    pub(super) fn append(&mut self, later: GrowingMarket) {
        if later.question_at < self.question_at {
            self.question = later.question;
            self.question_at = later.question_at;
        }
        if self.second_token.is_none() {
            self.second_token = later.second_token;
        }
        self.rows += later.rows;
        let rows = Rows {
            points: later.points,
            volumes: later.volumes,
            quotes: later.quotes,
            sorted: later.sorted,
            replaced: later.replaced,
        };
        for rows in std::iter::once(rows).chain(later.later) {
            // A few are copied at once: there may be very many markets.
            match self.later.is_empty() && rows.points.len() < FEW_ROWS {
                true => self.add(rows),
                false => self.later.push(rows),
            }
        }
    }

    /// Puts the rows of later parts behind its own.
    pub(in crate::market_data::recorded) fn gather(&mut self) {
        let later = std::mem::take(&mut self.later);
        let count = later.iter().map(|rows| rows.points.len()).sum();
        self.points.reserve_exact(count);
        for rows in later {
            self.add(rows);
        }
    }

    fn add(&mut self, later: Rows) {
        self.replaced += later.replaced;
        self.sorted &= later.sorted;
        let ends = self.points.last().map(|last| last.at);
        let begins = later.points.first().map(|first| first.at);
        if later.sorted && ends < begins {
            // Nothing of it replaces anything.
            let before = self.points.len();
            self.points.extend_from_slice(&later.points);
            let count = self.points.len();
            extend(&mut self.volumes, &later.volumes, before, count, 0);
            let unknown = Quote::default();
            extend(&mut self.quotes, &later.quotes, before, count, unknown);
            return;
        }
        let mut volumes = later.volumes.into_iter();
        let mut quotes = later.quotes.into_iter();
        for point in later.points {
            let volume = volumes.next().unwrap_or(0);
            self.push_values(point, volume, quotes.next().unwrap_or_default());
        }
    }

    /// Gathers its rows and sorts them by time; of several rows of one moment the last one read stays.
    pub(in crate::market_data::recorded) fn sort(&mut self) {
        self.gather();
        if !self.sorted {
            let count = self.points.len();
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by_key(|index| self.points.get(*index).map(|point| point.at));
            // Of equal times the last in the order of reading is the last here, too.
            let mut kept: Vec<usize> = Vec::with_capacity(count);
            let time = |index: &usize| self.points.get(*index).map(|point| point.at);
            for index in order {
                match kept.last_mut() {
                    Some(last) if time(last) == time(&index) => *last = index,
                    _ => kept.push(index),
                }
            }
            self.replaced += (count - kept.len()) as u64;
            self.points = picked(&self.points, &kept);
            self.volumes = picked(&self.volumes, &kept);
            self.quotes = picked(&self.quotes, &kept);
            self.sorted = true;
        }
        self.points.shrink_to_fit();
    }

    /// Forgets the rows after `until`. They must be sorted.
    pub(in crate::market_data::recorded) fn cut(&mut self, until: Timestamp) {
        let kept = self.points.partition_point(|point| point.at <= until);
        self.points.truncate(kept);
        self.volumes.truncate(kept);
        self.quotes.truncate(kept);
    }
}

/// Those of `values` at `kept`; none of none.
fn picked<T: Copy>(values: &[T], kept: &[usize]) -> Vec<T> {
    kept.iter()
        .filter_map(|index| values.get(*index).copied())
        .collect()
}

/// Keeps a column that begins with its first known value beside the points, of which there are
/// `count` now; `same` replaces the last.
#[inline]
fn beside<T: Copy + PartialEq>(
    column: &mut Vec<T>,
    count: usize,
    same: bool,
    value: T,
    unknown: T,
) {
    if column.is_empty() {
        if value == unknown {
            return;
        }
        column.resize(count - 1, unknown);
        column.push(value);
    } else if same && let Some(last) = column.last_mut() {
        *last = value;
    } else {
        column.push(value);
    }
}

/// Adds a column that is kept beside `count − before` later points, or is empty.
fn extend<T: Copy>(column: &mut Vec<T>, later: &[T], before: usize, count: usize, unknown: T) {
    if column.is_empty() && later.is_empty() {
        return;
    }
    column.resize(before, unknown);
    column.extend_from_slice(later);
    column.resize(count, unknown);
}

fn raw(row: &Row<'_>) -> Vec<u8> {
    match row.question.len() {
        0..=MAX_RAW => row.question.to_vec(),
        _ => Vec::new(),
    }
}

/// Cleaned when it is read: what is kept of a market must not depend on how long its text was.
fn question_of(row: &Row<'_>) -> String {
    let question = cells::unguarded(row.question);
    text::clean(&String::from_utf8_lossy(question), text::MAX_QUESTION)
}

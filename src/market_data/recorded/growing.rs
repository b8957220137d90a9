//! Rows on their way to series: one column for each thing told, by market.

use std::collections::HashMap;
use std::path::Path;

use crate::domain::{Price, PricePoint, Timestamp, Usdc, text};
use crate::market_data::DataError;

use super::cells;
use super::place::Place;
use super::repeated::Pattern;
use super::rows::{BAD_ID, Row, Values, file_error, is_id};
use super::skips::Skips;

/// Why a row with another token is skipped.
const OTHER_TOKEN: &str = "the token id differs from the market's first row";
/// Tokens that a file may give one market before the rows of any more are skipped right away.
const MAX_TOKENS: usize = 8;
/// So many patterns that no row repeats a market may have in a row, before no more are remembered of it.
const MAX_MISSES: u8 = 16;
/// A question longer than this, in bytes, is not remembered as it was written.
const MAX_RAW: usize = 2_048;

/// Best bid and ask of one row, in half the room that two options take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
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
    pub(super) fn new(bid: Option<Price>, ask: Option<Price>) -> Self {
        Quote {
            bid: bid.map_or(NOT_TOLD, Price::micros),
            ask: ask.map_or(NOT_TOLD, Price::micros),
        }
    }

    pub(super) fn bid(self) -> Option<Price> {
        told(self.bid)
    }

    pub(super) fn ask(self) -> Option<Price> {
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

/// The rows of one file.
#[derive(Debug, Default)]
pub(super) struct Growing {
    /// The first market with an id; others, with other tokens, hang on it.
    by_id: HashMap<Box<[u8]>, usize>,
    pub(super) markets: Vec<GrowingMarket>,
    /// The market of the row before.
    last: usize,
    /// What was skipped.
    pub(super) skips: Skips<Place>,
    /// Rows whose best bid is not below their best ask: their quotes are not used.
    pub(super) odd_quotes: u64,
}

/// The rows of one file with the same market and token.
#[derive(Debug)]
pub(super) struct GrowingMarket {
    pub(super) id: Box<str>,
    pub(super) token: Box<str>,
    /// Token of the second outcome, from the first row that tells it.
    pub(super) second_token: Option<Box<str>>,
    /// Cleaned.
    pub(super) question: String,
    question_at: Timestamp,
    /// The text that the question was made from, when it is not long.
    raw_question: Vec<u8>,
    /// Where its first row is, and what it holds.
    place: Place,
    /// Rows taken, with those that were replaced.
    pub(super) rows: u64,
    pub(super) replaced: u64,
    pub(super) points: Vec<PricePoint>,
    /// Beside `points`, 0 for unknown; empty while no volume has been known.
    pub(super) volumes: Vec<i64>,
    /// Beside `points`; empty while none has been known.
    pub(super) quotes: Vec<Quote>,
    sorted: bool,
    /// The market of the row that followed last time: files in order of time list the markets in
    /// much the same order again and again.
    follower: usize,
    /// Another token of the same market.
    sibling: Option<usize>,
    /// What its rows look like.
    pattern: Option<Box<Pattern>>,
    /// Rows read whole since one was repeated last.
    misses: u8,
}

impl Growing {
    /// Takes a row in; `place` says where it is. Errors: the cause for which it is skipped.
    #[inline]
    pub(super) fn accept(
        &mut self,
        row: &Row<'_>,
        place: &dyn Fn() -> Place,
    ) -> Result<(), &'static str> {
        let index = match self.guess(row) {
            Some(index) => index,
            None => self.find(row, place)?,
        };
        let (before, now) = (self.last, index);
        if let Some(before) = self.markets.get_mut(before) {
            before.follower = now;
        }
        self.last = now;
        let quote = self.quote_of(&row.values);
        if let Some(market) = self.markets.get_mut(index) {
            market.push(row, quote);
        }
        Ok(())
    }

    /// The market whose row should come next, and what it should look like.
    #[inline]
    pub(super) fn expected(&self) -> Option<(usize, &Pattern)> {
        let number = self.markets.get(self.last)?.follower;
        let pattern = self.markets.get(number)?.pattern.as_deref()?;
        Some((number, pattern))
    }

    /// Takes in what the market's row tells that is otherwise as its pattern is; false where the whole row has to
    /// be [taken in](Self::accept) instead.
    #[inline]
    pub(super) fn repeat(&mut self, number: usize, values: Values) -> bool {
        let Some(market) = self.markets.get(number) else {
            return false;
        };
        // The earliest row's question counts.
        if values.at < market.question_at {
            return false;
        }
        self.last = number;
        let quote = self.quote_of(&values);
        if let Some(market) = self.markets.get_mut(number) {
            market.misses = 0;
            market.take(&values, quote);
        }
        true
    }

    /// Remembers what the row looks like that was taken in last, once its market has had another.
    #[inline]
    pub(super) fn learn(&mut self, pattern: impl FnOnce() -> Option<Pattern>) {
        if let Some(market) = self.markets.get_mut(self.last)
            && market.rows > 1
            && market.misses < MAX_MISSES
        {
            market.misses += 1;
            market.pattern = pattern().map(Box::new);
        }
    }

    fn quote_of(&mut self, values: &Values) -> Quote {
        // Nobody can bid 0 or ask 1: that is how some say that a side is empty.
        let bid = values.bid.filter(|bid| *bid > Price::ZERO);
        let ask = values.ask.filter(|ask| *ask < Price::ONE);
        match (bid, ask) {
            (Some(bid), Some(ask)) if bid >= ask => {
                self.odd_quotes += 1;
                Quote::default()
            }
            (bid, ask) => Quote::new(bid, ask),
        }
    }

    fn guess(&self, row: &Row<'_>) -> Option<usize> {
        let last = self.markets.get(self.last)?;
        if last.is_of(row) {
            return Some(self.last);
        }
        self.markets
            .get(last.follower)
            .filter(|market| market.is_of(row))
            .map(|_| last.follower)
    }

    #[cold]
    fn find(&mut self, row: &Row<'_>, place: &dyn Fn() -> Place) -> Result<usize, &'static str> {
        let mut known = self.by_id.get(row.market_id).copied();
        let mut end = None;
        let mut tokens = 0;
        while let Some(index) = known {
            let market = self.markets.get(index).ok_or(OTHER_TOKEN)?;
            if market.is_of(row) {
                return Ok(index);
            }
            tokens += 1;
            (end, known) = (Some(index), market.sibling);
        }
        if tokens >= MAX_TOKENS {
            return Err(OTHER_TOKEN);
        }
        let index = self.markets.len();
        let mut market = GrowingMarket::of(row, place)?;
        market.follower = index;
        match end.and_then(|end| self.markets.get_mut(end)) {
            Some(end) => end.sibling = Some(index),
            None => {
                self.by_id.insert(row.market_id.into(), index);
            }
        }
        self.markets.push(market);
        Ok(index)
    }

    /// Adds the rows of a later part of the same file, which has so many lines before that part.
    pub(super) fn join(&mut self, later: Growing, lines: u64) {
        self.odd_quotes += later.odd_quotes;
        self.skips
            .merge(later.skips.map(|place| place.after(lines)));
        for mut market in later.markets {
            market.place = market.place.after(lines);
            let mut known = self.by_id.get(market.id.as_bytes()).copied();
            let mut end = None;
            let mut tokens = 0;
            let mut same = None;
            while let Some(index) = known {
                let Some(one) = self.markets.get(index) else {
                    break;
                };
                if one.token == market.token {
                    same = Some(index);
                    break;
                }
                tokens += 1;
                (end, known) = (Some(index), one.sibling);
            }
            if let Some(one) = same.and_then(|index| self.markets.get_mut(index)) {
                one.append(market);
            } else if tokens >= MAX_TOKENS {
                let GrowingMarket { rows, place, .. } = market;
                self.skips.count_many(OTHER_TOKEN, rows, || place);
            } else {
                let index = self.markets.len();
                match end.and_then(|end| self.markets.get_mut(end)) {
                    Some(end) => end.sibling = Some(index),
                    None => {
                        self.by_id.insert(market.id.as_bytes().into(), index);
                    }
                }
                self.markets.push(GrowingMarket {
                    sibling: None,
                    follower: index,
                    pattern: None,
                    ..market
                });
            }
        }
    }

    /// Whether some market has rows with several tokens: which of them are dropped depends on all the rows
    /// before.
    pub(super) fn has_rivals(&self) -> bool {
        self.markets.iter().any(|market| market.sibling.is_some())
    }

    /// Rows taken.
    pub(super) fn rows(&self) -> u64 {
        self.markets.iter().map(|market| market.rows).sum()
    }

    /// Itself, when it has a row. Errors: it has none, which a file of prices must.
    pub(super) fn checked(self, path: &Path) -> Result<Self, DataError> {
        if self.rows() > 0 {
            return Ok(self);
        }
        let why = self.skips.iter().next().map_or_else(
            || "it has a header only".to_owned(),
            |(cause, skipped)| format!("{cause}, first {}", skipped.first),
        );
        Err(file_error(path, format!("no valid row: {why}")))
    }
}

/// The second outcome's token; one that is no id is not told.
fn second_of(row: &Row<'_>) -> Option<Box<str>> {
    let told = std::str::from_utf8(row.no_token_id).ok()?;
    (!told.is_empty() && is_id(told)).then(|| told.into())
}

impl GrowingMarket {
    fn of(row: &Row<'_>, place: &dyn Fn() -> Place) -> Result<Self, &'static str> {
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
            follower: 0,
            sibling: None,
            pattern: None,
            misses: 0,
        })
    }

    #[inline]
    fn is_of(&self, row: &Row<'_>) -> bool {
        self.id.as_bytes() == row.market_id && self.token.as_bytes() == row.token_id
    }

    #[inline]
    fn push(&mut self, row: &Row<'_>, quote: Quote) {
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
    fn take(&mut self, values: &Values, quote: Quote) {
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

    /// Adds the rows of a later file.
    fn append(&mut self, later: GrowingMarket) {
        if later.question_at < self.question_at {
            self.question = later.question;
            self.question_at = later.question_at;
        }
        if self.second_token.is_none() {
            self.second_token = later.second_token;
        }
        self.rows += later.rows;
        self.replaced += later.replaced;
        self.sorted &= later.sorted;
        self.points.reserve(later.points.len());
        let ends = self.points.last().map(|last| last.at);
        let begins = later.points.first().map(|first| first.at);
        if later.sorted && ends < begins {
            // Nothing of it replaces anything.
            let before = self.points.len();
            self.points.extend_from_slice(&later.points);
            let count = self.points.len();
            add(&mut self.volumes, &later.volumes, before, count, 0);
            let unknown = Quote::default();
            add(&mut self.quotes, &later.quotes, before, count, unknown);
            return;
        }
        let mut volumes = later.volumes.into_iter();
        let mut quotes = later.quotes.into_iter();
        for point in later.points {
            let volume = volumes.next().unwrap_or(0);
            self.push_values(point, volume, quotes.next().unwrap_or_default());
        }
    }

    /// Sorts by time; of several rows of one moment the last one read stays.
    pub(super) fn sort(&mut self) {
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
    pub(super) fn cut(&mut self, until: Timestamp) {
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
fn add<T: Copy>(column: &mut Vec<T>, later: &[T], before: usize, count: usize, unknown: T) {
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

/// All files together.
#[derive(Debug, Default)]
pub(super) struct Merged {
    by_id: HashMap<Box<str>, usize>,
    pub(super) markets: Vec<(GrowingMarket, usize)>,
    pub(super) odd_quotes: u64,
}

impl Merged {
    /// Adds the rows of file `number`, which come after those of the files before it, and what was
    /// skipped of them to `skips`; gives how many rows counted.
    ///
    /// Errors: all its rows have other tokens than those of the files before.
    pub(super) fn add(
        &mut self,
        file: Growing,
        number: usize,
        path: &Path,
        skips: &mut Skips,
    ) -> Result<u64, DataError> {
        let mut rows = 0;
        self.odd_quotes += file.odd_quotes;
        let mut here = file.skips;
        for market in file.markets {
            let known = self.by_id.get(&market.id).copied();
            match known.and_then(|index| self.markets.get_mut(index)) {
                Some((known, _)) if known.token == market.token => {
                    rows += market.rows;
                    known.append(market);
                }
                Some(_) => here.count_many(OTHER_TOKEN, market.rows, || market.place),
                None => {
                    rows += market.rows;
                    self.by_id.insert(market.id.clone(), self.markets.len());
                    self.markets.push((market, number));
                }
            }
        }
        if rows == 0 {
            let empty = Growing {
                skips: here,
                ..Growing::default()
            };
            return empty.checked(path).map(|_| 0);
        }
        skips.merge(here.map(|place| place.to_string()));
        Ok(rows)
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }
}

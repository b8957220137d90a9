//! The rows of files on their way to series, by market.

use std::collections::HashMap;
use std::path::Path;

use crate::domain::Price;
use crate::market_data::DataError;

use super::place::Place;
use super::repeated::Pattern;
use super::rows::{Cancelled, Row, Values, file_error};
use super::skips::Skips;

mod market;

pub(super) use market::{GrowingMarket, Quote};

/// Why a row with another token is skipped.
const OTHER_TOKEN: &str = "the token id differs from the market's first row";
/// Tokens that a file may give one market before the rows of any more are skipped right away.
const MAX_TOKENS: usize = 8;
/// So many patterns that no row repeats a market may have in a row, before no more are remembered of it.
const MAX_MISSES: u8 = 8;
/// So many rows a market must have before one is remembered.
const MIN_ROWS: u64 = 3;

/// Markets between two questions whether to go on.
pub(super) const MARKETS_PER_QUESTION: usize = 4_096;

/// Gives back the memory of what is not wanted any more, on a thread of its own: that of a hundred thousand markets
/// takes a while, and somebody waits. Given to the pool it could be done by the very thread that waits for a job.
pub(crate) fn discard(unwanted: impl Send + 'static) {
    let thread = std::thread::Builder::new().name("discard".to_owned());
    // Where there is no thread to be had it is done here: what was to run is dropped, and all of it.
    drop(thread.spawn(move || drop(unwanted)));
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

impl Growing {
    /// Takes a row in; `place` says where it is. Gives whether its market was expected. Errors: the cause for which
    /// it is skipped.
    #[inline]
    pub(super) fn accept(
        &mut self,
        row: &Row<'_>,
        place: &dyn Fn() -> Place,
    ) -> Result<bool, &'static str> {
        let index = match self.guess(row) {
            Some(index) => index,
            None => self.find(row, place)?,
        };
        let (before, now) = (self.last, index);
        let mut is_expected = false;
        if let Some(before) = self.markets.get_mut(before) {
            is_expected = before.follower == now;
            before.follower = now;
        }
        self.last = now;
        let quote = self.quote_of(&row.values);
        if let Some(market) = self.markets.get_mut(index) {
            market.push(row, quote);
        }
        Ok(is_expected)
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

    /// Remembers what the row looks like that was taken in last, once its market has had a few: of markets with two or
    /// three rows nothing comes back.
    #[inline]
    pub(super) fn learn(&mut self, pattern: impl FnOnce() -> Option<Pattern>) {
        if let Some(market) = self.markets.get_mut(self.last)
            && market.rows >= MIN_ROWS
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

    /// The same with the rows of a later part of the same file, which has so many lines before that part.
    ///
    /// Errors: `cancelled` said so.
    pub(super) fn join(
        mut self,
        later: Growing,
        lines: u64,
        cancelled: Cancelled<'_>,
    ) -> Result<Self, DataError> {
        self.odd_quotes += later.odd_quotes;
        self.skips
            .merge(later.skips.map(|place| place.after(lines)));
        let mut markets = later.markets.into_iter().enumerate();
        while let Some((number, mut market)) = markets.next() {
            if number % MARKETS_PER_QUESTION == 0 && cancelled() {
                discard((self, markets, later.by_id));
                return Err(DataError::Cancelled);
            }
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
                (market.sibling, market.pattern) = (None, None);
                market.follower = index;
                self.markets.push(market);
            }
        }
        Ok(self)
    }

    /// Whether some market has rows with several tokens: which of them are dropped depends on all the rows
    /// before.
    pub(super) fn has_rivals(&self) -> bool {
        self.markets.iter().any(|market| market.sibling.is_some())
    }

    /// Everything that was read, but for what follows what.
    #[cfg(test)]
    pub(super) fn told(&self) -> String {
        let markets = self.markets.iter().map(|one| {
            format!(
                "{:?} {:?} {:?} {:?} {} {} {:?} {:?} {:?}",
                one.id,
                one.token,
                one.second_token,
                one.question,
                one.rows,
                one.replaced,
                one.points,
                one.volumes,
                one.quotes
            )
        });
        let markets: Vec<String> = markets.collect();
        let skips = self.skips.clone().map(|place| place.to_string());
        format!("{markets:#?} {skips:?} {}", self.odd_quotes)
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
    /// Errors: all its rows have other tokens than those of the files before; or `cancelled` said so.
    pub(super) fn add(
        &mut self,
        file: Growing,
        (number, path): (usize, &Path),
        skips: &mut Skips,
        cancelled: Cancelled<'_>,
    ) -> Result<u64, DataError> {
        let mut rows = 0;
        self.odd_quotes += file.odd_quotes;
        let mut here = file.skips;
        let mut markets = file.markets.into_iter().enumerate();
        while let Some((place, market)) = markets.next() {
            if place % MARKETS_PER_QUESTION == 0 && cancelled() {
                discard((markets, file.by_id));
                return Err(DataError::Cancelled);
            }
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

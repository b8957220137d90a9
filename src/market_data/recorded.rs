//! Recordings: a directory of CSV or Parquet files that answers for a chosen moment.
//!
//! Nothing after that moment shows in any answer. Recordings have one price per row, or the best bid
//! and ask, and no books: books are synthesised with an assumed spread and depth, and say so.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{
    Book, Clock, Event, ManualClock, Market, MarketId, MarketStatus, PricePoint, Resolution,
    SourceKind, Timestamp, TokenId,
};

use super::{
    DataError, DataHealth, EventVolume, HistorySpan, MarketData, MarketQuery, Period, Trader,
    WalletPosition,
};

mod atomic;
pub mod books;
mod capped;
pub mod capture;
mod cells;
mod content_hash;
mod dataset;
mod described;
mod fees;
mod fields;
mod growing;
mod hashed;
mod input;
mod load;
mod metadata;
mod parquet;
mod place;
mod records;
mod repeated;
mod resolutions;
mod rows;
mod series;
mod skips;
mod sorted;
mod split_file;
mod synthetic_book;
mod timeline;
mod volume;
mod written;

pub use content_hash::{Digests, content_hash, files_read};
pub use dataset::{Dataset, DatasetOptions, FEE_NOTE, FileReport, LoadReport};
pub use fees::{FEES_SINCE, FeeRule};
pub(crate) use growing::discard;
pub use series::{Series, Visible};
pub use skips::{Skipped, Skips};
pub use synthetic_book::{Top, depth_of, quotes};
pub use timeline::Timeline;
pub use volume::VolumeKind;
pub use written::{DatasetFiles, Kept, MarketFile, market_entry, outcome_text};

// A replay of a recording shows what a tick on it gathers.
pub use super::{TICK_HISTORY_FIDELITY_MINUTES, TICK_HISTORY_MS};

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(test)]
pub(crate) mod tests;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// A [`Dataset`] seen from one moment, which can be moved.
#[derive(Debug)]
pub struct Recorded {
    dataset: Arc<Dataset>,
    now: ManualClock,
}

impl Recorded {
    /// Answers as of `at`.
    #[must_use]
    pub fn new(dataset: Arc<Dataset>, at: Timestamp) -> Self {
        Recorded {
            dataset,
            now: ManualClock::new(at),
        }
    }

    /// Moves to another moment, earlier or later.
    pub fn set_now(&self, at: Timestamp) {
        self.now.set(at);
    }

    /// What it answers from.
    #[must_use]
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    /// Market `index` with the latest price as its indicative one.
    fn market_at(&self, index: usize, at: Timestamp) -> Option<Market> {
        let mut market = self.dataset.market(index, at)?;
        let one = self.dataset.series().get(index)?;
        let (_, price) = one.row(one.last_row(at)?)?;
        let prices = [price, price.complement()];
        for (outcome, price) in market.outcomes.iter_mut().zip(prices) {
            outcome.indicative_price = Some(price);
        }
        Some(market)
    }

    /// Markets that satisfy `wanted`, most traded first: volume of 24 hours, then volume, then id.
    fn ranked(&self, limit: usize, wanted: impl Fn(&Market) -> bool) -> Vec<Arc<Market>> {
        let at = self.now.now();
        let mut found: Vec<Market> = (0..self.dataset.series().len())
            .filter_map(|index| self.market_at(index, at))
            .filter(|market| wanted(market))
            .collect();
        found.sort_by(|a, b| {
            (b.volume_24h, b.volume)
                .cmp(&(a.volume_24h, a.volume))
                .then_with(|| a.id.cmp(&b.id))
        });
        found.truncate(limit);
        found.into_iter().map(Arc::new).collect()
    }

    /// Index of the event with this id or slug, once one of its markets has a row.
    fn event_index(&self, id_or_slug: &str, at: Timestamp) -> Option<usize> {
        let wanted = id_or_slug.trim();
        let groups = &self.dataset.groups;
        let index = groups
            .iter()
            .position(|group| group.event.id.as_str() == wanted)
            .or_else(|| {
                groups
                    .iter()
                    .position(|group| group.event.slug.as_deref() == Some(wanted))
            })?;
        let seen = |member: &usize| {
            self.dataset
                .series()
                .get(*member)
                .is_some_and(|one| one.last_row(at).is_some())
        };
        groups.get(index)?.members.iter().any(seen).then_some(index)
    }

    /// An event with the markets that could be seen. Volumes are sums over the markets with a
    /// known one, `None` when there is none.
    fn event_at(&self, index: usize, at: Timestamp) -> Option<Event> {
        let group = self.dataset.groups.get(index)?;
        let mut event = group.event.clone();
        event.markets = group
            .members
            .iter()
            .filter_map(|member| self.market_at(*member, at))
            .collect();
        event.closed = event
            .markets
            .iter()
            .all(|market| market.status == MarketStatus::Closed);
        let known: Vec<_> = event.markets.iter().filter_map(|m| m.volume).collect();
        event.volume = (!known.is_empty()).then(|| known.into_iter().sum());
        let known: Vec<_> = event.markets.iter().filter_map(|m| m.volume_24h).collect();
        event.volume_24h = (!known.is_empty()).then(|| known.into_iter().sum());
        event.start = event.markets.iter().filter_map(|m| m.start).min();
        event.end = event.markets.iter().filter_map(|m| m.end).max();
        event.neg_risk = event.markets.iter().any(|m| m.neg_risk);
        Some(event)
    }

    fn history(
        &self,
        token: &TokenId,
        span: HistorySpan,
        fidelity_minutes: u32,
        at: Timestamp,
    ) -> Option<Vec<PricePoint>> {
        let one = self
            .dataset
            .series()
            .get(self.dataset.index_of_token(token)?)?;
        let last = one.last_row(at)?;
        let (from, to) = window(span, at);
        let second = one
            .template()
            .outcome_of(token)
            .is_some_and(|(index, _)| index == 1);
        let points = one.points().get(..=last)?;
        let inside = points
            .iter()
            .filter(|point| point.at >= from && point.at <= to);
        let mut kept: Vec<PricePoint> = Vec::new();
        for point in inside {
            let price = if second {
                series::exact(point.price).complement().to_f64()
            } else {
                point.price
            };
            let at = point.at;
            push_thinned(&mut kept, PricePoint { at, price }, fidelity_minutes);
        }
        Some(kept)
    }

    fn unsupported<T>(what: &str) -> Result<T, DataError> {
        Err(DataError::Unsupported {
            what: what.to_owned(),
            from: SourceKind::Recorded.as_str().to_owned(),
        })
    }
}

/// Adds a point that is not older than the last one: of the points in one step of the clock, so
/// many minutes long, only the latest stays.
pub fn push_thinned(kept: &mut Vec<PricePoint>, point: PricePoint, fidelity_minutes: u32) {
    match kept.last_mut() {
        Some(last) if is_same_step(last.at, point.at, fidelity_minutes) => *last = point,
        _ => kept.push(point),
    }
}

/// Whether two moments fall into the same step of a clock with steps of so many minutes.
#[must_use]
pub fn is_same_step(one: Timestamp, other: Timestamp, fidelity_minutes: u32) -> bool {
    let step = i64::from(fidelity_minutes.max(1)) * MINUTE;
    // Mostly they lie apart, and divisions take their time.
    let near = one.millis().abs_diff(other.millis()) < step.unsigned_abs();
    near && one.millis().div_euclid(step) == other.millis().div_euclid(step)
}

/// First and last moment of a span that ends now.
fn window(span: HistorySpan, at: Timestamp) -> (Timestamp, Timestamp) {
    let back = |millis: i64| (at.plus_millis(-millis), at);
    match span {
        HistorySpan::Hour => back(60 * MINUTE),
        HistorySpan::SixHours => back(6 * 60 * MINUTE),
        HistorySpan::Day => back(DAY),
        HistorySpan::Week => back(7 * DAY),
        HistorySpan::Month => back(30 * DAY),
        HistorySpan::All => (Timestamp::from_millis(i64::MIN), at),
        HistorySpan::Between(from, to) => (from, to.min(at)),
    }
}

#[async_trait]
impl MarketData for Recorded {
    fn kind(&self) -> SourceKind {
        SourceKind::Recorded
    }

    async fn now(&self) -> Result<Timestamp, DataError> {
        Ok(self.now.now())
    }

    async fn active_markets(&self, query: &MarketQuery) -> Result<Vec<Arc<Market>>, DataError> {
        Ok(self.ranked(query.limit, |market| market.status == MarketStatus::Open))
    }

    async fn search(
        &self,
        query: &str,
        limit: usize,
        include_closed: bool,
    ) -> Result<Vec<Arc<Market>>, DataError> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        if words.is_empty() {
            return Err(DataError::BadRequest(
                "the search text has no word in it".to_owned(),
            ));
        }
        Ok(self.ranked(limit, |market| {
            let question = market.question.to_lowercase();
            (include_closed || market.status == MarketStatus::Open)
                && words.iter().all(|word| question.contains(word))
        }))
    }

    async fn market(&self, id_or_slug: &str) -> Result<Option<Arc<Market>>, DataError> {
        let at = self.now.now();
        Ok(self
            .dataset
            .index_of(id_or_slug)
            .and_then(|index| self.market_at(index, at))
            .map(Arc::new))
    }

    async fn markets(&self, ids: &[MarketId]) -> Result<HashMap<MarketId, Arc<Market>>, DataError> {
        let at = self.now.now();
        Ok(ids
            .iter()
            .filter_map(|id| {
                let market = self.market_at(self.dataset.index_of(id.as_str())?, at)?;
                (market.id == *id).then(|| (id.clone(), Arc::new(market)))
            })
            .collect())
    }

    async fn market_of_token(&self, token: &TokenId) -> Result<Option<Arc<Market>>, DataError> {
        let at = self.now.now();
        Ok(self
            .dataset
            .index_of_token(token)
            .and_then(|index| self.market_at(index, at))
            .map(Arc::new))
    }

    async fn event(&self, id_or_slug: &str) -> Result<Option<Event>, DataError> {
        let at = self.now.now();
        Ok(self
            .event_index(id_or_slug, at)
            .and_then(|index| self.event_at(index, at)))
    }

    async fn books(&self, tokens: &[TokenId]) -> Result<HashMap<TokenId, Arc<Book>>, DataError> {
        let at = self.now.now();
        Ok(tokens
            .iter()
            .filter_map(|token| {
                let index = self.dataset.index_of_token(token)?;
                let (row, visible) = self.dataset.visible(index, at)?;
                self.dataset
                    .books(index, row, &visible)?
                    .into_iter()
                    .flatten()
                    .find(|book| book.token == *token)
                    .map(|book| (token.clone(), book))
            })
            .collect())
    }

    async fn price_history(
        &self,
        token: &TokenId,
        span: HistorySpan,
        fidelity_minutes: u32,
    ) -> Result<Vec<PricePoint>, DataError> {
        Ok(self
            .history(token, span, fidelity_minutes, self.now.now())
            .unwrap_or_default())
    }

    async fn price_histories(
        &self,
        tokens: &[TokenId],
        span: HistorySpan,
        fidelity_minutes: u32,
    ) -> Result<HashMap<TokenId, Vec<PricePoint>>, DataError> {
        let at = self.now.now();
        Ok(tokens
            .iter()
            .filter_map(|token| {
                let points = self.history(token, span, fidelity_minutes, at)?;
                (!points.is_empty()).then(|| (token.clone(), points))
            })
            .collect())
    }

    async fn resolutions(&self, markets: &[Arc<Market>]) -> Result<Vec<Resolution>, DataError> {
        let at = self.now.now();
        Ok(markets
            .iter()
            .filter_map(|market| {
                let index = self.dataset.index_of(market.id.as_str())?;
                let (resolved_at, how) = self.dataset.series().get(index)?.resolution()?;
                (resolved_at <= at && how.market_id == market.id).then(|| how.clone())
            })
            .collect())
    }

    async fn event_volume(&self, id_or_slug: &str) -> Result<Option<EventVolume>, DataError> {
        let at = self.now.now();
        let event = self
            .event_index(id_or_slug, at)
            .and_then(|index| self.event_at(index, at));
        let Some(event) = event else {
            return Ok(None);
        };
        if event.volume.is_none() {
            return Self::unsupported("the volume of this event");
        }
        Ok(Some(EventVolume {
            event_id: event.id,
            total: event.volume,
            by_market: event
                .markets
                .iter()
                .filter_map(|market| Some((market.id.to_string(), market.volume?)))
                .collect(),
        }))
    }

    async fn wallet_positions(
        &self,
        _address: &str,
        _limit: usize,
    ) -> Result<Vec<WalletPosition>, DataError> {
        Self::unsupported("the holdings of a wallet")
    }

    async fn leaderboard(&self, _period: Period, _limit: usize) -> Result<Vec<Trader>, DataError> {
        Self::unsupported("the leaderboard")
    }

    /// `requests` counts the price files that were read; notes speak of the present moment.
    fn health(&self) -> DataHealth {
        let at = self.now.now();
        let report = self.dataset.report();
        DataHealth {
            requests: report.files.len() as u64,
            failures: 0,
            skipped_rows: report
                .skips
                .iter()
                .map(|(cause, skipped)| (cause.to_owned(), skipped.count))
                .collect(),
            last_error: None,
            last_success: Some(at),
            notes: self.dataset.notes(at),
            stream: None,
        }
    }
}

//! Downloading price histories into files that backtests read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::domain::text::{MAX_NAME, clean};
use crate::domain::{Event, EventId, Market, PricePoint, Resolution, Timestamp, TokenId};

use super::recorded::{DatasetFiles, Kept, MarketFile, outcome_text};
use super::{DataError, HistorySpan, MarketData};

/// One window of a history: as much as the venue answers at once.
const WINDOW_MS: i64 = 15 * 86_400_000;
/// Windows of one market that are asked for at the same time; the client limits its rate anyway.
const CONCURRENCY: usize = 4;
/// Longest span that may be asked for: ten years, all that the venue can have and more.
pub const MAX_SPAN_MS: i64 = 3_653 * 86_400_000;
/// Spacing at which the venue tells a resolved market's whole history.
const WHOLE_HISTORY_MINUTES: u32 = 720;

/// What is to be downloaded.
#[derive(Debug, Clone)]
pub struct DownloadRequest {
    /// Slugs, ids or condition ids.
    pub markets: Vec<String>,
    /// First moment, included; at most [`MAX_SPAN_MS`] before the last, or every market fails.
    pub from: Timestamp,
    /// Last moment, included; what lies after [`DownloadRequest::at`] cannot be had.
    pub to: Timestamp,
    /// Wanted spacing of the prices, at least 1.
    pub fidelity_minutes: u32,
    /// Replace files that are there.
    pub force: bool,
    /// The present.
    pub at: Timestamp,
}

impl DownloadRequest {
    /// The last moment that can be had.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.to.min(self.at)
    }

    /// True when the span up to [`DownloadRequest::end`] is longer than [`MAX_SPAN_MS`].
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.end().since(self.from) > MAX_SPAN_MS
    }
}

/// What became of a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DownloadStatus {
    /// Its files were written.
    Downloaded,
    /// Its prices were there already, as asked for.
    Kept,
    /// There is nothing of it, or nothing new; [`Downloaded::detail`] says why.
    Failed,
}

/// One market of a download, as reported.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Downloaded {
    /// As it was asked for.
    pub market: String,
    /// What became of it.
    pub status: DownloadStatus,
    /// The venue's id, where it was found.
    pub id: Option<String>,
    /// File with its prices.
    pub file: Option<String>,
    /// Prices in it; `None` unless they were downloaded now.
    pub points: Option<usize>,
    /// Time of the first price, RFC 3339.
    pub first: Option<String>,
    /// Time of the last price, RFC 3339.
    pub last: Option<String>,
    /// Untrusted name of the outcome that it paid, or `50-50`; `None` while it is not resolved.
    pub resolution: Option<String>,
    /// When it was resolved, RFC 3339.
    pub resolved_at: Option<String>,
    /// What went wrong, or is to be known.
    pub detail: Option<String>,
}

/// Where a download stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownloadStep<'a> {
    /// The next market.
    Market(&'a str),
    /// Its history comes in so many windows.
    Windows(usize),
    /// A window has come.
    Window,
}

/// Why one market failed, and what to be told besides.
enum Trouble {
    Data(DataError),
    Other(String),
}

impl From<DataError> for Trouble {
    fn from(error: DataError) -> Self {
        Trouble::Data(error)
    }
}

/// Downloads all markets, one after the other. What fails is reported in the list and stops nothing.
/// Dropping the future leaves complete files only.
pub async fn download(
    source: &dyn MarketData,
    request: &DownloadRequest,
    files: &mut DatasetFiles,
    progress: &(dyn Fn(DownloadStep<'_>) + Sync),
) -> Vec<Downloaded> {
    let mut job = Job {
        source,
        request,
        files,
        progress,
        events: HashMap::new(),
    };
    let mut seen = HashSet::new();
    let mut done = Vec::with_capacity(request.markets.len());
    for asked in &request.markets {
        if !seen.insert(asked.trim()) {
            continue;
        }
        let mut row = Downloaded {
            market: clean(asked, MAX_NAME),
            status: DownloadStatus::Failed,
            id: None,
            file: None,
            points: None,
            first: None,
            last: None,
            resolution: None,
            resolved_at: None,
            detail: None,
        };
        match job.market(asked, &mut row).await {
            Ok(status) => row.status = status,
            Err(Trouble::Data(error)) => {
                row.detail = Some(format!("{error}. {}", error.hint()));
            }
            Err(Trouble::Other(detail)) => row.detail = Some(detail),
        }
        done.push(row);
    }
    done
}

struct Job<'a> {
    source: &'a dyn MarketData,
    request: &'a DownloadRequest,
    files: &'a mut DatasetFiles,
    progress: &'a (dyn Fn(DownloadStep<'_>) + Sync),
    /// Events that were asked for; `None` where there was no answer.
    events: HashMap<EventId, Option<Event>>,
}

impl Job<'_> {
    async fn market(
        &mut self,
        asked: &str,
        row: &mut Downloaded,
    ) -> Result<DownloadStatus, Trouble> {
        (self.progress)(DownloadStep::Market(asked));
        if self.request.is_too_long() {
            return Err(Trouble::Other("the span is over ten years".to_owned()));
        }
        let market = self.source.market(asked).await?.ok_or_else(|| {
            Trouble::Other("there is no such market (slug, id or condition id)".to_owned())
        })?;
        row.id = Some(market.id.to_string());
        let name = DatasetFiles::name_of(&market);
        row.file = Some(name.clone());
        let wanted = Kept {
            from: self.request.from,
            to: self.request.to,
            fidelity_minutes: self.request.fidelity_minutes,
            at: self.request.at,
        };
        if self.files.has_prices(&market) && !self.request.force {
            return match self.files.kept(&market) {
                Some(kept) if kept.covers(&wanted) => Ok(DownloadStatus::Kept),
                Some(kept) => Err(Trouble::Other(format!(
                    "{name} is there with prices of {} to {} every {} min, asked for at {}; \
                     --force replaces it",
                    kept.from, kept.to, kept.fidelity_minutes, kept.at
                ))),
                None => Err(Trouble::Other(format!(
                    "{name} is there and was not made by `download`; --force replaces it"
                ))),
            };
        }
        let Some(token) = market.outcomes.first().map(|o| o.token.clone()) else {
            return Err(Trouble::Other("the market has no outcomes".to_owned()));
        };
        let windows = windows(self.request, market.start);
        (self.progress)(DownloadStep::Windows(windows.len()));
        let points = self.history(&token, windows).await?;
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Err(Trouble::Other(format!(
                "the venue has no price of it between {} and {}",
                self.request.from, self.request.to
            )));
        };
        row.points = Some(points.len());
        row.first = Some(first.at.to_rfc3339());
        row.last = Some(last.at.to_rfc3339());
        let mut notes = Vec::new();
        let ending = self.ending(&market, &token, last.at, &mut notes).await?;
        let ending = ending.as_ref().map(|(how, at)| (how, *at));
        if let Some((how, at)) = ending {
            row.resolution = outcome_text(&market, how);
            row.resolved_at = Some(at.to_rfc3339());
        }
        if let Some(id) = &market.event_id {
            self.learn_event(id, &mut notes).await;
        }
        let event = market.event_id.as_ref();
        self.files.put(&MarketFile {
            market: &market,
            event: event.and_then(|id| self.events.get(id)?.as_ref()),
            points: &points,
            resolution: ending,
            kept: wanted,
        })?;
        row.detail = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(DownloadStatus::Downloaded)
    }

    async fn history(
        &self,
        token: &TokenId,
        windows: Vec<(Timestamp, Timestamp)>,
    ) -> Result<Vec<PricePoint>, DataError> {
        let parts: Vec<Vec<PricePoint>> = stream::iter(windows)
            .map(|(from, to)| async move {
                let span = HistorySpan::Between(from, to);
                let fidelity = self.request.fidelity_minutes;
                let points = self.source.price_history(token, span, fidelity).await;
                (self.progress)(DownloadStep::Window);
                points
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut points: Vec<PricePoint> = parts.into_iter().flatten().collect();
        points.sort_by_key(|point| point.at);
        // The moment at which two windows meet is in both.
        points.dedup_by_key(|point| point.at);
        Ok(points)
    }

    /// How the market ended, with a time. Where the evidence has none it is that of the last price
    /// that the venue knows: trading ended then, and a file without a time could not be used.
    async fn ending(
        &self,
        market: &Arc<Market>,
        token: &TokenId,
        last: Timestamp,
        notes: &mut Vec<String>,
    ) -> Result<Option<(Resolution, Timestamp)>, DataError> {
        let found = self
            .source
            .resolutions(std::slice::from_ref(market))
            .await?;
        let Some(mut how) = found.into_iter().find(|how| how.market_id == market.id) else {
            return Ok(None);
        };
        if outcome_text(market, &how).is_none() {
            notes.push("it is resolved in a way that the format cannot say: left out".to_owned());
            return Ok(None);
        }
        if let Some(at) = how.resolved_at {
            return Ok(Some((how, at)));
        }
        let all = self
            .source
            .price_history(token, HistorySpan::All, WHOLE_HISTORY_MINUTES)
            .await?;
        let at = all.last().map_or(last, |point| point.at.max(last));
        how.evidence = format!("{}; time unknown, that of the last price", how.evidence);
        notes.push("the time of its resolution is unknown: that of its last price".to_owned());
        Ok(Some((how, at)))
    }

    /// Slug and title of the event: good to have, no reason to fail.
    async fn learn_event(&mut self, id: &EventId, notes: &mut Vec<String>) {
        if self.events.contains_key(id) {
            return;
        }
        let event = match self.source.event(id.as_str()).await {
            Ok(event) => event,
            Err(error) => {
                notes.push(format!("its event is unknown: {error}"));
                None
            }
        };
        self.events.insert(id.clone(), event);
    }
}

/// The span in windows that the venue answers at once, up to the present. Of the time before the
/// market's start, where that is known, one window is left: the venue may date a start too late.
fn windows(request: &DownloadRequest, start: Option<Timestamp>) -> Vec<(Timestamp, Timestamp)> {
    let end = request.end();
    let mut windows = Vec::new();
    let earliest = start.map_or(request.from, |start| start.plus_millis(-WINDOW_MS));
    let mut start = earliest.min(end).max(request.from);
    while start < end || windows.is_empty() {
        let next = start.plus_millis(WINDOW_MS).min(end).max(start);
        windows.push((start, next));
        if next <= start {
            break;
        }
        start = next;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_cut_into_fifteen_days_up_to_the_present() {
        let day = |days: i64| Timestamp::from_secs(days * 86_400);
        let cut_since = |from: i64, to: i64, at: i64, start: Option<i64>| {
            let request = DownloadRequest {
                markets: Vec::new(),
                from: day(from),
                to: day(to),
                fidelity_minutes: 10,
                force: false,
                at: day(at),
            };
            windows(&request, start.map(day))
                .into_iter()
                .map(|(from, to)| (from.day(), to.day()))
                .collect::<Vec<_>>()
        };
        let cut = |from, to, at| cut_since(from, to, at, None);
        assert_eq!(cut(0, 40, 100), [(0, 15), (15, 30), (30, 40)]);
        assert_eq!(cut(0, 30, 100), [(0, 15), (15, 30)]);
        assert_eq!(cut(0, 40, 20), [(0, 15), (15, 20)]);
        assert_eq!(cut(5, 5, 100), [(5, 5)]);
        // Not from before the market was, but for a window.
        assert_eq!(cut_since(0, 1000, 980, Some(975)), [(960, 975), (975, 980)]);
        assert_eq!(cut_since(0, 20, 100, Some(10)), [(0, 15), (15, 20)]);
        assert_eq!(cut_since(0, 20, 100, Some(90)), [(20, 20)]);
        assert_eq!(cut_since(30, 40, 100, Some(10)), [(30, 40)]);
    }

    #[test]
    fn a_span_is_at_most_ten_years_up_to_the_present() {
        let day = |days: i64| Timestamp::from_secs(days * 86_400);
        let too_long = |from: i64, to: i64, at: i64| {
            let request = DownloadRequest {
                markets: Vec::new(),
                from: day(from),
                to: day(to),
                fidelity_minutes: 10,
                force: false,
                at: day(at),
            };
            request.is_too_long()
        };
        assert!(!too_long(0, 3653, 20_000));
        assert!(too_long(0, 3654, 20_000));
        assert!(!too_long(19_000, 3_000_000, 20_000));
        assert!(too_long(-62_000, 3_000_000, 20_000));
    }
}

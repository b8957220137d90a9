//! Past prices: one token by GET, several by POST, long spans in windows.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::clob_rows;
use super::row::{Oddities, is_asset_id};
use super::transport::{Request, Scope};
use super::{CONCURRENCY, Polymarket};
use crate::domain::text::clean;
use crate::domain::{PricePoint, Timestamp, TokenId};
use crate::market_data::{DataError, HistorySpan};

/// Longest span between two moments that the venue answers: 15 days.
const WINDOW_SECONDS: i64 = 15 * 86_400;
/// Windows that one question may need: eight years, longer than the venue exists.
const MAX_WINDOWS: usize = 200;
/// Tokens per batch request.
const TOKENS_PER_REQUEST: usize = 20;
/// Coarsest spacing that `max` needs for a resolved market, minutes: finer gives nothing.
const RESOLVED_FIDELITY: u32 = 720;

/// One request's worth of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    /// One of the venue's names.
    Interval(&'static str),
    /// Seconds, both ends included.
    Between(i64, i64),
}

impl Polymarket {
    /// Past prices of one token.
    pub(super) async fn history_of(
        &self,
        token: &TokenId,
        span: HistorySpan,
        fidelity: u32,
    ) -> Result<Vec<PricePoint>, DataError> {
        if !is_asset_id(token.as_str()) {
            return Err(DataError::BadRequest(format!(
                "`{}` is no token id: 1 to 78 digits",
                clean(token.as_str(), 40)
            )));
        }
        let fidelity = least_fidelity(span, fidelity);
        let windows = windows(span)?;
        let first = match self.clob_history(token, span, &windows, fidelity).await {
            Ok(points) if !points.is_empty() => return Ok(points),
            first => first,
        };
        match (self.history_v2(token, &windows, fidelity).await, first) {
            (Ok(parts), first) => {
                let points = merged(parts, span);
                if points.is_empty() { first } else { Ok(points) }
            }
            // No points and a route that fails, or two that fail: the first one's word counts.
            (Err(_), first) => first,
        }
    }

    async fn clob_history(
        &self,
        token: &TokenId,
        span: HistorySpan,
        windows: &[Window],
        fidelity: u32,
    ) -> Result<Vec<PricePoint>, DataError> {
        let requests: Vec<Request> = windows
            .iter()
            .map(|window| single_request(token, *window, fidelity))
            .collect();
        let parts: Vec<Vec<PricePoint>> = stream::iter(requests)
            .map(|request| async move {
                let answer = self.transport.json_expected(&request).await?;
                self.points_in(&request, answer.get("history").unwrap_or(&Value::Null))
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let points = merged(parts, span);
        if points.is_empty() && span == HistorySpan::All && fidelity < RESOLVED_FIDELITY {
            let request = single_request(token, Window::Interval("max"), RESOLVED_FIDELITY);
            let answer = self.transport.json_expected(&request).await?;
            return self.points_in(&request, answer.get("history").unwrap_or(&Value::Null));
        }
        Ok(points)
    }

    /// Past prices of several tokens.
    pub(super) async fn histories_of(
        &self,
        tokens: &[TokenId],
        span: HistorySpan,
        fidelity: u32,
    ) -> Result<HashMap<TokenId, Vec<PricePoint>>, DataError> {
        let fidelity = least_fidelity(span, fidelity);
        let mut wanted: Vec<TokenId> = tokens
            .iter()
            .filter(|token| is_asset_id(token.as_str()))
            .cloned()
            .collect();
        wanted.sort();
        wanted.dedup();
        let windows = windows(span)?;
        let mut found = self.batches(&wanted, &windows, span, fidelity).await?;
        if span == HistorySpan::All && fidelity < RESOLVED_FIDELITY {
            wanted.retain(|token| !found.contains_key(token));
            found.extend(
                self.batches(&wanted, &windows, span, RESOLVED_FIDELITY)
                    .await?,
            );
        }
        Ok(found)
    }

    async fn batches(
        &self,
        tokens: &[TokenId],
        windows: &[Window],
        span: HistorySpan,
        fidelity: u32,
    ) -> Result<HashMap<TokenId, Vec<PricePoint>>, DataError> {
        let mut questions = Vec::new();
        for chunk in tokens.chunks(TOKENS_PER_REQUEST) {
            for window in windows {
                questions.push((chunk.to_vec(), batch_request(chunk, *window, fidelity)));
            }
        }
        let answers: Vec<Vec<(TokenId, Vec<PricePoint>)>> = stream::iter(questions)
            .map(|(chunk, request)| async move { self.batch(chunk, &request).await })
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut parts: HashMap<TokenId, Vec<Vec<PricePoint>>> = HashMap::new();
        for (token, points) in answers.into_iter().flatten() {
            parts.entry(token).or_default().push(points);
        }
        Ok(parts
            .into_iter()
            .map(|(token, parts)| (token, merged(parts, span)))
            .filter(|(_, points)| !points.is_empty())
            .collect())
    }

    async fn batch(
        &self,
        chunk: Vec<TokenId>,
        request: &Request,
    ) -> Result<Vec<(TokenId, Vec<PricePoint>)>, DataError> {
        let answer = self.transport.json_expected(request).await?;
        let Some(histories) = answer.get("history").and_then(Value::as_object) else {
            return Err(self
                .transport
                .malformed(request, "there is no object `history`"));
        };
        let mut out = Vec::with_capacity(chunk.len());
        for token in chunk {
            if let Some(points) = histories.get(token.as_str()).filter(|p| !p.is_null()) {
                let points = self.points_in(request, points)?;
                out.push((token, points));
            }
        }
        Ok(out)
    }

    fn points_in(&self, request: &Request, rows: &Value) -> Result<Vec<PricePoint>, DataError> {
        let mut oddities = Oddities::default();
        let points = clob_rows::points(rows, &mut oddities)
            .map_err(|fault| self.transport.malformed(request, &fault.to_string()))?;
        self.transport.count(&oddities);
        Ok(points)
    }
}

/// The venue refuses finer points than 5 minutes for a week and 10 for a month and more.
fn least_fidelity(span: HistorySpan, wanted: u32) -> u32 {
    let least = match span {
        HistorySpan::Week => 5,
        HistorySpan::Month | HistorySpan::All => 10,
        HistorySpan::Hour | HistorySpan::SixHours | HistorySpan::Day | HistorySpan::Between(..) => {
            1
        }
    };
    wanted.max(least)
}

fn windows(span: HistorySpan) -> Result<Vec<Window>, DataError> {
    // `1m` is one month; there is no minute.
    let interval = |name| Ok(vec![Window::Interval(name)]);
    let (from, to) = match span {
        HistorySpan::Hour => return interval("1h"),
        HistorySpan::SixHours => return interval("6h"),
        HistorySpan::Day => return interval("1d"),
        HistorySpan::Week => return interval("1w"),
        HistorySpan::Month => return interval("1m"),
        HistorySpan::All => return interval("max"),
        HistorySpan::Between(from, to) => (from.secs(), to.secs()),
    };
    if from > to {
        return Err(DataError::BadRequest(
            "the span of the price history ends before it begins".to_owned(),
        ));
    }
    let mut windows = Vec::new();
    let mut start = from;
    loop {
        let end = start.saturating_add(WINDOW_SECONDS).min(to);
        windows.push(Window::Between(start, end));
        if end >= to {
            return Ok(windows);
        }
        if windows.len() == MAX_WINDOWS {
            return Err(DataError::BadRequest(
                "the span of the price history is longer than eight years".to_owned(),
            ));
        }
        start = end;
    }
}

fn single_request(token: &TokenId, window: Window, fidelity: u32) -> Request {
    // `market` takes the token here, not the condition.
    let request = Request::get(Scope::ClobHistory, "/prices-history")
        .with("market", token.as_str())
        .with("fidelity", fidelity.to_string());
    match window {
        Window::Interval(name) => request.with("interval", name),
        Window::Between(start, end) => request
            .with("startTs", start.to_string())
            .with("endTs", end.to_string()),
    }
}

fn batch_request(tokens: &[TokenId], window: Window, fidelity: u32) -> Request {
    let ids: Vec<&str> = tokens.iter().map(TokenId::as_str).collect();
    let body = match window {
        Window::Interval(name) => {
            json!({"markets": ids, "interval": name, "fidelity": fidelity})
        }
        Window::Between(start, end) => {
            json!({"markets": ids, "start_ts": start, "end_ts": end, "fidelity": fidelity})
        }
    };
    Request::post(Scope::ClobHistory, "/batch-prices-history", body)
}

/// Windows joined, each moment once, nothing outside the span: a point after its end would let a
/// backtest look ahead.
fn merged(parts: Vec<Vec<PricePoint>>, span: HistorySpan) -> Vec<PricePoint> {
    let mut points: Vec<PricePoint> = parts.into_iter().flatten().collect();
    if let HistorySpan::Between(from, to) = span {
        let inside = |at: Timestamp| from <= at && at <= to;
        points.retain(|point| inside(point.at));
    }
    points.sort_by_key(|point| point.at);
    points.dedup_by_key(|point| point.at);
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn long_spans_are_cut_into_fifteen_days() {
        let between = |from, to| {
            windows(HistorySpan::Between(
                Timestamp::from_secs(from),
                Timestamp::from_secs(to),
            ))
        };
        assert_eq!(
            between(0, 40 * DAY).unwrap(),
            [
                Window::Between(0, 15 * DAY),
                Window::Between(15 * DAY, 30 * DAY),
                Window::Between(30 * DAY, 40 * DAY),
            ]
        );
        assert_eq!(
            between(0, 15 * DAY).unwrap(),
            [Window::Between(0, 15 * DAY)]
        );
        assert_eq!(between(7, 7).unwrap(), [Window::Between(7, 7)]);
        assert!(between(1, 0).is_err());
        assert!(between(0, 10_000 * DAY).is_err());
    }

    #[test]
    fn names_and_least_spacings_are_the_venues() {
        assert_eq!(
            windows(HistorySpan::Month).unwrap(),
            [Window::Interval("1m")]
        );
        assert_eq!(
            windows(HistorySpan::All).unwrap(),
            [Window::Interval("max")]
        );
        assert_eq!(least_fidelity(HistorySpan::Month, 1), 10);
        assert_eq!(least_fidelity(HistorySpan::Week, 1), 5);
        assert_eq!(least_fidelity(HistorySpan::Day, 0), 1);
        assert_eq!(least_fidelity(HistorySpan::Week, 60), 60);
    }
}

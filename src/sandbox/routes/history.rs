//! Price histories, one token or up to twenty, with the limits that the venue documents.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Shared;
use super::clob::refuse;
use super::params::Params;
use crate::domain::Timestamp;
use crate::sandbox::model::{HISTORY_INTERVAL, Phase, World};
use crate::sandbox::wire::clob::{Point, point_price};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Longest window from `startTs` to `endTs`.
const LONGEST: i64 = 15 * DAY;
/// Most tokens of a batch.
const MAX_BATCH: usize = 20;
/// Coarsest spacing in minutes below which `max` of a resolved market is empty.
const RESOLVED_FIDELITY: i64 = 720;

/// Which stretch is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Span {
    /// So many milliseconds back.
    Last(i64),
    /// All there is.
    Max,
    /// From the first moment to the second, or to now.
    Between(Timestamp, Option<Timestamp>),
}

/// A checked request.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Request {
    span: Span,
    /// Minutes between points; `None`: as recorded.
    fidelity: Option<i64>,
}

impl Request {
    fn check(
        interval: Option<&str>,
        start: Option<i64>,
        end: Option<i64>,
        fidelity: Option<i64>,
    ) -> Result<Self, String> {
        if fidelity.is_some_and(|minutes| minutes < 1) {
            return Err("invalid filters: 'fidelity' must be positive".to_owned());
        }
        let span = match (interval, start) {
            (Some(_), Some(_)) => {
                return Err("invalid filters: 'interval' and 'startTs' are exclusive".to_owned());
            }
            (None, None) => {
                return Err("invalid filters: 'interval' or 'startTs' is required".to_owned());
            }
            (Some(interval), None) => {
                let (span, least) = match interval {
                    "max" | "all" => (Span::Max, 1),
                    // `1m` is a month.
                    "1m" => (Span::Last(30 * DAY), 10),
                    "1w" => (Span::Last(7 * DAY), 5),
                    "1d" => (Span::Last(DAY), 1),
                    "6h" => (Span::Last(6 * HOUR), 1),
                    "1h" => (Span::Last(HOUR), 1),
                    other => return Err(format!("invalid filters: interval '{other}'")),
                };
                if fidelity.is_some_and(|minutes| minutes < least) {
                    return Err(format!(
                        "invalid filters: minimum 'fidelity' for '{interval}' range is {least}"
                    ));
                }
                span
            }
            (None, Some(start)) => {
                let start = Timestamp::from_secs(start);
                let end = end.map(Timestamp::from_secs);
                if let Some(end) = end {
                    if end < start {
                        return Err("invalid filters: 'endTs' is before 'startTs'".to_owned());
                    }
                    if end.since(start) > LONGEST {
                        return Err(
                            "invalid filters: 'startTs' and 'endTs' interval is too long"
                                .to_owned(),
                        );
                    }
                }
                Span::Between(start, end)
            }
        };
        Ok(Request { span, fidelity })
    }
}

/// The points of a token, oldest first; empty when the token is unknown, as on the venue.
fn points(world: &World, token: &str, request: Request) -> Vec<Point> {
    let Some((market, event, side)) = world.by_token(token) else {
        return Vec::new();
    };
    let resolved = market.phase(world.now) == Phase::Resolved;
    let fidelity = request.fidelity.unwrap_or(HISTORY_INTERVAL / 60_000);
    let (from, to) = match request.span {
        // The venue's oddity: coarse points only once a market is resolved.
        Span::Max if resolved && fidelity < RESOLVED_FIDELITY => return Vec::new(),
        Span::Max => (event.opened, world.now),
        Span::Last(millis) => (world.now.plus_millis(-millis), world.now),
        Span::Between(from, to) => (from, to.unwrap_or(world.now).min(world.now)),
    };
    let spacing = fidelity.saturating_mul(60_000).max(HISTORY_INTERVAL);
    let mut out: Vec<Point> = Vec::new();
    let mut next = i64::MIN;
    for (time, first) in market.history.between(from, to) {
        if time.millis() >= next {
            out.push(Point {
                t: time.secs(),
                p: point_price(side, first),
            });
            next = time.millis().saturating_add(spacing);
        }
    }
    // The last point is the present one while the market trades.
    let reaches_now = to >= world.now && market.is_open(world.now);
    if reaches_now && out.last().is_none_or(|last| last.t < world.now.secs()) {
        let prices = world.prices(market);
        out.push(Point {
            t: world.now.secs(),
            p: *side.of(&prices),
        });
    }
    out
}

/// `GET /prices-history`.
pub(super) async fn single(State(shared): State<Shared>, params: Params) -> Response {
    let Some(token) = params.one("market") else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid filters: 'market' is required",
        );
    };
    let request = Request::check(
        params.one("interval"),
        params.number("startTs"),
        params.number("endTs"),
        params.number("fidelity"),
    );
    match request {
        Ok(request) => {
            let history = points(&shared.read(), token, request);
            Json(json!({ "history": history })).into_response()
        }
        Err(message) => refuse(StatusCode::BAD_REQUEST, &message),
    }
}

/// Body of `POST /batch-prices-history`.
#[derive(Debug, Deserialize)]
struct Batch {
    markets: Vec<String>,
    start_ts: Option<i64>,
    end_ts: Option<i64>,
    interval: Option<String>,
    fidelity: Option<i64>,
}

/// `POST /batch-prices-history`.
pub(super) async fn batch(State(shared): State<Shared>, body: Bytes) -> Response {
    let Ok(batch) = serde_json::from_slice::<Batch>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "Invalid payload");
    };
    if batch.markets.is_empty() || batch.markets.len() > MAX_BATCH {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid filters: 'markets' must have 1 to 20 entries",
        );
    }
    let request = Request::check(
        batch.interval.as_deref(),
        batch.start_ts,
        batch.end_ts,
        batch.fidelity,
    );
    match request {
        Ok(request) => {
            let world = shared.read();
            let history: Map<String, Value> = batch
                .markets
                .into_iter()
                .map(|token| {
                    let points = points(&world, &token, request);
                    (token, json!(points))
                })
                .collect();
            Json(json!({ "history": history })).into_response()
        }
        Err(message) => refuse(StatusCode::BAD_REQUEST, &message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(
        interval: Option<&str>,
        start: Option<i64>,
        end: Option<i64>,
        fidelity: Option<i64>,
    ) -> String {
        Request::check(interval, start, end, fidelity).unwrap_err()
    }

    #[test]
    fn the_documented_limits_hold() {
        let days = |count: i64| count * 86_400;
        assert!(refusal(None, Some(0), Some(days(15) + 1), None).contains("interval is too long"));
        assert!(Request::check(None, Some(0), Some(days(15)), None).is_ok());
        assert!(Request::check(None, Some(0), None, None).is_ok());
        assert!(refusal(Some("1m"), None, None, Some(9)).contains("is 10"));
        assert!(refusal(Some("1w"), None, None, Some(4)).contains("is 5"));
        assert!(Request::check(Some("1w"), None, None, Some(5)).is_ok());
        for (interval, start) in [(None, None), (Some("1d"), Some(0)), (Some("2d"), None)] {
            refusal(interval, start, None, None);
        }
    }
}

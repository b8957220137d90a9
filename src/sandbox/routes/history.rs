//! Price histories, one token or up to twenty, with the limits that the venue documents.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::clob::refuse;
use super::params::Params;
use super::{Shared, data};
use crate::domain::Timestamp;
use crate::sandbox::model::{HISTORY_INTERVAL, Phase, World};
use crate::sandbox::wire::clob::{Point, point_price};
use crate::sandbox::wire::data::PricePoint;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Longest window from `startTs` to `endTs`.
const LONGEST: i64 = 15 * DAY;
/// Most tokens of a batch.
const MAX_BATCH: usize = 20;
/// Coarsest spacing in minutes below which `max` of a resolved market is empty.
const RESOLVED_FIDELITY: i64 = 720;

/// Spacings that the Data API takes, seconds.
const BUCKETS: std::ops::RangeInclusive<i64> = 60..=86_400;
/// Most points of a page there.
const MAX_PAGE: usize = 10_000;

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

impl Span {
    /// The stretch of a name.
    fn named(interval: &str) -> Option<Self> {
        Some(match interval {
            "max" | "all" => Span::Max,
            // `1m` is a month.
            "1m" => Span::Last(30 * DAY),
            "1w" => Span::Last(7 * DAY),
            "1d" => Span::Last(DAY),
            "6h" => Span::Last(6 * HOUR),
            "1h" => Span::Last(HOUR),
            _ => return None,
        })
    }
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
                let Some(span) = Span::named(interval) else {
                    return Err(format!("invalid filters: interval '{interval}'"));
                };
                let least = match interval {
                    "1m" => 10,
                    "1w" => 5,
                    _ => 1,
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
    let fidelity = request.fidelity.unwrap_or(HISTORY_INTERVAL / 60_000);
    let resolved = world
        .by_token(token)
        .is_some_and(|(market, _, _)| market.phase(world.now) == Phase::Resolved);
    // The venue's oddity: coarse points only once a market is resolved.
    if request.span == Span::Max && resolved && fidelity < RESOLVED_FIDELITY {
        return Vec::new();
    }
    sampled(world, token, request.span, fidelity.saturating_mul(60_000))
}

/// Recorded points of a token at least `spacing` milliseconds apart, oldest first, and the present
/// one; none when the token is unknown.
fn sampled(world: &World, token: &str, span: Span, spacing: i64) -> Vec<Point> {
    let Some((market, event, side)) = world.by_token(token) else {
        return Vec::new();
    };
    let (from, to) = match span {
        Span::Max => (event.opened, world.now),
        Span::Last(millis) => (world.now.plus_millis(-millis), world.now),
        Span::Between(from, to) => (from, to.unwrap_or(world.now).min(world.now)),
    };
    let spacing = spacing.max(HISTORY_INTERVAL);
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

/// `GET /v2/prices-history` of the Data API.
pub(super) async fn second(State(shared): State<Shared>, params: Params) -> Response {
    data::either(second_of(&shared.read(), &params))
}

fn second_of(world: &World, params: &Params) -> Result<Response, Box<Response>> {
    let Some(token) = params.one("token_id") else {
        return Err(data::refuse("token_id is required", "token_id"));
    };
    let (span, bucket) = span_and_bucket(params)?;
    let recorded = HISTORY_INTERVAL / 1_000;
    let rows = sampled(world, token, span, bucket.saturating_mul(1_000))
        .into_iter()
        .map(|point| PricePoint {
            timestamp: point.t,
            price: point.p,
            resolution_seconds: bucket.max(recorded),
        })
        .collect();
    data::page_up_to(params, rows, MAX_PAGE)
}

/// Which stretch, and the seconds between points.
fn span_and_bucket(params: &Params) -> Result<(Span, i64), Box<Response>> {
    let whole = |name: &str| match params.one(name).map(str::parse::<i64>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(data::refuse(
            &format!("{name} must be a whole number"),
            name,
        )),
    };
    let (start, end) = (whole("start")?, whole("end")?);
    let (span, least) = match (params.one("interval"), start) {
        (Some(interval), None) => {
            let span = Span::named(interval)
                .ok_or_else(|| data::refuse("interval is not known", "interval"))?;
            let least = match interval {
                "max" | "all" | "1m" => 600,
                "1w" => 300,
                _ => *BUCKETS.start(),
            };
            (span, least)
        }
        (None, Some(start)) => {
            let start = Timestamp::from_secs(start);
            let end = end.map(Timestamp::from_secs);
            if end.is_some_and(|end| end < start) {
                return Err(data::refuse("end is before start", "end"));
            }
            if end.is_some_and(|end| end.since(start) > LONGEST) {
                return Err(data::refuse("start and end are over 15 days apart", "end"));
            }
            (Span::Between(start, end), *BUCKETS.start())
        }
        _ => {
            return Err(data::refuse(
                "exactly one of interval, start is required",
                "interval",
            ));
        }
    };
    let bucket = whole("bucket_seconds")?.unwrap_or(HISTORY_INTERVAL / 1_000);
    if !(least..=*BUCKETS.end()).contains(&bucket) {
        return Err(data::refuse(
            &format!("bucket_seconds must be between {least} and 86400"),
            "bucket_seconds",
        ));
    }
    Ok((span, bucket))
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

    #[test]
    fn the_data_routes_limits_hold() {
        let read = |pairs: &[(&str, &str)]| {
            span_and_bucket(&Params::of(pairs)).map_err(|refusal| refusal.status())
        };
        for refused in [
            vec![],
            vec![("end", "9")],
            vec![("interval", "1d"), ("start", "0")],
            vec![("interval", "2d")],
            vec![("interval", "max"), ("bucket_seconds", "599")],
            vec![("interval", "1m"), ("bucket_seconds", "300")],
            vec![("interval", "1w"), ("bucket_seconds", "299")],
            vec![("interval", "1d"), ("bucket_seconds", "59")],
            vec![("interval", "1d"), ("bucket_seconds", "86401")],
            vec![("interval", "1d"), ("bucket_seconds", "x")],
            vec![("start", "x")],
            vec![("start", "9"), ("end", "8")],
            vec![("start", "0"), ("end", "1296001")],
        ] {
            assert_eq!(read(&refused), Err(StatusCode::BAD_REQUEST), "{refused:?}");
        }
        let week = read(&[("interval", "1w"), ("bucket_seconds", "300")]);
        assert_eq!(week, Ok((Span::Last(7 * DAY), 300)));
        let most = read(&[("start", "0"), ("end", "1296000")]);
        let end = Timestamp::from_secs(1_296_000);
        let span = Span::Between(Timestamp::from_secs(0), Some(end));
        assert_eq!(most, Ok((span, 600)));
    }
}

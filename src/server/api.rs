//! The page at `/` and the JSON behind it, as plain HTTP routes beside `/mcp`.
//!
//! Read only. Who may ask at all (`Host`, `Origin`, loopback) is checked by
//! [`serve_http`](super::serve_http) and [`serve_routes`](super::serve_routes) around these routes.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::domain::text::{MAX_NAME, clean};

use super::http::error_response;
use super::lenient::Limit;
use super::page::{page_policy, page_with_nonce};
use super::record;
use super::tool::ToolError;
use super::tools::monitoring::PerformanceOut;
use super::tools::{blocking, monitoring, portfolio, system};

/// What every answer carries that sets nothing stricter.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    // It is out of date with the next tick, and nobody else's business.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The dashboard at `/`, and `/api/{health, portfolio, trades, signals, snapshots,
/// conditional-orders, strategy-performance}`. Errors are `{code, message, hint}` with a fitting
/// status.
pub fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(dashboard))
        .route("/api/health", get(health))
        .route("/api/portfolio", get(account))
        .route("/api/trades", get(trades))
        .route("/api/signals", get(signals))
        .route("/api/snapshots", get(snapshots))
        .route("/api/conditional-orders", get(conditional_orders))
        .route("/api/strategy-performance", get(performance))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::map_response(with_headers))
        .with_state(app)
}

async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// A [`ToolError`] as an answer.
struct ApiError(ToolError);

impl From<ToolError> for ApiError {
    fn from(error: ToolError) -> Self {
        ApiError(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self.0.code.as_str() {
            "bad_arguments" => StatusCode::BAD_REQUEST,
            "not_found" => StatusCode::NOT_FOUND,
            "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        error_response(status, &self.0)
    }
}

type Answer<T> = Result<Json<T>, ApiError>;
type Asked<T> = Result<Query<T>, QueryRejection>;

/// The query, or what is wrong with it.
fn asked<T>(query: Asked<T>) -> Result<T, ApiError> {
    query.map(|Query(asked)| asked).map_err(|rejection| {
        ApiError(ToolError::new(
            "bad_arguments",
            clean(&rejection.body_text(), MAX_NAME),
            "limit is a whole number from 1 to 1000; /api/signals takes strategy too.",
        ))
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows<const DEFAULT: u32> {
    #[serde(default)]
    limit: Limit<DEFAULT, 1000>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalRows {
    /// Empty means all.
    #[serde(default)]
    strategy: String,
    #[serde(default)]
    limit: Limit<100, 1000>,
}

fn rows<const DEFAULT: u32>(limit: Limit<DEFAULT, 1000>) -> u32 {
    u32::try_from(limit.get()).unwrap_or(DEFAULT)
}

async fn dashboard() -> Response {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let mut headers = HeaderMap::new();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    // Hexadecimal digits always make a header value.
    if let Ok(policy) = HeaderValue::from_str(&page_policy(&nonce)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    (headers, page_with_nonce(&nonce)).into_response()
}

async fn health(State(app): State<Arc<App>>) -> Answer<system::HealthOut> {
    app.look_at_owner(system::OWNERS_ANSWER).await;
    answer(blocking(&app, system::health).await)
}

async fn account(State(app): State<Arc<App>>) -> Answer<portfolio::PortfolioOut> {
    answer(blocking(&app, portfolio::portfolio).await)
}

async fn trades(
    State(app): State<Arc<App>>,
    query: Asked<Rows<50>>,
) -> Answer<Vec<crate::store::TradeRow>> {
    answer(record::trades(&app, rows(asked(query)?.limit)).await)
}

async fn signals(
    State(app): State<Arc<App>>,
    query: Asked<SignalRows>,
) -> Answer<record::SignalsView> {
    let SignalRows { strategy, limit } = asked(query)?;
    let strategy = Some(strategy).filter(|name| !name.is_empty());
    answer(record::signals(&app, strategy, rows(limit)).await)
}

async fn snapshots(
    State(app): State<Arc<App>>,
    query: Asked<Rows<100>>,
) -> Answer<Vec<record::SnapshotView>> {
    answer(record::snapshots(&app, rows(asked(query)?.limit)).await)
}

async fn conditional_orders(
    State(app): State<Arc<App>>,
    query: Asked<Rows<50>>,
) -> Answer<Vec<crate::store::ConditionalRow>> {
    answer(record::conditional_orders(&app, rows(asked(query)?.limit)).await)
}

async fn performance(State(app): State<Arc<App>>) -> Answer<PerformanceOut> {
    answer(blocking(&app, monitoring::performance_record).await)
}

fn answer<T: Serialize>(result: Result<T, ToolError>) -> Answer<T> {
    result.map(Json).map_err(ApiError)
}

async fn unknown(uri: Uri) -> ApiError {
    ApiError(ToolError::new(
        "not_found",
        format!("there is nothing at {}", clean(uri.path(), MAX_NAME)),
        "The page is at /; its data at /api/health, /api/portfolio, /api/trades, /api/signals, \
         /api/snapshots, /api/conditional-orders and /api/strategy-performance; MCP at /mcp.",
    ))
}

async fn wrong_method() -> ApiError {
    ApiError(ToolError::new(
        "method_not_allowed",
        "this address can only be read",
        "Use GET. Trading goes through MCP or the command line.",
    ))
}

#[cfg(test)]
mod tests;

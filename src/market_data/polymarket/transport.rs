//! One way out to the venue: limits, retries, timeouts, size caps and counters live here.
//!
//! Everything sent from here only reads, so everything may be tried again. Whatever else comes
//! between a question and its answer later (sharing of identical requests, a circuit breaker)
//! belongs in [`Transport::send`].

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::{Method, StatusCode, Url, header};
use serde_json::Value;

use super::config::{PolymarketConfig, base_url};
use super::row::Oddities;
use crate::domain::text::clean;
use crate::domain::{Clock, SourceKind, SystemClock};
use crate::market_data::{DataError, DataHealth};

/// Largest answer that is read: a page of 100 markets is about 0.6 MB.
pub const MAX_BODY: usize = 32 * 1024 * 1024;
/// Longest `Retry-After` that is waited out; for more the caller is told.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// First step of the backoff; it doubles with each attempt.
const BACKOFF: Duration = Duration::from_millis(200);
/// The window that the venue's published limits count in.
const LIMIT_WINDOW: Duration = Duration::from_secs(10);

/// A group of routes with a published limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Gamma `/markets…`.
    GammaMarkets,
    /// Gamma `/events…`.
    GammaEvents,
    /// Gamma `/public-search`.
    GammaSearch,
    /// CLOB, single objects.
    Clob,
    /// CLOB `/books`.
    ClobBooks,
    /// CLOB price histories.
    ClobHistory,
    /// Data API.
    Data,
    /// Data API `/v2/positions`.
    DataPositions,
}

impl Scope {
    const ALL: [Scope; 8] = [
        Scope::GammaMarkets,
        Scope::GammaEvents,
        Scope::GammaSearch,
        Scope::Clob,
        Scope::ClobBooks,
        Scope::ClobHistory,
        Scope::Data,
        Scope::DataPositions,
    ];

    /// Requests per ten seconds that the venue publishes (its rate-limit page, October 2026).
    fn published(self) -> u32 {
        match self {
            Scope::GammaMarkets => 300,
            Scope::GammaEvents => 500,
            Scope::GammaSearch => 350,
            Scope::Clob => 9_000,
            Scope::ClobBooks => 500,
            Scope::ClobHistory => 1_000,
            Scope::Data => 800,
            Scope::DataPositions => 200,
        }
    }
}

/// A read to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    scope: Scope,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Request {
    /// `GET path`; the path begins with `/` and holds no text from outside that was not checked.
    pub fn get(scope: Scope, path: impl Into<String>) -> Self {
        Request {
            scope,
            path: path.into(),
            query: Vec::new(),
            body: None,
        }
    }

    /// `POST path` with a JSON body, for reads that take lists.
    pub fn post(scope: Scope, path: impl Into<String>, body: Value) -> Self {
        Request {
            body: Some(body),
            ..Request::get(scope, path)
        }
    }

    /// Adds a query parameter; lists repeat the key.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.query.push((key, value.into()));
        self
    }
}

/// What came of one attempt that did not work.
struct Failure {
    error: DataError,
    /// `None`: trying again is pointless. Otherwise the venue's wish, if it stated one.
    again: Option<Option<Duration>>,
}

impl Failure {
    fn once(error: DataError) -> Self {
        Failure { error, again: None }
    }

    fn transient(error: DataError, retry_after: Option<Duration>) -> Self {
        Failure {
            error,
            again: Some(retry_after),
        }
    }
}

/// Sends reads to the three hosts.
pub struct Transport {
    config: PolymarketConfig,
    gamma: Url,
    clob: Url,
    data: Url,
    client: OnceLock<reqwest::Client>,
    limiters: HashMap<Scope, DefaultDirectRateLimiter>,
    requests: AtomicU64,
    failures: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    skipped: BTreeMap<String, u64>,
    last_error: Option<String>,
    last_success: Option<crate::domain::Timestamp>,
}

impl Transport {
    /// Checks the settings. A sandbox is our own process, so it is asked without a limit.
    /// Errors: [`DataError::BadRequest`] naming the setting.
    pub fn new(config: PolymarketConfig, kind: SourceKind) -> Result<Self, DataError> {
        config.validate()?;
        let limiters = if kind == SourceKind::Sandbox {
            HashMap::new()
        } else {
            Scope::ALL
                .into_iter()
                .filter_map(|scope| Some((scope, limiter(scope, config.rate_share)?)))
                .collect()
        };
        Ok(Transport {
            gamma: base_url("gamma_url", &config.gamma_url)?,
            clob: base_url("clob_url", &config.clob_url)?,
            data: base_url("data_url", &config.data_url)?,
            config,
            client: OnceLock::new(),
            limiters,
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            state: Mutex::new(State::default()),
        })
    }

    /// The JSON answer, `None` for status 404.
    pub async fn json(&self, request: &Request) -> Result<Option<Value>, DataError> {
        match self.send(request).await? {
            None => Ok(None),
            Some(body) => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|error| self.malformed(request, &error.to_string())),
        }
    }

    /// The JSON answer of a route that is never 404 when the venue is well.
    pub async fn json_expected(&self, request: &Request) -> Result<Value, DataError> {
        let body = self.send_expected(request).await?;
        serde_json::from_slice(&body).map_err(|error| self.malformed(request, &error.to_string()))
    }

    /// The body of a route that is never 404 when the venue is well.
    pub async fn send_expected(&self, request: &Request) -> Result<Vec<u8>, DataError> {
        match self.send(request).await? {
            Some(body) => Ok(body),
            None => Err(self.failed(DataError::Status {
                route: self.route(request),
                status: StatusCode::NOT_FOUND.as_u16(),
                detail: "the route does not exist there".to_owned(),
                retry_after: None,
            })),
        }
    }

    /// Sends, with retries. `None` for status 404.
    pub async fn send(&self, request: &Request) -> Result<Option<Vec<u8>>, DataError> {
        let mut attempt = 0;
        loop {
            if let Some(limiter) = self.limiters.get(&request.scope) {
                limiter.until_ready().await;
            }
            self.requests.fetch_add(1, Ordering::Relaxed);
            let failure = match self.attempt(request).await {
                Ok(body) => {
                    self.state().last_success = Some(SystemClock.now());
                    return Ok(body);
                }
                Err(failure) => failure,
            };
            let Some(wished) = failure.again.filter(|_| attempt < self.config.retries) else {
                return Err(self.failed(failure.error));
            };
            // A wish of 0 s is no leave to hammer.
            let wait = wished.unwrap_or_default().max(backoff(attempt));
            if wait > MAX_WAIT {
                return Err(self.failed(failure.error));
            }
            tracing::debug!(
                route = self.route(request),
                wait_ms = wait.as_millis() as u64,
                "read failed, trying again: {}",
                failure.error
            );
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, request: &Request) -> Result<Option<Vec<u8>>, Failure> {
        let client = self.client().map_err(Failure::once)?;
        let url = self.url(request);
        let method = if request.body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let mut builder = client.request(method, url);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let mut response = builder
            .send()
            .await
            .map_err(|error| self.transport_failure(request, error))?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(retry_after);
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.transport_failure(request, error))?
        {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(Failure::once(DataError::Malformed {
                    route: self.route(request),
                    detail: format!("longer than {} MiB", MAX_BODY / (1024 * 1024)),
                }));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(Some(body));
        }
        let error = DataError::Status {
            route: self.route(request),
            status: status.as_u16(),
            detail: error_text(&body),
            retry_after,
        };
        // 425: the matching engine restarts.
        let transient = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY | StatusCode::REQUEST_TIMEOUT
            );
        Err(if transient {
            Failure::transient(error, retry_after)
        } else {
            Failure::once(error)
        })
    }

    fn transport_failure(&self, request: &Request, error: reqwest::Error) -> Failure {
        let connecting = error.is_connect();
        let detail = if error.is_timeout() && !connecting {
            format!("no answer within {} s", self.config.timeout_seconds)
        } else {
            // The URL may hold a search text or a wallet; the root cause says enough.
            let error = error.without_url();
            let mut cause: &dyn std::error::Error = &error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            clean(&cause.to_string(), 200)
        };
        let url = self.url(request);
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let error = DataError::Unreachable { host, detail };
        // Nobody is there: say so at once, the next tick tries again anyway.
        if connecting {
            Failure::once(error)
        } else {
            Failure::transient(error, None)
        }
    }

    fn base(&self, scope: Scope) -> &Url {
        match scope {
            Scope::GammaMarkets | Scope::GammaEvents | Scope::GammaSearch => &self.gamma,
            Scope::Clob | Scope::ClobBooks | Scope::ClobHistory => &self.clob,
            Scope::Data | Scope::DataPositions => &self.data,
        }
    }

    fn url(&self, request: &Request) -> Url {
        let mut url = self.base(request.scope).clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), request.path);
        url.set_path(&path);
        url
    }

    /// Method, host and path, for errors; never a query.
    pub fn route(&self, request: &Request) -> String {
        let url = self.url(request);
        let method = if request.body.is_some() {
            "POST"
        } else {
            "GET"
        };
        format!(
            "{method} {}{}",
            url.host_str().unwrap_or_default(),
            clean(url.path(), 200)
        )
    }

    /// The client, built when it is first needed: reading the machine's certificates takes longer
    /// than a server may take to answer its first `initialize`.
    fn client(&self) -> Result<&reqwest::Client, DataError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Fails only when a provider is there already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.config.user_agent)
            .timeout(self.config.timeout())
            .connect_timeout(self.config.connect_timeout())
            .redirect(reqwest::redirect::Policy::limited(3));
        let bases = [&self.gamma, &self.clob, &self.data];
        if bases.into_iter().all(is_loopback) {
            // A sandbox on this machine: never by way of a proxy.
            builder = builder.no_proxy();
        }
        if bases.into_iter().all(|url| url.scheme() == "http") {
            // No TLS is spoken, so that a machine without certificates can run the sandbox.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            let mut cause: &dyn std::error::Error = &error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            DataError::Unreachable {
                host: self.gamma.host_str().unwrap_or_default().to_owned(),
                detail: format!("the HTTP client could not be built: {cause}"),
            }
        })?;
        Ok(self.client.get_or_init(|| client))
    }

    /// An answer that is not what the route promises: counted and named.
    pub fn malformed(&self, request: &Request, detail: &str) -> DataError {
        self.failed(DataError::Malformed {
            route: self.route(request),
            detail: clean(detail, 200),
        })
    }

    fn failed(&self, error: DataError) -> DataError {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.state().last_error = Some(error.to_string());
        error
    }

    /// Counts skipped rows and dropped values by cause.
    pub fn count(&self, oddities: &Oddities) {
        if oddities.causes().is_empty() {
            return;
        }
        let mut state = self.state();
        for cause in oddities.causes() {
            *state.skipped.entry(cause.clone()).or_insert(0) += 1;
        }
    }

    /// The counters.
    pub fn health(&self) -> DataHealth {
        let state = self.state();
        DataHealth {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            skipped_rows: state.skipped.clone(),
            last_error: state.last_error.clone(),
            last_success: state.last_success,
            notes: Vec::new(),
            stream: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters stay usable after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limiter(scope: Scope, share: f64) -> Option<DefaultDirectRateLimiter> {
    let allowed = (f64::from(scope.published()) * share).floor().max(1.0);
    // In range: `published` is a u32 and `share` at most 1.
    let allowed = NonZeroU32::new(allowed as u32)?;
    let quota = Quota::with_period(LIMIT_WINDOW / allowed.get())?.allow_burst(allowed);
    Some(RateLimiter::direct(quota))
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// Full jitter: anything between nothing and the doubled step, so that clients do not march in
/// step.
fn backoff(attempt: u32) -> Duration {
    let ceiling = BACKOFF
        .saturating_mul(2_u32.saturating_pow(attempt))
        .min(MAX_WAIT);
    Duration::from_millis(rand::random_range(0..=ceiling.as_millis() as u64))
}

/// Seconds, or an HTTP date.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
    let wait = moment.timestamp_millis() - SystemClock.now().millis();
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

/// What an error body says, in one short line.
fn error_text(body: &[u8]) -> String {
    let told = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|value| {
            ["error", "message"]
                .iter()
                .find_map(|field| value.get(field)?.as_str().map(str::to_owned))
        });
    let text = told
        .unwrap_or_else(|| String::from_utf8_lossy(body.get(..400).unwrap_or(body)).into_owned());
    let text = clean(&text, 200);
    if text.is_empty() {
        "no explanation given".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(retry_after("3"), Some(Duration::from_secs(3)));
        assert_eq!(
            retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn backoff_stays_under_its_ceiling() {
        for attempt in 0..12 {
            let ceiling = (200_u64 << attempt).min(10_000);
            assert!(backoff(attempt).as_millis() as u64 <= ceiling);
        }
    }

    #[test]
    fn a_fifth_of_the_limit_is_used() {
        // 300 per 10 s × 0.2 = 60 at once, then one each 1/6 s.
        let limiter = limiter(Scope::GammaMarkets, 0.2).unwrap();
        let passed = (0..100).filter(|_| limiter.check().is_ok()).count();
        assert_eq!(passed, 60);
    }

    #[test]
    fn errors_name_the_route_without_its_query() {
        let config = PolymarketConfig {
            gamma_url: "http://127.0.0.1:4000/gamma/".to_owned(),
            ..PolymarketConfig::default()
        };
        let transport = Transport::new(config, SourceKind::Sandbox).unwrap();
        let request = Request::get(Scope::GammaSearch, "/public-search").with("q", "a secret");
        assert_eq!(
            transport.route(&request),
            "GET 127.0.0.1/gamma/public-search"
        );
    }
}

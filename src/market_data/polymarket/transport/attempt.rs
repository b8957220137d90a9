//! One attempt: a request goes out, its answer comes in whole, or a failure says what was wrong.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url, header, redirect};
use serde_json::Value;

use super::request::{Host, Request};
use super::retry::{Failure, Kind};
use crate::domain::text::clean;
use crate::market_data::DataError;
use crate::market_data::polymarket::backoff::retry_after;
use crate::market_data::polymarket::config::{PolymarketConfig, base_url};

/// Largest answer that is read, after decompression: a page of 100 markets is about 0.6 MB.
pub const MAX_BODY: usize = 32 * 1024 * 1024;
/// Redirects that are followed, all on the same host.
const MAX_REDIRECTS: usize = 3;

/// Where the hosts are, and the connections to them.
pub struct Wire {
    gamma: Url,
    clob: Url,
    data: Url,
    user_agent: String,
    timeout: Duration,
    connect_timeout: Duration,
    client: OnceLock<reqwest::Client>,
}

impl Wire {
    /// From settings that were checked. Errors: [`DataError::BadRequest`] naming a URL.
    pub fn new(config: &PolymarketConfig) -> Result<Self, DataError> {
        Ok(Wire {
            gamma: base_url("gamma_url", &config.gamma_url)?,
            clob: base_url("clob_url", &config.clob_url)?,
            data: base_url("data_url", &config.data_url)?,
            user_agent: config.user_agent.clone(),
            timeout: config.timeout(),
            connect_timeout: config.connect_timeout(),
            client: OnceLock::new(),
        })
    }

    /// Host and port.
    pub fn authority(&self, host: Host) -> String {
        let url = self.base(host);
        match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        }
    }

    /// Method, host and path, for errors; never a query.
    pub fn route(&self, request: &Request) -> String {
        let url = self.url(request);
        format!(
            "{} {}{}",
            method(request),
            url.host_str().unwrap_or_default(),
            clean(url.path(), 200)
        )
    }

    /// Sends once and reads the whole answer; `None` for status 404. Takes at most `longest`, and
    /// never longer than the timeout of the settings.
    pub async fn attempt(
        &self,
        request: &Request,
        longest: Duration,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let client = self
            .client()
            .map_err(|error| Failure::new(Kind::Gone, error))?;
        let timeout = self.timeout.min(longest);
        let failed = |error| self.transport_failure(request, error, timeout);
        // The timeout counts to the last byte of the body: one that trickles ends too.
        let mut builder = client
            .request(method(request), self.url(request))
            .timeout(timeout);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder.send().await.map_err(failed)?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let wish = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(retry_after);
        let body = self.body(request, response, timeout).await?;
        if status.is_success() {
            return Ok(Some(body));
        }
        let error = DataError::Status {
            route: self.route(request),
            status: status.as_u16(),
            detail: error_text(&body),
            retry_after: wish,
        };
        let kind = match status {
            StatusCode::TOO_EARLY | StatusCode::SERVICE_UNAVAILABLE => Kind::Restarting,
            StatusCode::TOO_MANY_REQUESTS => Kind::Busy,
            StatusCode::REQUEST_TIMEOUT => Kind::Down,
            status if status.is_server_error() => Kind::Down,
            _ => Kind::Refused,
        };
        Err(Failure { error, kind, wish })
    }

    async fn body(
        &self,
        request: &Request,
        mut response: Response,
        timeout: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| self.transport_failure(request, error, timeout))?;
            let Some(chunk) = chunk else {
                return Ok(body);
            };
            // Chunks come decompressed, so that a small answer cannot become a huge one.
            if body.len() + chunk.len() > MAX_BODY {
                let error = DataError::Malformed {
                    route: self.route(request),
                    detail: format!("longer than {} MiB", MAX_BODY / (1024 * 1024)),
                };
                return Err(Failure::new(Kind::Refused, error));
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn transport_failure(
        &self,
        request: &Request,
        error: reqwest::Error,
        timeout: Duration,
    ) -> Failure {
        let (connecting, redirected) = (error.is_connect(), error.is_redirect());
        let detail = if error.is_timeout() && !connecting {
            format!("no answer within {} s", seconds(timeout))
        } else {
            // The URL may hold a search text or a wallet; the root cause says enough.
            clean(&root_cause(&error.without_url()), 200)
        };
        if redirected {
            let error = DataError::Malformed {
                route: self.route(request),
                detail,
            };
            return Failure::new(Kind::Refused, error);
        }
        let host = self.authority(request.scope.host());
        let kind = if connecting { Kind::Gone } else { Kind::Down };
        Failure::new(kind, DataError::Unreachable { host, detail })
    }

    fn base(&self, host: Host) -> &Url {
        match host {
            Host::Gamma => &self.gamma,
            Host::Clob => &self.clob,
            Host::Data => &self.data,
        }
    }

    fn url(&self, request: &Request) -> Url {
        let mut url = self.base(request.scope.host()).clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), request.path);
        url.set_path(&path);
        url
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
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .redirect(same_host());
        let bases = [&self.gamma, &self.clob, &self.data];
        if bases.into_iter().all(is_loopback) {
            // A sandbox on this machine: never by way of a proxy.
            builder = builder.no_proxy();
        }
        if bases.into_iter().all(|url| url.scheme() == "http") {
            // No TLS is spoken, so that a machine without certificates can run the sandbox.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| DataError::Unreachable {
            host: self.authority(Host::Gamma),
            detail: format!("the HTTP client could not be built: {}", root_cause(&error)),
        })?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Answers come from the host that was asked, or not at all: a redirect elsewhere could hand a
/// wallet's address, or a price that nobody vouches for, to and from anyone.
fn same_host() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let same = attempt
            .previous()
            .last()
            .is_some_and(|from| from.origin() == attempt.url().origin());
        if !same {
            let to = attempt.url().host_str().unwrap_or("no host").to_owned();
            return attempt.error(format!("it redirects to another host ({to}), refused"));
        }
        if attempt.previous().len() > MAX_REDIRECTS {
            return attempt.error("it redirects again and again");
        }
        attempt.follow()
    })
}

fn method(request: &Request) -> Method {
    if request.is_get() {
        Method::GET
    } else {
        Method::POST
    }
}

/// Whole seconds, or tenths for less than ten.
fn seconds(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10.0).round() / 10.0;
    if time.as_secs() >= 10 {
        time.as_secs().to_string()
    } else {
        tenths.to_string()
    }
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
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

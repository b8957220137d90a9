//! Settings of the Polymarket client.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::market_data::DataError;

/// Where the venue is and how gently it is asked. Every host can be changed: tests and the sandbox
/// need it, and the venue has moved hosts before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolymarketConfig {
    /// Base of the Gamma API (market and event metadata); may have a path prefix.
    pub gamma_url: String,
    /// Base of the CLOB API (books, price history); may have a path prefix.
    pub clob_url: String,
    /// Base of the Data API (resolutions, positions, leaderboard), without its `/v2`.
    pub data_url: String,
    /// Base of the WebSocket channels (`ws` or `wss`), without its `/market`.
    pub ws_url: String,
    /// Keep the books of watched markets current by the venue's WebSocket instead of asking for
    /// them each time. Off by itself with an embedded sandbox, whose simulated time may run fast or
    /// in steps, and where `clob_url` is on this machine and `ws_url` is not: books of two
    /// exchanges must not mix.
    pub stream: bool,
    /// A WebSocket on which nothing was heard for so long, not even an answer to our `PING` every
    /// 10 s, is given up and made again, seconds (15 to 300).
    pub stream_silence_seconds: u64,
    /// `User-Agent` header; the venue's front door refuses clients without one.
    pub user_agent: String,
    /// Longest wait for one answer, seconds (1 to 120).
    pub timeout_seconds: u64,
    /// Longest wait for a connection, seconds (1 to 60).
    pub connect_timeout_seconds: u64,
    /// How often a failed read is tried again (0 to 10).
    pub retries: u32,
    /// Share of the venue's published rate limits that is used, above 0 and at most 1.
    pub rate_share: f64,
    /// How long markets and events are remembered, seconds; 0 asks anew each time. Books are never
    /// remembered, and nothing is when the source is a sandbox.
    pub cache_seconds: u64,
}

impl Default for PolymarketConfig {
    fn default() -> Self {
        PolymarketConfig {
            gamma_url: "https://gamma-api.polymarket.com".to_owned(),
            clob_url: "https://clob.polymarket.com".to_owned(),
            data_url: "https://data-api.polymarket.com".to_owned(),
            ws_url: "wss://ws-subscriptions-clob.polymarket.com/ws".to_owned(),
            stream: true,
            stream_silence_seconds: 30,
            user_agent: "polymarket-agent/1.0.0".to_owned(),
            timeout_seconds: 15,
            connect_timeout_seconds: 5,
            retries: 2,
            rate_share: 0.2,
            cache_seconds: 30,
        }
    }
}

impl PolymarketConfig {
    /// Checks ranges and URLs. Errors: [`DataError::BadRequest`] naming the setting.
    pub fn validate(&self) -> Result<(), DataError> {
        let refuse = |message: String| Err(DataError::BadRequest(message));
        base_url("gamma_url", &self.gamma_url)?;
        base_url("clob_url", &self.clob_url)?;
        base_url("data_url", &self.data_url)?;
        socket_url("ws_url", &self.ws_url)?;
        if !(15..=300).contains(&self.stream_silence_seconds) {
            return refuse(format!(
                "stream_silence_seconds is {}; it must be 15 to 300",
                self.stream_silence_seconds
            ));
        }
        if !(1..=120).contains(&self.timeout_seconds) {
            return refuse(format!(
                "timeout_seconds is {}; it must be 1 to 120",
                self.timeout_seconds
            ));
        }
        if !(1..=60).contains(&self.connect_timeout_seconds) {
            return refuse(format!(
                "connect_timeout_seconds is {}; it must be 1 to 60",
                self.connect_timeout_seconds
            ));
        }
        if self.retries > 10 {
            return refuse(format!("retries is {}; it must be 0 to 10", self.retries));
        }
        if !(self.rate_share > 0.0 && self.rate_share <= 1.0) {
            return refuse(format!(
                "rate_share is {}; it must be above 0 and at most 1",
                self.rate_share
            ));
        }
        if http::HeaderValue::from_str(&self.user_agent).is_err() || self.user_agent.is_empty() {
            return refuse("user_agent must be plain text and not empty".to_owned());
        }
        Ok(())
    }

    /// True when books may be streamed: wanted, and from the same exchange as they are asked of.
    #[must_use]
    pub fn streams(&self) -> bool {
        let here = |url: Result<reqwest::Url, DataError>| url.is_ok_and(|url| is_loopback(&url));
        let mixed =
            here(base_url("clob_url", &self.clob_url)) && !here(socket_url("ws_url", &self.ws_url));
        self.stream && !mixed
    }

    /// Longest wait for one answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// Longest wait for a connection.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_seconds)
    }
}

/// Reads a base URL: http or https, a host, no user, query or fragment.
pub(super) fn base_url(setting: &str, text: &str) -> Result<reqwest::Url, DataError> {
    url_of(setting, text, ["http", "https"])
}

/// Reads the base URL of WebSockets: ws or wss, a host, no user, query or fragment.
pub(super) fn socket_url(setting: &str, text: &str) -> Result<reqwest::Url, DataError> {
    url_of(setting, text, ["ws", "wss"])
}

fn url_of(setting: &str, text: &str, schemes: [&str; 2]) -> Result<reqwest::Url, DataError> {
    // The text itself stays out of the message: it could carry a password.
    let refuse = |why: &str| DataError::BadRequest(format!("{setting} {why}"));
    let url = reqwest::Url::parse(text).map_err(|_| refuse("is not a URL"))?;
    if !schemes.contains(&url.scheme()) || url.host_str().is_none() {
        let [plain, secure] = schemes;
        return Err(refuse(&format!(
            "must begin with {plain}:// or {secure}:// and name a host"
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("must not hold a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("must not hold a query or fragment"));
    }
    Ok(url)
}

/// True when the host is this machine.
pub(super) fn is_loopback(url: &reqwest::Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_complete() {
        let config: PolymarketConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, PolymarketConfig::default());
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn a_typo_is_refused() {
        let error = serde_json::from_str::<PolymarketConfig>(r#"{"gama_url":"http://x"}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("gama_url"), "{error}");
    }

    #[test]
    fn the_stream_is_of_the_exchange_that_is_asked() {
        let streams = |clob: &str, ws: &str, wanted: bool| {
            let config = PolymarketConfig {
                clob_url: clob.to_owned(),
                ws_url: ws.to_owned(),
                stream: wanted,
                ..PolymarketConfig::default()
            };
            config.validate().unwrap();
            config.streams()
        };
        assert!(PolymarketConfig::default().streams());
        assert!(!streams("http://127.0.0.1:1", "wss://example.com/ws", true));
        assert!(streams("http://127.0.0.1:1", "ws://[::1]:2/ws", true));
        assert!(!streams("http://127.0.0.1:1", "ws://[::1]:2/ws", false));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let with = |change: fn(&mut PolymarketConfig)| {
            let mut config = PolymarketConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(with(|c| c.clob_url = "clob.polymarket.com".into()).contains("clob_url"));
        assert!(with(|c| c.data_url = "ftp://example.com".into()).contains("data_url"));
        assert!(with(|c| c.rate_share = f64::NAN).contains("rate_share"));
        assert!(with(|c| c.rate_share = 1.5).contains("rate_share"));
        assert!(with(|c| c.timeout_seconds = 0).contains("timeout_seconds"));
        assert!(with(|c| c.user_agent = "a\nb".into()).contains("user_agent"));
        assert!(with(|c| c.ws_url = "https://example.com/ws".into()).contains("ws://"));
        assert!(with(|c| c.stream_silence_seconds = 14).contains("15 to 300"));
        let secret = with(|c| c.gamma_url = "https://me:hunter2@example.com".into());
        assert!(!secret.contains("hunter2"), "{secret}");
    }
}

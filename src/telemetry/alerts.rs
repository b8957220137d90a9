//! Word of each execution, to the console always and to webhooks if there are any.
//!
//! Each webhook has a bounded queue and a task of its own: a tick never waits for one, and one that
//! fails or hangs stops no other. A webhook's URL is a secret; logs name its host only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::domain::text::{MAX_NAME, MAX_QUESTION, clean};
use crate::domain::{Fill, MarketId, Price, Side, StrategyName, Usdc};

/// Alerts that may wait for one webhook; more are dropped and counted.
const QUEUE: usize = 64;
/// How long a webhook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A trade that was executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Who traded.
    pub strategy: StrategyName,
    /// Direction.
    pub side: Side,
    /// Notional, pUSD.
    pub size: Usdc,
    /// Market.
    pub market_id: MarketId,
    /// Price per share, 0–1.
    pub price: Price,
    outcome: String,
    question: String,
}

impl Alert {
    /// An execution at `price` for `size` pUSD. `outcome` and `question` are the venue's words and
    /// are cleaned here.
    #[must_use]
    pub fn new(
        strategy: StrategyName,
        side: Side,
        size: Usdc,
        market_id: MarketId,
        price: Price,
        outcome: &str,
        question: &str,
    ) -> Self {
        Alert {
            strategy,
            side,
            size,
            market_id,
            price,
            outcome: disarm(&clean(outcome, MAX_NAME)),
            question: disarm(&clean(question, MAX_QUESTION)),
        }
    }

    /// The alert of one fill.
    #[must_use]
    pub fn of_fill(fill: &Fill, question: &str) -> Self {
        Alert::new(
            fill.strategy.clone(),
            fill.side,
            fill.notional,
            fill.market_id.clone(),
            fill.price,
            &fill.outcome,
            question,
        )
    }

    /// Cleaned name of the outcome (untrusted text).
    #[must_use]
    pub fn outcome(&self) -> &str {
        &self.outcome
    }

    /// Cleaned question of the market (untrusted text).
    #[must_use]
    pub fn question(&self) -> &str {
        &self.question
    }

    /// `Trade executed: buy 12.16 USDC on 559652 (signal_trader) at 0.155, outcome Yes: Will …?`
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "Trade executed: {} {} USDC on {} ({}) at {}, outcome {}",
            self.side.as_str(),
            cents(self.size),
            disarm(&clean(self.market_id.as_str(), MAX_NAME)),
            self.strategy,
            self.price,
            self.outcome,
        );
        if !self.question.is_empty() {
            text.push_str(": ");
            text.push_str(&self.question);
        }
        text
    }
}

/// Chat services act on `@everyone`, `<!channel>` and `<https://…|label>`: strangers must not.
fn disarm(text: &str) -> String {
    text.replace('@', "＠").replace('<', "‹").replace('>', "›")
}

/// Two decimals, halves away from zero.
fn cents(amount: Usdc) -> String {
    let magnitude = (amount.micros().unsigned_abs() + 5_000) / 10_000;
    let sign = if amount.micros() < 0 && magnitude > 0 {
        "-"
    } else {
        ""
    };
    format!("{sign}{}.{:02}", magnitude / 100, magnitude % 100)
}

/// Alerts could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// Not an `http` or `https` URL. The URL itself is not repeated: it is a secret.
    #[error("webhook {number} of `monitoring.alert_webhooks` is not an http or https URL")]
    BadUrl {
        /// Which one, from 1.
        number: usize,
    },
    /// The HTTP client could not be made.
    #[error("the webhook client could not be set up: {detail}")]
    Client {
        /// What the library said.
        detail: String,
    },
    /// Made outside the asynchronous runtime.
    #[error("alerts need a running Tokio runtime")]
    NoRuntime,
}

enum Job {
    Send(Arc<str>),
    /// Answered once everything before it has been dealt with.
    Flushed(oneshot::Sender<()>),
}

struct Webhook {
    host: String,
    queue: mpsc::Sender<Job>,
}

/// Where alerts go.
pub struct Alerts {
    webhooks: Vec<Webhook>,
    dropped: AtomicU64,
    failed: Arc<AtomicU64>,
}

impl Alerts {
    /// Console and these webhooks. Must be called inside a Tokio runtime when there are any.
    /// Errors: [`AlertError`].
    pub fn new(webhooks: Vec<SecretString>) -> Result<Alerts, AlertError> {
        let failed = Arc::new(AtomicU64::new(0));
        let mut sinks = Vec::with_capacity(webhooks.len());
        if !webhooks.is_empty() {
            let runtime = Handle::try_current().map_err(|_| AlertError::NoRuntime)?;
            for (index, secret) in webhooks.iter().enumerate() {
                let url = parse(secret).ok_or(AlertError::BadUrl { number: index + 1 })?;
                let host = url.host_str().unwrap_or_default().to_owned();
                let (queue, jobs) = mpsc::channel(QUEUE);
                runtime.spawn(deliver(
                    client(&url)?,
                    url,
                    host.clone(),
                    jobs,
                    Arc::clone(&failed),
                ));
                sinks.push(Webhook { host, queue });
            }
        }
        Ok(Alerts {
            webhooks: sinks,
            dropped: AtomicU64::new(0),
            failed,
        })
    }

    /// Logs the alert and hands it to every webhook's queue; never waits for a webhook. An alert
    /// that finds a queue full is dropped there, logged and counted.
    pub async fn send(&self, alert: &Alert) {
        let text: Arc<str> = alert.text().into();
        tracing::warn!(
            strategy = %alert.strategy,
            side = alert.side.as_str(),
            size = alert.size.to_f64(),
            market_id = %alert.market_id,
            "[ALERT] {text}"
        );
        for webhook in &self.webhooks {
            if webhook
                .queue
                .try_send(Job::Send(Arc::clone(&text)))
                .is_err()
            {
                let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::warn!(
                    host = %webhook.host,
                    dropped,
                    "an alert was dropped: too many are waiting for the webhook"
                );
            }
        }
    }

    /// Waits until all alerts sent so far have been delivered or have failed, at most `limit`; true
    /// when they have. For programs that end after a tick.
    pub async fn flush(&self, limit: Duration) -> bool {
        let all = futures::future::join_all(self.webhooks.iter().map(|webhook| async {
            let (done, wait) = oneshot::channel();
            webhook.queue.send(Job::Flushed(done)).await.is_ok() && wait.await.is_ok()
        }));
        tokio::time::timeout(limit, all)
            .await
            .is_ok_and(|flushed| flushed.into_iter().all(|done| done))
    }

    /// Alerts that were dropped because a queue was full, over all webhooks.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Deliveries that failed, over all webhooks.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

fn parse(secret: &SecretString) -> Option<Url> {
    let url = Url::parse(secret.expose_secret().trim()).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn client(url: &Url) -> Result<reqwest::Client, AlertError> {
    // reqwest is built without a cryptography of its own; a provider installed earlier will do.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = reqwest::Client::builder();
    // The proxy of the environment is for others' machines.
    if url.host_str().is_some_and(is_loopback) {
        builder = builder.no_proxy();
    }
    builder
        .timeout(TIMEOUT)
        // A redirect would carry the text, and the secret in a Referer, to somebody else.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .build()
        .map_err(|error| AlertError::Client {
            detail: error.without_url().to_string(),
        })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

async fn deliver(
    client: reqwest::Client,
    url: Url,
    host: String,
    mut jobs: mpsc::Receiver<Job>,
    failed: Arc<AtomicU64>,
) {
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Send(text) => {
                if let Err(cause) = post(&client, &url, &text).await {
                    failed.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%host, error = %cause, "an alert could not be delivered");
                }
            }
            Job::Flushed(done) => {
                // Whoever waited may have given up.
                let _ = done.send(());
            }
        }
    }
}

/// Slack reads `text`, Discord `content`. The error never holds the URL.
async fn post(client: &reqwest::Client, url: &Url, text: &str) -> Result<(), String> {
    let answer = client
        .post(url.clone())
        .json(&json!({"text": text, "content": text}))
        .send()
        .await
        .map_err(|error| kind_of(&error).to_owned())?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("answered with status {}", answer.status().as_u16()))
    }
}

/// In our words: the library's can quote the URL in a cause.
fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer within 10 s"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the request failed"
    }
}

#[cfg(test)]
mod tests;

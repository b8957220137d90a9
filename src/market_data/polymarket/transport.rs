//! One way out to the venue: everything that comes between a question and its answer lives here.
//!
//! Sharing of identical questions ([`flights`]) ▸ circuit breaker per host ([`breaker`]) ▸ limits
//! per host and route ([`limits`]) ▸ one attempt with its timeout, size cap and redirect rule
//! ([`attempt`]) ▸ whether to try again ([`retry`]) ▸ what the health report says ([`tally`]).
//!
//! Everything sent from here only reads, so everything may be tried again. Dropping the future of
//! a call cancels its request, unless another caller waits for the same.

mod attempt;
mod breaker;
mod flights;
mod limits;
mod request;
mod retry;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

use super::config::PolymarketConfig;
use super::row::Oddities;
use crate::domain::text::clean;
use crate::domain::{Clock, SourceKind, SystemClock, Timestamp};
use crate::market_data::{DataError, DataHealth};

pub use request::{Host, Request, Scope};

use attempt::Wire;
use breaker::{Breaker, Refusal};
use flights::Flights;
use limits::Limits;
use retry::{Kind, MAX_WAIT, Patience};
use tally::Tally;

/// A whole body and when it was complete: freshness counts from there, not from when somebody came
/// to look at it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The bytes, decompressed.
    pub body: Arc<Vec<u8>>,
    /// Wall clock.
    pub received: Timestamp,
}

/// What comes of a read; `None` for status 404.
type Outcome = Result<Option<Answer>, DataError>;

/// Sends reads to the three hosts.
pub struct Transport {
    way: Arc<Way>,
    flights: Arc<Flights<Outcome>>,
}

impl Transport {
    /// Checks the settings. A sandbox is our own process, so it is asked without a limit.
    /// Errors: [`DataError::BadRequest`] naming the setting.
    pub fn new(config: &PolymarketConfig, kind: SourceKind) -> Result<Self, DataError> {
        config.validate()?;
        let limits = if kind == SourceKind::Sandbox {
            Limits::none()
        } else {
            Limits::new(config.rate_share)
        };
        let breaker = || Breaker::new(config.breaker_failures, config.breaker_rest());
        Ok(Transport {
            way: Arc::new(Way {
                wire: Wire::new(config)?,
                limits,
                breakers: [breaker(), breaker(), breaker()],
                patience: Patience {
                    retries: config.retries,
                    deadline: config.deadline(),
                },
                tally: Tally::default(),
            }),
            flights: Flights::new(),
        })
    }

    /// The JSON answer, `None` for status 404.
    pub async fn json(&self, request: &Request) -> Result<Option<Value>, DataError> {
        match self.send(request).await? {
            None => Ok(None),
            Some(answer) => self.parsed(request, &answer).map(Some),
        }
    }

    /// The JSON answer of a route that is never 404 when the venue is well.
    pub async fn json_expected(&self, request: &Request) -> Result<Value, DataError> {
        let answer = self.send_expected(request).await?;
        self.parsed(request, &answer)
    }

    /// The answer of a route that is never 404 when the venue is well.
    pub async fn send_expected(&self, request: &Request) -> Result<Answer, DataError> {
        // The host answered: it is well, whatever this one route is.
        self.send(request).await?.ok_or_else(|| DataError::Status {
            route: self.route(request),
            status: StatusCode::NOT_FOUND.as_u16(),
            detail: "the route does not exist there".to_owned(),
            retry_after: None,
        })
    }

    /// Sends, with retries; a GET that is under way already is waited for instead. `None` for
    /// status 404.
    pub async fn send(&self, request: &Request) -> Outcome {
        if !request.is_get() {
            return self.way.carry(request).await;
        }
        let flight = self.flights.join(request.key(), || {
            let (way, request) = (Arc::clone(&self.way), request.clone());
            async move { way.carry(&request).await }
        });
        flight.await
    }

    /// Method, host and path, for errors; never a query.
    pub fn route(&self, request: &Request) -> String {
        self.way.wire.route(request)
    }

    /// An answer that is not what the route promises: counted and named.
    pub fn malformed(&self, request: &Request, detail: &str) -> DataError {
        let error = DataError::Malformed {
            route: self.route(request),
            detail: clean(detail, 200),
        };
        self.way.failed(request.scope.host(), error)
    }

    /// Counts skipped rows and dropped values by cause.
    pub fn count(&self, oddities: &Oddities) {
        self.way.tally.count(oddities);
    }

    /// Keeps a remark about `what` for the health report, or takes it back.
    pub fn note(&self, what: &'static str, text: Option<String>) {
        self.way.tally.note(what, text);
    }

    /// The counters, and which hosts are left alone.
    pub fn health(&self) -> DataHealth {
        let mut health = self.way.tally.health();
        let now = Instant::now();
        for host in Host::ALL {
            if let Some(refusal) = self.way.breaker(host).status(now) {
                health.notes.push(format!(
                    "circuit breaker of {} open: {}",
                    host.name(),
                    self.way.left_alone(host, refusal)
                ));
            }
        }
        health
    }

    fn parsed(&self, request: &Request, answer: &Answer) -> Result<Value, DataError> {
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.malformed(request, &error.to_string()))
    }
}

/// What a flight needs to go on when the caller that began it has left.
struct Way {
    wire: Wire,
    limits: Limits,
    breakers: [Breaker; 3],
    patience: Patience,
    tally: Tally,
}

impl Way {
    async fn carry(&self, request: &Request) -> Outcome {
        let host = request.scope.host();
        let breaker = self.breaker(host);
        let mut begun: Option<Instant> = None;
        let mut last: Option<DataError> = None;
        let mut attempt = 0;
        loop {
            let ticket = match breaker.admit(Instant::now()) {
                Ok(ticket) => ticket,
                // It opened between two attempts: what was seen says more.
                Err(refusal) => {
                    return Err(match last {
                        Some(error) => self.failed(host, error),
                        None => self.left_alone(host, refusal),
                    });
                }
            };
            self.pause(request).await?;
            self.limits.ready(request.scope).await;
            // Waiting for our own limits is not the venue's fault.
            let begun = *begun.get_or_insert_with(Instant::now);
            self.tally.sent();
            let left = self.patience.deadline.saturating_sub(begun.elapsed());
            let failure = match self.wire.attempt(request, left).await {
                Ok(body) => {
                    ticket.succeeded();
                    self.tally.succeeded(host);
                    let received = SystemClock.now();
                    return Ok(body.map(|body| Answer {
                        body: Arc::new(body),
                        received,
                    }));
                }
                Err(failure) => failure,
            };
            let now = Instant::now();
            match failure.kind {
                Kind::Refused => ticket.succeeded(),
                Kind::Gone | Kind::Down => ticket.failed(now, &failure.error.to_string()),
                // It is there, and says when to come again.
                Kind::Busy | Kind::Restarting => drop(ticket),
            }
            // A restart is waited out by each; too many requests are everybody's doing.
            if let (Kind::Busy, Some(wish)) = (failure.kind, failure.wish) {
                self.limits.pause(request.scope, wish, now);
            }
            let Some(wait) = self.patience.wait(&failure, attempt, begun.elapsed()) else {
                if failure.kind == Kind::Restarting {
                    breaker.failed(now, &failure.error.to_string());
                }
                return Err(self.failed(host, failure.error));
            };
            tracing::debug!(
                route = self.wire.route(request),
                wait_ms = wait.as_millis() as u64,
                "read failed, trying again: {}",
                failure.error
            );
            last = Some(failure.error);
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Waits out what the venue asked others to wait, or says how long that is.
    async fn pause(&self, request: &Request) -> Result<(), DataError> {
        let Some(wait) = self.limits.paused(request.scope, Instant::now()) else {
            return Ok(());
        };
        if wait > MAX_WAIT {
            return Err(DataError::Status {
                route: self.wire.route(request),
                status: StatusCode::TOO_MANY_REQUESTS.as_u16(),
                detail: "not sent: the venue asked to wait".to_owned(),
                retry_after: Some(whole_seconds(wait)),
            });
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn breaker(&self, host: Host) -> &Breaker {
        let [gamma, clob, data] = &self.breakers;
        match host {
            Host::Gamma => gamma,
            Host::Clob => clob,
            Host::Data => data,
        }
    }

    fn left_alone(&self, host: Host, refusal: Refusal) -> DataError {
        DataError::CircuitOpen {
            host: self.wire.authority(host),
            failures: refusal.failures,
            retry_in: whole_seconds(refusal.wait),
            cause: refusal.cause,
        }
    }

    fn failed(&self, host: Host, error: DataError) -> DataError {
        self.tally.failed(host, error.to_string());
        error
    }
}

/// Rounded up: nobody is told to come too early.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_millis().div_ceil(1000) as u64)
}

//! What the exchange says of itself and of a market's terms.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Polymarket;
use super::number;
use super::row;
use super::terms_rows;
use super::transport::{Request, Scope};
use crate::domain::{Clock, Market, MarketStatus, SourceKind, SystemClock, Timestamp};
use crate::market_data::{DataError, MarketData, MarketQuery};

/// The order format that this program knows (`GET /version`): CLOB V2, since 2026-04-28.
const ORDER_VERSION: &str = "2";
/// Difference between the machine's and the exchange's clock that is worth a remark, ms: signed
/// requests are good for 30 s, and the exchange states whole seconds.
const SKEW_MS: i64 = 5_000;

/// The venue's clock as it was read last, carried on by a clock that nobody sets: a machine's clock
/// that jumps afterwards is noticed without asking again.
#[derive(Debug, Default)]
pub(super) struct VenueClock(Mutex<Option<(Timestamp, Instant)>>);

impl VenueClock {
    fn set(&self, venue: Timestamp) {
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *read = Some((venue, Instant::now()));
    }

    /// How far the machine's clock is ahead of it, ms; `None` before it was read.
    pub(super) fn ahead(&self) -> Option<i64> {
        let read = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (venue, at) = read?;
        let passed = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
        Some(SystemClock.now().since(venue.plus_millis(passed)))
    }
}

impl Polymarket {
    /// How far the machine's clock is ahead of the venue's, ms. The venue is asked when that is not
    /// known, and when it is more than `gross_ms`: a machine that slept, or whose clock was set right
    /// meanwhile, is not turned away for it. `None` when it does not say, and for simulated time.
    pub(super) async fn measured(&self, gross_ms: i64) -> Option<i64> {
        if self.kind != SourceKind::Polymarket {
            return None;
        }
        match self.clock.ahead() {
            Some(ahead) if ahead.abs() <= gross_ms => Some(ahead),
            known => match self.venue_time().await {
                Ok(time) => {
                    self.clock.set(time);
                    self.clock.ahead()
                }
                Err(error) => {
                    tracing::warn!(%error, "the exchange's clock could not be read");
                    known
                }
            },
        }
    }

    /// The market on the CLOB's terms, which are what an order is judged by. Only an open market is
    /// asked for; one that the CLOB does not know keeps Gamma's terms. Errors: [`DataError`];
    /// `Malformed` when the terms are unknown to this program, so that no order goes out on them.
    pub(super) async fn terms_of(&self, market: &Arc<Market>) -> Result<Arc<Market>, DataError> {
        let Some(condition) = &market.condition_id else {
            return Ok(Arc::clone(market));
        };
        if market.status != MarketStatus::Open {
            return Ok(Arc::clone(market));
        }
        let path = format!("/clob-markets/{}", row::padded(condition));
        let request = Request::get(Scope::Clob, path);
        let Some(answer) = self.transport.json(&request).await? else {
            return Ok(Arc::clone(market));
        };
        terms_rows::terms(&answer)
            .and_then(|terms| terms.applied(market))
            .map(Arc::new)
            .map_err(|fault| self.transport.malformed(&request, &fault.to_string()))
    }

    /// Asks each host of the venue for something small, and keeps remarks about what is odd.
    pub(super) async fn check_venue(&self) -> Result<(), DataError> {
        let query = MarketQuery { limit: 1 };
        let (listed, time, version) = tokio::join!(
            self.active_markets(&query),
            self.venue_time(),
            self.order_version()
        );
        if let Ok(time) = &time {
            let ahead = SystemClock.now().since(*time);
            // Simulated time has nothing to do with the machine's.
            if self.kind == SourceKind::Polymarket {
                self.clock.set(*time);
            }
            let odd = self.kind == SourceKind::Polymarket && ahead.abs() > SKEW_MS;
            self.transport.note(
                "clock",
                odd.then(|| {
                    let way = if ahead > 0 { "ahead of" } else { "behind" };
                    format!(
                        "this machine's clock is {} s {way} the exchange's",
                        ahead.abs() / 1000
                    )
                }),
            );
        }
        if let Ok(version) = &version {
            self.transport.note(
                "version",
                (version != ORDER_VERSION).then(|| {
                    format!(
                        "the exchange takes orders in version {version}; this program knows \
                         version {ORDER_VERSION}"
                    )
                }),
            );
        }
        listed?;
        time?;
        Ok(())
    }

    /// The order format that the exchange takes.
    async fn order_version(&self) -> Result<String, DataError> {
        let request = Request::get(Scope::Clob, "/version");
        let answer = self.transport.json_expected(&request).await?;
        order_version(&answer)
            .ok_or_else(|| self.transport.malformed(&request, "there is no `version`"))
    }
}

/// The number in `{"version": 2}`.
#[must_use]
pub fn order_version(answer: &serde_json::Value) -> Option<String> {
    let text = number::text(answer.get("version")?).ok().flatten()?;
    Some(crate::domain::text::clean(&text, 20))
}

//! How markets ended, by the strongest evidence there is: the Data API's payouts, then its tokens'
//! final prices, then the CLOB's winner, then Gamma's closed row at exactly 1 and 0.
//!
//! A closed market, a past end date or a price of 0.99 is not a resolution.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, stream};
use serde_json::Value;

use super::activity_rows::{self, TOKEN_ROW, TokenRow};
use super::clob_rows;
use super::data_rows::{self, RESOLUTION_ROW, ResolutionRow};
use super::row::{self, Oddities, Problem, RowFault};
use super::transport::{Request, Scope};
use super::{CONCURRENCY, Polymarket};
use crate::domain::{
    Market, MarketId, MarketStatus, PendingResolution, Price, Resolution, TokenId,
};
use crate::market_data::{DataError, MarketData};

/// Conditions per `/v2/resolutions`.
const CONDITIONS_PER_REQUEST: usize = 20;
/// Tokens per `/v2/tokens`.
const TOKENS_PER_REQUEST: usize = 50;
/// Gamma's price of a winner is at least this, and that of a loser at most 1 minus it.
const SETTLED_MICROS: u32 = 999_000;

/// Markets that are remembered as not resolved yet.
const PENDING_KEPT: usize = 5_000;

/// How far the venue was with the ends of markets when it was last asked.
#[derive(Debug, Default)]
pub struct Pending(Mutex<HashMap<MarketId, PendingResolution>>);

impl Pending {
    fn lock(&self) -> MutexGuard<'_, HashMap<MarketId, PendingResolution>> {
        // Entries are whole, so they stay usable after a panic elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of one market; `None` when nothing is known, or it has resolved.
    pub fn get(&self, market: &MarketId) -> Option<PendingResolution> {
        self.lock().get(market).cloned()
    }

    /// Keeps what was last said of a market; `None` when it has resolved.
    fn put(&self, market: &MarketId, state: Option<PendingResolution>) {
        let mut known = self.lock();
        match state {
            Some(state) => {
                if known.len() >= PENDING_KEPT && !known.contains_key(market) {
                    known.clear();
                }
                known.insert(market.clone(), state);
            }
            None => {
                known.remove(market);
            }
        }
    }
}

/// What one source says about one market.
enum Verdict {
    /// This is how it ended.
    Resolved(Resolution),
    /// It has not ended.
    Open,
    /// The source cannot tell.
    Unknown,
}

impl Polymarket {
    /// Resolutions of those markets that have one. An error only when nothing could be found out
    /// at all; a source that fails for some markets is counted in the health report.
    pub(super) async fn resolutions_of(
        &self,
        markets: &[Arc<Market>],
    ) -> Result<Vec<Resolution>, DataError> {
        let (rows, mut first_error) = self.resolution_rows(markets).await;
        let mut found = Vec::new();
        let mut unclear = Vec::new();
        let mut open = Vec::new();
        let mut oddities = Oddities::default();
        for market in markets {
            let row = market
                .condition_id
                .as_ref()
                .and_then(|condition| rows.get(&row::padded(condition)));
            let verdict = row.map_or(Verdict::Unknown, |row| {
                by_payouts(market, row, &mut oddities)
            });
            match (row, &verdict) {
                (Some(row), Verdict::Open) => open.push((market.id.clone(), row.status.clone())),
                _ => self.pending.put(&market.id, None),
            }
            match verdict {
                Verdict::Resolved(resolution) => found.push(resolution),
                Verdict::Open => {}
                Verdict::Unknown => unclear.push(Arc::clone(market)),
            }
        }
        self.transport.count(&oddities);
        // Asking a sandbox for its time is a request: only where there is something to date.
        if !open.is_empty()
            && let Ok(seen_at) = self.now().await
        {
            for (market_id, state) in open {
                let waits = PendingResolution {
                    market_id: market_id.clone(),
                    state,
                    seen_at,
                    evidence: "data /v2/resolutions".to_owned(),
                };
                self.pending.put(&market_id, Some(waits));
            }
        }
        let (paid, token_error) = self.final_prices(&unclear).await;
        if let Some(error) = token_error {
            first_error.get_or_insert(error);
        }
        unclear.retain(|market| match by_final_prices(market, &paid) {
            Some(resolution) => {
                found.push(resolution);
                false
            }
            None => true,
        });
        let answers: Vec<Result<Option<Resolution>, DataError>> = stream::iter(unclear)
            .map(|market| async move { self.fallback(&market).await })
            .buffered(CONCURRENCY)
            .collect()
            .await;
        let mut clear = answers.iter().any(Result::is_ok) || !rows.is_empty();
        for answer in answers {
            match answer {
                Ok(resolution) => found.extend(resolution),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        clear |= !found.is_empty();
        match first_error {
            Some(error) if !clear => Err(error),
            _ => Ok(found),
        }
    }

    /// Rows by padded condition id, and the first error if a batch failed.
    async fn resolution_rows(
        &self,
        markets: &[Arc<Market>],
    ) -> (HashMap<String, ResolutionRow>, Option<DataError>) {
        let mut conditions: Vec<String> = markets
            .iter()
            .filter_map(|market| market.condition_id.as_ref().map(row::padded))
            .collect();
        conditions.sort();
        conditions.dedup();
        let requests: Vec<Request> = conditions
            .chunks(CONDITIONS_PER_REQUEST)
            .map(|chunk| {
                Request::get(Scope::Data, "/v2/resolutions").with("condition", chunk.join(","))
            })
            .collect();
        let answers: Vec<Result<Vec<ResolutionRow>, DataError>> = stream::iter(requests)
            .map(|request| async move {
                self.data_rows(&request, RESOLUTION_ROW, data_rows::resolution)
                    .await
            })
            .buffered(CONCURRENCY)
            .collect()
            .await;
        let mut rows = HashMap::new();
        let mut first_error = None;
        for answer in answers {
            match answer {
                Ok(batch) => {
                    rows.extend(batch.into_iter().map(|r| (row::padded(&r.condition_id), r)));
                }
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        (rows, first_error)
    }

    async fn data_rows<T>(
        &self,
        request: &Request,
        kind: &'static str,
        parse: fn(&Value) -> Result<T, RowFault>,
    ) -> Result<Vec<T>, DataError> {
        let Some(answer) = self.transport.json(request).await? else {
            return Ok(Vec::new());
        };
        let mut oddities = Oddities::default();
        let rows = data_rows::rows(&answer, kind, parse, &mut oddities)
            .map_err(|fault| self.transport.malformed(request, &fault.to_string()))?;
        self.transport.count(&oddities);
        Ok(rows)
    }

    /// What the tokens of markets paid, where that is settled, and the first error if a batch
    /// failed. A venue without the route has none.
    async fn final_prices(
        &self,
        markets: &[Arc<Market>],
    ) -> (HashMap<TokenId, Price>, Option<DataError>) {
        let tokens: Vec<&str> = markets
            .iter()
            .flat_map(|market| &market.outcomes)
            .filter(|outcome| !outcome.synthetic)
            .map(|outcome| outcome.token.as_str())
            .collect();
        let requests: Vec<Request> = tokens
            .chunks(TOKENS_PER_REQUEST)
            .map(|chunk| Request::get(Scope::Data, "/v2/tokens").with("token_id", chunk.join(",")))
            .collect();
        let answers: Vec<Result<Vec<TokenRow>, DataError>> = stream::iter(requests)
            .map(|request| async move {
                self.data_rows(&request, TOKEN_ROW, activity_rows::token)
                    .await
            })
            .buffered(CONCURRENCY)
            .collect()
            .await;
        let mut paid = HashMap::new();
        let mut first_error = None;
        for answer in answers {
            match answer {
                Ok(rows) => paid.extend(
                    rows.into_iter()
                        .filter(|row| row.resolved)
                        .filter_map(|row| Some((row.token, row.final_price?))),
                ),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        (paid, first_error)
    }

    /// The CLOB, then Gamma, for a market that the Data API cannot tell of.
    async fn fallback(&self, market: &Market) -> Result<Option<Resolution>, DataError> {
        let by_winner = self.winner(market).await;
        match by_winner {
            Ok(Verdict::Resolved(resolution)) => return Ok(Some(resolution)),
            Ok(Verdict::Open) => return Ok(None),
            Ok(Verdict::Unknown) | Err(_) => {}
        }
        match self.market_now(&market.id).await {
            Ok(row) => Ok(row.and_then(|row| by_closed_row(market, &row))),
            // Of two failures the first is told.
            Err(error) => Err(by_winner.err().unwrap_or(error)),
        }
    }

    async fn winner(&self, market: &Market) -> Result<Verdict, DataError> {
        let Some(condition) = &market.condition_id else {
            return Ok(Verdict::Unknown);
        };
        let path = format!("/markets/{}", row::padded(condition));
        let request = Request::get(Scope::Clob, path);
        let Some(answer) = self.transport.json(&request).await? else {
            return Ok(Verdict::Unknown);
        };
        let told = clob_rows::clob_market(&answer)
            .map_err(|fault| self.transport.malformed(&request, &fault.to_string()))?;
        if row::padded(&told.condition_id) != row::padded(condition) {
            return Ok(Verdict::Unknown);
        }
        if !told.closed {
            return Ok(Verdict::Open);
        }
        let resolution = told
            .payouts()
            .filter(|payouts| names_all(market, payouts))
            .map(|payouts| Resolution {
                market_id: market.id.clone(),
                payouts,
                resolved_at: None,
                evidence: "clob /markets/{condition}: winner".to_owned(),
            });
        Ok(resolution.map_or(Verdict::Unknown, Verdict::Resolved))
    }
}

/// The Data API's verdict: payouts by outcome index.
fn by_payouts(market: &Market, row: &ResolutionRow, oddities: &mut Oddities) -> Verdict {
    if row.status != "resolved" {
        return Verdict::Open;
    }
    let Some(payouts) = &row.payouts else {
        return Verdict::Unknown;
    };
    if payouts.len() != market.outcomes.len() {
        oddities.skipped(
            RESOLUTION_ROW,
            RowFault::new("payouts", Problem::Inconsistent),
        );
        return Verdict::Unknown;
    }
    Verdict::Resolved(Resolution {
        market_id: market.id.clone(),
        payouts: market
            .outcomes
            .iter()
            .zip(payouts)
            .map(|(outcome, payout)| (outcome.token.clone(), *payout))
            .collect(),
        resolved_at: row.resolved_at,
        evidence: "data /v2/resolutions".to_owned(),
    })
}

/// The Data API's second word: every token of the market is resolved, and what they paid sums to 1.
fn by_final_prices(market: &Market, paid: &HashMap<TokenId, Price>) -> Option<Resolution> {
    let payouts = market
        .outcomes
        .iter()
        .map(|outcome| Some((outcome.token.clone(), *paid.get(&outcome.token)?)))
        .collect::<Option<Vec<_>>>()?;
    let sum: u64 = payouts
        .iter()
        .map(|(_, price)| u64::from(price.micros()))
        .sum();
    (sum == u64::from(Price::ONE.micros())).then(|| Resolution {
        market_id: market.id.clone(),
        payouts,
        resolved_at: None,
        evidence: "data /v2/tokens: final_price".to_owned(),
    })
}

/// Gamma's strict rule: closed, and prices of 1 and 0 (within 0.001).
fn by_closed_row(market: &Market, row: &Market) -> Option<Resolution> {
    if row.id != market.id || row.status != MarketStatus::Closed || row.outcomes.len() != 2 {
        return None;
    }
    let payouts = row
        .outcomes
        .iter()
        .map(|outcome| {
            let micros = outcome.indicative_price?.micros();
            let paid = if micros >= SETTLED_MICROS {
                Price::ONE
            } else if micros <= Price::ONE.micros() - SETTLED_MICROS {
                Price::ZERO
            } else {
                return None;
            };
            Some((outcome.token.clone(), paid))
        })
        .collect::<Option<Vec<_>>>()?;
    // Legacy rows show 0 and 0, which names no winner.
    let winners = payouts
        .iter()
        .filter(|(_, paid)| *paid == Price::ONE)
        .count();
    (winners == 1 && names_all(market, &payouts)).then(|| Resolution {
        market_id: market.id.clone(),
        payouts,
        resolved_at: None,
        evidence: "gamma: closed at 1 and 0".to_owned(),
    })
}

fn names_all(market: &Market, payouts: &[(TokenId, Price)]) -> bool {
    payouts.len() == market.outcomes.len()
        && payouts
            .iter()
            .all(|(token, _)| market.outcome_of(token).is_some())
}

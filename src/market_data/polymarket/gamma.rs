//! Gamma: finding markets and events. Its prices may be five minutes old; nothing trades on them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::gamma_rows::{self, MARKET_ROW, is_slug};
use super::row::{self, Oddities, condition_id, is_asset_id};
use super::search::next_cursor;
use super::transport::{Request, Scope};
use super::{CONCURRENCY, Polymarket};
use crate::domain::text::clean;
use crate::domain::{ConditionId, Event, Market, MarketId, MarketStatus, TokenId};
use crate::market_data::DataError;

/// Rows per page; larger is clamped by the venue (since 2026-05-14).
pub(super) const PAGE: usize = 100;
/// Ids in one query: keeps the URL well under 8 kB.
const IDS_PER_QUERY: usize = 50;
/// Pages of one list: 100,000 markets, more than are open.
const MAX_PAGES: usize = 1_000;

impl Polymarket {
    /// Open markets, most traded first.
    pub(super) async fn most_traded(&self, limit: usize) -> Result<Vec<Arc<Market>>, DataError> {
        if let Some(cache) = &self.cache
            && let Some(list) = cache.lists.get(&limit).await
        {
            return Ok(list.to_vec());
        }
        let found = self
            .most_traded_of(keyset().with("closed", "false"), limit, |market| {
                market.status == MarketStatus::Open
            })
            .await?;
        if let Some(cache) = &self.cache {
            cache.lists.insert(limit, Arc::new(found.clone())).await;
        }
        Ok(found)
    }

    /// Markets of a keyset list that are wanted, most traded first, page by page.
    pub(super) async fn most_traded_of(
        &self,
        list: Request,
        limit: usize,
        wanted: impl Fn(&Market) -> bool,
    ) -> Result<Vec<Arc<Market>>, DataError> {
        let list = list
            .with("order", "volume24hr")
            .with("ascending", "false")
            .with("limit", PAGE.to_string());
        let mut found: Vec<Arc<Market>> = Vec::new();
        let mut seen = HashSet::new();
        let mut cursors = HashSet::new();
        let mut request = list.clone();
        while found.len() < limit {
            let (page, next) = self.market_page(&request).await?;
            for market in page {
                // Rows move between pages while they are read.
                if wanted(&market) && seen.insert(market.id.clone()) {
                    found.push(market);
                }
            }
            match next {
                // The last page has no cursor; one that repeats would never end.
                Some(next) if cursors.len() < MAX_PAGES && cursors.insert(next.clone()) => {
                    request = list.clone().with("after_cursor", next);
                }
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// One market by id, slug or condition id.
    pub(super) async fn find_market(&self, text: &str) -> Result<Option<Arc<Market>>, DataError> {
        let text = text.trim();
        if let Some(condition) = condition_id(text) {
            return self.market_with_condition(&condition).await;
        }
        let (key, path) = single("market", "markets", text)?;
        if let Some(market) = self.remembered(&key).await {
            return Ok(Some(market));
        }
        self.fetch_market(&path).await
    }

    /// One market, never from memory.
    pub(super) async fn market_now(&self, id: &MarketId) -> Result<Option<Arc<Market>>, DataError> {
        let (_, path) = single("market", "markets", id.as_str())?;
        self.fetch_market(&path).await
    }

    async fn fetch_market(&self, path: &str) -> Result<Option<Arc<Market>>, DataError> {
        let request = Request::get(Scope::GammaMarkets, path);
        let Some(answer) = self.transport.json(&request).await? else {
            return Ok(None);
        };
        let mut oddities = Oddities::default();
        let parsed = gamma_rows::market(&answer, &mut oddities);
        if let Err(fault) = &parsed {
            oddities.skipped(MARKET_ROW, *fault);
        }
        self.transport.count(&oddities);
        match parsed {
            Ok(market) => {
                let market = Arc::new(market);
                self.remember(std::slice::from_ref(&market)).await;
                Ok(Some(market))
            }
            // It exists, so `None` would be a lie.
            Err(fault) => Err(self.transport.malformed(&request, &fault.to_string())),
        }
    }

    /// Several markets by id, open and closed.
    pub(super) async fn markets_by_id(
        &self,
        ids: &[MarketId],
    ) -> Result<HashMap<MarketId, Arc<Market>>, DataError> {
        let mut found = HashMap::with_capacity(ids.len());
        let mut missing = Vec::new();
        for id in ids {
            match self.remembered(&format!("id:{id}")).await {
                Some(market) => {
                    found.insert(id.clone(), market);
                }
                // Only Gamma's own numbers can be asked for; anything else does not exist there.
                None if is_asset_id(id.as_str()) => missing.push(id.clone()),
                None => {}
            }
        }
        // The route leaves out closed markets unless told, and open ones when told.
        for closed in ["false", "true"] {
            missing.retain(|id| !found.contains_key(id));
            missing.sort();
            missing.dedup();
            let requests: Vec<Request> = missing
                .chunks(IDS_PER_QUERY)
                .map(|chunk| {
                    chunk.iter().fold(
                        keyset()
                            .with("closed", closed)
                            .with("limit", PAGE.to_string()),
                        |request, id| request.with("id", id.as_str()),
                    )
                })
                .collect();
            let pages: Vec<Vec<Arc<Market>>> = stream::iter(requests)
                .map(|request| async move { Ok(self.market_page(&request).await?.0) })
                .buffer_unordered(CONCURRENCY)
                .try_collect::<Vec<_>>()
                .await?;
            let wanted: HashSet<&MarketId> = missing.iter().collect();
            for market in pages.into_iter().flatten() {
                // A filter that the venue does not know is ignored, not refused.
                if wanted.contains(&market.id) {
                    found.insert(market.id.clone(), market);
                }
            }
        }
        Ok(found)
    }

    async fn market_with_condition(
        &self,
        condition: &ConditionId,
    ) -> Result<Option<Arc<Market>>, DataError> {
        let padded = row::padded(condition);
        if let Some(market) = self.remembered(&format!("condition:{padded}")).await {
            return Ok(Some(market));
        }
        self.first_match("condition_ids", &padded, |market| {
            market.condition_id.as_ref().map(row::padded).as_deref() == Some(padded.as_str())
        })
        .await
    }

    /// The market that a token belongs to, by the id of either protocol version.
    pub(super) async fn market_with_token(
        &self,
        token: &TokenId,
    ) -> Result<Option<Arc<Market>>, DataError> {
        if !is_asset_id(token.as_str()) {
            return Err(DataError::BadRequest(format!(
                "`{}` is no token id: 1 to 78 digits",
                clean(token.as_str(), 40)
            )));
        }
        if let Some(market) = self.remembered(&format!("token:{token}")).await {
            return Ok(Some(market));
        }
        for field in ["clob_token_ids", "position_ids"] {
            let found = self
                .first_match(field, token.as_str(), |market| {
                    // A V1 row is found by foreign `positionIds` too, which are not its tokens.
                    market.outcome_of(token).is_some()
                })
                .await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn first_match(
        &self,
        field: &'static str,
        value: &str,
        matches: impl Fn(&Market) -> bool + Send,
    ) -> Result<Option<Arc<Market>>, DataError> {
        for closed in ["false", "true"] {
            let request = keyset().with("closed", closed).with(field, value);
            let (page, _) = self.market_page(&request).await?;
            if let Some(market) = page.into_iter().find(|market| matches(market)) {
                return Ok(Some(market));
            }
        }
        Ok(None)
    }

    /// One event by id or slug.
    pub(super) async fn find_event(&self, text: &str) -> Result<Option<Arc<Event>>, DataError> {
        let (key, path) = single("event", "events", text.trim())?;
        if let Some(cache) = &self.cache
            && let Some(event) = cache.events.get(&key).await
        {
            return Ok(Some(event));
        }
        let request = Request::get(Scope::GammaEvents, path);
        let Some(answer) = self.transport.json(&request).await? else {
            return Ok(None);
        };
        let mut oddities = Oddities::default();
        let parsed = gamma_rows::event(&answer, &mut oddities);
        self.transport.count(&oddities);
        let event = parsed
            .map(Arc::new)
            .map_err(|fault| self.transport.malformed(&request, &fault.to_string()))?;
        if let Some(cache) = &self.cache {
            cache.events.insert(key, Arc::clone(&event)).await;
        }
        Ok(Some(event))
    }

    /// A page of markets and the cursor of the next. Rows that make no sense are counted.
    async fn market_page(
        &self,
        request: &Request,
    ) -> Result<(Vec<Arc<Market>>, Option<String>), DataError> {
        let answer = self.transport.json_expected(request).await?;
        let Some(rows) = answer.get("markets").and_then(Value::as_array) else {
            return Err(self
                .transport
                .malformed(request, "there is no list `markets`"));
        };
        let mut oddities = Oddities::default();
        let markets: Vec<Arc<Market>> = gamma_rows::markets(rows, &mut oddities)
            .into_iter()
            .map(Arc::new)
            .collect();
        self.transport.count(&oddities);
        self.remember(&markets).await;
        Ok((markets, next_cursor(&answer)))
    }

    async fn remembered(&self, key: &str) -> Option<Arc<Market>> {
        self.cache.as_ref()?.markets.get(key).await
    }

    pub(super) async fn remember(&self, markets: &[Arc<Market>]) {
        let Some(cache) = &self.cache else {
            return;
        };
        for market in markets {
            let mut keys = vec![format!("id:{}", market.id)];
            keys.extend(market.slug.iter().map(|slug| format!("slug:{slug}")));
            keys.extend(
                market
                    .condition_id
                    .iter()
                    .map(|id| format!("condition:{}", row::padded(id))),
            );
            keys.extend(market.outcomes.iter().map(|o| format!("token:{}", o.token)));
            for key in keys {
                cache.markets.insert(key, Arc::clone(market)).await;
            }
        }
    }
}

pub(super) fn keyset() -> Request {
    Request::get(Scope::GammaMarkets, "/markets/keyset")
}

/// Cache key and path of one object: digits are an id, anything else a slug.
fn single(what: &str, folder: &str, text: &str) -> Result<(String, String), DataError> {
    if text.len() <= 20 && is_asset_id(text) {
        Ok((format!("id:{text}"), format!("/{folder}/{text}")))
    } else if is_slug(text) {
        Ok((format!("slug:{text}"), format!("/{folder}/slug/{text}")))
    } else {
        Err(DataError::BadRequest(format!(
            "`{}` is neither the id nor the slug of any {what}",
            clean(text, 60)
        )))
    }
}

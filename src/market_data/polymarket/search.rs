//! Finding markets by words or by tag.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::Polymarket;
use super::gamma::{PAGE, keyset};
use super::gamma_rows::{self, EVENT_ROW, is_slug};
use super::row::{Oddities, Row, is_asset_id};
use super::transport::{Request, Scope};
use crate::domain::text::clean;
use crate::domain::{Event, Market, MarketStatus};
use crate::market_data::DataError;

/// Pages of results that are read for one search.
const SEARCH_PAGES: usize = 5;
/// Longest search text.
const MAX_SEARCH: usize = 300;
/// What a search by tag begins with.
const TAG: &str = "tag:";

impl Polymarket {
    /// Markets that match; open ones only unless `include_closed`. `tag:SLUG` lists the most traded
    /// markets of a tag, anything else goes to the search route.
    pub(super) async fn search_markets(
        &self,
        text: &str,
        limit: usize,
        include_closed: bool,
    ) -> Result<Vec<Arc<Market>>, DataError> {
        let text = clean(text, MAX_SEARCH + 1);
        if text.is_empty() {
            return Err(DataError::BadRequest("the search text is empty".to_owned()));
        }
        if text.chars().count() > MAX_SEARCH {
            return Err(DataError::BadRequest(format!(
                "the search text is longer than {MAX_SEARCH} characters"
            )));
        }
        if let Some(slug) = text.strip_prefix(TAG) {
            return self.tagged(slug.trim(), limit, include_closed).await;
        }
        let found = match self.search_route(&text, limit, include_closed).await {
            // The search is a service of its own; the lists beside it may be well.
            Err(error) if is_its_own_failure(&error) => self
                .search_titles(&text, limit, include_closed)
                .await
                .map_err(|_| error),
            found => found,
        }?;
        self.remember(&found).await;
        Ok(found)
    }

    async fn search_route(
        &self,
        text: &str,
        limit: usize,
        include_closed: bool,
    ) -> Result<Vec<Arc<Market>>, DataError> {
        let mut found = Found::new(include_closed);
        for page in 1..=SEARCH_PAGES {
            if found.markets.len() >= limit {
                break;
            }
            let mut request = Request::get(Scope::GammaSearch, "/public-search")
                .with("q", text)
                .with("limit_per_type", limit.clamp(1, 50).to_string())
                .with("page", page.to_string())
                // An integer, unlike every other switch here.
                .with("keep_closed_markets", u8::from(include_closed).to_string());
            if !include_closed {
                request = request.with("events_status", "active");
            }
            let answer = self.transport.json_expected(&request).await?;
            let events = list_in(&answer, "events");
            for event in self.events_in(&events) {
                found.take(event, |_, _| true);
            }
            let more = answer
                .pointer("/pagination/hasMore")
                .and_then(Value::as_bool);
            if events.is_empty() || more != Some(true) {
                break;
            }
        }
        Ok(found.first(limit))
    }

    /// Markets of events whose title, or whose own question, has all the words.
    async fn search_titles(
        &self,
        text: &str,
        limit: usize,
        include_closed: bool,
    ) -> Result<Vec<Arc<Market>>, DataError> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        let mut found = Found::new(include_closed);
        let mut cursor: Option<String> = None;
        for _ in 0..SEARCH_PAGES {
            let mut request = Request::get(Scope::GammaEvents, "/events/keyset")
                .with("title_search", text)
                .with("order", "volume24hr")
                .with("ascending", "false")
                .with("limit", PAGE.to_string());
            if !include_closed {
                request = request.with("closed", "false");
            }
            if let Some(cursor) = &cursor {
                request = request.with("after_cursor", cursor);
            }
            let answer = self.transport.json_expected(&request).await?;
            for event in self.events_in(&list_in(&answer, "events")) {
                // A filter that the venue does not know is ignored, not refused.
                found.take(event, |title, market| {
                    let both = format!("{title} {}", market.question).to_lowercase();
                    words.iter().all(|word| both.contains(word))
                });
            }
            cursor = next_cursor(&answer);
            if cursor.is_none() || found.markets.len() >= limit {
                break;
            }
        }
        Ok(found.first(limit))
    }

    /// The most traded markets of a tag, open ones first.
    async fn tagged(
        &self,
        slug: &str,
        limit: usize,
        include_closed: bool,
    ) -> Result<Vec<Arc<Market>>, DataError> {
        let unknown = || {
            DataError::BadRequest(format!(
                "there is no tag `{}`; tags are slugs such as `politics` or `crypto`",
                clean(slug, 60)
            ))
        };
        let slug = slug.to_lowercase().replace(' ', "-");
        if !is_slug(&slug) {
            return Err(unknown());
        }
        let request = Request::get(Scope::GammaTags, format!("/tags/slug/{slug}"));
        let tag = self.transport.json(&request).await?.ok_or_else(unknown)?;
        let id = tag_id(&tag).ok_or_else(|| {
            self.transport
                .malformed(&request, "the tag has no numeric id")
        })?;
        let mut found = Vec::new();
        for closed in ["false", "true"] {
            if found.len() >= limit || (closed == "true" && !include_closed) {
                break;
            }
            let list = keyset().with("closed", closed).with("tag_id", &id);
            let wanted = limit - found.len();
            let any = include_closed;
            let page = self
                .most_traded_of(list, wanted, |market| {
                    any || market.status == MarketStatus::Open
                })
                .await?;
            found.extend(page);
        }
        Ok(found)
    }

    fn events_in(&self, rows: &[Value]) -> Vec<Event> {
        let mut oddities = Oddities::default();
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            match gamma_rows::event(row, &mut oddities) {
                Ok(event) => events.push(event),
                Err(fault) => oddities.skipped(EVENT_ROW, fault),
            }
        }
        self.transport.count(&oddities);
        events
    }
}

/// Markets as they are found, each once.
struct Found {
    include_closed: bool,
    markets: Vec<Arc<Market>>,
    seen: HashSet<crate::domain::MarketId>,
}

impl Found {
    fn new(include_closed: bool) -> Self {
        Found {
            include_closed,
            markets: Vec::new(),
            seen: HashSet::new(),
        }
    }

    fn take(&mut self, event: Event, matches: impl Fn(&str, &Market) -> bool) {
        let title = event.title;
        for market in event.markets {
            let wanted = (self.include_closed || market.status == MarketStatus::Open)
                && matches(&title, &market);
            if wanted && self.seen.insert(market.id.clone()) {
                self.markets.push(Arc::new(market));
            }
        }
    }

    fn first(mut self, limit: usize) -> Vec<Arc<Market>> {
        self.markets.truncate(limit);
        self.markets
    }
}

/// The route failed, not the question, the network or the patience of the host.
fn is_its_own_failure(error: &DataError) -> bool {
    match error {
        DataError::Status { status, .. } => *status >= 500 || *status == 404,
        DataError::Malformed { .. } => true,
        _ => false,
    }
}

/// The id of a tag row.
#[must_use]
pub fn tag_id(tag: &Value) -> Option<String> {
    let id = Row::new("tag", tag).ok()?.id("id").ok()??;
    is_asset_id(&id).then_some(id)
}

/// Where the next page of a keyset route begins; `None` on the last one.
pub(super) fn next_cursor(answer: &Value) -> Option<String> {
    answer
        .get("next_cursor")
        .and_then(Value::as_str)
        .filter(|cursor| !cursor.is_empty())
        .map(str::to_owned)
}

/// A list that may be `null` or missing.
fn list_in(answer: &Value, field: &str) -> Vec<Value> {
    answer
        .get(field)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

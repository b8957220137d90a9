//! Gamma: keyset lists, single objects, search.

use std::cmp::Ordering;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Shared;
use super::params::Params;
use crate::domain::Timestamp;
use crate::sandbox::model::{SimEvent, SimMarket, World};
use crate::sandbox::noise::mix;
use crate::sandbox::wire::gamma as rows;

/// Rows of a page when none are asked for, and at most.
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/markets/keyset", get(markets))
        .route("/events/keyset", get(events))
        .route("/markets/{id}", get(market))
        .route("/markets/slug/{slug}", get(market_by_slug))
        .route("/events/{id}", get(event))
        .route("/events/slug/{slug}", get(event_by_slug))
        .route("/public-search", get(search))
        .route("/tags", get(tags))
        .route("/tags/slug/{slug}", get(tag_by_slug))
}

fn not_found(what: &str) -> Response {
    let body = json!({"type": "not found error", "error": format!("{what} not found")});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

fn invalid(message: &str) -> Response {
    let body = json!({"type": "validation error", "error": message});
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

/// What rows are sorted by. Text sorts as text: `volume` of markets is text, and `"9"` comes after
/// `"10"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Key {
    Number(f64),
    Text(String),
}

impl Key {
    fn order(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Number(_), Key::Text(_)) => Ordering::Less,
            (Key::Text(_), Key::Number(_)) => Ordering::Greater,
        }
    }
}

/// The place of a row in a sorted list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Place {
    keys: Vec<Key>,
    id: u64,
}

impl Place {
    fn order(&self, other: &Place, ascending: bool) -> Ordering {
        let by_keys = self
            .keys
            .iter()
            .zip(&other.keys)
            .map(|(a, b)| a.order(b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal);
        let directed = if ascending {
            by_keys
        } else {
            by_keys.reverse()
        };
        directed.then(self.id.cmp(&other.id))
    }
}

/// What a cursor carries: the last row's place, and which question it continues.
#[derive(Debug, Serialize, Deserialize)]
struct Cursor {
    after: Place,
    query: u64,
}

impl Cursor {
    fn encode(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    fn decode(text: &str) -> Option<Self> {
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        serde_json::from_slice(&bytes?).ok()
    }
}

/// Paging and order of a list request.
struct Listing {
    limit: usize,
    ascending: bool,
    fields: Vec<String>,
    query: u64,
    after: Option<Place>,
}

impl Listing {
    fn read(params: &Params, filters: &[&str], known: &[&str]) -> Result<Self, Box<Response>> {
        if params.one("offset").is_some() {
            return Err(Box::new(invalid(
                "offset is not supported, use after_cursor",
            )));
        }
        let limit = match params.one("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => match text.parse::<usize>() {
                Ok(limit) if limit >= 1 => limit.min(MAX_LIMIT),
                _ => return Err(Box::new(invalid("invalid limit"))),
            },
        };
        let fields: Vec<String> = params
            .list("order")
            .into_iter()
            .map(str::to_owned)
            .collect();
        if let Some(unknown) = fields.iter().find(|field| !known.contains(&field.as_str())) {
            return Err(Box::new(invalid(&format!(
                "order fields are not valid: {unknown}"
            ))));
        }
        let ascending = params.flag("ascending").unwrap_or(true);
        let mut words: Vec<u64> = vec![u64::from(ascending)];
        for name in filters.iter().chain(&["order"]) {
            for value in params.all(name) {
                words.extend(name.bytes().chain(value.bytes()).map(u64::from));
            }
        }
        let query = mix(&words);
        let after = match params.one("after_cursor") {
            None => None,
            Some(text) => match Cursor::decode(text) {
                Some(cursor) if cursor.query == query => Some(cursor.after),
                _ => return Err(Box::new(invalid("invalid cursor"))),
            },
        };
        Ok(Listing {
            limit,
            ascending,
            fields,
            query,
            after,
        })
    }

    /// The rows of this page, and the cursor of the next one if there is one.
    fn page<T: Copy>(&self, mut rows: Vec<(Place, T)>) -> (Vec<T>, Option<String>) {
        rows.sort_by(|(a, _), (b, _)| a.order(b, self.ascending));
        if let Some(after) = &self.after {
            rows.retain(|(place, _)| after.order(place, self.ascending).is_lt());
        }
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let cursor = rows.last().filter(|_| more).map(|(place, _)| {
            Cursor {
                after: place.clone(),
                query: self.query,
            }
            .encode()
        });
        (rows.into_iter().map(|(_, row)| row).collect(), cursor)
    }
}

const MARKET_FILTERS: [&str; 15] = [
    "closed",
    "id",
    "slug",
    "clob_token_ids",
    "position_ids",
    "condition_ids",
    "question_ids",
    "version",
    "tag_id",
    "end_date_min",
    "end_date_max",
    "liquidity_num_min",
    "liquidity_num_max",
    "volume_num_min",
    "volume_num_max",
];
const MARKET_ORDERS: [&str; 9] = [
    "id",
    "volume24hr",
    "volumeNum",
    "liquidityNum",
    "volume",
    "liquidity",
    "endDate",
    "startDate",
    "competitive",
];

fn market_key(world: &World, market: &SimMarket, event: &SimEvent, field: &str) -> Key {
    match field {
        "volume24hr" => Key::Number(world.volume_24h(market)),
        "volumeNum" => Key::Number(world.volume(market)),
        "volume" => Key::Text(world.volume(market).to_string()),
        "liquidityNum" => Key::Number(market.liquidity),
        "liquidity" => Key::Text(market.liquidity.to_string()),
        "endDate" => Key::Number(market.schedule.end.millis() as f64),
        "startDate" => Key::Number(event.opened.millis() as f64),
        "competitive" => {
            let [price, _] = world.prices(market);
            Key::Number(-(price - 0.5).abs())
        }
        _ => Key::Number(market.id as f64),
    }
}

/// True when `wanted` is empty or holds one of the values.
fn among<'a>(params: &Params, name: &str, values: impl IntoIterator<Item = &'a str>) -> bool {
    if params.one(name).is_none() {
        return true;
    }
    values
        .into_iter()
        .any(|value| params.all(name).any(|wanted| wanted == value))
}

fn within(params: &Params, low: &str, high: &str, value: f64) -> bool {
    params.number::<f64>(low).is_none_or(|low| value >= low)
        && params.number::<f64>(high).is_none_or(|high| value <= high)
}

fn ends_within(params: &Params, end: Timestamp) -> bool {
    let bound = |name: &str| params.one(name).and_then(Timestamp::parse);
    bound("end_date_min").is_none_or(|low| end >= low)
        && bound("end_date_max").is_none_or(|high| end <= high)
}

fn selects(world: &World, params: &Params, market: &SimMarket, event: &SimEvent) -> bool {
    let closed = !market.is_open(world.now);
    let (_, tag) = event.category.tag();
    closed == params.flag("closed").unwrap_or(false)
        && among(params, "id", [market.id.to_string().as_str()])
        && among(params, "slug", [market.slug.as_str()])
        && among(
            params,
            "clob_token_ids",
            market.tokens.iter().map(String::as_str),
        )
        && among(
            params,
            "position_ids",
            market.tokens.iter().map(String::as_str),
        )
        && among(params, "condition_ids", [market.condition_id.as_str()])
        && among(params, "question_ids", [market.question_id.as_str()])
        && among(params, "version", [event.version.name()])
        && among(params, "tag_id", [tag.to_string().as_str()])
        && ends_within(params, market.schedule.end)
        && within(
            params,
            "liquidity_num_min",
            "liquidity_num_max",
            market.liquidity,
        )
        && within(
            params,
            "volume_num_min",
            "volume_num_max",
            world.volume(market),
        )
}

/// A page: the rows under `name`, and `next_cursor` unless it is the last.
fn page_body<T: Serialize>(name: &str, rows: &[T], cursor: Option<String>) -> Response {
    let mut body = json!({ name: rows });
    if let (Some(cursor), Some(object)) = (cursor, body.as_object_mut()) {
        object.insert("next_cursor".to_owned(), cursor.into());
    }
    Json(body).into_response()
}

async fn markets(State(shared): State<Shared>, params: Params) -> Response {
    let listing = match Listing::read(&params, &MARKET_FILTERS, &MARKET_ORDERS) {
        Ok(listing) => listing,
        Err(refusal) => return *refusal,
    };
    let world = shared.read();
    let rows = world
        .all()
        .filter(|(market, event)| selects(&world, &params, market, event))
        .map(|(market, event)| {
            let keys = listing
                .fields
                .iter()
                .map(|field| market_key(&world, market, event, field))
                .collect();
            let place = Place {
                keys,
                id: market.id,
            };
            (place, (market, event))
        })
        .collect();
    let (page, cursor) = listing.page(rows);
    let rows: Vec<_> = page
        .into_iter()
        .map(|(market, event)| rows::market(&world, market, event, true))
        .collect();
    page_body("markets", &rows, cursor)
}

const EVENT_FILTERS: [&str; 10] = [
    "closed",
    "id",
    "slug",
    "tag_id",
    "tag_slug",
    "title_search",
    "end_date_min",
    "end_date_max",
    "volume_num_min",
    "volume_num_max",
];
const EVENT_ORDERS: [&str; 6] = [
    "id",
    "volume24hr",
    "volume",
    "liquidity",
    "endDate",
    "startDate",
];

fn event_volume(world: &World, event: &SimEvent) -> f64 {
    let markets = world.markets_of(event);
    markets.iter().map(|market| world.volume(market)).sum()
}

fn event_key(world: &World, event: &SimEvent, field: &str) -> Key {
    let markets = world.markets_of(event);
    Key::Number(match field {
        "volume24hr" => markets.iter().map(|market| world.volume_24h(market)).sum(),
        "volume" => event_volume(world, event),
        "liquidity" => markets.iter().map(|market| market.liquidity).sum(),
        "endDate" => event.end.millis() as f64,
        "startDate" => event.opened.millis() as f64,
        _ => event.id as f64,
    })
}

fn selects_event(world: &World, params: &Params, event: &SimEvent) -> bool {
    let closed = !event.is_open(world.now);
    let (label, tag) = event.category.tag();
    closed == params.flag("closed").unwrap_or(false)
        && among(params, "id", [event.id.to_string().as_str()])
        && among(params, "slug", [event.slug.as_str()])
        && among(params, "tag_id", [tag.to_string().as_str()])
        && among(params, "tag_slug", [label.to_lowercase().as_str()])
        && params
            .one("title_search")
            .is_none_or(|text| event.title.to_lowercase().contains(&text.to_lowercase()))
        && ends_within(params, event.end)
        && within(
            params,
            "volume_num_min",
            "volume_num_max",
            event_volume(world, event),
        )
}

async fn events(State(shared): State<Shared>, params: Params) -> Response {
    let listing = match Listing::read(&params, &EVENT_FILTERS, &EVENT_ORDERS) {
        Ok(listing) => listing,
        Err(refusal) => return *refusal,
    };
    let world = shared.read();
    let rows = world
        .events
        .iter()
        .filter(|event| selects_event(&world, &params, event))
        .map(|event| {
            let keys = listing
                .fields
                .iter()
                .map(|field| event_key(&world, event, field))
                .collect();
            (Place { keys, id: event.id }, event)
        })
        .collect();
    let (page, cursor) = listing.page(rows);
    let with_markets = params.flag("include_markets").unwrap_or(true);
    let rows: Vec<_> = page
        .into_iter()
        .map(|event| {
            let mut row = rows::event(&world, event, true);
            if !with_markets {
                row.markets = None;
            }
            row
        })
        .collect();
    page_body("events", &rows, cursor)
}

fn one_market(world: &World, wanted: impl Fn(&SimMarket) -> bool, what: &str) -> Response {
    world.all().find(|(market, _)| wanted(market)).map_or_else(
        || not_found(what),
        |(market, event)| Json(rows::market(world, market, event, true)).into_response(),
    )
}

fn one_event(world: &World, wanted: impl Fn(&SimEvent) -> bool, what: &str) -> Response {
    world.events.iter().find(|event| wanted(event)).map_or_else(
        || not_found(what),
        |event| Json(rows::event(world, event, true)).into_response(),
    )
}

async fn market(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<u64>() else {
        return invalid("id is invalid");
    };
    one_market(&shared.read(), |market| market.id == id, "id")
}

async fn market_by_slug(State(shared): State<Shared>, Path(slug): Path<String>) -> Response {
    one_market(&shared.read(), |market| market.slug == slug, "slug")
}

async fn event(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<u64>() else {
        return invalid("id is invalid");
    };
    one_event(&shared.read(), |event| event.id == id, "id")
}

async fn event_by_slug(State(shared): State<Shared>, Path(slug): Path<String>) -> Response {
    one_event(&shared.read(), |event| event.slug == slug, "slug")
}

/// A bare list, paged by `offset`, unlike the keyset lists.
async fn tags(State(shared): State<Shared>, params: Params) -> Response {
    let whole = |name: &str, default: usize| match params.one(name) {
        None => Some(default),
        Some(text) => text.parse::<usize>().ok(),
    };
    let Some(limit) = whole("limit", DEFAULT_LIMIT).filter(|limit| *limit >= 1) else {
        return invalid("invalid limit");
    };
    let Some(offset) = whole("offset", 0) else {
        return invalid("invalid offset");
    };
    let page: Vec<_> = rows::tags(&shared.read())
        .into_iter()
        .skip(offset)
        .take(limit.min(MAX_LIMIT))
        .collect();
    Json(page).into_response()
}

async fn tag_by_slug(State(shared): State<Shared>, Path(slug): Path<String>) -> Response {
    rows::tags(&shared.read())
        .into_iter()
        .find(|tag| tag.slug == slug)
        .map_or_else(|| not_found("slug"), |tag| Json(tag).into_response())
}

async fn search(State(shared): State<Shared>, params: Params) -> Response {
    let Some(query) = params.one("q").map(str::to_lowercase) else {
        return invalid("q is required");
    };
    let world = shared.read();
    let words: Vec<&str> = query.split_whitespace().collect();
    let active_only = params.one("events_status") == Some("active");
    let keep_closed = params.number::<u8>("keep_closed_markets").unwrap_or(0) != 0;
    let mut found: Vec<(&SimEvent, f64)> = world
        .events
        .iter()
        .filter(|event| !active_only || event.is_open(world.now))
        .filter(|event| {
            let markets = world.markets_of(event);
            let mut text = event.title.to_lowercase();
            for market in markets {
                text.push(' ');
                text.push_str(&market.question.to_lowercase());
            }
            words.iter().all(|word| text.contains(word))
        })
        .map(|event| (event, event_volume(&world, event)))
        .collect();
    found.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.id.cmp(&b.id)));
    let total = found.len();
    let limit = params
        .number::<usize>("limit_per_type")
        .unwrap_or(10)
        .clamp(1, 100);
    let page = params.number::<usize>("page").unwrap_or(1).max(1);
    let skip = (page - 1).saturating_mul(limit);
    let events: Vec<rows::Event> = found
        .into_iter()
        .skip(skip)
        .take(limit)
        .map(|(event, _)| {
            let mut row = rows::event(&world, event, true);
            if !keep_closed && let Some(markets) = &mut row.markets {
                markets.retain(|market| !market.closed);
            }
            row
        })
        .collect();
    let has_more = skip + events.len() < total;
    // `tags` is missing and `profiles` null here, as happens on the venue.
    Json(json!({
        "events": events,
        "profiles": null,
        "pagination": {"hasMore": has_more, "totalResults": total},
    }))
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(value: f64, id: u64) -> Place {
        Place {
            keys: vec![Key::Number(value)],
            id,
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let rows = || {
            (0..7_u64)
                .map(|id| (place((id % 3) as f64, id), id))
                .collect()
        };
        let mut listing = Listing {
            limit: 3,
            ascending: false,
            fields: vec!["volumeNum".to_owned()],
            query: 9,
            after: None,
        };
        let mut seen = Vec::new();
        loop {
            let (page, cursor) = listing.page(rows());
            seen.extend(page);
            let Some(cursor) = cursor else { break };
            let cursor = Cursor::decode(&cursor).unwrap();
            assert_eq!(cursor.query, 9);
            listing.after = Some(cursor.after);
        }
        // Values 2, 1, 0 downwards, ids upwards within.
        assert_eq!(seen, [2, 5, 1, 4, 0, 3, 6]);
    }

    #[test]
    fn offset_and_snake_case_orders_are_refused() {
        for pairs in [
            [("offset", "20")],
            [("order", "volume_24hr")],
            [("limit", "-1")],
            [("after_cursor", "zz")],
        ] {
            let refusal = Listing::read(&Params::of(&pairs), &MARKET_FILTERS, &MARKET_ORDERS)
                .err()
                .unwrap();
            assert_eq!(refusal.status(), StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
}

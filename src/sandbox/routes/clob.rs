//! The CLOB's public reads.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::params::Params;
use super::{Shared, history};
use crate::domain::{Price, Side};
use crate::sandbox::model::{OutcomeSide, SimEvent, SimMarket, World, round4};
use crate::sandbox::wire::clob as rows;

/// Most tokens in one `POST /books`, `/midpoints`, `/prices`, `/spreads`.
const MAX_TOKENS: usize = 500;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/time", get(time))
        .route("/ok", get(|| async { Json("OK") }))
        .route("/version", get(|| async { Json(json!({"version": 2})) }))
        .route("/book", get(book))
        .route("/books", post(books))
        .route("/price", get(price))
        .route("/prices", post(prices))
        .route("/midpoint", get(midpoint))
        .route("/midpoints", post(midpoints))
        .route("/spread", get(spread))
        .route("/spreads", post(spreads))
        .route("/last-trade-price", get(last_trade_price))
        .route("/last-trades-prices", post(last_trades_prices))
        .route("/tick-size", get(tick_size))
        .route("/neg-risk", get(neg_risk))
        .route("/fee-rate", get(fee_rate))
        .route("/markets-by-token/{token}", get(markets_by_token))
        .route("/clob-markets/{condition}", get(clob_market))
        .route("/markets/{condition}", get(market))
        .route("/prices-history", get(history::single))
        .route("/batch-prices-history", post(history::batch))
}

/// The CLOB's error body.
pub(super) fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

fn no_book() -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        "No orderbook exists for the requested token id",
    )
}

/// One element of the bodies that list tokens.
#[derive(Debug, Deserialize)]
struct TokenItem {
    token_id: String,
}

/// Reads a body that lists tokens.
fn token_items(body: &Bytes) -> Result<Vec<TokenItem>, Box<Response>> {
    let items: Vec<TokenItem> = serde_json::from_slice(body)
        .map_err(|_| Box::new(refuse(StatusCode::BAD_REQUEST, "Invalid payload")))?;
    if items.len() > MAX_TOKENS {
        return Err(Box::new(refuse(
            StatusCode::BAD_REQUEST,
            "Payload exceeds the limit",
        )));
    }
    Ok(items)
}

/// Answers about the token in `token_id`; 400 without one, 404 without a market.
fn about_token(
    world: &World,
    params: &Params,
    answer: impl Fn(&SimMarket, &SimEvent, OutcomeSide) -> Response,
) -> Response {
    let Some(token) = params.one("token_id") else {
        return refuse(StatusCode::BAD_REQUEST, "Invalid token id");
    };
    world
        .by_token(token)
        .map_or_else(no_book, |(market, event, side)| answer(market, event, side))
}

async fn time(State(shared): State<Shared>) -> Json<i64> {
    Json(shared.read().now.secs())
}

async fn book(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    about_token(&world, &params, |market, event, side| {
        rows::book(&world, market, event, side)
            .map_or_else(no_book, |book| Json(book).into_response())
    })
}

async fn books(State(shared): State<Shared>, body: Bytes) -> Response {
    let items = match token_items(&body) {
        Ok(items) => items,
        Err(refusal) => return *refusal,
    };
    let world = shared.read();
    // Last asked, first answered: the venue does not keep the order either.
    let books: Vec<rows::Book> = items
        .iter()
        .rev()
        .filter_map(|item| {
            let (market, event, side) = world.by_token(&item.token_id)?;
            rows::book(&world, market, event, side)
        })
        .collect();
    Json(books).into_response()
}

/// Follows the OpenAPI's reading: BUY is the best bid, SELL the best ask.
async fn price(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    let Some(is_buy) = params.one("side").and_then(|side| match side {
        "BUY" | "buy" => Some(true),
        "SELL" | "sell" => Some(false),
        _ => None,
    }) else {
        return refuse(StatusCode::BAD_REQUEST, "Invalid side");
    };
    about_token(&world, &params, |market, _, side| {
        best(&world, market, side, is_buy).map_or_else(no_book, |price| {
            Json(json!({"price": price.to_string()})).into_response()
        })
    })
}

/// The best bid, or else the best ask.
fn best(world: &World, market: &SimMarket, side: OutcomeSide, is_bid: bool) -> Option<Price> {
    let (bid, ask) = world.best(market, side)?;
    if is_bid { bid } else { ask }
}

/// One element of the body of `POST /prices`.
#[derive(Debug, Deserialize)]
struct PriceItem {
    token_id: String,
    side: String,
}

async fn prices(State(shared): State<Shared>, body: Bytes) -> Response {
    let Ok(items) = serde_json::from_slice::<Vec<PriceItem>>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "Invalid payload");
    };
    if items.len() > MAX_TOKENS {
        return refuse(StatusCode::BAD_REQUEST, "Payload exceeds the limit");
    }
    let world = shared.read();
    let mut out = Map::new();
    for item in items {
        let Some((market, _, side)) = world.by_token(&item.token_id) else {
            continue;
        };
        let Some(price) = best(&world, market, side, item.side.eq_ignore_ascii_case("buy")) else {
            continue;
        };
        let sides = out.entry(item.token_id).or_insert_with(|| json!({}));
        if let Some(sides) = sides.as_object_mut() {
            sides.insert(item.side.to_uppercase(), price.to_string().into());
        }
    }
    Json(out).into_response()
}

fn mid_text(world: &World, market: &SimMarket, side: OutcomeSide) -> Option<String> {
    Some(round4(world.mid(market, side)?).to_string())
}

async fn midpoint(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    about_token(&world, &params, |market, _, side| {
        mid_text(&world, market, side)
            .map_or_else(no_book, |mid| Json(json!({ "mid": mid })).into_response())
    })
}

async fn midpoints(State(shared): State<Shared>, body: Bytes) -> Response {
    let items = match token_items(&body) {
        Ok(items) => items,
        Err(refusal) => return *refusal,
    };
    let world = shared.read();
    let mids: Map<String, Value> = items
        .into_iter()
        .filter_map(|item| {
            let (market, _, side) = world.by_token(&item.token_id)?;
            let mid = mid_text(&world, market, side)?;
            Some((item.token_id, mid.into()))
        })
        .collect();
    Json(mids).into_response()
}

fn spread_text(world: &World, market: &SimMarket, side: OutcomeSide) -> Option<String> {
    let (bid, ask) = world.best(market, side)?;
    Some(ask?.minus(bid?).to_string())
}

async fn spread(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    about_token(&world, &params, |market, _, side| {
        spread_text(&world, market, side).map_or_else(no_book, |spread| {
            Json(json!({ "spread": spread })).into_response()
        })
    })
}

async fn spreads(State(shared): State<Shared>, body: Bytes) -> Response {
    let items = match token_items(&body) {
        Ok(items) => items,
        Err(refusal) => return *refusal,
    };
    let world = shared.read();
    let spreads: Map<String, Value> = items
        .into_iter()
        .filter_map(|item| {
            let (market, _, side) = world.by_token(&item.token_id)?;
            let spread = spread_text(&world, market, side)?;
            Some((item.token_id, spread.into()))
        })
        .collect();
    Json(spreads).into_response()
}

/// The market's last trade, whichever token it was in; both empty before the first.
fn last_trade(world: &World, market: &SimMarket) -> (String, &'static str) {
    world.last_trade(market).map_or_else(
        || (String::new(), ""),
        |trade| {
            let side = match trade.side {
                Side::Buy => "BUY",
                Side::Sell => "SELL",
            };
            (trade.price.to_string(), side)
        },
    )
}

async fn last_trade_price(State(shared): State<Shared>, params: Params) -> Response {
    let world = shared.read();
    about_token(&world, &params, |market, _, _| {
        let (price, side) = last_trade(&world, market);
        Json(json!({"price": price, "side": side})).into_response()
    })
}

async fn last_trades_prices(State(shared): State<Shared>, body: Bytes) -> Response {
    let items = match token_items(&body) {
        Ok(items) => items,
        Err(refusal) => return *refusal,
    };
    let world = shared.read();
    let rows: Vec<Value> = items
        .into_iter()
        .filter_map(|item| {
            let (market, _, _) = world.by_token(&item.token_id)?;
            let (price, side) = last_trade(&world, market);
            Some(json!({"token_id": item.token_id, "price": price, "side": side}))
        })
        .collect();
    Json(rows).into_response()
}

async fn tick_size(State(shared): State<Shared>, params: Params) -> Response {
    about_token(&shared.read(), &params, |market, _, _| {
        let tick = f64::from(market.tick) / 1e6;
        Json(json!({ "minimum_tick_size": tick })).into_response()
    })
}

async fn neg_risk(State(shared): State<Shared>, params: Params) -> Response {
    about_token(&shared.read(), &params, |_, event, _| {
        Json(json!({"neg_risk": event.neg_risk})).into_response()
    })
}

/// A legacy flag, not a fee.
async fn fee_rate(State(shared): State<Shared>, params: Params) -> Response {
    about_token(&shared.read(), &params, |_, _, _| {
        Json(json!({"base_fee": 1000})).into_response()
    })
}

async fn markets_by_token(State(shared): State<Shared>, Path(token): Path<String>) -> Response {
    shared.read().by_token(&token).map_or_else(
        || refuse(StatusCode::NOT_FOUND, "market not found"),
        |(market, _, _)| {
            Json(json!({
                "condition_id": market.condition_id,
                "primary_token_id": OutcomeSide::First.of(&market.tokens),
                "secondary_token_id": OutcomeSide::Second.of(&market.tokens),
            }))
            .into_response()
        },
    )
}

async fn clob_market(State(shared): State<Shared>, Path(condition): Path<String>) -> Response {
    let world = shared.read();
    world.by_condition(&condition).map_or_else(
        || refuse(StatusCode::NOT_FOUND, "market not found"),
        |(market, event)| Json(rows::compact(&world, market, event)).into_response(),
    )
}

async fn market(State(shared): State<Shared>, Path(condition): Path<String>) -> Response {
    let world = shared.read();
    world.by_condition(&condition).map_or_else(
        || refuse(StatusCode::NOT_FOUND, "market not found"),
        |(market, event)| Json(rows::long(&world, market, event)).into_response(),
    )
}

//! Placing and cancelling.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::desk::{Accepted, Desk};
use super::events::{self, UserEvent};
use super::http::{Signed, order_id};
use super::keys::Caller;
use super::order::{Fault, read};
use super::rows;
use crate::sandbox::model::World;
use crate::sandbox::routes::Shared;

/// Most orders of one `POST /orders`.
const MAX_ORDERS: usize = 15;
/// Most ids of one `DELETE /orders`: the docs say 1,000, the official client sends up to 3,000.
const MAX_CANCELS: usize = 3_000;

/// One order. A killed one is told to the user channel as well.
fn place(
    desk: &mut Desk,
    world: &mut World,
    caller: &Caller,
    body: &Value,
) -> (Result<Accepted, Fault>, Option<UserEvent>) {
    let posted = match read(body) {
        Ok(posted) => posted,
        Err(fault) => return (Err(fault), None),
    };
    let result = desk.place(world, caller, &posted);
    let event = match &result {
        Err(fault) => events::killed(world, caller, &posted, fault),
        Ok(_) => None,
    };
    (result, event)
}

/// `POST /order`.
pub(super) async fn post_one(State(shared): State<Shared>, signed: Signed) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&signed.body) else {
        return Fault::payload().into_response();
    };
    let mut world = shared.write();
    let mut desk = shared.trading().desk();
    let (result, event) = place(&mut desk, &mut world, &signed.caller, &body);
    if let Some(event) = event {
        shared.trading().tell(&event);
    }
    match result {
        Ok(accepted) => Json(rows::accepted(&desk, &accepted)).into_response(),
        Err(fault) => fault.into_response(),
    }
}

/// `POST /orders`: each order has its own answer, in the order of the request.
pub(super) async fn post_many(State(shared): State<Shared>, signed: Signed) -> Response {
    let Ok(bodies) = serde_json::from_slice::<Vec<Value>>(&signed.body) else {
        return Fault::payload().into_response();
    };
    if bodies.len() > MAX_ORDERS {
        return Fault::bad(format!(
            "Too many orders in payload: {}, max allowed: {MAX_ORDERS}",
            bodies.len()
        ))
        .into_response();
    }
    let mut world = shared.write();
    let mut desk = shared.trading().desk();
    let mut answers = Vec::with_capacity(bodies.len());
    for body in &bodies {
        let (result, event) = place(&mut desk, &mut world, &signed.caller, body);
        if let Some(event) = event {
            shared.trading().tell(&event);
        }
        answers.push(match result {
            Ok(accepted) => rows::accepted(&desk, &accepted),
            Err(fault) => rows::refused(&fault),
        });
    }
    Json(answers).into_response()
}

/// HTTP 200, whatever was cancelled.
fn canceled(canceled: &[String], not_canceled: Map<String, Value>) -> Response {
    Json(json!({ "canceled": canceled, "not_canceled": not_canceled })).into_response()
}

fn cancel(shared: &Shared, caller: &Caller, ids: &[String]) -> Response {
    let mut hashes = Vec::with_capacity(ids.len());
    for id in ids {
        match order_id(id) {
            Ok(hash) => hashes.push(hash),
            Err(fault) => return fault.into_response(),
        }
    }
    let mut world = shared.write();
    let desk = shared.trading().desk();
    let (mut done, mut not_done) = (Vec::new(), Map::new());
    for hash in hashes {
        match desk.cancel(&mut world, caller, &hash) {
            Ok(()) => done.push(hash.to_string()),
            Err(reason) => {
                not_done.insert(hash.to_string(), reason.to_string().into());
            }
        }
    }
    canceled(&done, not_done)
}

#[derive(Debug, Deserialize)]
struct CancelOne {
    #[serde(rename = "orderID")]
    order_id: String,
}

/// `DELETE /order`.
pub(super) async fn cancel_one(State(shared): State<Shared>, signed: Signed) -> Response {
    match serde_json::from_slice::<CancelOne>(&signed.body) {
        Ok(body) => cancel(&shared, &signed.caller, &[body.order_id]),
        Err(_) => Fault::payload().into_response(),
    }
}

/// `DELETE /orders`.
pub(super) async fn cancel_many(State(shared): State<Shared>, signed: Signed) -> Response {
    match serde_json::from_slice::<Vec<String>>(&signed.body) {
        Ok(ids) if ids.len() > MAX_CANCELS => Fault::bad(format!(
            "Too many orders in payload, max allowed: {MAX_CANCELS}"
        ))
        .into_response(),
        Ok(ids) => cancel(&shared, &signed.caller, &ids),
        Err(_) => Fault::payload().into_response(),
    }
}

/// `DELETE /cancel-all`.
pub(super) async fn cancel_all(State(shared): State<Shared>, signed: Signed) -> Response {
    let mut world = shared.write();
    let desk = shared.trading().desk();
    let done = desk.cancel_all(&mut world, &signed.caller, |_, _| true);
    let done: Vec<String> = done.iter().map(ToString::to_string).collect();
    canceled(&done, Map::new())
}

#[derive(Debug, Default, Deserialize)]
struct CancelMarket {
    market: Option<String>,
    asset_id: Option<String>,
}

/// `DELETE /cancel-market-orders`: those of a market, of a token, or of both.
pub(super) async fn cancel_market(State(shared): State<Shared>, signed: Signed) -> Response {
    let Ok(body) = serde_json::from_slice::<CancelMarket>(&signed.body) else {
        return Fault::payload().into_response();
    };
    let mut world = shared.write();
    let wanted = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (market, token) = (wanted(&body.market), wanted(&body.asset_id));
    if market.is_none() && token.is_none() {
        return Fault::payload().into_response();
    }
    let market = market.map(|id| {
        world
            .by_condition(&id.to_lowercase())
            .map(|(market, _)| market.idx())
    });
    let token = token.map(|id| {
        world
            .by_token(&id)
            .map(|(market, _, outcome)| (market.idx(), outcome))
    });
    let desk = shared.trading().desk();
    let done = desk.cancel_all(&mut world, &signed.caller, |record, _| {
        let place = record.placed;
        market.is_none_or(|wanted| wanted == Some(place.market))
            && token.is_none_or(|wanted| wanted == Some((place.market, place.outcome)))
    });
    let done: Vec<String> = done.iter().map(ToString::to_string).collect();
    canceled(&done, Map::new())
}

#[derive(Debug, Deserialize)]
struct Heartbeat {
    heartbeat_id: String,
}

/// `POST /v1/heartbeats`.
pub(super) async fn heartbeat(State(shared): State<Shared>, signed: Signed) -> Response {
    let Ok(body) = serde_json::from_slice::<Heartbeat>(&signed.body) else {
        return Fault::bad("Invalid payload").into_response();
    };
    let mut desk = shared.trading().desk();
    match desk
        .beats
        .beat(&signed.caller.key, &body.heartbeat_id, Instant::now())
    {
        Ok(id) => Json(json!({ "heartbeat_id": id })).into_response(),
        Err(expected) => (
            StatusCode::BAD_REQUEST,
            Json(json!({ "error_msg": "Invalid Heartbeat ID", "heartbeat_id": expected })),
        )
            .into_response(),
    }
}

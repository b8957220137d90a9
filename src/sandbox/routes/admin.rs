//! The sandbox's own routes: time, counts, what was planted. The venue has none of them.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use crate::sandbox::model::{Phase, Shape, Version};

/// Longest step: every minute of the latent probabilities is computed.
const MAX_STEP: u64 = 100 * 86_400_000;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/step", post(step))
        .route("/state", get(state))
        .route("/planted", get(planted))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    millis: u64,
}

async fn step(State(shared): State<Shared>, body: Bytes) -> Response {
    let refuse = |message: &str| {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response()
    };
    let Ok(step) = serde_json::from_slice::<Step>(&body) else {
        return refuse("the body must be {\"millis\": N} with N a whole number, not negative");
    };
    if step.millis > MAX_STEP {
        return refuse("at most 8640000000 milliseconds (100 days) a step");
    }
    // Long steps compute for a while: other requests go on meanwhile on other threads.
    let world = shared.clone();
    let stepped = tokio::task::spawn_blocking(move || {
        let mut world = world.write();
        world.step(step.millis);
        world.now
    })
    .await;
    match stepped {
        Ok(now) => Json(json!({"now": now.to_rfc3339(), "now_ms": now.millis()})).into_response(),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            Json(json!({"error": "the step was not completed"})),
        )
            .into_response(),
    }
}

async fn state(State(shared): State<Shared>) -> Response {
    let world = shared.read();
    let mut phases = [0_usize; 3];
    let [open, pending, resolved] = &mut phases;
    for market in &world.markets {
        match market.phase(world.now) {
            Phase::Open => *open += 1,
            Phase::Resolved => *resolved += 1,
            Phase::Proposed | Phase::Challenged | Phase::Reproposed | Phase::Disputed => {
                *pending += 1;
            }
        }
    }
    let [open, pending, resolved] = phases;
    let v2 = world
        .all()
        .filter(|(_, event)| event.version == Version::V2)
        .count();
    Json(json!({
        "simulated": true,
        "seed": world.seed,
        "start": world.start.to_rfc3339(),
        "now": world.now.to_rfc3339(),
        "now_ms": world.now.millis(),
        "markets": world.markets.len(),
        "events": world.events.len(),
        "neg_risk_events": world.events.iter().filter(|event| event.neg_risk).count(),
        "v2_markets": v2,
        "date_ladders": world.events.iter().filter(|event| event.shape == Shape::Ladder).count(),
        "open": open,
        "proposed": pending,
        "resolved": resolved,
        "wallets": world.wallets.iter().map(|wallet| &wallet.address).collect::<Vec<_>>(),
        "planted": world.planted().len(),
    }))
    .into_response()
}

async fn planted(State(shared): State<Shared>) -> Response {
    Json(shared.read().planted()).into_response()
}

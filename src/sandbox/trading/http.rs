//! The CLOB's authenticated routes.

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::keys::{AuthFault, Caller};
use super::order::Fault;
use super::{orders, reads};
use crate::sandbox::routes::Shared;

/// Largest body: fifteen orders, or 3,000 order ids.
const MAX_BODY: usize = 1 << 20;

/// All of them, to be merged into the CLOB's.
pub(in crate::sandbox) fn routes() -> Router<Shared> {
    Router::new()
        .route("/auth/api-key", post(create_key).delete(delete_key))
        .route("/auth/derive-api-key", get(derive_key))
        .route("/auth/api-keys", get(list_keys))
        .route("/auth/ban-status/closed-only", get(closed_only))
        .route("/order", post(orders::post_one).delete(orders::cancel_one))
        .route(
            "/orders",
            post(orders::post_many).delete(orders::cancel_many),
        )
        .route("/cancel-all", delete(orders::cancel_all))
        .route("/cancel-market-orders", delete(orders::cancel_market))
        .route("/v1/heartbeats", post(orders::heartbeat))
        .route("/data/orders", get(reads::open_orders))
        .route("/data/order/{id}", get(reads::order))
        .route("/data/trades", get(reads::trades))
        .route("/order-scoring", get(reads::scoring))
        .route("/orders-scoring", post(reads::scoring_many))
        .route("/balance-allowance", get(reads::balance))
        .route("/balance-allowance/update", get(reads::balance_update))
        .route(
            "/notifications",
            get(reads::notifications).delete(reads::drop_notifications),
        )
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = match self.order {
            Some(order) => json!({ "error": self.message, "orderID": order.to_string() }),
            None => json!({ "error": self.message }),
        };
        (self.status, Json(body)).into_response()
    }
}

impl IntoResponse for AuthFault {
    fn into_response(self) -> Response {
        let (status, message) = self.answer();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNAUTHORIZED);
        (status, Json(json!({ "error": message }))).into_response()
    }
}

/// A request whose L2 headers hold: who sent it, and its body.
///
/// The path that is signed is the one below the CLOB's base URL (`/order`, not `/clob/order`),
/// which is what is left of it here, and carries no query.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) caller: Caller,
    pub(super) body: Bytes,
}

impl FromRequest<Shared> for Signed {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY)
            .await
            .map_err(|_| Fault::payload().into_response())?;
        let now = shared.read().now;
        let desk = shared.trading().desk();
        let caller = desk
            .keys
            .l2(
                &parts.headers,
                parts.method.as_str(),
                parts.uri.path(),
                &body,
                now,
            )
            .map_err(IntoResponse::into_response)?;
        Ok(Signed { caller, body })
    }
}

/// Makes a key, and the wallet's account with its starting balance at the same time.
async fn create_key(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let mut world = shared.write();
    let mut desk = shared.trading().desk();
    let now = world.now;
    let made = match desk.keys.create(&headers, now) {
        Ok(made) => made,
        Err(fault) => return fault.into_response(),
    };
    if let Some(caller) = desk
        .keys
        .holder(&made.api_key, &made.secret, &made.passphrase)
    {
        // Bound to another signer only if a proxy took this very address before.
        let _wallet = desk.wallet(&mut world.exchange, caller.address, caller.address, 0);
    }
    Json(made).into_response()
}

async fn derive_key(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let now = shared.read().now;
    match shared.trading().desk().keys.derive(&headers, now) {
        Ok(found) => Json(found).into_response(),
        Err(fault) => fault.into_response(),
    }
}

async fn list_keys(State(shared): State<Shared>, signed: Signed) -> Response {
    let keys = shared.trading().desk().keys.of(signed.caller.address);
    Json(json!({ "apiKeys": keys })).into_response()
}

async fn delete_key(State(shared): State<Shared>, signed: Signed) -> Response {
    shared.trading().desk().keys.delete(&signed.caller.key);
    Json("OK").into_response()
}

/// Nobody is banned here.
async fn closed_only(_: Signed) -> Response {
    Json(json!({ "closed_only": false })).into_response()
}

/// An order id in a path: 0x and 64 hex digits.
pub(super) fn order_id(text: &str) -> Result<alloy_primitives::B256, Fault> {
    text.strip_prefix("0x")
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Fault::bad("Invalid orderID"))
}

/// The id of `/data/order/{id}`.
pub(super) type IdPath = Path<String>;

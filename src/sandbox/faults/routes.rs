//! `/sandbox/faults`: arm, list, take back.

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};

use super::{FaultSpec, Faults, Line};

/// The routes, to be nested where the sandbox's own routes are.
pub(in crate::sandbox) fn routes<S>(faults: Faults) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/faults", get(list).post(arm).delete(clear))
        .route("/faults/{id}", axum::routing::delete(take_back))
        .with_state(faults)
}

/// Keeps everybody away who is not a program on this machine.
pub(in crate::sandbox) fn guarded<S>(router: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.layer(from_fn(loopback_only))
}

/// The listener is on loopback anyway; a proxy in front of it must not open this door.
async fn loopback_only(request: Request, next: Next) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<Line>>()
        .map(|ConnectInfo(line)| line.peer());
    // A page in a browser can reach loopback: it names its origin, programs do not.
    let by_browser = request.headers().contains_key(http::header::ORIGIN);
    // A name that somebody pointed here is not this machine's own.
    let by_name = request
        .headers()
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok())
        .is_some_and(|host| !names_this_machine(host));
    if by_browser || by_name || peer.is_some_and(|peer| !peer.ip().is_loopback()) {
        return refuse(
            StatusCode::FORBIDDEN,
            "the sandbox's own routes are for programs on this machine",
        );
    }
    next.run(request).await
}

/// `localhost` or a loopback address, with or without a port.
fn names_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

async fn list(State(faults): State<Faults>) -> Response {
    Json(json!({ "faults": faults.listed() })).into_response()
}

/// One fault, or a list of them: all or none are armed.
async fn arm(State(faults): State<Faults>, body: Bytes) -> Response {
    let specs: Vec<FaultSpec> = match read(&body) {
        Ok(specs) => specs,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, &message),
    };
    for spec in &specs {
        if let Err(error) = spec.check() {
            return refuse(StatusCode::BAD_REQUEST, &error.to_string());
        }
    }
    let mut ids = Vec::new();
    for spec in specs {
        match faults.arm(spec) {
            Ok(id) => ids.push(id),
            Err(error) => {
                for id in ids {
                    faults.disarm(Some(id));
                }
                return refuse(StatusCode::CONFLICT, &error.to_string());
            }
        }
    }
    Json(json!({ "ids": ids })).into_response()
}

fn read(body: &[u8]) -> Result<Vec<FaultSpec>, String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let read = |value: Value| {
        serde_path_to_error::deserialize(value)
            .map_err(|error| format!("not a fault: {}: {}", error.path(), error.inner()))
    };
    match value {
        Value::Array(values) => values.into_iter().map(read).collect(),
        one => Ok(vec![read(one)?]),
    }
}

async fn clear(State(faults): State<Faults>) -> Response {
    Json(json!({ "taken_back": faults.disarm(None) })).into_response()
}

async fn take_back(State(faults): State<Faults>, Path(id): Path<String>) -> Response {
    let known = |id: &u64| faults.listed().iter().any(|fault| fault.id == *id);
    match id.parse::<u64>().ok().filter(known) {
        Some(id) => Json(json!({ "taken_back": faults.disarm(Some(id)) })).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "no fault has this id"),
    }
}

//! The layer around all routes in which faults strike requests and answers.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::spoil::{MALFORMED, move_time, page, skew};
use super::{Cut, Fault, Faults, Host, Line, Place};

/// Largest body that is held to be looked at.
const MOST_BYTES: usize = 64 << 20;
/// Time for the first half of a cut answer to leave before the connection ends.
const HALFWAY: Duration = Duration::from_millis(20);

/// Lets requests through, or what the armed faults make of them.
pub(in crate::sandbox) async fn layer(
    State(faults): State<Faults>,
    request: Request,
    next: Next,
) -> Response {
    if faults.idle() {
        return next.run(request).await;
    }
    match split(request.uri().path()) {
        // The admin routes stay reachable, or nothing could be taken back.
        None => next.run(request).await,
        Some(_) => struck(&faults, request, next).await,
    }
}

/// The host and the path behind its prefix; `None` for the sandbox's own routes.
fn split(path: &str) -> Option<(Host, &str)> {
    [
        ("/gamma", Host::Gamma),
        ("/clob", Host::Clob),
        ("/data", Host::Data),
        ("/ws", Host::Ws),
    ]
    .into_iter()
    .find_map(|(prefix, host)| {
        let rest = path.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some((host, rest))
    })
}

async fn struck(faults: &Faults, request: Request, next: Next) -> Response {
    let line = request
        .extensions()
        .get::<ConnectInfo<Line>>()
        .map(|ConnectInfo(line)| line.clone());
    let uri = request.uri().clone();
    let method = request.method().clone();
    // Bodies are small; one beyond the limit is refused as a venue's proxy would.
    let (request, body) = if method == Method::GET {
        (request, Bytes::new())
    } else {
        let (parts, body) = request.into_parts();
        match to_bytes(body, MOST_BYTES).await {
            Ok(bytes) => (Request::from_parts(parts, Body::from(bytes.clone())), bytes),
            Err(_) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        }
    };
    let text = String::from_utf8_lossy(&body);
    let Some((host, path)) = split(uri.path()) else {
        return next.run(request).await;
    };
    let address = uri.path_and_query().map_or(path, |all| all.as_str());
    let place = Place {
        host: Some(host),
        path,
        method: method.as_str(),
        texts: [address, &text],
        tokens: &[],
    };
    // Frames have their own delays: here only the opening of a socket is late.
    let late = faults.delay(&place);
    if !late.is_zero() {
        tokio::time::sleep(late).await;
    }
    if let Some(fault) = faults.first(&place, Fault::is_refusal) {
        return refusal(&fault, host, line.as_ref());
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let response = spoiled(faults, &place, response).await;
    if faults
        .first(&place, |fault| matches!(fault, Fault::LostAnswer {}))
        .is_some()
    {
        return nothing(line.as_ref());
    }
    response
}

/// Ends the connection without a byte of an answer.
fn nothing(line: Option<&Line>) -> Response {
    match line {
        Some(line) => {
            line.cut_after(0, false);
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        // Without a connection of its own (a router called directly) there is nothing to cut.
        None => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "no connection to cut: served without the sandbox's listener",
        )
            .into_response(),
    }
}

/// The answer of a venue that does not look at a request. Texts: the venue's error reference, and
/// the mode's name for post-only, whose text is not documented.
fn refusal(fault: &Fault, host: Host, line: Option<&Line>) -> Response {
    let (code, text, retry_after) = match fault {
        Fault::Dropped {} => return nothing(line),
        Fault::Status { code, retry_after } => (*code, status_text(*code), *retry_after),
        Fault::Restarting {} => (425, "Too Early", None),
        Fault::PostOnly {} => (503, "post_only_mode", None),
        Fault::CancelOnly {} => (
            503,
            "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed.",
            None,
        ),
        _ => (
            503,
            "Trading is currently disabled. Check polymarket.com for updates",
            None,
        ),
    };
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match host {
        Host::Gamma => json!({"type": "error", "error": text}),
        Host::Clob | Host::Ws => json!({ "error": text }),
        Host::Data => json!({
            "error": text,
            "code": text.to_lowercase().replace(' ', "_"),
            "retryable": code == 429 || code >= 500,
            "trace_id": "sandbox",
        }),
    };
    let mut response = (status, Json(body)).into_response();
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn status_text(code: u16) -> &'static str {
    match code {
        // As the venue's error reference has it.
        429 => "Too Many Requests",
        _ => StatusCode::from_u16(code)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Error"),
    }
}

fn is_body_fault(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::ClockSkew { .. }
            | Fault::Rows { .. }
            | Fault::Malformed {}
            | Fault::Truncated { .. }
    )
}

/// The answer with what the faults do to bodies.
async fn spoiled(faults: &Faults, place: &Place<'_>, response: Response) -> Response {
    if !faults.any(place, is_body_fault) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(mut bytes) = to_bytes(body, MOST_BYTES).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if parts.status.is_success()
        && let Ok(mut value) = serde_json::from_slice::<Value>(&bytes)
    {
        let old = value.clone();
        if is_timed(&value)
            && let Some(Fault::ClockSkew { ms }) =
                faults.first(place, |fault| matches!(fault, Fault::ClockSkew { .. }))
        {
            // `/time` is a bare number.
            if !move_time(&mut value, ms) {
                skew(&mut value, ms);
            }
        }
        if has_rows(&value)
            && let Some(Fault::Rows { spoil }) =
                faults.first(place, |fault| matches!(fault, Fault::Rows { .. }))
        {
            page(&mut value, &spoil);
        }
        if value != old {
            bytes = value.to_string().into();
        }
    }
    if faults
        .first(place, |fault| matches!(fault, Fault::Malformed {}))
        .is_some()
    {
        bytes = [MALFORMED.as_bytes(), &bytes].concat().into();
    }
    let cut = faults.first(place, |fault| matches!(fault, Fault::Truncated { .. }));
    let whole = bytes.len();
    if cut.is_some() {
        bytes.truncate(whole / 2);
    }
    let body = match cut {
        Some(Fault::Truncated {
            cut: Cut::Connection,
        }) => {
            parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from(whole));
            broken_off(bytes)
        }
        _ => {
            parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            Body::from(bytes)
        }
    };
    Response::from_parts(parts, body)
}

fn is_timed(value: &Value) -> bool {
    // A trial run finds out whether there is a time to move.
    value.is_i64() || skew(&mut value.clone(), 0) > 0
}

fn has_rows(value: &Value) -> bool {
    match value {
        Value::Array(rows) => !rows.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    }
}

/// A body that sends these bytes and then fails, which ends the connection.
fn broken_off(bytes: Bytes) -> Body {
    let first = futures::stream::once(async move { Ok::<_, std::io::Error>(bytes) });
    let end = futures::stream::once(async {
        tokio::time::sleep(HALFWAY).await;
        Err(std::io::ErrorKind::ConnectionAborted.into())
    });
    Body::from_stream(first.chain(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_whole_segments() {
        assert_eq!(split("/clob/book"), Some((Host::Clob, "/book")));
        assert_eq!(split("/data/v2/trades"), Some((Host::Data, "/v2/trades")));
        assert_eq!(split("/ws/market"), Some((Host::Ws, "/market")));
        assert_eq!(split("/gamma"), Some((Host::Gamma, "")));
        assert_eq!(split("/clobber"), None);
        assert_eq!(split("/sandbox/faults"), None);
    }
}

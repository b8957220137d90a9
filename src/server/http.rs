//! MCP over HTTP at `/mcp`, together with whatever plain routes the application adds.
//!
//! On loopback only: there is no authentication yet. Loopback alone does not keep web pages out,
//! because a page can point its own host name at 127.0.0.1 (DNS rebinding); so the `Host` and
//! `Origin` of every request, on every route, must be loopback as well.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, header};
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::mcp::McpServer;
use super::tool::ToolError;
use sessions::{LimitedSessions, refuse_when_full};

mod sessions;

/// Largest request body, bytes: the longest sensible call takes a few thousand.
const MAX_BODY: usize = 256 << 10;
/// How long open connections may finish after shutdown begins.
const GRACE: Duration = Duration::from_secs(5);

/// Serving over HTTP failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// An address that other machines can reach.
    #[error(
        "{0} can be reached from other machines, and there is no authentication yet: \
         use a loopback address such as 127.0.0.1:8080"
    )]
    NotLoopback(SocketAddr),
    /// Not an address.
    #[error("`{0}` is no address to listen on: give one like 127.0.0.1:8080")]
    Address(String),
    /// The port is taken, or may not be used.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server broke off.
    #[error("the HTTP server broke off: {0}")]
    Broken(String),
}

/// Reads `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`. Errors: [`HttpError::Address`].
pub fn parse_listen_address(text: &str) -> Result<SocketAddr, HttpError> {
    let numeric = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    numeric
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| HttpError::Address(text.to_owned()))
}

/// A running HTTP server.
#[derive(Debug)]
pub struct HttpHandle {
    local_addr: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl HttpHandle {
    /// Where it listens: the port is the real one, also when 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits until the server has stopped: at `shutdown`, once open connections are done or five
    /// seconds have passed. Errors: [`HttpError::Broken`].
    pub async fn wait(mut self) -> Result<(), HttpError> {
        let over = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let ended = tokio::select! {
            ended = &mut self.task => ended,
            () = over => {
                tracing::warn!("connections were still open after shutdown and are cut");
                self.task.abort();
                return Ok(());
            }
        };
        match ended {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(HttpError::Broken(error.to_string())),
            Err(error) => Err(HttpError::Broken(error.to_string())),
        }
    }
}

/// Serves MCP at `/mcp` and `extra_routes` beside it, from when this returns until `shutdown` is
/// cancelled. Errors: as for [`serve_routes`].
pub async fn serve_http<S: Send + Sync + 'static>(
    server: McpServer<S>,
    extra_routes: Router,
    addr: SocketAddr,
    shutdown: CancellationToken,
) -> Result<HttpHandle, HttpError> {
    let routes = with_mcp(server, extra_routes, addr.ip(), &shutdown);
    serve_routes(routes, addr, shutdown).await
}

/// Serves plain routes without MCP (the dashboard alone), with the same checks on every request,
/// from when this returns until `shutdown` is cancelled. Errors: [`HttpError::NotLoopback`] before
/// anything is opened, [`HttpError::Bind`].
pub async fn serve_routes(
    routes: Router,
    addr: SocketAddr,
    shutdown: CancellationToken,
) -> Result<HttpHandle, HttpError> {
    if !addr.ip().to_canonical().is_loopback() {
        return Err(HttpError::NotLoopback(addr));
    }
    let bind = |source| HttpError::Bind { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(bind)?;
    let local_addr = listener.local_addr().map_err(bind)?;
    let app = routes
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(only_loopback));
    // Without TCP_NODELAY a streamed answer waits 40 ms for an acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let stop = shutdown.clone();
    let task = tokio::spawn(async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    });
    tracing::info!(address = %local_addr, "listening for HTTP");
    Ok(HttpHandle {
        local_addr,
        shutdown,
        task,
    })
}

fn with_mcp<S: Send + Sync + 'static>(
    server: McpServer<S>,
    extra_routes: Router,
    ip: IpAddr,
    shutdown: &CancellationToken,
) -> Router {
    let own = ip.to_string();
    let hosts = ["localhost", "127.0.0.1", "::1", own.as_str()];
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(hosts)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY)
        // Open streams would otherwise hold the server for ever.
        .with_cancellation_token(shutdown.child_token());
    let mcp = StreamableHttpService::new(
        move || Ok(server.session()),
        Arc::new(LimitedSessions::new()),
        config,
    );
    extra_routes
        .nest_service("/mcp", mcp)
        .layer(middleware::from_fn(refuse_when_full))
}

/// An error as every plain route states it: `{code, message, hint}`.
pub(super) fn error_response(status: StatusCode, error: &ToolError) -> Response {
    (status, Json(error)).into_response()
}

/// Refuses requests whose `Host` or `Origin` is not loopback, with status 403.
async fn only_loopback(request: Request, next: Next) -> Response {
    match check_names(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(what) => {
            tracing::warn!(what, "HTTP request refused");
            let error = ToolError::new(
                "forbidden",
                format!("refused: {what}"),
                "this server answers only to requests for localhost, 127.0.0.1 or [::1]",
            );
            error_response(StatusCode::FORBIDDEN, &error)
        }
    }
}

fn check_names(uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let known = host.to_str().is_ok_and(is_loopback_authority);
            if !known {
                return Err("the Host header does not name this machine");
            }
        }
        (None, _) => return Err("there is no Host header"),
        (Some(_), Some(_)) => return Err("there are several Host headers"),
    }
    if let Some(authority) = uri.authority()
        && !is_loopback_authority(authority.as_str())
    {
        return Err("the address asked for does not name this machine");
    }
    for origin in headers.get_all(header::ORIGIN) {
        let known = origin.to_str().is_ok_and(|origin| {
            let rest = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            rest.is_some_and(is_loopback_authority)
        });
        if !known {
            return Err("the Origin header names a foreign site");
        }
    }
    Ok(())
}

/// Whether `host` or `host:port` is this machine by a name that no one else can give away.
fn is_loopback_authority(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    if text.contains('@') {
        return false;
    }
    let host = authority.host();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;

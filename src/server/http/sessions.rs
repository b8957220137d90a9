//! A limit on open sessions.
//!
//! The protocol up to 2025-11-25 opens a session per client and keeps what the client said of itself
//! for as long as it lasts, so that whoever opens them without end fills the memory. rmcp's own
//! manager knows no limit; this one asks it for a session only while there is room.

use std::cell::Cell;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures::Stream;
use http::{HeaderValue, StatusCode, header};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_server::SessionManager;
use rmcp::transport::streamable_http_server::session::local::{
    LocalSessionManager, LocalSessionManagerError,
};
use rmcp::transport::streamable_http_server::session::{ServerSseMessage, SessionId};
use tokio::sync::Mutex;

use super::error_response;
use crate::server::tool::ToolError;

/// Sessions that may be open at once.
pub(super) const MAX_SESSIONS: usize = 128;
/// A session in which nothing is said for so long is ended.
const IDLE: Duration = Duration::from_secs(300);
/// When a refused client may ask again, seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("60");

tokio::task_local! {
    /// Whether the request at hand was refused a session: rmcp makes status 500 of every error of
    /// its manager, and cannot be told otherwise.
    static FULL: Cell<bool>;
}

/// No session, or rmcp's manager failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// There are as many as there may be.
    #[error("{MAX_SESSIONS} sessions are open already")]
    Full,
    /// rmcp's manager failed.
    #[error(transparent)]
    Local(#[from] LocalSessionManagerError),
}

/// rmcp's sessions in memory, at most [`MAX_SESSIONS`] of them.
#[derive(Debug)]
pub(super) struct LimitedSessions {
    local: LocalSessionManager,
    /// Held from counting to opening, so that requests at the same time cannot pass the limit.
    opening: Mutex<()>,
}

impl LimitedSessions {
    pub(super) fn new() -> Self {
        let mut local = LocalSessionManager::default();
        local.session_config.keep_alive = Some(IDLE);
        LimitedSessions {
            local,
            opening: Mutex::new(()),
        }
    }
}

/// All but opening is rmcp's. Sessions are not restored from elsewhere, as the trait's default has it.
impl SessionManager for LimitedSessions {
    type Error = SessionError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let _turn = self.opening.lock().await;
        if self.local.sessions.read().await.len() >= MAX_SESSIONS {
            // Outside of `refuse_when_full` nobody asks, and the error alone has to do.
            let _ = FULL.try_with(|full| full.set(true));
            return Err(SessionError::Full);
        }
        Ok(self.local.create_session().await?)
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        Ok(self.local.initialize_session(id, message).await?)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        Ok(self.local.has_session(id).await?)
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        Ok(self.local.close_session(id).await?)
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.local.create_stream(id, message).await?)
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), Self::Error> {
        Ok(self.local.accept_message(id, message).await?)
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.local.create_standalone_stream(id).await?)
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.local.resume(id, last_event_id).await?)
    }
}

/// Answers 503 to a request for which there was no session left.
pub(super) async fn refuse_when_full(request: Request, next: Next) -> Response {
    FULL.scope(Cell::new(false), async {
        let response = next.run(request).await;
        if FULL.with(Cell::get) {
            full()
        } else {
            response
        }
    })
    .await
}

fn full() -> Response {
    let error = ToolError::new(
        "too_many_sessions",
        SessionError::Full.to_string(),
        "close a client, or try again in a minute: a session is ended after five idle minutes. The \
         protocol of 2026-07-28 needs no session and is answered still",
    );
    let mut response = error_response(StatusCode::SERVICE_UNAVAILABLE, &error);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

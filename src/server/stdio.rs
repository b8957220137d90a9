//! MCP over standard input and output, the way desktop clients start a server.
//!
//! Standard output belongs to the protocol: nothing else may be written there.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rmcp::ServiceExt;
use rmcp::service::{QuitReason, ServerInitializeError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::mcp::McpServer;

/// Serving over standard input and output failed.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client's first message was not one that opens a session.
    #[error("the MCP client did not open the session: {0}")]
    Opening(Box<ServerInitializeError>),
    /// The serving task died.
    #[error("the MCP session broke off: {0}")]
    Broken(tokio::task::JoinError),
}

/// Serves one client on standard input and output until it closes its end or `shutdown` is
/// cancelled. Errors: [`StdioError`].
pub async fn serve_stdio<S: Send + Sync + 'static>(
    server: &McpServer<S>,
    shutdown: CancellationToken,
) -> Result<(), StdioError> {
    // On Linux pipes this avoids a hand-over between threads per message; elsewhere it falls
    // back to the blocking handles by itself.
    let (reader, writer) = rmcp::transport::stdio_pipes();
    serve_pair(server, reader, writer, shutdown).await
}

/// The same over any pair of streams.
pub(crate) async fn serve_pair<S, R, W>(
    server: &McpServer<S>,
    reader: R,
    writer: W,
    shutdown: CancellationToken,
) -> Result<(), StdioError>
where
    S: Send + Sync + 'static,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let server = server.session();
    let reader = EndOfInput {
        reader,
        ended: server.closing(),
    };
    let running = match server.serve_with_ct((reader, writer), shutdown).await {
        Ok(running) => running,
        // A client that looks whether the server starts, and leaves, did nothing wrong.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
            return Ok(());
        }
        Err(error) => return Err(StdioError::Opening(Box::new(error))),
    };
    match running.waiting().await {
        Ok(QuitReason::JoinError(error)) | Err(error) => Err(StdioError::Broken(error)),
        Ok(_) => Ok(()),
    }
}

/// Cancels a token when the input ends: an open `subscriptions/listen` would otherwise hold the
/// process for the five seconds that rmcp leaves running requests.
struct EndOfInput<R> {
    reader: R,
    ended: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndOfInput<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.reader).poll_read(context, buffer);
        let nothing_read = buffer.filled().len() == before && buffer.remaining() > 0;
        if matches!(polled, Poll::Ready(Err(_))) || (polled.is_ready() && nothing_read) {
            self.ended.cancel();
        }
        polled
    }
}

//! Connections that can be cut at a given byte: how the sandbox loses an answer, or half a frame.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// No limit on what may still be written.
const ENDLESS: u64 = u64::MAX;

/// A handle on one connection, given to every request that comes over it.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Line {
    peer: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes that may still be written.
    left: AtomicU64,
    /// Whether the end is a reset instead of an orderly end.
    reset: AtomicBool,
    /// Whether what is written goes nowhere.
    mute: AtomicBool,
}

impl Line {
    fn new(peer: SocketAddr) -> Self {
        Line {
            peer,
            state: Arc::new(State {
                left: AtomicU64::new(ENDLESS),
                reset: AtomicBool::new(false),
                mute: AtomicBool::new(false),
            }),
        }
    }

    /// Who is at the other end.
    pub(in crate::sandbox) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Lets so many more bytes out and then ends the connection, by a reset if so wanted.
    pub(in crate::sandbox) fn cut_after(&self, bytes: u64, reset: bool) {
        self.state.reset.store(reset, Ordering::Release);
        self.state
            .left
            .store(bytes.min(ENDLESS - 1), Ordering::Release);
    }

    /// Swallows everything that is written from now on; the connection stays open.
    pub(in crate::sandbox) fn mute(&self) {
        self.state.mute.store(true, Ordering::Release);
    }

    /// Makes whatever ends this connection end it with a reset.
    pub(in crate::sandbox) fn end_with_reset(&self) {
        self.state.reset.store(true, Ordering::Release);
    }
}

/// Accepts connections and gives each its [`Line`].
#[derive(Debug)]
pub(in crate::sandbox) struct Lines(pub TcpListener);

impl Listener for Lines {
    type Io = LineStream;
    type Addr = Line;

    async fn accept(&mut self) -> (LineStream, Line) {
        let (stream, peer) = <TcpListener as Listener>::accept(&mut self.0).await;
        // Answers are small: without this each one waits for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let line = Line::new(peer);
        let stream = LineStream {
            stream,
            line: line.clone(),
        };
        (stream, line)
    }

    fn local_addr(&self) -> io::Result<Line> {
        self.0.local_addr().map(Line::new)
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A TCP connection that ends when its [`Line`] says so.
#[derive(Debug)]
pub(in crate::sandbox) struct LineStream {
    stream: TcpStream,
    line: Line,
}

impl LineStream {
    /// How many of `wanted` bytes may go out now.
    fn allowed(&self, wanted: usize) -> io::Result<usize> {
        let left = self.line.state.left.load(Ordering::Acquire);
        if left == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(usize::try_from(left).map_or(wanted, |left| left.min(wanted)))
    }

    fn wrote(&self, bytes: usize) {
        let used = bytes as u64;
        // `ENDLESS` stays what it is. Only this connection's task counts down.
        let _ = self
            .line
            .state
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                (left != ENDLESS).then(|| left.saturating_sub(used))
            });
    }
}

impl AsyncRead for LineStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.line.state.mute.load(Ordering::Acquire) {
            return Poll::Ready(Ok(buf.len()));
        }
        let allowed = self.allowed(buf.len())?;
        let part = buf.get(..allowed).unwrap_or(buf);
        let result = Pin::new(&mut self.stream).poll_write(cx, part);
        if let Poll::Ready(Ok(bytes)) = &result {
            self.wrote(*bytes);
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let state = &self.line.state;
        if state.left.load(Ordering::Acquire) == ENDLESS && !state.mute.load(Ordering::Acquire) {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        }
        // Counted writes go one buffer at a time.
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.poll_write(cx, first.map_or(&[], |buf| buf))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An orderly end must not go before a reset.
        if self.line.state.reset.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for LineStream {
    fn drop(&mut self) {
        if self.line.state.reset.load(Ordering::Acquire)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection could not be reset");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn pair() -> (LineStream, Line, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut lines = Lines(listener);
        let (accepted, client) = tokio::join!(lines.accept(), TcpStream::connect(address));
        (accepted.0, accepted.1, client.unwrap())
    }

    #[tokio::test]
    async fn a_line_is_cut_at_the_byte_and_ends_as_it_was_told() {
        for reset in [false, true] {
            let (mut server, line, mut client) = pair().await;
            server.write_all(b"whole").await.unwrap();
            line.cut_after(3, reset);
            let error = server.write_all(b"broken").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            // Read before the end: a reset may throw away what was not yet read.
            let mut bytes = [0_u8; 8];
            client.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"wholebro");
            drop(server);
            let end = client.read(&mut bytes).await;
            match reset {
                false => assert_eq!(end.unwrap(), 0),
                true => assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset),
            }
        }
    }
}

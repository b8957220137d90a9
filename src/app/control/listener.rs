//! The owner's end: connections, each with one request.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::place::Bound;
use super::protocol::{
    Ask, Call, Failure, Line, MAX_REQUEST, Reply, Response, VERSION, parse_request, read_line,
    to_line,
};
use super::{App, Handler};

/// Connections at once; one more is told so and closed.
const MAX_CONNECTIONS: u32 = 32;
/// How long a request may take to arrive.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How long an asker may take to read its answer.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// How long calls may go on once this process stops.
const GRACE: Duration = Duration::from_secs(5);

/// Answers until `closing` is cancelled and the calls under way have ended.
pub(super) async fn listen(
    app: Arc<App>,
    handler: Arc<dyn Handler>,
    bound: Bound,
    closing: CancellationToken,
) {
    tracing::info!(path = %bound.path().display(), "control socket");
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let stop = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            accepted = bound.listener.accept() => accepted,
            () = closing.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file handles, most likely: it may pass.
                tracing::warn!(%error, "a connection to the control socket failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == bound.user || peer.uid() == 0 => {}
            _ => {
                tracing::warn!("somebody else tried to use the control socket");
                continue;
            }
        }
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let connection = Connection::new(stream, app.clone(), stop.child_token());
                tokio::spawn(connection.serve(handler.clone(), place));
            }
            Err(_) => drop(tokio::spawn(turn_away(stream))),
        }
    }
    // Gone from the disk first, so that nobody else comes.
    drop(bound);
    let all_ended = places.acquire_many(MAX_CONNECTIONS);
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        stop.cancel();
        // A call that is cancelled answers so, in moments.
        let _ = tokio::time::timeout(
            Duration::from_millis(500),
            places.acquire_many(MAX_CONNECTIONS),
        )
        .await;
    }
}

async fn turn_away(stream: UnixStream) {
    let (_reader, mut writer) = stream.into_split();
    let failure = Failure::new(
        "busy",
        format!("{MAX_CONNECTIONS} calls are under way over the control socket already"),
        "Wait until some have ended and call again; nothing was changed.",
    );
    send(&mut writer, Reply::Failed(failure)).await;
}

struct Connection {
    app: Arc<App>,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    stop: CancellationToken,
}

impl Connection {
    fn new(stream: UnixStream, app: Arc<App>, stop: CancellationToken) -> Self {
        let (reader, writer) = stream.into_split();
        Connection {
            app,
            reader: BufReader::new(reader),
            writer,
            stop,
        }
    }

    async fn serve(mut self, handler: Arc<dyn Handler>, place: OwnedSemaphorePermit) {
        if let Some(reply) = self.answer(handler.as_ref()).await {
            send(&mut self.writer, reply).await;
        }
        drop(place);
    }

    /// The last line to say; `None` when nobody is there to hear it.
    async fn answer(&mut self, handler: &dyn Handler) -> Option<Reply> {
        let read = read_line(&mut self.reader, MAX_REQUEST);
        let line = match tokio::time::timeout(REQUEST_WITHIN, read).await {
            Ok(Ok(Line::Whole(line))) => line,
            // A look whether anybody listens.
            Ok(Ok(Line::Closed) | Err(_)) => return None,
            Ok(Ok(Line::TooLong)) => {
                let message = format!("a request has at most {MAX_REQUEST} bytes on its line");
                let failure = Failure::new("bad_request", message, "Ask for less at a time.");
                return Some(Reply::Failed(failure));
            }
            Err(_) => {
                let seconds = REQUEST_WITHIN.as_secs();
                let message = format!("no whole line came within {seconds} s");
                let hint = "Send one JSON object and an end of line.";
                return Some(Reply::Failed(Failure::new("bad_request", message, hint)));
            }
        };
        match parse_request(&line) {
            Ok(Ask::State) => Some(match self.app.owner_state() {
                Ok(state) => Reply::State(Box::new(state)),
                Err(error) => Reply::Failed(error.into()),
            }),
            Ok(Ask::Call(call)) => self.carry_out(call, handler).await,
            Err(failure) => Some(Reply::Failed(failure)),
        }
    }

    async fn carry_out(&mut self, call: Call, handler: &dyn Handler) -> Option<Reply> {
        let note = match self.app.accepts(&call) {
            Ok(note) => note,
            Err(error) => return Some(Reply::Failed(error.into())),
        };
        tracing::debug!(tool = call.tool, asker = ?call.asker, "call over the control socket");
        if !send(&mut self.writer, Reply::Taken).await {
            return None;
        }
        let wants_progress = call.progress;
        let cancelled = self.stop.child_token();
        let (reports, mut latest) = watch::channel(None);
        let mut work = handler.call(call, reports, cancelled.clone());
        let mut extra = [0_u8; 1];
        let mut left = false;
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                // Closed, or more than one request: either way nobody waits for this answer.
                _ = self.reader.read(&mut extra), if !left => {
                    left = true;
                    cancelled.cancel();
                }
                Ok(()) = latest.changed(), if wants_progress && !left => {
                    let progress = latest.borrow_and_update().clone();
                    if let Some(progress) = progress {
                        left = !send(&mut self.writer, Reply::Progress(progress)).await;
                        if left {
                            cancelled.cancel();
                        }
                    }
                }
            }
        };
        if left {
            return None;
        }
        Some(match result {
            Ok(mut answer) => {
                answer.note = answer.note.or(note);
                Reply::Done(answer)
            }
            Err(failure) => Reply::Failed(failure),
        })
    }
}

/// Says whether the line was taken.
async fn send(writer: &mut OwnedWriteHalf, reply: Reply) -> bool {
    let Some(line) = line_of(&Response { v: VERSION, reply }) else {
        return false;
    };
    let written = async {
        writer.write_all(&line).await?;
        writer.flush().await
    };
    matches!(tokio::time::timeout(READ_WITHIN, written).await, Ok(Ok(())))
}

fn line_of(message: &impl Serialize) -> Option<Vec<u8>> {
    to_line(message)
        .inspect_err(|error| tracing::error!(%error, "an answer is no JSON"))
        .ok()
}

//! The owner's end: connections, each with one request.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::gate::{Gate, Hearing, MAX_CALLS, MAX_SILENT};
use super::place::Bound;
use super::protocol::{
    Ask, Call, Failure, Line, MAX_REQUEST, Reply, Response, VERSION, parse_request, read_line,
    to_line,
};
use super::{App, Handler};

/// How long a request may take to arrive.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How long an asker may take to read its answer.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// How long one that holds no place may take to read a line, which fits into the socket's buffer.
const READ_LINE_WITHIN: Duration = Duration::from_secs(1);
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
    let gate = Gate::new();
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
        let connection = Connection::new(stream, app.clone(), gate.clone(), stop.child_token());
        tokio::spawn(connection.serve(handler.clone(), gate.hear(), closing.clone()));
    }
    // Gone from the disk first, so that nobody else comes.
    drop(bound);
    if tokio::time::timeout(GRACE, gate.all_ended()).await.is_err() {
        stop.cancel();
        // A call that is cancelled answers so, in moments.
        let _ = tokio::time::timeout(Duration::from_millis(500), gate.all_ended()).await;
    }
}

struct Connection {
    app: Arc<App>,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    gate: Arc<Gate>,
    stop: CancellationToken,
}

impl Connection {
    fn new(stream: UnixStream, app: Arc<App>, gate: Arc<Gate>, stop: CancellationToken) -> Self {
        let (reader, writer) = stream.into_split();
        Connection {
            app,
            reader: BufReader::new(reader),
            writer,
            gate,
            stop,
        }
    }

    /// Hears the request and answers it. Once `closing` is cancelled nothing more is begun: an asker
    /// that hears nothing knows that nothing was done.
    async fn serve(
        mut self,
        handler: Arc<dyn Handler>,
        hearing: Hearing,
        closing: CancellationToken,
    ) {
        let heard = tokio::select! {
            heard = self.hear(&hearing) => heard,
            () = closing.cancelled() => return,
        };
        drop(hearing);
        let reply = match heard {
            Ok(Some(Ask::State)) => match self.app.owner_state() {
                Ok(state) => Reply::State(Box::new(state)),
                Err(error) => Reply::Failed(error.into()),
            },
            Ok(Some(Ask::Call(call))) => {
                let place = tokio::select! {
                    place = self.gate.place(handler.is_urgent(&call)) => place,
                    () = closing.cancelled() => return,
                };
                if closing.is_cancelled() {
                    return;
                }
                if let Some(_place) = place {
                    if let Some(reply) = self.carry_out(call, handler.as_ref()).await {
                        send(&mut self.writer, reply, READ_WITHIN).await;
                    }
                    return;
                }
                let message =
                    format!("{MAX_CALLS} calls are under way over the control socket already");
                Reply::Failed(busy(message))
            }
            Ok(None) => return,
            Err(failure) => Reply::Failed(failure),
        };
        send(&mut self.writer, reply, READ_LINE_WITHIN).await;
    }

    /// What is asked; `None` for one that only looked whether anybody listens. Errors: what the asker
    /// is told.
    async fn hear(&mut self, hearing: &Hearing) -> Result<Option<Ask>, Failure> {
        let read = read_line(&mut self.reader, MAX_REQUEST);
        let read = tokio::select! {
            // What has come counts, however many wait behind it.
            biased;
            read = tokio::time::timeout(REQUEST_WITHIN, read) => read,
            () = hearing.over() => {
                let message = format!("{MAX_SILENT} connections came later and wait to be heard");
                return Err(busy(message));
            }
        };
        match read {
            Ok(Ok(Line::Whole(line))) => parse_request(&line).map(Some),
            Ok(Ok(Line::Closed) | Err(_)) => Ok(None),
            Ok(Ok(Line::TooLong)) => {
                let message = format!("a request has at most {MAX_REQUEST} bytes on its line");
                let hint = "Ask for less at a time.";
                Err(Failure::new("bad_request", message, hint))
            }
            Err(_) => {
                let seconds = REQUEST_WITHIN.as_secs();
                let message = format!("no whole line came within {seconds} s");
                let hint = "Send one JSON object and an end of line.";
                Err(Failure::new("bad_request", message, hint))
            }
        }
    }

    /// The last line to say; `None` when nobody is there to hear it.
    async fn carry_out(&mut self, call: Call, handler: &dyn Handler) -> Option<Reply> {
        let note = match self.app.accepts(&call) {
            Ok(note) => note,
            Err(error) => return Some(Reply::Failed(error.into())),
        };
        tracing::debug!(tool = call.tool, asker = ?call.asker, "call over the control socket");
        if !send(&mut self.writer, Reply::Taken, READ_WITHIN).await {
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
                        left = !send(&mut self.writer, Reply::Progress(progress), READ_WITHIN).await;
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

/// There is no room now.
fn busy(message: String) -> Failure {
    let hint = "Wait until some have ended and call again; nothing was changed.";
    Failure::new("busy", message, hint)
}

/// Says whether the line was taken in time.
async fn send(writer: &mut OwnedWriteHalf, reply: Reply, within: Duration) -> bool {
    let Some(line) = line_of(&Response { v: VERSION, reply }) else {
        return false;
    };
    let written = async {
        writer.write_all(&line).await?;
        writer.flush().await
    };
    matches!(tokio::time::timeout(within, written).await, Ok(Ok(())))
}

fn line_of(message: &impl Serialize) -> Option<Vec<u8>> {
    to_line(message)
        .inspect_err(|error| tracing::error!(%error, "an answer is no JSON"))
        .ok()
}

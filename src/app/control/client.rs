//! The asker's end.

use std::path::Path;

use super::protocol::{Answer, Ask, Failure, OwnerState, Progress};

/// What the owner answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// To a call.
    Call(Result<Answer, Failure>),
    /// To a question for its state.
    State(Box<OwnerState>),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody listens: there is no owner, or it has just begun or is just ending. Nothing was
    /// done.
    #[error("nobody listens on the control socket: {0}")]
    Absent(String),
    /// The request is too large to be sent. Nothing was asked.
    #[error("the request has {0} bytes, more than can be handed on")]
    TooLarge(usize),
    /// The owner went away, or said something that makes no sense, after it was asked: whether it
    /// did what it was asked for is not known.
    #[error("{0}")]
    Lost(String),
}

/// Asks the owner of the ledger at `db`, and waits for its answer as long as it takes: whoever
/// waits no longer drops the future, which cancels the call. Errors: see [`AskError`].
#[cfg(unix)]
pub async fn ask(
    db: &Path,
    ask: &Ask,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Told, AskError> {
    use tokio::io::{AsyncWriteExt, BufReader};
    use tokio::net::UnixStream;

    use super::protocol::{
        Line, MAX_REPLY, MAX_REQUEST, Reply, Request, Response, VERSION, other_version, read_line,
        to_line,
    };

    let absent = |error: std::io::Error| AskError::Absent(error.to_string());
    let path = super::place::find(db).map_err(absent)?;
    let stream = UnixStream::connect(&path).await.map_err(absent)?;
    let (reader, mut writer) = stream.into_split();
    let request = Request {
        v: VERSION,
        ask: ask.clone(),
    };
    let line = to_line(&request).map_err(|error| AskError::Absent(error.to_string()))?;
    if line.len() > MAX_REQUEST {
        return Err(AskError::TooLarge(line.len()));
    }
    // A failure shows in the answer: one that turns us away answers without reading.
    let _ = writer.write_all(&line).await;
    let mut taken = matches!(ask, Ask::State);
    let mut reader = BufReader::new(reader);
    loop {
        let line = match read_line(&mut reader, MAX_REPLY).await {
            Ok(Line::Whole(line)) => line,
            Ok(Line::TooLong) => return Err(AskError::Lost("its answer is too long".to_owned())),
            Ok(Line::Closed) | Err(_) => {
                let detail = "it closed the connection".to_owned();
                return Err(if taken {
                    AskError::Lost(detail)
                } else {
                    AskError::Absent(detail)
                });
            }
        };
        let response: Response = serde_json::from_slice(&line)
            .map_err(|error| AskError::Lost(format!("its answer makes no sense: {error}")))?;
        if response.v != VERSION {
            return Ok(Told::Call(Err(other_version(response.v))));
        }
        match response.reply {
            Reply::Taken => taken = true,
            Reply::Progress(step) => progress(step),
            Reply::State(state) => return Ok(Told::State(state)),
            Reply::Done(answer) => return Ok(Told::Call(Ok(answer))),
            Reply::Failed(failure) => return Ok(Told::Call(Err(failure))),
        }
    }
}

/// There are no such sockets here.
#[cfg(not(unix))]
pub async fn ask(
    _: &Path,
    _: &Ask,
    _: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Told, AskError> {
    Err(AskError::Absent(
        "this system has no Unix sockets".to_owned(),
    ))
}

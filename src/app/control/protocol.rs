//! What is said over the control socket: one JSON object per line.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use tokio::sync::watch;

use crate::domain::SourceKind;

/// Version of the protocol; others are refused.
pub const VERSION: u32 = 1;
/// Longest request, bytes. Arguments of tools are far smaller.
pub(super) const MAX_REQUEST: usize = 1 << 20;
/// Longest answer, bytes. A dossier or a year of history has some hundred KiB.
pub(super) const MAX_REPLY: usize = 64 << 20;

/// A line from the asker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// [`VERSION`].
    pub v: u32,
    /// What is wanted.
    pub ask: Ask,
}

/// What can be asked of the owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Who it is and how it stands.
    State,
    /// To carry something out.
    Call(Call),
}

/// A call of an entry of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Name of the entry.
    pub tool: String,
    /// Its arguments.
    pub arguments: Value,
    /// For whom.
    pub asker: Asker,
    /// Whether progress is wanted.
    #[serde(default)]
    pub progress: bool,
    /// The source that the asker takes prices from, or named; `None` when it named none. The owner's
    /// counts; one of another kind is refused, other differences are told.
    #[serde(default)]
    pub source: Option<SourceLabel>,
}

/// For whom a process asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Asker {
    /// An MCP client; its name is what it says of itself.
    Mcp {
        /// Client name, if it gave one.
        client: Option<String>,
    },
    /// The plain HTTP routes.
    Http,
    /// A scheduled job.
    Schedule {
        /// Its name.
        job: String,
    },
    /// The command line.
    Shell,
}

/// Which source a process works on, or was told to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceLabel {
    /// Kind.
    pub kind: SourceKind,
    /// The kind with its options, for people: `sandbox, seed 1, 60 markets`. The kind alone: any of
    /// that kind will do.
    pub text: String,
}

impl SourceLabel {
    /// Any source of a kind.
    #[must_use]
    pub fn of_kind(kind: SourceKind) -> Self {
        SourceLabel {
            kind,
            text: kind.as_str().to_owned(),
        }
    }
}

impl fmt::Display for SourceLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A line from the owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Response {
    /// [`VERSION`].
    pub v: u32,
    /// The answer, or a step on the way to it.
    pub reply: Reply,
}

/// What the owner says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The call has been read and is begun; more lines follow. An owner that goes away before it
    /// has said this has done nothing.
    Taken,
    /// How far a call has come; more lines follow.
    Progress(Progress),
    /// Answer to [`Ask::State`].
    State(Box<OwnerState>),
    /// The call was carried out.
    Done(Answer),
    /// It was not, or not wholly: the failure says.
    Failed(Failure),
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub done: f64,
    /// Steps in all, where known.
    pub total: Option<f64>,
    /// What is being done.
    pub message: String,
}

/// Takes progress; only the latest counts.
pub type Reports = watch::Sender<Option<Progress>>;

/// What a call gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The result as JSON.
    pub structured: Value,
    /// The result for a reader.
    pub text: String,
    /// A remark of the owner about itself, e.g. that it works on another source.
    #[serde(default)]
    pub note: Option<String>,
}

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Short name for programs.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl Failure {
    pub(super) fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure {
            code: code.to_owned(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Who owns a ledger, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerState {
    /// Process id.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// Where it takes prices from.
    pub source: SourceLabel,
    /// Digest of its rules: mode, strategies, limits, sizing. Equal rules have equal digests.
    pub rules: String,
    /// Why its desk is halted, if it is.
    pub halted: Option<String>,
    /// Events in its ledger.
    pub events: u64,
}

/// Reads the version first, so that a request of a later one is told so whatever else it holds.
#[derive(Deserialize)]
struct Versioned {
    v: Option<u32>,
}

/// Reads a request. Errors: what the asker is told.
pub(super) fn parse_request(line: &[u8]) -> Result<Ask, Failure> {
    let bad = |detail: String| {
        Failure::new(
            "bad_request",
            format!("the control socket does not understand this: {detail}"),
            "Send one JSON object on one line, as polymarket-agent does.",
        )
    };
    let versioned: Versioned =
        serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
    match versioned.v {
        Some(VERSION) => {}
        Some(other) => return Err(other_version(other)),
        None => return Err(bad("it states no version `v`".to_owned())),
    }
    let request: Request = serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
    Ok(request.ask)
}

pub(super) fn other_version(other: u32) -> Failure {
    Failure::new(
        "control_version",
        format!("this process speaks version {VERSION} of the control protocol, not {other}"),
        "Two versions of polymarket-agent meet on this ledger: restart both processes with one.",
    )
}

/// What stands on a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A complete line without its end.
    Whole(Vec<u8>),
    /// The other side closed, perhaps in the middle of a line.
    Closed,
    /// More than the limit without an end of line.
    TooLong,
}

/// Reads a line of at most `limit` bytes.
pub(super) async fn read_line<R>(reader: &mut R, limit: usize) -> std::io::Result<Line>
where
    R: AsyncBufRead + Unpin,
{
    let mut line = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = reader.take(most).read_until(b'\n', &mut line).await?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Line::Whole(line));
    }
    Ok(if read > limit {
        Line::TooLong
    } else {
        Line::Closed
    })
}

/// A message with its end of line. Errors: it cannot be written as JSON.
pub(super) fn to_line(message: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_read_back_and_nonsense_is_named() {
        let call = Ask::Call(Call {
            tool: "place_trade".to_owned(),
            arguments: json!({"size": 12.5, "price": 0.1}),
            asker: Asker::Mcp {
                client: Some("claude".to_owned()),
            },
            progress: true,
            source: Some(SourceLabel {
                kind: SourceKind::Sandbox,
                text: "sandbox, seed 1".to_owned(),
            }),
        });
        for ask in [Ask::State, call] {
            let request = Request {
                v: VERSION,
                ask: ask.clone(),
            };
            let line = to_line(&request).unwrap();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(parse_request(&line).unwrap(), ask);
        }
        for (line, code, words) in [
            (&b"\xff\xfe"[..], "bad_request", "expected"),
            (b"", "bad_request", "EOF"),
            (b"{}", "bad_request", "no version"),
            (b"[1,2]", "bad_request", "column"),
            (br#"{"v":2,"ask":"anything"}"#, "control_version", "not 2"),
            (br#"{"v":1,"ask":"stop"}"#, "bad_request", "stop"),
            (br#"{"v":1,"ask":"state","x":1}"#, "bad_request", "`x`"),
            (
                br#"{"v":1,"ask":{"call":{"tool":1}}}"#,
                "bad_request",
                "string",
            ),
        ] {
            let failure = parse_request(line).unwrap_err();
            assert_eq!(failure.code, code, "{failure:?}");
            assert!(failure.message.contains(words), "{failure:?}");
            assert!(!failure.hint.is_empty());
        }
        // Deeper than any stack would take.
        let deep = format!("{{\"v\":1,\"ask\":{}", "[".repeat(500_000));
        assert_eq!(
            parse_request(deep.as_bytes()).unwrap_err().code,
            "bad_request"
        );
    }

    #[tokio::test]
    async fn lines_have_a_limit() {
        let mut input = &b"12345\n123456\n12"[..];
        let mut next = async || read_line(&mut input, 5).await.unwrap();
        assert_eq!(next().await, Line::Whole(b"12345".to_vec()));
        assert_eq!(next().await, Line::TooLong);
        assert_eq!(next().await, Line::Whole(b"".to_vec()));
        assert_eq!(next().await, Line::Closed);
        assert_eq!(next().await, Line::Closed);
    }
}

//! One line of a capture, as text and as a value.

use serde_json::{Value, json};

use crate::domain::text::clean;
use crate::domain::{Timestamp, TokenId};
use crate::market_data::polymarket::ws_messages::{self, FrameError, MarketMessage};

/// Longest reason that is kept.
const MAX_REASON: usize = 200;

/// A line: when, and what.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// This machine's clock when it happened.
    pub at: Timestamp,
    /// What happened.
    pub body: Body,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// First line of each file.
    File {
        /// Version of the format.
        format: u32,
        /// Number of the file, from 1.
        number: u32,
        /// Number of the run of the recorder, from 1.
        session: u32,
        /// What recorded, e.g. `polymarket-agent 1.0.0`.
        program: String,
    },
    /// A market that is recorded, in the form of an entry of `markets.json`. Text in it is untrusted.
    Market(Value),
    /// A connection stands and these tokens are subscribed: their gaps end. Their books are
    /// unknown until their next `book` message.
    Connected {
        /// Number of the connection.
        connection: u32,
        /// What it carries.
        tokens: Vec<TokenId>,
    },
    /// A frame as received; see [`Body::messages`].
    Frame {
        /// The connection that it came over.
        connection: u32,
        /// Its text, to the byte. Untrusted.
        text: String,
    },
    /// From `since` on, messages of these tokens may be missing, until the next
    /// [`Body::Connected`] that names them: whatever was known of their books is void.
    Gap {
        /// Last moment at which nothing was missing.
        since: Timestamp,
        /// Why.
        reason: String,
        /// Whose messages.
        tokens: Vec<TokenId>,
    },
    /// Last line of a run that was not killed.
    End {
        /// Why it ended.
        reason: String,
    },
}

impl Body {
    /// The messages of a frame, each read by itself; none for any other line.
    #[must_use]
    pub fn messages(&self) -> Vec<Result<MarketMessage, FrameError>> {
        match self {
            Body::Frame { text, .. } => ws_messages::frame(text),
            _ => Vec::new(),
        }
    }
}

impl Line {
    /// As one line of JSON with its line break.
    #[must_use]
    pub fn to_text(&self) -> String {
        let at = self.at.millis();
        let value = match &self.body {
            Body::Frame { connection, text } => return frame_text(at, *connection, text),
            Body::File {
                format,
                number,
                session,
                program,
            } => json!({"at": at, "file":
                {"format": format, "number": number, "session": session, "program": program}}),
            Body::Market(entry) => json!({"at": at, "market": entry}),
            Body::Connected { connection, tokens } => {
                json!({"at": at, "connected": {"conn": connection, "tokens": tokens}})
            }
            Body::Gap {
                since,
                reason,
                tokens,
            } => json!({"at": at, "gap":
                {"since": since, "reason": clean(reason, MAX_REASON), "tokens": tokens}}),
            Body::End { reason } => json!({"at": at, "end": {"reason": clean(reason, MAX_REASON)}}),
        };
        format!("{value}\n")
    }

    /// Reads a line, without its line break. Errors: what is wrong with it.
    pub fn parse(line: &str) -> Result<Line, String> {
        if let Some(frame) = quick_frame(line) {
            return Ok(frame);
        }
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let at = millis(&value, "at")?;
        let body = body_of(&value)?;
        Ok(Line { at, body })
    }
}

/// `{"at":…,"conn":…,"msg":…}` with the frame as it came, or `"text"` with the frame as a string
/// where it is not a single line of JSON.
fn frame_text(at: i64, connection: u32, text: &str) -> String {
    let trimmed = text.trim();
    let one_line = trimmed.len() == text.len() && !text.contains(['\n', '\r']);
    if one_line && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        format!("{{\"at\":{at},\"conn\":{connection},\"msg\":{text}}}\n")
    } else {
        let value = json!({"at": at, "conn": connection, "text": text});
        format!("{value}\n")
    }
}

/// The usual line, whose `msg` is taken as it stands instead of being read and written again.
fn quick_frame(line: &str) -> Option<Line> {
    let rest = line.strip_prefix("{\"at\":")?;
    let (at, rest) = rest.split_once(",\"conn\":")?;
    let (connection, rest) = rest.split_once(",\"msg\":")?;
    let text = rest.strip_suffix('}')?;
    // Numbers only: these commas and names are then the first ones of the line.
    let at: i64 = at.parse().ok()?;
    let connection: u32 = connection.parse().ok()?;
    Some(Line {
        at: Timestamp::from_millis(at),
        body: Body::Frame {
            connection,
            text: text.to_owned(),
        },
    })
}

fn body_of(value: &Value) -> Result<Body, String> {
    if let Some(frame) = value.get("msg") {
        return Ok(Body::Frame {
            connection: number(value, "conn")?,
            text: frame.to_string(),
        });
    }
    if let Some(frame) = value.get("text") {
        return Ok(Body::Frame {
            connection: number(value, "conn")?,
            text: frame.as_str().ok_or("`text` is not text")?.to_owned(),
        });
    }
    if let Some(entry) = value.get("market") {
        return Ok(Body::Market(entry.clone()));
    }
    if let Some(connected) = value.get("connected") {
        return Ok(Body::Connected {
            connection: number(connected, "conn")?,
            tokens: tokens(connected)?,
        });
    }
    if let Some(gap) = value.get("gap") {
        return Ok(Body::Gap {
            since: millis(gap, "since")?,
            reason: text(gap, "reason")?,
            tokens: tokens(gap)?,
        });
    }
    if let Some(file) = value.get("file") {
        return Ok(Body::File {
            format: number(file, "format")?,
            number: number(file, "number")?,
            session: number(file, "session")?,
            program: text(file, "program")?,
        });
    }
    if let Some(end) = value.get("end") {
        return Ok(Body::End {
            reason: text(end, "reason")?,
        });
    }
    Err("a line of an unknown kind".to_owned())
}

fn millis(value: &Value, field: &str) -> Result<Timestamp, String> {
    value
        .get(field)
        .and_then(Value::as_i64)
        .map(Timestamp::from_millis)
        .ok_or_else(|| format!("`{field}` is not a number of milliseconds"))
}

fn number(value: &Value, field: &str) -> Result<u32, String> {
    value
        .get(field)
        .and_then(Value::as_u64)
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| format!("`{field}` is not a whole number"))
}

fn text(value: &Value, field: &str) -> Result<String, String> {
    value
        .get(field)
        .and_then(Value::as_str)
        .map(|text| clean(text, MAX_REASON))
        .ok_or_else(|| format!("`{field}` is not text"))
}

fn tokens(value: &Value) -> Result<Vec<TokenId>, String> {
    value
        .get("tokens")
        .and_then(Value::as_array)
        .ok_or("`tokens` is not a list")?
        .iter()
        .map(|token| {
            token
                .as_str()
                .map(TokenId::new)
                .ok_or_else(|| "a token is not text".to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64, body: Body) -> Line {
        Line {
            at: Timestamp::from_millis(millis),
            body,
        }
    }

    fn frame(text: &str) -> Line {
        at(
            1_792_173_951_815,
            Body::Frame {
                connection: 3,
                text: text.to_owned(),
            },
        )
    }

    #[test]
    fn lines_read_as_they_are_documented() {
        let frame = frame(r#"[{"event_type":"novelty","size":1.50}]"#);
        assert_eq!(
            frame.to_text(),
            "{\"at\":1792173951815,\"conn\":3,\"msg\":[{\"event_type\":\"novelty\",\"size\":1.50}]}\n"
        );
        let gap = at(
            2_000,
            Body::Gap {
                since: Timestamp::from_millis(1_500),
                reason: "connection\nlost".into(),
                tokens: vec!["7".into()],
            },
        );
        assert_eq!(
            gap.to_text(),
            "{\"at\":2000,\"gap\":{\"since\":1500,\"reason\":\"connection lost\",\"tokens\":[\"7\"]}}\n"
        );
    }

    #[test]
    fn every_kind_of_line_comes_back_and_frames_to_the_byte() {
        let tokens: Vec<TokenId> = vec!["71".into(), "72".into()];
        let others = [
            Body::File {
                format: 1,
                number: 2,
                session: 1,
                program: "polymarket-agent 1.0.0".into(),
            },
            Body::Market(json!({"id": "7", "question": "Will \"it\" rain?"})),
            Body::Connected {
                connection: 0,
                tokens: tokens.clone(),
            },
            Body::Gap {
                since: Timestamp::from_millis(5),
                reason: "silent for 30 s".into(),
                tokens,
            },
            Body::End {
                reason: "interrupted".into(),
            },
        ];
        let frames = [
            r#"{"event_type":"book","timestamp":"1","bids":[{"price":".5","size":"1.0"}]}"#,
            r#"[ ]"#,
            r#"{"a":"},\"msg\":{"}"#,
            "not JSON",
            "{\n\"pretty\": true\n}",
            " {\"led by\": \"a blank\"}",
            "",
            "{\"at\":1,\"conn\":2,\"msg\":3}",
        ];
        let frames = frames.map(frame);
        let others = others.map(|body| at(1, body));
        for line in others.into_iter().chain(frames) {
            let text = line.to_text();
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            assert_eq!(Line::parse(text.trim_end_matches('\n')), Ok(line), "{text}");
        }
    }

    #[test]
    fn a_rewritten_line_is_read_too_and_nonsense_is_named() {
        let line = Line::parse(r#"{ "msg": {"b": 1}, "conn": 3, "at": 1792173951815 }"#).unwrap();
        assert_eq!(line, frame(r#"{"b":1}"#));
        for (text, wrong) in [
            ("{", "EOF"),
            ("{}", "at"),
            (r#"{"at":1}"#, "unknown kind"),
            (r#"{"at":1,"conn":-1,"text":"x"}"#, "conn"),
            (r#"{"at":1,"gap":{"since":"x"}}"#, "since"),
            (r#"{"at":1,"connected":{"conn":1,"tokens":[1]}}"#, "token"),
        ] {
            let error = Line::parse(text).unwrap_err();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}

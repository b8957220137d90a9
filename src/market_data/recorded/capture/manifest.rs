//! `manifest.json`: what a capture holds, summed up from its lines.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::text::clean;
use crate::domain::{Timestamp, TokenId};

use super::super::atomic::write_whole;
use super::{Body, CaptureError, FORMAT, Line, MANIFEST};

/// Largest manifest that is read.
const MAX_BYTES: u64 = 256 << 20;
/// Kinds of messages that are counted by name; the venue has seven.
const MAX_KINDS: usize = 50;

/// Summary of a capture. Times are RFC 3339 in UTC with milliseconds, of this machine's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// What recorded.
    pub program: String,
    /// Start of the first run.
    #[serde(with = "moment")]
    pub start: Timestamp,
    /// Time of the last line.
    #[serde(with = "moment")]
    pub end: Timestamp,
    /// True when the last run wrote its end and this summary is complete; false while a recorder
    /// runs, and after a kill or an error.
    pub clean: bool,
    /// Why the last run ended; `None` while it runs and after a kill.
    pub ended_by: Option<String>,
    /// Runs of the recorder.
    pub sessions: u32,
    /// Base URLs by name.
    pub sources: BTreeMap<String, String>,
    /// Markets in the order in which they were named.
    pub markets: Vec<CapturedMarket>,
    /// Finished files, in order. A file that is being written is not among them.
    pub files: Vec<CapturedFile>,
    /// Where messages may be missing, in the order in which it was noticed.
    pub gaps: Vec<Gap>,
    /// Connections that stood.
    pub connections: u64,
    /// Those of them that carried a token which had been carried before.
    pub reconnects: u64,
    /// Frames (lines with messages).
    pub frames: u64,
    /// Messages by `event_type`; `unreadable` counts frames that are not JSON.
    pub messages: BTreeMap<String, u64>,
}

/// A market of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedMarket {
    /// Gamma's id.
    pub id: String,
    /// On-chain condition, where known.
    pub condition_id: Option<String>,
    /// URL slug, where known.
    pub slug: Option<String>,
    /// Untrusted text.
    pub question: String,
    /// Its tokens, in the order of the outcomes.
    pub tokens: Vec<CapturedToken>,
}

/// A token of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedToken {
    /// Asset id.
    pub token: TokenId,
    /// Untrusted outcome name.
    pub outcome: String,
    /// When it was first subscribed: nothing is known of it before. `None` if it never was.
    #[serde(with = "optional_moment")]
    pub since: Option<Timestamp>,
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedFile {
    /// File name.
    pub name: String,
    /// Lines in it.
    pub lines: u64,
    /// Compressed size.
    pub bytes: u64,
    /// SHA-256 of the compressed bytes, lower-case hex.
    pub sha256: String,
    /// Time of its first line.
    #[serde(with = "moment")]
    pub first: Timestamp,
    /// Time of its last line.
    #[serde(with = "moment")]
    pub last: Timestamp,
}

/// A stretch in which messages of some tokens may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Last moment at which nothing was missing.
    #[serde(with = "moment")]
    pub start: Timestamp,
    /// When they were subscribed again; `None` if they were not until the end.
    #[serde(with = "optional_moment")]
    pub end: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Whose messages.
    pub tokens: Vec<TokenId>,
}

impl Manifest {
    /// Of a capture that has no line yet.
    pub(super) fn new(program: &str, sources: BTreeMap<String, String>, at: Timestamp) -> Self {
        Manifest {
            format: FORMAT,
            program: program.to_owned(),
            start: at,
            end: at,
            clean: false,
            ended_by: None,
            sessions: 0,
            sources,
            markets: Vec::new(),
            files: Vec::new(),
            gaps: Vec::new(),
            connections: 0,
            reconnects: 0,
            frames: 0,
            messages: BTreeMap::new(),
        }
    }

    /// Reads the manifest of the capture in `dir`; `None` when there is none. Errors: it cannot be
    /// read, makes no sense, or is of another format version.
    pub fn read(dir: &Path) -> Result<Option<Self>, CaptureError> {
        let path = dir.join(MANIFEST);
        let wrong = |detail: String| CaptureError::Manifest {
            path: path.display().to_string(),
            detail,
        };
        let size = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CaptureError::file(&path, error)),
        };
        if size > MAX_BYTES {
            return Err(wrong(
                "the file is larger than the cap of 256 MiB".to_owned(),
            ));
        }
        let bytes = std::fs::read(&path).map_err(|error| CaptureError::file(&path, error))?;
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format == u64::from(FORMAT) => {}
            Some(format) => {
                return Err(wrong(format!(
                    "format {format} was written by another version; this one reads {FORMAT}"
                )));
            }
            None => return Err(wrong("it has no `format`: not a capture".to_owned())),
        }
        serde_json::from_value(value)
            .map(Some)
            .map_err(|error| wrong(error.to_string()))
    }

    /// Replaces the manifest of the capture in `dir`, whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> Result<(), CaptureError> {
        let path = dir.join(MANIFEST);
        let text =
            serde_json::to_vec_pretty(self).map_err(|error| CaptureError::file(&path, error))?;
        write_whole(&path, &text).map_err(|error| CaptureError::Write {
            path: path.display().to_string(),
            detail: error.to_string(),
        })
    }

    /// Takes a line into account.
    pub(super) fn add(&mut self, line: &Line) {
        self.end = self.end.max(line.at);
        match &line.body {
            Body::File { session, .. } => {
                self.sessions = self.sessions.max(*session);
            }
            Body::Market(entry) => self.market(entry),
            Body::Connected { tokens, .. } => self.connected(tokens, line.at),
            Body::Frame { text, .. } => {
                self.frames += 1;
                count_kinds(text, &mut self.messages);
            }
            Body::Gap {
                since,
                reason,
                tokens,
            } => self.gap(*since, reason, tokens),
            Body::End { reason } => self.ended_by = Some(reason.clone()),
        }
    }

    /// All tokens that were ever subscribed.
    pub(super) fn covered(&self) -> Vec<TokenId> {
        self.tokens()
            .filter(|token| token.since.is_some())
            .map(|token| token.token.clone())
            .collect()
    }

    /// Number of tokens.
    #[must_use]
    pub fn token_count(&self) -> usize {
        self.tokens().count()
    }

    fn tokens(&self) -> impl Iterator<Item = &CapturedToken> {
        self.markets.iter().flat_map(|market| &market.tokens)
    }

    fn market(&mut self, entry: &Value) {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        let Some(id) = text("id") else {
            return;
        };
        if self.markets.iter().any(|market| market.id == id) {
            return;
        }
        let list = |field: &str| {
            let items = entry.get(field).and_then(Value::as_array);
            items.into_iter().flatten().filter_map(Value::as_str)
        };
        let mut outcomes = list("outcomes");
        self.markets.push(CapturedMarket {
            id: id.to_owned(),
            condition_id: text("condition_id").map(str::to_owned),
            slug: text("slug").map(str::to_owned),
            question: text("question").unwrap_or_default().to_owned(),
            tokens: list("clob_token_ids")
                .map(|token| CapturedToken {
                    token: TokenId::new(token),
                    outcome: outcomes.next().unwrap_or_default().to_owned(),
                    since: None,
                })
                .collect(),
        });
    }

    fn connected(&mut self, tokens: &[TokenId], at: Timestamp) {
        let carried: HashSet<&TokenId> = tokens.iter().collect();
        let mut again = false;
        let all = self
            .markets
            .iter_mut()
            .flat_map(|market| &mut market.tokens);
        for token in all.filter(|token| carried.contains(&token.token)) {
            again |= token.since.is_some();
            token.since.get_or_insert(at);
        }
        self.connections += 1;
        self.reconnects += u64::from(again);
        let mut rest = Vec::new();
        for gap in self.gaps.iter_mut().filter(|gap| gap.end.is_none()) {
            let (back, missing): (Vec<_>, Vec<_>) = gap
                .tokens
                .drain(..)
                .partition(|token| carried.contains(token));
            if back.is_empty() {
                gap.tokens = missing;
                continue;
            }
            gap.tokens = back;
            gap.end = Some(at);
            if !missing.is_empty() {
                rest.push(Gap {
                    start: gap.start,
                    end: None,
                    reason: gap.reason.clone(),
                    tokens: missing,
                });
            }
        }
        self.gaps.extend(rest);
    }

    fn gap(&mut self, since: Timestamp, reason: &str, tokens: &[TokenId]) {
        let open: HashSet<&TokenId> = self
            .gaps
            .iter()
            .filter(|gap| gap.end.is_none())
            .flat_map(|gap| &gap.tokens)
            .collect();
        let tokens: Vec<TokenId> = tokens
            .iter()
            .filter(|token| !open.contains(token))
            .cloned()
            .collect();
        if !tokens.is_empty() {
            self.gaps.push(Gap {
                start: since,
                end: None,
                reason: reason.to_owned(),
                tokens,
            });
        }
    }
}

/// The one field of a message that is looked at.
#[derive(Deserialize)]
struct Kind {
    event_type: Option<String>,
}

/// Counts the messages of a frame by `event_type`.
fn count_kinds(frame: &str, counts: &mut BTreeMap<String, u64>) {
    let read = if frame.trim_start().starts_with('[') {
        serde_json::from_str::<Vec<Kind>>(frame)
    } else {
        serde_json::from_str::<Kind>(frame).map(|one| vec![one])
    };
    let Ok(kinds) = read else {
        *counts.entry("unreadable".to_owned()).or_insert(0) += 1;
        return;
    };
    for kind in kinds {
        let name = kind.event_type.as_deref().unwrap_or("without event_type");
        if let Some(count) = counts.get_mut(name) {
            *count += 1;
        } else {
            // Names come from outside: neither their length nor their number is trusted.
            let name = if counts.len() < MAX_KINDS {
                clean(name, 60)
            } else {
                "others".to_owned()
            };
            *counts.entry(name).or_insert(0) += 1;
        }
    }
}

/// RFC 3339, for people; the lines have milliseconds.
mod moment {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&at.to_rfc3339())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        Timestamp::parse(&text).ok_or_else(|| D::Error::custom("not a time"))
    }
}

/// The same where there may be none.
mod optional_moment {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::Timestamp;

    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.serialize_some(&at.to_rfc3339()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| Timestamp::parse(&text).ok_or_else(|| D::Error::custom("not a time")))
            .transpose()
    }
}

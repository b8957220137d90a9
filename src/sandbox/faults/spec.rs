//! What a fault is, where it strikes and how often: the JSON of `--fault` and `POST /sandbox/faults`.

use serde::{Deserialize, Serialize};

use super::spoil::Spoil;

/// Longest delay of one answer and longest life of a fault, in milliseconds (an hour).
const MAX_MS: u64 = 3_600_000;

/// A fault as it is asked for: `{"fault": {"kind": …}, "scope": {…}, "budget": {…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// What goes wrong.
    pub fault: Fault,
    /// Where; everywhere that the kind makes sense when left out.
    #[serde(default)]
    pub scope: Scope,
    /// How often; until it is taken back when left out.
    #[serde(default)]
    pub budget: Budget,
}

/// Which part of the venue a request or socket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// Market and event metadata, under `/gamma`.
    Gamma,
    /// Books and orders, under `/clob`.
    Clob,
    /// Positions, trades, leaderboard, under `/data`.
    Data,
    /// The WebSockets, under `/ws`.
    Ws,
}

/// Where a fault strikes: every given field must fit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Part of the venue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Beginning of the path behind the host's prefix, such as `/book`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// HTTP method, such as `POST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Token id that the request names, the socket is subscribed to, or the match is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// How often a fault strikes: the limits given all hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// At most so many times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
    /// Each time with this probability, above 0 and at most 1, drawn from the sandbox's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Only for so many real milliseconds from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// How long an answer or a frame is held back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Delay {
    /// Always so many milliseconds.
    Fixed(u64),
    /// Between the two, in milliseconds.
    Uniform(u64, u64),
    /// Log-normal: half of all delays are below `median` milliseconds; `sigma` is the standard
    /// deviation of the logarithm.
    Lognormal {
        /// Milliseconds.
        median: f64,
        /// Of the natural logarithm, 0 to 3.
        sigma: f64,
    },
}

/// How an answer is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Half of the body under a `Content-Length` that agrees with it.
    Honest,
    /// Half of the body under the whole body's `Content-Length`, then the connection ends.
    Connection,
}

/// Where in the stream a socket's fault strikes.
fn at_once() -> u32 {
    0
}

fn going_away() -> u16 {
    1001
}

fn once() -> u32 {
    1
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answers and frames come late.
    Latency {
        /// How late.
        ms: Delay,
    },
    /// The request is refused with this status and not looked at.
    Status {
        /// 400 to 599.
        code: u16,
        /// Seconds in `Retry-After`; no such header when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    },
    /// The matching engine restarts: 425 on the order routes (or on those of `scope.path`).
    Restarting {},
    /// After a restart: 503 for orders that are not post-only; cancels and reads work.
    PostOnly {},
    /// 503 for every order; cancels and reads work.
    CancelOnly {},
    /// 503 on the order routes, cancels included.
    Disabled {},
    /// The connection ends before the request is looked at.
    Dropped {},
    /// Half an answer.
    Truncated {
        /// How it ends.
        cut: Cut,
    },
    /// An answer that is not JSON.
    Malformed {},
    /// Rows of a page (or the only object of an answer, or a socket's message) are spoiled, one
    /// for each entry, spread over the page.
    Rows {
        /// What is done to the rows.
        spoil: Vec<Spoil>,
    },
    /// The request is carried out, its answer never arrives: an order's by default.
    LostAnswer {},
    /// The venue's clock is off: `/time` and `timestamp` fields.
    ClockSkew {
        /// Milliseconds added, may be negative.
        ms: i64,
    },
    /// The next match is reported as matched and FAILS later.
    FailMatch {},
    /// Sockets are closed properly.
    SocketClose {
        /// Close code, 1001 by default.
        #[serde(default = "going_away")]
        code: u16,
        /// Only after so many more frames; 0, the default: at once.
        #[serde(default = "at_once")]
        after_frames: u32,
    },
    /// Sockets' connections are reset without a word.
    SocketReset {
        /// Only after so many more frames; 0, the default: at once.
        #[serde(default = "at_once")]
        after_frames: u32,
    },
    /// Sockets stay open and fall silent for the rest of their lives.
    SocketStall {
        /// Whether `PING` is still answered (a silence that keep-alive does not notice).
        #[serde(default)]
        pong: bool,
        /// Only after so many more frames; 0, the default: at once.
        #[serde(default = "at_once")]
        after_frames: u32,
    },
    /// A frame is sent again.
    SocketRepeat {
        /// How many more times, 1 to 100.
        #[serde(default = "once")]
        times: u32,
    },
    /// The connection is reset in the middle of a frame with price changes.
    SocketMidBook {},
}

/// Why a fault was not armed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// A number is out of range.
    #[error("{field} must be {range}")]
    Range {
        /// Which.
        field: &'static str,
        /// What is allowed.
        range: &'static str,
    },
    /// A path without its slash fits nothing.
    #[error("scope.path must begin with / and leave out the host's prefix, such as /book")]
    Path,
    /// A fault that can never strike where it is asked for.
    #[error("{kind} cannot strike at that scope: {hint}")]
    Scope {
        /// Name of the kind.
        kind: &'static str,
        /// What to write instead.
        hint: &'static str,
    },
    /// Too many at once.
    #[error("at most {0} faults are armed at once: take some back first")]
    Full(usize),
}

impl FaultSpec {
    /// A latency of a fixed number of milliseconds, everywhere, until taken back.
    #[must_use]
    pub fn latency_ms(millis: u64) -> Self {
        FaultSpec {
            fault: Fault::Latency {
                ms: Delay::Fixed(millis),
            },
            scope: Scope::default(),
            budget: Budget::default(),
        }
    }

    /// Checks ranges and that the scope can be met. Errors: the first thing found.
    pub fn check(&self) -> Result<(), FaultError> {
        let range = |holds: bool, field, range| {
            if holds {
                Ok(())
            } else {
                Err(FaultError::Range { field, range })
            }
        };
        let budget = &self.budget;
        range(budget.next != Some(0), "budget.next", "at least 1")?;
        range(
            budget.probability.is_none_or(|p| p > 0.0 && p <= 1.0),
            "budget.probability",
            "above 0 and at most 1",
        )?;
        range(
            budget.for_ms.is_none_or(|ms| (1..=MAX_MS).contains(&ms)),
            "budget.for_ms",
            "1 to 3600000",
        )?;
        if self
            .scope
            .path
            .as_ref()
            .is_some_and(|path| !path.starts_with('/'))
        {
            return Err(FaultError::Path);
        }
        match &self.fault {
            Fault::Latency { ms } => {
                let holds = match *ms {
                    Delay::Fixed(ms) => ms <= MAX_MS,
                    Delay::Uniform(low, high) => low <= high && high <= MAX_MS,
                    Delay::Lognormal { median, sigma } => {
                        median > 0.0 && median <= MAX_MS as f64 && (0.0..=3.0).contains(&sigma)
                    }
                };
                range(
                    holds,
                    "fault.ms",
                    "0 to 3600000 ms, the lower bound first, sigma 0 to 3",
                )?;
            }
            Fault::Status { code, .. } => {
                range((400..=599).contains(code), "fault.code", "400 to 599")?;
            }
            Fault::Rows { spoil } => range(
                !spoil.is_empty() && spoil.len() <= 500,
                "fault.spoil",
                "a list of 1 to 500 names",
            )?,
            Fault::ClockSkew { ms } => range(
                ms.unsigned_abs() <= 366 * 86_400_000,
                "fault.ms",
                "a year at most",
            )?,
            Fault::SocketRepeat { times } => {
                range((1..=100).contains(times), "fault.times", "1 to 100")?;
            }
            // RFC 6455 reserves 1004 to 1006 and 1015: they cannot be sent.
            Fault::SocketClose { code, .. } => range(
                matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999),
                "fault.code",
                "a close code that may be sent, such as 1001",
            )?,
            _ => {}
        }
        self.check_scope()
    }

    fn check_scope(&self) -> Result<(), FaultError> {
        let host = self.scope.host;
        let refuse = |hint| {
            Err(FaultError::Scope {
                kind: self.fault.name(),
                hint,
            })
        };
        if self.fault.is_socket() && host.is_some_and(|host| host != Host::Ws) {
            return refuse("leave out scope.host, or make it ws");
        }
        let of_orders = matches!(
            self.fault,
            Fault::PostOnly {} | Fault::CancelOnly {} | Fault::Disabled {} | Fault::FailMatch {}
        );
        if of_orders && host.is_some_and(|host| host != Host::Clob) {
            return refuse("leave out scope.host, or make it clob");
        }
        if matches!(self.fault, Fault::FailMatch {})
            && (self.scope.path.is_some() || self.scope.method.is_some())
        {
            return refuse("only scope.token narrows it");
        }
        Ok(())
    }
}

impl Fault {
    /// The name that JSON has in `kind`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Latency { .. } => "latency",
            Fault::Status { .. } => "status",
            Fault::Restarting {} => "restarting",
            Fault::PostOnly {} => "post_only",
            Fault::CancelOnly {} => "cancel_only",
            Fault::Disabled {} => "disabled",
            Fault::Dropped {} => "dropped",
            Fault::Truncated { .. } => "truncated",
            Fault::Malformed {} => "malformed",
            Fault::Rows { .. } => "rows",
            Fault::LostAnswer {} => "lost_answer",
            Fault::ClockSkew { .. } => "clock_skew",
            Fault::FailMatch {} => "fail_match",
            Fault::SocketClose { .. } => "socket_close",
            Fault::SocketReset { .. } => "socket_reset",
            Fault::SocketStall { .. } => "socket_stall",
            Fault::SocketRepeat { .. } => "socket_repeat",
            Fault::SocketMidBook {} => "socket_mid_book",
        }
    }

    /// Whether it strikes open sockets and nothing else.
    pub(super) fn is_socket(&self) -> bool {
        matches!(
            self,
            Fault::SocketClose { .. }
                | Fault::SocketReset { .. }
                | Fault::SocketStall { .. }
                | Fault::SocketRepeat { .. }
                | Fault::SocketMidBook {}
        )
    }

    /// Whether the request is turned away before it is looked at.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Fault::Status { .. }
                | Fault::Restarting {}
                | Fault::PostOnly {}
                | Fault::CancelOnly {}
                | Fault::Disabled {}
                | Fault::Dropped {}
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FaultSpec, String> {
        let spec: FaultSpec = serde_json::from_str(text).map_err(|error| error.to_string())?;
        spec.check().map_err(|error| error.to_string())?;
        Ok(spec)
    }

    #[test]
    fn a_fault_is_read_with_its_scope_and_budget() {
        let spec = read(
            r#"{"fault": {"kind": "status", "code": 429, "retry_after": 2},
                "scope": {"host": "clob", "path": "/book", "token": "7"},
                "budget": {"next": 3, "probability": 0.5, "for_ms": 1000}}"#,
        )
        .unwrap();
        assert_eq!(
            spec.fault,
            Fault::Status {
                code: 429,
                retry_after: Some(2)
            }
        );
        assert_eq!(spec.scope.host, Some(Host::Clob));
        assert_eq!(spec.budget.next, Some(3));
        let spec = read(r#"{"fault": {"kind": "latency", "ms": {"uniform": [5, 9]}}}"#).unwrap();
        assert_eq!(
            spec.fault,
            Fault::Latency {
                ms: Delay::Uniform(5, 9)
            }
        );
        let spec = read(r#"{"fault": {"kind": "socket_close"}}"#).unwrap();
        assert_eq!(
            spec.fault,
            Fault::SocketClose {
                code: 1001,
                after_frames: 0
            }
        );
        // What is listed can be sent back.
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(read(&text).unwrap(), spec);
    }

    #[test]
    fn typos_and_values_out_of_range_are_refused() {
        for (text, part) in [
            (
                r#"{"fault": {"kind": "latancy", "ms": {"fixed": 1}}}"#,
                "latancy",
            ),
            (
                r#"{"fault": {"kind": "post_only", "x": 1}}"#,
                "unknown field",
            ),
            (
                r#"{"fault": {"kind": "malformed"}, "budget": {"nxt": 1}}"#,
                "nxt",
            ),
            (
                r#"{"fault": {"kind": "malformed"}, "scope": {"host": "x"}}"#,
                "unknown variant",
            ),
            (
                r#"{"fault": {"kind": "malformed"}, "budget": {"next": 0}}"#,
                "budget.next",
            ),
            (
                r#"{"fault": {"kind": "malformed"}, "budget": {"probability": 0}}"#,
                "probability",
            ),
            (
                r#"{"fault": {"kind": "malformed"}, "scope": {"path": "book"}}"#,
                "scope.path",
            ),
            (
                r#"{"fault": {"kind": "status", "code": 200}}"#,
                "400 to 599",
            ),
            (
                r#"{"fault": {"kind": "latency", "ms": {"uniform": [9, 5]}}}"#,
                "fault.ms",
            ),
            (r#"{"fault": {"kind": "rows", "spoil": []}}"#, "fault.spoil"),
            (r#"{"fault": {"kind": "rows", "spoil": ["odd"]}}"#, "odd"),
            (
                r#"{"fault": {"kind": "socket_close", "code": 1006}}"#,
                "close code",
            ),
            (
                r#"{"fault": {"kind": "socket_stall"}, "scope": {"host": "clob"}}"#,
                "socket_stall",
            ),
            (
                r#"{"fault": {"kind": "cancel_only"}, "scope": {"host": "data"}}"#,
                "clob",
            ),
            (
                r#"{"fault": {"kind": "fail_match"}, "scope": {"path": "/order"}}"#,
                "scope.token",
            ),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

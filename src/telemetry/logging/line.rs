//! One log line, for machines or for people.

use serde::Serialize;
use serde_json::{Map, Value};

/// What a line says; the JSON form has exactly these keys, in this order.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    /// RFC 3339, UTC, milliseconds, by the wall clock.
    pub timestamp: String,
    /// `ERROR` to `TRACE`.
    pub level: &'static str,
    /// Module that speaks.
    pub logger: &'a str,
    pub message: &'a str,
    /// What went wrong, with its causes.
    pub exception: Option<&'a str>,
    /// All other fields, those of the surrounding spans included.
    pub data: &'a Map<String, Value>,
}

impl Line<'_> {
    /// One JSON object and a line end.
    pub(super) fn json(&self) -> String {
        // Strings, numbers and maps with text keys always serialise.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// `time LEVEL logger: message key=value … error=…` and a line end.
    pub(super) fn text(&self, ansi: bool) -> String {
        let (colour, plain) = if ansi {
            (colour(self.level), "\u{1b}[0m")
        } else {
            ("", "")
        };
        let mut text = format!(
            "{} {colour}{:>5}{plain} {}: ",
            self.timestamp, self.level, self.logger
        );
        push_visible(&mut text, self.message);
        for (name, value) in self.data {
            text.push(' ');
            text.push_str(name);
            text.push('=');
            match value {
                Value::String(value) if value.contains([' ', '"', '=']) || value.is_empty() => {
                    push_visible(&mut text, &format!("{value:?}"));
                }
                Value::String(value) => push_visible(&mut text, value),
                other => push_visible(&mut text, &other.to_string()),
            }
        }
        if let Some(exception) = self.exception {
            text.push_str(" error=");
            push_visible(&mut text, &format!("{exception:?}"));
        }
        text.push('\n');
        text
    }
}

fn colour(level: &str) -> &'static str {
    match level {
        "ERROR" => "\u{1b}[31m",
        "WARN" => "\u{1b}[33m",
        "INFO" => "\u{1b}[32m",
        _ => "\u{1b}[2m",
    }
}

/// Strangers' text must neither begin a line of its own nor steer a terminal.
fn push_visible(text: &mut String, part: &str) {
    for character in part.chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
}

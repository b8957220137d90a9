//! Where a row is in a file, and what it holds.

use std::fmt;
use std::sync::Arc;

/// A row in words: `daily.csv:17: 2026-01-01,abc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    file: Arc<str>,
    place: Number,
    /// What it holds, shortened.
    text: String,
}

/// How a row is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Line(u64),
    Row(u64),
}

impl Place {
    /// In a file of lines, counted from 1.
    pub(super) fn on_line(file: &Arc<str>, line: u64, text: String) -> Self {
        let (file, place) = (Arc::clone(file), Number::Line(line));
        Place { file, place, text }
    }

    /// In a file that has no lines.
    pub(super) fn in_row(file: &Arc<str>, row: u64, text: String) -> Self {
        let (file, place) = (Arc::clone(file), Number::Row(row));
        Place { file, place, text }
    }

    /// The same row, where so many lines turned out to come before the part of the file that it was read in.
    pub(super) fn after(mut self, lines: u64) -> Self {
        if let Number::Line(line) = &mut self.place {
            *line += lines;
        }
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, place, text } = self;
        match place {
            Number::Line(line) => write!(f, "{file}:{line}: {text}"),
            Number::Row(row) => write!(f, "{file}: row {row}: {text}"),
        }
    }
}

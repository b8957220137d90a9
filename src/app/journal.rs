//! The journal: every input of the desk, in the order in which its one writer carries them out.
//!
//! A journal is a folder of zstd-compressed JSON lines (`journal-000001.jsonl.zst`, …). Each file
//! begins with a head and the rules that hold, then come the inputs: the time, who asked, and
//! everything that the step looks at. Markets, ladders of books and price histories are written when
//! they are new or have changed and are referred to by number otherwise. An input and what it refers
//! to make one compressed frame, on the disk before its step begins: what the ledger holds, the
//! journal explains. A kill can leave a torn frame at the end, whose step never began; readers say
//! so.
//!
//! [`Entries`] gives the inputs back; [`replay`] carries them out on a fresh ledger and compares every
//! event with those of a database; [`measured`] also measures the session as a backtest.

pub(in crate::app) mod account;
mod error;
mod line;
mod reader;
mod replay;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

pub use error::JournalError;
pub use line::JournalRules;
pub use reader::{Entries, Entry, Torn};
pub use replay::{ReplayError, Replayed, measured, replay};
pub use writer::Journal;

use std::path::{Path, PathBuf};

/// Version of the format that is written; others are refused.
pub const FORMAT: u32 = 1;
/// Name of the file whose lock a writer holds.
const LOCK: &str = "journal.lock";
const PREFIX: &str = "journal-";
const SUFFIX: &str = ".jsonl.zst";

/// `journal-000012.jsonl.zst`
fn name_of(number: u32) -> String {
    format!("{PREFIX}{number:06}{SUFFIX}")
}

/// The number in such a name.
fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?
        .strip_suffix(SUFFIX)?
        .parse()
        .ok()
}

/// Numbers and paths of a journal's files, in order. Errors: the folder cannot be read, or holds
/// something else.
fn files(dir: &Path) -> Result<Vec<(u32, PathBuf)>, JournalError> {
    let failed = |error: std::io::Error| JournalError::file(dir, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        match number_of(&name) {
            Some(number) => found.push((number, dir.join(name.as_ref()))),
            None if name == LOCK => {}
            None => {
                return Err(JournalError::NotOurs {
                    path: dir.display().to_string(),
                    found: name.into_owned(),
                });
            }
        }
    }
    found.sort();
    Ok(found)
}

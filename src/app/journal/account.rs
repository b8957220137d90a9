//! Whose journal a folder holds.
//!
//! An account is told from others by its first event: the kind of its source and the moment at which it
//! was opened. Two accounts that were opened at one moment of a recording are told apart by the names
//! of their databases.

use std::path::{Path, PathBuf};

use crate::domain::{LedgerEvent, SourceKind, Timestamp};
use crate::market_data::recorded::capture::packed::{Frames, Next};
use crate::store::{Store, StoreError};
use crate::trading::desk::Input;

use super::JournalError;
use super::line::Line;

/// The name of the account in a database; `None` before it is opened. Errors: it cannot be read.
pub(in crate::app) fn of_store(store: &Store) -> Result<Option<String>, StoreError> {
    let first = store.events(0, 1)?.pop();
    Ok(first.map(|first| match first.event {
        LedgerEvent::AccountOpened { source } => name(source, first.at),
        _ => format!("account of {}", first.at),
    }))
}

/// The name of the account that an input opens, if it opens one.
pub(super) fn of_input<S>(input: &Input<S>) -> Option<String> {
    match input {
        Input::Open { source, at, .. } => Some(name(*source, *at)),
        _ => None,
    }
}

fn name(source: SourceKind, at: Timestamp) -> String {
    format!("{} account of {at}", source.as_str())
}

/// What the files of a folder say of their account.
struct Known {
    db: String,
    account: Option<String>,
}

/// Errors: the journal in `dir`, of these files in order, is another account's than that of `db`.
pub(super) fn check(
    dir: &Path,
    files: &[(u32, PathBuf)],
    db: &Path,
    account: Option<&str>,
) -> Result<(), JournalError> {
    let mut newest: Option<String> = None;
    for (_, path) in files.iter().rev() {
        let Some(known) = read(path)? else { continue };
        let file_db = newest.get_or_insert(known.db).clone();
        let Some(of) = known.account else {
            // It was begun with a new account, and nothing was carried out.
            continue;
        };
        let elsewhere = full(&file_db) != full(db) && Path::new(&file_db).exists();
        if account == Some(of.as_str()) && !elsewhere {
            return Ok(());
        }
        return Err(JournalError::OtherAccount {
            path: dir.display().to_string(),
            of: format!("the {of} ({file_db})"),
            db: db.display().to_string(),
        });
    }
    Ok(())
}

/// The same path for the same file.
fn full(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Head of a file, and the account that its first input opens where the head names none. `None` when
/// the file has no readable head.
fn read(path: &Path) -> Result<Option<Known>, JournalError> {
    let failed = |error: std::io::Error| JournalError::file(path, error);
    let mut frames = Frames::open(path).map_err(failed)?;
    let mut known: Option<Known> = None;
    while let Next::Frame(bytes) = frames.next().map_err(failed)? {
        let lines = bytes.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            let read = serde_json::from_slice::<Line>(line);
            match (read, known.take()) {
                (Ok(Line::File(head)), None) => {
                    let told = head.account.is_some();
                    known = Some(Known {
                        db: head.db,
                        account: head.account,
                    });
                    if told {
                        return Ok(known);
                    }
                }
                (Ok(Line::Input(input)), Some(Known { db, .. })) => {
                    let account = of_input(&input.what);
                    return Ok(Some(Known { db, account }));
                }
                (Ok(_), Some(head)) => known = Some(head),
                // Readers say what is wrong with it.
                (_, head) => return Ok(head),
            }
        }
    }
    Ok(known)
}

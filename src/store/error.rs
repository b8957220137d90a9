//! What can go wrong with the database file.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Failure of the store, with what to do about it. A failed write has changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file to be read does not exist.
    #[error("there is no database at {path}")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The directory that is to hold the file does not exist.
    #[error("the directory {path} does not exist")]
    DirectoryMissing {
        /// The directory.
        path: PathBuf,
    },
    /// The file could not be opened or created: permissions, or it is a directory.
    #[error("{path} could not be opened: {detail}")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The file has hard links: its lock, and SQLite's files beside it, have the name of one of them
    /// only, so that two processes would write to it without knowing of each other.
    #[error("{path} has {names} names (hard links); a ledger must have one")]
    ManyNames {
        /// The file.
        path: PathBuf,
        /// How many names.
        names: u64,
    },
    /// The file holds nothing, and was opened for reading only, so that it cannot become ours.
    #[error("{path} is empty: there is no account in it yet")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is no SQLite database at all.
    #[error("{path} is not a database")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// An SQLite database that another program made.
    #[error("{path} is a database of another program")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Made by a later version of this program.
    #[error("{path} has schema {found}; this version knows schemas up to {supported}")]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest one known here.
        supported: i64,
    },
    /// Made by an earlier version, and opened for reading only, so that it cannot be migrated.
    #[error("{path} has schema {found} and must be migrated to {needed} first")]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The one needed.
        needed: i64,
    },
    /// The file is damaged.
    #[error("{path} is damaged: {detail}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Another process kept the database locked for longer than we wait.
    #[error("{path} is locked by another process")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// No room on the disk.
    #[error("no space is left for {path}")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file, or this handle on it, may only be read.
    #[error("{path} may only be read")]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file was deleted, moved or replaced while it was in use: what is written now would be lost.
    #[error("{path} is no longer the file that was opened: it was deleted, moved or replaced")]
    Vanished {
        /// The file, or the write-ahead log beside it.
        path: PathBuf,
    },
    /// A file that is to be made exists already.
    #[error("{path} exists already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A copy is not what it was copied from.
    #[error("the backup {path} is not sound and was removed: {detail}")]
    BadBackup {
        /// The copy.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Another process owns the ledger.
    #[error("the ledger {path} is owned by {}", owner(*pid))]
    Owned {
        /// The database file.
        path: PathBuf,
        /// Process id of the owner, where the lock file tells.
        pid: Option<u32>,
    },
    /// Events do not continue the log: some are missing, or somebody else has written some.
    #[error("event {found} does not follow on event {}", expected.saturating_sub(1))]
    Gap {
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// An event contradicts what the earlier ones have led to, or cannot be written down exactly.
    #[error("event {seq} was refused: {detail}")]
    Refused {
        /// The event.
        seq: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// A stored report is not what it should be.
    #[error("the backtest cannot be stored: {detail}")]
    BadBacktest {
        /// What is wrong with it.
        detail: String,
    },
    /// Anything else that SQLite or the system reports.
    #[error("{path}: {detail}")]
    Other {
        /// The file.
        path: PathBuf,
        /// What was reported.
        detail: String,
    },
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl StoreError {
    /// Sorts an SQLite error by what a person has to do about it.
    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => StoreError::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt { path, detail },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Locked { path }
            }
            Some(ErrorCode::DiskFull) => StoreError::Full { path },
            Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                StoreError::CannotOpen { path, detail }
            }
            Some(_) => StoreError::Other { path, detail },
            None => match error {
                // A stored value that is not what only we write there.
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..) => StoreError::Corrupt { path, detail },
                _ => StoreError::Other { path, detail },
            },
        }
    }

    /// Sorts a failure of the file system at `path` by what a person has to do about it.
    pub(super) fn from_io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full { path },
            ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { path },
            _ => StoreError::CannotOpen {
                path,
                detail: error.to_string(),
            },
        }
    }

    /// Short name for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::Missing { .. } => "store_missing",
            StoreError::ManyNames { .. } => "store_many_names",
            StoreError::DirectoryMissing { .. } => "store_directory_missing",
            StoreError::CannotOpen { .. } => "store_cannot_open",
            StoreError::Empty { .. } => "store_empty",
            StoreError::NotADatabase { .. } => "store_not_a_database",
            StoreError::Foreign { .. } => "store_foreign",
            StoreError::NewerSchema { .. } => "store_newer_schema",
            StoreError::OlderSchema { .. } => "store_older_schema",
            StoreError::Corrupt { .. } => "store_corrupt",
            StoreError::Locked { .. } => "store_locked",
            StoreError::Full { .. } => "store_full",
            StoreError::ReadOnly { .. } => "store_read_only",
            StoreError::Vanished { .. } => "store_vanished",
            StoreError::Exists { .. } => "store_exists",
            StoreError::BadBackup { .. } => "store_bad_backup",
            StoreError::Owned { .. } => "store_owned",
            StoreError::Gap { .. } => "store_gap",
            StoreError::Refused { .. } => "store_event_refused",
            StoreError::BadBacktest { .. } => "store_bad_backtest",
            StoreError::Other { .. } => "store_error",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            StoreError::Missing { .. } => {
                "Check `--db`, or run `polymarket-agent tick` or `serve` once, which creates it."
            }
            StoreError::Empty { .. } => {
                "Check `--db`, or run `polymarket-agent tick` or `serve` once on this file, which \
                 opens an account in it."
            }
            StoreError::DirectoryMissing { .. } => {
                "Create the directory, or name a file in an existing one with `--db`."
            }
            StoreError::CannotOpen { .. } => {
                "Check that `--db` names a file, and that this user may write to it and to its \
                 directory: the write-ahead log lies beside the file, and even `status` needs it."
            }
            StoreError::ManyNames { .. } => {
                "Remove the other names (`find DIR -samefile FILE` lists them) and try again, or copy \
                 the file and name the copy with `--db`. A symbolic link does no harm. Nothing was \
                 changed."
            }
            StoreError::NotADatabase { .. } | StoreError::Foreign { .. } => {
                "Name another file with `--db`; this one was left untouched."
            }
            StoreError::NewerSchema { .. } => {
                "Use the version of polymarket-agent that made this database, or a later one; the \
                 file was left untouched."
            }
            StoreError::OlderSchema { .. } => {
                "Run `polymarket-agent tick` or `serve` once on this database, which migrates it."
            }
            StoreError::Corrupt { .. } => {
                "Stop trading on this file, copy it together with its `-wal` file, and restore a \
                 backup; `sqlite3 FILE .recover` may save the event log."
            }
            StoreError::Locked { .. } => {
                "Close the other program that writes to the file and try again; nothing was changed."
            }
            StoreError::Full { .. } => {
                "Free space on that disk and try again; nothing was changed."
            }
            StoreError::ReadOnly { .. } => {
                "Give this user write access to the file and its directory. Reading alone needs it \
                 too, unless an owner is running: the write-ahead log lies beside the file. A copy \
                 of the file in another directory can be read there."
            }
            StoreError::Vanished { .. } => {
                "Put the file back (with its `-wal` file), or restore a backup, and restart; until \
                 then nothing is traded."
            }
            StoreError::Exists { .. } => "Name another file; nothing is ever overwritten.",
            StoreError::BadBackup { .. } => {
                "Check the database with `polymarket-agent verify`, and the disk that the copy went \
                 to; then try again."
            }
            StoreError::Owned { .. } => {
                "Stop that process and try again, or name another ledger with `--db` or `--account`."
            }
            StoreError::Gap { .. } => {
                "Events are missing, or another program has written some: `polymarket-agent verify` \
                 names the first that does not fit; restore a backup from before it."
            }
            StoreError::Refused { .. } => {
                "This is a fault of the program: nothing was written. Restart, and report the \
                 message with the last lines of the log."
            }
            StoreError::BadBacktest { .. } => "Run the backtest again.",
            StoreError::Other { .. } => "Check the disk and the permissions of the file.",
        }
    }
}

/// What a step inside a transaction can fail with; it becomes a [`StoreError`] once the file's name
/// is known.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite refused.
    Sql(rusqlite::Error),
    /// We refused.
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Store(error)
    }
}

impl Fault {
    /// Names the file.
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            Fault::Sql(error) => StoreError::from_sqlite(path, &error),
            Fault::Store(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_file_and_what_was_found() {
        let path = PathBuf::from("ledger.db");
        let owned = StoreError::Owned {
            path: path.clone(),
            pid: Some(4711),
        };
        assert_eq!(
            owned.to_string(),
            "the ledger ledger.db is owned by process 4711"
        );
        let newer = StoreError::NewerSchema {
            path,
            found: 9,
            supported: 1,
        };
        assert_eq!(
            newer.to_string(),
            "ledger.db has schema 9; this version knows schemas up to 1"
        );
        let gap = StoreError::Gap {
            expected: 3,
            found: 5,
        };
        assert_eq!(gap.to_string(), "event 5 does not follow on event 2");
    }

    #[test]
    fn failures_of_the_file_system_are_told_apart() {
        let path = Path::new("ledger.db.lock");
        for (kind, code, hint) in [
            (ErrorKind::StorageFull, "store_full", "Free space"),
            (ErrorKind::QuotaExceeded, "store_full", "Free space"),
            (
                ErrorKind::ReadOnlyFilesystem,
                "store_read_only",
                "write access",
            ),
            (
                ErrorKind::PermissionDenied,
                "store_cannot_open",
                "may write",
            ),
        ] {
            let error = StoreError::from_io(path, &kind.into());
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains("ledger.db.lock"), "{error}");
            assert!(error.hint().contains(hint), "{}", error.hint());
        }
    }
}

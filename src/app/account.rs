//! Named paper accounts: which file holds which, and starting one over.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::domain::{SourceKind, Timestamp, Usdc};
use crate::store::{self, OwnerLock, Store, StoreError};
use crate::trading::desk;
use crate::trading::ledger::Ledger;

use super::AppError;
use super::rebuild::rebuild;

/// The account that has no name of its own.
pub const DEFAULT_ACCOUNT: &str = "default";
const LONGEST_NAME: usize = 32;
const SOURCES: [SourceKind; 3] = [
    SourceKind::Polymarket,
    SourceKind::Sandbox,
    SourceKind::Recorded,
];

/// Whether `name` can name an account: 1 to 32 of a–z, 0–9, `_` and `-`.
#[must_use]
pub fn is_account_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

fn base(source: SourceKind) -> &'static str {
    match source {
        SourceKind::Polymarket => "polymarket_agent",
        SourceKind::Sandbox => "polymarket_agent_sandbox",
        SourceKind::Recorded => "polymarket_agent_recorded",
    }
}

/// The database of an account on a kind of source: `polymarket_agent.db` for the default one,
/// `polymarket_agent_sandbox.NAME.db` and so on.
#[must_use]
pub fn account_file(source: SourceKind, name: &str) -> PathBuf {
    let base = base(source);
    PathBuf::from(if name == DEFAULT_ACCOUNT {
        format!("{base}.db")
    } else {
        format!("{base}.{name}.db")
    })
}

/// Source and name of the account that a file of this name holds; `None` when the name is not one of
/// [`account_file`].
#[must_use]
pub fn account_of(db: &Path) -> Option<(SourceKind, String)> {
    let stem = db.file_name()?.to_str()?.strip_suffix(".db")?;
    let (base_name, name) = stem.split_once('.').unwrap_or((stem, DEFAULT_ACCOUNT));
    let source = SOURCES
        .into_iter()
        .find(|source| base(*source) == base_name)?;
    is_account_name(name).then(|| (source, name.to_owned()))
}

/// How people call the account in a database: its name, or the file's name where it was chosen with
/// `--db`.
#[must_use]
pub fn account_label(db: &Path) -> String {
    account_of(db).map_or_else(
        || {
            db.file_name()
                .unwrap_or(db.as_os_str())
                .to_string_lossy()
                .into_owned()
        },
        |(_, name)| name,
    )
}

/// An account that was started over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// The database that trades on.
    pub db: PathBuf,
    /// Where the old one lies now.
    pub archived: PathBuf,
    /// The events in it; `None` when it could not be read.
    pub archived_events: Option<u64>,
    /// What the new account starts with, pUSD.
    pub balance: Usdc,
}

/// Moves the account's database aside and opens a fresh one with `balance`. The old file keeps
/// everything, under a name with the moment `now`. Errors: no such account, an owner is running, not
/// our database, a full disk. A failure while the new account is opened leaves the old one archived
/// and says so in the file names.
pub fn reset_account(
    db: &Path,
    source: SourceKind,
    balance: Usdc,
    now: Timestamp,
) -> Result<Reset, AppError> {
    if !db.exists() {
        return Err(StoreError::Missing {
            path: db.to_path_buf(),
        }
        .into());
    }
    // Not a link to it: what is moved aside is the file.
    let db = store::real_path(db)?;
    let db = db.as_path();
    let lock = match OwnerLock::acquire(db) {
        Ok(lock) => lock,
        Err(StoreError::Owned { pid, .. }) => {
            return Err(AppError::Owned {
                owner: pid.map_or_else(|| "pid unknown".to_owned(), |pid| format!("pid {pid}")),
            });
        }
        Err(error) => return Err(error.into()),
    };
    let old = fold(db)?;
    let kind = old.as_ref().and_then(Ledger::source).unwrap_or(source);
    // Simulated and recorded sources have a clock of their own, which the new account must not be
    // ahead of: it begins where the old one did.
    let opened = match (kind, &old) {
        (SourceKind::Polymarket, _) => now,
        (_, Some(_)) => first_moment(db)?.unwrap_or(now),
        (_, None) => {
            return Err(AppError::BadRequest {
                message: format!(
                    "{} is damaged, and only it knew when the account was opened",
                    db.display()
                ),
                hint: "Move the file away yourself; the next command on this source opens a new \
                       account."
                    .to_owned(),
            });
        }
    };
    let archived = archive(db, now)?;
    let store = Store::open(db)?;
    let mut ledger = Ledger::default();
    let events = desk::open_account(&mut ledger, kind, balance, opened)?;
    store.append(&events)?;
    drop(store);
    drop(lock);
    Ok(Reset {
        db: db.to_path_buf(),
        archived,
        archived_events: old.map(|ledger| ledger.seq()),
        balance,
    })
}

/// Opens and closes the old database, which folds its write-ahead log into it. `None` when it is
/// ours, but damaged.
fn fold(db: &Path) -> Result<Option<Ledger>, AppError> {
    let read = Store::open(db)
        .map_err(AppError::from)
        .and_then(|store| rebuild(&store));
    match read {
        Ok(ledger) => Ok(Some(ledger)),
        Err(
            AppError::Store(StoreError::Corrupt { .. } | StoreError::Gap { .. })
            | AppError::Desk(_),
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

fn first_moment(db: &Path) -> Result<Option<Timestamp>, AppError> {
    let first = Store::open_read_only(db)?.events(0, 1)?;
    Ok(first.first().map(|event| event.at))
}

/// Renames the database, and what is left of its write-ahead log, to a name that is free.
fn archive(db: &Path, now: Timestamp) -> Result<PathBuf, AppError> {
    let stem = db
        .file_stem()
        .unwrap_or(db.as_os_str())
        .to_string_lossy()
        .into_owned();
    let moment: String = now
        .to_rfc3339()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let candidate = |number: u32| {
        let more = if number == 0 {
            String::new()
        } else {
            format!("-{number}")
        };
        db.with_file_name(format!("{stem}.archived-{moment}{more}.db"))
    };
    let archived = (0..1000)
        .map(candidate)
        .find(|path| path.symlink_metadata().is_err())
        .ok_or_else(|| AppError::Other("no free name for the archived account".to_owned()))?;
    let failed = |error: std::io::Error| {
        AppError::Other(format!("{} could not be moved: {error}", db.display()))
    };
    std::fs::rename(db, &archived).map_err(failed)?;
    for suffix in ["-wal", "-shm"] {
        let beside = |path: &Path| {
            let mut name = OsString::from(path.as_os_str());
            name.push(suffix);
            PathBuf::from(name)
        };
        let left = beside(db);
        if left.exists() {
            std::fs::rename(left, beside(&archived)).map_err(failed)?;
        }
    }
    Ok(archived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_files_belong_together() {
        for (source, name, file) in [
            (SourceKind::Polymarket, "default", "polymarket_agent.db"),
            (
                SourceKind::Sandbox,
                "default",
                "polymarket_agent_sandbox.db",
            ),
            (
                SourceKind::Recorded,
                "default",
                "polymarket_agent_recorded.db",
            ),
            (SourceKind::Polymarket, "a", "polymarket_agent.a.db"),
            (
                SourceKind::Sandbox,
                "bold_2-x",
                "polymarket_agent_sandbox.bold_2-x.db",
            ),
        ] {
            assert_eq!(account_file(source, name), Path::new(file));
            assert_eq!(
                account_of(&Path::new("/somewhere").join(file)),
                Some((source, name.to_owned()))
            );
        }
        for other in [
            "ledger.db",
            "polymarket_agent.a.archived-20260302T120000Z.db",
            "polymarket_agent.A.db",
            "polymarket_agent..db",
            "polymarket_agent.a.db.lock",
        ] {
            assert_eq!(account_of(Path::new(other)), None, "{other}");
        }
        assert_eq!(account_label(Path::new("/x/polymarket_agent.a.db")), "a");
        assert_eq!(account_label(Path::new("/x/ledger.db")), "ledger.db");
    }

    #[test]
    fn a_name_is_short_and_plain() {
        let longest = "a".repeat(32);
        for good in ["a", "0", "paper-1", "under_score", &longest] {
            assert!(is_account_name(good), "{good}");
        }
        let longer = "a".repeat(33);
        for bad in ["", "A", "a.b", "../a", "a b", "ä", &longer] {
            assert!(!is_account_name(bad), "{bad}");
        }
    }
}

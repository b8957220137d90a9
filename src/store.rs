//! SQLite: the event log and the tables that tools read.
//!
//! One connection writes; readers have a pool of their own and never wait for the writer (WAL).
//! Every append is one transaction, fully synced, that holds the events and what they do to the
//! read models, so that the two cannot disagree. All calls block: from async code use
//! `spawn_blocking`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use self::error::Fault;
use self::identity::Identity;
use self::location::check_single_name;
use self::schema::Found;

mod audit;
mod backtests;
mod backup;
mod checkpoints;
mod error;
mod estimates;
mod events;
mod filter;
mod identity;
mod location;
mod names;
mod orders;
mod owner;
mod positions;
mod projection;
mod queries;
mod rows;
mod schema;
mod stats;
#[cfg(test)]
mod testing;

pub use audit::{Audit, Finding, Judge};
pub use backtests::{BacktestRow, BacktestSummary, NewBacktest};
pub use backup::Backup;
pub use checkpoints::StoredCheckpoint;
pub use error::StoreError;
pub use estimates::{EstimateQuery, EstimateRow};
pub use location::real_path;
pub use orders::{OrderQuery, OrderRow, PlacedOrder, RefusalQuery, RefusalRow};
pub use owner::OwnerLock;
pub use positions::{PositionRow, SnapshotPosition};
pub use queries::RowQuery;
pub use rows::{ConditionalRow, SignalRow, SnapshotRow, TradeRow};
pub use stats::StrategyStats;

/// How long a connection waits for another's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Readers at once; more wait for one to come back.
const READERS: u32 = 4;

/// A ledger's database file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    // Before the writer, so that readers are closed first and the last connection, which folds the
    // write-ahead log into the file, is one that may write.
    readers: r2d2::Pool<SqliteConnectionManager>,
    writer: Option<Mutex<Connection>>,
    identity: Option<Identity>,
}

impl Store {
    /// Opens the file for reading and writing; creates it, or migrates it to the current schema.
    /// Take the [`OwnerLock`] first. Errors: see [`StoreError`]; a file that is not ours is left
    /// untouched.
    pub fn open(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        Self::open_waiting(path.as_ref(), BUSY_TIMEOUT)
    }

    fn open_waiting(path: &Path, busy: Duration) -> Result<Store, StoreError> {
        let path = real_path(path)?;
        let path = path.as_path();
        check_single_name(path)?;
        let writer = open_writer(path, busy).map_err(|fault| fault.at(path))?;
        Ok(Store {
            path: path.to_path_buf(),
            readers: reader_pool(path, busy),
            writer: Some(Mutex::new(writer)),
            identity: Some(Identity::of(path)?),
        })
    }

    /// Opens an existing file for reading, beside an owner or without one. Errors:
    /// [`StoreError::Missing`], a schema that is not the current one, or a file that is not ours.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = path.as_ref();
        if !path.exists() {
            return Err(StoreError::Missing {
                path: path.to_path_buf(),
            });
        }
        let path = real_path(path)?;
        let path = path.as_path();
        check_single_name(path)?;
        check_readable(path).map_err(|fault| fault.at(path))?;
        Ok(Store {
            path: path.to_path_buf(),
            readers: reader_pool(path, BUSY_TIMEOUT),
            writer: None,
            identity: None,
        })
    }

    /// The database file, by its real name ([`real_path`]).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in one write transaction; any failure leaves the file as it was. A file that is no
    /// longer there under its name is not written to.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::ReadOnly {
                path: self.path.clone(),
            });
        };
        // A panic elsewhere cannot leave the connection half-way: its transaction rolled back.
        let mut conn = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || -> Result<T, Fault> {
            self.check_identity()?;
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&tx)?;
            tx.commit()?;
            // SQLite writes on happily to a file that somebody deleted meanwhile.
            self.check_identity()?;
            Ok(value)
        };
        run_named(&self.path, run)
    }

    /// From here on the file cannot grow, as on a full disk.
    #[cfg(test)]
    pub(crate) fn limit_pages_to_those_there(&self) {
        let writer = self.writer.as_ref().unwrap().lock().unwrap();
        let pages: i64 = writer
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        writer
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .unwrap();
    }

    /// Waits no longer than this for another's lock.
    #[cfg(test)]
    pub(crate) fn wait_for_locks(&self, limit: Duration) {
        let writer = self.writer.as_ref().unwrap().lock().unwrap();
        writer.busy_timeout(limit).unwrap();
    }

    fn check_identity(&self) -> Result<(), StoreError> {
        self.identity.as_ref().map_or(Ok(()), Identity::check)
    }

    /// Runs `work` on a connection for reading, for statements that make their own transaction.
    fn outside_transaction<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let conn = self.reader()?;
        run_named(&self.path, || work(&conn))
    }

    fn reader(&self) -> Result<r2d2::PooledConnection<SqliteConnectionManager>, StoreError> {
        self.readers.get().map_err(|error| StoreError::Other {
            path: self.path.clone(),
            detail: format!("no connection for reading: {error}"),
        })
    }

    /// Runs `work` on one consistent view of the database.
    fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let conn = self.reader()?;
        run_named(&self.path, || {
            let tx = conn.unchecked_transaction()?;
            work(&tx)
        })
    }
}

fn run_named<T>(path: &Path, run: impl FnOnce() -> Result<T, Fault>) -> Result<T, StoreError> {
    run().map_err(|fault| fault.at(path))
}

/// SQLite's own message for a missing directory does not say what is missing.
fn check_directory(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() && !parent.is_dir() => {
            Err(StoreError::DirectoryMissing {
                path: parent.to_path_buf(),
            })
        }
        _ => Ok(()),
    }
}

fn open_writer(path: &Path, busy: Duration) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(busy)?;
    // Before anything is changed: it may be somebody else's file.
    let found = schema::inspect(path, &conn)?;
    // SQLite opens a write-protected file for reading without a word.
    if conn.is_readonly("main")? {
        return Err(Fault::Store(StoreError::ReadOnly {
            path: path.to_path_buf(),
        }));
    }
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::Store(StoreError::Other {
            path: path.to_path_buf(),
            detail: format!("the write-ahead log cannot be used here (journal mode `{mode}`)"),
        }));
    }
    // FULL: an event that was appended survives a power cut.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.set_prepared_statement_cache_capacity(64);
    if found != Found::Ours(schema::current()) {
        schema::migrate(path, &mut conn)?;
    }
    Ok(conn)
}

fn read_flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn check_readable(path: &Path) -> Result<(), Fault> {
    let conn = Connection::open_with_flags(path, read_flags())?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    match schema::inspect(path, &conn)? {
        Found::Ours(version) if version == schema::current() => Ok(()),
        Found::Ours(found) => Err(Fault::Store(StoreError::OlderSchema {
            path: path.to_path_buf(),
            found,
            needed: schema::current(),
        })),
        Found::Fresh => Err(Fault::Store(StoreError::Empty {
            path: path.to_path_buf(),
        })),
    }
}

/// Connections are made when first needed and kept, with their prepared statements.
fn reader_pool(path: &Path, busy: Duration) -> r2d2::Pool<SqliteConnectionManager> {
    let manager = SqliteConnectionManager::file(path)
        .with_flags(read_flags())
        .with_init(move |conn| conn.busy_timeout(busy));
    r2d2::Pool::builder()
        .max_size(READERS)
        .min_idle(Some(0))
        .test_on_check_out(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connection_timeout(busy.max(Duration::from_secs(1)))
        .build_unchecked(manager)
}

#[cfg(test)]
mod tests;

//! Tables, and how a file becomes ours.
//!
//! The first columns of `trades`, `signal_log`, `portfolio_snapshots` and `conditional_orders` are
//! those of the original program, in its order; ours follow. REAL money columns are for people who
//! read with plain SQL; every one has an exact twin in micro-units.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Fault, StoreError};

/// Marks a database file as ours: `PMAG` in ASCII.
const APPLICATION_ID: i64 = 0x504D_4147;

/// The first schema.
const ONE: &str = r"
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    at_ms   INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;

CREATE TABLE trades (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp       TEXT NOT NULL,
    strategy        TEXT NOT NULL,
    market_id       TEXT NOT NULL,
    token_id        TEXT NOT NULL,
    side            TEXT NOT NULL CHECK (side IN ('buy', 'sell', 'settle')),
    price           REAL NOT NULL,
    size            REAL NOT NULL,
    reason          TEXT NOT NULL,
    shares          REAL NOT NULL,
    fee             REAL NOT NULL,
    outcome         TEXT NOT NULL,
    order_id        INTEGER,
    maker           INTEGER NOT NULL CHECK (maker IN (0, 1)),
    entry_strategy  TEXT NOT NULL,
    price_micros    INTEGER NOT NULL,
    size_micros     INTEGER NOT NULL,
    shares_micros   INTEGER NOT NULL,
    fee_micros      INTEGER NOT NULL,
    realised_micros INTEGER,
    at_ms           INTEGER NOT NULL,
    event_seq       INTEGER NOT NULL REFERENCES events (seq)
) STRICT;
CREATE INDEX trades_by_strategy ON trades (strategy, id);

CREATE TABLE signal_log (
    id           INTEGER PRIMARY KEY,
    timestamp    TEXT NOT NULL,
    strategy     TEXT NOT NULL,
    market_id    TEXT NOT NULL,
    token_id     TEXT NOT NULL,
    side         TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    confidence   REAL NOT NULL,
    size         REAL NOT NULL,
    status       TEXT NOT NULL DEFAULT 'generated'
                 CHECK (status IN ('generated', 'executed', 'rejected')),
    reason       TEXT NOT NULL,
    fair_price   REAL NOT NULL,
    edge         REAL NOT NULL,
    price        REAL NOT NULL,
    outcome      TEXT NOT NULL,
    rejection    TEXT,
    price_micros INTEGER NOT NULL,
    size_micros  INTEGER NOT NULL,
    at_ms        INTEGER NOT NULL,
    event_seq    INTEGER NOT NULL REFERENCES events (seq)
) STRICT;
CREATE INDEX signal_log_by_strategy ON signal_log (strategy, id);
CREATE INDEX signal_log_by_time ON signal_log (at_ms);

CREATE TABLE portfolio_snapshots (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    timestamp          TEXT NOT NULL,
    balance            REAL NOT NULL,
    total_value        REAL NOT NULL,
    positions_json     TEXT NOT NULL DEFAULT '{}',
    balance_micros     INTEGER NOT NULL,
    total_value_micros INTEGER NOT NULL,
    at_ms              INTEGER NOT NULL,
    event_seq          INTEGER NOT NULL REFERENCES events (seq)
) STRICT;

CREATE TABLE conditional_orders (
    id                    INTEGER PRIMARY KEY,
    created_at            TEXT NOT NULL,
    triggered_at          TEXT,
    token_id              TEXT NOT NULL,
    market_id             TEXT NOT NULL,
    order_type            TEXT NOT NULL
                          CHECK (order_type IN ('stop_loss', 'take_profit', 'trailing_stop')),
    status                TEXT NOT NULL DEFAULT 'active'
                          CHECK (status IN ('active', 'triggered', 'cancelled')),
    trigger_price         REAL NOT NULL,
    size                  REAL NOT NULL,
    high_watermark        REAL,
    trail_percent         REAL,
    parent_strategy       TEXT NOT NULL,
    reason                TEXT NOT NULL,
    triggered_bid         REAL,
    sold                  REAL,
    cancelled_at          TEXT,
    cancel_reason         TEXT,
    trigger_price_micros  INTEGER NOT NULL,
    size_micros           INTEGER NOT NULL,
    high_watermark_micros INTEGER,
    trail_percent_micros  INTEGER,
    triggered_bid_micros  INTEGER,
    sold_micros           INTEGER,
    created_at_ms         INTEGER NOT NULL,
    triggered_at_ms       INTEGER,
    cancelled_at_ms       INTEGER,
    event_seq             INTEGER NOT NULL REFERENCES events (seq)
) STRICT;
CREATE INDEX conditional_orders_by_status ON conditional_orders (status, id);

CREATE TABLE positions (
    token_id             TEXT PRIMARY KEY,
    market_id            TEXT NOT NULL,
    outcome              TEXT NOT NULL,
    shares_micros        INTEGER NOT NULL CHECK (shares_micros > 0),
    cost_micros          INTEGER NOT NULL,
    entry_strategy       TEXT NOT NULL,
    opened_at_ms         INTEGER NOT NULL,
    current_price_micros INTEGER,
    marked_at_ms         INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE market_names (
    market_id TEXT PRIMARY KEY,
    question  TEXT NOT NULL
) STRICT;

CREATE TABLE backtests (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at    TEXT NOT NULL,
    data_dir      TEXT NOT NULL,
    title         TEXT NOT NULL,
    result_json   TEXT NOT NULL,
    report_md     TEXT NOT NULL,
    report_html   TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;
";

/// Writes rows from events.
type Fill = fn(&Path, &Connection) -> Result<(), Fault>;

/// One step from a schema version to the next.
struct Migration {
    script: &'static str,
    /// Fills what the script made from the events that are there already.
    fill: Option<Fill>,
}

/// `user_version` counts those applied. What has been released is never changed.
const MIGRATIONS: [Migration; 3] = [
    Migration {
        script: ONE,
        fill: None,
    },
    Migration {
        script: include_str!("schema/2.sql"),
        fill: Some(super::projection::fill_second),
    },
    Migration {
        script: include_str!("schema/3.sql"),
        fill: None,
    },
];

/// The schema version that this program writes.
pub(super) fn current() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// What a file turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Empty: to be made.
    Fresh,
    /// Ours, with this schema version.
    Ours(i64),
}

/// Looks at a database without changing it. Errors: not a database, another program's, newer than
/// we understand.
pub(super) fn inspect(path: &Path, conn: &Connection) -> Result<Found, Fault> {
    let number =
        |sql: &str| -> Result<i64, rusqlite::Error> { conn.query_row(sql, [], |row| row.get(0)) };
    let application_id = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application_id == APPLICATION_ID {
        if version > current() {
            return Err(Fault::Store(StoreError::NewerSchema {
                path: path.to_path_buf(),
                found: version,
                supported: current(),
            }));
        }
        return Ok(Found::Ours(version));
    }
    let objects = number("SELECT count(*) FROM sqlite_schema")?;
    if application_id == 0 && version == 0 && objects == 0 {
        return Ok(Found::Fresh);
    }
    Err(Fault::Store(StoreError::Foreign {
        path: path.to_path_buf(),
    }))
}

/// Makes the tables of the current schema in an empty database that is for ourselves.
pub(super) fn create(conn: &Connection) -> Result<(), Fault> {
    for migration in &MIGRATIONS {
        conn.execute_batch(migration.script)?;
    }
    Ok(())
}

/// Brings a database to the current schema in one transaction: all of it or nothing.
pub(super) fn migrate(path: &Path, conn: &mut Connection) -> Result<(), Fault> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Looked at again under the write lock: two processes may create the file at once.
    let applied = match inspect(path, &tx)? {
        Found::Fresh => 0,
        Found::Ours(version) => version,
    };
    if applied == current() {
        return Ok(());
    }
    for migration in MIGRATIONS
        .iter()
        .skip(usize::try_from(applied).unwrap_or(0))
    {
        tx.execute_batch(migration.script)?;
        if let Some(fill) = migration.fill {
            fill(path, &tx)?;
        }
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", current())?;
    tx.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;

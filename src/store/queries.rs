//! Reading the read models, newest first.

use rusqlite::{Row, params};

use super::error::{Fault, StoreError};
use super::positions::{self, PositionRow};
use super::rows::{ConditionalRow, SignalRow, SnapshotRow, TradeRow};
use super::{Store, Transaction};
use crate::domain::Timestamp;

/// Which lines to read, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowQuery {
    /// At most so many.
    pub limit: u32,
    /// Only lines older than the one with this id: the last id of the page before.
    pub before: Option<i64>,
    /// Only this strategy's; means nothing to snapshots.
    pub strategy: Option<String>,
}

impl RowQuery {
    /// The newest `limit` lines.
    #[must_use]
    pub fn newest(limit: u32) -> Self {
        RowQuery {
            limit,
            ..RowQuery::default()
        }
    }
}

impl Store {
    /// Fills and settlements.
    pub fn trades(&self, query: &RowQuery) -> Result<Vec<TradeRow>, StoreError> {
        self.read(|tx| select(tx, "trades", query, TradeRow::from_row))
    }

    /// The signal log.
    pub fn signals(&self, query: &RowQuery) -> Result<Vec<SignalRow>, StoreError> {
        self.read(|tx| select(tx, "signal_log", query, SignalRow::from_row))
    }

    /// How many signals were generated at or after `since`.
    pub fn count_signals_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        self.read(|tx| {
            let count: i64 = tx
                .prepare_cached("SELECT count(*) FROM signal_log WHERE at_ms >= ?1")?
                .query_row([since.millis()], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    /// Snapshots of the account: at most `limit`, older than the one with id `before` if given.
    pub fn snapshots(
        &self,
        limit: u32,
        before: Option<i64>,
    ) -> Result<Vec<SnapshotRow>, StoreError> {
        let query = RowQuery {
            limit,
            before,
            strategy: None,
        };
        self.read(|tx| select(tx, "portfolio_snapshots", &query, SnapshotRow::from_row))
    }

    /// Conditional orders: the active ones oldest first, or all newest first.
    pub fn conditional_orders(&self, active_only: bool) -> Result<Vec<ConditionalRow>, StoreError> {
        let sql = if active_only {
            "SELECT * FROM conditional_orders WHERE status = 'active' ORDER BY id"
        } else {
            "SELECT * FROM conditional_orders ORDER BY id DESC"
        };
        self.read(|tx| {
            let mut statement = tx.prepare_cached(sql)?;
            let rows = statement
                .query_map([], ConditionalRow::from_row)?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(rows)
        })
    }

    /// Positions held after the last append, by token id.
    pub fn positions(&self) -> Result<Vec<PositionRow>, StoreError> {
        self.read(|tx| positions::all(tx))
    }
}

fn select<T>(
    tx: &Transaction<'_>,
    table: &str,
    query: &RowQuery,
    from_row: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Fault> {
    let before = query.before.unwrap_or(i64::MAX);
    let rows = if let Some(strategy) = &query.strategy {
        let sql = format!(
            "SELECT * FROM {table} WHERE strategy = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2"
        );
        tx.prepare_cached(&sql)?
            .query_map(params![before, query.limit, strategy], from_row)?
            .collect::<Result<Vec<_>, _>>()?
    } else {
        let sql = format!("SELECT * FROM {table} WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
        tx.prepare_cached(&sql)?
            .query_map(params![before, query.limit], from_row)?
            .collect::<Result<Vec<_>, _>>()?
    };
    Ok(rows)
}

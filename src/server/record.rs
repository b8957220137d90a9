//! What the database shows of the past, in the shapes that resources and the HTTP API share.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::app::{App, AppError};
use crate::store::{ConditionalRow, RowQuery, SignalRow, SnapshotPosition, SnapshotRow, TradeRow};

use super::tool::ToolError;
use super::tools::blocking;

/// Milliseconds of the period that `count_24h` looks back over.
const DAY_MS: i64 = 86_400_000;

/// Signals, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SignalsView {
    /// The newest rows, of one strategy where one was asked for.
    pub signals: Vec<SignalRow>,
    /// Signals of all strategies in the 24 hours before the source's present; null when the source
    /// does not say what time it is.
    pub count_24h: Option<u64>,
}

/// The account at a moment, positions readable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SnapshotView {
    /// Number, rising with time.
    pub id: i64,
    /// RFC 3339 UTC.
    pub timestamp: String,
    /// Cash, pUSD.
    pub balance: f64,
    /// Cash and positions at their marks, pUSD.
    pub total_value: f64,
    /// Positions by token id.
    pub positions: BTreeMap<String, SnapshotPosition>,
}

impl SnapshotView {
    fn of(row: &SnapshotRow) -> Result<Self, AppError> {
        let positions = row.positions().map_err(|error| {
            AppError::Other(format!(
                "the positions of snapshot {} cannot be read: {error}",
                row.id
            ))
        })?;
        Ok(SnapshotView {
            id: row.id,
            timestamp: row.timestamp.to_rfc3339(),
            balance: row.balance.to_f64(),
            total_value: row.total_value.to_f64(),
            positions,
        })
    }
}

/// The newest fills and settlements.
pub async fn trades(app: &Arc<App>, limit: u32) -> Result<Vec<TradeRow>, ToolError> {
    let query = RowQuery::newest(limit);
    blocking(app, move |app| Ok(app.store().trades(&query)?)).await
}

/// The newest signals, of one strategy or of all.
pub async fn signals(
    app: &Arc<App>,
    strategy: Option<String>,
    limit: u32,
) -> Result<SignalsView, ToolError> {
    // The ledger is read all the same when the source is away.
    let now = app.source().now().await.ok();
    let query = RowQuery {
        strategy,
        ..RowQuery::newest(limit)
    };
    blocking(app, move |app| {
        let store = app.store();
        Ok(SignalsView {
            signals: store.signals(&query)?,
            count_24h: now
                .map(|now| store.count_signals_since(now.plus_millis(-DAY_MS)))
                .transpose()?,
        })
    })
    .await
}

/// The newest snapshots of the account.
pub async fn snapshots(app: &Arc<App>, limit: u32) -> Result<Vec<SnapshotView>, ToolError> {
    blocking(app, move |app| {
        let rows = app.store().snapshots(limit, None)?;
        rows.iter().map(SnapshotView::of).collect()
    })
    .await
}

/// Conditional orders whatever became of them, newest first.
pub async fn conditional_orders(
    app: &Arc<App>,
    limit: u32,
) -> Result<Vec<ConditionalRow>, ToolError> {
    blocking(app, move |app| {
        let mut rows = app.store().conditional_orders(false)?;
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(rows)
    })
    .await
}

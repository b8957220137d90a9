//! Holdings as a table: what snapshots show, and what realised profit is counted from.
//!
//! The arithmetic is the ledger's: total costs are kept, and a sale takes its
//! [`Usdc::share_of`] of them away.

use std::collections::BTreeMap;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::events::refused;
use super::rows::{self, number, opt_number, opt_time, time};
use crate::domain::{Fill, MoneyError, Price, Shares, Side, Timestamp, TokenId, Usdc};

/// Shares of one token, as the last appended events left them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PositionRow {
    /// Token id.
    pub token_id: String,
    /// Market id.
    pub market_id: String,
    /// Outcome name (untrusted text).
    pub outcome: String,
    /// Shares held.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub shares: Shares,
    /// What they cost without fees, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub cost: Usdc,
    /// Best bid when last looked at, 0-1; null when there has been none.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub current_price: Option<Price>,
    /// When that was, UTC.
    #[serde(serialize_with = "opt_time::serialize")]
    #[schemars(with = "Option<String>")]
    pub marked_at: Option<Timestamp>,
    /// When the position was opened, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub opened_at: Timestamp,
    /// Who opened it.
    pub entry_strategy: String,
}

/// One position in a snapshot's `positions_json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotPosition {
    /// Market id.
    pub market_id: String,
    /// Outcome name (untrusted text).
    pub outcome: String,
    /// Shares held.
    pub shares: f64,
    /// Average price paid, 0-1, fees not included.
    pub avg_price: f64,
    /// Best bid when last looked at, 0-1; null when there has been none.
    pub current_price: Option<f64>,
    /// When the position was opened, UTC.
    pub opened_at: String,
    /// Who opened it.
    pub entry_strategy: String,
}

/// What a change of a position did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Whose position it is.
    pub entry_strategy: String,
    /// Its outcome.
    pub outcome: String,
    /// Profit taken, fees not counted; `None` when nothing was given away.
    pub realised: Option<Usdc>,
}

/// Columns by place: each trade's snapshot reads all positions, and names are looked up one by one.
const COLUMNS: &str = "token_id, market_id, outcome, shares_micros, cost_micros, \
                       current_price_micros, marked_at_ms, opened_at_ms, entry_strategy";

fn from_row(row: &Row<'_>) -> rusqlite::Result<PositionRow> {
    let bad = |column: usize, error: MoneyError| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, Box::new(error))
    };
    let price: Option<u32> = row.get(5)?;
    Ok(PositionRow {
        token_id: row.get(0)?,
        market_id: row.get(1)?,
        outcome: row.get(2)?,
        shares: Shares::from_micros(row.get(3)?).map_err(|error| bad(3, error))?,
        cost: rows::usdc(row, 4)?,
        current_price: price
            .map(|micros| Price::from_micros(micros).map_err(|error| bad(5, error)))
            .transpose()?,
        marked_at: rows::opt_moment(row, 6)?,
        opened_at: rows::moment(row, 7)?,
        entry_strategy: row.get(8)?,
    })
}

/// All positions, by token.
pub(super) fn all(conn: &Connection) -> Result<Vec<PositionRow>, Fault> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM positions ORDER BY token_id"
    ))?;
    let positions = statement
        .query_map([], from_row)?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(positions)
}

/// All positions as a snapshot keeps them: JSON, token to [`SnapshotPosition`].
pub(super) fn snapshot_json(conn: &Connection, seq: u64) -> Result<String, Fault> {
    let positions: BTreeMap<String, SnapshotPosition> = all(conn)?
        .into_iter()
        .map(|position| {
            let shown = SnapshotPosition {
                market_id: position.market_id,
                outcome: position.outcome,
                shares: position.shares.to_f64(),
                // Never by zero: the table holds no empty position. Of the micro-units, so that only
                // the quotient rounds.
                avg_price: position.cost.micros() as f64 / position.shares.micros() as f64,
                current_price: position.current_price.map(Price::to_f64),
                opened_at: position.opened_at.to_rfc3339(),
                entry_strategy: position.entry_strategy,
            };
            (position.token_id, shown)
        })
        .collect();
    serde_json::to_string(&positions).map_err(|error| refused(seq, error.to_string()))
}

fn held(conn: &Connection, token: &TokenId) -> Result<Option<PositionRow>, Fault> {
    let position = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM positions WHERE token_id = ?1"
        ))?
        .query_row([token.as_str()], from_row)
        .optional()?;
    Ok(position)
}

/// Books a fill.
pub(super) fn fill(
    conn: &Connection,
    seq: u64,
    at: Timestamp,
    fill: &Fill,
) -> Result<Change, Fault> {
    match fill.side {
        Side::Buy => buy(conn, seq, at, fill),
        Side::Sell => give(conn, seq, &fill.token_id, fill.shares, fill.notional),
    }
}

fn buy(conn: &Connection, seq: u64, at: Timestamp, fill: &Fill) -> Result<Change, Fault> {
    let too_large = || refused(seq, "the position is too large");
    if let Some(position) = held(conn, &fill.token_id)? {
        let shares = position
            .shares
            .micros()
            .checked_add(fill.shares.micros())
            .ok_or_else(too_large)?;
        let cost = position
            .cost
            .checked_add(fill.notional)
            .map_err(|_| too_large())?;
        conn.prepare_cached(
            "UPDATE positions SET shares_micros = ?2, cost_micros = ?3 WHERE token_id = ?1",
        )?
        .execute(params![fill.token_id.as_str(), shares, cost.micros()])?;
        return Ok(Change {
            entry_strategy: position.entry_strategy,
            outcome: position.outcome,
            realised: None,
        });
    }
    if fill.shares.is_zero() {
        return Err(refused(seq, "a fill of no shares"));
    }
    conn.prepare_cached(
        "INSERT INTO positions (token_id, market_id, outcome, shares_micros, cost_micros, \
         entry_strategy, opened_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        fill.token_id.as_str(),
        fill.market_id.as_str(),
        fill.outcome.as_str(),
        fill.shares.micros(),
        fill.notional.micros(),
        fill.strategy.as_str(),
        at.millis(),
    ])?;
    Ok(Change {
        entry_strategy: fill.strategy.as_str().to_owned(),
        outcome: fill.outcome.to_string(),
        realised: None,
    })
}

/// Takes `given` shares away against `proceeds`: a sale or a settlement.
pub(super) fn give(
    conn: &Connection,
    seq: u64,
    token: &TokenId,
    given: Shares,
    proceeds: Usdc,
) -> Result<Change, Fault> {
    let Some(position) = held(conn, token)? else {
        return Err(refused(
            seq,
            format!("{given} shares of token {token} are given away, none are held"),
        ));
    };
    if given > position.shares {
        return Err(refused(
            seq,
            format!(
                "{given} shares of token {token} are given away, {} are held",
                position.shares
            ),
        ));
    }
    let removed = position.cost.share_of(given, position.shares);
    let realised = proceeds
        .checked_sub(removed)
        .map_err(|error| refused(seq, error.to_string()))?;
    if given == position.shares {
        conn.prepare_cached("DELETE FROM positions WHERE token_id = ?1")?
            .execute([token.as_str()])?;
    } else {
        conn.prepare_cached(
            "UPDATE positions SET shares_micros = ?2, cost_micros = ?3 WHERE token_id = ?1",
        )?
        .execute(params![
            token.as_str(),
            position.shares.minus(given).micros(),
            position.cost.minus(removed).micros(),
        ])?;
    }
    Ok(Change {
        entry_strategy: position.entry_strategy,
        outcome: position.outcome,
        realised: Some(realised),
    })
}

/// Notes what held tokens could be sold for; marks of tokens no longer held say nothing.
pub(super) fn mark(
    conn: &Connection,
    at: Timestamp,
    marks: &[(TokenId, Price)],
) -> Result<(), Fault> {
    let mut update = conn.prepare_cached(
        "UPDATE positions SET current_price_micros = ?2, marked_at_ms = ?3 WHERE token_id = ?1",
    )?;
    for (token, price) in marks {
        update.execute(params![token.as_str(), price.micros(), at.millis()])?;
    }
    Ok(())
}

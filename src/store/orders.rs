//! Orders and refusals as tables: what was placed, where it stands, and what was not let through.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};
use schemars::JsonSchema;
use serde::Serialize;

use super::Store;
use super::error::{Fault, StoreError};
use super::filter::Filter;
use super::rows::{
    moment, number, opt_moment, opt_number, opt_price, opt_shares, opt_time, price, shares, time,
    usdc,
};
use crate::domain::{Fill, LedgerEvent, Order, OrderOutcome, Price, Shares, Timestamp, Usdc};

/// One order that passed the risk gate.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct OrderRow {
    /// Number, rising with time.
    pub id: i64,
    /// The client's own id.
    pub client_order_id: Option<String>,
    /// Row in the signal log that caused it.
    pub signal_id: Option<i64>,
    /// Who wanted it.
    pub strategy: String,
    /// Market id.
    pub market_id: String,
    /// Event that groups the market with others, where known.
    pub event_id: Option<String>,
    /// Token id.
    pub token_id: String,
    /// Outcome name (untrusted text).
    pub outcome: String,
    /// Direction.
    #[schemars(extend("enum" = ["buy", "sell"]))]
    pub side: String,
    /// FAK, FOK, GTC, GTD or POST_ONLY.
    pub order_type: String,
    /// Limit price, 0-1.
    #[serde(rename = "limit", serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub limit: Price,
    /// Shares wanted.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub shares: Shares,
    /// Shares filled.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub filled: Shares,
    /// Shares not filled; of an order that is over, shares that never will be.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub remaining: Shares,
    /// Average price of its fills, 0-1; null without one.
    pub avg_price: Option<f64>,
    /// Notional filled, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub notional: Usdc,
    /// Fees of its fills, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub fees: Usdc,
    /// Where it stands; accepted and resting are open.
    #[schemars(extend("enum" = ["accepted", "resting", "filled", "partially_filled", "unfilled", "cancelled", "expired"]))]
    pub status: String,
    /// Why it was placed.
    pub reason: String,
    /// Why it is over.
    pub close_reason: Option<String>,
    /// When it was placed, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When something last happened to it, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub updated_at: Timestamp,
    /// When it is withdrawn if it still rests, UTC.
    #[serde(serialize_with = "opt_time::serialize")]
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// Shares of others at its price that go first; null when it never rested.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub queue_ahead: Option<Shares>,
    /// Legs of one basket share this number.
    pub basket: Option<i64>,
}

impl OrderRow {
    /// True when it is not over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "accepted" | "resting")
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (wanted, filled) = (shares(row, "shares_micros")?, shares(row, "filled_micros")?);
        Ok(OrderRow {
            id: row.get("id")?,
            client_order_id: row.get("client_order_id")?,
            signal_id: row.get("signal_id")?,
            strategy: row.get("strategy")?,
            market_id: row.get("market_id")?,
            event_id: row.get("event_id")?,
            token_id: row.get("token_id")?,
            outcome: row.get("outcome")?,
            side: row.get("side")?,
            order_type: row.get("order_type")?,
            limit: price(row, "limit_micros")?,
            shares: wanted,
            filled,
            remaining: wanted.minus(filled),
            avg_price: row.get("avg_price")?,
            notional: usdc(row, "notional_micros")?,
            fees: usdc(row, "fees_micros")?,
            status: row.get("status")?,
            reason: row.get("reason")?,
            close_reason: row.get("close_reason")?,
            created_at: moment(row, "created_at_ms")?,
            updated_at: moment(row, "updated_at_ms")?,
            expires_at: opt_moment(row, "expires_at_ms")?,
            queue_ahead: opt_shares(row, "queue_ahead_micros")?,
            basket: row.get("basket")?,
        })
    }
}

/// Which orders to read, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderQuery {
    /// At most so many.
    pub limit: u32,
    /// Only orders older than this one: the last of the page before.
    pub before: Option<i64>,
    /// Only the one of this number.
    pub id: Option<i64>,
    /// Only those that are not over, or only those that are.
    pub open: Option<bool>,
    /// Only those that stand so: a value of [`OrderRow::status`].
    pub status: Option<String>,
    /// Only those of this market.
    pub market_id: Option<String>,
    /// Only this strategy's.
    pub strategy: Option<String>,
    /// Only the one with this client's id.
    pub client_order_id: Option<String>,
}

/// An order that was refused before it reached the executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RefusalRow {
    /// Number, rising with time.
    pub id: i64,
    /// When, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub timestamp: Timestamp,
    /// Who wanted it.
    pub strategy: String,
    /// Market id.
    pub market_id: String,
    /// Token id.
    pub token_id: String,
    /// Direction; null in records of 1.0, as the next three.
    pub side: Option<String>,
    /// Limit price, 0-1.
    #[serde(rename = "limit", serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub limit: Option<Price>,
    /// Shares wanted.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub shares: Option<Shares>,
    /// Row in the signal log that caused it.
    pub signal_id: Option<i64>,
    /// Which limit or rule refused it.
    pub code: String,
    /// The limit, the value, and what is allowed.
    pub message: String,
}

impl RefusalRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(RefusalRow {
            id: row.get("id")?,
            timestamp: moment(row, "at_ms")?,
            strategy: row.get("strategy")?,
            market_id: row.get("market_id")?,
            token_id: row.get("token_id")?,
            side: row.get("side")?,
            limit: opt_price(row, "limit_micros")?,
            shares: opt_shares(row, "shares_micros")?,
            signal_id: row.get("signal_id")?,
            code: row.get("code")?,
            message: row.get("message")?,
        })
    }
}

/// Which refusals to read, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusalQuery {
    /// At most so many.
    pub limit: u32,
    /// Only refusals older than this one: the last of the page before.
    pub before: Option<i64>,
    /// Only this strategy's orders.
    pub strategy: Option<String>,
    /// Only by this limit or rule.
    pub code: Option<String>,
}

/// An order as it was accepted, with all that came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedOrder {
    /// The order.
    pub order: Order,
    /// Its fills, oldest first.
    pub fills: Vec<Fill>,
    /// How it ended, once it has.
    pub outcome: Option<OrderOutcome>,
}

impl Store {
    /// The order that was ever placed under a client's own id, from its events. Errors: the database
    /// cannot be read, or its tables do not follow from its events.
    pub fn order_of_client(
        &self,
        client_order_id: &str,
    ) -> Result<Option<PlacedOrder>, StoreError> {
        self.read(|tx| {
            let row = tx
                .prepare_cached(
                    "SELECT id, event_seq, updated_seq FROM orders WHERE client_order_id = ?1",
                )?
                .query_row([client_order_id], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()?;
            let Some((id, accepted, updated)): Option<(i64, i64, i64)> = row else {
                return Ok(None);
            };
            let unfit = |seq: i64, detail: String| StoreError::Corrupt {
                path: self.path.clone(),
                detail: format!("event {seq} does not fit order {id}: {detail}"),
            };
            let mut look = tx.prepare_cached("SELECT payload FROM events WHERE seq = ?1")?;
            let mut event = |seq: i64| -> Result<LedgerEvent, Fault> {
                let payload: String = look.query_row([seq], |row| row.get(0))?;
                let read = serde_json::from_str(&payload);
                Ok(read.map_err(|error| unfit(seq, error.to_string()))?)
            };
            let LedgerEvent::OrderAccepted { order } = event(accepted)? else {
                return Err(unfit(accepted, "it accepts no order".to_owned()).into());
            };
            let outcome = match event(updated)? {
                LedgerEvent::OrderClosed { outcome, .. } => Some(outcome),
                _ => None,
            };
            let seqs: Vec<i64> = tx
                .prepare_cached("SELECT event_seq FROM trades WHERE order_id = ?1 ORDER BY id")?
                .query_map([id], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut fills = Vec::with_capacity(seqs.len());
            for seq in seqs {
                match event(seq)? {
                    LedgerEvent::Filled { fill } => fills.push(fill),
                    _ => return Err(unfit(seq, "it is no fill".to_owned()).into()),
                }
            }
            Ok(Some(PlacedOrder {
                order,
                fills,
                outcome,
            }))
        })
    }

    /// Orders, newest first.
    pub fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, StoreError> {
        let mut filter = Filter::newest(query.limit, query.before);
        if let Some(id) = query.id {
            filter.and("id =", Value::Integer(id));
        }
        // Written out, so that the index of the open ones serves.
        match query.open {
            Some(true) => filter.fixed("is_open = 1"),
            Some(false) => filter.fixed("is_open = 0"),
            None => {}
        }
        filter.text("status =", query.status.as_deref());
        filter.text("market_id =", query.market_id.as_deref());
        filter.text("strategy =", query.strategy.as_deref());
        filter.text("client_order_id =", query.client_order_id.as_deref());
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&filter.sql("orders"))?;
            let rows = statement
                .query_map(params_from_iter(filter.values()), OrderRow::from_row)?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(rows)
        })
    }

    /// Refused orders, newest first.
    pub fn refusals(&self, query: &RefusalQuery) -> Result<Vec<RefusalRow>, StoreError> {
        let mut filter = Filter::newest(query.limit, query.before);
        filter.text("strategy =", query.strategy.as_deref());
        filter.text("code =", query.code.as_deref());
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&filter.sql("refusals"))?;
            let rows = statement
                .query_map(params_from_iter(filter.values()), RefusalRow::from_row)?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(rows)
        })
    }
}

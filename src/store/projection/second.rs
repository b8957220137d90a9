//! What events do to the tables of schema 2: orders, estimates, refusals.
//!
//! Apart from the older tables, so that a database of schema 1 can be filled from its own log.

use std::path::Path;

use rusqlite::{Connection, params};

use super::super::error::Fault;
use super::super::events::{self, refused, row_id};
use super::utc_text;
use crate::domain::{
    Estimate, Fill, LedgerEvent, Order, OrderOutcome, Price, Shares, StampedEvent, Timestamp, Usdc,
};

/// Fills the tables of schema 2 from the events of a database that had none of them.
pub(in crate::store) fn fill(path: &Path, conn: &Connection) -> Result<(), Fault> {
    let mut failed = None;
    events::walk(path, conn, 0, u64::MAX, |event| {
        failed = apply(conn, &event).err();
        failed.is_none()
    })?;
    failed.map_or(Ok(()), Err)
}

/// Applies one event that is in the log.
pub(super) fn apply(conn: &Connection, stamped: &StampedEvent) -> Result<(), Fault> {
    let step = Step {
        conn,
        seq: stamped.seq,
        row: row_id(stamped.seq, stamped.seq)?,
        at: stamped.at,
    };
    match &stamped.event {
        LedgerEvent::OrderAccepted { order } => step.accepted(order),
        LedgerEvent::OrderRested { order_id, .. } => step.rested(*order_id),
        LedgerEvent::Filled { fill } => step.filled(fill),
        LedgerEvent::OrderClosed {
            order_id,
            outcome,
            reason,
            ..
        } => step.closed(*order_id, *outcome, reason),
        LedgerEvent::OrderRefused {
            strategy,
            market_id,
            token_id,
            code,
            message,
        } => step.refused([
            strategy.as_str(),
            market_id.as_str(),
            token_id.as_str(),
            code,
            message,
        ]),
        LedgerEvent::EstimateStored { estimate } => step.estimated(estimate),
        _ => Ok(()),
    }
}

struct Step<'a> {
    conn: &'a Connection,
    seq: u64,
    row: i64,
    at: Timestamp,
}

impl Step<'_> {
    fn accepted(&self, order: &Order) -> Result<(), Fault> {
        let signal_id = order
            .signal_id
            .map(|id| row_id(self.seq, id))
            .transpose()?;
        let basket = order.basket.map(|id| row_id(self.seq, id)).transpose()?;
        self.conn
            .prepare_cached(
                "INSERT INTO orders (id, client_order_id, signal_id, strategy, market_id, token_id, \
                 outcome, side, order_type, limit_price, shares, remaining, reason, created_at, \
                 updated_at, basket, limit_micros, shares_micros, created_at_ms, updated_at_ms, \
                 event_seq, updated_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, \
                 ?12, ?13, ?13, ?14, ?15, ?16, ?17, ?17, ?18, ?18)",
            )?
            .execute(params![
                row_id(self.seq, order.id)?,
                order.client_order_id,
                signal_id,
                order.strategy.as_str(),
                order.market_id.as_str(),
                order.token_id.as_str(),
                order.outcome,
                order.side.as_str(),
                order.order_type.as_str(),
                order.limit.to_f64(),
                order.shares.to_f64(),
                order.reason,
                utc_text(self.at),
                basket,
                order.limit.micros(),
                order.shares.micros(),
                self.at.millis(),
                self.row,
            ])?;
        Ok(())
    }

    fn rested(&self, order_id: u64) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "UPDATE orders SET status = 'resting', updated_at = ?2, updated_at_ms = ?3, \
                 updated_seq = ?4 WHERE id = ?1",
            )?
            .execute(params![
                row_id(self.seq, order_id)?,
                utc_text(self.at),
                self.at.millis(),
                self.row,
            ])?;
        Ok(())
    }

    /// Decimal columns are made anew from the exact ones, so that they never drift.
    fn filled(&self, fill: &Fill) -> Result<(), Fault> {
        let id = row_id(self.seq, fill.order_id)?;
        let mut look = self.conn.prepare_cached(
            "SELECT shares_micros, filled_micros, notional_micros, fees_micros FROM orders \
             WHERE id = ?1",
        )?;
        let mut rows = look.query([id])?;
        // The ledger has judged the fill; an order that no event accepted has no row to keep.
        let Some(row) = rows.next()? else {
            return Ok(());
        };
        let too_large = || refused(self.seq, "the order's sums are too large");
        let sum = |index: usize, more: i64| -> Result<i64, Fault> {
            let so_far: i64 = row.get(index)?;
            so_far.checked_add(more).ok_or_else(too_large)
        };
        let shares: i64 = row.get(0)?;
        let filled = sum(1, fill.shares.micros())?;
        let notional = sum(2, fill.notional.micros())?;
        let fees = sum(3, fill.fee.micros())?;
        let decimal = |micros: i64| {
            Shares::from_micros(micros)
                .map(Shares::to_f64)
                .map_err(|_| refused(self.seq, "more is filled than was ordered"))
        };
        // Of the micro-units, so that only the quotient rounds.
        let average = (filled != 0).then(|| notional as f64 / filled as f64);
        self.conn
            .prepare_cached(
                "UPDATE orders SET filled = ?2, remaining = ?3, avg_price = ?4, fees = ?5, \
                 filled_micros = ?6, notional_micros = ?7, fees_micros = ?8, updated_at = ?9, \
                 updated_at_ms = ?10, updated_seq = ?11 WHERE id = ?1",
            )?
            .execute(params![
                id,
                decimal(filled)?,
                decimal(shares.saturating_sub(filled))?,
                average,
                Usdc::from_micros(fees).to_f64(),
                filled,
                notional,
                fees,
                utc_text(self.at),
                self.at.millis(),
                self.row,
            ])?;
        Ok(())
    }

    fn closed(&self, order_id: u64, outcome: OrderOutcome, reason: &str) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "UPDATE orders SET status = ?2, is_open = 0, close_reason = ?3, updated_at = ?4, \
                 updated_at_ms = ?5, updated_seq = ?6 WHERE id = ?1",
            )?
            .execute(params![
                row_id(self.seq, order_id)?,
                status(outcome),
                reason,
                utc_text(self.at),
                self.at.millis(),
                self.row,
            ])?;
        Ok(())
    }

    fn refused(&self, words: [&str; 5]) -> Result<(), Fault> {
        let [strategy, market_id, token_id, code, message] = words;
        self.conn
            .prepare_cached(
                "INSERT INTO refusals (timestamp, strategy, market_id, token_id, code, message, \
                 at_ms, event_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                utc_text(self.at),
                strategy,
                market_id,
                token_id,
                code,
                message,
                self.at.millis(),
                self.row,
            ])?;
        Ok(())
    }

    fn estimated(&self, estimate: &Estimate) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "INSERT INTO estimates (author, market_id, token_id, outcome, probability, \
                 confidence, rationale, ask_then, bid_then, created_at, expires_at, \
                 ask_then_micros, bid_then_micros, created_at_ms, expires_at_ms, event_seq) VALUES \
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?
            .execute(params![
                estimate.author,
                estimate.market_id.as_str(),
                estimate.token_id.as_str(),
                estimate.outcome,
                estimate.probability,
                estimate.confidence,
                estimate.rationale,
                estimate.ask_then.map(Price::to_f64),
                estimate.bid_then.map(Price::to_f64),
                utc_text(estimate.created_at),
                utc_text(estimate.expires_at),
                estimate.ask_then.map(Price::micros),
                estimate.bid_then.map(Price::micros),
                estimate.created_at.millis(),
                estimate.expires_at.millis(),
                self.row,
            ])?;
        Ok(())
    }
}

/// An order's status once it is over.
pub(in crate::store) fn status(outcome: OrderOutcome) -> &'static str {
    match outcome {
        OrderOutcome::Filled => "filled",
        OrderOutcome::PartiallyFilled => "partially_filled",
        OrderOutcome::Unfilled => "unfilled",
        OrderOutcome::Cancelled => "cancelled",
    }
}

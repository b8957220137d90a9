//! What events do to the tables of schema 2: orders, estimates, refusals.
//!
//! Apart from the older tables, so that a database of schema 1 can be filled from its own log.

use std::path::Path;

use rusqlite::{Connection, params};

use super::super::error::Fault;
use super::super::events::{self, refused, row_id};
use super::{Step, utc_text};
use crate::domain::{
    Estimate, EventId, Fill, LedgerEvent, Order, OrderOutcome, Price, Shares, Side, StampedEvent,
    Timestamp, Usdc,
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
    let step = Step::of(conn, stamped)?;
    match &stamped.event {
        LedgerEvent::OrderAccepted { order } => step.accepted(order),
        LedgerEvent::OrderRested {
            order_id,
            queue_ahead,
            ..
        } => step.rests(*order_id, *queue_ahead),
        LedgerEvent::QueueAdvanced {
            order_id,
            queue_ahead,
            ..
        } => step.rests(*order_id, *queue_ahead),
        LedgerEvent::Filled { fill } => step.order_filled(fill),
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
            side,
            limit,
            shares,
            signal_id,
            code,
            message,
            ..
        } => {
            let signal_id = signal_id.map(|id| row_id(step.seq, id)).transpose()?;
            step.refused(params![
                utc_text(step.at),
                strategy.as_str(),
                market_id.as_str(),
                token_id.as_str(),
                side.map(Side::as_str),
                limit.map(Price::to_f64),
                shares.map(Shares::to_f64),
                signal_id,
                code,
                message,
                limit.map(Price::micros),
                shares.map(Shares::micros),
                step.at.millis(),
                step.row,
            ])
        }
        LedgerEvent::EstimateStored { estimate } => step.estimated(estimate),
        LedgerEvent::EstimateScored {
            estimate,
            payout,
            brier,
            log_score,
            weight,
            ..
        } => step.scored(estimate, *payout, [*brier, *log_score, *weight]),
        _ => Ok(()),
    }
}

impl Step<'_> {
    fn accepted(&self, order: &Order) -> Result<(), Fault> {
        let signal_id = order.signal_id.map(|id| row_id(self.seq, id)).transpose()?;
        let basket = order.basket.map(|id| row_id(self.seq, id)).transpose()?;
        self.conn
            .prepare_cached(
                "INSERT INTO orders (id, client_order_id, signal_id, strategy, market_id, token_id, \
                 outcome, side, order_type, limit_price, shares, remaining, reason, created_at, \
                 updated_at, basket, limit_micros, shares_micros, created_at_ms, updated_at_ms, \
                 event_seq, updated_seq, event_id, expires_at, expires_at_ms) VALUES (?1, ?2, ?3, \
                 ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13, ?13, ?14, ?15, ?16, ?17, ?17, \
                 ?18, ?18, ?19, ?20, ?21)",
            )?
            .execute(params![
                row_id(self.seq, order.id)?,
                order.client_order_id,
                signal_id,
                order.strategy.as_str(),
                order.market_id.as_str(),
                order.token_id.as_str(),
                order.outcome.as_str(),
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
                order.event_id.as_ref().map(EventId::as_str),
                order.expires_at.map(utc_text),
                order.expires_at.map(Timestamp::millis),
            ])?;
        Ok(())
    }

    fn rests(&self, order_id: u64, queue_ahead: Shares) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "UPDATE orders SET status = 'resting', queue_ahead = ?5, queue_ahead_micros = ?6, \
                 updated_at = ?2, updated_at_ms = ?3, updated_seq = ?4 WHERE id = ?1",
            )?
            .execute(params![
                row_id(self.seq, order_id)?,
                utc_text(self.at),
                self.at.millis(),
                self.row,
                queue_ahead.to_f64(),
                queue_ahead.micros(),
            ])?;
        Ok(())
    }

    /// Decimal columns are made anew from the exact ones, so that they never drift.
    fn order_filled(&self, fill: &Fill) -> Result<(), Fault> {
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

    fn refused(&self, values: &[&dyn rusqlite::ToSql]) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "INSERT INTO refusals (timestamp, strategy, market_id, token_id, side, limit_price, \
                 shares, signal_id, code, message, limit_micros, shares_micros, at_ms, event_seq) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .execute(values)?;
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
                estimate.outcome.as_str(),
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

    /// The oldest estimate of this kind that has no score yet: an author may have said the same twice
    /// in one moment.
    fn scored(
        &self,
        estimate: &Estimate,
        payout: Price,
        [brier, log_score, weight]: [f64; 3],
    ) -> Result<(), Fault> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE estimates SET payout = ?5, payout_micros = ?6, brier = ?7, log_score = ?8, \
                 scored_at = ?9, scored_at_ms = ?10, weight = ?11 WHERE id = (SELECT min(id) FROM estimates \
                 WHERE market_id = ?1 AND author = ?2 AND token_id = ?3 AND created_at_ms = ?4 \
                 AND scored_at_ms IS NULL)",
            )?
            .execute(params![
                estimate.market_id.as_str(),
                estimate.author,
                estimate.token_id.as_str(),
                estimate.created_at.millis(),
                payout.to_f64(),
                payout.micros(),
                brier,
                log_score,
                utc_text(self.at),
                self.at.millis(),
                weight,
            ])?;
        if changed == 1 {
            return Ok(());
        }
        Err(refused(
            self.seq,
            format!(
                "there is no estimate by {} on market {} of {} to score",
                estimate.author, estimate.market_id, estimate.created_at
            ),
        ))
    }
}

/// An order's status once it is over.
fn status(outcome: OrderOutcome) -> &'static str {
    match outcome {
        OrderOutcome::Filled => "filled",
        OrderOutcome::PartiallyFilled => "partially_filled",
        OrderOutcome::Unfilled => "unfilled",
        OrderOutcome::Cancelled => "cancelled",
        OrderOutcome::Expired => "expired",
    }
}

#[cfg(test)]
mod tests;

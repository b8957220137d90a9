//! What each event does to the tables that tools read.

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, params};

use super::error::Fault;
use super::events::{refused, row_id};
use super::positions;
use crate::domain::{
    ConditionalOrder, Fill, LedgerEvent, Price, Shares, Signal, StampedEvent, Timestamp, TokenId,
    Usdc,
};

mod second;

pub(super) use second::fill as fill_second;

/// Applies one event that has just been inserted into the log.
pub(super) fn apply(conn: &Connection, stamped: &StampedEvent) -> Result<(), Fault> {
    first(conn, stamped)?;
    second::apply(conn, stamped)
}

/// The tables of schema 1.
fn first(conn: &Connection, stamped: &StampedEvent) -> Result<(), Fault> {
    let step = Step::of(conn, stamped)?;
    match &stamped.event {
        LedgerEvent::Filled { fill } => step.filled(fill),
        LedgerEvent::Settled {
            market_id,
            token_id,
            payout,
            shares,
            proceeds,
            evidence,
        } => step.settled(
            market_id.as_str(),
            token_id,
            *payout,
            *shares,
            *proceeds,
            evidence,
        ),
        LedgerEvent::Marked { marks } => positions::mark(conn, stamped.at, marks),
        LedgerEvent::SignalGenerated { signal_id, signal } => {
            step.signal_generated(*signal_id, signal)
        }
        LedgerEvent::SignalExecuted { signal_id } => step.signal_executed(*signal_id),
        LedgerEvent::SignalRejected { signal_id, reason } => {
            step.signal_rejected(*signal_id, reason)
        }
        LedgerEvent::SnapshotTaken {
            balance,
            total_value,
        } => step.snapshot(*balance, *total_value),
        LedgerEvent::ConditionalCreated { conditional } => step.conditional_created(conditional),
        LedgerEvent::WatermarkRaised { id, watermark } => step.conditional_changed(
            *id,
            "UPDATE conditional_orders SET high_watermark = ?2, high_watermark_micros = ?3 \
             WHERE id = ?1 AND status = 'active'",
            params![
                row_id(step.seq, *id)?,
                watermark.to_f64(),
                watermark.micros()
            ],
        ),
        LedgerEvent::ConditionalReduced { id, shares, sale } => {
            step.conditional_changed(
                *id,
                "UPDATE conditional_orders SET size = ?2, size_micros = ?3 \
                 WHERE id = ?1 AND status = 'active'",
                params![row_id(step.seq, *id)?, shares.to_f64(), shares.micros()],
            )?;
            let Some(sale) = sale else { return Ok(()) };
            step.conditional_sold(
                *id,
                sale.bid,
                Some(sale.trigger),
                sale.sold,
                Some(sale.proceeds),
            )
        }
        LedgerEvent::ConditionalTriggered {
            id,
            bid,
            sold,
            proceeds,
            trigger,
        } => {
            step.conditional_sold(*id, *bid, *trigger, *sold, *proceeds)?;
            step.conditional_changed(
                *id,
                "UPDATE conditional_orders SET status = 'triggered', triggered_at = ?2, \
                 triggered_at_ms = ?3 WHERE id = ?1 AND status = 'active'",
                params![row_id(step.seq, *id)?, utc_text(step.at), step.at.millis()],
            )
        }
        LedgerEvent::ConditionalCancelled { id, reason } => step.conditional_changed(
            *id,
            "UPDATE conditional_orders SET status = 'cancelled', cancelled_at = ?2, \
             cancelled_at_ms = ?3, cancel_reason = ?4 WHERE id = ?1 AND status = 'active'",
            params![
                row_id(step.seq, *id)?,
                utc_text(step.at),
                step.at.millis(),
                reason
            ],
        ),
        // In the log alone, or in the tables of schema 2.
        LedgerEvent::AccountOpened { .. }
        | LedgerEvent::BidsGone { .. }
        | LedgerEvent::ConditionalDoubted { .. }
        | LedgerEvent::ConfigChanged { .. }
        | LedgerEvent::DepthUsed { .. }
        | LedgerEvent::EstimateScored { .. }
        | LedgerEvent::Halted { .. }
        | LedgerEvent::PeakRaised { .. }
        | LedgerEvent::QueueAdvanced { .. }
        | LedgerEvent::Resumed { .. }
        | LedgerEvent::Deposited { .. }
        | LedgerEvent::OrderAccepted { .. }
        | LedgerEvent::OrderRefused { .. }
        | LedgerEvent::OrderRested { .. }
        | LedgerEvent::OrderClosed { .. }
        | LedgerEvent::EstimateStored { .. }
        | LedgerEvent::DayStarted { .. }
        | LedgerEvent::TickCompleted { .. } => Ok(()),
    }
}

/// RFC 3339 in UTC, always with three decimals, so that text sorts as time does.
pub(super) fn utc_text(at: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_millis(at.millis()).map_or_else(
        || at.to_rfc3339(),
        |moment| moment.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

/// An event on its way into the tables.
struct Step<'a> {
    conn: &'a Connection,
    seq: u64,
    row: i64,
    at: Timestamp,
}

impl<'a> Step<'a> {
    /// Errors: a number that SQLite cannot hold.
    fn of(conn: &'a Connection, stamped: &StampedEvent) -> Result<Self, Fault> {
        Ok(Step {
            conn,
            seq: stamped.seq,
            row: row_id(stamped.seq, stamped.seq)?,
            at: stamped.at,
        })
    }
}

/// One line of `trades`.
struct Trade<'a> {
    strategy: &'a str,
    market_id: &'a str,
    token_id: &'a TokenId,
    side: &'a str,
    price: Price,
    size: Usdc,
    reason: &'a str,
    shares: Shares,
    fee: Usdc,
    order_id: Option<i64>,
    maker: bool,
    outcome: &'a str,
    change: &'a positions::Change,
}

impl Step<'_> {
    fn filled(&self, fill: &Fill) -> Result<(), Fault> {
        let change = positions::fill(self.conn, self.seq, self.at, fill)?;
        self.trade(&Trade {
            strategy: fill.strategy.as_str(),
            market_id: fill.market_id.as_str(),
            token_id: &fill.token_id,
            side: fill.side.as_str(),
            price: fill.price,
            size: fill.notional,
            reason: &fill.reason,
            shares: fill.shares,
            fee: fill.fee,
            order_id: Some(row_id(self.seq, fill.order_id)?),
            maker: fill.maker,
            outcome: &fill.outcome,
            change: &change,
        })
    }

    fn settled(
        &self,
        market_id: &str,
        token_id: &TokenId,
        payout: Price,
        shares: Shares,
        proceeds: Usdc,
        evidence: &str,
    ) -> Result<(), Fault> {
        let change = positions::give(self.conn, self.seq, token_id, shares, proceeds)?;
        self.trade(&Trade {
            strategy: &change.entry_strategy,
            market_id,
            token_id,
            side: "settle",
            price: payout,
            size: proceeds,
            reason: evidence,
            shares,
            fee: Usdc::ZERO,
            order_id: None,
            maker: false,
            outcome: &change.outcome,
            change: &change,
        })
    }

    fn trade(&self, trade: &Trade<'_>) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "INSERT INTO trades (timestamp, strategy, market_id, token_id, side, price, size, \
                 reason, shares, fee, outcome, order_id, maker, entry_strategy, price_micros, \
                 size_micros, shares_micros, fee_micros, realised_micros, at_ms, event_seq) VALUES \
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
                 ?19, ?20, ?21)",
            )?
            .execute(params![
                utc_text(self.at),
                trade.strategy,
                trade.market_id,
                trade.token_id.as_str(),
                trade.side,
                trade.price.to_f64(),
                trade.size.to_f64(),
                trade.reason,
                trade.shares.to_f64(),
                trade.fee.to_f64(),
                trade.outcome,
                trade.order_id,
                trade.maker,
                trade.change.entry_strategy,
                trade.price.micros(),
                trade.size.micros(),
                trade.shares.micros(),
                trade.fee.micros(),
                trade.change.realised.map(Usdc::micros),
                self.at.millis(),
                self.row,
            ])?;
        Ok(())
    }

    fn signal_generated(&self, id: u64, signal: &Signal) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "INSERT INTO signal_log (id, timestamp, strategy, market_id, token_id, side, \
                 confidence, size, reason, fair_price, edge, price, outcome, price_micros, \
                 size_micros, at_ms, event_seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
                 ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            )?
            .execute(params![
                row_id(self.seq, id)?,
                utc_text(self.at),
                signal.strategy.as_str(),
                signal.market_id.as_str(),
                signal.token_id.as_str(),
                signal.side.as_str(),
                signal.confidence,
                signal.size.to_f64(),
                signal.reason.to_string(),
                signal.fair_price,
                signal.edge,
                signal.target_price.to_f64(),
                signal.outcome.as_str(),
                signal.target_price.micros(),
                signal.size.micros(),
                self.at.millis(),
                self.row,
            ])?;
        Ok(())
    }

    /// A signal that traded at all is executed, whatever was said of it before.
    fn signal_executed(&self, id: u64) -> Result<(), Fault> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE signal_log SET status = 'executed', rejection = NULL WHERE id = ?1",
            )?
            .execute([row_id(self.seq, id)?])?;
        self.must_exist(changed, "signal", id)
    }

    /// Rejecting what has traded changes nothing: the rest of it was dropped.
    fn signal_rejected(&self, id: u64, reason: &str) -> Result<(), Fault> {
        let changed = self
            .conn
            .prepare_cached(
                "UPDATE signal_log SET \
                 rejection = CASE status WHEN 'executed' THEN rejection ELSE ?2 END, \
                 status = CASE status WHEN 'executed' THEN 'executed' ELSE 'rejected' END \
                 WHERE id = ?1",
            )?
            .execute(params![row_id(self.seq, id)?, reason])?;
        self.must_exist(changed, "signal", id)
    }

    fn snapshot(&self, balance: Usdc, total_value: Usdc) -> Result<(), Fault> {
        let positions_json = positions::snapshot_json(self.conn, self.seq)?;
        self.conn
            .prepare_cached(
                "INSERT INTO portfolio_snapshots (timestamp, balance, total_value, positions_json, \
                 balance_micros, total_value_micros, at_ms, event_seq) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                utc_text(self.at),
                balance.to_f64(),
                total_value.to_f64(),
                positions_json,
                balance.micros(),
                total_value.micros(),
                self.at.millis(),
                self.row,
            ])?;
        Ok(())
    }

    fn conditional_created(&self, order: &ConditionalOrder) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "INSERT INTO conditional_orders (id, created_at, token_id, market_id, order_type, \
                 trigger_price, size, high_watermark, trail_percent, parent_strategy, reason, \
                 trigger_price_micros, size_micros, high_watermark_micros, trail_percent_micros, \
                 created_at_ms, event_seq, oco_group) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
                 ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            )?
            .execute(params![
                row_id(self.seq, order.id)?,
                utc_text(order.created_at),
                order.token_id.as_str(),
                order.market_id.as_str(),
                order.kind.as_str(),
                order.trigger_price.to_f64(),
                order.shares.to_f64(),
                order.high_watermark.map(Price::to_f64),
                order.trail_percent.map(Price::to_f64),
                order.parent_strategy.as_str(),
                order.reason,
                order.trigger_price.micros(),
                order.shares.micros(),
                order.high_watermark.map(Price::micros),
                order.trail_percent.map(Price::micros),
                order.created_at.millis(),
                self.row,
                order
                    .group
                    .map(|group| row_id(self.seq, group))
                    .transpose()?,
            ])?;
        Ok(())
    }

    /// Adds a sale to those before it. Sums are of the exact columns, and the decimal ones are made
    /// anew from them; what a sale of 1.0 brought is not known, nor is then the sum.
    fn conditional_sold(
        &self,
        id: u64,
        bid: Price,
        trigger: Option<Price>,
        sold: Shares,
        proceeds: Option<Usdc>,
    ) -> Result<(), Fault> {
        self.conditional_changed(
            id,
            "UPDATE conditional_orders SET triggered_bid = ?2, triggered_bid_micros = ?3, \
             fired_trigger = ?4, fired_trigger_micros = ?5, \
             sold = (coalesce(sold_micros, 0) + ?6) / 1000000.0, \
             sold_micros = coalesce(sold_micros, 0) + ?6, \
             proceeds = (CASE WHEN sold_micros IS NULL THEN 0 ELSE proceeds_micros END + ?7) \
             / 1000000.0, \
             proceeds_micros = CASE WHEN sold_micros IS NULL THEN 0 ELSE proceeds_micros END + ?7 \
             WHERE id = ?1 AND status = 'active'",
            params![
                row_id(self.seq, id)?,
                bid.to_f64(),
                bid.micros(),
                trigger.map(Price::to_f64),
                trigger.map(Price::micros),
                sold.micros(),
                proceeds.map(Usdc::micros),
            ],
        )
    }

    fn conditional_changed(
        &self,
        id: u64,
        sql: &str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<(), Fault> {
        let changed = self.conn.prepare_cached(sql)?.execute(values)?;
        self.must_exist(changed, "active conditional order", id)
    }

    fn must_exist(&self, changed: usize, what: &str, id: u64) -> Result<(), Fault> {
        if changed == 1 {
            return Ok(());
        }
        Err(refused(self.seq, format!("there is no {what} {id}")))
    }
}

#[cfg(test)]
mod tests;

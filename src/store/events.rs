//! The event log: appended in groups, read back in order.

use rusqlite::{Connection, params};

use super::Store;
use super::error::{Fault, StoreError};
use super::projection;
use crate::domain::{LedgerEvent, StampedEvent, Timestamp};

impl Store {
    /// Appends `events` and updates the read models in one synced transaction. Errors:
    /// [`StoreError::Gap`] when they do not continue the log, [`StoreError::Refused`] when one
    /// contradicts it, or what SQLite reports; then nothing at all has been written.
    pub fn append(&self, events: &[StampedEvent]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            let mut last = last_seq(tx)?;
            let mut insert = tx.prepare_cached(
                "INSERT INTO events (seq, at_ms, kind, payload) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for stamped in events {
                let seq = row_id(stamped.seq, stamped.seq)?;
                if last.checked_add(1) != Some(stamped.seq) {
                    return Err(Fault::Store(StoreError::Gap {
                        expected: last.saturating_add(1),
                        found: stamped.seq,
                    }));
                }
                check_numbers(stamped)?;
                let payload = serde_json::to_string(&stamped.event)
                    .map_err(|error| refused(stamped.seq, error.to_string()))?;
                insert.execute(params![
                    seq,
                    stamped.at.millis(),
                    kind(&stamped.event),
                    payload
                ])?;
                projection::apply(tx, stamped)
                    .map_err(|fault| name_event(fault, stamped.seq))?;
                last = stamped.seq;
            }
            Ok(())
        })
    }

    /// Number of the last event; 0 in an empty log.
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        self.read(|tx| last_seq(tx))
    }

    /// Calls `visit` with every event after number `after`, in order, without holding them all in
    /// memory. Stops at the first error of `visit` and returns it. Errors of the store itself:
    /// [`StoreError::Gap`] or [`StoreError::Corrupt`] when the log is damaged.
    pub fn for_each_event<E: From<StoreError>>(
        &self,
        after: u64,
        mut visit: impl FnMut(StampedEvent) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut stopped = None;
        self.read(|tx| {
            walk(&self.path, tx, after, u64::MAX, |event| match visit(event) {
                Ok(()) => true,
                Err(error) => {
                    stopped = Some(error);
                    false
                }
            })
        })?;
        stopped.map_or(Ok(()), Err)
    }

    /// At most `limit` events after number `after`, oldest first.
    pub fn events(&self, after: u64, limit: u32) -> Result<Vec<StampedEvent>, StoreError> {
        self.read(|tx| {
            let mut events = Vec::new();
            walk(&self.path, tx, after, u64::from(limit), |event| {
                events.push(event);
                true
            })?;
            Ok(events)
        })
    }
}

fn walk(
    path: &std::path::Path,
    conn: &Connection,
    after: u64,
    limit: u64,
    mut visit: impl FnMut(StampedEvent) -> bool,
) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, at_ms, payload FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![clamp(after), clamp(limit)])?;
    let mut last = after;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let seq = u64::try_from(seq).unwrap_or(0);
        if last.checked_add(1) != Some(seq) {
            return Err(Fault::Store(StoreError::Gap {
                expected: last.saturating_add(1),
                found: seq,
            }));
        }
        last = seq;
        let payload: String = row.get(2)?;
        let event: LedgerEvent =
            serde_json::from_str(&payload).map_err(|error| StoreError::Corrupt {
                path: path.to_path_buf(),
                detail: format!("event {seq} cannot be read: {error}"),
            })?;
        let event = StampedEvent {
            seq,
            at: Timestamp::from_millis(row.get(1)?),
            event,
        };
        if !visit(event) {
            break;
        }
    }
    Ok(())
}

fn last_seq(conn: &Connection) -> Result<u64, Fault> {
    let last: i64 = conn
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?
        .query_row([], |row| row.get(0))?;
    Ok(u64::try_from(last).unwrap_or(0))
}

/// A refusal of event `seq`.
pub(super) fn refused(seq: u64, detail: impl Into<String>) -> Fault {
    Fault::Store(StoreError::Refused {
        seq,
        detail: detail.into(),
    })
}

/// A constraint of the tables that an event breaks (a signal number used twice, say) is the event's
/// fault, not the file's.
fn name_event(fault: Fault, seq: u64) -> Fault {
    match &fault {
        Fault::Sql(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            refused(seq, error.to_string())
        }
        _ => fault,
    }
}

/// A number as SQLite holds it. Errors: above 2^63.
pub(super) fn row_id(seq: u64, number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| refused(seq, format!("{number} is too large")))
}

/// JSON has no NaN and no infinity: they would be written as null and never be read again.
fn check_numbers(stamped: &StampedEvent) -> Result<(), Fault> {
    let numbers: &[(&str, Option<f64>)] = match &stamped.event {
        LedgerEvent::SignalGenerated { signal, .. } => &[
            ("confidence", Some(signal.confidence)),
            ("fair_price", Some(signal.fair_price)),
            ("edge", Some(signal.edge)),
        ],
        LedgerEvent::EstimateStored { estimate } => &[
            ("probability", Some(estimate.probability)),
            ("confidence", estimate.confidence),
        ],
        _ => &[],
    };
    match numbers
        .iter()
        .find(|(_, number)| number.is_some_and(|number| !number.is_finite()))
    {
        Some((name, _)) => Err(refused(stamped.seq, format!("{name} is not a number"))),
        None => Ok(()),
    }
}

/// The event's tag, as in its JSON.
fn kind(event: &LedgerEvent) -> &'static str {
    match event {
        LedgerEvent::Deposited { .. } => "deposited",
        LedgerEvent::SignalGenerated { .. } => "signal_generated",
        LedgerEvent::SignalExecuted { .. } => "signal_executed",
        LedgerEvent::SignalRejected { .. } => "signal_rejected",
        LedgerEvent::OrderAccepted { .. } => "order_accepted",
        LedgerEvent::OrderRefused { .. } => "order_refused",
        LedgerEvent::OrderRested { .. } => "order_rested",
        LedgerEvent::Filled { .. } => "filled",
        LedgerEvent::OrderClosed { .. } => "order_closed",
        LedgerEvent::ConditionalCreated { .. } => "conditional_created",
        LedgerEvent::WatermarkRaised { .. } => "watermark_raised",
        LedgerEvent::ConditionalTriggered { .. } => "conditional_triggered",
        LedgerEvent::ConditionalReduced { .. } => "conditional_reduced",
        LedgerEvent::ConditionalCancelled { .. } => "conditional_cancelled",
        LedgerEvent::Marked { .. } => "marked",
        LedgerEvent::Settled { .. } => "settled",
        LedgerEvent::EstimateStored { .. } => "estimate_stored",
        LedgerEvent::DayStarted { .. } => "day_started",
        LedgerEvent::SnapshotTaken { .. } => "snapshot_taken",
        LedgerEvent::TickCompleted { .. } => "tick_completed",
    }
}

//! What becomes of a logged signal. It is executed once its order has filled or rests, and rejected
//! once its order is over without either. An order that takes time to arrive keeps its signals open
//! until then.

use crate::domain::{LedgerEvent, Order};

use super::super::ledger::{LedgerError, Recorder};
use super::super::report::{IN_FLIGHT, OrderReport, RESTING};
use super::{DeskError, Step};

/// The signals of an order that have not ended.
fn open(recorder: &Recorder<'_>, order: &Order) -> Vec<u64> {
    order
        .signals()
        .filter(|row| recorder.ledger().open_signal(*row).is_some())
        .collect()
}

/// Rejects what an order leaves open that ended unfilled. Errors: as [`Recorder::record`].
pub(super) fn reject_open(
    recorder: &mut Recorder<'_>,
    order: &Order,
    reason: &str,
) -> Result<(), LedgerError> {
    for signal_id in open(recorder, order) {
        let reason = reason.to_owned();
        recorder.record(LedgerEvent::SignalRejected { signal_id, reason })?;
    }
    Ok(())
}

impl Step<'_> {
    /// Ends an order's signals as the exchange's answer says. Nothing while it is on its way.
    pub(super) fn conclude_signals(
        &mut self,
        order: &Order,
        report: &OrderReport,
    ) -> Result<(), DeskError> {
        if report.status == IN_FLIGHT {
            return Ok(());
        }
        let executed = !report.fills.is_empty() || report.status == RESTING;
        for signal_id in open(&self.recorder, order) {
            if executed {
                self.recorder
                    .record(LedgerEvent::SignalExecuted { signal_id })?;
            } else {
                self.reject(signal_id, "unfilled", report.reason.clone())?;
            }
        }
        Ok(())
    }
}

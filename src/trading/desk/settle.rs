//! Settlement: positions of resolved markets are paid out, once.

use crate::domain::{LedgerEvent, Rounding, notional};

use super::super::report::SettlementReport;
use super::{DeskError, Step};

impl Step<'_> {
    /// Pays out positions of resolved markets, once, and withdraws what waits on them.
    pub(super) fn settle(&mut self) -> Result<(), DeskError> {
        let snapshot = self.snapshot;
        for resolution in &snapshot.resolutions {
            let market_id = &resolution.market_id;
            let waiting: Vec<u64> = self
                .ledger()
                .resting()
                .iter()
                .filter(|(_, resting)| resting.order.market_id == *market_id)
                .map(|(id, _)| *id)
                .collect();
            for id in waiting {
                self.cancel_resting(id, "the market resolved")?;
            }
            let held: Vec<_> = self
                .ledger()
                .positions()
                .values()
                .filter(|position| position.market_id == *market_id)
                .cloned()
                .collect();
            for position in held {
                let token = position.token_id.clone();
                let Some(payout) = resolution.payout_of(&token) else {
                    self.report.notes.push(format!(
                        "market {market_id} resolved, but its resolution does not name token \
                         {token}; the position stays"
                    ));
                    continue;
                };
                let proceeds = notional(payout, position.shares, Rounding::Down)?;
                self.recorder.record(LedgerEvent::Settled {
                    market_id: market_id.clone(),
                    token_id: token.clone(),
                    payout,
                    shares: position.shares,
                    proceeds,
                    evidence: resolution.evidence.clone(),
                })?;
                self.traded = true;
                self.withdraw_conditionals(&token, "the market resolved")?;
                self.report.settlements.push(SettlementReport {
                    market_id: market_id.to_string(),
                    token_id: token.to_string(),
                    outcome: position.outcome.clone(),
                    payout: payout.to_f64(),
                    shares: position.shares.to_f64(),
                    proceeds: proceeds.to_f64(),
                    pnl: proceeds.minus(position.cost).to_f64(),
                    evidence: resolution.evidence.clone(),
                });
            }
        }
        Ok(())
    }
}

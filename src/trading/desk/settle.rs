//! Settlement: positions of resolved markets are paid out, once.

use crate::domain::{LedgerEvent, MarketStatus, Position, Rounding, notional};

use super::super::report::{SettlementReport, UnsettledReport};
use super::{DeskError, Step};

impl Step<'_> {
    /// Pays out positions of resolved markets, once, and withdraws what waits on them.
    pub(super) fn settle(&mut self) -> Result<(), DeskError> {
        let snapshot = self.snapshot;
        for resolution in &snapshot.resolutions {
            let market_id = &resolution.market_id;
            let waiting: Vec<u64> = self
                .ledger()
                .open_orders()
                // In bad data a token belongs to two markets: its shares are gone when the first pays.
                .filter(|(order, _)| {
                    order.market_id == *market_id || resolution.payout_of(&order.token_id).is_some()
                })
                .map(|(order, _)| order.id)
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
                    outcome: position.outcome.to_string(),
                    payout: payout.to_f64(),
                    shares: position.shares.to_f64(),
                    proceeds: proceeds.to_f64(),
                    pnl: proceeds.minus(position.cost).to_f64(),
                    evidence: resolution.evidence.clone(),
                });
            }
            self.score_estimates(resolution)?;
        }
        Ok(())
    }

    /// Says which positions wait for their market's end, and why nothing is paid yet. They keep
    /// their shares and their last mark: a closed market, a past end or a price of 0.99 is no
    /// resolution.
    pub(super) fn list_unsettled(&mut self) {
        let unsettled: Vec<UnsettledReport> = self
            .ledger()
            .positions()
            .values()
            .filter_map(|position| self.unsettled(position))
            .collect();
        self.report.unsettled = unsettled;
    }

    fn unsettled(&self, position: &Position) -> Option<UnsettledReport> {
        let id = &position.market_id;
        let (state, end) = match self.view(id).map(|view| &view.market) {
            Some(market) => match market.status {
                MarketStatus::Open => return None,
                MarketStatus::Paused => ("paused", market.end),
                MarketStatus::Closed => ("closed", market.end),
            },
            None => ("unknown", None),
        };
        let pending = self
            .snapshot
            .pending
            .iter()
            .find(|pending| pending.market_id == *id);
        let mut why = match state {
            "unknown" => {
                "the source does not know this market now; the position keeps its shares and its \
                 last mark"
                    .to_owned()
            }
            "paused" => "the market takes no orders now and has not resolved".to_owned(),
            _ => "the market is closed and awaits its resolution".to_owned(),
        };
        if let Some(pending) = pending {
            why.push_str(&format!(
                "; {} by {} at {}",
                pending.state, pending.evidence, pending.seen_at
            ));
        }
        if let Some(end) = end {
            why.push_str(&format!("; its end was set for {end}"));
        }
        if self
            .snapshot
            .resolutions
            .iter()
            .any(|resolution| resolution.market_id == *id)
        {
            why = "the market resolved, but its resolution does not name this token".to_owned();
        }
        Some(UnsettledReport {
            market_id: id.to_string(),
            token_id: position.token_id.to_string(),
            outcome: position.outcome.to_string(),
            shares: position.shares.to_f64(),
            cost: position.cost.to_f64(),
            state: state.to_owned(),
            why,
        })
    }
}

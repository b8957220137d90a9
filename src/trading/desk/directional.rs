//! Signals on one outcome: aggregated, sized, judged, matched.

use crate::domain::{LedgerEvent, Order, OrderType, Side, Signal};

use super::super::aggregation::{self, Logged};
use super::super::config::Mode;
use super::super::sizing;
use super::super::venue_rules;
use super::{DeskError, Step};

impl Step<'_> {
    pub(super) fn trade_directional(&mut self, signals: Vec<Signal>) -> Result<(), DeskError> {
        let mut logged = Vec::with_capacity(signals.len());
        for signal in signals {
            logged.push((self.log_signal(&signal)?, signal));
        }
        if self.config.mode == Mode::Monitor {
            return Ok(());
        }
        let names: Vec<(u64, String)> = logged
            .iter()
            .map(|(id, signal)| (*id, signal.strategy.to_string()))
            .collect();
        let snapshot = self.snapshot;
        let aggregated = aggregation::aggregate(
            logged,
            |market, token| {
                Some(
                    snapshot
                        .market(market)?
                        .market
                        .opposite_of(token)?
                        .token
                        .clone(),
                )
            },
            &self.config.aggregation,
        );
        for (id, reason) in aggregated.dropped {
            let strategy = names
                .iter()
                .find(|(known, _)| *known == id)
                .map(|(_, name)| name.clone())
                .unwrap_or_default();
            let cause = reason.split(':').next().unwrap_or_default().to_owned();
            self.reject(id, &strategy, &cause, reason)?;
        }
        for signal in aggregated.kept {
            self.trade_signal(&signal)?;
        }
        Ok(())
    }

    fn trade_signal(&mut self, logged: &Logged) -> Result<(), DeskError> {
        let signal = &logged.signal;
        let rows = || std::iter::once(&logged.id).chain(&logged.supporters);
        let Some(view) = self.view(&signal.market_id) else {
            let reason = "the market is not among those gathered for this tick".to_owned();
            for row in rows() {
                self.reject(
                    *row,
                    signal.strategy.as_str(),
                    "market not gathered",
                    reason.clone(),
                )?;
            }
            return Ok(());
        };
        let equity = self.ledger().equity().total;
        let sized = sizing::size(signal, &view.market, equity, &self.config.sizing);
        let held = self.ledger().sellable(&signal.token_id);
        let shares = venue_rules::shares_for(signal.side, sized.size, signal.target_price, held);
        let order = Order {
            id: self.ledger().next_order_id(),
            client_order_id: None,
            signal_id: Some(logged.id),
            strategy: signal.strategy.clone(),
            market_id: signal.market_id.clone(),
            token_id: signal.token_id.clone(),
            outcome: signal.outcome.clone(),
            side: signal.side,
            limit: signal.target_price,
            shares,
            order_type: OrderType::Fak,
            basket: None,
            reason: format!("{}; {}", signal.reason, sized.explanation),
            stop_loss: signal.stop_loss,
            take_profit: signal.take_profit,
            trail_percent: None,
        };
        let book = self.book(&signal.token_id);
        let approved = match self.gate().approve(order, &view.market, book.as_ref()) {
            Ok(approved) => approved,
            Err(refusal) => {
                for row in rows() {
                    let strategy = signal.strategy.as_str();
                    self.reject(*row, strategy, &refusal.code, refusal.message.clone())?;
                }
                return Ok(());
            }
        };
        let order = approved.get().clone();
        let report = self.submit(approved, &view.market)?;
        for row in rows() {
            if report.fills.is_empty() {
                self.reject(
                    *row,
                    signal.strategy.as_str(),
                    "unfilled",
                    report.reason.clone(),
                )?;
            } else {
                self.recorder
                    .record(LedgerEvent::SignalExecuted { signal_id: *row })?;
            }
        }
        if signal.side == Side::Buy && !report.fills.is_empty() {
            self.attach_exits(&order, &view.market, self.config.conditional.enabled)?;
        }
        Ok(())
    }
}

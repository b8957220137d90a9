//! Signals on one outcome: aggregated, sized, judged, matched.

use crate::domain::{Book, Market, Order, OrderType, Side, Signal, TokenId, Usdc};

use super::super::aggregation::{self, Logged};
use super::super::config::Mode;
use super::super::ledger::Scope;
use super::super::sizing::{self, Purse};
use super::super::venue_rules;
use super::doors::Doors;
use super::wishes::{LateLooks, NOT_GATHERED, Wish};
use super::{DeskError, Step};

impl Step<'_> {
    pub(super) fn trade_directional(
        &mut self,
        wishes: &[Wish<'_>],
        late: &LateLooks<'_>,
    ) -> Result<(), DeskError> {
        let logged = self.log_wishes(wishes, late)?;
        if self.config.mode == Mode::Monitor {
            for (row, _) in logged {
                self.reject_unmonitored(row)?;
            }
            return Ok(());
        }
        let snapshot = self.snapshot;
        let aggregated = aggregation::aggregate(
            logged,
            |market, token: &TokenId| {
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
        for dropped in aggregated.dropped {
            self.reject(dropped.id, dropped.cause, dropped.reason)?;
        }
        for signal in aggregated.kept {
            if self.snapshot.is_interrupted() {
                break;
            }
            self.trade_signal(&signal)?;
        }
        Ok(())
    }

    /// Logs what is wanted, but for what a limit of the account refuses whatever it is.
    fn log_wishes(
        &mut self,
        wishes: &[Wish<'_>],
        late: &LateLooks<'_>,
    ) -> Result<Vec<(u64, Signal)>, DeskError> {
        let mut doors = Doors::new(&self.gate(), self.config.sizing.method, wishes, late);
        let mut logged = Vec::new();
        for wish in wishes {
            // What is decided then is thrown away.
            if self.snapshot.is_interrupted() {
                break;
            }
            if doors.counts(wish, late) {
                continue;
            }
            let signal = match wish {
                Wish::Known(signal) => (*signal).clone(),
                Wish::Late(of) => match late.purchase(*of) {
                    Some(signal) => signal,
                    // In a step that is given up; should it ever be in another, it is told.
                    None => {
                        self.report.not_traded(late.name(of.strategy), NOT_GATHERED);
                        continue;
                    }
                },
            };
            logged.push((self.log_signal(&signal)?, signal));
        }
        for door in doors.into_counted() {
            let strategy = door.strategy.as_str();
            for (limit, count) in door.counted {
                self.report.many_not_traded(strategy, limit, count);
            }
        }
        Ok(logged)
    }

    fn trade_signal(&mut self, logged: &Logged) -> Result<(), DeskError> {
        let signal = &logged.signal;
        let rows = || std::iter::once(&logged.id).chain(&logged.supporters);
        let Some(view) = self.view(&signal.market_id) else {
            let reason = "the market is not among those gathered for this tick".to_owned();
            for row in rows() {
                self.reject(*row, NOT_GATHERED, reason.clone())?;
            }
            return Ok(());
        };
        if let Some(reason) = lacks_edge(signal, &view.market) {
            for row in rows() {
                self.reject(*row, "no edge", reason.clone())?;
            }
            return Ok(());
        }
        let at_stake = self.ledger().exposures(&Scope {
            token: &signal.token_id,
            market: &signal.market_id,
            event: view.market.event_id.as_ref(),
            strategy: &signal.strategy,
        });
        let purse = Purse {
            equity: self.ledger().equity().total,
            at_stake,
            largest: self
                .gate()
                .largest_buy(&view.market, &at_stake, signal.target_price),
        };
        let sized = sizing::size(signal, &view.market, &purse, &self.config.sizing);
        if sized.size <= Usdc::ZERO && signal.size > Usdc::ZERO {
            for row in rows() {
                self.reject(*row, "nothing to bet", sized.explanation.to_string())?;
            }
            return Ok(());
        }
        let book = self.left_of(&signal.token_id);
        let bid = book.as_deref().and_then(Book::best_bid);
        // A strategy's own exit that the bid of now sets off already guards nothing: the spread alone
        // would sell what was just bought. The default, if there is one, takes its place.
        let stop_loss = signal
            .stop_loss
            .filter(|stop| bid.is_none_or(|bid| bid > *stop));
        let take_profit = signal
            .take_profit
            .filter(|profit| bid.is_none_or(|bid| bid < *profit));
        let left_out = (stop_loss, take_profit) != (signal.stop_loss, signal.take_profit);
        if signal.side == Side::Buy && left_out {
            self.report.notes.push(format!(
                "an exit of {} for {} is left out: the bid has passed its price",
                signal.strategy, signal.outcome
            ));
        }
        let held = self.ledger().sellable(&signal.token_id);
        let shares = venue_rules::shares_for(signal.side, sized.size, signal.target_price, held);
        let mut order = Order {
            id: self.ledger().next_order_id(),
            client_order_id: None,
            signal_id: Some(logged.id),
            supporters: logged.supporters.clone(),
            strategy: signal.strategy.clone(),
            market_id: signal.market_id.clone(),
            event_id: view.market.event_id.clone(),
            token_id: signal.token_id.clone(),
            outcome: signal.outcome.clone(),
            side: signal.side,
            limit: signal.target_price,
            shares,
            order_type: OrderType::Fak,
            expires_at: None,
            arrives_at: None,
            fired_by: None,
            fee: None,
            basket: None,
            reason: String::new(),
            stop_loss,
            take_profit,
            trail_percent: None,
        };
        let approved = match self.approve(&order, &view.market, book.as_deref()) {
            Ok(approved) => approved,
            Err(refusal) => {
                self.record_refusal(&order, &refusal)?;
                for row in rows() {
                    self.reject(*row, &refusal.code, refusal.message.clone())?;
                }
                return Ok(());
            }
        };
        order.reason = format!("{}; {}", signal.reason, sized.explanation);
        let approved = approved.because(order.reason.clone());
        let report = self.submit(approved, &view.market)?;
        self.conclude_signals(&order, &report)?;
        if signal.side == Side::Buy && !report.fills.is_empty() {
            self.attach_exits(&order, &view.market, self.config.conditional.enabled)?;
        }
        Ok(())
    }
}

/// Why a purchase is not worth making: at its own limit price, fee included, it must not cost more
/// than the strategy itself thinks the token is worth. Sales are not judged here: they reduce risk.
fn lacks_edge(signal: &Signal, market: &Market) -> Option<String> {
    /// Noise of f64, far below the micro-unit.
    const NOISE: f64 = 1e-9;
    if signal.side == Side::Sell {
        return None;
    }
    let price = signal.target_price.to_f64();
    let fee = market.fee.per_share(price);
    let left = signal.fair_price - price - fee;
    let enough = left >= -NOISE && signal.edge >= -NOISE;
    (!enough).then(|| {
        format!(
            "no edge: fair price {:.4} against {price} and a fee of {fee:.4} per share (stated \
             edge {:.4})",
            signal.fair_price, signal.edge
        )
    })
}

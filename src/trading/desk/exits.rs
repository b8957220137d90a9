//! Conditional orders: evaluated before strategies, in shares of the position, against the bid.

use crate::domain::{
    ConditionalKind, ConditionalOrder, LedgerEvent, Market, Order, OrderType, Price, Shares, Side,
    TokenId, Usdc,
};

use super::super::conditional::{self, ExitPrices};
use super::{DeskError, Step};

impl Step<'_> {
    /// Lets every active conditional order look at its bid, oldest first. A missing bid triggers
    /// nothing: an empty side is no price.
    pub(super) fn run_conditionals(&mut self) -> Result<(), DeskError> {
        let ids: Vec<u64> = self.ledger().conditionals().keys().copied().collect();
        for id in ids {
            let Some(order) = self.ledger().conditionals().get(&id).cloned() else {
                continue;
            };
            if self.ledger().held(&order.token_id).is_zero() {
                self.cancel_conditional(id, "the position is gone")?;
                continue;
            }
            // The bid as the market shows it. What we took from the book ourselves is counted when
            // the sale is matched, but is no fall of the price: one exit must not set off the next.
            let seen = self.snapshot.market_of(&order.token_id).zip(
                self.snapshot
                    .book(&order.token_id)
                    .filter(|book| book.is_sound())
                    .and_then(|book| book.best_bid()),
            );
            let Some((view, bid)) = seen else {
                let note = format!("conditional order {id}: no usable bid, not evaluated");
                self.report.notes.push(note);
                continue;
            };
            if order.fires_at(bid) {
                self.fire(&order, bid, &view.market)?;
            } else if order.kind == ConditionalKind::TrailingStop
                && order.high_watermark.is_none_or(|watermark| bid > watermark)
            {
                self.recorder
                    .record(LedgerEvent::WatermarkRaised { id, watermark: bid })?;
            }
        }
        Ok(())
    }

    fn fire(
        &mut self,
        conditional: &ConditionalOrder,
        bid: Price,
        market: &Market,
    ) -> Result<(), DeskError> {
        let token = &conditional.token_id;
        // Shares that rest for sale elsewhere come back first: an exit goes before a quote.
        let quoted: Vec<u64> = self
            .ledger()
            .resting()
            .iter()
            .filter(|(_, r)| r.order.token_id == *token && r.order.side == Side::Sell)
            .map(|(id, _)| *id)
            .collect();
        for id in quoted {
            self.cancel_resting(id, "an exit of the same position was triggered")?;
        }
        let shares = conditional.shares.min(self.ledger().held(token));
        let limit =
            conditional::sale_limit(bid, market.tick, self.config.conditional.max_slippage_pct);
        let kind = conditional.kind.as_str();
        let outcome = market
            .outcome_of(token)
            .map(|(_, o)| o.name.clone())
            .unwrap_or_default();
        let order = Order {
            id: self.ledger().next_order_id(),
            client_order_id: None,
            signal_id: None,
            strategy: conditional.parent_strategy.clone(),
            market_id: conditional.market_id.clone(),
            event_id: market.event_id.clone(),
            token_id: token.clone(),
            outcome,
            side: Side::Sell,
            limit,
            shares,
            order_type: OrderType::Fak,
            expires_at: None,
            basket: None,
            reason: format!("Conditional {kind} triggered at {bid}"),
            stop_loss: None,
            take_profit: None,
            trail_percent: None,
        };
        let book = self.book(token);
        let approved = match self.approve(order.clone(), market, book.as_ref()) {
            Ok(approved) => approved,
            Err(refusal) => {
                let id = conditional.id;
                self.report
                    .notes
                    .push(format!("conditional order {id} could not sell: {refusal}"));
                return self.record_refusal(&order, &refusal);
            }
        };
        let id = conditional.id;
        self.firing = Some(id);
        let report = self.submit(approved, market);
        self.firing = None;
        let report = report?;
        let sold = Shares::from_f64(report.filled_shares)?;
        if sold.is_zero() {
            self.report.notes.push(format!(
                "conditional order {id} fired but sold nothing: {}",
                report.reason
            ));
            return Ok(());
        }
        let slippage = report
            .average_price
            .map_or(0.0, |average| bid.to_f64() - average);
        self.report.triggered.push(format!(
            "{kind} {id} at bid {bid}: sold {sold} shares, {slippage:.4} below the bid that set it off"
        ));
        let event = if sold < shares {
            LedgerEvent::ConditionalReduced {
                id,
                shares: shares.minus(sold),
            }
        } else {
            LedgerEvent::ConditionalTriggered {
                id,
                bid,
                sold,
                proceeds: Some(Usdc::from_f64_rounded(report.notional)?),
            }
        };
        self.recorder.record(event)?;
        Ok(())
    }

    /// After a sale: withdraws conditional orders of a position that is gone and shrinks those
    /// that cover more than is left.
    pub(super) fn fit_conditionals(&mut self, token: &TokenId) -> Result<(), DeskError> {
        let held = self.ledger().held(token);
        let waiting: Vec<(u64, Shares)> = self
            .ledger()
            .conditionals()
            .values()
            .filter(|order| order.token_id == *token)
            .map(|order| (order.id, order.shares))
            .collect();
        for (id, shares) in waiting {
            // The one that fires is closed or reduced by `fire` itself.
            if self.firing == Some(id) {
                continue;
            }
            if held.is_zero() {
                self.cancel_conditional(id, "the position is gone")?;
            } else if shares > held {
                self.recorder
                    .record(LedgerEvent::ConditionalReduced { id, shares: held })?;
            }
        }
        Ok(())
    }

    pub(super) fn withdraw_conditionals(
        &mut self,
        token: &TokenId,
        reason: &str,
    ) -> Result<(), DeskError> {
        let ids: Vec<u64> = self
            .ledger()
            .conditionals()
            .values()
            .filter(|order| order.token_id == *token)
            .map(|order| order.id)
            .collect();
        for id in ids {
            self.cancel_conditional(id, reason)?;
        }
        Ok(())
    }

    pub(super) fn cancel_conditional(&mut self, id: u64, reason: &str) -> Result<(), DeskError> {
        let reason = reason.to_owned();
        self.recorder
            .record(LedgerEvent::ConditionalCancelled { id, reason })?;
        Ok(())
    }

    /// Attaches stop, profit and trailing orders to what a buy just filled: those that the order
    /// names, and the configured defaults where `defaults` is set and the order names none.
    pub(super) fn attach_exits(
        &mut self,
        order: &Order,
        market: &Market,
        defaults: bool,
    ) -> Result<(), DeskError> {
        let Some(position) = self.ledger().positions().get(&order.token_id).cloned() else {
            return Ok(());
        };
        // What this order bought and paid; the position may hold older shares at other prices.
        let (filled, spent) = self
            .recorder
            .events()
            .iter()
            .filter_map(|stamped| match &stamped.event {
                LedgerEvent::Filled { fill } if fill.order_id == order.id => Some(fill),
                _ => None,
            })
            .fold((Shares::ZERO, Usdc::ZERO), |(shares, spent), fill| {
                (shares.plus(fill.shares), spent.plus(fill.notional))
            });
        let filled = filled.min(position.shares);
        if filled.is_zero() {
            return Ok(());
        }
        let paid = Price::from_f64_rounded(spent.to_f64() / filled.to_f64())?;
        let bid = self
            .snapshot
            .book(&order.token_id)
            .and_then(|book| book.best_bid());
        let prices = ExitPrices {
            paid,
            bid,
            tick: market.tick,
        };
        let automatic = if defaults {
            Some(&self.config.conditional)
        } else {
            None
        };
        let wanted = conditional::exits_for(order, &prices, automatic);
        for exit in wanted {
            let conditional = ConditionalOrder {
                id: self.ledger().next_conditional_id(),
                token_id: order.token_id.clone(),
                market_id: order.market_id.clone(),
                kind: exit.kind,
                trigger_price: exit.trigger,
                shares: filled,
                high_watermark: exit.watermark,
                trail_percent: exit.trail,
                parent_strategy: order.strategy.clone(),
                group: None,
                reason: exit.reason,
                created_at: self.recorder.at(),
            };
            if bid.is_some_and(|bid| conditional.fires_at(bid)) {
                self.report.notes.push(format!(
                    "{} not attached to {}: it would fire at once",
                    conditional.reason, order.outcome
                ));
                continue;
            }
            self.recorder
                .record(LedgerEvent::ConditionalCreated { conditional })?;
        }
        Ok(())
    }
}

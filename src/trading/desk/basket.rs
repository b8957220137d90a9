//! Arbitrage: all legs or none, as near as a venue without atomic pairs allows.

use crate::domain::{
    Basket, BasketLeg, LedgerEvent, Order, OrderType, Price, Rounding, Side, Signal, Usdc, notional,
};

use super::super::aggregation::is_enough;
use super::super::config::Mode;
use super::super::risk::Candidate;
use super::{DeskError, Refusal, Step};

/// How many ticks below the best bid an unwinding sale may go.
const UNWIND_TICKS: u32 = 5;

impl Step<'_> {
    /// Buys the legs as fill-or-kill orders in sequence, thinnest first; when one fails, sells what
    /// was bought of the others at the bid and reports what that cost.
    pub(super) fn trade_basket(&mut self, basket: &Basket) -> Result<(), DeskError> {
        let rows = self.log_legs(basket)?;
        if self.config.mode == Mode::Monitor {
            for row in rows {
                self.reject_unmonitored(row)?;
            }
            return Ok(());
        }
        if basket.legs.len() < 2 {
            let reason = "an arbitrage needs at least two legs; one leg is a bet";
            return self.reject_all(&rows, "too few legs", reason);
        }
        // Written so that an edge that is no number is none.
        let worthwhile = basket.edge > 0.0;
        if !worthwhile {
            let reason = format!("no edge: {:.4} pUSD per set after fees", basket.edge);
            return self.reject_all(&rows, "no edge", &reason);
        }
        if !is_enough(basket.confidence, &self.config.aggregation) {
            let reason = format!(
                "confidence {:.4} is below aggregation.min_confidence {}",
                basket.confidence, self.config.aggregation.min_confidence
            );
            return self.reject_all(&rows, "confidence too low", &reason);
        }
        let orders = self.leg_orders(basket, &rows);
        let approved = match self.approve_legs(&orders) {
            Ok(approved) => approved,
            Err(refusal) => {
                for order in &orders {
                    self.record_refusal(order, &refusal)?;
                }
                return self.reject_all(&rows, &refusal.code, &refusal.message);
            }
        };
        let cash_before = self.ledger().cash();
        let mut bought: Vec<Order> = Vec::new();
        for leg in approved {
            let order = leg.get().clone();
            let Some(view) = self.view(&order.market_id) else {
                continue;
            };
            let report = self.submit(leg, &view.market)?;
            if report.fills.is_empty() {
                self.unwind(&bought, &order)?;
                let lost = cash_before.minus(self.ledger().cash());
                self.report.notes.push(format!(
                    "basket {} of {}: the leg {} did not fill; the attempt took {lost} pUSD of \
                     cash, fees included",
                    order.basket.unwrap_or_default(),
                    basket.strategy,
                    order.outcome
                ));
                let reason = format!(
                    "a leg did not fill ({}); the others were unwound",
                    report.reason
                );
                let done = bought.len();
                for finished in rows.iter().take(done) {
                    self.recorder.record(LedgerEvent::SignalExecuted {
                        signal_id: *finished,
                    })?;
                }
                let open: Vec<u64> = rows.iter().skip(done).copied().collect();
                return self.reject_all(&open, "leg unfilled", &reason);
            }
            bought.push(order);
        }
        for row in &rows {
            self.recorder
                .record(LedgerEvent::SignalExecuted { signal_id: *row })?;
        }
        Ok(())
    }

    fn log_legs(&mut self, basket: &Basket) -> Result<Vec<u64>, DeskError> {
        let share = basket.edge / (basket.legs.len().max(1)) as f64;
        let mut rows = Vec::with_capacity(basket.legs.len());
        for leg in &basket.legs {
            let size = notional(leg.limit, basket.shares, Rounding::Down)?;
            let signal = Signal {
                strategy: basket.strategy.clone(),
                market_id: leg.market_id.clone(),
                token_id: leg.token_id.clone(),
                outcome: leg.outcome.clone(),
                side: Side::Buy,
                confidence: basket.confidence,
                // A leg alone has no fair price of its own: the set's edge is spread evenly.
                fair_price: (leg.limit.to_f64() + share).min(1.0),
                target_price: leg.limit,
                edge: share,
                size,
                reason: basket.reason.clone(),
                stop_loss: None,
                take_profit: None,
            };
            rows.push(self.log_signal(&signal)?);
        }
        Ok(rows)
    }

    fn leg_orders(&self, basket: &Basket, rows: &[u64]) -> Vec<Order> {
        let first = self.ledger().next_order_id();
        let number = self.ledger().next_basket_id();
        let legs: Vec<(&BasketLeg, u64)> = basket.legs.iter().zip(rows.iter().copied()).collect();
        legs.into_iter()
            .zip(first..)
            .map(|((leg, row), id)| Order {
                id,
                client_order_id: None,
                signal_id: Some(row),
                strategy: basket.strategy.clone(),
                market_id: leg.market_id.clone(),
                event_id: self
                    .view(&leg.market_id)
                    .and_then(|view| view.market.event_id.clone()),
                token_id: leg.token_id.clone(),
                outcome: leg.outcome.clone(),
                side: Side::Buy,
                limit: leg.limit,
                // The venue takes whole lots only, and legs must stay equal.
                shares: basket.shares.floor_to_lot(),
                order_type: OrderType::Fok,
                expires_at: None,
                basket: Some(number),
                reason: basket.reason.clone(),
                stop_loss: None,
                take_profit: None,
                trail_percent: None,
            })
            .collect()
    }

    fn approve_legs(&self, orders: &[Order]) -> Result<Vec<super::Approved<Order>>, Refusal> {
        let mut seen = Vec::with_capacity(orders.len());
        for order in orders {
            self.not_resolved(&order.market_id)?;
            let view = self.view(&order.market_id).ok_or_else(|| {
                Refusal::new(
                    "market_not_gathered",
                    format!(
                        "market {} is not among those gathered for this tick",
                        order.market_id
                    ),
                    "It is looked at again at the next tick.",
                )
            })?;
            seen.push((order, view, self.book(&order.token_id)));
        }
        let candidates: Vec<Candidate<'_>> = seen
            .iter()
            .map(|(order, view, book)| Candidate {
                order,
                market: &view.market,
                book: book.as_ref(),
            })
            .collect();
        self.gate().approve_all(&candidates)
    }

    fn unwind(&mut self, bought: &[Order], failed: &Order) -> Result<(), DeskError> {
        for order in bought {
            let Some(view) = self.view(&order.market_id) else {
                continue;
            };
            let Some(bid) = self.book(&order.token_id).and_then(|book| book.best_bid()) else {
                self.report.notes.push(format!(
                    "basket leg {} of market {} stays: nobody bids for it",
                    order.outcome, order.market_id
                ));
                continue;
            };
            let tick = view.market.tick;
            let below = Price::from_micros(tick.micros().saturating_mul(UNWIND_TICKS))
                .unwrap_or(Price::ONE);
            let sale = Order {
                id: self.ledger().next_order_id(),
                signal_id: None,
                side: Side::Sell,
                limit: bid.minus(below).floor_to(tick),
                shares: self.ledger().sellable(&order.token_id).min(order.shares),
                order_type: OrderType::Fak,
                reason: format!("unwind: leg {} of the basket did not fill", failed.outcome),
                ..order.clone()
            };
            let book = self.book(&order.token_id);
            let paid: Usdc = notional(order.limit, order.shares, Rounding::Down)?;
            match self.approve(sale.clone(), &view.market, book.as_ref()) {
                Ok(approved) => {
                    let report = self.submit(approved, &view.market)?;
                    self.report.notes.push(format!(
                        "basket unwound: {} shares of {} sold for {} pUSD (bought for at most {paid})",
                        report.filled_shares, order.outcome, report.notional
                    ));
                }
                Err(refusal) => {
                    self.record_refusal(&sale, &refusal)?;
                    self.report.notes.push(format!(
                        "basket leg {} could not be unwound: {refusal}",
                        order.outcome
                    ));
                }
            }
        }
        Ok(())
    }

    fn reject_all(&mut self, rows: &[u64], cause: &str, reason: &str) -> Result<(), DeskError> {
        for row in rows {
            self.reject(*row, cause, reason.to_owned())?;
        }
        Ok(())
    }
}

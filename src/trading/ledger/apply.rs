//! One event, applied.

use crate::domain::{
    ConditionalOrder, Fill, LedgerEvent, Mark, Position, Price, RestingOrder, Shares, Side,
    StampedEvent, StrategyName, Timestamp, TokenId, Usdc,
};

use super::{ClientOrder, Ledger, LedgerError, RECENT_TRADES, REMEMBERED_TAKES, RecentTrade, Take};

impl Ledger {
    /// Applies the next event. Errors leave the ledger as it was.
    pub fn apply(&mut self, stamped: &StampedEvent) -> Result<(), LedgerError> {
        if stamped.seq != self.seq + 1 {
            return Err(LedgerError::OutOfOrder {
                last: self.seq,
                got: stamped.seq,
            });
        }
        self.apply_event(stamped.at, &stamped.event)?;
        self.seq = stamped.seq;
        self.last_at = self.last_at.max(stamped.at);
        if matches!(
            stamped.event,
            LedgerEvent::Deposited { .. }
                | LedgerEvent::Filled { .. }
                | LedgerEvent::Settled { .. }
        ) {
            self.check_balance()?;
        }
        Ok(())
    }

    fn apply_event(&mut self, at: Timestamp, event: &LedgerEvent) -> Result<(), LedgerError> {
        match event {
            LedgerEvent::AccountOpened { source } => self.source = Some(*source),
            LedgerEvent::Deposited { amount } => {
                let cash = self.cash.checked_add(*amount)?;
                self.deposits = self.deposits.checked_add(*amount)?;
                self.cash = cash;
                self.day_deposits = self.day_deposits.plus(*amount);
            }
            LedgerEvent::SignalGenerated { signal_id, signal } => {
                self.signals = self.signals.max(*signal_id);
                self.signal_strategy
                    .insert(*signal_id, signal.strategy.clone());
                self.totals(&signal.strategy).signals_generated += 1;
            }
            LedgerEvent::SignalExecuted { signal_id } => {
                if let Some(strategy) = self.signal_strategy.remove(signal_id) {
                    self.totals(&strategy).signals_executed += 1;
                }
            }
            LedgerEvent::SignalRejected { signal_id, .. } => {
                self.signal_strategy.remove(signal_id);
            }
            LedgerEvent::OrderAccepted { order } => {
                self.orders = self.orders.max(order.id);
                self.baskets = self.baskets.max(order.basket.unwrap_or(0));
                if let Some(client_id) = &order.client_order_id {
                    let placed = ClientOrder {
                        order: order.clone(),
                        fills: Vec::new(),
                        outcome: None,
                    };
                    self.client_orders.insert(client_id.clone(), placed);
                }
                self.in_flight
                    .insert(order.id, (order.clone(), order.shares));
            }
            LedgerEvent::OrderRefused { .. } => {}
            LedgerEvent::OrderRested {
                order_id,
                remaining,
            } => {
                let (order, _) = self
                    .in_flight
                    .remove(order_id)
                    .ok_or(unknown_order(*order_id))?;
                let resting = RestingOrder {
                    order,
                    remaining: *remaining,
                    placed_at: at,
                };
                self.resting.insert(*order_id, resting);
            }
            LedgerEvent::Filled { fill } => self.apply_fill(at, fill)?,
            LedgerEvent::OrderClosed {
                order_id, outcome, ..
            } => {
                let in_flight = self.in_flight.remove(order_id).map(|(order, _)| order);
                let resting = self.resting.remove(order_id).map(|resting| resting.order);
                let order = in_flight.or(resting).ok_or(unknown_order(*order_id))?;
                if let Some(placed) = order
                    .client_order_id
                    .and_then(|id| self.client_orders.get_mut(&id))
                {
                    placed.outcome = Some(*outcome);
                }
            }
            LedgerEvent::ConditionalCreated { conditional } => {
                self.conditionals_created = self.conditionals_created.max(conditional.id);
                self.conditionals
                    .insert(conditional.id, conditional.clone());
            }
            LedgerEvent::WatermarkRaised { id, watermark } => {
                self.conditional_mut(*id)?.high_watermark = Some(*watermark);
            }
            LedgerEvent::ConditionalReduced { id, shares } => {
                self.conditional_mut(*id)?.shares = *shares;
            }
            LedgerEvent::ConditionalTriggered { id, .. }
            | LedgerEvent::ConditionalCancelled { id, .. } => {
                self.conditionals
                    .remove(id)
                    .ok_or(unknown_conditional(*id))?;
            }
            LedgerEvent::Marked { marks } => {
                for (token, price) in marks {
                    if let Some(position) = self.positions.get_mut(token) {
                        position.mark = Some(Mark { price: *price, at });
                    }
                }
            }
            LedgerEvent::Settled {
                token_id,
                payout,
                shares,
                proceeds,
                ..
            } => {
                self.apply_settlement(token_id, *payout, *shares, *proceeds)?;
            }
            LedgerEvent::EstimateStored { estimate } => {
                let estimates = self
                    .estimates
                    .entry(estimate.market_id.clone())
                    .or_default();
                estimates.retain(|earlier| earlier.author != estimate.author);
                estimates.push(estimate.clone());
            }
            LedgerEvent::DayStarted { day, equity } => {
                self.day = Some((*day, *equity));
                self.day_deposits = Usdc::ZERO;
            }
            LedgerEvent::SnapshotTaken { .. } => self.last_snapshot_at = Some(at),
            LedgerEvent::TickCompleted { tick, .. } => self.ticks = *tick,
        }
        Ok(())
    }

    fn apply_fill(&mut self, at: Timestamp, fill: &Fill) -> Result<(), LedgerError> {
        let remaining = self.remaining_mut(fill.order_id)?;
        if fill.shares > *remaining {
            return Err(LedgerError::NotEnoughShares {
                token: fill.token_id.clone(),
                needed: fill.shares,
                held: *remaining,
            });
        }
        let left = remaining.minus(fill.shares);
        match fill.side {
            Side::Buy => self.apply_buy(at, fill)?,
            Side::Sell => {
                let gained = fill.notional;
                let fee = fill.fee;
                let cash = self.cash.checked_add(gained)?.checked_sub(fee)?;
                self.close_shares(&fill.token_id, fill.shares, gained)?;
                self.cash = cash;
                self.fees = self.fees.plus(fee);
            }
        }
        *self.remaining_mut(fill.order_id)? = left;
        let totals = self.totals(&fill.strategy);
        totals.fills += 1;
        totals.volume = totals.volume.plus(fill.notional);
        totals.fees = totals.fees.plus(fill.fee);
        self.remember(at, fill);
        Ok(())
    }

    fn apply_buy(&mut self, at: Timestamp, fill: &Fill) -> Result<(), LedgerError> {
        let spent = fill.notional.checked_add(fill.fee)?;
        if spent > self.cash {
            return Err(LedgerError::NotEnoughCash {
                needed: spent,
                cash: self.cash,
            });
        }
        self.cash = self.cash.checked_sub(spent)?;
        self.fees = self.fees.plus(fill.fee);
        let position = self
            .positions
            .entry(fill.token_id.clone())
            .or_insert_with(|| Position {
                market_id: fill.market_id.clone(),
                token_id: fill.token_id.clone(),
                outcome: fill.outcome.clone(),
                shares: Shares::ZERO,
                cost: Usdc::ZERO,
                opened_at: at,
                entry_strategy: fill.strategy.clone(),
                mark: None,
            });
        position.shares = position.shares.plus(fill.shares);
        position.cost = position.cost.plus(fill.notional);
        Ok(())
    }

    fn apply_settlement(
        &mut self,
        token: &TokenId,
        payout: Price,
        shares: Shares,
        proceeds: Usdc,
    ) -> Result<(), LedgerError> {
        let cash = self.cash.checked_add(proceeds)?;
        let _ = payout;
        self.close_shares(token, shares, proceeds)?;
        self.cash = cash;
        self.takes.remove(token);
        Ok(())
    }

    /// Takes shares out of a position for `gained`, realising the difference to their cost.
    fn close_shares(
        &mut self,
        token: &TokenId,
        shares: Shares,
        gained: Usdc,
    ) -> Result<(), LedgerError> {
        let held = self.held(token);
        let Some(position) = self.positions.get_mut(token).filter(|p| p.shares >= shares) else {
            return Err(LedgerError::NotEnoughShares {
                token: token.clone(),
                needed: shares,
                held,
            });
        };
        let cost = position.cost.share_of(shares, position.shares);
        position.cost = position.cost.minus(cost);
        position.shares = position.shares.minus(shares);
        let profit = gained.minus(cost);
        let strategy = position.entry_strategy.clone();
        if position.shares.is_zero() {
            self.positions.remove(token);
        }
        self.realized = self.realized.plus(profit);
        let totals = self.totals(&strategy);
        totals.realized = totals.realized.plus(profit);
        Ok(())
    }

    fn remember(&mut self, at: Timestamp, fill: &Fill) {
        let order = self.in_flight.get(&fill.order_id).map(|(order, _)| order);
        let order = order.or_else(|| self.resting.get(&fill.order_id).map(|r| &r.order));
        if let Some(placed) = order
            .and_then(|order| order.client_order_id.as_ref())
            .and_then(|client_id| self.client_orders.get_mut(client_id))
        {
            placed.fills.push(fill.clone());
        }
        let takes = self.takes.entry(fill.token_id.clone()).or_default();
        takes.push(Take {
            at,
            side: fill.side,
            price: fill.price,
            shares: fill.shares,
        });
        if takes.len() > REMEMBERED_TAKES {
            takes.remove(0);
        }
        self.recent_trades.push_front(RecentTrade {
            at,
            fill: fill.clone(),
        });
        self.recent_trades.truncate(RECENT_TRADES);
    }

    fn remaining_mut(&mut self, order_id: u64) -> Result<&mut Shares, LedgerError> {
        if let Some((_, remaining)) = self.in_flight.get_mut(&order_id) {
            return Ok(remaining);
        }
        self.resting
            .get_mut(&order_id)
            .map(|resting| &mut resting.remaining)
            .ok_or(unknown_order(order_id))
    }

    fn conditional_mut(&mut self, id: u64) -> Result<&mut ConditionalOrder, LedgerError> {
        self.conditionals
            .get_mut(&id)
            .ok_or(unknown_conditional(id))
    }

    fn totals(&mut self, strategy: &StrategyName) -> &mut super::StrategyTotals {
        self.strategies.entry(strategy.clone()).or_default()
    }
}

fn unknown_order(id: u64) -> LedgerError {
    LedgerError::Unknown {
        what: "open order",
        id,
    }
}

fn unknown_conditional(id: u64) -> LedgerError {
    LedgerError::Unknown {
        what: "active conditional order",
        id,
    }
}

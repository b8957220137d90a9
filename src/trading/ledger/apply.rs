//! One event, applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{
    ConditionalOrder, Estimate, EventId, Fill, LedgerEvent, Mark, MoneyError, Order, OrderOutcome,
    Position, Price, RestingOrder, Rounding, Shares, Side, StampedEvent, StrategyName, Timestamp,
    TokenId, Usdc, notional,
};

use super::super::estimates::Scored;
use super::{
    CLIENT_ORDERS_KEPT, ClientOrder, Halt, Ledger, LedgerError, ORDER_RATE_WINDOW_MS,
    RECENT_TRADES, RecentTrade, Stranded,
};

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
                not_negative(*amount)?;
                let cash = self.cash.checked_add(*amount)?;
                self.deposits = self.deposits.checked_add(*amount)?;
                self.cash = cash;
                self.day_deposits = self.day_deposits.plus(*amount);
                // Money paid in is no profit: a fall is counted from the peak with it.
                self.peak = self.peak.map(|peak| peak.plus(*amount));
            }
            LedgerEvent::SignalGenerated { signal_id, signal } => {
                is_new("signal", *signal_id, self.signals)?;
                self.signals = *signal_id;
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
            LedgerEvent::OrderAccepted { order } => self.accept(at, order)?,
            LedgerEvent::OrderRefused { .. } => {}
            LedgerEvent::OrderRested {
                order_id,
                remaining,
                queue_ahead,
                prints_to,
            } => {
                let prints_to = prints_to.map_or(at, |told| told.max(at));
                self.rest(at, *order_id, *remaining, *queue_ahead, prints_to)?;
            }
            LedgerEvent::DepthUsed { token_id, levels } => self.set_used(at, token_id, levels),
            LedgerEvent::QueueAdvanced {
                order_id,
                queue_ahead,
                prints_to,
            } => self.advance_queue(*order_id, *queue_ahead, *prints_to)?,
            LedgerEvent::Filled { fill } => self.apply_fill(at, fill)?,
            LedgerEvent::OrderClosed {
                order_id, outcome, ..
            } => {
                let in_flight = self.in_flight.remove(order_id);
                let resting = self.resting.remove(order_id);
                let resting = resting.map(|resting| (resting.order, resting.remaining));
                let (order, left) = in_flight.or(resting).ok_or(unknown_order(*order_id))?;
                self.claims.take_off(&order, left);
                self.strand(&order, *outcome);
                self.close_client_order(&order, *outcome);
            }
            LedgerEvent::ConditionalCreated { conditional } => {
                is_new(
                    "conditional order",
                    conditional.id,
                    self.conditionals_created,
                )?;
                self.conditionals_created = conditional.id;
                self.conditionals
                    .insert(conditional.id, conditional.clone());
            }
            LedgerEvent::WatermarkRaised { id, watermark } => {
                self.conditional_mut(*id)?.high_watermark = Some(*watermark);
            }
            LedgerEvent::ConditionalDoubted { id, since, .. } => {
                self.conditional_mut(*id)?.doubted_since = *since;
            }
            LedgerEvent::ConditionalReduced { id, shares, sale } => {
                let conditional = self.conditional_mut(*id)?;
                conditional.shares = *shares;
                if let Some(sale) = sale {
                    let so_far = conditional.sales.get_or_insert_default();
                    so_far.sold = so_far.sold.plus(sale.sold);
                    so_far.proceeds = so_far.proceeds.plus(sale.proceeds);
                }
            }
            LedgerEvent::ConditionalTriggered { id, .. }
            | LedgerEvent::ConditionalCancelled { id, .. } => {
                self.conditionals
                    .remove(id)
                    .ok_or(unknown_conditional(*id))?;
            }
            LedgerEvent::Marked { marks } => {
                for (token, price) in marks {
                    let mark = Mark {
                        price: *price,
                        at,
                        bid_gone: false,
                    };
                    self.positions.change(token, |p| p.mark = Some(mark));
                }
            }
            LedgerEvent::BidsGone { tokens } => {
                for token in tokens {
                    self.positions.change(token, |position| {
                        if let Some(mark) = &mut position.mark {
                            mark.bid_gone = true;
                        }
                    });
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
                estimates
                    .retain(|earlier| earlier.author != estimate.author && earlier.is_fresh(at));
                estimates.push(estimate.clone());
                Arc::make_mut(&mut self.scoring).store(estimate);
            }
            LedgerEvent::EstimateScored {
                estimate,
                payout,
                brier,
                log_score,
                weight,
                ..
            } => self.apply_score(&Scored {
                estimate,
                payout: *payout,
                brier: *brier,
                log_score: *log_score,
                weight: *weight,
            })?,
            LedgerEvent::ConfigChanged { settings, .. } => self.settings = Some(settings.clone()),
            LedgerEvent::Halted { cause, by, reason } => {
                self.halt = Some(Halt {
                    cause: *cause,
                    by: by.clone(),
                    reason: reason.clone(),
                    at,
                });
            }
            LedgerEvent::Resumed { .. } => {
                if self.halt.take().is_none() {
                    return Err(LedgerError::Unknown {
                        what: "halt",
                        id: 0,
                    });
                }
            }
            LedgerEvent::PeakRaised { equity } => self.peak = Some(*equity),
            LedgerEvent::DayStarted { day, equity } => {
                self.day = Some((*day, *equity));
                self.day_deposits = Usdc::ZERO;
            }
            LedgerEvent::SnapshotTaken { .. } => self.last_snapshot_at = Some(at),
            LedgerEvent::TickCompleted { tick, .. } => self.ticks = *tick,
        }
        Ok(())
    }

    fn accept(&mut self, at: Timestamp, order: &Order) -> Result<(), LedgerError> {
        is_new("order", order.id, self.orders)?;
        if let Some(client_id) = &order.client_order_id {
            // The first order's result is what the same id gives ever after. An id that is kept no
            // more is known to the database, which takes none twice.
            if self.client_orders.contains_key(client_id) {
                return Err(LedgerError::Repeated {
                    what: "client order",
                    id: client_id.clone(),
                });
            }
            let placed = ClientOrder {
                order: order.clone(),
                fills: Vec::new(),
                outcome: None,
            };
            self.client_orders
                .insert_mut(client_id.clone(), Arc::new(placed));
        }
        self.orders = order.id;
        while self
            .recent_orders
            .front()
            .is_some_and(|earlier| at.since(*earlier) >= ORDER_RATE_WINDOW_MS)
        {
            self.recent_orders.pop_front();
        }
        self.recent_orders.push_back(at);
        self.baskets = self.baskets.max(order.basket.unwrap_or(0));
        self.claims.add(order, order.shares);
        self.in_flight
            .insert(order.id, (order.clone(), order.shares));
        Ok(())
    }

    /// Notes how an order under a client's id ended, and forgets the oldest of those that are over.
    fn close_client_order(&mut self, order: &Order, outcome: OrderOutcome) {
        let Some(id) = &order.client_order_id else {
            return;
        };
        let Some(placed) = self.client_orders.get_mut(id).map(Arc::make_mut) else {
            return;
        };
        placed.outcome = Some(outcome);
        self.closed_clients.insert_mut(order.id, id.clone());
        if self.closed_clients.size() <= CLIENT_ORDERS_KEPT {
            return;
        }
        let oldest = self.closed_clients.first();
        if let Some((number, id)) = oldest.map(|(number, id)| (*number, id.clone())) {
            self.closed_clients.remove_mut(&number);
            self.client_orders.remove_mut(&id);
        }
    }

    /// The queue never becomes longer, and what it accounts for never older.
    fn advance_queue(
        &mut self,
        order_id: u64,
        queue_ahead: Shares,
        prints_to: Timestamp,
    ) -> Result<(), LedgerError> {
        let resting = self
            .resting
            .get_mut(&order_id)
            .ok_or(unknown_order(order_id))?;
        if queue_ahead > resting.queue_ahead || prints_to < resting.prints_to {
            return Err(contradicts("order", order_id, "its queue went backwards"));
        }
        resting.queue_ahead = queue_ahead;
        resting.prints_to = prints_to;
        Ok(())
    }

    fn rest(
        &mut self,
        at: Timestamp,
        order_id: u64,
        remaining: Shares,
        queue_ahead: Shares,
        prints_to: Timestamp,
    ) -> Result<(), LedgerError> {
        match self.in_flight.remove(&order_id) {
            None => Err(unknown_order(order_id)),
            Some((order, unfilled)) if remaining != unfilled => {
                self.in_flight.insert(order_id, (order, unfilled));
                Err(contradicts("order", order_id, "not what is left of it"))
            }
            Some((order, _)) => {
                let resting = RestingOrder {
                    order,
                    remaining,
                    placed_at: at,
                    queue_ahead,
                    prints_to,
                };
                self.resting.insert(order_id, resting);
                Ok(())
            }
        }
    }

    fn apply_fill(&mut self, at: Timestamp, fill: &Fill) -> Result<(), LedgerError> {
        let (order, remaining) = self
            .open_order(fill.order_id)
            .ok_or(unknown_order(fill.order_id))?;
        if fill.token_id != order.token_id || fill.side != order.side {
            return Err(contradicts("order", order.id, "another token or side"));
        }
        if !order.side.accepts(order.limit, fill.price) {
            return Err(contradicts(
                "order",
                order.id,
                "a price worse than its limit",
            ));
        }
        if fill.shares > remaining {
            return Err(LedgerError::NotEnoughShares {
                token: fill.token_id.clone(),
                needed: fill.shares,
                held: remaining,
            });
        }
        not_negative(fill.notional)?;
        not_negative(fill.fee)?;
        let fees = self.fees.checked_add(fill.fee)?;
        match fill.side {
            Side::Buy => {
                let event_id = order.event_id.clone();
                self.apply_buy(at, fill, event_id)?;
            }
            Side::Sell => {
                let cash = self.cash.checked_add(fill.notional)?;
                let left = cash.checked_sub(fill.fee)?;
                if left < Usdc::ZERO {
                    return Err(LedgerError::NotEnoughCash {
                        needed: fill.fee,
                        cash,
                    });
                }
                self.close_shares(&fill.token_id, fill.shares, fill.notional, fill.fee)?;
                self.cash = left;
            }
        }
        self.fees = fees;
        self.shrink(fill.order_id, remaining.minus(fill.shares));
        self.follow_leg(fill);
        let totals = self.totals(&fill.strategy);
        totals.fills += 1;
        totals.volume = totals.volume.plus(fill.notional);
        totals.fees = totals.fees.plus(fill.fee);
        self.remember(at, fill);
        Ok(())
    }

    fn apply_buy(
        &mut self,
        at: Timestamp,
        fill: &Fill,
        event_id: Option<EventId>,
    ) -> Result<(), LedgerError> {
        let spent = fill.notional.checked_add(fill.fee)?;
        if spent > self.cash {
            return Err(LedgerError::NotEnoughCash {
                needed: spent,
                cash: self.cash,
            });
        }
        let (shares, cost) = self
            .positions
            .get(&fill.token_id)
            .map_or((Shares::ZERO, Usdc::ZERO), |p| (p.shares, p.cost));
        let shares = shares
            .micros()
            .checked_add(fill.shares.micros())
            .ok_or(MoneyError::Overflow)
            .and_then(Shares::from_micros)?;
        let cost = cost.checked_add(fill.notional)?;
        self.cash = self.cash.checked_sub(spent)?;
        let grown = self.positions.change(&fill.token_id, |position| {
            position.shares = shares;
            position.cost = cost;
        });
        if grown.is_none() {
            self.positions.open(Position {
                market_id: fill.market_id.clone(),
                event_id,
                token_id: fill.token_id.clone(),
                outcome: fill.outcome.clone(),
                shares,
                cost,
                opened_at: at,
                entry_strategy: fill.strategy.clone(),
                mark: None,
            });
        }
        let life = self.lives.entry(fill.token_id.clone()).or_default();
        *life = life.minus(fill.fee);
        Ok(())
    }

    fn apply_settlement(
        &mut self,
        token: &TokenId,
        payout: Price,
        shares: Shares,
        proceeds: Usdc,
    ) -> Result<(), LedgerError> {
        if notional(payout, shares, Rounding::Down)? != proceeds {
            return Err(contradicts("token", token, "proceeds are not the payout"));
        }
        let cash = self.cash.checked_add(proceeds)?;
        self.close_shares(token, shares, proceeds, Usdc::ZERO)?;
        self.cash = cash;
        self.used.remove(token);
        self.stranded.remove(token);
        Ok(())
    }

    /// Scored estimates are acted on no more.
    fn apply_score(&mut self, scored: &Scored<'_>) -> Result<(), LedgerError> {
        let Estimate {
            author, market_id, ..
        } = scored.estimate;
        Arc::make_mut(&mut self.scoring)
            .score(scored)
            .map_err(|why| contradicts("estimate", format!("of {market_id} by {author}"), why))?;
        if let Some(current) = self.estimates.get_mut(market_id) {
            let at = scored.estimate.created_at;
            current.retain(|known| known.author != *author || known.created_at != at);
            if current.is_empty() {
                self.estimates.remove(market_id);
            }
        }
        Ok(())
    }

    /// Takes shares out of a position for `gained`, realising the difference to their cost.
    fn close_shares(
        &mut self,
        token: &TokenId,
        shares: Shares,
        gained: Usdc,
        fee: Usdc,
    ) -> Result<(), LedgerError> {
        let held = self.held(token);
        let Some(position) = self.positions.get(token).filter(|p| p.shares >= shares) else {
            return Err(LedgerError::NotEnoughShares {
                token: token.clone(),
                needed: shares,
                held,
            });
        };
        let cost = position.cost.share_of(shares, position.shares);
        let profit = gained.checked_sub(cost)?;
        self.realized = self.realized.checked_add(profit)?;
        let strategy = position.entry_strategy.clone();
        let closed = position.shares == shares;
        self.positions.change(token, |position| {
            position.cost = position.cost.minus(cost);
            position.shares = position.shares.minus(shares);
        });
        let life = self.lives.entry(token.clone()).or_default();
        *life = life.plus(profit).minus(fee);
        let won = *life > Usdc::ZERO;
        let totals = self.totals(&strategy);
        totals.realized = totals.realized.plus(profit);
        if closed {
            totals.closed += 1;
            totals.won += u64::from(won);
            self.positions.close(token);
            self.lives.remove(token);
        }
        Ok(())
    }

    /// Notes a bought leg; a sale of any kind leaves less of a stranded one.
    fn follow_leg(&mut self, fill: &Fill) {
        let basket = self
            .open_order(fill.order_id)
            .and_then(|(order, _)| order.basket);
        match (fill.side, basket) {
            (Side::Buy, Some(basket)) => {
                if self.legs.as_ref().is_none_or(|(known, _)| *known != basket) {
                    self.legs = Some((basket, BTreeMap::new()));
                }
                if let Some((_, legs)) = &mut self.legs {
                    let leg = legs.entry(fill.token_id.clone()).or_default();
                    *leg = leg.plus(fill.shares);
                }
            }
            (Side::Buy, None) => {}
            (Side::Sell, _) => {
                if let Some(leg) = self.stranded.get_mut(&fill.token_id) {
                    leg.shares = leg.shares.minus(fill.shares);
                    if leg.shares.is_zero() {
                        self.stranded.remove(&fill.token_id);
                    }
                }
            }
        }
    }

    /// A leg that did not fill leaves those bought before it stranded, until they are sold.
    fn strand(&mut self, order: &Order, outcome: OrderOutcome) {
        let Some(basket) = order.basket else { return };
        if order.side == Side::Sell || outcome == OrderOutcome::Filled {
            return;
        }
        let Some((_, legs)) = self.legs.take_if(|(known, _)| *known == basket) else {
            return;
        };
        for (token, shares) in legs {
            let before = self
                .stranded
                .get(&token)
                .map_or(Shares::ZERO, |leg| leg.shares);
            let shares = before.plus(shares);
            self.stranded.insert(token, Stranded { basket, shares });
        }
    }

    fn remember(&mut self, at: Timestamp, fill: &Fill) {
        let client_id = self
            .open_order(fill.order_id)
            .and_then(|(order, _)| order.client_order_id.clone());
        if let Some(placed) =
            client_id.and_then(|id| self.client_orders.get_mut(&id).map(Arc::make_mut))
        {
            placed.fills.push(fill.clone());
        }
        // What a maker's fill used up stands at other prices than its own: it is told apart.
        if !fill.maker {
            self.use_up(at, &fill.token_id, fill.side, fill.price, fill.shares);
        }
        self.remember_trade(at, fill);
    }

    fn remember_trade(&mut self, at: Timestamp, fill: &Fill) {
        self.recent_trades.push_front(RecentTrade {
            at,
            fill: fill.clone(),
        });
        self.recent_trades.truncate(RECENT_TRADES);
    }

    /// An order that is on its way or rests, with the shares that may still fill.
    #[must_use]
    pub fn open_order(&self, order_id: u64) -> Option<(&Order, Shares)> {
        let in_flight = self
            .in_flight
            .get(&order_id)
            .map(|(order, remaining)| (order, *remaining));
        in_flight.or_else(|| {
            let resting = self.resting.get(&order_id)?;
            Some((&resting.order, resting.remaining))
        })
    }

    /// So much is left of a waiting order.
    fn shrink(&mut self, order_id: u64, left: Shares) {
        let waiting = match self.in_flight.get_mut(&order_id) {
            Some((order, remaining)) => Some((&*order, remaining)),
            None => {
                let resting = self.resting.get_mut(&order_id);
                resting.map(|resting| (&resting.order, &mut resting.remaining))
            }
        };
        if let Some((order, remaining)) = waiting {
            self.claims.shrink(order, *remaining, left);
            *remaining = left;
        }
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

fn not_negative(amount: Usdc) -> Result<(), LedgerError> {
    if amount < Usdc::ZERO {
        return Err(MoneyError::Negative(amount.to_string()).into());
    }
    Ok(())
}

fn is_new(what: &'static str, id: u64, last: u64) -> Result<(), LedgerError> {
    if id <= last {
        return Err(LedgerError::Repeated {
            what,
            id: id.to_string(),
        });
    }
    Ok(())
}

fn contradicts(what: &'static str, id: impl ToString, why: &'static str) -> LedgerError {
    LedgerError::Contradiction {
        what,
        id: id.to_string(),
        why,
    }
}

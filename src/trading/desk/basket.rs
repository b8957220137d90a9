//! Arbitrage: all legs or none, as near as a venue without atomic pairs allows.

use std::collections::BTreeMap;

use crate::domain::{
    Basket, BasketLeg, LedgerEvent, Order, OrderOutcome, OrderType, Price, Reason, Rounding,
    Shares, Side, Signal, TokenId, Usdc, notional,
};

use super::super::aggregation::is_enough;
use super::super::config::Mode;
use super::super::report::BasketReport;
use super::super::risk::{Approved, Candidate, LegRefusal};
use super::{DeskError, Refusal, Step};

/// How many ticks below the best bid an unwinding sale may go.
const UNWIND_TICKS: u32 = 5;

/// A leg that is to be run.
pub(super) enum Leg {
    /// Approved in this step, and not sent yet.
    New(Approved<Order>),
    /// Sent in an earlier step: it has arrived.
    Arrived(Order),
}

impl Leg {
    fn order(&self) -> Order {
        match self {
            Leg::New(approved) => approved.get().clone(),
            Leg::Arrived(order) => order.clone(),
        }
    }
}

/// Why a basket did not fill.
pub(super) struct Failure {
    /// Legs that had been bought before.
    bought: usize,
    /// Why the next one was not.
    reason: String,
}

/// What was paid for a leg and gained by selling it again.
#[derive(Default)]
struct LegMoney {
    bought: Shares,
    paid: Usdc,
    sold: Shares,
    gained: Usdc,
    fees: Usdc,
}

impl Step<'_> {
    /// Buys the legs as fill-or-kill orders in sequence, thinnest first; when one fails, sells what
    /// was bought of the others at the bid and reports what that cost.
    pub(super) fn trade_basket(&mut self, basket: &Basket) -> Result<(), DeskError> {
        // Thinnest first, whatever order the strategy named them in: the leg that is the likeliest
        // to fail goes while there is nothing to unwind.
        let mut basket = basket.clone();
        basket.legs.sort_by_key(|leg| leg.depth);
        let basket = &basket;
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
            Err(broken) => return self.refuse_basket(&orders, &broken),
        };
        if self.config.execution.latency_ms > 0 {
            // All legs leave together; they are run in this order when they arrive, and their
            // signals wait until then.
            for leg in approved {
                if let Some(view) = self.view(&leg.get().market_id) {
                    self.submit(leg, &view.market)?;
                }
            }
            return Ok(());
        }
        let legs = approved.into_iter().map(Leg::New).collect();
        let Some(failure) = self.run_legs(legs)? else {
            return self.executed(&rows);
        };
        let done = rows.iter().take(failure.bought).copied();
        self.executed(&done.collect::<Vec<_>>())?;
        let open: Vec<u64> = rows.iter().skip(failure.bought).copied().collect();
        let reason = format!(
            "a leg did not fill ({}); the others were unwound",
            failure.reason
        );
        self.reject_all(&open, "leg unfilled", &reason)
    }

    /// Runs a basket's legs in sequence until one does not fill; then those bought are sold again at
    /// the bid, those not run yet are withdrawn, and what it cost is reported.
    pub(super) fn run_legs(&mut self, legs: Vec<Leg>) -> Result<Option<Failure>, DeskError> {
        let count = u32::try_from(legs.len()).unwrap_or(u32::MAX);
        let since = self.recorder.events().len();
        let cash_before = self.ledger().cash();
        let mut bought: Vec<Order> = Vec::new();
        let mut failed: Option<(Order, String)> = None;
        let mut number = None;
        for leg in legs {
            let order = leg.order();
            let Some(view) = self.view(&order.market_id) else {
                continue;
            };
            number = Some((order.basket.unwrap_or_default(), order.strategy.clone()));
            let (arrived, report) = match leg {
                // Withdrawn when it was sent already; else it is never sent.
                Leg::Arrived(order) if failed.is_some() => {
                    let reason = "an earlier leg of its basket did not fill";
                    self.turned_away(&order, &view.market, OrderOutcome::Cancelled, reason)?;
                    continue;
                }
                Leg::New(_) if failed.is_some() => continue,
                Leg::Arrived(order) if count < 2 => {
                    let reason = "the other legs of its basket were withdrawn";
                    let report =
                        self.turned_away(&order, &view.market, OrderOutcome::Cancelled, reason)?;
                    (order, report)
                }
                Leg::Arrived(order) => {
                    let report = self.meet(&order, &view.market)?;
                    self.conclude_signals(&order, &report)?;
                    (order, report)
                }
                Leg::New(approved) => {
                    let order = self.accept_now(approved)?;
                    let report = self.execute(&order, &view.market)?;
                    (order, report)
                }
            };
            if report.fills.is_empty() {
                failed = Some((arrived, report.reason));
            } else {
                bought.push(arrived);
            }
        }
        let Some((basket, strategy)) = number else {
            return Ok(None);
        };
        let mut report = BasketReport {
            basket,
            strategy: strategy.to_string(),
            legs: count,
            filled: failed.is_none(),
            lost: 0.0,
            left: 0.0,
            reason: failed.as_ref().map(|(_, reason)| reason.clone()),
        };
        let failure = match failed {
            None => None,
            Some((order, reason)) => {
                self.unwind(&bought, &order)?;
                let (lost, left) = self.leg_loss(since)?;
                report.lost = lost.to_f64();
                report.left = left.to_f64();
                let taken = cash_before.minus(self.ledger().cash());
                self.report.notes.push(format!(
                    "basket {basket} of {strategy}: the leg {} did not fill; the attempt took {taken} \
                     pUSD of cash, fees included",
                    order.outcome
                ));
                Some(Failure {
                    bought: bought.len(),
                    reason,
                })
            }
        };
        self.report.baskets.push(report);
        Ok(failure)
    }

    /// What a basket's legs lost that were bought and sold again since so many events (in which
    /// nothing else fills), and the shares that could not be sold: `Σ cost of what was sold + fees of both − proceeds`, where the
    /// cost of a part is its share of what was paid, rounded down.
    fn leg_loss(&self, since: usize) -> Result<(Usdc, Shares), DeskError> {
        let mut legs: BTreeMap<&TokenId, LegMoney> = BTreeMap::new();
        for stamped in self.recorder.events().iter().skip(since) {
            let LedgerEvent::Filled { fill } = &stamped.event else {
                continue;
            };
            let leg = legs.entry(&fill.token_id).or_default();
            leg.fees = leg.fees.plus(fill.fee);
            match fill.side {
                Side::Buy => {
                    leg.bought = leg.bought.plus(fill.shares);
                    leg.paid = leg.paid.plus(fill.notional);
                }
                Side::Sell => {
                    leg.sold = leg.sold.plus(fill.shares);
                    leg.gained = leg.gained.plus(fill.notional);
                }
            }
        }
        let mut lost = Usdc::ZERO;
        let mut left = Shares::ZERO;
        for leg in legs.values() {
            let cost = leg.paid.share_of(leg.sold, leg.bought);
            lost = lost.plus(cost).plus(leg.fees).minus(leg.gained);
            left = left.plus(leg.bought.minus(leg.sold));
        }
        Ok((lost, left))
    }

    /// Names, in every tick, the legs that stay of baskets that did not fill: nothing guards them, and
    /// the strategy that bought them may not look at them again.
    pub(super) fn name_stranded(&mut self) {
        let stranded = self.recorder.ledger().stranded();
        for (token, leg) in stranded {
            self.report.notes.push(format!(
                "{} shares of token {token} stay of basket {}, which did not fill: sell them with \
                 place_trade or guard them with create_conditional_order",
                leg.shares, leg.basket
            ));
        }
    }

    fn executed(&mut self, rows: &[u64]) -> Result<(), DeskError> {
        for row in rows {
            self.recorder
                .record(LedgerEvent::SignalExecuted { signal_id: *row })?;
        }
        Ok(())
    }

    fn log_legs(&mut self, basket: &Basket) -> Result<Vec<u64>, DeskError> {
        let share = basket.edge / (basket.legs.len().max(1)) as f64;
        let mut rows = Vec::with_capacity(basket.legs.len());
        let reason = Reason::from(basket.reason.as_str());
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
                reason: reason.clone(),
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
                supporters: Vec::new(),
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
                arrives_at: None,
                fired_by: None,
                fee: None,
                basket: Some(number),
                reason: basket.reason.clone(),
                stop_loss: None,
                take_profit: None,
                trail_percent: None,
            })
            .collect()
    }

    /// Ends the signals of a basket that a leg keeps from being sent. The refusal is of that leg alone:
    /// its values are about that leg's token. The others' signals say which it was.
    fn refuse_basket(&mut self, orders: &[Order], broken: &LegRefusal) -> Result<(), DeskError> {
        let LegRefusal { leg, refusal } = broken;
        let Some(refused) = orders.get(*leg) else {
            return Ok(());
        };
        let earlier = orders.get(..*leg).unwrap_or_default();
        self.record_leg_refusal(refused, earlier, refusal)?;
        for order in orders {
            let reason = if order.id == refused.id {
                refusal.message.clone()
            } else {
                let signal = refused.signal_id.unwrap_or_default();
                format!(
                    "another leg of its basket was refused ({} of market {}, signal {signal}): {}",
                    refused.outcome, refused.market_id, refusal.message
                )
            };
            for row in order.signals() {
                self.reject(row, &refusal.code, reason.clone())?;
            }
        }
        Ok(())
    }

    fn approve_legs(&self, orders: &[Order]) -> Result<Vec<Approved<Order>>, LegRefusal> {
        let mut seen = Vec::with_capacity(orders.len());
        for (leg, order) in orders.iter().enumerate() {
            let refused = |refusal| LegRefusal { leg, refusal };
            self.not_resolved(&order.market_id).map_err(refused)?;
            let view = self.view(&order.market_id).ok_or_else(|| {
                refused(Refusal::new(
                    "market_not_gathered",
                    format!(
                        "market {} is not among those gathered for this tick",
                        order.market_id
                    ),
                    "It is looked at again at the next tick.",
                ))
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
                limit: bid.minus(below).floor_to(tick).max(tick),
                shares: self.ledger().sellable(&order.token_id).min(order.shares),
                order_type: OrderType::Fak,
                reason: format!("unwind: leg {} of the basket did not fill", failed.outcome),
                ..order.clone()
            };
            let book = self.book(&order.token_id);
            let paid: Usdc = notional(order.limit, order.shares, Rounding::Down)?;
            match self.approve(&sale, &view.market, book.as_ref()) {
                Ok(approved) => {
                    let sale = self.accept_now(approved)?;
                    let report = self.execute(&sale, &view.market)?;
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

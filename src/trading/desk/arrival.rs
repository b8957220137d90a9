//! Orders on their way: accepted and sent, then matched against the book that they meet.
//!
//! Without a latency an order meets the book that it was decided on, in the same step. With one
//! (`execution.latency_ms`) it is in flight until a step whose moment is not before its arrival. The
//! venue's rules are checked again then, and whether a halt is in force or due; the operator's other
//! limits were judged when it was sent, and its claim on cash or shares has stood since.

use crate::domain::{
    LedgerEvent, Market, Order, OrderOutcome, OrderType, Rounding, Shares, Side, SourceKind,
    Timestamp, TokenId, Usdc, notional,
};

use super::super::matching::{self, Matched};
use super::super::report::{self, OrderReport};
use super::super::risk::{Approved, Candidate, Refusal};
use super::super::venue_rules;
use super::agent::AGENT;
use super::basket::Leg;
use super::{DeskError, Step, known_at, signals, unfilled_reason};

/// An order whose book could not be had for so long after its arrival is not delivered any more, ms.
const UNDELIVERED_MS: i64 = 30_000;

impl Step<'_> {
    /// Hands an approved order to the paper exchange: it is matched at once, or sent on its way.
    pub(super) fn submit(
        &mut self,
        approved: Approved<Order>,
        market: &Market,
    ) -> Result<OrderReport, DeskError> {
        let order = self.accept(approved)?;
        if order.arrives_at.is_none() {
            return self.execute(&order, market);
        }
        let matched = Matched {
            fills: Vec::new(),
            unfilled: order.shares,
        };
        let report = OrderReport::new(&order, market, &matched, report::IN_FLIGHT, None);
        self.report.orders.push(report.clone());
        Ok(report)
    }

    /// Records an approved order as accepted, with the moment of its arrival if that is later.
    fn accept(&mut self, approved: Approved<Order>) -> Result<Order, DeskError> {
        let latency = i64::from(self.config.execution.latency_ms);
        let arrives_at = (latency > 0).then(|| self.recorder.at().plus_millis(latency));
        self.accepted(Order {
            arrives_at,
            ..approved.into_inner()
        })
    }

    /// Records an approved order as accepted and arrived.
    pub(super) fn accept_now(&mut self, approved: Approved<Order>) -> Result<Order, DeskError> {
        self.accepted(Order {
            arrives_at: None,
            ..approved.into_inner()
        })
    }

    fn accepted(&mut self, order: Order) -> Result<Order, DeskError> {
        self.recorder.record(LedgerEvent::OrderAccepted {
            order: order.clone(),
        })?;
        Ok(order)
    }

    /// Lets every order arrive whose time has come and whose market is among those gathered.
    pub(super) fn arrivals(&mut self) -> Result<(), DeskError> {
        // By the time of what was gathered, not by that of the account, which may have gone on since.
        let now = self.snapshot.at;
        let mut due: Vec<Order> = self
            .ledger()
            .in_flight()
            .map(|(order, _)| order)
            .filter(|order| order.arrives_at.is_none_or(|moment| moment <= now))
            .cloned()
            .collect();
        due.sort_by_key(|order| (order.arrives_at, order.id));
        let mut next = 0;
        while let Some(order) = due.get(next) {
            let legs = due
                .iter()
                .skip(next)
                .take_while(|other| order.basket.is_some() && other.basket == order.basket)
                .count()
                .max(1);
            let group: Vec<Order> = due.iter().skip(next).take(legs).cloned().collect();
            next += legs;
            let gathered = group.iter().all(|leg| self.meets_its_book(leg));
            if !gathered || self.is_too_late(&group)? || self.stopped_by_halt(&group)? {
                continue;
            }
            match group.as_slice() {
                [single] if single.basket.is_none() || single.side == Side::Sell => {
                    self.arrive(single)?;
                }
                _ => {
                    self.run_legs(group.into_iter().map(Leg::Arrived).collect())?;
                }
            }
        }
        Ok(())
    }

    /// Whether the order's market was gathered, with a book of its arrival or later: one from before
    /// is not what it meets.
    fn meets_its_book(&self, order: &Order) -> bool {
        let Some(view) = self.view(&order.market_id) else {
            return false;
        };
        let book = view.book(&order.token_id);
        book.zip(order.arrives_at)
            .is_none_or(|(book, moment)| known_at(book, self.snapshot) >= moment)
    }

    /// Closes orders that nothing could be learned for at their moment, as a restart does: the market has
    /// moved since. Simulated and recorded time moves in steps, which are no delay.
    fn is_too_late(&mut self, group: &[Order]) -> Result<bool, DeskError> {
        let moment = group.iter().filter_map(|order| order.arrives_at).min();
        let late = moment.map_or(0, |moment| self.snapshot.at.since(moment));
        if self.snapshot.source != SourceKind::Polymarket || late <= UNDELIVERED_MS {
            return Ok(false);
        }
        let reason = format!(
            "not delivered: its book could not be had for {} s after its arrival",
            late / 1000
        );
        for order in group {
            if let Some(view) = self.view(&order.market_id) {
                self.turned_away(order, &view.market, OrderOutcome::Cancelled, &reason)?;
            }
        }
        Ok(true)
    }

    /// Turns buys away that a halt does not let through. A basket's legs are looked at together and
    /// before the first: stopping half of them would leave a bet.
    fn stopped_by_halt(&mut self, group: &[Order]) -> Result<bool, DeskError> {
        if group.iter().all(|order| order.side == Side::Sell) {
            return Ok(false);
        }
        let Err(refusal) = self.gate().lets_buys_through() else {
            return Ok(false);
        };
        let reason = format!("refused on arrival: {}", refusal.message);
        for order in group {
            if let Some(view) = self.view(&order.market_id) {
                self.turned_away(order, &view.market, OrderOutcome::Cancelled, &reason)?;
            }
        }
        Ok(true)
    }

    /// One order arrives. Nothing happens when its market is not among those gathered.
    fn arrive(&mut self, order: &Order) -> Result<(), DeskError> {
        let Some(view) = self.view(&order.market_id) else {
            return Ok(());
        };
        let market = view.market.clone();
        self.firing = order.fired_by.map(|fired| fired.conditional);
        let report = self.meet(order, &market);
        self.firing = None;
        let report = report?;
        self.conclude_signals(order, &report)?;
        if let Some(fired) = order.fired_by {
            self.conditional_sold(fired, order, &report.reason)?;
        }
        if order.side == Side::Buy && !report.fills.is_empty() {
            let strategic = order.strategy.as_str() != AGENT && !order.order_type.rests();
            self.attach_exits(order, &market, strategic && self.config.conditional.enabled)?;
        }
        Ok(())
    }

    /// An order that was on its way meets the book, unless the venue refuses it now.
    pub(super) fn meet(
        &mut self,
        order: &Order,
        market: &Market,
    ) -> Result<OrderReport, DeskError> {
        if order
            .expires_at
            .is_some_and(|end| end <= self.recorder.at())
        {
            let reason = "it expired on its way to the exchange";
            return self.turned_away(order, market, OrderOutcome::Expired, reason);
        }
        let verdict = self.refused_on_arrival(order, market)?;
        match verdict {
            Some(refusal) => {
                let reason = format!("refused on arrival: {}", refusal.message);
                self.turned_away(order, market, OrderOutcome::Cancelled, &reason)
            }
            None => self.execute(order, market),
        }
    }

    fn refused_on_arrival(
        &self,
        order: &Order,
        market: &Market,
    ) -> Result<Option<Refusal>, DeskError> {
        if let Err(refusal) = self.not_resolved(&order.market_id) {
            return Ok(Some(refusal));
        }
        let book = self.left_of(&order.token_id);
        let candidate = Candidate {
            order,
            market,
            book: book.as_deref(),
        };
        if let Err(refusal) = venue_rules::on_arrival(&candidate, &self.gate()) {
            return Ok(Some(refusal));
        }
        let matched = match &book {
            Some(book) if order.order_type.takes() => {
                matching::take(order, book, order.fee.unwrap_or(market.fee))?
            }
            _ => Matched::default(),
        };
        self.not_affordable(order, &matched)
    }

    /// The venue's balance check. Cash for an order's price was kept while it was on its way, cash
    /// for its fee was not.
    fn not_affordable(
        &self,
        order: &Order,
        matched: &Matched,
    ) -> Result<Option<Refusal>, DeskError> {
        let own_claim = match order.side {
            Side::Buy => notional(order.limit, order.shares, Rounding::Up)?,
            Side::Sell => Usdc::ZERO,
        };
        let available = self.ledger().available_cash().plus(own_claim);
        let rest = order.shares.minus(matched.filled());
        let needed = match order.side {
            Side::Buy if order.order_type.rests() => notional(order.limit, rest, Rounding::Up)?
                .plus(matched.notional())
                .plus(matched.fee()),
            Side::Buy => matched.notional().plus(matched.fee()),
            Side::Sell => matched.fee().minus(matched.notional()),
        };
        Ok((needed > available.max(Usdc::ZERO)).then(|| {
            Refusal::new(
                "cash",
                format!("not enough balance: {needed} pUSD with fee, {available} pUSD free"),
                "Lower the size.",
            )
        }))
    }

    /// Closes an order that the exchange does not take.
    pub(super) fn turned_away(
        &mut self,
        order: &Order,
        market: &Market,
        outcome: OrderOutcome,
        reason: &str,
    ) -> Result<OrderReport, DeskError> {
        self.close_order(order.id, outcome, order.shares, reason)?;
        signals::reject_open(&mut self.recorder, order, reason)?;
        let matched = Matched {
            fills: Vec::new(),
            unfilled: order.shares,
        };
        let words = report::outcome_words(outcome);
        let mut report = OrderReport::new(order, market, &matched, words, None);
        reason.clone_into(&mut report.reason);
        self.report.orders.push(report.clone());
        Ok(report)
    }

    /// Matches an accepted order against the book and records what comes of it.
    pub(super) fn execute(
        &mut self,
        order: &Order,
        market: &Market,
    ) -> Result<OrderReport, DeskError> {
        let book = self.left_of(&order.token_id);
        let matched = match &book {
            Some(book) if order.order_type.takes() => {
                matching::take(order, book, order.fee.unwrap_or(market.fee))?
            }
            _ => Matched {
                fills: Vec::new(),
                unfilled: order.shares,
            },
        };
        for level in &matched.fills {
            self.record_fill(order, level, super::How::Taken)?;
        }
        let outcome = report::outcome_of(&matched);
        let rests = order.order_type.rests() && !matched.unfilled.is_zero();
        let reason = match outcome {
            OrderOutcome::Unfilled if !rests => unfilled_reason(order, book.as_deref()),
            _ => order.reason.clone(),
        };
        let slippage = book
            .as_ref()
            .and_then(|book| matching::slippage(&matched, book, order.side));
        let words = if rests {
            report::RESTING
        } else {
            report::outcome_words(outcome)
        };
        let mut report = OrderReport::new(order, market, &matched, words, slippage);
        report.reason.clone_from(&reason);
        if rests {
            let queue_ahead = self.queue_at(order);
            let prints_to = self.prints_in(&order.token_id);
            self.recorder.record(LedgerEvent::OrderRested {
                order_id: order.id,
                remaining: matched.unfilled,
                queue_ahead,
                prints_to,
            })?;
            report.rests(matched.unfilled, queue_ahead);
        } else {
            self.close_order(order.id, outcome, matched.unfilled, &reason)?;
        }
        self.report.orders.push(report.clone());
        if order.side == Side::Sell {
            self.fit_conditionals(&order.token_id)?;
        }
        Ok(report)
    }

    /// Shares of others that stand at an order's price on its own side.
    pub(super) fn queue_at(&self, order: &Order) -> Shares {
        self.snapshot
            .book(&order.token_id)
            .map_or(Shares::ZERO, |book| book.size_at(order.side, order.limit))
    }

    /// The exchange's time up to which trades of others are part of a token's book, where that is
    /// later than our own clock: those were there before an order that rests now, whatever our clock
    /// says.
    fn prints_in(&self, token: &TokenId) -> Option<Timestamp> {
        let changed = self.snapshot.book(token).map(|book| book.changed_at);
        let told = self.snapshot.prints.iter();
        let told = told.filter(|print| print.token == *token).map(|p| p.at);
        let newest = told.chain(changed).max()?;
        (newest > self.recorder.at()).then_some(newest)
    }

    /// True while a sale that this conditional order set off is on its way.
    pub(super) fn is_selling(&self, conditional: u64) -> bool {
        self.ledger().in_flight().any(|(order, _)| {
            order
                .fired_by
                .is_some_and(|fired| fired.conditional == conditional)
        })
    }

    /// True while a quote of this strategy for this side of a token is on its way.
    pub(super) fn is_quoting(&self, wanted: &crate::domain::Quote, side: Side) -> bool {
        self.ledger().in_flight().any(|(order, _)| {
            order.order_type == OrderType::PostOnly
                && order.strategy == wanted.strategy
                && order.token_id == wanted.token_id
                && order.side == side
        })
    }
}

//! Conditional orders: evaluated before strategies, in shares of the position, against the bid.

use crate::domain::{
    Book, ConditionalOrder, ConditionalSale, FiredBy, LedgerEvent, Market, Order, OrderType, Price,
    Shares, Side, TokenId, Usdc,
};

use super::super::conditional::{self, ExitPrices, Finding};
use super::super::ledger::Recorder;
use super::super::report::{ExitReport, IN_FLIGHT};
use super::super::risk::{Approved, Refusal, RiskGate};
use super::super::venue_rules;
use super::{DeskError, Step, command};

/// Why a resting sale gives its shares back.
const WITHDRAWN_FOR_EXIT: &str = "an exit of the same position was triggered";

impl Step<'_> {
    /// Lets every active conditional order look at its bid, oldest first. A missing bid triggers
    /// nothing: an empty side is no price.
    pub(super) fn run_conditionals(&mut self) -> Result<(), DeskError> {
        let ids: Vec<u64> = self.ledger().conditionals().keys().copied().collect();
        for id in ids {
            let Some(order) = self.ledger().conditionals().get(&id).cloned() else {
                continue;
            };
            if self.is_selling(id) {
                continue;
            }
            if self.ledger().held(&order.token_id).is_zero() {
                self.cancel_conditional(id, "the position is gone")?;
                continue;
            }
            self.look_at(&order)?;
        }
        Ok(())
    }

    fn look_at(&mut self, order: &ConditionalOrder) -> Result<(), DeskError> {
        let id = order.id;
        let snapshot = self.snapshot;
        if self.outdated.contains(&order.token_id) {
            let note = format!(
                "conditional order {id}: the account knows a newer book than this step's, not evaluated"
            );
            self.report.notes.push(note);
            return Ok(());
        }
        // The book as the market shows it. What we took from it ourselves is counted when the sale
        // is matched, but is no fall of the price: one exit must not set off the next.
        let seen = snapshot.market_of(&order.token_id).zip(
            snapshot
                .book(&order.token_id)
                .filter(|book| book.is_sound()),
        );
        let now = self.recorder.at();
        let config = &self.config.conditional;
        let finding = seen.and_then(|(view, book)| {
            let finding = conditional::look(order, book, config, now)?;
            Some((view, book, finding))
        });
        let Some((view, book, finding)) = finding else {
            let note = format!("conditional order {id}: no usable bid, not evaluated");
            self.report.notes.push(note);
            return Ok(());
        };
        if let Err(refusal) = venue_rules::fit(book, &self.gate()) {
            let note = format!("conditional order {id}: not evaluated: {refusal}");
            self.report.notes.push(note);
            return Ok(());
        }
        match finding {
            Finding::Waits { raised } => {
                if order.doubted_since.is_some() {
                    let (bid, ask) = (book.best_bid(), book.best_ask());
                    self.recorder.record(LedgerEvent::ConditionalDoubted {
                        id,
                        bid,
                        ask,
                        since: None,
                    })?;
                }
                if let Some(watermark) = raised {
                    self.recorder
                        .record(LedgerEvent::WatermarkRaised { id, watermark })?;
                }
            }
            Finding::Doubts { bid, ask, thin } => {
                if order.doubted_since.is_none() {
                    self.recorder.record(LedgerEvent::ConditionalDoubted {
                        id,
                        bid: Some(bid),
                        ask,
                        since: Some(now),
                    })?;
                }
                let why = if thin {
                    "too few shares are bid".to_owned()
                } else {
                    let ask = ask.map_or("nobody asks".to_owned(), |ask| format!("the ask {ask}"));
                    format!("the spread is too wide ({ask})")
                };
                self.report.notes.push(format!(
                    "conditional order {id}: the bid {bid} reaches its trigger, but {why}; it fires \
                     if that lasts {} s",
                    self.config.conditional.confirm_seconds
                ));
            }
            Finding::Fires { bid } => self.fire(order, bid, &view.market)?,
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
        let id = conditional.id;
        let limit = conditional::limit_of(
            conditional,
            bid,
            market.tick,
            self.config.conditional.max_slippage_pct,
        );
        let book = self.left_of(token);
        if book
            .as_deref()
            .is_some_and(|book| book.depth_to(Side::Sell, limit).is_zero())
        {
            self.report.notes.push(format!(
                "conditional order {id} fired but sold nothing: what was bid at {limit} or better \
                 is sold already"
            ));
            return Ok(());
        }
        // Shares that rest for sale elsewhere come back first: an exit goes before a quote. Only if
        // the gate lets the exit through: else they would be withdrawn for nothing.
        let quoted: Vec<u64> = self
            .ledger()
            .resting()
            .iter()
            .filter(|(_, r)| r.order.token_id == *token && r.order.side == Side::Sell)
            .map(|(id, _)| *id)
            .collect();
        let shares = conditional.shares.min(self.ledger().held(token));
        let order = self.sale(conditional, market, (bid, limit, shares));
        let verdict = self.approve_without(&quoted, &order, market, book.as_deref())?;
        let approved = match verdict {
            Ok(approved) => approved,
            Err(refusal) => {
                self.report
                    .notes
                    .push(format!("conditional order {id} could not sell: {refusal}"));
                return self.record_refusal(&order, &refusal);
            }
        };
        command::withdraw(&mut self.recorder, &quoted, WITHDRAWN_FOR_EXIT)?;
        let order = approved.get().clone();
        self.firing = Some(id);
        let report = self.submit(approved, market);
        self.firing = None;
        let report = report?;
        if report.status == IN_FLIGHT {
            return Ok(());
        }
        self.conditional_sold(
            FiredBy {
                conditional: id,
                bid,
            },
            &order,
            &report.reason,
        )
    }

    /// What the gate says to a sale once these orders are withdrawn, which are not yet.
    fn approve_without(
        &self,
        withdrawn: &[u64],
        order: &Order,
        market: &Market,
        book: Option<&Book>,
    ) -> Result<Result<Approved<Order>, Refusal>, DeskError> {
        if withdrawn.is_empty() {
            return Ok(self.approve(order, market, book));
        }
        if let Err(refusal) = self.not_resolved(&order.market_id) {
            return Ok(Err(refusal));
        }
        let mut draft = self.ledger().clone();
        let mut recorder = Recorder::new(&mut draft, self.recorder.at());
        command::withdraw(&mut recorder, withdrawn, WITHDRAWN_FOR_EXIT)?;
        let gate = RiskGate {
            ledger: recorder.ledger(),
            ..self.gate()
        };
        Ok(gate.approve(order, market, book))
    }

    /// Records what a conditional order's sale brought: it is done, or goes on waiting with what it
    /// could not sell.
    pub(super) fn conditional_sold(
        &mut self,
        fired: FiredBy,
        order: &Order,
        reason: &str,
    ) -> Result<(), DeskError> {
        let FiredBy {
            conditional: id,
            bid,
        } = fired;
        // It may have been withdrawn while its sale was on its way.
        let Some(conditional) = self.ledger().conditionals().get(&id).cloned() else {
            return Ok(());
        };
        let (sold, proceeds) = self.filled_of(order.id);
        if sold.is_zero() {
            self.report.notes.push(format!(
                "conditional order {id} fired but sold nothing: {reason}"
            ));
            return Ok(());
        }
        let trigger = conditional.effective_trigger();
        let left = order.shares.minus(sold);
        let sale = ConditionalSale {
            bid,
            trigger,
            sold,
            proceeds,
        };
        let told = ExitReport::new(&conditional, &sale, left)?;
        self.report.triggered.push(told.words.clone());
        self.report.exits.push(told);
        let event = if left.is_zero() {
            LedgerEvent::ConditionalTriggered {
                id,
                bid,
                sold,
                proceeds: Some(proceeds),
                trigger: Some(trigger),
            }
        } else {
            LedgerEvent::ConditionalReduced {
                id,
                shares: left,
                sale: Some(sale),
            }
        };
        self.recorder.record(event)?;
        self.fit_group(&conditional, left)
    }

    fn sale(
        &self,
        conditional: &ConditionalOrder,
        market: &Market,
        (bid, limit, shares): (Price, Price, Shares),
    ) -> Order {
        let token = &conditional.token_id;
        Order {
            id: self.ledger().next_order_id(),
            client_order_id: None,
            signal_id: None,
            supporters: Vec::new(),
            strategy: conditional.parent_strategy.clone(),
            market_id: conditional.market_id.clone(),
            event_id: market.event_id.clone(),
            token_id: token.clone(),
            outcome: market
                .outcome_of(token)
                .map(|(_, outcome)| outcome.name.clone())
                .unwrap_or_default(),
            side: Side::Sell,
            limit,
            shares,
            order_type: OrderType::Fak,
            expires_at: None,
            arrives_at: None,
            fired_by: Some(FiredBy {
                conditional: conditional.id,
                bid,
            }),
            fee: None,
            basket: None,
            reason: format!(
                "Conditional {} triggered at {bid}",
                conditional.kind.as_str()
            ),
            stop_loss: None,
            take_profit: None,
            trail_percent: None,
        }
    }

    /// Shares that an order filled in this step, and what they came to, fees not included.
    fn filled_of(&self, order_id: u64) -> (Shares, Usdc) {
        let accepted = |event: &LedgerEvent| matches!(event, LedgerEvent::OrderAccepted { order } if order.id == order_id);
        self.recorder
            .events()
            .iter()
            // Before it was accepted it filled nothing: a hundred orders of a tick are not a hundred
            // looks at all that they did.
            .rev()
            .take_while(|stamped| !accepted(&stamped.event))
            .filter_map(|stamped| match &stamped.event {
                LedgerEvent::Filled { fill } if fill.order_id == order_id => Some(fill),
                _ => None,
            })
            .fold((Shares::ZERO, Usdc::ZERO), |(shares, sum), fill| {
                (shares.plus(fill.shares), sum.plus(fill.notional))
            })
    }

    /// One cancels other: after a sale by one order of a group, the others cover what is left to
    /// it, or are withdrawn.
    fn fit_group(&mut self, sold: &ConditionalOrder, left: Shares) -> Result<(), DeskError> {
        let others: Vec<(u64, Shares)> = self
            .ledger()
            .conditionals()
            .values()
            .filter(|other| other.id != sold.id && other.group_key() == sold.group_key())
            .map(|other| (other.id, other.shares))
            .collect();
        for (id, shares) in others {
            if left.is_zero() {
                let reason = format!("one cancels other: {} {} sold", sold.kind.as_str(), sold.id);
                self.cancel_conditional(id, &reason)?;
            } else if shares > left {
                self.reduce_conditional(id, left)?;
            }
        }
        Ok(())
    }

    fn reduce_conditional(&mut self, id: u64, shares: Shares) -> Result<(), DeskError> {
        self.recorder.record(LedgerEvent::ConditionalReduced {
            id,
            shares,
            sale: None,
        })?;
        Ok(())
    }

    /// After a sale: withdraws conditional orders of a position that is gone and shrinks those
    /// that cover more than is left.
    pub(super) fn fit_conditionals(&mut self, token: &TokenId) -> Result<(), DeskError> {
        let held = self.ledger().held(token);
        // The one that fires, and its group, are closed or reduced by `fire` itself.
        let firing = self
            .firing
            .and_then(|id| self.ledger().conditionals().get(&id))
            .map(ConditionalOrder::group_key);
        let waiting: Vec<(u64, Shares)> = self
            .ledger()
            .conditionals()
            .values()
            .filter(|order| order.token_id == *token && Some(order.group_key()) != firing)
            .map(|order| (order.id, order.shares))
            .collect();
        for (id, shares) in waiting {
            if held.is_zero() {
                self.cancel_conditional(id, "the position is gone")?;
            } else if shares > held {
                self.reduce_conditional(id, held)?;
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

    /// Attaches stop, profit and trailing orders to what a buy filled in this step: those that the
    /// order names, and the configured defaults where `defaults` is set and the order names none.
    /// Those of one buy are a group: one cancels other. Gives what was attached, in words.
    ///
    /// A default that the bid has passed already is left out. One that the order names is not: who
    /// asked for it relies on it, and the bid may have fallen while the order rested or was on its
    /// way. It is looked at like every other, next time.
    pub(super) fn attach_exits(
        &mut self,
        order: &Order,
        market: &Market,
        defaults: bool,
    ) -> Result<Vec<String>, DeskError> {
        // What this order bought and paid; the position may hold older shares at other prices.
        let (filled, spent) = self.filled_of(order.id);
        let filled = filled.min(self.ledger().held(&order.token_id));
        if order.side != Side::Buy || filled.is_zero() {
            return Ok(Vec::new());
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
        let automatic = defaults.then_some(&self.config.conditional);
        let wanted = conditional::exits_for(order, &prices, automatic);
        let first = self.ledger().next_conditional_id();
        let group = (wanted.len() > 1).then_some(first);
        let mut attached = Vec::with_capacity(wanted.len());
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
                group,
                doubted_since: None,
                sales: None,
                reason: exit.reason,
                created_at: self.recorder.at(),
            };
            let passed = bid.filter(|bid| conditional.fires_at(*bid));
            if passed.is_some() && exit.automatic {
                self.report.notes.push(format!(
                    "{} not attached to {}: it would fire at once",
                    conditional.reason, order.outcome
                ));
                continue;
            }
            let mut words = format!(
                "{} on {filled} shares: conditional order {}",
                conditional.reason, conditional.id
            );
            if let Some(bid) = passed {
                words.push_str(&format!(
                    "; the bid {bid} has passed its price already, so it fires at the next look \
                     that believes the book"
                ));
                self.report.notes.push(words.clone());
            }
            attached.push(words);
            self.recorder
                .record(LedgerEvent::ConditionalCreated { conditional })?;
        }
        let report = self
            .report
            .orders
            .iter_mut()
            .rfind(|report| report.order_id == order.id);
        if let Some(report) = report {
            report.exits.clone_from(&attached);
        }
        Ok(attached)
    }
}

//! The desk's step: one input against the current ledger, in one pure, synchronous go.
//!
//! Order within a tick, on data gathered before: new day ▸ marks ▸ settle ▸ resting orders (filled,
//! then, after losses were looked at, judged again) ▸ conditional orders ▸ strategies ▸ conflicts and aggregation ▸ sizing ▸ risk ▸ matching ▸
//! account snapshot. Live, paper and backtest all come through here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::domain::{
    Book, Fill, Intent, LedgerEvent, Market, MarketId, MarketView, MoneyError, Order, OrderOutcome,
    Rounding, Shares, Side, Signal, Snapshot, StampedEvent, TokenId, notional,
};
use crate::strategy::{Analysis, Strategy, StrategyContext};

use super::config::{Mode, TradingConfig};
use super::ledger::{Ledger, LedgerError, Recorder};
use super::matching::{self, LevelFill, Matched};
use super::report::{self, OrderReport, SettlementReport, TickReport};
use super::risk::{Approved, Refusal, RiskGate};
use super::venue_rules;

mod agent;
mod basket;
mod command;
mod directional;
mod exits;
pub mod input;
mod limits;
mod quotes;

pub use agent::{
    AgentOrder, NewConditional, OrderPreview, agent_order, cancel_conditional, create_conditional,
    open_account, preview_order, store_estimate,
};
pub use input::{CancelScope, Input, Output, Rules, step};

/// A step that could not be carried out. Nothing of it counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// An event did not fit the ledger: a fault of ours, not of the input.
    #[error("the ledger refused an event: {0}")]
    Ledger(#[from] LedgerError),
    /// A number that does not fit 64 bits of micro-units.
    #[error("a number does not fit: {0}")]
    Money(#[from] MoneyError),
}

/// One tick. On an error the ledger may hold part of it and must be dropped: callers step a draft.
pub fn tick(
    ledger: &mut Ledger,
    snapshot: &Snapshot,
    strategies: &[Box<dyn Strategy>],
    config: &TradingConfig,
) -> Result<(TickReport, Vec<StampedEvent>), DeskError> {
    let mut step = Step::new(ledger, snapshot, config);
    step.begin_day()?;
    step.mark()?;
    step.settle()?;
    if config.mode != Mode::Monitor {
        step.fill_resting()?;
    }
    step.watch_losses()?;
    step.judge_resting()?;
    if config.mode != Mode::Monitor {
        step.run_conditionals()?;
    }
    step.run_strategies(strategies)?;
    step.finish_tick()?;
    Ok((step.report, step.recorder.into_events()))
}

/// Books changed between two ticks: marks, resting orders and exits look at them. Strategies do not,
/// nothing is settled, and no tick is counted.
pub fn books_changed(
    ledger: &mut Ledger,
    snapshot: &Snapshot,
    config: &TradingConfig,
) -> Result<(TickReport, Vec<StampedEvent>), DeskError> {
    let mut step = Step::new(ledger, snapshot, config);
    step.begin_day()?;
    step.mark()?;
    if config.mode != Mode::Monitor {
        step.fill_resting()?;
    }
    step.watch_losses()?;
    step.judge_resting()?;
    if config.mode != Mode::Monitor {
        step.run_conditionals()?;
    }
    if step.traded {
        step.mark()?;
        step.watch_losses()?;
        step.take_snapshot(true)?;
    }
    Ok((step.report, step.recorder.into_events()))
}

/// A step under way.
struct Step<'a> {
    recorder: Recorder<'a>,
    snapshot: &'a Snapshot,
    config: &'a TradingConfig,
    report: TickReport,
    traded: bool,
    /// The conditional order whose sale is under way.
    firing: Option<u64>,
}

impl<'a> Step<'a> {
    fn new(ledger: &'a mut Ledger, snapshot: &'a Snapshot, config: &'a TradingConfig) -> Self {
        let recorder = Recorder::new(ledger, snapshot.at);
        let report = TickReport {
            at: recorder.at().to_rfc3339(),
            ..Default::default()
        };
        Step {
            recorder,
            snapshot,
            config,
            report,
            traded: false,
            firing: None,
        }
    }

    fn ledger(&self) -> &Ledger {
        self.recorder.ledger()
    }

    fn gate(&self) -> RiskGate<'_> {
        RiskGate {
            limits: &self.config.risk,
            mode: self.config.mode,
            source: self.snapshot.source,
            ledger: self.recorder.ledger(),
            now: self.recorder.at(),
        }
    }

    /// The token's book less what we already took from it.
    fn book(&self, token: &TokenId) -> Option<Book> {
        let book = self.snapshot.book(token)?;
        Some(matching::remaining_book(book, self.ledger()))
    }

    /// Marks held tokens at the best bid, which is what a sale would get. Where nobody bids the
    /// earlier mark stays, with its time, and the equity says that it is not complete.
    fn mark(&mut self) -> Result<(), DeskError> {
        let mut marks = Vec::new();
        let mut gone = Vec::new();
        for position in self.ledger().positions().values() {
            let token = &position.token_id;
            let Some(book) = self.snapshot.book(token).filter(|book| book.is_sound()) else {
                continue;
            };
            match (book.best_bid(), position.mark) {
                (Some(bid), Some(mark)) if mark.price == bid && !mark.bid_gone => {}
                (Some(bid), _) => marks.push((token.clone(), bid)),
                (None, Some(mark)) if !mark.bid_gone => gone.push(token.clone()),
                (None, _) => {}
            }
        }
        if !marks.is_empty() {
            self.recorder.record(LedgerEvent::Marked { marks })?;
        }
        if !gone.is_empty() {
            self.recorder
                .record(LedgerEvent::BidsGone { tokens: gone })?;
        }
        Ok(())
    }

    /// Pays out positions of resolved markets, once, and withdraws what waits on them.
    fn settle(&mut self) -> Result<(), DeskError> {
        let snapshot = self.snapshot;
        for resolution in &snapshot.resolutions {
            let market_id = &resolution.market_id;
            let waiting: Vec<u64> = self
                .ledger()
                .resting()
                .iter()
                .filter(|(_, resting)| resting.order.market_id == *market_id)
                .map(|(id, _)| *id)
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
                    outcome: position.outcome.clone(),
                    payout: payout.to_f64(),
                    shares: position.shares.to_f64(),
                    proceeds: proceeds.to_f64(),
                    pnl: proceeds.minus(position.cost).to_f64(),
                    evidence: resolution.evidence.clone(),
                });
            }
        }
        Ok(())
    }

    /// Fills resting orders that the market traded through.
    fn fill_resting(&mut self) -> Result<(), DeskError> {
        let ids: Vec<u64> = self.ledger().resting().keys().copied().collect();
        for id in ids {
            let Some(resting) = self.ledger().resting().get(&id).cloned() else {
                continue;
            };
            let order = &resting.order;
            let Some(view) = self.snapshot.market(&order.market_id) else {
                continue;
            };
            if !view.market.is_tradable() {
                self.cancel_resting(id, "the market no longer accepts orders")?;
                continue;
            }
            // A book that no new order could trade on fills none that rests either.
            let Some(book) = self
                .book(&order.token_id)
                .filter(|book| venue_rules::fit(book, &self.gate()).is_ok())
            else {
                continue;
            };
            let Some(level) = matching::trade_through(&resting, &book)? else {
                continue;
            };
            self.record_fill(order, &level, true)?;
            let matched = Matched {
                fills: vec![level],
                unfilled: resting.remaining.minus(level.shares),
            };
            if matched.unfilled.is_zero() {
                self.close_order(id, OrderOutcome::Filled, Shares::ZERO, "traded through")?;
            }
            let status = report::outcome_words(report::outcome_of(&matched));
            let market = view.market.clone();
            self.report
                .orders
                .push(OrderReport::new(order, &market, &matched, status, None));
            self.fit_conditionals(&order.token_id)?;
        }
        Ok(())
    }

    /// Runs every strategy, each on its own: one that fails is reported and stops nobody.
    fn run_strategies(&mut self, strategies: &[Box<dyn Strategy>]) -> Result<(), DeskError> {
        self.report.markets = u32::try_from(self.snapshot.candidates().count()).unwrap_or(u32::MAX);
        let mut directional = Vec::new();
        let mut baskets = Vec::new();
        let mut quotes = Vec::new();
        for strategy in strategies {
            let analysis = self.analyze(strategy.as_ref());
            for intent in analysis.intents {
                match intent {
                    Intent::Directional(signal) => directional.push(signal),
                    Intent::Basket(basket) => baskets.push(basket),
                    Intent::Quote(quote) => quotes.push(quote),
                }
            }
        }
        self.trade_directional(directional)?;
        for basket in baskets {
            self.trade_basket(&basket)?;
        }
        self.trade_quotes(quotes)
    }

    fn analyze(&mut self, strategy: &dyn Strategy) -> Analysis {
        let ledger = self.recorder.ledger();
        let context = StrategyContext {
            snapshot: self.snapshot,
            positions: ledger.positions(),
            resting: ledger.resting(),
            estimates: ledger.estimates(),
        };
        // A strategy may be written by anybody; a panic in one must not stop exits or others.
        let outcome = catch_unwind(AssertUnwindSafe(|| strategy.analyze(&context)));
        let (analysis, error) = match outcome {
            Ok(Ok(analysis)) => (analysis, None),
            Ok(Err(error)) => (Analysis::default(), Some(error.to_string())),
            Err(_) => (
                Analysis::default(),
                Some("the strategy panicked".to_owned()),
            ),
        };
        let report = self.report.strategy(strategy.name());
        report.looked_at = analysis.looked_at;
        report.passed_over = analysis.passed_over.clone();
        report.error = error;
        analysis
    }

    fn finish_tick(&mut self) -> Result<(), DeskError> {
        self.mark()?;
        self.watch_losses()?;
        self.take_snapshot(false)?;
        let tick = self.ledger().ticks() + 1;
        let fills = self
            .report
            .orders
            .iter()
            .map(|order| order.fills.len())
            .sum::<usize>();
        self.report.tick = tick;
        self.report.fills = u32::try_from(fills).unwrap_or(u32::MAX);
        self.recorder.record(LedgerEvent::TickCompleted {
            tick,
            markets: self.report.markets,
            signals: self.report.signals,
            fills: self.report.fills,
        })?;
        let equity = self.ledger().equity();
        self.report.cash = self.ledger().cash().to_f64();
        self.report.equity = equity.total.to_f64();
        self.report.equity_complete = equity.complete;
        Ok(())
    }

    /// Records the account for charts: after each trade, else by the configured interval.
    fn take_snapshot(&mut self, force: bool) -> Result<(), DeskError> {
        let now = self.recorder.at();
        let due = self
            .ledger()
            .last_snapshot_at()
            .is_none_or(|last| now.since(last) >= self.config.snapshot_interval_ms);
        if force || self.traded || due {
            let balance = self.ledger().cash();
            let total_value = self.ledger().equity().total;
            self.recorder.record(LedgerEvent::SnapshotTaken {
                balance,
                total_value,
            })?;
        }
        Ok(())
    }

    // ---- what the kinds of trade share ----

    fn log_signal(&mut self, signal: &Signal) -> Result<u64, DeskError> {
        let signal_id = self.ledger().next_signal_id();
        self.recorder.record(LedgerEvent::SignalGenerated {
            signal_id,
            signal: signal.clone(),
        })?;
        self.report.signals += 1;
        self.report.strategy(signal.strategy.as_str()).signals += 1;
        self.report.signal_log.push((signal_id, signal.clone()));
        Ok(signal_id)
    }

    /// Closes a logged signal as not traded, and counts it under its own strategy.
    fn reject(&mut self, signal_id: u64, cause: &str, reason: String) -> Result<(), DeskError> {
        if let Some(strategy) = self.recorder.ledger().open_signal(signal_id) {
            self.report.not_traded(strategy.as_str(), cause);
        }
        self.recorder
            .record(LedgerEvent::SignalRejected { signal_id, reason })?;
        Ok(())
    }

    /// In monitor mode a signal is logged with the reason why nothing comes of it.
    fn reject_unmonitored(&mut self, signal_id: u64) -> Result<(), DeskError> {
        let reason = "the server runs in monitor mode, in which nothing is traded".to_owned();
        self.reject(signal_id, "monitor_mode", reason)
    }

    /// Hands an approved order to the paper executor and records what comes of it.
    fn submit(
        &mut self,
        approved: Approved<Order>,
        market: &Market,
    ) -> Result<OrderReport, DeskError> {
        let order = approved.into_inner();
        self.recorder.record(LedgerEvent::OrderAccepted {
            order: order.clone(),
        })?;
        let book = self.book(&order.token_id);
        let matched = match &book {
            Some(book) if order.order_type.takes() => matching::take(&order, book, market.fee)?,
            _ => Matched {
                fills: Vec::new(),
                unfilled: order.shares,
            },
        };
        for level in &matched.fills {
            self.record_fill(&order, level, false)?;
        }
        let outcome = report::outcome_of(&matched);
        let rests = order.order_type.rests() && !matched.unfilled.is_zero();
        let reason = match outcome {
            OrderOutcome::Unfilled if !rests => unfilled_reason(&order, book.as_ref()),
            _ => order.reason.clone(),
        };
        if rests {
            let queue_ahead = self
                .snapshot
                .book(&order.token_id)
                .map_or(Shares::ZERO, |book| book.size_at(order.side, order.limit));
            self.recorder.record(LedgerEvent::OrderRested {
                order_id: order.id,
                remaining: matched.unfilled,
                queue_ahead,
            })?;
        } else {
            self.close_order(order.id, outcome, matched.unfilled, &reason)?;
        }
        let slippage = book
            .as_ref()
            .and_then(|book| matching::slippage(&matched, book, order.side));
        let words = if rests {
            "resting"
        } else {
            report::outcome_words(outcome)
        };
        let mut report = OrderReport::new(&order, market, &matched, words, slippage);
        report.reason = reason;
        self.report.orders.push(report.clone());
        if order.side == Side::Sell {
            self.fit_conditionals(&order.token_id)?;
        }
        Ok(report)
    }

    fn record_fill(
        &mut self,
        order: &Order,
        level: &LevelFill,
        maker: bool,
    ) -> Result<(), DeskError> {
        self.traded = true;
        let fill = Fill {
            order_id: order.id,
            strategy: order.strategy.clone(),
            market_id: order.market_id.clone(),
            token_id: order.token_id.clone(),
            outcome: order.outcome.clone(),
            side: order.side,
            price: level.price,
            shares: level.shares,
            notional: level.notional,
            fee: level.fee,
            maker,
            print: false,
            reason: order.reason.clone(),
        };
        self.recorder.record(LedgerEvent::Filled { fill })?;
        Ok(())
    }

    fn close_order(
        &mut self,
        order_id: u64,
        outcome: OrderOutcome,
        unfilled: Shares,
        reason: &str,
    ) -> Result<(), DeskError> {
        let reason = reason.to_owned();
        self.recorder.record(LedgerEvent::OrderClosed {
            order_id,
            outcome,
            unfilled,
            reason,
        })?;
        Ok(())
    }

    fn cancel_resting(&mut self, order_id: u64, reason: &str) -> Result<(), DeskError> {
        let unfilled = self
            .ledger()
            .resting()
            .get(&order_id)
            .map(|resting| resting.remaining);
        match unfilled {
            Some(unfilled) => self.close_order(order_id, OrderOutcome::Cancelled, unfilled, reason),
            None => Ok(()),
        }
    }

    fn view(&self, market_id: &MarketId) -> Option<&'a MarketView> {
        self.snapshot.market(market_id)
    }
}

/// Why a taking order found nothing.
fn unfilled_reason(order: &Order, book: Option<&Book>) -> String {
    let best = book.and_then(|book| book.against(order.side).first().copied());
    match (best, order.side) {
        (None, Side::Buy) => "nobody offers this token now".to_owned(),
        (None, Side::Sell) => "nobody bids for this token now".to_owned(),
        (Some(level), _) if !order.side.accepts(order.limit, level.price) => {
            format!(
                "the best price is {}, the limit {}",
                level.price, order.limit
            )
        }
        (Some(_), _) => format!(
            "fill or kill: the book does not hold {} shares at {} or better",
            order.shares, order.limit
        ),
    }
}

#[cfg(test)]
mod tests;

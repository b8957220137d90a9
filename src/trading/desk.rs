//! The desk's step: one input against the current ledger, in one pure, synchronous go.
//!
//! Order within a tick, on data gathered before: new day ▸ marks ▸ settle ▸ orders that arrive ▸
//! resting orders (filled, expired, then, after losses were looked at, judged again) ▸ conditional
//! orders ▸ strategies ▸ conflicts and aggregation ▸ sizing ▸ risk ▸ matching ▸
//! account snapshot. Live, paper and backtest all come through here.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::domain::{
    Book, BookFeed, BookOrigin, Fill, LedgerEvent, MarketId, MarketView, MoneyError, Order,
    OrderOutcome, Shares, Side, Signal, Snapshot, StampedEvent, Timestamp, TokenId, UsedLevel,
};
use crate::strategy::Strategy;

use super::config::{Mode, TradingConfig};
use super::ledger::{Ledger, LedgerError, Recorder};
use super::matching::{self, LevelFill};
use super::report::TickReport;
use super::risk::{Refusal, RiskGate};

mod agent;
mod arrival;
mod basket;
mod command;
mod directional;
mod doors;
mod estimate;
mod exits;
mod guard;
pub mod input;
mod limits;
mod quiet;
mod quotes;
mod resting;
mod settle;
mod signals;
mod wishes;

pub use agent::{
    AGENT, AgentOrder, OrderPreview, agent_order, known_order, open_account, preview_order,
};
pub use estimate::store_estimate;
pub use guard::{NewConditional, cancel_conditional, create_conditional};
pub use input::{CancelScope, Input, Output, Rules, step};
pub use limits::DESK;
pub use quiet::{Gathered, LateViews, Quiet};

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
///
/// `gathered` is a snapshot, or one with [`Quiet`] markets beside it.
pub fn tick<'a>(
    ledger: &mut Ledger,
    gathered: impl Into<Gathered<'a>>,
    strategies: &[Box<dyn Strategy>],
    config: &TradingConfig,
) -> Result<(TickReport, Vec<StampedEvent>), DeskError> {
    let mut step = Step::new(ledger, gathered.into(), config);
    step.keep_account()?;
    step.list_unsettled();
    step.run_strategies(strategies)?;
    step.name_stranded();
    step.finish_tick()?;
    Ok((step.report, step.recorder.into_events()))
}

/// Books changed between two ticks: marks, resting orders and exits look at them, and markets that
/// have resolved by then are settled. Strategies do not look, and no tick is counted.
pub fn books_changed(
    ledger: &mut Ledger,
    snapshot: &Snapshot,
    config: &TradingConfig,
) -> Result<(TickReport, Vec<StampedEvent>), DeskError> {
    let mut step = Step::new(ledger, snapshot.into(), config);
    step.keep_account()?;
    step.finish_between()
}

/// Orders on their way arrive, if their moment has come: only they look at the books.
pub fn arrive(
    ledger: &mut Ledger,
    snapshot: &Snapshot,
    config: &TradingConfig,
) -> Result<(TickReport, Vec<StampedEvent>), DeskError> {
    let mut step = Step::new(ledger, snapshot.into(), config);
    step.begin_day()?;
    step.mark()?;
    if config.mode != Mode::Monitor {
        step.arrivals()?;
    }
    step.watch_losses()?;
    step.finish_between()
}

/// How an order came by a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It took it from the book.
    Taken,
    /// It rested, and the book shows that the market passed its price.
    Passed,
    /// It rested, and a trade of others shows it.
    Printed,
}

/// A step under way.
struct Step<'a> {
    recorder: Recorder<'a>,
    snapshot: Gathered<'a>,
    config: &'a TradingConfig,
    report: TickReport,
    traded: bool,
    /// The conditional order whose sale is under way.
    firing: Option<u64>,
    /// Held tokens whose books here are from before the account's own marks.
    outdated: BTreeSet<TokenId>,
}

impl<'a> Step<'a> {
    fn new(ledger: &'a mut Ledger, snapshot: Gathered<'a>, config: &'a TradingConfig) -> Self {
        let outdated = outdated(ledger, snapshot);
        let recorder = Recorder::new(ledger, snapshot.at);
        let report = TickReport {
            at: recorder.at(),
            ..Default::default()
        };
        Step {
            recorder,
            snapshot,
            config,
            report,
            traded: false,
            firing: None,
            outdated,
        }
    }

    fn ledger(&self) -> &Ledger {
        self.recorder.ledger()
    }

    /// What comes before strategies in a tick, and is all that happens between two ticks.
    fn keep_account(&mut self) -> Result<(), DeskError> {
        let trades = self.config.mode != Mode::Monitor;
        self.begin_day()?;
        self.mark()?;
        self.settle()?;
        if trades {
            self.arrivals()?;
            self.fill_resting()?;
        }
        self.watch_losses()?;
        self.judge_resting()?;
        if trades {
            self.run_conditionals()?;
        }
        Ok(())
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
        self.left_of(token).map(Cow::into_owned)
    }

    /// The same, copied only where something was taken.
    fn left_of(&self, token: &TokenId) -> Option<Cow<'a, Book>> {
        let view = self.snapshot.market_of(token)?;
        let opposite = view.market.opposite_of(token).map(|other| &other.token);
        Some(matching::left_of(
            view.book(token)?,
            opposite,
            self.ledger(),
        ))
    }

    /// Frees what paper fills had used of levels that show less now, or were made anew.
    fn free_depth(&mut self) -> Result<(), DeskError> {
        let ledger = self.recorder.ledger();
        let freed: Vec<(TokenId, Vec<UsedLevel>)> = ledger
            .used_tokens()
            .filter_map(|token| {
                let levels = matching::depth::freed(self.snapshot.book(token)?, ledger);
                (!levels.is_empty()).then(|| (token.clone(), levels))
            })
            .collect();
        for (token_id, levels) in freed {
            self.recorder
                .record(LedgerEvent::DepthUsed { token_id, levels })?;
        }
        Ok(())
    }

    /// Looks at the books before anything is done with them: frees what was used of levels that are
    /// gone, and marks held tokens at the best bid, which is what a sale would get. Where nobody bids the
    /// earlier mark stays, with its time, and the equity says that it is not complete.
    fn mark(&mut self) -> Result<(), DeskError> {
        self.free_depth()?;
        let mut marks = Vec::new();
        let mut gone = Vec::new();
        for position in self.ledger().positions().values() {
            let token = &position.token_id;
            let Some(book) = self.snapshot.book(token).filter(|book| book.is_sound()) else {
                continue;
            };
            // What was gathered before the account learned of something newer takes nothing back.
            if self.outdated.contains(token) {
                continue;
            }
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

    /// Ends a step between ticks: an account that traded is marked and recorded.
    fn finish_between(mut self) -> Result<(TickReport, Vec<StampedEvent>), DeskError> {
        if self.traded {
            self.mark()?;
            self.watch_losses()?;
            self.take_snapshot(true)?;
        }
        Ok((self.report, self.recorder.into_events()))
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

    fn record_fill(&mut self, order: &Order, level: &LevelFill, how: How) -> Result<(), DeskError> {
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
            maker: how != How::Taken,
            print: how == How::Printed,
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

    /// Withdraws an order that rests or is on its way.
    fn cancel_resting(&mut self, order_id: u64, reason: &str) -> Result<(), DeskError> {
        Ok(command::withdraw(&mut self.recorder, &[order_id], reason)?)
    }

    fn view(&self, market_id: &MarketId) -> Option<&'a MarketView> {
        self.snapshot.market(market_id)
    }
}

/// When what a book shows was so. One that a stream keeps, or that was made from a price, stands until
/// something else is heard, so it is as new as its snapshot; one that was fetched is as old as its answer.
fn known_at(book: &Book, snapshot: Gathered<'_>) -> Timestamp {
    match (&book.origin, book.feed) {
        (BookOrigin::Venue, BookFeed::Fetched | BookFeed::Broken) => book.at,
        _ => snapshot.at,
    }
}

/// Held tokens that the account has marked later than the snapshot's books were so: what a slow tick
/// gathered meets an account that has gone on in the meantime.
fn outdated(ledger: &Ledger, snapshot: Gathered<'_>) -> BTreeSet<TokenId> {
    let positions = ledger.positions().values();
    positions
        .filter(|position| {
            let book = snapshot.book(&position.token_id);
            book.zip(position.mark)
                .is_some_and(|(book, mark)| known_at(book, snapshot) < mark.at)
        })
        .map(|position| position.token_id.clone())
        .collect()
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
pub(crate) mod tests;

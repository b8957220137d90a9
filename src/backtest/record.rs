//! What is noted while a replay runs, and the result that it ends in.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::domain::{
    BookOrigin, Fill, LedgerEvent, MarketId, Order, Price, Rounding, Shares, Side, Snapshot,
    StampedEvent, Timestamp, TokenId, Usdc, notional,
};
use crate::trading::ledger::Ledger;
use crate::trading::report::TickReport;

use super::bootstrap::Paths;
use super::metrics::{Activity, ClosedTrade, DecisionBook, Forecast};
use super::report::{ClosedRow, StrategyRow, TradeRow};
use halts::Halts;
use tables::Tables;

mod finish;
mod halts;
mod tables;
#[cfg(test)]
pub(super) mod tests;

/// What there is to say of a token.
#[derive(Debug)]
struct Facts {
    market: MarketId,
    question: String,
    outcome: String,
    category: Option<String>,
    /// The neg-risk event of its market, else the market: what is drawn as one in the bootstrap.
    block: Arc<str>,
}

/// Shares of a token with what they cost, followed beside the ledger to tell closed trades.
#[derive(Debug, Default, Clone)]
struct Holding {
    shares: Shares,
    cost: Usdc,
    fees: Usdc,
    opened_at: Timestamp,
    /// Best bid when last seen.
    mark: Option<Price>,
    /// Who opened it, and why.
    entry: String,
    reason: String,
}

impl Holding {
    /// At the mark, else at cost: as the ledger counts it.
    fn value(&self) -> Usdc {
        self.mark
            .and_then(|mark| notional(mark, self.shares, Rounding::Down).ok())
            .unwrap_or(self.cost)
    }
}

/// What an order was decided on.
#[derive(Debug)]
struct Decision {
    book: DecisionBook,
    /// Its fair price, until the first fill.
    forecast: Option<Forecast>,
    /// Volume of its market in the 24 hours before, where known.
    volume_24h: Option<Usdc>,
    /// Filled so far, pUSD.
    filled: Usdc,
}

/// A sale under way, with what it closes.
#[derive(Debug)]
struct Closing {
    trade: ClosedTrade,
    shares: Shares,
    token: TokenId,
    entry: String,
    entry_reason: String,
    exit_reason: String,
    settled: bool,
}

/// How the account stands after a step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// The step's moment.
    pub at: Timestamp,
    equity: Usdc,
    deposits: Usdc,
    invested: Usdc,
    has_position: bool,
}

impl Standing {
    pub(super) fn of(ledger: &Ledger, at: Timestamp) -> Self {
        let equity = ledger.equity().total;
        Standing {
            at,
            equity,
            deposits: ledger.deposits(),
            invested: equity.minus(ledger.cash()),
            has_position: !ledger.positions().is_empty(),
        }
    }
}

/// How much of the volume that others traded was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LiquidityUse {
    /// Orders with a fill in a market whose 24-hour volume was known.
    pub orders: u64,
    /// Of those, above [`super::diagnoses::LIQUIDITY_SHARE`] of it.
    pub large: u64,
    /// Largest share of the volume, as a fraction.
    pub largest: f64,
}

/// What is noted while the replay runs.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) frames: u64,
    pub(super) equity: Vec<(Timestamp, Usdc)>,
    balance: Usdc,
    standing: Option<Standing>,
    exposure: Vec<(Timestamp, Usdc)>,
    trades: Vec<TradeRow>,
    closed: Vec<ClosedRow>,
    measured: Vec<ClosedTrade>,
    holdings: BTreeMap<TokenId, Holding>,
    facts: HashMap<TokenId, Arc<Facts>>,
    decisions: BTreeMap<u64, Decision>,
    forecasts: Vec<Forecast>,
    /// Places in `forecasts` whose market has not resolved, by market.
    unresolved: HashMap<MarketId, Vec<usize>>,
    activity: Activity,
    liquidity: LiquidityUse,
    tables: Tables,
    strategies: BTreeMap<String, StrategyRow>,
    /// Who gave the signals that have not ended: an order may take several steps to arrive.
    open_signals: BTreeMap<u64, String>,
    settlements: u64,
    synthetic_fills: u64,
    notes: BTreeMap<String, u64>,
    halts: Halts,
    paths: Paths,
    /// Cash that each block has brought, less what it has cost.
    flows: BTreeMap<Arc<str>, Usdc>,
    /// Blocks that traded in the step under way.
    touched: Vec<Arc<str>>,
}

impl Record {
    /// Notes one step of the desk: what it looked at (`None` for a step without books), the account after
    /// it, what it reported, and what happened.
    pub(super) fn take(
        &mut self,
        snapshot: Option<&Snapshot>,
        standing: Standing,
        report: &TickReport,
        events: &[StampedEvent],
    ) {
        self.pass_time(standing);
        self.count_strategies(report, events);
        for (id, signal) in &report.signal_log {
            self.open_signals.insert(*id, signal.strategy.to_string());
        }
        // One sale that walks several levels is one closed trade.
        let mut closing: BTreeMap<u64, Closing> = BTreeMap::new();
        for stamped in events {
            let at = stamped.at;
            match &stamped.event {
                LedgerEvent::OrderAccepted { order } => self.decide(at, order, snapshot, report),
                LedgerEvent::Filled { fill } => self.fill(at, fill, snapshot, &mut closing),
                LedgerEvent::OrderClosed { order_id, .. } => {
                    self.decisions.remove(order_id);
                }
                LedgerEvent::Marked { marks } => {
                    for (token, price) in marks {
                        if let Some(holding) = self.holdings.get_mut(token) {
                            holding.mark = Some(*price);
                        }
                    }
                }
                LedgerEvent::Settled {
                    token_id,
                    payout,
                    shares,
                    proceeds,
                    evidence,
                    ..
                } => self.settle(at, token_id, (*payout, *shares, *proceeds), evidence),
                LedgerEvent::SignalExecuted { signal_id } => {
                    let strategy = self.open_signals.remove(signal_id);
                    if let Some(row) = strategy.and_then(|name| self.strategies.get_mut(&name)) {
                        row.executed += 1;
                    }
                }
                LedgerEvent::SignalRejected { signal_id, .. } => {
                    self.open_signals.remove(signal_id);
                }
                LedgerEvent::Halted { cause, .. } => self.halts.begin(*cause, at),
                LedgerEvent::Resumed { .. } => self.halts.end(at),
                _ => {}
            }
        }
        for one in closing.into_values() {
            self.close(one);
        }
        if let Some(snapshot) = snapshot {
            self.resolve(snapshot);
        }
        if self.exposure.last().map(|(_, value)| *value) != Some(standing.invested) {
            self.exposure.push((standing.at, standing.invested));
        }
        self.equity.push((standing.at, standing.equity));
        self.standing = Some(standing);
    }

    /// What stood until now counts for the time that has passed.
    fn pass_time(&mut self, now: Standing) {
        let at = now.at;
        if self.equity.is_empty() {
            self.balance = now.deposits;
            self.equity.push((at, self.balance));
        }
        if let Some(standing) = self.standing {
            self.activity.stand(
                at.since(standing.at),
                standing.equity,
                standing.invested,
                standing.has_position,
            );
        }
        if self.paths.ends_step(at) {
            self.note_blocks();
            self.paths.step_to(at);
        }
    }

    /// States what each block has earned so far: cash that came of it, and what is held.
    fn note_blocks(&mut self) {
        let mut earned: BTreeMap<Arc<str>, Usdc> = BTreeMap::new();
        for block in self.touched.drain(..) {
            earned.entry(block).or_default();
        }
        for (token, holding) in &self.holdings {
            if let Some(facts) = self.facts.get(token) {
                let value = earned.entry(Arc::clone(&facts.block)).or_default();
                *value = value.plus(holding.value());
            }
        }
        for (block, value) in earned {
            let flow = self.flows.get(&block).copied().unwrap_or_default();
            self.paths.set(&block, flow.plus(value));
        }
    }

    fn count_strategies(&mut self, report: &TickReport, events: &[StampedEvent]) {
        for strategy in &report.strategies {
            let row = strategy_row(&mut self.strategies, &strategy.strategy);
            row.looked_at += u64::from(strategy.looked_at);
            row.signals += u64::from(strategy.signals);
            for (causes, counted) in [
                (&strategy.passed_over, &mut row.passed_over),
                (&strategy.not_traded, &mut row.not_traded),
            ] {
                for (cause, count) in causes {
                    if let Some(known) = counted.get_mut(cause) {
                        *known += u64::from(*count);
                    } else {
                        counted.insert(cause.clone(), u64::from(*count));
                    }
                }
            }
            if let Some(error) = &strategy.error {
                let note = format!("{}: {error}", strategy.strategy);
                *self.notes.entry(note).or_default() += 1;
            }
        }
        for note in &report.notes {
            let note = halts::with_time(note, events);
            *self.notes.entry(note).or_default() += 1;
        }
    }

    /// The facts of a token, from the snapshot that it was first traded in.
    fn facts(&mut self, token: &TokenId, snapshot: Option<&Snapshot>) -> Option<Arc<Facts>> {
        if let Some(known) = self.facts.get(token) {
            return Some(Arc::clone(known));
        }
        let market = &snapshot?.market_of(token)?.market;
        let block = match &market.event_id {
            Some(event) if market.neg_risk => format!("event {event}"),
            _ => format!("market {}", market.id),
        };
        let facts = Arc::new(Facts {
            market: market.id.clone(),
            question: market.question.clone(),
            outcome: market.outcome_of(token)?.1.name.to_string(),
            category: market.category.clone(),
            block: Arc::from(block),
        });
        self.facts.insert(token.clone(), Arc::clone(&facts));
        Some(facts)
    }

    fn decide(
        &mut self,
        at: Timestamp,
        order: &Order,
        snapshot: Option<&Snapshot>,
        report: &TickReport,
    ) {
        let facts = self.facts(&order.token_id, snapshot);
        let book = snapshot.and_then(|snapshot| snapshot.book(&order.token_id));
        let book = book.map(|book| DecisionBook {
            mid: book.mid().filter(|_| !book.is_crossed()),
            best: book.against(order.side).first().map(|level| level.price),
        });
        // A leg of a basket has no fair price of its own.
        let signal = order
            .signal_id
            .filter(|_| order.basket.is_none())
            .and_then(|row| report.signal_log.iter().find(|(id, _)| *id == row));
        let forecast = signal.map(|(_, signal)| Forecast {
            at,
            strategy: signal.strategy.to_string(),
            market: order.market_id.clone(),
            category: facts.as_ref().and_then(|facts| facts.category.clone()),
            token: order.token_id.clone(),
            fair: signal.fair_price,
            market_price: book.and_then(|book| book.mid),
            edge: signal.edge,
            payout: None,
        });
        let view = snapshot.and_then(|snapshot| snapshot.market(&order.market_id));
        self.decisions.insert(
            order.id,
            Decision {
                book: book.unwrap_or_default(),
                forecast,
                volume_24h: view.and_then(|view| view.market.volume_24h),
                filled: Usdc::ZERO,
            },
        );
    }

    fn fill(
        &mut self,
        at: Timestamp,
        fill: &Fill,
        snapshot: Option<&Snapshot>,
        closing: &mut BTreeMap<u64, Closing>,
    ) {
        let facts = self.facts(&fill.token_id, snapshot);
        let row = strategy_row(&mut self.strategies, fill.strategy.as_str());
        row.volume = row.volume.plus(fill.notional);
        row.fees = row.fees.plus(fill.fee);
        let book = snapshot.and_then(|snapshot| snapshot.book(&fill.token_id));
        if book.is_some_and(|book| book.origin != BookOrigin::Venue) {
            self.synthetic_fills += 1;
        }
        let decided = self.fill_decision(fill);
        self.activity.fill(fill, decided);
        self.tables.fill(fill, facts.as_deref(), decided);
        let flow = match fill.side {
            Side::Buy => Usdc::ZERO.minus(fill.notional),
            Side::Sell => fill.notional,
        };
        self.flow(facts.as_deref(), flow.minus(fill.fee));
        let mut pnl = None;
        match fill.side {
            Side::Buy => {
                let holding = self.holdings.entry(fill.token_id.clone()).or_default();
                if holding.shares.is_zero() {
                    holding.opened_at = at;
                    holding.entry = fill.strategy.to_string();
                    holding.reason.clone_from(&fill.reason);
                }
                holding.shares = holding.shares.plus(fill.shares);
                holding.cost = holding.cost.plus(fill.notional);
                holding.fees = holding.fees.plus(fill.fee);
            }
            Side::Sell => {
                let closed = self.reduce(at, &fill.token_id, fill.shares, fill.notional, fill.fee);
                pnl = Some(closed.trade.pnl_net());
                closing
                    .entry(fill.order_id)
                    .and_modify(|sum| {
                        let trade = &closed.trade;
                        sum.trade.pnl_gross = sum.trade.pnl_gross.plus(trade.pnl_gross);
                        sum.trade.fees = sum.trade.fees.plus(trade.fees);
                        sum.trade.cost = sum.trade.cost.plus(trade.cost);
                        sum.shares = sum.shares.plus(closed.shares);
                    })
                    .or_insert(Closing {
                        exit_reason: fill.reason.clone(),
                        ..closed
                    });
            }
        }
        let (market, outcome) = self.names(&fill.token_id, &fill.outcome);
        self.trades.push(TradeRow {
            at,
            strategy: fill.strategy.to_string(),
            market_id: fill.market_id.to_string(),
            token_id: fill.token_id.to_string(),
            market,
            outcome,
            side: Some(fill.side),
            price: fill.price,
            shares: fill.shares,
            notional: fill.notional,
            fee: fill.fee,
            maker: fill.maker,
            pnl,
            reason: fill.reason.clone(),
        });
    }

    /// Counts a fill for the order's decision: its fair price, and the volume it took.
    fn fill_decision(&mut self, fill: &Fill) -> Option<DecisionBook> {
        let decision = self.decisions.get_mut(&fill.order_id)?;
        if let Some(forecast) = decision.forecast.take() {
            let places = self.unresolved.entry(forecast.market.clone()).or_default();
            places.push(self.forecasts.len());
            self.forecasts.push(forecast);
        }
        if let Some(volume) = decision.volume_24h.filter(|volume| *volume > Usdc::ZERO) {
            let limit = super::diagnoses::LIQUIDITY_SHARE;
            let before = decision.filled.to_f64() / volume.to_f64();
            let after = decision.filled.plus(fill.notional).to_f64() / volume.to_f64();
            self.liquidity.orders += u64::from(decision.filled == Usdc::ZERO);
            self.liquidity.large += u64::from(before <= limit && after > limit);
            self.liquidity.largest = self.liquidity.largest.max(after);
        }
        decision.filled = decision.filled.plus(fill.notional);
        Some(decision.book)
    }

    fn flow(&mut self, facts: Option<&Facts>, amount: Usdc) {
        let Some(facts) = facts else { return };
        let flow = self.flows.entry(Arc::clone(&facts.block)).or_default();
        *flow = flow.plus(amount);
        self.touched.push(Arc::clone(&facts.block));
    }

    fn settle(
        &mut self,
        at: Timestamp,
        token: &TokenId,
        (payout, shares, proceeds): (Price, Shares, Usdc),
        evidence: &str,
    ) {
        self.settlements += 1;
        let facts = self.facts.get(token).cloned();
        self.flow(facts.as_deref(), proceeds);
        let closed = self.reduce(at, token, shares, proceeds, Usdc::ZERO);
        let (market, outcome) = self.names(token, "");
        let market_id = facts.map_or_else(String::new, |facts| facts.market.to_string());
        self.trades.push(TradeRow {
            at,
            strategy: closed.entry.clone(),
            market_id,
            token_id: token.to_string(),
            market,
            outcome,
            side: None,
            price: payout,
            shares,
            notional: proceeds,
            fee: Usdc::ZERO,
            maker: false,
            pnl: Some(closed.trade.pnl_net()),
            reason: evidence.to_owned(),
        });
        self.close(Closing {
            exit_reason: format!("settled at {payout}: {evidence}"),
            settled: true,
            ..closed
        });
    }

    /// Takes shares out of a holding, by the ledger's own arithmetic.
    fn reduce(
        &mut self,
        at: Timestamp,
        token: &TokenId,
        shares: Shares,
        gained: Usdc,
        fee: Usdc,
    ) -> Closing {
        let holding = self.holdings.entry(token.clone()).or_default();
        let cost = holding.cost.share_of(shares, holding.shares);
        let paid = holding.fees.share_of(shares, holding.shares);
        holding.cost = holding.cost.minus(cost);
        holding.fees = holding.fees.minus(paid);
        holding.shares = holding.shares.minus(shares);
        let closing = Closing {
            trade: ClosedTrade {
                pnl_gross: gained.minus(cost),
                fees: paid.plus(fee),
                opened_at: holding.opened_at,
                closed_at: at,
                cost,
            },
            shares,
            token: token.clone(),
            entry: holding.entry.clone(),
            entry_reason: holding.reason.clone(),
            exit_reason: String::new(),
            settled: false,
        };
        if holding.shares.is_zero() {
            self.holdings.remove(token);
        }
        closing
    }

    fn close(&mut self, one: Closing) {
        let net = one.trade.pnl_net();
        let row = strategy_row(&mut self.strategies, &one.entry);
        row.pnl = Some(row.pnl.unwrap_or(Usdc::ZERO).plus(net));
        let facts = self.facts.get(&one.token).cloned();
        self.tables.close(&one.trade, facts.as_deref(), &one.entry);
        self.measured.push(one.trade);
        let (market, outcome) = self.names(&one.token, "");
        self.closed.push(ClosedRow {
            market_id: facts.map_or_else(String::new, |facts| facts.market.to_string()),
            market,
            outcome,
            strategy: one.entry,
            opened_at: one.trade.opened_at,
            closed_at: one.trade.closed_at,
            shares: one.shares,
            cost: one.trade.cost,
            gained: one.trade.cost.plus(one.trade.pnl_gross),
            pnl: net,
            settled: one.settled,
            entry_reason: one.entry_reason,
            exit_reason: one.exit_reason,
        });
    }

    /// Markets that have ended decide how good the fair prices were.
    fn resolve(&mut self, snapshot: &Snapshot) {
        for resolution in &snapshot.resolutions {
            for place in self
                .unresolved
                .remove(&resolution.market_id)
                .into_iter()
                .flatten()
            {
                if let Some(forecast) = self.forecasts.get_mut(place) {
                    forecast.payout = resolution.payout_of(&forecast.token);
                }
            }
        }
    }

    fn names(&self, token: &TokenId, outcome: &str) -> (String, String) {
        self.facts.get(token).map_or_else(
            || (token.to_string(), outcome.to_owned()),
            |facts| (facts.question.clone(), facts.outcome.clone()),
        )
    }
}

fn strategy_row<'a>(
    rows: &'a mut BTreeMap<String, StrategyRow>,
    name: &str,
) -> &'a mut StrategyRow {
    let row = rows.entry(name.to_owned()).or_default();
    if row.strategy.is_empty() {
        name.clone_into(&mut row.strategy);
    }
    row
}

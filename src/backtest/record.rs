//! What is noted while a replay runs, and the result that it ends in.

use std::collections::BTreeMap;

use crate::domain::{
    Fill, LedgerEvent, Price, Rounding, Shares, Side, StampedEvent, Timestamp, TokenId, Usdc,
    notional,
};
use crate::market_data::recorded::Dataset;
use crate::trading::ledger::Ledger;
use crate::trading::report::TickReport;

use super::engine::{BacktestOptions, BacktestResult};
use super::metrics::{ClosedTrade, Metrics};
use super::report::{PositionRow, ReportInput, StrategyRow, TradeRow};

/// Shares of a token with what they cost, followed beside the ledger to tell closed trades.
#[derive(Debug, Default, Clone, Copy)]
struct Holding {
    shares: Shares,
    cost: Usdc,
    fees: Usdc,
    opened_at: Timestamp,
}

/// What is noted while the replay runs.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) frames: u64,
    pub(super) equity: Vec<(Timestamp, Usdc)>,
    trades: Vec<TradeRow>,
    closed: Vec<ClosedTrade>,
    holdings: BTreeMap<TokenId, Holding>,
    questions: BTreeMap<TokenId, (String, String)>,
    strategies: BTreeMap<String, StrategyRow>,
    entry: BTreeMap<TokenId, String>,
    /// Who gave the signals that have not ended: an order may take several steps to arrive.
    open_signals: BTreeMap<u64, String>,
    settlements: u64,
    notes: BTreeMap<String, u64>,
}

impl Record {
    pub(super) fn take(&mut self, report: &TickReport, events: &[StampedEvent]) {
        for order in &report.orders {
            let token = TokenId::new(&order.token_id);
            self.questions
                .entry(token)
                .or_insert_with(|| (order.question.clone(), order.outcome.clone()));
        }
        for strategy in &report.strategies {
            let row = self
                .strategies
                .entry(strategy.strategy.clone())
                .or_default();
            row.strategy.clone_from(&strategy.strategy);
            row.looked_at += u64::from(strategy.looked_at);
            row.signals += u64::from(strategy.signals);
            for (cause, count) in &strategy.passed_over {
                if let Some(known) = row.passed_over.get_mut(cause) {
                    *known += u64::from(*count);
                } else {
                    row.passed_over.insert(cause.clone(), u64::from(*count));
                }
            }
            if let Some(error) = &strategy.error {
                *self
                    .notes
                    .entry(format!("{}: {error}", strategy.strategy))
                    .or_default() += 1;
            }
        }
        for note in &report.notes {
            *self.notes.entry(note.clone()).or_default() += 1;
        }
        for (id, signal) in &report.signal_log {
            self.open_signals.insert(*id, signal.strategy.to_string());
        }
        // One sale that walks several levels is one closed trade.
        let mut closing: BTreeMap<u64, (ClosedTrade, String)> = BTreeMap::new();
        for stamped in events {
            match &stamped.event {
                LedgerEvent::Filled { fill } => self.fill(stamped.at, fill, &mut closing),
                LedgerEvent::Settled {
                    token_id,
                    payout,
                    shares,
                    proceeds,
                    evidence,
                    ..
                } => {
                    self.settle(
                        stamped.at,
                        token_id,
                        (*payout, *shares, *proceeds),
                        evidence,
                    );
                }
                LedgerEvent::SignalExecuted { signal_id } => {
                    let strategy = self.open_signals.remove(signal_id);
                    if let Some(row) = strategy.and_then(|name| self.strategies.get_mut(&name)) {
                        row.executed += 1;
                    }
                }
                LedgerEvent::SignalRejected { signal_id, .. } => {
                    self.open_signals.remove(signal_id);
                }
                _ => {}
            }
        }
        for (trade, entry) in closing.into_values() {
            self.close(trade, &entry);
        }
    }

    fn row(&mut self, strategy: &str) -> &mut StrategyRow {
        let row = self.strategies.entry(strategy.to_owned()).or_default();
        if row.strategy.is_empty() {
            strategy.clone_into(&mut row.strategy);
        }
        row
    }

    fn fill(
        &mut self,
        at: Timestamp,
        fill: &Fill,
        closing: &mut BTreeMap<u64, (ClosedTrade, String)>,
    ) {
        let row = self.row(fill.strategy.as_str());
        row.volume = row.volume.plus(fill.notional);
        row.fees = row.fees.plus(fill.fee);
        let mut pnl = None;
        match fill.side {
            Side::Buy => {
                let holding = self.holdings.entry(fill.token_id.clone()).or_default();
                if holding.shares.is_zero() {
                    holding.opened_at = at;
                    self.entry
                        .insert(fill.token_id.clone(), fill.strategy.to_string());
                }
                holding.shares = holding.shares.plus(fill.shares);
                holding.cost = holding.cost.plus(fill.notional);
                holding.fees = holding.fees.plus(fill.fee);
            }
            Side::Sell => {
                let trade = self.reduce(at, &fill.token_id, fill.shares, fill.notional, fill.fee);
                pnl = Some(trade.pnl_net());
                let entry = self.entry.get(&fill.token_id).cloned().unwrap_or_default();
                closing
                    .entry(fill.order_id)
                    .and_modify(|(sum, _)| {
                        sum.pnl_gross = sum.pnl_gross.plus(trade.pnl_gross);
                        sum.fees = sum.fees.plus(trade.fees);
                        sum.cost = sum.cost.plus(trade.cost);
                    })
                    .or_insert((trade, entry));
            }
        }
        let (market, outcome) = self.names(&fill.token_id, &fill.outcome);
        self.trades.push(TradeRow {
            at,
            strategy: fill.strategy.to_string(),
            market,
            outcome,
            side: Some(fill.side),
            price: fill.price,
            shares: fill.shares,
            notional: fill.notional,
            fee: fill.fee,
            pnl,
            reason: fill.reason.clone(),
        });
    }

    fn settle(
        &mut self,
        at: Timestamp,
        token: &TokenId,
        (payout, shares, proceeds): (Price, Shares, Usdc),
        evidence: &str,
    ) {
        self.settlements += 1;
        let trade = self.reduce(at, token, shares, proceeds, Usdc::ZERO);
        let entry = self.entry.get(token).cloned().unwrap_or_default();
        let (market, outcome) = self.names(token, "");
        self.trades.push(TradeRow {
            at,
            strategy: entry.clone(),
            market,
            outcome,
            side: None,
            price: payout,
            shares,
            notional: proceeds,
            fee: Usdc::ZERO,
            pnl: Some(trade.pnl_net()),
            reason: evidence.to_owned(),
        });
        self.close(trade, &entry);
    }

    /// Takes shares out of a holding, by the ledger's own arithmetic.
    fn reduce(
        &mut self,
        at: Timestamp,
        token: &TokenId,
        shares: Shares,
        gained: Usdc,
        fee: Usdc,
    ) -> ClosedTrade {
        let holding = self.holdings.entry(token.clone()).or_default();
        let cost = holding.cost.share_of(shares, holding.shares);
        let paid = holding.fees.share_of(shares, holding.shares);
        let opened_at = holding.opened_at;
        holding.cost = holding.cost.minus(cost);
        holding.fees = holding.fees.minus(paid);
        holding.shares = holding.shares.minus(shares);
        if holding.shares.is_zero() {
            self.holdings.remove(token);
        }
        ClosedTrade {
            pnl_gross: gained.minus(cost),
            fees: paid.plus(fee),
            opened_at,
            closed_at: at,
            cost,
        }
    }

    fn close(&mut self, trade: ClosedTrade, strategy: &str) {
        let row = self.row(strategy);
        row.pnl = Some(row.pnl.unwrap_or(Usdc::ZERO).plus(trade.pnl_net()));
        self.closed.push(trade);
    }

    fn names(&self, token: &TokenId, outcome: &str) -> (String, String) {
        self.questions
            .get(token)
            .cloned()
            .unwrap_or((token.to_string(), outcome.to_owned()))
    }

    pub(super) fn finish(
        self,
        dataset: Option<&Dataset>,
        ledger: &Ledger,
        options: &BacktestOptions<'_>,
        partial: bool,
    ) -> BacktestResult {
        let mut metrics = Metrics::of(&self.equity, &self.closed);
        metrics.fees = ledger.fees().to_f64();
        let period = self
            .equity
            .first()
            .zip(self.equity.last())
            .map(|(a, b)| (a.0, b.0));
        let open_positions: Vec<PositionRow> = ledger
            .positions()
            .values()
            .map(|position| {
                let (market, outcome) = self.names(&position.token_id, &position.outcome);
                PositionRow {
                    market,
                    outcome,
                    shares: position.shares,
                    cost: position.cost,
                    value: position
                        .mark
                        .and_then(|m| notional(m.price, position.shares, Rounding::Down).ok()),
                }
            })
            .collect();
        let mut notes = Vec::new();
        if partial {
            notes.push("The run was cancelled: this is what there was until then.".to_owned());
        }
        if let Some((dataset, (_, end))) = dataset.zip(period) {
            notes.extend(dataset.notes(end));
        }
        notes.extend(self.notes.into_iter().map(|(note, count)| {
            if count > 1 {
                format!("{note} ({count} times)")
            } else {
                note
            }
        }));
        if self.closed.len() < 30 {
            notes.push(format!(
                "Only {} closed trades: ratios of so few say little.",
                self.closed.len()
            ));
        }
        let report = ReportInput {
            title: options.title.clone(),
            data: String::new(),
            period,
            frames: self.frames,
            synthetic_spread: dataset.map(|dataset| dataset.options().default_spread),
            config: Vec::new(),
            metrics,
            equity: self.equity,
            trades: self.trades,
            strategies: self.strategies.into_values().collect(),
            settlements: self.settlements,
            open_positions,
            notes,
            skipped_rows: dataset
                .into_iter()
                .flat_map(|dataset| dataset.report().skips.iter())
                .map(|(cause, skipped)| (cause.to_owned(), skipped.count))
                .collect(),
        };
        BacktestResult {
            report,
            partial,
            cash: ledger.cash(),
            equity: ledger.equity().total,
        }
    }
}

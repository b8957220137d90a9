//! A finished run as JSON: what the tool and the command line answer with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::engine::BacktestResult;
use super::metrics::Metrics;
use super::report::TradeRow;

/// Points of the equity curve that an answer holds; the whole is in the stored result.
pub const MAX_SNAPSHOTS: usize = 50;

/// The account at a moment of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotPoint {
    /// RFC 3339 UTC.
    pub timestamp: String,
    /// Cash and positions at their marks, pUSD.
    pub total_value: f64,
}

/// A run in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BacktestSummary {
    /// Measures.
    pub metrics: Metrics,
    /// Closed trades.
    pub total_trades: u64,
    /// Fills and settlements.
    pub executions: u64,
    /// Positions that a resolution paid out.
    pub settlements: u64,
    /// Positions still open at the end.
    pub open_positions: u64,
    /// First moment, RFC 3339 UTC.
    pub start: Option<String>,
    /// Last moment, RFC 3339 UTC.
    pub end: Option<String>,
    /// Moments replayed.
    pub frames: u64,
    /// Cash at the end, pUSD.
    pub final_cash: f64,
    /// Equity at the end, pUSD.
    pub final_equity: f64,
    /// Equity through time, thinned to at most 50 points.
    pub snapshots: Vec<SnapshotPoint>,
    /// By strategy: signals, volume, fees, result, what was passed over and why.
    pub strategies: Vec<StrategyView>,
    /// True when the run was cancelled before its end.
    pub partial: bool,
    /// Assumptions and remarks. Read them before the numbers.
    pub notes: Vec<String>,
}

/// What one strategy did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StrategyView {
    /// Name.
    pub strategy: String,
    /// Signals it gave.
    pub signals: u64,
    /// Of those, traded.
    pub executed: u64,
    /// pUSD traded.
    pub volume: f64,
    /// Fees, pUSD.
    pub fees: f64,
    /// Result of its closed trades after fees, pUSD; null when none is closed.
    pub pnl: Option<f64>,
    /// Markets (or groups) looked at, over all moments.
    pub looked_at: u64,
    /// Of those, passed over, by cause.
    pub passed_over: std::collections::BTreeMap<String, u64>,
}

/// One fill or settlement, in plain numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TradeView {
    /// RFC 3339 UTC.
    pub timestamp: String,
    /// Who traded.
    pub strategy: String,
    /// UNTRUSTED text: the question.
    pub market: String,
    /// UNTRUSTED text: outcome name.
    pub outcome: String,
    /// buy, sell or settle.
    pub side: String,
    /// Price; the payout of a settlement. 0–1.
    pub price: f64,
    /// Shares.
    pub shares: f64,
    /// pUSD, fee not included.
    pub size: f64,
    /// Fee, pUSD.
    pub fee: f64,
    /// What a sale or settlement made after fees, pUSD.
    pub pnl: Option<f64>,
    /// Why.
    pub reason: String,
}

impl TradeView {
    /// Of a row.
    #[must_use]
    pub fn of(row: &TradeRow) -> Self {
        TradeView {
            timestamp: row.at.to_rfc3339(),
            strategy: row.strategy.clone(),
            market: row.market.clone(),
            outcome: row.outcome.clone(),
            side: row.side.map_or("settle", |side| side.as_str()).to_owned(),
            price: row.price.to_f64(),
            shares: row.shares.to_f64(),
            size: row.notional.to_f64(),
            fee: row.fee.to_f64(),
            pnl: row.pnl.map(|pnl| pnl.to_f64()),
            reason: row.reason.clone(),
        }
    }
}

impl BacktestSummary {
    /// Of a result.
    #[must_use]
    pub fn of(result: &BacktestResult) -> Self {
        let report = &result.report;
        let last = report.equity.len().saturating_sub(1);
        let count = report.equity.len().min(MAX_SNAPSHOTS);
        let steps = count.saturating_sub(1).max(1);
        let snapshots = (0..count)
            .filter_map(|index| report.equity.get(index * last / steps))
            .map(|(at, value)| SnapshotPoint {
                timestamp: at.to_rfc3339(),
                total_value: value.to_f64(),
            })
            .collect();
        BacktestSummary {
            metrics: report.metrics.clone(),
            total_trades: report.metrics.total_trades,
            executions: report.trades.len() as u64,
            settlements: report.settlements,
            open_positions: report.open_positions.len() as u64,
            start: report.period.map(|(start, _)| start.to_rfc3339()),
            end: report.period.map(|(_, end)| end.to_rfc3339()),
            frames: report.frames,
            final_cash: result.cash.to_f64(),
            final_equity: result.equity.to_f64(),
            snapshots,
            strategies: report
                .strategies
                .iter()
                .map(|row| StrategyView {
                    strategy: row.strategy.clone(),
                    signals: row.signals,
                    executed: row.executed,
                    volume: row.volume.to_f64(),
                    fees: row.fees.to_f64(),
                    pnl: row.pnl.map(|pnl| pnl.to_f64()),
                    looked_at: row.looked_at,
                    passed_over: row.passed_over.clone(),
                })
                .collect(),
            partial: result.partial,
            notes: report.notes.clone(),
        }
    }
}

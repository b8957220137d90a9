//! A finished run as JSON: what the tool and the command line answer with.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, Usdc};

use super::baselines::Comparisons;
use super::bootstrap::Intervals;
use super::diagnoses::Diagnosis;
use super::engine::BacktestResult;
use super::metrics::{GroupRow, Metrics};
use super::report::{PositionRow, TradeRow};

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
    /// Measures by name, each a number or null; `reasons` says why one is null. total_return,
    /// sharpe_ratio, max_drawdown, win_rate, profit_factor, total_trades and more:
    /// docs/backtesting.md defines them.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub metrics: Metrics,
    /// 95 % intervals of total_return, sharpe_ratio and max_drawdown: low and high, or null.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub intervals: Intervals,
    /// What is doubtful about the result: a code and words each. Read it before the numbers.
    pub diagnoses: Vec<Diagnosis>,
    /// Returns of doing nothing, of buying every favourite, and of random trades of the same number
    /// and size; null when the run was cancelled.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub comparisons: Option<Comparisons>,
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
    /// Cash at the start, pUSD.
    pub starting_balance: f64,
    /// Cash at the end, pUSD.
    pub final_cash: f64,
    /// Equity at the end, pUSD.
    pub final_equity: f64,
    /// Equity through time, thinned to at most 50 points.
    pub snapshots: Vec<SnapshotPoint>,
    /// By strategy: signals, volume, fees, result, what was passed over and why.
    pub strategies: Vec<StrategyView>,
    /// Results by strategy, the best first.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub by_strategy: Vec<GroupRow>,
    /// Results by category, the best first.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub by_category: Vec<GroupRow>,
    /// True when the run was cancelled before its end.
    pub partial: bool,
    /// Assumptions and remarks.
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
    pub passed_over: BTreeMap<String, u64>,
    /// Signals not traded, by cause.
    pub not_traded: BTreeMap<String, u64>,
}

/// One fill or settlement, in plain numbers. Each is the shortest decimal of an exact amount of
/// millionths: read as decimals, they are exact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TradeView {
    /// RFC 3339 UTC.
    pub timestamp: String,
    /// Who traded.
    pub strategy: String,
    /// Market id.
    pub market_id: String,
    /// Token id.
    pub token_id: String,
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
    /// True when it filled while it rested.
    pub maker: bool,
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
            market_id: row.market_id.clone(),
            token_id: row.token_id.clone(),
            market: row.market.clone(),
            outcome: row.outcome.clone(),
            side: row.side.map_or("settle", |side| side.as_str()).to_owned(),
            price: row.price.to_f64(),
            shares: row.shares.to_f64(),
            size: row.notional.to_f64(),
            fee: row.fee.to_f64(),
            maker: row.maker,
            pnl: row.pnl.map(|pnl| pnl.to_f64()),
            reason: row.reason.clone(),
        }
    }
}

/// A holding at the end, in plain numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionView {
    /// Market id.
    pub market_id: String,
    /// Token id.
    pub token_id: String,
    /// UNTRUSTED text: the question.
    pub market: String,
    /// UNTRUSTED text: outcome name.
    pub outcome: String,
    /// Who opened it.
    pub strategy: String,
    /// When, RFC 3339 UTC.
    pub opened_at: String,
    /// Shares.
    pub shares: f64,
    /// What they cost, fees not included, pUSD.
    pub cost: f64,
    /// Fees of their purchase, pUSD.
    pub fees: f64,
    /// At the last bid, pUSD; null when there was none: then they count at cost.
    pub value: Option<f64>,
}

impl PositionView {
    fn of(row: &PositionRow) -> Self {
        PositionView {
            market_id: row.market_id.clone(),
            token_id: row.token_id.clone(),
            market: row.market.clone(),
            outcome: row.outcome.clone(),
            strategy: row.strategy.clone(),
            opened_at: row.opened_at.to_rfc3339(),
            shares: row.shares.to_f64(),
            cost: row.cost.to_f64(),
            fees: row.fees.to_f64(),
            value: row.value.map(|value| value.to_f64()),
        }
    }
}

/// The whole result: the summary, every trade, the whole curve, results by market.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WholeResult {
    /// In short.
    #[serde(flatten)]
    pub summary: BacktestSummary,
    /// Results by market, the best first.
    pub by_market: Vec<GroupRow>,
    /// Holdings at the end.
    pub positions: Vec<PositionView>,
    /// Moment (RFC 3339 UTC) and equity, pUSD.
    pub equity: Vec<(String, f64)>,
    /// Moment (RFC 3339 UTC) and value of positions, pUSD, where it changed and at the end.
    pub exposure: Vec<(String, f64)>,
    /// Every fill and settlement.
    pub trades: Vec<TradeView>,
}

impl WholeResult {
    /// Of a result.
    #[must_use]
    pub fn of(result: &BacktestResult) -> Self {
        let report = &result.report;
        let told = |points: &[(Timestamp, Usdc)]| {
            let point = |(at, value): &(Timestamp, Usdc)| (at.to_rfc3339(), value.to_f64());
            points.iter().map(point).collect()
        };
        WholeResult {
            summary: BacktestSummary::of(result),
            by_market: report.by_market.clone(),
            positions: report.open_positions.iter().map(PositionView::of).collect(),
            equity: told(&report.equity),
            exposure: told(&report.exposure),
            trades: report.trades.iter().map(TradeView::of).collect(),
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
            intervals: report.intervals.clone(),
            diagnoses: report.diagnoses.clone(),
            comparisons: report.comparisons.clone(),
            total_trades: report.metrics.total_trades,
            executions: report.trades.len() as u64,
            settlements: report.settlements,
            open_positions: report.open_positions.len() as u64,
            start: report.period.map(|(start, _)| start.to_rfc3339()),
            end: report.period.map(|(_, end)| end.to_rfc3339()),
            frames: report.frames,
            starting_balance: report.balance.to_f64(),
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
                    not_traded: row.not_traded.clone(),
                })
                .collect(),
            by_strategy: report.by_strategy.clone(),
            by_category: report.by_category.clone(),
            partial: result.partial,
            notes: report.notes.clone(),
        }
    }
}

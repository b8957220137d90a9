//! A finished run as a page to read: markdown for an agent, HTML for a person.
//!
//! Questions, outcome names and reasons come from strangers: they are escaped in both forms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{Price, Shares, Side, Timestamp, Usdc};

use super::metrics::Metrics;

mod chart;
mod html;
mod markdown;

pub use html::html;
pub use markdown::{escaped, markdown};

/// Trades and positions beyond so many are counted, not listed.
pub const MAX_ROWS: usize = 500;

/// One fill or settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeRow {
    /// When.
    pub at: Timestamp,
    /// Who traded.
    pub strategy: String,
    /// Untrusted question of the market.
    pub market: String,
    /// Untrusted name of the outcome.
    pub outcome: String,
    /// Direction; `None` for a settlement.
    pub side: Option<Side>,
    /// Price of a share; the payout of a settlement.
    pub price: Price,
    /// Shares.
    pub shares: Shares,
    /// pUSD paid or received, fee not counted.
    pub notional: Usdc,
    /// Fee, pUSD.
    pub fee: Usdc,
    /// What the sale or settlement made after fees, pUSD; `None` for a purchase.
    pub pnl: Option<Usdc>,
    /// Why, in one line.
    pub reason: String,
}

/// What one strategy did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyRow {
    /// Its name.
    pub strategy: String,
    /// Signals it gave.
    pub signals: u64,
    /// Of those, how many led to a fill.
    pub executed: u64,
    /// Traded amount, pUSD.
    pub volume: Usdc,
    /// Fees, pUSD.
    pub fees: Usdc,
    /// Result of its closed trades after fees, pUSD; `None` when none is closed.
    pub pnl: Option<Usdc>,
    /// Markets (or groups) it looked at, over all frames.
    pub looked_at: u64,
    /// Of those, how many were passed over, by cause.
    pub passed_over: BTreeMap<String, u64>,
}

/// A holding at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionRow {
    /// Untrusted question of the market.
    pub market: String,
    /// Untrusted name of the outcome.
    pub outcome: String,
    /// Shares held.
    pub shares: Shares,
    /// What they cost, fees not counted, pUSD.
    pub cost: Usdc,
    /// What they could be sold for when last seen, pUSD; `None` when no bid was ever seen.
    pub value: Option<Usdc>,
}

/// All that a report shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportInput {
    /// Title, e.g. `Backtest 7`.
    pub title: String,
    /// Name of the data directory, without its path.
    pub data: String,
    /// First and last moment; `None` when nothing was replayed.
    pub period: Option<(Timestamp, Timestamp)>,
    /// Frames replayed.
    pub frames: u64,
    /// Spread of the synthesised books; `None` when the books were recorded ones.
    pub synthetic_spread: Option<Price>,
    /// Summary of the configuration, one line each.
    pub config: Vec<String>,
    /// Measures.
    pub metrics: Metrics,
    /// Equity through time, oldest first.
    pub equity: Vec<(Timestamp, Usdc)>,
    /// Fills and settlements, oldest first.
    pub trades: Vec<TradeRow>,
    /// Per strategy.
    pub strategies: Vec<StrategyRow>,
    /// Positions that were settled by a resolution.
    pub settlements: u64,
    /// Holdings at the end.
    pub open_positions: Vec<PositionRow>,
    /// Remarks: assumptions, diagnoses.
    pub notes: Vec<String>,
    /// Rows of the recording that were skipped, by cause.
    pub skipped_rows: BTreeMap<String, u64>,
}

/// The warning that comes first when books were synthesised.
fn synthetic_warning(input: &ReportInput) -> Option<String> {
    input.synthetic_spread.map(|spread| {
        format!(
            "Books were synthesised from recorded prices with an assumed spread of {spread} and an \
             assumed depth: fills, and with them all results, are an approximation."
        )
    })
}

/// `2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z`.
fn period_text(input: &ReportInput) -> String {
    input.period.map_or_else(
        || "nothing was replayed".to_owned(),
        |(from, to)| format!("{from} to {to}"),
    )
}

/// `12.34 %`.
fn percent(value: Option<f64>) -> String {
    value.map_or_else(missing, |value| format!("{:.2} %", value * 100.0))
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(missing, |value| format!("{value:.2}"))
}

/// pUSD with two decimals, for reading; exact amounts are in the data.
fn money(amount: Usdc) -> String {
    format!("{:.2}", amount.to_f64())
}

fn maybe_money(amount: Option<Usdc>) -> String {
    amount.map_or_else(missing, money)
}

fn missing() -> String {
    "–".to_owned()
}

fn side_text(side: Option<Side>) -> &'static str {
    side.map_or("settled", Side::as_str)
}

/// Name, value and meaning of each measure, in reading order.
fn measures(input: &ReportInput) -> Vec<(&'static str, String)> {
    let metrics = &input.metrics;
    let first = input.equity.first().map(|(_, equity)| *equity);
    let last = input.equity.last().map(|(_, equity)| *equity);
    vec![
        ("Equity at the start, pUSD", maybe_money(first)),
        ("Equity at the end, pUSD", maybe_money(last)),
        ("Total return", percent(metrics.total_return)),
        ("Sharpe ratio, annualised", number(metrics.sharpe_ratio)),
        ("Sortino ratio, annualised", number(metrics.sortino_ratio)),
        ("Volatility, annualised", percent(metrics.volatility)),
        ("Maximum drawdown", percent(metrics.max_drawdown)),
        (
            "Longest drawdown, hours",
            number(metrics.max_drawdown_hours),
        ),
        ("Closed trades", metrics.total_trades.to_string()),
        ("Win rate", percent(metrics.win_rate)),
        ("Profit factor", number(metrics.profit_factor)),
        ("Mean result per trade, pUSD", number(metrics.expectancy)),
        ("Best trade, pUSD", number(metrics.best)),
        ("Worst trade, pUSD", number(metrics.worst)),
        ("Fees of closed trades, pUSD", number(Some(metrics.fees))),
        (
            "Mean holding time, hours",
            number(metrics.average_holding_hours),
        ),
        ("Time with an open trade", percent(metrics.exposure)),
        ("Settled by resolution", input.settlements.to_string()),
        ("Open positions", input.open_positions.len().to_string()),
    ]
}

/// The latest [`MAX_ROWS`] of `rows`, and how many were left out.
fn latest<T>(rows: &[T]) -> (&[T], usize) {
    let left_out = rows.len().saturating_sub(MAX_ROWS);
    (rows.get(left_out..).unwrap_or_default(), left_out)
}

#[cfg(test)]
mod tests;

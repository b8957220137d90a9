//! A finished run as a page to read: markdown for an agent, HTML for a person.
//!
//! Questions, outcome names and reasons come from strangers: they are escaped in both forms.

use std::collections::BTreeMap;

use crate::domain::{HaltCause, Price, Shares, Side, Timestamp, Usdc};

use super::baselines::Comparisons;
use super::bootstrap::{Interval, Intervals, Paths};
use super::diagnoses::Diagnosis;
use super::metrics::{Forecast, GroupRow, Metrics};
use super::record::LiquidityUse;

mod chart;
mod html;
mod markdown;
mod picture;
mod series;

pub use html::html;
pub use markdown::{escaped, markdown};
pub use picture::{PictureError, png, png_of_curve};

/// Rows of a table beyond so many are counted, not listed.
pub const MAX_ROWS: usize = 200;
/// Best and worst trades that are shown.
pub const EXTREMES: usize = 20;

/// One fill or settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeRow {
    /// When.
    pub at: Timestamp,
    /// Who traded.
    pub strategy: String,
    /// The market.
    pub market_id: String,
    /// The token.
    pub token_id: String,
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
    /// True when it filled while it rested.
    pub maker: bool,
    /// What the sale or settlement made after fees, pUSD; `None` for a purchase.
    pub pnl: Option<Usdc>,
    /// Why, in one line.
    pub reason: String,
}

/// A position, or a part of one, from its purchase to its sale or settlement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClosedRow {
    /// The market.
    pub market_id: String,
    /// Untrusted question of the market.
    pub market: String,
    /// Untrusted name of the outcome.
    pub outcome: String,
    /// Who opened it.
    pub strategy: String,
    /// Bought at.
    pub opened_at: Timestamp,
    /// Sold or settled at.
    pub closed_at: Timestamp,
    /// Shares.
    pub shares: Shares,
    /// What they cost, fees not counted, pUSD.
    pub cost: Usdc,
    /// What they brought, fees not counted, pUSD.
    pub gained: Usdc,
    /// Result after fees, pUSD.
    pub pnl: Usdc,
    /// True when a resolution paid it.
    pub settled: bool,
    /// Why it was bought, in one line.
    pub entry_reason: String,
    /// Why it was sold, or what settled it, in one line.
    pub exit_reason: String,
}

/// What one strategy did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StrategyRow {
    /// Its name.
    pub strategy: String,
    /// Signals it gave.
    pub signals: u64,
    /// Of those, how many led to a fill or to a resting order.
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
    /// Signals that were not traded, by cause.
    pub not_traded: BTreeMap<String, u64>,
}

/// A holding at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PositionRow {
    /// The market.
    pub market_id: String,
    /// The token.
    pub token_id: String,
    /// Untrusted question of the market.
    pub market: String,
    /// Untrusted name of the outcome.
    pub outcome: String,
    /// Who opened it.
    pub strategy: String,
    /// When.
    pub opened_at: Timestamp,
    /// Shares held.
    pub shares: Shares,
    /// What they cost, fees not counted, pUSD.
    pub cost: Usdc,
    /// Fees of their purchase, pUSD.
    pub fees: Usdc,
    /// What they could be sold for when last seen, pUSD; `None` when no bid was ever seen.
    pub value: Option<Usdc>,
}

impl PositionRow {
    /// Value (cost where no bid was ever seen) less cost and fees, pUSD.
    #[must_use]
    pub fn pnl(&self) -> Usdc {
        let value = self.value.unwrap_or(self.cost);
        value.minus(self.cost).minus(self.fees)
    }
}

/// A time during which trading was halted: nothing passed but cancels and sales that reduce a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HaltRow {
    /// Why.
    pub cause: HaltCause,
    /// From when on.
    pub from: Timestamp,
    /// Until when; `None`: to the end of the run.
    pub to: Option<Timestamp>,
}

/// All that a report shows.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// What has to be known of recorded books before the numbers; `None` when they are the venue's own.
    pub rebuilt: Option<String>,
    /// Fills that met a synthesised or rebuilt book.
    pub synthetic_fills: u64,
    /// Summary of the configuration, one line each.
    pub config: Vec<String>,
    /// Cash at the start, pUSD.
    pub balance: Usdc,
    /// Measures.
    pub metrics: Metrics,
    /// Equity through time, oldest first, beginning with the starting balance.
    pub equity: Vec<(Timestamp, Usdc)>,
    /// Positions at their marks through time, pUSD, where it changed and at the end of the run.
    pub exposure: Vec<(Timestamp, Usdc)>,
    /// Fills and settlements, oldest first.
    pub trades: Vec<TradeRow>,
    /// Closed trades, in the order in which they were closed.
    pub closed: Vec<ClosedRow>,
    /// Per strategy: what it looked at, signalled and traded.
    pub strategies: Vec<StrategyRow>,
    /// Results by strategy, the best first.
    pub by_strategy: Vec<GroupRow>,
    /// Results by category, the best first.
    pub by_category: Vec<GroupRow>,
    /// Results by market, the best first.
    pub by_market: Vec<GroupRow>,
    /// Fair prices acted upon.
    pub forecasts: Vec<Forecast>,
    /// Positions that were settled by a resolution.
    pub settlements: u64,
    /// Holdings at the end.
    pub open_positions: Vec<PositionRow>,
    /// What each market earned through time.
    pub paths: Paths,
    /// How much of others' volume was taken.
    pub liquidity: LiquidityUse,
    /// When trading was halted, oldest first.
    pub halts: Vec<HaltRow>,
    /// 95 % intervals.
    pub intervals: Intervals,
    /// What the result compares with; `None` when it was not compared.
    pub comparisons: Option<Comparisons>,
    /// What is doubtful about it.
    pub diagnoses: Vec<Diagnosis>,
    /// Remarks: assumptions.
    pub notes: Vec<String>,
    /// Rows of the recording that were skipped, by cause.
    pub skipped_rows: BTreeMap<String, u64>,
}

/// The warning that comes first when books were synthesised or rebuilt.
#[must_use]
pub fn synthetic_warning(input: &ReportInput) -> Option<String> {
    let synthesised = input.synthetic_spread.map(|spread| {
        format!(
            "Books were synthesised from recorded prices with an assumed spread of {spread} and an \
             assumed depth: fills, and with them all results, are an approximation."
        )
    });
    synthesised.or_else(|| input.rebuilt.clone())
}

/// `2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z`.
fn period_text(input: &ReportInput) -> String {
    input.period.map_or_else(
        || "nothing was replayed".to_owned(),
        |(from, to)| format!("{from} to {to}"),
    )
}

/// With so many decimals; what rounds to zero has no sign.
fn rounded(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let is_zero = |digits: &str| digits.bytes().all(|one| matches!(one, b'0' | b'.'));
    match text.strip_prefix('-').filter(|digits| is_zero(digits)) {
        Some(digits) => digits.to_owned(),
        None => text,
    }
}

/// `12.34 %`.
fn percent(value: Option<f64>) -> String {
    value.map_or_else(missing, |value| format!("{} %", rounded(value * 100.0, 2)))
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(missing, |value| rounded(value, 2))
}

/// pUSD with two decimals, for reading; exact amounts are in the data.
fn money(amount: Usdc) -> String {
    rounded(amount.to_f64(), 2)
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

/// `1.25 % (95 %: -3.00 % to 5.50 %)`.
fn with_interval(
    value: Option<f64>,
    interval: Option<Interval>,
    words: fn(Option<f64>) -> String,
) -> String {
    match interval {
        Some(Interval { low, high }) => format!(
            "{} (95 %: {} to {})",
            words(value),
            words(Some(low)),
            words(Some(high))
        ),
        None => words(value),
    }
}

/// Measures in groups, in reading order: title, and name and value of each.
fn measures(input: &ReportInput) -> [(&'static str, Vec<(&'static str, String)>); 4] {
    let m = &input.metrics;
    let ci = &input.intervals;
    [
        (
            "Result",
            vec![
                ("Equity at the start, pUSD", money(input.balance)),
                ("Equity at the end, pUSD", number(m.final_equity)),
                (
                    "Total return",
                    with_interval(m.total_return, ci.total_return, percent),
                ),
                ("Growth per year (CAGR)", percent(m.cagr)),
                ("Closed trades", m.total_trades.to_string()),
                ("Win rate", percent(m.win_rate)),
                ("Profit factor", number(m.profit_factor)),
                ("Mean result per trade, pUSD", number(m.expectancy)),
                ("Return on cost of closed trades", percent(m.return_on_cost)),
                ("Settled by resolution", input.settlements.to_string()),
                ("Open positions", input.open_positions.len().to_string()),
            ],
        ),
        (
            "Risk",
            vec![
                (
                    "Sharpe ratio, annualised",
                    with_interval(m.sharpe_ratio, ci.sharpe_ratio, number),
                ),
                ("Sortino ratio, annualised", number(m.sortino_ratio)),
                ("Calmar ratio", number(m.calmar_ratio)),
                ("Volatility, annualised", percent(m.volatility)),
                (
                    "Maximum drawdown",
                    with_interval(m.max_drawdown, ci.max_drawdown, percent),
                ),
                ("Mean drawdown", percent(m.average_drawdown)),
                ("Longest drawdown, hours", number(m.max_drawdown_hours)),
                ("Mean drawdown, hours", number(m.average_drawdown_hours)),
                ("Skew of returns", number(m.skew)),
                ("Excess kurtosis of returns", number(m.kurtosis)),
                ("Expected shortfall 5 %", percent(m.expected_shortfall_5)),
                ("Tail ratio", number(m.tail_ratio)),
                ("Best day", percent(m.best_day)),
                ("Worst day", percent(m.worst_day)),
            ],
        ),
        (
            "Trading",
            vec![
                ("Volume, pUSD", number(Some(m.volume))),
                ("Turnover", number(m.turnover)),
                ("Fees, pUSD", number(Some(m.fees))),
                ("Slippage from the middle, pUSD", number(m.slippage_paid)),
                (
                    "Slippage from the best price, pUSD",
                    number(m.slippage_from_best),
                ),
                ("Filled while resting", percent(m.maker_share)),
                ("Time with a position", percent(m.exposure)),
                ("Capital at work", percent(m.capital_utilisation)),
                ("Mean holding time, hours", number(m.average_holding_hours)),
                ("Mean win, pUSD", number(m.average_win)),
                ("Mean loss, pUSD", number(m.average_loss)),
                ("Payoff ratio", number(m.payoff_ratio)),
                ("Best trade, pUSD", number(m.best)),
                ("Worst trade, pUSD", number(m.worst)),
                ("Most losses in a row", m.max_consecutive_losses.to_string()),
            ],
        ),
        (
            "Fair prices",
            vec![
                ("Fair prices scored", m.forecasts.to_string()),
                ("Brier score", score(m.brier_score)),
                ("Brier advantage over the market", score(m.brier_advantage)),
                ("Log score, nats", score(m.log_score)),
                ("Calibration slope", number(m.calibration_slope)),
            ],
        ),
    ]
}

/// Four decimals.
fn score(value: Option<f64>) -> String {
    value.map_or_else(missing, |value| rounded(value, 4))
}

/// The run, and what it compares with: name and return in words.
fn compared(input: &ReportInput) -> Vec<(String, String)> {
    let Some(with) = &input.comparisons else {
        return Vec::new();
    };
    let mut rows = vec![
        ("This run".to_owned(), percent(input.metrics.total_return)),
        ("Doing nothing".to_owned(), percent(Some(with.nothing))),
        (
            format!(
                "Buying every favourite at first sight, {:.2} pUSD each ({} bought, {} refused)",
                with.favourites.stake, with.favourites.bought, with.favourites.refused
            ),
            percent(Some(with.favourites.total_return)),
        ),
    ];
    if let Some(random) = &with.random {
        rows.push((
            format!(
                "{} random trades of the same size, mean of {} draws (5 % to 95 % of them)",
                random.trades, random.draws
            ),
            format!(
                "{} ({} to {})",
                percent(Some(random.mean_return)),
                percent(Some(random.low)),
                percent(Some(random.high))
            ),
        ));
        rows.push((
            "This run among the random ones, percentile".to_owned(),
            format!("{:.1}", random.percentile),
        ));
    }
    rows
}

/// The best and the worst closed trades: those that made most, and those that lost most.
fn extremes(input: &ReportInput, count: usize) -> [Vec<&ClosedRow>; 2] {
    let mut rows: Vec<&ClosedRow> = input.closed.iter().collect();
    rows.sort_by_key(|row| row.pnl);
    let worst = rows.iter().filter(|row| row.pnl < Usdc::ZERO);
    let worst = worst.take(count).copied().collect();
    let best = rows.iter().rev().filter(|row| row.pnl > Usdc::ZERO);
    [best.take(count).copied().collect(), worst]
}

/// The latest `count` of `rows`, and how many were left out.
fn latest<T>(rows: &[T], count: usize) -> (&[T], usize) {
    let left_out = rows.len().saturating_sub(count);
    (rows.get(left_out..).unwrap_or_default(), left_out)
}

#[cfg(test)]
mod tests;

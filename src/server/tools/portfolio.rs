//! get_portfolio: the account as it stands. Reads memory only.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{App, AppError};
use crate::server::library::DASHBOARD_UI;
use crate::server::tool::NoArguments;
use crate::server::{Caller, ToolAnnotations, ToolError, ToolSpec};

use super::views::tidy;

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![ToolSpec::new(
        "get_portfolio",
        "Portfolio",
        "This account: cash, value, positions with their marks and profit, resting orders, the ten \
         newest trades. Positions are valued at the best bid; where none is known they count at \
         cost and equity_complete is false.",
        ToolAnnotations::READ_LOCAL,
        get_portfolio,
    )
    .ui(DASHBOARD_UI)]
}

/// A held position.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PositionView {
    /// Market id.
    pub market_id: String,
    /// UNTRUSTED text: the question; null until the market has been looked at in this process.
    pub question: Option<String>,
    /// UNTRUSTED text: outcome name.
    pub outcome: String,
    /// Shares held.
    pub shares: f64,
    /// Average price paid, 0–1, fees not included.
    pub avg_price: Option<f64>,
    /// What it cost, pUSD, fees not included.
    pub cost: f64,
    /// Best bid when last looked at, 0–1; null when there has been none.
    pub current_price: Option<f64>,
    /// When that was, RFC 3339 UTC.
    pub marked_at: Option<String>,
    /// Value at the mark − cost, pUSD; null without a mark.
    pub unrealized_pnl: Option<f64>,
    /// RFC 3339 UTC.
    pub opened_at: String,
    /// Who opened it.
    pub entry_strategy: String,
    /// Why it has not been paid though its market takes no orders any more.
    // Present only then; the schemas of all tools together have a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub awaiting: Option<String>,
}

/// A recent trade.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TradeView {
    /// RFC 3339 UTC.
    pub timestamp: String,
    /// Who traded.
    pub strategy: String,
    /// Market id.
    pub market_id: String,
    /// Token id.
    pub token_id: String,
    /// UNTRUSTED text: outcome name.
    pub outcome: String,
    /// buy or sell.
    pub side: String,
    /// Price, 0–1.
    pub price: f64,
    /// Notional, pUSD.
    pub size: f64,
    /// Shares.
    pub shares: f64,
    /// Fee, pUSD.
    pub fee: f64,
}

/// The account.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PortfolioOut {
    /// Cash, pUSD.
    pub balance: f64,
    /// Cash and positions at their marks, pUSD.
    pub total_value: f64,
    /// False when a position has no mark and counts at cost.
    pub equity_complete: bool,
    /// Realised profit before fees, pUSD.
    pub realized_pnl: f64,
    /// Fees paid, pUSD.
    pub fees_paid: f64,
    /// Paid in, pUSD.
    pub deposits: f64,
    /// Loss since midnight UTC, pUSD, realised plus marked, fees included; negative for a gain.
    pub daily_loss: f64,
    /// Resting orders.
    pub open_orders: usize,
    /// Active conditional orders.
    pub conditional_orders: usize,
    /// Positions by token id.
    pub positions: BTreeMap<String, PositionView>,
    /// Newest first.
    pub recent_trades: Vec<TradeView>,
    /// Moment of the last event, RFC 3339 UTC by the source's clock.
    pub as_of: String,
}

async fn get_portfolio(
    app: Arc<App>,
    _: NoArguments,
    _: Caller,
) -> Result<PortfolioOut, ToolError> {
    Ok(portfolio(&app)?)
}

/// The account as the tool, the resource and the HTTP API show it.
pub fn portfolio(app: &App) -> Result<PortfolioOut, AppError> {
    let ledger = app.ledger()?;
    let standing = app.standing(&ledger);
    let positions = standing
        .positions
        .iter()
        .map(|position| {
            let view = PositionView {
                market_id: position.market_id.to_string(),
                question: app.question_of(&position.market_id),
                outcome: position.outcome.to_string(),
                shares: position.shares.to_f64(),
                avg_price: position.average_price().map(tidy),
                cost: position.cost.to_f64(),
                current_price: position.mark.map(|mark| mark.price.to_f64()),
                marked_at: position.mark.map(|mark| mark.at.to_rfc3339()),
                unrealized_pnl: position
                    .value()
                    .map(|value| value.minus(position.cost).to_f64()),
                opened_at: position.opened_at.to_rfc3339(),
                entry_strategy: position.entry_strategy.to_string(),
                awaiting: app.awaiting(position),
            };
            (position.token_id.to_string(), view)
        })
        .collect();
    let recent_trades = ledger
        .recent_trades()
        .map(|trade| TradeView {
            timestamp: trade.at.to_rfc3339(),
            strategy: trade.fill.strategy.to_string(),
            market_id: trade.fill.market_id.to_string(),
            token_id: trade.fill.token_id.to_string(),
            outcome: trade.fill.outcome.to_string(),
            side: trade.fill.side.as_str().to_owned(),
            price: trade.fill.price.to_f64(),
            size: trade.fill.notional.to_f64(),
            shares: trade.fill.shares.to_f64(),
            fee: trade.fill.fee.to_f64(),
        })
        .collect();
    Ok(PortfolioOut {
        balance: ledger.cash().to_f64(),
        total_value: standing.total.to_f64(),
        equity_complete: standing.complete,
        realized_pnl: ledger.realized().to_f64(),
        fees_paid: ledger.fees().to_f64(),
        deposits: ledger.deposits().to_f64(),
        daily_loss: standing.daily_loss.to_f64(),
        open_orders: ledger.resting().len(),
        conditional_orders: ledger.conditionals().len(),
        positions,
        recent_trades,
        as_of: ledger.last_at().to_rfc3339(),
    })
}

//! Other people: get_positions of a wallet, get_leaderboard.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{App, AppError};
use crate::domain::text::clean;
use crate::market_data::polymarket::activity_rows::wallet_address;
use crate::market_data::{Period, WalletSummary};
use crate::server::{Caller, Limit, ToolAnnotations, ToolError, ToolSpec};

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    let reads = ToolAnnotations::READ_OUTSIDE;
    vec![
        ToolSpec::new(
            "get_positions",
            "Positions of a wallet",
            "Open positions of any wallet on the venue (not of this account: that is \
             get_portfolio). Takes the proxy wallet that profiles show.",
            reads,
            get_positions,
        ),
        ToolSpec::new(
            "get_leaderboard",
            "Leaderboard",
            "The most profitable traders of a period: day, week, month or all.",
            reads,
            get_leaderboard,
        ),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PositionsArgs {
    /// Proxy wallet: 0x and 40 hex digits.
    address: String,
    /// Most positions to return, 1–500.
    #[serde(default)]
    limit: Limit<25, 500>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WalletPositionView {
    /// UNTRUSTED text: title of the market.
    market: String,
    /// UNTRUSTED text: outcome name.
    outcome: String,
    /// Shares.
    shares: f64,
    /// Average price paid, 0–1.
    avg_price: Option<f64>,
    /// Price now, 0–1.
    current_price: Option<f64>,
    /// Unrealised profit, pUSD.
    pnl: Option<f64>,
    /// Token id.
    token_id: Option<String>,
    /// OPEN, REDEEMABLE, … as the venue says.
    status: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct PositionsOut {
    /// The wallet asked about.
    address: String,
    /// Its positions.
    positions: Vec<WalletPositionView>,
    /// What the wallet is worth, or what it means that there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

async fn get_positions(
    app: Arc<App>,
    args: PositionsArgs,
    _: Caller,
) -> Result<PositionsOut, ToolError> {
    let Some(address) = wallet_address(&args.address) else {
        return Err(ToolError::new(
            "bad_arguments",
            format!("`{}` is not a wallet address", clean(&args.address, 60)),
            "An address is 0x followed by 40 hexadecimal digits.",
        ));
    };
    let source = app.source();
    let (positions, summary) = tokio::join!(
        source.wallet_positions(&address, args.limit.get()),
        source.wallet_summary(&address)
    );
    let positions = positions.map_err(AppError::from)?;
    // The positions are what was asked for; without the summary the note says less.
    let summary = summary.unwrap_or_default();
    let note = if positions.is_empty() {
        Some(nothing_held(&address, &summary))
    } else {
        summary.value.map(|value| {
            format!("The venue values all positions of this wallet at {value:.2} pUSD.")
        })
    };
    let positions = positions
        .into_iter()
        .map(|position| WalletPositionView {
            market: position.market,
            outcome: position.outcome,
            shares: position.shares,
            avg_price: position.avg_price,
            current_price: position.current_price,
            pnl: position.pnl,
            token_id: position.token_id,
            status: position.status,
        })
        .collect();
    Ok(PositionsOut {
        address,
        positions,
        note,
    })
}

/// What it may mean that an address holds nothing.
fn nothing_held(address: &str, summary: &WalletSummary) -> String {
    match &summary.proxy {
        Some(proxy) if proxy != address => format!(
            "No positions: this address signs, and its profile's proxy (deposit) wallet {proxy} holds \
             the positions. Ask for that one."
        ),
        Some(_) => "No open positions. This is the proxy (deposit) wallet of a profile.".to_owned(),
        None => "No positions, and no profile that the venue told of. If this is a signing address \
                 (EOA): the venue keeps positions under the proxy (deposit) wallet that the profile \
                 page shows, not under the address that signs."
            .to_owned(),
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LeaderboardArgs {
    /// day, week, month or all.
    #[serde(default = "month")]
    period: String,
    /// Most traders to return, 1–100.
    #[serde(default)]
    limit: Limit<25, 100>,
}

fn month() -> String {
    "month".to_owned()
}

#[derive(Debug, Serialize, JsonSchema)]
struct TraderView {
    /// 1 is best.
    rank: u32,
    /// UNTRUSTED text: name.
    name: String,
    /// Proxy wallet: pass it to get_positions.
    address: Option<String>,
    /// pUSD traded in the period.
    volume: Option<f64>,
    /// Profit in the period, pUSD.
    pnl: Option<f64>,
    /// Markets traded, where known.
    markets_traded: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LeaderboardOut {
    /// Period.
    period: String,
    /// Traders, best first.
    traders: Vec<TraderView>,
}

async fn get_leaderboard(
    app: Arc<App>,
    args: LeaderboardArgs,
    _: Caller,
) -> Result<LeaderboardOut, ToolError> {
    let period = match args.period.as_str() {
        "day" => Period::Day,
        "week" => Period::Week,
        "month" => Period::Month,
        "all" => Period::All,
        other => {
            return Err(ToolError::new(
                "bad_arguments",
                format!("period {} is not known", clean(other, 20)),
                "Use day, week, month or all.",
            ));
        }
    };
    let traders = app
        .source()
        .leaderboard(period, args.limit.get())
        .await
        .map_err(AppError::from)?;
    let traders = traders
        .into_iter()
        .map(|trader| TraderView {
            rank: trader.rank,
            name: trader.name,
            address: trader.address,
            volume: trader.volume,
            pnl: trader.pnl,
            markets_traded: trader.markets_traded,
        })
        .collect();
    Ok(LeaderboardOut {
        period: args.period,
        traders,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_address_is_explained_by_what_it_is() {
        let told = |proxy: Option<&str>| {
            let summary = WalletSummary {
                value: Some(0.0),
                proxy: proxy.map(str::to_owned),
            };
            nothing_held("0xaa", &summary)
        };
        assert!(told(Some("0xbb")).contains("wallet 0xbb holds"));
        assert!(told(Some("0xaa")).contains("This is the proxy (deposit) wallet"));
        assert!(told(None).contains("not under the address that signs"));
    }
}

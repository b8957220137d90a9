//! `status`: the account as it stands, read from the database beside any owner.

use clap::Args;
use serde::Serialize;

use crate::app::{AppError, read_ledger};
use crate::domain::SourceKind;

use super::{Common, Failure, output};

/// Options of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Account on this kind of source (chooses the default database).
    #[arg(long, value_enum, default_value = "polymarket")]
    source: super::source::Kind,
}

#[derive(Debug, Serialize)]
struct Holding {
    token_id: String,
    market_id: String,
    outcome: String,
    shares: f64,
    entry: Option<f64>,
    current: Option<f64>,
    pnl: Option<f64>,
    pnl_pct: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Status {
    mode: String,
    source: Option<&'static str>,
    balance: f64,
    total_value: f64,
    equity_complete: bool,
    realized_pnl: f64,
    fees_paid: f64,
    ticks: u64,
    as_of: String,
    positions: Vec<Holding>,
}

/// Prints the account.
pub fn status(common: &Common, args: &StatusArgs) -> Result<(), Failure> {
    let config = common.load()?;
    let db = common.db_for(args.source.domain());
    let ledger = read_ledger(&db)?;
    let equity = ledger.equity();
    let positions = ledger
        .positions()
        .values()
        .map(|position| {
            let pnl = position
                .value()
                .map(|value| value.minus(position.cost).to_f64());
            let cost = position.cost.to_f64();
            Holding {
                token_id: position.token_id.to_string(),
                market_id: position.market_id.to_string(),
                outcome: position.outcome.clone(),
                shares: position.shares.to_f64(),
                entry: position.average_price(),
                current: position.mark.map(|mark| mark.price.to_f64()),
                pnl,
                pnl_pct: pnl.filter(|_| cost > 0.0).map(|pnl| pnl / cost * 100.0),
            }
        })
        .collect();
    let status = Status {
        mode: config.mode.as_str().to_owned(),
        source: ledger.source().map(SourceKind::as_str),
        balance: ledger.cash().to_f64(),
        total_value: equity.total.to_f64(),
        equity_complete: equity.complete,
        realized_pnl: ledger.realized().to_f64(),
        fees_paid: ledger.fees().to_f64(),
        ticks: ledger.ticks(),
        as_of: ledger.last_at().to_rfc3339(),
        positions,
    };
    if args.json {
        return output::json(&status);
    }
    output::line(&text_of(&status))
}

fn text_of(status: &Status) -> String {
    let mut lines = vec![
        format!(
            "Mode: {} (source {})",
            status.mode,
            status.source.unwrap_or("unknown")
        ),
        format!("Balance: {}", output::money(status.balance)),
        format!("Total Value: {}", output::money(status.total_value)),
        format!(
            "Realised: {}, fees paid {}",
            output::money(status.realized_pnl),
            output::money(status.fees_paid)
        ),
        format!(
            "Positions: {} (as of {}, {} ticks)",
            status.positions.len(),
            status.as_of,
            status.ticks
        ),
    ];
    if !status.positions.is_empty() {
        lines.push(format!(
            "{:<14} {:<12} {:>10} {:>8} {:>8} {:>10} {:>8}",
            "MARKET", "OUTCOME", "SHARES", "ENTRY", "CURRENT", "P&L", "P&L%"
        ));
    }
    let number = |value: Option<f64>, decimals: usize| {
        value.map_or_else(|| "–".to_owned(), |v| format!("{v:.decimals$}"))
    };
    for held in &status.positions {
        let cut = |text: &str, width: usize| text.chars().take(width).collect::<String>();
        lines.push(format!(
            "{:<14} {:<12} {:>10.2} {:>8} {:>8} {:>10} {:>8}",
            cut(&held.market_id, 14),
            cut(&held.outcome, 12),
            held.shares,
            number(held.entry, 4),
            number(held.current, 4),
            number(held.pnl, 2),
            number(held.pnl_pct, 1),
        ));
    }
    lines.join("\n")
}

impl From<crate::store::StoreError> for Failure {
    fn from(error: crate::store::StoreError) -> Self {
        Failure::from(AppError::from(error))
    }
}

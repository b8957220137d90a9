//! The account as markdown. Names come from strangers and are escaped.

use std::fmt::{self, Write};

use crate::backtest::report::escaped;
use crate::domain::SourceKind;
use crate::server::tools::portfolio::PortfolioOut;
use crate::trading::config::Mode;

/// The whole page.
pub(super) fn render(account: &PortfolioOut, mode: Mode, source: SourceKind) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, account, mode, source);
    page
}

fn write_page(
    page: &mut String,
    account: &PortfolioOut,
    mode: Mode,
    source: SourceKind,
) -> fmt::Result {
    writeln!(page, "# Portfolio\n")?;
    writeln!(
        page,
        "{} mode, prices from {} · as of {}\n",
        mode.as_str(),
        source.as_str(),
        account.as_of
    )?;
    writeln!(page, "| pUSD | |\n|---|---:|")?;
    for (name, amount) in [
        ("Cash", account.balance),
        ("Total value", account.total_value),
        ("Paid in", account.deposits),
        ("Realised profit before fees", account.realized_pnl),
        ("Fees paid", account.fees_paid),
        ("Loss since midnight UTC", account.daily_loss),
    ] {
        writeln!(page, "| {name} | {} |", money(amount))?;
    }
    if !account.equity_complete {
        writeln!(
            page,
            "\nA position has no price: it counts at cost in the total value."
        )?;
    }
    writeln!(
        page,
        "\nResting orders: {} · active conditional orders: {}",
        account.open_orders, account.conditional_orders
    )?;
    write_positions(page, account)?;
    write_trades(page, account)
}

fn write_positions(page: &mut String, account: &PortfolioOut) -> fmt::Result {
    writeln!(page, "\n## Positions\n")?;
    if account.positions.is_empty() {
        return writeln!(page, "None.");
    }
    writeln!(
        page,
        "| market | outcome | shares | average price | price now | cost | unrealised | strategy \
         | token |\n|---|---|---:|---:|---:|---:|---:|---|---|"
    )?;
    for (token, position) in &account.positions {
        let market = match &position.question {
            Some(question) => format!("{} ({})", escaped(question), escaped(&position.market_id)),
            None => escaped(&position.market_id),
        };
        writeln!(
            page,
            "| {market} | {} | {} | {} | {} | {} | {} | {} | {} |",
            escaped(&position.outcome),
            position.shares,
            maybe(position.avg_price, plain),
            maybe(position.current_price, plain),
            money(position.cost),
            maybe(position.unrealized_pnl, money),
            escaped(&position.entry_strategy),
            escaped(token)
        )?;
    }
    Ok(())
}

fn write_trades(page: &mut String, account: &PortfolioOut) -> fmt::Result {
    writeln!(page, "\n## Newest trades\n")?;
    if account.recent_trades.is_empty() {
        return writeln!(page, "None.");
    }
    writeln!(
        page,
        "| time | strategy | market | outcome | side | price | shares | pUSD | fee |\n\
         |---|---|---|---|---|---:|---:|---:|---:|"
    )?;
    for trade in &account.recent_trades {
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            trade.timestamp,
            escaped(&trade.strategy),
            escaped(&trade.market_id),
            escaped(&trade.outcome),
            trade.side,
            trade.price,
            trade.shares,
            money(trade.size),
            trade.fee
        )?;
    }
    Ok(())
}

/// pUSD with two decimals, for reading; exact amounts are in the JSON.
fn money(amount: f64) -> String {
    format!("{amount:.2}")
}

fn plain(number: f64) -> String {
    number.to_string()
}

/// What is absent is a dash, never 0.
fn maybe(number: Option<f64>, shown: fn(f64) -> String) -> String {
    number.map_or_else(|| "–".to_owned(), shown)
}

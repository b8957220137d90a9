//! `status`: the account as it stands, read from the database beside any owner.

use clap::Args;
use serde::Serialize;

use crate::app::{AppError, read_ledger};
use crate::domain::{Clock, RestingOrder, SourceKind, SystemClock, Timestamp};

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
    /// Fail when nothing has been written to the account for longer than this by the machine's clock
    /// (or there is no account): whether `run` is alive. Each tick writes. Only real prices keep the
    /// machine's time: on a sandbox or a recording the age says nothing.
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u32>,
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
    account: String,
    database: String,
    mode: String,
    source: Option<&'static str>,
    balance: f64,
    total_value: f64,
    equity_complete: bool,
    realized_pnl: f64,
    fees_paid: f64,
    ticks: u64,
    as_of: String,
    halt: Option<HaltView>,
    resting: Vec<Resting>,
    positions: Vec<Holding>,
}

/// A halt that is in force.
#[derive(Debug, Serialize)]
struct HaltView {
    cause: &'static str,
    by: String,
    reason: String,
    since: String,
}

/// An order that rests.
#[derive(Debug, Serialize)]
struct Resting {
    order_id: u64,
    market_id: String,
    token_id: String,
    outcome: String,
    side: &'static str,
    limit: f64,
    remaining: f64,
    order_type: &'static str,
    expires_at: Option<String>,
}

/// Prints the account.
pub fn status(common: &Common, args: &StatusArgs) -> Result<(), Failure> {
    let config = common.load()?;
    let db = common.db_for(args.source.domain());
    let ledger = read_ledger(&db)?;
    if let Some(max_age) = args.max_age {
        check_age(ledger.last_at(), SystemClock.now(), max_age)?;
    }
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
                outcome: position.outcome.to_string(),
                shares: position.shares.to_f64(),
                entry: position.average_price(),
                current: position.mark.map(|mark| mark.price.to_f64()),
                pnl,
                pnl_pct: pnl.filter(|_| cost > 0.0).map(|pnl| pnl / cost * 100.0),
            }
        })
        .collect();
    let status = Status {
        account: crate::app::account_label(&db),
        database: db.display().to_string(),
        mode: config.mode.as_str().to_owned(),
        source: ledger.source().map(SourceKind::as_str),
        balance: ledger.cash().to_f64(),
        total_value: equity.total.to_f64(),
        equity_complete: equity.complete,
        realized_pnl: ledger.realized().to_f64(),
        fees_paid: ledger.fees().to_f64(),
        ticks: ledger.ticks(),
        as_of: ledger.last_at().to_rfc3339(),
        halt: ledger.halt().map(|halt| HaltView {
            cause: halt.cause.as_str(),
            by: halt.by.clone(),
            reason: halt.reason.clone(),
            since: halt.at.to_rfc3339(),
        }),
        resting: ledger.resting().values().map(resting_of).collect(),
        positions,
    };
    if args.json {
        return output::json(&status);
    }
    output::line(&text_of(&status))
}

fn resting_of(resting: &RestingOrder) -> Resting {
    let order = &resting.order;
    Resting {
        order_id: order.id,
        market_id: order.market_id.to_string(),
        token_id: order.token_id.to_string(),
        outcome: order.outcome.to_string(),
        side: order.side.as_str(),
        limit: order.limit.to_f64(),
        remaining: resting.remaining.to_f64(),
        order_type: order.order_type.as_str(),
        expires_at: order.expires_at.map(|moment| moment.to_rfc3339()),
    }
}

/// Fails when `last` lies more than `max_age` seconds before `now`. A later `last` is fresh: the venue's
/// clock may be a little ahead of ours.
fn check_age(last: Timestamp, now: Timestamp, max_age: u32) -> Result<(), Failure> {
    if now.since(last) <= i64::from(max_age) * 1000 {
        return Ok(());
    }
    Err(Failure::new(
        format!(
            "the account's last event is of {last}, {} s ago by this machine's clock; allowed are \
             {max_age} s",
            now.since(last) / 1000
        ),
        "See whether `run` is running and what it logs. --max-age is for real prices only: a sandbox \
         or a recording has a clock of its own.",
    ))
}

fn text_of(status: &Status) -> String {
    let mut lines = vec![
        format!("Account: {} ({})", status.account, status.database),
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
    if let Some(halt) = &status.halt {
        lines.insert(
            0,
            format!(
                "HALTED ({}) since {} by {}: {}",
                halt.cause, halt.since, halt.by, halt.reason
            ),
        );
    }
    for order in &status.resting {
        let until = order.expires_at.as_ref();
        lines.push(format!(
            "Resting #{}: {} {} {} of market {} at {}, {}{}",
            order.order_id,
            order.side,
            order.remaining,
            order.outcome,
            order.market_id,
            order.limit,
            order.order_type,
            until.map_or_else(String::new, |at| format!(" until {at}")),
        ));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_counted_from_the_last_event_to_the_machines_now() {
        let last = Timestamp::parse("2026-06-02T06:00:00Z").unwrap();
        let after = |seconds: i64| last.plus_millis(seconds * 1000);
        assert!(check_age(last, after(900), 900).is_ok());
        assert!(check_age(last, last, 0).is_ok());
        assert!(check_age(last, after(-5), 0).is_ok(), "a clock ahead");
        assert!(check_age(last, after(4_000_000_000), u32::MAX).is_ok());
        let late = check_age(last, after(900).plus_millis(1), 900).unwrap_err();
        assert_eq!(
            late.message,
            "the account's last event is of 2026-06-02T06:00:00Z, 900 s ago by this machine's \
             clock; allowed are 900 s"
        );
    }
}

//! `tick`: one tick, and per strategy why nothing more was traded.

use clap::Args;

use crate::trading::report::TickReport;

use super::run::refuse_live;
use super::source::SourceArgs;
use super::{Common, Failure, control, output};

/// Options of `tick`.
#[derive(Debug, Args)]
pub struct TickArgs {
    /// Print the whole report as JSON.
    #[arg(long)]
    json: bool,
    /// Trade with real money. Not available in this version.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    source: SourceArgs,
}

/// Runs one tick, in the process that owns the ledger.
pub async fn tick(common: &Common, args: TickArgs) -> Result<(), Failure> {
    refuse_live(args.live)?;
    let nothing = serde_json::Value::Null;
    let answer = control::call(common, &args.source, "tick", nothing)
        .await?
        .map_err(|error| Failure::new(error.message, error.hint))?;
    if args.json {
        return output::json(&answer.structured);
    }
    let report = serde_json::from_value(answer.structured).map_err(|error| {
        Failure::new(
            format!("the report of the tick cannot be read: {error}"),
            "Another version of the program owns the ledger: --json prints what it said.",
        )
    })?;
    output::line(&text_of(&report))
}

/// A tick in words.
pub fn text_of(report: &TickReport) -> String {
    let trades = report
        .orders
        .iter()
        .filter(|order| !order.fills.is_empty())
        .count();
    let mut lines = vec![
        format!("Tick {} at {}", report.tick, report.at),
        format!(
            "Markets: {}, Signals: {}, Trades: {trades}",
            report.markets, report.signals
        ),
        format!(
            "Portfolio: {} cash, {} total{}",
            output::money(report.cash),
            output::money(report.equity),
            if report.equity_complete {
                ""
            } else {
                " (a position without a bid counts at cost)"
            }
        ),
    ];
    for order in &report.orders {
        lines.push(format!(
            "  {} {} {} of {} — {}: {}",
            order.strategy,
            order.side,
            order.outcome,
            short(&order.question),
            order.status,
            if order.fills.is_empty() {
                order.reason.clone()
            } else {
                fills_of(order)
            },
        ));
    }
    for settled in &report.settlements {
        lines.push(format!(
            "  settled {} at {}: {} shares, {} received, {} profit",
            settled.outcome,
            settled.payout,
            settled.shares,
            output::money(settled.proceeds),
            output::money(settled.pnl)
        ));
    }
    lines.extend(report.triggered.iter().map(|text| format!("  {text}")));
    for strategy in &report.strategies {
        lines.push(format!(
            "{}: looked at {}, {} signals",
            strategy.strategy, strategy.looked_at, strategy.signals
        ));
        let causes = strategy
            .passed_over
            .iter()
            .map(|(cause, count)| (cause, *count, "passed over"));
        let refused = strategy
            .not_traded
            .iter()
            .map(|(cause, count)| (cause, *count, "not traded"));
        for (cause, count, what) in causes.chain(refused) {
            lines.push(format!("  {count:>5} {what}: {cause}"));
        }
        if let Some(error) = &strategy.error {
            lines.push(format!("  failed: {error}"));
        }
    }
    if let Some(timing) = &report.timing {
        lines.push(format!(
            "Time: gather {:.1} ms, decide {:.1} ms, act {:.1} ms",
            timing.gather_ms, timing.decide_ms, timing.act_ms
        ));
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// `10 @ 0.52 + 5 @ 0.53, fee $0.10`.
pub fn fills_of(order: &crate::trading::report::OrderReport) -> String {
    let levels: Vec<String> = order
        .fills
        .iter()
        .map(|fill| format!("{} @ {}", fill.shares, fill.price))
        .collect();
    format!(
        "{} = {}, fee ${:.5}",
        levels.join(" + "),
        output::money(order.notional),
        order.fee
    )
}

/// A question cut to a line.
pub fn short(text: &str) -> String {
    crate::domain::text::clean(text, 60)
}

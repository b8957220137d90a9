//! `backtest`: a recording through the live step.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;

use crate::backtest::engine::BacktestResult;
use crate::backtest::report;
use crate::backtest::summary::{BacktestSummary, TradeView};
use crate::server::tools::backtest::{BacktestRequest, moment, replay};

use super::{Common, Failure, output, start_logging};

/// Options of `backtest`.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// Directory of CSV files (timestamp,market_id,question,yes_price,volume,token_id).
    data_dir: PathBuf,
    /// First moment (RFC 3339 or a date).
    #[arg(long)]
    start: Option<String>,
    /// Last moment (RFC 3339, or a date: to the end of that day).
    #[arg(long)]
    end: Option<String>,
    /// Write the result to this file: .json, .md or .html.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Include every trade in the JSON.
    #[arg(long)]
    trades: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Replays and prints the measures.
pub async fn backtest(common: &Common, args: BacktestArgs) -> Result<(), Failure> {
    let config = common.load()?;
    start_logging(&config, "warn")?;
    let request = BacktestRequest {
        data_dir: args.data_dir.clone(),
        start: moment("--start", args.start.as_deref(), false)?,
        end: moment("--end", args.end.as_deref(), true)?,
    };
    let show = std::io::stderr().is_terminal();
    let shown = AtomicUsize::new(0);
    let progress = move |done: usize, total: usize| {
        let percent = done * 100 / total.max(1);
        if show && shown.swap(percent, Ordering::Relaxed) != percent {
            output::error(&format!("\x1b[1A\x1b[2K{percent:>3} % of {total} moments"));
        }
    };
    if show {
        output::error("");
    }
    let result =
        tokio::task::spawn_blocking(move || replay(&config, &request, &progress, &|| false))
            .await
            .map_err(|error| Failure::new(error.to_string(), "This is a bug."))??;
    let json = json_of(&result, args.trades)?;
    if let Some(path) = &args.output {
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("md") => report::markdown(&result.report),
            Some("html") => report::html(&result.report),
            _ => serde_json::to_string_pretty(&json)
                .map_err(|error| Failure::new(error.to_string(), ""))?,
        };
        std::fs::write(path, text)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display()), ""))?;
        output::error(&format!("written to {}", path.display()));
    }
    if args.json {
        output::json(&json)
    } else {
        output::line(&text_of(&result))
    }
}

fn json_of(result: &BacktestResult, trades: bool) -> Result<serde_json::Value, Failure> {
    let broken = |error: serde_json::Error| Failure::new(error.to_string(), "This is a bug.");
    let mut value = serde_json::to_value(BacktestSummary::of(result)).map_err(broken)?;
    if trades && let Some(map) = value.as_object_mut() {
        let rows: Vec<TradeView> = result.report.trades.iter().map(TradeView::of).collect();
        map.insert(
            "trades".to_owned(),
            serde_json::to_value(rows).map_err(broken)?,
        );
    }
    Ok(value)
}

fn text_of(result: &BacktestResult) -> String {
    let summary = BacktestSummary::of(result);
    let metrics = &summary.metrics;
    let percent = |value: Option<f64>| {
        value.map_or_else(|| "–".to_owned(), |v| format!("{:.2} %", v * 100.0))
    };
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let mut lines = vec![
        format!(
            "{}: {} to {}, {} moments",
            result.report.title,
            summary.start.as_deref().unwrap_or("–"),
            summary.end.as_deref().unwrap_or("–"),
            summary.frames
        ),
        format!("Total return:  {}", percent(metrics.total_return)),
        format!("Sharpe ratio:  {}", number(metrics.sharpe_ratio)),
        format!("Max drawdown:  {}", percent(metrics.max_drawdown)),
        format!("Win rate:      {}", percent(metrics.win_rate)),
        format!("Profit factor: {}", number(metrics.profit_factor)),
        format!(
            "Closed trades: {} ({} executions, {} settled, {} positions open)",
            summary.total_trades, summary.executions, summary.settlements, summary.open_positions
        ),
        format!(
            "Final equity:  {} ({} cash), fees {}",
            output::money(summary.final_equity),
            output::money(summary.final_cash),
            output::money(summary.strategies.iter().map(|s| s.fees).sum())
        ),
    ];
    for row in &summary.strategies {
        lines.push(format!(
            "{}: looked at {}, {} signals, {} traded, volume {}, fees {}, closed result {}",
            row.strategy,
            row.looked_at,
            row.signals,
            row.executed,
            output::money(row.volume),
            output::money(row.fees),
            row.pnl.map_or_else(|| "–".to_owned(), output::money),
        ));
        for (cause, count) in &row.passed_over {
            lines.push(format!("  {count:>8} passed over: {cause}"));
        }
    }
    lines.extend(summary.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

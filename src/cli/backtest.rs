//! `backtest`: a recording through the live step.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;

use crate::backtest::engine::BacktestResult;
use crate::backtest::report::{self, PictureError};
use crate::backtest::summary::{BacktestSummary, WholeResult};
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
    /// Write the result to this file (.json, .md, .html or .png), or all of them into this folder.
    #[arg(long, short, value_name = "PATH")]
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
        write(path, &result, args.trades)?;
        output::error(&format!("written to {}", path.display()));
    }
    if args.json {
        output::json(&json)
    } else {
        output::line(&text_of(&result))
    }
}

/// The summary, with every trade, position and market where `whole`.
fn json_of(result: &BacktestResult, whole: bool) -> Result<serde_json::Value, Failure> {
    let value = if whole {
        serde_json::to_value(WholeResult::of(result))
    } else {
        serde_json::to_value(BacktestSummary::of(result))
    };
    value.map_err(|error| Failure::new(error.to_string(), "This is a bug."))
}

/// Writes one file, of the form that its ending names, or everything into a folder: `report.md`,
/// `report.html`, `chart.png` and `result.json` with every trade.
fn write(path: &Path, result: &BacktestResult, trades: bool) -> Result<(), Failure> {
    let named =
        |path: &Path, error: String| Failure::new(format!("{}: {error}", path.display()), "");
    let pretty = |whole: bool| -> Result<Vec<u8>, Failure> {
        serde_json::to_vec_pretty(&json_of(result, whole)?)
            .map_err(|error| named(path, error.to_string()))
    };
    let picture = || report::png(&result.report).map_err(|error| named(path, error.to_string()));
    let store = |path: &Path, bytes: Vec<u8>| {
        std::fs::write(path, bytes).map_err(|error| named(path, error.to_string()))
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("md") => store(path, report::markdown(&result.report).into_bytes()),
        Some("html") => store(path, report::html(&result.report).into_bytes()),
        Some("png") => store(path, picture()?),
        Some("json") => store(path, pretty(trades)?),
        Some(_) if !path.is_dir() => Err(Failure::new(
            format!("{}: no report has this form", path.display()),
            "Name a file that ends in .json, .md, .html or .png, or a folder for all of them.",
        )),
        _ => {
            std::fs::create_dir_all(path).map_err(|error| named(path, error.to_string()))?;
            store(
                &path.join("report.md"),
                report::markdown(&result.report).into_bytes(),
            )?;
            store(
                &path.join("report.html"),
                report::html(&result.report).into_bytes(),
            )?;
            store(&path.join("result.json"), pretty(true)?)?;
            match report::png(&result.report) {
                // A run of one moment has no curve; the rest is there.
                Err(PictureError::NoCurve) => Ok(()),
                other => store(
                    &path.join("chart.png"),
                    other.map_err(|error| named(path, error.to_string()))?,
                ),
            }
        }
    }
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
    lines.extend(
        summary
            .diagnoses
            .iter()
            .map(|text| format!("doubt: {text}")),
    );
    lines.extend(summary.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

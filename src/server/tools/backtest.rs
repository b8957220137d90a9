//! run_backtest: the live step over a recording, with a stored report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::config::Config;
use crate::app::{App, AppError};
use crate::backtest::engine::{self, BacktestError, BacktestOptions, BacktestResult};
use crate::backtest::report;
use crate::backtest::summary::{BacktestSummary, TradeView};
use crate::domain::text::clean;
use crate::domain::{Clock, SystemClock, Timestamp};
use crate::market_data::recorded::{Dataset, DatasetOptions};
use crate::server::{Caller, ToolAnnotations, ToolError, ToolSpec, lenient};
use crate::store::NewBacktest;
use crate::strategy::StrategySet;

/// How long a backtest may run for an agent.
const TIME_LIMIT: std::time::Duration = std::time::Duration::from_secs(600);

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![
        ToolSpec::new(
            "run_backtest",
            "Run a backtest",
            "Replays recorded prices (a directory of CSV files with the columns timestamp, market_id, \
             question, yes_price, volume, token_id) through the same strategies, limits, fees and \
             settlement as live, on a fresh account. Books are synthesised from the price with an \
             assumed spread: read `notes` before the numbers. The report is kept as a resource.",
            ToolAnnotations { idempotent: true, ..ToolAnnotations::ADD },
            run_backtest,
        )
        .time_limit(TIME_LIMIT),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BacktestArgs {
    /// Directory on the server's machine.
    data_dir: String,
    /// First moment, RFC 3339 or a date; the recording's start when left out.
    #[serde(default, deserialize_with = "lenient::text")]
    start: Option<String>,
    /// Last moment, RFC 3339 or a date (to the end of that day); the recording's end when left out.
    #[serde(default, deserialize_with = "lenient::text")]
    end: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct BacktestOut {
    /// Number of the stored result; null when another process owns the ledger.
    id: Option<i64>,
    /// Resource with the readable report.
    report_uri: Option<String>,
    #[serde(flatten)]
    summary: BacktestSummary,
}

/// A moment, or a whole day: `2024-01-31` as an end means the last millisecond of that day.
pub fn moment(
    what: &str,
    text: Option<&str>,
    end_of_day: bool,
) -> Result<Option<Timestamp>, AppError> {
    const DAY_MS: i64 = 86_400_000;
    let Some(text) = text else { return Ok(None) };
    let parsed = Timestamp::parse(text).ok_or_else(|| AppError::BadRequest {
        message: format!("{what} `{}` is not a moment", clean(text, 40)),
        hint: "Use RFC 3339, e.g. 2026-02-27T08:00:00Z, or a date.".to_owned(),
    })?;
    let whole_day = text.trim().len() == "2024-01-31".len() && text.contains('-');
    Ok(Some(if end_of_day && whole_day {
        parsed.plus_millis(DAY_MS - 1)
    } else {
        parsed
    }))
}

/// What is replayed.
pub struct BacktestRequest {
    /// Directory.
    pub data_dir: PathBuf,
    /// First moment.
    pub start: Option<Timestamp>,
    /// Last moment.
    pub end: Option<Timestamp>,
}

/// Loads a recording and replays it. Blocking. Errors: the directory has no prices, or none in the
/// period; or it was cancelled while loading (later, the result is what there was until then).
pub fn replay(
    config: &Config,
    request: &BacktestRequest,
    progress: &(dyn Fn(usize, usize) + Sync),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<BacktestResult, AppError> {
    let dir = &request.data_dir;
    if !dir.is_dir() {
        return Err(AppError::BadRequest {
            message: format!(
                "{} is not a directory",
                clean(&dir.display().to_string(), 200)
            ),
            hint: "Name a directory of CSV files on the server's machine.".to_owned(),
        });
    }
    let options = DatasetOptions {
        default_spread: config.backtest.default_spread,
        depth: config.backtest.default_depth,
        volume_kind: config.backtest.volume_kind,
    };
    let dataset = Dataset::load_unless(dir, options, cancelled)?;
    let strategies = StrategySet::from_config(&config.strategies)
        .map_err(|error| AppError::Config(error.to_string()))?;
    let mut trading = config.trading();
    trading.snapshot_interval_ms = i64::from(config.backtest.snapshot_interval) * 1000;
    let name = name_of(dir);
    let options = BacktestOptions {
        start: request.start,
        end: request.end,
        balance: config.starting_balance,
        trading,
        title: format!("Backtest of {name}"),
        progress,
        cancelled,
    };
    let mut result =
        engine::run(&dataset, strategies.as_slice(), &options).map_err(|error| match error {
            BacktestError::Empty { .. } => AppError::BadRequest {
                message: error.to_string(),
                hint: "Choose start and end inside the recording, or leave them out.".to_owned(),
            },
            BacktestError::Desk(error) => AppError::Desk(error),
        })?;
    result.report.data = name;
    result.report.config = vec![
        format!("starting balance {} pUSD", config.starting_balance),
        format!("strategies: {}", strategies.names().join(", ")),
        format!("default spread {}", config.backtest.default_spread),
        format!("max position size {} pUSD", config.risk.max_position_size),
        format!("max total exposure {} pUSD", config.risk.max_total_exposure),
        format!("max daily loss {} pUSD", config.risk.max_daily_loss),
    ];
    Ok(result)
}

fn name_of(dir: &Path) -> String {
    let whole = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    whole
        .file_name()
        .map_or_else(|| "data".to_owned(), |n| clean(&n.to_string_lossy(), 80))
}

/// The whole result as JSON text: the summary with every trade.
pub fn result_json(result: &BacktestResult) -> Result<String, AppError> {
    #[derive(Serialize)]
    struct Whole {
        #[serde(flatten)]
        summary: BacktestSummary,
        equity: Vec<(String, f64)>,
        trades: Vec<TradeView>,
    }
    let whole = Whole {
        summary: BacktestSummary::of(result),
        equity: result
            .report
            .equity
            .iter()
            .map(|(at, value)| (at.to_rfc3339(), value.to_f64()))
            .collect(),
        trades: result.report.trades.iter().map(TradeView::of).collect(),
    };
    serde_json::to_string(&whole).map_err(|error| AppError::Other(error.to_string()))
}

async fn run_backtest(
    app: Arc<App>,
    args: BacktestArgs,
    caller: Caller,
) -> Result<BacktestOut, ToolError> {
    let request = BacktestRequest {
        start: moment("start", args.start.as_deref(), false)?,
        end: moment("end", args.end.as_deref(), true)?,
        data_dir: PathBuf::from(&args.data_dir),
    };
    let out = super::blocking(&app, move |app| {
        // Held by the work and not by the call: a cancelled call ends before its work does.
        let _turn = app.begin_backtest()?;
        let progress = |done: usize, total: usize| {
            if done == total || done.is_multiple_of(200) {
                caller.report(done as f64, Some(total as f64), "moments replayed");
            }
        };
        let cancelled = || caller.cancelled.is_cancelled();
        let result = replay(app.config(), &request, &progress, &cancelled)?;
        let id = if app.desk().is_owner() {
            Some(keep(app, &request, &result)?)
        } else {
            None
        };
        Ok(BacktestOut {
            id,
            report_uri: id.map(|id| format!("polymarket://backtests/{id}")),
            summary: BacktestSummary::of(&result),
        })
    })
    .await?;
    Ok(out)
}

fn keep(app: &App, request: &BacktestRequest, result: &BacktestResult) -> Result<i64, AppError> {
    let json = result_json(result)?;
    Ok(app.store().insert_backtest(&NewBacktest {
        created_at: SystemClock.now(),
        data_dir: &request.data_dir.display().to_string(),
        title: &result.report.title,
        result_json: &json,
        report_md: &report::markdown(&result.report),
        report_html: &report::html(&result.report),
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::CallerKind;
    use crate::server::test_app::account;

    /// A recording of one row.
    fn recording() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let csv = "timestamp,market_id,question,yes_price,volume,token_id\n\
                   2026-01-01T00:00:00Z,a,A?,0.5,0,t1\n";
        std::fs::write(dir.path().join("p.csv"), csv).unwrap();
        dir
    }

    fn over(dir: &tempfile::TempDir) -> BacktestArgs {
        BacktestArgs {
            data_dir: dir.path().display().to_string(),
            start: None,
            end: None,
        }
    }

    #[tokio::test]
    async fn a_second_backtest_is_refused_while_one_runs() {
        let (account, dir) = (account().await, recording());
        let caller = || Caller::new(CallerKind::Shell);
        let turn = account.app.begin_backtest().unwrap();
        let refused = run_backtest(account.app.clone(), over(&dir), caller()).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, "busy");
        drop(turn);
        let done = run_backtest(account.app.clone(), over(&dir), caller()).await;
        assert_eq!(done.unwrap().summary.frames, 1);
    }

    #[tokio::test]
    async fn a_cancelled_backtest_does_not_even_load() {
        let (account, dir) = (account().await, recording());
        let caller = Caller::new(CallerKind::Shell);
        caller.cancelled.cancel();
        let stopped = run_backtest(account.app.clone(), over(&dir), caller).await;
        assert_eq!(stopped.unwrap_err().code, "cancelled");
        assert!(
            account.app.begin_backtest().is_ok(),
            "the turn is free again"
        );
    }
}

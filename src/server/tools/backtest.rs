//! run_backtest: the live step over a recording, with a stored report.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::app::backtest::{BacktestRequest, Prepared, VERSION, allowed, moment};
use crate::app::{App, AppError};
use crate::backtest::summary::{BacktestSummary, SnapshotPoint};
use crate::server::{Caller, ToolAnnotations, ToolError, ToolSpec, lenient};

/// How long a backtest may run for an agent.
const TIME_LIMIT: std::time::Duration = std::time::Duration::from_secs(600);
/// Shortest time between two reports of progress, ms.
const REPORT_MS: u64 = 100;

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![
        ToolSpec::new(
            "run_backtest",
            "Run a backtest",
            "Replays recorded prices (CSV or Parquet files with timestamp, market_id, yes_price, …) or order \
             books (captures of `record`, or market-channel messages in .jsonl) through the same strategies, \
             limits, fees and settlement as live, on a fresh account. Read `notes` before the numbers. The \
             whole result is kept as resources.",
            ToolAnnotations { idempotent: true, ..ToolAnnotations::ADD },
            run_backtest,
        )
        .time_limit(TIME_LIMIT),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BacktestArgs {
    /// Folder on the server's machine, below backtest.data_dirs.
    data_dir: String,
    /// First moment, RFC 3339 or a date; the recording's start when left out.
    #[serde(default, deserialize_with = "lenient::text")]
    start: Option<String>,
    /// Last moment, RFC 3339 or a date (to the end of that day); the recording's end when left out.
    #[serde(default, deserialize_with = "lenient::text")]
    end: Option<String>,
    /// Keys of config.yaml for this run, e.g. {"strategies.signal_trader.min_edge": 0.03}.
    #[serde(default)]
    set: Map<String, Value>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct BacktestOut {
    /// Number of the stored result; null when another process owns the ledger.
    id: Option<i64>,
    /// Resource with the readable report.
    report_uri: Option<String>,
    /// All resources of this run.
    resources: Vec<String>,
    data_hash: String,
    version: &'static str,
    #[serde(flatten)]
    #[schemars(with = "Shown")]
    summary: BacktestSummary,
}

/// What the schema tells of a summary: all measures would take a tenth of what every client reads at its
/// start. docs/backtesting.md has them.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a schema only")]
struct Shown {
    metrics: Measures,
    total_trades: u64,
    final_equity: f64,
    snapshots: Vec<SnapshotPoint>,
    partial: bool,
    notes: Vec<String>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "a schema only")]
struct Measures {
    total_return: Option<f64>,
    sharpe_ratio: Option<f64>,
    max_drawdown: Option<f64>,
    win_rate: Option<f64>,
    profit_factor: Option<f64>,
    total_trades: u64,
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
        settings: args.set,
    };
    super::blocking(&app, move |app| carry_out(app, request, &caller)).await
}

fn carry_out(
    app: &App,
    mut request: BacktestRequest,
    caller: &Caller,
) -> Result<BacktestOut, AppError> {
    // Held by the work and not by the call: a cancelled call ends before its work does.
    let _turn = app.begin_backtest()?;
    request.data_dir = allowed(&request.data_dir, &app.config().backtest.data_dirs)?;
    let began = Instant::now();
    let told = AtomicU64::new(0);
    let progress = |done: usize, total: usize| {
        let now = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if done == total || now >= told.load(Ordering::Relaxed).saturating_add(REPORT_MS) {
            told.store(now, Ordering::Relaxed);
            caller.report(done as f64, Some(total as f64), "moments replayed");
        }
    };
    let cancelled = || caller.cancelled.is_cancelled();
    let prepared = Prepared::load(app.config(), &request, &cancelled)?;
    let backtest = prepared.run(&progress, &cancelled)?;
    prepared.discard();
    let id = match app.desk().is_owner() {
        true => Some(backtest.keep(&app.store())?),
        false => None,
    };
    let uri = |end: &str| id.map(|id| format!("polymarket://backtests/{id}{end}"));
    Ok(BacktestOut {
        id,
        report_uri: uri(""),
        resources: ["", ".html", ".json", ".png"]
            .into_iter()
            .filter_map(uri)
            .collect(),
        summary: BacktestSummary::of(&backtest.result),
        data_hash: backtest.data_hash,
        version: VERSION,
    })
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
            set: Map::new(),
        }
    }

    #[tokio::test]
    async fn folders_elsewhere_are_not_read() {
        let (account, dir) = (account().await, recording());
        let up = format!("{}/..", dir.path().display());
        for (folder, words) in [("/etc", "may be read"), ("../x", "`..`"), (&up, "`..`")] {
            let mut args = over(&dir);
            folder.clone_into(&mut args.data_dir);
            let caller = Caller::new(CallerKind::Shell);
            let refused = run_backtest(account.app.clone(), args, caller).await;
            let refused = refused.unwrap_err();
            assert_eq!(refused.code, "bad_arguments");
            assert!(refused.message.contains(words), "{}", refused.message);
        }
    }

    #[tokio::test]
    async fn settings_count_for_this_run_and_the_whole_is_kept() {
        let (account, dir) = (account().await, recording());
        let caller = Caller::new(CallerKind::Shell);
        let mut args = over(&dir);
        args.set.insert("starting_balance".to_owned(), 250.into());
        let done = run_backtest(account.app.clone(), args, caller)
            .await
            .unwrap();
        assert_eq!(done.summary.final_equity, 250.0);
        let id = done.id.unwrap();
        let all = [
            format!("polymarket://backtests/{id}"),
            format!("polymarket://backtests/{id}.html"),
        ];
        assert_eq!(done.resources[..2], all);
        let row = account.app.store().backtest(id).unwrap().unwrap();
        assert_eq!(row.data_hash.as_ref(), Some(&done.data_hash));
        assert_eq!(row.version.as_deref(), Some(VERSION));
        let config: Value = serde_json::from_str(row.config_json.as_ref().unwrap()).unwrap();
        assert_eq!(config["starting_balance"], 250.0);
        assert!(config.get("venue").is_none() && config.get("monitoring").is_none());
        let kept: Value = serde_json::from_str(&row.result_json).unwrap();
        assert_eq!(kept["config"], config);
        assert_eq!(kept["data_hash"], Value::from(done.data_hash));
        // Neither the folder's place nor a time of day.
        let place = dir.path().parent().unwrap().to_str().unwrap();
        for text in [&row.result_json, &row.report_md, &row.report_html] {
            assert!(!text.contains(&format!("{place}/")), "{text}");
        }
        let mut args = over(&dir);
        args.set.insert("risk.max_fun".to_owned(), 1.into());
        let caller = Caller::new(CallerKind::Shell);
        let refused = run_backtest(account.app.clone(), args, caller)
            .await
            .unwrap_err();
        assert!(refused.message.contains("max_fun"), "{}", refused.message);
    }

    /// A call that is cancelled while it runs: nobody waits for the answer, what there was is kept.
    #[tokio::test]
    async fn a_part_is_kept_and_labelled() {
        let (account, dir) = (account().await, tempfile::tempdir().unwrap());
        let mut csv = "timestamp,market_id,question,yes_price,volume,token_id\n".to_owned();
        for second in 0..20_000 {
            csv += &format!("{},a,A?,0.5,0,t1\n", 1_767_225_600 + second);
        }
        std::fs::write(dir.path().join("p.csv"), csv).unwrap();
        let (sink, mut reports) = crate::server::caller::ProgressSink::channel();
        let caller = Caller::new(CallerKind::Shell).with_progress(sink);
        let cancelled = caller.cancelled.clone();
        let running = tokio::spawn(run_backtest(account.app.clone(), over(&dir), caller));
        reports.changed().await.unwrap();
        cancelled.cancel();
        let done = running.await.unwrap();
        if let Ok(done) = &done {
            // It was through before the word came.
            assert!(done.summary.partial || done.summary.frames == 20_000);
        }
        let row = account.app.store().backtest(1).unwrap().unwrap();
        let kept: Value = serde_json::from_str(&row.result_json).unwrap();
        if kept["partial"] == true {
            assert!(
                row.summary.title.contains("a part only"),
                "{}",
                row.summary.title
            );
            assert!(kept["frames"].as_u64().unwrap() < 20_000);
            assert!(row.report_md.contains("cancelled"));
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

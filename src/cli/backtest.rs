//! `backtest`: a recording through the live step, or a journal through it again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};

use crate::app::AppError;
use crate::app::backtest::{Backtest, BacktestRequest, Prepared, VERSION, failed, moment};
use crate::app::config::{Config, setting};
use crate::backtest::engine::BacktestResult;
use crate::backtest::lookahead::{self, Lookahead, LookaheadError};
use crate::backtest::report;
use crate::backtest::summary::{BacktestSummary, WholeResult};
use crate::store::{OwnerLock, Store};
use crate::strategy::StrategySet;

use super::{Common, Failure, output, start_logging};

mod files;
mod parity;

/// Options of `backtest`.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// Folder of price files or of recorded order books, or one file (see docs/data.md).
    #[arg(required_unless_present = "journal", conflicts_with = "journal")]
    data_dir: Option<PathBuf>,
    /// Carry the journal in this folder out again instead, and compare every event with those of the
    /// account (`--db`) that it was kept for.
    #[arg(long, value_name = "DIR", group = "account_for")]
    journal: Option<PathBuf>,
    /// With --journal or --keep: the account's kind of source (chooses the default database).
    #[arg(
        long,
        value_enum,
        default_value = "polymarket",
        requires = "account_for"
    )]
    source: super::source::Kind,
    #[command(flatten)]
    period: PeriodArgs,
    /// Also run on the data cut off at several moments, and fail when anything before them changes.
    #[arg(
        long, value_name = "MOMENTS", num_args = 0..=1, default_missing_value = "5",
        value_parser = clap::value_parser!(u16).range(1..=1000), conflicts_with = "journal"
    )]
    check_lookahead: Option<u16>,
    /// Write the result to this file (.json, .md, .html or .png), or all of them into this folder.
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Keep the result in the account's database too, as `run_backtest` does, and tell its number.
    #[arg(long, group = "account_for")]
    keep: bool,
    /// Include every trade in the JSON.
    #[arg(long)]
    trades: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Period and settings, of `backtest` and `sweep`.
#[derive(Debug, Args)]
pub struct PeriodArgs {
    /// First moment (RFC 3339 or a date).
    #[arg(long)]
    start: Option<String>,
    /// Last moment (RFC 3339, or a date: to the end of that day).
    #[arg(long)]
    end: Option<String>,
    /// A key of the configuration for this run, e.g. strategies.signal_trader.min_edge=0.03; may be
    /// given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, Value)>,
}

impl PeriodArgs {
    /// What is asked for, on this folder.
    pub fn request(&self, data_dir: PathBuf) -> Result<BacktestRequest, Failure> {
        Ok(BacktestRequest {
            data_dir,
            start: moment("--start", self.start.as_deref(), false)?,
            end: moment("--end", self.end.as_deref(), true)?,
            settings: self.set.iter().cloned().collect::<Map<_, _>>(),
        })
    }
}

/// A bar on a terminal, nothing elsewhere.
pub fn bar(unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    let style = format!("{{percent:>3}} % {{bar:40}} {{pos}} of {{len}} {unit}, {{eta}} left");
    bar.set_style(
        ProgressStyle::with_template(&style).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar
}

/// Set when the user interrupts: what there is by then is told. A second time ends the program.
pub fn interruption() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            set.store(true, Ordering::Release);
            output::error("stopping; again to end at once");
            // The default of the signal is gone with the first wait for it.
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::abort();
            }
        }
    });
    flag
}

/// What a run came to, with what was looked for beside it.
struct Done {
    backtest: Backtest,
    lookahead: Option<Lookahead>,
}

/// A result with what stands beside it in the JSON.
struct Told {
    result: BacktestResult,
    more: Map<String, Value>,
}

/// Replays and prints the measures.
pub async fn backtest(common: &Common, args: BacktestArgs) -> Result<(), Failure> {
    let config = common.load()?;
    start_logging(&config, "warn")?;
    // What cannot be written is known before the work.
    args.output.as_deref().map(files::check).transpose()?;
    if let Some(journal) = &args.journal {
        return parity::parity(common, journal, &args);
    }
    let Some(data_dir) = args.data_dir.clone() else {
        return Err(Failure::new(
            "no folder is named",
            "Name a folder of price files or of recorded books.",
        ));
    };
    let request = args.period.request(data_dir)?;
    // A folder that is not there is told below; no account is made for it.
    let account = match args.keep && request.data_dir.exists() {
        true => Some(Account::open(&common.db_for(args.source.domain()))?),
        false => None,
    };
    let (stop, bar) = (interruption(), bar("moments"));
    let (moments, shown) = (args.check_lookahead, bar.clone());
    let work = move || carry_out(&config, &request, moments, &shown, &stop);
    let done = tokio::task::spawn_blocking(work).await;
    bar.finish_and_clear();
    let done = done.map_err(|error| Failure::new(error.to_string(), "This is a bug."))??;
    let mut more = Map::new();
    if let Some(account) = &account {
        let id = done.backtest.keep(&account.store)?;
        output::error(&format!(
            "kept as backtest {id} in {}",
            account.store.path().display()
        ));
        more.insert("id".to_owned(), id.into());
    }
    let Backtest {
        result,
        config,
        data_hash,
        ..
    } = done.backtest;
    more.insert("version".to_owned(), VERSION.into());
    more.insert("data_hash".to_owned(), data_hash.into());
    more.insert("config".to_owned(), config);
    if let Some(found) = &done.lookahead {
        let found = serde_json::to_value(found)
            .map_err(|error| Failure::new(error.to_string(), "This is a bug."))?;
        more.insert("lookahead".to_owned(), found);
    }
    tell(&args, &Told { result, more })?;
    match done.lookahead.and_then(|found| found.difference) {
        Some(difference) => Err(Failure::new(
            difference.words(),
            "Something knew what came later: a strategy that remembers other runs, or a file that tells \
             the future. The result cannot be believed.",
        )),
        None => Ok(()),
    }
}

fn carry_out(
    config: &Config,
    request: &BacktestRequest,
    moments: Option<u16>,
    bar: &ProgressBar,
    stop: &AtomicBool,
) -> Result<Done, AppError> {
    let progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let cancelled = || stop.load(Ordering::Acquire);
    let began = Instant::now();
    let prepared = Prepared::load(config, request, &cancelled)?;
    let read = began.elapsed();
    let Some(moments) = moments else {
        let backtest = prepared.run(&progress, &cancelled)?;
        let [replayed, measured] = backtest.spent;
        output::error(&format!(
            "read {} in {read:.2?}, replayed {} moments in {replayed:.2?}, measured them in {measured:.2?}",
            prepared.data.size(),
            backtest.result.report.frames,
        ));
        prepared.discard();
        return Ok(Done {
            backtest,
            lookahead: None,
        });
    };
    prepared.strategies()?;
    let fresh = |_: &_| {
        let set = prepared.strategies().map(StrategySet::into_vec);
        // Checked above: the same settings do not fail later.
        set.unwrap_or_default()
    };
    let until = |moment| prepared.until(moment, &cancelled);
    let options = prepared.options(&progress, &cancelled);
    let found = lookahead::check(
        &prepared.data,
        &options,
        usize::from(moments),
        &until,
        &fresh,
    );
    let (mut result, found) = found.map_err(|error| match error {
        LookaheadError::Run(error) => failed(error),
        LookaheadError::Data(error) => error,
    })?;
    result.report.notes.insert(0, found.words());
    let backtest = prepared.told(result, &options)?;
    prepared.discard();
    Ok(Done {
        backtest,
        lookahead: Some(found),
    })
}

/// The database that a result is kept in, owned for as long as the run takes.
struct Account {
    store: Store,
    _lock: OwnerLock,
}

impl Account {
    fn open(db: &Path) -> Result<Self, AppError> {
        let lock = OwnerLock::acquire(db)?;
        Ok(Account {
            store: Store::open(db)?,
            _lock: lock,
        })
    }
}

/// Writes the file that is wanted, and prints; what cannot be written is printed all the same.
fn tell(args: &BacktestArgs, told: &Told) -> Result<(), Failure> {
    let written = args.output.as_deref().map(|path| {
        files::write(path, told, args.trades)?;
        output::error(&format!("written to {}", path.display()));
        Ok(())
    });
    if args.json {
        output::json(&json_of(told, args.trades)?)?;
    } else {
        output::line(&text_of(&told.result))?;
    }
    written.transpose().map(|_| ())
}

/// The summary with what stands beside it; with every trade, position and market where `whole`.
fn json_of(told: &Told, whole: bool) -> Result<Value, Failure> {
    let value = if whole {
        serde_json::to_value(WholeResult::of(&told.result))
    } else {
        serde_json::to_value(BacktestSummary::of(&told.result))
    };
    let mut value = value.map_err(|error| Failure::new(error.to_string(), "This is a bug."))?;
    if let Some(map) = value.as_object_mut() {
        map.extend(told.more.clone());
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
    let warning = report::synthetic_warning(&result.report);
    let mut lines: Vec<String> = warning.into_iter().collect();
    lines.extend([
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
    ]);
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

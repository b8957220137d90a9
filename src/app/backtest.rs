//! Backtests as they are asked for: a configuration with settings of its own, a folder, a result to keep.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::backtest::data::Data;
use crate::backtest::engine::{self, BacktestError, BacktestOptions, BacktestResult, ReplayRules};
use crate::backtest::summary::WholeResult;
use crate::backtest::{analysis, report};
use crate::domain::text::clean;
use crate::domain::{Clock, SystemClock, Timestamp};
use crate::market_data::DataError;
use crate::market_data::recorded::books::{BookOptions, BookRecording, RecordingKind, kind_of};
use crate::market_data::recorded::{Dataset, DatasetOptions, Digests, content_hash, discard};
use crate::store::{NewBacktest, Store};
use crate::strategy::{Strategy, StrategySet};

use super::AppError;
use super::config::Config;

mod folders;

pub use folders::allowed;

/// Version of the program, kept with every result.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct BacktestRequest {
    /// Folder of the recording, or one file.
    pub data_dir: PathBuf,
    /// First moment; `backtest.start` when `None`.
    pub start: Option<Timestamp>,
    /// Last moment; `backtest.end` when `None`.
    pub end: Option<Timestamp>,
    /// Keys of the configuration that differ in this run.
    pub settings: Map<String, Value>,
}

/// A moment, or a whole day: `2024-01-31` as an end means the last millisecond of that day.
///
/// Errors: it is neither.
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

/// A recording that was read, with all that a run on it needs.
pub struct Prepared {
    /// The configuration with the settings of this run.
    pub config: Config,
    /// The recording.
    pub data: Data,
    /// Hash of its content.
    pub data_hash: String,
    /// First moment wanted.
    pub start: Option<Timestamp>,
    /// Last moment wanted.
    pub end: Option<Timestamp>,
    dir: PathBuf,
    settings: Map<String, Value>,
}

/// A finished run with what it was made with.
pub struct Backtest {
    /// What came of it.
    pub result: BacktestResult,
    /// What it was made with, as JSON: the parts of the configuration that decide.
    pub config: Value,
    /// Hash of the data's content.
    pub data_hash: String,
    /// How long the replay took, and what is made of it after; no part of what is kept.
    pub spent: [Duration; 2],
}

fn bad(message: String) -> AppError {
    AppError::BadRequest {
        message,
        hint: "Keys have the names of config.yaml, which comes with a comment for each.".to_owned(),
    }
}

/// How a configuration wants recordings read.
#[must_use]
pub fn dataset_options(config: &Config) -> DatasetOptions {
    DatasetOptions {
        default_spread: config.backtest.default_spread,
        depth: config.backtest.default_depth,
        volume_kind: config.backtest.volume_kind,
        until: None,
    }
}

/// Reads what lies in a folder: price files, a capture, or messages. Nothing after `until`.
fn read(
    dir: &Path,
    config: &Config,
    until: Option<Timestamp>,
    digests: Option<&Digests>,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Data, DataError> {
    Ok(match kind_of(dir)? {
        RecordingKind::Prices => {
            let options = DatasetOptions {
                until,
                ..dataset_options(config)
            };
            let dataset = Dataset::load_unless(dir, options, digests, cancelled)?;
            Data::Prices(Box::new(dataset))
        }
        RecordingKind::Capture | RecordingKind::Messages => {
            let options = BookOptions {
                depth: config.backtest.default_depth,
                until,
            };
            Data::Books(Box::new(BookRecording::load_unless(
                dir, options, cancelled,
            )?))
        }
    })
}

impl Prepared {
    /// Reads a recording. Blocking.
    ///
    /// Errors: a setting makes no sense, the folder has no prices, or it was cancelled.
    pub fn load(
        config: &Config,
        request: &BacktestRequest,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Self, AppError> {
        let config = config.with_settings(&request.settings).map_err(bad)?;
        let dir = &request.data_dir;
        if !dir.exists() {
            return Err(AppError::BadRequest {
                message: format!(
                    "{} is not a directory",
                    clean(&dir.display().to_string(), 200)
                ),
                hint: "Name a directory of recorded prices on the server's machine.".to_owned(),
            });
        }
        let own = &config.backtest;
        let start = moment("backtest.start", own.start.as_deref(), false)?;
        let end = moment("backtest.end", own.end.as_deref(), true)?;
        let digests = Digests::default();
        let data = read(dir, &config, None, Some(&digests), cancelled)?;
        // What was read in parts is hashed already.
        let data_hash = content_hash(dir, &digests, cancelled)?;
        Ok(Prepared {
            data,
            data_hash,
            start: request.start.or(start),
            end: request.end.or(end),
            dir: dir.clone(),
            settings: request.settings.clone(),
            config,
        })
    }

    /// The same recording without anything after `until`. Blocking. Errors: it cannot be read again, or it was
    /// cancelled.
    pub fn until(
        &self,
        until: Timestamp,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Data, AppError> {
        let (dir, config) = (&self.dir, &self.config);
        Ok(read(dir, config, Some(until), None, cancelled)?)
    }

    /// Gives its memory back, on another thread: that of a large recording takes a while.
    pub fn discard(self) {
        discard(self);
    }

    /// The strategies of a run, which remember nothing of others. Errors: a parameter out of range.
    pub fn strategies(&self) -> Result<StrategySet, AppError> {
        StrategySet::from_config(&self.config.strategies)
            .map_err(|error| AppError::Config(error.to_string()))
    }

    /// Options of a run.
    #[must_use]
    pub fn options<'a>(
        &self,
        progress: &'a (dyn Fn(usize, usize) + Sync),
        cancelled: &'a (dyn Fn() -> bool + Sync),
    ) -> BacktestOptions<'a> {
        BacktestOptions {
            start: self.start,
            end: self.end,
            balance: self.config.starting_balance,
            trading: self.config.backtest_trading(),
            rules: rules_of(&self.config),
            title: format!("Backtest of {}", name_of(&self.dir)),
            progress,
            cancelled,
        }
    }

    /// Runs it. Blocking. Errors: no row in the period.
    pub fn run(
        &self,
        progress: &(dyn Fn(usize, usize) + Sync),
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Backtest, AppError> {
        let strategies = self.strategies()?;
        self.run_with(strategies.as_slice(), &self.options(progress, cancelled))
    }

    fn run_with(
        &self,
        strategies: &[Box<dyn Strategy>],
        options: &BacktestOptions<'_>,
    ) -> Result<Backtest, AppError> {
        let began = Instant::now();
        let result = engine::run(&self.data, strategies, options).map_err(failed)?;
        let replayed = began.elapsed();
        let mut told = self.told(result, options)?;
        told.spent = [replayed, began.elapsed().saturating_sub(replayed)];
        Ok(told)
    }

    /// A result that was made with `options`, with intervals, comparisons and diagnoses, and with what it
    /// was made with. Errors: the configuration cannot be written as JSON, or the comparison with the
    /// favourites failed, which is a fault of ours.
    pub fn told(
        &self,
        mut result: BacktestResult,
        options: &BacktestOptions<'_>,
    ) -> Result<Backtest, AppError> {
        let config = &self.config;
        let seed = options.rules.seed;
        analysis::analyse(&mut result, Some(&self.data), options, seed).map_err(failed)?;
        if result.partial {
            result.report.title += " (cancelled: a part only)";
        }
        result.report.data = name_of(&self.dir);
        result.report.config = vec![
            format!("starting balance {} pUSD", config.starting_balance),
            format!("strategies: {}", self.strategies()?.names().join(", ")),
            format!("default spread {}", config.backtest.default_spread),
            format!("max position size {} pUSD", config.risk.max_position_size),
            format!("max total exposure {} pUSD", config.risk.max_total_exposure),
            format!("max daily loss {} pUSD", config.risk.max_daily_loss),
            format!(
                "latency {} ms",
                config.backtest_trading().execution.latency_ms
            ),
            format!("data {}", self.data_hash.get(..16).unwrap_or_default()),
            format!("version {VERSION}"),
        ];
        let changed = self.settings.iter();
        let changed = changed.map(|(key, value)| format!("set {} = {value}", clean(key, 80)));
        result.report.config.extend(changed);
        Ok(Backtest {
            result,
            config: self.made_with()?,
            data_hash: self.data_hash.clone(),
            spent: Default::default(),
        })
    }

    /// The parts of the configuration that decide, and the period.
    fn made_with(&self) -> Result<Value, AppError> {
        let other = |error: serde_json::Error| AppError::Other(error.to_string());
        let mut whole = serde_json::to_value(&self.config).map_err(other)?;
        let Some(whole) = whole.as_object_mut() else {
            return Ok(Value::Null);
        };
        // Addresses, jobs and folders of this machine decide nothing and are nobody's business.
        whole.retain(|key, _| Config::decides(key));
        if let Some(Value::Object(own)) = whole.get_mut("backtest") {
            own.remove("data_dirs");
            let text = |moment: Option<Timestamp>| moment.map(Timestamp::to_rfc3339).into();
            own.insert("start".to_owned(), text(self.start));
            own.insert("end".to_owned(), text(self.end));
        }
        Ok(Value::Object(whole.clone()))
    }
}

/// What a configuration says that only a replay has to be told.
#[must_use]
pub fn rules_of(config: &Config) -> ReplayRules {
    let every = i64::from(config.backtest.tick_seconds) * 1000;
    ReplayRules {
        fees: config.backtest.fee_model,
        tick_ms: (every > 0).then_some(every),
        seed: config.backtest.seed,
        excluded: [].into(),
        whole: false,
    }
}

/// A run's failure as the application tells it.
#[must_use]
pub fn failed(error: BacktestError) -> AppError {
    match error {
        BacktestError::Empty { .. } => AppError::BadRequest {
            message: error.to_string(),
            hint: "Choose start and end inside the recording, or leave them out.".to_owned(),
        },
        BacktestError::Desk(error) => AppError::Desk(error),
    }
}

/// Name of a folder, without its path.
fn name_of(dir: &Path) -> String {
    let whole = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    whole
        .file_name()
        .map_or_else(|| "data".to_owned(), |n| clean(&n.to_string_lossy(), 80))
}

impl Backtest {
    /// The whole result as JSON text: the summary with what it was made with, the equity curve and
    /// every trade. Nothing in it depends on when, where or on how many threads it was made.
    ///
    /// Errors: it cannot be written.
    pub fn json(&self) -> Result<String, AppError> {
        #[derive(Serialize)]
        struct Whole<'a> {
            version: &'static str,
            data_hash: &'a str,
            config: &'a Value,
            #[serde(flatten)]
            result: WholeResult,
        }
        let whole = Whole {
            version: VERSION,
            data_hash: &self.data_hash,
            config: &self.config,
            result: WholeResult::of(&self.result),
        };
        serde_json::to_string(&whole).map_err(|error| AppError::Other(error.to_string()))
    }

    /// Keeps it and gives its number. Errors: the database cannot be written.
    pub fn keep(&self, store: &Store) -> Result<i64, AppError> {
        let report = &self.result.report;
        Ok(store.insert_backtest(&NewBacktest {
            created_at: SystemClock.now(),
            data_dir: &report.data,
            title: &report.title,
            result_json: &self.json()?,
            report_md: &report::markdown(report),
            report_html: &report::html(report),
            config_json: &self.config.to_string(),
            data_hash: &self.data_hash,
            version: VERSION,
        })?)
    }
}

#[cfg(test)]
mod tests;

//! `sweep`: many settings on one recording, judged out of sample.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use crate::app::backtest::{BacktestRequest, Prepared, VERSION, failed, rules_of};
use crate::app::config::Config;
use crate::backtest::sweep::{
    Axis, Row, Sample, Score, Space, SweepError, SweepOptions, SweepResult, Trial, sweep as search,
};

use super::backtest::{PeriodArgs, bar, interruption};
use super::{Common, Failure, output, start_logging};

/// Options of `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Folder of price files or of recorded order books, or one file (see docs/data.md).
    data_dir: PathBuf,
    /// A parameter and its values: KEY=VALUE,VALUE,…; may be given several times.
    #[arg(long, value_name = "KEY=VALUES", value_parser = Axis::list)]
    param: Vec<Axis>,
    /// A parameter and its range: KEY=LOW:HIGH:STEP, or KEY=LOW:HIGH with --random.
    #[arg(long, value_name = "KEY=RANGE", value_parser = Axis::range)]
    range: Vec<Axis>,
    /// Draw so many settings at random instead of trying every combination.
    #[arg(long, value_name = "COUNT")]
    random: Option<usize>,
    /// Test windows, each after the data that it is chosen by (1 to 50).
    #[arg(long, default_value_t = 4)]
    folds: usize,
    /// What settings are sorted by.
    #[arg(long, value_enum, default_value = "sharpe")]
    score: ScoreName,
    /// Also trade markets in the test that the training has seen. The result says so.
    #[arg(long)]
    no_purge: bool,
    /// Threads; all cores when left out. The result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
    /// Rows of the table; the one that looked best in sample is always among them.
    #[arg(long, default_value_t = 20)]
    top: usize,
    #[command(flatten)]
    period: PeriodArgs,
    /// Write the whole result, every row, to this JSON file.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON, every row, instead of a table.
    #[arg(long)]
    json: bool,
}

/// What settings are sorted by.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScoreName {
    /// Annualised Sharpe ratio.
    Sharpe,
    /// Total return.
    Return,
}

const KEYS: &str = "Keys have the names of config.yaml, which comes with a comment for each.";

/// Runs the settings and prints the table.
pub async fn sweep(common: &Common, args: SweepArgs) -> Result<(), Failure> {
    let config = common.load()?;
    start_logging(&config, "warn")?;
    let request = args.period.request(args.data_dir.clone())?;
    let (stop, bar) = (interruption(), bar("runs"));
    let shown = bar.clone();
    let work = move || {
        let done = carry_out(&config, &request, &args, &shown, &stop);
        done.map(|done| (done, args))
    };
    let done = tokio::task::spawn_blocking(work).await;
    bar.finish_and_clear();
    let ((result, json), args) =
        done.map_err(|error| Failure::new(error.to_string(), "This is a bug."))??;
    if let Some(path) = &args.output {
        let text = serde_json::to_string_pretty(&json)
            .map_err(|error| Failure::new(error.to_string(), ""))?;
        std::fs::write(path, text)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display()), ""))?;
        output::error(&format!("written to {}", path.display()));
    }
    if args.json {
        output::json(&json)
    } else {
        output::line(&text_of(&result, args.top))
    }
}

/// Keys that change what is read of the recording, which is read once.
const READING: [&str; 3] = [
    "backtest.default_spread",
    "backtest.default_depth",
    "backtest.volume_kind",
];
/// Keys that are the same for all settings of a sweep.
const COMMON: [&str; 5] = [
    "backtest.start",
    "backtest.end",
    "backtest.fee_model",
    "backtest.tick_seconds",
    "backtest.seed",
];

fn carry_out(
    config: &Config,
    request: &BacktestRequest,
    args: &SweepArgs,
    bar: &ProgressBar,
    stop: &AtomicBool,
) -> Result<(SweepResult, Value), Failure> {
    let cancelled = || stop.load(Ordering::Acquire);
    let axes = args.param.iter().chain(&args.range).cloned().collect();
    let space = Space::new(axes).map_err(|error| {
        Failure::new(
            error,
            "Name one with --param KEY=VALUE,VALUE or --range KEY=LOW:HIGH:STEP.",
        )
    })?;
    let bad = |error: String| Failure::new(error, KEYS);
    let base = config.with_settings(&request.settings).map_err(bad)?;
    let settings = match args.random {
        Some(count) => space.random(count, base.backtest.seed),
        None => space.grid(),
    };
    let trials: Vec<Trial> = settings
        .map_err(bad)?
        .into_iter()
        .map(|parameters| trial(&base, parameters))
        .collect::<Result<_, _>>()?;
    // Everything that can be wrong with the settings is known before the recording is read.
    let prepared = Prepared::load(config, request, &cancelled)?;
    let progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let options = SweepOptions {
        start: prepared.start,
        end: prepared.end,
        rules: rules_of(&base),
        folds: args.folds,
        purge: !args.no_purge,
        score: match args.score {
            ScoreName::Sharpe => Score::Sharpe,
            ScoreName::Return => Score::Return,
        },
        progress: &progress,
        cancelled: &cancelled,
    };
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(threads) = args.threads {
        pool = pool.num_threads(threads);
    }
    let pool = pool
        .build()
        .map_err(|error| Failure::new(format!("no threads: {error}"), "Ask for fewer."))?;
    let result = pool.install(|| search(&prepared.data, &trials, &options));
    let result = result.map_err(|error| match error {
        SweepError::Run(error) => failed(error).into(),
        SweepError::Bad(message) => Failure::new(
            message,
            "Use fewer folds, a longer period (--start, --end) or a longer recording.",
        ),
        SweepError::Strategy(error) => Failure::new(error.to_string(), KEYS),
        SweepError::Cancelled => Failure::new(
            error.to_string(),
            "Nothing was through every window yet, so there is nothing to show. Sweep again, over fewer \
             settings or a shorter period.",
        ),
    })?;
    let mut json = json!({
        "version": VERSION,
        "data_hash": prepared.data_hash,
    });
    let told = serde_json::to_value(&result)
        .map_err(|error| Failure::new(error.to_string(), "This is a bug."))?;
    if let (Some(json), Value::Object(told)) = (json.as_object_mut(), told) {
        json.extend(told);
    }
    Ok((result, json))
}

fn trial(base: &Config, parameters: Map<String, Value>) -> Result<Trial, Failure> {
    for key in parameters.keys() {
        if READING.contains(&key.as_str()) || COMMON.contains(&key.as_str()) {
            return Err(Failure::new(
                format!("{key} is the same for all settings of a sweep"),
                "Set it with --set, and sweep once for each value.",
            ));
        }
    }
    let config = base
        .with_settings(&parameters)
        .map_err(|error| Failure::new(error, KEYS))?;
    Ok(Trial {
        parameters,
        trading: config.backtest_trading(),
        balance: config.starting_balance,
        strategies: config.strategies,
    })
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

fn cells(sample: &Sample) -> [String; 3] {
    [
        number(sample.score),
        format!("{:.2} %", sample.total_return * 100.0),
        sample.trades.to_string(),
    ]
}

fn settings(parameters: &Map<String, Value>) -> String {
    let one = |(key, value): (&String, &Value)| {
        let name = shortest(key, parameters.keys());
        format!("{name}={}", value.to_string().trim_matches('"'))
    };
    parameters.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The end of a key by which it is told from the others.
fn shortest<'k>(key: &'k str, all: impl Iterator<Item = &'k String> + Clone) -> &'k str {
    let dots = key.rmatch_indices('.');
    let mut ends = dots.filter_map(|(dot, _)| key.get(dot + 1..));
    let is_end_of = |end: &str, other: &str| {
        let before = other.strip_suffix(end);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let alone = |end: &&str| all.clone().filter(|other| is_end_of(end, other)).count() == 1;
    ends.find(alone).unwrap_or(key)
}

/// The table: every row with both of its results.
fn text_of(result: &SweepResult, top: usize) -> String {
    let mut table: Vec<Vec<String>> = vec![
        [
            "#",
            "out: score",
            "return",
            "trades",
            "in: score",
            "return",
            "trades",
            "deflated",
            "settings",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let shown = |row: &&Row| row.rank <= top || row.best_in_sample;
    for row in result.rows.iter().filter(shown) {
        let mark = if row.best_in_sample {
            "  ← best in sample"
        } else {
            ""
        };
        let mut line = vec![row.rank.to_string()];
        line.extend(cells(&row.out_of_sample));
        line.extend(cells(&row.in_sample));
        line.push(number(row.deflated_sharpe));
        line.push(format!("{}{mark}", settings(&row.parameters)));
        table.push(line);
    }
    let mut lines = vec![format!(
        "{} settings, {} runs, by {} out of sample; deflated: probability that the Sharpe ratio is no luck \
         of so many trials",
        result.trials,
        result.runs,
        match result.score {
            Score::Sharpe => "Sharpe ratio",
            Score::Return => "return",
        }
    )];
    lines.extend(aligned(&table));
    lines.push("Walk-forward, the best of each training and its test:".to_owned());
    for (number, choice) in result.walk_forward.iter().enumerate() {
        let found = choice.parameters.as_ref().zip(choice.in_sample.as_ref());
        let words = match found.zip(choice.out_of_sample.as_ref()) {
            Some(((parameters, inside), out)) => format!(
                "{}: in {} ({} trades), out {} ({} trades)",
                settings(parameters),
                self::number(inside.score),
                inside.trades,
                self::number(out.score),
                out.trades
            ),
            None => "no setting has a score in training".to_owned(),
        };
        lines.push(format!(
            "  {}. test {} to {}, {} markets ({} left out): {words}",
            number + 1,
            choice.fold.test.from,
            choice.fold.test.to,
            choice.fold.tested,
            choice.fold.left_out
        ));
    }
    lines.push(format!(
        "  all tests: score {}, return {:.2} %, {} trades",
        number(result.chosen.score),
        result.chosen.total_return * 100.0,
        result.chosen.trades
    ));
    lines.extend(result.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// Columns side by side, numbers to the right, the last as it is.
fn aligned(table: &[Vec<String>]) -> Vec<String> {
    let columns = table.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = table.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column + 1 == columns {
            true => cell.clone(),
            false => format!("{cell:>width$}", width = *width),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    table.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_short_as_can_be_told_apart() {
        let shown = |keys: &[&str]| {
            let parameters = keys.iter().map(|key| ((*key).to_owned(), Value::from(1)));
            settings(&parameters.collect())
        };
        assert_eq!(shown(&["strategies.signal_trader.min_edge"]), "min_edge=1");
        assert_eq!(
            shown(&[
                "risk.max_spread",
                "strategies.ai_analyst.min_edge",
                "strategies.signal_trader.min_edge",
            ]),
            "max_spread=1 ai_analyst.min_edge=1 signal_trader.min_edge=1"
        );
        // `order_size` is not the end of `max_order_size`, only of words after a dot.
        assert_eq!(
            shown(&["a.max_order_size", "b.order_size"]),
            "max_order_size=1 order_size=1"
        );
        assert_eq!(shown(&["starting_balance"]), "starting_balance=1");
    }
}

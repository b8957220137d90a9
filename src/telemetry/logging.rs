//! Log lines on stderr and, if wanted, the same lines in a file.
//!
//! Two forms: for people `time LEVEL logger: message key=value`, for machines one JSON object per
//! line {timestamp, level, logger, message, exception, data}. Market questions and error bodies
//! reach the log, so control characters are never written as they are.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

mod layer;
mod line;

use layer::LineLayer;

/// Crates whose debug output can hold whole URLs and headers, and with them secrets.
const TALKATIVE: [&str; 6] = [
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "tungstenite",
];

/// Crates that say at info what only they need: rmcp what clients call themselves, text of any
/// length from anyone who connects; the scheduler each job it looks at.
const QUIET: [&str; 2] = ["rmcp", "tokio_cron_scheduler"];

/// The most that a crate may say, whatever level is asked for.
fn ceiling(target: &str) -> tracing::Level {
    let root = target.split("::").next().unwrap_or_default();
    if QUIET.contains(&root) {
        tracing::Level::WARN
    } else if TALKATIVE.contains(&root) {
        tracing::Level::INFO
    } else {
        tracing::Level::TRACE
    }
}

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingConfig {
    /// True for one JSON object per line, false for lines that people read.
    pub structured_logging: bool,
    /// Also append the lines to this file; missing directories are made.
    pub log_file: Option<PathBuf>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or filter directives such as
    /// `info,polymarket_agent::store=debug`.
    pub level: String,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        LoggingConfig {
            structured_logging: false,
            log_file: None,
            level: "info".to_owned(),
        }
    }
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is no level and no list of directives.
    #[error("`{level}` is not a log level: {detail}")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The file cannot be appended to.
    #[error("the log file {path} cannot be written: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Set up before, in this process.
    #[error("logging is already set up")]
    AlreadySet,
}

impl LoggingError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            LoggingError::Level { .. } => "Use error, warn, info, debug or trace.",
            LoggingError::File { .. } => {
                "Check `monitoring.log_file` in config.yaml, and that this user may write there."
            }
            LoggingError::AlreadySet => "Set logging up once, at the start of the program.",
        }
    }
}

/// Sets logging up for the whole process. Errors: [`LoggingError`]; then nothing is logged.
pub fn init(config: &LoggingConfig) -> Result<(), LoggingError> {
    let stderr = std::io::stderr();
    let mut sinks = vec![Sink::new(stderr.is_terminal(), Box::new(stderr))];
    if let Some(path) = &config.log_file {
        let file = open_log(path).map_err(|source| LoggingError::File {
            path: path.clone(),
            source,
        })?;
        sinks.push(Sink::new(false, Box::new(file)));
    }
    subscriber(config, sinks)?
        .try_init()
        .map_err(|_| LoggingError::AlreadySet)
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if let Some(parent) = path.parent()
        && !parent.as_os_str().is_empty()
    {
        std::fs::create_dir_all(parent)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Where lines go.
struct Sink {
    /// Whether people look at it in colour.
    ansi: bool,
    writer: Mutex<Box<dyn Write + Send>>,
}

impl Sink {
    fn new(ansi: bool, writer: Box<dyn Write + Send>) -> Self {
        Sink {
            ansi,
            writer: Mutex::new(writer),
        }
    }

    /// Writes a whole line at once, so that lines of several threads or processes do not mix.
    /// A line that cannot be written is lost: there is nowhere left to say so.
    fn write(&self, line: &str) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        drop(writer.write_all(line.as_bytes()));
    }
}

fn subscriber(
    config: &LoggingConfig,
    sinks: Vec<Sink>,
) -> Result<impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync + use<>, LoggingError> {
    let level = EnvFilter::try_new(&config.level).map_err(|error| LoggingError::Level {
        level: config.level.clone(),
        detail: error.to_string(),
    })?;
    let discreet = filter_fn(|metadata| *metadata.level() <= ceiling(metadata.target()));
    Ok(tracing_subscriber::registry()
        .with(level)
        .with(discreet)
        .with(LineLayer::new(config.structured_logging, sinks)))
}

#[cfg(test)]
mod tests;

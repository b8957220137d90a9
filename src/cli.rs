//! The command line: one file per subcommand. Data goes to stdout, everything else to stderr.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::app::config::Config;
use crate::app::{self, AppError};
use crate::domain::SourceKind;
use crate::telemetry::logging::{self, LoggingConfig};

mod account;
mod backtest;
mod backup;
mod call;
mod command;
mod control;
mod dashboard;
mod demo;
mod download;
#[cfg(test)]
mod martingale;
mod output;
mod record;
mod run;
mod sandbox;
mod serve;
mod source;
mod status;
mod sweep;
mod tick;
mod tools;
mod verify;

/// Trades Polymarket for an LLM agent over MCP, on paper by default.
#[derive(Debug, Parser)]
#[command(name = "polymarket-agent", version, about, long_about = None, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every subcommand.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Configuration file; without one the defaults hold.
    #[arg(
        long,
        short,
        global = true,
        env = "POLYMARKET_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// Database of the account; by default polymarket_agent.db, for other sources
    /// polymarket_agent_sandbox.db and polymarket_agent_recorded.db.
    #[arg(long, global = true, env = "POLYMARKET_DB", value_name = "FILE")]
    db: Option<PathBuf>,
    /// Named paper account instead of --db: its database is polymarket_agent.NAME.db, for other sources
    /// polymarket_agent_sandbox.NAME.db and polymarket_agent_recorded.NAME.db.
    #[arg(long, global = true, value_name = "NAME", value_parser = account_name)]
    account: Option<String>,
}

/// A name that `--account` takes.
fn account_name(name: &str) -> Result<String, String> {
    if app::is_account_name(name) {
        Ok(name.to_owned())
    } else {
        Err("1 to 32 of a-z, 0-9, _ and - name an account".to_owned())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// MCP server on stdio, or on HTTP with --http.
    Serve(serve::ServeArgs),
    /// Ticks by the clock until stopped.
    Run(run::RunArgs),
    /// One tick.
    Tick(tick::TickArgs),
    /// The account as it stands.
    Status(status::StatusArgs),
    /// Replays a recording through the strategies.
    Backtest(backtest::BacktestArgs),
    /// Many settings on one recording, judged out of sample.
    Sweep(sweep::SweepArgs),
    /// The account as a page in the browser.
    Dashboard(dashboard::DashboardArgs),
    /// The whole thing in a minute: a simulated exchange, ticks, a summary.
    Demo(demo::DemoArgs),
    /// Books and trades of markets from the WebSocket into compressed files.
    Record(record::RecordArgs),
    /// Price histories and resolutions of markets into files that `backtest` reads.
    Download(download::DownloadArgs),
    /// A simulated exchange on this machine.
    Sandbox(sandbox::SandboxArgs),
    /// Calls one tool and prints its JSON.
    Call(call::CallArgs),
    /// Halts trading: no new orders, resting ones are withdrawn, until `resume`.
    Halt(command::HaltArgs),
    /// Lifts a halt.
    Resume(command::HaltArgs),
    /// Withdraws resting orders.
    Cancel(command::CancelArgs),
    /// Writes the contract of each tool, as clients see it.
    Tools(tools::ToolsArgs),
    /// Replays the ledger and checks everything that follows from it.
    Verify(verify::VerifyArgs),
    /// A consistent, checked copy of the ledger, beside whoever writes to it.
    Backup(backup::BackupArgs),
    /// Named paper accounts: list them, start one over.
    Account(account::AccountArgs),
}

/// Why a command failed, with the exit status.
#[derive(Debug)]
struct Failure {
    message: String,
    hint: Option<String>,
    /// Whoever read our output has gone away (`… | head`): the end, not an error.
    reader_gone: bool,
}

impl Failure {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            hint: Some(hint.into()),
            reader_gone: false,
        }
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        Failure {
            message: error.to_string(),
            hint: Some(error.hint()),
            reader_gone: false,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure {
            reader_gone: error.kind() == std::io::ErrorKind::BrokenPipe,
            message: error.to_string(),
            hint: None,
        }
    }
}

/// Runs the program; the exit status is 0 on success, 1 on failure, 2 on wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // --help and --version are "errors" too, printed to stdout.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    // Not by clap: it does not see both where one stands before and one after the subcommand.
    if let (Some(db), Some(account)) = (&cli.common.db, &cli.common.account) {
        let error = Cli::command().error(
            ErrorKind::ArgumentConflict,
            format!(
                "--account {account} and --db {} (or POLYMARKET_DB) name two databases; use one",
                db.display()
            ),
        );
        let _ = error.print();
        return ExitCode::from(2);
    }
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.reader_gone => ExitCode::SUCCESS,
        Err(failure) => {
            output::error(&format!("error: {}", failure.message));
            if let Some(hint) = failure.hint.filter(|hint| !hint.is_empty()) {
                output::error(&format!("hint: {hint}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no runtime: {error}"), ""))?;
    let common = cli.common;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::serve(&common, args).await,
            Command::Run(args) => run::run(&common, args).await,
            Command::Tick(args) => tick::tick(&common, args).await,
            Command::Status(args) => status::status(&common, &args),
            Command::Backtest(args) => backtest::backtest(&common, args).await,
            Command::Sweep(args) => sweep::sweep(&common, args).await,
            Command::Dashboard(args) => dashboard::dashboard(&common, args).await,
            Command::Demo(args) => demo::demo(&common, args).await,
            Command::Record(args) => record::record(&common, args).await,
            Command::Download(args) => download::download(&common, args).await,
            Command::Sandbox(args) => sandbox::sandbox(args).await,
            Command::Call(args) => call::call(&common, args).await,
            Command::Halt(args) => command::halt(&common, args).await,
            Command::Resume(args) => command::resume(&common, args).await,
            Command::Cancel(args) => command::cancel(&common, args).await,
            Command::Tools(args) => tools::tools(&args),
            Command::Verify(args) => verify::verify(&common, &args),
            Command::Backup(args) => backup::backup(&common, &args),
            Command::Account(args) => account::account(&common, &args),
        }
    });
    // Blocking work of a cancelled call must not hold the exit up.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    done
}

/// File that is read when `--config` names none and it exists.
const DEFAULT_CONFIG: &str = "config.yaml";

impl Common {
    /// The configuration; a file that was named must exist.
    fn load(&self) -> Result<Config, Failure> {
        match &self.config {
            Some(path) => Ok(Config::load(path)?),
            None => {
                let path = PathBuf::from(DEFAULT_CONFIG);
                if path.is_file() {
                    Ok(Config::load(&path)?)
                } else {
                    Ok(Config::default())
                }
            }
        }
    }

    /// The database of an account on this kind of source.
    fn db_for(&self, source: SourceKind) -> PathBuf {
        self.db.clone().unwrap_or_else(|| {
            let name = self.account.as_deref().unwrap_or(app::DEFAULT_ACCOUNT);
            app::account_file(source, name)
        })
    }
}

/// Starts logging on stderr (and to `monitoring.log_file`); `RUST_LOG` sets the level.
fn start_logging(config: &Config, default_level: &str) -> Result<(), Failure> {
    let level = std::env::var("RUST_LOG")
        .ok()
        .filter(|level| !level.is_empty());
    logging::init(&LoggingConfig {
        structured_logging: config.monitoring.structured_logging,
        log_file: config.monitoring.log_file.clone(),
        level: level.unwrap_or_else(|| default_level.to_owned()),
    })
    .map_err(|error| Failure::new(error.to_string(), "Check `monitoring` in config.yaml."))
}

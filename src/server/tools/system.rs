//! health_check, and `tick`, which only jobs and the shell may call.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::domain::{Clock, SourceKind, SystemClock};
use crate::server::tool::NoArguments;
use crate::server::{Caller, ToolAnnotations, ToolError, ToolSpec};
use crate::trading::ledger::Halt;
use crate::trading::report::TickReport;
use crate::trading::risk::halts;

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    vec![
        ToolSpec::new(
            "health_check",
            "Health",
            "State of the server: mode, halts, source and whether it answers, strategies, ledger, \
             skipped rows, scheduled jobs.",
            ToolAnnotations::READ_LOCAL,
            health_check,
        ),
        ToolSpec::new(
            "tick",
            "Tick",
            "One tick: gather, settle, exits, strategies, orders.",
            ToolAnnotations::DESTRUCTIVE,
            tick,
        )
        .unlisted()
        .time_limit(std::time::Duration::from_secs(300)),
    ]
}

/// The state of a source.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SourceHealth {
    /// polymarket, sandbox or recorded.
    pub kind: String,
    /// True when its last request went through; null before the first.
    pub reachable: Option<bool>,
    /// Requests so far.
    pub requests: u64,
    /// Of those, failed in the end.
    pub failures: u64,
    /// What went wrong last; null when the last request went through.
    pub last_error: Option<String>,
    /// When a request last went through, RFC 3339 UTC.
    pub last_success: Option<String>,
    /// Rows skipped because they made no sense, by cause.
    pub skipped_rows: BTreeMap<String, u64>,
    /// Remarks that hold for all its answers.
    pub notes: Vec<String>,
}

/// A halt that is in force: only cancels and sales that reduce a position pass.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HaltHealth {
    /// kill_switch, daily_loss or drawdown.
    pub cause: String,
    /// Since when, RFC 3339 UTC.
    pub since: String,
    /// Who halted: shell, agent, or desk for the program itself.
    pub by: String,
    /// Why, with the numbers.
    pub reason: String,
    /// What lifts it.
    pub lift: String,
}

impl From<&Halt> for HaltHealth {
    fn from(halt: &Halt) -> Self {
        HaltHealth {
            cause: halt.cause.as_str().to_owned(),
            since: halt.at.to_rfc3339(),
            by: halt.by.clone(),
            reason: halt.reason.clone(),
            lift: halts::how_to_lift(halt.cause).to_owned(),
        }
    }
}

/// The state of the server.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HealthOut {
    /// ok, or degraded with `problems` saying why.
    pub status: String,
    /// Version of the program.
    pub version: String,
    /// monitor or paper.
    pub mode: String,
    /// The halt in force; null while trading goes on.
    pub halt: Option<HaltHealth>,
    /// Enabled strategies.
    pub strategy_count: usize,
    /// Their names.
    pub strategies: Vec<String>,
    /// Where prices come from.
    pub source: SourceHealth,
    /// True when this process writes the ledger; false when another does, to which it hands on
    /// what changes the account.
    pub owns_ledger: bool,
    /// Name of the paper account, or its file's name where that was chosen.
    pub account: String,
    /// Database file.
    pub database: String,
    /// Events in the ledger.
    pub ledger_events: u64,
    /// Ticks completed.
    pub ticks: u64,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// Jobs of config.yaml (they run inside `serve` and `run`): `name: cron → tool`.
    pub jobs: Vec<String>,
    /// What is wrong, each with a hint.
    pub problems: Vec<String>,
}

/// How long a health_check right after the start waits for the source's first answer.
const FIRST_ANSWER: std::time::Duration = std::time::Duration::from_secs(5);

/// How long a process that does not own the ledger waits for the word of the one that does.
pub const OWNERS_ANSWER: std::time::Duration = std::time::Duration::from_millis(500);

async fn health_check(app: Arc<App>, _: NoArguments, _: Caller) -> Result<HealthOut, ToolError> {
    // What was asked at the start is waited for; nothing more is asked of the source.
    app.probed(FIRST_ANSWER).await;
    app.look_at_owner(OWNERS_ANSWER).await;
    let mut out = health(&app)?;
    if out.source.reachable.is_none() {
        out.status = "degraded".to_owned();
        out.problems
            .push("the source has not answered yet; call again in a few seconds".to_owned());
    }
    Ok(out)
}

/// The state of the server as the tool and the HTTP API show it.
pub fn health(app: &App) -> Result<HealthOut, crate::app::AppError> {
    let ledger = app.ledger()?;
    let mut data = app.source().health();
    let background = app.feed_report(SystemClock.now());
    data.notes.extend(background.notes);
    let reachable = match (&data.last_error, data.last_success) {
        (Some(_), _) => Some(false),
        (None, Some(_)) => Some(true),
        (None, None) => None,
    };
    let mut problems = Vec::new();
    if let Some(reason) = app.desk().halted() {
        problems.push(format!("trading is halted: {reason}; restart the server"));
    }
    if let Some(halt) = ledger.halt() {
        let refusal = halts::refusal(halt);
        problems.push(format!("{}; {}", refusal.message, refusal.hint));
    }
    if let Some(error) = &data.last_error {
        let hint = if app.source_kind() == SourceKind::Polymarket {
            "check the network, or start with --source sandbox or --source recorded --data DIR"
        } else {
            "check that the source still runs"
        };
        problems.push(format!(
            "the last request to the source failed: {error}; {hint}"
        ));
    }
    problems.extend(app.clock_problems()?);
    problems.extend(background.problems);
    let (remarks, trouble) = app.owner_remarks();
    data.notes.extend(remarks);
    problems.extend(trouble);
    Ok(HealthOut {
        status: if problems.is_empty() {
            "ok"
        } else {
            "degraded"
        }
        .to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: app.config().mode.as_str().to_owned(),
        halt: ledger.halt().map(HaltHealth::from),
        strategy_count: app.strategies().len(),
        strategies: app
            .strategies()
            .names()
            .iter()
            .map(|name| (*name).to_owned())
            .collect(),
        source: SourceHealth {
            kind: app.source_kind().as_str().to_owned(),
            reachable,
            requests: data.requests,
            failures: data.failures,
            last_error: data.last_error,
            last_success: data.last_success.map(|moment| moment.to_rfc3339()),
            skipped_rows: data.skipped_rows,
            notes: data.notes,
        },
        owns_ledger: app.desk().is_owner(),
        account: crate::app::account_label(app.db()),
        database: app.db().display().to_string(),
        ledger_events: ledger.seq(),
        ticks: ledger.ticks(),
        uptime_seconds: app.uptime().as_secs(),
        jobs: app
            .config()
            .scheduler
            .jobs
            .iter()
            .map(|job| {
                let off = if job.enabled { "" } else { " (off)" };
                format!("{}: {} → {}{off}", job.name, job.cron, job.tool)
            })
            .collect(),
        problems,
    })
}

async fn tick(app: Arc<App>, _: NoArguments, _: Caller) -> Result<TickReport, ToolError> {
    Ok(app.tick().await?)
}

//! `verify`: replays the whole ledger and compares everything that was derived from it.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use crate::app;
use crate::store::{Audit, Finding};

use super::{Common, Failure, output};

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Account on this kind of source (chooses the default database).
    #[arg(long, value_enum, default_value = "polymarket")]
    source: super::source::Kind,
}

#[derive(Debug, Serialize)]
struct Verdict {
    ok: bool,
    database: String,
    account: String,
    /// Events that fit, from the first on.
    events: u64,
    last_event_at: Option<String>,
    checkpoints: u64,
    rows: BTreeMap<&'static str, u64>,
    findings: Vec<Finding>,
}

/// Prints what was found; fails when something does not fit.
pub fn verify(common: &Common, args: &VerifyArgs) -> Result<(), Failure> {
    let db = common.db_for(args.source.domain());
    let audit = app::verify(&db)?;
    let Audit {
        events,
        last_at,
        checkpoints,
        rows,
        findings,
    } = audit;
    let verdict = Verdict {
        ok: findings.is_empty(),
        database: db.display().to_string(),
        account: app::account_label(&db),
        events,
        last_event_at: last_at.map(|at| at.to_rfc3339()),
        checkpoints,
        rows,
        findings,
    };
    if args.json {
        output::json(&verdict)?;
    } else {
        output::line(&text_of(&verdict))?;
    }
    match verdict.findings.first() {
        None => Ok(()),
        Some(first) => Err(Failure::new(
            format!(
                "{} does not fit: {}: {}",
                verdict.database, first.place, first.detail
            ),
            "Do not trade on this file. Restore a backup, or keep it for a look: nothing was changed.",
        )),
    }
}

fn text_of(verdict: &Verdict) -> String {
    let rows: u64 = verdict.rows.values().sum();
    let mut lines = vec![
        format!("Account: {} ({})", verdict.account, verdict.database),
        format!(
            "Events: {} fit{}",
            verdict.events,
            verdict
                .last_event_at
                .as_ref()
                .map(|at| format!(", the last of {at}"))
                .unwrap_or_default()
        ),
        format!(
            "Derived: {rows} rows in {} tables and {} checkpoints fit",
            verdict.rows.len(),
            verdict.checkpoints
        ),
    ];
    if verdict.ok {
        lines.push(
            "OK: every event balances, every row and checkpoint follows from them".to_owned(),
        );
    }
    for finding in &verdict.findings {
        lines.push(format!("MISFIT: {}: {}", finding.place, finding.detail));
    }
    lines.join("\n")
}

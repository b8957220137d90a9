//! `verify`: replays the whole ledger and compares everything that was derived from it; with a journal
//! carries its inputs out again and compares what came of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::app::journal::{JournalError, ReplayError, Replayed, replay};
use crate::app::{self, AppError, Verified};
use crate::store::{Audit, Finding, Store};

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
    /// Also carry out the journal in this folder again: every event must come of its inputs.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
}

/// What carrying a journal out again came to.
#[derive(Debug, Serialize)]
struct JournalVerdict {
    ok: bool,
    journal: String,
    /// What agrees; null when something does not.
    #[serde(flatten)]
    counts: Option<Counts>,
    /// The first event that does not agree, where one can be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<u64>,
    /// What does not agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Counts {
    /// Inputs carried out.
    inputs: u64,
    /// Events equal to the recorded ones.
    events: u64,
    /// Inputs that failed then and now.
    failed: u64,
    /// Inputs whose events were never stored.
    dropped: u64,
    /// First and last event of each stretch without a journal.
    unexplained: Vec<(u64, u64)>,
    /// Ends of files that a kill tore.
    torn: Vec<TornEnd>,
}

#[derive(Debug, Serialize)]
struct TornEnd {
    file: String,
    after_byte: u64,
    detail: String,
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
    /// Fees whose orders name no terms to recompute them by.
    unchecked_fees: u64,
    /// Halts for losses before which no limits were recorded.
    unchecked_halts: u64,
    /// Sales of conditional orders whose orders do not name them.
    unchecked_sales: u64,
    findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<JournalVerdict>,
}

/// Prints what was found; fails when something does not fit.
pub fn verify(common: &Common, args: &VerifyArgs) -> Result<(), Failure> {
    let db = common.db_for(args.source.domain());
    let Verified {
        audit,
        unchecked_fees,
        unchecked_halts,
        unchecked_sales,
    } = app::verify(&db)?;
    let Audit {
        events,
        last_at,
        checkpoints,
        rows,
        findings,
    } = audit;
    let journal = match &args.journal {
        Some(dir) => Some(explained(dir, &db)?),
        None => None,
    };
    let verdict = Verdict {
        ok: findings.is_empty() && journal.as_ref().is_none_or(|journal| journal.ok),
        database: db.display().to_string(),
        account: app::account_label(&db),
        events,
        last_event_at: last_at.map(|at| at.to_rfc3339()),
        checkpoints,
        rows,
        unchecked_fees,
        unchecked_halts,
        unchecked_sales,
        findings,
        journal,
    };
    if args.json {
        output::json(&verdict)?;
    } else {
        output::line(&text_of(&verdict))?;
    }
    if let Some(first) = verdict.findings.first() {
        return Err(Failure::new(
            format!(
                "{} does not fit: {}: {}",
                verdict.database, first.place, first.detail
            ),
            "Do not trade on this file. Restore a backup, or keep it for a look: nothing was changed.",
        ));
    }
    match verdict.journal {
        Some(JournalVerdict {
            error: Some(error),
            journal,
            ..
        }) => Err(Failure::new(
            format!(
                "journal {journal} does not agree with {}: {error}",
                verdict.database
            ),
            "Was this journal kept for this account, and by this version? If so, keep both for a \
             look: nothing was changed.",
        )),
        _ => Ok(()),
    }
}

/// Carries the journal out beside the database. Errors: one of them cannot be read.
fn explained(dir: &Path, db: &Path) -> Result<JournalVerdict, Failure> {
    let store = Store::open_read_only(db).map_err(AppError::from)?;
    let (counts, event, error) = match replay(dir, &store) {
        Ok(found) => (Some(Counts::from(found)), None, None),
        Err(ReplayError::Journal(error)) => {
            let hint = match &error {
                JournalError::OtherAccount { .. } | JournalError::Damaged { .. } => error.hint(),
                _ => "--journal takes the folder that `run` or `serve` was given with --journal.",
            };
            return Err(Failure::new(error.to_string(), hint));
        }
        Err(ReplayError::Store(error)) => return Err(AppError::from(error).into()),
        Err(error) => {
            let event = match &error {
                ReplayError::Misfit { seq, .. }
                | ReplayError::Differs { seq, .. }
                | ReplayError::Lost { first: seq, .. } => Some(*seq),
                _ => None,
            };
            (None, event, Some(error.to_string()))
        }
    };
    Ok(JournalVerdict {
        ok: error.is_none(),
        journal: dir.display().to_string(),
        counts,
        event,
        error,
    })
}

impl From<Replayed> for Counts {
    fn from(found: Replayed) -> Self {
        let torn = found.torn.into_iter().map(|torn| TornEnd {
            file: torn.file,
            after_byte: torn.after_byte,
            detail: torn.detail,
        });
        Counts {
            inputs: found.inputs,
            events: found.events,
            failed: found.failed,
            dropped: found.dropped,
            unexplained: found.unexplained,
            torn: torn.collect(),
        }
    }
}

/// Lines on a journal.
fn journal_lines(verdict: &JournalVerdict) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(counts) = &verdict.counts {
        lines.push(format!(
            "Journal: {} inputs lead to {} events, equal to the last byte; {} failed as then, {} \
             never stored ({})",
            counts.inputs, counts.events, counts.failed, counts.dropped, verdict.journal
        ));
        for (first, last) in &counts.unexplained {
            lines.push(format!(
                "Unexplained: events {first} to {last}: no journal was kept then"
            ));
        }
        for torn in &counts.torn {
            lines.push(format!(
                "Torn: {} after byte {}: {}",
                torn.file, torn.after_byte, torn.detail
            ));
        }
    }
    if let Some(error) = &verdict.error {
        lines.push(format!("MISFIT: journal {}: {error}", verdict.journal));
    }
    lines
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
    for (count, what) in [
        (
            verdict.unchecked_fees,
            "fees: their orders name no fee terms",
        ),
        (
            verdict.unchecked_halts,
            "halts: no limits were recorded then",
        ),
        (
            verdict.unchecked_sales,
            "sales of conditional orders: their orders do not name them",
        ),
    ] {
        if count > 0 {
            lines.push(format!("Not checked: {count} {what}"));
        }
    }
    lines.extend(verdict.journal.iter().flat_map(journal_lines));
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

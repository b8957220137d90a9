//! `account`: the named paper accounts in this folder, and starting one over.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::app::{self, account_label, account_of, read_ledger};
use crate::domain::{Clock, SystemClock, Usdc};
use crate::store::OwnerLock;

use super::{Common, Failure, output};

/// Options of `account`.
#[derive(Debug, Args)]
pub struct AccountArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The accounts in this folder.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Moves the account of --account (or --db) aside and starts a fresh one. Nothing is deleted.
    Reset {
        /// What the new account starts with, pUSD; by default `starting_balance`.
        #[arg(long, value_name = "PUSD")]
        balance: Option<String>,
        /// Account on this kind of source (chooses the default database).
        #[arg(long, value_enum, default_value = "polymarket")]
        source: super::source::Kind,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Serialize)]
struct Listed {
    account: String,
    source: &'static str,
    database: String,
    balance: Option<f64>,
    total_value: Option<f64>,
    positions: Option<usize>,
    events: Option<u64>,
    last_event_at: Option<String>,
    /// Whether a process owns it right now.
    in_use: bool,
    /// Why it could not be read.
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Fresh {
    account: String,
    database: String,
    balance: f64,
    archived: String,
    archived_events: Option<u64>,
}

/// Runs the subcommand.
pub fn account(common: &Common, args: &AccountArgs) -> Result<(), Failure> {
    match &args.action {
        Action::List { json } => list(*json),
        Action::Reset {
            balance,
            source,
            json,
        } => reset(common, balance.as_deref(), *source, *json),
    }
}

fn list(json: bool) -> Result<(), Failure> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(".")?
        .map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())))
        .collect::<Result<_, _>>()?;
    files.retain(|file| account_of(file).is_some());
    files.sort();
    let accounts: Vec<Listed> = files.iter().filter_map(|file| listed(file)).collect();
    if json {
        return output::json(&accounts);
    }
    if accounts.is_empty() {
        return output::line("There is no account in this folder yet.");
    }
    let mut lines = vec![format!(
        "{:<16} {:<10} {:>12} {:>12} {:>5} {:>9}  {:<21} DATABASE",
        "ACCOUNT", "SOURCE", "BALANCE", "VALUE", "POS", "EVENTS", "LAST EVENT"
    )];
    for account in &accounts {
        let money = |amount: Option<f64>| amount.map_or_else(|| "–".to_owned(), output::money);
        let number = |number: Option<u64>| {
            number.map_or_else(|| "–".to_owned(), |number| number.to_string())
        };
        lines.push(format!(
            "{:<16} {:<10} {:>12} {:>12} {:>5} {:>9}  {:<21} {}{}{}",
            account.account,
            account.source,
            money(account.balance),
            money(account.total_value),
            number(
                account
                    .positions
                    .and_then(|count| u64::try_from(count).ok())
            ),
            number(account.events),
            account.last_event_at.as_deref().unwrap_or("–"),
            account.database,
            if account.in_use { " (in use)" } else { "" },
            account
                .problem
                .as_ref()
                .map(|problem| format!(" ({problem})"))
                .unwrap_or_default(),
        ));
    }
    output::line(&lines.join("\n"))
}

fn listed(file: &Path) -> Option<Listed> {
    let (source, account) = account_of(file)?;
    let mut listed = Listed {
        account,
        source: source.as_str(),
        database: file.display().to_string(),
        balance: None,
        total_value: None,
        positions: None,
        events: None,
        last_event_at: None,
        in_use: OwnerLock::is_held(file),
        problem: None,
    };
    match read_ledger(file) {
        Ok(ledger) => {
            listed.balance = Some(ledger.cash().to_f64());
            listed.total_value = Some(ledger.equity().total.to_f64());
            listed.positions = Some(ledger.positions().len());
            listed.events = Some(ledger.seq());
            listed.last_event_at = Some(ledger.last_at().to_rfc3339());
        }
        Err(error) => listed.problem = Some(error.to_string()),
    }
    Some(listed)
}

fn reset(
    common: &Common,
    balance: Option<&str>,
    source: super::source::Kind,
    json: bool,
) -> Result<(), Failure> {
    let config = common.load()?;
    let balance = match balance {
        None => config.starting_balance,
        Some(text) => Usdc::parse(text)
            .ok()
            .filter(|balance| *balance > Usdc::ZERO)
            .ok_or_else(|| {
                Failure::new(
                    format!("--balance {text} is not an amount above 0"),
                    "Name pUSD with at most six decimals: --balance 1000",
                )
            })?,
    };
    let db = common.db_for(source.domain());
    let done = app::reset_account(&db, source.domain(), balance, SystemClock.now())?;
    let fresh = Fresh {
        account: account_label(&done.db),
        database: done.db.display().to_string(),
        balance: done.balance.to_f64(),
        archived: done.archived.display().to_string(),
        archived_events: done.archived_events,
    };
    if json {
        return output::json(&fresh);
    }
    output::line(&format!(
        "Account {} starts over with {} in {}.\nThe old one{} is kept in {}.",
        fresh.account,
        output::money(fresh.balance),
        fresh.database,
        fresh
            .archived_events
            .map(|events| format!(" ({events} events)"))
            .unwrap_or_default(),
        fresh.archived,
    ))
}

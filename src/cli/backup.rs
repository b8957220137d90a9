//! `backup`: a consistent, checked copy of the ledger, beside whoever is writing to it.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::store::Store;

use super::{Common, Failure, output};

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The copy; a file that exists is never overwritten.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Account on this kind of source (chooses the default database).
    #[arg(long, value_enum, default_value = "polymarket")]
    source: super::source::Kind,
}

#[derive(Debug, Serialize)]
struct Copied {
    database: String,
    backup: String,
    events: u64,
    bytes: u64,
}

/// Makes the copy and says what is in it.
pub fn backup(common: &Common, args: &BackupArgs) -> Result<(), Failure> {
    let db = common.db_for(args.source.domain());
    let made = Store::open_read_only(&db)?.back_up(&args.out)?;
    let copied = Copied {
        database: db.display().to_string(),
        backup: made.path.display().to_string(),
        events: made.last_seq,
        bytes: made.bytes,
    };
    if args.json {
        return output::json(&copied);
    }
    output::line(&format!(
        "{}: {} events of {}, {} bytes, checked",
        copied.backup, copied.events, copied.database, copied.bytes
    ))
}

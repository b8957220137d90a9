//! `backtest --journal`: a recorded session carried out again by the backtester, event by event beside the
//! account that it was kept for.

use std::path::Path;

use serde_json::{Map, json};

use crate::app::AppError;
use crate::app::backtest::VERSION;
use crate::app::journal::{ReplayError, measured};
use crate::store::Store;

use super::{BacktestArgs, Told, tell};
use crate::cli::{Common, Failure};

/// Replays, compares, and prints the measures. Fails at the first event that is another one.
pub(super) fn parity(common: &Common, journal: &Path, args: &BacktestArgs) -> Result<(), Failure> {
    let db = common.db_for(args.source.domain());
    let store = Store::open_read_only(&db).map_err(AppError::from)?;
    let title = format!("Session of {}", crate::app::account_label(&db));
    let (found, mut result) = measured(journal, &store, &title).map_err(|error| match error {
        ReplayError::Journal(error) => Failure::new(
            error.to_string(),
            "--journal takes the folder that `run` or `serve` was given with --journal.",
        ),
        ReplayError::Store(error) => AppError::from(error).into(),
        error => Failure::new(
            format!("the replay is not the session in {}: {error}", db.display()),
            "Was this journal kept for this account (--db), and by this version? If so, one of the two \
             has a bug: keep both for a look.",
        ),
    })?;
    let words = format!(
        "Parity: {} inputs lead to {} events, each equal to the session's own to the last byte.",
        found.inputs, found.events
    );
    let gaps = found.unexplained.iter().map(|(first, last)| {
        format!("Events {first} to {last} are taken over: no journal was kept then.")
    });
    let notes = std::iter::once(words).chain(gaps);
    result.report.notes.splice(0..0, notes);
    let session = json!({
        "equal": true,
        "inputs": found.inputs,
        "events": found.events,
        "failed": found.failed,
        "dropped": found.dropped,
        "unexplained": found.unexplained,
    });
    let mut more = Map::new();
    more.insert("version".to_owned(), VERSION.into());
    more.insert("parity".to_owned(), session);
    tell(args, &Told { result, more })
}

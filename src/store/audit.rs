//! Whether a database says one thing only: its log has no gap, and its tables and checkpoints are
//! what the events make them.
//!
//! The tables are made again from the log in a temporary database and compared row by row. All of it
//! is read in one transaction, so that an owner may go on writing beside it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use schemars::JsonSchema;
use serde::Serialize;

use super::checkpoints::{self, StoredCheckpoint};
use super::error::{Fault, StoreError};
use super::{Store, events, projection, schema};
use crate::domain::{StampedEvent, Timestamp};

/// The read models, each with the column that names its rows.
const TABLES: [(&str, &str); 8] = [
    ("trades", "id"),
    ("signal_log", "id"),
    ("portfolio_snapshots", "id"),
    ("conditional_orders", "id"),
    ("positions", "token_id"),
    ("orders", "id"),
    ("estimates", "id"),
    ("refusals", "id"),
];
/// Damages of the file that are named; more say nothing new.
const DAMAGES: u32 = 10;

/// One thing that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Where: `event 17`, `checkpoint 5000`, `trades row 3`, `file`.
    pub place: String,
    /// What does not fit.
    pub detail: String,
}

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Events that fit, from the first on.
    pub events: u64,
    /// When the last of them happened.
    pub last_at: Option<Timestamp>,
    /// Checkpoints that fit.
    pub checkpoints: u64,
    /// Rows that fit, by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// What does not fit, in the order in which it was met; an event that does not fit is the last.
    pub findings: Vec<Finding>,
}

/// Who knows what events and states mean.
pub trait Judge {
    /// The next event of the log. Errors: why it does not fit.
    fn event(&mut self, event: &StampedEvent) -> Result<(), String>;
    /// A stored state that stands at the event judged last. Errors: why it is not the state that the
    /// events lead to.
    fn checkpoint(&mut self, format: u32, state: &[u8]) -> Result<(), String>;
}

impl Store {
    /// Goes through the whole database. Errors: it cannot be read at all; everything else is in
    /// [`Audit::findings`].
    pub fn audit(&self, judge: &mut dyn Judge) -> Result<Audit, StoreError> {
        self.read(|tx| {
            let mut audit = Audit::default();
            check_file(tx, &mut audit)?;
            if !audit.findings.is_empty() {
                return Ok(audit);
            }
            let again = scratch()?;
            let whole = self.check_log(tx, &again, judge, &mut audit)?;
            if whole {
                check_kinds(tx, &mut audit)?;
                for (table, key) in TABLES {
                    compare(tx, &again, table, key, &mut audit)?;
                }
            }
            Ok(audit)
        })
    }

    /// The log, event by event, with the checkpoints where they stand. False when it ended early.
    fn check_log(
        &self,
        tx: &Connection,
        again: &Connection,
        judge: &mut dyn Judge,
        audit: &mut Audit,
    ) -> Result<bool, Fault> {
        let mut stored: BTreeMap<u64, StoredCheckpoint> = checkpoints::all(tx)?
            .into_iter()
            .map(|checkpoint| (checkpoint.seq, checkpoint))
            .collect();
        let mut misfit = None;
        let walked = events::walk(&self.path, tx, 0, u64::MAX, |event| {
            let judged = judge.event(&event).and_then(|()| {
                projection::apply(again, &event).map_err(|fault| fault.at(&self.path).to_string())
            });
            if let Err(why) = judged {
                misfit = Some((event.seq, why));
                return false;
            }
            audit.events = event.seq;
            audit.last_at = Some(event.at);
            if let Some(checkpoint) = stored.remove(&event.seq) {
                let fits = checkpoint
                    .state
                    .and_then(|state| judge.checkpoint(checkpoint.format, &state));
                match fits {
                    Ok(()) => audit.checkpoints += 1,
                    Err(detail) => audit.findings.push(Finding {
                        place: format!("checkpoint {}", event.seq),
                        detail,
                    }),
                }
            }
            true
        });
        let next = audit.events.saturating_add(1);
        match walked {
            Ok(()) => {}
            Err(Fault::Store(StoreError::Gap { expected, found })) => {
                misfit = Some((
                    expected,
                    format!("it is not in the log; the next one is event {found}"),
                ));
            }
            Err(Fault::Store(StoreError::Corrupt { detail, .. })) => misfit = Some((next, detail)),
            Err(Fault::Sql(error @ rusqlite::Error::InvalidColumnType(..))) => {
                misfit = Some((next, error.to_string()));
            }
            Err(fault) => return Err(fault),
        }
        let whole = misfit.is_none();
        if whole {
            for seq in stored.into_keys() {
                audit.findings.push(Finding {
                    place: format!("checkpoint {seq}"),
                    detail: "it stands at an event that is not in the log".to_owned(),
                });
            }
        }
        if let Some((seq, detail)) = misfit {
            audit.findings.push(Finding {
                place: format!("event {seq}"),
                detail,
            });
        }
        Ok(whole)
    }
}

/// The pages of the file, and whether rows refer to events that exist.
fn check_file(tx: &Connection, audit: &mut Audit) -> Result<(), Fault> {
    let mut check = tx.prepare(&format!("PRAGMA quick_check({DAMAGES})"))?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let verdict: String = row.get(0)?;
        if verdict != "ok" {
            audit.findings.push(Finding {
                place: "file".to_owned(),
                detail: verdict,
            });
        }
    }
    Ok(())
}

/// The tag beside each event must be the one inside it.
fn check_kinds(tx: &Connection, audit: &mut Audit) -> Result<(), Fault> {
    let mut other = tx.prepare(
        "SELECT seq, kind, json_extract(payload, '$.kind') AS told FROM events \
         WHERE kind IS NOT told ORDER BY seq LIMIT 1",
    )?;
    let mut rows = other.query([])?;
    if let Some(row) = rows.next()? {
        let (seq, kind): (i64, String) = (row.get(0)?, row.get(1)?);
        let told: Option<String> = row.get(2)?;
        audit.findings.push(Finding {
            place: format!("event {seq}"),
            detail: format!(
                "it is filed under {kind}, but is {}",
                told.unwrap_or_default()
            ),
        });
    }
    Ok(())
}

/// An empty ledger in a temporary file that SQLite removes by itself.
fn scratch() -> Result<Connection, Fault> {
    let conn = Connection::open("")?;
    conn.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;",
    )?;
    schema::create(&conn)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch("BEGIN")?;
    Ok(conn)
}

/// Compares one table, both sides in the order of their key; tells of the first row that differs.
fn compare(
    tx: &Connection,
    again: &Connection,
    table: &'static str,
    key: &str,
    audit: &mut Audit,
) -> Result<(), Fault> {
    let sql = format!("SELECT {key} AS row_key, * FROM {table} ORDER BY {key}");
    let (mut stored, mut expected) = (tx.prepare(&sql)?, again.prepare(&sql)?);
    let names: Vec<String> = stored
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let (mut stored, mut expected) = (stored.query([])?, expected.query([])?);
    let mut count = 0;
    let mut misfit = |key: &Value, detail: String| {
        audit.findings.push(Finding {
            place: format!("{table} row {}", shown(key)),
            detail,
        });
    };
    loop {
        let (left, right) = (values(stored.next()?)?, values(expected.next()?)?);
        match (left.as_slice(), right.as_slice()) {
            ([], []) => break,
            ([key, ..], []) => {
                misfit(key, "no event made it".to_owned());
                break;
            }
            ([], [key, ..]) => {
                misfit(key, "it is missing".to_owned());
                break;
            }
            ([one, rest @ ..], [other, wanted @ ..]) => match order(one, other) {
                Ordering::Less => {
                    misfit(one, "no event made it".to_owned());
                    break;
                }
                Ordering::Greater => {
                    misfit(other, "it is missing".to_owned());
                    break;
                }
                Ordering::Equal => {
                    let differs = names
                        .iter()
                        .skip(1)
                        .zip(rest.iter().zip(wanted))
                        .find(|(_, (is, should))| is != should);
                    if let Some((name, (is, should))) = differs {
                        misfit(
                            one,
                            format!(
                                "{name} is {}, but the events say {}",
                                shown(is),
                                shown(should)
                            ),
                        );
                        break;
                    }
                }
            },
        }
        count += 1;
    }
    audit.rows.insert(table, count);
    Ok(())
}

/// A row's values; none for no row.
fn values(row: Option<&Row<'_>>) -> Result<Vec<Value>, rusqlite::Error> {
    let Some(row) = row else {
        return Ok(Vec::new());
    };
    (0..row.as_ref().column_count())
        .map(|index| row.get(index))
        .collect()
}

/// The order that SQLite sorts keys in.
fn order(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
        (Value::Text(one), Value::Text(other)) => one.as_bytes().cmp(other.as_bytes()),
        _ => Ordering::Equal,
    }
}

fn shown(value: &Value) -> String {
    /// Longest text that is shown.
    const LONGEST: usize = 80;
    match value {
        Value::Null => "empty".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) if text.chars().count() <= LONGEST => format!("{text:?}"),
        Value::Text(text) => {
            let start: String = text.chars().take(LONGEST).collect();
            format!("{start:?} …")
        }
        Value::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

#[cfg(test)]
mod tests;

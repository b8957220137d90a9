//! The database as plain SQL shows it.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// What an account left on disk, every row as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    pub events: Vec<String>,
    pub trades: Vec<String>,
    pub signals: Vec<String>,
    pub snapshots: Vec<String>,
    pub conditional_orders: Vec<String>,
}

impl Ledger {
    /// Reads a database beside whoever owns it.
    pub fn read(db: &Path) -> Self {
        let connection = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let rows = |table: &str| rows_of(&connection, &format!("SELECT * FROM {table} ORDER BY 1"));
        Ledger {
            events: rows("events"),
            trades: rows("trades"),
            signals: rows("signal_log"),
            snapshots: rows("portfolio_snapshots"),
            conditional_orders: rows("conditional_orders"),
        }
    }
}

fn rows_of(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement
        .query_map([], |row| {
            let cells: Vec<String> = (0..columns)
                .map(|index| match row.get_ref(index).unwrap() {
                    ValueRef::Null => "NULL".to_owned(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(number) => number.to_string(),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    ValueRef::Blob(_) => unreachable!("no column holds bytes"),
                })
                .collect();
            Ok(cells.join("|"))
        })
        .unwrap();
    rows.map(Result::unwrap).collect()
}

/// Equal to a micro-unit: sums of decimal numbers in binary are a little off.
#[track_caller]
pub fn close(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-6, "{left} is not {right}");
}

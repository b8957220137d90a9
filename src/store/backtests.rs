//! Results of backtests, kept so that they can be read again.

use rusqlite::{OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::Serialize;

use super::Store;
use super::error::{Fault, StoreError};
use super::projection::utc_text;
use super::rows::{moment, time};
use crate::domain::Timestamp;

/// A backtest to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBacktest<'a> {
    /// When it ran, by the wall clock.
    pub created_at: Timestamp,
    /// Directory of the data.
    pub data_dir: &'a str,
    /// One line to know it by.
    pub title: &'a str,
    /// The whole result: a JSON object.
    pub result_json: &'a str,
    /// Report in Markdown.
    pub report_md: &'a str,
    /// Report as a self-contained HTML page.
    pub report_html: &'a str,
    /// What it was made with: a JSON object.
    pub config_json: &'a str,
    /// Hash of the data's content.
    pub data_hash: &'a str,
    /// Version of the program.
    pub version: &'a str,
}

/// A backtest in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BacktestSummary {
    /// Number.
    pub id: i64,
    /// When it ran, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// Directory of the data.
    pub data_dir: String,
    /// One line to know it by.
    pub title: String,
}

/// A backtest with all that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BacktestRow {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: BacktestSummary,
    /// The whole result: a JSON object as text.
    pub result_json: String,
    /// Report in Markdown.
    pub report_md: String,
    /// Report as a self-contained HTML page.
    pub report_html: String,
    /// What it was made with: a JSON object as text; null when kept by an earlier version.
    pub config_json: Option<String>,
    /// Hash of the data's content; null when kept by an earlier version.
    pub data_hash: Option<String>,
    /// Version of the program; null when kept by an earlier one.
    pub version: Option<String>,
}

impl Store {
    /// Keeps a backtest and returns its number. Errors: [`StoreError::BadBacktest`] when the result or
    /// what it was made with is not JSON.
    pub fn insert_backtest(&self, backtest: &NewBacktest<'_>) -> Result<i64, StoreError> {
        for json in [backtest.result_json, backtest.config_json] {
            serde_json::from_str::<serde::de::IgnoredAny>(json).map_err(|error| {
                StoreError::BadBacktest {
                    detail: error.to_string(),
                }
            })?;
        }
        self.write(|tx| {
            tx.prepare_cached(
                "INSERT INTO backtests (created_at, data_dir, title, result_json, report_md, \
                 report_html, created_at_ms, config_json, data_hash, version) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                utc_text(backtest.created_at),
                backtest.data_dir,
                backtest.title,
                backtest.result_json,
                backtest.report_md,
                backtest.report_html,
                backtest.created_at.millis(),
                backtest.config_json,
                backtest.data_hash,
                backtest.version,
            ])?;
            Ok(tx.last_insert_rowid())
        })
    }

    /// The newest `limit` backtests.
    pub fn backtests(&self, limit: u32) -> Result<Vec<BacktestSummary>, StoreError> {
        self.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT id, created_at_ms, data_dir, title FROM backtests ORDER BY id DESC LIMIT ?1",
            )?;
            let rows = statement
                .query_map([limit], summary)?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(rows)
        })
    }

    /// One backtest; `None` when there is none with that number.
    pub fn backtest(&self, id: i64) -> Result<Option<BacktestRow>, StoreError> {
        self.read(|tx| {
            tx.prepare_cached("SELECT * FROM backtests WHERE id = ?1")?
                .query_row([id], |row| {
                    Ok(BacktestRow {
                        summary: summary(row)?,
                        result_json: row.get("result_json")?,
                        report_md: row.get("report_md")?,
                        report_html: row.get("report_html")?,
                        config_json: row.get("config_json")?,
                        data_hash: row.get("data_hash")?,
                        version: row.get("version")?,
                    })
                })
                .optional()
                .map_err(Fault::from)
        })
    }
}

fn summary(row: &Row<'_>) -> rusqlite::Result<BacktestSummary> {
    Ok(BacktestSummary {
        id: row.get("id")?,
        created_at: moment(row, "created_at_ms")?,
        data_dir: row.get("data_dir")?,
        title: row.get("title")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backtests_are_kept_whole_and_listed_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("ledger.db")).unwrap();
        let mut backtest = NewBacktest {
            created_at: Timestamp::from_secs(1_772_179_200),
            data_dir: "prices",
            title: "first",
            result_json: r#"{"total_trades":3}"#,
            report_md: "# report",
            report_html: "<h1>report</h1>",
            config_json: r#"{"starting_balance":1000}"#,
            data_hash: "00ff",
            version: "1.2.3",
        };
        assert_eq!(store.insert_backtest(&backtest).unwrap(), 1);
        backtest.title = "second";
        assert_eq!(store.insert_backtest(&backtest).unwrap(), 2);
        backtest.result_json = "{\"sharpe_ratio\": Infinity}";
        assert_eq!(
            store.insert_backtest(&backtest).unwrap_err().code(),
            "store_bad_backtest"
        );
        let titles: Vec<_> = store
            .backtests(10)
            .unwrap()
            .into_iter()
            .map(|row| (row.id, row.title))
            .collect();
        assert_eq!(titles, [(2, "second".to_owned()), (1, "first".to_owned())]);
        let kept = store.backtest(1).unwrap().unwrap();
        assert_eq!(kept.summary.title, "first");
        assert_eq!(kept.result_json, r#"{"total_trades":3}"#);
        assert_eq!(kept.report_md, "# report");
        assert_eq!(kept.report_html, "<h1>report</h1>");
        assert_eq!(
            kept.config_json.as_deref(),
            Some(r#"{"starting_balance":1000}"#)
        );
        assert_eq!(kept.data_hash.as_deref(), Some("00ff"));
        assert_eq!(kept.version.as_deref(), Some("1.2.3"));
        assert_eq!(
            serde_json::to_value(&kept).unwrap()["created_at"],
            "2026-02-27T08:00:00Z"
        );
        assert_eq!(store.backtest(3).unwrap(), None);
    }
}

//! Estimates as a table: who thought what when, and how it came out.

use rusqlite::{Row, params_from_iter};
use schemars::JsonSchema;
use serde::Serialize;

use super::Store;
use super::error::StoreError;
use super::filter::Filter;
use super::rows::{moment, opt_moment, opt_number, opt_price, opt_time, time};
use crate::domain::{Price, Timestamp};

/// One estimate, replaced ones included.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EstimateRow {
    /// Number, rising with time.
    pub id: i64,
    /// Who estimated.
    pub author: String,
    /// Market id.
    pub market_id: String,
    /// Token id of the outcome that was estimated.
    pub token_id: String,
    /// Name of that outcome (untrusted text).
    pub outcome: String,
    /// Estimated probability, 0-1.
    pub probability: f64,
    /// How sure the author was of the estimate itself, 0-1; null when not stated.
    pub confidence: Option<f64>,
    /// Why, in the author's words.
    pub rationale: String,
    /// Best ask when it was given, 0-1; null when there was none.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub ask_then: Option<Price>,
    /// Best bid then, 0-1; null when there was none.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub bid_then: Option<Price>,
    /// When it was given, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// From when on it is no longer acted on, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
    /// What a share paid in the end: 0, 0.5 or 1; null before, as the next four.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub payout: Option<Price>,
    /// (probability − payout)².
    pub brier: Option<f64>,
    /// −ln of the probability given to what happened.
    pub log_score: Option<f64>,
    /// How much it counts, 0-1.
    pub weight: Option<f64>,
    /// When it was scored, UTC.
    #[serde(serialize_with = "opt_time::serialize")]
    #[schemars(with = "Option<String>")]
    pub scored_at: Option<Timestamp>,
}

impl EstimateRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(EstimateRow {
            id: row.get("id")?,
            author: row.get("author")?,
            market_id: row.get("market_id")?,
            token_id: row.get("token_id")?,
            outcome: row.get("outcome")?,
            probability: row.get("probability")?,
            confidence: row.get("confidence")?,
            rationale: row.get("rationale")?,
            ask_then: opt_price(row, "ask_then_micros")?,
            bid_then: opt_price(row, "bid_then_micros")?,
            created_at: moment(row, "created_at_ms")?,
            expires_at: moment(row, "expires_at_ms")?,
            payout: opt_price(row, "payout_micros")?,
            brier: row.get("brier")?,
            log_score: row.get("log_score")?,
            weight: row.get("weight")?,
            scored_at: opt_moment(row, "scored_at_ms")?,
        })
    }
}

/// Which estimates to read, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EstimateQuery {
    /// At most so many.
    pub limit: u32,
    /// Only estimates older than this one: the last of the page before.
    pub before: Option<i64>,
    /// Only this author's.
    pub author: Option<String>,
    /// Only those on this market.
    pub market_id: Option<String>,
    /// Only those that have been scored, or only those that have not.
    pub scored: Option<bool>,
}

impl Store {
    /// Estimates, newest first.
    pub fn estimates(&self, query: &EstimateQuery) -> Result<Vec<EstimateRow>, StoreError> {
        let mut filter = Filter::newest(query.limit, query.before);
        filter.text("author =", query.author.as_deref());
        filter.text("market_id =", query.market_id.as_deref());
        if let Some(scored) = query.scored {
            filter.and("(scored_at_ms IS NOT NULL) =", i64::from(scored).into());
        }
        self.read(|tx| {
            let mut statement = tx.prepare_cached(&filter.sql("estimates"))?;
            let rows = statement
                .query_map(params_from_iter(filter.values()), EstimateRow::from_row)?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(rows)
        })
    }
}

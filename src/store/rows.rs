//! Lines of the read models, as tools and the dashboard show them.
//!
//! Money is exact in Rust and a decimal number in JSON; times are RFC 3339 in UTC.

use std::collections::BTreeMap;

use rusqlite::types::Type;
use rusqlite::{Row, RowIndex};
use schemars::JsonSchema;
use serde::Serialize;

use super::positions::SnapshotPosition;
use crate::domain::{Price, Shares, Timestamp, Usdc};

/// One fill, or one settlement of a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TradeRow {
    /// Number, rising with time.
    pub id: i64,
    /// When, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub timestamp: Timestamp,
    /// Who traded; for a settlement who had opened the position.
    pub strategy: String,
    /// Market id.
    pub market_id: String,
    /// Token id.
    pub token_id: String,
    /// `settle` is the payout at resolution.
    #[schemars(extend("enum" = ["buy", "sell", "settle"]))]
    pub side: String,
    /// Price per share, 0-1; for a settlement the payout.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub price: Price,
    /// Notional, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub size: Usdc,
    /// Why; for a settlement what told the outcome.
    pub reason: String,
    /// Shares.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub shares: Shares,
    /// Fee, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub fee: Usdc,
    /// Outcome name (untrusted text).
    pub outcome: String,
    /// Order; null for a settlement.
    pub order_id: Option<i64>,
    /// True when the order was resting.
    pub maker: bool,
    /// Who opened the position.
    pub entry_strategy: String,
    /// Profit taken, pUSD, fees not counted; null for a purchase.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub realised_pnl: Option<Usdc>,
}

impl TradeRow {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(TradeRow {
            id: row.get("id")?,
            timestamp: moment(row, "at_ms")?,
            strategy: row.get("strategy")?,
            market_id: row.get("market_id")?,
            token_id: row.get("token_id")?,
            side: row.get("side")?,
            price: price(row, "price_micros")?,
            size: usdc(row, "size_micros")?,
            reason: row.get("reason")?,
            shares: shares(row, "shares_micros")?,
            fee: usdc(row, "fee_micros")?,
            outcome: row.get("outcome")?,
            order_id: row.get("order_id")?,
            maker: row.get("maker")?,
            entry_strategy: row.get("entry_strategy")?,
            realised_pnl: opt_usdc(row, "realised_micros")?,
        })
    }
}

/// One signal, with what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SignalRow {
    /// Number, rising with time.
    pub id: i64,
    /// When it was generated, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub timestamp: Timestamp,
    /// Strategy.
    pub strategy: String,
    /// Market id.
    pub market_id: String,
    /// Token id.
    pub token_id: String,
    /// Direction.
    #[schemars(extend("enum" = ["buy", "sell"]))]
    pub side: String,
    /// How sure the strategy is of its fair price, 0-1; no probability of winning.
    pub confidence: f64,
    /// Notional wanted, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub size: Usdc,
    /// What became of it.
    #[schemars(extend("enum" = ["generated", "executed", "rejected"]))]
    pub status: String,
    /// Why it was wanted.
    pub reason: String,
    /// What the strategy thinks the token is worth, 0-1.
    pub fair_price: f64,
    /// Fair price - executable price - fee per share, pUSD.
    pub edge: f64,
    /// Limit price, 0-1.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub price: Price,
    /// Outcome name (untrusted text).
    pub outcome: String,
    /// Why it was rejected.
    pub rejection: Option<String>,
}

impl SignalRow {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(SignalRow {
            id: row.get("id")?,
            timestamp: moment(row, "at_ms")?,
            strategy: row.get("strategy")?,
            market_id: row.get("market_id")?,
            token_id: row.get("token_id")?,
            side: row.get("side")?,
            confidence: row.get("confidence")?,
            size: usdc(row, "size_micros")?,
            status: row.get("status")?,
            reason: row.get("reason")?,
            fair_price: row.get("fair_price")?,
            edge: row.get("edge")?,
            price: price(row, "price_micros")?,
            outcome: row.get("outcome")?,
            rejection: row.get("rejection")?,
        })
    }
}

/// The account at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SnapshotRow {
    /// Number, rising with time.
    pub id: i64,
    /// When, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub timestamp: Timestamp,
    /// Cash, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub balance: Usdc,
    /// Cash and positions at their marks, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub total_value: Usdc,
    /// JSON text: token id to position.
    pub positions_json: String,
}

impl SnapshotRow {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(SnapshotRow {
            id: row.get("id")?,
            timestamp: moment(row, "at_ms")?,
            balance: usdc(row, "balance_micros")?,
            total_value: usdc(row, "total_value_micros")?,
            positions_json: row.get("positions_json")?,
        })
    }

    /// The positions by token id. Errors: the text is not what this program writes.
    pub fn positions(&self) -> Result<BTreeMap<String, SnapshotPosition>, serde_json::Error> {
        serde_json::from_str(&self.positions_json)
    }
}

/// A stop-loss, take-profit or trailing stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConditionalRow {
    /// Number.
    pub id: i64,
    /// When it was created, UTC.
    #[serde(serialize_with = "time::serialize")]
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When it fired, UTC.
    #[serde(serialize_with = "opt_time::serialize")]
    #[schemars(with = "Option<String>")]
    pub triggered_at: Option<Timestamp>,
    /// Token id.
    pub token_id: String,
    /// Market id.
    pub market_id: String,
    /// Kind.
    #[schemars(extend("enum" = ["stop_loss", "take_profit", "trailing_stop"]))]
    pub order_type: String,
    /// Where it stands.
    #[schemars(extend("enum" = ["active", "triggered", "cancelled"]))]
    pub status: String,
    /// Bid that sets it off, 0-1; for a trailing stop where it started.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub trigger_price: Price,
    /// Shares to sell.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub size: Shares,
    /// Highest bid seen, 0-1 (trailing stop).
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub high_watermark: Option<Price>,
    /// Distance below the watermark, a fraction (trailing stop).
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub trail_percent: Option<Price>,
    /// Who created it.
    pub parent_strategy: String,
    /// Why.
    pub reason: String,
    /// Bid that set its last sale off, 0-1.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub triggered_bid: Option<Price>,
    /// The price that the bid had to reach for its last sale, 0-1; null in records of 1.0.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub fired_trigger: Option<Price>,
    /// Shares sold, all its sales together; null before the first.
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub sold: Option<Shares>,
    /// What all its sales brought before fees, pUSD; null when that of one is not recorded (1.0).
    #[serde(serialize_with = "opt_number::serialize")]
    #[schemars(with = "Option<f64>")]
    pub proceeds: Option<Usdc>,
    /// Orders of one group cancel each other: when one has sold, the others go.
    pub group: Option<i64>,
    /// When it was cancelled, UTC.
    #[serde(serialize_with = "opt_time::serialize")]
    #[schemars(with = "Option<String>")]
    pub cancelled_at: Option<Timestamp>,
    /// Why it was cancelled.
    pub cancel_reason: Option<String>,
}

impl ConditionalRow {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(ConditionalRow {
            id: row.get("id")?,
            created_at: moment(row, "created_at_ms")?,
            triggered_at: opt_moment(row, "triggered_at_ms")?,
            token_id: row.get("token_id")?,
            market_id: row.get("market_id")?,
            order_type: row.get("order_type")?,
            status: row.get("status")?,
            trigger_price: price(row, "trigger_price_micros")?,
            size: shares(row, "size_micros")?,
            high_watermark: opt_price(row, "high_watermark_micros")?,
            trail_percent: opt_price(row, "trail_percent_micros")?,
            parent_strategy: row.get("parent_strategy")?,
            reason: row.get("reason")?,
            triggered_bid: opt_price(row, "triggered_bid_micros")?,
            fired_trigger: opt_price(row, "fired_trigger_micros")?,
            sold: opt_shares(row, "sold_micros")?,
            proceeds: opt_usdc(row, "proceeds_micros")?,
            group: row.get("oco_group")?,
            cancelled_at: opt_moment(row, "cancelled_at_ms")?,
            cancel_reason: row.get("cancel_reason")?,
        })
    }
}

fn unreadable(
    row: &Row<'_>,
    column: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, Box::new(error))
}

fn read_price(row: &Row<'_>, column: &str, micros: u32) -> rusqlite::Result<Price> {
    Price::from_micros(micros).map_err(|error| unreadable(row, column, error))
}

fn read_shares(row: &Row<'_>, column: &str, micros: i64) -> rusqlite::Result<Shares> {
    Shares::from_micros(micros).map_err(|error| unreadable(row, column, error))
}

pub(super) fn price(row: &Row<'_>, column: &str) -> rusqlite::Result<Price> {
    read_price(row, column, row.get(column)?)
}

pub(super) fn opt_price(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Price>> {
    row.get::<_, Option<u32>>(column)?
        .map(|micros| read_price(row, column, micros))
        .transpose()
}

pub(super) fn shares(row: &Row<'_>, column: &str) -> rusqlite::Result<Shares> {
    read_shares(row, column, row.get(column)?)
}

pub(super) fn usdc(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Usdc> {
    row.get(column).map(Usdc::from_micros)
}

pub(super) fn opt_usdc(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Usdc>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Usdc::from_micros))
}

pub(super) fn opt_shares(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Shares>> {
    row.get::<_, Option<i64>>(column)?
        .map(|micros| read_shares(row, column, micros))
        .transpose()
}

pub(super) fn moment(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

pub(super) fn opt_moment(
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row
        .get::<_, Option<i64>>(column)?
        .map(Timestamp::from_millis))
}

/// An exact amount that JSON shows as a decimal number.
pub(super) trait Amount: Copy {
    fn shown(self) -> f64;
}

impl Amount for Price {
    fn shown(self) -> f64 {
        self.to_f64()
    }
}

impl Amount for Shares {
    fn shown(self) -> f64 {
        self.to_f64()
    }
}

impl Amount for Usdc {
    fn shown(self) -> f64 {
        self.to_f64()
    }
}

pub(super) mod number {
    use serde::Serializer;

    use super::Amount;

    pub(in crate::store) fn serialize<S: Serializer>(
        amount: &impl Amount,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(amount.shown())
    }
}

pub(super) mod opt_number {
    use serde::{Serialize, Serializer};

    use super::Amount;

    pub(in crate::store) fn serialize<S: Serializer>(
        amount: &Option<impl Amount>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        amount.map(Amount::shown).serialize(serializer)
    }
}

pub(super) mod time {
    use serde::Serializer;

    use crate::domain::Timestamp;

    pub(in crate::store) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&at.to_rfc3339())
    }
}

pub(super) mod opt_time {
    use serde::{Serialize, Serializer};

    use crate::domain::Timestamp;

    pub(in crate::store) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::to_rfc3339).serialize(serializer)
    }
}

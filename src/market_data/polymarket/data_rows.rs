//! The Data API's rows (v2; v1 was retired on 2026-10-24). Everything comes in `{data, pagination}`.

use serde_json::Value;

use super::row::{Oddities, Problem, Row, RowFault, required};
use crate::domain::text::{MAX_NAME, MAX_QUESTION, clean};
use crate::domain::{ConditionId, Price, Shares, Timestamp};
use crate::market_data::{Trader, WalletPosition};

/// Kind of row in the counters.
pub const RESOLUTION_ROW: &str = "data resolution";
/// Kind of row in the counters.
pub const POSITION_ROW: &str = "data position";
/// Kind of row in the counters.
pub const TRADER_ROW: &str = "data leaderboard";
/// Kind of row in the counters.
pub const VOLUME_ROW: &str = "data volume";

/// The rows of an envelope, each read by `parse`; odd ones are skipped and counted. `data: null`
/// has none. Errors: [`RowFault`] when `data` is no list.
pub fn rows<T>(
    answer: &Value,
    kind: &'static str,
    parse: impl Fn(&Value) -> Result<T, RowFault>,
    oddities: &mut Oddities,
) -> Result<Vec<T>, RowFault> {
    let envelope = Row::new("answer", answer)?;
    let list = match envelope.get("data") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(RowFault::new("data", Problem::WrongType)),
    };
    let mut out = Vec::with_capacity(list.len());
    for row in list {
        match parse(row) {
            Ok(row) => out.push(row),
            Err(fault) => oddities.skipped(kind, fault),
        }
    }
    Ok(out)
}

/// Where the next page begins; `None` on the last one.
#[must_use]
pub fn next_cursor(answer: &Value) -> Option<String> {
    let more = answer
        .pointer("/pagination/has_more")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let cursor = answer
        .pointer("/pagination/next_cursor")
        .and_then(Value::as_str)
        .filter(|cursor| !cursor.is_empty())?;
    more.then(|| cursor.to_owned())
}

/// How far the venue is with a market's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolutionRow {
    /// The condition, lower case.
    pub condition_id: ConditionId,
    /// `resolved`, `proposed`, `disputed`, …
    pub status: String,
    /// Payout per share by outcome index; present and summing to 1 when resolved.
    pub payouts: Option<Vec<Price>>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
}

/// One resolution row. Errors: [`RowFault`], also when payouts do not sum to 1.
pub fn resolution(value: &Value) -> Result<ResolutionRow, RowFault> {
    let row = Row::new("resolution", value)?;
    let status = required("status", row.text("status")?)?.to_ascii_lowercase();
    let payouts = match row.list("payouts")? {
        None => None,
        Some(items) if items.is_empty() => None,
        Some(items) => Some(
            items
                .iter()
                .map(micro_price)
                .collect::<Result<Vec<_>, _>>()?,
        ),
    };
    if let Some(payouts) = &payouts {
        let sum: u64 = payouts.iter().map(|p| u64::from(p.micros())).sum();
        if sum != u64::from(Price::ONE.micros()) {
            return Err(RowFault::new("payouts", Problem::Inconsistent));
        }
    }
    // `last_update_timestamp` is no substitute: it moves for other reasons too.
    let resolved_at = row.moment("resolved_at")?;
    Ok(ResolutionRow {
        condition_id: required("condition_id", row.condition_id("condition_id")?)?,
        status: clean(&status, 40),
        payouts,
        resolved_at,
    })
}

/// Payouts are whole millionths.
fn micro_price(value: &Value) -> Result<Price, RowFault> {
    let fault = |problem| RowFault::new("payouts", problem);
    let text = super::number::text(value)
        .map_err(fault)?
        .ok_or(fault(Problem::Missing))?;
    let micros: u32 = text.parse().map_err(|_| fault(Problem::NotANumber))?;
    Price::from_micros(micros).map_err(|_| fault(Problem::OutOfRange))
}

/// One holding. Errors: [`RowFault`] when size or price make no sense.
pub fn position(value: &Value) -> Result<WalletPosition, RowFault> {
    let row = Row::new("position", value)?;
    let share_price = |field| match row.float(field)? {
        Some(price) if !(0.0..=1.0).contains(&price) => {
            Err(RowFault::new(field, Problem::OutOfRange))
        }
        price => Ok(price),
    };
    let shares = required("current_size", row.float("current_size")?)?;
    if shares < 0.0 {
        return Err(RowFault::new("current_size", Problem::OutOfRange));
    }
    Ok(WalletPosition {
        market: clean(row.text("title")?.unwrap_or_default(), MAX_QUESTION),
        condition_id: row.condition_id("condition_id")?.map(|id| id.to_string()),
        token_id: Some(row.asset_id("token_id")?),
        outcome: clean(row.text("outcome")?.unwrap_or_default(), MAX_NAME),
        shares,
        avg_price: share_price("avg_price")?,
        current_price: share_price("current_price")?,
        pnl: row.float("unrealized_pnl")?,
        status: row.text("status")?.map(|status| clean(status, 40)),
    })
}

/// One line of the leaderboard. Errors: [`RowFault`] without a rank.
pub fn trader(value: &Value) -> Result<Trader, RowFault> {
    let row = Row::new("leaderboard", value)?;
    let rank = required("rank", row.float("rank")?)?;
    if !(1.0..=1e9).contains(&rank) || rank.fract() != 0.0 {
        return Err(RowFault::new("rank", Problem::OutOfRange));
    }
    let address = row.text("user_id")?.map(|address| clean(address, 66));
    let name = row.text("user_name")?.map(|name| clean(name, MAX_NAME));
    Ok(Trader {
        // In range by the test above.
        rank: rank as u32,
        name: name
            .filter(|name| !name.is_empty())
            .or_else(|| address.clone())
            .unwrap_or_default(),
        address,
        volume: row.float("volume")?,
        pnl: row.float("pnl")?,
        markets_traded: None,
    })
}

/// What takers traded in an event since it began. In **shares**, as all volumes of this API are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakerVolume {
    /// All markets together.
    pub total: Shares,
    /// By condition.
    pub by_condition: Vec<(ConditionId, Shares)>,
}

/// The one object of `/v2/live-volume`; odd conditions are skipped and counted. `None` when the
/// venue has none. Errors: [`RowFault`] when the total makes no sense.
pub fn taker_volume(
    answer: &Value,
    oddities: &mut Oddities,
) -> Result<Option<TakerVolume>, RowFault> {
    let envelope = Row::new("answer", answer)?;
    let Some(data) = envelope.get("data") else {
        return Ok(None);
    };
    let row = Row::new("data", data)?;
    let total = required(
        "taker_volume_total",
        row.shares_rounded("taker_volume_total")?,
    )?;
    let mut by_condition = Vec::new();
    for condition in row.list("conditions")?.unwrap_or_default().iter() {
        let parsed = Row::new("conditions", condition).and_then(|row| {
            Ok((
                required("condition_id", row.condition_id("condition_id")?)?,
                required("taker_volume", row.shares_rounded("taker_volume")?)?,
            ))
        });
        match parsed {
            Ok(pair) => by_condition.push(pair),
            Err(fault) => oddities.skipped(VOLUME_ROW, fault),
        }
    }
    Ok(Some(TakerVolume {
        total,
        by_condition,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(payouts: Value) -> Value {
        json!({"condition_id": format!("0x{}", "a".repeat(64)), "status": "resolved",
            "payouts": payouts, "resolved_at": "2026-09-09T21:19:19Z"})
    }

    #[test]
    fn payouts_are_millionths_that_sum_to_one() {
        let paid = |payouts| {
            resolution(&row(payouts)).map(|row| {
                row.payouts
                    .unwrap_or_default()
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(paid(json!([1_000_000, 0])).unwrap(), ["1", "0"]);
        assert_eq!(paid(json!([500_000, 500_000])).unwrap(), ["0.5", "0.5"]);
        assert!(paid(json!([1_000_000, 1_000_000])).is_err());
        assert!(paid(json!([2_000_000, 0])).is_err());
        assert!(paid(json!(["1.5", 0])).is_err());
        assert_eq!(paid(Value::Null).unwrap(), [] as [&str; 0]);
    }

    #[test]
    fn an_impossible_position_is_skipped() {
        let good = json!({"token_id": "1", "current_size": 28.09, "avg_price": 0.6699,
            "unrealized_pnl": 1.264, "status": "OPEN", "title": "T", "outcome": "No"});
        let mut bad = good.clone();
        bad["avg_price"] = json!(1.7);
        let answer = json!({"data": [good, bad, 7]});
        let mut oddities = Oddities::default();
        let positions = rows(&answer, POSITION_ROW, position, &mut oddities).unwrap();
        assert_eq!(positions.len(), 1);
        assert_eq!(positions[0].pnl, Some(1.264));
        assert_eq!(positions[0].current_price, None, "absent, not 0");
        assert_eq!(
            oddities.causes(),
            [
                "data position: avg_price is out of range",
                "data position: position is of the wrong type"
            ]
        );
    }
}

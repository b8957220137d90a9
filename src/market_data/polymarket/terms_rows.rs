//! The terms of trading: fee, price step, smallest order. From Gamma's row, and from the CLOB's
//! `/clob-markets/{condition}`, which is what an order is judged by.

use serde_json::Value;

use super::row::{Problem, Row, RowFault, required};
use crate::domain::{
    ConditionId, FeeSchedule, Market, MarketStatus, Price, ProtocolVersion, Shares, TokenId,
};

/// What the CLOB says of a market's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The condition.
    pub condition_id: ConditionId,
    /// Its tokens, in the venue's order.
    pub tokens: Vec<TokenId>,
    /// Smallest price step.
    pub tick: Price,
    /// Smallest order, shares.
    pub min_size: Shares,
    /// Taker fee.
    pub fee: FeeSchedule,
    /// Orders are taken now.
    pub accepting: bool,
    /// Contract generation.
    pub version: ProtocolVersion,
}

/// The compact form of a market. Errors: [`RowFault`] by the venue's short names (`mts` tick, `mos`
/// minimum, `fd` fee, `t` tokens, `v` version) when it cannot be relied on.
pub fn terms(value: &Value) -> Result<Terms, RowFault> {
    let row = Row::new("clob market", value)?;
    let tokens = required("t", row.list("t")?)?
        .iter()
        .map(|token| Ok(TokenId::new(Row::new("t", token)?.asset_id("t")?)))
        .collect::<Result<Vec<_>, RowFault>>()?;
    let tick = required("mts", row.price("mts")?)?;
    if !is_step(tick) {
        return Err(RowFault::new("mts", Problem::OutOfRange));
    }
    Ok(Terms {
        condition_id: required("c", row.condition_id("c")?)?,
        tokens,
        tick,
        min_size: required("mos", row.shares("mos")?)?,
        fee: match row.get("fd") {
            None => FeeSchedule::FREE,
            Some(terms) => fee_schedule(terms, ["fd.r", "fd.e", "fd.to"], ["r", "e", "to"])?,
        },
        accepting: row.flag("ao")?.unwrap_or(false),
        version: version(&row, "v")?,
    })
}

impl Terms {
    /// The market on these terms. Errors: [`RowFault`] when they are another market's.
    pub fn applied(&self, market: &Market) -> Result<Market, RowFault> {
        let theirs = market.outcomes.iter().map(|outcome| &outcome.token);
        if !theirs.eq(&self.tokens) {
            return Err(RowFault::new("t", Problem::Inconsistent));
        }
        if self.version != market.version {
            return Err(RowFault::new("v", Problem::Inconsistent));
        }
        let mut market = market.clone();
        market.tick = self.tick;
        market.min_size = self.min_size;
        market.fee = self.fee;
        if !self.accepting && market.status == MarketStatus::Open {
            market.status = MarketStatus::Paused;
        }
        Ok(market)
    }
}

/// The version decides which ids are the market's own; a row without one is of the first.
pub(super) fn version(row: &Row<'_>, field: &'static str) -> Result<ProtocolVersion, RowFault> {
    match row.text(field)? {
        None | Some("v1") => Ok(ProtocolVersion::V1),
        Some("v2") => Ok(ProtocolVersion::V2),
        Some(_) => Err(RowFault::new(field, Problem::Unknown)),
    }
}

/// 0.1, 0.01, 0.005, 0.0025, 0.001 and 0.0001 all divide 1; what does not is no price step.
pub(super) fn is_step(tick: Price) -> bool {
    tick != Price::ONE && Price::ONE.is_multiple_of(tick)
}

/// Rate, exponent and taker-only flag, under `fields` in the row and `names` in faults. Terms that
/// the fee formula does not know make the row unusable; nothing is guessed.
pub(super) fn fee_schedule(
    value: &Value,
    names: [&'static str; 3],
    fields: [&'static str; 3],
) -> Result<FeeSchedule, RowFault> {
    let [rate_name, exponent_name, taker_name] = names;
    let [rate_field, exponent_field, taker_field] = fields;
    let schedule = Row::new(rate_name, value)?;
    let rate = required(rate_name, schedule.price(rate_field)?)?;
    let exponent = required(exponent_name, schedule.float(exponent_field)?)?;
    if schedule.flag(taker_field)? == Some(false) {
        return Err(RowFault::new(taker_name, Problem::Unknown));
    }
    let whole = (0.0..=f64::from(crate::domain::fee::MAX_EXPONENT)).contains(&exponent)
        && exponent.fract() == 0.0;
    if !whole {
        return Err(RowFault::new(exponent_name, Problem::Unknown));
    }
    // In range by the test above.
    FeeSchedule::new(&rate.to_string(), exponent as u8)
        .map_err(|_| RowFault::new(rate_name, Problem::OutOfRange))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn served() -> Value {
        json!({"c": format!("0x{}", "a".repeat(64)), "t": [{"t": "11", "o": "Yes"},
            {"t": "12", "o": "No"}], "mos": 5, "mts": 0.0025, "ao": true, "mbf": 1000, "tbf": 1000,
            "fd": {"r": 0.07, "e": 1, "to": true}, "v": "v1"})
    }

    fn with(field: &str, value: Value) -> Result<Terms, String> {
        let mut row = served();
        row[field] = value;
        terms(&row).map_err(|fault| fault.to_string())
    }

    #[test]
    fn short_names_are_read_and_legacy_fees_are_not() {
        let read = terms(&served()).unwrap();
        assert_eq!(read.tick.to_string(), "0.0025");
        assert_eq!(read.min_size, Shares::whole(5));
        assert_eq!(read.fee, FeeSchedule::new("0.07", 1).unwrap());
        assert_eq!(read.tokens, [TokenId::new("11"), TokenId::new("12")]);
        assert!(read.accepting);
        assert_eq!(with("fd", Value::Null).unwrap().fee, FeeSchedule::FREE);
    }

    #[test]
    fn what_is_unknown_or_impossible_is_refused_by_name() {
        let unknown = "is unknown to this version, so the row is not tradable";
        assert_eq!(with("v", json!("v3")).unwrap_err(), format!("v {unknown}"));
        assert_eq!(
            with("fd", json!({"r": 0.07, "e": 1.5})).unwrap_err(),
            format!("fd.e {unknown}")
        );
        assert_eq!(
            with("fd", json!({"r": 0.07, "e": 1, "to": false})).unwrap_err(),
            format!("fd.to {unknown}")
        );
        assert_eq!(with("mts", json!(0.03)).unwrap_err(), "mts is out of range");
        assert_eq!(with("mos", Value::Null).unwrap_err(), "mos is missing");
        assert_eq!(
            with("t", json!([{"t": 11}])).unwrap_err(),
            "t is of the wrong type"
        );
    }
}

//! Reading one served row field by field, so that an odd row is skipped and named, not a page lost.
//!
//! The venue serves the same field as `1` in one row and `1.0` or `"1"` in the next, lists as JSON
//! inside a string, and absent values as `null`, `""` or not at all.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::number;
use crate::domain::{ConditionId, Price, Shares, Timestamp, Usdc};

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not there, and nothing works without it.
    #[error("missing")]
    Missing,
    /// Text where a list should be, and the like.
    #[error("of the wrong type")]
    WrongType,
    /// Not a decimal number (NaN included).
    #[error("not a number")]
    NotANumber,
    /// Outside what such a number can be: a price above 1, a negative size.
    #[error("out of range")]
    OutOfRange,
    /// Lists that belong together differ in length, or repeat what must be unique.
    #[error("at odds with the other fields")]
    Inconsistent,
    /// A value that this program does not know, so it cannot tell what the row means.
    #[error("unknown to this version, so the row is not tradable")]
    Unknown,
}

/// Why a row was skipped. Few distinct texts, so that they can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {problem}")]
pub struct RowFault {
    /// The field, by the venue's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

impl RowFault {
    /// A fault of `field`.
    #[must_use]
    pub fn new(field: &'static str, problem: Problem) -> Self {
        RowFault { field, problem }
    }
}

/// Rows skipped and values dropped while reading an answer, to be counted in the health report.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Oddities(Vec<String>);

impl Oddities {
    /// A whole row of this kind was skipped.
    pub fn skipped(&mut self, kind: &str, fault: RowFault) {
        self.0.push(format!("{kind}: {fault}"));
    }

    /// The row was kept without this value.
    pub fn dropped(&mut self, kind: &str, fault: RowFault) {
        self.0.push(format!("{kind} (value left out): {fault}"));
    }

    /// The causes, one per oddity.
    #[must_use]
    pub fn causes(&self) -> &[String] {
        &self.0
    }
}

/// A JSON object that is read field by field; `null` counts as absent.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a>(&'a Map<String, Value>);

impl<'a> Row<'a> {
    /// The object in `value`; `what` names it in the fault.
    pub fn new(what: &'static str, value: &'a Value) -> Result<Self, RowFault> {
        match value {
            Value::Object(map) => Ok(Row(map)),
            _ => Err(RowFault::new(what, Problem::WrongType)),
        }
    }

    /// The field, unless absent or `null`.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// Text, trimmed; empty counts as absent.
    pub fn text(&self, field: &'static str) -> Result<Option<&'a str>, RowFault> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Some(_) => Err(RowFault::new(field, Problem::WrongType)),
        }
    }

    /// A short id: text, or a whole number.
    pub fn id(&self, field: &'static str) -> Result<Option<String>, RowFault> {
        match self.get(field) {
            Some(Value::Number(number)) if number.is_u64() => Ok(Some(number.to_string())),
            _ => match self.text(field)? {
                Some(text) if text.len() > 200 => Err(RowFault::new(field, Problem::OutOfRange)),
                text => Ok(text.map(str::to_owned)),
            },
        }
    }

    /// True or false, also as text.
    pub fn flag(&self, field: &'static str) -> Result<Option<bool>, RowFault> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) => match text.trim() {
                "" => Ok(None),
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(RowFault::new(field, Problem::WrongType)),
            },
            Some(_) => Err(RowFault::new(field, Problem::WrongType)),
        }
    }

    /// A list, also as JSON inside a string.
    pub fn list(&self, field: &'static str) -> Result<Option<Cow<'a, [Value]>>, RowFault> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(Cow::Borrowed(items))),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str::<Vec<Value>>(text)
                .map(|items| Some(Cow::Owned(items)))
                .map_err(|_| RowFault::new(field, Problem::WrongType)),
            Some(_) => Err(RowFault::new(field, Problem::WrongType)),
        }
    }

    /// A list of asset ids: decimal digits in text, never JSON numbers, which lose digits.
    pub fn asset_ids(&self, field: &'static str) -> Result<Option<Vec<String>>, RowFault> {
        let Some(items) = self.list(field)? else {
            return Ok(None);
        };
        items
            .iter()
            .map(|item| asset_id(field, item))
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    }

    /// One asset id, which must be there.
    pub fn asset_id(&self, field: &'static str) -> Result<String, RowFault> {
        let value = self
            .get(field)
            .ok_or(RowFault::new(field, Problem::Missing))?;
        asset_id(field, value)
    }

    /// A condition id, lower case, `0x` and 62 or 64 hex digits.
    pub fn condition_id(&self, field: &'static str) -> Result<Option<ConditionId>, RowFault> {
        let Some(text) = self.text(field)? else {
            return Ok(None);
        };
        condition_id(text)
            .map(Some)
            .ok_or(RowFault::new(field, Problem::OutOfRange))
    }

    /// A price, 0 to 1, exact.
    pub fn price(&self, field: &'static str) -> Result<Option<Price>, RowFault> {
        self.number(field, Price::parse)
    }

    /// A number of shares, exact.
    pub fn shares(&self, field: &'static str) -> Result<Option<Shares>, RowFault> {
        self.number(field, Shares::parse)
    }

    /// A number of shares to the nearest micro-unit: for volumes, which carry float noise.
    pub fn shares_rounded(&self, field: &'static str) -> Result<Option<Shares>, RowFault> {
        self.number(field, |text| {
            Shares::from_micros(Usdc::parse_rounded(text)?.micros())
        })
    }

    /// An amount of pUSD, not negative, to the nearest micro-unit: for volumes.
    pub fn usdc_rounded(&self, field: &'static str) -> Result<Option<Usdc>, RowFault> {
        match self.number(field, Usdc::parse_rounded)? {
            Some(amount) if amount < Usdc::ZERO => Err(RowFault::new(field, Problem::OutOfRange)),
            amount => Ok(amount),
        }
    }

    /// A finite number for statistics.
    pub fn float(&self, field: &'static str) -> Result<Option<f64>, RowFault> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => number::float(value).map_err(|problem| RowFault::new(field, problem)),
        }
    }

    /// A moment in any form that the venue uses.
    pub fn moment(&self, field: &'static str) -> Result<Option<Timestamp>, RowFault> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let text = number::text(value).map_err(|problem| RowFault::new(field, problem))?;
        match text {
            None => Ok(None),
            Some(text) => Timestamp::parse(&text)
                .map(Some)
                .ok_or(RowFault::new(field, Problem::OutOfRange)),
        }
    }

    fn number<T>(
        &self,
        field: &'static str,
        parse: impl Fn(&str) -> Result<T, crate::domain::MoneyError>,
    ) -> Result<Option<T>, RowFault> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => {
                number::parse(value, parse).map_err(|problem| RowFault::new(field, problem))
            }
        }
    }
}

/// `value`, which must be there.
pub fn required<T>(field: &'static str, value: Option<T>) -> Result<T, RowFault> {
    value.ok_or(RowFault::new(field, Problem::Missing))
}

fn asset_id(field: &'static str, value: &Value) -> Result<String, RowFault> {
    let Value::String(text) = value else {
        return Err(RowFault::new(field, Problem::WrongType));
    };
    let text = text.trim();
    if is_asset_id(text) {
        Ok(text.to_owned())
    } else {
        Err(RowFault::new(field, Problem::OutOfRange))
    }
}

/// True for 1 to 78 decimal digits: a uint256 in text.
#[must_use]
pub fn is_asset_id(text: &str) -> bool {
    (1..=78).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A condition id in lower case, or `None` when the text is none.
#[must_use]
pub fn condition_id(text: &str) -> Option<ConditionId> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    let fits = matches!(digits.len(), 62 | 64) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| ConditionId::new(format!("0x{}", digits.to_ascii_lowercase())))
}

/// The 66-character form: Protocol V2 ids have 31 significant bytes and are asked for padded.
#[must_use]
pub fn padded(condition: &ConditionId) -> String {
    format!("{:0<66}", condition.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_has_three_forms() {
        let value = json!({"a": null, "b": " "});
        let row = Row::new("row", &value).unwrap();
        for field in ["a", "b", "c"] {
            assert_eq!(row.text(field), Ok(None));
            assert_eq!(row.price(field), Ok(None));
            assert_eq!(row.list(field), Ok(None));
            assert_eq!(row.flag(field), Ok(None));
            assert_eq!(row.moment(field), Ok(None));
        }
    }

    #[test]
    fn lists_come_as_lists_and_as_text() {
        let value = json!({"a": ["1", "2"], "b": "[\"1\", \"2\"]", "c": [1, 2], "d": "[1"});
        let row = Row::new("row", &value).unwrap();
        let expected = Ok(Some(vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(row.asset_ids("a"), expected);
        assert_eq!(row.asset_ids("b"), expected);
        assert_eq!(
            row.asset_ids("c").unwrap_err().to_string(),
            "c is of the wrong type"
        );
        assert!(row.asset_ids("d").is_err());
    }

    #[test]
    fn condition_ids_are_lower_case_and_padded_for_queries() {
        let short = condition_id(&format!("0x{}", "Ab".repeat(31))).unwrap();
        assert_eq!(short.as_str(), format!("0x{}", "ab".repeat(31)));
        assert_eq!(padded(&short), format!("0x{}00", "ab".repeat(31)));
        assert_eq!(condition_id("0x12"), None);
        assert_eq!(condition_id(&"1".repeat(66)), None);
    }
}

//! Reading arguments as models write them: `"5"` for 5, 5 for `"5"`, `"true"` for true.
//!
//! serde is strict about these and models are not. What cannot be meant (NaN, an infinite number,
//! a limit of −1) stays refused, with a message that says what would be accepted. Use as
//! `#[serde(deserialize_with = "lenient::number")]`; for an optional field add `default`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Number, Value};

use crate::domain::text::clean;

/// What a value is called in messages.
fn shown(value: &Value) -> String {
    clean(&value.to_string(), 60)
}

/// A number out of a number or a numeric string.
fn as_number(value: &Value) -> Result<Number, String> {
    let refuse = || format!("expected a number, got {}", shown(value));
    match value {
        Value::Number(number) => Ok(number.clone()),
        Value::String(text) => {
            let text = text.trim();
            if let Ok(number) = text.parse::<i64>() {
                return Ok(number.into());
            }
            if let Ok(number) = text.parse::<u64>() {
                return Ok(number.into());
            }
            let number: f64 = text.parse().map_err(|_| refuse())?;
            Number::from_f64(number).ok_or_else(|| format!("{} is not finite", shown(value)))
        }
        _ => Err(refuse()),
    }
}

/// A whole number; `5.0` is one.
fn as_whole(value: &Value) -> Result<i128, String> {
    let number = as_number(value)?;
    if let Some(whole) = number.as_i128() {
        return Ok(whole);
    }
    number
        .as_f64()
        .filter(|float| float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0)
        .map(|float| float as i128)
        .ok_or_else(|| format!("expected a whole number, got {}", shown(value)))
}

/// Types that [`number`] can read.
pub trait FromNumber: Sized {
    /// The value, or why not.
    fn from_number(value: &Value) -> Result<Self, String>;
}

impl FromNumber for f64 {
    fn from_number(value: &Value) -> Result<Self, String> {
        as_number(value)?
            .as_f64()
            .filter(|float| float.is_finite())
            .ok_or_else(|| format!("{} is not finite", shown(value)))
    }
}

macro_rules! whole_numbers {
    ($($kind:ty),*) => {$(
        impl FromNumber for $kind {
            fn from_number(value: &Value) -> Result<Self, String> {
                let whole = as_whole(value)?;
                <$kind>::try_from(whole).map_err(|_| {
                    format!("{whole} is not between {} and {}", <$kind>::MIN, <$kind>::MAX)
                })
            }
        }
    )*};
}
whole_numbers!(u8, u16, u32, u64, usize, i32, i64);

impl<T: FromNumber> FromNumber for Option<T> {
    fn from_number(value: &Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(None);
        }
        T::from_number(value).map(Some)
    }
}

/// Reads a number or a numeric string into `f64`, a whole number type, or an `Option` of them.
/// Errors: not a number, not finite, not whole, out of range.
pub fn number<'de, D: Deserializer<'de>, T: FromNumber>(deserializer: D) -> Result<T, D::Error> {
    T::from_number(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Types that [`text`] can read.
pub trait FromText: Sized {
    /// The value, or why not.
    fn from_text(value: Value) -> Result<Self, String>;
}

impl FromText for String {
    fn from_text(value: Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text),
            // A token id has 77 digits: read as a number it has already lost most of them.
            Value::Number(number) if number.is_f64() => Err(format!(
                "write {number} as a string, in quotes: as a number it may lose digits"
            )),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(format!("expected a string, got {}", shown(&other))),
        }
    }
}

impl<T: FromText> FromText for Option<T> {
    fn from_text(value: Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(None);
        }
        T::from_text(value).map(Some)
    }
}

/// Reads a string, or a whole number as its digits, into `String` or `Option<String>`.
/// Errors: anything else, and numbers that may have lost digits on the way.
pub fn text<'de, D: Deserializer<'de>, T: FromText>(deserializer: D) -> Result<T, D::Error> {
    T::from_text(Value::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Types that [`boolean`] can read.
pub trait FromBoolean: Sized {
    /// The value, or why not.
    fn from_boolean(value: &Value) -> Result<Self, String>;
}

impl FromBoolean for bool {
    fn from_boolean(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
            other => Err(format!("expected true or false, got {}", shown(other))),
        }
    }
}

impl<T: FromBoolean> FromBoolean for Option<T> {
    fn from_boolean(value: &Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(None);
        }
        T::from_boolean(value).map(Some)
    }
}

/// Reads true, false, or either as a string, into `bool` or `Option<bool>`.
/// Errors: anything else.
pub fn boolean<'de, D: Deserializer<'de>, T: FromBoolean>(d: D) -> Result<T, D::Error> {
    T::from_boolean(&Value::deserialize(d)?).map_err(D::Error::custom)
}

/// How many rows to answer with: from 1 to `MAX`, `DEFAULT` when left out (`#[serde(default)]`).
/// Anything else is an error that names the range: a silently clamped limit reads as "no more".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Limit<const DEFAULT: u32, const MAX: u32>(u32);

impl<const DEFAULT: u32, const MAX: u32> Limit<DEFAULT, MAX> {
    /// The number of rows.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl<const DEFAULT: u32, const MAX: u32> Default for Limit<DEFAULT, MAX> {
    fn default() -> Self {
        Limit(DEFAULT)
    }
}

impl<'de, const DEFAULT: u32, const MAX: u32> Deserialize<'de> for Limit<DEFAULT, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wanted = as_whole(&Value::deserialize(deserializer)?).map_err(D::Error::custom)?;
        u32::try_from(wanted)
            .ok()
            .filter(|limit| (1..=MAX).contains(limit))
            .map(Limit)
            .ok_or_else(|| D::Error::custom(format!("must be from 1 to {MAX}, not {wanted}")))
    }
}

impl<const DEFAULT: u32, const MAX: u32> JsonSchema for Limit<DEFAULT, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Limit{DEFAULT}Of{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    struct Sample {
        #[serde(default, deserialize_with = "number")]
        size: Option<f64>,
        #[serde(default, deserialize_with = "number")]
        count: u32,
        #[serde(default, deserialize_with = "text")]
        id: String,
        #[serde(default, deserialize_with = "boolean")]
        dry_run: bool,
        #[serde(default)]
        limit: Limit<10, 100>,
    }

    fn read(value: Value) -> Result<Sample, String> {
        serde_json::from_value(value).map_err(|e| e.to_string())
    }

    #[test]
    fn numbers_and_strings_stand_for_each_other() {
        let sample = read(
            json!({"size": " 2.5 ", "count": "7", "id": 123, "dry_run": "True", "limit": "3"}),
        )
        .unwrap();
        assert_eq!((sample.size, sample.count), (Some(2.5), 7));
        assert_eq!((sample.id.as_str(), sample.dry_run), ("123", true));
        assert_eq!(sample.limit.get(), 3);
        let empty = read(json!({"size": null})).unwrap();
        assert_eq!((empty.size, empty.limit.get()), (None, 10));
        assert_eq!(read(json!({"count": 4.0})).unwrap().count, 4);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (value, words) in [
            (json!({"size": "NaN"}), "not finite"),
            (json!({"size": "inf"}), "not finite"),
            (json!({"size": "1e999"}), "not finite"),
            (json!({"size": "ten"}), "expected a number"),
            (json!({"size": true}), "expected a number"),
            (json!({"count": 1.5}), "expected a whole number"),
            (json!({"count": -1}), "-1 is not between 0 and 4294967295"),
            (json!({"id": 1.5e76}), "in quotes"),
            (json!({"id": ["a"]}), "expected a string"),
            (json!({"dry_run": "maybe"}), "expected true or false"),
            (json!({"limit": -1}), "must be from 1 to 100, not -1"),
            (json!({"limit": 0}), "must be from 1 to 100, not 0"),
            (
                json!({"limit": 1_000_000_000}),
                "must be from 1 to 100, not 1000000000",
            ),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(error.contains(words), "{value}: {error}");
        }
    }
}

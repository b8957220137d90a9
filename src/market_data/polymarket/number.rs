//! Numbers as the venue serves them: `1`, `1.0`, `"1"` and `9e-6` are all numbers; `NaN` is none.

use std::borrow::Cow;

use serde_json::Value;

use super::row::Problem;
use crate::domain::MoneyError;

/// The number's text; `None` for empty text. Errors: [`Problem::WrongType`] for what is neither
/// text nor a number.
pub fn text(value: &Value) -> Result<Option<Cow<'_, str>>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Cow::Borrowed(text.trim())).filter(|text| !text.is_empty())),
        Value::Number(number) => Ok(Some(Cow::Owned(number.to_string()))),
        _ => Err(Problem::WrongType),
    }
}

/// Reads exact money with one of the domain's parsers.
pub fn parse<T>(
    value: &Value,
    parse: impl Fn(&str) -> Result<T, MoneyError>,
) -> Result<Option<T>, Problem> {
    match text(value)? {
        None => Ok(None),
        Some(text) => parse(&text).map(Some).map_err(|error| problem(&error)),
    }
}

/// What a money error means for a row.
#[must_use]
pub fn problem(error: &MoneyError) -> Problem {
    match error {
        MoneyError::NotANumber(_) => Problem::NotANumber,
        MoneyError::Negative(_)
        | MoneyError::PriceRange(_)
        | MoneyError::TooPrecise(_)
        | MoneyError::Overflow => Problem::OutOfRange,
    }
}

/// A finite number for statistics.
pub fn float(value: &Value) -> Result<Option<f64>, Problem> {
    match text(value)? {
        None => Ok(None),
        Some(text) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(Problem::NotANumber),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{Price, Shares, Usdc};

    #[test]
    fn one_number_in_every_dress() {
        for value in [json!(1), json!(1.0), json!("1"), json!("1.0"), json!("1e0")] {
            assert_eq!(parse(&value, Price::parse), Ok(Some(Price::ONE)), "{value}");
            assert_eq!(float(&value), Ok(Some(1.0)), "{value}");
        }
        assert_eq!(
            parse(&json!(9e-6), Usdc::parse),
            Ok(Some(Usdc::from_micros(9)))
        );
        assert_eq!(
            parse(&json!("27987344.821054976"), Usdc::parse_rounded),
            Ok(Some(Usdc::from_micros(27_987_344_821_055)))
        );
    }

    #[test]
    fn what_is_no_number_is_no_number() {
        assert_eq!(parse(&json!("NaN"), Price::parse), Err(Problem::NotANumber));
        assert_eq!(float(&json!("NaN")), Err(Problem::NotANumber));
        assert_eq!(float(&json!("inf")), Err(Problem::NotANumber));
        assert_eq!(parse(&json!(1.5), Price::parse), Err(Problem::OutOfRange));
        assert_eq!(parse(&json!(-1), Shares::parse), Err(Problem::OutOfRange));
        assert_eq!(parse(&json!([1]), Price::parse), Err(Problem::WrongType));
        assert_eq!(parse(&json!(""), Price::parse), Ok(None));
    }
}

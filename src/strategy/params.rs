//! Checks of parameters: every message names the parameter, the value and what is allowed.

use std::ops::RangeInclusive;

use crate::domain::{Shares, Usdc};

/// Largest amount of pUSD that any parameter may name; a typing error above it is more likely
/// than a wish.
pub(super) const MAX_AMOUNT: f64 = 1_000_000.0;

/// Refuses a number outside `allowed`; NaN is outside everything.
pub(super) fn in_range(name: &str, value: f64, allowed: RangeInclusive<f64>) -> Result<(), String> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(format!(
        "{name} is {value}, allowed is {} to {}",
        allowed.start(),
        allowed.end()
    ))
}

/// Refuses a whole number outside `allowed`.
pub(super) fn count_in_range(
    name: &str,
    value: u32,
    allowed: RangeInclusive<u32>,
) -> Result<(), String> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(format!(
        "{name} is {value}, allowed is {} to {}",
        allowed.start(),
        allowed.end()
    ))
}

/// Longest lookback: six days. A tick gathers a week of history, and the price one lookback ago
/// has to lie in it even where points are hours apart.
pub(super) const MAX_LOOKBACK_MINUTES: u32 = 6 * 24 * 60;

/// Refuses a lookback that is no minute or reaches beyond what a tick gathers.
pub(super) fn lookback(minutes: u32) -> Result<(), String> {
    count_in_range("lookback_minutes", minutes, 1..=MAX_LOOKBACK_MINUTES)
        .map_err(|error| format!("{error}: a tick gathers a week of history"))
}

/// An amount of pUSD within `allowed`, exact: more than six decimals are refused.
pub(super) fn amount(name: &str, value: f64, allowed: RangeInclusive<f64>) -> Result<Usdc, String> {
    in_range(name, value, allowed)?;
    Usdc::from_f64(value).map_err(|error| format!("{name} is {value}: {error}"))
}

/// A number of shares within `allowed`, exact: more than six decimals are refused.
pub(super) fn shares(
    name: &str,
    value: f64,
    allowed: RangeInclusive<f64>,
) -> Result<Shares, String> {
    in_range(name, value, allowed)?;
    Shares::from_f64(value).map_err(|error| format!("{name} is {value}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_parameter_value_and_range() {
        assert_eq!(
            in_range("spread", 2.0, 0.002..=0.5),
            Err("spread is 2, allowed is 0.002 to 0.5".to_owned())
        );
        assert_eq!(
            in_range("spread", f64::NAN, 0.0..=0.5),
            Err("spread is NaN, allowed is 0 to 0.5".to_owned())
        );
        assert_eq!(
            count_in_range("lookback_minutes", 0, 1..=9),
            Err("lookback_minutes is 0, allowed is 1 to 9".to_owned())
        );
    }

    #[test]
    fn amounts_are_exact() {
        assert_eq!(
            amount("order_size", 25.1, 1.0..=100.0),
            Ok(Usdc::from_micros(25_100_000))
        );
        assert!(
            amount("order_size", 25.123_456_7, 1.0..=100.0)
                .unwrap_err()
                .contains("six decimal places")
        );
        assert!(amount("order_size", 0.5, 1.0..=100.0).is_err());
    }
}

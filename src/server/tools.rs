//! The tools: what an agent can do. One file per group; names and parameters of the original.

use std::sync::Arc;

use crate::app::{App, AppError};
use crate::domain::{MoneyError, Price, Shares, Usdc};

use super::control::by_the_owner;
use super::registry::{Registry, RegistryError};
use super::tool::{ToolError, ToolSpec};

mod activity_words;
pub mod analysis;
pub mod backtest;
pub mod commands;
pub mod conditional;
pub mod markets;
pub mod monitoring;
pub mod orders;
pub mod portfolio;
pub mod signals;
pub mod system;
pub mod trade;
pub mod traders;
mod views;

/// The registry of this application: the listed tools, and `tick` for jobs and the shell.
pub fn registry() -> Result<Registry<App>, RegistryError> {
    let tools: Vec<ToolSpec<App>> = [
        markets::tools(),
        traders::tools(),
        portfolio::tools(),
        signals::tools(),
        trade::tools(),
        orders::tools(),
        analysis::tools(),
        conditional::tools(),
        commands::tools(),
        backtest::tools(),
        monitoring::tools(),
        system::tools(),
    ]
    .into_iter()
    .flatten()
    .map(by_the_owner)
    .collect();
    Registry::new(tools)
}

impl From<AppError> for ToolError {
    fn from(error: AppError) -> Self {
        ToolError::new(error.code(), error.to_string(), error.hint())
    }
}

/// Runs blocking work (the database) off the event loop.
pub(super) async fn blocking<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
) -> Result<T, ToolError> {
    let app = app.clone();
    tokio::task::spawn_blocking(move || work(&app))
        .await
        .map_err(|error| ToolError::internal(error.to_string()))?
        .map_err(ToolError::from)
}

fn money_error(what: &str, error: &MoneyError, hint: &str) -> ToolError {
    ToolError::new("bad_arguments", format!("{what}: {error}"), hint)
}

/// The number without the noise of binary arithmetic: 19.6 × 0.49 arrives as 9.604000000000001. What
/// somebody wrote with more decimals than there are stays as it is, and is refused as too precise.
fn denoised(value: f64) -> f64 {
    let rounded = (value * 1e6).round() / 1e6;
    // A sum or difference of numbers up to some thousand is off by less.
    let near = (1e-12 * value.abs().max(1.0)).min(1e-9);
    if (rounded - value).abs() <= near && digits_of(value) >= NOISY_DIGITS {
        rounded
    } else {
        value
    }
}

/// Results of binary arithmetic that miss a short decimal need 15 digits or more to be written down;
/// nobody writes so many.
const NOISY_DIGITS: usize = 15;

/// Digits of the shortest text that reads back as the same number.
fn digits_of(value: f64) -> usize {
    let text = format!("{value:e}");
    let mantissa = text.split('e').next().unwrap_or_default();
    mantissa.bytes().filter(u8::is_ascii_digit).count()
}

/// A price argument, strictly between 0 and 1.
fn price_argument(what: &str, value: f64) -> Result<Price, ToolError> {
    let hint = "A price is a number between 0 and 1 (0.55 is 55 cents), with at most six decimals.";
    let price =
        Price::from_f64(denoised(value)).map_err(|error| money_error(what, &error, hint))?;
    if price == Price::ZERO || price == Price::ONE {
        let message = format!("{what} is {price}; it must be above 0 and below 1");
        return Err(ToolError::new("bad_arguments", message, hint));
    }
    Ok(price)
}

/// An amount of pUSD above zero.
fn amount_argument(what: &str, value: f64) -> Result<Usdc, ToolError> {
    let hint = "An amount is a number of pUSD above 0, e.g. 25 or 12.5.";
    let amount =
        Usdc::from_f64(denoised(value)).map_err(|error| money_error(what, &error, hint))?;
    if amount <= Usdc::ZERO {
        let message = format!("{what} is {amount}; it must be above 0 pUSD");
        return Err(ToolError::new("bad_arguments", message, hint));
    }
    Ok(amount)
}

/// A number of shares above zero.
fn shares_argument(what: &str, value: f64) -> Result<Shares, ToolError> {
    let hint = "A size is a number of shares above 0; leave it out for the whole position.";
    let shares =
        Shares::from_f64(denoised(value)).map_err(|error| money_error(what, &error, hint))?;
    if shares.is_zero() {
        let message = format!("{what} is 0; it must be above 0 shares");
        return Err(ToolError::new("bad_arguments", message, hint));
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_pays_for_the_list_stays_within_its_budget() {
        let registry = registry().unwrap();
        let bytes = crate::server::contracts::total_list_bytes(&registry).unwrap();
        assert!(bytes <= 40_000, "tools/list has {bytes} bytes");
        assert_eq!(registry.listed().count(), 24);
    }

    #[test]
    fn float_noise_is_forgiven_and_real_precision_is_not() {
        assert_eq!(
            amount_argument("size", 19.6 * 0.49).unwrap().to_string(),
            "9.604"
        );
        assert_eq!(
            price_argument("price", 0.1 + 0.2).unwrap().to_string(),
            "0.3"
        );
        for (value, exact) in [
            // What models compute before they ask: rests of a balance, shares times price.
            (1.0 - 0.99, "0.01"),
            (1000.1 - 1000.0, "0.1"),
            (10_000.0 - 9_974.37, "25.63"),
            (1.1 * 1.1 * 100.0, "121"),
            (100_000.1 + 0.2, "100000.3"),
        ] {
            let amount = amount_argument("size", value);
            assert_eq!(amount.unwrap().to_string(), exact, "{value}");
        }
        // Written, not computed: however little it is off, it is not what would be traded.
        for value in [
            0.123_456_7,
            0.000_000_1,
            0.500_000_1,
            0.500_000_000_1,
            0.500_000_000_000_1,
            0.499_999_999_9,
        ] {
            let of_each_kind = [
                price_argument("price", value).map(drop),
                amount_argument("size", value).map(drop),
                shares_argument("size", value).map(drop),
            ];
            for refused in of_each_kind {
                let refused = refused.unwrap_err();
                assert_eq!(refused.code, "bad_arguments", "{value}");
                assert!(refused.message.contains("decimal"), "{}", refused.message);
            }
        }
        for value in [25.500_000_000_1, 1_000.000_000_000_1, 19.600_000_1] {
            assert!(amount_argument("size", value).is_err(), "{value}");
            assert!(shares_argument("size", value).is_err(), "{value}");
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            let error = amount_argument("size", bad).unwrap_err();
            assert_eq!(error.code, "bad_arguments", "{bad}");
            assert!(!error.hint.is_empty());
        }
        assert!(
            amount_argument("size", 1e300)
                .unwrap_err()
                .message
                .contains("too large")
        );
    }
}

//! Settings of conditional orders: what is attached to buys, and which books their triggers believe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Price, Shares, plain};

/// Stop-losses, take-profits and trailing stops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConditionalConfig {
    /// Attach a stop-loss and a take-profit to every buy of a directional strategy.
    pub enabled: bool,
    /// Stop-loss distance below the price paid, or below the bid if that is lower, as a fraction of
    /// it.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub default_stop_loss_pct: Price,
    /// Take-profit distance above the price paid, as a fraction of it. Where that would be above one
    /// tick below 1 none is attached.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub default_take_profit_pct: Price,
    /// Attach a trailing stop too.
    pub trailing_stop_enabled: bool,
    /// Trailing distance below the highest bid seen, as a fraction of it.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub trailing_stop_pct: Price,
    /// How far below the bid that set it off a triggered sale may go, as a fraction of that bid.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_slippage_pct: Price,
    /// Widest spread, as a price, at which a stop-loss or trailing stop fires at once. Nobody
    /// asking counts as an ask of 1. 1: every spread will do.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_trigger_spread: Price,
    /// Shares that must be bid for a trigger to believe a price, or all of the order if that is
    /// fewer: what it compares is the best price at which so many could be sold. 0: the best bid,
    /// however small.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub min_trigger_depth: Shares,
    /// A stop whose price is reached on a book that is wider or thinner than that fires after all
    /// when a look this many seconds later still finds the price reached. 0: at once.
    pub confirm_seconds: u32,
}

/// Longest confirmation, seconds.
const HOUR: u32 = 3_600;

pub(super) fn fraction(micros: u32) -> Price {
    Price::from_micros(micros).unwrap_or(Price::ZERO)
}

impl Default for ConditionalConfig {
    fn default() -> Self {
        ConditionalConfig {
            enabled: false,
            default_stop_loss_pct: fraction(100_000),
            default_take_profit_pct: fraction(200_000),
            trailing_stop_enabled: false,
            trailing_stop_pct: fraction(50_000),
            max_slippage_pct: fraction(50_000),
            max_trigger_spread: fraction(50_000),
            min_trigger_depth: Shares::whole(5),
            confirm_seconds: 20,
        }
    }
}

impl ConditionalConfig {
    /// [`ConditionalConfig::confirm_seconds`] in ms.
    #[must_use]
    pub fn confirm_ms(&self) -> i64 {
        i64::from(self.confirm_seconds) * 1000
    }

    /// Checks ranges; the message names the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        for (key, value) in [
            ("default_stop_loss_pct", self.default_stop_loss_pct),
            ("default_take_profit_pct", self.default_take_profit_pct),
            ("trailing_stop_pct", self.trailing_stop_pct),
        ] {
            if value == Price::ZERO || value == Price::ONE {
                return Err(format!(
                    "conditional_orders.{key} is {value}; it must be above 0 and below 1"
                ));
            }
        }
        if self.max_trigger_spread == Price::ZERO {
            return Err(
                "conditional_orders.max_trigger_spread is 0; it must be above 0: every book has a \
                 spread"
                    .to_owned(),
            );
        }
        if self.confirm_seconds > HOUR {
            return Err(format!(
                "conditional_orders.confirm_seconds is {}; it must be at most {HOUR}, or a real \
                 collapse would not be sold",
                self.confirm_seconds
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_has_bounds_and_keys_are_read_exactly() {
        assert_eq!(ConditionalConfig::default().validate(), Ok(()));
        let read: ConditionalConfig =
            serde_json::from_str(r#"{"max_trigger_spread": 0.03, "min_trigger_depth": 12.5}"#)
                .unwrap();
        assert_eq!(read.max_trigger_spread, fraction(30_000));
        assert_eq!(read.min_trigger_depth.micros(), 12_500_000);
        let refused = |change: fn(&mut ConditionalConfig)| {
            let mut config = ConditionalConfig::default();
            change(&mut config);
            config.validate().unwrap_err()
        };
        assert!(
            refused(|c| c.max_trigger_spread = Price::ZERO).contains("max_trigger_spread is 0")
        );
        assert!(refused(|c| c.confirm_seconds = 3_601).contains("at most 3600"));
        let negative = r#"{"min_trigger_depth": -1}"#;
        assert!(serde_json::from_str::<ConditionalConfig>(negative).is_err());
    }
}

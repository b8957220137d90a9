//! What the operator sets: limits, sizing, aggregation, conditional orders.
//!
//! Amounts are written as plain numbers in `config.yaml` and held as exact money here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::conditional_config::ConditionalConfig;
pub use super::execution_config::ExecutionConfig;

mod risk;

pub use risk::RiskConfig;

/// How signals of several strategies become one decision per market.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AggregationConfig {
    /// Least confidence (0–1) of a signal, after blending, that is traded.
    pub min_confidence: f64,
    /// Least number of different strategies that must want the same trade.
    pub min_strategies: u32,
    /// true: the confidence of signals for the same trade is their mean. false: that of the most
    /// confident of them, who speaks for all.
    pub blend_confidence: bool,
    /// true: where signals contradict each other in a market (a purchase of No contradicts one of
    /// Yes, a sale of Yes does too), none of that market is traded. false: all of them are.
    pub conflict_resolution: bool,
}

impl Default for AggregationConfig {
    fn default() -> Self {
        AggregationConfig {
            min_confidence: 0.5,
            min_strategies: 1,
            blend_confidence: true,
            conflict_resolution: true,
        }
    }
}

/// How much is bet on a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum SizingMethod {
    /// The strategy's own order size.
    Fixed,
    /// The full Kelly fraction of equity.
    Kelly,
    /// `kelly_fraction` times the Kelly fraction of equity.
    FractionalKelly,
}

/// Sizing of directional signals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SizingConfig {
    /// fixed, kelly or fractional_kelly.
    pub method: SizingMethod,
    /// Fraction of full Kelly that `fractional_kelly` bets (0–1).
    pub kelly_fraction: f64,
    /// Largest stake on one event as a fraction of equity (0–1), for the Kelly methods: what
    /// positions and waiting buys of the event cost already counts. A market without an event counts
    /// as its own.
    pub max_bet_pct: f64,
}

impl Default for SizingConfig {
    fn default() -> Self {
        SizingConfig {
            method: SizingMethod::Fixed,
            kelly_fraction: 0.25,
            max_bet_pct: 0.10,
        }
    }
}

/// What the desk is allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Mode {
    /// Signals only; nothing is traded.
    Monitor,
    /// Simulated fills against real or recorded books.
    Paper,
    /// Real money. Refused until live trading exists.
    Live,
}

impl Mode {
    /// `monitor`, `paper` or `live`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Monitor => "monitor",
            Mode::Paper => "paper",
            Mode::Live => "live",
        }
    }
}

/// Everything the core needs to know from the operator. Written out, its sections have the names
/// that they have in `config.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TradingConfig {
    /// What is allowed at all.
    pub mode: Mode,
    /// Limits.
    pub risk: RiskConfig,
    /// Aggregation.
    pub aggregation: AggregationConfig,
    /// Sizing.
    #[serde(rename = "position_sizing")]
    pub sizing: SizingConfig,
    /// Conditional orders.
    #[serde(rename = "conditional_orders")]
    pub conditional: ConditionalConfig,
    /// How orders reach the exchange.
    pub execution: ExecutionConfig,
    /// Shortest time between two account snapshots that no trade caused, ms.
    pub snapshot_interval_ms: i64,
}

impl TradingConfig {
    /// The settings as JSON, whole, with the keys of `config.yaml`: equal ones have equal texts.
    #[must_use]
    pub fn settings(&self) -> String {
        // Numbers and text only: it cannot fail, and if it did, the log would say so.
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }
}

impl Default for TradingConfig {
    fn default() -> Self {
        TradingConfig {
            mode: Mode::Paper,
            risk: RiskConfig::default(),
            aggregation: AggregationConfig::default(),
            sizing: SizingConfig::default(),
            conditional: ConditionalConfig::default(),
            execution: ExecutionConfig::default(),
            snapshot_interval_ms: 300_000,
        }
    }
}

impl TradingConfig {
    /// Checks ranges; the message names the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        self.risk.validate()?;
        for (key, value, low) in [
            (
                "aggregation.min_confidence",
                self.aggregation.min_confidence,
                0.0,
            ),
            (
                "position_sizing.kelly_fraction",
                self.sizing.kelly_fraction,
                1e-6,
            ),
            ("position_sizing.max_bet_pct", self.sizing.max_bet_pct, 1e-6),
        ] {
            if !(low..=1.0).contains(&value) {
                return Err(format!("{key} is {value}; it must be between 0 and 1"));
            }
        }
        self.conditional.validate()?;
        if self.aggregation.min_strategies == 0 {
            return Err("aggregation.min_strategies is 0; it must be at least 1".to_owned());
        }
        self.execution.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Price;

    fn refused(change: impl FnOnce(&mut TradingConfig)) -> String {
        let mut config = TradingConfig::default();
        change(&mut config);
        config.validate().unwrap_err()
    }

    #[test]
    fn the_defaults_are_valid_and_ranges_are_checked() {
        assert_eq!(TradingConfig::default().validate(), Ok(()));
        let zero = refused(|config| config.risk.max_daily_loss = crate::domain::Usdc::ZERO);
        assert_eq!(zero, "risk.max_daily_loss is 0; it must be above 0 pUSD");
        let nan = refused(|config| config.aggregation.min_confidence = f64::NAN);
        assert_eq!(
            nan,
            "aggregation.min_confidence is NaN; it must be between 0 and 1"
        );
        for message in [
            refused(|config| config.sizing.kelly_fraction = 0.0),
            refused(|config| config.sizing.max_bet_pct = 1.01),
            refused(|config| config.conditional.default_stop_loss_pct = Price::ONE),
            refused(|config| config.conditional.default_take_profit_pct = Price::ZERO),
            refused(|config| config.conditional.trailing_stop_pct = Price::ZERO),
            refused(|config| config.aggregation.min_strategies = 0),
        ] {
            assert!(message.contains("it must be"), "{message}");
        }
    }

    #[test]
    fn a_fraction_is_at_most_one() {
        let fraction = r#"{"default_stop_loss_pct": 1.5}"#;
        assert!(serde_json::from_str::<ConditionalConfig>(fraction).is_err());
    }

    #[test]
    fn settings_are_written_under_the_names_of_the_file_and_read_back() {
        let config = TradingConfig::default();
        let written = config.settings();
        let value: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(value["risk"]["max_daily_loss"], serde_json::json!(50.0));
        for section in [
            "mode",
            "aggregation",
            "position_sizing",
            "conditional_orders",
        ] {
            assert!(!value[section].is_null(), "{section}");
        }
        assert_eq!(
            serde_json::from_str::<TradingConfig>(&written).unwrap(),
            config
        );
    }
}

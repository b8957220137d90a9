//! What the operator sets: limits, sizing, aggregation, conditional orders.
//!
//! Amounts are written as plain numbers in `config.yaml` and held as exact money here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Usdc, plain};

pub use super::conditional_config::ConditionalConfig;

pub use super::execution_config::ExecutionConfig;

/// Limits that no order passes, whoever asks. Amounts in pUSD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RiskConfig {
    /// Largest notional of one order, pUSD.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_position_size: Usdc,
    /// Largest loss of one UTC day, realised plus marked, fees included, pUSD. Once reached, only
    /// sales that reduce a position pass until midnight UTC.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_daily_loss: Usdc,
    /// Most orders that may rest at once.
    pub max_open_orders: u32,
    /// Largest cost of all positions and waiting buys in one market, pUSD.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_market_exposure: Usdc,
    /// Largest cost of all positions and waiting buys together, pUSD.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_total_exposure: Usdc,
    /// Oldest book that may be traded on, in seconds by the source's own clock. Books of a
    /// recording may be as old as the recording's rows are apart.
    pub max_book_age_seconds: u32,
}

impl Default for RiskConfig {
    fn default() -> Self {
        RiskConfig {
            max_position_size: Usdc::whole(100),
            max_daily_loss: Usdc::whole(50),
            max_open_orders: 10,
            max_market_exposure: Usdc::whole(200),
            max_total_exposure: Usdc::whole(800),
            max_book_age_seconds: 30,
        }
    }
}

/// How signals of several strategies become one decision per market.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AggregationConfig {
    /// Least confidence (0–1) of a signal, after blending, that is traded.
    pub min_confidence: f64,
    /// Least number of different strategies that must want the same trade.
    pub min_strategies: u32,
}

impl Default for AggregationConfig {
    fn default() -> Self {
        AggregationConfig {
            min_confidence: 0.5,
            min_strategies: 1,
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
    /// Largest bet as a fraction of equity (0–1), for the Kelly methods.
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

/// Everything the core needs to know from the operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
        let risk = &self.risk;
        for (key, amount) in [
            ("risk.max_position_size", risk.max_position_size),
            ("risk.max_daily_loss", risk.max_daily_loss),
            ("risk.max_market_exposure", risk.max_market_exposure),
            ("risk.max_total_exposure", risk.max_total_exposure),
        ] {
            if amount <= Usdc::ZERO {
                return Err(format!("{key} is {amount}; it must be above 0 pUSD"));
            }
        }
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
        let zero = refused(|config| config.risk.max_daily_loss = Usdc::ZERO);
        assert_eq!(zero, "risk.max_daily_loss is 0; it must be above 0 pUSD");
        let nan = refused(|config| config.aggregation.min_confidence = f64::NAN);
        assert_eq!(
            nan,
            "aggregation.min_confidence is NaN; it must be between 0 and 1"
        );
        for message in [
            refused(|config| config.risk.max_position_size = Usdc::whole(-1)),
            refused(|config| config.risk.max_market_exposure = Usdc::ZERO),
            refused(|config| config.risk.max_total_exposure = Usdc::ZERO),
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
    fn plain_numbers_are_read_exactly_and_unknown_keys_refused() {
        let risk: RiskConfig =
            serde_json::from_str(r#"{"max_position_size": 0.1, "max_open_orders": 3}"#).unwrap();
        assert_eq!(risk.max_position_size, Usdc::from_micros(100_000));
        assert_eq!(risk.max_total_exposure, Usdc::whole(800));
        assert!(serde_json::from_str::<RiskConfig>(r#"{"max_position": 1}"#).is_err());
        assert!(serde_json::from_str::<RiskConfig>(r#"{"max_position_size": "1"}"#).is_err());
        let shown = serde_json::to_value(&risk).unwrap();
        assert_eq!(shown["max_position_size"], serde_json::json!(0.1));
        let fraction = r#"{"default_stop_loss_pct": 1.5}"#;
        assert!(serde_json::from_str::<ConditionalConfig>(fraction).is_err());
    }
}

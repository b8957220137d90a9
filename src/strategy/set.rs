//! The configured strategies, in order.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AiAnalyst, AiAnalystParams, Arbitrageur, ArbitrageurParams, MarketMaker, MarketMakerParams,
    SignalTrader, SignalTraderParams, Strategy, ai_analyst, arbitrageur, market_maker,
    signal_trader,
};

/// The `strategies` section of the configuration: one optional section for each strategy.
///
/// A strategy runs when its section is there and says `enabled: true`. The default, which counts
/// when there is no `strategies` section at all, has all four: `signal_trader` (with
/// `volume_threshold` 10000), `arbitrageur` and `ai_analyst` on, `market_maker` off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StrategiesConfig {
    /// Momentum with volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_trader: Option<SignalTraderParams>,
    /// Two-sided quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub market_maker: Option<MarketMakerParams>,
    /// Sets that cost less than they pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arbitrageur: Option<ArbitrageurParams>,
    /// Stored probability estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ai_analyst: Option<AiAnalystParams>,
}

impl Default for StrategiesConfig {
    fn default() -> Self {
        StrategiesConfig {
            signal_trader: Some(SignalTraderParams {
                enabled: true,
                volume_threshold: 10_000.0,
                ..SignalTraderParams::default()
            }),
            market_maker: Some(MarketMakerParams::default()),
            arbitrageur: Some(ArbitrageurParams {
                enabled: true,
                ..ArbitrageurParams::default()
            }),
            // It acts on nothing but estimates that somebody has stored.
            ai_analyst: Some(AiAnalystParams {
                enabled: true,
                ..AiAnalystParams::default()
            }),
        }
    }
}

impl StrategiesConfig {
    /// Checks every section that is there, disabled ones included. Errors:
    /// [`StrategyConfigError`] for the first parameter out of range.
    pub fn validate(&self) -> Result<(), StrategyConfigError> {
        StrategySet::from_config(self).map(drop)
    }
}

/// A strategy's parameters make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("strategies.{strategy}: {message}")]
pub struct StrategyConfigError {
    /// Which section.
    pub strategy: &'static str,
    /// The parameter, its value and what is allowed.
    pub message: String,
}

/// The strategies that run, in the order in which they are asked.
#[derive(Default)]
pub struct StrategySet {
    strategies: Vec<Box<dyn Strategy>>,
}

impl StrategySet {
    /// Builds the enabled strategies in the order `signal_trader`, `market_maker`, `arbitrageur`,
    /// `ai_analyst`. Errors: [`StrategyConfigError`] for the first parameter out of range, in
    /// disabled sections too.
    pub fn from_config(config: &StrategiesConfig) -> Result<Self, StrategyConfigError> {
        let mut set = StrategySet::default();
        if let Some(params) = config.signal_trader.clone() {
            let enabled = params.enabled;
            set.add(signal_trader::NAME, enabled, SignalTrader::new(params))?;
        }
        if let Some(params) = config.market_maker.clone() {
            let enabled = params.enabled;
            set.add(market_maker::NAME, enabled, MarketMaker::new(params))?;
        }
        if let Some(params) = config.arbitrageur.clone() {
            let enabled = params.enabled;
            set.add(arbitrageur::NAME, enabled, Arbitrageur::new(params))?;
        }
        if let Some(params) = config.ai_analyst.clone() {
            let enabled = params.enabled;
            set.add(ai_analyst::NAME, enabled, AiAnalyst::new(params))?;
        }
        Ok(set)
    }

    fn add<S: Strategy + 'static>(
        &mut self,
        strategy: &'static str,
        enabled: bool,
        built: Result<S, String>,
    ) -> Result<(), StrategyConfigError> {
        let built = built.map_err(|message| StrategyConfigError { strategy, message })?;
        if enabled {
            self.strategies.push(Box::new(built));
        }
        Ok(())
    }

    /// The strategies, in order, as the desk takes them.
    #[must_use]
    pub fn as_slice(&self) -> &[Box<dyn Strategy>] {
        &self.strategies
    }

    /// The strategies, in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Strategy> {
        self.strategies.iter().map(AsRef::as_ref)
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.iter().map(Strategy::name).collect()
    }

    /// The strategy of this name; `None` when it does not run.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&dyn Strategy> {
        self.iter().find(|strategy| strategy.name() == name)
    }

    /// How many run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.strategies.len()
    }

    /// True when none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.strategies.is_empty()
    }
}

impl fmt::Debug for StrategySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StrategySet").field(&self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<StrategiesConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn the_default_runs_three_and_knows_four() {
        let config = StrategiesConfig::default();
        assert!(config.market_maker.is_some());
        let set = StrategySet::from_config(&config).unwrap();
        assert_eq!(set.names(), ["signal_trader", "arbitrageur", "ai_analyst"]);
        assert_eq!(set.len(), 3);
        assert!(set.get("market_maker").is_none());
        assert!(set.get("ai_analyst").is_some());
        assert_eq!(
            config.signal_trader.map(|params| params.volume_threshold),
            Some(10_000.0)
        );
    }

    #[test]
    fn the_original_parameter_names_and_defaults_are_read() {
        let config = read(
            r#"{
                "signal_trader": {"enabled": true, "volume_threshold": 5000, "price_move_threshold": 0.05, "order_size": 25},
                "market_maker": {"enabled": true, "spread": 0.05, "min_liquidity": 1000, "order_size": 50},
                "arbitrageur": {"enabled": true, "price_sum_tolerance": 0.02, "min_deviation": 0.03, "order_size": 25},
                "ai_analyst": {"enabled": true, "min_divergence": 0.15, "order_size": 25}
            }"#,
        )
        .unwrap();
        let defaults = StrategiesConfig {
            signal_trader: Some(SignalTraderParams {
                enabled: true,
                ..SignalTraderParams::default()
            }),
            market_maker: Some(MarketMakerParams {
                enabled: true,
                ..MarketMakerParams::default()
            }),
            arbitrageur: Some(ArbitrageurParams {
                enabled: true,
                ..ArbitrageurParams::default()
            }),
            ai_analyst: Some(AiAnalystParams {
                enabled: true,
                ..AiAnalystParams::default()
            }),
        };
        assert_eq!(config, defaults);
        assert_eq!(
            StrategySet::from_config(&config).unwrap().names(),
            ["signal_trader", "market_maker", "arbitrageur", "ai_analyst"]
        );
    }

    #[test]
    fn a_section_that_is_not_there_or_not_enabled_does_not_run() {
        assert!(
            StrategySet::from_config(&read("{}").unwrap())
                .unwrap()
                .is_empty()
        );
        let silent = read(r#"{"arbitrageur": {"order_size": 10}}"#).unwrap();
        assert!(StrategySet::from_config(&silent).unwrap().is_empty());
    }

    #[test]
    fn a_typing_error_in_a_key_is_refused() {
        let unknown = read(r#"{"market_taker": {}}"#).unwrap_err().to_string();
        assert!(unknown.contains("market_taker"), "{unknown}");
        for section in ["signal_trader", "market_maker", "arbitrageur", "ai_analyst"] {
            let text = format!(r#"{{"{section}": {{"oder_size": 1}}}}"#);
            let unknown = read(&text).unwrap_err().to_string();
            assert!(unknown.contains("oder_size"), "{section}: {unknown}");
        }
    }

    #[test]
    fn a_value_out_of_range_is_named_even_in_a_disabled_section() {
        let config = read(r#"{"market_maker": {"enabled": false, "spread": 2}}"#).unwrap();
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "strategies.market_maker: spread is 2, allowed is 0.002 to 0.5"
        );
        let config = read(r#"{"ai_analyst": {"order_size": -1}}"#).unwrap();
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "strategies.ai_analyst: order_size is -1, allowed is 0.01 to 1000000"
        );
        let config = read(r#"{"arbitrageur": {"min_deviation": 0}}"#).unwrap();
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "strategies.arbitrageur: min_deviation is 0, allowed is 0.001 to 0.5"
        );
        for (section, minutes) in [("signal_trader", 0), ("market_maker", 8_641)] {
            let text = format!(r#"{{"{section}": {{"lookback_minutes": {minutes}}}}}"#);
            assert_eq!(
                read(&text).unwrap().validate().unwrap_err().to_string(),
                format!(
                    "strategies.{section}: lookback_minutes is {minutes}, allowed is 1 to 8640: a \
                     tick gathers a week of history"
                )
            );
        }
        let config = read(r#"{"signal_trader": {"lookback_minutes": 8640}}"#).unwrap();
        assert!(config.validate().is_ok());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = StrategiesConfig::default();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(read(&text).unwrap(), config);
    }

    #[test]
    fn every_field_of_the_schema_is_described() {
        let schema = serde_json::to_value(schemars::schema_for!(StrategiesConfig)).unwrap();
        let definitions = schema["$defs"].as_object().unwrap();
        assert_eq!(definitions.len(), 4);
        for (name, definition) in definitions {
            assert_eq!(definition["additionalProperties"], false, "{name}");
            for (field, property) in definition["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{name}.{field}");
            }
        }
    }

    /// The reference page has a row for every parameter, with the default that the code has.
    #[test]
    fn the_page_tells_every_parameter_and_its_default() {
        let page = include_str!("../../docs/strategies.md");
        let every_section = StrategiesConfig {
            signal_trader: Some(SignalTraderParams::default()),
            market_maker: Some(MarketMakerParams::default()),
            arbitrageur: Some(ArbitrageurParams::default()),
            ai_analyst: Some(AiAnalystParams::default()),
        };
        let sections = serde_json::to_value(every_section).unwrap();
        for (section, params) in sections.as_object().unwrap() {
            let (_, after) = page.split_once(&format!("\n## {section}\n")).unwrap();
            let text = after.split("\n## ").next().unwrap();
            let rows: Vec<Vec<&str>> = text
                .lines()
                .filter(|line| line.starts_with("| `"))
                .map(|line| line.split('|').map(str::trim).collect())
                .collect();
            let params = params.as_object().unwrap();
            assert_eq!(rows.len(), params.len(), "{section}");
            for (name, default) in params {
                let row = rows
                    .iter()
                    .find(|row| row[1] == format!("`{name}`"))
                    .unwrap_or_else(|| panic!("{section}.{name} has no row"));
                let told = row[3].split(' ').next().unwrap();
                let same = match (default.as_f64(), default.as_bool()) {
                    (Some(number), _) => told.parse() == Ok(number),
                    (None, Some(flag)) => told.parse() == Ok(flag),
                    (None, None) => panic!("{section}.{name}: {default}"),
                };
                assert!(same, "{section}.{name}: {told} is not {default}");
            }
        }
    }
}

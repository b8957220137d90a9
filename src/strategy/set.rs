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
    /// All four on, with the defaults of their sections.
    #[must_use]
    pub fn all_on() -> Self {
        StrategiesConfig {
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
        }
    }

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

    /// The strategies themselves, in order.
    #[must_use]
    pub fn into_vec(self) -> Vec<Box<dyn Strategy>> {
        self.strategies
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
mod tests;

//! Single keys set on top of a configuration, for one backtest.

use serde_json::{Map, Value};

use super::Config;

/// Sections and keys that decide what a backtest does.
const DECISIVE: [&str; 8] = [
    "starting_balance",
    "strategies",
    "aggregation",
    "risk",
    "conditional_orders",
    "position_sizing",
    "execution",
    "backtest",
];

/// Reads `KEY=VALUE`, the value as YAML has it. Errors: in words.
pub fn setting(text: &str) -> Result<(String, Value), String> {
    let halves = text.split_once('=');
    let halves = halves.filter(|(key, _)| !key.trim().is_empty());
    let (key, value) = halves.ok_or_else(|| format!("`{text}` is not of the form KEY=VALUE"))?;
    let value = serde_saphyr::from_str(value.trim())
        .map_err(|error| format!("the value of `{text}` cannot be read: {error}"))?;
    Ok((key.trim().to_owned(), value))
}

impl Config {
    /// Whether a section or key of the configuration decides what a backtest does.
    #[must_use]
    pub fn decides(first: &str) -> bool {
        DECISIVE.contains(&first)
    }

    /// The same with these keys (`strategies.signal_trader.min_edge`) set. A section of a strategy
    /// that was not there is added with its defaults.
    ///
    /// Errors: a key that there is not or that decides nothing in a backtest, a value of another kind or
    /// out of range; the message names it.
    pub fn with_settings(&self, settings: &Map<String, Value>) -> Result<Config, String> {
        if settings.is_empty() {
            return Ok(self.clone());
        }
        let mut whole = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (key, value) in settings {
            let mut steps = key.split('.');
            if !steps.next().is_some_and(Config::decides) {
                return Err(format!(
                    "`{key}` decides nothing in a backtest; these do: {}",
                    DECISIVE.join(", ")
                ));
            }
            // What may be read is the operator's to say, not that of whoever asks for a backtest.
            if key == "backtest" || key.starts_with("backtest.data_dirs") {
                return Err("`backtest.data_dirs` is set in the configuration file only".to_owned());
            }
            put(&mut whole, key, value.clone())?;
        }
        let config: Config = serde_path_to_error::deserialize(whole)
            .map_err(|error| format!("`{}`: {}", error.path(), error.inner()))?;
        config.validate()?;
        Ok(config)
    }
}

fn put(whole: &mut Value, key: &str, value: Value) -> Result<(), String> {
    let mut place = whole;
    for step in key.split('.') {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else {
            return Err(format!("`{key}`: there is nothing below a value"));
        };
        if step.is_empty() {
            return Err(format!("`{key}` is no key"));
        }
        place = map.entry(step.to_owned()).or_insert(Value::Null);
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Usdc;
    use serde_json::json;

    fn with(settings: Value) -> Result<Config, String> {
        Config::default().with_settings(settings.as_object().unwrap())
    }

    #[test]
    fn keys_are_set_and_everything_else_stays() {
        let config = with(json!({
            "strategies.signal_trader.min_edge": 0.03,
            "starting_balance": 500,
            "risk.max_position_size": 7.5,
            "backtest.fee_model": "none",
            "backtest.latency_ms": 250,
        }))
        .unwrap();
        let edge = |config: &Config| config.strategies.signal_trader.clone().unwrap().min_edge;
        assert_eq!(edge(&config), 0.03);
        assert_eq!(config.starting_balance, Usdc::whole(500));
        assert_eq!(config.backtest_trading().execution.latency_ms, 250);
        assert_eq!(config.trading().execution.latency_ms, 0, "live has its own");
        let mut before = config.clone();
        before.strategies = Config::default().strategies;
        before.starting_balance = Usdc::whole(1000);
        before.risk = Config::default().risk;
        before.backtest = Config::default().backtest;
        assert_eq!(before, Config::default());
        assert_eq!(with(json!({})).unwrap(), Config::default());
    }

    #[test]
    fn a_strategy_that_was_left_out_can_be_switched_on() {
        let mut config = Config::default();
        config.strategies.market_maker = None;
        let settings = json!({"strategies.market_maker.enabled": true});
        let config = config.with_settings(settings.as_object().unwrap()).unwrap();
        assert!(config.strategies.market_maker.unwrap().enabled);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (settings, words) in [
            (json!({"strategies.signal_trader.min_egde": 1}), "min_egde"),
            (
                json!({"strategies.signal_trader.min_edge": "much"}),
                "min_edge",
            ),
            (json!({"strategies.oracle.enabled": true}), "oracle"),
            (json!({"risk.max_open_orders.x": 1}), "below a value"),
            (json!({"risk..x": 1}), "no key"),
            (json!({"venue.gamma_url": "http://x"}), "decides nothing"),
            (json!({"mode": "live"}), "decides nothing"),
            (
                json!({"backtest.data_dirs": ["/"]}),
                "configuration file only",
            ),
            (
                json!({"backtest": {"data_dirs": ["/"]}}),
                "configuration file only",
            ),
            (json!({"backtest.start": "soon"}), "backtest.start"),
            (json!({"backtest.latency_ms": 60_001}), "latency_ms"),
            (json!({"starting_balance": 0}), "starting_balance"),
        ] {
            let message = with(settings).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_setting_is_read_as_yaml() {
        let read = |text: &str| setting(text).unwrap();
        assert_eq!(read("a.b=0.03"), ("a.b".to_owned(), json!(0.03)));
        assert_eq!(read("a = true").1, json!(true));
        assert_eq!(read("a=kelly").1, json!("kelly"));
        assert_eq!(read("a=null").1, Value::Null);
        assert!(setting("a").is_err() && setting("=1").is_err());
    }
}

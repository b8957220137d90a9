//! `config.yaml`: every key with its default. Unknown keys are refused.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::backtest::engine::FeeModel;
use crate::domain::{Price, Shares, Timestamp, Usdc, plain};
use crate::market_data::polymarket::PolymarketConfig;
use crate::market_data::recorded::VolumeKind;
use crate::strategy::StrategiesConfig;
use crate::trading::config::{
    AggregationConfig, ConditionalConfig, ExecutionConfig, Mode, RiskConfig, SizingConfig,
    TradingConfig,
};

use super::AppError;

mod digest;
mod expand;
mod overrides;
mod sections;

pub use overrides::setting;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// monitor (signals only) or paper. `live` is refused until live trading exists.
    pub mode: Mode,
    /// Cash that a new paper account starts with, pUSD.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub starting_balance: Usdc,
    /// Seconds between the ticks of `run`.
    pub poll_interval: u32,
    /// Strategies, each with `enabled` and its parameters.
    pub strategies: StrategiesConfig,
    /// How signals become decisions.
    pub aggregation: AggregationConfig,
    /// Limits that no order passes.
    pub risk: RiskConfig,
    /// Stops and profit targets attached to what strategies buy.
    pub conditional_orders: ConditionalConfig,
    /// How much is bet.
    pub position_sizing: SizingConfig,
    /// How orders reach the paper exchange.
    pub execution: ExecutionConfig,
    /// What a tick looks at.
    pub gather: GatherConfig,
    /// Logs, alerts, dashboard.
    pub monitoring: MonitoringConfig,
    /// Backtests and recordings.
    pub backtest: BacktestConfig,
    /// Jobs that run by themselves inside `serve` and `run`.
    pub scheduler: SchedulerConfig,
    /// The venue's addresses and how it is asked.
    pub venue: PolymarketConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            mode: Mode::Paper,
            starting_balance: Usdc::whole(1000),
            poll_interval: 60,
            strategies: StrategiesConfig::default(),
            aggregation: AggregationConfig::default(),
            risk: RiskConfig::default(),
            conditional_orders: ConditionalConfig::default(),
            position_sizing: SizingConfig::default(),
            execution: ExecutionConfig::default(),
            gather: GatherConfig::default(),
            monitoring: MonitoringConfig::default(),
            backtest: BacktestConfig::default(),
            scheduler: SchedulerConfig::default(),
            venue: PolymarketConfig::default(),
        }
    }
}

/// What a tick looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatherConfig {
    /// So many open markets, most traded in the last 24 hours first; 1 to 2000.
    pub max_markets: usize,
    /// Oldest list of markets, metadata and check for resolutions that a tick works with, seconds:
    /// 10 to 3600. `serve` and `run` renew them in the background at half that age; what is older
    /// the tick fetches itself. The venue's answers may have waited for `venue.cache_seconds` more.
    /// 0: nothing is refreshed in the background, and every tick fetches everything.
    pub refresh_seconds: u32,
    /// Markets whose books are followed live, 0 to 2000: those of the account first, then the most
    /// traded. The books of all others are fetched in each tick.
    pub follow_markets: usize,
}

impl Default for GatherConfig {
    fn default() -> Self {
        GatherConfig {
            max_markets: 200,
            refresh_seconds: 120,
            follow_markets: 200,
        }
    }
}

/// Logs, alerts, dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MonitoringConfig {
    /// Logs as one JSON object per line.
    pub structured_logging: bool,
    /// File that receives the log too; null for none.
    pub log_file: Option<PathBuf>,
    /// Addresses that receive a JSON POST on each execution. They often carry a token: write
    /// `${POLYMARKET_ALERT_WEBHOOK}` and set the variable.
    pub alert_webhooks: Vec<String>,
    /// Shortest time between two account snapshots that no trade caused, seconds.
    pub snapshot_interval: u32,
    /// Address of `dashboard`.
    pub dashboard_host: String,
    /// Port of `dashboard`.
    pub dashboard_port: u16,
}

impl Default for MonitoringConfig {
    fn default() -> Self {
        MonitoringConfig {
            structured_logging: false,
            log_file: None,
            alert_webhooks: Vec::new(),
            snapshot_interval: 300,
            dashboard_host: "127.0.0.1".to_owned(),
            dashboard_port: 8080,
        }
    }
}

/// Backtests and recordings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BacktestConfig {
    /// Spread of books that are made from a single price, 0–1.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub default_spread: Price,
    /// Shares on each side of such a book.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub default_depth: Shares,
    /// What the column `volume` of recordings is, where no `dataset.yaml` beside them says so: 24h,
    /// cumulative, per_row or unknown. null: guessed file by file, and reported.
    pub volume_kind: Option<VolumeKind>,
    /// Shortest time between two points of the equity curve that no trade caused, seconds.
    pub snapshot_interval: u32,
    /// First moment, RFC 3339 or a date; null: the recording's first row.
    pub start: Option<String>,
    /// Last moment, RFC 3339 or a date (to the end of that day); null: the recording's end.
    pub end: Option<String>,
    /// How long an order is on its way, ms: 0 to 60000; null: `execution.latency_ms`.
    pub latency_ms: Option<u32>,
    /// market: the market's own fees where recorded, else the dated schedule by category. schedule:
    /// that schedule for all. none: no fees, and the result says so.
    pub fee_model: FeeModel,
    /// Seconds between ticks, at whole multiples; 0: a tick at each distinct time of a row.
    pub tick_seconds: u32,
    /// Seed of what is drawn at random.
    pub seed: u64,
    /// Folders that `run_backtest` may read from, with all below them.
    pub data_dirs: Vec<PathBuf>,
}

impl Default for BacktestConfig {
    fn default() -> Self {
        BacktestConfig {
            default_spread: Price::from_micros(20_000).unwrap_or(Price::ZERO),
            default_depth: Shares::whole(1000),
            volume_kind: None,
            snapshot_interval: 86_400,
            start: None,
            end: None,
            latency_ms: None,
            fee_model: FeeModel::Market,
            tick_seconds: 0,
            seed: 0,
            data_dirs: vec![PathBuf::from("data")],
        }
    }
}

/// Jobs that run by themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerConfig {
    /// Each names a tick or any tool.
    pub jobs: Vec<JobConfig>,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        SchedulerConfig {
            jobs: vec![JobConfig {
                name: "tick".to_owned(),
                cron: "0 */5 * * * *".to_owned(),
                tool: "tick".to_owned(),
                arguments: serde_json::Map::new(),
                enabled: true,
            }],
        }
    }
}

/// One scheduled job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobConfig {
    /// Its name in logs and audit rows: 1 to 64 of a-z, A-Z, 0-9, - and _.
    pub name: String,
    /// When, in UTC: second minute hour day month weekday; with five fields the second is 0.
    /// Where both day and weekday are given, both must hold. Sunday is 0 or 7.
    pub cron: String,
    /// What to call: `tick`, or any tool.
    pub tool: String,
    /// Arguments of the tool.
    #[serde(default)]
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// Whether it runs.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn enabled() -> bool {
    true
}

impl Config {
    /// Reads a file. Errors name the file, the key and what is allowed.
    pub fn load(path: &Path) -> Result<Config, AppError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| AppError::Config(format!("{}: {error}", path.display())))?;
        Config::parse(&text, &|name| std::env::var(name).ok())
            .map_err(|message| AppError::Config(format!("{}: {message}", path.display())))
    }

    /// Reads YAML text; `${NAME}` and `${NAME:-default}` are replaced through `lookup`.
    pub fn parse(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Config, String> {
        let value: Option<serde_json::Value> =
            serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let value = match value {
            None | Some(serde_json::Value::Null) => {
                return Err("the file is empty; delete it to run with the defaults".to_owned());
            }
            Some(value) => expand::expand(value, lookup)?,
        };
        sections::check(&value)?;
        let config: Config = serde_path_to_error::deserialize(value)
            .map_err(|error| format!("`{}`: {}", error.path(), error.inner()))?;
        config.validate()?;
        Ok(config)
    }

    /// Checks ranges; the message names the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        if self.mode == Mode::Live {
            return Err(
                "mode is live, which this version does not have; use paper or monitor".to_owned(),
            );
        }
        if self.starting_balance <= Usdc::ZERO {
            return Err(format!(
                "starting_balance is {}; it must be above 0 pUSD",
                self.starting_balance
            ));
        }
        if self.poll_interval == 0 {
            return Err("poll_interval is 0; it must be at least 1 second".to_owned());
        }
        if !(1..=2000).contains(&self.gather.max_markets) {
            return Err(format!(
                "gather.max_markets is {}; it must be between 1 and 2000",
                self.gather.max_markets
            ));
        }
        if !matches!(self.gather.refresh_seconds, 0 | 10..=3600) {
            return Err(format!(
                "gather.refresh_seconds is {}; it must be 0 or between 10 and 3600",
                self.gather.refresh_seconds
            ));
        }
        if self.gather.follow_markets > 2000 {
            return Err(format!(
                "gather.follow_markets is {}; it must be between 0 and 2000",
                self.gather.follow_markets
            ));
        }
        let half = Price::from_micros(500_000).unwrap_or(Price::ONE);
        if self.backtest.default_spread > half {
            return Err(format!(
                "backtest.default_spread is {}; it must be between 0 and 0.5",
                self.backtest.default_spread
            ));
        }
        if self.backtest.default_depth.is_zero() {
            return Err("backtest.default_depth is 0; it must be above 0 shares".to_owned());
        }
        for (key, moment) in [("start", &self.backtest.start), ("end", &self.backtest.end)] {
            if let Some(text) = moment
                .as_ref()
                .filter(|text| Timestamp::parse(text).is_none())
            {
                return Err(format!(
                    "backtest.{key} is `{text}`; it must be a moment (RFC 3339) or a date"
                ));
            }
        }
        if self.backtest.latency_ms.is_some_and(|ms| ms > 60_000) {
            return Err("backtest.latency_ms must be between 0 and 60000".to_owned());
        }
        if self.backtest.tick_seconds > 31_536_000 {
            return Err("backtest.tick_seconds must be between 0 and 31536000 (a year)".to_owned());
        }
        self.strategies
            .validate()
            .map_err(|error| error.to_string())?;
        self.trading().validate()
    }

    /// The same for a backtest: its own latency and interval of snapshots.
    #[must_use]
    pub fn backtest_trading(&self) -> TradingConfig {
        let mut trading = self.trading();
        trading.snapshot_interval_ms = i64::from(self.backtest.snapshot_interval) * 1000;
        if let Some(latency) = self.backtest.latency_ms {
            trading.execution.latency_ms = latency;
        }
        trading
    }

    /// What the trading core needs of it.
    #[must_use]
    pub fn trading(&self) -> TradingConfig {
        TradingConfig {
            mode: self.mode,
            risk: self.risk.clone(),
            aggregation: self.aggregation.clone(),
            sizing: self.position_sizing.clone(),
            conditional: self.conditional_orders.clone(),
            execution: self.execution.clone(),
            snapshot_interval_ms: i64::from(self.monitoring.snapshot_interval) * 1000,
        }
    }

    /// The webhooks as secrets.
    #[must_use]
    pub fn webhooks(&self) -> Vec<SecretString> {
        self.monitoring
            .alert_webhooks
            .iter()
            .map(|url| SecretString::from(url.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, &|name| {
            (name == "HOOK").then(|| "http://127.0.0.1:9/x".to_owned())
        })
    }

    #[test]
    fn the_shipped_file_states_exactly_the_defaults() {
        let shipped = include_str!("../../config.yaml");
        assert_eq!(parse(shipped).unwrap(), Config::default());
        // Complete: every key of the defaults is written out.
        let written: serde_json::Value = serde_saphyr::from_str(shipped).unwrap();
        let all = serde_json::to_value(Config::default()).unwrap();
        fn keys(prefix: &str, value: &serde_json::Value, out: &mut Vec<String>) {
            if let Some(map) = value.as_object() {
                for (key, inner) in map {
                    out.push(format!("{prefix}{key}"));
                    keys(&format!("{prefix}{key}."), inner, out);
                }
            }
        }
        let (mut shown, mut known) = (Vec::new(), Vec::new());
        keys("", &written, &mut shown);
        keys("", &all, &mut known);
        shown.sort();
        known.sort();
        assert_eq!(shown, known);
    }

    #[test]
    fn the_originals_keys_and_defaults_are_kept() {
        let config = Config::default();
        assert_eq!(config.starting_balance, Usdc::whole(1000));
        assert_eq!(config.poll_interval, 60);
        assert_eq!(config.risk.max_position_size, Usdc::whole(100));
        assert_eq!(config.risk.max_daily_loss, Usdc::whole(50));
        assert_eq!(config.risk.max_open_orders, 10);
        assert!(!config.conditional_orders.enabled);
        assert_eq!(
            config.conditional_orders.default_stop_loss_pct.to_string(),
            "0.1"
        );
        assert_eq!(
            config
                .conditional_orders
                .default_take_profit_pct
                .to_string(),
            "0.2"
        );
        assert_eq!(
            config.conditional_orders.trailing_stop_pct.to_string(),
            "0.05"
        );
        assert!((config.aggregation.min_confidence - 0.5).abs() < 1e-12);
        assert_eq!(config.aggregation.min_strategies, 1);
        assert!((config.position_sizing.kelly_fraction - 0.25).abs() < 1e-12);
        assert!((config.position_sizing.max_bet_pct - 0.10).abs() < 1e-12);
        assert_eq!(config.monitoring.snapshot_interval, 300);
        assert_eq!(config.monitoring.dashboard_host, "127.0.0.1");
        assert_eq!(config.monitoring.dashboard_port, 8080);
        assert_eq!(config.backtest.default_spread.to_string(), "0.02");
        assert_eq!(config.backtest.snapshot_interval, 86_400);
    }

    #[test]
    fn mistakes_are_named_with_their_key() {
        let unknown = parse("risk:\n  max_position_sze: 5\n").unwrap_err();
        assert!(unknown.contains("max_position_sze") && unknown.contains("max_position_size"));
        let typed = parse("risk:\n  max_position_size: lots\n").unwrap_err();
        assert!(typed.contains("risk.max_position_size"), "{typed}");
        assert!(parse("mode: live\n").unwrap_err().contains("paper"));
        assert!(parse("").unwrap_err().contains("empty"));
        assert!(
            parse("starting_balance: -5\n")
                .unwrap_err()
                .contains("starting_balance")
        );
        assert!(
            parse("risk: {max_daily_loss: 0}\n")
                .unwrap_err()
                .contains("risk.max_daily_loss")
        );
        assert!(
            parse("backtest: {default_spread: 0.9}\n")
                .unwrap_err()
                .contains("default_spread")
        );
        assert!(
            parse("gather: {max_markets: 0}\n")
                .unwrap_err()
                .contains("max_markets")
        );
        for bad in [
            "refresh_seconds: 9",
            "refresh_seconds: 3601",
            "follow_markets: 2001",
        ] {
            let message = parse(&format!("gather: {{{bad}}}\n")).unwrap_err();
            assert!(message.contains("must be"), "{message}");
        }
        assert!(parse("gather: {refresh_seconds: 0, follow_markets: 0}\n").is_ok());
        assert!(parse("mode: [paper\n").is_err());
    }

    #[test]
    fn variables_are_filled_in_and_missing_ones_named() {
        let config = parse("monitoring:\n  alert_webhooks: [\"${HOOK}\"]\n").unwrap();
        assert_eq!(config.monitoring.alert_webhooks, ["http://127.0.0.1:9/x"]);
        let config = parse("poll_interval: ${WAIT:-30}\n").unwrap();
        assert_eq!(config.poll_interval, 30);
        let missing = parse("monitoring:\n  log_file: ${NOWHERE}\n").unwrap_err();
        assert!(missing.contains("NOWHERE"));
    }
}

//! What a sandbox is made from, and why one cannot be started.

use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::domain::{Clock, MoneyError, SystemClock, Timestamp, Usdc};

/// Most markets one sandbox holds.
pub const MAX_MARKETS: usize = 50_000;
/// Fastest clock: simulated seconds per real second.
pub const MAX_SPEED: f64 = 100_000.0;

/// 2026-11-23T08:00:00Z: fixed, so that a seed alone reproduces every byte.
const DEFAULT_START: Timestamp = Timestamp::from_secs(1_795_420_800);

/// What a sandbox is made from. The same values give the same exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// Seed of everything random.
    pub seed: u64,
    /// How many markets there are at the start, those of an event counted one by one: 1 to 50,000.
    /// Others follow when they have ended.
    pub markets: usize,
    /// Simulated time at the start, milliseconds since the epoch.
    pub start: Timestamp,
    /// Plants labelled inefficiencies, so that strategies find something to do.
    pub inefficiencies: bool,
    /// Micro-pUSD that every wallet begins with at its first use.
    pub starting_balance: Usdc,
    /// Simulated seconds per real second; `None`: time moves only when it is stepped.
    pub speed: Option<f64>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        SandboxConfig {
            seed: 1,
            markets: 60,
            start: DEFAULT_START,
            inefficiencies: false,
            starting_balance: Usdc::from_micros(1_000_000_000),
            speed: None,
        }
    }
}

impl SandboxConfig {
    /// The same exchange, but starting at this machine's present second: signatures and order
    /// expirations that a client makes by its own clock then fit, at a speed of 1. Another start
    /// gives other bytes.
    #[must_use]
    pub fn starting_now(self) -> Self {
        SandboxConfig {
            start: Timestamp::from_secs(SystemClock.now().secs()),
            ..self
        }
    }

    /// Checks the ranges. Errors: [`SandboxError::Config`] names the field.
    pub fn check(&self) -> Result<(), SandboxError> {
        if !(1..=MAX_MARKETS).contains(&self.markets) {
            return Err(SandboxError::Config(format!(
                "markets: {} is not between 1 and {MAX_MARKETS}",
                self.markets
            )));
        }
        // 2001-09-09 to 2100: histories and end dates around it stay plausible to a client.
        if !(1_000_000_000..4_102_444_800).contains(&self.start.secs()) {
            return Err(SandboxError::Config(format!(
                "start: {} is not between 2001-09-09 and 2100-01-01 (milliseconds since 1970)",
                self.start
            )));
        }
        if self.starting_balance < Usdc::ZERO || self.starting_balance > Usdc::whole(100_000_000) {
            return Err(SandboxError::Config(format!(
                "starting_balance: {} pUSD is not between 0 and 100000000",
                self.starting_balance
            )));
        }
        if let Some(speed) = self.speed
            && !(speed > 0.0 && speed <= MAX_SPEED)
        {
            return Err(SandboxError::Config(format!(
                "speed: {speed} is not above 0 and at most {MAX_SPEED}"
            )));
        }
        Ok(())
    }
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It has no authentication and serves made-up money: nobody else's machine may reach it.
    #[error("the sandbox listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The wanted address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A value of the configuration is out of range.
    #[error("sandbox configuration: {0}")]
    Config(String),
    /// Making the markets was broken off.
    #[error("the sandbox's markets could not be made: {0}")]
    Unmade(String),
    /// A fee rate or price of the model is not money: a mistake in its tables.
    #[error("sandbox model: {0}")]
    Money(#[from] MoneyError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_configuration_is_the_default_and_typos_are_refused() {
        let config: SandboxConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, SandboxConfig::default());
        assert_eq!(config.start.to_string(), "2026-11-23T08:00:00Z");
        assert_eq!(config.markets, 60);
        assert!(serde_json::from_str::<SandboxConfig>(r#"{"sed": 2}"#).is_err());
    }

    #[test]
    fn a_sandbox_can_start_now() {
        let config = SandboxConfig::default().starting_now();
        let behind = SystemClock.now().since(config.start);
        assert!((0..60_000).contains(&behind), "{behind}");
        assert!(config.check().is_ok());
    }

    #[test]
    fn values_out_of_range_are_named() {
        for (config, field) in [
            (
                SandboxConfig {
                    markets: 0,
                    ..SandboxConfig::default()
                },
                "markets",
            ),
            (
                SandboxConfig {
                    speed: Some(f64::NAN),
                    ..SandboxConfig::default()
                },
                "speed",
            ),
            (
                SandboxConfig {
                    start: Timestamp::from_secs(5),
                    ..SandboxConfig::default()
                },
                "start",
            ),
        ] {
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }
}

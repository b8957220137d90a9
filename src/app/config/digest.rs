//! A short name for what decides: two processes with the same one trade by the same rules.

use sha2::{Digest, Sha256};

use super::Config;

impl Config {
    /// Digest of mode, strategies, aggregation, limits, conditional orders and sizing: 16 hex
    /// digits. Where prices come from, what is logged and when jobs run is no part of it.
    #[must_use]
    pub fn rules_digest(&self) -> String {
        let rules = (
            self.mode,
            &self.strategies,
            &self.aggregation,
            &self.risk,
            &self.conditional_orders,
            &self.position_sizing,
        );
        // Numbers and text only: it cannot fail, and if it did, all would be told apart.
        let text = serde_json::to_string(&rules).unwrap_or_else(|error| error.to_string());
        let digest = Sha256::digest(text.as_bytes());
        digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_decides_counts() {
        let config = Config::default();
        let mut other = config.clone();
        other.poll_interval += 1;
        other.gather.max_markets = 7;
        assert_eq!(config.rules_digest(), other.rules_digest());
        other.risk.max_open_orders += 1;
        assert_ne!(config.rules_digest(), other.rules_digest());
        assert_eq!(config.rules_digest().len(), 16);
    }
}

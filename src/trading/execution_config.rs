//! How the paper exchange is reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest latency, ms: beyond it an order is another decision.
const MAX_LATENCY_MS: u32 = 60_000;

/// How orders reach the paper exchange.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExecutionConfig {
    /// Time from a decision to its order's arrival, ms, 0 to 60000: the order meets the book of then,
    /// not the one that it was decided on. 0: it meets the book that was decided on. With simulated
    /// or recorded time it arrives with the first step at or after that moment.
    pub latency_ms: u32,
}

impl ExecutionConfig {
    /// Checks ranges; the message names the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        if self.latency_ms > MAX_LATENCY_MS {
            return Err(format!(
                "execution.latency_ms is {}; it must be between 0 and {MAX_LATENCY_MS}",
                self.latency_ms
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_at_most_a_minute() {
        let of = |latency_ms| ExecutionConfig { latency_ms }.validate();
        assert_eq!(of(0), Ok(()));
        assert_eq!(of(60_000), Ok(()));
        assert_eq!(
            of(60_001).unwrap_err(),
            "execution.latency_ms is 60001; it must be between 0 and 60000"
        );
    }
}

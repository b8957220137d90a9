//! Probability estimates: what an agent thinks, kept until it expires or is replaced.

use serde::{Deserialize, Serialize};

use super::ids::{MarketId, OutcomeName, TokenId};
use super::money::Price;
use super::time::Timestamp;

/// An agent's estimate of the probability of one outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Market.
    pub market_id: MarketId,
    /// Token of the outcome that is estimated.
    pub token_id: TokenId,
    /// Name of that outcome.
    pub outcome: OutcomeName,
    /// Estimated probability, 0 < p < 1.
    pub probability: f64,
    /// How sure the author is of the estimate itself, 0–1; `None` when not stated.
    pub confidence: Option<f64>,
    /// Who estimates: an agent's name for itself.
    pub author: String,
    /// Why, in the author's words.
    pub rationale: String,
    /// Best ask and bid of the token when the estimate was given.
    pub ask_then: Option<Price>,
    /// Best bid then.
    pub bid_then: Option<Price>,
    /// When it was given.
    pub created_at: Timestamp,
    /// From when on it is no longer acted on.
    pub expires_at: Timestamp,
}

impl Estimate {
    /// True while the estimate may still be acted on.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

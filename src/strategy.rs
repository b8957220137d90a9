//! Strategies: pure functions of a snapshot. One file each.
//!
//! A strategy looks, and says what it wants and why; it neither sizes by the account, nor checks
//! limits, nor trades. It states its fair price with the model that gave it, and how sure it is of
//! that. Every market it looked at and did not act on is counted under a cause.

use std::collections::BTreeMap;

pub mod ai_analyst;
mod all;
pub mod arbitrageur;
mod cause;
// The worked example of docs/writing-a-strategy.md: compiled and tested, not part of the program.
#[cfg(test)]
mod faults;
#[cfg(test)]
mod favourite;
mod indicators;
pub mod market_maker;
mod params;
mod parts;
mod pricing;
#[cfg(test)]
mod properties;
pub mod scout;
mod set;
pub mod sight;
pub mod signal_trader;
#[cfg(test)]
mod test_support;

pub use ai_analyst::{AiAnalyst, AiAnalystParams};
pub use all::look_with_all;
pub use arbitrageur::{Arbitrageur, ArbitrageurParams};
pub use market_maker::{MarketMaker, MarketMakerParams};
pub use set::{StrategiesConfig, StrategyConfigError, StrategySet};
pub use signal_trader::{SignalTrader, SignalTraderParams};

use crate::domain::{
    Calibrations, Estimate, Intent, MarketId, Position, RestingOrder, Snapshot, TokenId,
};

/// What a strategy may look at.
#[derive(Debug, Clone, Copy)]
pub struct StrategyContext<'a> {
    /// Markets, books and histories, gathered before the tick.
    pub snapshot: &'a Snapshot,
    /// Holdings by token.
    pub positions: &'a BTreeMap<TokenId, Position>,
    /// Orders that rest now, by number.
    pub resting: &'a BTreeMap<u64, RestingOrder>,
    /// Latest estimates by market, expired ones included; several authors may have one each.
    pub estimates: &'a BTreeMap<MarketId, Vec<Estimate>>,
    /// What has come of such statements of their authors.
    pub calibrations: &'a Calibrations,
}

/// What a strategy made of a snapshot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Analysis {
    /// What it wants.
    pub intents: Vec<Intent>,
    /// Markets (for an arbitrage: groups) looked at.
    pub looked_at: u32,
    /// Of those, how many were passed over, by cause, in words that a person understands.
    pub passed_over: BTreeMap<String, u32>,
}

impl Analysis {
    /// Counts one market as passed over because of `cause`.
    pub fn pass(&mut self, cause: &str) {
        if let Some(count) = self.passed_over.get_mut(cause) {
            *count += 1;
        } else {
            self.passed_over.insert(cause.to_owned(), 1);
        }
    }
}

/// A strategy cannot do its work at all. It never stops other strategies, nor exits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{strategy} could not analyse the snapshot: {message}")]
pub struct StrategyError {
    /// Which one.
    pub strategy: String,
    /// Why.
    pub message: String,
}

/// One way to find trades. Deterministic for a given context.
pub trait Strategy: Send + Sync {
    /// Its name in the configuration and in every log.
    fn name(&self) -> &'static str;

    /// What it wants, given what is known. Errors: [`StrategyError`] when it cannot work at all.
    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError>;

    /// Itself, when it can tell from best prices alone what it makes of a market: a replay of price files
    /// makes no books then for markets in which nothing is at stake. `None`: it needs whole views.
    fn scout(&self) -> Option<&dyn scout::Scout> {
        None
    }
}

//! What the same money would have become without the strategies: doing nothing, buying every
//! favourite, and trading at random.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Intent, MarketId, MarketView, Side, Signal, StrategyName, Usdc};
use crate::strategy::{Analysis, Strategy, StrategyContext, StrategyError};
use crate::trading::config::SizingMethod;

use super::data::Source;
use super::engine::{self, BacktestError, BacktestOptions};

mod random;

pub use random::{Hold, RANDOM_DRAWS, RandomTrades, random_trades};

/// Name that the favourites' orders carry.
const FAVOURITES: &str = "favourites";
/// Stake of a favourite when the run itself bought nothing, pUSD.
const STAKE: i32 = 25;

/// The run beside what asks for no skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparisons {
    /// Return of doing nothing, as a fraction: 0.
    pub nothing: f64,
    /// Buying every favourite.
    pub favourites: Favourites,
    /// Random trades of the same number and size; null when nothing was traded.
    pub random: Option<RandomTrades>,
}

/// Buying the favourite of every market at first sight: the outcome with the higher middle, at its
/// ask, for the run's mean stake, through the same desk with the same limits, exits and fees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Favourites {
    /// Return, as a fraction.
    pub total_return: f64,
    /// pUSD wanted of each.
    pub stake: f64,
    /// Purchases that filled.
    pub bought: u64,
    /// Purchases that were refused (limits, cash) or found nobody.
    pub refused: u64,
}

/// Buys favourites. It remembers the markets that it has seen, so it is good for one run.
struct BuyFavourites {
    stake: Usdc,
    seen: Arc<Mutex<HashSet<MarketId>>>,
}

impl BuyFavourites {
    fn look(&self, view: &MarketView) -> Option<Intent> {
        let market = &*view.market;
        if !market.is_tradable() || market.placeholder {
            return None;
        }
        let priced = market.outcomes.iter().filter_map(|outcome| {
            let book = view.book(&outcome.token).filter(|book| book.is_sound())?;
            Some((book.mid()?, book.best_ask()?, outcome))
        });
        let (mid, ask, outcome) = priced.max_by(|a, b| a.0.total_cmp(&b.0))?;
        if mid < 0.5 {
            return None;
        }
        Some(Intent::Directional(Signal {
            strategy: StrategyName::new(FAVOURITES),
            market_id: market.id.clone(),
            token_id: outcome.token.clone(),
            outcome: outcome.name.clone(),
            side: Side::Buy,
            confidence: 1.0,
            // It believes whatever it buys, so that no edge is asked of it.
            fair_price: 1.0,
            target_price: ask,
            edge: 1.0 - ask.to_f64(),
            size: self.stake,
            reason: "the favourite, at first sight".into(),
            stop_loss: None,
            take_profit: None,
        }))
    }
}

impl Strategy for BuyFavourites {
    fn name(&self) -> &'static str {
        FAVOURITES
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let mut analysis = Analysis::default();
        let Ok(mut seen) = self.seen.lock() else {
            return Err(StrategyError {
                strategy: FAVOURITES.to_owned(),
                message: "what it has seen is lost".to_owned(),
            });
        };
        for view in context.snapshot.candidates() {
            if seen.contains(&view.market.id) {
                continue;
            }
            if let Some(intent) = self.look(view) {
                seen.insert(view.market.id.clone());
                analysis.intents.push(intent);
            }
        }
        Ok(analysis)
    }
}

/// Replays the recording with nothing but favourites. `None` when it was cancelled.
///
/// Errors: as [`engine::run`].
pub fn favourites<'d>(
    data: impl Into<Source<'d>>,
    options: &BacktestOptions<'_>,
    stake: Option<Usdc>,
) -> Result<Option<Favourites>, BacktestError> {
    let stake = stake.unwrap_or(Usdc::whole(STAKE));
    let mut options = BacktestOptions {
        title: String::new(),
        progress: &|_, _| {},
        ..options.clone()
    };
    // By fair price it would bet as much as it may each time.
    options.trading.sizing.method = SizingMethod::Fixed;
    let seen: Arc<Mutex<HashSet<MarketId>>> = Arc::default();
    let strategies: [Box<dyn Strategy>; 1] = [Box::new(BuyFavourites {
        stake,
        seen: Arc::clone(&seen),
    })];
    // What it has seen it never looks at again: most of the recording.
    let is_new = |market: &MarketId| seen.lock().is_ok_and(|seen| !seen.contains(market));
    let selects: engine::Selects<'_> = &is_new;
    let result = engine::run_selected(data, &strategies, &options, &mut |_, _| {}, Some(selects))?;
    if result.partial {
        return Ok(None);
    }
    let rows = &result.report.strategies;
    let own = rows.iter().find(|row| row.strategy == FAVOURITES);
    let bought = own.map_or(0, |row| row.executed);
    // Each was wanted once.
    let wanted = seen.lock().map_or(0, |seen| seen.len() as u64);
    Ok(Some(Favourites {
        total_return: result.report.metrics.total_return.unwrap_or(0.0),
        stake: stake.to_f64(),
        bought,
        refused: wanted.saturating_sub(bought),
    }))
}

#[cfg(test)]
mod tests;

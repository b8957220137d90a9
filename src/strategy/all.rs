//! One look with all strategies, each on its own: one that fails is reported and stops nobody.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rayon::prelude::*;

use super::{Analysis, Strategy, StrategyContext, parts};
use crate::domain::{Intent, MarketId};

/// What each strategy makes of the snapshot, in their order; or in words why it could not work. Of many
/// markets they look at the same time, which changes nothing: none knows of another.
pub fn look_with_all(
    strategies: &[Box<dyn Strategy>],
    context: &StrategyContext<'_>,
) -> Vec<Result<Analysis, String>> {
    if parts::is_large(context.snapshot) {
        let strategies = strategies.par_iter();
        return strategies
            .map(|one| look_with(one.as_ref(), context))
            .collect();
    }
    let strategies = strategies.iter();
    strategies
        .map(|one| look_with(one.as_ref(), context))
        .collect()
}

fn look_with(strategy: &dyn Strategy, context: &StrategyContext<'_>) -> Result<Analysis, String> {
    // A strategy may be written by anybody; a panic in one must not stop exits or others.
    let outcome = catch_unwind(AssertUnwindSafe(|| strategy.analyze(context)));
    let analysis = outcome
        .map_err(|_| "the strategy panicked".to_owned())?
        .map_err(|error| error.to_string())?;
    match analysis.intents.iter().find_map(no_number) {
        None => Ok(analysis),
        Some(error) => Err(error),
    }
}

/// What of an intent is no number, in words: an event that holds such a thing cannot be stored, and
/// nothing can be reckoned with it.
fn no_number(intent: &Intent) -> Option<String> {
    let first = |numbers: &[(&'static str, f64)]| {
        let mut numbers = numbers.iter();
        numbers.find(|(_, value)| !value.is_finite()).copied()
    };
    let (market, found) = match intent {
        Intent::Directional(signal) => (
            Some(&signal.market_id),
            first(&[
                ("confidence", signal.confidence),
                ("fair price", signal.fair_price),
                ("edge", signal.edge),
            ]),
        ),
        Intent::Quote(quote) => (
            Some(&quote.market_id),
            first(&[
                ("confidence", quote.confidence),
                ("fair price", quote.fair_price),
            ]),
        ),
        Intent::Basket(basket) => (
            basket.legs.first().map(|leg| &leg.market_id),
            first(&[
                ("confidence", basket.confidence),
                ("payout", basket.payout),
                ("edge", basket.edge),
            ]),
        ),
    };
    let (name, value) = found?;
    let market = market.map_or("no market", MarketId::as_str);
    Some(format!(
        "its {name} for market {market} is {value}: nothing of it is traded"
    ))
}

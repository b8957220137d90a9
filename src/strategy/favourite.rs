//! Favourites: in many betting markets long shots cost more than they are worth, and favourites
//! less. Buys the favourite where that premium is larger than fee and spread.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params;
use super::pricing::{self, BuyTerms};
use super::{Analysis, Strategy, StrategyContext, StrategyError};
use crate::domain::{Intent, MarketView, Side, Signal, StrategyName};

/// Its name in the configuration.
pub const NAME: &str = "favourite";

const NO_FAVOURITE: &str = "no favourite";

/// Parameters of [`Favourite`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FavouriteParams {
    /// Whether the strategy runs. Default false: a section has to ask for it.
    pub enabled: bool,
    /// Least mid of a favourite, 0.5 to 0.95. Default 0.70.
    pub min_price: f64,
    /// Part of what the long shot costs that goes to the favourite, 0 to 1. Default 0.20.
    pub premium: f64,
    /// Least edge per share after fee and spread, pUSD. Default 0.01.
    pub min_edge: f64,
    /// How far above the best ask the limit may go for size, price units. Default 0.01.
    pub max_slippage: f64,
    /// Notional of a whole position, pUSD. Default 25.
    pub order_size: f64,
}

impl Default for FavouriteParams {
    fn default() -> Self {
        FavouriteParams {
            enabled: false,
            min_price: 0.70,
            premium: 0.20,
            min_edge: 0.01,
            max_slippage: 0.01,
            order_size: 25.0,
        }
    }
}

/// The strategy. Fair price of a favourite = mid + premium × (1 − mid).
#[derive(Debug, Clone)]
pub struct Favourite {
    params: FavouriteParams,
    terms: BuyTerms,
}

impl Favourite {
    /// Checks the parameters (`enabled` is the caller's business). Errors: the message of the
    /// first parameter that is out of range.
    pub fn new(params: FavouriteParams) -> Result<Self, String> {
        params::in_range("min_price", params.min_price, 0.5..=0.95)?;
        params::in_range("premium", params.premium, 0.0..=1.0)?;
        let terms = BuyTerms::new(params.order_size, params.min_edge, params.max_slippage)?;
        Ok(Favourite { params, terms })
    }

    /// What it wants in one market, or the cause why nothing.
    fn look(
        &self,
        context: &StrategyContext<'_>,
        view: &MarketView,
    ) -> Result<Intent, &'static str> {
        let market = &*view.market;
        // Open, two outcomes, no placeholder, a usable tick.
        let (first, second) = pricing::tradable_pair(market)?;
        for outcome in [first, second] {
            // There, recent, not crossed; each outcome by its own book.
            let book = pricing::sane_book(view.book(&outcome.token), context.snapshot.at)?;
            let mid = pricing::two_sided(book)?.mid;
            if !pricing::reaches(mid, self.params.min_price) {
                continue;
            }
            let fair = pricing::clamp_fair(mid + self.params.premium * (1.0 - mid));
            // Limit on the tick, edge after fee at that limit, room left by what is held.
            let plan = pricing::plan_buy(context, market, book, fair, &self.terms)?;
            return Ok(Intent::Directional(Signal {
                strategy: StrategyName::new(NAME),
                market_id: market.id.clone(),
                token_id: outcome.token.clone(),
                outcome: outcome.name.clone(),
                side: Side::Buy,
                confidence: pricing::threshold_confidence(mid, self.params.min_price),
                fair_price: fair,
                target_price: plan.limit,
                edge: plan.edge,
                size: plan.size,
                reason: format!(
                    "{} at {mid:.4}, fair {fair:.4} = mid + {} x (1 - mid); buy to {}, fee {:.4}, \
                     edge {:.4}",
                    pricing::name_of(outcome),
                    self.params.premium,
                    plan.limit,
                    plan.fee,
                    plan.edge,
                )
                .into(),
                stop_loss: None,
                take_profit: None,
            }));
        }
        Err(NO_FAVOURITE)
    }
}

impl Strategy for Favourite {
    fn name(&self) -> &'static str {
        NAME
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        // Counts every candidate, as an intent or under its cause.
        Ok(pricing::look_at_each(context, |view| {
            self.look(context, view)
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::test_support::{close, market, price, usdc, world};
    use super::*;

    #[test]
    fn a_favourite_is_bought_at_its_ask_when_the_premium_pays_for_it() {
        let books = |ask: &str| {
            let view = market("m")
                .fee("0.04")
                .yes(&[("0.79", 100)], &[(ask, 100)])
                .no(&[("0.19", 100)], &[("0.21", 100)])
                .view();
            world(vec![view])
        };
        let strategy = Favourite::new(FavouriteParams::default()).unwrap();
        let analysis = strategy.analyze(&books("0.81").context()).unwrap();
        let [Intent::Directional(signal)] = analysis.intents.as_slice() else {
            panic!("{analysis:?}");
        };
        assert_eq!(signal.token_id.as_str(), "m-yes");
        assert_eq!(
            (signal.target_price, signal.size),
            (price("0.81"), usdc("25"))
        );
        // Mid 0.80, fair 0.80 + 0.20 × 0.20 = 0.84; fee 0.04 × 0.81 × 0.19 = 0.006156.
        close(signal.fair_price, 0.84);
        close(signal.edge, 0.84 - 0.81 - 0.006_156);
        // 0.5 × 0.80 / 0.70
        assert_eq!(signal.confidence, 0.5714);
        // At 0.85 the mid is 0.82, the fair price 0.856 and the fee 0.0051: 0.0009 is left.
        let analysis = strategy.analyze(&books("0.85").context()).unwrap();
        assert_eq!(
            analysis.passed_over,
            BTreeMap::from([("no edge after fee and spread".to_owned(), 1)])
        );
    }

    #[test]
    fn without_a_favourite_nothing_is_bought() {
        let view = market("m")
            .yes(&[("0.59", 100)], &[("0.61", 100)])
            .no(&[("0.39", 100)], &[("0.41", 100)])
            .view();
        let world = world(vec![view]);
        let strategy = Favourite::new(FavouriteParams::default()).unwrap();
        let analysis = strategy.analyze(&world.context()).unwrap();
        assert_eq!(analysis.looked_at, 1);
        assert_eq!(
            analysis.passed_over,
            BTreeMap::from([(NO_FAVOURITE.to_owned(), 1)])
        );
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let refused = |params: FavouriteParams| Favourite::new(params).unwrap_err();
        assert_eq!(
            refused(FavouriteParams {
                min_price: 0.4,
                ..FavouriteParams::default()
            }),
            "min_price is 0.4, allowed is 0.5 to 0.95"
        );
        assert_eq!(
            refused(FavouriteParams {
                premium: 1.1,
                ..FavouriteParams::default()
            }),
            "premium is 1.1, allowed is 0 to 1"
        );
    }
}

//! Buys sets of outcomes that together pay a known amount for less: both outcomes of a market, one
//! outcome of each market of a neg-risk event, or a later Yes with an earlier No of a date ladder.
//! Always the whole set, never one leg.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params::{self, MAX_AMOUNT};
use super::scout::{Finding, Scout};
use super::sight::{Sight, TopBook};
use super::{Analysis, Strategy, StrategyContext, StrategyError};
use super::{parts, pricing};
use crate::domain::money::MICRO;
use crate::domain::{Basket, EventId, Intent, Market, MarketId, MarketView, Usdc};

mod basket;
mod deadline;
mod event;
mod ladder;

use basket::{SetTerms, plan_set};
use deadline::Reading;
use ladder::Ladders;

/// Its name in the configuration.
pub const NAME: &str = "arbitrageur";

/// Parameters of [`Arbitrageur`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ArbitrageurParams {
    /// Whether the strategy runs. Default false: a section has to ask for it.
    pub enabled: bool,
    /// The best asks of a set must sum to less than its payout by more than this, before fees,
    /// pUSD per set. Default 0.02.
    pub price_sum_tolerance: f64,
    /// Least payout − asks − fees, pUSD per set. Default 0.03.
    pub min_deviation: f64,
    /// A second floor for payout − asks − fees, as in the other strategies; the larger of the two
    /// counts. Default 0.01.
    pub min_edge: f64,
    /// Most that a set position costs in all, fees included, pUSD. Default 25.
    pub order_size: f64,
    /// Whether the Yes outcomes of an event may be bought as a set. That pays only if the listed
    /// markets are all there are, which a snapshot cannot prove. Default false.
    pub trust_event_sets: bool,
    /// Whether a later Yes and an earlier No of the same question with different dates ("by March
    /// 31", "by June 30") may be bought as a set. Default true.
    pub date_ladders: bool,
}

impl Default for ArbitrageurParams {
    fn default() -> Self {
        ArbitrageurParams {
            enabled: false,
            price_sum_tolerance: 0.02,
            min_deviation: 0.03,
            min_edge: 0.01,
            order_size: 25.0,
            trust_event_sets: false,
            date_ladders: true,
        }
    }
}

impl ArbitrageurParams {
    /// Checks every range. Errors name the parameter, its value and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        Arbitrageur::new(self.clone()).map(drop)
    }
}

/// The strategy. Its fair price is the payout of the whole set.
#[derive(Debug, Clone)]
pub struct Arbitrageur {
    trust_event_sets: bool,
    date_ladders: bool,
    terms: SetTerms,
}

impl Arbitrageur {
    /// Checks the parameters (`enabled` is the caller's business). Errors: the message of the
    /// first parameter that is out of range.
    pub fn new(params: ArbitrageurParams) -> Result<Self, String> {
        let p = &params;
        params::in_range("price_sum_tolerance", p.price_sum_tolerance, 0.0..=0.5)?;
        params::in_range("min_deviation", p.min_deviation, 0.001..=0.5)?;
        params::in_range("min_edge", p.min_edge, 0.0..=0.5)?;
        let order_size: Usdc = params::amount("order_size", p.order_size, 0.01..=MAX_AMOUNT)?;
        Ok(Arbitrageur {
            trust_event_sets: p.trust_event_sets,
            date_ladders: p.date_ladders,
            terms: SetTerms {
                tolerance: p.price_sum_tolerance,
                min_edge: p.min_deviation.max(p.min_edge),
                order_size,
                within_tolerance: format!("asks within {} of the payout", p.price_sum_tolerance),
                small_deviation: format!(
                    "deviation {} not reached after fees",
                    p.min_deviation.max(p.min_edge)
                ),
            },
        })
    }

    /// Both outcomes of one market: exactly one pays 1, or both pay 0.5.
    fn look_at_pair(
        &self,
        context: &StrategyContext<'_>,
        view: &MarketView,
    ) -> Result<Intent, &str> {
        let (first, second) = pricing::tradable_pair(&view.market)?;
        plan_set(
            context,
            &self.terms,
            None,
            &[(view, first), (view, second)],
            1,
        )
        .map(Intent::Basket)
    }
}

impl Strategy for Arbitrageur {
    fn name(&self) -> &'static str {
        NAME
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        // Pairs come first: two legs carry less leg risk than many, and the same depth must not
        // be counted on twice. Ladders come last: they rest on wording, the others on contracts.
        let (mut analysis, ladders) = parts::both(
            context,
            || pricing::look_at_each(context, |view| self.look_at_pair(context, view)),
            || self.date_ladders.then(|| Ladders::find(context)),
        );
        let mut taken: BTreeSet<MarketId> = BTreeSet::new();
        take(&mut taken, &analysis.intents);
        let mut events: BTreeMap<&EventId, Vec<&MarketView>> = BTreeMap::new();
        for view in context.snapshot.markets() {
            if view.market.neg_risk
                && let Some(event) = &view.market.event_id
                && pricing::is_first(context, view)
            {
                events.entry(event).or_default().push(view);
            }
        }
        // An event of which strategies may look at nothing is not looked at.
        events.retain(|_, members| members.iter().any(|view| view.candidate));
        for (event, members) in events {
            let looked = if members.iter().any(|view| taken.contains(&view.market.id)) {
                Err(event::PAIR_TAKEN)
            } else {
                event::look(context, &self.terms, self.trust_event_sets, event, &members)
            };
            note(&mut analysis, looked);
        }
        if let Some(ladders) = ladders {
            take(&mut taken, &analysis.intents);
            for looked in ladders.look(context, &self.terms, &taken) {
                note(&mut analysis, looked);
            }
            for _ in 0..ladders.ambiguous {
                note(&mut analysis, Err(ladder::AMBIGUOUS));
            }
        }
        Ok(analysis)
    }

    fn scout(&self) -> Option<&dyn Scout> {
        Some(self)
    }
}

impl Scout for Arbitrageur {
    fn stands_alone(&self, market: &Market) -> bool {
        let is_member = market.neg_risk && market.event_id.is_some();
        let is_rung =
            self.date_ladders && deadline::read(&market.question, market.end) != Reading::Undated;
        !is_member && !is_rung
    }

    fn find(&self, context: &StrategyContext<'_>, sight: &Sight<'_, TopBook<'_>>) -> Finding<'_> {
        let market = sight.market;
        let found = pricing::tradable_pair(market).and_then(|_| {
            let now = context.snapshot.at;
            basket::cheapest(sight.books.map(|book| (book, market)), now)
        });
        let within = found.map(|asks| self.terms.within(MICRO, asks));
        match within {
            Err(cause) | Ok(Err(cause)) => Finding::Nothing(cause),
            Ok(Ok(())) => Finding::Other,
        }
    }

    fn purchase_size(&self) -> Option<Usdc> {
        None
    }

    fn look_at(&self, _: &StrategyContext<'_>, _: &MarketView) -> Vec<Intent> {
        // It finds no purchases and no bids.
        Vec::new()
    }
}

/// Adds the markets of these sets to those that are taken.
fn take(taken: &mut BTreeSet<MarketId>, intents: &[Intent]) {
    for intent in intents {
        if let Intent::Basket(basket) = intent {
            taken.extend(basket.legs.iter().map(|leg| leg.market_id.clone()));
        }
    }
}

/// Counts one group, as a set to buy or under its cause.
fn note(analysis: &mut Analysis, looked: Result<Basket, &str>) {
    analysis.looked_at += 1;
    match looked {
        Ok(basket) => analysis.intents.push(Intent::Basket(basket)),
        Err(cause) => analysis.pass(cause),
    }
}

#[cfg(test)]
mod tests;

//! Running totals of costs by market, event, strategy and token, so that what is at stake needs no pass
//! over all that is held or waits: the limits ask for it with every order.

use std::collections::BTreeMap;

use super::{Exposures, Scope};
use crate::domain::{EventId, MarketId, StrategyName, TokenId, Usdc};

/// Costs of things that each belong to a [`Scope`]. What comes to nothing is forgotten, so that equal
/// things make equal totals however they came about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stakes {
    // Micro-units in 128 bits: a total never saturates, so what was added can be taken off again.
    cost: i128,
    by_strategy: BTreeMap<StrategyName, i128>,
    by_event: BTreeMap<EventId, i128>,
    by_market: BTreeMap<MarketId, Vec<Stake>>,
}

/// What is at stake in one token of a market for one event. A market's things may differ in their event
/// when it became known between them.
#[derive(Debug, Clone, PartialEq)]
struct Stake {
    event: Option<EventId>,
    token: TokenId,
    cost: i128,
    things: i64,
}

impl Stakes {
    /// Adds a thing.
    pub(super) fn add(&mut self, of: &Scope<'_>, cost: Usdc) {
        self.count(of, i128::from(cost.micros()), 1);
    }

    /// Takes a thing off that was added, with the cost that it has now.
    pub(super) fn take_off(&mut self, of: &Scope<'_>, cost: Usdc) {
        self.count(of, -i128::from(cost.micros()), -1);
    }

    /// The cost of a thing that was added has grown by `more` micro-units.
    pub(super) fn change(&mut self, of: &Scope<'_>, more: i128) {
        if more != 0 {
            self.count(of, more, 0);
        }
    }

    fn count(&mut self, of: &Scope<'_>, more: i128, things: i64) {
        self.cost += more;
        add(&mut self.by_strategy, of.strategy, more);
        if let Some(event) = of.event {
            add(&mut self.by_event, event, more);
        }
        if let Some(stakes) = self.by_market.get_mut(of.market) {
            count_at(stakes, of, more, things);
            if stakes.is_empty() {
                self.by_market.remove(of.market);
            }
        } else {
            let mut stakes = Vec::new();
            count_at(&mut stakes, of, more, things);
            self.by_market.insert(of.market.clone(), stakes);
        }
    }

    /// Cost of all, pUSD.
    pub(super) fn cost(&self) -> Usdc {
        clamped(self.cost)
    }

    /// Cost of those of one market, pUSD.
    pub(super) fn market_cost(&self, market: &MarketId) -> Usdc {
        clamped(self.of_market(market).iter().map(|stake| stake.cost).sum())
    }

    /// Cost of those of one strategy, pUSD.
    pub(super) fn strategy_cost(&self, strategy: &StrategyName) -> Usdc {
        clamped(self.by_strategy.get(strategy).copied().unwrap_or_default())
    }

    /// Costs as seen from `scope`.
    pub(super) fn exposures(&self, scope: &Scope<'_>) -> Exposures {
        let stakes = self.of_market(scope.market);
        let market: i128 = stakes.iter().map(|stake| stake.cost).sum();
        let of_token = stakes.iter().filter(|stake| stake.token == *scope.token);
        let token: i128 = of_token.map(|stake| stake.cost).sum();
        let event = match scope.event {
            None => market,
            Some(event) => {
                let of_event = self.by_event.get(event).copied().unwrap_or_default();
                // The market's own things count, whatever was known of its event then.
                let others = stakes
                    .iter()
                    .filter(|stake| stake.event.as_ref() != Some(event))
                    .map(|stake| stake.cost);
                of_event + others.sum::<i128>()
            }
        };
        let strategy = self.by_strategy.get(scope.strategy);
        Exposures {
            token: clamped(token),
            market: clamped(market),
            event: clamped(event),
            strategy: clamped(strategy.copied().unwrap_or_default()),
            total: self.cost(),
        }
    }

    fn of_market(&self, market: &MarketId) -> &[Stake] {
        self.by_market.get(market).map_or(&[], Vec::as_slice)
    }
}

/// Counts a thing of one market. They stay in order, so that equal things make equal totals.
fn count_at(stakes: &mut Vec<Stake>, of: &Scope<'_>, more: i128, things: i64) {
    let found = stakes.binary_search_by(|stake| {
        let event = stake.event.as_ref().cmp(&of.event);
        event.then_with(|| stake.token.cmp(of.token))
    });
    match found {
        Ok(place) => {
            let Some(stake) = stakes.get_mut(place) else {
                return;
            };
            stake.cost += more;
            stake.things += things;
            if stake.things <= 0 {
                stakes.remove(place);
            }
        }
        Err(place) => stakes.insert(
            place,
            Stake {
                event: of.event.cloned(),
                token: of.token.clone(),
                cost: more,
                things,
            },
        ),
    }
}

fn add<K: Ord + Clone>(sums: &mut BTreeMap<K, i128>, key: &K, amount: i128) {
    if amount == 0 {
        return;
    }
    match sums.get_mut(key) {
        Some(sum) => {
            *sum += amount;
            if *sum == 0 {
                sums.remove(key);
            }
        }
        None => {
            sums.insert(key.clone(), amount);
        }
    }
}

/// Within 64 bits.
pub(super) fn clamped(micros: i128) -> Usdc {
    let limit = if micros < 0 { i64::MIN } else { i64::MAX };
    Usdc::from_micros(i64::try_from(micros).unwrap_or(limit))
}

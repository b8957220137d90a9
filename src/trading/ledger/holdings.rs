//! Positions with their running totals, so that equity and what is at stake need no pass over all of
//! them: the limits ask for both with every order.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Exposures, Scope};
use crate::domain::{EventId, MarketId, Position, StrategyName, TokenId, Usdc};

/// Positions by token. Every change goes through [`Holdings::change`], which keeps the totals true.
///
/// Its form in JSON is the positions alone: the totals follow from them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holdings {
    positions: BTreeMap<TokenId, Position>,
    // Micro-units in 128 bits: a total never saturates, so what was added can be taken off again.
    cost: i128,
    value: i128,
    /// Positions that count at cost, or at the last mark that somebody bid.
    doubtful: usize,
    by_strategy: BTreeMap<StrategyName, i128>,
    by_event: BTreeMap<EventId, i128>,
    by_market: BTreeMap<MarketId, Vec<Stake>>,
}

/// What is at stake in one market for one event. A market's positions may differ in their event when
/// it became known between them.
#[derive(Debug, Clone, PartialEq)]
struct Stake {
    event: Option<EventId>,
    cost: i128,
    positions: usize,
}

impl Holdings {
    /// All positions.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<TokenId, Position> {
        &self.positions
    }

    /// The position in a token.
    #[must_use]
    pub fn get(&self, token: &TokenId) -> Option<&Position> {
        self.positions.get(token)
    }

    /// Opens a position, in place of one in the same token.
    pub fn open(&mut self, position: Position) {
        let token = position.token_id.clone();
        self.close(&token);
        self.count(&position, 1);
        self.positions.insert(token, position);
    }

    /// Changes a position; `None` when there is none. Its market, event, token and strategy stay.
    pub fn change<R>(
        &mut self,
        token: &TokenId,
        change: impl FnOnce(&mut Position) -> R,
    ) -> Option<R> {
        let position = self.positions.get_mut(token)?;
        let before = Counted::of(position);
        let result = change(position);
        let after = Counted::of(position);
        self.cost += after.cost - before.cost;
        self.value += after.value - before.value;
        self.doubtful = self.doubtful + usize::from(after.doubtful) - usize::from(before.doubtful);
        if before.cost != after.cost {
            let more = after.cost - before.cost;
            add(&mut self.by_strategy, &position.entry_strategy, more);
            if let Some(event) = &position.event_id {
                add(&mut self.by_event, event, more);
            }
            let stake = self
                .by_market
                .get_mut(&position.market_id)
                .and_then(|stakes| stakes.iter_mut().find(|s| s.event == position.event_id));
            if let Some(stake) = stake {
                stake.cost += more;
            }
        }
        Some(result)
    }

    /// Takes a position out.
    pub fn close(&mut self, token: &TokenId) {
        if let Some(position) = self.positions.remove(token) {
            self.count(&position, -1);
        }
    }

    /// Cost of all positions, pUSD.
    #[must_use]
    pub fn cost(&self) -> Usdc {
        clamped(self.cost)
    }

    /// Positions at their marks, pUSD; those without one at cost.
    #[must_use]
    pub fn value(&self) -> Usdc {
        clamped(self.value)
    }

    /// True when every position has a mark that somebody bids.
    #[must_use]
    pub fn all_marked(&self) -> bool {
        self.doubtful == 0
    }

    /// Cost of the positions in one market, pUSD.
    #[must_use]
    pub fn market_cost(&self, market: &MarketId) -> Usdc {
        clamped(self.stakes(market).map(|stake| stake.cost).sum())
    }

    /// Cost of positions as seen from `scope`.
    #[must_use]
    pub fn exposures(&self, scope: &Scope<'_>) -> Exposures {
        let market: i128 = self.stakes(scope.market).map(|stake| stake.cost).sum();
        let event = match scope.event {
            None => market,
            Some(event) => {
                let of_event = self.by_event.get(event).copied().unwrap_or_default();
                // The market's own positions count, whatever was known of its event then.
                let others = self
                    .stakes(scope.market)
                    .filter(|stake| stake.event.as_ref() != Some(event))
                    .map(|stake| stake.cost);
                of_event + others.sum::<i128>()
            }
        };
        let strategy = self.by_strategy.get(scope.strategy);
        let token = self
            .get(scope.token)
            .filter(|position| position.market_id == *scope.market);
        Exposures {
            token: token.map_or(Usdc::ZERO, |position| position.cost),
            market: clamped(market),
            event: clamped(event),
            strategy: clamped(strategy.copied().unwrap_or_default()),
            total: self.cost(),
        }
    }

    fn stakes(&self, market: &MarketId) -> impl Iterator<Item = &Stake> {
        self.by_market.get(market).into_iter().flatten()
    }

    /// Adds (`sign` 1) or takes off (−1) a position. What comes to nothing is forgotten.
    fn count(&mut self, position: &Position, sign: i128) {
        let counted = Counted::of(position);
        let cost = sign * counted.cost;
        self.cost += cost;
        self.value += sign * counted.value;
        let more = |count: usize, by: usize| {
            if sign > 0 {
                count + by
            } else {
                count.saturating_sub(by)
            }
        };
        self.doubtful = more(self.doubtful, usize::from(counted.doubtful));
        let stakes = self
            .by_market
            .entry(position.market_id.clone())
            .or_default();
        // In order, so that equal positions make equal holdings, however they came about.
        match stakes.binary_search_by(|stake| stake.event.cmp(&position.event_id)) {
            Ok(place) => {
                if let Some(stake) = stakes.get_mut(place) {
                    stake.cost += cost;
                    stake.positions = more(stake.positions, 1);
                }
            }
            Err(place) => stakes.insert(
                place,
                Stake {
                    event: position.event_id.clone(),
                    cost,
                    positions: 1,
                },
            ),
        }
        stakes.retain(|stake| stake.positions > 0);
        if stakes.is_empty() {
            self.by_market.remove(&position.market_id);
        }
        add(&mut self.by_strategy, &position.entry_strategy, cost);
        if let Some(event) = &position.event_id {
            add(&mut self.by_event, event, cost);
        }
    }
}

fn add<K: Ord + Clone>(sums: &mut BTreeMap<K, i128>, key: &K, amount: i128) {
    let sum = sums.entry(key.clone()).or_default();
    *sum += amount;
    if *sum == 0 {
        sums.remove(key);
    }
}

fn clamped(micros: i128) -> Usdc {
    let limit = if micros < 0 { i64::MIN } else { i64::MAX };
    Usdc::from_micros(i64::try_from(micros).unwrap_or(limit))
}

/// What a position adds to the totals.
struct Counted {
    cost: i128,
    value: i128,
    doubtful: bool,
}

impl Counted {
    fn of(position: &Position) -> Self {
        let value = position.value();
        let marked = position.mark.is_some_and(|mark| !mark.bid_gone);
        Counted {
            cost: i128::from(position.cost.micros()),
            value: i128::from(value.unwrap_or(position.cost).micros()),
            doubtful: value.is_none() || !marked,
        }
    }
}

impl Serialize for Holdings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.positions.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Holdings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let positions = BTreeMap::<TokenId, Position>::deserialize(deserializer)?;
        let mut holdings = Holdings::default();
        for (token, position) in positions {
            if token != position.token_id {
                return Err(serde::de::Error::custom(format!(
                    "the position under {token} is one in {}",
                    position.token_id
                )));
            }
            holdings.open(position);
        }
        Ok(holdings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Mark, Price, Shares, Timestamp};
    use proptest::prelude::*;

    /// The totals by adding up every position.
    fn summed(holdings: &Holdings, scope: &Scope<'_>) -> (Usdc, Usdc, bool, Exposures) {
        let all = || holdings.all().values();
        let mut sums = Exposures::default();
        for position in all() {
            let of = Scope {
                token: &position.token_id,
                market: &position.market_id,
                event: position.event_id.as_ref(),
                strategy: &position.entry_strategy,
            };
            sums.add(scope, &of, position.cost);
        }
        (
            all().map(|p| p.cost).sum(),
            all().map(|p| p.value().unwrap_or(p.cost)).sum(),
            all().all(|p| p.mark.is_some_and(|mark| !mark.bid_gone)),
            sums,
        )
    }

    #[derive(Debug, Clone)]
    enum Act {
        Open(u8, Option<u8>, u8, i64),
        Cost(u8, i64),
        Mark(u8, u32, bool),
        Close(u8),
    }

    fn act() -> impl Strategy<Value = Act> {
        let token = 0..6_u8;
        prop_oneof![
            (
                token.clone(),
                prop::option::of(0..3_u8),
                0..3_u8,
                0..900_i64
            )
                .prop_map(|(token, event, who, cost)| Act::Open(token, event, who, cost)),
            (token.clone(), 0..900_i64).prop_map(|(token, cost)| Act::Cost(token, cost)),
            (token.clone(), 0..=100_u32, any::<bool>())
                .prop_map(|(token, cents, gone)| Act::Mark(token, cents, gone)),
            token.prop_map(Act::Close),
        ]
    }

    fn token(number: u8) -> TokenId {
        TokenId::new(format!("t{number}"))
    }

    /// Two tokens to a market.
    fn market(number: u8) -> MarketId {
        MarketId::new(format!("m{}", number / 2))
    }

    proptest! {
        #[test]
        fn running_totals_are_the_sums(acts in prop::collection::vec(act(), 1..60)) {
            let mut holdings = Holdings::default();
            for act in acts {
                match act {
                    Act::Open(number, event, who, cost) => holdings.open(Position {
                        market_id: market(number),
                        event_id: event.map(|event| EventId::new(format!("e{event}"))),
                        token_id: token(number),
                        outcome: "Yes".to_owned(),
                        shares: Shares::whole(7),
                        cost: Usdc::from_micros(cost),
                        opened_at: Timestamp::from_secs(1),
                        entry_strategy: StrategyName::new(format!("s{who}")),
                        mark: None,
                    }),
                    Act::Cost(number, cost) => {
                        holdings.change(&token(number), |p| p.cost = Usdc::from_micros(cost));
                    }
                    Act::Mark(number, cents, bid_gone) => {
                        let price = Price::from_micros(cents * 10_000).unwrap();
                        let at = Timestamp::from_secs(2);
                        holdings.change(&token(number), |p| {
                            p.mark = Some(Mark { price, at, bid_gone });
                        });
                    }
                    Act::Close(number) => holdings.close(&token(number)),
                }
                for number in 0..6 {
                    for event in [None, Some(EventId::new("e0")), Some(EventId::new("e1"))] {
                        let (token, market) = (token(number), market(number));
                        let scope = Scope {
                            token: &token,
                            market: &market,
                            event: event.as_ref(),
                            strategy: &StrategyName::new("s1"),
                        };
                        let (cost, value, marked, exposures) = summed(&holdings, &scope);
                        prop_assert_eq!(holdings.cost(), cost);
                        prop_assert_eq!(holdings.value(), value);
                        prop_assert_eq!(holdings.all_marked(), marked);
                        prop_assert_eq!(holdings.exposures(&scope), exposures);
                        prop_assert_eq!(holdings.market_cost(&market), exposures.market);
                    }
                }
            }
            let text = serde_json::to_string(&holdings).unwrap();
            let again: Holdings = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(again, holdings);
        }
    }

    #[test]
    fn a_position_filed_under_another_token_is_refused() {
        let mut holdings = Holdings::default();
        holdings.open(Position {
            market_id: "m".into(),
            event_id: None,
            token_id: "t".into(),
            outcome: "Yes".to_owned(),
            shares: Shares::whole(1),
            cost: Usdc::whole(1),
            opened_at: Timestamp::from_secs(1),
            entry_strategy: "s".into(),
            mark: None,
        });
        let text = serde_json::to_string(&holdings).unwrap();
        let moved = text.replacen("{\"t\":", "{\"u\":", 1);
        assert_ne!(moved, text);
        let error = serde_json::from_str::<Holdings>(&moved).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the position under u is one in t")
        );
    }
}

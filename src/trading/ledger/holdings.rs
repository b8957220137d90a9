//! Positions with their running totals, so that equity and what is at stake need no pass over all of
//! them: the limits ask for both with every order.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stakes::{Stakes, clamped};
use super::{Exposures, Scope};
use crate::domain::{MarketId, Position, StrategyName, TokenId, Usdc};

/// Positions by token. Every change goes through [`Holdings::change`], which keeps the totals true.
///
/// Its form in JSON is the positions alone: the totals follow from them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Holdings {
    positions: BTreeMap<TokenId, Position>,
    stakes: Stakes,
    value: i128,
    /// Positions that count at cost, or at the last mark that somebody bid.
    doubtful: usize,
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
        self.value += after.value - before.value;
        self.doubtful = self.doubtful + usize::from(after.doubtful) - usize::from(before.doubtful);
        self.stakes
            .change(&scope(position), after.cost - before.cost);
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
        self.stakes.cost()
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
        self.stakes.market_cost(market)
    }

    /// Cost of one strategy's positions and of all, pUSD.
    pub(super) fn strategy_and_total(&self, strategy: &StrategyName) -> (Usdc, Usdc) {
        (self.stakes.strategy_cost(strategy), self.stakes.cost())
    }

    /// Cost of positions as seen from `scope`.
    #[must_use]
    pub fn exposures(&self, scope: &Scope<'_>) -> Exposures {
        self.stakes.exposures(scope)
    }

    /// Adds (`sign` 1) or takes off (−1) a position.
    fn count(&mut self, position: &Position, sign: i128) {
        let counted = Counted::of(position);
        self.value += sign * counted.value;
        let doubtful = usize::from(counted.doubtful);
        if sign > 0 {
            self.doubtful += doubtful;
            self.stakes.add(&scope(position), position.cost);
        } else {
            self.doubtful = self.doubtful.saturating_sub(doubtful);
            self.stakes.take_off(&scope(position), position.cost);
        }
    }
}

fn scope(position: &Position) -> Scope<'_> {
    Scope {
        token: &position.token_id,
        market: &position.market_id,
        event: position.event_id.as_ref(),
        strategy: &position.entry_strategy,
    }
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
    use crate::domain::{EventId, Mark, Price, Shares, StrategyName, Timestamp};
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
                        outcome: "Yes".into(),
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
            outcome: "Yes".into(),
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

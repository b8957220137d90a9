//! The markets that may turn up, by name and by token, and where each stands in a snapshot.
//!
//! Apart from the snapshot, so that a replay makes the index of names once and not at each moment.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::ids::{MarketId, TokenId};
use super::market::Market;

/// Markets by name and by token. Each has a number, from 0 on in the order in which it was added.
#[derive(Debug, Clone, Default)]
pub struct Universe {
    // A tick of a live session makes the index anew: the keyed hash of the standard library took a third
    // of the time.
    by_market: HashMap<MarketId, u32, RandomState>,
    by_token: HashMap<TokenId, u32, RandomState>,
    /// Further markets that claim a token of an earlier one: bad data, hardly ever any.
    claims: Vec<(TokenId, u32)>,
}

impl Universe {
    /// Those of `markets`; one that comes twice is added once.
    #[must_use]
    pub fn new<'a>(markets: impl ExactSizeIterator<Item = &'a Market>) -> Self {
        let mut universe = Universe::with_capacity(markets.len());
        for market in markets {
            universe.add(market);
        }
        universe
    }

    /// Without markets, with room for so many.
    #[must_use]
    pub fn with_capacity(markets: usize) -> Self {
        let state = RandomState::default();
        Universe {
            by_market: HashMap::with_capacity_and_hasher(markets, state.clone()),
            by_token: HashMap::with_capacity_and_hasher(markets * 2, state),
            claims: Vec::new(),
        }
    }

    /// The number of a market, which is new if it was not there.
    pub fn add(&mut self, market: &Market) -> u32 {
        if let Some(number) = self.by_market.get(&market.id) {
            return *number;
        }
        // More markets than that do not fit into memory.
        let number = u32::try_from(self.by_market.len()).unwrap_or(u32::MAX);
        self.by_market.insert(market.id.clone(), number);
        for outcome in &market.outcomes {
            let owner = *self.by_token.entry(outcome.token.clone()).or_insert(number);
            if owner != number {
                self.claims.push((outcome.token.clone(), number));
            }
        }
        number
    }

    /// Whether a market claims a token of another one.
    #[must_use]
    pub fn has_claims(&self) -> bool {
        !self.claims.is_empty()
    }

    /// The number of a market; `None` when it is not there.
    #[must_use]
    pub fn number_of(&self, id: &MarketId) -> Option<u32> {
        self.by_market.get(id).copied()
    }

    /// The numbers of the markets that have this token, in order: one, in sound data.
    pub fn numbers_of_token(&self, token: &TokenId) -> impl Iterator<Item = u32> {
        let claims = self
            .claims
            .iter()
            .filter(move |(claimed, _)| claimed == token);
        let first = self.by_token.get(token).copied();
        first.into_iter().chain(claims.map(|(_, number)| *number))
    }
}

/// Where markets stand in a list, by number.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// By number; [`NOWHERE`] for those that are not in the list.
    by_number: Vec<u32>,
    taken: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Places {
    /// Forgets all of them. Takes as long as there were markets in the list, whatever the universe holds.
    pub fn clear(&mut self) {
        for number in self.taken.drain(..) {
            if let Some(place) = self.by_number.get_mut(number as usize) {
                *place = NOWHERE;
            }
        }
    }

    /// The market of this number stands at `place`; false, and nothing changes, when it stands somewhere
    /// already.
    pub fn put(&mut self, number: u32, place: usize) -> bool {
        let index = number as usize;
        if self.by_number.len() <= index {
            self.by_number.resize(index + 1, NOWHERE);
        }
        match (self.by_number.get_mut(index), u32::try_from(place)) {
            (Some(known), Ok(place)) if *known == NOWHERE => {
                *known = place;
                self.taken.push(number);
                true
            }
            _ => false,
        }
    }

    /// The numbers of those that stand somewhere, in the order in which they were put.
    #[must_use]
    pub fn numbers(&self) -> &[u32] {
        &self.taken
    }

    /// Where it stands; `None` when it is not in the list.
    #[must_use]
    pub fn of(&self, number: u32) -> Option<usize> {
        let place = *self.by_number.get(number as usize)?;
        (place != NOWHERE).then_some(place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_once_and_forgotten() {
        let mut places = Places::default();
        assert!(places.put(7, 0) && places.put(2, 1));
        assert!(!places.put(7, 2), "it stands at 0");
        let shown = |places: &Places| [0, 2, 7, 9].map(|number| places.of(number));
        assert_eq!(shown(&places), [None, Some(1), Some(0), None]);
        places.clear();
        assert_eq!(shown(&places), [None; 4]);
        assert!(places.put(7, 5));
        assert_eq!(places.of(7), Some(5));
    }
}

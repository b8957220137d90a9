//! A list of markets with its age, and what finds one in it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::{Market, Timestamp, TokenId};

/// The most traded open markets, as last listed.
#[derive(Debug)]
pub(in crate::app) struct Listed {
    markets: Vec<Arc<Market>>,
    /// When they were asked for.
    pub(super) at: Timestamp,
    limit: usize,
    by_name: HashMap<String, usize>,
    by_token: HashMap<TokenId, usize>,
}

impl Listed {
    /// Indexes them; `limit` is how many were asked for.
    pub(super) fn new(markets: Vec<Arc<Market>>, limit: usize, at: Timestamp) -> Self {
        let mut by_name = HashMap::with_capacity(markets.len() * 3);
        let mut by_token = HashMap::with_capacity(markets.len() * 2);
        for (index, market) in markets.iter().enumerate() {
            // An id before a slug that happens to look like one.
            by_name.insert(market.id.as_str().to_owned(), index);
            for outcome in &market.outcomes {
                by_token.insert(outcome.token.clone(), index);
            }
        }
        for (index, market) in markets.iter().enumerate() {
            let condition = market.condition_id.as_ref();
            let condition = condition.map(|id| id.as_str().to_ascii_lowercase());
            for name in market.slug.clone().into_iter().chain(condition) {
                by_name.entry(name).or_insert(index);
            }
        }
        Listed {
            markets,
            at,
            limit,
            by_name,
            by_token,
        }
    }

    /// The markets, most traded first.
    pub(in crate::app) fn markets(&self) -> &[Arc<Market>] {
        &self.markets
    }

    /// The `count` most traded; `None` when more would have had to be listed to know.
    pub(in crate::app) fn first(&self, count: usize) -> Option<&[Arc<Market>]> {
        let all_there_are = self.markets.len() < self.limit;
        match self.markets.get(..count) {
            Some(first) => Some(first),
            None => all_there_are.then_some(&self.markets),
        }
    }

    /// The market with this id, slug or condition id.
    pub(super) fn named(&self, name: &str) -> Option<&Arc<Market>> {
        let index = self.by_name.get(name).or_else(|| {
            let condition = name.starts_with("0x") || name.starts_with("0X");
            condition.then(|| self.by_name.get(&name.to_ascii_lowercase()))?
        })?;
        self.markets.get(*index)
    }

    /// The market of a token.
    pub(super) fn of_token(&self, token: &TokenId) -> Option<&Arc<Market>> {
        self.markets.get(*self.by_token.get(token)?)
    }
}

//! What paper fills used up of the books: the exchange never saw our order, so the shares that it
//! took still stand there, and must not be taken again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Ledger, REMEMBERED_USE_MS};
use crate::domain::{Price, Shares, Side, Timestamp, TokenId, UsedLevel};

/// Shares of one level of a token's book that paper fills used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// When the last of them were.
    pub at: Timestamp,
    /// Side of our order: a buy used up asks.
    pub side: Side,
    /// Price of the level.
    pub price: Price,
    /// Shares.
    pub shares: Shares,
}

impl Ledger {
    /// What is used up of a token's book, by level.
    #[must_use]
    pub fn used(&self, token: &TokenId) -> &[Used] {
        self.used.get(token).map_or(&[], |used| used.as_slice())
    }

    /// How much is used up of one level: of the asks for a buy.
    #[must_use]
    pub fn used_at(&self, token: &TokenId, side: Side, price: Price) -> Shares {
        self.used(token)
            .iter()
            .find(|used| used.side == side && used.price == price)
            .map_or(Shares::ZERO, |used| used.shares)
    }

    /// Tokens of whose books something is used up.
    pub fn used_tokens(&self) -> impl Iterator<Item = &TokenId> {
        self.used.keys()
    }

    /// Adds what a fill took from its level.
    pub(super) fn use_up(
        &mut self,
        at: Timestamp,
        token: &TokenId,
        side: Side,
        price: Price,
        shares: Shares,
    ) {
        let shares = self.used_at(token, side, price).plus(shares);
        self.set_used(
            at,
            token,
            &[UsedLevel {
                side,
                price,
                shares,
            }],
        );
    }

    /// Says anew how much of these levels is used up; none is as if nothing had ever been. What is
    /// older than a week is forgotten.
    pub(super) fn set_used(&mut self, at: Timestamp, token: &TokenId, levels: &[UsedLevel]) {
        let known = Arc::make_mut(self.used.entry(token.clone()).or_default());
        for level in levels {
            let same = |used: &&mut Used| used.side == level.side && used.price == level.price;
            match known.iter_mut().find(same) {
                Some(used) => {
                    // What was freed does not make the rest newer.
                    if level.shares > used.shares {
                        used.at = used.at.max(at);
                    }
                    used.shares = level.shares;
                }
                None => known.push(Used {
                    at,
                    side: level.side,
                    price: level.price,
                    shares: level.shares,
                }),
            }
        }
        known.retain(|used| !used.shares.is_zero() && at.since(used.at) <= REMEMBERED_USE_MS);
        if known.is_empty() {
            self.used.remove(token);
        }
    }
}

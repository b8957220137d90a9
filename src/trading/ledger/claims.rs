//! What waiting orders claim: the cost of buys, the shares of sales.

use std::collections::BTreeMap;

use super::stakes::Stakes;
use super::{Exposures, Scope};
use crate::domain::{MarketId, Order, Rounding, Shares, Side, TokenId, Usdc, notional};

/// Running totals over orders that are on their way or rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Claims {
    buys: Stakes,
    /// Shares that sales offer, in micro-shares.
    offered: BTreeMap<TokenId, i128>,
}

impl Claims {
    /// Those of such orders, with the shares that are left of each.
    pub(super) fn of<'a>(waiting: impl Iterator<Item = (&'a Order, Shares)>) -> Self {
        let mut claims = Claims::default();
        for (order, remaining) in waiting {
            claims.add(order, remaining);
        }
        claims
    }

    /// An order begins to wait.
    pub(super) fn add(&mut self, order: &Order, remaining: Shares) {
        match order.side {
            Side::Buy => self.buys.add(&Scope::of(order), cost(order, remaining)),
            Side::Sell => self.offer(&order.token_id, remaining, Shares::ZERO),
        }
    }

    /// An order waits no more, of which so much was left.
    pub(super) fn take_off(&mut self, order: &Order, remaining: Shares) {
        match order.side {
            Side::Buy => self
                .buys
                .take_off(&Scope::of(order), cost(order, remaining)),
            Side::Sell => self.offer(&order.token_id, Shares::ZERO, remaining),
        }
    }

    /// An order has filled in part.
    pub(super) fn shrink(&mut self, order: &Order, before: Shares, after: Shares) {
        match order.side {
            Side::Buy => {
                let micros = |remaining| i128::from(cost(order, remaining).micros());
                let more = micros(after) - micros(before);
                self.buys.change(&Scope::of(order), more);
            }
            Side::Sell => self.offer(&order.token_id, after, before),
        }
    }

    fn offer(&mut self, token: &TokenId, more: Shares, less: Shares) {
        let micros = |shares: Shares| i128::from(shares.micros());
        let offered = self.offered.entry(token.clone()).or_default();
        *offered += micros(more) - micros(less);
        if *offered == 0 {
            self.offered.remove(token);
        }
    }

    /// Cost of all waiting buys, pUSD.
    pub(super) fn cost(&self) -> Usdc {
        self.buys.cost()
    }

    /// Cost of the waiting buys in one market, pUSD.
    pub(super) fn market_cost(&self, market: &MarketId) -> Usdc {
        self.buys.market_cost(market)
    }

    /// Cost of waiting buys as seen from `scope`.
    pub(super) fn exposures(&self, scope: &Scope<'_>) -> Exposures {
        self.buys.exposures(scope)
    }

    /// Shares of a token that waiting sales offer.
    pub(super) fn offered(&self, token: &TokenId) -> Shares {
        let micros = self.offered.get(token).copied().unwrap_or_default();
        let most = Shares::from_micros(i64::MAX).unwrap_or(Shares::ZERO);
        let micros = i64::try_from(micros).ok();
        micros.map_or(most, |micros| {
            Shares::from_micros(micros).unwrap_or(Shares::ZERO)
        })
    }
}

/// What is left of a buy costs at its limit, pUSD.
fn cost(order: &Order, remaining: Shares) -> Usdc {
    notional(order.limit, remaining, Rounding::Up).unwrap_or(Usdc::ZERO)
}

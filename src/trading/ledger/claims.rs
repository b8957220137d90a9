//! What waiting orders claim: the cost of buys, the shares of sales.

use std::collections::BTreeMap;

use super::stakes::Stakes;
use super::{Exposures, Scope};
use crate::domain::{
    MarketId, Order, Rounding, Shares, Side, StrategyName, TokenId, Usdc, notional,
};

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

    /// Cost of the waiting buys of one strategy and of all, pUSD.
    pub(super) fn strategy_and_total(&self, strategy: &StrategyName) -> (Usdc, Usdc) {
        (self.buys.strategy_cost(strategy), self.buys.cost())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventId, OrderType, Price};
    use proptest::prelude::*;

    fn order(id: u64, (market, event, who): (u8, Option<u8>, u8), side: Side, cents: u32) -> Order {
        Order {
            id,
            client_order_id: None,
            signal_id: None,
            supporters: Vec::new(),
            strategy: format!("s{who}").into(),
            market_id: format!("m{}", market / 2).into(),
            event_id: event.map(|event| EventId::new(format!("e{event}"))),
            token_id: format!("t{market}").into(),
            outcome: "Yes".into(),
            side,
            limit: Price::from_micros(cents * 10_000 + 1).unwrap(),
            shares: Shares::whole(100),
            order_type: OrderType::PostOnly,
            expires_at: None,
            arrives_at: None,
            fired_by: None,
            fee: None,
            basket: None,
            reason: String::new(),
            stop_loss: None,
            take_profit: None,
            trail_percent: None,
        }
    }

    /// By adding up every order.
    fn summed(waiting: &[(Order, Shares)], scope: &Scope<'_>) -> (Usdc, Exposures, Shares) {
        let (mut all, mut sums, mut offered) = (Usdc::ZERO, Exposures::default(), Shares::ZERO);
        for (order, left) in waiting {
            if order.side == Side::Buy {
                let cost = notional(order.limit, *left, Rounding::Up).unwrap();
                all = all.plus(cost);
                sums.add(scope, &Scope::of(order), cost);
            } else if order.token_id == *scope.token {
                offered = offered.plus(*left);
            }
        }
        (all, sums, offered)
    }

    proptest! {
        /// Orders begin to wait, fill in part and end, in any order.
        #[test]
        fn running_totals_are_the_sums(
            acts in prop::collection::vec(
                (0..3_u8, (0..6_u8, prop::option::of(0..2_u8), 0..2_u8), any::<bool>(), 1..99_u32, 0..8_usize),
                1..60,
            ),
        ) {
            let mut claims = Claims::default();
            let mut waiting: Vec<(Order, Shares)> = Vec::new();
            for (number, (act, of, buys, cents, place)) in (1_u64..).zip(acts) {
                let place = place % waiting.len().max(1);
                match (act, waiting.get_mut(place)) {
                    (1, Some((order, left))) => {
                        let after = Shares::from_micros(left.micros() / 3).unwrap();
                        claims.shrink(order, *left, after);
                        *left = after;
                    }
                    (2, Some(_)) => {
                        let (order, left) = waiting.remove(place);
                        claims.take_off(&order, left);
                    }
                    _ => {
                        let side = if buys { Side::Buy } else { Side::Sell };
                        let new = order(number, of, side, cents);
                        claims.add(&new, new.shares);
                        waiting.push((new, Shares::whole(100)));
                    }
                }
                for token in 0..6 {
                    for event in [None, Some(EventId::new("e0"))] {
                        let (token_id, market) =
                            (TokenId::new(format!("t{token}")), MarketId::new(format!("m{}", token / 2)));
                        let scope = Scope {
                            token: &token_id,
                            market: &market,
                            event: event.as_ref(),
                            strategy: &"s1".into(),
                        };
                        let (cost, exposures, offered) = summed(&waiting, &scope);
                        prop_assert_eq!(claims.cost(), cost);
                        prop_assert_eq!(claims.exposures(&scope), exposures);
                        prop_assert_eq!(claims.market_cost(&market), exposures.market);
                        prop_assert_eq!(claims.offered(&token_id), offered);
                    }
                }
            }
            let again = Claims::of(waiting.iter().map(|(order, left)| (order, *left)));
            prop_assert_eq!(&again, &claims);
            for (order, left) in waiting {
                claims.take_off(&order, left);
            }
            prop_assert_eq!(claims, Claims::default(), "nothing is left of nothing");
        }
    }
}

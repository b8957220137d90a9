//! What is at stake: the cost of positions and of waiting buys, by market, event and strategy.

use crate::domain::{EventId, MarketId, Order, StrategyName, TokenId, Usdc};

use super::Ledger;

/// What an order adds to: one token of one market of one event, for one strategy.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Token.
    pub token: &'a TokenId,
    /// Its market.
    pub market: &'a MarketId,
    /// The market's event; a market without one counts as its own event.
    pub event: Option<&'a EventId>,
    /// Who wants it.
    pub strategy: &'a StrategyName,
}

impl<'a> Scope<'a> {
    /// Of an order.
    #[must_use]
    pub fn of(order: &'a Order) -> Self {
        Scope {
            token: &order.token_id,
            market: &order.market_id,
            event: order.event_id.as_ref(),
            strategy: &order.strategy,
        }
    }

    /// True when `market`, which belongs to `event`, belongs to the same event: it is the same
    /// market, or both name the same event.
    fn shares_event(&self, market: &MarketId, event: Option<&EventId>) -> bool {
        *self.market == *market || (event.is_some() && self.event == event)
    }
}

/// Cost of positions and waiting buys, pUSD, fees not included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exposures {
    /// Of the token.
    pub token: Usdc,
    /// Of the market.
    pub market: Usdc,
    /// Of all markets of the event.
    pub event: Usdc,
    /// Of positions that the strategy opened and of its waiting buys.
    pub strategy: Usdc,
    /// Of all.
    pub total: Usdc,
}

impl Exposures {
    /// Adds an amount at stake where it belongs, as seen from `scope`.
    pub fn add(&mut self, scope: &Scope<'_>, of: &Scope<'_>, cost: Usdc) {
        self.total = self.total.plus(cost);
        if scope.strategy == of.strategy {
            self.strategy = self.strategy.plus(cost);
        }
        if scope.shares_event(of.market, of.event) {
            self.event = self.event.plus(cost);
            if scope.market == of.market {
                self.market = self.market.plus(cost);
                if scope.token == of.token {
                    self.token = self.token.plus(cost);
                }
            }
        }
    }
}

impl Ledger {
    /// What one strategy and the whole account have at stake, pUSD: positions and waiting buys.
    #[must_use]
    pub fn strategy_and_total(&self, strategy: &StrategyName) -> (Usdc, Usdc) {
        let held = self.positions.strategy_and_total(strategy);
        let waiting = self.claims.strategy_and_total(strategy);
        (held.0.plus(waiting.0), held.1.plus(waiting.1))
    }

    /// What is at stake around `scope`: positions and waiting buys.
    #[must_use]
    pub fn exposures(&self, scope: &Scope<'_>) -> Exposures {
        let held = self.positions.exposures(scope);
        let waiting = self.claims.exposures(scope);
        Exposures {
            token: held.token.plus(waiting.token),
            market: held.market.plus(waiting.market),
            event: held.event.plus(waiting.event),
            strategy: held.strategy.plus(waiting.strategy),
            total: held.total.plus(waiting.total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support::{
        Account, NOON, Scene, book, market, quote, says, usd, wanted,
    };
    use super::*;
    use crate::domain::{Market, Side, Snapshot};

    /// Markets `m` and `n` of one event, `o` of another, `q` of none; each token asks 0.50.
    fn scene() -> Snapshot {
        let of = |id: &str, event: Option<&str>| Market {
            event_id: event.map(EventId::new),
            ..market(id)
        };
        let mut scene = Scene::new(NOON);
        for (id, event) in [
            ("m", Some("e")),
            ("n", Some("e")),
            ("o", Some("f")),
            ("q", None),
        ] {
            let books = ["yes", "no"]
                .map(|side| {
                    let token = format!("{id}-{side}");
                    book(&token, NOON, &[("0.48", "1000")], &[("0.50", "1000")])
                })
                .to_vec();
            scene = scene.with(of(id, event), books);
        }
        scene.build()
    }

    fn buy(account: &mut Account, market: &str, token: &str, size: &str) {
        let order = crate::trading::desk::AgentOrder {
            market_id: market.into(),
            token_id: token.into(),
            ..wanted(Side::Buy, size, "0.50")
        };
        account.order(&order, &scene()).unwrap();
    }

    #[test]
    fn costs_add_up_by_token_market_event_and_strategy() {
        let mut account = Account::new("1000");
        buy(&mut account, "m", "m-yes", "10");
        buy(&mut account, "m", "m-no", "20");
        buy(&mut account, "n", "n-yes", "30");
        buy(&mut account, "o", "o-yes", "40");
        buy(&mut account, "q", "q-yes", "50");
        // A bid of another strategy for 10 shares at 0.40: 4 pUSD.
        let bid = quote("maker", "n", Some(("0.40", "10")), None);
        account.tick(&scene(), vec![says("maker", vec![bid])]);

        let (event, manual, maker) = (EventId::new("e"), "mcp_manual".into(), "maker".into());
        let seen = |token: &str, market: &str, event, strategy| {
            account.ledger.exposures(&Scope {
                token: &token.into(),
                market: &market.into(),
                event,
                strategy,
            })
        };
        let sums = |token, market, event, strategy, total| Exposures {
            token: usd(token),
            market: usd(market),
            event: usd(event),
            strategy: usd(strategy),
            total: usd(total),
        };
        // All: 10 + 20 + 30 + 40 + 50 + 4 = 154, of which 150 are mcp_manual's.
        assert_eq!(
            seen("m-yes", "m", Some(&event), &manual),
            // The event: 10 + 20 + 30 + 4.
            sums("10", "30", "64", "150", "154")
        );
        assert_eq!(
            seen("n-yes", "n", Some(&event), &maker),
            sums("34", "34", "64", "4", "154")
        );
        assert_eq!(
            seen("q-no", "q", None, &manual),
            sums("0", "50", "50", "150", "154"),
            "a market without event is its own"
        );
        // The event became known after the position was opened: its own market counts all the same.
        assert_eq!(
            seen("q-no", "q", Some(&event), &maker),
            sums("0", "50", "114", "4", "154")
        );
    }
}

//! What a change of one market's books could do, looked up on a ledger without changing it: so that
//! the step is asked between two ticks only when something would come of it.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::domain::{MarketId, MarketView, Print, Side, Timestamp, TokenId};

use super::conditional::{self, Finding};
use super::config::TradingConfig;
use super::ledger::Ledger;
use super::matching;

/// Something that would happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance {
    /// The conditional order that would fire; `None` for anything else.
    pub conditional: Option<u64>,
}

/// Tokens that conditional or resting orders wait on.
#[must_use]
pub fn tokens(ledger: &Ledger) -> BTreeSet<&TokenId> {
    let conditionals = ledger.conditionals().values().map(|order| &order.token_id);
    let resting = ledger.resting().values().map(|r| &r.order.token_id);
    conditionals.chain(resting).collect()
}

/// Tokens of stops whose price is reached on a book not to be believed: time alone makes them fire.
pub fn doubted(ledger: &Ledger) -> impl Iterator<Item = &TokenId> {
    ledger
        .conditionals()
        .values()
        .filter(|order| order.doubted_since.is_some())
        .map(|order| &order.token_id)
}

/// Markets that something is held in, or an order rests in.
#[must_use]
pub fn markets(ledger: &Ledger) -> BTreeSet<&MarketId> {
    let held = ledger.positions().values().map(|p| &p.market_id);
    let resting = ledger.resting().values().map(|r| &r.order.market_id);
    held.chain(resting).collect()
}

/// The market of a token that is held or that an order rests in.
#[must_use]
pub fn market_of<'a>(ledger: &'a Ledger, token: &TokenId) -> Option<&'a MarketId> {
    let held = ledger.positions().get(token).map(|p| &p.market_id);
    held.or_else(|| {
        let mut resting = ledger.resting().values();
        let found = resting.find(|r| r.order.token_id == *token);
        found.map(|r| &r.order.market_id)
    })
}

/// True when the ledger's mark of something held in this market is not what these books say: its bid
/// moved, came or went. A book that cannot be believed says nothing.
#[must_use]
pub fn moved(ledger: &Ledger, view: &MarketView) -> bool {
    let sound = view.books.iter().flatten().filter(|book| book.is_sound());
    sound.into_iter().any(|book| {
        let Some(position) = ledger.positions().get(&book.token) else {
            return false;
        };
        match (book.best_bid(), position.mark) {
            (Some(bid), Some(mark)) => mark.price != bid || mark.bid_gone,
            (Some(_), None) => true,
            (None, mark) => mark.is_some_and(|mark| !mark.bid_gone),
        }
    })
}

/// True when a trade of others reached the price of a resting order.
#[must_use]
pub fn reaches(ledger: &Ledger, print: &Print) -> bool {
    ledger.resting().values().any(|resting| {
        let order = &resting.order;
        order.token_id == print.token
            && match order.side {
                Side::Buy => print.price <= order.limit,
                Side::Sell => print.price >= order.limit,
            }
    })
}

/// What these books would do. A book that cannot be believed does nothing.
#[must_use]
pub fn chances(
    ledger: &Ledger,
    view: &MarketView,
    config: &TradingConfig,
    now: Timestamp,
) -> Vec<Chance> {
    let mut found = Vec::new();
    let other = Chance { conditional: None };
    for book in view.books.iter().flatten().filter(|book| book.is_sound()) {
        let opposite = view.market.opposite_of(&book.token).map(|o| &o.token);
        let left = OnceCell::new();
        let left = || left.get_or_init(|| matching::left_of(book, opposite, ledger));
        for order in ledger.conditionals().values() {
            if order.token_id != book.token {
                continue;
            }
            let rules = &config.conditional;
            match conditional::look(order, book, rules, now) {
                Some(Finding::Fires { bid }) => {
                    let slippage = rules.max_slippage_pct;
                    let limit = conditional::limit_of(order, bid, view.market.tick, slippage);
                    if !left().depth_to(Side::Sell, limit).is_zero() {
                        let conditional = Some(order.id);
                        found.push(Chance { conditional });
                    }
                }
                Some(Finding::Doubts { .. }) if order.doubted_since.is_none() => found.push(other),
                Some(Finding::Waits { raised })
                    if raised.is_some() || order.doubted_since.is_some() =>
                {
                    found.push(other);
                }
                _ => {}
            }
        }
        for resting in ledger.resting().values() {
            if resting.order.token_id == book.token
                && matching::is_beyond(&resting.order, book)
                && matches!(matching::trade_through(resting, left()), Ok(Some(_)))
            {
                found.push(other);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ConditionalKind;
    use crate::trading::test_support::{Account, NOON, Scene, after, conditional, p, sh};

    fn chances_of(account: &Account, bids: &[(&str, &str)], asks: &[(&str, &str)]) -> Vec<Chance> {
        let scene = Scene::new(after(1)).yes(bids, asks).build();
        chances(
            &account.ledger,
            &scene.markets()[0],
            &account.config,
            after(1),
        )
    }

    #[test]
    fn a_change_counts_when_an_exit_fires_is_doubted_or_follows() {
        let mut account = Account::new("100").bought("10", "0.50", NOON);
        assert!(chances_of(&account, &[("0.40", "99")], &[("0.42", "99")]).is_empty());
        account
            .conditional(&conditional(ConditionalKind::StopLoss, "0.40"), NOON)
            .unwrap();
        assert!(chances_of(&account, &[("0.41", "99")], &[("0.43", "99")]).is_empty());
        let fires = chances_of(&account, &[("0.40", "99")], &[("0.42", "99")]);
        assert_eq!(
            fires,
            [Chance {
                conditional: Some(1)
            }]
        );
        // 0.50 − 0.40 is wider than 0.05.
        let doubts = chances_of(&account, &[("0.40", "99")], &[("0.50", "99")]);
        assert_eq!(doubts, [Chance { conditional: None }]);
        assert!(chances_of(&account, &[], &[("0.42", "99")]).is_empty());
        let crossed = chances_of(&account, &[("0.40", "99")], &[("0.30", "99")]);
        assert!(crossed.is_empty());
        assert_eq!(tokens(&account.ledger).len(), 1);
        assert_eq!(account.held("m-yes"), sh("20"));

        let mut account = Account::new("100").bought("10", "0.50", NOON);
        let trailing = super::super::desk::NewConditional {
            trail_percent: Some(p("0.1")),
            ..conditional(ConditionalKind::TrailingStop, "0.48")
        };
        account.conditional(&trailing, NOON).unwrap();
        assert!(chances_of(&account, &[("0.48", "99")], &[("0.50", "99")]).is_empty());
        let rises = chances_of(&account, &[("0.49", "99")], &[("0.50", "99")]);
        assert_eq!(rises, [Chance { conditional: None }]);
        // One share bid high raises nothing: five of the twenty are wanted.
        let dust = chances_of(&account, &[("0.70", "1"), ("0.48", "99")], &[("0.72", "9")]);
        assert!(dust.is_empty());
    }
}

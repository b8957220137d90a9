//! What the log says of how orders were filled: as maker or taker, what of a book is used up, and what
//! held tokens were marked at.
//!
//! The books themselves are not in the log. A mark is therefore held against what is known of it (it
//! is of something held, and new), and for its price against what is counted by it later.

use std::collections::BTreeMap;

use crate::domain::{
    Fill, LedgerEvent, OrderType, Price, Shares, Side, StampedEvent, TokenId, UsedLevel,
};
use crate::trading::ledger::Ledger;

/// A fill of a resting order that the book had passed: the levels that gave it its shares come next.
#[derive(Debug, Clone)]
struct Passed {
    token: TokenId,
    side: Side,
    limit: Price,
    shares: Shares,
}

/// Follows fills and books, one event ahead of the ledger.
#[derive(Debug, Default)]
pub(super) struct Execution {
    passed: Option<Passed>,
    /// The event that told last how much of a token's book is used up.
    told: BTreeMap<TokenId, u64>,
}

impl Execution {
    /// Judges an event against the ledger before it; `current` for a log with recorded settings,
    /// which those of 1.0 are not. Errors: what it says is not so.
    pub(super) fn judge(
        &mut self,
        ledger: &Ledger,
        stamped: &StampedEvent,
        current: bool,
    ) -> Result<(), String> {
        let passed = self.passed.take();
        match &stamped.event {
            LedgerEvent::Filled { fill } => {
                filled(ledger, fill, current)?;
                if fill.maker && !fill.print {
                    self.passed = Some(Passed {
                        token: fill.token_id.clone(),
                        side: fill.side,
                        limit: fill.price,
                        shares: fill.shares,
                    });
                }
            }
            LedgerEvent::DepthUsed { token_id, levels } => {
                match passed {
                    Some(passed) if passed.token == *token_id => used(ledger, &passed, levels)?,
                    _ => freed(ledger, token_id, levels)?,
                }
                self.told.insert(token_id.clone(), stamped.seq);
            }
            LedgerEvent::Marked { marks } if current => marked(ledger, marks)?,
            LedgerEvent::BidsGone { tokens } if current => bids_gone(ledger, tokens)?,
            _ => {}
        }
        Ok(())
    }

    /// The first level of which a stored state has another part used up than the events lead to, with
    /// the event that told of its book last: how much was given back no event before can show.
    pub(super) fn depth_differs(&self, stored: &Ledger, led_to: &Ledger) -> Option<String> {
        let tokens = stored.used_tokens().chain(led_to.used_tokens());
        let levels = tokens.flat_map(|token| {
            let either = stored.used(token).iter().chain(led_to.used(token));
            either.map(move |used| (token, used.side, used.price))
        });
        levels
            .map(|(token, side, price)| {
                let shares = |ledger: &Ledger| ledger.used_at(token, side, price);
                (token, price, shares(stored), shares(led_to))
            })
            .find(|(_, _, is, should)| is != should)
            .map(|(token, price, is, should)| {
                let told = self.told.get(token);
                let told = told.map_or(String::new(), |seq| {
                    format!(" (its book was told of last by event {seq})")
                });
                format!(
                    "{is} shares are used up of the level {price} of token {token}, the events lead \
                     to {should}{told}"
                )
            })
    }
}

/// A maker's order rests and trades at its own price; a taker's does neither.
fn filled(ledger: &Ledger, fill: &Fill, current: bool) -> Result<(), String> {
    let id = fill.order_id;
    // One that is not open the ledger names.
    let Some((order, _)) = ledger.open_order(id) else {
        return Ok(());
    };
    let kind = order.order_type.as_str();
    if fill.print && !fill.maker {
        return Err(format!(
            "order {id} took it from the book, and a trade of others shows it"
        ));
    }
    if fill.maker && !order.order_type.rests() {
        return Err(format!("a maker's fill of order {id}, which is {kind}"));
    }
    if !fill.maker && order.order_type == OrderType::PostOnly {
        return Err(format!("a taker's fill of order {id}, which is {kind}"));
    }
    if !current {
        return Ok(());
    }
    match (fill.maker, ledger.resting().contains_key(&id)) {
        (true, false) => Err(format!("a maker's fill of order {id}, which does not rest")),
        (false, true) => Err(format!("a taker's fill of order {id}, which rests")),
        (true, true) if fill.price != order.limit => Err(format!(
            "a maker's fill at {} of order {id}, which rests at {}",
            fill.price, order.limit
        )),
        _ => Ok(()),
    }
}

/// The levels beyond the price of a resting order gave it what it filled, no more and no less.
fn used(ledger: &Ledger, passed: &Passed, levels: &[UsedLevel]) -> Result<(), String> {
    let mut given = Shares::ZERO;
    for level in levels {
        let beyond = level.price != passed.limit && passed.side.accepts(passed.limit, level.price);
        if level.side != passed.side || !beyond {
            return Err(format!(
                "the level {} is not beyond the order's price of {}",
                level.price, passed.limit
            ));
        }
        let before = ledger.used_at(&passed.token, level.side, level.price);
        if level.shares <= before {
            return Err(format!(
                "{} shares are used up of the level {}, {before} were before the fill",
                level.shares, level.price
            ));
        }
        given = given.plus(level.shares.minus(before));
    }
    if given == passed.shares {
        return Ok(());
    }
    Err(format!(
        "the levels gave {given} shares, the fill before it is of {}",
        passed.shares
    ))
}

/// Away from fills a level is only ever given back.
fn freed(ledger: &Ledger, token: &TokenId, levels: &[UsedLevel]) -> Result<(), String> {
    for level in levels {
        let before = ledger.used_at(token, level.side, level.price);
        if level.shares >= before {
            return Err(format!(
                "{} shares are used up of the level {}, {before} were before, and nothing filled",
                level.shares, level.price
            ));
        }
    }
    Ok(())
}

/// What is held is marked, when its bid is another than before.
fn marked(ledger: &Ledger, marks: &[(TokenId, Price)]) -> Result<(), String> {
    for (token, price) in marks {
        let Some(position) = ledger.positions().get(token) else {
            return Err(format!("token {token} is marked and not held"));
        };
        if position
            .mark
            .is_some_and(|mark| mark.price == *price && !mark.bid_gone)
        {
            return Err(format!("token {token} was marked at {price} before"));
        }
    }
    Ok(())
}

fn bids_gone(ledger: &Ledger, tokens: &[TokenId]) -> Result<(), String> {
    for token in tokens {
        let mark = ledger.positions().get(token).and_then(|held| held.mark);
        if mark.is_none_or(|mark| mark.bid_gone) {
            return Err(format!("token {token} had no bid before"));
        }
    }
    Ok(())
}

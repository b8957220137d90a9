//! Orders that rest: filled by trades of others and by books that have passed them, expired,
//! withdrawn with their market.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{
    Book, LedgerEvent, Market, Order, OrderOutcome, Price, Print, Rounding, Shares, Side,
    Timestamp, TokenId, Usdc, notional,
};

use super::super::matching::queue::{self, Waiting};
use super::super::matching::{self, LevelFill, Matched};
use super::super::report::{self, OrderReport};
use super::super::venue_rules;
use super::{DeskError, How, Step};

/// One of a token's resting orders while its step is under way.
struct Rest {
    now: Waiting,
    before: Waiting,
    fills: Vec<LevelFill>,
    last: How,
}

impl Step<'_> {
    /// Fills, advances and ends resting orders, token by token. In order of time: what traded before
    /// the book was seen, the book, what traded after it, the end of their time.
    pub(super) fn fill_resting(&mut self) -> Result<(), DeskError> {
        let resting = self.ledger().resting().values();
        let mut tokens: Vec<TokenId> = resting.map(|r| r.order.token_id.clone()).collect();
        tokens.sort_unstable();
        tokens.dedup();
        // One pass over the trades, however many tokens wait.
        let snapshot = self.snapshot.snapshot;
        let mut prints: BTreeMap<&TokenId, Vec<&Print>> = BTreeMap::new();
        for print in &snapshot.prints {
            prints.entry(&print.token).or_default().push(print);
        }
        for token in tokens {
            let prints = prints.remove(&token).unwrap_or_default();
            self.fill_token(&token, &prints)?;
        }
        self.expire()
    }

    fn fill_token(&mut self, token: &TokenId, prints: &[&Print]) -> Result<(), DeskError> {
        let Some(view) = self.snapshot.market_of(token) else {
            return Ok(());
        };
        let market = view.market.clone();
        if let Err(refusal) = self.not_resolved(&market.id) {
            return self.cancel_token(token, &refusal.message);
        }
        if !market.is_tradable() {
            return self.cancel_token(token, "the market no longer accepts orders");
        }
        // A book that no new order could trade on fills none that rests either, and without one
        // that is sound what traded is not all that happened.
        let gate = self.gate();
        let fit = |book: &&Arc<Book>| venue_rules::fit(book, &gate).is_ok();
        let Some(seen) = view.book(token).filter(fit) else {
            return Ok(());
        };
        let seen_at = seen.at;
        let mut rests = self.rests_of(token);
        let (earlier, later): (Vec<&Print>, Vec<&Print>) =
            prints.iter().partition(|print| print.at <= seen_at);
        self.meet_prints(&mut rests, &earlier, market.tick)?;
        for rest in &mut rests {
            self.meet_book(rest, seen)?;
        }
        self.meet_prints(&mut rests, &later, market.tick)?;
        for rest in rests {
            self.conclude(&rest, &market)?;
        }
        Ok(())
    }

    fn cancel_token(&mut self, token: &TokenId, reason: &str) -> Result<(), DeskError> {
        let ids: Vec<u64> = self
            .ledger()
            .resting()
            .iter()
            .filter(|(_, resting)| resting.order.token_id == *token)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.cancel_resting(id, reason)?;
        }
        Ok(())
    }

    /// A token's resting orders in the order in which the market meets them.
    fn rests_of(&self, token: &TokenId) -> Vec<Rest> {
        let resting = self.ledger().resting();
        let mut waiting: Vec<Waiting> = resting
            .values()
            .filter(|resting| resting.order.token_id == *token)
            .map(Waiting::of)
            .collect();
        queue::prioritise(&mut waiting);
        let rests = waiting.into_iter().map(|now| Rest {
            now,
            before: now,
            fills: Vec::new(),
            last: How::Passed,
        });
        rests.collect()
    }

    /// The order as it rests, before its step is concluded.
    fn resting_order(&self, id: u64) -> Option<Order> {
        let resting = self.ledger().resting().get(&id)?;
        Some(resting.order.clone())
    }

    fn meet_prints(
        &mut self,
        rests: &mut [Rest],
        prints: &[&Print],
        tick: Price,
    ) -> Result<(), DeskError> {
        for print in prints {
            let mut waiting: Vec<Waiting> = rests.iter().map(|rest| rest.now).collect();
            let fills = queue::meet(&mut waiting, print, tick);
            for (rest, now) in rests.iter_mut().zip(waiting) {
                rest.now = now;
            }
            for fill in fills {
                let Some(rest) = rests.iter_mut().find(|rest| rest.now.id == fill.order_id) else {
                    continue;
                };
                let Some(order) = self.resting_order(fill.order_id) else {
                    continue;
                };
                let level = maker_level(order.limit, fill.shares)?;
                self.record_fill(&order, &level, How::Printed)?;
                rest.fills.push(level);
                rest.last = How::Printed;
            }
        }
        Ok(())
    }

    /// What a fresh book does: it shows how many can still stand before the order at most, and fills
    /// the order where it shows prices beyond its own. What a book takes from the queue counts
    /// for all trades up to its time: one of them that is told later does not count again.
    fn meet_book(&mut self, rest: &mut Rest, seen: &Book) -> Result<(), DeskError> {
        let seen_at = seen.at;
        let Some(resting) = self.ledger().resting().get(&rest.now.id) else {
            return Ok(());
        };
        let order = &resting.order;
        let ended = order.expires_at.is_some_and(|end| end <= seen_at);
        if rest.now.remaining.is_zero() || ended || seen_at <= resting.placed_at {
            return Ok(());
        }
        if matching::is_beyond(order, seen) && self.pass_through(rest, seen_at)? {
            return Ok(());
        }
        let Some(resting) = self.ledger().resting().get(&rest.now.id) else {
            return Ok(());
        };
        let standing = seen.size_at(resting.order.side, resting.order.limit);
        if standing < rest.now.queue_ahead {
            rest.now.queue_ahead = standing;
            rest.now.accounted = rest.now.accounted.max(seen_at);
        }
        Ok(())
    }

    /// Fills the order with what the book shows beyond its price, if any of it is left.
    fn pass_through(&mut self, rest: &mut Rest, seen_at: Timestamp) -> Result<bool, DeskError> {
        let Some(resting) = self.ledger().resting().get(&rest.now.id).cloned() else {
            return Ok(false);
        };
        let order = &resting.order;
        let Some(book) = self.left_of(&order.token_id) else {
            return Ok(false);
        };
        let Some(level) = matching::trade_through(&resting, &book)? else {
            return Ok(false);
        };
        self.record_fill(order, &level, How::Passed)?;
        let levels =
            matching::depth::passed(&book, self.ledger(), order.side, order.limit, level.shares);
        self.recorder.record(LedgerEvent::DepthUsed {
            token_id: order.token_id.clone(),
            levels,
        })?;
        rest.now.remaining = rest.now.remaining.minus(level.shares);
        rest.now.queue_ahead = Shares::ZERO;
        rest.now.accounted = rest.now.accounted.max(seen_at);
        rest.fills.push(level);
        rest.last = How::Passed;
        Ok(true)
    }

    /// Records the order's new place, closes it when it is filled, reports what it got.
    fn conclude(&mut self, rest: &Rest, market: &Market) -> Result<(), DeskError> {
        let Rest { now, before, .. } = rest;
        // Only one that got something is told of.
        let got = !rest.fills.is_empty();
        let order = got.then(|| self.resting_order(now.id)).flatten();
        if now.remaining.is_zero() {
            let reason = match rest.last {
                How::Printed => "trades at its price passed the queue before it",
                How::Passed | How::Taken => "traded through",
            };
            self.close_order(now.id, OrderOutcome::Filled, Shares::ZERO, reason)?;
        } else if (now.queue_ahead, now.accounted) != (before.queue_ahead, before.accounted) {
            self.recorder.record(LedgerEvent::QueueAdvanced {
                order_id: now.id,
                queue_ahead: now.queue_ahead,
                prints_to: now.accounted,
            })?;
        }
        let Some(order) = order else {
            return Ok(());
        };
        let matched = Matched {
            fills: rest.fills.clone(),
            unfilled: now.remaining,
        };
        let status = report::outcome_words(report::outcome_of(&matched));
        let mut report = OrderReport::new(&order, market, &matched, status, None);
        if !now.remaining.is_zero() {
            report.rests(now.remaining, now.queue_ahead);
        }
        self.report.orders.push(report);
        match order.side {
            Side::Buy => self.attach_exits(&order, market, false).map(drop),
            Side::Sell => self.fit_conditionals(&order.token_id),
        }
    }

    /// Ends orders whose time has run out, whatever was gathered.
    fn expire(&mut self) -> Result<(), DeskError> {
        let now = self.recorder.at();
        let over: Vec<(u64, Timestamp, Shares)> = self
            .ledger()
            .resting()
            .iter()
            .filter_map(|(id, r)| Some((*id, r.order.expires_at?, r.remaining)))
            .filter(|(_, end, _)| *end <= now)
            .collect();
        for (id, end, unfilled) in over {
            let reason = format!("expired at {end}");
            self.close_order(id, OrderOutcome::Expired, unfilled, &reason)?;
        }
        Ok(())
    }
}

/// A maker's fill at its own price; makers pay no fee.
fn maker_level(price: Price, shares: Shares) -> Result<LevelFill, DeskError> {
    Ok(LevelFill {
        price,
        shares,
        notional: notional(price, shares, Rounding::Down)?,
        fee: Usdc::ZERO,
    })
}

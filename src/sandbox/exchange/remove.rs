//! How orders leave the book without being filled.

use std::cmp::Reverse;

use crate::domain::{Price, Shares, Timestamp};

use super::Exchange;
use super::change::{ChangeKind, OrderEvent};
use super::ids::{AccountId, MarketIdx, OrderNo};
use super::market::MarketState;
use super::order::{CancelCause, OrderStatus, OutcomeSide};
use super::refusal::NotCanceled;

const OUTCOMES: [OutcomeSide; 2] = [OutcomeSide::First, OutcomeSide::Second];

impl Exchange {
    /// Takes an order out of the book. Who may do that is the caller's business.
    pub fn cancel(&mut self, order: OrderNo, at: Timestamp) -> Result<(), NotCanceled> {
        if let Some(market) = self.slab.get(order).map(|slot| slot.market) {
            self.expire(market, at);
        }
        if self.remove(order, CancelCause::Requested, at) {
            return Ok(());
        }
        match self.records.get(&order).map(|record| record.status) {
            Some(OrderStatus::Matched) => Err(NotCanceled::Matched),
            Some(OrderStatus::Canceled(cause)) => Err(NotCanceled::Canceled(cause)),
            Some(OrderStatus::Live) | None => Err(NotCanceled::Unknown),
        }
    }

    /// Takes all of an account's orders out, of all markets or of one, of both outcomes or of one;
    /// gives their numbers. For the crowd, whose orders are found by walking the book, a market
    /// must be named.
    pub fn cancel_all(
        &mut self,
        account: AccountId,
        market: Option<MarketIdx>,
        outcome: Option<OutcomeSide>,
        at: Timestamp,
    ) -> Vec<OrderNo> {
        let mut numbers: Vec<OrderNo> = match (self.account(account), market) {
            (Some(owner), _) => owner.open.iter().copied().collect(),
            (None, Some(market)) => self.numbers(market, |_| true),
            (None, None) => Vec::new(),
        };
        numbers.retain(|no| {
            self.slab.get(*no).is_some_and(|slot| {
                slot.account == account
                    && market.is_none_or(|market| slot.market == market)
                    && outcome.is_none_or(|outcome| slot.outcome == outcome)
            })
        });
        numbers.retain(|no| self.cancel(*no, at).is_ok());
        numbers
    }

    /// Takes out the GTD orders that are due: a minute before their expiration.
    pub fn expire(&mut self, market: MarketIdx, now: Timestamp) {
        while let Some(state) = self.market_mut(market) {
            let Some(&Reverse((due, no))) = state.due.peek() else {
                break;
            };
            if due > now {
                break;
            }
            state.due.pop();
            let at = due.max(state.changed_at);
            self.remove(no, CancelCause::Expired, at);
        }
    }

    /// Changes the price step; resting orders off the new grid are cancelled.
    pub fn set_tick(&mut self, market: MarketIdx, tick: Price, at: Timestamp) {
        let Some(state) = self.market_mut(market) else {
            return;
        };
        let (old, watched) = (state.terms.tick, state.watched);
        if old == tick {
            return;
        }
        state.terms.tick = tick;
        if watched {
            self.feed
                .push(market, at, ChangeKind::Tick { old, new: tick });
        }
        for no in self.numbers(market, |price| !price.is_multiple_of(tick)) {
            self.remove(no, CancelCause::TickChanged, at);
        }
    }

    /// Ends trading for good; resting orders are cancelled.
    pub fn close(&mut self, market: MarketIdx, at: Timestamp) {
        self.expire(market, at);
        let Some(state) = self.market_mut(market) else {
            return;
        };
        if state.state != MarketState::Open {
            return;
        }
        state.state = MarketState::Closed;
        state.terms.accepting = false;
        let watched = state.watched;
        for no in self.numbers(market, |_| true) {
            self.remove(no, CancelCause::MarketClosed, at);
        }
        if let Some(state) = self.market_mut(market) {
            // Nothing will be added any more.
            state.due.clear();
            state.books = Default::default();
        }
        if watched || self.feed.lifecycles {
            self.feed.push(market, at, ChangeKind::Closed);
        }
    }

    /// Numbers of the orders in a market's books whose price on the book's scale passes `wanted`.
    fn numbers(&self, market: MarketIdx, wanted: impl Fn(Price) -> bool) -> Vec<OrderNo> {
        let mut found = Vec::new();
        if let Some(state) = self.market(market) {
            for book in OUTCOMES {
                for bids in [true, false] {
                    state
                        .ladder(book, bids)
                        .numbers(&self.slab, &wanted, &mut found);
                }
            }
        }
        found
    }

    /// Takes an order out; false when it is not in a book.
    fn remove(&mut self, no: OrderNo, cause: CancelCause, at: Timestamp) -> bool {
        let Some(&slot) = self.slab.get(no) else {
            return false;
        };
        let Some(market) = self.markets.get_mut(slot.market.0 as usize) else {
            return false;
        };
        let (book, bids, _) = market.seat(slot.outcome, slot.side);
        market.ladder_mut(book, bids).remove(&mut self.slab, no);
        market.changed_at = at;
        self.report_level(slot.market, book, bids, slot.price, at);
        if !slot.account.is_crowd() {
            self.revise(no, at, Some(OrderEvent::Cancellation), |record| {
                record.resting = Shares::ZERO;
                record.status = OrderStatus::Canceled(cause);
            });
        }
        true
    }
}

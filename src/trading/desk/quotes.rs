//! Two-sided quotes: resting orders that replace the strategy's earlier ones.

use std::collections::BTreeSet;

use crate::domain::{
    LedgerEvent, Order, OrderType, Quote, QuoteSide, Rounding, Side, Signal, notional,
};

use super::super::config::Mode;
use super::agent::AGENT;
use super::{DeskError, Step};

impl Step<'_> {
    /// Keeps resting orders whose price still stands and that are neither larger than is wanted now
    /// nor below the market's minimum, withdraws the others, places what is new.
    pub(super) fn trade_quotes(&mut self, quotes: Vec<Quote>) -> Result<(), DeskError> {
        if self.config.mode == Mode::Monitor {
            for quote in &quotes {
                for (side, wanted) in sides(quote) {
                    let row = self.log_signal(&signal_of(quote, side, wanted)?)?;
                    self.reject_unmonitored(row)?;
                }
            }
            return Ok(());
        }
        let mut kept = BTreeSet::new();
        let mut to_place = Vec::new();
        for quote in &quotes {
            for (side, wanted) in sides(quote) {
                let standing = self.ledger().resting().iter().find(|(_, resting)| {
                    let order = &resting.order;
                    order.strategy == quote.strategy
                        && order.token_id == quote.token_id
                        && order.side == side
                        && order.limit == wanted.price
                        && resting.remaining <= wanted.shares
                        && self
                            .view(&order.market_id)
                            .is_some_and(|view| resting.remaining >= view.market.min_size)
                });
                match standing {
                    Some((id, _)) => {
                        kept.insert(*id);
                    }
                    None if self.is_quoting(quote, side) => {}
                    None => to_place.push((quote, side, wanted)),
                }
            }
        }
        let gone: Vec<u64> = self
            .ledger()
            .resting()
            .iter()
            .filter(|(id, resting)| {
                // An agent's orders are its own to withdraw.
                !kept.contains(id) && resting.order.strategy.as_str() != AGENT
            })
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.cancel_resting(id, "replaced or withdrawn by its strategy")?;
        }
        for (quote, side, wanted) in to_place {
            self.place_quote(quote, side, wanted)?;
        }
        Ok(())
    }

    fn place_quote(
        &mut self,
        quote: &Quote,
        side: Side,
        wanted: QuoteSide,
    ) -> Result<(), DeskError> {
        let row = self.log_signal(&signal_of(quote, side, wanted)?)?;
        let Some(view) = self.view(&quote.market_id) else {
            let reason = "the market is not among those gathered for this tick".to_owned();
            return self.reject(row, "market not gathered", reason);
        };
        let order = Order {
            id: self.ledger().next_order_id(),
            client_order_id: None,
            signal_id: Some(row),
            strategy: quote.strategy.clone(),
            market_id: quote.market_id.clone(),
            event_id: view.market.event_id.clone(),
            token_id: quote.token_id.clone(),
            outcome: quote.outcome.clone(),
            side,
            limit: wanted.price,
            // The venue takes whole lots only.
            shares: wanted.shares.floor_to_lot(),
            order_type: OrderType::PostOnly,
            expires_at: None,
            arrives_at: None,
            fired_by: None,
            basket: None,
            reason: quote.reason.clone(),
            stop_loss: None,
            take_profit: None,
            trail_percent: None,
        };
        let book = self.book(&quote.token_id);
        match self.approve(order.clone(), &view.market, book.as_ref()) {
            Ok(approved) => {
                self.submit(approved, &view.market)?;
                self.recorder
                    .record(LedgerEvent::SignalExecuted { signal_id: row })?;
                Ok(())
            }
            Err(refusal) => {
                self.record_refusal(&order, &refusal)?;
                self.reject(row, &refusal.code, refusal.message)
            }
        }
    }
}

fn sides(quote: &Quote) -> impl Iterator<Item = (Side, QuoteSide)> {
    let bid = quote.bid.map(|side| (Side::Buy, side));
    let ask = quote.ask.map(|side| (Side::Sell, side));
    bid.into_iter().chain(ask)
}

fn signal_of(quote: &Quote, side: Side, wanted: QuoteSide) -> Result<Signal, DeskError> {
    let price = wanted.price.to_f64();
    let edge = match side {
        Side::Buy => quote.fair_price - price,
        Side::Sell => price - quote.fair_price,
    };
    Ok(Signal {
        strategy: quote.strategy.clone(),
        market_id: quote.market_id.clone(),
        token_id: quote.token_id.clone(),
        outcome: quote.outcome.clone(),
        side,
        confidence: quote.confidence,
        fair_price: quote.fair_price,
        target_price: wanted.price,
        edge,
        size: notional(wanted.price, wanted.shares, Rounding::Down)?,
        reason: quote.reason.clone(),
        stop_loss: None,
        take_profit: None,
    })
}

//! What the user channel and the notifications say about a change in the exchange.

use std::sync::Arc;

use alloy_primitives::Address;
use axum::extract::ws::Utf8Bytes;

use super::desk::Desk;
use super::keys::Caller;
use super::notices::{NoticeKind, NoticePayload};
use super::order::{Fault, Posted};
use super::rows::{self, Killed};
use crate::domain::{Side, Timestamp};
use crate::sandbox::exchange::{
    Change, ChangeKind, OrderEvent, OrderRecord, Quantity, TradeRecord, TradeStatus,
};
use crate::sandbox::model::{SimMarket, World};

/// One message for the holder of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserEvent {
    /// The signer whose orders it is about.
    pub(super) owner: Address,
    /// The market's condition id.
    pub(super) condition: String,
    /// The message, one JSON object.
    pub(super) text: Utf8Bytes,
    /// Tokens that it is about.
    pub(super) tokens: Arc<[String; 2]>,
}

impl UserEvent {
    fn about(market: &SimMarket, owner: Address, text: String) -> Self {
        UserEvent {
            owner,
            condition: market.condition_id.clone(),
            text: text.into(),
            tokens: Arc::new(market.tokens.clone()),
        }
    }
}

impl Desk {
    /// The messages that a change makes; notifications are filed on the way.
    pub(super) fn events(&mut self, world: &World, change: &Change) -> Vec<UserEvent> {
        match &change.kind {
            ChangeKind::Order(event, record) => self
                .order_event(world, *event, record, change.at)
                .into_iter()
                .collect(),
            ChangeKind::AgentTrade(trade) => self.trade_events(world, trade, change.at),
            _ => Vec::new(),
        }
    }

    fn order_event(
        &mut self,
        world: &World,
        event: OrderEvent,
        record: &OrderRecord,
        at: Timestamp,
    ) -> Option<UserEvent> {
        let account = record.placed.account;
        let file = self.file_of(record.order)?;
        let owner = self.find(file.maker)?.owner;
        let trades = rows::trades_by_order(self, &world.exchange, account)
            .remove(&record.order)
            .unwrap_or_default();
        let message = rows::order_message(world, event, record, file, trades, at)?;
        let text = serde_json::to_string(&message).ok()?;
        if event == OrderEvent::Cancellation {
            let payload = payload(world, record, file.hash.to_string(), None)?;
            let key = file.key.clone();
            self.notices
                .add(owner, key, NoticeKind::Cancellation, at, payload);
        }
        let market = world.markets.get(record.placed.market.0 as usize)?;
        Some(UserEvent::about(market, owner, text))
    }

    fn trade_events(
        &mut self,
        world: &World,
        trade: &TradeRecord,
        at: Timestamp,
    ) -> Vec<UserEvent> {
        let mut events = Vec::new();
        for party in [&trade.taker, &trade.maker] {
            let Some(file) = self.file_of(party.order).cloned() else {
                continue;
            };
            let (Some(wallet), Some(mut row)) = (
                self.find(file.maker),
                rows::trade(world, self, trade, party.account),
            ) else {
                continue;
            };
            if party.order == trade.maker.order {
                // A wallet that trades with itself hears of it once as taker, once as maker.
                row.set_maker();
            }
            let owner = wallet.owner;
            let kind = match trade.status {
                TradeStatus::Matched => Some(NoticeKind::Fill),
                TradeStatus::Failed => Some(NoticeKind::FillFailed),
                _ => None,
            };
            if let (Some(kind), Some(record)) = (kind, world.exchange.order(party.order))
                && let Some(payload) =
                    payload(world, record, file.hash.to_string(), Some(row.id.clone()))
            {
                self.notices.add(owner, file.key.clone(), kind, at, payload);
            }
            let message = rows::trade_message(row, file.key, at);
            let market = world.markets.get(trade.market.0 as usize);
            if let (Some(market), Ok(text)) = (market, serde_json::to_string(&message)) {
                events.push(UserEvent::about(market, owner, text));
            }
        }
        events
    }
}

/// The message about a FOK or FAK order that was killed at its arrival.
pub(super) fn killed(
    world: &World,
    caller: &Caller,
    posted: &Posted,
    fault: &Fault,
) -> Option<UserEvent> {
    let hash = fault.order?;
    let (market, _, _) = world.by_token(&posted.token)?;
    let terms = world.exchange.terms(market.idx())?;
    let (price, quantity) = posted.terms(terms.tick, &hash).ok()?;
    let message = rows::killed_message(
        &Killed {
            hash,
            key: &caller.key,
            maker: posted.order.maker,
            condition: &market.condition_id,
            token: &posted.token,
            side: posted.side,
            // A market BUY's size is its pUSD, as recorded.
            size: match quantity {
                Quantity::Shares(shares) => shares.to_string(),
                Quantity::Budget(money) => money.to_string(),
            },
            price: price.to_string(),
            order_type: posted.tif().ok()?.as_str(),
            reason: &fault.message,
        },
        world.now,
    );
    let text = serde_json::to_string(&message).ok()?;
    Some(UserEvent::about(market, caller.address, text))
}

fn payload(
    world: &World,
    record: &OrderRecord,
    order_id: String,
    trade_id: Option<String>,
) -> Option<NoticePayload> {
    let place = record.placed;
    let market = world.markets.get(place.market.0 as usize)?;
    Some(NoticePayload {
        asset_id: place.outcome.of(&market.tokens).clone(),
        market: market.condition_id.clone(),
        order_id,
        side: if place.side == Side::Buy {
            "BUY"
        } else {
            "SELL"
        },
        order_type: place.tif.as_str(),
        price: place.price.to_string(),
        original_size: record.size.to_string(),
        matched_size: record.matched.to_string(),
        remaining_size: record.size.minus(record.matched).to_string(),
        outcome: market.outcome(place.outcome),
        outcome_index: place.outcome.index(),
        transaction_hash: String::new(),
        trade_id: trade_id.unwrap_or_default(),
        question: market.question.clone(),
        market_slug: market.slug.clone(),
    })
}

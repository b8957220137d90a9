//! Orders, trades and answers as the venue serves them.
//!
//! Numbers are decimal strings, `created_at` of the REST row is a number, times of trades are
//! strings of unix seconds. The official client reads `created_at` of a socket event as seconds
//! while one recording shows milliseconds; seconds are served.

use std::collections::HashMap;

use alloy_primitives::{Address, B256};
use serde::Serialize;

use super::desk::{Accepted, Desk, OrderFile};
use super::keys::uuid;
use super::order::Fault;
use super::signing::derived;
use crate::domain::{Side, Timestamp};
use crate::sandbox::exchange::{
    AccountId, CancelCause, Exchange, OrderEvent, OrderNo, OrderRecord, OrderStatus, Party,
    PlacedStatus, TradeNo, TradeRecord, TradeStatus,
};
use crate::sandbox::model::{OutcomeSide, World};

/// The answer to one posted order.
#[derive(Debug, Serialize)]
pub(super) struct OrderAnswer {
    #[serde(rename = "errorMsg")]
    pub(super) error_msg: String,
    #[serde(rename = "orderID")]
    pub(super) order_id: String,
    /// Whole units in decimal text, `""` where nothing matched. The recordings show base units in
    /// one (made-up) answer, users report decimals; these are decimals.
    #[serde(rename = "takingAmount")]
    pub(super) taking_amount: String,
    #[serde(rename = "makingAmount")]
    pub(super) making_amount: String,
    pub(super) status: &'static str,
    pub(super) success: bool,
    /// The chain is slower than the answer: hashes come with the trades.
    #[serde(rename = "transactionsHashes", skip_serializing_if = "Option::is_none")]
    pub(super) transactions: Option<Vec<String>>,
    #[serde(rename = "tradeIDs", skip_serializing_if = "Option::is_none")]
    pub(super) trades: Option<Vec<String>>,
}

/// The answer to an accepted order.
pub(super) fn accepted(desk: &Desk, accepted: &Accepted) -> OrderAnswer {
    let placed = &accepted.placed;
    let matched = placed.status != PlacedStatus::Resting;
    let (making, taking) = match accepted.side {
        Side::Buy => (placed.notional.to_string(), placed.filled.to_string()),
        Side::Sell => (placed.filled.to_string(), placed.notional.to_string()),
    };
    let amount = |text: String| if matched { text } else { String::new() };
    OrderAnswer {
        error_msg: String::new(),
        order_id: accepted.hash.to_string(),
        taking_amount: amount(taking),
        making_amount: amount(making),
        status: if matched { "matched" } else { "live" },
        success: true,
        transactions: matched.then(Vec::new),
        trades: matched.then(|| {
            accepted
                .trades
                .iter()
                .map(|trade| trade_id(desk.seed, *trade))
                .collect()
        }),
    }
}

/// The answer to one refused order of a batch: HTTP 200 and `success: false`. The official client
/// wants all six fields of it; a recorded failure has `orderID: null` and no amounts.
pub(super) fn refused(fault: &Fault) -> OrderAnswer {
    OrderAnswer {
        error_msg: fault.message.clone(),
        order_id: fault.order.map(|hash| hash.to_string()).unwrap_or_default(),
        taking_amount: String::new(),
        making_amount: String::new(),
        status: "",
        success: false,
        transactions: None,
        trades: None,
    }
}

/// `0x…` in lower case, as the recorded rows have addresses.
pub(super) fn lower(address: Address) -> String {
    format!("{address:#x}")
}

fn upper(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// A trade's id on the wire.
pub(super) fn trade_id(seed: u64, trade: TradeNo) -> String {
    uuid(&derived("trade", &[&seed.to_be_bytes(), &trade.0.to_be_bytes()]).0)
}

/// The transaction of a trade; empty until it has been sent.
fn transaction(seed: u64, trade: &TradeRecord) -> String {
    if trade.status == TradeStatus::Matched {
        return String::new();
    }
    let number = trade.trade.0.to_be_bytes();
    derived("transaction", &[&seed.to_be_bytes(), &number]).to_string()
}

/// Which trades an account's orders took part in.
pub(super) fn trades_by_order(
    desk: &Desk,
    exchange: &Exchange,
    account: AccountId,
) -> HashMap<OrderNo, Vec<String>> {
    let mut map: HashMap<OrderNo, Vec<String>> = HashMap::new();
    for trade in exchange.trades(account) {
        for party in [&trade.taker, &trade.maker] {
            if party.account == account {
                map.entry(party.order)
                    .or_default()
                    .push(trade_id(desk.seed, trade.trade));
            }
        }
    }
    map
}

/// `GET /data/orders`, `GET /data/order/{id}`.
#[derive(Debug, Serialize)]
pub(super) struct OpenOrder {
    associate_trades: Vec<String>,
    id: String,
    status: &'static str,
    market: String,
    original_size: String,
    outcome: &'static str,
    maker_address: String,
    owner: String,
    price: String,
    side: &'static str,
    size_matched: String,
    asset_id: String,
    expiration: String,
    order_type: &'static str,
    created_at: i64,
}

/// The row of an order; `None` if its market is gone, which does not happen.
pub(super) fn open_order(
    world: &World,
    record: &OrderRecord,
    file: &OrderFile,
    trades: Vec<String>,
) -> Option<OpenOrder> {
    let place = record.placed;
    let market = world.markets.get(place.market.0 as usize)?;
    Some(OpenOrder {
        associate_trades: trades,
        id: file.hash.to_string(),
        status: match record.status {
            OrderStatus::Live => "LIVE",
            OrderStatus::Matched => "MATCHED",
            OrderStatus::Canceled(CancelCause::TickChanged) => "INVALID",
            OrderStatus::Canceled(_) => "CANCELED",
        },
        market: market.condition_id.clone(),
        original_size: record.size.to_string(),
        outcome: market.outcome(place.outcome),
        maker_address: lower(file.maker),
        owner: file.key.clone(),
        price: place.price.to_string(),
        side: upper(place.side),
        size_matched: record.matched.to_string(),
        asset_id: place.outcome.of(&market.tokens).clone(),
        expiration: file.expiration.to_string(),
        order_type: place.tif.as_str(),
        created_at: place.at.secs(),
    })
}

/// One maker order within a trade.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MakerOrder {
    asset_id: String,
    fee_rate_bps: String,
    maker_address: String,
    matched_amount: String,
    order_id: String,
    outcome: &'static str,
    owner: String,
    price: String,
    side: &'static str,
}

/// `GET /data/trades`.
///
/// The upper fields are the taker's, whoever asks; a maker finds itself in `maker_orders`. One
/// match is one trade here, so there is always exactly one maker order.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TradeRow {
    pub(super) id: String,
    taker_order_id: String,
    pub(super) market: String,
    pub(super) asset_id: String,
    side: &'static str,
    size: String,
    fee_rate_bps: String,
    price: String,
    status: &'static str,
    match_time: String,
    last_update: String,
    outcome: &'static str,
    bucket_index: u32,
    owner: String,
    pub(super) maker_address: String,
    transaction_hash: String,
    maker_orders: Vec<MakerOrder>,
    trader_side: &'static str,
}

impl OpenOrder {
    /// True when the row is what the filters ask for; an absent filter asks for everything.
    pub(super) fn matches(
        &self,
        id: Option<&str>,
        market: Option<&str>,
        token: Option<&str>,
    ) -> bool {
        id.is_none_or(|id| id == self.id)
            && market.is_none_or(|market| market == self.market)
            && token.is_none_or(|token| token == self.asset_id)
    }
}

impl TradeRow {
    /// True when one of the two orders is on this token, or by this address.
    pub(super) fn mentions(&self, text: &str) -> bool {
        self.asset_id == text
            || self.maker_address == text
            || self
                .maker_orders
                .iter()
                .any(|maker| maker.asset_id == text || maker.maker_address == text)
    }

    /// Shows the trade as its maker sees it.
    pub(super) fn set_maker(&mut self) {
        self.trader_side = "MAKER";
    }
}

/// Order id, key and address of one side of a trade; made-up ones for the crowd's.
fn names(desk: &Desk, party: &Party) -> (String, String, String) {
    if let Some(file) = desk.file_of(party.order) {
        return (file.hash.to_string(), file.key.clone(), lower(file.maker));
    }
    let seed = desk.seed.to_be_bytes();
    let parts: [&[u8]; 2] = [&seed, &party.order.0.to_be_bytes()];
    let wallet = Address::from_word(derived("crowd wallet", &parts));
    (
        derived("crowd order", &parts).to_string(),
        uuid(&derived("crowd key", &[&seed]).0),
        lower(wallet),
    )
}

/// The row of a trade as the holder of `account` sees it; `None` if the account has no part in it.
pub(super) fn trade(
    world: &World,
    desk: &Desk,
    trade: &TradeRecord,
    account: AccountId,
) -> Option<TradeRow> {
    let trader_side = if trade.taker.account == account {
        "TAKER"
    } else if trade.maker.account == account {
        "MAKER"
    } else {
        return None;
    };
    let market = world.markets.get(trade.market.0 as usize)?;
    let token = |side: OutcomeSide| side.of(&market.tokens).clone();
    let (taker_order_id, owner, maker_address) = names(desk, &trade.taker);
    let (order_id, maker_owner, maker_wallet) = names(desk, &trade.maker);
    let rate = (market.fee.schedule.rate() * 10_000.0).round();
    Some(TradeRow {
        id: trade_id(desk.seed, trade.trade),
        taker_order_id,
        market: market.condition_id.clone(),
        asset_id: token(trade.taker.outcome),
        side: upper(trade.taker.side),
        size: trade.size.to_string(),
        fee_rate_bps: rate.to_string(),
        price: trade.taker.price.to_string(),
        status: trade.status.as_str(),
        match_time: trade.matched_at.secs().to_string(),
        last_update: trade.updated_at.secs().to_string(),
        outcome: market.outcome(trade.taker.outcome),
        bucket_index: 0,
        owner,
        maker_address,
        transaction_hash: transaction(desk.seed, trade),
        maker_orders: vec![MakerOrder {
            asset_id: token(trade.maker.outcome),
            fee_rate_bps: "0".to_owned(),
            maker_address: maker_wallet,
            matched_amount: trade.size.to_string(),
            order_id,
            outcome: market.outcome(trade.maker.outcome),
            owner: maker_owner,
            price: trade.maker.price.to_string(),
            side: upper(trade.maker.side),
        }],
        trader_side,
    })
}

/// An `order` event of the user channel.
#[derive(Debug, Serialize)]
pub(super) struct OrderMessage {
    event_type: &'static str,
    asset_id: String,
    associate_trades: Vec<String>,
    created_at: String,
    expiration: String,
    id: String,
    maker_address: String,
    market: String,
    order_owner: String,
    order_type: &'static str,
    original_size: String,
    outcome: &'static str,
    owner: String,
    price: String,
    side: &'static str,
    size_matched: String,
    status: String,
    timestamp: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The message about what happened to an order.
pub(super) fn order_message(
    world: &World,
    event: OrderEvent,
    record: &OrderRecord,
    file: &OrderFile,
    trades: Vec<String>,
    at: Timestamp,
) -> Option<OrderMessage> {
    let place = record.placed;
    let market = world.markets.get(place.market.0 as usize)?;
    Some(OrderMessage {
        event_type: "order",
        asset_id: place.outcome.of(&market.tokens).clone(),
        associate_trades: trades,
        created_at: place.at.secs().to_string(),
        expiration: file.expiration.to_string(),
        id: file.hash.to_string(),
        maker_address: lower(file.maker),
        market: market.condition_id.clone(),
        order_owner: file.key.clone(),
        order_type: place.tif.as_str(),
        original_size: record.size.to_string(),
        outcome: market.outcome(place.outcome),
        owner: file.key.clone(),
        price: place.price.to_string(),
        side: upper(place.side),
        size_matched: record.matched.to_string(),
        status: match record.status {
            OrderStatus::Live => "LIVE",
            OrderStatus::Matched => "MATCHED",
            OrderStatus::Canceled(cause) => match cause {
                CancelCause::Requested | CancelCause::Killed | CancelCause::MatchFailed => {
                    "CANCELED"
                }
                CancelCause::Expired => "CANCELED_EXPIRED_ORDER",
                CancelCause::TickChanged => "INVALID",
                CancelCause::MarketClosed => "CANCELED_MARKET_RESOLVED",
            },
        }
        .to_owned(),
        timestamp: at.millis().to_string(),
        kind: match event {
            OrderEvent::Placement => "PLACEMENT",
            OrderEvent::Update => "UPDATE",
            OrderEvent::Cancellation => "CANCELLATION",
        },
    })
}

/// What is known of an order that was killed at its arrival.
#[derive(Debug)]
pub(super) struct Killed<'a> {
    pub(super) hash: B256,
    pub(super) key: &'a str,
    pub(super) maker: Address,
    pub(super) condition: &'a str,
    pub(super) token: &'a str,
    pub(super) side: Side,
    pub(super) size: String,
    pub(super) price: String,
    pub(super) order_type: &'static str,
    pub(super) reason: &'a str,
}

/// The message about a killed FOK or FAK order: a cancellation with the reason in its status, no
/// outcome and no creation time, as recorded.
pub(super) fn killed_message(killed: &Killed<'_>, at: Timestamp) -> OrderMessage {
    OrderMessage {
        event_type: "order",
        asset_id: killed.token.to_owned(),
        associate_trades: Vec::new(),
        created_at: String::new(),
        expiration: "0".to_owned(),
        id: killed.hash.to_string(),
        maker_address: lower(killed.maker),
        market: killed.condition.to_owned(),
        order_owner: killed.key.to_owned(),
        order_type: killed.order_type,
        original_size: killed.size.clone(),
        outcome: "",
        owner: killed.key.to_owned(),
        price: killed.price.clone(),
        side: upper(killed.side),
        size_matched: String::new(),
        status: format!("CANCELED_{}", killed.reason),
        timestamp: at.millis().to_string(),
        kind: "CANCELLATION",
    }
}

/// A `trade` event of the user channel.
#[derive(Debug, Serialize)]
pub(super) struct TradeMessage {
    event_type: &'static str,
    #[serde(flatten)]
    row: TradeRow,
    timestamp: String,
    /// The key of whom the message is for.
    trade_owner: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The message about a trade's state.
pub(super) fn trade_message(row: TradeRow, key: String, at: Timestamp) -> TradeMessage {
    TradeMessage {
        event_type: "trade",
        row,
        timestamp: at.millis().to_string(),
        trade_owner: key,
        kind: "TRADE",
    }
}

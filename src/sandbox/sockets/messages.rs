//! The market channel's messages, written as the recorded ones are: every number a string, field
//! order as recorded, an absent best bid "0" and an absent best ask "1" (the venue's migration
//! guide for this channel shows both).

use std::fmt::Write as _;

use serde_json::json;

use super::mirror::{Best, Mirror};
use crate::domain::{Price, Shares, Side, Timestamp};
use crate::sandbox::exchange::{LevelChange, Levels, OutcomeSide};
use crate::sandbox::model::{SimEvent, SimMarket};
use crate::sandbox::noise::{hex, mix};

/// What does not change about a market, for messages about it.
#[derive(Debug)]
pub(super) struct Listing {
    pub index: u32,
    pub condition: String,
    pub tokens: std::sync::Arc<[String; 2]>,
}

/// What a `book` says beside its levels.
#[derive(Debug, Clone, Copy)]
pub(super) struct BookState {
    pub at: Timestamp,
    pub tick: Price,
    pub last_trade: Option<Price>,
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// Prices of trades have at least three decimals on this channel: `0.730`.
fn trade_price(price: Price) -> String {
    let micros = price.micros();
    if micros.is_multiple_of(1_000) {
        format!("{}.{:03}", micros / 1_000_000, micros / 1_000 % 1_000)
    } else {
        price.to_string()
    }
}

// Writing into a `String` cannot fail: its results are dropped.

fn level_list(out: &mut String, name: &str, levels: &Levels) {
    let _ = write!(out, "\"{name}\":[");
    for (place, (price, size)) in levels.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(out, "{comma}{{\"price\":\"{price}\",\"size\":\"{size}\"}}");
    }
    out.push(']');
}

/// `book`: the whole book of one outcome.
pub(super) fn book(
    listing: &Listing,
    seed: u64,
    mirror: &Mirror,
    outcome: OutcomeSide,
    state: BookState,
) -> String {
    let (bids, asks) = mirror.served(outcome);
    let mut out = String::with_capacity(400 + 40 * (bids.len() + asks.len()));
    let at = state.at.millis();
    let hash = hex(
        &[
            seed,
            u64::from(listing.index),
            outcome.index() as u64,
            at.unsigned_abs(),
        ],
        40,
    );
    let _ = write!(
        out,
        "{{\"market\":\"{}\",\"asset_id\":\"{}\",\"timestamp\":\"{at}\",\"hash\":\"{hash}\",",
        listing.condition,
        outcome.of(&listing.tokens),
    );
    level_list(&mut out, "bids", &bids);
    out.push(',');
    level_list(&mut out, "asks", &asks);
    let _ = write!(
        out,
        ",\"tick_size\":\"{}\",\"event_type\":\"book\",\"last_trade_price\":\"{}\"}}",
        state.tick,
        state.last_trade.map(trade_price).unwrap_or_default(),
    );
    out
}

fn change_entry(out: &mut String, listing: &Listing, seed: u64, change: LevelChange, best: Best) {
    let key = mix(&[
        seed,
        u64::from(listing.index) << 1 | change.outcome.index() as u64,
        u64::from(change.price.micros()) << 1 | u64::from(change.side == Side::Buy),
        change.total.micros().unsigned_abs(),
    ]);
    let _ = write!(
        out,
        "{{\"asset_id\":\"{}\",\"price\":\"{}\",\"size\":\"{}\",\"side\":\"{}\",\"hash\":\"{key:016x}{:016x}{:08x}\",\"best_bid\":\"{}\",\"best_ask\":\"{}\"}}",
        change.outcome.of(&listing.tokens),
        change.price,
        change.total,
        side_name(change.side),
        mix(&[key]),
        key >> 32,
        best.bid.unwrap_or(Price::ZERO),
        best.ask.unwrap_or(Price::ONE),
    );
}

/// `price_change`: a new total at one price, in both outcomes' books where they are one.
pub(super) fn price_change(
    listing: &Listing,
    seed: u64,
    mirror: &Mirror,
    change: LevelChange,
    at: Timestamp,
) -> String {
    let mut out = String::with_capacity(760);
    let _ = write!(
        out,
        "{{\"market\":\"{}\",\"price_changes\":[",
        listing.condition
    );
    let seed = mix(&[seed, at.millis().unsigned_abs()]);
    change_entry(&mut out, listing, seed, change, mirror.best(change.outcome));
    if mirror.linked() {
        out.push(',');
        let other = change.mirror();
        change_entry(&mut out, listing, seed, other, mirror.best(other.outcome));
    }
    let _ = write!(
        out,
        "],\"timestamp\":\"{}\",\"event_type\":\"price_change\"}}",
        at.millis()
    );
    out
}

/// A match, as `last_trade_price` tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traded {
    pub outcome: OutcomeSide,
    pub side: Side,
    pub price: Price,
    pub size: Shares,
}

/// `last_trade_price`.
pub(super) fn last_trade_price(
    listing: &Listing,
    seed: u64,
    trade: Traded,
    at: Timestamp,
    number: u64,
) -> String {
    let hash = hex(&[seed, u64::from(listing.index), number, 0x7AD3], 64);
    format!(
        "{{\"market\":\"{}\",\"asset_id\":\"{}\",\"price\":\"{}\",\"size\":\"{}\",\"fee_rate_bps\":\"0\",\"side\":\"{}\",\"timestamp\":\"{}\",\"event_type\":\"last_trade_price\",\"transaction_hash\":\"0x{hash}\"}}",
        listing.condition,
        trade.outcome.of(&listing.tokens),
        trade.price,
        trade.size,
        side_name(trade.side),
        at.millis(),
    )
}

/// `tick_size_change` of one outcome.
pub(super) fn tick_size_change(
    listing: &Listing,
    outcome: OutcomeSide,
    [old, new]: [Price; 2],
    at: Timestamp,
) -> String {
    format!(
        "{{\"market\":\"{}\",\"asset_id\":\"{}\",\"old_tick_size\":\"{old}\",\"new_tick_size\":\"{new}\",\"timestamp\":\"{}\",\"event_type\":\"tick_size_change\"}}",
        listing.condition,
        outcome.of(&listing.tokens),
        at.millis(),
    )
}

/// `best_bid_ask` of one outcome.
pub(super) fn best_bid_ask(
    listing: &Listing,
    outcome: OutcomeSide,
    best: Best,
    at: Timestamp,
) -> String {
    let (bid, ask) = (
        best.bid.unwrap_or(Price::ZERO),
        best.ask.unwrap_or(Price::ONE),
    );
    format!(
        "{{\"market\":\"{}\",\"asset_id\":\"{}\",\"best_bid\":\"{bid}\",\"best_ask\":\"{ask}\",\"spread\":\"{}\",\"timestamp\":\"{}\",\"event_type\":\"best_bid_ask\"}}",
        listing.condition,
        outcome.of(&listing.tokens),
        ask.minus(bid),
        at.millis(),
    )
}

/// `new_market`.
pub(super) fn new_market(
    market: &SimMarket,
    event: &SimEvent,
    tick: Price,
    at: Timestamp,
) -> String {
    let (label, _) = event.category.tag();
    let fee = &market.fee.schedule;
    json!({
        "id": market.id.to_string(),
        "question": market.question,
        "market": market.condition_id,
        "slug": market.slug,
        "description": market.description,
        "assets_ids": market.tokens,
        "outcomes": market.outcomes,
        "event_message": {
            "id": event.id.to_string(),
            "ticker": event.slug,
            "slug": event.slug,
            "title": event.title,
            "description": market.description,
        },
        "timestamp": at.millis().to_string(),
        "event_type": "new_market",
        "tags": [label.to_lowercase()],
        "condition_id": market.condition_id,
        "active": true,
        "clob_token_ids": market.tokens,
        "order_price_min_tick_size": tick.to_string(),
        "group_item_title": market.group_title,
        "taker_base_fee": "1000",
        "fees_enabled": !fee.is_free(),
        "fee_schedule": {
            "exponent": fee.exponent().to_string(),
            "rate": fee.rate().to_string(),
            "taker_only": true,
            "rebate_rate": market.fee.rebate.to_string(),
        },
        "simulated": true,
    })
    .to_string()
}

/// `market_resolved`. An even split has no winner: the recorded field holds the first outcome's
/// token, which is left empty here instead.
pub(super) fn market_resolved(
    market: &SimMarket,
    event: &SimEvent,
    payouts: [u32; 2],
    at: Timestamp,
) -> String {
    let winner = match payouts {
        [1_000_000, _] => Some(OutcomeSide::First),
        [_, 1_000_000] => Some(OutcomeSide::Second),
        _ => None,
    };
    let (label, _) = event.category.tag();
    json!({
        "id": market.id.to_string(),
        "market": market.condition_id,
        "assets_ids": market.tokens,
        "winning_asset_id": winner.map_or("", |side| side.of(&market.tokens).as_str()),
        "winning_outcome": winner.map_or("", |side| market.outcome(side)),
        "timestamp": at.millis().to_string(),
        "event_type": "market_resolved",
        "tags": [label.to_lowercase()],
        "simulated": true,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_of_trades_have_three_decimals_or_as_many_as_they_need() {
        for (price, text) in [
            ("0.73", "0.730"),
            ("0.255", "0.255"),
            ("0.9975", "0.9975"),
            ("1", "1.000"),
        ] {
            assert_eq!(trade_price(Price::parse(price).unwrap()), text);
        }
    }
}

//! Messages of the market channel (`…/ws/market`), parsed. The [stream](super::stream) and book
//! recordings use them; nothing here connects anywhere.
//!
//! A frame is one message, a list of messages, or the text `PONG`. Prices and sizes are text,
//! timestamps milliseconds in text. A level change carries the **new total** at its price, not a
//! difference. There are no sequence numbers: after a gap only a new `book` helps.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::clob_rows::{self, ServedBook};
use super::number;
use super::row::{Problem, Row, RowFault, condition_id, is_asset_id, required};
use crate::domain::text::{MAX_NAME, MAX_QUESTION, clean};
use crate::domain::{ConditionId, Level, Price, Shares, Side, Timestamp, TokenId};

/// One message of the market channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarketMessage {
    /// A whole book, replacing what was known.
    Book(ServedBook),
    /// Levels that changed, of one or both tokens.
    PriceChange {
        /// The market.
        condition_id: ConditionId,
        /// What changed.
        changes: Vec<LevelChange>,
        /// When.
        at: Timestamp,
    },
    /// A trade.
    LastTradePrice {
        /// The token.
        token: TokenId,
        /// What the taker did; `None` when not told.
        side: Option<Side>,
        /// At this price, and so many shares.
        level: Level,
        /// When.
        at: Timestamp,
        /// On-chain transaction, where known already.
        transaction: Option<String>,
    },
    /// The price step changed; orders off the new step are refused from now on.
    TickSizeChange {
        /// The token.
        token: TokenId,
        /// The step before.
        old: Price,
        /// The step now.
        new: Price,
        /// When.
        at: Timestamp,
    },
    /// The best prices changed.
    BestBidAsk {
        /// The token.
        token: TokenId,
        /// Highest bid; `None` when nobody bids.
        bid: Option<Price>,
        /// Lowest ask; `None` when nobody offers.
        ask: Option<Price>,
        /// When.
        at: Timestamp,
    },
    /// A market ended. To be confirmed by the Data API or the CLOB before money moves.
    MarketResolved {
        /// The market.
        condition_id: ConditionId,
        /// The token that pays.
        winner: TokenId,
        /// Untrusted name of its outcome.
        outcome: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// A market was added anywhere on the venue.
    NewMarket {
        /// Gamma's id.
        id: String,
        /// The market.
        condition_id: ConditionId,
        /// Untrusted text.
        question: String,
        /// Tokens in the order of the outcomes.
        tokens: Vec<TokenId>,
        /// When.
        at: Timestamp,
    },
    /// A kind that this version does not know: to be ignored, and counted.
    Unknown(String),
}

/// The new total at one price of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelChange {
    /// The token.
    pub token: TokenId,
    /// `Buy`: a bid; `Sell`: an ask.
    pub side: Side,
    /// The price.
    pub price: Price,
    /// Shares there now; zero removes the level.
    pub size: Shares,
    /// Highest bid after what happened, of which this may be a part.
    pub best_bid: Best,
    /// Lowest ask after what happened, of which this may be a part.
    pub best_ask: Best,
}

/// A best price as a message tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Best {
    /// The message does not say.
    #[default]
    NotTold,
    /// That side of the book is empty.
    Nobody,
    /// This price.
    At(Price),
}

impl Best {
    /// The price; `None` when there is none or it is not told.
    #[must_use]
    pub fn price(self) -> Option<Price> {
        match self {
            Best::At(price) => Some(price),
            Best::Nobody | Best::NotTold => None,
        }
    }

    /// False when this says something else than `found`.
    #[must_use]
    pub fn agrees(self, found: Option<Price>) -> bool {
        self == Best::NotTold || self.price() == found
    }
}

/// Why a frame could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not JSON.
    #[error("the frame is not JSON: {0}")]
    NotJson(String),
    /// One of its messages makes no sense.
    #[error("a `{kind}` message makes no sense: {fault}")]
    Message {
        /// `event_type`.
        kind: String,
        /// What is wrong.
        fault: RowFault,
        /// The tokens that it names, whose changes are lost with it.
        tokens: Vec<TokenId>,
    },
}

/// The messages of one text frame, each read by itself; none for `PONG` and `PING`.
#[must_use]
pub fn frame(text: &str) -> Vec<Result<MarketMessage, FrameError>> {
    let text = text.trim();
    if matches!(text, "PONG" | "PING" | "") {
        return Vec::new();
    }
    if let Some(changes) = usual_price_change(text) {
        return vec![Ok(changes)];
    }
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(messages)) => messages.iter().map(message).collect(),
        Ok(single) => vec![message(&single)],
        Err(error) => vec![Err(FrameError::NotJson(error.to_string()))],
    }
}

/// The usual form of a level change, which most frames are, read without an intermediate tree.
#[derive(Deserialize)]
struct UsualPriceChange<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    market: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    price_changes: Vec<UsualLevel<'a>>,
}

#[derive(Deserialize)]
struct UsualLevel<'a> {
    #[serde(borrow)]
    asset_id: Cow<'a, str>,
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    size: Cow<'a, str>,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(borrow, default)]
    best_bid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    best_ask: Option<Cow<'a, str>>,
}

/// `None` for every other frame, and for one that is odd in any way: the careful way of reading
/// takes it and names what is wrong.
fn usual_price_change(text: &str) -> Option<MarketMessage> {
    if !text.starts_with('{') || !text.contains("\"price_change\"") {
        return None;
    }
    let usual: UsualPriceChange<'_> = serde_json::from_str(text).ok()?;
    if usual.event_type != "price_change" {
        return None;
    }
    let best = |told: &Option<Cow<'_, str>>| match told.as_deref().map(Price::parse) {
        None => Some(Best::NotTold),
        Some(Ok(Price::ZERO | Price::ONE)) => Some(Best::Nobody),
        Some(Ok(price)) => Some(Best::At(price)),
        Some(Err(_)) => None,
    };
    let changes = usual.price_changes.iter().map(|level| {
        if !is_asset_id(&level.asset_id) {
            return None;
        }
        Some(LevelChange {
            token: TokenId::new(&level.asset_id),
            side: match level.side.as_ref() {
                "BUY" => Side::Buy,
                "SELL" => Side::Sell,
                _ => return None,
            },
            price: Price::parse(&level.price).ok()?,
            size: Shares::parse(&level.size).ok()?,
            best_bid: best(&level.best_bid)?,
            best_ask: best(&level.best_ask)?,
        })
    });
    Some(MarketMessage::PriceChange {
        condition_id: condition_id(&usual.market)?,
        changes: changes.collect::<Option<Vec<_>>>()?,
        at: Timestamp::parse(&usual.timestamp)?,
    })
}

/// One message, by its `event_type`.
pub fn message(value: &Value) -> Result<MarketMessage, FrameError> {
    let kind = value.get("event_type").and_then(Value::as_str);
    let kind = kind.unwrap_or_default();
    message_of(kind, value)
}

/// One message of a known kind, for recordings that leave out `event_type`.
pub fn message_of(kind: &str, value: &Value) -> Result<MarketMessage, FrameError> {
    let parsed = match kind {
        "book" => clob_rows::book(value).map(MarketMessage::Book),
        "price_change" => price_change(value),
        "last_trade_price" => last_trade(value),
        "tick_size_change" => tick_size_change(value),
        "best_bid_ask" => best_bid_ask(value),
        "market_resolved" => market_resolved(value),
        "new_market" => new_market(value),
        _ => Ok(MarketMessage::Unknown(clean(kind, 60))),
    };
    parsed.map_err(|fault| FrameError::Message {
        kind: clean(kind, 60),
        fault,
        tokens: tokens_of(value),
    })
}

/// The tokens that a message names, as far as they can be read.
fn tokens_of(value: &Value) -> Vec<TokenId> {
    let changes = value.get("price_changes").and_then(Value::as_array);
    let named = std::iter::once(value).chain(changes.into_iter().flatten());
    named
        .filter_map(|object| object.get("asset_id")?.as_str())
        .filter(|id| is_asset_id(id))
        .map(TokenId::new)
        .collect()
}

fn price_change(value: &Value) -> Result<MarketMessage, RowFault> {
    let row = Row::new("price_change", value)?;
    let changes = required("price_changes", row.list("price_changes")?)?
        .iter()
        .map(|change| {
            let change = Row::new("price_changes", change)?;
            Ok(LevelChange {
                token: TokenId::new(change.asset_id("asset_id")?),
                side: required("side", side(&change)?)?,
                price: required("price", change.price("price")?)?,
                size: required("size", change.shares("size")?)?,
                best_bid: best(&change, "best_bid")?,
                best_ask: best(&change, "best_ask")?,
            })
        })
        .collect::<Result<Vec<_>, RowFault>>()?;
    Ok(MarketMessage::PriceChange {
        condition_id: required("market", row.condition_id("market")?)?,
        changes,
        at: timestamp(&row)?,
    })
}

fn last_trade(value: &Value) -> Result<MarketMessage, RowFault> {
    let row = Row::new("last_trade_price", value)?;
    Ok(MarketMessage::LastTradePrice {
        token: TokenId::new(row.asset_id("asset_id")?),
        side: side(&row)?,
        level: Level {
            price: required("price", row.price("price")?)?,
            size: required("size", row.shares("size")?)?,
        },
        at: timestamp(&row)?,
        transaction: row.text("transaction_hash")?.map(|hash| clean(hash, 70)),
    })
}

fn tick_size_change(value: &Value) -> Result<MarketMessage, RowFault> {
    let row = Row::new("tick_size_change", value)?;
    let tick = |field| {
        let tick = required(field, row.price(field)?)?;
        if tick == Price::ONE || !Price::ONE.is_multiple_of(tick) {
            return Err(RowFault::new(field, Problem::OutOfRange));
        }
        Ok(tick)
    };
    Ok(MarketMessage::TickSizeChange {
        token: TokenId::new(row.asset_id("asset_id")?),
        old: tick("old_tick_size")?,
        new: tick("new_tick_size")?,
        at: timestamp(&row)?,
    })
}

fn best_bid_ask(value: &Value) -> Result<MarketMessage, RowFault> {
    let row = Row::new("best_bid_ask", value)?;
    Ok(MarketMessage::BestBidAsk {
        token: TokenId::new(row.asset_id("asset_id")?),
        bid: best(&row, "best_bid")?.price(),
        ask: best(&row, "best_ask")?.price(),
        at: timestamp(&row)?,
    })
}

fn market_resolved(value: &Value) -> Result<MarketMessage, RowFault> {
    let row = Row::new("market_resolved", value)?;
    let winner = row.asset_id("winning_asset_id")?;
    let tokens = required("assets_ids", row.asset_ids("assets_ids")?)?;
    if !tokens.contains(&winner) {
        return Err(RowFault::new("winning_asset_id", Problem::Inconsistent));
    }
    Ok(MarketMessage::MarketResolved {
        condition_id: required("market", row.condition_id("market")?)?,
        winner: TokenId::new(winner),
        outcome: row
            .text("winning_outcome")?
            .map(|name| clean(name, MAX_NAME)),
        at: timestamp(&row)?,
    })
}

fn new_market(value: &Value) -> Result<MarketMessage, RowFault> {
    let row = Row::new("new_market", value)?;
    Ok(MarketMessage::NewMarket {
        id: required("id", row.id("id")?)?,
        condition_id: required("market", row.condition_id("market")?)?,
        question: clean(required("question", row.text("question")?)?, MAX_QUESTION),
        tokens: required("assets_ids", row.asset_ids("assets_ids")?)?
            .iter()
            .map(TokenId::new)
            .collect(),
        at: timestamp(&row)?,
    })
}

fn timestamp(row: &Row<'_>) -> Result<Timestamp, RowFault> {
    required("timestamp", row.moment("timestamp")?)
}

fn side(row: &Row<'_>) -> Result<Option<Side>, RowFault> {
    match row.text("side")? {
        None => Ok(None),
        Some("BUY") => Ok(Some(Side::Buy)),
        Some("SELL") => Ok(Some(Side::Sell)),
        Some(_) => Err(RowFault::new("side", Problem::OutOfRange)),
    }
}

/// A best price. The venue writes 0 for no bid and 1 for no ask, which nobody can trade at.
fn best(row: &Row<'_>, field: &'static str) -> Result<Best, RowFault> {
    let Some(value) = row.get(field) else {
        return Ok(Best::NotTold);
    };
    let price =
        number::parse(value, Price::parse).map_err(|problem| RowFault::new(field, problem))?;
    Ok(match price {
        None => Best::NotTold,
        Some(Price::ZERO | Price::ONE) => Best::Nobody,
        Some(price) => Best::At(price),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MARKET: &str = "0x0005c0d312de0be897668695bae9f32b624b4a1ae8b140c49f08447fcc74f442";

    #[test]
    fn frames_hold_one_many_or_no_messages() {
        assert_eq!(frame("PONG"), []);
        let tick = json!({"event_type": "tick_size_change", "market": MARKET, "asset_id": "7",
            "old_tick_size": "0.01", "new_tick_size": "0.001", "timestamp": "1703875210000"});
        let expected = MarketMessage::TickSizeChange {
            token: TokenId::new("7"),
            old: Price::from_micros(10_000).unwrap(),
            new: Price::from_micros(1_000).unwrap(),
            at: Timestamp::from_millis(1_703_875_210_000),
        };
        assert_eq!(frame(&tick.to_string()), [Ok(expected.clone())]);
        let many = frame(&json!([tick, {"event_type": "novelty"}]).to_string());
        assert_eq!(
            many,
            [Ok(expected), Ok(MarketMessage::Unknown("novelty".into()))]
        );
        assert!(matches!(
            frame("{").as_slice(),
            [Err(FrameError::NotJson(_))]
        ));
    }

    #[test]
    fn a_change_is_a_new_total_and_nobody_there_is_no_price() {
        let value = json!({"event_type": "price_change", "market": MARKET,
            "timestamp": "1790658674035", "price_changes": [
                {"asset_id": "7", "price": "0.5", "side": "SELL", "size": "0",
                 "best_bid": "0", "best_ask": "1"}]});
        let Ok(MarketMessage::PriceChange { changes, .. }) = message(&value) else {
            panic!("not read");
        };
        assert_eq!(changes[0].side, Side::Sell);
        assert_eq!(changes[0].size, Shares::ZERO);
        assert_eq!(
            (changes[0].best_bid, changes[0].best_ask),
            (Best::Nobody, Best::Nobody)
        );
    }

    #[test]
    fn both_ways_of_reading_a_change_agree() {
        let level = json!({"asset_id": "7", "price": "0.5", "side": "SELL", "size": "12.5",
            "hash": "x", "best_bid": "0.49", "best_ask": "1"});
        let mut usual = json!({"event_type": "price_change", "market": MARKET,
            "timestamp": "1790658674035", "price_changes": [level, level]});
        let careful = message(&usual);
        assert!(usual_price_change(&usual.to_string()).is_some());
        assert_eq!(frame(&usual.to_string()), [careful]);
        usual["price_changes"][0]["best_bid"] = Value::Null;
        assert!(usual_price_change(&usual.to_string()).is_some());
        assert_eq!(frame(&usual.to_string()), [message(&usual)]);
        for (field, odd) in [
            ("best_bid", json!(0.49)),
            ("best_bid", json!("")),
            ("price", json!("1.5")),
            ("side", json!("HOLD")),
            ("size", json!("-1")),
            ("asset_id", json!("0x7")),
        ] {
            usual["price_changes"][1] = level.clone();
            usual["price_changes"][1][field] = odd;
            let text = usual.to_string();
            assert_eq!(usual_price_change(&text), None, "{text}");
            assert_eq!(frame(&text), [message(&usual)]);
        }
    }

    #[test]
    fn impossible_messages_are_refused_by_name() {
        let refused = |value: Value| message(&value).unwrap_err().to_string();
        assert_eq!(
            refused(
                json!({"event_type": "last_trade_price", "asset_id": "7", "price": "1.5",
                "size": "1", "timestamp": "1"})
            ),
            "a `last_trade_price` message makes no sense: price is out of range"
        );
        assert_eq!(
            refused(json!({"event_type": "market_resolved", "market": MARKET,
                "assets_ids": ["1", "2"], "winning_asset_id": "3", "timestamp": "1"})),
            "a `market_resolved` message makes no sense: winning_asset_id is at odds with the \
             other fields"
        );
    }
}

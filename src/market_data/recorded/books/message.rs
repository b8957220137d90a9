//! One message of a recorded market channel, in whatever form it was kept.
//!
//! Captures hold frames as they came and are read by the live stream's own parser. Other recordings
//! leave out `market` or `event_type`, name tokens by text (`btc-updown-1h-1765450800:down`), hold the
//! `changes` of before September 2025 (one asset, no best prices) or answers of `GET /book` and
//! `POST /books`, in lists or wrapped by whoever collected them.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::domain::{ConditionId, Level, Price, Shares, Side, Timestamp, TokenId};
use crate::market_data::polymarket::clob_rows::ServedBook;
use crate::market_data::polymarket::ws_messages::{Best, FrameError, LevelChange, MarketMessage};
use crate::market_data::recorded::rows::is_id;

/// A message that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The market's condition, where told.
    pub condition: Option<ConditionId>,
    /// The exchange's time.
    pub at: Timestamp,
    /// What it says.
    pub said: Said,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A whole book.
    Whole {
        /// The book.
        served: ServedBook,
        /// It answers a question of whoever recorded: nobody told what came after it.
        asked_for: bool,
        /// The market's price step, where told.
        tick: Option<Price>,
    },
    /// New totals of levels.
    Changes(Vec<LevelChange>),
    /// A trade.
    Trade {
        /// The token.
        token: TokenId,
        /// What the taker did; `None` when not told.
        side: Option<Side>,
        /// Price and shares.
        level: Level,
    },
    /// The price step changed.
    Tick {
        /// The token.
        token: TokenId,
        /// The step now.
        new: Price,
    },
    /// The market ended.
    Resolved {
        /// The token that pays.
        winner: TokenId,
        /// All of its tokens.
        tokens: Vec<TokenId>,
    },
    /// Nothing about a book.
    Other,
}

/// A message that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Why, as it is counted.
    pub cause: &'static str,
    /// Whose changes may be lost with it; `None`: anybody's.
    pub tokens: Option<Vec<TokenId>>,
}

/// Not JSON.
pub const NOT_JSON: &str = "not JSON";
/// Nothing that the market channel or the book routes give.
pub const NOT_A_MESSAGE: &str = "neither a message of the market channel nor a book";
/// A time that is missing or makes no sense.
pub const BAD_TIME: &str = "a message without a time that can be read";
/// A number that makes no sense.
pub const BAD_LEVEL: &str = "a price, size or side that makes no sense";
/// An id that makes no sense.
pub const BAD_TOKEN: &str = "a message without a token";
/// A price that no market has.
pub const TOO_FINE: &str = "a price finer than 0.0001";

/// The finest price step of the venue, micro-units.
pub const FINEST: u32 = 100;

/// No recording is older: 2015-01-01.
const EARLIEST: Timestamp = Timestamp::from_secs(1_420_070_400);
/// And none is from after 2099.
const LATEST: Timestamp = Timestamp::from_secs(4_102_444_800);

/// True for a time that a recording can have.
#[must_use]
pub fn is_plausible(at: Timestamp) -> bool {
    (EARLIEST..LATEST).contains(&at)
}

/// The messages of one line of a raw recording.
pub fn line(text: &str) -> Vec<Result<Message, Fault>> {
    let text = text.trim();
    let lost = |cause| {
        vec![Err(Fault {
            cause,
            tokens: None,
        })]
    };
    if matches!(text, "" | "PONG" | "PING") {
        return Vec::new();
    }
    let rows = if text.starts_with('[') {
        serde_json::from_str::<Vec<Row<'_>>>(text)
    } else {
        serde_json::from_str::<Row<'_>>(text).map(|row| vec![row])
    };
    match rows {
        Ok(rows) => rows.iter().flat_map(messages).collect(),
        Err(error) if error.is_data() => lost(NOT_A_MESSAGE),
        Err(_) => lost(NOT_JSON),
    }
}

/// A message of a capture, as the live stream reads it.
pub fn captured(read: Result<MarketMessage, FrameError>) -> Result<Message, Fault> {
    let message = match read {
        Ok(message) => message,
        Err(FrameError::NotJson(_)) => {
            return Err(Fault {
                cause: NOT_JSON,
                tokens: None,
            });
        }
        Err(FrameError::Message { kind, tokens, .. }) => {
            let of_a_book = matches!(kind.as_str(), "book" | "price_change");
            return Err(Fault {
                cause: BAD_LEVEL,
                tokens: Some(if of_a_book { tokens } else { Vec::new() }),
            });
        }
    };
    let (condition, at, said) = match message {
        MarketMessage::Book(served) => {
            let Some(at) = served.timestamp else {
                // As the stream: it says nothing.
                return Err(Fault {
                    cause: BAD_TIME,
                    tokens: Some(Vec::new()),
                });
            };
            let condition = served.condition_id.clone();
            let said = Said::Whole {
                served,
                asked_for: false,
                tick: None,
            };
            (condition, at, said)
        }
        MarketMessage::PriceChange {
            condition_id,
            changes,
            at,
        } => (Some(condition_id), at, Said::Changes(changes)),
        MarketMessage::LastTradePrice {
            token,
            side,
            level,
            at,
            ..
        } => (None, at, Said::Trade { token, side, level }),
        MarketMessage::TickSizeChange { token, new, at, .. } => {
            (None, at, Said::Tick { token, new })
        }
        MarketMessage::MarketResolved {
            condition_id,
            winner,
            at,
            ..
        } => {
            let tokens = vec![winner.clone()];
            (Some(condition_id), at, Said::Resolved { winner, tokens })
        }
        MarketMessage::BestBidAsk { at, .. } | MarketMessage::NewMarket { at, .. } => {
            (None, at, Said::Other)
        }
        MarketMessage::Unknown(_) => (None, Timestamp::default(), Said::Other),
    };
    checked(Message {
        condition,
        at,
        said,
    })
}

/// Text, or a number as it would be written.
#[derive(Debug, Clone, PartialEq)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("text or a number")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(number.to_string())))
            }
        }
        from.deserialize_any(Reader)
    }
}

type Told<'a> = Option<Text<'a>>;

/// Everything that any form has.
#[derive(Debug, Deserialize)]
struct Row<'a> {
    #[serde(borrow, default)]
    event_type: Told<'a>,
    #[serde(borrow, default)]
    market: Told<'a>,
    #[serde(borrow, default)]
    asset_id: Told<'a>,
    #[serde(borrow, default)]
    timestamp: Told<'a>,
    #[serde(borrow, default)]
    bids: Option<Vec<RowLevel<'a>>>,
    #[serde(borrow, default)]
    asks: Option<Vec<RowLevel<'a>>>,
    /// Names of the sides in books of 2023.
    #[serde(borrow, default)]
    buys: Option<Vec<RowLevel<'a>>>,
    #[serde(borrow, default)]
    sells: Option<Vec<RowLevel<'a>>>,
    #[serde(borrow, default)]
    price_changes: Option<Vec<RowLevel<'a>>>,
    #[serde(borrow, default)]
    changes: Option<Vec<RowLevel<'a>>>,
    #[serde(borrow, default)]
    price: Told<'a>,
    #[serde(borrow, default)]
    size: Told<'a>,
    #[serde(borrow, default)]
    side: Told<'a>,
    #[serde(borrow, default)]
    tick_size: Told<'a>,
    #[serde(borrow, default)]
    new_tick_size: Told<'a>,
    #[serde(borrow, default)]
    winning_asset_id: Told<'a>,
    #[serde(borrow, default)]
    assets_ids: Option<Vec<Text<'a>>>,
    /// What a collector wrapped around an answer.
    #[serde(borrow, default)]
    books: Option<Vec<Row<'a>>>,
}

#[derive(Debug, Deserialize)]
struct RowLevel<'a> {
    #[serde(borrow, default)]
    asset_id: Told<'a>,
    #[serde(borrow)]
    price: Text<'a>,
    #[serde(borrow)]
    size: Text<'a>,
    #[serde(borrow, default)]
    side: Told<'a>,
    #[serde(borrow, default)]
    best_bid: Told<'a>,
    #[serde(borrow, default)]
    best_ask: Told<'a>,
}

fn messages(row: &Row<'_>) -> Vec<Result<Message, Fault>> {
    match &row.books {
        Some(books) => books.iter().map(|book| message(book)).collect(),
        None => vec![message(row)],
    }
}

fn message(row: &Row<'_>) -> Result<Message, Fault> {
    let tokens = tokens_of(row);
    let fault = |cause| Fault {
        cause,
        tokens: Some(tokens.clone()),
    };
    let said = said(row).map_err(fault)?;
    let at = row.timestamp.as_ref();
    let at = at.and_then(|text| Timestamp::parse(&text.0));
    let at = at.filter(|at| is_plausible(*at)).ok_or(fault(BAD_TIME))?;
    let condition = row.market.as_ref().map(|text| text.0.trim());
    let condition = condition.filter(|text| !text.is_empty() && is_id(text));
    checked(Message {
        condition: condition.map(|text| ConditionId::new(text.to_ascii_lowercase())),
        at,
        said,
    })
}

fn said(row: &Row<'_>) -> Result<Said, &'static str> {
    let kind = row.event_type.as_ref().map(|text| &*text.0);
    let own = || token(row.asset_id.as_ref()).ok_or(BAD_TOKEN);
    match kind {
        None | Some("" | "book") => whole(row, kind == Some("book")),
        Some("price_change") => {
            let changes = row.price_changes.as_ref().or(row.changes.as_ref());
            let changes = changes.ok_or(BAD_LEVEL)?;
            let default = token(row.asset_id.as_ref());
            let changes = changes.iter().map(|one| change(one, default.as_ref()));
            Ok(Said::Changes(changes.collect::<Result<_, _>>()?))
        }
        Some("last_trade_price") => {
            let price = row.price.as_ref().ok_or(BAD_LEVEL)?;
            let size = row.size.as_ref().ok_or(BAD_LEVEL)?;
            Ok(Said::Trade {
                token: own()?,
                side: match row.side.as_ref() {
                    None => None,
                    Some(text) if text.0.is_empty() => None,
                    Some(text) => Some(side(text)?),
                },
                level: level(price, size)?,
            })
        }
        Some("tick_size_change") => Ok(Said::Tick {
            token: own()?,
            new: tick(row.new_tick_size.as_ref()).ok_or(BAD_LEVEL)?,
        }),
        Some("market_resolved") => {
            let winner = token(row.winning_asset_id.as_ref()).ok_or(BAD_TOKEN)?;
            let tokens = row.assets_ids.iter().flatten();
            let tokens = tokens.filter_map(|id| token(Some(id))).collect();
            Ok(Said::Resolved { winner, tokens })
        }
        Some(_) => Ok(Said::Other),
    }
}

fn whole(row: &Row<'_>, pushed: bool) -> Result<Said, &'static str> {
    let bids = row.bids.as_ref().or(row.buys.as_ref());
    let asks = row.asks.as_ref().or(row.sells.as_ref());
    let (Some(bids), Some(asks)) = (bids, asks) else {
        return Err(if pushed { BAD_LEVEL } else { NOT_A_MESSAGE });
    };
    let side = |levels: &[RowLevel<'_>]| -> Result<Vec<Level>, &'static str> {
        let levels = levels.iter().map(|one| level(&one.price, &one.size));
        levels.collect()
    };
    Ok(Said::Whole {
        served: ServedBook {
            token: token(row.asset_id.as_ref()).ok_or(BAD_TOKEN)?,
            condition_id: None,
            bids: side(bids)?,
            asks: side(asks)?,
            timestamp: None,
        },
        asked_for: !pushed,
        tick: tick(row.tick_size.as_ref()),
    })
}

fn change(row: &RowLevel<'_>, default: Option<&TokenId>) -> Result<LevelChange, &'static str> {
    let told = token(row.asset_id.as_ref());
    let Level { price, size } = level(&row.price, &row.size)?;
    Ok(LevelChange {
        token: told.or_else(|| default.cloned()).ok_or(BAD_TOKEN)?,
        side: side(row.side.as_ref().ok_or(BAD_LEVEL)?)?,
        price,
        size,
        best_bid: best(row.best_bid.as_ref())?,
        best_ask: best(row.best_ask.as_ref())?,
    })
}

fn level(price: &Text<'_>, size: &Text<'_>) -> Result<Level, &'static str> {
    Ok(Level {
        price: Price::parse(&price.0).map_err(|_| BAD_LEVEL)?,
        size: Shares::parse(&size.0).map_err(|_| BAD_LEVEL)?,
    })
}

fn side(text: &Text<'_>) -> Result<Side, &'static str> {
    match &*text.0 {
        "BUY" | "buy" => Ok(Side::Buy),
        "SELL" | "sell" => Ok(Side::Sell),
        _ => Err(BAD_LEVEL),
    }
}

/// 0 for no bid and 1 for no ask, as the venue writes it.
fn best(text: Option<&Text<'_>>) -> Result<Best, &'static str> {
    let Some(text) = text.filter(|text| !text.0.is_empty()) else {
        return Ok(Best::NotTold);
    };
    match Price::parse(&text.0) {
        Ok(Price::ZERO | Price::ONE) => Ok(Best::Nobody),
        Ok(price) => Ok(Best::At(price)),
        Err(_) => Err(BAD_LEVEL),
    }
}

fn tick(text: Option<&Text<'_>>) -> Option<Price> {
    let tick = Price::parse(&text?.0).ok()?;
    let fits = tick != Price::ZERO && tick != Price::ONE && Price::ONE.is_multiple_of(tick);
    fits.then_some(tick)
}

fn token(text: Option<&Text<'_>>) -> Option<TokenId> {
    let text = text?.0.trim();
    (!text.is_empty() && is_id(text)).then(|| TokenId::new(text))
}

/// The tokens that a row names, as far as they can be read.
fn tokens_of(row: &Row<'_>) -> Vec<TokenId> {
    let changes = row.price_changes.iter().flatten();
    let named = changes.filter_map(|change| token(change.asset_id.as_ref()));
    token(row.asset_id.as_ref())
        .into_iter()
        .chain(named)
        .collect()
}

/// Refuses prices that no array of price steps has room for.
fn checked(message: Message) -> Result<Message, Fault> {
    let fine = |price: Price| !price.micros().is_multiple_of(FINEST);
    let (tokens, odd): (Vec<TokenId>, bool) = match &message.said {
        Said::Whole { served, .. } => {
            let levels = served.bids.iter().chain(&served.asks);
            let odd = levels.into_iter().any(|level| fine(level.price));
            (vec![served.token.clone()], odd)
        }
        Said::Changes(changes) => {
            let odd = changes.iter().any(|change| fine(change.price));
            if !odd {
                return Ok(message);
            }
            (
                changes.iter().map(|change| change.token.clone()).collect(),
                odd,
            )
        }
        _ => return Ok(message),
    };
    if odd {
        return Err(Fault {
            cause: TOO_FINE,
            tokens: Some(tokens),
        });
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Message, Fault> {
        let mut all = line(text);
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    #[test]
    fn every_form_of_a_book_and_of_a_change_is_read() {
        let old = one(
            r#"{"event_type":"price_change","market":"","asset_id":"7","changes":
            [{"price":"0.996","side":"SELL","size":"84.6"},{"price":".5","side":"BUY","size":0}],
            "timestamp":"1750361012494","hash":"x"}"#,
        )
        .unwrap();
        assert_eq!((old.at.millis(), old.condition), (1_750_361_012_494, None));
        let Said::Changes(changes) = old.said else {
            panic!("no changes")
        };
        assert_eq!(changes.len(), 2);
        assert_eq!(changes[0].best_ask, Best::NotTold);
        assert_eq!(
            (changes[1].token.as_str(), changes[1].size),
            ("7", Shares::ZERO)
        );
        let asked = one(
            r#"{"market":"0xAB","asset_id":"btc-1h:down","timestamp":1750361012494,
            "bids":[{"price":0.1,"size":3}],"asks":[],"tick_size":"0.001","neg_risk":false}"#,
        )
        .unwrap();
        assert_eq!(asked.condition.unwrap().as_str(), "0xab");
        let Said::Whole {
            served,
            asked_for,
            tick,
        } = asked.said
        else {
            panic!("no book")
        };
        assert_eq!(
            (served.token.as_str(), served.bids.len()),
            ("btc-1h:down", 1)
        );
        assert!(asked_for);
        assert_eq!(tick, Price::from_micros(1_000).ok());
        // A list, and a collector's wrapping.
        let book = r#"{"asset_id":"1","timestamp":"1750361012494","bids":[],"asks":[]}"#;
        assert_eq!(line(&format!("[{book},{book}]")).len(), 2);
        let wrapped = format!(r#"{{"collector_ts":"x","iteration":0,"books":[{book},{book}]}}"#);
        assert!(line(&wrapped).iter().all(Result::is_ok));
        assert!(line("PONG").is_empty() && line("  ").is_empty() && line("[]").is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_named_with_whose_changes_are_lost() {
        let cause = |text: &str| one(text).unwrap_err();
        assert_eq!(cause("{").cause, NOT_JSON);
        assert_eq!(cause("{").tokens, None);
        assert_eq!(cause("{}").cause, NOT_A_MESSAGE);
        let change = |price: &str, time: &str| {
            format!(
                r#"{{"event_type":"price_change","timestamp":"{time}","price_changes":
                [{{"asset_id":"7","price":"{price}","size":"1","side":"BUY"}}]}}"#
            )
        };
        assert!(one(&change("0.5", "1750361012494")).is_ok());
        let odd = cause(&change("1.5", "1750361012494"));
        assert_eq!(odd.cause, BAD_LEVEL);
        assert_eq!(odd.tokens.unwrap(), [TokenId::new("7")]);
        assert_eq!(cause(&change("0.50001", "1750361012494")).cause, TOO_FINE);
        for time in ["", "soon", "99", "9999999999999999"] {
            assert_eq!(cause(&change("0.5", time)).cause, BAD_TIME, "{time}");
        }
        let long = "9".repeat(300);
        let nameless =
            format!(r#"{{"asset_id":"{long}","timestamp":"1750361012494","bids":[],"asks":[]}}"#);
        assert_eq!(cause(&nameless).cause, BAD_TOKEN);
    }
}

//! The CLOB's rows: books, price points, and how a closed market says who won.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::number;
use super::row::{Oddities, Problem, Row, RowFault, condition_id, is_asset_id, required};
use crate::domain::{
    Book, BookOrigin, ConditionId, Level, Price, PricePoint, Shares, Timestamp, TokenId,
};

/// Kind of row in the counters.
pub const BOOK_ROW: &str = "clob book";
/// Kind of row in the counters.
pub const POINT_ROW: &str = "clob price point";

/// A book as served, before it is stamped with the time that it counts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedBook {
    /// The token.
    pub token: TokenId,
    /// The market's condition.
    pub condition_id: Option<ConditionId>,
    /// Bids in the order served: worst first on the venue, which nothing here relies on.
    pub bids: Vec<Level>,
    /// Asks in the order served.
    pub asks: Vec<Level>,
    /// When the venue made it.
    pub timestamp: Option<Timestamp>,
}

impl ServedBook {
    /// The domain's book, sorted, at the given moment.
    #[must_use]
    pub fn at(self, moment: Timestamp) -> Book {
        Book::new(self.token, self.bids, self.asks, moment, BookOrigin::Venue)
    }
}

/// The usual form, read without an intermediate tree: a tick reads thousands of books.
#[derive(Deserialize)]
struct PlainBook<'a> {
    #[serde(borrow)]
    asset_id: Cow<'a, str>,
    #[serde(borrow, default)]
    market: Option<Cow<'a, str>>,
    #[serde(borrow)]
    bids: Vec<PlainLevel<'a>>,
    #[serde(borrow)]
    asks: Vec<PlainLevel<'a>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct PlainLevel<'a> {
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    size: Cow<'a, str>,
}

/// All books of an answer; odd ones are skipped and counted. Errors: text when the answer is not
/// a list.
///
/// A book with one level that makes no sense is skipped as a whole: what else in it is wrong
/// cannot be known, and orders would be priced on it.
pub fn books(body: &[u8], oddities: &mut Oddities) -> Result<Vec<ServedBook>, String> {
    let parsed: Vec<Result<ServedBook, RowFault>> =
        match serde_json::from_slice::<Vec<PlainBook<'_>>>(body) {
            Ok(plain) => plain.iter().map(plain_book).collect(),
            // One row differs from the usual form: read each by itself.
            Err(_) => serde_json::from_slice::<Vec<Value>>(body)
                .map_err(|error| error.to_string())?
                .iter()
                .map(book)
                .collect(),
        };
    let mut books = Vec::with_capacity(parsed.len());
    for result in parsed {
        match result {
            Ok(book) => books.push(book),
            Err(fault) => oddities.skipped(BOOK_ROW, fault),
        }
    }
    Ok(books)
}

/// The one book of `GET /book`; an odd one is skipped and counted. Errors: text when the answer is
/// no JSON.
pub fn one_book(body: &[u8], oddities: &mut Oddities) -> Result<Vec<ServedBook>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(match book(&value) {
        Ok(book) => vec![book],
        Err(fault) => {
            oddities.skipped(BOOK_ROW, fault);
            Vec::new()
        }
    })
}

fn plain_book(book: &PlainBook<'_>) -> Result<ServedBook, RowFault> {
    if !is_asset_id(&book.asset_id) {
        return Err(RowFault::new("asset_id", Problem::OutOfRange));
    }
    let side = |field, levels: &[PlainLevel<'_>]| {
        levels
            .iter()
            .map(|served| {
                Ok(Level {
                    price: Price::parse(&served.price)
                        .map_err(|error| RowFault::new(field, number::problem(&error)))?,
                    size: Shares::parse(&served.size)
                        .map_err(|error| RowFault::new(field, number::problem(&error)))?,
                })
            })
            .collect::<Result<Vec<Level>, RowFault>>()
    };
    Ok(ServedBook {
        token: TokenId::new(&book.asset_id),
        condition_id: book.market.as_deref().and_then(condition_id),
        bids: side("bids", &book.bids)?,
        asks: side("asks", &book.asks)?,
        timestamp: match book.timestamp.as_deref() {
            None | Some("") => None,
            Some(text) => Some(
                Timestamp::parse(text).ok_or(RowFault::new("timestamp", Problem::OutOfRange))?,
            ),
        },
    })
}

/// One book, from REST or from the market channel. Errors: [`RowFault`] when any of it makes no
/// sense.
pub fn book(value: &Value) -> Result<ServedBook, RowFault> {
    let row = Row::new("book", value)?;
    Ok(ServedBook {
        token: TokenId::new(row.asset_id("asset_id")?),
        condition_id: row.text("market")?.and_then(condition_id),
        bids: levels(&row, "bids")?,
        asks: levels(&row, "asks")?,
        timestamp: row.moment("timestamp")?,
    })
}

fn levels(row: &Row<'_>, field: &'static str) -> Result<Vec<Level>, RowFault> {
    required(field, row.list(field)?)?
        .iter()
        .map(|served| {
            let level = Row::new(field, served)?;
            Ok(Level {
                price: required(field, level.price("price")?)?,
                size: required(field, level.shares("size")?)?,
            })
        })
        .collect()
}

/// Price points `{t, p}` in seconds and 0–1, sorted, one per moment; odd ones are skipped and
/// counted. Errors: [`RowFault`] when it is not a list.
pub fn points(value: &Value, oddities: &mut Oddities) -> Result<Vec<PricePoint>, RowFault> {
    let Value::Array(rows) = value else {
        return Err(RowFault::new("history", Problem::WrongType));
    };
    let mut points = Vec::with_capacity(rows.len());
    for row in rows {
        match point(row) {
            Ok(point) => points.push(point),
            Err(fault) => oddities.skipped(POINT_ROW, fault),
        }
    }
    points.sort_by_key(|point| point.at);
    points.dedup_by_key(|point| point.at);
    Ok(points)
}

fn point(value: &Value) -> Result<PricePoint, RowFault> {
    let row = Row::new("history", value)?;
    let at = required("t", row.moment("t")?)?;
    let price = required("p", row.float("p")?)?;
    if !(0.0..=1.0).contains(&price) {
        return Err(RowFault::new("p", Problem::OutOfRange));
    }
    Ok(PricePoint { at, price })
}

/// What `GET /markets/{condition}` says about the end of a market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClobMarket {
    /// The condition.
    pub condition_id: ConditionId,
    /// Trading is over; not the same as resolved.
    pub closed: bool,
    /// Both outcomes pay half.
    pub fifty_fifty: bool,
    /// Tokens and whether each won.
    pub tokens: Vec<(TokenId, bool)>,
}

/// The long form of a market. Errors: [`RowFault`] when it cannot be relied on.
pub fn clob_market(value: &Value) -> Result<ClobMarket, RowFault> {
    let row = Row::new("market", value)?;
    let tokens = required("tokens", row.list("tokens")?)?
        .iter()
        .map(|token| {
            let token = Row::new("tokens", token)?;
            Ok((
                TokenId::new(token.asset_id("token_id")?),
                token.flag("winner")?.unwrap_or(false),
            ))
        })
        .collect::<Result<Vec<_>, RowFault>>()?;
    Ok(ClobMarket {
        condition_id: required("condition_id", row.condition_id("condition_id")?)?,
        closed: row.flag("closed")?.unwrap_or(false),
        fifty_fifty: row.flag("is_50_50_outcome")?.unwrap_or(false),
        tokens,
    })
}

impl ClobMarket {
    /// What each token pays, once that is settled: 1 for the only winner, or half each.
    #[must_use]
    pub fn payouts(&self) -> Option<Vec<(TokenId, Price)>> {
        if !self.closed || self.tokens.len() != 2 {
            return None;
        }
        let winners = self.tokens.iter().filter(|(_, winner)| *winner).count();
        let half = Price::from_micros(500_000).ok()?;
        let pay = |winner: bool| match (self.fifty_fifty, winners, winner) {
            (true, _, _) => Some(half),
            (false, 1, true) => Some(Price::ONE),
            (false, 1, false) => Some(Price::ZERO),
            _ => None,
        };
        self.tokens
            .iter()
            .map(|(token, winner)| Some((token.clone(), pay(*winner)?)))
            .collect()
    }
}

/// The bare unix seconds of `GET /time`; a sandbox may give fractions.
#[must_use]
pub fn server_time(value: &Value) -> Option<Timestamp> {
    let text = number::text(value).ok().flatten()?;
    Timestamp::parse(&text).or_else(|| {
        let seconds = text.parse::<f64>().ok().filter(|s| s.is_finite())?;
        (0.0..1e11)
            .contains(&seconds)
            .then(|| Timestamp::from_millis((seconds * 1000.0).round() as i64))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_ways_of_reading_agree() {
        let usual = json!([{"asset_id": "7", "market": null, "timestamp": "1792173951815",
            "bids": [{"price": "0.134", "size": "5364"}, {"price": "0.154", "size": "555.09"}],
            "asks": [{"price": "0.175", "size": "100"}, {"price": "0.155", "size": "1"}]}]);
        // The same book with numbers where text is usual.
        let odd = json!([{"asset_id": "7", "market": null, "timestamp": 1792173951815_u64,
            "bids": [{"price": 0.134, "size": 5364}, {"price": "0.154", "size": "555.09"}],
            "asks": [{"price": "0.175", "size": 100.0}, {"price": "0.155", "size": "1"}]}]);
        let mut oddities = Oddities::default();
        let read = |value: &Value, oddities: &mut Oddities| {
            books(value.to_string().as_bytes(), oddities).unwrap()
        };
        let plain = read(&usual, &mut oddities);
        assert_eq!(plain, read(&odd, &mut oddities));
        assert_eq!(oddities.causes(), &[] as &[String]);
        let book = plain[0].clone().at(Timestamp::from_secs(5));
        assert_eq!(book.best_bid().unwrap().to_string(), "0.154");
        assert_eq!(book.best_ask().unwrap().to_string(), "0.155");
        assert_eq!(book.at, Timestamp::from_secs(5));
        assert_eq!(
            plain[0].timestamp,
            Some(Timestamp::from_millis(1_792_173_951_815))
        );
    }

    #[test]
    fn a_book_with_an_impossible_level_is_skipped_and_the_others_stay() {
        let level = |price: &str, size: &str| json!([{"price": price, "size": size}]);
        let body = json!([
            {"asset_id": "1", "bids": level("1.5", "1"), "asks": []},
            {"asset_id": "2", "bids": level("0.5", "-1"), "asks": []},
            {"asset_id": "3", "bids": level("NaN", "1"), "asks": []},
            {"asset_id": "0xff", "bids": [], "asks": []},
            {"asset_id": "5", "bids": [], "asks": level("0.5", "1")},
        ])
        .to_string();
        let mut oddities = Oddities::default();
        let books = books(body.as_bytes(), &mut oddities).unwrap();
        assert_eq!(books.len(), 1);
        assert_eq!(books[0].token.as_str(), "5");
        assert_eq!(
            oddities.causes(),
            [
                "clob book: bids is out of range",
                "clob book: bids is out of range",
                "clob book: bids is not a number",
                "clob book: asset_id is out of range",
            ]
        );
    }

    #[test]
    fn points_are_sorted_and_odd_ones_counted() {
        let served = json!([{"t": 20, "p": 0.3}, {"t": 10, "p": 0.2}, {"t": 20, "p": 0.3},
            {"t": 30, "p": 1.2}, {"t": 40}]);
        let mut oddities = Oddities::default();
        let points = points(&served, &mut oddities).unwrap();
        let seconds: Vec<i64> = points.iter().map(|point| point.at.secs()).collect();
        assert_eq!(seconds, [10, 20]);
        assert_eq!(oddities.causes().len(), 2);
    }

    #[test]
    fn a_winner_needs_a_closed_market_and_no_rival() {
        let market = |closed: bool, fifty: bool, a: bool, b: bool| ClobMarket {
            condition_id: ConditionId::new("0x"),
            closed,
            fifty_fifty: fifty,
            tokens: vec![(TokenId::new("1"), a), (TokenId::new("2"), b)],
        };
        let paid = |market: ClobMarket| {
            market.payouts().map(|p| {
                p.iter()
                    .map(|(_, price)| price.to_string())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(
            paid(market(true, false, false, true)),
            Some(vec!["0".into(), "1".into()])
        );
        assert_eq!(
            paid(market(true, true, false, false)),
            Some(vec!["0.5".into(), "0.5".into()])
        );
        assert_eq!(paid(market(true, false, false, false)), None);
        assert_eq!(paid(market(true, false, true, true)), None);
        assert_eq!(paid(market(false, false, true, false)), None);
    }

    #[test]
    fn time_is_seconds_with_or_without_a_fraction() {
        assert_eq!(
            server_time(&json!(1792173951)),
            Some(Timestamp::from_secs(1_792_173_951))
        );
        assert_eq!(
            server_time(&json!(1792173951.25)),
            Some(Timestamp::from_millis(1_792_173_951_250))
        );
        assert_eq!(server_time(&json!("soon")), None);
    }
}

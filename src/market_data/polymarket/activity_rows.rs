//! The Data API's rows about who trades and holds, what wallets are worth, what tokens paid, and
//! past prices in its own form.

use serde_json::Value;

use super::row::{Oddities, Problem, Row, RowFault, required};
use crate::domain::{Price, PricePoint, Print, Shares, Side, TokenId};
use crate::market_data::{Holder, TakenTrade};

/// Kind of row in the counters.
pub const TRADE_ROW: &str = "data trade";
/// Kind of row in the counters.
pub const HOLDER_ROW: &str = "data holder";
/// Kind of row in the counters.
pub const TOKEN_ROW: &str = "data token";
/// Kind of row in the counters.
pub const POINT_ROW: &str = "data price point";

/// One trade, from its taker's side. Errors: [`RowFault`] when size or price make no sense.
pub fn trade(value: &Value) -> Result<TakenTrade, RowFault> {
    let row = Row::new("trade", value)?;
    let side = match required("side", row.text("side")?)? {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return Err(RowFault::new("side", Problem::OutOfRange)),
    };
    Ok(TakenTrade {
        token: TokenId::new(row.asset_id("token_id")?),
        side,
        shares: positive(&row, "size")?,
        price: share_price(&row, "price")?,
        at: required("timestamp", row.moment("timestamp")?)?,
    })
}

/// One trade, from its taker's side, in exact numbers: shares to the micro-unit below, and a price
/// that a share can have. Errors: [`RowFault`] when size or price make no sense.
pub fn print(value: &Value) -> Result<Print, RowFault> {
    let TakenTrade {
        token,
        side,
        shares,
        price,
        at,
    } = trade(value)?;
    let micros = (shares * 1e6 + SLACK).floor();
    let whole = |field| RowFault::new(field, Problem::OutOfRange);
    // 2^53: beyond it a float counts no micro-units.
    if micros > 9e15 {
        return Err(whole("size"));
    }
    Ok(Print {
        token,
        taker: Some(side),
        price: Price::from_f64_rounded(price).map_err(|_| whole("price"))?,
        shares: Shares::from_micros(micros as i64).map_err(|_| whole("size"))?,
        at,
    })
}

/// Of a micro-unit: what binary arithmetic may lose of a whole number.
const SLACK: f64 = 1e-3;

/// The holders of all tokens in `data`, as served: by token, largest first. Odd ones are skipped and
/// counted. Errors: [`RowFault`] when `data` is no list.
pub fn holders(answer: &Value, oddities: &mut Oddities) -> Result<Vec<Holder>, RowFault> {
    let envelope = Row::new("answer", answer)?;
    let mut out = Vec::new();
    for token in envelope.list("data")?.unwrap_or_default().iter() {
        let listed =
            Row::new("holders", token).and_then(|row| required("holders", row.list("holders")?));
        match listed {
            Ok(rows) => {
                for row in rows.iter() {
                    match holder(row) {
                        Ok(holder) => out.push(holder),
                        Err(fault) => oddities.skipped(HOLDER_ROW, fault),
                    }
                }
            }
            Err(fault) => oddities.skipped(HOLDER_ROW, fault),
        }
    }
    Ok(out)
}

fn holder(value: &Value) -> Result<Holder, RowFault> {
    let row = Row::new("holder", value)?;
    Ok(Holder {
        token: TokenId::new(row.asset_id("token_id")?),
        address: required("proxy_wallet", address(&row, "proxy_wallet")?)?,
        shares: positive(&row, "amount")?,
    })
}

/// What a wallet's positions are worth, pUSD; `None` when the answer does not say.
/// Errors: [`RowFault`] when it makes no sense.
pub fn wallet_value(answer: &Value) -> Result<Option<f64>, RowFault> {
    let envelope = Row::new("answer", answer)?;
    let Some(data) = envelope.get("data") else {
        return Ok(None);
    };
    match Row::new("data", data)?.float("value")? {
        Some(value) if value < 0.0 => Err(RowFault::new("value", Problem::OutOfRange)),
        value => Ok(value),
    }
}

/// The proxy wallet of a Gamma profile, lower case. Errors: [`RowFault`] when it is none.
pub fn proxy_wallet(profile: &Value) -> Result<Option<String>, RowFault> {
    address(&Row::new("profile", profile)?, "proxyWallet")
}

/// What one token paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The token.
    pub token: TokenId,
    /// Its market is resolved.
    pub resolved: bool,
    /// What a share paid, 0–1, once that is settled.
    pub final_price: Option<Price>,
}

/// One token. Errors: [`RowFault`] when it cannot be relied on.
pub fn token(value: &Value) -> Result<TokenRow, RowFault> {
    let row = Row::new("token", value)?;
    let resolved = row.flag("resolved")?.unwrap_or(false);
    Ok(TokenRow {
        token: TokenId::new(row.asset_id("token_id")?),
        resolved,
        // Before the end it is the last price, which pays nobody.
        final_price: if resolved {
            row.price("final_price")?
        } else {
            None
        },
    })
}

/// One point `{timestamp, price}` in seconds and 0–1. Errors: [`RowFault`] when it makes no sense.
pub fn point(value: &Value) -> Result<PricePoint, RowFault> {
    let row = Row::new("price point", value)?;
    Ok(PricePoint {
        at: required("timestamp", row.moment("timestamp")?)?,
        price: share_price(&row, "price")?,
    })
}

fn positive(row: &Row<'_>, field: &'static str) -> Result<f64, RowFault> {
    let number = required(field, row.float(field)?)?;
    if number < 0.0 {
        return Err(RowFault::new(field, Problem::OutOfRange));
    }
    Ok(number)
}

fn share_price(row: &Row<'_>, field: &'static str) -> Result<f64, RowFault> {
    let price = required(field, row.float(field)?)?;
    if !(0.0..=1.0).contains(&price) {
        return Err(RowFault::new(field, Problem::OutOfRange));
    }
    Ok(price)
}

fn address(row: &Row<'_>, field: &'static str) -> Result<Option<String>, RowFault> {
    match row.text(field)? {
        None => Ok(None),
        Some(text) => wallet_address(text)
            .map(Some)
            .ok_or(RowFault::new(field, Problem::OutOfRange)),
    }
}

/// `0x` and 40 hex digits, in lower case; `None` for anything else. Checksums (mixed case) are not
/// checked: profiles show addresses without.
#[must_use]
pub fn wallet_address(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X"))?;
    let fits = digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| format!("0x{}", digits.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wallet(digit: &str) -> String {
        format!("0x{}", digit.repeat(40))
    }

    #[test]
    fn trades_and_points_with_impossible_numbers_are_refused() {
        let row = json!({"side": "SELL", "token_id": "7", "size": 92.59, "price": 0.7,
            "timestamp": 1786179735});
        let read = trade(&row).unwrap();
        assert_eq!(
            (read.side, read.shares, read.price),
            (Side::Sell, 92.59, 0.7)
        );
        assert_eq!(read.at.secs(), 1_786_179_735);
        let with = |field: &str, value: Value| {
            let mut row = row.clone();
            row[field] = value;
            trade(&row).unwrap_err().to_string()
        };
        assert_eq!(with("price", json!(1.2)), "price is out of range");
        assert_eq!(with("size", json!(-1)), "size is out of range");
        assert_eq!(with("side", json!("HOLD")), "side is out of range");
        assert!(point(&json!({"timestamp": 1, "price": "NaN"})).is_err());
    }

    #[test]
    fn a_print_counts_whole_micro_units() {
        let row = json!({"side": "SELL", "token_id": "7", "size": 92.59, "price": 0.7,
            "timestamp": 1786179735});
        let read = print(&row).unwrap();
        assert_eq!(
            (read.taker, read.price.micros()),
            (Some(Side::Sell), 700_000)
        );
        // 92.59 × 1e6 is 92589999.99999999 in binary.
        assert_eq!(read.shares.micros(), 92_590_000);
        let mut odd = row.clone();
        odd["size"] = json!(0.123_456_78);
        assert_eq!(print(&odd).unwrap().shares.micros(), 123_456);
        odd["size"] = json!(1e12);
        assert!(print(&odd).is_err());
    }

    #[test]
    fn holders_come_by_token_and_odd_ones_are_counted() {
        let answer = json!({"data": [
            {"token_id": "7", "holders": [
                {"token_id": "7", "proxy_wallet": wallet("A"), "amount": 784.38},
                {"token_id": "7", "proxy_wallet": "someone", "amount": 1}]},
            {"token_id": "8", "holders": null}]});
        let mut oddities = Oddities::default();
        let found = holders(&answer, &mut oddities).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].address, wallet("a"));
        assert_eq!(
            oddities.causes(),
            [
                "data holder: proxy_wallet is out of range",
                "data holder: holders is missing"
            ]
        );
    }

    #[test]
    fn an_address_is_0x_and_forty_hex_digits_in_any_case() {
        assert_eq!(wallet_address(&wallet("B")), Some(wallet("b")));
        assert_eq!(
            wallet_address(&wallet("b").replace("0x", "0X")),
            Some(wallet("b"))
        );
        for bad in ["", "0x", "0x12", &wallet("b")[2..], &wallet("g")] {
            assert_eq!(wallet_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_worth_is_a_number_or_unknown() {
        assert_eq!(
            wallet_value(&json!({"data": {"value": 844.4295}})),
            Ok(Some(844.4295))
        );
        assert_eq!(wallet_value(&json!({"data": null})), Ok(None));
        assert!(wallet_value(&json!({"data": {"value": -1}})).is_err());
    }
}

//! A posted order, from its JSON to what the exchange understands; and what the venue says when it
//! does not.
//!
//! The wordings are those of the venue's error-code page; where only reports of users show one, the
//! comment says so.

use alloy_primitives::{Address, B256, U256, hex};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::signing::Order;
use crate::domain::{Price, Shares, Side, Timestamp, Usdc};
use crate::sandbox::exchange::{Quantity, Refusal, Tif};

/// Micro-units of one.
const MICRO: u128 = 1_000_000;
/// The largest whole number that every JSON reader keeps: salts must fit.
const MAX_SALT: u64 = (1 << 53) - 1;

/// Why an order (or another request) is refused, as the venue says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Fault {
    pub(super) status: StatusCode,
    pub(super) message: String,
    /// Killed orders are named beside the error, as users report it.
    pub(super) order: Option<B256>,
}

impl Fault {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Fault {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            order: None,
        }
    }

    pub(super) fn payload() -> Self {
        Fault::bad("Invalid order payload")
    }

    /// Any message with "not found" in it goes out as 404, says the venue's error-code page.
    pub(super) fn market_not_found() -> Self {
        Fault {
            status: StatusCode::NOT_FOUND,
            ..Fault::bad("market not found")
        }
    }

    /// What the exchange refused, in the venue's words.
    pub(super) fn of(refusal: Refusal, id: &B256) -> Self {
        let message = match refusal {
            Refusal::Tick { price, tick } => {
                format!(
                    "order {id} is invalid. Price ({price}) breaks minimum tick size rule: {tick}"
                )
            }
            Refusal::MinSize { size, min } => {
                format!("order {id} is invalid. Size ({size}) lower than the minimum: {min}")
            }
            Refusal::Size(_) => return Fault::payload(),
            Refusal::GtdTooSoon(_) => "invalid expiration".to_owned(),
            Refusal::NotAccepting => "the market is not yet ready to process new orders".to_owned(),
            Refusal::UnknownMarket => return Fault::market_not_found(),
            Refusal::FokUnfilled | Refusal::FakNoMatch => {
                return Fault {
                    order: Some(*id),
                    ..Fault::bad(refusal.to_string())
                };
            }
            other => other.to_string(),
        };
        Fault::bad(message)
    }
}

/// The body of `POST /order`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    order: WireOrder,
    owner: String,
    order_type: String,
    #[serde(default)]
    post_only: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOrder {
    salt: u64,
    maker: String,
    signer: String,
    token_id: String,
    maker_amount: String,
    taker_amount: String,
    side: String,
    expiration: String,
    signature_type: u8,
    timestamp: String,
    metadata: String,
    builder: String,
    signature: String,
}

/// How long an order lives, as its `orderType` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gtc,
    Gtd,
    Fok,
    Fak,
}

/// A posted order whose form is right. Nothing about it has been verified.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) order: Order,
    pub(super) signature: Vec<u8>,
    pub(super) owner: String,
    pub(super) token: String,
    pub(super) side: Side,
    pub(super) post_only: bool,
    /// Unix seconds, 0 for none.
    pub(super) expiration: i64,
    kind: Kind,
}

/// Reads the body's order. Errors: `Invalid order payload`.
pub(super) fn read(body: &Value) -> Result<Posted, Fault> {
    let envelope = Envelope::deserialize(body).map_err(|_| Fault::payload())?;
    read_envelope(envelope).ok_or_else(Fault::payload)
}

fn read_envelope(envelope: Envelope) -> Option<Posted> {
    let wire = envelope.order;
    let number = |text: &str| -> Option<U256> {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| U256::from_str_radix(text, 10).ok())?
    };
    let word = |text: &str| -> Option<B256> { text.parse().ok() };
    let address =
        |text: &str| -> Option<Address> { text.starts_with("0x").then(|| text.parse().ok())? };
    let side = match wire.side.as_str() {
        "BUY" => Side::Buy,
        "SELL" => Side::Sell,
        _ => return None,
    };
    let kind = match envelope.order_type.as_str() {
        "GTC" => Kind::Gtc,
        "GTD" => Kind::Gtd,
        "FOK" => Kind::Fok,
        "FAK" => Kind::Fak,
        _ => return None,
    };
    if wire.salt > MAX_SALT || wire.signature_type > 3 || !wire.signature.starts_with("0x") {
        return None;
    }
    let order = Order {
        salt: U256::from(wire.salt),
        maker: address(&wire.maker)?,
        signer: address(&wire.signer)?,
        tokenId: number(&wire.token_id)?,
        makerAmount: number(&wire.maker_amount)?,
        takerAmount: number(&wire.taker_amount)?,
        side: match side {
            Side::Buy => 0,
            Side::Sell => 1,
        },
        signatureType: wire.signature_type,
        timestamp: number(&wire.timestamp)?,
        metadata: word(&wire.metadata)?,
        builder: word(&wire.builder)?,
    };
    // An EOA and a deposit wallet sign for themselves; only a proxy and a Safe have a signer.
    if matches!(order.signatureType, 0 | 3) && order.maker != order.signer {
        return None;
    }
    Some(Posted {
        order,
        signature: hex::decode(&wire.signature).ok()?,
        owner: envelope.owner,
        token: wire.token_id,
        side,
        post_only: envelope.post_only,
        expiration: wire.expiration.parse().ok().filter(|secs| *secs >= 0)?,
        kind,
    })
}

/// Most decimals that an amount in pUSD (or the shares of a market BUY) may have, by tick: from the
/// official clients' rounding tables.
fn amount_decimals(tick: Price) -> u32 {
    match tick.micros() {
        100_000 => 3,
        10_000 => 4,
        5_000 | 1_000 => 5,
        _ => 6,
    }
}

/// Decimals at which clients cut the shares of a market BUY at the latest: some cut at four
/// whatever the tick.
const CUT_DECIMALS: u32 = 4;
/// Decimals that a number of shares may have.
const SIZE_DECIMALS: u32 = 2;

/// True when an amount in micro-units has at most so many decimals.
fn fits(amount: u128, decimals: u32) -> bool {
    amount.is_multiple_of(10_u128.pow(6 - decimals.min(6)))
}

impl Posted {
    /// True for FOK and FAK.
    fn is_market(&self) -> bool {
        matches!(self.kind, Kind::Fok | Kind::Fak)
    }

    /// The order's life. Errors: a GTD order without expiration, another one with.
    pub(super) fn tif(&self) -> Result<Tif, Fault> {
        match (self.kind, self.expiration) {
            (Kind::Gtd, secs) if secs > 0 => Ok(Tif::Gtd(Timestamp::from_secs(secs))),
            (Kind::Gtc, 0) => Ok(Tif::Gtc),
            (Kind::Fok, 0) => Ok(Tif::Fok),
            (Kind::Fak, 0) => Ok(Tif::Fak),
            _ => Err(Fault::bad("invalid expiration")),
        }
    }

    /// Price and quantity behind the two amounts.
    ///
    /// * Orders that rest, and market SELLs: shares with at most two decimals, pUSD with as many
    ///   as the tick allows, their quotient exactly a price.
    /// * Market BUYs: pUSD to the cent are spent; the shares are those cents divided by the limit
    ///   price and cut at four decimals or more, so the quotient is a price but for that cut.
    ///
    /// Errors: `invalid amounts, …` (wording from users' reports, for market BUYs seen with 4
    /// decimals at a tick of 0.01 and, in conflict, at 0.001; here the tick decides), or the tick
    /// rule with the quotient as the price.
    pub(super) fn terms(&self, tick: Price, id: &B256) -> Result<(Price, Quantity), Fault> {
        let read = |amount: U256| -> Result<u128, Fault> {
            // Ten million shares and more are refused by the exchange; here only what overflows.
            u64::try_from(amount)
                .ok()
                .filter(|micros| *micros > 0 && *micros < 1 << 62)
                .map(u128::from)
                .ok_or_else(Fault::payload)
        };
        let (maker, taker) = (read(self.order.makerAmount)?, read(self.order.takerAmount)?);
        let decimals = amount_decimals(tick);
        let budget = self.is_market() && self.side == Side::Buy;
        let (maker_decimals, taker_decimals) = match (self.side, budget) {
            (Side::Buy, true) => (SIZE_DECIMALS, decimals),
            (Side::Buy, false) => (decimals, SIZE_DECIMALS),
            (Side::Sell, _) => (SIZE_DECIMALS, decimals),
        };
        if !fits(maker, maker_decimals) || !fits(taker, taker_decimals) {
            return Err(Fault::bad(format!(
                "invalid amounts, the {}{} orders maker amount supports a max accuracy of \
                 {maker_decimals} decimals, taker amount a max of {taker_decimals} decimals",
                if self.is_market() { "market " } else { "" },
                if self.side == Side::Buy {
                    "buy"
                } else {
                    "sell"
                },
            )));
        }
        let (money, shares) = match self.side {
            Side::Buy => (maker, taker),
            Side::Sell => (taker, maker),
        };
        let step = u128::from(tick.micros().max(1));
        let off_tick = || {
            let quotient = money as f64 / shares as f64;
            Fault::bad(format!(
                "order {id} is invalid. Price ({quotient}) breaks minimum tick size rule: {tick}"
            ))
        };
        // The multiple of the tick that is nearest to the quotient.
        let nearest = (2 * money * MICRO + step * shares) / (2 * step * shares) * step;
        let off = (nearest * shares).abs_diff(money * MICRO);
        let slack = if budget {
            nearest * 10_u128.pow(6 - decimals.min(CUT_DECIMALS))
        } else {
            0
        };
        if off > slack {
            return Err(off_tick());
        }
        let price = u32::try_from(nearest)
            .ok()
            .and_then(|micros| Price::from_micros(micros).ok())
            .ok_or_else(off_tick)?;
        let quantity = if budget {
            let micros = i64::try_from(money).map_err(|_| Fault::payload())?;
            Quantity::Budget(Usdc::from_micros(micros))
        } else {
            let micros = i64::try_from(shares).map_err(|_| Fault::payload())?;
            Quantity::Shares(Shares::from_micros(micros).map_err(|_| Fault::payload())?)
        };
        Ok((price, quantity))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::wire::recorded::recording;

    fn posted(side: &str, kind: &str, maker: u64, taker: u64, expiration: &str) -> Posted {
        let address = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
        let zero = B256::ZERO.to_string();
        let body = json!({
            "order": {
                "salt": 1, "maker": address, "signer": address, "tokenId": "77",
                "makerAmount": maker.to_string(), "takerAmount": taker.to_string(),
                "side": side, "expiration": expiration, "signatureType": 0,
                "timestamp": "1795335000123", "metadata": zero, "builder": zero,
                "signature": "0x00",
            },
            "owner": "key", "orderType": kind, "deferExec": false,
        });
        read(&body).unwrap()
    }

    fn terms(side: &str, kind: &str, maker: u64, taker: u64, tick: &str) -> Result<String, String> {
        let (price, quantity) = posted(side, kind, maker, taker, "0")
            .terms(Price::parse(tick).unwrap(), &B256::ZERO)
            .map_err(|fault| fault.message.replace(&B256::ZERO.to_string(), "ID"))?;
        Ok(match quantity {
            Quantity::Shares(shares) => format!("{shares} at {price}"),
            Quantity::Budget(money) => format!("${money} at {price}"),
        })
    }

    #[test]
    fn amounts_are_read_as_price_and_size() {
        // 10 shares at 0.52 cost 5.2 pUSD.
        assert_eq!(
            terms("BUY", "GTC", 5_200_000, 10_000_000, "0.01").unwrap(),
            "10 at 0.52"
        );
        assert_eq!(
            terms("SELL", "GTC", 10_000_000, 5_200_000, "0.01").unwrap(),
            "10 at 0.52"
        );
        assert_eq!(
            terms("SELL", "FOK", 12_340_000, 6_416_800, "0.01").unwrap(),
            "12.34 at 0.52"
        );
        // 7.77 × 0.0025 = 0.019425
        assert_eq!(
            terms("BUY", "GTC", 19_425, 7_770_000, "0.0025").unwrap(),
            "7.77 at 0.0025"
        );
        // $10 at 0.37 are 27.027027… shares, cut at four decimals.
        assert_eq!(
            terms("BUY", "FOK", 10_000_000, 27_027_000, "0.01").unwrap(),
            "$10 at 0.37"
        );
        // $1 at 0.999 are 1.001001… shares, cut at five.
        assert_eq!(
            terms("BUY", "FAK", 1_000_000, 1_001_000, "0.001").unwrap(),
            "$1 at 0.999"
        );
        // Rounded up instead of cut, as one client does before it cuts.
        assert_eq!(
            terms("BUY", "FAK", 10_000_000, 27_027_100, "0.01").unwrap(),
            "$10 at 0.37"
        );
    }

    #[test]
    fn quotients_between_two_ticks_are_refused_with_the_quotient() {
        let refused = |price: &str, tick: &str| {
            Err(format!(
                "order ID is invalid. Price ({price}) breaks minimum tick size rule: {tick}"
            ))
        };
        assert_eq!(
            terms("BUY", "GTC", 5_250_000, 10_000_000, "0.01"),
            refused("0.525", "0.01")
        );
        assert_eq!(
            terms("SELL", "GTC", 10_000_000, 5_230_000, "0.005"),
            refused("0.523", "0.005")
        );
        assert!(terms("BUY", "FOK", 10_000_000, 26_666_600, "0.01").is_err());
        assert_eq!(
            terms("BUY", "GTC", 20_000_000, 10_000_000, "0.01"),
            refused("2", "0.01")
        );
    }

    #[test]
    fn amounts_with_too_many_decimals_are_refused() {
        let text = "invalid amounts, the market buy orders maker amount supports a max accuracy \
                    of 2 decimals, taker amount a max of 4 decimals";
        assert_eq!(
            terms("BUY", "FOK", 5_201_000, 10_000_000, "0.01"),
            Err(text.to_owned())
        );
        let text = "invalid amounts, the buy orders maker amount supports a max accuracy of 4 \
                    decimals, taker amount a max of 2 decimals";
        assert_eq!(
            terms("BUY", "GTC", 5_200_000, 10_001_000, "0.01"),
            Err(text.to_owned())
        );
        let text = "invalid amounts, the sell orders maker amount supports a max accuracy of 2 \
                    decimals, taker amount a max of 5 decimals";
        assert_eq!(
            terms("SELL", "GTC", 10_001_000, 5_200_000, "0.001"),
            Err(text.to_owned())
        );
        assert_eq!(
            terms("BUY", "GTC", 0, 10_000_000, "0.01"),
            Err("Invalid order payload".into())
        );
    }

    #[test]
    fn expirations_belong_to_gtd_orders() {
        let tif = |kind: &str, expiration: &str| posted("BUY", kind, 1, 1, expiration).tif();
        assert_eq!(
            tif("GTD", "1795421000"),
            Ok(Tif::Gtd(Timestamp::from_secs(1_795_421_000)))
        );
        assert_eq!(tif("FAK", "0"), Ok(Tif::Fak));
        for (kind, expiration) in [("GTD", "0"), ("GTC", "1795421000"), ("FOK", "5")] {
            assert_eq!(tif(kind, expiration), Err(Fault::bad("invalid expiration")));
        }
    }

    #[test]
    fn recorded_signed_order_is_read_and_changed_ones_are_not() {
        let Some(recorded) = recording("orders/signed_order.json") else {
            return;
        };
        let envelope = |order: &serde_json::Value| {
            let body = json!({"order": order, "owner": "key", "orderType": "GTC"});
            read(&body)
        };
        let posted = envelope(&recorded).unwrap();
        assert_eq!(posted.order.makerAmount, U256::from(100_000_000));
        assert_eq!(posted.order.timestamp, U256::from(1_713_398_400_000_u64));
        let signature = recorded["signature"].as_str().unwrap();
        assert_eq!(hex::encode_prefixed(&posted.signature), signature);
        for (name, value) in [
            ("salt", json!("123456789")),
            ("salt", json!(1_u64 << 53)),
            ("maker", json!("0xf39fd6e51aad88f6f4ce6ab8827279cfffb9226")),
            (
                "signer",
                json!("0x70997970c51812dc3a010c7d01b50e0d17dc79c8"),
            ),
            ("tokenId", json!("-1")),
            ("tokenId", json!(5)),
            ("makerAmount", json!("1.5")),
            ("side", json!("buy")),
            ("signatureType", json!(4)),
            ("metadata", json!("0x00")),
            ("signature", json!("abcd")),
            ("expiration", json!("soon")),
        ] {
            let mut order = recorded.clone();
            order[name] = value;
            assert_eq!(envelope(&order).unwrap_err(), Fault::payload(), "{name}");
        }
    }
}

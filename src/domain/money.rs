//! Exact money: [`Price`], [`Shares`] and [`Usdc`] in integer micro-units (1e-6).
//!
//! Text and JSON numbers are read through `rust_decimal`, so `0.1` is a tenth and not the binary
//! fraction next to it. Every product names its rounding.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

/// Micro-units in one whole unit.
pub const MICRO: i64 = 1_000_000;
/// Micro-units in one whole unit, unsigned.
pub const MICRO_U64: u64 = 1_000_000;

/// Why a number could not become money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a decimal number (empty, NaN, infinite, letters).
    #[error("`{0}` is not a decimal number")]
    NotANumber(String),
    /// Below zero where only zero or more makes sense.
    #[error("{0} is negative")]
    Negative(String),
    /// A price outside 0 to 1.
    #[error("{0} is outside the range 0 to 1")]
    PriceRange(String),
    /// More than six decimal places, where rounding would change the meaning.
    #[error("{0} has more than six decimal places")]
    TooPrecise(String),
    /// Too large for 64 bits of micro-units.
    #[error("the amount is too large")]
    Overflow,
}

/// Which way a product that does not fit micro-units is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}

/// Price of one share in pUSD: 0 to 1 inclusive, in micro-units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Price(u32);

/// A number of outcome shares, never negative, in micro-units.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "i64", into = "i64")]
pub struct Shares(i64);

/// An amount of pUSD (1:1 with USDC), may be negative, in micro-units.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Usdc(i64);

fn parse_decimal(text: &str) -> Result<Decimal, MoneyError> {
    let trimmed = text.trim();
    let bad = || MoneyError::NotANumber(trimmed.chars().take(40).collect());
    if trimmed.is_empty() || trimmed.len() > 100 {
        return Err(bad());
    }
    // Data API numbers come in exponent form now and then (`9e-6`).
    if trimmed.contains(['e', 'E']) {
        Decimal::from_scientific(trimmed).map_err(|_| bad())
    } else {
        Decimal::from_str(trimmed).map_err(|_| bad())
    }
}

fn micros_exact(text: &str) -> Result<i64, MoneyError> {
    let value = parse_decimal(text)?;
    let scaled = value
        .checked_mul(Decimal::from(MICRO))
        .ok_or(MoneyError::Overflow)?;
    if !scaled.fract().is_zero() {
        return Err(MoneyError::TooPrecise(text.trim().to_owned()));
    }
    scaled.to_i64().ok_or(MoneyError::Overflow)
}

fn micros_rounded(text: &str) -> Result<i64, MoneyError> {
    let value = parse_decimal(text)?;
    let scaled = value
        .checked_mul(Decimal::from(MICRO))
        .ok_or(MoneyError::Overflow)?;
    scaled.round().to_i64().ok_or(MoneyError::Overflow)
}

fn finite_text(value: f64) -> Result<String, MoneyError> {
    if !value.is_finite() {
        return Err(MoneyError::NotANumber(value.to_string()));
    }
    // Beyond any amount in 64 bits of micro-units; its digits would be no help in a message.
    if value.abs() > 1e15 {
        return Err(MoneyError::Overflow);
    }
    // Display prints the shortest text that reads back as the same f64, without an exponent.
    Ok(value.to_string())
}

fn format_micros(f: &mut fmt::Formatter<'_>, micros: i64) -> fmt::Result {
    let magnitude = micros.unsigned_abs();
    let unit = MICRO.unsigned_abs();
    let (mut fraction, mut places) = (magnitude % unit, 6);
    while places > 0 && fraction % 10 == 0 {
        fraction /= 10;
        places -= 1;
    }
    super::digits::write_decimal(f, micros < 0, magnitude / unit, fraction, places)
}

impl Price {
    /// A worthless share.
    pub const ZERO: Price = Price(0);
    /// A share that pays out in full.
    pub const ONE: Price = Price(1_000_000);

    /// From micro-units, 0 to 1,000,000.
    pub fn from_micros(micros: u32) -> Result<Self, MoneyError> {
        if micros <= Self::ONE.0 {
            Ok(Price(micros))
        } else {
            Err(MoneyError::PriceRange(format!("{micros}e-6")))
        }
    }

    /// Micro-units, 0 to 1,000,000.
    #[must_use]
    pub fn micros(self) -> u32 {
        self.0
    }

    fn in_range(micros: i64, text: &str) -> Result<Self, MoneyError> {
        u32::try_from(micros)
            .ok()
            .filter(|m| *m <= Self::ONE.0)
            .map(Price)
            .ok_or_else(|| MoneyError::PriceRange(text.trim().to_owned()))
    }

    /// Reads text such as `0.155`; more than six decimals is an error.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        Self::in_range(micros_exact(text)?, text)
    }

    /// Reads text and rounds to the nearest micro-unit: for midpoints and statistics, not orders.
    pub fn parse_rounded(text: &str) -> Result<Self, MoneyError> {
        Self::in_range(micros_rounded(text)?, text)
    }

    /// From a JSON number, taken at its shortest decimal text.
    pub fn from_f64(value: f64) -> Result<Self, MoneyError> {
        Self::parse(&finite_text(value)?)
    }

    /// From an f64 of a computation, rounded to the nearest micro-unit.
    pub fn from_f64_rounded(value: f64) -> Result<Self, MoneyError> {
        Self::parse_rounded(&finite_text(value)?)
    }

    /// The nearest micro-unit, halves upwards; `None` outside 0 to 1. By arithmetic, for where thousands of
    /// prices are rounded and decimal text would take too long.
    #[must_use]
    pub fn nearest(value: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&value) {
            return None;
        }
        let micros = value * MICRO as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1,000,000, and the fraction is looked at"
        )]
        let whole = micros as u32;
        let up = micros - f64::from(whole) >= 0.5;
        Some(Price(whole + u32::from(up)))
    }

    /// For statistics and output only.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        f64::from(self.0) / MICRO as f64
    }

    /// `1 − p`: what the other side of a binary market is worth at this price.
    #[must_use]
    pub fn complement(self) -> Self {
        Price(Self::ONE.0 - self.0)
    }

    /// True when the price is a whole multiple of `tick` (a zero tick fits nothing).
    #[must_use]
    pub fn is_multiple_of(self, tick: Price) -> bool {
        tick.0 != 0 && self.0.is_multiple_of(tick.0)
    }

    /// The nearest multiple of `tick` at or below, kept at one tick or above.
    #[must_use]
    pub fn floor_to(self, tick: Price) -> Self {
        let step = tick.0.max(1);
        Price((self.0 / step * step).max(step)).min(Self::ONE.minus(tick))
    }

    /// The nearest multiple of `tick` at or above, kept at one tick below 1 or lower.
    #[must_use]
    pub fn ceil_to(self, tick: Price) -> Self {
        let step = tick.0.max(1);
        Price(self.0.div_ceil(step) * step).clamp(Price(step), Self::ONE.minus(tick))
    }

    /// `self + other`, capped at 1.
    #[must_use]
    pub fn plus(self, other: Price) -> Self {
        Price((self.0 + other.0).min(Self::ONE.0))
    }

    /// `self − other`, not below 0.
    #[must_use]
    pub fn minus(self, other: Price) -> Self {
        Price(self.0.saturating_sub(other.0))
    }
}

impl Shares {
    /// No shares.
    pub const ZERO: Shares = Shares(0);
    /// The venue's lot: sizes have at most two decimals.
    pub const LOT: Shares = Shares(10_000);

    /// From micro-units; negative is an error.
    pub fn from_micros(micros: i64) -> Result<Self, MoneyError> {
        if micros < 0 {
            return Err(MoneyError::Negative(format!("{micros}e-6")));
        }
        Ok(Shares(micros))
    }

    /// Micro-units, never negative.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Reads text such as `6094.58`; negative or more than six decimals is an error.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let micros = micros_exact(text)?;
        if micros < 0 {
            return Err(MoneyError::Negative(text.trim().to_owned()));
        }
        Ok(Shares(micros))
    }

    /// From a JSON number, taken at its shortest decimal text.
    pub fn from_f64(value: f64) -> Result<Self, MoneyError> {
        Self::parse(&finite_text(value)?)
    }

    /// A whole number of shares.
    #[must_use]
    pub fn whole(count: u32) -> Self {
        Shares(i64::from(count) * MICRO)
    }

    /// For statistics and output only.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / MICRO as f64
    }

    /// True for no shares.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Down to the venue's lot of 0.01 share.
    #[must_use]
    pub fn floor_to_lot(self) -> Self {
        Shares(self.0 / Self::LOT.0 * Self::LOT.0)
    }

    /// `self + other`, saturating at the largest representable amount.
    #[must_use]
    pub fn plus(self, other: Shares) -> Self {
        Shares(self.0.saturating_add(other.0))
    }

    /// `self − other`, not below zero.
    #[must_use]
    pub fn minus(self, other: Shares) -> Self {
        Shares((self.0 - other.0).max(0))
    }

    /// The most whole lots that `budget` buys at `price`, fee not counted; zero at price zero.
    #[must_use]
    pub fn affordable(budget: Usdc, price: Price) -> Self {
        if price.0 == 0 || budget.0 <= 0 {
            return Shares::ZERO;
        }
        // Divisions of 128 bits cost ten times as much, and no budget is of 9 million pUSD.
        if let Some(product) = budget.0.checked_mul(MICRO) {
            return Shares(product / i64::from(price.0)).floor_to_lot();
        }
        let micros = i128::from(budget.0) * i128::from(MICRO) / i128::from(price.0);
        Shares(i64::try_from(micros).unwrap_or(i64::MAX)).floor_to_lot()
    }
}

impl Usdc {
    /// Nothing.
    pub const ZERO: Usdc = Usdc(0);

    /// From micro-units.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Usdc(micros)
    }

    /// Micro-units.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0
    }

    /// A whole number of pUSD.
    #[must_use]
    pub fn whole(amount: i32) -> Self {
        Usdc(i64::from(amount) * MICRO)
    }

    /// Reads text such as `12.16184`; more than six decimals is an error.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        micros_exact(text).map(Usdc)
    }

    /// Reads text and rounds to the nearest micro-unit: for volumes and other statistics.
    pub fn parse_rounded(text: &str) -> Result<Self, MoneyError> {
        micros_rounded(text).map(Usdc)
    }

    /// From a JSON number, taken at its shortest decimal text.
    pub fn from_f64(value: f64) -> Result<Self, MoneyError> {
        Self::parse(&finite_text(value)?)
    }

    /// From an f64 of a computation, rounded to the nearest micro-unit.
    pub fn from_f64_rounded(value: f64) -> Result<Self, MoneyError> {
        Self::parse_rounded(&finite_text(value)?)
    }

    /// For statistics and output only.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / MICRO as f64
    }

    /// `self + other`.
    pub fn checked_add(self, other: Usdc) -> Result<Self, MoneyError> {
        self.0
            .checked_add(other.0)
            .map(Usdc)
            .ok_or(MoneyError::Overflow)
    }

    /// `self − other`.
    pub fn checked_sub(self, other: Usdc) -> Result<Self, MoneyError> {
        self.0
            .checked_sub(other.0)
            .map(Usdc)
            .ok_or(MoneyError::Overflow)
    }

    /// `self + other`, saturating: for sums that are only compared or shown.
    #[must_use]
    pub fn plus(self, other: Usdc) -> Self {
        Usdc(self.0.saturating_add(other.0))
    }

    /// `self − other`, saturating: for differences that are only compared or shown.
    #[must_use]
    pub fn minus(self, other: Usdc) -> Self {
        Usdc(self.0.saturating_sub(other.0))
    }

    /// The part of this total that `part` of `whole` shares carry, rounded down. All of it when
    /// `part` is `whole`, so a position closed in pieces leaves no dust.
    #[must_use]
    pub fn share_of(self, part: Shares, whole: Shares) -> Self {
        if whole.is_zero() || part >= whole {
            return self;
        }
        let micros = i128::from(self.0) * i128::from(part.0) / i128::from(whole.0);
        Usdc(i64::try_from(micros).unwrap_or(self.0))
    }
}

impl std::iter::Sum for Usdc {
    fn sum<I: Iterator<Item = Usdc>>(amounts: I) -> Self {
        amounts.fold(Usdc::ZERO, Usdc::plus)
    }
}

/// Price times shares in pUSD, rounded as named.
///
/// The venue floors the notional of a BUY (21 of 21 recorded fills); proceeds of a SELL floor too,
/// which is against the seller.
pub fn notional(price: Price, shares: Shares, rounding: Rounding) -> Result<Usdc, MoneyError> {
    // Divisions of 128 bits cost ten times as much, and no order is of 9 million shares.
    if let Some(product) = i64::from(price.0).checked_mul(shares.0) {
        let quotient = product / MICRO;
        let up = rounding == Rounding::Up && product % MICRO != 0;
        return Ok(Usdc(quotient + i64::from(up)));
    }
    let product = i128::from(price.0) * i128::from(shares.0);
    let unit = i128::from(MICRO);
    let micros = match rounding {
        Rounding::Down => product / unit,
        Rounding::Up => (product + unit - 1) / unit,
    };
    i64::try_from(micros)
        .map(Usdc)
        .map_err(|_| MoneyError::Overflow)
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_micros(f, i64::from(self.0))
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_micros(f, self.0)
    }
}

impl fmt::Display for Usdc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format_micros(f, self.0)
    }
}

impl TryFrom<u32> for Price {
    type Error = MoneyError;
    fn try_from(micros: u32) -> Result<Self, MoneyError> {
        Price::from_micros(micros)
    }
}

impl From<Price> for u32 {
    fn from(price: Price) -> u32 {
        price.0
    }
}

impl TryFrom<i64> for Shares {
    type Error = MoneyError;
    fn try_from(micros: i64) -> Result<Self, MoneyError> {
        Shares::from_micros(micros)
    }
}

impl From<Shares> for i64 {
    fn from(shares: Shares) -> i64 {
        shares.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimal_text_is_read_exactly_and_printed_back() {
        for text in ["0", "0.1", "0.155", "0.0001", "1", "0.999999"] {
            assert_eq!(Price::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Shares::parse("6094.58").unwrap().micros(), 6_094_580_000);
        assert_eq!(Usdc::parse("-12.16184").unwrap().micros(), -12_161_840);
        assert_eq!(Usdc::parse("9e-6").unwrap().micros(), 9);
        assert_eq!(Price::from_f64(0.1).unwrap().micros(), 100_000);
    }

    #[test]
    fn what_is_not_money_is_refused() {
        assert!(matches!(
            Price::from_f64(f64::NAN),
            Err(MoneyError::NotANumber(_))
        ));
        assert!(matches!(
            Price::from_f64(f64::INFINITY),
            Err(MoneyError::NotANumber(_))
        ));
        assert!(matches!(
            Price::from_f64(1.5),
            Err(MoneyError::PriceRange(_))
        ));
        assert!(matches!(
            Price::from_f64(-0.1),
            Err(MoneyError::PriceRange(_))
        ));
        assert!(matches!(
            Price::parse("0.1234567"),
            Err(MoneyError::TooPrecise(_))
        ));
        assert!(matches!(Price::parse(""), Err(MoneyError::NotANumber(_))));
        assert!(matches!(
            Price::parse("abc"),
            Err(MoneyError::NotANumber(_))
        ));
        assert!(matches!(
            Shares::from_f64(-1.0),
            Err(MoneyError::Negative(_))
        ));
        assert!(Usdc::from_f64(1e300).is_err());
        assert!(matches!(Usdc::from_f64(1e17), Err(MoneyError::Overflow)));
    }

    #[test]
    fn prices_round_to_legal_ticks_inside_zero_and_one() {
        let tick = Price::parse("0.01").unwrap();
        assert_eq!(
            Price::parse("0.527").unwrap().floor_to(tick).to_string(),
            "0.52"
        );
        assert_eq!(
            Price::parse("0.521").unwrap().ceil_to(tick).to_string(),
            "0.53"
        );
        assert_eq!(Price::ZERO.floor_to(tick).to_string(), "0.01");
        assert_eq!(Price::ONE.floor_to(tick).to_string(), "0.99");
        assert_eq!(Price::ONE.ceil_to(tick).to_string(), "0.99");
        assert!(Price::parse("0.52").unwrap().is_multiple_of(tick));
        assert!(!Price::parse("0.525").unwrap().is_multiple_of(tick));
    }

    #[test]
    fn notional_is_rounded_the_way_the_site_names() {
        let price = Price::parse("0.333333").unwrap();
        let shares = Shares::parse("10.000001").unwrap();
        // 0.333333 × 10.000001 = 3.333330333333
        assert_eq!(
            notional(price, shares, Rounding::Down).unwrap().to_string(),
            "3.33333"
        );
        assert_eq!(
            notional(price, shares, Rounding::Up).unwrap().to_string(),
            "3.333331"
        );
    }

    #[test]
    fn a_budget_buys_whole_lots_only() {
        let price = Price::parse("0.3").unwrap();
        assert_eq!(
            Shares::affordable(Usdc::whole(10), price).to_string(),
            "33.33"
        );
        assert_eq!(
            Shares::affordable(Usdc::whole(10), Price::ZERO),
            Shares::ZERO
        );
        assert_eq!(Shares::affordable(Usdc::whole(-1), price), Shares::ZERO);
    }

    #[test]
    fn the_nearest_price_is_rounded_half_up_and_lies_in_range() {
        let micros = |value| Price::nearest(value).map(Price::micros);
        assert_eq!(micros(0.0), Some(0));
        assert_eq!(micros(1.0), Some(1_000_000));
        // 0.2500005 is a half in binary too: 250000.5.
        assert_eq!(micros(250_000.5 / 1e6), Some(250_001));
        // The largest number below a half of a micro-unit; adding a half to it would give 1.
        assert_eq!(micros(4.999_999_999_999_999e-7), Some(0));
        assert_eq!(micros(0.123_456_4), Some(123_456));
        assert_eq!(micros(0.999_999_6), Some(1_000_000));
        for value in [-1e-9, 1.000_000_1, f64::NAN, f64::INFINITY] {
            assert_eq!(micros(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(micros in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
            let amount = Usdc::from_micros(micros);
            prop_assert_eq!(Usdc::parse(&amount.to_string()).unwrap(), amount);
        }

        #[test]
        fn a_cost_taken_out_in_parts_leaves_nothing(
            cost in 0_i64..1_000_000_000_000,
            first in 1_i64..1_000_000_000,
            rest in 1_i64..1_000_000_000,
        ) {
            let whole = Shares(first + rest);
            let cost = Usdc(cost);
            let one = cost.share_of(Shares(first), whole);
            let two = cost.minus(one).share_of(Shares(rest), Shares(rest));
            prop_assert_eq!(one.plus(two), cost);
            prop_assert!(one.micros() >= 0 && one <= cost);
        }

        #[test]
        fn rounding_brackets_the_product(price in 0_u32..=1_000_000, shares in 0_i64..1_000_000_000_000) {
            let down = notional(Price(price), Shares(shares), Rounding::Down).unwrap();
            let up = notional(Price(price), Shares(shares), Rounding::Up).unwrap();
            prop_assert!(up.micros() - down.micros() <= 1 && down <= up);
        }
    }
}

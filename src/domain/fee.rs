//! The venue's taker fee: `shares × rate × (p·(1−p))^exponent`, floored to five decimals.
//!
//! Source: the venue's fee page, rounding settled by 21 recorded on-chain fills (all 21 match the
//! floor; half-up matches 8). Makers pay nothing.

use ethnum::U256;
use serde::{Deserialize, Serialize};

use super::money::{MoneyError, Price, Shares, Usdc};

/// Largest exponent that is understood; the venue has used 1 and 2.
pub const MAX_EXPONENT: u8 = 4;

/// Fee terms of one market, charged to the taker in pUSD on top of a BUY and out of a SELL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct FeeSchedule {
    /// Rate in micro-units (0.05 is 50,000).
    rate: u32,
    /// Power of `p·(1−p)`.
    exponent: u8,
}

impl FeeSchedule {
    /// No fee.
    pub const FREE: FeeSchedule = FeeSchedule {
        rate: 0,
        exponent: 1,
    };

    /// `rate` as a fraction between 0 and 1 in decimal text, `exponent` 0 to [`MAX_EXPONENT`].
    pub fn new(rate: &str, exponent: u8) -> Result<Self, MoneyError> {
        let rate = Price::parse(rate)?.micros();
        if exponent > MAX_EXPONENT {
            return Err(MoneyError::Overflow);
        }
        Ok(FeeSchedule { rate, exponent })
    }

    /// Rate as a fraction, for output.
    #[must_use]
    pub fn rate(self) -> f64 {
        f64::from(self.rate) / 1e6
    }

    /// Power of `p·(1−p)`.
    #[must_use]
    pub fn exponent(self) -> u8 {
        self.exponent
    }

    /// True when nothing is charged.
    #[must_use]
    pub fn is_free(self) -> bool {
        self.rate == 0
    }

    /// Fee of one fill of `shares` at `price`, floored to 0.00001 pUSD. Errors: it does not fit, or the
    /// exponent is above [`MAX_EXPONENT`].
    ///
    /// 256-bit products: with exponent 2 an `i128` overflows above about 10,880 shares.
    pub fn fee(self, price: Price, shares: Shares) -> Result<Usdc, MoneyError> {
        if self.rate == 0 {
            return Ok(Usdc::ZERO);
        }
        // Terms that were read rather than made may be anything.
        if self.exponent > MAX_EXPONENT {
            return Err(MoneyError::Overflow);
        }
        let micro = U256::from(1_000_000_u32);
        let spread = U256::from(price.micros()) * U256::from(price.complement().micros());
        let mut numerator = U256::from(shares.micros().unsigned_abs())
            * U256::from(self.rate)
            * U256::from(100_000_u32);
        let mut denominator = micro * micro;
        for _ in 0..self.exponent {
            numerator = numerator.checked_mul(spread).ok_or(MoneyError::Overflow)?;
            denominator *= micro * micro;
        }
        // In units of 0.00001 pUSD, of which one is ten micro-units.
        let units = numerator / denominator;
        let micros = i64::try_from(units).map_err(|_| MoneyError::Overflow)?;
        micros
            .checked_mul(10)
            .map(Usdc::from_micros)
            .ok_or(MoneyError::Overflow)
    }

    /// Unrounded fee of one share at `price`, for edges and statistics.
    #[must_use]
    pub fn per_share(self, price: f64) -> f64 {
        self.rate()
            * (price * (1.0 - price))
                .max(0.0)
                .powi(i32::from(self.exponent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fee(rate: &str, exponent: u8, price: &str, shares: &str) -> String {
        let schedule = FeeSchedule::new(rate, exponent).unwrap();
        schedule
            .fee(Price::parse(price).unwrap(), Shares::parse(shares).unwrap())
            .unwrap()
            .to_string()
    }

    #[test]
    fn recorded_examples_are_met_exactly() {
        assert_eq!(fee("0.07", 1, "0.82", "1.219511"), "0.01259");
        assert_eq!(fee("0.05", 1, "0.66", "7.575758"), "0.085");
        assert_eq!(fee("0.05", 1, "0.31", "5"), "0.05347");
        // Data API activity row: 22.84 shares at 0.52 cost 0.28504 in fees at 5 %.
        assert_eq!(fee("0.05", 1, "0.52", "22.84"), "0.28504");
    }

    #[test]
    fn large_orders_at_exponent_two_do_not_overflow() {
        // 1e9 shares × 0.25 × (0.25)² = 15,625,000
        assert_eq!(fee("0.25", 2, "0.5", "1000000000"), "15625000");
    }

    #[test]
    fn no_rate_means_no_fee_and_odd_terms_are_refused() {
        assert_eq!(fee("0", 1, "0.5", "100"), "0");
        assert!(FeeSchedule::new("1.5", 1).is_err());
        assert!(FeeSchedule::new("-0.1", 1).is_err());
        assert!(FeeSchedule::new("0.05", 9).is_err());
    }
}

//! Limits that no order passes, whoever asks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Price, Usdc, plain};

use super::super::conditional_config::fraction;

/// Limits that no order passes, whoever asks. All are about purchases: a sale only ever gives away
/// what is held, so it passes all but `max_open_orders` and `max_book_age_seconds`. Amounts in pUSD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RiskConfig {
    /// Largest notional of one order at its limit price, pUSD.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_position_size: Usdc,
    /// Largest loss of one UTC day, realised plus marked, fees included, pUSD. Once reached, trading
    /// is halted until midnight UTC: only cancels and sales that reduce a position pass.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_daily_loss: Usdc,
    /// Largest fall of equity below its peak, as a fraction of the peak (0–1). Once reached, trading
    /// is halted until a person resumes it. 0: no such limit.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_drawdown_pct: Price,
    /// Most orders that may rest at once, GTC, GTD and post-only together.
    pub max_open_orders: u32,
    /// Most orders accepted within 60 seconds; sales are counted but never refused for it. 0: no
    /// such limit.
    pub max_orders_per_minute: u32,
    /// Largest cost of all positions and waiting buys in one market, pUSD.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_market_exposure: Usdc,
    /// The same in all markets of one event, pUSD. A market without an event counts as its own.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_event_exposure: Usdc,
    /// Largest cost of the positions that one strategy opened and of its waiting buys, pUSD. Orders
    /// of agents count as the strategy `mcp_manual`.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_strategy_exposure: Usdc,
    /// Largest cost of all positions and waiting buys together, pUSD.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_total_exposure: Usdc,
    /// How far the limit price of a buy may be above the mid, and that of a buy that would rest also
    /// below it (price, 0–1). 0: no such limit.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_price_distance: Price,
    /// Widest spread of the token's book on which may be bought (price, 0–1). Where nobody bids the
    /// spread reaches down to 0, where nobody asks up to 1. 0: no such limit.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub max_spread: Price,
    /// Least liquidity of a market that may be bought, pUSD: as the venue states it, or where it is
    /// not stated what the token's book holds within 0.05 of the best price of each side. 0: no such
    /// limit.
    #[serde(with = "plain")]
    #[schemars(with = "f64")]
    pub min_liquidity: Usdc,
    /// Oldest book that may be traded on, in seconds by the source's own clock. Books of a
    /// recording may be as old as the recording's rows are apart.
    pub max_book_age_seconds: u32,
}

impl Default for RiskConfig {
    fn default() -> Self {
        RiskConfig {
            max_position_size: Usdc::whole(100),
            max_daily_loss: Usdc::whole(50),
            max_drawdown_pct: fraction(250_000),
            max_open_orders: 10,
            max_orders_per_minute: 60,
            max_market_exposure: Usdc::whole(200),
            max_event_exposure: Usdc::whole(400),
            max_strategy_exposure: Usdc::whole(400),
            max_total_exposure: Usdc::whole(800),
            max_price_distance: fraction(200_000),
            max_spread: fraction(200_000),
            min_liquidity: Usdc::ZERO,
            max_book_age_seconds: 30,
        }
    }
}

impl RiskConfig {
    /// Checks ranges; the message names the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), String> {
        for (key, amount) in [
            ("risk.max_position_size", self.max_position_size),
            ("risk.max_daily_loss", self.max_daily_loss),
            ("risk.max_market_exposure", self.max_market_exposure),
            ("risk.max_event_exposure", self.max_event_exposure),
            ("risk.max_strategy_exposure", self.max_strategy_exposure),
            ("risk.max_total_exposure", self.max_total_exposure),
        ] {
            if amount <= Usdc::ZERO {
                return Err(format!("{key} is {amount}; it must be above 0 pUSD"));
            }
        }
        if self.min_liquidity < Usdc::ZERO {
            return Err(format!(
                "risk.min_liquidity is {}; it must be at least 0 pUSD (0: no such limit)",
                self.min_liquidity
            ));
        }
        for (key, value) in [
            ("risk.max_drawdown_pct", self.max_drawdown_pct),
            ("risk.max_price_distance", self.max_price_distance),
            ("risk.max_spread", self.max_spread),
        ] {
            if value == Price::ONE {
                return Err(format!(
                    "{key} is 1, which limits nothing; it must be below 1 (0: no such limit)"
                ));
            }
        }
        if self.max_book_age_seconds == 0 {
            return Err("risk.max_book_age_seconds is 0; it must be at least 1 second".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_and_every_bad_value_is_named_with_its_key() {
        assert_eq!(RiskConfig::default().validate(), Ok(()));
        type Change = fn(&mut RiskConfig);
        let wrong: [(&str, Change); 12] = [
            ("max_position_size", |r| {
                r.max_position_size = Usdc::whole(-1)
            }),
            ("max_daily_loss", |r| r.max_daily_loss = Usdc::ZERO),
            ("max_market_exposure", |r| {
                r.max_market_exposure = Usdc::ZERO
            }),
            ("max_event_exposure", |r| r.max_event_exposure = Usdc::ZERO),
            ("max_strategy_exposure", |r| {
                r.max_strategy_exposure = Usdc::ZERO
            }),
            ("max_total_exposure", |r| r.max_total_exposure = Usdc::ZERO),
            ("min_liquidity", |r| r.min_liquidity = Usdc::whole(-1)),
            ("max_drawdown_pct", |r| r.max_drawdown_pct = Price::ONE),
            ("max_price_distance", |r| r.max_price_distance = Price::ONE),
            ("max_spread", |r| r.max_spread = Price::ONE),
            ("max_book_age_seconds", |r| r.max_book_age_seconds = 0),
            ("max_daily_loss", |r| r.max_daily_loss = Usdc::whole(-5)),
        ];
        for (key, change) in wrong {
            let mut risk = RiskConfig::default();
            change(&mut risk);
            let message = risk.validate().unwrap_err();
            assert!(message.starts_with(&format!("risk.{key} is ")), "{message}");
            assert!(message.contains("must be"), "{message}");
        }
    }

    #[test]
    fn plain_numbers_are_read_exactly_and_unknown_keys_refused() {
        let risk: RiskConfig = serde_json::from_str(
            r#"{"max_position_size": 0.1, "max_open_orders": 3, "max_drawdown_pct": 0.15}"#,
        )
        .unwrap();
        assert_eq!(risk.max_position_size, Usdc::from_micros(100_000));
        assert_eq!(risk.max_drawdown_pct, fraction(150_000));
        assert_eq!(risk.max_total_exposure, Usdc::whole(800));
        assert!(serde_json::from_str::<RiskConfig>(r#"{"max_position": 1}"#).is_err());
        assert!(serde_json::from_str::<RiskConfig>(r#"{"max_position_size": "1"}"#).is_err());
        assert!(serde_json::from_str::<RiskConfig>(r#"{"max_spread": 1.5}"#).is_err());
        let shown = serde_json::to_value(&risk).unwrap();
        assert_eq!(shown["max_position_size"], serde_json::json!(0.1));
    }
}

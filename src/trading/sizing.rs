//! How much to bet: on the fair probability against the executable price with its fee, never on
//! "confidence".

use crate::domain::{Market, Side, Signal, Usdc};

use super::config::{SizingConfig, SizingMethod};
use super::venue_rules::MIN_MARKETABLE_BUY;

/// A size with the one line that explains it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sized {
    /// Notional to trade, pUSD; zero when there is nothing to bet on.
    pub size: Usdc,
    /// How it came about.
    pub explanation: String,
}

/// Sizes a directional signal. Sales keep the strategy's own size: Kelly is about new bets.
///
/// `largest` is what the risk limits leave, pUSD: a Kelly bet grows up to it and no further. Where
/// they leave less than an order may have, the bet is not cut, so that the refusal names the limit.
#[must_use]
pub fn size(
    signal: &Signal,
    market: &Market,
    equity: Usdc,
    largest: Usdc,
    config: &SizingConfig,
) -> Sized {
    if config.method == SizingMethod::Fixed || signal.side == Side::Sell {
        let explanation = format!("fixed size {} pUSD of {}", signal.size, signal.strategy);
        return Sized {
            size: signal.size,
            explanation,
        };
    }
    let price = signal.target_price.to_f64();
    let cost = price + market.fee.per_share(price);
    let full = kelly_fraction(signal.fair_price, cost);
    let (name, factor) = match config.method {
        SizingMethod::FractionalKelly => ("fractional Kelly", config.kelly_fraction),
        SizingMethod::Kelly | SizingMethod::Fixed => ("Kelly", 1.0),
    };
    let bet = (full * factor).min(config.max_bet_pct);
    let amount = (bet * equity.to_f64()).max(0.0);
    let size = Usdc::from_f64_rounded(amount).unwrap_or(Usdc::ZERO);
    let mut explanation = format!(
        "{name}: fair {:.4} against cost {cost:.4} gives {:.2} % of {equity} pUSD equity (cap {:.2} %)",
        signal.fair_price,
        full * factor * 100.0,
        config.max_bet_pct * 100.0,
    );
    if size > largest && largest >= MIN_MARKETABLE_BUY {
        explanation = format!("{explanation}, cut to the {largest} pUSD that the limits leave");
        return Sized {
            size: largest,
            explanation,
        };
    }
    Sized { size, explanation }
}

/// Kelly fraction of a share that costs `cost` (fee included) and pays 1 with probability `p`:
/// `(p − cost) / (1 − cost)`, never below zero.
#[must_use]
pub fn kelly_fraction(probability: f64, cost: f64) -> f64 {
    if !(probability.is_finite() && cost > 0.0 && cost < 1.0) {
        return 0.0;
    }
    ((probability - cost) / (1.0 - cost)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{charging, market, signal, usd};
    use super::*;

    #[test]
    fn kelly_is_zero_without_edge_and_matches_a_hand_worked_bet() {
        // p 0.60 at a cost of 0.50: b = 1, f = (0.6·1 − 0.4)/1 = 0.2
        assert!((kelly_fraction(0.60, 0.50) - 0.2).abs() < 1e-12);
        assert!(kelly_fraction(0.50, 0.50).abs() < 1e-12);
        assert!(kelly_fraction(0.40, 0.50).abs() < 1e-12);
        assert!(kelly_fraction(f64::NAN, 0.5).abs() < 1e-12);
        assert!(kelly_fraction(0.9, 1.0).abs() < 1e-12);
    }

    /// Fair 0.60 at 0.50 with a fee of 0.05 × 0.25 = 0.0125 per share, on 1,000 pUSD.
    fn sized(method: SizingMethod, max_bet_pct: f64, largest: &str) -> Sized {
        let config = SizingConfig {
            method,
            kelly_fraction: 0.25,
            max_bet_pct,
        };
        let signal = Signal {
            fair_price: 0.60,
            ..signal("one", "Yes", Side::Buy, "0.50", "10")
        };
        let market = charging(market("m"), "0.05");
        size(&signal, &market, Usdc::whole(1000), usd(largest), &config)
    }

    #[test]
    fn the_fee_is_part_of_the_cost() {
        // (0.60 − 0.5125) / (1 − 0.5125) = 0.0875 / 0.4875 = 0.179487179…
        let full = sized(SizingMethod::Kelly, 1.0, "1000");
        assert_eq!(full.size, usd("179.487179"));
        assert_eq!(
            full.explanation,
            "Kelly: fair 0.6000 against cost 0.5125 gives 17.95 % of 1000 pUSD equity (cap 100.00 \
             %)"
        );
        let quarter = sized(SizingMethod::FractionalKelly, 1.0, "1000");
        assert_eq!(quarter.size, usd("44.871795"));
        assert_eq!(sized(SizingMethod::Kelly, 0.1, "1000").size, usd("100"));
    }

    #[test]
    fn the_limits_cut_a_bet_unless_they_leave_less_than_an_order_may_have() {
        let cut = sized(SizingMethod::Kelly, 1.0, "70");
        assert_eq!(cut.size, usd("70"));
        assert!(
            cut.explanation
                .ends_with("cut to the 70 pUSD that the limits leave")
        );
        assert_eq!(sized(SizingMethod::Kelly, 1.0, "1").size, usd("1"));
        assert_eq!(
            sized(SizingMethod::Kelly, 1.0, "0.999999").size,
            usd("179.487179")
        );
        assert_eq!(sized(SizingMethod::Fixed, 1.0, "1").size, usd("10"));
    }

    #[test]
    fn sales_keep_the_size_that_the_strategy_names() {
        let signal = signal("one", "Yes", Side::Sell, "0.50", "10");
        let config = SizingConfig {
            method: SizingMethod::Kelly,
            ..SizingConfig::default()
        };
        let sized = size(&signal, &market("m"), Usdc::whole(1000), usd("1"), &config);
        assert_eq!(sized.size, usd("10"));
    }
}

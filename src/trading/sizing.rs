//! How much to bet: on the fair probability against the executable price with its fee, never on
//! "confidence".

use std::fmt;

use crate::domain::{Market, Side, Signal, StrategyName, Usdc};

use super::config::{SizingConfig, SizingMethod};
use super::ledger::Exposures;
use super::venue_rules::MIN_MARKETABLE_BUY;

/// A size with the one line that explains it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sized {
    /// Notional to trade, pUSD; zero when there is nothing to bet on.
    pub size: Usdc,
    /// How it came about.
    pub explanation: Explanation,
}

/// How a size came about; words when they are wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Explanation {
    /// It is the strategy's own.
    Fixed {
        /// pUSD.
        size: Usdc,
        /// Whose.
        strategy: StrategyName,
    },
    /// By Kelly's formula.
    Kelly(Bet),
}

/// The numbers of a bet by Kelly's formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bet {
    name: &'static str,
    /// Fair price, 0–1.
    fair: f64,
    /// Price with fee, pUSD per share.
    cost: f64,
    /// Share of the equity that the formula gives.
    share: f64,
    equity: Usdc,
    /// Most of the equity that one event may have.
    most: f64,
    taken: Taken,
    /// What the limits left of it.
    cut: Option<Usdc>,
}

/// What is at stake already and counts against a bet, pUSD.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Taken {
    Nothing,
    ByEvent(Usdc),
    ByToken(Usdc),
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bet = match self {
            Explanation::Fixed { size, strategy } => {
                return write!(f, "fixed size {size} pUSD of {strategy}");
            }
            Explanation::Kelly(bet) => bet,
        };
        write!(
            f,
            "{}: fair {:.4} against cost {:.4} gives {:.2} % of {} pUSD equity (cap {:.2} % per event)",
            bet.name,
            bet.fair,
            bet.cost,
            bet.share * 100.0,
            bet.equity,
            bet.most * 100.0,
        )?;
        match bet.taken {
            Taken::Nothing => {}
            Taken::ByEvent(stake) => write!(f, ", of which the event has {stake} pUSD at stake")?,
            Taken::ByToken(stake) => write!(f, ", of which the token has {stake} pUSD at stake")?,
        }
        match bet.cut {
            Some(left) => write!(f, ", cut to the {left} pUSD that the limits leave"),
            None => Ok(()),
        }
    }
}

/// The account that a bet is sized for.
#[derive(Debug, Clone, Copy)]
pub struct Purse {
    /// Cash and positions at their marks, pUSD.
    pub equity: Usdc,
    /// What the token, its market and its event have at stake already.
    pub at_stake: Exposures,
    /// What the risk limits leave for one order, pUSD.
    pub largest: Usdc,
}

/// Sizes a directional signal. Sales keep the strategy's own size: Kelly is about new bets.
///
/// The Kelly methods state how much may be at stake in all: `kelly × equity` on this token, less what
/// the token has cost already, and together with the other outcomes of its event at most
/// `max_bet_pct × equity`, since they win and lose with one another. Within that a bet may be larger
/// or smaller than the strategy's own size, and grows up to what the risk limits leave and no
/// further. Where these leave less than an order may have, the bet is not cut, so that the refusal
/// names the limit.
#[must_use]
pub fn size(signal: &Signal, market: &Market, purse: &Purse, config: &SizingConfig) -> Sized {
    let (name, factor) = match config.method {
        SizingMethod::Fixed => return own_size(signal),
        SizingMethod::FractionalKelly => ("fractional Kelly", config.kelly_fraction),
        SizingMethod::Kelly => ("Kelly", 1.0),
    };
    if signal.side == Side::Sell {
        return own_size(signal);
    }
    let Purse {
        equity,
        at_stake,
        largest,
    } = *purse;
    let price = signal.target_price.to_f64();
    let cost = price + market.fee.per_share(price);
    let share = kelly_fraction(signal.fair_price, cost) * factor;
    let stake = |share: f64| {
        Usdc::from_f64_rounded((share * equity.to_f64()).max(0.0)).unwrap_or(Usdc::ZERO)
    };
    let on_token = stake(share.min(config.max_bet_pct)).minus(at_stake.token);
    let in_event = stake(config.max_bet_pct).minus(at_stake.event);
    let size = on_token.min(in_event).max(Usdc::ZERO);
    let taken = if in_event < on_token {
        Taken::ByEvent(at_stake.event)
    } else if at_stake.token > Usdc::ZERO {
        Taken::ByToken(at_stake.token)
    } else {
        Taken::Nothing
    };
    let cut = (size > largest && largest >= MIN_MARKETABLE_BUY).then_some(largest);
    Sized {
        size: cut.unwrap_or(size),
        explanation: Explanation::Kelly(Bet {
            name,
            fair: signal.fair_price,
            cost,
            share,
            equity,
            most: config.max_bet_pct,
            taken,
            cut,
        }),
    }
}

fn own_size(signal: &Signal) -> Sized {
    Sized {
        size: signal.size,
        explanation: Explanation::Fixed {
            size: signal.size,
            strategy: signal.strategy.clone(),
        },
    }
}

/// Kelly fraction of a share that costs `cost` (fee included) and pays 1 with probability `p`:
/// `(p − cost) / (1 − cost)`, never below zero. It is Kelly's `(b·p − q) / b` (J. L. Kelly, "A New
/// Interpretation of Information Rate", 1956) with odds `b = (1 − cost) / cost` and `q = 1 − p`.
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

    /// An account of 1,000 pUSD with so much at stake in the token and in the whole event.
    fn purse(token: &str, event: &str, largest: &str) -> Purse {
        Purse {
            equity: Usdc::whole(1000),
            at_stake: Exposures {
                token: usd(token),
                event: usd(event),
                ..Exposures::default()
            },
            largest: usd(largest),
        }
    }

    /// Fair 0.60 at 0.50 with a fee of 0.05 × 0.25 = 0.0125 per share, on 1,000 pUSD.
    fn bet(method: SizingMethod, max_bet_pct: f64, purse: &Purse) -> Sized {
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
        size(&signal, &market, purse, &config)
    }

    fn sized(method: SizingMethod, max_bet_pct: f64, largest: &str) -> Sized {
        bet(method, max_bet_pct, &purse("0", "0", largest))
    }

    #[test]
    fn the_fee_is_part_of_the_cost() {
        // (0.60 − 0.5125) / (1 − 0.5125) = 0.0875 / 0.4875 = 0.179487179…
        let full = sized(SizingMethod::Kelly, 1.0, "1000");
        assert_eq!(full.size, usd("179.487179"));
        assert_eq!(
            full.explanation.to_string(),
            "Kelly: fair 0.6000 against cost 0.5125 gives 17.95 % of 1000 pUSD equity (cap 100.00 \
             % per event)"
        );
        let quarter = sized(SizingMethod::FractionalKelly, 1.0, "1000");
        assert_eq!(quarter.size, usd("44.871795"));
        assert_eq!(sized(SizingMethod::Kelly, 0.1, "1000").size, usd("100"));
    }

    #[test]
    fn correlated_outcomes_of_one_event_share_one_budget() {
        // Kelly wants 179.487179 of 1,000; the event may have 200 at stake and has 120 elsewhere.
        let shared = bet(SizingMethod::Kelly, 0.2, &purse("0", "120", "1000"));
        assert_eq!(shared.size, usd("80"));
        assert!(
            shared
                .explanation
                .to_string()
                .ends_with("(cap 20.00 % per event), of which the event has 120 pUSD at stake"),
            "{}",
            shared.explanation.to_string()
        );
        // All of it is in use.
        let used = bet(SizingMethod::Kelly, 0.2, &purse("0", "200", "1000"));
        assert_eq!(used.size, Usdc::ZERO);
        let beyond = bet(SizingMethod::Kelly, 0.2, &purse("0", "250", "1000"));
        assert_eq!(beyond.size, Usdc::ZERO);
    }

    #[test]
    fn what_the_token_has_at_stake_is_part_of_the_bet() {
        // 179.487179 in all, 100 of it held: the same signal tick after tick does not add up.
        let more = bet(SizingMethod::Kelly, 1.0, &purse("100", "100", "1000"));
        assert_eq!(more.size, usd("79.487179"));
        assert!(
            more.explanation
                .to_string()
                .ends_with("of which the token has 100 pUSD at stake")
        );
        let enough = bet(SizingMethod::Kelly, 1.0, &purse("180", "180", "1000"));
        assert_eq!(enough.size, Usdc::ZERO);
        // 25 %: 44.871795 in all.
        let quarter = bet(
            SizingMethod::FractionalKelly,
            1.0,
            &purse("40", "60", "1000"),
        );
        assert_eq!(quarter.size, usd("4.871795"));
    }

    #[test]
    fn confidence_plays_no_part() {
        let config = SizingConfig {
            method: SizingMethod::Kelly,
            ..SizingConfig::default()
        };
        let of = |confidence| {
            let signal = Signal {
                confidence,
                fair_price: 0.53,
                ..signal("one", "Yes", Side::Buy, "0.50", "10")
            };
            size(&signal, &market("m"), &purse("0", "0", "1000"), &config).size
        };
        // (0.53 − 0.50) / 0.50 = 0.06 of 1,000
        assert_eq!((of(0.1), of(1.0)), (usd("60"), usd("60")));
    }

    #[test]
    fn a_negative_edge_is_no_bet_and_never_the_strategys_own_size() {
        for method in [SizingMethod::Kelly, SizingMethod::FractionalKelly] {
            let config = SizingConfig {
                method,
                ..SizingConfig::default()
            };
            let signal = Signal {
                fair_price: 0.49,
                ..signal("one", "Yes", Side::Buy, "0.50", "10")
            };
            let sized = size(&signal, &market("m"), &purse("0", "0", "1000"), &config);
            assert_eq!(sized.size, Usdc::ZERO, "{method:?}");
        }
    }

    #[test]
    fn the_limits_cut_a_bet_unless_they_leave_less_than_an_order_may_have() {
        let cut = sized(SizingMethod::Kelly, 1.0, "70");
        assert_eq!(cut.size, usd("70"));
        assert!(
            cut.explanation
                .to_string()
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
        let sized = size(&signal, &market("m"), &purse("0", "0", "1"), &config);
        assert_eq!(sized.size, usd("10"));
    }
}

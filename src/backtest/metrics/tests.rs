//! Measures against numbers worked out by hand, by Python's `statistics`, and by other libraries.

use proptest::prelude::*;

use super::curve::returns;
use super::*;
use crate::domain::{Fill, MarketId, Price, Shares, Side, StrategyName, TokenId};

fn at(hours: i64) -> Timestamp {
    Timestamp::from_secs(1_767_225_600 + hours * 3_600)
}

fn curve(points: &[(i64, i32)]) -> Vec<(Timestamp, Usdc)> {
    let point = |(hours, equity): &(i64, i32)| (at(*hours), Usdc::whole(*equity));
    points.iter().map(point).collect()
}

fn of(curve: &[(Timestamp, Usdc)], trades: &[ClosedTrade]) -> Metrics {
    Metrics::of(&Measured {
        curve,
        trades,
        ..Measured::default()
    })
}

#[track_caller]
fn close(actual: Option<f64>, expected: f64) {
    let actual = actual.expect("a value");
    assert!(
        (actual - expected).abs() < 1e-9 * expected.abs().max(1.0),
        "{actual} is not {expected}"
    );
}

#[test]
fn metrics_equal_those_of_independent_libraries() {
    #[derive(serde::Deserialize)]
    struct Told {
        start: String,
        step_seconds: i64,
        equity_micros: Vec<i64>,
        expected: BTreeMap<String, f64>,
    }
    let text = include_str!("../../../tests/curves/equity_curve.json");
    let told: Told = serde_json::from_str(text).unwrap();
    let start = Timestamp::parse(&told.start).unwrap();
    let curve: Vec<(Timestamp, Usdc)> = (0..)
        .zip(&told.equity_micros)
        .map(|(step, micros)| {
            let at = start.plus_millis(step * told.step_seconds * 1000);
            (at, Usdc::from_micros(*micros))
        })
        .collect();
    let metrics = serde_json::to_value(of(&curve, &[])).unwrap();
    assert_eq!(metrics["steps"], 400);
    assert!(told.expected.len() >= 14);
    for (name, expected) in &told.expected {
        close(metrics[name].as_f64(), *expected);
    }
}

/// Expected numbers: Python's `statistics` module on the daily series
/// 1000, 1010, 1005, 1005, 1030, 990, 1000, 1040, 1035, 1035, 1050, 1060, 1050.
#[test]
fn daily_measures_agree_with_an_independent_computation() {
    let equity = [
        1000, 1010, 1005, 1005, 1030, 990, 1000, 1040, 1035, 1035, 1050, 1060, 1050,
    ];
    let points: Vec<(i64, i32)> = (0..).map(|day| day * 24).zip(equity).collect();
    let metrics = of(&curve(&points), &[]);
    assert_eq!((metrics.step_seconds, metrics.steps), (86_400, 12));
    close(metrics.total_return, 0.05);
    close(metrics.final_equity, 1050.0);
    close(metrics.sharpe_ratio, 4.1790124863592);
    close(metrics.sortino_ratio, 6.9331831217747);
    close(metrics.volatility, 0.3712074307129);
    // From 1030 on day 4 to 990 on day 5.
    close(metrics.max_drawdown, 40.0 / 1030.0);
    close(metrics.worst_day, -40.0 / 1030.0);
    close(metrics.best_day, 0.04);
    // Below 1030 from day 4 to day 7; below 1010, 1040 and 1060 for 3, 3 and 1 days.
    close(metrics.max_drawdown_hours, 72.0);
    close(metrics.average_drawdown_hours, 10.0 / 4.0 * 24.0);
    let falls = 5.0 / 1010.0 + 40.0 / 1030.0 + 5.0 / 1040.0 + 10.0 / 1060.0;
    close(metrics.average_drawdown, falls / 4.0);
    assert_eq!(metrics.win_rate, None);
    // Twelve days are no year.
    assert_eq!((metrics.cagr, metrics.calmar_ratio), (None, None));
    assert!(metrics.reasons["cagr"].contains("30 days"));
    // The returns sorted: the worst of ⌊0.05 · 11⌋ + 1 = 1.
    close(metrics.expected_shortfall_5, -40.0 / 1030.0);
}

#[test]
fn growth_is_told_per_year_of_365_25_days() {
    // 1 + 0.21 in two years of 365.25 days: 10 % a year; the largest fall is 10 %.
    let curve = curve(&[(0, 1000), (24 * 300, 900), (17_532, 1210)]);
    let metrics = of(&curve, &[]);
    close(metrics.cagr, 0.1);
    close(metrics.calmar_ratio, 1.0);
}

#[test]
fn measures_that_are_not_defined_are_absent_and_say_why() {
    let nothing = of(&[], &[]);
    let json = serde_json::to_value(&nothing).unwrap();
    let reasons = json["reasons"].as_object().unwrap();
    for (name, value) in json.as_object().unwrap() {
        assert_eq!(
            value.is_null(),
            reasons.contains_key(name),
            "{name}: {value}"
        );
        assert!(!value.is_null() || !reasons[name].as_str().unwrap().is_empty());
    }
    assert!(reasons.len() > 30, "{reasons:?}");
    let flat = of(&curve(&[(0, 100), (5, 100), (9, 100)]), &[]);
    assert_eq!(flat.total_return, Some(0.0));
    assert_eq!(
        (flat.max_drawdown, flat.average_drawdown),
        (Some(0.0), Some(0.0))
    );
    assert_eq!(flat.volatility, Some(0.0));
    assert_eq!((flat.sharpe_ratio, flat.sortino_ratio), (None, None));
    assert_eq!(flat.reasons["sharpe_ratio"], "the returns do not vary");
    assert_eq!((flat.tail_ratio, flat.skew), (None, None));
    let single = of(&curve(&[(0, 100)]), &[]);
    assert_eq!((single.total_return, single.steps), (Some(0.0), 0));
    let ruined = of(&curve(&[(0, 100), (1, -5), (2, -8)]), &[]);
    assert_eq!(ruined.sharpe_ratio, None);
    assert!(ruined.reasons["sharpe_ratio"].contains("above zero"));
    close(ruined.max_drawdown, 1.08);
    // A steady rise varies only by rounding errors: 1 % per hour.
    let steady: Vec<(Timestamp, Usdc)> = [100.0, 101.0, 102.01, 103.0301]
        .into_iter()
        .zip(0..)
        .map(|(equity, hour)| (at(hour), Usdc::from_f64(equity).unwrap()))
        .collect();
    assert_eq!(of(&steady, &[]).sharpe_ratio, None);
}

fn trade(gross: &str, fees: &str, cost: i32, hours: (i64, i64)) -> ClosedTrade {
    ClosedTrade {
        pnl_gross: Usdc::parse(gross).unwrap(),
        fees: Usdc::parse(fees).unwrap(),
        opened_at: at(hours.0),
        closed_at: at(hours.1),
        cost: Usdc::whole(cost),
    }
}

#[test]
fn trades_are_judged_after_fees() {
    let trades = [
        trade("10", "0.5", 100, (0, 10)),
        // Made money before fees only.
        trade("0.3", "0.5", 50, (5, 20)),
        trade("-4", "0.3", 40, (30, 40)),
        trade("2.5", "0", 10, (38, 42)),
    ];
    let metrics = of(&curve(&[(0, 1000), (100, 1007)]), &trades);
    assert_eq!(
        (
            metrics.total_trades,
            metrics.winning_trades,
            metrics.losing_trades
        ),
        (4, 2, 2)
    );
    close(metrics.win_rate, 0.5);
    // (9.5 + 2.5) / (0.2 + 4.3)
    close(metrics.profit_factor, 12.0 / 4.5);
    close(metrics.expectancy, 7.5 / 4.0);
    close(metrics.average_win, 6.0);
    close(metrics.average_loss, -2.25);
    close(metrics.payoff_ratio, 6.0 / 2.25);
    close(metrics.best, 9.5);
    close(metrics.worst, -4.3);
    close(metrics.return_on_cost, 7.5 / 200.0);
    // (10 + 15 + 10 + 4) / 4
    close(metrics.average_holding_hours, 9.75);
    assert_eq!(metrics.max_consecutive_losses, 2, "the two in the middle");
    let winners = of(&[], &trades[..1]);
    assert_eq!(winners.profit_factor, None, "nothing was lost");
    assert_eq!(winners.reasons["payoff_ratio"], "no trade lost money");
}

fn fill(side: Side, price: &str, shares: u32, maker: bool) -> Fill {
    let price = Price::parse(price).unwrap();
    Fill {
        order_id: 1,
        strategy: StrategyName::new("s"),
        market_id: MarketId::new("m"),
        token_id: TokenId::new("t"),
        outcome: "Yes".into(),
        side,
        price,
        shares: Shares::whole(shares),
        notional: Usdc::from_f64(price.to_f64() * f64::from(shares)).unwrap(),
        fee: Usdc::from_f64(0.25).unwrap(),
        maker,
        print: false,
        reason: String::new(),
    }
}

#[test]
fn the_cost_of_trading_by_hand() {
    let mut activity = Activity::default();
    let met = |mid: f64, best: &str| {
        Some(DecisionBook {
            mid: Some(mid),
            best: Price::parse(best).ok(),
        })
    };
    // Bought 100 at 0.52 where mid was 0.50 and the best ask 0.51: 2 and 1 pUSD.
    activity.fill(&fill(Side::Buy, "0.52", 100, false), met(0.50, "0.51"));
    // Sold 50 at 0.38 where mid was 0.40 and the best bid 0.38: 1 and 0 pUSD.
    activity.fill(&fill(Side::Sell, "0.38", 50, false), met(0.40, "0.38"));
    // A maker pays no slippage; a book without a middle measures none.
    activity.fill(&fill(Side::Buy, "0.30", 100, true), met(0.35, "0.36"));
    activity.fill(&fill(Side::Buy, "0.30", 10, false), None);
    // An hour at 1000 without a position, three at 500 with 200 of it at work.
    let hours = |hours: i64| hours * 3_600_000;
    activity.stand(hours(1), Usdc::whole(1000), Usdc::ZERO, false);
    activity.stand(hours(3), Usdc::whole(500), Usdc::whole(200), true);
    let metrics = Metrics::of(&Measured {
        activity: Some(&activity),
        ..Measured::default()
    });
    close(metrics.slippage_paid, 3.0);
    close(metrics.slippage_from_best, 1.0);
    // 52 + 19 + 30 + 3
    close(Some(metrics.volume), 104.0);
    close(metrics.maker_share, 30.0 / 104.0);
    close(Some(metrics.fees), 1.0);
    // Mean equity (1000 + 3 · 500) / 4 = 625.
    close(metrics.turnover, 104.0 / 625.0);
    close(metrics.exposure, 0.75);
    // (0 + 3 · 0.4) / 4
    close(metrics.capital_utilisation, 0.3);
}

fn forecast(fair: f64, market: Option<f64>, payout: Option<&str>) -> Forecast {
    Forecast {
        at: at(0),
        strategy: "s".to_owned(),
        market: MarketId::new("m"),
        category: None,
        token: TokenId::new("t"),
        fair,
        market_price: market,
        edge: 0.0,
        payout: payout.map(|text| Price::parse(text).unwrap()),
    }
}

#[test]
fn fair_prices_are_scored_on_resolved_markets() {
    let forecasts = [
        forecast(0.7, Some(0.6), Some("1")),
        forecast(0.4, Some(0.5), Some("0")),
        forecast(0.9, None, Some("0")),
        forecast(0.99, Some(0.1), None),
    ];
    let metrics = Metrics::of(&Measured {
        forecasts: &forecasts,
        ..Measured::default()
    });
    assert_eq!(metrics.forecasts, 3);
    // 0.09 + 0.16 + 0.81
    close(metrics.brier_score, 1.06 / 3.0);
    // (0.16 − 0.09) + (0.25 − 0.16), of the two with a market price.
    close(metrics.brier_advantage, 0.16 / 2.0);
    close(
        metrics.log_score,
        -(0.7_f64.ln() + 0.6_f64.ln() + 0.1_f64.ln()) / 3.0,
    );
    let none = Metrics::of(&Measured {
        forecasts: &forecasts[3..],
        ..Measured::default()
    });
    assert_eq!((none.forecasts, none.brier_score), (0, None));
    assert!(none.reasons["calibration_slope"].contains("has resolved"));
}

#[test]
fn the_calibration_slope_tells_overconfidence() {
    // Said 0.2 and 0.8 (log-odds ∓ln 4); a third and two thirds came true (∓ln 2): ln 2 / ln 4 = 0.5.
    let mut forecasts = Vec::new();
    for (fair, outcomes) in [(0.2, ["1", "0", "0"]), (0.8, ["1", "1", "0"])] {
        forecasts.extend(outcomes.map(|payout| forecast(fair, None, Some(payout))));
    }
    let metrics = Metrics::of(&Measured {
        forecasts: &forecasts,
        ..Measured::default()
    });
    close(metrics.calibration_slope, 0.5);
}

proptest! {
    #[test]
    fn steps_compound_to_the_total_return(
        steps in prop::collection::vec((1_i64..50_000_000, 1_000_000_i64..5_000_000_000), 2..60)
    ) {
        let mut moment = 1_767_225_600_123;
        let curve: Vec<(Timestamp, Usdc)> = steps
            .iter()
            .map(|(gap, equity)| {
                moment += gap;
                (Timestamp::from_millis(moment), Usdc::from_micros(*equity))
            })
            .collect();
        let metrics = of(&curve, &[]);
        let step = i64::try_from(metrics.step_seconds).unwrap() * 1000;
        let compounded: f64 = returns(&curve, step).unwrap().iter().map(|r| 1.0 + r).product();
        let total = metrics.total_return.unwrap() + 1.0;
        prop_assert!((compounded / total - 1.0).abs() < 1e-9);
        let drawdown = metrics.max_drawdown.unwrap();
        prop_assert!((0.0..1.0).contains(&drawdown));
        prop_assert!(metrics.average_drawdown.unwrap() <= drawdown);
        // Nothing but numbers and null, each null with a reason.
        let json = serde_json::to_value(&metrics).unwrap();
        for (name, value) in json.as_object().unwrap() {
            prop_assert_eq!(value.is_null(), metrics.reasons.contains_key(name), "{}", name);
        }
    }
}

//! A small run, worked out by hand.

use crate::backtest::analysis;
use crate::backtest::engine::{self, BacktestOptions, BacktestResult, ReplayRules};
use crate::backtest::summary::WholeResult;
use crate::domain::{
    Intent, MarketId, Price, Side, Signal, StrategyName, Timestamp, TokenId, Usdc,
};
use crate::market_data::recorded::{Dataset, DatasetOptions};
use crate::strategy::{Analysis, Strategy, StrategyContext, StrategyError};
use crate::trading::config::TradingConfig;

const START: &str = "2026-01-01T00:00:00Z";

pub(in crate::backtest) fn dataset(prices: &str, resolutions: &str) -> Dataset {
    let dir = tempfile::tempdir().unwrap();
    let header = "timestamp,market_id,question,yes_price,volume,token_id\n";
    std::fs::write(dir.path().join("prices.csv"), format!("{header}{prices}")).unwrap();
    let header = "market_id,token_id,resolved_at,outcome,basis\n";
    let text = format!("{header}{resolutions}");
    std::fs::write(dir.path().join("resolutions.csv"), text).unwrap();
    Dataset::load(dir.path(), DatasetOptions::default()).unwrap()
}

pub(in crate::backtest) fn options() -> BacktestOptions<'static> {
    let mut trading = TradingConfig::default();
    trading.conditional.enabled = false;
    BacktestOptions {
        start: None,
        end: None,
        balance: Usdc::whole(1000),
        trading,
        rules: ReplayRules::default(),
        title: "Small".to_owned(),
        progress: &|_, _| {},
        cancelled: &|| false,
    }
}

/// Wants what it was told to, at hours since the start: hour, market, token, side, limit, size, fair.
struct Told(Vec<(i64, &'static str, Side, &'static str, i32, f64)>);

impl Strategy for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let now = context.snapshot.at.since(Timestamp::parse(START).unwrap()) / 3_600_000;
        let due = self.0.iter().filter(|(hour, ..)| *hour == now);
        let intents = due.map(|(_, market, side, limit, size, fair)| {
            Intent::Directional(Signal {
                strategy: StrategyName::new("told"),
                market_id: MarketId::new(market),
                token_id: TokenId::new(format!("t{market}")),
                outcome: "Yes".into(),
                side: *side,
                confidence: 1.0,
                fair_price: *fair,
                target_price: Price::parse(limit).unwrap(),
                edge: (fair - Price::parse(limit).unwrap().to_f64()).abs(),
                size: Usdc::whole(*size),
                reason: format!("told to at {limit}").into(),
                stop_loss: None,
                take_profit: None,
            })
        });
        Ok(Analysis {
            intents: intents.collect(),
            ..Analysis::default()
        })
    }
}

const PRICES: &str = "\
2026-01-01T00:00:00Z,a,A?,0.5,0,ta
2026-01-01T00:00:00Z,b,B?,0.4,0,tb
2026-01-01T01:00:00Z,a,A?,0.6,0,ta
2026-01-01T01:00:00Z,b,B?,0.3,0,tb
2026-01-01T02:00:00Z,a,A?,0.6,0,ta
2026-01-01T02:00:00Z,b,B?,0.2,0,tb
";
const RESOLUTIONS: &str = "a,ta,2026-01-01T03:00:00Z,Yes,official\n";

fn run() -> (Dataset, BacktestResult) {
    let dataset = dataset(PRICES, RESOLUTIONS);
    let strategy = Told(vec![
        (0, "a", Side::Buy, "0.51", 51, 0.6),
        (0, "b", Side::Buy, "0.41", 41, 0.45),
        (2, "b", Side::Sell, "0.19", 19, 0.1),
    ]);
    let strategies: [Box<dyn Strategy>; 1] = [Box::new(strategy)];
    let result = engine::run(&dataset, &strategies, &options()).unwrap();
    (dataset, result)
}

#[track_caller]
fn close(actual: Option<f64>, expected: f64) {
    let actual = actual.expect("a value");
    assert!(
        (actual - expected).abs() < 1e-9,
        "{actual} is not {expected}"
    );
}

#[test]
fn a_small_run_by_hand() {
    let (_, result) = run();
    let report = &result.report;
    let usd = Usdc::whole;
    // 100 of a at 0.51, 100 of b at 0.41, marked at 0.49 and 0.39: 908 + 88; then 59 + 29; b sold at
    // 0.19; a pays 100.
    let equity: Vec<Usdc> = report.equity.iter().map(|(_, value)| *value).collect();
    assert_eq!(equity, [usd(1000), usd(996), usd(996), usd(986), usd(1027)]);
    let invested: Vec<Usdc> = report.exposure.iter().map(|(_, value)| *value).collect();
    assert_eq!(invested, [usd(88), usd(59), usd(0)]);
    let m = &report.metrics;
    close(m.total_return, 0.027);
    assert_eq!((m.total_trades, m.winning_trades), (2, 1));
    close(m.profit_factor, 49.0 / 22.0);
    // Half a spread of 0.02 on 300 shares; the best price each time.
    close(m.slippage_paid, 3.0);
    close(m.slippage_from_best, 0.0);
    close(Some(m.volume), 111.0);
    close(m.turnover, 111.0 / ((996.0 + 996.0 + 986.0) / 3.0));
    close(m.exposure, 1.0);
    close(
        m.capital_utilisation,
        (88.0 / 996.0 + 88.0 / 996.0 + 59.0 / 986.0) / 3.0,
    );
    close(m.average_holding_hours, 2.5);
    assert_eq!(m.maker_share, Some(0.0));
    // Of three fair prices acted upon, that of a is decided: 0.6 against a mid of 0.5.
    assert_eq!(m.forecasts, 1);
    close(m.brier_score, 0.16);
    close(m.brier_advantage, 0.09);
    close(m.log_score, -(0.6_f64.ln()));
    let names: Vec<(&str, f64)> = report
        .by_market
        .iter()
        .map(|row| (row.name.as_str(), row.result()))
        .collect();
    assert_eq!(names, [("A?", 49.0), ("B?", -22.0)]);
    assert_eq!(report.by_strategy[0].pnl, 27.0);
    let reasons: Vec<(&str, &str)> = report
        .closed
        .iter()
        .map(|row| (row.entry_reason.as_str(), row.exit_reason.as_str()))
        .collect();
    assert!(
        reasons[0].0.starts_with("told to at 0.41") && reasons[0].1.starts_with("told to at 0.19")
    );
    assert!(reasons[1].1.starts_with("settled at 1"), "{reasons:?}");
    assert_eq!(report.closed[1].gained, usd(100));
}

#[test]
fn what_the_markets_earned_is_what_the_account_gained() {
    let (dataset, mut result) = run();
    assert_eq!(result.report.paths.total(), Usdc::whole(27));
    assert_eq!(result.report.paths.len(), 2);
    analysis::analyse(&mut result, Some(&dataset), &options(), 1).unwrap();
    let codes: Vec<&str> = result
        .report
        .diagnoses
        .iter()
        .map(|d| d.code.as_str())
        .collect();
    // One market of two has 49 of 27 pUSD; two are too few for an interval.
    assert_eq!(
        codes,
        [
            "synthetic_book",
            "too_few_trades",
            "within_noise",
            "one_market"
        ]
    );
    assert!(result.report.intervals.reasons["total_return"].starts_with("2 markets"));
}

#[test]
fn an_open_position_counts_at_its_bid() {
    let dataset = dataset(PRICES, "");
    let strategy = Told(vec![(1, "a", Side::Buy, "0.61", 61, 0.7)]);
    let strategies: [Box<dyn Strategy>; 1] = [Box::new(strategy)];
    let result = engine::run(&dataset, &strategies, &options()).unwrap();
    let report = &result.report;
    // 100 at 0.61, marked at 0.59; half of the two hours with a position.
    assert_eq!(report.paths.total(), Usdc::whole(-2));
    assert_eq!(report.open_positions[0].pnl(), Usdc::whole(-2));
    assert_eq!(report.by_market[0].open_pnl, -2.0);
    close(report.metrics.exposure, 0.5);
    assert_eq!(report.metrics.forecasts, 0);
}

#[test]
fn a_run_that_was_halted_says_from_when_on() {
    let dataset = dataset(PRICES, "");
    // 100 of b at 0.41, marked at 0.39 and, an hour later, at 0.29: 988 of 1,000 is a fall of 1.2 %.
    let strategy = Told(vec![(0, "b", Side::Buy, "0.41", 41, 0.45)]);
    let strategies: [Box<dyn Strategy>; 1] = [Box::new(strategy)];
    let mut options = options();
    options.trading.risk.max_drawdown_pct = Price::parse("0.01").unwrap();
    let mut result = engine::run(&dataset, &strategies, &options).unwrap();
    analysis::analyse(&mut result, Some(&dataset), &options, 1).unwrap();
    let found = result.report.diagnoses.iter().find(|d| d.code == "halted");
    // The second of two hours.
    assert_eq!(
        found.unwrap().text,
        "Trading was halted (drawdown) from 2026-01-01T01:00:00Z for 50.0 % of the run: the rest \
         measures an idle account."
    );
    let notes = result.report.notes.iter();
    let halted = notes.filter(|note| note.starts_with("trading halted"));
    let halted: Vec<&String> = halted.collect();
    assert_eq!(halted.len(), 1);
    assert!(halted[0].starts_with("trading halted (drawdown) at 2026-01-01T01:00:00Z: "));
}

#[test]
fn exposure_lasts_to_the_end_of_the_run() {
    let dataset = dataset(PRICES, "");
    // 61 pUSD for 100 at hour 1, marked at 0.59 then and at hour 2, the last row.
    let strategy = Told(vec![(1, "a", Side::Buy, "0.61", 61, 0.7)]);
    let strategies: [Box<dyn Strategy>; 1] = [Box::new(strategy)];
    let report = engine::run(&dataset, &strategies, &options())
        .unwrap()
        .report;
    let start = Timestamp::parse(START).unwrap();
    let hour = |at: &Timestamp| at.since(start) / 3_600_000;
    let points: Vec<(i64, Usdc)> = report.exposure.iter().map(|(t, v)| (hour(t), *v)).collect();
    let usd = Usdc::whole;
    assert_eq!(points, [(0, usd(0)), (1, usd(59)), (2, usd(59))]);
}

#[test]
fn a_run_without_trades_has_no_negative_zero() {
    let dataset = dataset(PRICES, "");
    let mut result = engine::run(&dataset, &[], &options()).unwrap();
    analysis::analyse(&mut result, Some(&dataset), &options(), 1).unwrap();
    let metrics = &result.report.metrics;
    assert!(metrics.average_drawdown.is_some_and(f64::is_sign_positive));
    let text = serde_json::to_string(&WholeResult::of(&result)).unwrap();
    assert!(!text.contains(":-0.0,") && !text.contains(":-0.0}"));
    let page = crate::backtest::report::markdown(&result.report);
    assert!(page.contains("| Mean drawdown | 0.00 % |"), "{page}");
    assert!(!page.contains("-0.00"), "{page}");
}

#[test]
fn json_holds_numbers_and_null_only() {
    let (dataset, mut result) = run();
    analysis::analyse(&mut result, Some(&dataset), &options(), 1).unwrap();
    let text = serde_json::to_string(&WholeResult::of(&result)).unwrap();
    for word in ["NaN", "Infinity", "inf"] {
        assert!(!text.contains(&format!(":{word}")), "{word}");
    }
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    // The names of the original, and what it did not have.
    for name in [
        "total_return",
        "sharpe_ratio",
        "max_drawdown",
        "win_rate",
        "profit_factor",
        "total_trades",
    ] {
        assert!(json["metrics"].get(name).is_some(), "{name}");
    }
    assert_eq!(json["positions"].as_array().unwrap().len(), 0);
    assert_eq!(json["trades"][0]["market_id"], "a");
    let few = &json["diagnoses"][1];
    assert_eq!(few["code"], "too_few_trades");
    assert!(few["text"].as_str().unwrap().contains("2 closed trades"));
    assert!(json["metrics"]["cagr"].is_null());
    assert!(json["metrics"]["reasons"]["cagr"].is_string());
}

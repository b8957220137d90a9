//! Strategies and recordings for the tests of this part.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use crate::domain::{
    Intent, MarketId, MarketView, Outcome, Price, Side, Signal, StampedEvent, StrategyName,
    Timestamp, Usdc,
};
use crate::market_data::recorded::{Dataset, DatasetOptions};
use crate::strategy::{Analysis, Strategy, StrategyContext, StrategyError};
use crate::trading::config::{RiskConfig, TradingConfig};

use super::data::Source;
use super::engine::{BacktestOptions, BacktestResult, ReplayRules, run_observed};

pub(crate) const HEADER: &str = "timestamp,market_id,question,yes_price,volume,token_id\n";

/// 2026-01-01T00:00:00Z, before recorded markets pay fees, plus `h` hours.
pub(crate) fn hour(h: i64) -> Timestamp {
    Timestamp::from_secs(1_767_225_600 + h * 3_600)
}

/// Rows of one market, token `t<id>`, one an hour from `first` on.
pub(crate) fn hourly(id: &str, first: i64, prices: &[f64]) -> String {
    let mut rows = String::new();
    for (at, price) in (first..).zip(prices) {
        writeln!(rows, "{},{id},{id}?,{price},0,t{id}", hour(at).millis()).unwrap();
    }
    rows
}

pub(crate) fn load(rows: &str, more: &[(&str, &str)]) -> Dataset {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.csv"), format!("{HEADER}{rows}")).unwrap();
    for (name, text) in more {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    Dataset::load(dir.path(), DatasetOptions::default()).unwrap()
}

/// Nothing is too much, too fast or too far.
pub(crate) fn no_limits() -> TradingConfig {
    let plenty = Usdc::whole(1_000_000);
    TradingConfig {
        risk: RiskConfig {
            max_position_size: plenty,
            max_daily_loss: plenty,
            max_market_exposure: plenty,
            max_event_exposure: plenty,
            max_strategy_exposure: plenty,
            max_total_exposure: plenty,
            max_drawdown_pct: Price::ZERO,
            max_open_orders: 10_000,
            max_orders_per_minute: 0,
            max_price_distance: Price::ZERO,
            ..RiskConfig::default()
        },
        ..TradingConfig::default()
    }
}

pub(crate) fn options<'a>() -> BacktestOptions<'a> {
    BacktestOptions {
        start: None,
        end: None,
        balance: Usdc::whole(1000),
        trading: no_limits(),
        rules: ReplayRules::default(),
        title: "a test".to_owned(),
        progress: &|_, _| {},
        cancelled: &|| false,
    }
}

/// The result with all events.
pub(crate) fn events<'d>(
    data: impl Into<Source<'d>>,
    strategies: &[Box<dyn Strategy>],
    options: &BacktestOptions<'_>,
) -> (BacktestResult, Vec<StampedEvent>) {
    let mut all = Vec::new();
    let result = run_observed(data, strategies, options, &mut |events, _| {
        all.extend_from_slice(events);
    });
    (result.unwrap(), all)
}

/// Buys for ten pUSD what it is told to, at whatever it costs.
pub(crate) fn purchase(name: &str, view: &MarketView, outcome: &Outcome) -> Intent {
    Intent::Directional(wish(name, view, outcome))
}

/// The same, for a test to change.
pub(crate) fn wish(name: &str, view: &MarketView, outcome: &Outcome) -> Signal {
    Signal {
        strategy: StrategyName::new(name),
        market_id: view.market.id.clone(),
        token_id: outcome.token.clone(),
        outcome: outcome.name.clone(),
        side: Side::Buy,
        confidence: 1.0,
        fair_price: 0.99,
        target_price: Price::from_micros(900_000).unwrap(),
        edge: 0.01,
        size: Usdc::whole(10),
        reason: "a test".into(),
        stop_loss: None,
        take_profit: None,
    }
}

/// Buys the first outcome of every candidate that it does not hold.
pub(crate) struct Buyer;

impl Strategy for Buyer {
    fn name(&self) -> &'static str {
        "buyer"
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let mut analysis = Analysis::default();
        for view in context.snapshot.candidates() {
            let first = &view.market.outcomes[0];
            if !context.positions.contains_key(&first.token) {
                analysis.intents.push(purchase("buyer", view, first));
            }
        }
        Ok(analysis)
    }
}

/// Takes its time over every candidate.
pub(crate) struct Slow(pub(crate) std::time::Duration);

impl Strategy for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        for _ in context.snapshot.candidates() {
            std::thread::sleep(self.0);
        }
        Ok(Analysis::default())
    }
}

type Seen = BTreeMap<MarketId, BTreeMap<Timestamp, f64>>;

/// Cheats: buys what it knows will rise by the next row, from prices that it should not know. What it
/// sees it remembers, for whoever shares its memory.
#[derive(Default, Clone)]
pub(crate) struct Oracle(Arc<Mutex<Seen>>);

impl Oracle {
    /// One that has read all of a recording.
    pub(crate) fn of(dataset: &Dataset) -> Self {
        let seen = dataset.series().iter().map(|one| {
            let points = one.points().iter().map(|point| (point.at, point.price));
            (one.template().id.clone(), points.collect())
        });
        Oracle(Arc::new(Mutex::new(seen.collect())))
    }
}

impl Strategy for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let now = context.snapshot.at;
        let mut seen = self.0.lock().unwrap();
        let mut analysis = Analysis::default();
        for view in context.snapshot.candidates() {
            let prices = seen.entry(view.market.id.clone()).or_default();
            let present = view.history.as_ref().and_then(|h| h.price_at(now));
            let next = prices.range(now.plus_millis(1)..).next();
            if let (Some(present), Some((_, next))) = (present, next)
                && *next > present + 0.03
            {
                let outcome = &view.market.outcomes[0];
                analysis.intents.push(purchase("oracle", view, outcome));
            }
            prices.extend(present.map(|price| (now, price)));
        }
        Ok(analysis)
    }
}

/// Mean and standard error of a number of each run.
pub(crate) fn mean<R>(runs: &[R], of: impl Fn(&R) -> f64) -> (f64, f64) {
    let count = runs.len() as f64;
    let mean = runs.iter().map(&of).sum::<f64>() / count;
    let squares: f64 = runs.iter().map(|run| (of(run) - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

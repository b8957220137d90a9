//! A replay that makes few views gives what one gives that makes all of them.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::engine::ReplayRules;
use super::super::test_support::{HEADER, events, hour, no_limits, options};
use super::*;
use crate::domain::{Intent, Market, Price, Usdc};
use crate::market_data::recorded::DatasetOptions;
use crate::strategy::scout::{Finding, Scout};
use crate::strategy::sight::{Sight, TopBook};
use crate::strategy::{
    Analysis, StrategiesConfig, Strategy, StrategyContext, StrategyError, StrategySet,
};
use crate::trading::config::{SizingMethod, TradingConfig};

/// Numbers from 0 to below a bound, the same for each seed (a linear congruential generator with the
/// constants of D. E. Knuth, MMIX).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

const MARKETS: u64 = 36;

/// Random walks of every kind of market: alone, in a neg-risk event, on a date ladder, resolved, with
/// gaps, with volume, with finer prices, with quotes that cross. For so long nothing is recorded at all, half-way.
fn recording(seed: u64, silence: Duration) -> Dataset {
    let draw = &mut Draw(seed);
    let mut rows = String::from(HEADER.trim_end());
    rows.push_str(",best_bid,best_ask\n");
    let mut prices: Vec<u64> = (0..MARKETS).map(|_| 150 + draw.below(700)).collect();
    for step in 0..90 {
        let silent = if step < 45 {
            0
        } else {
            i64::try_from(silence.as_millis()).unwrap()
        };
        let at = hour(0).plus_millis(step * 1_200_000 + silent).millis();
        for (number, price) in (0..).zip(&mut prices) {
            if draw.one_in(6) {
                continue;
            }
            let change = draw.below(60);
            *price = (*price + change).saturating_sub(30).clamp(2, 998);
            let question = match number % 6 {
                0 => format!("\"Will it rain by March {}, 2026?\"", 10 + number),
                _ => format!("Will number {number} win?"),
            };
            let volume = if number % 4 == 3 {
                40_000 + draw.below(9_000)
            } else {
                0
            };
            let cents = number % 5 != 4;
            let shown = if cents { *price / 10 * 10 } else { *price };
            let shown = shown.max(1);
            let quotes = match draw.below(9) {
                // A bid of all that there is to win.
                8 if *price > 900 => "1,".to_owned(),
                0 => format!(
                    "{:.3},{:.3}",
                    0.001 * shown as f64 - 0.005,
                    0.001 * shown as f64 + 0.02
                ),
                _ => ",".to_owned(),
            };
            writeln!(
                rows,
                "{at},m{number},{question},0.{shown:03},{volume},t{number},{quotes}"
            )
            .unwrap();
        }
    }
    // The metadata of one member does not say that it is one of mutually exclusive outcomes.
    let members =
        [(1, true), (2, true), (5, true), (7, false), (8, false)].map(|(number, neg_risk)| {
            let event = if number == 8 { "f" } else { "e" };
            format!(r#"{{"id":"m{number}","neg_risk":{neg_risk},"event_key":"{event}"}}"#)
        });
    let resolved: String = (0..MARKETS)
        .filter(|number| number % 7 == 3)
        .map(|number| {
            let at = hour(0).plus_millis((60 + number as i64 * 3) * 1_200_000);
            format!(
                "m{number},{at},{}\n",
                if number % 2 == 0 { "Yes" } else { "No" }
            )
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("p.csv", &rows);
    write("markets.json", &format!("[{}]", members.join(",")));
    write(
        "resolutions.csv",
        &format!("market_id,resolved_at,outcome\n{resolved}"),
    );
    let dataset = Dataset::load(dir.path(), DatasetOptions::default()).unwrap();
    let number = |id: &str| dataset.index_of(id).unwrap();
    let event = dataset.neg_risk_event(number("m1")).unwrap();
    assert_eq!(dataset.event_members(event).len(), 4);
    assert_eq!(dataset.neg_risk_event(number("m7")), None);
    dataset
}

fn all_four(quick: bool) -> StrategiesConfig {
    let mut config = StrategiesConfig::all_on();
    if quick {
        if let Some(params) = &mut config.signal_trader {
            params.lookback_minutes = 60;
            params.price_move_threshold = 0.02;
        }
        if let Some(params) = &mut config.market_maker {
            params.lookback_minutes = 300;
            params.spread = 0.02;
            params.volatility_multiplier = 0.1;
        }
        if let Some(params) = &mut config.arbitrageur {
            params.trust_event_sets = true;
            params.price_sum_tolerance = 0.0;
            params.min_deviation = 0.001;
        }
    }
    config
}

/// The limits that shut an account, each in turn, and none.
fn tradings() -> Vec<(&'static str, TradingConfig)> {
    let with = |change: &dyn Fn(&mut TradingConfig)| {
        let mut config = no_limits();
        change(&mut config);
        config
    };
    vec![
        ("the defaults", TradingConfig::default()),
        ("no limits", no_limits()),
        ("few orders", with(&|c| c.risk.max_open_orders = 7)),
        (
            "few orders a minute",
            with(&|c| c.risk.max_orders_per_minute = 5),
        ),
        (
            "little for a strategy",
            with(&|c| c.risk.max_strategy_exposure = Usdc::whole(120)),
        ),
        (
            "little in all",
            with(&|c| c.risk.max_total_exposure = Usdc::whole(150)),
        ),
        (
            "a fall that halts",
            with(&|c| c.risk.max_drawdown_pct = Price::from_micros(20_000).unwrap()),
        ),
        (
            "by Kelly, with exits",
            with(&|c| {
                c.sizing.method = SizingMethod::FractionalKelly;
                c.conditional.enabled = true;
                c.risk.max_total_exposure = Usdc::whole(300);
            }),
        ),
        ("slow orders", with(&|c| c.execution.latency_ms = 90_000)),
        (
            "two have to agree",
            with(&|c| c.aggregation.min_strategies = 2),
        ),
    ]
}

#[test]
fn few_views_give_what_all_views_give() {
    let mut traded = 0;
    let mut counted = 0;
    // In the last, nearly all of what a look back on a week sees is gone at once.
    let nearly_a_week = Duration::from_hours(7 * 24 - 3);
    let cases = [(0, false, false), (1, true, false), (2, true, true)];
    for (seed, quick, gap) in cases {
        let silence = if gap { nearly_a_week } else { Duration::ZERO };
        let dataset = recording(seed, silence);
        let set = StrategySet::from_config(&all_four(quick)).unwrap();
        for (name, trading) in tradings() {
            let run = |whole| {
                let rules = ReplayRules {
                    whole,
                    ..ReplayRules::default()
                };
                // From its middle, too, and not to its end.
                let options = BacktestOptions {
                    start: (quick && !gap).then(|| hour(10)),
                    end: (quick && !gap).then(|| hour(25)),
                    trading: trading.clone(),
                    rules,
                    ..options()
                };
                events(&dataset, set.as_slice(), &options)
            };
            let (result, whole_events) = run(true);
            let (few, few_events) = run(false);
            let case = format!("seed {seed}, {name}");
            let pairs = whole_events.iter().zip(&few_events);
            let different = pairs.enumerate().find(|(_, (whole, few))| whole != few);
            assert_eq!(different, None, "{case}");
            assert_eq!(whole_events.len(), few_events.len(), "{case}");
            let (whole, few) = (format!("{result:#?}"), format!("{few:#?}"));
            let lines = whole.lines().zip(few.lines());
            let different = lines.enumerate().find(|(_, (whole, few))| whole != few);
            assert_eq!(different, None, "{case}");
            assert_eq!(whole.len(), few.len(), "{case}");
            traded += result.report.trades.len();
            counted += result
                .report
                .strategies
                .iter()
                .filter(|row| row.signals < row.not_traded.values().sum::<u64>())
                .filter(|row| row.strategy == "signal_trader")
                .count();
        }
    }
    assert!(traded > 300, "{traded}");
    assert!(counted > 1, "purchases were counted in {counted} runs");
}

/// Counts the views that a strategy is shown.
struct Counting<S> {
    inner: S,
    shown: Arc<AtomicUsize>,
}

impl Strategy for Counting<Box<dyn Strategy>> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let count = context.snapshot.candidates().count();
        self.shown.fetch_add(count, Ordering::Relaxed);
        self.inner.analyze(context)
    }

    fn scout(&self) -> Option<&dyn Scout> {
        self.inner.scout()
    }
}

/// Else the test above would compare a thing with itself.
#[test]
fn few_views_are_made_where_little_is_at_stake() {
    let dataset = recording(1, Duration::ZERO);
    let shown = Arc::new(AtomicUsize::new(0));
    let counted = |whole| {
        let set = StrategySet::from_config(&all_four(false)).unwrap();
        let strategies = set.into_vec().into_iter().map(|inner| {
            let shown = Arc::clone(&shown);
            Box::new(Counting { inner, shown }) as Box<dyn Strategy>
        });
        let strategies: Vec<Box<dyn Strategy>> = strategies.collect();
        shown.store(0, Ordering::Relaxed);
        let rules = ReplayRules {
            whole,
            ..ReplayRules::default()
        };
        let mut trading = no_limits();
        trading.risk.max_open_orders = 2;
        trading.risk.max_strategy_exposure = Usdc::whole(50);
        let options = BacktestOptions {
            rules,
            trading,
            ..options()
        };
        events(&dataset, &strategies, &options);
        shown.load(Ordering::Relaxed) / strategies.len()
    };
    let (all, few) = (counted(true), counted(false));
    assert!(all > 2_000, "{all}");
    assert!(few < all / 2, "{few} of {all}");
}

/// Counts how often bids are worked out ahead where it is certain that there are two.
struct Pricing<S> {
    inner: S,
    priced: Arc<AtomicUsize>,
}

impl Strategy for Pricing<Box<dyn Strategy>> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        self.inner.analyze(context)
    }

    fn scout(&self) -> Option<&dyn Scout> {
        Some(self)
    }
}

impl Scout for Pricing<Box<dyn Strategy>> {
    fn stands_alone(&self, market: &Market) -> bool {
        self.inner.scout().unwrap().stands_alone(market)
    }

    fn find(&self, context: &StrategyContext<'_>, sight: &Sight<'_, TopBook<'_>>) -> Finding<'_> {
        let is_certain = self.least_cost_of_both(context, sight).is_some();
        self.priced
            .fetch_add(usize::from(is_certain), Ordering::Relaxed);
        self.inner.scout().unwrap().find(context, sight)
    }

    fn least_cost_of_both(
        &self,
        context: &StrategyContext<'_>,
        sight: &Sight<'_, TopBook<'_>>,
    ) -> Option<Usdc> {
        self.inner.scout()?.least_cost_of_both(context, sight)
    }

    fn purchase_size(&self) -> Option<Usdc> {
        None
    }

    fn look_at(&self, context: &StrategyContext<'_>, view: &MarketView) -> Vec<Intent> {
        self.inner.scout().unwrap().look_at(context, view)
    }
}

/// 40 markets around 0.35, whose prices move by a cent; from the middle on nobody bids above 0.26, nor asks for less
/// than 0.44. 32,000 rows: batches begin with 2,048.
fn widening() -> Dataset {
    let mut rows = String::from(HEADER.trim_end());
    rows.push_str(",best_bid,best_ask\n");
    let draw = &mut Draw(3);
    for step in 0..800 {
        let at = hour(0).plus_millis(600_000 * step).millis();
        for number in 0..40 {
            let price = 345 + draw.below(10);
            let quotes = if step < 400 { "," } else { "0.26,0.44" };
            let question = format!("Will number {number} win?");
            writeln!(
                rows,
                "{at},m{number},{question},0.{price},0,t{number},{quotes}"
            )
            .unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.csv"), rows).unwrap();
    Dataset::load(dir.path(), DatasetOptions::default()).unwrap()
}

/// At first, and wherever the account has to know them. The result is the same.
#[test]
fn bids_are_worked_out_ahead_as_long_as_they_are_asked_for() {
    let dataset = widening();
    let config = StrategiesConfig {
        market_maker: StrategiesConfig::all_on().market_maker,
        ..StrategiesConfig::default()
    };
    let priced_with = |change: &dyn Fn(&mut TradingConfig)| {
        let priced = Arc::new(AtomicUsize::new(0));
        let mut trading = no_limits();
        change(&mut trading);
        let run = |whole| {
            let set = StrategySet::from_config(&config).unwrap();
            let wrapped = set.into_vec().into_iter().map(|inner| {
                let priced = Arc::clone(&priced);
                Box::new(Pricing { inner, priced }) as Box<dyn Strategy>
            });
            let strategies: Vec<Box<dyn Strategy>> = wrapped.collect();
            let options = BacktestOptions {
                trading: trading.clone(),
                rules: ReplayRules {
                    whole,
                    ..ReplayRules::default()
                },
                ..options()
            };
            let (result, events) = events(&dataset, &strategies, &options);
            (format!("{result:#?}"), events)
        };
        assert!(run(true) == run(false), "another result");
        priced.load(Ordering::Relaxed)
    };
    // A limit that refuses all bids: nobody asks after the batches that were looked at before that was known.
    let shut = priced_with(&|config| config.risk.max_open_orders = 4);
    assert!((1_000..10_000).contains(&shut), "{shut}");
    // Each is judged, and refused (a spread of 0.02 is assumed), which takes a view anyway.
    let judged =
        priced_with(&|config| config.risk.max_spread = Price::from_micros(10_000).unwrap());
    assert!((1_000..10_000).contains(&judged), "{judged}");
    // Two bids of 50 leave room for 40. At first all cost 49.99 at least. Later Yes may be worth as little as 0.26, of
    // which 150 shares less half a spread come to 34.50 only; in fact it is worth more, and the bid is too dear.
    let strategy = priced_with(&|config| config.risk.max_strategy_exposure = Usdc::whole(140));
    assert!(
        (shut + 5_000..25_000).contains(&strategy),
        "{strategy}, {shut}"
    );
}

//! What deciding costs: a tick over a thousand candidate markets (budget 5 ms in a release build),
//! with all four strategies and each alone, and the events that a ledger takes in per second.
//!
//! `cargo bench --bench decide`

#![expect(
    clippy::expect_used,
    reason = "a benchmark whose inputs are unsound has nothing to measure"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;

use polymarket_agent::domain::{
    Book, BookOrigin, Calibrations, Estimate, EventId, FeeSchedule, History, Intent, LedgerEvent,
    Level, Market, MarketId, MarketStatus, MarketView, Outcome, Price, PricePoint, ProtocolVersion,
    Shares, Side, Signal, Snapshot, SourceKind, StampedEvent, StrategyName, Timestamp, TokenId,
    Usdc,
};
use polymarket_agent::strategy::{
    Analysis, StrategiesConfig, Strategy, StrategyContext, StrategyError, StrategySet,
};
use polymarket_agent::trading::config::TradingConfig;
use polymarket_agent::trading::desk;
use polymarket_agent::trading::ledger::Ledger;

const MARKETS: u32 = 1_000;
const NOON: Timestamp = Timestamp::from_secs(1_772_452_800);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn price(cents: u32) -> Price {
    Price::from_micros(cents * 10_000).expect("a price")
}

fn market(number: u32) -> Market {
    let outcome = |name: &str| Outcome {
        name: name.into(),
        token: TokenId::new(format!("{number}{name}")),
        synthetic: false,
        indicative_price: None,
    };
    Market {
        id: MarketId::new(number.to_string()),
        condition_id: None,
        slug: None,
        question: format!("Will number {number} happen?"),
        description: None,
        event_id: None,
        category: None,
        outcomes: vec![outcome("Yes"), outcome("No")],
        tick: price(1),
        min_size: Shares::whole(5),
        fee: FeeSchedule::new("0.05", 1).expect("fee terms"),
        neg_risk: false,
        placeholder: false,
        volume: None,
        volume_24h: None,
        liquidity: None,
        start: None,
        end: None,
        status: MarketStatus::Open,
        version: ProtocolVersion::V1,
        label: None,
    }
}

/// Ten levels on each side around `mid` cents.
fn book(token: &TokenId, mid: u32, at: Timestamp) -> Book {
    let levels = |up: bool| {
        (1..=10)
            .map(|step| Level {
                price: price(if up { mid + step } else { mid - step }),
                size: Shares::whole(100),
            })
            .collect()
    };
    Book::new(
        token.clone(),
        levels(false),
        levels(true),
        at,
        BookOrigin::Venue,
    )
}

fn snapshot(at: Timestamp) -> Snapshot {
    let views = (0..MARKETS)
        .map(|number| {
            let market = market(number);
            let mid = 20 + number % 60;
            let books = market
                .outcomes
                .iter()
                .map(|outcome| Some(Arc::new(book(&outcome.token, mid, at))))
                .collect();
            MarketView {
                market: Arc::new(market),
                books,
                history: None,
                candidate: true,
            }
        })
        .collect();
    Snapshot::new(at, SourceKind::Polymarket, views, Vec::new())
}

/// Looks at every book and buys Yes in every `every`-th market.
struct EveryNth {
    every: usize,
}

impl Strategy for EveryNth {
    fn name(&self) -> &'static str {
        "every_nth"
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let mut analysis = Analysis::default();
        for (index, view) in context.snapshot.candidates().enumerate() {
            analysis.looked_at += 1;
            let Some(outcome) = view.market.outcomes.first() else {
                continue;
            };
            let ask = view.book(&outcome.token).and_then(|book| book.best_ask());
            let Some(ask) = ask.filter(|_| index % self.every == 0) else {
                analysis.pass("not its turn");
                continue;
            };
            analysis.intents.push(Intent::Directional(Signal {
                strategy: StrategyName::new("every_nth"),
                market_id: view.market.id.clone(),
                token_id: outcome.token.clone(),
                outcome: outcome.name.clone(),
                side: Side::Buy,
                confidence: 0.9,
                fair_price: ask.to_f64() + 0.1,
                target_price: ask,
                edge: 0.08,
                size: Usdc::whole(5),
                reason: "its turn".into(),
                stop_loss: None,
                take_profit: None,
            }));
        }
        Ok(analysis)
    }
}

fn rich() -> (Ledger, Vec<StampedEvent>) {
    let mut ledger = Ledger::default();
    let events = desk::open_account(
        &mut ledger,
        SourceKind::Sandbox,
        Usdc::whole(1_000_000),
        NOON,
    )
    .expect("an account");
    (ledger, events)
}

fn open_limits() -> TradingConfig {
    let mut config = TradingConfig::default();
    config.risk.max_total_exposure = Usdc::whole(1_000_000);
    config.risk.max_strategy_exposure = Usdc::whole(1_000_000);
    config.risk.max_orders_per_minute = 0;
    config.risk.max_daily_loss = Usdc::whole(1_000_000);
    config.conditional.enabled = true;
    config
}

/// A tick over a thousand markets: `500` gives two signals, `10` a hundred, each traded.
#[divan::bench(args = [1_000_000, 500, 10])]
fn decide(bencher: Bencher<'_, '_>, every: usize) {
    let snapshot = snapshot(NOON);
    let config = open_limits();
    let strategies: Vec<Box<dyn Strategy>> = vec![Box::new(EveryNth { every })];
    bencher.with_inputs(|| rich().0).bench_values(|mut ledger| {
        desk::tick(&mut ledger, &snapshot, &strategies, &config).expect("a tick")
    });
}

/// All four strategies, as configured by default.
fn all_four() -> StrategySet {
    let mut config = StrategiesConfig::all_on();
    if let Some(params) = &mut config.arbitrageur {
        params.trust_event_sets = true;
    }
    StrategySet::from_config(&config).expect("sound parameters")
}

/// A thousand markets as a venue has them: a week of history each, every fifth market in a neg-risk
/// event of five, every fourth of the rest a rung of a date ladder, rules of a page, prices that
/// carry an edge here and there.
fn venue(at: Timestamp) -> Snapshot {
    let dates = ["March 31", "June 30", "September 30", "December 31"];
    let rules =
        "This market will resolve to Yes if the treaty is ratified by the date. ".repeat(15);
    let views = (0..MARKETS)
        .map(|number| {
            let mut market = market(number);
            market.volume_24h = Some(Usdc::whole(50_000));
            market.volume = Some(Usdc::whole(900_000));
            market.liquidity = Some(Usdc::whole(20_000));
            market.start = Some(at.plus_millis(-40 * 86_400_000));
            market.end = Some(at.plus_millis(90 * 86_400_000));
            market.description = Some(rules.clone());
            let mut mid = 20 + number % 60;
            if number < 200 {
                market.event_id = Some(EventId::new(format!("set {}", number / 5)));
                market.neg_risk = true;
                mid = 20;
            } else if number % 4 == 0 {
                let rung = number / 4 % 4;
                let date = dates.get(rung as usize).copied().unwrap_or_default();
                market.event_id = Some(EventId::new(format!("ladder {}", number / 16)));
                market.question = format!(
                    "Will country {} ratify the treaty by {date}, 2027?",
                    number / 16
                );
                // One ladder in eight is not in order.
                let up = if number / 16 % 8 == 0 { 3 - rung } else { rung };
                mid = 30 + 8 * up;
            }
            let book_of = |(index, outcome): (usize, &Outcome)| {
                let own = if index == 0 { mid } else { 100 - mid };
                Some(Arc::new(book(&outcome.token, own, at)))
            };
            let books = market.outcomes.iter().enumerate().map(book_of).collect();
            // Every twentieth market has moved by eight cents.
            let moved = if number % 20 == 0 { 0.08 } else { 0.0 };
            let points = (0..1_008_i64)
                .map(|step| PricePoint {
                    at: at.plus_millis((step - 1_008) * 600_000),
                    price: f64::from(mid) / 100.0 - moved + 0.002 * (step % 5 - 2) as f64,
                })
                .collect();
            MarketView {
                market: Arc::new(market),
                books,
                history: Some(History::new(points)),
                candidate: true,
            }
        })
        .collect();
    Snapshot::new(at, SourceKind::Polymarket, views, Vec::new())
}

/// An opinion on every third market, far from its price now and then.
fn opinions(snapshot: &Snapshot) -> BTreeMap<MarketId, Vec<Estimate>> {
    let views = snapshot.markets().iter().step_by(3).enumerate();
    views
        .filter_map(|(index, view)| {
            let outcome = view.market.outcomes.first()?;
            let mid = view.book(&outcome.token)?.mid()?;
            let off = if index % 10 == 0 { 0.25 } else { 0.02 };
            let estimate = Estimate {
                market_id: view.market.id.clone(),
                token_id: outcome.token.clone(),
                outcome: outcome.name.clone(),
                probability: (mid + off).min(0.97),
                confidence: None,
                author: "ann".to_owned(),
                rationale: String::new(),
                ask_then: None,
                bid_then: None,
                created_at: snapshot.at.plus_millis(-60_000),
                expires_at: snapshot.at.plus_millis(3_600_000),
            };
            Some((view.market.id.clone(), vec![estimate]))
        })
        .collect()
}

/// One strategy's look at a thousand markets.
#[divan::bench(args = ["signal_trader", "market_maker", "arbitrageur", "ai_analyst"])]
fn analyze(bencher: Bencher<'_, '_>, name: &str) {
    let snapshot = venue(NOON);
    let estimates = opinions(&snapshot);
    let set = all_four();
    let strategy = set.get(name).expect("it runs");
    let nothing = BTreeMap::new();
    let resting = BTreeMap::new();
    let calibrations = Calibrations::default();
    let context = StrategyContext {
        calibrations: &calibrations,
        snapshot: &snapshot,
        positions: &nothing,
        resting: &resting,
        estimates: &estimates,
    };
    let found = strategy.analyze(&context).expect("an analysis");
    assert!(!found.intents.is_empty(), "{name} finds nothing");
    bencher.bench(|| strategy.analyze(&context).expect("an analysis"));
}

/// What all four cost together.
#[divan::bench]
fn analyze_all_four(bencher: Bencher<'_, '_>) {
    let snapshot = venue(NOON);
    let estimates = opinions(&snapshot);
    let set = all_four();
    let nothing = BTreeMap::new();
    let resting = BTreeMap::new();
    let calibrations = Calibrations::default();
    let context = StrategyContext {
        calibrations: &calibrations,
        snapshot: &snapshot,
        positions: &nothing,
        resting: &resting,
        estimates: &estimates,
    };
    bencher.bench(|| {
        set.iter()
            .map(|strategy| strategy.analyze(&context).expect("an analysis"))
            .collect::<Vec<_>>()
    });
}

/// A whole tick over a thousand changed markets with all four strategies: the budget is 5 ms. An
/// account that holds estimates on a third of the markets, under the default limits.
#[divan::bench]
fn decide_all_four(bencher: Bencher<'_, '_>) {
    let snapshot = venue(NOON);
    let set = all_four();
    let config = TradingConfig::default();
    let mut ledger = rich().0;
    for estimate in opinions(&snapshot).into_values().flatten() {
        let (stored, _) = desk::store_estimate(&mut ledger, estimate, NOON).expect("a ledger");
        stored.expect("an estimate");
    }
    bencher
        .with_inputs(|| ledger.clone())
        .bench_values(|mut ledger| {
            desk::tick(&mut ledger, &snapshot, set.as_slice(), &config).expect("a tick")
        });
}

/// The same with a position in every market and an order in every tenth: what the limits cost in a
/// big account.
#[divan::bench]
fn decide_with_a_thousand_positions(bencher: Bencher<'_, '_>) {
    let snapshot = snapshot(NOON);
    let config = open_limits();
    let (mut ledger, _) = rich();
    let all: Vec<Box<dyn Strategy>> = vec![Box::new(EveryNth { every: 1 })];
    desk::tick(&mut ledger, &snapshot, &all, &config).expect("a tick");
    assert_eq!(ledger.positions().len(), 1_000);
    let some: Vec<Box<dyn Strategy>> = vec![Box::new(EveryNth { every: 10 })];
    bencher
        .with_inputs(|| ledger.clone())
        .bench_values(|mut ledger| {
            desk::tick(&mut ledger, &snapshot, &some, &config).expect("a tick")
        });
}

/// The events of a hundred purchases with their exits and of a tick that marks them.
fn recorded() -> Vec<StampedEvent> {
    let (mut ledger, mut events) = rich();
    let config = open_limits();
    let strategies: Vec<Box<dyn Strategy>> = vec![Box::new(EveryNth { every: 10 })];
    for minute in 0..5 {
        let snapshot = snapshot(NOON.plus_millis(minute * 60_000));
        let (_, more) = desk::tick(&mut ledger, &snapshot, &strategies, &config).expect("a tick");
        events.extend(more);
    }
    assert!(
        events
            .iter()
            .any(|e| matches!(e.event, LedgerEvent::Filled { .. })),
        "nothing was traded"
    );
    events
}

/// Events applied to an empty ledger, as at every start: items are events.
#[divan::bench]
fn ledger_apply(bencher: Bencher<'_, '_>) {
    let events = recorded();
    bencher.counter(ItemsCount::new(events.len())).bench(|| {
        let mut ledger = Ledger::default();
        for event in &events {
            ledger.apply(event).expect("an event of a sound log");
        }
        ledger
    });
}

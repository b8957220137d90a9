//! The replay that `scripts/bench_l2.py` times: a file of recorded messages, ms between two looks of the
//! strategy, and which one: `quotes` (two steps behind the best prices, ten shares) or `market_maker`. What
//! it prints is one JSON object; the time is that of the replay alone. A fourth argument is how often it
//! is replayed, of which the fastest counts: for a profile.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and one whose inputs are unsound has nothing to measure"
)]

use std::path::Path;
use std::time::Instant;

use polymarket_agent::backtest::engine::{self, BacktestOptions, ReplayRules};
use polymarket_agent::domain::{Intent, Price, Quote, QuoteSide, Shares, StrategyName, Usdc};
use polymarket_agent::market_data::recorded::books::{BookOptions, BookRecording};
use polymarket_agent::strategy::{
    Analysis, MarketMaker, MarketMakerParams, Strategy, StrategyContext, StrategyError,
};
use polymarket_agent::trading::config::TradingConfig;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Quotes so many steps behind the best prices.
struct Quotes {
    name: StrategyName,
    behind: Price,
    shares: Shares,
    most: Shares,
}

impl Strategy for Quotes {
    fn name(&self) -> &'static str {
        "quotes"
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let mut analysis = Analysis::default();
        for view in context.snapshot.candidates() {
            let Some(outcome) = view.market.outcomes.first() else {
                continue;
            };
            let book = view.book(&outcome.token).filter(|book| book.is_sound());
            let best = book.and_then(|book| Some((book.best_bid()?, book.best_ask()?)));
            let Some((bid, ask)) = best else {
                continue;
            };
            let held = context
                .positions
                .get(&outcome.token)
                .map(|position| position.shares);
            let held = held.unwrap_or(Shares::ZERO);
            let side = |price: Price, shares: Shares| Some(QuoteSide { price, shares });
            analysis.intents.push(Intent::Quote(Quote {
                strategy: self.name.clone(),
                market_id: view.market.id.clone(),
                token_id: outcome.token.clone(),
                outcome: outcome.name.clone(),
                fair_price: f64::midpoint(bid.to_f64(), ask.to_f64()),
                confidence: 1.0,
                bid: side(bid.minus(self.behind), self.shares).filter(|_| held < self.most),
                ask: side(ask.plus(self.behind), held.min(self.shares))
                    .filter(|_| held >= self.shares),
                reason: String::new().into(),
            }));
        }
        Ok(analysis)
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().expect("FILE INTERVAL_MS STRATEGY [TIMES]");
    let (file, interval, strategy) = (next(), next(), next());
    let times: usize = args
        .next()
        .map_or(1, |text| text.parse().expect("how often"));
    let began = Instant::now();
    let recording = BookRecording::load_unless(Path::new(&file), BookOptions::default(), &|| false)
        .expect("a recording");
    let read_seconds = began.elapsed().as_secs_f64();
    let strategies: Vec<Box<dyn Strategy>> = match strategy.as_str() {
        "quotes" => vec![Box::new(Quotes {
            name: StrategyName::new("quotes"),
            behind: Price::from_micros(2_000).expect("a price"),
            shares: Shares::whole(10),
            most: Shares::whole(200),
        })],
        "market_maker" => vec![Box::new(
            MarketMaker::new(MarketMakerParams {
                enabled: true,
                spread: 0.004,
                order_size: 5.0,
                min_edge: 0.002,
                requote_threshold: 0.001,
                volatility_multiplier: 0.1,
                ..MarketMakerParams::default()
            })
            .expect("parameters"),
        )],
        // The events alone.
        _ => Vec::new(),
    };
    let mut trading = TradingConfig::default();
    let plenty = Usdc::whole(1_000_000);
    trading.risk.max_total_exposure = plenty;
    trading.risk.max_strategy_exposure = plenty;
    trading.risk.max_market_exposure = plenty;
    trading.risk.max_position_size = plenty;
    trading.risk.max_daily_loss = plenty;
    trading.risk.max_orders_per_minute = 0;
    let options = BacktestOptions {
        start: None,
        end: None,
        balance: Usdc::whole(10_000),
        trading,
        rules: ReplayRules {
            tick_ms: Some(interval.parse().expect("ms")),
            ..ReplayRules::default()
        },
        title: String::new(),
        progress: &|_, _| {},
        cancelled: &|| false,
    };
    let timed = || {
        let began = Instant::now();
        let result = engine::run(&recording, &strategies, &options).expect("a result");
        (began.elapsed().as_secs_f64(), result)
    };
    let (mut seconds, result) = timed();
    for _ in 1..times {
        seconds = seconds.min(timed().0);
    }
    let events = recording.events().len();
    println!(
        "{}",
        serde_json::json!({
            "seconds": seconds,
            "read_seconds": read_seconds,
            "decoded_events": events,
            "bytes_per_event": recording.decoded_bytes() as f64 / events as f64,
            "looks": result.report.frames,
            "fills": result.report.trades.len(),
            "equity": result.equity.to_f64(),
        })
    );
}

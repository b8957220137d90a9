//! On an exchange whose probabilities are martingales nobody who takes earns anything before fees.
//!
//! The sandbox without planted inefficiencies, as the venue's client sees it, and each taking strategy on
//! an account of its own. Every fill is held against the latent probability of its moment: what it is worth
//! on average, without the luck of what comes later. `backtest::martingale` does the same on price files.

use std::collections::{BTreeMap, HashMap};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::source::{client_of, start_sandbox};
use crate::backtest::parity::Session;
use crate::backtest::test_support::no_limits;
use crate::domain::{
    Book, Estimate, History, LedgerEvent, Market, MarketId, MarketView, PricePoint, Side, Snapshot,
    SourceKind, StampedEvent, Timestamp, TokenId, Usdc,
};
use crate::market_data::polymarket::{Polymarket, PolymarketConfig};
use crate::market_data::{MarketData, MarketQuery};
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::strategy::{
    AiAnalyst, AiAnalystParams, Arbitrageur, ArbitrageurParams, SignalTrader, SignalTraderParams,
    Strategy,
};
use crate::trading::config::TradingConfig;
use crate::trading::desk::{Input, Rules};

const SEEDS: u64 = 200;
const MARKETS: usize = 12;
const TICKS: usize = 12;
/// Simulated time between two ticks, ms.
const STEP: u64 = 20 * 60_000;

/// One strategy on an account of its own.
struct Trader {
    strategies: [Box<dyn Strategy>; 1],
    session: Session<()>,
    /// pUSD before fees against the latent probability, and shares traded.
    profit: f64,
    shares: f64,
}

impl Trader {
    fn new(strategy: Box<dyn Strategy>) -> Self {
        Trader {
            strategies: [strategy],
            session: Session::default(),
            profit: 0.0,
            shares: 0.0,
        }
    }

    fn carry_out(&mut self, input: &Input, config: &TradingConfig, sandbox: &Sandbox) {
        let rules = Rules {
            strategies: &self.strategies,
            config,
        };
        self.session.carry_out((), input, rules);
        while let Some(step) = self.session.oldest() {
            for event in &step.events {
                self.count(event, sandbox);
            }
        }
    }

    fn count(&mut self, event: &StampedEvent, sandbox: &Sandbox) {
        let LedgerEvent::Filled { fill } = &event.event else {
            return;
        };
        let worth = sandbox.worth(fill.token_id.as_str()).unwrap();
        let gain = match fill.side {
            Side::Buy => worth - fill.price.to_f64(),
            Side::Sell => fill.price.to_f64() - worth,
        };
        self.profit += gain * fill.shares.to_f64();
        self.shares += fill.shares.to_f64();
    }
}

fn traders() -> [(&'static str, Trader); 3] {
    let signal = SignalTraderParams {
        enabled: true,
        volume_threshold: 0.0,
        price_move_threshold: 0.015,
        lookback_minutes: 120,
        min_edge: 0.001,
        ..SignalTraderParams::default()
    };
    let analyst = AiAnalystParams {
        enabled: true,
        min_divergence: 0.05,
        ..AiAnalystParams::default()
    };
    let arbitrage = ArbitrageurParams {
        enabled: true,
        price_sum_tolerance: 0.0,
        min_deviation: 0.001,
        min_edge: 0.0,
        trust_event_sets: true,
        ..ArbitrageurParams::default()
    };
    [
        (
            "signal_trader",
            Trader::new(Box::new(SignalTrader::new(signal).unwrap())),
        ),
        (
            "ai_analyst",
            Trader::new(Box::new(AiAnalyst::new(analyst).unwrap())),
        ),
        (
            "arbitrageur",
            Trader::new(Box::new(Arbitrageur::new(arbitrage).unwrap())),
        ),
    ]
}

/// What a tick gathers, from the exchange's own routes.
struct Watch {
    data: Polymarket,
    past: HashMap<TokenId, Vec<PricePoint>>,
}

impl Watch {
    async fn look(&mut self) -> Snapshot {
        let now = self.data.now().await.unwrap();
        let query = MarketQuery { limit: 100 };
        let markets = self.data.active_markets(&query).await.unwrap();
        let tokens: Vec<TokenId> = markets
            .iter()
            .flat_map(|market| market.outcomes.iter().map(|outcome| outcome.token.clone()))
            .collect();
        let books = self.data.books(&tokens).await.unwrap();
        let views = markets
            .into_iter()
            .map(|market| self.view(market, &books, now));
        Snapshot::new(now, SourceKind::Sandbox, views.collect(), Vec::new())
    }

    fn view(
        &mut self,
        market: std::sync::Arc<Market>,
        books: &HashMap<TokenId, std::sync::Arc<Book>>,
        now: Timestamp,
    ) -> MarketView {
        let own = market.outcomes.iter().map(|o| books.get(&o.token).cloned());
        let own: Vec<_> = own.collect();
        let history = market.outcomes.first().map(|first| {
            let past = self.past.entry(first.token.clone()).or_default();
            if let Some(price) = own.first().and_then(|book| book.as_ref()?.mid()) {
                past.push(PricePoint { at: now, price });
            }
            History::new(past.clone())
        });
        MarketView {
            market,
            books: own,
            history,
            candidate: true,
        }
    }
}

/// Opinions of somebody who knows nothing: the middle, and noise.
fn guesses(snapshot: &Snapshot, random: &mut ChaCha8Rng) -> Vec<Estimate> {
    let views = snapshot.markets().iter();
    views
        .filter_map(|view| {
            let first = view.market.outcomes.first()?;
            let guess = view.book(&first.token)?.mid()? + random.random_range(-0.25..0.25);
            Some(Estimate {
                market_id: MarketId::new(view.market.id.as_str()),
                token_id: first.token.clone(),
                outcome: first.name.clone(),
                probability: guess.clamp(0.02, 0.98),
                confidence: Some(0.9),
                author: "nobody".to_owned(),
                rationale: "a guess".to_owned(),
                ask_then: None,
                bid_then: None,
                created_at: snapshot.at,
                expires_at: snapshot.at.plus_millis(3_600_000),
            })
        })
        .collect()
}

/// Profit and shares of each strategy in one world.
async fn run(seed: u64) -> [(f64, f64); 3] {
    let sandbox = start_sandbox(SandboxConfig {
        seed,
        markets: MARKETS,
        inefficiencies: false,
        speed: None,
        ..SandboxConfig::default()
    })
    .await
    .unwrap();
    let venue = PolymarketConfig {
        rate_share: 1.0,
        ..PolymarketConfig::default()
    };
    let mut watch = Watch {
        data: client_of(&sandbox, &venue).unwrap(),
        past: HashMap::new(),
    };
    let config = no_limits();
    let mut traders = traders();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let open = Input::Open {
        source: SourceKind::Sandbox,
        balance: Usdc::whole(10_000),
        at: sandbox.now(),
    };
    for (_, trader) in &mut traders {
        trader.carry_out(&open, &config, &sandbox);
    }
    for tick in 0..TICKS {
        let snapshot = watch.look().await;
        if tick % 3 == 0 {
            for estimate in guesses(&snapshot, &mut random) {
                let at = snapshot.at;
                let input = Input::Estimate { estimate, at };
                traders[1].1.carry_out(&input, &config, &sandbox);
            }
        }
        let input = Input::Tick(snapshot);
        for (_, trader) in &mut traders {
            trader.carry_out(&input, &config, &sandbox);
        }
        sandbox.step(STEP);
    }
    traders.map(|(_, trader)| (trader.profit, trader.shares))
}

/// Mean and standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_taking_strategy_earns_anything_on_fair_prices() {
    let mut found: BTreeMap<&str, (Vec<f64>, f64)> = BTreeMap::new();
    let names = traders().map(|(name, _)| name);
    for pair in 0..SEEDS / 2 {
        let (one, other) =
            tokio::join!(tokio::spawn(run(2 * pair)), tokio::spawn(run(2 * pair + 1)));
        for results in [one.unwrap(), other.unwrap()] {
            for (name, (profit, shares)) in names.iter().zip(results) {
                let (profits, sum) = found.entry(name).or_default();
                profits.push(profit);
                *sum += shares;
            }
        }
    }
    for (name, (profits, shares)) in &found {
        let (mean, error) = mean(profits);
        println!("{name}: {mean:.3} ± {error:.3} pUSD a run, {shares:.0} shares in {SEEDS} runs");
        assert!(mean <= 2.5 * error, "{name} earns {mean} ± {error}");
        // The yardstick moves: who has to trade here does.
        assert!(*shares > 5_000.0 || *name == "arbitrageur", "{name}");
    }
}

//! On an exchange whose probabilities are martingales nobody who takes earns anything before fees.
//!
//! The sandbox without planted inefficiencies, as the venue's client sees it, and each strategy on an account
//! of its own. Every fill is held against the latent probability of its moment: what it is worth on average,
//! without the luck of what comes later. What the market maker gains is split into the spread, against the
//! probability at which it quoted, and selection, what that has moved by until it was filled: noise traders
//! may pay it for waiting. `backtest::martingale` does the same on price files.

use std::collections::{BTreeMap, HashMap};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::source::{client_of, start_sandbox};
use crate::backtest::parity::Session;
use crate::backtest::test_support::{mean, no_limits};
use crate::domain::{
    Book, Estimate, History, LedgerEvent, Market, MarketId, MarketView, PricePoint, Side, Snapshot,
    SourceKind, StampedEvent, Timestamp, TokenId, Usdc,
};
use crate::market_data::polymarket::{Polymarket, PolymarketConfig};
use crate::market_data::{MarketData, MarketQuery};
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::strategy::{
    AiAnalyst, AiAnalystParams, Arbitrageur, ArbitrageurParams, MarketMaker, MarketMakerParams,
    SignalTrader, SignalTraderParams, Strategy,
};
use crate::trading::config::TradingConfig;
use crate::trading::desk::{Input, Rules};

const SEEDS: u64 = 200;
const MAKER: &str = "market_maker";
const MARKETS: usize = 12;
const TICKS: usize = 12;
/// Simulated time between two ticks, ms.
const STEP: u64 = 20 * 60_000;

/// One strategy on an account of its own.
struct Trader {
    strategies: [Box<dyn Strategy>; 1],
    session: Session<()>,
    /// Latent probabilities when it last looked.
    before: HashMap<TokenId, f64>,
    gains: Gains,
}

/// pUSD before fees against the latent probability, and shares traded.
#[derive(Debug, Clone, Copy, Default)]
struct Gains {
    profit: f64,
    shares: f64,
    /// Of resting orders: what they gain by the probability at which they were placed, and by its way
    /// from there to that of the fill.
    spread: f64,
    selection: f64,
}

impl Trader {
    fn new(strategy: Box<dyn Strategy>) -> Self {
        Trader {
            strategies: [strategy],
            session: Session::default(),
            before: HashMap::new(),
            gains: Gains::default(),
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
        let sign = match fill.side {
            Side::Buy => 1.0,
            Side::Sell => -1.0,
        };
        let (price, shares) = (fill.price.to_f64(), fill.shares.to_f64());
        let gains = &mut self.gains;
        gains.profit += sign * (worth - price) * shares;
        gains.shares += shares;
        if fill.maker {
            let quoted = self.before[&fill.token_id];
            gains.spread += sign * (quoted - price) * shares;
            gains.selection += sign * (worth - quoted) * shares;
        }
    }

    /// Keeps the probabilities that its quotes of now were made at.
    fn look_up(&mut self, snapshot: &Snapshot, sandbox: &Sandbox) {
        let outcomes = snapshot.markets().iter();
        let outcomes = outcomes.flat_map(|view| &view.market.outcomes);
        self.before.extend(outcomes.filter_map(|outcome| {
            Some((
                outcome.token.clone(),
                sandbox.worth(outcome.token.as_str())?,
            ))
        }));
    }
}

fn traders() -> [(&'static str, Trader); 4] {
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
    let maker = MarketMakerParams {
        enabled: true,
        spread: 0.04,
        order_size: 20.0,
        min_liquidity: 0.0,
        ..MarketMakerParams::default()
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
        (
            MAKER,
            Trader::new(Box::new(MarketMaker::new(maker).unwrap())),
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

/// What each strategy gains in one world.
async fn run(seed: u64) -> [Gains; 4] {
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
        let input = Input::Tick(snapshot.clone());
        for (_, trader) in &mut traders {
            trader.carry_out(&input, &config, &sandbox);
            trader.look_up(&snapshot, &sandbox);
        }
        sandbox.step(STEP);
    }
    traders.map(|(_, trader)| trader.gains)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_earns_anything_on_fair_prices_but_for_waiting() {
    let mut found: BTreeMap<&str, Vec<Gains>> = BTreeMap::new();
    let names = traders().map(|(name, _)| name);
    for pair in 0..SEEDS / 2 {
        let (one, other) =
            tokio::join!(tokio::spawn(run(2 * pair)), tokio::spawn(run(2 * pair + 1)));
        for results in [one.unwrap(), other.unwrap()] {
            for (name, gains) in names.iter().zip(results) {
                found.entry(name).or_default().push(gains);
            }
        }
    }
    for (name, gains) in &found {
        let of = |part: fn(&Gains) -> f64| mean(gains, part);
        let (profit, error) = of(|gains| gains.profit);
        let shares: f64 = gains.iter().map(|gains| gains.shares).sum();
        println!("{name}: {profit:.3} ± {error:.3} pUSD a run, {shares:.0} shares in {SEEDS} runs");
        if *name == MAKER {
            let (spread, spread_error) = of(|gains| gains.spread);
            let (selection, selection_error) = of(|gains| gains.selection);
            println!(
                "{name}: spread {spread:.3} ± {spread_error:.3}, selection {selection:.3} ± \
                 {selection_error:.3}"
            );
            assert!(spread > 5.0 * spread_error, "it is paid for waiting");
            assert!(
                selection < -5.0 * selection_error,
                "it is filled when the price has passed it"
            );
            // Nothing else: all that it does is to wait.
            assert!((spread + selection - profit).abs() < 1e-6);
        } else {
            assert!(profit <= 2.5 * error, "{name} earns {profit} ± {error}");
        }
        // The yardstick moves: who has to trade here does.
        assert!(shares > 5_000.0 || *name == "arbitrageur", "{name}");
    }
}

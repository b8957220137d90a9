//! Data on which nobody can earn anything: whoever does has found a fault of the tester.
//!
//! The latent price of a market is p(t) = Φ(B(t) / √(1 − t)), B a Brownian motion: the probability at t
//! that B(1) will be above 0, which is a martingale between 0 and 1. It is written to price files to the
//! thousandth; books are that price and a cent either way, so every purchase costs half the spread and no
//! rule can win it back. Profit is measured against the latent price, before fees.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::engine::BacktestOptions;
use super::frames::Frames;
use super::parity::{Carried, Session};
use super::sweep::{normal_cdf, normal_quantile};
use super::test_support::{Oracle, events, hour, hourly, load, mean, no_limits, options};
use crate::domain::{Estimate, LedgerEvent, SourceKind, StampedEvent, TokenId, Usdc};
use crate::market_data::recorded::Dataset;
use crate::strategy::{
    AiAnalyst, AiAnalystParams, Arbitrageur, ArbitrageurParams, MarketMaker, MarketMakerParams,
    SignalTrader, SignalTraderParams, Strategy,
};
use crate::trading::desk::{Input, Rules};

const SEEDS: u64 = 200;
const MARKETS: usize = 4;
/// Hours recorded, of `LIFE` until the market would end.
const HOURS: usize = 40;
const LIFE: f64 = 60.0;

/// A file with its latent prices, by market and hour.
struct World {
    latent: Vec<Vec<f64>>,
    dataset: Dataset,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut rows = String::new();
        let mut latent = Vec::new();
        for market in 0..MARKETS {
            let mut position = normal_quantile(random.random_range(0.25..0.75));
            let mut prices = Vec::new();
            for hour in 0..HOURS {
                let left = 1.0 - hour as f64 / LIFE;
                let price = normal_cdf(position / left.sqrt());
                prices.push((price * 1000.0).round().clamp(1.0, 999.0) / 1000.0);
                let draw: f64 = random.random_range(1e-9..1.0);
                position += normal_quantile(draw) / LIFE.sqrt();
            }
            rows += &hourly(&market.to_string(), 0, &prices);
            latent.push(prices);
        }
        World {
            latent,
            dataset: load(&rows, &[]),
        }
    }

    /// What the token is worth in the hour of `at`.
    fn worth(&self, token: &TokenId, at: usize) -> f64 {
        let name = token.as_str();
        let own = name.strip_prefix("synthetic:no:");
        let market: usize = own.unwrap_or(name)[1..].parse().unwrap();
        let price = self.latent[market][at.min(HOURS - 1)];
        if own.is_some() { 1.0 - price } else { price }
    }
}

fn hours(event: &StampedEvent) -> usize {
    usize::try_from(event.at.since(hour(0)) / 3_600_000).unwrap()
}

/// Of one run, pUSD before fees.
#[derive(Debug, Default, Clone, Copy)]
struct Profit {
    /// Latent price when the order was placed, against the price it got.
    spread: f64,
    /// Latent price when it was filled, against when it was placed.
    selection: f64,
    /// Latent price at the end, against when it was filled.
    drift: f64,
    /// Shares traded.
    shares: f64,
    /// Most that a fill got better than the latent price of then, per share.
    best: f64,
}

impl Profit {
    fn of(world: &World, events: &[StampedEvent]) -> Self {
        let mut profit = Profit {
            best: f64::NEG_INFINITY,
            ..Profit::default()
        };
        let mut placed = std::collections::BTreeMap::new();
        for event in events {
            match &event.event {
                LedgerEvent::OrderAccepted { order } => {
                    placed.insert(order.id, hours(event));
                }
                LedgerEvent::Filled { fill } => {
                    let sign = match fill.side {
                        crate::domain::Side::Buy => 1.0,
                        crate::domain::Side::Sell => -1.0,
                    };
                    let worth = |at| world.worth(&fill.token_id, at);
                    let shares = fill.shares.to_f64();
                    let (then, now) = (worth(placed[&fill.order_id]), worth(hours(event)));
                    let price = fill.price.to_f64();
                    profit.spread += sign * shares * (then - price);
                    profit.selection += sign * shares * (now - then);
                    profit.drift += sign * shares * (worth(HOURS) - now);
                    profit.shares += shares;
                    profit.best = profit.best.max(sign * (now - price));
                }
                _ => {}
            }
        }
        profit
    }

    fn total(&self) -> f64 {
        self.spread + self.selection + self.drift
    }
}

fn replayed(strategy: impl Fn(&World) -> Box<dyn Strategy>) -> Vec<Profit> {
    let run = |seed| {
        let world = World::new(seed);
        let options = BacktestOptions {
            balance: Usdc::whole(10_000),
            ..options()
        };
        let (_, events) = events(&world.dataset, &[strategy(&world)], &options);
        Profit::of(&world, &events)
    };
    (0..SEEDS).map(run).collect()
}

/// A taker pays half the spread with every fill, and gets nothing for it.
fn earns_nothing(name: &str, profits: &[Profit]) {
    let (total, error) = mean(profits, Profit::total);
    let shares: f64 = profits.iter().map(|p| p.shares).sum();
    let traded = profits.iter().filter(|p| p.shares > 0.0).count();
    println!("{name}: {total:.3} ± {error:.3} pUSD a run, {traded} runs traded {shares:.0} shares");
    assert!(traded > 150, "{name}: only {traded} runs traded anything");
    assert!(total <= 2.5 * error, "{name}: {total} ± {error}");
    // Not on average: no single fill is better than half the spread of 0.02 worse than the latent price,
    // but for the half thousandth that the file rounds it.
    let best = profits
        .iter()
        .map(|p| p.best)
        .fold(f64::NEG_INFINITY, f64::max);
    assert!(
        best <= -0.0099,
        "{name}: a fill {best} better than the latent price"
    );
}

fn trader() -> Box<dyn Strategy> {
    let params = SignalTraderParams {
        enabled: true,
        volume_threshold: 0.0,
        lookback_minutes: 360,
        min_edge: 0.005,
        ..SignalTraderParams::default()
    };
    Box::new(SignalTrader::new(params).unwrap())
}

#[test]
fn momentum_earns_nothing() {
    earns_nothing("signal_trader", &replayed(|_| trader()));
}

/// The yardstick itself: with knowledge of the next row it shows a profit that cannot be missed.
#[test]
fn a_cheat_is_seen_to_earn() {
    let profits = replayed(|world| Box::new(Oracle::of(&world.dataset)));
    let (total, error) = mean(&profits, Profit::total);
    println!("oracle: {total:.3} ± {error:.3} pUSD a run");
    assert!(total > 5.0 * error, "{total} ± {error}");
}

/// Books made from one price leave no set cheaper than it pays: an arbitrage would be a fault.
#[test]
fn there_is_no_arbitrage() {
    let params = ArbitrageurParams {
        enabled: true,
        price_sum_tolerance: 0.0,
        min_deviation: 0.001,
        min_edge: 0.0,
        trust_event_sets: true,
        ..ArbitrageurParams::default()
    };
    let profits = replayed(|_| Box::new(Arbitrageur::new(params.clone()).unwrap()));
    assert_eq!(profits.iter().map(|p| p.shares).sum::<f64>(), 0.0);
}

/// Estimates that know nothing: the latent price of six hours before, and noise.
#[test]
fn estimates_without_knowledge_earn_nothing() {
    let params = AiAnalystParams {
        enabled: true,
        min_divergence: 0.05,
        ..AiAnalystParams::default()
    };
    let strategies: [Box<dyn Strategy>; 1] = [Box::new(AiAnalyst::new(params).unwrap())];
    let config = no_limits();
    let rules = Rules {
        strategies: &strategies,
        config: &config,
    };
    let run = |seed: u64| {
        let world = World::new(seed);
        let mut random = ChaCha8Rng::seed_from_u64(seed + 1_000_000);
        let mut session: Session<()> = Session::default();
        session.carry_out(
            (),
            &Input::Open {
                source: SourceKind::Recorded,
                balance: Usdc::whole(10_000),
                at: hour(0),
            },
            rules,
        );
        for (at, frame) in Frames::new(&world.dataset, None, None).enumerate() {
            if at % 6 == 1 {
                for market in 0..MARKETS {
                    let old = world.latent[market][at.saturating_sub(6)];
                    let guess: f64 = old + random.random_range(-0.3..0.3);
                    let estimate = Estimate {
                        market_id: market.to_string().as_str().into(),
                        token_id: TokenId::new(format!("t{market}")),
                        outcome: "Yes".into(),
                        probability: guess.clamp(0.02, 0.98),
                        confidence: Some(0.9),
                        author: "nobody".to_owned(),
                        rationale: "a guess".to_owned(),
                        ask_then: None,
                        bid_then: None,
                        created_at: frame.at,
                        expires_at: frame.at.plus_millis(4 * 3_600_000),
                    };
                    let input = Input::Estimate {
                        estimate,
                        at: frame.at,
                    };
                    assert_eq!(session.carry_out((), &input, rules), Carried::Out);
                }
            }
            session.carry_out((), &Input::Tick(frame), rules);
        }
        let mut events = Vec::new();
        while let Some(step) = session.oldest() {
            events.extend_from_slice(&step.events);
        }
        Profit::of(&world, &events)
    };
    let profits: Vec<Profit> = (0..SEEDS).map(run).collect();
    earns_nothing("ai_analyst", &profits);
}

/// A market maker is paid the spread and pays for it by being filled when the price has moved against
/// it: more, on prices that jump from row to row.
#[test]
fn a_market_maker_earns_the_spread_and_loses_it_to_selection() {
    let params = MarketMakerParams {
        enabled: true,
        spread: 0.04,
        order_size: 20.0,
        ..MarketMakerParams::default()
    };
    let profits = replayed(|_| Box::new(MarketMaker::new(params.clone()).unwrap()));
    let (spread, spread_error) = mean(&profits, |p| p.spread);
    let (selection, selection_error) = mean(&profits, |p| p.selection);
    let (drift, drift_error) = mean(&profits, |p| p.drift);
    let (total, total_error) = mean(&profits, Profit::total);
    println!(
        "market_maker, pUSD a run: spread {spread:.3} ± {spread_error:.3}, selection {selection:.3} ± \
         {selection_error:.3}, drift {drift:.3} ± {drift_error:.3}, total {total:.3} ± {total_error:.3}"
    );
    assert!(spread > 5.0 * spread_error, "it is paid for waiting");
    assert!(
        selection < -5.0 * selection_error,
        "it is filled when the price passed it"
    );
    assert!(
        drift.abs() <= 3.5 * drift_error,
        "what comes after a fill is a martingale"
    );
    assert!(total <= 2.5 * total_error, "{total} ± {total_error}");
}

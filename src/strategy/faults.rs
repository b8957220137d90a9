//! Faults of the original that concern several strategies at once. The others have their tests
//! beside the strategy; `docs/strategies.md` lists all.

use super::test_support::{World, market, world};
use super::{
    AiAnalyst, AiAnalystParams, Arbitrageur, ArbitrageurParams, SignalTrader, SignalTraderParams,
    Strategy, arbitrageur,
};
use crate::domain::{Intent, Signal};

/// A market in which both directional strategies buy Yes.
fn wanted(ask: &str) -> World {
    let view = market("m")
        .yes(&[("0.55", 100)], &[(ask, 100)])
        .no(&[("0.43", 100)], &[("0.45", 100)])
        .history(&[(1440, 0.50)])
        .view();
    let mut world = world(vec![view]);
    world.estimate("m", "m-yes", "ann", 0.80, (10, 60));
    world
}

fn directional(world: &World) -> Vec<Signal> {
    let strategies: [Box<dyn Strategy>; 2] = [
        Box::new(SignalTrader::new(SignalTraderParams::default()).unwrap()),
        Box::new(AiAnalyst::new(AiAnalystParams::default()).unwrap()),
    ];
    strategies
        .iter()
        .flat_map(|strategy| strategy.analyze(&world.context()).unwrap().intents)
        .map(|intent| match intent {
            Intent::Directional(signal) => signal,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Its exit rule for arbitrage positions, "the price is within 2 % of the entry", held the moment
/// after the entry, and the position was sold at the bid.
#[test]
fn fault_33_sets_are_held_and_never_sold_by_their_strategy() {
    let view = market("m")
        .yes(&[("0.44", 100)], &[("0.45", 100)])
        .no(&[("0.49", 100)], &[("0.50", 100)])
        .view();
    let mut bought = world(vec![view]);
    // The whole set that 25 pUSD buy, marked at just what it cost.
    bought.hold("m", "m-yes", 26, "11.7", arbitrageur::NAME);
    bought.hold("m", "m-no", 26, "13.3", arbitrageur::NAME);
    let strategy = Arbitrageur::new(ArbitrageurParams::default()).unwrap();
    let analysis = strategy.analyze(&bought.context()).unwrap();
    assert_eq!(analysis.intents, []);
    assert_eq!(analysis.passed_over.get("already held"), Some(&1));
}

/// It entered at the mid and judged its stops by the bid, so that the spread was a loss at once.
/// Here the entry is judged at the ask: an edge over the mid that the ask eats is none.
#[test]
fn fault_34_an_entry_is_judged_at_the_ask() {
    let found = directional(&wanted("0.57"));
    assert_eq!(found.len(), 2);
    for signal in &found {
        // Never better than what the ask leaves, and no fee here.
        assert!(signal.edge <= signal.fair_price - 0.57 + 1e-9, "{signal:?}");
    }
    // Mid 0.575, fair 0.6125: 0.0375 above the mid, and 0.0125 above the ask.
    let edges: Vec<f64> = directional(&wanted("0.60"))
        .iter()
        .map(|s| s.edge)
        .collect();
    assert!((edges[0] - 0.0125).abs() < 1e-9, "{edges:?}");
    // With a spread of 0.06 the signal trader lets go.
    assert_eq!(directional(&wanted("0.61")).len(), 1);
}

/// Stops and targets on signals were never set, and default targets lay above 1. Strategies leave
/// both to the desk, which hangs them on the fill and leaves out what 1 would cut off.
#[test]
fn fault_35_exits_are_left_to_the_desk() {
    let found = directional(&wanted("0.57"));
    assert_eq!(found.len(), 2);
    for signal in found {
        assert_eq!((signal.stop_loss, signal.take_profit), (None, None));
    }
}

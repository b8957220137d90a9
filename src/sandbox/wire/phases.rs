//! What each route says about a market in every phase, from trading to the payout.

use super::{clob, data, gamma};
use crate::sandbox::config::SandboxConfig;
use crate::sandbox::model::{OutcomeSide, Phase, World};

/// A market that goes through every phase, the earliest such of its world, and its world.
fn disputed_market() -> (World, usize) {
    let config = SandboxConfig {
        markets: 300,
        ..SandboxConfig::default()
    };
    let world = World::with_history(&config, 0).unwrap();
    let voted = |index: usize| {
        let schedule = &world.markets[index].schedule;
        // A vote takes days; everything else is over within six hours.
        schedule.resolves().since(schedule.closes) > 86_400_000
    };
    let index = (0..world.markets.len())
        .filter(|index| voted(*index))
        .min_by_key(|index| world.markets[*index].schedule.closes)
        .unwrap();
    (world, index)
}

#[test]
fn every_route_tells_the_phase_in_its_own_words() {
    let (mut world, index) = disputed_market();
    let mut seen = Vec::new();
    let (open, voting) = (5 * 60_000, 86_400_000);
    let wait = world.markets[index].schedule.closes.since(world.now);
    world.step((wait - open) as u64);
    loop {
        let market = &world.markets[index];
        let event = world.event_of(market).unwrap();
        let phase = market.phase(world.now);
        if seen.last() != Some(&phase) {
            seen.push(phase);
            let row = gamma::market(&world, market, event, false);
            let list: Vec<String> = serde_json::from_str(row.uma_resolution_statuses).unwrap();
            let resolution = data::resolution(&world, market, event);
            let long = clob::long(&world, market, event);
            let (status, statuses, data_status) = match phase {
                Phase::Open => (None, 0, "initialized"),
                Phase::Proposed => (Some("proposed"), 1, "proposed"),
                Phase::Challenged => (Some("disputed"), 2, "challenged"),
                Phase::Reproposed => (Some("proposed"), 3, "reproposed"),
                Phase::Disputed => (Some("disputed"), 4, "disputed"),
                Phase::Resolved => (Some("resolved"), 3, "resolved"),
            };
            assert_eq!(row.uma_resolution_status, status);
            assert_eq!(list.len(), statuses, "{phase:?}");
            assert_eq!(resolution.status, data_status);
            assert_eq!(
                resolution.was_disputed,
                statuses >= 2,
                "{phase:?}: {list:?}"
            );
            // Trading ends once and for all; only the end names a winner.
            let trading = phase == Phase::Open;
            assert_eq!((row.closed, long.closed), (!trading, !trading));
            assert_eq!(
                (row.accepting_orders, long.accepting_orders),
                (trading, trading)
            );
            let book = clob::book(&world, market, event, OutcomeSide::First);
            assert_eq!(book.is_some(), trading);
            let winners = long.tokens.iter().filter(|token| token.winner).count();
            assert_eq!(winners, usize::from(phase == Phase::Resolved));
            assert_eq!(resolution.payouts.is_some(), phase == Phase::Resolved);
            let unset = Some("69");
            assert_eq!(resolution.proposed_price == unset, trading);
            let again = matches!(phase, Phase::Reproposed | Phase::Disputed);
            if again {
                assert_ne!(resolution.reproposed_price, unset);
            }
        }
        match phase {
            Phase::Resolved => break,
            Phase::Disputed => world.step(voting),
            _ => world.step(open as u64),
        }
    }
    assert_eq!(
        seen,
        [
            Phase::Open,
            Phase::Proposed,
            Phase::Challenged,
            Phase::Reproposed,
            Phase::Disputed,
            Phase::Resolved
        ]
    );
}

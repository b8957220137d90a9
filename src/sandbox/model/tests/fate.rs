//! From the end of trading to the payout, and what follows.

use super::*;
use crate::sandbox::model::process::{Dynamics, Process};
use crate::sandbox::noise::stream;

#[test]
fn a_third_of_the_markets_resolves_within_two_days() {
    let mut world = world(9, 90, false);
    world.step(48 * HOUR);
    let resolved = |market: &&SimMarket| market.phase(world.now) == Phase::Resolved;
    let resolved = world.markets.iter().take(90).filter(resolved).count();
    assert!((20..=50).contains(&resolved), "{resolved}");
}

#[test]
fn trading_ends_then_the_payout_becomes_final_and_one_outcome_wins() {
    let mut world = world(12, 120, false);
    let first = world
        .markets
        .iter()
        .filter(|market| !market.schedule.is_challenged())
        .min_by_key(|market| market.schedule.closes)
        .unwrap()
        .index;
    let end = world.markets[first].schedule.closes;
    world.step(end.since(world.now) as u64);
    let market = &world.markets[first];
    assert_eq!(market.phase(world.now), Phase::Proposed);
    assert!(world.book(market, OutcomeSide::First).is_none());
    assert_ne!(world.prices(market)[0], 1.0);
    world.step(30 * MINUTE);
    let market = &world.markets[first];
    assert_eq!(market.phase(world.now), Phase::Resolved);
    assert!([0.0, 0.5, 1.0].contains(&world.prices(market)[0]));
    assert_eq!(
        world.exchange.state(market.idx()),
        Some(crate::sandbox::exchange::MarketState::Settled(
            market.payouts.unwrap()
        ))
    );
}

#[test]
fn a_challenged_proposal_is_made_again_before_it_pays() {
    let mut world = World::with_history(&config(3, 120, false), 0).unwrap();
    let (index, schedule) = world
        .markets
        .iter()
        .filter(|market| market.schedule.is_challenged())
        .min_by_key(|market| market.schedule.closes)
        .map(|market| (market.index, market.schedule.clone()))
        .unwrap();
    let mut seen = Vec::new();
    world.step(schedule.closes.since(world.now) as u64);
    while world.now <= schedule.resolves() {
        let market = &world.markets[index];
        let phase = market.phase(world.now);
        if seen.last() != Some(&phase) {
            seen.push(phase);
        }
        assert_eq!(
            matches!(
                world.exchange.state(market.idx()),
                Some(crate::sandbox::exchange::MarketState::Settled(_))
            ),
            phase == Phase::Resolved
        );
        world.step(7 * MINUTE);
    }
    seen.push(world.markets[index].phase(world.now));
    seen.dedup();
    seen.retain(|phase| *phase != Phase::Disputed);
    assert_eq!(
        seen,
        [
            Phase::Proposed,
            Phase::Challenged,
            Phase::Reproposed,
            Phase::Resolved
        ]
    );
}

#[test]
fn payouts_sum_to_one_and_neg_risk_events_have_exactly_one_winner() {
    let (mut groups, mut markets, mut firsts) = (0, 0, 0);
    for seed in 0..8 {
        let mut world = World::with_history(&config(seed, 30, false), 0).unwrap();
        world.step(48 * HOUR);
        for event in &world.events {
            let members = world.markets_of(event);
            for market in members {
                let open = market.is_open(world.now);
                assert_eq!(market.payouts.is_none(), open);
            }
            if event.is_open(world.now) {
                continue;
            }
            let payouts: Vec<[u32; 2]> = members
                .iter()
                .map(|market| market.payouts.unwrap())
                .collect();
            for [yes, no] in &payouts {
                assert_eq!(yes + no, 1_000_000);
                markets += 1;
                firsts += u32::from(*yes == 1_000_000);
            }
            if event.neg_risk {
                groups += 1;
                let winners = payouts.iter().filter(|payout| payout[0] == 1_000_000);
                assert_eq!(winners.count(), 1);
            }
        }
    }
    assert!(groups >= 8, "{groups}");
    // Neither always Yes nor always No.
    assert!(
        firsts * 5 > markets && firsts * 5 < markets * 4,
        "{firsts} of {markets}"
    );
}

#[test]
fn an_even_split_pays_half_to_each_and_is_priced_so() {
    let mut world = world(2, 30, false);
    let place = world
        .events
        .iter()
        .position(|event| event.shape == Shape::Lone && event.process.probability(2) > 0.0)
        .unwrap();
    let event = &mut world.events[place];
    let (yes, split) = (event.process.probability(0), event.process.probability(2));
    assert!((event.latent(0) - (yes + split / 2.0)).abs() < 1e-12);
    // As good as certain.
    let still = Dynamics::Learning {
        past: 0.0,
        future: 0.0,
    };
    event.process = Process::new(vec![0.0, 0.0, 1.0], still, stream(&[1]));
    let first = event.markets.start;
    let wait = world.markets[first].schedule.resolves().since(world.now) as u64;
    world.step(wait);
    let market = &world.markets[first];
    assert_eq!(market.payouts, Some([500_000, 500_000]));
    assert_eq!(world.prices(market), [0.5, 0.5]);
}

#[test]
fn dates_of_a_ladder_are_monotone_in_probability_and_in_payout() {
    let (mut early, mut reached, mut ladders) = (0, 0, 0);
    for seed in 0..8 {
        let mut world = World::with_history(&config(seed, 20, false), 0).unwrap();
        for _ in 0..5 {
            world.step(30 * HOUR);
            for event in &world.events {
                if event.shape != Shape::Ladder {
                    continue;
                }
                let markets = world.markets_of(event);
                let latent: Vec<f64> = (0..markets.len()).map(|k| event.latent(k)).collect();
                assert!(latent.is_sorted(), "{latent:?}");
                let paid: Vec<u32> = markets
                    .iter()
                    .filter_map(|market| Some(market.payouts?[0]))
                    .collect();
                assert!(paid.is_sorted());
                let ends = markets.iter().map(|market| market.schedule.end);
                assert!(ends.is_sorted_by(|a, b| a < b));
            }
        }
        for event in world
            .events
            .iter()
            .filter(|event| event.shape == Shape::Ladder)
        {
            ladders += 1;
            for market in world.markets_of(event) {
                let Some([yes, _]) = market.payouts else {
                    continue;
                };
                reached += 1;
                if market.schedule.closes < market.schedule.end {
                    early += 1;
                    assert_eq!(yes, 1_000_000);
                }
            }
        }
    }
    assert!(
        ladders >= 8 && reached >= 8 && early >= 1,
        "{ladders} {reached} {early}"
    );
}

#[test]
fn a_long_run_does_not_run_dry() {
    let mut world = World::with_history(&config(21, 40, false), 0).unwrap();
    world.exchange.watch_lifecycles(true);
    let mut opened = 0;
    for _ in 0..6 {
        world.step(5 * 24 * HOUR);
        let open: Vec<&SimMarket> = world
            .markets
            .iter()
            .filter(|market| market.is_open(world.now))
            .collect();
        // Those whose followers are not there yet are missing.
        assert!((30..=40).contains(&open.len()), "{}", open.len());
        for market in open {
            assert!(world.book(market, OutcomeSide::First).is_some());
        }
        let changes = world.take_changes();
        assert!(changes.is_sorted_by_key(|change| change.at));
        opened += changes
            .iter()
            .filter(|change| change.kind == crate::sandbox::exchange::ChangeKind::Opened)
            .count();
    }
    assert!(world.markets.len() > 60, "{}", world.markets.len());
    assert_eq!(world.markets.len(), 40 + opened);
    let mut slugs: Vec<&str> = world.markets.iter().map(|m| m.slug.as_str()).collect();
    slugs.sort_unstable();
    slugs.dedup();
    assert_eq!(slugs.len(), world.markets.len());
    let young = world.markets.last().unwrap();
    let (found, event, _) = world.by_token(&young.tokens[1]).unwrap();
    assert_eq!(found.id, young.id);
    assert!(event.opened > world.start);
}

#[test]
fn the_price_step_becomes_finer_near_the_ends() {
    let mut world = world(2, 60, false);
    let place = world
        .events
        .iter()
        .position(|event| {
            let market = &world.markets[event.markets.start];
            event.shape == Shape::Lone
                && market.tick == 10_000
                && event.process.probability(2) == 0.0
        })
        .unwrap();
    let first = world.events[place].markets.start;
    world.watch(first, true);
    let still = Dynamics::Learning {
        past: 0.0,
        future: 0.0,
    };
    world.events[place].process = Process::new(vec![0.985, 0.015], still, stream(&[1]));
    world.step(HOUR);
    let market = &world.markets[first];
    assert_eq!(market.tick, 1_000);
    assert_eq!(
        world.exchange.terms(market.idx()).unwrap().tick.micros(),
        1_000
    );
    let changed = world.take_changes().into_iter().any(|change| {
        matches!(change.kind, crate::sandbox::exchange::ChangeKind::Tick { old, new }
            if old.micros() == 10_000 && new.micros() == 1_000)
    });
    assert!(changed);
    let market = &world.markets[first];
    let mid = world.mid(market, OutcomeSide::First).unwrap();
    assert!((0.96..1.0).contains(&mid), "{mid}");
}

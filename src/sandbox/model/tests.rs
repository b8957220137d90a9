//! What the world as a whole promises.

use std::collections::HashSet;

mod fate;
mod flow;
mod martingale;

use super::*;
use crate::domain::Price;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const SIDES: [OutcomeSide; 2] = [OutcomeSide::First, OutcomeSide::Second];

fn config(seed: u64, markets: usize, inefficiencies: bool) -> SandboxConfig {
    SandboxConfig {
        seed,
        markets,
        inefficiencies,
        ..SandboxConfig::default()
    }
}

fn world(seed: u64, markets: usize, inefficiencies: bool) -> World {
    World::with_history(&config(seed, markets, inefficiencies), 1).unwrap()
}

fn micros(price: Option<&(Price, crate::domain::Shares)>) -> Option<u32> {
    price.map(|(price, _)| price.micros())
}

/// Best ask of each open market's outcome, from the whole book.
fn best_ask(world: &World, market: &SimMarket, side: OutcomeSide) -> Option<u32> {
    micros(world.book(market, side)?.1.first())
}

#[test]
fn the_state_depends_on_the_moment_and_not_on_the_steps() {
    let mut at_once = world(3, 30, true);
    let mut slowly = world(3, 30, true);
    at_once.step(5 * HOUR);
    for _ in 0..300 {
        slowly.step(40_000);
        slowly.step(20_000);
    }
    assert_eq!(at_once.now, slowly.now);
    for (a, b) in at_once.markets.iter().zip(&slowly.markets) {
        let (x, y) = (at_once.event_of(a).unwrap(), slowly.event_of(b).unwrap());
        assert_eq!(x.latent(a.member).to_bits(), y.latent(b.member).to_bits());
        for side in SIDES {
            assert_eq!(at_once.book(a, side), slowly.book(b, side));
        }
        let (first, last) = (Timestamp::from_secs(0), at_once.now);
        let one: Vec<_> = a.history.between(first, last).collect();
        let two: Vec<_> = b.history.between(first, last).collect();
        assert_eq!(one, two);
        assert_eq!(at_once.changed_at(a), slowly.changed_at(b));
        assert!(a.tape.prints().eq(b.tape.prints()));
        assert_eq!(at_once.volume(a).to_bits(), slowly.volume(b).to_bits());
    }
}

#[test]
fn ids_are_unique_and_every_token_finds_its_market() {
    let world = world(1, 200, true);
    assert_eq!(world.markets.len(), 200);
    let mut seen = HashSet::new();
    for (market, event) in world.all() {
        assert!(seen.insert(market.condition_id.clone()));
        assert!(seen.insert(market.slug.clone()));
        assert!(seen.insert(market.question_id.clone()));
        assert_eq!(market.question_id.len(), 66);
        assert!(event.markets.contains(&market.index));
        for side in SIDES {
            let token = side.of(&market.tokens);
            assert!(seen.insert(token.clone()));
            let (found, _, found_side) = world.by_token(token).unwrap();
            assert_eq!((found.index, found_side), (market.index, side));
        }
    }
}

#[test]
fn books_lie_on_the_grid_uncrossed_and_change_as_time_passes() {
    for inefficiencies in [false, true] {
        let mut world = world(11, 60, inefficiencies);
        let (mut looks, mut changes, mut levels) = (0, 0, 0);
        for _ in 0..30 {
            let before: Vec<_> = world
                .markets
                .iter()
                .map(|market| world.book(market, OutcomeSide::First))
                .collect();
            world.step(11 * MINUTE);
            for (market, before) in world.markets.iter().zip(before) {
                let Some(now) = world.book(market, OutcomeSide::First) else {
                    continue;
                };
                looks += 1;
                let changed = before.as_ref() != Some(&now);
                changes += usize::from(changed);
                if changed {
                    let age = world.now.since(world.changed_at(market));
                    assert!((0..=11 * MINUTE as i64).contains(&age), "{age}");
                }
                for side in SIDES {
                    let (bids, asks) = world.book(market, side).unwrap();
                    let tick = Price::from_micros(market.tick).unwrap();
                    for (price, size) in bids.iter().chain(&asks) {
                        assert!(price.is_multiple_of(tick));
                        assert!(price.micros() > 0 && *price < Price::ONE);
                        assert!(size.micros() > 0 && size.micros() % 10_000 == 0);
                    }
                    assert!(bids.is_sorted_by(|a, b| a.0 > b.0));
                    assert!(asks.is_sorted_by(|a, b| a.0 < b.0));
                    levels += bids.len() + asks.len();
                    if let (Some(bid), Some(ask)) = (bids.first(), asks.first()) {
                        assert!(bid.0 < ask.0, "{}: {bid:?} {ask:?}", market.slug);
                        if bid.0.to_f64() > 0.1 && ask.0.to_f64() < 0.9 {
                            assert!(bids.len() + asks.len() >= 4);
                        }
                    }
                }
            }
        }
        assert!(looks >= 1_200, "{looks}");
        // Quiet markets rest for a while; most books change in eleven minutes.
        assert!(changes * 10 >= looks * 7, "{changes} of {looks}");
        assert!(levels >= looks * 2 * 8, "{levels} levels in {looks} looks");
    }
}

/// Smallest sums of asks seen over twelve hours, in micro-pUSD: pairs, and whole neg-risk events;
/// and the least that a later date of a ladder asks above what an earlier one bids.
fn cheapest(world: &mut World) -> (u32, u32, i64) {
    let (mut pair, mut whole, mut dates) = (u32::MAX, u32::MAX, i64::MAX);
    for _ in 0..144 {
        for (market, _) in world.all() {
            let asks = SIDES.map(|side| best_ask(world, market, side));
            if let [Some(first), Some(second)] = asks {
                pair = pair.min(first + second);
            }
        }
        for event in &world.events {
            let markets = world.markets_of(event);
            let asks: Vec<Option<u32>> = markets
                .iter()
                .map(|market| best_ask(world, market, OutcomeSide::First))
                .collect();
            let all: Option<u32> = asks.iter().copied().sum();
            match (event.shape, all) {
                (Shape::NegRisk, Some(sum)) => whole = whole.min(sum),
                (Shape::Ladder, _) => {
                    for (earlier, market) in markets.iter().enumerate() {
                        let bid = world
                            .best(market, OutcomeSide::First)
                            .and_then(|best| best.0);
                        for ask in asks.iter().skip(earlier + 1).flatten() {
                            if let Some(bid) = bid {
                                dates = dates.min(i64::from(*ask) - i64::from(bid.micros()));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        world.step(5 * MINUTE);
    }
    (pair, whole, dates)
}

#[test]
fn fair_books_offer_no_arbitrage() {
    let (pair, whole, dates) = cheapest(&mut world(5, 90, false));
    // Exactly 1 is possible, less is not; the starting values would mean that nothing was seen.
    assert!((1_000_000..1_200_000).contains(&pair), "{pair}");
    assert!((1_000_000..1_200_000).contains(&whole), "{whole}");
    assert!((0..200_000).contains(&dates), "{dates}");
}

#[test]
fn planted_pairs_and_events_are_cheap_at_the_start_and_again_later() {
    let mut world = world(5, 60, true);
    for (hours, cheap) in [(0, true), (2, false), (3, true), (12, true)] {
        let due = world.start.plus_millis((hours * HOUR) as i64);
        world.step(due.since(world.now) as u64);
        let pair = world
            .markets
            .iter()
            .find(|market| market.plant.kind() == Some(PlantedKind::CheapPair))
            .unwrap();
        let sum: u32 = SIDES
            .iter()
            .map(|side| best_ask(&world, pair, *side).unwrap())
            .sum();
        assert_eq!(sum <= 950_000, cheap, "pair at {hours} h: {sum}");
    }
    for (hours, cheap) in [(12, true), (14, false), (16, true)] {
        let due = world.start.plus_millis((hours * HOUR) as i64);
        world.step(due.since(world.now) as u64);
        let sum: u32 = world
            .markets
            .iter()
            .filter(|market| market.plant.kind() == Some(PlantedKind::CheapEvent))
            .map(|market| best_ask(&world, market, OutcomeSide::First).unwrap())
            .sum();
        assert_eq!(sum <= 930_000, cheap, "event at {hours} h: {sum}");
        assert!(sum > 850_000);
    }
}

#[test]
fn every_kind_is_planted_and_labelled_only_when_asked_for() {
    let world = world(2, 60, true);
    let planted = world.planted();
    let count = |kind| planted.iter().filter(|entry| entry.kind == kind).count();
    assert_eq!(count(PlantedKind::CheapPair), 2);
    assert_eq!(count(PlantedKind::CheapEvent), 1);
    assert_eq!(count(PlantedKind::Estimate), 4);
    assert_eq!(count(PlantedKind::Lagging), 5);
    assert_eq!(count(PlantedKind::Oscillating), 3);
    assert_eq!(count(PlantedKind::BrokenLadder), 1);
    for entry in &planted {
        for id in &entry.market_ids {
            let market = world
                .markets
                .iter()
                .find(|m| m.id.to_string() == *id)
                .unwrap();
            assert!(market.description.contains("planted inefficiency: "));
        }
    }
    let fair = self::world(2, 60, false);
    assert!(fair.planted().is_empty());
    for market in &fair.markets {
        assert!(market.question.starts_with("[SIM] "));
        assert!(!market.description.contains("planted"));
    }
}

#[test]
fn planted_estimates_differ_from_the_book_by_at_least_a_fifth() {
    let mut world = world(8, 60, true);
    world.step(6 * HOUR);
    let mut seen = 0;
    for entry in world.planted() {
        let Some(probability) = entry.probability else {
            continue;
        };
        let (market, _, side) = world.by_token(&entry.token_ids[0]).unwrap();
        let mid = world.mid(market, side).unwrap();
        assert!((mid - probability).abs() >= 0.2, "{mid} {probability}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn in_any_twelve_hours_a_lagging_market_moves_eight_cents_and_goes_on() {
    let mut world = World::with_history(&config(4, 60, true), 2).unwrap();
    for half_day in 0..6 {
        let (mut moved, mut continued) = (0, 0);
        for _ in 0..12 {
            let before: Vec<(usize, f64, f64)> = lagging(&world)
                .map(|market| {
                    let mid = |hours: i64| {
                        let back = world.now.plus_millis(-hours * 3_600_000);
                        market.history.at(back).unwrap()
                    };
                    (market.index, mid(0), mid(0) - mid(8))
                })
                .filter(|(_, _, change)| change.abs() >= 0.08)
                .collect();
            world.step(HOUR);
            for (index, mid, change) in before {
                let now = world.markets[index].history.at(world.now).unwrap();
                moved += 1;
                continued += i32::from((now - mid) * change > 0.0);
                // It never goes back at once.
                assert!((now - mid) * change > -0.02 * change.abs());
            }
        }
        assert!(moved >= 5, "{moved} in half-day {half_day}");
        assert!(continued * 10 >= moved * 6, "{continued} of {moved}");
    }
}

fn lagging(world: &World) -> impl Iterator<Item = &SimMarket> {
    world
        .markets
        .iter()
        .filter(|market| market.plant.kind() == Some(PlantedKind::Lagging))
}

#[test]
fn quotes_that_rest_inside_an_oscillating_spread_are_traded_through() {
    let mut world = world(6, 60, true);
    let index = world
        .markets
        .iter()
        .position(|market| market.plant.kind() == Some(PlantedKind::Oscillating))
        .unwrap();
    // In cents.
    let quote = |world: &World| {
        let market = &world.markets[index];
        let (bid, ask) = world.best(market, OutcomeSide::First).unwrap();
        (bid.unwrap().to_f64() * 100.0, ask.unwrap().to_f64() * 100.0)
    };
    let (mut buys, mut sells) = (0, 0);
    let mut resting: Option<(f64, f64)> = None;
    for _ in 0..144 {
        let (bid, ask) = quote(&world);
        if let Some((own_bid, own_ask)) = resting {
            buys += i32::from(ask <= own_bid);
            sells += i32::from(bid >= own_ask);
        }
        // Quotes 2.5 cents either side of the mid of a wide book.
        let mid = (bid + ask) / 2.0;
        resting = (ask - bid >= 7.5).then_some((mid - 2.5, mid + 2.5));
        world.step(5 * MINUTE);
    }
    // About an eighth of the 144 slots follow a wide one on either side.
    assert!(buys >= 6 && sells >= 6, "{buys} {sells}");
}

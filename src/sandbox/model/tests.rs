//! What the world as a whole promises.

use std::collections::HashSet;

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
    let event = world.event_of(market).unwrap();
    micros(world.book(market, event, side)?.1.first())
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
            assert_eq!(at_once.book(a, x, side), slowly.book(b, y, side));
        }
        let (first, last) = (Timestamp::from_secs(0), at_once.now);
        let one: Vec<_> = a.history.between(first, last).collect();
        let two: Vec<_> = b.history.between(first, last).collect();
        assert_eq!(one, two);
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
fn books_lie_on_the_grid_uncrossed_and_change_with_each_step() {
    for inefficiencies in [false, true] {
        let mut world = world(11, 60, inefficiencies);
        for _ in 0..60 {
            let before: Vec<_> = world
                .all()
                .map(|(market, event)| world.book(market, event, OutcomeSide::First))
                .collect();
            world.step(11 * MINUTE);
            for ((market, event), before) in world.all().zip(before) {
                let Some(now) = world.book(market, event, OutcomeSide::First) else {
                    continue;
                };
                assert_ne!(before, Some(now));
                for side in SIDES {
                    let (bids, asks) = world.book(market, event, side).unwrap();
                    let tick = Price::from_micros(market.tick).unwrap();
                    for (price, size) in bids.iter().chain(&asks) {
                        assert!(price.is_multiple_of(tick));
                        assert!(price.micros() > 0 && *price < Price::ONE);
                        assert!(size.micros() >= 5_000_000 && size.micros() % 10_000 == 0);
                    }
                    assert!(bids.is_sorted_by(|a, b| a.0 > b.0));
                    assert!(asks.is_sorted_by(|a, b| a.0 < b.0));
                    if let (Some(bid), Some(ask)) = (bids.first(), asks.first()) {
                        assert!(bid.0 < ask.0, "{}: {bid:?} {ask:?}", market.slug);
                        assert!(bids.len() + asks.len() >= 4);
                    }
                }
            }
        }
    }
}

/// Smallest sums of asks seen over two days, in micro-pUSD: pairs, and whole neg-risk events.
fn cheapest(world: &mut World) -> (u32, u32) {
    let (mut pair, mut whole) = (u32::MAX, u32::MAX);
    for _ in 0..290 {
        for (market, _) in world.all() {
            let asks = SIDES.map(|side| best_ask(world, market, side));
            if let [Some(first), Some(second)] = asks {
                pair = pair.min(first + second);
            }
        }
        for event in world.events.iter().filter(|event| event.neg_risk) {
            let asks: Option<Vec<u32>> = world
                .markets_of(event)
                .iter()
                .map(|market| best_ask(world, market, OutcomeSide::First))
                .collect();
            if let Some(asks) = asks {
                whole = whole.min(asks.iter().sum());
            }
        }
        world.step(10 * MINUTE);
    }
    (pair, whole)
}

#[test]
fn fair_books_offer_no_arbitrage() {
    let (pair, whole) = cheapest(&mut world(5, 90, false));
    // Exactly 1 is possible, less is not; `u32::MAX` would mean that nothing was looked at.
    assert!((1_000_000..1_200_000).contains(&pair), "{pair}");
    assert!((1_000_000..1_200_000).contains(&whole), "{whole}");
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
        let (market, event, side) = world.by_token(&entry.token_ids[0]).unwrap();
        let mid = world
            .quotes(market, event)
            .unwrap()
            .of(side)
            .mid(market.ticks())
            .unwrap();
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
    let quote = |world: &World| {
        let market = &world.markets[index];
        world
            .quotes(market, &world.events[market.event])
            .unwrap()
            .first
    };
    let (mut buys, mut sells) = (0, 0);
    let mut resting: Option<(f64, f64)> = None;
    for _ in 0..144 {
        let now = quote(&world);
        let (bid, ask) = (f64::from(now.bid.unwrap()), f64::from(now.ask.unwrap()));
        if let Some((own_bid, own_ask)) = resting {
            buys += i32::from(ask <= own_bid);
            sells += i32::from(bid >= own_ask);
        }
        // Quotes 2.5 cents either side of the mid of a wide book.
        let mid = (bid + ask) / 2.0;
        resting = (ask - bid >= 8.0).then_some((mid - 2.5, mid + 2.5));
        world.step(5 * MINUTE);
    }
    // About an eighth of the 144 slots follow a wide one on either side.
    assert!(buys >= 6 && sells >= 6, "{buys} {sells}");
}

#[test]
fn a_third_of_the_markets_resolves_within_two_days() {
    let mut world = world(9, 90, false);
    world.step(48 * HOUR);
    let resolved = world
        .all()
        .filter(|(_, event)| event.phase(world.now) == Phase::Resolved)
        .count();
    assert!((20..=50).contains(&resolved), "{resolved}");
}

#[test]
fn trading_ends_then_the_payout_becomes_final_and_one_outcome_wins() {
    let mut world = world(12, 120, false);
    let (first, end) = world
        .all()
        .map(|(market, event)| (market.index, event.end))
        .min_by_key(|(_, end)| *end)
        .unwrap();
    world.step(end.since(world.now) as u64);
    let market = &world.markets[first];
    let event = world.event_of(market).unwrap();
    assert_eq!(event.phase(world.now), Phase::Proposed);
    assert!(world.book(market, event, OutcomeSide::First).is_none());
    assert_ne!(world.prices(market, event)[0], 1.0);
    world.step(30 * MINUTE);
    let market = &world.markets[first];
    let event = world.event_of(market).unwrap();
    assert_eq!(event.phase(world.now), Phase::Resolved);
    assert!([0.0, 0.5, 1.0].contains(&world.prices(market, event)[0]));
}

#[test]
fn payouts_sum_to_one_and_neg_risk_events_have_exactly_one_winner() {
    let (mut groups, mut markets, mut firsts) = (0, 0, 0);
    for seed in 0..8 {
        let mut world = World::with_history(&config(seed, 30, false), 0).unwrap();
        world.step(48 * HOUR);
        for event in &world.events {
            if event.phase(world.now) != Phase::Resolved {
                assert_eq!(event.payouts(0), None);
                continue;
            }
            let payouts: Vec<[u32; 2]> = world
                .markets_of(event)
                .iter()
                .map(|market| event.payouts(market.member).unwrap())
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
    let mut world = world(2, 60, false);
    let place = world
        .events
        .iter()
        .position(|event| event.process.probability(2) > 0.0 && !event.neg_risk)
        .unwrap();
    let event = &mut world.events[place];
    let (yes, split) = (event.process.probability(0), event.process.probability(2));
    assert!((event.latent(0) - (yes + split / 2.0)).abs() < 1e-12);
    event.drawn = Some(2);
    let wait = event.resolves.since(world.now) as u64;
    world.step(wait);
    let event = &world.events[place];
    let market = &world.markets_of(event)[0];
    assert_eq!(event.payouts(0), Some([500_000, 500_000]));
    assert_eq!(world.prices(market, event), [0.5, 0.5]);
}

#[test]
fn buying_at_the_mid_and_holding_earns_nothing_on_average() {
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for seed in 0..36 {
        let mut world = World::with_history(&config(seed, 30, false), 0).unwrap();
        // Not at the start, where all probabilities are still the chosen ones.
        world.step(90 * MINUTE);
        let bought: Vec<(usize, f64)> = world
            .all()
            .filter(|(_, event)| event.phase(world.now) == Phase::Open)
            .filter_map(|(market, event)| {
                let mid = world.quotes(market, event)?.first.mid(market.ticks())?;
                Some((market.index, mid))
            })
            .collect();
        world.step(47 * HOUR);
        // One result per event: the markets of one event are not independent.
        let mut events = HashSet::new();
        for (index, mid) in bought {
            let market = &world.markets[index];
            let event = world.event_of(market).unwrap();
            if event.phase(world.now) == Phase::Resolved && events.insert(market.event) {
                let payout = f64::from(event.payouts(market.member).unwrap()[0]) / 1e6;
                sum += payout - mid;
                squares += (payout - mid).powi(2);
                count += 1.0;
            }
        }
    }
    assert!(count > 200.0, "{count}");
    let mean = sum / count;
    let error = (squares / count).sqrt() / f64::sqrt(count);
    assert!(mean.abs() < 3.5 * error, "{mean} ± {error}");
    // Outcomes are uncertain when bought: otherwise the mean proves nothing.
    assert!((squares / count).sqrt() > 0.25);
}

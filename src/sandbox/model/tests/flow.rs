//! The crowd's orders, and agents' among them.

use super::*;
use crate::domain::{Shares, Side, Usdc};
use crate::sandbox::exchange::{NewOrder, Quantity, Tif};

/// A busy fair lone market with a price in the middle.
fn busy(world: &World) -> &SimMarket {
    world
        .all()
        .filter(|(market, event)| {
            event.shape == Shape::Lone
                && event.end.since(world.now) > 48 * 3_600_000
                && world
                    .mid(market, OutcomeSide::First)
                    .is_some_and(|mid| (0.3..0.7).contains(&mid))
        })
        .max_by(|(a, _), (b, _)| a.daily_volume.total_cmp(&b.daily_volume))
        .unwrap()
        .0
}

/// An agent bids for first-outcome shares at the best bid, behind the crowd.
fn bid(world: &mut World, shares: u32) -> (crate::sandbox::exchange::OrderNo, usize, Price) {
    let account = world.exchange.open_account();
    world
        .exchange
        .deposit(account, Usdc::whole(10_000))
        .unwrap();
    let market = busy(world);
    let (index, idx) = (market.index, market.idx());
    let price = world.best(market, OutcomeSide::First).unwrap().0.unwrap();
    let placed = world
        .place(NewOrder {
            account,
            market: idx,
            outcome: OutcomeSide::First,
            side: Side::Buy,
            price,
            quantity: Quantity::Shares(Shares::whole(shares)),
            tif: Tif::Gtc,
            post_only: true,
            at: world.now,
        })
        .unwrap();
    (placed.order, index, price)
}

#[test]
fn the_crowd_fills_an_agents_resting_order_at_its_own_price() {
    let mut world = world(7, 60, false);
    let (order, index, price) = bid(&mut world, 40);
    let idx = world.markets[index].idx();
    let mut filled_after = None;
    for minute in 0..600 {
        world.step(MINUTE);
        let record = world.exchange.order(order).unwrap();
        if filled_after.is_none() && !record.matched.is_zero() {
            filled_after = Some(minute);
        }
        // Nobody's order stands above a bid that still waits and below its price at once.
        if let (Some(bid), Some(ask)) = world
            .best(&world.markets[index], OutcomeSide::First)
            .unwrap()
        {
            assert!(bid < ask);
            if !record.resting.is_zero() {
                assert!(bid >= price);
            }
        }
    }
    assert!(filled_after.is_some(), "ten hours and nobody sold");
    let record = world.exchange.order(order).unwrap();
    for trade in world.exchange.trades(record.placed.account) {
        assert_eq!(trade.market, idx);
        assert_eq!(trade.maker.price, price);
        assert_eq!(trade.maker.fee, Usdc::ZERO);
    }
    assert!(
        world
            .exchange
            .holding(record.placed.account, idx, OutcomeSide::First)
            .total
            == record.matched
    );
}

#[test]
fn the_same_orders_at_the_same_moments_give_the_same_exchange() {
    let run = |pause: u64| {
        let mut world = world(8, 40, false);
        world.step(20 * MINUTE);
        let (order, index, _) = bid(&mut world, 200);
        for _ in 0..(240 / pause) {
            world.step(pause * MINUTE);
        }
        let market = &world.markets[index];
        (
            world.exchange.order(order).unwrap().matched,
            world.book(market, OutcomeSide::First),
            market.tape.prints().copied().collect::<Vec<_>>(),
        )
    };
    let (one, two) = (run(2), run(48));
    assert_eq!(one, two);
    assert!(!one.2.is_empty());
}

#[test]
fn prints_turnover_and_volume_tell_the_same() {
    let mut world = world(13, 60, false);
    let young = |market: &SimMarket| market.tape.prints().count() < 50;
    world.step(10 * MINUTE);
    let mut compared = 0;
    for market in world.markets.iter().filter(|market| young(market)) {
        let printed: f64 = market
            .tape
            .prints()
            .map(|print| print.price.to_f64() * print.size.to_f64())
            .sum();
        let turnover = world.exchange.turnover(market.idx());
        assert!((printed - turnover.notional.to_f64()).abs() < 1e-3);
        assert_eq!(market.tape.prints().count() as u64, turnover.trades);
        let before = market.volume_before + market.tape.unsimulated();
        assert!((world.volume(market) - before - printed).abs() < 1e-3);
        compared += usize::from(turnover.trades > 0);
    }
    assert!(compared >= 20, "{compared}");
}

#[test]
fn a_simulated_day_trades_about_what_a_skipped_day_is_said_to() {
    let mut simulated = world(14, 60, false);
    let mut skipped = world(14, 60, false);
    let total = |world: &World| -> f64 {
        let markets = world.markets.iter().take(60);
        markets
            .filter(|market| market.schedule.end.since(world.start) > 24 * 3_600_000)
            .map(|market| world.volume(market) / market.daily_volume)
            .sum()
    };
    let (before, markets) = (
        total(&simulated),
        simulated
            .markets
            .iter()
            .filter(|market| market.schedule.end.since(simulated.start) > 24 * 3_600_000)
            .count(),
    );
    for _ in 0..8 {
        simulated.step(3 * HOUR);
    }
    skipped.step(24 * HOUR);
    let daily = |world: &World| (total(world) - before) / markets as f64;
    let (flow, quick) = (daily(&simulated), daily(&skipped));
    // In units of the market's own daily volume, which is what the flow is calibrated to.
    assert!((0.6..1.7).contains(&flow), "{flow}");
    assert!((0.8..1.25).contains(&quick), "{quick}");
    // The last day's volume, by the hour.
    let market = simulated
        .markets
        .iter()
        .find(|m| m.is_open(simulated.now))
        .unwrap();
    let day = simulated.volume_24h(market);
    assert!(day > 0.0 && day <= simulated.volume(market));
}

#[test]
fn whoever_watches_or_waits_in_a_book_loses_no_moment() {
    let mut world = world(15, 60, false);
    let index = busy(&world).index;
    world.watch(index, true);
    world.watch(index, true);
    world.watch(index, false);
    let before = world.exchange.turnover(world.markets[index].idx()).trades;
    let unsimulated = world.markets[index].tape.unsimulated();
    world.step(12 * HOUR);
    assert_eq!(world.markets[index].tape.unsimulated(), unsimulated);
    let idx = world.markets[index].idx();
    let traded = world.exchange.turnover(idx).trades - before;
    assert!(traded > 100, "{traded}");
    let changes = world.take_changes();
    assert!(changes.iter().all(|change| change.market == idx));
    assert!(changes.len() as u64 > traded);
    // Others were passed over.
    let skipped = world
        .markets
        .iter()
        .filter(|other| other.tape.unsimulated() > 0.0);
    assert!(skipped.count() > 40);
    world.watch(index, false);
    world.step(12 * HOUR);
    assert!(world.take_changes().is_empty());
}

#[test]
fn volumes_are_heavy_tailed_across_markets() {
    let world = World::with_history(&config(1, 1_000, false), 0).unwrap();
    let mut volumes: Vec<f64> = world.markets.iter().map(|m| m.daily_volume).collect();
    volumes.sort_by(f64::total_cmp);
    let total: f64 = volumes.iter().sum();
    let top: f64 = volumes.iter().rev().take(50).sum();
    // For a log-normal law with sigma 1.5 the top twentieth makes 44 % of the sum.
    assert!((0.3..0.6).contains(&(top / total)), "{}", top / total);
}

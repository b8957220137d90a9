//! Makers: each quotes a ladder of levels on both sides of what it believes.

use super::super::market::OutcomeSide;
use super::super::plant::Plant;
use super::super::quote::{self, Quotes};
use super::Floor;
use crate::domain::Side;
use crate::sandbox::exchange::{OrderNo, Tif};

/// Levels on each side.
const LEVELS: usize = 4;
const PLANTED_LEVELS: usize = 6;
/// A level is renewed when less than this part of it is left.
const WORN: f64 = 0.4;
/// The venue rests nothing below five shares.
const SMALLEST: f64 = 5.0;
/// Planted quotes are deep enough to be worth a trade.
const PLANTED_SMALLEST: f64 = 150.0;
const LARGEST: f64 = 50_000.0;

/// One maker's standing.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Maker {
    number: u32,
    levels: Vec<Level>,
}

/// One of its orders.
#[derive(Debug, Clone, Copy)]
struct Level {
    outcome: OutcomeSide,
    side: Side,
    step: u32,
    /// The price step that `step` counts in.
    tick: u32,
    /// Shares when it was placed.
    size: f64,
    order: OrderNo,
}

impl Maker {
    pub(super) fn new(number: u32) -> Self {
        Maker {
            number,
            levels: Vec::new(),
        }
    }

    /// Its orders are gone.
    pub(super) fn forget(&mut self) {
        self.levels.clear();
    }

    /// How wide it quotes beside the first one.
    fn width(&self) -> f64 {
        1.0 + 0.5 * f64::from(self.number)
    }
}

impl Floor<'_> {
    /// The maker with that number looks at what it believes and brings its quotes in line. Orders
    /// that still fit keep their place in the queue; the others are cancelled before new ones are
    /// placed, so that it never trades with itself. It does take what others have left standing on
    /// the wrong side of its belief.
    pub(super) fn quote(&mut self, number: usize) {
        let Some(maker) = self.market.crowd.makers.get_mut(number) else {
            return;
        };
        let mut maker = std::mem::replace(maker, Maker::new(0));
        let wanted = self.wanted_levels(&maker);
        let tick = self.market.tick;
        let fits = |level: &Level| {
            level.tick == tick && wanted.contains(&(level.outcome, level.side, level.step))
        };
        maker.levels.retain(|level| {
            let left = self.exchange.resting(level.order).map(|left| left.to_f64());
            let keep = fits(level) && left.is_some_and(|left| left >= WORN * level.size);
            if !keep && left.is_some() {
                let _ = self.exchange.cancel(level.order, self.at);
            }
            keep
        });
        for (depth, (outcome, side, step)) in wanted.into_iter().enumerate() {
            let there =
                |level: &Level| (level.outcome, level.side, level.step) == (outcome, side, step);
            if maker.levels.iter().any(there) {
                continue;
            }
            let size = self.level_size(depth % LEVELS);
            let Some(placed) = self.send((outcome, side), step, size, Tif::Gtc, false) else {
                continue;
            };
            if !placed.resting.is_zero() {
                maker.levels.push(Level {
                    outcome,
                    side,
                    step,
                    tick,
                    size,
                    order: placed.order,
                });
            }
        }
        if let Some(place) = self.market.crowd.makers.get_mut(number) {
            *place = maker;
        }
    }

    /// The levels that a maker wants, outcome by outcome, bids before asks, best first.
    fn wanted_levels(&mut self, maker: &Maker) -> Vec<(OutcomeSide, Side, u32)> {
        let quotes = self.wanted_quotes(maker);
        let ticks = self.market.ticks();
        let planted = self.market.plant != Plant::None;
        let count = if planted { PLANTED_LEVELS } else { LEVELS };
        // The finer the grid, the wider the gaps in steps; makers' grids differ.
        let coarse = ticks / 200 + 1 + maker.number;
        // A linked market is quoted on one outcome: the other is its mirror.
        let outcomes: &[OutcomeSide] = if matches!(self.market.plant, Plant::CheapPair(_)) {
            &[OutcomeSide::First, OutcomeSide::Second]
        } else {
            &[OutcomeSide::First]
        };
        let mut levels = Vec::with_capacity(4 * count);
        for outcome in outcomes {
            let best = quotes.of(*outcome);
            for (side, step) in [(Side::Buy, best.bid), (Side::Sell, best.ask)] {
                let Some(step) = step else { continue };
                let steps = quote::ladder(step, side == Side::Sell, ticks, coarse, count);
                levels.extend(steps.map(|step| (*outcome, side, step)));
            }
        }
        levels
    }

    /// Best quotes that a maker wants now.
    fn wanted_quotes(&mut self, maker: &Maker) -> Quotes {
        let market = &mut *self.market;
        let centre = quote::centre(market, self.event, self.at);
        let mut half = market.half_spread;
        let mut belief = centre;
        if market.plant == Plant::None {
            half *= maker.width();
            belief += 0.1 * half * market.crowd.random.normal();
            // What the price may move until the maker looks again, about.
            let until = 4.0 * market.crowd.pace;
            let risk = (self.event.process.information() * until).sqrt();
            half += 0.5 * risk * centre * (1.0 - centre);
        }
        quote::wanted(self.seed, market, belief, half, self.at)
    }

    /// Shares of a level: log-normal, growing with liquidity and depth.
    fn level_size(&mut self, depth: usize) -> f64 {
        let market = &mut *self.market;
        let typical = (market.liquidity / 300.0).clamp(15.0, 2_000.0);
        let smallest = if market.plant == Plant::None {
            SMALLEST
        } else {
            PLANTED_SMALLEST
        };
        let random = market.crowd.random.normal();
        (typical * (1.0 + 0.3 * depth as f64) * (0.9 * random).exp()).clamp(smallest, LARGEST)
    }
}

//! Best quotes and whole books: pure functions of seed, market and moment, in whole price steps.

use crate::domain::{Price, Shares, Timestamp};
use crate::sandbox::noise::{mix, normal_of, unit};

use super::market::{OutcomeSide, SimEvent, SimMarket};
use super::plant::Plant;

/// Forgives the last bits of float sums, far below any tick.
const EPSILON: f64 = 1e-9;
/// Smallest size of a level in lots of 0.01 share: the venue rests nothing below five shares.
const MIN_LOTS: f64 = 500.0;

/// Best bid and ask of one outcome in price steps; an absent side is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct SideQuote {
    pub bid: Option<u32>,
    pub ask: Option<u32>,
}

/// Best quotes of both outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Quotes {
    pub first: SideQuote,
    pub second: SideQuote,
}

/// One side of a book, best price first, with sizes.
pub(in crate::sandbox) type Levels = Vec<(Price, Shares)>;

impl SideQuote {
    /// Bid at or below `centre − below`, ask at or above `centre + above`, on the grid. A side that
    /// would lie outside the grid is absent: clamping it would offer a sure profit.
    pub(in crate::sandbox) fn around(centre: f64, below: f64, above: f64, ticks: u32) -> Self {
        let scale = f64::from(ticks);
        let bid = ((centre - below) * scale + EPSILON).floor();
        let ask = ((centre + above) * scale - EPSILON).ceil();
        let inside = |step: f64| (step >= 1.0 && step < scale).then_some(step as u32);
        let mut quote = SideQuote {
            bid: inside(bid),
            ask: inside(ask),
        };
        if let (Some(bid), Some(ask)) = (quote.bid, quote.ask)
            && bid >= ask
        {
            quote.bid = ask.checked_sub(1).filter(|step| *step >= 1);
        }
        quote
    }

    /// The quote so many steps lower; an ask stops at one step, a bid below that is absent.
    pub(in crate::sandbox) fn lowered(self, steps: u32) -> Self {
        SideQuote {
            bid: self
                .bid
                .and_then(|bid| bid.checked_sub(steps))
                .filter(|b| *b >= 1),
            ask: self.ask.map(|ask| ask.saturating_sub(steps).max(1)),
        }
    }

    /// Midpoint as a price; `None` when a side is absent.
    pub(in crate::sandbox) fn mid(self, ticks: u32) -> Option<f64> {
        Some(f64::from(self.bid? + self.ask?) / f64::from(2 * ticks))
    }
}

impl Quotes {
    /// The second outcome as the mirror of the first, as the venue's matching makes it.
    pub(in crate::sandbox) fn mirrored(first: SideQuote, ticks: u32) -> Self {
        Quotes {
            first,
            second: SideQuote {
                bid: first.ask.map(|ask| ticks - ask),
                ask: first.bid.map(|bid| ticks - bid),
            },
        }
    }

    pub(in crate::sandbox) fn of(&self, side: OutcomeSide) -> SideQuote {
        match side {
            OutcomeSide::First => self.first,
            OutcomeSide::Second => self.second,
        }
    }
}

/// Best quotes of `market` at `time`, from where its event's process stands.
pub(in crate::sandbox) fn quotes(
    seed: u64,
    market: &SimMarket,
    event: &SimEvent,
    time: Timestamp,
) -> Quotes {
    let ticks = market.ticks();
    let centre = centre(market, event, time);
    let half = market.half_spread;
    let fair = Quotes::mirrored(SideQuote::around(centre, half, half, ticks), ticks);
    let key = [seed, market.index as u64];
    market.plant.apply(fair, centre, ticks, key, time)
}

/// Where the book centres at `time`.
pub(in crate::sandbox) fn centre(market: &SimMarket, event: &SimEvent, time: Timestamp) -> f64 {
    market
        .plant
        .centre(event.latent(market.member), event.process.behind(time))
}

/// What the price history records: the midpoint, or the centre when a side is absent.
pub(in crate::sandbox) fn recorded_mid(
    seed: u64,
    market: &SimMarket,
    event: &SimEvent,
    time: Timestamp,
) -> f64 {
    quotes(seed, market, event, time)
        .first
        .mid(market.ticks())
        .unwrap_or_else(|| centre(market, event, time))
}

/// Bids and asks of one outcome at `time`, best first, four to nine levels a side.
///
/// The two best levels are drawn anew at each moment, deeper ones every five minutes.
pub(in crate::sandbox) fn book(
    seed: u64,
    market: &SimMarket,
    event: &SimEvent,
    side: OutcomeSide,
    time: Timestamp,
) -> (Levels, Levels) {
    let quote = quotes(seed, market, event, time).of(side);
    let ladder = |best: Option<u32>, is_ask: bool| {
        levels(
            market,
            best,
            is_ask,
            [seed, market.index as u64, side.index() as u64],
            time,
        )
    };
    (ladder(quote.bid, false), ladder(quote.ask, true))
}

fn levels(
    market: &SimMarket,
    best: Option<u32>,
    is_ask: bool,
    key: [u64; 3],
    time: Timestamp,
) -> Levels {
    let Some(mut step) = best else {
        return Vec::new();
    };
    let [seed, index, outcome] = key;
    let ticks = market.ticks();
    let slot = time.millis().div_euclid(300_000) as u64;
    let moment = time.millis() as u64;
    let bits = |what: u64, level: u64, when: u64| {
        mix(&[seed, index, outcome, u64::from(is_ask), what, level, when])
    };
    // The finer the grid, the wider the gaps in steps.
    let widest_gap = u64::from(ticks / 100 * 2 + 1);
    let count = 4 + bits(1, 0, slot) % 6;
    let mut out = Vec::with_capacity(count as usize);
    for level in 0..count {
        let when = if level < 2 { moment } else { slot };
        let size = lots(market, level, bits(2, level, when));
        if let (Ok(price), Ok(shares)) = (
            Price::from_micros(step * market.tick),
            Shares::from_micros(size.saturating_mul(Shares::LOT.micros())),
        ) {
            out.push((price, shares));
        }
        let gap = 1 + (unit(bits(3, level, slot)) * widest_gap as f64) as u32;
        let next = if is_ask {
            step.checked_add(gap).filter(|next| *next < ticks)
        } else {
            step.checked_sub(gap).filter(|next| *next >= 1)
        };
        let Some(next) = next else { break };
        step = next;
    }
    out
}

/// Size of a level in lots of 0.01 share: log-normal, growing with liquidity and depth.
fn lots(market: &SimMarket, level: u64, bits: u64) -> i64 {
    let typical = (market.liquidity / 150.0).clamp(20.0, 2_000.0);
    let floor = if market.plant == Plant::None {
        MIN_LOTS
    } else {
        // Planted quotes are deep enough to be worth a trade.
        15_000.0
    };
    let depth = 1.0 + 0.3 * level as f64;
    (typical * depth * (0.9 * normal_of(&[bits])).exp() * 100.0)
        .clamp(floor, 5_000_000.0)
        .round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_enclose_the_centre_and_vanish_outside_the_grid() {
        let quote = SideQuote::around(0.415, 0.01, 0.01, 100);
        assert_eq!((quote.bid, quote.ask), (Some(40), Some(43)));
        let high = SideQuote::around(0.995, 0.01, 0.01, 100);
        assert_eq!((high.bid, high.ask), (Some(98), None));
        let low = SideQuote::around(0.004, 0.002, 0.002, 100);
        assert_eq!((low.bid, low.ask), (None, Some(1)));
        assert_eq!(low.mid(100), None);
        assert_eq!(quote.mid(100), Some(0.415));
    }

    #[test]
    fn the_mirror_never_sums_below_one() {
        for thousandth in 1..1_000_u32 {
            let centre = f64::from(thousandth) / 1_000.0;
            for ticks in [100, 1_000] {
                let quotes =
                    Quotes::mirrored(SideQuote::around(centre, 0.004, 0.004, ticks), ticks);
                for side in [quotes.first, quotes.second] {
                    if let (Some(bid), Some(ask)) = (side.bid, side.ask) {
                        assert!(bid < ask);
                    }
                }
                if let (Some(first), Some(second)) = (quotes.first.ask, quotes.second.ask) {
                    assert!(first + second >= ticks);
                }
            }
        }
    }

    #[test]
    fn lowering_stops_at_the_edge_of_the_grid() {
        let quote = SideQuote {
            bid: Some(2),
            ask: Some(4),
        };
        assert_eq!(
            quote.lowered(3),
            SideQuote {
                bid: None,
                ask: Some(1)
            }
        );
    }
}

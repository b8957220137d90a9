//! What makers want to quote, in whole price steps: pure functions of market, belief and moment.

use crate::domain::Timestamp;

use super::market::{OutcomeSide, Shape, SimEvent, SimMarket};

/// Forgives the last bits of float sums, far below any tick.
const EPSILON: f64 = 1e-9;

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

/// Where the crowd thinks that the first outcome of `market` stands at `time`.
pub(in crate::sandbox) fn centre(market: &SimMarket, event: &SimEvent, time: Timestamp) -> f64 {
    // Only the second date of a ladder can be planted as cheaper than the one before it.
    let earlier = (event.shape == Shape::Ladder && market.member == 1).then(|| event.latent(0));
    market.plant.centre(
        event.latent(market.member),
        event.process.behind(time),
        earlier,
        time,
    )
}

/// Best quotes that a maker wants who believes in `belief` and keeps `half` on either side.
pub(in crate::sandbox) fn wanted(
    seed: u64,
    market: &SimMarket,
    belief: f64,
    half: f64,
    time: Timestamp,
) -> Quotes {
    let ticks = market.ticks();
    let fair = Quotes::mirrored(SideQuote::around(belief, half, half, ticks), ticks);
    let key = [seed, market.index as u64];
    market.plant.apply(fair, belief, ticks, key, time)
}

/// What the price history records of stretches in which no trade is simulated: the midpoint of the
/// quotes around the centre, or the centre when a side is absent.
pub(in crate::sandbox) fn quiet_mid(
    seed: u64,
    market: &SimMarket,
    event: &SimEvent,
    time: Timestamp,
) -> f64 {
    let centre = centre(market, event, time);
    wanted(seed, market, centre, market.half_spread, time)
        .first
        .mid(market.ticks())
        .unwrap_or(centre)
}

/// Price steps of a maker's levels on one side, best first: the best price, then prices on a
/// coarser grid, so that a small move of the best leaves the deeper levels where they are.
pub(in crate::sandbox) fn ladder(
    best: u32,
    is_ask: bool,
    ticks: u32,
    coarse: u32,
    count: usize,
) -> impl Iterator<Item = u32> {
    let coarse = coarse.max(1);
    std::iter::successors(Some(best), move |step| {
        let next = if is_ask {
            (step / coarse + 1) * coarse
        } else {
            step.checked_sub(1)? / coarse * coarse
        };
        (next >= 1 && next < ticks).then_some(next)
    })
    .take(count)
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

    #[test]
    fn deeper_levels_stay_on_a_grid_of_their_own() {
        let steps = |best, is_ask| ladder(best, is_ask, 100, 5, 4).collect::<Vec<_>>();
        assert_eq!(steps(43, false), [43, 40, 35, 30]);
        assert_eq!(steps(42, false), [42, 40, 35, 30]);
        assert_eq!(steps(40, false), [40, 35, 30, 25]);
        assert_eq!(steps(44, true), [44, 45, 50, 55]);
        // Nothing lies outside the grid.
        assert_eq!(steps(7, false), [7, 5]);
        assert_eq!(steps(93, true), [93, 95]);
        assert_eq!(steps(1, false), [1]);
    }
}

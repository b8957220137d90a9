//! Planted inefficiencies: what each kind does to a market's book, and how it is labelled.

use serde::Serialize;

use super::quote::{Quotes, SideQuote};
use crate::domain::Timestamp;
use crate::sandbox::noise::mix;

/// An oscillating book keeps each of its shapes for five minutes.
const SLOT: i64 = 5 * 60_000;

/// Asks of a cheap pair sum to at most this.
pub(in crate::sandbox) const PAIR_SUM: f64 = 0.95;
/// Yes asks of a cheap event sum to at most this.
pub(in crate::sandbox) const EVENT_SUM: f64 = 0.93;
/// How far the book of a mispriced market is from its latent probability.
pub(in crate::sandbox) const ESTIMATE_GAP: f64 = 0.25;
/// How far below the date before it a later date of a ladder is quoted.
pub(in crate::sandbox) const LADDER_GAP: f64 = 0.08;
/// Half spread of an oscillating market, and how near to its mean one side comes at times.
const WIDE: f64 = 0.04;
const NEAR: f64 = 0.03;

/// Kinds of planted inefficiency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlantedKind {
    /// The book follows jumps of the latent probability over hours: momentum continues.
    Lagging,
    /// At times both outcomes together ask less than 0.97.
    CheapPair,
    /// At times all Yes outcomes of an event together ask less than 0.95.
    CheapEvent,
    /// The book is at least 0.2 away from the latent probability.
    Estimate,
    /// One side of a wide book comes near the mean at times and goes back: resting quotes inside
    /// the spread are traded through.
    Oscillating,
    /// At times a later date of a ladder asks less than an earlier one bids.
    BrokenLadder,
}

/// One planted inefficiency, as `GET /sandbox/planted` lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planted {
    /// Which kind.
    pub kind: PlantedKind,
    /// The event that holds it.
    pub event_id: String,
    /// Its markets: one, or all of an event.
    pub market_ids: Vec<String>,
    /// Token ids, first outcome then second, market by market.
    pub token_ids: Vec<String>,
    /// What was planted, in words.
    pub note: String,
    /// For `estimate`: the latent probability of the first outcome now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// What is planted in one market.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::sandbox) enum Plant {
    /// Nothing: a fair market.
    None,
    /// See [`PlantedKind::Lagging`].
    Lagging,
    /// See [`PlantedKind::CheapPair`].
    CheapPair(Window),
    /// See [`PlantedKind::CheapEvent`]; how many siblings share the discount.
    CheapEvent(Window, u32),
    /// See [`PlantedKind::Estimate`]; what the book adds to the latent probability.
    Estimate(f64),
    /// See [`PlantedKind::Oscillating`].
    Oscillating,
    /// See [`PlantedKind::BrokenLadder`]; the second date of the ladder is the cheap one.
    BrokenLadder(Window),
}

/// Recurring stretches of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::sandbox) struct Window {
    /// A moment at which one begins.
    pub begins: Timestamp,
    /// Milliseconds from one beginning to the next.
    pub period: i64,
    /// Milliseconds that each lasts.
    pub lasts: i64,
}

impl Window {
    /// True within one of the stretches.
    pub(in crate::sandbox) fn is_open(&self, time: Timestamp) -> bool {
        time.since(self.begins).rem_euclid(self.period.max(1)) < self.lasts
    }

    /// When the next of the stretches begins or ends.
    fn next_edge(&self, after: Timestamp) -> Timestamp {
        let period = self.period.max(1);
        let inside = after.since(self.begins).rem_euclid(period);
        let edge = if inside < self.lasts {
            self.lasts
        } else {
            period
        };
        after.plus_millis(edge - inside)
    }
}

impl Plant {
    /// Which kind is planted; `None` in a fair market.
    pub(in crate::sandbox) fn kind(&self) -> Option<PlantedKind> {
        match self {
            Plant::None => None,
            Plant::Lagging => Some(PlantedKind::Lagging),
            Plant::CheapPair(_) => Some(PlantedKind::CheapPair),
            Plant::CheapEvent(..) => Some(PlantedKind::CheapEvent),
            Plant::Estimate(_) => Some(PlantedKind::Estimate),
            Plant::Oscillating => Some(PlantedKind::Oscillating),
            Plant::BrokenLadder(_) => Some(PlantedKind::BrokenLadder),
        }
    }

    /// When the makers next change their minds all at once; `None` where they never do.
    pub(in crate::sandbox) fn next_edge(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Plant::CheapPair(window)
            | Plant::CheapEvent(window, _)
            | Plant::BrokenLadder(window) => Some(window.next_edge(after)),
            Plant::Oscillating => {
                let slot = after.millis().div_euclid(SLOT) + 1;
                Some(Timestamp::from_millis(slot * SLOT))
            }
            Plant::None | Plant::Lagging | Plant::Estimate(_) => None,
        }
    }

    /// Where the book of a market with this latent price centres, `behind` being what a late book
    /// has still to follow, and `earlier` the latent price of the date before it in a ladder.
    pub(in crate::sandbox) fn centre(
        &self,
        latent: f64,
        behind: f64,
        earlier: Option<f64>,
        time: Timestamp,
    ) -> f64 {
        match (self, earlier) {
            (Plant::Lagging, _) => latent - behind,
            (Plant::Estimate(offset), _) => (latent + offset).clamp(0.03, 0.97),
            (Plant::BrokenLadder(window), Some(earlier)) if window.is_open(time) => {
                (earlier - LADDER_GAP).max(0.03)
            }
            _ => latent,
        }
    }

    /// Turns the fair quotes into the planted ones. `ticks` is how many price steps make 1.
    pub(in crate::sandbox) fn apply(
        &self,
        fair: Quotes,
        centre: f64,
        ticks: u32,
        key: [u64; 2],
        time: Timestamp,
    ) -> Quotes {
        match self {
            Plant::CheapPair(window) if window.is_open(time) => cheapen_pair(fair, ticks),
            Plant::CheapEvent(window, siblings) if window.is_open(time) => {
                // A fair ask is at most two steps and the half spread of one above its share of 1.
                let discount = (1.0 - EVENT_SUM) / f64::from((*siblings).max(1));
                let steps = (discount * f64::from(ticks)).ceil() as u32 + 3;
                Quotes::mirrored(fair.first.lowered(steps), ticks)
            }
            Plant::Oscillating => {
                // In each slot: half of them wide on both sides, a quarter each with the
                // ask or the bid near the mean.
                let slot = time.millis().div_euclid(SLOT) as u64;
                let [seed, market] = key;
                let (below, above) = match mix(&[seed, market, 0x05C1, slot]) % 4 {
                    0 => (WIDE, -NEAR),
                    1 => (-NEAR, WIDE),
                    _ => (WIDE, WIDE),
                };
                Quotes::mirrored(SideQuote::around(centre, below, above, ticks), ticks)
            }
            _ => fair,
        }
    }

    /// The label that the market's description carries; `None` in a fair market.
    pub(in crate::sandbox) fn note(&self) -> Option<&'static str> {
        Some(match self {
            Plant::None => return None,
            Plant::Lagging => {
                "the book follows jumps of the latent probability over twenty hours; such jumps \
                 come every two days and turn back at the edges, so this one is no martingale"
            }
            Plant::CheapPair(_) => {
                "for an hour in every three, both outcomes together ask at most 0.95"
            }
            Plant::CheapEvent(..) => {
                "for ninety minutes in every four hours, all Yes outcomes of the event together \
                 ask at most 0.93"
            }
            Plant::Estimate(_) => {
                "the book is 0.25 away from the latent probability that decides the outcome"
            }
            Plant::Oscillating => {
                "a wide book around a steady mean, one side of which comes within 0.03 beyond \
                 the mean for five minutes now and then"
            }
            Plant::BrokenLadder(_) => {
                "for ninety minutes in every four hours, the second date of the ladder is quoted \
                 0.08 below the latent probability of the first"
            }
        })
    }
}

/// Lowers both outcomes' quotes, half each, until the asks sum to at most [`PAIR_SUM`].
fn cheapen_pair(fair: Quotes, ticks: u32) -> Quotes {
    let (Some(first), Some(second)) = (fair.first.ask, fair.second.ask) else {
        return fair;
    };
    let target = (PAIR_SUM * f64::from(ticks)).floor() as u32;
    let excess = (first + second).saturating_sub(target);
    Quotes {
        first: fair.first.lowered(excess / 2),
        second: fair.second.lowered(excess.div_ceil(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_recur_before_and_after_their_beginning() {
        let window = Window {
            begins: Timestamp::from_secs(1_000),
            period: 100_000,
            lasts: 10_000,
        };
        for (seconds, open) in [(999, false), (1_000, true), (1_009, true), (1_010, false)] {
            assert_eq!(window.is_open(Timestamp::from_secs(seconds)), open);
            assert_eq!(window.is_open(Timestamp::from_secs(seconds - 500)), open);
            assert_eq!(window.is_open(Timestamp::from_secs(seconds + 500)), open);
        }
    }

    #[test]
    fn a_cheap_pair_asks_95_cents_and_its_books_stay_uncrossed() {
        // 0.40 / 0.42 and the mirror 0.58 / 0.60: asks sum to 1.02, seven steps too many.
        let fair = Quotes::mirrored(SideQuote::around(0.41, 0.01, 0.01, 100), 100);
        assert_eq!((fair.first.ask, fair.second.ask), (Some(42), Some(60)));
        let cheap = cheapen_pair(fair, 100);
        assert_eq!((cheap.first.bid, cheap.first.ask), (Some(37), Some(39)));
        assert_eq!((cheap.second.bid, cheap.second.ask), (Some(54), Some(56)));
    }

    #[test]
    fn a_late_book_and_a_wrong_one_are_off_by_what_their_note_says() {
        let now = Timestamp::from_secs(1_000);
        let centre = |plant: Plant, earlier| plant.centre(0.7, 0.2, earlier, now);
        assert!((centre(Plant::Lagging, None) - 0.5).abs() < 1e-12);
        assert!((centre(Plant::Estimate(-0.25), None) - 0.45).abs() < 1e-12);
        assert!((centre(Plant::None, Some(0.6)) - 0.7).abs() < 1e-12);
        let window = Window {
            begins: now,
            period: 1_000,
            lasts: 500,
        };
        let broken = Plant::BrokenLadder(window);
        assert!((centre(broken, Some(0.6)) - 0.52).abs() < 1e-12);
        assert!((centre(broken, None) - 0.7).abs() < 1e-12);
        let later = now.plus_millis(500);
        assert!((broken.centre(0.7, 0.0, Some(0.6), later) - 0.7).abs() < 1e-12);
    }

    #[test]
    fn makers_change_their_minds_at_the_edges_of_windows_and_slots() {
        let window = Window {
            begins: Timestamp::from_millis(1_000),
            period: 300,
            lasts: 100,
        };
        let edge = |plant: Plant, after| {
            plant
                .next_edge(Timestamp::from_millis(after))
                .map(Timestamp::millis)
        };
        for (after, next) in [(999, 1_000), (1_000, 1_100), (1_099, 1_100), (1_100, 1_300)] {
            assert_eq!(edge(Plant::CheapPair(window), after), Some(next));
        }
        assert_eq!(edge(Plant::Oscillating, 300_000), Some(600_000));
        assert_eq!(edge(Plant::Lagging, 5), None);
    }
}

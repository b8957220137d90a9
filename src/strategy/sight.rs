//! What a look needs of a market, whether its books are there whole or only their best prices.
//!
//! A replay of price files knows one price for each book: looks that take a [`Sight`] are the same code
//! for a live tick and for a replay that makes no books.

use std::cell::Cell;

pub use super::indicators::Squares;
use super::indicators::{self, Smoothing, Trend};
use crate::domain::{
    Book, BookFeed, BookOrigin, History, Level, Market, MarketView, Timestamp, TokenId,
};

/// A book as looks see it.
pub trait Quoted {
    /// The token.
    fn token(&self) -> &TokenId;
    /// Bids, best first.
    fn bids(&self) -> &[Level];
    /// Asks, best first.
    fn asks(&self) -> &[Level];
    /// Whether it was made from a price.
    fn is_synthetic(&self) -> bool;
    /// Whether an exchange serves it.
    fn is_venues(&self) -> bool;
    /// Whether its stream was interrupted.
    fn is_broken(&self) -> bool;
    /// When it was known to be current.
    fn at(&self) -> Timestamp;
}

impl Quoted for Book {
    fn token(&self) -> &TokenId {
        &self.token
    }

    fn bids(&self) -> &[Level] {
        self.bids()
    }

    fn asks(&self) -> &[Level] {
        self.asks()
    }

    fn is_synthetic(&self) -> bool {
        self.origin == BookOrigin::Synthetic
    }

    fn is_venues(&self) -> bool {
        self.origin == BookOrigin::Venue
    }

    fn is_broken(&self) -> bool {
        self.feed == BookFeed::Broken
    }

    fn at(&self) -> Timestamp {
        self.at
    }
}

/// A book made from a price: one level on each side at most.
#[derive(Debug, Clone, Copy)]
pub struct TopBook<'a> {
    /// The token.
    pub token: &'a TokenId,
    /// What is bid; `None`: nobody bids.
    pub bid: Option<Level>,
    /// What is asked; `None`: nobody offers.
    pub ask: Option<Level>,
    /// When it was so.
    pub at: Timestamp,
}

impl Quoted for TopBook<'_> {
    fn token(&self) -> &TokenId {
        self.token
    }

    fn bids(&self) -> &[Level] {
        self.bid.as_slice()
    }

    fn asks(&self) -> &[Level] {
        self.ask.as_slice()
    }

    fn is_synthetic(&self) -> bool {
        true
    }

    fn is_venues(&self) -> bool {
        false
    }

    fn is_broken(&self) -> bool {
        false
    }

    fn at(&self) -> Timestamp {
        self.at
    }
}

/// A market with what is known of its books and its past.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a, B> {
    /// Its metadata.
    pub market: &'a Market,
    /// Books of its first two outcomes; `None` where the source has none.
    pub books: [Option<&'a B>; 2],
    /// Past prices of the first outcome, where they were gathered.
    pub past: Option<Past<'a>>,
}

impl<'a> From<&'a MarketView> for Sight<'a, Book> {
    fn from(view: &'a MarketView) -> Self {
        let book = |index: usize| view.books.get(index)?.as_deref();
        Sight {
            market: &view.market,
            books: [book(0), book(1)],
            past: view.history.as_ref().map(Past::Points),
        }
    }
}

/// Past prices, oldest first: as points, or as columns of times and of prices that are probabilities.
#[derive(Debug, Clone, Copy)]
pub enum Past<'a> {
    /// As a tick gathers them.
    Points(&'a History),
    /// As a replay keeps them; all are equally long.
    Columns {
        /// When.
        times: &'a [Timestamp],
        /// Price of the token, 0–1.
        prices: &'a [f64],
        /// Beside the prices: of all changes up to each.
        squares: &'a [Squares],
        /// Where looks at the same market began before, to be tried first.
        starts: &'a Starts,
    },
}

/// Where a window into a past that grows began at the latest looks: time goes forward, so that it mostly begins
/// there again or one place on. Only how long a look takes depends on it.
#[derive(Debug, Default)]
pub struct Starts([Cell<(i64, usize)>; 2]);

impl Starts {
    /// How many of `times`, which are in order, lie before `moment`.
    fn of(&self, times: &[Timestamp], moment: Timestamp) -> usize {
        let Some(last) = times.last() else { return 0 };
        // Two strategies look back, each as far as ever.
        let back = last.since(moment);
        let [first, second] = &self.0;
        let known = if first.get().0 == back { first } else { second };
        let begins_at = |place: usize| {
            let before = place.checked_sub(1).and_then(|before| times.get(before));
            let here = times.get(place);
            // A window can lose most of its points at once: a place that was good may lie beyond it.
            place <= times.len()
                && before.is_none_or(|before| *before < moment)
                && here.is_none_or(|here| *here >= moment)
        };
        let (of, tried) = known.get();
        let place = if of != back {
            first.swap(second);
            start_of(times, moment)
        } else if begins_at(tried) {
            return tried;
        } else if begins_at(tried + 1) {
            tried + 1
        } else {
            start_of(times, moment)
        };
        known.set((back, place));
        place
    }
}

impl Past<'_> {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Past::Points(history) => history.points().is_empty(),
            Past::Columns { times, .. } => times.is_empty(),
        }
    }

    /// Time and price of the last point at or before `moment`; `None` when the past starts later.
    pub(super) fn last_until(&self, moment: Timestamp) -> Option<(Timestamp, f64)> {
        match self {
            Past::Points(history) => {
                let point = history.last_until(moment)?;
                Some((point.at, point.price))
            }
            Past::Columns {
                times,
                prices,
                starts,
                ..
            } => {
                let place = starts.of(times, moment.plus_millis(1)).checked_sub(1)?;
                Some((*times.get(place)?, *prices.get(place)?))
            }
        }
    }

    /// The deviation of [the trend](Past::trend_since) of the points at or after `moment`, where it is known without
    /// going through them.
    pub(super) fn known_deviation_since(&self, moment: Timestamp) -> Option<f64> {
        let (prices, squares) = self.columns_since(moment)?;
        indicators::deviation(prices, squares)
    }

    /// The trend of the points at or after `moment`; `None` without any.
    pub(super) fn trend_since(&self, moment: Timestamp, smoothing: &Smoothing) -> Option<Trend> {
        match self {
            Past::Points(history) => indicators::trend_of(history.since(moment), smoothing),
            Past::Columns { .. } => {
                let (prices, squares) = self.columns_since(moment)?;
                indicators::trend(prices, squares, smoothing)
            }
        }
    }

    /// Prices at or after `moment`, and the squares of the changes between them, where there are columns.
    fn columns_since(&self, moment: Timestamp) -> Option<(&[f64], Squares)> {
        let Past::Columns {
            times,
            prices,
            squares,
            starts,
        } = self
        else {
            return None;
        };
        let first = starts.of(times, moment);
        let squares = squares.last()?.after(*squares.get(first)?);
        Some((prices.get(first..)?, squares))
    }
}

/// How many of `times`, which are in order, lie before `moment`.
fn start_of(times: &[Timestamp], moment: Timestamp) -> usize {
    // Recordings mostly keep one distance, and then the place can be reckoned.
    if let (Some(first), Some(last)) = (times.first(), times.last())
        && let Ok(whole) = usize::try_from(last.since(*first))
        && let Ok(part) = usize::try_from(moment.since(*first))
        && part <= whole
        && whole > 0
    {
        let place = reckoned(part, whole, times.len() - 1);
        let before = place.checked_sub(1).and_then(|before| times.get(before));
        let here = times.get(place);
        if before.is_none_or(|before| *before < moment) && here.is_none_or(|here| *here >= moment) {
            return place;
        }
    }
    times.partition_point(|at| *at < moment)
}

/// `part × steps / whole`, rounded up: of numbers below 2⁵³ in floating point, which takes half as long. Where it
/// should not be exact the place is looked for.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most the number of steps"
)]
fn reckoned(part: usize, whole: usize, steps: usize) -> usize {
    let exact = part as f64 * steps as f64 / whole as f64;
    let below = exact as usize;
    below + usize::from((below as f64) < exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PricePoint;

    /// A window of 24 points that grows, slides, loses all but one of them at once (a long gap), and grows again, whose
    /// points are even or not. Two strategies look back by turns, which are remembered, or more.
    #[test]
    fn what_was_remembered_of_a_window_changes_nothing() {
        let even: fn(i64) -> i64 = |step| step * 600_000;
        let uneven: fn(i64) -> i64 = |step| step * 600_000 + (step * 7_919 % 13) * 30_000;
        let two: &[i64] = &[3_600_000, 7_200_000];
        let many: &[i64] = &[0, 1, 3_600_000, 3_600_000, 7_200_000, i64::MAX / 4];
        for (millis, backs) in [(even, two), (uneven, two), (even, many), (uneven, many)] {
            let times: Vec<Timestamp> = (0..200)
                .map(|step| Timestamp::from_millis(millis(step)))
                .collect();
            let starts = Starts::default();
            let mut at_once = 0;
            for end in 1..=times.len() {
                // From the 100th on nothing before it is there.
                let from = end.saturating_sub(24);
                let from = if end > 100 { from.max(99) } else { from };
                let window = &times[from..end];
                let last = window[window.len() - 1];
                for back in backs.iter().copied() {
                    let moment = last.plus_millis(-back);
                    let expected = window.iter().filter(|at| **at < moment).count();
                    let known = starts.0.iter().any(|known| known.get() == (back, expected));
                    at_once += u32::from(known);
                    assert_eq!(starts.of(window, moment), expected, "{end} {back}");
                }
            }
            // What was asked twice in a row is remembered, and where a window slides both are.
            assert!(at_once >= 140, "{at_once}");
        }
        assert_eq!(Starts::default().of(&[], Timestamp::from_millis(5)), 0);
    }

    /// Even distances, uneven ones, equal moments, one point and none.
    #[test]
    fn columns_are_looked_up_as_points_are() {
        let even: Vec<i64> = (0..300).map(|step| step * 600_000).collect();
        let uneven: Vec<i64> = (0..200)
            .map(|step| step * step * 1_000 + step % 7)
            .collect();
        let mut sorted = uneven.clone();
        sorted.sort_unstable();
        for millis in [even, sorted, vec![5, 5, 5, 9, 9], vec![7], Vec::new()] {
            let times: Vec<Timestamp> =
                millis.iter().copied().map(Timestamp::from_millis).collect();
            let prices: Vec<f64> = (0..times.len())
                .map(|number| 0.3 + 0.001 * (number * number % 97) as f64)
                .collect();
            let points = times.iter().zip(&prices);
            let points = points.map(|(at, price)| PricePoint {
                at: *at,
                price: *price,
            });
            let history = History::new(points.collect());
            let smoothing = Smoothing::new(12);
            let mut squares = vec![Squares::default()];
            for pair in prices.windows(2) {
                squares.push(squares.last().unwrap().and(pair[0], pair[1]));
            }
            squares.truncate(prices.len());
            let starts = Starts::default();
            let columns = Past::Columns {
                times: &times,
                prices: &prices,
                squares: &squares,
                starts: &starts,
            };
            let by_points = Past::Points(&history);
            assert_eq!(columns.is_empty(), by_points.is_empty());
            let near = millis.iter().flat_map(|at| [at - 1, *at, at + 1]);
            for moment in near.chain([i64::MIN / 2, i64::MAX / 2]) {
                let moment = Timestamp::from_millis(moment);
                assert_eq!(
                    columns.last_until(moment).map(|(at, _)| at),
                    by_points.last_until(moment).map(|(at, _)| at),
                    "{moment}"
                );
                assert_eq!(
                    columns.trend_since(moment, &smoothing),
                    by_points.trend_since(moment, &smoothing),
                    "{moment}"
                );
            }
        }
    }
}

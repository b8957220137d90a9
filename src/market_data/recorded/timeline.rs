//! The rows of a recording in the order of time: what a replay walks along.

use std::ops::Range;

use crate::domain::{PricePoint, Timestamp};

use super::sorted::sorted_unless;

/// Which markets have a row at each moment.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Distinct times of rows, rising.
    moments: Vec<Timestamp>,
    /// Where the rows of each moment end.
    ends: Vec<usize>,
    /// Number of each row's market, by time, then by number.
    numbers: Vec<u32>,
}

impl Timeline {
    /// Of the rows of each market, which rise in time, no two at one moment; markets are numbered as they
    /// come. `None` when `cancelled` said so meanwhile.
    pub(super) fn new(
        markets: &[&[PricePoint]],
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Self> {
        let clock = Clock::of(markets, cancelled);
        if cancelled() {
            return None;
        }
        match clock {
            Some(clock) => Self::counted(markets, &clock, cancelled),
            None => Self::sorted(markets, cancelled),
        }
    }

    /// Puts the rows of either half of the markets at their places, at the same time, and then together.
    fn counted(
        markets: &[&[PricePoint]],
        clock: &Clock,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Self> {
        let (early, late) = markets.split_at(markets.len() / 2);
        let middle = u32::try_from(early.len()).ok()?;
        let (early, late) = rayon::join(
            || Placed::of(early, 0, clock, cancelled),
            || Placed::of(late, middle, clock, cancelled),
        );
        let (early, late) = (early?, late?);
        let mut timeline = Timeline::default();
        let count = early.numbers.len() + late.numbers.len();
        timeline.numbers.reserve_exact(count);
        let (mut early, mut late) = (early.by_place(), late.by_place());
        for place in 0..clock.places {
            let before = timeline.numbers.len();
            for half in [early.next(), late.next()] {
                timeline.numbers.extend_from_slice(half.unwrap_or_default());
            }
            if timeline.numbers.len() > before {
                timeline.moments.push(clock.moment(place));
                timeline.ends.push(timeline.numbers.len());
            }
        }
        Some(timeline)
    }

    /// Sorts them.
    fn sorted(markets: &[&[PricePoint]], cancelled: &(dyn Fn() -> bool + Sync)) -> Option<Self> {
        let rows = (0_u32..).zip(markets).flat_map(|(number, rows)| {
            let rows = rows.iter();
            rows.map(move |row| (row.at, number))
        });
        let rows = rows.collect();
        let mut timeline = Timeline::default();
        for (at, number) in sorted_unless(rows, cancelled)? {
            timeline.numbers.push(number);
            if timeline.moments.last() != Some(&at) {
                timeline.moments.push(at);
                timeline.ends.push(0);
            }
            if let Some(end) = timeline.ends.last_mut() {
                *end = timeline.numbers.len();
            }
        }
        Some(timeline)
    }

    /// The moments at these places without the rows of the markets for which `excludes` says so.
    #[must_use]
    pub fn without(&self, places: Range<usize>, excludes: impl Fn(u32) -> bool) -> Self {
        let mut left = Timeline::default();
        for place in places {
            let before = left.numbers.len();
            let numbers = self.at(place).iter().copied();
            left.numbers
                .extend(numbers.filter(|number| !excludes(*number)));
            if let Some(moment) = self.moments.get(place)
                && left.numbers.len() > before
            {
                left.moments.push(*moment);
                left.ends.push(left.numbers.len());
            }
        }
        left
    }

    /// Distinct times of rows, rising.
    #[must_use]
    pub fn moments(&self) -> &[Timestamp] {
        &self.moments
    }

    /// Which of all rows, in the order of time, are those of the moment at this place.
    #[must_use]
    pub fn rows_of(&self, place: usize) -> Range<usize> {
        let end = |place: usize| self.ends.get(place).copied();
        let first = place.checked_sub(1).and_then(end).unwrap_or(0);
        first..end(place).unwrap_or(first)
    }

    /// Numbers of the markets that have these rows, moment by moment rising.
    #[must_use]
    pub fn numbers(&self, rows: Range<usize>) -> &[u32] {
        self.numbers.get(rows).unwrap_or_default()
    }

    /// Numbers of the markets with a row at the moment at this place, rising.
    #[must_use]
    pub fn at(&self, place: usize) -> &[u32] {
        self.numbers(self.rows_of(place))
    }
}

/// Numbers of the markets that have rows at the places of a clock.
struct Placed {
    /// By place, then rising.
    numbers: Vec<u32>,
    /// Where those of each place end.
    ends: Vec<u32>,
}

impl Placed {
    /// Counts the rows of each place, sums them up, and then puts each row where those of its place go on. The first
    /// of the markets has the number `base`. `None` when `cancelled` said so meanwhile.
    fn of(
        markets: &[&[PricePoint]],
        base: u32,
        clock: &Clock,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Self> {
        let mut places = vec![0_u32; clock.places];
        let mut count = 0;
        for rows in markets {
            if cancelled() {
                return None;
            }
            count += rows.len();
            clock.each(rows, |place| {
                if let Some(rows) = places.get_mut(place) {
                    *rows += 1;
                }
            });
        }
        let mut sum = 0;
        for rows in &mut places {
            let begin = sum;
            sum += *rows;
            *rows = begin;
        }
        let mut numbers = vec![0; count];
        for (number, rows) in (base..).zip(markets) {
            if cancelled() {
                return None;
            }
            clock.each(rows, |place| {
                let Some(next) = places.get_mut(place) else {
                    return;
                };
                if let Some(row) = numbers.get_mut(*next as usize) {
                    *row = number;
                }
                *next += 1;
            });
        }
        // Each place goes on now where the next one began.
        Some(Placed {
            numbers,
            ends: places,
        })
    }

    /// Place by place.
    fn by_place(&self) -> impl Iterator<Item = &[u32]> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let end = *end as usize;
            let numbers = self.numbers.get(begin..end).unwrap_or_default();
            begin = end;
            numbers
        })
    }
}

/// So many places for each row a clock may have.
const PLACES_PER_ROW: usize = 4;

/// Times of one distance, or of multiples of it: the place of each among them can be reckoned.
struct Clock {
    first: Timestamp,
    /// Milliseconds, at least 1.
    step: u64,
    places: usize,
}

impl Clock {
    /// `None` where there would be far more places than there are rows, and when it is not wanted any more.
    fn of(markets: &[&[PricePoint]], cancelled: &(dyn Fn() -> bool + Sync)) -> Option<Self> {
        let firsts = markets.iter().filter_map(|rows| rows.first());
        let lasts = markets.iter().filter_map(|rows| rows.last());
        let first = firsts.map(|row| row.at).min()?;
        let last = lasts.map(|row| row.at).max()?;
        let whole = distance_of(first, last);
        let count: usize = markets.iter().map(|rows| rows.len()).sum();
        // Places are counted in 32 bits.
        u32::try_from(count).ok()?;
        let enough = count * PLACES_PER_ROW;
        let is_too_fine = |step: u64| {
            let places = usize::try_from(whole / step.max(1));
            step > 0 && places.is_ok_and(|places| places >= enough)
        };
        let mut step = 0;
        for rows in markets {
            // It gets no wider again.
            if is_too_fine(step) || cancelled() {
                return None;
            }
            let mut before = first;
            let mut distance = 0;
            for row in *rows {
                let next = distance_of(before, row.at);
                if next != distance {
                    distance = next;
                    // Nothing is left to find below 1.
                    if step != 1 {
                        step = greatest_common_divisor(step, distance);
                    }
                }
                before = row.at;
            }
        }
        let step = step.max(1);
        let places = usize::try_from(whole / step).ok()?;
        (places < enough).then(|| Clock {
            first,
            step,
            places: places + 1,
        })
    }

    fn moment(&self, place: usize) -> Timestamp {
        let millis = (place as u64).wrapping_mul(self.step);
        Timestamp::from_millis(self.first.millis().wrapping_add_unsigned(millis))
    }

    /// The place of each row's time, one after the other.
    fn each(&self, rows: &[PricePoint], mut with: impl FnMut(usize)) {
        let mut place = 0;
        let mut before = self.first;
        let (mut distance, mut steps) = (0, 0);
        for row in rows {
            let next = distance_of(before, row.at);
            // Mostly that of the row before.
            if next != distance {
                (distance, steps) = (next, (next / self.step) as usize);
            }
            place += steps;
            before = row.at;
            with(place);
        }
    }
}

/// Milliseconds from one moment to a later one.
fn distance_of(earlier: Timestamp, later: Timestamp) -> u64 {
    later.millis().abs_diff(earlier.millis())
}

fn greatest_common_divisor(mut one: u64, mut other: u64) -> u64 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(millis: &[i64]) -> Vec<PricePoint> {
        let row = |at: &i64| PricePoint {
            at: Timestamp::from_millis(*at),
            price: 0.5,
        };
        millis.iter().map(row).collect()
    }

    fn timeline(markets: &[Vec<PricePoint>]) -> Timeline {
        let markets: Vec<&[PricePoint]> = markets.iter().map(Vec::as_slice).collect();
        Timeline::new(&markets, &|| false).unwrap()
    }

    fn told(timeline: &Timeline) -> Vec<(i64, Vec<u32>)> {
        let moments = timeline.moments().iter().enumerate();
        moments
            .map(|(place, at)| (at.millis(), timeline.at(place).to_vec()))
            .collect()
    }

    #[test]
    fn each_moment_tells_the_markets_that_have_a_row() {
        let made = timeline(&[rows(&[100, 300]), rows(&[]), rows(&[200, 300, 900])]);
        let expected = [
            (100, vec![0]),
            (200, vec![2]),
            (300, vec![0, 2]),
            (900, vec![2]),
        ];
        assert_eq!(told(&made), expected);
        assert_eq!(made.rows_of(2), 2..4);
        assert_eq!(made.numbers(1..4), [2, 0, 2]);
        assert_eq!(made.rows_of(4), 5..5, "after the last");
        let left = made.without(0..4, |number| number == 2);
        assert_eq!(told(&left), [(100, vec![0]), (300, vec![0])]);
        let left = made.without(1..3, |number| number == 1);
        assert_eq!(told(&left), [(200, vec![2]), (300, vec![0, 2])]);
    }

    #[test]
    fn times_far_apart_and_at_the_ends_are_sorted() {
        let ends = [i64::MIN, -7, 0, 1, i64::MAX];
        let made = timeline(&[rows(&ends), rows(&[0])]);
        assert_eq!(told(&made)[2], (0, vec![0, 1]));
        assert_eq!(made.moments().len(), 5);
        assert!(timeline(&[]).moments().is_empty());
        assert!(timeline(&[rows(&[])]).moments().is_empty());
    }

    #[test]
    fn it_is_given_up_when_told() {
        let even = rows(&[0, 10]);
        let uneven = rows(&[0, 1, 1_000_000]);
        for one in [even, uneven] {
            assert!(Timeline::new(&[&one], &|| true).is_none());
        }
    }

    proptest! {
        /// Against sorting all rows, on grids and off them.
        #[test]
        fn it_is_what_sorting_gives(
            markets in prop::collection::vec(prop::collection::btree_set(0_i64..400, 0..30), 0..12),
            step in prop::sample::select(vec![1, 60_000, 999_999_937]),
            stray in prop::option::of(0_i64..1_000_000_000_000),
        ) {
            let mut markets: Vec<Vec<i64>> = markets
                .into_iter()
                .map(|times| times.into_iter().map(|time| time * step).collect())
                .collect();
            markets.extend(stray.map(|time| vec![time]));
            let mut all: Vec<(i64, u32)> = (0..)
                .zip(&markets)
                .flat_map(|(number, times)| times.iter().map(move |at| (*at, number)))
                .collect();
            all.sort_unstable();
            let points: Vec<Vec<PricePoint>> = markets.iter().map(|times| rows(times)).collect();
            let flat: Vec<(i64, u32)> = told(&timeline(&points))
                .into_iter()
                .flat_map(|(at, numbers)| numbers.into_iter().map(move |number| (at, number)))
                .collect();
            prop_assert_eq!(flat, all);
        }
    }
}

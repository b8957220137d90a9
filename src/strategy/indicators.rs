//! Statistics of past prices. Floats: nothing here is money.

use std::cell::RefCell;

use fearless_simd::dispatch;

use super::sight::Quoted;
use crate::domain::{Level, PricePoint};

/// True for what can be a price: not NaN, not below 0, not above 1.
fn is_price(point: &PricePoint) -> bool {
    (0.0..=1.0).contains(&point.price)
}

/// Where recent prices lie, and how much they vary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// Exponential moving average with weight `2 / (span + 1)` for the newest point, started at the
    /// oldest one.
    pub average: f64,
    /// Sample standard deviation (n − 1) of the changes from one point to the next, of prices to the
    /// micro-unit, in price units per step. `None` with fewer than two changes, from which no spread can be
    /// told.
    pub deviation: Option<f64>,
}

/// An exponential moving average, ready to be taken of many pasts.
///
/// With `k = 1 − weight` the average after prices `p₀ … pₙ` is
/// `kⁿ p₀ + weight × (kⁿ⁻¹ p₁ + … + k pₙ₋₁ + pₙ)`: a sum of products, whose parts do not wait for each
/// other as the steps `average = k × average + weight × price` do. It is added up in the widest registers that
/// the processor has, in the same order whatever their width, and nothing is fused: the result is the same to
/// the last digit.
#[derive(Debug, Clone)]
pub(super) struct Smoothing {
    weight: f64,
    /// `weight × kⁱ` for falling `i`, down to 0 at the end.
    weights: Vec<f64>,
    /// `kⁱ` for rising `i`.
    kept: Vec<f64>,
    /// What the processor can do.
    level: fearless_simd::Level,
}

/// Prices after the first that the sum of products goes over; of more the steps are taken. A week of
/// points ten minutes apart, which is what a tick gathers, has 1,008.
const SUMMED: usize = 1_024;

impl Smoothing {
    /// With weight `2 / (span + 1)` for the newest point.
    pub(super) fn new(span: u32) -> Self {
        let weight = 2.0 / (f64::from(span) + 1.0);
        let mut kept: Vec<f64> = Vec::with_capacity(SUMMED + 1);
        kept.push(1.0);
        for _ in 0..SUMMED {
            kept.push(kept.last().copied().unwrap_or_default() * (1.0 - weight));
        }
        let powers = kept.get(..SUMMED).unwrap_or_default();
        Smoothing {
            weights: powers.iter().rev().map(|power| weight * power).collect(),
            kept,
            weight,
            level: fearless_simd::Level::new(),
        }
    }

    /// The average of `first` and then these.
    #[inline(always)]
    fn average(&self, first: f64, later: &[f64]) -> f64 {
        let weights = SUMMED
            .checked_sub(later.len())
            .and_then(|from| self.weights.get(from..));
        match (weights, self.kept.get(later.len())) {
            (Some(weights), Some(kept)) => kept * first + sum_of_products(weights, later),
            _ => later.iter().fold(first, |average, price| {
                (1.0 - self.weight) * average + self.weight * price
            }),
        }
    }
}

/// Sums are kept in so many parts, which do not wait for each other.
const PARTS: usize = 8;

#[inline(always)]
fn sum_of_products(weights: &[f64], prices: &[f64]) -> f64 {
    let mut sums = [0.0_f64; PARTS];
    let (whole_weights, rest_weights) = weights.as_chunks::<PARTS>();
    let (whole_prices, rest_prices) = prices.as_chunks::<PARTS>();
    for (weights, prices) in whole_weights.iter().zip(whole_prices) {
        for ((sum, weight), price) in sums.iter_mut().zip(weights).zip(prices) {
            *sum += weight * price;
        }
    }
    let rest = rest_weights.iter().zip(rest_prices);
    rest.fold(sums.iter().sum(), |sum, (weight, price)| {
        sum + weight * price
    })
}

/// The trend of prices, oldest first, of whose changes the sum of squares is known. `None` without prices.
pub(super) fn trend(prices: &[f64], squares: Squares, smoothing: &Smoothing) -> Option<Trend> {
    let (first, later) = prices.split_first()?;
    let average = dispatch!(smoothing.level, _ => smoothing.average(*first, later));
    let deviation = deviation(prices, squares);
    Some(Trend { average, deviation })
}

/// The deviation alone.
pub(super) fn deviation(prices: &[f64], squares: Squares) -> Option<f64> {
    let (first, last) = (prices.first()?, prices.last()?);
    squares.deviation(prices.len() - 1, micros(*last) - micros(*first))
}

/// The same of recorded points; what is no probability is left out.
pub(super) fn trend_of(points: &[PricePoint], smoothing: &Smoothing) -> Option<Trend> {
    PRICES.with_borrow_mut(|prices| {
        prices.clear();
        // All of them, mostly: looked at without a branch for each, and then copied as they lie.
        if points.iter().fold(true, |all, point| all & is_price(point)) {
            prices.extend(points.iter().map(|point| point.price));
        } else {
            let sound = points.iter().filter(|point| is_price(point));
            prices.extend(sound.map(|point| point.price));
        }
        let squares = dispatch!(smoothing.level, _ => Squares::of_changes(prices));
        trend(prices, squares, smoothing)
    })
}

thread_local! {
    /// Prices of one market in a row, in memory that is used again for the next: a tick looks at thousands.
    static PRICES: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

/// A price in whole micro-units, as a number that is exact in binary.
#[inline(always)]
fn micros(price: f64) -> f64 {
    // Numbers from here to twice as much have no fraction: adding it rounds, halves to even.
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    (price * 1e6 + WHOLE) - WHOLE
}

/// Σ (change from one price to the next)², in micro-units: whole numbers, so that it does not matter in which
/// order they are added up, nor whether a part of a longer sum is taken off again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Squares(u64);

impl Squares {
    /// Of all changes between these prices, each 0–1.
    #[inline(always)]
    fn of_changes(prices: &[f64]) -> Self {
        let later = prices.get(1..).unwrap_or_default();
        let square = |before: f64, after: f64| {
            let change = micros(after) - micros(before);
            change * change
        };
        // Each is at most 10¹², so that 9,007 of them add up exactly.
        let blocks = later.chunks(8_192).zip(prices.chunks(8_192));
        let sum = blocks.map(|(later, prices)| {
            let mut sums = [0.0_f64; PARTS];
            let (whole, rest) = later.as_chunks::<PARTS>();
            let (before, _) = prices.as_chunks::<PARTS>();
            for (before, after) in before.iter().zip(whole) {
                for ((sum, before), after) in sums.iter_mut().zip(before).zip(after) {
                    *sum += square(*before, *after);
                }
            }
            let before = prices.get(later.len() - rest.len()..).unwrap_or_default();
            let rest = before.iter().zip(rest);
            let sum = rest.fold(sums.iter().sum(), |sum: f64, (before, after)| {
                sum + square(*before, *after)
            });
            whole_number(sum)
        });
        Squares(sum.sum())
    }

    /// The same with one more change.
    #[must_use]
    pub fn and(self, before: f64, after: f64) -> Self {
        let change = micros(after) - micros(before);
        Squares(self.0.wrapping_add(whole_number(change * change)))
    }

    /// Without the first changes, of which the sum is `first`.
    #[must_use]
    pub fn after(self, first: Squares) -> Self {
        Squares(self.0.wrapping_sub(first.0))
    }

    /// Sample standard deviation of so many changes, in price units, when they add up to `way` micro-units;
    /// `None` for fewer than two. From whole numbers: the difference of two large ones loses nothing.
    fn deviation(self, changes: usize, way: f64) -> Option<f64> {
        let count = changes as u64;
        let pairs = (count > 1).then(|| count as f64 * (count - 1) as f64)?;
        let way = whole_number(way * way);
        // It takes 4,000 changes of a whole pUSD each for more than 64 bits.
        let scatter = match self.0.checked_mul(count) {
            Some(squares) => squares.saturating_sub(way) as f64,
            None => (u128::from(self.0) * u128::from(count)).saturating_sub(u128::from(way)) as f64,
        };
        Some((scatter / pairs).sqrt() / 1e6)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number from 0 to 2⁵³"
)]
fn whole_number(number: f64) -> u64 {
    number as u64
}

/// Book imbalance, −1 to 1: (bid depth − ask depth) / (bid depth + ask depth) in shares, of levels
/// within `distance` of `mid`. `None` when there is none so near.
pub(super) fn imbalance(book: &impl Quoted, mid: f64, distance: f64) -> Option<f64> {
    let depth = |levels: &[Level]| -> f64 {
        levels
            .iter()
            // A hair more, for decimals that binary cannot tell from the distance.
            .take_while(|level| (level.price.to_f64() - mid).abs() <= distance + 1e-9)
            .map(|level| level.size.to_f64())
            .sum()
    };
    let (bids, asks) = (depth(book.bids()), depth(book.asks()));
    let all = bids + asks;
    (all > 0.0).then(|| (bids - asks) / all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn points(prices: &[f64]) -> Vec<PricePoint> {
        prices
            .iter()
            .zip(1_i64..)
            .map(|(price, second)| PricePoint {
                at: Timestamp::from_secs(second),
                price: *price,
            })
            .collect()
    }

    fn ema(points: &[PricePoint], span: u32) -> Option<f64> {
        trend_of(points, &Smoothing::new(span)).map(|trend| trend.average)
    }

    fn deviation_of_changes(points: &[PricePoint]) -> Option<f64> {
        trend_of(points, &Smoothing::new(3))?.deviation
    }

    #[test]
    fn the_average_leans_to_the_newest_point() {
        // span 3 → weight 0.5: 0.4 → 0.45 → 0.525
        let average = ema(&points(&[0.4, 0.5, 0.6]), 3).unwrap();
        assert!((average - 0.525).abs() < 1e-12);
        assert_eq!(ema(&points(&[0.4]), 3), Some(0.4));
        assert_eq!(ema(&[], 3), None);
    }

    #[test]
    fn deviation_is_that_of_the_changes_and_not_of_the_level() {
        // Changes +0.1, −0.1, +0.1: mean 1/30, squares 2·(1/15)² + (2/15)² = 8/300, over 2.
        let deviation = deviation_of_changes(&points(&[0.4, 0.5, 0.4, 0.5])).unwrap();
        assert!((deviation - (8.0_f64 / 600.0).sqrt()).abs() < 1e-12);
        // A steady climb does not vary.
        let climb = deviation_of_changes(&points(&[0.25, 0.5, 0.75])).unwrap();
        assert!(climb.abs() < 1e-12);
    }

    /// For any number of points, beside the eight that are taken at once, and beyond those of a tick.
    #[test]
    fn the_average_agrees_with_one_step_after_the_other() {
        for count in [
            1, 2, 7, 8, 9, 10, 16, 17, 18, 1_023, 1_024, 1_025, 1_026, 2_000,
        ] {
            let prices: Vec<f64> = (0..count)
                .map(|index| 0.5 + 0.01 * ((index * index * 7) % 11) as f64)
                .collect();
            // span 12: weight 2/13.
            let expected = prices[1..].iter().fold(prices[0], |average, price| {
                (11.0 * average + 2.0 * price) / 13.0
            });
            let average = ema(&points(&prices), 12).unwrap();
            assert!((average - expected).abs() < 1e-12, "{count} points");
        }
    }

    /// For any number of changes, beside the eight that are added up together.
    #[test]
    fn deviation_agrees_with_the_plain_sum() {
        for count in 3..30_usize {
            let prices: Vec<f64> = (0..count)
                .map(|index| 0.5 + 0.01 * ((index * index * 7) % 11) as f64)
                .collect();
            let changes: Vec<f64> = prices.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mean = changes.iter().sum::<f64>() / changes.len() as f64;
            let squares: f64 = changes.iter().map(|change| (change - mean).powi(2)).sum();
            let expected = (squares / (changes.len() - 1) as f64).sqrt();
            let deviation = deviation_of_changes(&points(&prices)).unwrap();
            assert!((deviation - expected).abs() < 1e-12, "{count} points");
        }
    }

    /// A rounded price of each of 20,000 steps of no order.
    fn many() -> Vec<f64> {
        let prices = (0_u64..20_000).map(|step| step * step * 7_919 % 1_000_001);
        prices.map(|micros| micros as f64 / 1e6).collect()
    }

    #[test]
    fn a_part_of_a_sum_of_squares_is_that_of_the_part() {
        let prices = many();
        let mut sums = vec![Squares::default()];
        for pair in prices.windows(2) {
            sums.push(sums.last().unwrap().and(pair[0], pair[1]));
        }
        for (from, to) in [(0, 19_999), (0, 1), (5, 5), (17, 8_209), (3_000, 19_998)] {
            let direct = Squares::of_changes(&prices[from..=to]);
            assert_eq!(sums[to].after(sums[from]), direct, "{from} to {to}");
        }
        // 0.25 up and 0.5 down: 62.5 and 250 thousand millions.
        assert_eq!(
            Squares::of_changes(&[0.5, 0.75, 0.25]),
            Squares(312_500_000_000)
        );
        assert_eq!(Squares::of_changes(&[]), Squares(0));
    }

    #[test]
    fn a_climb_by_even_steps_does_not_vary_at_all() {
        let climb: Vec<f64> = (1..=999).map(|step| f64::from(step) / 1e3).collect();
        assert_eq!(deviation_of_changes(&points(&climb)), Some(0.0));
    }

    /// What the processor's widest registers give is what any other's do.
    #[test]
    fn the_result_does_not_depend_on_the_width_of_registers() {
        let prices = many();
        let smoothing = Smoothing::new(12);
        for count in [1, 2, 9, 144, 1_008, 20_000] {
            let points: Vec<PricePoint> = points(&prices[..count]);
            let trend = trend_of(&points, &smoothing).unwrap();
            let average = smoothing.average(prices[0], &prices[1..count]);
            assert_eq!(trend.average.to_bits(), average.to_bits());
            let squares = Squares::of_changes(&prices[..count]);
            let way = micros(prices[count - 1]) - micros(prices[0]);
            assert_eq!(trend.deviation, squares.deviation(count - 1, way));
        }
    }

    #[test]
    fn one_change_says_nothing_about_their_spread() {
        assert_eq!(deviation_of_changes(&points(&[0.4, 0.5])), None);
        assert_eq!(deviation_of_changes(&[]), None);
    }

    #[test]
    fn what_is_no_probability_is_left_out() {
        let average = ema(&points(&[f64::NAN, 0.4, 7.0, 0.5]), 3).unwrap();
        assert!((average - 0.45).abs() < 1e-12);
    }
}

//! Statistics of past prices. Floats: nothing here is money.

use crate::domain::{Book, Level, PricePoint};

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
    /// Sample standard deviation (n − 1) of the changes from one point to the next, in price units
    /// per step. `None` with fewer than two changes, from which no spread can be told.
    pub deviation: Option<f64>,
}

/// The trend of prices, oldest first; what is no probability is left out. `None` without points.
pub(super) fn trend(points: &[PricePoint], span: u32) -> Option<Trend> {
    if points.iter().all(is_price) {
        return trend_of(points, span);
    }
    let sound: Vec<PricePoint> = points.iter().copied().filter(is_price).collect();
    trend_of(&sound, span)
}

fn trend_of(points: &[PricePoint], span: u32) -> Option<Trend> {
    let weight = 2.0 / (f64::from(span) + 1.0);
    let (first, later) = points.split_first()?;
    let average = average_from(first.price, later, weight);
    let changes = later.len() as f64;
    let deviation = (later.len() >= 2).then(|| {
        // Changes add up to the way from the first price to the last. A second pass over squares of
        // distances, since the difference of large sums would cancel.
        let last = later.last().map_or(first.price, |point| point.price);
        let mean = (last - first.price) / changes;
        (squares_of_changes(points, mean) / (changes - 1.0)).sqrt()
    });
    Some(Trend { average, deviation })
}

/// `average = (1 − weight) × average + weight × price`, point after point. Each step has to wait for the one
/// before, so four of them are taken at once: with `k = 1 − weight`,
/// `k⁴ average + weight × (k³ a + k² b + k c + d)`.
fn average_from(first: f64, later: &[PricePoint], weight: f64) -> f64 {
    let kept = 1.0 - weight;
    let kept_2 = kept * kept;
    let (kept_3, kept_4) = (kept_2 * kept, kept_2 * kept_2);
    let (fours, rest) = later.as_chunks::<4>();
    let average = fours.iter().fold(first, |average, [a, b, c, d]| {
        let new = (kept_3 * a.price + kept_2 * b.price) + (kept * c.price + d.price);
        kept_4 * average + weight * new
    });
    rest.iter().fold(average, |average, point| {
        kept * average + weight * point.price
    })
}

/// Σ (change − mean)², in four sums that do not wait for each other.
fn squares_of_changes(points: &[PricePoint], mean: f64) -> f64 {
    let mut sums = [0.0_f64; 4];
    for window in points.windows(5).step_by(4) {
        if let [a, b, c, d, e] = window {
            for (sum, (before, after)) in sums.iter_mut().zip([(a, b), (b, c), (c, d), (d, e)]) {
                let distance = after.price - before.price - mean;
                *sum += distance * distance;
            }
        }
    }
    let whole = points.len().saturating_sub(1) / 4 * 4;
    let rest = points.get(whole..).unwrap_or_default();
    for (before, after) in rest.iter().zip(rest.iter().skip(1)) {
        let distance = after.price - before.price - mean;
        if let Some(sum) = sums.first_mut() {
            *sum += distance * distance;
        }
    }
    sums.iter().sum()
}

/// Book imbalance, −1 to 1: (bid depth − ask depth) / (bid depth + ask depth) in shares, of levels
/// within `distance` of `mid`. `None` when there is none so near.
pub(super) fn imbalance(book: &Book, mid: f64, distance: f64) -> Option<f64> {
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
        trend(points, span).map(|trend| trend.average)
    }

    fn deviation_of_changes(points: &[PricePoint]) -> Option<f64> {
        trend(points, 3)?.deviation
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

    /// For any number of points, beside the four that are taken at once.
    #[test]
    fn the_average_agrees_with_one_step_after_the_other() {
        for count in 1..20_usize {
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

    /// For any number of changes, beside the four that are added up together.
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

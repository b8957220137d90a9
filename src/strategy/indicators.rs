//! Statistics of past prices. Floats: nothing here is money.

use crate::domain::{Book, History, Level, PricePoint, Timestamp};

/// The points of `history` at or after `since`, oldest first.
pub(super) fn points_since(history: &History, since: Timestamp) -> &[PricePoint] {
    let points = history.points();
    let start = points.partition_point(|point| point.at < since);
    points.get(start..).unwrap_or_default()
}

/// Prices of the points; what is no probability (NaN, below 0, above 1) is left out.
fn prices(points: &[PricePoint]) -> impl Iterator<Item = f64> + '_ {
    points
        .iter()
        .map(|point| point.price)
        .filter(|price| (0.0..=1.0).contains(price))
}

/// Exponential moving average with weight `2 / (span + 1)` for the newest point, started at the
/// oldest one. `None` without points.
pub(super) fn ema(points: &[PricePoint], span: u32) -> Option<f64> {
    let weight = 2.0 / (f64::from(span) + 1.0);
    prices(points).reduce(|average, price| average + weight * (price - average))
}

/// Sample standard deviation (n − 1) of the changes from one point to the next, in price units per
/// step. `None` with fewer than two changes, from which no spread can be told.
pub(super) fn deviation_of_changes(points: &[PricePoint]) -> Option<f64> {
    // Welford: one pass, no cancellation of large squares.
    let mut count = 0.0_f64;
    let mut mean = 0.0_f64;
    let mut squares = 0.0_f64;
    let changes = prices(points)
        .zip(prices(points).skip(1))
        .map(|(before, after)| after - before);
    for change in changes {
        count += 1.0;
        let distance = change - mean;
        mean += distance / count;
        squares += distance * (change - mean);
    }
    (count >= 2.0).then(|| (squares / (count - 1.0)).sqrt())
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

    #[test]
    fn a_window_starts_at_its_moment() {
        let history = History::new(points(&[0.1, 0.2, 0.3]));
        let window = points_since(&history, Timestamp::from_secs(2));
        assert_eq!(window.len(), 2);
        assert_eq!(window[0].price, 0.2);
        assert!(points_since(&history, Timestamp::from_secs(4)).is_empty());
    }
}

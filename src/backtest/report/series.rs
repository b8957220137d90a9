//! What the pictures and tables of a report are drawn from.

use std::collections::BTreeMap;

use crate::backtest::metrics::Forecast;
use crate::backtest::stats;
use crate::domain::{Timestamp, Usdc};

/// Stretches of a curve that are drawn; of each the lowest and the highest point.
const STRETCHES: usize = 400;
/// Bars of the distribution of trades, on each side of zero.
const BARS: usize = 10;
/// Classes of fair prices in the calibration plot.
const CLASSES: usize = 10;

/// A value at a moment.
pub(super) type Point = (Timestamp, f64);

/// Amounts as plain numbers.
pub(super) fn numbers(curve: &[(Timestamp, Usdc)]) -> Vec<Point> {
    curve
        .iter()
        .map(|(at, value)| (*at, value.to_f64()))
        .collect()
}

/// How far below its peak so far each equity is, as a fraction, at most 0.
pub(super) fn below_peak(curve: &[(Timestamp, Usdc)]) -> Vec<Point> {
    let mut peak = f64::MIN;
    let fall = |(at, equity): &(Timestamp, Usdc)| {
        let equity = equity.to_f64();
        peak = peak.max(equity);
        let fall = if peak > 0.0 { equity / peak - 1.0 } else { 0.0 };
        (*at, fall)
    };
    curve.iter().map(fall).collect()
}

/// Few enough points to draw, with every extreme and both ends kept.
pub(super) fn thinned(curve: &[Point]) -> Vec<Point> {
    let size = curve.len().div_ceil(STRETCHES).max(1);
    if size <= 2 {
        return curve.to_vec();
    }
    let mut kept: Vec<usize> = vec![0, curve.len() - 1];
    for (number, stretch) in curve.chunks(size).enumerate() {
        let places = || stretch.iter().enumerate();
        let by_value = |a: &(usize, &Point), b: &(usize, &Point)| a.1.1.total_cmp(&b.1.1);
        let extremes = [places().min_by(by_value), places().max_by(by_value)];
        let here = extremes.into_iter().flatten();
        kept.extend(here.map(|(place, _)| number * size + place));
    }
    kept.sort_unstable();
    kept.dedup();
    kept.iter()
        .filter_map(|place| curve.get(*place))
        .copied()
        .collect()
}

/// Returns of a year by month, as fractions, and of the year as a whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Year {
    pub(super) months: [Option<f64>; 12],
    pub(super) whole: f64,
}

/// Returns by UTC month and year: the last equity of each against the last of the one before, the
/// first against the first equity of all.
pub(super) fn years(curve: &[(Timestamp, Usdc)]) -> BTreeMap<String, Year> {
    let mut ends: Vec<(String, usize, f64)> = Vec::new();
    for (at, equity) in curve {
        let text = at.to_rfc3339();
        let year = text.get(..4).unwrap_or_default();
        let month = text.get(5..7).and_then(|month| month.parse::<usize>().ok());
        let month = month.unwrap_or(1).clamp(1, 12) - 1;
        match ends.last_mut() {
            Some((y, m, value)) if y == year && *m == month => *value = equity.to_f64(),
            _ => ends.push((year.to_owned(), month, equity.to_f64())),
        }
    }
    let mut years: BTreeMap<String, Year> = BTreeMap::new();
    let mut before = curve.first().map_or(0.0, |(_, first)| first.to_f64());
    let mut year_before = before;
    let mut last_year = String::new();
    for (name, month, end) in ends {
        if name != last_year {
            year_before = before;
            last_year.clone_from(&name);
        }
        let year = years.entry(name).or_default();
        if before > 0.0
            && let Some(slot) = year.months.get_mut(month)
        {
            *slot = Some(end / before - 1.0);
        }
        if year_before > 0.0 {
            year.whole = end / year_before - 1.0;
        }
        before = end;
    }
    years
}

/// A bar of a distribution: from `low` to below `high`; the outermost hold what lies beyond too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bar {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) count: u64,
}

/// How often results of a size occur, in bars of a round width around zero; 98 of 100 lie inside.
pub(super) fn distribution(results: &[f64]) -> Vec<Bar> {
    let sizes: Vec<f64> = results.iter().map(|value| value.abs()).collect();
    let Some(reach) = stats::quantile(&sizes, 0.98).filter(|reach| *reach > 0.0) else {
        return Vec::new();
    };
    let width = round_up(reach / BARS as f64);
    let low = |bar: usize| (bar as f64 - BARS as f64) * width;
    let mut bars: Vec<Bar> = (0..2 * BARS)
        .map(|bar| Bar {
            low: low(bar),
            high: low(bar + 1),
            count: 0,
        })
        .collect();
    for value in results {
        let place = (value / width).floor() + BARS as f64;
        let place = place.clamp(0.0, (2 * BARS - 1) as f64) as usize;
        if let Some(bar) = bars.get_mut(place) {
            bar.count += 1;
        }
    }
    bars
}

/// The next of 1, 2, 5, 10 … at or above.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let found = [1.0, 2.0, 5.0].map(|step| step * power);
    found
        .into_iter()
        .find(|step| *step >= value * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// Fair prices of one class: how many, their mean, and what their tokens paid on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Class {
    pub(super) count: u64,
    pub(super) fair: f64,
    pub(super) paid: f64,
}

/// Fair prices acted upon whose market has resolved, in ten classes from 0 to 1; empty ones are left
/// out.
pub(super) fn calibration(forecasts: &[Forecast]) -> Vec<Class> {
    let mut sums = [(0_u64, 0.0_f64, 0.0_f64); CLASSES];
    for forecast in forecasts {
        let Some(payout) = forecast.payout else {
            continue;
        };
        let place = (forecast.fair * CLASSES as f64).clamp(0.0, CLASSES as f64 - 1.0) as usize;
        if let Some((count, fair, paid)) = sums.get_mut(place) {
            *count += 1;
            *fair += forecast.fair;
            *paid += payout.to_f64();
        }
    }
    let known = sums.into_iter().filter(|(count, ..)| *count > 0);
    known
        .map(|(count, fair, paid)| Class {
            count,
            fair: fair / count as f64,
            paid: paid / count as f64,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MarketId, Price, TokenId};

    #[test]
    fn a_long_curve_keeps_its_extremes_and_ends() {
        let curve: Vec<Point> = (0..10_000)
            .map(|second| {
                let equity = match second {
                    1_234 => 1.0,
                    7_777 => 5_000.0,
                    _ => 1_000.0,
                };
                (Timestamp::from_secs(second), equity)
            })
            .collect();
        let kept = thinned(&curve);
        assert!(kept.len() <= 802, "{}", kept.len());
        for wanted in [0_usize, 1_234, 7_777, 9_999] {
            assert!(kept.contains(&curve[wanted]), "{wanted}");
        }
        assert!(kept.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn months_and_years_follow_on_one_another() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let years = years(&[
            (at("2025-11-10T00:00:00Z"), Usdc::whole(100)),
            (at("2025-11-30T23:00:00Z"), Usdc::whole(110)),
            (at("2025-12-05T00:00:00Z"), Usdc::whole(99)),
            (at("2026-02-01T00:00:00Z"), Usdc::whole(198)),
        ]);
        let close = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-12);
        close(years["2025"].months[10], 0.10);
        close(years["2025"].months[11], -0.10);
        close(Some(years["2025"].whole), -0.01);
        // January has no row; February doubles December's end.
        assert_eq!(years["2026"].months[0], None);
        close(years["2026"].months[1], 1.0);
        close(Some(years["2026"].whole), 1.0);
    }

    #[test]
    fn bars_are_round_and_hold_everything() {
        // 98 % of the sizes lie below 9.8 + …: ten bars of 1 on each side.
        let bars = distribution(&[-9.5, -0.5, 0.0, 0.5, 3.0, 9.7, 9.9]);
        assert_eq!(bars.len(), 20);
        assert_eq!((bars[0].low, bars[19].high), (-10.0, 10.0));
        assert_eq!((bars[0].count, bars[9].count, bars[10].count), (1, 1, 2));
        assert_eq!((bars[13].count, bars[19].count), (1, 2));
        assert!(distribution(&[]).is_empty() && distribution(&[0.0]).is_empty());
        assert_eq!(round_up(0.013), 0.02);
        assert_eq!(round_up(5.1), 10.0);
    }

    #[test]
    fn fair_prices_fall_into_classes() {
        let forecast = |fair: f64, payout: Option<&str>| Forecast {
            at: Timestamp::from_secs(0),
            strategy: String::new(),
            market: MarketId::new("m"),
            category: None,
            token: TokenId::new("t"),
            fair,
            market_price: None,
            edge: 0.0,
            payout: payout.map(|text| Price::parse(text).unwrap()),
        };
        let classes = calibration(&[
            forecast(0.62, Some("1")),
            forecast(0.68, Some("0")),
            forecast(0.65, None),
            forecast(1.0, Some("1")),
        ]);
        assert_eq!(classes.len(), 2);
        assert_eq!((classes[0].count, classes[0].paid), (2, 0.5));
        assert!((classes[0].fair - 0.65).abs() < 1e-12);
        assert_eq!((classes[1].count, classes[1].fair), (1, 1.0));
    }

    #[test]
    fn falls_are_counted_from_the_peak() {
        let at = Timestamp::from_secs;
        let usd = Usdc::whole;
        let falls = below_peak(&[(at(0), usd(100)), (at(1), usd(75)), (at(2), usd(120))]);
        assert_eq!(
            falls.iter().map(|(_, fall)| *fall).collect::<Vec<_>>(),
            [0.0, -0.25, 0.0]
        );
    }
}

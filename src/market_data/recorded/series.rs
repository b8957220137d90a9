//! One recorded market: its prices through time, and what of it could be seen at a moment.

use std::sync::Arc;

use crate::domain::{
    FeeSchedule, Market, MarketStatus, Price, PricePoint, Resolution, Timestamp, Usdc,
};

use super::fees::FeeRule;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// A market without a row for at least this long is no longer taken as open.
const QUIET: i64 = 3 * DAY;
/// So many of the latest spacings between rows tell what is typical.
const SPACINGS: usize = 50;
/// Mid prices of a one-cent book lie on half cents; anything finer needs a finer tick.
const HALF_CENT: u32 = 5_000;

/// A recorded market. Everything about a moment is computed from rows at or before it.
#[derive(Debug)]
pub struct Series {
    /// What does not change with time; the rest is set by [`Series::market`].
    template: Market,
    points: Arc<Vec<PricePoint>>,
    /// Known (non-zero) values of the volume column, oldest first.
    volumes: Vec<(Timestamp, Usdc)>,
    /// First moment at which the volume fell: from then on it is not a cumulative one.
    volume_fell: Option<Timestamp>,
    tick: TickRule,
    fee: FeeRule,
    resolution: Option<(Timestamp, Resolution)>,
    /// Index of the file that the market was first met in.
    pub(super) file: usize,
    /// Index of the event that it belongs to.
    pub(super) event: Option<usize>,
}

/// Where the tick comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TickRule {
    /// Stated by the metadata.
    Stated(Price),
    /// 0.01 until the first price that does not fit it, 0.001 from then on.
    Inferred {
        /// When that price came; `None` if it never did.
        fine_since: Option<Timestamp>,
    },
}

/// What a loader hands over to make a [`Series`].
pub(super) struct Parts {
    pub(super) template: Market,
    /// Sorted by time, one per moment.
    pub(super) points: Vec<PricePoint>,
    /// Sorted by time, known ones only.
    pub(super) volumes: Vec<(Timestamp, Usdc)>,
    pub(super) stated_tick: Option<Price>,
    pub(super) fee: FeeRule,
    pub(super) resolution: Option<Resolution>,
    pub(super) file: usize,
    pub(super) event: Option<usize>,
}

/// The part of a market that changes with time. Two moments with equal values can share a
/// [`Market`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visible {
    /// Smallest price step, as far as could be known.
    pub tick: Price,
    /// Fee terms in force.
    pub fee: FeeSchedule,
    /// Value of the volume column in the latest row, pUSD; `None` when unknown.
    pub volume: Option<Usdc>,
    /// Volume of the 24 hours before the latest row, where the column is cumulative.
    pub volume_24h: Option<Usdc>,
    /// Open, paused (no row for long) or closed (resolved).
    pub status: MarketStatus,
}

impl Series {
    pub(super) fn new(parts: Parts) -> Self {
        let tick = match parts.stated_tick {
            Some(tick) => TickRule::Stated(tick),
            None => TickRule::Inferred {
                fine_since: parts
                    .points
                    .iter()
                    .find(|point| !exact(point.price).micros().is_multiple_of(HALF_CENT))
                    .map(|point| point.at),
            },
        };
        let volume_fell = parts
            .volumes
            .iter()
            .zip(parts.volumes.iter().skip(1))
            .find(|(before, after)| after.1 < before.1)
            .map(|(_, after)| after.0);
        Series {
            template: parts.template,
            points: Arc::new(parts.points),
            volumes: parts.volumes,
            volume_fell,
            tick,
            fee: parts.fee,
            resolution: parts
                .resolution
                .and_then(|resolution| Some((resolution.resolved_at?, resolution))),
            file: parts.file,
            event: parts.event,
        }
    }

    /// The parts of the market that do not change: id, question, outcomes, dates.
    #[must_use]
    pub fn template(&self) -> &Market {
        &self.template
    }

    /// All prices of the first outcome, oldest first. Shared, never copied.
    #[must_use]
    pub fn points(&self) -> &Arc<Vec<PricePoint>> {
        &self.points
    }

    /// How and when it ended, where the recording knows.
    #[must_use]
    pub fn resolution(&self) -> Option<(Timestamp, &Resolution)> {
        self.resolution.as_ref().map(|(at, how)| (*at, how))
    }

    /// True from the moment of its resolution on.
    #[must_use]
    pub fn is_resolved(&self, at: Timestamp) -> bool {
        self.resolution
            .as_ref()
            .is_some_and(|(then, _)| *then <= at)
    }

    /// Index of the last row at or before `at`; `None` when the market was not there yet.
    #[must_use]
    pub fn last_row(&self, at: Timestamp) -> Option<usize> {
        self.points
            .partition_point(|point| point.at <= at)
            .checked_sub(1)
    }

    /// Time and price of row `row`.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<(Timestamp, Price)> {
        self.points
            .get(row)
            .map(|point| (point.at, exact(point.price)))
    }

    pub(super) fn volume_fell(&self) -> Option<Timestamp> {
        self.volume_fell
    }

    pub(super) fn first_volume(&self) -> Option<Timestamp> {
        self.volumes.first().map(|(at, _)| *at)
    }

    /// What could be seen at `at`, when `row` was the latest row. `cumulative` is
    /// the dataset's verdict on the volume column at that moment.
    pub(super) fn visible(&self, row: usize, at: Timestamp, cumulative: bool) -> Visible {
        let row_at = self.points.get(row).map(|point| point.at);
        let known = row_at.and_then(|row_at| self.volume_index(row_at));
        let volume = known
            .and_then(|index| self.volumes.get(index))
            .map(|(_, volume)| *volume);
        Visible {
            tick: self.tick_at(at),
            fee: self.fee.at(at),
            volume,
            volume_24h: known
                .filter(|_| cumulative && self.volume_fell.is_none_or(|fell| at < fell))
                .and_then(|index| self.trailing_day(index)),
            status: self.status(row, at),
        }
    }

    /// The market with its visible part set.
    #[must_use]
    pub fn market(&self, visible: &Visible) -> Market {
        let mut market = self.template.clone();
        market.tick = visible.tick;
        market.fee = visible.fee;
        market.volume = visible.volume;
        market.volume_24h = visible.volume_24h;
        market.status = visible.status;
        market
    }

    fn tick_at(&self, at: Timestamp) -> Price {
        let micros = match self.tick {
            TickRule::Stated(tick) => return tick,
            TickRule::Inferred {
                fine_since: Some(since),
            } if since <= at => 1_000,
            TickRule::Inferred { .. } => 10_000,
        };
        Price::from_micros(micros).unwrap_or(Price::ONE)
    }

    /// Closed once resolved; paused when the last row is older than three days and three times the
    /// typical spacing of the rows so far; open otherwise.
    fn status(&self, row: usize, at: Timestamp) -> MarketStatus {
        if self.is_resolved(at) {
            return MarketStatus::Closed;
        }
        let age = self.points.get(row).map_or(0, |point| at.since(point.at));
        if age <= QUIET || age <= self.typical_spacing(row).saturating_mul(3) {
            MarketStatus::Open
        } else {
            MarketStatus::Paused
        }
    }

    /// Median of the latest spacings up to `row`, in ms; 0 with a single row.
    fn typical_spacing(&self, row: usize) -> i64 {
        let recent = self
            .points
            .get(row.saturating_sub(SPACINGS)..=row)
            .unwrap_or_default();
        let mut spacings: Vec<i64> = recent
            .iter()
            .zip(recent.iter().skip(1))
            .map(|(before, after)| after.at.since(before.at))
            .collect();
        spacings.sort_unstable();
        spacings.get(spacings.len() / 2).copied().unwrap_or(0)
    }

    fn volume_index(&self, row_at: Timestamp) -> Option<usize> {
        self.volumes
            .binary_search_by_key(&row_at, |(at, _)| *at)
            .ok()
    }

    /// Growth of a cumulative volume in the 24 hours before value `index`; the value 24 hours
    /// before is taken on the line between its neighbours. `None` until there are 24 hours of data.
    fn trailing_day(&self, index: usize) -> Option<Usdc> {
        let (now_at, now) = self.volumes.get(index).copied()?;
        let then = now_at.plus_millis(-DAY);
        let after = self.volumes.partition_point(|(at, _)| *at <= then);
        let (before_at, before) = self.volumes.get(after.checked_sub(1)?).copied()?;
        let (after_at, after) = self.volumes.get(after).copied()?;
        let span = i128::from(after_at.since(before_at)).max(1);
        let grown = i128::from(after.minus(before).micros());
        let part = grown * i128::from(then.since(before_at)) / span;
        let base = before.plus(Usdc::from_micros(i64::try_from(part).ok()?));
        Some(now.minus(base))
    }
}

/// The exact price that a recorded point stands for: points hold whole micro-units.
pub(super) fn exact(price: f64) -> Price {
    // In range by construction: a point is made from a Price.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 1,000,000 by construction"
    )]
    let micros = (price * 1e6).round() as u32;
    Price::from_micros(micros).unwrap_or(Price::ONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market_data::recorded::tests::{hour, market};

    fn series(prices: &[(i64, &str)], volumes: &[(i64, i32)]) -> Series {
        Series::new(Parts {
            template: market("m"),
            points: prices
                .iter()
                .map(|(h, price)| PricePoint {
                    at: hour(*h),
                    price: Price::parse(price).unwrap().to_f64(),
                })
                .collect(),
            volumes: volumes
                .iter()
                .map(|(h, volume)| (hour(*h), Usdc::whole(*volume)))
                .collect(),
            stated_tick: None,
            fee: FeeRule::new(Some(false), None).unwrap(),
            resolution: None,
            file: 0,
            event: None,
        })
    }

    #[test]
    fn every_micro_price_survives_the_float() {
        for micros in (0..=1_000_000).step_by(7) {
            let price = Price::from_micros(micros).unwrap();
            assert_eq!(exact(price.to_f64()), price);
        }
    }

    #[test]
    fn the_tick_gets_finer_when_a_price_shows_it_and_not_before() {
        let one = series(&[(0, "0.5"), (1, "0.505"), (2, "0.507"), (3, "0.51")], &[]);
        assert_eq!(
            one.tick_at(hour(1)).to_string(),
            "0.01",
            "half cents are mids"
        );
        assert_eq!(one.tick_at(hour(2)).to_string(), "0.001");
        assert_eq!(one.tick_at(hour(3)).to_string(), "0.001");
    }

    #[test]
    fn a_market_is_paused_after_three_days_or_three_spacings() {
        let hourly = series(&[(0, "0.5"), (1, "0.5"), (2, "0.5")], &[]);
        assert_eq!(hourly.status(2, hour(2 + 72)), MarketStatus::Open);
        assert_eq!(
            hourly.status(2, hour(2 + 72).plus_millis(1)),
            MarketStatus::Paused
        );
        // Every two days: three spacings are six days.
        let sparse = series(&[(0, "0.5"), (48, "0.5"), (96, "0.5")], &[]);
        assert_eq!(sparse.status(2, hour(96 + 144)), MarketStatus::Open);
        assert_eq!(sparse.status(2, hour(96 + 145)), MarketStatus::Paused);
        assert_eq!(sparse.typical_spacing(0), 0);
    }

    #[test]
    fn a_trailing_day_needs_a_day_and_interpolates() {
        let prices: Vec<(i64, &str)> = [0, 12, 20, 30, 40].map(|h| (h, "0.5")).to_vec();
        let one = series(
            &prices,
            &[(0, 100), (12, 160), (20, 200), (30, 300), (40, 320)],
        );
        let volume = |row: usize| {
            let at = one.points[row].at;
            let seen = one.visible(row, at, true);
            (seen.volume, seen.volume_24h)
        };
        assert_eq!(volume(2), (Some(Usdc::whole(200)), None), "20 h of data");
        // 30 h: six hours in, between 100 at 0 h and 160 at 12 h, the line gives 130.
        assert_eq!(volume(3), (Some(Usdc::whole(300)), Some(Usdc::whole(170))));
        // 40 h: 16 h lies half-way between 160 and 200.
        assert_eq!(volume(4), (Some(Usdc::whole(320)), Some(Usdc::whole(140))));
        let unknown = one.visible(4, hour(40), false);
        assert_eq!(unknown.volume_24h, None, "not known to be cumulative");
    }

    #[test]
    fn a_volume_that_fell_is_not_cumulative_from_then_on() {
        let prices: Vec<(i64, &str)> = [0, 24, 48, 72].map(|h| (h, "0.5")).to_vec();
        let one = series(&prices, &[(0, 100), (24, 160), (48, 150), (72, 400)]);
        assert_eq!(
            one.visible(1, hour(24), true).volume_24h,
            Some(Usdc::whole(60))
        );
        assert_eq!(one.visible(2, hour(48), true).volume_24h, None);
        assert_eq!(one.visible(3, hour(72), true).volume_24h, None);
    }
}

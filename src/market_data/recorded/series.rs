//! One recorded market: its prices through time, and what of it could be seen at a moment.

use std::sync::Arc;

use crate::domain::{
    FeeSchedule, Market, MarketStatus, Price, PricePoint, Resolution, Timestamp, Usdc,
};

use super::fees::{FEES_SINCE, FeeRule};
use super::growing::Quote;
use super::volume::VolumeKind;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// A market without a row for at least this long is no longer taken as open.
const QUIET: i64 = 3 * DAY;
/// A book of a row no older than this is never stale.
const FRESH: i64 = HOUR;
/// A cumulative volume's growth over more than this says nothing of a day.
const LONGEST_DAY: i64 = 2 * DAY;
/// So many of the latest spacings between rows tell what is typical.
const SPACINGS: usize = 50;
/// Mid prices of a one-cent book lie on half cents; anything finer needs a finer tick.
const HALF_CENT: u32 = 5_000;
const CENT: u32 = 10_000;

/// A recorded market. Everything about a moment is computed from rows at or before it.
#[derive(Debug)]
pub struct Series {
    /// What does not change with time; the rest is set by [`Series::market`].
    template: Market,
    points: Arc<Vec<PricePoint>>,
    /// Beside the points; empty where no row tells any.
    quotes: Vec<Quote>,
    /// Known (non-zero) values of the volume column, oldest first.
    pub(super) volumes: Vec<(Timestamp, Usdc)>,
    /// Beside the volumes, their sums from the first on; only for a file of volumes per row.
    volume_sums: Vec<Usdc>,
    /// Moments at which the volume fell.
    falls: Vec<Timestamp>,
    /// First price that does not lie on half cents; `None` if there is none.
    fine_since: Option<Timestamp>,
    /// What the metadata says, and from when on; the first holds from the beginning.
    editions: Vec<Edition>,
    resolution: Option<(Timestamp, Resolution)>,
    /// Index of the file that the market was first met in.
    pub(super) file: usize,
    /// Index of the event that it belongs to.
    pub(super) event: Option<usize>,
}

/// What the metadata says that may change.
#[derive(Debug, Clone)]
pub(super) struct Edition {
    /// Since when it says so.
    pub(super) from: Timestamp,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) category: Option<String>,
    pub(super) description: Option<String>,
    /// `None`: 0.01 until the first price that does not fit it, 0.001 from then on.
    pub(super) tick: Option<Price>,
    pub(super) fee: FeeRule,
}

/// What a loader hands over to make a [`Series`].
pub(super) struct Parts {
    pub(super) template: Market,
    /// Sorted by time, one per moment.
    pub(super) points: Vec<PricePoint>,
    /// Beside the points, or empty.
    pub(super) quotes: Vec<Quote>,
    /// Sorted by time, known ones only.
    pub(super) volumes: Vec<(Timestamp, Usdc)>,
    /// Sorted by time, at least one.
    pub(super) editions: Vec<Edition>,
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
    /// Volume since the market began, pUSD; `None` when unknown.
    pub volume: Option<Usdc>,
    /// Volume of the 24 hours before the latest row, pUSD; `None` when unknown.
    pub volume_24h: Option<Usdc>,
    /// Open, paused (no row for long) or closed (resolved).
    pub status: MarketStatus,
    /// True when the latest row is too old for a book: far older than the spacing of the rows so
    /// far explains.
    pub stale: bool,
    /// Which edition of the metadata was there.
    edition: usize,
}

impl Series {
    pub(super) fn new(parts: Parts) -> Self {
        let off = |price: Price, step: u32| !price.micros().is_multiple_of(step);
        let fine_since = parts
            .points
            .iter()
            .enumerate()
            .find(|(row, point)| {
                let quote = parts.quotes.get(*row).copied().unwrap_or_default();
                let sides = [quote.bid(), quote.ask()];
                off(exact(point.price), HALF_CENT)
                    || sides.into_iter().flatten().any(|price| off(price, CENT))
            })
            .map(|(_, point)| point.at);
        let falls = parts
            .volumes
            .iter()
            .zip(parts.volumes.iter().skip(1))
            .filter(|(before, after)| after.1 < before.1)
            .map(|(_, after)| after.0)
            .collect();
        Series {
            template: parts.template,
            points: Arc::new(parts.points),
            quotes: parts.quotes,
            volumes: parts.volumes,
            volume_sums: Vec::new(),
            falls,
            fine_since,
            editions: parts.editions,
            resolution: parts
                .resolution
                .and_then(|resolution| Some((resolution.resolved_at?, resolution))),
            file: parts.file,
            event: parts.event,
        }
    }

    /// The parts of the market that do not change: id, question, outcomes, and what the metadata
    /// said first.
    #[must_use]
    pub fn template(&self) -> &Market {
        &self.template
    }

    /// All prices of the first outcome, oldest first. Shared, never copied.
    #[must_use]
    pub fn points(&self) -> &Arc<Vec<PricePoint>> {
        &self.points
    }

    /// True when the metadata says one thing from the beginning to the end.
    #[must_use]
    pub fn is_told_once(&self) -> bool {
        self.editions.len() < 2
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

    /// Best bid and ask that row `row` tells.
    pub(super) fn quote(&self, row: usize) -> Quote {
        self.quotes.get(row).copied().unwrap_or_default()
    }

    /// Adds the volumes up, as a file of volumes per row needs it.
    pub(super) fn sum_volumes(&mut self) {
        let mut sum = Usdc::ZERO;
        self.volume_sums = self
            .volumes
            .iter()
            .map(|(_, volume)| {
                sum = sum.plus(*volume);
                sum
            })
            .collect();
    }

    /// What could be seen at `at`, when `row` was the latest row. `kind` is what the volume column
    /// was known to be at that moment.
    pub(super) fn visible(&self, row: usize, at: Timestamp, kind: VolumeKind) -> Visible {
        let row_at = self.points.get(row).map_or(at, |point| point.at);
        let known = |index: Option<usize>| index.and_then(|index| self.volumes.get(index));
        let told = self.volume_index(row_at);
        let (volume, volume_24h) = match kind {
            VolumeKind::Unknown => (None, None),
            VolumeKind::Day => (None, known(told).map(|(_, volume)| *volume)),
            VolumeKind::Cumulative => (
                known(told).map(|(_, volume)| *volume),
                told.and_then(|index| self.grown_in_a_day(index)),
            ),
            VolumeKind::PerRow => self.summed(row_at),
        };
        let edition = self
            .editions
            .partition_point(|edition| edition.from <= at)
            .saturating_sub(1);
        let terms = self.editions.get(edition);
        let age = at.since(row_at);
        Visible {
            tick: terms
                .and_then(|terms| terms.tick)
                .unwrap_or_else(|| self.shown_tick(at)),
            fee: terms.map_or(FeeSchedule::FREE, |terms| terms.fee.at(at)),
            volume,
            volume_24h,
            status: self.status(row, age, at),
            stale: age > FRESH && age > self.usual_age(row),
            edition,
        }
    }

    /// Until when new rows show of this market what a row at `at` does, but for the price; `None` where its volume
    /// or its metadata may change with every row.
    #[must_use]
    pub fn steady_until(&self, at: Timestamp) -> Option<Timestamp> {
        if !self.volumes.is_empty() || !self.is_told_once() {
            return None;
        }
        let resolved = self.resolution.as_ref().map(|(then, _)| *then);
        let changes = [self.fine_since, resolved, Some(FEES_SINCE)];
        let later = changes.into_iter().flatten().filter(|then| *then > at);
        Some(later.min().unwrap_or(Timestamp::from_millis(i64::MAX)))
    }

    /// The market with its visible part set.
    #[must_use]
    pub fn market(&self, visible: &Visible) -> Market {
        let mut market = self.template.clone();
        self.set(&mut market, visible);
        market
    }

    /// Makes of an earlier sight of this market what is visible now; in place if nobody else holds it, and
    /// not at all if nothing has changed.
    pub fn show(&self, market: &mut Arc<Market>, visible: &Visible) {
        let same = market.tick == visible.tick
            && market.fee == visible.fee
            && market.volume == visible.volume
            && market.volume_24h == visible.volume_24h
            && market.status == visible.status;
        if same && self.editions.len() < 2 {
            return;
        }
        match Arc::get_mut(market) {
            Some(market) => self.set(market, visible),
            None => *market = Arc::new(self.market(visible)),
        }
    }

    fn set(&self, market: &mut Market, visible: &Visible) {
        // The template is what the first edition says.
        if (visible.edition > 0 || self.editions.len() > 1)
            && let Some(terms) = self.editions.get(visible.edition)
        {
            market.start = terms.start;
            market.end = terms.end;
            market.category.clone_from(&terms.category);
            market.description.clone_from(&terms.description);
        }
        market.tick = visible.tick;
        market.fee = visible.fee;
        market.volume = visible.volume;
        market.volume_24h = visible.volume_24h;
        market.status = visible.status;
    }

    /// The tick that the prices have shown by then.
    fn shown_tick(&self, at: Timestamp) -> Price {
        let fine = self.fine_since.is_some_and(|since| since <= at);
        Price::from_micros(if fine { 1_000 } else { 10_000 }).unwrap_or(Price::ONE)
    }

    /// Closed once resolved; paused when the last row is older than three days and three times the
    /// typical spacing of the rows so far; open otherwise.
    fn status(&self, row: usize, age: i64, at: Timestamp) -> MarketStatus {
        if self.is_resolved(at) {
            return MarketStatus::Closed;
        }
        let usual = || self.spacings(row, |count| count / 2).unwrap_or(0);
        if age <= QUIET || age <= usual().saturating_mul(3) {
            MarketStatus::Open
        } else {
            MarketStatus::Paused
        }
    }

    /// How old the latest row may be before its book is stale: three times the spacing that nine in
    /// ten of the latest rows keep, so that a recording that leaves out unchanged prices is not
    /// taken for a broken one; three days when there is one row only.
    fn usual_age(&self, row: usize) -> i64 {
        self.spacings(row, |count| count * 9 / 10)
            .map_or(QUIET, |spacing| spacing.saturating_mul(3))
    }

    /// Of the latest spacings up to `row` in ms, by size, the one that `which` chooses by their
    /// number; `None` with a single row.
    fn spacings(&self, row: usize, which: impl Fn(usize) -> usize) -> Option<i64> {
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
        spacings.get(which(spacings.len())).copied()
    }

    fn volume_index(&self, row_at: Timestamp) -> Option<usize> {
        self.volumes
            .binary_search_by_key(&row_at, |(at, _)| *at)
            .ok()
    }

    /// Growth of a cumulative volume since the last value that is at least 24 hours older than value
    /// `index`. `None` when there is none, when it is older than 48 hours (what was traded since says
    /// nothing of a day), or when the volume fell in between.
    fn grown_in_a_day(&self, index: usize) -> Option<Usdc> {
        let (now_at, now) = self.volumes.get(index).copied()?;
        let then = now_at.plus_millis(-DAY);
        let count = self.volumes.partition_point(|(at, _)| *at <= then);
        let (before_at, before) = self.volumes.get(count.checked_sub(1)?).copied()?;
        if now_at.since(before_at) > LONGEST_DAY {
            return None;
        }
        let fell = self.falls.partition_point(|at| *at <= now_at);
        let last_fall = fell.checked_sub(1).and_then(|last| self.falls.get(last));
        if last_fall.is_some_and(|at| *at > before_at) {
            return None;
        }
        Some(now.minus(before))
    }

    /// Sums of the volumes per row up to `row_at`: of all, and of the last 24 hours when the rows
    /// reach back so far. `None` while no volume has been known.
    fn summed(&self, row_at: Timestamp) -> (Option<Usdc>, Option<Usdc>) {
        let until = |at: Timestamp| {
            let count = self.volumes.partition_point(|(then, _)| *then <= at);
            count
                .checked_sub(1)
                .and_then(|last| self.volume_sums.get(last).copied())
        };
        let Some(total) = until(row_at) else {
            return (None, None);
        };
        let then = row_at.plus_millis(-DAY);
        let whole = self.points.first().is_some_and(|first| first.at <= then);
        let day = whole.then(|| total.minus(until(then).unwrap_or(Usdc::ZERO)));
        (Some(total), day)
    }
}

/// The exact price that a recorded point stands for: points hold whole micro-units.
pub(super) fn exact(price: f64) -> Price {
    // In range by construction: a point is made from a Price.
    Price::nearest(price).unwrap_or(Price::ONE)
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
            quotes: Vec::new(),
            volumes: volumes
                .iter()
                .map(|(h, volume)| (hour(*h), Usdc::whole(*volume)))
                .collect(),
            editions: vec![Edition {
                from: Timestamp::from_millis(i64::MIN),
                start: None,
                end: None,
                category: None,
                description: None,
                tick: None,
                fee: FeeRule::new(Some(false), None).unwrap(),
            }],
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
        let tick = |h| {
            let row = one.last_row(hour(h)).unwrap();
            one.visible(row, hour(h), VolumeKind::Unknown)
                .tick
                .to_string()
        };
        assert_eq!(tick(1), "0.01", "half cents are mids");
        assert_eq!(tick(2), "0.001");
        assert_eq!(tick(3), "0.001");
    }

    /// Rows around the day from which fees are charged, a finer price two hours later, the end after two more.
    #[test]
    fn what_rows_show_is_steady_until_something_changes() {
        let since = |hours: i64| FEES_SINCE.plus_millis(hours * HOUR);
        let row = |hours: i64, price: f64| PricePoint {
            at: since(hours),
            price,
        };
        let mut one = series(&[], &[]);
        one.points = Arc::new(vec![
            row(-2, 0.5),
            row(-1, 0.51),
            row(0, 0.52),
            row(1, 0.5),
            row(2, 0.501),
            row(3, 0.5),
            row(4, 0.5),
        ]);
        one.fine_since = Some(since(2));
        one.editions[0].fee = FeeRule::new(None, Some("crypto")).unwrap();
        let end = Resolution {
            market_id: one.template.id.clone(),
            payouts: Vec::new(),
            resolved_at: Some(since(4)),
            evidence: String::new(),
        };
        one.resolution = Some((since(4), end));
        let until: Vec<Option<Timestamp>> = (-2..=4)
            .map(|hours| one.steady_until(since(hours)))
            .collect();
        let always = Timestamp::from_millis(i64::MAX);
        let expected = [
            since(0),
            since(0),
            since(2),
            since(2),
            since(4),
            since(4),
            always,
        ];
        assert_eq!(until, expected.map(Some));
        for (row, until) in until.into_iter().enumerate() {
            let at = |row: usize| one.points[row].at;
            let visible = |row: usize| one.visible(row, at(row), VolumeKind::Day);
            for later in row + 1..one.points.len() {
                let is_same = visible(later) == visible(row);
                assert_eq!(is_same, until > Some(at(later)), "{row} and {later}");
            }
        }
        let told = series(&[(0, "0.5")], &[(0, 7)]);
        assert_eq!(
            told.steady_until(since(0)),
            None,
            "volume may come with every row"
        );
        one.editions.push(one.editions[0].clone());
        assert_eq!(one.steady_until(since(0)), None, "as may metadata");
    }

    fn shown(one: &Series, at: Timestamp) -> Visible {
        one.visible(one.last_row(at).unwrap(), at, VolumeKind::Unknown)
    }

    #[test]
    fn a_market_is_paused_after_three_days_or_three_spacings() {
        let status = |one: &Series, at| shown(one, at).status;
        let hourly = series(&[(0, "0.5"), (1, "0.5"), (2, "0.5")], &[]);
        assert_eq!(status(&hourly, hour(2 + 72)), MarketStatus::Open);
        assert_eq!(
            status(&hourly, hour(2 + 72).plus_millis(1)),
            MarketStatus::Paused
        );
        // Every two days: three spacings are six days.
        let sparse = series(&[(0, "0.5"), (48, "0.5"), (96, "0.5")], &[]);
        assert_eq!(status(&sparse, hour(96 + 144)), MarketStatus::Open);
        assert_eq!(status(&sparse, hour(96 + 145)), MarketStatus::Paused);
    }

    #[test]
    fn a_book_is_stale_after_three_of_the_usual_spacings() {
        let stale = |one: &Series, h: i64| shown(one, hour(h)).stale;
        let hourly = series(&[(0, "0.5"), (1, "0.5"), (2, "0.5")], &[]);
        assert!(!stale(&hourly, 2 + 3));
        assert!(stale(&hourly, 2 + 4));
        let daily = series(&[(0, "0.5"), (24, "0.5"), (48, "0.5")], &[]);
        assert!(!stale(&daily, 48 + 72));
        assert!(stale(&daily, 48 + 73));
        let single = series(&[(0, "0.5")], &[]);
        assert!(!stale(&single, 72));
        assert!(stale(&single, 73));
        // Rows only when the price changed: nine in ten of 20 spacings are at most 10 h (nineteen
        // of 1 or 10 h, one of 50 h), so 30 h is nothing unusual.
        let mut h = 0;
        let mut rows = vec![(0, "0.5")];
        for number in 0..20 {
            h += match number {
                7 => 50,
                number if number % 2 == 0 => 1,
                _ => 10,
            };
            rows.push((h, "0.5"));
        }
        let seldom = series(&rows, &[]);
        assert!(!stale(&seldom, h + 30));
        assert!(stale(&seldom, h + 31));
        // A file of every second: an hour is never stale.
        let at = |seconds: i64| hour(0).plus_millis(seconds * 1000);
        let mut quick = series(&[], &[]);
        let point = |second| PricePoint {
            at: at(second),
            price: 0.5,
        };
        quick.points = Arc::new((0..60).map(point).collect());
        assert!(!shown(&quick, at(59 + 3_600)).stale);
        assert!(shown(&quick, at(59 + 3_601)).stale);
    }

    type Volumes = (Option<Usdc>, Option<Usdc>);

    fn volumes(one: &Series, h: i64, kind: VolumeKind) -> Volumes {
        let seen = one.visible(one.last_row(hour(h)).unwrap(), hour(h), kind);
        (seen.volume, seen.volume_24h)
    }

    fn pusd(amount: i32) -> Option<Usdc> {
        Some(Usdc::whole(amount))
    }

    #[test]
    fn a_cumulative_volume_grows_over_at_least_a_day() {
        let prices: Vec<(i64, &str)> = [0, 12, 20, 30, 40, 90].map(|h| (h, "0.5")).to_vec();
        let one = series(
            &prices,
            &[
                (0, 100),
                (12, 160),
                (20, 200),
                (30, 300),
                (40, 320),
                (90, 900),
            ],
        );
        let told = |h| volumes(&one, h, VolumeKind::Cumulative);
        assert_eq!(told(20), (pusd(200), None), "20 h of data");
        // 30 h: the last value at least 24 h older is that of 0 h: 300 - 100.
        assert_eq!(told(30), (pusd(300), pusd(200)));
        // 40 h: that of 12 h: 320 - 160.
        assert_eq!(told(40), (pusd(320), pusd(160)));
        // 90 h: that of 40 h is 50 h older, and 580 were not traded in a day.
        assert_eq!(told(90), (pusd(900), None));
        assert_eq!(volumes(&one, 40, VolumeKind::Unknown), (None, None));
        assert_eq!(volumes(&one, 40, VolumeKind::Day), (None, pusd(320)));
        assert_eq!(
            volumes(&one, 41, VolumeKind::Day),
            (None, pusd(320)),
            "the latest row's"
        );
    }

    #[test]
    fn a_cumulative_volume_that_fell_within_the_day_has_no_growth() {
        let prices: Vec<(i64, &str)> = [0, 24, 48, 72, 96].map(|h| (h, "0.5")).to_vec();
        let one = series(
            &prices,
            &[(0, 100), (24, 160), (48, 150), (72, 400), (96, 410)],
        );
        let day = |h| volumes(&one, h, VolumeKind::Cumulative).1;
        assert_eq!(day(24), pusd(60));
        assert_eq!(day(48), None);
        assert_eq!(day(72), pusd(250), "400 - 150: it fell before");
        assert_eq!(day(96), pusd(10));
    }

    #[test]
    fn volumes_of_rows_are_added_up() {
        let prices: Vec<(i64, &str)> = [0, 12, 24, 36, 48].map(|h| (h, "0.5")).to_vec();
        // The row of 24 h had none.
        let mut one = series(&prices, &[(12, 5), (36, 20), (48, 3)]);
        one.sum_volumes();
        let told = |h| volumes(&one, h, VolumeKind::PerRow);
        assert_eq!(told(0), (None, None), "0 so far is unknown");
        assert_eq!(told(12), (pusd(5), None), "12 h of rows");
        assert_eq!(told(24), (pusd(5), pusd(5)));
        // 36 h: after 12 h, that is 0 + 20.
        assert_eq!(told(36), (pusd(25), pusd(20)));
        assert_eq!(told(48), (pusd(28), pusd(23)));
    }
}

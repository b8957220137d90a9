//! What a column of volumes means: stated, or guessed from what it held before the moment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, Usdc};

const HOUR: i64 = 3_600_000;
/// A cumulative volume never falls; recordings correct themselves now and then, so one market in so
/// many may.
const FALLEN_ONE_IN: u64 = 20;
/// Changes of rows further apart than this say nothing of how fast a volume moves.
const NEAR: i64 = 6 * HOUR;
/// So many changes at least tell a rolling window from single volumes.
const MIN_CHANGES: u64 = 100;
/// A change is small when it is at most one part in so many of the larger value.
const SMALL_ONE_IN: i64 = 5;

/// What the numbers of a column `volume` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VolumeKind {
    /// Traded in the 24 hours before the row.
    #[serde(rename = "24h")]
    Day,
    /// Traded since the market began.
    Cumulative,
    /// Traded since the row before.
    PerRow,
    /// Nobody knows: they are not used.
    Unknown,
}

impl VolumeKind {
    /// `24h`, `cumulative`, `per_row` or `unknown`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            VolumeKind::Day => "24h",
            VolumeKind::Cumulative => "cumulative",
            VolumeKind::PerRow => "per_row",
            VolumeKind::Unknown => "unknown",
        }
    }

    fn said(self) -> &'static str {
        match self {
            VolumeKind::Day => "the volume of 24 hours (24h)",
            VolumeKind::Cumulative => {
                "the volume since the market began (cumulative), and its growth over a day as the \
                 24-hour volume"
            }
            VolumeKind::PerRow => {
                "the volume since the row before (per_row), and sums of it as volumes"
            }
            VolumeKind::Unknown => "unknown, and not used",
        }
    }
}

/// How the columns of one file have behaved, within an hour or until the end of one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    /// Markets whose volume changed for the first time.
    changed: u64,
    /// Markets whose volume fell for the first time.
    fell: u64,
    /// Changes between rows that are near each other, and how many of them were small.
    near: u64,
    small: u64,
}

impl Tally {
    fn plus(self, other: Tally) -> Tally {
        Tally {
            changed: self.changed + other.changed,
            fell: self.fell + other.fell,
            near: self.near + other.near,
            small: self.small + other.small,
        }
    }

    fn kind(self) -> VolumeKind {
        if self.changed == 0 {
            VolumeKind::Unknown
        } else if self.fell * FALLEN_ONE_IN <= self.changed {
            VolumeKind::Cumulative
        } else if self.near < MIN_CHANGES {
            VolumeKind::Unknown
        } else if self.small * 3 >= self.near * 2 {
            VolumeKind::Day
        } else if self.small * 3 <= self.near {
            VolumeKind::PerRow
        } else {
            VolumeKind::Unknown
        }
    }

    /// Why it is taken so.
    fn evidence(self) -> String {
        if self.changed == 0 {
            return "0, empty or always the same so far".to_owned();
        }
        if self.fell == 0 {
            return format!("it never fell within any of {} markets", self.changed);
        }
        let fell = format!("it fell in {} of {} markets", self.fell, self.changed);
        match self.kind() {
            VolumeKind::Cumulative => format!("{fell}, which may be corrections"),
            _ if self.near < MIN_CHANGES => format!("{fell}, and {} changes are few", self.near),
            _ => format!(
                "{fell}, and {} of {} changes within six hours were of at most a fifth",
                self.small, self.near
            ),
        }
    }
}

/// The meaning of the volumes of one file.
///
/// A guess at a moment rests on rows before the hour of that moment, so that it never knows more than
/// somebody could have known then; a column that falls late is cumulative until then.
#[derive(Debug)]
pub(super) struct VolumeColumn {
    /// Stated, and by whom.
    stated: Option<(VolumeKind, &'static str)>,
    /// From which moment on which tally counts, oldest first.
    tallies: Vec<(Timestamp, Tally)>,
}

impl VolumeColumn {
    pub(super) fn kind_at(&self, at: Timestamp) -> VolumeKind {
        match self.stated {
            Some((kind, _)) => kind,
            None => self.tally_at(at).kind(),
        }
    }

    fn tally_at(&self, at: Timestamp) -> Tally {
        let count = self.tallies.partition_point(|(from, _)| *from <= at);
        let last = count.checked_sub(1).and_then(|last| self.tallies.get(last));
        last.map(|(_, tally)| *tally).unwrap_or_default()
    }

    /// Whether it is [`VolumeKind::PerRow`] at any time.
    pub(super) fn is_ever_per_row(&self) -> bool {
        match self.stated {
            Some((kind, _)) => kind == VolumeKind::PerRow,
            None => self
                .tallies
                .iter()
                .any(|(_, tally)| tally.kind() == VolumeKind::PerRow),
        }
    }

    /// A sentence about the column of file `name`, as of `at`.
    pub(super) fn note(&self, name: &str, at: Timestamp) -> String {
        let kind = self.kind_at(at).said();
        match self.stated {
            Some((_, by)) => format!("The volume column of {name} is {kind}: {by} says so."),
            None => {
                let tally = self.tally_at(at);
                let verb = match tally.kind() {
                    VolumeKind::Unknown => "is",
                    _ => "is taken as",
                };
                format!(
                    "The volume column of {name} {verb} {kind}: {} (a guess; volume_kind states it).",
                    tally.evidence()
                )
            }
        }
    }
}

/// Collects what the markets of one file show.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    hours: BTreeMap<i64, Tally>,
}

impl Evidence {
    /// Adds a market's known volumes, oldest first.
    pub(super) fn add(&mut self, volumes: &[(Timestamp, Usdc)]) {
        let (mut changed, mut fell) = (false, false);
        let mut hour: Option<(i64, Tally)> = None;
        for (before, after) in volumes.iter().zip(volumes.iter().skip(1)) {
            if before.1 == after.1 {
                continue;
            }
            let number = after.0.millis().div_euclid(HOUR);
            let fresh = match hour.take() {
                Some((same, tally)) if same == number => tally,
                Some((other, tally)) => {
                    self.put(other, tally);
                    Tally::default()
                }
                None => Tally::default(),
            };
            let mut tally = fresh;
            tally.changed += u64::from(!changed);
            changed = true;
            if after.1 < before.1 {
                tally.fell += u64::from(!fell);
                fell = true;
            }
            if after.0.since(before.0) <= NEAR {
                let (less, more) = (
                    before.1.min(after.1).micros(),
                    before.1.max(after.1).micros(),
                );
                tally.near += 1;
                tally.small += u64::from(more - less <= more / SMALL_ONE_IN);
            }
            hour = Some((number, tally));
        }
        if let Some((number, tally)) = hour {
            self.put(number, tally);
        }
    }

    fn put(&mut self, hour: i64, tally: Tally) {
        let known = self.hours.entry(hour).or_default();
        *known = known.plus(tally);
    }

    /// The column's meaning, where nobody states it.
    pub(super) fn column(self, stated: Option<(VolumeKind, &'static str)>) -> VolumeColumn {
        let mut sum = Tally::default();
        let tallies = self
            .hours
            .into_iter()
            .map(|(hour, tally)| {
                sum = sum.plus(tally);
                let from = Timestamp::from_millis((hour + 1).saturating_mul(HOUR));
                (from, sum)
            })
            .collect();
        VolumeColumn { stated, tallies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market_data::recorded::tests::hour;

    fn column(markets: &[&[(i64, i32)]]) -> VolumeColumn {
        let mut evidence = Evidence::default();
        for market in markets {
            let volumes: Vec<_> = market
                .iter()
                .map(|(h, volume)| (hour(*h), Usdc::whole(*volume)))
                .collect();
            evidence.add(&volumes);
        }
        evidence.column(None)
    }

    #[test]
    fn a_volume_that_never_falls_is_cumulative_once_it_has_grown() {
        let rises = column(&[&[(0, 10), (5, 10), (7, 12)]]);
        assert_eq!(rises.kind_at(hour(6)), VolumeKind::Unknown);
        let just_before = hour(8).plus_millis(-1);
        assert_eq!(rises.kind_at(just_before), VolumeKind::Unknown, "its hour");
        assert_eq!(rises.kind_at(hour(8)), VolumeKind::Cumulative);
        assert_eq!(
            rises.note("p.csv", hour(8)),
            "The volume column of p.csv is taken as the volume since the market began (cumulative), \
             and its growth over a day as the 24-hour volume: it never fell within any of 1 markets \
             (a guess; volume_kind states it)."
        );
        assert_eq!(
            rises.note("p.csv", hour(1)),
            "The volume column of p.csv is unknown, and not used: 0, empty or always the same so \
             far (a guess; volume_kind states it)."
        );
        assert_eq!(column(&[]).kind_at(hour(9)), VolumeKind::Unknown);
    }

    #[test]
    fn one_market_in_twenty_may_fall() {
        let rising: &[(i64, i32)] = &[(0, 1), (1, 2)];
        let falling: &[(i64, i32)] = &[(0, 1), (1, 2), (3, 1)];
        let mut markets = vec![rising; 19];
        markets.push(falling);
        assert_eq!(column(&markets).kind_at(hour(9)), VolumeKind::Cumulative);
        markets.pop();
        markets.pop();
        markets.push(falling);
        let told = column(&markets);
        assert_eq!(told.kind_at(hour(3)), VolumeKind::Cumulative, "not yet");
        assert_eq!(told.kind_at(hour(9)), VolumeKind::Unknown, "1 of 19");
        let note = told.note("p.csv", hour(9));
        assert!(
            note.contains("fell in 1 of 19 markets, and 20 changes are few"),
            "{note}"
        );
    }

    #[test]
    fn a_window_moves_slowly_and_single_volumes_jump() {
        // 110 changes each: by a tenth up and down, and between 100 and 1.
        let swing = |low: i32| -> Vec<(i64, i32)> {
            (0..111)
                .map(|h| (h, if h % 2 == 0 { 100 } else { low }))
                .collect()
        };
        let window = column(&[&swing(90)]);
        assert_eq!(window.kind_at(hour(99)), VolumeKind::Unknown, "98 changes");
        assert_eq!(window.kind_at(hour(111)), VolumeKind::Day);
        let note = window.note("p.csv", hour(111));
        assert!(
            note.contains("110 of 110 changes within six hours"),
            "{note}"
        );
        let single = column(&[&swing(1)]);
        assert_eq!(single.kind_at(hour(111)), VolumeKind::PerRow);
        assert!(single.is_ever_per_row() && !window.is_ever_per_row());
        // Half of each is neither.
        let both = column(&[&swing(90), &swing(1)]);
        assert_eq!(both.kind_at(hour(111)), VolumeKind::Unknown);
    }

    #[test]
    fn what_is_stated_is_not_guessed() {
        let stated = Evidence::default().column(Some((VolumeKind::Day, "dataset.yaml")));
        assert_eq!(stated.kind_at(hour(0)), VolumeKind::Day);
        assert_eq!(
            stated.note("p.csv", hour(0)),
            "The volume column of p.csv is the volume of 24 hours (24h): dataset.yaml says so."
        );
        let names: Vec<String> = [
            VolumeKind::Day,
            VolumeKind::Cumulative,
            VolumeKind::PerRow,
            VolumeKind::Unknown,
        ]
        .map(|kind| {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            kind.as_str().to_owned()
        })
        .to_vec();
        assert_eq!(names, ["24h", "cumulative", "per_row", "unknown"]);
    }
}

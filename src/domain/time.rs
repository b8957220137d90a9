//! Points in time, UTC with milliseconds, and the clocks that give them.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Timestamp(millis)
    }

    /// From seconds since the epoch.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Timestamp(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Days since the epoch: the UTC day that daily limits count in.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(86_400_000)
    }

    /// This moment plus so many milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Timestamp(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this moment; negative when it is later.
    #[must_use]
    pub const fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads RFC 3339, a date (`2026-02-27`, midnight UTC), or an epoch number of seconds or
    /// milliseconds (above 1e11 is taken as milliseconds: that many seconds is the year 5138).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Some(Timestamp(moment.timestamp_millis()));
        }
        if let Ok(number) = text.parse::<i64>() {
            let plausible = (0..=253_402_300_799_000).contains(&number);
            let millis = if number > 100_000_000_000 {
                number
            } else {
                number.checked_mul(1000)?
            };
            return plausible.then_some(Timestamp(millis));
        }
        if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Some(Timestamp(
                date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis(),
            ));
        }
        // Gamma's `closedTime`: `2026-03-19 23:20:15+00`.
        DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%#z")
            .ok()
            .map(|moment| Timestamp(moment.timestamp_millis()))
    }

    /// RFC 3339 in UTC, with milliseconds when there are any: `2026-02-27T08:00:00Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_millis(self.0).map_or_else(
            || self.0.to_string(),
            |m| m.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        )
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// Where the present comes from. Nothing that decides reads the wall clock by itself.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp_millis())
    }
}

/// A clock that stands still until it is set: replays, simulations, tests.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Standing at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        ManualClock(AtomicI64::new(start.0))
    }

    /// Moves to `moment`.
    pub fn set(&self, moment: Timestamp) {
        self.0.store(moment.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_the_venue_and_files_use_is_read() {
        let moment = Timestamp::from_secs(1_772_179_200);
        for text in [
            "2026-02-27T08:00:00Z",
            "2026-02-27T09:00:00+01:00",
            "1772179200",
            "1772179200000",
        ] {
            assert_eq!(Timestamp::parse(text), Some(moment), "{text}");
        }
        assert_eq!(
            Timestamp::parse("2026-02-27"),
            Some(Timestamp::from_secs(1_772_150_400))
        );
        assert_eq!(
            Timestamp::parse("2026-03-19 23:20:15+00").map(|t| t.to_string()),
            Some("2026-03-19T23:20:15Z".to_owned())
        );
        for text in ["", "yesterday", "-5", "2026-13-01", "99999999999999999"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn days_turn_at_midnight_utc() {
        let before = Timestamp::parse("2026-02-27T23:59:59.999Z").unwrap();
        assert_eq!(before.plus_millis(1).day(), before.day() + 1);
    }
}

//! Times that a recording tells nothing of.

use crate::backtest::books::hidden::{HIDDEN_LEAST, Hides, Unseen};
use crate::domain::Timestamp;

use super::{Diagnosis, says};

/// A time without rows counts as a gap from so many times the usual distance between rows on …
pub const GAP_FACTOR: i64 = 10;
/// … and if it is at least this long, ms: six hours.
pub const GAP_LEAST: i64 = 6 * 3_600_000;
/// A recording of books that tells nothing at all for so long, ms, has a gap: an hour.
pub const BOOK_SILENCE: i64 = 3_600_000;

/// A stretch of time without rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Last row before it.
    pub from: Timestamp,
    /// First row after it.
    pub to: Timestamp,
}

/// The longest stretch between two of `moments` (oldest first) that counts as a gap: at least
/// [`GAP_LEAST`], and [`GAP_FACTOR`] times the median distance.
#[must_use]
pub fn longest_gap(moments: &[Timestamp]) -> Option<Gap> {
    let pairs = || moments.iter().zip(moments.iter().skip(1));
    let mut distances: Vec<i64> = pairs().map(|(from, to)| to.since(*from)).collect();
    let longest = pairs().max_by_key(|(from, to)| to.since(**from))?;
    let middle = distances.len() / 2;
    let usual = *distances.select_nth_unstable(middle).1;
    let length = longest.1.since(*longest.0);
    (length >= GAP_LEAST && length >= usual.saturating_mul(GAP_FACTOR)).then_some(Gap {
        from: *longest.0,
        to: *longest.1,
    })
}

/// `45 s`, `12.5 min`, `3.4 h`.
fn length(ms: i64) -> String {
    match ms as f64 / 1_000.0 {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7_200.0 => format!("{:.1} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3_600.0),
    }
}

fn silence(what: &str, gap: Gap) -> String {
    let ms = gap.to.since(gap.from);
    format!("{what} from {} to {} ({})", gap.from, gap.to, length(ms))
}

fn told(parts: &[String]) -> Option<Diagnosis> {
    if parts.is_empty() {
        return None;
    }
    says("data_gaps", format!("Data gaps: {}.", parts.join("; ")))
}

/// The recording was silent: as a whole, or about a market while it was held. `held`: markets with a
/// gap while held, of all that were held, and the longest of these gaps.
#[must_use]
pub fn data_gaps(whole: Option<Gap>, held: (usize, usize, Option<Gap>)) -> Option<Diagnosis> {
    let mut parts = Vec::new();
    parts.extend(whole.map(|gap| silence("no rows at all", gap)));
    if let (silent @ 1.., all, Some(gap)) = held {
        parts.push(format!(
            "{silent} of {all} markets held had none for long while they were held (at most {}, from \
             {}): stops could not fire, marks stood still",
            length(gap.to.since(gap.from)),
            gap.from
        ));
    }
    told(&parts)
}

/// The recording of books tells of gaps, or books could not be believed for [`HIDDEN_LEAST`] or more, or
/// it was silent for [`BOOK_SILENCE`].
#[must_use]
pub fn book_gaps(unseen: &Unseen) -> Option<Diagnosis> {
    let mut parts = Vec::new();
    match unseen.gaps {
        0 => {}
        1 => parts.push("the recording tells of 1 gap".to_owned()),
        gaps => parts.push(format!("the recording tells of {gaps} gaps")),
    }
    parts.extend(
        unseen
            .silence
            .map(|gap| silence("it tells nothing at all", gap)),
    );
    let hides = |hides: &Hides, gap: Gap| {
        let times = match hides.times {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        format!(
            "hidden {times} for {} s or more, {} in all (at most {}, from {})",
            HIDDEN_LEAST / 1_000,
            length(hides.ms),
            length(gap.to.since(gap.from)),
            gap.from
        )
    };
    if let Some(gap) = unseen.hidden.longest {
        parts.push(format!(
            "after a gap or a contradiction {} of {} books were {}",
            unseen.hidden.books,
            unseen.books,
            hides(&unseen.hidden, gap)
        ));
    }
    if let Some(gap) = unseen.held.longest {
        parts.push(format!(
            "of {} books held, {} were {}: nothing could be sold, stops could not fire, marks stood still",
            unseen.books_held,
            unseen.held.books,
            hides(&unseen.held, gap)
        ));
    }
    told(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(found: Option<Diagnosis>) -> String {
        found.unwrap().text
    }

    #[test]
    fn gaps() {
        let hourly = |hours: &[i64]| -> Vec<Timestamp> {
            hours
                .iter()
                .map(|h| Timestamp::from_secs(h * 3600))
                .collect()
        };
        let gap = longest_gap(&hourly(&[0, 1, 2, 3, 13, 14])).unwrap();
        assert_eq!(gap.to.since(gap.from), 10 * 3_600_000);
        assert_eq!(
            longest_gap(&hourly(&[0, 1, 2, 3, 12, 13])),
            None,
            "nine times as long"
        );
        // Daily rows: six days are no gap, ten are.
        assert_eq!(longest_gap(&hourly(&[0, 24, 48, 192])), None);
        assert!(longest_gap(&hourly(&[0, 24, 48, 288])).is_some());
        assert_eq!(longest_gap(&[]), None);
        let found = text(data_gaps(Some(gap), (2, 9, Some(gap))));
        assert!(
            found.contains("(10.0 h)") && found.contains("2 of 9 markets held"),
            "{found}"
        );
        assert_eq!(data_gaps(None, (0, 9, None)), None);
    }

    #[test]
    fn books_that_could_not_be_believed() {
        assert_eq!(book_gaps(&Unseen::default()), None);
        let gap = |from, to| Gap {
            from: Timestamp::from_secs(from),
            to: Timestamp::from_secs(to),
        };
        let unseen = Unseen {
            gaps: 2,
            silence: None,
            books: 8,
            // 30 s and 15 min: 15.5 min.
            hidden: Hides {
                books: 2,
                times: 2,
                ms: 930_000,
                longest: Some(gap(0, 900)),
            },
            books_held: 3,
            held: Hides {
                books: 1,
                times: 1,
                ms: 45_000,
                longest: Some(gap(60, 105)),
            },
        };
        assert_eq!(
            text(book_gaps(&unseen)),
            "Data gaps: the recording tells of 2 gaps; after a gap or a contradiction 2 of 8 books were \
             hidden 2 times for 10 s or more, 15.5 min in all (at most 15.0 min, from \
             1970-01-01T00:00:00Z); of 3 books held, 1 were hidden once for 10 s or more, 45 s in all (at \
             most 45 s, from 1970-01-01T00:01:00Z): nothing could be sold, stops could not fire, marks \
             stood still."
        );
        let quiet = Unseen {
            silence: Some(gap(0, 9_000)),
            ..Unseen::default()
        };
        assert!(text(book_gaps(&quiet)).contains("nothing at all from 1970-01-01T00:00:00Z to"));
    }
}

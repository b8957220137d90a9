//! When the books of a recording could not be believed: after a gap, and after a contradiction, until
//! the next whole book.

use std::collections::BTreeMap;

use crate::backtest::diagnoses::{BOOK_SILENCE, Gap};
use crate::domain::{MarketId, Timestamp};
use crate::market_data::recorded::books::BookRecording;
use crate::market_data::recorded::books::event::{SHOWN, STEP};

/// A book that is hidden for less, ms, waits for the rest of a burst, or for a whole one that was asked
/// for at once.
pub const HIDDEN_LEAST: i64 = 10_000;

/// Something that was held.
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a> {
    /// Its market.
    pub market: &'a str,
    /// Name of the outcome.
    pub outcome: &'a str,
    /// When it was bought.
    pub from: Timestamp,
    /// When it was sold or settled, or the run ended.
    pub to: Timestamp,
}

/// Times that books were hidden, each of [`HIDDEN_LEAST`] or more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hides {
    /// Books concerned.
    pub books: usize,
    /// How many times.
    pub times: usize,
    /// All of them together, ms.
    pub ms: i64,
    /// The longest one.
    pub longest: Option<Gap>,
}

impl Hides {
    /// Counts those of one book that last long enough.
    fn add(&mut self, spans: impl Iterator<Item = (i64, i64)>) {
        let before = self.times;
        for (from, to) in spans.filter(|(from, to)| to - from >= HIDDEN_LEAST) {
            self.times += 1;
            self.ms += to - from;
            let known = self.longest.map_or(0, |gap| gap.to.since(gap.from));
            if to - from > known {
                self.longest = Some(Gap {
                    from: Timestamp::from_millis(from),
                    to: Timestamp::from_millis(to),
                });
            }
        }
        self.books += usize::from(self.times > before);
    }
}

/// What could not be seen in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Gaps that the recording tells of, all of it; 0 when the run is a part of it in which no book was
    /// hidden for long.
    pub gaps: u64,
    /// Longest time of [`BOOK_SILENCE`] or more without any message.
    pub silence: Option<Gap>,
    /// Books that were known at some time until the end of the run.
    pub books: usize,
    /// When they were hidden again, before their markets ended.
    pub hidden: Hides,
    /// Books that something was held of.
    pub books_held: usize,
    /// When they were hidden meanwhile.
    pub held: Hides,
}

/// A book while the events pass.
#[derive(Debug, Default)]
struct Seen {
    known: bool,
    hidden_since: Option<i64>,
    spans: Vec<(i64, i64)>,
}

/// What could not be seen in a run over `period`. Goes through all events once.
#[must_use]
pub fn unseen(
    recording: &BookRecording,
    period: (Timestamp, Timestamp),
    held: &[Holding<'_>],
) -> Unseen {
    let (begin, end) = (period.0.millis(), period.1.millis());
    let mut books: Vec<Seen> = Vec::new();
    books.resize_with(recording.tokens().len(), Seen::default);
    let mut silence: Option<(i64, i64)> = None;
    let mut before: Option<i64> = None;
    for event in recording.events() {
        if event.at > end {
            break;
        }
        let from = before.replace(event.at).unwrap_or(event.at).max(begin);
        if event.at - from >= BOOK_SILENCE.max(silence.map_or(0, |(from, to)| to - from + 1)) {
            silence = Some((from, event.at));
        }
        let is_step = event.meta & STEP != 0;
        let Some(book) = books.get_mut(event.token()).filter(|_| is_step) else {
            continue;
        };
        if event.meta & SHOWN != 0 {
            book.known = true;
            if let Some(since) = book.hidden_since.take() {
                book.spans.push((since.max(begin), event.at));
            }
        } else if book.known {
            book.hidden_since.get_or_insert(event.at);
        }
    }
    let mut ends: BTreeMap<usize, i64> = BTreeMap::new();
    for (at, market, _) in recording.resolutions() {
        ends.entry(*market).or_insert(at.millis());
    }
    // Of what has ended nothing is missed.
    let last = |market: &usize| ends.get(market).copied().unwrap_or(end).min(end);
    for (book, token) in books.iter_mut().zip(recording.tokens()) {
        let last = last(&token.market);
        let open = book.hidden_since.take();
        book.spans.extend(open.map(|since| (since.max(begin), end)));
        for (_, to) in &mut book.spans {
            *to = last.min(*to);
        }
        book.spans.retain(|(from, to)| from < to);
    }
    let mut found = Unseen {
        silence: silence.map(|(from, to)| Gap {
            from: Timestamp::from_millis(from),
            to: Timestamp::from_millis(to),
        }),
        books: books.iter().filter(|book| book.known).count(),
        ..Unseen::default()
    };
    for book in &books {
        found.hidden.add(book.spans.iter().copied());
    }
    for (number, times) in holdings(recording, held) {
        found.books_held += 1;
        let spans = books.get(number as usize).map(|book| book.spans.as_slice());
        let both = times.iter().flat_map(|(from, to)| {
            let spans = spans.unwrap_or_default().iter();
            spans.map(|(begin, end)| ((*begin).max(*from), (*end).min(*to)))
        });
        found.held.add(both);
    }
    let is_whole = recording
        .period()
        .is_some_and(|(first, last)| begin <= first.millis() && last.millis() <= end);
    if is_whole || found.hidden.times > 0 {
        found.gaps = recording.report().gaps;
    }
    found
}

/// By number of the token: when it was held, in order and without overlap.
fn holdings(recording: &BookRecording, held: &[Holding<'_>]) -> BTreeMap<u32, Vec<(i64, i64)>> {
    let mut found: BTreeMap<u32, Vec<(i64, i64)>> = BTreeMap::new();
    for one in held {
        let index = recording.index_of(&MarketId::new(one.market));
        let number = index.and_then(|index| {
            let known = recording.markets().get(index)?;
            let mut outcomes = known.market.outcomes.iter();
            let place = outcomes.position(|outcome| outcome.name == one.outcome)?;
            *known.tokens.get(place)?
        });
        if let Some(number) = number {
            let times = found.entry(number).or_default();
            times.push((one.from.millis(), one.to.millis()));
        }
    }
    for times in found.values_mut() {
        times.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(times.len());
        for (from, to) in times.drain(..) {
            match merged.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                _ => merged.push((from, to)),
            }
        }
        *times = merged;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market_data::recorded::books::BookOptions;
    use crate::market_data::recorded::books::tests::{START, book, change, read};
    use crate::market_data::recorded::capture::{Body, CaptureWriter, Line};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(START + seconds * 1_000)
    }

    fn gap(from: i64, to: i64) -> Option<Gap> {
        Some(Gap {
            from: at(from),
            to: at(to),
        })
    }

    /// One token: known at 1 s, contradicts itself from 3 s to 33 s and from 60 s to 65 s.
    fn contradicting() -> BookRecording {
        let lines = [
            book("7", 1_000, "0.40x10", "0.50x10"),
            change("7", 3_000, "SELL 0.39 7 - -"),
            book("7", 33_000, "0.41x5", "0.50x10"),
            change("7", 60_000, "SELL 0.39 7 - -"),
            book("7", 65_000, "0.41x5", "0.50x10"),
            change("7", 100_000, "BUY 0.42 5 0.42 0.5"),
        ];
        read(&lines.concat())
    }

    fn held(recording: &BookRecording, from: i64, to: i64) -> Holding<'_> {
        let market = &recording.markets()[0].market;
        Holding {
            market: market.id.as_str(),
            outcome: market.outcomes[0].name.as_ref(),
            from: at(from),
            to: at(to),
        }
    }

    #[test]
    fn a_contradiction_hides_a_book_until_the_next_whole_one() {
        let recording = contradicting();
        // Held from 10 s to 50 s, of which it was hidden until 33 s: 23 s; twice told, once counted.
        let holds = [held(&recording, 10, 20), held(&recording, 10, 50)];
        let found = unseen(&recording, (at(0), at(100)), &holds);
        let thirty = Hides {
            books: 1,
            times: 1,
            ms: 30_000,
            longest: gap(3, 33),
        };
        // The five seconds from 60 on are too short to be told.
        assert_eq!((found.books, found.hidden), (1, thirty));
        assert_eq!(found.books_held, 1);
        assert_eq!((found.held.ms, found.held.longest), (23_000, gap(10, 33)));
        assert_eq!((found.gaps, found.silence), (0, None));
        // Held when it could be seen; held for less than ten seconds of what it could not.
        for (from, to) in [(34, 50), (25, 40)] {
            let found = unseen(&recording, (at(0), at(100)), &[held(&recording, from, to)]);
            assert_eq!((found.books_held, found.held), (1, Hides::default()));
        }
        // A run from 20 s to 30 s sees nothing of it all the time; one from 40 s on misses nothing.
        assert_eq!(unseen(&recording, (at(20), at(30)), &[]).hidden.ms, 10_000);
        assert_eq!(
            unseen(&recording, (at(40), at(100)), &[]).hidden,
            Hides::default()
        );
    }

    #[test]
    fn silence_is_told_from_an_hour_on() {
        let lines = |pause: i64| {
            let first = book("7", 1_000, "0.40x10", "0.50x10");
            first + &change("7", 1_000 + pause, "BUY 0.42 5 0.42 0.5")
        };
        let whole = (at(0), at(9_000));
        assert_eq!(unseen(&read(&lines(3_599_999)), whole, &[]).silence, None);
        let found = unseen(&read(&lines(3_600_000)), whole, &[]);
        assert_eq!(found.silence, gap(1, 3_601));
    }

    #[test]
    fn a_gap_of_a_capture_hides_its_books_from_its_first_moment_to_their_next_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("capture");
        let condition = format!("0x{}", "5".repeat(64));
        let frame = |text: String| Body::Frame {
            connection: 0,
            text: text.trim().replacen(
                "\"market\":\"\"",
                &format!("\"market\":\"{condition}\""),
                1,
            ),
        };
        let tokens = vec!["7".into()];
        let connected = Body::Connected {
            connection: 0,
            tokens: tokens.clone(),
        };
        let lost = Body::Gap {
            since: at(20),
            reason: "lost".into(),
            tokens,
        };
        let lines = [
            (1, connected.clone()),
            (2, frame(book("7", 2_000, "0.4x5", "0.5x5"))),
            (30, lost),
            (31, connected),
            (80, frame(book("7", 80_000, "0.4x5", "0.5x5"))),
            (90, frame(change("7", 90_000, "BUY 0.41 1 0.41 0.5"))),
        ];
        let (mut writer, _) = CaptureWriter::open(&folder, "test", BTreeMap::new(), at(0)).unwrap();
        for (moment, body) in lines {
            let at = at(moment);
            writer.write(&Line { at, body }).unwrap();
        }
        writer.finish(at(100), "the test is over").unwrap();
        let recording =
            BookRecording::load_unless(&folder, BookOptions::default(), &|| false).unwrap();
        // Known to be missing from 20 s on, though it was noticed at 30 s; whole again at 80 s.
        let found = unseen(&recording, (at(0), at(100)), &[]);
        assert_eq!((found.gaps, found.hidden.ms), (1, 60_000));
        assert_eq!(found.hidden.longest, gap(20, 80));
        // Nothing of it lies in a run of the first ten seconds.
        assert_eq!(unseen(&recording, (at(0), at(10)), &[]).gaps, 0);
    }
}

//! Reads "by March 31, 2026" and "before 2027" in questions: what is asked, and until when.
//!
//! Everything here errs towards "cannot be told": a question that is understood wrongly costs
//! money, one that is not understood costs nothing.

use chrono::{Datelike, Days, NaiveDate};
use memchr::memchr2_iter;

use crate::domain::Timestamp;

/// Under these words a later date need not be likelier: what does not happen, lasts, is counted
/// exactly, or is true at one moment only.
const NOT_CUMULATIVE: [&str; 43] = [
    "no",
    "not",
    "never",
    "none",
    "nobody",
    "nothing",
    "without",
    "neither",
    "nor",
    "cannot",
    "fail",
    "fails",
    "failed",
    "avoid",
    "avoids",
    "remain",
    "remains",
    "stay",
    "stays",
    "still",
    "keep",
    "keeps",
    "survive",
    "survives",
    "last",
    "lasts",
    "continue",
    "continues",
    "hold",
    "holds",
    "fewer",
    "less",
    "exactly",
    "only",
    "between",
    "most",
    "largest",
    "highest",
    "lowest",
    "above",
    "below",
    "over",
    "under",
];

/// Words after "by" that promise a date without naming one that can be read.
const VAGUE: [&str; 26] = [
    "start",
    "beginning",
    "mid",
    "middle",
    "early",
    "late",
    "q1",
    "q2",
    "q3",
    "q4",
    "eoy",
    "eom",
    "year-end",
    "year",
    "month",
    "week",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "summer",
    "winter",
    "end-of-year",
];

/// What a question says of its date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nothing with "by" or "before" and a date: no part of a ladder.
    Undated,
    /// There is a date, and what it means for the question cannot be told for certain.
    Ambiguous,
    /// Whether something happens until a date.
    Dated(Dated),
}

/// A question with its date taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dated {
    /// The rest of the question, lower case, "by" and "before" kept apart.
    pub stem: String,
    /// The date.
    pub last_day: LastDay,
}

/// The last day on which it may happen. Two days where the wording allows two readings: "by March"
/// may end before March begins or when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LastDay {
    /// At the earliest.
    pub from: NaiveDate,
    /// At the latest.
    pub to: NaiveDate,
}

impl LastDay {
    /// True when `later` ends no earlier, however both are read, and they are not the same.
    pub(super) fn precedes(self, later: LastDay) -> bool {
        self.to <= later.from && self != later
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preposition {
    By,
    Before,
}

/// A date as it is written; the year may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Day(u32, u32, Option<i32>),
    Month(u32, Option<i32>),
    Year(i32),
}

/// What stands behind a preposition.
enum Expression {
    None,
    Vague,
    /// The date, whether "end of" stands before it, and how many words it takes.
    Date(Written, bool, usize),
}

/// Reads a question; `end` is the market's own scheduled end, the only place that a missing year
/// is taken from.
pub(super) fn read(question: &str, end: Option<Timestamp>) -> Reading {
    // Most questions have neither word; those cost no allocation.
    if !has_preposition(question) {
        return Reading::Undated;
    }
    let question = question.to_lowercase();
    let words: Vec<&str> = words_of(&question).collect();
    let mut found = None;
    for (index, word) in words.iter().enumerate() {
        let Some(preposition) = preposition(word) else {
            continue;
        };
        let rest = words.get(index + 1..).unwrap_or_default();
        match expression(rest) {
            Expression::None => {}
            // A second date makes the first one's meaning doubtful.
            Expression::Date(..) if found.is_some() => return Reading::Ambiguous,
            Expression::Vague => return Reading::Ambiguous,
            Expression::Date(written, to_end, length) => {
                found = Some((index, preposition, written, to_end, length));
            }
        }
    }
    let Some((index, preposition, written, to_end, length)) = found else {
        return Reading::Undated;
    };
    let after = words.get(index + 1 + length..).unwrap_or_default();
    let before = words.get(..=index).unwrap_or_default();
    // "Wins by 2030 votes" is no date.
    if matches!(written, Written::Year(_)) && !after.is_empty() {
        return Reading::Ambiguous;
    }
    let doubtful = |word: &&str| {
        NOT_CUMULATIVE.contains(word) || word.ends_with("n't") || word.ends_with("n’t")
    };
    if before.iter().chain(after).any(doubtful) {
        return Reading::Ambiguous;
    }
    let Some(last_day) = last_day(preposition, written, to_end, end) else {
        return Reading::Ambiguous;
    };
    let mut stem = before.join(" ");
    stem.push_str(" …");
    for word in after {
        stem.push(' ');
        stem.push_str(word);
    }
    Reading::Dated(Dated { stem, last_day })
}

/// The words of a market's rules with its own last day, however written, replaced by a mark: two
/// rungs of one ladder give the same text. Other dates, such as the start of a period, stay.
pub(super) fn rules_without(rules: &str, own: LastDay, end: Option<Timestamp>) -> String {
    let rules = rules.to_lowercase();
    let words: Vec<&str> = words_of(&rules).collect();
    let mut kept = String::with_capacity(rules.len());
    let mut keep = |word: &str| {
        kept.push_str(word);
        kept.push(' ');
    };
    let mut index = 0;
    while let Some(word) = words.get(index) {
        let rest = words.get(index + 1..).unwrap_or_default();
        if let Some(preposition) = preposition(word)
            && let Expression::Date(written, to_end, length) = expression(rest)
            && last_day(preposition, written, to_end, end) == Some(own)
        {
            keep("…");
            index += 1 + length;
            continue;
        }
        if let Some((written @ Written::Day(..), length)) =
            date_at(words.get(index..).unwrap_or_default())
            && names(written, own)
        {
            keep("…");
            index += length;
            continue;
        }
        keep(word);
        index += 1;
    }
    kept
}

/// True when the day written is the last day, or the one after it ("before January 1").
fn names(written: Written, own: LastDay) -> bool {
    let Written::Day(month, day, year) = written else {
        return false;
    };
    let is = |date: NaiveDate| {
        date.month() == month && date.day() == day && year.is_none_or(|year| date.year() == year)
    };
    is(own.from) || is(own.to) || own.to.succ_opt().is_some_and(is)
}

/// Words without the punctuation around them.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_matches([',', '.', '?', '!', ':', ';', '(', ')', '"', '“', '”']))
        .filter(|word| !word.is_empty())
}

/// Whether one of the words is a preposition: by its first letter, since each question of a tick is asked.
fn has_preposition(question: &str) -> bool {
    let bytes = question.as_bytes();
    memchr2_iter(b'b', b'B', bytes).any(|at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let begins = before.is_none_or(u8::is_ascii_whitespace);
        let rest = question.get(at..).filter(|_| begins);
        let word = rest.and_then(|rest| rest.split_ascii_whitespace().next());
        word.is_some_and(|word| preposition(word).is_some())
    })
}

fn preposition(word: &str) -> Option<Preposition> {
    if word.eq_ignore_ascii_case("by") {
        Some(Preposition::By)
    } else if word.eq_ignore_ascii_case("before") {
        Some(Preposition::Before)
    } else {
        None
    }
}

/// What follows a preposition.
fn expression(words: &[&str]) -> Expression {
    let is = |index: usize, word: &str| words.get(index).is_some_and(|found| *found == word);
    let mut start = usize::from(is(0, "the"));
    let to_end = is(start, "end") && is(start + 1, "of");
    if to_end {
        start += 2;
        start += usize::from(is(start, "the"));
    }
    let rest = words.get(start..).unwrap_or_default();
    if let Some((written, length)) = date_at(rest) {
        return Expression::Date(written, to_end, start + length);
    }
    let vague = rest.first().is_some_and(|word| {
        let number = word.contains('/') && word.bytes().any(|byte| byte.is_ascii_digit());
        number || VAGUE.contains(word) || word.starts_with("mid-")
    });
    if vague || to_end {
        return Expression::Vague;
    }
    Expression::None
}

/// A date at the beginning of `words`, and how many of them it takes.
fn date_at(words: &[&str]) -> Option<(Written, usize)> {
    let word = |index: usize| words.get(index).copied();
    let first = word(0)?;
    if first.starts_with(|c: char| c.is_ascii_digit())
        && first.contains('-')
        && let Ok(date) = NaiveDate::parse_from_str(first, "%Y-%m-%d")
    {
        return Some((Written::Day(date.month(), date.day(), Some(date.year())), 1));
    }
    if let Some(year) = year_of(first) {
        return Some((Written::Year(year), 1));
    }
    // 31 March, 31st of March
    if let Some(day) = day_of(first) {
        let of = usize::from(word(1) == Some("of"));
        let month = month_of(word(1 + of)?)?;
        let year = word(2 + of).and_then(year_of);
        return Some((
            Written::Day(month, day, year),
            2 + of + usize::from(year.is_some()),
        ));
    }
    let month = month_of(first)?;
    if let Some(day) = word(1).and_then(day_of) {
        let year = word(2).and_then(year_of);
        let length = 2 + usize::from(year.is_some());
        return Some((Written::Day(month, day, year), length));
    }
    let year = word(1).and_then(year_of);
    Some((Written::Month(month, year), 1 + usize::from(year.is_some())))
}

/// The number of a month from its name or its first three letters (`sept` too).
fn month_of(word: &str) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let fits = |name: &&str| *name == word || name.get(..3) == Some(word);
    if word == "sept" {
        return Some(9);
    }
    let index = NAMES.iter().position(fits)?;
    u32::try_from(index + 1).ok()
}

fn day_of(word: &str) -> Option<u32> {
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffix = word.get(digits.len()..)?;
    if !matches!(suffix, "" | "st" | "nd" | "rd" | "th") || digits.len() > 2 {
        return None;
    }
    digits.parse().ok().filter(|day| (1..=31).contains(day))
}

fn year_of(word: &str) -> Option<i32> {
    if word.len() != 4 {
        return None;
    }
    word.parse()
        .ok()
        .filter(|year| (2000..=2100).contains(year))
}

/// The last day that a date leaves, if it can be told.
fn last_day(
    preposition: Preposition,
    written: Written,
    to_end: bool,
    end: Option<Timestamp>,
) -> Option<LastDay> {
    let in_year = |year: i32| {
        let (first, last) = span(written, year)?;
        let (eve, day_less) = (first.pred_opt()?, last.pred_opt()?);
        let whole_day = matches!(written, Written::Day(..));
        let (from, to) = match (preposition, to_end) {
            (Preposition::By, true) => (last, last),
            (Preposition::By, false) if whole_day => (last, last),
            (Preposition::By, false) => (eve, last),
            (Preposition::Before, true) => (day_less, last),
            (Preposition::Before, false) => (eve, eve),
        };
        Some(LastDay { from, to })
    };
    let (Written::Day(_, _, year) | Written::Month(_, year)) = written else {
        let Written::Year(year) = written else {
            return None;
        };
        return in_year(year);
    };
    if let Some(year) = year {
        return in_year(year);
    }
    // The year in which the date fits the market's own end: trading ends on the last day, or a day
    // or two later (by another time zone, or at the next midnight).
    let end = NaiveDate::parse_from_str(end?.to_rfc3339().get(..10)?, "%Y-%m-%d").ok()?;
    let mut fitting = (end.year() - 1..=end.year() + 1)
        .filter_map(in_year)
        .filter(|day| {
            let earliest = day.from.checked_sub_days(Days::new(1));
            let latest = day.to.checked_add_days(Days::new(2));
            earliest.is_some_and(|earliest| earliest <= end)
                && latest.is_some_and(|latest| end <= latest)
        });
    let day = fitting.next()?;
    fitting.next().is_none().then_some(day)
}

/// First and last day of what is written, in that year.
fn span(written: Written, year: i32) -> Option<(NaiveDate, NaiveDate)> {
    match written {
        Written::Day(month, day, _) => {
            let day = NaiveDate::from_ymd_opt(year, month, day)?;
            Some((day, day))
        }
        Written::Month(month, _) => {
            let first = NaiveDate::from_ymd_opt(year, month, 1)?;
            let next = first.checked_add_months(chrono::Months::new(1))?;
            Some((first, next.pred_opt()?))
        }
        Written::Year(_) => Some((
            NaiveDate::from_ymd_opt(year, 1, 1)?,
            NaiveDate::from_ymd_opt(year, 12, 31)?,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_preposition_is_found_as_if_by_words(question in "([bB]y|before|BEFORE|bye|about|[a-c é]|\\(by|\t| ){0,12}") {
            let mut words = question.split_ascii_whitespace();
            let expected = words.any(|word| preposition(word).is_some());
            proptest::prop_assert_eq!(has_preposition(&question), expected);
        }
    }

    fn date(text: &str) -> NaiveDate {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap()
    }

    fn ending(text: &str) -> Option<Timestamp> {
        Some(Timestamp::parse(text).unwrap())
    }

    /// Last day (or two), and the stem.
    #[track_caller]
    fn reads(question: &str, end: Option<Timestamp>, days: (&str, &str), stem: &str) {
        assert_eq!(
            read(question, end),
            Reading::Dated(Dated {
                stem: stem.to_owned(),
                last_day: LastDay {
                    from: date(days.0),
                    to: date(days.1)
                }
            }),
            "{question}"
        );
    }

    #[track_caller]
    fn is(question: &str, end: Option<Timestamp>, reading: Reading) {
        assert_eq!(read(question, end), reading, "{question}");
    }

    #[test]
    fn dates_with_a_year_are_read_in_every_usual_form() {
        let day = ("2026-03-31", "2026-03-31");
        let stem = "will fomo launch a token by …";
        for text in [
            "Will Fomo launch a token by March 31, 2026?",
            "Will Fomo launch a token by March 31 2026?",
            "Will Fomo launch a token by Mar. 31st, 2026?",
            "Will Fomo launch a token by 31 March 2026?",
            "Will Fomo launch a token by the 31st of March, 2026?",
            "Will Fomo launch a token by 2026-03-31?",
            "Will Fomo launch a token by end of March 2026?",
            "Will Fomo launch a token by the end of March, 2026?",
        ] {
            reads(text, None, day, stem);
        }
        reads(
            "Russia x Ukraine ceasefire by end of 2027?",
            None,
            ("2027-12-31", "2027-12-31"),
            "russia x ukraine ceasefire by …",
        );
        reads(
            "GTA VI released by Sept 1, 2026 (ET)?",
            None,
            ("2026-09-01", "2026-09-01"),
            "gta vi released by … et",
        );
    }

    #[test]
    fn before_ends_on_the_day_before() {
        let stem = "gta vi released before …";
        let before = |text: &str| format!("GTA VI released before {text}?");
        let day = ("2026-05-31", "2026-05-31");
        reads(&before("June 2026"), None, day, stem);
        reads(&before("June 1, 2026"), None, day, stem);
        reads(&before("2027"), None, ("2026-12-31", "2026-12-31"), stem);
        // The end of the year is its last day or the moment after it.
        reads(
            &before("the end of 2026"),
            None,
            ("2026-12-30", "2026-12-31"),
            stem,
        );
    }

    #[test]
    fn by_and_before_have_different_stems() {
        let stem_of = |question: &str| match read(question, None) {
            Reading::Dated(dated) => dated.stem,
            other => panic!("{other:?}"),
        };
        assert_ne!(
            stem_of("X out by June 1, 2026?"),
            stem_of("X out before June 1, 2026?")
        );
    }

    /// Whether "by March" includes March is not said, so it is read both ways and ordered only
    /// where both agree.
    #[test]
    fn a_bare_month_has_two_readings() {
        let day = |text: &str| match read(&format!("X out by {text}?"), None) {
            Reading::Dated(dated) => dated.last_day,
            other => panic!("{other:?}"),
        };
        assert_eq!(day("March 2026").from, date("2026-02-28"));
        assert_eq!(day("March 2026").to, date("2026-03-31"));
        assert!(day("March 2026").precedes(day("April 2026")));
        assert!(day("March 2026").precedes(day("March 31, 2026")));
        assert!(!day("March 2026").precedes(day("March 15, 2026")));
        assert!(!day("March 15, 2026").precedes(day("March 2026")));
        assert!(day("February 28, 2026").precedes(day("March 2026")));
        assert!(!day("March 31, 2026").precedes(day("end of March 2026")));
    }

    #[test]
    fn a_missing_year_comes_from_the_markets_own_end() {
        let stem = "pete hegseth out by …";
        let question = "Pete Hegseth out by March 31?";
        for end in [
            "2026-03-31T00:00:00Z",
            "2026-04-01T03:59:00Z",
            "2026-03-30T12:00:00Z",
            "2026-04-02T00:00:00Z",
        ] {
            let day = ("2026-03-31", "2026-03-31");
            reads(question, ending(end), day, stem);
        }
        // Around New Year: the end, and no clock, decides.
        reads(
            "X out by December 31?",
            ending("2027-01-01T04:59:00Z"),
            ("2026-12-31", "2026-12-31"),
            "x out by …",
        );
        is(question, None, Reading::Ambiguous);
        // The event's end and not the market's: either year is as good.
        is(question, ending("2027-01-01T05:00:00Z"), Reading::Ambiguous);
    }

    #[test]
    fn what_is_no_deadline_is_undated() {
        for question in [
            "Will Donald Trump visit Ohio in 2026?",
            "Will it rain in March?",
            "Bitcoin above $64,000 on March 11?",
            "Trump out as President before GTA VI?",
            "Will the Heat beat the Wizards by more than 7.5 points?",
            "",
        ] {
            is(question, None, Reading::Undated);
        }
    }

    #[test]
    fn what_cannot_be_told_for_certain_is_ambiguous() {
        for question in [
            "X out by Q2 2026?",
            "X out by the end of the year?",
            "X out by mid-March?",
            "X out by early 2026?",
            "X out by Friday?",
            "X out by 3/31?",
            "X out by the start of 2026?",
            "X in by March 1, 2026 and out by June 1, 2026?",
            "Will A win by 2030 votes?",
            "X out by February 30, 2026?",
            // Not likelier with time:
            "No ceasefire by June 30, 2026?",
            "Will X not resign by June 30, 2026?",
            "Won't X resign by June 30, 2026?",
            "Will X remain president by June 30, 2026?",
            "Exactly 3 cuts by June 30, 2026?",
            "Fewer than 3 cuts by June 30, 2026?",
            "Will X be the largest company by June 30, 2026?",
            "VIX above 50 by June 30, 2026?",
        ] {
            is(question, None, Reading::Ambiguous);
        }
    }

    #[test]
    fn rules_agree_when_only_the_deadline_differs() {
        let day = |text: &str| LastDay {
            from: date(text),
            to: date(text),
        };
        let rules = |until: &str, own: &str| {
            let text =
                format!("Yes if announced between November 4, 2025 and {until}, 11:59 PM ET.");
            rules_without(&text, day(own), None)
        };
        let march = rules("March 31, 2026", "2026-03-31");
        assert_eq!(march, rules("June 30 2026", "2026-06-30"));
        // One of them is not told apart from its own deadline: that is another question.
        assert_ne!(march, rules("July 1, 2027", "2026-06-30"));
        // Periods that start at different times are not nested.
        let other = "Yes if announced between January 4, 2026 and June 30, 2026, 11:59 PM ET.";
        assert_ne!(march, rules_without(other, day("2026-06-30"), None));
        let before = |text: &str, own: &str| rules_without(text, day(own), None);
        assert_eq!(
            before("Happens before 2027.", "2026-12-31"),
            before("Happens before June 2026.", "2026-05-31"),
        );
    }
}

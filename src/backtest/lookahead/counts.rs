//! What strategies counted and no event tells: what they passed over, and what was not traded.

use std::collections::HashMap;
use std::fmt::Write;

use crate::domain::Timestamp;
use crate::trading::report::TickReport;

/// The counts of a run, tick by tick.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// What was counted, in words, by number.
    words: Vec<String>,
    numbers: HashMap<String, u32>,
    /// Moments of ticks in which something was counted, and where the counts of each end.
    ticks: Vec<(Timestamp, usize)>,
    /// Number of the words, and how often.
    counts: Vec<(u32, u32)>,
    /// For the words of one count.
    scratch: String,
}

/// A tick in which two runs have counted differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parted {
    pub at: Timestamp,
    /// What either has counted there that the other has not, in words.
    pub whole: String,
    pub truncated: String,
}

impl Counts {
    /// For the counts of another run, which calls things by the same numbers.
    pub(super) fn beside(&self) -> Self {
        Counts {
            words: self.words.clone(),
            numbers: self.numbers.clone(),
            ..Counts::default()
        }
    }

    /// Adds those of a step.
    pub(super) fn take(&mut self, report: &TickReport) {
        let before = self.counts.len();
        for one in &report.strategies {
            let name = &one.strategy;
            self.add(name, "looked at", "", one.looked_at);
            for (cause, count) in &one.passed_over {
                self.add(name, "passed over: ", cause, *count);
            }
            for (cause, count) in &one.not_traded {
                self.add(name, "did not trade: ", cause, *count);
            }
            if let Some(error) = &one.error {
                self.add(name, "failed: ", error, 1);
            }
        }
        if self.counts.len() > before {
            self.ticks.push((report.at, self.counts.len()));
        }
    }

    fn add(&mut self, strategy: &str, what: &str, cause: &str, count: u32) {
        if count == 0 {
            return;
        }
        self.scratch.clear();
        // Writing to a string does not fail.
        let _ = write!(self.scratch, "{strategy} {what}{cause}");
        let number = match self.numbers.get(&self.scratch) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
                self.words.push(self.scratch.clone());
                self.numbers.insert(self.scratch.clone(), number);
                number
            }
        };
        self.counts.push((number, count));
    }

    /// Ticks with their counts.
    fn ticks(&self) -> impl Iterator<Item = (Timestamp, &[(u32, u32)])> {
        let begins = std::iter::once(0).chain(self.ticks.iter().map(|(_, end)| *end));
        let ticks = self.ticks.iter().zip(begins);
        ticks.map(|((at, end), begin)| (*at, self.counts.get(begin..*end).unwrap_or_default()))
    }

    /// Compares with the counts of a run on cut-off data, made [beside](Self::beside) these, up to `cut`: how many
    /// ticks are the same, and the first that is not.
    pub(super) fn compare(&self, truncated: &Counts, cut: Timestamp) -> (u64, Option<Parted>) {
        let mut whole = self.ticks().take_while(|(at, _)| *at <= cut);
        let mut shorter = truncated.ticks().take_while(|(at, _)| *at <= cut);
        let mut compared = 0;
        loop {
            let (a, b) = match (whole.next(), shorter.next()) {
                (None, None) => return (compared, None),
                (a, b) if a == b => {
                    compared += 1;
                    continue;
                }
                both => both,
            };
            let at_of = |tick: Option<(Timestamp, _)>| tick.map(|(at, _)| at);
            let at = at_of(a).into_iter().chain(at_of(b)).min().unwrap_or(cut);
            // Of two ticks at different moments the other run has nothing at the earlier one.
            let here = |tick: Option<(Timestamp, &'_ [(u32, u32)])>| {
                tick.filter(|(then, _)| *then == at)
                    .map_or_else(Vec::new, |(_, counts)| counts.to_vec())
            };
            let (a, b) = (here(a), here(b));
            let parted = Parted {
                at,
                whole: self.told(&a, &b),
                truncated: truncated.told(&b, &a),
            };
            return (compared, Some(parted));
        }
    }

    /// Those of `counts` that the other run does not have so, in words.
    fn told(&self, counts: &[(u32, u32)], other: &[(u32, u32)]) -> String {
        let own = counts.iter().filter(|count| !other.contains(count));
        let words = own.map(|(number, count)| {
            let words = self.words.get(*number as usize);
            format!("{} {count}", words.map_or("", String::as_str))
        });
        let words: Vec<String> = words.collect();
        if words.is_empty() {
            return "nothing".to_owned();
        }
        words.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    fn silent(minute: i64) -> TickReport {
        TickReport {
            at: at(minute),
            ..TickReport::default()
        }
    }

    /// A tick of one strategy.
    fn tick(minute: i64, looked_at: u32, cash: u32) -> TickReport {
        let mut report = silent(minute);
        let one = report.strategy("maker");
        one.looked_at = looked_at;
        one.passed_over.insert("far".to_owned(), 2);
        one.not_traded.insert("cash".to_owned(), cash);
        report
    }

    fn of(like: &Counts, ticks: &[TickReport]) -> Counts {
        let mut counts = like.beside();
        ticks.iter().for_each(|tick| counts.take(tick));
        counts
    }

    #[test]
    fn counts_up_to_the_cut_are_compared() {
        let ticks = [tick(1, 5, 0), tick(2, 6, 3), tick(3, 7, 3)];
        let whole = of(&Counts::default(), &ticks);
        let same = of(&whole, &ticks[..2]);
        assert_eq!(whole.compare(&same, at(2)), (2, None));
        let (compared, parted) = whole.compare(&of(&whole, &[tick(1, 5, 0), tick(2, 6, 4)]), at(2));
        let expected = Parted {
            at: at(2),
            whole: "maker did not trade: cash 3".to_owned(),
            truncated: "maker did not trade: cash 4".to_owned(),
        };
        assert_eq!((compared, parted), (1, Some(expected)));
        // After the cut anything may be.
        let later = of(&whole, &[tick(1, 5, 0), tick(2, 6, 4)]);
        assert_eq!(whole.compare(&later, at(1)), (1, None));
    }

    #[test]
    fn a_tick_that_only_one_has_is_a_difference() {
        let whole = of(&Counts::default(), &[tick(1, 5, 0), tick(2, 6, 3)]);
        let parted = |counts: &Counts| whole.compare(counts, at(9)).1.unwrap();
        let shorter = parted(&of(&whole, &[tick(1, 5, 0)]));
        assert_eq!((shorter.at, &*shorter.truncated), (at(2), "nothing"));
        assert_eq!(
            shorter.whole,
            "maker looked at 6; maker passed over: far 2; maker did not trade: cash 3"
        );
        let earlier = parted(&of(&whole, &[tick(0, 1, 0), tick(1, 5, 0)]));
        assert_eq!((earlier.at, &*earlier.whole), (at(0), "nothing"));
        assert_eq!(
            earlier.truncated,
            "maker looked at 1; maker passed over: far 2"
        );
        // What the whole run never counted has words too.
        let mut odd = tick(2, 6, 3);
        odd.strategy("maker").error = Some("it broke".to_owned());
        let odd = parted(&of(&whole, &[tick(1, 5, 0), odd]));
        assert_eq!(
            (&*odd.whole, &*odd.truncated),
            ("nothing", "maker failed: it broke 1")
        );
        // A step without any counts is none.
        let whole = of(&Counts::default(), &[tick(1, 5, 0)]);
        let same = of(&whole, &[tick(1, 5, 0), silent(1)]);
        assert_eq!(whole.compare(&same, at(9)), (1, None));
    }
}

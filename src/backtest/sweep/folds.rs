//! Windows of a walk-forward sweep, and which markets are left out of a test.

use std::sync::Arc;

use serde::Serialize;

use crate::backtest::data::Source;
use crate::domain::Timestamp;

use super::score;

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First moment.
    pub from: Timestamp,
    /// Last moment.
    pub to: Timestamp,
}

impl Serialize for Window {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.from.to_rfc3339(), self.to.to_rfc3339()].serialize(serializer)
    }
}

/// One training window with its test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fold {
    /// What was chosen by: first and last moment, RFC 3339 UTC.
    pub training: Window,
    /// What came after it.
    pub test: Window,
    /// Markets with a row in the training window.
    pub trained: usize,
    /// Markets with a row in the test window that may be traded there.
    pub tested: usize,
    /// Markets with a row in the test window that are left out, because the training has seen them.
    pub left_out: usize,
}

/// All folds, and the markets left out of each test.
#[derive(Debug)]
pub(super) struct Folds {
    folds: Vec<Fold>,
    excluded: Vec<Arc<[bool]>>,
    step: i64,
}

impl Folds {
    /// Cuts the period. Errors: there is nothing in it, or less than a millisecond for each stretch.
    pub(super) fn of(
        data: Source<'_>,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        count: usize,
        purge: bool,
    ) -> Result<Self, String> {
        let (first, last) = data.period().ok_or("the recording is empty")?;
        let first = start.map_or(first, |start| start.max(first));
        let last = end.map_or(last, |end| end.min(last));
        let stretches = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(1);
        let length = last.since(first) / stretches;
        if length < 2 {
            return Err(format!(
                "the recording has no {stretches} stretches of time between {first} and {last}"
            ));
        }
        let boundary = |number: i64| first.plus_millis(length * number);
        let mut folds = Vec::new();
        let mut excluded = Vec::new();
        for number in 1..stretches {
            let to = match number + 1 == stretches {
                true => last,
                false => boundary(number + 1).plus_millis(-1),
            };
            let training = Window {
                from: first,
                to: boundary(number).plus_millis(-1),
            };
            let test = Window {
                from: boundary(number),
                to,
            };
            let seen = data.told_in(training);
            let there = data.told_in(test);
            let out: Vec<bool> = seen.iter().map(|seen| *seen && purge).collect();
            let both = there.iter().zip(&out);
            let left_out = both.filter(|(there, out)| **there && **out).count();
            let present = there.iter().filter(|there| **there).count();
            folds.push(Fold {
                training,
                test,
                trained: seen.iter().filter(|seen| **seen).count(),
                tested: present - left_out,
                left_out,
            });
            excluded.push(out.into());
        }
        Ok(Folds {
            folds,
            excluded,
            step: score::step_for(last.since(first)),
        })
    }

    pub(super) fn folds(&self) -> &[Fold] {
        &self.folds
    }

    /// Length of a step of returns, ms.
    pub(super) fn step_ms(&self) -> i64 {
        self.step
    }

    /// Training and test of each fold, with the markets left out.
    pub(super) fn windows(&self) -> Vec<(Window, Arc<[bool]>)> {
        let all: Arc<[bool]> = Arc::from([]);
        let pairs = self.folds.iter().zip(&self.excluded);
        pairs
            .flat_map(|(fold, out)| {
                [
                    (fold.training, Arc::clone(&all)),
                    (fold.test, Arc::clone(out)),
                ]
            })
            .collect()
    }
}

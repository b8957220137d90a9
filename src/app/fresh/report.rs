//! What the background keeps fresh, in words: for `health_check`.

use crate::domain::{History, Timestamp};

use super::{Dated, Fresh, HISTORY_AGE_MS, Kind, within};

/// The background as `health_check` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FreshReport {
    /// What is fresh and how old it is, in words; empty while nothing runs in the background.
    pub notes: Vec<String>,
    /// What is wrong.
    pub problems: Vec<String>,
}

impl Fresh {
    /// What is fresh, how old it is, and what keeps failing: for `health_check`.
    pub(in crate::app) fn report(&self, now: Timestamp) -> FreshReport {
        if self.has_ended_early() {
            return FreshReport {
                notes: Vec::new(),
                problems: vec![
                    "the background refresh has ended by itself; ticks and tools ask the venue each \
                     time; restart the server, and report the fault that the log shows"
                        .to_owned(),
                ],
            };
        }
        if !self.is_running() {
            return FreshReport::default();
        }
        let age = |at: Timestamp| format!("{} s", now.since(at).max(0) / 1000);
        let mut notes = Vec::new();
        let list = self.list.load_full();
        notes.push(match &list {
            Some(list) => format!(
                "background: {} most traded markets, {} old",
                list.markets().len(),
                age(list.at)
            ),
            None => "background: no list of markets yet".to_owned(),
        });
        let list_is_fresh = self.list(now).is_some();
        let state = self.state();
        let oldest = |moments: &mut dyn Iterator<Item = Timestamp>| moments.min().map(age);
        let mut held = state.others.values().map(|(at, _)| *at);
        if let Some(oldest) = oldest(&mut held) {
            notes.push(format!(
                "background: {} other markets of the account, the oldest {oldest} old",
                state.others.len()
            ));
        }
        let known = |entry: &&Dated<Option<History>>| {
            entry.1.is_some() && within(HISTORY_AGE_MS, now, entry.0)
        };
        let fresh = state.histories.values().filter(known);
        if let Some(oldest) = oldest(&mut fresh.clone().map(|(at, _)| *at)) {
            notes.push(format!(
                "background: {} price histories, the oldest {oldest} old",
                fresh.count()
            ));
        }
        let mut problems = Vec::new();
        for (kind, progress) in Kind::ALL.into_iter().zip(&state.progress) {
            let Some(error) = &progress.error else {
                continue;
            };
            let words = kind.words();
            let failed = format!(
                "background: {words} could not be refreshed ({} times): {error}",
                progress.failures
            );
            // A hiccup is a remark; without a usable list it is a problem.
            if kind == Kind::List && !list_is_fresh {
                problems.push(format!(
                    "{failed}; ticks and tools ask the venue each time until it answers"
                ));
            } else {
                notes.push(failed);
            }
        }
        FreshReport { notes, problems }
    }
}

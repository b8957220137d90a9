//! Whether any decision knew the future: the run on all data against runs on data cut off.
//!
//! A decision at a moment may depend on what was there by then and on nothing else. So a run on data
//! without anything after a moment T must have the same events up to T as the run on all of it, and its strategies
//! must have counted the same: much that a strategy wants is only counted. Where they differ, something looked
//! ahead: a strategy, a reader that fills in from later rows, or metadata that tells how things ended. The check
//! finds what made a difference to *these* strategies on *these* data at *these* moments; it cannot prove that
//! nothing else would.

use serde::Serialize;

use crate::domain::text::clean;
use crate::domain::{StampedEvent, Timestamp};
use crate::strategy::Strategy;

use super::data::Source;
use super::engine::{BacktestError, BacktestOptions, BacktestResult, run_observed};

mod counts;

use counts::{Counts, Parted};

/// Longest JSON of an event, or list of counts, that is quoted in words, characters.
const MOST_QUOTED: usize = 400;

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lookahead {
    /// Moments at which the data were cut, RFC 3339 UTC.
    pub cuts: Vec<String>,
    /// Events of the whole run that were compared, all cuts together.
    pub compared: u64,
    /// Ticks of which it was compared what strategies counted: what they passed over, what was not traded.
    pub ticks: u64,
    /// The first difference; `None` when there is none.
    pub difference: Option<Difference>,
    /// True when it was ended before all moments were looked at.
    pub interrupted: bool,
}

/// Where two runs part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Moment after which the data were cut off, RFC 3339 UTC.
    pub cut: String,
    /// Moment of the first event or count that differs, RFC 3339 UTC.
    pub at: String,
    /// Number of that event; `None` where it is what was counted in a tick.
    pub event: Option<u64>,
    /// What it is with all data: JSON of an event, counts in words, or `nothing`.
    pub whole: String,
    /// What it is on the data up to the cut: the same.
    pub truncated: String,
}

impl Difference {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match self.event {
            Some(event) => format!("event {event} at {} is another one", self.at),
            None => format!("strategies counted otherwise at {}", self.at),
        };
        format!(
            "LOOK-AHEAD: with the data cut off after {}, {what}. With all data: {}. Without what came later: {}.",
            self.cut, self.whole, self.truncated
        )
    }
}

impl Lookahead {
    /// In words, for a report.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.difference {
            Some(difference) => difference.words(),
            None if self.cuts.is_empty() && self.interrupted => {
                "The check for look-ahead was interrupted before it had looked at anything."
                    .to_owned()
            }
            None if self.interrupted => format!(
                "The check for look-ahead was interrupted: {} events and the counts of {} ticks up to {} moments \
                 are the same without the data after them; later moments were not looked at.",
                self.compared,
                self.ticks,
                self.cuts.len()
            ),
            None => format!(
                "No look-ahead found: {} events and the counts of {} ticks up to {} moments are the same without \
                 the data after them.",
                self.compared,
                self.ticks,
                self.cuts.len()
            ),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LookaheadError<E> {
    /// A run failed.
    #[error(transparent)]
    Run(#[from] BacktestError),
    /// The data up to a moment could not be had.
    #[error("{0}")]
    Data(E),
}

/// Runs on all data and then on the data up to each of `cuts` moments, evenly through the frames of
/// the period, and compares. `until` loads the data without anything after a moment; `strategies` makes
/// the strategies of a run, which may not remember others. Gives the result of the whole run, too. When it is
/// cancelled, what there is by then is kept and says so.
///
/// Errors: a run failed, or the data could not be loaded again.
pub fn check<D, E>(
    data: &D,
    options: &BacktestOptions<'_>,
    cuts: usize,
    until: &dyn Fn(Timestamp) -> Result<D, E>,
    strategies: &dyn Fn(&D) -> Vec<Box<dyn Strategy>>,
) -> Result<(BacktestResult, Lookahead), LookaheadError<E>>
where
    for<'d> &'d D: Into<Source<'d>>,
{
    let mut whole = Vec::new();
    let mut counts = Counts::default();
    let result = run_observed(data, &strategies(data), options, &mut |events, report| {
        whole.extend_from_slice(events);
        report.into_iter().for_each(|report| counts.take(report));
    })?;
    let mut found = Lookahead {
        cuts: Vec::new(),
        compared: 0,
        ticks: 0,
        difference: None,
        interrupted: result.partial,
    };
    for cut in moments(&result, cuts) {
        found.interrupted |= (options.cancelled)();
        if found.interrupted {
            break;
        }
        let known = match until(cut) {
            Ok(known) => known,
            // Reading was given up for that.
            Err(_) if (options.cancelled)() => {
                found.interrupted = true;
                break;
            }
            Err(error) => return Err(LookaheadError::Data(error)),
        };
        let mut events = Vec::new();
        let shorter = BacktestOptions {
            end: Some(cut),
            trading: options.trading.clone(),
            rules: options.rules.clone(),
            title: options.title.clone(),
            progress: &|_, _| {},
            ..*options
        };
        let mut counted = counts.beside();
        let run = run_observed(
            &known,
            &strategies(&known),
            &shorter,
            &mut |more, report| {
                events.extend_from_slice(more);
                report.into_iter().for_each(|report| counted.take(report));
            },
        );
        match run {
            Ok(run) if run.partial => {
                found.interrupted = true;
                break;
            }
            // Nothing to see by then: compared below, the other run may have seen something.
            Ok(_) | Err(BacktestError::Empty { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let (compared, of_events) = compare(&whole, &events, cut);
        let (ticks, of_counts) = counts.compare(&counted, cut);
        let difference = first_of(of_events, of_counts, cut);
        found.cuts.push(cut.to_rfc3339());
        found.compared += compared;
        found.ticks += ticks;
        if difference.is_some() {
            found.difference = difference;
            break;
        }
    }
    Ok((result, found))
}

/// So many moments of the run, evenly through it, neither the first nor the last.
fn moments(result: &BacktestResult, cuts: usize) -> Vec<Timestamp> {
    let mut moments: Vec<Timestamp> = result.report.equity.iter().map(|(at, _)| *at).collect();
    moments.dedup();
    let last = moments.len().saturating_sub(1);
    let mut chosen: Vec<Timestamp> = (1..=cuts)
        .filter_map(|cut| moments.get(last * cut / (cuts + 1)).copied())
        .collect();
    chosen.dedup();
    chosen
}

/// The earlier of both differences; of one moment that of events, which says more.
fn first_of(
    events: Option<(Timestamp, Difference)>,
    counts: Option<Parted>,
    cut: Timestamp,
) -> Option<Difference> {
    let earlier = |counts: &Parted| events.as_ref().is_none_or(|(at, _)| counts.at < *at);
    match counts.filter(earlier) {
        Some(Parted {
            at,
            whole,
            truncated,
        }) => Some(Difference {
            cut: cut.to_rfc3339(),
            at: at.to_rfc3339(),
            event: None,
            whole: clean(&whole, MOST_QUOTED),
            truncated: clean(&truncated, MOST_QUOTED),
        }),
        None => events.map(|(_, difference)| difference),
    }
}

/// Compares the events up to `cut`: how many are equal, and the first that is not with its moment.
fn compare(
    whole: &[StampedEvent],
    truncated: &[StampedEvent],
    cut: Timestamp,
) -> (u64, Option<(Timestamp, Difference)>) {
    let mut until = whole.iter().take_while(|event| event.at <= cut);
    let mut shorter = truncated.iter().take_while(|event| event.at <= cut);
    let mut compared = 0;
    loop {
        match (until.next(), shorter.next()) {
            (None, None) => return (compared, None),
            (Some(a), Some(b)) if a == b => compared += 1,
            (a, b) => {
                let moments = [a, b].into_iter().flatten().map(|event| event.at);
                let at = moments.min().unwrap_or(cut);
                let difference = Difference {
                    cut: cut.to_rfc3339(),
                    at: at.to_rfc3339(),
                    event: a.or(b).map(|event| event.seq),
                    whole: quoted(a),
                    truncated: quoted(b),
                };
                return (compared, Some((at, difference)));
            }
        }
    }
}

fn quoted(event: Option<&StampedEvent>) -> String {
    let Some(event) = event else {
        return "nothing".to_owned();
    };
    let json = serde_json::to_string(&event.event).unwrap_or_else(|error| error.to_string());
    clean(&json, MOST_QUOTED)
}

#[cfg(test)]
mod tests;

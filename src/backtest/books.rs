//! The replay of recorded books: a tight loop over packed events that touches nothing but arrays of
//! levels, and the live step wherever a session would have asked it.
//!
//! * **Ticks** come at whole multiples of `tick_ms` (a minute, where nothing is said) once some book has
//!   changed since the last one: strategies see the markets that did, and those in which something is held or rests.
//! * **Between ticks** the desk is asked as a session's reactions ask it (`docs/paper-execution.md`):
//!   when an exit would fire, be doubted or follow, a resting order fill by the book or by a trade, and at
//!   most once a second when the bid of something held has moved.
//! * **Orders on their way** arrive at their moment, resting orders end at theirs, markets settle when
//!   the recording says so.
//!
//! A message is seen as a whole: nothing looks at one token's book while the other one's change of the
//! same message is still to come.

use std::collections::BTreeMap;

use crate::domain::{Resolution, Snapshot, Timestamp};
use crate::market_data::recorded::FEE_NOTE;
use crate::market_data::recorded::books::BookRecording;
use crate::strategy::Strategy;
use crate::trading::watch::{self, Chance};

use super::engine::{
    BacktestError, BacktestOptions, BacktestResult, Kind, Observe, Replay, Stop, empty,
};

pub mod hidden;
pub mod ladder;
pub mod seen;
mod state;
mod watch_list;

use state::{Books, Halt, Numbers, Sight};
use watch_list::Watches;

/// Time between ticks where nothing is said, ms.
pub const TICK_MS: i64 = 60_000;
/// At most so often is a change recorded that only moves marks, ms.
const MARK_MS: i64 = 1_000;
/// Wait before an exit that could not sell, or one that was confirmed on a hidden book, is tried again.
const AGAIN_MS: i64 = 5_000;
/// Between two looks at an exit whose time to be confirmed is over, ms.
const LOOK_MS: i64 = 1_000;
/// Trades of others that wait for one step.
const MOST_PRINTS: usize = 1_000;

/// What is due next. Of what is due at one moment the first is done first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A market has resolved.
    Resolution,
    /// An order arrives.
    Arrival,
    /// A resting order ends.
    Expiry,
    /// An exit has been doubted for long enough.
    Confirmation,
    /// Bids of held tokens have moved a while ago.
    Marks,
    /// Strategies look.
    Tick,
}

/// Runs the step over the recording. See [`super::engine::run`].
pub(super) fn replay(
    recording: &BookRecording,
    strategies: &[Box<dyn Strategy>],
    options: &BacktestOptions<'_>,
    stop: &Stop,
    observe: &mut Observe<'_>,
) -> Result<BacktestResult, BacktestError> {
    let mut run = Run::new(recording, strategies, options, stop, observe);
    run.play(options)?;
    let warning = recording.warning();
    let Replay {
        ledger,
        record,
        partial,
        ..
    } = run.desk;
    if record.frames == 0 && !partial {
        return Err(empty(options));
    }
    let mut result = record.finish(None, &ledger, options, partial);
    let report = &mut result.report;
    let begin = usize::from(partial).min(report.notes.len());
    report.notes.splice(begin..begin, recording.notes());
    report.rebuilt = warning;
    for (cause, skipped) in recording.report().skips.iter() {
        report.skipped_rows.insert(cause.to_owned(), skipped.count);
    }
    if let Some(note) = options.rules.fees.note() {
        report.notes.retain(|note| note != FEE_NOTE);
        report.notes.insert(0, note.to_owned());
    }
    Ok(result)
}

struct Run<'a, 'b> {
    desk: Replay<'a, 'b>,
    recording: &'a BookRecording,
    books: Books<'a>,
    watches: Watches,
    numbers: Numbers,
    /// Memory for the tokens and markets of a step.
    wanted: Vec<u32>,
    markets: Vec<usize>,
    next_end: usize,
    /// When marks were last recorded for their own sake, ms.
    marked: Option<i64>,
    /// Exits that could not sell, not to be tried before.
    again: BTreeMap<u64, i64>,
    /// Exits that wait to be confirmed are not looked at before, ms.
    look_after: i64,
    /// Moment of the last arrival: one whose market is gone stays on its way.
    arrived: Option<i64>,
}

impl<'a, 'b> Run<'a, 'b> {
    fn new(
        recording: &'a BookRecording,
        strategies: &'a [Box<dyn Strategy>],
        options: &BacktestOptions<'_>,
        stop: &'a Stop,
        observe: &'b mut Observe<'b>,
    ) -> Self {
        let tokens = recording.tokens().iter();
        Run {
            desk: Replay::new(strategies, options, stop, observe),
            recording,
            books: Books::new(recording, options),
            watches: Watches::default(),
            numbers: (0_u32..)
                .zip(tokens)
                .map(|(number, token)| (token.id.clone(), number))
                .collect(),
            wanted: Vec::new(),
            markets: Vec::new(),
            next_end: 0,
            marked: None,
            again: BTreeMap::new(),
            look_after: i64::MIN,
            arrived: None,
        }
    }

    fn play(&mut self, options: &BacktestOptions<'_>) -> Result<(), BacktestError> {
        let wanted = || self.desk.stop.is_wanted() || (options.cancelled)();
        if let Some(start) = options.start {
            // Books and histories are known from before; nobody trades on them yet.
            if !self.books.warm_up(start.millis(), &wanted) {
                self.desk.partial = true;
                return Ok(());
            }
            self.pass_resolutions(start);
        }
        let Some(first) = self.books.next_moment() else {
            return Ok(());
        };
        let end = options.end.map(Timestamp::millis);
        if end.is_some_and(|end| first > end) {
            return Ok(());
        }
        let begin = self.books.tick_due().map_or(first, |due| due.min(first));
        self.desk.open(options, Timestamp::from_millis(begin))?;
        let total = self.recording.events().len();
        // Without an end of its own the account rests when the recording does.
        let last = self
            .recording
            .period()
            .map_or(first, |(_, last)| last.millis());
        let horizon = end.unwrap_or(last);
        loop {
            if self.desk.stop.is_wanted() || (options.cancelled)() {
                self.desk.partial = true;
                return Ok(());
            }
            let latest = end.unwrap_or(i64::MAX);
            let limit = self
                .due(horizon, latest)
                .map_or(latest, |(at, _)| at.min(latest));
            match self.books.advance(limit) {
                Halt::Message(at) => self.react(at, false)?,
                Halt::Chunk => {}
                Halt::Reached | Halt::Ended => {
                    // Something may have become due on the way.
                    let Some((at, due)) = self.due(horizon, latest) else {
                        (options.progress)(total, total);
                        return Ok(());
                    };
                    self.carry_out(due, at)?;
                }
            }
            if self.desk.partial {
                return Ok(());
            }
            (options.progress)(self.books.done(), total);
        }
    }

    /// Markets that ended before the period are gone.
    fn pass_resolutions(&mut self, start: Timestamp) {
        while let Some((at, market, _)) = self.recording.resolutions().get(self.next_end)
            && *at < start
        {
            self.books.resolve(*market);
            self.next_end += 1;
        }
    }

    /// The next thing that time alone brings: what keeps the account up to `horizon`, the rest up to
    /// `end`.
    fn due(&self, horizon: i64, end: i64) -> Option<(i64, Due)> {
        let resolution = self.recording.resolutions().get(self.next_end);
        let held = self.books.has_unmarked();
        let marks = held.then(|| self.marked.map_or(i64::MIN, |at| at + MARK_MS));
        let arrival = self
            .watches
            .arrival
            .filter(|at| self.arrived.is_none_or(|last| *at > last));
        let confirmed = self.watches.confirmed.map(|at| at.max(self.look_after));
        let kept = |at: Option<i64>| at.filter(|at| *at <= horizon);
        [
            (resolution.map(|(at, _, _)| at.millis()), Due::Resolution),
            (arrival, Due::Arrival),
            (kept(self.watches.expiry), Due::Expiry),
            (kept(confirmed), Due::Confirmation),
            (kept(marks.map(|at| at.max(self.books.now()))), Due::Marks),
            (self.books.tick_due(), Due::Tick),
        ]
        .into_iter()
        .filter_map(|(at, due)| Some((at?, due)))
        .filter(|(at, _)| *at <= end)
        .min()
    }

    fn carry_out(&mut self, due: Due, at: i64) -> Result<(), BacktestError> {
        let moment = Timestamp::from_millis(at.max(self.books.now()));
        match due {
            Due::Resolution => self.settle(moment),
            Due::Arrival => self.arrive(at),
            Due::Expiry => {
                self.markets.clear();
                self.add_waiting_markets();
                self.show(moment, Sight::Other);
                self.step(Kind::Books, moment)?;
                // The step ends what is due; should it ever not, the replay goes on all the same.
                let left = self.watches.expiry;
                self.watches.expiry = left.filter(|end| *end > moment.millis());
                Ok(())
            }
            Due::Confirmation => {
                self.look_after = moment.millis() + LOOK_MS;
                self.react(moment.millis(), true)
            }
            Due::Marks => self.react(moment.millis(), false),
            Due::Tick => self.tick(moment),
        }
    }

    /// One step of the desk on what is shown, and what is waited for after it.
    fn step(&mut self, kind: Kind, at: Timestamp) -> Result<(), BacktestError> {
        let snapshot = self.books.snapshot(at);
        self.step_on(kind, snapshot)
    }

    fn step_on(&mut self, kind: Kind, snapshot: Snapshot) -> Result<(), BacktestError> {
        let snapshot = self.desk.step(kind, snapshot)?;
        self.books.give_back(snapshot);
        if self.desk.partial {
            return Ok(());
        }
        self.desk.record.frames += 1;
        let account = (&self.desk.ledger, &self.desk.config);
        self.books
            .follow(&self.desk.events, &mut self.watches, account, &self.numbers);
        Ok(())
    }

    fn tick(&mut self, at: Timestamp) -> Result<(), BacktestError> {
        // A session looks at all of its markets; those where nothing has changed and nothing is at
        // stake are left out.
        self.markets.clear();
        self.books.take_changed(at, &mut self.markets);
        self.add_waiting_markets();
        self.add_held_markets();
        self.show(at, Sight::Candidate);
        for market in self.books.neg_risk_siblings(&self.markets) {
            self.books.show(market, at, Sight::Other);
        }
        self.step(Kind::Tick, at)
    }

    /// Shows the markets that were found, each once and in order.
    fn show(&mut self, at: Timestamp, sight: Sight) {
        self.markets.sort_unstable();
        self.markets.dedup();
        for market in &self.markets {
            self.books.show(*market, at, sight);
        }
    }

    fn add_held_markets(&mut self) {
        let held = self.desk.ledger.positions().values();
        let held = held.filter_map(|position| self.recording.index_of(&position.market_id));
        self.markets.extend(held);
    }

    /// Markets that orders rest in, or are on their way to.
    fn add_waiting_markets(&mut self) {
        let open = self.desk.ledger.open_orders();
        let open = open.filter_map(|(order, _)| self.recording.index_of(&order.market_id));
        self.markets.extend(open);
    }

    /// All markets resolved by `at`.
    fn settle(&mut self, at: Timestamp) -> Result<(), BacktestError> {
        let mut found: Vec<Resolution> = Vec::new();
        while let Some((moment, market, resolution)) =
            self.recording.resolutions().get(self.next_end)
            && *moment <= at
        {
            self.next_end += 1;
            if self.books.resolve(*market) {
                found.push(resolution.clone());
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let snapshot = self.books.snapshot(at).with_resolutions(found);
        self.step_on(Kind::Books, snapshot)
    }

    /// Lets orders arrive whose moment has come, on the books of then.
    fn arrive(&mut self, at: i64) -> Result<(), BacktestError> {
        let moment = Timestamp::from_millis(at.max(self.books.now()));
        let due = self.desk.ledger.in_flight().map(|(order, _)| order);
        let due = due.filter(|order| order.arrives_at.is_none_or(|arrives| arrives <= moment));
        let due = due.filter_map(|order| self.recording.index_of(&order.market_id));
        self.markets.clear();
        self.markets.extend(due);
        self.add_held_markets();
        self.show(moment, Sight::Other);
        self.arrived = Some(at);
        self.step(Kind::Arrive, moment)
    }

    /// What a session does when books have changed: look up what would happen, and ask the desk only when
    /// something would.
    fn react(&mut self, now: i64, all_doubts: bool) -> Result<(), BacktestError> {
        let at = Timestamp::from_millis(now);
        let prints = self.books.take_prints();
        self.wanted.clear();
        self.books.take_attention(&mut self.wanted);
        for print in &prints {
            self.wanted.extend(self.numbers.get(&print.token));
        }
        if all_doubts || !self.wanted.is_empty() {
            self.wanted.extend(&self.watches.doubted);
        }
        // Whatever would happen is at one of these; a mark alone makes nothing happen.
        let may_happen = !self.wanted.is_empty();
        let marks_due = self.marked.is_none_or(|marked| now - marked >= MARK_MS);
        if marks_due {
            self.books.take_unmarked(&mut self.wanted);
        }
        self.markets.clear();
        let wanted = self.wanted.iter();
        self.markets
            .extend(wanted.filter_map(|number| self.books.market_of(*number)));
        self.show(at, Sight::Live);
        let views = self.books.views();
        let ledger = &self.desk.ledger;
        self.again
            .retain(|id, until| *until > now && ledger.conditionals().contains_key(id));
        let chances: Vec<Chance> = views
            .iter()
            .filter(|_| may_happen)
            .flat_map(|view| watch::chances(ledger, view, &self.desk.config, at))
            .filter(|chance| {
                chance
                    .conditional
                    .is_none_or(|id| !self.again.contains_key(&id))
            })
            .collect();
        let moved = marks_due && views.iter().any(|view| watch::moved(ledger, view));
        if chances.is_empty() && prints.is_empty() && !moved {
            self.books.put_away();
            return Ok(());
        }
        if moved {
            self.marked = Some(now);
            self.books.mark_due = now + MARK_MS;
        }
        let tried: Vec<_> = chances
            .iter()
            .filter_map(|chance| chance.conditional)
            .map(|id| (id, ledger.conditionals().get(&id).cloned()))
            .collect();
        let snapshot = self.books.snapshot(at).with_prints(prints);
        self.step_on(Kind::Books, snapshot)?;
        for (id, before) in tried {
            // What would have fired and has not was refused, or there was nothing to take.
            if self.desk.ledger.conditionals().get(&id) == before.as_ref() {
                self.again.insert(id, now + AGAIN_MS);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

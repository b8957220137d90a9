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

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::{Print, Resolution, Snapshot, SourceKind, Timestamp, TokenId};
use crate::market_data::recorded::FEE_NOTE;
use crate::market_data::recorded::books::BookRecording;
use crate::strategy::Strategy;
use crate::trading::watch::{self, Chance};

use super::engine::{
    BacktestError, BacktestOptions, BacktestResult, Kind, Observe, Replay, Stop, empty,
};

pub mod ladder;
mod state;
mod watch_list;

use state::{Books, Halt};
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
    /// Numbers of tokens.
    numbers: HashMap<TokenId, u32>,
    next_end: usize,
    /// Last event of the ledger that the watches account for.
    watched_seq: Option<u64>,
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
            next_end: 0,
            watched_seq: None,
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
        let held = !self.books.unmarked.is_empty();
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
                let markets = self.waiting_markets();
                let snapshot = self.snapshot(moment, &BTreeSet::new(), &markets);
                self.step(Kind::Books, snapshot)?;
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

    /// One step of the desk, and what is waited for after it.
    fn step(&mut self, kind: Kind, snapshot: Snapshot) -> Result<(), BacktestError> {
        self.desk.step(kind, snapshot)?;
        if self.desk.partial {
            return Ok(());
        }
        self.desk.record.frames += 1;
        let seq = self.desk.ledger.seq();
        if self.watched_seq.replace(seq) != Some(seq) {
            self.watches = Watches::of(&self.desk.ledger, &self.desk.config, &self.numbers);
            self.books.watch(&self.watches);
        }
        Ok(())
    }

    fn tick(&mut self, at: Timestamp) -> Result<(), BacktestError> {
        // A session looks at all of its markets; those where nothing has changed and nothing is at
        // stake are left out.
        let mut candidates = self.books.take_changed(at);
        candidates.extend(self.waiting_markets());
        candidates.extend(self.held_markets());
        let others = self.books.neg_risk_siblings(&candidates);
        let snapshot = self.snapshot(at, &candidates, &others);
        self.step(Kind::Tick, snapshot)
    }

    /// Views of `candidates`, and of `others` as none.
    fn snapshot(
        &mut self,
        at: Timestamp,
        candidates: &BTreeSet<usize>,
        others: &BTreeSet<usize>,
    ) -> Snapshot {
        let mut views = Vec::with_capacity(candidates.len() + others.len());
        for market in candidates {
            views.extend(self.books.view(*market, at, true));
        }
        for market in others.difference(candidates) {
            views.extend(self.books.view(*market, at, false));
        }
        Snapshot::new(at, SourceKind::Recorded, views, Vec::new())
    }

    fn held_markets(&self) -> BTreeSet<usize> {
        let held = self.desk.ledger.positions().values();
        held.filter_map(|position| self.recording.index_of(&position.market_id))
            .collect()
    }

    /// Markets that orders rest in, or are on their way to.
    fn waiting_markets(&self) -> BTreeSet<usize> {
        let open = self.desk.ledger.open_orders();
        open.filter_map(|(order, _)| self.recording.index_of(&order.market_id))
            .collect()
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
        let snapshot = Snapshot::new(at, SourceKind::Recorded, Vec::new(), found);
        self.step(Kind::Books, snapshot)
    }

    /// Lets orders arrive whose moment has come, on the books of then.
    fn arrive(&mut self, at: i64) -> Result<(), BacktestError> {
        let moment = Timestamp::from_millis(at.max(self.books.now()));
        let due = self.desk.ledger.in_flight().map(|(order, _)| order);
        let due = due.filter(|order| order.arrives_at.is_none_or(|arrives| arrives <= moment));
        let markets: BTreeSet<usize> = due
            .filter_map(|order| self.recording.index_of(&order.market_id))
            .collect();
        let held = self.held_markets();
        let mut views = Vec::new();
        for market in markets.union(&held) {
            views.extend(self.books.view(*market, moment, false));
        }
        let snapshot = Snapshot::new(moment, SourceKind::Recorded, views, Vec::new());
        self.arrived = Some(at);
        self.step(Kind::Arrive, snapshot)
    }

    /// What a session does when books have changed: look up what would happen, and ask the desk only when
    /// something would.
    fn react(&mut self, now: i64, all_doubts: bool) -> Result<(), BacktestError> {
        let at = Timestamp::from_millis(now);
        let prints: Vec<Print> = self.books.take_prints();
        let mut wanted = self.books.take_attention();
        for print in &prints {
            wanted.extend(self.numbers.get(&print.token));
        }
        let doubted = self
            .watches
            .by_token
            .iter()
            .filter(|(_, watch)| watch.doubted);
        if all_doubts || !wanted.is_empty() {
            wanted.extend(doubted.map(|(number, _)| *number));
        }
        // Whatever would happen is at one of these; a mark alone makes nothing happen.
        let may_happen = !wanted.is_empty();
        let marks_due = self.marked.is_none_or(|marked| now - marked >= MARK_MS);
        if marks_due {
            wanted.append(&mut self.books.unmarked);
        }
        let markets: BTreeSet<usize> = wanted
            .iter()
            .filter_map(|number| self.books.market_of(*number))
            .collect();
        let mut views = Vec::with_capacity(markets.len());
        for market in markets {
            views.extend(self.books.live_view(market, at));
        }
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
        let snapshot = Snapshot::new(at, SourceKind::Recorded, views, Vec::new());
        self.step(Kind::Books, snapshot.with_prints(prints))?;
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

//! The replay: the live step over every frame of a recording, on a ledger without a store.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    FeeSchedule, Market, MarketId, Snapshot, SourceKind, StampedEvent, Timestamp, Usdc,
};
use crate::market_data::recorded::{Dataset, FEE_NOTE, FeeRule};
use crate::strategy::Strategy;
use crate::trading::config::{Mode, TradingConfig};
use crate::trading::desk::{self, DeskError, Gathered};
use crate::trading::ledger::Ledger;
use crate::trading::report::TickReport;

use super::at_stake::AtStake;
use super::books;
use super::data::Source;
use super::frames::Frames;
use super::quiet;
use super::record::{Record, Standing};
use super::report::ReportInput;
use super::scouting::Scouting;

/// What a replay is made with.
#[derive(Clone)]
pub struct BacktestOptions<'a> {
    /// First moment; the recording's first row when `None`.
    pub start: Option<Timestamp>,
    /// Last moment; the recording's end when `None`.
    pub end: Option<Timestamp>,
    /// Cash at the start, pUSD.
    pub balance: Usdc,
    /// Limits, sizing, exits, latency: as live.
    pub trading: TradingConfig,
    /// What only a replay has to be told.
    pub rules: ReplayRules,
    /// Title of the report.
    pub title: String,
    /// Told of frames done and in all.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
    /// Asked before each frame, and every few milliseconds while one takes long; true ends the run,
    /// and what there is so far is kept.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// What only a replay has to be told. By default: the markets' own fees, a tick at each moment, all
/// markets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayRules {
    /// Which fees are charged.
    pub fees: FeeModel,
    /// Milliseconds between ticks, at whole multiples since 1970; `None`: one at each distinct time
    /// of a row.
    pub tick_ms: Option<i64>,
    /// Seed of whatever is drawn: the run itself draws nothing.
    pub seed: u64,
    /// Markets that are left out, by number in the data set: true leaves one out. Shorter than the
    /// data set: the others are in.
    pub excluded: Arc<[bool]>,
    /// Whether every market that has a row gets a view at every moment, whatever is at stake in it. The
    /// result is the same; it takes longer.
    pub whole: bool,
}

impl BacktestOptions<'_> {
    /// Whether markets may be looked at ahead of the account: ticks are at the rows' own moments, and each
    /// token belongs to one market.
    fn scouts(&self, run: &Replay<'_, '_>, frames: &Frames<'_>, selected: bool) -> bool {
        !selected
            && !self.rules.whole
            && self.rules.tick_ms.is_none()
            && run.config.mode == Mode::Paper
            && !frames.shares_tokens()
    }
}

impl ReplayRules {
    /// Whether the market of this number is left out.
    #[must_use]
    pub fn excludes(&self, market: usize) -> bool {
        self.excluded.get(market).copied().unwrap_or(false)
    }
}

/// Which fees a replay charges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum FeeModel {
    /// The market's own where the recording states them, else the dated schedule by category.
    #[default]
    Market,
    /// The dated schedule by category for every market, whatever the recording states.
    Schedule,
    /// None at all. The result says so in its first note.
    None,
}

impl FeeModel {
    /// Fees of a market in place of those that the recording knows, if any.
    pub(super) fn instead(self, market: &Market) -> Option<FeeRule> {
        match self {
            FeeModel::Market => None,
            FeeModel::None => Some(FeeRule::stated(FeeSchedule::FREE)),
            // Its rates are constants that fit.
            FeeModel::Schedule => FeeRule::new(None, market.category.as_deref()).ok(),
        }
    }

    /// What a reader has to know before the numbers; `None` where the data set's own remark holds.
    #[must_use]
    pub fn note(self) -> Option<&'static str> {
        match self {
            FeeModel::Market => None,
            FeeModel::Schedule => Some(
                "Fee model `schedule`: every market was charged the dated schedule by category, \
                 whatever the recording states of its own fees.",
            ),
            FeeModel::None => Some(
                "NO FEES were charged (fee model `none`): live trading pays them, so this result is \
                 better than anything that can be had.",
            ),
        }
    }
}

/// Is shown the events of a step, and what it reports; the opening of the account reports nothing.
pub type Observe<'o> = dyn FnMut(&[StampedEvent], Option<&TickReport>) + Send + 'o;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// No row lies in the period.
    #[error("the recording has nothing to replay between {start} and {end}")]
    Empty {
        /// As asked, or `its start`.
        start: String,
        /// As asked, or `its end`.
        end: String,
    },
    /// A step failed: a fault of ours.
    #[error(transparent)]
    Desk(#[from] DeskError),
}

/// What came of a replay.
#[derive(Debug)]
pub struct BacktestResult {
    /// All that the report shows: measures, curve, trades.
    pub report: ReportInput,
    /// True when it was cancelled before its end.
    pub partial: bool,
    /// Cash at the end, pUSD.
    pub cash: Usdc,
    /// Equity at the end, pUSD.
    pub equity: Usdc,
}

/// Runs the live step over the recording. Deterministic: the same inputs give the same result.
///
/// Errors: [`BacktestError::Empty`] when no row lies in the period.
pub fn run<'d>(
    data: impl Into<Source<'d>>,
    strategies: &[Box<dyn Strategy>],
    options: &BacktestOptions<'_>,
) -> Result<BacktestResult, BacktestError> {
    run_observed(data, strategies, options, &mut |_, _| {})
}

/// The same, and `observe` is shown the events and the report of each step as they come.
///
/// Errors: as [`run`].
pub fn run_observed<'d>(
    data: impl Into<Source<'d>>,
    strategies: &[Box<dyn Strategy>],
    options: &BacktestOptions<'_>,
    observe: &mut Observe<'_>,
) -> Result<BacktestResult, BacktestError> {
    run_selected(data, strategies, options, observe, None)
}

/// Whether anything may be wanted of a market in which nothing is held and no order waits. Of what it says no
/// to once nothing is wanted any more.
pub(super) type Selects<'a> = &'a dyn Fn(&MarketId) -> bool;

/// The same for strategies that want nothing of most markets: those of a price recording that `selects`
/// says no to are left out of the snapshots while nothing is at stake in them.
pub(super) fn run_selected<'d>(
    data: impl Into<Source<'d>>,
    strategies: &[Box<dyn Strategy>],
    options: &BacktestOptions<'_>,
    observe: &mut Observe<'_>,
    selects: Option<Selects<'_>>,
) -> Result<BacktestResult, BacktestError> {
    let stop = Stop::default();
    let data = data.into();
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| stop.watch(options.cancelled));
        let result = match data {
            Source::Prices(dataset) => {
                let run = Replay::new(strategies, options, &stop, observe);
                replay(dataset, run, options, selects)
            }
            Source::Books(recording) => {
                books::replay(recording, strategies, options, &stop, observe)
            }
        };
        stop.end();
        // Wakes the watch at once; it holds nothing.
        watch.thread().unpark();
        result
    })
}

/// How often a long frame looks whether it is still wanted.
const WATCH: Duration = Duration::from_millis(10);
/// Frames that took longer, or hold as many candidates, are stepped on a copy of the ledger, so that
/// one can be given up in its middle and leave nothing behind.
const LONG_FRAME: Duration = Duration::from_millis(5);
const MANY_CANDIDATES: usize = 32;
/// So many markets beside a frame may take as long.
const MANY_QUIET: usize = 2_000;
/// The frame after one of so many markets is made on another thread meanwhile.
const WORTH_A_THREAD: usize = 64;

/// Asks for cancellation on a thread of its own, so that a long frame can be given up within
/// milliseconds: strategies see no more candidates from then on.
#[derive(Debug, Default)]
pub(super) struct Stop {
    wanted: Arc<AtomicBool>,
    over: AtomicBool,
}

impl Stop {
    fn watch(&self, cancelled: &(dyn Fn() -> bool + Sync)) {
        while !self.over.load(Ordering::Acquire) {
            if cancelled() {
                self.wanted.store(true, Ordering::Release);
                return;
            }
            std::thread::park_timeout(WATCH);
        }
    }

    fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// True when the run is not wanted any more.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }
}

/// What a step is given to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tick,
    Books,
    Arrive,
}

/// The account of a replay, and the steps on it.
pub(super) struct Replay<'a, 'b> {
    strategies: &'a [Box<dyn Strategy>],
    pub(super) config: TradingConfig,
    pub(super) stop: &'a Stop,
    pub(super) ledger: Ledger,
    pub(super) record: Record,
    /// Events of the latest step.
    pub(super) events: Vec<StampedEvent>,
    observe: &'b mut Observe<'b>,
    slow: bool,
    /// True once it was given up.
    pub(super) partial: bool,
}

impl<'a, 'b> Replay<'a, 'b> {
    /// Before its account is opened.
    pub(super) fn new(
        strategies: &'a [Box<dyn Strategy>],
        options: &BacktestOptions<'_>,
        stop: &'a Stop,
        observe: &'b mut Observe<'b>,
    ) -> Self {
        Replay {
            strategies,
            config: TradingConfig {
                mode: Mode::Paper,
                ..options.trading.clone()
            },
            stop,
            ledger: Ledger::default(),
            record: Record::default(),
            events: Vec::new(),
            observe,
            slow: true,
            partial: false,
        }
    }

    /// Carries a step out, or gives it up whole when the run is not wanted any more.
    /// The snapshot is given back, to make the next one of.
    pub(super) fn step(
        &mut self,
        kind: Kind,
        snapshot: Snapshot,
    ) -> Result<Snapshot, BacktestError> {
        let Replay { ledger, config, .. } = self;
        let done = match kind {
            Kind::Tick => {
                let guarded = self.guards(&snapshot, 0);
                let snapshot = self.interruptible(snapshot, guarded);
                if let Some((report, events)) = self.tick((&snapshot).into(), guarded)? {
                    self.take(report, events, &snapshot);
                }
                return Ok(snapshot);
            }
            Kind::Books => desk::books_changed(ledger, &snapshot, config),
            Kind::Arrive => desk::arrive(ledger, &snapshot, config),
        };
        let (report, events) = done?;
        self.take(report, events, &snapshot);
        Ok(snapshot)
    }

    /// Whether a tick on this snapshot, with so many markets beside it, has to be one that can be given up
    /// in its middle. Strategies are what takes time, if anything does.
    pub(super) fn guards(&self, snapshot: &Snapshot, quiet: usize) -> bool {
        self.slow || quiet > MANY_QUIET || snapshot.candidates().nth(MANY_CANDIDATES).is_some()
    }

    /// The snapshot, with the switch for it if it is `guarded`.
    pub(super) fn interruptible(&self, snapshot: Snapshot, guarded: bool) -> Snapshot {
        if guarded {
            snapshot.interrupted_by(Arc::clone(&self.stop.wanted))
        } else {
            snapshot
        }
    }

    /// One tick; a `guarded` one is `None`, and has changed nothing, when the run is not wanted any more.
    pub(super) fn tick(
        &mut self,
        gathered: Gathered<'_>,
        guarded: bool,
    ) -> Result<Option<(TickReport, Vec<StampedEvent>)>, DeskError> {
        let began = std::time::Instant::now();
        let done = if guarded {
            let mut draft = self.ledger.clone();
            let done = desk::tick(&mut draft, gathered, self.strategies, &self.config)?;
            if self.stop.is_wanted() {
                self.partial = true;
                return Ok(None);
            }
            self.ledger = draft;
            done
        } else {
            desk::tick(&mut self.ledger, gathered, self.strategies, &self.config)?
        };
        self.slow = began.elapsed() > LONG_FRAME;
        Ok(Some(done))
    }

    /// Notes what a step has done.
    pub(super) fn take(
        &mut self,
        report: TickReport,
        events: Vec<StampedEvent>,
        snapshot: &Snapshot,
    ) {
        let standing = Standing::of(&self.ledger, snapshot.at);
        self.record.take(Some(snapshot), standing, &report, &events);
        (self.observe)(&events, Some(&report));
        self.events = events;
    }

    /// Whether it is to end here.
    pub(super) fn is_unwanted(&self, options: &BacktestOptions<'_>) -> bool {
        self.stop.is_wanted() || (options.cancelled)()
    }

    /// Opens the account.
    pub(super) fn open(
        &mut self,
        options: &BacktestOptions<'_>,
        at: Timestamp,
    ) -> Result<(), DeskError> {
        let events =
            desk::open_account(&mut self.ledger, SourceKind::Recorded, options.balance, at)?;
        (self.observe)(&events, None);
        Ok(())
    }

    /// Lets orders that are on their way arrive before the next frame, each at its moment and on the
    /// books of then.
    pub(super) fn arrivals(
        &mut self,
        frames: &mut Frames<'_>,
        dataset: &Dataset,
    ) -> Result<(), BacktestError> {
        let mut last = None;
        loop {
            // One whose market is gone stays on its way, until a later frame tells of its end.
            let moments = self.ledger.in_flight();
            let moments = moments.filter_map(|(order, _)| order.arrives_at);
            let next = moments
                .filter(|moment| last.is_none_or(|last| *moment > last))
                .min();
            let Some(moment) = next else { return Ok(()) };
            if frames.next_moment().is_some_and(|next| next <= moment) {
                return Ok(());
            }
            let due = self.ledger.in_flight().map(|(order, _)| order);
            let due = due.filter(|order| order.arrives_at.is_none_or(|at| at <= moment));
            let markets: BTreeSet<usize> = due
                .filter_map(|order| dataset.index_of(order.market_id.as_str()))
                .collect();
            let snapshot = frames.between(moment, markets, false);
            frames.give_back(self.step(Kind::Arrive, snapshot)?);
            last = Some(moment);
        }
    }
}

/// The error of a period without anything in it.
pub(super) fn empty(options: &BacktestOptions<'_>) -> BacktestError {
    let words = |moment: Option<Timestamp>, otherwise: &str| {
        moment.map_or_else(|| otherwise.to_owned(), |m| m.to_rfc3339())
    };
    BacktestError::Empty {
        start: words(options.start, "its start"),
        end: words(options.end, "its end"),
    }
}

fn replay(
    dataset: &Dataset,
    mut run: Replay<'_, '_>,
    options: &BacktestOptions<'_>,
    selects: Option<Selects<'_>>,
) -> Result<BacktestResult, BacktestError> {
    let stop = run.stop;
    let wanted = || stop.is_wanted() || (options.cancelled)();
    let frames = Frames::new_unless(dataset, options.start, options.end, &options.rules, &wanted);
    match frames {
        Some(mut frames) => {
            let scouting = options.scouts(&run, &frames, selects.is_some()).then(|| {
                let (start, rules) = (options.start, &options.rules);
                Scouting::new(
                    dataset,
                    run.strategies,
                    start,
                    rules,
                    frames.period(),
                    &wanted,
                )
            });
            match scouting.flatten() {
                Some(mut scouting) => {
                    quiet::replay(dataset, &mut run, options, &mut frames, &mut scouting)?;
                }
                None => replay_whole(dataset, &mut run, options, &mut frames, selects)?,
            }
        }
        None => run.partial = true,
    }
    let Replay {
        ledger,
        record,
        partial,
        ..
    } = run;
    if record.frames == 0 && !partial {
        return Err(empty(options));
    }
    let mut result = record.finish(Some(dataset), &ledger, options, partial);
    if let Some(note) = options.rules.fees.note() {
        let notes = &mut result.report.notes;
        notes.retain(|note| note != FEE_NOTE);
        notes.insert(0, note.to_owned());
    }
    Ok(result)
}

/// Steps through all frames with a view of each market that has a row, or until the run is not wanted any
/// more.
fn replay_whole(
    dataset: &Dataset,
    run: &mut Replay<'_, '_>,
    options: &BacktestOptions<'_>,
    frames: &mut Frames<'_>,
    selects: Option<Selects<'_>>,
) -> Result<(), BacktestError> {
    let total = frames.total();
    let selects = selects.filter(|_| !frames.shares_tokens());
    let mut at_stake = AtStake::default();
    // Those that `selects` has said no to.
    let asks = selects.map_or(0, |_| dataset.series().len());
    let unwanted = vec![Cell::new(false); asks];
    let asked = |number: usize, selects: Selects<'_>| {
        let one = dataset.series().get(number);
        let wanted = one.is_some_and(|one| selects(&one.template().id));
        if let Some(unwanted) = unwanted.get(number) {
            unwanted.set(!wanted);
        }
        wanted
    };
    let mut pending = BTreeSet::new();
    let mut ahead = None;
    let mut done = 0;
    // What happens between two frames is seen from the rows of the earlier one.
    let one_by_one =
        selects.is_some() || options.rules.tick_ms.is_some() || run.config.execution.latency_ms > 0;
    loop {
        if run.is_unwanted(options) {
            run.partial = true;
            return Ok(());
        }
        run.scheduled_tick(frames, &mut pending, options.rules.tick_ms)?;
        let next = || match selects {
            None => frames.next(),
            Some(selects) => {
                at_stake.note(dataset, &run.ledger);
                let wanted = |number: usize| {
                    let unwanted = unwanted.get(number).is_some_and(Cell::get);
                    at_stake.contains(number) || (!unwanted && asked(number, selects))
                };
                frames.next_of(&wanted)
            }
        };
        let next = ahead.take().or_else(|| (!run.partial).then(next).flatten());
        let Some(snapshot) = next else {
            return Ok(());
        };
        done += 1;
        if done == 1 {
            run.open(options, snapshot.at)?;
        }
        let kind = if options.rules.tick_ms.is_some() {
            pending.extend(frames.fresh());
            Kind::Books
        } else {
            Kind::Tick
        };
        let stepped = if one_by_one || snapshot.markets().len() < WORTH_A_THREAD {
            run.step(kind, snapshot)?
        } else {
            let (stepped, next) = rayon::join(|| run.step(kind, snapshot), || frames.next());
            ahead = next;
            stepped?
        };
        frames.give_back(stepped);
        if run.partial {
            return Ok(());
        }
        run.record.frames += 1;
        run.arrivals(frames, dataset)?;
        (options.progress)(done, total);
    }
}

impl Replay<'_, '_> {
    /// With a schedule: the tick at the first whole multiple of `every` at or after the rows since the
    /// last tick, unless more rows come before it. Strategies see the markets that had a row.
    fn scheduled_tick(
        &mut self,
        frames: &mut Frames<'_>,
        pending: &mut BTreeSet<usize>,
        every: Option<i64>,
    ) -> Result<(), BacktestError> {
        let Some(every) = every.filter(|_| !pending.is_empty()) else {
            return Ok(());
        };
        let last = self.record.equity.last().map_or(0, |(at, _)| at.millis());
        let due = last.div_euclid(every) * every;
        let due = Timestamp::from_millis(if due < last { due + every } else { due });
        if frames.next_moment().is_some_and(|next| next <= due) {
            return Ok(());
        }
        let snapshot = frames.between(due, std::mem::take(pending), true);
        frames.give_back(self.step(Kind::Tick, snapshot)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

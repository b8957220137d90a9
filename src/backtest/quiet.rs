//! The replay of price files with strategies that scout: a market gets a view, with books and history, only
//! where something is at stake or is to be done. What comes of it is what the whole replay gives.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

use crate::domain::{MarketView, Snapshot, Timestamp};
use crate::market_data::recorded::{Dataset, Timeline};
use crate::trading::desk::{Gathered, LateViews, Quiet};

use super::at_stake::{AtStake, set};
use super::engine::{BacktestError, BacktestOptions, Replay, Stop};
use super::frames::Frames;
use super::scouted::Scouted;
use super::scouting::Scouting;

/// Views of one frame that are made when they are asked for.
struct Late<'l, 'f, 'd> {
    frames: RefCell<&'f mut Frames<'d>>,
    at: Timestamp,
    numbers: &'l [u32],
    /// Beside the numbers; mostly there is none.
    views: OnceCell<Vec<OnceCell<Option<Box<MarketView>>>>>,
    /// Once it says so, none is made any more: what the step decides is thrown away.
    hurried_by: Option<&'l Stop>,
}

impl LateViews for Late<'_, '_, '_> {
    fn view(&self, place: usize) -> Option<&MarketView> {
        let views = self.views.get_or_init(|| {
            let mut views = Vec::new();
            views.resize_with(self.numbers.len(), OnceCell::new);
            views
        });
        let view = views.get(place)?.get_or_init(|| {
            if self.hurried_by.is_some_and(Stop::is_wanted) {
                return None;
            }
            let number = *self.numbers.get(place)? as usize;
            let view = self.frames.borrow_mut().late_view(number, self.at);
            view.map(Box::new)
        });
        view.as_deref()
    }
}

impl Late<'_, '_, '_> {
    /// The views that were made, with their numbers.
    fn into_made(self) -> impl Iterator<Item = (u32, MarketView)> {
        let numbers = self.numbers.iter().copied();
        let made = numbers.zip(self.views.into_inner().unwrap_or_default());
        made.filter_map(|(number, view)| Some((number, *view.into_inner()??)))
    }
}

/// Which markets of a frame are quiet.
#[derive(Debug, Default)]
struct Division {
    /// By number of the market: whether it is quiet.
    is_quiet: Vec<bool>,
    at_stake: AtStake,
    /// Numbers of the quiet ones, rising.
    quiet: Vec<u32>,
    /// Beside them, where they are among what was scouted.
    entries: Vec<u32>,
}

impl Division {
    /// Divides the `markets` of a frame, whose first row is at place `from` of all rows.
    fn divide(
        &mut self,
        dataset: &Dataset,
        run: &Replay<'_, '_>,
        markets: &[u32],
        from: usize,
        scouted: &Scouted<'_>,
    ) {
        self.is_quiet.resize(dataset.series().len(), false);
        self.at_stake.note(dataset, &run.ledger);
        for number in self.quiet.drain(..) {
            set(&mut self.is_quiet, number as usize, false);
        }
        self.entries.clear();
        for (place, number) in (from..).zip(markets) {
            let Some(index) = scouted.index(place) else {
                continue;
            };
            if scouted.tells(index)
                && !self.at_stake.contains(*number as usize)
                && let Ok(entry) = u32::try_from(index)
            {
                set(&mut self.is_quiet, *number as usize, true);
                self.quiet.push(*number);
                self.entries.push(entry);
            }
        }
    }

    fn is_quiet(&self, number: usize) -> bool {
        self.is_quiet.get(number).copied().unwrap_or(false)
    }
}

/// Where bids of one row in so many or more have to be known only to be counted, they are better worked out ahead, for
/// all rows: a view that is made for them takes about forty times as long as a look at columns. Bids that are judged need
/// a view anyway.
const PRICED_ONE_IN: usize = 64;

/// Steps through all frames, or until the run is not wanted any more.
pub(super) fn replay(
    dataset: &Dataset,
    run: &mut Replay<'_, '_>,
    options: &BacktestOptions<'_>,
    frames: &mut Frames<'_>,
    scouting: &mut Scouting<'_, '_>,
) -> Result<(), BacktestError> {
    let mut walk = Walk {
        dataset,
        options,
        timeline: Arc::clone(&frames.period().timeline),
        done: 0,
        priced: Cell::new(0),
        division: Division::default(),
    };
    let mut looked = scouting.look_ahead();
    let mut scouted = Scouted::default();
    loop {
        // While some moments are stepped through, the next are looked at.
        let (goes_on, next) = rayon::join(
            || {
                scouted.take(&looked);
                walk.through(run, frames, &scouted)
            },
            || scouting.look_ahead(),
        );
        if !goes_on? {
            return Ok(());
        }
        scouting.price_bids(walk.priced.take() > looked.rows.len() / PRICED_ONE_IN);
        scouting.give_back(std::mem::replace(&mut looked, next));
    }
}

/// The way through the frames.
struct Walk<'w> {
    dataset: &'w Dataset,
    options: &'w BacktestOptions<'w>,
    timeline: Arc<Timeline>,
    /// Frames that are behind.
    done: usize,
    /// Markets in them whose bids had to be known only to be counted, since it was looked at last.
    priced: Cell<usize>,
    division: Division,
}

impl Walk<'_> {
    /// Steps through the frames of which the rows were scouted, and after the last row through the rest.
    /// False at the end, and when the run is not wanted any more.
    fn through(
        &mut self,
        run: &mut Replay<'_, '_>,
        frames: &mut Frames<'_>,
        scouted: &Scouted<'_>,
    ) -> Result<bool, BacktestError> {
        loop {
            if run.is_unwanted(self.options) {
                run.partial = true;
                return Ok(false);
            }
            let Some(at) = frames.next_moment() else {
                return Ok(false);
            };
            if self.done == 0 {
                run.open(self.options, at)?;
            }
            let rows = frames.next_rows().unwrap_or_default();
            if !rows.is_empty() && scouted.index(rows.start).is_none() {
                return Ok(true);
            }
            let Walk { division, .. } = self;
            let markets = self.timeline.numbers(rows.clone());
            division.divide(self.dataset, run, markets, rows.start, scouted);
            let Some(snapshot) = frames.next_of(&|number| !division.is_quiet(number)) else {
                return Ok(false);
            };
            let quiet = (&*division, &self.priced);
            let stepped = tick(run, frames, snapshot, scouted, quiet)?;
            frames.give_back(stepped);
            if run.partial {
                return Ok(false);
            }
            run.record.frames += 1;
            run.arrivals(frames, self.dataset)?;
            self.done += 1;
            (self.options.progress)(self.done, frames.total());
        }
    }
}

/// One tick on a frame's views and on what was scouted beside them; the views that were made meanwhile are
/// in the snapshot that is given back.
fn tick(
    run: &mut Replay<'_, '_>,
    frames: &mut Frames<'_>,
    snapshot: Snapshot,
    scouted: &Scouted<'_>,
    (division, priced): (&Division, &Cell<usize>),
) -> Result<Snapshot, BacktestError> {
    let guarded = run.guards(&snapshot, division.quiet.len());
    let mut snapshot = run.interruptible(snapshot, guarded);
    let late = Late {
        at: snapshot.at,
        numbers: &division.quiet,
        views: OnceCell::new(),
        hurried_by: guarded.then_some(run.stop),
        frames: RefCell::new(frames),
    };
    let quiet = Quiet {
        numbers: &division.quiet,
        entries: &division.entries,
        findings: scouted.findings(),
        views: &late,
        priced,
    };
    let done = run.tick(Gathered::with_quiet(&snapshot, quiet), guarded)?;
    // What is traded is looked up by the record.
    for (number, view) in late.into_made() {
        snapshot.add(number, view);
    }
    if let Some((report, events)) = done {
        run.take(report, events, &snapshot);
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests;

//! The replay of price files with strategies that scout: a market gets a view, with books and history, only
//! where something is at stake or is to be done. What comes of it is what the whole replay gives.

use std::cell::{OnceCell, RefCell};

use crate::domain::{MarketView, Snapshot, Timestamp};
use crate::market_data::recorded::Dataset;
use crate::trading::desk::{Gathered, LateViews, Quiet};

use super::engine::{BacktestError, BacktestOptions, Replay, Stop};
use super::frames::Frames;
use super::scouting::{Scouted, Scouting};

/// Views of one frame that are made when they are asked for.
struct Late<'l, 'f, 'd> {
    frames: RefCell<&'f mut Frames<'d>>,
    at: Timestamp,
    numbers: &'l [u32],
    views: Vec<OnceCell<Option<Box<MarketView>>>>,
    /// Once it says so, none is made any more: what the step decides is thrown away.
    hurried_by: Option<&'l Stop>,
}

impl LateViews for Late<'_, '_, '_> {
    fn view(&self, place: usize) -> Option<&MarketView> {
        let view = self.views.get(place)?.get_or_init(|| {
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
        let made = numbers.zip(self.views);
        made.filter_map(|(number, view)| Some((number, *view.into_inner()??)))
    }
}

/// Which markets of a frame are quiet.
#[derive(Debug, Default)]
struct Division {
    /// By number of the market: whether it is quiet.
    quiet: Vec<bool>,
    /// Whether something is at stake in it.
    at_stake: Vec<bool>,
    staked: Vec<usize>,
    /// Places among what was scouted.
    places: Vec<u32>,
}

impl Division {
    /// Divides the markets that were scouted.
    fn divide(&mut self, dataset: &Dataset, run: &Replay<'_, '_>, scouted: &Scouted<'_>) {
        let count = dataset.series().len();
        self.quiet.resize(count, false);
        self.at_stake.resize(count, false);
        for number in self.staked.drain(..) {
            if let Some(flag) = self.at_stake.get_mut(number) {
                *flag = false;
            }
        }
        let ledger = &run.ledger;
        let held = ledger.positions().values();
        let held = held.map(|position| &position.market_id);
        let waiting = ledger.open_orders().map(|(order, _)| &order.market_id);
        let all = held.chain(waiting).chain(ledger.estimates().keys());
        for number in all.filter_map(|market| dataset.index_of(market.as_str())) {
            if let Some(flag) = self.at_stake.get_mut(number)
                && !std::mem::replace(flag, true)
            {
                self.staked.push(number);
            }
        }
        self.places.clear();
        for (place, (number, whole)) in (0..).zip(scouted.numbers.iter().zip(&scouted.whole)) {
            let number = *number as usize;
            let is_quiet = !whole && self.at_stake.get(number) == Some(&false);
            if let Some(flag) = self.quiet.get_mut(number) {
                *flag = is_quiet;
            }
            if is_quiet {
                self.places.push(place);
            }
        }
    }

    /// Forgets the frame.
    fn clear(&mut self, scouted: &Scouted<'_>) {
        for number in &scouted.numbers {
            if let Some(flag) = self.quiet.get_mut(*number as usize) {
                *flag = false;
            }
        }
    }

    fn is_quiet(&self, number: usize) -> bool {
        self.quiet.get(number).copied().unwrap_or(false)
    }
}

/// Steps through all frames, or until the run is not wanted any more.
pub(super) fn replay(
    dataset: &Dataset,
    run: &mut Replay<'_, '_>,
    options: &BacktestOptions<'_>,
    frames: &mut Frames<'_>,
    scouting: &mut Scouting<'_, '_>,
) -> Result<(), BacktestError> {
    let total = frames.total();
    let mut ahead = None;
    let mut division = Division::default();
    let mut done = 0;
    loop {
        if run.is_unwanted(options) {
            run.partial = true;
            return Ok(());
        }
        let Some(at) = frames.next_moment() else {
            return Ok(());
        };
        done += 1;
        if done == 1 {
            run.open(options, at)?;
        }
        let scouted = ahead.take().unwrap_or_else(|| scouting.look_ahead());
        division.divide(dataset, run, &scouted);
        let Some(snapshot) = frames.next_of(&|number| !division.is_quiet(number)) else {
            return Ok(());
        };
        let (stepped, next) = rayon::join(
            || tick(run, frames, snapshot, &scouted, &division.places),
            || scouting.look_ahead(),
        );
        ahead = Some(next);
        frames.give_back(stepped?);
        division.clear(&scouted);
        scouting.give_back(scouted);
        if run.partial {
            return Ok(());
        }
        run.record.frames += 1;
        run.arrivals(frames, dataset)?;
        (options.progress)(done, total);
    }
}

/// One tick on a frame's views and on what was scouted beside them; the views that were made meanwhile are
/// in the snapshot that is given back.
fn tick(
    run: &mut Replay<'_, '_>,
    frames: &mut Frames<'_>,
    snapshot: Snapshot,
    scouted: &Scouted<'_>,
    places: &[u32],
) -> Result<Snapshot, BacktestError> {
    let mut views = Vec::new();
    views.resize_with(scouted.numbers.len(), OnceCell::new);
    let guarded = run.guards(&snapshot, places.len());
    let mut snapshot = run.interruptible(snapshot, guarded);
    let late = Late {
        at: snapshot.at,
        numbers: &scouted.numbers,
        views,
        hurried_by: guarded.then_some(run.stop),
        frames: RefCell::new(frames),
    };
    let quiet = Quiet {
        numbers: &scouted.numbers,
        places,
        findings: &scouted.findings,
        views: &late,
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

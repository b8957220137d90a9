//! A recording as a sequence of snapshots, one per moment at which it has rows.

use std::ops::Range;
use std::sync::Arc;

use crate::domain::{
    History, MarketView, Places, PricePoint, Resolution, Snapshot, SourceKind, Timestamp, Universe,
};
use crate::market_data::recorded::{
    Dataset, FeeRule, TICK_HISTORY_FIDELITY_MINUTES, TICK_HISTORY_MS, Timeline, Top, Visible,
    push_thinned,
};

use super::engine::ReplayRules;

/// Snapshots of a recording, oldest first.
///
/// * Each distinct time of a row, between `start` and `end` inclusive, is a frame. Markets with a
///   row at exactly that time are candidates, with books from that row.
/// * The other markets of a neg-risk event that has a candidate are there too, as no candidates and
///   with books from their last rows ([`crate::domain::Book::at`] tells how old): whoever adds up
///   an event has to see all of it.
/// * [`Snapshot::resolutions`] holds the markets resolved after the frame before and up to this one.
/// * After the last row there is one frame per remaining resolution time, up to `end`.
///
/// Histories are what a live tick gathers ([`crate::market_data::TICK_HISTORY`]): windows into
/// points that are thinned once for all frames. A snapshot that is [given back](Frames::give_back) is
/// the memory of a later one: nothing is allocated for a row then. Two may be out at a time, so that one
/// is made while the one before is looked at.
#[derive(Debug)]
pub struct Frames<'a> {
    dataset: &'a Dataset,
    period: Moments,
    /// Place of the next moment with rows.
    next: usize,
    /// Time and market of all resolutions in the period, by time, then by market.
    ends: Vec<(Timestamp, usize)>,
    next_end: usize,
    markets: Vec<State>,
    universe: Arc<Universe>,
    /// Markets with a row in the latest frame.
    fresh: Vec<usize>,
    /// Numbers of the markets in the latest snapshot, beside its views.
    numbers: Vec<u32>,
    /// What is left of snapshots that were given back.
    views: Vec<MarketView>,
    places: Places,
    total: usize,
    done: usize,
    /// How many snapshots were made, those between frames included.
    shown: usize,
}

/// The moments of a period that have rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Moments {
    pub timeline: Arc<Timeline>,
    /// Their places in it.
    pub places: Range<usize>,
}

impl Moments {
    /// Those between `start` and `end` inclusive; without them from the first row, and to the last one.
    fn between(timeline: Arc<Timeline>, start: Option<Timestamp>, end: Option<Timestamp>) -> Self {
        let moments = timeline.moments();
        let first = start.map_or(0, |start| moments.partition_point(|at| *at < start));
        let end = end.map_or(moments.len(), |end| {
            moments.partition_point(|at| *at <= end)
        });
        let places = first..end.max(first);
        Moments { timeline, places }
    }

    /// Those that are left without the rows of the markets for which `excludes` says so.
    fn without(self, excludes: impl Fn(u32) -> bool) -> Self {
        let left = self.timeline.without(self.places, excludes);
        Moments {
            places: 0..left.moments().len(),
            timeline: Arc::new(left),
        }
    }

    /// The moment at this place; `None` outside the period.
    fn at(&self, place: usize) -> Option<Timestamp> {
        let inside = self.places.contains(&place);
        inside.then(|| self.timeline.moments().get(place).copied())?
    }
}

/// What the replay knows of a market so far.
#[derive(Debug, Default, Clone)]
struct State {
    /// Rows up to the present frame.
    seen: usize,
    /// Number of the snapshot that it was last put into.
    shown: usize,
    /// Whether it is left out altogether.
    excluded: bool,
    /// Fees in place of those that the recording knows.
    fees: Option<FeeRule>,
    /// Views that were given back.
    kept: [Option<MarketView>; 2],
    /// Taken by turns, so that one can grow while a snapshot shows the other.
    pasts: [Past; 2],
}

/// The thinned points of a market up to the present frame, from about a week before it on.
#[derive(Debug, Default, Clone)]
struct Past {
    points: Arc<Vec<PricePoint>>,
    /// The first of them that is still in the window.
    start: usize,
    /// Rows that are in it, or were too old to be.
    taken: usize,
    /// Rows that were too old at the latest look: time only goes forward.
    old: usize,
}

/// Points that have left the window are dropped when there are so many, and they are most.
pub(super) const OLD_POINTS: usize = 1_024;

impl Past {
    /// The history at `at`, where the first `seen` of `rows` are known; `None` when none of them
    /// is recent enough, as a source has none to tell then.
    ///
    /// Thinning everything and looking at a window of it is the same as thinning the window: each
    /// step of the clock is told by its latest point, and that is in the window if any is.
    fn at(&mut self, rows: &[PricePoint], seen: usize, at: Timestamp) -> Option<History> {
        let since = at.plus_millis(-TICK_HISTORY_MS);
        while rows.get(self.old).is_some_and(|row| row.at < since) {
            self.old += 1;
        }
        self.taken = self.taken.max(self.old);
        if let Some(new) = rows.get(self.taken..seen).filter(|new| !new.is_empty()) {
            // In place, unless somebody has kept an earlier snapshot.
            let points = Arc::make_mut(&mut self.points);
            for point in new {
                push_thinned(points, *point, TICK_HISTORY_FIDELITY_MINUTES);
            }
            self.taken = seen;
        }
        // The newest point may have been replaced by a later one of the same step of the clock.
        let end = self.points.len();
        self.start = self.start.min(end.saturating_sub(1));
        while self
            .points
            .get(self.start)
            .is_some_and(|point| point.at < since)
        {
            self.start += 1;
        }
        if self.start > OLD_POINTS.max(end / 2) {
            Arc::make_mut(&mut self.points).drain(..self.start);
            self.start = 0;
        }
        let end = self.points.len();
        (self.start < end).then(|| History::between(Arc::clone(&self.points), self.start, end))
    }
}

impl<'a> Frames<'a> {
    /// Frames between `start` and `end` inclusive; without them from the first row, and to the last
    /// known resolution.
    #[must_use]
    pub fn new(dataset: &'a Dataset, start: Option<Timestamp>, end: Option<Timestamp>) -> Self {
        let rules = ReplayRules::default();
        let made = Self::new_unless(dataset, start, end, &rules, &|| false);
        // Nobody cancelled.
        made.unwrap_or_else(|| Frames::empty(dataset))
    }

    fn empty(dataset: &'a Dataset) -> Self {
        Frames {
            dataset,
            period: Moments::default(),
            next: 0,
            ends: Vec::new(),
            next_end: 0,
            markets: Vec::new(),
            universe: Arc::default(),
            fresh: Vec::new(),
            numbers: Vec::new(),
            views: Vec::new(),
            places: Places::default(),
            total: 0,
            done: 0,
            shown: 0,
        }
    }

    /// The same with the fees and without the markets that `rules` name; `None` when `cancelled` said
    /// so meanwhile.
    pub fn new_unless(
        dataset: &'a Dataset,
        start: Option<Timestamp>,
        end: Option<Timestamp>,
        rules: &ReplayRules,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Self> {
        let inside = |at: Timestamp| {
            start.is_none_or(|start| at >= start) && end.is_none_or(|end| at <= end)
        };
        let timeline = dataset.timeline(cancelled)?;
        let universe = dataset.universe(cancelled)?;
        let mut ends = Vec::new();
        let mut markets = vec![State::default(); dataset.series().len()];
        for (index, (one, state)) in dataset.series().iter().zip(&mut markets).enumerate() {
            state.excluded = rules.excludes(index);
            if state.excluded {
                continue;
            }
            state.fees = rules.fees.instead(one.template());
            state.seen = start.map_or(0, |start| {
                one.points().partition_point(|point| point.at < start)
            });
            if let Some((at, _)) = one.resolution()
                && inside(at)
            {
                ends.push((at, index));
            }
        }
        ends.sort_unstable();
        let mut period = Moments::between(timeline, start, end);
        if markets.iter().any(|state| state.excluded) {
            period = period.without(|number| rules.excludes(number as usize));
        }
        let last_row = period.places.clone().next_back();
        let last_row = last_row.and_then(|place| period.at(place));
        let trailing = ends
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| last_row.is_none_or(|last| *at > last));
        let total = period.places.len() + distinct(trailing);
        Some(Frames {
            next: period.places.start,
            period,
            ends,
            markets,
            universe,
            total,
            ..Frames::empty(dataset)
        })
    }

    /// The moments that have rows.
    pub(super) fn period(&self) -> &Moments {
        &self.period
    }

    /// Where the rows of the next frame are in the timeline; `None` when it has none.
    pub(super) fn next_rows(&self) -> Option<Range<usize>> {
        self.period.at(self.next)?;
        Some(self.period.timeline.rows_of(self.next))
    }

    /// The view of a market that the latest frame left out; `None` where the frame could have none.
    pub(super) fn late_view(&mut self, market: usize, at: Timestamp) -> Option<MarketView> {
        self.view(market, at, true)
    }

    /// How many frames there are in all, those already taken included.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// Whether markets share a token: which of them it belongs to depends on which are there.
    #[must_use]
    pub fn shares_tokens(&self) -> bool {
        self.universe.has_claims()
    }

    /// Numbers of the markets with a row in the latest frame.
    #[must_use]
    pub fn fresh(&self) -> &[usize] {
        &self.fresh
    }

    /// What can be seen at `at`, a moment between the latest frame and the next: `markets`, as
    /// candidates or not, from their latest rows, and the other markets of their neg-risk events.
    #[must_use]
    pub fn between(
        &mut self,
        at: Timestamp,
        markets: impl IntoIterator<Item = usize>,
        candidates: bool,
    ) -> Snapshot {
        self.shown += 1;
        self.snapshot(at, markets, candidates)
    }

    /// Takes a snapshot back, for a later one to be made of.
    pub fn give_back(&mut self, snapshot: Snapshot) {
        let (mut views, places) = snapshot.into_parts();
        if views.len() == places.numbers().len() {
            for (mut view, number) in views.drain(..).zip(places.numbers()) {
                // The points grow in place while nobody else holds them.
                view.history = None;
                let state = self.markets.get_mut(*number as usize);
                let free =
                    state.and_then(|state| state.kept.iter_mut().find(|kept| kept.is_none()));
                if let Some(free) = free {
                    *free = Some(view);
                }
            }
            self.views = views;
        }
        self.places = places;
    }

    /// The moment of the next frame; `None` at the end.
    #[must_use]
    pub fn next_moment(&self) -> Option<Timestamp> {
        let row = self.period.at(self.next);
        row.or_else(|| self.ends.get(self.next_end).map(|(at, _)| *at))
    }

    /// The markets resolved since the frame before, up to `at`.
    fn resolved_until(&mut self, at: Timestamp) -> Vec<Resolution> {
        let mut resolutions = Vec::new();
        while let Some((resolved_at, market)) = self.ends.get(self.next_end).copied()
            && resolved_at <= at
        {
            self.next_end += 1;
            let one = self.dataset.series().get(market);
            resolutions.extend(one.and_then(|one| Some(one.resolution()?.1.clone())));
        }
        resolutions
    }

    /// Finds the markets with a row at `at`, and moves each on by that row.
    fn take_rows(&mut self, at: Timestamp) {
        self.fresh.clear();
        if self.period.at(self.next) != Some(at) {
            return;
        }
        for number in self.period.timeline.at(self.next) {
            let market = *number as usize;
            if let Some(state) = self.markets.get_mut(market) {
                state.seen += 1;
                self.fresh.push(market);
            }
        }
        self.next += 1;
    }

    /// The views of `markets`, and of the other members of their neg-risk events as no candidates.
    fn snapshot(
        &mut self,
        at: Timestamp,
        markets: impl IntoIterator<Item = usize>,
        candidates: bool,
    ) -> Snapshot {
        let mut views = std::mem::take(&mut self.views);
        self.numbers.clear();
        let mut events: Vec<usize> = Vec::new();
        for market in markets {
            let Some(view) = self.view(market, at, candidates) else {
                continue;
            };
            views.push(view);
            if let Some(event) = self.dataset.neg_risk_event(market)
                && events.last() != Some(&event)
            {
                events.push(event);
            }
        }
        events.sort_unstable();
        events.dedup();
        for event in events {
            for member in self.dataset.event_members(event) {
                views.extend(self.view(*member, at, false));
            }
        }
        Snapshot::of_universe(
            at,
            SourceKind::Recorded,
            Arc::clone(&self.universe),
            std::mem::take(&mut self.places),
            (&self.numbers, views),
        )
    }

    /// The view of a market from its latest row; `None` when it has none yet, is resolved, or is
    /// in this frame already.
    fn view(&mut self, market: usize, at: Timestamp, candidate: bool) -> Option<MarketView> {
        let one = self.dataset.series().get(market)?;
        let state = self.markets.get_mut(market)?;
        if state.excluded || state.shown == self.shown {
            return None;
        }
        let row = state.seen.checked_sub(1)?;
        let (visible, book) = shown_by(self.dataset, market, row, at, state.fees)?;
        let [even, odd] = &mut state.pasts;
        let past = if self.shown.is_multiple_of(2) {
            even
        } else {
            odd
        };
        let history = past.at(one.points(), row + 1, at);
        let [first, second] = &mut state.kept;
        let mut view = match first.take().or_else(|| second.take()) {
            Some(mut kept) => {
                one.show(&mut kept.market, &visible);
                kept
            }
            None => MarketView {
                market: Arc::new(one.market(&visible)),
                books: vec![None; one.template().outcomes.len()],
                history: None,
                candidate,
            },
        };
        state.shown = self.shown;
        view.history = history;
        view.candidate = candidate;
        show_books(&mut view, book.as_ref());
        self.numbers.push(u32::try_from(market).ok()?);
        Some(view)
    }
}

/// What the latest row of a market shows of it at `at`, with these fees if not the recorded ones, and of its
/// books; `None` once it has resolved.
pub(super) fn shown_by(
    dataset: &Dataset,
    market: usize,
    row: usize,
    at: Timestamp,
    fees: Option<FeeRule>,
) -> Option<(Visible, Option<Top>)> {
    if dataset.series().get(market)?.is_resolved(at) {
        return None;
    }
    let mut visible = dataset.visible_at_row(market, row, at)?;
    if let Some(fees) = fees {
        visible.fee = fees.at(at);
    }
    let top = dataset.top(market, row, &visible)?;
    Some((visible, top))
}

/// Both outcomes' books, in the memory of those that are there if nobody else holds them.
fn show_books(view: &mut MarketView, top: Option<&Top>) {
    for (index, (book, outcome)) in view.books.iter_mut().zip(&view.market.outcomes).enumerate() {
        let Some(top) = top else {
            *book = None;
            continue;
        };
        match book.as_mut().and_then(Arc::get_mut) {
            Some(book) => top.renew(index == 1, book),
            None => *book = Some(Arc::new(top.book(index == 1, &outcome.token))),
        }
    }
}

fn distinct(sorted: impl Iterator<Item = Timestamp>) -> usize {
    let mut last = None;
    sorted.filter(|at| last.replace(*at) != Some(*at)).count()
}

impl Frames<'_> {
    /// The next frame, in which only those of the markets with a row are candidates that `wanted` says
    /// yes to by number; the others are left out.
    pub fn next_of(&mut self, wanted: &dyn Fn(usize) -> bool) -> Option<Snapshot> {
        let at = self.next_moment()?;
        self.done += 1;
        self.shown += 1;
        let resolutions = self.resolved_until(at);
        self.take_rows(at);
        let fresh = std::mem::take(&mut self.fresh);
        let of_these = fresh.iter().copied().filter(|market| wanted(*market));
        let snapshot = self.snapshot(at, of_these, true);
        self.fresh = fresh;
        Some(snapshot.with_resolutions(resolutions))
    }
}

impl Iterator for Frames<'_> {
    type Item = Snapshot;

    fn next(&mut self) -> Option<Snapshot> {
        self.next_of(&|_| true)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.total - self.done;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Frames<'_> {}

#[cfg(test)]
mod tests;

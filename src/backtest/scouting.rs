//! Looks at the markets of a price recording ahead of the account: from columns of numbers, market by
//! market, as long as nothing is at stake in them ([`crate::strategy::scout`]).

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::domain::{Market, PricePoint, Snapshot, SourceKind, Timestamp, TokenId};
use crate::market_data::recorded::{
    Dataset, FeeRule, Series, TICK_HISTORY_FIDELITY_MINUTES, TICK_HISTORY_MS, Timeline, Top,
    Visible, is_same_step,
};
use crate::strategy::Strategy;
use crate::strategy::scout::{Finding, Findings, NoStake, Scout};
use crate::strategy::sight::{Past, Sight, Squares, TopBook};

use super::engine::ReplayRules;
use super::frames::{Moments, OLD_POINTS, shown_by};

/// Most rows that are looked at in one go, in whole moments: enough to keep each market's numbers near while its
/// rows are gone through, and few enough to be given up within milliseconds.
const BATCH: usize = 32_768;
/// Fewest rows. Batches begin small and end small, since the account waits for the first and goes through the last
/// alone.
const SMALL_BATCH: usize = 2_048;
/// The markets are looked at in so many pieces, by whichever thread has time.
const PIECES: usize = 16;

/// What strategies make of the markets of some moments in which nothing is at stake.
#[derive(Debug, Default)]
pub(super) struct Scouted<'s> {
    /// Which of all rows, in the order of time, these are.
    rows: Range<usize>,
    /// By strategy, then by row.
    findings: Vec<Findings<'s>>,
}

impl<'s> Scouted<'s> {
    /// Where the one of all rows at this place is among the findings; `None` when it is not.
    pub(super) fn index(&self, place: usize) -> Option<usize> {
        self.rows.contains(&place).then(|| place - self.rows.start)
    }

    /// Whether all is said of a row, if nothing is at stake.
    pub(super) fn tells(&self, index: usize) -> bool {
        // Without strategies nobody has looked.
        let mut all = self.findings.iter();
        !self.findings.is_empty() && all.all(|findings| findings.tells(index))
    }

    /// By strategy, then by row.
    pub(super) fn findings(&self) -> &[Findings<'s>] {
        &self.findings
    }
}

/// Goes through the rows of a recording, some moments at a time, ahead of the account.
pub(super) struct Scouting<'s, 'd> {
    dataset: &'d Dataset,
    scouts: Vec<&'s dyn Scout>,
    timeline: Arc<Timeline>,
    /// Places of the moments that are left.
    left: Range<usize>,
    markets: Vec<Known>,
    /// What was given back, to be filled again.
    spare: Vec<Scouted<'s>>,
    /// Where the rows that are looked at are among those of their markets, market after market.
    order: Vec<u32>,
    begins: Vec<u32>,
    by_market: Vec<Findings<'s>>,
}

/// What is known of a market so far.
#[derive(Debug)]
struct Known {
    /// Whether strategies look at it without regard to others.
    alone: bool,
    fees: Option<FeeRule>,
    /// Rows that were gone through.
    seen: usize,
    /// Further rows to go through now.
    next: u32,
    /// As it was last seen.
    market: Arc<Market>,
    /// What its rows show of it up to a moment, if that does not change meanwhile.
    steady: Option<(Timestamp, Visible)>,
    past: Columns,
}

impl<'s, 'd> Scouting<'s, 'd> {
    /// `None` when a strategy needs whole views. `moments` are those that are gone through; markets are left
    /// out that share an event with a neg-risk one, since frames show all of such an event, or of which the
    /// metadata changes, and those that a strategy looks at together with others.
    pub(super) fn new(
        dataset: &'d Dataset,
        strategies: &'s [Box<dyn Strategy>],
        start: Option<Timestamp>,
        rules: &ReplayRules,
        moments: &Moments,
    ) -> Option<Self> {
        let scouts: Option<Vec<&dyn Scout>> =
            strategies.iter().map(|strategy| strategy.scout()).collect();
        let scouts = scouts?;
        let numbers = 0..dataset.series().len();
        let events: BTreeSet<usize> = numbers
            .filter_map(|number| dataset.neg_risk_event(number))
            .collect();
        let members = events
            .iter()
            .flat_map(|event| dataset.event_members(*event));
        let members: BTreeSet<usize> = members.copied().collect();
        let known = |(number, one): (usize, &Series)| {
            let market = one.template();
            let stands_alone = !members.contains(&number)
                && one.is_told_once()
                && scouts.iter().all(|scout| scout.stands_alone(market));
            Known {
                alone: stands_alone && !rules.excludes(number),
                fees: rules.fees.instead(market),
                seen: start.map_or(0, |start| one.points().partition_point(|p| p.at < start)),
                next: 0,
                market: Arc::new(market.clone()),
                steady: None,
                past: Columns::default(),
            }
        };
        let markets = dataset.series().iter().enumerate().map(known).collect();
        Some(Scouting {
            dataset,
            scouts,
            timeline: Arc::clone(&moments.timeline),
            left: moments.places.clone(),
            markets,
            spare: Vec::new(),
            order: Vec::new(),
            begins: Vec::new(),
            by_market: Vec::new(),
        })
    }

    /// What is made of the next moments' markets; of none after the last row.
    pub(super) fn look_ahead(&mut self) -> Scouted<'s> {
        // Whole moments.
        let first = self.timeline.rows_of(self.left.start).start;
        let after_last = self.left.end.checked_sub(1);
        let end = after_last.map_or(first, |last| self.timeline.rows_of(last).end);
        let size = first
            .min(end.saturating_sub(first) / 4)
            .clamp(SMALL_BATCH, BATCH);
        let mut rows = first..first;
        while rows.len() < size
            && let Some(place) = self.left.next()
        {
            rows.end = self.timeline.rows_of(place).end;
        }
        let numbers = self.timeline.numbers(rows.clone());
        let count = numbers.len();
        let with_room = || {
            self.scouts
                .iter()
                .map(|_| Findings::with_room(count))
                .collect()
        };
        let mut scouted = self.spare.pop().unwrap_or_else(|| Scouted {
            rows: 0..0,
            findings: with_room(),
        });
        scouted.rows = rows;
        if self.by_market.is_empty() {
            self.by_market = with_room();
        }
        // Of each row its number among the market's own, then where these begin.
        self.order.clear();
        for number in numbers {
            if let Some(known) = self.markets.get_mut(*number as usize) {
                self.order.push(known.next);
                known.next += 1;
            }
        }
        self.begins.clear();
        let mut sum = 0;
        for known in &self.markets {
            self.begins.push(sum);
            sum += known.next;
        }
        for (place, number) in self.order.iter_mut().zip(numbers) {
            *place += self
                .begins
                .get(*number as usize)
                .copied()
                .unwrap_or_default();
        }
        self.by_market.iter_mut().for_each(Findings::clear);
        let look = Look::new(self.dataset, &self.scouts);
        look.at_all(&mut self.markets, &mut self.by_market);
        // The account reads them one after the other, from another core: scattered, each would have to be
        // waited for.
        let places = self.order.iter().map(|place| *place as usize);
        for (findings, by_market) in scouted.findings.iter_mut().zip(&self.by_market) {
            findings.extend_from(by_market, places.clone());
        }
        scouted
    }

    /// Takes back what [`Scouting::look_ahead`] gave, for its memory.
    pub(super) fn give_back(&mut self, mut scouted: Scouted<'s>) {
        scouted.findings.iter_mut().for_each(Findings::clear);
        self.spare.push(scouted);
    }
}

/// A look at some rows of each market.
struct Look<'l, 's> {
    dataset: &'l Dataset,
    scouts: &'l [&'s dyn Scout],
    account: NoStake,
}

impl<'l, 's> Look<'l, 's> {
    fn new(dataset: &'l Dataset, scouts: &'l [&'s dyn Scout]) -> Self {
        Look {
            dataset,
            scouts,
            account: NoStake::default(),
        }
    }

    /// Goes through the next rows of all markets.
    fn at_all(&self, markets: &mut [Known], out: &mut [Findings<'s>]) {
        let size = markets.len().div_ceil(PIECES).max(1);
        let pieces = markets.par_chunks_mut(size).enumerate();
        let found: Vec<Vec<Findings<'s>>> = pieces
            .map(|(number, piece)| self.at_piece(piece, number * size))
            .collect();
        for piece in &found {
            for (findings, more) in out.iter_mut().zip(piece) {
                findings.extend_from(more, 0..more.len());
            }
        }
    }

    /// Goes through the next rows of these markets; the first is that of number `base`.
    fn at_piece(&self, markets: &mut [Known], base: usize) -> Vec<Findings<'s>> {
        let rows = markets.iter().map(|known| known.next as usize).sum();
        let with_room = |_| Findings::with_room(rows);
        let mut out: Vec<Findings<'s>> = self.scouts.iter().map(with_room).collect();
        // Its moment is set for each row.
        let mut snapshot = Snapshot::new(
            Timestamp::default(),
            SourceKind::Recorded,
            Vec::new(),
            Vec::new(),
        );
        for (number, known) in (base..).zip(markets) {
            let Some(one) = self.dataset.series().get(number) else {
                continue;
            };
            for _ in 0..std::mem::take(&mut known.next) {
                known.seen += 1;
                let found = known
                    .alone
                    .then(|| self.at_row(&mut snapshot, number, one, known, &mut out));
                if found.flatten().is_none() {
                    for findings in &mut out {
                        findings.push(Finding::Other);
                    }
                }
            }
        }
        out
    }

    /// Looks at the latest row of one market; nothing is noted where a frame has no view of it either.
    fn at_row(
        &self,
        snapshot: &mut Snapshot,
        number: usize,
        one: &Series,
        known: &mut Known,
        out: &mut [Findings<'s>],
    ) -> Option<()> {
        let row = known.seen.checked_sub(1)?;
        let at = one.points().get(row)?.at;
        let top = match &known.steady {
            Some((until, visible)) if at < *until => self.dataset.top(number, row, visible)?,
            _ => {
                known.steady = None;
                let (visible, top) = shown_by(self.dataset, number, row, at, known.fees)?;
                one.show(&mut known.market, &visible);
                known.steady = one.steady_until(at).map(|until| (until, visible));
                top
            }
        };
        let Known { market, past, .. } = known;
        let [first, second] = market.outcomes.as_slice() else {
            return None;
        };
        let book = |second: bool, token| top.map(|top: Top| top_book(&top, second, token));
        let (first, second) = (book(false, &first.token), book(true, &second.token));
        let sight = Sight {
            market,
            books: [first.as_ref(), second.as_ref()],
            past: past.at(one.points(), known.seen, at),
        };
        snapshot.at = at;
        let context = self.account.context(snapshot);
        for (scout, findings) in self.scouts.iter().zip(out) {
            findings.push(scout.find(&context, &sight));
        }
        Some(())
    }
}

fn top_book<'a>(top: &Top, second: bool, token: &'a TokenId) -> TopBook<'a> {
    let (bid, ask) = top.levels(second);
    TopBook {
        token,
        bid,
        ask,
        at: top.at,
    }
}

/// The thinned points of a market from about a week before the present moment on, in columns.
#[derive(Debug, Default)]
struct Columns {
    times: Vec<Timestamp>,
    prices: Vec<f64>,
    /// Of all changes up to each.
    squares: Vec<Squares>,
    /// The first of them that is still in the window.
    start: usize,
    /// Rows that are in it.
    taken: usize,
}

impl Columns {
    /// The past at `at`, where the first `seen` of `rows` are known; `None` when none of them is recent
    /// enough. The same as a frame's history: thinning everything and looking at a window of it is the
    /// same as thinning the window.
    fn at(&mut self, rows: &[PricePoint], seen: usize, at: Timestamp) -> Option<Past<'_>> {
        for point in rows.get(self.taken..seen).unwrap_or_default() {
            let is_later =
                |last: &Timestamp| !is_same_step(*last, point.at, TICK_HISTORY_FIDELITY_MINUTES);
            if !self.times.last().is_none_or(is_later) {
                self.times.pop();
                self.prices.pop();
                self.squares.pop();
            }
            let before = self.prices.last().zip(self.squares.last());
            let squares = before.map_or_else(Squares::default, |(before, squares)| {
                squares.and(*before, point.price)
            });
            self.times.push(point.at);
            self.prices.push(point.price);
            self.squares.push(squares);
        }
        self.taken = self.taken.max(seen);
        let since = at.plus_millis(-TICK_HISTORY_MS);
        let end = self.times.len();
        // The newest point may have been replaced by a later one of the same step of the clock.
        self.start = self.start.min(end.saturating_sub(1));
        while self.times.get(self.start).is_some_and(|then| *then < since) {
            self.start += 1;
        }
        if self.start > OLD_POINTS.max(end / 2) {
            self.times.drain(..self.start);
            self.prices.drain(..self.start);
            self.squares.drain(..self.start);
            self.start = 0;
        }
        let times = self.times.get(self.start..)?;
        let prices = self.prices.get(self.start..)?;
        let squares = self.squares.get(self.start..)?;
        (!times.is_empty()).then_some(Past::Columns {
            times,
            prices,
            squares,
        })
    }
}

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
use crate::strategy::sight::{Past, Sight, Squares, Starts, TopBook};

use super::engine::ReplayRules;
use super::frames::{Moments, OLD_POINTS, shown_by};
use super::scouted::Looked;

/// Most rows that are looked at in one go, in whole moments: enough to keep each market's numbers near while its
/// rows are gone through, and few enough to be given up within milliseconds.
const BATCH: usize = 32_768;
/// Fewest rows. Batches begin small and end small, since the account waits for the first and goes through the last
/// alone.
const SMALL_BATCH: usize = 2_048;
/// The markets are looked at in so many pieces, by whichever thread has time.
const PIECES: usize = 16;

/// Goes through the rows of a recording, some moments at a time, ahead of the account.
pub(super) struct Scouting<'s, 'd> {
    dataset: &'d Dataset,
    scouts: Vec<&'s dyn Scout>,
    timeline: Arc<Timeline>,
    /// Places of the moments that are left.
    left: Range<usize>,
    markets: Vec<Known>,
    /// Whether bids are worked out where it is certain that there are two.
    prices_bids: bool,
    /// What was given back, to be filled again.
    spare: Vec<Looked<'s>>,
    /// Where the rows of each market begin among those that are looked at, market after market.
    begins: Vec<u32>,
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
    /// `None` when a strategy needs whole views, or `cancelled` said so meanwhile. `moments` are those that are
    /// gone through; markets are left out that share an event with a neg-risk one, since frames show all of such
    /// an event, or of which the metadata changes, and those that a strategy looks at together with others.
    pub(super) fn new(
        dataset: &'d Dataset,
        strategies: &'s [Box<dyn Strategy>],
        start: Option<Timestamp>,
        rules: &ReplayRules,
        moments: &Moments,
        cancelled: &(dyn Fn() -> bool + Sync),
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
        // There may be hundreds of thousands.
        let markets = dataset.series().par_iter().enumerate();
        let markets = markets.map(|market| (!cancelled()).then(|| known(market)));
        let markets = markets.collect::<Option<_>>()?;
        Some(Scouting {
            dataset,
            scouts,
            timeline: Arc::clone(&moments.timeline),
            left: moments.places.clone(),
            markets,
            prices_bids: true,
            spare: Vec::new(),
            begins: Vec::new(),
        })
    }

    /// What is made of the next moments' markets; of none after the last row.
    pub(super) fn look_ahead(&mut self) -> Looked<'s> {
        let mut looked = self.spare.pop().unwrap_or_default();
        looked.rows = self.next_rows();
        // Of each row its number among the market's own, then where these begin.
        let numbers = self.timeline.numbers(looked.rows.clone());
        looked.order.clear();
        for number in numbers {
            if let Some(known) = self.markets.get_mut(*number as usize) {
                looked.order.push(known.next);
                known.next += 1;
            }
        }
        self.begins.clear();
        let mut sum = 0;
        for known in &self.markets {
            self.begins.push(sum);
            sum += known.next;
        }
        for (place, number) in looked.order.iter_mut().zip(numbers) {
            let begin = self.begins.get(*number as usize);
            *place += begin.copied().unwrap_or_default();
        }
        let look = Look {
            dataset: self.dataset,
            scouts: &self.scouts,
            prices_bids: self.prices_bids,
            account: NoStake::default(),
        };
        look.at_all(&mut self.markets, &mut looked.pieces);
        looked
    }

    /// The next rows to look at: those of whole moments.
    fn next_rows(&mut self) -> Range<usize> {
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
        rows
    }

    /// Whether bids are worked out from here on where it is certain that there are two: the account has to know them.
    /// They are at first, when nobody knows.
    pub(super) fn price_bids(&mut self, needed: bool) {
        self.prices_bids = needed;
    }

    /// Takes back what [`Scouting::look_ahead`] gave, for its memory.
    pub(super) fn give_back(&mut self, looked: Looked<'s>) {
        self.spare.push(looked);
    }
}

/// A look at some rows of each market.
struct Look<'l, 's> {
    dataset: &'l Dataset,
    scouts: &'l [&'s dyn Scout],
    prices_bids: bool,
    account: NoStake,
}

impl<'s> Look<'_, 's> {
    /// Goes through the next rows of all markets, which are cut into `pieces`.
    fn at_all(&self, markets: &mut [Known], pieces: &mut Vec<Vec<Findings<'s>>>) {
        let size = markets.len().div_ceil(PIECES).max(1);
        pieces.resize_with(markets.len().div_ceil(size), Vec::new);
        let markets = markets.par_chunks_mut(size).enumerate();
        markets
            .zip(pieces)
            .for_each(|((number, piece), out)| self.at_piece(piece, number * size, out));
    }

    /// Goes through the next rows of these markets; the first is that of number `base`.
    fn at_piece(&self, markets: &mut [Known], base: usize, out: &mut Vec<Findings<'s>>) {
        let rows = markets.iter().map(|known| known.next as usize).sum();
        out.resize_with(self.scouts.len(), Findings::default);
        out.iter_mut().for_each(|findings| findings.restart(rows));
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
                    .then(|| self.at_row(&mut snapshot, number, one, known, out));
                if found.flatten().is_none() {
                    for findings in &mut *out {
                        findings.push(Finding::Other);
                    }
                }
            }
        }
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
            match scout.least_cost_of_both(&context, &sight) {
                Some(least) if self.prices_bids => {
                    findings.push_priced(scout.find(&context, &sight), least);
                }
                Some(least) => findings.push(Finding::Unpriced(least)),
                None => findings.push(scout.find(&context, &sight)),
            }
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
    starts: Starts,
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
            starts: &self.starts,
        })
    }
}

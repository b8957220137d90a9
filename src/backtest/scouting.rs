//! Looks at the markets of a price recording ahead of the account: from columns of numbers, market by
//! market, as long as nothing is at stake in them ([`crate::strategy::scout`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{Market, PricePoint, Snapshot, SourceKind, Timestamp, TokenId};
use crate::market_data::recorded::{
    Dataset, FeeRule, Series, TICK_HISTORY_FIDELITY_MINUTES, TICK_HISTORY_MS, Top, is_same_step,
};
use crate::strategy::Strategy;
use crate::strategy::scout::{Finding, NoStake, Scout};
use crate::strategy::sight::{Past, Sight, TopBook};

use super::engine::ReplayRules;
use super::frames::{OLD_POINTS, Rows, shown_by};

/// Rows that are looked at in one go, in whole moments: enough to keep each market's numbers near while its
/// rows are gone through, and few enough to be given up within milliseconds.
const BATCH: usize = 8_192;
/// So many rows one thread looks at alone.
const ALONE: usize = 2_048;

/// How far a row can be dealt with by what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// There was no look at it.
    Unseen,
    /// Some strategy has to see the whole view.
    Whole,
    /// All is said, if nothing is at stake.
    Quiet,
}

/// What strategies make of the markets of some moments in which nothing is at stake.
#[derive(Debug, Default)]
pub(super) struct Scouted<'s> {
    /// Place of the first of these rows among all rows, in the order of time.
    first: usize,
    found: Found<'s>,
}

impl<'s> Scouted<'s> {
    /// Which of these rows the one at this place among all rows is, if any.
    pub(super) fn index(&self, place: usize) -> Option<usize> {
        let index = place.checked_sub(self.first)?;
        (index < self.found.rows.len()).then_some(index)
    }

    /// How far this row can be dealt with.
    pub(super) fn row(&self, index: usize) -> Row {
        self.found.rows.get(index).copied().unwrap_or(Row::Unseen)
    }

    /// By strategy, then by row.
    pub(super) fn findings(&self) -> &[Vec<Finding<'s>>] {
        &self.found.findings
    }
}

/// What was found, row by row.
#[derive(Debug, Default)]
struct Found<'s> {
    rows: Vec<Row>,
    /// By strategy, then by row.
    findings: Vec<Vec<Finding<'s>>>,
}

impl<'s> Found<'s> {
    fn with_room(strategies: usize, rows: usize) -> Self {
        Found {
            rows: Vec::with_capacity(rows),
            findings: (0..strategies).map(|_| Vec::with_capacity(rows)).collect(),
        }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.findings.iter_mut().for_each(Vec::clear);
    }

    fn append(&mut self, later: &mut Found<'s>) {
        self.rows.append(&mut later.rows);
        for (all, later) in self.findings.iter_mut().zip(&mut later.findings) {
            all.append(later);
        }
    }

    /// Adds the rows of `other` in this order. The account reads them one after the other, from another
    /// core: scattered, each would have to be waited for.
    fn take_in_order(&mut self, other: &Found<'s>, order: &[u32]) {
        let places = || order.iter().map(|place| *place as usize);
        self.rows
            .extend(places().filter_map(|place| other.rows.get(place)));
        for (all, other) in self.findings.iter_mut().zip(&other.findings) {
            all.extend(places().filter_map(|place| other.get(place)));
        }
    }
}

/// Goes through the rows of a recording, some moments at a time, ahead of the account.
pub(super) struct Scouting<'s, 'd> {
    dataset: &'d Dataset,
    scouts: Vec<&'s dyn Scout>,
    rows: Rows,
    next_row: usize,
    markets: Vec<Known>,
    /// What was given back, to be filled again.
    spare: Vec<Scouted<'s>>,
    /// Where the rows that are looked at are among those of their markets, market after market.
    order: Vec<u32>,
    begins: Vec<u32>,
    by_market: Found<'s>,
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
    past: Columns,
}

impl<'s, 'd> Scouting<'s, 'd> {
    /// `None` when a strategy needs whole views. `rows` are those that are gone through; markets are left out
    /// that share an event with a neg-risk one, since frames show all of such an event, or of which the
    /// metadata changes, and those that a strategy looks at together with others.
    pub(super) fn new(
        dataset: &'d Dataset,
        strategies: &'s [Box<dyn Strategy>],
        start: Option<Timestamp>,
        rules: &ReplayRules,
        rows: Rows,
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
                past: Columns::default(),
            }
        };
        let markets = dataset.series().iter().enumerate().map(known).collect();
        Some(Scouting {
            dataset,
            scouts,
            rows,
            next_row: 0,
            markets,
            spare: Vec::new(),
            order: Vec::new(),
            begins: Vec::new(),
            by_market: Found::default(),
        })
    }

    /// What is made of the next moments' markets; of none after the last row.
    pub(super) fn look_ahead(&mut self) -> Scouted<'s> {
        let left = self.rows.get(self.next_row..).unwrap_or_default();
        // Whole moments.
        let last = left.get(BATCH.min(left.len()).saturating_sub(1));
        let last = last.map(|(at, _)| *at);
        let rest = left.get(BATCH..).unwrap_or_default();
        let more = rest.iter().take_while(|(at, _)| Some(*at) == last).count();
        let count = (BATCH + more).min(left.len());
        let rows = left.get(..count).unwrap_or_default();
        let strategies = self.scouts.len();
        let mut scouted = self.spare.pop().unwrap_or_else(|| Scouted {
            first: 0,
            found: Found::with_room(strategies, count),
        });
        scouted.first = self.next_row;
        self.next_row += count;
        // Of each row its number among the market's own, then where these begin.
        self.order.clear();
        for (_, number) in rows {
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
        for (place, (_, number)) in self.order.iter_mut().zip(rows) {
            *place += self
                .begins
                .get(*number as usize)
                .copied()
                .unwrap_or_default();
        }
        if self.by_market.findings.len() != strategies {
            self.by_market = Found::with_room(strategies, count);
        }
        self.by_market.clear();
        let look = Look::new(self.dataset, &self.scouts);
        look.at_all(&mut self.markets, 0, count, &mut self.by_market);
        scouted.found.take_in_order(&self.by_market, &self.order);
        scouted
    }

    /// Takes back what [`Scouting::look_ahead`] gave, for its memory.
    pub(super) fn give_back(&mut self, mut scouted: Scouted<'s>) {
        scouted.found.clear();
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

    /// Goes through the next rows of these markets, about `count` in all; the first is that of number
    /// `base`.
    fn at_all(&self, markets: &mut [Known], base: usize, count: usize, out: &mut Found<'s>) {
        let middle = markets.len() / 2;
        if count > ALONE && middle > 0 {
            let (early, late) = markets.split_at_mut(middle);
            let mut later = Found::with_room(self.scouts.len(), count / 2 + ALONE);
            rayon::join(
                || self.at_all(early, base, count / 2, out),
                || self.at_all(late, base + middle, count / 2, &mut later),
            );
            out.append(&mut later);
            return;
        }
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
                    for findings in &mut out.findings {
                        findings.push(Finding::Other);
                    }
                    out.rows.push(Row::Unseen);
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
        out: &mut Found<'s>,
    ) -> Option<()> {
        let row = known.seen.checked_sub(1)?;
        let at = one.points().get(row)?.at;
        let (visible, top) = shown_by(self.dataset, number, row, at, known.fees)?;
        one.show(&mut known.market, &visible);
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
        let mut whole = false;
        for (scout, findings) in self.scouts.iter().zip(&mut out.findings) {
            let finding = scout.find(&context, &sight);
            whole |= finding == Finding::Other;
            findings.push(finding);
        }
        out.rows.push(if whole { Row::Whole } else { Row::Quiet });
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
            let last = self.times.last_mut().zip(self.prices.last_mut());
            match last {
                Some((time, price))
                    if is_same_step(*time, point.at, TICK_HISTORY_FIDELITY_MINUTES) =>
                {
                    (*time, *price) = (point.at, point.price);
                }
                _ => {
                    self.times.push(point.at);
                    self.prices.push(point.price);
                }
            }
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
            self.start = 0;
        }
        let times = self.times.get(self.start..)?;
        let prices = self.prices.get(self.start..)?;
        (!times.is_empty()).then_some(Past::Columns { times, prices })
    }
}

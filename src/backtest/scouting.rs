//! Looks at the markets of a price recording ahead of the account: from columns of numbers, market by
//! market, as long as nothing is at stake in them ([`crate::strategy::scout`]).

use std::sync::Arc;

use crate::domain::{
    Calibrations, Estimate, Market, MarketId, Position, PricePoint, RestingOrder, Snapshot,
    SourceKind, Timestamp, TokenId,
};
use crate::market_data::recorded::{
    Dataset, FeeRule, Series, TICK_HISTORY_FIDELITY_MINUTES, TICK_HISTORY_MS, Top, is_same_step,
};
use crate::strategy::scout::{Finding, Scout};
use crate::strategy::sight::{Past, Sight, TopBook};
use crate::strategy::{Strategy, StrategyContext};

use super::engine::ReplayRules;
use super::frames::Rows;

/// So many rows one thread looks at alone.
const ALONE: usize = 128;
/// Points that have left the window are dropped when there are so many, and they are most.
const OLD_POINTS: usize = 1_024;

/// What strategies make of the markets of one moment in which nothing is at stake.
#[derive(Debug, Default)]
pub(super) struct Scouted<'s> {
    /// Numbers of the markets that were looked at, rising.
    pub(super) numbers: Vec<u32>,
    /// By strategy, beside the numbers.
    pub(super) findings: Vec<Vec<Finding<'s>>>,
    /// Beside the numbers: whether some strategy has to see the whole view.
    pub(super) whole: Vec<bool>,
}

impl<'s> Scouted<'s> {
    fn of(strategies: usize) -> Self {
        Scouted {
            findings: vec![Vec::new(); strategies],
            ..Scouted::default()
        }
    }

    fn clear(&mut self) {
        self.numbers.clear();
        self.whole.clear();
        self.findings.iter_mut().for_each(Vec::clear);
    }

    fn append(&mut self, later: &mut Scouted<'s>) {
        self.numbers.append(&mut later.numbers);
        self.whole.append(&mut later.whole);
        for (all, later) in self.findings.iter_mut().zip(&mut later.findings) {
            all.append(later);
        }
    }
}

/// Goes through the rows of a recording, one moment after the other, a step ahead of the account.
pub(super) struct Scouting<'s, 'd> {
    dataset: &'d Dataset,
    scouts: Vec<&'s dyn Scout>,
    rows: Rows,
    next_row: usize,
    markets: Vec<Known>,
    /// What was given back, to be filled again.
    spare: Vec<Scouted<'s>>,
}

/// What is known of a market so far.
#[derive(Debug)]
struct Known {
    /// Whether strategies look at it without regard to others.
    alone: bool,
    fees: Option<FeeRule>,
    /// Rows up to the present moment.
    seen: usize,
    /// As it was last seen.
    market: Arc<Market>,
    past: Columns,
}

impl<'s, 'd> Scouting<'s, 'd> {
    /// `None` when a strategy needs whole views. `rows` are those that are gone through; markets that
    /// share an event or of which the metadata changes are left out, and so are those that a strategy
    /// looks at together with others.
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
        let known = |(number, one): (usize, &Series)| {
            let market = one.template();
            let stands_alone = dataset.neg_risk_event(number).is_none()
                && one.is_told_once()
                && scouts.iter().all(|scout| scout.stands_alone(market));
            Known {
                alone: stands_alone && !rules.excludes(number),
                fees: rules.fees.instead(market),
                seen: start.map_or(0, |start| one.points().partition_point(|p| p.at < start)),
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
        })
    }

    /// What is made of the next moment's markets; of none after the last row.
    pub(super) fn look_ahead(&mut self) -> Scouted<'s> {
        let left = self.rows.get(self.next_row..).unwrap_or_default();
        let at = left.first().map(|(at, _)| *at);
        let count = left.iter().take_while(|(row, _)| Some(*row) == at).count();
        let rows = left.get(..count).unwrap_or_default();
        self.next_row += count;
        let mut scouted = self
            .spare
            .pop()
            .unwrap_or_else(|| Scouted::of(self.scouts.len()));
        if let Some(at) = at {
            let look = Look::new(self.dataset, &self.scouts, at);
            look.at_all(rows, &mut self.markets, 0, &mut scouted);
        }
        scouted
    }

    /// Takes back what [`Scouting::look_ahead`] gave, for its memory.
    pub(super) fn give_back(&mut self, mut scouted: Scouted<'s>) {
        scouted.clear();
        self.spare.push(scouted);
    }
}

/// A look at the markets of one moment.
struct Look<'l, 's> {
    dataset: &'l Dataset,
    scouts: &'l [&'s dyn Scout],
    at: Timestamp,
    snapshot: Snapshot,
    positions: std::collections::BTreeMap<TokenId, Position>,
    resting: std::collections::BTreeMap<u64, RestingOrder>,
    estimates: std::collections::BTreeMap<MarketId, Vec<Estimate>>,
    calibrations: Calibrations,
}

impl<'l, 's> Look<'l, 's> {
    fn new(dataset: &'l Dataset, scouts: &'l [&'s dyn Scout], at: Timestamp) -> Self {
        Look {
            dataset,
            scouts,
            at,
            snapshot: Snapshot::new(at, SourceKind::Recorded, Vec::new(), Vec::new()),
            positions: Default::default(),
            resting: Default::default(),
            estimates: Default::default(),
            calibrations: Calibrations::default(),
        }
    }

    /// The account that is looked with: it has no stake in anything.
    fn context(&self) -> StrategyContext<'_> {
        StrategyContext {
            snapshot: &self.snapshot,
            positions: &self.positions,
            resting: &self.resting,
            estimates: &self.estimates,
            calibrations: &self.calibrations,
        }
    }

    /// Looks at the markets of `rows`, which are in the order of their numbers; `markets` are those from
    /// number `base` on.
    fn at_all(
        &self,
        rows: &[(Timestamp, u32)],
        markets: &mut [Known],
        base: usize,
        out: &mut Scouted<'s>,
    ) {
        let middle = rows.len() / 2;
        if rows.len() > ALONE
            && let Some((_, number)) = rows.get(middle)
            && let Some(split) = (*number as usize).checked_sub(base)
            && let Some((early, late)) = markets.split_at_mut_checked(split)
        {
            let (early_rows, late_rows) = rows.split_at(middle);
            let mut later = Scouted::of(self.scouts.len());
            rayon::join(
                || self.at_all(early_rows, early, base, out),
                || self.at_all(late_rows, late, base + split, &mut later),
            );
            out.append(&mut later);
            return;
        }
        let context = self.context();
        for (_, number) in rows {
            let place = (*number as usize).checked_sub(base);
            if let Some(known) = place.and_then(|place| markets.get_mut(place)) {
                known.seen += 1;
                if known.alone {
                    self.at_one(&context, *number, known, out);
                }
            }
        }
    }

    /// Looks at one market; nothing is noted where a frame has no view of it either.
    fn at_one(
        &self,
        context: &StrategyContext<'_>,
        number: u32,
        known: &mut Known,
        out: &mut Scouted<'s>,
    ) -> Option<()> {
        let index = number as usize;
        let one = self.dataset.series().get(index)?;
        if one.is_resolved(self.at) {
            return None;
        }
        let row = known.seen.checked_sub(1)?;
        let mut visible = self.dataset.visible_at_row(index, row, self.at)?;
        if let Some(fees) = known.fees {
            visible.fee = fees.at(self.at);
        }
        let top = self.dataset.top(index, row, &visible)?;
        one.show(&mut known.market, &visible);
        let Known { market, past, .. } = known;
        let [first, second] = market.outcomes.as_slice() else {
            return None;
        };
        let book = |second: bool, token| top.map(|top: Top| top_book(&top, second, token));
        let (first, second) = (book(false, &first.token), book(true, &second.token));
        let sight = Sight {
            market: &**market,
            books: [first.as_ref(), second.as_ref()],
            past: past.at(one.points(), known.seen, self.at),
        };
        let mut whole = false;
        for (scout, findings) in self.scouts.iter().zip(&mut out.findings) {
            let finding = scout.find(context, &sight);
            whole |= finding == Finding::Other;
            findings.push(finding);
        }
        out.numbers.push(number);
        out.whole.push(whole);
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

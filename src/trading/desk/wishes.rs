//! What strategies want of a tick: asked for, put in order, and handed on to be traded.

use crate::domain::{Basket, Intent, MarketView, Quote, QuoteSide, Signal};
use crate::strategy::scout::{Finding, NoStake};
use crate::strategy::{Strategy, StrategyContext, look_with_all};

use super::quiet::{Gathered, Quiet};
use super::{DeskError, Step};

/// Cause: there is no view of the market in this tick.
pub(super) const NOT_GATHERED: &str = "market not gathered";

/// What is wanted of one market: known in full, or found in a quiet market of which no view is made yet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'w, Known, Found> {
    Known(&'w Known),
    Late(Late, Found),
}

/// Whose wish it is, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late {
    /// Place of the strategy in the tick's list.
    pub strategy: usize,
    /// Place of the market among the quiet ones' numbers.
    pub place: usize,
}

/// A purchase that a strategy wants.
pub(super) type Purchase<'w> = Wish<'w, Signal, ()>;
/// A quote that it wants, and of a quiet market the bids on both outcomes.
pub(super) type Quoting<'w> = Wish<'w, Quote, [Option<QuoteSide>; 2]>;

/// All that is wanted, in the order of strategies, then of markets.
#[derive(Default)]
struct Wishes<'w> {
    directional: Vec<Purchase<'w>>,
    baskets: Vec<&'w Basket>,
    quotes: Vec<Quoting<'w>>,
}

impl<'w> Wishes<'w> {
    fn add(&mut self, intent: &'w Intent) {
        match intent {
            Intent::Directional(signal) => self.directional.push(Wish::Known(signal)),
            Intent::Basket(basket) => self.baskets.push(basket),
            Intent::Quote(quote) => self.quotes.push(Wish::Known(quote)),
        }
    }
}

/// Looks at quiet markets in full.
pub(super) struct LateLooks<'s> {
    gathered: Gathered<'s>,
    strategies: &'s [Box<dyn Strategy>],
    account: NoStake,
}

impl<'s> LateLooks<'s> {
    fn new(gathered: Gathered<'s>, strategies: &'s [Box<dyn Strategy>]) -> Self {
        LateLooks {
            gathered,
            strategies,
            account: NoStake::default(),
        }
    }

    /// Name of the strategy.
    pub(super) fn name(&self, late: Late) -> &'static str {
        let strategy = self.strategies.get(late.strategy);
        strategy.map_or("", |strategy| strategy.name())
    }

    /// The market's view.
    pub(super) fn view(&self, late: Late) -> Option<&'s MarketView> {
        self.gathered.quiet?.views.view(late.place)
    }

    /// What the strategy wants of the market.
    fn intents(&self, late: Late) -> Vec<Intent> {
        let scout = self.strategies.get(late.strategy);
        let scout = scout.and_then(|strategy| strategy.scout());
        let Some((scout, view)) = scout.zip(self.view(late)) else {
            return Vec::new();
        };
        let context = self.account.context(self.gathered.snapshot);
        scout.look_at(&context, view)
    }

    /// The purchase that it wants there.
    pub(super) fn purchase(&self, late: Late) -> Option<Signal> {
        let mut intents = self.intents(late).into_iter();
        intents.find_map(|intent| match intent {
            Intent::Directional(signal) => Some(signal),
            _ => None,
        })
    }

    /// The quote that it wants on the outcome at this place of the market's.
    pub(super) fn quote(&self, late: Late, outcome: usize) -> Option<Quote> {
        let token = &self.view(late)?.market.outcomes.get(outcome)?.token;
        let mut intents = self.intents(late).into_iter();
        intents.find_map(|intent| match intent {
            Intent::Quote(quote) if quote.token_id == *token => Some(quote),
            _ => None,
        })
    }
}

impl Step<'_> {
    /// Asks every strategy, and trades what they want.
    pub(super) fn run_strategies(
        &mut self,
        strategies: &[Box<dyn Strategy>],
    ) -> Result<(), DeskError> {
        self.report.markets = u32::try_from(self.snapshot.candidates()).unwrap_or(u32::MAX);
        let ledger = self.recorder.ledger();
        let found = look_with_all(
            strategies,
            &StrategyContext {
                snapshot: self.snapshot.snapshot,
                positions: ledger.positions(),
                resting: ledger.resting(),
                estimates: ledger.estimates(),
                calibrations: &ledger.calibrations(),
            },
        );
        let mut wanted = Vec::with_capacity(found.len());
        for (strategy, found) in strategies.iter().zip(found) {
            let report = self.report.strategy(strategy.name());
            match found {
                Ok(analysis) => {
                    report.looked_at = analysis.looked_at;
                    report.passed_over = analysis.passed_over;
                    wanted.push(Some(analysis.intents));
                }
                Err(error) => {
                    report.error = Some(error);
                    wanted.push(None);
                }
            }
        }
        // There may be thousands of quotes: nothing is moved.
        let mut wishes = Wishes::default();
        for (number, (strategy, known)) in strategies.iter().zip(&wanted).enumerate() {
            if let Some(known) = known {
                let quiet = self.snapshot.quiet;
                self.add_wishes(&mut wishes, quiet, (number, strategy.name()), known);
            }
        }
        let late = LateLooks::new(self.snapshot, strategies);
        self.trade_directional(&wishes.directional, &late)?;
        for basket in wishes.baskets {
            self.trade_basket(basket)?;
        }
        self.trade_quotes(&wishes.quotes, &late)
    }

    /// Adds what one strategy wants, `known` and found in quiet markets, in the order of markets; counts
    /// what it made of the quiet ones.
    fn add_wishes<'w>(
        &mut self,
        wishes: &mut Wishes<'w>,
        quiet: Option<Quiet<'w>>,
        (strategy, name): (usize, &str),
        known: &'w [Intent],
    ) {
        let findings = quiet.and_then(|quiet| Some((quiet, quiet.findings.get(strategy)?)));
        let known = known.iter();
        let Some((quiet, findings)) = findings else {
            known.for_each(|intent| wishes.add(intent));
            return;
        };
        let universe = self.snapshot.universe();
        let number_of = |intent: &Intent| match intent {
            Intent::Directional(signal) => universe.number_of(&signal.market_id),
            Intent::Quote(quote) => universe.number_of(&quote.market_id),
            // Sets come after all that is about one market.
            Intent::Basket(_) => None,
        };
        let entries = || quiet.entries.iter().map(|entry| *entry as usize);
        let mut looked_at = u32::try_from(quiet.entries.len()).unwrap_or(u32::MAX);
        let mut causes: Vec<(&str, u32)> = findings.tally(entries()).collect();
        let mut pass = |cause: &'w str| {
            let mut known = causes.iter_mut();
            match known.find(|(known, _)| std::ptr::eq(*known, cause)) {
                Some((_, count)) => *count += 1,
                None => causes.push((cause, 1)),
            }
        };
        let mut known = known.map(|intent| (number_of(intent), intent)).peekable();
        for (place, (number, entry)) in quiet.numbers.iter().zip(entries()).enumerate() {
            if !findings.wants(entry) {
                continue;
            }
            let late = Late { strategy, place };
            let is_earlier = |of: Option<u32>| of.is_some_and(|of| of < *number);
            while let Some((_, intent)) = known.next_if(|(of, _)| is_earlier(*of)) {
                wishes.add(intent);
            }
            match findings.get(entry) {
                Finding::Buy => wishes.directional.push(Wish::Late(late, ())),
                Finding::Bids(bids) => {
                    // A market that is quoted counts by its outcomes.
                    looked_at += 1;
                    let mut wanted = |bid: Result<QuoteSide, &'w str>| match bid {
                        Ok(side) => Some(side),
                        Err(cause) => {
                            pass(cause);
                            None
                        }
                    };
                    let [first, second] = bids;
                    let bids = [wanted(first), wanted(second)];
                    // One that quotes at all mostly quotes often.
                    wishes.quotes.reserve(quiet.entries.len() - place);
                    wishes.quotes.push(Wish::Late(late, bids));
                }
                Finding::Nothing(_) | Finding::Other => {}
            }
        }
        known.for_each(|(_, intent)| wishes.add(intent));
        let report = self.report.strategy(name);
        report.looked_at += looked_at;
        for (cause, count) in causes {
            *report.passed_over.entry(cause.to_owned()).or_default() += count;
        }
    }
}

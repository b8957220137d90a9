//! What strategies want of a tick: asked for, put in order, and handed on to be traded.

use std::ops::Range;

use crate::domain::{Basket, Intent, MarketId, MarketView, Quote, Signal, Usdc};
use crate::strategy::scout::{Findings, NoStake, Tally};
use crate::strategy::{Strategy, StrategyContext, look_with_all};

use super::quiet::{Gathered, Quiet};
use super::{DeskError, Step};

/// Cause: there is no view of the market in this tick.
pub(super) const NOT_GATHERED: &str = "market not gathered";

/// A purchase or sale that a strategy wants: known in full, or found in a quiet market of which no view is made
/// yet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'w> {
    Known(&'w Signal),
    Late(Late),
}

/// Whose wish it is, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late {
    /// Place of the strategy in the tick's list.
    pub strategy: usize,
    /// Place of the market among the quiet ones' numbers.
    pub place: usize,
}

/// Quotes that a strategy wants.
#[derive(Debug, Clone)]
pub(super) enum Quoting<'w> {
    Known(&'w Quote),
    /// All bids that the strategy of this place found in the quiet markets at these places.
    Quiet(usize, Range<usize>),
}

/// All that is wanted, in the order of strategies, then of markets.
#[derive(Default)]
struct Wishes<'w> {
    directional: Vec<Wish<'w>>,
    baskets: Vec<&'w Basket>,
    quotes: Vec<Quoting<'w>>,
}

impl<'w> Wishes<'w> {
    /// Adds what one strategy wants of markets that are not quiet, with their numbers, and what it found in those
    /// that are.
    fn add(
        &mut self,
        strategy: usize,
        known: &'w [Intent],
        number_of: impl Fn(&MarketId) -> Option<u32>,
        found: Option<(Quiet<'w>, &Findings<'w>, &Tally<'w>)>,
    ) {
        let buys = found.filter(|(.., tally)| tally.buys > 0);
        let buys = buys.into_iter().flat_map(|(quiet, findings, _)| {
            let quiet = quiet.numbers.iter().zip(quiet.entries).enumerate();
            quiet.filter(|(_, (_, entry))| findings.buys(**entry as usize))
        });
        let mut buys = buys
            .map(|(place, (number, _))| (*number, Late { strategy, place }))
            .peekable();
        let quoted = found.filter(|(.., tally)| tally.quoted > 0);
        let quoted = quoted.map_or(&[] as &[u32], |(quiet, ..)| quiet.numbers);
        let mut asked = 0;
        for intent in known {
            // What is of no market of the tick comes last.
            let before = |id: &MarketId| number_of(id).unwrap_or(u32::MAX);
            match intent {
                Intent::Directional(signal) => {
                    let before = before(&signal.market_id);
                    while let Some((_, late)) = buys.next_if(|(number, _)| *number < before) {
                        self.directional.push(Wish::Late(late));
                    }
                    self.directional.push(Wish::Known(signal));
                }
                Intent::Basket(basket) => self.baskets.push(basket),
                Intent::Quote(quote) => {
                    let before = before(&quote.market_id);
                    let until = quoted.partition_point(|number| *number < before);
                    if asked < until {
                        self.quotes.push(Quoting::Quiet(strategy, asked..until));
                        asked = until;
                    }
                    self.quotes.push(Quoting::Known(quote));
                }
            }
        }
        self.directional
            .extend(buys.map(|(_, late)| Wish::Late(late)));
        if asked < quoted.len() {
            self.quotes
                .push(Quoting::Quiet(strategy, asked..quoted.len()));
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

    /// Name of the strategy at this place.
    pub(super) fn name(&self, strategy: usize) -> &'static str {
        let strategy = self.strategies.get(strategy);
        strategy.map_or("", |strategy| strategy.name())
    }

    /// The market's view.
    pub(super) fn view(&self, late: Late) -> Option<&'s MarketView> {
        self.gathered.quiet?.views.view(late.place)
    }

    /// What a strategy found, and where in it the quiet markets at these places are told of.
    pub(super) fn found(
        &self,
        strategy: usize,
        places: Range<usize>,
    ) -> Option<(&'s Findings<'s>, &'s [u32])> {
        let quiet = self.gathered.quiet?;
        let entries = quiet.entries.get(places)?;
        Some((quiet.findings.get(strategy)?, entries))
    }

    /// Notes a market in which two bids were only counted, and that only because of their prices.
    pub(super) fn note_priced(&self) {
        if let Some(quiet) = self.gathered.quiet {
            quiet.priced.set(quiet.priced.get() + 1);
        }
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

    /// Notional of the purchase that it wants there, pUSD, where that is known without a look.
    pub(super) fn purchase_size(&self, late: Late) -> Option<Usdc> {
        self.strategies.get(late.strategy)?.scout()?.purchase_size()
    }

    /// The purchase that it wants there.
    pub(super) fn purchase(&self, late: Late) -> Option<Signal> {
        let mut intents = self.intents(late).into_iter();
        intents.find_map(|intent| match intent {
            Intent::Directional(signal) => Some(signal),
            _ => None,
        })
    }

    /// The quotes that it wants on the market's outcomes.
    pub(super) fn quotes(&self, late: Late) -> [Option<Quote>; 2] {
        let mut quotes = [None, None];
        let Some(view) = self.view(late) else {
            return quotes;
        };
        for intent in self.intents(late) {
            if let Intent::Quote(quote) = intent
                && let Some((outcome, _)) = view.market.outcome_of(&quote.token_id)
                && let Some(of_outcome) = quotes.get_mut(outcome)
            {
                of_outcome.get_or_insert(quote);
            }
        }
        quotes
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

    /// Adds what one strategy wants, `known` and found in quiet markets, and counts what it made of the quiet
    /// ones.
    fn add_wishes<'w>(
        &mut self,
        wishes: &mut Wishes<'w>,
        quiet: Option<Quiet<'w>>,
        (strategy, name): (usize, &str),
        known: &'w [Intent],
    ) {
        let found = quiet.and_then(|quiet| {
            let findings = quiet.findings.get(strategy)?;
            let entries = quiet.entries.iter().map(|entry| *entry as usize);
            Some((quiet, findings, findings.tally(entries)))
        });
        let universe = self.snapshot.universe();
        let found_here = found
            .as_ref()
            .map(|(quiet, findings, tally)| (*quiet, *findings, tally));
        wishes.add(strategy, known, |id| universe.number_of(id), found_here);
        if let Some((quiet, _, tally)) = found {
            let report = self.report.strategy(name);
            report.looked_at += u32::try_from(quiet.entries.len()).unwrap_or(u32::MAX);
            // A market that is quoted counts by its outcomes.
            report.looked_at += tally.quoted;
            for (cause, count) in tally.causes {
                *report.passed_over.entry(cause.to_owned()).or_default() += count;
            }
        }
    }
}

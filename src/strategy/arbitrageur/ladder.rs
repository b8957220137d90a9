//! Date ladders: questions that are the same but for the date until which something may happen.
//!
//! Let Yes of a market pay `v ∈ {0, ½, 1}`, so that No pays `1 − v`. What has happened by an
//! earlier date has happened by a later one: `v(earlier) ≤ v(later)`. One Yes of the later and one
//! No of the earlier market therefore pay `v(later) + 1 − v(earlier) ≥ 1`, whatever happens:
//!
//! | it happens | Yes (later) | No (earlier) | sum |
//! |---|---|---|---|
//! | by the earlier date | 1 | 0 | 1 |
//! | between the two | 1 | 1 | 2 |
//! | later or never | 0 | 1 | 1 |
//! | both end 50/50 | ½ | ½ | 1 |
//!
//! Bought below 1 with fees, that is an arbitrage. It rests on the two markets having the same
//! rules but for the date, so both are checked: the same event, the same words around the date,
//! and (where the source gives them) the same rules but for the last day.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{StrategyContext, pricing};
use super::basket::{SetTerms, plan_set};
use super::deadline::{self, LastDay, Reading};
use crate::domain::{Basket, EventId, Market, MarketId, MarketView, Outcome};

pub(super) const AMBIGUOUS: &str = "what the question's date means cannot be told for certain";
pub(super) const UNORDERED: &str = "dates of the ladder cannot be put in order";
pub(super) const OTHER_RULES: &str = "rules of the ladder's markets differ in more than the date";
pub(super) const MEMBER_TAKEN: &str = "a market of the ladder is bought in another set";

/// One market of a ladder.
#[derive(Debug, Clone, Copy)]
struct Rung<'a> {
    view: &'a MarketView,
    yes: &'a Outcome,
    no: &'a Outcome,
    last_day: LastDay,
}

/// The ladders of a snapshot, and how many markets might be rungs and cannot be read.
#[derive(Debug, Default)]
pub(super) struct Ladders<'a> {
    groups: BTreeMap<(Option<&'a EventId>, String), Vec<Rung<'a>>>,
    /// Markets whose date is not certain, in events that have further questions with dates.
    pub ambiguous: u32,
}

impl<'a> Ladders<'a> {
    /// Finds ladders of two rungs and more among the candidates. Markets without an event (a
    /// recording may know none) form ladders among themselves. Members of neg-risk events never
    /// do: those exclude each other, which a ladder's do not.
    pub(super) fn find(context: &StrategyContext<'a>) -> Self {
        let mut ladders = Ladders::default();
        let mut dated: BTreeMap<Option<&EventId>, (u32, u32)> = BTreeMap::new();
        for view in context.snapshot.candidates() {
            let market = &*view.market;
            if market.neg_risk {
                continue;
            }
            let reading = deadline::read(&market.question, market.end);
            if reading == Reading::Undated || !pricing::is_first(context, view) {
                continue;
            }
            let Some((yes, no)) = yes_and_no(market) else {
                continue;
            };
            let event = market.event_id.as_ref();
            let (all, unclear) = dated.entry(event).or_default();
            *all += 1;
            if let Reading::Dated(read) = reading {
                let rung = Rung {
                    view,
                    yes,
                    no,
                    last_day: read.last_day,
                };
                ladders
                    .groups
                    .entry((event, read.stem))
                    .or_default()
                    .push(rung);
            } else {
                *unclear += 1;
            }
        }
        ladders.groups.retain(|_, rungs| rungs.len() > 1);
        ladders.ambiguous = dated
            .values()
            .filter(|(all, _)| *all > 1)
            .map(|(_, unclear)| unclear)
            .sum();
        ladders
    }

    /// Looks at every ladder. At most one set is bought of each, the one with the largest edge;
    /// `taken` are markets that are in other sets already.
    pub(super) fn look<'cause>(
        &self,
        context: &StrategyContext<'_>,
        terms: &'cause SetTerms,
        taken: &BTreeSet<MarketId>,
    ) -> Vec<Result<Basket, &'cause str>> {
        self.groups
            .iter()
            .map(|((event, _), rungs)| {
                let free: Vec<Rung<'_>> = rungs
                    .iter()
                    .filter(|rung| !taken.contains(&rung.view.market.id))
                    .copied()
                    .collect();
                if free.len() < 2 {
                    return Err(MEMBER_TAKEN);
                }
                best_pair(context, terms, *event, &free)
            })
            .collect()
    }
}

/// Both outcomes of a market that can be traded and asks a yes-or-no question.
fn yes_and_no(market: &Market) -> Option<(&Outcome, &Outcome)> {
    let (first, second) = pricing::tradable_pair(market).ok()?;
    let named = first.name.eq_ignore_ascii_case("yes") && second.name.eq_ignore_ascii_case("no");
    named.then_some((first, second))
}

/// The pair of rungs with the largest edge; without one, the cause of the pair that costs least.
fn best_pair<'cause>(
    context: &StrategyContext<'_>,
    terms: &'cause SetTerms,
    event: Option<&EventId>,
    rungs: &[Rung<'_>],
) -> Result<Basket, &'cause str> {
    let mut pairs: Vec<(u32, &Rung<'_>, &Rung<'_>)> = Vec::new();
    for earlier in rungs {
        for later in rungs {
            if earlier.last_day.precedes(later.last_day) {
                pairs.push((asks(later, earlier), earlier, later));
            }
        }
    }
    // By cost; what cannot be bought at all comes last. The sort is stable, so the snapshot's
    // order decides ties.
    pairs.sort_by_key(|(cost, ..)| *cost);
    let mut best: Option<Basket> = None;
    let mut failure = None;
    let mut other_rules = false;
    for (cost, earlier, later) in pairs {
        if cost >= WHOLE && failure.is_some() {
            // None of the rest can pay.
            break;
        }
        let legs = [(later.view, later.yes), (earlier.view, earlier.no)];
        match plan_set(context, terms, event, &legs, 1) {
            Ok(basket) if best.as_ref().is_some_and(|kept| kept.edge >= basket.edge) => {}
            Ok(_) if !same_rules(earlier, later) => other_rules = true,
            Ok(basket) => {
                let reason = format!(
                    "Yes by {} and No by {}: {}",
                    later.last_day.to, earlier.last_day.to, basket.reason
                );
                best = Some(Basket { reason, ..basket });
            }
            Err(cause) => {
                failure.get_or_insert(cause);
            }
        }
    }
    match best {
        Some(basket) => Ok(basket),
        None if other_rules => Err(OTHER_RULES),
        None => Err(failure.unwrap_or(UNORDERED)),
    }
}

/// 1 pUSD in micro-units.
const WHOLE: u32 = 1_000_000;

/// Best asks of both legs, in micro-units; where one is missing, more than any real sum.
fn asks(later: &Rung<'_>, earlier: &Rung<'_>) -> u32 {
    let ask = |rung: &Rung<'_>, outcome: &Outcome| {
        let book = rung.view.book(&outcome.token)?;
        Some(book.best_ask()?.micros())
    };
    match (ask(later, later.yes), ask(earlier, earlier.no)) {
        (Some(yes), Some(no)) => yes + no,
        _ => u32::MAX,
    }
}

/// True when the markets' rules differ in the last day only. Where the source gives no rules for
/// either, their questions and their event have to do.
fn same_rules(earlier: &Rung<'_>, later: &Rung<'_>) -> bool {
    let rules = |rung: &Rung<'_>| {
        let market = &rung.view.market;
        market
            .description
            .as_deref()
            .map(|text| deadline::rules_without(text, rung.last_day, market.end))
    };
    rules(earlier) == rules(later)
}

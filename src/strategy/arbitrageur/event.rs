//! Sets across the markets of a neg-risk event: at most one of them ends Yes.
//!
//! * One No of each of n markets pays at least n − 1, whether or not there are further outcomes:
//!   mutual exclusion, which the neg-risk contract enforces, is all it needs.
//! * One Yes of each pays 1 only if the n markets are all there are. A list cut short looks just
//!   like an underpriced set (fault 28 of the original), and no price can tell the two apart, so
//!   this needs the operator's word (`trust_event_sets`) on top of the checks here.

use super::super::{StrategyContext, pricing};
use super::basket::{SetTerms, plan_set};
use crate::domain::{Basket, EventId, MarketView, Outcome};

pub(super) const PAIR_TAKEN: &str = "a market of the event is bought as a pair";
pub(super) const FEW: &str = "fewer than 3 outcomes of the event in view";
pub(super) const ODD_SUM: &str = "mids of the event do not sum to about 1";
pub(super) const INCOMPLETE: &str = "event has outcomes that cannot be bought";
pub(super) const UNTRUSTED: &str = "event not trusted to be complete";

/// Fewer members than this are more likely a part of an event than a whole one.
const MIN_MEMBERS: usize = 3;

/// Yes mids of a whole event sum to about 1. Far off, something is missing or stale.
const MID_SUM: std::ops::RangeInclusive<f64> = 0.85..=1.15;

/// Looks at one event: `members` are all its markets in the snapshot.
pub(super) fn look<'cause>(
    context: &StrategyContext<'_>,
    terms: &'cause SetTerms,
    trusted: bool,
    event: &EventId,
    members: &[&MarketView],
) -> Result<Basket, &'cause str> {
    let buyable: Vec<(&MarketView, &Outcome, &Outcome)> = members
        .iter()
        .filter(|view| view.candidate)
        .filter_map(|view| {
            let (yes, no) = pricing::tradable_pair(&view.market).ok()?;
            Some((*view, yes, no))
        })
        .collect();
    if buyable.len() < MIN_MEMBERS {
        return Err(FEW);
    }
    let mut mid_sum = 0.0;
    for (view, yes, _) in &buyable {
        let book = pricing::sane_book(view.book(&yes.token), context.snapshot.at)?;
        mid_sum += pricing::two_sided(book)?.mid;
    }
    if !MID_SUM.contains(&mid_sum) {
        return Err(ODD_SUM);
    }
    let yes: Vec<_> = buyable.iter().map(|(view, yes, _)| (*view, *yes)).collect();
    let no: Vec<_> = buyable.iter().map(|(view, _, no)| (*view, *no)).collect();
    let losers = u32::try_from(no.len() - 1).map_err(|_| FEW)?;
    let complete = buyable.len() == members.len();
    let yes_set = plan_set(context, terms, Some(event), &yes, 1).and_then(|basket| {
        if !complete {
            Err(INCOMPLETE)
        } else if !trusted {
            Err(UNTRUSTED)
        } else {
            Ok(basket)
        }
    });
    let no_set = plan_set(context, terms, Some(event), &no, losers);
    match (yes_set, no_set) {
        (Ok(yes), Ok(no)) if no.edge > yes.edge => Ok(no),
        (Ok(basket), _) | (Err(_), Ok(basket)) => Ok(basket),
        // The Yes side's cause is the telling one: it names what the operator could change.
        (Err(cause), Err(_)) => Err(cause),
    }
}

//! A look at many markets, on all cores.

use std::ops::Range;

use super::{Analysis, StrategyContext};
use crate::domain::{Intent, MarketView, Snapshot};

/// Up to so many markets one thread looks alone: handing work over costs some microseconds, which a
/// small snapshot does not repay.
const ALONE: usize = 256;

/// Whether a snapshot is so large that its markets are looked at on several threads.
pub(super) fn is_large(snapshot: &Snapshot) -> bool {
    snapshot.markets().len() > ALONE
}

/// What a look at some markets has found so far.
#[derive(Debug, Default)]
pub(super) struct Notes<'cause> {
    /// What is wanted.
    pub intents: Vec<Intent>,
    /// Markets looked at.
    pub looked_at: u32,
    /// Of those, how many were passed over, by cause. There are few causes, and mostly it is the same
    /// text in memory: nothing is allocated for a market.
    causes: Vec<(&'cause str, u32)>,
}

impl<'cause> Notes<'cause> {
    /// Counts one market as passed over because of `cause`.
    pub fn pass(&mut self, cause: &'cause str) {
        self.pass_many(cause, 1);
    }

    fn pass_many(&mut self, cause: &'cause str, times: u32) {
        let known = self
            .causes
            .iter()
            .position(|(known, _)| std::ptr::eq(*known, cause));
        let known = known.or_else(|| self.causes.iter().position(|(known, _)| *known == cause));
        match known.and_then(|known| self.causes.get_mut(known)) {
            Some((_, count)) => *count += times,
            None => self.causes.push((cause, times)),
        }
    }

    /// Adds what is wanted of one market. The first makes room: an intent takes some hundred bytes, and
    /// moving them at each doubling took a tenth of a tick.
    pub fn want(&mut self, intent: Intent) {
        if self.intents.capacity() == 0 {
            self.intents.reserve(ALONE * 2);
        }
        self.intents.push(intent);
    }

    /// Adds what was made of later markets.
    fn append(&mut self, mut later: Notes<'cause>) {
        if self.intents.is_empty() {
            self.intents = later.intents;
        } else {
            self.intents.append(&mut later.intents);
        }
        self.looked_at += later.looked_at;
        for (cause, count) in later.causes {
            self.pass_many(cause, count);
        }
    }
}

impl From<Notes<'_>> for Analysis {
    fn from(notes: Notes<'_>) -> Self {
        let causes = notes.causes.into_iter();
        Analysis {
            intents: notes.intents,
            looked_at: notes.looked_at,
            passed_over: causes
                .map(|(cause, count)| (cause.to_owned(), count))
                .collect(),
        }
    }
}

/// Lets `look` note what it makes of each candidate market. Whatever the number of threads, the result is
/// that of one thread that takes the markets in the snapshot's order.
pub(super) fn look_at_candidates<'cause>(
    context: &StrategyContext<'_>,
    look: impl Fn(&MarketView, &mut Notes<'cause>) + Sync,
) -> Analysis {
    let snapshot = context.snapshot;
    look_at(snapshot, 0..snapshot.markets().len(), &look).into()
}

/// Both results; worked out at the same time where there are many markets.
pub(super) fn both<A: Send, B: Send>(
    context: &StrategyContext<'_>,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    if is_large(context.snapshot) {
        return rayon::join(first, second);
    }
    (first(), second())
}

fn look_at<'cause>(
    snapshot: &Snapshot,
    markets: Range<usize>,
    look: &(impl Fn(&MarketView, &mut Notes<'cause>) + Sync),
) -> Notes<'cause> {
    let middle = usize::midpoint(markets.start, markets.end);
    if markets.len() > ALONE {
        let (first, second) = (markets.start..middle, middle..markets.end);
        let (mut notes, later) = rayon::join(
            || look_at(snapshot, first, look),
            || look_at(snapshot, second, look),
        );
        notes.append(later);
        return notes;
    }
    let mut notes = Notes::default();
    for view in snapshot.candidates_in(markets) {
        look(view, &mut notes);
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{market, world};
    use super::*;

    /// More markets than one thread looks at alone, of which every third is passed over.
    #[test]
    fn many_markets_are_noted_in_their_order() {
        let count = ALONE * 5 + 3;
        let views = (0..count).map(|number| market(&number.to_string()).view());
        let world = world(views.collect());
        let seen = std::sync::Mutex::new(Vec::new());
        let analysis = look_at_candidates(&world.context(), |view, notes| {
            notes.looked_at += 1;
            seen.lock().unwrap().push(view.market.id.clone());
            let number: usize = view.market.id.as_str().parse().unwrap();
            if number.is_multiple_of(3) {
                notes.pass("every third");
            } else {
                notes.pass(if number.is_multiple_of(2) {
                    "even"
                } else {
                    "odd"
                });
            }
        });
        assert_eq!(analysis.looked_at as usize, count);
        // 1283 markets from 0 on: 642 even ones and 641 odd ones, of which 214 each are multiples of 3.
        let counts: Vec<(&str, u32)> = analysis
            .passed_over
            .iter()
            .map(|(cause, count)| (cause.as_str(), *count))
            .collect();
        assert_eq!(counts, [("even", 428), ("every third", 428), ("odd", 427)]);
        let mut seen = seen.into_inner().unwrap();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "each once");
    }
}

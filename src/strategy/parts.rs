//! A look at many markets, on all cores.

use std::ops::Range;

use super::{Analysis, StrategyContext};
use crate::domain::{MarketView, Snapshot};

/// Up to so many markets one thread looks alone: handing work over costs some microseconds, which a
/// small snapshot does not repay.
const ALONE: usize = 256;

/// Lets `look` note what it makes of each candidate market. Whatever the number of threads, the result is
/// that of one thread that takes the markets in the snapshot's order.
pub(super) fn look_at_candidates(
    context: &StrategyContext<'_>,
    look: impl Fn(&MarketView, &mut Analysis) + Sync,
) -> Analysis {
    let snapshot = context.snapshot;
    look_at(snapshot, 0..snapshot.markets().len(), &look)
}

/// Both results; worked out at the same time where there are many markets.
pub(super) fn both<A: Send, B: Send>(
    context: &StrategyContext<'_>,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    if context.snapshot.markets().len() > ALONE {
        return rayon::join(first, second);
    }
    (first(), second())
}

fn look_at(
    snapshot: &Snapshot,
    markets: Range<usize>,
    look: &(impl Fn(&MarketView, &mut Analysis) + Sync),
) -> Analysis {
    let middle = usize::midpoint(markets.start, markets.end);
    if markets.len() > ALONE {
        let (first, second) = (markets.start..middle, middle..markets.end);
        let (mut analysis, later) = rayon::join(
            || look_at(snapshot, first, look),
            || look_at(snapshot, second, look),
        );
        analysis.append(later);
        return analysis;
    }
    let mut analysis = Analysis::default();
    for view in snapshot.candidates_in(markets) {
        look(view, &mut analysis);
    }
    analysis
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
        let analysis = look_at_candidates(&world.context(), |view, analysis| {
            analysis.looked_at += 1;
            seen.lock().unwrap().push(view.market.id.clone());
            let number: usize = view.market.id.as_str().parse().unwrap();
            if number.is_multiple_of(3) {
                analysis.pass("every third");
            } else {
                analysis.pass(if number.is_multiple_of(2) {
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

//! A market's books as its followers have been told, level by level.
//!
//! The exchange's own book has moved on by the time a change is written down; the best prices that
//! go with a change must be those right after it.

use std::collections::BTreeMap;

use crate::domain::{Price, Shares, Side};
use crate::sandbox::exchange::{LevelChange, Levels, OutcomeSide};

/// Best prices of one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Best {
    pub bid: Option<Price>,
    pub ask: Option<Price>,
}

#[derive(Debug, Default)]
struct Book {
    bids: BTreeMap<Price, Shares>,
    asks: BTreeMap<Price, Shares>,
}

impl Book {
    fn best(&self) -> Best {
        Best {
            bid: self.bids.last_key_value().map(|(price, _)| *price),
            ask: self.asks.first_key_value().map(|(price, _)| *price),
        }
    }
}

/// Both outcomes' books.
#[derive(Debug)]
pub(super) struct Mirror {
    /// One book serves both outcomes.
    linked: bool,
    first: Book,
    second: Book,
}

impl Mirror {
    /// From the depth (best first) of the first outcome, and of the second where it is separate.
    pub(super) fn new(first: (Levels, Levels), second: Option<(Levels, Levels)>) -> Self {
        let book = |(bids, asks): (Levels, Levels)| Book {
            bids: bids.into_iter().collect(),
            asks: asks.into_iter().collect(),
        };
        Mirror {
            linked: second.is_none(),
            first: book(first),
            second: second.map(book).unwrap_or_default(),
        }
    }

    pub(super) fn linked(&self) -> bool {
        self.linked
    }

    /// Takes a change in.
    pub(super) fn apply(&mut self, change: LevelChange) {
        let change = if self.linked && change.outcome == OutcomeSide::Second {
            change.mirror()
        } else {
            change
        };
        let book = match change.outcome {
            OutcomeSide::First => &mut self.first,
            OutcomeSide::Second => &mut self.second,
        };
        let side = match change.side {
            Side::Buy => &mut book.bids,
            Side::Sell => &mut book.asks,
        };
        if change.total.is_zero() {
            side.remove(&change.price);
        } else {
            side.insert(change.price, change.total);
        }
    }

    /// Best prices of an outcome.
    pub(super) fn best(&self, outcome: OutcomeSide) -> Best {
        match outcome {
            OutcomeSide::First => self.first.best(),
            OutcomeSide::Second if self.linked => {
                let best = self.first.best();
                Best {
                    bid: best.ask.map(Price::complement),
                    ask: best.bid.map(Price::complement),
                }
            }
            OutcomeSide::Second => self.second.best(),
        }
    }

    /// Bids and asks of an outcome as they are served: the best level last.
    pub(super) fn served(&self, outcome: OutcomeSide) -> (Levels, Levels) {
        let plain = |book: &Book| -> (Levels, Levels) {
            (
                book.bids.iter().map(|(p, s)| (*p, *s)).collect(),
                book.asks.iter().rev().map(|(p, s)| (*p, *s)).collect(),
            )
        };
        match outcome {
            OutcomeSide::First => plain(&self.first),
            OutcomeSide::Second if self.linked => {
                let turned = |levels: Levels| -> Levels {
                    levels
                        .into_iter()
                        .map(|(price, size)| (price.complement(), size))
                        .collect()
                };
                let (bids, asks) = plain(&self.first);
                (turned(asks), turned(bids))
            }
            OutcomeSide::Second => plain(&self.second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    fn levels(pairs: &[(&str, u32)]) -> Levels {
        pairs
            .iter()
            .map(|(at, size)| (price(at), Shares::whole(*size)))
            .collect()
    }

    fn change(outcome: OutcomeSide, side: Side, at: &str, total: u32) -> LevelChange {
        LevelChange {
            outcome,
            side,
            price: price(at),
            total: Shares::whole(total),
        }
    }

    #[test]
    fn the_second_outcome_is_the_first_seen_from_the_other_side() {
        let first = (levels(&[("0.4", 10), ("0.39", 20)]), levels(&[("0.42", 5)]));
        let mut mirror = Mirror::new(first, None);
        let (bids, asks) = mirror.served(OutcomeSide::Second);
        assert_eq!(bids, levels(&[("0.58", 5)]));
        assert_eq!(asks, levels(&[("0.61", 20), ("0.6", 10)]));
        // A bid for No at 0.59 is an offer of Yes at 0.41.
        mirror.apply(change(OutcomeSide::Second, Side::Buy, "0.59", 7));
        let best = mirror.best(OutcomeSide::First);
        assert_eq!(
            (best.bid, best.ask),
            (Some(price("0.4")), Some(price("0.41")))
        );
        let best = mirror.best(OutcomeSide::Second);
        assert_eq!(
            (best.bid, best.ask),
            (Some(price("0.59")), Some(price("0.6")))
        );
        for at in ["0.41", "0.42"] {
            mirror.apply(change(OutcomeSide::First, Side::Sell, at, 0));
        }
        assert_eq!(mirror.best(OutcomeSide::Second).bid, None);
    }

    #[test]
    fn separate_books_stay_separate() {
        let second = (levels(&[("0.5", 3)]), Vec::new());
        let mut mirror = Mirror::new((Vec::new(), Vec::new()), Some(second));
        mirror.apply(change(OutcomeSide::First, Side::Sell, "0.45", 9));
        assert_eq!(mirror.best(OutcomeSide::First).ask, Some(price("0.45")));
        assert_eq!(mirror.best(OutcomeSide::Second).ask, None);
        assert_eq!(mirror.best(OutcomeSide::Second).bid, Some(price("0.5")));
        assert!(!mirror.linked());
    }
}

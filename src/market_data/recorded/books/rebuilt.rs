//! The book of a token whose recording begins without a whole one: what the changes tell, cut to the best
//! prices that are told beside them.
//!
//! A level better than the told best cannot be there any more and is removed; a told best that no change
//! has set is there with an unknown size, for which an assumed one stands until a change tells it. Levels
//! that nothing has touched yet are missing: the book is thinner than it was, never deeper, but for the
//! assumed ones.

use crate::domain::{Price, Shares, Side, Timestamp};
use crate::market_data::polymarket::stream::ladder::Ladder;
use crate::market_data::polymarket::ws_messages::{Best, LevelChange};

/// A message this much older than the book, in ms, means that the exchange's clock was set back.
const CLOCK_SET_BACK_MS: i64 = 10_000;

/// Such a book.
#[derive(Debug)]
pub struct Rebuilt {
    bids: Ladder,
    asks: Ladder,
    /// Told best prices that no level stands at, by side. The rest of the messages of their moment may
    /// set them.
    missing: [Option<Price>; 2],
    moment: Timestamp,
    told: bool,
    assumed: Shares,
}

impl Rebuilt {
    /// Empty. `assumed` shares stand at a told best price of unknown size.
    #[must_use]
    pub fn new(assumed: Shares) -> Self {
        Rebuilt {
            bids: Ladder::new(Side::Buy),
            asks: Ladder::new(Side::Sell),
            missing: [None, None],
            moment: Timestamp::default(),
            told: false,
            assumed,
        }
    }

    /// Bids and asks, worst first.
    #[must_use]
    pub fn ladders(&self) -> (&Ladder, &Ladder) {
        (&self.bids, &self.asks)
    }

    /// Takes all changes of the token in one message; every level that becomes another one goes to
    /// `emit`. `None` when they are older than the book; else whether it may be believed now.
    pub fn change(
        &mut self,
        at: Timestamp,
        changes: &[LevelChange],
        emit: &mut dyn FnMut(Side, Price, Shares),
    ) -> Option<bool> {
        if at < self.moment && self.moment.since(at) < CLOCK_SET_BACK_MS {
            return None;
        }
        if at != self.moment {
            self.moment = at;
            for side in [Side::Buy, Side::Sell] {
                if let Some(price) = self.missing_mut(side).take() {
                    let assumed = self.assumed;
                    self.set(side, price, assumed, emit);
                }
            }
        }
        for change in changes {
            self.set(change.side, change.price, change.size, emit);
        }
        if let Some(last) = changes.last() {
            self.cut(Side::Buy, last.best_bid, emit);
            self.cut(Side::Sell, last.best_ask, emit);
        }
        let crossed =
            matches!((self.bids.best(), self.asks.best()), (Some(bid), Some(ask)) if bid >= ask);
        Some(self.told && !crossed && self.missing == [None, None])
    }

    fn missing_mut(&mut self, side: Side) -> &mut Option<Price> {
        let [bid, ask] = &mut self.missing;
        match side {
            Side::Buy => bid,
            Side::Sell => ask,
        }
    }

    fn ladder(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn set(
        &mut self,
        side: Side,
        price: Price,
        size: Shares,
        emit: &mut dyn FnMut(Side, Price, Shares),
    ) {
        self.ladder(side).set(price, size);
        emit(side, price, size);
    }

    /// Removes what is better than the told best, and remembers a best that is not there.
    fn cut(&mut self, side: Side, told: Best, emit: &mut dyn FnMut(Side, Price, Shares)) {
        if told == Best::NotTold {
            return;
        }
        self.told = true;
        let best = told.price();
        while let Some(price) = self.ladder(side).best() {
            let better = match (side, best) {
                (_, None) => true,
                (Side::Buy, Some(best)) => price > best,
                (Side::Sell, Some(best)) => price < best,
            };
            if !better {
                break;
            }
            self.set(side, price, Shares::ZERO, emit);
        }
        let found = self.ladder(side).best();
        *self.missing_mut(side) = best.filter(|_| found != best);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Level, TokenId};

    fn p(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    fn change(side: Side, price: &str, size: u32, bid: &str, ask: &str) -> LevelChange {
        let told = |text: &str| {
            if text.is_empty() {
                Best::NotTold
            } else {
                Best::At(p(text))
            }
        };
        LevelChange {
            token: TokenId::new("7"),
            side,
            price: p(price),
            size: Shares::whole(size),
            best_bid: told(bid),
            best_ask: told(ask),
        }
    }

    fn shown(book: &Rebuilt) -> [String; 2] {
        let words = |levels: &[Level]| {
            let words: Vec<String> = levels
                .iter()
                .rev()
                .map(|l| format!("{}x{}", l.price, l.size))
                .collect();
            words.join(" ")
        };
        let (bids, asks) = book.ladders();
        [words(bids.levels()), words(asks.levels())]
    }

    #[test]
    fn told_best_prices_stand_with_an_assumed_size_and_remove_what_is_better() {
        let mut book = Rebuilt::new(Shares::whole(1_000));
        let mut count = 0;
        let mut play = |book: &mut Rebuilt, at, one: LevelChange| {
            book.change(Timestamp::from_millis(at), &[one], &mut |_, _, _| {
                count += 1
            })
        };
        // Nobody has set 0.35 or 0.39: the rest of this moment may.
        assert_eq!(
            play(&mut book, 1, change(Side::Buy, "0.31", 198, "0.35", "0.39")),
            Some(false)
        );
        assert_eq!(
            play(
                &mut book,
                1,
                change(Side::Sell, "0.39", 122, "0.35", "0.39")
            ),
            Some(false)
        );
        assert_eq!(shown(&book), ["0.31x198", "0.39x122"]);
        // The moment is over: 0.35 was there all along.
        assert_eq!(
            play(&mut book, 2, change(Side::Sell, "0.41", 5, "0.35", "0.39")),
            Some(true)
        );
        assert_eq!(shown(&book), ["0.35x1000 0.31x198", "0.39x122 0.41x5"]);
        // 0.39 was taken by something that no message told; 0.35 has its own size now.
        assert_eq!(
            play(&mut book, 3, change(Side::Buy, "0.35", 7, "0.35", "0.41")),
            Some(true)
        );
        assert_eq!(shown(&book), ["0.35x7 0.31x198", "0.41x5"]);
        assert_eq!(
            play(&mut book, 2, change(Side::Buy, "0.36", 7, "0.36", "0.41")),
            None
        );
        // Four changes, 0.35 assumed, 0.39 removed.
        assert_eq!(count, 6);
    }

    #[test]
    fn without_told_best_prices_there_is_no_book() {
        let mut book = Rebuilt::new(Shares::whole(1_000));
        let one = change(Side::Buy, "0.31", 198, "", "");
        let at = Timestamp::from_millis(5);
        assert_eq!(book.change(at, &[one], &mut |_, _, _| {}), Some(false));
    }
}

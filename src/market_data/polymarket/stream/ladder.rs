//! One side of a live book: levels by price, changed one at a time.

use crate::domain::{Level, Price, Shares, Side};

/// Levels of one side, worst first: changes come near the best price, which is cheap at the end.
#[derive(Debug, Clone)]
pub struct Ladder {
    side: Side,
    levels: Vec<Level>,
}

impl Ladder {
    /// Empty; `Buy` holds bids and `Sell` asks.
    #[must_use]
    pub fn new(side: Side) -> Self {
        Ladder {
            side,
            levels: Vec::new(),
        }
    }

    /// The best price; `None` when the side is empty.
    #[must_use]
    pub fn best(&self) -> Option<Price> {
        self.levels.last().map(|level| level.price)
    }

    /// The levels, worst first.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Nothing but these levels from now on, in any order; equal prices are one level.
    pub fn replace(&mut self, levels: &[Level]) {
        self.levels.clear();
        for level in levels {
            let before = match self.position(level.price) {
                Ok(index) => self.levels.get(index).map_or(Shares::ZERO, |l| l.size),
                Err(_) => Shares::ZERO,
            };
            self.set(level.price, before.plus(level.size));
        }
    }

    /// So many shares are at this price now; zero removes it. Prices that nothing can trade at
    /// (0 and 1) are left out, as in [`Book`](crate::domain::Book).
    pub fn set(&mut self, price: Price, size: Shares) {
        if price == Price::ZERO || price == Price::ONE {
            return;
        }
        match self.position(price) {
            Ok(index) if size.is_zero() => {
                self.levels.remove(index);
            }
            Ok(index) => {
                if let Some(level) = self.levels.get_mut(index) {
                    level.size = size;
                }
            }
            Err(_) if size.is_zero() => {}
            Err(index) => self.levels.insert(index, Level { price, size }),
        }
    }

    fn position(&self, price: Price) -> Result<usize, usize> {
        self.levels.binary_search_by(|level| match self.side {
            Side::Buy => level.price.cmp(&price),
            Side::Sell => price.cmp(&level.price),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(price: &str, size: u32) -> Level {
        Level {
            price: Price::parse(price).unwrap(),
            size: Shares::whole(size),
        }
    }

    fn prices(ladder: &Ladder) -> Vec<String> {
        let levels = ladder.levels().iter();
        levels.map(|l| format!("{}x{}", l.price, l.size)).collect()
    }

    #[test]
    fn the_best_is_the_highest_bid_and_the_lowest_ask_whatever_the_order() {
        let served = [
            level("0.4", 1),
            level("0.6", 2),
            level("0.5", 3),
            level("0.5", 4),
        ];
        let mut bids = Ladder::new(Side::Buy);
        bids.replace(&served);
        assert_eq!(prices(&bids), ["0.4x1", "0.5x7", "0.6x2"]);
        let mut asks = Ladder::new(Side::Sell);
        asks.replace(&served);
        assert_eq!(prices(&asks), ["0.6x2", "0.5x7", "0.4x1"]);
        assert_eq!(asks.best(), Some(Price::parse("0.4").unwrap()));
        asks.replace(&[]);
        assert_eq!(asks.best(), None);
    }

    #[test]
    fn a_size_is_a_total_and_zero_removes() {
        let mut bids = Ladder::new(Side::Buy);
        for change in [
            level("0.5", 10),
            level("0.4", 5),
            level("0.5", 7),
            level("0.4", 0),
            level("0.3", 0),
            level("0", 9),
            level("1", 9),
        ] {
            bids.set(change.price, change.size);
        }
        assert_eq!(prices(&bids), ["0.5x7"]);
    }
}

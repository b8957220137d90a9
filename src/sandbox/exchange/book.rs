//! One book: two sides of price levels, each level a queue of orders.

use crate::domain::{Price, Shares};

use super::ids::OrderNo;
use super::slab::{NONE, Queue, Slab};

/// All orders at one price.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub price: Price,
    /// Sum of what is left of the orders.
    pub total: Shares,
    pub queue: Queue,
}

/// One side. Levels are sorted with the best last, where the flow comes and goes.
#[derive(Debug)]
pub(super) struct Ladder {
    bids: bool,
    levels: Vec<Level>,
}

/// Both sides, on the book's own price scale.
#[derive(Debug)]
pub(super) struct Book {
    bids: Ladder,
    asks: Ladder,
}

impl Default for Book {
    fn default() -> Self {
        let side = |bids| Ladder {
            bids,
            levels: Vec::new(),
        };
        Book {
            bids: side(true),
            asks: side(false),
        }
    }
}

impl Book {
    /// The bids or the asks.
    pub(super) fn side(&self, bids: bool) -> &Ladder {
        if bids { &self.bids } else { &self.asks }
    }

    /// The bids or the asks, to change them.
    pub(super) fn side_mut(&mut self, bids: bool) -> &mut Ladder {
        if bids { &mut self.bids } else { &mut self.asks }
    }
}

impl Ladder {
    /// Levels by falling attraction.
    pub(super) fn best_first(&self) -> impl Iterator<Item = &Level> {
        self.levels.iter().rev()
    }

    /// The level that is matched first.
    pub(super) fn best(&self) -> Option<&Level> {
        self.levels.last()
    }

    /// Total at a price, zero when nothing rests there.
    pub(super) fn total(&self, price: Price) -> Shares {
        self.find(price)
            .ok()
            .and_then(|place| self.levels.get(place))
            .map_or(Shares::ZERO, |level| level.total)
    }

    /// Where the level is, or where it would have to be.
    fn find(&self, price: Price) -> Result<usize, usize> {
        self.levels.binary_search_by(|level| {
            if self.bids {
                level.price.cmp(&price)
            } else {
                price.cmp(&level.price)
            }
        })
    }

    /// Puts an order at the end of its price's queue.
    pub(super) fn add(&mut self, slab: &mut Slab, no: OrderNo, price: Price, size: Shares) {
        let place = match self.find(price) {
            Ok(place) => place,
            Err(place) => {
                self.levels.insert(
                    place,
                    Level {
                        price,
                        total: Shares::ZERO,
                        queue: Queue::EMPTY,
                    },
                );
                place
            }
        };
        if let Some(level) = self.levels.get_mut(place) {
            level.total = level.total.plus(size);
            slab.push(&mut level.queue, no);
        }
    }

    /// Takes an order out, wherever it is in its queue, and gives its place back.
    pub(super) fn remove(&mut self, slab: &mut Slab, no: OrderNo) {
        let Some(slot) = slab.get(no) else { return };
        let (price, remaining) = (slot.price, slot.remaining);
        let Ok(place) = self.find(price) else { return };
        if let Some(level) = self.levels.get_mut(place) {
            level.total = level.total.minus(remaining);
            slab.unlink(&mut level.queue, no);
            if level.queue.head == NONE {
                self.levels.remove(place);
            }
        }
        slab.release(no);
    }

    /// Takes `size` from the first order of the best level; the order goes when nothing is left.
    pub(super) fn take_from_first(&mut self, slab: &mut Slab, no: OrderNo, size: Shares) {
        let Some(level) = self.levels.last_mut() else {
            return;
        };
        let Some(slot) = slab.get_mut(no) else { return };
        level.total = level.total.minus(size);
        slot.remaining = slot.remaining.minus(size);
        if slot.remaining.is_zero() {
            slab.unlink(&mut level.queue, no);
            slab.release(no);
            if level.queue.head == NONE {
                self.levels.pop();
            }
        }
    }

    /// Numbers of all orders whose price passes `wanted`, level by level.
    pub(super) fn numbers(
        &self,
        slab: &Slab,
        wanted: impl Fn(Price) -> bool,
        found: &mut Vec<OrderNo>,
    ) {
        for level in self.best_first().filter(|level| wanted(level.price)) {
            found.extend(slab.queue(level.queue).filter_map(|slot| slot.no));
        }
    }
}

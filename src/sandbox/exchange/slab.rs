//! Resting orders in one array, chained into queues by index. Ended orders' places are used again,
//! so a steady flow allocates nothing.

use crate::domain::{Price, Shares, Side};

use super::ids::{AccountId, MarketIdx, OrderNo};
use super::order::OutcomeSide;

/// Bits of an order number that name its place; those above count the orders.
const PLACE_BITS: u32 = 24;
/// No place: the end of a queue, or an order that never rests.
pub(super) const NONE: u32 = (1 << PLACE_BITS) - 1;

/// One resting order: 40 bytes, of which there are hundreds of thousands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Whose place this is; `None` while the place is free.
    pub no: Option<OrderNo>,
    /// Shares left.
    pub remaining: Shares,
    /// Price on the book's own scale (the first outcome's where the market is linked).
    pub price: Price,
    pub account: AccountId,
    pub market: MarketIdx,
    /// The order before it in its queue; in a free place, nothing.
    pub previous: u32,
    /// The order behind it in its queue; in a free place, the next free one.
    pub next: u32,
    /// As its owner sees it.
    pub outcome: OutcomeSide,
    /// As its owner sees it.
    pub side: Side,
}

/// First and last place of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queue {
    pub head: u32,
    pub tail: u32,
}

impl Queue {
    pub(super) const EMPTY: Queue = Queue {
        head: NONE,
        tail: NONE,
    };
}

/// All places.
#[derive(Debug)]
pub(super) struct Slab {
    slots: Vec<Slot>,
    free: u32,
    issued: u64,
}

impl Default for Slab {
    fn default() -> Self {
        Slab {
            slots: Vec::new(),
            free: NONE,
            issued: 0,
        }
    }
}

fn place_of(no: OrderNo) -> u32 {
    (no.0 & u64::from(NONE)) as u32
}

impl Slab {
    fn number(&mut self, place: u32) -> OrderNo {
        self.issued += 1;
        OrderNo(self.issued << PLACE_BITS | u64::from(place))
    }

    /// A number for an order that never rests.
    pub(super) fn number_only(&mut self) -> OrderNo {
        self.number(NONE)
    }

    /// Takes a place for an order that may rest; `None` when all 16 million are in use.
    pub(super) fn acquire(&mut self, order: Slot) -> Option<OrderNo> {
        let place = self.free;
        if let Some(slot) = self.slots.get(place as usize) {
            self.free = slot.next;
        }
        let place = if place == NONE {
            let end = u32::try_from(self.slots.len()).ok()?;
            if end >= NONE {
                return None;
            }
            self.slots.push(order);
            end
        } else {
            place
        };
        let no = self.number(place);
        if let Some(slot) = self.slots.get_mut(place as usize) {
            *slot = Slot {
                no: Some(no),
                previous: NONE,
                next: NONE,
                ..order
            };
        }
        Some(no)
    }

    /// The place at this index.
    pub(super) fn at(&self, place: u32) -> Option<&Slot> {
        self.slots.get(place as usize)
    }

    /// The order of this number while it has its place.
    pub(super) fn get(&self, no: OrderNo) -> Option<&Slot> {
        self.at(place_of(no)).filter(|slot| slot.no == Some(no))
    }

    /// The order of this number, to change it.
    pub(super) fn get_mut(&mut self, no: OrderNo) -> Option<&mut Slot> {
        self.slots
            .get_mut(place_of(no) as usize)
            .filter(|slot| slot.no == Some(no))
    }

    /// Gives an order's place back. It must not be in a queue.
    pub(super) fn release(&mut self, no: OrderNo) {
        let free = self.free;
        if let Some(slot) = self.get_mut(no) {
            slot.no = None;
            slot.next = free;
            self.free = place_of(no);
        }
    }

    /// Puts an order at the end of a queue.
    pub(super) fn push(&mut self, queue: &mut Queue, no: OrderNo) {
        let place = place_of(no);
        let tail = queue.tail;
        if let Some(slot) = self.get_mut(no) {
            slot.previous = tail;
            slot.next = NONE;
        }
        match self.slots.get_mut(tail as usize) {
            Some(last) if tail != NONE => last.next = place,
            _ => queue.head = place,
        }
        queue.tail = place;
    }

    /// Takes an order out of its queue.
    pub(super) fn unlink(&mut self, queue: &mut Queue, no: OrderNo) {
        let Some(&Slot { previous, next, .. }) = self.get(no) else {
            return;
        };
        match self.slots.get_mut(previous as usize) {
            Some(before) if previous != NONE => before.next = next,
            _ => queue.head = next,
        }
        match self.slots.get_mut(next as usize) {
            Some(behind) if next != NONE => behind.previous = previous,
            _ => queue.tail = previous,
        }
    }

    /// The orders of a queue, first in first.
    pub(super) fn queue(&self, queue: Queue) -> impl Iterator<Item = &Slot> {
        let mut place = queue.head;
        std::iter::from_fn(move || {
            if place == NONE {
                return None;
            }
            let slot = self.at(place)?;
            place = slot.next;
            Some(slot)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lots: i64) -> Slot {
        Slot {
            no: None,
            remaining: Shares::from_micros(lots * 10_000).unwrap(),
            price: Price::from_micros(500_000).unwrap(),
            account: AccountId::CROWD,
            market: MarketIdx(0),
            previous: NONE,
            next: NONE,
            outcome: OutcomeSide::First,
            side: Side::Buy,
        }
    }

    #[test]
    fn an_order_takes_forty_bytes() {
        assert!(size_of::<Slot>() <= 48, "{}", size_of::<Slot>());
    }

    #[test]
    fn queues_keep_their_order_and_places_are_used_again() {
        let mut slab = Slab::default();
        let mut queue = Queue::EMPTY;
        let numbers: Vec<OrderNo> = (1..=4)
            .map(|lots| slab.acquire(order(lots)).unwrap())
            .collect();
        for no in &numbers {
            slab.push(&mut queue, *no);
        }
        let lots = |slab: &Slab, queue: Queue| -> Vec<i64> {
            slab.queue(queue)
                .map(|slot| slot.remaining.micros() / 10_000)
                .collect()
        };
        assert_eq!(lots(&slab, queue), [1, 2, 3, 4]);
        for (at, left) in [(1, vec![1, 3, 4]), (0, vec![3, 4]), (3, vec![3])] {
            slab.unlink(&mut queue, numbers[at]);
            slab.release(numbers[at]);
            assert_eq!(lots(&slab, queue), left);
            assert!(slab.get(numbers[at]).is_none());
        }
        let fifth = slab.acquire(order(5)).unwrap();
        assert!(fifth > numbers[3]);
        assert_eq!(place_of(fifth), place_of(numbers[3]));
        assert!(slab.get(numbers[3]).is_none(), "an old number stays dead");
        slab.push(&mut queue, fifth);
        assert_eq!(lots(&slab, queue), [3, 5]);
        assert_eq!(slab.slots.len(), 4);
        slab.unlink(&mut queue, numbers[2]);
        slab.unlink(&mut queue, fifth);
        assert_eq!(queue, Queue::EMPTY);
    }
}

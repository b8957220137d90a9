//! One side of a replayed book: an array with one place for each price step, and a bit for each place
//! that has shares.

/// Shares by place; the larger the place, the better the price.
#[derive(Debug, Default)]
pub struct Levels {
    sizes: Box<[i64]>,
    bits: Box<[u64]>,
    /// The best place with shares; 0 when there is none, since nothing trades at a price of 0 or 1.
    best: u32,
    count: usize,
}

impl Levels {
    /// Empty, with places up to `last`.
    #[must_use]
    pub fn new(last: u32) -> Self {
        let places = last as usize + 1;
        Levels {
            sizes: vec![0; places].into_boxed_slice(),
            bits: vec![0; places.div_ceil(64)].into_boxed_slice(),
            best: 0,
            count: 0,
        }
    }

    /// So many micro-units of shares stand at this place now.
    #[inline]
    pub fn set(&mut self, place: u32, size: i64) {
        let Some(known) = self.sizes.get_mut(place as usize) else {
            return;
        };
        let had = std::mem::replace(known, size);
        if (had == 0) == (size == 0) {
            return;
        }
        if let Some(word) = self.bits.get_mut(place as usize / 64) {
            *word ^= 1 << (place % 64);
        }
        if size != 0 {
            self.count += 1;
            self.best = self.best.max(place);
            return;
        }
        self.count = self.count.saturating_sub(1);
        if place == self.best {
            self.best = self.below(place);
        }
    }

    /// The best place; 0 when nobody stands here.
    #[inline]
    #[must_use]
    pub fn best(&self) -> u32 {
        self.best
    }

    /// The best place below `place` that has shares; 0 when there is none.
    #[must_use]
    pub fn below(&self, place: u32) -> u32 {
        let mut word = place as usize / 64;
        let mut bits = self.bits.get(word).copied().unwrap_or_default();
        bits &= (1 << (place % 64)) - 1;
        loop {
            if bits != 0 {
                // 64 bits a word: it fits wherever the array did.
                return u32::try_from(word).unwrap_or_default() * 64 + 63 - bits.leading_zeros();
            }
            let Some(next) = word.checked_sub(1) else {
                return 0;
            };
            word = next;
            bits = self.bits.get(word).copied().unwrap_or_default();
        }
    }

    /// How many places have shares.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Places with their shares, best first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        let first = Some(self.best).filter(|place| *place != 0);
        let next = |place: &u32| Some(self.below(*place)).filter(|place| *place != 0);
        std::iter::successors(first, next)
            .map(|place| (place, self.sizes.get(place as usize).copied().unwrap_or(0)))
    }

    /// The place at which `wanted` shares have been added up from the best on; `None` when there are fewer.
    #[must_use]
    pub fn reaches(&self, wanted: i64) -> Option<u32> {
        let mut sum = 0_i64;
        self.iter().find_map(|(place, size)| {
            sum = sum.saturating_add(size);
            (sum >= wanted).then_some(place)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_by_place(changes in prop::collection::vec((1_u32..200, 0_i64..4), 0..300)) {
            let (mut levels, mut map) = (Levels::new(200), BTreeMap::new());
            for (place, size) in changes {
                levels.set(place, size);
                if size == 0 {
                    map.remove(&place);
                } else {
                    map.insert(place, size);
                }
                prop_assert_eq!(levels.best(), map.keys().last().copied().unwrap_or(0));
            }
            let found: Vec<(u32, i64)> = levels.iter().collect();
            let expected: Vec<(u32, i64)> = map.into_iter().rev().collect();
            prop_assert_eq!(found.len(), levels.count());
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn depth_adds_up_from_the_best() {
        let mut levels = Levels::new(100);
        levels.set(64, 5);
        levels.set(63, 7);
        levels.set(1, 1);
        assert_eq!(
            [0, 5, 6, 12, 13].map(|n| levels.reaches(n)),
            [Some(64), Some(64), Some(63), Some(63), Some(1)]
        );
        assert_eq!(levels.reaches(14), None);
        levels.set(101, 9);
        assert_eq!(levels.best(), 64, "beyond its places");
        assert_eq!(Levels::new(0).best(), 0);
    }
}

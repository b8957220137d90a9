//! One side of a replayed book: an array with one place for each price step, and a bit for each place
//! that has shares.

/// Higher than any place.
const UNTOUCHED: u32 = u32::MAX;

/// Shares by place; the larger the place, the better the price.
#[derive(Debug, Default)]
pub struct Levels {
    sizes: Box<[i64]>,
    bits: Box<[u64]>,
    /// The best place with shares; 0 when there is none, since nothing trades at a price of 0 or 1.
    best: u32,
    /// The lowest place that changed since somebody asked; [`UNTOUCHED`] when none did.
    touched: u32,
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
            touched: 0,
        }
    }

    /// So many micro-units of shares stand at this place now.
    #[inline]
    pub fn set(&mut self, place: u32, size: i64) {
        let Some(known) = self.sizes.get_mut(place as usize) else {
            return;
        };
        let had = std::mem::replace(known, size);
        self.touched = self
            .touched
            .min(if had == size { UNTOUCHED } else { place });
        // Whether a level comes, goes or changes nobody can foresee, the processor neither: hardly a branch.
        let (was, is) = (had != 0, size != 0);
        if let Some(word) = self.bits.get_mut(place as usize / 64) {
            *word ^= u64::from(was != is) << (place % 64);
        }
        self.best = self.best.max(if is { place } else { 0 });
        if !is && place == self.best {
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

    /// The lowest place that has changed since the last time; `None` when none has.
    pub fn take_touched(&mut self) -> Option<u32> {
        let touched = std::mem::replace(&mut self.touched, UNTOUCHED);
        (touched != UNTOUCHED).then_some(touched)
    }

    /// All of it counts as changed.
    pub fn touch(&mut self) {
        self.touched = 0;
    }

    /// Gives the places from `lowest` on that have shares, best first: word by word.
    #[inline]
    pub fn each_from(&self, lowest: u32, mut give: impl FnMut(u32, i64)) {
        // The place 0 is none.
        let lowest = lowest.max(1);
        let from = lowest as usize / 64;
        let until = self.best as usize / 64 + 1;
        let words = self.bits.iter().zip(self.sizes.chunks(64)).enumerate();
        for (number, (bits, sizes)) in words.take(until).skip(from).rev() {
            let first = u32::try_from(number).unwrap_or_default() * 64;
            let mut bits = *bits;
            if number == from {
                bits &= u64::MAX << (lowest % 64);
            }
            while bits != 0 {
                let place = 63 - bits.leading_zeros();
                bits ^= 1 << place;
                if let Some(size) = sizes.get(place as usize) {
                    give(first + place, *size);
                }
            }
        }
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
            for lowest in [0, 1, 63, 64, 65, 130, 200, 300] {
                let mut given = Vec::new();
                levels.each_from(lowest, |place, size| given.push((place, size)));
                let from: Vec<_> = found.iter().filter(|(place, _)| *place >= lowest).collect();
                prop_assert_eq!(given.iter().collect::<Vec<_>>(), from);
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn it_tells_once_that_something_changed() {
        let mut levels = Levels::new(100);
        assert_eq!(levels.take_touched(), Some(0), "nobody has seen it yet");
        assert_eq!(levels.take_touched(), None);
        levels.set(5, 0);
        assert_eq!(levels.take_touched(), None, "it was 0");
        for place in [7, 5, 9] {
            levels.set(place, 1);
        }
        assert_eq!(levels.take_touched(), Some(5));
        levels.touch();
        assert_eq!(levels.take_touched(), Some(0));
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

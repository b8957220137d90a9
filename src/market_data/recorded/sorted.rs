//! Sorting that can be given up: a sort of ten million rows takes longer than anybody who cancels
//! should wait.

use rayon::prelude::*;

/// Rows sorted between two questions whether to go on: some ten milliseconds.
const CHUNK: usize = 1 << 18;

/// The rows in order, equal ones in any; `None` when `cancelled` said so meanwhile.
pub(super) fn sorted_unless<T: Ord + Copy + Send>(
    mut rows: Vec<T>,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Option<Vec<T>> {
    let chunks = rows.par_chunks_mut(CHUNK);
    chunks.try_for_each(|chunk| {
        if cancelled() {
            return None;
        }
        // The rows of each market are in order already, and this sort makes use of it.
        chunk.sort();
        Some(())
    })?;
    let mut width = CHUNK;
    while width < rows.len() {
        let mut merged = Vec::with_capacity(rows.len());
        for pair in rows.chunks(width.saturating_mul(2)) {
            let (left, right) = pair.split_at(width.min(pair.len()));
            merge(left, right, &mut merged, cancelled)?;
        }
        rows = merged;
        width = width.saturating_mul(2);
    }
    Some(rows)
}

fn merge<T: Ord + Copy>(
    mut left: &[T],
    mut right: &[T],
    merged: &mut Vec<T>,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Option<()> {
    let mut count = 0_usize;
    while let (Some((a, after_a)), Some((b, after_b))) = (left.split_first(), right.split_first()) {
        if count.is_multiple_of(CHUNK) && cancelled() {
            return None;
        }
        count += 1;
        if a <= b {
            merged.push(*a);
            left = after_a;
        } else {
            merged.push(*b);
            right = after_b;
        }
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sorts_whatever_the_length_and_stops_when_told() {
        // A linear congruential generator: numbers in no order.
        let mut state = 12_345_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state >> 40
        };
        for count in [0, 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let rows: Vec<u64> = (0..count).map(|_| next()).collect();
            let mut expected = rows.clone();
            expected.sort_unstable();
            assert_eq!(sorted_unless(rows, &|| false), Some(expected), "{count}");
        }
        assert_eq!(sorted_unless(vec![2, 1], &|| true), None);
    }
}

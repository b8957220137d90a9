//! The hash of a file that is read in parts at the same time, taken of the very bytes that are read.
//!
//! BLAKE3 is a tree over chunks of 1,024 bytes. A window whose length is a power of two of chunks, and which
//! begins at a multiple of it, is a branch of the tree: the branches are put together once all have been read.
//! Source: the BLAKE3 paper, section 2.1.

use std::io::{Read, Result};
use std::ops::Range;

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use blake3::{CHUNK_LEN, Hash, Hasher};

/// A reader that begins where a window of a file does, and may go on after it.
pub(super) struct Window<R> {
    input: R,
    /// Bytes of the window that are still to come.
    left: u64,
    hasher: Option<Hasher>,
}

impl<R: Read> Window<R> {
    /// `hashed` says whether a hash is wanted at all.
    pub(super) fn new(input: R, window: &Range<u64>, hashed: bool) -> Self {
        let hasher = || {
            let mut hasher = Hasher::new();
            hasher.set_input_offset(window.start);
            hasher
        };
        Window {
            input,
            left: window.end - window.start,
            hasher: hashed.then(hasher),
        }
    }

    /// Whether the window was read to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.left == 0
    }

    /// The window's branch.
    pub(super) fn branch(&self) -> Option<ChainingValue> {
        self.hasher.as_ref().map(HasherExt::finalize_non_root)
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.input.read(buffer)?;
        let inside = usize::try_from(self.left).map_or(read, |left| left.min(read));
        self.left -= inside as u64;
        if let (Some(hasher), Some(bytes)) = (&mut self.hasher, buffer.get(..inside)) {
            hasher.update(bytes);
        }
        Ok(read)
    }
}

/// Whether windows of this size are branches.
pub(super) const fn is_window(size: u64) -> bool {
    size.is_power_of_two() && size >= CHUNK_LEN as u64
}

/// The hash of a file of this length with these branches: windows of `size` bytes, and a last one that may be shorter.
/// `None` unless there are two at least.
pub(super) fn whole(branches: &[ChainingValue], length: u64, size: u64) -> Option<Hash> {
    let (early, late) = halves(branches, length, size)?;
    Some(merge_subtrees_root(&early?, &late?, Mode::Hash))
}

fn inner(branches: &[ChainingValue], length: u64, size: u64) -> Option<ChainingValue> {
    if let [one] = branches {
        return Some(*one);
    }
    let (early, late) = halves(branches, length, size)?;
    Some(merge_subtrees_non_root(&early?, &late?, Mode::Hash))
}

type Half = Option<ChainingValue>;

fn halves(branches: &[ChainingValue], length: u64, size: u64) -> Option<(Half, Half)> {
    if branches.len() < 2 || length <= size {
        return None;
    }
    let middle = left_subtree_len(length);
    let (early, late) = branches.split_at_checked(usize::try_from(middle / size).ok()?)?;
    Some((
        inner(early, middle, size),
        inner(late, length - middle, size),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_give_the_hash_of_the_whole() {
        let all: Vec<u8> = (0..40_000_u32)
            .map(|byte| (byte * byte % 251) as u8)
            .collect();
        for size in [1_024_u64, 2_048, 4_096] {
            assert!(is_window(size));
            for length in [
                size + 1,
                size * 2 - 1,
                size * 2,
                size * 2 + 1,
                size * 3,
                size * 4,
                size * 5 + 77,
                size * 7,
                size * 8 + 1_024,
                size * 9 + 1,
            ] {
                let bytes = &all[..usize::try_from(length).unwrap()];
                let branch = |number: u64| {
                    let window = number * size..length.min((number + 1) * size);
                    let from = usize::try_from(window.start).unwrap();
                    // Odd pieces, and further than the window goes.
                    let mut reader = Window::new(&bytes[from..], &window, true);
                    let mut piece = [0; 333];
                    assert!(!reader.is_whole());
                    while reader.read(&mut piece).unwrap() > 0 {}
                    assert!(reader.is_whole());
                    reader.branch().unwrap()
                };
                let branches: Vec<_> = (0..length.div_ceil(size)).map(branch).collect();
                assert_eq!(
                    whole(&branches, length, size),
                    Some(blake3::hash(bytes)),
                    "{length} in {size}"
                );
            }
        }
        assert!(!is_window(512) && !is_window(3_000));
        assert_eq!(whole(&[], 0, 1_024), None);
    }

    #[test]
    fn a_window_that_is_cut_short_is_noticed() {
        let mut reader = Window::new([7; 100].as_slice(), &(1_024..2_048), false);
        reader.read_to_end(&mut Vec::new()).unwrap();
        assert!(!reader.is_whole());
        assert_eq!(reader.branch(), None);
    }
}

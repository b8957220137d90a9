//! Zstd frames, one after the other: each can be unpacked without the ones before it, so a file
//! that was cut off is good up to its last complete frame.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Result};
use std::path::Path;

use zstd::stream::read::Decoder;

/// Compression: 3 is zstd's own default.
const LEVEL: i32 = 3;
/// Largest frame, unpacked, that is read. A writer's frames hold some MiB.
const MAX_FRAME: u64 = 256 << 20;

/// Packs `bytes` into one frame with a checksum.
pub(crate) fn pack(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.include_contentsize(true)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    std::io::Write::write_all(&mut encoder, bytes)?;
    encoder.finish()
}

/// What comes next in a file.
pub(crate) enum Next {
    /// The unpacked bytes of a complete frame.
    Frame(Vec<u8>),
    /// The file ends after a complete frame.
    End,
    /// What follows is not a complete frame.
    Torn(String),
}

/// Reads a file frame by frame.
pub(crate) struct Frames {
    reader: Option<Counting<BufReader<File>>>,
    /// Where the last complete frame ends.
    good: u64,
}

impl Frames {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        Ok(Frames {
            reader: Some(Counting {
                inner: BufReader::with_capacity(128 << 10, file),
                count: 0,
            }),
            good: 0,
        })
    }

    /// Byte at which the last complete frame ends.
    pub(crate) fn good_bytes(&self) -> u64 {
        self.good
    }

    /// Errors: the file cannot be read.
    pub(crate) fn next(&mut self) -> Result<Next> {
        let Some(mut reader) = self.reader.take() else {
            return Ok(Next::End);
        };
        if reader.fill_buf()?.is_empty() {
            return Ok(Next::End);
        }
        let mut bytes = Vec::new();
        let mut decoder = Decoder::with_buffer(reader)?.single_frame();
        let read = (&mut decoder).take(MAX_FRAME + 1).read_to_end(&mut bytes);
        if let Err(error) = read {
            return Ok(Next::Torn(error.to_string()));
        }
        if bytes.len() as u64 > MAX_FRAME {
            return Ok(Next::Torn(format!(
                "a frame is larger than the cap of {} MiB",
                MAX_FRAME >> 20
            )));
        }
        let reader = decoder.finish();
        self.good = reader.count;
        self.reader = Some(reader);
        Ok(Next::Frame(bytes))
    }
}

/// Counts what is taken from a buffered reader.
struct Counting<R> {
    inner: R,
    count: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count += amount as u64;
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(path: &Path) -> (Vec<Vec<u8>>, u64, Option<String>) {
        let mut frames = Frames::open(path).unwrap();
        let mut found = Vec::new();
        loop {
            match frames.next().unwrap() {
                Next::Frame(bytes) => found.push(bytes),
                Next::End => return (found, frames.good_bytes(), None),
                Next::Torn(why) => return (found, frames.good_bytes(), Some(why)),
            }
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_good_up_to_its_last_complete_frame() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let (first, second) = (pack(b"one\n").unwrap(), pack(b"two\nthree\n").unwrap());
        let whole = [first.as_slice(), second.as_slice()].concat();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (frames, good, torn) = all(&path);
            let (expected, end) = match cut {
                _ if cut == whole.len() => (2, whole.len()),
                _ if cut >= first.len() => (1, first.len()),
                _ => (0, 0),
            };
            assert_eq!((frames.len(), good), (expected, end as u64), "cut {cut}");
            let complete = cut == 0 || cut == first.len() || cut == whole.len();
            assert_eq!(torn.is_none(), complete, "cut {cut}");
        }
        assert_eq!(all(&path).0.concat(), b"one\ntwo\nthree\n");
        // Changed bytes and a tail of zeros, as a power cut leaves, are noticed.
        let mut changed = whole.clone();
        changed[first.len() + 12] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(all(&path).2.is_some());
        std::fs::write(&path, [whole.as_slice(), &[0; 100]].concat()).unwrap();
        let (frames, good, torn) = all(&path);
        assert_eq!((frames.len(), good), (2, whole.len() as u64));
        assert!(torn.is_some());
    }
}

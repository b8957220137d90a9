//! The bytes of a recorded file: plain, gzip or zstd, within a cap, unpacked on a thread of their own.

use std::fs::File;
use std::io::{BufReader, Cursor, Error, Read, Result, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use flate2::read::MultiGzDecoder;

use super::capped::{Capped, MAX_FILE};

/// Bytes handed over at once by the thread that unpacks.
const BLOCK: usize = 256 * 1024;
/// Unpacked blocks that may wait.
const BLOCKS_AHEAD: usize = 4;
/// A packed file smaller than this, in bytes, is not worth a thread.
const WORTH_A_THREAD: u64 = 256 * 1024;

/// First bytes of packed files.
const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// By the first bytes, which cannot be mistaken for text; else by the name, so that a `.gz` that
    /// is none is an error and not a file of nonsense.
    fn of(path: &Path, first: &[u8]) -> Self {
        if first.starts_with(&GZIP) {
            return Packing::Gzip;
        }
        if first.starts_with(&ZSTD) {
            return Packing::Zstd;
        }
        match path.extension() {
            Some(end) if end.eq_ignore_ascii_case("gz") => Packing::Gzip,
            Some(end) if end.eq_ignore_ascii_case("zst") => Packing::Zstd,
            _ => Packing::Plain,
        }
    }
}

/// Whether a file is not packed. Errors: it cannot be read.
pub(super) fn is_plain(path: &Path) -> Result<bool> {
    Ok(begin(path)?.1 == Packing::Plain)
}

/// Opens a file, and how it is packed.
fn begin(path: &Path) -> Result<(File, Packing)> {
    let mut file = File::open(path)?;
    let mut first = [0_u8; 4];
    let had = fill(&mut file, &mut first)?;
    file.seek(SeekFrom::Start(0))?;
    let packing = Packing::of(path, first.get(..had).unwrap_or_default());
    Ok((file, packing))
}

/// Opens a file for reading, unpacked. What it gives ends with an error at the cap of
/// [`MAX_FILE`] unpacked bytes.
///
/// Errors: the file cannot be opened.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let (file, packing) = begin(path)?;
    let size = file.metadata()?.len();
    if packing == Packing::Plain {
        return Ok(Box::new(Capped::new(file, MAX_FILE)));
    }
    let file = BufReader::with_capacity(128 * 1024, file);
    let unpacked: Box<dyn Read + Send> = match packing {
        Packing::Zstd => Box::new(zstd::Decoder::with_buffer(file)?),
        _ => Box::new(MultiGzDecoder::new(file)),
    };
    let unpacked = Capped::new(unpacked, MAX_FILE);
    if size < WORTH_A_THREAD {
        return Ok(Box::new(unpacked));
    }
    Ok(Box::new(Ahead::of(unpacked)?))
}

/// What another thread has unpacked already.
struct Ahead {
    blocks: Receiver<Result<Vec<u8>>>,
    block: Cursor<Vec<u8>>,
    ended: bool,
}

impl Ahead {
    /// Starts the thread. It ends with the input, with its first error, or when nobody reads any
    /// more.
    fn of(mut input: impl Read + Send + 'static) -> Result<Self> {
        let (sender, blocks) = sync_channel(BLOCKS_AHEAD);
        std::thread::Builder::new()
            .name("unpack".to_owned())
            .spawn(move || {
                loop {
                    let mut block = vec![0; BLOCK];
                    let read = fill(&mut input, &mut block);
                    let last = !matches!(read, Ok(read) if read == BLOCK);
                    let sent = sender.send(read.map(|read| {
                        block.truncate(read);
                        block
                    }));
                    if last || sent.is_err() {
                        return;
                    }
                }
            })?;
        Ok(Ahead {
            blocks,
            block: Cursor::default(),
            ended: false,
        })
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let read = self.block.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.ended {
                return Ok(read);
            }
            match self.blocks.recv() {
                Ok(Ok(block)) => {
                    self.ended = block.len() < BLOCK;
                    self.block = Cursor::new(block);
                }
                Ok(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                // It never ends without its last block, unless it panicked.
                Err(_) => return Err(Error::other("the thread that unpacks the file is gone")),
            }
        }
    }
}

/// Reads until `buffer` is full or the input ends; how much that was.
pub(super) fn fill(input: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut had = 0;
    while let Some(rest) = buffer.get_mut(had..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => had += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(had)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// More than a few blocks that no packer makes small.
    fn noise() -> Vec<u8> {
        let mut state = 7_u64;
        (0..3_000_001)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                u8::try_from(state >> 56).unwrap()
            })
            .collect()
    }

    fn read(path: &Path) -> Result<Vec<u8>> {
        let mut had = Vec::new();
        open(path)?.read_to_end(&mut had)?;
        Ok(had)
    }

    #[test]
    fn plain_gzip_and_zstd_give_the_same_bytes_whatever_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = noise();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&bytes).unwrap();
        let gzip = gzip.finish().unwrap();
        let packed = zstd::encode_all(bytes.as_slice(), 1).unwrap();
        for (name, content) in [
            ("a.csv", &bytes),
            ("a.csv.gz", &gzip),
            ("a.csv.zst", &packed),
            ("misnamed.csv", &gzip),
            ("misnamed2.csv", &packed),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            assert!(read(&path).unwrap() == bytes, "{name}");
        }
        // Two members after each other are one file.
        let path = dir.path().join("two.csv.gz");
        std::fs::write(&path, [gzip.as_slice(), gzip.as_slice()].concat()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2 * bytes.len());
    }

    #[test]
    fn what_is_cut_off_or_not_packed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let packed = zstd::encode_all(noise().as_slice(), 1).unwrap();
        let path = dir.path().join("a.csv.zst");
        std::fs::write(&path, &packed[..packed.len() - 5]).unwrap();
        assert!(read(&path).is_err());
        for name in ["b.csv.gz", "b.csv.zst"] {
            let path = dir.path().join(name);
            std::fs::write(&path, "timestamp,market_id\n").unwrap();
            assert!(read(&path).is_err(), "{name}");
        }
    }
}

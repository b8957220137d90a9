//! A large plain CSV file in parts that are read at the same time.
//!
//! A part begins after the end of a line, which may lie within quotes: whether it does is known once the
//! part before it has been read. If that one ends within quotes, the file is read again in one go, so that
//! the result is always that of one reader that goes through the file.

use std::fs::File;
use std::io::{Error, Read, Result, Seek, SeekFrom, Take, copy, sink};
use std::ops::Range;
use std::path::Path;

use blake3::hazmat::ChainingValue;
use memchr::memchr;
use rayon::prelude::*;

use crate::market_data::DataError;

use super::capped::{MAX_FILE, MAX_RECORD};
use super::content_hash::Digests;
use super::growing::{Growing, discard};
use super::hashed::{self, Window};
use super::input;
use super::records::Records;
use super::rows::{Cancelled, Columns, Content, file_error, names, read_rows};

/// Bytes of a part, about. Always the same, so that nothing depends on the number of threads; a power of two, so
/// that the file's hash can be put together of theirs.
const PART: u64 = 16 << 20;
const _: () = assert!(hashed::is_window(PART));
/// Bytes that are looked through at once.
const BLOCK: usize = 256 * 1024;

/// The lines of a file that begin in one of its windows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// Bytes of the file that it has the hash of.
    window: Range<u64>,
    /// From the first line that begins there on, to the end of the last.
    start: u64,
    end: u64,
}

/// What is known of a part once it was read.
struct Told {
    /// It ended within quotes.
    is_open: bool,
    /// How many lines it has.
    lines: u64,
    /// Its window's branch of the file's hash, where that is wanted.
    branch: Option<ChainingValue>,
}

/// Reads a file in parts; `None` where it has to be read in one go: it is small, packed, has quotes around
/// an end of a line where a part ends, or several tokens for one market. What it holds is noted in `digests`.
///
/// Errors: it cannot be read, or is another by the time that it has been; or `cancelled` said so.
pub(super) fn read(
    path: &Path,
    digests: Option<&Digests>,
    cancelled: Cancelled<'_>,
) -> std::result::Result<Option<Content>, DataError> {
    read_in(path, PART, digests, cancelled)
}

fn read_in(
    path: &Path,
    size: u64,
    digests: Option<&Digests>,
    cancelled: Cancelled<'_>,
) -> std::result::Result<Option<Content>, DataError> {
    let failed = |error: Error| file_error(path, error);
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length < size.saturating_mul(2)
        || length > MAX_FILE
        || !input::is_plain(path).map_err(failed)?
    {
        return Ok(None);
    }
    let mut header = Records::new(File::open(path).map_err(failed)?);
    if !header.advance().map_err(failed)? {
        return Ok(None);
    }
    let Some(columns) = Columns::of(&names(&header), path)? else {
        return Ok(Some(Content::Other));
    };
    let terminator = header.terminator().unwrap_or(b'\n');
    let Some(parts) = split(path, length, size, terminator).map_err(failed)? else {
        return Ok(None);
    };
    let read_part = |part: &Part| -> std::result::Result<(Growing, Told), DataError> {
        let mut input = open(path, part, digests.is_some()).map_err(failed)?;
        let mut records = if part.window.start == 0 {
            let mut records = Records::new(&mut input);
            records.advance().map_err(failed)?;
            records
        } else {
            Records::of_part(&mut input, terminator)
        };
        let growing = read_rows(&mut records, &columns, path, cancelled)?;
        let (is_open, lines) = (records.is_open(), records.lines());
        let window = input.get_ref();
        if !window.is_whole() {
            return Err(file_error(path, "it became shorter while it was read"));
        }
        let told = Told {
            is_open,
            lines,
            branch: window.branch(),
        };
        Ok((growing, told))
    };
    let read: Vec<_> = parts.par_iter().map(read_part).collect();
    if cancelled() {
        discard(read);
        return Err(DataError::Cancelled);
    }
    let mut whole = Growing::default();
    let mut branches = Vec::new();
    let last = read.len().saturating_sub(1);
    let mut lines = 0;
    let mut read = read.into_iter().enumerate();
    while let Some((number, part)) = read.next() {
        // What a part that begins within quotes failed with is not the file's failure.
        let (growing, told) = part?;
        if told.is_open && number != last {
            return Ok(None);
        }
        whole = match whole.join(growing, lines, cancelled) {
            Ok(whole) => whole,
            Err(error) => {
                discard(read);
                return Err(error);
            }
        };
        lines += told.lines;
        branches.extend(told.branch);
    }
    if whole.has_rivals() {
        return Ok(None);
    }
    if let Some(digests) = digests
        && let Some(hash) = hashed::whole(&branches, length, size)
    {
        digests.note(path, hash);
    }
    whole
        .checked(path)
        .map(|whole| Some(Content::Prices(whole)))
}

/// A reader of a part's lines that has read what of its window comes before them.
fn open(path: &Path, part: &Part, hashed: bool) -> Result<Take<Window<File>>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(part.window.start))?;
    let before = part.start - part.window.start;
    let mut input = Window::new(file, &part.window, hashed).take(before);
    copy(&mut input, &mut sink())?;
    input.set_limit(part.end - part.start);
    Ok(input)
}

/// Parts of windows of `size` bytes; `None` when a line is longer than any record.
fn split(path: &Path, length: u64, size: u64, terminator: u8) -> Result<Option<Vec<Part>>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for number in 0..length.div_ceil(size) {
        let window = number * size..length.min((number + 1) * size);
        // Where the line ends that the window's last byte belongs to.
        let Some(end) = end_of_line(path, window.end - 1, terminator)? else {
            return Ok(None);
        };
        let end = end.min(length);
        parts.push(Part { window, start, end });
        start = end;
    }
    Ok(Some(parts))
}

/// Where the line ends that `at` lies in; `None` when it is too long.
fn end_of_line(path: &Path, at: u64, terminator: u8) -> Result<Option<u64>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    let mut block = vec![0; BLOCK];
    let mut passed = 0_usize;
    while passed <= MAX_RECORD {
        let read = file.read(&mut block)?;
        let bytes = block.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Some(at + passed as u64));
        }
        if let Some(found) = memchr(terminator, bytes) {
            return Ok(Some(at + (passed + found + 1) as u64));
        }
        passed += read;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::growing::GrowingMarket;
    use super::*;

    fn text(rows: usize, question: &str, end: &str) -> String {
        let columns =
            "timestamp,market_id,question,yes_price,volume,token_id,no_token_id,best_bid,best_ask";
        let mut text = format!("{columns}{end}");
        for row in 0..rows {
            let (second, market) = (1_767_225_600 + row / 3 * 60, row % 3);
            let price = match row % 41 {
                40 => "none".to_owned(),
                _ => format!("0.{:03}", 100 + row * 7 % 800),
            };
            // The second token is told late, by one market not at all; some bids are above their asks.
            let second_token = if row > 700 && market > 0 { "n" } else { "" };
            let quote = if row % 7 == 0 { "0.3,0.2" } else { "0.2,0.9" };
            text += &format!(
                "{second},m{market},{question},{price},{row},t{market},{second_token},{quote}{end}"
            );
        }
        text
    }

    fn one_go(path: &Path) -> Content {
        super::super::rows::read(File::open(path).unwrap(), path, &|| false).unwrap()
    }

    fn gathered(mut content: Content) -> Content {
        if let Content::Prices(growing) = &mut content {
            growing.markets.iter_mut().for_each(GrowingMarket::gather);
        }
        content
    }

    fn in_parts(text: &str) -> (Option<Content>, Content) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv");
        std::fs::write(&path, text).unwrap();
        let digests = Digests::default();
        let parts = read_in(&path, 2_048, Some(&digests), &|| false).unwrap();
        if parts.is_some() {
            let hash = digests.get(&path).expect("hashed on the way");
            assert_eq!(hash, blake3::hash(text.as_bytes()));
        }
        (parts.map(gathered), one_go(&path))
    }

    #[test]
    fn parts_give_what_one_reader_gives() {
        for end in ["\n", "\r\n", "\r"] {
            let mut text = text(997, "\"Will it, they ask, rain?\"", end);
            // Something that is odd in the last part only.
            let odd = text.rfind(",0.").unwrap();
            text.replace_range(odd..odd + 3, ",7.");
            let (parts, whole) = in_parts(&text);
            let parts = parts.expect("read in parts");
            // Everything, the lines of skipped rows included, but for hints on what follows what.
            let told = |content: &Content| match content {
                Content::Prices(growing) => growing.told(),
                Content::Other => "other".to_owned(),
            };
            for line in ["p.csv:42:", "p.csv:998:"] {
                assert!(told(&whole).contains(line), "{}", told(&whole));
            }
            assert_eq!(told(&parts), told(&whole), "{end:?}");
        }
    }

    #[test]
    fn a_part_that_ends_within_quotes_sends_it_back_to_one_reader() {
        // Nearly all of the file is one question of many lines.
        let long = format!("\"{}\"", "line\n".repeat(3_000));
        let (parts, _) = in_parts(&text(3, &long, "\n"));
        assert!(parts.is_none());
    }

    #[test]
    fn several_tokens_of_a_market_send_it_back_to_one_reader() {
        let text = text(997, "Q?", "\n");
        let (once, again) = (text.find(",t1,").unwrap(), text.rfind(",t1,").unwrap());
        for at in [once, again] {
            let mut text = text.clone();
            text.replace_range(at..at + 4, ",other,");
            assert!(in_parts(&text).0.is_none());
        }
    }

    #[test]
    fn what_is_small_or_packed_is_read_in_one_go() {
        assert!(in_parts(&text(10, "Q?", "\n")).0.is_none());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv.zst");
        let packed = zstd::encode_all(text(5_000, "Q?", "\n").as_bytes(), 1).unwrap();
        assert!(packed.len() > 4_000);
        std::fs::write(&path, packed).unwrap();
        assert!(read_in(&path, 2_048, None, &|| false).unwrap().is_none());
    }

    #[test]
    fn parts_begin_with_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv");
        std::fs::write(&path, "0123456\n".repeat(100)).unwrap();
        let parts = split(&path, 800, 300, b'\n').unwrap().unwrap();
        // The byte before 300 lies in the 38th line, which ends at 304; that before 600 ends the 75th.
        let part = |window, start, end| Part { window, start, end };
        let expected = [
            part(0..300, 0, 304),
            part(300..600, 304, 600),
            part(600..800, 600, 800),
        ];
        assert_eq!(parts, expected);
        // A line may be as long as a window.
        std::fs::write(&path, format!("{}\n1\n", "x".repeat(700))).unwrap();
        let parts = split(&path, 703, 300, b'\n').unwrap().unwrap();
        let expected = [
            part(0..300, 0, 701),
            part(300..600, 701, 701),
            part(600..703, 701, 703),
        ];
        assert_eq!(parts, expected);
        std::fs::write(&path, "x".repeat(MAX_RECORD * 3)).unwrap();
        let length = MAX_RECORD as u64 * 3;
        assert_eq!(split(&path, length, 1_000, b'\n').unwrap(), None);
    }

    /// Windows without the begin of a line among them.
    #[test]
    fn lines_may_be_longer_than_parts() {
        let mut text = text(400, "\"Will it, they ask, rain?\"", "\n");
        let at = text.find("m2,").unwrap() + 4;
        text.insert_str(at, &"long ".repeat(2_000));
        let (parts, whole) = in_parts(&text);
        let rows = |content: &Content| match content {
            Content::Prices(growing) => growing.rows(),
            Content::Other => 0,
        };
        assert_eq!(rows(&parts.expect("read in parts")), rows(&whole));
    }

    #[test]
    fn a_file_that_becomes_shorter_meanwhile_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv");
        let whole = text(500, "Q?", "\n");
        std::fs::write(&path, &whole).unwrap();
        // Cut while the first rows are read.
        let cut = || {
            std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            false
        };
        let error = read_in(&path, 2_048, None, &cut).unwrap_err();
        assert!(error.to_string().contains("became shorter"), "{error}");
    }

    #[test]
    fn a_reader_that_is_not_wanted_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.csv");
        std::fs::write(&path, text(500, "Q?", "\n")).unwrap();
        let stopped = read_in(&path, 2_048, None, &|| true).unwrap_err();
        assert_eq!(stopped.code(), "cancelled");
    }
}

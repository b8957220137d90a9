//! Files into a [`Decoder`].

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::domain::Timestamp;
use crate::market_data::DataError;
use crate::market_data::recorded::capture::{Body, Capture};
use crate::market_data::recorded::input;
use crate::market_data::recorded::rows::{Cancelled, file_error, file_name};

use super::decode::Decoder;
use super::message::{self, BAD_TIME, Fault, is_plausible};

/// Longest line of a raw recording, bytes: a list of a few hundred whole books.
pub const MAX_LINE: usize = 16 << 20;
/// Most events of a recording: 4.8 GB.
pub const MOST_EVENTS: usize = 200_000_000;
/// Lines between two questions whether to go on.
const LINES_PER_QUESTION: u64 = 512;
const TOO_LONG: &str = "a line longer than the cap of 16 MiB";
const NOT_UTF8: &str = "a line that is not UTF-8";
const DAMAGED: &str = "a part of the capture that cannot be read";

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookFile {
    /// File name, without folders.
    pub name: String,
    /// Lines in it.
    pub lines: u64,
}

/// Reads a raw file as connection `number`. Nothing after `until` is taken.
///
/// Errors: it cannot be read, or `cancelled` said so.
pub fn raw_file(
    path: &Path,
    number: u32,
    until: Option<Timestamp>,
    decoder: &mut Decoder,
    cancelled: Cancelled<'_>,
) -> Result<BookFile, DataError> {
    let failed = |error: std::io::Error| file_error(path, error);
    let input = input::open(path).map_err(failed)?;
    raw(input, &file_name(path), number, until, decoder, cancelled)?.map_err(failed)
}

/// The same from an open `input`; `name` is for messages. The inner error is the input's.
pub fn raw(
    input: impl Read,
    name: &str,
    number: u32,
    until: Option<Timestamp>,
    decoder: &mut Decoder,
    cancelled: Cancelled<'_>,
) -> Result<std::io::Result<BookFile>, DataError> {
    let mut reader = BufReader::with_capacity(1 << 17, input);
    let mut line = Vec::new();
    let mut count = 0_u64;
    let mut now = i64::MIN;
    loop {
        if count.is_multiple_of(LINES_PER_QUESTION) && cancelled() {
            return Err(DataError::Cancelled);
        }
        let whole = match next_line(&mut reader, &mut line) {
            Ok(Some(whole)) => whole,
            Ok(None) => break,
            Err(error) => return Ok(Err(error)),
        };
        count += 1;
        if decoder.events.len() > MOST_EVENTS {
            return Err(file_error(
                Path::new(name),
                format!("the recording has more than {MOST_EVENTS} changes; split it"),
            ));
        }
        let place = || format!("{name}:{count}");
        let shown = |text: &[u8]| {
            let head = String::from_utf8_lossy(text.get(..80).unwrap_or(text));
            format!("{}: {}", place(), crate::domain::text::clean(&head, 80))
        };
        let lost = |cause| Fault {
            cause,
            tokens: None,
        };
        if !whole {
            decoder.fault(now, number, &lost(TOO_LONG), || shown(&line));
            continue;
        }
        let Ok(text) = std::str::from_utf8(&line) else {
            decoder.fault(now, number, &lost(NOT_UTF8), || shown(&line));
            continue;
        };
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        for read in message::line(text) {
            match read {
                Ok(message) => {
                    // Messages of one moment may overtake each other; time does not go back.
                    now = now.max(message.at.millis());
                    if until.is_some_and(|until| now > until.millis()) {
                        return Ok(Ok(file(name, count)));
                    }
                    decoder.message(now, number, &message, || shown(&line));
                }
                Err(fault) => decoder.fault(now, number, &fault, || shown(&line)),
            }
        }
    }
    Ok(Ok(file(name, count)))
}

fn file(name: &str, lines: u64) -> BookFile {
    BookFile {
        name: name.to_owned(),
        lines,
    }
}

/// The next line without its end; false when it is longer than the cap, and then its beginning only.
/// `None` at the end.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Option<bool>> {
    line.clear();
    let mut whole = true;
    let mut any = false;
    loop {
        let buffer = match reader.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = memchr::memchr(b'\n', buffer);
        let part = buffer
            .get(..end.unwrap_or(buffer.len()))
            .unwrap_or_default();
        let room = MAX_LINE.saturating_sub(line.len());
        whole &= part.len() <= room;
        line.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

/// What a capture holds besides messages.
#[derive(Debug, Default)]
pub struct Captured {
    /// Entries of its markets, with when they were written.
    pub entries: Vec<(Timestamp, Value)>,
    /// Its files.
    pub files: Vec<BookFile>,
    /// Stretches in which messages of some tokens are missing.
    pub gaps: u64,
    /// The file that ends torn, if one does.
    pub torn: Option<String>,
}

/// Reads a capture. Nothing after `until` is taken but gaps that reach back before it: they say how far
/// what was recorded by then can be believed.
///
/// Errors: it is none, cannot be read, or `cancelled` said so.
pub fn capture(
    dir: &Path,
    until: Option<Timestamp>,
    decoder: &mut Decoder,
    cancelled: Cancelled<'_>,
) -> Result<Captured, DataError> {
    let failed = |error: &dyn std::fmt::Display| file_error(dir, error);
    let capture = Capture::open(dir).map_err(|error| failed(&error))?;
    let mut found = Captured::default();
    let mut lines = capture.lines();
    let mut count = 0_u64;
    let mut now = i64::MIN;
    loop {
        if count.is_multiple_of(LINES_PER_QUESTION) && cancelled() {
            return Err(DataError::Cancelled);
        }
        let Some(line) = lines.next() else { break };
        count += 1;
        if decoder.events.len() > MOST_EVENTS {
            return Err(failed(&format!(
                "the capture has more than {MOST_EVENTS} changes; split it"
            )));
        }
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                // Whose messages were in it cannot be known.
                let all = decoder
                    .tokens
                    .iter()
                    .map(|token| token.id.clone())
                    .collect();
                let fault = Fault {
                    cause: DAMAGED,
                    tokens: Some(all),
                };
                decoder.fault(now, 0, &fault, || error.to_string());
                continue;
            }
        };
        let later = until.is_some_and(|until| line.at > until);
        if let Body::File { number, .. } = line.body {
            found.files.push(file(&format!("file {number}"), 0));
        }
        if let Some(file) = found.files.last_mut() {
            file.lines += 1;
        }
        if !is_plausible(line.at) {
            decoder
                .skips
                .count(BAD_TIME, || format!("line {count}: {}", line.at));
            continue;
        }
        if !later {
            now = now.max(line.at.millis());
        }
        match line.body {
            Body::Gap { since, tokens, .. } => {
                if until.is_none_or(|until| since <= until) {
                    found.gaps += 1;
                    let at = if later { i64::MAX } else { now };
                    decoder.gap(since.millis().min(at), at, &tokens);
                }
            }
            _ if later => {}
            Body::Market(entry) => {
                let at = Timestamp::from_millis(now);
                found.entries.push((at, entry));
            }
            Body::Connected { connection, tokens } => decoder.connected(now, connection, &tokens),
            Body::Frame { connection, text } => {
                let body = Body::Frame { connection, text };
                for read in body.messages() {
                    let place = || format!("line {count}");
                    match message::captured(read) {
                        Ok(message) => decoder.message(now, connection, &message, place),
                        Err(fault) => decoder.fault(now, connection, &fault, place),
                    }
                }
            }
            Body::File { .. } | Body::End { .. } => {}
        }
    }
    found.torn = lines
        .torn()
        .map(|(name, byte)| format!("{name} after byte {byte}"));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_not_kept_and_the_next_one_is_read() {
        let long = vec![b'x'; MAX_LINE + 5];
        let bytes = [b"one\n", long.as_slice(), b"\n\nlast"].concat();
        let mut reader = BufReader::with_capacity(7_000, bytes.as_slice());
        let mut line = Vec::new();
        let mut seen = Vec::new();
        while let Some(whole) = next_line(&mut reader, &mut line).unwrap() {
            seen.push((whole, line.len()));
        }
        assert_eq!(seen, [(true, 3), (false, MAX_LINE), (true, 0), (true, 4)]);
    }
}

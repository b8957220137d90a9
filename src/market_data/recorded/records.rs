//! Records of CSV text, split where they lie: nothing is allocated or copied per record.
//!
//! RFC 4180 as the `csv` crate reads it: a field that begins with a quote ends at the quote that is
//! not doubled, and may hold commas and line ends; any other quote is an ordinary character; empty
//! lines are no records. Lines end with LF or CRLF, or all of them with CR alone.

use std::io::{Error, Read};

use memchr::{memchr, memchr_iter, memchr2};

use super::capped::{MAX_RECORD, endless};
use super::input::fill;
use super::repeated::{Pattern, Repeated};
use super::rows::Columns;

/// Bytes read at once, at first.
const BUFFER: usize = 256 * 1024;
const QUOTE: u8 = b'"';
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Where the content of a field is: in the record itself, or in the scratch buffer when it had
/// doubled quotes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    scratch: bool,
}

/// The fields of one record.
#[derive(Debug, Default)]
struct Fields {
    spans: Vec<Span>,
    scratch: Vec<u8>,
    /// A quote was never closed.
    open: bool,
}

/// How much of the bytes a record took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Taken {
    bytes: usize,
    lines: u64,
}

/// Reads records one after the other. The fields of a record are there until the next one is read.
pub(super) struct Records<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where the present record begins.
    record: usize,
    /// Its first line, counted from 1.
    line: u64,
    /// Where the next one begins.
    next: usize,
    next_line: u64,
    /// How far the buffer is filled.
    end: usize,
    ended: bool,
    /// What ends a record; `None` until the first line shows it.
    terminator: Option<u8>,
    fields: Fields,
}

impl<R: Read> Records<R> {
    pub(super) fn new(input: R) -> Self {
        Records {
            input,
            buffer: vec![0; BUFFER],
            record: 0,
            line: 0,
            next: 0,
            next_line: 1,
            end: 0,
            ended: false,
            terminator: None,
            fields: Fields::default(),
        }
    }

    /// The records of a part of a file that begins with a record. Lines are counted from there.
    pub(super) fn of_part(input: R, terminator: u8) -> Self {
        Records {
            terminator: Some(terminator),
            ..Records::new(input)
        }
    }

    /// Lines that were gone through.
    pub(super) fn lines(&self) -> u64 {
        self.next_line - 1
    }

    /// What ends a line, once a record was read.
    pub(super) fn terminator(&self) -> Option<u8> {
        self.terminator
    }

    /// Whether the input ended within quotes.
    pub(super) fn is_open(&self) -> bool {
        self.fields.open
    }

    /// Reads the next record; false at the end.
    ///
    /// Errors: the input fails, or a record is longer than [`MAX_RECORD`].
    pub(super) fn advance(&mut self) -> Result<bool, Error> {
        if self.terminator.is_none() {
            self.begin()?;
        }
        loop {
            let bytes = self.buffer.get(self.next..self.end).unwrap_or_default();
            if bytes.is_empty() && self.ended {
                return Ok(false);
            }
            let terminator = self.terminator.unwrap_or(b'\n');
            match split(bytes, terminator, self.ended, &mut self.fields) {
                Some(taken) => {
                    self.record = self.next;
                    self.line = self.next_line;
                    self.next += taken.bytes;
                    self.next_line += taken.lines;
                    if taken.bytes > MAX_RECORD {
                        return Err(endless(MAX_RECORD));
                    }
                    if self.is_empty_line() {
                        continue;
                    }
                    return Ok(true);
                }
                None if bytes.len() > MAX_RECORD => return Err(endless(MAX_RECORD)),
                None => self.refill()?,
            }
        }
    }

    /// The next record, if it is a repetition of `pattern` and all of it has been read; it stays the next one until
    /// it is [passed](Self::pass).
    #[inline]
    pub(super) fn repeated(&self, pattern: &Pattern) -> Option<Repeated<'_>> {
        pattern.find(self.buffer.get(self.next..self.end)?, self.terminator?)
    }

    /// Goes past a record that was [repeated](Self::repeated), of so many bytes and lines. No field of it is there.
    #[inline]
    pub(super) fn pass(&mut self, bytes: usize, lines: u64) {
        self.next += bytes;
        self.next_line += lines;
        self.fields.spans.clear();
    }

    /// What later records may repeat of the present one.
    pub(super) fn pattern(&self, columns: &Columns) -> Option<Pattern> {
        let record = self.buffer.get(self.record..self.next)?;
        let mut spans = self.fields.spans.iter();
        // Doubled quotes were taken out of the text: where it lies is not known any more.
        if spans.clone().any(|span| span.scratch) || self.fields.open {
            return None;
        }
        spans.next_back()?;
        let quotes = |start: usize| usize::from(record.get(start) == Some(&QUOTE));
        let mut start = 0;
        let fields = spans.map(|span| {
            let begin = start;
            start = span.end + quotes(begin) + 1;
            begin..start
        });
        let mut fields: Vec<_> = fields.collect();
        fields.push(start..record.len());
        let lines = self.next_line - self.line;
        Pattern::of(record, fields.into_iter(), lines, self.terminator?, columns)
    }

    /// Whether the present record is a line without anything in it, not even quotes.
    fn is_empty_line(&self) -> bool {
        let first = self
            .buffer
            .get(self.record..self.next)
            .and_then(<[u8]>::first);
        let empty = |span: &Span| span.start == span.end;
        self.fields.spans.len() == 1
            && self.fields.spans.first().is_some_and(empty)
            && first != Some(&QUOTE)
    }

    /// Line of the present record in the file, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// How many fields the present record has.
    pub(super) fn len(&self) -> usize {
        self.fields.spans.len()
    }

    /// Content of a field without the quotes and the blanks around it; `None` when there are not so
    /// many.
    #[inline]
    pub(super) fn field(&self, index: usize) -> Option<&[u8]> {
        let span = self.fields.spans.get(index)?;
        let bytes = if span.scratch {
            self.fields.scratch.get(span.start..span.end)
        } else {
            self.buffer
                .get(self.record + span.start..self.record + span.end)
        };
        bytes.map(<[u8]>::trim_ascii)
    }

    /// Skips a byte order mark, and finds out what ends a line.
    fn begin(&mut self) -> Result<(), Error> {
        self.refill()?;
        let bytes = self.buffer.get(..self.end).unwrap_or_default();
        if bytes.starts_with(BOM) {
            self.next = BOM.len();
        }
        let terminator = match memchr2(b'\r', b'\n', bytes) {
            Some(at) if bytes.get(at) == Some(&b'\r') && bytes.get(at + 1) != Some(&b'\n') => b'\r',
            _ => b'\n',
        };
        self.terminator = Some(terminator);
        Ok(())
    }

    /// Moves what is left to the front and reads more after it.
    fn refill(&mut self) -> Result<(), Error> {
        self.buffer.copy_within(self.next..self.end, 0);
        self.end -= self.next;
        self.next = 0;
        if self.end * 2 > self.buffer.len() {
            let larger = self.buffer.len() * 2;
            self.buffer.resize(larger, 0);
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        let (size, read) = (free.len(), fill(&mut self.input, free)?);
        self.end += read;
        self.ended = read < size;
        Ok(())
    }
}

/// Splits the record at the start of `bytes`; `None` when its end is not among them. `last` says
/// that nothing comes after them.
fn split(bytes: &[u8], terminator: u8, last: bool, fields: &mut Fields) -> Option<Taken> {
    fields.spans.clear();
    fields.scratch.clear();
    let end = match memchr(terminator, bytes) {
        Some(end) => end,
        None if last => bytes.len(),
        None => return None,
    };
    let line = bytes.get(..end)?;
    if memchr(QUOTE, line).is_some() {
        return split_quoted(bytes, terminator, last, fields);
    }
    let line = without_cr(line, terminator);
    let mut start = 0;
    for comma in memchr_iter(b',', line) {
        fields.push(start, comma);
        start = comma + 1;
    }
    fields.push(start, line.len());
    Some(Taken {
        bytes: bytes.len().min(end + 1),
        lines: 1,
    })
}

fn without_cr(line: &[u8], terminator: u8) -> &[u8] {
    match line {
        [line @ .., b'\r'] if terminator == b'\n' => line,
        _ => line,
    }
}

impl Fields {
    fn push(&mut self, start: usize, end: usize) {
        self.spans.push(Span {
            start,
            end,
            scratch: false,
        });
    }

    /// Content of a quoted field with its doubled quotes made single, and `rest` after it.
    fn push_unescaped(&mut self, quoted: &[u8], rest: &[u8]) {
        let start = self.scratch.len();
        let mut left = quoted;
        while let Some(at) = memchr(QUOTE, left) {
            let (head, tail) = left.split_at(at + 1);
            self.scratch.extend_from_slice(head);
            left = tail.get(1..).unwrap_or_default();
        }
        self.scratch.extend_from_slice(left);
        self.scratch.extend_from_slice(rest);
        self.spans.push(Span {
            start,
            end: self.scratch.len(),
            scratch: true,
        });
    }
}

/// The same for a record with quotes in it.
fn split_quoted(bytes: &[u8], terminator: u8, last: bool, fields: &mut Fields) -> Option<Taken> {
    let from = |at: usize| bytes.get(at..).unwrap_or_default();
    let mut at = 0;
    loop {
        // Where the field ends when nothing is quoted from `since` on.
        let plain_end = |since: usize| match memchr2(b',', terminator, from(since)) {
            Some(found) => Some(since + found),
            None if last => Some(bytes.len()),
            None => None,
        };
        let end = if bytes.get(at) == Some(&QUOTE) {
            let (close, doubled) = closing_quote(bytes, at + 1, last)?;
            fields.open |= close == bytes.len();
            let after = bytes.len().min(close + 1);
            let end = plain_end(after)?;
            let content = bytes.get(at + 1..close)?;
            let mut rest = bytes.get(after..end)?;
            if bytes.get(end) != Some(&b',') {
                rest = without_cr(rest, terminator);
            }
            if doubled || !rest.is_empty() {
                fields.push_unescaped(content, rest);
            } else {
                fields.push(at + 1, close);
            }
            end
        } else {
            let end = plain_end(at)?;
            let mut content = bytes.get(at..end)?;
            if bytes.get(end) != Some(&b',') {
                content = without_cr(content, terminator);
            }
            fields.push(at, at + content.len());
            end
        };
        if bytes.get(end) == Some(&b',') {
            at = end + 1;
            continue;
        }
        let taken = bytes.len().min(end + 1);
        let lines = memchr_iter(terminator, bytes.get(..taken)?).count().max(1);
        return Some(Taken {
            bytes: taken,
            lines: u64::try_from(lines).unwrap_or(u64::MAX),
        });
    }
}

/// Where the quote is that ends a field whose content begins at `from`, and whether there are doubled
/// ones before it; `None` when more bytes are needed. A field that is never closed ends with the file.
fn closing_quote(bytes: &[u8], from: usize, last: bool) -> Option<(usize, bool)> {
    let mut at = from;
    let mut doubled = false;
    loop {
        let Some(found) = memchr(QUOTE, bytes.get(at..).unwrap_or_default()) else {
            return last.then_some((bytes.len(), doubled));
        };
        let quote = at + found;
        match bytes.get(quote + 1) {
            Some(&QUOTE) => {
                doubled = true;
                at = quote + 2;
            }
            None if !last => return None,
            _ => return Some((quote, doubled)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Lines = Vec<(u64, Vec<Vec<u8>>)>;

    fn ours(input: impl Read) -> Lines {
        let mut records = Records::new(input);
        let mut all = Vec::new();
        while records.advance().unwrap() {
            let fields = (0..records.len())
                .map(|index| records.field(index).unwrap().to_vec())
                .collect();
            all.push((records.line(), fields));
        }
        all
    }

    fn theirs(text: &[u8]) -> Lines {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text)
            .byte_records()
            .map(|record| {
                let record = record.unwrap();
                let line = record.position().unwrap().line();
                let fields = record.iter().map(|f| f.trim_ascii().to_vec()).collect();
                (line, fields)
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn records_are_those_of_the_csv_crate(text in "([a1,\" ]|\"\"|,\"|\",|\n|\r\n|\"\n){0,40}") {
            let fields = |lines: Lines| lines.into_iter().map(|(_, f)| f).collect::<Vec<_>>();
            prop_assert_eq!(fields(ours(text.as_bytes())), fields(theirs(text.as_bytes())));
        }
    }

    #[test]
    fn lines_are_counted_where_records_begin() {
        let text = "a,b\n\n1,\"x\ny\nz\"\r\n2,\"say \"\"hi\"\"\"\n3,\"open";
        let said: Vec<(u64, String)> = ours(text.as_bytes())
            .into_iter()
            .map(|(line, fields)| {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|field| String::from_utf8_lossy(field).into_owned())
                    .collect();
                (line, fields.join("|"))
            })
            .collect();
        let expected = [
            (1, "a|b"),
            (3, "1|x\ny\nz"),
            (6, "2|say \"hi\""),
            (7, "3|open"),
        ];
        assert_eq!(said, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn byte_order_marks_and_old_line_ends_are_known() {
        for text in [
            "\u{FEFF}\"a\",b\r1,2\r",
            "a,b\n1,2",
            "\u{FEFF}a,b\r\n1,2\r\n\r\n",
        ] {
            let fields: Vec<_> = ours(text.as_bytes()).into_iter().map(|(_, f)| f).collect();
            assert_eq!(
                fields,
                [
                    [b"a".to_vec(), b"b".to_vec()],
                    [b"1".to_vec(), b"2".to_vec()]
                ],
                "{text:?}"
            );
        }
        assert!(ours("".as_bytes()).is_empty());
        assert!(ours("\u{FEFF}".as_bytes()).is_empty());
    }

    #[test]
    fn records_may_lie_across_any_border_of_the_buffer() {
        // Records of 7 to 1,000 bytes, quoted and not, over four buffers; read in odd pieces.
        struct Pieces<'a>(&'a [u8], usize);
        impl Read for Pieces<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.1 = self.1 * 7 % 8_191 + 1;
                let size = self.1.min(buffer.len());
                self.0.read(buffer.get_mut(..size).unwrap())
            }
        }
        let mut text = String::new();
        let mut number = 0;
        while text.len() < 4 * BUFFER {
            let filler = "x".repeat(number * 37 % 990);
            text += &match number % 3 {
                0 => format!("{number},{filler}\n"),
                1 => format!("{number},\"{filler}\"\"\n,\"\r\n"),
                _ => format!("\"{number}\",{filler}\r\n"),
            };
            number += 1;
        }
        let split = ours(Pieces(text.as_bytes(), 1));
        assert_eq!(split.len(), number);
        let fields = |lines: Lines| lines.into_iter().map(|(_, f)| f).collect::<Vec<_>>();
        assert!(fields(split) == fields(theirs(text.as_bytes())));
    }

    #[test]
    fn a_record_that_does_not_end_is_refused() {
        let mut records = Records::new(std::io::repeat(b'x'));
        let error = records.advance().unwrap_err().to_string();
        assert!(error.contains("longer than the cap of 1 MiB"), "{error}");
        let quoted = b"a,\"".chain(std::io::repeat(b'\n'));
        let error = Records::new(quoted).advance().unwrap_err().to_string();
        assert!(error.contains("a quote may not be closed"), "{error}");
    }
}

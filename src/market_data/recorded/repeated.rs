//! Rows that say of a market what its row before said: only times and numbers have to be read.
//!
//! Whoever records prices repeats the ids and the question of a market in every row. A [`Pattern`] is such a
//! row as it lay in the file. Where the next row of the market has the same text in the same places, its
//! fields need not be looked for, nor its ids be compared. What a field holds follows from the bytes between its
//! start and the comma or the line end after it, so that equal bytes are equal fields, with their quotes and
//! the line ends in them.

use std::ops::Range;

use memchr::memchr2;

use super::capped::MAX_RECORD;
use super::rows::{Columns, Numbers};

/// A longer row is not remembered, bytes.
const MAX_PATTERN: usize = 4_096;
/// Fields up to so many bytes are gone through one by one: to call for help takes longer.
const SHORT: usize = 24;
const QUOTE: u8 = b'"';

/// A row of a market: text that is expected again, and fields that differ.
#[derive(Debug)]
pub(super) struct Pattern {
    text: Vec<u8>,
    /// The last one ends with the line.
    pieces: Vec<Piece>,
    lines: u64,
}

/// A piece of a row, with the separator after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// Text that is expected again, from here to there in that of the pattern.
    Same(usize, usize),
    /// A field without quotes.
    Free(Part),
}

/// What a field that may differ tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Time,
    Price,
    Volume,
    Bid,
    Ask,
    /// Nothing that is read.
    Other,
}

/// A row of which a pattern tells everything but these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeated<'a> {
    pub(super) numbers: Numbers<'a>,
    /// How many it takes.
    pub(super) bytes: usize,
    pub(super) lines: u64,
}

impl Columns {
    /// What the field of a column tells that may differ from row to row; `None` for what is said of a market.
    fn part(&self, column: usize) -> Option<Part> {
        let is = |of: Option<usize>| of == Some(column);
        if column == self.market_id
            || is(self.token_id)
            || is(self.no_token_id)
            || is(self.question)
        {
            return None;
        }
        Some(if column == self.timestamp {
            Part::Time
        } else if column == self.price {
            Part::Price
        } else if is(self.volume) {
            Part::Volume
        } else if is(self.best_bid) {
            Part::Bid
        } else if is(self.best_ask) {
            Part::Ask
        } else {
            Part::Other
        })
    }
}

impl Pattern {
    /// Of a record with its line end, of so many lines; `fields` are the bytes of its fields with their quotes and
    /// separators. `None` where there can be none: it is too long, has no line end, or a number in quotes.
    pub(super) fn of(
        record: &[u8],
        fields: impl Iterator<Item = Range<usize>>,
        lines: u64,
        terminator: u8,
        columns: &Columns,
    ) -> Option<Self> {
        if record.len() > MAX_PATTERN || record.last() != Some(&terminator) {
            return None;
        }
        let mut pieces: Vec<Piece> = Vec::new();
        for (column, field) in fields.enumerate() {
            let is_quoted = record.get(field.start) == Some(&QUOTE);
            match columns.part(column) {
                Some(Part::Other) | None if is_quoted => pieces.push(same(field)),
                None => pieces.push(same(field)),
                Some(_) if is_quoted => return None,
                Some(part) => pieces.push(Piece::Free(part)),
            }
        }
        // What lies side by side is compared in one go.
        pieces.dedup_by(|next, before| match (next, before) {
            (Piece::Same(start, end), Piece::Same(_, before)) if *before == *start => {
                *before = *end;
                true
            }
            _ => false,
        });
        Some(Pattern {
            text: record.to_vec(),
            pieces,
            lines,
        })
    }

    /// What differs in the record at the start of `bytes`; `None` if it is no such record, or its end is not among
    /// them.
    #[inline]
    pub(super) fn find<'a>(&self, bytes: &'a [u8], terminator: u8) -> Option<Repeated<'a>> {
        let mut numbers = Numbers::default();
        let mut at = 0;
        let last = self.pieces.len().checked_sub(1)?;
        for (number, piece) in self.pieces.iter().enumerate() {
            let left = bytes.get(at..)?;
            let part = match *piece {
                Piece::Same(start, end) => {
                    let same = self.text.get(start..end)?;
                    if !left.starts_with(same) {
                        return None;
                    }
                    at += same.len();
                    continue;
                }
                Piece::Free(part) => part,
            };
            let end = end_of(left, terminator)?;
            let separator = if number == last { terminator } else { b',' };
            if left.get(end) != Some(&separator) || left.first() == Some(&QUOTE) {
                return None;
            }
            at += end + 1;
            // Blanks around a field do not count, the CR of a line end neither.
            let told = left.get(..end)?.trim_ascii();
            match part {
                Part::Time => numbers.time = told,
                Part::Price => numbers.price = told,
                Part::Volume => numbers.volume = told,
                Part::Bid => numbers.bid = told,
                Part::Ask => numbers.ask = told,
                Part::Other => {}
            }
        }
        // A longer one is no record, whatever it repeats.
        (at <= MAX_RECORD).then_some(Repeated {
            numbers,
            bytes: at,
            lines: self.lines,
        })
    }
}

fn same(field: Range<usize>) -> Piece {
    Piece::Same(field.start, field.end)
}

/// Where a field without quotes ends.
#[inline]
fn end_of(bytes: &[u8], terminator: u8) -> Option<usize> {
    let is_end = |byte: &u8| *byte == b',' || *byte == terminator;
    let (short, rest) = bytes.split_at(bytes.len().min(SHORT));
    short
        .iter()
        .position(is_end)
        .or_else(|| memchr2(b',', terminator, rest).map(|end| SHORT + end))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::growing::{Growing, GrowingMarket};
    use super::super::records::Records;
    use super::super::rows;
    use super::*;

    const HEADER: &str =
        "timestamp,market_id,question,yes_price,volume,note,token_id,no_token_id,best_bid,best_ask";

    fn columns() -> Columns {
        let names: Vec<&[u8]> = HEADER.split(',').map(str::as_bytes).collect();
        Columns::of(&names, Path::new("p.csv")).unwrap().unwrap()
    }

    /// What the pattern of the first record tells of the rest of the text.
    fn told(first: &str, rest: &str) -> Option<String> {
        let text = format!("{first}{rest}");
        let mut records = Records::of_part(text.as_bytes(), b'\n');
        assert!(records.advance().unwrap());
        let pattern = records.pattern(&columns())?;
        let Repeated {
            numbers,
            bytes,
            lines,
        } = records.repeated(&pattern)?;
        let Numbers {
            time,
            price,
            volume,
            bid,
            ask,
        } = numbers;
        let fields = [time, price, volume, bid, ask].map(String::from_utf8_lossy);
        Some(format!("{} {bytes} {lines}", fields.join("|")))
    }

    #[test]
    fn a_repeated_row_is_read_by_what_differs() {
        let first = "100,m,\"Q, they\nask?\",0.5,0,x,1,2,0.4,0.6\r\n";
        let next = "10000,m,\"Q, they\nask?\", 0.51 ,7.5,,1,2,,0.9\r\n";
        let expected = format!("10000|0.51|7.5||0.9 {} 2", next.len());
        assert_eq!(told(first, next), Some(expected.clone()));
        assert_eq!(told(first, &format!("{next}{next}")), Some(expected));
        // Its end may still have to be read; it may also have none.
        assert_eq!(told(first, &next[..next.len() - 1]), None);
        for other in [
            next.replace("\"Q, they", "\"Q; they"),
            next.replace(",m,", ",n,"),
            next.replace("1,2", "1,3"),
            next.replace("7.5", "\"7.5\""),
            next.replace(",,0.9", ",,0.9,more"),
            next.replace(",,0.9", ",0.9"),
            next.replace("m,\"Q", "m,\n\"Q"),
            next.replace("\r\n", ""),
        ] {
            assert_eq!(told(first, &other), None, "{other}");
        }
        // A text that is not read may be quoted, and is then expected again.
        let noted = |note| format!("100,m,Q,0.5,0,{note},1,2,0.4,0.6\n");
        let (quoted, other) = (noted("\"a, b\""), noted("\"a, c\""));
        assert!(told(&quoted, &quoted).is_some());
        assert_eq!(told(&quoted, &other), None);
    }

    #[test]
    fn what_cannot_be_repeated_has_no_pattern() {
        let row = "100,m,Q,0.5,0,x,1,2,0.4,0.6\n";
        assert!(told(row, row).is_some());
        let long = row.replace('Q', &"Q".repeat(MAX_PATTERN));
        for odd in [
            row.replace("0.5", "\"0.5\""),
            row.replace('Q', "\"so \"\"called\"\"\""),
            long,
        ] {
            assert_eq!(told(&odd, &odd), None, "{odd}");
        }
    }

    /// Rows around the longest record that is taken, once the buffer has grown to hold several.
    #[test]
    fn a_record_beyond_the_cap_is_refused_whatever_it_repeats() {
        let row = |number: usize, note: usize| {
            let note = "n".repeat(note);
            format!(
                "{},m,Q,0.5,0,{note},1,2,0.4,0.6\n",
                1_767_225_600 + number * 60
            )
        };
        let rest = row(0, 0).len();
        for (over, is_taken) in [(0, true), (1, false)] {
            let mut text = format!("{HEADER}\n");
            for (number, note) in [900_000, 400_000, 900_000].into_iter().enumerate() {
                text += &row(number, note);
            }
            text += &(3..40_000).map(|number| row(number, 3)).collect::<String>();
            text += &row(40_000, MAX_RECORD - rest + over);
            text += &row(40_001, 3);
            let read = rows::read(text.as_bytes(), Path::new("p.csv"), &|| false);
            assert_eq!(read.is_ok(), is_taken, "{over}");
        }
    }

    #[test]
    fn short_and_long_fields_end_at_the_same_signs() {
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 3 * SHORT] {
            for end in [",", "\n"] {
                let text = format!("{}{end}rest,", "7".repeat(length));
                assert_eq!(end_of(text.as_bytes(), b'\n'), Some(length));
            }
            assert_eq!(end_of("7".repeat(length).as_bytes(), b'\n'), None);
        }
    }

    fn read(text: &str) -> Growing {
        let path = Path::new("p.csv");
        let mut records = Records::new(text.as_bytes());
        assert!(records.advance().unwrap());
        rows::read_rows(&mut records, &columns(), path, &|| false).unwrap()
    }

    /// A field that mostly is the first of these.
    fn mostly(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        prop_oneof![
            6 => Just(values[0]),
            1 => prop::sample::select(values),
        ]
    }

    fn row() -> impl Strategy<Value = String> {
        (
            mostly(&["1767225600", "1767225660", "1767225000", "soon", ""]),
            mostly(&["Q?", "\"Q, you\nask?\"", "\"\"\"Q\"\"?\"", "Other?", ""]),
            mostly(&["0.5", "0.51", " 0.3", "\"0.4\"", "7", "x", ""]),
            mostly(&["0", "5.5", "-1", "\"3\"", "many"]),
            mostly(&["n", "\"a,b\"", "", "another,field"]),
            mostly(&[
                "0.4,0.6",
                ",",
                "0.6,0.4",
                "0,1",
                "x,1",
                "\"0.4\",0.6",
                "0.4",
            ]),
            mostly(&["\n", "\r\n", "\n\n"]),
        )
            .prop_map(|(time, question, price, volume, note, quote, end)| {
                format!("{time},M,{question},{price},{volume},{note},T,N,{quote}{end}")
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// Rows of up to three markets in turn, with what is odd strewn in: read in one go, where they repeat
        /// each other, and one by one, where none can.
        #[test]
        fn what_is_repeated_is_what_is_read_row_by_row(
            rows in prop::collection::vec(row(), 1..40),
            markets in 1_usize..4,
            other_token in 0_usize..40,
        ) {
            let mut text = format!("{HEADER}\n");
            let mut one_by_one = Growing::default();
            for (number, row) in rows.iter().enumerate() {
                let market = number % markets;
                let token = if number == other_token { "u" } else { "t" };
                let row = row
                    .replace(",M,", &format!(",m{market},"))
                    .replace(",T,N,", &format!(",{token}{market},n{market},"));
                let alone = read(&format!("{HEADER}\n{row}"));
                let lines = text.matches('\n').count() as u64 - 1;
                one_by_one = one_by_one.join(alone, lines, &|| false).unwrap();
                text += &row;
            }
            one_by_one.markets.iter_mut().for_each(GrowingMarket::gather);
            prop_assert_eq!(read(&text).told(), one_by_one.told(), "{}", text);
        }
    }

    /// Over several buffers, and at the end every market has a pattern that its first row is a repetition of.
    #[test]
    fn long_files_are_read_by_repetition() {
        let row = |row: usize| {
            let (time, market) = (1_767_225_600 + row / 3 * 60, row % 3);
            let price = 100 + row * 7 % 800;
            format!("{time},m{market},\"Will it, {market}?\",0.{price},0,,t{market},n{market},,\n")
        };
        let rows: Vec<String> = (0..30_000).map(row).collect();
        let text = format!("{HEADER}\n{}", rows.concat());
        let mut growing = read(&text);
        assert_eq!(growing.markets.len(), 3);
        for (market, one) in growing.markets.iter().enumerate() {
            assert_eq!(one.points.len(), 10_000);
            for (number, point) in one.points.iter().enumerate() {
                let row = number * 3 + market;
                let expected = (100 + row * 7 % 800) as f64 / 1e3;
                assert!((point.price - expected).abs() < 1e-12);
            }
        }
        let last = rows[2..6].concat();
        let mut records = Records::of_part(last.as_bytes(), b'\n');
        let mut last_time = Default::default();
        let mut repeat = |records: &mut _| rows::repeat(records, &mut growing, &mut last_time);
        // Nothing is in the buffer before the first record was asked for.
        assert!(!repeat(&mut records));
        assert!(records.advance().unwrap());
        let repeated = [(); 4].map(|()| repeat(&mut records));
        assert_eq!(repeated, [true, true, true, false]);
        assert!(!records.advance().unwrap());
        assert_eq!(records.lines(), 4);
    }
}

//! Price rows of one CSV file, straight from bytes: nothing is allocated per row.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;

use crate::domain::{MoneyError, Price, Timestamp, Usdc};
use crate::market_data::DataError;

use super::capped::{CAPS, Capped, Progress};
use super::fields;
use super::skips::Skips;

/// Columns that a price file must have; `question` and `volume` may be missing.
const REQUIRED: [&str; 4] = ["timestamp", "market_id", "yes_price", "token_id"];

/// Longest id that is taken, bytes; a token id of the venue has 78 digits.
const MAX_ID: usize = 200;
/// Why a row with another id is skipped.
pub(super) const BAD_ID: &str = "an id is too long or has control characters";

/// One valid row. The text is untrusted and raw.
pub(super) struct Row<'a> {
    pub(super) at: Timestamp,
    pub(super) market_id: &'a str,
    pub(super) token_id: &'a str,
    pub(super) question: &'a [u8],
    pub(super) price: Price,
    pub(super) volume: Option<Usdc>,
}

/// What a CSV file turned out to be.
pub(super) enum Content {
    /// Prices, so many valid rows.
    Prices {
        /// Valid rows handed on.
        rows: u64,
    },
    /// Something else: it has no column `yes_price`.
    Other,
}

/// The columns' places in a row.
struct Columns {
    timestamp: usize,
    market_id: usize,
    yes_price: usize,
    token_id: usize,
    question: Option<usize>,
    volume: Option<usize>,
}

/// File name for messages: never the whole path.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// An error about `path`.
pub(super) fn file_error(path: &Path, detail: impl ToString) -> DataError {
    DataError::File {
        path: path.display().to_string(),
        detail: detail.to_string(),
    }
}

/// Records between two questions whether to go on: a few milliseconds.
const RECORDS_PER_QUESTION: u64 = 4_096;

/// The records of a plain or gzipped CSV file, within [`CAPS`].
pub(super) struct Records<'a> {
    reader: csv::Reader<Capped<Box<dyn Read>>>,
    progress: Progress,
    count: u64,
    cancelled: &'a dyn Fn() -> bool,
}

/// Opens a CSV file, to be read until `cancelled`. Errors: it cannot be opened.
pub(super) fn open<'a>(
    path: &Path,
    cancelled: &'a dyn Fn() -> bool,
) -> Result<Records<'a>, DataError> {
    let file = File::open(path).map_err(|error| file_error(path, error))?;
    let packed = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    let bytes: Box<dyn Read> = if packed {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(
            128 * 1024,
            file,
        )))
    } else {
        Box::new(file)
    };
    let (bytes, progress) = Capped::new(bytes, CAPS);
    let reader = ReaderBuilder::new()
        .flexible(true)
        .buffer_capacity(256 * 1024)
        .from_reader(bytes);
    Ok(Records {
        reader,
        progress,
        count: 0,
        cancelled,
    })
}

impl Records<'_> {
    /// The first record. Errors: the file cannot be read, or breaks a cap.
    pub(super) fn header(&mut self, path: &Path) -> Result<&ByteRecord, DataError> {
        let header = self
            .reader
            .byte_headers()
            .map_err(|error| file_error(path, error))?;
        self.progress.record_done();
        Ok(header)
    }

    /// Reads the next record into `record`; false at the end. Errors: the file cannot be read,
    /// breaks a cap, or is not wanted any more.
    pub(super) fn next(&mut self, record: &mut ByteRecord, path: &Path) -> Result<bool, DataError> {
        if self.count.is_multiple_of(RECORDS_PER_QUESTION) && (self.cancelled)() {
            return Err(DataError::Cancelled);
        }
        self.count += 1;
        let more = self
            .reader
            .read_byte_record(record)
            .map_err(|error| file_error(path, error))?;
        self.progress.record_done();
        Ok(more)
    }
}

/// Whether `id` can be an identifier: not too long, and without control characters.
pub(super) fn is_id(id: &str) -> bool {
    id.len() <= MAX_ID && !id.chars().any(char::is_control)
}

/// The place of the column called `name`, whatever its case and the blanks around it.
pub(super) fn column(header: &ByteRecord, name: &str) -> Option<usize> {
    header.iter().position(|field| {
        let field = field.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(field);
        field.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
    })
}

impl Columns {
    /// `Ok(None)` for a file that is not about prices; an error for one that is and lacks columns.
    fn of(header: &ByteRecord, path: &Path) -> Result<Option<Self>, DataError> {
        let Some(yes_price) = column(header, "yes_price") else {
            return Ok(None);
        };
        let (Some(timestamp), Some(market_id), Some(token_id)) = (
            column(header, "timestamp"),
            column(header, "market_id"),
            column(header, "token_id"),
        ) else {
            let missing: Vec<&str> = REQUIRED
                .into_iter()
                .filter(|name| column(header, name).is_none())
                .collect();
            return Err(file_error(
                path,
                format!("the header lacks the column {}", missing.join(", ")),
            ));
        };
        Ok(Some(Columns {
            timestamp,
            market_id,
            yes_price,
            token_id,
            question: column(header, "question"),
            volume: column(header, "volume"),
        }))
    }
}

/// Hands each valid row of `path` to `accept`, which may refuse it with a cause. What is skipped is
/// counted in `skips`.
///
/// Errors: the file cannot be read, has no header, or has prices but not a single valid row; or
/// `cancelled` said so.
pub(super) fn read_prices(
    path: &Path,
    skips: &mut Skips,
    cancelled: &dyn Fn() -> bool,
    mut accept: impl FnMut(&Row<'_>) -> Result<(), &'static str>,
) -> Result<Content, DataError> {
    let name = file_name(path);
    let mut reader = open(path, cancelled)?;
    let header = reader.header(path)?;
    if header.iter().all(<[u8]>::is_empty) {
        return Err(file_error(path, "the file is empty"));
    }
    let Some(columns) = Columns::of(header, path)? else {
        return Ok(Content::Other);
    };
    let mut here = Skips::default();
    let mut record = ByteRecord::new();
    let mut rows = 0_u64;
    // Rows of one moment mostly follow each other: the same bytes need not be read again.
    let mut last_time: (Vec<u8>, Timestamp) = (Vec::new(), Timestamp::default());
    while reader.next(&mut record, path)? {
        let outcome = match parse(&record, &columns, &mut last_time) {
            Ok(row) => accept(&row),
            Err(cause) => Err(cause),
        };
        match outcome {
            Ok(()) => rows += 1,
            Err(cause) => here.count(cause, || first_of(&name, &record)),
        }
    }
    if rows == 0 {
        let why = here.iter().next().map_or_else(
            || "it has a header only".to_owned(),
            |(cause, skipped)| format!("{cause}, first {}", skipped.first),
        );
        return Err(file_error(path, format!("no valid row: {why}")));
    }
    skips.merge(here);
    Ok(Content::Prices { rows })
}

/// `file:line: what the row holds`, shortened.
pub(super) fn first_of(name: &str, record: &ByteRecord) -> String {
    let line = record.position().map_or(0, csv::Position::line);
    let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
    let text = crate::domain::text::clean(&fields.join(","), 120);
    format!("{name}:{line}: {text}")
}

fn parse<'a>(
    record: &'a ByteRecord,
    columns: &Columns,
    last_time: &mut (Vec<u8>, Timestamp),
) -> Result<Row<'a>, &'static str> {
    let field = |index: usize| record.get(index).map(<[u8]>::trim_ascii);
    let required = |index: usize| {
        field(index)
            .filter(|text| !text.is_empty())
            .ok_or("a required column is missing or empty")
    };
    let time = required(columns.timestamp)?;
    let market_id = required(columns.market_id)?;
    let price = required(columns.yes_price)?;
    let token_id = required(columns.token_id)?;
    if time != last_time.0 {
        let moment = fields::timestamp(time).ok_or("the timestamp cannot be read")?;
        last_time.0.clear();
        last_time.0.extend_from_slice(time);
        last_time.1 = moment;
    }
    let price = fields::price(price).map_err(|error| match error {
        MoneyError::PriceRange(_) => "the price is outside 0 to 1",
        _ => "the price is not a number",
    })?;
    let volume = match columns.volume.and_then(field) {
        Some(text) => fields::volume(text).map_err(|error| match error {
            MoneyError::Negative(_) => "the volume is negative",
            _ => "the volume is not a number",
        })?,
        None => None,
    };
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "an id is not UTF-8 text");
    Ok(Row {
        at: last_time.1,
        market_id: text(market_id)?,
        token_id: text(token_id)?,
        question: columns.question.and_then(field).unwrap_or_default(),
        price,
        volume,
    })
}

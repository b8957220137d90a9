//! Price rows of one CSV file, straight from bytes: nothing is allocated per row.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::domain::{MoneyError, Price, Timestamp, Usdc};
use crate::market_data::DataError;

use super::content_hash::Digests;
use super::fields;
use super::growing::Growing;
use super::input;
use super::place::Place;
use super::records::Records;
use super::repeated::Repeated;
use super::skips::Skips;
use super::split_file;

/// Longest id that is taken, bytes; a token id of the venue has 78 digits.
const MAX_ID: usize = 200;
/// Why a row with another id is skipped.
pub(super) const BAD_ID: &str = "an id is too long or has control characters";
/// Why a row without all that it must have is skipped.
pub(super) const LACKING: &str = "a required column is missing or empty";
/// Why a row whose time makes no sense is skipped.
pub(super) const BAD_TIME: &str = "the timestamp cannot be read";

/// Whether whoever wants a recording has changed his mind; asked from several threads.
pub(super) type Cancelled<'a> = &'a (dyn Fn() -> bool + Sync);

/// One valid row. The text is untrusted and raw.
pub(super) struct Row<'a> {
    pub(super) market_id: &'a [u8],
    /// Empty where the file has no such column.
    pub(super) token_id: &'a [u8],
    /// Token of the second outcome, empty where not told.
    pub(super) no_token_id: &'a [u8],
    pub(super) question: &'a [u8],
    pub(super) values: Values,
}

/// What a row tells that may differ from the market's row before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) at: Timestamp,
    pub(super) price: Price,
    pub(super) volume: Option<Usdc>,
    /// Best bid and ask for the first outcome, as far as told.
    pub(super) bid: Option<Price>,
    pub(super) ask: Option<Price>,
}

/// The same as text; empty where it is not told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers<'a> {
    pub(super) time: &'a [u8],
    pub(super) price: &'a [u8],
    pub(super) volume: &'a [u8],
    pub(super) bid: &'a [u8],
    pub(super) ask: &'a [u8],
}

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum Content {
    /// Prices, at least one row.
    Prices(Growing),
    /// Something else: it has no price.
    Other,
}

/// The columns that are read, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) timestamp: usize,
    pub(super) market_id: usize,
    pub(super) price: usize,
    pub(super) token_id: Option<usize>,
    pub(super) no_token_id: Option<usize>,
    pub(super) question: Option<usize>,
    pub(super) volume: Option<usize>,
    pub(super) best_bid: Option<usize>,
    pub(super) best_ask: Option<usize>,
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
pub(super) const RECORDS_PER_QUESTION: u64 = 4_096;

/// Whether `id` can be an identifier: not too long, and without control characters.
pub(super) fn is_id(id: &str) -> bool {
    id.len() <= MAX_ID && !id.chars().any(char::is_control)
}

/// Names of all fields of the present record.
pub(super) fn names<R: Read>(records: &Records<R>) -> Vec<&[u8]> {
    (0..records.len())
        .map(|index| records.field(index).unwrap_or_default())
        .collect()
}

/// The place of the column called `name`, whatever its case.
pub(super) fn column(header: &[&[u8]], name: &str) -> Option<usize> {
    header
        .iter()
        .position(|field| field.eq_ignore_ascii_case(name.as_bytes()))
}

impl Columns {
    /// `Ok(None)` for a file that is not about prices; an error for one that is and lacks columns.
    pub(super) fn of(header: &[&[u8]], path: &Path) -> Result<Option<Self>, DataError> {
        // Files with the best prices call the price what it is.
        let Some(price) = column(header, "yes_price").or_else(|| column(header, "mid")) else {
            return Ok(None);
        };
        let (Some(timestamp), Some(market_id)) =
            (column(header, "timestamp"), column(header, "market_id"))
        else {
            let missing: Vec<&str> = ["timestamp", "market_id"]
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
            price,
            token_id: column(header, "token_id"),
            no_token_id: column(header, "no_token_id"),
            question: column(header, "question"),
            volume: column(header, "volume"),
            best_bid: column(header, "best_bid"),
            best_ask: column(header, "best_ask"),
        }))
    }
}

/// The rows of a CSV file, by market. What is skipped is counted with them; a large file's hash is noted.
///
/// Errors: the file cannot be read, has no header, or has prices but not a single valid row; or
/// `cancelled` said so.
pub(super) fn read_file(
    path: &Path,
    digests: Option<&Digests>,
    cancelled: Cancelled<'_>,
) -> Result<Content, DataError> {
    if let Some(content) = split_file::read(path, digests, cancelled)? {
        return Ok(content);
    }
    let input = input::open(path).map_err(|error| file_error(path, error))?;
    read(input, path, cancelled)
}

/// The same from an open `input`; `path` is for messages.
pub(super) fn read(
    input: impl Read,
    path: &Path,
    cancelled: Cancelled<'_>,
) -> Result<Content, DataError> {
    let failed = |error: std::io::Error| file_error(path, error);
    let mut records = Records::new(input);
    if !records.advance().map_err(failed)? {
        return Err(file_error(path, "the file is empty"));
    }
    let Some(columns) = Columns::of(&names(&records), path)? else {
        return Ok(Content::Other);
    };
    let growing = read_rows(&mut records, &columns, path, cancelled)?;
    growing.checked(path).map(Content::Prices)
}

/// What is left of a file after its header, or a part of it.
///
/// Errors: it cannot be read; or `cancelled` said so.
pub(super) fn read_rows(
    records: &mut Records<impl Read>,
    columns: &Columns,
    path: &Path,
    cancelled: Cancelled<'_>,
) -> Result<Growing, DataError> {
    let name: Arc<str> = file_name(path).into();
    let mut growing = Growing::default();
    let mut skips = Skips::default();
    let mut count = 0_u64;
    // Rows of one moment mostly follow each other: the same bytes need not be read again.
    let mut last_time: (Vec<u8>, Timestamp) = (Vec::new(), Timestamp::default());
    loop {
        if count.is_multiple_of(RECORDS_PER_QUESTION) && cancelled() {
            return Err(DataError::Cancelled);
        }
        count += 1;
        if repeat(records, &mut growing, &mut last_time) {
            continue;
        }
        let advanced = records.advance();
        if !advanced.map_err(|error| file_error(path, error))? {
            break;
        }
        let records = &*records;
        let place = || place(&name, records);
        let outcome =
            parse(records, columns, &mut last_time).and_then(|row| growing.accept(&row, &place));
        match outcome {
            Ok(true) => growing.learn(|| records.pattern(columns)),
            Ok(false) => {}
            Err(cause) => skips.count(cause, place),
        }
    }
    growing.skips = skips;
    Ok(growing)
}

/// Takes the next record if it repeats the row of the market that is expected, but for sound numbers. Any other has
/// to be read whole.
#[inline]
pub(super) fn repeat(
    records: &mut Records<impl Read>,
    growing: &mut Growing,
    last_time: &mut (Vec<u8>, Timestamp),
) -> bool {
    let Some((market, pattern)) = growing.expected() else {
        return false;
    };
    let Some(Repeated {
        numbers,
        bytes,
        lines,
    }) = records.repeated(pattern)
    else {
        return false;
    };
    if numbers.time.is_empty() || numbers.price.is_empty() {
        return false;
    }
    let taken = values(&numbers, last_time).is_ok_and(|values| growing.repeat(market, values));
    if taken {
        records.pass(bytes, lines);
    }
    taken
}

/// `file:line: what the row holds`, shortened.
pub(super) fn place<R: Read>(name: &Arc<str>, records: &Records<R>) -> Place {
    let mut fields = Vec::new();
    for index in 0..records.len() {
        if index > 0 {
            fields.push(b',');
        }
        fields.extend_from_slice(records.field(index).unwrap_or_default());
    }
    let text = crate::domain::text::clean(&String::from_utf8_lossy(&fields), 120);
    Place::on_line(name, records.line(), text)
}

#[inline]
fn parse<'a, R: Read>(
    record: &'a Records<R>,
    columns: &Columns,
    last_time: &mut (Vec<u8>, Timestamp),
) -> Result<Row<'a>, &'static str> {
    let required = |index: usize| {
        record
            .field(index)
            .filter(|text| !text.is_empty())
            .ok_or(LACKING)
    };
    let optional = |index: Option<usize>| index.and_then(|index| record.field(index));
    let time = required(columns.timestamp)?;
    let market_id = required(columns.market_id)?;
    let price = required(columns.price)?;
    let token_id = match columns.token_id {
        Some(index) => required(index)?,
        None => &[],
    };
    let numbers = Numbers {
        time,
        price,
        volume: optional(columns.volume).unwrap_or_default(),
        bid: optional(columns.best_bid).unwrap_or_default(),
        ask: optional(columns.best_ask).unwrap_or_default(),
    };
    Ok(Row {
        market_id,
        token_id,
        no_token_id: optional(columns.no_token_id).unwrap_or_default(),
        question: optional(columns.question).unwrap_or_default(),
        values: values(&numbers, last_time)?,
    })
}

/// What the text says. Errors: the cause for which the row is skipped.
#[inline]
fn values(
    numbers: &Numbers<'_>,
    last_time: &mut (Vec<u8>, Timestamp),
) -> Result<Values, &'static str> {
    if numbers.time != last_time.0 {
        let moment = fields::timestamp(numbers.time).ok_or(BAD_TIME)?;
        last_time.0.clear();
        last_time.0.extend_from_slice(numbers.time);
        last_time.1 = moment;
    }
    let quote = |text: &[u8]| match text {
        [] => Ok(None),
        text => fields::price(text).map(Some).map_err(|_| BAD_QUOTE),
    };
    Ok(Values {
        at: last_time.1,
        price: fields::price(numbers.price).map_err(bad_price)?,
        volume: fields::volume(numbers.volume).map_err(bad_volume)?,
        bid: quote(numbers.bid)?,
        ask: quote(numbers.ask)?,
    })
}

/// Why a row whose best bid or ask is no price is skipped.
pub(super) const BAD_QUOTE: &str = "the best bid or ask is not a price";

/// What is wrong with a price.
pub(super) fn bad_price(error: MoneyError) -> &'static str {
    match error {
        MoneyError::PriceRange(_) => "the price is outside 0 to 1",
        _ => "the price is not a number",
    }
}

/// What is wrong with a volume.
pub(super) fn bad_volume(error: MoneyError) -> &'static str {
    match error {
        MoneyError::Negative(_) => "the volume is negative",
        _ => "the volume is not a number",
    }
}

//! Price rows of a Parquet file: the columns of the CSV format, in any of the types that writers give
//! them.
//!
//! Read through the format's own column readers, without Arrow: the columns that are wanted are
//! decoded in batches, nothing else of the file is.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;
use rayon::prelude::*;

use crate::domain::{MoneyError, Price, Timestamp, Usdc};
use crate::market_data::DataError;

use super::fields;
use super::growing::{Growing, discard};
use super::place::Place;
use super::rows::{
    BAD_QUOTE, BAD_TIME, Cancelled, Columns, Content, LACKING, Row, Values, bad_price, bad_volume,
    file_error, file_name,
};
use super::skips::Skips;

mod column;
mod pages;
#[cfg(test)]
mod tests;

use column::{Cell, Column};

/// Rows decoded at once.
const BATCH: usize = 16 * 1024;
/// Most rows of one file: run-length coding makes any number of equal rows small.
const MAX_ROWS: i64 = 400_000_000;
/// Most bytes of one row group's columns, unpacked.
const MAX_GROUP: i64 = 8 << 30;

/// So many parts of a file are read at the same time: a fixed number, so that what comes out does not
/// depend on how many threads there are.
const PARTS: usize = 8;

/// The rows of a Parquet file, by market. What is skipped is counted with them.
///
/// Errors: the file is none or is damaged, or has prices but not a single valid row; or `cancelled`
/// said so.
pub(super) fn read_file(path: &Path, cancelled: Cancelled<'_>) -> Result<Content, DataError> {
    // Each part opens the file by itself: handles that are copied share their place in it.
    let open = || File::open(path).map_err(|error| file_error(path, error));
    read(open, path, cancelled)
}

/// The same from what `open` gives; `path` is for messages.
pub(super) fn read<F: ChunkReader + 'static>(
    open: impl Fn() -> Result<F, DataError> + Sync,
    path: &Path,
    cancelled: Cancelled<'_>,
) -> Result<Content, DataError> {
    // The decoder is not proof against every damaged file; nothing of it is used after a panic.
    catch_unwind(AssertUnwindSafe(|| read_sound(&open, path, cancelled)))
        .unwrap_or_else(|_| Err(file_error(path, "the Parquet file is damaged")))
}

fn read_sound<F: ChunkReader + 'static>(
    open: &(impl Fn() -> Result<F, DataError> + Sync),
    path: &Path,
    cancelled: Cancelled<'_>,
) -> Result<Content, DataError> {
    let failed = |error| damaged(path, &error);
    let file = SerializedFileReader::new(open()?).map_err(failed)?;
    let metadata = file.metadata();
    let names: Vec<&[u8]> = top_level(metadata.file_metadata().schema_descr());
    let Some(columns) = Columns::of(&names, path)? else {
        return Ok(Content::Other);
    };
    let counts: Vec<i64> = metadata.row_groups().iter().map(|g| g.num_rows()).collect();
    let rows = counts
        .iter()
        .try_fold(0_i64, |sum, count| sum.checked_add(*count));
    if rows.is_none_or(|rows| rows > MAX_ROWS) || counts.iter().any(|count| *count < 0) {
        return Err(file_error(
            path,
            "the file has more than 400 million rows; split it",
        ));
    }
    let large = |group: &RowGroupMetaData| {
        let unpacked = |column: &ColumnChunkMetaData| column.uncompressed_size();
        group.total_byte_size() > MAX_GROUP
            || group.columns().iter().any(|c| unpacked(c) > MAX_GROUP)
    };
    if metadata.row_groups().iter().any(large) {
        return Err(file_error(
            path,
            "a row group is larger than the cap of 8 GiB",
        ));
    }
    let size = counts.len().div_ceil(PARTS).max(1);
    let parts: Vec<Result<Growing, DataError>> = (0..counts.len().div_ceil(size))
        .into_par_iter()
        .map(|part| {
            let groups = part * size..counts.len().min((part + 1) * size);
            let before: i64 = counts.iter().take(groups.start).sum();
            let file = SerializedFileReader::new(open()?).map_err(failed)?;
            let mut rows = Rows::after(u64::try_from(before).unwrap_or(0), &file_name(path));
            for number in groups {
                let group = file.get_row_group(number).map_err(failed)?;
                rows.read_group(&*group, &columns, cancelled)
                    .map_err(|error| match error {
                        Stop::Cancelled => DataError::Cancelled,
                        Stop::Damaged(error) => damaged(path, &error),
                    })?;
            }
            rows.growing.skips = rows.skips;
            Ok(rows.growing)
        })
        .collect();
    if cancelled() {
        discard(parts);
        return Err(DataError::Cancelled);
    }
    let mut growing = Growing::default();
    let mut parts = parts.into_iter();
    while let Some(part) = parts.next() {
        growing = match growing.join(part?, 0, cancelled) {
            Ok(growing) => growing,
            Err(error) => {
                discard(parts);
                return Err(error);
            }
        };
    }
    growing.checked(path).map(Content::Prices)
}

fn damaged(path: &Path, error: &parquet::errors::ParquetError) -> DataError {
    file_error(path, format!("the Parquet file cannot be read: {error}"))
}

/// Names of the columns, empty for those that are lists or parts of a structure.
fn top_level(schema: &SchemaDescriptor) -> Vec<&[u8]> {
    schema
        .columns()
        .iter()
        .map(|column| {
            let single = column.path().parts().len() == 1 && column.max_rep_level() == 0;
            if single {
                column.name().as_bytes()
            } else {
                b""
            }
        })
        .collect()
}

/// Why reading ends early.
enum Stop {
    Cancelled,
    Damaged(parquet::errors::ParquetError),
}

/// What has been read of a file.
struct Rows {
    name: Arc<str>,
    count: u64,
    growing: Growing,
    skips: Skips<Place>,
    last_time: (Vec<u8>, Timestamp),
    /// Numbers that are ids, as text.
    ids: [Vec<u8>; 3],
}

/// The wanted columns of one row group.
struct Group {
    timestamp: Column,
    market_id: Column,
    price: Column,
    token_id: Option<Column>,
    no_token_id: Option<Column>,
    question: Option<Column>,
    volume: Option<Column>,
    best_bid: Option<Column>,
    best_ask: Option<Column>,
}

impl Group {
    fn of(group: &dyn RowGroupReader, columns: &Columns) -> Result<Self, Stop> {
        let open = |index: usize| Column::open(group, index).map_err(Stop::Damaged);
        let optional = |index: Option<usize>| index.map(open).transpose();
        Ok(Group {
            timestamp: open(columns.timestamp)?,
            market_id: open(columns.market_id)?,
            price: open(columns.price)?,
            token_id: optional(columns.token_id)?,
            no_token_id: optional(columns.no_token_id)?,
            question: optional(columns.question)?,
            volume: optional(columns.volume)?,
            best_bid: optional(columns.best_bid)?,
            best_ask: optional(columns.best_ask)?,
        })
    }

    /// Decodes the next rows of all columns; how many there are.
    fn read(&mut self) -> Result<usize, Stop> {
        let rows = self.timestamp.read(BATCH).map_err(Stop::Damaged)?;
        let rest = [&mut self.market_id, &mut self.price].into_iter().chain(
            [
                &mut self.token_id,
                &mut self.no_token_id,
                &mut self.question,
                &mut self.volume,
                &mut self.best_bid,
                &mut self.best_ask,
            ]
            .into_iter()
            .flatten(),
        );
        for column in rest {
            if column.read(BATCH).map_err(Stop::Damaged)? != rows {
                return Err(Stop::Damaged(parquet::errors::ParquetError::General(
                    "its columns have different numbers of rows".to_owned(),
                )));
            }
        }
        Ok(rows)
    }
}

impl Rows {
    /// Nothing yet, after so many rows of the same file.
    fn after(count: u64, name: &str) -> Self {
        Rows {
            name: name.into(),
            count,
            growing: Growing::default(),
            skips: Skips::default(),
            last_time: (Vec::new(), Timestamp::default()),
            ids: Default::default(),
        }
    }

    fn read_group(
        &mut self,
        group: &dyn RowGroupReader,
        columns: &Columns,
        cancelled: Cancelled<'_>,
    ) -> Result<(), Stop> {
        let mut group = Group::of(group, columns)?;
        loop {
            if cancelled() {
                return Err(Stop::Cancelled);
            }
            let rows = group.read()?;
            if rows == 0 {
                return Ok(());
            }
            for _ in 0..rows {
                self.count += 1;
                self.take(&mut group);
            }
        }
    }

    /// Takes one row of the batch, or counts why not.
    fn take(&mut self, group: &mut Group) {
        let unit = group.timestamp.unit();
        let [market_text, token_text, no_token_text] = &mut self.ids;
        // Each column moves on by one cell, whatever becomes of the row.
        let cells = Cells {
            time: group.timestamp.next(),
            market: group.market_id.next().text(market_text),
            price: group.price.next(),
            token: group
                .token_id
                .as_mut()
                .map(|column| column.next().text(token_text)),
            no_token: told(&mut group.no_token_id).text(no_token_text),
            question: told(&mut group.question),
            volume: told(&mut group.volume),
            bid: told(&mut group.best_bid),
            ask: told(&mut group.best_ask),
        };
        let (name, number) = (&self.name, self.count);
        let place = || {
            let id = crate::domain::text::clean(&String::from_utf8_lossy(cells.market), 80);
            let (price, time) = (&cells.price, &cells.time);
            let text = format!("market {id}, price {price}, time {time}");
            Place::in_row(name, number, text)
        };
        let outcome = cells
            .row(unit, &mut self.last_time)
            .and_then(|row| self.growing.accept(&row, &place));
        if let Err(cause) = outcome {
            self.skips.count(cause, place);
        }
    }
}

fn told(column: &mut Option<Column>) -> Cell<'_> {
    column.as_mut().map_or(Cell::Null, Column::next)
}

/// The cells of one row; ids as text.
struct Cells<'a> {
    time: Cell<'a>,
    market: &'a [u8],
    price: Cell<'a>,
    token: Option<&'a [u8]>,
    no_token: &'a [u8],
    question: Cell<'a>,
    volume: Cell<'a>,
    bid: Cell<'a>,
    ask: Cell<'a>,
}

impl<'a> Cells<'a> {
    fn row(
        &self,
        unit: column::Unit,
        last_time: &mut (Vec<u8>, Timestamp),
    ) -> Result<Row<'a>, &'static str> {
        if self.market.is_empty() || self.time.is_empty() || self.price.is_empty() {
            return Err(LACKING);
        }
        let token_id = match self.token {
            Some([]) => return Err(LACKING),
            told => told.unwrap_or_default(),
        };
        let at = match self.time {
            Cell::Text(text) if *text == last_time.0 => last_time.1,
            Cell::Text(text) => {
                let at = fields::timestamp(text).ok_or(BAD_TIME)?;
                last_time.0.clear();
                last_time.0.extend_from_slice(text);
                last_time.1 = at;
                at
            }
            other => other.moment(unit).ok_or(BAD_TIME)?,
        };
        let quote = |cell: &Cell<'_>| {
            if cell.is_empty() {
                return Ok(None);
            }
            price_of(cell).map(Some).map_err(|_| BAD_QUOTE)
        };
        Ok(Row {
            market_id: self.market,
            token_id,
            no_token_id: self.no_token,
            question: match self.question {
                Cell::Text(text) => text,
                _ => &[],
            },
            values: Values {
                at,
                price: price_of(&self.price).map_err(bad_price)?,
                volume: volume_of(&self.volume).map_err(bad_volume)?,
                bid: quote(&self.bid)?,
                ask: quote(&self.ask)?,
            },
        })
    }
}

fn price_of(cell: &Cell<'_>) -> Result<Price, MoneyError> {
    match cell {
        Cell::Text(text) => fields::price(text),
        Cell::Real(value) => fields::price_of_f64(*value),
        other => fields::price(other.to_string().as_bytes()),
    }
}

fn volume_of(cell: &Cell<'_>) -> Result<Option<Usdc>, MoneyError> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Text(text) => fields::volume(text),
        Cell::Real(value) => fields::volume_of_f64(*value),
        other => fields::volume(other.to_string().as_bytes()),
    }
}

//! One column of a row group, decoded in batches, cell by cell.

use std::fmt;
use std::io::Write;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::RowGroupReader;
use parquet::schema::types::ColumnDescriptor;

use super::pages::Sound;
use crate::domain::Timestamp;
use crate::market_data::recorded::fields;

/// What a whole number means when it is a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds or milliseconds since the epoch, as their size tells.
    Plain,
    Millis,
    Micros,
    Nanos,
    Days,
}

/// A value as the file holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    /// Blanks around it are left out.
    Text(&'a [u8]),
    Int(i64),
    Real(f64),
    /// A whole number and how many of its digits come after the point.
    Decimal(i128, u32),
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => f.write_str("null"),
            Cell::Text(text) => {
                let text = String::from_utf8_lossy(text);
                f.write_str(&crate::domain::text::clean(&text, 40))
            }
            Cell::Int(value) => write!(f, "{value}"),
            Cell::Real(value) => write!(f, "{value}"),
            Cell::Decimal(value, 0) => write!(f, "{value}"),
            Cell::Decimal(value, scale) => {
                let width = *scale as usize + 1;
                let digits = format!("{:0width$}", value.unsigned_abs());
                let (whole, part) = digits.split_at(digits.len() - *scale as usize);
                let sign = if *value < 0 { "-" } else { "" };
                write!(f, "{sign}{whole}.{part}")
            }
        }
    }
}

impl<'a> Cell<'a> {
    /// Null, or a text without anything in it.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Cell::Null | Cell::Text([]))
    }

    /// The text of an id: as it is, or the digits of a number, which are written into `buffer`. Empty
    /// for anything else.
    pub(super) fn text<'b>(&self, buffer: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Cell::Text(text) => text,
            Cell::Int(_) | Cell::Decimal(_, 0) => {
                buffer.clear();
                // Writing into memory does not fail.
                let _ = write!(buffer, "{self}");
                buffer
            }
            _ => &[],
        }
    }

    /// The moment that a number is; `None` for anything else, and outside the years that text can
    /// name.
    pub(super) fn moment(&self, unit: Unit) -> Option<Timestamp> {
        let value = match self {
            Cell::Int(value) => *value,
            // Seconds with a fraction, as data frames have them.
            Cell::Real(value) => return fields::timestamp(format!("{value:.0}").as_bytes()),
            _ => return None,
        };
        let millis = match unit {
            Unit::Plain => return fields::epoch(value),
            Unit::Millis => value,
            Unit::Micros => value.div_euclid(1_000),
            Unit::Nanos => value.div_euclid(1_000_000),
            Unit::Days => value.checked_mul(86_400_000)?,
        };
        fields::is_plausible(millis).then(|| Timestamp::from_millis(millis))
    }
}

/// Decoded values, without the nulls.
#[derive(Debug)]
enum Values {
    Text(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
    Int(Vec<i64>),
    Real(Vec<f64>),
}

/// Reads one column from its start to its end.
pub(super) struct Column {
    reader: ColumnReader,
    unit: Unit,
    /// Digits after the point of a decimal.
    scale: Option<u32>,
    /// Level at which a value is there; 0 for a column that is never null.
    present: i16,
    levels: Vec<i16>,
    values: Values,
    /// The next cell of the batch, and the next of its values.
    cell: usize,
    value: usize,
}

impl Column {
    /// Errors: the column cannot be read, or has a type that no price file has.
    pub(super) fn open(group: &dyn RowGroupReader, index: usize) -> Result<Self> {
        let schema = group.metadata().schema_descr();
        let descriptor = schema.column(index);
        let rows = u64::try_from(group.metadata().num_rows()).unwrap_or(0);
        let has_levels = descriptor.max_def_level() > 0;
        let pages = Sound::new(group.get_column_page_reader(index)?, rows, has_levels);
        let reader = get_column_reader(descriptor.clone(), Box::new(pages));
        let values = match &reader {
            ColumnReader::ByteArrayColumnReader(_) => Values::Text(Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Values::Fixed(Vec::new()),
            ColumnReader::Int32ColumnReader(_)
            | ColumnReader::Int64ColumnReader(_)
            | ColumnReader::Int96ColumnReader(_) => Values::Int(Vec::new()),
            ColumnReader::FloatColumnReader(_) | ColumnReader::DoubleColumnReader(_) => {
                Values::Real(Vec::new())
            }
            ColumnReader::BoolColumnReader(_) => {
                return Err(ParquetError::General(format!(
                    "the column {} holds truth values",
                    descriptor.name()
                )));
            }
        };
        Ok(Column {
            unit: match &reader {
                ColumnReader::Int96ColumnReader(_) => Unit::Millis,
                _ => unit_of(&descriptor),
            },
            scale: scale_of(&descriptor),
            present: descriptor.max_def_level(),
            reader,
            levels: Vec::new(),
            values,
            cell: 0,
            value: 0,
        })
    }

    pub(super) fn unit(&self) -> Unit {
        self.unit
    }

    /// Decodes the next `most` rows, fewer at the end; how many there are.
    pub(super) fn read(&mut self, most: usize) -> Result<usize> {
        (self.cell, self.value) = (0, 0);
        self.levels.clear();
        let levels = &mut self.levels;
        match (&mut self.reader, &mut self.values) {
            (ColumnReader::ByteArrayColumnReader(reader), Values::Text(values)) => {
                batch(reader, most, levels, values)
            }
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Fixed(values)) => {
                batch(reader, most, levels, values)
            }
            (ColumnReader::Int64ColumnReader(reader), Values::Int(values)) => {
                batch(reader, most, levels, values)
            }
            (ColumnReader::DoubleColumnReader(reader), Values::Real(values)) => {
                batch(reader, most, levels, values)
            }
            (ColumnReader::Int32ColumnReader(reader), Values::Int(values)) => {
                let mut narrow = Vec::new();
                let rows = batch(reader, most, levels, &mut narrow)?;
                values.clear();
                values.extend(narrow.into_iter().map(i64::from));
                Ok(rows)
            }
            (ColumnReader::Int96ColumnReader(reader), Values::Int(values)) => {
                let mut old = Vec::new();
                let rows = batch(reader, most, levels, &mut old)?;
                values.clear();
                values.extend(old.iter().map(parquet::data_type::Int96::to_millis));
                Ok(rows)
            }
            (ColumnReader::FloatColumnReader(reader), Values::Real(values)) => {
                let mut narrow = Vec::new();
                let rows = batch(reader, most, levels, &mut narrow)?;
                values.clear();
                values.extend(narrow.into_iter().map(f64::from));
                Ok(rows)
            }
            _ => Err(ParquetError::General(
                "a column changed its type".to_owned(),
            )),
        }
    }

    /// The next cell of the batch.
    #[inline]
    pub(super) fn next(&mut self) -> Cell<'_> {
        let cell = self.cell;
        self.cell += 1;
        if self.present > 0 && self.levels.get(cell) != Some(&self.present) {
            return Cell::Null;
        }
        let value = self.value;
        self.value += 1;
        let told = match &self.values {
            Values::Text(values) => values.get(value).map(|value| self.text(value.data())),
            Values::Fixed(values) => values.get(value).map(|value| self.text(value.data())),
            Values::Real(values) => values.get(value).map(|value| Cell::Real(*value)),
            Values::Int(values) => values.get(value).map(|value| match self.scale {
                Some(scale) => Cell::Decimal(i128::from(*value), scale),
                None => Cell::Int(*value),
            }),
        };
        told.unwrap_or(Cell::Null)
    }

    fn text<'a>(&self, bytes: &'a [u8]) -> Cell<'a> {
        match self.scale {
            None => Cell::Text(bytes.trim_ascii()),
            Some(scale) => {
                big_endian(bytes).map_or(Cell::Null, |value| Cell::Decimal(value, scale))
            }
        }
    }
}

/// Reads one batch of a column; its values stay in `values`, without the nulls.
fn batch<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    most: usize,
    levels: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> Result<usize> {
    values.clear();
    let (rows, _, _) = reader.read_records(most, Some(levels), None, values)?;
    Ok(rows)
}

/// A signed number of at most 16 bytes, the highest first.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    if bytes.is_empty() || bytes.len() > 16 {
        return None;
    }
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xFF };
    let mut whole = [sign; 16];
    whole.get_mut(16 - bytes.len()..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}

/// Digits after the point, when the column holds decimals.
fn scale_of(column: &ColumnDescriptor) -> Option<u32> {
    match column.logical_type_ref() {
        Some(LogicalType::Decimal(decimal)) => u32::try_from(decimal.scale).ok(),
        None if column.converted_type() == ConvertedType::DECIMAL => {
            u32::try_from(column.type_scale()).ok()
        }
        _ => None,
    }
    .filter(|scale| *scale <= 38)
}

/// Times without a zone are taken as UTC, as all times of recordings are.
fn unit_of(column: &ColumnDescriptor) -> Unit {
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(time)) => match time.unit {
            TimeUnit::MILLIS => Unit::Millis,
            TimeUnit::MICROS => Unit::Micros,
            TimeUnit::NANOS => Unit::Nanos,
        },
        Some(LogicalType::Date) => Unit::Days,
        _ => match column.converted_type() {
            ConvertedType::TIMESTAMP_MILLIS => Unit::Millis,
            ConvertedType::TIMESTAMP_MICROS => Unit::Micros,
            ConvertedType::DATE => Unit::Days,
            _ => Unit::Plain,
        },
    }
}

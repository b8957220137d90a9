//! Files are written with the crate's own writer, column by column, in every type that is taken.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{
    ByteArray, ByteArrayType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::domain::{Price, Usdc};
use crate::market_data::DataError;
use crate::market_data::recorded::tests::{hour, load};
use crate::market_data::recorded::{Dataset, DatasetOptions, VolumeKind};

/// A column of the file; `None` is null.
#[derive(Clone)]
enum Data {
    Text(Vec<Option<&'static str>>),
    Int64(Vec<Option<i64>>),
    Int32(Vec<Option<i32>>),
    Double(Vec<Option<f64>>),
    Float(Vec<Option<f32>>),
    Fixed(Vec<Option<Vec<u8>>>),
}

fn there<T: Clone>(cells: &[Option<T>]) -> (Vec<i16>, Vec<T>) {
    let levels = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    (levels, cells.iter().flatten().cloned().collect())
}

/// The bytes of a file with these columns, all of which may be null, once per row group.
fn written(fields: &[(&str, Data)], groups: usize, compression: Compression) -> Vec<u8> {
    let lines: String = fields
        .iter()
        .map(|(field, _)| format!("optional {field};"))
        .collect();
    let schema = parse_message_type(&format!("message rows {{ {lines} }}")).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .build();
    let mut file =
        SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties)).unwrap();
    for _ in 0..groups {
        let mut group = file.next_row_group().unwrap();
        for (_, data) in fields {
            let mut column = group.next_column().unwrap().unwrap();
            macro_rules! write {
                ($type:ty, $cells:expr) => {{
                    let (levels, values) = there($cells);
                    column
                        .typed::<$type>()
                        .write_batch(&values, Some(&levels), None)
                        .unwrap();
                }};
            }
            match data {
                Data::Text(cells) => {
                    let cells: Vec<_> = cells.iter().map(|c| c.map(ByteArray::from)).collect();
                    write!(ByteArrayType, &cells);
                }
                Data::Fixed(cells) => {
                    let cells: Vec<_> = cells
                        .iter()
                        .map(|c| {
                            c.clone()
                                .map(|c| FixedLenByteArray::from(ByteArray::from(c)))
                        })
                        .collect();
                    write!(FixedLenByteArrayType, &cells);
                }
                Data::Int64(cells) => write!(Int64Type, cells),
                Data::Int32(cells) => write!(Int32Type, cells),
                Data::Double(cells) => write!(DoubleType, cells),
                Data::Float(cells) => write!(FloatType, cells),
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    file.into_inner().unwrap()
}

fn loaded(bytes: &[u8]) -> Result<Dataset, DataError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("p.parquet"), bytes).unwrap();
    let options = DatasetOptions {
        volume_kind: Some(VolumeKind::Cumulative),
        ..DatasetOptions::default()
    };
    Dataset::load(dir.path(), options)
}

const TEXT: &str = "binary";

/// Two rows of one market, at 0 and 1 h, with these columns for time, price and volume.
fn two_rows(time: (&str, Data), price: (&str, Data), volume: (&str, Data)) -> Vec<u8> {
    let fields = [
        (
            format!("{} timestamp {}", kind(time.0).0, kind(time.0).1),
            time.1,
        ),
        (
            format!("{TEXT} market_id (UTF8)"),
            Data::Text(vec![Some("m"); 2]),
        ),
        (format!("{TEXT} token_id"), Data::Text(vec![Some("t"); 2])),
        (
            format!("{} yes_price {}", kind(price.0).0, kind(price.0).1),
            price.1,
        ),
        (
            format!("{} volume {}", kind(volume.0).0, kind(volume.0).1),
            volume.1,
        ),
    ];
    let fields: Vec<(&str, Data)> = fields
        .iter()
        .map(|(field, data)| (field.as_str(), data.clone()))
        .collect();
    written(&fields, 1, Compression::SNAPPY)
}

/// `int64 (DECIMAL(9,4))` as the type and what follows the name.
fn kind(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

#[test]
fn every_type_of_a_column_gives_the_same_rows() {
    let seconds = 1_767_225_600_i64; // 2026-01-01T00:00:00Z
    let both = |scale: i64| Data::Int64([0, 3_600].map(|s| Some((seconds + s) * scale)).to_vec());
    let text = ["2026-01-01T00:00:00Z", "2026-01-01T02:00:00+01:00"];
    let times = [
        ("binary (UTF8)", Data::Text(text.map(Some).to_vec())),
        ("int64", both(1)),
        ("int64", both(1_000)),
        ("int64 (TIMESTAMP(MILLIS,true))", both(1_000)),
        ("int64 (TIMESTAMP(MICROS,true))", both(1_000_000)),
        ("int64 (TIMESTAMP(NANOS,true))", both(1_000_000_000)),
        ("int64 (TIMESTAMP(MICROS,false))", both(1_000_000)),
        ("int64 (TIMESTAMP_MILLIS)", both(1_000)),
        (
            "double",
            Data::Double([0.0, 3_600.0].map(|s| Some(1_767_225_600.0 + s)).to_vec()),
        ),
    ];
    // 0.25 and 0.0175.
    let prices = [
        ("double", Data::Double(vec![Some(0.25), Some(0.0175)])),
        ("float", Data::Float(vec![Some(0.25), Some(0.0175)])),
        (
            "binary (UTF8)",
            Data::Text(vec![Some("0.25"), Some("0.0175")]),
        ),
        (
            "int32 (DECIMAL(9,4))",
            Data::Int32(vec![Some(2_500), Some(175)]),
        ),
        (
            "int64 (DECIMAL(18,8))",
            Data::Int64(vec![Some(25_000_000), Some(1_750_000)]),
        ),
        (
            "fixed_len_byte_array(5) (DECIMAL(10,6))",
            Data::Fixed(vec![
                Some(250_000_i64.to_be_bytes()[3..].to_vec()),
                Some(17_500_i64.to_be_bytes()[3..].to_vec()),
            ]),
        ),
    ];
    let volumes = [
        ("double", Data::Double(vec![None, Some(12.5)])),
        ("float", Data::Float(vec![Some(0.0), Some(12.5)])),
        ("binary (UTF8)", Data::Text(vec![Some(""), Some("12.5")])),
        ("int64 (DECIMAL(9,1))", Data::Int64(vec![None, Some(125)])),
    ];
    let mut cases = Vec::new();
    cases.extend(
        times
            .clone()
            .map(|time| (time, prices[0].clone(), volumes[0].clone())),
    );
    cases.extend(
        prices
            .clone()
            .map(|price| (times[0].clone(), price, volumes[0].clone())),
    );
    cases.extend(
        volumes
            .clone()
            .map(|volume| (times[0].clone(), prices[0].clone(), volume)),
    );
    for (time, price, volume) in cases {
        let name = format!("{} / {} / {}", time.0, price.0, volume.0);
        let dataset = loaded(&two_rows(time, price, volume)).unwrap();
        let one = &dataset.series()[0];
        let rows: Vec<_> = (0..2).map(|row| one.row(row).unwrap()).collect();
        let price = |micros| Price::from_micros(micros).unwrap();
        assert_eq!(
            rows,
            [(hour(0), price(250_000)), (hour(1), price(17_500))],
            "{name}"
        );
        let volume = |h| dataset.market(0, hour(h)).unwrap().volume;
        let known = Usdc::parse("12.5").unwrap();
        assert_eq!((volume(0), volume(1)), (None, Some(known)), "{name}");
        assert_eq!(dataset.report().skips.total(), 0, "{name}");
    }
    let whole = two_rows(
        times[0].clone(),
        prices[0].clone(),
        ("int32", Data::Int32(vec![Some(0), Some(7)])),
    );
    let volume = loaded(&whole).unwrap().market(0, hour(1)).unwrap().volume;
    assert_eq!(volume, Some(Usdc::whole(7)));
}

/// Six rows in columns that are given in another order, with one that nobody wants.
fn six_rows() -> Vec<(&'static str, Data)> {
    let same = |text| Data::Text(vec![Some(text); 6]);
    vec![
        (
            "double best_ask",
            Data::Double([0.5, 0.52, 0.6, 0.5, 0.5, 0.5].map(Some).to_vec()),
        ),
        (
            "double best_bid",
            Data::Double([0.4, 0.48, 0.6, 0.4, 0.4, 0.4].map(Some).to_vec()),
        ),
        ("binary note", same("x")),
        ("int64 market_id", Data::Int64(vec![Some(7); 6])),
        ("int64 token_id", Data::Int64(vec![Some(8); 6])),
        ("binary no_token_id", same("n")),
        ("binary question", same("Rain, \"snow\"\nor sun?")),
        (
            "double yes_price",
            Data::Double(vec![
                Some(0.45),
                Some(0.5),
                Some(0.6),
                Some(1.5),
                Some(f64::NAN),
                None,
            ]),
        ),
        (
            "double volume",
            Data::Double([1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(Some).to_vec()),
        ),
        (
            "int64 timestamp",
            Data::Int64((0..6).map(|h| Some(1_767_225_600 + h * 3_600)).collect()),
        ),
    ]
}

#[test]
fn rows_are_those_of_the_same_csv_file() {
    let csv = "timestamp,market_id,token_id,no_token_id,question,yes_price,volume,best_bid,best_ask\n\
               1767225600,7,8,n,\"Rain, \"\"snow\"\"\nor sun?\",0.45,1,0.4,0.5\n\
               1767229200,7,8,n,\"Rain, \"\"snow\"\"\nor sun?\",0.5,2,0.48,0.52\n\
               1767232800,7,8,n,\"Rain, \"\"snow\"\"\nor sun?\",0.6,3,0.6,0.6\n\
               1767236400,7,8,n,,1.5,4,0.4,0.5\n\
               1767240000,7,8,n,,NaN,5,0.4,0.5\n\
               1767243600,7,8,n,,,6,0.4,0.5\n";
    let read = load(&[("p.csv", csv), ("dataset.yaml", "volume_kind: cumulative")]).unwrap();
    let zstd = Compression::ZSTD(ZstdLevel::default());
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, zstd] {
        let bytes = written(&six_rows(), 1, compression);
        let dataset = loaded(&bytes).unwrap();
        let shown = |dataset: &Dataset| format!("{:?}", dataset.series());
        assert_eq!(shown(&dataset), shown(&read));
        let report = dataset.report();
        let skips = |dataset: &Dataset| -> Vec<_> {
            let counted = |(cause, skipped): (_, &super::super::Skipped)| (cause, skipped.count);
            dataset.report().skips.iter().map(counted).collect()
        };
        assert_eq!(skips(&dataset), skips(&read));
        assert_eq!((report.rows, report.odd_quotes), (3, 1));
        assert_eq!(
            report
                .skips
                .get("the price is outside 0 to 1")
                .unwrap()
                .first,
            "p.parquet: row 4: market 7, price 1.5, time 1767236400"
        );
    }
}

#[test]
fn row_groups_follow_each_other() {
    let dataset = loaded(&written(&six_rows(), 3, Compression::SNAPPY)).unwrap();
    let report = dataset.report();
    assert_eq!(
        (report.rows, report.replaced, report.skips.total()),
        (3, 6, 9)
    );
}

#[test]
fn what_is_no_parquet_is_an_error_that_names_the_file() {
    let bytes = written(&six_rows(), 1, Compression::SNAPPY);
    let fails = |bytes: &[u8]| {
        let said = loaded(bytes).unwrap_err().to_string();
        assert!(said.contains("p.parquet"), "{said}");
        said
    };
    fails(b"timestamp,market_id\n");
    fails(&[]);
    fails(&bytes[..bytes.len() - 1]);
    // The last eight bytes say how long the description before them is.
    let mut wrong = bytes.clone();
    let length = wrong.len() - 8;
    wrong[length..length + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    fails(&wrong);
    // Whatever byte is damaged: an error, or rows; no panic.
    for at in (0..bytes.len()).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x5A;
        drop(loaded(&damaged));
    }
    let other = [("int64 a", Data::Int64(vec![Some(1)]))];
    let said = fails_without_prices(&written(&other, 1, Compression::SNAPPY));
    assert!(
        said.contains("p.parquet has neither a column yes_price nor mid"),
        "{said}"
    );
    let bad = [
        ("int64 timestamp", Data::Int64(vec![Some(1_767_225_600)])),
        ("int64 market_id", Data::Int64(vec![Some(1)])),
        ("double yes_price", Data::Double(vec![Some(7.0)])),
    ];
    let said = fails(&written(&bad, 1, Compression::SNAPPY));
    assert!(
        said.contains("no valid row: the price is outside 0 to 1"),
        "{said}"
    );
}

fn fails_without_prices(bytes: &[u8]) -> String {
    loaded(bytes).unwrap_err().to_string()
}

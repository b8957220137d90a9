//! Reading recorded prices: rows per second of [`Dataset::load`], beside the `csv` crate that makes a
//! struct of each row with serde and keeps it (`cargo bench --bench load`).
//!
//! Both read the same files, made up here: 100 markets, a row a minute for each, half of the questions
//! quoted because of a comma. `market` is in the order of the markets, `time` in the order of time.
//!
//! `LOAD_BENCH=DIR` reads that folder instead, and says how long one load takes.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and one whose inputs are unsound has nothing to measure"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use divan::Bencher;
use divan::counter::ItemsCount;
use polymarket_agent::market_data::recorded::{Dataset, DatasetOptions};
use serde::Deserialize;

const MARKETS: usize = 100;
const MINUTES: usize = 3_000;

fn main() {
    if let Ok(dir) = std::env::var("LOAD_BENCH") {
        let start = Instant::now();
        let dataset =
            Dataset::load(Path::new(&dir), DatasetOptions::default()).expect("a recording");
        let seconds = start.elapsed().as_secs_f64();
        let rows = dataset.report().rows;
        println!(
            "{rows} rows of {} markets in {seconds:.3} s: {:.0} rows/s",
            dataset.series().len(),
            rows as f64 / seconds
        );
        return;
    }
    divan::main();
}

fn row(out: &mut impl Write, market: usize, minute: usize) {
    // 2026-01-01T00:00:00Z.
    let (day, hour, of_hour) = (1 + minute / 1_440, minute / 60 % 24, minute % 60);
    let question = match market % 2 {
        0 => format!("\"Will the price be between ${market},000 and ${market},999 on March 1?\""),
        _ => format!("Will the highest temperature in town {market} be 11 degrees on March 1?"),
    };
    let price = 100 + (market * 7 + minute * 13) % 800;
    let token = format!("{:078}", market as u128 * 1_000_000_007);
    let volume = minute * 10;
    writeln!(
        out,
        "2026-01-{day:02}T{hour:02}:{of_hour:02}:00Z,{},{question},0.{price},{volume}.25,{token}",
        600_000 + market
    )
    .expect("the file is written");
}

/// A folder with one file of 300,000 rows.
fn made(by_time: bool) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("p.csv");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    writeln!(
        out,
        "timestamp,market_id,question,yes_price,volume,token_id"
    )
    .expect("written");
    for outer in 0..if by_time { MINUTES } else { MARKETS } {
        for inner in 0..if by_time { MARKETS } else { MINUTES } {
            let (market, minute) = if by_time {
                (inner, outer)
            } else {
                (outer, inner)
            };
            row(&mut out, market, minute);
        }
    }
    out.flush().expect("written");
    (dir, path)
}

fn ours(bencher: Bencher, by_time: bool) {
    let (dir, _path) = made(by_time);
    bencher
        .counter(ItemsCount::new(MARKETS * MINUTES))
        .bench_local(|| Dataset::load(dir.path(), DatasetOptions::default()).expect("a recording"));
}

#[divan::bench(sample_count = 20)]
fn dataset_time(bencher: Bencher) {
    ours(bencher, true);
}

#[divan::bench(sample_count = 20)]
fn dataset_market(bencher: Bencher) {
    ours(bencher, false);
}

/// What a first program would keep of a row.
#[derive(Deserialize)]
#[expect(dead_code, reason = "that it is made is what is measured")]
struct Plain {
    timestamp: String,
    market_id: String,
    question: String,
    yes_price: f64,
    volume: f64,
    token_id: String,
}

#[divan::bench(sample_count = 20)]
fn csv_and_serde(bencher: Bencher) {
    let (_dir, path) = made(true);
    bencher
        .counter(ItemsCount::new(MARKETS * MINUTES))
        .bench_local(|| {
            csv::Reader::from_path(&path)
                .expect("a file")
                .deserialize()
                .collect::<Result<Vec<Plain>, _>>()
                .expect("rows")
        });
}

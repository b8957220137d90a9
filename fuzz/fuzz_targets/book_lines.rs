#![no_main]

use libfuzzer_sys::fuzz_target;
use polymarket_agent::market_data::recorded::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::book_lines(bytes));

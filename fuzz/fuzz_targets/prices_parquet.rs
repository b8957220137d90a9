#![no_main]

use std::sync::Once;

use libfuzzer_sys::fuzz_target;
use polymarket_agent::market_data::recorded::fuzzing;

static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    // The decoder below panics on some damaged files, and the reader turns that into an error. libFuzzer's
    // hook would end the process before; a panic that gets out of the reader ends it all the same.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    fuzzing::prices_parquet(bytes);
});

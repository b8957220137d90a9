//! Doors for the fuzz targets (`fuzz/`, feature `fuzzing`): each reads outside bytes as the program
//! does, and checks what must hold whatever they are.

use std::collections::HashMap;
use std::path::Path;

use tokio_util::bytes::Bytes;

use super::metadata;
use super::parquet;
use super::resolutions;
use super::rows::{self, Content};
use super::skips::Skips;
use crate::market_data::polymarket::ws_messages;

/// Price rows in CSV. Whatever is read lies in order of time once sorted, one row a moment.
///
/// # Panics
///
/// When it does not.
pub fn prices_csv(bytes: &[u8]) {
    checked(rows::read(bytes, Path::new("fuzz.csv"), &|| false).ok());
}

/// Price rows in Parquet, checked likewise.
///
/// # Panics
///
/// When they are not in order.
pub fn prices_parquet(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let open = || Ok(bytes.clone());
    checked(parquet::read(open, Path::new("fuzz.parquet"), &|| false).ok());
}

fn checked(content: Option<Content>) {
    let Some(Content::Prices(file)) = content else {
        return;
    };
    assert!(file.rows() > 0, "a file without rows is an error");
    for mut market in file.markets {
        let rows = market.rows;
        market.sort();
        let count = market.points.len();
        assert!(market.points.is_sorted_by(|a, b| a.at < b.at));
        assert!(market.points.iter().all(|p| (0.0..=1.0).contains(&p.price)));
        assert_eq!(rows, count as u64 + market.replaced);
        for beside in [market.volumes.len(), market.quotes.len()] {
            assert!(beside == 0 || beside == count);
        }
    }
}

/// `resolutions.csv` and `markets.json`: the first byte says which.
pub fn resolutions_and_markets(bytes: &[u8]) {
    let mut skips = Skips::default();
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    // Both say what is wrong with what cannot be read; here only that they come back counts.
    if first % 2 == 0 {
        let mut known = HashMap::new();
        let path = Path::new("resolutions.csv");
        drop(resolutions::read(
            rest,
            path,
            &mut skips,
            &|| false,
            &mut known,
        ));
    } else {
        drop(metadata::read(rest, Path::new("markets.json"), &mut skips));
    }
}

/// Lines of a raw recording of books. Whatever they are, events lie in order of time, levels within the
/// arrays of a replay, and every number of a token, a trade or a turn leads somewhere.
///
/// # Panics
///
/// When they do not.
pub fn book_lines(bytes: &[u8]) {
    use super::books::event::{ASK, HEARD, PRINT, TURN};
    let options = super::books::BookOptions::default();
    let Ok(recording) = super::books::BookRecording::from_lines(bytes, "fuzz.jsonl", options)
    else {
        return;
    };
    let events = recording.events();
    assert!(events.is_sorted_by_key(|event| event.at));
    for event in events {
        let place = usize::try_from(event.size).unwrap_or(usize::MAX);
        match event.kind() {
            HEARD => assert!(event.token() < recording.connections()),
            TURN => assert!(recording.turns().get(place).is_some()),
            kind => {
                let token = recording.tokens().get(event.token());
                assert!(token.is_some());
                let last = token.map_or(0, |token| 1_000_000 / token.step);
                assert!(kind > ASK || event.size >= 0 && (1..last).contains(&event.slot));
                assert!(kind != PRINT || recording.prints().get(place).is_some());
            }
        }
    }
}

/// A frame of the market channel.
pub fn messages(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(ws_messages::frame(text));
    }
}

//! What could be seen of the books at given moments, without anybody trading.

use std::collections::BTreeSet;

use super::state::{Books, Halt};
use crate::backtest::engine::BacktestOptions;
use crate::domain::{Price, Timestamp};
use crate::market_data::recorded::books::BookRecording;

/// Best prices of a token's book.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Best {
    /// Best bid; `None` where there is none, or the book is not to be believed.
    pub bid: Option<Price>,
    /// Best ask, likewise.
    pub ask: Option<Price>,
}

/// By number of the token: its best prices at `moments`, each with the first of the moments from which
/// on they were so, beginning with the first book. A book that is hidden, crossed or older than
/// `risk.max_book_age_seconds` shows none, nor does one of a market that is left out.
///
/// `None` when the run is not wanted any more.
pub fn best_at(
    recording: &BookRecording,
    options: &BacktestOptions<'_>,
    moments: BTreeSet<Timestamp>,
) -> Option<Vec<Vec<(Timestamp, Best)>>> {
    let mut books = Books::new(recording, options);
    let max_age = i64::from(options.trading.risk.max_book_age_seconds) * 1_000;
    let mut seen: Vec<Vec<(Timestamp, Best)>> = vec![Vec::new(); recording.tokens().len()];
    for moment in moments {
        // Nothing is waited for: the loop ends at the moment, or after a chunk.
        while books.advance(moment.millis()) == Halt::Chunk {
            if (options.cancelled)() {
                return None;
            }
        }
        for (number, seen) in (0_u32..).zip(&mut seen) {
            let best = books.best_of(number, moment, max_age);
            let known = seen.last().map(|(_, best)| *best);
            if known.unwrap_or_default() != best {
                seen.push((moment, best));
            }
        }
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::test_support::options;
    use crate::market_data::recorded::books::tests::{START, book, change, read};

    #[test]
    fn each_moment_sees_the_last_change_before_it_and_hides_what_nobody_should_believe() {
        let lines = [
            book("7", 1_000, "0.40x10", "0.50x10"),
            change("7", 2_000, "BUY 0.41 5 0.41 0.5"),
            // An ask below the bid: nothing is believed until the next whole book.
            change("7", 3_000, "SELL 0.39 7 - -"),
            book("7", 4_000, "0.41x5", "0.50x10"),
            change("7", 5_000, "SELL 0.50 0 - -"),
        ];
        let recording = read(&lines.concat());
        let seconds = [0, 1, 2, 3, 4, 5, 36];
        let moments = seconds.map(|second| Timestamp::from_millis(START + second * 1_000));
        let found = best_at(&recording, &options(), moments.into()).unwrap();
        let words: Vec<String> = found[0]
            .iter()
            .map(|(at, best)| {
                let price = |price: Option<Price>| price.map_or("-".to_owned(), |p| p.to_string());
                let (bid, ask) = (price(best.bid), price(best.ask));
                format!("{}: {bid} {ask}", (at.millis() - START) / 1_000)
            })
            .collect();
        // At 36 s the last message is 31 s old, and books of more than 30 s are not traded on.
        assert_eq!(
            words,
            [
                "1: 0.4 0.5",
                "2: 0.41 0.5",
                "3: - -",
                "4: 0.41 0.5",
                "5: 0.41 -",
                "36: - -"
            ]
        );
        let stopped = BacktestOptions {
            cancelled: &|| true,
            ..options()
        };
        assert!(best_at(&recording, &stopped, moments.into()).is_none());
    }
}

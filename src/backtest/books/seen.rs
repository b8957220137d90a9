//! What could be seen of the books at given moments, without anybody trading.

use std::collections::BTreeSet;

use super::state::Books;
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
    /// The last bid that was to be believed, however long ago: what something held counts at.
    pub last_bid: Option<Price>,
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
        // It halts on the way too: after a chunk, and where strategies would look.
        while books
            .next_moment()
            .is_some_and(|next| next <= moment.millis())
        {
            if (options.cancelled)() {
                return None;
            }
            books.advance(moment.millis());
        }
        for (number, seen) in (0_u32..).zip(&mut seen) {
            let known: Best = seen.last().map(|(_, best)| *best).unwrap_or_default();
            let (bid, ask) = books.best_of(number, moment, max_age);
            let (ever, _) = books.best_of(number, moment, i64::MAX);
            let best = Best {
                bid,
                ask,
                last_bid: ever.or(known.last_bid),
            };
            if known != best {
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
    fn the_first_moment_sees_what_changed_long_after_the_beginning() {
        let lines = [
            book("7", 1_000, "0.40x10", "0.50x10"),
            change("7", 70_000, "BUY 0.45 5 0.45 0.5"),
            change("7", 200_000, "SELL 0.50 0 - -"),
            change("7", 200_000, "SELL 0.60 5 0.45 0.6"),
        ];
        let recording = read(&lines.concat());
        let moments = [210, 400].map(|second| Timestamp::from_millis(START + second * 1_000));
        let found = best_at(&recording, &options(), moments.into()).unwrap();
        let price = |text: &str| Price::parse(text).ok();
        let at_210 = Best {
            bid: price("0.45"),
            ask: price("0.60"),
            last_bid: price("0.45"),
        };
        // 200 s after its last message it is not traded on, and counts at its last bid all the same.
        let at_400 = Best {
            bid: None,
            ask: None,
            ..at_210
        };
        let expected: Vec<(Timestamp, Best)> = moments.into_iter().zip([at_210, at_400]).collect();
        assert_eq!(found[0], expected);
    }

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

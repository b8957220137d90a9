//! What of the stream counts, and since when.

use super::*;
use crate::domain::{Level, Price, Shares, Side};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_772_452_800_000 + millis)
}

fn trade(token: &str, millis: i64) -> StreamEvent {
    StreamEvent::Trade {
        token: token.into(),
        side: Some(Side::Sell),
        level: Level {
            price: Price::parse("0.48").unwrap(),
            size: Shares::whole(7),
        },
        at: at(millis),
        transaction: None,
    }
}

fn live(prints: &Prints, token: &str, millis: i64) {
    let token = token.into();
    prints.note(StreamEvent::Live { token }, at(millis), |_| true);
}

fn times(prints: &Prints, token: &str, since: i64) -> Option<Vec<i64>> {
    let found = prints.after(&token.into(), at(since))?;
    Some(found.iter().map(|print| print.at.since(at(0))).collect())
}

#[test]
fn trades_count_from_the_moment_on_that_the_stream_covers() {
    let prints = Prints::default();
    prints.note(trade("t", 50), at(50), |_| true);
    assert_eq!(times(&prints, "t", 0), None, "not live yet");
    live(&prints, "t", 100);
    prints.note(trade("t", 150), at(151), |_| true);
    prints.note(trade("t", 160), at(161), |_| true);
    assert_eq!(
        times(&prints, "t", 99),
        None,
        "what came before is not known"
    );
    assert_eq!(times(&prints, "t", 100), Some(vec![150, 160]));
    assert_eq!(times(&prints, "t", 150), Some(vec![160]));
}

#[test]
fn a_break_ends_what_was_covered() {
    let prints = Prints::default();
    live(&prints, "t", 100);
    live(&prints, "u", 100);
    let tokens = vec!["t".into()];
    prints.note(StreamEvent::Broken { tokens }, at(200), |_| true);
    assert_eq!(times(&prints, "t", 150), None);
    assert_eq!(times(&prints, "u", 150), Some(vec![]));
    live(&prints, "t", 300);
    assert_eq!(times(&prints, "t", 250), None);
    assert_eq!(times(&prints, "t", 300), Some(vec![]));
    prints.keep_only(&["t".into()]);
    assert_eq!(times(&prints, "u", 150), None);
    prints.forget();
    assert_eq!(times(&prints, "t", 300), None);
}

#[test]
fn tokens_without_orders_keep_nothing_and_the_others_not_too_much() {
    let prints = Prints::default();
    live(&prints, "t", 0);
    prints.note(trade("t", 10), at(11), |_| false);
    assert_eq!(times(&prints, "t", 5), None, "a trade was let go");
    assert_eq!(times(&prints, "t", 11), Some(vec![]));
    for millis in 0..=2_000 {
        prints.note(trade("t", 100 + millis), at(100 + millis), |_| true);
    }
    assert_eq!(times(&prints, "t", 99), None, "the oldest is gone");
    let kept = times(&prints, "t", 100).unwrap();
    assert_eq!((kept.len(), kept[0]), (2_000, 101));
}

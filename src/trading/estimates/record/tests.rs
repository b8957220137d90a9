use proptest::prelude::*;

use super::*;
use crate::trading::test_support::p;

fn point(stated: f64, payout: &str, weight: f64, market: Option<f64>) -> Point {
    Point {
        stated,
        payout: p(payout),
        weight,
        market,
    }
}

fn record(points: &[(&str, Point)]) -> AuthorRecord {
    let mut record = AuthorRecord::default();
    for (market, point) in points {
        record.add(&MarketId::new(market), *point);
    }
    record
}

fn close(a: Option<f64>, b: f64) {
    assert!(a.is_some_and(|a| (a - b).abs() < 1e-12), "{a:?} is not {b}");
}

#[test]
fn a_record_by_hand() {
    let record = record(&[
        ("a", point(0.8, "1", 0.75, Some(0.6))),
        ("a", point(0.4, "1", 0.25, None)),
        ("b", point(0.7, "0", 1.0, Some(0.5))),
        // Counts for nothing, and makes no resolved market.
        ("c", point(0.99, "1", 0.0, Some(0.5))),
    ]);
    let summary = record.summary();
    assert_eq!((summary.resolved, summary.estimates), (2, 3));
    // (0.75 × 0.04 + 0.25 × 0.36 + 0.49) / 2 = 0.305
    close(summary.brier, 0.305);
    // (0.75 × 0.223144 + 0.25 × 0.916291 + 1.203973) / 2
    close(
        summary.log_score,
        (0.75 * 0.223_143_551_314_209_7 + 0.25 * 0.916_290_731_874_155 + 1.203_972_804_325_936)
            / 2.0,
    );
    let beside = summary.against_market.unwrap();
    // Own: (0.75 × 0.04 + 0.49) / 1.75; market: (0.75 × 0.16 + 0.25) / 1.75.
    assert_eq!(beside.markets, 1.75);
    close(Some(beside.brier), 0.52 / 1.75);
    close(Some(beside.market_brier), 0.37 / 1.75);
    close(beside.skill, 1.0 - 0.52 / 0.37);
    let expected = [
        (0.4, 1, 0.25, 0.4, 1.0),
        (0.7, 1, 1.0, 0.7, 0.0),
        (0.8, 1, 0.75, 0.8, 1.0),
    ];
    assert_eq!(summary.bins.len(), expected.len());
    for (bin, (from, n, weight, predicted, observed)) in summary.bins.iter().zip(expected) {
        assert_eq!((bin.from, bin.n, bin.weight), (from, n, weight));
        close(Some(bin.predicted), predicted);
        close(Some(bin.observed), observed);
    }
    assert_eq!(
        record.calibration().to_string(),
        "identity: 2 of 30 resolved"
    );
}

#[test]
fn without_a_resolved_market_nothing_is_said() {
    let summary = AuthorRecord::default().summary();
    assert_eq!((summary.brier, summary.log_score), (None, None));
    assert_eq!(summary.against_market, None);
    assert!(summary.bins.is_empty());
}

#[test]
fn a_market_that_made_no_error_has_no_skill_to_compare_with() {
    let beside = record(&[("a", point(0.8, "1", 1.0, Some(1.0)))])
        .summary()
        .against_market
        .unwrap();
    assert_eq!((beside.market_brier, beside.skill), (0.0, None));
}

#[test]
fn old_markets_leave_their_sums() {
    let mut record = AuthorRecord::default();
    for number in 0..1_500 {
        let payout = if number % 4 == 0 { "1" } else { "0" };
        record.add(
            &MarketId::new(format!("{number:05}")),
            point(0.5, payout, 1.0, Some(0.25)),
        );
    }
    assert_eq!((record.recent.len(), record.older.markets), (1_000, 500));
    assert_eq!(record.resolved(), 1_500);
    assert_eq!(record.calibration().resolved, 1_500);
    let summary = record.summary();
    close(summary.brier, 0.25);
    // 0.25 × 0.75² + 0.75 × 0.25² = 0.1875
    close(
        summary.against_market.map(|beside| beside.market_brier),
        0.1875,
    );
    assert_eq!(summary.bins.len(), 1);
    assert_eq!((summary.bins[0].n, summary.bins[0].observed), (1_500, 0.25));
}

#[test]
fn a_record_survives_being_written_down() {
    let mut record = AuthorRecord::default();
    for number in 0..40 {
        let payout = if number % 3 == 0 { "1" } else { "0" };
        let stated = 0.1 + f64::from(number) / 50.0;
        record.add(
            &MarketId::new(format!("m{number}")),
            point(stated, payout, 1.0 / 3.0, Some(stated / 1.1)),
        );
    }
    let text = serde_json::to_string(&record).unwrap();
    let read: AuthorRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(read, record);
    assert_eq!(read.calibration(), record.calibration());
    assert_eq!(read.summary(), record.summary());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// To the last digit: sums run by market, not as markets happened to resolve.
    #[test]
    fn the_order_in_which_markets_resolve_changes_nothing(
        markets in prop::collection::vec(
            (0.01..0.99_f64, prop::sample::select(vec!["0", "0.5", "1"]), 0.01..1.0_f64),
            1..60,
        ),
        seed in any::<u64>(),
    ) {
        let mut points: Vec<(String, Point)> = markets
            .iter()
            .enumerate()
            .map(|(n, (stated, payout, weight))| {
                (format!("m{n}"), point(*stated, payout, *weight, Some(1.0 - stated)))
            })
            .collect();
        let add = |points: &[(String, Point)]| {
            let mut record = AuthorRecord::default();
            for (market, point) in points {
                record.add(&MarketId::new(market), *point);
            }
            record
        };
        let straight = add(&points);
        points.sort_by_key(|(market, _)| {
            market.bytes().fold(seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
        });
        let shuffled = add(&points);
        prop_assert_eq!(straight.summary(), shuffled.summary());
        prop_assert_eq!(straight.calibration(), shuffled.calibration());
    }

    #[test]
    fn scores_stay_within_their_bounds(
        stated in 1e-12..1.0_f64,
        payout in prop::sample::select(vec!["0", "0.5", "1"]),
    ) {
        let payout = p(payout);
        let (square, log) = (brier(stated, payout), log_score(stated, payout));
        prop_assert!((0.0..=1.0).contains(&square), "{square}");
        prop_assert!((0.0..=13.82).contains(&log), "{log}");
    }
}

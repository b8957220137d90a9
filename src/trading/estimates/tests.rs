use super::*;
use crate::domain::Timestamp;
use crate::trading::test_support::{NOON, after, p};

fn estimate(market: &str, author: &str, at: Timestamp) -> Estimate {
    Estimate {
        market_id: market.into(),
        token_id: format!("{market}-yes").as_str().into(),
        outcome: "Yes".into(),
        probability: 0.7,
        confidence: None,
        author: author.to_owned(),
        rationale: "long".to_owned(),
        ask_then: Some(p("0.62")),
        bid_then: Some(p("0.58")),
        created_at: at,
        expires_at: at.plus_millis(1),
    }
}

fn scored(estimate: &Estimate) -> Scored<'_> {
    Scored {
        estimate,
        payout: p("1"),
        brier: score::brier(0.7, p("1")),
        log_score: score::log_score(0.7, p("1")),
        weight: 1.0,
    }
}

#[test]
fn an_estimate_is_scored_once_and_only_as_it_was_stored() {
    let mut scoring = Scoring::default();
    let given = estimate("m", "ann", NOON);
    scoring.store(&given);
    assert_eq!(scoring.pending(&"m".into())[0].rationale, "");
    assert_eq!(scoring.pending_by_author(), BTreeMap::from([("ann", 1)]));
    let before = scoring.clone();
    for other in [
        estimate("other", "ann", NOON),
        estimate("m", "bob", NOON),
        estimate("m", "ann", after(1)),
        Estimate {
            probability: 0.71,
            ..given.clone()
        },
        Estimate {
            token_id: "m-no".into(),
            ..given.clone()
        },
        Estimate {
            bid_then: None,
            ..given.clone()
        },
    ] {
        assert_eq!(
            scoring.score(&scored(&other)),
            Err("it was not stored, or scored before")
        );
    }
    for wrong in [
        Scored {
            payout: p("0"),
            ..scored(&given)
        },
        Scored {
            log_score: 0.3,
            ..scored(&given)
        },
    ] {
        assert_eq!(
            scoring.score(&wrong),
            Err("its score is not what payout and probability give")
        );
    }
    for weight in [-0.1, 1.1, f64::NAN] {
        let wrong = Scored {
            weight,
            ..scored(&given)
        };
        assert_eq!(
            scoring.score(&wrong),
            Err("its weight is not between 0 and 1")
        );
    }
    assert_eq!(scoring, before);
    scoring.score(&scored(&given)).unwrap();
    assert!(!scoring.waits_for(&"m".into()));
    assert_eq!(
        scoring.score(&scored(&given)),
        Err("it was not stored, or scored before")
    );
    assert_eq!(scoring.authors()["ann"].resolved(), 1);
}

#[test]
fn the_market_thought_the_middle_of_bid_and_ask() {
    let given = estimate("m", "ann", NOON);
    assert_eq!(score::market_then(&given), Some(0.6));
    let crossed = Estimate {
        bid_then: Some(p("0.63")),
        ..given.clone()
    };
    assert_eq!(score::market_then(&crossed), None);
    let one_sided = Estimate {
        ask_then: None,
        ..given
    };
    assert_eq!(score::market_then(&one_sided), None);
}

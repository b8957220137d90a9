//! Date ladders.

use super::*;
use crate::domain::Timestamp;

/// A rung of event `w`: the date in words, Yes ask and No ask, 100 shares each.
fn rung(id: &str, date: &str, yes: &str, no: &str) -> MarketBuilder {
    market(id)
        .asks("w", &format!("Will Norvale ratify treaty 12 {date}?"))
        .yes(&[("0.01", 10)], &[(yes, 100)])
        .no(&[("0.01", 10)], &[(no, 100)])
}

/// Yes of the later date for 0.30 and No of the earlier one for 0.62: 0.92 together.
fn broken() -> Vec<MarketBuilder> {
    vec![
        rung("a", "by March 31, 2027", "0.40", "0.62"),
        rung("b", "by June 30, 2027", "0.30", "0.72"),
    ]
}

/// The causes, beside those of the markets' own pairs.
#[track_caller]
fn ladder_passes(builders: Vec<MarketBuilder>, cause: &str) {
    let analysis = analyze(&views(builders), ArbitrageurParams::default());
    assert!(analysis.intents.is_empty(), "{:?}", analysis.intents);
    assert_eq!(analysis.passed_over.get(cause), Some(&1), "{analysis:?}");
}

/// No ladder at all: nothing but the markets' own pairs is looked at.
#[track_caller]
fn no_ladder(builders: Vec<MarketBuilder>) {
    let count = u32::try_from(builders.len()).unwrap();
    let analysis = analyze(&views(builders), ArbitrageurParams::default());
    assert!(analysis.intents.is_empty(), "{:?}", analysis.intents);
    assert_eq!(analysis.looked_at, count, "{analysis:?}");
}

/// What the sandbox plants, in its words: no year in the question, one event, one text of rules,
/// the second date quoted 0.08 below the first. With a fee of 0.04 × p × (1 − p):
///
/// | sets | Yes (later) | No (earlier) | asks | fees | left of 1 |
/// |---|---|---|---|---|---|
/// | 30 | 0.30 | 0.62 | 0.92 | 0.008400 + 0.009424 | 0.062176 |
/// | 10 | 0.33 | 0.62 | 0.95 | 0.008844 + 0.009424 | 0.031732 |
/// | none | 0.33 | 0.64 | 0.97 | 0.008844 + 0.009216 | 0.011940 |
///
/// 40 sets leave 30 × 0.062176 + 10 × 0.031732 = 2.1826, 0.054565 each.
#[test]
fn a_planted_ladder_is_found_and_bought_by_both_legs() {
    let sandbox = |id: &str, date: &str, end: &str| {
        market(id)
            .asks(
                "sim-7",
                &format!("[SIM] Will Norvale ratify treaty 12 by {date}?"),
            )
            .fee("0.04")
            .with(|market| {
                market.end = Timestamp::parse(end);
                market.description = Some(
                    "Simulated market of a sandbox exchange. It resolves Yes early if it has \
                     happened by an earlier date."
                        .to_owned(),
                );
            })
    };
    let ladder = vec![
        sandbox("a", "December 5", "2026-12-05T12:00:00Z")
            .yes(&[("0.36", 40)], &[("0.38", 100)])
            .no(&[("0.60", 100)], &[("0.62", 40), ("0.64", 100)]),
        sandbox("b", "December 15", "2026-12-15T12:00:00Z")
            .yes(&[("0.28", 100)], &[("0.30", 30), ("0.33", 100)])
            .no(&[("0.67", 100)], &[("0.72", 100)]),
        sandbox("c", "December 25", "2026-12-25T12:00:00Z")
            .yes(&[("0.60", 100)], &[("0.62", 100)])
            .no(&[("0.38", 100)], &[("0.40", 100)]),
    ];
    let params = ArbitrageurParams {
        order_size: 50.0,
        ..ArbitrageurParams::default()
    };
    let analysis = analyze(&views(ladder), params);
    assert_eq!(analysis.looked_at, 4, "three pairs and the ladder");
    let basket = baskets(&analysis)[0];
    assert_eq!(tokens(basket), ["a-no", "b-yes"], "the thin leg goes first");
    assert_eq!(basket.legs[0].limit, price("0.62"));
    assert_eq!(basket.legs[0].depth, Shares::whole(40));
    assert_eq!(basket.legs[1].limit, price("0.33"));
    assert_eq!(basket.legs[1].depth, Shares::whole(130));
    assert_eq!(basket.shares, Shares::whole(40));
    assert_eq!(basket.event_id, Some(EventId::new("sim-7")));
    close(basket.payout, 1.0);
    // Each fee is rounded up to a micro-unit a share.
    assert!((basket.edge - 0.054_565).abs() < 4e-6, "{}", basket.edge);
    assert!(
        basket
            .reason
            .starts_with("Yes by 2026-12-15 and No by 2026-12-05: 2 outcomes cost 0.9275"),
        "{}",
        basket.reason
    );
}

/// In each state of the world the legs pay at least 1, 50/50 included; the payouts here are what
/// the venue pays for a share.
#[test]
fn the_set_pays_at_least_one_in_every_state() {
    for (earlier, later) in [
        (0.0, 0.0),
        (0.0, 1.0),
        (1.0, 1.0),
        (0.5, 0.5),
        (0.0, 0.5),
        (0.5, 1.0),
    ] {
        assert!(later + (1.0 - earlier) >= 1.0, "{earlier} {later}");
    }
    let analysis = analyze(&views(broken()), ArbitrageurParams::default());
    let basket = baskets(&analysis)[0];
    assert_eq!(tokens(basket), ["a-no", "b-yes"]);
    close(basket.edge, 0.08);
    // 25 / 0.92 = 27.1739
    assert_eq!(basket.shares, shares("27.17"));
}

/// Fault 20 of the original: its cross-market projection measured an independence model. Here
/// nothing is modelled: in order, whatever the distance between the dates, there is no trade.
#[test]
fn fault_20_prices_in_the_right_order_are_no_arbitrage() {
    let ordered = vec![
        rung("a", "by March 31, 2027", "0.30", "0.72"),
        rung("b", "by June 30, 2027", "0.90", "0.11"),
    ];
    let analysis = analyze(&views(ordered), ArbitrageurParams::default());
    assert_eq!(analysis.looked_at, 3, "two pairs and the ladder");
    assert_eq!(
        analysis.passed_over,
        BTreeMap::from([("asks within 0.02 of the payout".to_owned(), 3)])
    );
    // The deviation is there, the fee eats it: 0.66 + 0.30 + 0.04 × (0.2244 + 0.21) = 0.977376.
    let dear = |id: &str, date: &str, yes: &str, no: &str| rung(id, date, yes, no).fee("0.04");
    ladder_passes(
        vec![
            dear("a", "by March 31, 2027", "0.40", "0.66"),
            dear("b", "by June 30, 2027", "0.30", "0.72"),
        ],
        "deviation 0.03 not reached after fees",
    );
}

#[test]
fn of_several_pairs_the_one_with_the_largest_edge_is_bought() {
    let mut three = broken();
    three.push(rung("c", "by end of 2027", "0.25", "0.76"));
    let analysis = analyze(&views(three), ArbitrageurParams::default());
    let found = baskets(&analysis);
    assert_eq!(found.len(), 1, "one set of a ladder at a time");
    // 0.62 + 0.25 = 0.87, against 0.92 and 0.97.
    assert_eq!(tokens(found[0]), ["a-no", "c-yes"]);
    close(found[0].edge, 0.13);
}

#[test]
fn by_and_before_are_never_one_ladder() {
    no_ladder(vec![
        rung("a", "by March 31, 2027", "0.40", "0.62"),
        rung("b", "before June 30, 2027", "0.30", "0.72"),
    ]);
    let analysis = analyze(
        &views(vec![
            rung("a", "before April 2027", "0.40", "0.62"),
            rung("b", "before 2028", "0.30", "0.72"),
        ]),
        ArbitrageurParams::default(),
    );
    assert_eq!(tokens(baskets(&analysis)[0]), ["a-no", "b-yes"]);
}

#[test]
fn in_a_month_is_no_ladder() {
    no_ladder(vec![
        rung("a", "in March 2027", "0.40", "0.62"),
        rung("b", "in June 2027", "0.30", "0.72"),
    ]);
}

#[test]
fn markets_of_different_events_or_questions_are_no_ladder() {
    let mut apart = broken();
    apart[1] = rung("b", "by June 30, 2027", "0.30", "0.72")
        .asks("v", "Will Norvale ratify treaty 12 by June 30, 2027?");
    no_ladder(apart);
    let mut other = broken();
    other[1] = rung("b", "by June 30, 2027", "0.30", "0.72")
        .asks("w", "Will Norvale ratify treaty 13 by June 30, 2027?");
    no_ladder(other);
    // Members of a neg-risk event exclude each other; that event is looked at as one.
    let exclusive = broken()
        .into_iter()
        .map(|rung| rung.with(|market| market.neg_risk = true))
        .collect();
    let analysis = analyze(&views(exclusive), ArbitrageurParams::default());
    assert!(analysis.intents.is_empty());
    assert_eq!(analysis.looked_at, 3);
    assert_eq!(
        analysis
            .passed_over
            .get("fewer than 3 outcomes of the event in view"),
        Some(&1)
    );
}

#[test]
fn a_recording_without_events_has_ladders_too() {
    let bare = broken()
        .into_iter()
        .map(|rung| rung.with(|market| market.event_id = None))
        .collect();
    let analysis = analyze(&views(bare), ArbitrageurParams::default());
    assert_eq!(baskets(&analysis)[0].event_id, None);
}

#[test]
fn rules_that_differ_in_more_than_the_date_are_no_ladder() {
    let with_rules = |rules: [&str; 2]| -> Vec<MarketBuilder> {
        broken()
            .into_iter()
            .zip(rules)
            .map(|(rung, text)| rung.with(|market| market.description = Some(text.to_owned())))
            .collect()
    };
    let same = with_rules([
        "Yes if ratified between March 1, 2026 and March 31, 2027, 11:59 PM ET.",
        "Yes if ratified between March 1, 2026 and June 30, 2027, 11:59 PM ET.",
    ]);
    assert_eq!(
        analyze(&views(same), ArbitrageurParams::default())
            .intents
            .len(),
        1
    );
    // What happens in March or April 2026 counts for the earlier date only.
    ladder_passes(
        with_rules([
            "Yes if ratified between March 1, 2026 and March 31, 2027, 11:59 PM ET.",
            "Yes if ratified between May 1, 2026 and June 30, 2027, 11:59 PM ET.",
        ]),
        "rules of the ladder's markets differ in more than the date",
    );
    let mut half_known = broken();
    half_known[0] = rung("a", "by March 31, 2027", "0.40", "0.62")
        .with(|market| market.description = Some("Yes if signed.".to_owned()));
    ladder_passes(
        half_known,
        "rules of the ladder's markets differ in more than the date",
    );
}

#[test]
fn a_date_that_cannot_be_told_is_counted_and_not_traded() {
    let unclear = "what the question's date means cannot be told for certain";
    // No year, and no end to take it from.
    let mut yearless = broken();
    yearless[0] = rung("a", "by March 31", "0.40", "0.62");
    ladder_passes(yearless, unclear);
    // Later is not likelier where nothing may happen.
    let mut negative = broken();
    negative[1] = rung("b", "", "0.30", "0.72")
        .asks("w", "Will Norvale not ratify treaty 12 by June 30, 2027?");
    ladder_passes(negative, unclear);
    // A single question with such a date is nobody's rung.
    no_ladder(vec![rung("a", "by March 31", "0.40", "0.62")]);
}

#[test]
fn one_date_twice_is_in_no_order() {
    ladder_passes(
        vec![
            rung("a", "by March 31, 2027", "0.40", "0.62"),
            rung("b", "by end of March 2027", "0.30", "0.72"),
        ],
        "dates of the ladder cannot be put in order",
    );
}

#[test]
fn a_market_is_never_in_a_pair_and_in_a_ladder() {
    let mut both = broken();
    // 0.40 + 0.50 pays by itself.
    both[0] = rung("a", "by March 31, 2027", "0.40", "0.50");
    let analysis = analyze(&views(both), ArbitrageurParams::default());
    let found = baskets(&analysis);
    assert_eq!(found.len(), 1);
    assert_eq!(tokens(found[0]), ["a-no", "a-yes"]);
    assert_eq!(
        analysis
            .passed_over
            .get("a market of the ladder is bought in another set"),
        Some(&1)
    );
}

#[test]
fn ladders_can_be_switched_off() {
    let off = ArbitrageurParams {
        date_ladders: false,
        ..ArbitrageurParams::default()
    };
    let analysis = analyze(&views(broken()), off);
    assert!(analysis.intents.is_empty());
    assert_eq!(analysis.looked_at, 2, "pairs only");
}

#[test]
fn a_rung_that_cannot_be_traded_is_none() {
    let mut closed = broken();
    closed[1] = rung("b", "by June 30, 2027", "0.30", "0.72")
        .with(|market| market.status = MarketStatus::Closed);
    no_ladder(closed);
    let mut named = broken();
    named[1] = rung("b", "by June 30, 2027", "0.30", "0.72")
        .with(|market| market.outcomes[0].name = "Up".into());
    no_ladder(named);
}

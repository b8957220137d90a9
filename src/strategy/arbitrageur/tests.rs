use std::collections::BTreeMap;

use super::super::cause;
use super::super::test_support::{MarketBuilder, World, close, market, price, shares, world};
use super::*;
use crate::domain::{Basket, MarketStatus, Shares, TokenId};

/// A pair with these asks, 200 Yes and 100 No on offer.
fn pair(id: &str, yes: &str, no: &str) -> MarketBuilder {
    market(id)
        .yes(&[("0.01", 10)], &[(yes, 200)])
        .no(&[("0.01", 10)], &[(no, 100)])
}

/// A member of event `e`: Yes bid and ask, No bid and ask.
fn member(id: &str, yes: (&str, &str), no: (&str, &str)) -> MarketBuilder {
    market(id)
        .event("e")
        .yes(&[(yes.0, 100)], &[(yes.1, 100)])
        .no(&[(no.0, 100)], &[(no.1, 100)])
}

/// Yes asks 0.40 + 0.30 + 0.22 = 0.92, mids 0.395 + 0.295 + 0.215 = 0.905; no pair pays.
fn cheap_event() -> Vec<MarketBuilder> {
    vec![
        member("a", ("0.39", "0.40"), ("0.60", "0.61")),
        member("b", ("0.29", "0.30"), ("0.70", "0.71")),
        member("c", ("0.21", "0.22"), ("0.78", "0.79")),
    ]
}

/// No asks 0.55 + 0.65 + 0.70 = 1.90 for a payout of 2; Yes mids 0.455 + 0.355 + 0.305 = 1.115.
fn dear_event() -> Vec<MarketBuilder> {
    vec![
        member("a", ("0.45", "0.46"), ("0.54", "0.55")),
        member("b", ("0.35", "0.36"), ("0.64", "0.65")),
        member("c", ("0.30", "0.31"), ("0.69", "0.70")),
    ]
}

fn trusting() -> ArbitrageurParams {
    ArbitrageurParams {
        trust_event_sets: true,
        ..ArbitrageurParams::default()
    }
}

fn views(builders: Vec<MarketBuilder>) -> World {
    world(builders.into_iter().map(MarketBuilder::view).collect())
}

fn analyze(world: &World, params: ArbitrageurParams) -> Analysis {
    let analysis = Arbitrageur::new(params)
        .unwrap()
        .analyze(&world.context())
        .unwrap();
    let passed: u32 = analysis.passed_over.values().sum();
    assert_eq!(
        usize::try_from(analysis.looked_at - passed).unwrap(),
        analysis.intents.len()
    );
    analysis
}

fn baskets(analysis: &Analysis) -> Vec<&Basket> {
    analysis
        .intents
        .iter()
        .map(|intent| match intent {
            Intent::Basket(basket) => basket,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn tokens(basket: &Basket) -> Vec<&str> {
    basket
        .legs
        .iter()
        .map(|leg| leg.token_id.as_str())
        .collect()
}

#[track_caller]
fn passes(builder: MarketBuilder, cause: &str) {
    let analysis = analyze(&views(vec![builder]), ArbitrageurParams::default());
    assert!(analysis.intents.is_empty(), "{:?}", analysis.intents);
    assert_eq!(
        analysis.passed_over,
        BTreeMap::from([(cause.to_owned(), 1)])
    );
}

/// The cause of the event, beside those of its pairs.
#[track_caller]
fn event_passes(builders: Vec<MarketBuilder>, params: ArbitrageurParams, cause: &str) {
    let analysis = analyze(&views(builders), params);
    assert!(analysis.intents.is_empty(), "{:?}", analysis.intents);
    assert_eq!(analysis.passed_over.get(cause), Some(&1), "{analysis:?}");
}

/// Fault 18 of the original: it bought one leg only, at mids, without a fee.
#[test]
fn fault_18_both_outcomes_are_bought_in_equal_numbers() {
    // 0.45 + 0.50 = 0.95, fee 0.02 × (0.2475 + 0.25) = 0.00995, edge 0.04005.
    let analysis = analyze(
        &views(vec![pair("m", "0.45", "0.50").fee("0.02")]),
        ArbitrageurParams::default(),
    );
    let basket = baskets(&analysis)[0];
    assert_eq!(tokens(basket), ["m-no", "m-yes"], "the thin leg goes first");
    assert_eq!(basket.legs[0].limit, price("0.5"));
    assert_eq!(basket.legs[0].depth, Shares::whole(100));
    assert_eq!(basket.legs[1].limit, price("0.45"));
    assert_eq!(basket.legs[1].depth, Shares::whole(200));
    close(basket.edge, 0.04005);
    close(basket.payout, 1.0);
    // 25 / 0.95995 = 26.0430
    assert_eq!(basket.shares, shares("26.04"));
    // 0.5 × 0.04005 / 0.03
    assert_eq!(basket.confidence, 0.6675);
    assert_eq!(basket.event_id, None);
    assert_eq!(
        basket.reason,
        "2 outcomes cost 0.9500 + fees 0.0100 and pay 1; edge 0.0401 a set"
    );
}

#[test]
fn fault_18_a_sum_above_one_or_mids_below_one_are_no_arbitrage() {
    // HEAD of the original bought the cheapest outcome here.
    passes(pair("m", "0.55", "0.50"), "asks within 0.02 of the payout");
    // Mids 0.40 + 0.50 sum to 0.90; the asks, which are paid, to 1.00.
    let wide = market("m")
        .yes(&[("0.30", 99)], &[("0.50", 99)])
        .no(&[("0.50", 99)], &[("0.50", 99)]);
    passes(wide, "crossed book");
    let wide = market("m")
        .yes(&[("0.30", 99)], &[("0.50", 99)])
        .no(&[("0.45", 99)], &[("0.50", 99)]);
    passes(wide, "asks within 0.02 of the payout");
}

/// Fault 19: the divergence measured there was optimiser error. Here the edge is arithmetic: over
/// every pair of asks in whole cents it is 1 − sum, and nothing else fires.
#[test]
fn fault_19_the_edge_is_the_deviation_of_the_asks_and_nothing_else() {
    let mut fired = 0;
    for yes in 2..98_u32 {
        for sum in [80, 90, 96, 97, 98, 99, 100, 104, 120_u32] {
            let Some(no) = sum.checked_sub(yes).filter(|no| (2..98).contains(no)) else {
                continue;
            };
            let text = |cents: u32| format!("0.{cents:02}");
            // Large enough that no leg is below the venue's 1 pUSD.
            let large = ArbitrageurParams {
                order_size: 100.0,
                ..ArbitrageurParams::default()
            };
            let analysis = analyze(&views(vec![pair("m", &text(yes), &text(no))]), large);
            assert_eq!(analysis.intents.is_empty(), sum > 97, "{yes} + {no}");
            for basket in baskets(&analysis) {
                close(basket.edge, 1.0 - f64::from(sum) / 100.0);
                fired += 1;
            }
        }
    }
    // Pairs with both asks in 2..=97: 77 for a sum of 80, 87 for 90, 93 for 96, 94 for 97.
    assert_eq!(fired, 77 + 87 + 93 + 94);
}

#[test]
fn both_original_parameters_must_be_met() {
    // Deviation 0.03 before fees: beyond the tolerance, and just enough.
    let analysis = analyze(
        &views(vec![pair("m", "0.47", "0.50")]),
        ArbitrageurParams::default(),
    );
    assert_eq!(baskets(&analysis)[0].confidence, 0.5);
    // Any fee takes it below min_deviation.
    passes(
        pair("m", "0.47", "0.50").fee("0.01"),
        "deviation 0.03 not reached after fees",
    );
    passes(pair("m", "0.48", "0.50"), "asks within 0.02 of the payout");
    let tolerant = ArbitrageurParams {
        price_sum_tolerance: 0.06,
        ..ArbitrageurParams::default()
    };
    let analysis = analyze(&views(vec![pair("m", "0.45", "0.50")]), tolerant);
    assert_eq!(
        analysis.passed_over.get("asks within 0.06 of the payout"),
        Some(&1)
    );
}

#[test]
fn the_set_is_as_large_as_the_thinnest_leg() {
    let thin = market("m")
        .yes(&[], &[("0.45", 200)])
        .no(&[], &[("0.50", 7), ("0.53", 500)]);
    let analysis = analyze(&views(vec![thin]), ArbitrageurParams::default());
    // At 0.45 + 0.53 the next set would leave 0.02 only.
    assert_eq!(baskets(&analysis)[0].shares, Shares::whole(7));
    let too_thin = market("m")
        .yes(&[], &[("0.45", 200)])
        .no(&[], &[("0.50", 4), ("0.53", 500)]);
    passes(too_thin, "too little offered for a set");
}

/// Both legs go up their asks as long as the next set still leaves the edge, fees included.
#[test]
fn sets_are_bought_level_by_level_while_each_one_pays() {
    let deep = market("m")
        .yes(&[], &[("0.45", 10), ("0.46", 200)])
        .no(&[], &[("0.50", 7), ("0.51", 8), ("0.52", 500)]);
    let analysis = analyze(&views(vec![deep]), ArbitrageurParams::default());
    let basket = baskets(&analysis)[0];
    // 7 at 0.45 + 0.50, 3 at 0.45 + 0.51, 5 at 0.46 + 0.51 (0.03 left); 0.46 + 0.52 leaves 0.02.
    assert_eq!(basket.shares, Shares::whole(15));
    // 15 − (7 × 0.95 + 3 × 0.96 + 5 × 0.97) = 15 − 14.38 = 0.62, over 15 sets.
    close(basket.edge, 0.62 / 15.0);
    assert_eq!(tokens(basket), ["m-no", "m-yes"]);
    assert_eq!(basket.legs[0].limit, price("0.51"));
    assert_eq!(basket.legs[0].depth, Shares::whole(15));
    assert_eq!(basket.legs[1].limit, price("0.46"));
    assert_eq!(basket.legs[1].depth, Shares::whole(210));
    // With 10 pUSD: 6.65 + 2.88 for ten sets, then 0.47 / 0.97 = 0.4845 of another one.
    let deep = market("m")
        .yes(&[], &[("0.45", 10), ("0.46", 200)])
        .no(&[], &[("0.50", 7), ("0.51", 8), ("0.52", 500)]);
    let small = ArbitrageurParams {
        order_size: 10.0,
        ..ArbitrageurParams::default()
    };
    let analysis = analyze(&views(vec![deep]), small);
    assert_eq!(baskets(&analysis)[0].shares, shares("10.48"));
}

/// The fee of each level counts: at 0.50 a rate of 0.04 costs 0.01, at 0.45 0.0099.
#[test]
fn a_level_that_only_the_fee_spoils_is_not_reached_for() {
    let deep = |rate: &str| {
        let builder = market("m")
            .fee(rate)
            .yes(&[], &[("0.45", 200)])
            .no(&[], &[("0.49", 10), ("0.50", 200)]);
        let analysis = analyze(&views(vec![builder]), ArbitrageurParams::default());
        baskets(&analysis)[0].shares
    };
    // Free: the next set at 0.95 leaves 0.05, and 25 pUSD buy 10 + 15.6 / 0.95 = 26.42.
    assert_eq!(deep("0"), shares("26.42"));
    // 1 − 0.95 − 0.0199 = 0.0301 is enough; at 0.05 the fees are 0.024875 and 0.0251 is left.
    assert!(deep("0.04") > Shares::whole(10));
    assert_eq!(deep("0.05"), Shares::whole(10));
}

#[test]
fn a_leg_that_the_venue_would_refuse_is_not_planned() {
    // 26 sets of 0.02 + 0.90 are 0.54 pUSD of the first outcome.
    passes(
        pair("m", "0.02", "0.90"),
        "a leg would cost less than 1 pUSD",
    );
}

#[test]
fn pairs_that_cannot_be_bought_whole_are_passed_over() {
    passes(
        pair("m", "0.40", "0.50").with(|market| market.status = MarketStatus::Paused),
        cause::NOT_OPEN,
    );
    passes(
        pair("m", "0.40", "0.50").with(|market| market.placeholder = true),
        cause::PLACEHOLDER,
    );
    passes(market("m").yes(&[], &[("0.40", 9)]), cause::NO_BOOK);
    passes(
        market("m").yes(&[], &[("0.40", 9)]).no(&[("0.4", 9)], &[]),
        cause::NOTHING_OFFERED,
    );
    passes(
        pair("m", "0.40", "0.50").yes(&[("0.41", 9)], &[("0.40", 9)]),
        cause::CROSSED,
    );
    passes(
        pair("m", "0.40", "0.50").with(|market| market.min_size = Shares::whole(30)),
        cause::TOO_SMALL,
    );
}

#[test]
fn a_set_position_is_not_added_to_beyond_its_size() {
    let mut held = views(vec![pair("m", "0.45", "0.50")]);
    held.hold("m", "m-yes", 10, "4.5", NAME);
    held.hold("m", "m-no", 10, "5", NAME);
    let analysis = analyze(&held, ArbitrageurParams::default());
    // 15.5 / 0.95 = 16.3157
    assert_eq!(baskets(&analysis)[0].shares, shares("16.31"));
    held.hold("m", "m-yes", 26, "12", NAME);
    held.hold("m", "m-no", 26, "13", NAME);
    let analysis = analyze(&held, ArbitrageurParams::default());
    assert_eq!(analysis.passed_over.get(cause::HELD), Some(&1));
    held.hold("m", "m-no", 22, "11", NAME);
    let analysis = analyze(&held, ArbitrageurParams::default());
    assert_eq!(
        analysis.passed_over.get(cause::HELD),
        Some(&1),
        "2 pUSD buy less than the minimum"
    );
}

#[test]
fn a_trusted_event_is_bought_as_a_set_of_yes() {
    let analysis = analyze(&views(cheap_event()), trusting());
    assert_eq!(analysis.looked_at, 4, "three pairs and the event");
    let basket = baskets(&analysis)[0];
    assert_eq!(tokens(basket), ["a-yes", "b-yes", "c-yes"]);
    assert_eq!(basket.event_id, Some(EventId::new("e")));
    close(basket.edge, 0.08);
    close(basket.payout, 1.0);
    assert_eq!(basket.confidence, 1.0);
    // 25 / 0.92 = 27.1739
    assert_eq!(basket.shares, shares("27.17"));
}

#[test]
fn no_of_every_member_needs_no_trust() {
    let analysis = analyze(&views(dear_event()), ArbitrageurParams::default());
    let basket = baskets(&analysis)[0];
    assert_eq!(tokens(basket), ["a-no", "b-no", "c-no"]);
    close(basket.payout, 2.0);
    close(basket.edge, 0.10);
    // 25 / 1.90 = 13.1578
    assert_eq!(basket.shares, shares("13.15"));
}

/// Fault 28 of the original: a truncated list of members always looks underpriced.
#[test]
fn fault_28_an_incomplete_event_is_not_bought() {
    event_passes(
        cheap_event(),
        ArbitrageurParams::default(),
        "event not trusted to be complete",
    );
    let mut cut = cheap_event();
    cut.pop();
    event_passes(
        cut,
        trusting(),
        "fewer than 3 outcomes of the event in view",
    );
    // A fourth member, worth 0.2, is missing: the mids sum to 0.8.
    let mut cut = dear_event();
    cut[0] = member("a", ("0.13", "0.15"), ("0.85", "0.87"));
    event_passes(cut, trusting(), "mids of the event do not sum to about 1");
}

#[test]
fn an_event_with_members_that_cannot_be_bought_is_no_yes_set() {
    let unbuyable = "event has outcomes that cannot be bought";
    let fourth = || member("d", ("0.01", "0.02"), ("0.98", "0.99"));
    let with_fourth = |member: MarketBuilder| {
        let mut all = cheap_event();
        all.push(member);
        all
    };
    event_passes(
        with_fourth(fourth().with(|market| market.placeholder = true)),
        trusting(),
        unbuyable,
    );
    event_passes(
        with_fourth(fourth().with(|market| market.status = MarketStatus::Closed)),
        trusting(),
        unbuyable,
    );
    event_passes(with_fourth(fourth().not_candidate()), trusting(), unbuyable);
    // Its pair and the event are both without a book.
    let analysis = analyze(&views(with_fourth(market("d").event("e"))), trusting());
    assert!(analysis.intents.is_empty());
    assert_eq!(analysis.passed_over.get(cause::NO_BOOK), Some(&2));
    event_passes(
        with_fourth(fourth().yes(&[], &[("0.02", 100)])),
        trusting(),
        cause::ONE_SIDED,
    );
}

#[test]
fn markets_of_ordinary_events_are_no_set() {
    let ladder = cheap_event()
        .into_iter()
        .map(|member| member.with(|market| market.neg_risk = false))
        .collect();
    let analysis = analyze(&views(ladder), trusting());
    assert!(analysis.intents.is_empty());
    assert_eq!(analysis.looked_at, 3, "pairs only");
}

#[test]
fn a_market_is_never_in_a_pair_and_in_an_event_set() {
    let mut both = cheap_event();
    // 0.40 + 0.50 = 0.90: the pair pays by itself.
    both[0] = member("a", ("0.39", "0.40"), ("0.49", "0.50"));
    let analysis = analyze(&views(both), trusting());
    let found = baskets(&analysis);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].event_id, None);
    assert!(
        found[0]
            .legs
            .iter()
            .all(|leg| leg.market_id == MarketId::new("a"))
    );
    assert_eq!(
        analysis
            .passed_over
            .get("a market of the event is bought as a pair"),
        Some(&1)
    );
}

#[test]
fn an_event_kept_for_positions_only_is_not_looked_at() {
    let kept = cheap_event()
        .into_iter()
        .map(MarketBuilder::not_candidate)
        .collect();
    assert_eq!(analyze(&views(kept), trusting()), Analysis::default());
}

#[test]
fn legs_name_their_own_tokens() {
    let analysis = analyze(&views(cheap_event()), trusting());
    for leg in &baskets(&analysis)[0].legs {
        assert_eq!(leg.token_id, TokenId::new(format!("{}-yes", leg.market_id)));
        assert_eq!(leg.outcome, "Yes");
    }
}

mod ladder;

use std::collections::BTreeMap;

use super::super::test_support::{MarketBuilder, World, close, market, price, usdc, world};
use super::*;
use crate::domain::{MarketStatus, Price, Shares, TokenId};

const DAY: i64 = 1440;

/// Mid 0.56, a day ago 0.50: up by 0.06. Fair 0.56 + 0.5 × 0.06 = 0.59.
fn risen() -> MarketBuilder {
    market("m")
        .yes(&[("0.55", 100)], &[("0.57", 100)])
        .no(&[("0.43", 100)], &[("0.45", 100)])
        .history(&[(DAY, 0.50), (60, 0.55)])
}

/// Mid 0.44, a day ago 0.50: down by 0.06. Fair Yes 0.41, fair No 0.59.
fn fallen() -> MarketBuilder {
    market("m")
        .yes(&[("0.43", 100)], &[("0.45", 100)])
        .no(&[("0.55", 100)], &[("0.57", 100)])
        .history(&[(DAY, 0.50)])
}

fn analyze(world: &World, params: SignalTraderParams) -> Analysis {
    SignalTrader::new(params)
        .unwrap()
        .analyze(&world.context())
        .unwrap()
}

fn signals(analysis: &Analysis) -> Vec<&Signal> {
    analysis
        .intents
        .iter()
        .map(|intent| match intent {
            Intent::Directional(signal) => signal,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[track_caller]
fn passes(builder: MarketBuilder, params: SignalTraderParams, cause: &str) {
    let analysis = analyze(&world(vec![builder.view()]), params);
    assert_eq!(
        analysis,
        Analysis {
            intents: vec![],
            looked_at: 1,
            passed_over: BTreeMap::from([(cause.to_owned(), 1)]),
        }
    );
}

#[track_caller]
fn default_passes(builder: MarketBuilder, cause: &str) {
    passes(builder, SignalTraderParams::default(), cause);
}

#[test]
fn a_rise_on_volume_buys_yes_at_its_ask() {
    let analysis = analyze(&world(vec![risen().view()]), SignalTraderParams::default());
    assert_eq!(analysis.looked_at, 1);
    assert!(analysis.passed_over.is_empty());
    let signal = signals(&analysis)[0];
    assert_eq!(signal.token_id, TokenId::new("m-yes"));
    assert_eq!(signal.outcome, "Yes");
    assert_eq!(signal.side, Side::Buy);
    assert_eq!(signal.target_price, price("0.57"));
    assert_eq!(signal.size, usdc("25"));
    close(signal.fair_price, 0.59);
    close(signal.edge, 0.02);
    // 0.5 × 0.06 / 0.05
    assert_eq!(signal.confidence, 0.6);
    assert_eq!(
        signal.reason.to_string(),
        "Yes moved +0.0600 to 0.5600 in 1440 min, book +0.00; fair Yes 0.5900 = mid + 0.5 x move + \
         0.5 x imbalance x half spread; buy to 0.57, fee 0.0000, edge 0.0200"
    );
    assert_eq!((signal.stop_loss, signal.take_profit), (None, None));
}

/// Fault 16 of the original: its bearish leg sold an unheld No token at the Yes price.
#[test]
fn fault_16_a_fall_buys_no_at_nos_own_ask() {
    let analysis = analyze(&world(vec![fallen().view()]), SignalTraderParams::default());
    let signal = signals(&analysis)[0];
    assert_eq!(signal.token_id, TokenId::new("m-no"));
    assert_eq!(signal.side, Side::Buy);
    assert_eq!(signal.target_price, price("0.57"));
    close(signal.fair_price, 0.59);
    close(signal.edge, 0.02);
    // With No dearer than its fair price there is no trade, whatever Yes costs.
    default_passes(
        fallen().no(&[("0.57", 100)], &[("0.59", 100)]),
        cause::NO_EDGE,
    );
}

/// Fault 16: it bought whatever was below 0.5, in sizes that came from the volume.
#[test]
fn fault_16_cheapness_is_no_reason_and_volume_no_size() {
    let cheap = market("m")
        .yes(&[("0.19", 100)], &[("0.21", 100)])
        .history(&[(DAY, 0.20)]);
    default_passes(cheap, "move 0.05 not reached");
    let busy = risen().with(|market| market.volume_24h = Some(Usdc::whole(2_000_000)));
    let analysis = analyze(&world(vec![busy.view()]), SignalTraderParams::default());
    assert_eq!(signals(&analysis)[0].size, usdc("25"));
}

/// Fault 15: confidence grew as the token got cheaper.
#[test]
fn fault_15_confidence_depends_on_the_move_and_not_on_the_price() {
    let low = market("low")
        .yes(&[("0.25", 100)], &[("0.27", 100)])
        .history(&[(DAY, 0.20)]);
    let high = market("high")
        .yes(&[("0.75", 100)], &[("0.77", 100)])
        .history(&[(DAY, 0.70)]);
    let analysis = analyze(
        &world(vec![low.view(), high.view()]),
        SignalTraderParams::default(),
    );
    let found = signals(&analysis);
    assert_eq!(found[0].confidence, 0.6);
    assert_eq!(found[1].confidence, 0.6);
}

#[test]
fn twice_the_threshold_is_full_confidence() {
    let jumped = risen().history(&[(DAY, 0.44)]);
    let analysis = analyze(&world(vec![jumped.view()]), SignalTraderParams::default());
    assert_eq!(signals(&analysis)[0].confidence, 1.0);
}

#[test]
fn the_fee_comes_off_the_edge() {
    // 0.04 × 0.57 × 0.43 = 0.009804; 0.59 − 0.57 − 0.009804 = 0.010196
    let analysis = analyze(
        &world(vec![risen().fee("0.04").view()]),
        SignalTraderParams::default(),
    );
    close(signals(&analysis)[0].edge, 0.010_196);
    // 0.05 × 0.2451 = 0.012255 leaves 0.007745.
    default_passes(risen().fee("0.05"), cause::NO_EDGE);
}

#[test]
fn what_cannot_be_traded_is_passed_over() {
    default_passes(
        risen().with(|market| market.status = MarketStatus::Paused),
        cause::NOT_OPEN,
    );
    default_passes(
        risen().with(|market| market.outcomes.truncate(1)),
        cause::NOT_BINARY,
    );
    default_passes(
        risen().with(|market| market.placeholder = true),
        cause::PLACEHOLDER,
    );
    default_passes(
        risen().with(|market| market.tick = Price::ZERO),
        cause::NO_TICK,
    );
    default_passes(
        risen().with(|market| market.min_size = Shares::whole(44)),
        cause::TOO_SMALL,
    );
}

#[test]
fn too_little_or_unknown_volume_is_passed_over() {
    let quiet = |volume| risen().with(move |market| market.volume_24h = volume);
    default_passes(quiet(Some(Usdc::whole(4_999))), "volume below 5000");
    let strict = SignalTraderParams {
        allow_unknown_volume: false,
        ..SignalTraderParams::default()
    };
    passes(quiet(None), strict, "volume unknown");
    let analysis = analyze(
        &world(vec![quiet(None).view()]),
        SignalTraderParams::default(),
    );
    assert_eq!(analysis.intents.len(), 1, "unknown is not none");
}

#[test]
fn a_book_that_gives_no_mid_is_passed_over() {
    default_passes(market("m").history(&[(DAY, 0.5)]), cause::NO_BOOK);
    default_passes(risen().yes(&[], &[]), cause::EMPTY_BOOK);
    default_passes(risen().yes(&[("0.55", 9)], &[]), cause::ONE_SIDED);
    default_passes(risen().yes(&[], &[("0.57", 9)]), cause::ONE_SIDED);
    default_passes(risen().yes(&[("0.58", 9)], &[("0.57", 9)]), cause::CROSSED);
    default_passes(
        risen().yes(&[("0.53", 9)], &[("0.59", 9)]),
        cause::WIDE_SPREAD,
    );
}

#[test]
fn nos_book_must_be_sound_when_no_is_bought() {
    default_passes(fallen().no(&[("0.55", 9)], &[]), cause::NOTHING_OFFERED);
    default_passes(fallen().no(&[("0.58", 9)], &[("0.57", 9)]), cause::CROSSED);
    default_passes(
        fallen().no(&[("0.50", 9)], &[("0.57", 9)]),
        cause::WIDE_SPREAD,
    );
    let no_book = market("m")
        .yes(&[("0.43", 100)], &[("0.45", 100)])
        .history(&[(DAY, 0.50)]);
    default_passes(no_book, cause::NO_BOOK);
}

#[test]
fn nearly_decided_markets_are_passed_over() {
    let longshot = market("m")
        .yes(&[("0.08", 100)], &[("0.10", 100)])
        .history(&[(DAY, 0.02)]);
    default_passes(longshot, cause::EXTREME_PRICE);
    let favourite = market("m")
        .yes(&[("0.92", 100)], &[("0.94", 100)])
        .history(&[(DAY, 0.80)]);
    default_passes(favourite, cause::EXTREME_PRICE);
}

#[test]
fn history_must_reach_back_and_be_dense_enough() {
    let without = market("m").yes(&[("0.55", 100)], &[("0.57", 100)]);
    default_passes(without, cause::NO_HISTORY);
    default_passes(risen().history(&[]), cause::NO_HISTORY);
    default_passes(risen().history(&[(DAY - 1, 0.5)]), cause::SHORT_HISTORY);
    default_passes(
        risen().history(&[(2 * DAY + 1, 0.5), (60, 0.55)]),
        cause::SPARSE_HISTORY,
    );
    default_passes(risen().history(&[(DAY, f64::NAN)]), cause::NO_HISTORY);
}

#[test]
fn a_move_just_at_the_threshold_counts() {
    // 0.35 − 0.30 is below 0.05 in binary.
    let at = market("m")
        .yes(&[("0.34", 100)], &[("0.36", 100)])
        .history(&[(DAY, 0.30)]);
    let analysis = analyze(&world(vec![at.view()]), SignalTraderParams::default());
    assert_eq!(signals(&analysis)[0].confidence, 0.5);
    let below = market("m")
        .yes(&[("0.34", 100)], &[("0.36", 100)])
        .history(&[(DAY, 0.301)]);
    default_passes(below, "move 0.05 not reached");
}

#[test]
fn a_position_is_filled_up_to_its_size_and_no_further() {
    let mut held = world(vec![risen().view()]);
    held.hold("m", "m-yes", 20, "11.4", NAME);
    let analysis = analyze(&held, SignalTraderParams::default());
    assert_eq!(signals(&analysis)[0].size, usdc("13.6"));
    // What is left, 1 pUSD, buys 1.75 shares: below the minimum of 5.
    held.hold("m", "m-yes", 42, "24", NAME);
    let analysis = analyze(&held, SignalTraderParams::default());
    assert_eq!(
        analysis.passed_over,
        BTreeMap::from([("already held".to_owned(), 1)])
    );
    held.hold("m", "m-yes", 44, "25", NAME);
    let analysis = analyze(&held, SignalTraderParams::default());
    assert_eq!(analysis.passed_over.get("already held"), Some(&1));
}

#[test]
fn the_other_outcome_held_is_not_hedged_by_accident() {
    let mut held = world(vec![risen().view()]);
    held.hold("m", "m-no", 20, "9", "ai_analyst");
    let analysis = analyze(&held, SignalTraderParams::default());
    assert_eq!(
        analysis.passed_over,
        BTreeMap::from([("opposite outcome held".to_owned(), 1)])
    );
}

#[test]
fn a_market_listed_twice_is_bought_once() {
    let analysis = analyze(
        &world(vec![risen().view(), risen().view()]),
        SignalTraderParams::default(),
    );
    assert_eq!(analysis.looked_at, 2);
    assert_eq!(analysis.intents.len(), 1);
    assert_eq!(
        analysis.passed_over,
        BTreeMap::from([("listed twice".to_owned(), 1)])
    );
}

#[test]
fn markets_kept_for_positions_only_are_not_looked_at() {
    let analysis = analyze(
        &world(vec![risen().not_candidate().view()]),
        SignalTraderParams::default(),
    );
    assert_eq!(analysis, Analysis::default());
}

/// Bids 100 at 0.55 and 200 at 0.53, asks 100 at 0.57; what lies 0.06 and more from the mid of 0.56
/// does not count: (300 − 100) / 400 = 0.5.
fn leaning_up() -> MarketBuilder {
    risen().yes(
        &[("0.55", 100), ("0.53", 200), ("0.50", 5000)],
        &[("0.57", 100), ("0.62", 9000)],
    )
}

/// The mirror: (100 − 300) / 400 = −0.5.
fn leaning_down() -> MarketBuilder {
    risen().yes(&[("0.55", 100)], &[("0.57", 100), ("0.59", 200)])
}

#[test]
fn a_book_that_leans_with_the_move_raises_fair_price_and_confidence() {
    let analysis = analyze(
        &world(vec![leaning_up().view()]),
        SignalTraderParams::default(),
    );
    let signal = signals(&analysis)[0];
    // 0.56 + 0.5 × 0.06 + 0.5 × 0.5 × 0.02 / 2 = 0.5925
    close(signal.fair_price, 0.5925);
    close(signal.edge, 0.0225);
    // 0.6 + 0.5 × 0.5 × (1 − 0.6)
    assert_eq!(signal.confidence, 0.7);
    assert!(
        signal.reason.to_string().contains("book +0.50"),
        "{}",
        signal.reason
    );
}

#[test]
fn a_book_that_leans_a_little_against_the_move_lowers_both() {
    let analysis = analyze(
        &world(vec![leaning_down().view()]),
        SignalTraderParams::default(),
    );
    let signal = signals(&analysis)[0];
    // 0.59 − 0.0025
    close(signal.fair_price, 0.5875);
    // 0.6 − 0.5 × 0.5 × (0.6 − 0.5)
    assert_eq!(signal.confidence, 0.575);
}

#[test]
fn a_book_that_contradicts_the_move_is_passed_over() {
    let against = || risen().yes(&[("0.55", 100)], &[("0.57", 100), ("0.59", 201)]);
    // (100 − 301) / 401 = −0.501
    default_passes(against(), CONTRADICTED);
    // The same book goes well with a fall from 0.62.
    let fall = against()
        .no(&[("0.43", 100)], &[("0.44", 100)])
        .history(&[(DAY, 0.62)]);
    let analysis = analyze(&world(vec![fall.view()]), SignalTraderParams::default());
    assert_eq!(signals(&analysis)[0].token_id, TokenId::new("m-no"));
    // Fair Yes 0.56 − 0.03 − 0.5 × 0.50125 × 0.01 = 0.527494, No the complement.
    close(
        signals(&analysis)[0].fair_price,
        1.0 - (0.53 - 0.5 * (201.0 / 401.0) * 0.01),
    );
    // Switched off, it counts for nothing.
    let off = SignalTraderParams {
        imbalance_weight: 0.0,
        ..SignalTraderParams::default()
    };
    let analysis = analyze(&world(vec![against().view()]), off);
    close(signals(&analysis)[0].fair_price, 0.59);
    assert_eq!(signals(&analysis)[0].confidence, 0.6);
}

#[test]
fn confirmation_by_the_book_can_be_asked_for() {
    let strict = SignalTraderParams {
        min_imbalance: 0.2,
        ..SignalTraderParams::default()
    };
    passes(risen(), strict.clone(), CONTRADICTED);
    let analysis = analyze(&world(vec![leaning_up().view()]), strict.clone());
    assert_eq!(analysis.intents.len(), 1);
    // Nothing within 0.005 of the mid, and a made-up book, say nothing.
    let near = SignalTraderParams {
        imbalance_depth: 0.005,
        ..strict.clone()
    };
    passes(risen(), near, NO_DEPTH);
    passes(risen().synthetic(), strict, NO_DEPTH);
}

/// Recordings know a price only; the book made of it has equal sides and must not be in the way.
#[test]
fn a_synthetic_book_neither_confirms_nor_contradicts() {
    let analysis = analyze(
        &world(vec![leaning_up().synthetic().view()]),
        SignalTraderParams::default(),
    );
    close(signals(&analysis)[0].fair_price, 0.59);
    assert_eq!(signals(&analysis)[0].confidence, 0.6);
    assert!(
        signals(&analysis)[0]
            .reason
            .to_string()
            .contains("book unknown")
    );
}

#[test]
fn a_market_can_be_held_to_its_own_usual_volume() {
    let busier = SignalTraderParams {
        min_volume_ratio: 2.0,
        ..SignalTraderParams::default()
    };
    // 20,000 in the last day; ten days with 100,000 and 100,020 in all: 2.0 and 1.9996 of a day.
    let over = |total: i32| {
        risen().with(move |market| {
            market.start = Some(super::super::test_support::now().plus_millis(-10 * 86_400_000));
            market.volume = Some(Usdc::whole(total));
        })
    };
    let analysis = analyze(&world(vec![over(100_000).view()]), busier.clone());
    assert_eq!(analysis.intents.len(), 1);
    passes(
        over(100_020),
        busier.clone(),
        "volume below 2 of an average day",
    );
    // Unknown is not low, and a market in its first day has no average day.
    let analysis = analyze(&world(vec![risen().view()]), busier.clone());
    assert_eq!(analysis.intents.len(), 1);
    let fresh = over(100_020).with(|market| {
        market.start = Some(super::super::test_support::now().plus_millis(-86_399_999));
    });
    let analysis = analyze(&world(vec![fresh.view()]), busier);
    assert_eq!(analysis.intents.len(), 1);
}

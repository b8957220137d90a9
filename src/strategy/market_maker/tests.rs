use std::collections::BTreeMap;

use super::super::test_support::{MarketBuilder, World, close, market, now, price, shares, world};
use super::*;
use crate::domain::{MarketStatus, QuoteSide, Side};

/// Mid 0.50 and a flat past at 0.50: fair 0.50, no volatility, half spread 0.025.
fn calm() -> MarketBuilder {
    market("m")
        .yes(&[("0.48", 100)], &[("0.52", 100)])
        .no(&[("0.48", 100)], &[("0.52", 100)])
        .history(&[(180, 0.5), (120, 0.5), (60, 0.5)])
}

fn analyze(world: &World, params: MarketMakerParams) -> Analysis {
    MarketMaker::new(params)
        .unwrap()
        .analyze(&world.context())
        .unwrap()
}

/// The quote on the token, if there is one.
#[track_caller]
fn quote_on(world: &World, params: MarketMakerParams, token: &str) -> Option<Quote> {
    let analysis = analyze(world, params);
    let passed: u32 = analysis.passed_over.values().sum();
    let intents = u32::try_from(analysis.intents.len()).unwrap();
    assert_eq!(analysis.looked_at, passed + intents, "{analysis:?}");
    analysis.intents.iter().find_map(|intent| match intent {
        Intent::Quote(quote) if quote.token_id.as_str() == token => Some(quote.clone()),
        Intent::Quote(_) => None,
        other => panic!("{other:?}"),
    })
}

#[track_caller]
fn quote(world: &World, params: MarketMakerParams) -> Quote {
    quote_on(world, params, "m-yes").unwrap()
}

#[track_caller]
fn no_quote(world: &World, params: MarketMakerParams) -> Quote {
    quote_on(world, params, "m-no").unwrap()
}

#[track_caller]
fn default_quote(builder: MarketBuilder) -> Quote {
    quote(&world(vec![builder.view()]), MarketMakerParams::default())
}

#[track_caller]
fn passes_in(world: &World, params: MarketMakerParams, cause: &str) {
    let analysis = analyze(world, params);
    assert!(analysis.intents.is_empty(), "{:?}", analysis.intents);
    assert_eq!(analysis.looked_at, 1);
    assert_eq!(
        analysis.passed_over,
        BTreeMap::from([(cause.to_owned(), 1)])
    );
}

#[track_caller]
fn passes(builder: MarketBuilder, cause: &str) {
    passes_in(
        &world(vec![builder.view()]),
        MarketMakerParams::default(),
        cause,
    );
}

fn side(at: &str, size: &str) -> Option<QuoteSide> {
    Some(QuoteSide {
        price: price(at),
        shares: shares(size),
    })
}

/// Fault 17 of the original: it sold what it did not hold. With nothing held, the offer of Yes at
/// 0.53 is a bid on No at 0.47.
#[test]
fn fault_17_with_nothing_held_both_sides_are_bids() {
    let calm = world(vec![calm().view()]);
    let yes = quote(&calm, MarketMakerParams::default());
    assert_eq!(yes.outcome, "Yes");
    close(yes.fair_price, 0.50);
    // 0.50 − 0.025 = 0.475, down to the tick; 50 / 0.47 = 106.38 shares.
    assert_eq!(yes.bid, side("0.47", "106.38"));
    assert_eq!(yes.ask, None);
    assert_eq!(yes.confidence, 1.0);
    assert_eq!(
        yes.reason.to_string(),
        "fair 0.5000 (first outcome 0.5000 from mid 0.5000 and its average); half spread 0.0250 \
         (volatility 0.0000); net inventory +0.00"
    );
    let no = no_quote(&calm, MarketMakerParams::default());
    assert_eq!(no.outcome, "No");
    close(no.fair_price, 0.50);
    assert_eq!(no.bid, side("0.47", "106.38"));
    assert_eq!(no.ask, None);
}

#[test]
fn each_outcome_is_priced_by_its_own_fair_price() {
    // Mid and average 0.30: Yes 0.275 → 0.27, No 0.70 − 0.025 = 0.675 → 0.67.
    let cheap = market("m")
        .yes(&[("0.28", 100)], &[("0.32", 100)])
        .no(&[("0.68", 100)], &[("0.72", 100)])
        .history(&[(180, 0.3), (120, 0.3), (60, 0.3)]);
    let cheap = world(vec![cheap.view()]);
    let params = MarketMakerParams::default;
    // 50 / 0.27 = 185.18, 50 / 0.67 = 74.62
    assert_eq!(quote(&cheap, params()).bid, side("0.27", "185.18"));
    let no = no_quote(&cheap, params());
    close(no.fair_price, 0.70);
    assert_eq!(no.bid, side("0.67", "74.62"));
}

/// Fault 17 of the original: its "ask" sold the other token, unheld, at this token's price,
/// and its bid filled at once.
#[test]
fn fault_17_it_asks_for_held_shares_of_the_quoted_token_above_fair() {
    let mut held = world(vec![calm().view()]);
    held.hold("m", "m-yes", 100, "47", NAME);
    let quote = quote(&held, MarketMakerParams::default());
    // Half full: centre 0.50 − 0.5 × 0.5 × 0.025 = 0.49375.
    // Bid 0.46875 → 0.46; ask 0.51875 → 0.52. 50 / 0.46 = 108.69, of which 100 fit.
    assert_eq!(quote.bid, side("0.46", "100"));
    assert_eq!(quote.ask, side("0.52", "96.15"));
    assert_eq!(quote.token_id, TokenId::new("m-yes"));
    assert!(quote.bid.unwrap().price < price("0.52"), "rests");
    assert!(quote.ask.unwrap().price > price("0.48"), "rests");
    // The ask sells 96.15 of that side; No's bid, 0.50625 − 0.025 = 0.48125 → 0.48, the rest of
    // its 50 / 0.48 = 104.16.
    let no = no_quote(&held, MarketMakerParams::default());
    assert_eq!(no.bid, side("0.48", "8.01"));
    assert_eq!(no.ask, None);
}

#[test]
fn no_held_moves_the_quotes_the_other_way() {
    let mut held = world(vec![calm().view()]);
    held.hold("m", "m-no", 100, "47", NAME);
    // Net −100: the mirror of 100 Yes.
    let no = no_quote(&held, MarketMakerParams::default());
    assert_eq!(no.bid, side("0.46", "100"));
    assert_eq!(no.ask, side("0.52", "96.15"));
    let yes = quote(&held, MarketMakerParams::default());
    assert_eq!(yes.bid, side("0.48", "8.01"));
    // With as many of both the net is 0 and nothing moves; each ask leaves the other outcome's bid
    // 106.38 − 94.33 shares (0.525 → 0.53; 50 / 0.53 = 94.33).
    held.hold("m", "m-yes", 100, "47", NAME);
    let yes = quote(&held, MarketMakerParams::default());
    assert_eq!(yes.bid, side("0.47", "12.05"));
    assert_eq!(yes.ask, side("0.53", "94.33"));
    let no = no_quote(&held, MarketMakerParams::default());
    assert_eq!((no.bid, no.ask), (yes.bid, yes.ask));
}

#[test]
fn both_bids_together_stay_within_the_markets_limit() {
    let mut held = world(vec![calm().view()]);
    held.hold("m", "m-yes", 100, "47", NAME);
    let tight = |limit: f64| MarketMakerParams {
        max_market_inventory: limit,
        ..MarketMakerParams::default()
    };
    // 20 shares of room for wishes of 100 and 8.01.
    assert_eq!(quote(&held, tight(120.0)).bid, side("0.46", "11.99"));
    assert_eq!(no_quote(&held, tight(120.0)).bid, side("0.48", "8.01"));
    // None left: the ask stays, and No is not quoted.
    let analysis = analyze(&held, tight(100.0));
    assert_eq!(analysis.intents.len(), 1);
    assert_eq!(quote(&held, tight(100.0)).bid, None);
    let cause = "that side is quoted with shares of the other outcome";
    assert_eq!(
        analysis.passed_over,
        BTreeMap::from([(cause.to_owned(), 1)])
    );
}

#[test]
fn one_outcome_without_a_sound_book_leaves_the_other_quoted() {
    let crossed = calm().no(&[("0.53", 9)], &[("0.52", 9)]);
    let analysis = analyze(&world(vec![crossed.view()]), MarketMakerParams::default());
    assert_eq!(analysis.looked_at, 2, "its two outcomes");
    assert_eq!(analysis.intents.len(), 1);
    assert_eq!(
        analysis.passed_over,
        BTreeMap::from([(cause::CROSSED.to_owned(), 1)])
    );
}

#[test]
fn nos_quote_rests_in_nos_own_book() {
    // Somebody offers No at 0.46: the bid of 0.47 would take.
    let cheap = calm().no(&[("0.40", 9)], &[("0.46", 9)]);
    let mut world = world(vec![cheap.view()]);
    // 50 / 0.45 = 111.11
    let params = MarketMakerParams::default;
    assert_eq!(no_quote(&world, params()).bid, side("0.45", "111.11"));
    // One that rests where it would take now is no excuse.
    world.rest("m-no", Side::Buy, "0.46", 100, NAME);
    assert_eq!(no_quote(&world, params()).bid, side("0.45", "111.11"));
}

#[test]
fn a_resting_quote_near_enough_keeps_its_place() {
    let bid = |standing: &[(&str, &str)], params: MarketMakerParams| {
        let mut world = world(vec![calm().view()]);
        for (at, strategy) in standing {
            world.rest("m-yes", Side::Buy, at, 50, strategy);
        }
        quote(&world, params).bid.unwrap().price
    };
    let params = MarketMakerParams::default;
    // 0.47 is wanted, and what is less than 0.015 away may stay, on either side.
    assert_eq!(bid(&[("0.46", NAME)], params()), price("0.46"));
    assert_eq!(bid(&[("0.48", NAME)], params()), price("0.48"));
    assert_eq!(bid(&[("0.45", NAME)], params()), price("0.47"));
    assert_eq!(
        bid(&[("0.45", NAME), ("0.48", NAME), ("0.47", NAME)], params()),
        price("0.47"),
        "the nearest"
    );
    assert_eq!(bid(&[("0.46", "mcp_manual")], params()), price("0.47"));
    let with = |threshold: f64, min_edge: f64| MarketMakerParams {
        requote_threshold: threshold,
        min_edge,
        ..params()
    };
    // At a distance of just the threshold it moves; without one it always does.
    assert_eq!(bid(&[("0.46", NAME)], with(0.01, 0.01)), price("0.47"));
    assert_eq!(bid(&[("0.46", NAME)], with(0.0, 0.01)), price("0.47"));
    // 0.48 leaves 0.02 to the fair price, and 0.025 is asked for.
    assert_eq!(bid(&[("0.48", NAME)], with(0.015, 0.025)), price("0.47"));
    // Off the tick.
    assert_eq!(bid(&[("0.465", NAME)], params()), price("0.47"));
}

#[test]
fn a_resting_ask_keeps_its_place_too() {
    let ask = |standing: &str| {
        let mut world = world(vec![calm().view()]);
        world.hold("m", "m-yes", 100, "47", NAME);
        world.rest("m-yes", Side::Sell, standing, 50, NAME);
        // A bid's price is nobody's ask.
        world.rest("m-yes", Side::Buy, "0.53", 50, NAME);
        quote(&world, MarketMakerParams::default()).ask.unwrap()
    };
    // 0.52 is wanted; 50 / 0.51 = 98.03, 50 / 0.52 = 96.15.
    assert_eq!(Some(ask("0.51")), side("0.51", "98.03"));
    assert_eq!(Some(ask("0.54")), side("0.52", "96.15"));
}

#[test]
fn a_full_inventory_stops_the_bid() {
    let mut full = world(vec![calm().view()]);
    full.hold("m", "m-yes", 200, "94", NAME);
    let quote = quote(&full, MarketMakerParams::default());
    assert_eq!(quote.bid, None);
    // Centre 0.4875, ask 0.5125 → 0.52.
    assert_eq!(quote.ask, side("0.52", "96.15"));
}

#[test]
fn volatility_widens_the_quote_and_lowers_confidence() {
    // Changes ±0.04: mean 0, sample deviation √(2 × 0.0016 / 1) = 0.0565685; × 2 = 0.113137.
    let builder = calm().history(&[(180, 0.5), (120, 0.54), (60, 0.5)]);
    let quote = default_quote(builder);
    // Average, weight 2/13: 0.5 → 0.5061538 → 0.5052071; mean with the mid 0.5026036.
    close(quote.fair_price, 0.502_603_550_295_858);
    // 0.5026 − 0.1131 = 0.3895
    assert_eq!(quote.bid.unwrap().price, price("0.38"));
    assert_eq!(quote.confidence, 0.5);
}

#[test]
fn mild_volatility_lowers_confidence_in_proportion() {
    // Changes ±0.005: deviation 0.00707107, × 2 = 0.0141421; over 0.025 = 0.565685.
    let quote = default_quote(calm().history(&[(180, 0.5), (120, 0.505), (60, 0.5)]));
    assert_eq!(quote.confidence, 0.7172);
    assert_eq!(quote.bid.unwrap().price, price("0.47"));
}

#[test]
fn a_lagging_average_never_leaves_the_book() {
    // Mean of mid 0.50 and average 0.60 is 0.55: the book's ask of 0.52 is the limit.
    let quote = default_quote(calm().history(&[(180, 0.6), (120, 0.6), (60, 0.6)]));
    close(quote.fair_price, 0.52);
    assert_eq!(quote.bid.unwrap().price, price("0.49"));
}

#[test]
fn both_prices_keep_the_edge_and_rest_beside_a_tight_book() {
    let mut held = world(vec![calm().yes(&[("0.49", 100)], &[("0.50", 100)]).view()]);
    held.hold("m", "m-yes", 200, "94", NAME);
    let narrow = MarketMakerParams {
        spread: 0.01,
        inventory_skew: 1.0,
        max_inventory: 400.0,
        ..MarketMakerParams::default()
    };
    let quote = quote(&held, narrow);
    // Fair 0.4975, centre 0.495: bid 0.4875 (edge 0.01) → 0.48, ask 0.5075 → 0.51.
    close(quote.fair_price, 0.4975);
    assert_eq!(quote.bid.unwrap().price, price("0.48"));
    assert_eq!(quote.ask.unwrap().price, price("0.51"));
}

#[test]
fn an_ask_that_would_take_is_moved_above_the_best_bid() {
    // The average of 0.40 pulls the fair price down to the bid of 0.48; with a full inventory
    // and a full skew the ask would be there, too.
    let sunk = calm().history(&[(180, 0.4), (120, 0.4), (60, 0.4)]);
    let mut full = world(vec![sunk.view()]);
    full.hold("m", "m-yes", 200, "94", NAME);
    let eager = MarketMakerParams {
        inventory_skew: 1.0,
        min_edge: 0.0,
        ..MarketMakerParams::default()
    };
    let quote = quote(&full, eager);
    close(quote.fair_price, 0.48);
    assert_eq!(quote.ask.unwrap().price, price("0.49"));
}

#[test]
fn thin_or_quiet_markets_are_passed_over() {
    passes(
        calm().with(|market| market.liquidity = Some(Usdc::whole(999))),
        "liquidity below 1000",
    );
    let unknown = || calm().with(|market| market.liquidity = None);
    assert!(default_quote(unknown()).bid.is_some());
    let strict = MarketMakerParams {
        allow_unknown_liquidity: false,
        ..MarketMakerParams::default()
    };
    passes_in(&world(vec![unknown().view()]), strict, "liquidity unknown");
    let busy_only = MarketMakerParams {
        min_volume_24h: 50_000.0,
        ..MarketMakerParams::default()
    };
    passes_in(&world(vec![calm().view()]), busy_only, "volume below 50000");
}

#[test]
fn books_that_give_no_fair_price_are_passed_over() {
    passes(calm().yes(&[], &[]), cause::EMPTY_BOOK);
    passes(calm().yes(&[("0.48", 9)], &[]), cause::ONE_SIDED);
    passes(calm().yes(&[("0.52", 9)], &[("0.48", 9)]), cause::CROSSED);
    passes(
        calm().yes(&[("0.38", 9)], &[("0.60", 9)]),
        cause::WIDE_SPREAD,
    );
    passes(
        market("m").history(&[(3, 0.5), (2, 0.5), (1, 0.5)]),
        cause::NO_BOOK,
    );
}

#[test]
fn history_must_tell_volatility() {
    passes(
        market("m").yes(&[("0.48", 9)], &[("0.52", 9)]),
        cause::NO_HISTORY,
    );
    passes(
        calm().history(&[(120, 0.5), (60, 0.5)]),
        cause::SHORT_HISTORY,
    );
    // Three points, one of them older than a day.
    passes(
        calm().history(&[(1441, 0.5), (120, 0.5), (60, 0.5)]),
        cause::SHORT_HISTORY,
    );
}

#[test]
fn nearly_decided_or_ending_markets_are_passed_over() {
    let decided = market("m").yes(&[("0.95", 99)], &[("0.97", 99)]).history(&[
        (3, 0.96),
        (2, 0.96),
        (1, 0.96),
    ]);
    passes(decided, cause::EXTREME_PRICE);
    let ending = |minutes: i64| {
        calm().with(move |market| market.end = Some(now().plus_millis(minutes * MINUTE_MS)))
    };
    passes(ending(359), "too close to its end");
    passes(ending(-60), "too close to its end");
    assert!(default_quote(ending(360)).bid.is_some());
    passes(
        calm().with(|market| market.status = MarketStatus::Paused),
        cause::NOT_OPEN,
    );
}

#[test]
fn shares_that_others_bought_are_not_sold() {
    for token in ["m-yes", "m-no"] {
        let mut foreign = world(vec![calm().view()]);
        foreign.hold("m", token, 10, "5", "ai_analyst");
        passes_in(
            &foreign,
            MarketMakerParams::default(),
            "held by another strategy",
        );
    }
}

#[test]
fn quotes_below_the_minimum_size_or_without_a_price_are_not_made() {
    passes(
        calm().with(|market| market.min_size = Shares::whole(107)),
        cause::TOO_SMALL,
    );
    // Half spread 2 × 0.45 leaves no price between 0 and 1.
    let wild = calm().history(&[(180, 0.2), (120, 0.8), (60, 0.2)]);
    passes(wild, "no price leaves the edge");
}

/// The average of seven times 0.05 is a hair below it in binary, and 0.05 is not nearer to the end than 0.05.
#[test]
fn binary_rounding_does_not_decide_what_is_too_close_to_the_end() {
    for (mid, bid, ask) in [(0.05, "0.04", "0.06"), (0.95, "0.94", "0.96")] {
        let past: Vec<(i64, f64)> = (1..=7).rev().map(|hours| (hours * 60, mid)).collect();
        let market = market("m").yes(&[(bid, 100)], &[(ask, 100)]).history(&past);
        let analysis = analyze(&world(vec![market.view()]), MarketMakerParams::default());
        let extreme = analysis.passed_over.get(cause::EXTREME_PRICE);
        assert_eq!(extreme, None, "{mid}: {analysis:?}");
    }
}

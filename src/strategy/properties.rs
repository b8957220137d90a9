//! What must hold on any books whatever: no trade without its edge, off the tick, beyond the
//! market, of something not held, or that costs more than it pays.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
// proptest's trait has the name of ours.
use proptest::strategy::{Strategy as Generator, ValueTree};
use proptest::test_runner::TestRunner;

use super::test_support::{World, market, now, world};
use super::{
    AiAnalyst, AiAnalystParams, Analysis, Arbitrageur, ArbitrageurParams, MarketMaker,
    MarketMakerParams, SignalTrader, SignalTraderParams, Strategy,
};
use crate::domain::{
    Basket, BasketLeg, EventId, FeeSchedule, Intent, Level, Market, MarketId, MarketStatus, Price,
    Quote, Rounding, Shares, Side, Signal, TokenId, Usdc, notional,
};

const TICKS: [u32; 6] = [100_000, 10_000, 5_000, 2_500, 1_000, 100];
const RATES: [&str; 5] = ["0", "0.02", "0.05", "0.07", "0.25"];
const MIN_EDGE: f64 = 0.01;
const TOLERANCE: f64 = 1e-9;

/// Distances of a book's levels from its centre, in micro-units, with whole shares.
type Sides = (Vec<(u32, u32)>, Vec<(u32, u32)>);

/// One market in plain numbers.
#[derive(Debug, Clone)]
struct Draw {
    centre: u32,
    /// Shift of No's centre from the complement: where arbitrage comes from.
    shift: i32,
    tick: usize,
    rate: usize,
    exponent: u8,
    on_tick: bool,
    yes: Sides,
    no: Sides,
    history: Vec<f64>,
    estimates: Vec<(bool, f64, i64)>,
    held: (u32, u32),
    quoted: bool,
    in_event: bool,
    /// Month of the deadline that the question names, where it names one.
    rung: Option<usize>,
    /// A resting order of the market maker: on the second outcome, a sale, at so many cents.
    resting: Option<(bool, bool, u32)>,
    flags: u8,
}

const MONTHS: [&str; 4] = ["March", "June", "September", "December"];

fn sides() -> impl Generator<Value = Sides> {
    let levels = || prop::collection::vec((1..40_000_u32, 1..300_u32), 0..4);
    (levels(), levels())
}

fn draw() -> impl Generator<Value = Draw> {
    let book = (
        20_000..980_000_u32,
        -120_000..60_000_i32,
        0..TICKS.len(),
        0..RATES.len(),
        1..3_u8,
        prop::bool::weighted(0.8),
        sides(),
        sides(),
    );
    let rest = (
        prop::collection::vec(0.0..1.0_f64, 0..6),
        prop::collection::vec((any::<bool>(), 0.0..1.0_f64, -10..200_i64), 0..3),
        prop_oneof![
            3 => Just((0, 0)),
            1 => (0..300_u32, Just(0)),
            1 => (Just(0), 0..300_u32),
        ],
        any::<bool>(),
        any::<bool>(),
        prop::option::weighted(0.3, 0..MONTHS.len()),
        prop::option::of((any::<bool>(), any::<bool>(), 2..98_u32)),
        0..24_u8,
    );
    (book, rest).prop_map(
        |(
            (centre, shift, tick, rate, exponent, on_tick, yes, no),
            (history, estimates, held, quoted, in_event, rung, resting, flags),
        )| Draw {
            centre,
            shift,
            tick,
            rate,
            exponent,
            on_tick,
            yes,
            no,
            history,
            estimates,
            held,
            quoted,
            in_event,
            rung,
            resting,
            flags,
        },
    )
}

/// Members of one event, priced as parts of a whole that is now too cheap, now too dear.
fn event_draws() -> impl Generator<Value = Vec<Draw>> {
    let near = || prop::collection::vec((1..8_000_u32, 1..300_u32), 1..3);
    let sides = move || (near(), near());
    let member = (draw(), 10..100_u32, -15_000..15_000_i32, sides(), sides());
    (prop::collection::vec(member, 3..6), 850_000..1_150_000_u32).prop_map(|(members, whole)| {
        let weights: u32 = members.iter().map(|(_, weight, ..)| weight).sum();
        let member = |(draw, weight, shift, yes, no): (Draw, u32, i32, Sides, Sides)| Draw {
            centre: whole / weights * weight,
            shift,
            tick: draw.tick.max(1),
            yes,
            no,
            held: (0, 0),
            in_event: true,
            rung: None,
            ..draw
        };
        members.into_iter().map(member).collect()
    })
}

/// The same question with different dates, priced in the right order or not.
fn ladder_draws() -> impl Generator<Value = Vec<Draw>> {
    let near = || prop::collection::vec((1..8_000_u32, 5..300_u32), 1..4);
    let sides = move || (near(), near());
    let rung = (draw(), 200_000..800_000_u32, sides(), sides());
    prop::collection::vec(rung, 2..5).prop_map(|rungs| {
        let rung = |(month, (draw, centre, yes, no)): (usize, (Draw, u32, Sides, Sides))| Draw {
            centre,
            shift: 0,
            tick: draw.tick.max(1),
            yes,
            no,
            held: (0, 0),
            in_event: false,
            rung: Some(month),
            ..draw
        };
        rungs.into_iter().enumerate().map(rung).collect()
    })
}

fn level(micros: i64, size: u32, tick: u32, on_tick: bool) -> Level {
    let micros = u32::try_from(micros.clamp(0, 1_000_000)).unwrap();
    let micros = if on_tick {
        micros / tick * tick
    } else {
        micros
    };
    Level {
        price: Price::from_micros(micros).unwrap(),
        size: Shares::whole(size),
    }
}

fn build(draws: &[Draw]) -> World {
    let mut views = vec![];
    for (index, draw) in draws.iter().enumerate() {
        let tick = TICKS[draw.tick];
        let book = |centre: i64, (bids, asks): &Sides| {
            let level = |micros: i64, size: u32| level(micros, size, tick, draw.on_tick);
            (
                bids.iter()
                    .map(|(distance, size)| level(centre - i64::from(*distance), *size))
                    .collect::<Vec<_>>(),
                asks.iter()
                    .map(|(distance, size)| {
                        level(centre + i64::from(*distance) + i64::from(tick), *size)
                    })
                    .collect::<Vec<_>>(),
            )
        };
        let centre = i64::from(draw.centre);
        let (yes_bids, yes_asks) = book(centre, &draw.yes);
        let (no_bids, no_asks) = book(1_000_000 - centre + i64::from(draw.shift), &draw.no);
        let points: Vec<(i64, f64)> = (0_i64..)
            .map(|step| 1500 - step * 200)
            .zip(draw.history.iter().copied())
            .collect();
        let mut builder = market(&format!("m{index}"))
            .with(|market| {
                market.tick = Price::from_micros(tick).unwrap();
                market.fee = FeeSchedule::new(RATES[draw.rate], draw.exponent).unwrap();
                match draw.flags {
                    0 => market.status = MarketStatus::Paused,
                    1 => market.placeholder = true,
                    2 => market.volume_24h = None,
                    3 => market.end = Some(now()),
                    _ => {}
                }
            })
            .book(0, yes_bids, yes_asks)
            .book(1, no_bids, no_asks)
            .history(&points);
        if draw.in_event {
            builder = builder.event("e");
        } else if let Some(month) = draw.rung {
            let question = format!("Will it happen by {} 15, 2027?", MONTHS[month]);
            builder = builder.asks("l", &question);
        }
        if draw.flags == 4 {
            builder = builder.not_candidate();
        }
        views.push(builder.view());
    }
    let mut world = world(views);
    for (index, draw) in draws.iter().enumerate() {
        let id = format!("m{index}");
        let owner = if draw.quoted {
            "market_maker"
        } else {
            "ai_analyst"
        };
        for (outcome, count) in [("yes", draw.held.0), ("no", draw.held.1)] {
            if count > 0 {
                // 0.3 pUSD a share.
                let cost = Usdc::from_micros(i64::from(count) * 300_000).to_string();
                world.hold(&id, &format!("{id}-{outcome}"), count, &cost, owner);
            }
        }
        if let Some((on_no, sale, cents)) = draw.resting {
            let token = format!("{id}-{}", if on_no { "no" } else { "yes" });
            let side = if sale { Side::Sell } else { Side::Buy };
            world.rest(&token, side, &format!("0.{cents:02}"), 10, "market_maker");
        }
        for (author, (on_yes, probability, minutes_ago)) in draw.estimates.iter().enumerate() {
            let token = format!("{id}-{}", if *on_yes { "yes" } else { "no" });
            let author = format!("author {author}");
            world.estimate(&id, &token, &author, *probability, (*minutes_ago, 120));
        }
    }
    world
}

fn strategies() -> Vec<Box<dyn Strategy>> {
    vec![
        Box::new(
            SignalTrader::new(SignalTraderParams {
                min_edge: MIN_EDGE,
                ..SignalTraderParams::default()
            })
            .unwrap(),
        ),
        Box::new(
            AiAnalyst::new(AiAnalystParams {
                min_edge: MIN_EDGE,
                ..AiAnalystParams::default()
            })
            .unwrap(),
        ),
        Box::new(
            MarketMaker::new(MarketMakerParams {
                min_edge: MIN_EDGE,
                ..MarketMakerParams::default()
            })
            .unwrap(),
        ),
        Box::new(
            Arbitrageur::new(ArbitrageurParams {
                trust_event_sets: true,
                ..ArbitrageurParams::default()
            })
            .unwrap(),
        ),
    ]
}

fn tradable(market: &Market, limit: Price) {
    assert_eq!(market.status, MarketStatus::Open);
    assert!(!market.placeholder);
    assert!(limit.is_multiple_of(market.tick), "{limit} off tick");
    assert!(limit > Price::ZERO && limit < Price::ONE);
}

fn check_signal(world: &World, signal: &Signal) {
    assert_eq!(signal.side, Side::Buy, "nothing is ever sold short");
    let view = world.snapshot.market(&signal.market_id).unwrap();
    assert!(view.candidate);
    let market = &view.market;
    tradable(market, signal.target_price);
    let book = world.snapshot.book(&signal.token_id).unwrap();
    assert!(!book.is_crossed());
    let best = book.best_ask().unwrap();
    assert!(signal.target_price >= best, "could not execute");
    let bound = best.ceil_to(market.tick).micros() + 10_000;
    assert!(signal.target_price.micros() <= bound, "above the bound");
    let limit = signal.target_price.to_f64();
    let edge = signal.fair_price - limit - market.fee.per_share(limit);
    assert!((signal.edge - edge).abs() < TOLERANCE);
    assert!(edge >= MIN_EDGE - TOLERANCE, "edge {edge}");
    assert!((0.01 - TOLERANCE..=0.99 + TOLERANCE).contains(&signal.fair_price));
    assert!((0.5..=1.0).contains(&signal.confidence));
    let cost = world
        .positions
        .get(&signal.token_id)
        .map_or(Usdc::ZERO, |position| position.cost);
    assert_eq!(signal.size.plus(cost), Usdc::whole(25), "a whole position");
    assert!(Shares::affordable(signal.size, signal.target_price) >= market.min_size);
    let other = market.opposite_of(&signal.token_id).unwrap();
    assert!(!world.positions.contains_key(&other.token), "fault 21");
}

fn check_quote(world: &World, quote: &Quote) {
    let market = &world.snapshot.market(&quote.market_id).unwrap().market;
    let book = world.snapshot.book(&quote.token_id).unwrap();
    assert!(!book.is_crossed());
    assert!(quote.bid.is_some() || quote.ask.is_some());
    assert!((0.5..=1.0).contains(&quote.confidence));
    let position = world.positions.get(&quote.token_id);
    let held = position.map_or(Shares::ZERO, |position| position.shares);
    for side in quote.bid.iter().chain(&quote.ask) {
        tradable(market, side.price);
        assert!(side.shares >= market.min_size);
        assert_eq!(side.shares, side.shares.floor_to_lot());
        let spent = notional(side.price, side.shares, Rounding::Up).unwrap();
        assert!(spent <= Usdc::whole(50));
    }
    if let Some(bid) = quote.bid {
        assert!(
            book.best_ask().is_none_or(|ask| bid.price < ask),
            "would take"
        );
        assert!(quote.fair_price - bid.price.to_f64() >= MIN_EDGE - TOLERANCE);
        assert!(bid.shares.plus(held) <= Shares::whole(200));
    }
    if let Some(ask) = quote.ask {
        assert!(
            book.best_bid().is_none_or(|bid| ask.price > bid),
            "would take"
        );
        assert!(ask.price.to_f64() - quote.fair_price >= MIN_EDGE - TOLERANCE);
        assert!(ask.shares <= held, "sells what is not held");
        assert_eq!(position.unwrap().entry_strategy.as_str(), "market_maker");
    }
}

/// Both quotes of one market: two sides around one fair price, within the market's limit.
fn check_both(world: &World, quotes: &[&Quote]) {
    assert!(quotes.len() <= 2);
    let market = &world.snapshot.market(&quotes[0].market_id).unwrap().market;
    let held = market.outcomes.iter().map(|outcome| {
        let position = world.positions.get(&outcome.token);
        position.map_or(Shares::ZERO, |position| position.shares)
    });
    let bids = quotes.iter().filter_map(|quote| quote.bid);
    let all = held
        .chain(bids.clone().map(|bid| bid.shares))
        .fold(Shares::ZERO, Shares::plus);
    assert!(bids.count() == 0 || all <= Shares::whole(300), "{all}");
    if let [first, second] = quotes {
        assert!((first.fair_price + second.fair_price - 1.0).abs() < TOLERANCE);
        if let (Some(first), Some(second)) = (first.bid, second.bid) {
            let sum = first.price.to_f64() + second.price.to_f64();
            assert!(sum <= 1.0 - 2.0 * MIN_EDGE + TOLERANCE, "{sum}");
        }
    }
}

/// What a leg costs in pUSD, level by level, as the venue fills and charges.
fn leg_cost(world: &World, leg: &BasketLeg, shares: Shares) -> Usdc {
    let market = &world.snapshot.market(&leg.market_id).unwrap().market;
    let mut left = shares;
    let mut cost = Usdc::ZERO;
    for level in world.snapshot.book(&leg.token_id).unwrap().asks() {
        let taken = level.size.min(left);
        left = left.minus(taken);
        if !taken.is_zero() {
            assert!(level.price <= leg.limit, "beyond its limit");
            // Off the tick, the strategy counts on the next price above.
            let price = level.price.ceil_to(market.tick);
            cost = cost
                .plus(notional(price, taken, Rounding::Up).unwrap())
                .plus(market.fee.fee(price, taken).unwrap());
        }
    }
    assert!(left.is_zero(), "more than is offered");
    cost
}

fn check_basket(world: &World, basket: &Basket) {
    assert!(basket.legs.len() >= 2, "fault 18");
    let distinct: BTreeSet<&TokenId> = basket.legs.iter().map(|leg| &leg.token_id).collect();
    assert_eq!(distinct.len(), basket.legs.len());
    assert_eq!(basket.shares, basket.shares.floor_to_lot());
    assert!((0.5..=1.0).contains(&basket.confidence));
    let mut cost = Usdc::ZERO;
    let mut last_set = 0.0;
    for leg in &basket.legs {
        let view = world.snapshot.market(&leg.market_id).unwrap();
        assert!(view.candidate);
        tradable(&view.market, leg.limit);
        let book = world.snapshot.book(&leg.token_id).unwrap();
        assert_eq!(book.depth_to(Side::Buy, leg.limit), leg.depth);
        assert!(basket.shares <= leg.depth && basket.shares >= view.market.min_size);
        assert!(notional(leg.limit, basket.shares, Rounding::Down).unwrap() >= Usdc::whole(1));
        // The exact money of the fills, not the estimate of the plan.
        cost = cost.plus(leg_cost(world, leg, basket.shares));
        let limit = leg.limit.to_f64();
        last_set += limit + view.market.fee.per_share(limit);
    }
    let paid = basket.payout * basket.shares.to_f64();
    assert!(cost.to_f64() < paid, "{cost} buys {paid}");
    assert!(cost <= Usdc::from_micros(25_000_050), "over budget: {cost}");
    // Not the average set only: the last one has its edge, too.
    assert!(basket.payout - last_set >= 0.03 - 1e-5);
    assert!(basket.edge >= 0.03 - TOLERANCE);
    // Fees are rounded up to a micro-unit a share in the plan.
    let per_set = (paid - cost.to_f64()) / basket.shares.to_f64();
    assert!(
        (per_set - basket.edge).abs() < 2e-5,
        "{per_set} {}",
        basket.edge
    );
    for pair in basket.legs.windows(2) {
        assert!(pair[0].depth <= pair[1].depth, "thinnest first");
    }
    let index = |token: &TokenId| {
        let market = &world.snapshot.market_of(token).unwrap().market;
        market.outcome_of(token).unwrap().0
    };
    let kinds: BTreeSet<usize> = basket.legs.iter().map(|leg| index(&leg.token_id)).collect();
    let markets: BTreeSet<_> = basket.legs.iter().map(|leg| &leg.market_id).collect();
    match kind_of(basket) {
        Kind::Pair => {
            assert_eq!(kinds.len(), 2, "both outcomes");
            assert_eq!(markets.len(), 1);
            assert_eq!(basket.payout, 1.0);
        }
        Kind::Event => {
            assert_eq!(kinds.len(), 1, "the same outcome of each market");
            assert!(basket.legs.len() >= 3);
            let losers = (basket.legs.len() - 1) as f64;
            let payout = if kinds.contains(&0) { 1.0 } else { losers };
            assert_eq!(basket.payout, payout);
        }
        Kind::Ladder => {
            assert_eq!((markets.len(), basket.legs.len()), (2, 2));
            assert_eq!(basket.payout, 1.0);
            let month_of = |kind: usize| {
                let leg = basket.legs.iter().find(|leg| index(&leg.token_id) == kind);
                let market = &world
                    .snapshot
                    .market(&leg.unwrap().market_id)
                    .unwrap()
                    .market;
                let month = |name: &&str| market.question.contains(*name);
                MONTHS.iter().position(month).unwrap()
            };
            assert!(
                month_of(0) > month_of(1),
                "Yes of the later, No of the earlier"
            );
        }
    }
}

#[derive(Debug, PartialEq)]
enum Kind {
    Pair,
    Event,
    Ladder,
}

fn kind_of(basket: &Basket) -> Kind {
    match basket.event_id.as_ref().map(EventId::as_str) {
        None => Kind::Pair,
        Some("l") => Kind::Ladder,
        Some(_) => Kind::Event,
    }
}

/// Checks everything; says how many signals, quotes, pairs, event sets, ladders and markets quoted
/// on both outcomes there were.
fn check(draws: &[Draw]) -> [usize; 6] {
    let world = build(draws);
    let mut seen = [0; 6];
    for strategy in strategies() {
        let run = || -> Analysis { strategy.analyze(&world.context()).unwrap() };
        let analysis = run();
        assert_eq!(analysis, run(), "deterministic");
        let passed: u32 = analysis.passed_over.values().sum();
        assert_eq!(
            usize::try_from(analysis.looked_at).unwrap(),
            usize::try_from(passed).unwrap() + analysis.intents.len(),
            "every market is accounted for"
        );
        let mut in_baskets = BTreeSet::new();
        let mut quoted: BTreeMap<&MarketId, Vec<&Quote>> = BTreeMap::new();
        for intent in &analysis.intents {
            match intent {
                Intent::Directional(signal) => {
                    assert_eq!(signal.strategy.as_str(), strategy.name());
                    check_signal(&world, signal);
                    seen[0] += 1;
                }
                Intent::Quote(quote) => {
                    check_quote(&world, quote);
                    quoted.entry(&quote.market_id).or_default().push(quote);
                    seen[1] += 1;
                }
                Intent::Basket(basket) => {
                    check_basket(&world, basket);
                    let markets: BTreeSet<_> =
                        basket.legs.iter().map(|leg| &leg.market_id).collect();
                    for market in markets {
                        assert!(in_baskets.insert(market.clone()), "in two baskets");
                    }
                    let kind = match kind_of(basket) {
                        Kind::Pair => 2,
                        Kind::Event => 3,
                        Kind::Ladder => 4,
                    };
                    seen[kind] += 1;
                }
            }
        }
        for quotes in quoted.values() {
            check_both(&world, quotes);
            seen[5] += usize::from(quotes.len() == 2);
        }
    }
    seen
}

proptest! {
    #[test]
    fn no_intent_breaks_a_rule_on_any_books(draws in prop::collection::vec(draw(), 1..6)) {
        check(&draws);
    }

    #[test]
    fn no_intent_breaks_a_rule_on_any_event(draws in event_draws()) {
        check(&draws);
    }

    #[test]
    fn no_intent_breaks_a_rule_on_any_ladder(draws in ladder_draws()) {
        check(&draws);
    }
}

/// The properties above would hold if nothing were ever wanted: over the same kind of books, all
/// kinds of intents do come up.
#[test]
fn the_properties_are_not_about_nothing() {
    let mut runner = TestRunner::deterministic();
    let any = prop_oneof![
        prop::collection::vec(draw(), 1..6),
        event_draws(),
        ladder_draws()
    ];
    let mut seen = [0; 6];
    for _ in 0..2000 {
        let tree = any.new_tree(&mut runner).unwrap();
        for (total, count) in seen.iter_mut().zip(check(&tree.current())) {
            *total += count;
        }
    }
    assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
}

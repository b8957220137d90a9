//! Comparisons on a few rows, worked out by hand.

use super::*;
use crate::backtest::record::tests::{dataset, options};
use crate::domain::Timestamp;
use crate::market_data::recorded::Dataset;
use crate::market_data::recorded::books::tests::{START, book, change, read, resolved};
use crate::trading::report::TickReport;

const PRICES: &str = "\
2026-01-01T00:00:00Z,a,A?,0.7,0,ta
2026-01-01T00:00:00Z,b,B?,0.4,0,tb
2026-01-01T01:00:00Z,a,A?,0.9,0,ta
2026-01-01T01:00:00Z,b,B?,0.9,0,tb
";
const BOTH_YES: &str = "\
a,ta,2026-01-01T02:00:00Z,Yes,official
b,tb,2026-01-01T02:00:00Z,Yes,official
";

#[test]
fn favourites_are_bought_at_first_sight_and_once() {
    let dataset = dataset(PRICES, BOTH_YES);
    let stake = Some(Usdc::whole(25));
    let found = favourites(&dataset, &options(), stake).unwrap().unwrap();
    // Yes of a at 0.71: 35.21 shares for 24.9991, and they pay. No of b at 0.61: 40.98 for 24.9978,
    // lost; its later favourite Yes is not looked at.
    assert_eq!((found.bought, found.refused), (2, 0));
    let expected = (35.21 - 24.9991 - 24.9978) / 1000.0;
    assert!((found.total_return - expected).abs() < 1e-12, "{found:?}");
}

#[test]
fn limits_hold_for_favourites_too() {
    let dataset = dataset(PRICES, BOTH_YES);
    let mut options = options();
    options.balance = Usdc::whole(30);
    let stake = Some(Usdc::whole(25));
    let found = favourites(&dataset, &options, stake).unwrap().unwrap();
    assert!(found.bought < 2 && found.refused > 0, "{found:?}");
}

/// Leaving markets out that nobody looks at any more must change nothing of the account: stops fire and
/// markets are marked as if all had been there.
#[test]
fn leaving_out_what_has_been_seen_changes_nothing_of_the_account() {
    let mut rows = String::new();
    for hour in 0..40_u64 {
        for market in 0..9_u64 {
            // Prices that wander between 0.30 and 0.79, differently in each market.
            let price = 30 + (market * 17 + hour * hour * (market + 3)) % 50;
            let (day, hour) = (1 + hour / 24, hour % 24);
            rows +=
                &format!("2026-01-{day:02}T{hour:02}:00:00Z,m{market},Q?,0.{price},0,t{market}\n");
        }
    }
    let ends =
        (0..5).map(|market| format!("m{market},t{market},2026-01-01T01:30:00Z,Yes,official\n"));
    let dataset = dataset(&rows, &ends.collect::<String>());
    let mut options = options();
    options.trading.conditional.enabled = true;
    let events_of = |selective: bool| {
        let seen: Arc<Mutex<HashSet<MarketId>>> = Arc::default();
        let strategies: [Box<dyn Strategy>; 1] = [Box::new(BuyFavourites {
            stake: Usdc::whole(20),
            seen: Arc::clone(&seen),
        })];
        let is_new = |market: &MarketId| !seen.lock().unwrap().contains(market);
        let selects: Option<engine::Selects<'_>> = selective.then_some(&is_new);
        let mut events = Vec::new();
        let mut observe = |more: &[crate::domain::StampedEvent], _: Option<&TickReport>| {
            // How many candidates a tick had is told, and is another number of course. What was used of a
            // book is not given back where nothing is held any more: nobody trades there again.
            let other = |told: &str| told.contains("TickCompleted") || told.contains("DepthUsed");
            let told = more.iter().filter(|one| !other(&format!("{one:?}")));
            events.extend(told.map(|one| format!("{:?} {:?}", one.at, one.event)));
        };
        engine::run_selected(&dataset, &strategies, &options, &mut observe, selects).unwrap();
        events
    };
    let all = events_of(false);
    assert!(
        all.iter().any(|event| event.contains("Conditional")),
        "no exit was set"
    );
    assert!(all.iter().any(|event| event.contains("Settled")));
    assert_eq!(events_of(true), all);
}

const ONE: &str = "\
2026-01-01T00:00:00Z,a,A?,0.5,0,ta
2026-01-01T01:00:00Z,a,A?,0.5,0,ta
";

fn hour(hours: i64) -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z")
        .unwrap()
        .plus_millis(hours * 3_600_000)
}

fn draw(dataset: &Dataset, hold: Hold, result: Usdc, seed: u64) -> RandomTrades {
    random_trades(
        dataset,
        &options(),
        &[hold],
        hour(2),
        result,
        (seed, RANDOM_DRAWS),
    )
    .unwrap()
}

#[test]
fn random_trades_win_or_lose_with_the_market() {
    let dataset = dataset(ONE, "a,ta,2026-01-01T02:00:00Z,Yes,official\n");
    let hold = Hold {
        opened_at: hour(0),
        sold_at: None,
        cost: Usdc::whole(50),
    };
    let found = draw(&dataset, hold, Usdc::ZERO, 1);
    assert_eq!((found.draws, found.trades), (200, 1));
    // 98.03 shares at 0.51 cost 49.9953: Yes wins 48.0347, No loses all.
    assert!((found.low + 0.049_995_3).abs() < 1e-12, "{found:?}");
    assert!((found.high - 0.048_034_7).abs() < 1e-12, "{found:?}");
    // Half of the draws lose: within four deviations of √(0.25 / 200) = 3.5 %.
    assert!((found.percentile - 50.0).abs() < 14.2, "{found:?}");
    assert_eq!(found, draw(&dataset, hold, Usdc::ZERO, 1));
    assert_ne!(found, draw(&dataset, hold, Usdc::ZERO, 2));
    // Better than all of them, and worse.
    assert_eq!(draw(&dataset, hold, Usdc::whole(49), 1).percentile, 100.0);
    assert_eq!(draw(&dataset, hold, Usdc::whole(-50), 1).percentile, 0.0);
}

#[test]
fn what_the_run_sold_is_sold_at_the_bid() {
    let dataset = dataset(ONE, "a,ta,2026-01-01T02:00:00Z,Yes,official\n");
    let hold = Hold {
        opened_at: hour(0),
        sold_at: Some(hour(1)),
        cost: Usdc::whole(50),
    };
    let found = draw(&dataset, hold, Usdc::ZERO, 1);
    // Either outcome: bought at 0.51, sold at 0.49: 98.03 × 0.02 = 1.9606.
    for value in [found.mean_return, found.low, found.high] {
        assert!((value + 0.001_960_6).abs() < 1e-12, "{found:?}");
    }
    assert_eq!(found.percentile, 100.0);
    // A draw equal to the run counts half.
    let same = draw(&dataset, hold, Usdc::from_f64(-1.9606).unwrap(), 1);
    assert_eq!(same.percentile, 50.0);
}

#[test]
fn without_trades_or_markets_nothing_is_drawn() {
    let dataset = dataset(ONE, "");
    assert_eq!(
        random_trades(&dataset, &options(), &[], hour(2), Usdc::ZERO, (1, 10)),
        None
    );
    // Before the first row nothing can be bought, so there is nothing to compare with.
    let early = Hold {
        opened_at: hour(-5),
        sold_at: None,
        cost: Usdc::whole(50),
    };
    let found = random_trades(&dataset, &options(), &[early], hour(2), Usdc::ZERO, (1, 10));
    assert_eq!(found, None);
}

#[test]
fn threads_change_nothing() {
    let dataset = dataset(PRICES, BOTH_YES);
    let hold = Hold {
        opened_at: hour(0),
        sold_at: None,
        cost: Usdc::whole(20),
    };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| draw(&dataset, hold, Usdc::ZERO, 9))
    };
    assert_eq!(on(1), on(3));
}

/// Two tokens of one market: Yes 0.40 to 0.50, later 0.45; No 0.50 to 0.60, until Yes wins.
fn recorded_books() -> String {
    let lines = [
        book("7", 58_000, "0.40x100", "0.50x50"),
        book("8", 58_000, "0.50x50", "0.60x100"),
        change("7", 119_000, "BUY 0.45 9 0.45 0.5"),
        change("8", 119_500, "SELL 0.55 9 0.5 0.55"),
        resolved(200_000),
    ];
    lines.concat()
}

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1_000)
}

#[test]
fn random_trades_on_books_take_what_was_shown_then() {
    let recording = read(&recorded_books());
    let drawn = |hold: Hold, end: i64| {
        let draws = (1, RANDOM_DRAWS);
        random_trades(
            &recording,
            &options(),
            &[hold],
            second(end),
            Usdc::ZERO,
            draws,
        )
    };
    let near = |value: f64, expected: f64| (value - expected).abs() < 1e-9;
    let hold = |opened: i64, sold: Option<i64>| Hold {
        opened_at: second(opened),
        sold_at: sold.map(second),
        cost: Usdc::whole(12),
    };
    // Yes: 24 shares at 0.50, sold at 0.45 for 10.80. No: 20 shares at 0.60, sold at 0.50 for 10.
    let sold = drawn(hold(60, Some(120)), 300).unwrap();
    assert!(
        near(sold.low, -0.002) && near(sold.high, -0.0012),
        "{sold:?}"
    );
    assert_eq!((sold.trades, sold.percentile), (1, 100.0));
    // Held to the settlement: 24 pay 24, or 20 pay nothing.
    let settled = drawn(hold(60, None), 300).unwrap();
    assert!(
        near(settled.low, -0.012) && near(settled.high, 0.012),
        "{settled:?}"
    );
    // The run ends before: 24 and 20 shares count at the bids, without a fee.
    let open = drawn(hold(60, None), 121).unwrap();
    assert!(
        near(open.low, -0.002) && near(open.high, -0.0012),
        "{open:?}"
    );
    // Before the first book and after the end nothing can be bought.
    for opened in [10, 250] {
        assert_eq!(drawn(hold(opened, None), 300), None, "{opened}");
    }
}

#[test]
fn a_market_that_is_left_out_is_not_drawn_from_books() {
    let recording = read(&recorded_books());
    let mut options = options();
    options.rules.excluded = [true].into();
    let hold = Hold {
        opened_at: second(60),
        sold_at: Some(second(120)),
        cost: Usdc::whole(12),
    };
    let found = random_trades(
        &recording,
        &options,
        &[hold],
        second(300),
        Usdc::ZERO,
        (1, 20),
    );
    assert_eq!(found, None);
}

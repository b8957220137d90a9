//! Replays of hand-made recordings, worked out by hand, and of the real ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::backtest::engine::{BacktestOptions, BacktestResult, ReplayRules, run, run_observed};
use crate::backtest::test_support::{events, no_limits, options as plain, wish};
use crate::backtest::{analysis, lookahead, report};
use crate::domain::{
    Fill, Intent, LedgerEvent, MarketView, Price, Quote, QuoteSide, Shares, Signal, StampedEvent,
    StrategyName, Timestamp,
};
use crate::market_data::recorded::books::tests::{START, book, change, read, real, resolved};
use crate::market_data::recorded::books::{BookOptions, BookRecording};
use crate::strategy::{
    Analysis, MarketMakerParams, StrategiesConfig, Strategy, StrategyContext, StrategyError,
    StrategySet,
};
use crate::trading::config::SizingMethod;

/// Does at each tick what it is told, by seconds since the start.
struct Script<F>(F);

impl<F: Fn(i64, &MarketView) -> Vec<Intent> + Send + Sync> Strategy for Script<F> {
    fn name(&self) -> &'static str {
        "script"
    }

    fn analyze(&self, context: &StrategyContext<'_>) -> Result<Analysis, StrategyError> {
        let seconds = (context.snapshot.at.millis() - START) / 1_000;
        let mut analysis = Analysis::default();
        for view in context.snapshot.candidates() {
            analysis.intents.extend((self.0)(seconds, view));
        }
        Ok(analysis)
    }
}

fn script<F>(of: F) -> Vec<Box<dyn Strategy>>
where
    F: Fn(i64, &MarketView) -> Vec<Intent> + Send + Sync + 'static,
{
    vec![Box::new(Script(of))]
}

fn p(text: &str) -> Price {
    Price::parse(text).unwrap()
}

/// Buys the first outcome for ten pUSD, up to `limit`.
fn buy(view: &MarketView, limit: &str, stop: Option<&str>) -> Intent {
    Intent::Directional(Signal {
        target_price: p(limit),
        stop_loss: stop.map(p),
        // Never reached.
        take_profit: Some(p("0.99")),
        ..wish("script", view, &view.market.outcomes[0])
    })
}

/// Bids for so many shares of the first outcome.
fn bid(view: &MarketView, price: &str, shares: u32) -> Intent {
    let outcome = &view.market.outcomes[0];
    Intent::Quote(Quote {
        strategy: StrategyName::new("script"),
        market_id: view.market.id.clone(),
        token_id: outcome.token.clone(),
        outcome: outcome.name.clone(),
        fair_price: 0.6,
        confidence: 1.0,
        bid: Some(QuoteSide {
            price: p(price),
            shares: Shares::whole(shares),
        }),
        ask: None,
        reason: "a test".into(),
    })
}

fn options<'a>() -> BacktestOptions<'a> {
    let mut trading = no_limits();
    trading.sizing.method = SizingMethod::Fixed;
    BacktestOptions { trading, ..plain() }
}

/// `ms side shares@price`, with `maker` or `print`.
fn fills(events: &[StampedEvent]) -> Vec<String> {
    let words = |at: Timestamp, fill: &Fill| {
        let how = match (fill.maker, fill.print) {
            (_, true) => " print",
            (true, false) => " maker",
            (false, false) => "",
        };
        let side = fill.side.as_str().to_lowercase();
        format!(
            "{} {side} {}@{}{how}",
            at.millis() - START,
            fill.shares,
            fill.price
        )
    };
    events
        .iter()
        .filter_map(|event| match &event.event {
            LedgerEvent::Filled { fill } => Some(words(event.at, fill)),
            _ => None,
        })
        .collect()
}

fn played(lines: &[String], strategies: &[Box<dyn Strategy>]) -> (BacktestResult, Vec<String>) {
    let recording = read(&lines.concat());
    let (result, events) = events(&recording, strategies, &options());
    (result, fills(&events))
}

fn trade(token: &str, at: i64, side: &str, price: &str, size: u32) -> String {
    format!(
        "{{\"event_type\":\"last_trade_price\",\"market\":\"\",\"asset_id\":\"{token}\",\"timestamp\":\
         \"{}\",\"side\":\"{side}\",\"price\":\"{price}\",\"size\":\"{size}\"}}\n",
        START + at
    )
}

#[test]
fn an_order_takes_what_stands_level_by_level_and_no_more() {
    let lines = [book("7", 58_000, "0.40x100", "0.50x4 0.52x10 0.55x100")];
    let once = script(|_, view| vec![buy(view, "0.53", None)]);
    let (result, fills) = played(&lines, &once);
    // At the first full minute after the book: 10 / 0.53 = 18.86 shares wanted, 14 stand within 0.53.
    assert_eq!(fills, ["60000 buy 4@0.5", "60000 buy 10@0.52"]);
    // 1000 − 4 × 0.50 − 10 × 0.52 = 992.80; marked at 0.40: 992.80 + 5.60 = 998.40.
    assert_eq!(result.cash.to_string(), "992.8");
    assert_eq!(result.equity.to_string(), "998.4");
    assert_eq!((result.report.frames, result.partial), (1, false));
    assert_eq!(result.report.synthetic_fills, 0);
    assert_eq!(result.report.rebuilt, None);
}

#[test]
fn a_resting_order_waits_for_the_queue_before_it() {
    let mut lines = vec![
        book("7", 58_000, "0.40x100", "0.50x50"),
        // Ninety of the hundred before it are sold to.
        trade("7", 61_000, "SELL", "0.4", 90),
        change("7", 61_000, "BUY 0.40 10 0.4 0.5"),
        // Ten to the others, fifteen to us.
        trade("7", 70_000, "SELL", "0.4", 25),
        // A buyer takes nothing from bids.
        trade("7", 75_000, "BUY", "0.4", 25),
    ];
    let quote = || script(|_, view| vec![bid(view, "0.40", 20)]);
    let (_, found) = played(&lines, &quote());
    assert_eq!(found, ["70000 buy 15@0.4 print"]);
    // Somebody asks for less: whoever wants that had to sell to us first. 7 stand below 0.40, 5 are left.
    lines.push(change("7", 80_000, "BUY 0.40 0 0 0.5"));
    lines.push(change("7", 80_000, "SELL 0.39 7 0 0.39"));
    let (result, found) = played(&lines, &quote());
    assert_eq!(found, ["70000 buy 15@0.4 print", "80000 buy 5@0.4 maker"]);
    // 20 × 0.40 = 8, without a fee.
    assert_eq!(result.cash.to_string(), "992");
}

#[test]
fn nothing_fills_while_the_book_cannot_be_believed() {
    let resting = || script(|_, view| vec![bid(view, "0.40", 20)]);
    let first = book("7", 58_000, "0.40x100", "0.50x50");
    let through = change("7", 80_000, "SELL 0.39 7 - -");
    let out = change("7", 80_000, "BUY 0.40 0 - -");
    // As it is, it fills.
    let lines = [first.clone(), out.clone(), through.clone()];
    assert_eq!(played(&lines, &resting()).1, ["80000 buy 7@0.4 maker"]);
    // After something that could not be read a change may be missing.
    let lines = [first.clone(), "?\n".to_owned(), out, through];
    assert_eq!(played(&lines, &resting()).1, Vec::<String>::new());
    // Crossed.
    let lines = [first.clone(), change("7", 80_000, "SELL 0.39 7 - -")];
    assert_eq!(played(&lines, &resting()).1, Vec::<String>::new());
    // A taker's tick on a crossed book.
    let lines = [book("7", 58_000, "0.40x100", "0.39x50")];
    let taker = script(|_, view| vec![buy(view, "0.53", None)]);
    assert_eq!(played(&lines, &taker).1, Vec::<String>::new());
    // A whole book later: what was crossed in between never filled.
    let lines = [
        first,
        change("7", 80_000, "SELL 0.39 7 - -"),
        book("7", 90_000, "0.40x1", "0.41x1"),
    ];
    assert_eq!(played(&lines, &resting()).1, Vec::<String>::new());
}

#[test]
fn a_stop_sells_at_the_message_that_reaches_it() {
    let lines = [
        book("7", 58_000, "0.40x100 0.34x100", "0.50x50"),
        change("7", 70_000, "SELL 0.41 9 0.4 0.41"),
        // The bid falls to 0.34, the ask with it: a price that has really fallen.
        change("7", 90_500, "SELL 0.36 9 0.4 0.36"),
        change("7", 90_500, "BUY 0.40 0 0.34 0.36"),
        change("7", 95_000, "BUY 0.20 9 0.34 0.36"),
    ];
    let once = script(|at, view| match at {
        60 => vec![buy(view, "0.50", Some("0.35"))],
        _ => Vec::new(),
    });
    let (result, found) = played(&lines, &once);
    // 10 / 0.50 = 20 shares.
    assert_eq!(found, ["60000 buy 20@0.5", "90500 sell 20@0.34"]);
    // 1000 − 10 + 6.80.
    assert_eq!(result.cash.to_string(), "996.8");
}

#[test]
fn a_stop_on_a_wide_book_waits_until_it_is_confirmed() {
    let lines = [
        book("7", 58_000, "0.40x100 0.34x100", "0.50x50"),
        // The bids above 0.34 are gone, nobody asks for less: 0.16 is wider than 0.05.
        change("7", 90_500, "BUY 0.40 0 0.34 0.5"),
        change("7", 300_000, "BUY 0.20 9 0.34 0.5"),
    ];
    let once = script(|at, view| match at {
        60 => vec![buy(view, "0.50", Some("0.35"))],
        _ => Vec::new(),
    });
    let confirm = no_limits().conditional.confirm_ms();
    let (_, found) = played(&lines, &once);
    let sold = format!("{} sell 20@0.34", 90_500 + confirm);
    assert_eq!(found, ["60000 buy 20@0.5".to_owned(), sold]);
}

#[test]
fn an_order_meets_the_book_of_its_arrival() {
    let lines = [
        book("7", 58_000, "0.40x100", "0.50x50"),
        change("7", 63_000, "SELL 0.50 0 0.4 0.52"),
        change("7", 63_000, "SELL 0.52 50 0.4 0.52"),
        change("7", 66_000, "SELL 0.45 50 0.4 0.45"),
    ];
    let recording = read(&lines.concat());
    let mut options = options();
    options.trading.execution.latency_ms = 5_000;
    let once = script(|at, view| match at {
        60 => vec![buy(view, "0.52", None)],
        _ => Vec::new(),
    });
    let (_, all) = events(&recording, &once, &options);
    // 10 / 0.52 = 19.23 shares, at 65 s.
    assert_eq!(fills(&all), ["65000 buy 19.23@0.52"]);
}

#[test]
fn an_announced_end_pays_and_says_that_it_was_announced() {
    let lines = [
        book("7", 58_000, "0.40x100", "0.50x50"),
        resolved(120_000),
        change("7", 130_000, "BUY 0.42 9 - -"),
    ];
    let once = script(|_, view| vec![buy(view, "0.50", None)]);
    let (result, found) = played(&lines, &once);
    assert_eq!(found, ["60000 buy 20@0.5"]);
    // 1000 − 10 + 20, and nothing is bought of a market that is over.
    assert_eq!(result.cash.to_string(), "1010");
    assert_eq!(result.report.settlements, 1);
    assert!(
        result.report.closed[0]
            .exit_reason
            .contains("announced in the recording")
    );
}

#[test]
fn rebuilt_books_are_said_to_be_so_first() {
    let lines = [
        change("7", 57_000, "BUY 0.31 198 0.35 0.39"),
        change("7", 58_000, "SELL 0.41 5 0.35 0.39"),
    ];
    let recording = read(&lines.concat());
    let once = script(|_, view| vec![buy(view, "0.40", None)]);
    let options = options();
    let (mut result, all) = events(&recording, &once, &options);
    // 25 shares of the thousand that are assumed at the told best ask.
    assert_eq!(fills(&all), ["60000 buy 25@0.39"]);
    assert_eq!(result.report.synthetic_fills, 1);
    analysis::analyse(&mut result, Some(&recording), &options, 1).unwrap();
    let page = report::markdown(&result.report);
    let first = page.lines().next().unwrap();
    assert!(
        first.contains("without whole books for 1 of 1 tokens"),
        "{first}"
    );
    let codes: Vec<&str> = result
        .report
        .diagnoses
        .iter()
        .map(|one| one.code.as_str())
        .collect();
    assert!(codes.contains(&"rebuilt_book"), "{codes:?}");
    let favourites = &result.report.comparisons.as_ref().unwrap().favourites;
    // The mid is 0.37: no favourite.
    assert_eq!((favourites.bought, favourites.refused), (0, 0));
}

#[test]
fn a_book_that_was_hidden_while_it_was_held_is_a_gap() {
    // Bought at the tick of 60 s; from 70 s to 130 s the book contradicts itself.
    let lines = [
        book("7", 50_000, "0.40x100", "0.50x50"),
        change("7", 70_000, "SELL 0.39 7 - -"),
        book("7", 130_000, "0.40x100", "0.50x50"),
        change("7", 180_000, "BUY 0.41 9 0.41 0.5"),
    ];
    let recording = read(&lines.concat());
    let once = script(|seconds, view| match seconds {
        60 => vec![buy(view, "0.50", None)],
        _ => Vec::new(),
    });
    let options = options();
    let (mut result, all) = events(&recording, &once, &options);
    assert_eq!(fills(&all), ["60000 buy 20@0.5"]);
    analysis::analyse(&mut result, Some(&recording), &options, 1).unwrap();
    let found = result
        .report
        .diagnoses
        .iter()
        .find(|one| one.code == "data_gaps");
    let text = &found.unwrap().text;
    let wanted = "of 1 books held, 1 were hidden once for 10 s or more, 60 s in all (at most 60 s, from \
                  2026-01-01T00:01:10Z)";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn ticks_come_at_whole_multiples_after_a_change_and_within_the_period() {
    let lines = [
        book("7", 10_000, "0.40x100", "0.50x50"),
        change("7", 60_000, "BUY 0.41 9 0.41 0.5"),
        change("7", 200_000, "BUY 0.42 9 0.42 0.5"),
        change("7", 300_001, "BUY 0.43 9 0.43 0.5"),
    ];
    let recording = read(&lines.concat());
    let ticks = |start: Option<i64>, end: Option<i64>, tick_ms| {
        let moment = |at: i64| Timestamp::from_millis(START + at);
        let rules = ReplayRules {
            tick_ms,
            ..ReplayRules::default()
        };
        let options = BacktestOptions {
            start: start.map(moment),
            end: end.map(moment),
            rules,
            ..options()
        };
        let mut all = Vec::new();
        run_observed(
            &recording,
            &script(|_, _| Vec::new()),
            &options,
            &mut |events, _| {
                all.extend_from_slice(events);
            },
        )
        .map(|_| {
            let ticks = all
                .iter()
                .filter(|e| matches!(e.event, LedgerEvent::TickCompleted { .. }));
            ticks
                .map(|e| (e.at.millis() - START) / 1_000)
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(ticks(None, None, None).unwrap(), [60, 240, 360]);
    assert_eq!(ticks(None, None, Some(100_000)).unwrap(), [100, 200, 400]);
    assert_eq!(ticks(Some(100_000), Some(300_001), None).unwrap(), [240]);
    assert!(ticks(Some(300_002), None, None).is_err());
    assert!(ticks(None, Some(9_999), None).is_err());
}

fn all_strategies() -> Vec<Box<dyn Strategy>> {
    let config = StrategiesConfig {
        market_maker: Some(MarketMakerParams {
            enabled: true,
            spread: 0.02,
            lookback_minutes: 30,
            ..MarketMakerParams::default()
        }),
        ..StrategiesConfig::default()
    };
    StrategySet::from_config(&config).unwrap().into_vec()
}

#[test]
fn real_recordings_replay_to_the_same_every_time() {
    let Some(folder) = real("real_recordings_replay_to_the_same_every_time") else {
        return;
    };
    let mut filled = 0;
    for name in [
        "ws/mlb",
        "ws/nhl_car_vgk_20260607_0130.jsonl.gz",
        "ws/price_change_20250125.jsonl.gz",
        "l2",
        "rest",
    ] {
        let load = || {
            BookRecording::load_unless(&folder.join(name), BookOptions::default(), &|| false)
                .unwrap()
        };
        let recording = load();
        let (result, first) = events(&recording, &all_strategies(), &options());
        filled += result.report.trades.len();
        let (again, second) = events(&load(), &all_strategies(), &options());
        assert_eq!(first, second, "{name}");
        assert_eq!(result.report, again.report, "{name}");
    }
    assert!(filled >= 10, "{filled} fills");
}

#[test]
fn no_look_ahead_is_found_in_a_real_game() {
    let Some(folder) = real("no_look_ahead_is_found_in_a_real_game") else {
        return;
    };
    let file = folder.join("ws/mlb/mlb-tb-kc-2025-06-25.jsonl.gz");
    let load = |until| {
        let options = BookOptions {
            until,
            ..BookOptions::default()
        };
        BookRecording::load_unless(&file, options, &|| false)
    };
    let whole = load(None).unwrap();
    let options = options();
    let (result, found) = lookahead::check(
        &whole,
        &options,
        4,
        &|moment| load(Some(moment)),
        &|_: &BookRecording| all_strategies(),
    )
    .unwrap();
    assert_eq!(found.difference, None, "{}", found.words());
    assert!(found.compared > 100, "{}", found.compared);
    assert!(result.report.frames > 50);
}

#[test]
fn it_ends_within_a_tenth_of_a_second_and_keeps_what_there_is() {
    let changes = (0..400_000_i64).map(|n| {
        let size = 5 + n % 50;
        change("7", 10_000 + n * 7, &format!("BUY 0.40 {size} 0.4 0.5"))
    });
    let lines: String = std::iter::once(book("7", 9_000, "0.40x100", "0.50x50"))
        .chain(changes)
        .collect();
    let recording = read(&lines);
    let flag = AtomicBool::new(false);
    let options = BacktestOptions {
        // After some work has been done.
        progress: &|done, _| flag.store(done > 100_000, Ordering::Release),
        cancelled: &|| flag.load(Ordering::Acquire),
        ..options()
    };
    let quoting = script(|_, view| vec![bid(view, "0.40", 20)]);
    let began = Instant::now();
    let result = run(&recording, &quoting, &options).unwrap();
    assert!(result.partial);
    assert!(result.report.notes[0].contains("cancelled"));
    assert!(began.elapsed() < Duration::from_secs(5));
}

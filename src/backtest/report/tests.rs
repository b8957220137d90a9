//! Both forms of one small report.

use super::*;
use crate::backtest::baselines::{Favourites, RandomTrades};

fn input() -> ReportInput {
    let at = Timestamp::from_secs;
    let usd = |text: &str| Usdc::parse(text).unwrap();
    let group = |name: &str, pnl: f64| GroupRow {
        name: name.to_owned(),
        pnl,
        trades: 1,
        ..GroupRow::default()
    };
    let closed = |pnl: &str| ClosedRow {
        market_id: "m".into(),
        market: "Rain | <script>alert(1)</script> [x](http://y)?".into(),
        outcome: "Yes & No".into(),
        strategy: "arbitrageur".into(),
        opened_at: at(1_767_225_600),
        closed_at: at(1_767_229_200),
        shares: Shares::whole(50),
        cost: usd("21.75"),
        gained: usd("20.5"),
        pnl: usd(pnl),
        settled: false,
        entry_reason: "edge\n# 3".into(),
        exit_reason: "stop loss 7".into(),
    };
    ReportInput {
        title: "Backtest 7".into(),
        data: "prices".into(),
        period: Some((at(1_767_225_600), at(1_767_312_000))),
        frames: 25,
        synthetic_spread: Some(Price::parse("0.02").unwrap()),
        config: vec!["spread 0.02".into()],
        balance: Usdc::whole(1000),
        metrics: Metrics {
            total_return: Some(0.0125),
            final_equity: Some(1012.5),
            win_rate: Some(0.5),
            total_trades: 2,
            reasons: BTreeMap::from([("sharpe_ratio".into(), "few steps".into())]),
            ..Metrics::default()
        },
        intervals: Intervals {
            total_return: Some(Interval {
                low: -0.03,
                high: 0.055,
            }),
            ..Intervals::default()
        },
        comparisons: Some(Comparisons {
            nothing: 0.0,
            favourites: Favourites {
                total_return: -0.0333,
                stake: 25.0,
                bought: 12,
                refused: 3,
            },
            random: Some(RandomTrades {
                draws: 200,
                trades: 2,
                mean_return: -0.004,
                low: -0.02,
                high: 0.01,
                percentile: 96.5,
            }),
        }),
        diagnoses: vec![Diagnosis {
            code: "too_few_trades".into(),
            text: "Too few trades: 2 closed trades.".into(),
        }],
        equity: vec![
            (at(1_767_225_600), Usdc::whole(1000)),
            (at(1_767_312_000), usd("1012.5")),
        ],
        exposure: vec![
            (at(1_767_225_600), Usdc::ZERO),
            (at(1_767_229_200), Usdc::whole(40)),
        ],
        trades: vec![TradeRow {
            at: at(1_767_229_200),
            strategy: "arbitrageur".into(),
            market_id: "m".into(),
            token_id: "t".into(),
            market: "Rain | <script>alert(1)</script> [x](http://y)?".into(),
            outcome: "Yes & No".into(),
            side: Some(Side::Sell),
            price: Price::parse("0.41").unwrap(),
            shares: Shares::whole(50),
            notional: usd("20.5"),
            fee: usd("0.60475"),
            maker: false,
            pnl: Some(usd("-1.25")),
            reason: "edge\n# 3".into(),
        }],
        closed: vec![closed("-1.25"), closed("13.75")],
        strategies: vec![StrategyRow {
            strategy: "signal_trader".into(),
            signals: 4,
            executed: 2,
            volume: Usdc::whole(41),
            looked_at: 100,
            passed_over: BTreeMap::from([("no edge".to_owned(), 96)]),
            not_traded: BTreeMap::from([("max_position_size".to_owned(), 2)]),
            ..StrategyRow::default()
        }],
        by_strategy: vec![group("arbitrageur", 12.5)],
        by_category: vec![group("<b>Weather</b>", 12.5)],
        by_market: vec![group("Rain?", 13.75), group("Sleet?", -1.25)],
        settlements: 3,
        open_positions: vec![PositionRow {
            market: "Snow?".into(),
            outcome: "No".into(),
            shares: Shares::whole(10),
            cost: Usdc::whole(4),
            ..PositionRow::default()
        }],
        notes: vec!["Fees are assumed.".into()],
        skipped_rows: BTreeMap::from([("the price is not a number".to_owned(), 2)]),
        ..ReportInput::default()
    }
}

#[test]
fn the_first_line_says_that_books_were_synthesised() {
    let mut run = input();
    let first = |text: String| text.lines().next().unwrap().to_owned();
    assert!(first(markdown(&run)).starts_with("> **Books were synthesised"));
    let page = html(&run);
    let body = page.split("<body>").nth(1).unwrap();
    assert!(body.starts_with(r#"<p class="warning">Books were synthesised"#));
    run.synthetic_spread = None;
    assert_eq!(first(markdown(&run)), "# Backtest 7");
    assert!(!html(&run).contains("synthesised"));
}

#[test]
fn text_of_strangers_stays_text() {
    let page = html(&input());
    assert!(page.contains("Rain | &lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("<script") && !page.contains("<b>Weather"));
    assert!(!page.contains("href=") && !page.contains("src="), "{page}");
    let text = markdown(&input());
    assert!(
        text.contains(r"Rain \| &lt;script&gt;alert(1)&lt;/script&gt; \[x\](http://y)?"),
        "{text}"
    );
    assert!(text.contains(r"| edge \# 3 | stop loss 7 |"), "{text}");
}

#[test]
fn every_part_is_in_both_forms() {
    let (text, page) = (markdown(&input()), html(&input()));
    for wanted in [
        "1.25 %",
        "50.00 %",
        "1000.00",
        "1012.50",
        "1.25 % (95 %: -3.00 % to 5.50 %)",
        "Too few trades: 2 closed",
        "Buying every favourite at first sight, 25.00 pUSD each (12 bought, 3 refused)",
        "-0.40 % (-2.00 % to 1.00 %)",
        "96.5",
        "-1.25",
        "13.75",
        "stop loss 7",
        "Weather",
        "Sleet?",
        "max",
        "no edge",
        "Snow?",
        "Fees are assumed.",
        "2 × the price is not a number",
        "spread 0.02",
        "25 moments",
    ] {
        assert!(text.contains(wanted), "markdown lacks {wanted}");
        assert!(page.contains(wanted), "html lacks {wanted}");
    }
    assert!(
        text.contains("| Sharpe ratio, annualised | – |"),
        "absent, not 0"
    );
    // Equity, drawdown, exposure; the distribution of two trades.
    assert_eq!(page.matches("<polyline").count(), 3);
    assert!(page.contains(r#"<rect class="bar down""#));
    assert!(page.contains("sharpe_ratio: few steps"));
    assert!(page.contains("0.60475") && page.contains("2026-01-01 01:00"));
}

#[test]
fn what_rounds_to_zero_has_no_sign() {
    assert_eq!(percent(Some(-0.0)), "0.00 %");
    assert_eq!(percent(Some(-0.000_049)), "0.00 %");
    assert_eq!(percent(Some(-0.000_051)), "-0.01 %");
    assert_eq!(number(Some(-0.001)), "0.00");
    assert_eq!(score(Some(-0.0001)), "-0.0001");
    assert_eq!(money(Usdc::from_micros(-4_999)), "0.00");
}

#[test]
fn exposure_is_drawn_over_the_same_time_as_equity() {
    // A run of 24 hours whose positions change for the last time after one; the last point says so.
    let mut run = input();
    let end = Timestamp::from_secs(1_767_312_000);
    run.exposure.push((end, Usdc::whole(40)));
    let page = html(&run);
    // 0 until 1 of 24 hours, which is 33.3 of 800; then 40 to the very end.
    let line = "0.0,200.0 33.3,200.0 33.3,0.0 800.0,0.0 800.0,0.0";
    assert!(page.contains(line), "{page}");
}

#[test]
fn an_empty_run_is_reported_too() {
    let empty = ReportInput::default();
    assert!(markdown(&empty).contains("nothing was replayed"));
    assert!(!html(&empty).contains("<svg"));
}

#[test]
fn long_lists_are_cut_and_the_page_stays_small() {
    let mut run = input();
    run.trades = vec![run.trades[0].clone(); 20_012];
    run.trades[0].reason = "the very first".into();
    let long = "because ".repeat(2_000);
    run.closed = (0..5_000_i32)
        .map(|number| ClosedRow {
            pnl: Usdc::whole(number - 2_500),
            entry_reason: long.clone(),
            ..run.closed[0].clone()
        })
        .collect();
    run.by_market = vec![run.by_market[0].clone(); 3_000];
    run.open_positions = vec![run.open_positions[0].clone(); 3_000];
    run.equity = (0..200_000)
        .map(|n| {
            (
                Timestamp::from_secs(n),
                Usdc::from_micros(1_000_000_000 + n * 37 % 991),
            )
        })
        .collect();
    run.exposure.clone_from(&run.equity);
    let page = html(&run);
    assert!(page.contains("19912 earlier rows are not shown."));
    assert!(page.contains("2960 between them are not shown."));
    assert!(!page.contains("the very first"));
    assert!(page.len() < 400_000, "{}", page.len());
    assert!(page.contains("2499.00") && page.contains("-2500.00") && !page.contains("2479.00"));
    let text = markdown(&run);
    assert!(text.len() < 40_000, "{}", text.len());
}

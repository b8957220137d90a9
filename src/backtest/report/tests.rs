//! Both forms of one small report.

use super::*;

fn input() -> ReportInput {
    let at = Timestamp::from_secs;
    ReportInput {
        title: "Backtest 7".into(),
        data: "prices".into(),
        period: Some((at(1_767_225_600), at(1_767_312_000))),
        frames: 25,
        synthetic_spread: Some(Price::parse("0.02").unwrap()),
        config: vec!["spread 0.02".into()],
        metrics: Metrics {
            total_return: Some(0.0125),
            win_rate: Some(0.5),
            total_trades: 2,
            ..Metrics::default()
        },
        equity: vec![
            (at(1_767_225_600), Usdc::whole(1000)),
            (at(1_767_312_000), Usdc::parse("1012.5").unwrap()),
        ],
        trades: vec![TradeRow {
            at: at(1_767_229_200),
            strategy: "arbitrageur".into(),
            market: "Rain | <script>alert(1)</script> [x](http://y)?".into(),
            outcome: "Yes & No".into(),
            side: Some(Side::Sell),
            price: Price::parse("0.41").unwrap(),
            shares: Shares::whole(50),
            notional: Usdc::parse("20.5").unwrap(),
            fee: Usdc::parse("0.60475").unwrap(),
            pnl: Some(Usdc::parse("-1.25").unwrap()),
            reason: "edge\n# 3".into(),
        }],
        strategies: vec![StrategyRow {
            strategy: "signal_trader".into(),
            signals: 4,
            executed: 2,
            volume: Usdc::whole(41),
            looked_at: 100,
            passed_over: BTreeMap::from([("no edge".to_owned(), 96)]),
            ..StrategyRow::default()
        }],
        settlements: 3,
        open_positions: vec![PositionRow {
            market: "Snow?".into(),
            outcome: "No".into(),
            shares: Shares::whole(10),
            cost: Usdc::whole(4),
            value: None,
        }],
        notes: vec!["Fees are assumed.".into()],
        skipped_rows: BTreeMap::from([("the price is not a number".to_owned(), 2)]),
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
    assert!(!page.contains("<script"));
    assert!(!page.contains("href=") && !page.contains("src="), "{page}");
    let text = markdown(&input());
    assert!(
        text.contains(r"Rain \| &lt;script&gt;alert(1)&lt;/script&gt; \[x\](http://y)?"),
        "{text}"
    );
    assert!(text.contains(r"| edge \# 3 |"));
}

#[test]
fn every_part_is_in_both_forms() {
    let (text, page) = (markdown(&input()), html(&input()));
    for wanted in [
        "1.25 %",
        "50.00 %",
        "1000.00",
        "1012.50",
        "2026-01-01T01:00:00Z",
        "0.60475",
        "-1.25",
        "no edge",
        "Snow?",
        "Fees are assumed.",
        "2 × the price is not a number",
        "spread 0.02",
        "25 frames",
    ] {
        assert!(text.contains(wanted), "markdown lacks {wanted}");
        assert!(page.contains(wanted), "html lacks {wanted}");
    }
    assert!(
        text.contains("| Sharpe ratio, annualised | – |"),
        "absent, not 0"
    );
    assert!(page.contains("<polyline"));
}

#[test]
fn an_empty_run_is_reported_too() {
    let empty = ReportInput::default();
    assert!(markdown(&empty).contains("nothing was replayed"));
    assert!(!html(&empty).contains("<svg"));
}

#[test]
fn long_lists_are_cut_and_say_so() {
    let mut run = input();
    run.trades = vec![run.trades[0].clone(); MAX_ROWS + 12];
    run.trades[0].reason = "the very first".into();
    for text in [markdown(&run), html(&run)] {
        assert!(text.contains("12 earlier rows are not shown."));
        assert!(!text.contains("the very first"));
    }
}

//! What paper trading did, the backtester does on the same recording, to the micro-dollar.

use serde_json::{Value, json};

use crate::support::{Recording, Workspace, at, close};

/// Covers a rise in each of six hours, a stop-loss, a settlement and a fall.
const FIRST: i64 = 28;
const LAST: i64 = 42;

#[test]
fn a_paper_session_and_its_backtest_make_the_same_trades() {
    let recording = Recording::new();
    let workspace = Workspace::with_config("conditional_orders: {enabled: true}\n");
    for hour in FIRST..=LAST {
        let moment = at(hour);
        let mut args = vec!["tick"];
        args.extend(recording.source(&moment));
        workspace.cli(&args).ok();
    }
    let data = recording.path();
    let (start, end) = (at(FIRST), at(LAST));
    let backtest = workspace
        .cli(&[
            "backtest",
            data.to_str().unwrap(),
            "--start",
            &start,
            "--end",
            &end,
            "--trades",
            "--json",
        ])
        .ok()
        .json();
    let status = workspace.cli(&["status", "--json"]).ok().json();
    assert_eq!(backtest["final_cash"], status["balance"]);
    assert_eq!(backtest["final_equity"], status["total_value"]);
    assert_eq!(backtest["frames"], LAST - FIRST + 1);
    assert_eq!(
        backtest["open_positions"],
        status["positions"].as_array().unwrap().len()
    );
    // Seven purchases, one stopped out, one settled.
    let trades = backtest["trades"].as_array().unwrap();
    assert_eq!(trades.len(), 9);
    assert_same_trades(trades, &paper_trades(&workspace));
}

/// A lookback longer than half of the week that a tick gathers, over four weeks of rows.
#[test]
fn a_long_lookback_sees_the_same_past_on_paper_and_in_the_backtest() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("prices.csv"), four_weeks()).unwrap();
    let data = dir.path().to_str().unwrap();
    let workspace = Workspace::with_config(
        "strategies:\n  signal_trader: {enabled: true, lookback_minutes: 8000}\n",
    );
    // Every six hours from day 20: 8,000 minutes before the first lies 14 days 10:40.
    let moments: Vec<String> = (0..8).map(|step| at(20 * 24 + step * 6)).collect();
    for moment in &moments {
        let tick = [
            "tick", "--source", "recorded", "--data", data, "--at", moment,
        ];
        workspace.cli(&tick).ok();
    }
    let period = ["--start", &moments[0], "--end", &moments[7]];
    let mut args = vec!["backtest", data, "--trades", "--json"];
    args.extend(period);
    let backtest = workspace.cli(&args).ok().json();
    assert_eq!(backtest["frames"], 8);
    let trades = backtest["trades"].as_array().unwrap();
    let bought: Vec<_> = trades
        .iter()
        .map(|trade| {
            (
                trade["timestamp"].as_str().unwrap(),
                trade["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    // The rise at day 21 and the fall six hours later; of the other markets, nothing.
    assert_eq!(
        bought,
        [(moments[4].as_str(), "Yes"), (moments[5].as_str(), "No")]
    );
    assert_same_trades(trades, &paper_trades(&workspace));
}

/// Rows every six hours. 2001 rises and 2004 falls. 2002 says nothing from day 11 to day 16, so
/// that only who looks further back than a week sees its rise. 2003 has two more rows within ten
/// minutes, the first of them at a moment that the lookback meets, the second taking it back.
fn four_weeks() -> String {
    use std::fmt::Write;
    let mut rows = "timestamp,market_id,question,yes_price,volume,token_id\n".to_owned();
    let mut row = |moment: &str, market: &str, price: f64| {
        writeln!(
            rows,
            "{moment},{market},Will number {market} happen?,{price},0,88{market}"
        )
        .unwrap();
    };
    for hour in (0..28 * 24).step_by(6) {
        let day = hour / 24;
        let moment = at(hour);
        row(&moment, "2001", if day < 21 { 0.40 } else { 0.55 });
        if !(11..16).contains(&day) {
            row(&moment, "2002", if day < 11 { 0.40 } else { 0.55 });
        }
        row(&moment, "2003", 0.50);
        row(
            &moment,
            "2004",
            if hour < 21 * 24 + 6 { 0.60 } else { 0.45 },
        );
    }
    let hour = at(14 * 24 + 10);
    row(&hour.replace(":00:00", ":40:00"), "2003", 0.40);
    row(&hour.replace(":00:00", ":45:00"), "2003", 0.50);
    rows
}

fn assert_same_trades(replayed: &[Value], traded: &[Value]) {
    let number = |value: &Value| value.as_f64().unwrap();
    assert_eq!(replayed.len(), traded.len());
    for (replayed, traded) in replayed.iter().zip(traded) {
        for field in ["timestamp", "strategy", "side", "outcome"] {
            assert_eq!(replayed[field], traded[field], "{field} of {replayed}");
        }
        for field in ["price", "size", "shares", "fee"] {
            close(number(&replayed[field]), number(&traded[field]));
        }
    }
}

/// The trades of the account, oldest first, as the database holds them.
fn paper_trades(workspace: &Workspace) -> Vec<Value> {
    let connection = rusqlite::Connection::open(workspace.db()).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT timestamp, strategy, side, outcome, price, size, shares, fee
             FROM trades ORDER BY id",
        )
        .unwrap();
    let rows = statement
        .query_map([], |row| {
            let text = |index| row.get::<_, String>(index);
            let real = |index| row.get::<_, f64>(index);
            Ok(json!({
                "timestamp": text(0)?.replace(".000Z", "Z"), "strategy": text(1)?, "side": text(2)?, "outcome": text(3)?,
                "price": real(4)?, "size": real(5)?, "shares": real(6)?, "fee": real(7)?,
            }))
        })
        .unwrap();
    rows.map(Result::unwrap).collect()
}

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
    let number = |value: &Value| value.as_f64().unwrap();
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
    let paper = paper_trades(&workspace);
    assert_eq!(paper.len(), 9);
    for (replayed, traded) in trades.iter().zip(&paper) {
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

//! The record: get_signal_log, get_portfolio_snapshots, get_strategy_performance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::{App, AppError};
use crate::domain::{Calibration, CalibrationGain, Usdc};
use crate::server::tool::NoArguments;
use crate::server::{Caller, Limit, ToolAnnotations, ToolError, ToolSpec, lenient};
use crate::store::{RowQuery, SignalRow, SnapshotRow};
use crate::trading::estimates::{AuthorSummary, Scoring};

use super::blocking;
use super::views::tidy;

/// The tools of this file.
pub fn tools() -> Vec<ToolSpec<App>> {
    let reads = ToolAnnotations::READ_LOCAL;
    vec![
        ToolSpec::new(
            "get_signal_log",
            "Signal log",
            "Every signal with what became of it (generated, executed, rejected with the reason), \
             newest first. Page with `before` = the last id of the page before.",
            reads,
            signal_log,
        ),
        ToolSpec::new(
            "get_portfolio_snapshots",
            "Account history",
            "Cash, value and positions over time, newest first: one row after each trade and at \
             intervals. Page with `before` = the last id of the page before.",
            reads,
            snapshots,
        ),
        ToolSpec::new(
            "get_strategy_performance",
            "Strategy performance",
            "By strategy: signals, volume, fees, profit, win rate. By author of estimates: scores, \
             calibration.",
            reads,
            performance,
        ),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LogArgs {
    /// Only this strategy's signals.
    #[serde(default)]
    strategy: Option<String>,
    /// Most rows, 1–1000.
    #[serde(default)]
    limit: Limit<100, 1000>,
    /// Only rows with a smaller id.
    #[serde(default, deserialize_with = "lenient::number")]
    before: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LogOut {
    /// Rows, newest first.
    signals: Vec<SignalRow>,
    /// Pass as `before` for the next page; null on the last.
    next_before: Option<i64>,
}

fn next_page(
    ids: impl DoubleEndedIterator<Item = i64> + ExactSizeIterator,
    limit: usize,
) -> Option<i64> {
    if ids.len() < limit { None } else { ids.last() }
}

async fn signal_log(app: Arc<App>, args: LogArgs, _: Caller) -> Result<LogOut, ToolError> {
    let limit = args.limit.get();
    let query = RowQuery {
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        before: args.before,
        strategy: args.strategy,
    };
    let signals = blocking(&app, move |app| Ok(app.store().signals(&query)?)).await?;
    let next_before = next_page(signals.iter().map(|row| row.id), limit);
    Ok(LogOut {
        signals,
        next_before,
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SnapshotArgs {
    /// Most rows, 1–1000.
    #[serde(default)]
    limit: Limit<100, 1000>,
    /// Only rows with a smaller id.
    #[serde(default, deserialize_with = "lenient::number")]
    before: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SnapshotsOut {
    /// Rows, newest first.
    snapshots: Vec<SnapshotRow>,
    /// Pass as `before` for the next page; null on the last.
    next_before: Option<i64>,
}

async fn snapshots(
    app: Arc<App>,
    args: SnapshotArgs,
    _: Caller,
) -> Result<SnapshotsOut, ToolError> {
    let limit = args.limit.get();
    let rows = u32::try_from(limit).unwrap_or(u32::MAX);
    let before = args.before;
    let snapshots = blocking(&app, move |app| Ok(app.store().snapshots(rows, before)?)).await?;
    let next_before = next_page(snapshots.iter().map(|row| row.id), limit);
    Ok(SnapshotsOut {
        snapshots,
        next_before,
    })
}

/// One strategy's record.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PerformanceView {
    /// Signals logged.
    pub signals_generated: u64,
    /// Signals that were traded.
    pub signals_executed: u64,
    /// Notional traded, pUSD.
    pub trade_volume: f64,
    /// Fills.
    pub fills: u64,
    /// Fees of its own orders, pUSD.
    pub fees: f64,
    /// Realised profit before fees of positions that it opened, pUSD.
    pub realized_pnl: f64,
    /// Value − cost of the positions that it opened and that are still held, pUSD; positions
    /// without a mark count as 0 and `marks_complete` is false.
    pub unrealized_pnl: f64,
    /// False when a position of it has no mark.
    pub marks_complete: bool,
    /// realized_pnl + unrealized_pnl − fees, pUSD.
    pub net_pnl: f64,
    /// Positions that it opened and that are still held.
    pub open_positions: u64,
    /// Those that are closed: sold or settled to the last share.
    pub closed: u64,
    /// Share of the closed ones that brought more than they cost, fees counted; null without any.
    pub win_rate: Option<f64>,
}

/// The record of all strategies.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PerformanceOut {
    /// By strategy; `mcp_manual` is what agents ordered themselves.
    pub strategies: BTreeMap<String, PerformanceView>,
    /// UNTRUSTED names. By author of estimates: resolved and pending markets, scores, reliability
    /// bins, calibration; as docs/estimates.md says. Untyped, to keep the list of tools short.
    pub authors: BTreeMap<String, Value>,
}

async fn performance(
    app: Arc<App>,
    _: NoArguments,
    _: Caller,
) -> Result<PerformanceOut, ToolError> {
    Ok(performance_record(&app)?)
}

/// The record of every strategy and of every author of estimates.
pub fn performance_record(app: &App) -> Result<PerformanceOut, AppError> {
    let strategies = performance_by_strategy(app)?;
    let ledger = app.ledger()?;
    Ok(PerformanceOut {
        strategies,
        authors: authors(ledger.scoring()),
    })
}

/// One author's record.
#[derive(Debug, Serialize)]
struct AuthorView {
    pending: u64,
    #[serde(flatten)]
    summary: AuthorSummary,
    calibration: CalibrationView,
}

#[derive(Debug, Serialize)]
struct CalibrationView {
    #[serde(flatten)]
    map: Calibration,
    gain: Option<CalibrationGain>,
    text: String,
}

fn authors(scoring: &Scoring) -> BTreeMap<String, Value> {
    let pending = scoring.pending_by_author();
    let names = scoring.authors().keys().map(String::as_str);
    let names: BTreeSet<&str> = names.chain(pending.keys().copied()).collect();
    names
        .into_iter()
        .map(|name| {
            let known = scoring.authors().get(name).cloned().unwrap_or_default();
            let fitted = known.calibration();
            let view = AuthorView {
                pending: pending.get(name).copied().unwrap_or(0),
                summary: known.summary(),
                calibration: CalibrationView {
                    map: fitted.map.clone(),
                    gain: fitted.gain,
                    text: fitted.to_string(),
                },
            };
            // Nothing in it can fail to be JSON: no map keys but text, no number but finite ones.
            let mut value = serde_json::to_value(view).unwrap_or_default();
            shorten_numbers(&mut value);
            (name.to_owned(), value)
        })
        .collect()
}

/// Six decimals are more than any score means.
fn shorten_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(short) = number.as_f64().map(tidy) {
                *value = Value::from(short);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten_numbers),
        Value::Object(map) => map.values_mut().for_each(shorten_numbers),
        _ => {}
    }
}

/// The record of every strategy, configured or not.
pub fn performance_by_strategy(app: &App) -> Result<BTreeMap<String, PerformanceView>, AppError> {
    let ledger = app.ledger()?;
    let mut names: Vec<String> = app
        .strategies()
        .names()
        .iter()
        .map(|n| (*n).to_owned())
        .collect();
    names.extend(ledger.strategies().keys().map(|name| name.to_string()));
    let mut out = BTreeMap::new();
    for name in names {
        let totals = ledger
            .strategies()
            .get(name.as_str())
            .cloned()
            .unwrap_or_default();
        let open = || {
            ledger
                .positions()
                .values()
                .filter(|p| p.entry_strategy.as_str() == name)
        };
        let unrealized: Usdc = open()
            .map(|p| p.value().map_or(Usdc::ZERO, |value| value.minus(p.cost)))
            .sum();
        let view = PerformanceView {
            signals_generated: totals.signals_generated,
            signals_executed: totals.signals_executed,
            trade_volume: totals.volume.to_f64(),
            fills: totals.fills,
            fees: totals.fees.to_f64(),
            realized_pnl: totals.realized.to_f64(),
            unrealized_pnl: unrealized.to_f64(),
            marks_complete: open().all(|position| position.mark.is_some()),
            net_pnl: totals.realized.plus(unrealized).minus(totals.fees).to_f64(),
            open_positions: open().count() as u64,
            closed: totals.closed,
            win_rate: (totals.closed > 0).then(|| tidy(totals.won as f64 / totals.closed as f64)),
        };
        out.insert(name, view);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Estimate;
    use crate::server::test_app::{NOW, account};
    use crate::trading::estimates::{Scored, score};

    #[tokio::test]
    async fn authors_are_shown_with_what_waits_and_why_nothing_is_calibrated() {
        let account = account().await;
        account.buy_and_tick().await;
        account.estimate_and_tick("m2", "t2").await;
        let shown = performance_record(&account.app).unwrap();
        let author = &shown.authors["tester"];
        assert_eq!(
            (&author["resolved"], &author["pending"]),
            (&0.into(), &1.into())
        );
        assert_eq!(author["brier"], Value::Null);
        assert_eq!(author["calibration"]["method"], "identity");
        assert_eq!(author["calibration"]["text"], "identity: 0 of 30 resolved");
        let manual = &shown.strategies["mcp_manual"];
        assert_eq!((manual.closed, manual.win_rate), (0, None));
        assert_eq!((manual.signals_generated, manual.signals_executed), (1, 1));
    }

    #[test]
    fn an_authors_record_is_shown_beside_the_markets() {
        let mut scoring = Scoring::default();
        for (market, payout) in [("a", "1"), ("b", "0")] {
            let estimate = Estimate {
                market_id: market.into(),
                token_id: "t".into(),
                outcome: "Yes".into(),
                probability: 0.75,
                confidence: None,
                author: "ann".to_owned(),
                rationale: String::new(),
                ask_then: Some(crate::domain::Price::parse("0.51").unwrap()),
                bid_then: Some(crate::domain::Price::parse("0.49").unwrap()),
                created_at: NOW,
                expires_at: NOW,
            };
            let payout = crate::domain::Price::parse(payout).unwrap();
            scoring.store(&estimate);
            let scored = Scored {
                estimate: &estimate,
                payout,
                brier: score::brier(0.75, payout),
                log_score: score::log_score(0.75, payout),
                weight: 1.0,
            };
            scoring.score(&scored).unwrap();
        }
        // Brier (0.0625 + 0.5625) / 2 = 0.3125; the market's 0.25: skill −0.25.
        // Log score (0.287682 + 1.386294) / 2 = 0.836988; the market's ln 2.
        assert_eq!(
            authors(&scoring)["ann"],
            serde_json::json!({
                "pending": 0,
                "resolved": 2,
                "estimates": 2,
                "brier": 0.3125,
                "log_score": 0.836988,
                "against_market": {
                    "markets": 2.0,
                    "brier": 0.3125,
                    "market_brier": 0.25,
                    "skill": -0.25,
                    "log_score": 0.836988,
                    "market_log_score": tidy(std::f64::consts::LN_2),
                },
                "bins": [
                    {"from": 0.7, "to": 0.8, "n": 2, "weight": 2.0, "predicted": 0.75, "observed": 0.5}
                ],
                "calibration": {
                    "method": "identity",
                    "gain": null,
                    "text": "identity: 2 of 30 resolved",
                },
            })
        );
    }
}

//! The replay: the live step over every frame of a recording, on a ledger without a store.

use crate::domain::{SourceKind, Timestamp, Usdc};
use crate::market_data::recorded::Dataset;
use crate::strategy::Strategy;
use crate::trading::config::{Mode, TradingConfig};
use crate::trading::desk::{self, DeskError};
use crate::trading::ledger::Ledger;

use super::frames::Frames;
use super::record::Record;
use super::report::ReportInput;

/// What a replay is made with.
#[derive(Clone)]
pub struct BacktestOptions<'a> {
    /// First moment; the recording's first row when `None`.
    pub start: Option<Timestamp>,
    /// Last moment; the recording's end when `None`.
    pub end: Option<Timestamp>,
    /// Cash at the start, pUSD.
    pub balance: Usdc,
    /// Limits, sizing, exits: as live.
    pub trading: TradingConfig,
    /// Title of the report.
    pub title: String,
    /// Told of frames done and in all.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
    /// Asked before each frame; true ends the run, and what there is so far is kept.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// No row lies in the period.
    #[error("the recording has no rows between {start} and {end}")]
    Empty {
        /// As asked, or `its start`.
        start: String,
        /// As asked, or `its end`.
        end: String,
    },
    /// A step failed: a fault of ours.
    #[error(transparent)]
    Desk(#[from] DeskError),
}

/// What came of a replay.
#[derive(Debug)]
pub struct BacktestResult {
    /// All that the report shows: measures, curve, trades.
    pub report: ReportInput,
    /// True when it was cancelled before its end.
    pub partial: bool,
    /// Cash at the end, pUSD.
    pub cash: Usdc,
    /// Equity at the end, pUSD.
    pub equity: Usdc,
}

/// Runs the live step over the recording. Deterministic: the same inputs give the same result.
///
/// Errors: [`BacktestError::Empty`] when no row lies in the period.
pub fn run(
    dataset: &Dataset,
    strategies: &[Box<dyn Strategy>],
    options: &BacktestOptions<'_>,
) -> Result<BacktestResult, BacktestError> {
    let config = TradingConfig {
        mode: Mode::Paper,
        ..options.trading.clone()
    };
    let frames = Frames::new(dataset, options.start, options.end);
    let total = frames.total();
    let mut ledger = Ledger::default();
    let mut record = Record::default();
    let mut partial = false;
    for (index, snapshot) in frames.enumerate() {
        if (options.cancelled)() {
            partial = true;
            break;
        }
        if index == 0 {
            desk::open_account(
                &mut ledger,
                SourceKind::Recorded,
                options.balance,
                snapshot.at,
            )?;
        }
        let (report, events) = desk::tick(&mut ledger, &snapshot, strategies, &config)?;
        record.take(&snapshot, &ledger, &report, &events);
        record.equity.push((snapshot.at, ledger.equity().total));
        record.frames += 1;
        (options.progress)(index + 1, total);
    }
    if record.frames == 0 && !partial {
        let words = |moment: Option<Timestamp>, otherwise: &str| {
            moment.map_or_else(|| otherwise.to_owned(), |m| m.to_rfc3339())
        };
        return Err(BacktestError::Empty {
            start: words(options.start, "its start"),
            end: words(options.end, "its end"),
        });
    }
    Ok(record.finish(Some(dataset), &ledger, options, partial))
}

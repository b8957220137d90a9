//! What each strategy has done, in exact sums.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Store;
use super::error::StoreError;
use super::rows::{number, opt_time};
use crate::domain::{Timestamp, Usdc};

/// One strategy's record since the ledger began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StrategyStats {
    /// Signals logged, whatever became of them.
    pub signals_generated: u64,
    /// Of those, traded.
    pub signals_executed: u64,
    /// Of those, rejected.
    pub signals_rejected: u64,
    /// Fills.
    pub fills: u64,
    /// Notional bought and sold, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub trade_volume: Usdc,
    /// Fees of its own fills, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub fees: Usdc,
    /// Profit taken on positions it opened, whoever sold them, pUSD, fees not counted.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub realised_pnl: Usdc,
    /// Fees of all fills of positions it opened, pUSD.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(with = "f64")]
    pub position_fees: Usdc,
    /// First fill, UTC.
    #[serde(serialize_with = "opt_time::serialize")]
    #[schemars(with = "Option<String>")]
    pub first_trade_at: Option<Timestamp>,
    /// Last fill, UTC.
    #[serde(serialize_with = "opt_time::serialize")]
    #[schemars(with = "Option<String>")]
    pub last_trade_at: Option<Timestamp>,
}

impl Store {
    /// The record of every strategy that has a signal, a trade or a position to its name, by name.
    pub fn strategy_stats(&self) -> Result<BTreeMap<String, StrategyStats>, StoreError> {
        self.read(|tx| {
            let mut stats: BTreeMap<String, StrategyStats> = BTreeMap::new();

            let mut signals = tx.prepare_cached(
                "SELECT strategy, count(*), sum(status = 'executed'), sum(status = 'rejected') \
                 FROM signal_log GROUP BY strategy",
            )?;
            let mut rows = signals.query([])?;
            while let Some(row) = rows.next()? {
                let entry = stats.entry(row.get(0)?).or_default();
                entry.signals_generated = count(row.get(1)?);
                entry.signals_executed = count(row.get(2)?);
                entry.signals_rejected = count(row.get(3)?);
            }

            let mut fills = tx.prepare_cached(
                "SELECT strategy, count(*), sum(size_micros), sum(fee_micros), min(at_ms), \
                 max(at_ms) FROM trades WHERE side <> 'settle' GROUP BY strategy",
            )?;
            let mut rows = fills.query([])?;
            while let Some(row) = rows.next()? {
                let entry = stats.entry(row.get(0)?).or_default();
                entry.fills = count(row.get(1)?);
                entry.trade_volume = Usdc::from_micros(row.get(2)?);
                entry.fees = Usdc::from_micros(row.get(3)?);
                entry.first_trade_at = Some(Timestamp::from_millis(row.get(4)?));
                entry.last_trade_at = Some(Timestamp::from_millis(row.get(5)?));
            }

            let mut positions = tx.prepare_cached(
                "SELECT entry_strategy, sum(coalesce(realised_micros, 0)), sum(fee_micros) \
                 FROM trades GROUP BY entry_strategy",
            )?;
            let mut rows = positions.query([])?;
            while let Some(row) = rows.next()? {
                let entry = stats.entry(row.get(0)?).or_default();
                entry.realised_pnl = Usdc::from_micros(row.get(1)?);
                entry.position_fees = Usdc::from_micros(row.get(2)?);
            }
            Ok(stats)
        })
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

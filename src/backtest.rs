//! The live step on recorded data with a simulated clock.
//!
//! [`frames`] turns a recording into the snapshots that a desk would have gathered, [`engine`] carries
//! the step out on them, [`metrics`] measures what came of it, [`analysis`] says how much of it is luck,
//! what it compares with and what is doubtful, and [`report`] writes it down. [`books`] does for recorded
//! order books what [`frames`] and [`engine`] do for prices. [`sweep`] runs many
//! settings and judges them out of sample, [`lookahead`] looks for decisions that know the future, and
//! [`parity`] carries a recorded session out again.

pub mod analysis;
mod at_stake;
pub mod baselines;
pub mod books;
pub mod bootstrap;
pub mod data;
pub mod diagnoses;
pub mod engine;
pub mod frames;
pub mod lookahead;
#[cfg(test)]
mod martingale;
pub mod metrics;
pub mod parity;
mod quiet;
mod record;
pub mod report;
mod scouted;
mod scouting;
pub mod stats;
pub mod summary;
pub mod sweep;
#[cfg(test)]
pub(crate) mod test_support;

pub use frames::Frames;
pub use metrics::{ClosedTrade, Metrics};
pub use record::LiquidityUse;
pub use report::{PositionRow, ReportInput, StrategyRow, TradeRow};

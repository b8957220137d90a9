//! The live step on recorded data with a simulated clock.
//!
//! [`frames`] turns a recording into the snapshots that a desk would have gathered, [`metrics`]
//! measures what came of them, [`analysis`] says how much of it is luck, what it compares with and
//! what is doubtful, and [`report`] writes it down.

pub mod analysis;
pub mod baselines;
pub mod bootstrap;
pub mod diagnoses;
pub mod engine;
pub mod frames;
pub mod metrics;
mod record;
pub mod report;
pub mod stats;
pub mod summary;

pub use frames::Frames;
pub use metrics::{ClosedTrade, Metrics};
pub use record::LiquidityUse;
pub use report::{PositionRow, ReportInput, StrategyRow, TradeRow};

//! The live step on recorded data with a simulated clock.
//!
//! [`frames`] turns a recording into the snapshots that a desk would have gathered, [`metrics`]
//! measures what came of them, and [`report`] writes it down.

pub mod engine;
pub mod frames;
pub mod metrics;
mod record;
pub mod report;
pub mod summary;

pub use frames::Frames;
pub use metrics::{ClosedTrade, Metrics};
pub use report::{PositionRow, ReportInput, StrategyRow, TradeRow};

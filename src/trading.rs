//! The trading core: ledger, sizing, risk gate, matching and the desk's step. Pure: nothing here
//! reads a clock, the network, the disk or a random source that is not handed in.

pub mod aggregation;
pub mod conditional;
pub mod conditional_config;
pub mod config;
pub mod desk;
pub mod estimates;
mod execution_config;
pub mod ledger;
pub mod matching;
pub mod report;
pub mod risk;
pub mod sizing;
#[cfg(test)]
pub(crate) mod test_support;
pub mod venue_rules;
pub mod watch;

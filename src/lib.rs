//! polymarket-agent: an MCP server through which an LLM agent trades Polymarket, on paper by default.
//!
//! The parts, lowest first; a part uses only those above it in this list (`tests/it/layering.rs`
//! checks it): [`domain`], [`strategy`], [`trading`], [`market_data`], [`store`], [`backtest`],
//! [`app`], [`server`], [`scheduler`], [`cli`]. [`sandbox`] and [`telemetry`] use `domain` alone.

pub mod app;
pub mod backtest;
pub mod cli;
pub mod domain;
pub mod market_data;
pub mod sandbox;
pub mod scheduler;
pub mod server;
pub mod store;
pub mod strategy;
pub mod telemetry;
pub mod trading;

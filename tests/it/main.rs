//! Integration tests, one module per story or failure mode. They drive the built binary.

#[cfg(test)]
mod support;

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod backtest;
#[cfg(test)]
mod backtest_parity;
#[cfg(test)]
mod cancelled_call;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod control;
#[cfg(test)]
mod download;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faults_stream;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod http;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod ledger_care;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mcp_example;
#[cfg(test)]
mod no_network;
#[cfg(test)]
mod order_terms;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod reactions;
#[cfg(test)]
mod record;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod recorded_values;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod tools_bad;
#[cfg(test)]
mod tools_good;

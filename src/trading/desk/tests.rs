//! The desk's step, topic by topic. Every step of an [`super::super::test_support::Account`] is
//! audited: the accounts balance, nothing is negative, each signal ends once, and the events
//! replayed give the same ledger.

mod agent;
mod baskets;
mod checkpoints;
mod daily_loss;
mod directional;
mod doors;
mod estimates;
mod exits;
mod halts;
mod latency;
mod limits;
mod original_faults;
mod outdated;
mod quotes;
pub(crate) mod random;
mod settlement;
mod standing;
mod steps;
mod waiting;

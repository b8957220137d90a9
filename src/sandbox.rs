//! A simulated exchange that speaks Polymarket's wire protocol on loopback.
//!
//! [`start`] binds one listener that answers as Gamma (`/gamma`), the CLOB (`/clob`) and the Data
//! API (`/data`), carries the market channel (`/ws/market`) and the user channel (`/ws/user`), and
//! has its own admin routes under `/sandbox`. Every market is made from a seed:
//! the same seed, the same steps of time and the same orders give the same bytes, whoever looks.
//! Books, trades and volumes come from a crowd's orders (makers, noise, informed traders) that are
//! matched by price and time; agents' orders rest in the same queue. Latent probabilities are
//! martingales that resolve, and prices carry no edge and no arbitrage, unless inefficiencies are
//! planted, which are then labelled. Profit made here proves nothing about profit anywhere else.
//!
//! It has its own wire types on purpose: the client must not be tested against itself.
//!
//! * [`exchange`]: books, matching, accounts; pure.
//! * `model`: what exists, how its probabilities move, who trades it; no I/O.
//! * `wire`: rows as the venue serves them, traps included.
//! * `routes`: which request gives which row, and the venue's error bodies.
//! * `sockets`: the market channel and what sockets have in common.
//! * `faults`: what goes wrong on request.
//! * `server`: the listener, the simulated clock's task, shutdown.

mod config;
pub mod exchange;
mod faults;
mod model;
mod noise;
mod routes;
mod server;
mod sockets;
mod trading;
mod wire;

pub use config::{SandboxConfig, SandboxError};
pub use faults::{
    Budget, Cut, Delay, Fault, FaultError, FaultSpec, Host, ListedFault, Scope, Spoil,
};
pub use model::{Planted, PlantedKind};
pub use server::{Sandbox, start};

#[cfg(test)]
mod tests;

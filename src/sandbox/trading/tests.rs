//! The trading side over a real socket: two agents, an ordinary HTTP client, exact balances.

pub(in crate::sandbox) mod agent;
mod lifecycle;
mod orders;
mod refusals;
mod shapes;
mod sockets;

//! The trading side over a real socket: two agents, an ordinary HTTP client, exact balances.

mod agent;
mod lifecycle;
mod orders;
mod refusals;
mod shapes;
mod sockets;

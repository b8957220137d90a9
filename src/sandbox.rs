//! A simulated exchange that speaks Polymarket's wire protocol on loopback.

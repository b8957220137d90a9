//! The trading core: ledger, sizing, risk gate, matching and the desk's step. Pure.

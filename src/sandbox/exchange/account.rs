//! What an agent's account holds.

use crate::domain::{Shares, Usdc};

/// pUSD of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cash {
    /// All of it.
    pub total: Usdc,
    /// Kept for resting BUY orders, with the fees they might pay.
    pub reserved: Usdc,
    /// Proceeds of trades that are neither confirmed nor failed: not to be spent yet.
    pub unsettled: Usdc,
}

impl Cash {
    /// What a new order may use.
    #[must_use]
    pub fn available(self) -> Usdc {
        self.total.minus(self.reserved).minus(self.unsettled)
    }
}

/// Shares of one outcome in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// All of them.
    pub total: Shares,
    /// Committed to resting SELL orders.
    pub reserved: Shares,
    /// Bought in trades that are neither confirmed nor failed: not to be sold yet.
    pub unsettled: Shares,
}

impl Holding {
    /// What a new order may sell.
    #[must_use]
    pub fn available(self) -> Shares {
        self.total.minus(self.reserved).minus(self.unsettled)
    }
}

/// What the exchange contracts may move for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// pUSD, for BUYs.
    pub collateral: bool,
    /// Outcome shares, for SELLs.
    pub conditional: bool,
}

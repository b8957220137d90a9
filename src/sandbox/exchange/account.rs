//! What an agent's account holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Shares, Usdc};

use super::ids::{MarketIdx, OrderNo, TradeNo};
use super::order::OutcomeSide;

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

impl Default for Allowance {
    fn default() -> Self {
        Allowance {
            collateral: true,
            conditional: true,
        }
    }
}

/// One agent's account.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub cash: Cash,
    pub holdings: BTreeMap<(MarketIdx, OutcomeSide), Holding>,
    pub allowance: Allowance,
    /// Orders in the books.
    pub open: BTreeSet<OrderNo>,
    /// All orders, oldest first.
    pub orders: Vec<OrderNo>,
    /// All trades, oldest first; a trade with itself once.
    pub trades: Vec<TradeNo>,
    /// Whether orders and trades are reported.
    pub watched: bool,
}

impl Account {
    /// The row of one outcome, made when there is none.
    pub(super) fn holding_mut(&mut self, market: MarketIdx, outcome: OutcomeSide) -> &mut Holding {
        self.holdings.entry((market, outcome)).or_default()
    }

    /// Drops the row of one outcome when nothing is in it.
    pub(super) fn tidy(&mut self, market: MarketIdx, outcome: OutcomeSide) {
        let key = (market, outcome);
        if self.holdings.get(&key) == Some(&Holding::default()) {
            self.holdings.remove(&key);
        }
    }
}

//! Keys of markets, accounts, orders and trades inside the exchange.

/// A market: its place in the order of adding, which is also its place in the world's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarketIdx(pub u32);

/// Who an order belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

impl AccountId {
    /// The background flow: unlimited pUSD, mints the shares that it lacks, keeps no records.
    pub const CROWD: AccountId = AccountId(0);

    /// True for the background flow.
    #[must_use]
    pub fn is_crowd(self) -> bool {
        self == Self::CROWD
    }
}

/// An order. Later orders have larger numbers; the numbers are not consecutive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderNo(pub u64);

/// A trade that an agent took part in, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TradeNo(pub u64);

//! Why the exchange says no. The texts are the venue's where its wording is known.

use crate::domain::{Price, Shares, Timestamp, Usdc};

use super::order::CancelCause;
use super::trade::TradeStatus;

/// Why an order was not accepted. Nothing has changed when one is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such market.
    #[error("market not found")]
    UnknownMarket,
    /// No such account.
    #[error("account not found")]
    UnknownAccount,
    /// The market takes no orders now.
    #[error("market is not accepting orders")]
    NotAccepting,
    /// The price is no multiple of the tick.
    #[error("Price ({price}) breaks minimum tick size rule: {tick}")]
    Tick {
        /// As ordered.
        price: Price,
        /// The market's.
        tick: Price,
    },
    /// The price is below one tick or above one minus a tick.
    #[error("invalid price ({price}), min: {min} - max: {max}")]
    Price {
        /// As ordered.
        price: Price,
        /// One tick.
        min: Price,
        /// One minus a tick.
        max: Price,
    },
    /// A size of zero, with more than two decimals, or above ten million shares.
    #[error("invalid size ({0})")]
    Size(Shares),
    /// A budget above ten million pUSD.
    #[error("invalid amount (${0})")]
    Amount(Usdc),
    /// A resting order below the market's minimum.
    #[error("Size ({size}) lower than the minimum: {min}")]
    MinSize {
        /// As ordered.
        size: Shares,
        /// The market's.
        min: Shares,
    },
    /// A BUY that takes and is worth less than 1 pUSD.
    #[error("invalid amount for a marketable BUY order (${0}), min size: $1")]
    MinNotional(Usdc),
    /// The pUSD that is free does not cover the order and its fee, or the allowance is missing.
    #[error("not enough balance / allowance")]
    Balance {
        /// pUSD that the order needs.
        needed: Usdc,
        /// pUSD that is free.
        available: Usdc,
    },
    /// The shares that are free do not cover the SELL, or the allowance is missing.
    #[error("not enough balance / allowance")]
    ShareBalance {
        /// Shares that the order needs.
        needed: Shares,
        /// Shares that are free.
        available: Shares,
    },
    /// The book has less than a FOK order asks for.
    #[error("order couldn't be fully filled. FOK orders are fully filled or killed.")]
    FokUnfilled,
    /// The book has nothing for a FAK order.
    #[error(
        "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."
    )]
    FakNoMatch,
    /// A post-only order that would take.
    #[error("invalid post-only order: order crosses book")]
    PostOnlyCrosses,
    /// Post-only is for orders that rest.
    #[error("invalid post-only order: only GTC and GTD orders can be post-only")]
    PostOnlyType,
    /// A GTD order whose expiration is less than three minutes away.
    #[error("invalid expiration value: {0} is less than three minutes away")]
    GtdTooSoon(Timestamp),
    /// A budget is for market BUYs: FOK or FAK.
    #[error("an amount in pUSD is for FOK and FAK buys only")]
    BudgetType,
    /// The book is as large as it can get (16 million resting orders).
    #[error("the exchange's books are full")]
    Full,
}

/// Why an order could not be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCanceled {
    /// No such order, or one of the crowd's that has ended.
    #[error("order can't be found - already canceled or matched")]
    Unknown,
    /// Matched in full before.
    #[error("already canceled or matched")]
    Matched,
    /// Cancelled before.
    #[error("already canceled or matched")]
    Canceled(CancelCause),
}

/// Why money or shares could not be moved outside of trading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// No such account.
    #[error("account not found")]
    UnknownAccount,
    /// No such market.
    #[error("market not found")]
    UnknownMarket,
    /// Less than that is free.
    #[error("not enough balance")]
    Balance,
    /// Negative, or beyond what an account can hold.
    #[error("invalid amount")]
    Amount,
}

/// Why a market could not be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// No such market.
    #[error("market not found")]
    UnknownMarket,
    /// It has been settled before.
    #[error("market is already resolved")]
    AlreadySettled,
    /// The payouts of a pair must make 1 pUSD.
    #[error("payouts {0} and {1} do not add up to 1000000")]
    Payouts(u32, u32),
}

/// Why a trade could not change its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TradeError {
    /// No such trade.
    #[error("trade not found")]
    Unknown,
    /// States do not follow each other this way.
    #[error("a trade cannot go from {from} to {to}", from = .from.as_str(), to = .to.as_str())]
    Transition {
        /// Present state.
        from: TradeStatus,
        /// Wanted state.
        to: TradeStatus,
    },
}

//! The sandbox's exchange: every market's book, every account, every order, matched by price and
//! then time. Pure: no I/O, no clock (moments are handed in), money in exact integers.

mod account;
mod change;
mod ids;
mod market;
mod order;
mod refusal;
mod trade;

pub use account::{Allowance, Cash, Holding};
pub use change::{Change, ChangeKind, LevelChange, OrderEvent};
pub use ids::{AccountId, MarketIdx, OrderNo, TradeNo};
pub use market::{LastTrade, MarketState, MarketTerms, Turnover};
pub use order::{
    CancelCause, Fill, MatchKind, NewOrder, OrderRecord, OrderStatus, OutcomeSide, Placed,
    PlacedStatus, Quantity, Tif,
};
pub use refusal::{NotCanceled, Refusal, SettleError, TradeError, TransferError};
pub use trade::{Party, TradeRecord, TradeStatus};

use crate::domain::{Price, Shares, Timestamp, Usdc};

/// Price levels of one side, best first.
pub type Levels = Vec<(Price, Shares)>;

/// All markets, books, accounts, orders and trades.
#[derive(Debug, Default)]
pub struct Exchange {
    fills: Vec<Fill>,
}

impl Exchange {
    /// No markets, no accounts but the crowd's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a market with empty books.
    pub fn add_market(&mut self, _terms: MarketTerms, _at: Timestamp) -> MarketIdx {
        MarketIdx(0)
    }

    /// The terms of a market.
    #[must_use]
    pub fn terms(&self, _market: MarketIdx) -> Option<&MarketTerms> {
        None
    }

    /// How far a market has come.
    #[must_use]
    pub fn state(&self, _market: MarketIdx) -> Option<MarketState> {
        None
    }

    /// Opens an account with nothing in it and full allowances.
    pub fn open_account(&mut self) -> AccountId {
        AccountId(1)
    }

    /// Pays pUSD in. Errors: no such account, an amount that is negative or too large.
    pub fn deposit(&mut self, _account: AccountId, _amount: Usdc) -> Result<(), TransferError> {
        Err(TransferError::UnknownAccount)
    }

    /// Pays pUSD out. Errors: as [`Self::deposit`], or less than that is free.
    pub fn withdraw(&mut self, _account: AccountId, _amount: Usdc) -> Result<(), TransferError> {
        Err(TransferError::UnknownAccount)
    }

    /// Has the crowd give shares away (it mints them if need be).
    pub fn give_shares(
        &mut self,
        _account: AccountId,
        _market: MarketIdx,
        _outcome: OutcomeSide,
        _shares: Shares,
    ) -> Result<(), TransferError> {
        Err(TransferError::UnknownAccount)
    }

    /// Turns free pUSD into as many shares of both outcomes.
    pub fn split(
        &mut self,
        _account: AccountId,
        _market: MarketIdx,
        _shares: Shares,
    ) -> Result<(), TransferError> {
        Err(TransferError::UnknownAccount)
    }

    /// Turns free pairs of shares back into pUSD.
    pub fn merge(
        &mut self,
        _account: AccountId,
        _market: MarketIdx,
        _shares: Shares,
    ) -> Result<(), TransferError> {
        Err(TransferError::UnknownAccount)
    }

    /// Sets what the contracts may move for an account; it is checked when an order arrives.
    pub fn set_allowance(
        &mut self,
        _account: AccountId,
        _allowance: Allowance,
    ) -> Result<(), TransferError> {
        Err(TransferError::UnknownAccount)
    }

    /// Allowances of an account.
    #[must_use]
    pub fn allowance(&self, _account: AccountId) -> Option<Allowance> {
        None
    }

    /// pUSD of an account; `None` for the crowd, whose money is not counted.
    #[must_use]
    pub fn cash(&self, _account: AccountId) -> Option<Cash> {
        None
    }

    /// Shares of one outcome in an account, none if it never had any.
    #[must_use]
    pub fn holding(
        &self,
        _account: AccountId,
        _market: MarketIdx,
        _outcome: OutcomeSide,
    ) -> Holding {
        Holding::default()
    }

    /// Everything that an account holds, by market and outcome, without empty rows.
    #[must_use]
    pub fn positions(&self, _account: AccountId) -> Vec<(MarketIdx, OutcomeSide, Holding)> {
        Vec::new()
    }

    /// Matches an order as far as it goes and rests what its type lets rest. Nothing has changed
    /// when it is refused, except that GTD orders of the market that are due by then are gone.
    pub fn place(&mut self, _order: NewOrder) -> Result<Placed, Refusal> {
        Err(Refusal::UnknownMarket)
    }

    /// The matches of the latest [`Self::place`], best price first.
    #[must_use]
    pub fn fills(&self) -> &[Fill] {
        &self.fills
    }

    /// Takes an order out of the book. Who may do that is the caller's business.
    pub fn cancel(&mut self, _order: OrderNo, _at: Timestamp) -> Result<(), NotCanceled> {
        Err(NotCanceled::Unknown)
    }

    /// Takes all of an account's orders out, of all markets or of one, of both outcomes or of one;
    /// gives their numbers. For the crowd, whose orders are found by walking the book, a market
    /// must be named.
    pub fn cancel_all(
        &mut self,
        _account: AccountId,
        _market: Option<MarketIdx>,
        _outcome: Option<OutcomeSide>,
        _at: Timestamp,
    ) -> Vec<OrderNo> {
        Vec::new()
    }

    /// An agent's order, open or ended.
    #[must_use]
    pub fn order(&self, _order: OrderNo) -> Option<&OrderRecord> {
        None
    }

    /// Shares of an order that rest in the book, of the crowd's orders too; `None` once it is out.
    #[must_use]
    pub fn resting(&self, _order: OrderNo) -> Option<Shares> {
        None
    }

    /// An agent's orders in the book, oldest first.
    #[must_use]
    pub fn open_orders(&self, _account: AccountId) -> Vec<&OrderRecord> {
        Vec::new()
    }

    /// Everything that an agent ordered, oldest first.
    #[must_use]
    pub fn orders(&self, _account: AccountId) -> Vec<&OrderRecord> {
        Vec::new()
    }

    /// A trade.
    #[must_use]
    pub fn trade(&self, _trade: TradeNo) -> Option<&TradeRecord> {
        None
    }

    /// An agent's trades, oldest first.
    #[must_use]
    pub fn trades(&self, _account: AccountId) -> Vec<&TradeRecord> {
        Vec::new()
    }

    /// Trades that are neither confirmed nor failed, oldest first.
    #[must_use]
    pub fn pending_trades(&self) -> Vec<TradeNo> {
        Vec::new()
    }

    /// Moves a trade on. Confirmed: its proceeds become free. Failed: the match is undone to the
    /// last micro-unit; the orders do not return to the book.
    pub fn set_trade_status(
        &mut self,
        _trade: TradeNo,
        _status: TradeStatus,
        _at: Timestamp,
    ) -> Result<(), TradeError> {
        Err(TradeError::Unknown)
    }

    /// Takes out the GTD orders that are due: a minute before their expiration.
    pub fn expire(&mut self, _market: MarketIdx, _now: Timestamp) {}

    /// Changes the price step; resting orders off the new grid are cancelled.
    pub fn set_tick(&mut self, _market: MarketIdx, _tick: Price, _at: Timestamp) {}

    /// Takes or refuses new orders; the book stays.
    pub fn set_accepting(&mut self, _market: MarketIdx, _accepting: bool) {}

    /// Ends trading for good; resting orders are cancelled.
    pub fn close(&mut self, _market: MarketIdx, _at: Timestamp) {}

    /// Makes the payouts final (micro-pUSD per share of each outcome, 1,000,000 together), after
    /// closing the market if it was open. The crowd is paid at once, agents by [`Self::redeem`].
    pub fn settle(
        &mut self,
        _market: MarketIdx,
        _payouts: [u32; 2],
        _at: Timestamp,
    ) -> Result<(), SettleError> {
        Err(SettleError::UnknownMarket)
    }

    /// Pays an account for its shares in a settled market and destroys them. Shares of trades that
    /// are still pending stay. Zero when there is nothing to pay.
    pub fn redeem(&mut self, _account: AccountId, _market: MarketIdx) -> Usdc {
        Usdc::ZERO
    }

    /// Best bid and ask of one outcome.
    #[must_use]
    pub fn best(
        &self,
        _market: MarketIdx,
        _outcome: OutcomeSide,
    ) -> (Option<Price>, Option<Price>) {
        (None, None)
    }

    /// Bids and asks of one outcome, best first, summed by price.
    #[must_use]
    pub fn depth(&self, _market: MarketIdx, _outcome: OutcomeSide) -> (Levels, Levels) {
        (Vec::new(), Vec::new())
    }

    /// The most recent match.
    #[must_use]
    pub fn last_trade(&self, _market: MarketIdx) -> Option<LastTrade> {
        None
    }

    /// True when an agent's order rests in the market.
    #[must_use]
    pub fn has_agent_orders(&self, _market: MarketIdx) -> bool {
        false
    }

    /// When the book last changed; when the market was added if it never did.
    #[must_use]
    pub fn changed_at(&self, _market: MarketIdx) -> Option<Timestamp> {
        None
    }

    /// What was traded since the market was added.
    #[must_use]
    pub fn turnover(&self, _market: MarketIdx) -> Turnover {
        Turnover::default()
    }

    /// Pairs of shares in existence.
    #[must_use]
    pub fn open_interest(&self, _market: MarketIdx) -> Shares {
        Shares::ZERO
    }

    /// Reports a market's book and trades from now on, or no longer.
    pub fn watch(&mut self, _market: MarketIdx, _on: bool) {}

    /// Reports an agent's orders and trades from now on, or no longer.
    pub fn watch_account(&mut self, _account: AccountId, _on: bool) {}

    /// Reports openings, closings and resolutions of all markets from now on, or no longer.
    pub fn watch_lifecycles(&mut self, _on: bool) {}

    /// What changed since the last call. Nothing is kept of what nobody watches.
    pub fn take_changes(&mut self) -> Vec<Change> {
        Vec::new()
    }
}

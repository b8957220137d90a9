//! The sandbox's exchange: every market's books, every account, every order, matched by price and
//! then time. Pure: no I/O, no clock (moments are handed in), money in exact integers.
//!
//! * **Matching.** A linked market has one book on the first outcome's scale, as on the venue: a bid
//!   for Yes at 0.60 meets an offer of Yes at 0.60 (shares change hands), a bid for No at 0.40 (a
//!   pair is minted), and an offer of No at 0.40 meets an offer of Yes at 0.60 (a pair is merged).
//!   A match is at the resting order's price. Unlinked markets have two books that never meet.
//! * **Rules.** Tick, price range, sizes of at most two decimals, 5 shares for what may rest, 1 pUSD
//!   for a BUY that takes, GTD of at least three minutes removed one minute early, FOK, FAK,
//!   post-only, and the balance check. An order against one's own is matched like any other: what
//!   the venue does about those is not documented.
//! * **Money.** BUYs pay, and pay the taker fee on top; SELLs receive less the fee. Sizes are
//!   hundredths of a share, also those of a budget (the venue goes on to six decimals there), and
//!   prices multiples of 0.0001, so every product is exact. [`Exchange::totals`] always balances.
//! * **Trades.** What an agent gets is counted at once but free only when the trade is confirmed,
//!   as shares are on the chain; a failed trade is undone exactly ([`Exchange::set_trade_status`]).
//! * **Crowd.** [`AccountId::CROWD`] is the background flow: one purse without limit that mints the
//!   shares it lacks. Of its orders nothing is kept once they leave the book.
//!
//! Not here: converting No of one neg-risk market into Yes of its siblings. Each market stands alone.

mod account;
mod admit;
mod assets;
mod book;
mod change;
mod funds;
mod ids;
mod market;
mod order;
mod place;
mod refusal;
mod remove;
mod slab;
mod trade;

pub use account::{Allowance, Cash, Holding};
pub use assets::Totals;
pub use change::{Change, ChangeKind, LevelChange, OrderEvent};
pub use ids::{AccountId, MarketIdx, OrderNo, TradeNo};
pub use market::{LastTrade, MarketState, MarketTerms, Turnover};
pub use order::{
    CancelCause, Fill, MatchKind, NewOrder, OrderRecord, OrderStatus, OutcomeSide, Placed,
    PlacedStatus, Quantity, Tif,
};
pub use refusal::{NotCanceled, Refusal, SettleError, TradeError, TransferError};
pub use trade::{Party, TradeRecord, TradeStatus};

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Price, Shares, Side, Timestamp};

use account::Account;
use assets::Bank;
use change::Feed;
use market::Market;
use slab::Slab;

/// Price levels of one side, best first.
pub type Levels = Vec<(Price, Shares)>;

/// All markets, books, accounts, orders and trades.
#[derive(Debug, Default)]
pub struct Exchange {
    markets: Vec<Market>,
    slab: Slab,
    /// From the second account on: the first, the crowd, has none.
    accounts: Vec<Account>,
    /// Agents' orders.
    records: BTreeMap<OrderNo, OrderRecord>,
    trades: Vec<TradeRecord>,
    pending: BTreeSet<TradeNo>,
    bank: Bank,
    feed: Feed,
    fills: Vec<Fill>,
}

impl Exchange {
    /// No markets, no accounts but the crowd's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn market(&self, market: MarketIdx) -> Option<&Market> {
        self.markets.get(market.0 as usize)
    }

    fn market_mut(&mut self, market: MarketIdx) -> Option<&mut Market> {
        self.markets.get_mut(market.0 as usize)
    }

    fn account(&self, account: AccountId) -> Option<&Account> {
        let place = account.0.checked_sub(1)?;
        self.accounts.get(place as usize)
    }

    fn account_mut(&mut self, account: AccountId) -> Option<&mut Account> {
        let place = account.0.checked_sub(1)?;
        self.accounts.get_mut(place as usize)
    }

    /// Adds a market with empty books.
    pub fn add_market(&mut self, terms: MarketTerms, at: Timestamp) -> MarketIdx {
        let market = MarketIdx(u32::try_from(self.markets.len()).unwrap_or(u32::MAX));
        self.markets.push(Market::new(terms, at));
        if self.feed.lifecycles {
            self.feed.push(market, at, ChangeKind::Opened);
        }
        market
    }

    /// The terms of a market.
    #[must_use]
    pub fn terms(&self, market: MarketIdx) -> Option<&MarketTerms> {
        self.market(market).map(|state| &state.terms)
    }

    /// How far a market has come.
    #[must_use]
    pub fn state(&self, market: MarketIdx) -> Option<MarketState> {
        self.market(market).map(|state| state.state)
    }

    /// Opens an account with nothing in it and full allowances.
    pub fn open_account(&mut self) -> AccountId {
        self.accounts.push(Account::default());
        AccountId(u32::try_from(self.accounts.len()).unwrap_or(u32::MAX))
    }

    /// Allowances of an account.
    #[must_use]
    pub fn allowance(&self, account: AccountId) -> Option<Allowance> {
        self.account(account).map(|owner| owner.allowance)
    }

    /// pUSD of an account; `None` for the crowd, which has no purse to look into.
    #[must_use]
    pub fn cash(&self, account: AccountId) -> Option<Cash> {
        self.account(account).map(|owner| owner.cash)
    }

    /// Shares of one outcome in an account, none if it never had any.
    #[must_use]
    pub fn holding(&self, account: AccountId, market: MarketIdx, outcome: OutcomeSide) -> Holding {
        self.account(account)
            .and_then(|owner| owner.holdings.get(&(market, outcome)))
            .copied()
            .unwrap_or_default()
    }

    /// Everything that an account holds, by market and outcome, without empty rows.
    #[must_use]
    pub fn positions(&self, account: AccountId) -> Vec<(MarketIdx, OutcomeSide, Holding)> {
        self.account(account).map_or_else(Vec::new, |owner| {
            owner
                .holdings
                .iter()
                .map(|((market, outcome), holding)| (*market, *outcome, *holding))
                .collect()
        })
    }

    /// The matches of the latest [`Self::place`], best price first; none if it was refused.
    #[must_use]
    pub fn fills(&self) -> &[Fill] {
        &self.fills
    }

    /// An agent's order, open or ended.
    #[must_use]
    pub fn order(&self, order: OrderNo) -> Option<&OrderRecord> {
        self.records.get(&order)
    }

    /// Shares of an order that rest in the book, of the crowd's orders too; `None` once it is out.
    #[must_use]
    pub fn resting(&self, order: OrderNo) -> Option<Shares> {
        self.slab.get(order).map(|slot| slot.remaining)
    }

    /// An agent's orders in the book, oldest first.
    #[must_use]
    pub fn open_orders(&self, account: AccountId) -> Vec<&OrderRecord> {
        self.account(account).map_or_else(Vec::new, |owner| {
            owner
                .open
                .iter()
                .filter_map(|no| self.records.get(no))
                .collect()
        })
    }

    /// Everything that an agent ordered, oldest first.
    #[must_use]
    pub fn orders(&self, account: AccountId) -> Vec<&OrderRecord> {
        self.account(account).map_or_else(Vec::new, |owner| {
            owner
                .orders
                .iter()
                .filter_map(|no| self.records.get(no))
                .collect()
        })
    }

    /// A trade.
    #[must_use]
    pub fn trade(&self, trade: TradeNo) -> Option<&TradeRecord> {
        let place = usize::try_from(trade.0.checked_sub(1)?).ok()?;
        self.trades.get(place)
    }

    /// An agent's trades, oldest first.
    #[must_use]
    pub fn trades(&self, account: AccountId) -> Vec<&TradeRecord> {
        self.account(account).map_or_else(Vec::new, |owner| {
            owner
                .trades
                .iter()
                .filter_map(|no| self.trade(*no))
                .collect()
        })
    }

    /// Trades that are neither confirmed nor failed, oldest first.
    #[must_use]
    pub fn pending_trades(&self) -> Vec<TradeNo> {
        self.pending.iter().copied().collect()
    }

    /// Best bid and ask of one outcome.
    #[must_use]
    pub fn best(&self, market: MarketIdx, outcome: OutcomeSide) -> (Option<Price>, Option<Price>) {
        let best = |side| {
            let (ladder, route) = self.side(market, outcome, side)?;
            ladder.best().map(|level| route.own(level.price))
        };
        (best(Side::Buy), best(Side::Sell))
    }

    /// Bids and asks of one outcome, best first, summed by price.
    #[must_use]
    pub fn depth(&self, market: MarketIdx, outcome: OutcomeSide) -> (Levels, Levels) {
        let levels = |side| {
            self.side(market, outcome, side)
                .map_or_else(Vec::new, |(ladder, route)| {
                    ladder
                        .best_first()
                        .map(|level| (route.own(level.price), level.total))
                        .collect()
                })
        };
        (levels(Side::Buy), levels(Side::Sell))
    }

    /// Where the bids (`Buy`) or asks (`Sell`) of an outcome are, and how to read their prices.
    fn side(
        &self,
        market: MarketIdx,
        outcome: OutcomeSide,
        side: Side,
    ) -> Option<(&book::Ladder, market::Route)> {
        let state = self.market(market)?;
        let route = state.route(outcome, side, Price::ZERO);
        Some((state.ladder(route.book, route.bid), route))
    }

    /// The most recent match.
    #[must_use]
    pub fn last_trade(&self, market: MarketIdx) -> Option<LastTrade> {
        self.market(market)?.last
    }

    /// True when an agent's order rests in the market.
    #[must_use]
    pub fn has_agent_orders(&self, market: MarketIdx) -> bool {
        self.market(market)
            .is_some_and(|state| state.agent_orders > 0)
    }

    /// When the book last changed; when the market was added if it never did.
    #[must_use]
    pub fn changed_at(&self, market: MarketIdx) -> Option<Timestamp> {
        self.market(market).map(|state| state.changed_at)
    }

    /// What was traded since the market was added.
    #[must_use]
    pub fn turnover(&self, market: MarketIdx) -> Turnover {
        self.market(market)
            .map_or_else(Turnover::default, |state| state.turnover)
    }

    /// Shares of either outcome in existence, the larger number once redemption has begun.
    #[must_use]
    pub fn open_interest(&self, market: MarketIdx) -> Shares {
        self.market(market).map_or(Shares::ZERO, |state| {
            let [first, second] = state.outstanding;
            first.max(second)
        })
    }

    /// Reports a market's book and trades from now on, or no longer.
    pub fn watch(&mut self, market: MarketIdx, on: bool) {
        if let Some(state) = self.market_mut(market) {
            state.watched = on;
        }
    }

    /// Reports an agent's orders and trades from now on, or no longer.
    pub fn watch_account(&mut self, account: AccountId, on: bool) {
        if let Some(owner) = self.account_mut(account) {
            owner.watched = on;
        }
    }

    /// Reports openings, closings and resolutions of all markets from now on, or no longer.
    pub fn watch_lifecycles(&mut self, on: bool) {
        self.feed.lifecycles = on;
    }

    /// What changed since the last call. Nothing is kept of what nobody watches.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.feed.take()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

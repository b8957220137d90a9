//! Who gives and who gets: pUSD and shares of a match, and its undoing.
//!
//! At any moment, in micro-units: what agents hold, what the crowd gained or lost, the fees and the
//! pUSD behind all pairs of shares make what was paid in ([`Totals::is_balanced`]).

use crate::domain::{Shares, Side, Timestamp, Usdc};

use super::Exchange;
use super::change::OrderEvent;
use super::ids::{AccountId, MarketIdx, TradeNo};
use super::market::{MarketState, worth_one};
use super::order::{CancelCause, MatchKind, OrderStatus, OutcomeSide};
use super::refusal::TradeError;
use super::trade::{Party, TradeRecord, TradeStatus};

/// Where all the money is, in micro-pUSD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Paid in by agents, less what they took out.
    pub deposits: i128,
    /// pUSD in agents' accounts.
    pub agents: i128,
    /// What the crowd gained in pUSD; negative when it paid more than it got.
    pub crowd: i128,
    /// Taker fees.
    pub fees: i128,
    /// pUSD behind shares that exist.
    pub collateral: i128,
}

impl Totals {
    /// True when no micro-pUSD has appeared or vanished.
    #[must_use]
    pub fn is_balanced(self) -> bool {
        self.deposits == self.agents + self.crowd + self.fees + self.collateral
    }
}

/// Money outside of accounts and markets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bank {
    pub deposits: i128,
    pub crowd: i128,
    pub fees: i128,
}

/// pUSD in micro-units, wide.
pub(super) fn wide(amount: Usdc) -> i128 {
    i128::from(amount.micros())
}

impl Exchange {
    /// Where all the money is.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            deposits: self.bank.deposits,
            agents: self
                .accounts
                .iter()
                .map(|account| wide(account.cash.total))
                .sum(),
            crowd: self.bank.crowd,
            fees: self.bank.fees,
            collateral: self
                .markets
                .iter()
                .map(|market| wide(market.collateral))
                .sum(),
        }
    }

    /// Moves what a match moves. What agents get is theirs at once but not free until the trade is
    /// confirmed, so that a failed one can always be undone.
    pub(super) fn move_assets(
        &mut self,
        market: MarketIdx,
        kind: MatchKind,
        size: Shares,
        taker: &Party,
        maker: &Party,
    ) {
        for seller in [taker, maker].into_iter().filter(|p| p.side == Side::Sell) {
            self.hand_in(seller.account, market, seller.outcome, size);
            let proceeds = seller.notional.minus(seller.fee);
            match self.account_mut(seller.account) {
                Some(account) => {
                    account.cash.total = account.cash.total.plus(proceeds);
                    account.cash.unsettled = account.cash.unsettled.plus(proceeds);
                }
                None => self.bank.crowd += wide(proceeds),
            }
        }
        if let Some(state) = self.market_mut(market) {
            match kind {
                MatchKind::Transfer => {}
                MatchKind::Mint => state.mint(size),
                MatchKind::Merge => state.burn(size),
            }
        }
        for buyer in [taker, maker].into_iter().filter(|p| p.side == Side::Buy) {
            let cost = buyer.notional.plus(buyer.fee);
            match self.account_mut(buyer.account) {
                Some(account) => {
                    account.cash.total = account.cash.total.minus(cost);
                    let holding = account.holding_mut(market, buyer.outcome);
                    holding.total = holding.total.plus(size);
                    holding.unsettled = holding.unsettled.plus(size);
                }
                None => {
                    self.bank.crowd -= wide(cost);
                    self.hand_to_crowd(market, buyer.outcome, size);
                }
            }
        }
        self.bank.fees += wide(taker.fee);
    }

    /// Takes shares from an account. The crowd mints what it lacks.
    pub(super) fn hand_in(
        &mut self,
        account: AccountId,
        market: MarketIdx,
        outcome: OutcomeSide,
        size: Shares,
    ) {
        if let Some(owner) = self.account_mut(account) {
            let holding = owner.holding_mut(market, outcome);
            holding.total = holding.total.minus(size);
            owner.tidy(market, outcome);
            return;
        }
        let mut paid = Usdc::ZERO;
        if let Some(state) = self.market_mut(market) {
            let missing = size.minus(*outcome.of(&state.crowd));
            if !missing.is_zero() {
                state.mint(missing);
                for shares in &mut state.crowd {
                    *shares = shares.plus(missing);
                }
                paid = worth_one(missing);
            }
            let shares = outcome.of_mut(&mut state.crowd);
            *shares = shares.minus(size);
        }
        self.bank.crowd -= wide(paid);
    }

    fn hand_to_crowd(&mut self, market: MarketIdx, outcome: OutcomeSide, size: Shares) {
        if let Some(state) = self.market_mut(market) {
            let shares = outcome.of_mut(&mut state.crowd);
            *shares = shares.plus(size);
        }
    }

    /// Undoes [`Self::move_assets`].
    fn return_assets(&mut self, trade: &TradeRecord) {
        let (market, size) = (trade.market, trade.size);
        let parties = [trade.taker, trade.maker];
        for buyer in parties.iter().filter(|p| p.side == Side::Buy) {
            self.hand_in(buyer.account, market, buyer.outcome, size);
            let cost = buyer.notional.plus(buyer.fee);
            match self.account_mut(buyer.account) {
                Some(account) => {
                    account.cash.total = account.cash.total.plus(cost);
                    let holding = account.holding_mut(market, buyer.outcome);
                    holding.unsettled = holding.unsettled.minus(size);
                    account.tidy(market, buyer.outcome);
                }
                None => self.bank.crowd += wide(cost),
            }
        }
        if let Some(state) = self.market_mut(market) {
            match trade.kind {
                MatchKind::Transfer => {}
                MatchKind::Mint => state.burn(size),
                MatchKind::Merge => state.mint(size),
            }
        }
        for seller in parties.iter().filter(|p| p.side == Side::Sell) {
            let proceeds = seller.notional.minus(seller.fee);
            match self.account_mut(seller.account) {
                Some(account) => {
                    account.cash.total = account.cash.total.minus(proceeds);
                    account.cash.unsettled = account.cash.unsettled.minus(proceeds);
                    let holding = account.holding_mut(market, seller.outcome);
                    holding.total = holding.total.plus(size);
                }
                None => {
                    self.bank.crowd -= wide(proceeds);
                    self.hand_to_crowd(market, seller.outcome, size);
                }
            }
        }
        self.bank.fees -= wide(trade.taker.fee);
        // What the crowd is left with after the end is paid at once, as at the settlement itself.
        if let Some(MarketState::Settled(payouts)) = self.state(market) {
            self.pay_crowd(market, payouts);
        }
    }

    /// Frees what a confirmed trade brought.
    fn release_assets(&mut self, trade: &TradeRecord) {
        for party in [trade.taker, trade.maker] {
            let Some(account) = self.account_mut(party.account) else {
                continue;
            };
            match party.side {
                Side::Buy => {
                    let holding = account.holding_mut(trade.market, party.outcome);
                    holding.unsettled = holding.unsettled.minus(trade.size);
                }
                Side::Sell => {
                    let proceeds = party.notional.minus(party.fee);
                    account.cash.unsettled = account.cash.unsettled.minus(proceeds);
                }
            }
        }
    }

    /// Moves a trade on. Confirmed: its proceeds become free. Failed: the match is undone to the
    /// last micro-unit; the orders do not return to the book.
    pub fn set_trade_status(
        &mut self,
        trade: TradeNo,
        status: TradeStatus,
        at: Timestamp,
    ) -> Result<(), TradeError> {
        let record = trade_mut(&mut self.trades, trade).ok_or(TradeError::Unknown)?;
        let from = record.status;
        if !from.may_become(status) {
            return Err(TradeError::Transition { from, to: status });
        }
        record.status = status;
        record.updated_at = at;
        let record = *record;
        if status.is_final() {
            self.pending.remove(&trade);
        }
        match status {
            TradeStatus::Confirmed => self.release_assets(&record),
            TradeStatus::Failed => self.return_assets(&record),
            TradeStatus::Matched | TradeStatus::Mined | TradeStatus::Retrying => {}
        }
        self.report_trade(&record);
        if status == TradeStatus::Failed {
            for party in [record.taker, record.maker] {
                self.revise(party.order, at, Some(OrderEvent::Update), |order| {
                    order.matched = order.matched.minus(record.size);
                    if order.status == OrderStatus::Matched {
                        order.status = OrderStatus::Canceled(CancelCause::MatchFailed);
                    }
                });
            }
        }
        Ok(())
    }
}

fn trade_mut(trades: &mut [TradeRecord], trade: TradeNo) -> Option<&mut TradeRecord> {
    let place = usize::try_from(trade.0.checked_sub(1)?).ok()?;
    trades.get_mut(place)
}

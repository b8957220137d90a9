//! Money and shares that move outside of trading: deposits, pairs made and unmade, payouts.

use crate::domain::{MICRO_U64, Shares, Timestamp, Usdc};

use super::Exchange;
use super::account::Allowance;
use super::assets::wide;
use super::change::ChangeKind;
use super::ids::{AccountId, MarketIdx};
use super::market::{MarketState, worth_one};
use super::order::OutcomeSide;
use super::refusal::{SettleError, TransferError};

/// The most that one account may pay in: a thousand million pUSD.
const LARGEST_CASH: i64 = 1_000_000_000_000_000;
const OUTCOMES: [OutcomeSide; 2] = [OutcomeSide::First, OutcomeSide::Second];

impl Exchange {
    /// Pays pUSD in. Errors: no such account (the crowd has none), an amount that is negative or
    /// takes the account above a thousand million.
    pub fn deposit(&mut self, account: AccountId, amount: Usdc) -> Result<(), TransferError> {
        let owner = self
            .account_mut(account)
            .ok_or(TransferError::UnknownAccount)?;
        let total = owner
            .cash
            .total
            .checked_add(amount)
            .map_err(|_| TransferError::Amount)?;
        if amount < Usdc::ZERO || total.micros() > LARGEST_CASH {
            return Err(TransferError::Amount);
        }
        owner.cash.total = total;
        self.bank.deposits += wide(amount);
        Ok(())
    }

    /// Has the crowd give shares away (it mints them if need be). Errors: no such account or
    /// market, more than ten million shares.
    #[cfg(test)]
    pub fn give_shares(
        &mut self,
        account: AccountId,
        market: MarketIdx,
        outcome: OutcomeSide,
        shares: Shares,
    ) -> Result<(), TransferError> {
        self.check_transfer(account, market, shares)?;
        self.hand_in(AccountId::CROWD, market, outcome, shares);
        self.hand_to(account, market, outcome, shares);
        if let Some(MarketState::Settled(payouts)) = self.state(market) {
            self.pay_crowd(market, payouts);
        }
        Ok(())
    }

    /// Turns free pUSD into as many shares of both outcomes. Errors: no such account or market,
    /// more than ten million shares, or less than that is free.
    pub fn split(
        &mut self,
        account: AccountId,
        market: MarketIdx,
        shares: Shares,
    ) -> Result<(), TransferError> {
        self.check_transfer(account, market, shares)?;
        let cost = worth_one(shares);
        if let Some(owner) = self.account_mut(account) {
            if cost > owner.cash.available() {
                return Err(TransferError::Balance);
            }
            owner.cash.total = owner.cash.total.minus(cost);
        }
        if let Some(state) = self.market_mut(market) {
            state.mint(shares);
        }
        for outcome in OUTCOMES {
            self.hand_to(account, market, outcome, shares);
        }
        Ok(())
    }

    /// Turns free pairs of shares back into pUSD. Errors: as [`Self::split`].
    pub fn merge(
        &mut self,
        account: AccountId,
        market: MarketIdx,
        shares: Shares,
    ) -> Result<(), TransferError> {
        self.check_transfer(account, market, shares)?;
        if OUTCOMES
            .iter()
            .any(|outcome| self.holding(account, market, *outcome).available() < shares)
        {
            return Err(TransferError::Balance);
        }
        for outcome in OUTCOMES {
            self.hand_in(account, market, outcome, shares);
        }
        if let Some(state) = self.market_mut(market) {
            state.burn(shares);
        }
        if let Some(owner) = self.account_mut(account) {
            owner.cash.total = owner.cash.total.plus(worth_one(shares));
        }
        Ok(())
    }

    /// Sets what the contracts may move for an account; it is checked when an order arrives.
    /// Errors: no such account.
    pub fn set_allowance(
        &mut self,
        account: AccountId,
        allowance: Allowance,
    ) -> Result<(), TransferError> {
        self.account_mut(account)
            .ok_or(TransferError::UnknownAccount)?
            .allowance = allowance;
        Ok(())
    }

    /// Makes the payouts final (micro-pUSD per share of each outcome, 1,000,000 together), after
    /// closing the market if it was open. The crowd is paid at once, agents by [`Self::redeem`].
    /// Errors: no such market, settled before, payouts that do not make 1 pUSD.
    pub fn settle(
        &mut self,
        market: MarketIdx,
        payouts: [u32; 2],
        at: Timestamp,
    ) -> Result<(), SettleError> {
        let [first, second] = payouts;
        let state = self.market(market).ok_or(SettleError::UnknownMarket)?;
        if matches!(state.state, MarketState::Settled(_)) {
            return Err(SettleError::AlreadySettled);
        }
        if u64::from(first) + u64::from(second) != MICRO_U64 {
            return Err(SettleError::Payouts(first, second));
        }
        self.close(market, at);
        let mut watched = self.feed.lifecycles;
        if let Some(state) = self.market_mut(market) {
            state.state = MarketState::Settled(payouts);
            watched |= state.watched;
        }
        self.pay_crowd(market, payouts);
        if watched {
            self.feed.push(market, at, ChangeKind::Resolved { payouts });
        }
        Ok(())
    }

    /// Pays an account for its shares in a settled market and destroys them. Shares of trades that
    /// are still pending stay. Zero when there is nothing to pay.
    pub fn redeem(&mut self, account: AccountId, market: MarketIdx) -> Usdc {
        let Some(MarketState::Settled(payouts)) = self.state(market) else {
            return Usdc::ZERO;
        };
        if self.account(account).is_none() {
            return Usdc::ZERO;
        }
        let shares = OUTCOMES.map(|outcome| self.holding(account, market, outcome).available());
        for outcome in OUTCOMES {
            self.hand_in(account, market, outcome, *outcome.of(&shares));
        }
        let paid = self.pay_out(market, payouts, shares);
        if let Some(owner) = self.account_mut(account) {
            owner.cash.total = owner.cash.total.plus(paid);
        }
        paid
    }

    /// Pays the crowd for what it holds in a settled market.
    pub(super) fn pay_crowd(&mut self, market: MarketIdx, payouts: [u32; 2]) {
        let Some(state) = self.market_mut(market) else {
            return;
        };
        let shares = std::mem::take(&mut state.crowd);
        let paid = self.pay_out(market, payouts, shares);
        self.bank.crowd += wide(paid);
    }

    /// Destroys shares that were handed in and frees the pUSD that they pay, rounded down.
    fn pay_out(&mut self, market: MarketIdx, payouts: [u32; 2], shares: [Shares; 2]) -> Usdc {
        let Some(state) = self.market_mut(market) else {
            return Usdc::ZERO;
        };
        let mut paid = Usdc::ZERO;
        for outcome in OUTCOMES {
            let (payout, size) = (*outcome.of(&payouts), *outcome.of(&shares));
            let micros = i128::from(size.micros()) * i128::from(payout) / i128::from(MICRO_U64);
            // No more than the number of shares, so it fits.
            let amount = Usdc::from_micros(i64::try_from(micros).unwrap_or(i64::MAX));
            paid = paid.plus(amount);
            let outstanding = outcome.of_mut(&mut state.outstanding);
            *outstanding = outstanding.minus(size);
        }
        state.collateral = state.collateral.minus(paid);
        paid
    }

    fn hand_to(
        &mut self,
        account: AccountId,
        market: MarketIdx,
        outcome: OutcomeSide,
        shares: Shares,
    ) {
        if let Some(owner) = self.account_mut(account) {
            let holding = owner.holding_mut(market, outcome);
            holding.total = holding.total.plus(shares);
            owner.tidy(market, outcome);
        }
    }

    fn check_transfer(
        &self,
        account: AccountId,
        market: MarketIdx,
        shares: Shares,
    ) -> Result<(), TransferError> {
        if self.account(account).is_none() {
            return Err(TransferError::UnknownAccount);
        }
        if self.market(market).is_none() {
            return Err(TransferError::UnknownMarket);
        }
        if shares.micros() > super::admit::LARGEST {
            return Err(TransferError::Amount);
        }
        Ok(())
    }
}

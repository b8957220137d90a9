//! Where the step meets the limits: the day, the peak, halts, and the gate at the moment of
//! submission.

use crate::domain::{
    Book, EarlierLeg, FeeSchedule, HaltCause, LedgerEvent, Market, MarketId, Order, Side,
};

use super::super::risk::{Approved, Refusal, halts};
use super::{DeskError, Step, command};

/// Who halts and resumes when nobody asks.
pub const DESK: &str = "desk";

impl Step<'_> {
    /// The daily loss is counted from the equity that stood when the UTC day began: the last marks
    /// before today's first. What yesterday's loss halted goes on.
    pub(super) fn begin_day(&mut self) -> Result<(), DeskError> {
        let day = self.recorder.at().day();
        if self
            .ledger()
            .current_day()
            .is_none_or(|current| current < day)
        {
            let equity = self.ledger().equity().total;
            self.recorder
                .record(LedgerEvent::DayStarted { day, equity })?;
            if self.halted_for(HaltCause::DailyLoss) {
                self.recorder.record(LedgerEvent::Resumed {
                    by: DESK.to_owned(),
                    reason: "a new UTC day began".to_owned(),
                })?;
            }
        }
        Ok(())
    }

    fn halted_for(&self, cause: HaltCause) -> bool {
        self.ledger().halt().is_some_and(|halt| halt.cause == cause)
    }

    /// After marking: raises the peak, and halts when the day's loss or the fall from the peak has
    /// reached its limit; buys that rest or are on their way are withdrawn then. A peak of prices
    /// that nobody pays is none, so it rises only where every position has a bid.
    pub(super) fn watch_losses(&mut self) -> Result<(), DeskError> {
        let equity = self.ledger().equity();
        if equity.complete && self.ledger().peak().is_none_or(|peak| equity.total > peak) {
            let equity = equity.total;
            self.recorder.record(LedgerEvent::PeakRaised { equity })?;
        }
        let Some((cause, reason)) = halts::due(self.recorder.ledger(), &self.config.risk) else {
            return Ok(());
        };
        self.report
            .notes
            .push(format!("trading halted ({}): {reason}", cause.as_str()));
        self.recorder.record(LedgerEvent::Halted {
            cause,
            by: DESK.to_owned(),
            reason: reason.clone(),
        })?;
        let waiting: Vec<u64> = self
            .ledger()
            .open_orders()
            .filter(|(order, _)| order.side == Side::Buy)
            .map(|(order, _)| order.id)
            .collect();
        let waiting = command::with_whole_baskets(self.ledger(), waiting);
        let reason = format!("withdrawn: trading was halted: {reason}");
        Ok(command::withdraw(&mut self.recorder, &waiting, &reason)?)
    }

    /// Withdraws resting orders that the limits no longer allow. What the market traded through since
    /// the last look has filled before: an exchange would not have waited for us either.
    pub(super) fn judge_resting(&mut self) -> Result<(), DeskError> {
        let ids: Vec<u64> = self.ledger().resting().keys().copied().collect();
        for id in ids {
            let Some(resting) = self.ledger().resting().get(&id) else {
                continue;
            };
            if let Err(refusal) = self.gate().stands(resting) {
                self.cancel_resting(id, &format!("withdrawn: {refusal}"))?;
            }
        }
        Ok(())
    }

    /// Asks the risk gate, and refuses what this snapshot says has ended: its last book may still
    /// show prices that the result has overtaken. Limits and account are read here, in the step that
    /// submits: whatever a preview said before counts for nothing.
    pub(super) fn approve(
        &self,
        order: &Order,
        market: &Market,
        book: Option<&Book>,
    ) -> Result<Approved<Order>, Refusal> {
        self.not_resolved(&order.market_id)?;
        self.gate().approve(order, market, book)
    }

    pub(super) fn not_resolved(&self, market_id: &MarketId) -> Result<(), Refusal> {
        if self
            .snapshot
            .resolutions
            .iter()
            .any(|resolution| resolution.market_id == *market_id)
        {
            return Err(Refusal::new(
                "market_not_tradable",
                format!("market {market_id} has resolved"),
                "search_markets lists open markets.",
            ));
        }
        Ok(())
    }

    /// Records that an order was refused, with all that the verdict was about.
    pub(super) fn record_refusal(
        &mut self,
        order: &Order,
        refusal: &Refusal,
    ) -> Result<(), DeskError> {
        self.record_leg_refusal(order, &[], refusal)
    }

    /// Records that a basket was refused for one of its legs, with those that the verdict counts as
    /// bought before it.
    pub(super) fn record_leg_refusal(
        &mut self,
        order: &Order,
        earlier: &[Order],
        refusal: &Refusal,
    ) -> Result<(), DeskError> {
        let earlier_legs = earlier
            .iter()
            .map(|leg| EarlierLeg {
                signal_id: leg.signal_id,
                market_id: leg.market_id.clone(),
                event_id: leg.event_id.clone(),
                token_id: leg.token_id.clone(),
                limit: leg.limit,
                shares: leg.shares,
                fee: self.fee_terms(leg),
            })
            .collect();
        self.recorder.record(LedgerEvent::OrderRefused {
            strategy: order.strategy.clone(),
            market_id: order.market_id.clone(),
            token_id: order.token_id.clone(),
            side: Some(order.side),
            limit: Some(order.limit),
            shares: Some(order.shares),
            signal_id: order.signal_id,
            event_id: order.event_id.clone(),
            order_type: Some(order.order_type),
            fee: self.fee_terms(order),
            earlier_legs,
            code: refusal.code.clone(),
            message: refusal.message.clone(),
        })?;
        Ok(())
    }

    /// The fee terms that an order is judged by.
    fn fee_terms(&self, order: &Order) -> Option<FeeSchedule> {
        let market = self.view(&order.market_id).map(|view| view.market.fee);
        order.fee.or(market)
    }
}

//! From the match to the chain: a trade is mined and confirmed after a while, or fails on request.

use std::collections::HashSet;

use super::desk::Desk;
use crate::domain::Timestamp;
use crate::sandbox::exchange::{MarketIdx, Tif, TradeNo, TradeRecord, TradeStatus};
use crate::sandbox::faults::Faults;
use crate::sandbox::model::World;

/// Simulated milliseconds from the match until it is in a block, or its transaction is retried.
pub(in crate::sandbox) const MINED_AFTER: i64 = 2_000;
/// Simulated milliseconds from the match until it is final, one way or the other.
pub(in crate::sandbox) const FINAL_AFTER: i64 = 6_000;

/// Which trades are to fail.
#[derive(Debug)]
pub(super) struct Failing {
    faults: Faults,
    /// Trades up to this one have been looked at.
    seen: u64,
    doomed: HashSet<TradeNo>,
}

impl Failing {
    pub(super) fn new(faults: Faults) -> Self {
        Failing {
            faults,
            seen: 0,
            doomed: HashSet::new(),
        }
    }

    /// Asks of each trade made since the last time whether it is to fail.
    pub(super) fn mark(&mut self, world: &World) {
        for number in world.exchange.pending_trades() {
            if number.0 <= self.seen {
                continue;
            }
            self.seen = number.0;
            let token = world.exchange.trade(number).and_then(|trade| {
                let market = world.markets.get(trade.market.0 as usize)?;
                Some(trade.taker.outcome.of(&market.tokens).as_str())
            });
            if token.is_some_and(|token| self.faults.fail_next_match(token)) {
                self.doomed.insert(number);
            }
        }
    }

    /// The state after the present one, once it is due.
    fn due(&self, trade: &TradeRecord, now: Timestamp) -> Option<TradeStatus> {
        let age = now.since(trade.matched_at);
        let doomed = self.doomed.contains(&trade.trade);
        match (trade.status, doomed) {
            (TradeStatus::Matched, false) if age >= MINED_AFTER => Some(TradeStatus::Mined),
            (TradeStatus::Mined, false) if age >= FINAL_AFTER => Some(TradeStatus::Confirmed),
            (TradeStatus::Matched, true) if age >= MINED_AFTER => Some(TradeStatus::Retrying),
            (TradeStatus::Retrying, _) if age >= FINAL_AFTER => Some(TradeStatus::Failed),
            _ => None,
        }
    }
}

impl Desk {
    /// Moves trades on that are due, and removes GTD orders that are.
    pub(super) fn catch_up(&mut self, world: &mut World) {
        self.failing.mark(world);
        let now = world.now;
        for number in world.exchange.pending_trades() {
            while let Some(trade) = world.exchange.trade(number)
                && let Some(next) = self.failing.due(trade, now)
            {
                if let Err(error) = world.exchange.set_trade_status(number, next, now) {
                    tracing::warn!(%error, "a sandbox trade stands still");
                    break;
                }
                if next == TradeStatus::Failed {
                    self.failing.doomed.remove(&number);
                }
            }
        }
        let mut dated: Vec<MarketIdx> = self
            .all_wallets()
            .into_iter()
            .flat_map(|(_, wallet)| world.exchange.open_orders(wallet.account))
            .filter(|record| matches!(record.placed.tif, Tif::Gtd(_)))
            .map(|record| record.placed.market)
            .collect();
        dated.sort_unstable();
        dated.dedup();
        for market in dated {
            world.exchange.expire(market, now);
        }
    }
}

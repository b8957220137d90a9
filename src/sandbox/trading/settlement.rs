//! From the match to the chain: a trade is mined and confirmed after a while, or fails on request.

use std::collections::HashSet;

use super::desk::Desk;
use crate::domain::Timestamp;
use crate::sandbox::exchange::{Exchange, MarketIdx, Tif, TradeNo, TradeRecord, TradeStatus};
use crate::sandbox::model::World;

/// Simulated milliseconds from the match until it is in a block, or its transaction is retried.
pub(in crate::sandbox) const MINED_AFTER: i64 = 2_000;
/// Simulated milliseconds from the match until it is final, one way or the other.
pub(in crate::sandbox) const FINAL_AFTER: i64 = 6_000;

/// Which trades are to fail.
#[derive(Debug, Default)]
pub(super) struct Failing {
    /// How many of the next trades.
    next: u32,
    /// Trades up to this one have been looked at.
    seen: u64,
    doomed: HashSet<TradeNo>,
}

impl Failing {
    /// Makes the next `count` trades fail; those made before are not meant.
    pub(super) fn next(&mut self, exchange: &Exchange, count: u32) {
        self.mark(exchange);
        self.next = self.next.saturating_add(count);
    }

    /// Looks at the trades made since the last time.
    pub(super) fn mark(&mut self, exchange: &Exchange) {
        for trade in exchange.pending_trades() {
            if trade.0 <= self.seen {
                continue;
            }
            self.seen = trade.0;
            if self.next > 0 {
                self.next -= 1;
                self.doomed.insert(trade);
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
        self.failing.mark(&world.exchange);
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

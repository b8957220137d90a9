//! What agents hold, as the Data API shows it.

use std::collections::HashMap;

use super::desk::{Desk, Wallet};
use super::rows::lower;
use crate::domain::{Side, Timestamp};
use crate::sandbox::exchange::TradeStatus;
use crate::sandbox::model::{self, Holding, OutcomeSide, World};

/// Shares bought, what they cost, and since when.
#[derive(Debug, Clone, Copy)]
struct Cost {
    shares: f64,
    cost: f64,
    since: Timestamp,
}

impl Desk {
    /// The agents as the Data API's traders. One that is not asked for is left out.
    pub(in crate::sandbox) fn traders(
        &self,
        world: &World,
        user: Option<&str>,
    ) -> Vec<model::Wallet> {
        self.all_wallets()
            .into_iter()
            .filter(|(address, _)| user.is_none_or(|user| user == lower(*address)))
            .map(|(address, wallet)| model::Wallet {
                address: lower(address),
                name: String::new(),
                daily_profit: 0.0,
                daily_volume: 0.0,
                holdings: holdings(world, wallet),
            })
            .collect()
    }
}

/// A wallet's holdings at their average price, from its trades that have not failed. Sells take
/// shares out at the average; shares that came by a split count half a pUSD each.
fn holdings(world: &World, wallet: &Wallet) -> Vec<Holding> {
    let mut costs: HashMap<(u32, OutcomeSide), Cost> = HashMap::new();
    for trade in world.exchange.trades(wallet.account) {
        if trade.status == TradeStatus::Failed {
            continue;
        }
        for party in [&trade.taker, &trade.maker] {
            if party.account != wallet.account {
                continue;
            }
            let size = trade.size.to_f64();
            let known = costs
                .entry((trade.market.0, party.outcome))
                .or_insert(Cost {
                    shares: 0.0,
                    cost: 0.0,
                    since: trade.matched_at,
                });
            match party.side {
                Side::Buy => {
                    known.shares += size;
                    known.cost += party.notional.to_f64();
                }
                Side::Sell if known.shares > 0.0 => {
                    let left = (known.shares - size).max(0.0);
                    known.cost *= left / known.shares;
                    known.shares = left;
                }
                Side::Sell => {}
            }
        }
    }
    world
        .exchange
        .positions(wallet.account)
        .into_iter()
        .map(|(market, outcome, holding)| {
            let known = costs.get(&(market.0, outcome));
            Holding {
                market: market.0 as usize,
                side: outcome,
                size: holding.total.to_f64(),
                price: known
                    .filter(|cost| cost.shares > 0.0)
                    .map_or(0.5, |cost| cost.cost / cost.shares),
                bought: known.map_or(world.now, |cost| cost.since),
            }
        })
        .collect()
}

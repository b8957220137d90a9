//! A few fictional traders with holdings, so that positions and leaderboards are not empty.

use super::market::{OutcomeSide, SimMarket};
use super::naming;
use crate::domain::Timestamp;
use crate::sandbox::noise::stream;

/// How many there are.
const COUNT: u64 = 8;
/// Holdings of each, at most.
const HOLDINGS: usize = 5;

/// A fictional trader.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Wallet {
    pub address: String,
    pub name: String,
    /// Profit per day of a period, pUSD: for the leaderboard only.
    pub daily_profit: f64,
    /// Volume per day of a period, pUSD.
    pub daily_volume: f64,
    pub holdings: Vec<Holding>,
}

/// Shares bought once and kept.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Holding {
    pub market: usize,
    pub side: OutcomeSide,
    /// Shares.
    pub size: f64,
    /// Price paid, 0–1.
    pub price: f64,
    pub bought: Timestamp,
}

/// Makes the traders; each bought at recorded past prices.
pub(in crate::sandbox) fn build(seed: u64, markets: &[SimMarket], start: Timestamp) -> Vec<Wallet> {
    (0..COUNT)
        .map(|number| {
            let mut random = stream(&[seed, number, 0x3A2]);
            let mut holdings: Vec<Holding> = Vec::new();
            for _ in 0..HOLDINGS {
                let index = random.index(markets.len());
                let hours = random.between(1.0, 20.0);
                let bought = start.plus_millis(-(hours * 3_600_000.0) as i64);
                let side = if random.unit() < 0.5 {
                    OutcomeSide::First
                } else {
                    OutcomeSide::Second
                };
                let size = (random.between(20.0, 900.0) * 100.0).floor() / 100.0;
                let Some(mid) = markets.get(index).and_then(|m| m.history.at(bought)) else {
                    continue;
                };
                if holdings.iter().any(|held| held.market == index) {
                    continue;
                }
                let price = match side {
                    OutcomeSide::First => mid,
                    OutcomeSide::Second => 1.0 - mid,
                };
                holdings.push(Holding {
                    market: index,
                    side,
                    size,
                    price: (price * 10_000.0).round() / 10_000.0,
                    bought: Timestamp::from_secs(bought.secs()),
                });
            }
            Wallet {
                address: naming::wallet(seed, number),
                name: format!("sim-trader-{}", number + 1),
                daily_profit: (random.normal() * 400.0 * 100.0).round() / 100.0,
                daily_volume: (random.between(500.0, 20_000.0) * 100.0).round() / 100.0,
                holdings,
            }
        })
        .collect()
}

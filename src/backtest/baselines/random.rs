//! Random trades of the same number and size.
//!
//! For each purchase of the run a draw buys an outcome of a market that could be bought at that
//! moment, both chosen at random, for the same pUSD: at the ask of the same kind of book, with the
//! market's fee. It sells when the run sold, at the bid and with a fee; what the run held to
//! settlement or to its end is held to the settlement of its own market, or to the end of the run and
//! then counts at the bid. Limits, cash and depth are not looked at: the trades have the size that the
//! run's had.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backtest::bootstrap::below;
use crate::backtest::engine::ReplayRules;
use crate::backtest::stats;
use crate::domain::{MarketStatus, Price, Rounding, Shares, Side, Timestamp, Usdc, notional};
use crate::market_data::recorded::Dataset;

/// Draws.
pub const RANDOM_DRAWS: u32 = 200;
/// Markets that are tried for one trade before it is left out.
const TRIES: usize = 200;

/// A purchase of the run, and how long it was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Bought at.
    pub opened_at: Timestamp,
    /// Sold at; `None` when it was held to settlement or to the end.
    pub sold_at: Option<Timestamp>,
    /// What it cost without fees, pUSD.
    pub cost: Usdc,
}

/// Where the run stands among random ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RandomTrades {
    /// Draws that were made.
    pub draws: u32,
    /// Trades of each.
    pub trades: u64,
    /// Mean return of the draws, as a fraction.
    pub mean_return: f64,
    /// 5 % of the draws returned less, as a fraction.
    pub low: f64,
    /// 5 % of the draws returned more, as a fraction.
    pub high: f64,
    /// Draws that returned less than the run, those equal counting half; 0 to 100.
    pub percentile: f64,
}

/// Draws random trades. `None` when there is nothing to draw, or no market to trade.
#[must_use]
pub fn random_trades(
    dataset: &Dataset,
    rules: &ReplayRules,
    holds: &[Hold],
    (balance, end): (Usdc, Timestamp),
    result: Usdc,
    (seed, draws): (u64, u32),
) -> Option<RandomTrades> {
    if holds.is_empty() || balance <= Usdc::ZERO {
        return None;
    }
    let markets = Markets::new(dataset, rules);
    let drawn: Vec<Usdc> = (0..draws)
        .into_par_iter()
        .map(|number| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(u64::from(number));
            let results = holds
                .iter()
                .map(|hold| markets.trade(&mut random, *hold, end));
            results.map(Option::unwrap_or_default).sum()
        })
        .collect();
    let returns: Vec<f64> = drawn
        .iter()
        .map(|result| result.to_f64() / balance.to_f64())
        .collect();
    let below = drawn.iter().filter(|one| **one < result).count() as f64;
    let equal = drawn.iter().filter(|one| **one == result).count() as f64;
    Some(RandomTrades {
        draws,
        trades: holds.len() as u64,
        mean_return: stats::mean(&returns)?,
        low: stats::quantile(&returns, 0.05)?,
        high: stats::quantile(&returns, 0.95)?,
        percentile: (below + equal / 2.0) / f64::from(draws) * 100.0,
    })
}

/// The markets of a recording, by their first row.
struct Markets<'a> {
    dataset: &'a Dataset,
    rules: &'a ReplayRules,
    /// First row and index.
    begins: Vec<(Timestamp, usize)>,
}

/// What can be had of a token at a moment.
struct Quote {
    price: Price,
    fee: crate::domain::FeeSchedule,
}

impl<'a> Markets<'a> {
    fn new(dataset: &'a Dataset, rules: &'a ReplayRules) -> Self {
        let series = dataset.series().iter().enumerate();
        let series = series.filter(|(index, _)| !rules.excludes(*index));
        let mut begins: Vec<(Timestamp, usize)> = series
            .filter_map(|(index, one)| Some((one.points().first()?.at, index)))
            .collect();
        begins.sort_unstable();
        Markets {
            dataset,
            rules,
            begins,
        }
    }

    /// Result of one random trade after fees; `None` when no market could be bought.
    fn trade(&self, random: &mut ChaCha8Rng, hold: Hold, end: Timestamp) -> Option<Usdc> {
        let begun = self.begins.partition_point(|(at, _)| *at <= hold.opened_at);
        for _ in 0..TRIES.min(begun * 20) {
            let (_, index) = *self.begins.get(below(random, begun))?;
            let outcome = below(random, 2);
            let Some(ask) = self.quote(index, outcome, Side::Buy, hold.opened_at) else {
                continue;
            };
            let shares = Shares::affordable(hold.cost, ask.price);
            if shares.is_zero() {
                continue;
            }
            let cost = notional(ask.price, shares, Rounding::Down).ok()?;
            let paid = cost.plus(ask.fee.fee(ask.price, shares).ok()?);
            return Some(
                self.proceeds(index, outcome, shares, hold, end)?
                    .minus(paid),
            );
        }
        None
    }

    /// The best price of an outcome's book.
    fn quote(&self, index: usize, outcome: usize, side: Side, at: Timestamp) -> Option<Quote> {
        let one = self.dataset.series().get(index)?;
        if one.is_resolved(at) {
            return None;
        }
        let (row, visible) = self.dataset.visible(index, at)?;
        if visible.stale || visible.status != MarketStatus::Open {
            return None;
        }
        let books = self.dataset.books(index, row, &visible)?;
        let book = books.get(outcome)?.as_ref()?;
        Some(Quote {
            price: book.against(side).first()?.price,
            fee: self
                .rules
                .fees
                .instead(one.template())
                .map_or(visible.fee, |rule| rule.at(at)),
        })
    }

    fn proceeds(
        &self,
        index: usize,
        outcome: usize,
        shares: Shares,
        hold: Hold,
        end: Timestamp,
    ) -> Option<Usdc> {
        let one = self.dataset.series().get(index)?;
        let until = hold.sold_at.unwrap_or(end);
        let worth = |price: Price| notional(price, shares, Rounding::Down).ok();
        if let Some((at, resolution)) = one.resolution()
            && at <= until
        {
            let token = &one.template().outcomes.get(outcome)?.token;
            return worth(resolution.payout_of(token).unwrap_or(Price::ZERO));
        }
        if let Some(bid) = self.quote(index, outcome, Side::Sell, until) {
            let fee = match hold.sold_at {
                Some(_) => bid.fee.fee(bid.price, shares).ok()?,
                None => Usdc::ZERO,
            };
            return Some(worth(bid.price)?.minus(fee));
        }
        // Nobody bids, or nothing has been heard of it for long: the last bid that was seen.
        let (last, price) = one.row(one.last_row(until)?)?;
        let price = match self.quote(index, outcome, Side::Sell, last) {
            Some(bid) => bid.price,
            None if outcome == 0 => price.minus(self.half_spread()),
            None => price.complement().minus(self.half_spread()),
        };
        worth(price)
    }

    fn half_spread(&self) -> Price {
        let spread = self.dataset.options().default_spread;
        Price::from_micros(spread.micros() / 2).unwrap_or(spread)
    }
}

//! Random trades of the same number and size.
//!
//! For each purchase of the run a draw buys an outcome of a market that could be bought at that
//! moment, both chosen at random, for the same pUSD: at the ask that the recording shows, with the
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
use crate::backtest::data::Source;
use crate::backtest::engine::BacktestOptions;
use crate::backtest::stats;
use crate::domain::{FeeSchedule, Price, Rounding, Shares, Side, Timestamp, Usdc, notional};

mod on_books;
mod on_prices;

use on_books::Tops;
use on_prices::Rows;

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

/// What can be had of a token at a moment.
struct Quote {
    price: Price,
    fee: FeeSchedule,
}

/// What a recording shows of prices at the moments of the run. Markets go by their number.
trait Offers: Sync {
    /// Markets that are not left out by when something was first known of them.
    fn begins(&self) -> &[(Timestamp, usize)];

    /// The best price of one of the two outcomes; `None` where there is none that could be traded at.
    fn quote(&self, market: usize, outcome: usize, side: Side, at: Timestamp) -> Option<Quote>;

    /// What a share has paid, if its market has resolved by then.
    fn payout(&self, market: usize, outcome: usize, until: Timestamp) -> Option<Price>;

    /// What a share counts where nobody bids, or nothing has been heard of it for long.
    fn last_bid(&self, market: usize, outcome: usize, until: Timestamp) -> Option<Price>;
}

/// Draws random trades for a run on `data` that gained `result` and ended at `end`. `None` when there is
/// nothing to draw, no market to trade, or the run is not wanted any more.
#[must_use]
pub fn random_trades<'d>(
    data: impl Into<Source<'d>>,
    options: &BacktestOptions<'_>,
    holds: &[Hold],
    end: Timestamp,
    result: Usdc,
    (seed, draws): (u64, u32),
) -> Option<RandomTrades> {
    let balance = options.balance;
    if holds.is_empty() || balance <= Usdc::ZERO {
        return None;
    }
    let drawn = match data.into() {
        Source::Prices(dataset) => {
            let rows = Rows::new(dataset, &options.rules);
            draw(&rows, holds, end, (seed, draws), options.cancelled)?
        }
        Source::Books(recording) => {
            let sold = holds.iter().filter_map(|hold| hold.sold_at);
            let moments = holds.iter().map(|hold| hold.opened_at).chain(sold);
            let tops = Tops::at(recording, options, moments.chain([end]).collect())?;
            draw(&tops, holds, end, (seed, draws), options.cancelled)?
        }
    };
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

/// Results after fees of so many draws; a trade for which nothing could be bought comes to nothing. `None`
/// where that is so of all of them: then there is nothing to compare with; and when they are not wanted any more.
/// The same seed gives the same on any number of threads.
fn draw(
    offers: &impl Offers,
    holds: &[Hold],
    end: Timestamp,
    (seed, draws): (u64, u32),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Option<Vec<Usdc>> {
    let draws = (0..draws).into_par_iter().map(|number| {
        if cancelled() {
            return None;
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(u64::from(number));
        let results = holds
            .iter()
            .map(|hold| trade(offers, &mut random, *hold, end));
        let sum = results.fold(None, |sum: Option<Usdc>, result| match (sum, result) {
            (Some(sum), Some(result)) => Some(sum.plus(result)),
            (sum, result) => sum.or(result),
        });
        Some(sum)
    });
    let drawn: Vec<Option<Usdc>> = draws.collect::<Option<_>>()?;
    let any = drawn.iter().any(Option::is_some);
    any.then(|| drawn.into_iter().map(Option::unwrap_or_default).collect())
}

/// Result of one random trade after fees; `None` when no market could be bought.
fn trade(
    offers: &impl Offers,
    random: &mut ChaCha8Rng,
    hold: Hold,
    end: Timestamp,
) -> Option<Usdc> {
    let begins = offers.begins();
    let begun = begins.partition_point(|(at, _)| *at <= hold.opened_at);
    for _ in 0..TRIES.min(begun * 20) {
        let (_, market) = *begins.get(below(random, begun))?;
        let outcome = below(random, 2);
        let Some(ask) = offers.quote(market, outcome, Side::Buy, hold.opened_at) else {
            continue;
        };
        let shares = Shares::affordable(hold.cost, ask.price);
        if shares.is_zero() {
            continue;
        }
        let cost = notional(ask.price, shares, Rounding::Down).ok()?;
        let paid = cost.plus(ask.fee.fee(ask.price, shares).ok()?);
        return Some(proceeds(offers, (market, outcome), shares, hold, end)?.minus(paid));
    }
    None
}

fn proceeds(
    offers: &impl Offers,
    (market, outcome): (usize, usize),
    shares: Shares,
    hold: Hold,
    end: Timestamp,
) -> Option<Usdc> {
    let until = hold.sold_at.unwrap_or(end);
    let worth = |price: Price| notional(price, shares, Rounding::Down).ok();
    if let Some(payout) = offers.payout(market, outcome, until) {
        return worth(payout);
    }
    if let Some(bid) = offers.quote(market, outcome, Side::Sell, until) {
        let fee = match hold.sold_at {
            Some(_) => bid.fee.fee(bid.price, shares).ok()?,
            None => Usdc::ZERO,
        };
        return Some(worth(bid.price)?.minus(fee));
    }
    worth(offers.last_bid(market, outcome, until)?)
}

//! What a careful reader would object to in a result, in words.
//!
//! Each diagnosis is a pure function of a few numbers with its threshold beside it; it speaks or is
//! silent. None of them changes a result.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{HaltCause, Price, Timestamp, Usdc};

use super::bootstrap::{Intervals, LEAST_BLOCKS};
use super::metrics::{Forecast, GroupRow};
use super::record::LiquidityUse;
use super::report::{ClosedRow, HaltRow};

mod gaps;

pub use gaps::{BOOK_SILENCE, GAP_FACTOR, GAP_LEAST, Gap, book_gaps, data_gaps, longest_gap};

/// Fewer closed trades than this say little: the usual lower bound for a mean to be near normal.
pub const FEW_TRADES: u64 = 30;
/// A market with more than this part of the whole profit makes it.
pub const ONE_MARKET_SHARE: f64 = 0.5;
/// An order above this part of its market's 24-hour volume would have moved the price.
pub const LIQUIDITY_SHARE: f64 = 0.05;
/// Open positions with more than this part of the profit carry it.
pub const OPEN_SHARE: f64 = 0.5;
/// Trading that was halted for this part of the run, or more, leaves an idle account to be measured.
pub const HALTED_SHARE: f64 = 0.1;
/// Settled trades that won so many standard deviations more often than their prices say, …
pub const LOOKAHEAD_DEVIATIONS: f64 = 5.0;
/// … in at least so many markets, look like knowledge of the future.
pub const LOOKAHEAD_MARKETS: usize = 20;
/// So does a Sharpe ratio above this with [`FEW_TRADES`] trades or more.
pub const LOOKAHEAD_SHARPE: f64 = 10.0;

/// One objection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// Which: synthetic_book, rebuilt_book, halted, too_few_trades, within_noise, one_market,
    /// open_positions, edge_below_spread, liquidity, data_gaps, lookahead_suspected.
    pub code: String,
    /// In words, with the numbers.
    pub text: String,
}

impl std::fmt::Display for Diagnosis {
    /// The words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn says(code: &str, text: String) -> Option<Diagnosis> {
    Some(Diagnosis {
        code: code.to_owned(),
        text,
    })
}

/// Fewer than [`FEW_TRADES`] closed trades.
#[must_use]
pub fn too_few_trades(closed: u64) -> Option<Diagnosis> {
    if closed >= FEW_TRADES {
        return None;
    }
    says(
        "too_few_trades",
        format!(
            "Too few trades: {closed} closed trades; ratios of fewer than {FEW_TRADES} say little."
        ),
    )
}

/// One market has more than [`ONE_MARKET_SHARE`] of a profit, or was the only one. `markets`: the best
/// result first.
#[must_use]
pub fn one_market(markets: &[GroupRow]) -> Option<Diagnosis> {
    let total: f64 = markets.iter().map(GroupRow::result).sum();
    let best = markets.first()?;
    if total <= 0.0 || best.result() <= ONE_MARKET_SHARE * total {
        return None;
    }
    if markets.len() == 1 {
        return says(
            "one_market",
            format!(
                "One market makes all the profit: “{}” earned {total:.2} pUSD, and no other was traded.",
                best.name
            ),
        );
    }
    let rest = total - best.result();
    says(
        "one_market",
        format!(
            "One market makes the profit: “{}” earned {:.2} of {total:.2} pUSD; without it the result \
             is {rest:+.2} pUSD.",
            best.name,
            best.result()
        ),
    )
}

/// The 95 % interval of the return holds 0, or too few independent markets (neg-risk events, and
/// markets outside of them) were traded for one.
#[must_use]
pub fn within_noise(total_return: Option<f64>, intervals: &Intervals) -> Option<Diagnosis> {
    let blocks = intervals.blocks;
    if (1..LEAST_BLOCKS as u64).contains(&blocks) {
        let (markets, were) = match blocks {
            1 => ("market", "was"),
            _ => ("markets", "were"),
        };
        return says(
            "within_noise",
            format!(
                "No interval: only {blocks} independent {markets} {were} traded (at least {LEAST_BLOCKS} \
                 are needed); the result cannot be told from chance."
            ),
        );
    }
    let (total, interval) = total_return.zip(intervals.total_return)?;
    if total == 0.0 || interval.low > 0.0 || interval.high < 0.0 {
        return None;
    }
    says(
        "within_noise",
        format!(
            "The result is within the noise: a return of {:+.2} %, and with other markets of the same \
             kind anything from {:+.2} % to {:+.2} % (95 %).",
            total * 100.0,
            interval.low * 100.0,
            interval.high * 100.0
        ),
    )
}

/// The mean edge claimed by what was traded is smaller than the spread that was assumed.
#[must_use]
pub fn edge_below_spread(forecasts: &[Forecast], spread: Option<Price>) -> Option<Diagnosis> {
    let spread = spread?.to_f64();
    let edges: Vec<f64> = forecasts.iter().map(|one| one.edge).collect();
    let edge = super::stats::mean(&edges)?;
    if edge >= spread {
        return None;
    }
    says(
        "edge_below_spread",
        format!(
            "The edge is smaller than the spread assumed: {edge:.4} pUSD per share were claimed on \
             average, and the spread of the synthesised books, {spread:.4}, is a guess. A spread twice \
             as wide would take it."
        ),
    )
}

/// Some order took more than [`LIQUIDITY_SHARE`] of its market's 24-hour volume.
#[must_use]
pub fn liquidity(used: LiquidityUse) -> Option<Diagnosis> {
    if used.large == 0 {
        return None;
    }
    says(
        "liquidity",
        format!(
            "Liquidity: {} of {} orders in markets of known volume took more than {:.0} % of what was \
             traded there in 24 hours (at most {:.1} %); the price would have moved.",
            used.large,
            used.orders,
            LIQUIDITY_SHARE * 100.0,
            used.largest * 100.0
        ),
    )
}

/// Positions open at the end have more than [`OPEN_SHARE`] of a profit.
#[must_use]
pub fn open_positions(total: Usdc, open: Usdc, count: usize) -> Option<Diagnosis> {
    if total <= Usdc::ZERO || open.to_f64() <= OPEN_SHARE * total.to_f64() {
        return None;
    }
    says(
        "open_positions",
        format!(
            "Open positions carry the result: {open} of {total} pUSD are those of {count} positions \
             that are neither sold nor settled, at the last bid.",
        ),
    )
}

/// Fills met books that were made from a price.
#[must_use]
pub fn synthetic_book(fills: u64, spread: Option<Price>) -> Option<Diagnosis> {
    let spread = spread.filter(|_| fills > 0)?;
    says(
        "synthetic_book",
        format!(
            "Synthetic books: {fills} fills met books made from one price (spread {spread} where no \
             quote is recorded) with an assumed depth; real fills may be worse."
        ),
    )
}

/// Fills met books that a recording without whole ones allows to be rebuilt.
#[must_use]
pub fn rebuilt_book(fills: u64, rebuilt: bool) -> Option<Diagnosis> {
    if fills == 0 || !rebuilt {
        return None;
    }
    says(
        "rebuilt_book",
        format!(
            "Rebuilt books: {fills} fills met books put together from changes and best prices, because \
             the recording begins without whole ones; sizes at some best prices are assumed, and real \
             fills may be worse."
        ),
    )
}

/// Trading was halted for [`HALTED_SHARE`] of the `period` or more. `halts`: oldest first.
#[must_use]
pub fn halted(halts: &[HaltRow], period: Option<(Timestamp, Timestamp)>) -> Option<Diagnosis> {
    let (start, end) = period?;
    let first = halts.first()?;
    let time = |halt: &HaltRow| halt.to.unwrap_or(end).since(halt.from);
    let share = halts.iter().map(time).sum::<i64>() as f64 / end.since(start) as f64;
    if !(share >= HALTED_SHARE && share.is_finite()) {
        return None;
    }
    let causes = [
        HaltCause::KillSwitch,
        HaltCause::Drawdown,
        HaltCause::DailyLoss,
    ];
    let causes = causes.map(|cause| (cause, halts.iter().any(|halt| halt.cause == cause)));
    let causes = causes.iter().filter(|(_, is_there)| *is_there);
    let causes: Vec<String> = causes
        .map(|(cause, _)| cause.as_str().replace('_', " "))
        .collect();
    let causes = causes.join(", ");
    let percent = share * 100.0;
    let from = first.from;
    says(
        "halted",
        match (halts.len(), first.to) {
            (1, None) => format!(
                "Trading was halted ({causes}) from {from} for {percent:.1} % of the run: the rest \
                 measures an idle account."
            ),
            (1, Some(to)) => format!(
                "Trading was halted ({causes}) from {from} to {to} for {percent:.1} % of the run: that \
                 part measures an idle account."
            ),
            (count, _) => format!(
                "Trading was halted {count} times ({causes}) for {percent:.1} % of the run, first from \
                 {from}: that part measures an idle account."
            ),
        },
    )
}

/// Wins far beyond what the prices paid allow, or a Sharpe ratio that nobody has.
///
/// Of each market the first trade held to settlement counts: bought at price `p` it wins with that
/// probability if the market is right, so the wins less `Σ p` have a variance of `Σ p(1 − p)`.
#[must_use]
pub fn lookahead_suspected(settled: &[SettledTrade], sharpe: Option<f64>) -> Option<Diagnosis> {
    const CHECK: &str = "Run it with --check-lookahead.";
    let expected: f64 = settled.iter().map(|one| one.price).sum();
    let variance: f64 = settled
        .iter()
        .map(|one| one.price * (1.0 - one.price))
        .sum();
    let won: f64 = settled.iter().map(|one| one.payout).sum();
    let deviations = (won - expected) / variance.sqrt();
    if settled.len() >= LOOKAHEAD_MARKETS && deviations >= LOOKAHEAD_DEVIATIONS {
        return says(
            "lookahead_suspected",
            format!(
                "Look-ahead suspected: of {} markets held to settlement {won:.1} were won, and the \
                 prices paid allow {expected:.1} ± {:.1}. {CHECK}",
                settled.len(),
                variance.sqrt()
            ),
        );
    }
    let sharpe = sharpe.filter(|sharpe| *sharpe > LOOKAHEAD_SHARPE)?;
    says(
        "lookahead_suspected",
        format!("Look-ahead suspected: a Sharpe ratio of {sharpe:.1} is too good. {CHECK}"),
    )
}

/// A purchase that was held until its market resolved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SettledTrade {
    /// Mean price paid, 0–1.
    pub price: f64,
    /// What a share paid, 0–1.
    pub payout: f64,
}

/// Of each market the first of the trades that were settled.
#[must_use]
pub fn settled_trades(closed: &[ClosedRow]) -> Vec<SettledTrade> {
    let mut seen = std::collections::BTreeSet::new();
    let settled = closed.iter().filter(|one| one.settled);
    settled
        .filter(|one| seen.insert(one.market_id.as_str()))
        .filter_map(|one| {
            let shares = one.shares.to_f64();
            Some(SettledTrade {
                price: super::stats::finite(one.cost.to_f64() / shares)?,
                payout: super::stats::finite(one.gained.to_f64() / shares)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::bootstrap::Interval;
    use crate::domain::{MarketId, TokenId};

    fn row(name: &str, pnl: f64) -> GroupRow {
        GroupRow {
            name: name.to_owned(),
            pnl,
            ..GroupRow::default()
        }
    }

    fn text(found: Option<Diagnosis>) -> String {
        found.unwrap().text
    }

    #[test]
    fn few_trades() {
        assert!(text(too_few_trades(29)).contains("29 closed trades"));
        assert_eq!(too_few_trades(30), None);
    }

    #[test]
    fn one_market_of_several() {
        let made = one_market(&[row("A?", 60.0), row("B?", 20.0), row("C?", -10.0)]);
        assert!(
            text(made).contains("“A?” earned 60.00 of 70.00 pUSD; without it the result is +10.00")
        );
        assert_eq!(one_market(&[row("A?", 50.0), row("B?", 50.0)]), None);
        assert_eq!(
            one_market(&[row("A?", 5.0), row("B?", -9.0)]),
            None,
            "no profit"
        );
    }

    #[test]
    fn one_market_and_no_other() {
        // The clearest case: 8.6 % of 1,000 pUSD, all of it by the only market.
        let made = text(one_market(&[row("A?", 86.0)]));
        assert!(made.contains("all the profit: “A?” earned 86.00 pUSD"));
        assert_eq!(one_market(&[row("A?", -86.0)]), None, "no profit");
        assert_eq!(one_market(&[]), None);
    }

    #[test]
    fn noise() {
        let range = |low, high| Intervals {
            blocks: 5,
            total_return: Some(Interval { low, high }),
            ..Intervals::default()
        };
        let found = text(within_noise(Some(0.02), &range(-0.01, 0.05)));
        assert!(found.contains("+2.00 %") && found.contains("-1.00 % to +5.00 %"));
        assert_eq!(within_noise(Some(0.02), &range(0.001, 0.05)), None);
        assert_eq!(within_noise(Some(-0.02), &range(-0.05, -0.001)), None);
        let of = |blocks| Intervals {
            blocks,
            ..Intervals::default()
        };
        let found = text(within_noise(Some(0.086), &of(1)));
        assert!(found.starts_with("No interval: only 1 independent market was traded"));
        let found = text(within_noise(Some(-0.1), &of(4)));
        assert!(found.contains("only 4 independent markets were traded (at least 5"));
        // Five have an interval or a reason why not; where nothing was traded there is no result.
        assert_eq!(within_noise(Some(0.02), &of(5)), None);
        assert_eq!(within_noise(Some(0.0), &of(0)), None);
    }

    fn forecast(edge: f64) -> Forecast {
        Forecast {
            at: Timestamp::from_secs(0),
            strategy: "s".to_owned(),
            market: MarketId::new("m"),
            category: None,
            token: TokenId::new("t"),
            fair: 0.5,
            market_price: None,
            edge,
            payout: None,
        }
    }

    #[test]
    fn small_edges() {
        let spread = Price::parse("0.02").ok();
        // Mean 0.015.
        let found = edge_below_spread(&[forecast(0.01), forecast(0.02)], spread);
        assert!(text(found).contains("0.0150 pUSD"));
        assert_eq!(edge_below_spread(&[forecast(0.02)], spread), None);
        assert_eq!(edge_below_spread(&[forecast(0.01)], None), None);
        assert_eq!(edge_below_spread(&[], spread), None);
    }

    #[test]
    fn large_orders() {
        let used = |large| LiquidityUse {
            orders: 7,
            large,
            largest: 0.12,
        };
        assert!(text(liquidity(used(2))).contains("2 of 7 orders"));
        assert_eq!(liquidity(used(0)), None);
    }

    #[test]
    fn results_that_are_open() {
        let usd = Usdc::whole;
        assert!(text(open_positions(usd(10), usd(6), 3)).contains("6 of 10 pUSD are those of 3"));
        assert_eq!(open_positions(usd(10), usd(5), 3), None);
        assert_eq!(open_positions(usd(-10), usd(5), 3), None);
    }

    #[test]
    fn books_that_were_made_up() {
        let spread = Price::parse("0.02").ok();
        assert!(text(synthetic_book(4, spread)).contains("4 fills"));
        assert_eq!(synthetic_book(0, spread), None);
        assert_eq!(synthetic_book(4, None), None);
    }

    #[test]
    fn halts() {
        let at = |hours: i64| Timestamp::from_secs(hours * 3_600);
        let halt = |cause, from, to: Option<i64>| HaltRow {
            cause,
            from: at(from),
            to: to.map(at),
        };
        let run = Some((at(0), at(100)));
        // To the end from hour 38 on: 62 of 100 hours.
        let found = text(halted(&[halt(HaltCause::Drawdown, 38, None)], run));
        assert_eq!(
            found,
            "Trading was halted (drawdown) from 1970-01-02T14:00:00Z for 62.0 % of the run: the rest \
             measures an idle account."
        );
        // Four hours before each of two midnights are 8 %; of three they are 12 %.
        let days = [20, 44, 68].map(|from| halt(HaltCause::DailyLoss, from, Some(from + 4)));
        assert_eq!(halted(&days[..2], run), None);
        let found = text(halted(&days, run));
        assert!(found.contains("halted 3 times (daily loss) for 12.0 % of the run, first from"));
        let found = text(halted(&[halt(HaltCause::KillSwitch, 10, Some(20))], run));
        assert!(found.contains(
            "(kill switch) from 1970-01-01T10:00:00Z to 1970-01-01T20:00:00Z for 10.0 %"
        ));
        assert_eq!(halted(&[], run), None);
        // A run of one moment has no time.
        let moment = Some((at(5), at(5)));
        assert_eq!(halted(&[halt(HaltCause::Drawdown, 5, None)], moment), None);
    }

    #[test]
    fn knowing_the_future() {
        let trades = |price: f64, won: usize, of: usize| -> Vec<SettledTrade> {
            let payout = |n: usize| if n < won { 1.0 } else { 0.0 };
            (0..of)
                .map(|n| SettledTrade {
                    price,
                    payout: payout(n),
                })
                .collect()
        };
        // 25 at 0.5: 12.5 ± 2.5 are expected; 25 are five deviations, 24 are 4.6.
        assert!(text(lookahead_suspected(&trades(0.5, 25, 25), None)).contains("12.5 ± 2.5"));
        assert_eq!(lookahead_suspected(&trades(0.5, 24, 25), Some(3.0)), None);
        assert_eq!(
            lookahead_suspected(&trades(0.1, 19, 19), None),
            None,
            "too few markets"
        );
        assert!(text(lookahead_suspected(&[], Some(12.0))).contains("12.0"));
        assert_eq!(lookahead_suspected(&[], Some(9.9)), None);
    }
}

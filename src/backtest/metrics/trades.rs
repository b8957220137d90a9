//! Measures of closed trades, and of what trading cost.

use crate::domain::{Fill, Price, Side, Timestamp, Usdc};

use super::{HOUR, Metrics};

/// A position, or a part of one, from its purchase to its sale or settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedTrade {
    /// Proceeds − cost, fees not counted.
    pub pnl_gross: Usdc,
    /// Fees of purchase and sale together.
    pub fees: Usdc,
    /// When it was bought.
    pub opened_at: Timestamp,
    /// When it was sold or settled.
    pub closed_at: Timestamp,
    /// What it cost, fees not counted.
    pub cost: Usdc,
}

impl ClosedTrade {
    /// What was made or lost after fees.
    #[must_use]
    pub fn pnl_net(&self) -> Usdc {
        self.pnl_gross.minus(self.fees)
    }
}

/// What an order could have had when it was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DecisionBook {
    /// Middle of the book, 0–1; `None` when a side was missing.
    pub mid: Option<f64>,
    /// Best price on the side that the order takes from.
    pub best: Option<Price>,
}

/// What trading cost, and how long money was at work. Sums over a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Activity {
    /// pUSD bought and sold.
    pub volume: Usdc,
    /// Of that, filled while resting.
    pub maker_volume: Usdc,
    /// Fees, pUSD.
    pub fees: Usdc,
    /// Taking fills whose order had a book with both sides when it was decided on.
    pub measured_fills: u64,
    /// Cost of these against the middle, pUSD.
    pub from_mid: f64,
    /// Cost of these against the best price, pUSD.
    pub from_best: f64,
    /// Time that the sums below are over, ms.
    pub time: i64,
    /// Time with a position, ms.
    pub exposed: i64,
    /// Equity × time, pUSD · ms.
    pub equity_time: f64,
    /// Positions at their marks / equity, × time, ms.
    pub used_time: f64,
}

impl Activity {
    /// Counts a fill whose order met `book` when it was decided on.
    pub fn fill(&mut self, fill: &Fill, book: Option<DecisionBook>) {
        self.volume = self.volume.plus(fill.notional);
        self.fees = self.fees.plus(fill.fee);
        if fill.maker {
            self.maker_volume = self.maker_volume.plus(fill.notional);
            return;
        }
        if let Some((from_mid, from_best)) = slippage(fill, book) {
            self.measured_fills += 1;
            self.from_mid += from_mid;
            self.from_best += from_best;
        }
    }

    /// Counts `ms` during which the account stood like this.
    pub fn stand(&mut self, ms: i64, equity: Usdc, invested: Usdc, has_position: bool) {
        if ms <= 0 {
            return;
        }
        self.time += ms;
        self.exposed += if has_position { ms } else { 0 };
        self.equity_time += equity.to_f64() * ms as f64;
        if equity > Usdc::ZERO {
            self.used_time += invested.to_f64() / equity.to_f64() * ms as f64;
        }
    }
}

/// What a taking fill cost against the middle and against the best price, pUSD; `None` for a maker,
/// or without a book of two sides.
pub(super) fn slippage(fill: &Fill, book: Option<DecisionBook>) -> Option<(f64, f64)> {
    let book = book?;
    let (mid, best) = (book.mid?, book.best?.to_f64());
    if fill.maker {
        return None;
    }
    let sign = match fill.side {
        Side::Buy => 1.0,
        Side::Sell => -1.0,
    };
    let cost = |reference: f64| sign * (fill.price.to_f64() - reference) * fill.shares.to_f64();
    Some((cost(mid), cost(best)))
}

impl Metrics {
    pub(super) fn measure_trades(&mut self, trades: &[ClosedTrade]) {
        const NONE: &str = "no trade was closed";
        let net: Vec<Usdc> = trades.iter().map(ClosedTrade::pnl_net).collect();
        let won: Usdc = net.iter().copied().filter(|pnl| *pnl > Usdc::ZERO).sum();
        let lost: Usdc = net.iter().copied().filter(|pnl| *pnl < Usdc::ZERO).sum();
        let total: Usdc = net.iter().copied().sum();
        let cost: Usdc = trades.iter().map(|trade| trade.cost).sum();
        let count_of = |wanted: fn(&&Usdc) -> bool| net.iter().filter(wanted).count() as u64;
        self.total_trades = net.len() as u64;
        self.winning_trades = count_of(|pnl| **pnl > Usdc::ZERO);
        self.losing_trades = count_of(|pnl| **pnl < Usdc::ZERO);
        let per = |sum: Usdc, count: u64| (count > 0).then(|| sum.to_f64() / count as f64);
        self.best = self.because("best", net.iter().max().map(|pnl| pnl.to_f64()), NONE);
        self.worst = self.because("worst", net.iter().min().map(|pnl| pnl.to_f64()), NONE);
        let on_cost = (cost > Usdc::ZERO).then(|| total.to_f64() / cost.to_f64());
        self.return_on_cost = self.because("return_on_cost", on_cost, NONE);
        let factor = (lost < Usdc::ZERO).then(|| won.to_f64() / -lost.to_f64());
        let no_loss = if net.is_empty() {
            NONE
        } else {
            "no trade lost money"
        };
        self.profit_factor = self.because("profit_factor", factor, no_loss);
        let count = self.total_trades;
        let rate = (count > 0).then(|| self.winning_trades as f64 / count as f64);
        self.win_rate = self.because("win_rate", rate, NONE);
        self.expectancy = self.because("expectancy", per(total, count), NONE);
        let no_win = if net.is_empty() {
            NONE
        } else {
            "no trade made money"
        };
        let win = per(won, self.winning_trades);
        self.average_win = self.because("average_win", win, no_win);
        let loss = per(lost, self.losing_trades);
        self.average_loss = self.because("average_loss", loss, no_loss);
        let payoff = win.zip(loss).map(|(win, loss)| win / -loss);
        let why = if win.is_none() { no_win } else { no_loss };
        self.payoff_ratio = self.because("payoff_ratio", payoff, why);
        self.max_consecutive_losses = longest_run(&net);
        let held: f64 = trades
            .iter()
            .map(|trade| trade.closed_at.since(trade.opened_at) as f64)
            .sum();
        let hours = (count > 0).then(|| held / count as f64 / HOUR as f64);
        self.average_holding_hours = self.because("average_holding_hours", hours, NONE);
    }

    pub(super) fn measure_activity(&mut self, activity: &Activity) {
        const NO_TIME: &str = "no time passed";
        const NO_FILL: &str = "nothing was traded";
        self.fees = activity.fees.to_f64();
        self.volume = activity.volume.to_f64();
        let time = activity.time as f64;
        let timed = |sum: f64| (time > 0.0).then(|| sum / time);
        self.exposure = self.because("exposure", timed(activity.exposed as f64), NO_TIME);
        self.capital_utilisation =
            self.because("capital_utilisation", timed(activity.used_time), NO_TIME);
        let turnover = timed(activity.equity_time)
            .filter(|equity| *equity > 0.0)
            .map(|equity| self.volume / equity);
        self.turnover = self.because("turnover", turnover, NO_TIME);
        let traded = activity.volume > Usdc::ZERO;
        let maker = traded.then(|| activity.maker_volume.to_f64() / self.volume);
        self.maker_share = self.because("maker_share", maker, NO_FILL);
        let why = if traded {
            "no fill took from a book that had both sides when its order was decided on"
        } else {
            NO_FILL
        };
        let measured = activity.measured_fills > 0;
        let mid = measured.then_some(activity.from_mid);
        self.slippage_paid = self.because("slippage_paid", mid, why);
        let best = measured.then_some(activity.from_best);
        self.slippage_from_best = self.because("slippage_from_best", best, why);
    }
}

fn longest_run(net: &[Usdc]) -> u64 {
    let (mut longest, mut run) = (0, 0);
    for pnl in net {
        run = if *pnl < Usdc::ZERO { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

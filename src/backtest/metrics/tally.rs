//! The same measures for a part of a run: a strategy, a category, a market.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Fill, Usdc};

use super::scores::{Forecast, Scores};
use super::trades::{ClosedTrade, DecisionBook, slippage};

/// One line of a table by strategy, category or market.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupRow {
    /// What the line is about: a strategy, a category, or UNTRUSTED text, the question of a market.
    pub name: String,
    /// Closed trades.
    pub trades: u64,
    /// Of those, made money after fees, as a fraction; null without trades.
    pub win_rate: Option<f64>,
    /// Money made / money lost by closed trades, after fees; null without losses.
    pub profit_factor: Option<f64>,
    /// Result of closed trades after fees, pUSD.
    pub pnl: f64,
    /// Value less cost and fees of positions open at the end, pUSD.
    pub open_pnl: f64,
    /// pUSD bought and sold.
    pub volume: f64,
    /// Fees, pUSD.
    pub fees: f64,
    /// What taking fills cost against the middle of the book, pUSD; null when not known.
    pub slippage_paid: Option<f64>,
    /// Fair prices acted upon whose market has resolved.
    pub forecasts: u64,
    /// Their mean Brier score.
    pub brier_score: Option<f64>,
    /// Brier score of the market's prices less theirs.
    pub brier_advantage: Option<f64>,
}

impl GroupRow {
    /// Result of closed trades and open positions together, pUSD.
    #[must_use]
    pub fn result(&self) -> f64 {
        self.pnl + self.open_pnl
    }
}

/// Sums that a [`GroupRow`] is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    trades: u64,
    winners: u64,
    won: Usdc,
    lost: Usdc,
    open: Usdc,
    volume: Usdc,
    fees: Usdc,
    measured: bool,
    from_mid: f64,
    scores: Scores,
}

impl Tally {
    /// Counts a fill.
    pub fn fill(&mut self, fill: &Fill, book: Option<DecisionBook>) {
        self.volume = self.volume.plus(fill.notional);
        self.fees = self.fees.plus(fill.fee);
        if let Some((from_mid, _)) = slippage(fill, book) {
            self.measured = true;
            self.from_mid += from_mid;
        }
    }

    /// Counts a closed trade.
    pub fn close(&mut self, trade: &ClosedTrade) {
        let net = trade.pnl_net();
        self.trades += 1;
        if net > Usdc::ZERO {
            self.winners += 1;
            self.won = self.won.plus(net);
        } else {
            self.lost = self.lost.plus(net);
        }
    }

    /// Counts a position that is open at the end: value less cost and fees.
    pub fn open(&mut self, pnl: Usdc) {
        self.open = self.open.plus(pnl);
    }

    /// Counts a fair price acted upon.
    pub fn forecast(&mut self, forecast: &Forecast) {
        self.scores.add(forecast);
    }

    /// Result of closed trades after fees, pUSD.
    #[must_use]
    pub fn closed_pnl(&self) -> Usdc {
        self.won.plus(self.lost)
    }

    /// Result of all, pUSD.
    #[must_use]
    pub fn result(&self) -> Usdc {
        self.closed_pnl().plus(self.open)
    }

    /// As a line.
    #[must_use]
    pub fn row(&self, name: &str) -> GroupRow {
        let losses = self.lost.to_f64();
        GroupRow {
            name: name.to_owned(),
            trades: self.trades,
            win_rate: (self.trades > 0).then(|| self.winners as f64 / self.trades as f64),
            profit_factor: (losses < 0.0).then(|| self.won.to_f64() / -losses),
            pnl: self.closed_pnl().to_f64(),
            open_pnl: self.open.to_f64(),
            volume: self.volume.to_f64(),
            fees: self.fees.to_f64(),
            slippage_paid: self.measured.then_some(self.from_mid),
            forecasts: self.scores.count,
            brier_score: self.scores.brier(),
            brier_advantage: self.scores.advantage(),
        }
    }
}

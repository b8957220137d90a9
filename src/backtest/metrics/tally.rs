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
    /// Id of the market, in a table by market.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Closed trades.
    pub trades: u64,
    /// Of those, made money after fees, as a fraction; null without trades.
    pub win_rate: Option<f64>,
    /// Money made / money lost by closed trades, after fees; null without losses.
    pub profit_factor: Option<f64>,
    /// Mean result of a closed trade after fees, pUSD; null without trades.
    pub expectancy: Option<f64>,
    /// Mean of those that made money, pUSD; null without one.
    pub average_win: Option<f64>,
    /// Mean of those that made none, pUSD, not above 0; null without one.
    pub average_loss: Option<f64>,
    /// Best closed trade after fees, pUSD; null without trades.
    pub best: Option<f64>,
    /// Worst closed trade after fees, pUSD; null without trades.
    pub worst: Option<f64>,
    /// Mean time from purchase to sale or settlement, hours; null without trades.
    pub average_holding_hours: Option<f64>,
    /// Share of fills by volume that rested, as a fraction; null without fills.
    pub maker_share: Option<f64>,
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
    /// Their mean logarithmic score.
    pub log_score: Option<f64>,
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
    best: Option<Usdc>,
    worst: Option<Usdc>,
    held_ms: f64,
    open: Usdc,
    volume: Usdc,
    rested: Usdc,
    fees: Usdc,
    measured: bool,
    from_mid: f64,
    scores: Scores,
}

impl Tally {
    /// Counts a fill.
    pub fn fill(&mut self, fill: &Fill, book: Option<DecisionBook>) {
        self.volume = self.volume.plus(fill.notional);
        if fill.maker {
            self.rested = self.rested.plus(fill.notional);
        }
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
        self.held_ms += trade.closed_at.since(trade.opened_at) as f64;
        self.best = Some(self.best.map_or(net, |best| best.max(net)));
        self.worst = Some(self.worst.map_or(net, |worst| worst.min(net)));
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
        let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        let volume = self.volume.to_f64();
        GroupRow {
            name: name.to_owned(),
            id: None,
            expectancy: mean(self.closed_pnl().to_f64(), self.trades),
            average_win: mean(self.won.to_f64(), self.winners),
            average_loss: mean(losses, self.trades - self.winners),
            best: self.best.map(Usdc::to_f64),
            worst: self.worst.map(Usdc::to_f64),
            average_holding_hours: mean(self.held_ms / 3_600_000.0, self.trades),
            maker_share: (volume > 0.0).then(|| self.rested.to_f64() / volume),
            log_score: self.scores.log(),
            trades: self.trades,
            win_rate: (self.trades > 0).then(|| self.winners as f64 / self.trades as f64),
            profit_factor: (losses < 0.0).then(|| self.won.to_f64() / -losses),
            pnl: self.closed_pnl().to_f64(),
            open_pnl: self.open.to_f64(),
            volume,
            fees: self.fees.to_f64(),
            slippage_paid: self.measured.then_some(self.from_mid),
            forecasts: self.scores.count,
            brier_score: self.scores.brier(),
            brier_advantage: self.scores.advantage(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_line_adds_up_its_trades() {
        let trade = |gross: i32, fees: i32, hours: i64| ClosedTrade {
            pnl_gross: Usdc::whole(gross),
            fees: Usdc::whole(fees),
            opened_at: Timestamp::from_secs(1_000),
            closed_at: Timestamp::from_secs(1_000 + hours * 3_600),
            cost: Usdc::whole(50),
        };
        let mut tally = Tally::default();
        // After fees 9, −4 and 0: the last one has made nothing.
        for one in [trade(10, 1, 1), trade(-3, 1, 2), trade(2, 2, 6)] {
            tally.close(&one);
        }
        let row = tally.row("a");
        assert_eq!((row.trades, row.pnl), (3, 5.0));
        assert_eq!(row.expectancy, Some(5.0 / 3.0));
        assert_eq!((row.average_win, row.average_loss), (Some(9.0), Some(-2.0)));
        assert_eq!((row.best, row.worst), (Some(9.0), Some(-4.0)));
        // (1 + 2 + 6) / 3
        assert_eq!(row.average_holding_hours, Some(3.0));
        assert_eq!(row.maker_share, None, "nothing was filled");
        let none = Tally::default().row("b");
        assert_eq!(
            (none.expectancy, none.average_loss, none.best),
            (None, None, None)
        );
    }
}

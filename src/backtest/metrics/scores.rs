//! How good the fair prices acted upon were, on markets that have resolved.

use crate::backtest::stats;
use crate::domain::{MarketId, Price, Timestamp, TokenId};
use crate::trading::estimates::score;

use super::Metrics;

/// A fair price that an order was placed on, and filled.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// When the order was decided on.
    pub at: Timestamp,
    /// Who stated it.
    pub strategy: String,
    /// The market.
    pub market: MarketId,
    /// Its category, where known.
    pub category: Option<String>,
    /// The token that the price is of.
    pub token: TokenId,
    /// What the strategy thought it worth, 0–1.
    pub fair: f64,
    /// Middle of its book then, 0–1; `None` when a side was missing.
    pub market_price: Option<f64>,
    /// The edge that was claimed, pUSD per share after fee.
    pub edge: f64,
    /// What a share paid, once the market has resolved.
    pub payout: Option<Price>,
}

/// Sums of scores.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Scores {
    /// Forecasts whose market has resolved.
    pub count: u64,
    brier: f64,
    log: f64,
    /// Of those, with a market price.
    compared: u64,
    advantage: f64,
}

impl Scores {
    /// Counts a forecast, if its market has resolved.
    pub fn add(&mut self, forecast: &Forecast) {
        let Some(payout) = forecast.payout else {
            return;
        };
        let own = score::brier(forecast.fair, payout);
        self.count += 1;
        self.brier += own;
        self.log += score::log_score(forecast.fair, payout);
        if let Some(price) = forecast.market_price {
            self.compared += 1;
            self.advantage += score::brier(price, payout) - own;
        }
    }

    fn per(sum: f64, count: u64) -> Option<f64> {
        (count > 0).then(|| sum / count as f64)
    }

    /// Mean Brier score.
    #[must_use]
    pub fn brier(&self) -> Option<f64> {
        Self::per(self.brier, self.count)
    }

    /// Mean log score, nats.
    #[must_use]
    pub fn log(&self) -> Option<f64> {
        Self::per(self.log, self.count)
    }

    /// Mean Brier score of the market's price less that of the fair price.
    #[must_use]
    pub fn advantage(&self) -> Option<f64> {
        Self::per(self.advantage, self.compared)
    }
}

impl Metrics {
    pub(super) fn measure_forecasts(&mut self, forecasts: &[Forecast]) {
        let mut scores = Scores::default();
        for forecast in forecasts {
            scores.add(forecast);
        }
        let why = if forecasts.is_empty() {
            "no fair price was acted upon"
        } else {
            "no market whose fair price was acted upon has resolved"
        };
        self.forecasts = scores.count;
        self.brier_score = self.because("brier_score", scores.brier(), why);
        self.log_score = self.because("log_score", scores.log(), why);
        let unknown = "the market's price is not known for any of them";
        let reason = if scores.count > 0 { unknown } else { why };
        self.brier_advantage = self.because("brier_advantage", scores.advantage(), reason);
        let points: Vec<(f64, f64)> = forecasts
            .iter()
            .filter_map(|one| Some((stats::logit(one.fair), one.payout?.to_f64())))
            .collect();
        let slope = stats::logistic(&points);
        let reason = match &slope {
            _ if scores.count == 0 => why,
            Ok(_) => "",
            Err(reason) => reason,
        };
        let slope = slope.ok().map(|line| line.slope);
        self.calibration_slope = self.because("calibration_slope", slope, reason);
    }
}

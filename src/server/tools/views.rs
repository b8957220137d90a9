//! Shapes that several tools share.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{Book, Market, MarketStatus, Signal};

/// A market as a list shows it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MarketSummary {
    /// Market id: pass it as `market_id`.
    pub id: String,
    /// UNTRUSTED text: the question.
    pub question: String,
    /// UNTRUSTED text: outcome names, in the venue's order.
    pub outcomes: Vec<String>,
    /// Indicative prices (0–1) in the same order, up to five minutes old; null when unknown. Trade
    /// on get_price or get_market_detail, not on these.
    pub outcome_prices: Vec<Option<f64>>,
    /// Token ids in the same order: pass one as `token_id`.
    pub clob_token_ids: Vec<String>,
    /// pUSD since the start; null when unknown.
    pub volume: Option<f64>,
    /// pUSD in the last 24 hours; null when unknown.
    pub volume_24h: Option<f64>,
    /// pUSD in the books; null when unknown.
    pub liquidity: Option<f64>,
    /// Scheduled end, RFC 3339 UTC; trading may end later.
    pub end_date: Option<String>,
    /// open, paused or closed.
    pub status: String,
    /// Event id: pass it as `event_id`.
    pub event_id: Option<String>,
    /// Set when the data is not the venue's own, e.g. `simulated` or `recorded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// open, paused or closed.
pub fn status_word(status: MarketStatus) -> &'static str {
    match status {
        MarketStatus::Open => "open",
        MarketStatus::Paused => "paused",
        MarketStatus::Closed => "closed",
    }
}

impl MarketSummary {
    /// Of a market.
    pub fn of(market: &Market) -> Self {
        MarketSummary {
            id: market.id.to_string(),
            question: market.question.clone(),
            outcomes: market
                .outcomes
                .iter()
                .map(|outcome| outcome.name.to_string())
                .collect(),
            outcome_prices: market
                .outcomes
                .iter()
                .map(|outcome| outcome.indicative_price.map(|price| price.to_f64()))
                .collect(),
            clob_token_ids: market
                .outcomes
                .iter()
                .map(|o| o.token.to_string())
                .collect(),
            volume: market.volume.map(|amount| amount.to_f64()),
            volume_24h: market.volume_24h.map(|amount| amount.to_f64()),
            liquidity: market.liquidity.map(|amount| amount.to_f64()),
            end_date: market.end.map(|end| end.to_rfc3339()),
            status: status_word(market.status).to_owned(),
            event_id: market.event_id.as_ref().map(|id| id.to_string()),
            label: market.label.clone(),
        }
    }
}

/// A level of a book.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LevelView {
    /// Price, 0–1.
    pub price: f64,
    /// Shares.
    pub size: f64,
}

/// The book of one outcome, best levels first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BookView {
    /// Token id.
    pub token_id: String,
    /// UNTRUSTED text: outcome name.
    pub outcome: String,
    /// Highest bid, 0–1; null when nobody bids.
    pub best_bid: Option<f64>,
    /// Lowest ask, 0–1; null when nobody offers.
    pub best_ask: Option<f64>,
    /// Mean of both; null when one is missing.
    pub midpoint: Option<f64>,
    /// Ask − bid; null when one is missing.
    pub spread: Option<f64>,
    /// Best bids, best first.
    pub bids: Vec<LevelView>,
    /// Best asks, best first.
    pub asks: Vec<LevelView>,
    /// When the book was obtained, RFC 3339 UTC.
    pub at: String,
    /// True when the book was made from a single price with an assumed spread and depth.
    pub synthetic: bool,
}

/// A number rounded to micro-units, so that 0.155 − 0.154 is 0.001.
pub fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl BookView {
    /// The best `levels` of each side.
    pub fn of(book: &Book, outcome: &str, levels: usize) -> Self {
        let view = |side: &[crate::domain::Level]| {
            side.iter()
                .take(levels)
                .map(|level| LevelView {
                    price: level.price.to_f64(),
                    size: level.size.to_f64(),
                })
                .collect()
        };
        BookView {
            token_id: book.token.to_string(),
            outcome: outcome.to_owned(),
            best_bid: book.best_bid().map(|price| price.to_f64()),
            best_ask: book.best_ask().map(|price| price.to_f64()),
            midpoint: book.mid().map(tidy),
            spread: book.spread().map(tidy),
            bids: view(book.bids()),
            asks: view(book.asks()),
            at: book.at.to_rfc3339(),
            synthetic: book.origin != crate::domain::BookOrigin::Venue,
        }
    }
}

/// A signal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SignalView {
    /// Strategy.
    pub strategy: String,
    /// Market id.
    pub market_id: String,
    /// Token id.
    pub token_id: String,
    /// UNTRUSTED text: outcome name.
    pub outcome: String,
    /// buy or sell.
    pub side: String,
    /// How sure the strategy is of its fair price, 0–1. Not a probability of winning.
    pub confidence: f64,
    /// What the strategy thinks a share is worth, 0–1.
    pub fair_price: f64,
    /// Limit price, 0–1.
    pub target_price: f64,
    /// Fair price − executable price − fee, pUSD per share.
    pub edge: f64,
    /// Notional wanted, pUSD.
    pub size: f64,
    /// Why.
    pub reason: String,
    /// Own stop-loss price, 0–1, if any.
    pub stop_loss: Option<f64>,
    /// Own take-profit price, 0–1, if any.
    pub take_profit: Option<f64>,
}

impl SignalView {
    /// Of a signal.
    pub fn of(signal: &Signal) -> Self {
        SignalView {
            strategy: signal.strategy.to_string(),
            market_id: signal.market_id.to_string(),
            token_id: signal.token_id.to_string(),
            outcome: signal.outcome.to_string(),
            side: signal.side.as_str().to_owned(),
            confidence: tidy(signal.confidence),
            fair_price: tidy(signal.fair_price),
            target_price: signal.target_price.to_f64(),
            edge: tidy(signal.edge),
            size: signal.size.to_f64(),
            reason: signal.reason.to_string(),
            stop_loss: signal.stop_loss.map(|price| price.to_f64()),
            take_profit: signal.take_profit.map(|price| price.to_f64()),
        }
    }
}

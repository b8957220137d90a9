//! Stop-losses, take-profits and trailing stops.

use serde::{Deserialize, Serialize};

use super::ids::{MarketId, StrategyName, TokenId};
use super::money::{MICRO, Price, Shares};
use super::time::Timestamp;

/// What sets the order off. All compare with the best bid, which is what a sale would get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionalKind {
    /// Bid at or below the trigger.
    StopLoss,
    /// Bid at or above the trigger.
    TakeProfit,
    /// Bid at or below watermark × (1 − trail), the watermark rising with the bid.
    TrailingStop,
}

impl ConditionalKind {
    /// `stop_loss`, `take_profit` or `trailing_stop`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ConditionalKind::StopLoss => "stop_loss",
            ConditionalKind::TakeProfit => "take_profit",
            ConditionalKind::TrailingStop => "trailing_stop",
        }
    }
}

/// Where a conditional order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionalStatus {
    /// Waiting.
    Active,
    /// Has fired and sold.
    Triggered,
    /// Withdrawn, or its position is gone.
    Cancelled,
}

impl ConditionalStatus {
    /// `active`, `triggered` or `cancelled`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ConditionalStatus::Active => "active",
            ConditionalStatus::Triggered => "triggered",
            ConditionalStatus::Cancelled => "cancelled",
        }
    }
}

/// An order to sell shares of a position once the bid reaches a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionalOrder {
    /// Number in this ledger, from 1.
    pub id: u64,
    /// Token held.
    pub token_id: TokenId,
    /// Its market.
    pub market_id: MarketId,
    /// What sets it off.
    pub kind: ConditionalKind,
    /// Trigger price; for a trailing stop the level the stop started from.
    pub trigger_price: Price,
    /// Shares to sell, never more than are held when it fires.
    pub shares: Shares,
    /// Highest bid seen (trailing stop only).
    pub high_watermark: Option<Price>,
    /// Distance below the watermark as a fraction (trailing stop only).
    pub trail_percent: Option<Price>,
    /// Who created it: a strategy or `mcp_manual`.
    pub parent_strategy: StrategyName,
    /// One cancels other: when an order of the group has sold, the others of it are withdrawn. The
    /// number of the group is that of its first order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u64>,
    /// Why, in one line.
    pub reason: String,
    /// When it was created.
    pub created_at: Timestamp,
}

impl ConditionalOrder {
    /// The bid at which it fires now; for a trailing stop floored to micro-units.
    #[must_use]
    pub fn effective_trigger(&self) -> Price {
        match (self.kind, self.high_watermark, self.trail_percent) {
            (ConditionalKind::TrailingStop, Some(watermark), Some(trail)) => {
                let kept = u64::from(trail.complement().micros());
                let micros = u64::from(watermark.micros()) * kept / MICRO.unsigned_abs();
                u32::try_from(micros)
                    .ok()
                    .and_then(|m| Price::from_micros(m).ok())
                    .unwrap_or(Price::ZERO)
            }
            _ => self.trigger_price,
        }
    }

    /// True when a sale at `bid` is what this order waits for.
    #[must_use]
    pub fn fires_at(&self, bid: Price) -> bool {
        match self.kind {
            ConditionalKind::StopLoss | ConditionalKind::TrailingStop => {
                bid <= self.effective_trigger()
            }
            ConditionalKind::TakeProfit => bid >= self.trigger_price,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(kind: ConditionalKind, trigger: &str) -> ConditionalOrder {
        ConditionalOrder {
            id: 1,
            token_id: "1".into(),
            market_id: "m".into(),
            kind,
            trigger_price: Price::parse(trigger).unwrap(),
            shares: Shares::whole(10),
            high_watermark: None,
            trail_percent: None,
            parent_strategy: "test".into(),
            group: None,
            reason: String::new(),
            created_at: Timestamp::default(),
        }
    }

    fn p(text: &str) -> Price {
        Price::parse(text).unwrap()
    }

    #[test]
    fn triggers_are_met_at_the_price_itself() {
        assert!(order(ConditionalKind::StopLoss, "0.40").fires_at(p("0.40")));
        assert!(!order(ConditionalKind::StopLoss, "0.40").fires_at(p("0.41")));
        assert!(order(ConditionalKind::TakeProfit, "0.60").fires_at(p("0.60")));
        assert!(!order(ConditionalKind::TakeProfit, "0.60").fires_at(p("0.59")));
    }

    #[test]
    fn a_trailing_stop_follows_its_watermark() {
        let mut trailing = order(ConditionalKind::TrailingStop, "0.50");
        trailing.trail_percent = Some(p("0.1"));
        trailing.high_watermark = Some(p("0.60"));
        assert_eq!(trailing.effective_trigger(), p("0.54"));
        assert!(trailing.fires_at(p("0.54")));
        assert!(!trailing.fires_at(p("0.55")));
    }
}

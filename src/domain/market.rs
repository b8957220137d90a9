//! Markets, events and resolutions as the rest of the program sees them, whatever the source.

use serde::{Deserialize, Serialize};

use super::fee::FeeSchedule;
use super::ids::{ConditionId, EventId, MarketId, OutcomeName, TokenId};
use super::money::{Price, Shares, Usdc};
use super::time::Timestamp;

/// Which generation of the venue's contracts a market lives on; it decides which ids are its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolVersion {
    /// Conditional tokens: `clobTokenIds`.
    V1,
    /// Position manager: `positionIds`.
    V2,
}

/// What can be done with a market now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarketStatus {
    /// Trading is open and orders are accepted.
    Open,
    /// Listed, but no orders are accepted now (paused, proposed, placeholder).
    Paused,
    /// Trading is closed. Not the same as resolved.
    Closed,
}

/// One outcome and the token that pays when it happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Untrusted name: `Yes`, `No`, `Up`, a team.
    pub name: OutcomeName,
    /// Its token.
    pub token: TokenId,
    /// True when the source gave no token id and this one was made up (recordings); such a token
    /// can be traded on paper only.
    pub synthetic: bool,
    /// Price that the metadata gave, up to five minutes old; never traded on. `None` if absent.
    pub indicative_price: Option<Price>,
}

/// One market: a question with two (rarely more) outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Market {
    /// Gamma's id, or the recording's.
    pub id: MarketId,
    /// On-chain condition, where known.
    pub condition_id: Option<ConditionId>,
    /// URL slug, where known.
    pub slug: Option<String>,
    /// Untrusted text.
    pub question: String,
    /// Untrusted text: the rules.
    pub description: Option<String>,
    /// The event that groups this market with others.
    pub event_id: Option<EventId>,
    /// Category or first tag, where known.
    pub category: Option<String>,
    /// Outcomes in the venue's order.
    pub outcomes: Vec<Outcome>,
    /// Smallest price step.
    pub tick: Price,
    /// Smallest order the venue rests, in shares.
    pub min_size: Shares,
    /// Taker fee terms.
    pub fee: FeeSchedule,
    /// True when the market is one of mutually exclusive outcomes of a neg-risk event.
    pub neg_risk: bool,
    /// True for placeholders and the "Other" of an augmented neg-risk event, whose meaning can
    /// change; never part of an arbitrage.
    pub placeholder: bool,
    /// Volume since the start, pUSD. `None` when unknown; never 0 for unknown.
    pub volume: Option<Usdc>,
    /// Volume of the last 24 hours, pUSD.
    pub volume_24h: Option<Usdc>,
    /// Liquidity as the venue states it, pUSD.
    pub liquidity: Option<Usdc>,
    /// When it started.
    pub start: Option<Timestamp>,
    /// Scheduled end: not a trading cutoff, may be in the past of an open market.
    pub end: Option<Timestamp>,
    /// What can be done with it.
    pub status: MarketStatus,
    /// Contract generation.
    pub version: ProtocolVersion,
    /// A note where the data is not the venue's own: `simulated`, `planted: lagging`.
    pub label: Option<String>,
}

impl Market {
    /// True when orders are accepted and the outcomes are exactly two.
    #[must_use]
    pub fn is_tradable(&self) -> bool {
        self.status == MarketStatus::Open && self.outcomes.len() == 2
    }

    /// The outcome that `token` belongs to, with its position.
    #[must_use]
    pub fn outcome_of(&self, token: &TokenId) -> Option<(usize, &Outcome)> {
        self.outcomes
            .iter()
            .enumerate()
            .find(|(_, outcome)| outcome.token == *token)
    }

    /// The outcome with this name, ignoring case, with its position.
    #[must_use]
    pub fn outcome_named(&self, name: &str) -> Option<(usize, &Outcome)> {
        self.outcomes
            .iter()
            .enumerate()
            .find(|(_, outcome)| outcome.name.eq_ignore_ascii_case(name.trim()))
    }

    /// The other outcome of a two-outcome market.
    #[must_use]
    pub fn opposite_of(&self, token: &TokenId) -> Option<&Outcome> {
        if self.outcomes.len() != 2 {
            return None;
        }
        self.outcomes.iter().find(|outcome| outcome.token != *token)
    }
}

/// A group of markets about one happening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Gamma's event id, or the recording's key.
    pub id: EventId,
    /// URL slug, where known.
    pub slug: Option<String>,
    /// Untrusted text.
    pub title: String,
    /// Untrusted text.
    pub description: Option<String>,
    /// True when trading on the whole event is over.
    pub closed: bool,
    /// True when its markets are mutually exclusive outcomes of one question.
    pub neg_risk: bool,
    /// True when outcomes may be added later, so the listed ones are not known to be exhaustive.
    pub augmented: bool,
    /// Volume since the start, pUSD.
    pub volume: Option<Usdc>,
    /// Volume of the last 24 hours, pUSD.
    pub volume_24h: Option<Usdc>,
    /// Liquidity, pUSD.
    pub liquidity: Option<Usdc>,
    /// Start.
    pub start: Option<Timestamp>,
    /// Scheduled end.
    pub end: Option<Timestamp>,
    /// Its markets, closed ones included.
    pub markets: Vec<Market>,
}

/// How a market ended: what one share of each outcome pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The market.
    pub market_id: MarketId,
    /// Payout per share, by outcome: token and 0, 0.5 or 1 pUSD.
    pub payouts: Vec<(TokenId, Price)>,
    /// When the venue resolved it; `None` when the evidence does not say.
    pub resolved_at: Option<Timestamp>,
    /// What told us, e.g. `data /v2/resolutions`, `resolutions.csv (official)`.
    pub evidence: String,
}

/// How far the source is with a market that has not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingResolution {
    /// The market.
    pub market_id: MarketId,
    /// In the source's own word, cleaned: `proposed`, `disputed`, …
    pub state: String,
    /// When it was last said so, by the clock of the source.
    pub seen_at: Timestamp,
    /// What told us.
    pub evidence: String,
}

impl Resolution {
    /// What one share of `token` pays, `None` when the resolution does not name it.
    #[must_use]
    pub fn payout_of(&self, token: &TokenId) -> Option<Price> {
        self.payouts
            .iter()
            .find(|(paid, _)| paid == token)
            .map(|(_, payout)| *payout)
    }
}

//! What a simulated market and event are: the parts that do not move, and how far they have come.

use std::ops::Range;

use super::history::History;
use super::plant::Plant;
use super::process::Process;
use crate::domain::{FeeSchedule, Timestamp};
pub(in crate::sandbox) use crate::sandbox::exchange::OutcomeSide;

/// Kind of question; it decides fee and tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Category {
    Crypto,
    Sports,
    Politics,
    Geopolitics,
    Culture,
    Economics,
}

/// Fee terms as Gamma states them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::sandbox) struct FeeTerms {
    /// Exact terms.
    pub schedule: FeeSchedule,
    /// Gamma's name of the schedule; `None` where there is no fee.
    pub name: Option<&'static str>,
    /// Share of the fee that makers get back.
    pub rebate: f64,
}

/// Which contract generation a market lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Version {
    V1,
    V2,
}

impl Version {
    pub(in crate::sandbox) fn name(self) -> &'static str {
        match self {
            Version::V1 => "v1",
            Version::V2 => "v2",
        }
    }
}

/// How far a market has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Phase {
    /// Trading.
    Open,
    /// Trading has ended, an outcome is proposed, nothing is paid yet.
    Proposed,
    /// Paid out.
    Resolved,
}

/// A group of markets about one happening, with the process that moves them.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct SimEvent {
    pub id: u64,
    pub slug: String,
    pub title: String,
    pub category: Category,
    pub version: Version,
    /// When trading began.
    pub opened: Timestamp,
    /// When trading ends and the outcome is drawn.
    pub end: Timestamp,
    /// When the payouts are final.
    pub resolves: Timestamp,
    /// Which markets, as indices into the world's list.
    pub markets: Range<usize>,
    /// Base of the question ids; also the neg-risk market id of a neg-risk event.
    pub question_base: String,
    pub neg_risk: bool,
    /// Latent probabilities: of Yes and No (and of an even split) for a single market, of each
    /// market's Yes for a neg-risk event.
    pub process: Process,
    /// Which entry of the process came true, once trading has ended.
    pub drawn: Option<usize>,
    /// Up to where the process has been advanced.
    pub at: Timestamp,
}

/// One market.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct SimMarket {
    /// Place in the world's list: the key of all its noise.
    pub index: usize,
    /// Place of its event.
    pub event: usize,
    /// Place within the event.
    pub member: usize,
    pub id: u64,
    pub slug: String,
    pub question: String,
    /// What tells it from its siblings; the title of a lone market is empty as on the venue.
    pub group_title: String,
    pub description: String,
    pub outcomes: [&'static str; 2],
    pub tokens: [String; 2],
    /// A v1 market may list position ids too, with other numbers, which are not its token ids.
    pub decoy_positions: Option<[String; 2]>,
    pub condition_id: String,
    pub question_id: String,
    pub fee: FeeTerms,
    /// Price step in micro-units.
    pub tick: u32,
    /// Half of the fair spread, in price.
    pub half_spread: f64,
    /// pUSD traded before the start of the history.
    pub volume_before: f64,
    /// pUSD traded per day.
    pub volume_24h: f64,
    /// pUSD.
    pub liquidity: f64,
    pub plant: Plant,
    pub history: History,
}

impl SimMarket {
    /// How many price steps make 1.
    pub(in crate::sandbox) fn ticks(&self) -> u32 {
        1_000_000 / self.tick.max(1)
    }

    /// Name of an outcome.
    pub(in crate::sandbox) fn outcome(&self, side: OutcomeSide) -> &'static str {
        let [first, second] = self.outcomes;
        match side {
            OutcomeSide::First => first,
            OutcomeSide::Second => second,
        }
    }
}

impl SimEvent {
    pub(in crate::sandbox) fn phase(&self, now: Timestamp) -> Phase {
        if now < self.end {
            Phase::Open
        } else if now < self.resolves {
            Phase::Proposed
        } else {
            Phase::Resolved
        }
    }

    /// Latent price of the first outcome of the market at place `member`: what it pays on average.
    pub(in crate::sandbox) fn latent(&self, member: usize) -> f64 {
        if self.neg_risk {
            self.process.probability(member)
        } else {
            self.process.probability(0) + 0.5 * self.process.probability(2)
        }
    }

    /// What a share of each outcome of the market at place `member` pays, in micro-pUSD, once
    /// trading has ended.
    pub(in crate::sandbox) fn payouts(&self, member: usize) -> Option<[u32; 2]> {
        let drawn = self.drawn?;
        if !self.neg_risk && drawn == 2 {
            return Some([500_000, 500_000]);
        }
        let wins = if self.neg_risk {
            drawn == member
        } else {
            drawn == 0
        };
        Some(if wins { [1_000_000, 0] } else { [0, 1_000_000] })
    }
}

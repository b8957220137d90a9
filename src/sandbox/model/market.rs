//! What a simulated market and event are: the parts that do not move, and how far they have come.

use std::ops::Range;

use super::crowd::Crowd;
use super::history::History;
use super::lifecycle::{Phase, Schedule};
use super::plant::Plant;
use super::process::Process;
use super::round4;
use super::tape::Tape;
use crate::domain::{FeeSchedule, Timestamp};
use crate::sandbox::exchange::MarketIdx;
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

/// How the markets of an event hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Shape {
    /// One market.
    Lone,
    /// Exactly one market pays Yes.
    NegRisk,
    /// "By June, by July, by August": once one pays Yes, so do all later ones.
    Ladder,
}

/// A group of markets about one happening, with the process that moves them.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct SimEvent {
    pub id: u64,
    pub slug: String,
    pub title: String,
    pub category: Category,
    pub version: Version,
    pub shape: Shape,
    /// When trading began.
    pub opened: Timestamp,
    /// When trading in the last market is announced to end.
    pub end: Timestamp,
    /// When trading in the last market ends.
    pub closes: Timestamp,
    /// Which markets, as indices into the world's list.
    pub markets: Range<usize>,
    /// Base of the question ids; also the neg-risk market id of a neg-risk event.
    pub question_base: String,
    pub neg_risk: bool,
    /// Latent probabilities: of Yes and No (and of an even split) for a single market, of each
    /// market's Yes for a neg-risk event, of each stretch between two dates (and of never) for a
    /// ladder.
    pub process: Process,
    /// Up to where the process has been advanced.
    pub at: Timestamp,
    /// Up to where the crowd's orders have been simulated.
    pub flow_at: Timestamp,
    /// When the event that follows this one opens.
    pub heir_at: Option<Timestamp>,
}

/// One market.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct SimMarket {
    /// Place in the world's list and in the exchange: the key of all its noise.
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
    /// Price step in micro-units; it becomes finer near the ends.
    pub tick: u32,
    /// Half of the spread that the first maker wants, in price.
    pub half_spread: f64,
    /// pUSD traded before the start of the history.
    pub volume_before: f64,
    /// pUSD that the crowd trades per day, on average.
    pub daily_volume: f64,
    /// pUSD.
    pub liquidity: f64,
    pub plant: Plant,
    pub history: History,
    pub schedule: Schedule,
    /// What a share of each outcome pays, in micro-pUSD, once trading has ended.
    pub payouts: Option<[u32; 2]>,
    /// The midpoint when it was last recorded.
    pub last_mid: f64,
    pub tape: Tape,
    pub crowd: Crowd,
    /// How many watch it.
    pub watchers: u32,
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

    /// Its key in the exchange.
    pub(in crate::sandbox) fn idx(&self) -> MarketIdx {
        // A world holds at most a few hundred thousand markets.
        MarketIdx(u32::try_from(self.index).unwrap_or(u32::MAX))
    }

    /// How far it has come.
    pub(in crate::sandbox) fn phase(&self, now: Timestamp) -> Phase {
        self.schedule.phase(now)
    }

    /// True while it trades.
    pub(in crate::sandbox) fn is_open(&self, now: Timestamp) -> bool {
        now < self.schedule.closes
    }

    /// Price of both outcomes when the midpoint was last recorded.
    pub(in crate::sandbox) fn last_prices(&self) -> [f64; 2] {
        let first = round4(self.last_mid);
        [first, round4(1.0 - first)]
    }
}

impl SimEvent {
    /// True while any of its markets trades.
    pub(in crate::sandbox) fn is_open(&self, now: Timestamp) -> bool {
        now < self.closes
    }

    /// Latent price of the first outcome of the market at place `member`: what it pays on average.
    pub(in crate::sandbox) fn latent(&self, member: usize) -> f64 {
        match self.shape {
            Shape::Lone => self.process.probability(0) + 0.5 * self.process.probability(2),
            Shape::NegRisk => self.process.probability(member),
            Shape::Ladder => self.process.cumulative(member),
        }
    }
}

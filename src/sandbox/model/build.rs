//! Makes events and markets from plans: at the start, and later when others have ended.

use super::crowd::Crowd;
use super::history::{History, INTERVAL};
use super::market::{OutcomeSide, Shape, SimEvent, SimMarket, Version};
use super::naming;
use super::plans::{self, DAY, Plan};
use super::plant::Plant;
use super::process::{Dynamics, Process};
use super::tape::Tape;
use crate::domain::Timestamp;
use crate::sandbox::config::{SandboxConfig, SandboxError};
use crate::sandbox::noise::{Stream, stream};

/// Information that arrives from the start to the end: log-odds move by 2 ± 2 on average.
const INFORMATION: f64 = 4.0;
/// Information per day before the start.
const PAST_INFORMATION_PER_DAY: f64 = 0.03;
/// Planted markets must stay near where they were planted.
const PLANTED_INFORMATION_PER_DAY: f64 = 0.000_5;
const FIRST_MARKET_ID: u64 = 900_001;
const FIRST_EVENT_ID: u64 = 80_001;

/// Makes events and numbers them.
#[derive(Debug, Clone)]
pub(super) struct Factory {
    seed: u64,
    start: Timestamp,
    history_start: Timestamp,
    events: usize,
    markets: usize,
}

/// An event with its markets.
pub(super) type Made = (SimEvent, Vec<SimMarket>);

impl Factory {
    /// A factory whose first histories begin `history_days` before the start.
    pub(super) fn new(config: &SandboxConfig, history_days: i64) -> Self {
        // An hour at least: the books have a past, however short the histories.
        let past = (history_days * DAY).max(DAY / 24);
        let first = config.start.plus_millis(-past).millis();
        Factory {
            seed: config.seed,
            start: config.start,
            history_start: Timestamp::from_millis(first.div_euclid(INTERVAL) * INTERVAL),
            events: 0,
            markets: 0,
        }
    }

    /// The events that there are from the beginning. Errors: a fee rate that is not money.
    pub(super) fn first(&mut self, config: &SandboxConfig) -> Result<Vec<Made>, SandboxError> {
        let mut random = stream(&[self.seed, 0xB01D]);
        let mut made = Vec::new();
        if config.inefficiencies {
            let planted =
                plans::planted(&mut random, config.markets, self.start, self.history_start);
            for plan in planted {
                if self.markets + plan.markets() <= config.markets {
                    made.push(self.make(&plan, self.history_start, self.start, &mut random)?);
                }
            }
        }
        let mut group = 0;
        while self.markets < config.markets {
            let plan = plans::fair(&mut random, group, config.markets - self.markets);
            made.push(self.make(&plan, self.history_start, self.start, &mut random)?);
            group += 1;
        }
        Ok(made)
    }

    /// An event that opens at `at`, after one of the same shape and size has ended.
    pub(super) fn heir(
        &mut self,
        shape: Shape,
        size: usize,
        at: Timestamp,
    ) -> Result<Made, SandboxError> {
        let mut random = stream(&[self.seed, self.events as u64, 0x4E1A]);
        let group = random.index(1_000);
        let plan = plans::heir(&mut random, shape, size, group);
        self.make(&plan, at, at, &mut random)
    }

    /// Makes what a plan says: history from `opened`, durations from `from`.
    fn make(
        &mut self,
        plan: &Plan,
        opened: Timestamp,
        from: Timestamp,
        random: &mut Stream,
    ) -> Result<Made, SandboxError> {
        let (number, first) = (self.events, self.markets);
        let count = plan.markets();
        let id = FIRST_EVENT_ID + number as u64;
        let (title, outcomes, names) = texts(plan, random, from);
        let process = Process::new(
            plan.probabilities.clone(),
            dynamics(plan),
            stream(&[self.seed, number as u64, 0x9A7]),
        );
        let base = naming::question_base(self.seed, number);
        let mut markets = Vec::with_capacity(count);
        for member in 0..count {
            let index = first + member;
            let name = names.get(member);
            let question = match (plan.shape, name) {
                (Shape::NegRisk, Some(name)) => {
                    format!("{} ({name})?", title.trim_end_matches('?'))
                }
                (Shape::Ladder, Some(name)) => {
                    format!("{} by {name}?", title.trim_end_matches(" by...?"))
                }
                _ => title.clone(),
            };
            let end = from.plus_millis(plan.lasts(member));
            let draw = if plan.shape == Shape::Ladder {
                member
            } else {
                0
            };
            let mut fate = stream(&[self.seed, number as u64, 0xFA7E, draw as u64]);
            let market = SimMarket {
                event: number,
                member,
                group_title: name.cloned().unwrap_or_default(),
                outcomes,
                question_id: format!("{base}{member:02x}"),
                schedule: plan.schedule(end, &mut fate),
                ..self.market(plan, index, question, opened, random)?
            };
            markets.push(market);
        }
        let end = from.plus_millis(plan.longest());
        let event = SimEvent {
            id,
            slug: naming::slug(&title, id),
            title,
            category: plan.category,
            version: plan.version,
            shape: plan.shape,
            opened,
            end,
            closes: end,
            markets: first..first + count,
            question_base: format!("{base}00"),
            neg_risk: plan.shape == Shape::NegRisk,
            process,
            at: opened,
            flow_at: opened,
            heir_at: None,
        };
        self.events += 1;
        self.markets += count;
        Ok((event, markets))
    }

    fn market(
        &self,
        plan: &Plan,
        index: usize,
        question: String,
        opened: Timestamp,
        random: &mut Stream,
    ) -> Result<SimMarket, SandboxError> {
        let seed = self.seed;
        let id = FIRST_MARKET_ID + index as u64;
        let neg_risk = plan.shape == Shape::NegRisk;
        let (condition_id, tokens) = match plan.version {
            Version::V1 => naming::v1_ids(seed, index),
            Version::V2 => naming::v2_ids(seed, index, neg_risk),
        };
        let planted = plan.plant != Plant::None;
        // Heavy tails: half of the markets trade below 9,000 a day, one in fifty above 200,000.
        let daily_volume = if planted {
            random.between(150_000.0, 900_000.0)
        } else {
            (9.1 + 1.5 * random.normal()).exp()
        };
        // What trades much is quoted deep.
        let liquidity = if planted {
            random.between(25_000.0, 90_000.0)
        } else {
            (0.5 * daily_volume.ln() + 4.7 + 0.8 * random.normal()).exp()
        };
        let cents = |amount: f64| (amount * 100.0).round() / 100.0;
        // A market that opens later has no past.
        let before = if opened == self.history_start {
            cents(daily_volume * random.between(0.0, 30.0))
        } else {
            0.0
        };
        let aligned = Timestamp::from_millis(opened.millis().div_euclid(INTERVAL) * INTERVAL);
        let pace = Crowd::pace(daily_volume, plan.lasts(0), planted);
        Ok(SimMarket {
            index,
            event: 0,
            member: 0,
            id,
            slug: naming::slug(&question, id),
            group_title: String::new(),
            description: describe(plan),
            question,
            outcomes: ["Yes", "No"],
            tokens,
            decoy_positions: (plan.version == Version::V1 && !neg_risk && self.events % 5 == 4)
                .then(|| naming::v2_ids(seed ^ 0xDEC0, index, false).1),
            condition_id,
            question_id: String::new(),
            fee: plan.category.fee()?,
            tick: plan.tick,
            half_spread: plan.half_spread,
            volume_before: before,
            daily_volume: cents(daily_volume),
            liquidity: cents(liquidity),
            plant: plan.plant,
            history: History::new(aligned.plus_millis(INTERVAL)),
            schedule: super::lifecycle::Schedule::plain(opened),
            payouts: None,
            last_mid: 0.5,
            tape: Tape::default(),
            crowd: Crowd::new(stream(&[seed, index as u64, 0xC20D]), pace, planted),
            watchers: 0,
        })
    }
}

/// Title of an event, names of the outcomes of its markets, what tells its markets apart.
fn texts(
    plan: &Plan,
    random: &mut Stream,
    from: Timestamp,
) -> (String, [&'static str; 2], Vec<String>) {
    match plan.shape {
        Shape::Lone => {
            let texts = naming::lone(plan.category, plan.version, random);
            (texts.title, texts.outcomes, Vec::new())
        }
        Shape::NegRisk => {
            let (title, names) = naming::exclusive(plan.markets(), random);
            (title, ["Yes", "No"], names)
        }
        Shape::Ladder => {
            let title = format!("{} by...?", naming::dated(random));
            let dates = (0..plan.markets())
                .map(|member| naming::month_and_day(from.plus_millis(plan.lasts(member))));
            (title, ["Yes", "No"], dates.collect())
        }
    }
}

fn dynamics(plan: &Plan) -> Dynamics {
    if let Some(dynamics) = &plan.dynamics {
        return dynamics.clone();
    }
    let per_day = |information: f64| information / DAY as f64;
    if plan.plant == Plant::None {
        Dynamics::Learning {
            past: per_day(PAST_INFORMATION_PER_DAY),
            future: INFORMATION / plan.longest().max(1) as f64,
        }
    } else {
        Dynamics::Learning {
            past: per_day(PLANTED_INFORMATION_PER_DAY),
            future: per_day(PLANTED_INFORMATION_PER_DAY),
        }
    }
}

fn describe(plan: &Plan) -> String {
    let mut text =
        "Simulated market of a sandbox exchange: no money is involved and nothing in it \
        is about the real world. When trading ends, the outcome is drawn by the latent probability."
            .to_owned();
    if plan.split {
        text.push_str(" It may resolve 50-50.");
    }
    if plan.shape == Shape::Ladder {
        text.push_str(" It resolves Yes early if it has happened by an earlier date.");
    }
    if let Some(note) = plan.plant.note() {
        text.push_str(&format!(" planted inefficiency: {note}."));
    }
    text
}

/// Token id to market and outcome, for every id that trades.
pub(super) fn tokens_of(
    market: &SimMarket,
) -> impl Iterator<Item = (String, (usize, OutcomeSide))> + '_ {
    [OutcomeSide::First, OutcomeSide::Second]
        .into_iter()
        .map(|side| (side.of(&market.tokens).clone(), (market.index, side)))
}

//! Makes the events and markets of a world from its seed.

use super::history::{History, INTERVAL};
use super::market::{Category, OutcomeSide, SimEvent, SimMarket, Version};
use super::naming;
use super::plant::{ESTIMATE_GAP, Plant, Window};
use super::process::{Dynamics, Jumps, Process};
use crate::domain::Timestamp;
use crate::sandbox::config::{SandboxConfig, SandboxError};
use crate::sandbox::noise::{Stream, stream};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// From the end of trading to the payout.
const RESOLUTION_DELAY: i64 = 30 * 60_000;
/// Information that arrives from the start to the end: log-odds move by 2 ± 2 on average.
const INFORMATION: f64 = 4.0;
/// Information per day before the start.
const PAST_INFORMATION_PER_DAY: f64 = 0.03;
/// Planted markets must stay near where they were planted.
const PLANTED_INFORMATION_PER_DAY: f64 = 0.000_5;
/// Hours from the start to a jump of each lagging market: three are in the middle of their move at
/// the start, and at any later hour some market is moving.
const LAGGING_JUMPS: [i64; 5] = [-12, -8, -6, 6, 16];
const FIRST_MARKET_ID: u64 = 900_001;
const FIRST_EVENT_ID: u64 = 80_001;

/// What one event is to be.
struct Plan {
    category: Category,
    version: Version,
    plant: Plant,
    /// Probabilities at the beginning of the history.
    probabilities: Vec<f64>,
    neg_risk: bool,
    /// True when the last probability is that of an even split.
    split: bool,
    dynamics: Option<Dynamics>,
    /// Milliseconds from the start to the end of trading.
    lasts: i64,
    tick: u32,
    half_spread: f64,
}

impl Plan {
    fn markets(&self) -> usize {
        if self.neg_risk {
            self.probabilities.len()
        } else {
            1
        }
    }

    /// A lone planted market without a fee, so that what was planted is not eaten by it.
    fn planted(plant: Plant, probability: f64, lasts: i64) -> Self {
        Plan {
            category: Category::Geopolitics,
            version: Version::V1,
            plant,
            probabilities: vec![probability, 1.0 - probability],
            neg_risk: false,
            split: false,
            dynamics: None,
            lasts,
            tick: 10_000,
            half_spread: 0.006,
        }
    }
}

/// Builds up lists of events and markets.
pub(super) struct Builder<'a> {
    config: &'a SandboxConfig,
    history_start: Timestamp,
    random: Stream,
    pub(super) events: Vec<SimEvent>,
    pub(super) markets: Vec<SimMarket>,
}

impl<'a> Builder<'a> {
    /// A builder whose histories begin `history_days` before the start.
    pub(super) fn new(config: &'a SandboxConfig, history_days: i64) -> Self {
        let first = config.start.plus_millis(-history_days * DAY).millis();
        Builder {
            config,
            history_start: Timestamp::from_millis(first.div_euclid(INTERVAL) * INTERVAL),
            random: stream(&[config.seed, 0xB01D]),
            events: Vec::new(),
            markets: Vec::with_capacity(config.markets),
        }
    }

    /// Makes everything. Errors: a fee rate that is not money.
    pub(super) fn build(&mut self) -> Result<(), SandboxError> {
        if self.config.inefficiencies {
            for plan in self.planted() {
                if self.markets.len() + plan.markets() <= self.config.markets {
                    self.add(plan)?;
                }
            }
        }
        let mut group = 0;
        while self.markets.len() < self.config.markets {
            let left = self.config.markets - self.markets.len();
            let plan = self.fair(group, left);
            self.add(plan)?;
            group += 1;
        }
        Ok(())
    }

    /// The `group`-th fair event, of at most `left` markets.
    fn fair(&mut self, group: usize, left: usize) -> Plan {
        let exclusive = 3 + self.random.index(3);
        let neg_risk = group.is_multiple_of(7) && exclusive <= left;
        let version = if !neg_risk && matches!(group % 5, 1 | 2) {
            Version::V2
        } else {
            Version::V1
        };
        let category = if neg_risk {
            Category::Politics
        } else {
            Category::turn(group)
        };
        let split = !neg_risk && group % 29 == 11;
        let mut probabilities = if neg_risk {
            (0..exclusive)
                .map(|_| self.random.between(0.1, 1.0))
                .collect()
        } else {
            let yes = self.random.between(0.12, 0.88);
            vec![yes, 1.0 - yes]
        };
        if split {
            probabilities.push(0.15);
        }
        // A third of the groups end within two days, a third within ten, the rest later; shifted
        // from round to round, so that every category and version has some of every kind.
        let lasts = match (group + group / 6 + group / 5) % 3 {
            0 => self.random.between(2.0, 46.0) * HOUR as f64,
            1 => self.random.between(2.0, 10.0) * DAY as f64,
            _ => self.random.between(10.0, 80.0) * DAY as f64,
        };
        let fine = neg_risk || self.random.unit() < 0.4;
        let (tick, half_spread) = if fine {
            (1_000, self.random.between(0.0006, 0.005))
        } else {
            (10_000, self.random.between(0.004, 0.016))
        };
        Plan {
            category,
            version,
            plant: Plant::None,
            probabilities,
            neg_risk,
            split,
            dynamics: None,
            lasts: lasts as i64 / 60_000 * 60_000,
            tick,
            half_spread,
        }
    }

    /// What is planted, per sixty markets.
    fn planted(&mut self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for round in 0..(self.config.markets / 60).max(1) {
            // Later rounds are shifted, so that not everything opens at once.
            let shift = round as i64 * 17 * 60_000;
            self.plant_cheap(&mut plans, shift);
            for (number, hours) in [7, 22, 40, 288].into_iter().enumerate() {
                let up = number % 2 == 0;
                let latent = if up {
                    self.random.between(0.6, 0.72)
                } else {
                    self.random.between(0.28, 0.4)
                };
                let offset = if up { -ESTIMATE_GAP } else { ESTIMATE_GAP };
                let lasts = hours * HOUR + shift;
                plans.push(Plan::planted(Plant::Estimate(offset), latent, lasts));
            }
            for hours in LAGGING_JUMPS {
                plans.push(self.lagging(hours * HOUR + shift));
            }
            for _ in 0..3 {
                let mean = self.random.between(0.42, 0.58);
                plans.push(Plan {
                    half_spread: 0.04,
                    ..Plan::planted(Plant::Oscillating, mean, 30 * DAY)
                });
            }
        }
        plans
    }

    /// Two cheap pairs and a cheap event.
    fn plant_cheap(&mut self, plans: &mut Vec<Plan>, shift: i64) {
        let start = self.config.start;
        for (number, lasts) in [30 * HOUR, 20 * DAY].into_iter().enumerate() {
            let window = Window {
                begins: start.plus_millis(number as i64 * HOUR + shift),
                period: 3 * HOUR,
                lasts: HOUR,
            };
            let probability = self.random.between(0.35, 0.65);
            plans.push(Plan::planted(Plant::CheapPair(window), probability, lasts));
        }
        let window = Window {
            begins: start.plus_millis(-shift),
            period: 4 * HOUR,
            lasts: HOUR * 3 / 2,
        };
        plans.push(Plan {
            probabilities: vec![0.37, 0.28, 0.2, 0.15],
            neg_risk: true,
            tick: 1_000,
            half_spread: 0.002,
            ..Plan::planted(Plant::CheapEvent(window, 4), 0.5, 36 * HOUR)
        });
    }

    /// A market whose book follows jumps late, one of which is `phase` milliseconds after the
    /// start. The pace suits a lookback of a day: no move is mixed with the one before it.
    fn lagging(&mut self, phase: i64) -> Plan {
        let period = 48 * HOUR;
        let begins = self.history_start;
        // The first jump at or after the beginning of the history, in step with `phase`.
        let wait = self
            .config
            .start
            .plus_millis(phase)
            .since(begins)
            .rem_euclid(period);
        let level = self.random.between(0.4, 0.6);
        Plan {
            dynamics: Some(Dynamics::Jumps(Jumps {
                next: begins.plus_millis(wait),
                period,
                lag: 20 * HOUR,
                from: level,
                last: begins.plus_millis(wait - period),
            })),
            half_spread: 0.005,
            ..Plan::planted(Plant::Lagging, level, 60 * DAY)
        }
    }

    fn add(&mut self, plan: Plan) -> Result<(), SandboxError> {
        let number = self.events.len();
        let first = self.markets.len();
        let count = plan.markets();
        let id = FIRST_EVENT_ID + number as u64;
        let (title, names) = if plan.neg_risk {
            naming::exclusive(count, &mut self.random)
        } else {
            (String::new(), Vec::new())
        };
        let texts = naming::lone(plan.category, plan.version, &mut self.random);
        let title = if plan.neg_risk { title } else { texts.title };
        let process = Process::new(
            plan.probabilities.clone(),
            self.dynamics(&plan),
            stream(&[self.config.seed, number as u64, 0x9A7]),
        );
        let end = self.config.start.plus_millis(plan.lasts);
        let base = naming::question_base(self.config.seed, number);
        for member in 0..count {
            let market = self.market(&plan, member, &title, names.get(member), texts.outcomes)?;
            self.markets.push(SimMarket {
                event: number,
                question_id: format!("{base}{member:02x}"),
                ..market
            });
        }
        self.events.push(SimEvent {
            id,
            slug: naming::slug(&title, id),
            title,
            category: plan.category,
            version: plan.version,
            opened: self.history_start,
            end,
            resolves: end.plus_millis(RESOLUTION_DELAY),
            markets: first..first + count,
            question_base: format!("{base}00"),
            neg_risk: plan.neg_risk,
            process,
            drawn: None,
            at: self.history_start,
        });
        Ok(())
    }

    fn dynamics(&self, plan: &Plan) -> Dynamics {
        if let Some(dynamics) = &plan.dynamics {
            return dynamics.clone();
        }
        let per_day = |information: f64| information / DAY as f64;
        if plan.plant == Plant::None {
            Dynamics::Learning {
                past: per_day(PAST_INFORMATION_PER_DAY),
                future: INFORMATION / plan.lasts.max(1) as f64,
            }
        } else {
            Dynamics::Learning {
                past: per_day(PLANTED_INFORMATION_PER_DAY),
                future: per_day(PLANTED_INFORMATION_PER_DAY),
            }
        }
    }

    fn market(
        &mut self,
        plan: &Plan,
        member: usize,
        title: &str,
        name: Option<&String>,
        outcomes: [&'static str; 2],
    ) -> Result<SimMarket, SandboxError> {
        let index = self.markets.len();
        let seed = self.config.seed;
        let id = FIRST_MARKET_ID + index as u64;
        let (condition_id, tokens) = match plan.version {
            Version::V1 => naming::v1_ids(seed, index),
            Version::V2 => naming::v2_ids(seed, index),
        };
        let question = name.map_or_else(
            || title.to_owned(),
            |name| format!("{} ({name})", title.trim_end_matches('?')) + "?",
        );
        let planted = plan.plant != Plant::None;
        // Heavy tails: half of the markets trade below 9,000 a day, one in fifty above 200,000.
        let volume_24h = if planted {
            self.random.between(150_000.0, 900_000.0)
        } else {
            (9.1 + 1.5 * self.random.normal()).exp()
        };
        let liquidity = if planted {
            self.random.between(25_000.0, 90_000.0)
        } else {
            (9.3 + 1.1 * self.random.normal()).exp()
        };
        let cents = |amount: f64| (amount * 100.0).round() / 100.0;
        Ok(SimMarket {
            index,
            event: self.events.len(),
            member,
            id,
            slug: naming::slug(&question, id),
            group_title: name.cloned().unwrap_or_default(),
            description: describe(plan),
            question,
            outcomes: if plan.neg_risk {
                ["Yes", "No"]
            } else {
                outcomes
            },
            tokens,
            decoy_positions: (plan.version == Version::V1
                && !plan.neg_risk
                && self.events.len() % 5 == 4)
                .then(|| naming::v2_ids(seed ^ 0xDEC0, index).1),
            condition_id,
            question_id: String::new(),
            fee: plan.category.fee()?,
            tick: plan.tick,
            half_spread: plan.half_spread,
            volume_before: cents(volume_24h * self.random.between(5.0, 60.0)),
            volume_24h: cents(volume_24h),
            liquidity: cents(liquidity),
            plant: plan.plant,
            history: History::new(self.history_start.plus_millis(INTERVAL)),
        })
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
    if let Some(note) = plan.plant.note() {
        text.push_str(&format!(" planted inefficiency: {note}."));
    }
    text
}

/// Token id to market and outcome, for every id that trades.
pub(super) fn token_index(
    markets: &[SimMarket],
) -> std::collections::HashMap<String, (usize, OutcomeSide)> {
    let mut index = std::collections::HashMap::with_capacity(markets.len() * 2);
    for market in markets {
        for side in [OutcomeSide::First, OutcomeSide::Second] {
            index.insert(side.of(&market.tokens).clone(), (market.index, side));
        }
    }
    index
}

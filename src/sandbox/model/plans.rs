//! Which events there are to be: a round robin of fair ones, and what is planted on request.

use super::lifecycle::Schedule;
use super::market::{Category, Shape, Version};
use super::plant::{ESTIMATE_GAP, Plant, Window};
use super::process::{Dynamics, Jumps};
use crate::domain::Timestamp;
use crate::sandbox::noise::Stream;

const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;
/// Hours from the start to a jump of each lagging market: three are in the middle of their move at
/// the start, and at any later hour some market is moving.
const LAGGING_JUMPS: [i64; 5] = [-12, -8, -6, 6, 16];
/// Sizes of neg-risk events, in turn.
const SIZES: [usize; 6] = [4, 3, 6, 5, 10, 8];

/// What one event is to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub category: Category,
    pub version: Version,
    pub plant: Plant,
    pub shape: Shape,
    /// Probabilities at the beginning of the history.
    pub probabilities: Vec<f64>,
    /// True when the last probability is that of an even split.
    pub split: bool,
    pub dynamics: Option<Dynamics>,
    /// Milliseconds from the opening (or the start) to the announced end of each market; the last
    /// one counts for all that follow.
    pub lasts: Vec<i64>,
    pub tick: u32,
    pub half_spread: f64,
}

impl Plan {
    /// How many markets it makes.
    pub(super) fn markets(&self) -> usize {
        match self.shape {
            Shape::Lone => 1,
            Shape::NegRisk => self.probabilities.len(),
            // The last probability is that of never.
            Shape::Ladder => self.probabilities.len().saturating_sub(1),
        }
    }

    /// Milliseconds that the market at place `member` trades.
    pub(super) fn lasts(&self, member: usize) -> i64 {
        let own = self.lasts.get(member).or(self.lasts.last());
        own.copied().unwrap_or(DAY)
    }

    /// Milliseconds that the event trades.
    pub(super) fn longest(&self) -> i64 {
        self.lasts.iter().copied().max().unwrap_or(DAY)
    }

    /// When the market at place `member` passes from phase to phase. Planted markets settle
    /// without a challenge, so that what they pay is known when their note says it is.
    pub(super) fn schedule(&self, end: Timestamp, random: &mut Stream) -> Schedule {
        if self.plant == Plant::None {
            Schedule::drawn(end, random)
        } else {
            Schedule::plain(end)
        }
    }

    /// A lone planted market without a fee, so that what was planted is not eaten by it.
    fn planted(plant: Plant, probability: f64, lasts: i64) -> Self {
        Plan {
            category: Category::Geopolitics,
            version: Version::V1,
            plant,
            shape: Shape::Lone,
            probabilities: vec![probability, 1.0 - probability],
            split: false,
            dynamics: None,
            lasts: vec![lasts],
            tick: 10_000,
            half_spread: 0.006,
        }
    }
}

/// Whole minutes: the latent probabilities' own pace.
fn whole_minutes(millis: f64) -> i64 {
    millis as i64 / 60_000 * 60_000
}

/// The `group`-th fair event, of at most `left` markets.
pub(super) fn fair(random: &mut Stream, group: usize, left: usize) -> Plan {
    let size = SIZES.get(group / 7 % SIZES.len()).copied().unwrap_or(4);
    let rungs = 3 + group / 9 % 2;
    let shape = if group.is_multiple_of(7) && size <= left {
        Shape::NegRisk
    } else if group % 9 == 4 && rungs <= left {
        Shape::Ladder
    } else {
        Shape::Lone
    };
    let version = match shape {
        Shape::NegRisk if group % 21 == 7 => Version::V2,
        Shape::Lone if matches!(group % 5, 1 | 2) => Version::V2,
        _ => Version::V1,
    };
    let category = match shape {
        Shape::NegRisk => Category::Politics,
        Shape::Ladder => Category::Geopolitics,
        Shape::Lone => Category::turn(group),
    };
    let split = shape == Shape::Lone && group % 29 == 11;
    let mut probabilities: Vec<f64> = match shape {
        Shape::NegRisk => (0..size).map(|_| random.between(0.1, 1.0)).collect(),
        Shape::Ladder => (0..=rungs).map(|_| random.between(0.3, 1.0)).collect(),
        Shape::Lone => {
            let yes = random.between(0.12, 0.88);
            vec![yes, 1.0 - yes]
        }
    };
    if split {
        probabilities.push(0.15);
    }
    let fine = shape == Shape::NegRisk || random.unit() < 0.4;
    let (tick, half_spread) = if fine {
        (1_000, random.between(0.0006, 0.005))
    } else {
        (10_000, random.between(0.004, 0.016))
    };
    Plan {
        category,
        version,
        plant: Plant::None,
        shape,
        probabilities,
        split,
        dynamics: None,
        lasts: durations(random, shape, group, rungs),
        tick,
        half_spread,
    }
}

/// How long the markets of a fair event trade.
fn durations(random: &mut Stream, shape: Shape, group: usize, rungs: usize) -> Vec<i64> {
    if shape == Shape::Ladder {
        let spacing = match group / 9 % 3 {
            0 => 3 * DAY,
            1 => DAY,
            _ => 30 * DAY,
        };
        let first = whole_minutes(random.between(0.2, 1.0) * spacing as f64);
        return (0..rungs as i64)
            .map(|rung| first + rung * spacing)
            .collect();
    }
    // A third of the groups end within two days, a third within ten, the rest later; shifted from
    // round to round, so that every category and version has some of every kind.
    vec![whole_minutes(match (group + group / 6 + group / 5) % 3 {
        0 => random.between(2.0, 46.0) * HOUR as f64,
        1 => random.between(2.0, 10.0) * DAY as f64,
        _ => random.between(10.0, 80.0) * DAY as f64,
    })]
}

/// A fair event like one that has ended: of the same shape and size, so that there is always as
/// much to trade.
pub(super) fn heir(random: &mut Stream, shape: Shape, size: usize, group: usize) -> Plan {
    // The round robin gives every shape at known places; a lone one at any other.
    let place = match shape {
        Shape::NegRisk => group * 7,
        Shape::Ladder => group * 63 + 4,
        Shape::Lone => {
            let mut place = group;
            while place.is_multiple_of(7) || place % 9 == 4 {
                place += 1;
            }
            place
        }
    };
    let mut plan = fair(random, place, usize::MAX);
    match shape {
        Shape::Lone => {}
        Shape::NegRisk => {
            plan.probabilities = (0..size).map(|_| random.between(0.1, 1.0)).collect();
        }
        Shape::Ladder => {
            plan.probabilities = (0..=size).map(|_| random.between(0.3, 1.0)).collect();
            plan.lasts = durations(random, shape, group * 9, size);
        }
    }
    plan
}

/// What is planted, per sixty markets.
pub(super) fn planted(
    random: &mut Stream,
    markets: usize,
    start: Timestamp,
    history_start: Timestamp,
) -> Vec<Plan> {
    let mut plans = Vec::new();
    for round in 0..(markets / 60).max(1) {
        // Later rounds are shifted, so that not everything opens at once.
        let shift = round as i64 * 17 * 60_000;
        plant_cheap(random, &mut plans, start, shift);
        for (number, hours) in [7, 22, 40, 288].into_iter().enumerate() {
            let up = number % 2 == 0;
            let latent = if up {
                random.between(0.6, 0.72)
            } else {
                random.between(0.28, 0.4)
            };
            let offset = if up { -ESTIMATE_GAP } else { ESTIMATE_GAP };
            let lasts = hours * HOUR + shift;
            plans.push(Plan::planted(Plant::Estimate(offset), latent, lasts));
        }
        for hours in LAGGING_JUMPS {
            plans.push(lagging(random, start, history_start, hours * HOUR + shift));
        }
        for _ in 0..3 {
            let mean = random.between(0.42, 0.58);
            plans.push(Plan {
                half_spread: 0.04,
                ..Plan::planted(Plant::Oscillating, mean, 30 * DAY)
            });
        }
        let window = Window {
            begins: start.plus_millis(HOUR / 2 - shift),
            period: 4 * HOUR,
            lasts: HOUR * 3 / 2,
        };
        plans.push(Plan {
            shape: Shape::Ladder,
            probabilities: vec![0.35, 0.15, 0.12, 0.38],
            lasts: [10, 20, 30].map(|days| days * DAY).to_vec(),
            ..Plan::planted(Plant::BrokenLadder(window), 0.5, 0)
        });
    }
    plans
}

/// Two cheap pairs and a cheap event.
fn plant_cheap(random: &mut Stream, plans: &mut Vec<Plan>, start: Timestamp, shift: i64) {
    for (number, lasts) in [30 * HOUR, 20 * DAY].into_iter().enumerate() {
        let window = Window {
            begins: start.plus_millis(number as i64 * HOUR + shift),
            period: 3 * HOUR,
            lasts: HOUR,
        };
        let probability = random.between(0.35, 0.65);
        plans.push(Plan::planted(Plant::CheapPair(window), probability, lasts));
    }
    let window = Window {
        begins: start.plus_millis(-shift),
        period: 4 * HOUR,
        lasts: HOUR * 3 / 2,
    };
    plans.push(Plan {
        shape: Shape::NegRisk,
        probabilities: vec![0.37, 0.28, 0.2, 0.15],
        tick: 1_000,
        half_spread: 0.002,
        ..Plan::planted(Plant::CheapEvent(window, 4), 0.5, 36 * HOUR)
    });
}

/// A market whose book follows jumps late, one of which is `phase` milliseconds after the start.
/// The pace suits a lookback of a day: no move is mixed with the one before it.
fn lagging(random: &mut Stream, start: Timestamp, history_start: Timestamp, phase: i64) -> Plan {
    let period = 48 * HOUR;
    // The first jump at or after the beginning of the history, in step with `phase`.
    let wait = start
        .plus_millis(phase)
        .since(history_start)
        .rem_euclid(period);
    let level = random.between(0.4, 0.6);
    Plan {
        dynamics: Some(Dynamics::Jumps(Jumps {
            next: history_start.plus_millis(wait),
            period,
            lag: 20 * HOUR,
            from: level,
            last: history_start.plus_millis(wait - period),
        })),
        half_spread: 0.005,
        ..Plan::planted(Plant::Lagging, level, 60 * DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::noise::stream;

    #[test]
    fn the_round_robin_holds_every_shape_in_several_sizes_and_both_versions() {
        let mut random = stream(&[1]);
        let plans: Vec<Plan> = (0..200).map(|group| fair(&mut random, group, 99)).collect();
        let sizes = |shape: Shape| {
            let mut sizes: Vec<usize> = plans
                .iter()
                .filter(|plan| plan.shape == shape)
                .map(Plan::markets)
                .collect();
            sizes.sort_unstable();
            sizes.dedup();
            sizes
        };
        assert_eq!(sizes(Shape::NegRisk), [3, 4, 5, 6, 8, 10]);
        assert_eq!(sizes(Shape::Ladder), [3, 4]);
        let v2 = |shape: Shape| {
            plans
                .iter()
                .any(|plan| plan.shape == shape && plan.version == Version::V2)
        };
        assert!(v2(Shape::NegRisk) && v2(Shape::Lone));
        assert!(plans.iter().any(|plan| plan.split));
        for plan in plans.iter().filter(|plan| plan.shape == Shape::Ladder) {
            // Each date is at least a day after the one before it.
            assert_eq!(plan.lasts.len(), plan.markets());
            assert!(plan.lasts.windows(2).all(|pair| pair[1] - pair[0] >= DAY));
        }
    }

    #[test]
    fn an_heir_has_the_shape_and_the_size_of_what_ended() {
        let mut random = stream(&[2]);
        for group in 0..60 {
            for (shape, size) in [(Shape::Lone, 1), (Shape::NegRisk, 6), (Shape::Ladder, 3)] {
                let plan = heir(&mut random, shape, size, group);
                assert_eq!((plan.shape, plan.markets()), (shape, size), "{group}");
                assert_eq!(plan.plant, Plant::None);
            }
        }
    }
}

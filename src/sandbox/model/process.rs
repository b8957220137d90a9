//! How the latent probabilities of an event's outcomes move.
//!
//! The ordinary process is Bayesian learning: in each step a hypothetical truth is drawn from the
//! present probabilities, a noisy signal of it is seen, and the probabilities are updated by Bayes'
//! rule. Each probability is then exactly a martingale, they sum to 1, and drawing the outcome from
//! the last ones is the same in law as having fixed it beforehand. What becomes known at a deadline
//! (whether it happened by then) is drawn and learnt in the same way.

use crate::domain::Timestamp;
use crate::sandbox::noise::Stream;

/// Keeps a probability away from 0 and 1, where no signal could move it again.
const FLOOR: f64 = 1e-9;

/// Which law moves the probabilities.
#[derive(Debug, Clone)]
pub(in crate::sandbox) enum Dynamics {
    /// Bayesian learning: squared signal-to-noise per millisecond, before and after the start.
    Learning {
        /// Until the simulation's start.
        past: f64,
        /// From the start on.
        future: f64,
    },
    /// Jumps every so often, back towards the middle from the edges: not a martingale, used for
    /// planted markets only. The book follows each jump late.
    Jumps(Jumps),
}

/// A two-outcome probability that jumps.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Jumps {
    /// When the next jump is.
    pub next: Timestamp,
    /// Milliseconds between jumps.
    pub period: i64,
    /// Milliseconds in which the book follows, at an even pace.
    pub lag: i64,
    /// Probability of Yes before the last jump.
    pub from: f64,
    /// When the last jump was.
    pub last: Timestamp,
}

impl Jumps {
    /// How much of the last jump the book still has to follow at `time`, as a price to subtract.
    fn behind(&self, level: f64, time: Timestamp) -> f64 {
        let done = time.since(self.last) as f64 / self.lag.max(1) as f64;
        (level - self.from) * (1.0 - done.clamp(0.0, 1.0))
    }
}

/// Latent probabilities of mutually exclusive outcomes that sum to 1.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Process {
    probabilities: Vec<f64>,
    dynamics: Dynamics,
    random: Stream,
}

impl Process {
    /// Starts from `probabilities`, which are scaled to sum to 1.
    pub(in crate::sandbox) fn new(
        mut probabilities: Vec<f64>,
        dynamics: Dynamics,
        random: Stream,
    ) -> Self {
        normalise(&mut probabilities);
        Process {
            probabilities,
            dynamics,
            random,
        }
    }

    /// Probability of outcome `index`; 0 when there is none.
    pub(in crate::sandbox) fn probability(&self, index: usize) -> f64 {
        self.probabilities.get(index).copied().unwrap_or(0.0)
    }

    /// What a late book has still to follow of Yes at `time`; 0 for a process without jumps.
    pub(in crate::sandbox) fn behind(&self, time: Timestamp) -> f64 {
        match &self.dynamics {
            Dynamics::Learning { .. } => 0.0,
            Dynamics::Jumps(jumps) => jumps.behind(self.probability(0), time),
        }
    }

    /// Moves from one moment to a later one; `started` says whether the simulation has started.
    pub(in crate::sandbox) fn advance(&mut self, from: Timestamp, to: Timestamp, started: bool) {
        match &mut self.dynamics {
            Dynamics::Learning { past, future } => {
                let rate = if started { *future } else { *past };
                let information = rate * to.since(from).max(0) as f64;
                self.learn(information);
            }
            Dynamics::Jumps(jumps) => {
                while jumps.next <= to {
                    let level = self.probabilities.first().copied().unwrap_or(0.5);
                    let size = self.random.between(0.26, 0.32);
                    let up = self.random.unit() < 0.5;
                    // From outside the middle only inwards, so that there is always room to move.
                    let up = level < 0.42 || (up && level < 0.58);
                    let target = if up { level + size } else { level - size };
                    jumps.from = level;
                    jumps.last = jumps.next;
                    jumps.next = jumps.next.plus_millis(jumps.period.max(1));
                    self.probabilities = vec![target, 1.0 - target];
                }
            }
        }
    }

    /// One signal with the given squared signal-to-noise ratio.
    fn learn(&mut self, information: f64) {
        if information <= 0.0 {
            return;
        }
        let strength = information.sqrt();
        let truth = self.draw();
        if let [yes, no] = self.probabilities.as_mut_slice() {
            // One signal tells two hypotheses apart: mean ±s/2, so log-odds move by s times it.
            let mean = if truth == 0 { 0.5 } else { -0.5 };
            let odds = *yes / *no * (strength * (strength * mean + self.random.normal())).exp();
            *yes = (odds / (1.0 + odds)).clamp(FLOOR, 1.0 - FLOOR);
            *no = 1.0 - *yes;
            return;
        }
        // One signal for each hypothesis; half the strength squared keeps the pairwise
        // information equal to that of two outcomes.
        let each = strength * std::f64::consts::FRAC_1_SQRT_2;
        for (index, probability) in self.probabilities.iter_mut().enumerate() {
            let mean = if index == truth { each } else { 0.0 };
            *probability *= (each * (mean + self.random.normal())).exp();
        }
        normalise(&mut self.probabilities);
    }

    /// Probability of the outcomes up to and including `index`.
    pub(in crate::sandbox) fn cumulative(&self, index: usize) -> f64 {
        let sum: f64 = self.probabilities.iter().take(index + 1).sum();
        sum.min(1.0)
    }

    /// Lets it become known whether the truth is among the outcomes up to `index`; true when it is.
    pub(in crate::sandbox) fn reveal(&mut self, index: usize) -> bool {
        let happened = self.random.unit() < self.cumulative(index);
        for (place, probability) in self.probabilities.iter_mut().enumerate() {
            if (place <= index) != happened {
                *probability = 0.0;
            }
        }
        normalise(&mut self.probabilities);
        happened
    }

    /// Squared signal-to-noise per millisecond from the start on; 0 for a process that jumps.
    pub(in crate::sandbox) fn information(&self) -> f64 {
        match self.dynamics {
            Dynamics::Learning { future, .. } => future,
            Dynamics::Jumps(_) => 0.0,
        }
    }

    /// Draws an outcome by the present probabilities.
    pub(in crate::sandbox) fn draw(&mut self) -> usize {
        let mut left = self.random.unit();
        for (index, probability) in self.probabilities.iter().enumerate() {
            left -= probability;
            if left < 0.0 {
                return index;
            }
        }
        self.probabilities.len().saturating_sub(1)
    }
}

fn normalise(probabilities: &mut [f64]) {
    for probability in &mut *probabilities {
        *probability = probability.max(FLOOR);
    }
    let total: f64 = probabilities.iter().sum();
    for probability in probabilities {
        *probability /= total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::noise::stream;

    const HOUR: i64 = 3_600_000;

    fn learning() -> Dynamics {
        Dynamics::Learning {
            past: 0.0,
            future: 4.0 / (100.0 * HOUR as f64),
        }
    }

    /// Mean over paths of the probability after 20 steps, and of the drawn outcome.
    fn means(start: &[f64], outcome: usize, paths: u64) -> (f64, f64) {
        let (mut probability, mut hit) = (0.0, 0.0);
        for path in 0..paths {
            let mut process = Process::new(start.to_vec(), learning(), stream(&[99, path]));
            for step in 0..20 {
                let from = Timestamp::from_millis(step * 5 * HOUR);
                process.advance(from, from.plus_millis(5 * HOUR), true);
            }
            probability += process.probability(outcome);
            hit += f64::from(u8::from(process.draw() == outcome));
        }
        (probability / paths as f64, hit / paths as f64)
    }

    #[test]
    fn probabilities_are_martingales_and_outcomes_follow_them() {
        // Standard error of a mean of 0/1 draws over 3,000 paths is below 0.0092.
        for (start, outcome, expected) in [
            (vec![0.3, 0.7], 0, 0.3),
            (vec![0.85, 0.15], 0, 0.85),
            (vec![0.5, 0.3, 0.2], 2, 0.2),
            (vec![0.1, 0.2, 0.3, 0.4], 0, 0.1),
        ] {
            let (probability, hit) = means(&start, outcome, 3_000);
            assert!((probability - expected).abs() < 0.032, "{probability}");
            assert!((hit - expected).abs() < 0.032, "{hit}");
        }
    }

    #[test]
    fn learning_moves_far_from_where_it_started() {
        let mut spread = 0.0;
        for path in 0..500 {
            let mut process = Process::new(vec![0.5, 0.5], learning(), stream(&[5, path]));
            process.advance(
                Timestamp::from_millis(0),
                Timestamp::from_millis(100 * HOUR),
                true,
            );
            spread += (process.probability(0) - 0.5).abs();
        }
        // A path that stood still would pass the martingale test too.
        assert!(spread / 500.0 > 0.2);
    }

    #[test]
    fn what_a_deadline_reveals_moves_no_probability_on_average() {
        // By the first deadline 0.3, by the second 0.5, never 0.4.
        let start = vec![0.3, 0.2, 0.1, 0.4];
        let (mut first, mut second, mut last) = (0.0, 0.0, 0.0);
        let paths = 4_000;
        for path in 0..paths {
            let mut process = Process::new(start.clone(), learning(), stream(&[41, path]));
            let from = Timestamp::from_millis(0);
            process.advance(from, from.plus_millis(20 * HOUR), true);
            if process.reveal(0) {
                first += 1.0;
                // Everything later has happened as well.
                assert!(process.cumulative(1) > 1.0 - 1e-6);
            } else {
                assert!(process.cumulative(0) < 1e-6);
            }
            second += process.cumulative(1);
            process.reveal(1);
            last += process.cumulative(2);
        }
        // Standard errors below 0.0079 each.
        for (sum, expected) in [(first, 0.3), (second, 0.5), (last, 0.6)] {
            let mean = sum / paths as f64;
            assert!((mean - expected).abs() < 0.028, "{mean} {expected}");
        }
    }

    #[test]
    fn a_late_book_has_the_jump_ahead_of_it_and_then_arrives() {
        let jumps = Jumps {
            next: Timestamp::from_millis(HOUR),
            period: 8 * HOUR,
            lag: 4 * HOUR,
            from: 0.5,
            last: Timestamp::from_millis(-8 * HOUR),
        };
        let mut process = Process::new(vec![0.5, 0.5], Dynamics::Jumps(jumps), stream(&[1]));
        process.advance(
            Timestamp::from_millis(0),
            Timestamp::from_millis(HOUR),
            true,
        );
        let moved = process.probability(0) - 0.5;
        assert!((0.26..0.32).contains(&moved.abs()), "{moved}");
        let behind = |hours: i64| process.behind(Timestamp::from_millis(hours * HOUR));
        assert!((behind(1) - moved).abs() < 1e-12);
        assert!((behind(3) - moved / 2.0).abs() < 1e-12);
        assert!(behind(5).abs() < 1e-12);
    }
}

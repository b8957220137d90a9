//! From the end of trading to the payout: proposed, sometimes challenged and proposed again, rarely
//! disputed before a vote, resolved.

use crate::domain::Timestamp;
use crate::sandbox::noise::Stream;

const MINUTE: f64 = 60_000.0;
const HOUR: f64 = 60.0 * MINUTE;
/// From an unchallenged proposal to the payout.
const LIVENESS: i64 = 30 * 60_000;
/// A vote after a second dispute (the venue's documentation: four to six days).
const VOTE: i64 = 4 * 86_400_000;
/// How many proposals are challenged, and how many of those are disputed once more.
const CHALLENGED: f64 = 0.08;
const DISPUTED: f64 = 0.2;

/// How far a market has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Phase {
    /// Trading.
    Open,
    /// Trading has ended, an outcome is proposed, nothing is paid yet.
    Proposed,
    /// The first proposal was disputed; the question is asked anew.
    Challenged,
    /// A second outcome is proposed.
    Reproposed,
    /// The second proposal was disputed as well: a vote decides.
    Disputed,
    /// Paid out.
    Resolved,
}

impl Phase {
    /// True once a proposal was disputed.
    pub(in crate::sandbox) fn after_challenge(self) -> bool {
        matches!(
            self,
            Phase::Challenged | Phase::Reproposed | Phase::Disputed
        )
    }
}

/// When a market passes from phase to phase.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sandbox) struct Schedule {
    /// When trading is announced to end.
    pub end: Timestamp,
    /// When it ends: earlier where the answer is known earlier.
    pub closes: Timestamp,
    /// Phases after the close, with milliseconds from it, in order; the last is `Resolved`.
    steps: Vec<(i64, Phase)>,
    /// True when the first proposal names the wrong outcome, which is why it was challenged.
    pub wrong_at_first: bool,
}

impl Schedule {
    /// Nothing is challenged.
    pub(in crate::sandbox) fn plain(end: Timestamp) -> Self {
        Schedule {
            end,
            closes: end,
            steps: vec![(0, Phase::Proposed), (LIVENESS, Phase::Resolved)],
            wrong_at_first: false,
        }
    }

    /// Some proposals are challenged.
    pub(in crate::sandbox) fn drawn(end: Timestamp, random: &mut Stream) -> Self {
        let mut schedule = Schedule::plain(end);
        if random.unit() >= CHALLENGED {
            return schedule;
        }
        let whole_minutes = |millis: f64| (millis / MINUTE).round() as i64 * 60_000;
        let challenged = whole_minutes(random.between(8.0 * MINUTE, 25.0 * MINUTE));
        let reproposed = challenged + whole_minutes(random.between(20.0 * MINUTE, 3.0 * HOUR));
        schedule.wrong_at_first = random.unit() < 0.5;
        schedule.steps = vec![
            (0, Phase::Proposed),
            (challenged, Phase::Challenged),
            (reproposed, Phase::Reproposed),
        ];
        if random.unit() < DISPUTED {
            let disputed = reproposed + whole_minutes(random.between(8.0 * MINUTE, 25.0 * MINUTE));
            schedule.steps.push((disputed, Phase::Disputed));
            schedule.steps.push((disputed + VOTE, Phase::Resolved));
        } else {
            schedule
                .steps
                .push((reproposed + 2 * LIVENESS, Phase::Resolved));
        }
        schedule
    }

    /// Trading ends at `at`, before the announced end.
    pub(in crate::sandbox) fn close_early(&mut self, at: Timestamp) {
        self.closes = self.closes.min(at);
    }

    /// The phase at `now`, and when it began (the announced end says nothing about an open one).
    fn step_at(&self, now: Timestamp) -> Option<(Timestamp, Phase)> {
        self.steps
            .iter()
            .rev()
            .map(|(offset, phase)| (self.closes.plus_millis(*offset), *phase))
            .find(|(begins, _)| *begins <= now)
    }

    /// The phase at `now`.
    pub(in crate::sandbox) fn phase(&self, now: Timestamp) -> Phase {
        self.step_at(now).map_or(Phase::Open, |(_, phase)| phase)
    }

    /// When the phase at `now` began; `None` while trading.
    pub(in crate::sandbox) fn since(&self, now: Timestamp) -> Option<Timestamp> {
        self.step_at(now).map(|(begins, _)| begins)
    }

    /// When the payouts become final.
    pub(in crate::sandbox) fn resolves(&self) -> Timestamp {
        let offset = self.steps.last().map_or(0, |(offset, _)| *offset);
        self.closes.plus_millis(offset)
    }

    /// True when a proposal is challenged before the payout.
    pub(in crate::sandbox) fn is_challenged(&self) -> bool {
        self.steps
            .iter()
            .any(|(_, phase)| *phase == Phase::Challenged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::noise::stream;

    const END: Timestamp = Timestamp::from_secs(1_000_000);

    #[test]
    fn an_unchallenged_proposal_is_final_after_half_an_hour() {
        let schedule = Schedule::plain(END);
        for (minutes, phase) in [
            (-1, Phase::Open),
            (0, Phase::Proposed),
            (29, Phase::Proposed),
            (30, Phase::Resolved),
        ] {
            assert_eq!(schedule.phase(END.plus_millis(minutes * 60_000)), phase);
        }
        assert_eq!(schedule.resolves(), END.plus_millis(1_800_000));
        assert_eq!(schedule.since(END.plus_millis(5)), Some(END));
        assert_eq!(schedule.since(END.plus_millis(-5)), None);
    }

    #[test]
    fn an_early_close_moves_everything_after_it_but_not_the_announced_end() {
        let mut schedule = Schedule::plain(END);
        let early = END.plus_millis(-3_600_000);
        schedule.close_early(early);
        schedule.close_early(END);
        assert_eq!((schedule.end, schedule.closes), (END, early));
        assert_eq!(schedule.phase(early), Phase::Proposed);
        assert_eq!(schedule.resolves(), early.plus_millis(1_800_000));
    }

    #[test]
    fn some_proposals_are_challenged_and_few_go_to_a_vote() {
        let mut random = stream(&[4]);
        let (mut challenged, mut voted, mut wrong) = (0, 0, 0);
        for _ in 0..4_000 {
            let schedule = Schedule::drawn(END, &mut random);
            if !schedule.is_challenged() {
                assert_eq!(schedule, Schedule::plain(END));
                continue;
            }
            challenged += 1;
            wrong += u32::from(schedule.wrong_at_first);
            let phases: Vec<Phase> = schedule.steps.iter().map(|(_, phase)| *phase).collect();
            let offsets = schedule.steps.iter().map(|(offset, _)| *offset);
            assert!(offsets.is_sorted());
            let last = if phases.len() == 5 {
                voted += 1;
                Phase::Disputed
            } else {
                Phase::Reproposed
            };
            assert_eq!(phases[phases.len() - 2], last);
            assert_eq!(
                &phases[..3],
                [Phase::Proposed, Phase::Challenged, Phase::Reproposed]
            );
        }
        // 320, 64 and 160 are expected; four standard errors are 69, 32 and 36.
        assert!((251..=389).contains(&challenged), "{challenged}");
        assert!((32..=96).contains(&voted), "{voted}");
        assert!((110..=210).contains(&wrong), "{wrong}");
    }
}

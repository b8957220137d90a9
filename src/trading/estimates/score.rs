//! The scores: Brier and logarithmic, and how much each estimate counts.
//!
//! Sources: G. W. Brier, "Verification of forecasts expressed in terms of probability" (1950);
//! I. J. Good, "Rational decisions" (1952). The weights are those of forecasting tournaments (Good
//! Judgment Project): an author's last word stands until his next one, and each moment is scored.

use crate::domain::{Estimate, Price, Timestamp};

/// Probabilities are kept so far from 0 and 1 in a log score, which is therefore at most 13.8 nats:
/// one misplaced certainty says no more of an author than that.
pub const LOG_MARGIN: f64 = 1e-6;

/// `(p − payout)²`: 0 is perfect, 0.25 is what 0.5 always gets, 1 is certain and wrong.
#[must_use]
pub fn brier(probability: f64, payout: Price) -> f64 {
    (probability - payout.to_f64()).powi(2)
}

/// −ln of the probability given to what happened, nats, 0 to 13.8: 0 is perfect, 0.693 is what 0.5
/// always gets. For a payout of 0.5 the mean of both outcomes' scores.
#[must_use]
pub fn log_score(probability: f64, payout: Price) -> f64 {
    log_loss(probability, payout.to_f64())
}

/// [`log_score`] for an outcome that counts as `happened`, 0 to 1.
pub(super) fn log_loss(probability: f64, happened: f64) -> f64 {
    let p = probability.clamp(LOG_MARGIN, 1.0 - LOG_MARGIN);
    // A factor of 0 leaves its term out.
    -(happened * p.ln() + (1.0 - happened) * (1.0 - p).ln())
}

/// What the market thought when the estimate was given: the middle of bid and ask. `None` when one
/// of them was missing, or the book was crossed.
#[must_use]
pub fn market_then(estimate: &Estimate) -> Option<f64> {
    let (bid, ask) = (estimate.bid_then?, estimate.ask_then?);
    (bid <= ask).then(|| f64::midpoint(bid.to_f64(), ask.to_f64()))
}

/// How much each estimate of one author of one market counts: the share of the time from the first
/// one to the market's end during which it was the author's last word. They add up to 1; an estimate
/// given at the end or later, or replaced at once, has 0. If the first one came too late, all have.
///
/// `given`: moments in the order in which the estimates were stored. A new estimate near the end
/// takes over for what little time is left and leaves the weight of those before as it is.
#[must_use]
pub fn weights(given: &[Timestamp], end: Timestamp) -> Vec<f64> {
    let Some(first) = given.first() else {
        return Vec::new();
    };
    let whole = end.since(*first);
    if whole <= 0 {
        return vec![0.0; given.len()];
    }
    let mut from = *first;
    let mut weights = Vec::with_capacity(given.len());
    for next in given.iter().skip(1).chain([&end]) {
        // A clock that was set back takes nothing away from the one before.
        let to = (*next).max(from).min(end);
        weights.push(to.since(from).max(0) as f64 / whole as f64);
        from = to;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trading::test_support::{after, p};

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn scores_by_hand() {
        // 0.3² = 0.09; −ln 0.7
        close(brier(0.7, p("1")), 0.09);
        close(log_score(0.7, p("1")), 0.356_674_943_938_732_4);
        // 0.7² = 0.49; −ln 0.3
        close(brier(0.7, p("0")), 0.49);
        close(log_score(0.7, p("0")), 1.203_972_804_325_936);
        // Half and half: 0.2² = 0.04; the mean of the two above.
        close(brier(0.7, p("0.5")), 0.04);
        close(log_score(0.7, p("0.5")), 0.780_323_874_132_334_2);
        // Certain and wrong: −ln 1e-6.
        close(log_score(1.0 - 1e-9, p("0")), 13.815_510_557_935_518);
        assert_eq!(log_score(1.0 - 1e-9, p("1")), -(1.0 - 1e-6_f64).ln());
    }

    #[test]
    fn each_moment_is_scored_by_the_word_that_stood() {
        // 10 s of 100 s, 85 s, 5 s.
        let given = [after(0), after(10), after(95)];
        assert_eq!(weights(&given, after(100)), [0.1, 0.85, 0.05]);
        // The third came after the end: the second stood until then.
        assert_eq!(weights(&given, after(50)), [0.2, 0.8, 0.0]);
        assert_eq!(weights(&given, after(0)), [0.0, 0.0, 0.0]);
        assert_eq!(weights(&[after(5), after(5)], after(10)), [0.0, 1.0]);
        assert!(weights(&[], after(10)).is_empty());
        // A clock set back: the second stands from the first's moment.
        assert_eq!(weights(&[after(10), after(0)], after(20)), [0.0, 1.0]);
    }

    #[test]
    fn a_late_estimate_moves_the_score_by_no_more_than_the_time_left() {
        // 0.4 for a Yes that comes: 0.36. With 0.99 in the last hundredth of the time:
        // 0.99 × 0.36 + 0.01 × 0.0001 = 0.356401.
        let weights = weights(&[after(0), after(99)], after(100));
        let score: f64 = weights
            .iter()
            .zip([0.4, 0.99])
            .map(|(weight, stated)| weight * brier(stated, p("1")))
            .sum();
        close(score, 0.356_401);
    }
}

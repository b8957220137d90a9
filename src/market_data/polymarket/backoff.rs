//! How long to wait before the next attempt, for requests and for sockets.

use std::time::Duration;

use crate::domain::{Clock, SystemClock};

/// Longest `Retry-After` that is believed: more is a mistake or a reason to ask again anyway.
const LONGEST_WISH: Duration = Duration::from_secs(300);

/// Exponential backoff with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Ceiling of the first wait; doubles with each failed attempt.
    pub first: Duration,
    /// Highest ceiling.
    pub longest: Duration,
}

impl Backoff {
    /// The longest wait after so many failed attempts before.
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Duration {
        self.first
            .saturating_mul(2_u32.saturating_pow(attempt))
            .min(self.longest)
    }

    /// Anything from nothing to the ceiling, so that clients that lost the venue together do not
    /// come back together; never less than the venue asked for.
    #[must_use]
    pub fn wait(&self, attempt: u32, wished: Option<Duration>) -> Duration {
        let ceiling = u64::try_from(self.ceiling(attempt).as_millis()).unwrap_or(u64::MAX);
        let jitter = Duration::from_millis(rand::random_range(0..=ceiling));
        jitter.max(wished.unwrap_or_default().min(LONGEST_WISH))
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date.
#[must_use]
pub fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let wait = moment.timestamp_millis() - SystemClock.now().millis();
    Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(30),
    };

    #[test]
    fn ceilings_double_to_the_longest() {
        let ceilings: Vec<u128> = (0..8).map(|n| BACKOFF.ceiling(n).as_millis()).collect();
        assert_eq!(
            ceilings,
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
        );
        assert_eq!(BACKOFF.ceiling(u32::MAX).as_millis(), 30_000);
    }

    #[test]
    fn the_jitter_is_full_and_within_its_bounds() {
        for attempt in [0, 3, 40] {
            let ceiling = BACKOFF.ceiling(attempt);
            let waits: Vec<Duration> = (0..2_000).map(|_| BACKOFF.wait(attempt, None)).collect();
            assert!(waits.iter().all(|wait| *wait <= ceiling));
            // 2,000 draws miss a tenth of the range with a chance of 0.9^2000, about 1e-92.
            assert!(waits.iter().any(|wait| *wait < ceiling / 10));
            assert!(waits.iter().any(|wait| *wait > ceiling * 9 / 10));
        }
    }

    #[test]
    fn the_venues_wish_is_the_least_and_has_a_bound() {
        let wish = Duration::from_secs(7);
        assert_eq!(BACKOFF.wait(0, Some(wish)), wish);
        let day = Duration::from_secs(86_400);
        assert_eq!(BACKOFF.wait(0, Some(day)), LONGEST_WISH);
    }

    #[test]
    fn retry_after_has_two_forms() {
        assert_eq!(retry_after(" 12 "), Some(Duration::from_secs(12)));
        assert_eq!(
            retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon"), None);
    }
}

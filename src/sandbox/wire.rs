//! Rows as the venue serves them, written for the sandbox alone: field names, JSON types and traps
//! of the recorded answers. Extra is only `simulated: true`.

pub(super) mod clob;
pub(super) mod data;
pub(super) mod gamma;

#[cfg(test)]
mod phases;
#[cfg(test)]
pub(super) mod recorded;

use crate::domain::Timestamp;

/// `2026-11-23T08:00:00Z`.
pub(super) fn rfc3339(time: Timestamp) -> String {
    time.to_rfc3339()
}

/// `2026-11-23`.
pub(super) fn date(time: Timestamp) -> String {
    time.to_rfc3339().chars().take(10).collect()
}

/// Gamma's `closedTime`: `2026-03-19 23:20:15+00`, which is not RFC 3339.
pub(super) fn closed_time(time: Timestamp) -> String {
    let text: String = time.to_rfc3339().chars().take(19).collect();
    text.replace('T', " ") + "+00"
}

/// A float sum without its last bits, so that it prints as an amount does.
pub(super) fn round6(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_forms_that_the_venue_uses() {
        let time = Timestamp::from_secs(1_795_420_800);
        assert_eq!(rfc3339(time), "2026-11-23T08:00:00Z");
        assert_eq!(date(time), "2026-11-23");
        assert_eq!(closed_time(time.plus_millis(250)), "2026-11-23 08:00:00+00");
    }
}

//! Taker fees of recorded markets: as stated, or assumed where the files do not state them.

use crate::domain::{FeeSchedule, MoneyError, Timestamp};

/// From this moment on most categories pay a taker fee: 2026-03-30T00:00:00Z.
pub const FEES_SINCE: Timestamp = Timestamp::from_secs(1_774_828_800);

/// How the fee of a market follows from what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeRule {
    /// What is charged before [`FEES_SINCE`].
    before: FeeSchedule,
    /// What is charged from then on.
    later: FeeSchedule,
}

impl FeeRule {
    /// `fees_enabled` as the metadata states it, `category` where known.
    ///
    /// Metadata that says "no fees" is believed. Otherwise the rates are those that the venue
    /// charged in October 2026, by category (docs.polymarket.com, trading/fees): an assumption,
    /// because the recordings hold no fee fields.
    pub fn new(fees_enabled: Option<bool>, category: Option<&str>) -> Result<Self, MoneyError> {
        let later = if fees_enabled == Some(false) {
            FeeSchedule::FREE
        } else {
            FeeSchedule::new(october_2026_rate(category), 1)?
        };
        Ok(FeeRule {
            before: FeeSchedule::FREE,
            later,
        })
    }

    /// The market's own terms, as the venue stated them: charged at all times. A market that was
    /// free at first may have paid less.
    #[must_use]
    pub fn stated(schedule: FeeSchedule) -> Self {
        FeeRule {
            before: schedule,
            later: schedule,
        }
    }

    /// The terms in force at `moment`.
    #[must_use]
    pub fn at(self, moment: Timestamp) -> FeeSchedule {
        if moment < FEES_SINCE {
            self.before
        } else {
            self.later
        }
    }
}

/// Rates of October 2026; exponent 1 for all of them.
fn october_2026_rate(category: Option<&str>) -> &'static str {
    let category = category.unwrap_or_default().to_ascii_lowercase();
    match category.as_str() {
        "crypto" => "0.07",
        "finance" | "politics" | "mentions" | "tech" => "0.04",
        "geopolitics" => "0",
        // Sports, economics, culture, weather and all others alike.
        _ => "0.05",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_depends_on_the_date_and_the_category() {
        let last_free = Timestamp::parse("2026-03-29T23:59:59.999Z").unwrap();
        let first_paid = Timestamp::parse("2026-03-30").unwrap();
        for (category, rate) in [
            (Some("crypto"), 0.07),
            (Some("Sports"), 0.05),
            (Some("politics"), 0.04),
            (Some("weather"), 0.05),
            (Some("geopolitics"), 0.0),
            (None, 0.05),
        ] {
            let rule = FeeRule::new(None, category).unwrap();
            assert!(rule.at(last_free).is_free(), "{category:?}");
            assert_eq!(rule.at(first_paid).rate(), rate, "{category:?}");
        }
        let stated = FeeRule::new(Some(false), Some("crypto")).unwrap();
        assert!(stated.at(first_paid).is_free());
        let enabled = FeeRule::new(Some(true), Some("crypto")).unwrap();
        assert_eq!(enabled.at(first_paid).rate(), 0.07);
        let own = FeeSchedule::new("0.25", 2).unwrap();
        assert_eq!(FeeRule::stated(own).at(first_paid), own);
        assert_eq!(FeeRule::stated(own).at(last_free), own);
    }
}

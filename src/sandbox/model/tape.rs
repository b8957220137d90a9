//! What was traded: the latest prints, and volume by the hour.

use std::collections::VecDeque;

use crate::domain::{Price, Shares, Side, Timestamp};
use crate::sandbox::exchange::OutcomeSide;

/// Prints that are kept of each market.
const PRINTS: usize = 50;
/// Hourly readings that make a day.
const DAY: usize = 24;

/// One trade, from the taker's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) struct Print {
    /// Counts the market's prints from 1.
    pub number: u64,
    pub at: Timestamp,
    pub outcome: OutcomeSide,
    pub side: Side,
    pub price: Price,
    pub size: Shares,
}

/// A market's trades so far.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct Tape {
    prints: VecDeque<Print>,
    count: u64,
    /// pUSD traded in stretches that were not simulated trade by trade.
    unsimulated: f64,
    /// Total volume at the last full hours, newest last.
    hours: VecDeque<f64>,
}

impl Tape {
    /// Adds a print.
    pub(in crate::sandbox) fn print(
        &mut self,
        at: Timestamp,
        (outcome, side): (OutcomeSide, Side),
        price: Price,
        size: Shares,
    ) {
        self.count += 1;
        if self.prints.len() == PRINTS {
            self.prints.pop_front();
        }
        self.prints.push_back(Print {
            number: self.count,
            at,
            outcome,
            side,
            price,
            size,
        });
    }

    /// The latest prints, newest first.
    pub(in crate::sandbox) fn prints(&self) -> impl Iterator<Item = &Print> {
        self.prints.iter().rev()
    }

    /// Adds pUSD of a stretch that was not simulated.
    pub(in crate::sandbox) fn add_unsimulated(&mut self, amount: f64) {
        self.unsimulated += amount;
    }

    /// pUSD of all stretches that were not simulated.
    pub(in crate::sandbox) fn unsimulated(&self) -> f64 {
        self.unsimulated
    }

    /// Reads the total volume at a full hour.
    pub(in crate::sandbox) fn hour(&mut self, total: f64) {
        if self.hours.len() == DAY {
            self.hours.pop_front();
        }
        self.hours.push_back(total);
    }

    /// Volume of the last 24 hours, to the hour; all of it in a younger market.
    pub(in crate::sandbox) fn day(&self, total: f64) -> f64 {
        if self.hours.len() < DAY {
            return total;
        }
        (total - self.hours.front().copied().unwrap_or(0.0)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_fifty_prints_are_kept_newest_first() {
        let mut tape = Tape::default();
        for second in 1..=60 {
            tape.print(
                Timestamp::from_secs(second),
                (OutcomeSide::First, Side::Buy),
                Price::ONE,
                Shares::whole(7),
            );
        }
        let numbers: Vec<u64> = tape.prints().map(|print| print.number).collect();
        assert_eq!(numbers.len(), 50);
        assert_eq!((numbers[0], numbers[49]), (60, 11));
    }

    #[test]
    fn a_days_volume_is_the_difference_of_hourly_readings() {
        let mut tape = Tape::default();
        assert_eq!(tape.day(12.5), 12.5);
        for hour in 0..30 {
            tape.hour(f64::from(hour) * 10.0);
        }
        // Readings 6 to 29 are left: 60 was the total 24 readings ago.
        assert_eq!(tape.day(295.0), 235.0);
    }
}

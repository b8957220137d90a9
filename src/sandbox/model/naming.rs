//! Identifiers and made-up texts. Nothing here names a real person, team, coin or place.

use ethnum::U256;

use super::market::{Category, FeeTerms, Version};
use crate::domain::{FeeSchedule, MoneyError, Timestamp};
use crate::sandbox::noise::{Stream, hex, mix};

const PLACES: [&str; 12] = [
    "Norvale",
    "Estmark",
    "Quillon",
    "Brightwater",
    "Harrowmere",
    "Tessaly",
    "Ostrand",
    "Veldt Bay",
    "Caldermoor",
    "Pinefall",
    "Sundrift",
    "Lowmarsh",
];
const TEAMS: [&str; 10] = [
    "Herons", "Lanterns", "Otters", "Comets", "Millers", "Foxes", "Anvils", "Swifts", "Badgers",
    "Tides",
];
const PARTIES: [&str; 12] = [
    "Orchard Party",
    "Harbour League",
    "Civic Union",
    "Meadow Alliance",
    "Northern List",
    "Lantern Front",
    "Riverside Bloc",
    "Open Gate Movement",
    "Weavers' Guild",
    "Highland Voice",
    "Copper Coast Group",
    "Quiet Majority",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const COINS: [&str; 6] = ["ALFA", "BRIO", "CEDAR", "DUNE", "EMBER", "FJORD"];

impl Category {
    /// Label and tag id.
    pub(in crate::sandbox) fn tag(self) -> (&'static str, u64) {
        match self {
            Category::Crypto => ("Crypto", 21),
            Category::Sports => ("Sports", 1),
            Category::Politics => ("Politics", 2),
            Category::Geopolitics => ("Geopolitics", 100_265),
            Category::Culture => ("Culture", 596),
            Category::Economics => ("Economy", 100_328),
        }
    }

    /// All of them, each once.
    pub(in crate::sandbox) fn all() -> impl Iterator<Item = Self> {
        (0..6).map(Category::turn)
    }

    /// The `number`-th category of a round robin.
    pub(in crate::sandbox) fn turn(number: usize) -> Self {
        match number % 6 {
            0 => Category::Politics,
            1 => Category::Crypto,
            2 => Category::Sports,
            3 => Category::Economics,
            4 => Category::Geopolitics,
            _ => Category::Culture,
        }
    }

    /// Taker fee terms as of October 2026 (the venue's fee page, typical rows).
    pub(in crate::sandbox) fn fee(self) -> Result<FeeTerms, MoneyError> {
        let (rate, name, rebate) = match self {
            Category::Crypto => ("0.07", Some("crypto_fees"), 0.2),
            Category::Sports => ("0.05", Some("sports_fees"), 0.25),
            Category::Politics => ("0.04", Some("politics_fees"), 0.25),
            Category::Geopolitics => ("0", None, 0.0),
            Category::Culture => ("0.05", Some("culture_fees"), 0.25),
            Category::Economics => ("0.05", Some("economics_fees"), 0.25),
        };
        Ok(FeeTerms {
            schedule: FeeSchedule::new(rate, 1)?,
            name,
            rebate,
        })
    }
}

/// Title of an event, its question where it is a lone market, and the names of its outcomes.
pub(in crate::sandbox) struct Texts {
    pub title: String,
    pub outcomes: [&'static str; 2],
}

fn pick<'a>(names: &[&'a str], random: &mut Stream) -> &'a str {
    names.get(random.index(names.len())).copied().unwrap_or("?")
}

/// Texts of a lone market.
pub(in crate::sandbox) fn lone(category: Category, version: Version, random: &mut Stream) -> Texts {
    let place = pick(&PLACES, random);
    let number = 10 + random.index(90);
    let yes_no = ["Yes", "No"];
    let (title, outcomes) = match (category, version) {
        (Category::Crypto, Version::V2) => (
            format!("{} Up or Down, round {number}", pick(&COINS, random)),
            ["Up", "Down"],
        ),
        (Category::Crypto, Version::V1) => (
            format!(
                "Will {} trade above {number}0 at the close?",
                pick(&COINS, random)
            ),
            yes_no,
        ),
        (Category::Sports, _) => (
            format!(
                "Will the {place} {} win match {number}?",
                pick(&TEAMS, random)
            ),
            yes_no,
        ),
        (Category::Politics, _) => (
            format!("Will the assembly of {place} pass bill {number}?"),
            yes_no,
        ),
        (Category::Geopolitics, _) => (
            format!(
                "Will {place} and {} sign accord {number}?",
                pick(&PLACES, random)
            ),
            yes_no,
        ),
        (Category::Culture, _) => (
            format!("Will the {place} festival sell more than {number},000 tickets?"),
            yes_no,
        ),
        (Category::Economics, _) => (
            format!(
                "Will inflation in {place} exceed {}.{} %?",
                number % 9 + 1,
                number % 10
            ),
            yes_no,
        ),
    };
    Texts {
        title: format!("[SIM] {title}"),
        outcomes,
    }
}

/// Title of a neg-risk event, and the names of its `count` outcomes.
pub(in crate::sandbox) fn exclusive(count: usize, random: &mut Stream) -> (String, Vec<String>) {
    let place = pick(&PLACES, random);
    let title = format!(
        "[SIM] Which party wins most seats in {place}, election {}?",
        10 + random.index(90)
    );
    let names = PARTIES.iter().take(count).map(|name| (*name).to_owned());
    (title, names.collect())
}

/// What a date ladder asks about: a clause that takes "by December 5" at its end.
pub(in crate::sandbox) fn dated(random: &mut Stream) -> String {
    let place = pick(&PLACES, random);
    format!("[SIM] Will {place} ratify treaty {}", 10 + random.index(90))
}

/// Month and day of a moment, in UTC: `December 5`.
pub(in crate::sandbox) fn month_and_day(time: Timestamp) -> String {
    let text = time.to_rfc3339();
    let part = |from: usize| text.get(from..from + 2).and_then(|two| two.parse().ok());
    let (month, day): (usize, usize) = (part(5).unwrap_or(1), part(8).unwrap_or(1));
    let name = MONTHS.get(month.saturating_sub(1)).copied().unwrap_or("?");
    format!("{name} {day}")
}

/// Lower-case words of a title joined by hyphens, and the id that makes it unique.
pub(in crate::sandbox) fn slug(title: &str, id: u64) -> String {
    let mut slug = String::with_capacity(title.len() + 8);
    for character in title.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    format!("{}-{id}", slug.trim_end_matches('-'))
}

/// A number of the size of a v1 token id: 256 bits, top bit set, so always 77 or 78 digits.
fn large_number(parts: &[u64]) -> String {
    let digits = hex(parts, 62);
    // 62 hex digits always parse; the marker in front keeps the length.
    U256::from_str_radix(&format!("8f{digits}"), 16)
        .unwrap_or(U256::ONE)
        .to_string()
}

/// Condition id and token ids of a v1 market.
pub(in crate::sandbox) fn v1_ids(seed: u64, market: usize) -> (String, [String; 2]) {
    let key = [seed, market as u64];
    let [seed, market] = key;
    (
        format!("0x{}", hex(&[seed, market, 0xC0D], 64)),
        [
            large_number(&[seed, market, 0x701]),
            large_number(&[seed, market, 0x702]),
        ],
    )
}

/// Condition id (31 bytes, padded to 32 as most routes serve it) and position ids of a v2 market:
/// module 1 (binary) or 2 (neg-risk), 128 bits of base hash, zeros, the outcome in the low byte.
pub(in crate::sandbox) fn v2_ids(
    seed: u64,
    market: usize,
    neg_risk: bool,
) -> (String, [String; 2]) {
    let base = hex(&[seed, market as u64, 0x5EC], 32);
    let module = if neg_risk { "02" } else { "01" };
    let position = |outcome: u8| {
        let digits = format!("{module}{base}{}{outcome:02x}", "0".repeat(28));
        U256::from_str_radix(&digits, 16)
            .unwrap_or(U256::ONE)
            .to_string()
    };
    (
        format!("0x{module}{base}{}", "0".repeat(30)),
        [position(0), position(1)],
    )
}

/// Base of an event's question ids: the last byte counts its questions.
pub(in crate::sandbox) fn question_base(seed: u64, event: usize) -> String {
    format!("0x{}", hex(&[seed, event as u64, 0x9E5], 62))
}

/// A fictional wallet.
pub(in crate::sandbox) fn wallet(seed: u64, number: u64) -> String {
    format!("0x51{}", hex(&[seed, number, 0x3A1], 38))
}

/// A hash-like text of 40 hex digits for a book.
pub(in crate::sandbox) fn book_hash(seed: u64, market: usize, outcome: usize, time: i64) -> String {
    let key = mix(&[seed, market as u64, outcome as u64]);
    hex(&[key, time as u64], 40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_position_ids_have_the_layout_of_the_recorded_ones() {
        let (condition, [first, second]) = v2_ids(1, 5, false);
        let first = U256::from_str_radix(&first, 10).unwrap();
        let second = U256::from_str_radix(&second, 10).unwrap();
        assert_eq!(first + U256::ONE, second);
        let reserved = U256::from(u64::MAX) << 40;
        assert_eq!(first & reserved, U256::ZERO);
        // The condition id is the position id without its low byte.
        let served = U256::from_str_radix(condition.trim_start_matches("0x"), 16).unwrap();
        assert_eq!(served, first & !U256::from(255_u8));
        assert_eq!(condition.len(), 66);
        assert!(v2_ids(1, 5, true).0.starts_with("0x02"));
    }

    #[test]
    fn dates_are_read_from_the_moment() {
        let day = |text: &str| month_and_day(Timestamp::parse(text).unwrap());
        assert_eq!(day("2026-12-05T23:59:00Z"), "December 5");
        assert_eq!(day("2027-01-31T00:00:00.250Z"), "January 31");
    }

    #[test]
    fn v1_token_ids_are_too_large_for_any_machine_integer() {
        let (condition, [first, second]) = v1_ids(1, 5);
        assert_eq!(condition.len(), 66);
        assert_ne!(first, second);
        for token in [first, second] {
            assert!((77..=78).contains(&token.len()), "{token}");
            let value = U256::from_str_radix(&token, 10).unwrap();
            assert_ne!(value & (U256::from(u64::MAX) << 40), U256::ZERO);
        }
    }

    #[test]
    fn slugs_are_plain_and_unique() {
        assert_eq!(
            slug("[SIM] Will inflation in Norvale exceed 3.2 %?", 9),
            "sim-will-inflation-in-norvale-exceed-3-2-9"
        );
    }
}

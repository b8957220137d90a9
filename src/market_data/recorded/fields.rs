//! Numbers and times of a CSV field, read from bytes without allocating.
//!
//! The forms that nearly every row has are read directly; all others go through the domain's
//! parsers, which also decide what is wrong with them.

use crate::domain::{MoneyError, Price, Timestamp, Usdc};

/// Digits that always fit into an `i64`: twelve before the point and six after it.
const MAX_DIGITS: usize = 18;

/// A plain decimal such as `0.0175` or `806930.04` in micro-units; `None` for any other form.
fn plain_micros(field: &[u8]) -> Option<i64> {
    let mut micros: i64 = 0;
    let mut digits = 0_usize;
    let mut decimals: Option<usize> = None;
    for byte in field {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if digits > MAX_DIGITS {
                    return None;
                }
                micros = micros * 10 + i64::from(byte - b'0');
                if let Some(count) = decimals.as_mut() {
                    *count += 1;
                }
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            _ => return None,
        }
    }
    let decimals = decimals.unwrap_or(0);
    if digits == 0 || decimals > 6 || digits - decimals > MAX_DIGITS - 6 {
        return None;
    }
    Some((decimals..6).fold(micros, |value, _| value * 10))
}

/// A price between 0 and 1, rounded to the micro-unit: mid prices may have more decimals.
pub(super) fn price(field: &[u8]) -> Result<Price, MoneyError> {
    if let Some(micros) = plain_micros(field).and_then(|micros| u32::try_from(micros).ok()) {
        return Price::from_micros(micros);
    }
    Price::parse_rounded(&String::from_utf8_lossy(field))
}

/// An amount of pUSD; empty or zero is unknown and gives `None`.
pub(super) fn volume(field: &[u8]) -> Result<Option<Usdc>, MoneyError> {
    if field.is_empty() {
        return Ok(None);
    }
    let volume = match plain_micros(field) {
        Some(micros) => Usdc::from_micros(micros),
        None => Usdc::parse_rounded(&String::from_utf8_lossy(field))?,
    };
    if volume < Usdc::ZERO {
        return Err(MoneyError::Negative(volume.to_string()));
    }
    Ok((volume > Usdc::ZERO).then_some(volume))
}

/// A price from a floating-point number, rounded to the micro-unit.
pub(super) fn price_of_f64(value: f64) -> Result<Price, MoneyError> {
    Price::nearest(value).map_or_else(|| Price::from_f64_rounded(value), Ok)
}

/// Floating-point numbers up to here have at least two exact decimals.
const MAX_F64_VOLUME: f64 = 1e13;

/// An amount of pUSD from a floating-point number; zero is unknown and gives `None`.
pub(super) fn volume_of_f64(value: f64) -> Result<Option<Usdc>, MoneyError> {
    if !(0.0..=MAX_F64_VOLUME).contains(&value) {
        let volume = Usdc::from_f64_rounded(value)?;
        return Err(MoneyError::Negative(volume.to_string()));
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e19")]
    let micros = (value * 1e6).round() as i64;
    Ok((micros > 0).then(|| Usdc::from_micros(micros)))
}

/// A moment in any form that [`Timestamp::parse`] reads.
pub(super) fn timestamp(field: &[u8]) -> Option<Timestamp> {
    if let Some(moment) = utc_seconds(field) {
        return Some(Timestamp::from_secs(moment));
    }
    // Ten digits are seconds, thirteen milliseconds. More might not fit into a number.
    match field.len() {
        10 => {
            if let Some(seconds) = number(field) {
                return Some(Timestamp::from_secs(seconds));
            }
        }
        13 => {
            if let Some(millis) = number(field).filter(|millis| *millis > 100_000_000_000) {
                return Some(Timestamp::from_millis(millis));
            }
        }
        _ => {}
    }
    Timestamp::parse(std::str::from_utf8(field).ok()?)
}

/// A moment from seconds or milliseconds since the epoch, as their size tells.
pub(super) fn epoch(value: i64) -> Option<Timestamp> {
    Timestamp::parse(&value.to_string())
}

/// Whether a moment, in ms since the epoch, lies between 1970 and 9999.
pub(super) fn is_plausible(millis: i64) -> bool {
    (0..=253_402_300_799_999).contains(&millis)
}

/// Seconds since the epoch of `YYYY-MM-DDTHH:MM:SSZ`; `None` for any other form.
fn utc_seconds(field: &[u8]) -> Option<i64> {
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        o1,
        o2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        m1,
        m2,
        b':',
        s1,
        s2,
        b'Z',
    ] = field
    else {
        return None;
    };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let month = number(&[*o1, *o2])?;
    let day = number(&[*d1, *d2])?;
    let (hour, minute, second) = (
        number(&[*h1, *h2])?,
        number(&[*m1, *m2])?,
        number(&[*s1, *s2])?,
    );
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=month_days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since the epoch in the proleptic Gregorian calendar, with years that begin in March so
    // that the leap day comes last.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// At most [`MAX_DIGITS`] digits as a number.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;

    proptest! {
        #[test]
        fn quick_numbers_agree_with_the_decimal_library(
            whole in "[0-9]{0,30}",
            decimals in proptest::option::of("[0-9]{0,30}"),
        ) {
            let digits = decimals.as_deref().unwrap_or("");
            let text = match &decimals {
                Some(decimals) => format!("{whole}.{decimals}"),
                None => whole.clone(),
            };
            let quick = plain_micros(text.as_bytes());
            let short = whole.len() <= 12 && digits.len() <= 6 && whole.len() + digits.len() > 0;
            prop_assert_eq!(quick.is_some(), short, "{}", text);
            if let Some(micros) = quick {
                let exact = Decimal::from_str(&text).unwrap() * Decimal::from(1_000_000);
                prop_assert_eq!(Decimal::from(micros), exact, "{}", text);
            }
            // The messages may word the same number differently.
            let kind = |error: MoneyError| std::mem::discriminant(&error);
            prop_assert_eq!(
                price(text.as_bytes()).map_err(kind),
                Price::parse_rounded(&text).map_err(kind),
                "{}", text
            );
        }
    }

    #[test]
    fn more_digits_than_fit_are_rounded_and_do_not_overflow() {
        assert_eq!(
            price(b"0.10000000000000000000001").unwrap().micros(),
            100_000
        );
        assert_eq!(
            price(b"0.99999999999999999999").unwrap().micros(),
            1_000_000
        );
        assert_eq!(price(b"00000000000000000000.5").unwrap().micros(), 500_000);
        assert!(price(b"99999999999999999999999").is_err());
        // The largest that is read directly: 18 nines.
        assert_eq!(
            volume(b"999999999999.999999").unwrap(),
            Some(Usdc::from_micros(999_999_999_999_999_999))
        );
        assert!(volume(b"99999999999999999999999").is_err());
    }

    #[test]
    fn quick_times_agree_with_the_calendar_library() {
        // Every 11 h 37 min 13 s from 1970 to beyond 2100: leap years and centuries included.
        let mut seconds = 0_i64;
        while seconds < 4_200_000_000 {
            let text = Timestamp::from_secs(seconds).to_rfc3339();
            assert_eq!(utc_seconds(text.as_bytes()), Some(seconds), "{text}");
            seconds += 11 * 3600 + 37 * 60 + 13;
        }
        for odd in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-0aT00:00:00Z",
            "2026-00-01T00:00:00Z",
        ] {
            assert_eq!(timestamp(odd.as_bytes()), None, "{odd}");
        }
        let offset = b"2026-02-27T09:00:00.250+01:00";
        assert_eq!(
            timestamp(offset),
            Some(Timestamp::from_millis(1_772_179_200_250))
        );
    }

    #[test]
    fn epochs_are_seconds_or_milliseconds_by_their_size() {
        let noon = Timestamp::from_secs(1_772_452_800);
        for text in ["1772452800", "1772452800000", "2026-03-02T12:00:00Z"] {
            assert_eq!(timestamp(text.as_bytes()), Some(noon), "{text}");
        }
        assert_eq!(epoch(1_772_452_800), Some(noon));
        assert_eq!(epoch(1_772_452_800_000), Some(noon));
        assert_eq!(epoch(-5), None);
        let long = "98810375856043174529847531433052703728340519417128511611454820";
        assert_eq!(timestamp(long.as_bytes()), None, "found by fuzzing");
        // The quick way and the general one agree at its borders.
        for text in ["9999999999", "1000000000000", "0000000007", "9999999999999"] {
            assert_eq!(timestamp(text.as_bytes()), Timestamp::parse(text), "{text}");
        }
    }

    #[test]
    fn floating_point_numbers_are_rounded_to_micro_units() {
        assert_eq!(price_of_f64(0.1).unwrap().micros(), 100_000);
        assert_eq!(price_of_f64(f64::from(0.55_f32)).unwrap().micros(), 550_000);
        assert_eq!(price_of_f64(1.0).unwrap().micros(), 1_000_000);
        assert!(matches!(price_of_f64(1.5), Err(MoneyError::PriceRange(_))));
        for odd in [f64::NAN, f64::INFINITY, -0.1] {
            assert!(price_of_f64(odd).is_err(), "{odd}");
            assert!(volume_of_f64(odd).is_err(), "{odd}");
        }
        let exact = volume_of_f64(806_930.04).unwrap();
        assert_eq!(exact, Some(Usdc::from_micros(806_930_040_000)));
        assert_eq!(volume_of_f64(0.0).unwrap(), None);
        assert!(matches!(volume_of_f64(-3.0), Err(MoneyError::Negative(_))));
        assert!(volume_of_f64(1e300).is_err());
    }

    #[test]
    fn prices_and_volumes_are_exact() {
        assert_eq!(price(b"0.0175").unwrap().micros(), 17_500);
        assert_eq!(price(b".5").unwrap().micros(), 500_000);
        assert_eq!(price(b"1").unwrap().micros(), 1_000_000);
        assert_eq!(price(b"9e-3").unwrap().micros(), 9_000);
        assert_eq!(price(b"0.33333333").unwrap().micros(), 333_333);
        assert_eq!(
            price(b"1.01"),
            Err(MoneyError::PriceRange("1010000e-6".into()))
        );
        for odd in ["-0.1", "7000", "NaN", "", ".", "0.5.5", "half"] {
            assert!(price(odd.as_bytes()).is_err(), "{odd}");
        }
        assert_eq!(
            volume(b"806930.04").unwrap(),
            Some(Usdc::from_micros(806_930_040_000))
        );
        assert_eq!(volume(b"0").unwrap(), None, "0 is unknown");
        assert_eq!(volume(b"0.0").unwrap(), None);
        assert_eq!(volume(b"").unwrap(), None);
        assert!(volume(b"-3").is_err());
        assert!(volume(b"1e400").is_err());
        assert!(volume(b"inf").is_err());
    }
}

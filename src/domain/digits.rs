//! Decimals written by hand: a tick says thousands of prices in words, and the general printing of
//! floats goes by big integers.

use std::fmt;

/// A float with so many decimals, rounded half away from zero: `Fixed(0.12345, 4)` is `0.1235`.
/// With `{:+}` a sign stands before numbers that are not negative, too. For reading only.
#[derive(Debug, Clone, Copy)]
pub struct Fixed(pub f64, pub u32);

/// Beyond this the digits of a float after the point mean nothing.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fixed(value, places) = *self;
        let places = places.min(12);
        let unit = 10_u64.pow(places);
        let scaled = (value.abs() * unit as f64).round();
        if !scaled.is_finite() || scaled >= EXACT {
            return fmt::Display::fmt(&value, f);
        }
        // Below 2^53: the conversion is exact.
        let scaled = scaled as u64;
        let negative = value < 0.0 && scaled > 0;
        if f.sign_plus() && !negative {
            f.write_str("+")?;
        }
        write_decimal(f, negative, scaled / unit, scaled % unit, places)
    }
}

/// Writes `whole.fraction`, the fraction with `places` digits (none and no point when 0).
pub(super) fn write_decimal(
    f: &mut fmt::Formatter<'_>,
    negative: bool,
    mut whole: u64,
    mut fraction: u64,
    places: u32,
) -> fmt::Result {
    // 20 digits before the point, 12 after it, the point and the sign.
    let mut text = [0_u8; 34];
    let mut free = text.len();
    let mut put = |byte: u8| {
        free = free.saturating_sub(1);
        if let Some(place) = text.get_mut(free) {
            *place = byte;
        }
    };
    let digit = |number: u64| b'0' + (number % 10) as u8;
    for _ in 0..places {
        put(digit(fraction));
        fraction /= 10;
    }
    if places > 0 {
        put(b'.');
    }
    loop {
        put(digit(whole));
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    if negative {
        put(b'-');
    }
    let shown = text
        .get(free..)
        .and_then(|shown| str::from_utf8(shown).ok());
    f.write_str(shown.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn floats_are_shown_with_so_many_decimals() {
        let shown = |value: f64, places| Fixed(value, places).to_string();
        assert_eq!(shown(0.5, 4), "0.5000");
        assert_eq!(shown(0.12345678, 4), "0.1235");
        assert_eq!(shown(-1.5, 0), "-2");
        assert_eq!(shown(12.0, 2), "12.00");
        assert_eq!(shown(-0.00001, 4), "0.0000", "no sign on nothing");
        assert_eq!(format!("{:+}", Fixed(0.25, 2)), "+0.25");
        assert_eq!(format!("{:+}", Fixed(-0.25, 2)), "-0.25");
        assert_eq!(format!("{:+}", Fixed(0.0, 2)), "+0.00");
        assert_eq!(shown(f64::NAN, 2), "NaN");
        assert_eq!(shown(f64::INFINITY, 2), "inf");
        assert_eq!(shown(1e300, 2), 1e300.to_string());
    }

    proptest! {
        /// The general printing rounds the exact binary value; ours may differ by one in the last
        /// place where that lies a hair beside a half.
        #[test]
        fn it_agrees_with_the_general_printing(value in -1e6_f64..1e6, places in 0_u32..8) {
            let ours: f64 = Fixed(value, places).to_string().parse().unwrap();
            let general: f64 = format!("{value:.*}", places as usize).parse().unwrap();
            prop_assert!((ours - general).abs() <= 1.01 * 10_f64.powi(-(places as i32)));
            prop_assert!((ours - value).abs() <= 0.5001 * 10_f64.powi(-(places as i32)) + 1e-9);
        }
    }
}

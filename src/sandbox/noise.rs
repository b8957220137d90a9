//! Random numbers from a seed: streams for paths, and hashes for values that must not depend on
//! who asked before.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// 64 well-mixed bits from any key (the finaliser of SplitMix64, applied per part).
pub(super) fn mix(parts: &[u64]) -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for part in parts {
        state = (state ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^= state >> 31;
    }
    state
}

/// Uniform in [0, 1) from 64 bits.
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Standard normal from two independent 64-bit words (Box–Muller).
fn gaussian(first: u64, second: u64) -> f64 {
    // 1 − u is in (0, 1], so its logarithm is finite.
    let radius = (-2.0 * (1.0 - unit(first)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(second)).cos()
}

/// Standard normal that belongs to a key.
pub(super) fn normal_of(parts: &[u64]) -> f64 {
    let first = mix(parts);
    gaussian(first, mix(&[first]))
}

/// A stream of random numbers that belongs to a key.
pub(super) fn stream(parts: &[u64]) -> Stream {
    Stream(ChaCha8Rng::seed_from_u64(mix(parts)))
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Stream(ChaCha8Rng);

impl Stream {
    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        unit(self.0.next_u64())
    }

    /// Uniform in [low, high).
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Standard normal.
    pub(super) fn normal(&mut self) -> f64 {
        gaussian(self.0.next_u64(), self.0.next_u64())
    }

    /// Uniform in 0..count; 0 when `count` is 0.
    pub(super) fn index(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }
}

/// So many lower-case hex digits from a key.
pub(super) fn hex(parts: &[u64], digits: usize) -> String {
    let mut text = String::with_capacity(digits + 16);
    let mut word = mix(parts);
    while text.len() < digits {
        text.push_str(&format!("{word:016x}"));
        word = mix(&[word, digits as u64]);
    }
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let mut stream = stream(&[7]);
        let count = 40_000;
        let draws: Vec<f64> = (0..count).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(count);
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / f64::from(count);
        // Standard errors: 0.005 and 0.007.
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn keys_decide_and_their_order_matters() {
        assert_eq!(hex(&[1, 2], 40), hex(&[1, 2], 40));
        assert_ne!(hex(&[1, 2], 40), hex(&[2, 1], 40));
        assert_eq!(hex(&[1], 40).len(), 40);
        assert_eq!(stream(&[3]).index(0), 0);
    }
}

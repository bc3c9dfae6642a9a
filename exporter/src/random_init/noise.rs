//! Random numbers by address: the i-th number of a named stream, the same on every machine and in any order.

use std::f64::consts::TAU;

/// A stream of independent random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    key: u64,
}

impl Noise {
    /// The stream called `stream` of `seed`.
    #[must_use]
    pub fn new(seed: u64, stream: &str) -> Self {
        Self { key: stream.bytes().fold(mix(seed), |key, byte| mix(key ^ u64::from(byte))) }
    }

    /// Number `i`, uniform in (0, 1).
    #[must_use]
    pub fn uniform(&self, i: u64) -> f64 {
        ((mix(self.key.wrapping_add(i.wrapping_mul(GOLDEN_GAMMA))) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Number `i`, nearly normal with mean 0 and variance 1: the sum of four uniform numbers of 16 bits each (Irwin and
    /// Hall). Ten times cheaper than a logarithm, no larger than 3.46, and the same bits on every machine.
    #[must_use]
    pub fn bell(&self, i: u64) -> f32 {
        // Four uniforms on 0..65536 have the variance 4 · 65536²/12 together.
        const MEAN: f32 = 2.0 * 65535.0;
        const SD: f32 = 65536.0 * 0.577_350_26;
        let bits = mix(self.key.wrapping_add(i.wrapping_mul(GOLDEN_GAMMA)));
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        (sum as f32 - MEAN) / SD
    }

    /// Number `i`, normal with mean 0 and variance 1 (Box and Muller's cosine half).
    #[must_use]
    pub fn normal(&self, i: u64) -> f64 {
        (-2.0 * self.uniform(2 * i).ln()).sqrt() * (TAU * self.uniform(2 * i + 1)).cos()
    }

    /// The first `count` normal numbers.
    pub fn normals(self, count: usize) -> impl Iterator<Item = f64> {
        (0..count as u64).map(move |i| self.normal(i))
    }
}

/// 2^64 divided by the golden ratio, odd: steps of SplitMix64.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea and Flood 2014): every bit of the input moves every bit of the output.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(GOLDEN_GAMMA);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixer_is_splitmix64() {
        // First outputs of the published generator for seed 0.
        let outputs: Vec<u64> = (0..3).map(|i| mix(GOLDEN_GAMMA.wrapping_mul(i))).collect();
        assert_eq!(outputs, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1_and_streams_differ() {
        let n = 100_000;
        let [a, b] = ["a", "b"].map(|stream| Noise::new(7, stream).normals(n).collect::<Vec<_>>());
        let mean = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        // 0.02: six standard errors of a mean of 100,000 numbers, and four of their squares.
        assert!(mean(&|i| a[i]).abs() < 0.02);
        assert!((mean(&|i| a[i] * a[i]) - 1.0).abs() < 0.02);
        assert!(mean(&|i| a[i] * b[i]).abs() < 0.02);

        let bell = |i: usize| f64::from(Noise::new(7, "a").bell(i as u64));
        assert!(mean(&bell).abs() < 0.02 && (mean(&|i| bell(i).powi(2)) - 1.0).abs() < 0.02);
    }
}

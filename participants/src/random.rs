//! A stream of random numbers is a key and a counter, so that any part of a participant can be made alone, and again.

use mindeye_preprocess::phantom::hash;

/// The key of a place in a tree of seeds: `path` names the branches taken from `seed`.
pub(crate) fn key(seed: u64, path: &[u64]) -> u64 {
    path.iter().fold(seed, |key, branch| hash::of(key, *branch))
}

/// Numbers one after another.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    key: u64,
    next: u64,
}

impl Draws {
    /// The numbers of a place in a tree of seeds.
    pub(crate) fn new(seed: u64, path: &[u64]) -> Self {
        Self { key: key(seed, path), next: 0 }
    }

    fn counter(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let counter = self.counter();
        hash::of(self.key, counter)
    }

    /// A number in 0..1.
    pub(crate) fn uniform(&mut self) -> f64 {
        let counter = self.counter();
        hash::uniform(self.key, counter)
    }

    /// A number in `low..high`.
    pub(crate) fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A whole number in `0..count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.uniform() * count as f64) as usize
    }

    /// True with probability `share`.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.uniform() < share
    }

    /// A standard normal number; a branch of its own, because it takes two of the hash.
    pub(crate) fn normal(&mut self) -> f64 {
        hash::normal(self.bits(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_differ_and_repeat() {
        let numbers = |path: &[u64]| {
            let mut draws = Draws::new(7, path);
            [draws.uniform(), draws.normal(), draws.within(2.0, 3.0)]
        };
        assert_eq!(numbers(&[1, 2]), numbers(&[1, 2]));
        assert_ne!(numbers(&[1, 2]), numbers(&[2, 1]));
        assert!((2.0..3.0).contains(&numbers(&[5])[2]));
    }

    #[test]
    fn normal_numbers_are_standard() {
        let mut draws = Draws::new(3, &[]);
        let values: Vec<f64> = (0..40_000).map(|_| draws.normal()).collect();
        let mean = values.iter().sum::<f64>() / 40_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 40_000.0;
        // Standard errors over 40,000 numbers: 0.005 of the mean, 0.007 of the variance; five of each.
        assert!(mean.abs() < 0.025 && (variance - 1.0).abs() < 0.035, "{mean}, {variance}");
    }
}

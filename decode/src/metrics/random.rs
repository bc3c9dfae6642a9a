//! Random choices of a metric: a counter and a seed, the same on every machine.

/// SplitMix64 (Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draws {
    /// The choices of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number in `0..n`; its bias, n/2⁶⁴, is below anything that a metric shows.
    ///
    /// # Panics
    /// When `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "nothing to draw from");
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` different numbers of `0..n`, in random order.
    ///
    /// # Panics
    /// When `count` is above `n`.
    #[must_use]
    pub fn sample(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        self.shuffle(&mut all);
        all.truncate(count);
        assert_eq!(all.len(), count, "{count} different of {n}");
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_of_seed_zero_are_the_published_ones() {
        let mut draws = Draws::new(0);
        // Reference values of SplitMix64 for seed 0 (Vigna's splitmix64.c).
        assert_eq!([draws.bits(), draws.bits()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn a_sample_has_no_number_twice_and_every_number_its_turn() {
        let mut draws = Draws::new(3);
        let mut seen = [0; 10];
        for _ in 0..2000 {
            let mut sample = draws.sample(10, 4);
            sample.iter().for_each(|i| seen[*i] += 1);
            sample.sort_unstable();
            sample.dedup();
            assert_eq!(sample.len(), 4);
        }
        // 800 expected of each, SD 22; five SD.
        assert!(seen.iter().all(|count| (690..=910).contains(count)), "{seen:?}");
    }
}

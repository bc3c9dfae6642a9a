//! How likely a mean rank this good is by luck alone.

/// How many runs of pure luck are drawn.
pub(crate) const DRAWS: u32 = 100_000;

/// P-value of the mean rank under the uniform-rank null: p = (1 + #{null ≤ observed}) / (1 + draws).
///
/// With an embedding that knows nothing of the stimulus, each trial's stimulus is equally likely at any rank from 1 to
/// its pool's size, independently of the other trials. That is what shuffling the stimuli's labels tends to as the pool
/// grows, and needs only the ranks. Drawn from a fixed seed, so that the same ranks give the same p.
/// Cost: draws × trials random numbers, 4 million for 40 trials, some 20 ms.
pub(crate) fn p_uniform_rank(ranks: &[(u32, u32)]) -> Option<f64> {
    if ranks.is_empty() || ranks.iter().any(|&(rank, pool)| rank == 0 || rank > pool) {
        return None;
    }
    let observed: u64 = ranks.iter().map(|&(rank, _)| u64::from(rank)).sum();
    let mut luck = Luck(0x6d69_6e64_6579_6531);
    let as_good = (0..DRAWS).filter(|_| luck.sum_of_ranks(ranks) <= observed).count();
    Some((1.0 + as_good as f64) / (1.0 + f64::from(DRAWS)))
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, seeded, and good enough for counting.
struct Luck(u64);

impl Luck {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform on 1..=pool.
    fn rank(&mut self, pool: u32) -> u64 {
        1 + (((self.next() >> 32) * u64::from(pool)) >> 32)
    }

    fn sum_of_ranks(&mut self, ranks: &[(u32, u32)]) -> u64 {
        ranks.iter().map(|&(_, pool)| self.rank(pool)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_of_one_trial_is_rank_over_pool() {
        for (rank, pool) in [(1, 4), (3, 4), (10, 100), (100, 100)] {
            let p = p_uniform_rank(&[(rank, pool)]).unwrap();
            // 0.006: four standard errors of 100,000 draws at p = 0.5.
            assert!((p - f64::from(rank) / f64::from(pool)).abs() < 0.006, "{rank} of {pool}: {p}");
        }
    }

    #[test]
    fn p_of_two_trials_is_the_count_of_sums() {
        // Two ranks of 1..=3: of the nine sums three are at most 3 (1+1, 1+2, 2+1).
        let p = p_uniform_rank(&[(1, 3), (2, 3)]).unwrap();
        assert!((p - 3.0 / 9.0).abs() < 0.006, "{p}");
    }

    #[test]
    fn perfect_ranks_reach_the_smallest_p_and_worst_ranks_one() {
        assert_eq!(p_uniform_rank(&[(1, 50); 40]), Some(1.0 / 100_001.0));
        assert_eq!(p_uniform_rank(&[(50, 50); 40]), Some(1.0));
    }

    #[test]
    fn same_ranks_give_the_same_p() {
        let ranks = [(4, 30), (9, 30), (2, 20)];
        assert_eq!(p_uniform_rank(&ranks), p_uniform_rank(&ranks));
    }

    #[test]
    fn no_ranks_or_impossible_ones_have_no_p() {
        assert_eq!(p_uniform_rank(&[]), None);
        assert_eq!(p_uniform_rank(&[(0, 5)]), None);
        assert_eq!(p_uniform_rank(&[(6, 5)]), None);
    }
}

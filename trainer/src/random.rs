//! Every random draw follows from (seed, step, purpose) alone, so that a resumed training draws what it would have drawn.
//!
//! SplitMix64 (Steele, Lea and Flood 2014) started from a hash of the three; the generator of libtorch, which draws
//! dropout and noise, is seeded from the same hash at every step.

/// A sequence of draws that depends on nothing but its seed, step and purpose.
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
}

/// 2⁶⁴ over the golden ratio: the increment of SplitMix64.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draws {
    /// The draws of `purpose` at `step` of a training with `seed`.
    #[must_use]
    pub fn new(seed: u64, step: u64, purpose: &str) -> Self {
        let named = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3) // FNV-1a
        });
        Self { state: scrambled(scrambled(scrambled(seed) ^ step) ^ named) }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        scrambled(self.state)
    }

    /// A seed for libtorch's generator.
    pub fn generator_seed(&mut self) -> i64 {
        (self.bits() >> 1) as i64
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform among 0 to `count` - 1; `count` must not be 0. The bias, below `count` / 2⁵³, is not corrected.
    pub fn below(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count - 1)
    }

    /// Standard normal (Box and Muller 1958, one of the pair).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A random order of 0 to `count` - 1 (Fisher and Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = self.below(last + 1);
            order.swap(last, other);
        }
        order
    }

    /// Beta(a, a) as X/(X + Y) of two gamma draws, taken in logarithms: for small a both underflow.
    pub fn symmetric_beta(&mut self, a: f64) -> f64 {
        let (x, y) = (self.log_gamma_draw(a), self.log_gamma_draw(a));
        1.0 / (1.0 + (y - x).exp())
    }

    /// Logarithm of a Gamma(a, 1) draw: that of Gamma(a + 1) (Marsaglia and Tsang 2000) times U^(1/a).
    fn log_gamma_draw(&mut self, a: f64) -> f64 {
        let d = a + 1.0 - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let z = self.normal();
            let v = (1.0 + c * z).powi(3);
            let u = 1.0 - self.uniform();
            if v > 0.0 && u.ln() < 0.5 * z * z + d - d * v + d * v.ln() {
                return d.ln() + v.ln() + (1.0 - self.uniform()).ln() / a;
            }
        }
    }
}

/// SplitMix64's output function.
fn scrambled(mut z: u64) -> u64 {
    z = z.wrapping_add(INCREMENT);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_step_and_purpose_and_on_nothing_else() {
        let first = |seed, step, purpose| Draws::new(seed, step, purpose).bits();
        assert_eq!(first(1, 2, "mix"), first(1, 2, "mix"));
        let others = [first(2, 2, "mix"), first(1, 3, "mix"), first(1, 2, "order"), first(2, 1, "mix")];
        assert!(others.iter().all(|other| *other != first(1, 2, "mix")));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut draws = Draws::new(7, 0, "test");
        let n = 200_000;
        let moments = |values: Vec<f64>| {
            let mean = values.iter().sum::<f64>() / n as f64;
            (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64)
        };
        // 0.01: five standard errors of a mean of 200,000 numbers with variance 1 are 0.011, of the others less.
        let cases = [
            (moments((0..n).map(|_| draws.uniform()).collect()), 0.5, 1.0 / 12.0),
            (moments((0..n).map(|_| draws.normal()).collect()), 0.0, 1.0),
            // Variance of Beta(a, a): 1 / (4 (2a + 1)).
            (moments((0..n).map(|_| draws.symmetric_beta(0.15)).collect()), 0.5, 1.0 / (4.0 * 1.3)),
            (moments((0..n).map(|_| draws.symmetric_beta(2.0)).collect()), 0.5, 1.0 / 20.0),
        ];
        for ((mean, variance), expected_mean, expected_variance) in cases {
            assert!((mean - expected_mean).abs() < 0.01, "{mean} {expected_mean}");
            assert!((variance - expected_variance).abs() < 0.015, "{variance} {expected_variance}");
        }
    }

    #[test]
    fn a_permutation_holds_each_once_and_every_place_is_reached() {
        let mut draws = Draws::new(0, 0, "order");
        let mut seen = [[0_u32; 5]; 5];
        for _ in 0..5_000 {
            let order = draws.permutation(5);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
            order.iter().enumerate().for_each(|(place, item)| seen[place][*item] += 1);
        }
        // 1000 expected in each cell; 200 is seven standard deviations.
        assert!(seen.iter().flatten().all(|count| count.abs_diff(1000) < 200), "{seen:?}");
        assert_eq!(draws.permutation(0), [0; 0]);
    }
}

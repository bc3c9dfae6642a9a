//! Random numbers by counter: a hash of (seed, place) needs no state, so volumes come in any order and never differ.

/// 64 well-mixed bits of `key` and `counter` (the finaliser of SplitMix64, Steele et al. 2014, applied twice).
#[must_use]
pub fn of(key: u64, counter: u64) -> u64 {
    finalise(finalise(key.wrapping_add(GOLDEN)).wrapping_add(counter.wrapping_mul(GOLDEN)))
}

/// A number in 0..1 (0 included) with 53 random bits.
#[must_use]
pub fn uniform(key: u64, counter: u64) -> f64 {
    (of(key, counter) >> 11) as f64 / (1u64 << 53) as f64
}

/// A standard normal number (Box and Muller 1958).
#[must_use]
pub fn normal(key: u64, counter: u64) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(key, 2 * counter)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(key, 2 * counter + 1)).cos()
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn finalise(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// The noise of one volume: per voxel the sum of the eight bytes of a hash, which is Gaussian to within an excess
/// kurtosis of −0.15 and ends at 4.9 SD; integer arithmetic, so it is equal on every machine and costs a nanosecond.
pub struct Noise {
    key: u64,
    scale: f32,
}

/// Mean and SD of a sum of eight bytes: 8 x 127.5 and √(8 (256² − 1)/12).
const BYTES_MEAN: f32 = 1020.0;
const BYTES_SD: f64 = 209.020_732;

impl Noise {
    /// Noise of SD `sd` for volume `index` of the run with this seed.
    #[must_use]
    pub fn new(seed: u64, index: u32, sd: f64) -> Self {
        Self { key: of(seed, NOISE_STREAM + u64::from(index)), scale: (sd / BYTES_SD) as f32 }
    }

    /// At one voxel, scanner's units.
    #[must_use]
    pub fn at(&self, voxel: usize) -> f32 {
        let hash = finalise(self.key.wrapping_add((voxel as u64).wrapping_mul(GOLDEN)));
        let pairs = (hash & 0x00ff_00ff_00ff_00ff) + (hash >> 8 & 0x00ff_00ff_00ff_00ff);
        let sum = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
        (sum as f32 - BYTES_MEAN) * self.scale
    }
}

/// Counters from here on are noise; phases and orders lie below.
const NOISE_STREAM: u64 = 1 << 62;

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
        let values: Vec<f64> = values.collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let kurtosis = values.iter().map(|v| ((v - mean) / sd).powi(4)).sum::<f64>() / n - 3.0;
        (mean, sd, kurtosis)
    }

    #[test]
    fn noise_and_normal_numbers_have_the_moments_they_promise() {
        let noise = Noise::new(5, 17, 2.0);
        let cases = [
            ("noise", moments((0..200_000).map(|v| f64::from(noise.at(v)) / 2.0)), -0.15),
            ("normal", moments((0..200_000).map(|c| normal(5, c))), 0.0),
        ];
        for (name, (mean, sd, kurtosis), expected_kurtosis) in cases {
            // Standard errors over 200,000 numbers: 0.0022 of the mean, 0.0016 of the SD, 0.011 of the kurtosis; 5 of each.
            assert!(mean.abs() < 0.011, "{name}: mean {mean}");
            assert!((sd - 1.0).abs() < 0.008, "{name}: sd {sd}");
            assert!((kurtosis - expected_kurtosis).abs() < 0.055, "{name}: kurtosis {kurtosis}");
        }
    }

    #[test]
    fn neighbours_in_space_and_time_are_uncorrelated() {
        let (now, next) = (Noise::new(5, 17, 1.0), Noise::new(5, 18, 1.0));
        let n = 200_000;
        let product = |f: &dyn Fn(usize) -> f32| (0..n).map(|v| f64::from(f(v))).sum::<f64>() / n as f64;
        // 0.0022 is the standard error of a correlation over 200,000 pairs; 5 of it.
        assert!(product(&|v| now.at(v) * now.at(v + 1)).abs() < 0.011);
        assert!(product(&|v| now.at(v) * next.at(v)).abs() < 0.011);
    }
}

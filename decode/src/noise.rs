//! Noise is a function of what is decoded, never of when: bundle, seed, session, run, trial and candidate.
//!
//! The first 8 bytes of the SHA-256 of these six are the key of Philox 4x32-10 (Salmon et al. 2011, "Parallel random
//! numbers: as easy as 1, 2, 3"), a counter-based generator: element i of a draw needs no element before it, so equal
//! noise comes from any order, thread or device. Box and Muller (1958) make normal numbers of its words.

use crate::normals::{LANES, normals};
use mindeye_config::{Name, Sha256, sha256_of_bytes};

/// Where the trial's noise comes from; revisions of a trial share it (contract, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialNoise {
    /// Digest of the bundle.
    pub bundle: Sha256,
    /// `trial.seed` of the daemon's configuration.
    pub seed: u64,
    /// Session.
    pub session: Name,
    /// Run.
    pub run: Name,
    /// Trial.
    pub trial: u32,
}

impl TrialNoise {
    /// The seed of a candidate: the `seed` of results.
    #[must_use]
    pub fn seed(&self, candidate: u32) -> u64 {
        let Self { bundle, seed, session, run, trial } = self;
        let digest = sha256_of_bytes(format!("{bundle}/{seed}/{session}/{run}/{trial}/{candidate}").as_bytes());
        // A SHA-256 digest has 64 hexadecimal digits, of which 16 make a u64.
        u64::from_str_radix(&digest.0[..16], 16).expect("a digest is hexadecimal")
    }

    /// The noise of a candidate.
    #[must_use]
    pub fn candidate(&self, candidate: u32) -> CounterNoise {
        CounterNoise { key: self.seed(candidate) }
    }
}

/// What a draw is for; each has a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Draw {
    /// First sample of the prior, f32[tokens, token width].
    PriorStart,
    /// Noise that a step of the prior adds, from 0.
    PriorStep(u32),
    /// Noise on the latent from which diffusion starts, f32[4, h, w].
    LatentStart,
    /// Sample of the VAE encoder's posterior in MindEye's round trip, f32[4, h, w].
    Posterior,
}

impl Draw {
    /// Purpose and step: two words of the counter.
    fn words(self) -> [u32; 2] {
        match self {
            Self::PriorStart => [0, 0],
            Self::PriorStep(step) => [1, step],
            Self::LatentStart => [2, 0],
            Self::Posterior => [3, 0],
        }
    }
}

/// Where a reconstruction takes its noise: a counter, or in parity tests another program's numbers.
pub trait NoiseSource: Send + Sync {
    /// Fills `values` with N(0, 1), the same for equal draws.
    fn fill(&self, draw: Draw, values: &mut [f32]);
}

/// Normal numbers by counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterNoise {
    key: u64,
}

impl CounterNoise {
    /// Noise under a plain key, for simulations that belong to no trial.
    #[must_use]
    pub fn with_key(key: u64) -> Self {
        Self { key }
    }
}

impl NoiseSource for CounterNoise {
    fn fill(&self, draw: Draw, values: &mut [f32]) {
        let key = [self.key as u32, (self.key >> 32) as u32];
        let [purpose, step] = draw.words();
        for (group, values) in values.chunks_mut(2 * LANES).enumerate() {
            let (mut u, mut v) = ([0; LANES], [0; LANES]);
            for pair in 0..LANES / 2 {
                let block = (group * LANES / 2 + pair) as u32;
                [u[2 * pair], v[2 * pair], u[2 * pair + 1], v[2 * pair + 1]] = philox([block, step, purpose, 0], key);
            }
            let [first, second] = normals(&u, &v);
            for (i, value) in values.iter_mut().enumerate() {
                *value = if i % 2 == 0 { first[i / 2] } else { second[i / 2] };
            }
        }
    }
}

/// `count` N(0, 1) under a plain seed, for draws that belong to no trial.
pub(crate) fn standard_normal(seed: u64, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    CounterNoise::with_key(seed).fill(Draw::PriorStart, &mut values);
    values
}

/// A uniform 32-bit word for a place in a table, for draws that are no noise.
pub(crate) fn word(seed: u64, row: u32, column: u32) -> u32 {
    philox([column, row, u32::MAX, 0], [seed as u32, (seed >> 32) as u32])[0]
}

/// Philox 4x32 with ten rounds.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        let high = |x: u64| (x >> 32) as u32;
        counter = [high(b) ^ counter[1] ^ key[0], b as u32, high(a) ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_its_authors_known_answers() {
        // Random123 1.14, kat_vectors, philox4x32 10.
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox(counter, key), expected);
        }
    }

    fn trial() -> TrialNoise {
        let name = |text| Name::new(text).unwrap();
        TrialNoise { bundle: sha256_of_bytes(b"b"), seed: 7, session: name("ses"), run: name("run"), trial: 3 }
    }

    fn drawn(noise: CounterNoise, draw: Draw, count: usize) -> Vec<f32> {
        let mut values = vec![f32::NAN; count];
        noise.fill(draw, &mut values);
        values
    }

    #[test]
    fn each_part_of_the_key_and_each_draw_has_noise_of_its_own() {
        let other = |change: fn(&mut TrialNoise)| {
            let mut noise = trial();
            change(&mut noise);
            noise.candidate(0)
        };
        let keys = [
            trial().candidate(0),
            trial().candidate(1),
            other(|n| n.bundle = sha256_of_bytes(b"c")),
            other(|n| n.seed = 8),
            other(|n| n.session = Name::new("se").unwrap()),
            other(|n| n.run = Name::new("ru").unwrap()),
            other(|n| n.trial = 4),
        ];
        let draws = [Draw::PriorStart, Draw::PriorStep(0), Draw::PriorStep(1), Draw::LatentStart, Draw::Posterior];
        let mut seen: Vec<Vec<f32>> = Vec::new();
        for key in keys {
            for draw in draws {
                let values = drawn(key, draw, 8);
                assert!(!seen.contains(&values), "{key:?} {draw:?}");
                seen.push(values);
            }
        }
        assert_eq!(drawn(trial().candidate(0), Draw::PriorStart, 8), seen[0]);
    }

    #[test]
    fn a_longer_draw_begins_with_the_shorter_one() {
        let noise = trial().candidate(0);
        let long = drawn(noise, Draw::LatentStart, 103);
        for count in [1, 2, 3, 4, 5, 102] {
            assert_eq!(drawn(noise, Draw::LatentStart, count), long[..count]);
        }
    }

    #[test]
    fn the_numbers_are_normal() {
        let values = drawn(trial().candidate(0), Draw::PriorStart, 200_000);
        let moment = |power| values.iter().map(|v| f64::from(*v).powi(power)).sum::<f64>() / values.len() as f64;
        // Five standard errors of each moment of 200,000 normal numbers: SD/√n of 1, √2, √15 and √96.
        for (power, expected, sd) in [(1, 0.0, 1.0), (2, 1.0, 2.0_f64), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let error = (moment(power) - expected).abs();
            assert!(error < 5.0 * (sd / 200_000.0).sqrt(), "moment {power}: {}", moment(power));
        }
    }
}

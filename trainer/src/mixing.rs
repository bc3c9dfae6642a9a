//! MixCo: a batch of voxels mixed with itself, and the target that says how (Kim et al. 2020).

use crate::Draws;
use mindeye_config::{ContrastiveConfig, MixcoTarget};

/// How the samples of a batch are mixed: x_i ← λ_i x_i + (1 - λ_i) x_π(i).
#[derive(Debug, Clone, PartialEq)]
pub struct Mixing {
    /// π.
    pub partner: Vec<usize>,
    /// λ; 1 for samples that stay as they are.
    pub weight: Vec<f32>,
}

impl Mixing {
    /// A random mixing of `batch` samples: π a permutation, λ ~ Beta(a, a) for the samples chosen by a coin.
    #[must_use]
    pub fn draw(draws: &mut Draws, batch: usize, config: &ContrastiveConfig) -> Self {
        let partner = draws.permutation(batch);
        let weight = (0..batch).map(|_| {
            let lambda = draws.symmetric_beta(config.mixco_beta) as f32;
            if draws.uniform() < config.mixco_probability { lambda } else { 1.0 }
        });
        Self { weight: weight.collect(), partner }
    }

    /// The same where samples may only be mixed within groups of these sizes, which follow one another: voxels of two
    /// participants have no sum.
    #[must_use]
    pub fn draw_within(draws: &mut Draws, groups: &[usize], config: &ContrastiveConfig) -> Self {
        let mut whole = Self { partner: Vec::new(), weight: Vec::new() };
        for size in groups {
            let before = whole.partner.len();
            let group = Self::draw(draws, *size, config);
            whole.partner.extend(group.partner.iter().map(|partner| before + partner));
            whole.weight.extend(group.weight);
        }
        whole
    }

    /// The target matrix P, row-major `[B, B]`: λ on the diagonal and 1 - λ_i at (i, π(i)), where the released code
    /// overwrites and the clean one adds (spec: MindEye section 3.1).
    #[must_use]
    pub fn target(&self, kind: MixcoTarget) -> Vec<f32> {
        let n = self.weight.len();
        let mut target = vec![0.0; n * n];
        for (i, lambda) in self.weight.iter().enumerate() {
            target[i * n + i] = *lambda;
            let cell = &mut target[i * n + self.partner[i]];
            match kind {
                MixcoTarget::Faithful => *cell = 1.0 - lambda,
                MixcoTarget::Clean => *cell += 1.0 - lambda,
            }
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_released_target_overwrites_where_the_permutation_stays() {
        let mixing = Mixing { partner: vec![1, 0, 2], weight: vec![0.75, 1.0, 0.25] };
        let faithful = [0.75, 0.25, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.75];
        let clean = [0.75, 0.25, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        assert_eq!(mixing.target(MixcoTarget::Faithful), faithful);
        assert_eq!(mixing.target(MixcoTarget::Clean), clean);
    }

    #[test]
    fn groups_are_mixed_among_themselves() {
        let config = ContrastiveConfig::default();
        let mixing = Mixing::draw_within(&mut Draws::new(3, 1, "mix"), &[5, 0, 3], &config);
        let mut partners = mixing.partner.clone();
        partners.sort_unstable();
        assert_eq!(partners, [0, 1, 2, 3, 4, 5, 6, 7], "a permutation of all");
        assert!(mixing.partner[..5].iter().all(|i| *i < 5) && mixing.partner[5..].iter().all(|i| *i >= 5));
        let alone = Mixing::draw(&mut Draws::new(3, 1, "mix"), 5, &config);
        assert_eq!(alone, Mixing::draw_within(&mut Draws::new(3, 1, "mix"), &[5], &config));
    }

    #[test]
    fn every_row_of_the_clean_target_sums_to_one() {
        let mixing = Mixing::draw(&mut Draws::new(3, 1, "mix"), 16, &ContrastiveConfig::default());
        for row in mixing.target(MixcoTarget::Clean).chunks(16) {
            // 1e-6: λ and 1 - λ are rounded once each in float32.
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        }
        assert!(mixing.weight.contains(&1.0) && mixing.weight.iter().any(|w| *w < 1.0), "a coin chooses");
    }
}

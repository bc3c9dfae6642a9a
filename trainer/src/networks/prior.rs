//! The diffusion prior: noised CLIP tokens, a timestep and the brain's tokens become a prediction of the clean tokens.
//!
//! Spec: MindEye sections 2.3 and 2.4; dalle2-pytorch's layers in MindEye's own order of tokens.

use super::layout::{Init, Layout, Role, Slot};
use mindeye_config::ModelDimensions;

/// Buckets of the position bias.
pub const BUCKETS: usize = 32;
/// Distance from which all keys share the last bucket.
const FARTHEST: f64 = 128.0;
/// The time MLP, which dalle2-pytorch wraps twice.
const TIME: &str = "to_time_embeds.0.1.net";

/// Sizes of a prior.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prior {
    /// Tokens, T.
    pub tokens: usize,
    /// Width of a token, D.
    pub token_dim: usize,
    /// Transformer layers.
    pub depth: usize,
    /// Attention heads; all share one key and value.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl Prior {
    /// Start of every key.
    pub const PREFIX: &str = "net.";

    /// The prior of these sizes.
    #[must_use]
    pub fn of(model: &ModelDimensions) -> Self {
        Self {
            tokens: model.tokens,
            token_dim: model.token_dim,
            depth: model.prior_depth,
            heads: model.prior_heads,
            head_dim: model.prior_head_dim,
        }
    }

    /// Length of the sequence: brain tokens, the time token, noised tokens.
    #[must_use]
    pub fn sequence(&self) -> usize {
        2 * self.tokens + 1
    }

    /// Channels of a head that are turned by their position.
    #[must_use]
    pub fn rotated(&self) -> usize {
        self.head_dim.min(32) / 2 * 2
    }

    /// √D: targets are multiplied by it before they are noised, predictions divided by it afterwards.
    #[must_use]
    pub fn target_scale(&self) -> f64 {
        (self.token_dim as f64).sqrt()
    }

    /// Its tensors.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let (mut layout, prefix, dim) = (Layout::default(), Self::PREFIX, self.token_dim);
        let (tokens, normal) = ([self.tokens, dim], Init::Normal { sd: 1.0 });
        layout.tensor(format!("{prefix}learned_query"), &tokens, Init::Normal { sd: (dim as f64).sqrt().recip() });
        layout.tensor(format!("{prefix}null_brain_embeds"), &tokens, normal);
        layout.tensor(format!("{prefix}null_image_embed"), &tokens, normal);
        layout.linear(&format!("{prefix}{TIME}.0.0"), 2 * dim, dim);
        layout.linear(&format!("{prefix}{TIME}.1.0"), 2 * dim, 2 * dim);
        layout.linear(&format!("{prefix}{TIME}.2"), dim, 2 * dim);
        let transformer = format!("{prefix}causal_transformer");
        let table = format!("{transformer}.rel_pos_bias.relative_attention_bias.weight");
        layout.tensor(table, &[BUCKETS, self.heads], normal);
        (0..self.depth).for_each(|i| self.add_layer(&mut layout, &format!("{transformer}.layers.{i}"), i));
        layout.tensor(format!("{transformer}.norm.g"), &[dim], Init::Constant(1.0));
        layout.linear_without_bias(&format!("{transformer}.project_out"), dim, dim);
        layout
    }

    fn add_layer(&self, layout: &mut Layout, key: &str, i: usize) {
        let (dim, all_heads, gain) = (self.token_dim, self.heads * self.head_dim, Init::Constant(1.0));
        layout.tensor(format!("{key}.0.norm.g"), &[dim], gain);
        layout.tensor(format!("{key}.0.null_kv"), &[2, self.head_dim], Init::Normal { sd: 1.0 });
        layout.linear_without_bias(&format!("{key}.0.to_q"), all_heads, dim);
        layout.linear_without_bias(&format!("{key}.0.to_kv"), 2 * self.head_dim, dim);
        layout.linear_without_bias(&format!("{key}.0.to_out.0"), dim, all_heads);
        layout.tensor(format!("{key}.0.to_out.1.g"), &[dim], gain);
        layout.slots.push(Slot {
            key: format!("{key}.0.rotary_emb.freqs"),
            shape: vec![self.rotated() / 2],
            init: Init::RotaryFrequencies,
            role: if i == 0 { Role::Frozen } else { Role::Copy },
        });
        layout.tensor(format!("{key}.1.0.g"), &[dim], gain);
        layout.linear_without_bias(&format!("{key}.1.1"), 8 * dim, dim);
        layout.linear_without_bias(&format!("{key}.1.5"), dim, 4 * dim);
    }
}

/// The bucket of a key `distance` positions before its query (0 for all that follow): one each for the nearer half,
/// then ever wider ones up to a distance of 128 (Raffel et al. 2020, as dalle2-pytorch computes it).
#[must_use]
pub fn bucket(distance: usize) -> usize {
    let exact = BUCKETS / 2;
    if distance < exact {
        return distance;
    }
    let octaves = (distance as f64 / exact as f64).ln() / (FARTHEST / exact as f64).ln();
    (exact + (octaves * (BUCKETS - exact) as f64) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_the_published_ones() {
        // Spec: MindEye sections 2.4 and 14, to the unit; 16 of them are the frozen frequencies.
        let mindeye1 = Prior { tokens: 257, token_dim: 768, depth: 6, heads: 12, head_dim: 64 };
        let layout = mindeye1.layout();
        assert_eq!((layout.parameters(), layout.trained_parameters()), (56_055_184, 56_055_168));
        let mindeye2 = Prior { tokens: 256, token_dim: 1664, depth: 6, heads: 32, head_dim: 52 };
        assert_eq!(mindeye2.layout().parameters(), 259_865_216);
    }

    #[test]
    fn buckets_are_those_of_the_golden_table() {
        // Spec: MindEye section 14.
        let cases =
            [(0, 0), (15, 15), (16, 16), (17, 16), (20, 17), (32, 21), (64, 26), (100, 30), (127, 31), (128, 31)];
        for (distance, expected) in cases {
            assert_eq!(bucket(distance), expected, "{distance}");
        }
    }
}

//! Voxels to CLIP tokens: the residual MLP with its projector, and the variant that begins as a ridge regression.
//!
//! ```text
//!   voxels [B, V] ─ Linear, LN, GELU ─ (+ Linear, LN, GELU) x blocks ─ Linear ─ tokens [B, T, D] ─ projector
//! ```
//! Spec: MindEye section 1.

use super::layout::{Init, Layout, Role, Slot};
use mindeye_config::ModelDimensions;
use std::collections::BTreeMap;

/// What stands between a participant's voxels and the MLP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontEnd {
    /// Nothing: the MLP's first layer reads the voxels of one participant, as in MindEye1.
    None,
    /// A linear map of each participant's voxels into one shared space, from where a linear path leads straight to
    /// the tokens and the MLP adds a gated residual: tokens = W s + b + g · MLP(s), s = R_i x + r_i.
    Ridge {
        /// Voxels of each participant.
        participants: Vec<usize>,
        /// Width of the shared space.
        shared: usize,
    },
}

/// Sizes of a backbone with its projector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backbone {
    /// What stands before the MLP.
    pub front_end: FrontEnd,
    /// Inputs of the MLP: voxels, V, or the width of the shared space.
    pub inputs: usize,
    /// Width of the MLP, H.
    pub hidden: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Tokens, T.
    pub tokens: usize,
    /// Width of a token, D.
    pub token_dim: usize,
    /// Width of the projector.
    pub projector_hidden: usize,
}

impl Backbone {
    /// Start of every key.
    pub const PREFIX: &str = "voxel2clip.";

    /// MindEye1's backbone of these sizes.
    #[must_use]
    pub fn of(model: &ModelDimensions) -> Self {
        Self {
            front_end: FrontEnd::None,
            inputs: model.voxels,
            hidden: model.hidden,
            blocks: model.blocks,
            tokens: model.tokens,
            token_dim: model.token_dim,
            projector_hidden: model.projector_hidden,
        }
    }

    /// The ridge-initialised variant for these participants' voxels, with a shared space as wide as the MLP.
    #[must_use]
    pub fn with_ridge(model: &ModelDimensions, participants: Vec<usize>) -> Self {
        let front_end = FrontEnd::Ridge { participants, shared: model.hidden };
        Self { front_end, inputs: model.hidden, ..Self::of(model) }
    }

    /// The backbone of a checkpoint whose tensors have these shapes by their keys: MindEye1's, or the ridge variant where
    /// there are front-ends. Counts that no shape tells are those of `model`.
    #[must_use]
    pub fn stored(model: &ModelDimensions, shapes: &BTreeMap<String, Vec<usize>>) -> Self {
        let voxels = |participant: usize| {
            let shape = shapes.get(&format!("{}ridge.{participant}.weight", Self::PREFIX))?;
            shape.get(1).copied()
        };
        let participants: Vec<usize> = (0..).map_while(voxels).collect();
        if participants.is_empty() { Self::of(model) } else { Self::with_ridge(model, participants) }
    }

    /// Voxels of participant number `participant`, V.
    #[must_use]
    pub fn voxels(&self, participant: usize) -> usize {
        match &self.front_end {
            FrontEnd::None => self.inputs,
            FrontEnd::Ridge { participants, .. } => participants[participant],
        }
    }

    /// Its tensors.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let mut layout = self.front_end_layout();
        let (prefix, hidden) = (Self::PREFIX, self.hidden);
        layout.linear(&format!("{prefix}lin0.0"), hidden, self.inputs);
        layout.norm(&format!("{prefix}lin0.1"), hidden);
        for block in 0..self.blocks {
            layout.linear(&format!("{prefix}mlp.{block}.0"), hidden, hidden);
            layout.norm(&format!("{prefix}mlp.{block}.1"), hidden);
        }
        layout.linear(&format!("{prefix}lin1"), self.tokens * self.token_dim, hidden);
        let widths = [self.token_dim, self.projector_hidden, self.projector_hidden, self.token_dim];
        for (i, pair) in widths.windows(2).enumerate() {
            layout.norm(&format!("{prefix}projector.{}", 3 * i), pair[0]);
            layout.linear(&format!("{prefix}projector.{}", 3 * i + 2), pair[1], pair[0]);
        }
        layout
    }

    /// The ridge variant's own tensors, in front of MindEye1's.
    fn front_end_layout(&self) -> Layout {
        let mut layout = Layout::default();
        let FrontEnd::Ridge { participants, shared } = &self.front_end else { return layout };
        let prefix = Self::PREFIX;
        for (i, voxels) in participants.iter().enumerate() {
            layout.linear(&format!("{prefix}ridge.{i}"), *shared, *voxels);
        }
        layout.linear(&format!("{prefix}linear"), self.tokens * self.token_dim, *shared);
        // Validation chooses it; training goes on with 1.
        let (key, init) = (format!("{prefix}gate"), Init::Constant(1.0));
        layout.slots.push(Slot { key, shape: vec![1], init, role: Role::Frozen });
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(text: &str) -> ModelDimensions {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn parameter_counts_are_the_published_ones() {
        // Spec: MindEye section 1.2, to the unit.
        let full = preset(include_str!("../../../config/model/mindeye1-subj01.toml"));
        let layout = Backbone::of(&full).layout();
        let of = |part: &str| -> usize {
            let is_of = |key: &str| key.starts_with(&format!("voxel2clip.{part}"));
            layout.slots.iter().filter(|slot| is_of(&slot.key)).map(|slot| slot.len()).sum()
        };
        let cases = [
            (of("lin0"), 64_417_792),
            (of("mlp"), 67_158_016),
            (of("lin1"), 808_649_472),
            (of("projector"), 7_354_624),
            (layout.parameters(), 947_579_904),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
        let one_token = preset(include_str!("../../../config/model/mindeye1-1x768.toml"));
        // Spec section 8.1: 64.4 + 67.2 + 3.1 M; exactly 134,722,304 with norms and biases, plus the projector.
        assert_eq!(Backbone::of(&one_token).layout().parameters() - 7_354_624, 134_722_304);
    }

    #[test]
    fn a_stored_backbone_is_known_by_its_front_ends() {
        let demo = preset(include_str!("../../../config/model/demo.toml"));
        let shapes = |layout: Layout| layout.slots.into_iter().map(|slot| (slot.key, slot.shape)).collect();
        for backbone in [Backbone::of(&demo), Backbone::with_ridge(&demo, vec![100, 70])] {
            assert_eq!(Backbone::stored(&demo, &shapes(backbone.layout())), backbone);
        }
    }

    #[test]
    fn the_ridge_variant_adds_front_ends_a_linear_path_and_a_gate() {
        let demo = preset(include_str!("../../../config/model/demo.toml"));
        let layout = Backbone::with_ridge(&demo, vec![100, 70]).layout();
        let shape = |key: &str| layout.slots.iter().find(|slot| slot.key == key).map(|slot| slot.shape.clone());
        assert_eq!(shape("voxel2clip.ridge.0.weight"), Some(vec![512, 100]));
        assert_eq!(shape("voxel2clip.ridge.1.weight"), Some(vec![512, 70]));
        assert_eq!(shape("voxel2clip.linear.weight"), Some(vec![17 * 64, 512]));
        assert_eq!(shape("voxel2clip.gate"), Some(vec![1]));
        assert_eq!(shape("voxel2clip.lin0.0.weight"), Some(vec![512, 512]));
    }
}

//! Voxels to the scaled latent of Stable Diffusion's autoencoder, with a head that only training uses.
//!
//! ```text
//!   voxels [B, V] ─ Linear, LN, SiLU ─ (+ Linear, LN, SiLU) x blocks ─ Linear ─ map [B, C, S, S] ─ GN(1) ─┬─ upsampler
//!                                                                               maps projector ──────────┘
//! ```
//! Spec: MindEye section 4.1; the upsampler is diffusers' VAE decoder. Attention keys are today's (`to_q`, ...).

use super::layout::Layout;
use super::picture_blocks::add_decoder;
use mindeye_config::ModelDimensions;

/// Width of the teacher's features (VICRegL's map projector).
const TEACHER_WIDTH: usize = 512;
/// Channels of a latent.
const LATENT: usize = 4;

/// Sizes of a low-level network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowLevel {
    /// Voxels, V.
    pub voxels: usize,
    /// Width of the MLP.
    pub hidden: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Channels of the map, C.
    pub map_channels: usize,
    /// Side of the map, S.
    pub map_side: usize,
    /// Channels of the upsampler's stages, from the latent inwards.
    pub channels: Vec<usize>,
    /// Groups of the upsampler's normalisations.
    pub norm_groups: usize,
}

impl LowLevel {
    /// Residual blocks in each stage of the upsampler.
    pub const RESNETS: usize = 2;

    /// The network of these sizes.
    #[must_use]
    pub fn of(model: &ModelDimensions) -> Self {
        Self {
            voxels: model.voxels,
            hidden: model.low_level_hidden,
            blocks: model.blocks,
            map_channels: model.low_level_map_channels,
            map_side: model.low_level_map_side,
            channels: model.upsampler_channels.clone(),
            norm_groups: model.norm_groups,
        }
    }

    /// Side of the latent: every stage of the upsampler but the last doubles.
    #[must_use]
    pub fn latent_side(&self) -> usize {
        self.map_side << self.channels.len().saturating_sub(1)
    }

    /// Tensors that the exported network has.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let (mut layout, hidden) = (Layout::default(), self.hidden);
        layout.linear_without_bias("lin0.0", hidden, self.voxels);
        layout.norm("lin0.1", hidden);
        for block in 0..self.blocks {
            layout.linear_without_bias(&format!("mlp.{block}.0"), hidden, hidden);
            layout.norm(&format!("mlp.{block}.1"), hidden);
        }
        layout.linear_without_bias("lin1", self.map_channels * self.map_side * self.map_side, hidden);
        layout.norm("norm", self.map_channels);
        let outwards: Vec<usize> = self.channels.iter().rev().copied().collect();
        add_decoder(&mut layout, "upsampler", (self.map_channels, LATENT), &outwards, Self::RESNETS);
        layout
    }

    /// Tensors that training has: those of [`LowLevel::layout`] and the auxiliary head.
    #[must_use]
    pub fn training_layout(&self) -> Layout {
        let mut layout = self.layout();
        for (conv, norm, inner) in [("0", "1", self.map_channels), ("3", "4", TEACHER_WIDTH)] {
            layout.conv(&format!("maps_projector.{conv}"), TEACHER_WIDTH, inner, 1, false);
            layout.norm(&format!("maps_projector.{norm}"), TEACHER_WIDTH);
        }
        layout.conv("maps_projector.6", TEACHER_WIDTH, TEACHER_WIDTH, 1, true);
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_the_published_ones() {
        // Spec: MindEye section 4.1, to the unit.
        let model: ModelDimensions =
            toml::from_str(include_str!("../../../config/model/mindeye1-subj01.toml")).unwrap();
        let low_level = LowLevel::of(&model);
        assert_eq!(low_level.layout().parameters(), 205_505_988);
        assert_eq!(low_level.training_layout().parameters(), 206_065_604);
        assert_eq!(low_level.latent_side(), 64);
    }
}

//! Sizes of a MindEye model, one preset per published or planned variant.

use crate::{Checked, Complaint};
use serde::{Deserialize, Serialize};

/// Widths and counts that a checkpoint's tensor shapes must agree with (spec: MindEye sections 1, 2, 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelDimensions {
    /// Voxels in the mask, V; a front-end has one input each.
    pub voxels: usize,
    /// Width of the residual MLP, H.
    pub hidden: usize,
    /// Residual blocks of the MLP.
    pub blocks: usize,
    /// CLIP tokens, T.
    pub tokens: usize,
    /// Width of a token, D.
    pub token_dim: usize,
    /// Width of the projector's hidden layers.
    pub projector_hidden: usize,
    /// Transformer layers of the diffusion prior.
    pub prior_depth: usize,
    /// Attention heads of the prior.
    pub prior_heads: usize,
    /// Width of one head of the prior.
    pub prior_head_dim: usize,
    /// Width of the low-level MLP.
    pub low_level_hidden: usize,
    /// Channels of the map that the low-level MLP hands to its upsampler.
    pub low_level_map_channels: usize,
    /// Side S of that map; the latent is 4S x 4S.
    pub low_level_map_side: usize,
    /// Channels of the upsampler's stages, from the latent side inwards.
    pub upsampler_channels: Vec<usize>,
    /// Channels of the VAE's stages, from the picture side inwards.
    pub vae_channels: Vec<usize>,
    /// Residual blocks in each stage of the VAE's encoder; its decoder has one more.
    pub vae_layers_per_block: usize,
    /// Groups of every group normalisation in VAE and upsampler.
    pub norm_groups: usize,
}

impl ModelDimensions {
    /// Side of the latent in cells.
    #[must_use]
    pub fn latent_side(&self) -> usize {
        4 * self.low_level_map_side
    }

    /// Side of the picture in pixels: each VAE stage but the last doubles.
    #[must_use]
    pub fn picture_side(&self) -> usize {
        self.latent_side() << self.vae_channels.len().saturating_sub(1)
    }
}

impl Checked for ModelDimensions {
    fn check(&self) -> Result<(), Complaint> {
        let counts = [
            ("voxels", self.voxels),
            ("hidden", self.hidden),
            ("blocks", self.blocks),
            ("tokens", self.tokens),
            ("token_dim", self.token_dim),
            ("projector_hidden", self.projector_hidden),
            ("prior_depth", self.prior_depth),
            ("prior_heads", self.prior_heads),
            ("prior_head_dim", self.prior_head_dim),
            ("low_level_hidden", self.low_level_hidden),
            ("low_level_map_channels", self.low_level_map_channels),
            ("low_level_map_side", self.low_level_map_side),
            ("upsampler_channels", self.upsampler_channels.len()),
            ("vae_channels", self.vae_channels.len()),
            ("vae_layers_per_block", self.vae_layers_per_block),
            ("norm_groups", self.norm_groups),
        ];
        for (key, count) in counts {
            Complaint::unless(count > 0, key, || "must be 1 or more, found 0".into())?;
        }
        self.check_groups("upsampler_channels", &self.upsampler_channels)?;
        self.check_groups("vae_channels", &self.vae_channels)
    }
}

impl ModelDimensions {
    fn check_groups(&self, key: &str, channels: &[usize]) -> Result<(), Complaint> {
        let groups = self.norm_groups;
        Complaint::unless(channels.iter().all(|c| c % groups == 0), key, || {
            format!("each must be a multiple of norm_groups = {groups}, found {channels:?}")
        })
    }
}

//! Sizes of a small renderer: the picture encoder and the UNet that `mindeye-train fit` trains, where the model's own
//! sizes leave them open.

use crate::{Checked, Complaint};
use serde::{Deserialize, Serialize};

/// Widths and counts of encoder and UNet (`renderer.toml`). Tokens, latent and VAE follow from the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RendererDimensions {
    /// Channels of the UNet's levels, from the latent inwards.
    pub unet_channels: Vec<usize>,
    /// Whether a transformer follows each residual block of a level.
    pub unet_attends: Vec<bool>,
    /// Residual blocks of a level on the way down; one more on the way up.
    pub unet_layers_per_block: usize,
    /// Heads of the UNet's transformers.
    pub unet_heads: usize,
    /// Width of the UNet's time embedding.
    pub unet_time_width: usize,
    /// Side of the encoder's patches, pixels.
    pub encoder_patch: usize,
    /// Width of the encoder.
    pub encoder_width: usize,
    /// Width between the two layers of the encoder's MLPs.
    pub encoder_mlp: usize,
    /// Transformer layers of the encoder.
    pub encoder_layers: usize,
    /// Attention heads of the encoder.
    pub encoder_heads: usize,
}

impl Checked for RendererDimensions {
    fn check(&self) -> Result<(), Complaint> {
        let counts = [
            ("unet_channels", self.unet_channels.len()),
            ("unet_layers_per_block", self.unet_layers_per_block),
            ("unet_heads", self.unet_heads),
            ("unet_time_width", self.unet_time_width),
            ("encoder_patch", self.encoder_patch),
            ("encoder_width", self.encoder_width),
            ("encoder_mlp", self.encoder_mlp),
            ("encoder_layers", self.encoder_layers),
            ("encoder_heads", self.encoder_heads),
        ];
        for (key, count) in counts {
            Complaint::unless(count > 0, key, || "must be 1 or more, found 0".into())?;
        }
        let (levels, told) = (self.unet_channels.len(), self.unet_attends.len());
        Complaint::unless(levels == told, "unet_attends", || {
            format!("must have one entry for each of the {levels} levels of unet_channels, found {told}")
        })?;
        Complaint::unless(
            self.unet_channels.iter().all(|c| c.is_multiple_of(self.unet_heads)),
            "unet_channels",
            || format!("each must be a multiple of unet_heads = {}, found {:?}", self.unet_heads, self.unet_channels),
        )?;
        Complaint::unless(self.encoder_width.is_multiple_of(self.encoder_heads), "encoder_width", || {
            format!("must be a multiple of encoder_heads = {}, found {}", self.encoder_heads, self.encoder_width)
        })
    }
}

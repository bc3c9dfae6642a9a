//! Pictures to latents and back: diffusers' `AutoencoderKL`, of any width.
//!
//! ```text
//!   image [B, 3, S, S] ─ encoder ─ quant_conv ─ mean, log-variance ─ latent ─ post_quant_conv ─ decoder ─ image
//! ```
//! Spec: diffusion section 2.1.

use super::layout::Layout;
use super::picture_blocks::{add_decoder, add_encoder};
use mindeye_config::ModelDimensions;

/// Channels of a picture.
const COLOURS: usize = 3;

/// Sizes of an autoencoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autoencoder {
    /// Channels of the stages, from the picture inwards.
    pub channels: Vec<usize>,
    /// Residual blocks of a stage in the encoder; the decoder has one more.
    pub resnets: usize,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
    /// Side of the latent.
    pub latent_side: usize,
}

impl Autoencoder {
    /// Channels of a latent.
    pub const LATENT: usize = 4;

    /// The autoencoder of these sizes.
    #[must_use]
    pub fn of(model: &ModelDimensions) -> Self {
        Self {
            channels: model.vae_channels.clone(),
            resnets: model.vae_layers_per_block,
            norm_groups: model.norm_groups,
            latent_side: model.latent_side(),
        }
    }

    /// Side of the picture.
    #[must_use]
    pub fn picture_side(&self) -> usize {
        self.latent_side << self.channels.len().saturating_sub(1)
    }

    /// Its tensors.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let (latent, moments) = (Self::LATENT, 2 * Self::LATENT);
        let outwards: Vec<usize> = self.channels.iter().rev().copied().collect();
        add_encoder(&mut layout, "encoder", (COLOURS, moments), &self.channels, self.resnets);
        layout.conv("quant_conv", moments, moments, 1, true);
        layout.conv("post_quant_conv", latent, latent, 1, true);
        add_decoder(&mut layout, "decoder", (latent, COLOURS), &outwards, self.resnets + 1);
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_diffusions_autoencoder_has_its_published_count() {
        let model: ModelDimensions =
            toml::from_str(include_str!("../../../config/model/mindeye1-subj01.toml")).unwrap();
        let autoencoder = Autoencoder::of(&model);
        // Spec: diffusion section 2.1, to the unit.
        assert_eq!(autoencoder.layout().parameters(), 83_653_863);
        assert_eq!((autoencoder.latent_side, autoencoder.picture_side()), (64, 512));
    }
}

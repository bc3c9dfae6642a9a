//! Latent to picture: the decoding half of diffusers' `AutoencoderKL`, which takes the latent unscaled.
//!
//! ```text
//!   latent [B, 4, H, W] ─ post_quant_conv ─ decoder ─ image [B, 3, 8H, 8W] in about [-1, 1]
//! ```
//! Spec: diffusion section 2.1.

use super::kl_decoder::KlDecoder;
use super::recipes::Drawing;
use super::{Network, PUBLISHED_LATENT_SIDE, Settings, beside, tensor_entry};
use crate::onnx::GraphError;
use crate::reference::{Array, vae_decoder};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::TensorEntry;

/// Sizes of a VAE decoder, told by its tensors but for the side of the latent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaeDecoder {
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Side of the latent, H = W.
    pub latent_side: usize,
    /// From latent to picture.
    pub decoder: KlDecoder,
}

impl VaeDecoder {
    /// Reads the sizes out of the shapes in `weights`. The latent's side is `latent_side`, else what `sample_size`, the
    /// picture's side, makes of it, else 64.
    #[must_use]
    pub fn of(weights: &Weights, settings: &Settings, latent_side: Option<usize>) -> Self {
        let decoder = KlDecoder::of(weights, "decoder.", settings.norm_groups);
        let configured = settings.sample_size.map(|side| side / decoder.magnification());
        Self {
            latent_channels: weights.first_size(&[("post_quant_conv.weight", 1), ("post_quant_conv.bias", 0)]),
            latent_side: latent_side.or(configured).unwrap_or(PUBLISHED_LATENT_SIDE),
            decoder,
        }
    }
}

impl Network for VaeDecoder {
    fn name(&self) -> &'static str {
        "vae-decoder"
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        layout.conv("post_quant_conv", self.decoder.input, self.latent_channels, 1);
        self.decoder.add_to(&mut layout);
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        vec![beside("encoder.*", "the VAE encoder's"), beside("quant_conv.*", "the VAE encoder's")]
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("latent", &[batch, self.latent_channels, self.latent_side, self.latent_side])]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        let side = self.latent_side * self.decoder.magnification();
        vec![tensor_entry("image", &[batch, self.decoder.output, side, side])]
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let latent = net.input("latent", &self.inputs(batch)[0].shape)?;
        let map = net.conv("post_quant_conv", &latent)?;
        let image = self.decoder.draw(net, &map)?;
        net.graph.output("image", &image)
    }

    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        vec![vae_decoder(self, state, &inputs[0])]
    }
}

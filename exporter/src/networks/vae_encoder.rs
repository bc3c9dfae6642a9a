//! Picture to the moments of its latent: the encoding half of diffusers' `AutoencoderKL`.
//!
//! ```text
//!   image [B, 3, 8H, 8W] in [-1, 1] ─ encoder ─ quant_conv ─ moments [B, 8, H, W]: mean, log-variance
//! ```
//! Spec: diffusion section 2.1. Neither the clamp of the log-variance nor the draw from the posterior is part of the
//! graph: a caller wants the mode, or its own noise.

use super::kl_encoder::KlEncoder;
use super::recipes::Drawing;
use super::{Network, PUBLISHED_LATENT_SIDE, Settings, beside, tensor_entry};
use crate::onnx::GraphError;
use crate::reference::{Array, vae_encoder};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::TensorEntry;

/// Sizes of a VAE encoder, told by its tensors but for the side of the latent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaeEncoder {
    /// Channels of the moments: twice the latent's.
    pub moments: usize,
    /// Side of the latent, H = W.
    pub latent_side: usize,
    /// From picture to map.
    pub encoder: KlEncoder,
}

impl VaeEncoder {
    /// Reads the sizes out of the shapes in `weights`. The latent's side is `latent_side`, else what `sample_size`, the
    /// picture's side, makes of it, else 64.
    #[must_use]
    pub fn of(weights: &Weights, settings: &Settings, latent_side: Option<usize>) -> Self {
        let encoder = KlEncoder::of(weights, "encoder.", settings.norm_groups);
        let configured = settings.sample_size.map(|side| side / encoder.reduction());
        Self {
            moments: weights.first_size(&[("quant_conv.weight", 0), ("quant_conv.bias", 0)]),
            latent_side: latent_side.or(configured).unwrap_or(PUBLISHED_LATENT_SIDE),
            encoder,
        }
    }
}

impl Network for VaeEncoder {
    fn name(&self) -> &'static str {
        "vae-encoder"
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        self.encoder.add_to(&mut layout);
        layout.conv("quant_conv", self.moments, self.encoder.output, 1);
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        vec![beside("decoder.*", "the VAE decoder's"), beside("post_quant_conv.*", "the VAE decoder's")]
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        let side = self.latent_side * self.encoder.reduction();
        vec![tensor_entry("image", &[batch, self.encoder.input, side, side])]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("moments", &[batch, self.moments, self.latent_side, self.latent_side])]
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let image = net.input("image", &self.inputs(batch)[0].shape)?;
        let map = self.encoder.draw(net, &image)?;
        let moments = net.conv("quant_conv", &map)?;
        net.graph.output("moments", &moments)
    }

    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        vec![vae_encoder(self, state, &inputs[0])]
    }
}

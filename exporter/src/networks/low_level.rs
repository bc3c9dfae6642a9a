//! Voxels to the scaled latent of Stable Diffusion's autoencoder: the start of the blurry picture.
//!
//! ```text
//!   voxels [B, V] ─ Linear, LN, SiLU ─ (+ Linear, LN, SiLU) x blocks ─ Linear ─ map [B, C, S, S] ─ GN(1)
//!                                                          latent [B, 4, 4S, 4S] ─ upsampler ──────┘
//! ```
//! Spec: MindEye section 4.1. No linear layer has a bias.

use super::kl_decoder::KlDecoder;
use super::recipes::{Drawing, TORCH_EPSILON};
use super::{Network, Settings, beside, tensor_entry};
use crate::onnx::{GraphError, Wire};
use crate::reference::{Array, low_level};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::TensorEntry;

/// Sizes of a low-level network, all told by its tensors.
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
    /// From map to latent.
    pub upsampler: KlDecoder,
}

impl LowLevel {
    /// Reads the sizes out of the shapes in `weights`.
    #[must_use]
    pub fn of(weights: &Weights, settings: &Settings) -> Self {
        let map_channels = weights.first_size(&[("norm.weight", 0), ("norm.bias", 0), ("upsampler.conv_in.weight", 1)]);
        let cells = weights.size("lin1.weight", 0).checked_div(map_channels).unwrap_or(0);
        Self {
            voxels: weights.size("lin0.0.weight", 1),
            hidden: weights.first_size(&[("lin0.0.weight", 0), ("lin0.1.weight", 0), ("lin1.weight", 1)]),
            blocks: weights.count("mlp."),
            map_channels,
            map_side: cells.isqrt(),
            upsampler: KlDecoder::of(weights, "upsampler.", settings.norm_groups),
        }
    }

    fn map_shape(&self, batch: usize) -> [usize; 4] {
        [batch, self.map_channels, self.map_side, self.map_side]
    }
}

impl Network for LowLevel {
    fn name(&self) -> &'static str {
        "low-level"
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let hidden = self.hidden;
        layout.linear_without_bias("lin0.0", hidden, self.voxels);
        layout.norm("lin0.1", hidden);
        for block in 0..self.blocks {
            layout.linear_without_bias(&format!("mlp.{block}.0"), hidden, hidden);
            layout.norm(&format!("mlp.{block}.1"), hidden);
        }
        layout.linear_without_bias("lin1", self.map_channels * self.map_side * self.map_side, hidden);
        layout.norm("norm", self.map_channels);
        self.upsampler.add_to(&mut layout);
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        vec![beside("maps_projector.*", "used in training only")]
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("voxels", &[batch, self.voxels])]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        let side = self.map_side * self.upsampler.magnification();
        vec![tensor_entry("latent", &[batch, self.upsampler.output, side, side])]
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let voxels = net.input("voxels", &[batch, self.voxels])?;
        let mut h = net.norm_silu("lin0", &voxels)?;
        for block in 0..self.blocks {
            let key = format!("mlp.{block}");
            let step = net.norm_silu(&key, &h)?;
            h = net.graph.add(&key, &h, &step)?;
        }
        let flat = net.linear("lin1", &h)?;
        let map = net.graph.reshape("map", &flat, &self.map_shape(batch))?;
        let map = net.group_norm("norm", &map, 1, TORCH_EPSILON)?;
        let latent = self.upsampler.draw(net, &map)?;
        net.graph.output("latent", &latent)
    }

    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        vec![low_level(self, state, &inputs[0])]
    }
}

impl Drawing<'_, '_> {
    /// Linear, layer norm, SiLU under the keys `key.0` and `key.1`.
    fn norm_silu(&mut self, key: &str, x: &Wire) -> Result<Wire, GraphError> {
        let mut h = self.linear(&format!("{key}.0"), x)?;
        h = self.layer_norm(&format!("{key}.1"), &h)?;
        self.silu(&format!("{key}.1/silu"), &h)
    }
}

//! The decoder of Stable Diffusion's autoencoder, which also ends the low-level network: a map becomes a larger
//! picture.
//!
//! ```text
//!   conv_in ─ resnet ─ attention ─ resnet ─ [resnets, doubling]* ─ resnets ─ norm ─ SiLU ─ conv_out
//!             └────── mid_block ───────┘     └───── up_blocks ─────────┘
//! ```
//! Spec: diffusion section 2.1, MindEye section 4.1.

use super::picture_blocks::{add_end, add_middle, add_resnet};
use super::recipes::Drawing;
use crate::onnx::{GraphError, Wire};
use crate::weights::{Layout, Weights};

/// A side doubles from stage to stage: files with more stages than this are not decoders of pictures.
const MOST_STAGES: usize = 8;

/// Sizes of a decoder, all told by its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KlDecoder {
    /// Start of its keys, with the dot: `decoder.` or `upsampler.`.
    pub prefix: String,
    /// Channels of the map that goes in.
    pub input: usize,
    /// Channels of the middle, where the attention is.
    pub middle: usize,
    /// Channels of each stage, from the map outwards.
    pub stages: Vec<usize>,
    /// Residual blocks in each stage.
    pub resnets: usize,
    /// Channels of what comes out.
    pub output: usize,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
}

impl KlDecoder {
    /// Reads the sizes out of the shapes in `weights`.
    #[must_use]
    pub fn of(weights: &Weights, prefix: &str, norm_groups: usize) -> Self {
        let at = |key: &str, axis| weights.size(&format!("{prefix}{key}"), axis);
        let stages = weights.count(&format!("{prefix}up_blocks.")).min(MOST_STAGES);
        let stages = (0..stages).map(|i| at(&format!("up_blocks.{i}.resnets.0.conv1.weight"), 0));
        Self {
            prefix: prefix.to_owned(),
            input: at("conv_in.weight", 1),
            middle: at("conv_in.weight", 0),
            stages: stages.collect(),
            resnets: weights.count(&format!("{prefix}up_blocks.0.resnets.")),
            output: at("conv_out.weight", 0),
            norm_groups,
        }
    }

    /// How many times larger a side comes out: every stage but the last doubles.
    #[must_use]
    pub fn magnification(&self) -> usize {
        1 << self.doublings()
    }

    fn doublings(&self) -> usize {
        self.stages.len().saturating_sub(1)
    }

    /// Appends the decoder's tensors.
    pub fn add_to(&self, layout: &mut Layout) {
        let prefix = &self.prefix;
        let middle = self.middle;
        layout.conv(&format!("{prefix}conv_in"), middle, self.input, 3);
        add_middle(layout, prefix, middle);
        let mut channels = middle;
        for (i, &stage) in self.stages.iter().enumerate() {
            for j in 0..self.resnets {
                add_resnet(layout, &format!("{prefix}up_blocks.{i}.resnets.{j}"), stage, channels);
                channels = stage;
            }
            if i < self.doublings() {
                layout.conv(&format!("{prefix}up_blocks.{i}.upsamplers.0.conv"), stage, stage, 3);
            }
        }
        add_end(layout, prefix, self.output, channels);
    }

    /// Draws the decoder after the map `x` [B, input, S, S].
    pub(super) fn draw(&self, net: &mut Drawing<'_, '_>, x: &Wire) -> Result<Wire, GraphError> {
        let prefix = &self.prefix;
        let groups = self.norm_groups;
        let mut x = net.conv(&format!("{prefix}conv_in"), x)?;
        x = net.vae_middle(prefix, &x, groups)?;
        for i in 0..self.stages.len() {
            for j in 0..self.resnets {
                x = net.vae_resnet(&format!("{prefix}up_blocks.{i}.resnets.{j}"), &x, groups)?;
            }
            if i < self.doublings() {
                let key = format!("{prefix}up_blocks.{i}.upsamplers.0.conv");
                x = net.graph.double_nearest(&format!("{key}/double"), &x)?;
                x = net.conv(&key, &x)?;
            }
        }
        net.vae_end(prefix, &x, groups)
    }
}

//! The encoder of Stable Diffusion's autoencoder: a picture becomes a smaller map.
//!
//! ```text
//!   conv_in ─ [resnets, halving]* ─ resnets ─ resnet ─ attention ─ resnet ─ norm ─ SiLU ─ conv_out
//!             └───── down_blocks ─────────┘  └────── mid_block ───────┘
//! ```
//! Spec: diffusion section 2.1. Halving puts its zeros below and at the right only.

use super::picture_blocks::{add_end, add_middle, add_resnet};
use super::recipes::Drawing;
use crate::onnx::{GraphError, Sweep, Wire};
use crate::weights::{Layout, Weights};

/// A side halves from stage to stage: files with more stages than this are not encoders of pictures.
const MOST_STAGES: usize = 8;

/// Sizes of an encoder, all told by its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KlEncoder {
    /// Start of its keys, with the dot: `encoder.`.
    pub prefix: String,
    /// Channels of the picture.
    pub input: usize,
    /// Channels of each stage, from the picture inwards.
    pub stages: Vec<usize>,
    /// Residual blocks in each stage.
    pub resnets: usize,
    /// Channels of what comes out.
    pub output: usize,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
}

impl KlEncoder {
    /// Reads the sizes out of the shapes in `weights`.
    #[must_use]
    pub fn of(weights: &Weights, prefix: &str, norm_groups: usize) -> Self {
        let at = |key: &str, axis| weights.size(&format!("{prefix}{key}"), axis);
        let stages = weights.count(&format!("{prefix}down_blocks.")).min(MOST_STAGES);
        let stages = (0..stages).map(|i| at(&format!("down_blocks.{i}.resnets.0.conv1.weight"), 0));
        Self {
            prefix: prefix.to_owned(),
            input: at("conv_in.weight", 1),
            stages: stages.collect(),
            resnets: weights.count(&format!("{prefix}down_blocks.0.resnets.")),
            output: at("conv_out.weight", 0),
            norm_groups,
        }
    }

    /// How many times smaller a side comes out: every stage but the last halves.
    #[must_use]
    pub fn reduction(&self) -> usize {
        1 << self.halvings()
    }

    fn halvings(&self) -> usize {
        self.stages.len().saturating_sub(1)
    }

    /// Appends the encoder's tensors.
    pub fn add_to(&self, layout: &mut Layout) {
        let prefix = &self.prefix;
        let mut channels = self.stages.first().copied().unwrap_or(0);
        layout.conv(&format!("{prefix}conv_in"), channels, self.input, 3);
        for (i, &stage) in self.stages.iter().enumerate() {
            for j in 0..self.resnets {
                add_resnet(layout, &format!("{prefix}down_blocks.{i}.resnets.{j}"), stage, channels);
                channels = stage;
            }
            if i < self.halvings() {
                layout.conv(&format!("{prefix}down_blocks.{i}.downsamplers.0.conv"), stage, stage, 3);
            }
        }
        add_middle(layout, prefix, channels);
        add_end(layout, prefix, self.output, channels);
    }

    /// Draws the encoder after the picture `x` [B, input, S, S].
    pub(super) fn draw(&self, net: &mut Drawing<'_, '_>, x: &Wire) -> Result<Wire, GraphError> {
        let prefix = &self.prefix;
        let groups = self.norm_groups;
        let mut x = net.conv(&format!("{prefix}conv_in"), x)?;
        for i in 0..self.stages.len() {
            for j in 0..self.resnets {
                x = net.vae_resnet(&format!("{prefix}down_blocks.{i}.resnets.{j}"), &x, groups)?;
            }
            if i < self.halvings() {
                let key = format!("{prefix}down_blocks.{i}.downsamplers.0.conv");
                x = net.conv_moved(&key, &x, Sweep::halving_after_right_and_bottom())?;
            }
        }
        x = net.vae_middle(prefix, &x, groups)?;
        net.vae_end(prefix, &x, groups)
    }
}

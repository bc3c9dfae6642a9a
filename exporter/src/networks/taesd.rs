//! Latent to picture and back in a few milliseconds: Ollin Boer Bohan's tiny autoencoder (diffusers' `AutoencoderTiny`).
//!
//! ```text
//!   encoder  image in [0, 1] ─ conv ─ blocks ─ (halving conv ─ blocks)* ─ conv ─ latent, scaled
//!   decoder  latent, scaled ─ 3 tanh(x / 3) ─ conv ─ ReLU ─ (blocks ─ doubling ─ conv)* ─ blocks ─ conv ─ image in [0, 1]
//! ```
//! A block is ReLU(conv(ReLU(conv(ReLU(conv(x))))) + x). Spec: diffusion section 2.2.
//!
//! Layers are numbered in their order, those without tensors (ReLU, doubling) too. diffusers' keys begin with
//! `encoder.layers.` or `decoder.layers.`; the author's files have bare numbers, in the decoder one higher, because
//! there the soft clamp is layer 0.

use super::recipes::Drawing;
use super::{Network, PUBLISHED_LATENT_SIDE, beside, tensor_entry};
use crate::onnx::{GraphError, Sweep, Wire};
use crate::reference::{Array, taesd};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::TensorEntry;
use std::collections::BTreeSet;

/// A side halves or doubles from stage to stage: files with more stages than this are no tiny autoencoders.
const MOST_STAGES: usize = 8;
/// Where the soft clamp of a latent bends: 3 tanh(x / 3).
const LATENT_MAGNITUDE: f32 = 3.0;

/// Which half of the autoencoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Picture to latent.
    Encoder,
    /// Latent to picture.
    Decoder,
}

/// Sizes of one half, told by its tensors but for the side of the latent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taesd {
    /// Which half.
    pub half: Half,
    /// Start of its keys: `decoder.layers.`, or nothing in the author's files.
    pub prefix: &'static str,
    /// Number of the first convolution.
    pub first: usize,
    /// Blocks in each stage, in order.
    pub stages: Vec<usize>,
    /// Channels between the first convolution and the last.
    pub channels: usize,
    /// Channels that go in.
    pub input: usize,
    /// Channels that come out.
    pub output: usize,
    /// Side of the latent, H = W.
    pub latent_side: usize,
}

/// One layer that has tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The convolution that begins, with a bias.
    First,
    /// A residual block.
    Block,
    /// The convolution without a bias that halves, or that follows a doubling.
    Between,
    /// The convolution that ends, with a bias.
    Last,
}

impl Taesd {
    /// Reads the sizes of one half out of the shapes in `weights`, under whichever naming it uses. The latent's side is
    /// `latent_side`, else 64.
    #[must_use]
    pub fn of(weights: &Weights, half: Half, latent_side: Option<usize>) -> Self {
        let named = match half {
            Half::Encoder => "encoder.layers.",
            Half::Decoder => "decoder.layers.",
        };
        let bare = !weights.keys().any(|key| key.starts_with(named));
        let prefix = if bare { "" } else { named };
        let first = usize::from(bare && half == Half::Decoder);
        let mut sizes = Self {
            half,
            prefix,
            first,
            stages: stages(&blocks(weights, prefix)),
            channels: weights.size(&format!("{prefix}{first}.weight"), 0),
            input: weights.size(&format!("{prefix}{first}.weight"), 1),
            output: 0,
            latent_side: latent_side.unwrap_or(PUBLISHED_LATENT_SIDE),
        };
        if let Some((last, _)) = sizes.parts().last() {
            sizes.output = weights.size(&format!("{prefix}{last}.weight"), 0);
        }
        sizes
    }

    /// The published half with diffusers' names.
    #[must_use]
    pub fn published(half: Half) -> Self {
        let (prefix, stages, input, output) = match half {
            Half::Encoder => ("encoder.layers.", vec![1, 3, 3, 3], 3, 4),
            Half::Decoder => ("decoder.layers.", vec![3, 3, 3, 1], 4, 3),
        };
        Self { half, prefix, first: 0, stages, channels: 64, input, output, latent_side: PUBLISHED_LATENT_SIDE }
    }

    /// How many times larger the picture's side is than the latent's.
    #[must_use]
    pub fn magnification(&self) -> usize {
        1 << self.stages.len().saturating_sub(1)
    }

    /// Every layer that has tensors, with its number. A decoder's ReLU and doublings take a number each.
    fn parts(&self) -> Vec<(usize, Part)> {
        let silent = usize::from(self.half == Half::Decoder);
        let mut parts = vec![(self.first, Part::First)];
        let mut next = self.first + 1 + silent;
        for (i, &blocks) in self.stages.iter().enumerate() {
            if i > 0 {
                parts.push((next + silent, Part::Between));
                next += silent + 1;
            }
            parts.extend((next..next + blocks).map(|number| (number, Part::Block)));
            next += blocks;
        }
        parts.push((next, Part::Last));
        parts
    }

    fn key(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }

    fn latent_shape(&self, batch: usize) -> [usize; 4] {
        let channels = if self.half == Half::Encoder { self.output } else { self.input };
        [batch, channels, self.latent_side, self.latent_side]
    }

    fn image_shape(&self, batch: usize) -> [usize; 4] {
        let side = self.latent_side * self.magnification();
        [batch, if self.half == Half::Encoder { self.input } else { self.output }, side, side]
    }
}

/// Numbers of the layers that are blocks.
fn blocks(weights: &Weights, prefix: &str) -> BTreeSet<usize> {
    let numbers = weights.keys().filter_map(|key| {
        let (number, rest) = key.strip_prefix(prefix)?.split_once('.')?;
        rest.starts_with("conv.").then(|| number.parse().ok())?
    });
    numbers.collect()
}

/// Lengths of the runs of consecutive numbers.
fn stages(blocks: &BTreeSet<usize>) -> Vec<usize> {
    let mut stages = Vec::new();
    let mut previous = None;
    for &block in blocks {
        match stages.last_mut() {
            Some(length) if previous.is_some_and(|p: usize| p.checked_add(1) == Some(block)) => *length += 1,
            _ => stages.push(1),
        }
        previous = Some(block);
    }
    stages.truncate(MOST_STAGES);
    stages
}

impl Network for Taesd {
    fn name(&self) -> &'static str {
        match self.half {
            Half::Encoder => "taesd-encoder",
            Half::Decoder => "taesd-decoder",
        }
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for (number, part) in self.parts() {
            let key = self.key(number);
            match part {
                Part::First => layout.conv(&key, self.channels, self.input, 3),
                Part::Last => layout.conv(&key, self.output, self.channels, 3),
                Part::Between => layout.conv_without_bias(&key, self.channels, self.channels, 3),
                Part::Block => {
                    for i in [0, 2, 4] {
                        layout.conv(&format!("{key}.conv.{i}"), self.channels, self.channels, 3);
                    }
                }
            }
        }
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        match self.half {
            Half::Encoder => vec![beside("decoder.layers.*", "the decoder's")],
            Half::Decoder => vec![beside("encoder.layers.*", "the encoder's")],
        }
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![match self.half {
            Half::Encoder => tensor_entry("image", &self.image_shape(batch)),
            Half::Decoder => tensor_entry("latent", &self.latent_shape(batch)),
        }]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![match self.half {
            Half::Encoder => tensor_entry("latent", &self.latent_shape(batch)),
            Half::Decoder => tensor_entry("image", &self.image_shape(batch)),
        }]
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let (input, output) = (&self.inputs(batch)[0], &self.outputs(batch)[0]);
        let mut x = net.input(&input.name, &input.shape)?;
        if self.half == Half::Decoder {
            x = net.soft_clamp(&x)?;
        }
        for (number, part) in self.parts() {
            x = self.draw_part(net, &self.key(number), part, &x)?;
        }
        net.graph.output(&output.name, &x)
    }

    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        vec![taesd(self, state, &inputs[0])]
    }
}

impl Taesd {
    fn draw_part(&self, net: &mut Drawing<'_, '_>, key: &str, part: Part, x: &Wire) -> Result<Wire, GraphError> {
        match (part, self.half) {
            (Part::First, Half::Decoder) => {
                let first = net.conv(key, x)?;
                net.graph.relu(&format!("{key}/relu"), &first)
            }
            (Part::First | Part::Last, _) => net.conv(key, x),
            (Part::Between, Half::Encoder) => net.conv_moved(key, x, Sweep::halving(3)),
            (Part::Between, Half::Decoder) => {
                let doubled = net.graph.double_nearest(&format!("{key}/double"), x)?;
                net.conv(key, &doubled)
            }
            (Part::Block, _) => net.tiny_block(key, x),
        }
    }
}

impl Drawing<'_, '_> {
    /// 3 tanh(x / 3): latents far out are bent back to where the decoder was trained.
    fn soft_clamp(&mut self, x: &Wire) -> Result<Wire, GraphError> {
        let [inverse, magnitude] = [("inverse", LATENT_MAGNITUDE.recip()), ("magnitude", LATENT_MAGNITUDE)]
            .map(|(what, value)| self.graph.floats(&format!("soft_clamp/{what}"), x.element(), &[1], &[value]));
        let small = self.graph.mul("soft_clamp/small", x, &inverse)?;
        let bent = self.graph.tanh("soft_clamp/bent", &small)?;
        self.graph.mul("soft_clamp", &bent, &magnitude)
    }

    /// ReLU(conv.4(ReLU(conv.2(ReLU(conv.0(x))))) + x).
    fn tiny_block(&mut self, key: &str, x: &Wire) -> Result<Wire, GraphError> {
        let mut h = x.clone();
        for i in [0, 2] {
            h = self.conv(&format!("{key}.conv.{i}"), &h)?;
            h = self.graph.relu(&format!("{key}.conv.{i}/relu"), &h)?;
        }
        h = self.conv(&format!("{key}.conv.4"), &h)?;
        h = self.graph.add(&format!("{key}/sum"), &h, x)?;
        self.graph.relu(key, &h)
    }
}

//! The noise in a latent, guided by tokens: Versatile Diffusion's image UNet, which is that of Stable Diffusion 1.
//!
//! ```text
//!   sample ─ conv_in ─ down_blocks ─ mid_block ─ up_blocks ─ norm ─ SiLU ─ conv_out ─ noise_prediction
//!                          └─────── skips, last in first out ───┘
//!   timestep ─ sinusoid ─ linear_1 ─ SiLU ─ linear_2 ─► every residual block
//!   encoder_hidden_states [B, T, D] ─► every transformer
//! ```
//! Spec: diffusion section 1. MindEye runs the dual-guided UNet, whose blocks mix an image and a text transformer as
//! x + r (text(x) - x) + (1 - r) (image(x) - x), at text weight r = 0: that *is* the image UNet, so a dual-guided file
//! is read and its text half left aside (`tests/unet.rs` evaluates both).

use super::recipes::Drawing;
use super::transformer::{TransformerSizes, add_transformer};
use super::unet_stages::{Level, Stage, Then, level};
use super::{Network, PUBLISHED_LATENT_SIDE, UnetSettings, beside, picture_blocks, tensor_entry};
use crate::onnx::{GraphError, Sweep, Wire};
use crate::reference::{Array, unet};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::TensorEntry;

/// A side halves from level to level: files with more levels than this are not UNets of pictures.
const MOST_LEVELS: usize = 8;
/// CLIP image tokens of ViT-L/14 at 224 px, where the user says no other number.
const PUBLISHED_TOKENS: usize = 257;
/// Longest wavelength of the time embedding, in units of 2 pi timesteps.
const LONGEST_PERIOD: f64 = 10_000.0;

/// Sizes of a UNet.
#[derive(Debug, Clone, PartialEq)]
pub struct Unet {
    /// Channels of the latent.
    pub input: usize,
    /// Channels of the predicted noise.
    pub output: usize,
    /// Side of the latent, H = W.
    pub latent_side: usize,
    /// Tokens to attend to, T.
    pub tokens: usize,
    /// Width of a token, D.
    pub token_dim: usize,
    /// Width of the time embedding behind its first layer.
    pub time_width: usize,
    /// Levels from the outside in.
    pub levels: Vec<Level>,
    /// Residual blocks of each level on the way down; one more on the way up.
    pub resnets: usize,
    /// Blocks in each transformer.
    pub transformer_blocks: usize,
    /// Whether `proj_in` and `proj_out` are matrices, as in Stable Diffusion 2, and not 1x1 convolutions.
    pub linear_projection: bool,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
    /// Epsilon of the group normalisations outside the transformers.
    pub norm_epsilon: f32,
}

impl Unet {
    /// Reads the sizes out of the shapes in `weights`. The latent's side is `latent_side`, else `sample_size`, else 64;
    /// tokens are `tokens`, else 257.
    #[must_use]
    pub fn of(weights: &Weights, settings: &UnetSettings, latent_side: Option<usize>, tokens: Option<usize>) -> Self {
        let count = weights.count("down_blocks.").min(MOST_LEVELS);
        let middle = "mid_block.attentions.0";
        let to_k = format!("{middle}.transformer_blocks.0.attn2.to_k.weight");
        let to_v = format!("{middle}.transformer_blocks.0.attn2.to_v.weight");
        Self {
            input: weights.size("conv_in.weight", 1),
            output: weights.first_size(&[("conv_out.weight", 0), ("conv_out.bias", 0)]),
            latent_side: latent_side.or(settings.sample_size).unwrap_or(PUBLISHED_LATENT_SIDE),
            tokens: tokens.unwrap_or(PUBLISHED_TOKENS),
            token_dim: weights.first_size(&[(to_k.as_str(), 1), (to_v.as_str(), 1)]),
            time_width: weights
                .first_size(&[("time_embedding.linear_1.weight", 0), ("time_embedding.linear_2.weight", 0)]),
            levels: (0..count).map(|i| level(weights, &settings.heads, i, count)).collect(),
            resnets: weights.count("down_blocks.0.resnets."),
            transformer_blocks: weights.count(&format!("{middle}.transformer_blocks.")),
            linear_projection: weights.size(&format!("{middle}.proj_in.weight"), 3) == 0
                && weights.size(&format!("{middle}.proj_out.weight"), 3) == 0,
            norm_groups: settings.norm_groups,
            norm_epsilon: settings.norm_epsilon,
        }
    }

    /// Versatile Diffusion's image UNet: 859,520,964 numbers in 686 tensors.
    #[must_use]
    pub fn published() -> Self {
        let level = |channels, attends| Level { channels, attends_down: attends, attends_up: attends, heads: 8 };
        Self {
            input: 4,
            output: 4,
            latent_side: PUBLISHED_LATENT_SIDE,
            tokens: PUBLISHED_TOKENS,
            token_dim: 768,
            time_width: 1280,
            levels: vec![level(320, true), level(640, true), level(1280, true), level(1280, false)],
            resnets: 2,
            transformer_blocks: 1,
            linear_projection: false,
            norm_groups: 32,
            norm_epsilon: 1e-5,
        }
    }

    /// Refuses a side of the latent that the levels cannot halve: every doubling must meet its skip.
    ///
    /// # Errors
    /// What the side must be, and what it is.
    pub fn check_side(&self) -> Result<(), String> {
        let (side, step) = (self.latent_side, 1 << self.levels.len().saturating_sub(1));
        if side % step == 0 {
            return Ok(());
        }
        Err(format!("must be a multiple of {step}, which this UNet's levels halve, found {side}"))
    }

    fn transformer(&self, channels: usize) -> TransformerSizes {
        TransformerSizes {
            channels,
            token_dim: self.token_dim,
            blocks: self.transformer_blocks,
            linear_projection: self.linear_projection,
        }
    }
}

impl Network for Unet {
    fn name(&self) -> &'static str {
        "unet"
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let outer = self.channels(0);
        layout.linear("time_embedding.linear_1", self.time_width, outer);
        layout.linear("time_embedding.linear_2", self.time_width, self.time_width);
        layout.conv("conv_in", outer, self.input, 3);
        for stage in self.down() {
            self.add_stage(&mut layout, &stage);
        }
        let deepest = self.deepest().channels;
        self.add_resnet(&mut layout, "mid_block.resnets.0", (deepest, deepest));
        add_transformer(&mut layout, "mid_block.attentions.0", self.transformer(deepest));
        self.add_resnet(&mut layout, "mid_block.resnets.1", (deepest, deepest));
        for stage in self.up() {
            self.add_stage(&mut layout, &stage);
        }
        layout.norm("conv_norm_out", outer);
        layout.conv("conv_out", self.output, outer, 3);
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        vec![beside("*.transformers.1.*", "the text half of a dual-guided UNet, which text weight 0 switches off")]
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        let side = self.latent_side;
        vec![
            tensor_entry("sample", &[batch, self.input, side, side]),
            tensor_entry("timestep", &[batch]),
            tensor_entry("encoder_hidden_states", &[batch, self.tokens, self.token_dim]),
        ]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("noise_prediction", &[batch, self.output, self.latent_side, self.latent_side])]
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let entries = self.inputs(batch);
        let sample = net.input(&entries[0].name, &entries[0].shape)?;
        let timestep = net.graph.input(&entries[1].name, &entries[1].shape)?;
        let tokens = net.input(&entries[2].name, &entries[2].shape)?;
        let time = self.time_embedding(net, &timestep)?;

        let mut x = net.conv("conv_in", &sample)?;
        let mut skips = vec![x.clone()];
        for stage in self.down() {
            for j in 0..stage.resnets.len() {
                x = self.draw_resnet(net, &stage, j, &x, &time, &tokens)?;
                skips.push(x.clone());
            }
            if stage.then == Then::Halve {
                x = net.conv_moved(&format!("{}.downsamplers.0.conv", stage.key), &x, Sweep::halving(3))?;
                skips.push(x.clone());
            }
        }
        x = self.draw_middle(net, &x, &time, &tokens)?;
        for stage in self.up() {
            for j in 0..stage.resnets.len() {
                let skip = skips.pop().expect("the way down left one skip for each residual block of the way up");
                x = net.graph.concat(&format!("{}.resnets.{j}/skip", stage.key), &[&x, &skip], 1)?;
                x = self.draw_resnet(net, &stage, j, &x, &time, &tokens)?;
            }
            if stage.then == Then::Double {
                let key = format!("{}.upsamplers.0.conv", stage.key);
                x = net.graph.double_nearest(&format!("{key}/double"), &x)?;
                x = net.conv(&key, &x)?;
            }
        }
        x = net.group_norm_silu("conv_norm_out", &x, self.norm_groups, self.norm_epsilon)?;
        x = net.conv("conv_out", &x)?;
        net.graph.output("noise_prediction", &x)
    }

    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        vec![unet(self, state, inputs)]
    }
}

impl Unet {
    fn add_stage(&self, layout: &mut Layout, stage: &Stage) {
        let key = &stage.key;
        for (j, &(inner, out)) in stage.resnets.iter().enumerate() {
            self.add_resnet(layout, &format!("{key}.resnets.{j}"), (inner, out));
            if stage.heads.is_some() {
                add_transformer(layout, &format!("{key}.attentions.{j}"), self.transformer(out));
            }
        }
        let channels = stage.resnets.last().map_or(0, |(_, out)| *out);
        match stage.then {
            Then::Halve => layout.conv(&format!("{key}.downsamplers.0.conv"), channels, channels, 3),
            Then::Double => layout.conv(&format!("{key}.upsamplers.0.conv"), channels, channels, 3),
            Then::Nothing => {}
        }
    }

    fn add_resnet(&self, layout: &mut Layout, key: &str, (inner, out): (usize, usize)) {
        picture_blocks::add_resnet(layout, key, out, inner);
        layout.linear(&format!("{key}.time_emb_proj"), out, self.time_width);
    }

    /// SiLU of the embedded time, the form in which every residual block takes it: [B, time_width].
    fn time_embedding(&self, net: &mut Drawing<'_, '_>, timestep: &Wire) -> Result<Wire, GraphError> {
        let half = self.channels(0) / 2;
        let frequencies: Vec<f64> = (0..half).map(|i| LONGEST_PERIOD.powf(-(i as f64) / half as f64)).collect();
        let (sin, cos) = net.waves("time_proj", timestep, &frequencies)?;
        let mut time = net.graph.concat("time_proj", &[&cos, &sin], 1)?;
        time = net.for_time_mlp("time_proj/half", &time)?;
        time = net.linear("time_embedding.linear_1", &time)?;
        time = net.silu("time_embedding.linear_1/silu", &time)?;
        time = net.linear("time_embedding.linear_2", &time)?;
        time = net.silu("time_embedding.linear_2/silu", &time)?;
        net.in_arithmetic("time_embedding/half", &time)
    }

    /// Residual block `j` of `stage` and the transformer after it.
    fn draw_resnet(
        &self,
        net: &mut Drawing<'_, '_>,
        stage: &Stage,
        j: usize,
        x: &Wire,
        time: &Wire,
        tokens: &Wire,
    ) -> Result<Wire, GraphError> {
        let norm = (self.norm_groups, self.norm_epsilon);
        let x = net.resnet(&format!("{}.resnets.{j}", stage.key), x, norm, Some(time))?;
        let Some(heads) = stage.heads else { return Ok(x) };
        let sizes = self.transformer(stage.resnets[j].1);
        net.transformer(&format!("{}.attentions.{j}", stage.key), &x, tokens, sizes, (self.norm_groups, heads))
    }

    fn draw_middle(&self, net: &mut Drawing<'_, '_>, x: &Wire, time: &Wire, tokens: &Wire) -> Result<Wire, GraphError> {
        let norm = (self.norm_groups, self.norm_epsilon);
        let deepest = self.deepest();
        let sizes = self.transformer(deepest.channels);
        let mut x = net.resnet("mid_block.resnets.0", x, norm, Some(time))?;
        x = net.transformer("mid_block.attentions.0", &x, tokens, sizes, (self.norm_groups, deepest.heads))?;
        net.resnet("mid_block.resnets.1", &x, norm, Some(time))
    }
}

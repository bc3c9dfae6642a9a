//! The noise in a latent, guided by tokens: Versatile Diffusion's image UNet, of any width.
//!
//! ```text
//!   conv_in ─ down_blocks ─ mid_block ─ up_blocks ─ norm, SiLU ─ conv_out
//!                 └────── skips ──────────┘
//! ```
//! Spec: diffusion sections 1.2 and 1.3.

use super::layout::Layout;
use super::picture_blocks::add_resnet;
use mindeye_config::{ModelDimensions, RendererDimensions};

/// Channels of a latent.
const LATENT: usize = super::Autoencoder::LATENT;

/// Sizes of a UNet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unet {
    /// Channels of the levels, from the latent inwards.
    pub channels: Vec<usize>,
    /// Whether a transformer follows each residual block of a level.
    pub attends: Vec<bool>,
    /// Residual blocks of a level on the way down; one more on the way up.
    pub resnets: usize,
    /// Heads of the transformers.
    pub heads: usize,
    /// Width of the time embedding.
    pub time_width: usize,
    /// Width of a token.
    pub token_dim: usize,
    /// Tokens.
    pub tokens: usize,
    /// Groups of every group normalisation.
    pub norm_groups: usize,
    /// Side of the latent.
    pub latent_side: usize,
}

/// One block of `down_blocks` or `up_blocks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnetStage {
    /// Start of its keys.
    pub key: String,
    /// Channels into and out of each residual block.
    pub resnets: Vec<(usize, usize)>,
    /// Whether a transformer follows each.
    pub attends: bool,
    /// Whether the side changes behind it: halved on the way down, doubled on the way up.
    pub resizes: bool,
}

impl Unet {
    /// The UNet between this model's latents and tokens.
    #[must_use]
    pub fn of(model: &ModelDimensions, renderer: &RendererDimensions) -> Self {
        Self {
            channels: renderer.unet_channels.clone(),
            attends: renderer.unet_attends.clone(),
            resnets: renderer.unet_layers_per_block,
            heads: renderer.unet_heads,
            time_width: renderer.unet_time_width,
            token_dim: model.token_dim,
            tokens: model.tokens,
            norm_groups: model.norm_groups,
            latent_side: model.latent_side(),
        }
    }

    /// Whether every doubling meets the skip of its side.
    #[must_use]
    pub fn halves_evenly(&self) -> bool {
        self.latent_side.is_multiple_of(1 << self.channels.len().saturating_sub(1))
    }

    /// The way down.
    #[must_use]
    pub fn down(&self) -> Vec<UnetStage> {
        let stage = |(i, out): (usize, &usize)| {
            let mut inner = self.channels[i.saturating_sub(1)];
            let resnets = (0..self.resnets).map(|_| (std::mem::replace(&mut inner, *out), *out)).collect();
            let resizes = i + 1 < self.channels.len();
            UnetStage { key: format!("down_blocks.{i}"), resnets, attends: self.attends[i], resizes }
        };
        self.channels.iter().enumerate().map(stage).collect()
    }

    /// The way up: each residual block takes one skip more.
    #[must_use]
    pub fn up(&self) -> Vec<UnetStage> {
        let levels = self.channels.len();
        let (mut skips, mut channels) = (self.skips(), self.channels[levels - 1]);
        let stage = |i: usize| {
            let out = self.channels[levels - 1 - i];
            let resnets =
                (0..=self.resnets).map(|_| (std::mem::replace(&mut channels, out) + skips.pop().unwrap_or(0), out));
            let resnets = resnets.collect();
            UnetStage {
                key: format!("up_blocks.{i}"),
                resnets,
                attends: self.attends[levels - 1 - i],
                resizes: i + 1 < levels,
            }
        };
        (0..levels).map(stage).collect()
    }

    /// Channels of the skips in the order in which the way down makes them.
    fn skips(&self) -> Vec<usize> {
        let mut skips = vec![self.channels[0]];
        for stage in self.down() {
            skips.extend(stage.resnets.iter().map(|(_, out)| *out));
            skips.extend(stage.resnets.last().filter(|_| stage.resizes).map(|(_, out)| *out));
        }
        skips
    }

    /// Its tensors.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let (mut layout, outer, deepest) =
            (Layout::default(), self.channels[0], self.channels[self.channels.len() - 1]);
        layout.linear("time_embedding.linear_1", self.time_width, outer);
        layout.linear("time_embedding.linear_2", self.time_width, self.time_width);
        layout.conv("conv_in", outer, LATENT, 3, true);
        self.down().iter().for_each(|stage| self.add_stage(&mut layout, stage, "downsamplers"));
        self.add_resnet(&mut layout, "mid_block.resnets.0", (deepest, deepest));
        self.add_transformer(&mut layout, "mid_block.attentions.0", deepest);
        self.add_resnet(&mut layout, "mid_block.resnets.1", (deepest, deepest));
        self.up().iter().for_each(|stage| self.add_stage(&mut layout, stage, "upsamplers"));
        layout.norm("conv_norm_out", outer);
        layout.conv("conv_out", LATENT, outer, 3, true);
        layout
    }

    fn add_stage(&self, layout: &mut Layout, stage: &UnetStage, resizer: &str) {
        let key = &stage.key;
        for (j, &(inner, out)) in stage.resnets.iter().enumerate() {
            self.add_resnet(layout, &format!("{key}.resnets.{j}"), (inner, out));
            if stage.attends {
                self.add_transformer(layout, &format!("{key}.attentions.{j}"), out);
            }
            if stage.resizes && j + 1 == stage.resnets.len() {
                layout.conv(&format!("{key}.{resizer}.0.conv"), out, out, 3, true);
            }
        }
    }

    fn add_resnet(&self, layout: &mut Layout, key: &str, (inner, out): (usize, usize)) {
        add_resnet(layout, key, out, inner);
        layout.linear(&format!("{key}.time_emb_proj"), out, self.time_width);
    }

    fn add_transformer(&self, layout: &mut Layout, key: &str, width: usize) {
        layout.norm(&format!("{key}.norm"), width);
        layout.conv(&format!("{key}.proj_in"), width, width, 1, true);
        let block = format!("{key}.transformer_blocks.0");
        for (attention, inner) in [("attn1", width), ("attn2", self.token_dim)] {
            layout.linear_without_bias(&format!("{block}.{attention}.to_q"), width, width);
            layout.linear_without_bias(&format!("{block}.{attention}.to_k"), width, inner);
            layout.linear_without_bias(&format!("{block}.{attention}.to_v"), width, inner);
            layout.linear(&format!("{block}.{attention}.to_out.0"), width, width);
        }
        layout.linear(&format!("{block}.ff.net.0.proj"), 8 * width, width);
        layout.linear(&format!("{block}.ff.net.2"), width, 4 * width);
        ["norm1", "norm2", "norm3"].iter().for_each(|norm| layout.norm(&format!("{block}.{norm}"), width));
        layout.conv(&format!("{key}.proj_out"), width, width, 1, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_unet_has_its_published_counts() {
        let unet = Unet {
            channels: vec![320, 640, 1280, 1280],
            attends: vec![true, true, true, false],
            resnets: 2,
            heads: 8,
            time_width: 1280,
            token_dim: 768,
            tokens: 257,
            norm_groups: 32,
            latent_side: 64,
        };
        // Spec: diffusion section 1, to the unit.
        assert_eq!((unet.layout().parameters(), unet.layout().slots.len()), (859_520_964, 686));
        let up: Vec<usize> = unet.up().iter().flat_map(|s| s.resnets.iter().map(|(inner, _)| *inner)).collect();
        assert_eq!(up, [2560, 2560, 2560, 2560, 2560, 1920, 1920, 1280, 960, 960, 640, 640]);
    }
}

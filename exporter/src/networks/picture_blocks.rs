//! The residual block and the attention of Stable Diffusion's picture networks, autoencoder and UNet alike.

use super::Dialect;
use super::recipes::{Drawing, VAE_EPSILON};
use crate::onnx::{GraphError, Wire};
use crate::weights::Layout;

/// Appends a residual block from `inner` to `out` channels, without a time embedding.
pub(super) fn add_resnet(layout: &mut Layout, key: &str, out: usize, inner: usize) {
    layout.norm(&format!("{key}.norm1"), inner);
    layout.conv(&format!("{key}.conv1"), out, inner, 3);
    layout.norm(&format!("{key}.norm2"), out);
    layout.conv(&format!("{key}.conv2"), out, out, 3);
    if out != inner {
        layout.conv(&format!("{key}.conv_shortcut"), out, inner, 1);
    }
}

/// Appends a single-head attention of a picture to itself.
pub(super) fn add_attention(layout: &mut Layout, key: &str, channels: usize) {
    layout.norm(&format!("{key}.group_norm"), channels);
    for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
        layout.linear(&format!("{key}.{projection}"), channels, channels);
    }
}

/// Appends the innermost part of the autoencoder: a residual block, attention, a residual block.
pub(super) fn add_middle(layout: &mut Layout, prefix: &str, channels: usize) {
    add_resnet(layout, &format!("{prefix}mid_block.resnets.0"), channels, channels);
    add_attention(layout, &format!("{prefix}mid_block.attentions.0"), channels);
    add_resnet(layout, &format!("{prefix}mid_block.resnets.1"), channels, channels);
}

/// Appends the last layers of either half of the autoencoder, from `channels` to `output`.
pub(super) fn add_end(layout: &mut Layout, prefix: &str, output: usize, channels: usize) {
    layout.norm(&format!("{prefix}conv_norm_out"), channels);
    layout.conv(&format!("{prefix}conv_out"), output, channels, 3);
}

impl Drawing<'_, '_> {
    /// The innermost part of the autoencoder.
    pub(super) fn vae_middle(&mut self, prefix: &str, x: &Wire, groups: usize) -> Result<Wire, GraphError> {
        let x = self.vae_resnet(&format!("{prefix}mid_block.resnets.0"), x, groups)?;
        let x = self.picture_attention(&format!("{prefix}mid_block.attentions.0"), &x, groups)?;
        self.vae_resnet(&format!("{prefix}mid_block.resnets.1"), &x, groups)
    }

    /// The last layers of either half of the autoencoder.
    pub(super) fn vae_end(&mut self, prefix: &str, x: &Wire, groups: usize) -> Result<Wire, GraphError> {
        let x = self.group_norm_silu(&format!("{prefix}conv_norm_out"), x, groups, VAE_EPSILON)?;
        self.conv(&format!("{prefix}conv_out"), &x)
    }

    /// A residual block of the autoencoder.
    pub(super) fn vae_resnet(&mut self, key: &str, x: &Wire, groups: usize) -> Result<Wire, GraphError> {
        self.resnet(key, x, (groups, VAE_EPSILON), None)
    }

    /// x + conv2(SiLU(norm2(conv1(SiLU(norm1(x))) + time))), with a 1x1 convolution on x where the block has one.
    /// `norm` is groups and epsilon; `time` [B, E] goes through `time_emb_proj` onto every channel.
    pub(super) fn resnet(
        &mut self,
        key: &str,
        x: &Wire,
        (groups, epsilon): (usize, f32),
        time: Option<&Wire>,
    ) -> Result<Wire, GraphError> {
        let mut h = self.group_norm_silu(&format!("{key}.norm1"), x, groups, epsilon)?;
        h = self.conv(&format!("{key}.conv1"), &h)?;
        h = match time {
            Some(time) => self.shifted_norm(key, &h, time, (groups, epsilon))?,
            None => self.group_norm_silu(&format!("{key}.norm2"), &h, groups, epsilon)?,
        };
        h = self.conv(&format!("{key}.conv2"), &h)?;
        let same = h.shape() == x.shape();
        let shortcut = if same { x.clone() } else { self.conv(&format!("{key}.conv_shortcut"), x)? };
        self.graph.add(key, &shortcut, &h)
    }

    /// SiLU(norm2(h + time)) of the residual block `key`, with `time` [B, E] as a shift of every channel.
    fn shifted_norm(
        &mut self,
        key: &str,
        h: &Wire,
        time: &Wire,
        (groups, epsilon): (usize, f32),
    ) -> Result<Wire, GraphError> {
        let norm = format!("{key}.norm2");
        let shift = self.linear(&format!("{key}.time_emb_proj"), time)?;
        if self.dialect == Dialect::OnnxRuntimeCuda {
            return self.fused_group_norm(&norm, (h, Some(&shift)), (groups, epsilon), true);
        }
        let per_channel = [shift.shape(), &[1, 1]].concat();
        let shift = self.graph.reshape(&format!("{key}.time_emb_proj/per_channel"), &shift, &per_channel)?;
        let h = self.graph.add(&format!("{key}.conv1/time"), h, &shift)?;
        self.group_norm_silu(&norm, &h, groups, epsilon)
    }

    /// Single-head attention of every place of a picture to every other, added to the picture.
    pub(super) fn picture_attention(&mut self, key: &str, x: &Wire, groups: usize) -> Result<Wire, GraphError> {
        let normed = self.group_norm(&format!("{key}.group_norm"), x, groups, VAE_EPSILON)?;
        let places = self.places(&format!("{key}/places"), &normed)?;
        let q = self.linear(&format!("{key}.to_q"), &places)?;
        let k = self.linear(&format!("{key}.to_k"), &places)?;
        let v = self.linear(&format!("{key}.to_v"), &places)?;
        let mixed = self.multi_head(key, [&q, &k, &v], 1)?;
        let mixed = self.linear(&format!("{key}.to_out.0"), &mixed)?;
        let picture = self.picture(&format!("{key}/picture"), &mixed, x.shape())?;
        self.graph.add(key, x, &picture)
    }
}

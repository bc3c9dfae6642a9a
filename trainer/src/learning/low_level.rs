//! The arithmetic of the low-level network (spec: MindEye section 4.1).

use super::backbone::dropped;
use super::net::{Net, VAE_EPSILON, softmax};
use super::parameters::Parameters;
use super::precision::full;
use crate::networks::LowLevel;
use mindeye_config::DropoutConfig;
use tch::Tensor;

/// What a low-level network makes of voxels.
pub struct LowLevelOutput {
    /// `[B, 4, side, side]`, scaled.
    pub latent: Tensor,
    /// `[B, S², 512]`, what training compares with the teacher; nothing when answering.
    pub features: Option<Tensor>,
}

/// Voxels `[B, V]` to the latent; with `dropout` (and the auxiliary head) while training, without to answer.
#[must_use]
pub fn low_level(
    sizes: &LowLevel,
    parameters: &Parameters,
    voxels: &Tensor,
    dropout: Option<&DropoutConfig>,
) -> LowLevelOutput {
    let net = Net::new(parameters, "");
    let layer = |at: Net<'_>, x: &Tensor| at.at("1").layer_norm(&at.at("0").linear_without_bias(x)).silu();
    let mut h = dropped(layer(net.at("lin0"), voxels), dropout.map(|d| d.first));
    for block in 0..sizes.blocks {
        let step = dropped(layer(net.at(&format!("mlp.{block}")), &h), dropout.map(|d| d.blocks));
        h = step + h;
    }
    let (channels, side) = (sizes.map_channels as i64, sizes.map_side as i64);
    let map = net.at("lin1").linear_without_bias(&h).view([-1, channels, side, side]);
    let map = net.at("norm").group_norm(&map, 1);
    let features = dropout.map(|_| maps_projector(&net.at("maps_projector"), &map));
    LowLevelOutput { latent: upsampler(sizes, &net.at("upsampler"), &map), features }
}

/// The map as the teacher sees pictures: one row of 512 for each of its places.
fn maps_projector(net: &Net<'_>, map: &Tensor) -> Tensor {
    let mut x = map.shallow_clone();
    for (conv, norm) in [("0", "1"), ("3", "4")] {
        x = net.at(norm).group_norm(&net.at(conv).conv_without_bias(&x), 1).relu();
    }
    full(&net.at("6").conv(&x)).flatten(2, 3).transpose(1, 2)
}

/// diffusers' VAE decoder from the map to the latent.
fn upsampler(sizes: &LowLevel, net: &Net<'_>, map: &Tensor) -> Tensor {
    let groups = sizes.norm_groups;
    let mut x = net.at("conv_in").conv(map);
    x = resnet(&net.at("mid_block.resnets.0"), &x, groups);
    x = attention(&net.at("mid_block.attentions.0"), &x, groups);
    x = resnet(&net.at("mid_block.resnets.1"), &x, groups);
    let stages = sizes.channels.len();
    for i in 0..stages {
        let stage = net.at(&format!("up_blocks.{i}"));
        x = resnet(&stage.at("resnets.0"), &x, groups);
        x = resnet(&stage.at("resnets.1"), &x, groups);
        if i + 1 < stages {
            let side = 2 * x.size()[2];
            x = stage.at("upsamplers.0.conv").conv(&x.upsample_nearest2d([side, side], None, None));
        }
    }
    full(&net.at("conv_out").conv(&net.at("conv_norm_out").group_norm_with(&x, groups, VAE_EPSILON).silu()))
}

/// x + conv2(SiLU(norm2(conv1(SiLU(norm1(x)))))), with a 1x1 convolution on x where the channels change.
fn resnet(net: &Net<'_>, x: &Tensor, groups: usize) -> Tensor {
    let h = net.at("conv1").conv(&net.at("norm1").group_norm_with(x, groups, VAE_EPSILON).silu());
    let h = net.at("conv2").conv(&net.at("norm2").group_norm_with(&h, groups, VAE_EPSILON).silu());
    if h.size()[1] == x.size()[1] { x + h } else { net.at("conv_shortcut").conv(x) + h }
}

/// Single-head attention of every place to every other, added to the picture.
fn attention(net: &Net<'_>, x: &Tensor, groups: usize) -> Tensor {
    let (channels, side) = (x.size()[1], x.size()[2]);
    let places = net.at("group_norm").group_norm_with(x, groups, VAE_EPSILON).flatten(2, 3).transpose(1, 2);
    let (q, k, v) = (net.at("to_q").linear(&places), net.at("to_k").linear(&places), net.at("to_v").linear(&places));
    let shares = softmax(&(net.bmm(&q, &k.transpose(1, 2)) / (channels as f64).sqrt()));
    let mixed = net.at("to_out.0").linear(&net.bmm(&shares, &v));
    x + mixed.transpose(1, 2).reshape([-1, channels, side, side])
}

//! The arithmetic of the blocks that autoencoder, UNet and low-level network are made of (spec: diffusion sections 1.2
//! and 2.1).

use super::net::{Net, VAE_EPSILON, softmax};
use super::precision::full;
use tch::Tensor;

/// Groups and ε of a block's normalisations.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    pub(super) groups: usize,
    pub(super) epsilon: f64,
}

impl Norm {
    /// Those of the autoencoder.
    pub(super) fn vae(groups: usize) -> Self {
        Self { groups, epsilon: VAE_EPSILON }
    }
}

/// x + conv2(SiLU(norm2(conv1(SiLU(norm1(x))) + time))), with a 1x1 convolution on x where the channels change; `time`
/// `[B, E]`, where there is one, is embedded and past its SiLU.
pub(super) fn resnet(net: &Net<'_>, x: &Tensor, norm: Norm, time: Option<&Tensor>) -> Tensor {
    let normed = |name: &str, x: &Tensor| net.at(name).group_norm_with(x, norm.groups, norm.epsilon).silu();
    let mut h = net.at("conv1").conv(&normed("norm1", x));
    if let Some(time) = time {
        h += net.at("time_emb_proj").linear(time).unsqueeze(-1).unsqueeze(-1);
    }
    let h = net.at("conv2").conv(&normed("norm2", &h));
    if h.size()[1] == x.size()[1] { x + h } else { net.at("conv_shortcut").conv(x) + h }
}

/// Single-head attention of every place to every other, added to the picture.
fn attention(net: &Net<'_>, x: &Tensor, norm: Norm) -> Tensor {
    let (channels, side) = (x.size()[1], x.size()[2]);
    let places = net.at("group_norm").group_norm_with(x, norm.groups, norm.epsilon).flatten(2, 3).transpose(1, 2);
    let (q, k, v) = (net.at("to_q").linear(&places), net.at("to_k").linear(&places), net.at("to_v").linear(&places));
    let shares = softmax(&(net.bmm(&q, &k.transpose(1, 2)) / (channels as f64).sqrt()));
    let mixed = net.at("to_out.0").linear(&net.bmm(&shares, &v));
    x + mixed.transpose(1, 2).reshape([-1, channels, side, side])
}

/// Residual block, attention, residual block.
fn middle(net: &Net<'_>, x: &Tensor, norm: Norm) -> Tensor {
    let x = resnet(&net.at("resnets.0"), x, norm, None);
    let x = attention(&net.at("attentions.0"), &x, norm);
    resnet(&net.at("resnets.1"), &x, norm, None)
}

/// An autoencoder's decoder with `stages` stages of `resnets` residual blocks: all but the last double the side.
pub(super) fn decoder(net: &Net<'_>, x: &Tensor, stages: usize, resnets: usize, groups: usize) -> Tensor {
    let norm = Norm::vae(groups);
    let mut x = middle(&net.at("mid_block"), &net.at("conv_in").conv(x), norm);
    for i in 0..stages {
        let stage = net.at(&format!("up_blocks.{i}"));
        x = (0..resnets).fold(x, |x, j| resnet(&stage.at(&format!("resnets.{j}")), &x, norm, None));
        if i + 1 < stages {
            x = stage.at("upsamplers.0.conv").conv(&doubled(&x));
        }
    }
    end(net, &x, norm)
}

/// An autoencoder's encoder: all stages but the last halve the side, with zeros at the right and below alone.
pub(super) fn encoder(net: &Net<'_>, x: &Tensor, stages: usize, resnets: usize, groups: usize) -> Tensor {
    let norm = Norm::vae(groups);
    let mut x = net.at("conv_in").conv(x);
    for i in 0..stages {
        let stage = net.at(&format!("down_blocks.{i}"));
        x = (0..resnets).fold(x, |x, j| resnet(&stage.at(&format!("resnets.{j}")), &x, norm, None));
        if i + 1 < stages {
            let padded = x.constant_pad_nd([0, 1, 0, 1]);
            x = stage.at("downsamplers.0.conv").conv_moved(&padded, 2, 0);
        }
    }
    end(net, &middle(&net.at("mid_block"), &x, norm), norm)
}

/// The last layers of either half.
fn end(net: &Net<'_>, x: &Tensor, norm: Norm) -> Tensor {
    let normed = net.at("conv_norm_out").group_norm_with(x, norm.groups, norm.epsilon);
    full(&net.at("conv_out").conv(&normed.silu()))
}

/// Each pixel as two by two.
pub(super) fn doubled(x: &Tensor) -> Tensor {
    let side = 2 * x.size()[2];
    x.upsample_nearest2d([side, side], None, None)
}

/// softmax(q kᵀ/√d) v over `heads` heads of q `[B, N, C]`, k and v `[B, M, C]`.
pub(super) fn heads_attention(net: &Net<'_>, [q, k, v]: [Tensor; 3], heads: usize) -> Tensor {
    let (batch, n, width) = (q.size()[0], q.size()[1], q.size()[2]);
    let (heads, d) = (heads as i64, width / heads as i64);
    let split = |x: &Tensor| x.view([batch, -1, heads, d]).transpose(1, 2).reshape([batch * heads, -1, d]);
    let (q, k, v) = (split(&q), split(&k), split(&v));
    let shares = softmax(&(net.bmm(&q, &k.transpose(1, 2)) / (d as f64).sqrt()));
    net.bmm(&shares, &v).view([batch, heads, n, d]).transpose(1, 2).reshape([batch, n, width])
}

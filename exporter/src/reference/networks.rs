//! The forward passes, step by step as the spec's tables list them.

use super::array::Array;
use super::layers::{Layer, attention, double_nearest, gelu, silu};
use crate::networks::{Backbone, KlDecoder, LowLevel, VaeDecoder};
use crate::weights::StateDict;

/// Voxels [B, V] to backbone tokens and retrieval tokens, [B, T, D] each (spec: MindEye section 1).
pub(crate) fn backbone(sizes: &Backbone, prefix: &str, state: &StateDict<'_>, voxels: &Array) -> Vec<Array> {
    let net = Layer::new(state, prefix.trim_end_matches('.'));
    let block = |layer: Layer<'_>, x: &Array| layer.at("1").layer_norm(layer.at("0").linear(x)).map(gelu);
    let mut h = block(net.at("lin0"), voxels);
    for i in 0..sizes.blocks {
        h = block(net.at(&format!("mlp.{i}")), &h).plus(&h);
    }
    let tokens = net.at("lin1").linear(&h).reshaped(&[voxels.shape[0], sizes.tokens, sizes.token_dim]);
    let mut projected = tokens.clone();
    for (norm, linear) in
        [("projector.0", "projector.2"), ("projector.3", "projector.5"), ("projector.6", "projector.8")]
    {
        projected = net.at(linear).linear(&net.at(norm).layer_norm(projected).map(gelu));
    }
    vec![tokens, projected]
}

/// Voxels [B, V] to the scaled latent [B, 4, 4S, 4S] (spec: MindEye section 4.1).
pub(crate) fn low_level(sizes: &LowLevel, state: &StateDict<'_>, voxels: &Array) -> Array {
    let net = Layer::new(state, "");
    let block = |layer: Layer<'_>, x: &Array| layer.at("1").layer_norm(layer.at("0").linear(x)).map(silu);
    let mut h = block(net.at("lin0"), voxels);
    for i in 0..sizes.blocks {
        h = block(net.at(&format!("mlp.{i}")), &h).plus(&h);
    }
    let map_shape = [voxels.shape[0], sizes.map_channels, sizes.map_side, sizes.map_side];
    let map = net.at("norm").group_norm(&net.at("lin1").linear(&h).reshaped(&map_shape), 1, 1e-5);
    kl_decoder(&sizes.upsampler, state, &map)
}

/// Unscaled latent [B, 4, H, W] to the picture (spec: diffusion section 2.1).
pub(crate) fn vae_decoder(sizes: &VaeDecoder, state: &StateDict<'_>, latent: &Array) -> Array {
    let map = Layer::new(state, "post_quant_conv").conv(latent);
    kl_decoder(&sizes.decoder, state, &map)
}

fn kl_decoder(sizes: &KlDecoder, state: &StateDict<'_>, map: &Array) -> Array {
    let net = Layer::new(state, sizes.prefix.trim_end_matches('.'));
    let groups = sizes.norm_groups;
    let mut x = net.at("conv_in").conv(map);
    x = resnet(&net.at("mid_block.resnets.0"), groups, x);
    x = picture_attention(&net.at("mid_block.attentions.0"), groups, x);
    x = resnet(&net.at("mid_block.resnets.1"), groups, x);
    for stage in 0..sizes.stages.len() {
        let block = net.at(&format!("up_blocks.{stage}"));
        for i in 0..sizes.resnets {
            x = resnet(&block.at(&format!("resnets.{i}")), groups, x);
        }
        if stage + 1 < sizes.stages.len() {
            x = block.at("upsamplers.0.conv").conv(&double_nearest(&x));
        }
    }
    net.at("conv_out").conv(&net.at("conv_norm_out").group_norm(&x, groups, 1e-6).map(silu))
}

fn resnet(block: &Layer<'_>, groups: usize, x: Array) -> Array {
    let mut h = block.at("conv1").conv(&block.at("norm1").group_norm(&x, groups, 1e-6).map(silu));
    h = block.at("conv2").conv(&block.at("norm2").group_norm(&h, groups, 1e-6).map(silu));
    let shortcut = block.at("conv_shortcut");
    if shortcut.exists() { h.plus(&shortcut.conv(&x)) } else { h.plus(&x) }
}

fn picture_attention(block: &Layer<'_>, groups: usize, x: Array) -> Array {
    let &[batch, channels, h, w] = x.shape.as_slice() else { panic!("not a picture: {:?}", x.shape) };
    let normed = block.at("group_norm").group_norm(&x, groups, 1e-6);
    let places = swapped(&normed.values, channels, h * w);
    let places = Array::new(&[batch, h * w, channels], places);
    let [q, k, v] = ["to_q", "to_k", "to_v"].map(|key| block.at(key).linear(&places).values);
    let one = h * w * channels;
    let mixed = (0..batch)
        .map(|b| b * one..(b + 1) * one)
        .flat_map(|r| attention(&q[r.clone()], &k[r.clone()], &v[r], channels));
    let mixed = block.at("to_out.0").linear(&Array::new(&places.shape, mixed.collect()));
    Array::new(&x.shape, swapped(&mixed.values, h * w, channels)).plus(&x)
}

/// Rows and columns exchanged in each matrix of a stack of [rows, columns].
fn swapped(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let matrices = values.chunks_exact(rows * columns);
    matrices.flat_map(|m| (0..columns).flat_map(move |c| (0..rows).map(move |r| m[r * columns + c]))).collect()
}

//! MindEye's own networks, step by step as the spec's tables list them: voxels to tokens, voxels to latent.

use super::array::Array;
use super::autoencoder::kl_decoder;
use super::layers::{Layer, gelu, silu};
use super::pictures::swapped;
use crate::networks::{Backbone, LowLevel, MindEye2Backbone, RidgeBackbone};
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
    let projected = projector(&net.at("projector"), &tokens);
    vec![tokens, projected]
}

/// The trainer's ridge variant, voxels [B, V] to backbone tokens and retrieval tokens: W s + b + g MLP(s), every part
/// evaluated whatever the gate.
pub(crate) fn ridge_backbone(sizes: &RidgeBackbone, state: &StateDict<'_>, voxels: &Array) -> Vec<Array> {
    let net = Layer::new(state, "voxel2clip");
    let shared = net.at(&format!("ridge.{}", sizes.participant)).linear(voxels);
    let gate = f64::from(sizes.gate);
    let learned = backbone(&sizes.behind, "voxel2clip.", state, &shared).swap_remove(0).map(|value| gate * value);
    let tokens = net.at("linear").linear(&shared).reshaped(&learned.shape).plus(&learned);
    let projected = projector(&net.at("projector"), &tokens);
    vec![tokens, projected]
}

/// Three times layer norm, GELU, linear, on every token.
fn projector(net: &Layer<'_>, tokens: &Array) -> Array {
    let mut x = tokens.clone();
    for (norm, linear) in [("0", "2"), ("3", "5"), ("6", "8")] {
        x = net.at(linear).linear(&net.at(norm).layer_norm(x).map(gelu));
    }
    x
}

/// MindEye2's voxels [B, V] to backbone tokens and retrieval tokens, every mixer block evaluated as its authors wrote
/// it, in a sequence of one (spec: MindEye section 7b).
pub(crate) fn mindeye2_backbone(sizes: &MindEye2Backbone, state: &StateDict<'_>, voxels: &Array) -> Vec<Array> {
    let batch = voxels.shape[0];
    let shared = Layer::new(state, format!("ridge.linears.{}", sizes.subject)).linear(voxels);
    let net = Layer::new(state, "backbone");
    let mixed = mixers(&net, sizes.blocks, shared.reshaped(&[batch, 1, sizes.hidden]));
    let flat = mixed.reshaped(&[batch, sizes.hidden]);
    let tokens = net.at("backbone_linear").linear(&flat).reshaped(&[batch, sizes.tokens, sizes.token_dim]);
    let projected = projector(&net.at("clip_proj"), &tokens);
    vec![tokens, projected]
}

/// Pairs of mixer blocks over x [B, S, H], A over channels and B over the sequence, each with a residual stream of its
/// own: A's begins with x and takes A's answers, B's begins with x transposed and takes B's.
fn mixers(net: &Layer<'_>, blocks: usize, x: Array) -> Array {
    let mlp = |block: Layer<'_>, x: Array| {
        let inner = block.at("1.0").linear(&block.at("0").layer_norm(x)).map(gelu);
        block.at("1.3").linear(&inner)
    };
    let mut x = x;
    let mut residual_a = x.clone();
    let mut residual_b = swapped_axes(&x);
    for i in 0..blocks {
        x = mlp(net.at(&format!("mixer_blocks1.{i}")), x).plus(&residual_a);
        residual_a = x.clone();
        let turned = mlp(net.at(&format!("mixer_blocks2.{i}")), swapped_axes(&x)).plus(&residual_b);
        residual_b = turned.clone();
        x = swapped_axes(&turned);
    }
    x
}

/// [B, S, H] as [B, H, S].
fn swapped_axes(x: &Array) -> Array {
    let &[batch, s, h] = x.shape.as_slice() else { panic!("not a sequence: {:?}", x.shape) };
    Array::new(&[batch, h, s], swapped(&x.values, s, h))
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

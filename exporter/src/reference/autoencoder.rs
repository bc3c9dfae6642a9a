//! Stable Diffusion's autoencoder in both directions.

use super::array::Array;
use super::attention::attention;
use super::layers::{Layer, silu};
use super::pictures::{double_nearest, every_second, from_places, to_places};
use crate::networks::{KlDecoder, KlEncoder, VaeDecoder, VaeEncoder};
use crate::weights::StateDict;

/// Unscaled latent [B, 4, H, W] to the picture (spec: diffusion section 2.1).
pub(crate) fn vae_decoder(sizes: &VaeDecoder, state: &StateDict<'_>, latent: &Array) -> Array {
    let map = Layer::new(state, "post_quant_conv").conv(latent);
    kl_decoder(&sizes.decoder, state, &map)
}

/// A picture [B, 3, 8H, 8W] to mean and log-variance of its latent (spec: diffusion section 2.1).
pub(crate) fn vae_encoder(sizes: &VaeEncoder, state: &StateDict<'_>, image: &Array) -> Array {
    let map = kl_encoder(&sizes.encoder, state, image);
    Layer::new(state, "quant_conv").conv(&map)
}

fn kl_encoder(sizes: &KlEncoder, state: &StateDict<'_>, image: &Array) -> Array {
    let net = Layer::new(state, sizes.prefix.trim_end_matches('.'));
    let groups = sizes.norm_groups;
    let mut x = net.at("conv_in").conv(image);
    for stage in 0..sizes.stages.len() {
        let block = net.at(&format!("down_blocks.{stage}"));
        for i in 0..sizes.resnets {
            x = resnet(&block.at(&format!("resnets.{i}")), groups, x);
        }
        if stage + 1 < sizes.stages.len() {
            // A row of zeros below and a column at the right: the kernel sits on the odd pixels.
            x = every_second(&block.at("downsamplers.0.conv").conv(&x), 1);
        }
    }
    x = resnet(&net.at("mid_block.resnets.0"), groups, x);
    x = picture_attention(&net.at("mid_block.attentions.0"), groups, x);
    x = resnet(&net.at("mid_block.resnets.1"), groups, x);
    net.at("conv_out").conv(&net.at("conv_norm_out").group_norm(&x, groups, 1e-6).map(silu))
}

pub(super) fn kl_decoder(sizes: &KlDecoder, state: &StateDict<'_>, map: &Array) -> Array {
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

/// GroupNorm, SiLU, convolution, twice, and x around it.
fn resnet(block: &Layer<'_>, groups: usize, x: Array) -> Array {
    let mut h = block.at("conv1").conv(&block.at("norm1").group_norm(&x, groups, 1e-6).map(silu));
    h = block.at("conv2").conv(&block.at("norm2").group_norm(&h, groups, 1e-6).map(silu));
    let shortcut = block.at("conv_shortcut");
    if shortcut.exists() { h.plus(&shortcut.conv(&x)) } else { h.plus(&x) }
}

fn picture_attention(block: &Layer<'_>, groups: usize, x: Array) -> Array {
    let places = to_places(&block.at("group_norm").group_norm(&x, groups, 1e-6));
    let [q, k, v] = ["to_q", "to_k", "to_v"].map(|key| block.at(key).linear(&places));
    let mixed = block.at("to_out.0").linear(&attention(&q, &k, &v, 1));
    from_places(&mixed, &x.shape).plus(&x)
}

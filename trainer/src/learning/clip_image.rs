//! The arithmetic of the picture encoder (spec: diffusion section 1.4).

use super::net::Net;
use super::parameters::Parameters;
use super::picture_blocks::heads_attention;
use super::precision::full;
use crate::networks::ClipImage;
use tch::Tensor;

/// Steepness of the sigmoid in `quick_gelu`.
const QUICK_GELU: f64 = 1.702;

/// Normalised pictures `[B, 3, S, S]` to tokens `[B, T, D]`: final norm and projection on every token, all divided by the
/// length of the first, the CLS token.
pub fn clip_image(sizes: &ClipImage, parameters: &Parameters, pixels: &Tensor) -> Tensor {
    let net = Net::new(parameters, "");
    let vision = net.at("vision_model");
    let mut x = vision.at("pre_layrnorm").layer_norm(&embedded(sizes, &vision.at("embeddings"), pixels));
    for i in 0..sizes.layers {
        x = layer(sizes, &vision.at(&format!("encoder.layers.{i}")), &x);
    }
    let normed = vision.at("post_layernorm").layer_norm(&x);
    let tokens = full(&net.at("visual_projection").linear_without_bias(&normed));
    let length = tokens.narrow(1, 0, 1).norm_scalaropt_dim(2, [-1], true);
    tokens / length
}

/// CLS token, then one token for each patch, positions added.
fn embedded(sizes: &ClipImage, net: &Net<'_>, pixels: &Tensor) -> Tensor {
    let patches = net.at("patch_embedding").patches(pixels, sizes.patch).flatten(2, 3).transpose(1, 2);
    let cls = net.tensor("class_embedding").view([1, 1, -1]).expand([pixels.size()[0], 1, -1], false);
    Tensor::cat(&[cls, full(&patches)], 1) + net.tensor("position_embedding.weight")
}

fn layer(sizes: &ClipImage, net: &Net<'_>, x: &Tensor) -> Tensor {
    let normed = net.at("layer_norm1").layer_norm(x);
    let attention = net.at("self_attn");
    let factors = ["q_proj", "k_proj", "v_proj"].map(|name| attention.at(name).linear(&normed));
    let x = x + attention.at("out_proj").linear(&heads_attention(&attention, factors, sizes.heads));
    let wide = net.at("mlp.fc1").linear(&net.at("layer_norm2").layer_norm(&x));
    let active = &wide * (&wide * QUICK_GELU).sigmoid();
    x + net.at("mlp.fc2").linear(&active)
}

//! The tiny autoencoder, layer after layer as its file numbers them.

use super::array::Array;
use super::layers::Layer;
use super::pictures::{double_nearest, every_second};
use crate::networks::{Half, Taesd};
use crate::weights::StateDict;

/// A picture in [0, 1] to its scaled latent, or back (spec: diffusion section 2.2).
pub(crate) fn taesd(sizes: &Taesd, state: &StateDict<'_>, input: &Array) -> Array {
    let net = Layer::new(state, sizes.prefix.trim_end_matches('.'));
    let numbers = state.keys().filter_map(|key| key.strip_prefix(sizes.prefix)?.split('.').next()?.parse().ok());
    let last: usize = numbers.max().unwrap_or(0);
    let decodes = sizes.half == Half::Decoder;
    let mut x = if decodes { input.clone().map(|v| 3.0 * (v / 3.0).tanh()) } else { input.clone() };
    for number in 0..=last {
        let layer = net.at(&number.to_string());
        if layer.at("conv.0").exists() {
            x = block(&layer.at("conv"), x);
        } else if layer.exists() && layer.has_bias() {
            let first = number != last;
            x = layer.conv(&x);
            x = if decodes && first { x.map(relu) } else { x };
        } else if layer.exists() {
            x = if decodes { layer.conv(&double_nearest(&x)) } else { every_second(&layer.conv(&x), 0) };
        }
    }
    x
}

fn block(conv: &Layer<'_>, x: Array) -> Array {
    let h = conv.at("2").conv(&conv.at("0").conv(&x).map(relu)).map(relu);
    conv.at("4").conv(&h).plus(&x).map(relu)
}

fn relu(x: f64) -> f64 {
    x.max(0.0)
}

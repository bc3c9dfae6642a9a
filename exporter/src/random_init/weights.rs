//! Random weights under which every layer hands on numbers of order one.

use super::Noise;
use crate::weights::Layout;
use safetensors::tensor::{Dtype, TensorView};

/// Spread of gains around 1 and of offsets around 0: enough that a parity test notices one that is left out.
const PARAMETER_SPREAD: f64 = 0.1;

/// A safetensors file with random numbers for every tensor of `layout`. Matrices and kernels have variance 1/fan-in, so
/// that a sum over independent inputs of variance 1 has variance 1; gains lie around 1, offsets around 0.
#[must_use]
pub fn random_weights(layout: &Layout, seed: u64) -> Vec<u8> {
    let tensors: Vec<_> = layout.tensors.iter().map(|(key, shape)| (key, shape, values(key, shape, seed))).collect();
    let views = tensors.iter().map(|(key, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes);
        (key, view.expect("as many bytes were made as the shape says"))
    });
    safetensors::serialize(views, None).expect("a header with these few names is far below the format's limit")
}

fn values(key: &str, shape: &[usize], seed: u64) -> Vec<u8> {
    let noise = Noise::new(seed, key);
    let fan_in: usize = shape[1..].iter().product();
    let (centre, spread) = match shape.len() {
        1 if key.ends_with(".weight") || key.ends_with(".g") => (1.0, PARAMETER_SPREAD),
        1 => (0.0, PARAMETER_SPREAD),
        _ => (0.0, (fan_in as f64).powf(-0.5)),
    };
    let numbers = noise.normals(shape.iter().product()).map(|z| (centre + spread * z) as f32);
    numbers.flat_map(f32::to_le_bytes).collect()
}

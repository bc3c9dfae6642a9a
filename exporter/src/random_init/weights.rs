//! Random weights under which every layer hands on numbers of order one, in half precision too.

use super::Noise;
use crate::weights::{Layout, Numbers, Tensor};
use safetensors::tensor::{Dtype, TensorView};

/// Spread of gains around 1 and of offsets around 0: enough that a parity test notices one that is left out.
const PARAMETER_SPREAD: f32 = 0.1;

/// Random numbers around `centre`, by address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// The stream.
    pub noise: Noise,
    /// Their mean.
    pub centre: f32,
    /// Their standard deviation.
    pub spread: f32,
}

impl Drawn {
    /// Number `i`.
    #[must_use]
    pub fn number(self, i: u64) -> f32 {
        self.centre + self.spread * self.noise.bell(i)
    }
}

/// The tensor `key` of `shape` that follows from `seed`. Matrices and kernels have variance 1/fan-in, so that a sum over
/// independent inputs of variance 1 has variance 1; gains lie around 1, offsets around 0.
#[must_use]
pub fn random_tensor(key: &str, shape: &[usize], seed: u64) -> Tensor<'static> {
    let fan_in: usize = shape[1..].iter().product();
    let (centre, spread) = match shape.len() {
        1 if key.ends_with(".weight") || key.ends_with(".g") => (1.0, PARAMETER_SPREAD),
        1 => (0.0, PARAMETER_SPREAD),
        _ => (0.0, (fan_in as f32).powf(-0.5)),
    };
    let drawn = Drawn { noise: Noise::new(seed, key), centre, spread };
    Tensor { shape: shape.to_vec(), numbers: Numbers::Drawn(drawn) }
}

/// A safetensors file with [`random_tensor`]s for all of `layout`.
#[must_use]
pub fn random_weights(layout: &Layout, seed: u64) -> Vec<u8> {
    let bytes = |key: &str, shape: &[usize]| -> Vec<u8> {
        random_tensor(key, shape, seed).f32_pieces().flat_map(|piece| piece.into_owned()).collect()
    };
    let tensors: Vec<_> = layout.tensors.iter().map(|(key, shape)| (key, shape, bytes(key, shape))).collect();
    let views = tensors.iter().map(|(key, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes);
        (key, view.expect("as many bytes were made as the shape says"))
    });
    safetensors::serialize(views, None).expect("a header with these few names is far below the format's limit")
}

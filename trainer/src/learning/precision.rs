//! Mixed precision: the factors of matrix products and convolutions are rounded, everything else stays float32.
//!
//! The same policy as PyTorch's autocast, which tch can switch on for CUDA's float16 only: products in half precision
//! (their sums are float32 inside), normalisations, softmax and losses in float32 (Micikevicius et al. 2018).

use mindeye_config::TrainingPrecision;
use tch::{Kind, Tensor};

/// `x` as a factor of a product.
pub(super) fn factor(precision: TrainingPrecision, x: &Tensor) -> Tensor {
    match precision {
        TrainingPrecision::Fp32 => x.shallow_clone(),
        TrainingPrecision::Bf16 => x.to_kind(Kind::BFloat16),
        TrainingPrecision::Fp16 => x.to_kind(Kind::Half),
    }
}

/// `x` where it must not be rounded: the same tensor if it is float32 already.
pub(super) fn full(x: &Tensor) -> Tensor {
    x.to_kind(Kind::Float)
}

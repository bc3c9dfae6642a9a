//! Weights out of nothing: random numbers of the right shapes and sizes, for wiring and latency work.

mod noise;
mod weights;

pub use noise::Noise;
pub use weights::{Drawn, random_tensor, random_weights};

//! The networks' arithmetic in plain f64 loops, the independent answer that every graph and every golden case is held
//! to.
//!
//! Nothing here knows ONNX, and nothing in the graphs knows this: both read the same tensors and the same spec pages.
//! Written for clarity and double precision; a demo-sized decoder takes about a second, a full-sized one minutes.

mod array;
mod attention;
mod autoencoder;
mod clip;
mod erf;
mod layers;
mod mindeye;
mod pictures;
mod prior;
mod step;
mod taesd;
mod unet;

pub use array::Array;
pub(crate) use autoencoder::{vae_decoder, vae_encoder};
pub(crate) use clip::clip_image;
pub(crate) use mindeye::{backbone, low_level, mindeye2_backbone, ridge_backbone};
pub(crate) use prior::prior;
pub(crate) use step::step;
pub(crate) use taesd::taesd;
pub use unet::dual_guided_unet;
pub(crate) use unet::unet;

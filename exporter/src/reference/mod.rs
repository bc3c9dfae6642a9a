//! The networks' arithmetic in plain f64 loops, the independent answer that every graph and every golden case is held
//! to.
//!
//! Nothing here knows ONNX, and nothing in the graphs knows this: both read the same tensors and the same spec pages.
//! Written for clarity and double precision; a demo-sized decoder takes about a second, a full-sized one minutes.

mod array;
mod erf;
mod layers;
mod networks;

pub use array::Array;
pub(crate) use networks::{backbone, low_level, vae_decoder};

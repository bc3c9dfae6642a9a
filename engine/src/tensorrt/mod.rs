//! TensorRT for RTX: compiles graphs on any machine, runs what it compiled on RTX cards.
//!
//! All that is said to the binding `trtx` is said here; it calls itself experimental, and its versions change names.

mod builder;
mod library;
mod session;

pub(crate) use builder::build;
pub(crate) use library::Library;
pub use session::TensorrtRtx;

//! ONNX written from Rust: wires that know their shapes become protobuf messages in a file.
//!
//! ```text
//!   Graph (typed wires, shapes checked) ──Model──► F.onnx [+ F.onnx.data]
//!                                                     └──► outline(): inputs and outputs of any ONNX file
//! ```
//!
//! Operator set 20 with decomposed attention and group normalisation: the one set that ONNX Runtime and TensorRT both
//! run fast and that needs no attention kernel of a particular width (spec: diffusion section 7.4). `runtime_ops` has the
//! operators of the other dialect, which ONNX Runtime alone knows.

mod axes;
mod elementwise;
mod file;
mod graph;
pub mod messages;
mod ops;
mod outline;
mod rounded;
mod runtime_ops;
mod sink;

pub use file::{INLINE_LIMIT, Model, Precision, Written};
pub use graph::{Element, Graph, GraphError, Wire};
pub use ops::Sweep;
pub use outline::{Outline, outline};
pub use rounded::{LARGEST_ACTIVATION, rounded};
pub use runtime_ops::GroupNorm;

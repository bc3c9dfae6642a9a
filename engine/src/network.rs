//! A network as a file: where it lies and which tensors, of which fixed shapes, go in and out.

use mindeye_config::Precision;
use std::fmt;
use std::path::PathBuf;

/// A named float32 tensor of fixed shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: String,
    /// Shape in elements, batch first, last dimension fastest.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// A spec of `name` and `shape`.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.into(), shape: shape.into() }
    }

    /// Number of elements: the product of the shape.
    #[must_use]
    pub fn element_count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// As in `voxels f32[1, 4096]`.
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} f32{:?}", self.name, self.shape)
    }
}

/// A network that an engine can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFile {
    /// Name for messages, and the mock's seed: `backbone`, `low-level`, ...
    pub name: String,
    /// The ONNX file. The mock never opens it.
    pub path: PathBuf,
    /// Arithmetic of the graph. An engine on a GPU may use units that round to half precision where the graph does so.
    pub precision: Precision,
    /// Inputs in the order in which [`Session::run`](crate::Session::run) takes them.
    pub inputs: Vec<TensorSpec>,
    /// Outputs in the order in which [`Session::run`](crate::Session::run) fills them.
    pub outputs: Vec<TensorSpec>,
}

//! What can go wrong between weights and bundle, each naming the thing, the place and both sides.

use crate::onnx::GraphError;
use crate::weights::{CONVERSION, Misfit};
use mindeye_config::{ConfigError, Exit};
use mindeye_engine::CompileError;
use std::path::PathBuf;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file or folder named by the user is not there.
    #[error("{}: no such file or folder", path.display())]
    NoSuchFile {
        /// The path.
        path: PathBuf,
    },
    /// A file or folder that would be overwritten.
    #[error("{}: exists already; remove it or choose another name", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// A flag whose value cannot be right.
    #[error("{flag}: {message}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// What is wrong, with both sides.
        message: String,
    },
    /// A configuration file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder without a weights file.
    #[error("{}: holds no weights for `{network}`; looked for {looked_for}", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// The network.
        network: &'static str,
        /// File names that would have done.
        looked_for: String,
    },
    /// A pickle.
    #[error("{}: a pickle runs code when opened and is never read; convert it offline: {CONVERSION}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// A folder without a file that it must have.
    #[error("{}: holds no `{file}`", folder.display())]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: String,
    },
    /// A damaged safetensors file.
    #[error("{}: not a whole safetensors file: {message}", path.display())]
    BadHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A file that is no ONNX model of the kind wanted.
    #[error("{}: not a usable ONNX model: {message}", path.display())]
    BadModel {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// Tensors that are not those of the network.
    #[error("{}: the tensors are not those of `{network}`: {misfit}", path.display())]
    Misfit {
        /// The file.
        path: PathBuf,
        /// The network.
        network: &'static str,
        /// Every difference.
        misfit: Misfit,
    },
    /// Tensors that are not floating point.
    #[error("{}: only F32, F16 and BF16 are read, found {tensors}", path.display())]
    NotFloat {
        /// The file.
        path: PathBuf,
        /// Their names and types.
        tensors: String,
    },
    /// Tensors with NaN or infinite numbers.
    #[error("{}: NaN or infinite numbers in {tensors}", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Their names and first places.
        tensors: String,
    },
    /// Tensors that a half-precision graph cannot hold.
    #[error("{}: numbers beyond float16, whose largest is 65504, in {tensors}; export as fp32", path.display())]
    BeyondHalf {
        /// The file.
        path: PathBuf,
        /// Their names.
        tensors: String,
    },
    /// A golden case that the graph does not reproduce, or that cannot be one.
    #[error("{}: golden case: {message}", path.display())]
    Golden {
        /// The graph, or the file of golden cases.
        path: PathBuf,
        /// Both sides.
        message: String,
    },
    /// Two parts of a bundle that do not belong together.
    #[error("{}: {what} is {found}, {other} says {expected}", path.display())]
    Disagree {
        /// The file.
        path: PathBuf,
        /// The quantity.
        what: String,
        /// Its value there.
        found: String,
        /// The other side.
        other: String,
        /// The value there.
        expected: String,
    },
    /// A setting beside the weights that this network cannot follow.
    #[error("{}: key `{key}`: {message}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong, with both sides.
        message: String,
    },
    /// A noise schedule other than the one that the prior was made for.
    #[error(
        "{}: `{key}` at step {step} of {steps} is {found}, the cosine schedule has {expected}", path.display()
    )]
    Schedule {
        /// The weights file.
        path: PathBuf,
        /// The buffer.
        key: String,
        /// Which of its numbers.
        step: usize,
        /// How many there are.
        steps: usize,
        /// The file's number.
        found: f32,
        /// The schedule's.
        expected: f64,
    },
    /// Shapes that do not go together inside a network.
    #[error("{}: {source}", path.display())]
    Graph {
        /// The weights file.
        path: PathBuf,
        /// The node and both shapes.
        source: GraphError,
    },
    /// A picture, or a folder of pictures, that cannot be used.
    #[error("{}: {message}", path.display())]
    BadPicture {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A mask, volume or table of preprocessing is wrong or cannot be written.
    #[error(transparent)]
    Preprocess(#[from] mindeye_preprocess::PreprocessError),
    /// An engine is missing or cannot run a graph.
    #[error(transparent)]
    Engine(#[from] mindeye_engine::EngineError),
    /// A graph did not become a TensorRT engine.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Something that a later version brings.
    #[error("{what} not in this version: {instead}")]
    NotYet {
        /// What was asked for, with its verb: "network `unet` is".
        what: String,
        /// What there is.
        instead: String,
    },
}

impl ExportError {
    /// The status with which a program ends on this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoSuchFile { .. } | Self::Exists { .. } | Self::Flag { .. } | Self::Config(_) => Exit::Usage,
            Self::NotYet { .. } => Exit::Unavailable,
            Self::Engine(error) if error.is_unavailable() => Exit::Unavailable,
            Self::Compile(CompileError::Engine(error)) if error.is_unavailable() => Exit::Unavailable,
            Self::Unreadable { .. } | Self::Unwritable { .. } => Exit::Other,
            Self::Compile(CompileError::Unreadable { .. } | CompileError::Unwritable { .. }) => Exit::Other,
            _ => Exit::Data,
        }
    }
}

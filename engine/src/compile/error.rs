//! Why no engine was compiled.

use super::Target;
use crate::EngineError;
use mindeye_config::Precision;
use std::path::{Path, PathBuf};

/// Why no engine was compiled; nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The feature, the library or a GPU is missing.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// TensorRT cannot read or compile the graph.
    #[error("{}: TensorRT cannot compile it: {message}", path.display())]
    Graph {
        /// The ONNX file.
        path: PathBuf,
        /// The first error that TensorRT said.
        message: String,
    },
    /// The graph's arithmetic is not what was asked for.
    #[error(
        "{}: asked for {asked:?}, but {} of its {all} convolutions and matrix products are of another type, first {}",
        path.display(), others, first
    )]
    Precision {
        /// The ONNX file.
        path: PathBuf,
        /// The arithmetic asked for.
        asked: Precision,
        /// Products of another type.
        others: usize,
        /// All products.
        all: usize,
        /// The first of another type.
        first: String,
    },
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
    /// An engine is not there, or not the one of this graph.
    #[error("{}: no engine of {} for {target} there: {message}", path.display(), graph.display())]
    NotCompiled {
        /// Where the engine should be.
        path: PathBuf,
        /// Its graph.
        graph: PathBuf,
        /// The GPU.
        target: Target,
        /// What is wrong, and the remedy.
        message: String,
    },
}

impl CompileError {
    pub(super) fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Unreadable { path, source }
    }

    #[cfg(feature = "tensorrt")]
    pub(super) fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Unwritable { path, source }
    }
}

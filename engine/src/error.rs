//! Everything that can go wrong between a network file and its numbers, with both sides of each disagreement.

use crate::Place;
use mindeye_config::EngineKind;
use std::fmt;
use std::path::PathBuf;

/// Which end of a network a tensor is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It goes in.
    Input,
    /// It comes out.
    Output,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// Why an engine did not do what it was asked. Tensors and buffers stand here as they print: `voxels f32[1, 4096]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The kind was not compiled into this program.
    #[error("engine `{kind}` is not in this build; build with the feature `{feature}`")]
    NotInThisBuild {
        /// The kind asked for.
        kind: EngineKind,
        /// The feature that brings it.
        feature: &'static str,
    },
    /// No build of this version has the kind.
    #[error("engine `{kind}` is not in this version; `tensorrt-rtx` runs TensorRT engines on RTX cards")]
    NotInThisVersion {
        /// The kind asked for.
        kind: EngineKind,
    },
    /// There is no GPU that the kind can use.
    #[error("engine `{kind}` needs an NVIDIA GPU with its driver: {message}")]
    NoDevice {
        /// The kind asked for.
        kind: EngineKind,
        /// What is missing, or what the driver said.
        message: String,
    },
    /// The library that the kind needs is not in the runtime folder.
    #[error("engine `{kind}` needs {library}, which is not in the runtime folder; run `{remedy}`")]
    LibraryMissing {
        /// The kind asked for.
        kind: EngineKind,
        /// Path of the library below the runtime folder.
        library: &'static str,
        /// The command that fetches it.
        remedy: &'static str,
    },
    /// The library is there and cannot be used.
    #[error("engine `{kind}`: {}: {message}", path.display())]
    LibraryUnusable {
        /// The kind asked for.
        kind: EngineKind,
        /// The library.
        path: PathBuf,
        /// What the loader or the library said.
        message: String,
    },
    /// The network's file is missing or cannot be compiled.
    #[error("network `{network}`: {}: {message}", path.display())]
    Network {
        /// Name of the network.
        network: String,
        /// Its file.
        path: PathBuf,
        /// What the library said.
        message: String,
    },
    /// The graph's tensors are not the declared ones.
    #[error("network `{network}`: {}: {side}s declared [{declared}], in the graph [{found}]", path.display())]
    Interface {
        /// Name of the network.
        network: String,
        /// Its file.
        path: PathBuf,
        /// The end at which they differ.
        side: Side,
        /// What the caller declared.
        declared: String,
        /// What the graph has.
        found: String,
    },
    /// Too many or too few buffers were bound.
    #[error("network `{network}` has {expected} {side}s, {found} buffers were bound")]
    BindingCount {
        /// Name of the network.
        network: String,
        /// The end.
        side: Side,
        /// Tensors of the network.
        expected: usize,
        /// Buffers bound.
        found: usize,
    },
    /// A bound buffer has another shape than its tensor.
    #[error("network `{network}`: {side} {tensor} was bound to buffer {buffer}")]
    BindingShape {
        /// Name of the network.
        network: String,
        /// The end.
        side: Side,
        /// The network's tensor.
        tensor: String,
        /// The buffer.
        buffer: String,
    },
    /// Host values and buffer differ in length.
    #[error("buffer {buffer} holds {expected} values, the host's slice {found}")]
    Length {
        /// The buffer.
        buffer: String,
        /// Its elements.
        expected: usize,
        /// Elements of the slice.
        found: usize,
    },
    /// A buffer is not where the engine computes.
    #[error("buffer {buffer} is in {found}, this engine computes in {expected}")]
    Place {
        /// The buffer.
        buffer: String,
        /// Where it is.
        found: Place,
        /// Where it must be.
        expected: Place,
    },
    /// The GPU's driver failed to allocate or move memory.
    #[error("cuda:{device} failed to {action}: {message}")]
    Device {
        /// Number of the GPU.
        device: usize,
        /// What was asked of it.
        action: &'static str,
        /// What the driver said.
        message: String,
    },
    /// Source and target of a copy differ in shape.
    #[error("buffer {from} cannot be copied into buffer {to}")]
    Copy {
        /// Source.
        from: String,
        /// Target.
        to: String,
    },
    /// The library failed while computing.
    #[error("network `{network}` failed to run: {message}")]
    Run {
        /// Name of the network.
        network: String,
        /// What the library said.
        message: String,
    },
}

impl EngineError {
    /// Whether a library or device is missing (exit status 69), not a network wrong (65).
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::NotInThisBuild { .. }
                | Self::NotInThisVersion { .. }
                | Self::NoDevice { .. }
                | Self::LibraryMissing { .. }
                | Self::LibraryUnusable { .. }
        )
    }
}

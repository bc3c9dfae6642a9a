//! What can go wrong between recorded trials and a checkpoint, each naming the thing, the place and both sides.

use crate::checkpoint::Unopened;
use crate::training_folder::FolderError;
use mindeye_config::{ConfigError, Exit};
use std::path::{Path, PathBuf};

/// The way in for a pickle, which is never opened here: run once, offline, in a Python that has torch and safetensors.
pub const CONVERSION: &str = "python -c \"import sys, torch, safetensors.torch as s; \
d = torch.load(sys.argv[1], map_location='cpu', weights_only=True); \
d = d.get('model_state_dict', d.get('state_dict', d)); \
s.save_file({k: v.contiguous().clone() for k, v in d.items()}, sys.argv[2])\" IN.pth OUT.safetensors";

/// Why there is no (new) checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A file or folder named by the user is not there.
    #[error("{}: no such file or folder", path.display())]
    NoSuchFile {
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
    /// A file cannot be written; what was there before is as it was.
    #[error("{}: cannot be written, and what was there is as it was: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file whose content is not what it should be.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with both sides.
        problem: String,
    },
    /// Tensors that are not those of the model.
    #[error("{}: the tensors are not those of this model: {differences}", path.display())]
    Misfit {
        /// The weights file.
        path: PathBuf,
        /// Every missing, extra and mis-shaped tensor, with both shapes.
        differences: String,
    },
    /// A pickle.
    #[error("{}: a pickle runs code when opened and is never read; convert it offline: {CONVERSION}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// A loss that is no number any more.
    #[error("the loss is {value} at step {step}; lower the learning rate (--lr) or look at the data")]
    Diverged {
        /// The step, from 0.
        step: u64,
        /// The loss.
        value: f64,
    },
    /// A checkpoint that belongs to another training.
    #[error("{}: cannot be resumed: {problem}", path.display())]
    OtherTraining {
        /// The state's file.
        path: PathBuf,
        /// What differs, with both sides.
        problem: String,
    },
    /// Something that this build or this version lacks.
    #[error("{what}: {remedy}")]
    Unavailable {
        /// What is lacking.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// The training folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Test trials were seen.
    #[error(transparent)]
    Leakage(#[from] crate::leakage::Leakage),
    /// A mask or z-score table.
    #[error(transparent)]
    Preprocess(#[from] mindeye_preprocess::PreprocessError),
}

impl TrainError {
    /// The status with which a program ends on this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoSuchFile { .. }
            | Self::Folder(FolderError::Missing { .. })
            | Self::Flag { .. }
            | Self::Config(_) => Exit::Usage,
            Self::Unavailable { .. } => Exit::Unavailable,
            Self::Unreadable { .. } | Self::Unwritable { .. } | Self::Diverged { .. } => Exit::Other,
            _ => Exit::Data,
        }
    }

    pub(crate) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| Self::Unreadable { path: path.to_path_buf(), source }
    }

    pub(crate) fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        |source| Self::Unwritable { path: path.to_path_buf(), source }
    }

    pub(crate) fn unopened(path: &Path, unopened: Unopened) -> Self {
        match unopened {
            Unopened::Missing(_) => Self::NoSuchFile { path: path.to_path_buf() },
            Unopened::Pickle => Self::Pickle { path: path.to_path_buf() },
            Unopened::System(source) => Self::unreadable(path)(source),
            Unopened::Broken(problem) => Self::malformed(path, problem),
        }
    }

    pub(crate) fn malformed(path: &Path, problem: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_path_buf(), problem: problem.into() }
    }
}

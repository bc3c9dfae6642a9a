//! Why recorded data make no training folder: the file, the place, both sides.

use crate::dataset_write::SplitError;
use crate::training_folder::FolderError;
use mindeye_config::NameError;
use mindeye_preprocess::PreprocessError;
use mindeye_preprocess::bids::BidsError;
use std::path::{Path, PathBuf};

/// An error of an import.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file is not there.
    #[error("{}: no such file; {needed}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// What it is for.
        needed: &'static str,
    },
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The disagreement, both sides.
        problem: String,
    },
    /// Betas that are no numbers.
    #[error("{}: the beta of trial {trial}, voxel {voxel} is {value}", path.display())]
    NotFinite {
        /// The source.
        path: PathBuf,
        /// Row from 0.
        trial: usize,
        /// Column from 0.
        voxel: usize,
        /// The value.
        value: f32,
    },
    /// A name that cannot be one.
    #[error("{what}: {source}")]
    Name {
        /// Of what.
        what: &'static str,
        /// What is wrong.
        source: NameError,
    },
    /// A malformed table.
    #[error(transparent)]
    Table(#[from] BidsError),
    /// No split can be made.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// Of targets.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Of a mask.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

impl ImportError {
    pub(super) fn format(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::Format { path: path.to_owned(), problem: problem.to_string() }
    }

    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::File { path: path.to_owned(), source }
    }

    pub(super) fn require(path: &Path, needed: &'static str) -> Result<(), Self> {
        if path.exists() { Ok(()) } else { Err(Self::Missing { path: path.to_owned(), needed }) }
    }
}

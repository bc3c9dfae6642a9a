//! What can be wrong with a training folder: the file, the place, both sides.

use mindeye_preprocess::PreprocessError;
use mindeye_preprocess::bids::BidsError;
use std::path::{Path, PathBuf};

/// An error of a training folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder is not there.
    #[error("{}: no such {what}", path.display())]
    Missing {
        /// Where.
        path: PathBuf,
        /// What should be there.
        what: &'static str,
    },
    /// A file cannot be read or written.
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
    /// A table is malformed.
    #[error(transparent)]
    Table(#[from] BidsError),
    /// A beta or target that is no number.
    #[error("{}: row {row}, column {column} is {value}; only finite numbers can be used", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Row from 0.
        row: usize,
        /// Column from 0.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A split that the task needs has no trial.
    #[error("{}: no trial has the split `{split}` (of {trials} trials)", path.display())]
    EmptySplit {
        /// The table of trials.
        path: PathBuf,
        /// The split.
        split: &'static str,
        /// All trials.
        trials: usize,
    },
    /// Of `preprocess`: a mask, a z-score table.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
}

impl FolderError {
    pub(crate) fn format(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::Format { path: path.to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::File { path: path.to_owned(), source }
    }
}

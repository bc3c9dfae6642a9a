//! Why no ridge can be fitted, kept or applied.

use crate::checkpoint::Unopened;
use std::path::{Path, PathBuf};

/// What is wrong with the data or the file of a ridge.
#[derive(Debug, thiserror::Error)]
pub enum RidgeError {
    /// Two sizes that must be equal.
    #[error("{left} has {left_value} {what}, {right} has {right_value}")]
    Disagree {
        /// One side.
        left: &'static str,
        /// Its size.
        left_value: usize,
        /// What is counted.
        what: &'static str,
        /// The other side.
        right: &'static str,
        /// Its size.
        right_value: usize,
    },
    /// A number that is none.
    #[error("{what}, row {row}, column {column}: {value} is not finite")]
    NotFinite {
        /// `betas` or `targets`.
        what: &'static str,
        /// Row from 0.
        row: usize,
        /// Column from 0.
        column: usize,
        /// The value.
        value: f32,
    },
    /// Nothing is left when a trial (or all of an image) is left out.
    #[error("{trials} trials of {images} images: {needed}")]
    TooFew {
        /// Training trials.
        trials: usize,
        /// Different images among them.
        images: usize,
        /// What would be enough.
        needed: &'static str,
    },
    /// No variation to explain.
    #[error("{what} do not vary over the training trials")]
    Constant {
        /// `betas` or `targets`.
        what: &'static str,
    },
    /// A regularisation strength that is not above zero.
    #[error("alpha must be one or more finite numbers above 0, found {found:?}")]
    Alpha {
        /// What was given.
        found: Vec<f64>,
    },
    /// The eigendecomposition of the Gram matrix did not converge.
    #[error("the eigendecomposition of the {trials} x {trials} Gram matrix did not converge")]
    Eigen {
        /// Training trials.
        trials: usize,
    },
    /// A shared space that the targets cannot span.
    #[error(
        "a shared space of {width} dimensions needs as many directions; the targets of {images} images have {found}"
    )]
    Width {
        /// Dimensions asked for.
        width: usize,
        /// Training images.
        images: usize,
        /// Directions in which their targets vary.
        found: usize,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is no ridge.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is missing, too much or of another shape.
        problem: String,
    },
}

impl RidgeError {
    pub(crate) fn format(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::Format { path: path.to_owned(), problem: problem.to_string() }
    }

    pub(crate) fn unopened(path: &Path, unopened: Unopened) -> Self {
        match unopened {
            Unopened::Missing(source) | Unopened::System(source) => Self::File { path: path.to_owned(), source },
            Unopened::Pickle => Self::format(path, "a pickle runs code when opened and is never read"),
            Unopened::Broken(problem) => Self::format(path, problem),
        }
    }
}

/// `Ok` when both sides have the same size.
pub(crate) fn require_equal(
    what: &'static str,
    (left, left_value): (&'static str, usize),
    (right, right_value): (&'static str, usize),
) -> Result<(), RidgeError> {
    if left_value == right_value {
        return Ok(());
    }
    Err(RidgeError::Disagree { left, left_value, what, right, right_value })
}

//! Why nothing was written, with the exit status that goes with it.

use mindeye_config::{ConfigError, Exit};
use mindeye_preprocess::PreprocessError;
use mindeye_preprocess::bids::{BidsError, TrSource};
use std::path::PathBuf;

/// An error of the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// A file named on the command line is not there.
    #[error("{flag} {}: no such file", path.display())]
    NoSuchFile { flag: &'static str, path: PathBuf },
    /// The folder that will hold the output is not there.
    #[error("--out {}: no such folder as {}", out.display(), parent.display())]
    NoSuchFolder { out: PathBuf, parent: PathBuf },
    /// The output would replace something.
    #[error("--out {}: exists already; remove it or choose another name", path.display())]
    Exists { path: PathBuf },
    /// A flag whose value cannot be right.
    #[error("{flag}: {message}")]
    Flag { flag: &'static str, message: String },
    /// The recipe.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Events, sidecar or TR.
    #[error(transparent)]
    Bids(#[from] BidsError),
    /// Run or mask.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// Two files that must lie on one grid do not.
    #[error("{} and {} are on different grids: {difference}", left.display(), right.display())]
    Grids { left: PathBuf, right: PathBuf, difference: String },
    /// A run without a second volume.
    #[error("{}: a run has at least {least} volumes, found {found}", bold.display())]
    TooFewVolumes { bold: PathBuf, found: usize, least: usize },
    /// True amplitudes that are not those of this run.
    #[error("--truth {}: {problem}", path.display())]
    Truth { path: PathBuf, problem: String },
    /// A file cannot be hashed.
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// Not one trial could be estimated.
    #[error(
        "{}: no beta for any of {trials} trials in {volumes} volumes of {tr_s} s; {first}",
        bold.display()
    )]
    NoBeta { bold: PathBuf, volumes: usize, tr_s: f64, trials: usize, first: String },
    /// A file cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Unwritable { path: PathBuf, source: std::io::Error },
}

impl ProgramError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::NoSuchFile { .. } | Self::NoSuchFolder { .. } | Self::Exists { .. } => Exit::Usage,
            Self::Flag { .. } | Self::Config(_) => Exit::Usage,
            Self::Bids(BidsError::ImpossibleTr { source_of_tr: TrSource::Configuration, .. }) => Exit::Usage,
            Self::Bids(_) | Self::Preprocess(_) | Self::Grids { .. } | Self::Unreadable { .. } => Exit::Data,
            Self::TooFewVolumes { .. } | Self::NoBeta { .. } | Self::Truth { .. } => Exit::Data,
            Self::Unwritable { .. } => Exit::Other,
        }
    }
}

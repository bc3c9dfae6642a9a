//! Why a folder is not a bundle: the file, and both sides of the disagreement.

use crate::GalleryError;
use mindeye_config::{ConfigError, Sha256};
use mindeye_preprocess::PreprocessError;
use std::path::{Path, PathBuf};

/// Why a bundle was not opened. Paths without a folder are relative to the bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// `manifest.toml`, `preprocess.toml`, `scheduler.toml` or `engines/manifest.toml` is wrong; names file and key.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest lists a file that is not there.
    #[error("bundle: `{path}` is listed in manifest.toml but is not in the folder")]
    Missing {
        /// The file.
        path: String,
    },
    /// The folder holds a file that the manifest does not list.
    #[error("bundle: `{path}` is in the folder but is not listed in manifest.toml")]
    Unlisted {
        /// The file.
        path: String,
    },
    /// `engines/` holds a file that its own table does not list, or has no table.
    #[error("bundle: `{path}` is in the folder but is not listed in engines/manifest.toml")]
    UnlistedEngine {
        /// The file.
        path: String,
    },
    /// The folder holds a link, a pipe or a device.
    #[error("bundle: `{path}` is neither a file nor a folder; links are not followed")]
    NotAFile {
        /// What it is called.
        path: String,
    },
    /// The manifest lists a file or a network twice.
    #[error("bundle: manifest.toml lists `{name}` twice")]
    Twice {
        /// The path or the network's name.
        name: String,
    },
    /// The manifest does not list a file that every bundle, or this one, must have.
    #[error("bundle: manifest.toml does not list `{path}`, which {needed_by} needs")]
    Incomplete {
        /// The file.
        path: String,
        /// Who needs it.
        needed_by: &'static str,
    },
    /// A file has another length than the manifest says.
    #[error("bundle: `{path}` has {found} bytes, manifest.toml says {listed}")]
    Length {
        /// The file.
        path: String,
        /// Bytes according to the manifest.
        listed: u64,
        /// Bytes in the folder.
        found: u64,
    },
    /// A file has another digest than the manifest says.
    #[error("bundle: `{path}` has sha256 {found}, manifest.toml says {listed}")]
    Hash {
        /// The file.
        path: String,
        /// Digest according to the manifest.
        listed: Sha256,
        /// Digest of the file.
        found: Sha256,
    },
    /// The manifest names a network that this version does not run.
    #[error("bundle: network `{name}` is not one that this version runs: {known}")]
    UnknownNetwork {
        /// The network.
        name: String,
        /// Those it runs.
        known: String,
    },
    /// Mask, reference or z-score table cannot be used.
    #[error("bundle: `{path}`: {source}")]
    Part {
        /// The file.
        path: &'static str,
        /// What is wrong with it.
        source: Box<PreprocessError>,
    },
    /// A tensor file or an index is malformed.
    #[error("bundle: `{path}`: {problem}")]
    Malformed {
        /// The file.
        path: &'static str,
        /// What is wrong in it.
        problem: String,
    },
    /// Two parts of the bundle disagree.
    #[error("bundle: `{path}`: {what} is {found}, {other} says {expected}")]
    Disagree {
        /// The file.
        path: &'static str,
        /// The quantity.
        what: String,
        /// Its value there.
        found: String,
        /// The file that says otherwise.
        other: &'static str,
        /// The value there.
        expected: String,
    },
    /// The gallery's vectors cannot be searched.
    #[error("bundle: gallery: {0}")]
    Gallery(#[from] GalleryError),
}

impl BundleError {
    pub(super) fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unreadable { path, source }
    }

    pub(super) fn part(path: &'static str) -> impl FnOnce(PreprocessError) -> Self {
        move |source| Self::Part { path, source: Box::new(source) }
    }

    pub(super) fn malformed(path: &'static str) -> impl FnOnce(String) -> Self {
        move |problem| Self::Malformed { path, problem }
    }
}

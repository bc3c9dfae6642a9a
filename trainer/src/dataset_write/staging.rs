//! Output appears whole or not at all: it is written into a hidden sibling and moved into place once.

use std::path::{Path, PathBuf};
use tempfile::{Builder, TempDir};

/// Why no output can be made where it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It is there already.
    #[error("{}: exists already; an output is never replaced, name another or remove it", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The folder that should hold it is not there.
    #[error("{}: the folder {} does not exist", out.display(), parent.display())]
    NoParent {
        /// The output.
        out: PathBuf,
        /// Where it should go.
        parent: PathBuf,
    },
    /// The system refused.
    #[error("{}: {source}", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl OutputError {
    /// A wrong command line, not a wrong disk.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Unwritable { .. })
    }

    pub(crate) fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Unwritable { path: path.to_owned(), source }
    }
}

/// A hidden folder beside the output; it is removed when it is not kept.
pub(crate) struct Staging {
    folder: TempDir,
    out: PathBuf,
}

impl Staging {
    /// For a new folder `out`.
    pub(crate) fn for_folder(out: &Path) -> Result<Self, OutputError> {
        if out.exists() {
            return Err(OutputError::Exists { path: out.to_owned() });
        }
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if out.file_name().is_none() || !parent.is_dir() {
            return Err(OutputError::NoParent { out: out.to_owned(), parent: parent.to_owned() });
        }
        let mut builder = Builder::new();
        builder.prefix(".mindeye-train-");
        // A plain folder's rights, and not the private ones of a temporary folder, because it becomes the output.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.tempdir_in(parent).map_err(OutputError::unwritable(parent))?;
        Ok(Self { folder, out: out.to_owned() })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes `bytes` as `name`.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), OutputError> {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).map_err(OutputError::unwritable(&path))
    }

    /// Copies the file at `from` as `name`.
    pub(crate) fn copy(&self, from: &Path, name: &str) -> Result<(), OutputError> {
        std::fs::copy(from, self.path().join(name)).map(drop).map_err(OutputError::unwritable(from))
    }

    /// Makes the staging folder the output.
    pub(crate) fn keep(self) -> Result<(), OutputError> {
        std::fs::rename(self.folder.path(), &self.out).map_err(OutputError::unwritable(&self.out))?;
        // Its own path is gone now; there is nothing left to remove.
        let _ = self.folder.keep();
        Ok(())
    }
}

//! Output appears whole or not at all: it is written into a hidden sibling and moved into place once.

use crate::program::ProgramError;
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempDir};

/// A hidden folder beside the place where the output will be; it is removed when it is not kept.
pub(crate) struct Staging {
    folder: TempDir,
    out: PathBuf,
}

impl Staging {
    /// # Errors
    /// `out` exists, or the folder that will hold it does not or cannot be written to.
    pub(crate) fn for_folder(out: &Path) -> Result<Self, ProgramError> {
        if out.exists() {
            return Err(ProgramError::Exists { path: out.to_path_buf() });
        }
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if out.file_name().is_none() || !parent.is_dir() {
            return Err(ProgramError::NoSuchFolder { out: out.to_path_buf(), parent: parent.to_path_buf() });
        }
        let mut builder = Builder::new();
        builder.prefix(".mindeye-preprocess-");
        // A plain folder's rights, and not the private ones of a temporary folder, because it becomes the output.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.tempdir_in(parent).map_err(unwritable(parent))?;
        Ok(Self { folder, out: out.to_path_buf() })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the staging folder the output.
    pub(crate) fn keep(self) -> Result<(), ProgramError> {
        std::fs::rename(self.folder.path(), &self.out).map_err(unwritable(&self.out))?;
        // Its own path is gone now; there is nothing left to remove.
        let _ = self.folder.keep();
        Ok(())
    }
}

/// The error of a path that cannot be written.
pub(crate) fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> ProgramError + '_ {
    |source| ProgramError::Unwritable { path: path.to_path_buf(), source }
}

/// Writes `bytes` as `folder/name`.
pub(crate) fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), ProgramError> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(unwritable(&path))
}

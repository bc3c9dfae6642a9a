//! Output appears whole or not at all: it is written into a hidden sibling and moved into place once.

use crate::ExportError;
use std::path::{Path, PathBuf};
use tempfile::{Builder, TempDir};

/// A hidden folder beside the place where the output will be; it is removed when nothing is moved out of it.
pub(crate) struct Staging {
    folder: TempDir,
    out: PathBuf,
}

impl Staging {
    /// A staging folder for a file that may replace one of the same name.
    ///
    /// # Errors
    /// The folder of `out` does not exist or cannot be written to, or `out` is a folder.
    pub(crate) fn for_file(out: &Path) -> Result<Self, ExportError> {
        if out.is_dir() {
            return Err(ExportError::Exists { path: out.to_path_buf() });
        }
        Self::beside(out)
    }

    /// A staging folder for a new folder.
    ///
    /// # Errors
    /// The folder that will hold `out` does not exist or cannot be written to, or `out` exists.
    pub(crate) fn for_folder(out: &Path) -> Result<Self, ExportError> {
        if out.exists() {
            return Err(ExportError::Exists { path: out.to_path_buf() });
        }
        Self::beside(out)
    }

    fn beside(out: &Path) -> Result<Self, ExportError> {
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if out.file_name().is_none() || !parent.is_dir() {
            return Err(ExportError::NoSuchFile { path: parent.to_path_buf() });
        }
        let mut builder = Builder::new();
        builder.prefix(".mindeye-export-");
        // A plain folder's rights, and not the private ones of a temporary folder, because it becomes the output.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder.tempdir_in(parent).map_err(unwritable(parent))?;
        Ok(Self { folder, out: out.to_path_buf() })
    }

    /// Where to write.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Name of the output in its folder.
    ///
    /// # Panics
    /// Never: a staging folder is only made for a path that has a name.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        self.out.file_name().expect("checked when the folder was made").to_string_lossy().into_owned()
    }

    /// Moves `files` out of the staging folder to their places beside the output, the first of them last: it is the
    /// one that refers to the others.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn keep_files(self, files: &[String]) -> Result<(), ExportError> {
        for name in files.iter().rev() {
            let target = self.out.with_file_name(name);
            std::fs::rename(self.folder.path().join(name), &target).map_err(unwritable(&target))?;
        }
        Ok(())
    }

    /// Makes the staging folder the output.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn keep_folder(self) -> Result<(), ExportError> {
        std::fs::rename(self.folder.path(), &self.out).map_err(unwritable(&self.out))?;
        // Its own path is gone now; there is nothing left to remove.
        let _ = self.folder.keep();
        Ok(())
    }
}

/// The error of a path that cannot be written.
pub(crate) fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> ExportError + '_ {
    |source| ExportError::Unwritable { path: path.to_path_buf(), source }
}

/// Writes `bytes` as `folder/name`.
pub(crate) fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), ExportError> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).map_err(unwritable(&path))
}

/// Makes `folder/name`.
pub(crate) fn make_folder(folder: &Path, name: &str) -> Result<PathBuf, ExportError> {
    let path = folder.join(name);
    std::fs::create_dir_all(&path).map_err(unwritable(&path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_behind_when_the_output_is_given_up() {
        let home = tempfile::tempdir().unwrap();
        let staging = Staging::for_folder(&home.path().join("bundle")).unwrap();
        write(staging.path(), "half", b"written").unwrap();
        drop(staging);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_kept_folder_holds_what_was_written_and_stands_alone() {
        let home = tempfile::tempdir().unwrap();
        let out = home.path().join("bundle");
        let staging = Staging::for_folder(&out).unwrap();
        write(staging.path(), "file", b"whole").unwrap();
        staging.keep_folder().unwrap();
        assert_eq!(std::fs::read(out.join("file")).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_folder_is_never_replaced_but_a_file_is() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(Staging::for_folder(home.path()), Err(ExportError::Exists { .. })));
        assert!(matches!(Staging::for_file(home.path()), Err(ExportError::Exists { .. })));
        let lost = home.path().join("no/such/folder.onnx");
        assert!(matches!(Staging::for_file(&lost), Err(ExportError::NoSuchFile { .. })));

        let out = home.path().join("m.onnx");
        for content in ["first", "second"] {
            let staging = Staging::for_file(&out).unwrap();
            write(staging.path(), "m.onnx", content).unwrap();
            staging.keep_files(&["m.onnx".into()]).unwrap();
            assert_eq!(std::fs::read_to_string(&out).unwrap(), content);
        }
    }
}

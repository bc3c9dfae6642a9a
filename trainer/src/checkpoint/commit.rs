//! Files of a folder change together or not at all: written aside, made durable, named ready, then moved into place.
//!
//! A kill or a full disk before the folder is named ready leaves everything as it was; after it, the next
//! [`Commit::recover`] finishes the moves.

use crate::TrainError;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const STAGING: &str = ".staging";
const READY: &str = ".ready";

/// New versions of some files of a folder, on the way into it.
pub struct Commit {
    folder: PathBuf,
}

impl Commit {
    /// Begins a commit into `folder` (made if need be), after finishing one that was cut off.
    ///
    /// # Errors
    /// [`TrainError::Unwritable`].
    pub fn begin(folder: &Path) -> Result<Self, TrainError> {
        Self::recover(folder)?;
        let staging = folder.join(STAGING);
        remove(&staging)?;
        fs::create_dir_all(&staging).map_err(TrainError::unwritable(&staging))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where the new version of the file `name` (a path relative to the folder) is written.
    ///
    /// # Errors
    /// [`TrainError::Unwritable`] if its parent cannot be made.
    pub fn place(&self, name: &str) -> Result<PathBuf, TrainError> {
        let path = self.folder.join(STAGING).join(name);
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(TrainError::unwritable(parent))?;
        Ok(path)
    }

    /// Writes the new version of the file `name`.
    ///
    /// # Errors
    /// [`TrainError::Unwritable`].
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), TrainError> {
        let path = self.place(name)?;
        fs::write(&path, bytes).map_err(TrainError::unwritable(&path))
    }

    /// Makes all new versions durable and moves them into place.
    ///
    /// # Errors
    /// [`TrainError::Unwritable`]; the folder is then as it was, or the next [`Commit::recover`] completes it.
    pub fn finish(self) -> Result<(), TrainError> {
        let (staging, ready) = (self.folder.join(STAGING), self.folder.join(READY));
        for name in files_below(&staging)? {
            let path = staging.join(name);
            File::open(&path).and_then(|file| file.sync_all()).map_err(TrainError::unwritable(&path))?;
        }
        fs::rename(&staging, &ready).map_err(TrainError::unwritable(&ready))?;
        Self::recover(&self.folder)
    }

    /// [`Commit::recover`] for a folder that may not be there yet.
    ///
    /// # Errors
    /// As [`Commit::recover`], for a folder that is there.
    pub fn recover_if_there(folder: &Path) -> Result<(), TrainError> {
        if folder.exists() { Self::recover(folder) } else { Ok(()) }
    }

    /// Finishes a commit into `folder` that was cut off after it was named ready, and drops one that was not.
    ///
    /// # Errors
    /// [`TrainError::Unwritable`].
    pub fn recover(folder: &Path) -> Result<(), TrainError> {
        remove(&folder.join(STAGING))?;
        let ready = folder.join(READY);
        if !ready.is_dir() {
            return Ok(());
        }
        for name in files_below(&ready)? {
            let target = folder.join(&name);
            let parent = target.parent().unwrap_or(folder);
            fs::create_dir_all(parent).map_err(TrainError::unwritable(parent))?;
            fs::rename(ready.join(&name), &target).map_err(TrainError::unwritable(&target))?;
        }
        remove(&ready)
    }
}

impl Drop for Commit {
    /// A commit that was given up leaves nothing behind.
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next commit.
        let _ = remove(&self.folder.join(STAGING));
    }
}

/// Relative paths of all files below `folder`, sorted.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(below) = waiting.pop() {
        let at = folder.join(&below);
        for entry in fs::read_dir(&at).map_err(TrainError::unreadable(&at))? {
            let entry = entry.map_err(TrainError::unreadable(&at))?;
            let name = below.join(entry.file_name());
            if entry.path().is_dir() { waiting.push(name) } else { found.push(name) }
        }
    }
    found.sort();
    Ok(found)
}

fn remove(folder: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(TrainError::unwritable(folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path, name: &str) -> String {
        fs::read_to_string(folder.join(name)).unwrap_or_default()
    }

    fn commit(folder: &Path, text: &str) -> Commit {
        let commit = Commit::begin(folder).unwrap();
        commit.write("model", text).unwrap();
        commit.write("training/mindeye/state", text).unwrap();
        commit
    }

    #[test]
    fn a_commit_changes_all_its_files_and_no_other() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("other"), "kept").unwrap();
        for text in ["first", "second"] {
            commit(home.path(), text).finish().unwrap();
            assert_eq!(
                (read(home.path(), "model"), read(home.path(), "training/mindeye/state")),
                (text.into(), text.into())
            );
        }
        assert_eq!(read(home.path(), "other"), "kept");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn one_that_was_given_up_or_killed_before_it_was_ready_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        commit(home.path(), "first").finish().unwrap();
        drop(commit(home.path(), "second"));
        assert_eq!(read(home.path(), "model"), "first");
        std::mem::forget(commit(home.path(), "third")); // killed: its folder is still there
        Commit::recover(home.path()).unwrap();
        assert_eq!(read(home.path(), "model"), "first");
        assert!(!home.path().join(STAGING).exists());
    }

    #[test]
    fn one_that_was_killed_between_two_moves_is_finished_later() {
        let home = tempfile::tempdir().unwrap();
        commit(home.path(), "first").finish().unwrap();
        std::mem::forget(commit(home.path(), "second"));
        fs::rename(home.path().join(STAGING), home.path().join(READY)).unwrap();
        fs::rename(home.path().join(READY).join("model"), home.path().join("model")).unwrap();
        Commit::recover(home.path()).unwrap();
        assert_eq!(
            (read(home.path(), "model"), read(home.path(), "training/mindeye/state")),
            ("second".into(), "second".into())
        );
        assert!(!home.path().join(READY).exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let Err(error) = Commit::begin(&file.join("folder")) else { panic!("a file is no folder") };
        assert!(matches!(error, TrainError::Unwritable { .. }), "{error}");
    }
}

//! A folder that appears whole or not at all: it is filled under a hidden name of its own beside its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Names tried before the file system is believed to refuse them all.
const TRIES: u32 = 100;

/// A folder in the making; removed with all that is in it unless it is kept.
#[derive(Debug)]
pub struct NewFolder {
    filling: PathBuf,
    place: PathBuf,
}

impl NewFolder {
    /// An empty folder, used by nobody else, that [`NewFolder::keep`] makes the new folder `place`.
    ///
    /// # Errors
    /// `place` exists or has no name, or the folder that will hold it is missing or cannot be written to.
    pub fn beside(place: &Path) -> io::Result<Self> {
        if place.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "exists already"));
        }
        let Some(name) = place.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no name for a folder"));
        };
        for attempt in 0..TRIES {
            let hidden = format!(".{}.{}-{attempt}.partial", name.to_string_lossy(), std::process::id());
            let filling = place.with_file_name(hidden);
            match fs::create_dir(&filling) {
                Ok(()) => return Ok(Self { filling, place: place.to_owned() }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "every hidden name beside it is taken"))
    }

    /// Where to write.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.filling
    }

    /// Puts the folder in its place.
    ///
    /// # Errors
    /// What the file system says; nothing is left behind then.
    pub fn keep(self) -> io::Result<()> {
        fs::rename(&self.filling, &self.place)
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // A folder that was kept has left this name; one that cannot be removed stays hidden.
        let _ = fs::remove_dir_all(&self.filling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(home: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_appears_when_it_is_kept_and_leaves_nothing_when_it_is_not() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("bundle.calibrated");
        let given_up = NewFolder::beside(&place).unwrap();
        fs::write(given_up.path().join("a"), "1").unwrap();
        drop(given_up);
        assert_eq!(names(home.path()), Vec::<String>::new());
        let kept = NewFolder::beside(&place).unwrap();
        fs::write(kept.path().join("a"), "1").unwrap();
        kept.keep().unwrap();
        assert_eq!(names(home.path()), ["bundle.calibrated"]);
        assert!(NewFolder::beside(&place).is_err(), "it exists by now");
    }

    #[test]
    fn neighbours_of_any_name_are_left_alone_and_two_at_once_are_two() {
        let home = tempfile::tempdir().unwrap();
        let neighbour = home.path().join("bundle.partial");
        fs::create_dir(&neighbour).unwrap();
        fs::write(neighbour.join("a"), "theirs").unwrap();
        let place = home.path().join("bundle.calibrated");
        let [one, other] = [(); 2].map(|()| NewFolder::beside(&place).unwrap());
        assert_ne!(one.path(), other.path());
        assert_ne!(one.path(), neighbour);
        drop((one, other));
        assert_eq!(fs::read_to_string(neighbour.join("a")).unwrap(), "theirs");
    }
}

//! Writes a training folder, whole or not at all.

mod split;
mod staging;

pub(crate) use split::split_of_file;
pub use split::{SplitChoice, SplitError, seeded_split};
pub use staging::OutputError;
pub(crate) use staging::Staging;

use crate::training_folder::{DatasetFacts, Trial, trial_table};
use ndarray::Array2;
use std::path::{Path, PathBuf};

/// A picture on its way into the folder.
#[derive(Debug, Clone)]
pub enum PictureSource {
    /// A file that is copied.
    File(PathBuf),
    /// Bytes of a PNG or JPEG.
    Bytes {
        /// The bytes.
        bytes: Vec<u8>,
        /// `png` or `jpg`.
        extension: &'static str,
    },
}

/// All of a training folder.
pub struct NewFolder {
    /// `dataset.toml`.
    pub facts: DatasetFacts,
    /// `trials.tsv`.
    pub trials: Vec<Trial>,
    /// Betas, f32[trials, voxels].
    pub voxels: Array2<f32>,
    /// A `targets.npy` to copy; its rows are the images in ascending order of their names.
    pub targets: Option<PathBuf>,
    /// Pictures by image name.
    pub pictures: Vec<(String, PictureSource)>,
    /// Files to copy: name in the folder, source (mask, reference, recipe).
    pub files: Vec<(&'static str, PathBuf)>,
}

impl NewFolder {
    /// Writes the folder as `out`.
    ///
    /// # Errors
    /// [`OutputError`]; nothing is left behind then.
    pub fn write(&self, out: &Path) -> Result<(), OutputError> {
        let staging = Staging::for_folder(out)?;
        let facts = staging.path().join("dataset.toml");
        self.facts.write(&facts).map_err(|e| OutputError::unwritable(&facts)(std::io::Error::other(e)))?;
        staging.write("trials.tsv", trial_table(&self.trials))?;
        let voxels = staging.path().join("voxels.npy");
        ndarray_npy::write_npy(&voxels, &self.voxels)
            .map_err(|e| OutputError::unwritable(&voxels)(std::io::Error::other(e)))?;
        for (name, source) in &self.files {
            staging.copy(source, name)?;
        }
        if let Some(targets) = &self.targets {
            staging.copy(targets, "targets.npy")?;
        }
        self.write_pictures(&staging)?;
        staging.keep()
    }

    fn write_pictures(&self, staging: &Staging) -> Result<(), OutputError> {
        if self.pictures.is_empty() {
            return Ok(());
        }
        let folder = staging.path().join("images");
        std::fs::create_dir(&folder).map_err(OutputError::unwritable(&folder))?;
        for (image, source) in &self.pictures {
            match source {
                PictureSource::Bytes { bytes, extension } => {
                    staging.write(&format!("images/{image}.{extension}"), bytes)?
                }
                PictureSource::File(path) => {
                    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
                    staging.copy(path, &format!("images/{image}.{extension}"))?;
                }
            }
        }
        Ok(())
    }
}

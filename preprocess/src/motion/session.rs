//! The session reference is the volume whose frame the mask lies in: runs of any day are brought to it.

use crate::PreprocessError;
use crate::resample::Volume;
use std::path::Path;

/// An EPI volume in the mask's frame (RAS+ mm; usually on the mask's very grid), and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionReference {
    /// All its voxels, with their grid.
    pub volume: Volume,
    /// For people: the file or the bundle.
    pub source: String,
}

impl SessionReference {
    /// Reads a NIfTI file of one volume; its name is the source.
    ///
    /// # Errors
    /// As [`Volume::read`].
    pub fn read(path: &Path) -> Result<Self, PreprocessError> {
        let source = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { volume: Volume::read(path)?, source })
    }
}

//! A volume is every voxel of a grid, as f32: what a session reference is.

use crate::{Grid, PreprocessError, RawVolume, read_bold};
use std::path::Path;

/// All voxels of a grid, `f32[x, y, z]`, x fastest, scanner's units; every one finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    grid: Grid,
    values: Vec<f32>,
}

impl Volume {
    /// Takes a raw volume, all of it.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if it has another number of voxels than `grid`, [`PreprocessError::NonFinite`] for
    /// the first voxel that is not finite in f32.
    pub fn from_raw(grid: Grid, raw: RawVolume<'_>) -> Result<Self, PreprocessError> {
        require_voxels(&grid, raw.voxel_count())?;
        let every: Vec<u32> = (0..raw.voxel_count() as u32).collect();
        let mut values = vec![0.0; every.len()];
        raw.pick(&every, &mut values)?;
        Ok(Self { grid, values })
    }

    /// Reads a NIfTI file of one volume.
    ///
    /// # Errors
    /// [`PreprocessError::File`] or [`PreprocessError::Format`] naming `path`, also where there is more than one volume.
    pub fn read(path: &Path) -> Result<Self, PreprocessError> {
        let bold = read_bold(path)?;
        let format = |problem: String| PreprocessError::Format { path: path.to_owned(), problem };
        let [bytes] = &bold.volumes[..] else {
            return Err(format(format!("a reference has one volume, found {}", bold.volumes.len())));
        };
        let raw = RawVolume::new(bold.dtype, bold.grid.voxel_count(), bytes)?;
        Self::from_raw(bold.grid, raw).map_err(|error| format(error.to_string()))
    }

    /// The same voxels with left and right exchanged: x becomes −x.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let mut grid = self.grid.clone();
        grid.affine[0].iter_mut().for_each(|entry| *entry = -*entry);
        Self { grid, values: self.values.clone() }
    }

    /// Voxels and their place.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Values, x fastest.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

pub(crate) fn require_voxels(grid: &Grid, found: usize) -> Result<(), PreprocessError> {
    if found == grid.voxel_count() {
        return Ok(());
    }
    Err(PreprocessError::Disagree {
        left: "volume",
        right: "grid",
        what: "voxels",
        left_value: found.to_string(),
        right_value: grid.voxel_count().to_string(),
    })
}

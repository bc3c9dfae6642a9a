//! A mask chooses the voxels that the decoder was trained on, and fixes their order for good.

use crate::nifti_write::write_mask;
use crate::{Bold, Grid, Pattern, PreprocessError, RawVolume, Stage, read_bold};
use std::path::Path;
use std::sync::Arc;

/// Voxels of a grid, ascending linear indices (x fastest); never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    grid: Grid,
    voxels: Vec<u32>,
}

impl Mask {
    /// The mask of these linear indices.
    ///
    /// # Errors
    /// [`PreprocessError::Mask`] if there are none, one lies outside the grid, or they do not ascend.
    pub fn from_voxels(grid: Grid, voxels: Vec<u32>) -> Result<Self, PreprocessError> {
        let count = grid.voxel_count();
        let complaint = |problem: String| Err(PreprocessError::Mask { problem });
        let Some(&last) = voxels.last() else {
            return complaint(format!("no voxel of {count} is selected"));
        };
        if let Some(pair) = voxels.windows(2).find(|pair| pair[0] >= pair[1]) {
            return complaint(format!("linear indices must ascend, found {} before {}", pair[0], pair[1]));
        }
        if last as usize >= count {
            return complaint(format!("voxel {last} lies outside a grid of {count} voxels"));
        }
        Ok(Self { grid, voxels })
    }

    /// Reads a mask from a NIfTI file of one volume: voxels that are not zero belong to it.
    ///
    /// # Errors
    /// [`PreprocessError::File`] or [`PreprocessError::Format`] naming `path`: unreadable, more than one volume, a
    /// voxel that is not finite, or none selected.
    pub fn read(path: &Path) -> Result<Self, PreprocessError> {
        let format = |problem: String| PreprocessError::Format { path: path.to_owned(), problem };
        let Bold { grid, dtype, volumes, .. } = read_bold(path)?;
        let [volume] = &volumes[..] else {
            return Err(format(format!("a mask has one volume, found {}", volumes.len())));
        };
        let raw = RawVolume::new(dtype, grid.voxel_count(), volume)?;
        let values = all_values(raw).map_err(|e| format(e.to_string()))?;
        let inside = values.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(index, _)| index as u32);
        Self::from_voxels(grid, inside.collect()).map_err(|e| format(e.to_string()))
    }

    /// Writes the mask as a `uint8` NIfTI file, 1 inside and 0 outside.
    ///
    /// # Errors
    /// [`PreprocessError::File`] naming `path`.
    pub fn write(&self, path: &Path) -> Result<(), PreprocessError> {
        let mut inside = vec![0u8; self.grid.voxel_count()];
        for &voxel in &self.voxels {
            inside[voxel as usize] = 1;
        }
        write_mask(path, &self.grid, &inside)
    }

    /// The grid.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Voxels selected, 1 or more.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a mask is never empty")]
    pub fn len(&self) -> usize {
        self.voxels.len()
    }

    /// Linear indices of the voxels, ascending: the order of every [`Pattern`].
    #[must_use]
    pub fn voxels(&self) -> &[u32] {
        &self.voxels
    }

    /// Takes the mask's voxels out of `raw`; no other voxel is converted. A 64x64x36 volume of int16 has 295 kB, a
    /// mask of 4,000 voxels touches 8 kB of it and writes 16 kB.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if the volume has another number of voxels than the grid,
    /// [`PreprocessError::NonFinite`] if one of the mask's voxels is not finite in f32.
    pub fn gather(&self, raw: RawVolume<'_>, out: &mut Pattern) -> Result<(), PreprocessError> {
        if raw.voxel_count() != self.grid.voxel_count() {
            return Err(PreprocessError::Disagree {
                left: "volume",
                right: "mask",
                what: "voxels of the grid",
                left_value: raw.voxel_count().to_string(),
                right_value: self.grid.voxel_count().to_string(),
            });
        }
        out.0.resize(self.len(), 0.0);
        raw.pick(&self.voxels, &mut out.0)
    }
}

fn all_values(raw: RawVolume<'_>) -> Result<Vec<f32>, PreprocessError> {
    let indices: Vec<u32> = (0..raw.voxel_count() as u32).collect();
    let mut values = vec![0.0; indices.len()];
    raw.pick(&indices, &mut values)?;
    Ok(values)
}

/// Raw volume to pattern, scanner's units, of a head that is taken to lie still.
#[derive(Debug, Clone)]
pub struct Gather {
    mask: Arc<Mask>,
}

impl Gather {
    /// A stage that takes `mask`'s voxels.
    #[must_use]
    pub fn new(mask: Arc<Mask>) -> Self {
        Self { mask }
    }

    pub(crate) fn mask(&self) -> &Mask {
        &self.mask
    }
}

impl Stage for Gather {
    type In<'a> = RawVolume<'a>;
    type Out = Pattern;

    fn process_into(&mut self, input: &RawVolume<'_>, out: &mut Pattern) -> Result<(), PreprocessError> {
        self.mask.gather(*input, out)
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {}
}

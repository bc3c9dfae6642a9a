//! `hrf_index.nii.gz` says which member of the HRF library each voxel responds by.

use crate::resample::Volume;
use crate::zscore::require_equal;
use crate::{DoubleGamma, Mask, PreprocessError};
use std::path::Path;

/// Reads the library index of `mask`'s voxels from a NIfTI file of one volume on the mask's grid: whole numbers from 0 to
/// [`DoubleGamma::LIBRARY_SIZE`] − 1 in the mask, anything elsewhere. Mask order.
///
/// # Errors
/// [`PreprocessError::File`] or [`PreprocessError::Format`] naming `path`, also for a number that is no index;
/// [`PreprocessError::Disagree`] for another number of voxels along an axis.
pub fn read_hrf_index(path: &Path, mask: &Mask) -> Result<Vec<u8>, PreprocessError> {
    let volume = Volume::read(path)?;
    for (axis, name) in ["voxels along x", "voxels along y", "voxels along z"].into_iter().enumerate() {
        require_equal("HRF index", "mask", name, volume.grid().dim[axis], mask.grid().dim[axis])?;
    }
    let index = |voxel: &u32| {
        let value = volume.values()[*voxel as usize];
        let whole = value.fract() == 0.0 && (0.0..DoubleGamma::LIBRARY_SIZE as f32).contains(&value);
        let problem =
            || format!("voxel {voxel} is {value}; the library has members 0 to {}", DoubleGamma::LIBRARY_SIZE - 1);
        if whole {
            return Ok(value as u8);
        }
        Err(PreprocessError::Format { path: path.to_owned(), problem: problem() })
    };
    mask.voxels().iter().map(index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, VoxelType, write_volume};

    #[test]
    fn the_index_of_the_masks_voxels_comes_back_and_no_other_number_is_believed() {
        let affine = [[3., 0., 0., 0.], [0., 3., 0., 0.], [0., 0., 3., 0.], [0., 0., 0., 1.]];
        let grid = Grid { dim: [3, 2, 1], affine };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hrf_index.nii.gz");
        let bytes = |values: [f32; 6]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let read = |values, mask: &Mask| {
            write_volume(&path, &grid, VoxelType::Float32, &bytes(values)).unwrap();
            read_hrf_index(&path, mask).map_err(|error| error.to_string())
        };
        let mask = Mask::from_voxels(grid.clone(), vec![1, 2, 5]).unwrap();
        assert_eq!(read([-1.0, 0.0, 19.0, 0.5, 99.0, 7.0], &mask), Ok(vec![0, 19, 7]));
        for wrong in [20.0, -1.0, 2.5] {
            let error = read([0.0, 0.0, wrong, 0.0, 0.0, 0.0], &mask).unwrap_err();
            assert!(error.contains(&format!("voxel 2 is {wrong}")) && error.contains("0 to 19"), "{error}");
        }
        let other = Mask::from_voxels(Grid { dim: [3, 3, 1], ..grid.clone() }, vec![1]).unwrap();
        assert!(read([0.0; 6], &other).unwrap_err().contains("voxels along y: 2 against 3"));
    }
}

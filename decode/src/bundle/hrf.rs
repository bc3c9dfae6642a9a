//! Which response of the library each voxel has, as one byte per voxel in the mask's order.

use super::{BundleError, HRF_INDEX, agreement};
use mindeye_preprocess::{Mask, Pattern, RawVolume, read_bold};
use std::path::Path;

/// `hrf_index.nii.gz` inside the mask.
pub(super) fn read(dir: &Path, mask: &Mask) -> Result<Vec<u8>, BundleError> {
    let part = BundleError::part;
    let map = read_bold(&dir.join(HRF_INDEX)).map_err(part(HRF_INDEX))?;
    agreement::check_grid(HRF_INDEX, mask, &map.grid)?;
    let [volume] = &map.volumes[..] else {
        return Err(malformed(format!("holds one volume, found {}", map.volumes.len())));
    };
    let raw = RawVolume::new(map.dtype, map.grid.voxel_count(), volume).map_err(part(HRF_INDEX))?;
    let mut inside = Pattern(Vec::new());
    mask.gather(raw, &mut inside).map_err(part(HRF_INDEX))?;
    inside.0.iter().enumerate().map(|(voxel, value)| index(voxel, *value)).collect()
}

/// A whole number that fits a byte.
fn index(voxel: usize, value: f32) -> Result<u8, BundleError> {
    let byte = value as u8;
    if f32::from(byte) == value {
        return Ok(byte);
    }
    Err(malformed(format!("voxel {voxel} of the mask has {value}, which is no index from 0 to 255")))
}

fn malformed(problem: String) -> BundleError {
    BundleError::Malformed { path: HRF_INDEX, problem }
}

//! NIfTI-1 files out: little-endian, sform set, equal input gives equal bytes.

use crate::{Grid, PreprocessError, VoxelType};
use ndarray::{Array, ArrayD, IxDyn, ShapeBuilder};
use nifti::writer::WriterOptions;
use nifti::{Endianness, NiftiError, NiftiHeader};
use std::path::Path;

/// Writes a run of raw volumes (little-endian, x fastest) as `[x, y, z, t]`; `path` ends in `.nii` or `.nii.gz`.
///
/// # Errors
/// [`PreprocessError::VolumeSize`] for a volume of another size than the grid's, [`PreprocessError::File`] or
/// [`PreprocessError::Format`] naming `path`.
pub fn write_bold(
    path: &Path,
    grid: &Grid,
    tr_s: f64,
    dtype: VoxelType,
    volumes: &[Vec<u8>],
) -> Result<(), PreprocessError> {
    for bytes in volumes {
        crate::RawVolume::new(dtype, grid.voxel_count(), bytes)?;
    }
    let [x, y, z] = grid.dim;
    write_raw(path, &header(grid, tr_s), &[x, y, z, volumes.len()], dtype, &volumes.concat())
}

/// Writes one raw volume (little-endian, x fastest) as `[x, y, z]`; `path` ends in `.nii` or `.nii.gz`.
///
/// # Errors
/// As [`write_bold`].
pub fn write_volume(path: &Path, grid: &Grid, dtype: VoxelType, bytes: &[u8]) -> Result<(), PreprocessError> {
    crate::RawVolume::new(dtype, grid.voxel_count(), bytes)?;
    write_raw(path, &header(grid, 0.0), &grid.dim, dtype, bytes)
}

pub(crate) fn write_mask(path: &Path, grid: &Grid, inside: &[u8]) -> Result<(), PreprocessError> {
    save(path, &header(grid, 0.0), |to| to.write_nifti(&array(&grid.dim, inside.to_vec())))
}

/// sform only: a qform could not hold an affine with shear. Codes and units: scanner coordinates, mm, s.
fn header(grid: &Grid, tr_s: f64) -> NiftiHeader {
    let [srow_x, srow_y, srow_z, _] = grid.affine.map(|row| row.map(|v| v as f32));
    let size = |axis: usize| (0..3).map(|r| grid.affine[r][axis].powi(2)).sum::<f64>().sqrt() as f32;
    NiftiHeader {
        pixdim: [1.0, size(0), size(1), size(2), tr_s as f32, 0.0, 0.0, 0.0],
        xyzt_units: 0o12,
        qform_code: 0,
        sform_code: 1,
        srow_x,
        srow_y,
        srow_z,
        endianness: Endianness::Little,
        ..NiftiHeader::default()
    }
}

fn write_raw(
    path: &Path,
    header: &NiftiHeader,
    shape: &[usize],
    dtype: VoxelType,
    bytes: &[u8],
) -> Result<(), PreprocessError> {
    save(path, header, |to| match dtype {
        VoxelType::Int16 => to.write_nifti(&array(shape, numbers(bytes, i16::from_le_bytes))),
        VoxelType::Uint16 => to.write_nifti(&array(shape, numbers(bytes, u16::from_le_bytes))),
        VoxelType::Float32 => to.write_nifti(&array(shape, numbers(bytes, f32::from_le_bytes))),
        VoxelType::Float64 => to.write_nifti(&array(shape, numbers(bytes, f64::from_le_bytes))),
    })
}

fn numbers<T, const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|b| number(*b)).collect()
}

/// `values`, x fastest, as the array that the writer walks in the same order.
fn array<T>(shape: &[usize], values: Vec<T>) -> ArrayD<T> {
    Array::from_shape_vec(IxDyn(shape).f(), values).expect("the caller has checked one value per voxel")
}

fn save(
    path: &Path,
    header: &NiftiHeader,
    write: impl FnOnce(&WriterOptions<'_>) -> nifti::Result<()>,
) -> Result<(), PreprocessError> {
    let format = |problem: String| PreprocessError::Format { path: path.to_owned(), problem };
    let name = path.to_string_lossy();
    // The writer replaces any other ending without a word.
    if !(name.ends_with(".nii") || name.ends_with(".nii.gz")) {
        return Err(format("a NIfTI file is written as .nii or .nii.gz".into()));
    }
    write(&WriterOptions::new(path).reference_header(header)).map_err(|error| match error {
        NiftiError::Io(source) => PreprocessError::File { path: path.to_owned(), source },
        other => format(other.to_string()),
    })
}

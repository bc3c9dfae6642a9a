//! From the scanner's LPS to RAS, once: where each voxel of a stack of slices lies in the head.
//!
//! DICOM stores rows from the top of the picture; like dcm2niix, the volume is stored with y from the bottom, so that its voxels
//! lie as in the NIfTI files that masks and references are made of.

use super::DicomError;
use mindeye_preprocess::Grid;

type Vector = [f64; 3];

/// A stack of equal slices as DICOM describes it, in LPS millimetres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stack {
    /// Columns, rows, slices.
    pub(super) dim: [usize; 3],
    /// Direction of growing column index.
    pub(super) row_direction: Vector,
    /// Direction of growing row index.
    pub(super) column_direction: Vector,
    /// From one slice to the next.
    pub(super) slice_step: Vector,
    /// Distance between columns, and between rows, mm.
    pub(super) spacing: [f64; 2],
    /// Centre of the first voxel of the first row of the first slice.
    pub(super) first: Vector,
}

impl Stack {
    /// The grid of the volume after its rows were turned over.
    pub(super) fn grid(&self) -> Result<Grid, DicomError> {
        let along_x = scaled(self.row_direction, self.spacing[0]);
        let down = scaled(self.column_direction, self.spacing[1]);
        let bottom = add(self.first, scaled(down, self.dim[1] as f64 - 1.0));
        let columns = [along_x, scaled(down, -1.0), self.slice_step, bottom];
        let lps_to_ras = [-1.0, -1.0, 1.0];
        let row = |axis: usize| columns.map(|column| lps_to_ras[axis] * column[axis]);
        let affine = [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]];
        let volume = dot(cross(along_x, down), self.slice_step).abs();
        if affine.iter().flatten().all(|value| value.is_finite()) && volume > 1e-9 {
            return Ok(Grid { dim: self.dim, affine });
        }
        Err(DicomError::Malformed("the slices span no volume"))
    }
}

/// Row and column direction of ImageOrientationPatient, if they are of length 1 and upright on each other.
pub(super) fn directions(orientation: [f64; 6]) -> Result<[Vector; 2], DicomError> {
    let [a, b, c, d, e, f] = orientation;
    let (row, column) = ([a, b, c], [d, e, f]);
    // 1e-3: the standard allows 16 characters; public files round to 6 digits.
    let is_right = [dot(row, row) - 1.0, dot(column, column) - 1.0, dot(row, column)].iter().all(|x| x.abs() < 1e-3);
    if is_right {
        Ok([row, column])
    } else {
        Err(DicomError::Malformed("row and column directions are not orthonormal"))
    }
}

/// Turns the rows of each slice over: `[x, y, z]`, x fastest, `width` bytes per row.
pub(super) fn rows_from_the_bottom(slice: &[u8], row_bytes: usize, out: &mut Vec<u8>) {
    slice.rchunks_exact(row_bytes).for_each(|row| out.extend_from_slice(row));
}

pub(super) fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn scaled(a: Vector, by: f64) -> Vector {
    a.map(|x| x * by)
}

pub(super) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
